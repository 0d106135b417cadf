//! How many jobs each queue holds, and how long the next one has waited.

use super::super::redis::link::Link;
use super::super::redis::reply;
use super::super::{Kept, QueueId, Reading, Trouble};
use super::key;
use crate::model::Millis;
use crate::model::counts::Counts;
use crate::model::state::JobState;
use redis::{RedisResult, Value};

/// Commands sent for each queue by [`read`]. All O(1): they cost the same at ten jobs and at ten
/// million, about 0.7 µs of the server's time each.
pub const COMMANDS: usize = 9;

/// Queues read in one pipeline. Keeps one round trip below a few milliseconds of the server's time,
/// so that nobody else waits behind it.
const BATCH: usize = 200;

/// Milliseconds of a minute.
const MINUTE: Millis = 60_000;

/// Counts all states of the given queues.
pub async fn read(link: &Link, queues: &[QueueId]) -> Result<Vec<Reading>, Trouble> {
    let mut readings = Vec::with_capacity(queues.len());
    for batch in queues.chunks(BATCH) {
        let mut pipe = redis::pipe();
        for queue in batch {
            for list in ["wait", "paused", "active"] {
                pipe.cmd("LLEN").arg(key(queue, list));
            }
            for zset in ["prioritized", "delayed", "waiting-children", "completed", "failed"] {
                pipe.cmd("ZCARD").arg(key(queue, zset));
            }
            pipe.cmd("HMGET")
                .arg(key(queue, "meta"))
                .arg("paused")
                .arg("version")
                .arg("opts.maxLenEvents");
        }
        let replies = link.run(&mut pipe).await?;
        readings.extend(replies.chunks_exact(COMMANDS).map(interpret));
    }
    Ok(readings)
}

fn interpret(replies: &[RedisResult<Value>]) -> Reading {
    let [
        wait,
        paused,
        active,
        prioritized,
        delayed,
        children,
        completed,
        failed,
        meta,
    ] = replies
    else {
        unreachable!("the pipeline has {COMMANDS} commands for each queue");
    };
    let mut reason = None;
    let mut count = |name: &str, reply: &RedisResult<Value>| match reply::count(reply) {
        Ok(n) => Some(n),
        Err(why) => {
            reason.get_or_insert_with(|| format!("{name} cannot be counted: {why}"));
            None
        }
    };
    let mut counts = Counts::UNKNOWN;
    let waiting = count("wait", wait).zip(count("paused", paused)).map(|(a, b)| a + b);
    counts.set(JobState::Waiting, waiting);
    for (state, name, reply) in [
        (JobState::Active, "active", active),
        (JobState::Prioritized, "prioritized", prioritized),
        (JobState::Delayed, "delayed", delayed),
        (JobState::WaitingChildren, "waiting-children", children),
        (JobState::Completed, "completed", completed),
        (JobState::Failed, "failed", failed),
    ] {
        counts.set(state, count(name, reply));
    }
    let meta = meta.as_ref().ok().map(reply::items);
    let field = |i: usize| meta.and_then(|fields| reply::text(fields.get(i)?));
    Reading {
        exists: !counts.is_empty() || field(0).is_some() || field(1).is_some() || field(2).is_some() || meta.is_none(),
        counts,
        reason,
        paused: meta.map(|_| field(0).is_some()),
        version: field(1),
    }
}

/// When the job that runs next was created: the tail of the waiting list, or the first by priority.
pub async fn oldest_waiting(link: &Link, queues: &[QueueId]) -> Result<Vec<Option<Millis>>, Trouble> {
    let mut oldest = Vec::with_capacity(queues.len());
    for batch in queues.chunks(BATCH) {
        let mut pipe = redis::pipe();
        for queue in batch {
            pipe.cmd("LINDEX").arg(key(queue, "paused")).arg(-1);
            pipe.cmd("LINDEX").arg(key(queue, "wait")).arg(-1);
            pipe.cmd("ZRANGE").arg(key(queue, "prioritized")).arg(0).arg(0);
        }
        let heads = link.run(&mut pipe).await?;
        let mut pipe = redis::pipe();
        let mut asked = Vec::with_capacity(batch.len());
        for (queue, heads) in batch.iter().zip(heads.chunks_exact(3)) {
            let ids: Vec<String> = heads
                .iter()
                .filter_map(|reply| reply.as_ref().ok())
                .filter_map(|value| reply::text(reply::items(value).first().unwrap_or(value)))
                .collect();
            for id in &ids {
                pipe.cmd("HGET").arg(key(queue, id)).arg("timestamp");
            }
            asked.push(ids.len());
        }
        let mut stamps = link.run(&mut pipe).await?.into_iter();
        for n in asked {
            oldest.push(
                stamps
                    .by_ref()
                    .take(n)
                    .filter_map(|reply| reply::int(&reply.ok()?))
                    .min(),
            );
        }
    }
    Ok(oldest)
}

/// Jobs finished per minute, from the times by which finished jobs are sorted: two O(log n) counts for
/// each minute, in one pipeline.
pub async fn finished(link: &Link, queue: &QueueId, until: Millis, minutes: usize) -> Result<Vec<Kept>, Trouble> {
    let mut ends: Vec<Millis> = std::iter::successors(Some(until), |end| Some(end - MINUTE))
        .take(minutes)
        .collect();
    ends.reverse();
    let mut pipe = redis::pipe();
    pipe.cmd("ZRANGE")
        .arg(key(queue, "completed"))
        .arg(0)
        .arg(0)
        .arg("WITHSCORES");
    for end in &ends {
        for set in ["completed", "failed"] {
            pipe.cmd("ZCOUNT")
                .arg(key(queue, set))
                .arg(end - MINUTE)
                .arg(format!("({end}"));
        }
    }
    let replies = link.run(&mut pipe).await?;
    let Some((oldest, counts)) = replies.split_first() else {
        return Ok(vec![]);
    };
    // Retention by number or age removes the oldest: what lies before the oldest that is kept is not
    // "nothing completed" but "not known".
    let oldest = oldest
        .as_ref()
        .ok()
        .and_then(|pair| reply::float(reply::items(pair).get(1)?));
    let count = |reply| u32::try_from(reply::count(reply).unwrap_or(0)).unwrap_or(u32::MAX);
    Ok(ends
        .iter()
        .zip(counts.chunks_exact(2))
        .map(|(end, pair)| Kept {
            #[expect(clippy::cast_precision_loss, reason = "scores are doubles in Redis itself")]
            completed: oldest
                .filter(|oldest| *oldest <= (end - MINUTE) as f64)
                .map(|_| count(&pair[0])),
            failed: count(&pair[1]),
        })
        .collect())
}
