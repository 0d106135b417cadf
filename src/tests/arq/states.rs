//! What a job in the queue does, as far as Redis tells.

use super::Shop;
use crate::support::{SOON, eventually};
use serde_json::{Value, json};

#[tokio::test]
async fn a_job_that_runs_stays_in_the_queue_and_is_counted_once() {
    let mut shop = Shop::open(json!({})).await;
    shop.work("mail", "w").await;
    let mut held = vec![];
    for _ in 0..2 {
        held.push(shop.add("mail", "held", json!({"hold": true})).await);
    }
    shop.oracle.wait("mail", "active", 2).await;
    let waits = shop.add("mail", "next", json!({})).await;
    let later = shop
        .oracle
        .add("mail", "later", json!({}), json!({"delay": 900_000}))
        .await;
    assert_eq!(shop.redis.run::<u64>(&["ZCARD", "mail"]), 4);
    let so = |line: &Value| {
        let counts = &line["counts"];
        counts["active"] == 2 && counts["waiting"] == 1 && counts["delayed"] == 1
    };
    let line = shop.line("mail", "two run, one waits, one is deferred", so).await;
    assert_eq!(line["counts"]["completed"], Value::Null, "{line}");
    assert!(line["reason"].as_str().unwrap().contains("without an index"), "{line}");
    held.sort();
    let mut active = shop.drover.ids("mail", "active", "next", 10).await;
    active.sort();
    assert_eq!(active, held);
    assert_eq!(shop.drover.ids("mail", "waiting", "newest", 1).await, [waits.as_str()]);
    let job = shop.job("mail", &held[0], |_| true).await;
    assert!(
        job["state_note"].as_str().unwrap().contains("the claim ends in 5 m"),
        "{job}"
    );
    assert_eq!(
        (&job["row"]["attempts"], &job["attempts_started"]),
        (&json!(0), &json!(1))
    );
    assert_eq!(
        shop.job("mail", &waits, |_| true).await["place"],
        json!({"at": 1, "of": 1})
    );
    assert_eq!(
        shop.job("mail", &later, |_| true).await["place"],
        json!({"at": 1, "of": 1})
    );
    let page = shop.drover.get(&format!("/queues/redis/mail/jobs/{}", held[1])).await;
    assert_eq!(page.status, 200);
    assert!(page.body.contains("a worker has claimed it"), "{}", page.body);
    // A claim alone is no job.
    shop.redis.run::<()>(&["SET", "arq:in-progress:gone", "1"]);
    assert_eq!(shop.answer("mail", "gone").await.status, 404);
    assert!(shop.answer("mail", "gone").await.body.contains("left no result"));
}

#[tokio::test]
async fn the_claim_of_a_cron_job_that_has_run_is_no_active_job() {
    let mut shop = Shop::open(json!({"cron": true})).await;
    shop.work("mail", "w").await;
    shop.drover.knows("mail").await;
    let claims = || -> Vec<String> { shop.redis.run(&["KEYS", "arq:in-progress:cron:*"]) };
    eventually("some have run", SOON, || async { (claims().len() >= 3).then_some(()) }).await;
    shop.oracle.ask("stopWorker", "mail", json!({"workerId": "w"})).await;
    shop.oracle.ask("gone", "mail", json!({"workerId": "w"})).await;
    shop.line("mail", "nothing runs", |line| line["counts"]["active"] == 0)
        .await;
    assert!(claims().len() >= 3, "the claims are there");
    assert!(shop.drover.ids("mail", "active", "next", 10).await.is_empty());
}

#[tokio::test]
async fn a_job_whose_payload_has_expired_says_what_comes_of_it() {
    let mut shop = Shop::open(json!({})).await;
    let lost = shop.oracle.add("mail", "next", json!({}), json!({"expires": 1})).await;
    let key = format!("arq:job:{lost}");
    eventually("it has expired", SOON, || async {
        (!shop.redis.run::<bool>(&["EXISTS", &key])).then_some(())
    })
    .await;
    shop.add("mail", "next", json!({})).await;
    shop.drover.knows("mail").await;
    let rows = shop.drover.rows("mail", "waiting", "next", 10).await;
    assert_eq!(rows.len(), 2, "{rows:?}");
    let of = |rows: &[Value]| rows.iter().find(|row| row["id"] == lost.as_str()).unwrap()["problem"].clone();
    assert!(of(&rows).as_str().unwrap().contains("expired"), "{rows:?}");
    let job = shop.job("mail", &lost, |_| true).await;
    assert!(
        job["state_note"].as_str().unwrap().contains("payload has expired"),
        "{job}"
    );
    assert_eq!(job["data"], Value::Null);
    // It does as it was said to.
    shop.work("mail", "w").await;
    let job = shop.job("mail", &lost, |job| job["row"]["state"] == "failed").await;
    assert_eq!(text_of_error(&job), "JobExecutionFailed: job expired");
}

fn text_of_error(job: &Value) -> &str {
    super::text(&job["error"])
}

