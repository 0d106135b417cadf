//! The same through Drover's own API, as a program or a person would call it: whatever generation laid out a queue, the
//! library agrees, its worker runs the right jobs, and an impossible action is announced beforehand and refused with
//! its reason.

use super::bench::Of;
use crate::support::app::Drover;
use crate::support::client::Answer;
use crate::support::oracle::Oracle;
use crate::support::redis::Redis;
use crate::support::refusals::refusals;
use crate::support::{LATER, eventually, now_ms};
use drover::model::address::encode_segment;
use serde_json::{Value, json};

const QUEUE: &str = "/queues/redis/bull:q";

/// A board over a queue `q`, and the library that it belongs to.
pub(super) struct Ground {
    pub(super) family: Of,
    pub(super) redis: Redis,
    pub(super) oracle: Oracle,
    pub(super) drover: Drover,
}

impl Ground {
    /// The ground with so many failed jobs, by their data. No worker is left.
    pub(super) async fn of(family: Of, failed: &[Value]) -> (Self, Vec<String>) {
        let redis = Redis::start();
        let mut oracle = Oracle::of(&redis.url(), family.0).await;
        let mut ids = vec![];
        for data in failed {
            ids.push(oracle.add("q", "job", data.clone(), json!({})).await);
        }
        let drover = Drover::over(&redis.url()).await;
        let mut ground = Self {
            family,
            redis,
            oracle,
            drover,
        };
        ground.work().await;
        ground.oracle.wait("q", "failed", failed.len()).await;
        ground.rest().await;
        ground.drover.knows("bull:q").await;
        (ground, ids)
    }

    pub(super) async fn work(&mut self) {
        self.oracle.ask("startWorker", "q", json!({"workerId": "w"})).await;
    }

    pub(super) async fn rest(&mut self) {
        self.oracle.ask("stopWorker", "q", json!({"workerId": "w"})).await;
    }

    pub(super) async fn add(&mut self, data: Value, opts: Value) -> String {
        self.oracle.add("q", "job", data, opts).await
    }

    pub(super) async fn post(&self, id: &str, word: &str, body: &Value) -> Answer {
        let path = format!("{QUEUE}/jobs/{}/{word}", encode_segment(id));
        self.drover.post(&path, body).await
    }

    /// Does an action on a job, which must be answered and recorded as done.
    pub(super) async fn done(&self, id: &str, word: &str, body: Value) -> Value {
        let answer = self.post(id, word, &body).await;
        assert_eq!(answer.status, 200, "{word}: {}", answer.body);
        assert_eq!(answer.json()["result"], "done", "{word}: {}", answer.body);
        let entry = self.drover.audit("").await.remove(0);
        assert_eq!(
            (&entry["action"], &entry["job"], &entry["result"]),
            (&json!(word), &json!(id), &json!("done")),
            "{entry}"
        );
        answer.json()
    }

    /// The state of a job as the library says, which must be the board's too.
    pub(super) async fn state(&mut self, id: &str) -> String {
        let asked = json!({"jobId": id, "method": "getState"});
        let state = self.oracle.ask("callJob", "q", asked).await;
        // Bull treats the pause of a queue as a state of its jobs.
        let state = match state.as_str().unwrap() {
            "paused" => "waiting",
            other => other,
        };
        let shown = &self.drover.job("bull:q", id).await["row"]["state"];
        assert_eq!(shown, state, "{id}");
        state.to_owned()
    }

    /// Checks that the board counts what the library counts.
    async fn agree(&mut self) -> Value {
        let counts = self.oracle.counts("q").await;
        self.drover.counts_become("bull:q", &counts).await;
        counts
    }

    const fn count(&self, of_bull: usize, of_others: usize) -> usize {
        match self.family.0.as_bytes() {
            b"bull" => of_bull,
            _ => of_others,
        }
    }

    fn is_bull(&self) -> bool {
        self.family.is(&["bull"])
    }
}

