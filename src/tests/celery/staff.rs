//! Workers, as far as they say that they are there, and what they hold.

use super::Shop;
use crate::support::{LATER, eventually};
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::test]
async fn workers_are_known_by_their_heartbeats_and_missed_when_none_is_left() {
    let mut shop = Shop::open(json!({})).await;
    shop.oracle.ask("startWorker", "mail", json!({"workerId": "a"})).await;
    let line = shop
        .line("mail", "a heartbeat is heard", |line| line["version"] == "5.5.3")
        .await;
    assert_eq!(
        line["workers"],
        Value::Null,
        "which queues it consumes is not known: {line}"
    );
    assert!(
        !line["reason"].as_str().unwrap().contains("-E"),
        "nothing ran yet: {line}"
    );
    shop.oracle.add("mail", "good", json!({}), json!({})).await;
    shop.oracle.wait("mail", "completed", 1).await;
    let advised = |line: &Value| line["reason"].as_str().unwrap().contains("start them with -E");
    shop.line("mail", "a task ran and no event came", advised).await;
    eventually("its name", LATER, || async {
        let page = shop.drover.get("/workers").await.body;
        page.contains("1 worker sends heartbeats: a@mail.").then_some(())
    })
    .await;
    shop.oracle.ask("stopWorker", "mail", json!({"workerId": "a"})).await;
    shop.oracle.ask("gone", "mail", json!({"workerId": "a"})).await;
    shop.line("mail", "no worker is there", |line| line["workers"] == 0)
        .await;
    // One that ends without a word is missed too, with what waits.
    shop.send("mail", json!([]), json!({})).await;
    let line = eventually("a verdict", LATER * 2, || async {
        let line = shop.drover.queue("redis", "mail").await?;
        (line["verdict"]["rule"] == "B1").then_some(line)
    })
    .await;
    assert!(
        line["verdict"]["reason"].as_str().unwrap().contains("no worker"),
        "{line}"
    );
}

#[tokio::test]
async fn with_events_about_tasks_no_advice_is_given() {
    let mut shop = Shop::open(json!({})).await;
    let worker = json!({"workerId": "a", "options": ["-E"]});
    shop.oracle.ask("startWorker", "mail", worker).await;
    shop.line("mail", "a heartbeat is heard", |line| line["version"] == "5.5.3")
        .await;
    shop.oracle.add("mail", "good", json!({}), json!({})).await;
    shop.oracle.wait("mail", "completed", 1).await;
    // Four heartbeats: the advice would come with the second.
    tokio::time::sleep(Duration::from_secs(8)).await;
    let heard = |line: &Value| !line["reason"].as_str().unwrap().contains("-E") && line["version"] == "5.5.3";
    shop.line("mail", "events about tasks are heard", heard).await;
}

#[tokio::test]
async fn a_task_that_runs_acknowledged_leaves_its_number_unknown_and_never_zero() {
    let mut shop = Shop::open(json!({})).await;
    shop.oracle.ask("startWorker", "mail", json!({"workerId": "a"})).await;
    shop.line("mail", "nothing runs", |line| line["counts"]["active"] == 0)
        .await;
    let id = shop.oracle.add("mail", "early", json!({"hold": true}), json!({})).await;
    let unknown = |line: &Value| line["counts"]["active"].is_null() && line["counts"]["waiting"] == 0;
    shop.line("mail", "something runs, and no key tells what", unknown)
        .await;
    shop.oracle.ask("release", "mail", json!({"jobId": id})).await;
    shop.line("mail", "nothing runs any more", |line| line["counts"]["active"] == 0)
        .await;
}

#[tokio::test]
async fn what_a_lost_worker_held_stays_and_says_so() {
    let mut shop = Shop::open(json!({})).await;
    shop.oracle
        .ask("startWorker", "mail", json!({"workerId": "lost"}))
        .await;
    let later = shop
        .oracle
        .add("mail", "later", json!({}), json!({"delay": 7_200_000}))
        .await;
    let held = shop.oracle.add("mail", "held", json!({"hold": true}), json!({})).await;
    shop.oracle.wait("mail", "active", 1).await;
    shop.oracle.wait("mail", "delayed", 1).await;
    shop.oracle
        .ask("stopWorker", "mail", json!({"workerId": "lost", "force": true}))
        .await;
    let held_alone =
        |line: &Value| line["counts"]["active"] == 1 && line["counts"]["delayed"] == 1 && line["workers"] == 0;
    shop.line("mail", "both are held, and no worker is there", held_alone)
        .await;
    assert_eq!(shop.drover.ids("mail", "active", "next", 10).await, [held.as_str()]);
    let task = shop.task("mail", &later, |_| true).await;
    assert_eq!(task["row"]["state"], "delayed", "{task}");
    assert!(
        task["oddities"].to_string().contains("runs twice"),
        "its ETA is behind the visibility timeout: {task}"
    );
    let task = shop.task("mail", &held, |_| true).await;
    assert!(
        task["state_note"]
            .as_str()
            .unwrap()
            .contains("a worker has held it for"),
        "{task}"
    );
}
