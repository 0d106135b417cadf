//! How many jobs there are.

use super::{Family, fill};
use crate::support::app::Drover;
use crate::support::{SOON, eventually};
use serde_json::{Value, json};

pub(crate) async fn follow_while_workers_run(family: &Family) {
    let (store, mut oracle) = family.alone().await;
    for worker in ["a", "b"] {
        let worker = json!({"workerId": worker, "concurrency": 5});
        oracle.ask("startWorker", "busy", worker).await;
    }
    oracle.add("busy", "first", json!({}), json!({})).await;
    let drover = family.board(&store).await;
    let id = family.id("busy");
    drover.knows(&id).await;
    for round in 1..=5_u64 {
        let job = json!({"name": "work", "data": {"ms": 5, "randomFail": 0.3}, "opts": {}});
        let jobs: Vec<Value> = std::iter::repeat_n(job, 60).collect();
        oracle.ask("addBulk", "busy", json!({"jobs": jobs})).await;
        let mut left = 1;
        while left > 0 {
            let counts = oracle.counts("busy").await;
            left = counts["waiting"].as_u64().unwrap() + counts["active"].as_u64().unwrap();
        }
        let counts = oracle.counts("busy").await;
        if family.keeps_history {
            let done = counts["completed"].as_u64().unwrap() + counts["failed"].as_u64().unwrap();
            assert_eq!(done, 1 + round * 60);
        }
        drover.counts_become(&id, &counts).await;
    }
}

pub(crate) async fn are_the_librarys(family: &Family) {
    let (_store, mut oracle, drover) = family.filled("shop").await;
    let id = family.id("shop");
    let counts = oracle.counts("shop").await;
    for (state, _) in family.states() {
        assert_ne!(counts[state], 0, "{state}: nothing to compare");
    }
    assert_eq!(counts["active"], fill::HELD);
    drover.counts_become(&id, &counts).await;
    // The age of the job that runs next, from the heads of the lists.
    let mut heads = Vec::new();
    for (_, theirs) in family
        .states()
        .filter(|(state, _)| matches!(*state, "waiting" | "prioritized"))
    {
        let head = &oracle.ids("shop", theirs, true).await[0];
        heads.extend(family.job(&mut oracle, "shop", head).await["timestamp"].as_i64());
    }
    eventually("the age of the next job", SOON, || async {
        let line = drover.knows(&id).await;
        (line["oldest_waiting"].as_i64() == heads.iter().min().copied()).then_some(())
    })
    .await;
    let line = drover.knows(&id).await;
    assert_eq!(line["system"], family.system);
    assert_eq!(line["family"]["layout"], family.layout, "{}", line["family"]);
    fill::knock_off(family, &mut oracle, "shop").await;
    let after = oracle.counts("shop").await;
    assert_eq!(after["active"], 0);
    drover.counts_become(&id, &after).await;
}

pub(crate) async fn leave_out_markers(family: &Family) {
    let (redis, mut oracle) = family.on_redis().await;
    // A marker alone; behind a job; before a job that overtook it; and in a paused queue.
    for queue in ["alone", "behind", "before", "paused"] {
        oracle.add(queue, "n", json!({}), json!({"delay": 1_000_000})).await;
    }
    oracle.add("behind", "n", json!({}), json!({})).await;
    oracle.add("before", "n", json!({}), json!({"lifo": true})).await;
    oracle.ask("pause", "paused", json!({})).await;
    oracle.add("paused", "n", json!({}), json!({})).await;
    for (queue, list) in [
        ("alone", "wait"),
        ("behind", "wait"),
        ("before", "wait"),
        ("paused", "paused"),
    ] {
        let items: Vec<String> = redis.run(&["LRANGE", &format!("bull:{queue}:{list}"), "0", "-1"]);
        assert!(
            items.iter().any(|item| item.starts_with("0:")),
            "{queue}: there is no marker to leave out: {items:?}"
        );
    }
    // A marker between two jobs can only be found by reading the whole list: the board counts it, as the library does,
    // and does not list it.
    oracle.add("between", "n", json!({}), json!({"delay": 1_000_000})).await;
    oracle.add("between", "n", json!({}), json!({})).await;
    oracle.add("between", "n", json!({}), json!({"lifo": true})).await;
    // The library's own count is not called: it removes some markers, and counts the one before a job.
    let drover = Drover::over(&redis.url()).await;
    for (queue, ids) in [
        ("alone", &[][..]),
        ("behind", &["2"]),
        ("before", &["2"]),
        ("paused", &["2"]),
    ] {
        let id = format!("bull:{queue}");
        let line = drover.knows(&id).await;
        assert_eq!(line["counts"]["waiting"], ids.len(), "{line}");
        assert_eq!(line["counts"]["delayed"], 1, "{line}");
        for (order, limit) in [("next", 1), ("newest", 1), ("next", 10), ("newest", 10)] {
            let listed = drover.ids(&id, "waiting", order, limit).await;
            assert_eq!(listed, ids, "{queue} {order}, pages of {limit}");
        }
    }
    drover.knows("bull:between").await;
    for limit in [1, 2, 10] {
        let listed = drover.ids("bull:between", "waiting", "next", limit).await;
        assert_eq!(listed, ["3", "2"], "pages of {limit}");
    }
    let counts = oracle.counts("between").await;
    drover.counts_become("bull:between", &counts).await;
}
