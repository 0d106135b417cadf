//! One job, from its record.

use super::Family;
use crate::support::app::Drover;
use crate::support::{SOON, eventually};
use serde_json::{Value, json};

pub(crate) async fn are_the_librarys(family: &Family) {
    let (_store, mut oracle, drover) = family.filled("shop").await;
    let queue = family.id("shop");
    // What a worker's own processor writes, and what other clients write meanwhile.
    if family.keeps_notes {
        let held = oracle.ids("shop", "active", true).await;
        let progress = json!({"jobId": held[1], "progress": {"step": "b"}});
        oracle.ask("setProgress", "shop", progress).await;
        let line = json!({"jobId": held[1], "line": "by hand"});
        oracle.ask("log", "shop", line).await;
    }
    for (state, theirs) in family.states() {
        let rows = drover.rows(&queue, state, "next", 50).await;
        assert!(!rows.is_empty(), "{state}: nothing to compare");
        for row in rows {
            let id = row["id"].as_str().unwrap();
            let library = family.job(&mut oracle, "shop", id).await;
            // Families without the state call such jobs "waiting", as their lists do.
            assert_eq!(library["state"], theirs);
            let job = drover.job(&queue, id).await;
            compare(family, state, &job, &library);
            assert_eq!(job["row"], row, "a row says the same in the list as on the job's page");
        }
    }
    let path = format!("/api/v1/queues/{}/{queue}/jobs/no-such-job", drover.store);
    let gone = drover.get(&path).await;
    assert_eq!((gone.status, gone.json()["outcome"].as_str()), (404, Some("none")));
    if family.flows {
        let child = oracle.ids("shop-children", "waiting", true).await;
        let library = oracle.job("shop-children", &child[0]).await;
        drover.knows("bull:shop-children").await;
        let job = drover.job("bull:shop-children", &child[0]).await;
        assert!(library["parentKey"].is_string(), "{library}");
        assert_eq!(job["parent"], library["parentKey"]);
    }
}

fn compare(family: &Family, state: &str, job: &Value, library: &Value) {
    let row = &job["row"];
    let what = format!("{state} job {}: {job}\nthe library: {library}", row["id"]);
    assert_eq!(row["state"], state, "{what}");
    assert_eq!(job["state_known"], true, "{what}");
    for (ours, theirs) in [
        ("name", "name"),
        ("created", "timestamp"),
        ("started", "processedOn"),
        ("finished", "finishedOn"),
        ("attempts", "attemptsMade"),
        ("worker", "processedBy"),
    ] {
        assert_eq!(row[ours], library[theirs], "{ours}: {what}");
    }
    let allowed = library["opts"]["attempts"].as_u64().unwrap_or(1).max(1);
    // Where the number is in the code of the task, the library does not know it.
    match library["opts"].get("attempts") {
        Some(Value::Null) => assert_eq!(row["attempts_max"], Value::Null, "{what}"),
        _ => assert_eq!(row["attempts_max"], allowed, "{what}"),
    }
    assert_eq!(row["priority"], library["priority"].as_u64().unwrap_or(0), "{what}");
    assert_eq!(row["progress"], progress(&library["progress"]), "{what}");
    if library["stalledCounter"].is_u64() {
        assert_eq!(row["stalled"], library["stalledCounter"], "{what}");
    }
    assert_eq!(parsed(&job["data"]["text"]), library["data"], "{what}");
    if family.keeps_notes {
        let lines = job["logs"]["lines"].as_array().unwrap();
        let lines = lines.iter().map(|line| &line["text"]);
        assert!(lines.eq(library["logs"].as_array().unwrap()), "{what}: {job}");
        let held = (state == "active").then_some(true);
        assert_eq!(job["locked"].as_bool(), held, "{what}");
    }
    assert_eq!(traces(job), library["stacktrace"], "{what}");
    let reason = library["failedReason"].as_str();
    assert_eq!(job["error"]["text"].as_str(), reason, "{what}");
    let first = reason.map(|text| text.lines().next().unwrap());
    assert_eq!(row["error"].as_str(), first, "a row shows the first line: {what}");
    let due = || library["timestamp"].as_i64().unwrap() + library["delay"].as_i64().unwrap();
    let due = (state == "delayed").then(|| library["due"].as_i64().unwrap_or_else(due));
    assert_eq!(row["due"].as_i64(), due, "{what}");
    match state {
        "completed" => {
            assert_eq!(parsed(&job["result"]["text"]), library["returnvalue"], "{what}");
            if family.names_workers {
                assert_eq!(row["worker"], "eu-1");
            }
        }
        "failed" => {
            let traces = if family.keeps_notes {
                allowed
            } else {
                u64::from(family.keeps_traces)
            };
            let known = library["stacktrace"].as_array().unwrap().len();
            assert_eq!(known as u64, traces, "one for each attempt, or for the last");
        }
        "waiting_children" => {
            let children = json!({"pending": 1, "completed": 0, "failed": 0, "ignored": 0});
            assert_eq!(job["children"], children, "{what}");
        }
        _ => {}
    }
}

