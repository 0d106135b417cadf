//! Retrying the failed jobs below a job, and then the job: the library's own workers finish it.

use crate::actions::bench::Of;
use crate::support::app::Drover;
use crate::support::oracle::Oracle;
use crate::support::redis::Redis;
use serde_json::{Value, json};

const QUEUES: [&str; 3] = ["parents", "mids", "kids"];

struct Flow {
    redis: Redis,
    oracle: Oracle,
    drover: Drover,
    family: Of,
}

impl Flow {
    async fn of(family: Of) -> Self {
        let redis = Redis::start();
        let oracle = Oracle::of(&redis.url(), family.0).await;
        let drover = Drover::over(&redis.url()).await;
        Self {
            redis,
            oracle,
            drover,
            family,
        }
    }

    async fn work(&mut self) {
        for queue in QUEUES {
            let worker = json!({"workerId": queue, "concurrency": 20});
            self.oracle.ask("startWorker", queue, worker).await;
        }
    }

    async fn rest(&mut self) {
        for queue in QUEUES {
            self.oracle.ask("stopWorker", queue, json!({"workerId": queue})).await;
        }
    }

    /// Adds a flow, makes it fail, and returns the library's answer to the addition.
    async fn failed(&mut self, tree: Value, failed: &[(&str, usize)]) -> Value {
        let made = self.oracle.ask("flow", "parents", json!({"tree": tree})).await;
        self.work().await;
        for (queue, count) in failed {
            let wanted = json!({"state": "failed", "count": count, "timeoutMs": 30_000});
            self.oracle.ask("waitUntil", queue, wanted).await;
        }
        self.rest().await;
        for queue in QUEUES {
            self.drover.knows(&format!("bull:{queue}")).await;
        }
        made
    }

    /// A child that fails once, and its parent with it.
    fn fails(&self, name: &str, queue: &str) -> Value {
        json!({"name": name, "queueName": queue, "data": self.family.failing_once(), "opts": {"failParentOnFailure": true}})
    }

    async fn states(&mut self, queue: &str) -> Value {
        let counts = self.oracle.counts(queue).await;
        let counts = counts.as_object().unwrap().iter();
        Value::Object(
            counts
                .filter(|(_, n)| **n != 0)
                .map(|(s, n)| (s.clone(), n.clone()))
                .collect(),
        )
    }
}

fn path(queue: &str, id: &str) -> String {
    format!("/queues/redis/bull:{queue}/jobs/{id}/retry_children")
}

fn id(made: &Value) -> String {
    made["jobId"].as_str().unwrap().to_owned()
}

fn under<'a>(made: &'a Value, queue: &str) -> &'a Value {
    let children = made["children"].as_array().unwrap();
    children.iter().find(|child| child["queue"] == queue).unwrap()
}

