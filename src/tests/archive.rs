//! The archive's promises, one by one: a job is never removed before it is durable, is never archived twice for the
//! same finish, and is left alone and reported when it changed meanwhile. Real Redis, real Postgres, the real library.

mod again;
mod exact;
mod faults;
mod kills;
mod pages;
mod policies;
mod schema;

use crate::operations::{becomes, preview, start};
use crate::support::app::Drover;
use crate::support::oracle::Oracle;
use crate::support::postgres::Postgres;
use crate::support::redis::Redis;
use crate::support::{LATER, eventually};
use serde_json::{Value, json};

/// A board over a Redis with BullMQ 6 and a Postgres that waits for its disk.
pub(crate) async fn board() -> (Redis, Postgres, Oracle, Drover) {
    let redis = Redis::start();
    let postgres = Postgres::start_with(&[]).await;
    let oracle = Oracle::start(&redis.url(), 6).await;
    let drover = over(&redis.url(), &postgres.url()).await;
    (redis, postgres, oracle, drover)
}

/// A board whose archive is ready.
pub(crate) async fn over(redis: &str, postgres: &str) -> Drover {
    let drover = Drover::with(&[("DROVER_REDIS_URL", redis), ("DROVER_POSTGRES_URL", postgres)], "").await;
    ready(&drover).await;
    drover
}

/// Waits until jobs can be archived: a preview of none is refused until then.
pub(crate) async fn ready(drover: &Drover) {
    eventually("the archive", LATER, || async {
        let body = json!({"action": "archive", "filter": "state:failed", "dry_run": true});
        (drover.post("/operations", &body).await.status == 200).then_some(())
    })
    .await;
}

/// How many jobs are in the archive, and how many different ones.
pub(crate) async fn archived(postgres: &Postgres) -> (i64, i64) {
    let mut connection = postgres.connection().await;
    let counts = "SELECT count(*), count(DISTINCT (store, queue, job_id, finished_on, attempts)) FROM drover.archive";
    sqlx::query_as(counts).fetch_one(&mut connection).await.unwrap()
}

/// Archives everything that matches a filter; returns the ended operation.
pub(crate) async fn archive_all(drover: &Drover, filter: &str) -> Value {
    let seen = preview(drover, "archive", filter).await;
    let id = start(drover, &seen, json!({})).await;
    becomes(drover, &id, "done").await
}

#[tokio::test]
async fn without_an_archive_it_says_what_to_set() {
    let (_redis, mut oracle, drover) = crate::operations::board().await;
    crate::operations::failed(&mut oracle, "mail", "send", 1, "no").await;
    drover.knows("bull:mail").await;
    let id = oracle.ids("mail", "failed", true).await.remove(0);
    let answer = drover
        .post(&format!("/queues/redis/bull%3Amail/jobs/{id}/archive"), &json!({}))
        .await;
    assert_eq!(answer.status, 422, "{}", answer.body);
    assert!(answer.body.contains("DROVER_POSTGRES_URL"), "{}", answer.body);
    let body = json!({"action": "archive", "filter": "state:failed queue:mail", "dry_run": true});
    let answer = drover.post("/operations", &body).await;
    assert!(answer.body.contains("DROVER_POSTGRES_URL"), "{}", answer.body);
    assert_eq!(oracle.counts("mail").await["failed"], 1);
}

