//! One job in full, a queue's own settings, its workers, its schedules, and its changes.

use super::bench::{Bench, Of};
use crate::support::{LATER, eventually};
use drover::model::action::{Effect, JobAction};
use drover::model::flow::ChildKind;
use drover::model::job::{Form, JobDetail};
use drover::model::now;
use drover::model::page::Order;
use drover::model::schedule::ScheduleKind;
use drover::model::state::JobState;
use drover::server::adapter::Flows as _;
use drover::server::adapter::{Adapter as _, Bounds, Connections, FlowQuery, What};
use serde_json::json;
use std::collections::HashSet;
use std::time::Duration;

on!(a_job_is_shown_as_it_is_stored);
async fn a_job_is_shown_as_it_is_stored(of: Of) {
    let mut bench = Bench::of(of).await;
    let failed = bench
        .failed(
            json!({"fail": "boom 1\nsecond line", "n": 7}),
            json!({"singletonKey": "k"}),
        )
        .await;
    let detail = bench.detail(&failed).await.unwrap();
    assert_eq!((detail.row.state, detail.row.attempts), (JobState::Failed, Some(1)));
    let data = detail.data.unwrap();
    assert_eq!((data.form, data.shown), (Form::Json, data.size));
    assert!(data.text.unwrap().contains("\"n\": 7"));
    assert_eq!(detail.error.unwrap().text.as_deref(), Some("boom 1\nsecond line"));
    assert!(detail.traces[0].text.contains("processor.mjs"), "{:?}", detail.traces);
    let option = |name: &str| {
        detail
            .effective
            .iter()
            .find(|option| option.name == name)
            .map(|option| &*option.value)
    };
    assert_eq!(
        (option("singletonKey"), option("expireInSeconds")),
        (Some("k"), Some("900"))
    );
    assert!(
        detail
            .fields
            .iter()
            .any(|field| field.name == "id" && field.head == failed)
    );

    let done = bench.send(json!({"returns": {"ok": [1, 2]}}), json!({})).await;
    bench.work().await;
    bench.becomes(&done, "completed").await;
    let detail = bench.detail(&done).await.unwrap();
    assert!(detail.result.unwrap().text.unwrap().contains("\"ok\""));
    assert!(detail.error.is_none() && detail.oddities.is_empty());
    let first = bench.send(json!({}), json!({"startAfter": 500})).await;
    let second = bench.send(json!({}), json!({"startAfter": 900})).await;
    let detail = bench.detail(&second).await.unwrap();
    assert_eq!(
        (detail.neighbours.previous, detail.neighbours.next),
        (Some(first), None)
    );
    assert!(detail.row.due > detail.row.created && detail.first_delay > Some(800_000));
    assert_eq!(bench.detail("no uuid").await, None);
    assert_eq!(bench.detail("00000000-0000-0000-0000-000000000000").await, None);
    let field = bench
        .adapter
        .field(&"q".into(), &done, "output")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        serde_json::from_slice::<serde_json::Value>(&field.bytes).unwrap(),
        json!({"ok": [1, 2]})
    );
    assert!(
        bench
            .adapter
            .field(&"q".into(), &done, "made-up")
            .await
            .unwrap()
            .is_none()
    );
}

