//! Celery on Redis, against the real library with real workers: what it has beside the contract.

use crate::support::app::Drover;
use crate::support::client::Answer;
use crate::support::oracle::Oracle;
use crate::support::redis::Redis;
use crate::support::{LATER, SOON, eventually};
use drover::model::address::encode_segment;
use serde_json::{Value, json};

mod bodies;
mod found;
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
