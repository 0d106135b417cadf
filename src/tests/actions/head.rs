//! Actions on the oldest finished jobs at once: the same result as one by one, whatever other jobs are there.

use super::bench::{Bench, Of, remove, retry};
use drover::model::action::{Effect, JobAction, Seen};
use drover::model::state::JobState;
use drover::server::adapter::Act as _;
use drover::server::adapter::QueueId;
use serde_json::{Value, json};

/// The jobs of a state as an operation has seen them, the oldest first.
fn seen(bench: &Bench, state: JobState) -> Vec<(String, Seen)> {
    let set = format!("bull:q:{}", state.as_str());
    let ids: Vec<(String, f64)> = bench.redis.run(&["ZRANGE", &set, "0", "-1", "WITHSCORES"]);
    ids.into_iter()
        .map(|(id, score)| {
            #[expect(clippy::cast_possible_truncation, reason = "milliseconds")]
            let finished_on = Some(score as i64);
            let seen = Seen {
                state: Some(state),
                finished_on,
                attempts: None,
            };
            (id, seen)
        })
        .collect()
}

async fn act(bench: &Bench, jobs: &[(String, Seen)], action: &JobAction) -> Vec<Effect> {
    bench
        .adapter
        .on_jobs(&QueueId::from("bull:q"), jobs, action)
        .await
        .unwrap()
}

fn done(effects: &[Effect]) -> usize {
    effects.iter().filter(|e| **e == Effect::done()).count()
}

async fn finished(bench: &mut Bench, count: usize, data: Value, state: &str) {
    bench
        .oracle
        .ask("addMany", "q", json!({"count": count, "data": data}))
        .await;
    bench
        .oracle
        .ask("startWorker", "q", json!({"workerId": "w", "concurrency": 20}))
        .await;
    bench.oracle.wait("q", state, count).await;
    bench.rest().await;
}

/// How often the library's scripts for many, or ours for one of them, have searched for the oldest.
fn looks(bench: &Bench) -> usize {
    let stats: String = bench.redis.run(&["INFO", "commandstats"]);
    let calls = stats
        .lines()
        .find_map(|line| line.strip_prefix("cmdstat_zrangebyscore:calls="));
    calls.map_or(0, |rest| rest.split(',').next().unwrap().parse().unwrap())
}

on!(the_oldest_failed_jobs_are_retried_at_once);
async fn the_oldest_failed_jobs_are_retried_at_once(family: Of) {
    let mut bench = Bench::of(family).await;
    finished(&mut bench, 60, family.failing_once(), "failed").await;
    let jobs = seen(&bench, JobState::Failed);
    let before = looks(&bench);
    assert_eq!(done(&act(&bench, &jobs[..40], &retry()).await), 40);
    let at_once = family.is(&["4", "5", "6"]);
    assert_eq!(
        looks(&bench) > before,
        at_once,
        "by the script for many where there is one"
    );
    bench.counts_are(json!({"waiting": 40, "failed": 20})).await;
    // Doing it again finds them where they are.
    let again = act(&bench, &jobs[..40], &retry()).await;
    assert!(again.iter().all(|e| matches!(e, Effect::Already { .. })), "{again:?}");
    bench.work().await;
    bench.oracle.wait("q", "completed", 40).await;
    bench.counts_are(json!({"completed": 40, "failed": 20})).await;
    bench.is_whole();
}

on!(the_oldest_completed_jobs_are_removed_at_once);
async fn the_oldest_completed_jobs_are_removed_at_once(family: Of) {
    let mut bench = Bench::of(family).await;
    finished(&mut bench, 60, json!({}), "completed").await;
    let jobs = seen(&bench, JobState::Completed);
    let before = looks(&bench);
    assert_eq!(done(&act(&bench, &jobs[..40], &remove()).await), 40);
    assert_eq!(looks(&bench) > before, !family.is(&["3"]));
    bench.counts_are(json!({"completed": 20})).await;
    for (id, _) in &jobs[..40] {
        let left: Vec<String> = bench.redis.run(&["KEYS", &format!("bull:q:{id}*")]);
        // The pattern of 1 matches 10 as well; the check is about the job itself.
        assert!(!left.contains(&format!("bull:q:{id}")), "{id} is gone whole");
    }
    let again = act(&bench, &jobs[..40], &remove()).await;
    assert!(again.iter().all(|e| *e == Effect::Gone), "{again:?}");
    bench.is_whole();
}

on!(odd_ones_among_many_are_told_apart);
async fn odd_ones_among_many_are_told_apart(family: Of) {
    let mut bench = Bench::of(family).await;
    finished(&mut bench, 50, family.failing_once(), "failed").await;
    let jobs = seen(&bench, JobState::Failed);
    // One has no record, a worker holds one, one failed again since.
    let (lost, held, later) = (&jobs[10].0, &jobs[20].0, &jobs[30].0);
    let _: i64 = bench.redis.run(&["DEL", &format!("bull:q:{lost}")]);
    let lock = format!("bull:q:{held}:lock");
    let _: String = bench.redis.run(&["SET", &lock, "somebody:1"]);
    let at = (jobs[30].1.finished_on.unwrap() + 100_000).to_string();
    let record = format!("bull:q:{later}");
    let _: i64 = bench.redis.run(&["HSET", &record, "finishedOn", &at]);
    let _: i64 = bench.redis.run(&["ZADD", "bull:q:failed", &at, later]);
    let effects = act(&bench, &jobs, &retry()).await;
    assert_eq!(done(&effects), 47, "{effects:?}");
    assert_eq!(effects[10], Effect::Gone);
    assert!(matches!(effects[20], Effect::Locked { .. }), "{:?}", effects[20]);
    assert!(matches!(effects[30], Effect::Changed { .. }), "{:?}", effects[30]);
    let _: i64 = bench.redis.run(&["DEL", &lock]);
    let _: i64 = bench.redis.run(&["ZREM", "bull:q:failed", lost]);
    bench.counts_are(json!({"waiting": 47, "failed": 2})).await;
    bench.work().await;
    bench.oracle.wait("q", "completed", 47).await;
    bench.is_whole();
}

on!(places_in_the_line_are_kept_among_many: bullmq_4 bullmq_5 bullmq_6);
async fn places_in_the_line_are_kept_among_many(family: Of) {
    let mut bench = Bench::of(family).await;
    finished(&mut bench, 30, family.failing_once(), "failed").await;
    bench.failed(family.failing_once(), json!({"priority": 3})).await;
    bench.failed(family.failing_once(), json!({"lifo": true})).await;
    let jobs = seen(&bench, JobState::Failed);
    assert_eq!(jobs.len(), 32);
    assert_eq!(done(&act(&bench, &jobs, &retry()).await), 32);
    let next: Option<String> = bench.redis.run(&["LINDEX", "bull:q:wait", "-1"]);
    assert_eq!(
        next.as_deref(),
        Some(jobs[31].0.as_str()),
        "what goes first goes first again"
    );
    bench.work().await;
    bench.oracle.wait("q", "completed", 32).await;
    bench.is_whole();
}
