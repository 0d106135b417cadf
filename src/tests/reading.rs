//! What the board shows of BullMQ equals what BullMQ itself says, in every state, for both versions.

use crate::support::app::Drover;
use crate::support::oracle::Oracle;
use crate::support::redis::Redis;
use serde_json::{Value, json};

/// Puts jobs of every state into a queue of its own.
async fn fill(oracle: &mut Oracle, queue: &str) {
    // Failed (one after two attempts), completed and active first, while nothing else waits.
    oracle
        .ask(
            "startWorker",
            queue,
            json!({"workerId": "w", "concurrency": 3, "name": "eu-1"}),
        )
        .await;
    for i in 0..7 {
        oracle
            .add(
                queue,
                "good",
                json!({"returns": {"i": i}, "log": ["one", "two"]}),
                json!({}),
            )
            .await;
    }
    for i in 0..5 {
        oracle
            .add(
                queue,
                "bad",
                json!({"fail": format!("boom {i}\nsecond line")}),
                json!({"attempts": 1 + i % 2, "backoff": 1}),
            )
            .await;
    }
    oracle
        .ask("waitUntil", queue, json!({"state": "failed", "count": 5}))
        .await;
    oracle
        .ask("waitUntil", queue, json!({"state": "completed", "count": 7}))
        .await;
    for _ in 0..2 {
        oracle
            .add(queue, "held", json!({"hold": true, "progress": [40]}), json!({}))
            .await;
    }
    oracle
        .ask("waitUntil", queue, json!({"state": "active", "count": 2}))
        .await;
    oracle.add(queue, "third", json!({"hold": true}), json!({})).await;
    oracle
        .ask("waitUntil", queue, json!({"state": "active", "count": 3}))
        .await;
    for i in 0..6 {
        oracle.add(queue, "next", json!({"i": i}), json!({})).await;
    }
    for i in 0..4 {
        oracle
            .add(queue, "urgent", json!({}), json!({"priority": 10 - i}))
            .await;
        oracle
            .add(queue, "later", json!({}), json!({"delay": 1_000_000 - i * 1000}))
            .await;
    }
    let tree = json!({"name": "parent", "queueName": queue, "data": {}, "children": [
        {"name": "child", "queueName": format!("{queue}-children"), "data": {}},
    ]});
    oracle.ask("flow", queue, json!({"tree": tree})).await;
}

/// The ids of a state as the API lists them, over all its pages.
async fn listed(drover: &Drover, queue: &str, state: &str, order: &str, limit: usize) -> Vec<String> {
    let mut ids = Vec::new();
    let mut cursor = String::new();
    for _ in 0..200 {
        let path =
            format!("/api/v1/queues/redis/bull:{queue}/jobs?state={state}&order={order}&limit={limit}&cursor={cursor}");
        let answer = drover.get(&path).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let page = answer.json();
        ids.extend(
            page["rows"]
                .as_array()
                .unwrap()
                .iter()
                .map(|row| row["id"].as_str().unwrap().to_owned()),
        );
        match page["next"].as_str() {
            Some(next) => cursor = next.replace(':', "%3A"),
            None => return ids,
        }
    }
    panic!("{state}: the pages never end");
}

const STATES: [(&str, &str); 7] = [
    ("waiting", "waiting"),
    ("active", "active"),
    ("prioritized", "prioritized"),
    ("delayed", "delayed"),
    ("waiting_children", "waiting-children"),
    ("completed", "completed"),
    ("failed", "failed"),
];

async fn counts_and_pages_equal_the_librarys(major: u8) {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), major).await;
    assert!(oracle.version.starts_with(&major.to_string()), "{}", oracle.version);
    let drover = Drover::over(&redis.url()).await;
    fill(&mut oracle, "shop").await;
    drover.knows("bull:shop").await;
    let counts = oracle.counts("shop").await;
    drover.counts_become("bull:shop", &counts).await;
    for (state, theirs) in STATES {
        for (order, asc) in [("next", true), ("newest", false)] {
            let library = oracle.ask("ids", "shop", json!({"state": theirs, "asc": asc})).await;
            let library: Vec<&str> = library
                .as_array()
                .unwrap()
                .iter()
                .map(|id| id.as_str().unwrap())
                .collect();
            assert!(!library.is_empty(), "{state}: nothing to compare");
            for limit in [2, 50] {
                assert_eq!(
                    listed(&drover, "shop", state, order, limit).await,
                    library,
                    "{state} {order}, pages of {limit}"
                );
            }
        }
    }
    // After the workers have stopped and what they held is done.
    oracle.ask("release", "shop", json!({"all": true})).await;
    oracle
        .ask("waitUntil", "shop", json!({"state": "active", "count": 0}))
        .await;
    oracle.ask("stopWorker", "shop", json!({"workerId": "w"})).await;
    let counts = oracle.counts("shop").await;
    drover.counts_become("bull:shop", &counts).await;
}

