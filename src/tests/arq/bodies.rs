//! What jobs carry and leave, whatever their serializer, and that nothing of it is run.

use super::{Shop, text};
use crate::support::{SOON, eventually};
use serde_json::{Value, json};

#[tokio::test]
async fn every_serializer_is_decoded_as_far_as_that_is_safe() {
    for serializer in ["pickle", "msgpack", "json", "own"] {
        let mut shop = Shop::open(json!({"serializer": serializer})).await;
        let job = json!({"name": "work", "args": [{"n": 1.5}, "é"], "kwargs": {"to": [1, null]}});
        let added = shop.oracle.ask("add", "mail", job).await;
        let id = added["jobId"].as_str().unwrap();
        shop.drover.knows("mail").await;
        let job = shop.job("mail", id, |_| true).await;
        let path = format!("/api/v1/queues/redis/mail/jobs/{id}/fields/data");
        let whole = shop.drover.get(&path).await;
        assert_eq!(whole.status, 200, "{serializer}");
        if serializer == "own" {
            assert_eq!(job["data"]["form"], "binary", "{job}");
            assert!(
                job["data"]["note"].as_str().unwrap().contains("serializer of its own"),
                "{job}"
            );
            assert_eq!(job["row"]["name"], "", "{job}");
            continue;
        }
        let wanted = json!({"args": [{"n": 1.5}, "é"], "kwargs": {"to": [1, null]}});
        let data: Value = serde_json::from_str(text(&job["data"])).unwrap();
        assert_eq!(
            (data, &job["row"]["name"]),
            (wanted.clone(), &json!("work")),
            "{serializer}"
        );
        assert_eq!(whole.json(), wanted, "{serializer}");
        let library = shop.oracle.job("mail", id).await;
        assert_eq!(job["row"]["created"], library["timestamp"], "{serializer}");
    }
}

#[tokio::test]
async fn a_result_is_shown_with_its_times_until_it_expires() {
    let mut shop = Shop::open(json!({})).await;
    shop.work("mail", "w").await;
    let good = shop.add("mail", "good", json!({"returns": {"n": 1.5}})).await;
    let bad = shop.add("mail", "bad", json!({"fail": "boom\nsecond line"})).await;
    let full = shop.add("mail", "bad", json!({"full": "no room"})).await;
    let point = shop.add("mail", "good", json!({"point": true})).await;
    shop.oracle.wait("mail", "completed", 2).await;
    shop.oracle.wait("mail", "failed", 2).await;
    shop.drover.knows("mail").await;
    let job = shop.job("mail", &good, |job| job["row"]["state"] == "completed").await;
    let library = shop.oracle.job("mail", &good).await;
    for (ours, theirs) in [
        ("name", "name"),
        ("created", "timestamp"),
        ("started", "processedOn"),
        ("finished", "finishedOn"),
        ("attempts", "attemptsMade"),
    ] {
        assert_eq!(job["row"][ours], library[theirs], "{ours}: {job}");
    }
    let result: Value = serde_json::from_str(text(&job["result"])).unwrap();
    assert_eq!(result, json!({"n": 1.5}));
    let job = shop.job("mail", &bad, |job| job["row"]["state"] == "failed").await;
    assert_eq!(text(&job["error"]), "ValueError: boom\nsecond line");
    assert_eq!(job["row"]["error"], "ValueError: boom");
    assert!(job["traces_note"].as_str().unwrap().contains("no traceback"), "{job}");
    assert_eq!(
        text(&shop.job("mail", &full, |_| true).await["error"]),
        "Full: no room, 7"
    );
    let job = shop.job("mail", &point, |_| true).await;
    assert!(text(&job["result"]).contains("arq_tasks.Point"), "{job}");
    let page = shop.drover.get(&format!("/queues/redis/mail/jobs/{bad}")).await;
    assert!(page.body.contains("ValueError: boom"), "{}", page.body);
    // It was this queue's.
    shop.add("post", "next", json!({})).await;
    shop.drover.knows("post").await;
    assert_eq!(shop.answer("post", &good).await.status, 404);
    shop.redis.run::<()>(&["DEL", &format!("arq:result:{good}")]);
    eventually("the result is gone", SOON, || async {
        (shop.answer("mail", &good).await.status == 404).then_some(())
    })
    .await;
}

