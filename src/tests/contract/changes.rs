//! Pushed changes, and how soon they arrive.

use super::{Family, Store};
use crate::support::LATER;
use crate::support::app::Drover;
use crate::support::client::Stream;
use crate::support::oracle::Oracle;
use serde_json::{Value, json};
use std::time::Duration;

/// How long any change may take.
const PATIENCE: Duration = LATER;

/// A queue's or a job's stream, and everything it has sent so far.
struct Watch {
    stream: Stream,
    /// What happened to jobs, oldest first.
    jobs: Vec<Value>,
    counts: Value,
    paused: Value,
}

impl Watch {
    async fn of(drover: &Drover, topic: &str) -> Self {
        let mut watch = Self {
            stream: drover.stream(topic).await,
            jobs: vec![],
            counts: Value::Null,
            paused: Value::Null,
        };
        let first = watch.stream.next().await.expect("a snapshot");
        assert_eq!(first.name, "snapshot");
        watch.take(&first.data);
        watch
    }

    /// Reads until `check` holds. The benchmarks measure how soon a change arrives.
    async fn until(&mut self, what: &str, check: impl Fn(&Self) -> bool) {
        let until = tokio::time::Instant::now() + PATIENCE;
        while !check(self) {
            let event = tokio::time::timeout_at(until, self.stream.next()).await;
            let Ok(Some(event)) = event else {
                panic!(
                    "waited in vain for: {what}; told so far: {:?} {} paused {}",
                    self.jobs, self.counts, self.paused
                );
            };
            self.take(&event.data);
        }
    }

    fn take(&mut self, frame: &Value) {
        self.jobs
            .extend(frame["jobs"].as_array().into_iter().flatten().cloned());
        let lines = [&frame["queues"], &frame["patches"]];
        for line in lines.into_iter().filter_map(Value::as_array).flatten() {
            for (place, name) in [(&mut self.counts, "counts"), (&mut self.paused, "paused")] {
                if let Some(value) = line.get(name) {
                    value.clone_into(place);
                }
            }
        }
    }

    /// Waits for something about one job.
    async fn job(&mut self, id: &str, name: &str, value: &Value) {
        self.until(&format!("job {id}: {name} {value}"), |watch| {
            watch.jobs.iter().any(|job| job["id"] == id && job[name] == *value)
        })
        .await;
    }

    /// Waits for the counts that the library returns now.
    async fn counts(&mut self, oracle: &mut Oracle, queue: &str) {
        let counts = oracle.counts(queue).await;
        self.until(&format!("the counts {counts}"), |watch| watch.counts == counts)
            .await;
    }
}

/// A board that follows a queue with one job for the far future.
async fn scene(family: &Family) -> (Store, Oracle, Drover, Watch) {
    let (store, mut oracle) = family.alone().await;
    oracle.add("q", "seed", json!({}), json!({"delay": 10_000_000})).await;
    let drover = family.board(&store).await;
    drover.knows(&family.id("q")).await;
    let watch = Watch::of(&drover, &format!("queue:{}/{}", drover.store, family.id("q"))).await;
    settled(&drover).await;
    (store, oracle, drover, watch)
}

/// Waits until the board receives a queue's events, which it does once it has found their position; until then it
/// counts.
async fn settled(drover: &Drover) {
    crate::support::eventually("the first search is over", crate::support::SOON, || async {
        (drover.store(drover.store).await["searched"] == true).then_some(())
    })
    .await;
}

pub(crate) async fn of_jobs_are_pushed(family: &Family) {
    let (_store, mut oracle, _drover, mut watch) = scene(family).await;
    let waiting = oracle.add("q", "work", json!({}), json!({})).await;
    if family.tells_steps {
        watch.job(&waiting, "state", &json!("waiting")).await;
    }
    if family.tells_all {
        watch.job(&waiting, "name", &json!("work")).await;
    }
    watch.counts(&mut oracle, "q").await;

    let delayed = oracle.add("q", "work", json!({}), json!({"delay": 5_000_000})).await;
    if family.tells_all {
        watch.job(&delayed, "state", &json!("delayed")).await;
    }
    watch.counts(&mut oracle, "q").await;

    let urgent = oracle.add("q", "work", json!({}), json!({"priority": 2})).await;
    watch.counts(&mut oracle, "q").await;

    oracle.ask("remove", "q", json!({"jobId": urgent})).await;
    if family.tells_all {
        watch.job(&urgent, "removed", &json!(true)).await;
        watch.counts(&mut oracle, "q").await;
    }

    oracle.ask("startWorker", "q", json!({"workerId": "w"})).await;
    if family.tells_steps {
        watch.job(&waiting, "state", &json!("active")).await;
    }
    watch.job(&waiting, "state", &json!("completed")).await;
    let data = json!({"hold": true, "progress": [30, {"step": "b"}]});
    let held = oracle.add("q", "work", data, json!({})).await;
    watch.job(&held, "state", &json!("active")).await;
    if family.keeps_notes {
        watch.job(&held, "progress", &json!({"percent": 30.0})).await;
        let step = json!({"text": "{\"step\":\"b\"}"});
        watch.job(&held, "progress", &step).await;
    }
    watch.counts(&mut oracle, "q").await;
    oracle.ask("release", "q", json!({"jobId": held})).await;
    watch.job(&held, "state", &json!("completed")).await;
    watch.counts(&mut oracle, "q").await;

    let bad = oracle
        .add("q", "bad", json!({"fail": "boom\nsecond line"}), json!({}))
        .await;
    watch.job(&bad, "state", &json!("failed")).await;
    watch.job(&bad, "error", &json!("boom")).await;
    watch.counts(&mut oracle, "q").await;

    let opts = json!({"attempts": 2, "backoff": 500_000});
    let again = oracle.add("q", "bad", json!({"fail": "boom"}), opts).await;
    oracle.wait("q", "delayed", 3).await;
    if family.tells_all {
        watch.job(&again, "state", &json!("delayed")).await;
    }
    watch.counts(&mut oracle, "q").await;
}

