//! The failed jobs below a job, down through all its queues, a bounded number of them.
//!
//! Only below what has failed, or waits: what is past that goes on without its children, and would fail if one came back.

use super::super::super::flow::{FailedBelow, FlowJob, FlowState};
use super::super::super::redis::link::Link;
use super::super::super::redis::reply;
use super::super::super::{QueueId, ReadError, Trouble};
use super::super::{below as beside, key};
use super::{DEPTH_MAX, STEP_BYTES, Set, WHOLE_MAX, children_of, count_children, page, resolve, suffix};
use crate::model::action::Seen;
use crate::model::exact::{bytes_of, text_of};
use crate::model::flow::ChildKind;
use crate::model::job::Children;
use crate::model::state::JobState;
use redis::{RedisResult, Value};
use std::collections::HashSet;

/// Children that one walk reads at most: a few pipelines of a second in all.
const LOOKED_MAX: usize = 10_000;

/// Children asked about in one pipeline.
const BATCH: usize = 500;

/// Commands for each job asked about.
const COMMANDS: usize = 8;

/// In which order kinds of children are gone through: what is known to have failed first.
const KINDS: [ChildKind; 3] = [ChildKind::Failed, ChildKind::Ignored, ChildKind::Pending];

/// A walk under way.
struct Walk<'a> {
    link: &'a Link,
    known: &'a [QueueId],
    most: usize,
    /// Jobs that may still be asked about.
    left: usize,
    failed: usize,
    found: FailedBelow,
    /// Children of each job in `found`.
    children: Vec<Children>,
    met: HashSet<String>,
}

/// [`Flows::failed_below`](super::super::super::Flows::failed_below).
pub async fn below(
    link: &Link,
    queue: &QueueId,
    job: &str,
    known: &[QueueId],
    most: usize,
) -> Result<Option<FailedBelow>, ReadError> {
    let own = text_of(&key(queue, job));
    let mut top = look(link, &[Some((queue.to_string(), job.to_owned(), true))]).await?;
    let Some((top, children)) = top.pop().filter(|(top, _)| top.state != FlowState::Gone) else {
        return Ok(None);
    };
    let mut walk = Walk {
        link,
        known,
        most,
        left: LOOKED_MAX,
        failed: 0,
        found: FailedBelow {
            jobs: vec![top],
            unseen: 0,
        },
        children: vec![children],
        met: HashSet::from([own]),
    };
    // What is found is put behind, and its own children are gone through when it is its turn.
    let mut at = 0;
    while at < walk.found.jobs.len() {
        walk.expand(at).await?;
        at += 1;
    }
    Ok(Some(walk.found))
}

impl Walk<'_> {
    async fn expand(&mut self, at: usize) -> Result<(), ReadError> {
        let (node, children) = (&self.found.jobs[at], self.children[at]);
        if !matches!(node.state, FlowState::Failed | FlowState::Waits) {
            return Ok(());
        }
        let depth = node.depth + 1;
        let record = key(&node.queue, &node.id);
        for kind in KINDS {
            let total = kind.of(&children);
            if total == 0 {
                continue;
            }
            if self.failed >= self.most || depth as usize > DEPTH_MAX {
                // Whether any of the pending ones has failed is not known.
                self.found.jobs[at].cut |= kind != ChildKind::Pending;
                self.found.unseen += total;
                continue;
            }
            let set = Set {
                key: beside(&record, suffix(kind)),
                kind,
                total,
                average: STEP_BYTES / WHOLE_MAX,
            };
            let (mut from, mut seen) = (None, 0);
            loop {
                let limit = usize::try_from(WHOLE_MAX).unwrap_or(usize::MAX).min(self.left);
                if limit == 0 || self.failed >= self.most {
                    self.found.jobs[at].cut |= kind != ChildKind::Pending || self.failed >= self.most;
                    self.found.unseen += total.saturating_sub(seen);
                    break;
                }
                let (keys, next) = page(self.link, &set, from.as_deref(), limit).await?;
                seen += keys.len() as u64;
                self.left -= keys.len().min(self.left);
                self.take(at, depth, kind, keys).await?;
                from = next;
                if from.is_none() {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Takes in children of one kind: those that failed, and those that wait for others.
    async fn take(&mut self, parent: usize, depth: u32, kind: ChildKind, mut keys: Vec<String>) -> Result<(), Trouble> {
        keys.retain(|key| self.met.insert(key.clone()));
        for keys in keys.chunks(BATCH) {
            let places: Vec<_> = keys.iter().map(|key| resolve(key, self.known)).collect();
            let looked = look(self.link, &places).await?;
            for (key, (job, children)) in keys.iter().zip(looked) {
                let wanted = match job.state {
                    FlowState::Failed => true,
                    FlowState::Waits => children.total() > 0,
                    // It has failed its parent, and no action can run it again.
                    FlowState::Gone => kind == ChildKind::Failed,
                    FlowState::Other => false,
                };
                if !wanted {
                    continue;
                }
                if self.failed >= self.most {
                    self.found.jobs[parent].cut = true;
                    continue;
                }
                self.failed += usize::from(job.state != FlowState::Waits);
                let mut job = job;
                if job.id.is_empty() {
                    job.id.clone_from(key);
                }
                (job.parent, job.depth) = (Some(parent), depth);
                self.found.jobs.push(job);
                self.children.push(children);
            }
        }
        Ok(())
    }
}

/// What a retry needs to know of each job, in one round trip.
async fn look(link: &Link, places: &[Option<(String, String, bool)>]) -> Result<Vec<(FlowJob, Children)>, Trouble> {
    let mut pipe = redis::pipe();
    for place in places {
        let (queue, id) = place.as_ref().map_or(("", ""), |(queue, id, _)| (queue, id));
        let record = key(queue, id);
        pipe.cmd("EXISTS").arg(&record);
        pipe.cmd("ZSCORE").arg(key(queue, "failed")).arg(&*bytes_of(id));
        pipe.cmd("ZSCORE")
            .arg(key(queue, "waiting-children"))
            .arg(&*bytes_of(id));
        pipe.cmd("HMGET")
            .arg(&record)
            .arg(&["finishedOn", "attemptsMade", "atm"]);
        count_children(&mut pipe, &record);
    }
    let replies = link.run(&mut pipe).await?;
    let jobs = places.iter().zip(replies.chunks_exact(COMMANDS));
    Ok(jobs.map(|(place, replies)| one(place.clone(), replies)).collect())
}

fn one(place: Option<(String, String, bool)>, replies: &[RedisResult<Value>]) -> (FlowJob, Children) {
    let hit = |i: usize| matches!(&replies[i], Ok(value) if *value != Value::Nil);
    let fields = replies[3].as_ref().ok().map(reply::items).unwrap_or_default();
    let number = |i: usize| fields.get(i).and_then(reply::int);
    let state = match (matches!(replies[0], Ok(Value::Int(1))), hit(1), hit(2)) {
        (false, ..) => FlowState::Gone,
        (true, true, _) => FlowState::Failed,
        (true, false, true) => FlowState::Waits,
        (true, false, false) => FlowState::Other,
    };
    let (queue, id, known) = place.unwrap_or_default();
    let job = FlowJob {
        queue,
        id,
        known,
        parent: None,
        depth: 0,
        state,
        seen: Seen {
            state: (state == FlowState::Failed).then_some(JobState::Failed),
            finished_on: number(0),
            attempts: number(1).or_else(|| number(2)).and_then(|n| u64::try_from(n).ok()),
        },
        cut: false,
    };
    (job, children_of(&replies[4..8]))
}
