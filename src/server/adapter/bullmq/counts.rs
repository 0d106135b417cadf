//! How many jobs each queue holds.

use super::super::redis::link::Link;
use super::super::redis::reply;
use super::super::{Kept, QueueId, Reading, Trouble};
use super::channels::Channels;
use super::family::{Family, Layout};
use super::key;
use super::layout::signs::{GROUPS, JOBS_HASH};
use super::layout::{Layouts, is_marker};
use super::metrics::{self, Recorded};
use crate::model::Millis;
use crate::model::counts::Counts;
use crate::model::state::JobState;
use redis::{RedisResult, Value};

/// Commands sent for a queue of BullMQ 5 or 6 by [`read`]. All O(1): they cost the same at ten jobs and at
/// ten million, about 0.7 µs of the server's time each. Older layouts need up to four more.
pub const COMMANDS: usize = 10;

/// Queues read in one pipeline. Keeps one round trip below a few milliseconds of the server's time, so that no other
/// client waits behind it.
const BATCH: usize = 200;

/// Milliseconds of a minute.
const MINUTE: Millis = 60_000;

/// The states that are a set of their own, with its name.
const SETS: [(JobState, &str); 5] = [
    (JobState::Prioritized, "prioritized"),
    (JobState::Delayed, "delayed"),
    (JobState::WaitingChildren, "waiting-children"),
    (JobState::Completed, "completed"),
    (JobState::Failed, "failed"),
];

/// Counts all states of the given queues.
pub async fn read(
    link: &Link,
    layouts: &Layouts,
    channels: &Channels,
    queues: &[QueueId],
) -> Result<Vec<Reading>, Trouble> {
    let mut readings = Vec::with_capacity(queues.len());
    for batch in queues.chunks(BATCH) {
        let families = layouts.of(link, batch).await?;
        let mut pipe = redis::pipe();
        for (queue, family) in batch.iter().zip(&families) {
            for list in ["wait", "paused", "active"] {
                pipe.cmd("LLEN").arg(key(queue, list));
            }
            for (_, set) in SETS {
                pipe.cmd("ZCARD").arg(key(queue, set));
            }
            pipe.cmd("HMGET")
                .arg(key(queue, "meta"))
                .arg("paused")
                .arg("version")
                .arg("opts.maxLenEvents");
            pipe.cmd("EXISTS")
                .arg(others(family.layout).map(|name| key(queue, name)).collect::<Vec<_>>());
            match extra(family.layout) {
                Extra::OfBull => {
                    pipe.cmd("EXISTS").arg(key(queue, "meta-paused"));
                    pipe.cmd("GET").arg(key(queue, "id"));
                }
                Extra::ListEnds => {
                    for (list, end) in LIST_ENDS {
                        pipe.cmd("LINDEX").arg(key(queue, list)).arg(end);
                    }
                }
                Extra::Nothing => {}
            }
        }
        let replies = link.run(&mut pipe).await?;
        let mut rest = replies.as_slice();
        for (queue, mut family) in batch.iter().zip(families) {
            let extra = match extra(family.layout) {
                Extra::OfBull => 2,
                Extra::ListEnds => LIST_ENDS.len(),
                Extra::Nothing => 0,
            };
            let Some((own, next)) = rest.split_at_checked(COMMANDS + extra) else {
                break;
            };
            rest = next;
            let mut reading = interpret(own, family);
            let others = matches!(own[COMMANDS - 1], Ok(Value::Int(1..)));
            if others && family.layout.unsupported().is_none() {
                // Groups of jobs have appeared, or a job's id is the name of one of these keys.
                layouts.doubt(queue);
                let again = layouts.of(link, std::slice::from_ref(queue)).await?;
                family = again.first().copied().unwrap_or(family);
            }
            if let Some(why) = family.layout.unsupported() {
                reading = not_read(reading, family, why);
                reading.exists |= others;
            }
            reading.pushed = family.layout != Layout::Bull4 || channels.listening();
            layouts.compare(queue, reading.version.as_deref(), reading.paused);
            readings.push(reading);
        }
    }
    Ok(readings)
}

/// What is read beyond what all layouts have.
enum Extra {
    OfBull,
    ListEnds,
    Nothing,
}

const fn extra(layout: Layout) -> Extra {
    match layout {
        Layout::Bull4 => Extra::OfBull,
        Layout::BullMq3 | Layout::BullMq4 => Extra::ListEnds,
        _ => Extra::Nothing,
    }
}

/// Keys that queues of a supported library do not have; for an unsupported library also the keys that show that the
/// queue still exists.
fn others(layout: Layout) -> impl Iterator<Item = &'static str> {
    let more: &[&str] = match layout.unsupported() {
        Some(_) => &["id", JOBS_HASH],
        None => &[],
    };
    GROUPS.into_iter().chain(more.iter().copied())
}

