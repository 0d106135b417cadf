//! One job in full, however large it is: sizes are known before any byte is fetched.

use super::super::redis::link::Link;
use super::super::redis::reply;
use super::super::{ReadError, Trouble};
use super::list::{Entry, base_row, zset};
use super::{below, key};
use crate::model::job::{Children, Field, JobDetail, Logs, Payload};
use crate::model::now;
use crate::model::state::JobState;
use redis::{RedisResult, Value};
use std::collections::HashMap;

/// The largest value that is fetched whole. Beyond it the page says how large it is.
pub const VALUE_MAX: u64 = 256 * 1024;

/// Bytes of log fetched at most, and lines.
const LOG_BYTES: u64 = 256 * 1024;
const LOG_LINES: u64 = 200;

/// How far into a waiting list a job is looked for. A search without a bound would hold up the whole
/// server on a list of millions.
const SEARCH_MAX: usize = 10_000;

/// A hash with more fields than this is no job.
const FIELDS_MAX: u64 = 500;

/// Fields that have a place of their own on the page.
const PLACED: [&str; 20] = [
    "name",
    "data",
    "opts",
    "timestamp",
    "delay",
    "priority",
    "processedOn",
    "finishedOn",
    "progress",
    "returnvalue",
    "failedReason",
    "stacktrace",
    "atm",
    "attemptsMade",
    "ats",
    "stc",
    "stalledCounter",
    "pb",
    "parentKey",
    "rjk",
];

/// Reads a job; `None` if nothing is stored under its key.
pub async fn read(link: &Link, queue: &str, id: &str) -> Result<Option<JobDetail>, ReadError> {
    let job = key(queue, id);
    let Some(names) = field_names(link, &job).await? else {
        return Ok(None);
    };
    let mut pipe = redis::pipe();
    for name in &names {
        pipe.cmd("HSTRLEN").arg(&job).arg(name);
    }
    let sizes: Vec<u64> = link
        .run(&mut pipe)
        .await?
        .iter()
        .map(|size| reply::count(size).unwrap_or(0))
        .collect();
    let mut pipe = redis::pipe();
    pipe.cmd("HMGET").arg(&job);
    for (name, size) in names.iter().zip(&sizes) {
        pipe.arg(if *size <= VALUE_MAX { name.as_str() } else { "" });
    }
    whereabouts(&mut pipe, queue, id);
    family(&mut pipe, &job);
    let replies = link.run(&mut pipe).await?;
    let values = replies[0].as_ref().map_err(|e| ReadError::Corrupt(e.to_string()))?;
    let fields: HashMap<&str, (&Value, u64)> = names
        .iter()
        .map(String::as_str)
        .zip(reply::items(values).iter().zip(sizes.iter().copied()))
        .collect();
    let found = locate(&replies[1..=WHEREABOUTS], &fields);
    let logs = logs(link, &job, &replies[1 + WHEREABOUTS..]).await?;
    Ok(Some(assemble(
        id,
        &names,
        &fields,
        &found,
        logs,
        &replies[1 + WHEREABOUTS..],
    )))
}

/// The names of the hash's fields; `None` if there is no hash.
async fn field_names(link: &Link, job: &[u8]) -> Result<Option<Vec<String>>, ReadError> {
    let mut pipe = redis::pipe();
    pipe.cmd("HLEN").arg(job);
    let length = link.run(&mut pipe).await?;
    let fields = match &length[0] {
        Ok(_) => reply::count(&length[0]).unwrap_or(0),
        Err(error) if error.code() == Some("WRONGTYPE") => return Ok(None),
        Err(error) => return Err(ReadError::Corrupt(error.to_string())),
    };
    match fields {
        0 => return Ok(None),
        n if n > FIELDS_MAX => {
            return Err(ReadError::Corrupt(format!(
                "a hash with {n} fields is stored where this job should be"
            )));
        }
        _ => {}
    }
    let mut pipe = redis::pipe();
    pipe.cmd("HKEYS").arg(job);
    let names = link.run(&mut pipe).await?;
    let names = names[0].as_ref().map_err(|e| ReadError::Corrupt(e.to_string()))?;
    Ok(Some(reply::items(names).iter().filter_map(reply::exact).collect()))
}

/// The states whose sets know their members at once.
const SCORED: [JobState; 5] = [
    JobState::Completed,
    JobState::Failed,
    JobState::Delayed,
    JobState::Prioritized,
    JobState::WaitingChildren,
];

/// Commands sent by [`whereabouts`].
const WHEREABOUTS: usize = 10;

fn whereabouts(pipe: &mut redis::Pipeline, queue: &str, id: &str) {
    for state in SCORED {
        pipe.cmd("ZSCORE").arg(key(queue, zset(state))).arg(id);
    }
    pipe.cmd("EXISTS").arg(key(queue, &format!("{id}:lock")));
    pipe.cmd("LPOS")
        .arg(key(queue, "active"))
        .arg(id)
        .arg("MAXLEN")
        .arg(SEARCH_MAX);
    // From the end that runs next, then from the other.
    pipe.cmd("LPOS")
        .arg(key(queue, "wait"))
        .arg(id)
        .arg("RANK")
        .arg(-1)
        .arg("MAXLEN")
        .arg(SEARCH_MAX);
    pipe.cmd("LPOS")
        .arg(key(queue, "wait"))
        .arg(id)
        .arg("MAXLEN")
        .arg(SEARCH_MAX);
    pipe.cmd("LPOS")
        .arg(key(queue, "paused"))
        .arg(id)
        .arg("RANK")
        .arg(-1)
        .arg("MAXLEN")
        .arg(SEARCH_MAX);
}