on!(children_are_retried_from_the_bottom_up_and_then_their_parents: bullmq_3 bullmq_4 bullmq_5 bullmq_6);
async fn children_are_retried_from_the_bottom_up_and_then_their_parents(family: Of) {
    let mut flow = Flow::of(family).await;
    let mid = json!({"name": "mid", "queueName": "mids", "data": {}, "opts": {"failParentOnFailure": true}, "children": [
        flow.fails("a", "kids"), flow.fails("b", "kids"), {"name": "fine", "queueName": "kids", "data": {}},
    ]});
    let tree = json!({"name": "root", "queueName": "parents", "data": {}, "children": [mid]});
    let made = flow.failed(tree, &[("kids", 2), ("mids", 1), ("parents", 1)]).await;
    let (root, mid) = (id(&made), id(under(&made, "mids")));
    let before = [
        flow.states("parents").await,
        flow.states("mids").await,
        flow.states("kids").await,
    ];

    let page = flow
        .drover
        .get(&format!("/queues/redis/bull:parents/jobs/{root}"))
        .await
        .body;
    assert!(page.contains("Retry failed children first…"), "{page}");
    let form = format!("/queues/redis/bull:parents/jobs/{root}/act?action=retry_children");
    let form = flow.drover.get(&form).await.body;
    assert!(
        form.contains("Now: 4 (2 in bull:kids, 1 in bull:mids, 1 in bull:parents)."),
        "{form}"
    );

    let would = flow
        .drover
        .post(&path("parents", &root), &json!({"dry_run": true}))
        .await
        .json();
    assert_eq!(
        (&would["allowed"], &would["flow"]["retried"]),
        (&json!(true), &json!(4)),
        "{would}"
    );
    let order = |answer: &Value| -> Vec<(String, u64, String)> {
        let jobs = answer["flow"]["jobs"].as_array().unwrap().iter();
        let text = |job: &Value, name: &str| job[name].as_str().unwrap().to_owned();
        jobs.map(|job| (text(job, "queue"), job["depth"].as_u64().unwrap(), text(job, "result")))
            .collect()
    };
    let of = |result: &str| {
        [
            ("bull:kids", 2),
            ("bull:kids", 2),
            ("bull:mids", 1),
            ("bull:parents", 0),
        ]
        .map(|(queue, depth)| (queue.to_owned(), depth, result.to_owned()))
    };
    assert_eq!(order(&would), of("would_retry"));
    let after = [
        flow.states("parents").await,
        flow.states("mids").await,
        flow.states("kids").await,
    ];
    assert_eq!(before, after, "nothing was done");

    let seen = json!({"seen": {"state": "failed"}, "reason": "the mail server is back"});
    let answer = flow.drover.post(&path("parents", &root), &seen).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let told = answer.json();
    assert_eq!((&told["result"], order(&told)), (&json!("done"), of("done").to_vec()));
    assert!(
        told["sentence"].as_str().unwrap().contains("the deepest first"),
        "{told}"
    );
    assert_eq!(flow.states("kids").await, json!({"completed": 1, "waiting": 2}));
    // The library itself says that the other jobs wait for them.
    assert_eq!(flow.states("mids").await, json!({"waiting_children": 1}));
    assert_eq!(flow.states("parents").await, json!({"waiting_children": 1}));
    let again = flow.drover.post(&path("parents", &root), &seen).await;
    assert_eq!(again.status, 422, "nothing below it is failed any more: {}", again.body);

    flow.work().await;
    flow.oracle.wait("parents", "completed", 1).await;
    assert_eq!(flow.states("kids").await, json!({"completed": 3}));
    assert_eq!(flow.states("mids").await, json!({"completed": 1}));
    let (root_now, mid_now) = (
        flow.oracle.job("parents", &root).await,
        flow.oracle.job("mids", &mid).await,
    );
    assert!(
        root_now["processedOn"].as_u64() >= mid_now["finishedOn"].as_u64(),
        "{root_now} {mid_now}"
    );
    for kid in flow.oracle.ids("kids", "completed", true).await {
        let kid = flow.oracle.job("kids", &kid).await;
        assert!(
            mid_now["processedOn"].as_u64() >= kid["finishedOn"].as_u64(),
            "{mid_now} {kid}"
        );
    }
    let entries = flow.drover.audit("").await;
    assert_eq!(
        (&entries[0]["action"], &entries[0]["result"]),
        (&json!("retry_children"), &json!("done"))
    );
    assert_eq!(entries[0]["outcome"], "done");
    let text = std::fs::read_to_string(flow.drover.state.path().join("audit.ndjson")).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        (&lines[0]["phase"], &lines[1]["phase"]),
        (&json!("intent"), &json!("result"))
    );
    assert_eq!(
        lines[0]["details"],
        json!({"jobs": 4, "queues": ["bull:kids", "bull:mids", "bull:parents"]})
    );
    assert_eq!(lines[1]["flow"]["retried"], 4);
}

