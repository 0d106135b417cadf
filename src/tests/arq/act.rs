//! Jobs that wait are removed and promoted, and aborted as far as that goes: each as it was seen, whatever workers do meanwhile.

use super::{Shop, says};
use crate::operations::{becomes, preview, start};
use crate::support::{LATER, SOON, eventually};
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn seen(state: &str, attempts: u32) -> Value {
    json!({"state": state, "attempts": attempts})
}

impl Shop {
    /// Adds a job that leaves its id in the list `ran`.
    async fn counted(&mut self, opts: Value) -> String {
        self.oracle.add("mail", "job", json!({"tally": "ran"}), opts).await
    }
}

#[tokio::test]
async fn a_removed_job_never_runs_and_a_promoted_one_runs_now() {
    let mut shop = Shop::open(json!({})).await;
    let later = || json!({"delay": 900_000});
    let (stays, out) = (shop.counted(json!({})).await, shop.counted(json!({})).await);
    let (soon, never) = (shop.counted(later()).await, shop.counted(later()).await);
    shop.drover.knows("mail").await;
    for (id, state) in [(&out, "waiting"), (&never, "delayed")] {
        // As it was seen, or not at all.
        let other = if state == "waiting" { "delayed" } else { "waiting" };
        says(&shop.act(id, "remove", seen(other, 0)).await, 412, state);
        says(&shop.act(id, "remove", seen(state, 1)).await, 412, "0 tries have begun");
        says(&shop.act(id, "remove", seen(state, 0)).await, 200, "done");
        assert_eq!(shop.status(id).await, "not_found");
        assert!(!shop.redis.run::<bool>(&["EXISTS", &format!("arq:job:{id}")]));
        says(
            &shop.act(id, "remove", seen(state, 0)).await,
            412,
            "not in the queue any more",
        );
    }
    // Nothing but the one job goes: no claim is left, and the id is free again.
    assert_eq!(shop.redis.run::<Vec<String>>(&["KEYS", "arq:in-progress:*"]), [""; 0]);
    let again = shop.counted(json!({"jobId": out})).await;
    let page = shop.drover.get(&format!("/queues/redis/mail/jobs/{soon}")).await.body;
    assert!(page.contains("Run now") && page.contains("Remove…"), "{page}");
    let form = shop
        .drover
        .get(&format!("/queues/redis/mail/jobs/{soon}/act?action=remove"))
        .await
        .body;
    assert!(
        form.contains("waits until its own timeout") && !form.contains("Also its children"),
        "{form}"
    );

    // A payload belongs to an id and not to a queue.
    shop.add("other", "next", json!({})).await;
    shop.drover.knows("other").await;
    shop.redis.run::<()>(&["ZADD", "other", "1", &stays]);
    says(
        &shop.act(&stays, "remove", seen("waiting", 0)).await,
        422,
        "The queue other holds a job with the same id",
    );
    shop.redis.run::<()>(&["ZREM", "other", &stays]);

    shop.redis.run::<()>(&["ZADD", "mail", "4000000000000", "ghost"]);
    says(
        &shop.act("ghost", "promote", seen("delayed", 0)).await,
        422,
        "payload has expired",
    );
    says(&shop.act("ghost", "remove", seen("delayed", 0)).await, 200, "done");
    assert_eq!(shop.status(&soon).await, "deferred");
    says(&shop.act(&soon, "promote", seen("delayed", 0)).await, 200, "done");
    assert_eq!(shop.status(&soon).await, "queued");
    says(&shop.act(&soon, "promote", seen("delayed", 0)).await, 200, "already");
    shop.work("mail", "w").await;
    shop.oracle.wait("mail", "completed", 3).await;
    assert_eq!(shop.ran(), [&*stays, &*again, &*soon]);
    says(
        &shop.act(&soon, "promote", seen("delayed", 0)).await,
        412,
        "not in the queue any more",
    );
    says(
        &shop.act(&soon, "remove", seen("completed", 1)).await,
        422,
        "expires by itself",
    );
    assert_eq!(
        shop.redis.run::<u64>(&["ZCARD", "mail"]),
        0,
        "a promotion brings no job back"
    );
}

