//! A page of jobs of one state.
//!
//! Sets with scores (everything but waiting and active) are paged by *key*: the cursor names the
//! last job of the page before, so that jobs that come and go do not shift the pages, and page
//! 10,000 costs what page 1 costs. Lists can only be paged by position; their pages are true for the
//! moment at which they were read, which the page says.

use super::super::redis::link::Link;
use super::super::redis::reply;
use super::super::{JobQuery, ReadError, Trouble};
use super::key;
use super::layout::is_marker;
use crate::model::job::{JobRow, ROW_NAME_MAX, cut};
use crate::model::page::{JobPageRows, Order};
use crate::model::state::JobState;
use crate::model::{Millis, now};
use crate::server::redact::Mask;
use redis::{RedisResult, Value};
use std::collections::HashMap;

/// Fields of unknown length that a row shows the beginning of. Above this many bytes a field is not
/// fetched: a row then says how large it is.
const ROW_FIELD_MAX: u64 = ROW_NAME_MAX;

/// Characters of a name shown in a row.
const ROW_NAME_CHARS: usize = 500;

/// Characters of an error shown in a row.
const ROW_ERROR_MAX: usize = 300;

/// An id of a page with its score, if its state has scores.
pub(super) struct Entry {
    pub(super) id: String,
    pub(super) score: Option<f64>,
}

/// Reads one page.
pub async fn page(link: &Link, query: &JobQuery, mask: &Mask) -> Result<JobPageRows, ReadError> {
    let found = entries(link, query).await?;
    Ok(JobPageRows {
        rows: rows(link, &query.queue, query.state, &found.entries, mask).await?,
        next: found.after(query.state, found.entries.len()),
        offset: Some(found.offset),
        total: found.total,
        searched: None,
        as_of: now(),
    })
}

/// The ids of a page.
pub(super) struct Found {
    pub(super) entries: Vec<Entry>,
    /// How many stand before them.
    pub(super) offset: u64,
    /// How many there are in all.
    pub(super) total: u64,
}

impl Found {
    /// The cursor that goes on behind the first `n` entries; `None` if nothing is there.
    pub(super) fn after(&self, state: JobState, n: usize) -> Option<String> {
        let last = self.entries.get(n.checked_sub(1)?)?;
        let passed = self.offset + n as u64;
        match state {
            _ if passed >= self.total => None,
            JobState::Waiting | JobState::Active => Some(format!("o{passed}")),
            _ => Some(format!("k{}:{}", last.score.unwrap_or_default(), last.id)),
        }
    }
}

/// Reads which jobs are on a page, and nothing of them.
pub(super) async fn entries(link: &Link, query: &JobQuery) -> Result<Found, ReadError> {
    match query.state {
        JobState::Waiting => positions(link, query, &["paused", "wait"]).await,
        JobState::Active => positions(link, query, &["active"]).await,
        _ => keyset(link, query).await,
    }
}

/// Where a page begins.
enum Start {
    Offset(u64),
    After { score: f64, id: String },
}

fn parse_cursor(cursor: Option<&str>) -> Result<Start, ReadError> {
    let Some(cursor) = cursor else {
        return Ok(Start::Offset(0));
    };
    if let Some(offset) = cursor.strip_prefix('o') {
        return offset.parse().map(Start::Offset).map_err(|_| ReadError::BadCursor);
    }
    let (score, id) = cursor
        .strip_prefix('k')
        .and_then(|rest| rest.split_once(':'))
        .ok_or(ReadError::BadCursor)?;
    Ok(Start::After {
        score: score.parse().map_err(|_| ReadError::BadCursor)?,
        id: id.to_owned(),
    })
}

/// The zset of a state.
pub(super) const fn zset(state: JobState) -> &'static str {
    match state {
        JobState::Prioritized => "prioritized",
        JobState::Delayed => "delayed",
        JobState::WaitingChildren => "waiting-children",
        JobState::Completed => "completed",
        JobState::Failed => "failed",
        JobState::Waiting => "wait",
        JobState::Active => "active",
        // The library has no such state, and no such key.
        JobState::Cancelled => "cancelled",
    }
}

