//! The queues and their workers, and that reading changes nothing.

use super::Family;
use crate::support::app::Drover;
use crate::support::{SOON, eventually};
use serde_json::json;

pub(crate) async fn counts_workers(family: &Family) {
    let (redis, mut oracle) = family.on_redis().await;
    oracle.add("crew", "n", json!({}), json!({"delay": 10_000_000})).await;
    let drover = Drover::over(&redis.url()).await;
    drover.knows("bull:crew").await;
    oracle.ask("startWorker", "crew", json!({"workerId": "c"})).await;
    for (command, worker, expected) in [("startWorker", "b", 2), ("stopWorker", "b", 1), ("stopWorker", "c", 0)] {
        oracle.ask(command, "crew", json!({"workerId": worker})).await;
        let library = oracle.ask("workers", "crew", json!({})).await;
        assert_eq!(library["count"], expected);
        eventually(&format!("{expected} workers"), SOON, || async {
            (drover.knows("bull:crew").await["workers"] == expected).then_some(())
        })
        .await;
    }
}

pub(crate) async fn finds_a_worker(family: &Family) {
    let (redis, mut oracle) = family.on_redis().await;
    let drover = Drover::over(&redis.url()).await;
    drover.store_becomes("redis", "live").await;
    eventually("the first search is over", SOON, || async {
        (drover.store("redis").await["searched"] == true).then_some(())
    })
    .await;
    let worker = json!({"workerId": "w", "name": "worker-1"});
    oracle.ask("startWorker", "late", worker).await;
    // Before version 5 a worker leaves nothing in the store that names its owner; its first job does.
    if !family.workers_leave_traces {
        oracle.add("late", "n", json!({}), json!({})).await;
    }
    let line = drover.knows("bull:late").await;
    assert_eq!(line["workers"], 1, "{line}");
    assert_eq!(line["system"], family.system, "{line}");
    oracle.add("late", "n", json!({}), json!({})).await;
    let completed = if family.workers_leave_traces { 1 } else { 2 };
    oracle.wait("late", "completed", completed).await;
    let counts = oracle.counts("late").await;
    drover.counts_become("bull:late", &counts).await;
    oracle.ask("stopWorker", "late", json!({"workerId": "w"})).await;
    eventually("the worker is gone", SOON, || async {
        (drover.knows("bull:late").await["workers"] == 0).then_some(())
    })
    .await;
}

pub(crate) async fn finds_whatever_is_left(family: &Family) {
    let (store, mut oracle) = family.alone().await;
    oracle.add("waits", "n", json!({}), json!({})).await;
    oracle
        .add("is-delayed", "n", json!({}), json!({"delay": 10_000_000}))
        .await;
    for (queue, state, data) in [
        ("has-completed", "completed", json!({})),
        ("has-failed", "failed", json!({"fail": "boom"})),
    ] {
        oracle.ask("startWorker", queue, json!({"workerId": queue})).await;
        oracle.add(queue, "n", data, json!({})).await;
        oracle.wait(queue, state, 1).await;
        oracle.ask("stopWorker", queue, json!({"workerId": queue})).await;
    }
    // A crash: the job stays active and no worker processes it.
    let worker = json!({"workerId": "lost"});
    oracle.ask("startWorker", "is-active", worker.clone()).await;
    oracle.add("is-active", "n", json!({"hold": true}), json!({})).await;
    oracle.wait("is-active", "active", 1).await;
    let force = json!({"workerId": "lost", "force": true});
    oracle.ask("stopWorker", "is-active", force).await;
    let mut queues = vec!["waits", "is-delayed", "has-completed", "has-failed", "is-active"];
    if family.pauses {
        // Paused before its first job.
        oracle.ask("pause", "is-paused", json!({})).await;
        queues.push("is-paused");
    }
    let drover = family.board(&store).await;
    for queue in &queues {
        let line = drover.knows(&family.id(queue)).await;
        assert_eq!(line["name"], *queue);
        assert_eq!(line["system"], family.system, "{queue}");
        assert_eq!(line["paused"], *queue == "is-paused", "{queue}");
        // The board reads first: some libraries' own counts remove markers.
        let seen = drover.knows(&family.id(queue)).await;
        assert_eq!(seen["counts"], oracle.counts(queue).await, "{queue}");
    }
    if family.pauses {
        oracle.add("is-paused", "n", json!({}), json!({})).await;
        let counts = oracle.counts("is-paused").await;
        assert_eq!(counts["waiting"], 1);
        drover.counts_become(&family.id("is-paused"), &counts).await;
    }
    let items = drover.get("/api/v1/queues").await.json();
    assert_eq!(
        items["items"].as_array().unwrap().len(),
        queues.len(),
        "nothing else is a queue"
    );
}

