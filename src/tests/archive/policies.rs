//! Policies of the archive: a due policy runs, once among all replicas, whatever happens to its lease holder.

use super::{archived, ready};
use crate::operations::{control, write_failed};
use crate::support::app::Drover;
use crate::support::client;
use crate::support::oracle::Oracle;
use crate::support::postgres::Postgres;
use crate::support::process::Process;
use crate::support::redis::Redis;
use crate::support::{LATER, eventually};
use serde_json::{Value, json};

/// A policy over failed jobs of `mail`.
fn policy(every: &str, more: &str) -> String {
    format!(
        "[[archive.policy]]\nid = \"p\"\nqueues = \"bull:mail\"\nstates = [\"failed\"]\nolder_than = \"10m\"\nevery = \"{every}\"\n{more}"
    )
}

async fn over(redis: &Redis, postgres: &Postgres, file: &str, env: &[(&str, &str)]) -> Drover {
    let (redis, postgres) = (redis.url(), postgres.url());
    let stores = [
        ("DROVER_REDIS_URL", redis.as_str()),
        ("DROVER_POSTGRES_URL", postgres.as_str()),
    ];
    let drover = Drover::with(&[&stores, env].concat(), file).await;
    ready(&drover).await;
    drover
}

/// The first policy as the API returns it.
async fn standing(drover: &Drover) -> Value {
    let answer = drover.get("/api/v1/archive/policies").await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()["items"][0].clone()
}

async fn button(drover: &Drover, word: &str) -> client::Answer {
    let headers = [
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("Sec-Fetch-Site", "same-origin"),
    ];
    let path = format!("/admin/queues/archive/policies/p/{word}");
    client::request(drover.port, "POST", &path, &headers, "").await
}

/// Never due within the time of a test.
const RARELY: &str = "0 0 1 1 *";

#[tokio::test]
async fn what_is_due_is_archived_and_what_is_too_young_stays() {
    let (redis, postgres) = (Redis::start(), Postgres::start_with(&[]).await);
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    // An hour old, and of this moment.
    write_failed(&redis, "mail", 1_200);
    crate::operations::failed(&mut oracle, "mail", "send", 3, "just now").await;
    let drover = over(&redis, &postgres, &policy("*/2 * * * * *", ""), &[]).await;
    eventually("all that is old is archived", LATER * 2, || async {
        (archived(&postgres).await == (1_200, 1_200)).then_some(())
    })
    .await;
    let run = eventually("the run ended", LATER, || async {
        let standing = standing(&drover).await;
        let runs = standing["runs"].as_array().unwrap().clone();
        let found = runs
            .into_iter()
            .find(|run| run["archived"] == 1_200 && !run["ended"].is_null());
        // And the next run found nothing.
        found.filter(|_| standing["runs"][0]["note"] == "Nothing to archive.")
    })
    .await;
    // A row is durable before its job is removed: only now are all jobs removed.
    assert_eq!(oracle.counts("mail").await["failed"], 3);
    assert_eq!(run["outcome"], "ok", "{run}");
    assert_eq!(run["selected"], 1_200, "{run}");
    assert!(run["due"].as_i64().unwrap() % 2_000 == 0, "{run}");
    let bytes = run["bytes"].as_u64().unwrap();
    assert!(bytes > 1_200 * 50, "{run}");
    let standing = standing(&drover).await;
    assert_eq!(
        (&standing["freed_jobs"], &standing["freed_bytes"]),
        (&json!(1_200), &json!(bytes))
    );
    // An operation like any other, in the audit log too.
    let id = run["operation"].as_str().unwrap();
    let operation = crate::operations::operation(&drover, id).await;
    assert_eq!(
        (operation["who"].as_str(), &operation["state"]),
        (Some("policy:p"), &json!("done"))
    );
    assert_eq!(operation["filter"], "state:failed queue:bull:mail age:>10m");
    let audit = drover.audit("limit=50").await;
    assert!(audit.iter().any(|entry| entry["who"] == "policy:p"), "{audit:?}");
    let page = drover.get("/archive/policies").await;
    for part in [
        "archive failed older than 10m from bull:mail every */2 * * * * * UTC",
        "1,200 jobs",
        id,
        "Run now",
    ] {
        assert!(page.body.contains(part), "{part}: {}", page.body);
    }
    let list = drover.get("/archive").await;
    assert!(list.body.contains("/archive/policies\""), "it is linked");
}

