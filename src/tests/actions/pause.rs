//! Pausing and resuming queues. The wrong generation's script loses jobs here.

use super::bench::{Bench, Of, done};
use drover::model::action::{Effect, QueueAction};
use serde_json::json;

on!(a_paused_queue_keeps_its_jobs_until_it_is_resumed);
async fn a_paused_queue_keeps_its_jobs_until_it_is_resumed(family: Of) {
    let mut bench = Bench::of(family).await;
    for _ in 0..3 {
        bench.oracle.add("q", "job", json!({}), json!({})).await;
    }
    bench.oracle.add("q", "job", json!({}), json!({"priority": 3})).await;
    assert_eq!(bench.act_on_queue(QueueAction::Pause).await, done());
    assert_eq!(bench.oracle.ask("isPaused", "q", json!({})).await, true);
    let again = bench.act_on_queue(QueueAction::Pause).await;
    assert!(matches!(again, Effect::Already { .. }), "{again:?}");
    bench.work().await;
    let late = bench.oracle.add("q", "job", json!({}), json!({})).await;
    let waiting = if family.prioritizes_apart() { 4 } else { 5 };
    bench
        .counts_are(json!({"waiting": waiting, "prioritized": 5 - waiting}))
        .await;
    let list: i64 = bench.redis.run(&["LLEN", "bull:q:paused"]);
    assert_eq!(list > 0, family.renames(), "the layout of its own generation");
    assert_eq!(bench.act_on_queue(QueueAction::Resume).await, done());
    assert_eq!(bench.oracle.ask("isPaused", "q", json!({})).await, false);
    bench.oracle.wait("q", "completed", 5).await;
    bench.becomes(&late, "completed").await;
    let again = bench.act_on_queue(QueueAction::Resume).await;
    assert!(matches!(again, Effect::Already { .. }), "{again:?}");
    bench.is_whole();
}

on!(the_library_undoes_our_pause_and_we_undo_its);
async fn the_library_undoes_our_pause_and_we_undo_its(family: Of) {
    let mut bench = Bench::of(family).await;
    for _ in 0..3 {
        bench.oracle.add("q", "job", json!({}), json!({})).await;
    }
    assert_eq!(bench.act_on_queue(QueueAction::Pause).await, done());
    bench.oracle.add("q", "job", json!({}), json!({})).await;
    bench.oracle.ask("resume", "q", json!({})).await;
    bench.counts_are(json!({"waiting": 4})).await;
    bench.oracle.ask("pause", "q", json!({})).await;
    bench.oracle.add("q", "job", json!({}), json!({})).await;
    assert_eq!(bench.act_on_queue(QueueAction::Resume).await, done());
    bench.counts_are(json!({"waiting": 5})).await;
    bench.work().await;
    bench.oracle.wait("q", "completed", 5).await;
    bench.is_whole();
}

on!(both_lists_are_merged_by_a_resume: bullmq_5 bullmq_6);
async fn both_lists_are_merged_by_a_resume(family: Of) {
    let mut bench = Bench::of(family).await;
    for _ in 0..3 {
        bench.oracle.add("q", "job", json!({}), json!({})).await;
    }
    bench.oracle.ask("pause", "q", json!({})).await;
    // As if a client of the other generation had added one.
    let (from, to) = if family.renames() {
        ("paused", "wait")
    } else {
        ("wait", "paused")
    };
    let _: String = bench.redis.run(&[
        "LMOVE",
        &format!("bull:q:{from}"),
        &format!("bull:q:{to}"),
        "LEFT",
        "LEFT",
    ]);
    assert_eq!(bench.act_on_queue(QueueAction::Resume).await, done());
    bench.work().await;
    bench.oracle.wait("q", "completed", 3).await;
    bench.is_whole();
}

on!(a_resume_that_would_write_over_jobs_is_refused: bull bullmq_3 bullmq_4);
async fn a_resume_that_would_write_over_jobs_is_refused(family: Of) {
    let mut bench = Bench::of(family).await;
    for _ in 0..3 {
        bench.oracle.add("q", "job", json!({}), json!({})).await;
    }
    bench.oracle.ask("pause", "q", json!({})).await;
    let _: String = bench
        .redis
        .run(&["LMOVE", "bull:q:paused", "bull:q:wait", "LEFT", "LEFT"]);
    let effect = bench.act_on_queue(QueueAction::Resume).await;
    assert!(matches!(effect, Effect::Refused { .. }), "{effect:?}");
    let lengths: [i64; 2] = ["wait", "paused"].map(|list| bench.redis.run(&["LLEN", &format!("bull:q:{list}")]));
    assert_eq!(lengths, [1, 2], "nothing is lost");
}

