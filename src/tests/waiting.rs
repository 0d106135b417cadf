//! Since when a job has been ready to run: not since its creation, and not known where the store cannot tell.

use crate::support::app::Drover;
use crate::support::oracle::Oracle;
use crate::support::redis::Redis;
use crate::support::{LATER, SOON, eventually, now_ms};
use serde_json::{Value, json};

const FAMILIES: [&str; 5] = ["bull", "3", "4", "5", "6"];
const HOUR: u64 = 3_600_000;
const FORTNIGHT: u64 = 14 * 24 * HOUR;

/// Waits until a board says since when the next job of a queue has been ready: since a moment in this test.
async fn is_new(drover: &Drover, queue: &str, began: u64) {
    let line = eventually(&format!("the next job of {queue}"), LATER, || async {
        let line = drover.queue("redis", queue).await?;
        let exactly = !line["oldest_waiting"].is_null() && line["next_created"].is_null();
        (exactly && line["counts"]["waiting"] == 1).then_some(line)
    })
    .await;
    let since = line["oldest_waiting"].as_u64().unwrap();
    assert!(since >= began, "ready {} ms before: {line}", began - since);
    assert_eq!(line["verdict"]["level"], "ok", "{line}");
}

/// Waits until a board has found that it is not known: no rule fires on that.
async fn is_unknown(drover: &Drover, queue: &str, created: u64) {
    let line = eventually(&format!("the next job of {queue}"), LATER, || async {
        let line = drover.queue("redis", queue).await?;
        (!line["oldest_waiting"].is_null() || !line["next_created"].is_null()).then_some(line)
    })
    .await;
    let told = (&line["oldest_waiting"], &line["next_created"]);
    assert_eq!(told, (&Value::Null, &json!(created)), "{line}");
    assert_eq!(line["verdict"]["level"], "ok", "{line}");
}

#[tokio::test]
async fn a_delayed_job_waits_since_its_delay_was_over_whatever_its_creation() {
    let redis = Redis::start();
    let drover = Drover::over(&redis.url()).await;
    let mut oracles = Vec::new();
    let began = now_ms();
    for family in FAMILIES {
        let mut oracle = Oracle::of(&redis.url(), family).await;
        let queue = format!("late-{family}");
        oracle.ask("startWorker", &queue, json!({"workerId": "w"})).await;
        let first = oracle.add(&queue, "n", json!({"hold": true}), json!({})).await;
        oracle.wait(&queue, "active", 1).await;
        // Created an hour ago, and due in a moment.
        for _ in 0..2 {
            let opts = json!({"timestamp": now_ms() - HOUR, "delay": HOUR + 500});
            oracle.add(&queue, "n", json!({"hold": true}), opts).await;
        }
        oracles.push((queue, oracle, first));
    }
    let due = now_ms() + 600;
    eventually("the delays are over", SOON, || async { (now_ms() > due).then_some(()) }).await;
    for (queue, oracle, first) in &mut oracles {
        follows(&drover, &format!("bull:{queue}")).await;
        // The worker that ends one job moves the due jobs to the waiting ones, and starts the first of them.
        oracle.ask("release", queue, json!({"jobId": first})).await;
        oracle.wait(queue, "waiting", 1).await;
        is_new(&drover, &format!("bull:{queue}"), began).await;
    }
    // A board that has received no event of it knows it from the records.
    let late = Drover::over(&redis.url()).await;
    for (queue, ..) in &oracles {
        is_new(&late, &format!("bull:{queue}"), began).await;
    }
    // Its wait is not its age.
    let queue = &oracles[4].0;
    let html = late.get(&format!("/queues/redis/bull:{queue}")).await.body;
    assert!(!html.contains("1 h"), "{html}");
}

/// Waits until a board follows the events of a queue.
async fn follows(drover: &Drover, queue: &str) {
    eventually(&format!("the events of {queue} to be followed"), LATER, || async {
        let line = drover.queue("redis", queue).await?;
        (!line["rates"].is_null()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_job_that_is_retried_by_hand_waits_since_then_and_later_since_nobody_knows_when() {
    let redis = Redis::start();
    let drover = Drover::over(&redis.url()).await;
    let created = now_ms() - FORTNIGHT;
    let mut jobs = Vec::new();
    for family in FAMILIES {
        let mut oracle = Oracle::of(&redis.url(), family).await;
        let queue = format!("again-{family}");
        let (data, opts) = (json!({"fail": "no"}), json!({"timestamp": created}));
        let id = oracle.add(&queue, "n", data, opts).await;
        oracle.ask("startWorker", &queue, json!({"workerId": "w"})).await;
        oracle.wait(&queue, "failed", 1).await;
        oracle.ask("stopWorker", &queue, json!({"workerId": "w"})).await;
        jobs.push((family, queue, oracle, id));
    }
    let began = now_ms();
    for (_, queue, oracle, id) in &mut jobs {
        follows(&drover, &format!("bull:{queue}")).await;
        let retry = json!({"jobId": id, "method": "retry"});
        oracle.ask("callJob", queue, retry).await;
        is_new(&drover, &format!("bull:{queue}"), began).await;
        let job = drover.job(&format!("bull:{queue}"), id).await;
        assert!(job["ready"].as_u64().unwrap() >= began, "{job}");
    }
    let late = Drover::over(&redis.url()).await;
    for (family, queue, _, id) in &jobs {
        if *family == "bull" {
            // Bull stores that time.
            is_new(&late, &format!("bull:{queue}"), began).await;
            continue;
        }
        is_unknown(&late, &format!("bull:{queue}"), created).await;
        for (path, text) in [
            (String::new(), "Created 14 d ago; when it became ready is not known"),
            (format!("/jobs/{id}"), "when it became ready is not recorded"),
        ] {
            let html = late.get(&format!("/queues/redis/bull:{queue}{path}")).await.body;
            assert!(html.contains(text), "{html}");
        }
    }
}

#[tokio::test]
async fn a_parent_waits_since_its_children_let_it_go() {
    let redis = Redis::start();
    let drover = Drover::over(&redis.url()).await;
    let created = now_ms() - HOUR;
    let mut flows = Vec::new();
    for family in &FAMILIES[1..] {
        let mut oracle = Oracle::of(&redis.url(), family).await;
        let (parents, children) = (format!("parents-{family}"), format!("children-{family}"));
        let old = json!({"timestamp": created});
        let tree = json!({"name": "p", "queueName": parents, "opts": old, "children": [
            {"name": "c", "queueName": children, "opts": old}
        ]});
        oracle.ask("flow", &parents, json!({"tree": tree})).await;
        flows.push((parents, children, oracle));
    }
    let began = now_ms();
    for (parents, children, oracle) in &mut flows {
        follows(&drover, &format!("bull:{parents}")).await;
        oracle.ask("startWorker", children, json!({"workerId": "w"})).await;
        oracle.wait(parents, "waiting", 1).await;
        is_new(&drover, &format!("bull:{parents}"), began).await;
    }
    let late = Drover::over(&redis.url()).await;
    for (parents, ..) in &flows {
        is_unknown(&late, &format!("bull:{parents}"), created).await;
    }
}
