//! Values that a diagnosis needs are not hidden with the secrets around them.

use crate::support::app::Drover;
use crate::support::oracle::Oracle;
use crate::support::redis::Redis;
use serde_json::{Value, json};

#[tokio::test]
async fn what_a_job_fails_with_is_shown_and_found() {
    let redis = Redis::start();
    let mut bullmq = Oracle::start(&redis.url(), 6).await;
    let data = json!({
        "fail": "card_declined: insufficient_funds",
        "payment": {"card": {"brand": "visa", "last4": "0341", "number": "4111111111111111"}},
        "auth": "none",
    });
    let job = bullmq.add("pay", "capture", data, json!({"attempts": 1})).await;
    bullmq.ask("startWorker", "pay", json!({"workerId": "w"})).await;
    bullmq.wait("pay", "failed", 1).await;
    let drover = Drover::over(&redis.url()).await;
    drover.knows("bull:pay").await;
    let queue = "/queues/redis/bull%3Apay";
    let error = "card_declined: insufficient_funds";
    for path in [
        format!("{queue}?state=failed"),
        format!("/api/v1{queue}/jobs?state=failed"),
        format!("{queue}/jobs/{job}"),
        format!("/api/v1{queue}/jobs/{job}"),
    ] {
        let answer = drover.get(&path).await;
        assert!(
            answer.status == 200 && answer.body.contains(error),
            "{path}: {}",
            answer.body
        );
    }
    let found = drover
        .get(&format!("/api/v1{queue}/jobs?state=failed&q=error:insufficient_funds"))
        .await
        .json();
    assert_eq!(found["rows"].as_array().unwrap().len(), 1, "{found}");
    let shown = drover.get(&format!("/api/v1{queue}/jobs/{job}")).await.json();
    let traces = shown["traces"][0]["text"].as_str().unwrap();
    assert!(traces.contains(error), "{traces}");
    let data: Value = serde_json::from_str(shown["data"]["text"].as_str().unwrap()).unwrap();
    assert_eq!(
        (&data["payment"]["card"], &data["auth"]),
        (
            &json!({"brand": "visa", "last4": "0341", "number": "[redacted]"}),
            &json!("none")
        )
    );
}
