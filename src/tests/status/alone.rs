//! The page's own listener: it serves nothing else, counts every caller, and no number of visitors costs a store
//! anything.

use super::{MAIL, PATHS, becomes, board};
use crate::support::app::Drover;
use crate::support::client::{get, request};
use crate::support::oracle::Oracle;
use crate::support::redis::Redis;
use crate::support::{LATER, SOON, eventually, free_port};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A board whose status page has a listener of its own, at this port.
async fn alone(redis: &Redis, settings: &str) -> (Drover, u16) {
    let port = free_port();
    let table = format!("[status_page]\nlisten = \"127.0.0.1:{port}\"\n{settings}");
    // Every visitor here comes through the proxy on this machine.
    let file = format!(
        "[server]\ntrusted_proxies = [\"127.0.0.1\"]\n{}",
        MAIL.replace("[status_page]", &table)
    );
    let drover = board(redis, &file).await;
    eventually("the listener", SOON, || async {
        TcpStream::connect(("127.0.0.1", port)).await.ok()
    })
    .await;
    (drover, port)
}

#[tokio::test]
async fn the_listener_of_its_own_has_the_page_and_nothing_else() {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    oracle.add("mail", "n", json!({}), json!({})).await;
    let (drover, port) = alone(&redis, "rate_limit = 0").await;
    drover.knows("bull:mail").await;
    // Any host name that leads there, through any proxy.
    let from_outside = [("Host", "status.example.com"), ("X-Forwarded-For", "192.0.2.1")];
    for path in PATHS.into_iter().chain(["/"]) {
        let answer = request(port, "GET", path, &from_outside, "").await;
        assert_eq!(answer.status, 200, "{path}");
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; style-src 'self';"), "{policy}");
        assert_eq!(answer.header("x-robots-tag"), Some("noindex"), "{path}");
        assert!(
            answer.header("etag").is_some() && answer.header("set-cookie").is_none(),
            "{path}"
        );
        assert_eq!(
            answer.header("access-control-allow-origin"),
            Some("*"),
            "{path}: it is public"
        );
    }
    let page = get(port, "/").await.body;
    assert!(
        page.contains("href=\"status/status.css\""),
        "addresses are relative: {page}"
    );
    assert_eq!(get(port, "/status/").await.header("location"), Some("../status"));
    for path in [
        "/admin/queues",
        "/admin/queues/status",
        "/queues/redis/bull:mail",
        "/api/v1/queues",
        "/api/v1/openapi.json",
        "/events?topics=overview",
        "/metrics",
        "/livez",
        "/readyz",
        "/audit",
        "/workers",
        "/robots.txt",
        "/status/badge/nope.svg",
        "/status/../api/v1/queues",
        "//status",
    ] {
        let answer = get(port, path).await;
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.body, "No such page.\n", "{path}");
        assert!(answer.header("content-security-policy").is_some(), "{path}");
    }
    let program = [("X-Drover", "1"), ("Content-Type", "application/json")];
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        for (path, status) in [
            ("/status", 405),
            ("/api/v1/queues/redis/bull%3Amail/pause", 404),
            ("/theme", 404),
        ] {
            assert_eq!(
                request(port, method, path, &program, "{}").await.status,
                status,
                "{method} {path}"
            );
        }
    }
    assert_eq!(drover.queue("redis", "bull:mail").await.unwrap()["paused"], false);
    assert_eq!(drover.get("/status").await.status, 200, "it is on the board as well");
}

#[tokio::test]
async fn one_client_asks_sixty_times_a_minute_and_then_is_told_when_to_come_back() {
    let redis = Redis::start();
    let (_drover, port) = alone(&redis, "").await;
    let ask = async |client: &str| request(port, "GET", "/status.json", &[("X-Forwarded-For", client)], "").await;
    let mut admitted = 0;
    // A new minute may begin between the requests.
    let refused = loop {
        let answer = ask("192.0.2.1").await;
        if answer.status == 429 {
            break answer;
        }
        admitted += 1;
        assert!(admitted <= 120, "nobody is refused");
    };
    assert!(admitted >= 60, "{admitted}");
    let again: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&again), "{again}");
    assert_eq!(ask("192.0.2.2").await.status, 200, "another client");
}

