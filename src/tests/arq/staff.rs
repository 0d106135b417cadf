//! Workers, as far as it is known that there are any.

use super::Shop;
use crate::support::{LATER, eventually};
use serde_json::{Value, json};

#[tokio::test]
async fn how_many_workers_there_are_is_never_told_and_none_where_nothing_asks_for_jobs() {
    let mut shop = Shop::open(json!({})).await;
    shop.work("mail", "a").await;
    shop.drover.knows("mail").await;
    let page = eventually("its line of figures", LATER, || async {
        let page = shop.drover.get("/workers").await.body;
        page.contains("A worker of mail wrote j_complete=").then_some(page)
    })
    .await;
    assert!(page.contains("valid for another"), "{page}");
    shop.line("mail", "its number is not known", |line| line["workers"].is_null())
        .await;
    // The line goes with the first that ends, and others may go on: it is not known that there is none.
    shop.work("mail", "b").await;
    shop.oracle.ask("stopWorker", "mail", json!({"workerId": "a"})).await;
    shop.oracle.ask("gone", "mail", json!({"workerId": "a"})).await;
    assert!(!shop.redis.run::<bool>(&["EXISTS", "mail:health-check"]));
    eventually("no line is there", LATER, || async {
        let page = shop.drover.get("/workers").await.body;
        page.contains("None is there now.").then_some(())
    })
    .await;
    assert_eq!(shop.drover.knows("mail").await["workers"], Value::Null);
    // One that was killed leaves its connections closed: then nothing asks for jobs any more.
    shop.oracle.ask("stopWorker", "mail", json!({"workerId": "b"})).await;
    shop.oracle.ask("gone", "mail", json!({"workerId": "b"})).await;
    shop.add("mail", "next", json!({})).await;
    let Shop {
        redis: _redis,
        oracle,
        drover,
    } = shop;
    drop(oracle);
    eventually("no worker is there", LATER, || async {
        (drover.queue("redis", "mail").await?["workers"] == 0).then_some(())
    })
    .await;
    let line = eventually("a verdict", LATER * 2, || async {
        let line = drover.queue("redis", "mail").await?;
        (line["verdict"]["rule"] == "B1").then_some(line)
    })
    .await;
    assert!(
        line["verdict"]["reason"].as_str().unwrap().contains("no worker"),
        "{line}"
    );
}
