//! What a lost worker held is put back, and never what a worker that lives may hold. What a user in Redis may do of all this.

use super::Shop;
use crate::support::app::Drover;
use crate::support::oracle::Oracle;
use crate::support::redis::Redis;
use crate::support::{LATER, SOON, eventually};
use serde_json::{Value, json};

/// A line of `docs/celery.md` that makes a user, without its name and password.
pub(super) fn rules(user: &str) -> Vec<String> {
    let document = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/celery.md")).unwrap();
    let rules = document
        .lines()
        .find_map(|line| line.strip_prefix(&format!("user {user} ")))
        .unwrap_or_else(|| panic!("there is no {user}"));
    let open = |rule: &&str| !["on", ">change-me"].contains(rule);
    rules.split(' ').filter(open).map(str::to_owned).collect()
}

impl Shop {
    /// A task that a killed worker held, once the board knows that no worker is there.
    async fn lose(&mut self, name: &str, called: &str) -> String {
        let data = json!({"hold": true, "tally": "ran", "called": called});
        let id = self.oracle.add("mail", name, data, json!({"priority": 6})).await;
        self.oracle.wait("mail", "active", 1).await;
        self.oracle
            .ask("stopWorker", "mail", json!({"workerId": "w", "force": true}))
            .await;
        self.is_lost(&id).await;
        id
    }

