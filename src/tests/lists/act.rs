//! Items are taken out and moved: the bytes that were read and no others, whatever workers do meanwhile.

use super::{MAIL, Shop, says};
use crate::operations::{becomes, preview, start};
use crate::support::{LATER, eventually};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Items of a race.
const ITEMS: usize = 240;

#[tokio::test]
async fn each_of_many_items_is_removed_or_runs_once_while_workers_take_them() {
    let mut shop = Shop::open(json!({}), "").await;
    let ids = shop.add(ITEMS, json!({"tally": "ran", "ms": 4})).await;
    shop.line("all wait", |line| line["counts"]["waiting"] == ITEMS).await;
    shop.work(2).await;
    // From both ends, so that workers and removals meet.
    let (mut removed, mut left) = (BTreeSet::new(), 0);
    for n in 0..ITEMS {
        let id = if n % 2 == 0 {
            &ids[n / 2]
        } else {
            &ids[ITEMS - 1 - n / 2]
        };
        let answer = shop.act(id, "remove", "waiting").await;
        match answer.status {
            200 => assert!(removed.insert(id.clone())),
            412 => left += 1,
            _ => panic!("{}", answer.body),
        }
    }
    shop.oracle.wait("mail", "completed", left).await;
    let ran: Vec<String> = shop.redis.run(&["LRANGE", "ran", "0", "-1"]);
    let once: BTreeSet<String> = ran.iter().cloned().collect();
    assert_eq!((once.len(), ran.len()), (left, left), "each of these ran once");
    assert!(once.is_disjoint(&removed) && once.len() + removed.len() == ITEMS);
    assert!(left > 0 && !removed.is_empty(), "{left} ran");
    assert!(shop.items("waiting").is_empty() && shop.items("processing").is_empty());
}

#[tokio::test]
async fn each_of_many_stuck_items_is_put_back_or_ends_while_workers_finish_them() {
    let mut shop = Shop::open(json!({}), "stuck_after = \"1s\"").await;
    let mut ids = vec![];
    // Those that came first end first, and are asked for last.
    for group in 0..24 {
        ids.extend(shop.add(ITEMS / 24, json!({"hold": true, "ms": group * 80})).await);
    }
    // They hold more at once than an application would, and end at the same time.
    shop.work(ITEMS / 2).await;
    shop.oracle.wait("mail", "active", ITEMS / 2).await;
    eventually("all are stuck", LATER, || async {
        let rows = shop.drover.rows(MAIL, "active", "next", ITEMS).await;
        let stuck = rows.len() == ITEMS / 2 && rows.iter().all(|row| row["locked"] == false);
        stuck.then_some(())
    })
    .await;
    let held: Vec<String> = shop.ids("processing");
    shop.oracle.ask("release", "mail", json!({"all": true})).await;
    let (mut back, mut ended) = (0, 0);
    // Two who ask for each: it goes back once.
    for id in &held {
        let (a, b) = tokio::join!(shop.act(id, "put_back", "active"), shop.act(id, "put_back", "active"));
        let done = [a.status, b.status].iter().filter(|status| **status == 200).count();
        assert!(done <= 1, "{id} was put back twice: {} {}", a.body, b.body);
        back += done;
        ended += 1 - done;
    }
    assert_eq!(back + ended, ITEMS / 2);
    assert!(back > 0 && ended > 0, "{back} were put back");
    shop.oracle.wait("mail", "completed", ITEMS).await;
    let mut completed = shop.ids("completed");
    completed.sort();
    let mut all = ids.clone();
    all.sort();
    assert_eq!(completed, all, "each ended once and none was lost");
    assert!(shop.items("waiting").is_empty() && shop.items("processing").is_empty());
}