/// A page of a set with scores.
async fn keyset(link: &Link, query: &JobQuery) -> Result<Found, ReadError> {
    let set = key(&query.queue, zset(query.state));
    let newest = query.order == Order::Newest;
    let (rank, range) = if newest {
        ("ZREVRANK", "ZREVRANGE")
    } else {
        ("ZRANK", "ZRANGE")
    };
    let start = parse_cursor(query.cursor.as_deref())?;
    let mut skip_until = None;
    let offset = match start {
        Start::Offset(offset) => offset,
        Start::After { score, id } => {
            let mut pipe = redis::pipe();
            pipe.cmd(rank).arg(&set).arg(&id);
            // How many come before that score, should the job itself be gone by now.
            pipe.cmd("ZCOUNT").arg(&set);
            if newest {
                pipe.arg(format!("({score}")).arg("+inf");
            } else {
                pipe.arg("-inf").arg(format!("({score}"));
            }
            let replies = link.run(&mut pipe).await?;
            match &replies[0] {
                Ok(Value::Int(rank)) => u64::try_from(*rank).unwrap_or(0) + 1,
                _ => {
                    skip_until = Some((score, id));
                    reply::count(&replies[1]).map_err(ReadError::Corrupt)?
                }
            }
        }
    };
    let mut pipe = redis::pipe();
    pipe.cmd("ZCARD").arg(&set);
    pipe.cmd(range)
        .arg(&set)
        .arg(offset)
        .arg(offset + query.limit as u64 - 1)
        .arg("WITHSCORES");
    let replies = link.run(&mut pipe).await?;
    let total = readable(query.state, &replies[0])?;
    let values = replies[1].as_ref().map_err(|e| ReadError::Corrupt(e.to_string()))?;
    let mut entries: Vec<Entry> = reply::items(values)
        .chunks_exact(2)
        .filter_map(|pair| {
            Some(Entry {
                id: reply::exact(&pair[0])?,
                score: reply::float(&pair[1]),
            })
        })
        .collect();
    let mut skipped = 0;
    if let Some((score, id)) = skip_until {
        // The cursor's job is gone: of the jobs with its very score, those that stood before it have
        // been shown. Redis orders equal scores by the bytes of the member.
        let before = |entry: &Entry| entry.score == Some(score) && if newest { entry.id > id } else { entry.id < id };
        let length = entries.len();
        entries.retain(|entry| !before(entry));
        skipped = (length - entries.len()) as u64;
    }
    Ok(Found {
        entries,
        offset: offset + skipped,
        total,
    })
}

fn readable(state: JobState, reply: &RedisResult<Value>) -> Result<u64, ReadError> {
    reply::count(reply)
        .map_err(|why| ReadError::Corrupt(format!("the key of the {} jobs cannot be read: {why}", state.label())))
}

/// A list without the markers that BullMQ 3 and 4 keep at its ends.
struct Part<'a> {
    list: &'a str,
    /// Jobs in it.
    length: u64,
    /// Markers before the head's and behind the tail's job.
    head: u64,
    tail: u64,
}

/// A page of one or two lists, one behind the other; in each the tail comes first in "next" order.
async fn positions(link: &Link, query: &JobQuery, lists: &[&str]) -> Result<Found, ReadError> {
    let Start::Offset(offset) = parse_cursor(query.cursor.as_deref())? else {
        return Err(ReadError::BadCursor);
    };
    let newest = query.order == Order::Newest;
    let mut parts = parts(link, query, lists).await?;
    if newest {
        parts.reverse();
    }
    let total = parts.iter().map(|part| part.length).sum();
    let mut pipe = redis::pipe();
    let (mut skip, mut want) = (offset, query.limit as u64);
    for part in &parts {
        // Beyond the end Redis would clamp the range and repeat the head of the list.
        let take = want.min(part.length.saturating_sub(skip));
        if take > 0 {
            let place = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
            pipe.cmd("LRANGE").arg(key(&query.queue, part.list));
            if newest {
                pipe.arg(place(part.head + skip))
                    .arg(place(part.head + skip + take) - 1);
            } else {
                pipe.arg(-place(part.tail + skip + take))
                    .arg(-place(part.tail + skip) - 1);
            }
            want -= take;
        }
        skip = skip.saturating_sub(part.length);
    }
    let mut entries = Vec::new();
    for reply in link.run(&mut pipe).await? {
        let value = reply.map_err(|e| ReadError::Corrupt(e.to_string()))?;
        let mut ids: Vec<String> = reply::items(&value).iter().filter_map(reply::exact).collect();
        if !newest {
            ids.reverse();
        }
        entries.extend(ids.into_iter().map(|id| Entry { id, score: None }));
    }
    Ok(Found { entries, offset, total })
}