    /// Waits until the board takes the worker that held a task for lost.
    async fn is_lost(&self, id: &str) {
        eventually("it is lost", LATER, || async {
            let answer = self.answer("mail", id).await;
            let task = (answer.status == 200).then(|| answer.json())?;
            (task["locked"] == false && task["row"]["state"] == "active").then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn what_a_lost_worker_held_is_put_back_and_runs_again() {
    let mut shop = Shop::open(json!({})).await;
    shop.work(&[]).await;
    shop.drover.knows("mail").await;
    // A worker lives, and whose the task is is not known.
    shop.line("mail", "a heartbeat is heard", |line| line["version"] == "5.5.3")
        .await;
    let id = shop.oracle.add("mail", "held", json!({"hold": true}), json!({})).await;
    shop.task("mail", &id, |task| task["row"]["state"] == "active").await;
    let answer = shop.act(&id, "put_back", json!({"state": "active"})).await;
    assert_eq!(answer.status, 422, "{}", answer.body);
    assert!(
        answer.body.contains("when the visibility timeout has passed"),
        "{}",
        answer.body
    );
    let page = shop.drover.get(&format!("/queues/redis/mail/jobs/{id}")).await.body;
    assert!(!page.contains("Requeue…"), "{page}");
    shop.oracle.ask("release", "mail", json!({"jobId": id})).await;
    shop.oracle.wait("mail", "active", 0).await;

    let id = shop.lose("held", "lost").await;
    let waits = shop
        .send(
            "mail",
            json!([{"tally": "ran", "called": "other"}]),
            json!({"priority": 6}),
        )
        .await;
    let page = shop.drover.get(&format!("/queues/redis/mail/jobs/{id}")).await.body;
    assert!(page.contains("Requeue…") && page.contains("is lost"), "{page}");
    let form = shop
        .drover
        .get(&format!("/queues/redis/mail/jobs/{id}/act?action=put_back"))
        .await
        .body;
    assert!(form.contains("then it runs twice"), "{form}");
    let held: String = shop.redis.run(&[
        "HGET",
        "unacked",
        &shop.redis.run::<Vec<String>>(&["HKEYS", "unacked"])[0],
    ]);
    let seen = json!({"state": "active", "attempts": 0});
    let answer = shop.act(&id, "put_back", seen.clone()).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(answer.body.contains("takes it first"), "{}", answer.body);
    assert_eq!(shop.act(&id, "put_back", seen).await.status, 412);
    assert_eq!(shop.redis.run::<u64>(&["EXISTS", "unacked", "unacked_index"]), 0);
    // Next in the list of its priority, as it was but for the two flags that kombu sets.
    assert_eq!(shop.drover.ids("mail", "waiting", "next", 10).await, [&*id, &*waits]);
    let back: String = shop.redis.run(&["LINDEX", "mail\x06\x166", "-1"]);
    let mut wanted: Value = serde_json::from_str::<Value>(&held).unwrap()[0].clone();
    wanted["headers"]["redelivered"] = json!(true);
    wanted["properties"]["delivery_info"]["redelivered"] = json!(true);
    assert_eq!(serde_json::from_str::<Value>(&back).unwrap(), wanted);
    shop.oracle.ask("release", "mail", json!({"all": true})).await;
    shop.oracle.ask("startWorker", "mail", json!({"workerId": "v"})).await;
    shop.is_over(3).await;
    // It began once before its worker was killed.
    assert_eq!(shop.ran(), ["lost", "lost", "other"]);
}

#[tokio::test]
async fn nothing_is_put_back_while_a_worker_listens_that_sends_no_heartbeats() {
    let mut shop = Shop::open(json!({})).await;
    shop.work(&["--without-heartbeat", "--without-gossip", "--without-mingle"])
        .await;
    let data = json!({"hold": true, "tally": "ran"});
    let id = shop.oracle.add("mail", "held", data, json!({})).await;
    shop.oracle.wait("mail", "active", 1).await;
    // Its hands are full: no connection waits for a message.
    shop.drover.knows("mail").await;
    let answer = shop.act(&id, "put_back", json!({"state": "active"})).await;
    assert_eq!(answer.status, 422, "{}", answer.body);
    assert!(
        answer.body.contains("It is not known whether a worker is there"),
        "{}",
        answer.body
    );
    shop.task("mail", &id, |task| task["locked"] == false).await;
    let answer = shop.act(&id, "put_back", json!({"state": "active"})).await;
    assert_eq!(answer.status, 422, "{}", answer.body);
    assert!(answer.body.contains("listens for remote control"), "{}", answer.body);
    shop.oracle.ask("release", "mail", json!({"all": true})).await;
    shop.is_over(1).await;
    assert_eq!(
        shop.ran().len(),
        1,
        "it ran once, and the question did the worker no harm"
    );
}

#[tokio::test]
async fn an_operator_with_the_rights_of_the_documentation_acts_and_nothing_is_refused() {
    let redis = Redis::start();
    let oracle = Oracle::celery(&redis.url(), json!({})).await;
    let own = rules("drover_celery_operator");
    let own: Vec<&str> = own.iter().map(String::as_str).collect();
    let drover = Drover::over(&redis.user("ops", "secret", &own)).await;
    let mut shop = Shop { redis, oracle, drover };
    shop.work(&[]).await;
    shop.drover.knows("mail").await;
    let id = shop.lose("held", "lost").await;
    let waits = shop.send("mail", json!([]), json!({})).await;
    shop.task("mail", &waits, |_| true).await;
    let answer = shop.act(&waits, "remove", json!({"state": "waiting"})).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let answer = shop.act(&id, "put_back", json!({"state": "active"})).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(shop.redis.denied(), ["config|get"; 0]);
    // Without the channel nothing is begun, and the sentence has the rule.
    shop.work(&[]).await;
    shop.oracle.wait("mail", "active", 1).await;
    let killed = json!({"workerId": "w", "force": true});
    shop.oracle.ask("stopWorker", "mail", killed).await;
    shop.is_lost(&id).await;
    shop.redis.run::<()>(&["ACL", "SETUSER", "ops", "-publish"]);
    let answer = shop.act(&id, "put_back", json!({"state": "active"})).await;
    assert_eq!(answer.status, 422, "{}", answer.body);
    assert!(
        answer.body.contains("ACL SETUSER ops +publish &/0.celery.pidbox"),
        "{}",
        answer.body
    );
    assert_eq!(shop.redis.run::<u64>(&["HLEN", "unacked"]), 1);
}

#[tokio::test]
async fn who_may_not_act_on_tasks_sees_no_button_and_one_sentence_with_the_grant() {
    let mut shop = Shop::open(json!({})).await;
    let id = shop.send("mail", json!([]), json!({})).await;
    let reader = rules("drover_celery");
    let reader: Vec<&str> = reader.iter().map(String::as_str).collect();
    let drover = Drover::over(&shop.redis.user("reader", "secret", &reader)).await;
    drover.knows("mail").await;
    let path = format!("/queues/redis/mail/jobs/{id}");
    let page = eventually("what the user may do is known", SOON, || async {
        let page = drover.get(&path).await.body;
        page.contains("docs/celery.md has one").then_some(page)
    })
    .await;
    assert!(page.contains("may only read") && !page.contains("Remove…"), "{page}");
    let answer = drover.post(&format!("{path}/remove"), &json!({})).await;
    assert!(
        answer.status >= 400 && answer.body.contains("docs/celery.md has one"),
        "{}",
        answer.body
    );

    // One who may act on queues of Bull and not on those of Celery.
    let mut bull = Oracle::start(&shop.redis.url(), 6).await;
    let job = bull.add("mail", "n", json!({}), json!({})).await;
    let operator: Vec<&str> = crate::support::redis::shipped("drover_operator")[2..].to_vec();
    let both: Vec<&str> = operator
        .into_iter()
        .chain(reader.iter().copied().filter(|rule| rule.starts_with(['%', '&', '+'])))
        .collect();
    let drover = Drover::over(&shop.redis.user("both", "secret", &both)).await;
    drover.knows("mail").await;
    drover.knows("bull:mail").await;
    let page = eventually("what the user may do is known", SOON, || async {
        let page = drover.get(&path).await.body;
        page.contains("ACL SETUSER both ~mail* ~unacked*").then_some(page)
    })
    .await;
    assert!(!page.contains("Remove…"), "{page}");
    let answer = drover.post(&format!("{path}/remove"), &json!({})).await;
    assert_eq!(answer.status, 422, "{}", answer.body);
    assert!(
        answer.body.contains("ACL SETUSER both ~mail* ~unacked*"),
        "{}",
        answer.body
    );
    assert_eq!(shop.redis.run::<u64>(&["LLEN", "mail"]), 1);
    let answer = drover
        .post(&format!("/queues/redis/bull:mail/jobs/{job}/remove"), &json!({}))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}

#[tokio::test]
async fn a_revoked_task_is_discarded_when_a_worker_takes_it_or_its_eta_comes() {
    let mut shop = Shop::open(json!({})).await;
    let data = |called: &str| json!({"tally": "ran", "called": called, "hold": called == "held"});
    let early = shop.send("mail", json!([data("early")]), json!({})).await;
    shop.drover.knows("mail").await;
    let seen = |state: &str| json!({"state": state, "attempts": 0});
    shop.task("mail", &early, |_| true).await;
    let answer = shop.act(&early, "cancel", seen("waiting")).await;
    assert_eq!(answer.status, 422, "{}", answer.body);
    assert!(answer.body.contains("No worker listens"), "{}", answer.body);
    shop.work(&[]).await;
    shop.is_over(1).await;

    let later = shop
        .oracle
        .add("mail", "later", data("later"), json!({"delay": 12_000}))
        .await;
    shop.oracle.wait("mail", "delayed", 1).await;
    let held = shop.oracle.add("mail", "held", data("held"), json!({})).await;
    shop.oracle.wait("mail", "active", 1).await;
    let next = shop.oracle.add("mail", "next", data("next"), json!({})).await;
    shop.oracle.add("mail", "work", data("last"), json!({})).await;
    for (id, state) in [(&later, "delayed"), (&next, "waiting")] {
        shop.task("mail", id, |task| task["row"]["state"] == state).await;
        let answer = shop.act(id, "cancel", seen(state)).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert!(answer.body.contains("1 worker was told"), "{}", answer.body);
    }
    let form = shop
        .drover
        .get(&format!("/queues/redis/mail/jobs/{next}/act?action=cancel"))
        .await
        .body;
    assert!(
        form.contains("Revoke job") && form.contains("nothing else keeps that"),
        "{form}"
    );
    assert!(!form.contains("Shown as the reason for the failure"), "{form}");
    shop.task("mail", &held, |task| task["row"]["state"] == "active").await;
    assert_eq!(shop.act(&held, "cancel", seen("active")).await.status, 422);
    assert_eq!(shop.act(&held, "cancel", seen("waiting")).await.status, 412);
    shop.oracle.ask("release", "mail", json!({"all": true})).await;
    for id in [&next, &later] {
        eventually("it is revoked", LATER, || async {
            let answer = shop.answer("mail", id).await;
            (answer.status == 200 && answer.json()["row"]["state"] == "cancelled").then_some(())
        })
        .await;
    }
    shop.is_over(3).await;
    assert_eq!(shop.ran(), ["early", "held", "last"]);
}