#[tokio::test]
async fn what_a_worker_has_claimed_is_left_alone_and_one_that_is_about_to_claim_gives_way() {
    let mut shop = Shop::open(json!({})).await;
    let id = shop.counted(json!({})).await;
    shop.drover.knows("mail").await;
    // What a worker does between its look at a job and its claim.
    let mut worker = shop.redis.connection();
    let mut ask = |words: &[&str]| -> redis::Value {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]).query(&mut worker).unwrap()
    };
    let claim = format!("arq:in-progress:{id}");
    ask(&["WATCH", &claim]);
    assert_eq!(ask(&["EXISTS", &claim]), redis::Value::Int(0));
    assert_ne!(ask(&["ZSCORE", "mail", &id]), redis::Value::Nil);
    says(&shop.act(&id, "remove", seen("waiting", 0)).await, 200, "done");
    ask(&["MULTI"]);
    ask(&["PSETEX", &claim, "310000", "1"]);
    assert_eq!(
        ask(&["EXEC"]),
        redis::Value::Nil,
        "the worker claims a job that is gone"
    );

    shop.work("mail", "w").await;
    let held = shop.add("mail", "held", json!({"hold": true})).await;
    let again = shop.add("mail", "job", json!({"again": 600, "tally": "ran"})).await;
    shop.oracle.wait("mail", "active", 1).await;
    shop.oracle.wait("mail", "delayed", 1).await;
    for word in ["remove", "promote", "cancel"] {
        says(&shop.act(&held, word, json!({})).await, 409, "A worker has claimed it");
    }
    let page = shop.drover.get(&format!("/queues/redis/mail/jobs/{held}")).await.body;
    assert!(!page.contains("Remove…"), "{page}");
    // Of one that is to be tried again, the tries are told from what was seen.
    says(
        &shop.act(&again, "promote", seen("delayed", 0)).await,
        412,
        "1 try has begun",
    );
    says(&shop.act(&again, "promote", seen("delayed", 1)).await, 200, "done");
    eventually("its second try", SOON, || async {
        (shop.ran().len() == 2).then_some(())
    })
    .await;
    shop.oracle.wait("mail", "delayed", 1).await;
    says(&shop.act(&again, "remove", seen("delayed", 2)).await, 200, "done");
    assert!(!shop.redis.run::<bool>(&["EXISTS", &format!("arq:retry:{again}")]));
    shop.oracle.ask("release", "mail", json!({"all": true})).await;
    shop.oracle.wait("mail", "completed", 1).await;
    assert_eq!(shop.ran(), [&*again, &*again]);
    let entry = &shop.drover.audit("action=remove&limit=1").await[0];
    assert!(
        entry["sentence"].as_str().unwrap().starts_with("Remove job "),
        "{entry}"
    );
}

#[tokio::test]
async fn each_of_many_jobs_is_removed_or_runs_once_while_a_worker_takes_them() {
    const JOBS: usize = 400;
    let mut shop = Shop::open(json!({"max_jobs": 10})).await;
    let many = json!({"count": JOBS, "name": "job", "data": {"tally": "ran"}});
    let added = shop.oracle.ask("addMany", "mail", many).await;
    let ids: Vec<String> = serde_json::from_value(added["jobIds"].clone()).unwrap();
    shop.drover.knows("mail").await;
    shop.work("mail", "w").await;
    eventually("one ran", SOON, || async { (!shop.ran().is_empty()).then_some(()) }).await;
    let remove = async |ids: Vec<&String>| {
        let mut removed = vec![];
        for id in ids {
            let answer = shop.act(id, "remove", seen("waiting", 0)).await;
            match answer.status {
                200 => removed.push(id.clone()),
                409 | 412 => {}
                _ => panic!("{}", answer.body),
            }
        }
        removed
    };
    // From the front, where the worker is, and from behind.
    let (front, behind) = ids.split_at(JOBS / 2);
    let (a, b) = tokio::join!(remove(front.iter().collect()), remove(behind.iter().rev().collect()));
    let removed: BTreeSet<String> = a.into_iter().chain(b).collect();
    shop.oracle.wait("mail", "waiting", 0).await;
    shop.oracle.wait("mail", "active", 0).await;
    let ran = shop.ran();
    let once: BTreeSet<String> = ran.iter().cloned().collect();
    assert_eq!(once.len(), ran.len(), "a job ran twice");
    assert!(once.is_disjoint(&removed), "a removed job ran");
    assert_eq!(once.len() + removed.len(), JOBS, "a job is neither removed nor ran");
    assert!(!removed.is_empty() && !once.is_empty(), "{} removed", removed.len());
    for id in &ids {
        let wanted = if removed.contains(id) { "not_found" } else { "complete" };
        assert_eq!(shop.status(id).await, wanted);
    }
    assert_eq!(shop.redis.run::<Vec<String>>(&["KEYS", "arq:job:*"]), [""; 0]);
}