async fn parts<'a>(link: &Link, query: &JobQuery, lists: &[&'a str]) -> Result<Vec<Part<'a>>, ReadError> {
    let mut pipe = redis::pipe();
    for list in lists {
        pipe.cmd("LLEN").arg(key(&query.queue, list));
        pipe.cmd("LINDEX").arg(key(&query.queue, list)).arg(0);
        pipe.cmd("LINDEX").arg(key(&query.queue, list)).arg(-1);
    }
    let replies = link.run(&mut pipe).await?;
    let mut parts = Vec::with_capacity(lists.len());
    for (list, replies) in lists.iter().zip(replies.chunks_exact(3)) {
        let length = readable(query.state, &replies[0])?;
        let marker = |reply: &RedisResult<Value>| {
            let id = reply.as_ref().ok().and_then(reply::text);
            u64::from(id.is_some_and(|id| is_marker(&id)))
        };
        let head = marker(&replies[1]);
        // The only element is at both ends.
        let tail = if length > head { marker(&replies[2]) } else { 0 };
        parts.push(Part {
            list,
            length: length.saturating_sub(head + tail),
            head,
            tail,
        });
    }
    Ok(parts)
}

/// Short fields every row needs; never long.
const SHORT: [&str; 14] = [
    "timestamp",
    "delay",
    "priority",
    "processedOn",
    "finishedOn",
    "atm",
    "attemptsMade",
    "stc",
    "stalledCounter",
    "pb",
    "rjk",
    "parentKey",
    "deid",
    "defa",
];

/// Fields that may be long: measured first, fetched only when short.
const LONG: [&str; 5] = ["name", "opts", "failedReason", "progress", "data"];

/// Reads the rows of a page in two round trips, whatever the jobs carry.
pub(super) async fn rows(
    link: &Link,
    queue: &str,
    state: JobState,
    entries: &[Entry],
    mask: &Mask,
) -> Result<Vec<JobRow>, Trouble> {
    // A job that overtook a marker has put it between two jobs: it takes a place in the list and is no row.
    let is_job = |entry: &&Entry| state != JobState::Waiting || !is_marker(&entry.id);
    let entries: Vec<&Entry> = entries.iter().filter(is_job).collect();
    let mut pipe = redis::pipe();
    for entry in &entries {
        let job = key(queue, &entry.id);
        pipe.cmd("HMGET").arg(&job).arg(&SHORT);
        for field in LONG {
            pipe.cmd("HSTRLEN").arg(&job).arg(field);
        }
        if state == JobState::Active {
            pipe.cmd("EXISTS").arg(key(queue, &format!("{}:lock", entry.id)));
        }
    }
    let first = link.run(&mut pipe).await?;
    let stride = 1 + LONG.len() + usize::from(state == JobState::Active);
    let mut pipe = redis::pipe();
    for (entry, replies) in entries.iter().zip(first.chunks_exact(stride)) {
        pipe.cmd("HMGET").arg(key(queue, &entry.id));
        for (field, size) in LONG[..4].iter().zip(&replies[1..]) {
            // A field that is too long is requested by a name that no hash has, which keeps the places in the answer.
            let fits = reply::count(size).is_ok_and(|size| size <= ROW_FIELD_MAX);
            pipe.arg(if fits { *field } else { "" });
        }
    }
    let second = link.run(&mut pipe).await?;
    Ok(entries
        .iter()
        .zip(first.chunks_exact(stride))
        .zip(&second)
        .map(|((entry, first), second)| row(entry, state, first, second, mask))
        .collect())
}

