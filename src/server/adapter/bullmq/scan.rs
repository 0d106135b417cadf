//! What a choice among many jobs needs of each: its name, its error, its times and attempts.
//!
//! A tenth of what a row takes, so a selection of a hundred thousand jobs is a matter of a second.

use super::super::redis::link::Link;
use super::super::redis::reply;
use super::super::{JobQuery, ReadError, Trouble};
use super::key;
use super::layout::is_marker;
use super::list::{self, Entry, base_row};
use crate::model::job::{JobRow, ROW_NAME_MAX};
use crate::model::state::JobState;
use crate::server::redact::Mask;
use redis::Value;

/// Fields that are never long.
const SHORT: [&str; 4] = ["timestamp", "finishedOn", "attemptsMade", "atm"];

/// One page of jobs in brief, and where to go on.
pub(super) async fn page(
    link: &Link,
    query: &JobQuery,
    errors: bool,
    mask: &Mask,
) -> Result<(Vec<JobRow>, Option<String>), ReadError> {
    let found = list::entries(link, query).await?;
    let rows = brief(link, &query.queue, query.state, &found.entries, errors, mask).await?;
    let next = found.after(query.state, found.entries.len());
    let is_job = |row: &JobRow| query.state != JobState::Waiting || !is_marker(&row.id);
    Ok((rows.into_iter().filter(is_job).collect(), next))
}

/// These jobs in brief, in their order; with the errors of those that have one.
pub(super) async fn brief(
    link: &Link,
    queue: &str,
    state: JobState,
    entries: &[Entry],
    errors: bool,
    mask: &Mask,
) -> Result<Vec<JobRow>, Trouble> {
    let long: &[&str] = if errors { &["name", "failedReason"] } else { &["name"] };
    let keys: Vec<Vec<u8>> = entries.iter().map(|entry| key(queue, &entry.id)).collect();
    let mut pipe = redis::pipe();
    for job in &keys {
        pipe.cmd("HMGET").arg(job).arg(&SHORT);
        for field in long {
            pipe.cmd("HSTRLEN").arg(job).arg(*field);
        }
    }
    let first = link.run(&mut pipe).await?;
    let mut pipe = redis::pipe();
    for (job, replies) in keys.iter().zip(first.chunks_exact(1 + long.len())) {
        pipe.cmd("HMGET").arg(job);
        for (field, size) in long.iter().zip(&replies[1..]) {
            // What is too long to be shown in a row is not looked at: no hash has a field without a name.
            let fits = reply::count(size).is_ok_and(|size| size <= ROW_NAME_MAX);
            pipe.arg(if fits { *field } else { "" });
        }
    }
    let second = link.run(&mut pipe).await?;
    let rows = entries.iter().zip(first.chunks_exact(1 + long.len())).zip(&second);
    Ok(rows
        .map(|((entry, first), second)| {
            let of = |reply| match reply {
                Ok(value) => reply::items(value),
                Err(_) => &[] as &[Value],
            };
            let (short, texts) = (of(first[0].as_ref()), of(second.as_ref()));
            let mut row = base_row(entry, state, mask, |name| {
                let short = SHORT.iter().position(|field| *field == name).and_then(|i| short.get(i));
                short.or_else(|| {
                    let i = long.iter().position(|field| *field == name)?;
                    texts.get(i)
                })
            });
            // The text that is searched for may be behind what a row shows.
            row.name = texts.first().and_then(reply::text).unwrap_or_default();
            row
        })
        .collect())
}
