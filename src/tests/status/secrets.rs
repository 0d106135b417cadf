//! What is never public: queue names, stores, hosts, jobs and their data, errors, people, and unpublished components.

use super::{MAIL, PATHS, becomes, board};
use crate::support::app::Drover;
use crate::support::client;
use crate::support::free_port;
use crate::support::oracle::Oracle;
use crate::support::redis::Redis;
use crate::support::{LATER, eventually};
use drover::model::status::PublicStatus;
use serde_json::json;

/// In every field of a job, and in the names of queues.
const MARKER: &str = "zq9-marker";

#[tokio::test]
async fn s_33_nothing_of_a_job_or_a_queue_is_in_any_byte_and_the_schema_is_closed() {
    // S-33: the response schema is closed, and no text that a stranger wrote appears in it.
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    let hostile = format!("mail-{MARKER}</title><img src=x onerror=alert(1)>\u{202e}");
    let unpublished = format!("payroll-{MARKER}");
    for queue in [&hostile, &unpublished] {
        oracle
            .ask(
                "startWorker",
                queue,
                json!({"workerId": queue, "name": format!("host-{MARKER}")}),
            )
            .await;
        let opts = json!({"jobId": format!("id-{MARKER}"), "attempts": 1});
        let data = json!({"fail": format!("error-{MARKER}"), "log": [MARKER], MARKER: MARKER});
        oracle.add(queue, &format!("name-{MARKER}"), data, opts).await;
        oracle.wait(queue, "failed", 1).await;
        for _ in 0..12_345 / 1_000 {
            oracle
                .add(queue, MARKER, json!({"secret": MARKER}), json!({"delay": 9_000_000}))
                .await;
        }
    }
    let port = free_port();
    let file = MAIL.replace(
        "[status_page]",
        &format!("[status_page]\nlisten = \"127.0.0.1:{port}\"\nrate_limit = 0"),
    );
    let drover = board(&redis, &file).await;
    becomes(&drover, "mail", "operational", LATER).await;
    eventually("the other queue on the board", LATER, || async {
        let queues = drover.get("/api/v1/queues").await.body;
        queues.contains("payroll-").then_some(())
    })
    .await;
    let redis_port = redis.port.to_string();
    let secrets = [
        MARKER,
        "payroll",
        "bull:",
        "bull",
        "redis",
        "127.0.0.1",
        redis_port.as_str(),
        "onerror",
        "no-such",
        "worker",
        "admin/queues",
    ];
    for path in PATHS {
        for (place, answer) in [
            ("the board", drover.get(path).await),
            ("its own listener", client::get(port, path).await),
        ] {
            assert_eq!(answer.status, 200, "{path} of {place}");
            for secret in secrets {
                // The board's page links below its own base path; the visitor's address line already has that.
                if secret == "admin/queues" && place == "the board" {
                    continue;
                }
                assert!(
                    !answer.body.to_lowercase().contains(secret),
                    "{secret} in {path} of {place}: {}",
                    answer.body
                );
                let heads = answer
                    .headers
                    .iter()
                    .any(|(_, value)| value.to_lowercase().contains(secret));
                assert!(
                    !heads,
                    "{secret} in the head of {path} of {place}: {:?}",
                    answer.headers
                );
            }
        }
    }
    let status: PublicStatus = serde_json::from_str(&drover.get("/status.json").await.body).unwrap();
    assert_eq!(status.components.len(), 1);
    drop(drover);
}

#[tokio::test]
async fn a_component_without_queues_is_unknown_and_one_does_not_speak_for_another() {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    oracle.add("mail", "n", json!({}), json!({})).await;
    let more = "[[status_page.component]]\nid = \"none\"\nname = \"Nothing\"\nqueues = \"redis/bull:nothing\"\npromise = \"1m\"\n";
    let file = format!("{}{more}", MAIL.replace("\"2s\"", "\"1h\""));
    let drover: Drover = board(&redis, &file).await;
    becomes(&drover, "mail", "operational", LATER).await;
    becomes(&drover, "none", "unknown", LATER).await;
    let v2 = drover.get("/status/api/v2/status.json").await.json();
    assert_eq!(v2["status"]["indicator"], "minor");
    let page = drover.get("/status").await.body;
    assert!(page.contains("No recent data for some components"), "{page}");
}