/// Does this to what fits a filter once so many do; how many it was done to.
async fn all(shop: &Shop, action: &str, filter: &str, fitting: usize) -> Value {
    let seen = eventually(&format!("{fitting} fit {filter}"), LATER, || async {
        let seen = preview(&shop.drover, action, filter).await;
        (seen["selected"] == fitting).then_some(seen)
    })
    .await;
    let typed = seen["typed"].clone();
    let id = start(&shop.drover, &seen, json!({"typed": typed})).await;
    becomes(&shop.drover, &id, "done").await["totals"]["done"].clone()
}

#[tokio::test]
async fn a_queue_is_drained_and_what_is_deferred_is_promoted_as_a_whole() {
    let mut shop = Shop::open(json!({})).await;
    shop.work("mail", "w").await;
    for _ in 0..2 {
        shop.add("mail", "held", json!({"hold": true})).await;
    }
    shop.oracle.wait("mail", "active", 2).await;
    let data = json!({"tally": "ran"});
    let later = json!({"count": 30, "name": "later", "data": data, "opts": {"delay": 900_000}});
    let later = shop.oracle.ask("addMany", "mail", later).await;
    let now = json!({"count": 700, "name": "next", "data": data});
    shop.oracle.ask("addMany", "mail", now).await;
    let so = |line: &Value| line["counts"]["waiting"] == 700 && line["counts"]["delayed"] == 30;
    shop.line("mail", "all wait", so).await;
    let page = shop.drover.get("/queues/redis/mail").await.body;
    assert!(page.contains("Drain: remove all waiting jobs…"), "{page}");
    assert_eq!(all(&shop, "remove", "state:waiting queue:redis/mail", 700).await, 700);
    assert_eq!(shop.redis.run::<u64>(&["ZCARD", "mail"]), 32);
    assert_eq!(shop.redis.run::<Vec<String>>(&["KEYS", "arq:job:*"]).len(), 32);
    assert_eq!(all(&shop, "promote", "state:delayed queue:redis/mail", 30).await, 30);
    shop.oracle.ask("release", "mail", json!({"all": true})).await;
    shop.oracle.wait("mail", "completed", 32).await;
    let ran: BTreeSet<String> = shop.ran().into_iter().collect();
    let wanted: BTreeSet<String> = serde_json::from_value(later["jobIds"].clone()).unwrap();
    assert_eq!(ran, wanted);
}

#[tokio::test]
async fn an_aborted_job_fails_where_a_worker_allows_it_and_runs_where_none_does() {
    for allowed in [true, false] {
        let mut shop = Shop::open(json!({"allow_abort_jobs": allowed})).await;
        let id = shop.counted(json!({})).await;
        shop.drover.knows("mail").await;
        let form = shop
            .drover
            .get(&format!("/queues/redis/mail/jobs/{id}/act?action=cancel"))
            .await
            .body;
        assert!(form.contains("Any other worker runs it"), "{form}");
        assert!(!form.contains("Shown as the reason for the failure"), "{form}");
        says(
            &shop.act(&id, "cancel", seen("waiting", 0)).await,
            200,
            "allow_abort_jobs",
        );
        assert_eq!(shop.status(&id).await, "queued");
        shop.work("mail", "w").await;
        let job = shop.job("mail", &id, |job| job["row"]["finished"].is_i64()).await;
        let state = if allowed { "failed" } else { "completed" };
        assert_eq!(job["row"]["state"], state, "{job}");
        assert_eq!(shop.ran().is_empty(), allowed);
        says(
            &shop.act(&id, "cancel", json!({})).await,
            412,
            "not in the queue any more",
        );
        assert!(
            !shop.redis.run::<bool>(&["EXISTS", "arq:abort"]),
            "it is asked for no job that is over"
        );
    }
}
