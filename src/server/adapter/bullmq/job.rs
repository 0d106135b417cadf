//! One job in full, however large or broken it is.
//!
//! Sizes are known before any byte is fetched: what is small enough comes whole, of a larger value
//! the beginning (see [`super::values`]), beyond that the size. A record that is missing, of the wrong
//! type, half written or full of nonsense is shown as what it is, with a sentence for each oddity:
//! nothing that can be stored makes the page fail.

use super::super::raw::RawJob;
use super::super::redis::link::Link;
use super::super::redis::reply;
use super::super::{LogQuery, ReadError, Trouble};
use super::list::{Entry, base_row};
use super::locate::{self, Found};
use super::options::{self, Options};
use super::ready::Past;
use super::record::{LARGE, Record, fields, oddities};
use super::values::{self, Large, PREVIEW_MAX, Preview, Traces, VALUE_MAX};
use super::{below, key, logs};
use crate::model::exact::{bytes_of, text_of};
use crate::model::job::{Children, Dedup, JobDetail, Lock, LogLine, LogPage, Neighbours};
use crate::model::state::JobState;
use crate::model::timeline::is_moment;
use crate::model::{Millis, format, now};
use crate::server::redact::Mask;
use redis::{RedisResult, Value};

/// Log lines and bytes of them on the page itself.
const LOG_LINES: usize = 100;
const LOG_BYTES: usize = 64 * 1024;

/// Characters of a line of an archived log.
const LOG_LINE: usize = 2_000;

/// Fields that mark a hash as a job where its id is in no set: `P:meta` and its like have none of them.
const TELLING: [&str; 6] = [
    "timestamp",
    "data",
    "processedOn",
    "atm",
    "attemptsMade",
    "failedReason",
];

/// The commands asked first, in groups.
const LOCK: usize = 2 + locate::ASKED;
const FAMILY: usize = LOCK + 4;
const LOG: usize = FAMILY + 4;

/// Reads a job; `None` if there is none: no record, and its id in no set.
///
/// Nothing in it is masked: the caller, who knows the user, masks what is shown as a whole.
pub async fn read(link: &Link, large: &Large, queue: &str, id: &str) -> Result<Option<JobDetail>, ReadError> {
    let job = key(queue, id);
    let mut pipe = redis::pipe();
    pipe.cmd("TYPE").arg(&job);
    pipe.cmd("HLEN").arg(&job);
    locate::ask(&mut pipe, queue, id);
    pipe.cmd("GETRANGE").arg(below(&job, "lock")).arg(0).arg(299);
    pipe.cmd("PTTL").arg(below(&job, "lock"));
    pipe.cmd("SISMEMBER").arg(key(queue, "stalled")).arg(&*bytes_of(id));
    pipe.cmd("PTTL").arg(key(queue, "stalled-check"));
    pipe.cmd("SCARD").arg(below(&job, "dependencies"));
    pipe.cmd("HLEN").arg(below(&job, "processed"));
    pipe.cmd("ZCARD").arg(below(&job, "unsuccessful"));
    pipe.cmd("HLEN").arg(below(&job, "failed"));
    logs::measure(&mut pipe, &below(&job, "logs"));
    let replies = link.run(&mut pipe).await?;
    let kind = replies[0].as_ref().ok().and_then(reply::text).unwrap_or_default();
    let found = locate::find(link, queue, id, &replies[2..LOCK]).await?;
    let record = match kind.as_str() {
        "hash" => Record::read(link, &job, reply::count(&replies[1]).unwrap_or(0)).await?,
        _ => Record::default(),
    };
    let lock = lock(&replies[LOCK..]);
    if found.state.is_none() && lock.is_none() {
        let telling = TELLING.iter().any(|name| record.size(name).is_some());
        // A scheduler's definition looks like a job, but for its counter of iterations.
        if !telling || record.size("ic").is_some() {
            return Ok(None);
        }
    }
    let log = LogQuery {
        queue: queue.into(),
        job: id.to_owned(),
        from: None,
        limit: LOG_LINES,
        find: None,
    };
    let large_values = record.large(link, large, &job).await;
    let logs = logs::part(
        link,
        large,
        &below(&job, "logs"),
        &replies[LOG..],
        &log,
        LOG_BYTES,
        &Mask::nothing(),
    )
    .await;
    let dedup = dedup(link, queue, &record).await?;
    let carried = match found.state {
        Some(JobState::Completed | JobState::Failed) => None,
        _ => carried_schedule(link, queue, id, &record).await?,
    };
    let mut detail = assemble(id, &job, &kind, &record, large_values, found, lock, &replies);
    detail.dedup = dedup;
    detail.carries_schedule = carried;
    match logs {
        Ok(logs) => detail.logs = logs,
        Err(error) => detail.oddities.push(format!("The log could not be read: {error}")),
    }
    Ok(Some(detail))
}

