//! Which queues are Celery's, and that looking changes nothing.

use super::Shop;
use crate::operations::preview;
use crate::support::app::Drover;
use crate::support::oracle::Oracle;
use crate::support::redis::Redis;
use crate::support::{SOON, eventually};
use serde_json::json;

/// The ids of all queues on a board, once its first search is over and these are among them.
async fn ids(drover: &Drover, wanted: &[&str]) -> Vec<String> {
    for queue in wanted {
        drover.knows(queue).await;
    }
    eventually("the first search is over", SOON, || async {
        (drover.store("redis").await["searched"] == true).then_some(())
    })
    .await;
    let queues = drover.get("/api/v1/queues").await.json();
    let items = queues["items"].as_array().unwrap().iter();
    let mut ids: Vec<String> = items.map(|queue| queue["id"].as_str().unwrap().to_owned()).collect();
    ids.sort();
    ids
}

#[tokio::test]
async fn queues_of_two_applications_with_prefix_and_separator_are_apart() {
    let redis = Redis::start();
    let mut plain = Oracle::celery(&redis.url(), json!({})).await;
    let options =
        json!({"broker_transport_options": {"global_keyprefix": "{acme}:", "sep": "|", "priority_steps": [0, 5]}});
    let mut other = Oracle::celery(&redis.url(), options).await;
    for (oracle, count) in [(&mut plain, 2), (&mut other, 3)] {
        for n in 0..count {
            oracle.add("mail", "work", json!({}), json!({"priority": n * 4})).await;
        }
    }
    let drover = Drover::over(&redis.url()).await;
    assert_eq!(ids(&drover, &["mail", "{acme}:mail"]).await, ["mail", "{acme}:mail"]);
    for (queue, waiting) in [("mail", 2), ("{acme}:mail", 3)] {
        let line = drover.knows(queue).await;
        assert_eq!(line["counts"]["waiting"], waiting, "{line}");
        assert_eq!(
            (&line["system"], &line["name"]),
            (&json!("celery"), &json!("mail")),
            "{line}"
        );
    }
    let theirs = other.ids("mail", "waiting", true).await;
    assert_eq!(drover.ids("{acme}:mail", "waiting", "next", 2).await, theirs);
}

