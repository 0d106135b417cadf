//! arq on Redis, against the real library with real workers: what it has beside the contract.

use crate::support::app::Drover;
use crate::support::client::Answer;
use crate::support::oracle::Oracle;
use crate::support::redis::Redis;
use crate::support::{LATER, SOON, eventually};
use drover::model::address::encode_segment;
use serde_json::{Value, json};

mod act;
mod bodies;
mod found;
mod retry;
mod staff;
mod states;
mod users;

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

    /// Does something to a job of the queue `mail` that was seen like this; the answer.
    async fn act(&self, id: &str, word: &str, seen: Value) -> Answer {
        let id = encode_segment(id);
        let path = format!("/queues/redis/mail/jobs/{id}/{word}");
        self.drover.post(&path, &json!({"seen": seen})).await
    }

    /// What `Job.status` of the library says of a job of the queue `mail`.
    async fn status(&mut self, id: &str) -> String {
        let status = self.oracle.ask("status", "mail", json!({"jobId": id})).await;
        status.as_str().unwrap().to_owned()
    }

    /// Each run of a job with a `tally` of `ran`, in their order.
    fn ran(&self) -> Vec<String> {
        self.redis.run(&["LRANGE", "ran", "0", "-1"])
    }

    /// The bytes of a key.
    fn bytes(&self, key: &str) -> Vec<u8> {
        self.redis.run(&["GET", key])
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

/// The rules of a user of `docs/arq.md`.
fn rules(user: &str) -> Vec<String> {
    let document = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/arq.md")).unwrap();
    let rules = document
        .lines()
        .find_map(|line| line.strip_prefix(&format!("user {user} ")))
        .unwrap_or_else(|| panic!("there is no {user}"));
    let open = |rule: &&str| !["on", ">change-me"].contains(rule);
    rules.split(' ').filter(open).map(str::to_owned).collect()
}

/// Checks the status and the words of an answer.
fn says(answer: &Answer, status: u16, part: &str) {
    assert_eq!(answer.status, status, "{}", answer.body);
    assert!(answer.body.contains(part), "{part:?} is not in {}", answer.body);
}

fn text(value: &Value) -> &str {
    value["text"].as_str().unwrap_or_default()
}