#[tokio::test]
async fn secrets_are_hidden_whatever_the_serializer() {
    for serializer in ["pickle", "msgpack", "json"] {
        let mut shop = Shop::open(json!({"serializer": serializer})).await;
        let secret = json!({"password": "hunter2"});
        let waits = shop.add("mail", "next", secret.clone()).await;
        shop.drover.knows("mail").await;
        let (bad, good) = (
            json!({"fail": "login failed: password=hunter2"}),
            json!({"returns": secret}),
        );
        let mut all = vec![waits];
        for data in [bad, good] {
            all.push(shop.add("post", "job", data).await);
        }
        shop.work("post", "w").await;
        shop.oracle.wait("post", "completed", 1).await;
        shop.drover.knows("post").await;
        for (id, queue) in all.iter().zip(["mail", "post", "post"]) {
            shop.job(queue, id, |job| queue == "mail" || job["row"]["finished"].is_i64())
                .await;
            for path in [
                format!("/api/v1/queues/redis/{queue}/jobs/{id}"),
                format!("/queues/redis/{queue}/jobs/{id}"),
                format!("/api/v1/queues/redis/{queue}/jobs/{id}/fields/data"),
            ] {
                let answer = shop.drover.get(&path).await;
                assert_eq!(answer.status, 200, "{path}");
                assert!(!answer.body.contains("hunter2"), "{path}: {}", answer.body);
            }
        }
    }
}

#[tokio::test]
async fn no_pickle_of_arq_is_ever_run_and_no_foreign_payload_breaks_a_page() {
    let mut shop = Shop::open(json!({})).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ran");
    let call = format!("cposix\nsystem\n(Vtouch {}\ntR", file.display());
    // As a whole payload, and as an argument of a job that is one.
    let bare = format!("\u{4}{call}.").into_bytes();
    let bare = [&[0x80][..], &bare].concat();
    let within = [
        &b"\x80\x04}(\x8c\x01tN\x8c\x01f\x94\x8c\x04evil\x8c\x01a"[..],
        call.as_bytes(),
        b"\x85\x8c\x01k}\x8c\x02etK\x07u.",
    ]
    .concat();
    let big = [b"\x80\x04".to_vec(), vec![b'N'; 2 * 1024 * 1024], b".".to_vec()].concat();
    shop.add("mail", "next", json!({})).await;
    for (id, payload) in [
        ("evil-1", bare.as_slice()),
        ("evil-2", &within),
        ("deep", &b"[".repeat(200_000)),
        ("big", &big),
        ("text", b"hello"),
        ("\u{1}\u{2}", b"\x00"),
    ] {
        shop.put("mail", id, 1_796_000_000_000, payload);
    }
    for (id, payload) in [("left-1", bare.as_slice()), ("left-2", &within)] {
        let mut set = redis::cmd("SET");
        set.arg(format!("arq:result:{id}")).arg(payload);
        set.exec(&mut shop.redis.connection()).unwrap();
    }
    shop.drover.knows("mail").await;
    let rows = eventually("all rows", SOON, || async {
        let rows = shop.drover.rows("mail", "waiting", "next", 50).await;
        (rows.len() == 7).then_some(rows)
    })
    .await;
    for row in &rows {
        let id = row["id"].as_str().unwrap();
        let job = shop.job("mail", id, |_| true).await;
        assert_eq!(&job["row"]["id"], &row["id"]);
        let id = drover::model::address::encode_segment(id);
        let page = shop.drover.get(&format!("/queues/redis/mail/jobs/{id}")).await;
        assert_eq!(page.status, 200, "{id}");
    }
    let job = shop.job("mail", "evil-2", |_| true).await;
    assert!(text(&job["data"]).contains(r#""call":"posix.system""#), "{job}");
    assert_eq!(job["row"]["name"], "evil");
    let job = shop.job("mail", "big", |_| true).await;
    assert!(job["data"]["note"].as_str().unwrap().contains("not read"), "{job}");
    let whole = shop.drover.get("/api/v1/queues/redis/mail/jobs/big/fields/data").await;
    assert_eq!(whole.status, 413, "{}", whole.body);
    for id in ["left-1", "left-2"] {
        let job = shop.job("mail", id, |_| true).await;
        assert_eq!(job["state_known"], false, "{job}");
    }
    assert!(!file.exists(), "a pickle was run");
}

#[tokio::test]
async fn an_error_that_a_serializer_cannot_take_is_told_as_that() {
    let mut shop = Shop::open(json!({"serializer": "msgpack"})).await;
    shop.work("mail", "w").await;
    let bad = shop.add("mail", "bad", json!({"fail": "boom"})).await;
    shop.oracle.wait("mail", "failed", 1).await;
    shop.drover.knows("mail").await;
    let job = shop.job("mail", &bad, |job| job["row"]["state"] == "failed").await;
    assert_eq!(text(&job["error"]), "unable to serialize result");
}