on!(what_is_above_a_child_that_is_not_retried_is_not_retried_either: bullmq_3 bullmq_4 bullmq_5 bullmq_6);
async fn what_is_above_a_child_that_is_not_retried_is_not_retried_either(family: Of) {
    let mut flow = Flow::of(family).await;
    let tree = json!({"name": "root", "queueName": "parents", "data": {}, "children": [
        {"name": "mid", "queueName": "mids", "data": {}, "opts": {"failParentOnFailure": true},
            "children": [flow.fails("held", "kids")]},
        flow.fails("free", "kids"),
    ]});
    let made = flow.failed(tree, &[("kids", 2), ("mids", 1), ("parents", 1)]).await;
    let root = id(&made);
    let held = id(under(under(&made, "mids"), "kids"));
    let lock = format!("bull:kids:{held}:lock");
    let _: String = flow.redis.run(&["SET", &lock, "worker-7:1"]);
    let answer = flow.drover.post(&path("parents", &root), &json!({})).await;
    let told = answer.json();
    assert_eq!((answer.status, &told["result"]), (200, &json!("partial")), "{told}");
    assert_eq!(
        (&told["flow"]["retried"], &told["flow"]["skipped"]),
        (&json!(1), &json!(3)),
        "{told}"
    );
    let why = |queue: &str| {
        let jobs = told["flow"]["jobs"].as_array().unwrap();
        let job = jobs
            .iter()
            .find(|job| job["queue"] == queue && job["detail"].is_string());
        job.unwrap_or_else(|| panic!("{queue} in {told}"))["detail"].to_string()
    };
    assert!(why("bull:kids").contains("The worker worker-7 holds it."), "{told}");
    assert!(
        why("bull:mids").contains(&format!("Job {held} of bull:kids below it")),
        "{told}"
    );
    assert!(why("bull:parents").contains("of bull:mids below it"), "{told}");
    let entry = &flow.drover.audit("").await[0];
    assert_eq!(
        (&entry["result"], &entry["outcome"]),
        (&json!("partial"), &json!("partial"))
    );
    assert!(
        entry["detail"].as_str().unwrap().contains("Not retried: 3 jobs."),
        "{entry}"
    );
    assert_eq!(flow.states("parents").await, json!({"failed": 1}));
    // The rest of it, when nothing blocks it any more; the job waits for the child that runs meanwhile.
    let _: i64 = flow.redis.run(&["DEL", &lock]);
    let told = flow.drover.post(&path("parents", &root), &json!({})).await.json();
    assert_eq!(
        (&told["result"], &told["flow"]["retried"]),
        (&json!("done"), &json!(3)),
        "{told}"
    );
    flow.work().await;
    flow.oracle.wait("parents", "completed", 1).await;
    assert_eq!(flow.states("kids").await, json!({"completed": 2}));
}

on!(a_job_that_waits_for_a_child_that_failed_silently_goes_on: bullmq_3 bullmq_4 bullmq_5 bullmq_6);
async fn a_job_that_waits_for_a_child_that_failed_silently_goes_on(family: Of) {
    let mut flow = Flow::of(family).await;
    let mut child = flow.fails("silent", "kids");
    child["opts"] = json!({});
    let tree = json!({"name": "root", "queueName": "parents", "data": {}, "children": [
        {"name": "mid", "queueName": "mids", "data": {}, "children": [child]},
    ]});
    let made = flow.failed(tree, &[("kids", 1)]).await;
    let (root, mid) = (id(&made), id(under(&made, "mids")));
    let page = flow
        .drover
        .get(&format!("/queues/redis/bull:mids/jobs/{mid}"))
        .await
        .body;
    assert!(page.contains("Retry failed children first…"), "{page}");
    let told = flow.drover.post(&path("parents", &root), &json!({})).await.json();
    assert_eq!(
        (&told["result"], &told["flow"]["retried"]),
        (&json!("done"), &json!(1)),
        "{told}"
    );
    flow.work().await;
    flow.oracle.wait("parents", "completed", 1).await;
    // Jobs below it that no longer wait do not block it.
    let done = flow.drover.post(&path("parents", &root), &json!({})).await;
    assert_eq!(done.status, 422, "{}", done.body);
    assert!(done.body.contains("do not block it"), "{}", done.body);
}