#[tokio::test]
async fn a_retry_to_come_a_lost_worker_and_an_abort_are_told_as_what_they_are() {
    let mut shop = Shop::open(json!({})).await;
    shop.work("mail", "w").await;
    let again = shop.add("mail", "job", json!({"again": 600})).await;
    shop.oracle.wait("mail", "delayed", 1).await;
    let held = shop.add("mail", "held", json!({"hold": true})).await;
    shop.oracle.wait("mail", "active", 1).await;
    let job = shop.job("mail", &again, |job| job["row"]["state"] == "delayed").await;
    assert_eq!(
        (&job["row"]["attempts"], &job["state_note"]),
        (&json!(1), &json!("it is to be tried again"))
    );
    let late = job["row"]["due"].as_i64().unwrap() - job["row"]["created"].as_i64().unwrap();
    assert!((600_000..660_000).contains(&late), "{job}");
    let lost = json!({"workerId": "w", "force": true});
    shop.oracle.ask("stopWorker", "mail", lost).await;
    shop.line("mail", "its claim is there", |line| line["counts"]["active"] == 1)
        .await;
    // As when the claim ends.
    shop.redis.run::<()>(&["DEL", &format!("arq:in-progress:{held}")]);
    shop.line("mail", "it waits", |line| line["counts"]["waiting"] == 1)
        .await;
    let job = shop.job("mail", &held, |job| job["row"]["state"] == "waiting").await;
    assert!(
        job["state_note"]
            .as_str()
            .unwrap()
            .contains("a try has begun and not ended"),
        "{job}"
    );
    // An abort of a deferred job puts it to the front with 1, which is no time since when it waits.
    shop.oracle.ask("abort", "mail", json!({"jobId": again})).await;
    let job = shop.job("mail", &again, |job| job["row"]["state"] == "waiting").await;
    assert!(job["oddities"].to_string().contains("allow_abort_jobs"), "{job}");
    let line = shop
        .line("mail", "both wait", |line| line["counts"]["waiting"] == 2)
        .await;
    assert!(
        line["oldest_waiting"].as_i64().is_none_or(|at| at > 1_000_000_000_000),
        "{line}"
    );
}

#[tokio::test]
async fn a_long_queue_is_counted_paged_and_searched_around_what_runs() {
    const JOBS: u64 = 3_000;
    let mut shop = Shop::open(json!({})).await;
    let first = shop.add("mail", "first", json!({"n": 1})).await;
    shop.drover.knows("mail").await;
    let mut payload = redis::cmd("GET");
    let payload: Vec<u8> = payload
        .arg(format!("arq:job:{first}"))
        .query(&mut shop.redis.connection())
        .unwrap();
    let score: f64 = shop.redis.run(&["ZSCORE", "mail", &first]);
    let mut pipe = redis::pipe();
    for n in 1..=JOBS {
        pipe.cmd("SET").arg(format!("arq:job:j{n:05}")).arg(&payload).ignore();
        // All due at once: they stand in the order of their ids.
        pipe.cmd("ZADD").arg("mail").arg(score).arg(format!("j{n:05}")).ignore();
    }
    // Of these the library's worker would have taken the first; and one that is far behind.
    for n in (1..=600).chain([2_900]) {
        pipe.cmd("SET")
            .arg(format!("arq:in-progress:j{n:05}"))
            .arg("1")
            .ignore();
    }
    pipe.exec(&mut shop.redis.connection()).unwrap();
    let line = shop
        .line("mail", "all are counted", |line| line["counts"]["active"] == 600)
        .await;
    assert_eq!(line["counts"]["waiting"], JOBS + 1 - 600, "{line}");
    let reason = line["reason"].as_str().unwrap();
    assert!(reason.contains("the 1,500 that are due first"), "{line}");
    let seen = shop.drover.ids("mail", "waiting", "next", 200).await;
    // All but those that run, each once, in order: the one with a hexadecimal id wherever it belongs.
    let mut wanted: Vec<String> = (601..=JOBS)
        .filter(|n| *n != 2_900)
        .map(|n| format!("j{n:05}"))
        .collect();
    wanted.push(first);
    wanted.sort();
    assert_eq!(seen, wanted);
    let page = async |more: &str| {
        let path = format!("/api/v1/queues/redis/mail/jobs?state=waiting&limit=5{more}");
        shop.drover.get(&path).await
    };
    // Behind those that run: places and rows are counted apart.
    let next = page("").await.json()["next"].as_str().unwrap().to_owned();
    let second = page(&format!("&cursor={next}")).await.json();
    assert_eq!(
        (&second["offset"], &second["rows"][0]["id"]),
        (&json!(5), &json!(wanted[5])),
        "{second}"
    );
    let found = page("&order=newest&q=j00700").await.json();
    assert_eq!(found["rows"][0]["id"], "j00700", "{found}");
    for broken in ["x", "o1", "o-1.0", "k1:2"] {
        assert_eq!(page(&format!("&cursor={broken}")).await.status, 400, "{broken}");
    }
}
