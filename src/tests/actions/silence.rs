//! Answers that do not arrive: Drover reads back what it can, and reports every other result as unknown.

use super::bench::{Bench, Of, done};
use crate::support::proxy::{Proxy, Weather};
use drover::model::action::{Effect, JobAction, NewJob, Plan, QueueAction, Rate, ScheduleAction, Seen};
use drover::server::adapter::bullmq::BullMq;
use drover::server::adapter::{Act as _, QueueId};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// Holds writes back until the connection for answers is gone; then the store does them, and no answer arrives.
pub(super) async fn unheard<T>(bench: &Bench, proxy: &Proxy, acting: impl Future<Output = T>) -> T {
    let _: String = bench.redis.run(&["CLIENT", "PAUSE", "1200", "WRITE"]);
    let weather = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        proxy.becomes(Weather::Blackhole);
        tokio::time::sleep(Duration::from_millis(1500)).await;
        proxy.becomes(Weather::Fair(Duration::ZERO));
    };
    tokio::join!(acting, weather).0
}

/// One adapter for each action: a write that is held back holds up every later one on its connection.
async fn each(bench: &Bench, url: &str, n: usize) -> Vec<Arc<BullMq>> {
    let mut all = vec![];
    for _ in 0..n {
        all.push(bench.over(url).await);
    }
    all
}

async fn on_job(adapter: &BullMq, id: &str, action: JobAction) -> Effect {
    let jobs = [(id.to_owned(), Seen::default())];
    adapter
        .on_jobs(&"bull:q".into(), &jobs, &action)
        .await
        .unwrap()
        .remove(0)
}

async fn on_queue(adapter: &BullMq, queue: &str, action: QueueAction) -> Effect {
    adapter.on_queue(&QueueId::from(queue), &action).await.unwrap()
}

async fn on_plan(adapter: &BullMq, key: &str, action: ScheduleAction) -> Effect {
    adapter.on_schedule(&"bull:q".into(), key, &action).await.unwrap()
}