#[tokio::test]
async fn counts_and_pages_equal_those_of_bullmq_6() {
    counts_and_pages_equal_the_librarys(6).await;
}

#[tokio::test]
async fn counts_and_pages_equal_those_of_bullmq_5() {
    counts_and_pages_equal_the_librarys(5).await;
}

async fn counts_follow_while_workers_run(major: u8) {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), major).await;
    let drover = Drover::over(&redis.url()).await;
    for worker in ["a", "b"] {
        oracle
            .ask("startWorker", "busy", json!({"workerId": worker, "concurrency": 5}))
            .await;
    }
    drover.knows("bull:busy").await;
    for round in 1..=5_u64 {
        let job = json!({"name": "work", "data": {"ms": 5, "randomFail": 0.3}, "opts": {}});
        let jobs: Vec<Value> = std::iter::repeat_n(job, 60).collect();
        oracle.ask("addBulk", "busy", json!({"jobs": jobs})).await;
        let mut left = 1;
        while left > 0 {
            let counts = oracle.counts("busy").await;
            left = counts["waiting"].as_u64().unwrap() + counts["active"].as_u64().unwrap();
        }
        let counts = oracle.counts("busy").await;
        assert_eq!(
            counts["completed"].as_u64().unwrap() + counts["failed"].as_u64().unwrap(),
            round * 60
        );
        drover.counts_become("bull:busy", &counts).await;
    }
}

#[tokio::test]
async fn counts_follow_bullmq_6_while_workers_run() {
    counts_follow_while_workers_run(6).await;
}

#[tokio::test]
async fn counts_follow_bullmq_5_while_workers_run() {
    counts_follow_while_workers_run(5).await;
}

async fn a_pause_is_a_property_of_the_queue(major: u8) {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), major).await;
    let drover = Drover::over(&redis.url()).await;
    for i in 0..5 {
        oracle.add("q", "job", json!({"i": i}), json!({})).await;
    }
    assert_eq!(drover.knows("bull:q").await["paused"], false);
    oracle.ask("pause", "q", json!({})).await;
    oracle.add("q", "job", json!({}), json!({})).await;
    let counts = oracle.counts("q").await;
    assert_eq!(counts["waiting"], 6);
    drover.counts_become("bull:q", &counts).await;
    assert_eq!(drover.knows("bull:q").await["paused"], true);
    // Verdicts follow the counts at the collector's next turn.
    crate::support::eventually("the verdict", crate::support::SOON, || async {
        (drover.knows("bull:q").await["verdict"]["level"] == "paused").then_some(())
    })
    .await;
    // The library lists the jobs of a paused queue in one list or the other; we list them all.
    let mut ids = listed(&drover, "q", "waiting", "next", 4).await;
    assert_eq!(ids, ["1", "2", "3", "4", "5", "6"]);
    oracle.ask("resume", "q", json!({})).await;
    crate::support::eventually("resumed", crate::support::SOON, || async {
        (drover.knows("bull:q").await["paused"] == false).then_some(())
    })
    .await;
    ids.sort();
    assert_eq!(ids.len(), 6);
}

#[tokio::test]
async fn a_paused_queue_of_bullmq_6_shows_its_jobs_as_waiting() {
    a_pause_is_a_property_of_the_queue(6).await;
}

#[tokio::test]
async fn a_paused_queue_of_bullmq_5_shows_its_jobs_as_waiting() {
    a_pause_is_a_property_of_the_queue(5).await;
}

