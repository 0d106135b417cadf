//! Adding jobs and copying them.

use super::bench::{Bench, Of};
use drover::model::action::{Changes, Effect, JobAction, NewJob, QueueAction};
use serde_json::json;

fn new(data: &str) -> NewJob {
    NewJob {
        name: "added".into(),
        data: data.into(),
        ..NewJob::default()
    }
}

async fn add(bench: &Bench, new: NewJob) -> String {
    match bench.act_on_queue(QueueAction::Add(new)).await {
        Effect::Done { job: Some(id), .. } => id,
        other => panic!("{other:?}"),
    }
}

on!(added_jobs_are_what_the_library_would_have_added);
async fn added_jobs_are_what_the_library_would_have_added(family: Of) {
    let mut bench = Bench::of(family).await;
    let theirs = bench
        .oracle
        .add(
            "q",
            "added",
            json!({"a": 1}),
            json!({"attempts": 3, "backoff": {"type": "exponential", "delay": 50}}),
        )
        .await;
    let mut ours = new(r#"{"a":1}"#);
    ours.attempts = Some(3);
    ours.options = Some(r#"{"backoff":{"type":"exponential","delay":50}}"#.into());
    let ours = add(&bench, ours).await;
    assert_eq!(ours.parse::<u64>().unwrap(), theirs.parse::<u64>().unwrap() + 1);
    let (mut a, mut b) = (bench.job(&theirs).await, bench.job(&ours).await);
    for job in [&mut a, &mut b] {
        job.as_object_mut().unwrap().remove("id");
        job.as_object_mut().unwrap().remove("timestamp");
        job["opts"].as_object_mut().unwrap().remove("timestamp");
    }
    assert_eq!(a, b);
    let mut urgent = new("{}");
    urgent.priority = 4;
    let urgent = add(&bench, urgent).await;
    let state = if family.prioritizes_apart() {
        "prioritized"
    } else {
        "waiting"
    };
    assert_eq!(bench.state(&urgent).await, state);
    let mut later = new("{}");
    later.delay = 300;
    let later = add(&bench, later).await;
    assert_eq!(bench.state(&later).await, "delayed");
    let mut named = new(r#"{"s": "\u00e9", "n": 12345678901234567890}"#);
    named.id = Some("my-own".into());
    assert_eq!(add(&bench, named.clone()).await, "my-own");
    let stored: String = bench.redis.run(&["HGET", "bull:q:my-own", "data"]);
    assert_eq!(stored, named.data, "not a byte is changed");
    let twice = bench.act_on_queue(QueueAction::Add(named)).await;
    assert!(matches!(twice, Effect::Already { .. }), "{twice:?}");
    bench.work().await;
    bench.oracle.wait("q", "completed", 5).await;
    bench.is_whole();
}

on!(a_job_added_to_a_paused_queue_waits);
async fn a_job_added_to_a_paused_queue_waits(family: Of) {
    let mut bench = Bench::of(family).await;
    bench.oracle.add("q", "job", json!({}), json!({})).await;
    bench.oracle.ask("pause", "q", json!({})).await;
    bench.work().await;
    let id = add(&bench, new("{}")).await;
    bench.counts_are(json!({"waiting": 2})).await;
    bench.oracle.ask("resume", "q", json!({})).await;
    bench.becomes(&id, "completed").await;
    bench.oracle.wait("q", "completed", 2).await;
}

on!(a_copy_has_the_data_and_no_parent);
async fn a_copy_has_the_data_and_no_parent(family: Of) {
    let mut bench = Bench::of(family).await;
    let opts = json!({"priority": 3, "attempts": 2, "jobId": "mine"});
    let id = bench.failed(json!({"fail": "é 😀", "n": 0.1}), opts).await;
    let copy = match bench.act(&id, JobAction::Duplicate(Changes::default())).await {
        Effect::Done { job: Some(copy), .. } => copy,
        other => panic!("{other:?}"),
    };
    assert_ne!(copy, id);
    let (a, b) = (bench.job(&id).await, bench.job(&copy).await);
    assert_eq!(
        (&a["name"], &a["data"], &a["opts"]["attempts"]),
        (&b["name"], &b["data"], &b["opts"]["attempts"])
    );
    assert_eq!(b["priority"], 3);
    assert!(b["failedReason"].is_null() && b["parentKey"].is_null(), "{b}");
    assert_eq!(bench.state(&id).await, "failed", "the first is as it was");
    if !family.is(&["bull"]) {
        let child = json!({"name": "child", "queueName": "q", "data": {}});
        let tree = json!({"name": "parent", "queueName": "parents", "data": {}, "children": [child]});
        let tree = bench.oracle.ask("flow", "q", json!({"tree": tree})).await;
        let child = tree["children"][0]["jobId"].as_str().unwrap();
        let Effect::Done { job: Some(copy), .. } = bench.act(child, JobAction::Duplicate(Changes::default())).await
        else {
            panic!("no copy")
        };
        assert!(bench.job(&copy).await["parentKey"].is_null());
        bench.work().await;
        bench.becomes(child, "completed").await;
        bench.becomes(&copy, "completed").await;
    }
    assert_eq!(
        bench.act("none", JobAction::Duplicate(Changes::default())).await,
        Effect::Gone
    );
    bench.is_whole();
}

on!(what_deduplicates_keeps_ours_away_too: bullmq_5 bullmq_6);
async fn what_deduplicates_keeps_ours_away_too(family: Of) {
    let mut bench = Bench::of(family).await;
    bench.counts_are(json!({})).await;
    let mut once = new("{}");
    once.options = Some(r#"{"deduplication":{"id":"once"},"keepLogs":2}"#.into());
    let id = add(&bench, once.clone()).await;
    assert_eq!(bench.job(&id).await["opts"]["keepLogs"], 2);
    let twice = bench.act_on_queue(QueueAction::Add(once)).await;
    assert!(
        matches!(&twice, Effect::Already { now } if now.contains(&id)),
        "{twice:?}"
    );
    let theirs = bench
        .oracle
        .add("q", "j", json!({}), json!({"deduplication": {"id": "once"}}))
        .await;
    assert_eq!(theirs, id);
}

on!(what_the_library_would_not_add_is_refused);
async fn what_the_library_would_not_add_is_refused(family: Of) {
    let mut bench = Bench::of(family).await;
    bench.oracle.add("q", "job", json!({}), json!({})).await;
    let cases = [
        NewJob {
            name: String::new(),
            ..new("{}")
        },
        new("{no json"),
        NewJob {
            id: Some("17".into()),
            ..new("{}")
        },
        NewJob {
            priority: 3_000_000,
            ..new("{}")
        },
        NewJob {
            options: Some(r#"{"parent":{"id":"1","queue":"bull:q"}}"#.into()),
            ..new("{}")
        },
        NewJob {
            options: Some("[]".into()),
            ..new("{}")
        },
    ];
    for case in cases {
        let effect = bench.act_on_queue(QueueAction::Add(case.clone())).await;
        assert!(matches!(effect, Effect::Refused { .. }), "{case:?}: {effect:?}");
    }
    bench.counts_are(json!({"waiting": 1})).await;
}
