//! Values of any size and of any bytes: a page stays small, and the download is the stored value.

use crate::support::app::Drover;
use crate::support::client;
use crate::support::oracle::Oracle;
use crate::support::redis::Redis;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

async fn board() -> (Redis, Drover, String) {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    let id = oracle.add("q", "big", json!({}), json!({})).await;
    let drover = Drover::over(&redis.url()).await;
    drover.knows("bull:q").await;
    (redis, drover, id)
}

fn put(redis: &Redis, id: &str, field: &str, value: &[u8]) {
    let mut command = redis::cmd("HSET");
    command.arg(format!("bull:q:{id}")).arg(field).arg(value);
    command.query::<()>(&mut redis.connection()).unwrap();
}

/// Fills a field inside Redis, so that this process never holds the value.
fn fill(redis: &Redis, id: &str, field: &str, bytes: usize) {
    let script = "redis.call('HSET', KEYS[1], ARGV[1], string.rep('x', tonumber(ARGV[2])))";
    redis.run::<()>(&["EVAL", script, "1", &format!("bull:q:{id}"), field, &bytes.to_string()]);
}

fn stat(redis: &Redis, name: &str) -> u64 {
    let text: String = redis.run(&["INFO", "stats"]);
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::to_owned));
    line.unwrap().trim().parse().unwrap()
}

/// Memory of this process, which includes the board.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap() * 1024
}

