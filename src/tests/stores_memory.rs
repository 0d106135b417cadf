//! Memory by queue: near the true figure, and bounded however many jobs there are to weigh.

use crate::support::app::Drover;
use crate::support::oracle::Oracle;
use crate::support::redis::Redis;
use crate::support::{LATER, SOON, eventually};
use serde_json::{Value, json};

/// Memory by queue as the API returns it.
async fn weighed(drover: &Drover, query: &str) -> Value {
    let answer = drover.get(&format!("/api/v1/stores/redis/memory{query}")).await.json();
    assert!(!answer["known"].is_null(), "{answer}");
    answer["known"].clone()
}

fn used(redis: &Redis) -> f64 {
    let info: String = redis.run(&["INFO", "memory"]);
    let line = info.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap();
    line.trim().parse().unwrap()
}

fn calls(redis: &Redis, names: &[&str]) -> u64 {
    redis
        .calls()
        .iter()
        .filter(|(name, _)| names.contains(&name.as_str()))
        .map(|(_, calls)| calls)
        .sum()
}

#[tokio::test]
async fn an_estimate_from_fifty_jobs_is_near_what_thousands_take() {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    oracle.add("warm", "n", json!({}), json!({})).await;
    let before = used(&redis);
    for (queue, count, size) in [("large", 2_000, 4_000), ("small", 4_000, 100)] {
        let data = json!({"text": "x".repeat(size), "to": "somebody@example.org"});
        oracle
            .ask(
                "addMany",
                queue,
                json!({"count": count, "name": "n", "data": data, "opts": {}}),
            )
            .await;
        oracle
            .ask(
                "addMany",
                queue,
                json!({"count": count / 4, "name": "n", "data": data, "opts": {"delay": 9_999_999}}),
            )
            .await;
    }
    let grown = used(&redis) - before;
    let drover = Drover::over(&redis.url()).await;
    for queue in ["bull:large", "bull:small"] {
        drover.knows(queue).await;
    }
    eventually("all counted", SOON, || async {
        let large = drover.knows("bull:large").await;
        let small = drover.knows("bull:small").await;
        (large["counts"]["waiting"] == 2_000 && small["counts"]["delayed"] == 1_000).then_some(())
    })
    .await;
    let memory = weighed(&drover, "").await;
    let said = memory["bytes"].as_f64().unwrap();
    assert!(
        (0.7..1.3).contains(&(said / grown)),
        "{said} said, {grown} grown: {memory}"
    );
    let large = &memory["queues"][0];
    assert_eq!((&large["name"], &large["jobs"]), (&json!("large"), &json!(2_500)));
    assert_eq!(large["weighed"], 100, "fifty of each of two states");
    let payload = large["mean_payload"].as_u64().unwrap();
    assert!((4_000..4_100).contains(&payload), "{payload}");
    let waiting = &large["states"][0];
    assert_eq!(
        (&waiting["state"], &waiting["jobs"], &waiting["weighed"]),
        (&json!("waiting"), &json!(2_000), &json!(50))
    );
    let share = waiting["bytes"].as_f64().unwrap() / large["bytes"].as_f64().unwrap();
    assert!((0.6..0.9).contains(&share), "four fifths wait: {share}");
    assert_eq!(memory["largest"][0]["queue"]["queue"], "bull:large");
    assert!(memory["largest"][0]["bytes"].as_u64().unwrap() > 4_000);
    // A larger sample weighs more jobs, and a second look costs nothing.
    let more = weighed(&drover, "?sample=200").await;
    assert_eq!(more["queues"][0]["weighed"], 400);
    let spent = calls(&redis, &["memory|usage"]);
    weighed(&drover, "").await;
    drover.get("/stores/redis").await;
    assert_eq!(
        calls(&redis, &["memory|usage"]),
        spent,
        "one answer serves everybody for a minute"
    );
}

#[tokio::test]
async fn one_large_payload_among_few_is_found_and_leads_to_its_job() {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 5).await;
    for i in 0..20 {
        oracle.add("q", "n", json!({"i": i}), json!({})).await;
    }
    let id = oracle
        .add("q", "n", json!({"text": "z".repeat(300_000)}), json!({"priority": 2}))
        .await;
    let drover = Drover::over(&redis.url()).await;
    drover.knows("bull:q").await;
    eventually("counted", SOON, || async {
        (drover.knows("bull:q").await["counts"]["prioritized"] == 1).then_some(())
    })
    .await;
    let memory = weighed(&drover, "").await;
    assert_eq!(memory["jobs_weighed"], 21, "few enough to be weighed whole");
    let first = &memory["largest"][0];
    assert_eq!((&first["job"], &first["state"]), (&json!(id), &json!("prioritized")));
    let page = drover.get("/stores/redis").await.body;
    assert!(page.contains(&format!("/admin/queues/queues/redis/bull:q/jobs/{id}")));
    assert!(page.contains("The one queue, estimated from 21 of 21 jobs"));
}

#[tokio::test]
async fn five_hundred_queues_cost_no_more_than_the_budget() {
    let redis = Redis::start();
    let mut connection = redis.connection();
    // In the library's layout, because 25,000 jobs of its own would take half a minute.
    for queue in 0..500_usize {
        let base = format!("bull:q{queue:03}");
        let mut pipe = redis::pipe();
        pipe.cmd("HSET")
            .arg(format!("{base}:meta"))
            .arg("opts.maxLenEvents")
            .arg(10_000)
            .ignore();
        for job in 0..50 + usize::from(queue < 5) * 400 {
            pipe.cmd("HSET")
                .arg(format!("{base}:{job}"))
                .arg(&["name", "n", "data", "{\"a\":1}", "opts", "{}", "timestamp", "1"])
                .ignore();
            pipe.cmd("LPUSH").arg(format!("{base}:wait")).arg(job).ignore();
        }
        pipe.exec(&mut connection).unwrap();
    }
    let drover = Drover::over(&redis.url()).await;
    eventually("all queues counted", LATER, || async {
        let queues = drover.get("/api/v1/queues").await.json();
        let counted = |q: &Value| q["counts"]["waiting"].as_u64().is_some_and(|n| n >= 50);
        let items = queues["items"].as_array().unwrap();
        (items.len() == 500 && items.iter().all(counted)).then_some(())
    })
    .await;
    let names = ["memory|usage", "hstrlen"];
    let before = calls(&redis, &names);
    let memory = weighed(&drover, "").await;
    let spent = calls(&redis, &names) - before;
    let told = memory["commands"].as_u64().unwrap();
    assert!(told <= 8_000, "{told} commands");
    assert!(spent <= told, "{spent} were sent, {told} told");
    assert!(spent > 4_000, "the budget is used: {spent}");
    assert_eq!(memory["queues_known"], 500);
    let covered = memory["queues_weighed"].as_u64().unwrap();
    assert!((50..500).contains(&covered), "{covered}");
    assert_eq!(memory["queues"].as_array().unwrap().len(), 50, "the page stays short");
    assert_eq!(memory["others"][0], covered - 50);
    // The largest queues are among the weighed ones.
    let large = memory["queues"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|q| q["jobs"] == 450)
        .count();
    assert_eq!(large, 5);
    let page = drover.get("/stores/redis").await.body;
    assert!(
        page.contains(&format!("The {covered} largest of 500 queues")),
        "it says what was covered"
    );
    assert!(page.contains("?sample=200"), "and offers more");
    let more = weighed(&drover, "?sample=500").await;
    assert!(more["queues_weighed"].as_u64().unwrap() > covered);
    assert!(more["commands"].as_u64().unwrap() <= 80_000);
}
