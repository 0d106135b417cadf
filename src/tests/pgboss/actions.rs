//! Actions, checked with the library and a worker of its own.

use super::bench::{Bench, Of, pgboss_11, pgboss_12};
use drover::model::action::{Changes, Effect, JobAction, NewJob, QueueAction, ScheduleAction, Seen};
use drover::model::state::JobState;
use drover::server::adapter::Act as _;
use drover::server::adapter::Adapter as _;
use serde_json::{Value, json};

fn done() -> Effect {
    Effect::done()
}

const RETRY: JobAction = JobAction::Retry {
    reset_attempts: false,
    data: None,
};

fn seen(state: JobState) -> Seen {
    Seen {
        state: Some(state),
        ..Seen::default()
    }
}

fn cancel() -> JobAction {
    JobAction::Cancel { error: String::new() }
}

on!(a_retried_job_runs_again_and_outlives_upkeep);
async fn a_retried_job_runs_again_and_outlives_upkeep(of: Of) {
    let mut bench = Bench::of(of).await;
    let id = bench.failed(json!({"fail": "boom"}), json!({})).await;
    // It failed long ago, and was queued longer ago than queued jobs are kept.
    let (completed, keep, started) = if of.0 == 9 {
        ("completedon", "keepuntil", "startedon")
    } else {
        ("completed_on", "keep_until", "started_on")
    };
    let old =
        format!("update pgboss.job set {completed} = now() - interval '20 days', {keep} = now() - interval '1 day'");
    bench.postgres.run(&old).await;
    let row = bench.detail(&id).await.unwrap().row;
    let other = Seen {
        finished_on: Some(1),
        ..seen(JobState::Failed)
    };
    assert!(matches!(
        bench.act_seen(&id, other, RETRY).await,
        Effect::Changed { .. }
    ));
    let as_shown = Seen {
        state: Some(JobState::Failed),
        finished_on: row.finished,
        attempts: row.attempts.map(u64::from),
    };
    let with = JobAction::Retry {
        reset_attempts: false,
        data: Some(json!({"returns": 1}).to_string()),
    };
    assert_eq!(bench.act_seen(&id, as_shown, with).await, done());
    let again = bench.act_seen(&id, seen(JobState::Failed), RETRY).await;
    assert!(matches!(again, Effect::Already { .. }), "{again:?}");
    let kept: bool = bench
        .postgres
        .one(&format!(
            "select {completed} is null and {keep} > now() + interval '13 days' and {started} is not null from pgboss.job"
        ))
        .await;
    assert!(kept, "upkeep would remove it, or a stale worker could finish it");
    match of.0 {
        9 => bench.oracle.ask("call", "q", json!({"method": "archive"})).await,
        10 => bench.oracle.ask("call", "q", json!({"method": "maintain"})).await,
        _ => {
            bench
                .oracle
                .ask("call", "q", json!({"method": "supervise", "args": ["q"]}))
                .await
        }
    };
    assert_eq!(bench.job(&id).await["state"], "retry");
    bench.work().await;
    bench.becomes(&id, "completed").await;
    let late = bench.act(&id, RETRY).await;
    assert!(matches!(late, Effect::Changed { .. }), "{late:?}");
}

on!(one_that_may_be_tried_for_ever_keeps_no_other_from_its_retry);
async fn one_that_may_be_tried_for_ever_keeps_no_other_from_its_retry(of: Of) {
    let mut bench = Bench::of(of).await;
    let id = bench.failed(json!({"fail": "boom"}), json!({})).await;
    let other = bench.failed(json!({"fail": "boom"}), json!({})).await;
    let limit = if of.0 == 9 { "retrylimit" } else { "retry_limit" };
    let sql = format!("update pgboss.job set {limit} = 2147483647 where id = '{id}'");
    bench.postgres.run(&sql).await;
    for reset_attempts in [false, true] {
        let both = [(id.clone(), Seen::default()), (other.clone(), Seen::default())];
        let retry = JobAction::Retry {
            reset_attempts,
            data: None,
        };
        let effects = bench.adapter.on_jobs(&"q".into(), &both, &retry).await.unwrap();
        assert_eq!(effects, [done(), done()]);
        bench.postgres.run("update pgboss.job set state = 'failed'").await;
    }
}

