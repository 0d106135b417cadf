//! Which queues there are: sorted sets that hold jobs of arq, and names beside which a worker of arq has written its line.
//!
//! A queue may have any name, and an empty one has no key at all. So each sorted set is looked at once in a while: it is taken for a
//! queue if it is `arq:queue`, or if most of the members that are looked at are jobs of arq. An application may keep ids of jobs in a
//! set of its own: one whose jobs are in a queue that is known is none. A queue that was seen stays known for a day.

use super::super::redis::link::Link;
use super::super::redis::reply;
use super::super::redis::walk::{keys, keys_of};
use super::super::{FoundQueue, QueueId, Search, Trouble};
use super::{ABORT, Arq, HEALTH, IN_PROGRESS, JOB, capabilities, key};
use crate::model::exact::bytes_of;
use crate::model::system::System;
use redis::{RedisResult, Value};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The queue of applications that name none.
const DEFAULT: &str = "arq:queue";

/// Sets that are looked at in one round trip, and in one search.
const BATCH: usize = 100;
const LOOKED_AT: usize = 2_000;

/// Members that are looked at: some that are due first, whose payload may have expired, and some that are due last.
const LOW: i64 = 3;
const HIGH: i64 = 5;

/// How long a set that is no queue is not looked at again, and how many are remembered.
const REJECTED_FOR: Duration = Duration::from_secs(300);
const REJECTED_MAX: usize = 200_000;

/// How long a queue of which nothing is left stays known.
const KEPT: Duration = Duration::from_secs(24 * 3_600);

/// Queues in which jobs of another set are looked for.
const OTHERS: usize = 50;

/// Ends of the names of sorted sets of other libraries: members may be called like jobs of arq, and a user who may read them and
/// nothing of arq would be refused each.
const OF_OTHERS: [&str; 10] = [
    "unacked_index",
    ":completed",
    ":failed",
    ":delayed",
    ":prioritized",
    ":priority",
    ":repeat",
    ":waiting-children",
    ":marker",
    ":stalled",
];

/// What a search remembers for the next.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// When there was last something of a queue.
    seen: Mutex<HashMap<QueueId, Instant>>,
    /// Sets that are no queues, and those that our user may not read: each try is an entry in the server's `ACL LOG`.
    rejected: Mutex<HashMap<String, Instant>>,
}

