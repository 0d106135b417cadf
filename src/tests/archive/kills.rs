//! Whatever process is killed in between: every job is in the archive once, or still in its queue.

use super::archived;
use crate::operations::{adds_up, write_failed};
use crate::support::client;
use crate::support::oracle::Oracle;
use crate::support::postgres::Postgres;
use crate::support::process::Process;
use crate::support::redis::Redis;
use crate::support::{LATER, eventually};
use serde_json::{Value, json};
use std::collections::HashSet;

/// Sends a request to a Drover process.
async fn ask(port: u16, method: &str, path: &str, body: Value) -> Option<Value> {
    let headers = [("X-Drover", "1"), ("Content-Type", "application/json")];
    let path = format!("/admin/queues/api/v1{path}");
    let answer = client::request(port, method, &path, &headers, &body.to_string()).await;
    (answer.status < 300).then(|| answer.json())
}

/// Checks that the archive and the queue together have every job, and none twice.
async fn nothing_is_lost(redis: &Redis, postgres: &Postgres, jobs: u32) -> usize {
    // The queue first: the archiving may continue meanwhile, and a job goes from the queue into the archive and never
    // back.
    let left: Vec<String> = redis.run(&["ZRANGE", "bull:mail:failed", "0", "-1"]);
    let mut connection = postgres.connection().await;
    let archived: Vec<String> = sqlx::query_scalar("SELECT job_id FROM drover.archive")
        .fetch_all(&mut connection)
        .await
        .unwrap();
    let distinct: HashSet<&String> = archived.iter().collect();
    assert_eq!(archived.len(), distinct.len(), "twice in the archive");
    let together: HashSet<&String> = archived.iter().chain(&left).collect();
    assert_eq!(together.len(), jobs as usize, "a job is neither here nor there");
    archived.len()
}

/// The number of jobs: what a run of all tests has time for, or what `make kills` asks for.
fn scaled(name: &str, usual: u32) -> u32 {
    std::env::var(name).map_or(usual, |value| value.parse().unwrap())
}

#[tokio::test]
async fn drover_is_killed_again_and_again() {
    let (kills, jobs) = (scaled("PROCESS_KILLS", 20), scaled("PROCESS_KILLS_JOBS", 4_000));
    let (redis, postgres) = (Redis::start(), Postgres::start_with(&[]).await);
    write_failed(&redis, "mail", jobs);
    let env = vec![("DROVER_POSTGRES_URL", postgres.url())];
    let mut process = Process::with(&redis.url(), env).await;
    let wanted = json!({"action": "archive", "filter": "state:failed queue:mail", "dry_run": true});
    let port = process.port;
    let seen = eventually("all jobs in a preview", LATER, || async {
        let seen = ask(port, "POST", "/operations", wanted.clone()).await?;
        (seen["selected"] == jobs).then_some(seen)
    })
    .await;
    let order = json!({"token": seen["token"], "rate": 400});
    let started = ask(port, "POST", "/operations", order).await.unwrap();
    let path = format!("/operations/{}", started["id"].as_str().unwrap());
    let mut before = 0;
    for kill in 1..=kills {
        eventually("progress", LATER * 2, || async {
            let there: i64 = postgres.one("SELECT count(*) FROM drover.archive").await;
            (there > before).then_some(())
        })
        .await;
        // Somewhere between a read, a commit and a removal.
        tokio::time::sleep(std::time::Duration::from_millis(u64::from(kill * 37 % 190))).await;
        process.kill_and_restart().await;
        let now = nothing_is_lost(&redis, &postgres, jobs).await;
        assert!(
            now < jobs as usize,
            "it ended before it was killed for the {kill}th time"
        );
        before = i64::try_from(now).unwrap();
    }
    let done = eventually("the end", LATER * 6, || async {
        let now = ask(port, "GET", &path, json!({})).await?;
        (now["state"] == "done").then_some(now)
    })
    .await;
    adds_up(&done);
    let totals = &done["totals"];
    let n = |name: &str| totals[name].as_u64().unwrap();
    assert_eq!(n("done") + n("already"), u64::from(jobs), "{done}");
    assert_eq!(archived(&postgres).await, (i64::from(jobs), i64::from(jobs)));
    let left: u64 = redis.run(&["ZCARD", "bull:mail:failed"]);
    assert_eq!(left, 0);
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    assert_eq!(oracle.counts("mail").await["failed"], 0);
}

