//! Jobs that come and go at a steady pace, with the time of each change.
//!
//! Each step of a job's life is one script, as in BullMQ: keys change and the event is written in the same moment. A
//! life has five steps and six events: it is added (`added`, `waiting`), taken (`active`), reports progress twice, and
//! completes. The load runs on a thread and a connection of its own, so that the clients do not affect its pace.

use crate::Outcome;
use crate::measure::{Samples, float, micros};
use crate::process::Redis;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

const ADD: &str = r#"
local q, now = KEYS[1], ARGV[1]
local id = redis.call('INCR', q .. ':id')
redis.call('HSET', q .. ':' .. id, 'name', 'send', 'data', '{"to":"someone"}', 'opts', '{"attempts":3}', 'timestamp', now,
    'delay', 0, 'priority', 0)
redis.call('XADD', q .. ':events', '*', 'event', 'added', 'jobId', id, 'name', 'send')
redis.call('LPUSH', q .. ':wait', id)
redis.call('XADD', q .. ':events', 'MAXLEN', '~', 10000, '*', 'event', 'waiting', 'jobId', id)
return tostring(id)
"#;

const TAKE: &str = r#"
local q, now = KEYS[1], ARGV[1]
local id = redis.call('RPOPLPUSH', q .. ':wait', q .. ':active')
redis.call('XADD', q .. ':events', '*', 'event', 'active', 'jobId', id, 'prev', 'waiting')
redis.call('HSET', q .. ':' .. id, 'processedOn', now)
return id
"#;

const PROGRESS: &str = r#"
local q, sent, id = KEYS[1], ARGV[2], ARGV[3]
redis.call('HSET', q .. ':' .. id, 'progress', sent)
redis.call('XADD', q .. ':events', 'MAXLEN', '~', 10000, '*', 'event', 'progress', 'jobId', id, 'data', sent)
return id
"#;

const COMPLETE: &str = r#"
local q, now, id = KEYS[1], ARGV[1], ARGV[3]
redis.call('LREM', q .. ':active', -1, id)
redis.call('ZADD', q .. ':completed', now, id)
redis.call('HSET', q .. ':' .. id, 'finishedOn', now, 'returnvalue', 'null')
redis.call('XADD', q .. ':events', 'MAXLEN', '~', 10000, '*', 'event', 'completed', 'jobId', id, 'returnvalue', 'null', 'prev', 'active')
return id
"#;

const LONE: &str = r#"
local q, now = KEYS[1], ARGV[1]
local id = redis.call('INCR', q .. ':id')
redis.call('HSET', q .. ':' .. id, 'name', 'send', 'data', '{}', 'opts', '{}', 'timestamp', now, 'finishedOn', now)
redis.call('ZADD', q .. ':completed', now, id)
redis.call('XADD', q .. ':events', 'MAXLEN', '~', 10000, '*', 'event', 'completed', 'jobId', id, 'returnvalue', 'null')
"#;

/// The steps of a life, in order.
const STEPS: [&str; 5] = [ADD, TAKE, PROGRESS, PROGRESS, COMPLETE];

/// Events that a life of [`STEPS`] writes.
const EVENTS: usize = 6;

/// The step that changes the number of completed jobs.
const COMPLETES: usize = 4;

/// Completions of one queue whose times are kept.
const REMEMBERED: usize = 8192;

/// When each completion was sent, by queue and by the resulting number of completed jobs. A reader of that number knows
/// how old the change is.
#[derive(Debug)]
pub(crate) struct Sent(Vec<Vec<AtomicU64>>);

impl Sent {
    fn new(queues: usize) -> Self {
        Self(
            (0..queues)
                .map(|_| (0..REMEMBERED).map(|_| AtomicU64::new(0)).collect())
                .collect(),
        )
    }

    /// When the completion that led to this number was sent; `None` if this load did not send it.
    pub(crate) fn at(&self, queue: usize, completed: u64) -> Option<u64> {
        let place = self.0.get(queue)?.get(usize::try_from(completed).ok()?)?;
        Some(place.load(Ordering::Acquire)).filter(|at| *at > 0)
    }

    fn note(&self, queue: usize, completed: u64, at: u64) {
        if let Some(place) = usize::try_from(completed).ok().and_then(|n| self.0[queue].get(n)) {
            place.store(at, Ordering::Release);
        }
    }
}

/// What a load did.
#[derive(Clone, Debug, Default)]
pub(crate) struct Done {
    /// Steps taken.
    pub(crate) steps: u64,
    /// How long it ran.
    pub(crate) ran: Duration,
    /// How late each step began: on an otherwise idle machine, hardly at all.
    pub(crate) late: Samples,
}

impl Done {
    /// Events written per second.
    pub(crate) fn events_per_second(&self) -> f64 {
        float(self.steps) * float(EVENTS as u64) / float(STEPS.len() as u64) / self.ran.as_secs_f64()
    }
}

/// A running load; ends when dropped.
#[derive(Debug)]
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<Done, String>>>,
    sent: Arc<Sent>,
}

