//! An adapter over a Postgres, the library beside it, and the helpers of tests for both.

use crate::support::oracle::Oracle;
use crate::support::postgres::Postgres;
use crate::support::{LATER, eventually};
use drover::model::action::{Effect, JobAction, QueueAction, ScheduleAction, Seen};
use drover::model::counts::Counts;
use drover::model::job::JobDetail;
use drover::model::now;
use drover::model::page::Order;
use drover::model::state::JobState;
use drover::server::adapter::Act as _;
use drover::server::adapter::pgboss::{PgBoss, Scope};
use drover::server::adapter::postgres::database::Database;
use drover::server::adapter::{Adapter, JobQuery, QueueId};
use drover::server::redact::Masks;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// A major version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Of(pub(crate) u8);

#[expect(non_upper_case_globals, reason = "they name tests as well")]
mod majors {
    use super::Of;
    pub(crate) const pgboss_9: Of = Of(9);
    pub(crate) const pgboss_10: Of = Of(10);
    pub(crate) const pgboss_11: Of = Of(11);
    pub(crate) const pgboss_12: Of = Of(12);
}
pub(crate) use majors::*;

/// Everything that a test needs: the library with a queue `q`, and the adapter.
pub(crate) struct Bench {
    pub(crate) of: Of,
    pub(crate) postgres: Postgres,
    pub(crate) oracle: Oracle,
    pub(crate) adapter: Arc<PgBoss>,
    stop: CancellationToken,
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// An adapter with connections of its own.
pub(crate) async fn adapter(url: &str, stop: &CancellationToken) -> Arc<PgBoss> {
    let database = Arc::new(Database::new(url).unwrap());
    tokio::spawn(Arc::clone(&database).supervise(stop.clone()));
    let mut health = database.health();
    health.wait_for(Result::is_ok).await.unwrap();
    Arc::new(PgBoss::new(database, Scope::default(), Masks::default()))
}

impl Bench {
    pub(crate) async fn of(of: Of) -> Self {
        Self::with(of, "pgboss", json!({})).await
    }

    /// The same in another schema, the queue with these options.
    pub(crate) async fn with(of: Of, schema: &str, queue: Value) -> Self {
        let postgres = Postgres::start().await;
        // Only the test changes anything: no timetable, no maintenance.
        let quiet = match of.0 {
            9 => json!({"noSupervisor": true, "noScheduling": true}),
            _ => json!({"supervise": false, "schedule": false}),
        };
        let mut oracle = Oracle::pgboss(&postgres.url(), &of.0.to_string(), schema, quiet).await;
        assert!(oracle.version.starts_with(&format!("{}.", of.0)), "{}", oracle.version);
        oracle.ask("createQueue", "q", json!({"options": queue})).await;
        let stop = CancellationToken::new();
        let adapter = adapter(&postgres.url(), &stop).await;
        Self {
            of,
            postgres,
            oracle,
            adapter,
            stop,
        }
    }

    /// Another adapter, for instance of another role.
    pub(crate) async fn over(&self, url: &str) -> Arc<PgBoss> {
        adapter(url, &self.stop).await
    }

    pub(crate) async fn send(&mut self, data: Value, options: Value) -> String {
        self.send_to("q", data, options).await
    }

    pub(crate) async fn send_to(&mut self, queue: &str, data: Value, options: Value) -> String {
        let sent = self
            .oracle
            .ask("send", queue, json!({"data": data, "options": options}))
            .await;
        sent["jobId"]
            .as_str()
            .unwrap_or_else(|| panic!("it was not taken: {sent}"))
            .to_owned()
    }

    /// Starts a worker `w` of the queue `q`.
    pub(crate) async fn work(&mut self) {
        self.oracle.ask("startWorker", "q", json!({"workerId": "w"})).await;
    }

    pub(crate) async fn rest(&mut self) {
        self.oracle.ask("stopWorker", "q", json!({"workerId": "w"})).await;
    }

