//! How much memory a queue takes, from a sample of its jobs.
//!
//! Three steps: the queue's states are counted and its own keys weighed; ids are taken from places
//! spread evenly over each state, a few neighbours at each; those jobs are weighed with what belongs
//! to them. `MEMORY USAGE` looks at [`FIELDS`] fields of a job's hash at most, which is all of them for
//! any job that BullMQ wrote: the default of five would meet the same five in every job, because a
//! process orders the fields of all hashes alike, and so miss the payload always or never.

use super::super::redis::link::Link;
use super::super::redis::{ask, reply};
use super::super::{QueueId, QueueWeight, StateWeight, Trouble};
use super::list::zset;
use super::{below, key};
use crate::model::state::JobState;
use crate::model::vitals::Answered;
use redis::{RedisResult, Value};

/// Fields or elements of a key that `MEMORY USAGE` looks at.
const FIELDS: u32 = 64;

/// Neighbours taken at each place of a state.
const NEIGHBOURS: u64 = 5;

/// Commands in one round trip: below a millisecond or two of the server's time.
const BATCH: usize = 400;

/// Ranges in one round trip. A place in the middle of a list of millions takes tens of microseconds.
const RANGES: usize = 20;

/// The queue's own keys.
const OWN: [&str; 16] = [
    "wait",
    "paused",
    "active",
    "priority",
    "prioritized",
    "delayed",
    "waiting-children",
    "completed",
    "failed",
    "events",
    "meta",
    "id",
    "marker",
    "repeat",
    "metrics:completed:data",
    "metrics:failed:data",
];

/// What belongs to a job beside its hash, by the state it is in. A parent's children are named in keys
/// of its own, which may be larger than itself.
const fn belongings(state: JobState) -> &'static [&'static str] {
    match state {
        JobState::WaitingChildren => &["logs", "dependencies", "processed"],
        JobState::Completed | JobState::Failed => &["logs", "processed"],
        _ => &["logs"],
    }
}

/// The most commands that weighing a queue with these many jobs by state takes.
pub fn cost(counts: impl Iterator<Item = (JobState, u64)>, sample: u32) -> u64 {
    let of_states: u64 = counts
        .map(|(state, jobs)| {
            let taken = jobs.min(u64::from(sample));
            // Waiting jobs may lie in two lists.
            taken.div_ceil(NEIGHBOURS) + 1 + taken * (2 + belongings(state).len() as u64)
        })
        .sum();
    OWN.len() as u64 + 8 + of_states
}

/// A list or set that holds the ids of a state's jobs.
struct Place {
    state: JobState,
    key: &'static str,
    jobs: u64,
}

/// Weighs one queue.
pub async fn weigh(link: &Link, queue: &QueueId, sample: u32) -> Result<Answered<QueueWeight>, Trouble> {
    let mut weight = QueueWeight::default();
    // One alone first: where it is refused, the server's log gets one refusal and not sixteen.
    let mut pipe = redis::pipe();
    pipe.cmd("MEMORY").arg("USAGE").arg(key(queue, OWN[0]));
    for list in ["wait", "paused", "active"] {
        pipe.cmd("LLEN").arg(key(queue, list));
    }
    let sets = [
        JobState::Prioritized,
        JobState::Delayed,
        JobState::WaitingChildren,
        JobState::Completed,
        JobState::Failed,
    ];
    for state in sets {
        pipe.cmd("ZCARD").arg(key(queue, zset(state)));
    }
    weight.commands += pipe.len() as u64;
    let replies = link.run(&mut pipe).await?;
    if let Some(Err(error)) = replies.first() {
        return Ok(ask::refusal(error, "+memory|usage"));
    }
    let count = |i: usize| {
        replies
            .get(i + 1)
            .and_then(|reply| reply::count(reply).ok())
            .unwrap_or(0)
    };
    let mut places = vec![
        place(JobState::Waiting, "wait", count(0)),
        place(JobState::Waiting, "paused", count(1)),
        place(JobState::Active, "active", count(2)),
    ];
    places.extend(
        sets.into_iter()
            .zip(3..)
            .map(|(state, i)| place(state, zset(state), count(i))),
    );
    places.retain(|place| place.jobs > 0);
    let mut pipe = redis::pipe();
    for own in &OWN[1..] {
        pipe.cmd("MEMORY").arg("USAGE").arg(key(queue, own));
    }
    weight.commands += pipe.len() as u64;
    let own = link.run(&mut pipe).await?;
    weight.structure = replies.iter().take(1).chain(&own).map(size).sum();

    let jobs = ids(link, queue, &places, sample, &mut weight.commands).await?;
    weights(link, queue, &places, jobs, &mut weight).await?;
    Ok(Answered::Known(weight))
}

const fn place(state: JobState, key: &'static str, jobs: u64) -> Place {
    Place { state, key, jobs }
}

/// The bytes of a key; a key that is not there has none.
fn size(reply: &RedisResult<Value>) -> u64 {
    reply
        .as_ref()
        .ok()
        .and_then(reply::int)
        .and_then(|n| u64::try_from(n).ok())
        .unwrap_or(0)
}

