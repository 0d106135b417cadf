//! Limits of a whole queue, and its stream.

use super::bench::{Bench, Of, done};
use drover::model::action::{Effect, QueueAction, Rate};
use serde_json::json;

on!(limits_of_a_queue_are_set_and_taken_away: bullmq_5 bullmq_6);
async fn limits_of_a_queue_are_set_and_taken_away(family: Of) {
    let mut bench = Bench::of(family).await;
    bench.oracle.add("q", "job", json!({}), json!({})).await;
    let rate = Some(Rate { max: 5, per_ms: 60_000 });
    assert_eq!(
        bench.act_on_queue(QueueAction::Concurrency { limit: Some(2) }).await,
        done()
    );
    assert_eq!(bench.act_on_queue(QueueAction::RateLimit { limit: rate }).await, done());
    let again = bench.act_on_queue(QueueAction::RateLimit { limit: rate }).await;
    assert!(matches!(again, Effect::Already { .. }), "{again:?}");
    let ask = |method: &str| json!({"method": method});
    assert_eq!(bench.oracle.ask("call", "q", ask("getGlobalConcurrency")).await, 2);
    let theirs = bench.oracle.ask("call", "q", ask("getGlobalRateLimit")).await;
    assert_eq!(theirs, json!({"max": 5, "duration": 60_000}));
    bench
        .oracle
        .ask("startWorker", "q", json!({"workerId": "w", "concurrency": 10}))
        .await;
    for _ in 0..6 {
        bench.oracle.add("q", "job", json!({"hold": true}), json!({})).await;
    }
    bench.oracle.wait("q", "active", 2).await;
    bench
        .counts_are(json!({"active": 2, "waiting": 4, "completed": 1}))
        .await;
    assert_eq!(
        bench.act_on_queue(QueueAction::Concurrency { limit: None }).await,
        done()
    );
    assert_eq!(bench.act_on_queue(QueueAction::RateLimit { limit: None }).await, done());
    assert!(
        bench
            .oracle
            .ask("call", "q", ask("getGlobalConcurrency"))
            .await
            .is_null()
    );
    bench.oracle.ask("release", "q", json!({"all": true})).await;
}

on!(a_queue_that_reached_its_limit_goes_on: bullmq_5 bullmq_6);
async fn a_queue_that_reached_its_limit_goes_on(family: Of) {
    let mut bench = Bench::of(family).await;
    bench.oracle.add("q", "job", json!({}), json!({})).await;
    bench
        .oracle
        .ask("call", "q", json!({"method": "rateLimit", "args": [600_000]}))
        .await;
    assert_eq!(bench.act_on_queue(QueueAction::ReleaseRateLimit).await, done());
    let again = bench.act_on_queue(QueueAction::ReleaseRateLimit).await;
    assert!(matches!(again, Effect::Already { .. }), "{again:?}");
    bench.work().await;
    bench.oracle.wait("q", "completed", 1).await;
}

on!(the_stream_is_shortened: bullmq_3 bullmq_4 bullmq_5 bullmq_6);
async fn the_stream_is_shortened(family: Of) {
    let mut bench = Bench::of(family).await;
    bench.oracle.ask("addMany", "q", json!({"count": 500})).await;
    let before: u64 = bench.redis.run(&["XLEN", "bull:q:events"]);
    let shortened = bench.act_on_queue(QueueAction::TrimEvents { keep: 100 }).await;
    let left: u64 = bench.redis.run(&["XLEN", "bull:q:events"]);
    assert!((100..=200).contains(&left), "{left}");
    let said = format!("{} events were removed. {left} are kept: ", before - left);
    assert!(
        matches!(&shortened, Effect::Done { note: Some(note), .. } if note.starts_with(&said)),
        "{shortened:?}, not {said}"
    );
    // The stream drops only whole blocks: if one entry of a block has to stay, no entry is removed, and the note says
    // so.
    let none = bench.act_on_queue(QueueAction::TrimEvents { keep: left - 1 }).await;
    assert!(
        matches!(&none, Effect::Refused { reason } if reason.starts_with("None was removed.")),
        "{none:?}"
    );
    assert_eq!(bench.redis.run::<u64>(&["XLEN", "bull:q:events"]), left);
    bench.counts_are(json!({"waiting": 500})).await;
}

on!(older_generations_say_what_they_lack: bull bullmq_4);
async fn older_generations_say_what_they_lack(family: Of) {
    let mut bench = Bench::of(family).await;
    bench.oracle.add("q", "job", json!({}), json!({})).await;
    let effect = bench.act_on_queue(QueueAction::Concurrency { limit: Some(2) }).await;
    assert!(
        matches!(&effect, Effect::Refused { reason } if reason.contains("5.9")),
        "{effect:?}"
    );
}