impl Known {
    fn seen(&self) -> MutexGuard<'_, HashMap<QueueId, Instant>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rejected(&self) -> MutexGuard<'_, HashMap<String, Instant>> {
        self.rejected.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// There is something of this queue now.
    pub(super) fn note(&self, queue: &QueueId) {
        self.seen().insert(queue.clone(), Instant::now());
    }

    /// Whether there was something of it within a day.
    pub(super) fn holds(&self, queue: &QueueId) -> bool {
        self.seen().get(queue).is_some_and(|at| at.elapsed() < KEPT)
    }

    /// Other queues that there were within a day.
    pub(super) fn beside(&self, queue: &QueueId) -> Vec<QueueId> {
        let seen = self.seen();
        seen.keys()
            .filter(|other| *other != queue)
            .take(OTHERS)
            .cloned()
            .collect()
    }

    /// Forgets what is too long ago.
    fn tidy(&self) {
        self.seen().retain(|_, at| at.elapsed() < KEPT);
        self.rejected().retain(|_, at| at.elapsed() < REJECTED_FOR);
    }

    fn reject(&self, name: String) {
        let mut rejected = self.rejected();
        if rejected.len() < REJECTED_MAX {
            rejected.insert(name, Instant::now());
        }
    }
}

/// Finds queues that are not known yet. An empty queue leaves nothing, so none is said to be missing.
pub(super) async fn queues(arq: &Arq, known: &HashSet<QueueId>) -> Result<Search, Trouble> {
    let (mut sets, mut lines) = (BTreeSet::new(), BTreeSet::new());
    keys_of(&arq.link, "zset", |key| sets.extend(reply::exact(key))).await?;
    let pattern = format!("*{HEALTH}");
    keys(&arq.link, pattern.as_bytes(), |key| {
        lines.extend(reply::exact(key).and_then(|key| Some(key.strip_suffix(HEALTH)?.to_owned())));
    })
    .await?;
    for queue in known.iter().filter(|queue| lines.contains(queue.as_ref() as &str)) {
        arq.known.note(queue);
    }
    let new = |name: &String| !known.contains(name.as_str());
    arq.known.tidy();
    let lines = with_line(arq, lines.into_iter().filter(new).collect()).await?;
    let others: Vec<String> = known
        .iter()
        .map(ToString::to_string)
        .chain(lines.iter().cloned())
        .collect();
    let open = {
        let rejected = arq.known.rejected();
        let open = |name: &String| new(name) && !lines.contains(name) && !rejected.contains_key(name);
        sets.into_iter()
            .filter(|name| open(name) && may_be(name))
            .take(LOOKED_AT)
            .collect()
    };
    let sets = with_jobs(arq, open, &others).await?;
    Ok(Search {
        found: lines.into_iter().chain(sets).map(|name| found(arq, name)).collect(),
        missing: vec![],
    })
}

/// Of these ids, the queues of arq.
pub(super) async fn recognise(arq: &Arq, queues: &[QueueId]) -> Result<Vec<FoundQueue>, Trouble> {
    let names: Vec<String> = queues
        .iter()
        .map(ToString::to_string)
        .filter(|name| may_be(name))
        .collect();
    let sets = with_jobs(arq, names.clone(), &[]).await?;
    let rest = names.into_iter().filter(|name| !sets.contains(name)).collect();
    let lines = with_line(arq, rest).await?;
    Ok(sets.into_iter().chain(lines).map(|name| found(arq, name)).collect())
}

fn found(arq: &Arq, name: String) -> FoundQueue {
    let id: QueueId = name.as_str().into();
    arq.known.note(&id);
    FoundQueue {
        id,
        name,
        system: System::Arq,
        family: capabilities::family(),
    }
}

/// Whether a sorted set of this name can be a queue of arq.
fn may_be(name: &str) -> bool {
    name != ABORT && !OF_OTHERS.iter().any(|end| name.ends_with(end))
}

/// Those beside which there is a line of a worker.
async fn with_line(arq: &Arq, names: Vec<String>) -> Result<Vec<String>, Trouble> {
    let mut some = vec![];
    let closed = |name: &String| arq.known.rejected().contains_key(&format!("{name}{HEALTH}"));
    let names: Vec<String> = names.into_iter().filter(|name| !closed(name)).collect();
    for batch in names.chunks(BATCH) {
        let mut pipe = redis::pipe();
        for name in batch {
            pipe.cmd("GETRANGE").arg(key(name, HEALTH)).arg(0).arg(LINE_MAX);
        }
        let _turn = arq.link.rhythm().turn().await;
        for (name, line) in batch.iter().zip(arq.link.run(&mut pipe).await?) {
            match line.map(|line| reply::text(&line).unwrap_or_default()) {
                Ok(line) if line.is_empty() => {}
                Ok(line) if is_line(&line) => some.push(name.clone()),
                _ => arq.known.reject(format!("{name}{HEALTH}")),
            }
        }
    }
    Ok(some)
}

/// Bytes of a line that are read.
pub(super) const LINE_MAX: usize = 200;

/// Whether a worker of arq writes such a line.
pub(super) fn is_line(line: &str) -> bool {
    ["j_complete=", "j_failed=", "j_retried=", "j_ongoing=", "queued="]
        .iter()
        .all(|word| line.contains(word))
}

/// Those that hold jobs of arq.
async fn with_jobs(arq: &Arq, names: Vec<String>, others: &[String]) -> Result<Vec<String>, Trouble> {
    let mut some = vec![];
    for batch in names.chunks(BATCH) {
        let _turn = arq.link.rhythm().turn().await;
        let members = members(&arq.link, batch).await?;
        let jobs = jobs(&arq.link, &members).await?;
        for ((name, members), jobs) in batch.iter().zip(&members).zip(jobs) {
            let looked = members.as_ref().map_or(0, Vec::len);
            if is_queue(name, looked, jobs.len()) && !is_copy(&arq.link, name, &jobs, others).await? {
                some.push(name.clone());
            } else if looked > 0 || members.is_none() {
                arq.known.reject(name.clone());
            }
        }
    }
    Ok(some)
}

/// Whether a sorted set is a queue, of which so many members were looked at and so many are jobs.
fn is_queue(name: &str, looked: usize, jobs: usize) -> bool {
    looked > 0 && (name == DEFAULT || (jobs > 0 && jobs * 2 >= looked))
}

/// Some members of each set; `None` for what is no sorted set, or may not be read.
async fn members(link: &Link, names: &[String]) -> Result<Vec<Option<Vec<String>>>, Trouble> {
    let mut pipe = redis::pipe();
    for name in names {
        let name = bytes_of(name);
        pipe.cmd("ZRANGE").arg(&*name).arg(0).arg(LOW - 1);
        pipe.cmd("ZRANGE").arg(&*name).arg(-HIGH).arg(-1);
    }
    let replies = link.run(&mut pipe).await?;
    let ids = |reply: &RedisResult<Value>| -> Option<Vec<String>> {
        let items = reply::items(reply.as_ref().ok()?);
        Some(items.iter().filter_map(reply::exact).collect())
    };
    let both = replies.chunks_exact(2).map(|pair| {
        let all: BTreeSet<String> = ids(&pair[0])?.into_iter().chain(ids(&pair[1])?).collect();
        Some(all.into_iter().collect())
    });
    Ok(both.collect())
}

/// Of some members of each set, those that are jobs of arq, or run.
async fn jobs(link: &Link, members: &[Option<Vec<String>>]) -> Result<Vec<Vec<String>>, Trouble> {
    let mut pipe = redis::pipe();
    for id in members.iter().flatten().flatten() {
        pipe.cmd("EXISTS").arg(key(JOB, id)).arg(key(IN_PROGRESS, id));
    }
    let mut replies = link.run(&mut pipe).await?.into_iter();
    let mut is_job = |_: &&String| matches!(replies.next(), Some(Ok(Value::Int(n))) if n > 0);
    let of = |members: &Option<Vec<String>>| members.iter().flatten().filter(&mut is_job).cloned().collect();
    Ok(members.iter().map(of).collect())
}

/// Whether the jobs of a set are in a queue that is known: then an application keeps their ids in it.
async fn is_copy(link: &Link, name: &str, jobs: &[String], others: &[String]) -> Result<bool, Trouble> {
    let Some(job) = jobs.last().filter(|_| name != DEFAULT) else {
        return Ok(false);
    };
    let mut pipe = redis::pipe();
    for other in std::iter::once(DEFAULT)
        .chain(others.iter().map(String::as_str))
        .take(OTHERS)
    {
        pipe.cmd("ZSCORE").arg(&*bytes_of(other)).arg(&*bytes_of(job));
    }
    let replies = link.run(&mut pipe).await?;
    Ok(replies
        .iter()
        .any(|reply| matches!(reply, Ok(score) if *score != Value::Nil)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_of_jobs_is_a_queue_and_a_set_of_others_is_none() {
        for (name, looked, jobs, wanted) in [
            ("arq:queue", 1, 0, true),
            ("arq:queue", 0, 0, false),
            ("mail", 8, 5, true),
            ("mail", 8, 3, false),
            ("mail", 1, 0, false),
        ] {
            assert_eq!(is_queue(name, looked, jobs), wanted, "{name} {looked} {jobs}");
        }
        for name in [
            "arq:abort",
            "bull:mail:delayed",
            "bull:mail:completed",
            "acme_unacked_index",
        ] {
            assert!(!may_be(name), "{name}");
        }
        assert!(may_be("arq:mail"));
    }

    #[test]
    fn only_a_line_of_a_worker_tells_of_a_queue() {
        assert!(is_line(
            "Nov-20 17:57:27 j_complete=4 j_failed=3 j_retried=5 j_ongoing=1 queued=2"
        ));
        assert!(!is_line("ok"));
        assert!(!is_line("j_complete=4"));
    }
}
