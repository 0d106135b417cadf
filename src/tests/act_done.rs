//! Actions that were done, or whose result is unknown: the answer, the audit log, and the library's view.

use crate::support::app::Drover;
use crate::support::client::{self, Answer};
use crate::support::oracle::Oracle;
use crate::support::process::Process;
use crate::support::redis::Redis;
use crate::support::{SOON, eventually, free_port};
use drover::model::address::encode_segment;
use serde_json::{Value, json};
use std::fs;
use tokio::io::AsyncWriteExt as _;

/// A board over a queue of BullMQ 6 with a job that failed, and the job.
async fn board() -> (Redis, Oracle, Drover, String) {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    oracle.ask("startWorker", "q", json!({"workerId": "w"})).await;
    let id = oracle.add("q", "n", json!({"fail": "no"}), json!({})).await;
    oracle.wait("q", "failed", 1).await;
    oracle.ask("stopWorker", "q", json!({"workerId": "w"})).await;
    let drover = Drover::over(&redis.url()).await;
    drover.knows("bull:q").await;
    (redis, oracle, drover, id)
}

fn outcome(answer: &Answer) -> (u16, String) {
    (
        answer.status,
        answer.json()["outcome"].as_str().unwrap_or_default().to_owned(),
    )
}

#[tokio::test]
async fn a_retry_is_done_once_written_down_twice_and_told_again() {
    let (_redis, mut oracle, drover, id) = board().await;
    let job = drover.job("bull:q", &id).await;
    let seen = json!({"state": "failed", "finished_on": job["row"]["finished"], "attempts": job["row"]["attempts"]});
    let path = format!("/queues/redis/bull:q/jobs/{id}/retry");
    let key = [("Idempotency-Key", "one"), ("X-Request-Id", "page-7")];
    let body = json!({"seen": seen, "reason": "fixed in 1.2"});
    let first = drover.post_with(&path, &key, &body).await;
    assert_eq!(first.status, 200, "{}", first.body);
    assert_eq!(first.header("x-request-id"), Some("page-7"));
    assert_eq!(first.header("idempotency-replayed"), None);
    let told = first.json();
    assert_eq!(
        (&told["result"], &told["sentence"]),
        (&json!("done"), &json!(format!("Retry job {id} of queue q in redis.")))
    );
    assert_eq!(oracle.ids("q", "waiting", true).await, std::slice::from_ref(&id));
    // The page does not show an earlier read.
    assert_eq!(drover.job("bull:q", &id).await["row"]["state"], "waiting");

    let again = drover.post_with(&path, &key, &body).await;
    assert_eq!((again.status, again.json()), (200, told.clone()));
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    let other = drover.post_with(&path, &key[..1], &json!({"reason": "another"})).await;
    assert_eq!(
        (other.status, &other.json()["type"]),
        (422, &json!("urn:drover:problem:key-used"))
    );

    let once_more = drover.post(&path, &body).await;
    assert_eq!(
        (once_more.status, &once_more.json()["result"]),
        (200, &json!("already"))
    );
    let remove = format!("/queues/redis/bull:q/jobs/{id}/remove");
    let stale = drover.post(&remove, &json!({"seen": seen})).await;
    assert_eq!(outcome(&stale), (412, "none".into()), "{}", stale.body);
    assert!(
        stale.json()["now"].as_str().unwrap().contains("waiting"),
        "{}",
        stale.body
    );
    let gone = drover.post("/queues/redis/bull:q/jobs/nope/retry", &json!({})).await;
    assert_eq!(outcome(&gone), (404, "none".into()), "{}", gone.body);

    let of_job = format!("queue={}&job={id}", encode_segment("redis/bull:q"));
    let entries = drover.audit(&of_job).await;
    let words: Vec<_> = entries.iter().map(|e| e["result"].as_str().unwrap()).collect();
    assert_eq!(words, ["changed", "already", "done"]);
    let done = &entries[2];
    for (name, value) in [
        ("id", &told["audit"]),
        ("who", &json!("anonymous")),
        ("address", &json!("127.0.0.1")),
        ("reason", &json!("fixed in 1.2")),
        ("request", &json!("page-7")),
        ("queue", &json!("bull:q")),
        ("seen", &seen),
    ] {
        assert_eq!(&done[name], value, "{name}");
    }
    let text = fs::read_to_string(drover.state.path().join("audit.ndjson")).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let phases: Vec<_> = lines.iter().map(|line| line["phase"].as_str().unwrap()).collect();
    assert_eq!(phases, ["intent", "result"].repeat(4));
    assert_eq!(lines[0]["id"], lines[1]["id"]);
}

