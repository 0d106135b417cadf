//! The data for the measurements.
//!
//! Written with Redis scripts in the exact key layout of BullMQ 6 (see `server::adapter::bullmq`), not by the library:
//! a million jobs take seconds this way, and the measured figures do not depend on the writer of a key. The load in
//! [`crate::load`] writes events in the same way.

use crate::Outcome;
use crate::process::{Redis, free_memory_mb};

/// How much data there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Queues.
    pub(crate) queues: u32,
    /// Completed jobs in each.
    pub(crate) completed: u32,
    /// Waiting jobs in each.
    pub(crate) waiting: u32,
    /// Failed jobs with [`PAYLOAD`] bytes of data, all in the first queue.
    pub(crate) failed: u32,
    /// Bytes of data of each completed job; a few if that is less.
    pub(crate) data: u32,
}

impl Shape {
    /// Queues with a few jobs each.
    pub(crate) const fn of(queues: u32) -> Self {
        Self {
            queues,
            completed: 20,
            waiting: 20,
            failed: 0,
            data: 0,
        }
    }

    /// The same, with failed jobs in the first.
    pub(crate) const fn failed(self, failed: u32) -> Self {
        Self { failed, ..self }
    }

    /// The same, with this many completed in each, of so many bytes.
    pub(crate) const fn completed(self, completed: u32, data: u32) -> Self {
        Self {
            completed,
            data,
            ..self
        }
    }

    /// The same, with this many waiting in each.
    pub(crate) const fn waiting(self, waiting: u32) -> Self {
        Self { waiting, ..self }
    }
}

/// Bytes of data that each failed job carries.
pub(crate) const PAYLOAD: usize = 2048;

/// Memory that a failed job takes in Redis, rounded up generously.
const FAILED_JOB_KB: u64 = 4;

/// Jobs written by one run of a script.
const BATCH: u32 = 2000;

/// `KEYS[1]` = the queue, `ARGV` = completed, waiting, now, bytes of data of a completed job.
const SEED_QUEUE: &str = r#"
local q, now = KEYS[1], tonumber(ARGV[3])
redis.call('HSET', q .. ':meta', 'opts.maxLenEvents', 10000, 'version', 'bullmq:6.7.0')
local completed, waiting = tonumber(ARGV[1]), tonumber(ARGV[2])
local body = string.rep('x', math.max(0, tonumber(ARGV[4] or 0) - 11))
local data = body == '' and '{}' or '{"body":"' .. body .. '"}'
for id = 1, completed + waiting do
    local key = q .. ':' .. id
    redis.call('HSET', key, 'name', 'send', 'data', data, 'opts', '{"attempts":3}', 'timestamp', now - 60000,
        'delay', 0, 'priority', 0)
    if id <= completed then
        -- As the library leaves them: the score is the moment that the record has.
        local finished = now - 40000 + math.floor(id / 4)
        redis.call('HSET', key, 'processedOn', now - 50000, 'finishedOn', finished, 'returnvalue', 'null', 'atm', 1, 'ats', 1)
        redis.call('ZADD', q .. ':completed', finished, id)
    else
        redis.call('LPUSH', q .. ':wait', id)
    end
end
redis.call('SET', q .. ':id', completed + waiting)
redis.call('XADD', q .. ':events', 'MAXLEN', '~', 10000, '*', 'event', 'drained')
"#;

/// `KEYS[1]` = the queue, `ARGV` = first id, last id, bytes of data, now.
const SEED_FAILED: &str = r#"
local q, first, last, now = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[4])
local data = '{"body":"' .. string.rep('x', tonumber(ARGV[3]) - 11) .. '"}'
local opts = '{"attempts":3,"backoff":{"type":"exponential","delay":1000}}'
for id = first, last do
    -- As the library leaves them: the score is the moment that the record has.
    local finished = now - 40000 + math.floor(id / 4)
    redis.call('HSET', q .. ':f' .. id, 'name', 'send', 'data', data, 'opts', opts, 'timestamp', now - 60000,
        'delay', 0, 'priority', 0, 'processedOn', now - 50000, 'finishedOn', finished, 'atm', 3, 'ats', 3,
        'failedReason', 'connect ECONNREFUSED 10.0.0.7:25', 'stacktrace', '["Error: connect ECONNREFUSED"]')
    redis.call('ZADD', q .. ':failed', finished, 'f' .. id)
end
"#;

/// The id of a queue on the board: its prefix and name.
pub(crate) fn queue(n: u32) -> String {
    format!("bull:queue-{n:03}")
}

/// The ids of the first `n` queues.
pub(crate) fn queues(n: u32) -> Vec<String> {
    (0..n).map(queue).collect()
}

/// A Redis and its contents.
#[derive(Debug, Default)]
pub(crate) struct Ground {
    redis: Option<Redis>,
    shape: Shape,
}

