//! Lists of an application, against real workers: what they have beside the contract.

use crate::support::app::Drover;
use crate::support::client::Answer;
use crate::support::oracle::Oracle;
use crate::support::redis::Redis;
use crate::support::{LATER, eventually};
use drover::model::address::encode_segment;
use serde_json::{Value, json};

mod act;
mod found;
mod stuck;

/// A profile of a queue of the oracle, with more settings.
pub(crate) fn profile(queue: &str, more: &str) -> String {
    format!(
        "[[store.list]]\nname = \"{queue}\"\nwaiting = \"{queue}:waiting\"\nprocessing = \"{queue}:processing\"\n\
         completed = \"{queue}:completed\"\nfailed = \"{queue}:failed\"\nid_path = \"id\"\nname_path = \"name\"\n\
         error_path = \"error\"\ntime_path = \"at\"\n{more}\n"
    )
}

/// A board over a Redis with these profiles.
pub(crate) async fn board(url: &str, profiles: &str) -> Drover {
    Drover::with(&[], &format!("[[store]]\nid = \"redis\"\nurl = \"{url}\"\n{profiles}")).await
}

/// A Redis with an application on it, and a board that knows its queue `mail`.
struct Shop {
    redis: Redis,
    oracle: Oracle,
    drover: Drover,
}

/// The id of the queue.
const MAIL: &str = "mail:waiting";

impl Shop {
    async fn open(options: Value, more: &str) -> Self {
        let redis = Redis::start();
        let oracle = Oracle::lists(&redis.url(), options).await;
        let drover = board(&redis.url(), &profile("mail", more)).await;
        drover.knows(MAIL).await;
        Self { redis, oracle, drover }
    }

    /// Adds so many items; their ids.
    async fn add(&mut self, count: usize, data: Value) -> Vec<String> {
        let many = json!({"count": count, "name": "work", "data": data, "opts": {}});
        let added = self.oracle.ask("addMany", "mail", many).await;
        serde_json::from_value(added["jobIds"].clone()).unwrap()
    }

    async fn work(&mut self, threads: usize) {
        let worker = json!({"workerId": "w", "concurrency": threads});
        self.oracle.ask("startWorker", "mail", worker).await;
    }

    /// Does something to an item that was seen in this state; the answer.
    async fn act(&self, id: &str, word: &str, state: &str) -> Answer {
        let path = format!(
            "/queues/redis/{}/jobs/{}/{word}",
            encode_segment(MAIL),
            encode_segment(id)
        );
        self.drover.post(&path, &json!({"seen": {"state": state}})).await
    }

    async fn line(&self, what: &str, check: impl Fn(&Value) -> bool) -> Value {
        eventually(what, LATER, || async {
            self.drover.queue("redis", MAIL).await.filter(|line| check(line))
        })
        .await
    }

    /// What is in a list of the queue, the head in front.
    fn items(&self, list: &str) -> Vec<String> {
        self.redis.run(&["LRANGE", &format!("mail:{list}"), "0", "-1"])
    }

    /// The ids in a list.
    fn ids(&self, list: &str) -> Vec<String> {
        let id = |item: &String| {
            serde_json::from_str::<Value>(item).unwrap()["id"]
                .as_str()
                .unwrap()
                .to_owned()
        };
        self.items(list).iter().map(id).collect()
    }
}

/// The status and a part of an answer.
fn says(answer: &Answer, status: u16, part: &str) {
    assert_eq!(answer.status, status, "{}", answer.body);
    assert!(answer.body.contains(part), "{part:?} is not in {}", answer.body);
}
