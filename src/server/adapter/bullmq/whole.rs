//! Finished jobs whole: the hash, the log, and what children left, as bytes and nothing else.
//!
//! | key | what is read |
//! |---|---|
//! | `J` | all fields with their values |
//! | `J:logs` | all lines |
//! | `J:processed`, `J:failed`, `J:dependencies`, `J:unsuccessful` | what a parent knows of its children |
//!
//! The sizes of the keys are read first (`MEMORY USAGE`, or the lengths of the large fields where that is not allowed),
//! so that no answer is larger than [`BATCH_BYTES`] unless one job alone is. What is read in several commands may
//! change in between: the removal compares it as a whole.

use super::super::raw::{BATCH_BYTES, Brief, JOB_MAX, Part, RawJob, Whole};
use super::super::redis::link::Link;
use super::super::redis::reply;
use super::super::{QueueId, Trouble};
use super::record::LARGE;
use super::{below, key};
use crate::model::action::{Effect, Seen};
use crate::model::exact::{bytes_of, text_of};
use crate::model::format;
use crate::model::state::JobState;
use redis::{RedisResult, Value};

/// What a parent knows of its children.
pub(super) const PARTS: [&str; 4] = ["dependencies", "failed", "processed", "unsuccessful"];

/// Commands that measure one job.
const MEASURES: usize = 4;

/// What a job would take.
struct Measured {
    bytes: u64,
    /// Whether there is anything beside the record.
    more: bool,
}

/// [`Archiving::whole`](super::super::Archiving::whole).
pub async fn read(link: &Link, queue: &QueueId, jobs: &[(String, Seen)]) -> Result<Vec<Whole>, Trouble> {
    let mut all: Vec<Whole> = Vec::with_capacity(jobs.len());
    let mut wanted: Vec<(usize, JobState, Measured)> = Vec::new();
    let mut bytes = 0;
    for (i, measured) in measure(link, queue, jobs).await?.into_iter().enumerate() {
        match measured {
            Err(effect) => all.push(Whole::Not(effect)),
            Ok((state, measured)) => {
                bytes += measured.bytes;
                if bytes > BATCH_BYTES && !wanted.is_empty() {
                    break;
                }
                wanted.push((i, state, measured));
                // Its place, until it is read.
                all.push(Whole::Not(Effect::Gone));
            }
        }
    }
    if wanted.is_empty() {
        return Ok(all);
    }
    let mut pipe = redis::pipe();
    for (i, _, measured) in &wanted {
        let record = key(queue, &jobs[*i].0);
        pipe.cmd("HGETALL").arg(&record);
        if measured.more {
            pipe.cmd("LRANGE").arg(below(&record, "logs")).arg(0).arg(-1);
            pipe.cmd("SMEMBERS").arg(below(&record, "dependencies"));
            pipe.cmd("HGETALL").arg(below(&record, "failed"));
            pipe.cmd("HGETALL").arg(below(&record, "processed"));
            pipe.cmd("ZRANGE")
                .arg(below(&record, "unsuccessful"))
                .arg(0)
                .arg(-1)
                .arg("WITHSCORES");
        }
    }
    // A large answer may take longer than what a page waits for.
    let replies = link.read_long(&mut pipe).await?;
    let mut replies = replies.into_iter();
    for (i, state, measured) in wanted {
        let mut next = || replies.next().unwrap_or(Ok(Value::Nil));
        let record = next();
        let logs = if measured.more { next() } else { Ok(Value::Nil) };
        let parts: Vec<_> = PARTS
            .iter()
            .filter(|_| measured.more)
            .map(|name| (*name, next()))
            .collect();
        all[i] = match job(&jobs[i], state, record, logs, parts) {
            Ok(job) => Whole::Job(job),
            Err(effect) => Whole::Not(effect),
        };
    }
    Ok(all)
}