impl Ground {
    /// A Redis that holds at least this: the existing one where it fits, otherwise a new one.
    pub(crate) fn of(&mut self, shape: Shape) -> Outcome<&Redis> {
        let Shape { queues: have, .. } = self.shape;
        let grows = Shape {
            queues: shape.queues,
            ..self.shape
        } == shape
            && have <= shape.queues;
        if !(grows && self.redis.is_some()) {
            // The old one ends before the new one takes memory.
            self.redis = None;
            self.shape = Shape::default();
            let needed = 512 + u64::from(shape.failed) * FAILED_JOB_KB / 1024;
            let free = free_memory_mb()?;
            if free < needed {
                return Err(format!("needs {needed} MB of memory, and {free} MB are free").into());
            }
            self.redis = Some(Redis::start()?);
        }
        let redis = self.redis.as_ref().ok_or("no Redis")?;
        let seeded = self.shape.queues;
        seed(redis, seeded, shape, self.shape.failed)?;
        self.shape = shape;
        Ok(redis)
    }
}

fn now_ms() -> Outcome<u64> {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    Ok(u64::try_from(since.as_millis())?)
}

fn seed(redis: &Redis, from: u32, shape: Shape, failed: u32) -> Outcome<()> {
    let mut connection = redis.connection()?;
    let now = now_ms()?;
    let mut queues = redis::pipe();
    for n in from..shape.queues {
        queues
            .cmd("EVAL")
            .arg(SEED_QUEUE)
            .arg(1)
            .arg(queue(n))
            .arg(shape.completed)
            .arg(shape.waiting)
            .arg(now)
            .arg(shape.data)
            .ignore();
    }
    if from < shape.queues {
        queues.query::<()>(&mut connection)?;
    }
    let mut first = failed + 1;
    while first <= shape.failed {
        let last = (first + BATCH - 1).min(shape.failed);
        let mut command = redis::cmd("EVAL");
        command
            .arg(SEED_FAILED)
            .arg(1)
            .arg(queue(0))
            .arg(first)
            .arg(last)
            .arg(PAYLOAD)
            .arg(now);
        command.query::<()>(&mut connection)?;
        first = last + 1;
    }
    Ok(())
}

/// `KEYS[1]` = the queue, `ARGV` = first id, last id, now. Ids only: a list shows a hundred of them at a time.
const SEED_LONG: &str = r#"
local q, first, last, now = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
for id = first, last do
    redis.call('ZADD', q .. ':failed', now + id, id)
    redis.call('LPUSH', q .. ':wait', id)
end
"#;

/// A queue `bull:long` with this many waiting and as many failed jobs. Only the jobs on pages near the ends and in the
/// middle have records.
pub(crate) fn seed_long(redis: &Redis, jobs: u32) -> Outcome<()> {
    let needed = 512 + u64::from(jobs) / 5000;
    let free = free_memory_mb()?;
    if free < needed {
        return Err(format!("needs {needed} MB of memory, and {free} MB are free").into());
    }
    let mut connection = redis.connection()?;
    let now = now_ms()?;
    let queue = "bull:long";
    let mut command = redis::cmd("EVAL");
    command.arg(SEED_QUEUE).arg(1).arg(queue).arg(0).arg(0).arg(now);
    command.query::<()>(&mut connection)?;
    for first in (1..=jobs).step_by(100_000) {
        let mut command = redis::cmd("EVAL");
        command
            .arg(SEED_LONG)
            .arg(1)
            .arg(queue)
            .arg(first)
            .arg((first + 99_999).min(jobs))
            .arg(now);
        command.query::<()>(&mut connection)?;
    }
    let shown = [1..=400, jobs / 2 - 400..=jobs / 2 + 400, jobs - 400..=jobs];
    let mut pipe = redis::pipe();
    for id in shown.into_iter().flatten() {
        pipe.cmd("HSET").arg(format!("{queue}:{id}"));
        pipe.arg(&[
            "name",
            "send",
            "data",
            "{}",
            "opts",
            "{}",
            "failedReason",
            "no route",
            "timestamp",
        ])
        .arg(now);
        pipe.ignore();
    }
    pipe.query::<()>(&mut connection)?;
    Ok(())
}

/// Ten waiting jobs in a queue of their own, one of which carries this many bytes; returns the queue.
pub(crate) fn seed_large(redis: &Redis, bytes: usize) -> Outcome<String> {
    let mut connection = redis.connection()?;
    let queue = "bull:large".to_owned();
    let mut command = redis::cmd("EVAL");
    command.arg(SEED_QUEUE).arg(1).arg(&queue).arg(0).arg(10).arg(now_ms()?);
    command.query::<()>(&mut connection)?;
    let data = format!("{{\"body\":\"{}\"}}", "x".repeat(bytes - 11));
    redis::cmd("HSET")
        .arg(format!("{queue}:5"))
        .arg("data")
        .arg(data)
        .query::<()>(&mut connection)?;
    Ok(queue)
}
