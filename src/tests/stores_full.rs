//! The page of a store against real Redis: each judgement, each query, each refusal.

use crate::support::app::Drover;
use crate::support::oracle::Oracle;
use crate::support::redis::Redis;
use crate::support::{LATER, SOON, eventually};
use serde_json::{Value, json};
use std::time::Duration;

/// The store as the API returns it, once Drover has read a report.
async fn reported(drover: &Drover) -> Value {
    drover.store_becomes("redis", "live").await;
    eventually("a report", SOON, || async {
        let store = drover.store("redis").await;
        (!store["report"]["known"].is_null() && !store["asked"]["at"].is_null()).then_some(store)
    })
    .await
}

/// Level and text of one judgement.
fn judged(store: &Value, about: &str) -> (String, String) {
    let judgement = store["judgements"]
        .as_array()
        .unwrap()
        .iter()
        .find(|judgement| judgement["about"] == about)
        .unwrap_or_else(|| panic!("nothing is said about {about}: {store}"));
    let text = |field: &str| judgement[field].as_str().unwrap().to_owned();
    (text("level"), text("text"))
}

#[track_caller]
fn says(store: &Value, about: &str, level: &str, words: &str) {
    let (found, text) = judged(store, about);
    assert!(text.contains(words), "{about}: {text:?} does not say {words:?}");
    assert_eq!(found, level, "{about}: {text}");
}

/// Starts Redis with options and returns the board's view of it.
async fn judged_with(options: &[&str], before: impl FnOnce(&Redis)) -> (Redis, Drover, Value) {
    let mut redis = Redis::start();
    redis.restart(options);
    eventually("redis is back", SOON, || async {
        let client = redis::Client::open(redis.url()).ok()?;
        let mut connection = client.get_connection().ok()?;
        redis::cmd("PING").query::<String>(&mut connection).ok()
    })
    .await;
    before(&redis);
    let drover = Drover::over(&redis.url()).await;
    let store = reported(&drover).await;
    (redis, drover, store)
}

#[tokio::test]
async fn a_store_that_writes_nothing_to_disk_is_said_to_lose_every_job() {
    let (_redis, drover, store) = judged_with(&[], |_| {}).await;
    says(&store, "persistence", "watch", "loses every job");
    says(&store, "memory", "ok", "No limit is set");
    says(&store, "eviction", "ok", "no job is lost");
    says(&store, "replication", "ok", "No replica");
    says(&store, "clients", "ok", "Plenty of room");
    let page = drover.get("/stores/redis").await;
    assert!(page.body.contains("a crash or a restart loses every job"));
    assert!(
        page.body.contains("aria-label=\"Reasons\""),
        "what asks for attention comes first"
    );
}

#[tokio::test]
async fn an_append_only_file_is_judged_by_when_it_reaches_the_disk() {
    for (fsync, level, words) in [
        ("everysec", "ok", "about the last second"),
        ("always", "ok", "loses nothing that was acknowledged"),
        ("no", "watch", "up to about 30 seconds"),
    ] {
        let (_redis, _drover, store) = judged_with(&["--appendonly", "yes", "--appendfsync", fsync], |_| {}).await;
        says(&store, "persistence", level, words);
    }
}

