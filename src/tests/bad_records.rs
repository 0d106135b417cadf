//! Records that no library would write: the job's page shows a sentence for each.

use crate::support::RECORD;
use crate::support::app::Drover;
use crate::support::oracle::Oracle;
use crate::support::redis::Redis;
use serde_json::json;

async fn board() -> (Redis, Drover) {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    oracle.add("q", "seed", json!({}), json!({})).await;
    let drover = Drover::over(&redis.url()).await;
    drover.knows("bull:q").await;
    (redis, drover)
}

const GOOD: [&str; 8] = ["name", "n", "timestamp", "1700000000000", "data", "{}", "opts", "{}"];

/// The fault, the fields that cause it, the set it is in, and the sentence.
const TABLE: &[(&str, &[&str], &str, &str)] = &[
    (
        "negative-time",
        &["timestamp", "-5"],
        "failed",
        "timestamp (&quot;-5&quot;) is not a valid time",
    ),
    (
        "huge-time",
        &["timestamp", "1e30"],
        "failed",
        "is not a valid time, so when it was created is not known",
    ),
    (
        "word-time",
        &["finishedOn", "never"],
        "failed",
        "so when it finished is not known",
    ),
    (
        "late-time",
        &["processedOn", "999999999999999"],
        "completed",
        "so when it started is not known",
    ),
    (
        "clocks",
        &["processedOn", "1700000005000", "finishedOn", "1700000002000"],
        "completed",
        "3.0 s before the previous step: the clocks of two machines disagree",
    ),
    (
        "word-delay",
        &["delay", "soon"],
        "delayed",
        "delay (&quot;soon&quot;) is not a number",
    ),
    (
        "negative-priority",
        &["priority", "-3"],
        "prioritized",
        "priority (&quot;-3&quot;) is not a number",
    ),
    (
        "nan-attempts",
        &["atm", "NaN"],
        "failed",
        "atm (&quot;NaN&quot;) is not a number",
    ),
    (
        "text-data",
        &["data", "__import__('os')"],
        "failed",
        "not JSON: as it is stored",
    ),
    (
        "text-opts",
        &["opts", "{\"attempts\":"],
        "failed",
        "Its options are not a JSON object",
    ),
    (
        "list-opts",
        &["opts", "[1,2]"],
        "failed",
        "Its options are not a JSON object",
    ),
    (
        "deep-data",
        &["data", "[[[[[[[[[["],
        "failed",
        "not JSON: as it is stored",
    ),
    (
        "word-stack",
        &["stacktrace", "it broke"],
        "failed",
        "Not stored as a list of strings",
    ),
    (
        "number-stack",
        &["stacktrace", "[1,2,3]"],
        "failed",
        "Not stored as a list of strings",
    ),
    (
        "half-stack",
        &["stacktrace", "[\"Error: a"],
        "failed",
        "Not stored as a list of strings",
    ),
    ("nonsense-parent", &["parentKey", "nonsense"], "failed", "nonsense"),
    ("empty-name", &["name", ""], "failed", "empty-name"),
    (
        "odd-progress",
        &["progress", "{half"],
        "failed",
        "not JSON: as it is stored",
    ),
    ("infinite-progress", &["progress", "1e999"], "failed", "Progress"),
];

#[tokio::test]
async fn every_malformed_record_is_a_page_with_a_sentence() {
    let (redis, drover) = board().await;
    for (id, fields, set, sentence) in TABLE {
        let key = format!("bull:q:{id}");
        redis.run::<()>(&[&["HSET", &key], &GOOD[..], fields].concat());
        redis.run::<()>(&["ZADD", &format!("bull:q:{set}"), "1700000000000", id]);
        let page = drover.get(&format!("/queues/redis/bull:q/jobs/{id}")).await;
        assert_eq!(page.status, 200, "{id}: {}", page.body);
        let markup = page.body.split("</head>").nth(1).unwrap().replace('"', "&quot;");
        assert!(markup.contains(sentence), "{id}: no {sentence:?} in\n{markup}");
        let api = drover.get(&format!("/api/v1/queues/redis/bull:q/jobs/{id}")).await;
        assert_eq!(api.status, 200, "{id}");
    }
    // A list shows all of them together.
    assert_eq!(drover.get("/queues/redis/bull:q?state=failed").await.status, 200);
}

