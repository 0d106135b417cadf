//! Drover itself, in this process, on a free port.

use super::client::{self, Answer, Stream};
use super::oracle::Oracle;
use super::redis::Redis;
use super::{SOON, eventually};
use drover::model::address::encode_segment;
use drover::server::tasks::Tasks;
use drover::server::{boot, config};
use serde_json::{Value, json};
use std::collections::HashMap;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A running board, stopped when dropped.
pub(crate) struct Drover {
    pub(crate) port: u16,
    /// The store of calls that name none.
    pub(crate) store: &'static str,
    pub(crate) stop: CancellationToken,
    /// The tasks that it keeps running.
    pub(crate) tasks: Tasks,
    pub(crate) serving: Option<JoinHandle<()>>,
    /// Where it keeps the audit log, unless the test said where.
    pub(crate) state: tempfile::TempDir,
}

impl Drover {
    /// Starts a board over one Redis with the id `redis`.
    pub(crate) async fn over(url: &str) -> Self {
        Self::with(&[("DROVER_REDIS_URL", url)], "").await
    }

    /// Starts a board over one Postgres with the id `postgres`.
    pub(crate) async fn over_postgres(url: &str) -> Self {
        let mut drover = Self::with(&[("DROVER_POSTGRES_URL", url)], "").await;
        drover.store = "postgres";
        drover
    }

    /// Starts a board over a Redis in which three jobs wait in the queue `q`, and waits until it shows them.
    pub(crate) async fn over_three_jobs(redis: &Redis) -> (Oracle, Self) {
        let mut oracle = Oracle::start(&redis.url(), 6).await;
        for _ in 0..3 {
            oracle.add("q", "n", json!({}), json!({})).await;
        }
        let drover = Self::over(&redis.url()).await;
        let counts = oracle.counts("q").await;
        drover.knows("bull:q").await;
        drover.counts_become("bull:q", &counts).await;
        (oracle, drover)
    }

    /// Starts a board from environment variables and the text of a configuration file.
    pub(crate) async fn with(env: &[(&str, &str)], file: &str) -> Self {
        let mut env: HashMap<String, String> = env.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let dir = tempfile::tempdir().unwrap();
        let audit = dir.path().join("audit.ndjson").display().to_string();
        env.entry("DROVER_AUDIT_FILE".into()).or_insert(audit);
        env.entry("DROVER_AUTH_MODE".into()).or_insert_with(|| "none".into());
        let path = dir.path().join("Leptos.toml");
        std::fs::write(&path, file).unwrap();
        let config = config::load(Some(&path), &|name| env.get(name).cloned()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let stop = CancellationToken::new();
        let tasks = Tasks::new(stop.clone());
        let kept = tasks.clone();
        let serving = tokio::spawn(async move { boot::serve(config, listener, kept).await.unwrap() });
        Self {
            port,
            store: "redis",
            stop,
            tasks,
            serving: Some(serving),
            state: dir,
        }
    }

    /// `POST` of JSON to the API, as a program does.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_with(path, &[], body).await
    }

    /// The same with more headers.
    pub(crate) async fn post_with(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        let program = [("X-Drover", "1"), ("Content-Type", "application/json")];
        let path = format!("/admin/queues/api/v1{path}");
        client::request(
            self.port,
            "POST",
            &path,
            &[&program, headers].concat(),
            &body.to_string(),
        )
        .await
    }

    /// Sends a form as a page of the board does.
    pub(crate) async fn send_form(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let fields: Vec<String> = fields
            .iter()
            .map(|(name, value)| format!("{name}={}", encode_segment(value)))
            .collect();
        let headers = [
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("Sec-Fetch-Site", "same-origin"),
        ];
        let path = format!("/admin/queues{path}");
        client::request(self.port, "POST", &path, &headers, &fields.join("&")).await
    }

    /// The entries of the audit log, the newest first.
    pub(crate) async fn audit(&self, query: &str) -> Vec<Value> {
        let answer = self.get(&format!("/api/v1/audit?{query}")).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()["items"].as_array().unwrap().clone()
    }