#[tokio::test]
async fn each_failed_item_is_retried_once_and_ends_once() {
    let mut shop = Shop::open(json!({}), "").await;
    let ids = shop.add(ITEMS, json!({"fail": "boom", "tally": "ran"})).await;
    shop.work(2).await;
    shop.oracle.wait("mail", "failed", ITEMS).await;
    shop.line("all failed", |line| line["counts"]["failed"] == ITEMS).await;
    let row = &shop.drover.rows(MAIL, "failed", "next", 5).await[0];
    assert_eq!(row["error"], "boom");
    // Some by two at once, the others as one operation.
    for id in &ids[..40] {
        let (a, b) = tokio::join!(shop.act(id, "retry", "failed"), shop.act(id, "retry", "failed"));
        let mut statuses = [a.status, b.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 412], "{} {}", a.body, b.body);
    }
    let seen = eventually("the others", LATER, || async {
        let seen = preview(&shop.drover, "retry", "state:failed queue:redis/mail:waiting").await;
        (seen["selected"] == ITEMS - 40).then_some(seen)
    })
    .await;
    let typed = seen["typed"].clone();
    let id = start(&shop.drover, &seen, json!({"typed": typed})).await;
    let done = becomes(&shop.drover, &id, "done").await;
    assert_eq!(done["totals"]["done"], ITEMS - 40, "{done}");
    shop.oracle.wait("mail", "completed", ITEMS).await;
    let ran: Vec<String> = shop.redis.run(&["LRANGE", "ran", "0", "-1"]);
    let once: BTreeSet<&String> = ran.iter().collect();
    assert_eq!((once.len(), ran.len()), (ITEMS, ITEMS));
    assert!(shop.items("failed").is_empty() && shop.items("waiting").is_empty());
    says(
        &shop.act(&ids[0], "retry", "completed").await,
        422,
        "may not be what it takes",
    );
}

#[tokio::test]
async fn a_queue_is_drained_and_items_that_look_alike_are_not_confused() {
    let mut shop = Shop::open(json!({}), "").await;
    for item in [
        "{\"id\":\"twin\",\"n\":1}",
        "{\"id\":\"twin\",\"n\":2}",
        "same",
        "same",
        "same",
    ] {
        shop.redis.run::<()>(&["LPUSH", "mail:waiting", item]);
    }
    shop.line("all wait", |line| line["counts"]["waiting"] == 5).await;
    let answer = shop.act("twin", "remove", "waiting").await;
    says(&answer, 422, "2 items have this id");
    let digests: Vec<String> = answer
        .body
        .split("sha1:")
        .skip(1)
        .map(|rest| format!("sha1:{}", &rest[..40]))
        .collect();
    let mut removed = 0;
    for id in &digests {
        let path = format!("/api/v1/queues/redis/mail%3Awaiting/jobs/{id}");
        let job = shop.drover.get(&path).await.json();
        if job["data"]["text"]
            .as_str()
            .is_some_and(|text| text.contains("\"n\":2"))
        {
            says(&shop.act(id, "remove", "waiting").await, 200, "done");
            removed += 1;
        }
    }
    assert_eq!(removed, 1);
    assert_eq!(
        shop.items("waiting"),
        ["same", "same", "same", "{\"id\":\"twin\",\"n\":1}"]
    );
    // One of those that are the same is as good as another.
    let rows = shop.drover.rows(MAIL, "waiting", "newest", 1).await;
    let same = rows[0]["id"].as_str().unwrap();
    says(&shop.act(same, "remove", "waiting").await, 200, "done");
    assert_eq!(shop.items("waiting").len(), 3);
    let many = shop.add(700, json!({})).await;
    shop.line("all wait", |line| line["counts"]["waiting"] == 703).await;
    let page = shop.drover.get("/queues/redis/mail%3Awaiting").await.body;
    assert!(page.contains("Drain: remove all waiting jobs…"), "{page}");
    let seen: Value = eventually("all are selected", LATER, || async {
        let seen = preview(&shop.drover, "remove", "state:waiting queue:redis/mail:waiting").await;
        (seen["selected"] == 703).then_some(seen)
    })
    .await;
    let typed = seen["typed"].clone();
    let id = start(&shop.drover, &seen, json!({"typed": typed})).await;
    let done = becomes(&shop.drover, &id, "done").await;
    assert_eq!(done["totals"]["done"], 703, "{} {done}", many.len());
    assert!(shop.items("waiting").is_empty());
    // Nothing else is done to them, and each refusal says why.
    let line = shop.drover.knows(MAIL).await;
    let can = shop.drover.capabilities(&line).await;
    let possible: Vec<&String> = can["actions"]
        .as_object()
        .unwrap()
        .iter()
        .filter_map(|(action, why)| why.is_null().then_some(action))
        .collect();
    assert_eq!(possible, ["put_back", "remove", "retry"], "{can}");
    let answer = shop.drover.post("/queues/redis/mail%3Awaiting/pause", &json!({})).await;
    says(&answer, 422, "tells them to take no items");
}