fn row(
    entry: &Entry,
    state: JobState,
    first: &[RedisResult<Value>],
    second: &RedisResult<Value>,
    mask: &Mask,
) -> JobRow {
    let mut fields: HashMap<&str, &Value> = HashMap::new();
    let mut problem = None;
    for (names, reply) in [(SHORT.as_slice(), &first[0]), (&LONG[..4], second)] {
        match reply {
            Ok(values) => fields.extend(names.iter().copied().zip(reply::items(values))),
            Err(error) => {
                problem = Some(format!("its record cannot be read: {}", reply::why(error)));
            }
        }
    }
    let sizes: Vec<u64> = first[1..=LONG.len()]
        .iter()
        .map(|size| reply::count(size).unwrap_or(0))
        .collect();
    if problem.is_none() && fields.values().all(|value| **value == Value::Nil) && sizes.iter().all(|size| *size == 0) {
        problem = Some("its record is missing: it was removed just now, evicted by Redis, or lost".into());
    }
    let mut row = base_row(entry, state, mask, |name| fields.get(name).copied());
    row.data_size = sizes[4];
    if sizes[0] > ROW_FIELD_MAX {
        row.name = format!("(a name of {} bytes)", sizes[0]);
    }
    if sizes[2] > ROW_FIELD_MAX {
        row.error = Some(format!("(an error text of {} bytes)", sizes[2]));
    }
    row.problem = problem.or(row.problem);
    row.locked = match first.get(1 + LONG.len()) {
        Some(Ok(Value::Int(n))) => Some(*n > 0),
        _ => None,
    };
    row
}

/// A row from the fields of a job's hash, wherever they were read. What a producer or a worker wrote into it is masked
/// before it is cut, and before any filter sees it.
pub(super) fn base_row<'a>(
    entry: &Entry,
    state: JobState,
    mask: &Mask,
    field: impl Fn(&str) -> Option<&'a Value>,
) -> JobRow {
    let text = |name: &str| field(name).and_then(reply::text).filter(|text| !text.is_empty());
    let int = |name: &str| field(name).and_then(reply::int);
    let small = |n: Option<i64>| n.map_or(0, |n| u32::try_from(n.max(0)).unwrap_or(u32::MAX));
    let options: Option<Options> = text("opts").and_then(|opts| serde_json::from_str(&opts).ok());
    let attempts_max = options.as_ref().and_then(|o| o.attempts).unwrap_or(1.0);
    let created = int("timestamp");
    let due = (state == JobState::Delayed).then(|| match entry.score {
        #[expect(clippy::cast_possible_truncation, reason = "a score holds at most 2^53, which fits")]
        Some(score) => (score / 4096.0).floor() as Millis,
        None => created.unwrap_or(0).saturating_add(int("delay").unwrap_or(0)),
    });
    JobRow {
        id: entry.id.clone(),
        name: text("name").map(|name| cut(&name, ROW_NAME_CHARS)).unwrap_or_default(),
        state,
        created,
        started: int("processedOn"),
        finished: int("finishedOn"),
        due,
        priority: int("priority").map_or(0, |p| u64::try_from(p).unwrap_or(0)),
        attempts: Some(small(int("attemptsMade").or_else(|| int("atm")))),
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped to u32 first"
        )]
        attempts_max: Some(attempts_max.clamp(1.0, f64::from(u32::MAX)) as u32),
        stalled: small(int("stalledCounter").or_else(|| int("stc"))),
        progress: text("progress").and_then(|json| mask.progress(&json)),
        error: text("failedReason").map(|text| mask.headline(&text, ROW_ERROR_MAX)),
        worker: text("pb"),
        scheduler: text("rjk"),
        data_size: 0,
        locked: None,
        put_away: false,
        problem: None,
    }
}

/// The options a row needs. Numbers are read as floats: producers write `3.0` too.
#[derive(serde::Deserialize)]
struct Options {
    attempts: Option<f64>,
}
