//! Jobs whose worker is lost: active, and held by no worker.

use super::bench::{Bench, Of, done};
use crate::support::{SOON, eventually};
use drover::model::action::{Effect, JobAction};
use drover::model::state::JobState;
use serde_json::json;

/// A job that a worker held until it crashed. Its lock is gone, and no worker has looked for lost jobs yet.
async fn lost(bench: &mut Bench, opts: serde_json::Value) -> String {
    bench.work().await;
    let id = bench.oracle.add("q", "job", json!({"hold": true}), opts).await;
    bench.becomes(&id, "active").await;
    id
}

async fn crash(bench: &mut Bench, id: &str) {
    bench
        .oracle
        .ask("stopWorker", "q", json!({"workerId": "w", "force": true}))
        .await;
    let _: i64 = bench.redis.run(&["DEL", &format!("bull:q:{id}:lock")]);
}

fn fail() -> JobAction {
    JobAction::FailLost {
        error: "Its worker é is lost".into(),
    }
}

on!(a_lost_job_is_failed_and_a_held_one_is_not);
async fn a_lost_job_is_failed_and_a_held_one_is_not(family: Of) {
    let mut bench = Bench::of(family).await;
    let id = lost(&mut bench, json!({"attempts": 3})).await;
    let held = bench.act_seen(&id, JobState::Active, fail()).await;
    assert!(
        matches!(&held, Effect::Locked { by } if by.contains("holds it")),
        "{held:?}"
    );
    crash(&mut bench, &id).await;
    assert_eq!(bench.act_seen(&id, JobState::Active, fail()).await, done());
    assert_eq!(bench.state(&id).await, "failed");
    bench.counts_are(json!({"failed": 1})).await;
    assert_eq!(bench.job(&id).await["failedReason"], "Its worker é is lost");
    assert!(bench.job(&id).await["finishedOn"].is_u64());
    let again = bench.act_seen(&id, JobState::Active, fail()).await;
    assert!(matches!(again, Effect::Already { .. }), "{again:?}");
    // It can be retried like any other job.
    assert_eq!(bench.act(&id, super::bench::retry()).await, done());
    bench.counts_are(json!({"waiting": 1})).await;
    bench.is_whole();
}

on!(a_lost_job_is_put_back_and_runs: bullmq_5 bullmq_6);
async fn a_lost_job_is_put_back_and_runs(family: Of) {
    let mut bench = Bench::of(family).await;
    let id = lost(&mut bench, json!({})).await;
    let held = bench.act_seen(&id, JobState::Active, JobAction::PutBack).await;
    assert!(matches!(held, Effect::Locked { .. }), "{held:?}");
    crash(&mut bench, &id).await;
    bench.oracle.ask("pause", "q", json!({})).await;
    assert_eq!(bench.act_seen(&id, JobState::Active, JobAction::PutBack).await, done());
    bench.counts_are(json!({"waiting": 1})).await;
    let again = bench.act_seen(&id, JobState::Active, JobAction::PutBack).await;
    assert!(matches!(again, Effect::Already { .. }), "{again:?}");
    bench.oracle.ask("resume", "q", json!({})).await;
    bench.oracle.ask("startWorker", "q", json!({"workerId": "next"})).await;
    bench.becomes(&id, "active").await;
    eventually("the job that runs again", SOON, || async {
        // Its first run still waits for the same message.
        let mut connection = bench.redis.connection();
        let held: bool = redis::cmd("EXISTS")
            .arg(format!("bull:q:{id}:lock"))
            .query(&mut connection)
            .unwrap();
        held.then_some(())
    })
    .await;
    while bench.state(&id).await == "active" {
        bench.oracle.ask("release", "q", json!({"jobId": id})).await;
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(bench.state(&id).await, "completed");
    bench.is_whole();
}

on!(a_lost_child_fails_its_parent_where_that_was_asked: bullmq_5 bullmq_6);
async fn a_lost_child_fails_its_parent_where_that_was_asked(family: Of) {
    let mut bench = Bench::of(family).await;
    bench.work().await;
    let child = json!({"name": "c", "queueName": "q", "data": {"hold": true}, "opts": {"failParentOnFailure": true}});
    let tree = json!({"name": "p", "queueName": "parents", "data": {}, "children": [child]});
    let tree = bench.oracle.ask("flow", "q", json!({"tree": tree})).await;
    let (parent, child) = (
        tree["jobId"].as_str().unwrap(),
        tree["children"][0]["jobId"].as_str().unwrap(),
    );
    bench.becomes(child, "active").await;
    crash(&mut bench, child).await;
    assert_eq!(bench.act(child, fail()).await, done());
    bench
        .oracle
        .ask("startWorker", "parents", json!({"workerId": "p"}))
        .await;
    bench.oracle.wait("parents", "failed", 1).await;
    assert!(
        bench.oracle.job("parents", parent).await["failedReason"]
            .as_str()
            .unwrap()
            .contains(child)
    );
}