on!(what_was_done_to_jobs_shows: bullmq_4 bullmq_5 bullmq_6);
async fn what_was_done_to_jobs_shows(family: Of) {
    let mut bench = Bench::of(family).await;
    let failed = bench.failed(family.failing_once(), json!({})).await;
    let mut ids = vec![];
    for _ in 0..4 {
        let id = bench.oracle.add("q", "job", json!({}), json!({"delay": 900_000})).await;
        bench
            .oracle
            .ask("log", "q", json!({"jobId": id, "line": "a line"}))
            .await;
        ids.push(id);
    }
    let proxy = Proxy::before(bench.redis.port).await;
    let a = each(&bench, &proxy.url(), 5).await;
    let data = Some(r#"{"new":1}"#.to_owned());
    let acting = async {
        tokio::join!(
            on_job(&a[0], &ids[0], JobAction::Delay { ms: 5_000_000 }),
            on_job(
                &a[1],
                &ids[1],
                JobAction::Priority {
                    priority: 7,
                    lifo: false
                }
            ),
            on_job(&a[2], &ids[2], JobAction::EditData { data: "[7]".into() }),
            on_job(&a[3], &ids[3], JobAction::ClearLogs { keep: 0 }),
            async {
                let seen = Seen {
                    state: Some(drover::model::state::JobState::Failed),
                    ..Seen::default()
                };
                let retry = JobAction::Retry {
                    reset_attempts: false,
                    data,
                };
                a[4].on_jobs(&"bull:q".into(), &[(failed.clone(), seen)], &retry)
                    .await
                    .unwrap()
                    .remove(0)
            },
        )
    };
    let (delay, priority, edit, clear, retry) = unheard(&bench, &proxy, acting).await;
    assert_eq!([delay, priority, edit, clear, retry], [(); 5].map(|()| done()));
    // The library's own answer.
    assert_eq!(bench.job(&ids[0]).await["delay"], 5_000_000);
    if !family.is(&["4"]) {
        // Version 4 returns the priority that a job was added with.
        assert_eq!(bench.job(&ids[1]).await["priority"], 7);
    }
    assert_eq!(bench.job(&ids[2]).await["data"], json!([7]));
    assert_eq!(bench.job(&ids[3]).await["logs"], json!([]));
    assert_eq!(bench.job(&failed).await["data"], json!({"new": 1}));
    assert_eq!(bench.state(&failed).await, "waiting");
}

on!(what_was_done_to_queues_and_schedules_shows: bullmq_5 bullmq_6);
async fn what_was_done_to_queues_and_schedules_shows(family: Of) {
    let mut bench = Bench::of(family).await;
    for queue in ["q", "runs", "halts"] {
        bench.oracle.add(queue, "job", json!({}), json!({})).await;
    }
    bench.oracle.ask("pause", "halts", json!({})).await;
    let dedup = json!({"deduplication": {"id": "one"}});
    let held = bench.oracle.add("q", "job", json!({}), dedup).await;
    let old = json!({"schedulerId": "old", "repeat": {"pattern": "0 0 1 1 *"}, "template": {"name": "t"}});
    bench.oracle.ask("upsertScheduler", "q", old).await;
    let proxy = Proxy::before(bench.redis.port).await;
    let a = each(&bench, &proxy.url(), 9).await;
    let new = NewJob {
        name: "named".into(),
        data: r#"{"é":1}"#.into(),
        id: Some("mine".into()),
        ..NewJob::default()
    };
    let nameless = NewJob {
        id: None,
        ..new.clone()
    };
    let plan = Plan {
        pattern: Some("0 3 * * *".into()),
        every_ms: None,
        tz: Some("Europe/Paris".into()),
        limit: Some(5),
        name: "t".into(),
        data: r#"{"b":[]}"#.into(),
        options: Some(r#"{"attempts": 2, "backoff": {"type": "fixed", "delay": 5}}"#.into()),
    };
    let rate = Some(Rate { max: 3, per_ms: 900 });
    let acting = async {
        tokio::join!(
            on_queue(&a[0], "bull:runs", QueueAction::Pause),
            on_queue(&a[1], "bull:halts", QueueAction::Resume),
            on_queue(&a[2], "bull:q", QueueAction::Concurrency { limit: Some(4) }),
            on_queue(&a[3], "bull:q", QueueAction::RateLimit { limit: rate }),
            on_queue(&a[4], "bull:q", QueueAction::Add(new)),
            on_queue(&a[5], "bull:q", QueueAction::Add(nameless)),
            on_plan(&a[6], "old", ScheduleAction::Remove),
            on_plan(&a[7], "new", ScheduleAction::Upsert(plan)),
            on_job(&a[8], &held, JobAction::RemoveDeduplication),
        )
    };
    let said = unheard(&bench, &proxy, acting).await;
    let named = Effect::made("mine".into());
    assert_eq!((said.0, said.1, said.2, said.3), (done(), done(), done(), done()));
    assert_eq!((said.4, said.6, said.7, said.8), (named, done(), done(), done()));
    // A job whose id is a number of the library's counter is like any other.
    assert!(
        matches!(&said.5, Effect::Unconfirmed { reason } if reason.contains("Check the newest jobs")),
        "{:?}",
        said.5
    );
    assert_eq!(bench.oracle.ask("isPaused", "runs", json!({})).await, true);
    assert_eq!(bench.oracle.ask("isPaused", "halts", json!({})).await, false);
    assert_eq!(
        bench
            .oracle
            .ask("call", "q", json!({"method": "getGlobalConcurrency"}))
            .await,
        4
    );
    assert_eq!(bench.job("mine").await["data"], json!({"é": 1}));
    let all = bench.oracle.ask("schedulers", "q", json!({})).await;
    assert_eq!(
        (all.as_array().unwrap().len(), &all[0]["key"]),
        (1, &json!("new")),
        "{all}"
    );
    let kept: Option<String> = bench.redis.run(&["GET", "bull:q:de:one"]);
    assert_eq!(kept, None);
}

on!(what_was_never_taken_is_not_said_to_be_done: bullmq_6);
async fn what_was_never_taken_is_not_said_to_be_done(family: Of) {
    let mut bench = Bench::of(family).await;
    bench.oracle.add("q", "job", json!({}), json!({})).await;
    let id = bench.oracle.add("q", "job", json!({}), json!({"delay": 900_000})).await;
    bench.act_on_queue(QueueAction::Resume).await;
    let a = each(&bench, &bench.redis.url(), 3).await;
    let _: String = bench.redis.run(&["CLIENT", "PAUSE", "60000", "WRITE"]);
    let said = tokio::join!(
        on_queue(&a[0], "bull:q", QueueAction::Pause),
        on_queue(&a[1], "bull:q", QueueAction::Concurrency { limit: Some(4) }),
        on_job(&a[2], &id, JobAction::Delay { ms: 5_000_000 }),
    );
    for effect in [&said.0, &said.1, &said.2] {
        assert!(
            matches!(effect, Effect::Unconfirmed { reason } if reason.contains("Check ")),
            "{effect:?}"
        );
    }
}
