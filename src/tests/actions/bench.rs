//! An adapter over a Redis, the library beside it, and the helpers of action tests for both.

use crate::support::oracle::Oracle;
use crate::support::redis::Redis;
use crate::support::{LATER, SOON, eventually};
use drover::model::action::{Effect, JobAction, QueueAction, Seen};
use drover::model::state::JobState;
use drover::server::adapter::Act as _;
use drover::server::adapter::QueueId;
use drover::server::adapter::bullmq::{BullMq, Scope};
use drover::server::adapter::redis::link::Link;
use drover::server::redact::Masks;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// A generation, by the oracle's name for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Of(pub(crate) &'static str);

#[expect(non_upper_case_globals, reason = "they name tests as well")]
mod families {
    use super::Of;
    pub(crate) const bull: Of = Of("bull");
    pub(crate) const bullmq_3: Of = Of("3");
    pub(crate) const bullmq_4: Of = Of("4");
    pub(crate) const bullmq_5: Of = Of("5");
    pub(crate) const bullmq_6: Of = Of("6");
}
pub(crate) use families::*;

impl Of {
    pub(crate) fn is(self, words: &[&str]) -> bool {
        words.contains(&self.0)
    }

    /// Whether prioritized jobs are a state of their own.
    pub(crate) fn prioritizes_apart(self) -> bool {
        !self.is(&["bull", "3"])
    }

    /// Data of a job that fails the first time and never again.
    pub(crate) fn failing_once(self) -> Value {
        // 3 and 4 count an attempt when it begins, the others when it ends.
        json!({"failTimes": if self.is(&["3", "4"]) { 2 } else { 1 }})
    }

    /// Whether its pause renames the waiting list.
    pub(crate) fn renames(self) -> bool {
        !self.is(&["6"])
    }
}

