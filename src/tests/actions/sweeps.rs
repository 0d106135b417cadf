//! Whole states in batches.

use super::bench::{Bench, Of};
use drover::model::action::{Sweep, Swept};
use drover::model::state::JobState;
use drover::server::adapter::{Adapter as _, QueueId, SweepError};
use serde_json::{Value, json};

async fn sweep(bench: &Bench, sweep: &Sweep, limit: usize) -> Result<Swept, SweepError> {
    bench.adapter.sweep(&QueueId::from("bull:q"), sweep, limit).await
}

/// Batch after batch until nothing is left.
async fn all(bench: &Bench, what: &Sweep, limit: usize) -> u64 {
    let mut done = 0;
    for _ in 0..100 {
        let swept = sweep(bench, what, limit).await.unwrap();
        assert!(swept.done <= limit as u64, "{swept:?}");
        done += swept.done;
        if !swept.more {
            return done;
        }
    }
    panic!("{what:?} never ends: {done}");
}

async fn many_failed(bench: &mut Bench, count: usize) {
    let jobs = json!({"count": count, "data": bench.failing_once()});
    bench.oracle.ask("addMany", "q", jobs).await;
    bench
        .oracle
        .ask("startWorker", "q", json!({"workerId": "w", "concurrency": 20}))
        .await;
    bench.oracle.wait("q", "failed", count).await;
    bench.rest().await;
}

fn far() -> i64 {
    4_000_000_000_000
}

on!(all_failed_jobs_are_retried_but_those_that_failed_later);
async fn all_failed_jobs_are_retried_but_those_that_failed_later(family: Of) {
    let mut bench = Bench::of(family).await;
    many_failed(&mut bench, 120).await;
    let until: Vec<(String, f64)> = bench.redis.run(&["ZREVRANGE", "bull:q:failed", "0", "0", "WITHSCORES"]);
    #[expect(clippy::cast_possible_truncation, reason = "milliseconds")]
    let until = until[0].1 as i64;
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    let late = bench.failed(json!({"fail": "later"}), json!({})).await;
    let what = Sweep::Retry {
        state: JobState::Failed,
        until,
    };
    assert_eq!(all(&bench, &what, 50).await, 120);
    bench.counts_are(json!({"waiting": 120, "failed": 1})).await;
    bench.work().await;
    bench.oracle.wait("q", "completed", 120).await;
    assert_eq!(bench.state(&late).await, "failed");
    bench.is_whole();
}

on!(a_paused_queue_keeps_what_is_retried);
async fn a_paused_queue_keeps_what_is_retried(family: Of) {
    let mut bench = Bench::of(family).await;
    many_failed(&mut bench, 30).await;
    bench.oracle.add("q", "job", json!({}), json!({})).await;
    bench.oracle.ask("pause", "q", json!({})).await;
    let what = Sweep::Retry {
        state: JobState::Failed,
        until: far(),
    };
    assert_eq!(all(&bench, &what, 10).await, 30);
    bench.counts_are(json!({"waiting": 31})).await;
    bench.oracle.ask("resume", "q", json!({})).await;
    bench.work().await;
    bench.oracle.wait("q", "completed", 31).await;
    bench.is_whole();
}

on!(prioritized_jobs_are_retried_as_such: bullmq_6);
async fn prioritized_jobs_are_retried_as_such(family: Of) {
    let mut bench = Bench::of(family).await;
    bench.failed(family.failing_once(), json!({"priority": 3})).await;
    bench.failed(family.failing_once(), json!({})).await;
    let what = Sweep::Retry {
        state: JobState::Failed,
        until: far(),
    };
    assert_eq!(all(&bench, &what, 50).await, 2);
    bench.counts_are(json!({"waiting": 1, "prioritized": 1})).await;
}

on!(delayed_jobs_run_now_and_schedules_go_on);
async fn delayed_jobs_run_now_and_schedules_go_on(family: Of) {
    let mut bench = Bench::of(family).await;
    for priority in [0, 0, 5] {
        bench
            .oracle
            .add("q", "job", json!({}), json!({"delay": 600_000, "priority": priority}))
            .await;
    }
    if family.is(&["5", "6"]) {
        let plan = json!({"schedulerId": "tick", "repeat": {"pattern": "0 0 1 1 *"}, "template": {"name": "tick"}});
        bench.oracle.ask("upsertScheduler", "q", plan).await;
    } else {
        let repeat = json!({"repeat": {"every": 600_000}});
        bench.oracle.add("q", "tick", json!({}), repeat).await;
    }
    assert_eq!(all(&bench, &Sweep::Promote, 2).await, 3);
    bench.work().await;
    bench.oracle.wait("q", "completed", 3).await;
    bench.counts_are(json!({"completed": 3, "delayed": 1})).await;
}