on!(a_retried_job_that_fails_again_has_had_one_more_attempt);
async fn a_retried_job_that_fails_again_has_had_one_more_attempt(of: Of) {
    let mut bench = Bench::of(of).await;
    let id = bench.failed(json!({"fail": "boom"}), json!({})).await;
    assert_eq!(bench.act(&id, RETRY).await, done());
    bench.work().await;
    bench.wait(JobState::Failed, 1).await;
    let row = bench.detail(&id).await.unwrap().row;
    assert_eq!((row.attempts, row.attempts_max), (Some(2), Some(2)));
}

on!(a_cancelled_job_is_left_alone_until_it_is_resumed);
async fn a_cancelled_job_is_left_alone_until_it_is_resumed(of: Of) {
    let mut bench = Bench::of(of).await;
    let id = bench.send(json!({}), json!({})).await;
    let other = bench.send(json!({}), json!({})).await;
    assert_eq!(bench.act_seen(&id, seen(JobState::Waiting), cancel()).await, done());
    assert!(matches!(bench.act(&id, cancel()).await, Effect::Already { .. }));
    assert_eq!(bench.job(&id).await["state"], "cancelled");
    bench.work().await;
    bench.becomes(&other, "completed").await;
    assert_eq!(bench.job(&id).await["state"], "cancelled");
    assert_eq!(
        bench
            .act_seen(&id, seen(JobState::Cancelled), JobAction::ResumeJob)
            .await,
        done()
    );
    bench.becomes(&id, "completed").await;
    let late = bench.act(&id, JobAction::ResumeJob).await;
    assert!(matches!(late, Effect::Changed { .. }), "{late:?}");
}

on!(a_running_job_is_neither_removed_nor_cancelled);
async fn a_running_job_is_neither_removed_nor_cancelled(of: Of) {
    let mut bench = Bench::of(of).await;
    let id = bench.send(json!({"hold": true}), json!({})).await;
    bench.work().await;
    bench.becomes(&id, "active").await;
    for action in [
        JobAction::Remove { children: false },
        cancel(),
        RETRY,
        JobAction::Promote,
    ] {
        let effect = bench.act_seen(&id, seen(JobState::Active), action).await;
        assert!(matches!(effect, Effect::Locked { .. }), "{effect:?}");
    }
    bench.oracle.ask("release", "q", json!({"jobId": id})).await;
    bench.becomes(&id, "completed").await;
    let effect = bench
        .act_seen(&id, seen(JobState::Completed), JobAction::Remove { children: false })
        .await;
    assert_eq!(effect, done());
    assert_eq!(bench.job(&id).await, Value::Null);
    assert_eq!(
        bench.act(&id, JobAction::Remove { children: false }).await,
        Effect::Gone
    );
    assert_eq!(bench.act("no uuid", RETRY).await, Effect::Gone);
}

