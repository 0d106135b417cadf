//! Drover's own schema: the first process with the right creates it, and roles with fewer rights use it.

use super::archived;
use crate::support::app::Drover;
use crate::support::oracle::Oracle;
use crate::support::postgres::Postgres;
use crate::support::process::migrate;
use crate::support::redis::Redis;
use crate::support::{LATER, eventually};
use serde_json::json;

#[tokio::test]
async fn a_queue_s_jobs_are_kept_for_as_long_as_is_said_and_no_longer() {
    let (redis, postgres) = (Redis::start(), Postgres::start().await);
    for queue in ["mail", "mail.bulk", "other"] {
        crate::operations::write_failed(&redis, queue, 30);
    }
    let file = r#"
        [[archive.keep]]
        queues = "mail.*"
        for = "10d"
        [[archive.keep]]
        queues = "redis/bull:mail*"
        for = "100d"
    "#;
    let (redis_url, url) = (redis.url(), postgres.url());
    let env = [
        ("DROVER_REDIS_URL", redis_url.as_str()),
        ("DROVER_POSTGRES_URL", url.as_str()),
        ("DROVER_ARCHIVE_ALLOW_UNSAFE", "true"),
    ];
    {
        let drover = Drover::with(&env, "").await;
        super::ready(&drover).await;
        for queue in ["bull:mail", "bull:mail.bulk", "bull:other"] {
            drover.knows(queue).await;
        }
        eventually("all are counted", LATER, async || {
            let seen = crate::operations::preview(&drover, "archive", "state:failed").await;
            (seen["selected"] == 90).then_some(())
        })
        .await;
        let done = super::archive_all(&drover, "state:failed").await;
        assert_eq!(done["totals"]["done"], 90, "{done}");
        let page = drover.get("/archive/policies").await;
        assert!(page.body.contains("kept forever"), "{}", page.body);
    }
    // Ten of each were archived 20 days ago, ten 200 days ago; and some that finished long ago were archived just now.
    let day = 24 * 3_600_000_i64;
    for (from, to, archived) in [(1, 10, 20), (11, 20, 200), (21, 25, 0)] {
        let age = if archived == 0 { 900 } else { archived };
        postgres
            .run(&format!(
                "UPDATE drover.archive SET finished_on = finished_on - {age} * {day}::bigint, archived_at = now() - \
                 interval '{archived} days' WHERE job_id::int BETWEEN {from} AND {to}"
            ))
            .await;
    }
    postgres
        .run(
            "INSERT INTO drover.restore (finished_on, id, n, store, queue, job_id, who) \
              SELECT finished_on, id, 1, store, queue, job_id, 'me' FROM drover.archive",
        )
        .await;
    let drover = Drover::with(&env, file).await;
    super::ready(&drover).await;
    let left = async |queue: &str| -> i64 {
        postgres
            .one(&format!(
                "SELECT count(*) FROM drover.archive WHERE queue = 'bull:{queue}'"
            ))
            .await
    };
    eventually("what is too old goes", LATER * 2, async || {
        ((left("mail").await, left("mail.bulk").await) == (20, 10)).then_some(())
    })
    .await;
    assert_eq!(left("other").await, 30);
    let notes: i64 = postgres.one("SELECT count(*) FROM drover.restore").await;
    assert_eq!(notes, 60);
    let page = drover.get("/archive/policies").await;
    assert!(
        page.body
            .contains("Jobs of mail.* for 10d after they were archived: 20 removed"),
        "{}",
        page.body
    );
}

#[tokio::test]
async fn it_is_made_once_by_whoever_may_and_used_by_whoever_may_less() {
    let postgres = Postgres::start_with(&[]).await;
    postgres.run("CREATE ROLE reader LOGIN").await;
    let plain = postgres.url_of("reader", "");
    let (fine, says) = migrate(&plain).await;
    assert!(!fine && says.contains("cannot be created or updated"), "{says}");
    // Several at once take turns.
    let url = postgres.url();
    let all = tokio::join!(migrate(&url), migrate(&url), migrate(&url));
    for (fine, says) in [&all.0, &all.1, &all.2] {
        assert!(*fine, "{says}");
    }
    let (fine, says) = migrate(&url).await;
    assert!(fine && says.contains("is up to date\n"), "{says}");
    // None of it is outside the schema.
    let elsewhere: i64 = postgres
        .one("SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname = 'public'")
        .await;
    assert_eq!(elsewhere, 0);
    postgres
        .run("GRANT USAGE ON SCHEMA drover TO reader; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA drover TO reader")
        .await;
    // A role that may only use it: months without a partition go into the default partition.
    postgres
        .run(
            "DO $$ DECLARE month text; BEGIN \
             FOR month IN SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'drover.archive'::regclass \
                 AND inhrelid <> 'drover.archive_rest'::regclass LOOP EXECUTE 'DROP TABLE ' || month; END LOOP; END $$",
        )
        .await;
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
    // The owner creates no partition over rows that are in the default partition, and no row is lost.
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
