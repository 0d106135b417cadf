//! Whatever a queue contains, one bad job is one bad row (fault tests F-19, F-20, F-21, F-22, F-23).

use super::support::app::Drover;
use super::support::client;
use super::support::redis::Redis;
use super::support::{RECORD, SOON, eventually};
use drover::base_path::{BasePath, DEFAULT, job_path, queue_path};
use drover::model::address::encode_segment;
use drover::model::exact::text_of;
use drover::model::queue::QueueRef;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::Value;

/// A queue's own keys, as BullMQ would have left them.
fn found_queue(redis: &Redis, queue: &[u8]) {
    let mut connection = redis.connection();
    let meta = [queue, b":meta"].concat();
    redis::cmd("HSET")
        .arg(meta)
        .arg("opts.maxLenEvents")
        .arg(10_000)
        .exec(&mut connection)
        .unwrap();
}

fn random_bytes(rng: &mut StdRng) -> Vec<u8> {
    const SCRAPS: [&[u8]; 26] = [
        b"",
        b"0",
        b"-1",
        b"1e30",
        b"NaN",
        b"null",
        b"{}",
        b"[",
        b"[\"a\\nb\"]",
        b"\"\\ud800\"",
        b"\"\\u0000\"",
        b"{\"attempts\":-3,\"delay\":\"x\"}",
        b"{\"attempts\":1e400}",
        b"[1,2,{\"a\":[]}]",
        b"9223372036854775808",
        b"-9223372036854775809",
        b"99999999999999999999999999",
        b"1732167000000",
        b"\xff\xfe\x00\x01",
        b"\x1b[31mred\x1b[0m",
        b"<img src=x onerror=alert(1)>",
        b"bull:other:1",
        b":::",
        b"\r\n\r\n",
        b"{\"done\":1,\"of\":{\"x\":[null]}}",
        "\u{202e}\u{10FF41}é".as_bytes(),
    ];
    if rng.random_ratio(1, 3) {
        let length = rng.random_range(0..40);
        return (0..length).map(|_| rng.random()).collect();
    }
    SCRAPS[rng.random_range(0..SCRAPS.len())].to_vec()
}

#[tokio::test]
async fn a_hundred_thousand_random_records_are_a_hundred_thousand_rows() {
    const JOBS: usize = 100_000;
    let redis = Redis::start();
    found_queue(&redis, b"bull:fuzz");
    let seed = rand::random();
    println!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let mut connection = redis.connection();
    let states = ["failed", "completed", "delayed", "prioritized", "waiting-children"];
    for batch in 0..JOBS / 1000 {
        let mut pipe = redis::pipe();
        for n in 0..1000 {
            let id = format!("{}", batch * 1000 + n);
            let job = format!("bull:fuzz:{id}");
            for _ in 0..rng.random_range(0..10) {
                let field = RECORD[rng.random_range(0..RECORD.len())];
                pipe.cmd("HSET")
                    .arg(&job)
                    .arg(field)
                    .arg(random_bytes(&mut rng))
                    .ignore();
            }
            // Scores of any kind, as a broken client leaves them.
            let score = ["0", "-5", "1e300", "-1e300", "1732167000000", "inf"][rng.random_range(0..6)];
            let state = states[rng.random_range(0..states.len())];
            pipe.cmd("ZADD")
                .arg(format!("bull:fuzz:{state}"))
                .arg(score)
                .arg(&id)
                .ignore();
        }
        pipe.exec(&mut connection).unwrap();
    }
    let drover = Drover::over(&redis.url()).await;
    drover.knows("bull:fuzz").await;
    let mut rows = 0;
    for state in states {
        let mut cursor = String::new();
        let mut pages = 0;
        loop {
            let path = format!("/queues/redis/bull:fuzz/jobs?state={state}&limit=200{cursor}");
            let answer = drover.get(&format!("/api/v1{path}")).await;
            assert_eq!(answer.status, 200, "{path}: {}", answer.body);
            let page = answer.json();
            let found = page["rows"].as_array().unwrap();
            rows += found.len();
            if pages % 10 == 0 {
                let html = drover
                    .get(&format!("/queues/redis/bull:fuzz?state={state}&limit=200{cursor}"))
                    .await;
                assert_eq!(html.status, 200, "page of {path}");
                for row in found.iter().take(5) {
                    let id = encode_segment(row["id"].as_str().unwrap());
                    for prefix in ["", "/api/v1"] {
                        let path = format!("{prefix}/queues/redis/bull:fuzz/jobs/{id}");
                        let status = drover.get(&path).await.status;
                        // A record with nothing but the id may be "no such job".
                        assert!(status == 200 || status == 404, "{path}: {status}");
                    }
                }
            }
            pages += 1;
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={}", encode_segment(next)),
                None => break,
            }
        }
    }
    assert_eq!(rows, JOBS);
}