pub(crate) async fn of_one_job_are_pushed(family: &Family) {
    let (_store, mut oracle, drover, _watch) = scene(family).await;
    oracle.ask("startWorker", "q", json!({"workerId": "w"})).await;
    let held = oracle.add("q", "work", json!({"hold": true}), json!({})).await;
    oracle.wait("q", "active", 1).await;
    let topic = format!("job:{}/{}/{held}", drover.store, family.id("q"));
    let mut watch = Watch::of(&drover, &topic).await;
    oracle.add("q", "other", json!({}), json!({})).await;
    if family.keeps_notes {
        oracle
            .ask("setProgress", "q", json!({"jobId": held, "progress": 77}))
            .await;
        watch.job(&held, "progress", &json!({"percent": 77.0})).await;
    }
    oracle.ask("release", "q", json!({"jobId": held})).await;
    watch.job(&held, "state", &json!("completed")).await;
    assert!(watch.jobs.iter().all(|job| job["id"] == held), "{:?}", watch.jobs);
}

pub(crate) async fn nobody_tells_are_counted(family: &Family) {
    let (_store, mut oracle, _drover, mut watch) = scene(family).await;
    oracle
        .ask(
            "addMany",
            "q",
            json!({"count": 40, "name": "n", "data": {}, "opts": {}}),
        )
        .await;
    watch.counts(&mut oracle, "q").await;
    // No library reports this.
    oracle.ask("drain", "q", json!({"delayed": true})).await;
    let counts = oracle.counts("q").await;
    assert_eq!(counts["waiting"], 0);
    watch
        .until("an empty queue", |watch| watch.counts["waiting"] == 0)
        .await;
}

/// Jobs added before an event has to report one.
const TRIES: u64 = 30;

pub(crate) async fn go_on_after_a_break(family: &Family) {
    let (store, mut oracle, drover, mut watch) = scene(family).await;
    store.cut().await;
    // Added at a moment when perhaps no reader listens: the board finds it by counting.
    oracle.add("q", "work", json!({}), json!({})).await;
    watch
        .until("the job that was added meanwhile", |watch| watch.counts["waiting"] == 1)
        .await;
    crate::support::eventually("live again", crate::support::SOON, || async {
        (drover.store(drover.store).await["reach"] == "live").then_some(())
    })
    .await;
    // Subscriptions and stream readers come back on their own.
    for waiting in 2..2 + TRIES {
        let id = oracle.add("q", "work", json!({}), json!({})).await;
        watch
            .until("any news of the queue", |watch| watch.counts["waiting"] == waiting)
            .await;
        // A count says nothing about single jobs: an event does.
        if watch.jobs.iter().any(|job| job["id"] == id) {
            return;
        }
    }
    panic!("changes are counted and no longer pushed");
}

pub(crate) async fn of_the_queue_are_pushed(family: &Family) {
    let (_store, mut oracle, _drover, mut watch) = scene(family).await;
    oracle.add("q", "work", json!({}), json!({})).await;
    watch.counts(&mut oracle, "q").await;
    assert_eq!(watch.paused, false);
    for (command, paused) in [("pause", true), ("resume", false), ("pause", true)] {
        oracle.ask(command, "q", json!({})).await;
        watch.until(command, |watch| watch.paused == paused).await;
        watch.counts(&mut oracle, "q").await;
    }
    // A job that arrives while the queue is paused waits.
    oracle.add("q", "work", json!({}), json!({})).await;
    watch
        .until("two waiting jobs", |watch| watch.counts["waiting"] == 2)
        .await;
}
