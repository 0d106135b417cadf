//! Retrying failed and completed jobs.

use super::bench::{Bench, Of, done, retry};
use drover::model::action::{Effect, JobAction, Seen};
use drover::model::state::JobState;
use drover::server::adapter::{Act as _, QueueId};
use serde_json::json;

on!(a_failed_job_runs_again);
async fn a_failed_job_runs_again(family: Of) {
    let mut bench = Bench::of(family).await;
    let id = bench.failed(family.failing_once(), json!({})).await;
    let other = bench.failed(json!({"fail": "stays"}), json!({})).await;
    let finished = bench.job(&id).await["finishedOn"].as_i64();
    let seen = Seen {
        state: Some(JobState::Failed),
        finished_on: finished,
        attempts: Some(1),
    };
    assert_eq!(bench.act_on("bull:q", &id, seen.clone(), retry()).await, done());
    assert_eq!(bench.state(&id).await, "waiting");
    bench.counts_are(json!({"waiting": 1, "failed": 1})).await;
    let again = bench.act_on("bull:q", &id, seen.clone(), retry()).await;
    assert!(matches!(again, Effect::Already { .. }), "{again:?}");
    bench.counts_are(json!({"waiting": 1, "failed": 1})).await;
    bench.work().await;
    bench.becomes(&id, "completed").await;
    assert_eq!(bench.state(&other).await, "failed", "nothing else was retried");
    let late = bench.act_on("bull:q", &id, seen, retry()).await;
    assert!(
        matches!(late, Effect::Changed { .. }),
        "it is another job now: {late:?}"
    );
    bench.is_whole();
}

on!(a_job_that_failed_again_is_another_failure);
async fn a_job_that_failed_again_is_another_failure(family: Of) {
    let mut bench = Bench::of(family).await;
    let id = bench.failed(json!({"fail": "always"}), json!({})).await;
    let seen = Seen {
        state: Some(JobState::Failed),
        finished_on: bench.job(&id).await["finishedOn"].as_i64(),
        attempts: None,
    };
    assert_eq!(bench.act(&id, retry()).await, done());
    bench.work().await;
    bench.becomes(&id, "failed").await;
    let stale = bench.act_on("bull:q", &id, seen, retry()).await;
    assert!(matches!(stale, Effect::Changed { .. }), "{stale:?}");
    let attempts = Seen {
        state: Some(JobState::Failed),
        finished_on: None,
        attempts: Some(1),
    };
    let stale = bench.act_on("bull:q", &id, attempts, retry()).await;
    assert!(matches!(stale, Effect::Changed { .. }), "{stale:?}");
    assert_eq!(bench.state(&id).await, "failed");
    let gone = bench.act("no such job", retry()).await;
    assert_eq!(gone, Effect::Gone);
}

