//! A pooler between Drover and a Postgres, which may refuse or drop the settings of Drover's sessions, and give each
//! transaction another session.

use crate::support::app::Drover;
use crate::support::oracle::Oracle;
use crate::support::pgbouncer::PgBouncer;
use crate::support::postgres::Postgres;
use crate::support::process::migrate;
use crate::support::{LATER, eventually};
use drover::server::adapter::postgres::database::Database;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// What PgBouncer must ignore so that Drover can connect at all.
const LETS_IN: &str = "extra_float_digits,options";

/// A pg-boss with a queue `q`, in which one job waits and one has failed.
async fn stocked(postgres: &Postgres) -> (Oracle, String) {
    let quiet = json!({"supervise": false, "schedule": false});
    let mut oracle = Oracle::pgboss(&postgres.url(), "12", "pgboss", quiet).await;
    oracle.ask("createQueue", "q", json!({})).await;
    let failing = json!({"data": {"fail": "boom"}, "options": {"retryLimit": 0}});
    let failing = oracle.ask("send", "q", failing).await["jobId"].clone();
    oracle.ask("startWorker", "q", json!({"workerId": "w"})).await;
    oracle
        .ask("waitUntil", "q", json!({"jobId": failing, "state": "failed"}))
        .await;
    oracle.ask("stopWorker", "q", json!({"workerId": "w"})).await;
    oracle.ask("send", "q", json!({"data": {"n": 1}})).await;
    (oracle, failing.as_str().unwrap().to_owned())
}