on!(a_job_that_is_not_as_it_was_shown_leaves_its_children_alone: bullmq_6);
async fn a_job_that_is_not_as_it_was_shown_leaves_its_children_alone(family: Of) {
    let mut flow = Flow::of(family).await;
    let tree = json!({"name": "root", "queueName": "parents", "data": {}, "children": [flow.fails("a", "kids")]});
    let made = flow.failed(tree, &[("kids", 1), ("parents", 1)]).await;
    let root = id(&made);
    for seen in [
        json!({"state": "waiting_children"}),
        json!({"state": "failed", "finished_on": 7}),
    ] {
        let stale = flow.drover.post(&path("parents", &root), &json!({"seen": seen})).await;
        assert_eq!(
            (stale.status, &stale.json()["outcome"]),
            (412, &json!("none")),
            "{}",
            stale.body
        );
        let would = json!({"seen": seen, "dry_run": true});
        let would = flow.drover.post(&path("parents", &root), &would).await.json();
        assert_eq!(would["allowed"], false, "{would}");
    }
    assert_eq!(flow.states("kids").await, json!({"failed": 1}));
    // A parent that was retried on its own and no longer waits: its child would fail it.
    flow.oracle
        .ask("callJob", "parents", json!({"jobId": root, "method": "retry"}))
        .await;
    let late = flow.drover.post(&path("parents", &root), &json!({})).await;
    assert_eq!(late.status, 422, "{}", late.body);
    assert_eq!(flow.states("kids").await, json!({"failed": 1}));
}

on!(a_thousand_are_retried_at_a_time_and_the_parent_after_the_last: bullmq_6);
async fn a_thousand_are_retried_at_a_time_and_the_parent_after_the_last(family: Of) {
    const KIDS: usize = 1_003;
    let mut flow = Flow::of(family).await;
    let children: Vec<Value> = (0..KIDS).map(|n| flow.fails(&format!("k{n}"), "kids")).collect();
    let tree = json!({"name": "root", "queueName": "parents", "data": {}, "children": children});
    let made = flow.failed(tree, &[("kids", KIDS), ("parents", 1)]).await;
    let root = id(&made);
    let told = flow.drover.post(&path("parents", &root), &json!({})).await.json();
    assert_eq!(
        (&told["result"], &told["flow"]["retried"], &told["flow"]["skipped"]),
        (&json!("partial"), &json!(1_000), &json!(1)),
        "{}",
        told["flow"]["note"]
    );
    let last = told["flow"]["jobs"].as_array().unwrap().last().unwrap();
    assert!(
        last["detail"].as_str().unwrap().contains("Retry again for the rest"),
        "{last}"
    );
    assert_eq!(
        flow.states("kids").await,
        json!({"failed": KIDS - 1_000, "waiting": 1_000})
    );
    let told = flow.drover.post(&path("parents", &root), &json!({})).await.json();
    assert_eq!(
        (&told["result"], &told["flow"]["retried"]),
        (&json!("done"), &json!(KIDS - 1_000 + 1))
    );
    flow.work().await;
    let wanted = json!({"state": "completed", "count": 1, "timeoutMs": 30_000});
    flow.oracle.ask("waitUntil", "parents", wanted).await;
    assert_eq!(flow.states("kids").await, json!({"completed": KIDS}));
}

#[tokio::test]
async fn bull_has_no_flows_and_says_so() {
    let redis = Redis::start();
    let mut oracle = Oracle::of(&redis.url(), "bull").await;
    let id = oracle.add("q", "n", json!({}), json!({})).await;
    let drover = Drover::over(&redis.url()).await;
    drover.knows("bull:q").await;
    let answer = drover.post(&path("q", &id), &json!({})).await;
    assert_eq!(answer.status, 422, "{}", answer.body);
    assert!(
        answer.body.contains("Bull has no parent and child jobs"),
        "{}",
        answer.body
    );
}
