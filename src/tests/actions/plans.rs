//! Schedules.

use super::bench::{Bench, Of, done};
use drover::model::action::{Effect, Plan, ScheduleAction};
use drover::server::adapter::{Act as _, QueueId};
use serde_json::{Value, json};

async fn act(bench: &Bench, key: &str, action: ScheduleAction) -> Effect {
    let queue = QueueId::from("bull:q");
    bench.adapter.on_schedule(&queue, key, &action).await.unwrap()
}

/// One of the library's schedules, without its key, to compare it with another.
fn without_key(all: &Value, key: &str) -> Value {
    let mut one = all
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["key"] == key)
        .unwrap()
        .clone();
    one.as_object_mut().unwrap().remove("key");
    one
}

/// A schedule of the library's own, and its key.
async fn plan(bench: &mut Bench, family: Of) -> String {
    if family.is(&["5", "6"]) {
        let plan = json!({
            "schedulerId": "tick", "repeat": {"pattern": "0 0 1 1 *", "tz": "Europe/Paris"},
            "template": {"name": "tick", "data": {"é": 1}, "opts": {"attempts": 3, "priority": 2}},
        });
        bench.oracle.ask("upsertScheduler", "q", plan).await;
    } else {
        let repeat = json!({"repeat": {"cron": "0 0 1 1 *", "pattern": "0 0 1 1 *"}, "attempts": 3, "priority": 2});
        bench.oracle.add("q", "tick", json!({"é": 1}), repeat).await;
    }
    let keys: Vec<String> = bench.redis.run(&["ZRANGE", "bull:q:repeat", "0", "-1"]);
    keys[0].clone()
}

on!(a_schedule_runs_out_of_turn_and_its_plan_stays);
async fn a_schedule_runs_out_of_turn_and_its_plan_stays(family: Of) {
    let mut bench = Bench::of(family).await;
    let key = plan(&mut bench, family).await;
    let next = bench.oracle.ids("q", "delayed", true).await;
    let Effect::Done { job: Some(id), .. } = act(&bench, &key, ScheduleAction::Run).await else {
        panic!("it did not run")
    };
    let job = bench.job(&id).await;
    assert_eq!(
        (&job["name"], &job["data"], &job["opts"]["attempts"]),
        (&json!("tick"), &json!({"é": 1}), &json!(3))
    );
    assert_eq!(job["priority"], 2);
    bench.work().await;
    bench.becomes(&id, "completed").await;
    assert_eq!(
        bench.oracle.ids("q", "delayed", true).await,
        next,
        "the plan is as it was"
    );
    assert_eq!(act(&bench, "no such", ScheduleAction::Run).await, Effect::Gone);
}

on!(a_schedule_is_removed_with_its_next_job);
async fn a_schedule_is_removed_with_its_next_job(family: Of) {
    let mut bench = Bench::of(family).await;
    let key = plan(&mut bench, family).await;
    bench.oracle.add("q", "job", json!({}), json!({"delay": 600_000})).await;
    assert_eq!(act(&bench, &key, ScheduleAction::Remove).await, done());
    bench.counts_are(json!({"delayed": 1})).await;
    assert_eq!(act(&bench, &key, ScheduleAction::Remove).await, Effect::Gone);
    let left: Vec<String> = bench.redis.run(&["KEYS", "bull:q:repeat*"]);
    assert!(left.is_empty(), "{left:?}");
}

on!(a_repeatable_job_of_version_5_is_removed: bullmq_5);
async fn a_repeatable_job_of_version_5_is_removed(family: Of) {
    let mut bench = Bench::of(family).await;
    bench
        .oracle
        .add("q", "old", json!({}), json!({"repeat": {"pattern": "0 0 1 1 *"}}))
        .await;
    let keys: Vec<String> = bench.redis.run(&["ZRANGE", "bull:q:repeat", "0", "-1"]);
    let ran = act(&bench, &keys[0], ScheduleAction::Run).await;
    assert!(matches!(ran, Effect::Done { job: Some(_), .. }), "{ran:?}");
    assert_eq!(act(&bench, &keys[0], ScheduleAction::Remove).await, done());
    let left: Vec<String> = bench.redis.run(&["KEYS", "bull:q:repeat*"]);
    assert!(left.is_empty(), "{left:?}");
}

