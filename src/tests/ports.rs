//! Workers with other connection names than those of BullMQ for Node, or with none that names a queue: they do not
//! count as absent.

use crate::support::app::Drover;
use crate::support::oracle::Oracle;
use crate::support::redis::Redis;
use crate::support::{LATER, SOON, eventually};
use serde_json::{Value, json};
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// A worker of the port to Python, ended when dropped.
async fn python(redis: &Redis, queue: &str, name: Option<&str>) -> Child {
    let root = env!("CARGO_MANIFEST_DIR");
    let mut child = Command::new(format!("{root}/.tools/python/bin/python"))
        .arg(format!("{root}/end2end/oracle/worker.py"))
        .args([redis.url().as_str(), queue])
        .args(name)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("the port to Python is installed; has scripts/setup been run?");
    let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(output.next_line().await.unwrap().as_deref(), Some("ready"));
    child
}

async fn crews(drover: &Drover) -> Vec<Value> {
    let page = drover.get("/api/v1/workers").await.json();
    page["queues"].as_array().unwrap().clone()
}

async fn line(drover: &Drover, queue: &str) -> Value {
    drover.queue("redis", queue).await.unwrap_or_default()
}

/// Jobs of a tenth of a second.
async fn work(oracle: &mut Oracle, queue: &str, count: u64) {
    let jobs = json!({"count": count, "name": "n", "data": {"ms": 100}, "opts": {}});
    oracle.ask("addMany", queue, jobs).await;
}

#[tokio::test]
async fn workers_of_the_port_to_python_are_listed_by_name_and_no_queue_is_invented() {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 5).await;
    // Eight letters: as base64 they would be six bytes of a queue that does not exist.
    work(&mut oracle, "mailbox1", 150).await;
    let named = python(&redis, "mailbox1", Some("py-1")).await;
    let unnamed = python(&redis, "mailbox1", None).await;
    let drover = Drover::over(&redis.url()).await;
    let crew = eventually("both workers", LATER, || async {
        let crews = crews(&drover).await;
        let crew = crews.iter().find(|crew| crew["queue"]["queue"] == "bull:mailbox1")?;
        (crew["count"] == 2).then(|| crew.clone())
    })
    .await;
    assert_eq!(
        crew["names"],
        json!([["py-1", 1], [null, 1]]),
        "each has two connections"
    );
    assert_eq!(crew["standing"], "served");
    let queues: Vec<Value> = crews(&drover)
        .await
        .iter()
        .map(|crew| crew["queue"]["queue"].clone())
        .collect();
    assert_eq!(queues, ["bull:mailbox1"]);
    let html = drover.get("/workers").await.body;
    assert!(html.contains("py-1") && !html.contains("not on the board"), "{html}");
    assert_ne!(line(&drover, "bull:mailbox1").await["verdict"]["rule"], "B1");
    drop((named, unnamed));
    eventually("both gone", LATER, || async {
        (line(&drover, "bull:mailbox1").await["workers"] == 0).then_some(())
    })
    .await;
}

const STATUS: &str = r#"
[status_page]
name = "Shop"
worse_after = "0s"
better_after = "0s"
[[status_page.component]]
id = "mail"
name = "Mail"
queues = "redis/bull:*"
promise = "1h"
"#;

#[tokio::test]
async fn workers_whose_connections_carry_another_name_are_not_seen_and_not_absent() {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    let drover = Drover::with(&[("DROVER_REDIS_URL", &redis.url())], STATUS).await;
    let own = json!({"workerId": "w", "ownName": "payments-api"});
    oracle.ask("startWorker", "busy", own).await;
    work(&mut oracle, "busy", 300).await;
    eventually("work is done by nobody who is seen", LATER, || async {
        (line(&drover, "bull:busy").await["unseen"] == true).then_some(())
    })
    .await;
    let busy = line(&drover, "bull:busy").await;
    assert_eq!(busy["workers"], Value::Null, "unknown is not zero");
    assert_ne!(busy["verdict"]["level"], "bad", "{busy}");
    let crew = crews(&drover)
        .await
        .into_iter()
        .find(|crew| crew["name"] == "busy")
        .unwrap();
    assert_eq!(
        (&crew["standing"], &crew["level"], &crew["count"]),
        (&json!("unseen"), &json!("ok"), &Value::Null)
    );
    for path in ["/workers", "/queues/redis/bull:busy"] {
        let html = drover.get(path).await.body;
        assert!(
            html.contains("Workers not visible, but jobs are being processed"),
            "{path}: {html}"
        );
    }
    eventually("the status page to say that all is well", SOON, || async {
        let status = drover.get("/status.json").await.json();
        (status["components"][0]["state"] == "operational").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_worker_that_is_not_seen_and_says_nothing_for_long_is_known_by_its_lock() {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    let own = json!({"workerId": "w", "ownName": "payments-api"});
    oracle.ask("startWorker", "long", own).await;
    for _ in 0..2 {
        oracle.add("long", "n", json!({"hold": true}), json!({})).await;
    }
    oracle.wait("long", "active", 1).await;
    let drover = Drover::over(&redis.url()).await;
    drover.knows("bull:long").await;
    eventually("the lock is found", SOON, || async {
        let line = line(&drover, "bull:long").await;
        (line["unseen"] == true && line["workers"] == Value::Null).then_some(())
    })
    .await;
    oracle.ask("release", "long", json!({"all": true})).await;
}
