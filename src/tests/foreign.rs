//! Keys of other libraries in the same Redis: shown as theirs or not at all, never counted as ours, never changed.

use crate::actions::bench::{Bench, bullmq_6, retry};
use crate::support::app::Drover;
use crate::support::oracle::Oracle;
use crate::support::proxy::before_the_first;
use crate::support::redis::Redis;
use crate::support::{SOON, eventually};
use drover::model::action::{Effect, Seen};
use drover::model::state::JobState;
use drover::server::adapter::{Act as _, QueueId};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Every key of a Redis with its content.
fn everything(redis: &Redis) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let keys: Vec<Vec<u8>> = redis.run(&["KEYS", "*"]);
    let mut connection = redis.connection();
    let dump = |key: &Vec<u8>| redis::cmd("DUMP").arg(key).query(&mut connection).unwrap();
    let dumps: Vec<Vec<u8>> = keys.iter().map(dump).collect();
    keys.into_iter().zip(dumps).collect()
}

const STATES: [&str; 7] = [
    "waiting",
    "prioritized",
    "active",
    "delayed",
    "waiting_children",
    "completed",
    "failed",
];

/// Checks that the board shows a queue without counts, and that no action on it succeeds.
async fn is_left_alone(redis: &Redis, drover: &Drover, queue: &str, system: &str, library: &str) {
    let line = drover.knows(queue).await;
    assert_eq!(
        (&line["system"], &line["family"]["layout"]),
        (&json!(system), &json!(system)),
        "{line}"
    );
    for state in STATES {
        assert_eq!(line["counts"][state], Value::Null, "{state}: {line}");
    }
    for unknown in ["paused", "rates", "oldest_waiting", "insight"] {
        assert_eq!(line[unknown], Value::Null, "{unknown}: {line}");
    }
    let reason = line["reason"].as_str().unwrap();
    assert!(
        reason.starts_with(&format!("{library} is not supported by this version")),
        "{reason}"
    );
    eventually("the verdict", SOON, || async {
        let verdict = drover.knows(queue).await["verdict"].clone();
        (verdict["level"] == "unknown" && verdict["reason"] == reason).then_some(())
    })
    .await;
    let can = drover.capabilities(&line).await;
    let refusals = can["actions"].as_object().unwrap();
    assert!(refusals.values().all(|why| why == reason), "{refusals:?}");

    let name = line["name"].as_str().unwrap();
    let before = everything(redis);
    let jobs = drover
        .get(&format!("/api/v1/queues/redis/{queue}/jobs?state=waiting"))
        .await;
    assert_eq!(
        (jobs.status, jobs.json()["detail"].as_str()),
        (422, Some(reason)),
        "{}",
        jobs.body
    );
    for (action, fields) in [
        ("pause", json!({})),
        ("resume", json!({})),
        ("add", json!({"name": "n", "data": "{}"})),
        ("trim_events", json!({"keep": 0})),
        ("obliterate", json!({"name": name, "force": true})),
    ] {
        let answer = drover.post(&format!("/queues/redis/{queue}/{action}"), &fields).await;
        assert_eq!(answer.status, 422, "{action}: {}", answer.body);
        assert!(answer.body.contains("not supported"), "{action}: {}", answer.body);
    }
    let answer = drover
        .post(&format!("/queues/redis/{queue}/jobs/1/remove"), &json!({}))
        .await;
    assert_eq!(answer.status, 422, "{}", answer.body);
    let page = drover.get(&format!("/queues/redis/{queue}")).await;
    assert_eq!(page.status, 200);
    assert!(page.body.contains("not supported by this version"), "{}", page.body);
    for button in [
        ">Pause",
        ">Resume",
        ">Add a job",
        ">Obliterate",
        ">Trim events",
        "ticked…",
    ] {
        assert!(!page.body.contains(button), "{button}");
    }
    let overview = drover.get("").await.body;
    assert!(overview.contains(&format!("{library}: not supported")), "{overview}");
    assert_eq!(everything(redis), before, "something was written");
}

#[tokio::test]
async fn a_queue_of_bee_queue_is_shown_as_what_it_is_and_left_alone() {
    let redis = Redis::start();
    let mut bee = Oracle::beequeue(&redis.url()).await;
    bee.ask("add", "saves", json!({"count": 19})).await;
    bee.ask("add", "later", json!({"count": 2, "delayed": true})).await;
    let drover = Drover::over(&redis.url()).await;
    is_left_alone(&redis, &drover, "bq:saves", "bee_queue", "Bee-Queue").await;
    is_left_alone(&redis, &drover, "bq:later", "bee_queue", "Bee-Queue").await;
    assert_eq!(bee.ask("counts", "saves", json!({})).await["waiting"], 19);
    bee.ask("work", "saves", json!({"count": 19})).await;
    is_left_alone(&redis, &drover, "bq:saves", "bee_queue", "Bee-Queue").await;
    let finished = bee.ask("counts", "saves", json!({})).await;
    assert_eq!((&finished["succeeded"], &finished["failed"]), (&json!(12), &json!(7)));
    let again = Drover::over(&redis.url()).await;
    is_left_alone(&redis, &again, "bq:saves", "bee_queue", "Bee-Queue").await;
}