/// The state and the size of each job, or why it is not read.
async fn measure(
    link: &Link,
    queue: &QueueId,
    jobs: &[(String, Seen)],
) -> Result<Vec<Result<(JobState, Measured), Effect>>, Trouble> {
    let mut pipe = redis::pipe();
    for (id, _) in jobs {
        let record = key(queue, id);
        pipe.cmd("ZSCORE").arg(key(queue, "completed")).arg(&*bytes_of(id));
        pipe.cmd("ZSCORE").arg(key(queue, "failed")).arg(&*bytes_of(id));
        pipe.cmd("MEMORY").arg("USAGE").arg(&record).arg("SAMPLES").arg(0);
        pipe.cmd("EXISTS").arg(below(&record, "logs"));
        for part in PARTS {
            pipe.arg(below(&record, part));
        }
    }
    let replies = link.run(&mut pipe).await?;
    let mut all = Vec::with_capacity(jobs.len());
    for ((id, seen), replies) in jobs.iter().zip(replies.chunks(MEASURES)) {
        let [completed, failed, record, more] = replies else {
            break;
        };
        let is_in = |reply: &RedisResult<Value>| matches!(reply, Ok(value) if *value != Value::Nil);
        let state = match (is_in(completed), is_in(failed)) {
            (true, _) => JobState::Completed,
            (false, true) => JobState::Failed,
            (false, false) => {
                all.push(Err(elsewhere(link, queue, id).await?));
                continue;
            }
        };
        if let Some(wanted) = seen.state
            && wanted != state
        {
            all.push(Err(changed(&format!("It is {} now.", state.label()))));
            continue;
        }
        let mut bytes = match record {
            Ok(Value::Int(bytes)) => u64::try_from(*bytes).unwrap_or(0),
            Ok(_) => {
                all.push(Err(Effect::Gone));
                continue;
            }
            // Not allowed: the lengths of what can be large.
            Err(_) => lengths(link, &key(queue, id)).await?,
        };
        let more = !matches!(more, Ok(Value::Int(0)));
        if more {
            bytes += beside(link, &key(queue, id)).await?;
        }
        if bytes > JOB_MAX {
            all.push(Err(refused(format!(
                "It takes {}; jobs of up to {} can be archived. Save what you need of it with the store's own tools.",
                format::bytes(bytes),
                format::bytes(JOB_MAX)
            ))));
            continue;
        }
        all.push(Ok((state, Measured { bytes, more })));
    }
    Ok(all)
}

/// The effect on a job that is in neither set.
async fn elsewhere(link: &Link, queue: &QueueId, id: &str) -> Result<Effect, Trouble> {
    let mut pipe = redis::pipe();
    pipe.cmd("EXISTS").arg(key(queue, id));
    let there = link.run(&mut pipe).await?;
    Ok(match there.first() {
        Some(Ok(Value::Int(0))) => Effect::Gone,
        _ => changed("It is neither completed nor failed now."),
    })
}

/// The size of everything beside the record; zero where the server does not tell.
async fn beside(link: &Link, record: &[u8]) -> Result<u64, Trouble> {
    let mut pipe = redis::pipe();
    for name in std::iter::once("logs").chain(PARTS) {
        pipe.cmd("MEMORY")
            .arg("USAGE")
            .arg(below(record, name))
            .arg("SAMPLES")
            .arg(0);
    }
    let replies = link.run(&mut pipe).await?;
    Ok(replies.iter().filter_map(|reply| reply::count(reply).ok()).sum())
}

async fn lengths(link: &Link, record: &[u8]) -> Result<u64, Trouble> {
    let mut pipe = redis::pipe();
    for name in LARGE {
        pipe.cmd("HSTRLEN").arg(record).arg(name);
    }
    let replies = link.run(&mut pipe).await?;
    Ok(replies.iter().filter_map(|reply| reply::count(reply).ok()).sum())
}

