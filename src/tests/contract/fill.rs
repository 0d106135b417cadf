//! A queue with jobs in every state its library has.

use super::Family;
use crate::support::oracle::Oracle;
use serde_json::json;

/// The jobs a worker holds until they are released.
pub(crate) const HELD: usize = 3;

/// Puts jobs of every state into a queue of its own. Its worker `w` keeps running and holds [`HELD`] jobs.
pub(crate) async fn every_state(family: &Family, oracle: &mut Oracle, queue: &str) {
    let worker = json!({"workerId": "w", "concurrency": HELD, "name": "eu-1"});
    oracle.ask("startWorker", queue, worker).await;
    finished(oracle, queue).await;
    if family.delays_in_workers {
        // While it has room for them.
        later(oracle, queue).await;
        oracle.wait(queue, "delayed", LATER).await;
    }
    // All at once, so that the worker has no free slot when the others come.
    let data = json!({"hold": true, "progress": [40], "log": ["begun"]});
    for _ in 0..HELD {
        oracle.add(queue, "held", data.clone(), json!({})).await;
    }
    oracle.wait(queue, "active", HELD).await;
    for i in 0..6 {
        oracle
            .add(queue, "next", json!({"i": i}), json!({"lifo": i == 4}))
            .await;
    }
    for i in 0..4 {
        oracle
            .add(queue, "urgent", json!({}), json!({"priority": 10 - i}))
            .await;
    }
    if family.delays && !family.delays_in_workers {
        later(oracle, queue).await;
    }
    if family.flows {
        let child = json!({"name": "child", "queueName": format!("{queue}-children"), "data": {}});
        let tree = json!({"name": "parent", "queueName": queue, "data": {}, "children": [child]});
        oracle.ask("flow", queue, json!({"tree": tree})).await;
    }
}

/// Delayed jobs.
const LATER: usize = 4;

/// Jobs for the far future, the one that is due first added last.
async fn later(oracle: &mut Oracle, queue: &str) {
    for i in 0..LATER {
        let opts = json!({"delay": 1_000_000 - i * 1000, "attempts": 3});
        oracle.add(queue, "later", json!({}), opts).await;
    }
}

/// Seven completed jobs and five failed ones, some after two attempts.
async fn finished(oracle: &mut Oracle, queue: &str) {
    for i in 0..7 {
        let mut data = json!({"log": ["one", "two"], "progress": [i, {"step": i}]});
        if i > 0 {
            data["returns"] = json!({"i": i, "text": "é\u{1f600}"});
        }
        oracle.add(queue, "good", data, json!({})).await;
    }
    for i in 0..5 {
        let data = json!({"fail": format!("boom {i}\nsecond line"), "log": ["try"]});
        oracle
            .add(queue, "bad", data, json!({"attempts": 1 + i % 2, "backoff": 1}))
            .await;
    }
    oracle.wait(queue, "failed", 5).await;
    oracle.wait(queue, "completed", 7).await;
}

/// Lets the held jobs finish and stops the worker.
pub(crate) async fn knock_off(family: &Family, oracle: &mut Oracle, queue: &str) {
    // Waiting jobs must stay: a worker that releases its jobs would take the next.
    if !family.pauses {
        oracle.ask("stopWorker", queue, json!({"workerId": "w"})).await;
        oracle.ask("release", queue, json!({"all": true})).await;
        oracle.wait(queue, "active", 0).await;
        return;
    }
    oracle.ask("pause", queue, json!({})).await;
    oracle.ask("release", queue, json!({"all": true})).await;
    oracle.wait(queue, "active", 0).await;
    oracle.ask("stopWorker", queue, json!({"workerId": "w"})).await;
    oracle.ask("resume", queue, json!({})).await;
}