/// The parsed value of a stored text; a job that returned nothing may have stored nothing.
fn parsed(text: &Value) -> Value {
    match text.as_str() {
        None | Some("") => Value::Null,
        Some(text) => serde_json::from_str(text).unwrap(),
    }
}

/// The library's progress as the board shows it: its initial 0 means nothing reported yet.
fn progress(value: &Value) -> Value {
    match value {
        Value::Null => Value::Null,
        Value::Number(n) if n.as_f64() == Some(0.0) => Value::Null,
        Value::Number(n) => json!({"percent": n.as_f64()}),
        other => json!({"text": other.to_string()}),
    }
}

pub(crate) async fn of_a_lost_worker(family: &Family) {
    let (redis, mut oracle) = family.on_redis().await;
    let worker = |id: &str| json!({"workerId": id, "opts": family.impatient()});
    oracle.ask("startWorker", "q", worker("lost")).await;
    let id = oracle.add("q", "job", json!({"hold": true}), json!({})).await;
    oracle.wait("q", "active", 1).await;
    let drover = Drover::over(&redis.url()).await;
    drover.knows("bull:q").await;
    assert_eq!(drover.job("bull:q", &id).await["locked"], true);
    oracle
        .ask("stopWorker", "q", json!({"workerId": "lost", "force": true}))
        .await;
    eventually("a job that is active, and no worker holds it", SOON, || async {
        let row = drover.rows("bull:q", "active", "next", 5).await;
        let job = drover.job("bull:q", &id).await;
        assert_eq!(job["row"]["state"], "active");
        (job["locked"] == false && row[0]["locked"] == false).then_some(())
    })
    .await;
    // Another worker finds it and starts it again.
    oracle.ask("startWorker", "q", worker("next")).await;
    eventually("a job that was begun again", SOON, || async {
        let job = drover.job("bull:q", &id).await;
        (job["locked"] == true && job["row"]["stalled"] == 1).then_some(())
    })
    .await;
}

pub(crate) async fn of_a_retry_to_come(family: &Family) {
    const PAUSE: i64 = 600_000;
    let (store, mut oracle) = family.alone().await;
    oracle.ask("startWorker", "q", json!({"workerId": "w"})).await;
    let opts = json!({"attempts": 4, "backoff": {"type": "fixed", "delay": PAUSE}});
    let id = oracle.add("q", "job", json!({"fail": "not yet"}), opts).await;
    oracle.wait("q", "delayed", 1).await;
    let library = family.job(&mut oracle, "q", &id).await;
    let (drover, queue) = (family.board(&store).await, family.id("q"));
    drover.knows(&queue).await;
    let job = drover.job(&queue, &id).await;
    let row = &job["row"];
    assert_eq!(row["state"], "delayed", "{job}");
    assert_eq!(
        (row["attempts"].as_u64(), row["attempts_max"].as_u64()),
        (Some(1), Some(4))
    );
    assert_eq!(row["error"], "not yet");
    assert!(
        matches!(job["first_delay"].as_i64(), None | Some(0)),
        "it was not delayed at first: {job}"
    );
    assert_eq!(traces(&job), library["stacktrace"]);
    // The back-off is counted from the failure, not from the job's creation.
    let failed = row["due"].as_i64().unwrap() - PAUSE;
    let started = library["processedOn"].as_i64().unwrap();
    assert!((started..started + 5_000).contains(&failed), "{job}\n{library}");
}

/// The texts of a job's stack traces.
fn traces(job: &Value) -> Value {
    let traces = job["traces"].as_array().unwrap().iter();
    traces.map(|trace| trace["text"].clone()).collect()
}