/// An archived job as it would be shown in its queue.
pub(super) fn archived(raw: &RawJob) -> JobDetail {
    let record = Record::of(raw);
    let found = Found {
        state: Some(raw.state),
        exhaustive: true,
        ..Found::default()
    };
    let previews = LARGE.iter().filter_map(|name| {
        let bytes = raw.field(name).filter(|bytes| bytes.len() as u64 > VALUE_MAX)?;
        Some((*name, Ok(values::preview(name, bytes))))
    });
    // It holds no lock, and what it knew of its children is not asked for again.
    let replies: Vec<_> = (0..LOG).map(|_| Ok(Value::Nil)).collect();
    let mut detail = assemble(&raw.id, b"", "hash", &record, previews.collect(), found, None, &replies);
    let first = raw.logs.len().saturating_sub(LOG_LINES);
    let line = |(i, line): (usize, &Vec<u8>)| LogLine {
        n: i as u64 + 1,
        text: values::head(line, LOG_LINE),
        size: (line.len() > LOG_LINE).then_some(line.len() as u64),
    };
    detail.logs = LogPage {
        total: raw.logs.len() as u64,
        lines: raw.logs.iter().enumerate().skip(first).map(line).collect(),
        search: None,
    };
    let members = |name: &str, each: usize| {
        let part = raw.parts.iter().find(|part| part.name == name);
        part.map_or(0, |part| (part.items.len() / each) as u64)
    };
    let children = Children {
        pending: members("dependencies", 1),
        completed: members("processed", 2),
        failed: members("unsuccessful", 2),
        ignored: members("failed", 2),
    };
    detail.children = (children.total() > 0).then_some(children);
    detail
}

fn lock(replies: &[RedisResult<Value>]) -> Option<Lock> {
    let token = replies[0]
        .as_ref()
        .ok()
        .and_then(reply::text)
        .filter(|token| !token.is_empty())?;
    let holder = token.rsplit_once(':').map_or(token.as_str(), |(worker, _)| worker);
    Some(Lock {
        holder: holder.to_owned(),
        ttl: replies[1].as_ref().ok().and_then(reply::int).filter(|ms| *ms >= 0),
    })
}

async fn dedup(link: &Link, queue: &str, record: &Record) -> Result<Option<Dedup>, Trouble> {
    let Some(id) = record.value("deid").and_then(reply::exact).filter(|id| !id.is_empty()) else {
        return Ok(None);
    };
    let holder = key(queue, &format!("de:{id}"));
    let mut pipe = redis::pipe();
    pipe.cmd("GETRANGE").arg(&holder).arg(0).arg(299);
    pipe.cmd("PTTL").arg(&holder);
    let replies = link.run(&mut pipe).await?;
    Ok(Some(Dedup {
        id,
        owner: replies[0]
            .as_ref()
            .ok()
            .and_then(reply::text)
            .filter(|owner| !owner.is_empty()),
        ttl: replies[1].as_ref().ok().and_then(reply::int).filter(|ms| *ms >= 0),
    }))
}

