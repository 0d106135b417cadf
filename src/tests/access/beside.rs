//! What is shown beside a queue, cut to what the user may see (S-5): operations, the audit log, relatives of a job,
//! queues of dead letters, other stores, and the jobs in streams.

use super::grants::{MARK, knows, shop};
use super::*;
use crate::support::client::Stream;
use crate::support::oracle::Oracle;
use crate::support::redis::Redis;
use crate::support::{LATER, SOON, eventually};
use serde_json::json;

/// The fault of an address: one user should read a text there, and another should not.
async fn differs(drover: &Drover, (reader, other): (&str, &str), path: &str, text: &str) -> Option<String> {
    let (shown, cut) = (get_as(drover, reader, path).await, get_as(drover, other, path).await);
    assert_eq!((shown.status, cut.status), (200, 200), "{path}");
    assert!(
        shown.body.contains(text),
        "{path} shows {reader} no {text}: {}",
        shown.body
    );
    let leak = cut.body.contains(text);
    leak.then(|| format!("{path} shows {other} {text}"))
}

/// The same for a stream that a user may not open.
async fn opens(drover: &Drover, user: &str, topic: &str) -> Option<String> {
    let path = format!("/admin/queues/events?topics={topic}");
    let stream = Stream::open(drover.port, &path, &proxied(user)).await;
    (stream.status != 404).then(|| format!("{user} opens {topic}: {}", stream.status))
}

// S-5
#[tokio::test]
async fn what_was_done_is_shown_to_those_who_see_all_queues_that_it_touched() {
    let (redis, mut oracle, _) = shop().await;
    let grants = grant("ada", "operator", &["redis/bull:billing*"])
        + &grant("eve", "viewer", &["*"])
        + &grant("root", "admin", &["*"]);
    let drover = behind_proxy(&redis.url(), &grants).await;
    for queue in ["billing", "mail"] {
        let later = json!({"count": 50, "name": "later", "opts": {"delay": 3_600_000}});
        oracle.ask("addMany", queue, later).await;
        knows(&drover, "root", queue).await;
    }
    // An operation on both queues that takes its time.
    let asked = json!({"action": "promote", "filter": "state:delayed name:later", "dry_run": true}).to_string();
    let token = eventually("the jobs of both queues", LATER, || async {
        let preview = post_as(&drover, "root", "/operations", &asked).await.json();
        (preview["selected"] == 100).then(|| preview["token"].clone())
    })
    .await;
    let order = json!({"token": token, "rate": 1}).to_string();
    let started = post_as(&drover, "root", "/operations", &order).await;
    assert_eq!(started.status, 202, "{}", started.body);
    let id = started.json()["id"].as_str().unwrap().to_owned();
    let mut leaks = vec![];
    for path in ["/operations", "/api/v1/operations", "/queues/redis/bull:billing/aside"] {
        leaks.extend(differs(&drover, ("root", "ada"), path, &id).await);
    }
    let topic = format!("operation:{id}");
    leaks.extend(opens(&drover, "ada", &topic).await);
    assert!(opens(&drover, "root", &topic).await.is_some(), "root follows it");
    // A user who may read its results may not download them as a file.
    let results = format!("/api/v1/operations/{id}/results");
    assert_eq!(get_as(&drover, "eve", &results).await.status, 200);
    let file = get_as(&drover, "eve", &format!("{results}.ndjson")).await;
    leaks.extend((file.status != 403).then(|| format!("eve exports results: {}", file.status)));
    // The audit log.
    for (user, queue) in [("ada", "billing"), ("root", "mail")] {
        let paused = post_as(&drover, user, &format!("/queues/redis/bull:{queue}/pause"), "{}").await;
        assert_eq!(paused.status, 200, "{}", paused.body);
    }
    for path in ["/audit", "/api/v1/audit"] {
        leaks.extend(differs(&drover, ("root", "ada"), path, "bull:mail").await);
        assert!(
            get_as(&drover, "ada", path).await.body.contains("bull:billing"),
            "{path}"
        );
    }
    assert!(leaks.is_empty(), "{}", leaks.join("\n"));
}