#[tokio::test]
async fn a_server_that_may_lose_what_it_acknowledged_gets_nothing_unless_it_is_said_to_do() {
    let redis = Redis::start();
    let mut postgres = Postgres::start().await;
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    crate::operations::failed(&mut oracle, "mail", "send", 1, "no").await;
    let id = oracle.ids("mail", "failed", true).await.remove(0);
    let path = format!("/queues/redis/bull%3Amail/jobs/{id}/archive");
    let drover = over(&redis.url(), &postgres.url()).await;
    drover.knows("bull:mail").await;
    let answer = drover.post(&path, &json!({})).await;
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert!(answer.body.contains("fsync=off"), "{}", answer.body);
    drop(drover);
    // Nor a Postgres that waits for no standby where the configuration demands that.
    let (redis_url, url) = (redis.url(), postgres.url());
    let env = [
        ("DROVER_REDIS_URL", redis_url.as_str()),
        ("DROVER_POSTGRES_URL", url.as_str()),
        ("DROVER_ARCHIVE_ALLOW_UNSAFE", "true"),
        ("DROVER_ARCHIVE_REQUIRE_SYNC_STANDBY", "true"),
    ];
    let drover = Drover::with(&env, "").await;
    ready(&drover).await;
    drover.knows("bull:mail").await;
    let answer = drover.post(&path, &json!({})).await;
    assert!(
        answer.status == 503 && answer.body.contains("synchronous_standby_names"),
        "{}",
        answer.body
    );
    drop(drover);
    // A standby accepts no rows either.
    postgres.becomes_standby().await;
    let env = [
        ("DROVER_REDIS_URL", redis.url()),
        ("DROVER_POSTGRES_URL", postgres.url()),
        ("DROVER_ARCHIVE_MIGRATE", "false".into()),
        ("DROVER_ARCHIVE_ALLOW_UNSAFE", "true".into()),
    ];
    let env: Vec<(&str, &str)> = env.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let drover = Drover::with(&env, "").await;
    ready(&drover).await;
    drover.knows("bull:mail").await;
    let answer = drover.post(&path, &json!({})).await;
    assert!(
        answer.status == 503 && answer.body.contains("standby"),
        "{}",
        answer.body
    );
    assert_eq!(oracle.counts("mail").await["failed"], 1);
    // The configuration may permit that for a throw-away server.
    postgres.becomes_primary().await;
    ready(&drover).await;
    let answer = eventually("the archive takes it", LATER, || async {
        let answer = drover.post(&path, &json!({})).await;
        (answer.status == 200).then_some(answer)
    })
    .await;
    assert_eq!(answer.json()["result"], "done");
    assert_eq!(oracle.counts("mail").await["failed"], 0);
    assert_eq!(archived(&postgres).await, (1, 1));
}

#[tokio::test]
async fn a_whole_state_goes_into_the_archive_and_only_that() {
    let (redis, postgres, mut oracle, drover) = board().await;
    crate::operations::write_failed(&redis, "mail", 2_500);
    crate::operations::failed(&mut oracle, "other", "send", 3, "card declined: no funds\nat there").await;
    oracle.add("mail", "waits", json!({}), json!({})).await;
    drover.knows("bull:mail").await;
    drover.counts_become("bull:mail", &oracle.counts("mail").await).await;
    let done = archive_all(&drover, "state:failed queue:mail").await;
    assert_eq!(done["totals"]["done"], 2_500, "{done}");
    assert!(
        done["sentence"]
            .as_str()
            .unwrap()
            .starts_with("Archive 2,500 failed jobs"),
        "{done}"
    );
    let counts = oracle.counts("mail").await;
    assert_eq!(
        (counts["failed"].as_u64(), counts["waiting"].as_u64()),
        (Some(0), Some(1))
    );
    assert_eq!(archived(&postgres).await, (2_500, 2_500));
    assert_eq!(oracle.counts("other").await["failed"], 3);
    let left: Vec<String> = redis.run(&["KEYS", "bull:mail:[1-9]*"]);
    assert_eq!(left.len(), 1, "{left:?}");
    // In the partition of its month, and not in the default partition.
    let rest: i64 = postgres.one("SELECT count(*) FROM drover.archive_rest").await;
    assert_eq!(rest, 0);
    // Archiving the same again changes nothing.
    drover.knows("bull:other").await;
    drover.counts_become("bull:other", &oracle.counts("other").await).await;
    let done = archive_all(&drover, "state:failed queue:other").await;
    assert_eq!(done["totals"]["done"], 3);
    let error: String = postgres
        .one("SELECT min(error) FROM drover.archive WHERE queue = 'bull:other'")
        .await;
    assert_eq!(error, "card declined: no funds");
}