#[tokio::test]
async fn a_job_of_50_mb_costs_the_page_nothing_and_is_handed_over_one_at_a_time() {
    let (redis, drover, id) = board().await;
    fill(&redis, &id, "data", 52_428_800);
    let path = format!("/api/v1/queues/redis/bull:q/jobs/{id}");
    drover.get("/queues/redis/bull:q").await;
    let (memory, sent) = (resident(), stat(&redis, "total_net_output_bytes"));
    for _ in 0..5 {
        let page = drover.get(&format!("/queues/redis/bull:q/jobs/{id}")).await;
        assert!(
            page.body.len() < 64 * 1024,
            "the page is {} bytes long",
            page.body.len()
        );
        assert!(page.body.contains("52 MB long: too large to be shown"), "{}", page.body);
        assert!(page.body.contains("/fields/data") && page.body.contains("Download all 52 MB"));
        tokio::time::sleep(std::time::Duration::from_millis(260)).await;
    }
    assert!(
        stat(&redis, "total_net_output_bytes") - sent < 500_000,
        "the payload left Redis"
    );
    assert!(
        resident().saturating_sub(memory) < 20_000_000,
        "{} → {}",
        memory,
        resident()
    );

    // A client that has sent a request and does not read holds the slot.
    let mut slow = tokio::net::TcpStream::connect(("127.0.0.1", drover.port))
        .await
        .unwrap();
    let request =
        format!("GET /admin/queues{path}/fields/data HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
    slow.write_all(request.as_bytes()).await.unwrap();
    let mut begun = [0; 1000];
    slow.read_exact(&mut begun).await.unwrap();
    let busy = drover.get(&format!("{path}/fields/data")).await;
    assert_eq!(
        (busy.status, busy.header("retry-after")),
        (503, Some("3")),
        "{}",
        busy.body
    );
    assert_eq!(busy.json()["outcome"], "none");
    // Meanwhile every other client gets an answer.
    assert_eq!(drover.get(&path).await.status, 200);
    drop(slow);
    let whole = crate::support::eventually("the turn", crate::support::SOON, || async {
        let answer = drover.get(&format!("{path}/fields/data")).await;
        (answer.status == 200).then_some(answer)
    })
    .await;
    assert_eq!(whole.header("content-length"), Some("52428800"));
    assert!(whole.bytes.len() == 52_428_800 && whole.bytes.iter().all(|b| *b == b'x'));
    fill(&redis, &id, "data", 68_000_000);
    let too_large = drover.get(&format!("{path}/fields/data")).await;
    assert_eq!(too_large.status, 413, "{}", too_large.body);
}

#[tokio::test]
async fn of_a_stack_of_5_mb_the_newest_lines_are_shown_and_the_rest_is_offered() {
    let (redis, drover, id) = board().await;
    let frames = |n: usize| {
        (0..n)
            .map(|i| format!("    at f{i} (/srv/app/dist/worker.js:{i}:17)\n"))
            .collect::<String>()
    };
    let traces = json!([
        format!("Error: old\n{}", frames(20_000)),
        format!("Error: \u{1b}[31mnew\n{}", frames(110_000))
    ]);
    let stored = traces.to_string();
    assert!(stored.len() > 5_000_000, "{}", stored.len());
    put(&redis, &id, "stacktrace", stored.as_bytes());
    put(&redis, &id, "atm", b"2");
    let path = format!("/queues/redis/bull:q/jobs/{id}");
    let page = drover.get(&path).await;
    assert!(
        page.body.len() < 192 * 1024,
        "the page is {} bytes long",
        page.body.len()
    );
    for words in [
        "The first 200 of 110,001 lines",
        "Attempt 2",
        "Attempt 1",
        "Error: old",
        "\\u{1b}[31mnew",
        "/fields/stacktrace",
    ] {
        assert!(page.body.contains(words), "{words}");
    }
    // Drover fetches it once for many reads.
    let sent = stat(&redis, "total_net_output_bytes");
    for _ in 0..3 {
        tokio::time::sleep(std::time::Duration::from_millis(260)).await;
        assert_eq!(drover.get(&path).await.status, 200);
    }
    assert!(
        stat(&redis, "total_net_output_bytes") - sent < 500_000,
        "the stack was fetched again"
    );
    let whole = drover.get(&format!("/api/v1{path}/fields/stacktrace")).await;
    assert!(whole.bytes == stored.as_bytes(), "the bytes differ");
}

#[tokio::test]
async fn a_large_value_shows_its_beginning() {
    let (redis, drover, id) = board().await;
    let data = format!("{{\"text\":\"{}\"}}", "é".repeat(2_600_000));
    put(&redis, &id, "data", data.as_bytes());
    let job = drover
        .get(&format!("/api/v1/queues/redis/bull:q/jobs/{id}"))
        .await
        .json();
    let (shown, text) = (
        job["data"]["shown"].as_u64().unwrap(),
        job["data"]["text"].as_str().unwrap(),
    );
    assert!((65_533..=65_536).contains(&shown) && data.starts_with(text), "{shown}");
    assert_eq!(job["data"]["size"], data.len());
    let page = drover.get(&format!("/queues/redis/bull:q/jobs/{id}")).await;
    assert!(page.body.contains("first 64 KiB of 5.2 MB") && page.body.contains("Download all 5.2 MB"));
}

#[tokio::test]
async fn what_is_downloaded_is_what_is_stored_byte_for_byte() {
    let (redis, drover, id) = board().await;
    let cases: [(&str, &[u8]); 6] = [
        (
            "data",
            br#"{"n":12345678901234567890123,"f":1e2,"dup":1,"dup":2,"s":"\ud800","z":"\u0000"}"#,
        ),
        ("returnvalue", b"\xff\xfe\x00binary\r\n"),
        ("failedReason", b"\x80\x04\x95pickle"),
        ("stacktrace", b"[\"\\ud800\",\"two\"]"),
        ("opts", b"<script>alert(1)</script>"),
        ("odd/name.x", b"\0\0\0"),
    ];
    for (field, bytes) in cases {
        put(&redis, &id, field, bytes);
    }
    for (field, bytes) in cases {
        let name: String = field.replace('/', "%2F");
        let answer = drover
            .get(&format!("/api/v1/queues/redis/bull:q/jobs/{id}/fields/{name}"))
            .await;
        assert_eq!(answer.status, 200, "{field}");
        assert_eq!(answer.bytes, bytes, "{field}");
        let disposition = answer.header("content-disposition").unwrap();
        assert!(disposition.starts_with("attachment; filename=\"job-"), "{disposition}");
        assert!(
            disposition.is_ascii() && !disposition.contains(['/', '\\']),
            "{disposition}"
        );
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        let kind = if std::str::from_utf8(bytes).is_ok() {
            "text/plain; charset=utf-8"
        } else {
            "application/octet-stream"
        };
        assert_eq!(answer.header("content-type"), Some(kind), "{field}");
    }
    let page = drover.get(&format!("/queues/redis/bull:q/jobs/{id}")).await;
    assert_eq!(page.status, 200);
    for words in [
        "12345678901234567890123",
        "\"f\": 1e2",
        "\\ud800",
        "binary, 11 bytes",
        "ff fe 00 62 69 6e 61 72 79 0d 0a",
        "binary, 9 bytes",
        "not a JSON object",
    ] {
        assert!(page.body.contains(words), "{words}");
    }
    assert!(!page.body.contains("<script>alert"), "a value became an element");
    let job = drover
        .get(&format!("/api/v1/queues/redis/bull:q/jobs/{id}"))
        .await
        .json();
    assert_eq!(
        job["data"]["text"].as_str().unwrap().as_bytes(),
        cases[0].1,
        "not a digit is changed on the way"
    );
    let missing = drover
        .get(&format!("/api/v1/queues/redis/bull:q/jobs/{id}/fields/nope"))
        .await;
    assert_eq!(
        (missing.status, missing.json()["type"].as_str()),
        (404, Some("urn:drover:problem:no-such-field"))
    );
}

async fn logs(drover: &Drover, id: &str, query: &str) -> Value {
    let answer = drover
        .get(&format!("/api/v1/queues/redis/bull:q/jobs/{id}/logs{query}"))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(answer.body.len() < 400 * 1024, "{} bytes", answer.body.len());
    answer.json()
}

fn numbers(page: &Value) -> Vec<u64> {
    page["lines"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line["n"].as_u64().unwrap())
        .collect()
}

#[tokio::test]
async fn a_log_of_200_000_lines_is_paged_searched_and_followed() {
    let (redis, drover, id) = board().await;
    let key = format!("bull:q:{id}:logs");
    let script = "for i = 1, 200000 do local t = 'line ' .. i
        if i % 50000 == 1 then t = t .. ' Needle' end
        redis.call('RPUSH', KEYS[1], t .. string.rep('.', 80)) end";
    redis.run::<()>(&["EVAL", script, "1", &key]);
    let newest = logs(&drover, &id, "").await;
    assert_eq!(newest["total"], 200_000);
    assert_eq!(numbers(&newest), (199_801..=200_000).collect::<Vec<_>>());
    assert!(
        newest["lines"][199]["text"]
            .as_str()
            .unwrap()
            .starts_with("line 200000.")
    );
    assert_eq!(
        numbers(&logs(&drover, &id, "?from=100000&limit=3").await),
        [100_000, 100_001, 100_002]
    );
    assert!(numbers(&logs(&drover, &id, "?from=200001").await).is_empty());
    // A search says how far it came and continues from there, to the first line.
    let calls = || {
        redis
            .calls()
            .into_iter()
            .find(|(name, _)| name == "lrange")
            .map_or(0, |(_, n)| n)
    };
    let (mut found, mut searched, mut from, mut rounds) = (Vec::new(), 0, String::new(), 0);
    loop {
        let before = calls();
        let page = logs(&drover, &id, &format!("?q=needle{from}")).await;
        assert!(calls() - before <= 60, "{} reads", calls() - before);
        let search = &page["search"];
        assert!(search["searched"].as_u64().unwrap() <= 20_000, "{search}");
        searched += search["searched"].as_u64().unwrap();
        found.extend(numbers(&page));
        rounds += 1;
        match search["next"].as_u64() {
            Some(next) => from = format!("&from={next}"),
            None => break,
        }
    }
    assert_eq!(
        (found, searched),
        (vec![150_001, 100_001, 50_001, 1], 200_000),
        "in {rounds} rounds"
    );
    // New lines, from the one after the last known line.
    redis.run::<()>(&["RPUSH", &key, "and one more"]);
    let news = logs(&drover, &id, "?from=200001").await;
    assert_eq!(
        (numbers(&news), &news["lines"][0]["text"]),
        (vec![200_001], &json!("and one more"))
    );
    let page = drover.get(&format!("/queues/redis/bull:q/jobs/{id}")).await;
    assert!(
        page.body.contains("lines 199,902 to 200,001 of 200,001"),
        "{}",
        page.body.len()
    );
    let part = drover.get(&format!("/queues/redis/bull:q/jobs/{id}?find=needle")).await;
    for words in [
        "0 lines with “needle”; searched 20,000 of 200,001 lines",
        "Search on from line 180,001",
        "All lines",
    ] {
        assert!(part.body.contains(words), "{words}");
    }
    let older = drover.get(&format!("/queues/redis/bull:q/jobs/{id}?line=100")).await;
    assert!(
        older.body.contains("lines 100 to 299 of") && older.body.contains("line=300") && older.body.contains("Newest")
    );
}

#[tokio::test]
async fn long_log_lines_are_cut_with_their_size_and_an_answer_stays_small() {
    let (redis, drover, id) = board().await;
    let key = format!("bull:q:{id}:logs");
    for i in 0..40 {
        let script = "redis.call('RPUSH', KEYS[1], ARGV[1] .. string.rep('y', 1000000))";
        redis.run::<()>(&["EVAL", script, "1", &key, &format!("{i} ")]);
    }
    redis.run::<()>(&["RPUSH", &key, "short"]);
    let sent = stat(&redis, "total_net_output_bytes");
    let page = logs(&drover, &id, "").await;
    assert!(
        stat(&redis, "total_net_output_bytes") - sent < 12_000_000,
        "the whole log left Redis"
    );
    let lines = page["lines"].as_array().unwrap();
    assert_eq!(lines.last().unwrap()["text"], "short");
    assert!(lines.len() > 3 && lines.len() < 20, "{} lines", lines.len());
    let long = &lines[lines.len() - 2];
    assert_eq!((&long["size"], &long["n"]), (&json!(1_000_003), &json!(40)));
    assert!(long["text"].as_str().unwrap().len() <= 4096);
    // Half a megabyte in lines of 3 KB: an answer ends before its text exceeds its limit.
    let script =
        "redis.call('DEL', KEYS[1]); for i = 1, 1000 do redis.call('RPUSH', KEYS[1], i .. string.rep('z', 3000)) end";
    redis.run::<()>(&["EVAL", script, "1", &key]);
    let page = logs(&drover, &id, "?limit=1000").await;
    let count = page["lines"].as_array().unwrap().len();
    assert!((70..=90).contains(&count), "{count} lines");
    assert_eq!(numbers(&page).last(), Some(&1000));
    let answer = client::get(drover.port, &format!("/admin/queues/queues/redis/bull:q/jobs/{id}")).await;
    assert!(answer.body.len() < 256 * 1024, "{}", answer.body.len());
}
