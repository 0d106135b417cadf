//! What a selection contains, and what has to be confirmed before its use.

use super::{becomes, board, failed, operation, preview, start};
use crate::support::SOON;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

#[tokio::test]
async fn exactly_the_jobs_of_the_preview_are_retried_and_a_worker_does_them() {
    let (_redis, mut oracle, drover) = board().await;
    failed(&mut oracle, "mail", "send", 30, "timed out after 5 s").await;
    failed(&mut oracle, "mail", "send", 20, "no such address").await;
    failed(&mut oracle, "mail", "digest", 7, "timed out after 9 s").await;
    failed(&mut oracle, "video", "send", 3, "timed out after 5 s").await;
    drover.knows("bull:mail").await;
    drover.knows("bull:video").await;
    drover.counts_become("bull:mail", &oracle.counts("mail").await).await;
    let wanted = "state:failed queue:mail name:send error:\"Timed out\"";
    let seen = preview(&drover, "retry", wanted).await;
    assert_eq!(seen["selected"], 30, "{seen}");
    assert_eq!(seen["sentence"], "Retry 30 failed jobs of mail in redis.");
    assert_eq!(seen["by_name"], json!([{"of": "send", "jobs": 30}]));
    assert_eq!(seen["samples"].as_array().unwrap().len(), 20);
    assert_eq!(seen["typed"], Value::Null);
    // The list with the same filter finds the same jobs.
    let list = "/api/v1/queues/redis/bull:mail/jobs?state=failed&limit=200&q=";
    let found = drover
        .get(&format!("{list}name:send%20error:%22Timed%20out%22"))
        .await
        .json();
    assert_eq!(found["rows"].as_array().unwrap().len(), 30, "{found}");
    assert!(
        found["rows"][0]["error"].as_str().unwrap().contains("timed out"),
        "{found}"
    );
    let refused = drover.get(&format!("{list}state:waiting")).await;
    assert_eq!(refused.status, 400);
    assert!(refused.body.contains("use the tabs"), "{}", refused.body);
    // Jobs that fail after the preview are not changed.
    failed(&mut oracle, "mail", "send", 5, "timed out after 5 s").await;
    let before = oracle.counts("mail").await;
    let id = start(&drover, &seen, json!({"reason": "the relay is back"})).await;
    let done = becomes(&drover, &id, "done").await;
    assert_eq!(done["totals"]["done"], 30, "{done}");
    assert_eq!(
        (&done["who"], &done["reason"]),
        (&json!("anonymous"), &json!("the relay is back"))
    );
    let after = oracle.counts("mail").await;
    assert_eq!(after["waiting"], 30);
    assert_eq!(after["failed"].as_u64(), before["failed"].as_u64().map(|n| n - 30));
    assert_eq!(oracle.counts("video").await["failed"], 3);
    oracle.ask("startWorker", "mail", json!({"workerId": "live"})).await;
    // They fail again, and nothing is lost.
    let mut now = oracle.counts("mail").await;
    let until = Instant::now() + SOON;
    while now["failed"] != before["failed"] && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(50)).await;
        now = oracle.counts("mail").await;
    }
    assert_eq!(now, before, "the worker took them all");
    // Both entries of the audit log, with the counts.
    let record = drover.audit("queue=redis/bull:mail").await;
    assert_eq!(
        (&record[0]["action"], &record[0]["result"]),
        (&json!("retry_many"), &json!("done")),
        "{record:?}"
    );
    // The same token again returns the same operation.
    assert_eq!(start(&drover, &seen, json!({})).await, id);
}

#[tokio::test]
async fn what_destroys_many_asks_for_the_queues_name() {
    let (_redis, mut oracle, drover) = board().await;
    failed(&mut oracle, "mail", "send", 101, "no").await;
    drover.knows("bull:mail").await;
    drover.counts_become("bull:mail", &oracle.counts("mail").await).await;
    let seen = preview(&drover, "remove", "state:failed queue:mail").await;
    assert_eq!((&seen["selected"], &seen["typed"]), (&json!(101), &json!("mail")));
    for typed in [json!({}), json!({"typed": "male"})] {
        let mut body = json!({"token": seen["token"]});
        body.as_object_mut().unwrap().extend(typed.as_object().unwrap().clone());
        let answer = drover.post("/operations", &body).await;
        assert_eq!(answer.status, 400, "{}", answer.body);
        assert!(answer.body.contains("Type \\\"mail\\\""), "{}", answer.body);
    }
    assert_eq!(oracle.counts("mail").await["failed"], 101);
    let id = start(&drover, &seen, json!({"typed": "mail"})).await;
    let done = becomes(&drover, &id, "done").await;
    assert_eq!(done["totals"]["done"], 101);
    assert_eq!(oracle.counts("mail").await["failed"], 0);
}