on!(a_job_that_waits_for_others_is_shown_with_them: pgboss_12);
async fn a_job_that_waits_for_others_is_shown_with_them(of: Of) {
    let mut bench = Bench::of(of).await;
    let jobs = json!([[
        {"ref": "fine", "name": "q", "data": {}},
        {"ref": "bad", "name": "q", "data": {"fail": "boom"}, "options": {"retryLimit": 0}},
        {"ref": "last", "name": "q", "data": {}, "dependsOn": ["fine", "bad"]},
    ]]);
    let ids = bench
        .oracle
        .ask("call", "q", json!({"method": "flow", "args": jobs}))
        .await;
    let id = |name: &str| ids[name].as_str().unwrap().to_owned();
    assert_eq!(bench.ids(JobState::WaitingChildren, Order::Next, 5).await, [id("last")]);
    let children = |detail: JobDetail| detail.children.map(|c| (c.pending, c.completed, c.failed));
    assert_eq!(children(bench.detail(&id("last")).await.unwrap()), Some((2, 0, 0)));
    let stuck = bench.adapter.stuck(&"q".into(), &[]).await.unwrap().unwrap();
    assert_eq!(
        (stuck.parents, stuck.looked_at),
        (0, 1),
        "what it waits for has not run yet"
    );
    bench.work().await;
    bench.becomes(&id("bad"), "failed").await;
    bench.becomes(&id("fine"), "completed").await;
    assert_eq!(children(bench.detail(&id("last")).await.unwrap()), Some((0, 1, 1)));
    let stuck = bench.adapter.stuck(&"q".into(), &[]).await.unwrap().unwrap();
    assert_eq!(
        (stuck.parents, stuck.looked_at),
        (1, 1),
        "nothing lets it go on without the one that failed"
    );
    let query = |job: String| FlowQuery {
        queue: "q".into(),
        job,
        whole: true,
        branch: None,
        limit: 10,
    };
    let flow = bench
        .adapter
        .flow(&query(id("last")), &["q".into()])
        .await
        .unwrap()
        .unwrap();
    assert_eq!(flow.job.state, Some(JobState::WaitingChildren));
    let failed = flow
        .branches
        .iter()
        .find(|branch| branch.kind == ChildKind::Failed)
        .unwrap();
    assert_eq!(
        (failed.nodes[0].id.clone(), failed.nodes[0].error.as_deref()),
        (Some(id("bad")), Some("boom"))
    );
    assert!(failed.nodes[0].known && flow.failed_below() && flow.ancestors.is_empty());
    let detail = bench.detail(&id("bad")).await.unwrap();
    assert_eq!(detail.parent, Some(format!("q/{}", id("last"))));
    let flow = bench.adapter.flow(&query(id("bad")), &[]).await.unwrap().unwrap();
    assert_eq!(flow.ancestors.len(), 1);
    assert_eq!(
        (flow.ancestors[0].id.clone(), flow.ancestors[0].known),
        (Some(id("last")), false)
    );
    // The job that it waits for is retried like any other job.
    let retry = JobAction::Retry {
        reset_attempts: false,
        data: Some("{}".into()),
    };
    assert_eq!(bench.act(&id("bad"), retry).await, Effect::done());
    bench.becomes(&id("bad"), "completed").await;
    let removed = bench.act(&id("last"), JobAction::Promote).await;
    assert!(
        matches!(removed, Effect::Changed { .. } | Effect::Already { .. }),
        "{removed:?}"
    );
}

on!(a_payload_of_50_mb_is_not_fetched_for_its_page: pgboss_9 pgboss_12);
async fn a_payload_of_50_mb_is_not_fetched_for_its_page(of: Of) {
    let mut bench = Bench::of(of).await;
    let id = bench.send(json!({}), json!({})).await;
    // Once compressed to a hundredth, once uncompressed.
    for (text, stored_small) in [
        ("repeat('x', 50000000)", true),
        (
            "(select string_agg(md5(i::text), '') from generate_series(1, 300000) i)",
            false,
        ),
    ] {
        let sql = format!("update pgboss.job set data = jsonb_build_object('text', {text}) where id = '{id}'");
        bench.postgres.run(&sql).await;
        // On a machine that runs other tests it may take longer than a read may.
        let detail = eventually("the job to be read", LATER, || async {
            bench.adapter.job(&"q".into(), &id).await.ok()
        })
        .await;
        let data = detail.unwrap().data.unwrap();
        assert!(
            data.shown <= 64 * 1024 && data.size > 8_000_000,
            "{} of {}",
            data.shown,
            data.size
        );
        assert_eq!(data.text.is_some(), stored_small);
    }
}

on!(a_queue_tells_how_long_its_jobs_wait_and_run);
async fn a_queue_tells_how_long_its_jobs_wait_and_run(of: Of) {
    let mut bench = Bench::of(of).await;
    bench.failed(json!({"fail": "boom"}), json!({})).await;
    let done = bench.send(json!({"ms": 20}), json!({})).await;
    bench.work().await;
    bench.becomes(&done, "completed").await;
    let held = bench.send(json!({"hold": true}), json!({})).await;
    bench.becomes(&held, "active").await;
    let insight = bench.adapter.insight(&"q".into()).await.unwrap();
    let times = insight.times.unwrap();
    assert_eq!((times.sample, insight.schedules), (2, Some(0)));
    assert!(times.run.unwrap().max >= 20 && times.wait.is_some());
    assert_eq!(insight.lost.map(|lost| (lost.without_lock, lost.active)), Some((0, 1)));
    assert!(insight.oldest_completed.is_some() && insight.oldest_failed.is_some());
    let kept = bench.adapter.finished(&"q".into(), now() + 60_000, 5).await.unwrap();
    assert_eq!(kept.len(), 5);
    assert_eq!(kept.iter().map(|minute| minute.failed).sum::<u32>(), 1);
    let completed: Option<u32> = kept.iter().map(|minute| minute.completed).sum();
    // Up to 10 only the library's own maintenance knows for how long finished jobs stay.
    assert_eq!(completed, (of.0 > 10).then_some(1));
}