struct Found {
    state: JobState,
    /// False when the state is inferred from the job's own fields.
    certain: bool,
    score: Option<f64>,
    locked: bool,
}

fn locate(replies: &[RedisResult<Value>], fields: &HashMap<&str, (&Value, u64)>) -> Found {
    let hit = |i: usize| matches!(&replies[i], Ok(value) if *value != Value::Nil);
    let locked = matches!(&replies[5], Ok(Value::Int(1)));
    let found = |state, certain, score| Found {
        state,
        certain,
        score,
        locked,
    };
    for (i, state) in SCORED.into_iter().enumerate() {
        if hit(i) {
            return found(state, true, replies[i].as_ref().ok().and_then(reply::float));
        }
    }
    if locked || hit(6) {
        return found(JobState::Active, hit(6), None);
    }
    if (7..WHEREABOUTS).any(hit) {
        return found(JobState::Waiting, true, None);
    }
    // In no list we looked at: it is on its way between two, or deep in a long list.
    let has = |name: &str| fields.contains_key(name);
    let state = match (has("finishedOn"), has("failedReason"), has("processedOn")) {
        (true, true, _) => JobState::Failed,
        (true, false, _) => JobState::Completed,
        _ => JobState::Waiting,
    };
    found(state, false, None)
}

/// What hangs on the job: log and children.
fn family(pipe: &mut redis::Pipeline, job: &[u8]) {
    pipe.cmd("LLEN").arg(below(job, "logs"));
    pipe.cmd("MEMORY").arg("USAGE").arg(below(job, "logs"));
    pipe.cmd("SCARD").arg(below(job, "dependencies"));
    pipe.cmd("HLEN").arg(below(job, "processed"));
    pipe.cmd("HLEN").arg(below(job, "failed"));
    pipe.cmd("ZCARD").arg(below(job, "unsuccessful"));
}

/// The newest lines, as many as are short enough together.
async fn logs(link: &Link, job: &[u8], family: &[RedisResult<Value>]) -> Result<Logs, Trouble> {
    let total = reply::count(&family[0]).unwrap_or(0);
    if total == 0 {
        return Ok(Logs::default());
    }
    // MEMORY USAGE is an estimate from a few lines and may be forbidden; then few lines are asked for.
    let bytes = reply::count(&family[1]).unwrap_or(LOG_BYTES * total / 20);
    let fit = LOG_BYTES / (bytes / total).max(1);
    let lines = fit.clamp(1, LOG_LINES).min(total);
    let mut pipe = redis::pipe();
    pipe.cmd("LRANGE")
        .arg(below(job, "logs"))
        .arg(-i64::try_from(lines).unwrap_or(1))
        .arg(-1);
    let replies = link.run(&mut pipe).await?;
    let lines: Vec<String> = match &replies[0] {
        Ok(value) => reply::items(value).iter().filter_map(reply::text).collect(),
        Err(_) => vec![],
    };
    Ok(Logs {
        total,
        first: total - (lines.len() as u64).min(total) + 1,
        lines,
    })
}

fn assemble(
    id: &str,
    names: &[String],
    fields: &HashMap<&str, (&Value, u64)>,
    found: &Found,
    logs: Logs,
    family: &[RedisResult<Value>],
) -> JobDetail {
    let payload = |name: &str| {
        fields.get(name).map(|(value, size)| Payload {
            size: *size,
            text: if *size <= VALUE_MAX { reply::text(value) } else { None },
        })
    };
    let text = |name: &str| {
        fields
            .get(name)
            .and_then(|(value, _)| reply::text(value))
            .filter(|t| !t.is_empty())
    };
    let entry = Entry {
        id: id.to_owned(),
        score: found.score,
    };
    let mut row = base_row(&entry, found.state, |name| fields.get(name).map(|(value, _)| *value));
    row.data_size = fields.get("data").map_or(0, |(_, size)| *size);
    row.locked = (found.state == JobState::Active).then_some(found.locked);
    let counts: Vec<u64> = family[2..]
        .iter()
        .map(|count| reply::count(count).unwrap_or(0))
        .collect();
    let children = counts.iter().any(|n| *n > 0).then(|| Children {
        pending: counts[0],
        completed: counts[1],
        failed: counts[2] + counts[3],
    });
    let traces_size = fields.get("stacktrace").map_or(0, |(_, size)| *size);
    JobDetail {
        locked: row.locked,
        row,
        state_known: found.certain,
        data: payload("data").unwrap_or_default(),
        options: payload("opts").unwrap_or_default(),
        result: payload("returnvalue"),
        error: payload("failedReason").filter(|error| error.size > 0),
        traces: text("stacktrace").map_or_else(Vec::new, |json| {
            serde_json::from_str(&json).unwrap_or_else(|_| vec![json.clone()])
        }),
        traces_too_large: (traces_size > VALUE_MAX).then_some(traces_size),
        logs,
        parent: text("parentKey"),
        children,
        other: names
            .iter()
            .filter(|name| !PLACED.contains(&name.as_str()))
            .filter_map(|name| {
                Some(Field {
                    name: name.clone(),
                    value: payload(name)?,
                })
            })
            .collect(),
        as_of: now(),
    }
}
