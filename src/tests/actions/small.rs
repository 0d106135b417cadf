//! The small edits of one job: delay, priority, data, logs, deduplication, cancelling.

use super::bench::{Bench, Of, done};
use drover::model::action::{Effect, JobAction};
use drover::model::state::JobState;
use serde_json::json;

on!(a_delay_counts_from_now: bullmq_3 bullmq_4 bullmq_5 bullmq_6);
async fn a_delay_counts_from_now(family: Of) {
    let mut bench = Bench::of(family).await;
    let id = bench.oracle.add("q", "job", json!({}), json!({"delay": 600_000})).await;
    bench.work().await;
    let longer = JobAction::Delay { ms: 900_000 };
    assert_eq!(bench.act_seen(&id, JobState::Delayed, longer).await, done());
    let score: f64 = bench.redis.run(&["ZSCORE", "bull:q:delayed", &id]);
    let due = score / 4096.0 - bench.job(&id).await["timestamp"].as_f64().unwrap();
    assert!((899_000.0..960_000.0).contains(&due), "{due}");
    assert_eq!(
        bench
            .act_seen(&id, JobState::Delayed, JobAction::Delay { ms: 100 })
            .await,
        done()
    );
    bench.becomes(&id, "completed").await;
    let late = bench.act(&id, JobAction::Delay { ms: 100 }).await;
    assert!(matches!(late, Effect::Changed { .. }), "{late:?}");
}

on!(a_priority_puts_a_job_in_its_place: bullmq_3 bullmq_4 bullmq_5 bullmq_6);
async fn a_priority_puts_a_job_in_its_place(family: Of) {
    let mut bench = Bench::of(family).await;
    let to = |priority| JobAction::Priority { priority, lifo: false };
    let mut ids = vec![];
    for priority in [1, 5, 9] {
        ids.push(
            bench
                .oracle
                .add("q", "job", json!({"ms": 4}), json!({"priority": priority}))
                .await,
        );
    }
    let plain = bench.oracle.add("q", "job", json!({"ms": 4}), json!({})).await;
    let delayed = bench
        .oracle
        .add("q", "job", json!({"ms": 4}), json!({"delay": 600_000}))
        .await;
    assert_eq!(bench.act(&ids[2], to(3)).await, done());
    assert_eq!(bench.act(&plain, to(7)).await, done());
    assert_eq!(bench.act(&delayed, to(2)).await, done());
    let again = bench.act(&plain, to(7)).await;
    assert!(matches!(again, Effect::Already { .. }), "{again:?}");
    assert_eq!(bench.act(&delayed, JobAction::Promote).await, done());
    let state = if family.prioritizes_apart() {
        "prioritized"
    } else {
        "waiting"
    };
    assert_eq!(bench.state(&plain).await, state);
    bench.work().await;
    bench.oracle.wait("q", "completed", 5).await;
    let order = bench.oracle.ids("q", "completed", true).await;
    assert_eq!(order, [&ids[0], &delayed, &ids[2], &ids[1], &plain].map(Clone::clone));
    bench.is_whole();
}

on!(a_priority_is_changed_while_the_queue_is_paused: bullmq_4 bullmq_5 bullmq_6);
async fn a_priority_is_changed_while_the_queue_is_paused(family: Of) {
    let mut bench = Bench::of(family).await;
    let id = bench.oracle.add("q", "job", json!({"ms": 4}), json!({})).await;
    let other = bench.oracle.add("q", "job", json!({"ms": 4}), json!({})).await;
    bench.oracle.ask("pause", "q", json!({})).await;
    assert_eq!(
        bench
            .act(
                &id,
                JobAction::Priority {
                    priority: 4,
                    lifo: false
                }
            )
            .await,
        done()
    );
    bench.counts_are(json!({"waiting": 1, "prioritized": 1})).await;
    bench.oracle.ask("resume", "q", json!({})).await;
    bench.work().await;
    bench.oracle.wait("q", "completed", 2).await;
    assert_eq!(bench.oracle.ids("q", "completed", true).await, [other, id]);
}