on!(old_jobs_are_removed_and_new_ones_stay);
async fn old_jobs_are_removed_and_new_ones_stay(family: Of) {
    let mut bench = Bench::of(family).await;
    many_failed(&mut bench, 60).await;
    let clean = |state| Sweep::Clean { state, until: far() };
    assert_eq!(all(&bench, &clean(JobState::Failed), 25).await, 60);
    bench.oracle.ask("addMany", "q", json!({"count": 60})).await;
    bench
        .oracle
        .ask("addMany", "q", json!({"count": 20, "opts": {"delay": 600_000}}))
        .await;
    let before = Sweep::Clean {
        state: JobState::Waiting,
        until: 1000,
    };
    assert_eq!(all(&bench, &before, 25).await, 0, "all of them are newer");
    assert_eq!(all(&bench, &clean(JobState::Waiting), 25).await, 60);
    assert_eq!(all(&bench, &clean(JobState::Delayed), 25).await, 20);
    if family.prioritizes_apart() {
        bench
            .oracle
            .ask("addMany", "q", json!({"count": 5, "opts": {"priority": 2}}))
            .await;
        assert_eq!(all(&bench, &clean(JobState::Prioritized), 25).await, 5);
    }
    bench.counts_are(json!({})).await;
    bench.oracle.ask("addMany", "q", json!({"count": 10})).await;
    bench.oracle.ask("pause", "q", json!({})).await;
    assert_eq!(
        all(&bench, &clean(JobState::Waiting), 4).await,
        10,
        "of a paused queue too"
    );
    let records: Vec<String> = bench.redis.run(&["KEYS", "bull:q:[0-9]*"]);
    assert!(records.is_empty(), "{records:?}");
    bench.is_whole();
}

on!(cleaning_a_child_does_not_delete_its_parent: bullmq_4 bullmq_5 bullmq_6);
async fn cleaning_a_child_does_not_delete_its_parent(family: Of) {
    let mut bench = Bench::of(family).await;
    bench.counts_are(json!({})).await;
    let child = json!({"name": "child", "queueName": "q", "data": {"fail": "no"}});
    let tree = json!({"name": "parent", "queueName": "q", "data": {}, "children": [child]});
    let tree = bench.oracle.ask("flow", "q", json!({"tree": tree})).await;
    let parent = tree["jobId"].as_str().unwrap();
    bench.work().await;
    bench.oracle.wait("q", "failed", 1).await;
    bench.rest().await;
    let clean = Sweep::Clean {
        state: JobState::Failed,
        until: far(),
    };
    assert_eq!(all(&bench, &clean, 10).await, 1);
    assert_eq!(
        bench.state(parent).await,
        "waiting",
        "the library's own clean would have removed it"
    );
    bench.work().await;
    bench.becomes(parent, "completed").await;
}

on!(cleaning_leaves_the_next_job_of_a_schedule);
async fn cleaning_leaves_the_next_job_of_a_schedule(family: Of) {
    let mut bench = Bench::of(family).await;
    if family.is(&["5", "6"]) {
        let plan = json!({"schedulerId": "tick", "repeat": {"pattern": "0 0 1 1 *"}, "template": {"name": "tick"}});
        bench.oracle.ask("upsertScheduler", "q", plan).await;
    } else {
        bench
            .oracle
            .add("q", "tick", json!({}), json!({"repeat": {"every": 600_000}}))
            .await;
    }
    bench
        .oracle
        .add("q", "job", json!({}), json!({"delay": 1_000_000}))
        .await;
    let clean = Sweep::Clean {
        state: JobState::Delayed,
        until: far(),
    };
    assert_eq!(all(&bench, &clean, 10).await, 1);
    bench.counts_are(json!({"delayed": 1})).await;
}

on!(a_queue_is_obliterated_when_it_is_paused);
async fn a_queue_is_obliterated_when_it_is_paused(family: Of) {
    let mut bench = Bench::of(family).await;
    many_failed(&mut bench, 20).await;
    bench.oracle.ask("addMany", "q", json!({"count": 20})).await;
    bench
        .oracle
        .ask("addMany", "q", json!({"count": 20, "opts": {"delay": 600_000}}))
        .await;
    let what = Sweep::Obliterate { force: false };
    let refused = sweep(&bench, &what, 10).await;
    assert!(
        matches!(&refused, Err(SweepError::Refused(reason)) if reason.contains("Pause")),
        "{refused:?}"
    );
    bench.oracle.ask("pause", "q", json!({})).await;
    if !family.is(&["bull"]) {
        let child = json!({"name": "child", "queueName": "elsewhere", "data": {}});
        let tree = json!({"name": "parent", "queueName": "q", "data": {}, "children": [child]});
        bench.oracle.ask("flow", "q", json!({"tree": tree})).await;
    }
    let parents = if family.is(&["bull", "3"]) { 0 } else { 1 };
    assert_eq!(all(&bench, &what, 10).await, 60 + parents);
    if !family.is(&["3"]) {
        let left: Vec<String> = bench.redis.run(&["KEYS", "bull:q:*"]);
        assert!(left.is_empty(), "{left:?}");
    }
}

on!(a_queue_with_running_jobs_is_obliterated_by_force_only: bullmq_5 bullmq_6);
async fn a_queue_with_running_jobs_is_obliterated_by_force_only(family: Of) {
    let mut bench = Bench::of(family).await;
    bench.work().await;
    bench.oracle.add("q", "job", json!({"hold": true}), json!({})).await;
    bench.oracle.wait("q", "active", 1).await;
    bench.oracle.ask("pause", "q", json!({})).await;
    let refused = sweep(&bench, &Sweep::Obliterate { force: false }, 10).await;
    assert!(matches!(refused, Err(SweepError::Refused(_))), "{refused:?}");
    bench
        .oracle
        .ask("stopWorker", "q", json!({"workerId": "w", "force": true}))
        .await;
    assert_eq!(all(&bench, &Sweep::Obliterate { force: true }, 10).await, 1);
}

impl Bench {
    fn failing_once(&self) -> Value {
        self.family.failing_once()
    }
}
