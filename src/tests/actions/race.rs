//! Two callers that do the same at once, and a worker that waits for neither.

use super::bench::{Bench, Of, done, remove, retry};
use drover::model::action::{Effect, Seen};
use drover::model::state::JobState;
use drover::server::adapter::Act as _;
use drover::server::adapter::QueueId;
use serde_json::json;

const ROUNDS: usize = 1000;

on!(exactly_one_of_two_wins: bull bullmq_4 bullmq_5 bullmq_6);
async fn exactly_one_of_two_wins(family: Of) {
    let mut bench = Bench::of(family).await;
    let other = bench.another().await;
    let jobs = json!({"count": ROUNDS, "data": family.failing_once()});
    bench.oracle.ask("addMany", "q", jobs).await;
    bench
        .oracle
        .ask("startWorker", "q", json!({"workerId": "w", "concurrency": 20}))
        .await;
    bench
        .oracle
        .ask(
            "waitUntil",
            "q",
            json!({"state": "failed", "count": ROUNDS, "timeoutMs": 60000}),
        )
        .await;
    let queue = QueueId::from("bull:q");
    let (mut retried, mut removed) = (0, 0);
    for id in bench.oracle.ids("q", "failed", true).await {
        let seen = Seen {
            state: Some(JobState::Failed),
            ..Seen::default()
        };
        let jobs = [(id, seen)];
        let (retry, remove) = (retry(), remove());
        let (a, b) = tokio::join!(
            bench.adapter.on_jobs(&queue, &jobs, &retry),
            other.on_jobs(&queue, &jobs, &remove)
        );
        let (a, b) = (a.unwrap().remove(0), b.unwrap().remove(0));
        match (a == done(), b == done()) {
            (true, false) => {
                retried += 1;
                assert!(matches!(b, Effect::Changed { .. } | Effect::Locked { .. }), "{b:?}");
            }
            (false, true) => {
                removed += 1;
                assert_eq!(a, Effect::Gone);
            }
            both => panic!("{both:?}: {a:?} and {b:?}"),
        }
    }
    bench
        .oracle
        .ask(
            "waitUntil",
            "q",
            json!({"state": "completed", "count": retried, "timeoutMs": 60000}),
        )
        .await;
    bench.counts_are(json!({"completed": retried})).await;
    assert_eq!(retried + removed, ROUNDS);
    bench.is_whole();
}

on!(nothing_is_lost_while_somebody_pauses_and_resumes: bull bullmq_3 bullmq_4 bullmq_5 bullmq_6);
async fn nothing_is_lost_while_somebody_pauses_and_resumes(family: Of) {
    const JOBS: usize = 400;
    let mut bench = Bench::of(family).await;
    let jobs = json!({"count": JOBS, "data": family.failing_once()});
    bench.oracle.ask("addMany", "q", jobs).await;
    bench
        .oracle
        .ask("startWorker", "q", json!({"workerId": "w", "concurrency": 20}))
        .await;
    bench
        .oracle
        .ask(
            "waitUntil",
            "q",
            json!({"state": "failed", "count": JOBS, "timeoutMs": 60000}),
        )
        .await;
    bench.rest().await;
    let queue = QueueId::from("bull:q");
    let ids = bench.oracle.ids("q", "failed", true).await;
    let adapter = bench.another().await;
    let (mut retried, mut refused) = (0, vec![]);
    let acting = async {
        for id in ids {
            let effect = adapter
                .on_jobs(&queue, &[(id.clone(), Seen::default())], &retry())
                .await
                .unwrap()
                .remove(0);
            match effect {
                Effect::Done { .. } => retried += 1,
                Effect::Refused { .. } => refused.push((id, Seen::default())),
                other => panic!("{id}: {other:?}"),
            }
        }
    };
    let oracle = &mut bench.oracle;
    let toggling = async {
        for _ in 0..10_000 {
            oracle.ask("pause", "q", json!({})).await;
            oracle.ask("resume", "q", json!({})).await;
        }
    };
    tokio::select! {
        () = acting => {}
        () = toggling => panic!("ten thousand pauses, and not done"),
    }
    // The old one may be in the middle of an answer.
    bench.oracle = crate::support::oracle::Oracle::of(&bench.redis.url(), family.0).await;
    bench.oracle.ask("resume", "q", json!({})).await;
    assert_eq!(retried + refused.len(), JOBS);
    bench
        .counts_are(json!({"waiting": retried, "failed": refused.len()}))
        .await;
    // A pause changed the queue during each attempt on these; now nothing changes it.
    for effect in adapter.on_jobs(&queue, &refused, &retry()).await.unwrap() {
        assert_eq!(effect, done());
    }
    bench.work().await;
    bench
        .oracle
        .ask(
            "waitUntil",
            "q",
            json!({"state": "completed", "count": JOBS, "timeoutMs": 60000}),
        )
        .await;
    bench.is_whole();
}
