//! Dead letters go back where they came from: none is lost, none exists twice, and the library agrees.

use super::bench::{Bench, Of, pgboss_12};
use crate::support::app::Drover;
use crate::support::{LATER, eventually};
use drover::model::action::{Effect, JobAction, Seen};
use drover::model::page::Order;
use drover::model::state::JobState;
use drover::server::adapter::Act as _;
use drover::server::adapter::Adapter as _;
use serde_json::{Value, json};

/// The queue `q` holds the dead letters of `src`.
async fn letters(of: Of, source: Value) -> Bench {
    let mut bench = Bench::of(of).await;
    let mut options = source;
    options["deadLetter"] = json!("q");
    bench
        .oracle
        .ask("createQueue", "src", json!({"options": options}))
        .await;
    bench
}

/// Jobs of `src` that failed for good, and their copies in `q`.
async fn fail(bench: &mut Bench, jobs: &[(Value, Value)]) -> (Vec<String>, Vec<String>) {
    let mut originals = vec![];
    for (data, options) in jobs {
        let mut options = options.clone();
        options["retryLimit"] = json!(0);
        let id = bench.send_to("src", data.clone(), options).await;
        bench.oracle.ask("startWorker", "src", json!({"workerId": "src"})).await;
        becomes(bench, &id, "failed").await;
        bench.oracle.ask("stopWorker", "src", json!({"workerId": "src"})).await;
        originals.push(id);
    }
    let copies = bench.ids(JobState::Waiting, Order::Next, 100).await;
    (originals, copies)
}

async fn becomes(bench: &mut Bench, id: &str, state: &str) -> Value {
    bench
        .oracle
        .ask("waitUntil", "src", json!({"jobId": id, "state": state}))
        .await
}

fn boom() -> (Value, Value) {
    (json!({"fail": "boom", "n": 7}), json!({"priority": 3}))
}

fn reason(effect: &Effect) -> &str {
    match effect {
        Effect::Refused { reason } => reason,
        other => panic!("{other:?}"),
    }
}

async fn rows(bench: &Bench, queue: &str) -> i64 {
    let sql = format!("select count(*) from pgboss.job where name = '{queue}'");
    bench.postgres.one(&sql).await
}

#[tokio::test]
async fn a_redriven_dead_letter_is_the_job_that_the_library_would_make_of_it() {
    let mut bench = letters(pgboss_12, json!({"retryLimit": 4, "expireInSeconds": 33})).await;
    let (originals, copies) = fail(&mut bench, &[boom(), boom()]).await;
    assert_eq!(copies.len(), 2);
    let effect = bench.act(&copies[0], JobAction::Redrive).await;
    let job = Some(copies[0].clone());
    assert_eq!(effect, Effect::Done { job, note: None }, "it keeps its id");
    let again = bench.act(&copies[0], JobAction::Redrive).await;
    assert!(
        matches!(&again, Effect::Already { now } if now.contains("src")),
        "{again:?}"
    );
    let moved = bench
        .oracle
        .ask("call", "q", json!({"method": "redrive", "args": ["q"]}))
        .await;
    assert_eq!(moved, 1, "the other one is moved by the library");
    assert_eq!((rows(&bench, "q").await, rows(&bench, "src").await), (0, 4));
    let mut made: Vec<Value> = vec![];
    for of in [
        format!("id = '{}'", copies[0]),
        format!("id not in ('{}', '{}', '{}')", copies[0], originals[0], originals[1]),
    ] {
        let sql = format!("select to_jsonb(j)::text from pgboss.job j where name = 'src' and {of}");
        let mut row: Value = serde_json::from_str(&bench.postgres.one::<String>(&sql).await).unwrap();
        let columns = row.as_object_mut().unwrap();
        columns.retain(|name, _| !matches!(name.as_str(), "id" | "start_after" | "created_on" | "keep_until"));
        assert!(originals.contains(&columns.remove("source_root_id").unwrap().as_str().unwrap().to_owned()));
        made.push(row);
    }
    assert_eq!(made[0], made[1]);
    assert_eq!(
        (&made[0]["data"], &made[0]["priority"], &made[0]["retry_limit"]),
        (&json!({"fail": "boom", "n": 7}), &json!(3), &json!(4))
    );
}