#[tokio::test]
async fn one_bad_job_is_one_bad_row_and_says_why() {
    let redis = Redis::start();
    found_queue(&redis, b"bull:q");
    for (n, id) in ["good", "missing", "list", "half"].iter().enumerate() {
        redis.run::<()>(&["ZADD", "bull:q:failed", &n.to_string(), id]);
    }
    redis.run::<()>(&[
        "HSET",
        "bull:q:good",
        "name",
        "fine",
        "data",
        "{}",
        "timestamp",
        "1732167000000",
    ]);
    redis.run::<()>(&["RPUSH", "bull:q:list", "not a job"]);
    redis.run::<()>(&["HSET", "bull:q:half", "failedReason", "boom"]);
    let drover = Drover::over(&redis.url()).await;
    drover.knows("bull:q").await;
    let page = drover
        .get("/api/v1/queues/redis/bull:q/jobs?state=failed&order=next")
        .await
        .json();
    let problem = |i: usize| page["rows"][i]["problem"].as_str().unwrap_or_default().to_owned();
    assert_eq!(page["rows"][0]["name"], "fine");
    assert_eq!(problem(0), "");
    assert!(problem(1).contains("missing"), "{}", problem(1));
    assert!(
        problem(2).contains("holds another type than the library keeps there"),
        "{}",
        problem(2)
    );
    assert_eq!(page["rows"][3]["error"], "boom");
    assert_eq!(drover.get("/queues/redis/bull:q?state=failed").await.status, 200);
}

#[tokio::test]
async fn a_key_of_the_wrong_type_makes_one_count_unknown_and_nothing_else() {
    let redis = Redis::start();
    found_queue(&redis, b"bull:q");
    found_queue(&redis, b"bull:other");
    redis.run::<()>(&["SET", "bull:q:failed", "a string"]);
    redis.run::<()>(&["RPUSH", "bull:q:wait", "1"]);
    let drover = Drover::over(&redis.url()).await;
    let queue = drover.knows("bull:q").await;
    assert_eq!(queue["counts"]["failed"], Value::Null);
    assert_eq!(queue["counts"]["waiting"], 1);
    assert!(
        queue["reason"].as_str().unwrap().contains("failed cannot be counted"),
        "{queue}"
    );
    assert_eq!(drover.knows("bull:other").await["counts"]["failed"], 0);
    let page = drover.get("/queues/redis/bull:q?state=failed").await;
    assert_eq!(page.status, 200);
    assert!(page.body.contains("cannot be"), "the page says why there is no list");
}

#[tokio::test]
async fn names_and_ids_of_any_bytes_lead_to_their_own_jobs() {
    let redis = Redis::start();
    let long = [b"bull:".as_slice(), &b"n".repeat(2000)].concat();
    let queues: [&[u8]; 9] = [
        b"bull:\xff\xfe",
        b"bull:a\nb",
        b"bull:a\0b",
        b"bull:..",
        b"bull:*",
        b"bull:[a]?",
        b"bull:<img src=x onerror=alert(1)>",
        "bull:\u{202e}é😀\u{10FFFF}".as_bytes(),
        &long,
    ];
    let ids: [&[u8]; 8] = [
        b"\xc3\x28",
        b"a\nb",
        b"\0",
        b"..",
        b"a/b",
        b"%2e",
        b"1 bull:other:2",
        b"__proto__",
    ];
    let mut connection = redis.connection();
    for queue in queues {
        found_queue(&redis, queue);
        for (score, id) in (0..).zip(ids) {
            let key = |suffix: &[u8]| [queue, b":", suffix].concat();
            redis::cmd("HSET")
                .arg(key(id))
                .arg("name")
                .arg(id)
                .exec(&mut connection)
                .unwrap();
            redis::cmd("ZADD")
                .arg(key(b"failed"))
                .arg(score)
                .arg(id)
                .exec(&mut connection)
                .unwrap();
        }
    }
    let drover = Drover::over(&redis.url()).await;
    let base: BasePath = DEFAULT.parse().unwrap();
    for queue in queues {
        let key = QueueRef {
            store: "redis".into(),
            queue: text_of(queue),
        };
        let api = base.href(&format!("/api/v1{}", queue_path(&key)));
        let line = eventually("the queue", SOON, || async {
            let answer = client::get(drover.port, &api).await;
            (answer.status == 200).then(|| answer.json())
        })
        .await;
        assert_eq!(line["counts"]["failed"], ids.len());
        let jobs = base.href(&format!("/api/v1{}/jobs?state=failed&order=next", queue_path(&key)));
        let rows = client::get(drover.port, &jobs).await.json();
        for (i, id) in ids.into_iter().enumerate() {
            let text = text_of(id);
            assert_eq!(rows["rows"][i]["id"], text.as_str());
            assert_eq!(rows["rows"][i]["problem"], Value::Null, "{text:?} leads to its record");
            // As a page would link to it, and as a caller of the API would request it.
            for inner in [job_path(&key, &text), format!("/api/v1{}", job_path(&key, &text))] {
                let job = client::get(drover.port, &base.href(&inner)).await;
                assert_eq!(job.status, 200, "{inner}: {}", job.body);
            }
        }
        let page = client::get(drover.port, &base.href(&format!("{}?state=failed", queue_path(&key)))).await;
        assert_eq!(page.status, 200);
        assert!(!page.body.contains("<img src=x"), "markup of a name is text");
    }
}