/// Jobs in groups, in the keys that BullMQ Pro's documentation and other dashboards name: its package is not public.
async fn grouped(redis: &Redis, queue: &str, version: &str) -> Oracle {
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    oracle.add(queue, "n", json!({}), json!({"delay": 900_000})).await;
    let mut pipe = redis::pipe();
    let key = |name: &str| format!("bull:{queue}:{name}");
    pipe.cmd("HSET").arg(key("meta")).arg("version").arg(version).ignore();
    for id in 1_000..4_000 {
        let fields = [
            "name",
            "n",
            "data",
            "{}",
            "opts",
            "{\"group\":{\"id\":\"g\"}}",
            "gid",
            "g",
            "timestamp",
            "1",
        ];
        pipe.cmd("HSET").arg(key(&id.to_string())).arg(&fields).ignore();
        pipe.cmd("LPUSH").arg(key("groups:g")).arg(id).ignore();
    }
    pipe.cmd("ZADD").arg(key("groups")).arg(1).arg("g").ignore();
    pipe.exec(&mut redis.connection()).unwrap();
    oracle
}

#[tokio::test]
async fn jobs_in_groups_of_bullmq_pro_are_never_told_as_none() {
    let redis = Redis::start();
    let _oracle = grouped(&redis, "q", "bullmq-pro:7.38.5").await;
    // The last client that opened it was not Pro.
    let _oracle = grouped(&redis, "looked-at", "bullmq:6.7.0").await;
    let drover = Drover::over(&redis.url()).await;
    for queue in ["bull:q", "bull:looked-at"] {
        is_left_alone(&redis, &drover, queue, "bullmq_pro", "BullMQ Pro").await;
    }
}

#[tokio::test]
async fn a_queue_that_gets_its_first_group_is_counted_no_longer() {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    oracle.add("q", "n", json!({}), json!({})).await;
    let drover = Drover::over(&redis.url()).await;
    let counts = oracle.counts("q").await;
    drover.counts_become("bull:q", &counts).await;
    redis.run::<()>(&["RPUSH", "bull:q:groups:g", "7"]);
    redis.run::<()>(&["ZADD", "bull:q:groups", "1", "g"]);
    // Its next event makes Drover count it.
    oracle.add("q", "n", json!({}), json!({})).await;
    eventually("its counts are not known", SOON, || async {
        let line = drover.knows("bull:q").await;
        (line["system"] == "bullmq_pro" && line["counts"]["waiting"].is_null()).then_some(())
    })
    .await;
    // A job may have the same key as the set of the groups.
    redis.run::<()>(&["DEL", "bull:q:groups", "bull:q:groups:g"]);
    oracle.add("named", "n", json!({}), json!({"jobId": "groups"})).await;
    oracle.add("named", "n", json!({}), json!({"jobId": "jobs"})).await;
    let counts = oracle.counts("named").await;
    drover.knows("bull:named").await;
    drover.counts_become("bull:named", &counts).await;
    assert_eq!(drover.knows("bull:named").await["system"], "bullmq");
}

