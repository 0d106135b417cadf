//! Which worker serves which queue: from the names of connections, in one read that all pages share.

use crate::support::app::Drover;
use crate::support::oracle::Oracle;
use crate::support::redis::Redis;
use crate::support::{LATER, SOON, eventually};
use base64::Engine as _;
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// A connection that names itself, as a worker's does.
fn call_oneself(redis: &Redis, name: &str) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", redis.port)).unwrap();
    stream
        .write_all(format!("CLIENT SETNAME {name}\r\n").as_bytes())
        .unwrap();
    let mut ok = [0; 5];
    stream.read_exact(&mut ok).unwrap();
    assert_eq!(&ok, b"+OK\r\n");
    stream
}

fn named(queue: &str) -> String {
    let encoded = base64::engine::general_purpose::STANDARD.encode(queue);
    format!("bull:{encoded}")
}

async fn page(drover: &Drover, query: &str) -> Value {
    drover.get(&format!("/api/v1/workers{query}")).await.json()
}

fn crew<'a>(page: &'a Value, queue: &str) -> Option<&'a Value> {
    let crews = page["queues"].as_array().unwrap();
    crews.iter().find(|crew| crew["queue"]["queue"] == queue)
}

/// Waits until a queue has so many workers, and returns its part of the page.
async fn with_workers(drover: &Drover, queue: &str, count: u64) -> Value {
    eventually(&format!("{queue} with {count} workers"), SOON, || async {
        let page = page(drover, "").await;
        crew(&page, queue).filter(|crew| crew["count"] == count).cloned()
    })
    .await
}

#[tokio::test]
async fn each_worker_is_listed_with_its_name_and_is_gone_within_five_seconds() {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    for (id, queue, name) in [("a", "mail", "eu-1"), ("b", "mail", "eu-1"), ("c", "mail", "eu-2")] {
        let worker = json!({"workerId": id, "name": name});
        oracle.ask("startWorker", queue, worker).await;
    }
    oracle.ask("startWorker", "ship", json!({"workerId": "d"})).await;
    let listener = call_oneself(&redis, &format!("{}:qe", named("mail")));
    let drover = Drover::over(&redis.url()).await;
    let mail = with_workers(&drover, "bull:mail", 3).await;
    assert_eq!(mail["names"], json!([["eu-1", 2], ["eu-2", 1]]));
    assert_eq!(mail["listeners"], 1, "who listens does no work");
    assert_eq!(mail["standing"], "served");
    let worker = &mail["workers"][0];
    assert_eq!(worker["generation"], "marker", "BullMQ 6 blocks in BZPOPMIN: {worker}");
    assert!(
        worker["address"].as_str().unwrap().starts_with("127.0.0.1:"),
        "{worker}"
    );
    let library = oracle.ask("workers", "mail", json!({})).await;
    assert_eq!(library["count"], 3, "the library counts the same");
    let ship = with_workers(&drover, "bull:ship", 1).await;
    assert_eq!(ship["workers"][0]["name"], Value::Null);

    let html = drover.get("/workers").await;
    assert_eq!(html.status, 200);
    for text in [
        "2 × eu-1",
        "without a name",
        "1 event listener",
        "BullMQ 5 or 6",
        "How workers are counted",
    ] {
        assert!(html.body.contains(text), "{text} is not on the page: {}", html.body);
    }
    let only = page(&drover, "?q=eu-2").await;
    assert_eq!(only["workers"], 1, "{only}");
    assert_eq!(only["queues"].as_array().unwrap().len(), 1);
    let one = page(&drover, "?queue=redis/bull:ship").await;
    assert_eq!(one["queues"][0]["queue"]["queue"], "bull:ship");
    assert_eq!(one["queues_in_all"], 2);

    oracle.ask("stopWorker", "mail", json!({"workerId": "c"})).await;
    let mail = with_workers(&drover, "bull:mail", 2).await;
    assert_eq!(mail["names"], json!([["eu-1", 2]]));
    drop(listener);
}

#[tokio::test]
async fn workers_of_every_generation_are_seen_and_told_apart_by_what_they_block_in() {
    let redis = Redis::start();
    let drover = Drover::over(&redis.url()).await;
    let families = [
        ("bull", "list"),
        ("3", "list"),
        ("4", "list"),
        ("5", "marker"),
        ("6", "marker"),
    ];
    let mut oracles = Vec::new();
    for (family, _) in families {
        let mut oracle = Oracle::of(&redis.url(), family).await;
        let queue = format!("of-{family}");
        for id in ["a", "b"] {
            oracle.ask("startWorker", &queue, json!({"workerId": id})).await;
        }
        oracles.push(oracle);
    }
    for (family, generation) in families {
        let queue = format!("of-{family}");
        let crew = eventually(&format!("two workers of {family}"), SOON, || async {
            let page = page(&drover, "").await;
            let crew = crew(&page, &format!("bull:{queue}"))?;
            let told = crew["workers"]
                .as_array()?
                .iter()
                .all(|w| w["generation"] == generation);
            (crew["count"] == 2 && told).then(|| crew.clone())
        })
        .await;
        assert_eq!(crew["names"], json!([[null, 2]]), "{family}");
    }
}