#[tokio::test]
async fn snapshots_lose_the_changes_since_the_last_one() {
    let (redis, drover, _) = judged_with(&["--save", "3600 1", "--stop-writes-on-bgsave-error", "no"], |redis| {
        redis.run::<()>(&["SET", "a", "1"]);
        redis.run::<()>(&["SAVE"]);
        redis.run::<()>(&["SET", "b", "1"]);
        redis.run::<()>(&["SET", "c", "1"]);
    })
    .await;
    let store = eventually("two changes", SOON, || async {
        let store = drover.store("redis").await;
        judged(&store, "persistence").1.contains("2 changes").then_some(store)
    })
    .await;
    says(&store, "persistence", "ok", "Snapshots only, the last");
    // A missing folder makes the next snapshot fail.
    std::fs::remove_dir_all(redis.dir()).unwrap();
    let _: Result<(), _> = redis::cmd("BGSAVE").query(&mut redis.connection());
    eventually("the failure is told", LATER, || async {
        let (level, text) = judged(&drover.store("redis").await, "persistence");
        (level == "bad" && text.contains("The last snapshot failed")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_policy_that_deletes_jobs_is_said_to_and_evictions_are_counted() {
    let (redis, drover, store) =
        judged_with(&["--maxmemory", "20mb", "--maxmemory-policy", "allkeys-lru"], |_| {}).await;
    says(&store, "eviction", "watch", "any job can be deleted");
    says(&store, "memory", "ok", "of its limit of 21 MB");
    let mut connection = redis.connection();
    let value = "x".repeat(100_000);
    for i in 0..300 {
        redis::cmd("SET")
            .arg(format!("k{i}"))
            .arg(&value)
            .exec(&mut connection)
            .unwrap();
    }
    let store = eventually("evictions", SOON, || async {
        let store = drover.store("redis").await;
        (judged(&store, "eviction").0 == "bad").then_some(store)
    })
    .await;
    says(&store, "eviction", "bad", "jobs may be disappearing");
    says(&store, "memory", "bad", "of its limit");
    let page = drover.get("/stores/redis").await.body;
    assert!(page.contains("chart-limit"), "a limit that is near is drawn");
}

#[tokio::test]
async fn a_replica_is_told_from_both_ends() {
    let master = Redis::start();
    let replica = Redis::start();
    let drover = Drover::over(&replica.url()).await;
    reported(&drover).await;
    replica.run::<()>(&["REPLICAOF", "127.0.0.1", &master.port.to_string()]);
    let store = eventually("the link is up", LATER, || async {
        let store = drover.store("redis").await;
        (judged(&store, "replication").1.contains("the link is up")).then_some(store)
    })
    .await;
    assert_eq!(store["report"]["known"]["replication"]["role"], "replica");
    let of_master = Drover::over(&master.url()).await;
    eventually("the master knows it", SOON, || async {
        let store = reported(&of_master).await;
        judged(&store, "replication")
            .1
            .contains("1 replica is connected")
            .then_some(())
    })
    .await;
    drop(master);
    eventually("the link is down", LATER, || async {
        let (level, text) = judged(&drover.store("redis").await, "replication");
        (level == "bad" && text.contains("is down")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_page_without_javascript_has_every_section() {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    oracle
        .ask(
            "addMany",
            "mail",
            json!({"count": 120, "name": "n", "data": {"text": "x".repeat(900)}, "opts": {}}),
        )
        .await;
    redis.run::<()>(&[
        "CONFIG",
        "SET",
        "slowlog-log-slower-than",
        "0",
        "latency-monitor-threshold",
        "1",
    ]);
    redis.run::<()>(&["CONFIG", "SET", "notify-keyspace-events", "KEA"]);
    redis.run::<()>(&["SET", "<b>slow</b>", &"y".repeat(5_000), "EX", "1000"]);
    redis.run::<()>(&["CONFIG", "SET", "slowlog-log-slower-than", "10000000"]);
    redis.run::<()>(&["EVAL", "local n = 0; for i = 1, 5e6 do n = n + i end; return n", "0"]);
    let mut listener = redis.connection();
    let mut listener = listener.as_pubsub();
    listener.subscribe("news-of-the-shop").unwrap();
    let drover = Drover::over(&redis.url()).await;
    drover.knows("bull:mail").await;
    reported(&drover).await;
    let page = eventually("round trips were measured", SOON, || async {
        let page = drover.get("/stores/redis").await;
        (page.status == 200 && page.body.contains("PINGs in a minute")).then_some(page.body)
    })
    .await;
    for heading in [
        "Health",
        "Memory by queue",
        "Largest payloads among the measured jobs",
        "Slow log",
        "Latency monitor",
        "Keys by database",
        "Pub/Sub",
        "Memory used",
        "Commands per second",
        "Clients",
        "Longest PING round trip",
    ] {
        assert!(page.contains(heading), "{heading} is missing");
    }
    assert_eq!(page.matches("class=\"chart\"").count(), 4, "four drawings");
    for fact in [
        "Redis 7",
        "standalone",
        "noeviction",
        "db0",
        "news-of-the-shop",
        "on (AKE)",
        "command",
        "/queues/redis/bull:mail/jobs/",
        "at most 50 of each state",
        "≈",
    ] {
        assert!(page.contains(fact), "{fact} is missing");
    }
    assert!(
        page.contains("SET &lt;b&gt;slow&lt;/b&gt; yyyyyyyyyyyyyyyyyyyy"),
        "the slow command is shown"
    );
    assert!(!page.contains("<b>slow"), "a command is text, not markup");
    assert!(!page.contains(&"y".repeat(200)), "and it is cut");
    let title = page.split("<title>").nth(1).unwrap();
    assert!(title.starts_with("redis · Drover"), "{}", &title[..40]);
    // The overview links here, and so does the queue's page.
    assert!(
        drover
            .get("")
            .await
            .body
            .contains("href=\"/admin/queues/stores/redis\"")
    );
    assert!(
        drover
            .get("/queues/redis/bull:mail")
            .await
            .body
            .contains("href=\"/admin/queues/stores/redis\"")
    );
    let chart = drover.get("/stores/redis/charts/memory.svg").await;
    assert_eq!(
        (chart.status, chart.header("content-type")),
        (200, Some("image/svg+xml"))
    );
    assert_eq!(drover.get("/stores/redis/charts/nothing.svg").await.status, 404);
    assert_eq!(drover.get("/stores/nowhere").await.status, 404);
    assert_eq!(drover.get("/api/v1/stores/nowhere").await.status, 404);
}

#[tokio::test]
async fn what_the_access_rules_refuse_is_named_and_the_rest_is_shown() {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    oracle.add("q", "n", json!({}), json!({})).await;
    let url = redis.user(
        "few",
        "p",
        &[
            "~*",
            "-@all",
            "+ping",
            "+hello",
            "+auth",
            "+select",
            "+info",
            "+scan",
            "+type",
            "+exists",
            "+hget",
            "+hmget",
            "+llen",
            "+lindex",
            "+lrange",
            "+zcard",
            "+zrange",
            "+zcount",
            "+xread",
            "+xrevrange",
        ],
    );
    let drover = Drover::over(&url).await;
    drover.knows("bull:q").await;
    let store = reported(&drover).await;
    assert_eq!(store["asked"]["slow"]["not_permitted"], "+slowlog|get");
    let page = drover.get("/stores/redis").await;
    assert_eq!(page.status, 200);
    for rule in [
        "+slowlog|get",
        "+latency|latest",
        "+pubsub|channels",
        "+config|get",
        "+memory|usage",
    ] {
        assert!(
            page.body.contains(&format!("not permitted: {rule}")),
            "{rule} is not named"
        );
    }
    assert!(page.body.contains("noeviction"), "the report is shown all the same");
    // Opening the page repeatedly does not fill the server's log of refusals.
    let refusals = || {
        let log: Vec<std::collections::HashMap<String, redis::Value>> = redis.run(&["ACL", "LOG"]);
        let of_store = |object: &str| {
            log.iter()
                .filter(
                    |entry| matches!(&entry["object"], redis::Value::BulkString(b) if b.starts_with(object.as_bytes())),
                )
                .filter_map(|entry| match &entry["count"] {
                    redis::Value::Int(n) => Some(*n),
                    _ => None,
                })
                .sum::<i64>()
        };
        ["slowlog", "latency", "pubsub", "config", "memory"].map(of_store)
    };
    let before = refusals();
    // Drover checks whether it may read settings without trying.
    assert!(
        before.iter().all(|tried| *tried <= 1),
        "each was tried once at most: {before:?}"
    );
    tokio::time::sleep(Duration::from_millis(4_500)).await;
    assert_eq!(drover.get("/stores/redis").await.status, 200);
    assert_eq!(refusals(), before, "and not again");
}

#[tokio::test]
async fn the_reader_of_the_deployment_may_read_the_whole_page_but_the_configuration() {
    let redis = Redis::with_users();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    oracle.add("q", "n", json!({}), json!({})).await;
    let mut listener = redis.connection();
    let mut listener = listener.as_pubsub();
    listener.subscribe("c").unwrap();
    let drover = Drover::over(&redis.url_as("drover_read")).await;
    drover.knows("bull:q").await;
    reported(&drover).await;
    let page = drover.get("/stores/redis").await.body;
    for rule in [
        "+slowlog|get",
        "+latency|latest",
        "+pubsub|channels",
        "+memory|usage",
        "+info",
    ] {
        assert!(!page.contains(&format!("not permitted: {rule}")), "{rule} is missing");
    }
    assert!(
        page.contains("not permitted: +config|get"),
        "it would tell passwords too"
    );
    let denied: Vec<String> = redis.denied();
    let expected = |object: &String| ["config|get", "evalsha"].contains(&object.as_str());
    assert!(denied.iter().all(expected), "more was refused: {denied:?}");
    redis.run::<()>(&["ACL", "SETUSER", "drover_read", "+config|get"]);
    let other = Drover::over(&redis.url_as("drover_read")).await;
    assert_eq!(reported(&other).await["asked"]["settings"]["known"]["save"], "");
}

#[tokio::test]
async fn a_store_that_is_gone_is_shown_as_it_was_last_known() {
    let mut redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    oracle.add("q", "n", json!({}), json!({})).await;
    let drover = Drover::over(&redis.url()).await;
    drover.knows("bull:q").await;
    reported(&drover).await;
    assert_eq!(drover.get("/stores/redis").await.status, 200);
    drop(oracle);
    redis.kill();
    drover.store_becomes("redis", "gone").await;
    let page = drover.get("/stores/redis").await;
    assert_eq!(page.status, 200);
    assert!(page.body.contains("class=\"store-page stale\""), "it is grey");
    assert!(page.body.contains("The page shows data from"), "it says since when");
    assert!(page.body.contains("noeviction"), "the last report is shown");
    assert!(page.body.contains("≈"), "and the last estimate of memory");
    redis.restart(&[]);
    drover.store_becomes("redis", "live").await;
    eventually("a report of the new life", SOON, || async {
        let page = drover.get("/stores/redis").await.body;
        (!page.contains("class=\"store-page stale\"")).then_some(())
    })
    .await;
}
