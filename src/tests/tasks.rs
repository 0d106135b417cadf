//! Drover's own tasks: one that fails is reported and restarted, and a closed log pipe stops none.

use crate::operations::{becomes, preview, start, write_failed};
use crate::status::MAIL;
use crate::support::app::Drover;
use crate::support::client;
use crate::support::oracle::Oracle;
use crate::support::postgres::Postgres;
use crate::support::process;
use crate::support::redis::Redis;
use crate::support::{LATER, SOON, eventually, free_port};
use serde_json::json;
use std::process::{Command, Stdio};

/// Waits until Drover is ready, or not ready because of this task.
async fn readyz(drover: &Drover, down: Option<&str>) {
    let what = format!("/readyz with {down:?} down");
    eventually(&what, LATER * 2, || async {
        let answer = drover.get("/readyz").await;
        match down {
            None => (answer.status == 200).then_some(()),
            Some(task) => (answer.status == 503 && answer.body.contains(task)).then_some(()),
        }
    })
    .await;
}

#[tokio::test]
async fn each_task_that_fails_is_reported_and_restarted() {
    let (redis, postgres, alone) = (Redis::start(), Postgres::start().await, free_port());
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    oracle.add("q", "n", json!({}), json!({})).await;
    let listener = format!("[status_page]\nlisten = \"127.0.0.1:{alone}\"\n");
    let policy = "[[archive.policy]]\nid = \"p\"\nqueues = \"bull:none\"\nstates = [\"failed\"]\nolder_than = \"1d\"\nevery = \"0 0 1 1 *\"\n";
    let keep = "[[archive.keep]]\nqueues = \"bull:none\"\nfor = \"9d\"\n";
    let file = MAIL.replace("[status_page]\n", &listener) + policy + keep;
    let (redis_url, postgres_url) = (redis.url(), postgres.url());
    let env = [
        ("DROVER_REDIS_URL", &*redis_url),
        ("DROVER_POSTGRES_URL", &*postgres_url),
    ];
    let drover = Drover::with(&env, &file).await;
    drover.knows("bull:q").await;
    readyz(&drover, None).await;

    let names = drover.tasks.names();
    let expected = [
        "archive connection",
        "archive retention",
        "archive schema",
        "audit file",
        "audit reader",
        "audit writer",
        "connection for what replicas share",
        "history of postgres",
        "history of redis",
        "history retention",
        "operations",
        "policy of p",
        "status history",
        "status listener",
        "status page",
        "users and tokens",
    ];
    for task in ["changes", "connection", "ping", "poll", "search"] {
        for store in ["redis", "postgres"] {
            let name = format!("{task} of {store}");
            assert!(names.contains(&name), "{names:?}");
            drover.tasks.fail(&name);
            readyz(&drover, Some(task)).await;
            let failed = format!("its task {task} failed (it panicked: a test made it fail)");
            let shown = eventually(&failed, SOON, || async {
                let shown = drover.store(store).await;
                let cause = shown["cause"].as_str()?;
                (cause.starts_with("Drover stopped watching it: ") && cause.contains(&failed)).then_some(shown)
            })
            .await;
            assert_eq!(shown["reach"], "unwatched");
            let cause = &shown["cause"];
            assert_eq!(
                (&shown["verdict"]["level"], &shown["verdict"]["reason"]),
                (&json!("bad"), cause)
            );
            let page = drover.get("").await.body;
            assert!(page.contains("Drover stopped watching it"), "{page}");
        }
    }
    for name in &expected {
        assert!(names.iter().any(|known| known == name), "{name} is not among {names:?}");
        drover.tasks.fail(name);
        readyz(&drover, name.split(" of ").next()).await;
    }
    assert_eq!(
        names.len(),
        expected.len() + 10,
        "a task that this test does not know: {names:?}"
    );

    // All of it continues by itself.
    readyz(&drover, None).await;
    for store in ["redis", "postgres"] {
        drover.store_becomes(store, "live").await;
    }
    let mut stream = drover.stream("queue:redis/bull:q").await;
    let id = oracle.add("q", "n", json!({}), json!({})).await;
    stream.until_job(&id).await;
    let removed = drover
        .post(&format!("/queues/redis/bull:q/jobs/{id}/remove"), &json!({}))
        .await;
    assert_eq!(removed.status, 200, "{}", removed.body);
    assert_eq!(drover.audit("").await.len(), 1);
    assert_eq!(client::get(alone, "/status.json").await.status, 200);
}

#[tokio::test]
async fn an_operation_that_fails_in_the_middle_goes_on_where_it_was() {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    write_failed(&redis, "mail", 600);
    let drover = Drover::over(&redis.url()).await;
    drover.knows("bull:mail").await;
    let seen = preview(&drover, "retry", "state:failed queue:mail").await;
    let id = start(&drover, &seen, json!({"rate": 100})).await;
    eventually("progress", SOON, || async {
        let now = crate::operations::operation(&drover, &id).await;
        (now["totals"]["done"].as_u64()? > 50).then_some(())
    })
    .await;
    drover.tasks.fail("operation");
    readyz(&drover, Some("operation")).await;
    let ended = becomes(&drover, &id, "done").await;
    // Each job once: the result of a job that was in progress during the failure is done or unconfirmed, and Drover
    // does not repeat it.
    let totals = &ended["totals"];
    let n = |name: &str| totals[name].as_u64().unwrap();
    assert_eq!(n("done") + n("already") + n("unconfirmed"), 600, "{totals}");
    assert_eq!(oracle.counts("mail").await["waiting"], 600);
    readyz(&drover, None).await;
}

/// The writing end of a pipe whose reader has gone.
fn closed_pipe() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

#[tokio::test]
async fn a_closed_log_pipe_stops_nothing() {
    let (mut redis, port, state) = (Redis::start(), free_port(), tempfile::tempdir().unwrap());
    let mut child = Command::new(env!("CARGO_BIN_EXE_drover"))
        .arg("serve")
        .env("DROVER_REDIS_URL", redis.url())
        .env("DROVER_LISTEN", format!("127.0.0.1:{port}"))
        .env("DROVER_CONFIG", "/dev/null")
        .env("DROVER_AUDIT_FILE", state.path().join("audit.ndjson"))
        .env("DROVER_LOG", "debug")
        .stdout(closed_pipe())
        .stderr(closed_pipe())
        .spawn()
        .unwrap();
    let reach = |wanted: &'static str| async move {
        eventually(wanted, SOON, || async {
            tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok()?;
            let answer = client::get(port, "/admin/queues/api/v1/stores/redis").await;
            (answer.json()["reach"] == wanted).then_some(())
        })
        .await;
    };
    reach("live").await;
    redis.kill();
    reach("gone").await;
    assert_eq!(client::get(port, "/admin/queues/readyz").await.status, 200);
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let ended = eventually("its end", LATER, || std::future::ready(child.try_wait().unwrap())).await;
    assert!(ended.success(), "{ended}");
}

#[tokio::test]
async fn a_command_whose_reader_has_gone_is_no_failure() {
    let status = Command::new(env!("CARGO_BIN_EXE_drover"))
        .args(["config", "print"])
        .env("DROVER_REDIS_URL", "redis://127.0.0.1:1")
        .env("DROVER_CONFIG", "/dev/null")
        .stdout(closed_pipe())
        .stderr(closed_pipe())
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
    let (code, text) = process::command(&["config", "print"], &[("DROVER_REDIS_URL", "redis://127.0.0.1:1")]).await;
    assert_eq!(code, Some(0), "{text}");
}
