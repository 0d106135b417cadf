//! Obliterating a whole queue, a batch at a time, and what that leaves.

use super::bench::{Bench, Of, remove};
use drover::model::action::{Effect, QueueAction};
use serde_json::json;

async fn obliterate(bench: &Bench, force: bool) -> Effect {
    let name = "q".into();
    bench.act_on_queue(QueueAction::Obliterate { name, force }).await
}

fn note(effect: &Effect) -> &str {
    match effect {
        Effect::Done { note: Some(note), .. } => note,
        other => panic!("{other:?}"),
    }
}

/// A parent in the queue that waits for a child of another one; its id.
async fn parent(bench: &mut Bench) -> String {
    let child = json!({"name": "child", "queueName": "elsewhere", "data": {}});
    let tree = json!({"name": "parent", "queueName": "q", "data": {}, "children": [child]});
    let tree = bench.oracle.ask("flow", "q", json!({"tree": tree})).await;
    tree["jobId"].as_str().unwrap().to_owned()
}

on!(a_queue_is_obliterated_when_it_is_paused_and_says_how_much_it_was);
async fn a_queue_is_obliterated_when_it_is_paused_and_says_how_much_it_was(family: Of) {
    let mut bench = Bench::of(family).await;
    bench.failed(json!({"fail": "x"}), json!({})).await;
    bench.oracle.ask("addMany", "q", json!({"count": 1_500})).await;
    let later = json!({"count": 20, "opts": {"delay": 600_000}});
    bench.oracle.ask("addMany", "q", later).await;
    let refused = obliterate(&bench, false).await;
    assert!(
        matches!(&refused, Effect::Refused { reason } if reason.contains("Pause")),
        "{refused:?}"
    );
    bench.oracle.ask("pause", "q", json!({})).await;
    let mut parents = 0;
    if !family.is(&["bull"]) {
        let parent = parent(&mut bench).await;
        if family.is(&["3"]) {
            // It would remove the child in the other queue with its parent: Drover does nothing at all.
            let refused = obliterate(&bench, false).await;
            assert!(
                matches!(&refused, Effect::Refused { reason } if reason.contains("1 parent waits for a job of another queue")),
                "{refused:?}"
            );
            bench
                .counts_are(json!({"waiting": 1_500, "delayed": 20, "failed": 1, "waiting_children": 1}))
                .await;
            let both = drover::model::action::JobAction::Remove { children: true };
            let removed = bench.act(&parent, both).await;
            assert_eq!(note(&removed), "1 job below it was removed with it.");
        } else {
            parents = 1;
        }
    }
    let done = obliterate(&bench, false).await;
    assert_eq!(
        note(&done),
        format!("{} jobs were removed.", drover::model::format::count(1_521 + parents))
    );
    let left: Vec<String> = bench.redis.run(&["KEYS", "bull:q:*"]);
    // 3 leaves keys such as the counter of its priorities behind; none of them is a job.
    assert!(family.is(&["3"]) || left.is_empty(), "{left:?}");
    bench.counts_are(json!({})).await;
}

on!(a_queue_with_running_jobs_is_obliterated_by_force_only: bullmq_5 bullmq_6);
async fn a_queue_with_running_jobs_is_obliterated_by_force_only(family: Of) {
    let mut bench = Bench::of(family).await;
    bench.work().await;
    bench.oracle.add("q", "job", json!({"hold": true}), json!({})).await;
    bench.oracle.wait("q", "active", 1).await;
    bench.oracle.ask("pause", "q", json!({})).await;
    let refused = obliterate(&bench, false).await;
    assert!(matches!(refused, Effect::Refused { .. }), "{refused:?}");
    let worker = json!({"workerId": "w", "force": true});
    bench.oracle.ask("stopWorker", "q", worker).await;
    assert_eq!(note(&obliterate(&bench, true).await), "1 job was removed.");
}

on!(jobs_that_the_script_of_bull_leaves_behind_are_counted: bull);
async fn jobs_that_the_script_of_bull_leaves_behind_are_counted(family: Of) {
    let mut bench = Bench::of(family).await;
    bench.oracle.ask("addMany", "q", json!({"count": 3})).await;
    bench.oracle.ask("pause", "q", json!({})).await;
    // Jobs that another generation puts where Bull does not look stay.
    let stray = bench.oracle.add("q", "job", json!({}), json!({})).await;
    let _: i64 = bench.redis.run(&["LREM", "bull:q:paused", "1", &stray]);
    let _: i64 = bench.redis.run(&["LPUSH", "bull:q:wait", &stray]);
    let done = obliterate(&bench, false).await;
    let said = note(&done);
    assert!(said.starts_with("3 jobs were removed. 1 job is left"), "{said}");
    assert!(bench.act(&stray, remove()).await != Effect::Gone, "it is there");
}