impl Load {
    /// Starts one, spread evenly over these queues.
    pub(crate) fn start(redis: &Redis, queues: Vec<String>, events_per_second: u32) -> Outcome<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let sent = Arc::new(Sent::new(queues.len()));
        let mut lives = Lives::new(redis.connection()?, queues, sent.clone())?;
        let until = stop.clone();
        let thread =
            std::thread::spawn(move || run(&mut lives, events_per_second, &until).map_err(|error| error.to_string()));
        Ok(Self {
            stop,
            thread: Some(thread),
            sent,
        })
    }

    /// When each completion was sent.
    pub(crate) fn sent(&self) -> Arc<Sent> {
        self.sent.clone()
    }

    /// Ends it.
    pub(crate) fn finish(mut self) -> Outcome<Done> {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().ok_or("the load has ended before")?;
        Ok(thread.join().map_err(|_| "the load broke off")??)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Single changes, sent on request.
pub(crate) struct Lone {
    connection: redis::Connection,
    script: String,
    /// With the number of completed jobs in each.
    queues: Vec<(String, u64)>,
    sent: Arc<Sent>,
}

impl Lone {
    /// For changes of these queues.
    pub(crate) fn new(redis: &Redis, names: &[String]) -> Outcome<Self> {
        let mut connection = redis.connection()?;
        let mut queues = Vec::new();
        for name in names {
            let completed = redis::cmd("ZCARD")
                .arg(format!("{name}:completed"))
                .query(&mut connection)?;
            queues.push((name.clone(), completed));
        }
        Ok(Self {
            script: redis::cmd("SCRIPT").arg("LOAD").arg(LONE).query(&mut connection)?,
            connection,
            sent: Arc::new(Sent::new(queues.len())),
            queues,
        })
    }

    /// When each completion was sent.
    pub(crate) fn sent(&self) -> Arc<Sent> {
        self.sent.clone()
    }

    /// Completes a job in this queue.
    pub(crate) fn complete(&mut self, queue: usize) -> Outcome<()> {
        let (name, completed) = &mut self.queues[queue];
        *completed += 1;
        self.sent.note(queue, *completed, micros());
        let mut command = redis::cmd("EVALSHA");
        command.arg(&self.script).arg(1).arg(name.as_str()).arg(now_ms()?);
        Ok(command.query(&mut self.connection)?)
    }
}

fn now_ms() -> Outcome<String> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    Ok(now.as_millis().to_string())
}

struct Lives {
    connection: redis::Connection,
    scripts: Vec<String>,
    queues: Vec<Life>,
    sent: Arc<Sent>,
}

/// The job that a queue is processing.
struct Life {
    queue: String,
    step: usize,
    job: String,
    completed: u64,
}

impl Lives {
    fn new(mut connection: redis::Connection, queues: Vec<String>, sent: Arc<Sent>) -> Outcome<Self> {
        let mut scripts = Vec::new();
        for script in STEPS {
            scripts.push(redis::cmd("SCRIPT").arg("LOAD").arg(script).query(&mut connection)?);
        }
        let mut lives = Vec::new();
        for queue in queues {
            let completed = redis::cmd("ZCARD")
                .arg(format!("{queue}:completed"))
                .query(&mut connection)?;
            lives.push(Life {
                queue,
                step: 0,
                job: String::new(),
                completed,
            });
        }
        let mut lives = Self {
            connection,
            scripts,
            queues: lives,
            sent,
        };
        // The queues start at different steps.
        for queue in 0..lives.queues.len() {
            for _ in 0..queue % STEPS.len() {
                lives.step(queue)?;
            }
        }
        Ok(lives)
    }

    /// Takes the next step in a queue.
    fn step(&mut self, queue: usize) -> Outcome<()> {
        let life = &mut self.queues[queue];
        let step = life.step;
        let at = micros();
        if step == COMPLETES {
            life.completed += 1;
            self.sent.note(queue, life.completed, at);
        }
        let mut command = redis::cmd("EVALSHA");
        command
            .arg(&self.scripts[step])
            .arg(1)
            .arg(&life.queue)
            .arg(now_ms()?)
            .arg(at)
            .arg(&life.job);
        life.job = command.query(&mut self.connection)?;
        life.step = (step + 1) % STEPS.len();
        Ok(())
    }
}

fn run(lives: &mut Lives, events_per_second: u32, until: &AtomicBool) -> Outcome<Done> {
    let pause = Duration::from_secs(1) * u32::try_from(EVENTS)? / (events_per_second * u32::try_from(STEPS.len())?);
    let began = Instant::now();
    let mut due = began;
    let mut done = Done::default();
    let mut queue = 0;
    while !until.load(Ordering::Relaxed) {
        let now = Instant::now();
        if now < due {
            // In pieces, so that a slow load also ends at once.
            sleep((due - now).min(Duration::from_millis(50)));
            continue;
        }
        done.late.add(u64::try_from((now - due).as_micros())?);
        lives.step(queue)?;
        done.steps += 1;
        queue = (queue + 1) % lives.queues.len();
        due += pause;
    }
    done.ran = began.elapsed();
    Ok(done)
}
