//! Waiting tasks are removed out of the lists: the message that was seen and no other, whatever workers do meanwhile.

use super::Shop;
use crate::support::client::Answer;
use crate::support::{SOON, eventually};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The status and the words of an answer.
fn says(answer: &Answer, status: u16, part: &str) {
    assert_eq!(answer.status, status, "{}", answer.body);
    assert!(answer.body.contains(part), "{part:?} is not in {}", answer.body);
}

#[tokio::test]
async fn a_removed_task_never_runs_and_the_others_do() {
    let mut shop = Shop::open(json!({})).await;
    let tally = json!([{"tally": "ran"}]);
    let mut sent = vec![];
    for (priority, serializer) in [(0, "json"), (0, "pickle"), (5, "msgpack"), (5, "json"), (9, "json")] {
        let options = json!({"priority": priority, "serializer": serializer});
        sent.push(shop.send("mail", tally.clone(), options).await);
    }
    // A worker that takes this ends.
    shop.redis.run::<()>(&["RPUSH", "mail", "no message"]);
    shop.drover.knows("mail").await;
    let rows = eventually("all rows", SOON, || async {
        let rows = shop.drover.rows("mail", "waiting", "next", 50).await;
        (rows.len() == 6).then_some(rows)
    })
    .await;
    let odd = rows[0]["id"].as_str().unwrap();
    assert!(odd.starts_with("sha1:"), "{rows:?}");
    for id in [odd, &sent[1], &sent[2]] {
        let seen = json!({"state": "waiting", "attempts": 0});
        let answer = shop.act(id, "remove", seen.clone()).await;
        assert_eq!(
            (answer.status, &answer.json()["result"]),
            (200, &json!("done")),
            "{}",
            answer.body
        );
        says(&shop.act(id, "remove", seen).await, 412, "No message of it waits");
    }
    // The page offers it for one that waits, with what to know before.
    let page = shop
        .drover
        .get(&format!("/queues/redis/mail/jobs/{}", sent[0]))
        .await
        .body;
    assert!(page.contains("Remove…"), "{page}");
    let form = format!("/queues/redis/mail/jobs/{}/act?action=remove", sent[0]);
    let form = shop.drover.get(&form).await.body;
    assert!(
        form.contains("stay and run") && !form.contains("Also its children"),
        "{form}"
    );
    shop.work(&[]).await;
    shop.is_over(3).await;
    assert_eq!(shop.ran(), [&*sent[0], &*sent[3], &*sent[4]], "by their priority");
    says(
        &shop.act(&sent[0], "remove", json!({"state": "completed"})).await,
        422,
        "expires by itself",
    );
}

#[tokio::test]
async fn two_messages_of_one_task_are_not_confused() {
    let mut shop = Shop::open(json!({})).await;
    for called in ["first", "second", "third"] {
        let args = json!([{"tally": "ran", "called": called}]);
        shop.send("mail", args, json!({"task_id": "twin"})).await;
    }
    shop.drover.knows("mail").await;
    let seen = json!({"state": "waiting", "attempts": 0});
    let answer = shop.act("twin", "remove", seen.clone()).await;
    says(&answer, 422, "3 messages of this task wait");
    // Each is named by its bytes: the message in the middle is the second.
    let element: Vec<u8> = shop.redis.run(&["LINDEX", "mail", "1"]);
    let words: Vec<&str> = answer.body.split("sha1:").skip(1).collect();
    let ids: Vec<String> = words.iter().map(|rest| format!("sha1:{}", &rest[..40])).collect();
    assert_eq!(ids.len(), 3);
    let mut removed = 0;
    for id in &ids {
        let task = shop.task("mail", id, |_| true).await;
        if task["data"].to_string().contains("second") {
            assert_eq!(shop.act(id, "remove", seen.clone()).await.status, 200);
            removed += 1;
        }
    }
    assert_eq!(removed, 1);
    let left: Vec<Vec<u8>> = shop.redis.run(&["LRANGE", "mail", "0", "-1"]);
    assert!(left.len() == 2 && !left.contains(&element));
    // A retry of the task is told from its first run by its retries.
    let retried = String::from_utf8(left[0].clone())
        .unwrap()
        .replace("\"retries\": 0", "\"retries\": 1");
    assert!(retried.contains("\"retries\": 1"), "{retried}");
    shop.redis.run::<()>(&["LPUSH", "mail", &retried]);
    says(
        &shop
            .act("twin", "remove", json!({"state": "waiting", "attempts": 2}))
            .await,
        412,
        "another number of retries",
    );
    assert_eq!(
        shop.act("twin", "remove", json!({"state": "waiting", "attempts": 1}))
            .await
            .status,
        200
    );
    assert_eq!(shop.redis.run::<u64>(&["LLEN", "mail"]), 2);
    shop.work(&[]).await;
    shop.is_over(2).await;
    assert_eq!(shop.ran(), ["first", "third"]);
}

