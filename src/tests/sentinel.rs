//! A Redis behind Sentinels: the primary is followed, and a demoted one is not acted on.

use crate::support::app::Drover;
use crate::support::oracle::Oracle;
use crate::support::sentinel::{Guarded, PASSWORD};
use crate::support::{LATER, SOON, eventually};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Jobs that fail first and are retried while the primary changes.
const JOBS: usize = 150;

async fn over(guarded: &Guarded) -> Drover {
    let env = [
        ("DROVER_REDIS_URL", &*guarded.url()),
        ("DROVER_REDIS_SENTINEL_PASSWORD", PASSWORD),
    ];
    Drover::with(&env, "").await
}

#[tokio::test]
async fn a_failover_is_followed_and_a_demoted_primary_is_not_acted_on() {
    let guarded = Guarded::start().await;
    let [old, new] = &guarded.servers;
    let mut before = Oracle::start(&old.url(), 6).await;
    let jobs = vec![json!({"name": "n", "data": {"fail": "no"}}); JOBS];
    before.ask("addBulk", "q", json!({"jobs": jobs})).await;
    before
        .ask("startWorker", "q", json!({"workerId": "w", "concurrency": 10}))
        .await;
    before.wait("q", "failed", JOBS).await;
    before.ask("stopWorker", "q", json!({"workerId": "w"})).await;
    let ids = before.ids("q", "failed", true).await;
    let _: i64 = old.run(&["WAIT", "1", "5000"]);

    let drover = Arc::new(over(&guarded).await);
    drover.counts_become("bull:q", &before.counts("q").await).await;
    let store = drover.get("/api/v1/stores/redis").await.json();
    assert_eq!(store["address"], "shop (Sentinel)", "{store}");
    let sentinel = &store["sentinel"];
    assert_eq!(sentinel["primary"], format!("127.0.0.1:{}", old.port), "{sentinel}");
    assert_eq!((&sentinel["quorum"], &sentinel["replicas"]), (&json!(2), &json!(1)));

    // Each job is retried, the next as soon as one is answered.
    let stopped = Arc::new(AtomicBool::new(false));
    let retries = {
        let (drover, ids, stopped) = (drover.clone(), ids.clone(), stopped.clone());
        tokio::spawn(async move {
            let mut done: Vec<(String, Instant)> = vec![];
            for id in ids.iter().cycle() {
                if stopped.load(Ordering::Relaxed) {
                    return done;
                }
                let answer = drover
                    .post(&format!("/queues/redis/bull:q/jobs/{id}/retry"), &json!({}))
                    .await;
                if answer.status == 200 && answer.json()["result"] == "done" {
                    done.push((id.clone(), Instant::now()));
                }
                tokio::time::sleep(Duration::from_millis(30)).await;
            }
            done
        })
    };
    tokio::time::sleep(Duration::from_millis(500)).await;
    old.freeze();
    guarded.fails_over(old.port).await;
    let switched = Instant::now();
    eventually("Drover reads the new primary", SOON, || async {
        let store = drover.get("/api/v1/stores/redis").await.json();
        let there = store["sentinel"]["primary"] == format!("127.0.0.1:{}", new.port);
        (there && store["reach"] == "live" && store["sentinel"]["switched_at"].is_i64()).then_some(())
    })
    .await;
    // The old primary comes back while it still believes that it is one.
    old.thaw();
    let mut after = Oracle::start(&new.url(), 6).await;
    eventually("each job is retried", LATER, || async {
        let failed: i64 = new.run(&["ZCARD", "bull:q:failed"]);
        (failed == 0).then_some(())
    })
    .await;
    stopped.store(true, Ordering::Relaxed);
    let done = retries.await.unwrap();

    // The library at the new primary has each job once.
    let counts = after.counts("q").await;
    assert_eq!((&counts["waiting"], &counts["failed"]), (&json!(JOBS), &json!(0)));
    drover.counts_become("bull:q", &counts).await;
    // What was told as done later than a second after the switch was done at the new primary: nothing had to be done twice.
    let late: Vec<&String> = (done.iter())
        .filter(|(_, at)| at.duration_since(switched) > Duration::from_secs(1))
        .map(|(id, _)| id)
        .collect();
    assert!(!late.is_empty(), "{} were done before", done.len());
    for id in &late {
        assert_eq!(
            late.iter().filter(|other| *other == id).count(),
            1,
            "{id} was retried twice"
        );
    }
    // Changes arrive from there, and its workers do the work.
    let mut stream = drover.stream("queue:redis/bull:q").await;
    let id = after.add("q", "n", json!({}), json!({})).await;
    stream.until_job(&id).await;
    let page = drover.get("/stores/redis").await.body;
    assert!(page.contains("All 3 Sentinels answer."), "{page}");
}

#[tokio::test]
async fn actions_are_held_while_most_sentinels_do_not_answer() {
    let guarded = Guarded::start().await;
    let mut oracle = Oracle::start(&guarded.servers[0].url(), 6).await;
    let id = oracle.add("q", "n", json!({}), json!({"delay": 900_000})).await;
    let drover = over(&guarded).await;
    drover.knows("bull:q").await;
    guarded.sentinels[0].signal("-STOP");
    let promote = format!("/queues/redis/bull:q/jobs/{id}/promote");
    eventually("one is missed", SOON, || async {
        let store = drover.get("/api/v1/stores/redis").await.json();
        store["sentinel"]["sentinels"][0]["trouble"].is_string().then_some(())
    })
    .await;
    assert!(
        drover.condition("redis", "sentinels_silent").await.is_none(),
        "one of three may be silent"
    );
    guarded.sentinels[1].signal("-STOP");
    let condition = drover.condition_becomes("redis", "sentinels_silent").await;
    let sentence = condition["sentence"].as_str().unwrap();
    assert!(
        sentence.starts_with("2 of 3 Sentinels of shop do not answer"),
        "{sentence}"
    );
    let held = drover.post(&promote, &json!({})).await;
    assert_eq!(held.status, 503, "{}", held.body);
    assert_eq!(held.json()["outcome"], "none", "{}", held.body);
    // Reading goes on.
    oracle.add("q", "n", json!({}), json!({})).await;
    drover.counts_become("bull:q", &oracle.counts("q").await).await;
    for sentinel in &guarded.sentinels {
        sentinel.signal("-CONT");
    }
    drover.condition_ends("redis", "sentinels_silent").await;
    eventually("actions work again", SOON, || async {
        (drover.post(&promote, &json!({})).await.status == 200).then_some(())
    })
    .await;
    assert_eq!(oracle.counts("q").await["delayed"], 0);
}

#[tokio::test]
async fn what_keeps_sentinels_from_telling_is_said() {
    let guarded = Guarded::start().await;
    let url = guarded.url();
    let drover = Drover::with(&[("DROVER_REDIS_URL", &url)], "").await;
    let cause = |store: &serde_json::Value| store["cause"].as_str().map(str::to_owned);
    let cause = eventually("the reason", SOON, || async {
        cause(&drover.store("redis").await).filter(|cause| cause.contains("Sentinel"))
    })
    .await;
    assert!(
        cause.contains("NOAUTH") || cause.to_lowercase().contains("auth"),
        "{cause}"
    );
    assert!(!cause.contains("sesame"), "{cause}");
}
