//! Many waiting tasks at once: a whole queue is drained, or what fits a filter is taken out of a long one.

use super::Shop;
use crate::operations::{becomes, preview, start};
use crate::support::{LATER, eventually};
use serde_json::{Value, json};

/// Removes what fits a filter once so many do; the operation when it is done.
async fn remove(shop: &Shop, filter: &str, fitting: usize) -> Value {
    let seen = eventually(&format!("{fitting} fit {filter}"), LATER, || async {
        let seen = preview(&shop.drover, "remove", filter).await;
        (seen["selected"] == fitting).then_some(seen)
    })
    .await;
    assert!(seen["notes"].to_string().contains("stay and run"), "{seen}");
    let typed = seen["typed"].clone();
    let id = start(&shop.drover, &seen, json!({"typed": typed})).await;
    becomes(&shop.drover, &id, "done").await
}

#[tokio::test]
async fn a_queue_is_drained_over_all_priorities_and_what_workers_hold_stays() {
    let mut shop = Shop::open(json!({})).await;
    shop.work(&[]).await;
    let data = |called: &str| json!({"tally": "ran", "called": called, "hold": called == "held"});
    shop.oracle
        .add("mail", "later", data("later"), json!({"delay": 15_000}))
        .await;
    // Acknowledged before it runs, so that one more is taken in advance.
    shop.oracle.add("mail", "early", data("held"), json!({})).await;
    shop.oracle.wait("mail", "active", 1).await;
    shop.oracle.wait("mail", "delayed", 1).await;
    shop.oracle.add("mail", "next", data("next"), json!({})).await;
    shop.oracle.wait("mail", "waiting", 0).await;
    for priority in [0, 4, 9] {
        let many = json!({"count": 120, "name": "work", "data": data("drained"), "opts": {"priority": priority}});
        shop.oracle.ask("addMany", "mail", many).await;
    }
    shop.drover.knows("mail").await;
    shop.line("mail", "all wait", |line| line["counts"]["waiting"] == 360)
        .await;
    let page = shop.drover.get("/queues/redis/mail").await.body;
    assert!(page.contains("Drain: remove all waiting jobs…"), "{page}");
    let seen = preview(&shop.drover, "remove", "state:waiting,delayed queue:redis/mail").await;
    assert!(
        seen["skipped"]
            .to_string()
            .contains("A worker holds this task in its memory"),
        "{seen}"
    );
    let done = remove(&shop, "state:waiting queue:redis/mail", 360).await;
    assert_eq!(done["totals"]["done"], 360, "{done}");
    let left = shop
        .redis
        .run::<u64>(&["EXISTS", "mail", "mail\x06\x163", "mail\x06\x169"]);
    assert_eq!(left, 0);
    shop.oracle.ask("release", "mail", json!({"all": true})).await;
    shop.oracle.wait("mail", "delayed", 0).await;
    shop.is_over(3).await;
    assert_eq!(shop.ran(), ["held", "next", "later"]);
}

#[tokio::test]
async fn what_fits_a_filter_is_taken_out_of_a_long_queue() {
    let mut shop = Shop::open(json!({})).await;
    let id = shop.send("mail", json!([]), json!({})).await;
    shop.drover.knows("mail").await;
    let message: String = shop.redis.run(&["LINDEX", "mail", "0"]);
    let messages = 30_000_u32;
    let mut pipe = redis::pipe();
    for n in 0..messages {
        let name = if n % 150 == 149 { "rare" } else { "work" };
        let other = message
            .replace(&id, &format!("{n}-x"))
            .replace("\"work\"", &format!("\"{name}\""));
        pipe.cmd("LPUSH").arg("mail").arg(other);
    }
    pipe.query::<Vec<u64>>(&mut shop.redis.connection()).unwrap();
    shop.line("mail", "all are counted", |line| {
        line["counts"]["waiting"] == messages + 1
    })
    .await;
    let done = remove(&shop, "state:waiting queue:redis/mail name:rare", 200).await;
    assert_eq!(done["totals"]["done"], 200, "{done}");
    let left: Vec<String> = shop.redis.run(&["LRANGE", "mail", "0", "-1"]);
    assert_eq!(left.len(), messages as usize - 199);
    assert!(!left.iter().any(|message| message.contains("\"rare\"")));
    // One that was listed a moment ago, far from both ends.
    let page = shop
        .drover
        .get("/api/v1/queues/redis/mail/jobs?state=waiting&order=next&limit=3&cursor=o15000")
        .await
        .json();
    let deep = page["rows"][1]["id"].as_str().unwrap();
    let answer = shop
        .act(deep, "remove", json!({"state": "waiting", "attempts": 0}))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    // One that was not.
    let answer = shop.act("25000-x", "remove", json!({"state": "waiting"})).await;
    assert_eq!(answer.status, 422, "{}", answer.body);
    assert!(answer.body.contains("further behind"), "{}", answer.body);
    assert_eq!(shop.redis.run::<usize>(&["LLEN", "mail"]), left.len() - 1);
}