on!(what_is_changed_of_a_queued_job_is_what_runs);
async fn what_is_changed_of_a_queued_job_is_what_runs(of: Of) {
    let mut bench = Bench::of(of).await;
    let low = bench.send(json!({"fail": "not these data"}), json!({})).await;
    let high = bench.send(json!({}), json!({"startAfter": 600})).await;
    let longer = JobAction::Delay { ms: 900_000 };
    assert_eq!(bench.act_seen(&high, seen(JobState::Delayed), longer).await, done());
    let due = bench.detail(&high).await.unwrap().row.due.unwrap() - drover::model::now();
    assert!((850_000..950_000).contains(&due), "{due}");
    assert_eq!(bench.act(&high, JobAction::Promote).await, done());
    assert!(matches!(
        bench.act(&high, JobAction::Promote).await,
        Effect::Already { .. }
    ));
    let to = JobAction::Priority {
        priority: 7,
        lifo: false,
    };
    assert_eq!(bench.act(&high, to.clone()).await, done());
    assert!(matches!(bench.act(&high, to).await, Effect::Already { .. }));
    let edit = |text: &str| JobAction::EditData { data: text.into() };
    assert!(matches!(bench.act(&low, edit("{")).await, Effect::Refused { .. }));
    assert_eq!(bench.act(&low, edit(r#"{"returns": "é"}"#)).await, done());
    let Effect::Done { job: Some(copy), .. } = bench.act(&low, JobAction::Duplicate(Changes::default())).await else {
        panic!("no copy was made");
    };
    bench.work().await;
    for id in [&high, &low, &copy] {
        bench.becomes(id, "completed").await;
    }
    let started = |row: drover::model::job::JobRow| row.started.unwrap();
    let (first, then) = (
        bench.detail(&high).await.unwrap().row,
        bench.detail(&low).await.unwrap().row,
    );
    assert!(started(first) <= started(then), "the one with the priority runs first");
    assert_eq!(
        bench.detail(&copy).await.unwrap().data,
        bench.detail(&low).await.unwrap().data
    );
}

on!(a_copy_has_what_was_changed_and_the_rest_of_its_job);
async fn a_copy_has_what_was_changed_and_the_rest_of_its_job(of: Of) {
    let mut bench = Bench::of(of).await;
    let options = json!({"priority": 4, "retryLimit": 3, "retryDelay": 7, "singletonKey": "k"});
    let id = bench.failed(json!({"fail": "boom"}), options).await;
    let first = bench.detail(&id).await.unwrap();
    let changes = Changes {
        data: Some(r#"{"returns":2}"#.into()),
        delay: Some(600_000),
        attempts: Some(2),
        ..Changes::default()
    };
    let Effect::Done { job: Some(copy), .. } = bench.act(&id, JobAction::Duplicate(changes)).await else {
        panic!("no copy was made");
    };
    let made = bench.detail(&copy).await.unwrap();
    assert_eq!(
        (made.row.state, made.row.priority, made.row.attempts_max),
        (JobState::Delayed, 4, Some(2))
    );
    let due = made.row.due.unwrap() - drover::model::now();
    assert!((550_000..650_000).contains(&due), "{due}");
    assert_eq!(made.backoff, first.backoff);
    assert_eq!(bench.job(&copy).await["data"], json!({"returns": 2}));
    assert_eq!(bench.act(&copy, JobAction::Promote).await, done());
    bench.work().await;
    bench.becomes(&copy, "completed").await;
    assert_eq!(bench.job(&id).await["state"], "failed", "the first is as it was");
    for wrong in [
        Changes {
            options: Some("{}".into()),
            ..Changes::default()
        },
        Changes {
            name: Some("other".into()),
            ..Changes::default()
        },
        Changes {
            priority: Some(u32::MAX),
            ..Changes::default()
        },
    ] {
        let effect = bench.act(&id, JobAction::Duplicate(wrong)).await;
        assert!(matches!(effect, Effect::Refused { .. }), "{effect:?}");
    }
}

on!(a_job_is_added_with_the_defaults_of_its_queue);
async fn a_job_is_added_with_the_defaults_of_its_queue(of: Of) {
    let mut bench = Bench::with(of, "pgboss", json!({"retryLimit": 5})).await;
    let new = NewJob {
        data: json!({"returns": 1}).to_string(),
        options: Some(json!({"singletonKey": "k", "expireInSeconds": 60}).to_string()),
        ..NewJob::default()
    };
    let Effect::Done { job: Some(id), .. } = bench.act_on_queue("q", QueueAction::Add(new.clone())).await else {
        panic!("it was not added");
    };
    let later = NewJob {
        delay: 600_000,
        priority: 3,
        attempts: Some(2),
        options: None,
        ..new.clone()
    };
    let Effect::Done { job: Some(delayed), .. } = bench.act_on_queue("q", QueueAction::Add(later)).await else {
        panic!("it was not added");
    };
    let row = bench.detail(&delayed).await.unwrap().row;
    assert_eq!(
        (row.state, row.priority, row.attempts_max),
        (JobState::Delayed, 3, Some(2))
    );
    let detail = bench.detail(&id).await.unwrap();
    assert_eq!(detail.row.attempts_max, Some(if of.0 == 9 { 1 } else { 6 }));
    let option = |name: &str| {
        detail
            .effective
            .iter()
            .find(|option| option.name == name)
            .map(|option| &*option.value)
    };
    assert_eq!(
        (option("singletonKey"), option("expireInSeconds")),
        (Some("k"), Some("60"))
    );
    // The library's own row for a job with the same options differs only in times and the id.
    let own = bench.send(json!({"returns": 1}), json!({"expireInSeconds": 60})).await;
    let mut rows: Vec<Value> = Vec::new();
    for id in [&id, &own] {
        let sql = format!("select to_jsonb(j)::text from pgboss.job j where id = '{id}'");
        let mut row: Value = serde_json::from_str(&bench.postgres.one::<String>(&sql).await).unwrap();
        let columns = row.as_object_mut().unwrap();
        columns.retain(|name, _| {
            !matches!(
                name.as_str(),
                "id" | "singleton_key"
                    | "singletonkey"
                    | "start_after"
                    | "startafter"
                    | "created_on"
                    | "createdon"
                    | "keep_until"
                    | "keepuntil"
            )
        });
        rows.push(row);
    }
    assert_eq!(rows[0], rows[1]);
    bench.work().await;
    bench.becomes(&id, "completed").await;
    let wrong = NewJob {
        options: Some(r#"{"made": "up"}"#.into()),
        ..new
    };
    assert!(matches!(
        bench.act_on_queue("q", QueueAction::Add(wrong)).await,
        Effect::Refused { .. }
    ));
    let limit = QueueAction::Concurrency { limit: Some(1) };
    assert!(matches!(bench.act_on_queue("q", limit).await, Effect::Refused { .. }));
}

on!(a_schedule_is_run_now_and_removed);
async fn a_schedule_is_run_now_and_removed(of: Of) {
    let mut bench = Bench::of(of).await;
    let daily = json!(["q", "0 3 * * *", {"returns": 1}, {"tz": "Europe/Paris", "retryLimit": 4}]);
    bench
        .oracle
        .ask("call", "q", json!({"method": "schedule", "args": daily}))
        .await;
    let Effect::Done { job: Some(id), .. } = bench.act_on_schedule("q", "", ScheduleAction::Run).await else {
        panic!("it was not run");
    };
    bench.work().await;
    bench.becomes(&id, "completed").await;
    assert_eq!(bench.detail(&id).await.unwrap().row.attempts_max, Some(5));
    assert_eq!(
        bench.act_on_schedule("q", "other", ScheduleAction::Run).await,
        Effect::Gone
    );
    assert_eq!(bench.act_on_schedule("q", "", ScheduleAction::Remove).await, done());
    assert_eq!(
        bench.act_on_schedule("q", "", ScheduleAction::Remove).await,
        Effect::Gone
    );
    let left = bench.oracle.ask("call", "q", json!({"method": "getSchedules"})).await;
    assert_eq!(left, json!([]));
}

on!(one_job_that_a_policy_keeps_out_holds_up_no_other: pgboss_10 pgboss_11 pgboss_12);
async fn one_job_that_a_policy_keeps_out_holds_up_no_other(of: Of) {
    let mut bench = Bench::with(of, "pgboss", json!({"policy": "stately"})).await;
    let mut failed = vec![];
    for key in ["a", "b", "c"] {
        failed.push(bench.failed(json!({"fail": key}), json!({"singletonKey": key})).await);
    }
    // A job with the key `b` waits for its retry: no second job may be in that state.
    bench
        .postgres
        .run("update pgboss.job set state = 'created', completed_on = null where singleton_key = 'b'")
        .await;
    let other = bench.failed(json!({"fail": "b"}), json!({"singletonKey": "x"})).await;
    bench
        .postgres
        .run("update pgboss.job set state = 'retry' where singleton_key = 'b'; update pgboss.job set singleton_key = 'b' where singleton_key = 'x'")
        .await;
    let jobs: Vec<_> = [&failed[0], &other, &failed[2]]
        .iter()
        .map(|id| ((*id).clone(), seen(JobState::Failed)))
        .collect();
    let effects = bench.adapter.on_jobs(&"q".into(), &jobs, &RETRY).await.unwrap();
    assert_eq!((&effects[0], &effects[2]), (&done(), &done()));
    let Effect::Refused { reason } = &effects[1] else {
        panic!("{effects:?}")
    };
    assert!(reason.contains("stately"), "{reason}");
    for (id, state) in [(&failed[0], "retry"), (&other, "failed"), (&failed[2], "retry")] {
        assert_eq!(bench.job(id).await["state"], state);
    }
}

#[tokio::test]
async fn a_waiting_worker_of_12_is_woken() {
    let mut bench = Bench::with(pgboss_12, "pgboss", json!({"notify": true})).await;
    let id = bench.failed(json!({"fail": "boom"}), json!({})).await;
    let mut listener = sqlx::postgres::PgListener::connect(&bench.postgres.url())
        .await
        .unwrap();
    listener.listen("pgboss_454650302e472074f72063fd").await.unwrap();
    assert_eq!(bench.act(&id, RETRY).await, done());
    let word = tokio::time::timeout(crate::support::SOON, listener.recv())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(word.payload(), "q");
}

#[tokio::test]
async fn a_role_that_may_only_look_is_told_so() {
    let mut bench = Bench::of(pgboss_11).await;
    let id = bench.failed(json!({"fail": "boom"}), json!({})).await;
    bench
        .postgres
        .run("create role viewer login; grant usage on schema pgboss to viewer; grant select on all tables in schema pgboss to viewer")
        .await;
    let viewer = bench.over(&bench.postgres.url_of("viewer", "")).await;
    let counts = viewer.counts(&["q".into()]).await.unwrap();
    assert_eq!(counts[0].counts.get(JobState::Failed), Some(1));
    let effects = viewer
        .on_jobs(&"q".into(), &[(id.clone(), Seen::default())], &RETRY)
        .await
        .unwrap();
    let Effect::Refused { reason } = &effects[0] else {
        panic!("{effects:?}")
    };
    assert!(reason.contains("viewer"), "{reason}");
    assert_eq!(bench.job(&id).await["state"], "failed");
    // A grant takes effect at once.
    bench.postgres.run("grant update on pgboss.job to viewer").await;
    let effects = viewer
        .on_jobs(&"q".into(), &[(id.clone(), Seen::default())], &RETRY)
        .await
        .unwrap();
    assert_eq!(effects, [done()]);
    // A role that may not even read gets this answer for each queue; other queues are not affected.
    bench.postgres.run("create role nobody login").await;
    let nobody = bench.over(&bench.postgres.url_of("nobody", "")).await;
    let reading = nobody.counts(&["q".into()]).await.unwrap().remove(0);
    assert!(reading.exists && reading.counts.get(JobState::Failed).is_none());
    assert!(reading.reason.is_some());
    assert!(
        nobody
            .discover(&std::collections::HashSet::new())
            .await
            .unwrap()
            .found
            .is_empty()
    );
}