async fn a_jobs_page_says_what_the_library_says(major: u8) {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), major).await;
    let drover = Drover::over(&redis.url()).await;
    fill(&mut oracle, "shop").await;
    drover.knows("bull:shop").await;
    for (state, theirs) in STATES {
        let ids = oracle.ask("ids", "shop", json!({"state": theirs})).await;
        let id = ids[0].as_str().unwrap();
        let library = oracle.ask("job", "shop", json!({"jobId": id})).await;
        let answer = drover.get(&format!("/api/v1/queues/redis/bull:shop/jobs/{id}")).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let job = answer.json();
        let row = &job["row"];
        assert_eq!(row["state"], state, "{job}");
        assert_eq!(job["state_known"], true, "{job}");
        assert_eq!(row["name"], library["name"]);
        assert_eq!(row["created"], library["timestamp"]);
        assert_eq!(row["started"], library["processedOn"]);
        assert_eq!(row["finished"], library["finishedOn"]);
        assert_eq!(row["attempts"], library["attemptsMade"]);
        assert_eq!(
            row["attempts_max"].as_u64().unwrap(),
            library["opts"]["attempts"].as_u64().unwrap_or(1).max(1)
        );
        assert_eq!(row["priority"].as_u64(), library["priority"].as_u64());
        assert_eq!(
            serde_json::from_str::<Value>(job["data"]["text"].as_str().unwrap()).unwrap(),
            library["data"]
        );
        if let Some(lines) = library["logs"].as_array().filter(|lines| !lines.is_empty()) {
            let ours = job["logs"]["lines"].as_array().unwrap().iter();
            assert!(ours.map(|line| &line["text"]).eq(lines), "{state}: {job}");
        }
        match state {
            "failed" => {
                assert_eq!(job["error"]["text"], library["failedReason"]);
                let first = library["failedReason"].as_str().unwrap().lines().next().unwrap();
                assert_eq!(row["error"], first, "a row shows the first line");
                let traces = job["traces"].as_array().unwrap().iter().map(|trace| &trace["text"]);
                assert!(traces.eq(library["stacktrace"].as_array().unwrap()), "{job}");
            }
            "completed" => {
                let result: Value = serde_json::from_str(job["result"]["text"].as_str().unwrap()).unwrap();
                assert_eq!(result, library["returnvalue"]);
                assert_eq!(row["worker"], "eu-1");
            }
            "active" => assert_eq!(job["locked"], true),
            "delayed" => {
                let due = library["timestamp"].as_i64().unwrap() + library["delay"].as_i64().unwrap();
                assert_eq!(row["due"].as_i64().unwrap(), due);
            }
            "waiting_children" => assert_eq!(
                job["children"],
                json!({"pending": 1, "completed": 0, "failed": 0, "ignored": 0})
            ),
            _ => {}
        }
    }
    let gone = drover.get("/api/v1/queues/redis/bull:shop/jobs/no-such-job").await;
    assert_eq!((gone.status, gone.json()["outcome"].as_str()), (404, Some("none")));
}

#[tokio::test]
async fn a_job_of_bullmq_6_is_shown_as_the_library_knows_it() {
    a_jobs_page_says_what_the_library_says(6).await;
}

#[tokio::test]
async fn a_job_of_bullmq_5_is_shown_as_the_library_knows_it() {
    a_jobs_page_says_what_the_library_says(5).await;
}

#[tokio::test]
async fn pages_by_key_neither_skip_nor_repeat_while_jobs_disappear() {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    let drover = Drover::over(&redis.url()).await;
    oracle.add("q", "seed", json!({}), json!({})).await;
    drover.knows("bull:q").await;
    // 30 failed jobs, ten of them with the very same finishing time.
    for i in 0..30 {
        let score = if (10..20).contains(&i) { 5_000 } else { 1_000 * (i + 1) };
        let id = format!("j{i:02}");
        redis.run::<()>(&["HSET", &format!("bull:q:{id}"), "name", "n", "timestamp", "1"]);
        redis.run::<()>(&["ZADD", "bull:q:failed", &score.to_string(), &id]);
    }
    let all = listed(&drover, "q", "failed", "newest", 50).await;
    assert_eq!(all.len(), 30);
    let first = drover
        .get("/api/v1/queues/redis/bull:q/jobs?state=failed&limit=15")
        .await
        .json();
    // The job the cursor names, and two that were shown, are removed before the next page is read.
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
