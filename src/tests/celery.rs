//! Celery on Redis, against the real library with real workers: what it has beside the contract.

use crate::support::app::Drover;
use crate::support::client::Answer;
use crate::support::oracle::Oracle;
use crate::support::redis::Redis;
use crate::support::{LATER, SOON, eventually};
use drover::model::address::encode_segment;
use serde_json::{Value, json};

mod act;
mod bodies;
mod drain;
mod found;
mod lost;
mod staff;

/// A Redis with Celery's own client on it, and a board.
struct Shop {
    redis: Redis,
    oracle: Oracle,
    drover: Drover,
}

impl Shop {
    async fn open(options: Value) -> Self {
        let redis = Redis::start();
        let oracle = Oracle::celery(&redis.url(), options).await;
        let drover = Drover::over(&redis.url()).await;
        Self { redis, oracle, drover }
    }

    /// Sends a task with options of Celery's own; its id.
    async fn send(&mut self, queue: &str, args: Value, options: Value) -> String {
        let task = json!({"name": "work", "args": args, "options": options});
        let sent = self.oracle.ask("add", queue, task).await;
        sent["jobId"].as_str().unwrap().to_owned()
    }

    /// Does something to a task that was seen like this; the answer.
    async fn act(&self, id: &str, word: &str, seen: Value) -> Answer {
        let id = encode_segment(id);
        let path = format!("/queues/redis/mail/jobs/{id}/{word}");
        self.drover.post(&path, &json!({"seen": seen})).await
    }

    /// What ran, in its order: each run of a task with a `tally` of `ran`.
    fn ran(&self) -> Vec<String> {
        self.redis.run(&["LRANGE", "ran", "0", "-1"])
    }

    /// Waits until so many tasks ran, and nothing waits or is held any more.
    async fn is_over(&mut self, ran: usize) {
        eventually(&format!("{ran} ran"), LATER, || async {
            (self.ran().len() >= ran).then_some(())
        })
        .await;
        self.oracle.wait("mail", "waiting", 0).await;
        self.oracle.wait("mail", "active", 0).await;
    }

    /// Starts a worker `w` of the queue `mail` with these options.
    async fn work(&mut self, options: &[&str]) {
        let worker = json!({"workerId": "w", "options": options});
        self.oracle.ask("startWorker", "mail", worker).await;
    }

    /// What the API answers about a task.
    async fn answer(&self, queue: &str, id: &str) -> Answer {
        let (queue, id) = (encode_segment(queue), encode_segment(id));
        self.drover
            .get(&format!("/api/v1/queues/redis/{queue}/jobs/{id}"))
            .await
    }

    /// Waits until a task is known, and this holds of it.
    async fn task(&self, queue: &str, id: &str, check: impl Fn(&Value) -> bool) -> Value {
        eventually(&format!("task {id}"), SOON, || async {
            let answer = self.answer(queue, id).await;
            let task = (answer.status == 200).then(|| answer.json())?;
            check(&task).then_some(task)
        })
        .await
    }

    /// Waits until a queue's line is so.
    async fn line(&self, queue: &str, what: &str, check: impl Fn(&Value) -> bool) -> Value {
        eventually(&format!("{queue}: {what}"), LATER, || async {
            self.drover.queue("redis", queue).await.filter(|line| check(line))
        })
        .await
    }
}