async fn counts(drover: &Drover, state: &str, wanted: u64) {
    eventually(&format!("{wanted} {state}"), LATER, || async {
        (drover.queue("postgres", "q").await?["counts"][state] == wanted).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_pooler_that_refuses_what_sessions_ask_for_is_not_live_and_the_remedy_is_told() {
    let postgres = Postgres::start().await;
    for ignored in ["", "extra_float_digits"] {
        let pooler = PgBouncer::start(&postgres, "session", ignored).await;
        let drover = Drover::with(&[("DROVER_POSTGRES_URL", &pooler.url())], "").await;
        let store = drover.store_becomes("postgres", "refused").await;
        let cause = store["cause"].as_str().unwrap();
        for words in [
            "unsupported startup parameter",
            "ignore_startup_parameters = extra_float_digits,options",
        ] {
            assert!(cause.contains(words), "{words} is not in {cause}");
        }
        let shown = eventually("the verdict", LATER, || async {
            let store = drover.store("postgres").await;
            (store["verdict"]["level"] == "bad").then_some(store)
        })
        .await;
        assert_eq!(shown["actions"]["allowed"], false, "{shown}");
    }
}

async fn through(mode: &str) {
    let postgres = Postgres::start().await;
    let (mut oracle, failed) = stocked(&postgres).await;
    let pooler = PgBouncer::start(&postgres, mode, LETS_IN).await;
    let drover = Drover::with(&[("DROVER_POSTGRES_URL", &pooler.url())], "").await;
    counts(&drover, "waiting", 1).await;
    counts(&drover, "failed", 1).await;
    let said = drover.condition_becomes("postgres", "settings_dropped").await;
    let sentence = said["sentence"].as_str().unwrap();
    for words in [
        "pooler",
        "lock_timeout is 0 and not 2000",
        "default_transaction_read_only is off",
    ] {
        assert!(sentence.contains(words), "{words} is not in {sentence}");
    }
    // Many requests at once, each over whichever session it gets: a statement prepared on one session may run on
    // another.
    let paths = [
        "/queues/postgres/q?state=waiting".to_owned(),
        "/queues/postgres/q?state=failed".to_owned(),
        format!("/queues/postgres/q/jobs/{failed}"),
        "/stores/postgres".to_owned(),
        "/schedules".to_owned(),
        "/workers".to_owned(),
    ];
    for _ in 0..5 {
        let all = paths.iter().map(|path| drover.get(path));
        let answers = futures::future::join_all(all).await;
        for (path, answer) in paths.iter().zip(answers) {
            assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        }
    }
    let page = drover.get(&paths[2]).await.body;
    assert!(page.contains("boom") && page.contains("such as PgBouncer"), "{page}");
    assert!(!page.contains(">Retry<"), "nothing is offered");
    let page = drover.get("/stores/postgres").await.body;
    assert!(
        page.contains("Session settings") && page.contains("not in force"),
        "{page}"
    );
    let tried = drover
        .post(&format!("/queues/postgres/q/jobs/{failed}/retry"), &json!({}))
        .await;
    assert_eq!(tried.status, 503, "{}", tried.body);
    assert!(tried.body.contains("pooler"), "{}", tried.body);
    assert_eq!(
        oracle.ask("job", "q", json!({"jobId": failed})).await["state"],
        "failed"
    );
    // Reads continue: no task of the board has failed.
    oracle.ask("send", "q", json!({})).await;
    counts(&drover, "waiting", 2).await;
}

#[tokio::test]
async fn through_a_pooler_of_sessions_everything_is_read_and_nothing_is_changed() {
    through("session").await;
}

#[tokio::test]
async fn through_a_pooler_of_transactions_everything_is_read_and_nothing_is_changed() {
    through("transaction").await;
}

#[tokio::test]
async fn a_read_through_a_pooler_keeps_its_limits() {
    let postgres = Postgres::start().await;
    postgres.run("CREATE TABLE t (n int)").await;
    for mode in ["session", "transaction"] {
        let pooler = PgBouncer::start(&postgres, mode, LETS_IN).await;
        let database = Arc::new(Database::new(&pooler.url()).unwrap());
        let stop = CancellationToken::new();
        tokio::spawn(database.clone().supervise(stop.clone()));
        let _stop = stop.drop_guard();
        database.health().wait_for(Result::is_ok).await.unwrap();
        assert!(database.dropped().is_some());
        let said = async |sql: &str| {
            let rows = database.rows(sqlx::query(sql)).await;
            rows.err().map(|error| error.to_string()).unwrap_or_default()
        };
        let written = said("INSERT INTO t VALUES (1)").await;
        assert!(written.contains("read-only"), "{mode}: {written:?}");
        let mut holder = postgres.connection().await;
        sqlx::raw_sql("BEGIN; LOCK TABLE t").execute(&mut holder).await.unwrap();
        let waited = said("SELECT * FROM t").await;
        assert!(waited.contains("lock timeout"), "{mode}: {waited:?}");
        sqlx::raw_sql("COMMIT").execute(&mut holder).await.unwrap();
        let slow = sqlx::query("SELECT pg_sleep(60)");
        let within = database.rows_within(slow, Duration::from_millis(50)).await.unwrap();
        assert!(within.is_none(), "{mode}");
        let written = database.write().await.err().map(|trouble| trouble.cause);
        assert!(written.is_some_and(|why| why.contains("pooler")), "{mode}");
    }
}

#[tokio::test]
async fn a_pooler_of_single_statements_is_refused_in_words() {
    let postgres = Postgres::start().await;
    let _oracle = stocked(&postgres).await;
    let pooler = PgBouncer::start(&postgres, "statement", LETS_IN).await;
    let drover = Drover::with(&[("DROVER_POSTGRES_URL", &pooler.url())], "").await;
    drover.condition_becomes("postgres", "settings_dropped").await;
    assert_eq!(drover.get("/stores/postgres").await.status, 200);
    assert!(
        drover.queue("postgres", "q").await.is_none(),
        "what cannot be read is not made up"
    );
}

#[tokio::test]
async fn the_archive_makes_and_writes_nothing_through_a_pooler() {
    let postgres = Postgres::start_with(&[]).await;
    let pooler = PgBouncer::start(&postgres, "session", LETS_IN).await;
    let drover = Drover::with(&[("DROVER_POSTGRES_URL", &pooler.url())], "").await;
    drover.condition_becomes("postgres", "settings_dropped").await;
    let said = eventually("the archive to say why", LATER, || async {
        let answer = drover.get("/api/v1/archive/jobs").await;
        answer.body.contains("pooler").then_some(answer)
    })
    .await;
    assert_eq!(said.status, 503, "{}", said.body);
    let (fine, says) = migrate(&pooler.url()).await;
    assert!(!fine && says.contains("search_path"), "{says}");
    let made: Value = json!(
        postgres
            .one::<i64>("SELECT count(*) FROM pg_class WHERE relname LIKE '%sqlx%' OR relnamespace::regnamespace::text = 'drover'")
            .await
    );
    assert_eq!(made, 0);
    // Data that cannot be kept there is kept in the file, and the board says so.
    let audit = drover.get("/api/v1/audit").await.json();
    assert!(!audit["file"].as_str().unwrap().starts_with("the table"), "{audit}");
}