#[tokio::test]
async fn each_of_many_tasks_is_removed_or_runs_once_while_a_worker_takes_them() {
    const TASKS: usize = 300;
    let mut shop = Shop::open(json!({})).await;
    let gate = shop.oracle.add("mail", "held", json!({"hold": true}), json!({})).await;
    shop.work(&[]).await;
    shop.oracle.wait("mail", "active", 1).await;
    let mut ids = vec![];
    // Every other one is acknowledged before it runs.
    for (name, priority) in [("work", 0), ("early", 0), ("work", 6)] {
        let many = json!({"count": TASKS / 3, "name": name, "data": {"tally": "ran", "ms": 2}, "opts": {"priority": priority}});
        let added = shop.oracle.ask("addMany", "mail", many).await;
        ids.extend(
            added["jobIds"]
                .as_array()
                .unwrap()
                .iter()
                .map(|id| id.as_str().unwrap().to_owned()),
        );
    }
    shop.line("mail", "all wait", |line| {
        line["counts"]["waiting"].as_u64() >= Some(TASKS as u64 - 1)
    })
    .await;
    shop.oracle.ask("release", "mail", json!({"jobId": gate})).await;
    eventually("one ran", SOON, || async { (!shop.ran().is_empty()).then_some(()) }).await;
    // From both ends, so that the worker and the removals meet.
    let (mut removed, mut left) = (BTreeSet::new(), 0);
    for n in 0..TASKS {
        let id = if n % 4 == 0 {
            &ids[n / 4]
        } else {
            &ids[TASKS - 1 - n + n / 4 + 1]
        };
        let answer = shop.act(id, "remove", json!({"state": "waiting", "attempts": 0})).await;
        match answer.status {
            200 => assert!(removed.insert(id.clone()), "{id} was removed twice"),
            412 => left += 1,
            _ => panic!("{}", answer.body),
        }
    }
    assert_eq!(removed.len() + left, TASKS);
    shop.is_over(TASKS - removed.len()).await;
    let ran = shop.ran();
    let once: BTreeSet<String> = ran.iter().cloned().collect();
    assert_eq!(once.len(), ran.len(), "a task ran twice");
    assert!(once.is_disjoint(&removed), "a removed task ran");
    assert_eq!(once.len() + removed.len(), TASKS, "a task is neither removed nor ran");
    assert!(!removed.is_empty() && left > 0, "{} removed, {left} ran", removed.len());
}

