//! The roles of `deploy/postgres/roles.sql`: the one that serves can do its work, and can neither rewrite the audit log
//! nor create or change a table (S-32). And no session waits indefinitely.

use crate::archive::{archive_all, archived, ready};
use crate::operations::failed;
use crate::support::app::Drover;
use crate::support::oracle::Oracle;
use crate::support::postgres::Postgres;
use crate::support::process::migrate;
use crate::support::redis::Redis;
use crate::support::{LATER, SOON, eventually};
use drover::server::adapter::postgres::database::Database;
use serde_json::json;
use sqlx::{Connection as _, PgConnection};

const ROLES: &str = include_str!("../../../deploy/postgres/roles.sql");

/// A server whose schema was created as the file says.
async fn prepared() -> Postgres {
    let postgres = Postgres::start_with(&[]).await;
    postgres.run(ROLES).await;
    let (fine, says) = migrate(&postgres.url_of("drover", "change-me")).await;
    assert!(!fine, "the role that serves makes no schema: {says}");
    let (fine, says) = migrate(&postgres.url_of("drover_owner", "change-me-owner")).await;
    assert!(fine, "{says}");
    postgres.run(ROLES).await;
    postgres
}

/// The error code for a statement of the serving role; empty if Postgres does not refuse it.
async fn refused(connection: &mut PgConnection, sql: &str) -> String {
    let answer = sqlx::raw_sql(sql).execute(connection).await;
    let code = |error: sqlx::Error| Some(error.as_database_error()?.code()?.into_owned());
    answer.err().and_then(code).unwrap_or_default()
}

#[tokio::test]
async fn the_role_that_serves_does_its_work_and_never_rewrites_the_record_or_a_table() {
    let postgres = prepared().await;
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    failed(&mut oracle, "mail", "send", 12, "no").await;
    let (redis_url, url) = (redis.url(), postgres.url_of("drover", "change-me"));
    let env = [
        ("DROVER_REDIS_URL", redis_url.as_str()),
        ("DROVER_POSTGRES_URL", url.as_str()),
        ("DROVER_ARCHIVE_MIGRATE", "false"),
    ];
    let file = r#"
        [[archive.policy]]
        id = "old"
        queues = "redis/*"
        states = ["completed"]
        older_than = "30d"
        every = "day at 03:00"
        [[archive.keep]]
        queues = "mail"
        for = "1d"
    "#;
    let drover = Drover::with(&env, file).await;
    ready(&drover).await;
    drover.knows("bull:mail").await;
    eventually("the record is in the table", LATER * 3, || async {
        let page = drover.get("/api/v1/audit").await.json();
        page["file"]
            .as_str()?
            .starts_with("the table drover.audit")
            .then_some(())
    })
    .await;
    let counts = oracle.counts("mail").await;
    drover.counts_become("bull:mail", &counts).await;
    // Archive, put back, act: the audit log records all of it.
    let done = archive_all(&drover, "state:failed queue:mail").await;
    assert_eq!(done["totals"]["done"], 12, "{done}");
    assert_eq!(archived(&postgres).await, (12, 12));
    let rest: i64 = postgres.one("SELECT count(*) FROM drover.archive_rest").await;
    assert_eq!(rest, 0, "this month has a partition: the owner made it");
    let jobs = drover.get("/api/v1/archive/jobs?limit=1").await.json();
    let id = jobs["items"][0]["id"]
        .as_str()
        .unwrap_or_else(|| panic!("{jobs}"))
        .to_owned();
    let back = drover.post(&format!("/archive/jobs/{id}/restore"), &json!({})).await;
    assert_eq!(back.status, 200, "{}", back.body);
    let paused = drover
        .post("/queues/redis/bull:mail/pause", &json!({"reason": "look"}))
        .await;
    assert_eq!(paused.status, 200, "{}", paused.body);
    eventually("two lines of the pause", LATER, || async {
        let lines: i64 = postgres
            .one("SELECT count(*) FROM drover.audit WHERE line LIKE '%\"pause\"%'")
            .await;
        (lines == 2).then_some(())
    })
    .await;
    // Old data is removed, as the rule says.
    postgres
        .run(
            "UPDATE drover.archive SET archived_at = now() - interval '3 days', \
             finished_on = finished_on - 3 * 86400000::bigint",
        )
        .await;
    drop(drover);
    let drover = Drover::with(&env, file).await;
    ready(&drover).await;
    eventually("what is too old goes", LATER * 2, || async {
        (archived(&postgres).await.0 == 0).then_some(())
    })
    .await;

    let mut connection = PgConnection::connect(&url).await.unwrap();
    for sql in [
        "UPDATE drover.audit SET line = 'x'",
        "DELETE FROM drover.audit",
        "TRUNCATE drover.audit",
        "DELETE FROM drover.audit_head",
        "UPDATE drover.archive SET record = ''",
        "UPDATE drover._sqlx_migrations SET success = false",
        "DELETE FROM drover._sqlx_migrations",
        "ALTER TABLE drover.audit DISABLE TRIGGER ALL",
        "DROP TABLE drover.audit",
        "CREATE TABLE drover.mine (n int)",
        "CREATE TABLE public.mine (n int)",
        "CREATE SCHEMA mine",
        "CREATE FUNCTION drover.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "GRANT UPDATE ON drover.audit TO drover",
        "SET ROLE drover_owner",
        "COPY drover.audit TO PROGRAM 'cat'",
    ] {
        let code = refused(&mut connection, sql).await;
        // Not permitted; Postgres only warns about a grant by a role without the right to grant.
        let warned = sql.starts_with("GRANT") && code.is_empty();
        assert!(code == "42501" || warned, "{sql}: {code:?}");
    }
    assert_eq!(
        refused(&mut connection, "UPDATE drover.audit SET line = 'x'").await,
        "42501"
    );
    let lines: i64 = postgres.one("SELECT count(*) FROM drover.audit").await;
    assert!(lines >= 2, "{lines}");
}

#[tokio::test]
async fn no_session_of_either_pool_waits_for_ever() {
    let postgres = Postgres::start().await;
    let database = std::sync::Arc::new(Database::new(&postgres.url()).unwrap());
    for (pool, what) in [(database.reads(), "reads"), (database.writes(), "writes")] {
        for setting in [
            "statement_timeout",
            "lock_timeout",
            "idle_in_transaction_session_timeout",
        ] {
            let ask = format!("SELECT setting::int FROM pg_settings WHERE name = '{setting}'");
            let ms: i32 = eventually("a session", SOON, || async {
                sqlx::query_scalar(&ask).fetch_one(&pool).await.ok()
            })
            .await;
            assert!((1..=15_000).contains(&ms), "{what}: {setting} is {ms}");
        }
    }
    let written = sqlx::query("CREATE TABLE t (n int)").execute(&database.reads()).await;
    let error = written.expect_err("who reads cannot write").to_string();
    assert!(error.contains("read-only"), "{error}");
}