#[tokio::test]
async fn what_changed_since_the_preview_is_left_alone_and_told() {
    let (_redis, mut oracle, drover) = board().await;
    failed(&mut oracle, "mail", "send", 4, "no").await;
    drover.knows("bull:mail").await;
    drover.counts_become("bull:mail", &oracle.counts("mail").await).await;
    let ids = oracle.ids("mail", "failed", true).await;
    let seen = preview(&drover, "retry", "state:failed queue:mail").await;
    let by_hand = |method: &str, id: &str| json!({"jobId": id, "method": method});
    oracle.ask("callJob", "mail", by_hand("retry", &ids[0])).await;
    oracle.ask("callJob", "mail", by_hand("remove", &ids[1])).await;
    let id = start(&drover, &seen, json!({})).await;
    let done = becomes(&drover, &id, "done").await;
    let totals = &done["totals"];
    assert_eq!((&totals["done"], &totals["gone"]), (&json!(2), &json!(1)), "{done}");
    assert_eq!(
        totals["already"].as_u64().unwrap() + totals["changed"].as_u64().unwrap(),
        1,
        "{done}"
    );
    let gone = drover
        .get(&format!("/api/v1/operations/{id}/results?result=gone"))
        .await
        .json();
    assert_eq!(gone["items"][0]["id"], ids[1].as_str(), "{gone}");
    assert_eq!(oracle.counts("mail").await["waiting"], 3);
}

#[tokio::test]
async fn a_filter_that_makes_no_sense_says_what_would() {
    let (_redis, mut oracle, drover) = board().await;
    oracle.add("mail", "n", json!({}), json!({})).await;
    drover.knows("bull:mail").await;
    for (action, filter, part) in [
        ("retry", "queue:mail", "needs a state"),
        ("retry", "state:waiting", "failed or completed"),
        ("promote", "state:failed", "delayed"),
        ("retry", "colour:red", "use state, queue"),
        ("duplicate", "state:failed", "for one job"),
    ] {
        let body = json!({"action": action, "filter": filter, "dry_run": true});
        let answer = drover.post("/operations", &body).await;
        assert_eq!(answer.status, 400, "{filter}: {}", answer.body);
        assert!(answer.body.contains(part), "{filter}: {}", answer.body);
    }
    let none = preview(&drover, "retry", "state:failed queue:mail").await;
    assert_eq!(none["selected"], 0);
    let answer = drover.post("/operations", &json!({"token": none["token"]})).await;
    assert_eq!(answer.status, 400, "{}", answer.body);
    assert_eq!(
        drover.post("/operations", &json!({"token": "made up"})).await.status,
        400
    );
    assert_eq!(drover.get("/api/v1/operations/none").await.status, 404);
}

#[tokio::test]
async fn ticked_jobs_of_several_queues_are_one_operation() {
    let (_redis, mut oracle, drover) = board().await;
    failed(&mut oracle, "a", "n", 2, "no").await;
    failed(&mut oracle, "b", "n", 2, "no").await;
    drover.knows("bull:a").await;
    drover.knows("bull:b").await;
    let (of_a, of_b) = (
        oracle.ids("a", "failed", true).await,
        oracle.ids("b", "failed", true).await,
    );
    let job =
        |queue: &str, id: &str| json!({"queue": format!("redis/bull:{queue}"), "id": id, "seen": {"state": "failed"}});
    let body = json!({"action": "retry", "jobs": [job("a", &of_a[0]), job("b", &of_b[1])]});
    let answer = drover.post("/operations", &body).await;
    assert_eq!(answer.status, 202, "few ticked jobs need no preview: {}", answer.body);
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    let done = becomes(&drover, &id, "done").await;
    assert_eq!(
        (&done["totals"]["done"], done["queues"].as_array().unwrap().len()),
        (&json!(2), 2)
    );
    assert_eq!(oracle.ids("a", "waiting", true).await, [of_a[0].clone()]);
    assert_eq!(oracle.ids("b", "waiting", true).await, [of_b[1].clone()]);
    assert_eq!(
        operation(&drover, &id).await["sentence"],
        "Retry 2 jobs of 2 queues in redis."
    );
}