/// F-19 and F-20, scaled: reading the list of a queue costs what its rows show, not what its jobs contain.
#[tokio::test]
async fn a_list_never_fetches_what_jobs_carry() {
    let redis = Redis::start();
    found_queue(&redis, b"bull:q");
    let mut connection = redis.connection();
    for n in 0..10 {
        redis::cmd("HSET")
            .arg(format!("bull:q:{n}"))
            .arg("name")
            .arg("big")
            .arg("data")
            .arg("x".repeat(5_000_000))
            .arg("stacktrace")
            .arg("y".repeat(1_000_000))
            .arg("failedReason")
            .arg("z".repeat(1_000_000))
            .exec(&mut connection)
            .unwrap();
        redis::cmd("ZADD")
            .arg("bull:q:failed")
            .arg(n)
            .arg(n)
            .exec(&mut connection)
            .unwrap();
    }
    let drover = Drover::over(&redis.url()).await;
    drover.knows("bull:q").await;
    let sent = || -> u64 {
        let info: String = redis.run(&["INFO", "stats"]);
        let line = info
            .lines()
            .find_map(|line| line.strip_prefix("total_net_output_bytes:"));
        line.unwrap().trim().parse().unwrap()
    };
    let before = sent();
    let page = drover.get("/queues/redis/bull:q?state=failed").await;
    assert_eq!(page.status, 200);
    assert!(page.body.contains("5.0 MB"), "the size of the data is known");
    assert!(page.body.len() < 64 * 1024, "the page has {} bytes", page.body.len());
    let moved = sent() - before;
    assert!(moved < 100_000, "{moved} bytes left Redis for one page");
}

/// The list continues where it was, however many jobs match the search.
#[tokio::test]
async fn a_search_finds_every_match_once_and_says_what_it_looked_at() {
    let redis = Redis::start();
    found_queue(&redis, b"bull:q");
    let mut connection = redis.connection();
    for batch in 0..12 {
        let mut pipe = redis::pipe();
        for n in batch * 1000..(batch + 1) * 1000 {
            let name = if n % 100 == 0 { "Invoice.PAID" } else { "other" };
            pipe.cmd("HSET")
                .arg(format!("bull:q:{n}"))
                .arg("name")
                .arg(name)
                .ignore();
            pipe.cmd("ZADD").arg("bull:q:completed").arg(n / 7).arg(n).ignore();
            pipe.cmd("LPUSH").arg("bull:q:wait").arg(n).ignore();
        }
        pipe.exec(&mut connection).unwrap();
    }
    let drover = Drover::over(&redis.url()).await;
    drover.knows("bull:q").await;
    for state in ["completed", "waiting"] {
        let mut found = Vec::new();
        let (mut cursor, mut looked) = (String::new(), 0);
        loop {
            let path = format!("/api/v1/queues/redis/bull:q/jobs?state={state}&q=invoice&limit=7{cursor}");
            let page = drover.get(&path).await.json();
            looked += page["searched"].as_u64().unwrap();
            assert!(
                page["searched"].as_u64().unwrap() <= 10_000,
                "a page looks at so many and no more"
            );
            for row in page["rows"].as_array().unwrap() {
                assert_eq!(row["name"], "Invoice.PAID");
                found.push(row["id"].as_str().unwrap().parse::<u32>().unwrap());
            }
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={}", encode_segment(next)),
                None => break,
            }
        }
        found.sort_unstable();
        assert_eq!(found, (0..120).map(|n| n * 100).collect::<Vec<_>>(), "{state}");
        assert_eq!(looked, 12_000, "{state}");
    }
    let nothing = drover
        .get("/queues/redis/bull:q?state=completed&q=no%20such%20thing")
        .await;
    assert!(
        nothing.body.contains("None of the 10,000 jobs searched"),
        "{}",
        nothing.body
    );
    assert!(nothing.body.contains("Search on"), "there is more to look at");
}