    /// `GET` below the default base path.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        client::get(self.port, &format!("/admin/queues{path}")).await
    }

    /// An event stream.
    pub(crate) async fn stream(&self, topics: &str) -> Stream {
        Stream::open(self.port, &format!("/admin/queues/events?topics={topics}"), &[]).await
    }

    /// A queue as the API returns it, if it is known.
    pub(crate) async fn queue(&self, store: &str, queue: &str) -> Option<Value> {
        let answer = self
            .get(&format!("/api/v1/queues/{store}/{}", encode_segment(queue)))
            .await;
        (answer.status == 200).then(|| answer.json())
    }

    /// The capabilities of a queue's generation.
    pub(crate) async fn capabilities(&self, queue: &Value) -> Value {
        let systems = self.get("/api/v1/systems").await.json();
        let mut all = systems["items"].as_array().unwrap().iter();
        let found = all.find(|can| can["layout"] == queue["family"]["layout"]);
        found
            .unwrap_or_else(|| panic!("{queue} is of no generation in {systems}"))
            .clone()
    }

    /// Waits until a queue is on the board.
    pub(crate) async fn knows(&self, queue: &str) -> Value {
        eventually(&format!("{queue} on the board"), SOON, || self.queue(self.store, queue)).await
    }

    /// The rows of a state as the API lists them, over all its pages.
    pub(crate) async fn rows(&self, queue: &str, state: &str, order: &str, limit: usize) -> Vec<Value> {
        let mut rows = Vec::new();
        let mut cursor = String::new();
        for _ in 0..200 {
            let path = format!(
                "/api/v1/queues/{store}/{queue}/jobs?state={state}&order={order}&limit={limit}&cursor={cursor}",
                store = self.store,
                queue = encode_segment(queue),
            );
            let answer = self.get(&path).await;
            assert_eq!(answer.status, 200, "{}", answer.body);
            let page = answer.json();
            rows.extend(page["rows"].as_array().unwrap().iter().cloned());
            match page["next"].as_str() {
                Some(next) => cursor = encode_segment(next),
                None => return rows,
            }
        }
        panic!("{state}: the pages never end");
    }

    /// The ids of [`Self::rows`].
    pub(crate) async fn ids(&self, queue: &str, state: &str, order: &str, limit: usize) -> Vec<String> {
        let rows = self.rows(queue, state, order, limit).await;
        rows.iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
    }

    /// Everything about a job.
    pub(crate) async fn job(&self, queue: &str, id: &str) -> Value {
        let (queue, id) = (encode_segment(queue), encode_segment(id));
        let path = format!("/api/v1/queues/{}/{queue}/jobs/{id}", self.store);
        let answer = self.get(&path).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()
    }

    /// Waits until a queue's counts are these.
    pub(crate) async fn counts_become(&self, queue: &str, counts: &Value) {
        let mut seen = Value::Null;
        for _ in 0..400 {
            if let Some(line) = self.queue(self.store, queue).await {
                if line["counts"] == *counts {
                    return;
                }
                seen = line["counts"].clone();
            }
            tokio::time::sleep(std::time::Duration::from_millis(25)).await;
        }
        panic!("{queue}: the board says {seen}, the library says {counts}");
    }

    /// The same, where the store pushes nothing.
    pub(crate) async fn counts_become_late(&self, queue: &str, counts: &Value) {
        eventually(&format!("{queue} is {counts}"), super::LATER * 2, || async {
            (self.queue(self.store, queue).await?["counts"] == *counts).then_some(())
        })
        .await;
    }

    /// A store as the API returns it.
    pub(crate) async fn store(&self, id: &str) -> Value {
        self.get(&format!("/api/v1/stores/{id}")).await.json()
    }

    /// The condition of this kind that a store has, if any.
    pub(crate) async fn condition(&self, id: &str, kind: &str) -> Option<Value> {
        let store = self.store(id).await;
        let found = store["conditions"].as_array()?.iter().find(|c| c["kind"] == kind)?;
        Some(found.clone())
    }

    /// Waits until a store has this condition.
    pub(crate) async fn condition_becomes(&self, id: &str, kind: &str) -> Value {
        self.condition_says(id, kind, "").await
    }

    /// Waits until a store has this condition, and its sentence or effect contains this text.
    pub(crate) async fn condition_says(&self, id: &str, kind: &str, part: &str) -> Value {
        let began = std::time::Instant::now();
        loop {
            if let Some(condition) = self.condition(id, kind).await
                && ["sentence", "effect"]
                    .iter()
                    .any(|text| condition[text].as_str().unwrap().contains(part))
            {
                return condition;
            }
            let store = self.store(id).await;
            assert!(
                began.elapsed() < super::LATER,
                "waited in vain for {kind} that says {part:?}: {store}"
            );
            tokio::time::sleep(std::time::Duration::from_millis(25)).await;
        }
    }

    /// Waits until a store no longer has this condition.
    pub(crate) async fn condition_ends(&self, id: &str, kind: &str) {
        eventually(&format!("store {id} no longer has {kind}"), super::LATER, || async {
            self.condition(id, kind).await.is_none().then_some(())
        })
        .await;
    }

    /// Waits until a store's state is this word.
    pub(crate) async fn store_becomes(&self, id: &str, reach: &str) -> Value {
        let began = std::time::Instant::now();
        loop {
            let store = self.store(id).await;
            if store["reach"] == reach {
                return store;
            }
            assert!(began.elapsed() < SOON, "waited in vain for {reach}: {store}");
            tokio::time::sleep(std::time::Duration::from_millis(25)).await;
        }
    }
}

impl Drop for Drover {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
