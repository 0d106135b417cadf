//! A running operation: paused, cancelled, queued behind another, stopped by its own effects, killed.

use super::{adds_up, becomes, board, control, failed, operation, preview, start, write_failed};
use crate::support::client;
use crate::support::oracle::Oracle;
use crate::support::process::Process;
use crate::support::redis::Redis;
use crate::support::{LATER, SOON, eventually};
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::test]
async fn one_pauses_goes_on_and_is_cancelled_within_a_batch() {
    let (redis, mut oracle, drover) = board().await;
    write_failed(&redis, "mail", 2_000);
    drover.knows("bull:mail").await;
    let seen = preview(&drover, "retry", "state:failed queue:mail").await;
    assert_eq!(seen["selected"], 2_000);
    let id = start(&drover, &seen, json!({"rate": 200})).await;
    let moving = |least: u64| {
        let (drover, id) = (&drover, &id);
        eventually("progress", SOON, move || async move {
            let now = operation(drover, id).await;
            (now["totals"]["done"].as_u64()? >= least).then_some(now)
        })
    };
    let running = moving(100).await;
    assert_eq!(running["state"], "running");
    assert!(
        running["per_second"].as_f64().is_none_or(|speed| speed < 400.0),
        "{running}"
    );
    control(&drover, &id, "pause").await;
    let paused = becomes(&drover, &id, "paused").await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    let still = operation(&drover, &id).await;
    assert_eq!(still["totals"], paused["totals"], "nothing moves while it is paused");
    control(&drover, &id, "resume").await;
    moving(still["totals"]["done"].as_u64().unwrap() + 50).await;
    control(&drover, &id, "cancel").await;
    let cancelled = becomes(&drover, &id, "cancelled").await;
    let done = cancelled["totals"]["done"].as_u64().unwrap();
    assert!(done < 2_000);
    let counts = oracle.counts("mail").await;
    assert_eq!(
        (counts["waiting"].as_u64(), counts["failed"].as_u64()),
        (Some(done), Some(2_000 - done))
    );
    // And again for the rest.
    let answer = drover.post(&format!("/operations/{id}/again"), &json!({})).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let rest = answer.json();
    assert_eq!(rest["selected"].as_u64(), Some(2_000 - done));
    let id = start(&drover, &rest, json!({})).await;
    let all = becomes(&drover, &id, "done").await;
    assert_eq!(all["totals"]["done"].as_u64(), Some(2_000 - done), "{all}");
    assert_eq!(oracle.counts("mail").await["waiting"], 2_000);
}

