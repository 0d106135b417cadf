//! Jobs of pg-boss in the archive: every column unchanged, gone from the library, and put back for a worker.

use super::bench::{Bench, Of, pgboss_12};
use crate::archive::{archive_all, archived, ready};
use crate::support::app::Drover;
use crate::support::postgres::Postgres;
use crate::support::{LATER, eventually};
use drover::model::action::{Effect, JobAction, Seen};
use drover::model::state::JobState;
use drover::server::adapter::Archiving as _;
use drover::server::adapter::raw::{RawJob, Whole};
use drover::server::archive::record;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A board over the Postgres of the library, which is the archive too.
async fn board(bench: &Bench) -> Drover {
    let url = bench.postgres.url();
    let env = [
        ("DROVER_POSTGRES_URL", url.as_str()),
        ("DROVER_ARCHIVE_ALLOW_UNSAFE", "true"),
    ];
    let drover = Drover::with(&env, "").await;
    ready(&drover).await;
    eventually("q on the board", LATER, || drover.queue("postgres", "q")).await;
    drover
}

/// A row as Postgres writes each of its columns, without what is null.
async fn stored(postgres: &Postgres, id: &str) -> BTreeMap<String, String> {
    let names: Vec<String> = postgres
        .one(
            "SELECT array_agg(attname::text) FROM pg_attribute WHERE attrelid = 'pgboss.job'::regclass AND attnum > 0 \
              AND NOT attisdropped",
        )
        .await;
    let mut all = BTreeMap::new();
    for name in names {
        let sql = format!("SELECT \"{name}\"::text FROM pgboss.job WHERE id = '{id}'");
        let value: Option<String> = postgres.one(&sql).await;
        all.extend(value.map(|value| (name, value)));
    }
    all
}

async fn kept(postgres: &Postgres, id: &str) -> BTreeMap<String, String> {
    let mut connection = postgres.connection().await;
    let bytes: Vec<u8> = sqlx::query_scalar("SELECT record FROM drover.archive WHERE job_id = $1")
        .bind(id)
        .fetch_one(&mut connection)
        .await
        .unwrap();
    let contents = record::decode(&bytes).unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    contents
        .fields
        .into_iter()
        .map(|(name, value)| (text(name), text(value)))
        .collect()
}

/// These jobs as Drover reads them for the archive.
async fn whole(bench: &Bench, ids: &[String]) -> Vec<RawJob> {
    let asked: Vec<(String, Seen)> = ids.iter().map(|id| (id.clone(), Seen::default())).collect();
    let read = bench.adapter.whole(&"q".into(), &asked).await.unwrap();
    let job = |whole| match whole {
        Whole::Job(job) => job,
        Whole::Not(effect) => panic!("{effect:?}"),
    };
    read.into_iter().map(job).collect()
}