/// The schedule whose next job this is, as the job names it: BullMQ in a field, Bull among the options.
async fn carried_schedule(link: &Link, queue: &str, id: &str, record: &Record) -> Result<Option<String>, Trouble> {
    let due = id.strip_prefix("repeat:").and_then(|rest| rest.rsplit_once(':'));
    let Some(due) = due.and_then(|(_, due)| due.parse::<Millis>().ok()) else {
        return Ok(None);
    };
    let in_options = || {
        let options: serde_json::Value = serde_json::from_str(&record.text("opts")?).ok()?;
        options["repeat"]["key"].as_str().map(str::to_owned)
    };
    let Some(own) = record.value("rjk").and_then(reply::exact).or_else(in_options) else {
        return Ok(None);
    };
    let mut pipe = redis::pipe();
    pipe.cmd("ZSCORE").arg(key(queue, "repeat")).arg(&*bytes_of(&own));
    let replies = link.run(&mut pipe).await?;
    let next = replies[0].as_ref().ok().and_then(reply::int);
    Ok((next == Some(due)).then_some(own))
}

/// The state: where it was found, else what its own fields say.
fn state_of(found: &Found, lock: Option<&Lock>, record: &Record) -> (JobState, Option<String>) {
    if let Some(state) = found.state {
        return (state, None);
    }
    if lock.is_some() {
        let note = "a worker holds its lock, but it was not found near the ends of any list: it is between two lists";
        return (JobState::Active, Some(note.into()));
    }
    let has = |name: &str| record.size(name).is_some_and(|size| size > 0);
    let state = match (has("finishedOn"), has("failedReason")) {
        (true, true) => JobState::Failed,
        (true, false) => JobState::Completed,
        _ => JobState::Waiting,
    };
    let note = match (&found.trouble, found.exhaustive) {
        (Some(trouble), _) => format!("inferred from its own fields: {trouble}"),
        (None, true) => "inferred from its own fields: it is in no list, so no worker will take it and nothing will clean it up, unless it is moving between two lists right now"
            .into(),
        (None, false) => {
            "inferred from its own fields: it was in none of the lists that can be searched quickly".into()
        }
    };
    (state, Some(note))
}