on!(data_are_replaced_and_the_old_ones_kept);
async fn data_are_replaced_and_the_old_ones_kept(family: Of) {
    let mut bench = Bench::of(family).await;
    let id = bench.oracle.add("q", "job", json!({"to": "nobody"}), json!({})).await;
    let text = r#"{"to": "somebody",  "n": 12345678901234567890, "s": "\u00e9\/"}"#;
    let edit = JobAction::EditData { data: text.into() };
    assert_eq!(bench.act_seen(&id, JobState::Waiting, edit.clone()).await, done());
    let stored: String = bench.redis.run(&["HGET", &format!("bull:q:{id}"), "data"]);
    assert_eq!(stored, text, "not a byte is changed");
    let job = bench.job(&id).await;
    assert!(
        job["logs"][0].as_str().unwrap().ends_with(r#"{"to":"nobody"}"#),
        "{job}"
    );
    let again = bench.act(&id, edit).await;
    assert!(matches!(again, Effect::Already { .. }), "{again:?}");
    let active = bench.oracle.add("q", "job", json!({"hold": true}), json!({})).await;
    bench.work().await;
    bench.becomes(&active, "active").await;
    let held = bench.act(&active, JobAction::EditData { data: "{}".into() }).await;
    assert!(
        matches!(held, Effect::Changed { .. } | Effect::Locked { .. }),
        "{held:?}"
    );
    bench.oracle.ask("release", "q", json!({"all": true})).await;
}

on!(log_lines_go_but_the_newest);
async fn log_lines_go_but_the_newest(family: Of) {
    let mut bench = Bench::of(family).await;
    bench.work().await;
    let id = bench
        .oracle
        .add("q", "job", json!({"log": ["a", "b", "c"]}), json!({}))
        .await;
    bench.becomes(&id, "completed").await;
    assert_eq!(bench.act(&id, JobAction::ClearLogs { keep: 1 }).await, done());
    assert_eq!(bench.job(&id).await["logs"], json!(["c"]));
    assert_eq!(bench.act(&id, JobAction::ClearLogs { keep: 0 }).await, done());
    assert_eq!(bench.job(&id).await["logs"], json!([]));
    let again = bench.act(&id, JobAction::ClearLogs { keep: 0 }).await;
    assert!(matches!(again, Effect::Already { .. }), "{again:?}");
}

on!(a_deduplication_key_is_let_go: bull bullmq_5 bullmq_6);
async fn a_deduplication_key_is_let_go(family: Of) {
    let mut bench = Bench::of(family).await;
    let options = if family.is(&["bull"]) {
        json!({"debounce": {"id": "once:only", "ttl": 600_000}})
    } else {
        json!({"deduplication": {"id": "once:only"}})
    };
    let id = bench.oracle.add("q", "job", json!({}), options.clone()).await;
    assert_eq!(
        bench.oracle.add("q", "job", json!({}), options.clone()).await,
        id,
        "kept away"
    );
    assert_eq!(bench.act(&id, JobAction::RemoveDeduplication).await, done());
    let again = bench.act(&id, JobAction::RemoveDeduplication).await;
    assert!(matches!(again, Effect::Already { .. }), "{again:?}");
    let second = bench.oracle.add("q", "job", json!({}), options).await;
    assert_ne!(second, id);
    let others = bench.act(&id, JobAction::RemoveDeduplication).await;
    assert!(
        matches!(&others, Effect::Refused { reason } if reason.contains(&second)),
        "{others:?}"
    );
    let plain = bench.oracle.add("q", "job", json!({}), json!({})).await;
    let none = bench.act(&plain, JobAction::RemoveDeduplication).await;
    assert!(matches!(none, Effect::Refused { .. }), "{none:?}");
}

on!(a_cancelled_job_fails_when_it_is_taken: bullmq_5 bullmq_6);
async fn a_cancelled_job_fails_when_it_is_taken(family: Of) {
    let mut bench = Bench::of(family).await;
    let id = bench.oracle.add("q", "job", json!({}), json!({"attempts": 3})).await;
    let other = bench.oracle.add("q", "job", json!({}), json!({})).await;
    let cancel = JobAction::Cancel {
        error: "Cancelled by é".into(),
    };
    assert_eq!(bench.act_seen(&id, JobState::Waiting, cancel.clone()).await, done());
    let again = bench.act_seen(&id, JobState::Waiting, cancel.clone()).await;
    assert!(matches!(again, Effect::Already { .. }), "{again:?}");
    bench.work().await;
    bench.becomes(&id, "failed").await;
    assert_eq!(bench.job(&id).await["failedReason"], "Cancelled by é");
    bench.becomes(&other, "completed").await;
    let late = bench.act_seen(&id, JobState::Waiting, cancel).await;
    assert!(matches!(late, Effect::Already { .. }), "{late:?}");
}

on!(what_a_generation_cannot_do_is_refused_with_its_reason: bull bullmq_3 bullmq_4);
async fn what_a_generation_cannot_do_is_refused_with_its_reason(family: Of) {
    let mut bench = Bench::of(family).await;
    let id = bench.oracle.add("q", "job", json!({}), json!({})).await;
    for action in [
        JobAction::PutBack,
        JobAction::Cancel { error: "no".into() },
        JobAction::RemoveChildren,
    ] {
        let effect = bench.act(&id, action).await;
        assert!(
            matches!(&effect, Effect::Refused { reason } if reason.ends_with('.')),
            "{effect:?}"
        );
    }
    bench.counts_are(json!({"waiting": 1})).await;
}
