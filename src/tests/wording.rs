//! What pages say where there is little to say: a store that never answered, a field without a value, several words.

use crate::support::app::Drover;
use crate::support::oracle::Oracle;
use crate::support::redis::Redis;
use crate::support::{SOON, eventually, free_port};
use serde_json::json;

#[tokio::test]
async fn a_store_that_never_answered_is_told_with_since_when_why_and_where_to_look() {
    let port = free_port();
    let drover = Drover::over(&format!("redis://127.0.0.1:{port}")).await;
    drover.store_becomes("redis", "gone").await;
    for (path, what) in [("/workers", "workers"), ("/schedules", "schedules")] {
        let page = eventually("the banner", SOON, || async {
            let page = drover.get(path).await.body;
            page.contains("role=\"alert\"").then_some(page)
        })
        .await;
        let banner = page.split("role=\"alert\"").nth(1).unwrap();
        for words in [
            " for ",
            &format!("127.0.0.1:{port}"),
            &format!("Its {what} have not been read yet"),
            "Drover keeps trying",
            "/admin/queues/stores/redis\"",
            "no action will work",
        ] {
            assert!(banner.contains(words), "{words} is not in {banner}");
        }
    }
    // An empty chart would suggest that nothing happened.
    let page = drover.get("/stores/redis").await.body;
    let drawings = page.split("aria-label=\"The last hour\"").nth(1).unwrap();
    let drawings = drawings.split("</section>").next().unwrap();
    assert!(drawings.contains("Not read yet"), "{drawings}");
    assert!(!drawings.contains("<svg"), "{drawings}");
}

#[tokio::test]
async fn a_delayed_job_without_a_priority_has_no_label_for_one() {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    for opts in [json!({"delay": 900_000}), json!({"delay": 900_000, "priority": 4})] {
        oracle.add("q", "n", json!({}), opts).await;
    }
    let drover = Drover::over(&redis.url()).await;
    drover.knows("bull:q").await;
    let page = drover.get("/queues/redis/bull:q?state=delayed").await.body;
    assert_eq!(page.matches("data-l=\"Due\"").count(), 2, "{page}");
    assert_eq!(page.matches("data-l=\"Priority\"").count(), 1, "{page}");
}

#[tokio::test]
async fn relatives_in_a_row_are_told_apart() {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    let tree = json!({"name": "root", "queueName": "q", "data": {}, "children": [
        {"name": "mid", "queueName": "others", "data": {}, "children": [{"name": "leaf", "queueName": "q", "data": {}}]},
    ]});
    let made = oracle.ask("flow", "q", json!({"tree": tree})).await;
    let drover = Drover::over(&redis.url()).await;
    for queue in ["bull:q", "bull:others"] {
        drover.knows(queue).await;
    }
    let path = format!("/queues/redis/bull:q/jobs/{}", made["jobId"].as_str().unwrap());
    let page = drover.get(&path).await.body;
    let tree = page.split("id=\"flow\"").nth(1).unwrap();
    let text = text_of(tree.split("</section>").next().unwrap());
    assert!(text.contains("in bull:others · "), "{text}");
    assert!(text.contains(" · 1 child: 1 pending"), "{text}");
    assert!(!text.contains("· ·"), "{text}");
}

/// The text that a reader sees of some markup.
fn text_of(markup: &str) -> String {
    let pieces = markup
        .split('<')
        .map(|piece| piece.rsplit_once('>').map_or(piece, |(_, text)| text));
    pieces
        .collect::<String>()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

// A manual drain or obliterate sends no event. Drover counts a silent queue about once a minute; one on an open page
// within seconds, and however many are open, one at a time.
#[tokio::test]
async fn a_queue_that_is_open_shows_soon_what_nobody_tells() {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    for queue in ["open", "shut"] {
        for _ in 0..3 {
            oracle.add(queue, "n", json!({}), json!({})).await;
        }
    }
    let drover = Drover::over(&redis.url()).await;
    let mut counts = json!({});
    for queue in ["bull:open", "bull:shut"] {
        counts = drover.knows(queue).await["counts"].clone();
    }
    assert_eq!(counts["waiting"], 3);
    let stream = drover.stream("queue:redis/bull:open").await;
    assert_eq!(stream.status, 200);
    for queue in ["open", "shut"] {
        redis.run::<()>(&["DEL", &format!("bull:{queue}:wait")]);
    }
    counts["waiting"] = json!(0);
    drover.counts_become("bull:open", &counts).await;
    let shut = drover.queue("redis", "bull:shut").await.unwrap();
    assert_eq!(shut["counts"]["waiting"], 3, "nobody has it open: {shut}");
}
