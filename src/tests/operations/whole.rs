//! Whole states of a queue: retried, promoted, drained and cleaned as operations, and a queue that is obliterated.

use super::{becomes, board, failed, preview, start, write_failed};
use serde_json::{Value, json};

#[tokio::test]
async fn a_queue_is_drained_in_several_states_and_nothing_else() {
    let (_redis, mut oracle, drover) = board().await;
    failed(&mut oracle, "mail", "send", 4, "no").await;
    let later = json!({"delay": 600_000});
    for (count, opts) in [(6, json!({})), (3, json!({"priority": 7})), (2, later)] {
        oracle
            .ask("addMany", "mail", json!({"count": count, "opts": opts}))
            .await;
    }
    drover.knows("bull:mail").await;
    let counts = oracle.counts("mail").await;
    drover.counts_become("bull:mail", &counts).await;
    let seen = preview(&drover, "remove", "state:waiting,prioritized queue:mail").await;
    assert_eq!(
        (&seen["selected"], &seen["sentence"]),
        (
            &json!(9),
            &json!("Remove 9 waiting and prioritized jobs of mail in redis.")
        )
    );
    assert_eq!(seen["by_queue"], json!([[{"store": "redis", "queue": "bull:mail"}, 9]]));
    // Jobs that arrive after the preview stay.
    let late = oracle.add("mail", "late", json!({}), json!({})).await;
    let id = start(&drover, &seen, json!({})).await;
    assert_eq!(becomes(&drover, &id, "done").await["totals"]["done"], 9);
    assert_eq!(oracle.ids("mail", "waiting", true).await, [late]);
    let left = oracle.counts("mail").await;
    assert_eq!(
        (&left["prioritized"], &left["delayed"], &left["failed"]),
        (&json!(0), &json!(2), &json!(4)),
        "{left}"
    );
}

#[tokio::test]
async fn the_oldest_so_many_are_cleaned() {
    let (redis, mut oracle, drover) = board().await;
    write_failed(&redis, "mail", 300);
    drover.knows("bull:mail").await;
    drover.counts_become("bull:mail", &oracle.counts("mail").await).await;
    let seen = preview(&drover, "remove", "state:failed queue:mail age:>10m first:50").await;
    assert_eq!(
        (&seen["selected"], &seen["capped"]),
        (&json!(50), &json!(false)),
        "{seen}"
    );
    let id = start(&drover, &seen, json!({})).await;
    assert_eq!(becomes(&drover, &id, "done").await["totals"]["done"], 50);
    let left = oracle.ids("mail", "failed", true).await;
    assert_eq!(left.len(), 250);
    assert!(
        !left.contains(&"50".to_owned()) && left.contains(&"51".to_owned()),
        "the oldest went"
    );
}

#[tokio::test]
async fn a_queue_is_obliterated_when_it_is_paused_and_named() {
    let (redis, mut oracle, drover) = board().await;
    failed(&mut oracle, "mail", "send", 30, "no").await;
    oracle.ask("addMany", "mail", json!({"count": 5})).await;
    drover.knows("bull:mail").await;
    let path = "/queues/redis/bull:mail/obliterate";
    let wrong = drover.post(path, &json!({"name": "post"})).await;
    assert_eq!(wrong.status, 400, "{}", wrong.body);
    assert!(
        wrong.body.contains("\\\"mail\\\""),
        "it says what to type: {}",
        wrong.body
    );
    let running = drover.post(path, &json!({"name": "mail"})).await;
    assert!(running.body.contains("Pause the queue first"), "{}", running.body);
    assert_eq!(oracle.counts("mail").await["failed"], 30, "nothing was done");

    oracle.ask("pause", "mail", json!({})).await;
    let done = drover
        .post(path, &json!({"name": "mail", "reason": "moved to post"}))
        .await;
    assert_eq!(
        (done.status, &done.json()["result"]),
        (200, &json!("done")),
        "{}",
        done.body
    );
    let keys: Vec<String> = redis.run(&["KEYS", "bull:mail*"]);
    assert_eq!(keys, Vec::<String>::new(), "the library's script left nothing");
    let record = drover.audit("queue=redis/bull:mail").await;
    assert_eq!(
        (&record[0]["action"], &record[0]["reason"]),
        (&json!("obliterate"), &json!("moved to post")),
        "{record:?}"
    );
    // The name is free for another queue, which the board shows as it is.
    oracle.ask("resume", "mail", json!({})).await;
    oracle.add("mail", "send", json!({}), json!({})).await;
    drover.counts_become("bull:mail", &oracle.counts("mail").await).await;
    let after: Value = drover.get("/api/v1/queues/redis/bull:mail").await.json();
    assert_eq!(after["counts"]["waiting"], 1, "{after}");
}

#[tokio::test]
async fn whoever_follows_an_operation_is_told_how_far_it_is() {
    let (redis, mut oracle, drover) = board().await;
    write_failed(&redis, "mail", 90);
    drover.knows("bull:mail").await;
    drover.counts_become("bull:mail", &oracle.counts("mail").await).await;
    let seen = preview(&drover, "retry", "state:failed queue:mail").await;
    let id = start(&drover, &seen, json!({"rate": 60})).await;
    let mut watchers = [
        drover.stream(&format!("operation:{id}")).await,
        drover.stream(&format!("overview,operation:{id}")).await,
    ];
    for watcher in &mut watchers {
        let mut told = Vec::new();
        watcher
            .until("the end of the operation", |event| {
                let operation = event.data.get("operation")?;
                told.push(operation["totals"]["done"].as_u64()?);
                (operation["state"] == "done").then_some(())
            })
            .await;
        assert!(told.is_sorted(), "{told:?}");
        assert!(told.len() >= 3, "it is told on the way, not only at the end: {told:?}");
        assert_eq!(told.last(), Some(&90));
    }
}
