//! Which lists are queues, what they hold and in which order, and that looking changes nothing.

use super::{board, profile};
use crate::support::oracle::Oracle;
use crate::support::redis::Redis;
use crate::support::{LATER, SOON, eventually};
use drover::model::address::encode_segment;
use serde_json::{Value, json};

/// Every key with what it holds.
fn contents(redis: &Redis) -> Vec<(String, Option<Vec<u8>>)> {
    let mut keys: Vec<String> = redis.run(&["KEYS", "*"]);
    keys.sort();
    let dump = |key: String| {
        let bytes = redis.run(&["DUMP", &key]);
        (key, bytes)
    };
    keys.into_iter().map(dump).collect()
}

#[tokio::test]
async fn items_are_listed_in_the_order_in_which_workers_take_them() {
    let redis = Redis::start();
    let mut profiles = String::new();
    let mut oracles = vec![];
    for (queue, take, lifo, by) in [
        ("a", "right", false, "brpoplpush"),
        ("b", "right", true, "blmove"),
        ("c", "left", false, "blmove"),
        ("d", "left", true, "blmove"),
    ] {
        let order = if lifo { "lifo" } else { "fifo" };
        profiles += &profile(queue, &format!("take = \"{take}\"\norder = \"{order}\""));
        let options = json!({"take": take, "lifo": lifo, "by": by});
        oracles.push((queue, lifo, Oracle::lists(&redis.url(), options).await));
    }
    let drover = board(&redis.url(), &profiles).await;
    for (queue, lifo, oracle) in &mut oracles {
        let id = format!("{queue}:waiting");
        let line = drover.knows(&id).await;
        assert_eq!((&line["name"], &line["system"]), (&json!(*queue), &json!("lists")));
        assert_eq!(line["counts"]["waiting"], 0, "it is there without a key: {line}");
        let tally = format!("{queue}:ran");
        let mut added = vec![];
        for name in ["n1", "n2", "n3", "n4", "n5"] {
            added.push(oracle.add(queue, name, json!({"tally": tally}), json!({})).await);
        }
        let first = oracle.job(queue, &added[0]).await["timestamp"].as_i64();
        eventually("the age of what waits longest", LATER, || async {
            (drover.knows(&id).await["oldest_waiting"].as_i64() == first).then_some(())
        })
        .await;
        let listed = drover.ids(&id, "waiting", "next", 2).await;
        if *lifo {
            added.reverse();
        }
        assert_eq!(listed, added, "{queue}");
        oracle.ask("startWorker", queue, json!({"workerId": "w"})).await;
        oracle.wait(queue, "completed", 5).await;
        let ran: Vec<String> = redis.run(&["LRANGE", &tally, "0", "-1"]);
        assert_eq!(ran, listed, "{queue}");
        assert_eq!(drover.ids(&id, "completed", "next", 3).await, ran, "{queue}");
        let path = format!("/queues/redis/{}", encode_segment(&id));
        assert_eq!(drover.get(&path).await.status, 200, "{queue}");
    }
}

#[tokio::test]
async fn what_a_profile_does_not_name_or_is_no_list_is_unknown_and_bodies_are_what_they_are() {
    let redis = Redis::start();
    for words in [
        // Of other applications.
        &["RPUSH", "cart:waiting", "{}"][..],
        &["RPUSH", "cart:processing", "{}"],
        // One is no list.
        &["ZADD", "odd:processing", "1", "x"],
        &[
            "RPUSH",
            "odd:waiting",
            "not JSON",
            "{\"id\":\"good\",\"at\":1796053354}",
            "7",
        ],
        &["RPUSH", "plain", "hello", "hello", "you"],
    ] {
        redis.run::<redis::Value>(words);
    }
    let mut pipe = redis::pipe();
    pipe.cmd("RPUSH").arg("odd:waiting").arg(b"\xff\xfe\x00");
    pipe.cmd("RPUSH").arg("packed").arg(b"\x82\xa2id\x07\xa1x\x92\x01\x02");
    pipe.exec(&mut redis.connection()).unwrap();
    let before = contents(&redis);
    let profiles = "[[store.list]]\nwaiting = \"odd:waiting\"\nprocessing = \"odd:processing\"\nid_path = \"$.id\"\ntime_path = \"at\"\n\
                    [[store.list]]\nwaiting = \"plain\"\nformat = \"text\"\n\
                    [[store.list]]\nwaiting = \"packed\"\nformat = \"msgpack\"\nid_path = \"id\"\n";
    let drover = board(&redis.url(), profiles).await;
    let line = eventually("its counts", SOON, || async {
        let line = drover.knows("odd:waiting").await;
        (line["counts"]["waiting"] == 4).then_some(line)
    })
    .await;
    for unknown in ["active", "completed", "failed"] {
        assert_eq!(line["counts"][unknown], Value::Null, "{unknown}: {line}");
    }
    let reason = line["reason"].as_str().unwrap();
    assert!(
        reason.contains("odd:processing cannot be counted: the key holds another type"),
        "{line}"
    );
    assert!(reason.contains("names no list for completed, failed"), "{line}");
    let rows = drover.rows("odd:waiting", "waiting", "next", 10).await;
    let odd: Vec<bool> = rows.iter().map(|row| row["problem"].is_string()).collect();
    assert_eq!(odd, [true, false, false, true], "{rows:?}");
    assert_eq!(
        (&rows[2]["id"], &rows[2]["created"]),
        (&json!("good"), &json!(1_796_053_354_000_i64))
    );
    for row in &rows {
        let job = drover.job("odd:waiting", row["id"].as_str().unwrap()).await;
        assert_eq!(job["row"], *row);
        let binary = job["data"]["form"] == "binary";
        assert_eq!(binary, row["problem"].is_string(), "{job}");
    }
    let path = "/api/v1/queues/redis/odd:waiting/jobs";
    for (more, status, part) in [
        ("?state=active", 502, "another type than a list"),
        ("?state=failed", 422, "set failed"),
        ("?state=delayed", 422, "no such state"),
        ("?state=waiting&cursor=x", 400, "cursor"),
        ("?state=waiting&q=goo", 200, "\"good\""),
        ("/missing", 502, "another type than a list"),
    ] {
        let answer = drover.get(&format!("{path}{more}")).await;
        assert!(answer.body.contains(part), "{more}: {} {}", answer.status, answer.body);
        assert_eq!(answer.status, status, "{more}: {}", answer.body);
    }
    let missing = drover.get("/api/v1/queues/redis/plain/jobs/missing").await;
    assert_eq!(missing.status, 404, "{}", missing.body);
    assert!(missing.body.contains("too far behind"), "{}", missing.body);
    let plain = drover.ids("plain", "waiting", "next", 10).await;
    assert!(plain.len() == 3 && plain[1] == plain[2], "two are the same: {plain:?}");
    assert_eq!(drover.job("plain", &plain[0]).await["data"]["text"], "you");
    let packed = drover.job("packed", "7").await;
    assert_eq!(packed["data"]["text"], "{\"id\":7,\"x\":[1,2]}", "{packed}");
    let queues = drover.get("/api/v1/queues").await.json();
    assert_eq!(
        queues["items"].as_array().unwrap().len(),
        3,
        "no other list is one: {queues}"
    );
    assert!(contents(&redis) == before, "reading wrote");
}