#[tokio::test]
async fn a_dry_run_changes_nothing_and_a_run_that_is_asked_for_runs_at_once() {
    let (redis, postgres) = (Redis::start(), Postgres::start_with(&[]).await);
    write_failed(&redis, "mail", 300);
    let drover = over(&redis, &postgres, &policy(RARELY, "limit = 200\n"), &[]).await;
    drover.knows("bull:mail").await;
    let run = "/archive/policies/p/run";
    let seen = drover.post(run, &json!({"dry_run": true})).await;
    assert_eq!(seen.status, 200, "{}", seen.body);
    assert_eq!(seen.json()["selected"], 200);
    let page = button(&drover, "dry-run").await;
    assert!(
        page.status == 200 && page.body.contains("Archive 200 failed jobs"),
        "{}",
        page.body
    );
    assert_eq!(archived(&postgres).await.0, 0);
    let before = eventually("the policy is known", LATER, || async {
        let standing = standing(&drover).await;
        (standing["state"] == "ok").then_some(standing)
    })
    .await;
    assert_eq!(before["why"], "It has not run yet.");
    assert_eq!(before["runs"], json!([]));
    let answer = eventually("its task takes it", LATER, || async {
        let answer = drover.post(run, &json!({"reason": "now"})).await;
        (answer.status < 300).then_some(answer)
    })
    .await;
    assert_eq!(answer.status, 202, "{}", answer.body);
    let id = answer.json()["operation"].as_str().unwrap().to_owned();
    let done = crate::operations::becomes(&drover, &id, "done").await;
    assert_eq!(done["totals"]["done"], 200, "{done}");
    assert!(done["reason"].as_str().unwrap().ends_with(": now"), "{done}");
    // A limit is a limit: jobs beyond it wait for the next run.
    eventually("the run ended", LATER, || async {
        (standing(&drover).await["state"] == "ok").then_some(())
    })
    .await;
    assert_eq!(standing(&drover).await["runs"].as_array().unwrap().len(), 1);
    assert_eq!(archived(&postgres).await.0, 200);
    let led = button(&drover, "run").await;
    assert_eq!(led.status, 303, "{}", led.body);
    for (path, body) in [("/archive/policies/none/run", json!({})), (run, json!({"dry": 1}))] {
        let answer = drover.post(path, &body).await;
        assert!(matches!(answer.status, 400 | 404), "{path}: {}", answer.body);
    }
}

