//! What a worker that is gone held is stuck, and is put back.

use super::{MAIL, Shop, board, profile, says};
use crate::support::redis::Redis;
use crate::support::{LATER, eventually, now_ms};
use serde_json::{Value, json};

impl Shop {
    /// An item that a killed worker held.
    async fn lose(&mut self) -> String {
        self.work(1).await;
        let id = self.add(1, json!({"hold": true, "tally": "ran"})).await.remove(0);
        self.oracle.wait("mail", "active", 1).await;
        self.line("one is held", |line| line["counts"]["active"] == 1).await;
        let row = &self.drover.rows(MAIL, "active", "next", 5).await[0];
        assert_ne!(row["locked"], false, "its worker lives: {row}");
        assert_ne!(self.act(&id, "put_back", "active").await.status, 200);
        self.oracle
            .ask("stopWorker", "mail", json!({"workerId": "w", "force": true}))
            .await;
        id
    }

    async fn becomes_stuck(&self) {
        eventually("it is stuck", LATER, || async {
            let rows = self.drover.rows(MAIL, "active", "next", 5).await;
            (rows[0]["locked"] == false).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn an_item_without_a_heartbeat_is_put_back_where_workers_take_from() {
    let mut shop = Shop::open(json!({"heartbeat": "mail:alive"}), "heartbeat = \"mail:alive\"").await;
    let id = shop.lose().await;
    shop.becomes_stuck().await;
    shop.line("no worker", |line| line["workers"] == 0).await;
    let others = shop.add(3, json!({"tally": "ran"})).await;
    let page = shop
        .drover
        .get(&format!("/queues/redis/mail%3Awaiting/jobs/{id}"))
        .await
        .body;
    assert!(page.contains("it is stuck") && page.contains("Requeue"), "{page}");
    assert!(page.contains("when a worker took it is not recorded"), "{page}");
    says(
        &shop.act(&id, "remove", "active").await,
        422,
        "A worker may work on this item",
    );
    says(
        &shop.act(&id, "put_back", "waiting").await,
        422,
        "Only what a worker held",
    );
    // A worker begins just before: the script looks again.
    shop.redis.run::<()>(&["SET", "mail:alive", "other"]);
    let answer = shop.act(&id, "put_back", "active").await;
    assert_ne!(answer.status, 200, "{}", answer.body);
    assert!(answer.body.contains("heartbeat key is there"), "{}", answer.body);
    shop.redis.run::<()>(&["DEL", "mail:alive"]);
    says(&shop.act(&id, "put_back", "active").await, 200, "done");
    says(
        &shop.act(&id, "put_back", "active").await,
        412,
        "not in the list any more",
    );
    assert!(shop.items("processing").is_empty());
    shop.oracle.ask("release", "mail", json!({"all": true})).await;
    shop.work(1).await;
    shop.oracle.wait("mail", "completed", 4).await;
    let ran: Vec<String> = shop.redis.run(&["LRANGE", "ran", "0", "-1"]);
    assert_eq!(ran, [&[id], &*others].concat(), "it ran first");
}

#[tokio::test]
async fn an_item_that_was_seen_for_long_enough_is_stuck_and_one_that_comes_and_goes_is_not() {
    let mut shop = Shop::open(json!({}), "stuck_after = \"2s\"").await;
    shop.work(1).await;
    // Each is in the list for less than that.
    shop.add(20, json!({"ms": 300})).await;
    let mut met = 0;
    while shop.items("completed").len() < 20 {
        for row in shop.drover.rows(MAIL, "active", "next", 5).await {
            assert_eq!(row["locked"], Value::Null, "{row}");
            met += 1;
        }
    }
    assert!(met > 0, "none was met in the list");
    shop.oracle.ask("stopWorker", "mail", json!({"workerId": "w"})).await;
    shop.oracle.ask("gone", "mail", json!({"workerId": "w"})).await;
    // It was added years ago.
    let left = "{\"id\":\"left\",\"at\":1700000000}";
    shop.redis.run::<()>(&["RPUSH", "mail:processing", left]);
    let answer = shop.act("left", "put_back", "active").await;
    says(&answer, 422, "Nothing tells that no worker holds it");
    shop.becomes_stuck().await;
    let before = now_ms();
    says(&shop.act("left", "put_back", "active").await, 200, "done");
    assert_eq!(shop.items("waiting"), [left]);
    let job = shop.drover.job(MAIL, "left").await;
    assert!(
        job["ready"].as_u64() >= Some(before),
        "it waits since it was put back: {job}"
    );
    let line = shop.line("its age", |line| line["oldest_waiting"].is_number()).await;
    assert!(line["oldest_waiting"].as_u64() >= Some(before), "{line}");
}

/// A line of `docs/lists.md` that makes a user, without its name and password.
fn rules(user: &str) -> Vec<String> {
    let document = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/lists.md")).unwrap();
    let line = document
        .lines()
        .find_map(|line| line.strip_prefix(&format!("user {user} ")));
    let open = |rule: &&str| !["on", ">change-me"].contains(rule);
    line.unwrap().split(' ').filter(open).map(str::to_owned).collect()
}

#[tokio::test]
async fn the_users_of_the_document_may_do_what_it_says() {
    let redis = Redis::start();
    for user in ["drover_lists", "drover_lists_operator"] {
        redis.run::<()>(&["DEL", "mail:waiting", "mail:failed"]);
        redis.run::<()>(&["RPUSH", "mail:waiting", "{\"id\":\"1\"}", "{\"id\":\"2\"}"]);
        redis.run::<()>(&["RPUSH", "mail:failed", "{\"id\":\"3\"}"]);
        let rules = rules(user);
        let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
        let more = "stuck_after = \"1m\"\nheartbeat = \"mail:alive\"";
        let drover = board(&redis.user(user, "secret", &rules), &profile("mail", more)).await;
        eventually("its counts", LATER, || async {
            let line = drover.queue("redis", MAIL).await?;
            (line["counts"]["waiting"] == 2 && line["counts"]["failed"] == 1).then_some(())
        })
        .await;
        assert_eq!(drover.ids(MAIL, "waiting", "next", 10).await, ["2", "1"]);
        for page in [
            "",
            "/queues/redis/mail%3Awaiting?state=active",
            "/workers",
            "/schedules",
        ] {
            assert_eq!(drover.get(page).await.status, 200, "{page}");
        }
        let operator = user.ends_with("operator");
        for (id, word, state) in [("1", "remove", "waiting"), ("3", "retry", "failed")] {
            let path = format!("/queues/redis/mail%3Awaiting/jobs/{id}/{word}");
            let answer = drover.post(&path, &json!({"seen": {"state": state}})).await;
            if operator {
                says(&answer, 200, "done");
            } else {
                says(&answer, 503, "may only read");
            }
        }
        let waiting: Vec<String> = redis.run(&["LRANGE", "mail:waiting", "0", "-1"]);
        let wanted = if operator {
            ["{\"id\":\"3\"}", "{\"id\":\"2\"}"]
        } else {
            ["{\"id\":\"1\"}", "{\"id\":\"2\"}"]
        };
        assert_eq!(waiting, wanted);
        let denied = redis.denied();
        let asked = ["evalsha", "config|get"];
        assert!(denied.iter().all(|what| asked.contains(&what.as_str())), "{denied:?}");
    }
}
