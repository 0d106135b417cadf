//! How many jobs there are.

use super::{Family, fill};
use crate::support::app::Drover;
use serde_json::{Value, json};

pub(crate) async fn follow_while_workers_run(family: &Family) {
    let (redis, mut oracle) = family.alone().await;
    for worker in ["a", "b"] {
        let worker = json!({"workerId": worker, "concurrency": 5});
        oracle.ask("startWorker", "busy", worker).await;
    }
    oracle.add("busy", "first", json!({}), json!({})).await;
    let drover = Drover::over(&redis.url()).await;
    drover.knows("bull:busy").await;
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
        let done = counts["completed"].as_u64().unwrap() + counts["failed"].as_u64().unwrap();
        assert_eq!(done, 1 + round * 60);
        drover.counts_become("bull:busy", &counts).await;
    }
}

pub(crate) async fn are_the_librarys(family: &Family) {
    let (_redis, mut oracle, drover) = family.filled("shop").await;
    let counts = oracle.counts("shop").await;
    for (state, _) in family.states() {
        assert_ne!(counts[state], 0, "{state}: nothing to compare");
    }
    assert_eq!(counts["active"], fill::HELD);
    drover.counts_become("bull:shop", &counts).await;
    let line = drover.knows("bull:shop").await;
    assert_eq!(line["system"], family.system);
    assert_eq!(line["family"]["layout"], family.layout, "{}", line["family"]);
    fill::knock_off(&mut oracle, "shop").await;
    let after = oracle.counts("shop").await;
    assert_eq!(after["active"], 0);
    drover.counts_become("bull:shop", &after).await;
}

pub(crate) async fn leave_out_markers(family: &Family) {
    let (redis, mut oracle) = family.alone().await;
    oracle.add("later", "n", json!({}), json!({"delay": 1_000_000})).await;
    let items: Vec<String> = redis.run(&["LRANGE", "bull:later:wait", "0", "-1"]);
    assert!(
        items.iter().any(|item| item.starts_with("0:")),
        "there is no marker to leave out: {items:?}"
    );
    // The board is asked first: the library's own count removes markers.
    let drover = Drover::over(&redis.url()).await;
    let line = drover.knows("bull:later").await;
    assert_eq!(line["counts"]["waiting"], 0, "{line}");
    assert_eq!(line["counts"]["delayed"], 1, "{line}");
    assert_eq!(
        drover.ids("bull:later", "waiting", "next", 10).await,
        Vec::<String>::new()
    );
    let id = oracle.add("later", "n", json!({}), json!({})).await;
    for order in ["next", "newest"] {
        let ids = drover.ids("bull:later", "waiting", order, 10).await;
        assert_eq!(ids, [id.clone()], "{order}");
    }
    let counts = oracle.counts("later").await;
    drover.counts_become("bull:later", &counts).await;
}