on!(attempts_are_counted_from_the_beginning_if_asked);
async fn attempts_are_counted_from_the_beginning_if_asked(family: Of) {
    let mut bench = Bench::of(family).await;
    let id = bench.failed(json!({"fail": "no"}), json!({"attempts": 2})).await;
    assert_eq!(bench.job(&id).await["attemptsMade"], 2);
    let mut data = family.failing_once();
    data["note"] = json!("é");
    let retry = JobAction::Retry {
        reset_attempts: true,
        data: Some(data.to_string()),
    };
    assert_eq!(bench.act_seen(&id, JobState::Failed, retry).await, done());
    let job = bench.job(&id).await;
    assert_eq!((&job["attemptsMade"], &job["data"]["note"]), (&json!(0), &json!("é")));
    let log = job["logs"].as_array().unwrap().last().unwrap().as_str().unwrap();
    assert!(log.ends_with(r#"{"fail":"no"}"#), "the old data are kept: {log}");
    bench.work().await;
    bench.becomes(&id, "completed").await;
    // Bull counts the failed attempts.
    let made = if family.is(&["bull"]) { 1 } else { 2 };
    assert_eq!(
        bench.job(&id).await["attemptsMade"],
        made,
        "one that failed, one that did not"
    );
}

on!(a_job_that_used_up_its_attempts_gets_one);
async fn a_job_that_used_up_its_attempts_gets_one(family: Of) {
    let mut bench = Bench::of(family).await;
    let id = bench.failed(json!({"fail": "no"}), json!({"attempts": 2})).await;
    assert_eq!(bench.act(&id, retry()).await, done());
    bench.work().await;
    bench.oracle.wait("q", "failed", 1).await;
    bench.becomes(&id, "failed").await;
    assert_eq!(bench.job(&id).await["attemptsMade"], 3);
}

on!(a_completed_job_runs_again: bullmq_3 bullmq_4 bullmq_5 bullmq_6);
async fn a_completed_job_runs_again(family: Of) {
    let mut bench = Bench::of(family).await;
    bench.work().await;
    let id = bench.oracle.add("q", "job", json!({"returns": 5}), json!({})).await;
    bench.becomes(&id, "completed").await;
    bench.rest().await;
    assert_eq!(bench.act_seen(&id, JobState::Completed, retry()).await, done());
    assert_eq!(bench.state(&id).await, "waiting");
    assert!(bench.job(&id).await["returnvalue"].is_null());
    bench.work().await;
    bench.becomes(&id, "completed").await;
}

on!(bull_does_not_retry_what_was_completed: bull);
async fn bull_does_not_retry_what_was_completed(family: Of) {
    let mut bench = Bench::of(family).await;
    bench.work().await;
    let id = bench.oracle.add("q", "job", json!({}), json!({})).await;
    bench.becomes(&id, "completed").await;
    let effect = bench.act(&id, retry()).await;
    assert!(matches!(effect, Effect::Changed { .. }), "{effect:?}");
    assert_eq!(bench.state(&id).await, "completed");
}

on!(a_job_of_a_paused_queue_waits_with_the_others);
async fn a_job_of_a_paused_queue_waits_with_the_others(family: Of) {
    let mut bench = Bench::of(family).await;
    let id = bench.failed(family.failing_once(), json!({})).await;
    let waiting = bench.oracle.add("q", "job", json!({}), json!({})).await;
    bench.oracle.ask("pause", "q", json!({})).await;
    assert_eq!(bench.act(&id, retry()).await, done());
    bench.counts_are(json!({"waiting": 2})).await;
    bench.work().await;
    bench.oracle.ask("resume", "q", json!({})).await;
    bench.becomes(&id, "completed").await;
    bench.becomes(&waiting, "completed").await;
    bench.is_whole();
}

on!(priority_is_kept_where_the_library_keeps_it);
async fn priority_is_kept_where_the_library_keeps_it(family: Of) {
    let mut bench = Bench::of(family).await;
    let id = bench.failed(family.failing_once(), json!({"priority": 7})).await;
    assert_eq!(bench.act(&id, retry()).await, done());
    let wanted = if family.is(&["6"]) { "prioritized" } else { "waiting" };
    assert_eq!(bench.state(&id).await, wanted);
    bench.work().await;
    bench.becomes(&id, "completed").await;
}

on!(a_child_holds_its_parent_again: bullmq_5 bullmq_6);
async fn a_child_holds_its_parent_again(family: Of) {
    let mut bench = Bench::of(family).await;
    let child = json!({"name": "child", "queueName": "q", "data": family.failing_once()});
    let tree = json!({"name": "parent", "queueName": "parents", "data": {}, "children": [child]});
    let tree = bench.oracle.ask("flow", "q", json!({"tree": tree})).await;
    let (parent, child) = (
        tree["jobId"].as_str().unwrap(),
        tree["children"][0]["jobId"].as_str().unwrap(),
    );
    bench.work().await;
    bench.becomes(child, "failed").await;
    assert_eq!(bench.act(child, retry()).await, done());
    bench.becomes(child, "completed").await;
    bench.oracle.wait("parents", "waiting", 1).await;
    assert_eq!(bench.oracle.job("parents", parent).await["state"], "waiting");
}

on!(ids_of_any_kind_are_found);
async fn ids_of_any_kind_are_found(family: Of) {
    let mut bench = Bench::of(family).await;
    let long = "x".repeat(2000);
    let ids: &[&str] = if family.is(&["5", "6"]) {
        &["with space", "{tag}", "ünïcode", &long, "*"]
    } else {
        &["a:b:c", "with space", "{tag}", "ünïcode", &long, "*"]
    };
    for id in ids {
        let id = bench.failed(family.failing_once(), json!({"jobId": id})).await;
        assert_eq!(bench.act_seen(&id, JobState::Failed, retry()).await, done());
        assert_eq!(bench.state(&id).await, "waiting");
        bench.work().await;
        bench.becomes(&id, "completed").await;
        bench.rest().await;
    }
}

on!(many_are_retried_in_one_go: bull bullmq_4 bullmq_5 bullmq_6);
async fn many_are_retried_in_one_go(family: Of) {
    let mut bench = Bench::of(family).await;
    let jobs = json!({"count": 300, "data": family.failing_once()});
    bench.oracle.ask("addMany", "q", jobs).await;
    bench
        .oracle
        .ask("startWorker", "q", json!({"workerId": "w", "concurrency": 50}))
        .await;
    bench.oracle.wait("q", "failed", 300).await;
    bench.rest().await;
    let ids = bench.oracle.ids("q", "failed", true).await;
    let seen = Seen {
        state: Some(JobState::Failed),
        ..Seen::default()
    };
    let mut jobs: Vec<(String, Seen)> = ids.iter().map(|id| (id.clone(), seen.clone())).collect();
    jobs.insert(100, ("missing".into(), seen.clone()));
    jobs.push((ids[0].clone(), seen));
    let effects = bench
        .adapter
        .on_jobs(&QueueId::from("bull:q"), &jobs, &retry())
        .await
        .unwrap();
    assert_eq!(effects.len(), 302);
    assert_eq!(effects[100], Effect::Gone);
    assert!(matches!(effects[301], Effect::Already { .. }), "the same job twice");
    assert_eq!(effects.iter().filter(|effect| **effect == done()).count(), 300);
    bench.counts_are(json!({"waiting": 300})).await;
    bench.work().await;
    bench.oracle.wait("q", "completed", 300).await;
    bench.is_whole();
}

on!(a_key_of_another_type_stops_it_before_anything_is_done: bull bullmq_3 bullmq_4 bullmq_5 bullmq_6);
async fn a_key_of_another_type_stops_it_before_anything_is_done(family: Of) {
    let mut bench = Bench::of(family).await;
    let id = bench.failed(family.failing_once(), json!({})).await;
    let _: i64 = bench.redis.run(&["DEL", "bull:q:paused", "bull:q:wait"]);
    let _: String = bench.redis.run(&["SET", "bull:q:paused", "no list"]);
    let _: String = bench.redis.run(&["SET", "bull:q:wait", "no list"]);
    let effect = bench.act(&id, retry()).await;
    assert!(matches!(effect, Effect::Refused { .. }), "{effect:?}");
    let score: Option<f64> = bench.redis.run(&["ZSCORE", "bull:q:failed", &id]);
    assert!(score.is_some(), "it is still failed");
    let _: i64 = bench.redis.run(&["DEL", "bull:q:paused", "bull:q:wait"]);
    if !family.is(&["bull"]) {
        let _: i64 = bench.redis.run(&["HSET", "bull:q:meta", "opts.maxLenEvents", "many"]);
        let effect = bench.act(&id, retry()).await;
        assert!(matches!(effect, Effect::Refused { .. }), "{effect:?}");
        let _: i64 = bench.redis.run(&["HSET", "bull:q:meta", "opts.maxLenEvents", "10000"]);
    }
    assert_eq!(bench.act(&id, retry()).await, done());
}

on!(a_server_without_memory_takes_nothing: bullmq_6);
async fn a_server_without_memory_takes_nothing(family: Of) {
    let mut bench = Bench::of(family).await;
    let id = bench.failed(family.failing_once(), json!({})).await;
    // Redis has cached the script before the memory runs out.
    bench.act("nobody", retry()).await;
    let _: String = bench.redis.run(&["CONFIG", "SET", "maxmemory", "1"]);
    let effect = bench.act(&id, JobAction::EditData { data: "{}".into() }).await;
    let _: String = bench.redis.run(&["CONFIG", "SET", "maxmemory", "0"]);
    assert!(
        matches!(&effect, Effect::Refused { reason } if reason.contains("memory")),
        "{effect:?}"
    );
    assert_eq!(bench.job(&id).await["data"], family.failing_once());
}

on!(a_job_of_an_unknown_generation_before_5_is_left_alone: bullmq_3 bullmq_4);
async fn a_job_of_an_unknown_generation_before_5_is_left_alone(family: Of) {
    let mut bench = Bench::of(family).await;
    let id = bench.failed(family.failing_once(), json!({})).await;
    // Releases before 4.18 and 3.16 write no version.
    let _: i64 = bench.redis.run(&["HDEL", "bull:q:meta", "version"]);
    let _: i64 = bench.redis.run(&["DEL", "bull:q:wait"]);
    let effect = bench.act(&id, retry()).await;
    assert!(matches!(effect, Effect::Refused { .. }), "{effect:?}");
    bench.work().await;
    assert_eq!(
        bench
            .another()
            .await
            .on_jobs(&"bull:q".into(), &[(id.clone(), Seen::default())], &retry())
            .await
            .unwrap(),
        [done()]
    );
    bench.becomes(&id, "completed").await;
}
