//! Bad weather between Drover and a store: partitions, pauses, slowness, clocks. Numbers `F-n` are those of the
//! reliability plan; durations are scaled down, limits are not.

use crate::support::app::Drover;
use crate::support::oracle::Oracle;
use crate::support::proxy::{Proxy, Weather};
use crate::support::redis::Redis;
use crate::support::{LATER, SOON, eventually};
use serde_json::json;
use std::time::{Duration, Instant};

/// F-5, twelve seconds instead of five minutes.
#[tokio::test]
async fn a_partition_is_seen_in_seconds_holds_few_sockets_and_is_over_soon_after_it_heals() {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    oracle.add("q", "n", json!({}), json!({})).await;
    let proxy = Proxy::before(redis.port).await;
    let drover = Drover::over(&proxy.url()).await;
    drover.knows("bull:q").await;
    let counts = oracle.counts("q").await;
    drover.counts_become("bull:q", &counts).await;
    proxy.most_asked();

    // No reset, no refusal: the network accepts everything and delivers nothing.
    let began = Instant::now();
    proxy.becomes(Weather::Blackhole);
    drover.store_becomes("redis", "frozen").await;
    let mut most = proxy.most_open();
    while began.elapsed() < Duration::from_secs(12) {
        most = most.max(proxy.most_open());
        assert_eq!(drover.store("redis").await["reach"], "frozen");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(most <= 6, "{most} sockets");
    let line = drover.knows("bull:q").await;
    assert_eq!(line["counts"], counts, "old is not zero");
    let page = drover.get("").await;
    assert!(
        page.body.contains("The page shows data from"),
        "numbers carry their age"
    );

    proxy.becomes(Weather::Fair(Duration::ZERO));
    drover.store_becomes("redis", "live").await;
    // The store pushes changes again too, over new sockets.
    let mut stream = drover.stream("queue:redis/bull:q").await;
    let id = oracle.add("q", "n", json!({}), json!({})).await;
    stream
        .until("the new job", |e| {
            let jobs = e.data["jobs"].as_array()?;
            jobs.iter().any(|j| j["id"] == id.as_str()).then_some(())
        })
        .await;
    assert!(proxy.most_open() <= 6);
    let counts = oracle.counts("q").await;
    drover.counts_become("bull:q", &counts).await;
}

#[tokio::test]
async fn a_cut_and_a_choked_path_heal_by_themselves_with_few_sockets() {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    oracle.add("q", "n", json!({}), json!({})).await;
    let proxy = Proxy::before(redis.port).await;
    let drover = Drover::over(&proxy.url()).await;
    drover.knows("bull:q").await;
    proxy.becomes(Weather::Cut);
    let store = drover.store_becomes("redis", "gone").await;
    assert!(store["cause"].as_str().unwrap().contains("broke"), "{store}");
    proxy.becomes(Weather::Fair(Duration::ZERO));
    drover.store_becomes("redis", "live").await;
    // A report of the server is thousands of bytes: at this rate it takes half a minute.
    proxy.becomes(Weather::Drip(200));
    eventually("it is not live", LATER, || async {
        (drover.store("redis").await["reach"] != "live").then_some(())
    })
    .await;
    assert!(proxy.most_open() <= 6);
    assert_eq!(drover.get("").await.status, 200);
    proxy.becomes(Weather::Fair(Duration::ZERO));
    let counts = oracle.counts("q").await;
    drover.store_becomes("redis", "live").await;
    drover.counts_become("bull:q", &counts).await;
}

/// F-6.
#[tokio::test]
async fn a_paused_store_does_not_hold_up_another_ones_pages_and_is_not_flooded_when_it_wakes() {
    let (a, b) = (Redis::start(), Redis::start());
    let file = format!(
        "[[store]]\nid = \"a\"\nurl = \"{}\"\n[[store]]\nid = \"b\"\nurl = \"{}\"\n",
        a.url(),
        b.url()
    );
    for redis in [&a, &b] {
        let mut oracle = Oracle::start(&redis.url(), 6).await;
        oracle.add("q", "n", json!({}), json!({})).await;
    }
    let drover = Drover::with(&[], &file).await;
    for store in ["a", "b"] {
        eventually("both queues", SOON, || drover.queue(store, "bull:q")).await;
    }
    let calls = (a.calls_of("info"), a.calls_of("ping"));
    a.run::<()>(&["CLIENT", "PAUSE", "8000", "ALL"]);
    drover.store_becomes("a", "frozen").await;
    for _ in 0..60 {
        let page = drover.get("/queues/b/bull:q?state=waiting").await;
        assert!(page.status == 200 && page.body.contains("waiting"));
    }
    // The board answered all of them while the other store was silent.
    assert_eq!(drover.store("a").await["reach"], "frozen");
    assert_eq!(drover.store("b").await["reach"], "live");
    drover.store_becomes("a", "live").await;
    // The test reads the statistics with INFO too: once before the pause, once now.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (infos, pings) = (a.calls_of("info") - calls.0, a.calls_of("ping") - calls.1);
    assert!(infos <= 7, "{infos} reports were asked for when it woke");
    assert!(pings <= 20, "{pings} signs of life were asked for when it woke");
}

/// F-29.
#[tokio::test]
async fn a_slow_redis_is_asked_less_and_the_page_says_so() {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    oracle.ask("startWorker", "q", json!({"workerId": "w"})).await;
    oracle.add("q", "n", json!({}), json!({})).await;
    let proxy = Proxy::before(redis.port).await;
    proxy.becomes(Weather::Fair(Duration::from_millis(5)));
    let drover = Drover::over(&proxy.url()).await;
    drover.knows("bull:q").await;
    let _watcher = drover.stream("overview,queue:redis/bull:q").await;
    let url = redis.url();
    // A queue in which something happens all the time.
    let mut busy = Oracle::start(&url, 6).await;
    let moving = tokio::spawn(async move {
        loop {
            busy.add("q", "n", json!({}), json!({})).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let sent = || async {
        let metrics = crate::support::client::get(drover.port, "/metrics").await.body;
        let line = metrics
            .lines()
            .find(|line| line.starts_with("drover_store_commands_total{store=\"redis\"}"))
            .unwrap()
            .to_owned();
        line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()
    };
    let in_six_seconds = || async {
        let before = sent().await;
        tokio::time::sleep(Duration::from_secs(6)).await;
        sent().await - before
    };
    tokio::time::sleep(Duration::from_secs(1)).await;
    let quick = in_six_seconds().await;
    proxy.becomes(Weather::Fair(Duration::from_millis(500)));
    // Every 15 seconds, and the events between.
    let condition = drover.condition_says("redis", "slow", "20 s").await;
    assert!(
        condition["sentence"]
            .as_str()
            .unwrap()
            .starts_with("Polled less often: Redis takes 5"),
        "{condition}"
    );
    assert!(drover.get("").await.body.contains("Polled less often"));
    proxy.most_asked();
    let slow = in_six_seconds().await;
    assert!(quick / slow >= 5.0, "{quick} commands when quick, {slow} when slow");
    assert!(proxy.most_asked() <= 1, "polls pile up");
    assert_eq!(drover.store("redis").await["reach"], "live", "slow is not silent");
    moving.abort();
}

/// F-25: clocks of producers.
#[tokio::test]
async fn jobs_from_the_future_and_from_1970_are_said_to_be_and_break_nothing() {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    let ahead = drover::model::now() + 7_200_000;
    oracle.add("future", "n", json!({}), json!({"timestamp": ahead})).await;
    oracle.add("past", "n", json!({}), json!({"timestamp": 0})).await;
    let drover = Drover::over(&redis.url()).await;
    drover.knows("bull:future").await;
    drover.knows("bull:past").await;
    eventually("the overview tells how far a clock is ahead", LATER, || async {
        let page = drover.get("").await.body;
        (page.contains("clock ahead by 1 h 59 m") || page.contains("clock ahead by 2 h")).then_some(())
    })
    .await;
    for queue in ["future", "past"] {
        for path in [
            format!("/queues/redis/bull:{queue}?state=waiting"),
            format!("/queues/redis/bull:{queue}/jobs/1"),
        ] {
            let page = drover.get(&path).await;
            assert_eq!(page.status, 200, "{path}");
            let negative = (0..10)
                .map(|digit| format!(">-{digit}"))
                .find(|text| page.body.contains(text));
            assert_eq!(negative, None, "{path} shows a negative age");
        }
    }
    let list = drover.get("/queues/redis/bull:future?state=waiting").await.body;
    assert!(list.contains("clock ahead by"), "the list says so");
}

/// F-25: the store's clock.
#[tokio::test]
async fn ages_are_counted_by_the_clock_of_redis_and_a_difference_is_told() {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    let proxy = Proxy::before(redis.port).await;
    proxy.becomes(Weather::ClockAhead(600));
    // A producer on the same clock: its job is new.
    let created = drover::model::now() + 600_000;
    oracle.add("q", "n", json!({}), json!({"timestamp": created})).await;
    let drover = Drover::over(&proxy.url()).await;
    drover.knows("bull:q").await;
    let condition = drover.condition_becomes("redis", "clock_differs").await;
    let says = condition["sentence"].as_str().unwrap();
    assert!(says.contains("10 m ahead") || says.contains("9 m 59 s ahead"), "{says}");
    let ahead = drover.store("redis").await["clock_ahead"].as_i64().unwrap();
    assert!((ahead - 600_000).abs() < 2_000, "{ahead}");
    eventually("the age of the job", LATER, || async {
        let line = drover.queue("redis", "bull:q").await?;
        (line["oldest_waiting"] == created).then_some(())
    })
    .await;
    for path in ["", "/queues/redis/bull:q?state=waiting", "/queues/redis/bull:q/jobs/1"] {
        let page = drover.get(path).await.body;
        assert!(
            !page.contains("clock ahead by"),
            "{path}: by the clock of Redis the job is not ahead"
        );
    }
}