on!(a_pause_that_would_write_over_jobs_is_refused: bull bullmq_3 bullmq_4 bullmq_5);
async fn a_pause_that_would_write_over_jobs_is_refused(family: Of) {
    let mut bench = Bench::of(family).await;
    for _ in 0..3 {
        bench.oracle.add("q", "job", json!({}), json!({})).await;
    }
    let _: String = bench
        .redis
        .run(&["LMOVE", "bull:q:wait", "bull:q:paused", "LEFT", "LEFT"]);
    let effect = bench.act_on_queue(QueueAction::Pause).await;
    assert!(matches!(effect, Effect::Refused { .. }), "{effect:?}");
    let lengths: [i64; 2] = ["wait", "paused"].map(|list| bench.redis.run(&["LLEN", &format!("bull:q:{list}")]));
    assert_eq!(lengths, [2, 1], "nothing is lost");
    if family.is(&["5"]) {
        // Jobs in the renamed list of a queue that is not paused are put back.
        assert_eq!(bench.act_on_queue(QueueAction::Resume).await, done());
        assert_eq!(bench.act_on_queue(QueueAction::Pause).await, done());
        bench.counts_are(json!({"waiting": 3})).await;
    }
}

// A board of version 6 has opened a queue of 5, and was the last to write its version: with a flag alone, the next
// resume by 5 would overwrite the waiting jobs.
on!(a_queue_that_both_5_and_6_open_is_paused_so_that_either_can_resume_it: bullmq_5 bullmq_6);
async fn a_queue_that_both_5_and_6_open_is_paused_so_that_either_can_resume_it(family: Of) {
    let mut bench = Bench::of(family).await;
    for _ in 0..3 {
        bench.oracle.add("q", "job", json!({}), json!({})).await;
    }
    for version in ["bullmq:5.81.5", "bullmq:6.7.0"] {
        let _: i64 = bench.redis.run(&["HSET", "bull:q:meta", "version", version]);
        assert_eq!(bench.act("nobody", super::bench::retry()).await, Effect::Gone);
    }
    assert_eq!(bench.act_on_queue(QueueAction::Pause).await, done());
    let lengths: [i64; 2] = ["wait", "paused"].map(|list| bench.redis.run(&["LLEN", &format!("bull:q:{list}")]));
    assert_eq!(lengths, [0, 3]);
    bench.oracle.add("q", "late", json!({}), json!({})).await;
    bench.oracle.ask("resume", "q", json!({})).await;
    bench.counts_are(json!({"waiting": 4})).await;
    bench.work().await;
    bench.oracle.wait("q", "completed", 4).await;
    bench.is_whole();
}

// Nothing distinguishes 5 from 6: pausing renames, which a resume by either undoes; resuming merges.
on!(a_queue_of_5_or_6_is_paused_so_that_either_can_resume_it: bullmq_5 bullmq_6);
async fn a_queue_of_5_or_6_is_paused_so_that_either_can_resume_it(family: Of) {
    let mut bench = Bench::of(family).await;
    for _ in 0..3 {
        bench.oracle.add("q", "job", json!({}), json!({})).await;
    }
    let failed = bench.failed(family.failing_once(), json!({})).await;
    bench.oracle.wait("q", "completed", 3).await;
    bench.oracle.add("q", "job", json!({}), json!({})).await;
    let _: i64 = bench
        .redis
        .run(&["HSET", "bull:q:meta", "version", "bullmq-official:0.1.0"]);
    assert_eq!(bench.act_on_queue(QueueAction::Pause).await, done());
    assert_eq!(bench.act(&failed, super::bench::retry()).await, done());
    bench.oracle.add("q", "job", json!({}), json!({})).await;
    bench.oracle.ask("resume", "q", json!({})).await;
    bench.work().await;
    bench.oracle.wait("q", "completed", 6).await;
    bench.is_whole();
}
