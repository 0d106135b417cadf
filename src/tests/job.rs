//! A job's page: its history, its place, its lock, its options, against the real library.

use crate::support::app::Drover;
use crate::support::oracle::Oracle;
use crate::support::redis::Redis;
use crate::support::{SOON, eventually};
use serde_json::{Value, json};

async fn board() -> (Redis, Oracle, Drover) {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    oracle
        .add("q", "first", json!({}), json!({"delay": 10_000_000, "jobId": "seed"}))
        .await;
    let drover = Drover::over(&redis.url()).await;
    drover.knows("bull:q").await;
    (redis, oracle, drover)
}

/// A job from the API, not from the answer that others share.
async fn job(drover: &Drover, id: &str) -> Value {
    let answer = drover.get(&format!("/api/v1/queues/redis/bull:q/jobs/{id}")).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

async fn page(drover: &Drover, id: &str) -> String {
    let answer = drover.get(&format!("/queues/redis/bull:q/jobs/{id}")).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    // The markup alone: the data behind it holds the same words.
    let markup = answer.body.split("</head>").nth(1).unwrap().to_owned();
    markup.replace("<!>", "").replace("<!---->", "")
}

fn says(page: &str, words: &[&str]) {
    for word in words {
        assert!(page.contains(word), "{word:?} is not on the page:\n{page}");
    }
}

#[tokio::test]
async fn delay_back_off_and_waiting_are_told_apart() {
    let (_redis, mut oracle, drover) = board().await;
    let held = page(&drover, "seed").await;
    says(&held, &["held back by its delay", "so far", ">due<", "1 of 1 delayed"]);
    oracle
        .ask("startWorker", "q", json!({"workerId": "w", "name": "eu-1"}))
        .await;
    let id = oracle
        .add(
            "q",
            "flaky",
            json!({"fail": "boom\nsecond line"}),
            json!({"attempts": 3, "backoff": {"type": "exponential", "delay": 600_000}, "stackTraceLimit": 5}),
        )
        .await;
    oracle
        .ask("waitUntil", "q", json!({"state": "delayed", "count": 2}))
        .await;
    let detail = job(&drover, &id).await;
    assert_eq!(detail["row"]["state"], "delayed");
    assert_eq!(detail["traces"][0]["attempt"], 1);
    assert_eq!(detail["delay"], 600_000);
    says(
        &page(&drover, &id).await,
        &[
            "attempt 1 failed (time inferred from the back-off)",
            "backs off",
            "next attempt due",
            "1 made of 3 allowed",
            "exponential from 10 m; after the next failure 20 m",
            "<b>Attempt 1</b>",
            "the last 5",
            "eu-1",
        ],
    );
    // The second attempt: the time before it is one stretch, since its times are gone.
    oracle
        .ask("callJob", "q", json!({"jobId": id, "method": "promote"}))
        .await;
    eventually("the second failure", SOON, || async {
        (job(&drover, &id).await["row"]["attempts"] == 2).then_some(())
    })
    .await;
    says(
        &page(&drover, &id).await,
        &[
            "waits, back-offs and 1 earlier attempt",
            "last attempt (2) started",
            "Redis keeps the times of the last attempt only",
        ],
    );
    let plain = oracle.add("q", "plain", json!({}), json!({})).await;
    oracle
        .ask("waitUntil", "q", json!({"state": "completed", "count": 1}))
        .await;
    says(
        &page(&drover, &plain).await,
        &["waited for a worker", ">started<", "ran ", ">completed<"],
    );
}

#[tokio::test]
async fn a_lock_names_its_worker_and_a_lost_worker_is_said_with_what_comes_next() {
    let (redis, mut oracle, drover) = board().await;
    oracle.ask("startWorker", "q", json!({"workerId": "w"})).await;
    let id = oracle
        .add("q", "held", json!({"hold": true, "progress": [0]}), json!({}))
        .await;
    oracle
        .ask("waitUntil", "q", json!({"state": "active", "count": 1}))
        .await;
    let detail = eventually("progress", SOON, || async {
        let detail = job(&drover, &id).await;
        (!detail["progress"].is_null()).then_some(detail)
    })
    .await;
    let token: String = redis.run(&["GET", &format!("bull:q:{id}:lock")]);
    assert!(
        token.starts_with(detail["lock"]["holder"].as_str().unwrap()),
        "{token}: {detail}"
    );
    let ttl = detail["lock"]["ttl"].as_i64().unwrap();
    assert!((1..=30_000).contains(&ttl), "{ttl}");
    assert_eq!(
        (&detail["attempts_started"], &detail["row"]["attempts"]),
        (&json!(1), &json!(0))
    );
    // The job reported 0, which differs from no report.
    assert_eq!(detail["progress"]["text"], "0");
    says(&page(&drover, &id).await, &["running", "unless renewed", "<b>0 %</b>"]);
    oracle
        .ask("stopWorker", "q", json!({"workerId": "w", "force": true}))
        .await;
    redis.run::<()>(&["DEL", &format!("bull:q:{id}:lock")]);
    let lost = eventually("the lost lock", SOON, || async {
        job(&drover, &id).await["lost"].as_str().map(str::to_owned)
    })
    .await;
    assert!(
        lost.contains("stalled check runs again in") && lost.contains("marks it then"),
        "{lost}"
    );
    redis.run::<()>(&["SADD", "bull:q:stalled", &id]);
    redis.run::<()>(&["DEL", "bull:q:stalled-check"]);
    eventually("nobody checks", SOON, || async {
        let lost = job(&drover, &id).await["lost"].as_str().unwrap_or_default().to_owned();
        lost.contains("No worker has run BullMQ's stalled check lately")
            .then_some(())
    })
    .await;
    says(&page(&drover, &id).await, &["No worker holds its lock"]);
}

#[tokio::test]
async fn deduplication_schedule_deferred_failure_and_options_are_shown() {
    let (redis, mut oracle, drover) = board().await;
    let opts = json!({"deduplication": {"id": "once", "ttl": 60_000}, "removeOnComplete": {"age": 3600, "count": 50},
        "priority": 7, "keepLogs": 20});
    let id = oracle.add("q", "dedup", json!({}), opts).await;
    let detail = job(&drover, &id).await;
    assert_eq!(
        (&detail["dedup"]["id"], &detail["dedup"]["owner"]),
        (&json!("once"), &json!(id))
    );
    assert!(detail["dedup"]["ttl"].as_i64().unwrap() > 0, "{detail}");
    assert_eq!(detail["keep_logs"], 20);
    oracle
        .ask(
            "callJob",
            "q",
            json!({"jobId": id, "method": "changePriority", "args": [{"priority": 3}]}),
        )
        .await;
    redis.run::<()>(&["HSET", &format!("bull:q:{id}"), "defa", "the operator said so"]);
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    says(
        &page(&drover, &id).await,
        &[
            "held by this job for",
            "3 (options: 7)",
            "changed after it was created",
            "after 1 h, and all but the newest 50",
            "the last 20 lines",
            "never, unless its worker is set to",
            "Set to fail",
            "the operator said so",
            "state=prioritized&amp;q=dedup",
        ],
    );
    let scheduled = oracle
        .ask(
            "upsertScheduler",
            "q",
            json!({"schedulerId": "daily", "repeat": {"every": 3_600_000}, "template": {"name": "report"}}),
        )
        .await;
    let scheduled = scheduled["jobId"].as_str().unwrap();
    assert!(scheduled.starts_with("repeat:daily:"), "{scheduled}");
    assert_eq!(job(&drover, scheduled).await["row"]["scheduler"], "daily");
    // The definition of the schedule and the queue's own keys are hashes, but not jobs.
    for id in ["repeat:daily", "meta", "wait", "completed"] {
        let answer = drover.get(&format!("/api/v1/queues/redis/bull:q/jobs/{id}")).await;
        assert_eq!(answer.status, 404, "{id}: {}", answer.body);
    }
}

#[tokio::test]
async fn every_job_knows_its_place_and_its_neighbours() {
    let (_redis, mut oracle, drover) = board().await;
    oracle.ask("startWorker", "q", json!({"workerId": "w"})).await;
    for _ in 0..3 {
        oracle.add("q", "bad", json!({"fail": "no"}), json!({})).await;
    }
    oracle
        .ask("waitUntil", "q", json!({"state": "failed", "count": 3}))
        .await;
    oracle.ask("stopWorker", "q", json!({"workerId": "w"})).await;
    for _ in 0..4 {
        oracle.add("q", "next", json!({}), json!({})).await;
        oracle.add("q", "urgent", json!({}), json!({"priority": 5})).await;
    }
    for state in ["failed", "waiting", "prioritized", "delayed"] {
        let list = drover
            .get(&format!("/api/v1/queues/redis/bull:q/jobs?state={state}"))
            .await
            .json();
        let rows = list["rows"].as_array().unwrap();
        let id = |i: usize| rows.get(i).map_or(Value::Null, |row| row["id"].clone());
        for i in 0..rows.len() {
            let detail = job(&drover, rows[i]["id"].as_str().unwrap()).await;
            assert_eq!(detail["place"], json!({"at": i + 1, "of": rows.len()}), "{state} {i}");
            let expected = json!({"previous": if i == 0 { Value::Null } else { id(i - 1) }, "next": id(i + 1)});
            assert_eq!(detail["neighbours"], expected, "{state} {i}");
        }
    }
}

#[tokio::test]
async fn a_job_deep_in_a_long_list_is_said_to_be_there_without_a_search() {
    let (redis, mut oracle, drover) = board().await;
    let id = oracle.add("q", "deep", json!({}), json!({})).await;
    let fill = "for i = 1, 15000 do redis.call('LPUSH', KEYS[1], 'l' .. i); redis.call('RPUSH', KEYS[1], 'r' .. i) end";
    redis.run::<()>(&["EVAL", fill, "1", "bull:q:wait"]);
    let detail = job(&drover, &id).await;
    assert_eq!(
        (&detail["row"]["state"], &detail["state_known"]),
        (&json!("waiting"), &json!(false))
    );
    assert!(
        detail["state_note"].as_str().unwrap().contains("searched quickly"),
        "{detail}"
    );
    assert_eq!(detail["place"], Value::Null);
    says(&page(&drover, &id).await, &["its place among the others is not known"]);
    // In short lists the search is complete, and "nowhere" is a finding.
    redis.run::<()>(&["DEL", "bull:q:wait"]);
    let note = eventually("the orphan", SOON, || async {
        let note = job(&drover, &id).await["state_note"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        note.contains("it is in no list").then_some(note)
    })
    .await;
    assert!(note.contains("no worker will take it"), "{note}");
}

#[tokio::test]
async fn progress_is_a_bar_or_what_the_job_said() {
    let (_redis, mut oracle, drover) = board().await;
    let id = oracle.add("q", "p", json!({}), json!({"delay": 1_000_000})).await;
    assert!(job(&drover, &id).await["progress"].is_null());
    let object = json!({"done": 3, "of": 12_345_678_901_234_567_u64});
    oracle
        .ask("setProgress", "q", json!({"jobId": id, "progress": object}))
        .await;
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    says(&page(&drover, &id).await, &[">Progress</h2>", "\"done\": 3"]);
    oracle
        .ask("setProgress", "q", json!({"jobId": id, "progress": 42.5}))
        .await;
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    let page = page(&drover, &id).await;
    says(&page, &["<b>42.5 %</b>"]);
    assert!(!page.contains(">Progress</h2>"), "a number needs no section");
}
