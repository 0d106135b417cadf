//! Operations among several Drovers that share one Postgres: visible to all, controlled from any, run by one, and taken
//! over when that one is gone. R-21 and F-28 of the reliability plan.

use super::{adds_up, becomes, control, operation, preview, start, write_failed};
use crate::support::app::Drover;
use crate::support::client;
use crate::support::oracle::Oracle;
use crate::support::postgres::Postgres;
use crate::support::process::Process;
use crate::support::redis::Redis;
use crate::support::{LATER, SOON, eventually};
use serde_json::{Value, json};
use std::time::Duration;

/// A board that keeps its operations where the others see them.
async fn sharing(redis: &Redis, postgres: &Postgres) -> Drover {
    let (redis, postgres) = (redis.url(), postgres.url());
    let stores = [
        ("DROVER_REDIS_URL", redis.as_str()),
        ("DROVER_POSTGRES_URL", postgres.as_str()),
    ];
    let drover = Drover::with(&stores, "").await;
    shares(&drover).await;
    drover.knows("bull:mail").await;
    drover
}

async fn shares(drover: &Drover) {
    eventually("it shares", LATER * 2, || async {
        let page = drover.get("/api/v1/audit").await.json();
        page["file"].as_str().unwrap().starts_with("the table").then_some(())
    })
    .await;
}

async fn place(jobs: u32) -> (Redis, Postgres, Oracle) {
    let (redis, postgres) = (Redis::start(), Postgres::start_with(&[]).await);
    let oracle = Oracle::start(&redis.url(), 6).await;
    write_failed(&redis, "mail", jobs);
    (redis, postgres, oracle)
}

async fn begin(drover: &Drover, filter: &str, more: Value) -> String {
    let seen = preview(drover, "retry", filter).await;
    start(drover, &seen, more).await
}

/// Waits until a board knows an operation.
async fn known(drover: &Drover, id: &str) {
    eventually("it is known", SOON, || async {
        let answer = drover.get(&format!("/api/v1/operations/{id}")).await;
        (answer.status == 200).then_some(())
    })
    .await;
}

async fn moving(drover: &Drover, id: &str, least: u64) -> Value {
    eventually("progress", LATER * 3, || async {
        let now = operation(drover, id).await;
        (now["totals"]["done"].as_u64()? >= least).then_some(now)
    })
    .await
}

#[tokio::test]
async fn each_board_shows_it_and_tells_it_what_to_do() {
    let (redis, postgres, mut oracle) = place(3_000).await;
    let (one, two) = tokio::join!(sharing(&redis, &postgres), sharing(&redis, &postgres));
    let id = begin(&one, "state:failed queue:mail", json!({"rate": 300, "reason": "why"})).await;
    known(&two, &id).await;
    let seen = moving(&two, &id, 100).await;
    assert_eq!((&seen["state"], &seen["reason"]), (&json!("running"), &json!("why")));
    let page = two.get(&format!("/operations/{id}")).await;
    assert!(page.status == 200 && page.body.contains("Cancel"), "{}", page.body);
    // Requested at the one that does not run it.
    for (word, state) in [("pause", "paused"), ("resume", "running"), ("pause", "paused")] {
        control(&two, &id, word).await;
        becomes(&one, &id, state).await;
        becomes(&two, &id, state).await;
    }
    let before = operation(&one, &id).await["totals"].clone();
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(operation(&two, &id).await["totals"], before, "nothing moves");
    // Its results too.
    let done = before["done"].as_u64().unwrap();
    let results = two
        .get(&format!("/api/v1/operations/{id}/results?result=done"))
        .await
        .json();
    assert_eq!(results["total"].as_u64(), Some(done), "{results}");
    control(&two, &id, "cancel").await;
    for board in [&one, &two] {
        let ended = becomes(board, &id, "cancelled").await;
        assert_eq!(ended["totals"]["done"].as_u64(), Some(done));
    }
    assert_eq!(oracle.counts("mail").await["failed"], 3_000 - done);
    // The rest can be started on a replica that did not run it, and one that starts later knows both.
    let rest = two.post(&format!("/operations/{id}/again"), &json!({})).await.json();
    assert_eq!(rest["selected"], 3_000 - done, "{rest}");
    let again = start(&two, &rest, json!({})).await;
    known(&one, &again).await;
    becomes(&one, &again, "done").await;
    assert_eq!(oracle.counts("mail").await["waiting"], 3_000);
    let three = sharing(&redis, &postgres).await;
    known(&three, &id).await;
    assert_eq!(operation(&three, &again).await["totals"]["done"], 3_000 - done);
    // No file contains any of it.
    let folder = std::fs::read_dir(one.state.path().join("operations")).unwrap();
    assert_eq!(folder.count(), 1, "the name of this Drover alone");
}