// S-5
#[tokio::test]
async fn relatives_dead_letters_and_stores_are_shown_to_those_who_see_their_queues() {
    let (redis, cellar) = (Redis::start(), Redis::start());
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    let tree = json!({"name": "invoice", "queueName": "orders", "children": [
        {"name": "farewell", "queueName": "mail", "data": {}},
    ]});
    let made = oracle.ask("flow", "orders", json!({"tree": tree})).await;
    oracle.add("orders-dlq", "n", json!({}), json!({})).await;
    let store = |id: &str, redis: &Redis| format!("[[store]]\nid = \"{id}\"\nurl = \"{}\"\n", redis.url());
    let file = [
        grant("ada", "viewer", &["redis/bull:orders"]),
        grant("mia", "viewer", &["redis/bull:orders-dlq"]),
        grant("root", "admin", &["*"]),
        store("redis", &redis),
        store("cellar", &cellar),
    ];
    let env = [
        ("DROVER_AUTH_MODE", "proxy"),
        ("DROVER_PROXY_SECRET", SECRET),
        ("DROVER_TRUSTED_PROXIES", "127.0.0.1"),
    ];
    let drover = Drover::with(&env, &file.concat()).await;
    eventually("all queues", SOON, || async {
        let all = get_as(&drover, "root", "/api/v1/queues").await.json();
        (all["items"].as_array()?.len() == 3).then_some(())
    })
    .await;
    let job = format!("/queues/redis/bull:orders/jobs/{}", made["jobId"].as_str().unwrap());
    let aside = "/queues/redis/bull:orders/aside".to_owned();
    let mut leaks = vec![];
    for (user, path, text) in [
        ("ada", job.clone(), "farewell"),
        ("ada", format!("/api/v1{job}/flow"), "farewell"),
        ("ada", aside.clone(), "bull:orders-dlq"),
        ("mia", aside.replace("orders", "orders-dlq"), "bull:orders\""),
        ("ada", String::new(), "cellar"),
        ("ada", "/api/v1/stores".into(), "cellar"),
    ] {
        leaks.extend(differs(&drover, ("root", user), &path, text).await);
    }
    assert_eq!(get_as(&drover, "ada", "/api/v1/stores/cellar").await.status, 404);
    leaks.extend(opens(&drover, "ada", "store:cellar").await);
    let mut stream = Stream::open(drover.port, "/admin/queues/events", &proxied("ada")).await;
    let first = stream.next().await.unwrap().data;
    leaks.extend(
        first
            .to_string()
            .contains("cellar")
            .then(|| format!("the stream: {first}")),
    );
    assert!(leaks.is_empty(), "{}", leaks.join("\n"));
}

// S-5: a stream is built once for all readers, and says no more about a job than its page does.
#[tokio::test]
async fn a_stream_tells_a_viewer_that_a_job_goes_on_and_not_with_what() {
    let (redis, mut oracle, _) = shop().await;
    let grants = grant("eve", "viewer", &["*"]) + &grant("ada", "operator", &["*"]);
    let drover = behind_proxy(&redis.url(), &grants).await;
    knows(&drover, "eve", "billing").await;
    let path = "/admin/queues/events?topics=queue:redis/bull:billing";
    let mut of_eve = Stream::open(drover.port, path, &proxied("eve")).await;
    let mut of_ada = Stream::open(drover.port, path, &proxied("ada")).await;
    let data = json!({"hold": true, "progress": [{"mark": MARK}]});
    let id = oracle.add("billing", "n", data, json!({})).await;
    of_ada
        .until("what the job reports", |event| {
            event.data.to_string().contains(MARK).then_some(())
        })
        .await;
    oracle.ask("release", "billing", json!({"jobId": id})).await;
    let mut heard = String::new();
    of_eve
        .until("the end of the job", |event| {
            heard += &event.data.to_string();
            let mut jobs = event.data["jobs"].as_array()?.iter();
            jobs.any(|job| job["id"] == id.as_str() && job["state"] == "completed")
                .then_some(())
        })
        .await;
    assert!(!heard.contains(MARK), "{heard}");
}
