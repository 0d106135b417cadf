//! Drover's own schema: made once whoever comes first, by whoever may, and used by whoever may less.

use super::archived;
use crate::support::app::Drover;
use crate::support::oracle::Oracle;
use crate::support::postgres::Postgres;
use crate::support::redis::Redis;
use serde_json::json;
use tokio::process::Command;

async fn migrate(url: &str) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_drover"))
        .arg("migrate")
        .env("DROVER_POSTGRES_URL", url)
        .env("DROVER_CONFIG", "/dev/null")
        .output()
        .await
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

#[tokio::test]
async fn it_is_made_once_by_whoever_may_and_used_by_whoever_may_less() {
    let postgres = Postgres::start_with(&[]).await;
    postgres.run("CREATE ROLE reader LOGIN").await;
    let plain = postgres.url_of("reader", "");
    let (fine, says) = migrate(&plain).await;
    assert!(!fine && says.contains("cannot be made"), "{says}");
    // Several at once take turns.
    let url = postgres.url();
    let all = tokio::join!(migrate(&url), migrate(&url), migrate(&url));
    for (fine, says) in [&all.0, &all.1, &all.2] {
        assert!(*fine, "{says}");
    }
    let (fine, says) = migrate(&url).await;
    assert!(fine && says.contains("is up to date\n"), "{says}");
    // Nothing of it is anywhere else.
    let elsewhere: i64 = postgres
        .one("SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname = 'public'")
        .await;
    assert_eq!(elsewhere, 0);
    postgres
        .run("GRANT USAGE ON SCHEMA drover TO reader; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA drover TO reader")
        .await;
    // A role that may only use it: months that have no partition go into the rest.
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    crate::operations::failed(&mut oracle, "mail", "send", 1, "no").await;
    let id = oracle.ids("mail", "failed", true).await.remove(0);
    let redis_url = redis.url();
    let env = [
        ("DROVER_REDIS_URL", redis_url.as_str()),
        ("DROVER_POSTGRES_URL", plain.as_str()),
        ("DROVER_ARCHIVE_MIGRATE", "false"),
    ];
    let drover = Drover::with(&env, "").await;
    super::ready(&drover).await;
    drover.knows("bull:mail").await;
    let path = format!("/queues/redis/bull%3Amail/jobs/{id}/archive");
    let answer = drover.post(&path, &json!({})).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(archived(&postgres).await, (1, 1));
    let rest: i64 = postgres.one("SELECT count(*) FROM drover.archive_rest").await;
    assert_eq!(rest, 1);
    // The owner makes no partition over rows that are in the rest, and nothing is lost for it.
    drop(drover);
    crate::operations::failed(&mut oracle, "mail", "send", 1, "no").await;
    let id = oracle.ids("mail", "failed", true).await.remove(0);
    let drover = super::over(&redis_url, &url).await;
    drover.knows("bull:mail").await;
    let path = format!("/queues/redis/bull%3Amail/jobs/{id}/archive");
    let answer = drover.post(&path, &json!({})).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(archived(&postgres).await, (2, 2));
}
