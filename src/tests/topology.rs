//! A Redis that is not what it looks like: a cluster of one server, and a Sentinel.

use crate::support::app::Drover;
use crate::support::oracle::Oracle;
use crate::support::redis::Redis;
use crate::support::sentinel::Sentinel;
use crate::support::{LATER, SOON, eventually};
use serde_json::{Value, json};
use std::time::Duration;

/// A server in cluster mode that owns every slot.
async fn whole_cluster() -> Redis {
    let redis = Redis::start_with(&["--cluster-enabled", "yes", "--appendonly", "yes"]);
    redis.run::<()>(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
    eventually("the cluster is up", SOON, || async {
        let info: String = redis.run(&["CLUSTER", "INFO"]);
        info.contains("cluster_state:ok").then_some(())
    })
    .await;
    redis
}

#[tokio::test]
async fn a_cluster_of_one_server_is_a_store_like_any_other() {
    let redis = whole_cluster().await;
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    // Each in a slot of its own.
    let queues = ["{a}", "{b}", "{c}"];
    for queue in queues {
        oracle.add(queue, "n", json!({"fail": "boom"}), json!({})).await;
    }
    let drover = Drover::over(&redis.url()).await;
    for queue in queues {
        drover.knows(&format!("bull:{queue}")).await;
    }
    // A `PING` that took long, on a busy machine, counts for a minute.
    let store = eventually("the store is fine", LATER * 2, || async {
        let store = drover.store("redis").await;
        (store["verdict"]["level"] == "ok" && store["actions"]["allowed"] == true).then_some(store)
    })
    .await;
    assert_eq!(store["conditions"], json!([]), "{store}");

    // Changes are pushed, from each slot.
    for queue in queues {
        let mut stream = drover.stream(&format!("queue:redis/bull:%7B{}%7D", &queue[1..2])).await;
        let id = oracle.add(queue, "n", json!({}), json!({})).await;
        stream.until_job(&id).await;
    }
    // Also from a stream that has been quiet for so long that Drover only reads it from time to time.
    let calls = || redis.calls_of("xread");
    eventually("nothing is asked for quickly any more", 2 * LATER, || async {
        let before = calls();
        tokio::time::sleep(Duration::from_secs(1)).await;
        (calls() - before < 10).then_some(())
    })
    .await;
    let mut stream = drover.stream("queue:redis/bull:%7Ba%7D").await;
    let id = oracle.add("{a}", "n", json!({}), json!({})).await;
    stream.until_job(&id).await;
    assert!(drover.condition("redis", "not_pushed").await.is_none());

    // Actions work, by the library's own scripts.
    oracle.ask("startWorker", "{b}", json!({"workerId": "w"})).await;
    oracle.wait("{b}", "failed", 1).await;
    oracle.ask("stopWorker", "{b}", json!({"workerId": "w"})).await;
    let failed = oracle.ids("{b}", "failed", true).await;
    let at = "/queues/redis/bull:%7Bb%7D";
    for (path, body) in [
        (format!("{at}/jobs/{}/retry", failed[0]), json!({})),
        (format!("{at}/pause"), json!({})),
        (format!("{at}/jobs/{}/remove", failed[0]), json!({})),
        (format!("{at}/jobs"), json!({"name": "new", "data": "{}"})),
    ] {
        let answer = drover.post(&path, &body).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    }
    assert_eq!(oracle.ask("isPaused", "{b}", json!({})).await, json!(true));
    let ids = oracle.ids("{b}", "waiting", true).await;
    assert!(!ids.contains(&failed[0]), "{ids:?}");
}

#[tokio::test]
async fn a_user_who_may_not_ask_for_the_slots_of_a_node_is_told_what_permits_it() {
    let redis = whole_cluster().await;
    let url = redis.user("meek", "pw", &["~*", "&*", "+@all", "-cluster"]);
    let drover = Drover::over(&url).await;
    let condition = drover.condition_becomes("redis", "cluster").await;
    let sentence = condition["sentence"].as_str().unwrap();
    assert!(sentence.contains("ACL SETUSER meek +cluster|nodes"), "{sentence}");
    assert!(drover.condition("redis", "not_permitted").await.is_none());
    redis.run::<()>(&["ACL", "SETUSER", "meek", "+cluster|nodes"]);
    drover.condition_ends("redis", "cluster").await;
}

#[tokio::test]
async fn a_sentinel_is_named_as_one_with_the_primary_that_it_gives() {
    let (redis, other) = (Redis::start(), Redis::start());
    let sentinel = Sentinel::of(&[("mymaster", redis.port)]);
    let several = Sentinel::of(&[("one", redis.port), ("two", other.port)]);
    let urls = [&sentinel, &several].map(|sentinel| format!("redis://127.0.0.1:{}", sentinel.port));
    let stores = format!(
        "[[store]]\nid = \"redis\"\nurl = \"{}\"\n[[store]]\nid = \"several\"\nurl = \"{}\"\n",
        urls[0], urls[1]
    );
    let drover = Drover::with(&[], &stores).await;
    let condition = drover.condition_becomes("redis", "sentinel").await;
    let sentence = condition["sentence"].as_str().unwrap();
    let named = format!(
        "This is a Sentinel of mymaster; its primary is 127.0.0.1:{}. Give this store that address",
        redis.port
    );
    assert!(sentence.starts_with(&named), "{sentence}");
    let store = eventually("the verdict", SOON, || async {
        let store = drover.store("redis").await;
        (store["verdict"]["level"] == "bad").then_some(store)
    })
    .await;
    assert_eq!(store["verdict"]["reason"], sentence);
    assert_eq!(store["actions"]["allowed"], false);
    assert_eq!(store["vitals"]["memory"], Value::Null, "it has none, which is not zero");
    assert_eq!(store["conditions"].as_array().unwrap().len(), 1, "{store}");
    for path in ["", "/stores/redis"] {
        let page = drover.get(path).await.body;
        assert!(page.contains(&named), "{path}");
    }
    assert!(!drover.get("").await.body.contains("0 B"));
    let condition = drover.condition_becomes("several", "sentinel").await;
    let sentence = condition["sentence"].as_str().unwrap();
    assert!(sentence.contains("of 2 primaries: ") && sentence.contains(&format!("two at 127.0.0.1:{}", other.port)));
}
