//! The jobs that run next, and since when they have been ready as their records tell.
//!
//! | a job that | is in its record | ready |
//! |---|---|---|
//! | was added without a delay | `timestamp` | since then |
//! | was added with a delay | `timestamp`, `delay` among the options; the field `delay` is 0 again | when the delay was over |
//! | was promoted by hand | the same, and the delay is not over yet | not known |
//! | was retried by hand | Bull: `retriedOn`. BullMQ: what its attempts left behind | `retriedOn`; else not known |
//! | failed, stalled or was put back | `processedOn`, attempts, a stack | not known |
//! | waited for children | what they left behind | not known |
//!
//! Two things leave no trace: a delay that was changed before it was over, and a retry of a completed job that resets its
//! attempts. Events tell of all of these; where the collector has heard of a job, its record is not read.

use super::super::redis::link::Link;
use super::super::redis::reply;
use super::super::{Head, Heard, QueueId, Trouble};
use super::layout::is_marker;
use super::{below, key};
use crate::model::Millis;
use crate::model::timeline::is_moment;
use redis::{RedisResult, Value};
use serde::Deserialize;

/// Queues read in one pipeline.
const BATCH: usize = 200;

/// Options longer than this are not read.
pub(super) const OPTIONS_MAX: u64 = 16 * 1024;

/// What of a job's record tells of the time before it became ready.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Past {
    /// When it was created.
    pub(super) created: Option<Millis>,
    /// The delay it was created with; `None` if that cannot be read.
    pub(super) delay: Option<Millis>,
    /// When it was last retried by hand.
    pub(super) retried: Option<Millis>,
    /// Whether it has run before, or waited for children.
    pub(super) lived: bool,
}

impl Past {
    /// Since when it has been ready; in the future for one whose delay was cut short.
    pub(super) fn ready(&self) -> Option<Millis> {
        if self.lived {
            return self.retried;
        }
        let due = self.created?.saturating_add(self.delay?.max(0));
        Some(due)
    }
}

/// The delay among the options of a job; `None` if these cannot be read.
pub(super) fn delay_of(options: &str) -> Option<Millis> {
    #[derive(Deserialize)]
    struct Options {
        delay: Option<f64>,
    }
    let options: Options = serde_json::from_str(options).ok()?;
    #[expect(clippy::cast_possible_truncation, reason = "casts to integers saturate")]
    Some(options.delay.unwrap_or(0.0) as Millis)
}

const FIELDS: [&str; 9] = [
    "timestamp",
    "retriedOn",
    "processedOn",
    "pb",
    "attemptsMade",
    "atm",
    "ats",
    "stalledCounter",
    "stc",
];

/// The keys that a job's children leave behind.
pub(super) const FAMILY: [&str; 4] = ["processed", "failed", "unsuccessful", "dependencies"];

/// The jobs that run next: the tails of the waiting lists, and the first by priority.
pub(super) async fn heads(link: &Link, queues: &[QueueId], heard: Heard<'_>) -> Result<Vec<Vec<Head>>, Trouble> {
    let mut all = Vec::with_capacity(queues.len());
    for batch in queues.chunks(BATCH) {
        let mut pipe = redis::pipe();
        for queue in batch {
            // Two each: the last may be a marker.
            pipe.cmd("LRANGE").arg(key(queue, "paused")).arg(-2).arg(-1);
            pipe.cmd("LRANGE").arg(key(queue, "wait")).arg(-2).arg(-1);
            pipe.cmd("ZRANGE").arg(key(queue, "prioritized")).arg(0).arg(0);
        }
        let replies = link.run(&mut pipe).await?;
        let ids = replies
            .chunks_exact(3)
            .map(|lists| lists.iter().filter_map(|list| last(list.as_ref().ok()?)));
        // `heard` is called once for each job: its answer may change meanwhile.
        let found: Vec<Vec<(String, bool)>> = batch
            .iter()
            .zip(ids)
            .map(|(queue, ids)| ids.map(|id| (id.clone(), heard(queue, &id))).collect())
            .collect();
        let unheard = |(queue, ids): (&QueueId, &Vec<(String, bool)>)| {
            let ids = ids.iter().filter(|(_, heard)| !heard);
            ids.map(|(id, _)| (queue.clone(), id.clone())).collect::<Vec<_>>()
        };
        let unheard: Vec<(QueueId, String)> = batch.iter().zip(&found).flat_map(unheard).collect();
        let mut pasts = pasts(link, &unheard).await?.into_iter();
        let mut head = |(id, heard): (String, bool)| {
            let past = match heard {
                true => Past::default(),
                false => pasts.next().unwrap_or_default(),
            };
            Head {
                id,
                created: past.created,
                ready: past.ready(),
            }
        };
        all.extend(
            found
                .into_iter()
                .map(|ids| ids.into_iter().map(&mut head).collect::<Vec<_>>()),
        );
    }
    Ok(all)
}

fn last(list: &Value) -> Option<String> {
    let mut ids = reply::items(list).iter().rev().filter_map(reply::exact);
    ids.find(|id| !is_marker(id))
}

