//! Through Drover's own API: lost jobs, logs, deduplication, cancelling, limits, schedules, and the end of a queue.

use super::api::Ground;
use super::bench::Of;
use drover::model::address::encode_segment;
use serde_json::{Value, json};

/// Does an action on the queue or on a schedule, and returns the outcome.
async fn asked(ground: &Ground, path: &str, body: Value) -> Value {
    let answer = ground.drover.post(path, &body).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    answer.json()["result"].clone()
}

on!(a_lost_job_is_failed_and_runs_when_it_is_retried);
async fn a_lost_job_is_failed_and_runs_when_it_is_retried(family: Of) {
    let (mut ground, _) = Ground::of(family, &[json!({"fail": "no"})]).await;
    ground.work().await;
    let id = ground.add(json!({"hold": true}), json!({})).await;
    ground.oracle.wait("q", "active", 1).await;
    let error = json!({"error": "its host is gone"});
    let held = ground.post(&id, "fail_lost", &error).await;
    assert_eq!(held.status, 409, "a worker is at it: {}", held.body);
    let forced = json!({"workerId": "w", "force": true});
    ground.oracle.ask("stopWorker", "q", forced).await;
    let _: i64 = ground.redis.run(&["DEL", &format!("bull:q:{id}:lock")]);
    ground.done(&id, "fail_lost", error).await;
    assert_eq!(ground.state(&id).await, "failed");
    assert_eq!(ground.oracle.job("q", &id).await["failedReason"], "its host is gone");
    ground.done(&id, "edit_data", json!({"data": "{}"})).await;
    ground.done(&id, "retry", json!({})).await;
    ground.work().await;
    ground.oracle.wait("q", "completed", 1).await;
    assert_eq!(ground.state(&id).await, "completed");
    assert_eq!(ground.oracle.counts("q").await["failed"], 1, "and nothing else ran");
}

on!(what_hangs_on_a_job_is_taken_off_it);
async fn what_hangs_on_a_job_is_taken_off_it(family: Of) {
    let (mut ground, _) = Ground::of(family, &[json!({"fail": "no"})]).await;
    ground.work().await;
    let logged = ground.add(json!({"log": ["a", "b", "c"]}), json!({})).await;
    ground.oracle.wait("q", "completed", 1).await;
    ground.rest().await;
    ground.done(&logged, "clear_logs", json!({"keep": 1})).await;
    assert_eq!(ground.oracle.job("q", &logged).await["logs"], json!(["c"]));

    if family.is(&["bull", "5", "6"]) {
        let once = match family.is(&["bull"]) {
            true => json!({"debounce": {"id": "once", "ttl": 600_000}}),
            false => json!({"deduplication": {"id": "once"}}),
        };
        let id = ground.add(json!({}), once.clone()).await;
        assert_eq!(ground.add(json!({}), once.clone()).await, id, "kept away");
        ground.done(&id, "remove_deduplication", json!({})).await;
        assert_ne!(ground.add(json!({}), once).await, id);
    }
    if family.is(&["5", "6"]) {
        let before = ground.oracle.counts("q").await["completed"].clone();
        let id = ground.add(json!({}), json!({"attempts": 3})).await;
        let cancel = json!({"error": "not wanted", "seen": {"state": "waiting"}});
        ground.done(&id, "cancel", cancel).await;
        ground.work().await;
        ground.oracle.wait("q", "failed", 2).await;
        assert_eq!(ground.oracle.job("q", &id).await["failedReason"], "not wanted");
        assert_eq!(before, 1);
    }
}

