//! What a user in Redis may do to arq's queues.

use super::{Shop, rules, says};
use crate::support::app::Drover;
use crate::support::oracle::Oracle;
use crate::support::redis::Redis;
use crate::support::{SOON, eventually};
use serde_json::json;

#[tokio::test]
async fn an_operator_with_the_rights_of_the_documentation_acts_and_nothing_is_refused() {
    let redis = Redis::start();
    let mut oracle = Oracle::arq(&redis.url(), json!({})).await;
    // Of another application, whose jobs this user may not read.
    oracle.add("secret", "next", json!({}), json!({"delay": 900_000})).await;
    let bad = oracle.add("mail", "job", json!({"fail": "no"}), json!({})).await;
    oracle.ask("startWorker", "mail", json!({"workerId": "w"})).await;
    oracle.wait("mail", "failed", 1).await;
    oracle.ask("stopWorker", "mail", json!({"workerId": "w"})).await;
    oracle.ask("gone", "mail", json!({"workerId": "w"})).await;
    let own = rules("drover_arq_operator");
    let own: Vec<&str> = own.iter().map(String::as_str).collect();
    let drover = Drover::over(&redis.user("ops", "secret", &own)).await;
    let mut shop = Shop { redis, oracle, drover };
    let waits = shop.add("mail", "next", json!({})).await;
    let later = json!({"delay": 900_000});
    let later = shop.oracle.add("mail", "later", json!({}), later).await;
    shop.drover.knows("mail").await;
    shop.job("mail", &bad, |job| job["row"]["state"] == "failed").await;
    for (id, word, status) in [
        (&later, "promote", "queued"),
        (&bad, "retry", "queued"),
        (&bad, "cancel", "queued"),
        (&waits, "remove", "not_found"),
    ] {
        says(&shop.act(id, word, json!({})).await, 200, "done");
        assert_eq!(shop.status(id).await, status);
    }
    let denied = shop.redis.denied();
    let asked = |object: &&String| !["config|get", "secret"].contains(&object.as_str());
    assert!(denied.iter().find(asked).is_none(), "{denied:?}");
    // Without one command nothing is begun, and the sentence has the rule.
    shop.redis.run::<()>(&["ACL", "SETUSER", "ops", "-zrem"]);
    let answer = shop.act(&later, "remove", json!({})).await;
    says(&answer, 422, "zrem");
    assert_eq!(shop.status(&later).await, "queued");
}

#[tokio::test]
async fn who_may_not_act_on_jobs_sees_no_button_and_one_sentence_with_the_grant() {
    let mut shop = Shop::open(json!({})).await;
    let id = shop.add("mail", "next", json!({})).await;
    let reader = rules("drover_arq");
    let reader: Vec<&str> = reader.iter().map(String::as_str).collect();
    let path = format!("/queues/redis/mail/jobs/{id}");
    // One who runs no script, and one who may act on queues of Bull and not on those of arq.
    let bull: Vec<&str> = crate::support::redis::shipped("drover_operator")[2..].to_vec();
    let open = |rule: &&str| rule.starts_with(['%', '+']);
    let both: Vec<&str> = bull.into_iter().chain(reader.iter().copied().filter(open)).collect();
    for (user, rules, sentence) in [
        ("reader", reader, "docs/arq.md has one"),
        ("both", both, "ACL SETUSER both ~arq:* ~mail*"),
    ] {
        let drover = Drover::over(&shop.redis.user(user, "secret", &rules)).await;
        drover.knows("mail").await;
        let page = eventually("what the user may do is known", SOON, || async {
            let page = drover.get(&path).await.body;
            page.contains(sentence).then_some(page)
        })
        .await;
        assert!(!page.contains("Remove…"), "{page}");
        let answer = drover.post(&format!("{path}/remove"), &json!({})).await;
        assert!(
            answer.status >= 400 && answer.body.contains(sentence),
            "{}",
            answer.body
        );
    }
    assert_eq!(shop.status(&id).await, "queued");
}