/// Sends requests over one connection until the time is up and all visitors together had `enough` answers; returns how
/// many answers came, and how many were the page.
async fn visitor(port: u16, path: &'static str, until: Instant, enough: u64, all: Arc<AtomicU64>) -> (u64, u64) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let ask = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").repeat(16);
    let (mut answers, mut good) = (0, 0);
    let mut buffer = Vec::with_capacity(1 << 20);
    while Instant::now() < until || all.load(Ordering::Relaxed) <= enough {
        stream.write_all(ask.as_bytes()).await.unwrap();
        let mut left = 16;
        while left > 0 {
            let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") else {
                assert!(
                    stream.read_buf(&mut buffer).await.unwrap() > 0,
                    "the connection was cut"
                );
                continue;
            };
            let head = String::from_utf8_lossy(&buffer[..end]).to_lowercase();
            let length = head
                .split("content-length: ")
                .nth(1)
                .unwrap()
                .split("\r\n")
                .next()
                .unwrap();
            let whole = end + 4 + length.parse::<usize>().unwrap();
            while buffer.len() < whole {
                assert!(
                    stream.read_buf(&mut buffer).await.unwrap() > 0,
                    "the connection was cut"
                );
            }
            buffer.drain(..whole);
            left -= 1;
            answers += 1;
            all.fetch_add(1, Ordering::Relaxed);
            good += u64::from(head.starts_with("http/1.1 200"));
        }
    }
    (answers, good)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s_33_thousands_of_visitors_a_second_ask_redis_for_nothing() {
    // S-33: 5,000 requests a second leave the rate of Redis commands unchanged. On a machine that serves fewer, as many
    // as it can.
    const WINDOW: Duration = Duration::from_secs(10);
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    oracle.ask("startWorker", "mail", json!({"workerId": "w"})).await;
    oracle.add("mail", "n", json!({}), json!({})).await;
    let (drover, port) = alone(&redis, "rate_limit = 0").await;
    becomes(&drover, "mail", "operational", LATER).await;
    // The commands of the start itself are over by then.
    tokio::time::sleep(WINDOW).await;
    // A waiting worker sends commands too: they are left out.
    let ours = || -> u64 {
        let calls = redis.calls().into_iter();
        calls
            .filter(|(name, _)| !["bzpopmin", "evalsha", "info"].contains(&name.as_str()))
            .map(|(_, calls)| calls)
            .sum()
    };
    let before = ours();
    tokio::time::sleep(WINDOW).await;
    let idle = ours() - before;
    let before = ours();
    let (began, all) = (Instant::now(), Arc::new(AtomicU64::new(0)));
    // On the board too.
    let visitors = [
        (port, "/"),
        (port, "/status.json"),
        (port, "/status/badge/mail.svg?label=x"),
        (drover.port, "/admin/queues/status"),
    ];
    let visitors = visitors.map(|(port, path)| tokio::spawn(visitor(port, path, began + WINDOW, 5_000, all.clone())));
    let (mut answers, mut good) = (0, 0);
    for visitor in visitors {
        let (all, well) = visitor.await.unwrap();
        answers += all;
        good += well;
    }
    let busy = ours() - before;
    // A slow machine takes longer to give as many answers.
    let idle = idle * u64::try_from(began.elapsed().as_millis()).unwrap() / u64::try_from(WINDOW.as_millis()).unwrap();
    println!(
        "{answers} requests in {:?}; Redis commands in the same time: {idle} idle, {busy} busy",
        began.elapsed()
    );
    assert_eq!(answers, good, "every one got the page");
    assert!(answers > 5_000, "{answers}");
    // Occasional reads fall into one window or the other.
    assert!(
        busy.abs_diff(idle) <= idle / 10 + 12,
        "{idle} idle, {busy} with {answers} requests"
    );
}
