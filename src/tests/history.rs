//! The past of the charts: another Drover draws what one Drover counted, and a time that no Drover watched stays a gap.

use crate::support::app::Drover;
use crate::support::oracle::Oracle;
use crate::support::postgres::Postgres;
use crate::support::redis::Redis;
use crate::support::{LATER, eventually, now_ms};
use serde_json::json;
use std::time::Duration;

async fn over(redis: &Redis, postgres: &Postgres) -> Drover {
    let (redis, postgres) = (redis.url(), postgres.url());
    let stores = [
        ("DROVER_REDIS_URL", redis.as_str()),
        ("DROVER_POSTGRES_URL", postgres.as_str()),
    ];
    let drover = Drover::with(&stores, "").await;
    drover.knows("bull:q").await;
    drover
}

/// Waits until the chart shows so many jobs.
async fn draws(drover: &Drover, added: &str) {
    eventually(&format!("a chart with {added}"), LATER * 4, || async {
        let chart = drover.get("/queues/redis/bull%3Aq/chart.svg").await;
        chart.body.contains(added).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_was_counted_is_drawn_after_a_restart_and_by_another_board() {
    let (redis, postgres) = (Redis::start(), Postgres::start_with(&[]).await);
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    oracle.add("q", "n", json!({}), json!({})).await;
    oracle.add("idle", "n", json!({}), json!({})).await;
    let (one, two) = tokio::join!(over(&redis, &postgres), over(&redis, &postgres));
    // Only whole slices count.
    tokio::time::sleep(Duration::from_secs(11)).await;
    for _ in 0..7 {
        oracle.add("q", "n", json!({}), json!({})).await;
    }
    let noted = async || -> i64 {
        let sum = "SELECT coalesce(sum(n), 0)::bigint FROM drover.history, unnest(added) n WHERE queue = 'bull:q'";
        postgres.one(sum).await
    };
    eventually("they are noted", Duration::from_secs(100), || async {
        (noted().await == 7).then_some(())
    })
    .await;
    // The other one has stored the same by then: the chart has it once.
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(noted().await, 7);
    let watched: i64 = postgres
        .one("SELECT count(*) FROM drover.history_watched WHERE store = 'redis' AND slices > 0")
        .await;
    let idle: i64 = postgres
        .one("SELECT count(*) FROM drover.history, unnest(added) n WHERE queue = 'bull:idle' AND n > 0")
        .await;
    assert!(watched > 0 && idle == 0, "{watched} {idle}");
    drop((one, two));
    // As if they had watched some minutes more: the chart draws a minute when all of it is known.
    postgres
        .run(
            "INSERT INTO drover.history_watched SELECT m, 'redis', 63 FROM (SELECT min(minute) AS first FROM drover.history) f, \
             generate_series(first - 3, first + 1) m ON CONFLICT (minute, store) DO UPDATE SET slices = 63; \
             UPDATE drover.history_queue SET since = since - 3; \
             UPDATE drover.history SET added = ARRAY(SELECT coalesce(n, 0) FROM unnest(added) WITH ORDINALITY s (n, i) ORDER BY i), \
             completed = '{0,0,0,0,0,0}', failed = '{0,0,0,0,0,0}'",
        )
        .await;
    let three = over(&redis, &postgres).await;
    draws(&three, " 7 added").await;
}

#[tokio::test]
async fn what_another_board_noted_is_drawn_and_a_postgres_that_is_away_holds_nothing_up() {
    let (redis, mut postgres) = (Redis::start(), Postgres::start_with(&[]).await);
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    oracle.add("q", "n", json!({}), json!({})).await;
    let first = over(&redis, &postgres).await;
    eventually("the tables", LATER, || async {
        let there: bool = postgres.one("SELECT to_regclass('drover.history') IS NOT NULL").await;
        there.then_some(())
    })
    .await;
    drop(first);
    let minute = now_ms() / 60_000;
    // Watched for half an hour except for one minute, and another minute only in part.
    postgres
        .run(&format!(
            "INSERT INTO drover.history_watched SELECT m, 'redis', 63 FROM generate_series({minute} - 30, {minute} - 2) m \
             WHERE m <> {minute} - 15; \
             INSERT INTO drover.history_queue VALUES ('redis', 'bull:q', {minute} - 30) \
             ON CONFLICT (store, queue) DO UPDATE SET since = excluded.since; \
             INSERT INTO drover.history VALUES \
             ({minute} - 10, 'redis', 'bull:q', '{{5,5,5,5,5,5}}', '{{0,0,0,0,0,0}}', '{{0,0,0,0,0,0}}'), \
             ({minute} - 20, 'redis', 'bull:q', '{{NULL,0,0,0,0,0}}', '{{NULL,0,0,0,0,0}}', '{{NULL,0,0,0,0,0}}'), \
             ({minute} - 15, 'redis', 'bull:q', '{{9,9,9,9,9,NULL}}', '{{0,0,0,0,0,NULL}}', '{{0,0,0,0,0,NULL}}')"
        ))
        .await;
    let drover = over(&redis, &postgres).await;
    // Of the minute that no Drover watched in full, the chart may draw only slices that are not in the same minute of
    // the chart.
    eventually("what was noted", LATER * 2, || async {
        let chart = drover.get("/queues/redis/bull%3Aq/chart.svg").await;
        let added = chart
            .body
            .split(" added")
            .next()?
            .rsplit(' ')
            .next()?
            .parse::<u32>()
            .ok()?;
        (30..75).contains(&added).then_some(())
    })
    .await;
    postgres.kill();
    let page = drover.get("/queues/redis/bull%3Aq").await;
    assert_eq!(page.status, 200);
    draws(&drover, " added").await;
}