#[tokio::test]
async fn data_goes_to_the_job_and_not_into_the_record() {
    let (_redis, mut oracle, drover, id) = board().await;
    let path = format!("/queues/redis/bull:q/jobs/{id}/edit_data");
    let answer = drover
        .post(&path, &json!({"data": r#"{"cart":4111111111111111111111}"#}))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let shown = drover.job("bull:q", &id).await;
    assert_eq!(shown["data"]["text"], r#"{"cart":4111111111111111111111}"#);
    assert!(oracle.job("q", &id).await.is_object());
    let text = fs::read_to_string(drover.state.path().join("audit.ndjson")).unwrap();
    assert!(!text.contains("4111") && text.contains("\"bytes\":31"), "{text}");
}

#[tokio::test]
async fn who_paused_a_queue_and_why_stands_beside_the_button_that_resumes_it() {
    let (_redis, mut oracle, drover, _) = board().await;
    let paused = drover
        .post(
            "/queues/redis/bull:q/pause",
            &json!({"reason": "the mail server is <down>"}),
        )
        .await;
    assert_eq!(paused.status, 200, "{}", paused.body);
    assert_eq!(oracle.ask("isPaused", "q", json!({})).await, true);
    let aside = eventually("the pause on the page", SOON, || async {
        let aside = drover.get("/queues/redis/bull:q/aside").await.body;
        aside.contains(" by anonymous (").then_some(aside)
    })
    .await;
    assert!(
        aside.contains("by anonymous (127.0.0.1): the mail server is &lt;down&gt;"),
        "{aside}"
    );
    assert!(
        aside.contains(">Resume</button>") && !aside.contains(">Pause</button>"),
        "{aside}"
    );
    let again = drover.post("/queues/redis/bull:q/pause", &json!({})).await;
    assert_eq!(
        (again.status, &again.json()["result"]),
        (200, &json!("already")),
        "{}",
        again.body
    );
    assert_eq!(drover.post("/queues/redis/bull:q/resume", &json!({})).await.status, 200);
    eventually("the queue goes on", SOON, || async {
        let aside = drover.get("/queues/redis/bull:q/aside").await.body;
        (aside.contains(">Pause</button>") && !aside.contains("by anonymous")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_action_goes_on_to_its_end_although_the_caller_went_away() {
    let (redis, _oracle, drover, id) = board().await;
    redis.freeze();
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", drover.port))
        .await
        .unwrap();
    let head = "Host: 127.0.0.1\r\nX-Drover: 1\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
    let path = format!("/admin/queues/api/v1/queues/redis/bull:q/jobs/{id}/retry");
    stream
        .write_all(format!("POST {path} HTTP/1.1\r\n{head}").as_bytes())
        .await
        .unwrap();
    eventually("the intent", SOON, || async {
        (!drover.audit("").await.is_empty()).then_some(())
    })
    .await;
    assert_eq!(drover.audit("").await[0]["result"], "asked");
    drop(stream);
    redis.thaw();
    let entry = eventually("a result", SOON, || async {
        let entry = drover.audit("").await.remove(0);
        (entry["result"] != "asked").then_some(entry)
    })
    .await;
    assert_eq!(entry["result"], "done", "{entry}");
}

#[tokio::test]
async fn after_a_crash_between_intent_and_result_the_result_is_unknown() {
    let (redis, _oracle, drover, id) = board().await;
    drop(drover);
    let port = free_port();
    let process = Process::at(port, &redis.url(), None).await;
    let base = "/admin/queues/api/v1";
    eventually("the queue", SOON, || async {
        let answer = client::get(port, &format!("{base}/queues/redis/bull:q")).await;
        (answer.status == 200).then_some(())
    })
    .await;
    redis.freeze();
    let path = format!("{base}/queues/redis/bull:q/jobs/{id}/retry");
    let headers = [
        ("X-Drover", "1"),
        ("Content-Type", "application/json"),
        ("Idempotency-Key", "k"),
    ];
    let file = process.state.path().join("audit.ndjson");
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let lines: String = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    let request = format!("POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{lines}Content-Length: 2\r\n\r\n{{}}");
    stream.write_all(request.as_bytes()).await.unwrap();
    eventually("the intent", SOON, || async {
        fs::read_to_string(&file)
            .is_ok_and(|text| text.contains("\"intent\""))
            .then_some(())
    })
    .await;
    let state = process.crash();
    redis.thaw();

    let port = free_port();
    let _process = Process::again(port, &redis.url(), None, state).await;
    let page = client::get(port, &format!("{base}/audit")).await.json();
    let entry = &page["items"][0];
    assert_eq!(
        (&entry["result"], &entry["outcome"]),
        (&json!("unknown"), &json!("unknown")),
        "{page}"
    );
    // A board that has just started does not know its queues yet.
    let again = eventually("the queue", SOON, || async {
        let answer = client::request(port, "POST", &path, &headers, "{}").await;
        (!matches!(answer.status, 404 | 503)).then_some(answer)
    })
    .await;
    assert_eq!(outcome(&again), (504, "unknown".into()), "{}", again.body);
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
}
