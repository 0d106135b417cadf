//! Which queues are arq's, and that looking changes nothing.

use super::Shop;
use crate::support::app::Drover;
use crate::support::oracle::Oracle;
use crate::support::redis::Redis;
use crate::support::{LATER, SOON, eventually};
use serde_json::json;

/// The ids of all queues on a board, once its first search is over and these are among them.
async fn ids(drover: &Drover, wanted: &[&str]) -> Vec<String> {
    for queue in wanted {
        drover.knows(queue).await;
    }
    eventually("the first search is over", SOON, || async {
        (drover.store("redis").await["searched"] == true).then_some(())
    })
    .await;
    let queues = drover.get("/api/v1/queues").await.json();
    let items = queues["items"].as_array().unwrap().iter();
    let mut ids: Vec<String> = items.map(|queue| queue["id"].as_str().unwrap().to_owned()).collect();
    ids.sort();
    ids
}

#[tokio::test]
async fn queues_of_any_name_are_found_by_their_jobs_or_by_the_line_of_a_worker() {
    let redis = Redis::start();
    let mut oracle = Oracle::arq(&redis.url(), json!({})).await;
    oracle.add("arq:queue", "n", json!({}), json!({})).await;
    oracle
        .add("mail {eu}:*", "n", json!({}), json!({"delay": 900_000}))
        .await;
    oracle.ask("startWorker", "idle", json!({"workerId": "w"})).await;
    let drover = Drover::over(&redis.url()).await;
    let wanted = ["arq:queue", "idle", "mail {eu}:*"];
    assert_eq!(ids(&drover, &wanted).await, wanted);
    for (queue, delayed) in [("arq:queue", 0), ("idle", 0), ("mail {eu}:*", 1)] {
        let line = drover.knows(queue).await;
        assert_eq!(
            (&line["system"], &line["name"]),
            (&json!("arq"), &json!(queue)),
            "{line}"
        );
        assert_eq!(line["counts"]["delayed"], delayed, "{line}");
    }
    let page = drover.get("/queues/redis/mail%20%7Beu%7D:*").await;
    assert_eq!(page.status, 200);
}

#[tokio::test]
async fn sets_of_others_are_no_queues() {
    let redis = Redis::start();
    let mut oracle = Oracle::arq(&redis.url(), json!({})).await;
    let mut bull = Oracle::start(&redis.url(), 6).await;
    // Jobs of both have the same ids.
    for id in ["1", "2", "3"] {
        oracle.add("arq:queue", "n", json!({}), json!({"jobId": id})).await;
        bull.add("mail", "n", json!({}), json!({"delay": 900_000})).await;
    }
    for command in [
        // An application's own list of the jobs of a user, and a ranking.
        &["ZADD", "user:7:jobs", "1796000000000", "1", "1796000000001", "2"][..],
        &["ZADD", "ranking", "7", "ann", "9", "bob"],
        &["ZADD", "redbeat::schedule", "1796000000", "redbeat:nightly"],
        &["ZADD", "arq:abort", "1796000000000", "1"],
        &["ZADD", "unacked_index", "1796000000", "tag"],
        // Most of it is something else.
        &["ZADD", "mixed", "1", "a", "2", "b", "3", "1"],
        &["SET", "app:health-check", "ok"],
        &["SET", "arq:result:9", "x"],
        &["SADD", "other:health-check", "x"],
    ] {
        redis.run::<redis::Value>(command);
    }
    let drover = Drover::over(&redis.url()).await;
    let wanted = ["arq:queue", "bull:mail"];
    assert_eq!(ids(&drover, &wanted).await, wanted);
    let line = drover.knows("bull:mail").await;
    assert_eq!(
        (&line["system"], &line["counts"]["delayed"]),
        (&json!("bullmq"), &json!(3)),
        "{line}"
    );
}

#[tokio::test]
async fn a_queue_that_becomes_empty_stays_on_the_board() {
    let mut shop = Shop::open(json!({})).await;
    let id = shop.add("mail", "next", json!({})).await;
    shop.line("mail", "one waits", |line| line["counts"]["waiting"] == 1)
        .await;
    shop.work("mail", "w").await;
    shop.oracle.wait("mail", "completed", 1).await;
    shop.oracle.ask("stopWorker", "mail", json!({"workerId": "w"})).await;
    shop.oracle.ask("gone", "mail", json!({"workerId": "w"})).await;
    for key in ["mail", "mail:health-check"] {
        assert!(!shop.redis.run::<bool>(&["EXISTS", key]), "{key}");
    }
    shop.line("mail", "nothing waits", |line| line["counts"]["waiting"] == 0)
        .await;
    // A search and some counts later.
    tokio::time::sleep(std::time::Duration::from_secs(8)).await;
    let line = shop
        .drover
        .queue("redis", "mail")
        .await
        .expect("the queue is on the board");
    assert_eq!(line["counts"]["waiting"], 0);
    shop.job("mail", &id, |job| job["row"]["state"] == "completed").await;
}