on!(limits_are_set_and_events_trimmed_where_there_are_any);
async fn limits_are_set_and_events_trimmed_where_there_are_any(family: Of) {
    let (mut ground, _) = Ground::of(family, &[json!({"fail": "no"})]).await;
    let queue = "/queues/redis/bull:q";
    if family.is(&["5", "6"]) {
        assert_eq!(
            asked(&ground, &format!("{queue}/concurrency"), json!({"limit": 2})).await,
            "done"
        );
        let rate = json!({"limit": {"max": 5, "per_ms": 60_000}});
        assert_eq!(asked(&ground, &format!("{queue}/rate_limit"), rate).await, "done");
        let call = |method: &str| json!({"method": method});
        assert_eq!(ground.oracle.ask("call", "q", call("getGlobalConcurrency")).await, 2);
        let theirs = ground.oracle.ask("call", "q", call("getGlobalRateLimit")).await;
        assert_eq!(theirs, json!({"max": 5, "duration": 60_000}));
        for word in ["concurrency", "rate_limit"] {
            let none = json!({"limit": null});
            assert_eq!(asked(&ground, &format!("{queue}/{word}"), none).await, "done");
        }
        assert!(
            ground
                .oracle
                .ask("call", "q", call("getGlobalConcurrency"))
                .await
                .is_null()
        );
    }
    if !family.is(&["bull"]) {
        let length = |ground: &Ground| ground.redis.run::<i64>(&["XLEN", "bull:q:events"]);
        assert!(length(&ground) > 0);
        let all = json!({"keep": 0});
        assert_eq!(asked(&ground, &format!("{queue}/trim_events"), all).await, "done");
        assert_eq!(length(&ground), 0);
    }
}

on!(a_schedule_runs_now_and_is_removed);
async fn a_schedule_runs_now_and_is_removed(family: Of) {
    let (mut ground, _) = Ground::of(family, &[json!({"fail": "no"})]).await;
    let planned = family.is(&["5", "6"]);
    let key = if planned {
        let plan = json!({"name": "tick", "data": "{\"n\": 1}", "pattern": "0 0 1 1 *", "tz": "Europe/Paris"});
        assert_eq!(
            asked(&ground, "/schedules/redis/bull:q/tick/upsert", plan).await,
            "done"
        );
        let theirs = json!({"method": "getJobScheduler", "args": ["tick"]});
        assert_eq!(ground.oracle.ask("call", "q", theirs).await["pattern"], "0 0 1 1 *");
        "tick".to_owned()
    } else {
        let repeat = json!({"repeat": {"cron": "0 0 1 1 *", "pattern": "0 0 1 1 *"}});
        ground.oracle.add("q", "tick", json!({"n": 1}), repeat).await;
        let keys: Vec<String> = ground.redis.run(&["ZRANGE", "bull:q:repeat", "0", "-1"]);
        keys[0].clone()
    };
    let path = format!("/schedules/redis/bull:q/{}", encode_segment(&key));
    let next = ground.oracle.ids("q", "delayed", true).await;
    assert_eq!(asked(&ground, &format!("{path}/run"), json!({})).await, "done");
    ground.work().await;
    ground.oracle.wait("q", "completed", 1).await;
    assert_eq!(ground.oracle.ids("q", "delayed", true).await, next, "the plan stays");
    assert_eq!(asked(&ground, &format!("{path}/remove"), json!({})).await, "done");
    assert_eq!(ground.oracle.counts("q").await["delayed"], 0);
    let left: Vec<String> = ground.redis.run(&["ZRANGE", "bull:q:repeat", "0", "-1"]);
    assert_eq!(left, Vec::<String>::new());
}

on!(a_queue_is_obliterated);
async fn a_queue_is_obliterated(family: Of) {
    let (mut ground, _) = Ground::of(family, &[json!({"fail": "no"}), json!({"fail": "no"})]).await;
    ground.add(json!({}), json!({"delay": 600_000})).await;
    let path = "/queues/redis/bull:q/obliterate";
    let running = ground.drover.post(path, &json!({"name": "q"})).await;
    assert!(running.body.contains("Pause the queue first"), "{}", running.body);
    assert_eq!(asked(&ground, "/queues/redis/bull:q/pause", json!({})).await, "done");
    assert_eq!(asked(&ground, path, json!({"name": "q"})).await, "done");
    let counts = ground.oracle.counts("q").await;
    let counts = counts.as_object().unwrap();
    assert!(counts.values().all(|count| *count == 0), "{counts:?}");
    let jobs: Vec<String> = ground.redis.run(&["KEYS", "bull:q:[0-9]*"]);
    assert_eq!(jobs, Vec::<String>::new());
}
