//! How many jobs each queue holds, and since when the next of it has been due.
//!
//! | state | is |
//! |---|---|
//! | waiting | what is due and not claimed |
//! | active | what is due and claimed |
//! | delayed | what is not due yet: deferred, or to be tried again |
//! | completed, failed | not known: results are stored by job id alone |

use super::super::redis::link::Link;
use super::super::{Head, QueueId, Reading, Trouble};
use super::Arq;
use super::capabilities::{NO_FINISHED, family};
use super::front::{Entry, Front, Seen, due, look};
use crate::model::Millis;
use crate::model::counts::Counts;
use crate::model::exact::bytes_of;
use crate::model::format;
use crate::model::state::JobState;
use crate::model::system::System;

/// Queues read in one pipeline.
const BATCH: usize = 50;

/// A score before this moment of 2001 is no time: an abort puts a job to the front with 1.
const TIMES: Millis = 1_000_000_000_000;

/// Counts the given queues.
pub(super) async fn read(arq: &Arq, queues: &[QueueId]) -> Result<Vec<Reading>, Trouble> {
    let mut readings = Vec::with_capacity(queues.len());
    for batch in queues.chunks(BATCH) {
        let fronts = look(&arq.link, batch).await?;
        for (queue, front) in batch.iter().zip(fronts) {
            // What cannot be read is there.
            if front.as_ref().map_or(true, |front| front.total > 0) {
                arq.known.note(queue);
            }
            readings.push(interpret(front, arq.known.holds(queue)));
        }
    }
    Ok(readings)
}

fn interpret(front: Seen, exists: bool) -> Reading {
    let (counts, reason) = match front {
        Ok(front) => (counts(&front), reason(&front)),
        Err(why) => (Counts::UNKNOWN, format!("Its jobs cannot be counted: {why}")),
    };
    Reading {
        counts,
        reason: Some(reason),
        // arq pauses no queue.
        paused: Some(false),
        version: None,
        system: System::Arq,
        family: family(),
        added: None,
        pushed: false,
        exists,
    }
}

fn counts(front: &Front) -> Counts {
    let mut counts = Counts::zero();
    for state in [JobState::Completed, JobState::Failed] {
        counts.set(state, None);
    }
    counts.set(JobState::Waiting, front.waiting());
    let claimed = front.claimed.len() as u64;
    counts.set(JobState::Active, Some(claimed).filter(|_| !front.cut));
    counts.set(JobState::Delayed, Some(front.total.saturating_sub(front.due)));
    counts
}

fn reason(front: &Front) -> String {
    let looked = format::count(front.looked);
    if front.cut {
        format!(
            "More jobs may be running than Drover looks for: how many of those that are due is not known. {NO_FINISHED}"
        )
    } else if front.looked < front.due {
        format!(
            "Running jobs are looked for among the {looked} that are due first, where workers take them. {NO_FINISHED}"
        )
    } else {
        NO_FINISHED.to_owned()
    }
}

/// The job of each queue that runs next.
pub(super) async fn heads(link: &Link, queues: &[QueueId]) -> Result<Vec<Vec<Head>>, Trouble> {
    let mut heads = Vec::with_capacity(queues.len());
    for batch in queues.chunks(BATCH) {
        let fronts = look(link, batch).await?;
        let mut pipe = redis::pipe();
        for (queue, front) in batch.iter().zip(&fronts) {
            for entry in front.iter().flat_map(|front| &front.next) {
                pipe.cmd("ZSCORE").arg(&*bytes_of(queue)).arg(&*bytes_of(&entry.id));
            }
        }
        let mut scores = link.run(&mut pipe).await?.into_iter();
        for front in &fronts {
            let next = front.iter().flat_map(|front| &front.next);
            // One that is not there any more has no claim because it has ended. Every answer is taken, to stay in step.
            let waits: Vec<&Entry> = next
                .filter(|entry| scores.next().and_then(|score| due(&score.ok()?)) == Some(entry.due))
                .collect();
            let head = |entry: &&Entry| Head {
                id: entry.id.clone(),
                created: None,
                ready: Some(entry.due).filter(|due| *due >= TIMES),
            };
            heads.push(waits.first().map(head).into_iter().collect());
        }
    }
    Ok(heads)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_not_zero() {
        let front = Front {
            total: 7_000,
            due: 6_000,
            looked: 5_000,
            cut: true,
            ..Front::default()
        };
        let read = interpret(Ok(front.clone()), true);
        for unknown in [
            JobState::Waiting,
            JobState::Active,
            JobState::Completed,
            JobState::Failed,
        ] {
            assert_eq!(read.counts.get(unknown), None, "{unknown}");
        }
        assert_eq!(read.counts.get(JobState::Delayed), Some(1_000));
        let whole = interpret(Ok(Front { cut: false, ..front }), true);
        assert_eq!(whole.counts.get(JobState::Waiting), Some(6_000));
        assert!(whole.reason.unwrap().contains("the 5,000 that are due first"));
        let refused = interpret(Err("no".into()), true);
        assert_eq!(refused.counts, Counts::UNKNOWN);
    }
}