/// What their records tell of these jobs.
async fn pasts(link: &Link, jobs: &[(QueueId, String)]) -> Result<Vec<Past>, Trouble> {
    const COMMANDS: usize = 4;
    let mut pipe = redis::pipe();
    for (queue, id) in jobs {
        let job = key(queue, id);
        pipe.cmd("HMGET").arg(&job).arg(&FIELDS);
        pipe.cmd("HSTRLEN").arg(&job).arg("stacktrace");
        pipe.cmd("HSTRLEN").arg(&job).arg("opts");
        pipe.cmd("EXISTS").arg(FAMILY.map(|name| below(&job, name)).as_slice());
    }
    let replies = link.run(&mut pipe).await?;
    let mut pasts: Vec<Past> = replies.chunks_exact(COMMANDS).map(past).collect();
    // The delay tells something only about a job that has done nothing yet.
    let sized = pasts.iter().zip(replies.chunks_exact(COMMANDS)).enumerate();
    let fits = |reply| reply::count(reply).is_ok_and(|size| (1..=OPTIONS_MAX).contains(&size));
    let wanted: Vec<usize> = sized
        .filter(|(_, (past, replies))| !past.lived && fits(&replies[2]))
        .map(|(i, _)| i)
        .collect();
    let mut pipe = redis::pipe();
    for i in &wanted {
        let (queue, id) = &jobs[*i];
        pipe.cmd("HGET").arg(key(queue, id)).arg("opts");
    }
    for (i, reply) in wanted.into_iter().zip(link.run(&mut pipe).await?) {
        pasts[i].delay = reply
            .ok()
            .as_ref()
            .and_then(reply::text)
            .and_then(|text| delay_of(&text));
    }
    Ok(pasts)
}

fn past(replies: &[RedisResult<Value>]) -> Past {
    let fields = replies[0].as_ref().ok().map(reply::items).unwrap_or_default();
    let at = |i: usize| fields.get(i).and_then(reply::int);
    let counts = |i: usize| at(i).is_some_and(|n| n > 0);
    let is_there = |i: usize| fields.get(i).is_some_and(|value| *value != Value::Nil);
    // "[]" is an empty list of stacks.
    let stacks = reply::count(&replies[1]).unwrap_or(0) > 2;
    let family = reply::count(&replies[3]).unwrap_or(0) > 0;
    Past {
        created: at(0).filter(|at| is_moment(*at)),
        delay: None,
        // An attempt after it leaves its start behind.
        retried: at(1).filter(|_| !is_there(2)),
        lived: is_there(1) || is_there(2) || is_there(3) || (4..FIELDS.len()).any(counts) || stacks || family,
    }
}

/// Whether a worker holds the lock on the first or the last active job of each queue.
pub(super) async fn held(link: &Link, queues: &[QueueId]) -> Result<Vec<bool>, Trouble> {
    let mut pipe = redis::pipe();
    for queue in queues {
        for end in [0, -1] {
            pipe.cmd("LINDEX").arg(key(queue, "active")).arg(end);
        }
    }
    let ends = link.run(&mut pipe).await?;
    let mut pipe = redis::pipe();
    for (queue, ends) in queues.iter().zip(ends.chunks_exact(2)) {
        let ids = ends.iter().filter_map(|end| end.as_ref().ok().and_then(reply::exact));
        let locks: Vec<Vec<u8>> = ids.map(|id| below(&key(queue, &id), "lock")).collect();
        // Of an empty list: a key that no job has.
        let none = || vec![key(queue, ":lock")];
        pipe.cmd("EXISTS").arg(if locks.is_empty() { none() } else { locks });
    }
    let locks = link.run(&mut pipe).await?;
    Ok(locks.iter().map(|reply| reply::count(reply).unwrap_or(0) > 0).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_ready_when_its_delay_is_over_and_not_since_it_was_created() {
        let fresh = Past {
            created: Some(1_000),
            delay: Some(0),
            ..Past::default()
        };
        assert_eq!(fresh.ready(), Some(1_000));
        let delayed = Past {
            delay: Some(3_602_000),
            ..fresh
        };
        assert_eq!(delayed.ready(), Some(3_603_000));
        let unread = Past { delay: None, ..fresh };
        assert_eq!(unread.ready(), None, "its options are too large to be read");
        let retried = Past { lived: true, ..fresh };
        assert_eq!(retried.ready(), None, "the time of a retry is not written down");
        let of_bull = Past {
            retried: Some(9_000),
            ..retried
        };
        assert_eq!(of_bull.ready(), Some(9_000));
    }

    #[test]
    fn delays_are_read_as_every_library_writes_them() {
        for (options, delay) in [
            ("{}", Some(0)),
            (r#"{"delay":3602000,"attempts":0}"#, Some(3_602_000)),
            (r#"{"delay":2.5}"#, Some(2)),
            (r#"{"delay":null}"#, Some(0)),
            ("not json", None),
            (r#"{"delay":"soon"}"#, None),
        ] {
            assert_eq!(delay_of(options), delay, "{options}");
        }
    }
}
