//! arq on Redis, against the real library with real workers: what it has beside the contract.

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
mod states;

/// A Redis with arq's own client on it, and a board.
struct Shop {
    redis: Redis,
    oracle: Oracle,
    drover: Drover,
}

impl Shop {
    async fn open(options: Value) -> Self {
        let redis = Redis::start();
        let oracle = Oracle::arq(&redis.url(), options).await;
        let drover = Drover::over(&redis.url()).await;
        Self { redis, oracle, drover }
    }

    /// Adds a job; its id.
    async fn add(&mut self, queue: &str, name: &str, data: Value) -> String {
        self.oracle.add(queue, name, data, json!({})).await
    }

    async fn work(&mut self, queue: &str, worker: &str) {
        self.oracle
            .ask("startWorker", queue, json!({"workerId": worker, "concurrency": 2}))
            .await;
    }

    /// What the API answers about a job.
    async fn answer(&self, queue: &str, id: &str) -> Answer {
        let (queue, id) = (encode_segment(queue), encode_segment(id));
        let path = format!("/api/v1/queues/redis/{queue}/jobs/{id}");
        self.drover.get(&path).await
    }

    /// Waits until a job is known, and this holds of it.
    async fn job(&self, queue: &str, id: &str, check: impl Fn(&Value) -> bool) -> Value {
        eventually(&format!("job {id}"), SOON, || async {
            let answer = self.answer(queue, id).await;
            let job = (answer.status == 200).then(|| answer.json())?;
            check(&job).then_some(job)
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

    /// Puts a job into a queue whose payload is these bytes.
    fn put(&self, queue: &str, id: &str, due: i64, payload: &[u8]) {
        let mut pipe = redis::pipe();
        pipe.cmd("SET").arg(format!("arq:job:{id}")).arg(payload);
        pipe.cmd("ZADD").arg(queue).arg(due).arg(id);
        pipe.exec(&mut self.redis.connection()).unwrap();
    }
}

fn text(value: &Value) -> &str {
    value["text"].as_str().unwrap_or_default()
}