#[tokio::test]
async fn keys_of_other_libraries_are_taken_for_no_queue_of_ours() {
    let redis = Redis::start();
    let words = [
        // Sidekiq and Resque, with queues that have the names of Bull's keys.
        "SADD queues id wait active",
        "LPUSH queue:id {}",
        "LPUSH queue:wait {}",
        "LPUSH queue:active {}",
        "ZADD schedule 1 {}",
        "ZADD retry 1 {}",
        "SET stat:processed 17",
        "SADD resque:queues id wait active",
        "LPUSH resque:queue:id {}",
        "LPUSH resque:queue:wait {}",
        "LPUSH resque:queue:active {}",
        "LPUSH resque:failed {}",
        "SET resque:stat:id 3",
        // RQ.
        "SADD rq:queues rq:queue:id",
        "LPUSH rq:queue:id 1",
        "LPUSH rq:queue:wait 1",
        "LPUSH rq:queue:active 1",
        "ZADD rq:failed:id 1 1",
        "HSET rq:job:id status queued",
        // Kue.
        "SET q:ids 9",
        "HSET q:job:id type mail",
        "ZADD q:jobs:active 1 1",
        "ZADD q:jobs:delayed 1 1",
        "SADD q:job:types mail",
        // Celery over kombu.
        "LPUSH celery {}",
        "LPUSH acme:id {}",
        "LPUSH acme:wait {}",
        "SADD _kombu.binding.celery celery",
        "HSET unacked id {}",
        "SET celery-task-meta-id {}",
        // arq, with jobs that have the names of Bull's keys: its queue is one of its own.
        "ZADD arq:queue 1 id",
        "SET arq:job:id x",
        "SET arq:retry:id 2",
        "SET arq:retry:stalled-check x",
        "SET arq:in-progress:id 1",
        "SET arq:result:id x",
        // An application's own counters, streams and hashes.
        "SET order:id 4711",
        "XADD order:events * kind created",
        "SET crm:id 12",
        "HSET crm:jobs 1 {}",
        "HSET session:meta paused 1",
        "SET cart:id abc",
        "LPUSH cart:wait 1",
        "ZADD cart:failed 1 1",
    ];
    for line in words {
        let words: Vec<&str> = line.split(' ').collect();
        redis.run::<redis::Value>(&words);
    }
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    oracle.add("q", "n", json!({}), json!({})).await;
    let before = everything(&redis);
    let drover = Drover::over(&redis.url()).await;
    eventually("the search is over", SOON, || async {
        (drover.store("redis").await["searched"] == true).then_some(())
    })
    .await;
    let queues = drover.get("/api/v1/queues").await.json();
    let mut ids: Vec<&str> = queues["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|q| q["id"].as_str().unwrap())
        .collect();
    ids.sort_unstable();
    let resque = ["resque:queue:active", "resque:queue:id", "resque:queue:wait"];
    let sidekiq = ["queue:active", "queue:id", "queue:wait"];
    let mut known = vec!["arq:queue", "bull:q", "q:jobs:mail", "rq:queue:id"];
    known.extend(resque.iter().chain(&sidekiq));
    known.sort_unstable();
    assert_eq!(ids, known);
    assert_eq!(everything(&redis), before);
    for (queue, system, library) in [
        ("q:jobs:mail", "kue", "Kue"),
        ("queue:id", "sidekiq", "Sidekiq"),
        ("resque:queue:wait", "resque", "Resque"),
    ] {
        is_left_alone(&redis, &drover, queue, system, library).await;
    }
    // Without a sign of Sidekiq, a set of that name is an application's own.
    redis.run::<()>(&["DEL", "stat:processed"]);
    let again = Drover::over(&redis.url()).await;
    again.knows("rq:queue:id").await;
    let queues = again.get("/api/v1/queues").await.json();
    let queues = queues["items"].as_array().unwrap();
    assert!(queues.iter().all(|queue| queue["system"] != "sidekiq"), "{queues:?}");
}

#[tokio::test]
async fn a_queue_of_rq_is_shown_as_what_it_is_and_left_alone() {
    let redis = Redis::start();
    let mut rq = Oracle::rq(&redis.url()).await;
    rq.ask("add", "saves", json!({"count": 6})).await;
    let drover = Drover::over(&redis.url()).await;
    is_left_alone(&redis, &drover, "rq:queue:saves", "rq", "RQ").await;
    rq.ask("work", "saves", json!({})).await;
    assert_eq!(
        rq.ask("counts", "saves", json!({})).await,
        json!({"waiting": 0, "completed": 6})
    );
    // It stays while its library knows it, with or without jobs.
    is_left_alone(&redis, &drover, "rq:queue:saves", "rq", "RQ").await;
    rq.ask("delete", "saves", json!({})).await;
    eventually("it is gone", SOON, || async {
        drover.queue("redis", "rq:queue:saves").await.is_none().then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_queue_that_is_named_and_not_recognised_is_said_to_be_so() {
    let redis = Redis::start();
    redis.run::<()>(&["SET", "shop:order:id", "4711"]);
    redis.run::<redis::Value>(&["XADD", "shop:order:events", "*", "kind", "created"]);
    let file = format!(
        "[[store]]\nid = \"redis\"\nurl = \"{}\"\nqueues = [\"shop:order\"]\n",
        redis.url()
    );
    let drover = Drover::with(&[], &file).await;
    let line = drover.knows("shop:order").await;
    assert_eq!(
        (&line["system"], &line["counts"]["waiting"]),
        (&json!("unknown"), &Value::Null),
        "{line}"
    );
    let refused = drover.post("/queues/redis/shop:order/pause", &json!({})).await;
    assert_eq!(refused.status, 422, "{}", refused.body);
    assert!(refused.body.contains("not recognised"), "{}", refused.body);
}

#[tokio::test]
async fn the_scripts_themselves_refuse_a_layout_that_they_do_not_know() {
    for arrival in [
        &["ZADD", "bull:q:groups", "1", "g"][..],
        &["HSET", "bull:q:meta", "version", "bullmq-pro:7.38.5"],
    ] {
        let mut bench = Bench::of(bullmq_6).await;
        let id = bench.failed(bullmq_6.failing_once(), json!({})).await;
        let (redis, words) = (bench.redis.connection(), arrival.to_vec());
        let mut redis = redis;
        // After Drover looked at the queue, and before the script that it chose runs.
        let port = before_the_first(b"EVALSHA", bench.redis.port, move || {
            redis::cmd(words[0]).arg(&words[1..]).exec(&mut redis).unwrap();
        })
        .await;
        let adapter = bench.over(&format!("redis://127.0.0.1:{port}")).await;
        let jobs = [(id.clone(), Seen::default())];
        let effects = adapter
            .on_jobs(&QueueId::from("bull:q"), &jobs, &retry())
            .await
            .unwrap();
        assert!(
            matches!(&effects[..], [Effect::Refused { reason }] if reason.contains("not supported")),
            "{effects:?}"
        );
        assert_eq!(bench.state(&id).await, JobState::Failed.as_str());
    }
}