/// The reading of a queue that Drover does not read.
fn not_read(reading: Reading, family: Family, why: &str) -> Reading {
    // A key that our user may not read is reported as for any other queue.
    let refused = reading.reason.filter(|reason| reason.ends_with("NOPERM"));
    Reading {
        counts: Counts::UNKNOWN,
        reason: Some(refused.unwrap_or_else(|| why.to_owned())),
        paused: None,
        added: None,
        system: family.layout.system(),
        family: family.into(),
        ..reading
    }
}

/// Where BullMQ 3 and 4 may keep a marker.
const LIST_ENDS: [(&str, i32); 4] = [("wait", 0), ("wait", -1), ("paused", 0), ("paused", -1)];

/// How many of the elements at the ends of two lists are markers. A list of one element has it at both.
fn markers(ends: &[RedisResult<Value>], wait: u64, paused: u64) -> u64 {
    let marker = |i: usize| {
        let end = ends.get(i).and_then(|end| end.as_ref().ok());
        end.and_then(reply::text).is_some_and(|id| is_marker(&id))
    };
    [(0, wait), (2, paused)]
        .into_iter()
        .map(|(first, length)| {
            let second = length > 1 && marker(first + 1);
            u64::from(marker(first)) + u64::from(second)
        })
        .sum()
}

fn interpret(replies: &[RedisResult<Value>], family: Family) -> Reading {
    let (common, extra) = replies.split_at(COMMANDS);
    let mut reason = None;
    let mut count = |name: &str, reply: &RedisResult<Value>| match reply::count(reply) {
        Ok(n) => Some(n),
        Err(why) => {
            reason.get_or_insert_with(|| format!("{name} cannot be counted: {why}"));
            None
        }
    };
    let mut counts = Counts::UNKNOWN;
    let lists = count("wait", &common[0]).zip(count("paused", &common[1]));
    let waiting = lists.map(|(wait, paused)| match family.layout {
        Layout::BullMq3 | Layout::BullMq4 => (wait + paused).saturating_sub(markers(extra, wait, paused)),
        _ => wait + paused,
    });
    counts.set(JobState::Waiting, waiting);
    counts.set(JobState::Active, count("active", &common[2]));
    for ((state, name), reply) in SETS.into_iter().zip(&common[3..]) {
        counts.set(state, count(name, reply));
    }
    let meta = common[8].as_ref().ok().map(reply::items);
    let field = |i: usize| meta.and_then(|fields| reply::text(fields.get(i)?));
    let bull = family.layout == Layout::Bull4;
    let added = bull.then(|| extra.get(1)?.as_ref().ok().and_then(reply::int)).flatten();
    let paused_key = match extra.first() {
        Some(Ok(Value::Int(n))) if bull => Some(*n > 0),
        _ => None,
    };
    Reading {
        exists: !counts.is_empty()
            || field(0).is_some()
            || field(1).is_some()
            || field(2).is_some()
            || meta.is_none()
            || added.is_some()
            || paused_key == Some(true),
        counts,
        reason,
        // Bull takes either sign for a pause.
        paused: if bull && paused_key != Some(false) {
            paused_key
        } else {
            meta.map(|_| field(0).is_some())
        },
        version: field(1),
        system: family.layout.system(),
        family: family.into(),
        added: added.and_then(|n| u64::try_from(n).ok()),
        pushed: true,
    }
}

/// Jobs finished per minute, from the times by which finished jobs are sorted.
///
/// Two O(log n) counts for each minute, in one pipeline. Where retention has removed them, from the metrics that workers may record.
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
    for kind in ["completed", "failed"] {
        metrics::ask(&mut pipe, queue, kind, minutes);
    }
    for end in &ends {
        for set in ["completed", "failed"] {
            pipe.cmd("ZCOUNT")
                .arg(key(queue, set))
                .arg(end - MINUTE)
                .arg(format!("({end}"));
        }
    }
    let replies = link.run(&mut pipe).await?;
    let Some((oldest, rest)) = replies.split_first() else {
        return Ok(vec![]);
    };
    let (recorded, counts) = rest.split_at(2 * metrics::COMMANDS);
    let (completed, failed) = recorded.split_at(metrics::COMMANDS);
    let (completed, failed) = (Recorded::read(completed), Recorded::read(failed));
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
                .map(|_| count(&pair[0]))
                .or_else(|| completed.minute(end - MINUTE / 2)),
            failed: count(&pair[1]).max(failed.minute(end - MINUTE / 2).unwrap_or(0)),
        })
        .collect())
}
