//! The library's own view: a process that drives the real Bull, BullMQ or pg-boss (Node), Celery or arq (Python); and lists
//! that workers in Python go through.

use serde_json::{Value, json};
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// One library of one version over one store.
pub(crate) struct Oracle {
    _child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    next: u64,
    pub(crate) version: String,
}

impl Oracle {
    /// Starts BullMQ of this major version.
    pub(crate) async fn start(redis_url: &str, major: u8) -> Self {
        Self::of(redis_url, &major.to_string()).await
    }

    /// Starts the library of this family: `bull`, or BullMQ's major version `3`, `4`, `5`, `6`.
    pub(crate) async fn of(redis_url: &str, family: &str) -> Self {
        Self::run("oracle.mjs", &["--redis", redis_url, "--bullmq", family]).await
    }

    /// Starts Bee-Queue.
    pub(crate) async fn beequeue(redis_url: &str) -> Self {
        Self::run("beequeue.mjs", &["--redis", redis_url]).await
    }

    /// Starts pg-boss of this major version over a schema, with options of its own.
    pub(crate) async fn pgboss(postgres_url: &str, major: &str, schema: &str, options: Value) -> Self {
        let options = options.to_string();
        let arguments = [
            "--postgres",
            postgres_url,
            "--major",
            major,
            "--schema",
            schema,
            "--options",
            &options,
        ];
        Self::run("pgboss.mjs", &arguments).await
    }

    /// Starts Celery, with settings of its application.
    pub(crate) async fn celery(redis_url: &str, options: Value) -> Self {
        Self::python("celery", redis_url, &options).await
    }

    /// Starts arq, with settings of its workers.
    pub(crate) async fn arq(redis_url: &str, options: Value) -> Self {
        Self::python("arq", redis_url, &options).await
    }

    /// Starts an application with lists of its own, which are as these options say.
    pub(crate) async fn lists(redis_url: &str, options: Value) -> Self {
        Self::python_in("arq", "lists", redis_url, &options).await
    }

    /// Starts RQ.
    pub(crate) async fn rq(redis_url: &str) -> Self {
        Self::python_in("python", "rq", redis_url, &json!({})).await
    }

    /// Starts a library of Python, in an environment of its own.
    async fn python(library: &str, redis_url: &str, options: &Value) -> Self {
        Self::python_in(library, library, redis_url, options).await
    }

    /// The same in the environment of another one.
    async fn python_in(environment: &str, library: &str, redis_url: &str, options: &Value) -> Self {
        let program = format!("{}/.tools/{environment}/bin/python", env!("CARGO_MANIFEST_DIR"));
        let options = options.to_string();
        let arguments = ["--redis", redis_url, "--options", &options];
        Self::run_by(&program, &format!("{library}_oracle.py"), &arguments).await
    }

    async fn run(script: &str, arguments: &[&str]) -> Self {
        Self::run_by("node", script, arguments).await
    }

    async fn run_by(program: &str, script: &str, arguments: &[&str]) -> Self {
        let mut child = Command::new(program)
            .arg(format!("{}/end2end/oracle/{script}", env!("CARGO_MANIFEST_DIR")))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}; has scripts/setup been run?"));
        let input = child.stdin.take().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = output
            .next_line()
            .await
            .unwrap()
            .expect("the oracle starts; has `npm ci` been run?");
        let ready: Value = serde_json::from_str(&ready).unwrap();
        Self {
            _child: child,
            input,
            output,
            next: 0,
            version: ready["version"].as_str().unwrap().to_owned(),
        }
    }

    /// Sends the library a command about a queue.
    ///
    /// # Panics
    ///
    /// When the library refuses.
    pub(crate) async fn ask(&mut self, command: &str, queue: &str, mut arguments: Value) -> Value {
        self.next += 1;
        arguments["id"] = json!(self.next);
        arguments["cmd"] = json!(command);
        arguments["queue"] = json!(queue);
        let line = format!("{arguments}\n");
        self.input.write_all(line.as_bytes()).await.unwrap();
        let answer = self.output.next_line().await.unwrap().expect("the oracle lives");
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert!(answer.get("error").is_none(), "{command} on {queue}: {answer}");
        answer["ok"].clone()
    }

    /// Adds a job and returns its id.
    pub(crate) async fn add(&mut self, queue: &str, name: &str, data: Value, opts: Value) -> String {
        let added = self
            .ask("add", queue, json!({"name": name, "data": data, "opts": opts}))
            .await;
        added["jobId"].as_str().unwrap().to_owned()
    }

    /// The ids of a state, by the library's own name for it, in the library's order.
    pub(crate) async fn ids(&mut self, queue: &str, state: &str, asc: bool) -> Vec<String> {
        let ids = self.ask("ids", queue, json!({"state": state, "asc": asc})).await;
        serde_json::from_value(ids).unwrap()
    }

    /// One job as the library knows it.
    pub(crate) async fn job(&mut self, queue: &str, id: &str) -> Value {
        self.ask("job", queue, json!({"jobId": id})).await
    }

    /// Waits until the library counts so many jobs of a state.
    pub(crate) async fn wait(&mut self, queue: &str, state: &str, count: usize) {
        self.ask("waitUntil", queue, json!({"state": state, "count": count}))
            .await;
    }

    /// The library's counts, with our names for the states.
    pub(crate) async fn counts(&mut self, queue: &str) -> Value {
        let counts = self.ask("counts", queue, json!({})).await;
        let n = |name: &str| counts[name].as_u64().unwrap_or(0);
        // A count that the library itself does not know is null.
        let known = |name: &str| match counts.get(name) {
            Some(Value::Null) => Value::Null,
            _ => json!(n(name)),
        };
        let mut ours = json!({
            "waiting": n("waiting") + n("paused"),
            "prioritized": n("prioritized"),
            "active": n("active"),
            "delayed": n("delayed"),
            "waiting_children": n("waiting-children"),
            "completed": known("completed"),
            "failed": known("failed"),
        });
        // A state that only some libraries have.
        if let Some(cancelled) = counts.get("cancelled") {
            ours["cancelled"] = cancelled.clone();
        }
        ours
    }
}
