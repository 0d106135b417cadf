//! Operations over many jobs: their selection, their effects, their controls, and what a kill leaves. R-20 and R-21 of
//! the reliability plan.

mod replicas;
mod run;
mod select;
mod whole;

use crate::support::app::Drover;
use crate::support::oracle::Oracle;
use crate::support::redis::Redis;
use crate::support::{LATER, eventually};
use serde_json::{Value, json};

/// A board over a Redis with BullMQ 6.
pub(crate) async fn board() -> (Redis, Oracle, Drover) {
    let redis = Redis::start();
    let oracle = Oracle::start(&redis.url(), 6).await;
    let drover = Drover::over(&redis.url()).await;
    (redis, oracle, drover)
}

/// Jobs that failed with this message, as a real worker failed them.
pub(crate) async fn failed(oracle: &mut Oracle, queue: &str, name: &str, count: usize, error: &str) {
    let before = oracle.counts(queue).await["failed"].as_u64().unwrap();
    let data = json!({"fail": error});
    oracle
        .ask("addMany", queue, json!({"count": count, "name": name, "data": data}))
        .await;
    oracle
        .ask(
            "startWorker",
            queue,
            json!({"workerId": queue, "opts": {"concurrency": 50}}),
        )
        .await;
    oracle
        .wait(queue, "failed", usize::try_from(before).unwrap() + count)
        .await;
    oracle.ask("stopWorker", queue, json!({"workerId": queue})).await;
}

/// Writes failed jobs as BullMQ 6 leaves them: more than a worker could fail in the time of a test.
pub(crate) fn write_failed(redis: &Redis, queue: &str, count: u32) {
    const SCRIPT: &str = r"
        local q, from, to, now = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
        redis.call('HSET', q .. ':meta', 'opts.maxLenEvents', 10000, 'version', 'bullmq:6.7.0')
        for id = from, to do
          redis.call('HSET', q .. ':' .. id, 'name', 'send', 'data', '{}', 'opts', '{}', 'timestamp', now, 'delay', 0,
            'priority', 0, 'failedReason', 'no', 'processedOn', now, 'finishedOn', now + id, 'atm', 1, 'ats', 1)
          redis.call('ZADD', q .. ':failed', now + id, id)
        end
        redis.call('SET', q .. ':id', to)
        redis.call('XADD', q .. ':events', '*', 'event', 'drained')";
    let mut connection = redis.connection();
    let begin = crate::support::now_ms() - 3_600_000;
    for from in (1..=count).step_by(2_000) {
        let to = (from + 1_999).min(count);
        redis::cmd("EVAL")
            .arg(SCRIPT)
            .arg(1)
            .arg(format!("bull:{queue}"))
            .arg(from)
            .arg(to)
            .arg(begin)
            .exec(&mut connection)
            .unwrap();
    }
}

/// A preview of an operation.
pub(crate) async fn preview(drover: &Drover, action: &str, filter: &str) -> Value {
    let body = json!({"action": action, "filter": filter, "dry_run": true});
    let answer = drover.post("/operations", &body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

/// Starts a preview, with more fields; returns the id of the operation.
pub(crate) async fn start(drover: &Drover, preview: &Value, more: Value) -> String {
    let mut body = json!({"token": preview["token"]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let answer = drover.post("/operations", &body).await;
    assert_eq!(answer.status, 202, "{}", answer.body);
    answer.json()["id"].as_str().unwrap().to_owned()
}

pub(crate) async fn operation(drover: &Drover, id: &str) -> Value {
    let answer = drover.get(&format!("/api/v1/operations/{id}")).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let operation = answer.json();
    adds_up(&operation);
    operation
}

/// Checks that the jobs with a result and those without add up to the selection.
pub(crate) fn adds_up(operation: &Value) {
    let totals = &operation["totals"];
    let n = |name: &str| totals[name].as_u64().unwrap();
    let settled: u64 = ["done", "already", "changed", "gone", "failed", "unconfirmed"]
        .map(n)
        .iter()
        .sum();
    assert!(settled <= n("selected"), "{totals}");
    if operation["state"] == "done" {
        assert_eq!(settled, n("selected"), "{totals}");
    }
}

pub(crate) async fn becomes(drover: &Drover, id: &str, state: &str) -> Value {
    eventually(&format!("the operation {state}"), LATER * 4, || async {
        let now = operation(drover, id).await;
        (now["state"] == state).then_some(now)
    })
    .await
}

pub(crate) async fn control(drover: &Drover, id: &str, word: &str) {
    let answer = drover.post(&format!("/operations/{id}/{word}"), &json!({})).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}
