//! Limits, retention, times and metrics of a queue, as the library itself set them.

use super::support::app::Drover;
use super::support::oracle::Oracle;
use super::support::redis::Redis;
use super::support::{SOON, eventually};
use serde_json::{Value, json};

async fn insight(drover: &Drover, queue: &str) -> Value {
    drover.knows(queue).await["insight"].clone()
}

#[tokio::test]
async fn limits_that_the_library_sets_are_told_and_said_when_reached() {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    oracle.add("q", "n", json!({}), json!({})).await;
    let set = |method: &str, args: Value| json!({"method": method, "args": args});
    oracle.ask("call", "q", set("setGlobalConcurrency", json!([3]))).await;
    oracle
        .ask("call", "q", set("setGlobalRateLimit", json!([100, 60_000])))
        .await;
    let drover = Drover::over(&redis.url()).await;
    let limits = insight(&drover, "bull:q").await["limits"].clone();
    assert_eq!(limits["concurrency"], 3);
    assert_eq!(limits["rate"], json!({"max": 100, "duration": 60_000}));
    assert_eq!(limits["limited_for"], Value::Null, "nothing has been started");
    oracle.ask("call", "q", set("rateLimit", json!([30_000]))).await;
    let left = eventually("the limit", SOON, || async {
        insight(&drover, "bull:q").await["limits"]["limited_for"].as_i64()
    })
    .await;
    assert!((1..=30_000).contains(&left), "{left}");
    let page = drover.get("/queues/redis/bull:q").await;
    assert!(
        page.body.contains("3 active at once, 100 per 1 m, reached"),
        "{}",
        page.body
    );
}

#[tokio::test]
async fn times_and_retention_come_from_the_jobs_themselves() {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 5).await;
    let keep = json!({"removeOnComplete": {"count": 50, "age": 3600}, "removeOnFail": 20});
    for ms in [10, 20, 400] {
        oracle.add("q", "n", json!({"ms": ms}), keep.clone()).await;
    }
    oracle
        .ask(
            "startWorker",
            "q",
            json!({"workerId": "w", "opts": {"metrics": {"maxDataPoints": 60}}}),
        )
        .await;
    oracle
        .ask("waitUntil", "q", json!({"state": "completed", "count": 3}))
        .await;
    let drover = Drover::over(&redis.url()).await;
    let told = insight(&drover, "bull:q").await;
    assert_eq!(told["times"]["sample"], 3);
    let run = &told["times"]["run"];
    assert!(run["max"].as_i64().unwrap() >= 400, "{told}");
    assert!(run["p50"].as_i64().unwrap() < 400, "{told}");
    // The third job waited for the other two.
    assert!(told["times"]["wait"]["max"].as_i64().unwrap() >= 30, "{told}");
    assert_eq!(
        told["keep_completed"][0]["keep"]["newest"],
        json!({"count": 50, "age": 3600})
    );
    assert_eq!(
        told["keep_failed"][0]["keep"]["newest"],
        json!({"count": 20, "age": null})
    );
    let metrics = oracle
        .ask("call", "q", json!({"method": "getMetrics", "args": ["completed"]}))
        .await;
    assert_eq!(told["metrics"]["completed"], metrics["meta"]["count"]);
}

#[tokio::test]
async fn an_active_job_whose_worker_died_is_told_from_running_ones() {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    let held = oracle.add("q", "n", json!({"hold": true}), json!({})).await;
    oracle.ask("startWorker", "q", json!({"workerId": "w"})).await;
    oracle
        .ask("waitUntil", "q", json!({"state": "active", "count": 1}))
        .await;
    let drover = Drover::over(&redis.url()).await;
    drover.knows("bull:q").await;
    let row = || async {
        let page = drover.get("/api/v1/queues/redis/bull:q/jobs?state=active").await.json();
        page["rows"][0].clone()
    };
    assert_eq!(row().await["locked"], true);
    // A worker that dies leaves its job among the active ones; its lock expires.
    redis.run::<()>(&["DEL", &format!("bull:q:{held}:lock")]);
    eventually("lost", SOON, || async {
        (row().await["locked"] == false).then_some(())
    })
    .await;
    let lost = eventually("counted as lost", SOON, || async {
        let lost = insight(&drover, "bull:q").await["lost"].clone();
        (lost["without_lock"] == 1).then_some(lost)
    })
    .await;
    assert_eq!(lost["active"], 1);
    let page = drover.get("/queues/redis/bull:q?state=active").await;
    assert!(page.body.contains("lost by its worker"));
}

#[tokio::test]
async fn dead_letters_that_an_application_keeps_are_linked_both_ways() {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 5).await;
    oracle.add("payments", "n", json!({}), json!({})).await;
    oracle.add("payments-dlq", "n", json!({}), json!({})).await;
    let drover = Drover::over(&redis.url()).await;
    drover.knows("bull:payments-dlq").await;
    drover.knows("bull:payments").await;
    let page = drover.get("/queues/redis/bull:payments").await.body;
    assert!(page.contains("Dead letters") && page.contains("/queues/redis/bull:payments-dlq"));
    let page = drover.get("/queues/redis/bull:payments-dlq").await.body;
    assert!(page.contains("Dead letters of"));
}

#[tokio::test]
async fn an_hour_that_retention_removed_is_drawn_from_the_workers_metrics() {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    let gone = json!({"removeOnComplete": true});
    for _ in 0..5 {
        oracle.add("q", "n", json!({}), gone.clone()).await;
    }
    oracle
        .ask(
            "startWorker",
            "q",
            json!({"workerId": "w", "opts": {"metrics": {"maxDataPoints": 60}}}),
        )
        .await;
    eventually("recorded", SOON, || async {
        let n: Option<u32> = redis.run(&["HGET", "bull:q:metrics:completed", "count"]);
        (n == Some(5)).then_some(())
    })
    .await;
    // As if that had been ten minutes ago.
    let then: i64 = redis.run(&["HGET", "bull:q:metrics:completed", "prevTS"]);
    redis.run::<()>(&[
        "HSET",
        "bull:q:metrics:completed",
        "prevTS",
        &(then - 600_000).to_string(),
        "prevCount",
        "0",
    ]);
    let drover = Drover::over(&redis.url()).await;
    drover.knows("bull:q").await;
    let chart = drover.get("/queues/redis/bull:q/chart.svg").await.body;
    assert!(chart.contains("5 completed"), "{chart}");
}
