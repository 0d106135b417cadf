//! The bars: minute by minute in Postgres, so that a restart and another replica draw the same (the file:
//! `database.rs`).

use super::{MAIL, becomes, component};
use crate::support::app::Drover;
use crate::support::oracle::Oracle;
use crate::support::postgres::Postgres;
use crate::support::redis::Redis;
use crate::support::{LATER, eventually, now_ms};
use serde_json::{Value, json};
use std::time::Duration;

async fn over(redis: &Redis, postgres: &Postgres) -> Drover {
    let (redis, postgres) = (redis.url(), postgres.url());
    let stores = [
        ("DROVER_REDIS_URL", redis.as_str()),
        ("DROVER_POSTGRES_URL", postgres.as_str()),
        ("DROVER_ARCHIVE_ALLOW_UNSAFE", "true"),
    ];
    Drover::with(&stores, MAIL).await
}

/// Waits until the history of the component satisfies this.
async fn history(drover: &Drover, what: &str, check: impl Fn(&Value) -> bool) -> Value {
    eventually(what, LATER * 2, || async {
        let history = component(drover, "mail").await["history"].clone();
        check(&history).then_some(history)
    })
    .await
}

#[tokio::test]
async fn bars_survive_a_restart_and_two_boards_count_a_minute_once() {
    let (redis, postgres) = (Redis::start(), Postgres::start().await);
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    oracle.ask("startWorker", "mail", json!({"workerId": "w"})).await;
    oracle.add("mail", "n", json!({}), json!({})).await;
    let (one, two) = tokio::join!(over(&redis, &postgres), over(&redis, &postgres));
    for drover in [&one, &two] {
        becomes(drover, "mail", "operational", LATER).await;
        let history = history(drover, "days that are kept", |history| history["kept"] == true).await;
        assert_eq!(history["within_promise"], 100.0, "{history}");
    }
    let known = "SELECT coalesce(sum(length(replace(known::text, '0', ''))), 0)::bigint FROM drover.status_day";
    eventually("the minute in Postgres", LATER, || async {
        (postgres.one::<i64>(known).await > 0).then_some(())
    })
    .await;
    // Two boards have watched the same minutes, which begin and end while they do.
    assert!(postgres.one::<i64>(known).await <= 3);
    drop((one, two));
    // As if they had watched yesterday too, and missed the promise in 144 of its minutes.
    let yesterday = now_ms() / 86_400_000 - 1;
    postgres
        .run(&format!(
            "INSERT INTO drover.status_day VALUES ('mail', {yesterday}, repeat('1', 1440)::bit(1440), repeat('1', 144)::bit(1440)), \
             ('mail', {yesterday} - 200, repeat('1', 1440)::bit(1440), repeat('0', 1440)::bit(1440)), \
             ('other', {yesterday}, repeat('1', 1440)::bit(1440), repeat('1', 1440)::bit(1440))"
        ))
        .await;
    let three = over(&redis, &postgres).await;
    let history = history(&three, "yesterday", |history| history["kept"] == true).await;
    let days = history["days"].as_array().unwrap();
    assert_eq!(days[0]["within_promise"], 90.0, "{history}");
    assert!(
        days.len() <= 3 && history["within_promise"].as_f64().unwrap() < 90.2,
        "{history}"
    );
    let page = three.get("/status").await.body;
    assert!(
        page.contains("Days below 100") && page.contains(": 90\u{a0}%"),
        "{page}"
    );
    // Days that are older than the page shows are removed.
    eventually("the old day to go", LATER, || async {
        let old = format!("SELECT count(*) FROM drover.status_day WHERE day < {yesterday} - 90");
        (postgres.one::<i64>(&old).await == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_minute_in_which_work_waited_too_long_is_missed_and_a_postgres_that_is_away_loses_none() {
    let (redis, mut postgres) = (Redis::start(), Postgres::start().await);
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    oracle.add("mail", "n", json!({}), json!({})).await;
    let drover = over(&redis, &postgres).await;
    history(&drover, "days that are kept", |history| history["kept"] == true).await;
    postgres.kill();
    let missed = history(&drover, "a minute that was missed", |history| {
        history["within_promise"] == 0.0
    })
    .await;
    assert_eq!(missed["days"].as_array().unwrap().len(), 1, "{missed}");
    assert_eq!(drover.get("/status").await.status, 200, "nothing waits for a Postgres");
    // Drover writes it as soon as it can, without waiting for a further minute.
    postgres.restart(&["fsync=off"]).await;
    let minutes = "SELECT coalesce(sum(length(replace(missed::text, '0', ''))), 0)::bigint FROM drover.status_day";
    eventually("the minute in Postgres", Duration::from_secs(60), || async {
        (postgres.one::<i64>(minutes).await > 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn bars_that_can_be_kept_nowhere_say_that_they_begin_at_the_start() {
    let (redis, folder) = (Redis::start(), tempfile::tempdir().unwrap());
    // A folder is in the place of the file.
    std::fs::create_dir(folder.path().join("state.db")).unwrap();
    let audit = folder.path().join("audit.ndjson").display().to_string();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    oracle.ask("startWorker", "mail", json!({"workerId": "w"})).await;
    oracle.add("mail", "n", json!({}), json!({})).await;
    let env = [("DROVER_REDIS_URL", &*redis.url()), ("DROVER_AUDIT_FILE", &audit)];
    let drover = Drover::with(&env, MAIL).await;
    let history = history(&drover, "the first minute", |history| {
        history["within_promise"] == 100.0
    })
    .await;
    assert_eq!(history["kept"], false);
    let page = drover.get("/status").await.body;
    assert!(
        page.contains("within the promise since this page was started") && !page.contains("over 1 day"),
        "{page}"
    );
}