    /// Waits until the library reports this state of a job of the queue `q`.
    pub(crate) async fn becomes(&mut self, id: &str, state: &str) -> Value {
        self.oracle
            .ask("waitUntil", "q", json!({"jobId": id, "state": state}))
            .await
    }

    /// The job as the library knows it.
    pub(crate) async fn job(&mut self, id: &str) -> Value {
        self.oracle.ask("job", "q", json!({"jobId": id})).await
    }

    /// A job that a worker took and that failed for good, the worker gone.
    pub(crate) async fn failed(&mut self, data: Value, options: Value) -> String {
        let mut options = options;
        options["retryLimit"] = json!(0);
        let id = self.send(data, options).await;
        self.work().await;
        self.becomes(&id, "failed").await;
        self.rest().await;
        id
    }

    /// Calls this method of the library on a job of `q`.
    pub(crate) async fn call(&mut self, method: &str, id: &str) -> Value {
        let args = if self.of.0 == 9 { json!([id]) } else { json!(["q", id]) };
        self.oracle
            .ask("call", "q", json!({"method": method, "args": args}))
            .await
    }

    pub(crate) async fn counts(&self, queue: &str) -> Counts {
        let readings = self.adapter.counts(&[queue.into()]).await.unwrap();
        assert_eq!(readings.len(), 1);
        readings[0].counts
    }

    /// Checks that the counts are exactly these, and zero where no count is given.
    pub(crate) async fn counts_are(&self, queue: &str, wanted: &[(JobState, u64)]) {
        let counts = self.counts(queue).await;
        for state in JobState::ALL {
            let n = wanted.iter().find(|(s, _)| *s == state).map_or(0, |(_, n)| *n);
            assert_eq!(counts.get(state), Some(n), "{state} of {queue}: {counts:?}");
        }
    }

    /// The ids of a page, page by page of this many.
    pub(crate) async fn ids(&self, state: JobState, order: Order, limit: usize) -> Vec<String> {
        let mut ids = vec![];
        let mut cursor = None;
        loop {
            let page = self.adapter.jobs(&query(state, order, cursor, limit)).await.unwrap();
            assert!(page.rows.len() <= limit);
            assert!(page.rows.iter().all(|row| row.state == state), "{:?}", page.rows);
            ids.extend(page.rows.into_iter().map(|row| row.id));
            cursor = page.next;
            if cursor.is_none() {
                return ids;
            }
        }
    }

    pub(crate) async fn detail(&self, id: &str) -> Option<JobDetail> {
        self.adapter.job(&"q".into(), id).await.unwrap()
    }

    pub(crate) async fn act(&self, id: &str, action: JobAction) -> Effect {
        self.act_seen(id, Seen::default(), action).await
    }

    pub(crate) async fn act_seen(&self, id: &str, seen: Seen, action: JobAction) -> Effect {
        let effects = self
            .adapter
            .on_jobs(&"q".into(), &[(id.to_owned(), seen)], &action)
            .await
            .unwrap();
        assert_eq!(effects.len(), 1);
        effects.into_iter().next().unwrap()
    }

    pub(crate) async fn act_on_queue(&self, queue: &str, action: QueueAction) -> Effect {
        self.adapter.on_queue(&queue.into(), &action).await.unwrap()
    }

    pub(crate) async fn act_on_schedule(&self, queue: &str, key: &str, action: ScheduleAction) -> Effect {
        let queue = QueueId::from(queue);
        self.adapter.on_schedule(&queue, key, &action).await.unwrap()
    }

    /// Waits until the adapter counts so many jobs of a state in `q`.
    pub(crate) async fn wait(&self, state: JobState, count: u64) {
        eventually(&format!("{count} jobs {state}"), LATER, || async {
            (self.counts("q").await.get(state) == Some(count)).then_some(())
        })
        .await;
    }
}

pub(crate) fn query(state: JobState, order: Order, cursor: Option<String>, limit: usize) -> JobQuery {
    JobQuery {
        queue: "q".into(),
        state,
        filter: None,
        at: now(),
        order,
        cursor,
        limit,
    }
}
