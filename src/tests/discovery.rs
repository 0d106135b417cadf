//! Which queues come onto the board, how fast, and that looking changes nothing.

use crate::support::app::Drover;
use crate::support::oracle::Oracle;
use crate::support::redis::Redis;
use crate::support::{SOON, eventually};
use serde_json::json;
use std::time::{Duration, Instant};

#[tokio::test]
async fn queues_of_any_prefix_and_hash_tag_are_found() {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    for prefix in ["bull", "{bull}", "my-app"] {
        oracle
            .ask(
                "add",
                "mail",
                json!({"prefix": prefix, "name": "n", "data": {}, "opts": {}}),
            )
            .await;
    }
    oracle
        .ask("add", "{tag}", json!({"name": "n", "data": {}, "opts": {}}))
        .await;
    // Things that only look like a queue.
    redis.run::<()>(&["HSET", "session:meta", "a", "b"]);
    redis.run::<()>(&["SET", "other:meta", "a"]);
    let drover = Drover::over(&redis.url()).await;
    drover.knows("bull:mail").await;
    let queues = drover.get("/api/v1/queues").await.json();
    let mut ids: Vec<&str> = queues["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|q| q["id"].as_str().unwrap())
        .collect();
    ids.sort_unstable();
    assert_eq!(ids, ["bull:mail", "bull:{tag}", "my-app:mail", "{bull}:mail"]);
    let tagged = drover.get("/queues/redis/%7Bbull%7D:mail").await;
    assert_eq!(tagged.status, 200);
}

#[tokio::test]
async fn a_queue_whose_worker_connects_appears_within_five_seconds() {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    let drover = Drover::over(&redis.url()).await;
    drover.store_becomes("redis", "live").await;
    eventually("the first search is over", SOON, || async {
        (drover.store("redis").await["searched"] == true).then_some(())
    })
    .await;
    let began = Instant::now();
    oracle
        .ask("startWorker", "late", json!({"workerId": "w", "name": "worker-1"}))
        .await;
    let line = drover.knows("bull:late").await;
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "it took {:?}",
        began.elapsed()
    );
    assert_eq!(line["workers"], 1);
    oracle.ask("stopWorker", "late", json!({"workerId": "w"})).await;
    eventually("the worker is gone", SOON, || async {
        (drover.knows("bull:late").await["workers"] == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_list_in_the_configuration_takes_the_place_of_the_search() {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    for queue in ["a", "b"] {
        oracle.add(queue, "n", json!({}), json!({})).await;
    }
    let file = format!(
        "[[store]]\nid = \"redis\"\nurl = \"{}\"\nqueues = [\"bull:a\"]\n",
        redis.url()
    );
    let drover = Drover::with(&[], &file).await;
    let a = drover.knows("bull:a").await;
    assert_eq!(a["counts"]["waiting"], 1);
    eventually("searched", SOON, || async {
        (drover.store("redis").await["searched"] == true).then_some(())
    })
    .await;
    assert_eq!(drover.queue("redis", "bull:b").await, None);
    assert!(
        redis.calls().iter().all(|(name, _)| name != "scan"),
        "the key space was searched"
    );
}

#[tokio::test]
async fn a_queue_of_which_nothing_is_left_leaves_the_board() {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    oracle.add("q", "n", json!({}), json!({})).await;
    let drover = Drover::over(&redis.url()).await;
    drover.knows("bull:q").await;
    let mut stream = drover.stream("overview").await;
    oracle.ask("obliterate", "q", json!({"force": true})).await;
    stream
        .until("the queue is removed", |event| {
            event.data["removed"]
                .as_array()
                .is_some_and(|r| !r.is_empty())
                .then_some(())
        })
        .await;
    assert_eq!(drover.queue("redis", "bull:q").await, None);
}

#[tokio::test]
async fn reading_never_writes() {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 5).await;
    oracle.add("q", "n", json!({}), json!({"priority": 3})).await;
    oracle.add("q", "n", json!({}), json!({"delay": 100_000})).await;
    oracle.add("q", "n", json!({"log": ["x"]}), json!({})).await;
    // The user of the README: it may not write, so any attempt is refused and shows.
    let readme = include_str!("../../README.md");
    let line = readme
        .split("ACL SETUSER drover")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    let rules: Vec<&str> = line.split_whitespace().collect();
    redis.run::<()>(&[&["ACL", "SETUSER", "drover"], rules.as_slice()].concat());
    let url = format!("redis://drover:password@127.0.0.1:{}", redis.port);
    let drover = Drover::over(&url).await;
    let counts = oracle.counts("q").await;
    drover.knows("bull:q").await;
    drover.counts_become("bull:q", &counts).await;
    for path in [
        "",
        "/queues/redis/bull:q?state=waiting",
        "/queues/redis/bull:q?state=delayed",
        "/queues/redis/bull:q/jobs/3",
    ] {
        assert_eq!(drover.get(path).await.status, 200, "{path}");
    }
    let denied: Vec<Vec<(String, redis::Value)>> = redis.run(&["ACL", "LOG"]);
    assert!(denied.is_empty(), "commands were refused: {denied:?}");
}
