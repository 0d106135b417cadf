//! Parents that can never run: a child that they wait for failed for good without telling them, or is gone.

use crate::actions::bench::{Bench, Of};
use crate::support::app::Drover;
use crate::support::oracle::Oracle;
use crate::support::redis::Redis;
use crate::support::{LATER, eventually};
use drover::model::action::{Effect, JobAction, Seen};
use serde_json::{Value, json};

/// A parent in `parents` of children in `children`, each with these data. Returns the ids of the parent and of its
/// children.
async fn parent(oracle: &mut Oracle, children: &[Value]) -> (String, Vec<String>) {
    let child = |data: &Value| json!({"name": "c", "queueName": "children", "data": data});
    let children: Vec<Value> = children.iter().map(child).collect();
    let tree = json!({"name": "p", "queueName": "parents", "children": children});
    let made = oracle.ask("flow", "parents", json!({"tree": tree})).await;
    let id = |job: &Value| job["jobId"].as_str().unwrap().to_owned();
    (id(&made), made["children"].as_array().unwrap().iter().map(id).collect())
}

/// Waits until a rule gives this reason for the queue of parents.
async fn says(drover: &Drover, part: &str) -> Value {
    eventually(&format!("the parents: {part}"), LATER, || async {
        let line = drover.queue("redis", "bull:parents").await?;
        line["verdict"]["reason"].as_str()?.contains(part).then_some(line)
    })
    .await
}

#[tokio::test]
async fn parents_whose_only_child_failed_for_good_are_told_with_number_and_age_in_every_generation() {
    for family in ["3", "4", "5", "6"] {
        let redis = Redis::start();
        let mut oracle = Oracle::of(&redis.url(), family).await;
        for _ in 0..40 {
            parent(&mut oracle, &[json!({"fail": "no"})]).await;
        }
        // A parent that is only slow, which is no trouble.
        parent(&mut oracle, &[json!({"hold": true})]).await;
        let worker = json!({"workerId": "w", "concurrency": 10});
        oracle.ask("startWorker", "children", worker).await;
        oracle.wait("children", "failed", 40).await;
        let drover = Drover::over(&redis.url()).await;
        let line = says(
            &drover,
            "40 parents cannot run: their children failed or are missing. The first has waited",
        )
        .await;
        assert_eq!(
            (&line["verdict"]["level"], &line["verdict"]["rule"]),
            (&json!("watch"), &json!("W4"))
        );
        assert_eq!(
            (&line["stuck"]["parents"], &line["stuck"]["looked_at"]),
            (&json!(40), &json!(41)),
            "{family}"
        );
        if family == "6" {
            let to = "/queues/redis/bull:parents?state=waiting_children";
            for path in ["", "/queues/redis/bull:parents"] {
                let html = drover.get(path).await.body;
                assert!(html.contains(to), "{path} does not lead to them: {html}");
            }
            assert_eq!(drover.get(to).await.status, 200);
        }
        oracle.ask("release", "children", json!({"all": true})).await;
    }
}

#[tokio::test]
async fn a_parent_whose_child_is_gone_is_told_and_one_whose_child_completes_is_not() {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    let (id, children) = parent(&mut oracle, &[json!({})]).await;
    parent(&mut oracle, &[json!({})]).await;
    redis.run::<()>(&["DEL", &format!("bull:children:{}", children[0])]);
    redis.run::<()>(&["LREM", "bull:children:wait", "0", &children[0]]);
    let drover = Drover::over(&redis.url()).await;
    let line = says(
        &drover,
        "A parent cannot run: a child failed or is missing. It has waited",
    )
    .await;
    assert_eq!(line["stuck"]["parents"], 1, "the other one is only waiting: {line}");
    let html = drover.get(&format!("/queues/redis/bull:parents/jobs/{id}")).await.body;
    assert!(html.contains("its parent waits for it"), "{html}");
    assert!(html.contains("Run without the failed children"), "{html}");
}

on!(a_parent_is_let_go_without_the_children_that_failed_or_are_gone: bullmq_5 bullmq_6);
async fn a_parent_is_let_go_without_the_children_that_failed_or_are_gone(family: Of) {
    let mut bench = Bench::of(family).await;
    let release = async |bench: &Bench, id: &str| {
        let seen = Seen::default();
        bench.act_on("bull:parents", id, seen, JobAction::Release).await
    };
    let worker = json!({"workerId": "w", "concurrency": 5});
    bench.oracle.ask("startWorker", "children", worker).await;
    // One child fails and a worker processes another: the parent waits for that one alone.
    let (both, children) = parent(&mut bench.oracle, &[json!({"fail": "no"}), json!({"hold": true})]).await;
    bench.oracle.wait("children", "failed", 1).await;
    bench.oracle.wait("children", "active", 1).await;
    assert_eq!(release(&bench, &both).await, Effect::done());
    assert_eq!(bench.oracle.job("parents", &both).await["state"], "waiting-children");
    assert_eq!(
        bench.oracle.job("children", &children[0]).await["state"],
        "failed",
        "it is kept"
    );
    let fine = release(&bench, &both).await;
    assert!(
        matches!(&fine, Effect::Refused { reason } if reason.contains("has failed or is missing")),
        "{fine:?}"
    );
    bench.oracle.ask("release", "children", json!({"all": true})).await;
    bench.oracle.wait("parents", "waiting", 1).await;
    assert!(matches!(release(&bench, &both).await, Effect::Already { .. }));
    // The only child failed; the only child is gone.
    let (failed, _) = parent(&mut bench.oracle, &[json!({"fail": "no"})]).await;
    bench.oracle.wait("children", "failed", 2).await;
    bench
        .oracle
        .ask("stopWorker", "children", json!({"workerId": "w"}))
        .await;
    let (gone, children) = parent(&mut bench.oracle, &[json!({})]).await;
    bench
        .redis
        .run::<()>(&["DEL", &format!("bull:children:{}", children[0])]);
    bench
        .redis
        .run::<()>(&["LREM", "bull:children:wait", "0", &children[0]]);
    for id in [&failed, &gone] {
        assert_eq!(release(&bench, id).await, Effect::done());
        assert_eq!(bench.oracle.job("parents", id).await["state"], "waiting");
    }
    // The parents run.
    bench
        .oracle
        .ask("startWorker", "parents", json!({"workerId": "p"}))
        .await;
    bench.oracle.wait("parents", "completed", 3).await;
}