#[tokio::test]
async fn what_arq_does_not_allow_is_refused_with_its_reason_and_nothing_is_written() {
    let mut shop = Shop::open(json!({})).await;
    let id = shop.add("mail", "next", json!({})).await;
    let line = shop.drover.knows("mail").await;
    let can = shop.drover.capabilities(&line).await;
    let actions = can["actions"].as_object().unwrap().iter();
    let possible: Vec<&String> = actions
        .filter_map(|(action, why)| why.is_null().then_some(action))
        .collect();
    assert_eq!(possible, ["cancel", "promote", "remove", "retry"], "{can}");
    let keys = || -> Vec<String> {
        let mut keys: Vec<String> = shop.redis.run(&["KEYS", "*"]);
        keys.sort();
        keys
    };
    let before = keys();
    let of = |word: &str| format!("/queues/redis/mail/jobs/{id}/{word}");
    for (path, fields, why) in [
        (of("remove"), json!({"children": true}), "no children"),
        (of("retry"), json!({"data": "{}"}), "serializer"),
        (of("put_back"), json!({}), "does not say which worker"),
        (of("delay"), json!({"ms": 1}), "expires a day after"),
        ("/queues/redis/mail/pause".to_owned(), json!({}), "arq has no pause"),
        (
            "/queues/redis/mail/jobs".to_owned(),
            json!({"name": "n", "data": "{}"}),
            "adds no jobs to arq",
        ),
        (
            "/queues/redis/mail/obliterate".to_owned(),
            json!({"name": "mail"}),
            "only while it holds jobs",
        ),
    ] {
        let answer = shop.drover.post(&path, &fields).await;
        assert_eq!(answer.status, 422, "{path}: {}", answer.body);
        assert!(answer.body.contains(why), "{path}: {}", answer.body);
    }
    for state in ["completed", "failed"] {
        let path = format!("/api/v1/queues/redis/mail/jobs?state={state}");
        let answer = shop.drover.get(&path).await;
        assert_eq!(answer.status, 422, "{}", answer.body);
        assert!(answer.body.contains("without an index"), "{}", answer.body);
    }
    let page = shop.drover.get("/queues/redis/mail").await;
    assert_eq!(page.status, 200);
    assert!(!page.body.contains("<button>Pause"), "a button for what cannot be done");
    assert_eq!(keys(), before);
}

#[tokio::test]
async fn a_user_who_may_only_read_sees_everything_of_arq() {
    let redis = Redis::start();
    let mut oracle = Oracle::arq(&redis.url(), json!({})).await;
    oracle
        .ask("startWorker", "mail", json!({"workerId": "w", "concurrency": 1}))
        .await;
    let done = oracle.add("mail", "good", json!({"returns": 7}), json!({})).await;
    oracle.wait("mail", "completed", 1).await;
    oracle.add("mail", "held", json!({"hold": true}), json!({})).await;
    oracle.wait("mail", "active", 1).await;
    let waits = oracle.add("mail", "next", json!({}), json!({})).await;
    // Of another application, which this user may not read.
    redis.run::<redis::Value>(&["ZADD", "ranking", "7", "ann"]);
    let rules = super::rules("drover_arq");
    let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
    let drover = Drover::over(&redis.user("drover_arq", "secret", &rules)).await;
    let line = eventually("its counts", SOON, || async {
        let line = drover.queue("redis", "mail").await?;
        (line["counts"]["active"] == 1 && line["counts"]["waiting"] == 1).then_some(line)
    })
    .await;
    assert!(!line["reason"].as_str().unwrap().contains("cannot"), "{line}");
    assert_eq!(drover.ids("mail", "waiting", "next", 10).await, [waits.as_str()]);
    assert_eq!(drover.job("mail", &done).await["result"]["text"], "7");
    for page in ["", "/queues/redis/mail?state=active", "/workers", "/schedules"] {
        assert_eq!(drover.get(page).await.status, 200, "{page}");
    }
    eventually("the next searches", LATER, || async {
        (redis.calls_of("scan") >= 9).then_some(())
    })
    .await;
    // A set that may not be read is tried once, not with each search.
    let denied = redis.denied();
    let asked = ["evalsha", "config|get", "ranking"];
    assert!(
        denied.iter().all(|object| asked.contains(&object.as_str())),
        "commands were refused: {denied:?}"
    );
    let entries: Vec<std::collections::HashMap<String, redis::Value>> = redis.run(&["ACL", "LOG", "128"]);
    let tries = entries.iter().filter(|entry| {
        let object: String = redis::from_redis_value(entry["object"].clone()).unwrap();
        object == "ranking"
    });
    let counts = tries.map(|entry| redis::from_redis_value::<u64>(entry["count"].clone()).unwrap());
    assert!(counts.sum::<u64>() <= 2, "{entries:?}");
}