#[tokio::test]
async fn work_with_nobody_to_do_it_comes_first_and_a_paused_queue_is_told_apart() {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    oracle.ask("startWorker", "a-served", json!({"workerId": "w"})).await;
    for _ in 0..3 {
        oracle.add("z-deserted", "n", json!({}), json!({})).await;
        oracle.add("b-paused", "n", json!({}), json!({})).await;
    }
    oracle.ask("pause", "b-paused", json!({})).await;
    oracle.add("c-later", "n", json!({}), json!({"delay": 3_600_000})).await;
    let drover = Drover::over(&redis.url()).await;
    with_workers(&drover, "bull:a-served", 1).await;
    with_workers(&drover, "bull:z-deserted", 0).await;
    let page = eventually("all counted", SOON, || async {
        let page = page(&drover, "").await;
        let all = crew(&page, "bull:b-paused")?["standing"] == "held" && crew(&page, "bull:c-later").is_some();
        (all && crew(&page, "bull:z-deserted")?["deserted_longer"] == true).then_some(page)
    })
    .await;
    let order: Vec<(&str, &str, &str)> = page["queues"]
        .as_array()
        .unwrap()
        .iter()
        .map(|crew| {
            let text = |name: &str| crew[name].as_str().unwrap();
            (text("name"), text("standing"), text("level"))
        })
        .collect();
    assert_eq!(
        order,
        [
            // A silence of seconds may be a restart.
            ("z-deserted", "deserted", "watch"),
            ("b-paused", "held", "paused"),
            ("a-served", "served", "ok"),
            ("c-later", "empty", "ok"),
        ]
    );
    let html = drover.get("/workers").await.body;
    assert!(html.contains("3 waiting, no worker for "), "{html}");
    assert!(html.contains("or longer."), "nobody was there from the first look on");
    assert!(html.contains("Paused with 3 waiting"));
    assert!(html.contains("1 queue has jobs but no worker"), "{html}");
    // The deserted queue has a worker again: its verdict improves.
    oracle.ask("startWorker", "z-deserted", json!({"workerId": "z"})).await;
    let served = with_workers(&drover, "bull:z-deserted", 1).await;
    assert_eq!(served["deserted_since"], Value::Null);
}

#[tokio::test]
async fn a_thousand_workers_cost_one_list_of_connections_however_many_watch() {
    let redis = Redis::start();
    let mut connection = redis.connection();
    let mut pipe = redis::pipe();
    for i in 0..500 {
        pipe.cmd("HSET")
            .arg(format!("bull:q{i}:meta"))
            .arg("opts.maxLenEvents")
            .arg(10_000)
            .ignore();
    }
    pipe.exec(&mut connection).unwrap();
    let workers: Vec<TcpStream> = (0..1000)
        .map(|i| {
            call_oneself(
                &redis,
                &format!("{}:w:host-{}", named(&format!("q{}", i % 500)), i % 40),
            )
        })
        .collect();
    let drover = Drover::over(&redis.url()).await;
    let shown = eventually("all workers of all queues", LATER, || async {
        let page = page(&drover, "").await;
        let complete =
            page["workers"] == 1000 && page["queues"].as_array()?.iter().all(|crew| crew["on_board"] == true);
        complete.then_some(page)
    })
    .await;
    assert_eq!(shown["queues"].as_array().unwrap().len(), 500);
    assert_eq!(shown["detailed"], false, "a line for each would be no page");
    assert_eq!(
        shown["names"].as_array().unwrap().len(),
        24,
        "the most frequent names only"
    );

    let lists = || {
        let calls = redis.calls();
        calls
            .iter()
            .find(|(name, _)| name == "client|list")
            .map_or(0, |(_, n)| *n)
    };
    let as_of = |page: &Value| page["stores"][0]["as_of"].as_i64().unwrap();
    let (before, mut read) = (lists(), as_of(&shown));
    let mut readings = 0;
    while readings < 3 {
        for _ in 0..5 {
            assert_eq!(drover.get("/workers?q=host-7").await.status, 200);
        }
        let now = as_of(&page(&drover, "").await);
        if now != read {
            (read, readings) = (now, readings + 1);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let cost = lists() - before;
    assert!((3..=4).contains(&cost), "three readings cost {cost} lists");

    let few = page(&drover, "?q=host-7").await;
    assert_eq!(
        (few["workers"].as_u64(), few["detailed"].as_bool()),
        (Some(25), Some(true))
    );
    let alone = page(&drover, "?queue=redis/bull:q3").await;
    assert_eq!(alone["queues"][0]["workers"].as_array().unwrap().len(), 2);
    let html = drover.get("/workers").await;
    assert!(html.body.len() < 2_000_000, "the page has {} bytes", html.body.len());
    drop(workers);
}

#[tokio::test]
async fn a_store_that_forbids_the_list_says_which_command_it_lacks() {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    oracle.add("q", "n", json!({}), json!({})).await;
    let url = redis.user("half", "x", &["~*", "&*", "+@all", "-client|list"]);
    let drover = Drover::over(&url).await;
    drover.knows("bull:q").await;
    let page = eventually("the refusal", SOON, || async {
        let page = page(&drover, "").await;
        page["stores"][0]["refused"].is_string().then_some(page)
    })
    .await;
    assert_eq!(crew(&page, "bull:q").unwrap()["standing"], "unknown");
    assert_eq!(
        crew(&page, "bull:q").unwrap()["count"],
        Value::Null,
        "unknown is not zero"
    );
    let html = drover.get("/workers").await.body;
    assert!(html.contains("add +client|list to its ACL"), "{html}");
}
