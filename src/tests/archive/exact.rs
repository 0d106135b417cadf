//! The archive has the same bytes as the queue had.

use super::board;
use crate::actions::bench::{Bench, bullmq_6};
use crate::operations::failed;
use crate::support::postgres::Postgres;
use crate::support::redis::Redis;
use drover::model::action::{Effect, Seen};
use drover::server::adapter::Archiving as _;
use drover::server::adapter::raw::{RawJob, Whole};
use drover::server::archive::record;
use serde_json::json;
use std::collections::BTreeMap;

type Bytes = BTreeMap<Vec<u8>, Vec<u8>>;

/// A hash as it is stored.
fn stored(redis: &Redis, key: &str) -> Bytes {
    redis::cmd("HGETALL").arg(key).query(&mut redis.connection()).unwrap()
}

async fn kept(postgres: &Postgres, id: &str) -> record::Contents {
    let mut connection = postgres.connection().await;
    let (bytes, sum): (Vec<u8>, Vec<u8>) =
        sqlx::query_as("SELECT record, sha256 FROM drover.archive WHERE job_id = $1")
            .bind(id)
            .fetch_one(&mut connection)
            .await
            .unwrap();
    assert_eq!(record::sha256(&bytes).as_slice(), sum);
    record::decode(&bytes).unwrap()
}

#[tokio::test]
async fn one_odd_job_neither_stops_the_others_nor_makes_them_told_falsely() {
    let (redis, postgres, mut oracle, drover) = board().await;
    failed(&mut oracle, "mail", "send", 30, "no").await;
    let ids = oracle.ids("mail", "failed", true).await;
    // A parent whose children continued meanwhile: as many as before, with another result.
    let processed = format!("bull:mail:{}:processed", ids[3]);
    redis.run::<()>(&["HSET", &processed, "bull:mail:c1", "\"A\"", "bull:mail:c2", "2"]);
    // Keys of another type beside a job and beside a parent.
    redis.run::<()>(&["HSET", &format!("bull:mail:{}:lock", ids[9]), "a", "1"]);
    redis.run::<()>(&["SET", "other:parent:meta", "no hash"]);
    redis.run::<()>(&["SET", "other:parent:id", "1"]);
    redis.run::<()>(&["HSET", "other:parent:1", "name", "p"]);
    redis.run::<()>(&["HSET", &format!("bull:mail:{}", ids[20]), "parentKey", "other:parent:1"]);
    drover.knows("bull:mail").await;
    drover.counts_become("bull:mail", &oracle.counts("mail").await).await;
    let done = super::archive_all(&drover, "state:failed queue:mail").await;
    assert_eq!(
        (&done["totals"]["done"], &done["totals"]["failed"]),
        (&json!(28), &json!(2)),
        "{done}"
    );
    let left = oracle.ids("mail", "failed", true).await;
    assert_eq!(left, [ids[9].clone(), ids[20].clone()]);
    let removed = drover
        .post(&format!("/queues/redis/bull%3Amail/jobs/{}/remove", ids[9]), &json!({}))
        .await;
    assert!(removed.body.contains("a different type"), "{}", removed.body);
    assert_eq!(kept(&postgres, &ids[3]).await.parts[0].items[1], b"\"A\"");
}

#[tokio::test]
async fn what_children_left_is_compared_as_well() {
    let mut bench = Bench::of(bullmq_6).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(bench.failed(json!({"fail": "no"}), json!({})).await);
    }
    let redis = &bench.redis;
    let below = |i: usize, part: &str| format!("bull:q:{}:{part}", ids[i]);
    let many: Vec<String> = (0..300)
        .flat_map(|n| [format!("bull:mail:c{n}"), format!("{{\"n\": {n}}}")])
        .collect();
    for i in 0..3 {
        let mut set = vec!["HSET".to_owned(), below(i, "processed")];
        set.extend(many.iter().cloned());
        redis.run::<()>(&set.iter().map(String::as_str).collect::<Vec<_>>());
        redis.run::<()>(&["HSET", &below(i, "failed"), "bull:mail:f", "why"]);
        redis.run::<()>(&["ZADD", &below(i, "unsuccessful"), "17.5", "bull:mail:u"]);
    }
    let asked: Vec<_> = ids.iter().map(|id| (id.clone(), Seen::default())).collect();
    let queue = "bull:q".into();
    let read: Vec<RawJob> = bench
        .adapter
        .whole(&queue, &asked)
        .await
        .unwrap()
        .into_iter()
        .filter_map(|whole| match whole {
            Whole::Job(job) => Some(job),
            Whole::Not(_) => None,
        })
        .collect();
    assert_eq!(read.len(), 3);
    redis.run::<()>(&["HSET", &below(1, "processed"), "bull:mail:c7", "{\"n\": 8}"]);
    redis.run::<()>(&["ZREM", &below(2, "unsuccessful"), "bull:mail:u"]);
    redis.run::<()>(&["ZADD", &below(2, "unsuccessful"), "17.5", "bull:mail:v"]);
    let effects = bench.adapter.remove_exactly(&queue, &read).await.unwrap();
    assert_eq!(effects[0], Effect::done());
    for effect in &effects[1..] {
        assert!(matches!(effect, Effect::Changed { .. }), "{effects:?}");
    }
}