#[tokio::test]
async fn one_at_a_time_works_in_a_store_whoever_runs_it() {
    let (redis, postgres, _oracle) = place(600).await;
    write_failed(&redis, "other", 20);
    let (one, two) = tokio::join!(sharing(&redis, &postgres), sharing(&redis, &postgres));
    two.knows("bull:other").await;
    let first = begin(&one, "state:failed queue:mail", json!({"rate": 200})).await;
    becomes(&one, &first, "running").await;
    let second = begin(&two, "state:failed queue:other", json!({})).await;
    known(&one, &second).await;
    known(&two, &first).await;
    let mut overlapped = 0;
    loop {
        let states = [operation(&two, &first).await, operation(&two, &second).await].map(|now| now["state"].clone());
        if states[0] == "done" {
            break;
        }
        overlapped += u32::from(states[1] != "queued");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // A page may be a moment old.
    assert!(overlapped < 10, "{overlapped}");
    let after = becomes(&two, &second, "done").await;
    let before = operation(&two, &first).await;
    assert!(
        after["started"].as_i64() >= before["ended"].as_i64(),
        "{before} {after}"
    );
}

#[tokio::test]
async fn when_its_owner_is_killed_another_finishes_it_and_every_job_is_counted_once() {
    let (redis, postgres, mut oracle) = place(4_000).await;
    let process = Process::with(&redis.url(), vec![("DROVER_POSTGRES_URL", postgres.url())]).await;
    let ask = async |path: &str, body: Value| {
        let headers = [("X-Drover", "1"), ("Content-Type", "application/json")];
        let path = format!("/admin/queues/api/v1{path}");
        client::request(process.port, "POST", &path, &headers, &body.to_string()).await
    };
    let other = sharing(&redis, &postgres).await;
    let id = eventually("it begins", LATER * 2, || async {
        let there: i64 = postgres.one("SELECT count(*) FROM drover.replica").await;
        if there < 2 {
            return None;
        }
        let body = json!({"action": "retry", "filter": "state:failed queue:mail", "dry_run": true});
        let seen = ask("/operations", body).await;
        let token = seen.json()["token"].as_str()?.to_owned();
        let started = ask("/operations", json!({"token": token, "rate": 400})).await;
        (started.status == 202).then(|| started.json()["id"].as_str().unwrap().to_owned())
    })
    .await;
    known(&other, &id).await;
    moving(&other, &id, 300).await;
    drop(process.crash());
    // Before the lease has expired no replica takes it.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let fence: i64 = postgres.one("SELECT fence FROM drover.operation").await;
    assert_eq!(fence, 1);
    let before = operation(&other, &id).await["totals"]["done"].as_u64().unwrap();
    moving(&other, &id, before + 200).await;
    let done = becomes(&other, &id, "done").await;
    adds_up(&done);
    let totals = &done["totals"];
    // Jobs in progress at the moment of the kill are reported separately, never counted twice.
    let sure = totals["done"].as_u64().unwrap() + totals["already"].as_u64().unwrap();
    assert_eq!(sure + totals["unconfirmed"].as_u64().unwrap(), 4_000, "{totals}");
    let counts = oracle.counts("mail").await;
    assert_eq!((&counts["failed"], &counts["waiting"]), (&json!(0), &json!(4_000)));
}

#[tokio::test]
async fn a_late_former_owner_begins_nothing_and_writes_nothing() {
    let (redis, postgres, mut oracle) = place(3_000).await;
    let drover = sharing(&redis, &postgres).await;
    let id = begin(&drover, "state:failed queue:mail", json!({"rate": 200})).await;
    moving(&drover, &id, 100).await;
    // As another replica does it.
    postgres
        .run(
            "UPDATE drover.operation SET owner = 'another', fence = fence + 1, version = version + 1, \
             expires_at = clock_timestamp() + interval '1 hour'",
        )
        .await;
    let lines = "SELECT count(*) FROM drover.operation_log";
    let written: i64 = postgres.one(lines).await;
    eventually("it ends here", LATER, || async {
        let before = oracle_failed(&redis);
        tokio::time::sleep(Duration::from_millis(600)).await;
        (oracle_failed(&redis) == before).then_some(())
    })
    .await;
    assert_eq!(postgres.one::<i64>(lines).await, written);
    assert!(oracle.counts("mail").await["failed"].as_u64().unwrap() > 1_500);
    // The page shows it as the other replica reports it, and the row passes the command on.
    control(&drover, &id, "pause").await;
    let wanted: String = postgres.one("SELECT wanted FROM drover.operation").await;
    assert_eq!(wanted, "pause");
    // The other one is gone: this one takes it back and follows the commands of the meantime.
    postgres
        .run("UPDATE drover.operation SET expires_at = clock_timestamp()")
        .await;
    becomes(&drover, &id, "paused").await;
    control(&drover, &id, "resume").await;
    let ended = eventually("it goes on", LATER, || async {
        let now = operation(&drover, &id).await;
        (now["totals"]["done"].as_u64()? > 700).then_some(now)
    })
    .await;
    adds_up(&ended);
}

fn oracle_failed(redis: &Redis) -> u64 {
    redis.run(&["ZCARD", "bull:mail:failed"])
}

#[tokio::test]
async fn a_board_that_ends_gives_what_it_runs_to_another_at_once() {
    let (redis, postgres, mut oracle) = place(2_000).await;
    let (mut one, two) = tokio::join!(sharing(&redis, &postgres), sharing(&redis, &postgres));
    let id = begin(&one, "state:failed queue:mail", json!({"rate": 400})).await;
    known(&two, &id).await;
    moving(&two, &id, 100).await;
    one.stop.cancel();
    one.serving.take().unwrap().await.unwrap();
    let done = becomes(&two, &id, "done").await;
    assert_eq!(done["totals"]["selected"], 2_000);
    assert_eq!(oracle.counts("mail").await["waiting"], 2_000);
}

#[tokio::test]
async fn while_that_postgres_is_away_one_waits_and_a_new_one_stays_in_files() {
    let (redis, mut postgres, mut oracle) = place(2_000).await;
    let drover = sharing(&redis, &postgres).await;
    let id = begin(&drover, "state:failed queue:mail", json!({"rate": 100})).await;
    moving(&drover, &id, 50).await;
    postgres.freeze();
    tokio::time::sleep(Duration::from_secs(3)).await;
    // Pages and reads do not wait for it.
    for path in [
        "/operations".to_owned(),
        format!("/operations/{id}"),
        "/audit".into(),
        "/".into(),
    ] {
        let page = drover.get(&path).await;
        assert_eq!(page.status, 200, "{path}");
    }
    postgres.thaw();
    control(&drover, &id, "cancel").await;
    let cancelled = becomes(&drover, &id, "cancelled").await;
    let done = cancelled["totals"]["done"].as_u64().unwrap();
    postgres.kill();
    let alone = eventually("one begins without it", LATER * 2, || async {
        let body = json!({"action": "retry", "filter": "state:failed queue:mail", "dry_run": true});
        let seen = drover.post("/operations", &body).await.json();
        let answer = drover.post("/operations", &json!({"token": seen["token"]})).await;
        (answer.status == 202).then(|| answer.json()["id"].as_str().unwrap().to_owned())
    })
    .await;
    let all = becomes(&drover, &alone, "done").await;
    assert_eq!(all["totals"]["done"].as_u64(), Some(2_000 - done), "{all}");
    assert_eq!(oracle.counts("mail").await["waiting"], 2_000);
    assert!(drover.state.path().join(format!("operations/{alone}.json")).exists());
}