#[tokio::test]
async fn a_redriven_job_runs_and_fails_into_the_same_queue_again() {
    let mut bench = letters(pgboss_12, json!({"retryLimit": 0})).await;
    let (originals, copies) = fail(&mut bench, &[boom()]).await;
    bench.act(&copies[0], JobAction::Redrive).await;
    bench.oracle.ask("startWorker", "src", json!({"workerId": "w"})).await;
    becomes(&mut bench, &copies[0], "failed").await;
    bench.wait(JobState::Waiting, 1).await;
    let sql = "select source_name || ' ' || source_id || ' ' || source_root_id from pgboss.job where name = 'q'";
    let source: String = bench.postgres.one(sql).await;
    assert_eq!(source, format!("src {} {}", copies[0], originals[0]));
    let letters = bench.adapter.insight(&"q".into()).await.unwrap();
    assert_eq!(
        (letters.dead_letters_of, letters.dead_letters),
        (vec!["src".to_owned()], vec![])
    );
    let source = bench.adapter.insight(&"src".into()).await.unwrap();
    assert_eq!(source.dead_letters, ["q"]);
}

#[tokio::test]
async fn what_cannot_be_redriven_stays_and_says_why() {
    let mut bench = letters(pgboss_12, json!({"policy": "exclusive"})).await;
    let key = |key: &str| (json!({"fail": "boom"}), json!({"singletonKey": key}));
    let (originals, copies) = fail(&mut bench, &[key("run again"), key("taken"), key("fine")]).await;
    let plain = bench.send(json!({}), json!({})).await;
    let retry = JobAction::Retry {
        reset_attempts: false,
        data: None,
    };
    let jobs = [(originals[0].clone(), Seen::default())];
    bench.adapter.on_jobs(&"src".into(), &jobs, &retry).await.unwrap();
    bench.send_to("src", json!({}), json!({"singletonKey": "taken"})).await;
    let jobs: Vec<_> = [&copies[0], &copies[1], &copies[2], &plain]
        .iter()
        .map(|id| ((*id).clone(), Seen::default()))
        .collect();
    let effects = bench
        .adapter
        .on_jobs(&"q".into(), &jobs, &JobAction::Redrive)
        .await
        .unwrap();
    assert!(reason(&effects[0]).contains("run again since"), "{effects:?}");
    assert!(reason(&effects[1]).contains("exclusive"), "{effects:?}");
    assert!(matches!(effects[2], Effect::Done { .. }), "{effects:?}");
    assert!(reason(&effects[3]).contains("not a dead letter"), "{effects:?}");
    assert_eq!(bench.job(&copies[1]).await["state"], "created", "it can be tried again");
    assert_eq!((rows(&bench, "q").await, rows(&bench, "src").await), (3, 5));
    bench
        .oracle
        .ask("call", "q", json!({"method": "deleteQueue", "args": ["src"]}))
        .await;
    let effect = bench.act(&copies[1], JobAction::Redrive).await;
    assert!(reason(&effect).contains("no longer exists"), "{effect:?}");
    assert_eq!(rows(&bench, "q").await, 3);
    let waiting = Seen {
        state: Some(JobState::Waiting),
        ..Seen::default()
    };
    bench.call("cancel", &copies[1]).await;
    let effect = bench.act_seen(&copies[1], waiting, JobAction::Redrive).await;
    assert!(matches!(effect, Effect::Changed { .. }), "{effect:?}");
}

on!(without_a_source_a_redrive_is_refused: pgboss_9 pgboss_10 pgboss_11);
async fn without_a_source_a_redrive_is_refused(of: Of) {
    let mut bench = Bench::of(of).await;
    let id = bench.send(json!({}), json!({})).await;
    let effect = bench.act(&id, JobAction::Redrive).await;
    let since = if of.0 == 9 { "pg-boss 10" } else { "12.23" };
    assert!(reason(&effect).contains(since), "{effect:?}");
    assert_eq!(bench.job(&id).await["state"], "created");
}

