//! Promoting delayed jobs.

use super::bench::{Bench, Of, done};
use drover::model::action::{Effect, JobAction};
use drover::model::state::JobState;
use serde_json::json;

on!(a_delayed_job_runs_now);
async fn a_delayed_job_runs_now(family: Of) {
    let mut bench = Bench::of(family).await;
    let id = bench.oracle.add("q", "job", json!({}), json!({"delay": 600_000})).await;
    let other = bench.oracle.add("q", "job", json!({}), json!({"delay": 600_000})).await;
    assert_eq!(bench.act_seen(&id, JobState::Delayed, JobAction::Promote).await, done());
    assert_eq!(bench.state(&id).await, "waiting");
    let again = bench.act_seen(&id, JobState::Delayed, JobAction::Promote).await;
    assert!(matches!(again, Effect::Already { .. }), "{again:?}");
    bench.work().await;
    bench.becomes(&id, "completed").await;
    assert_eq!(bench.state(&other).await, "delayed");
    let late = bench.act_seen(&id, JobState::Delayed, JobAction::Promote).await;
    assert!(matches!(late, Effect::Changed { .. }), "{late:?}");
    assert_eq!(bench.act("none", JobAction::Promote).await, Effect::Gone);
    bench.is_whole();
}

on!(its_priority_counts);
async fn its_priority_counts(family: Of) {
    let mut bench = Bench::of(family).await;
    let first = bench
        .oracle
        .add("q", "job", json!({"ms": 4}), json!({"priority": 1}))
        .await;
    let id = bench
        .oracle
        .add("q", "job", json!({"ms": 4}), json!({"delay": 600_000, "priority": 5}))
        .await;
    let last = bench
        .oracle
        .add("q", "job", json!({"ms": 4}), json!({"priority": 9}))
        .await;
    assert_eq!(bench.act(&id, JobAction::Promote).await, done());
    let state = if family.prioritizes_apart() {
        "prioritized"
    } else {
        "waiting"
    };
    assert_eq!(bench.state(&id).await, state);
    bench.work().await;
    bench.oracle.wait("q", "completed", 3).await;
    assert_eq!(bench.oracle.ids("q", "completed", true).await, [first, id, last]);
}

on!(a_job_of_a_paused_queue_waits);
async fn a_job_of_a_paused_queue_waits(family: Of) {
    let mut bench = Bench::of(family).await;
    let id = bench.oracle.add("q", "job", json!({}), json!({"delay": 600_000})).await;
    bench.oracle.add("q", "job", json!({}), json!({})).await;
    bench.oracle.ask("pause", "q", json!({})).await;
    bench.work().await;
    assert_eq!(bench.act(&id, JobAction::Promote).await, done());
    bench.counts_are(json!({"waiting": 2})).await;
    bench.oracle.ask("resume", "q", json!({})).await;
    bench.becomes(&id, "completed").await;
    bench.oracle.wait("q", "completed", 2).await;
    bench.is_whole();
}
