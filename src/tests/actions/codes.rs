//! Codes of the library or the server reach the operator as a sentence.

use super::bench::{Bench, Of, remove, retry};
use drover::model::action::{Changes, Effect, JobAction, Plan, ScheduleAction};
use drover::server::adapter::{Act as _, QueueId};
use serde_json::json;

/// Checks that a sentence contains nothing that only the source of the library or of Redis explains.
fn assert_plain(effect: &Effect, of: &str) {
    let text = match effect {
        Effect::Done { note, .. } => note.clone().unwrap_or_default(),
        Effect::Already { now } | Effect::Changed { now } => now.clone(),
        Effect::Gone => String::new(),
        Effect::Locked { by } => by.clone(),
        Effect::Refused { reason } | Effect::Unconfirmed { reason } => reason.clone(),
    };
    let code = |word: &str| {
        let digits = word.strip_prefix('-').unwrap_or_default();
        digits.starts_with(|c: char| c.is_ascii_digit())
    };
    let raw = ["user_script", "WRONGTYPE", "ERR ", "attempt to", "cjson"];
    assert!(
        !raw.iter().any(|raw| text.contains(raw)) && !text.split_whitespace().any(code),
        "{of}: {effect:?}"
    );
    assert!(text.is_empty() || text.ends_with('.'), "{of}: {effect:?}");
}

on!(what_a_script_cannot_digest_is_told_in_a_sentence);
async fn what_a_script_cannot_digest_is_told_in_a_sentence(family: Of) {
    let mut bench = Bench::of(family).await;
    let odd: [(&str, &str); 7] = [
        ("parent", "[1]"),
        ("opts", "null"),
        ("opts", r#"{"lifo":{},"attempts":{}}"#),
        ("priority", "x"),
        ("atm", "x"),
        ("deid", ""),
        ("parentKey", "bull:q:meta"),
    ];
    let actions = || {
        [
            retry(),
            JobAction::Promote,
            JobAction::Delay { ms: 1_000_000 },
            JobAction::Priority {
                priority: 3,
                lifo: false,
            },
            JobAction::EditData { data: "[1]".into() },
            JobAction::Duplicate(Changes::default()),
            JobAction::RemoveDeduplication,
            JobAction::RemoveChildren,
            JobAction::ClearLogs { keep: 0 },
            JobAction::Cancel { error: "no".into() },
            remove(),
        ]
    };
    for (field, value) in odd {
        let id = bench.oracle.add("q", "job", json!({}), json!({"delay": 900_000})).await;
        let record = format!("bull:q:{id}");
        let _: i64 = bench.redis.run(&["HSET", &record, field, value]);
        for action in actions() {
            let effect = bench.act(&id, action.clone()).await;
            assert_plain(&effect, &format!("{field}={value} {action:?}"));
        }
    }
    // Keys of another type than the library keeps under these names.
    for suffix in ["lock", "logs", "dependencies", "processed", "unsuccessful"] {
        let id = bench.oracle.add("q", "job", json!({}), json!({"delay": 900_000})).await;
        let _: i64 = bench
            .redis
            .run(&["GEOADD", &format!("bull:q:{id}:{suffix}"), "1", "1", "x"]);
        for action in actions() {
            let effect = bench.act(&id, action.clone()).await;
            assert_plain(&effect, &format!("{suffix} {action:?}"));
        }
    }
    // A job whose worker is lost, with a parent that the library reads and does not expect to be missing.
    let id = bench.oracle.add("q", "job", json!({"hold": true}), json!({})).await;
    bench.work().await;
    bench.becomes(&id, "active").await;
    let worker = json!({"workerId": "w", "force": true});
    bench.oracle.ask("stopWorker", "q", worker).await;
    let _: i64 = bench.redis.run(&["DEL", &format!("bull:q:{id}:lock")]);
    let _: i64 = bench.redis.run(&["HSET", &format!("bull:q:{id}"), "parent", "null"]);
    let effect = bench.act(&id, JobAction::FailLost { error: "lost".into() }).await;
    assert_plain(&effect, "a parent of null");
    if !family.is(&["bull"]) {
        assert!(
            matches!(&effect, Effect::Unconfirmed { reason } if reason.contains("a part of the action may be done. ")),
            "{effect:?}"
        );
    }
}

on!(a_schedule_whose_next_job_is_taken_says_which_job_that_is: bullmq_5 bullmq_6);
async fn a_schedule_whose_next_job_is_taken_says_which_job_that_is(family: Of) {
    let mut bench = Bench::of(family).await;
    bench.oracle.add("q", "job", json!({}), json!({"delay": 900_000})).await;
    let queue = QueueId::from("bull:q");
    let yearly = || {
        ScheduleAction::Upsert(Plan {
            pattern: Some("0 0 1 1 *".into()),
            every_ms: None,
            tz: None,
            limit: None,
            name: "tick".into(),
            data: "{}".into(),
            options: None,
        })
    };
    let planned = bench.adapter.on_schedule(&queue, "tick", &yearly()).await.unwrap();
    let Effect::Done { job: Some(next), .. } = planned else {
        panic!("{planned:?}")
    };
    // It ran early and is kept, and the schedule was removed meanwhile.
    let (record, kept) = (format!("bull:q:{next}"), "kept");
    let _: i64 = bench.redis.run(&["COPY", &record, kept]);
    let removed = bench.adapter.on_schedule(&queue, "tick", &ScheduleAction::Remove).await;
    assert_eq!(removed.unwrap(), Effect::done());
    let _: i64 = bench.redis.run(&["COPY", kept, &record]);
    let _: i64 = bench.redis.run(&["ZADD", "bull:q:completed", "1", &next]);
    let again = bench.adapter.on_schedule(&queue, "tick", &yearly()).await.unwrap();
    assert_plain(&again, "a schedule");
    assert!(
        matches!(&again, Effect::Refused { reason } if reason.contains(&next) && reason.contains("Remove that job")),
        "{again:?}"
    );
    assert_eq!(bench.act(&next, remove()).await, Effect::done());
    let planned = bench.adapter.on_schedule(&queue, "tick", &yearly()).await.unwrap();
    assert!(matches!(planned, Effect::Done { .. }), "{planned:?}");
}