/// Two boards and the library itself act on the same jobs at once.
#[tokio::test]
async fn each_of_many_is_redriven_once_whoever_else_does_it() {
    let bench = letters(pgboss_12, json!({})).await;
    bench
        .postgres
        .run(
            "insert into pgboss.job (name, data, source_name, source_id) \
             select 'q', jsonb_build_object('n', n), 'src', gen_random_uuid() from generate_series(1, 3000) n",
        )
        .await;
    let other = bench.over(&bench.postgres.url()).await;
    let mut third = crate::support::oracle::Oracle::pgboss(&bench.postgres.url(), "12", "pgboss", json!({})).await;
    let ids = bench.ids(JobState::Waiting, Order::Next, 1_000).await;
    assert_eq!(ids.len(), 3_000);
    let jobs: Vec<_> = ids.iter().map(|id| (id.clone(), Seen::default())).collect();
    let queue = "q".into();
    let (mine, theirs, library) = tokio::join!(
        bench.adapter.on_jobs(&queue, &jobs, &JobAction::Redrive),
        other.on_jobs(&queue, &jobs, &JobAction::Redrive),
        third.ask("call", "q", json!({"method": "redrive", "args": ["q", {"limit": 500}]})),
    );
    let done = |effects: &[Effect]| {
        let bad = effects
            .iter()
            .find(|effect| !matches!(effect, Effect::Done { .. } | Effect::Already { .. } | Effect::Gone));
        assert_eq!(bad, None);
        effects
            .iter()
            .filter(|effect| matches!(effect, Effect::Done { .. }))
            .count()
    };
    let moved = done(&mine.unwrap()) + done(&theirs.unwrap()) + usize::try_from(library.as_u64().unwrap()).unwrap();
    assert_eq!(moved, 3_000);
    assert_eq!((rows(&bench, "q").await, rows(&bench, "src").await), (0, 3_000));
    let distinct: i64 = bench
        .postgres
        .one("select count(distinct data->>'n') from pgboss.job where name = 'src'")
        .await;
    assert_eq!(distinct, 3_000);
}

#[tokio::test]
async fn dead_letters_are_redriven_from_pages_and_as_an_operation() {
    let mut bench = letters(pgboss_12, json!({})).await;
    let (_, copies) = fail(&mut bench, &[boom()]).await;
    bench
        .postgres
        .run(
            "insert into pgboss.job (name, source_name, source_id) \
             select 'q', 'src', gen_random_uuid() from generate_series(1, 250)",
        )
        .await;
    let drover = Drover::with(&[("DROVER_POSTGRES_URL", &bench.postgres.url())], "").await;
    eventually("the letters", LATER, || async {
        let queue = drover.queue("postgres", "q").await?;
        (queue["counts"]["waiting"] == 251).then_some(())
    })
    .await;
    let page = drover.get("/queues/postgres/q?state=waiting").await.body;
    for words in ["Redrive selected…", "Redrive all…", "Dead letters of"] {
        assert!(page.contains(words), "{words}");
    }
    let source = drover.get("/queues/postgres/src?state=waiting").await.body;
    assert!(!source.contains("Redrive"), "there is nothing to redrive in it");
    let job = format!("/queues/postgres/q/jobs/{}", copies[0]);
    assert!(drover.get(&job).await.body.contains(">Redrive<"));
    let form = [("action", "redrive"), ("seen_state", "waiting"), ("seen_attempts", "0")];
    let sent = drover.send_form(&format!("{job}/act"), &form).await;
    assert_eq!(sent.status, 303, "{}", sent.body);
    assert_eq!(rows(&bench, "src").await, 2);
    let order = json!({"action": "redrive", "filter": "state:waiting queue:postgres/q", "dry_run": true});
    let preview = drover.post("/operations", &order).await.json();
    assert_eq!(preview["selected"], 250, "{preview}");
    assert_eq!(preview["sentence"], "Redrive 250 waiting jobs of q in postgres.");
    let started = drover
        .post("/operations", &json!({"token": preview["token"]}))
        .await
        .json();
    let id = started["id"].as_str().unwrap();
    let told = eventually("the operation to end", LATER, || async {
        let told = drover.get(&format!("/api/v1/operations/{id}")).await.json();
        told["ended"].is_number().then_some(told)
    })
    .await;
    assert_eq!(
        (&told["state"], &told["totals"]["done"]),
        (&json!("done"), &json!(250)),
        "{told}"
    );
    assert_eq!((rows(&bench, "q").await, rows(&bench, "src").await), (0, 252));
}
