//! Bad days of a store: the board names each, it affects no other store, and it recovers by itself.

use crate::support::app::Drover;
use crate::support::oracle::Oracle;
use crate::support::proxy::{Proxy, Weather};
use crate::support::redis::{Redis, configure};
use crate::support::{LATER, SOON, eventually};
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn a_store_that_is_gone_keeps_its_last_numbers_and_comes_back_by_itself() {
    let mut redis = Redis::start();
    let (_oracle, drover) = Drover::over_three_jobs(&redis).await;
    redis.kill();
    drover.store_becomes("redis", "gone").await;
    // First the connection breaks, then a new one is refused.
    let store = eventually("the cause", SOON, || async {
        let store = drover.store("redis").await;
        store["cause"].as_str().unwrap().contains("refused").then_some(store)
    })
    .await;
    assert!(store["since"].as_i64().unwrap() > 0 && store["as_of"].as_i64().is_some());
    assert_eq!(store["verdict"]["level"], "bad");
    let line = drover.knows("bull:q").await;
    assert_eq!(line["counts"]["waiting"], 3, "old is not zero");
    assert_eq!(line["verdict"]["level"], "unknown");
    assert_eq!(line["rates"], json!(null), "a rate that is not measured is not known");
    let page = drover.get("").await;
    assert!(
        page.body.contains("redis has been unreachable") && page.body.contains("The page shows data from"),
        "{}",
        page.body
    );
    let list = drover.get("/queues/redis/bull:q?state=waiting").await;
    assert_eq!(list.status, 200);
    assert!(list.body.contains("The jobs cannot be shown"));
    assert_eq!(drover.get("/api/v1/queues/redis/bull:q/jobs").await.status, 503);
    assert_eq!(
        drover.get("/readyz").await.status,
        200,
        "a dead Redis must not restart the board"
    );
    redis.restart(&[]);
    drover.store_becomes("redis", "live").await;
    // The data is gone with the process: the board must notice that too.
    eventually("the queue leaves the board", LATER, || async {
        drover.queue("redis", "bull:q").await.is_none().then_some(())
    })
    .await;
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    oracle.ask("startWorker", "new", json!({"workerId": "w"})).await;
    drover.knows("bull:new").await;
}