/// Ids of jobs at places spread over each list and set, with the state they are in.
async fn ids(
    link: &Link,
    queue: &QueueId,
    places: &[Place],
    sample: u32,
    commands: &mut u64,
) -> Result<Vec<(JobState, String)>, Trouble> {
    let mut ranges = Vec::new();
    for place in places {
        for (first, last) in spread(place.jobs, u64::from(sample), rand::random_range(0.0..1.0)) {
            ranges.push((place, first, last));
        }
    }
    let mut jobs = Vec::new();
    for batch in ranges.chunks(RANGES) {
        let mut pipe = redis::pipe();
        for (place, first, last) in batch {
            let range = match place.state {
                JobState::Waiting | JobState::Active => "LRANGE",
                _ => "ZRANGE",
            };
            pipe.cmd(range).arg(key(queue, place.key)).arg(first).arg(last);
        }
        *commands += pipe.len() as u64;
        for ((place, ..), reply) in batch.iter().zip(link.run(&mut pipe).await?) {
            let Ok(found) = reply else { continue };
            jobs.extend(
                reply::items(&found)
                    .iter()
                    .filter_map(reply::exact)
                    .map(|id| (place.state, id)),
            );
        }
    }
    Ok(jobs)
}

/// Ranges of positions, `want` in all, spread evenly over `total`; `shift`, from 0 to 1, moves them
/// within their share, so that two samples are not of the same jobs.
fn spread(total: u64, want: u64, shift: f64) -> Vec<(u64, u64)> {
    if total <= want {
        return vec![(0, total.saturating_sub(1))];
    }
    let groups = want.div_ceil(NEIGHBOURS).max(1);
    (0..groups)
        .map(|group| {
            let taken = NEIGHBOURS.min(want - group * NEIGHBOURS);
            let (begin, end) = (total * group / groups, total * (group + 1) / groups);
            let room = (end - begin).saturating_sub(taken);
            #[expect(
                clippy::cast_precision_loss,
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a place within the share, wherever exactly"
            )]
            let first = begin + (room as f64 * shift) as u64;
            (first, (first + taken).min(end) - 1)
        })
        .collect()
}

/// Weighs the jobs.
async fn weights(
    link: &Link,
    queue: &QueueId,
    places: &[Place],
    jobs: Vec<(JobState, String)>,
    weight: &mut QueueWeight,
) -> Result<(), Trouble> {
    let mut states: Vec<StateWeight> = Vec::new();
    for place in places {
        match states.iter_mut().find(|known| known.state == place.state) {
            Some(known) => known.jobs += place.jobs,
            None => states.push(StateWeight {
                state: place.state,
                jobs: place.jobs,
                weighed: 0,
                bytes: 0,
                payload: 0,
            }),
        }
    }
    // Five commands for a job at most.
    for batch in jobs.chunks(BATCH / 5) {
        let mut pipe = redis::pipe();
        for (state, id) in batch {
            let job = key(queue, id);
            pipe.cmd("HSTRLEN").arg(&job).arg("data");
            pipe.cmd("MEMORY").arg("USAGE").arg(&job).arg("SAMPLES").arg(FIELDS);
            for suffix in belongings(*state) {
                pipe.cmd("MEMORY")
                    .arg("USAGE")
                    .arg(below(&job, suffix))
                    .arg("SAMPLES")
                    .arg(FIELDS);
            }
        }
        weight.commands += pipe.len() as u64;
        let replies = link.run(&mut pipe).await?;
        let mut rest = replies.as_slice();
        for (state, id) in batch {
            let (of_job, after) = rest.split_at((2 + belongings(*state).len()).min(rest.len()));
            rest = after;
            let payload = of_job.first().and_then(|reply| reply::count(reply).ok()).unwrap_or(0);
            let hash = of_job.get(1).map_or(0, size);
            let Some(known) = states
                .iter_mut()
                .find(|known| known.state == *state)
                .filter(|_| hash > 0)
            else {
                // Gone since its id was read, or a marker that is no job.
                continue;
            };
            known.weighed += 1;
            known.bytes += of_job[1..].iter().map(size).sum::<u64>();
            known.payload += payload;
            weight.payloads.push((*state, id.clone(), payload));
        }
    }
    weight.states = states;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_spread_over_the_whole_and_never_twice() {
        assert_eq!(spread(3, 50, 0.5), [(0, 2)], "a small state is weighed whole");
        for shift in [0.0, 0.3, 0.999] {
            for (total, want) in [(51, 50), (1_000_000, 50), (60, 7), (9, 8)] {
                let ranges = spread(total, want, shift);
                let taken: u64 = ranges.iter().map(|(first, last)| last - first + 1).sum();
                assert!(taken <= want, "{total} {want}: {ranges:?}");
                assert!(taken + NEIGHBOURS > want, "{total} {want}: {ranges:?}");
                assert!(ranges.windows(2).all(|two| two[0].1 < two[1].0), "{ranges:?}");
                assert!(ranges.last().unwrap().1 < total, "{ranges:?}");
            }
        }
        let ranges = spread(1000, 50, 0.0);
        assert_eq!((ranges.len(), ranges[0], ranges[9]), (10, (0, 4), (900, 904)));
    }

    #[test]
    fn the_cost_is_known_before_it_is_paid() {
        let idle = cost(std::iter::empty(), 50);
        assert_eq!(idle, 24);
        let one = cost([(JobState::Waiting, 1_000_000)].into_iter(), 50);
        assert_eq!(one, 24 + 10 + 1 + 50 * 3);
        assert_eq!(
            one,
            cost([(JobState::Waiting, 50)].into_iter(), 50),
            "whatever the backlog"
        );
    }
}