#[tokio::test]
async fn lists_of_others_are_no_queues_and_a_kombu_queue_without_tasks_is_not_celerys() {
    let mut shop = Shop::open(json!({})).await;
    let redis = &shop.redis;
    let route = |queue: &str| format!("{queue}\x06\x16\x06\x16{queue}");
    let kombu = r#"{"body":"e30=","content-type":"application/json","content-encoding":"utf-8","headers":{},"properties":{"body_encoding":"base64","delivery_tag":"t"}}"#;
    for command in [
        // Lists without a route, one with messages that look like Celery's.
        &["LPUSH", "pending", "17"][..],
        &["LPUSH", "queue:default", r#"{"class":"Job","jid":"a","args":[]}"#],
        &["LPUSH", "stray", kombu],
        // Routes of another application of kombu, of control and of events.
        &["SADD", "_kombu.binding.notify", &route("notify")],
        &["LPUSH", "notify", kombu],
        &[
            "SADD",
            "_kombu.binding.celery.pidbox",
            "\x06\x16\x06\x16w@h.celery.pidbox",
        ],
        &[
            "SADD",
            "_kombu.binding.celeryev",
            "worker.#\x06\x16\x06\x16celeryev.1-2",
        ],
        &[
            "SADD",
            "_kombu.binding.reply.celery.pidbox",
            "1\x06\x16\x06\x161.reply.celery.pidbox",
        ],
        // A route to a key of another type, and one that is none.
        &["SADD", "_kombu.binding.users", &route("users")],
        &["HSET", "users", "a", "b"],
        &["SADD", "_kombu.binding.odd", "odd"],
        // Declared, and empty: workers of Celery were here.
        &["SADD", "_kombu.binding.idle", &route("idle")],
        &["SADD", "bystander:id", "1"],
    ] {
        redis.run::<()>(command);
    }
    shop.send("mail", json!([]), json!({})).await;
    assert_eq!(ids(&shop.drover, &["mail", "idle"]).await, ["idle", "mail"]);
    // Without its route and without messages it is gone.
    shop.redis.run::<()>(&["DEL", "_kombu.binding.idle"]);
    eventually("the queue leaves the board", SOON, || async {
        shop.drover.queue("redis", "idle").await.is_none().then_some(())
    })
    .await;
}

#[tokio::test]
async fn bull_and_celery_in_one_redis_each_have_their_own() {
    let mut shop = Shop::open(json!({})).await;
    let mut bull = Oracle::start(&shop.redis.url(), 6).await;
    bull.add("mail", "n", json!({}), json!({})).await;
    shop.send("mail", json!([]), json!({})).await;
    assert_eq!(ids(&shop.drover, &["mail", "bull:mail"]).await, ["bull:mail", "mail"]);
    bull.ask("startWorker", "mail", json!({"workerId": "b"})).await;
    shop.line("bull:mail", "its worker is counted", |line| line["workers"] == 1)
        .await;
    let workers = shop.drover.get("/workers").await.body;
    assert!(
        workers.contains("The workers of some queues of redis are not known."),
        "{workers}"
    );
    let schedules = shop.drover.get("/schedules").await.body;
    assert!(schedules.contains("Celery beat keeps its schedule"), "{schedules}");
    let page = shop.drover.get("/queues/redis/mail").await.body;
    assert!(page.contains("Arrivals and departures are not counted"), "{page}");
    let memory = shop.drover.get("/api/v1/stores/redis/memory").await.json();
    let systems = memory["known"]["systems"].as_array().unwrap();
    assert_eq!(
        (systems.len(), &systems[0]["system"], &systems[1]),
        (
            2,
            &json!("bullmq"),
            &json!({"system": "celery", "queues": 1, "bytes": null})
        ),
        "{memory}"
    );
    assert!(systems[0]["bytes"].as_u64().is_some_and(|bytes| bytes > 0));
    let seen = preview(&shop.drover, "remove", "state:waiting system:celery,arq").await;
    assert_eq!(
        (&seen["selected"], &seen["by_queue"][0][0]["queue"]),
        (&json!(1), &json!("mail")),
        "{seen}"
    );
    let systems = shop.drover.get("/api/v1/systems").await.json();
    let mut words = systems["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|can| can["layout"].clone());
    assert!(words.any(|word| word == "celery"));
}

#[tokio::test]
async fn a_user_who_may_only_read_sees_everything() {
    let redis = Redis::start();
    let mut oracle = Oracle::celery(&redis.url(), json!({})).await;
    oracle
        .ask("startWorker", "mail", json!({"workerId": "w", "options": ["-E"]}))
        .await;
    let done = oracle.add("mail", "good", json!({"returns": 7}), json!({})).await;
    oracle.wait("mail", "completed", 1).await;
    oracle.add("mail", "held", json!({"hold": true}), json!({})).await;
    oracle.wait("mail", "active", 1).await;
    let waits = oracle.add("mail", "next", json!({}), json!({})).await;
    let rules = super::lost::rules("drover_celery");
    let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
    let drover = Drover::over(&redis.user("drover_celery", "secret", &rules)).await;
    let line = eventually("its counts", SOON, || async {
        let line = drover.queue("redis", "mail").await?;
        (line["counts"]["active"] == 1 && line["counts"]["waiting"] == 1 && line["version"] == "5.5.3").then_some(line)
    })
    .await;
    assert!(!line["reason"].as_str().unwrap().contains("cannot"), "{line}");
    assert_eq!(drover.ids("mail", "waiting", "next", 10).await, [waits.as_str()]);
    assert_eq!(drover.job("mail", &done).await["result"]["text"], "7");
    for page in ["", "/queues/redis/mail?state=active", "/workers", "/schedules"] {
        assert_eq!(drover.get(page).await.status, 200, "{page}");
    }
    let denied = redis.denied();
    let asked = ["evalsha", "config|get"];
    assert!(
        denied.iter().all(|object| asked.contains(&object.as_str())),
        "commands were refused: {denied:?}"
    );
}