#[tokio::test]
async fn postgres_is_killed_again_and_again() {
    let (kills, jobs) = (scaled("POSTGRES_KILLS", 3), scaled("POSTGRES_KILLS_JOBS", 2_000));
    let (redis, mut postgres) = (Redis::start(), Postgres::start_with(&[]).await);
    write_failed(&redis, "mail", jobs);
    let drover = super::over(&redis.url(), &postgres.url()).await;
    drover.knows("bull:mail").await;
    let seen = crate::operations::preview(&drover, "archive", "state:failed queue:mail").await;
    assert_eq!(seen["selected"], jobs);
    let id = crate::operations::start(&drover, &seen, json!({"rate": 500})).await;
    let mut before = 0;
    for kill in 1..=kills {
        let there = &postgres;
        eventually("progress", LATER * 2, || async move {
            let there: i64 = there.one("SELECT count(*) FROM drover.archive").await;
            (there > before).then_some(())
        })
        .await;
        tokio::time::sleep(std::time::Duration::from_millis(u64::from(kill * 53 % 290))).await;
        postgres.restart(&[]).await;
        let now = nothing_is_lost(&redis, &postgres, jobs).await;
        assert!(
            now < jobs as usize,
            "it ended before it was killed for the {kill}th time"
        );
        before = i64::try_from(now).unwrap();
    }
    let path = format!("/operations/{id}");
    let done = eventually("the end", LATER * 9, || async {
        let now = drover.get(&format!("/api/v1{path}")).await.json();
        (now["state"] == "done").then_some(now)
    })
    .await;
    adds_up(&done);
    assert_eq!(archived(&postgres).await, (i64::from(jobs), i64::from(jobs)), "{done}");
    nothing_is_lost(&redis, &postgres, jobs).await;
}

#[tokio::test]
async fn a_full_disk_keeps_every_job_in_its_queue() {
    const JOBS: u32 = 2_000;
    let (redis, mut postgres) = (Redis::start(), Postgres::start_with(&[]).await);
    write_failed(&redis, "mail", JOBS);
    // Data that no server compresses, 32 MB of it.
    let mut connection = redis.connection();
    for id in 1..=JOBS {
        let data: Vec<u8> = (0..16 * 1024).map(|_| rand::random_range(b' '..=b'~')).collect();
        redis::cmd("HSET")
            .arg(format!("bull:mail:{id}"))
            .arg("data")
            .arg(data)
            .exec(&mut connection)
            .unwrap();
    }
    // No file may grow beyond one segment of its log.
    postgres.restart_within(17 * 1024 * 1024).await;
    let drover = super::over(&redis.url(), &postgres.url()).await;
    drover.knows("bull:mail").await;
    let seen = crate::operations::preview(&drover, "archive", "state:failed queue:mail").await;
    let id = crate::operations::start(&drover, &seen, json!({})).await;
    let stopped = eventually("it says what is the matter", LATER * 2, || async {
        let now = drover.get(&format!("/api/v1/operations/{id}")).await.json();
        let text = now.to_string();
        (text.contains("too large") || text.contains("space")).then_some(now)
    })
    .await;
    let kept = nothing_is_lost(&redis, &postgres, JOBS).await;
    assert!(kept > 0 && kept < JOBS as usize, "{kept}: {stopped}");
    // With room again it continues by itself.
    postgres.restart(&[]).await;
    crate::operations::becomes(&drover, &id, "done").await;
    nothing_is_lost(&redis, &postgres, JOBS).await;
    assert_eq!(archived(&postgres).await, (i64::from(JOBS), i64::from(JOBS)));
    let left: u64 = redis.run(&["ZCARD", "bull:mail:failed"]);
    assert_eq!(left, 0);
}

#[tokio::test]
async fn postgres_is_killed_and_redis_freezes_in_between() {
    const JOBS: u32 = 4_000;
    let (redis, mut postgres) = (Redis::start(), Postgres::start_with(&[]).await);
    write_failed(&redis, "mail", JOBS);
    let drover = super::over(&redis.url(), &postgres.url()).await;
    drover.knows("bull:mail").await;
    let seen = crate::operations::preview(&drover, "archive", "state:failed queue:mail").await;
    let id = crate::operations::start(&drover, &seen, json!({"rate": 2_000})).await;
    let moving = |least: i64| {
        let postgres = &postgres;
        eventually("progress", LATER * 2, move || async move {
            let there: i64 = postgres.one("SELECT count(*) FROM drover.archive").await;
            (there >= least).then_some(())
        })
    };
    moving(500).await;
    postgres.restart(&[]).await;
    let kept = nothing_is_lost(&redis, &postgres, JOBS).await;
    let moving = |least: usize| {
        let postgres = &postgres;
        eventually("progress", LATER * 2, move || async move {
            let there: i64 = postgres.one("SELECT count(*) FROM drover.archive").await;
            (there >= i64::try_from(least).unwrap()).then_some(())
        })
    };
    moving(kept + 500).await;
    redis.freeze();
    tokio::time::sleep(std::time::Duration::from_secs(4)).await;
    redis.thaw();
    let kept = nothing_is_lost(&redis, &postgres, JOBS).await;
    assert!(kept < JOBS as usize, "it was still under way");
    let done = crate::operations::becomes(&drover, &id, "done").await;
    let totals = &done["totals"];
    assert_eq!(
        totals["changed"].as_u64().unwrap() + totals["gone"].as_u64().unwrap(),
        0,
        "{done}"
    );
    assert_eq!(archived(&postgres).await, (i64::from(JOBS), i64::from(JOBS)), "{done}");
    nothing_is_lost(&redis, &postgres, JOBS).await;
}