#[tokio::test]
async fn one_at_a_time_works_in_a_store_and_the_next_can_be_cancelled_while_it_waits() {
    let (redis, mut oracle, drover) = board().await;
    write_failed(&redis, "a", 1_000);
    write_failed(&redis, "b", 10);
    drover.knows("bull:a").await;
    drover.knows("bull:b").await;
    let first = preview(&drover, "retry", "state:failed queue:a").await;
    let first = start(&drover, &first, json!({"rate": 100})).await;
    becomes(&drover, &first, "running").await;
    let second = preview(&drover, "retry", "state:failed queue:b").await;
    let second = start(&drover, &second, json!({})).await;
    let third = preview(&drover, "remove", "state:failed queue:b").await;
    let third = start(&drover, &third, json!({})).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(operation(&drover, &second).await["state"], "queued");
    control(&drover, &second, "cancel").await;
    becomes(&drover, &second, "cancelled").await;
    assert_eq!(oracle.counts("b").await["failed"], 10);
    control(&drover, &first, "cancel").await;
    let removed = becomes(&drover, &third, "done").await;
    assert_eq!(removed["totals"]["done"], 10, "{removed}");
    let listed = drover.get("/api/v1/operations").await.json();
    let ids: Vec<&str> = listed["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|o| o["id"].as_str())
        .collect();
    assert_eq!(
        ids,
        [third.as_str(), second.as_str(), first.as_str()],
        "the newest first"
    );
}

#[tokio::test]
async fn one_stops_by_itself_when_the_first_jobs_fail_again() {
    let (_redis, mut oracle, drover) = board().await;
    failed(&mut oracle, "mail", "send", 60, "still broken").await;
    drover.knows("bull:mail").await;
    drover.counts_become("bull:mail", &oracle.counts("mail").await).await;
    oracle
        .ask(
            "startWorker",
            "mail",
            json!({"workerId": "live", "opts": {"concurrency": 5}}),
        )
        .await;
    let seen = preview(&drover, "retry", "state:failed queue:mail").await;
    let canary = json!({"canary": {"jobs": 10, "watch_s": 30, "stop_percent": 50}});
    let id = start(&drover, &seen, canary).await;
    let stopped = becomes(&drover, &id, "stopped").await;
    assert_eq!(stopped["totals"]["done"], 10, "{stopped}");
    assert!(stopped["note"].as_str().unwrap().contains("failed again"), "{stopped}");
    assert_eq!(oracle.counts("mail").await["failed"], 60);
}

#[tokio::test]
async fn the_rest_follows_when_the_first_jobs_do_well() {
    let (_redis, mut oracle, drover) = board().await;
    oracle
        .ask(
            "addMany",
            "mail",
            json!({"count": 40, "name": "send", "data": {"failTimes": 1}}),
        )
        .await;
    let worker = json!({"workerId": "live", "opts": {"concurrency": 10}});
    oracle.ask("startWorker", "mail", worker).await;
    oracle.wait("mail", "failed", 40).await;
    drover.knows("bull:mail").await;
    drover.counts_become("bull:mail", &oracle.counts("mail").await).await;
    let seen = preview(&drover, "retry", "state:failed queue:mail").await;
    let canary = json!({"canary": {"jobs": 5, "watch_s": 30, "stop_percent": 20}});
    let id = start(&drover, &seen, canary).await;
    let done = becomes(&drover, &id, "done").await;
    assert_eq!(done["totals"]["done"], 40, "{done}");
    oracle.wait("mail", "completed", 40).await;
}

#[tokio::test]
async fn a_store_that_goes_away_is_waited_for() {
    let (mut redis, _oracle, drover) = board().await;
    redis.run::<()>(&["CONFIG", "SET", "appendonly", "yes"]);
    write_failed(&redis, "mail", 3_000);
    drover.knows("bull:mail").await;
    let seen = preview(&drover, "retry", "state:failed queue:mail").await;
    let id = start(&drover, &seen, json!({"rate": 1_000})).await;
    eventually("progress", SOON, || async {
        (operation(&drover, &id).await["totals"]["done"].as_u64()? > 200).then_some(())
    })
    .await;
    redis.run::<()>(&["SAVE"]);
    redis.kill();
    drover.store_becomes("redis", "gone").await;
    redis.restart(&["--appendonly", "yes"]);
    let done = becomes(&drover, &id, "done").await;
    assert_eq!(done["totals"]["selected"], 3_000);
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    let counts = oracle.counts("mail").await;
    assert_eq!(
        counts["waiting"].as_u64().unwrap() + counts["failed"].as_u64().unwrap(),
        3_000,
        "{counts}"
    );
}

/// Sends a request to a Drover process.
async fn ask(port: u16, method: &str, path: &str, body: Value) -> Value {
    let headers = [("X-Drover", "1"), ("Content-Type", "application/json")];
    let path = format!("/admin/queues/api/v1{path}");
    let answer = client::request(port, method, &path, &headers, &body.to_string()).await;
    assert!(answer.status < 300, "{path}: {}", answer.body);
    answer.json()
}

#[tokio::test]
async fn a_kill_in_the_middle_of_a_hundred_thousand_jobs_loses_no_count() {
    const JOBS: u32 = 100_000;
    let redis = Redis::start();
    write_failed(&redis, "mail", JOBS);
    let mut process = Process::over(&redis.url(), None).await;
    eventually("the queue", LATER, || async {
        let path = "/admin/queues/api/v1/queues/redis/bull%3Amail";
        let answer = client::get(process.port, path).await;
        (answer.status == 200 && answer.json()["counts"]["failed"] == JOBS).then_some(())
    })
    .await;
    let wanted = json!({"action": "retry", "filter": "state:failed queue:mail", "dry_run": true});
    let seen = ask(process.port, "POST", "/operations", wanted).await;
    assert_eq!(seen["selected"], JOBS, "{}", seen["sentence"]);
    let started = ask(process.port, "POST", "/operations", json!({"token": seen["token"]})).await;
    let path = format!("/operations/{}", started["id"].as_str().unwrap());
    // Three times, each at another place.
    for part in [10_000, 40_000, 70_000] {
        eventually("progress", LATER * 4, || async {
            let now = ask(process.port, "GET", &path, json!({})).await;
            (now["totals"]["done"].as_u64()? >= part).then_some(())
        })
        .await;
        process.kill_and_restart().await;
        let now = ask(process.port, "GET", &path, json!({})).await;
        assert!(
            now["totals"]["done"].as_u64().unwrap() >= part / 2,
            "what was written down is known: {now}"
        );
        adds_up(&now);
    }
    let done = eventually("the end", LATER * 8, || async {
        let now = ask(process.port, "GET", &path, json!({})).await;
        (now["state"] == "done").then_some(now)
    })
    .await;
    adds_up(&done);
    let totals = &done["totals"];
    let n = |name: &str| totals[name].as_u64().unwrap();
    assert_eq!(n("done") + n("unconfirmed") + n("already"), u64::from(JOBS), "{totals}");
    assert!(n("unconfirmed") < 3 * 1_000, "only what was under way: {totals}");
    // The library has every job, once.
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    let counts = oracle.counts("mail").await;
    assert_eq!(
        (counts["waiting"].as_u64(), counts["failed"].as_u64()),
        (Some(JOBS.into()), Some(0))
    );
    let ids: Vec<String> = redis.run(&["LRANGE", "bull:mail:wait", "0", "-1"]);
    let unique: std::collections::HashSet<&String> = ids.iter().collect();
    assert_eq!(unique.len(), JOBS as usize, "none is there twice");
}
