//! Whole states of a queue through the board's operations: preview, batches, stop, compared with the library.

use super::bench::{Bench, Of, pgboss_12};
use crate::support::app::Drover;
use crate::support::{LATER, eventually};
use serde_json::{Value, json};

/// So many jobs in each state but `active`.
const EACH: i64 = 700;

/// A queue with jobs in every state, half of the finished ones two days old, beside another queue with the same.
async fn full(of: Of) -> (Bench, Drover) {
    let mut bench = Bench::of(of).await;
    bench.oracle.ask("createQueue", "near", json!({})).await;
    let column = |name: &str| {
        if of.0 == 9 {
            name.replace('_', "")
        } else {
            name.to_owned()
        }
    };
    let (start, end, begun) = (column("start_after"), column("completed_on"), column("started_on"));
    for queue in ["q", "near"] {
        for (state, set) in [
            ("failed", format!("state = 'failed', {begun} = now(), {end} = now()")),
            (
                "completed",
                format!("state = 'completed', {begun} = now(), {end} = now()"),
            ),
            ("cancelled", format!("state = 'cancelled', {end} = now()")),
            ("delayed", format!("{start} = now() + interval '1 hour'")),
            ("waiting", "priority = 1".to_owned()),
        ] {
            let many = json!({"count": EACH, "data": {"state": state}});
            bench.oracle.ask("sendMany", queue, many).await;
            let set = format!("update pgboss.job set {set} where name = '{queue}' and data->>'state' = '{state}'");
            bench.postgres.run(&set).await;
        }
    }
    let old = format!(
        "with half as (select id from pgboss.job where state > 'active' and name = 'q' and id::text < '8') \
         update pgboss.job j set {end} = now() - interval '2 days' from half where j.name = 'q' and j.id = half.id"
    );
    bench.postgres.run(&old).await;
    let held = bench.send(json!({"hold": true}), json!({"priority": 100})).await;
    bench.work().await;
    bench.becomes(&held, "active").await;
    // The worker is busy for as long as the test lasts.
    let drover = Drover::with(&[("DROVER_POSTGRES_URL", &bench.postgres.url())], "").await;
    eventually("the queue", LATER, || async {
        let queue = drover.queue("postgres", "q").await?;
        (queue["counts"]["waiting"] == EACH && queue["counts"]["active"] == 1).then_some(())
    })
    .await;
    (bench, drover)
}

async fn count(bench: &Bench, queue: &str, which: &str) -> i64 {
    let sql = format!("select count(*) from pgboss.job where name = '{queue}' and {which}");
    bench.postgres.one(&sql).await
}