#[tokio::test]
async fn a_missing_a_half_written_and_a_wrong_record_are_said_to_be_so() {
    let (redis, drover) = board().await;
    let says = async |id: &str, sentence: &str| {
        let page = drover.get(&format!("/queues/redis/bull:q/jobs/{id}")).await;
        assert_eq!(page.status, 200, "{id}: {}", page.body);
        assert!(page.body.contains(sentence), "{id}: no {sentence:?} in\n{}", page.body);
    };
    redis.run::<()>(&["ZADD", "bull:q:failed", "1700000000000", "missing"]);
    says("missing", "Its record is missing: the id is among the failed jobs").await;
    redis.run::<()>(&["RPUSH", "bull:q:wait", "missing-too"]);
    says("missing-too", "A worker that takes it runs it without a name and data").await;
    redis.run::<()>(&["SET", "bull:q:wrong", "text"]);
    redis.run::<()>(&["ZADD", "bull:q:completed", "1700000000000", "wrong"]);
    says("wrong", "a string is stored under bull:q:wrong").await;
    redis.run::<()>(&["HSET", "bull:q:half", "atm", "1"]);
    redis.run::<()>(&["ZADD", "bull:q:failed", "1700000000000", "half"]);
    says("half", "The record has no name, data, opts, timestamp").await;
    redis.run::<()>(&[&["HSET", "bull:q:both"], &GOOD[..]].concat());
    redis.run::<()>(&["ZADD", "bull:q:failed", "1700000000000", "both"]);
    redis.run::<()>(&["ZADD", "bull:q:completed", "1700000000000", "both"]);
    says("both", "in more than one set at once: completed, failed").await;
    redis.run::<()>(&[&["HSET", "bull:q:orphan"], &GOOD[..]].concat());
    says("orphan", "it is in no list, so no worker will take it").await;
    let wide = "for i = 1, 2000 do redis.call('HSET', KEYS[1], 'f' .. i, 'v') end";
    redis.run::<()>(&["EVAL", wide, "1", "bull:q:orphan"]);
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    says(
        "orphan",
        "The record has 2,004 fields; only those that the library writes are shown",
    )
    .await;
    // Sub-keys of the wrong type do not make the page fail.
    redis.run::<()>(&[&["HSET", "bull:q:subs"], &GOOD[..], &["deid", "d"]].concat());
    for suffix in ["logs", "dependencies", "processed", "lock", "unsuccessful"] {
        redis.run::<()>(&["SET", &format!("bull:q:subs:{suffix}"), "x"]);
    }
    redis.run::<()>(&["HSET", "bull:q:de:d", "a", "b"]);
    redis.run::<()>(&["DEL", "bull:q:subs:lock"]);
    redis.run::<()>(&["HSET", "bull:q:subs:lock", "a", "b"]);
    says("subs", "subs").await;
    // The page names a set of the wrong type.
    redis.run::<()>(&["DEL", "bull:q:failed"]);
    redis.run::<()>(&["SET", "bull:q:failed", "x"]);
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    says(
        "half",
        "the set of the failed jobs cannot be read: the key holds another type",
    )
    .await;
    // An id without a set and without a record is no job.
    assert_eq!(drover.get("/queues/redis/bull:q/jobs/nothing").await.status, 404);
}

#[tokio::test]
async fn three_hundred_random_records_are_three_hundred_pages() {
    let (redis, drover) = board().await;
    // A small generator of our own: the same records each time.
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % below
    };
    let values: [&[u8]; 14] = [
        b"",
        b"0",
        b"-1",
        b"1e400",
        b"9223372036854775808",
        b"null",
        b"{}",
        b"[]",
        b"[null]",
        b"\"\\ud800\"",
        b"\xff\xfe\x00",
        b"{\"attempts\":-1e300,\"backoff\":{\"delay\":1e300,\"type\":3},\"kl\":-5,\"delay\":1e18}",
        b"bull:q:1",
        b"\n\n\0",
    ];
    let sets = ["completed", "failed", "delayed", "prioritized", "waiting-children"];
    let mut connection = redis.connection();
    for i in 0..300 {
        let mut command = redis::cmd("HSET");
        command.arg(format!("bull:q:r{i}")).arg("timestamp").arg("1");
        for field in RECORD {
            if random(2) == 0 {
                command.arg(field).arg(values[usize::try_from(random(14)).unwrap()]);
            }
        }
        command.query::<()>(&mut connection).unwrap();
        let set = sets[usize::try_from(random(5)).unwrap()];
        let score = ["-inf", "+inf", "-1", "1e300", "0"][usize::try_from(random(5)).unwrap()];
        redis.run::<()>(&["ZADD", &format!("bull:q:{set}"), score, &format!("r{i}")]);
        let page = drover.get(&format!("/queues/redis/bull:q/jobs/r{i}")).await;
        assert_eq!(page.status, 200, "r{i}: {}", page.body);
    }
    for set in ["completed", "failed", "delayed", "prioritized", "waiting_children"] {
        assert_eq!(
            drover.get(&format!("/queues/redis/bull:q?state={set}")).await.status,
            200,
            "{set}"
        );
    }
}
