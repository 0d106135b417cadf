//! The connection to a Postgres, on its good and bad days.

use crate::support::postgres::Postgres;
use crate::support::{LATER, eventually};
use drover::model::store::Reach;
use drover::server::adapter::postgres::database::Database;
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
    let began = std::time::Instant::now();
    let asked = database.run(sqlx::query("SELECT 1").execute(&database.reads())).await;
    assert_eq!(asked.unwrap_err().reach, Reach::Frozen);
    assert!(
        began.elapsed().as_millis() < 200,
        "nobody waits for a store known to be silent"
    );
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
