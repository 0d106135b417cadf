//! Which answers are compressed, and which are not.

use crate::support::app::Drover;
use crate::support::client::{Answer, request};
use crate::support::oracle::Oracle;
use crate::support::redis::Redis;
use crate::support::{SOON, eventually};
use flate2::read::GzDecoder;
use flate2::{Decompress, FlushDecompress};
use serde_json::{Value, json};
use std::io::Read as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const PACKED: (&str, &str) = ("Accept-Encoding", "br;q=0.9, gzip");

async fn board() -> (Redis, Oracle, Drover) {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    for n in 0..30 {
        let data = json!({"order": n, "note": "as many words as a job has ".repeat(20)});
        oracle
            .add("q", "first", data, json!({"jobId": format!("job-{n}")}))
            .await;
    }
    let drover = Drover::over(&redis.url()).await;
    drover.knows("bull:q").await;
    (redis, oracle, drover)
}

async fn get(drover: &Drover, path: &str, headers: &[(&str, &str)]) -> Answer {
    request(drover.port, "GET", &format!("/admin/queues{path}"), headers, "").await
}

fn unpacked(answer: &Answer) -> String {
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
    let mut text = String::new();
    GzDecoder::new(&*answer.bytes).read_to_string(&mut text).unwrap();
    text
}

#[tokio::test]
async fn pages_and_lists_are_compressed_for_those_who_accept_it() {
    let (_redis, _oracle, drover) = board().await;
    for path in [
        "",
        "/?q=q",
        "/queues/redis/bull%3Aq?state=waiting",
        "/queues/redis/bull%3Aq/jobs/job-3",
        "/workers",
        "/stores/redis",
        "/api/v1/queues/redis/bull%3Aq/jobs?state=waiting",
        "/api/v1/openapi.json",
    ] {
        let packed = get(&drover, path, &[PACKED]).await;
        let plain = get(&drover, path, &[]).await;
        assert_eq!((packed.status, plain.status), (200, 200), "{path}");
        assert!(plain.header("content-encoding").is_none(), "{path}");
        let text = unpacked(&packed);
        let end = |text: &str| text[text.len().saturating_sub(16)..].to_owned();
        assert_eq!(end(&text), end(&plain.body), "{path}");
        assert!(packed.bytes.len() * 3 < text.len() * 2, "{path}");
        for answer in [&packed, &plain] {
            let vary = answer.headers.iter().filter(|(name, _)| name == "vary");
            assert!(
                vary.into_iter().any(|(_, value)| value.contains("accept-encoding")),
                "{path}"
            );
        }
        if text.starts_with("<!DOCTYPE html>") {
            assert_eq!(text.matches("</html>").count(), 1, "{path}");
            let policy = packed.header("content-security-policy").unwrap();
            let (_, nonce) = policy.split_once("'nonce-").unwrap();
            let (nonce, _) = nonce.split_once('\'').unwrap();
            // A build without the browser part has no script.
            let right = usize::from(text.contains("<script type=\"module\""));
            assert_eq!(
                text.matches(nonce).count(),
                right,
                "{path} carries the nonce of its own answer"
            );
            assert!(!text.contains("{nonce}"), "{path}");
        }
    }
}

#[tokio::test]
async fn what_is_short_or_may_show_a_secret_is_not_compressed() {
    let (_redis, _oracle, drover) = board().await;
    for path in ["/livez", "/api/v1/queues/redis/bull%3Aq/jobs/job-3/fields/data"] {
        let answer = get(&drover, path, &[PACKED]).await;
        assert_eq!(
            (answer.status, answer.header("content-encoding")),
            (200, None),
            "{path}"
        );
    }
    // The answer to a form may contain values that are hidden elsewhere.
    let origin = format!("http://127.0.0.1:{}", drover.port);
    let headers = [
        PACKED,
        ("Origin", &*origin),
        ("Content-Type", "application/x-www-form-urlencoded"),
    ];
    let path = "/admin/queues/queues/redis/bull%3Aq/jobs/job-3/reveal";
    let shown = request(drover.port, "POST", path, &headers, "reason=an+order+is+missing").await;
    assert_eq!(
        (shown.status, shown.header("content-encoding")),
        (200, None),
        "{}",
        shown.body
    );
    assert!(shown.bytes.len() > 4096);
}

#[tokio::test]
async fn a_compressed_stream_tells_of_each_change_at_once_and_ends_as_a_file() {
    let (_redis, mut oracle, drover) = board().await;
    let mut stream = TcpStream::connect(("127.0.0.1", drover.port)).await.unwrap();
    let head = format!(
        "GET /admin/queues/events?topics=overview HTTP/1.0\r\nHost: 127.0.0.1:{}\r\nAccept-Encoding: gzip\r\n\r\n",
        drover.port
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut came = Vec::new();
    let (mut text, mut inflate) = (Vec::new(), Decompress::new_gzip(15));
    let mut body = None;
    for part in ["event: snapshot", "\"waiting\":31", "event: bye"] {
        match part {
            "\"waiting\":31" => {
                oracle.add("q", "second", json!({}), json!({})).await;
            }
            "event: bye" => drover.stop.cancel(),
            _ => {}
        }
        let read = tokio::time::timeout(SOON, async {
            while !String::from_utf8_lossy(&text).contains(part) {
                assert!(
                    stream.read_buf(&mut came).await.unwrap() > 0,
                    "the stream ended before {part}"
                );
                if body.is_none() {
                    body = came.windows(4).position(|four| four == b"\r\n\r\n").map(|end| end + 4);
                }
                let Some(body) = body else { continue };
                text.reserve(1 << 20);
                let read = body + usize::try_from(inflate.total_in()).unwrap();
                inflate
                    .decompress_vec(&came[read..], &mut text, FlushDecompress::Sync)
                    .unwrap();
            }
        });
        read.await.unwrap_or_else(|_| panic!("{part} did not come"));
    }
    stream.read_to_end(&mut came).await.unwrap();
    let mut whole = Vec::new();
    GzDecoder::new(&came[body.unwrap()..]).read_to_end(&mut whole).unwrap();
    assert!(whole.starts_with(&text));
    assert!(came.windows(22).any(|part| part == b"content-encoding: gzip"));
}

#[tokio::test]
async fn a_list_of_queues_that_did_not_change_is_not_sent_again() {
    let (_redis, mut oracle, drover) = board().await;
    // Until nothing changes: rates of the jobs that were just added, and reports, are changes too.
    let tag = eventually("the same list twice", SOON, || async {
        let tag = get(&drover, "/api/v1/queues", &[])
            .await
            .header("etag")
            .unwrap()
            .to_owned();
        let again = get(&drover, "/api/v1/queues", &[("If-None-Match", &tag)]).await;
        (again.status == 304 && again.bytes.is_empty() && again.header("etag") == Some(&tag)).then_some(tag)
    })
    .await;
    oracle.add("q", "second", json!({}), json!({})).await;
    let list = eventually("the new list", SOON, || async {
        let answer = get(&drover, "/api/v1/queues", &[("If-None-Match", &tag), PACKED]).await;
        let list: Value = (answer.status == 200).then(|| serde_json::from_str(&unpacked(&answer)).unwrap())?;
        (list["items"][0]["counts"]["waiting"] == 31).then_some(list)
    })
    .await;
    assert_ne!(format!("W/\"{}\"", list["after"].as_str().unwrap()), tag);
}
