//! The guard in front of every action: it checks the layout a second time, and handles missing answers.

use super::bench::{Bench, Of, done, remove, retry};
use super::silence::unheard;
use crate::support::proxy::Proxy;
use drover::model::action::{Changes, Effect, JobAction, NewJob, Plan, QueueAction, Rate, ScheduleAction, Seen};
use drover::model::state::JobState;
use drover::server::adapter::Flows as _;
use drover::server::adapter::flow::InFlow;
use drover::server::adapter::{Act as _, QueueId};
use serde_json::{Value, json};

// Whatever the store holds, the guard decides as the reader does: it never rejects the reader's choice.
on!(the_guard_sees_what_the_reader_sees: bullmq_6);
async fn the_guard_sees_what_the_reader_sees(family: Of) {
    let bench = Bench::of(family).await;
    let versions = [
        "",
        "bullmq:3.16.2",
        "bullmq:4.18.3",
        "bullmq:5.81.5",
        "bullmq:6.7.0",
        "bullmq:1.1.0",
        "bullmq:5.65.1",
        "bullmq-pro:7.1.0",
        "bullmq-pro:5.1.0",
        "bullmq-official:0.1.0",
        "nonsense",
        "bullmq:",
        "bullmq:x:6.1",
    ];
    let lists: [&[&str]; 4] = [&[], &["a"], &["0:0"], &["a", "0:1795254285345", "0:7"]];
    let mut wrong = vec![];
    for version in versions {
        for marked in [false, true] {
            for paused in [false, true] {
                for (wait, aside) in [(0, 0), (1, 0), (0, 1), (1, 1), (2, 0), (0, 3)] {
                    for extra in [
                        "",
                        "priority",
                        "marker",
                        "events",
                        "stream",
                        "meta-paused",
                        "jobs",
                        "groups",
                    ] {
                        let _: String = bench.redis.run(&["FLUSHALL"]);
                        let _: i64 = bench.redis.run(&["INCR", "bull:q:id"]);
                        if !version.is_empty() {
                            let _: i64 = bench.redis.run(&["HSET", "bull:q:meta", "version", version]);
                        }
                        if marked {
                            let _: i64 = bench.redis.run(&["HSET", "bull:q:meta", "opts.maxLenEvents", "10000"]);
                        }
                        if paused {
                            let _: i64 = bench.redis.run(&["HSET", "bull:q:meta", "paused", "1"]);
                        }
                        for (list, ids) in [("wait", lists[wait]), ("paused", lists[aside])] {
                            for id in ids {
                                let _: i64 = bench.redis.run(&["LPUSH", &format!("bull:q:{list}"), id]);
                            }
                        }
                        match extra {
                            "priority" | "marker" | "groups" => {
                                let _: i64 = bench.redis.run(&["ZADD", &format!("bull:q:{extra}"), "1", "a"]);
                            }
                            "events" => {
                                let _: String = bench.redis.run(&["XADD", "bull:q:events", "*", "event", "x"]);
                            }
                            "stream" => {
                                let _: String = bench.redis.run(&["XADD", "bull:q:events", "*", "kind", "x"]);
                            }
                            "jobs" => {
                                let _: i64 = bench.redis.run(&["HSET", "bull:q:jobs", "1", "{}"]);
                            }
                            "meta-paused" => {
                                let _: String = bench.redis.run(&["SET", "bull:q:meta-paused", "1"]);
                            }
                            _ => {}
                        }
                        let effect = bench.act("missing", retry()).await;
                        let bullmq = marked || version.starts_with("bullmq");
                        let refused = version.starts_with("bullmq-pro")
                            || extra == "groups"
                            || (!bullmq && matches!(extra, "jobs" | "stream"));
                        let right = match &effect {
                            Effect::Gone => !refused,
                            Effect::Refused { .. } => refused,
                            _ => false,
                        };
                        if !right {
                            wrong.push(format!(
                                "{version} {marked} {paused} {wait} {aside} {extra}: {effect:?}"
                            ));
                        }
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of them: {wrong:#?}", wrong.len());
}

on!(a_script_that_the_server_forgot_is_sent_again: bullmq_6);
async fn a_script_that_the_server_forgot_is_sent_again(family: Of) {
    let mut bench = Bench::of(family).await;
    let ids = [0; 2].map(|_| json!({}));
    let mut jobs = vec![];
    for data in ids {
        jobs.push(bench.oracle.add("q", "job", data, json!({})).await);
    }
    assert_eq!(bench.act(&jobs[0], remove()).await, done());
    let _: String = bench.redis.run(&["SCRIPT", "FLUSH"]);
    assert_eq!(bench.act(&jobs[1], remove()).await, done());
}

on!(an_answer_that_does_not_come_is_read_back: bullmq_5 bullmq_6);
async fn an_answer_that_does_not_come_is_read_back(family: Of) {
    let mut bench = Bench::of(family).await;
    let id = bench.failed(family.failing_once(), json!({})).await;
    let proxy = Proxy::before(bench.redis.port).await;
    let adapter = bench.over(&proxy.url()).await;
    let queue = QueueId::from("bull:q");
    let seen = Seen {
        state: Some(JobState::Failed),
        ..Seen::default()
    };
    let jobs = [(id.clone(), seen)];
    let retry = retry();
    adapter
        .on_jobs(&queue, &[("nobody".into(), Seen::default())], &retry)
        .await
        .unwrap();
    let effects = unheard(&bench, &proxy, adapter.on_jobs(&queue, &jobs, &retry)).await;
    assert_eq!(effects.unwrap(), [done()], "it shows that it was done");
    bench.counts_are(json!({"waiting": 1})).await;
}

on!(what_cannot_be_read_back_is_said: bullmq_6);
async fn what_cannot_be_read_back_is_said(family: Of) {
    let mut bench = Bench::of(family).await;
    let id = bench.failed(family.failing_once(), json!({})).await;
    bench.act("nobody", remove()).await;
    bench.act_on_queue(QueueAction::Resume).await;
    let _: String = bench.redis.run(&["CLIENT", "PAUSE", "60000", "WRITE"]);
    let effect = bench.act_seen(&id, JobState::Failed, remove()).await;
    assert!(
        matches!(&effect, Effect::Unconfirmed { reason } if reason.contains("Check it")),
        "{effect:?}"
    );
    let _: String = bench.redis.run(&["CLIENT", "UNPAUSE"]);
    assert_eq!(bench.state(&id).await, "failed", "what was never taken is never done");
}

on!(a_store_that_is_away_is_told_and_nothing_is_sent: bullmq_6);
async fn a_store_that_is_away_is_told_and_nothing_is_sent(family: Of) {
    let mut bench = Bench::of(family).await;
    let id = bench.failed(family.failing_once(), json!({})).await;
    bench.redis.freeze();
    let jobs = [(id.clone(), Seen::default())];
    let error = bench.adapter.on_jobs(&QueueId::from("bull:q"), &jobs, &retry()).await;
    bench.redis.thaw();
    assert!(error.is_err(), "{error:?}");
    assert_eq!(bench.state(&id).await, "failed");
}

/// Retries a child, and a parent that then waits for it: one that goes before others, so that it comes from the other
/// end of the list.
async fn a_flow(bench: &mut Bench, adapter: &drover::server::adapter::bullmq::BullMq, family: Of) -> Vec<Value> {
    let child =
        json!({"name": "c", "queueName": "q", "data": family.failing_once(), "opts": {"failParentOnFailure": true}});
    let tree = json!({"name": "p", "queueName": "q", "data": {}, "opts": {"lifo": true}, "children": [child]});
    let made = bench.oracle.ask("flow", "q", json!({"tree": tree})).await;
    let (parent, child) = (
        made["jobId"].as_str().unwrap(),
        made["children"][0]["jobId"].as_str().unwrap(),
    );
    bench.work().await;
    bench.becomes(child, "failed").await;
    bench.becomes(parent, "failed").await;
    bench.rest().await;
    bench.oracle.add("q", "before", json!({}), json!({})).await;
    let mut said = vec![];
    for (id, place) in [(child, InFlow::Below), (parent, InFlow::Top)] {
        let jobs = [(id.to_owned(), Seen::default())];
        let effects = adapter.retry(&QueueId::from("bull:q"), &jobs, place).await;
        assert_eq!(effects.as_deref(), Ok(&[done()][..]));
        said.push(json!({"flow": format!("{effects:?}")}));
    }
    assert_eq!(bench.state(parent).await, "waiting-children");
    bench.is_whole();
    said
}

/// Does every action once, and returns the answers.
pub(crate) async fn everything(
    bench: &mut Bench,
    adapter: &drover::server::adapter::bullmq::BullMq,
    queue: &QueueId,
    family: Of,
) -> Vec<Value> {
    let mut said = vec![];
    let flow = !family.is(&["bull"]);
    for _ in 0..2 {
        bench.failed(family.failing_once(), json!({"priority": 2})).await;
    }
    let failed = bench.oracle.ids("q", "failed", true).await;
    let delayed = bench.oracle.add("q", "job", json!({}), json!({"delay": 900_000})).await;
    let waiting = bench.oracle.add("q", "job", json!({}), json!({})).await;
    let mut acts = vec![
        (
            &failed[0],
            JobAction::Retry {
                reset_attempts: true,
                data: Some("{}".into()),
            },
        ),
        (&delayed, JobAction::Delay { ms: 800_000 }),
        (
            &waiting,
            JobAction::Priority {
                priority: 3,
                lifo: false,
            },
        ),
        (&waiting, JobAction::EditData { data: "[1]".into() }),
        (&waiting, JobAction::Duplicate(Changes::default())),
        (&waiting, JobAction::Cancel { error: "no".into() }),
        (&waiting, JobAction::RemoveDeduplication),
        (&waiting, JobAction::ClearLogs { keep: 0 }),
        (&waiting, JobAction::PutBack),
        (&waiting, JobAction::FailLost { error: "x".into() }),
        (&delayed, JobAction::Promote),
        (&waiting, JobAction::Remove { children: true }),
    ];
    if flow {
        acts.push((&delayed, JobAction::RemoveChildren));
    }
    for (id, action) in acts {
        let effects = adapter
            .on_jobs(queue, &[(id.clone(), Seen::default())], &action)
            .await
            .unwrap();
        said.push(json!({"action": action, "effects": effects}));
    }
    if flow {
        said.extend(a_flow(bench, adapter, family).await);
    }
    let actions = [
        QueueAction::Pause,
        QueueAction::Add(NewJob {
            name: "n".into(),
            data: "{}".into(),
            delay: 5000,
            ..NewJob::default()
        }),
        QueueAction::Add(NewJob {
            name: "n".into(),
            data: "{}".into(),
            priority: 5,
            ..NewJob::default()
        }),
        QueueAction::Resume,
        QueueAction::Concurrency { limit: Some(3) },
        QueueAction::RateLimit {
            limit: Some(Rate { max: 1, per_ms: 5 }),
        },
        QueueAction::ReleaseRateLimit,
        QueueAction::TrimEvents { keep: 0 },
    ];
    for action in actions {
        said.push(json!({"action": action, "effect": adapter.on_queue(queue, &action).await.unwrap()}));
    }
    let plan = Plan {
        pattern: Some("* * * * *".into()),
        every_ms: None,
        tz: None,
        limit: None,
        name: "n".into(),
        data: "{}".into(),
        options: None,
    };
    for action in [
        ScheduleAction::Upsert(plan),
        ScheduleAction::Run,
        ScheduleAction::Remove,
    ] {
        said.push(json!({"action": action, "effect": adapter.on_schedule(queue, "s", &action).await.unwrap()}));
    }
    adapter.on_queue(queue, &QueueAction::Pause).await.unwrap();
    let obliterate = QueueAction::Obliterate {
        name: "q".into(),
        force: true,
    };
    said.push(json!({"action": "obliterate", "effect": adapter.on_queue(queue, &obliterate).await.unwrap()}));
    said
}