on!(one_job_after_another_is_acted_on);
async fn one_job_after_another_is_acted_on(family: Of) {
    let fail = json!({"fail": "no"});
    let (mut ground, ids) = Ground::of(family, &[family.failing_once(), fail.clone(), fail]).await;
    let [again, gone, stays] = &ids[..] else {
        panic!("{ids:?}")
    };
    let later = json!({"delay": 600_000});
    let (now, late) = (
        ground.add(json!({}), later.clone()).await,
        ground.add(json!({}), later.clone()).await,
    );
    let (soon, untouched) = (
        ground.add(json!({}), later.clone()).await,
        ground.add(json!({}), later).await,
    );
    // Jobs that end in the same millisecond are listed by their ids: these take longer than one.
    let (first, second) = (
        ground.add(json!({"n": 1, "ms": 5}), json!({"priority": 1})).await,
        ground.add(json!({"n": 2}), json!({"priority": 2})).await,
    );
    let plain = ground.add(json!({"ms": 5}), json!({})).await;

    ground.done(again, "retry", json!({"seen": {"state": "failed"}})).await;
    assert_eq!(ground.state(again).await, "waiting");
    ground.done(gone, "remove", json!({"reason": "test data"})).await;
    let asked = json!({"method": "getJob", "args": [gone]});
    assert!(ground.oracle.ask("call", "q", asked).await.is_null());
    assert_eq!(
        ground.drover.get(&format!("/api/v1{QUEUE}/jobs/{gone}")).await.status,
        404
    );
    ground
        .done(&now, "promote", json!({"seen": {"state": "delayed"}}))
        .await;
    assert_eq!(ground.state(&now).await, "waiting");
    ground
        .done(&second, "edit_data", json!({"data": r#"{"n": "two"}"#}))
        .await;
    let edited = ground.oracle.job("q", &second).await;
    assert_eq!(edited["data"], json!({"n": "two"}));
    assert!(edited["logs"][0].as_str().unwrap().ends_with(r#"{"n":2}"#), "{edited}");
    let copy = ground.done(&second, "duplicate", json!({})).await;
    let copy = copy["job"].as_str().unwrap().to_owned();
    assert_eq!(ground.state(&copy).await, ground.state(&second).await);
    if !ground.is_bull() {
        ground.done(&late, "delay", json!({"ms": 900_000})).await;
        let due = ground.drover.job("bull:q", &late).await["row"]["due"].as_u64().unwrap();
        let wait = due.saturating_sub(now_ms());
        assert!((840_000..=900_000).contains(&wait), "{wait}");
        ground.done(&soon, "delay", json!({"ms": 50})).await;
        ground.done(&first, "priority", json!({"priority": 5})).await;
        ground.done(&plain, "priority", json!({"priority": 3})).await;
        let told = ground.done(&plain, "priority", json!({"priority": 0})).await;
        let order = told["sentence"].as_str().unwrap().contains("(0 runs first");
        assert_eq!(order, family.prioritizes_apart(), "{told}");
    }
    // The job has changed since it was seen.
    let stale = ground
        .post(again, "remove", &json!({"seen": {"state": "failed"}}))
        .await;
    assert_eq!(
        (stale.status, &stale.json()["outcome"]),
        (412, &json!("none")),
        "{}",
        stale.body
    );
    assert_eq!(ground.state(again).await, "waiting");
    ground.agree().await;

    ground.work().await;
    // The jobs `again`, `now`, `first`, `second`, `plain`, `copy`; and `soon`, where its delay could be changed.
    let ran = ground.count(6, 7);
    ground.oracle.wait("q", "completed", ran).await;
    let order = ground.oracle.ids("q", "completed", true).await;
    let place = |id: &String| order.iter().position(|ran| ran == id).unwrap();
    assert!(
        order.contains(again) && order.contains(&now) && order.contains(&copy),
        "{order:?}"
    );
    assert_eq!(order.contains(&soon), !ground.is_bull(), "{order:?}");
    assert_eq!(place(&first) > place(&second), !ground.is_bull(), "{order:?}");
    let plain_first = place(&plain) < place(&second);
    assert_eq!(
        plain_first,
        family.prioritizes_apart(),
        "as the sentence said: {order:?}"
    );
    let counts = ground.agree().await;
    assert_eq!(
        (&counts["failed"], &counts["completed"]),
        (&json!(1), &json!(ran)),
        "{counts}"
    );
    assert_eq!(counts["delayed"], ground.count(3, 2), "{counts}");
    assert_eq!(ground.state(stays).await, "failed");
    for id in [&late, &untouched] {
        assert_eq!(ground.state(id).await, "delayed");
    }
}

on!(a_queue_is_paused_filled_and_resumed);
async fn a_queue_is_paused_filled_and_resumed(family: Of) {
    let (mut ground, _) = Ground::of(family, &[json!({"fail": "no"})]).await;
    let paused = ground
        .drover
        .post(&format!("{QUEUE}/pause"), &json!({"reason": "deploy"}))
        .await;
    assert_eq!(
        (paused.status, &paused.json()["result"]),
        (200, &json!("done")),
        "{}",
        paused.body
    );
    assert_eq!(ground.oracle.ask("isPaused", "q", json!({})).await, true);
    ground.work().await;
    let mut ids = vec![];
    for new in [
        json!({"name": "plain", "data": r#"{"a": 1}"#}),
        json!({"name": "urgent", "data": "{}", "priority": 3}),
        json!({"name": "odd", "data": "{}", "id": "a b/ü?#%&+"}),
        json!({"name": "later", "data": "{}", "delay": 600_000}),
        json!({"name": "soon", "data": "{}", "delay": 20, "attempts": 3}),
    ] {
        let answer = ground.drover.post(&format!("{QUEUE}/jobs"), &new).await;
        assert_eq!(answer.status, 200, "{new}: {}", answer.body);
        ids.push(answer.json()["job"].as_str().unwrap().to_owned());
    }
    assert_eq!(ids[2], "a b/ü?#%&+");
    assert_eq!(ground.oracle.job("q", &ids[0]).await["data"], json!({"a": 1}));
    assert_eq!(ground.oracle.job("q", &ids[4]).await["opts"]["attempts"], 3);
    let twice = json!({"name": "odd", "data": "{}", "id": ids[2]});
    let twice = ground.drover.post(&format!("{QUEUE}/jobs"), &twice).await;
    assert_eq!(twice.json()["result"], "already", "{}", twice.body);
    // A worker of another queue finishes a job of its own long before this queue's worker takes any.
    ground.oracle.add("other", "job", json!({"ms": 100}), json!({})).await;
    ground
        .oracle
        .ask("startWorker", "other", json!({"workerId": "other"}))
        .await;
    ground.oracle.wait("other", "completed", 1).await;
    let counts = ground.agree().await;
    assert_eq!(
        (&counts["completed"], &counts["active"]),
        (&json!(0), &json!(0)),
        "{counts}"
    );
    let list = if family.prioritizes_apart() {
        "prioritized"
    } else {
        "waiting"
    };
    assert_eq!(ground.state(&ids[1]).await, list);
    let again = ground.drover.post(&format!("{QUEUE}/pause"), &json!({})).await;
    assert_eq!(again.json()["result"], "already", "{}", again.body);

    let resumed = ground.drover.post(&format!("{QUEUE}/resume"), &json!({})).await;
    assert_eq!(
        (resumed.status, &resumed.json()["result"]),
        (200, &json!("done")),
        "{}",
        resumed.body
    );
    assert_eq!(ground.oracle.ask("isPaused", "q", json!({})).await, false);
    ground.oracle.wait("q", "completed", 4).await;
    assert_eq!(ground.state(&ids[3]).await, "delayed");
    let counts = ground.agree().await;
    assert_eq!(
        (&counts["failed"], &counts["delayed"]),
        (&json!(1), &json!(1)),
        "{counts}"
    );
    eventually("the queue to be shown as running", LATER, || async {
        (ground.drover.queue("redis", "bull:q").await?["paused"] == false).then_some(())
    })
    .await;
}

on!(an_operation_retries_what_its_filter_selects);
async fn an_operation_retries_what_its_filter_selects(family: Of) {
    let mut once = family.failing_once();
    once["fail"] = json!("mailbox full");
    let other = json!({"fail": "no such user"});
    let mut failed = vec![once; 12];
    failed.insert(4, other.clone());
    failed.push(other);
    let (mut ground, ids) = Ground::of(family, &failed).await;
    ground.agree().await;
    ground.work().await;
    let filter = r#"state:failed queue:redis/bull:q error:"mailbox full""#;
    let asked = json!({"action": "retry", "filter": filter, "dry_run": true});
    let preview = ground.drover.post("/operations", &asked).await;
    assert_eq!(
        (preview.status, &preview.json()["selected"]),
        (200, &json!(12)),
        "{}",
        preview.body
    );
    let start = json!({"token": preview.json()["token"], "reason": "emptied"});
    let started = ground.drover.post("/operations", &start).await;
    assert_eq!(started.status, 202, "{}", started.body);
    let path = format!("/api/v1/operations/{}", started.json()["id"].as_str().unwrap());
    let told = eventually("the operation to end", LATER, || async {
        let told = ground.drover.get(&path).await.json();
        told["ended"].is_number().then_some(told)
    })
    .await;
    assert_eq!(
        (&told["state"], &told["totals"]["done"]),
        (&json!("done"), &json!(12)),
        "{told}"
    );
    ground.oracle.wait("q", "completed", 12).await;
    let mut left = ground.oracle.ids("q", "failed", true).await;
    left.sort();
    let mut others = vec![ids[4].clone(), ids[13].clone()];
    others.sort();
    assert_eq!(left, others);
    let counts = ground.agree().await;
    assert_eq!(counts["waiting"], 0, "{counts}");
}

on!(a_retry_of_a_completed_job_is_offered_where_the_library_does_it);
async fn a_retry_of_a_completed_job_is_offered_where_the_library_does_it(family: Of) {
    let (mut ground, _) = Ground::of(family, &[json!({"fail": "no"})]).await;
    let id = ground.add(json!({"n": 1}), json!({})).await;
    ground.work().await;
    ground.oracle.wait("q", "completed", 1).await;
    ground.agree().await;
    let does = !family.is(&["bull"]);
    let page = ground.drover.get(&format!("{QUEUE}/jobs/{id}")).await.body;
    assert_eq!(page.contains(">Retry…<"), does, "{page}");
    let path = format!("{QUEUE}/jobs/{id}/retry");
    let told = ground.drover.post(&path, &json!({"dry_run": true})).await.json();
    assert_eq!(told["allowed"], does, "{told}");
    if !does {
        let why = told["refusal"].as_str().unwrap();
        assert!(why.starts_with("Bull retries failed jobs only"), "{why}");
    }
}

on!(what_a_generation_cannot_do_is_said_before_and_refused);
async fn what_a_generation_cannot_do_is_said_before_and_refused(family: Of) {
    let (mut ground, _) = Ground::of(family, &[json!({"fail": "no"})]).await;
    let id = ground.add(json!({"n": 1}), json!({"delay": 600_000})).await;
    let before = (ground.oracle.job("q", &id).await, ground.agree().await);
    let queue = ground.drover.queue("redis", "bull:q").await.unwrap();
    let refused = refusals(&ground.drover, &queue, &id).await;
    let old = [
        "put_back",
        "cancel",
        "remove_children",
        "release",
        "concurrency",
        "rate_limit",
        "schedule_upsert",
    ];
    let more: &[&str] = match family.0 {
        "bull" => &["delay", "priority", "trim_events", "retry_children"],
        "3" | "4" => &["remove_deduplication"],
        _ => &[],
    };
    let old: &[&str] = if more.is_empty() { &[] } else { &old };
    // Actions of pg-boss alone.
    let mut expected = [old, more, &["resume_job", "redrive"]].concat();
    expected.sort_unstable();
    assert_eq!(refused, expected);
    assert_eq!((ground.oracle.job("q", &id).await, ground.agree().await), before);
}