on!(schedules_are_the_librarys);
async fn schedules_are_the_librarys(of: Of) {
    let mut bench = Bench::of(of).await;
    let daily = json!(["q", "0 3 * * *", {"a": 1}, {"tz": "Europe/Paris"}]);
    bench
        .oracle
        .ask("call", "q", json!({"method": "schedule", "args": daily}))
        .await;
    if of.0 >= 12 {
        let rule = json!(["q", "FREQ=HOURLY;INTERVAL=2", null, {"key": "r"}]);
        bench
            .oracle
            .ask("call", "q", json!({"method": "schedule", "args": rule}))
            .await;
    }
    let n = if of.0 >= 12 { 2 } else { 1 };
    let queues = ["q".into(), "gone".into()];
    assert_eq!(bench.adapter.count_schedules(&queues).await.unwrap()[0], Some(n));
    let schedules = bench
        .adapter
        .schedules(&queues, Bounds { queue: 10, all: 10 })
        .await
        .unwrap();
    assert_eq!(schedules.len() as u64, n);
    let daily = schedules.iter().find(|schedule| schedule.id.is_empty()).unwrap();
    assert_eq!(
        (daily.kind, daily.tz.as_deref()),
        (ScheduleKind::Timetable, Some("Europe/Paris"))
    );
    assert_eq!(daily.words, "at 03:00 every day (Europe/Paris)");
    assert!(daily.next > now() && daily.next < now() + 90_000_000 && daily.data.is_some());
}

on!(workers_are_known_by_the_register_or_not_at_all: pgboss_11 pgboss_12);
async fn workers_are_known_by_the_register_or_not_at_all(of: Of) {
    let bench = Bench::of(of).await;
    if of.0 < 12 {
        let Connections::Refused(why) = bench.adapter.workers(&HashSet::new()).await.unwrap() else {
            panic!("nobody can know")
        };
        assert!(why.contains("12.36"), "{why}");
        return;
    }
    // A process writes its register every half minute; this is the content.
    let works = json!([{"id": "w1", "queue": "q", "localConcurrency": 2, "lastFetchedOn": "2026-01-01T00:00:00Z"}]);
    bench
        .postgres
        .run(&format!(
            "update pgboss.instance set workers = '{works}', name = 'eu-1'"
        ))
        .await;
    let Connections::Known(known) = bench.adapter.workers(&HashSet::new()).await.unwrap() else {
        panic!("there is a register")
    };
    assert_eq!(known.len(), 1);
    assert_eq!((&*known[0].queue, known[0].worker.name.as_deref()), ("q", Some("eu-1")));
    assert!(known[0].worker.client.as_deref().unwrap().starts_with("pg-boss 12."));
    assert_eq!(
        bench.adapter.counts(&["q".into()]).await.unwrap()[0]
            .version
            .as_deref()
            .map(|v| &v[..3]),
        Some("12.")
    );
    bench
        .postgres
        .run("update pgboss.instance set stopped_on = now()")
        .await;
    let Connections::Known(known) = bench.adapter.workers(&HashSet::new()).await.unwrap() else {
        panic!("there is a register")
    };
    assert!(known.is_empty());
}

on!(changes_are_found_by_looking);
async fn changes_are_found_by_looking(of: Of) {
    let mut bench = Bench::of(of).await;
    bench.adapter.follow(&["q".into()]);
    let mut changes = bench.adapter.changes();
    let (heard, mut events) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(burst) = changes.next().await {
            for change in burst {
                assert_eq!(&*change.queue, "q");
                if change.events.is_empty() {
                    let _ = heard.send(None);
                }
                for event in change.events {
                    let _ = heard.send(Some(event));
                }
            }
        }
    });
    // The state at the first look is no change: from the first reported job on, every change is.
    let began = std::time::Instant::now();
    loop {
        bench.send(json!({}), json!({"startAfter": 3_600})).await;
        let told = tokio::time::timeout(Duration::from_secs(2), events.recv()).await;
        if matches!(told, Ok(Some(Some(_)))) {
            break;
        }
        assert!(began.elapsed() < LATER, "nothing was told of");
    }
    let id = bench
        .send(json!({"fail": "boom\nmore"}), json!({"retryLimit": 0}))
        .await;
    bench.work().await;
    bench.becomes(&id, "failed").await;
    let mut seen = vec![];
    let mut recounts = 0;
    let wanted = [What::Added("q".into()), What::Failed("boom".into())];
    let found = eventually("what happened to the job", LATER, || {
        while let Ok(event) = events.try_recv() {
            match event {
                Some(event) if event.job == id => seen.push(event.what),
                _ => recounts += 1,
            }
        }
        let all = wanted.iter().all(|what| seen.contains(what));
        async move { all.then_some(()) }
    });
    found.await;
    assert_eq!(
        seen.iter().filter(|what| **what == wanted[0]).count(),
        1,
        "told once: {seen:?}"
    );
    // A removal stores no time: Drover sees only that something was written.
    bench.postgres.run("delete from pgboss.job").await;
    eventually("a removal to be told", LATER, || {
        let told = std::iter::from_fn(|| events.try_recv().ok()).any(|event| event.is_none());
        async move { told.then_some(()) }
    })
    .await;
}