#[tokio::test]
async fn whatever_a_job_holds_is_kept_as_it_is() {
    let (redis, postgres, mut oracle, drover) = board().await;
    failed(&mut oracle, "mail", "send", 8, "no").await;
    let ids = oracle.ids("mail", "failed", true).await;
    let key = |i: usize| format!("bull:mail:{}", ids[i]);
    let set = |i: usize, field: &[u8], value: &[u8]| {
        let mut command = redis::cmd("HSET");
        command.arg(key(i)).arg(field).arg(value);
        command.exec(&mut redis.connection()).unwrap();
    };
    // Values that jsonb cannot hold, that text cannot hold, and that neither they nor a page can hold.
    set(0, b"data", br#"{"a":"\u0000","b":"\ud800","c":1e2,"a":2}"#);
    set(1, b"data", &[0, 0xff, 0xfe, b'\n', 0xc3, 0x28, 0]);
    set(2, b"data", &vec![b'x'; 12 * 1024 * 1024]);
    set(3, b"", b"");
    set(3, &[0xff, 0], &[0]);
    set(3, b"failedReason", b"first\0line\nsecond");
    set(4, b"name", "na\u{10ff41}me \0".as_bytes());
    set(5, b"data", b"");
    for line in [&b"a line"[..], b"", &[0xff, 0, b'\n']] {
        let logs = format!("{}:logs", key(5));
        redis::cmd("RPUSH")
            .arg(logs)
            .arg(line)
            .exec(&mut redis.connection())
            .unwrap();
    }
    // More fields than a small hash can hold: their order then differs.
    for n in 0..700_u16 {
        set(6, format!("field{n}").as_bytes(), &[n.to_be_bytes()[1]; 90]);
    }
    redis.run::<()>(&[
        "HSET",
        &format!("{}:processed", key(7)),
        "bull:mail:c1",
        "\"r\"",
        "bull:mail:c2",
        "2",
    ]);
    redis.run::<()>(&["SET", "bull:mail:id", "99"]);
    let before: Vec<Bytes> = (0..8).map(|i| stored(&redis, &key(i))).collect();
    drover.knows("bull:mail").await;
    for id in &ids {
        let answer = drover
            .post(&format!("/queues/redis/bull%3Amail/jobs/{id}/archive"), &json!({}))
            .await;
        assert_eq!(answer.status, 200, "{id}: {}", answer.body);
        assert_eq!(answer.json()["result"], "done", "{id}");
    }
    for (i, id) in ids.iter().enumerate() {
        let kept = kept(&postgres, id).await;
        let fields: Bytes = kept.fields.into_iter().collect();
        assert_eq!(fields, before[i], "{i}");
        match i {
            5 => assert_eq!(kept.logs[..], [b"a line".to_vec(), vec![], vec![0xff, 0, b'\n']]),
            7 => {
                assert_eq!(kept.parts.len(), 1);
                assert_eq!(kept.parts[0].name, "processed");
                assert_eq!(kept.parts[0].items.len(), 4);
            }
            _ => assert!(kept.parts.is_empty()),
        }
    }
    assert_eq!(oracle.counts("mail").await["failed"], 0);
    let left: Vec<String> = redis.run(&["KEYS", "bull:mail:[1-9]*"]);
    assert!(left.is_empty(), "{left:?}");
    // The searchable columns are beside the exact bytes.
    let error: String = postgres
        .one(&format!("SELECT error FROM drover.archive WHERE job_id = '{}'", ids[3]))
        .await;
    assert_eq!(error, "first\u{fffd}line");
}