#[expect(clippy::too_many_arguments, reason = "the parts of one answer")]
fn assemble(
    id: &str,
    job: &[u8],
    kind: &str,
    record: &Record,
    large: Vec<(&'static str, Result<Preview, String>)>,
    found: Found,
    lock: Option<Lock>,
    replies: &[RedisResult<Value>],
) -> JobDetail {
    let (state, state_note) = state_of(&found, lock.as_ref(), record);
    let entry = Entry {
        id: id.to_owned(),
        score: found.score,
    };
    let mut row = base_row(&entry, state, &Mask::nothing(), |name| record.value(name));
    row.data_size = record.size("data").unwrap_or(0);
    let mut oddities = oddities(&text_of(job), kind, state, record, &found);
    for time in [&mut row.created, &mut row.started, &mut row.finished, &mut row.due] {
        *time = time.filter(|ms| is_moment(*ms));
    }
    let counts: Vec<u64> = replies[FAMILY..LOG]
        .iter()
        .map(|count| reply::count(count).unwrap_or(0))
        .collect();
    let children = Children {
        pending: counts[0],
        completed: counts[1],
        failed: counts[2],
        ignored: counts[3],
    };
    let options_text = record.text("opts");
    let options = options::read(
        options_text.as_deref(),
        options::Record {
            priority: record.int("priority"),
            delay: record.int("delay"),
            // A finished job has no next attempt.
            attempts: if matches!(state, JobState::Completed | JobState::Failed) {
                0
            } else {
                row.attempts.unwrap_or(0)
            },
        },
    );
    let has = |name: &str| record.size(name).is_some_and(|size| size > 0);
    let past = Past {
        created: row.created,
        delay: (options_text.is_some() && !options.odd).then_some(options.delay.unwrap_or(0)),
        retried: record.int("retriedOn").filter(|_| !has("processedOn")),
        lived: ["retriedOn", "processedOn", "pb"].into_iter().any(has)
            || ["attemptsMade", "atm", "ats", "stalledCounter", "stc"]
                .into_iter()
                .any(|name| record.int(name).is_some_and(|n| n > 0))
            || record.size("stacktrace").is_some_and(|size| size > 2)
            || children.total() > 0,
    };
    let waits = matches!(state, JobState::Waiting | JobState::Prioritized);
    let ready = past.ready().filter(|at| waits && *at <= now());
    if options.odd {
        oddities.push("Its options are not a JSON object: the library's defaults are shown.".into());
    }
    let Options {
        list,
        delay: first_delay,
        keep_logs,
        backoff,
        ..
    } = options;
    let mut payloads = LARGE.map(|name| record.payload(name));
    let mut traces = match record.bytes("stacktrace") {
        Some(bytes) => Traces::read(bytes),
        None => Traces::default(),
    };
    let traces_size = record.size("stacktrace").unwrap_or(0);
    if traces_size > PREVIEW_MAX {
        traces.note = Some(format!(
            "The stack traces take {}, too large to show.",
            format::bytes(traces_size)
        ));
    }
    for (name, preview) in large {
        let place = LARGE
            .iter()
            .position(|large| *large == name)
            .and_then(|i| payloads[i].as_mut());
        match (preview, place) {
            (Ok(Preview::Value(value)), Some(place)) => *place = value,
            (Ok(Preview::Traces(read)), _) => traces = read,
            (Err(why), _) if name == "stacktrace" => {
                traces.note = Some(format!("The stack traces could not be read: {why}."));
            }
            (Err(why), Some(place)) => place.note = Some(why),
            (_, None) => {}
        }
    }
    // A completed job's last attempt left no stack.
    let made = row.attempts.unwrap_or(0);
    traces.number(made.saturating_sub(u32::from(state == JobState::Completed)));
    let [data, options, result, error, _, progress, deferred_failure] = payloads;
    let active = state == JobState::Active;
    row.locked = active.then_some(lock.is_some());
    let lost = (active && lock.is_none()).then(|| lost_words(&replies[LOCK..], row.stalled));
    JobDetail {
        withheld: false,
        hidden_by: std::collections::BTreeMap::new(),
        state_known: found.state.is_some(),
        state_note,
        oddities,
        place: found.place,
        neighbours: match found.state {
            Some(_) => found.neighbours,
            None => Neighbours {
                unknown: Some("its place among the others is not known".into()),
                ..Neighbours::default()
            },
        },
        locked: row.locked,
        lock,
        lost,
        attempts_started: record.int("ats").and_then(|n| u32::try_from(n).ok()),
        backoff,
        deferred_failure: deferred_failure.filter(|failure| failure.size > 0),
        delay: record.int("delay"),
        first_delay,
        ready,
        data,
        options,
        effective: list,
        progress: progress.filter(|progress| progress.size > 0),
        result,
        error: error.filter(|error| error.size > 0),
        traces: traces.shown,
        traces_total: traces.total,
        traces_size,
        traces_note: traces.note,
        logs: LogPage::default(),
        keep_logs,
        dedup: None,
        carries_schedule: None,
        parent: record
            .value("parentKey")
            .and_then(reply::exact)
            .filter(|key| !key.is_empty()),
        children: (children.total() > 0).then_some(children),
        fields: fields(record),
        row,
        as_of: now(),
    }
}

/// What BullMQ does about an active job whose lock has run out.
fn lost_words(replies: &[RedisResult<Value>], stalled: u32) -> String {
    let marked = matches!(&replies[2], Ok(Value::Int(1)));
    let next: Option<Millis> = replies[3].as_ref().ok().and_then(reply::int).filter(|ms| *ms >= 0);
    let mut text = String::from("No worker holds its lock: its worker is lost, or is picking it up right now. ");
    match next {
        Some(ms) => {
            text += &format!("BullMQ's stalled check runs again in {}", format::span(ms));
            text += if marked {
                " and then puts it back in the waiting list."
            } else {
                ", marks it then, and puts it back in the waiting list at the check after that."
            };
        }
        None => text += "No worker has run BullMQ's stalled check lately: the job stays here until one does.",
    }
    if stalled > 0 {
        text +=
            " It was lost before; unless its workers allow more than one loss, the next check fails it permanently.";
    }
    text
}
