//! How fast queues appear on the board, and how they leave it. The contract tests check which ones do.

use crate::support::app::Drover;
use crate::support::oracle::Oracle;
use crate::support::redis::Redis;
use crate::support::{SOON, eventually};
use serde_json::json;

#[tokio::test]
async fn a_list_in_the_configuration_takes_the_place_of_the_search() {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    for queue in ["a", "b"] {
        oracle.add(queue, "n", json!({}), json!({})).await;
    }
    let file = format!(
        "[[store]]\nid = \"redis\"\nurl = \"{}\"\nqueues = [\"bull:a\"]\n",
        redis.url()
    );
    let drover = Drover::with(&[], &file).await;
    let a = drover.knows("bull:a").await;
    assert_eq!(a["counts"]["waiting"], 1);
    eventually("searched", SOON, || async {
        (drover.store("redis").await["searched"] == true).then_some(())
    })
    .await;
    assert_eq!(drover.queue("redis", "bull:b").await, None);
    assert!(
        redis.calls().iter().all(|(name, _)| name != "scan"),
        "the key space was searched"
    );
}

#[tokio::test]
async fn a_queue_of_which_nothing_is_left_leaves_the_board() {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    oracle.add("q", "n", json!({}), json!({})).await;
    let drover = Drover::over(&redis.url()).await;
    drover.knows("bull:q").await;
    let mut stream = drover.stream("overview").await;
    oracle.ask("obliterate", "q", json!({"force": true})).await;
    stream
        .until("the queue is removed", |event| {
            event.data["removed"]
                .as_array()
                .is_some_and(|r| !r.is_empty())
                .then_some(())
        })
        .await;
    assert_eq!(drover.queue("redis", "bull:q").await, None);
}