on!(a_job_is_kept_as_it_was_and_put_back_for_a_worker);
async fn a_job_is_kept_as_it_was_and_put_back_for_a_worker(of: Of) {
    let mut bench = Bench::of(of).await;
    let odd =
        json!({"fail": "out of paper\nat the printer", "n": 12_345_678_901_234_567_890_u64, "é": ["\u{1F600}", null]});
    let options = json!({"priority": 3, "retryDelay": 7, "expireInSeconds": 600, "singletonKey": "one"});
    let id = bench.failed(odd, options).await;
    let done = bench.send(json!({"returns": {"pages": 2}}), json!({})).await;
    bench.work().await;
    bench.becomes(&done, "completed").await;
    bench.rest().await;
    let waits = bench.send(json!({}), json!({})).await;
    let before = [stored(&bench.postgres, &id).await, stored(&bench.postgres, &done).await];
    let drover = board(&bench).await;
    let path = |id: &str, action: &str| format!("/queues/postgres/q/jobs/{id}{action}");
    let live = drover.get(&format!("/api/v1{}", path(&id, ""))).await.json();
    let answer = drover.post(&path(&waits, "/archive"), &json!({})).await;
    assert_eq!(answer.status, 409, "{}", answer.body);
    for job in [&id, &done] {
        let answer = drover.post(&path(job, "/archive"), &json!({})).await;
        assert_eq!(
            (answer.status, &answer.json()["result"]),
            (200, &json!("done")),
            "{}",
            answer.body
        );
        assert_eq!(bench.job(job).await, Value::Null, "the library has it no more");
    }
    assert_eq!(
        [kept(&bench.postgres, &id).await, kept(&bench.postgres, &done).await],
        before
    );
    assert_eq!(bench.job(&waits).await["state"], "created");
    // A second request: the job is there already, and only once.
    let seen = json!({"seen": {"finished_on": live["row"]["finished"], "attempts": live["row"]["attempts"]}});
    let answer = drover.post(&path(&id, "/archive"), &seen).await;
    assert_eq!(answer.json()["result"], "already", "{}", answer.body);
    assert_eq!(archived(&bench.postgres).await, (2, 2));
    // The archive finds it and shows it unchanged.
    let found = drover.get("/api/v1/archive/jobs?error=out%20of%20paper").await.json();
    let row = &found["items"][0];
    assert_eq!(
        (&row["job"], &row["system"], &row["name"], &row["error"]),
        (&json!(id), &json!("pgboss"), &json!("q"), &json!("out of paper")),
        "{found}"
    );
    let archive = format!("/archive/jobs/{}", row["id"].as_str().unwrap());
    let shown = drover.get(&format!("/api/v1{archive}")).await.json();
    for part in ["data", "error", "effective", "attempts_started", "backoff", "traces"] {
        assert_eq!(shown["detail"][part], live[part], "{part}");
    }
    for part in [
        "name",
        "created",
        "started",
        "finished",
        "attempts",
        "attempts_max",
        "priority",
        "state",
        "error",
    ] {
        assert_eq!(shown["detail"]["row"][part], live["row"][part], "{part}");
    }
    let page = drover.get(&archive).await;
    assert!(
        page.status == 200 && page.body.contains("Run again as a new job"),
        "{}",
        page.body
    );
    // Put back once, with the same data and options, and a worker of the library runs it.
    let answer = drover.post(&format!("{archive}/restore"), &json!({})).await;
    assert_eq!(answer.json()["result"], "done", "{}", answer.body);
    let new = answer.json()["job"].as_str().unwrap().to_owned();
    let again = drover.post(&format!("{archive}/restore"), &json!({})).await;
    assert_eq!(again.json()["result"], "already", "{}", again.body);
    let there = stored(&bench.postgres, &new).await;
    let folded = |column: &str| {
        if of.0 == 9 {
            column.replace('_', "")
        } else {
            column.to_owned()
        }
    };
    for column in ["data", "priority", "retry_limit", "retry_delay", "singleton_key"] {
        let column = folded(column);
        assert_eq!(there.get(&column), before[0].get(&column), "{column}");
    }
    bench.work().await;
    bench.becomes(&new, "failed").await;
    bench.rest().await;
    // Under its old id, which is free.
    let body = json!({"original_id": true, "again": true});
    let answer = drover.post(&format!("{archive}/restore"), &body).await;
    assert_eq!(
        (answer.json()["result"].as_str(), answer.json()["job"].as_str()),
        (Some("done"), Some(id.as_str()))
    );
    assert_eq!(bench.job(&id).await["state"], "created");
}

on!(one_that_changed_meanwhile_stays_and_is_told);
async fn one_that_changed_meanwhile_stays_and_is_told(of: Of) {
    let mut bench = Bench::of(of).await;
    let mut ids = Vec::new();
    for n in 0..4 {
        ids.push(
            bench
                .send(json!({"fail": "no", "n": n}), json!({"retryLimit": 0}))
                .await,
        );
    }
    bench.work().await;
    for id in &ids {
        bench.becomes(id, "failed").await;
    }
    bench.rest().await;
    let read = whole(&bench, &ids).await;
    // Jobs with changed data, with a changed state, and one that another client removed.
    bench
        .postgres
        .run(&format!(
            "UPDATE pgboss.job SET data = '{{\"n\": 1.0}}' WHERE id = '{}'",
            ids[1]
        ))
        .await;
    let retry = JobAction::Retry {
        reset_attempts: false,
        data: None,
    };
    assert_eq!(bench.act(&ids[2], retry).await, Effect::done());
    bench
        .postgres
        .run(&format!("DELETE FROM pgboss.job WHERE id = '{}'", ids[3]))
        .await;
    let effects = bench.adapter.remove_exactly(&"q".into(), &read).await.unwrap();
    assert_eq!(effects[0], Effect::done());
    for effect in &effects[1..3] {
        assert!(matches!(effect, Effect::Changed { .. }), "{effects:?}");
    }
    assert_eq!(effects[3], Effect::Gone);
    assert_eq!(bench.job(&ids[0]).await, Value::Null);
    assert_eq!(bench.job(&ids[1]).await["state"], "failed");
    assert_eq!(bench.job(&ids[2]).await["state"], "retry");
}

