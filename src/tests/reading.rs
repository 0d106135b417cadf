//! How Drover reads lists: pages that stay complete while jobs come and go, and never a payload. The contract tests
//! check that their content is right.

use crate::support::app::Drover;
use crate::support::oracle::Oracle;
use crate::support::redis::Redis;
use serde_json::json;

#[tokio::test]
async fn pages_by_key_neither_skip_nor_repeat_while_jobs_disappear() {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    let drover = Drover::over(&redis.url()).await;
    oracle.add("q", "seed", json!({}), json!({})).await;
    drover.knows("bull:q").await;
    // 30 failed jobs, ten of them with exactly the same finishing time.
    for i in 0..30 {
        let score = if (10..20).contains(&i) { 5_000 } else { 1_000 * (i + 1) };
        let id = format!("j{i:02}");
        redis.run::<()>(&["HSET", &format!("bull:q:{id}"), "name", "n", "timestamp", "1"]);
        redis.run::<()>(&["ZADD", "bull:q:failed", &score.to_string(), &id]);
    }
    let all = drover.ids("bull:q", "failed", "newest", 50).await;
    assert_eq!(all.len(), 30);
    let first = drover
        .get("/api/v1/queues/redis/bull:q/jobs?state=failed&limit=15")
        .await
        .json();
    // The job in the cursor, and two that were shown, are removed before the next page is read.
    for id in [&all[14], &all[3], &all[4]] {
        redis.run::<()>(&["ZREM", "bull:q:failed", id]);
    }
    let cursor = first["next"].as_str().unwrap().replace(':', "%3A");
    let second = drover
        .get(&format!(
            "/api/v1/queues/redis/bull:q/jobs?state=failed&limit=50&cursor={cursor}"
        ))
        .await
        .json();
    let rest: Vec<&str> = second["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["id"].as_str().unwrap())
        .collect();
    assert_eq!(rest, all[15..], "the second page goes on where the first ended");
}

#[tokio::test]
async fn a_list_never_fetches_what_a_job_carries() {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    let drover = Drover::over(&redis.url()).await;
    oracle
        .add("q", "big", json!({"x": "y".repeat(2_000_000)}), json!({}))
        .await;
    drover.knows("bull:q").await;
    let before: String = redis.run(&["INFO", "stats"]);
    let page = drover.get("/queues/redis/bull:q?state=waiting").await;
    let after: String = redis.run(&["INFO", "stats"]);
    assert!(
        page.body.len() < 64 * 1024,
        "the page is {} bytes long",
        page.body.len()
    );
    assert!(page.body.contains("2.0 MB"), "the size is shown");
    let sent = |text: &str| {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("total_net_output_bytes:"))
            .unwrap();
        line.trim().parse::<u64>().unwrap()
    };
    assert!(sent(&after) - sent(&before) < 100_000, "the payload left Redis");
    let job = drover.get("/queues/redis/bull:q/jobs/1").await;
    assert!(
        job.body.contains("first 64 KiB of 2.0 MB"),
        "the job's page shows its beginning"
    );
}
