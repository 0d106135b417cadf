//! What a generation cannot do is announced beforehand, with its reason, and refused before Drover sends anything.

use super::bench::{Bench, Of};
use crate::support::app::Drover;
use crate::support::refusals::refusals;
use crate::support::{LATER, eventually};
use serde_json::json;

on!(what_a_generation_cannot_do_is_said_before_and_refused);
async fn what_a_generation_cannot_do_is_said_before_and_refused(of: Of) {
    let mut bench = Bench::of(of).await;
    let id = bench.send(json!({"n": 1}), json!({"startAfter": 600})).await;
    let drover = Drover::with(&[("DROVER_POSTGRES_URL", &bench.postgres.url())], "").await;
    let queue = eventually("the queue", LATER, || async {
        let queue = drover.queue("postgres", "q").await?;
        (queue["counts"]["delayed"] == 1).then_some(queue)
    })
    .await;
    let before = bench.job(&id).await;
    let mut expected = vec![
        "clear_logs",
        "concurrency",
        "fail_lost",
        "obliterate",
        "put_back",
        "rate_limit",
        "release",
        "release_rate_limit",
        "remove_children",
        "retry_children",
        "schedule_upsert",
        "trim_events",
    ];
    if of.0 < 12 {
        expected.insert(6, "redrive");
    }
    assert_eq!(refusals(&drover, &queue, &id).await, expected);
    assert_eq!(bench.job(&id).await, before);
}