/// Everything that a test of an action needs.
pub(crate) struct Bench {
    pub(crate) redis: Redis,
    pub(crate) oracle: Oracle,
    pub(crate) adapter: Arc<BullMq>,
    stop: CancellationToken,
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Bench {
    pub(crate) async fn of(family: Of) -> Self {
        Self::on(family, Redis::start()).await
    }

    /// The same on this Redis.
    pub(crate) async fn on(family: Of, redis: Redis) -> Self {
        let oracle = Oracle::of(&redis.url(), family.0).await;
        let stop = CancellationToken::new();
        let adapter = adapter(&redis.url(), &stop).await;
        Self {
            redis,
            oracle,
            adapter,
            stop,
        }
    }

    /// Another adapter over the same Redis, with a connection of its own.
    pub(crate) async fn another(&self) -> Arc<BullMq> {
        adapter(&self.redis.url(), &self.stop).await
    }

    /// An adapter that connects with another URL.
    pub(crate) async fn over(&self, url: &str) -> Arc<BullMq> {
        adapter(url, &self.stop).await
    }

    /// Does an action on one job of the queue `q`, whatever the job is like.
    pub(crate) async fn act(&self, id: &str, action: JobAction) -> Effect {
        self.act_on("bull:q", id, Seen::default(), action).await
    }

    /// The same on a job that was seen in this state.
    pub(crate) async fn act_seen(&self, id: &str, state: JobState, action: JobAction) -> Effect {
        let seen = Seen {
            state: Some(state),
            ..Seen::default()
        };
        self.act_on("bull:q", id, seen, action).await
    }

    pub(crate) async fn act_on(&self, queue: &str, id: &str, seen: Seen, action: JobAction) -> Effect {
        let jobs = [(id.to_owned(), seen)];
        let effects = self
            .adapter
            .on_jobs(&QueueId::from(queue), &jobs, &action)
            .await
            .unwrap();
        assert_eq!(effects.len(), 1);
        effects.into_iter().next().unwrap()
    }

    pub(crate) async fn act_on_queue(&self, action: QueueAction) -> Effect {
        self.adapter.on_queue(&QueueId::from("bull:q"), &action).await.unwrap()
    }

    /// The library's name for the state a job is in.
    pub(crate) async fn state(&mut self, id: &str) -> String {
        let state = self
            .oracle
            .ask("callJob", "q", json!({"jobId": id, "method": "getState"}))
            .await;
        state.as_str().unwrap().to_owned()
    }

    pub(crate) async fn exists(&mut self, id: &str) -> bool {
        !self
            .oracle
            .ask("call", "q", json!({"method": "getJob", "args": [id]}))
            .await
            .is_null()
    }

    pub(crate) async fn job(&mut self, id: &str) -> Value {
        self.oracle.job("q", id).await
    }

    /// Starts a worker `w` that does one job at a time.
    pub(crate) async fn work(&mut self) {
        self.oracle.ask("startWorker", "q", json!({"workerId": "w"})).await;
    }

    pub(crate) async fn rest(&mut self) {
        self.oracle.ask("stopWorker", "q", json!({"workerId": "w"})).await;
    }

    /// Adds a job that fails at once, and lets a worker fail it.
    pub(crate) async fn failed(&mut self, data: Value, opts: Value) -> String {
        let before = self.oracle.counts("q").await["failed"].as_u64().unwrap();
        let id = self.oracle.add("q", "job", data, opts).await;
        self.work().await;
        self.oracle
            .wait("q", "failed", usize::try_from(before + 1).unwrap())
            .await;
        self.rest().await;
        id
    }

    /// Waits until the library says that a job is in this state.
    pub(crate) async fn becomes(&mut self, id: &str, state: &str) {
        let began = std::time::Instant::now();
        loop {
            let now = self.state(id).await;
            if now == state {
                return;
            }
            assert!(
                began.elapsed() < LATER,
                "{id} is {now} and never {state}: {}",
                self.job(id).await
            );
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    /// Checks that the library's counts are these, and zero where no count is given.
    pub(crate) async fn counts_are(&mut self, counts: Value) {
        let all = self.oracle.counts("q").await;
        for (state, count) in all.as_object().unwrap() {
            let wanted = counts.get(state).and_then(Value::as_u64).unwrap_or(0);
            assert_eq!(count.as_u64(), Some(wanted), "{state} of {all}, wanted {counts}");
        }
    }

    /// Checks that every id in a list or set has a record, and that every record is in exactly one list or set.
    pub(crate) fn is_whole(&self) {
        let mut connection = self.redis.connection();
        let mut seen = std::collections::HashMap::<Vec<u8>, Vec<&str>>::new();
        for list in ["wait", "paused", "active"] {
            let ids: Vec<Vec<u8>> = command(&mut connection, &["LRANGE", &format!("bull:q:{list}"), "0", "-1"]);
            for id in ids.into_iter().filter(|id| !id.starts_with(b"0:")) {
                seen.entry(id).or_default().push(list);
            }
        }
        for set in ["completed", "failed", "delayed", "prioritized", "waiting-children"] {
            let ids: Vec<Vec<u8>> = command(&mut connection, &["ZRANGE", &format!("bull:q:{set}"), "0", "-1"]);
            for id in ids {
                seen.entry(id).or_default().push(set);
            }
        }
        for (id, places) in &seen {
            assert_eq!(places.len(), 1, "{} is in {places:?}", String::from_utf8_lossy(id));
            let key = [b"bull:q:", id.as_slice()].concat();
            let there: bool = redis::cmd("EXISTS").arg(key).query(&mut connection).unwrap();
            assert!(
                there,
                "{} is in {places:?} and has no record",
                String::from_utf8_lossy(id)
            );
        }
    }
}

fn command<T: redis::FromRedisValue>(connection: &mut redis::Connection, words: &[&str]) -> T {
    redis::cmd(words[0]).arg(&words[1..]).query(connection).unwrap()
}

async fn adapter(url: &str, stop: &CancellationToken) -> Arc<BullMq> {
    let link = Arc::new(Link::new(url).unwrap());
    tokio::spawn(Arc::clone(&link).supervise(stop.clone()));
    let health = link.health();
    eventually("a connection", SOON, || async { health.borrow().is_ok().then_some(()) }).await;
    Arc::new(BullMq::new(link, Scope::default(), Masks::default()))
}

pub(crate) fn done() -> Effect {
    Effect::done()
}

pub(crate) fn retry() -> JobAction {
    JobAction::Retry {
        reset_attempts: false,
        data: None,
    }
}

pub(crate) fn remove() -> JobAction {
    JobAction::Remove { children: false }
}