/// Puts a job together.
fn job(
    (id, seen): &(String, Seen),
    state: JobState,
    record: RedisResult<Value>,
    logs: RedisResult<Value>,
    parts: Vec<(&str, RedisResult<Value>)>,
) -> Result<RawJob, Effect> {
    let unreadable = |what: &str| refused(format!("Its {what} cannot be read: the key has another type."));
    let mut fields = pairs(flat(record).ok_or_else(|| unreadable("record"))?);
    fields.sort_unstable();
    if fields.is_empty() {
        return Err(Effect::Gone);
    }
    let mut job = RawJob {
        id: id.clone(),
        state,
        finished_on: 0,
        attempts: 0,
        brief: Brief::default(),
        fields,
        logs: flat(logs).ok_or_else(|| unreadable("log"))?,
        parts: vec![],
    };
    for (name, reply) in parts {
        let items = flat(reply).ok_or_else(|| unreadable("list of children"))?;
        if items.is_empty() {
            continue;
        }
        let items = sorted(name, items);
        job.parts.push(Part {
            name: name.to_owned(),
            items,
        });
    }
    let number = |name: &str| {
        job.field(name)
            .and_then(|bytes| std::str::from_utf8(bytes).ok()?.parse::<i64>().ok())
    };
    let Some(finished_on) = number("finishedOn").filter(|at| *at >= 0) else {
        return Err(refused(
            "Its record has no finish time, so this run could not be distinguished from another one.".into(),
        ));
    };
    // As the guard of every action reads them.
    let attempts = number("attemptsMade").or_else(|| number("atm")).unwrap_or(0);
    let attempts = u64::try_from(attempts).unwrap_or(0);
    if seen.finished_on.is_some_and(|at| at != finished_on) {
        return Err(changed(&format!(
            "It is {} again, since another moment than the one shown.",
            state.label()
        )));
    }
    if seen.attempts.is_some_and(|seen| seen != attempts) {
        return Err(changed(&format!(
            "It is {}, and was tried again since it was shown.",
            state.label()
        )));
    }
    (job.finished_on, job.attempts) = (finished_on, attempts);
    job.brief = brief(&job);
    Ok(job)
}

/// Bytes kept of an error's first line.
const ERROR: usize = 2_048;

fn brief(job: &RawJob) -> Brief {
    let moment = |field: &str| std::str::from_utf8(job.field(field)?).ok()?.parse().ok();
    let line = |error: &[u8]| {
        let line = error.split(|byte| *byte == b'\n').next().unwrap_or_default();
        String::from_utf8_lossy(&line[..line.len().min(ERROR)]).into_owned()
    };
    Brief {
        name: text_of(job.field("name").unwrap_or_default()),
        created: moment("timestamp"),
        started: moment("processedOn"),
        error: job.field("failedReason").map(line),
    }
}

/// The elements of an answer as bytes; none of what is not there, `None` of what is something else.
fn flat(reply: RedisResult<Value>) -> Option<Vec<Vec<u8>>> {
    let values = match reply.ok()? {
        Value::Array(values) | Value::Set(values) => values,
        Value::Map(pairs) => pairs.into_iter().flat_map(|(name, value)| [name, value]).collect(),
        Value::Nil => vec![],
        _ => return None,
    };
    let bytes = |value| match value {
        Value::BulkString(bytes) => Some(bytes),
        Value::SimpleString(text) => Some(text.into_bytes()),
        Value::Int(n) => Some(n.to_string().into_bytes()),
        Value::Double(n) => Some(n.to_string().into_bytes()),
        _ => None,
    };
    values.into_iter().map(bytes).collect()
}

fn pairs(items: Vec<Vec<u8>>) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut items = items.into_iter();
    let mut pairs = Vec::with_capacity(items.len() / 2);
    while let (Some(name), Some(value)) = (items.next(), items.next()) {
        pairs.push((name, value));
    }
    pairs
}

/// In an order of their own: that of a hash or a set is not always the same.
fn sorted(name: &str, mut items: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    if name == "dependencies" {
        items.sort_unstable();
        return items;
    }
    let mut pairs = pairs(items);
    pairs.sort_unstable();
    pairs.into_iter().flat_map(|(name, value)| [name, value]).collect()
}

fn changed(now: &str) -> Effect {
    Effect::Changed { now: now.to_owned() }
}

fn refused(reason: String) -> Effect {
    Effect::Refused { reason }
}
