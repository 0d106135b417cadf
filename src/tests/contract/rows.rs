//! Which jobs there are, and in which order.

use super::{Family, fill};
use crate::support::LATER;
use crate::support::app::Drover;
use crate::support::oracle::Oracle;
use crate::support::{SOON, eventually};
use serde_json::json;
use std::time::{Duration, Instant};

pub(crate) async fn are_the_librarys(family: &Family) {
    let (_store, mut oracle, drover) = family.filled("shop").await;
    let compared = compare(family, &mut oracle, &drover).await;
    assert_eq!(
        compared,
        family.states().count(),
        "in some state there was nothing to compare"
    );
    fill::knock_off(family, &mut oracle, "shop").await;
    let compared = compare(family, &mut oracle, &drover).await;
    let empty = if family.delays_in_workers { 2 } else { 1 };
    assert_eq!(compared, family.states().count() - empty, "all but the active ones");
}

/// Compares every state in both orders and several page sizes; returns how many states held jobs.
async fn compare(family: &Family, oracle: &mut Oracle, drover: &Drover) -> usize {
    let mut compared = 0;
    for (state, theirs) in family.states() {
        for (order, asc) in [("next", true), ("newest", false)] {
            let library = oracle.ids("shop", theirs, asc).await;
            for limit in [1, 2, 3, 50] {
                becomes(drover, &family.id("shop"), state, order, limit, &library).await;
            }
            compared += usize::from(asc && !library.is_empty());
        }
    }
    compared
}

/// Several readers of a page share one read, so it may be a moment old.
async fn becomes(drover: &Drover, queue: &str, state: &str, order: &str, limit: usize, library: &[String]) {
    let began = Instant::now();
    loop {
        let ids = drover.ids(queue, state, order, limit).await;
        if ids == library {
            return;
        }
        assert!(
            began.elapsed() < LATER,
            "{state} {order}, pages of {limit}: {ids:?}, the library says {library:?}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

pub(crate) async fn of_a_paused_queue(family: &Family) {
    let (redis, mut oracle) = family.on_redis().await;
    for i in 0..5 {
        oracle.add("q", "job", json!({"i": i}), json!({})).await;
    }
    let drover = Drover::over(&redis.url()).await;
    assert_eq!(drover.knows("bull:q").await["paused"], false);
    oracle.ask("pause", "q", json!({})).await;
    oracle.add("q", "job", json!({}), json!({})).await;
    let counts = oracle.counts("q").await;
    assert_eq!(counts["waiting"], 6);
    drover.counts_become("bull:q", &counts).await;
    eventually("paused, and a verdict that says so", SOON, || async {
        let line = drover.knows("bull:q").await;
        (line["paused"] == true && line["verdict"]["level"] == "paused").then_some(())
    })
    .await;
    // The library keeps the jobs of a paused queue in one list or the other; the board lists all.
    let expected = ["1", "2", "3", "4", "5", "6"];
    assert_eq!(oracle.ids("q", "waiting", true).await, expected);
    assert_eq!(drover.ids("bull:q", "waiting", "next", 4).await, expected);
    assert_eq!(drover.job("bull:q", "3").await["row"]["state"], "waiting");
    oracle.ask("resume", "q", json!({})).await;
    eventually("resumed", SOON, || async {
        (drover.knows("bull:q").await["paused"] == false).then_some(())
    })
    .await;
    // Pages of three: a read of its own, not the one from a moment ago.
    assert_eq!(drover.ids("bull:q", "waiting", "next", 3).await, expected);
}
