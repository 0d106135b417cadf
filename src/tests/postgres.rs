//! A Postgres as a store of the board, on its good and bad days.

use crate::support::app::Drover;
use crate::support::oracle::Oracle;
use crate::support::postgres::Postgres;
use crate::support::redis::Redis;
use crate::support::{LATER, eventually};
use drover::model::store::Reach;
use drover::server::adapter::postgres::database::Database;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio_util::sync::{CancellationToken, DropGuard};

fn supervised(url: &str) -> (Arc<Database>, DropGuard) {
    let database = Arc::new(Database::new(url).unwrap());
    let stop = CancellationToken::new();
    tokio::spawn(database.clone().supervise(stop.clone()));
    (database, stop.drop_guard())
}

async fn becomes(database: &Database, reach: Reach) {
    eventually(&format!("{reach:?}"), LATER, || async {
        let now = database.health().borrow().clone();
        (now.map_or_else(|trouble| trouble.reach, |()| Reach::Live) == reach).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_read_cannot_write_and_an_action_does_not_wait_long_for_a_lock() {
    let postgres = Postgres::start().await;
    postgres.run("CREATE TABLE t (n int)").await;
    let (database, _stop) = supervised(&postgres.url());
    becomes(&database, Reach::Live).await;
    let insert = || sqlx::query("INSERT INTO t VALUES (1)");
    let refused = database.run(insert().execute(&database.reads())).await.unwrap_err();
    assert!(refused.cause.contains("read-only"), "{}", refused.cause);

    let mut holder = postgres.connection().await;
    sqlx::raw_sql("BEGIN; LOCK TABLE t").execute(&mut holder).await.unwrap();
    let busy = database.run(insert().execute(&database.writes())).await.unwrap_err();
    assert_eq!(busy.reach, Reach::Live);
    assert!(busy.cause.contains("lock"), "{}", busy.cause);
    sqlx::raw_sql("COMMIT").execute(&mut holder).await.unwrap();
    database.run(insert().execute(&database.writes())).await.unwrap();
    assert_eq!(postgres.one::<i64>("SELECT count(*) FROM t").await, 1);
    let who: String = database
        .run(sqlx::query_scalar("SELECT current_setting('application_name')").fetch_one(&database.reads()))
        .await
        .unwrap();
    assert_eq!(who, "drover");
}

#[tokio::test]
async fn a_server_that_freezes_or_dies_is_told_and_found_again() {
    let mut postgres = Postgres::start().await;
    let (database, _stop) = supervised(&postgres.url());
    becomes(&database, Reach::Live).await;
    postgres.freeze();
    becomes(&database, Reach::Frozen).await;
    let asked = database.run(sqlx::query("SELECT 1").execute(&database.reads())).await;
    assert_eq!(asked.unwrap_err().reach, Reach::Frozen);
    postgres.thaw();
    becomes(&database, Reach::Live).await;
    postgres.kill();
    becomes(&database, Reach::Gone).await;
    postgres.restart(&["fsync=off"]).await;
    becomes(&database, Reach::Live).await;
    database
        .run(sqlx::query("SELECT 1").execute(&database.reads()))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_wrong_password_and_a_database_that_is_not_there_say_so() {
    let postgres = Postgres::start().await;
    postgres.run("CREATE ROLE reader LOGIN PASSWORD 'right'").await;
    let nowhere = postgres
        .url()
        .replace("/postgres", "/nowhere")
        .replace("nowhere://", "postgres://");
    let (database, _stop) = supervised(&nowhere);
    becomes(&database, Reach::Refused).await;
    let cause = database.health().borrow().clone().unwrap_err().cause;
    assert!(cause.contains("no such database"), "{cause}");

    let (database, _stop) = supervised(&postgres.url_of("nobody", "secret"));
    becomes(&database, Reach::WrongPassword).await;
    let cause = database.health().borrow().clone().unwrap_err().cause;
    assert!(!cause.contains("secret"), "{cause}");
}

/// A board over this Postgres, and over this Redis if there is one.
async fn board(postgres: &str, redis: Option<&Redis>) -> Drover {
    let mut env = vec![("DROVER_POSTGRES_URL", postgres.to_owned())];
    env.extend(redis.map(|redis| ("DROVER_REDIS_URL", redis.url())));
    let env: Vec<_> = env.iter().map(|(name, value)| (*name, value.as_str())).collect();
    Drover::with(&env, "").await
}

async fn library(postgres: &Postgres, major: &str) -> Oracle {
    let mut oracle = Oracle::pgboss(&postgres.url(), major, "pgboss", json!({})).await;
    oracle.ask("createQueue", "q", json!({})).await;
    oracle
}

async fn counts_become(drover: &Drover, store: &str, queue: &str, state: &str, count: u64) {
    eventually(&format!("{count} {state} in {queue}"), LATER, || async {
        (drover.queue(store, queue).await?["counts"][state] == count).then_some(())
    })
    .await;
}

#[tokio::test]
async fn it_stands_on_the_board_with_its_queues_and_its_health() {
    let postgres = Postgres::start().await;
    let mut oracle = library(&postgres, "12").await;
    let drover = board(&postgres.url(), None).await;
    counts_become(&drover, "postgres", "q", "waiting", 0).await;
    let sent = oracle.ask("send", "q", json!({"data": {"n": 1}})).await;
    let id = sent["jobId"].as_str().unwrap();
    counts_become(&drover, "postgres", "q", "waiting", 1).await;
    let queue = drover.queue("postgres", "q").await.unwrap();
    assert_eq!(queue["system"], "pgboss");
    assert_eq!(queue["counts"]["cancelled"], 0);
    let list = drover.get("/queues/postgres/q?state=waiting").await;
    assert!(list.body.contains(id), "the list holds the job");
    let overview = drover.get("/").await.body;
    assert!(
        overview.contains("/queues/postgres/q\"") && overview.contains("on disk"),
        "the overview holds queue and store"
    );

    // A transaction that is left open, and a session that waits for it: over a table that only they use.
    postgres.run("CREATE TABLE theirs AS SELECT 1 AS n").await;
    let mut idle = postgres.connection().await;
    sqlx::raw_sql("BEGIN; LOCK TABLE theirs IN ACCESS EXCLUSIVE MODE")
        .execute(&mut idle)
        .await
        .unwrap();
    let mut waiting = postgres.connection().await;
    let waits = tokio::spawn(async move {
        let asked = sqlx::query("SELECT * FROM theirs").fetch_all(&mut waiting);
        asked.await.map(|rows| rows.len())
    });
    let health = eventually("the lock that is waited for", LATER, || async {
        let store = drover.store("postgres").await;
        let health = store["postgres"].clone();
        (health["sessions"]["known"]
            .as_array()?
            .iter()
            .any(|s| s["waits_for"] != json!([])))
        .then_some(health)
    })
    .await;
    let part = |name: &str| -> Value {
        let parts = health["parts"].as_array().unwrap();
        parts.iter().find(|part| part["part"] == name).cloned().unwrap()
    };
    assert_eq!(part("locks")["level"], "watch");
    assert_eq!(
        part("durability")["level"],
        "bad",
        "the test's server does not wait for its disk"
    );
    assert_eq!(part("connections")["level"], "ok");
    let tables = health["tables"]["known"].as_array().unwrap();
    assert!(tables.iter().any(|table| table["name"] == "job_common"), "{tables:?}");
    sqlx::raw_sql("COMMIT").execute(&mut idle).await.unwrap();
    assert_eq!(waits.await.unwrap().unwrap(), 1);
    let page = drover.get("/stores/postgres").await;
    assert_eq!(page.status, 200);
    for words in ["Oldest transaction", "job_common", "Transactions per second"] {
        assert!(page.body.contains(words), "{words}");
    }
    assert!(!page.body.contains("Slow log"), "that is asked of a Redis");
}

/// S-29: what a role may not see is unknown, and the page names the grant for it.
#[tokio::test]
async fn a_role_with_few_rights_sees_what_it_may_and_is_told_the_rest() {
    let postgres = Postgres::start().await;
    let mut oracle = library(&postgres, "12").await;
    oracle.ask("send", "q", json!({})).await;
    postgres
        .run(
            "CREATE ROLE viewer LOGIN;
             GRANT USAGE ON SCHEMA pgboss TO viewer;
             GRANT SELECT ON ALL TABLES IN SCHEMA pgboss TO viewer",
        )
        .await;
    let drover = board(&postgres.url_of("viewer", "x"), None).await;
    counts_become(&drover, "postgres", "q", "waiting", 1).await;
    let store = drover.store("postgres").await;
    let parts = store["postgres"]["parts"].as_array().unwrap();
    let oldest = parts.iter().find(|part| part["part"] == "oldest_transaction").unwrap();
    assert!(oldest["text"].as_str().unwrap().contains("pg_monitor"), "{oldest}");
}

/// stores are islands.
#[tokio::test]
async fn one_that_freezes_holds_up_nobody_and_is_shown_as_it_was() {
    let (postgres, redis) = (Postgres::start().await, Redis::start());
    let mut bullmq = Oracle::start(&redis.url(), 6).await;
    bullmq.add("mail", "n", json!({}), json!({})).await;
    let mut oracle = library(&postgres, "12").await;
    oracle.ask("send", "q", json!({})).await;
    let drover = board(&postgres.url(), Some(&redis)).await;
    counts_become(&drover, "postgres", "q", "waiting", 1).await;
    counts_become(&drover, "redis", "bull:mail", "waiting", 1).await;
    postgres.freeze();
    eventually("the silence to be told", LATER, || async {
        (drover.store("postgres").await["reach"] == "frozen").then_some(())
    })
    .await;
    for path in [
        "/",
        "/queues/redis/bull:mail",
        "/workers",
        "/schedules",
        "/stores/redis",
    ] {
        assert_eq!(drover.get(path).await.status, 200, "{path}");
    }
    // The board answered all of that while this store was silent.
    assert_eq!(drover.store("postgres").await["reach"], "frozen");
    bullmq.add("mail", "n", json!({}), json!({})).await;
    counts_become(&drover, "redis", "bull:mail", "waiting", 2).await;
    let page = drover.get("/queues/postgres/q").await;
    assert_eq!(page.status, 200, "what was known is shown");
    assert_eq!(
        drover.queue("postgres", "q").await.unwrap()["verdict"]["level"],
        "unknown"
    );
    postgres.thaw();
    eventually("it to be live again", LATER, || async {
        (drover.store("postgres").await["reach"] == "live").then_some(())
    })
    .await;
}