#[tokio::test]
async fn a_board_that_only_looks_runs_none_and_one_without_says_how() {
    let (redis, postgres) = (Redis::start(), Postgres::start_with(&[]).await);
    write_failed(&redis, "mail", 50);
    let file = policy("* * * * * *", "");
    let drover = Drover::with(
        &[
            ("DROVER_REDIS_URL", &redis.url()),
            ("DROVER_POSTGRES_URL", &postgres.url()),
            ("DROVER_READ_ONLY", "true"),
        ],
        &file,
    )
    .await;
    drover.knows("bull:mail").await;
    let known = eventually("the archive", LATER, || async {
        let answer = drover.get("/api/v1/archive/policies").await;
        (answer.status == 200).then(|| answer.json())
    })
    .await;
    assert_eq!(known["items"][0]["next"], Value::Null, "{known}");
    for body in [json!({}), json!({"dry_run": true})] {
        let answer = drover.post("/archive/policies/p/run", &body).await;
        assert_eq!(answer.status, 403, "{}", answer.body);
    }
    assert_eq!(button(&drover, "run").await.status, 403);
    let page = drover.get("/archive/policies").await;
    assert!(
        page.body.contains("read-only") && !page.body.contains("Run now"),
        "{}",
        page.body
    );
    // Long after its due time.
    let began = std::time::Instant::now();
    while began.elapsed() < std::time::Duration::from_secs(2) {
        assert_eq!(archived(&postgres).await.0, 0);
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let none = over(&redis, &postgres, "", &[]).await;
    let page = none.get("/archive/policies").await;
    assert!(
        page.status == 200 && page.body.contains("[[archive.policy]]"),
        "{}",
        page.body
    );
}

#[tokio::test]
async fn two_boards_run_what_is_due_once() {
    let (redis, postgres) = (Redis::start(), Postgres::start_with(&[]).await);
    write_failed(&redis, "mail", 400);
    let file = policy("* * * * * *", "limit = 50\n");
    let (one, two) = tokio::join!(over(&redis, &postgres, &file, &[]), over(&redis, &postgres, &file, &[]));
    eventually("all is archived", LATER * 4, || async {
        (standing(&one).await["freed_jobs"] == 400).then_some(())
    })
    .await;
    assert_eq!(archived(&postgres).await, (400, 400));
    // No due time twice, and no two runs at a time.
    let mut connection = postgres.connection().await;
    let twice: i64 = sqlx::query_scalar("SELECT count(*) - count(DISTINCT due) FROM drover.policy_run")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(twice, 0);
    let overlapping: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM drover.policy_run a JOIN drover.policy_run b ON a.id < b.id AND a.ended_at > b.started_at",
    )
    .fetch_one(&mut connection)
    .await
    .unwrap();
    assert_eq!(overlapping, 0);
    let sum: i64 = postgres
        .one("SELECT sum(archived)::bigint FROM drover.policy_run")
        .await;
    assert_eq!(sum, 400, "no job was taken by two runs");
    // Both give the same answer.
    for board in [&one, &two] {
        assert_eq!(standing(board).await["freed_jobs"], 400);
    }
}