#[tokio::test]
async fn what_workers_hold_is_not_removed_and_two_who_remove_one_task_remove_it_once() {
    let mut shop = Shop::open(json!({})).await;
    shop.work(&[]).await;
    let later = shop
        .oracle
        .add("mail", "later", json!({}), json!({"delay": 900_000}))
        .await;
    let held = shop.oracle.add("mail", "held", json!({"hold": true}), json!({})).await;
    shop.oracle.wait("mail", "active", 1).await;
    shop.oracle.wait("mail", "delayed", 1).await;
    for (id, state) in [(&later, "delayed"), (&held, "active")] {
        shop.task("mail", id, |task| task["row"]["state"] == state).await;
        says(
            &shop.act(id, "remove", json!({"state": state})).await,
            422,
            "A worker holds this task in its memory",
        );
        // It waited when the page was opened.
        says(
            &shop.act(id, "remove", json!({"state": "waiting"})).await,
            412,
            "a worker has taken it",
        );
        let page = shop.drover.get(&format!("/queues/redis/mail/jobs/{id}")).await.body;
        assert!(!page.contains("Remove…"), "{page}");
    }
    for _ in 0..20 {
        let id = shop.send("mail", json!([]), json!({})).await;
        let seen = || json!({"state": "waiting", "attempts": 0});
        let (a, b) = tokio::join!(shop.act(&id, "remove", seen()), shop.act(&id, "remove", seen()));
        let mut statuses = [a.status, b.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 412], "{} {}", a.body, b.body);
    }
    let entry = &shop.drover.audit("action=remove&limit=1").await[0];
    assert!(
        entry["sentence"].as_str().unwrap().starts_with("Remove job "),
        "{entry}"
    );
}

#[tokio::test]
async fn what_messages_do_not_allow_is_refused_with_its_reason_and_nothing_is_written() {
    let mut shop = Shop::open(json!({})).await;
    let id = shop.send("mail", json!([]), json!({})).await;
    let line = shop.drover.knows("mail").await;
    let can = shop.drover.capabilities(&line).await;
    let possible: Vec<&String> = can["actions"]
        .as_object()
        .unwrap()
        .iter()
        .filter_map(|(action, why)| why.is_null().then_some(action))
        .collect();
    assert_eq!(possible, ["cancel", "put_back", "remove"], "{can}");
    let contents = || -> Vec<(String, Value)> {
        let mut keys: Vec<String> = shop.redis.run(&["KEYS", "*"]);
        keys.sort();
        let dump = |key: String| {
            let bytes: Option<Vec<u8>> = shop.redis.run(&["DUMP", &key]);
            (key, json!(bytes))
        };
        keys.into_iter().map(dump).collect()
    };
    let before = contents();
    for (path, fields, why) in [
        (
            format!("/queues/redis/mail/jobs/{id}/retry"),
            json!({}),
            "Send it again",
        ),
        (
            format!("/queues/redis/mail/jobs/{id}/cancel"),
            json!({}),
            "No worker listens",
        ),
        (
            format!("/queues/redis/mail/jobs/{id}/remove"),
            json!({"children": true}),
            "no children",
        ),
        (
            format!("/queues/redis/mail/jobs/{id}/put_back"),
            json!({}),
            "No worker holds it any more",
        ),
        ("/queues/redis/mail/pause".to_owned(), json!({}), "no pause of a queue"),
        (
            "/queues/redis/mail/jobs".to_owned(),
            json!({"name": "n", "data": "{}"}),
            "sends no new tasks",
        ),
        (
            "/queues/redis/mail/obliterate".to_owned(),
            json!({"name": "mail"}),
            "declares the queue again",
        ),
    ] {
        let answer = shop.drover.post(&path, &fields).await;
        let status = if path.ends_with("put_back") { 409 } else { 422 };
        says(&answer, status, why);
    }
    for state in ["completed", "failed"] {
        let path = format!("/api/v1/queues/redis/mail/jobs?state={state}");
        says(&shop.drover.get(&path).await, 422, "without an index");
    }
    let page = shop.drover.get("/queues/redis/mail").await;
    assert_eq!(page.status, 200);
    assert!(!page.body.contains("<button>Pause"), "a button for what cannot be done");
    assert!(page.body.contains("no pause of a queue"), "{}", page.body);
    assert_eq!(contents(), before);
}