on!(a_schedule_is_planned_as_the_library_plans_it: bullmq_5 bullmq_6);
async fn a_schedule_is_planned_as_the_library_plans_it(family: Of) {
    let mut bench = Bench::of(family).await;
    bench
        .oracle
        .add("q", "job", json!({}), json!({"delay": 900_000_000}))
        .await;
    let template = json!({"name": "tick", "data": {"a": 1}, "opts": {"attempts": 2}});
    for (id, repeat) in [
        (
            "theirs-cron",
            json!({"pattern": "30 2 * * *", "tz": "America/New_York"}),
        ),
        ("theirs-every", json!({"every": 3_600_000})),
    ] {
        let request = json!({"schedulerId": id, "repeat": repeat, "template": template});
        bench.oracle.ask("upsertScheduler", "q", request).await;
    }
    let mut ours = Plan {
        pattern: Some("30 2 * * *".into()),
        every_ms: None,
        tz: Some("America/New_York".into()),
        limit: None,
        name: "tick".into(),
        data: r#"{"a":1}"#.into(),
        options: Some(r#"{"attempts":2}"#.into()),
    };
    let planned = act(&bench, "ours-cron", ScheduleAction::Upsert(ours.clone())).await;
    assert!(matches!(planned, Effect::Done { job: Some(_), .. }), "{planned:?}");
    let every = Plan {
        pattern: None,
        tz: None,
        every_ms: Some(3_600_000),
        ..ours.clone()
    };
    let planned = act(&bench, "ours-every", ScheduleAction::Upsert(every)).await;
    assert!(matches!(planned, Effect::Done { job: Some(_), .. }), "{planned:?}");
    let all = bench.oracle.ask("schedulers", "q", json!({})).await;
    let of = |key: &str| {
        let mut one = without_key(&all, key);
        // Its offset in the interval depends on the moment when it was planned.
        one.as_object_mut().unwrap().remove("offset");
        one
    };
    assert_eq!(of("ours-cron"), of("theirs-cron"));
    let (mut a, mut b) = (of("ours-every"), of("theirs-every"));
    for one in [&mut a, &mut b] {
        one.as_object_mut().unwrap().remove("next");
    }
    assert_eq!(a, b);
    let jobs: Vec<String> = bench.redis.run(&["KEYS", "bull:q:repeat:*-cron:*"]);
    assert_eq!(jobs.len(), 2, "one next job each: {jobs:?}");
    // Changed: the next job moves, and is still one job.
    ours.pattern = Some("45 3 * * *".into());
    let changed = act(&bench, "ours-cron", ScheduleAction::Upsert(ours.clone())).await;
    assert!(matches!(changed, Effect::Done { .. }), "{changed:?}");
    let jobs: Vec<String> = bench.redis.run(&["KEYS", "bull:q:repeat:ours-cron:*"]);
    assert_eq!(jobs.len(), 1, "{jobs:?}");
    // Its next job runs and makes the one after.
    let id = jobs[0].strip_prefix("bull:q:").unwrap();
    assert_eq!(bench.act(id, drover::model::action::JobAction::Promote).await, done());
    bench.work().await;
    bench.becomes(id, "completed").await;
    let delayed = bench.oracle.ids("q", "delayed", true).await;
    assert!(
        delayed.iter().any(|id| id.starts_with("repeat:ours-cron:")),
        "{delayed:?}"
    );
    ours.pattern = Some("no pattern".into());
    let refused = act(&bench, "ours-cron", ScheduleAction::Upsert(ours)).await;
    assert!(matches!(refused, Effect::Refused { .. }), "{refused:?}");
}

on!(what_a_change_does_not_say_stays_as_it_was: bullmq_5 bullmq_6);
async fn what_a_change_does_not_say_stays_as_it_was(family: Of) {
    let mut bench = Bench::of(family).await;
    let (start, end) = (4_000_000_000_000_u64, 4_100_000_000_000_u64);
    let template = json!({"name": "tick", "data": {"a": 1}, "opts": {
        "attempts": 3, "backoff": {"type": "exponential", "delay": 500}, "removeOnComplete": {"count": 5}, "priority": 4,
    }});
    for (id, pattern) in [("changed", "30 2 * * *"), ("theirs", "45 3 * * *")] {
        let repeat = json!({"pattern": pattern, "tz": "Europe/Paris", "startDate": start, "endDate": end, "limit": 9});
        let request = json!({"schedulerId": id, "repeat": repeat, "template": template});
        bench.oracle.ask("upsertScheduler", "q", request).await;
    }
    let plan = Plan {
        pattern: Some("45 3 * * *".into()),
        every_ms: None,
        tz: Some("Europe/Paris".into()),
        limit: Some(9),
        name: "tick".into(),
        data: String::new(),
        options: None,
    };
    let changed = act(&bench, "changed", ScheduleAction::Upsert(plan.clone())).await;
    assert!(matches!(changed, Effect::Done { job: Some(_), .. }), "{changed:?}");
    let all = bench.oracle.ask("schedulers", "q", json!({})).await;
    let of = |key: &str| without_key(&all, key);
    assert_eq!(of("changed"), of("theirs"), "as if the library had changed it");
    assert_eq!(
        (&of("changed")["startDate"], &of("changed")["endDate"]),
        (&json!(start), &json!(end))
    );
    assert!(of("changed")["next"].as_u64().unwrap() > start);
    let ids = bench.oracle.ids("q", "delayed", true).await;
    assert_eq!(ids.len(), 2, "one next job each: {ids:?}");
    let mut next = vec![];
    for id in &ids {
        let job = bench.job(id).await;
        let (mut opts, name) = (job["opts"].clone(), job["name"].clone());
        for own in ["jobId", "repeatJobKey", "timestamp", "delay"] {
            opts.as_object_mut().unwrap().remove(own);
        }
        opts["repeat"].as_object_mut().unwrap().remove("offset");
        next.push((opts, name, job["data"].clone(), job["priority"].clone()));
    }
    assert_eq!(next[0], next[1]);
    // Given options replace the stored ones.
    let other = Plan {
        options: Some(r#"{"attempts": 2}"#.into()),
        data: "[2]".into(),
        ..plan.clone()
    };
    let changed = act(&bench, "changed", ScheduleAction::Upsert(other)).await;
    assert!(matches!(changed, Effect::Done { .. }), "{changed:?}");
    let all = bench.oracle.ask("schedulers", "q", json!({})).await;
    let changed = all
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["key"] == "changed")
        .unwrap();
    assert_eq!(changed["template"], json!({"data": [2], "opts": {"attempts": 2}}));
    // A schedule whose end is past would never run again.
    let _: i64 = bench
        .redis
        .run(&["HSET", "bull:q:repeat:changed", "endDate", "1700000000000"]);
    let refused = act(&bench, "changed", ScheduleAction::Upsert(plan)).await;
    assert!(
        matches!(&refused, Effect::Refused { reason } if reason.contains("It ends at 2023-")),
        "{refused:?}"
    );
}

on!(a_schedule_of_a_paused_queue_does_not_get_a_second_job: bullmq_6);
async fn a_schedule_of_a_paused_queue_does_not_get_a_second_job(family: Of) {
    let mut bench = Bench::of(family).await;
    let every = Plan {
        pattern: None,
        tz: None,
        every_ms: Some(3_600_000),
        limit: None,
        name: "tick".into(),
        data: "{}".into(),
        options: None,
    };
    let request = json!({"schedulerId": "tick", "repeat": {"every": 3_600_000}, "template": {"name": "tick"}});
    bench.oracle.ask("upsertScheduler", "q", request).await;
    let waiting = bench.oracle.ids("q", "waiting", true).await;
    let delayed = bench.oracle.ids("q", "delayed", true).await;
    if let Some(id) = delayed.first() {
        assert_eq!(bench.act(id, drover::model::action::JobAction::Promote).await, done());
    }
    assert_eq!(waiting.len() + delayed.len(), 1);
    bench.oracle.ask("pause", "q", json!({})).await;
    let refused = act(&bench, "tick", ScheduleAction::Upsert(every)).await;
    assert!(matches!(refused, Effect::Refused { .. }), "{refused:?}");
    bench.counts_are(json!({"waiting": 1})).await;
}

on!(before_5_only_the_application_plans: bull bullmq_3 bullmq_4);
async fn before_5_only_the_application_plans(family: Of) {
    let mut bench = Bench::of(family).await;
    plan(&mut bench, family).await;
    let every = Plan {
        pattern: None,
        tz: None,
        every_ms: Some(1000),
        limit: None,
        name: "tick".into(),
        data: "{}".into(),
        options: None,
    };
    let refused = act(&bench, "new", ScheduleAction::Upsert(every)).await;
    assert!(matches!(refused, Effect::Refused { .. }), "{refused:?}");
}