#[tokio::test]
async fn what_was_missed_is_made_up_once() {
    let (redis, postgres) = (Redis::start(), Postgres::start_with(&[]).await);
    write_failed(&redis, "mail", 20);
    let file = policy(RARELY, "");
    let drover = over(&redis, &postgres, &file, &[]).await;
    eventually("it is known", LATER, || async {
        let known: i64 = postgres.one("SELECT count(*) FROM drover.policy").await;
        (known == 1).then_some(())
    })
    .await;
    assert_eq!(archived(&postgres).await.0, 0);
    drop(drover);
    // Three New Years without a Drover.
    postgres
        .run("UPDATE drover.policy SET since = since - 3 * 366 * 86400000::bigint")
        .await;
    let drover = over(&redis, &postgres, &file, &[]).await;
    eventually("it is made up", LATER * 2, || async {
        (archived(&postgres).await == (20, 20)).then_some(())
    })
    .await;
    eventually("the run ended", LATER, || async {
        (standing(&drover).await["state"] == "ok").then_some(())
    })
    .await;
    assert_eq!(standing(&drover).await["runs"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn when_its_owner_is_killed_another_one_goes_on() {
    let (redis, postgres) = (Redis::start(), Postgres::start_with(&[]).await);
    write_failed(&redis, "mail", 6_000);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("Leptos.toml");
    let file = policy(RARELY, "");
    std::fs::write(&path, &file).unwrap();
    let env = vec![
        ("DROVER_POSTGRES_URL", postgres.url()),
        ("DROVER_CONFIG", path.display().to_string()),
    ];
    let process = Process::with(&redis.url(), env).await;
    let ask = async |path: &str| {
        let headers = [("X-Drover", "1"), ("Content-Type", "application/json")];
        let path = format!("/admin/queues/api/v1{path}");
        client::request(process.port, "POST", &path, &headers, "{}").await
    };
    let id = eventually("its run begins", LATER * 2, || async {
        let answer = ask("/archive/policies/p/run").await;
        (answer.status == 202).then(|| answer.json()["operation"].as_str().unwrap().to_owned())
    })
    .await;
    eventually("it is in the middle", LATER, || async {
        let there: i64 = postgres.one("SELECT count(*) FROM drover.archive").await;
        (there > 0).then_some(())
    })
    .await;
    assert_eq!(ask(&format!("/operations/{id}/pause")).await.status, 200);
    let other = over(&redis, &postgres, &file, &[]).await;
    other.knows("bull:mail").await;
    // The lease holder of the run is alive, and keeps the lease as long as the run takes.
    let seen = standing(&other).await;
    assert_eq!(seen["state"], "running", "{seen}");
    // And shows it.
    eventually("it is known", LATER, || async {
        let known = other.get(&format!("/api/v1/operations/{id}")).await;
        (known.status == 200).then_some(())
    })
    .await;
    crate::operations::becomes(&other, &id, "paused").await;
    let refused = other.post("/archive/policies/p/run", &json!({})).await;
    assert!(
        refused.status >= 400 && refused.body.contains("in progress"),
        "{}",
        refused.body
    );
    let before = archived(&postgres).await.0;
    assert!(before < 6_000, "it was still in the middle");
    drop(process.crash());
    // It was paused, so it is still paused on the replica that takes it over.
    control(&other, &id, "resume").await;
    eventually("the other one took over", LATER * 4, || async {
        (archived(&postgres).await == (6_000, 6_000)).then_some(())
    })
    .await;
    let seen = eventually("the run ended", LATER, || async {
        let seen = standing(&other).await;
        (seen["state"] == "ok").then_some(seen)
    })
    .await;
    let (new, old) = (&seen["runs"][0], &seen["runs"][1]);
    assert_eq!(
        (&new["outcome"], &new["note"]),
        (&json!("ok"), &json!("Nothing to archive.")),
        "{seen}"
    );
    let whole = crate::operations::becomes(&other, &id, "done").await;
    assert_eq!(whole["totals"]["selected"], 6_000, "{whole}");
    assert_eq!(old["outcome"], "failed", "{seen}");
    assert!(old["note"].as_str().unwrap().contains("stopped halfway"), "{seen}");
    let left: u64 = redis.run(&["ZCARD", "bull:mail:failed"]);
    assert_eq!(left, 0);
}

#[tokio::test]
async fn a_run_is_paused_and_cancelled_like_any_operation() {
    let (redis, postgres) = (Redis::start(), Postgres::start_with(&[]).await);
    write_failed(&redis, "mail", 8_000);
    let drover = over(&redis, &postgres, &policy(RARELY, ""), &[]).await;
    drover.knows("bull:mail").await;
    let answer = eventually("its task takes it", LATER, || async {
        let answer = drover.post("/archive/policies/p/run", &json!({})).await;
        (answer.status == 202).then_some(answer)
    })
    .await;
    let id = answer.json()["operation"].as_str().unwrap().to_owned();
    control(&drover, &id, "pause").await;
    let again = drover.post("/archive/policies/p/run", &json!({})).await;
    assert!(
        again.status >= 400 && again.body.contains("in progress"),
        "{}",
        again.body
    );
    control(&drover, &id, "cancel").await;
    let seen = eventually("the run ended", LATER, || async {
        let seen = standing(&drover).await;
        (seen["state"] == "ok").then_some(seen)
    })
    .await;
    assert_eq!(seen["runs"][0]["outcome"], "cancelled", "{seen}");
    assert_eq!(seen["runs"].as_array().unwrap().len(), 1);
}
