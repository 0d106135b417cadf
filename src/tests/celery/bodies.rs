//! What tasks carry and leave, whatever their serializer, and that nothing of it is run.

use super::Shop;
use crate::support::{SOON, eventually};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

fn text(value: &Value) -> &str {
    value["text"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn every_serializer_is_decoded_as_far_as_that_is_safe() {
    let mut shop = Shop::open(json!({})).await;
    let args = json!([{"n": 1}, "é"]);
    let mut sent = vec![];
    for serializer in ["json", "msgpack", "yaml", "pickle"] {
        let id = shop.send("mail", args.clone(), json!({"serializer": serializer})).await;
        sent.push((serializer, id));
    }
    let packed = shop.send("mail", args.clone(), json!({"compression": "zlib"})).await;
    shop.drover.knows("mail").await;
    for (serializer, id) in &sent {
        let task = shop.task("mail", id, |_| true).await;
        let data = &task["data"];
        assert_eq!(task["row"]["name"], "work", "{task}");
        assert_eq!(task["row"]["state"], "waiting", "{task}");
        match *serializer {
            "json" | "msgpack" | "pickle" => {
                assert_eq!(data["form"], "json", "{serializer}: {data}");
                let data: Value = serde_json::from_str(text(data)).unwrap();
                assert_eq!(data, json!({"args": args, "kwargs": {}}), "{serializer}");
            }
            _ => assert!(data["form"] == "text" && text(data).contains("n: 1"), "{data}"),
        }
        let path = format!("/api/v1/queues/redis/mail/jobs/{id}/fields/data");
        let bytes = shop.drover.get(&path).await;
        assert_eq!(bytes.status, 200, "{serializer}");
    }
    let task = shop.task("mail", &packed, |_| true).await;
    assert_eq!(task["data"]["form"], "binary", "{task}");
    assert!(task["data"]["note"].as_str().unwrap().contains("decompress"), "{task}");
}

#[tokio::test]
async fn secrets_are_hidden_whatever_the_serializer() {
    let mut shop = Shop::open(json!({})).await;
    let secrets = json!([{"password": "hunter2"}, {"password": "hunter2"}]);
    let mut sent = vec![];
    for serializer in ["json", "msgpack", "yaml", "pickle"] {
        sent.push(
            shop.send("mail", secrets.clone(), json!({"serializer": serializer}))
                .await,
        );
    }
    shop.drover.knows("mail").await;
    for id in sent {
        shop.task("mail", &id, |_| true).await;
        for path in [
            format!("/api/v1/queues/redis/mail/jobs/{id}"),
            format!("/queues/redis/mail/jobs/{id}"),
            format!("/api/v1/queues/redis/mail/jobs/{id}/fields/data"),
        ] {
            let answer = shop.drover.get(&path).await;
            assert_eq!(answer.status, 200, "{path}");
            assert!(!answer.body.contains("hunter2"), "{path}: {}", answer.body);
        }
    }
}

#[tokio::test]
async fn secrets_in_what_a_task_left_are_hidden() {
    let mut shop = Shop::open(json!({})).await;
    shop.oracle.ask("startWorker", "mail", json!({"workerId": "w"})).await;
    let secret = json!({"password": "hunter2"});
    let mut left = vec![];
    for (name, data) in [
        ("bad", json!({"fail": "login failed: password=hunter2"})),
        ("good", json!({"returns": secret})),
        ("held", json!({"hold": true, "says": secret})),
    ] {
        left.push(shop.oracle.add("mail", name, data, json!({})).await);
    }
    for (id, part) in left.iter().zip(["login failed", "result", "progress"]) {
        let known = |task: &Value| match part {
            "login failed" => task["error"].to_string().contains(part),
            part => task[part].is_object(),
        };
        let task = shop.task("mail", id, known).await;
        assert!(!task.to_string().contains("hunter2"), "{task}");
        let page = shop.drover.get(&format!("/queues/redis/mail/jobs/{id}")).await;
        assert_eq!(page.status, 200);
        assert!(!page.body.contains("hunter2"), "{part}: {}", page.body);
    }
}

/// A pickle that makes a file when it is loaded.
fn canary(file: &str) -> Vec<u8> {
    let mut pickle = b"\x80\x04cposix\nsystem\n(V".to_vec();
    pickle.extend_from_slice(format!("touch {file}\ntR.").as_bytes());
    pickle
}

#[tokio::test]
async fn no_pickle_is_ever_run_and_no_foreign_body_breaks_a_page() {
    let mut shop = Shop::open(json!({})).await;
    let good = shop.send("mail", json!([1]), json!({})).await;
    shop.drover.knows("mail").await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ran");
    let bytes = canary(file.to_str().unwrap());
    let headers = json!({"task": "evil", "id": "evil-1", "argsrepr": "()", "kwargsrepr": "{}"});
    let message = |headers: &Value, kind: &str, body: &[u8]| {
        let properties = json!({"body_encoding": "base64", "delivery_tag": "t", "delivery_info": {"exchange": "", "routing_key": "mail"}});
        json!({"body": STANDARD.encode(body), "content-type": kind, "content-encoding": "binary", "headers": headers, "properties": properties}).to_string()
    };
    let evil = message(&headers, "application/x-python-serialize", &bytes);
    let deep = message(
        &json!({"task": "deep", "id": "deep-1"}),
        "application/json",
        "[".repeat(200_000).as_bytes(),
    );
    let kombu = message(&json!({}), "application/json", b"{}");
    for element in ["hello", "{\"class\":\"Job\"}", "\u{1}\u{2}", &evil, &deep, &kombu] {
        shop.redis.run::<()>(&["LPUSH", "mail", element]);
    }
    let held = json!([serde_json::from_str::<Value>(&evil).unwrap(), "", "mail"]).to_string();
    shop.redis
        .run::<()>(&["HSET", "unacked", "tag-1", &held, "tag-2", "broken"]);
    shop.redis
        .run::<()>(&["ZADD", "unacked_index", "1796000000.5", "tag-1", "1796000001", "tag-2"]);
    // A result that is a pickle.
    let mut set = redis::cmd("SET");
    set.arg("celery-task-meta-evil-2").arg(&bytes);
    set.exec(&mut shop.redis.connection()).unwrap();
    let rows = eventually("all rows", SOON, || async {
        let rows = shop.drover.rows("mail", "waiting", "next", 50).await;
        (rows.len() == 7).then_some(rows)
    })
    .await;
    assert_eq!(rows[0]["id"], good.as_str());
    let odd = rows.iter().filter(|row| row["problem"].is_string()).count();
    assert_eq!(odd, 4, "{rows:?}");
    for row in &rows {
        let id = row["id"].as_str().unwrap();
        let task = shop.task("mail", id, |_| true).await;
        assert_eq!(&task["row"]["id"], &row["id"]);
        let page = shop.drover.get(&format!("/queues/redis/mail/jobs/{id}")).await;
        assert_eq!(page.status, 200, "{id}");
    }
    // The copy in a worker's hands comes before the one in the list.
    let task = shop
        .task("mail", "evil-1", |task| task["row"]["state"] == "active")
        .await;
    assert!(text(&task["data"]).contains("posix.system"), "{task}");
    let left = shop.task("mail", "evil-2", |_| true).await;
    let said = left["oddities"].to_string();
    assert!(said.contains("neither JSON nor a pickle of a result"), "{left}");
    // One whose route is not known leaves the numbers of all queues unknown.
    let line = shop
        .line("mail", "what is held is counted", |line| line["counts"]["waiting"] == 7)
        .await;
    assert_eq!(line["counts"]["active"], Value::Null, "{line}");
    assert!(!file.exists(), "a pickle was run");
}

#[tokio::test]
async fn a_result_is_shown_with_its_traceback_until_it_expires() {
    let mut shop = Shop::open(json!({})).await;
    shop.oracle.ask("startWorker", "mail", json!({"workerId": "w"})).await;
    let good = shop
        .oracle
        .add("mail", "good", json!({"returns": {"n": 1.5}}), json!({}))
        .await;
    let bad = shop.oracle.add("mail", "bad", json!({"fail": "boom"}), json!({})).await;
    shop.oracle.wait("mail", "completed", 1).await;
    shop.oracle.wait("mail", "failed", 1).await;
    shop.drover.knows("mail").await;
    let task = shop
        .task("mail", &good, |task| task["row"]["state"] == "completed")
        .await;
    assert_eq!(
        serde_json::from_str::<Value>(text(&task["result"])).unwrap(),
        json!({"n": 1.5})
    );
    assert_eq!(
        (&task["row"]["name"], &task["row"]["worker"]),
        (&json!("good"), &json!("w@mail")),
        "{task}"
    );
    let task = shop.task("mail", &bad, |task| task["row"]["state"] == "failed").await;
    let library = shop.oracle.job("mail", &bad).await;
    assert_eq!(task["traces"][0]["text"], library["stacktrace"][0], "{task}");
    assert_eq!(text(&task["error"]), "ValueError: boom");
    let page = shop.drover.get(&format!("/queues/redis/mail/jobs/{bad}")).await.body;
    assert!(page.contains("Traceback (most recent call last)"), "{page}");
    // What is in no list has no link to one.
    assert!(!page.contains("an error like this") && !page.contains("Other runs"));
    let list = shop.drover.get("/queues/redis/mail?state=failed").await.body;
    assert!(list.contains("neither counted nor listed") && !list.contains("Redrive:"));
    assert!(
        list.contains("class=\"list-head none\""),
        "no filter over what is not listed"
    );
    // Progress is a status of its own.
    let runs = shop
        .oracle
        .add("mail", "held", json!({"hold": true, "says": {"current": 3}}), json!({}))
        .await;
    let task = shop.task("mail", &runs, |task| task["progress"].is_object()).await;
    assert_eq!(text(&task["progress"]), r#"{"current": 3}"#);
    // One that is in no queue, and one that has expired.
    shop.redis.run::<()>(&["DEL", &format!("celery-task-meta-{good}")]);
    eventually("the result is gone", SOON, || async {
        (shop.answer("mail", &good).await.status == 404).then_some(())
    })
    .await;
    assert!(shop.answer("mail", "no-such-task").await.body.contains("acknowledged"));
}

#[tokio::test]
async fn a_task_deep_in_a_long_queue_is_paged_found_and_searched() {
    let mut shop = Shop::open(json!({})).await;
    let id = shop.send("mail", json!([]), json!({})).await;
    shop.drover.knows("mail").await;
    let message: String = shop.redis.run(&["LINDEX", "mail", "0"]);
    // Each with an id of its own, the newest at the head, and some of a lower priority.
    let copies = 40_000_u32;
    let mut connection = shop.redis.connection();
    for list in ["mail", "mail\x06\x163"] {
        let mut pipe = redis::pipe();
        for n in 0..copies / 2 {
            pipe.cmd("LPUSH")
                .arg(list)
                .arg(message.replace(&id, &format!("{}-{n}", list.len())));
        }
        pipe.query::<Vec<u64>>(&mut connection).unwrap();
    }
    let total = u64::from(copies) + 1;
    shop.line("mail", "all are counted", |line| line["counts"]["waiting"] == total)
        .await;
    let path =
        |cursor: &str| format!("/api/v1/queues/redis/mail/jobs?state=waiting&order=next&limit=3&cursor={cursor}");
    let page = shop.drover.get(&path("o19999")).await.json();
    let ids: Vec<&str> = page["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["4-19998", "4-19999", "7-0"], "across two lists");
    assert_eq!((&page["total"], &page["next"]), (&json!(total), &json!("o20002")));
    let page = shop.drover.get(&path("o39990")).await.json();
    let deep = page["rows"][0]["id"].as_str().unwrap();
    let task = shop.task("mail", deep, |_| true).await;
    assert_eq!(
        task["place"],
        json!({"at": 39_991, "of": total}),
        "it was listed a moment ago"
    );
    let newest = shop
        .drover
        .get("/api/v1/queues/redis/mail/jobs?state=waiting&order=newest&limit=2")
        .await
        .json();
    assert_eq!(newest["rows"][0]["id"], "7-19999");
    let search = "/api/v1/queues/redis/mail/jobs?state=waiting&order=next&limit=5&q=4-9000";
    let found = shop.drover.get(search).await.json();
    assert_eq!(found["rows"][0]["id"], "4-9000", "{found}");
    for broken in ["x", "o-1", "o1e9", "k1:2"] {
        assert_eq!(shop.drover.get(&path(broken)).await.status, 400, "{broken}");
    }
}