#[tokio::test]
async fn a_frozen_store_is_told_apart_and_never_delays_the_other() {
    let (a, b) = (Redis::start(), Redis::start());
    let file = format!(
        "[[store]]\nid = \"a\"\nurl = \"{}\"\n[[store]]\nid = \"b\"\nurl = \"{}\"\n",
        a.url(),
        b.url()
    );
    let mut at_a = Oracle::start(&a.url(), 6).await;
    let mut at_b = Oracle::start(&b.url(), 6).await;
    at_a.add("q", "n", json!({}), json!({})).await;
    at_b.add("q", "n", json!({}), json!({})).await;
    let drover = Drover::with(&[], &file).await;
    for store in ["a", "b"] {
        eventually("both queues", SOON, || drover.queue(store, "bull:q")).await;
    }
    let mut stream = drover.stream("queue:b/bull:q").await;
    stream.next().await.unwrap();
    a.freeze();
    let store = drover.store_becomes("a", "frozen").await;
    assert!(store["cause"].as_str().unwrap().contains("does not answer"), "{store}");
    for round in 0..5 {
        let page = drover.get("").await;
        assert!(page.body.contains("unresponsive"), "the overview says so");
        assert_eq!(drover.get("/queues/b/bull:q?state=waiting").await.status, 200);
        let id = at_b.add("q", "n", json!({}), json!({"delay": 1_000_000 + round})).await;
        stream.until_job(&id).await;
    }
    // The board answered all of that while the other store was silent.
    assert_eq!(drover.store("a").await["reach"], "frozen");
    a.thaw();
    drover.store_becomes("a", "live").await;
    at_a.add("q", "n", json!({}), json!({})).await;
    eventually("counts of a move again", SOON, || async {
        (drover.queue("a", "bull:q").await?["counts"]["waiting"] == 2).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_wrong_password_is_said_and_healed_without_a_restart() {
    let redis = Redis::start();
    redis.run::<()>(&["CONFIG", "SET", "requirepass", "right"]);
    let url = format!("redis://:secret-we-know@127.0.0.1:{}", redis.port);
    let drover = Drover::over(&url).await;
    let store = drover.store_becomes("redis", "wrong_password").await;
    assert!(store["cause"].as_str().unwrap().contains("password"), "{store}");
    let page = drover.get("").await;
    assert!(
        page.body.contains("redis has been rejecting Drover's password")
            || page.body.contains("rejects Drover's user name or password")
    );
    assert!(!page.body.contains("secret-we-know"), "the password is on the page");
    let client = redis::Client::open(format!("redis://:right@127.0.0.1:{}", redis.port)).unwrap();
    let mut admin = client.get_connection().unwrap();
    configure(&mut admin, "requirepass", "secret-we-know");
    drover.store_becomes("redis", "live").await;
    // And at run time: the password changes while Drover is connected.
    configure(&mut admin, "requirepass", "other");
    redis::cmd("CLIENT")
        .arg(&["KILL", "TYPE", "normal", "SKIPME", "yes"])
        .exec(&mut admin)
        .unwrap();
    drover.store_becomes("redis", "wrong_password").await;
    configure(&mut admin, "requirepass", "secret-we-know");
    drover.store_becomes("redis", "live").await;
}

#[tokio::test]
async fn a_store_that_loads_its_data_is_said_to_load() {
    let mut redis = Redis::start();
    let mut connection = redis.connection();
    let mut pipe = redis::pipe();
    for i in 0..20_000 {
        pipe.cmd("SET").arg(format!("k{i}")).arg("v").ignore();
    }
    pipe.exec(&mut connection).unwrap();
    redis.run::<()>(&["SAVE"]);
    let drover = Drover::over(&redis.url()).await;
    drover.store_becomes("redis", "live").await;
    // Without a delay per key the loading would be over at once: this makes it two seconds.
    redis.restart(&[
        "--key-load-delay",
        "100",
        "--loading-process-events-interval-bytes",
        "1024",
    ]);
    let store = drover.store_becomes("redis", "loading").await;
    assert!(store["cause"].as_str().unwrap().contains("loading its data"), "{store}");
    drover.store_becomes("redis", "live").await;
}

#[tokio::test]
async fn a_board_that_starts_before_its_store_waits_for_it() {
    let mut redis = Redis::start();
    redis.kill();
    let drover = Drover::over(&redis.url()).await;
    drover.store_becomes("redis", "gone").await;
    let page = drover.get("").await;
    assert_eq!(page.status, 200);
    assert!(
        page.body.contains("No store answers yet"),
        "the page says what it waits for"
    );
    // The board does not know yet whether the queue exists: no "not found", and the page fetches itself again.
    let asked = drover.get("/queues/redis/bull:mail").await;
    assert_eq!(
        (asked.status, asked.header("refresh")),
        (503, Some("2")),
        "{}",
        asked.body
    );
    assert!(asked.body.contains("its queues are not known"), "{}", asked.body);
    let asked = drover.get("/api/v1/queues/redis/bull:mail").await;
    assert_eq!(
        (asked.status, asked.header("retry-after")),
        (503, Some("2")),
        "{}",
        asked.body
    );
    assert!(asked.body.contains("not-searched"), "{}", asked.body);
    redis.restart(&[]);
    drover.store_becomes("redis", "live").await;
    let said = || async { (drover.get("/api/v1/queues/redis/bull:mail").await.status == 404).then_some(()) };
    eventually("a searched store says that there is no such queue", SOON, said).await;
}

#[tokio::test]
async fn events_that_were_missed_make_rates_unknown_and_counts_right() {
    let redis = Redis::start();
    let (mut oracle, drover) = Drover::over_three_jobs(&redis).await;
    eventually("a rate", LATER, || async {
        drover.knows("bull:q").await["rates"].as_object().map(|_| ())
    })
    .await;
    // The test cuts our connections, and adds more events than the stream keeps before they are back.
    redis.run::<()>(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    oracle
        .ask(
            "addMany",
            "q",
            json!({"count": 300, "name": "n", "data": {}, "opts": {}}),
        )
        .await;
    redis.run::<()>(&["XTRIM", "bull:q:events", "MAXLEN", "1"]);
    let counts = oracle.counts("q").await;
    assert_eq!(counts["waiting"], 303);
    eventually("no rate", SOON, || async {
        drover.knows("bull:q").await["rates"].is_null().then_some(())
    })
    .await;
    drover.counts_become("bull:q", &counts).await;
}

#[tokio::test]
async fn a_store_that_was_silent_leaves_a_gap_in_the_sparklines_and_no_spike() {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    // About ten jobs a second, whatever happens between Drover and the store.
    let jobs = json!({"count": 2_000, "name": "n", "data": {"ms": 100}, "opts": {}});
    oracle.ask("addMany", "q", jobs).await;
    oracle.ask("startWorker", "q", json!({"workerId": "w"})).await;
    let proxy = Proxy::before(redis.port).await;
    let drover = Drover::over(&proxy.url()).await;
    let spark = async |drover: &Drover| -> Vec<Option<u64>> {
        let line = drover.knows("bull:q").await;
        serde_json::from_value(line["spark"].clone()).unwrap()
    };
    let watched = async |slices: &[bool]| {
        eventually(&format!("slices that are known: {slices:?}"), LATER * 2, || async {
            let spark = spark(&drover).await;
            let known: Vec<bool> = spark.iter().map(Option::is_some).collect();
            // The length of each stretch depends on when it began.
            let mut stretches = known;
            stretches.dedup();
            (stretches == slices).then_some(spark)
        })
        .await
    };
    // The last seconds before Drover notices a silence belong to it: more than one slice has to be known.
    eventually("two slices", LATER * 2, || async {
        (spark(&drover).await.len() > 1).then_some(())
    })
    .await;
    watched(&[true]).await;
    proxy.becomes(Weather::Blackhole);
    drover.store_becomes("redis", "frozen").await;
    watched(&[true, false]).await;
    proxy.becomes(Weather::Fair(Duration::ZERO));
    drover.store_becomes("redis", "live").await;
    let spark = watched(&[true, false, true]).await;
    let most = spark.iter().flatten().max();
    // The 200 jobs and more of the meantime are reported at once and belong to the gap.
    assert!(most <= Some(&130), "a spike that never happened: {spark:?}");
    assert!(spark.last().unwrap() > &Some(0), "{spark:?}");
}