on!(a_whole_state_goes_into_the_archive);
async fn a_whole_state_goes_into_the_archive(of: Of) {
    let mut bench = Bench::of(of).await;
    let id = bench.failed(json!({"fail": "no"}), json!({})).await;
    let columns: Vec<String> = stored(&bench.postgres, &id)
        .await
        .into_keys()
        .filter(|name| name != "id")
        .collect();
    let columns = columns.join(", ");
    bench
        .postgres
        .run(&format!(
            "INSERT INTO pgboss.job (id, {columns}) SELECT gen_random_uuid(), {columns} FROM pgboss.job, generate_series(1, 1200)"
        ))
        .await;
    let waits = bench.send(json!({}), json!({})).await;
    let drover = board(&bench).await;
    bench.wait(JobState::Failed, 1_201).await;
    let done = archive_all(&drover, "state:failed queue:q").await;
    assert_eq!(done["totals"]["done"], 1_201, "{done}");
    assert_eq!(archived(&bench.postgres).await, (1_201, 1_201));
    bench.wait(JobState::Failed, 0).await;
    assert_eq!(bench.job(&waits).await["state"], "created");
}

#[tokio::test]
async fn a_failed_job_that_others_wait_for_stays() {
    let mut bench = Bench::of(pgboss_12).await;
    let flow = json!({"method": "flow", "args": [[
        {"ref": "first", "name": "q", "data": {"fail": "no"}, "options": {"retryLimit": 0}},
        {"ref": "then", "name": "q", "data": {}, "dependsOn": ["first"]},
    ]]});
    bench.oracle.ask("call", "q", flow).await;
    bench.work().await;
    bench.wait(JobState::Failed, 1).await;
    bench.rest().await;
    let id: String = bench
        .postgres
        .one("SELECT id::text FROM pgboss.job WHERE state = 'failed'")
        .await;
    let drover = board(&bench).await;
    let answer = drover
        .post(&format!("/queues/postgres/q/jobs/{id}/archive"), &json!({}))
        .await;
    assert!(answer.body.contains("Other jobs wait for it"), "{}", answer.body);
    assert_eq!(bench.job(&id).await["state"], "failed");
    // Nor a job that has completed, until the library has told those that wait for it: without the job it never would.
    bench
        .postgres
        .run("UPDATE pgboss.job SET state = 'completed' WHERE state = 'failed'")
        .await;
    for action in ["archive", "remove"] {
        let answer = drover
            .post(&format!("/queues/postgres/q/jobs/{id}/{action}"), &json!({}))
            .await;
        assert!(answer.body.contains("Other jobs wait for it"), "{}", answer.body);
    }
    assert_eq!(archived(&bench.postgres).await, (0, 0));
    bench.oracle.ask("call", "q", json!({"method": "resolveFlow"})).await;
    let answer = drover
        .post(&format!("/queues/postgres/q/jobs/{id}/archive"), &json!({}))
        .await;
    assert_eq!(answer.json()["result"], "done", "{}", answer.body);
}

#[tokio::test]
async fn a_job_that_keeps_others_away_by_being_there_stays() {
    let mut bench = Bench::of(pgboss_12).await;
    let slot = bench.send(json!({}), json!({"singletonSeconds": 60})).await;
    bench.work().await;
    bench.becomes(&slot, "completed").await;
    bench.rest().await;
    let line = bench.failed(json!({"fail": "no"}), json!({})).await;
    bench
        .postgres
        .run(&format!(
            "UPDATE pgboss.job SET policy = 'key_strict_fifo', singleton_key = 'k' WHERE id = '{line}'"
        ))
        .await;
    let drover = board(&bench).await;
    for (id, says) in [
        (&slot, "throttled within the last day"),
        (&line, "keeps the order within a key"),
    ] {
        let answer = drover
            .post(&format!("/queues/postgres/q/jobs/{id}/archive"), &json!({}))
            .await;
        assert!(answer.body.contains(says), "{}", answer.body);
    }
    bench
        .postgres
        .run("UPDATE pgboss.job SET singleton_on = singleton_on - interval '2 days' WHERE singleton_on IS NOT NULL")
        .await;
    let answer = drover
        .post(&format!("/queues/postgres/q/jobs/{slot}/archive"), &json!({}))
        .await;
    assert_eq!(answer.json()["result"], "done", "{}", answer.body);
}

#[tokio::test]
async fn a_column_that_came_meanwhile_is_not_lost_with_its_job() {
    let mut bench = Bench::of(pgboss_12).await;
    let id = bench.failed(json!({"fail": "no"}), json!({})).await;
    let job = whole(&bench, std::slice::from_ref(&id)).await.remove(0);
    bench
        .postgres
        .run("ALTER TABLE pgboss.job ADD COLUMN newer text DEFAULT 'kept'")
        .await;
    let removed = bench.adapter.remove_exactly(&"q".into(), &[job]).await.unwrap();
    assert!(matches!(removed[0], Effect::Changed { .. }), "{removed:?}");
    let job = whole(&bench, std::slice::from_ref(&id)).await.remove(0);
    assert_eq!(job.field("newer"), Some(&b"kept"[..]));
    let removed = bench.adapter.remove_exactly(&"q".into(), &[job]).await.unwrap();
    assert_eq!(removed, [Effect::done()]);
}