async fn preview(drover: &Drover, action: &str, filter: &str) -> Value {
    let order = json!({"action": action, "filter": filter, "dry_run": true});
    let answer = drover.post("/operations", &order).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

async fn start(drover: &Drover, preview: &Value, rate: Option<u32>) -> String {
    let order = json!({"token": preview["token"], "typed": preview["typed"], "rate": rate});
    let answer = drover.post("/operations", &order).await;
    assert_eq!(answer.status, 202, "{}", answer.body);
    answer.json()["id"].as_str().unwrap().to_owned()
}

async fn ended(drover: &Drover, id: &str) -> Value {
    eventually(&format!("{id} to end"), LATER, || async {
        let told = drover.get(&format!("/api/v1/operations/{id}")).await.json();
        told["ended"].is_number().then_some(told)
    })
    .await
}

/// Previews and starts an operation; returns how many jobs it did. Every one must be done.
async fn all(drover: &Drover, action: &str, filter: &str) -> i64 {
    let preview = preview(drover, action, filter).await;
    let told = ended(drover, &start(drover, &preview, None).await).await;
    assert_eq!(told["state"], "done", "{told}");
    assert_eq!(told["totals"]["done"], told["totals"]["selected"], "{told}");
    told["totals"]["done"].as_i64().unwrap()
}

on!(whole_states_are_retried_cleaned_resumed_and_drained);
async fn whole_states_are_retried_cleaned_resumed_and_drained(of: Of) {
    let (mut bench, drover) = full(of).await;
    assert_eq!(all(&drover, "retry", "state:failed queue:postgres/q").await, EACH);
    let waits = "state::text in ('created', 'retry')";
    assert_eq!(count(&bench, "q", "state = 'retry'").await, EACH);
    let old = all(&drover, "remove", "state:completed age:>24h queue:postgres/q").await;
    assert!(old > 0 && old < EACH, "{old}");
    assert_eq!(count(&bench, "q", "state = 'completed'").await, EACH - old);
    let first = all(&drover, "remove", "state:cancelled first:50 queue:postgres/q").await;
    assert_eq!(first, 50);
    assert_eq!(
        all(&drover, "resume_job", "state:cancelled queue:postgres/q").await,
        EACH - 50
    );
    assert_eq!(count(&bench, "q", "state = 'cancelled'").await, 0);
    let delayed = all(&drover, "promote", "state:delayed first:100 queue:postgres/q").await;
    assert_eq!(delayed, 100);
    let left = count(&bench, "q", waits).await;
    assert_eq!(
        all(&drover, "remove", "state:waiting,delayed queue:postgres/q").await,
        left
    );
    assert_eq!(count(&bench, "q", waits).await, 0);
    // Active jobs belong to their worker, and no other queue was changed.
    assert_eq!(count(&bench, "q", "state = 'active'").await, 1);
    assert_eq!(count(&bench, "near", "true").await, 5 * EACH);
    let id = bench.send(json!({}), json!({})).await;
    bench.rest().await;
    bench.work().await;
    bench.becomes(&id, "completed").await;
}

#[tokio::test]
async fn an_operation_that_is_cancelled_leaves_the_rest_as_it_was() {
    let (bench, drover) = full(pgboss_12).await;
    let preview = preview(&drover, "remove", "state:waiting,delayed queue:postgres/q").await;
    assert_eq!(preview["selected"], 2 * EACH);
    let id = start(&drover, &preview, Some(200)).await;
    eventually("some progress", LATER, || async {
        let told = drover.get(&format!("/api/v1/operations/{id}")).await.json();
        told["totals"]["done"].as_i64().filter(|done| *done > 0)
    })
    .await;
    drover.post(&format!("/operations/{id}/cancel"), &json!({})).await;
    let told = ended(&drover, &id).await;
    let done = told["totals"]["done"].as_i64().unwrap();
    assert_eq!(told["state"], "cancelled", "{told}");
    assert!(done < 2 * EACH, "{told}");
    let left = count(&bench, "q", "state::text in ('created', 'retry')").await;
    assert_eq!(left, 2 * EACH - done);
}

#[tokio::test]
async fn the_queues_page_offers_what_can_be_done_and_the_rest_says_why_not() {
    let (_bench, drover) = full(pgboss_12).await;
    let page = eventually("the archive to be ready", LATER, || async {
        let page = drover.get("/queues/postgres/q?state=cancelled").await.body;
        page.contains("Archive all failed…").then_some(page)
    })
    .await;
    for words in [
        "Retry all failed…",
        "Promote all delayed…",
        "Resume all cancelled…",
        "Resume selected…",
        "Archive or clean by state, age and count…",
        "Archive all failed…",
        "Drain: remove all waiting jobs…",
        "pg-boss queues belong to the application",
    ] {
        assert!(page.contains(words), "{words}");
    }
    let completed = drover.get("/queues/postgres/q?state=completed").await.body;
    assert!(!completed.contains("Retry selected…"), "pg-boss does not support this");
    let preview = preview(&drover, "retry", "state:completed queue:postgres/q").await;
    assert_eq!(preview["selected"], 0);
    let skipped = &preview["skipped"][0];
    assert_eq!(skipped["jobs"], EACH);
    assert!(
        skipped["of"].as_str().unwrap().contains("failed jobs only"),
        "{skipped}"
    );
}