pub(crate) async fn finds_any_prefix(family: &Family) {
    let (redis, mut oracle) = family.on_redis().await;
    for (prefix, queue) in [
        ("bull", "mail"),
        ("{bull}", "mail"),
        ("my-app", "mail"),
        ("bull", "{tag}"),
    ] {
        let job = json!({"prefix": prefix, "name": "n", "data": {}, "opts": {}});
        oracle.ask("add", queue, job).await;
    }
    // Keys that only look like a queue.
    redis.run::<()>(&["HSET", "session:meta", "a", "b"]);
    redis.run::<()>(&["SET", "other:meta", "a"]);
    redis.run::<()>(&["SET", "cart:id", "17"]);
    redis.run::<()>(&["SET", "user:7:id", "abc"]);
    let drover = Drover::over(&redis.url()).await;
    drover.knows("bull:mail").await;
    let queues = drover.get("/api/v1/queues").await.json();
    let items = queues["items"].as_array().unwrap();
    let mut ids: Vec<&str> = items.iter().map(|q| q["id"].as_str().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(ids, ["bull:mail", "bull:{tag}", "my-app:mail", "{bull}:mail"]);
    assert!(items.iter().all(|queue| queue["system"] == family.system), "{items:?}");
    let tagged = drover.get("/queues/redis/%7Bbull%7D:mail").await;
    assert_eq!(tagged.status, 200);
}

pub(crate) async fn keeps_colons(family: &Family) {
    let (redis, mut oracle) = family.on_redis().await;
    oracle.ask("startWorker", "eu:mail:out", json!({"workerId": "w"})).await;
    let id = oracle
        .add("eu:mail:out", "n", json!({"returns": 1}), json!({"jobId": "order:7"}))
        .await;
    oracle.wait("eu:mail:out", "completed", 1).await;
    let drover = Drover::over(&redis.url()).await;
    let line = drover.knows("bull:eu:mail:out").await;
    assert_eq!((line["name"].as_str(), id.as_str()), (Some("eu:mail:out"), "order:7"));
    let counts = oracle.counts("eu:mail:out").await;
    drover.counts_become("bull:eu:mail:out", &counts).await;
    let queue = "bull:eu:mail:out";
    assert_eq!(drover.ids(queue, "completed", "newest", 5).await, [id.as_str()]);
    assert_eq!(drover.job(queue, &id).await["row"]["state"], "completed");
    eventually("its worker", SOON, || async {
        (drover.knows(queue).await["workers"] == 1).then_some(())
    })
    .await;
    let items = drover.get("/api/v1/queues").await.json();
    assert_eq!(items["items"].as_array().unwrap().len(), 1, "{items}");
}

pub(crate) async fn never_writes(family: &Family) {
    let (redis, mut oracle) = family.on_redis().await;
    oracle.add("q", "n", json!({}), json!({"priority": 3})).await;
    oracle.add("q", "n", json!({}), json!({"delay": 100_000})).await;
    oracle.add("q", "n", json!({"log": ["x"]}), json!({})).await;
    oracle.add("later", "n", json!({}), json!({"delay": 100_000})).await;
    // The reader of the deployment may not write, so Redis refuses and logs any attempt.
    let rules = crate::support::redis::shipped("drover_read");
    redis.run::<()>(&[&["ACL", "SETUSER", "drover_read"], rules.as_slice()].concat());
    let url = redis.url_as("drover_read");
    let drover = Drover::over(&url).await;
    for queue in ["q", "later"] {
        drover.knows(&format!("bull:{queue}")).await;
    }
    for path in [
        "",
        "/queues/redis/bull:q?state=waiting",
        "/queues/redis/bull:q?state=delayed",
        "/queues/redis/bull:q/jobs/3",
    ] {
        assert_eq!(drover.get(path).await.status, 200, "{path}");
    }
    let counts = oracle.counts("q").await;
    drover.counts_become("bull:q", &counts).await;
    // A change arrives through the channels that this user may read.
    let mut stream = drover.stream("queue:redis/bull:q").await;
    let id = oracle.add("q", "n", json!({}), json!({})).await;
    stream
        .until("the new job", |event| {
            let jobs = event.data["jobs"].as_array()?;
            jobs.iter().any(|job| job["id"] == id.as_str()).then_some(())
        })
        .await;
    // All but two rare commands: one checks whether this user may act, and one reads the server's settings.
    let denied = redis.denied();
    assert!(
        denied
            .iter()
            .all(|object| object == "evalsha" || object == "config|get"),
        "commands were refused: {denied:?}"
    );
}
