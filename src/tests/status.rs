//! The status page for teams: what it says about real queues and workers, what it never says, and what it costs.

mod alone;
mod history;
mod secrets;

use crate::support::app::Drover;
use crate::support::client::Answer;
use crate::support::oracle::Oracle;
use crate::support::redis::Redis;
use crate::support::{LATER, SOON, eventually};
use serde_json::{Value, json};
use std::time::Duration;

/// A page that says everything at once, with one component for the queues whose names begin with `mail`.
pub(crate) const MAIL: &str = r#"
[status_page]
name = "Shop"
worse_after = "0s"
better_after = "0s"
[[status_page.component]]
id = "mail"
name = "Outgoing email"
description = "Receipts and reminders"
queues = "redis/bull:mail*"
promise = "2s"
"#;

/// A board over one Redis with this text in its configuration file.
pub(crate) async fn board(redis: &Redis, file: &str) -> Drover {
    Drover::with(&[("DROVER_REDIS_URL", &redis.url())], file).await
}

/// The component in the page's JSON.
pub(crate) async fn component(drover: &Drover, id: &str) -> Value {
    let answer = drover.get("/status.json").await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let components = answer.json()["components"].as_array().unwrap().clone();
    components.into_iter().find(|component| component["id"] == id).unwrap()
}

/// Waits until a component is in this state.
pub(crate) async fn becomes(drover: &Drover, id: &str, state: &str, within: Duration) -> Value {
    eventually(&format!("{id} to be {state}"), within, || async {
        let component = component(drover, id).await;
        (component["state"] == state).then_some(component)
    })
    .await
}

/// Everything that the board publishes.
pub(crate) const PATHS: [&str; 14] = [
    "/status",
    "/status?renew=off",
    "/status.json",
    "/status/status.css",
    "/status/api/v2/summary.json",
    "/status/api/v2/status.json",
    "/status/api/v2/components.json",
    "/status/api/v2/incidents.json",
    "/status/api/v2/incidents/unresolved.json",
    "/status/api/v2/scheduled-maintenances.json",
    "/status/api/v2/scheduled-maintenances/upcoming.json",
    "/status/api/v2/scheduled-maintenances/active.json",
    "/status/badge/mail.svg",
    "/status/shield/mail.json",
];

#[tokio::test]
async fn when_the_worker_stops_work_does_not_get_through_and_when_it_is_back_it_does() {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    oracle.ask("startWorker", "mail", json!({"workerId": "w"})).await;
    oracle.add("mail", "n", json!({}), json!({})).await;
    let drover = board(&redis, MAIL).await;
    let well = becomes(&drover, "mail", "operational", LATER).await;
    assert_eq!(
        well["sentence"],
        "Nothing is waiting: new work starts right away (promise 2 s)."
    );
    let page = drover.get("/status").await;
    assert!(
        page.body.contains("All systems operational") && page.body.contains("Outgoing email"),
        "{}",
        page.body
    );

    oracle.ask("stopWorker", "mail", json!({"workerId": "w"})).await;
    oracle.add("mail", "n", json!({}), json!({})).await;
    // Five times the promise.
    let bad = becomes(&drover, "mail", "major_outage", LATER * 2).await;
    let sentence = bad["sentence"].as_str().unwrap();
    assert!(
        sentence.starts_with("The oldest waiting work has waited for about 1"),
        "{sentence}"
    );
    assert!(drover.get("/status").await.body.contains("Work is not getting through"));
    let v2 = drover.get("/status/api/v2/summary.json").await.json();
    assert_eq!(
        v2["status"],
        json!({"indicator": "critical", "description": "Major Service Outage"})
    );
    assert_eq!(v2["components"][0]["status"], "major_outage");
    assert!(drover.get("/status/badge/mail.svg").await.body.contains("major outage"));
    assert_eq!(
        drover.get("/status/shield/mail.json").await.json()["message"],
        "major outage"
    );

    oracle.ask("startWorker", "mail", json!({"workerId": "w2"})).await;
    becomes(&drover, "mail", "operational", LATER * 2).await;

    // A pause has a reason, and the reason is not public.
    let pause = json!({"reason": "Fraud at ACME Ltd"});
    assert_eq!(drover.post("/queues/redis/bull%3Amail/pause", &pause).await.status, 200);
    let held = becomes(&drover, "mail", "under_maintenance", LATER).await;
    assert!(
        held["sentence"].as_str().unwrap().starts_with("Paused by an operator"),
        "{held}"
    );
    for path in PATHS {
        assert!(!drover.get(path).await.body.contains("ACME"), "{path}");
    }
}

#[tokio::test]
async fn a_redis_that_stops_or_freezes_is_unknown_within_the_minute_and_never_green() {
    for freezes in [true, false] {
        let mut redis = Redis::start();
        let mut oracle = Oracle::start(&redis.url(), 6).await;
        oracle.ask("startWorker", "mail", json!({"workerId": "w"})).await;
        oracle.add("mail", "n", json!({}), json!({})).await;
        let drover = board(&redis, MAIL).await;
        becomes(&drover, "mail", "operational", LATER).await;
        drop(oracle);
        if freezes {
            redis.freeze();
        } else {
            redis.kill();
        }
        let unknown = becomes(&drover, "mail", "unknown", Duration::from_secs(60)).await;
        assert_eq!(unknown["sentence"], "No recent data.");
        let badge = drover.get("/status/badge/mail.svg").await.body;
        assert!(badge.contains("no data") && badge.contains("#5b6472"), "{badge}");
        let v2 = drover.get("/status/api/v2/summary.json").await.json();
        assert_eq!(
            v2["status"],
            json!({"indicator": "minor", "description": "No recent data"})
        );
        assert_ne!(v2["components"][0]["status"], "operational");
        assert_eq!(v2["components"][0]["drover_state"], "unknown");
        let page = drover.get("/status").await.body;
        assert!(
            page.contains("No recent data") && !page.contains("class=\"operational\""),
            "{page}"
        );
        if freezes {
            redis.thaw();
            becomes(&drover, "mail", "operational", LATER * 2).await;
        }
    }
}

#[tokio::test]
async fn without_a_component_there_is_no_page_and_what_is_not_published_looks_like_what_is_not_there() {
    let redis = Redis::start();
    let plain = Drover::over(&redis.url()).await;
    let like = async |drover: &Drover, path: &str, other: &str| {
        // Each page has its own time and nonce.
        let bare = |answer: &Answer| {
            (
                answer.status,
                answer.header("content-type").map(str::to_owned),
                answer.body.len(),
            )
        };
        let (answer, other) = (drover.get(path).await, drover.get(other).await);
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(bare(&answer), bare(&other), "{path}");
    };
    for path in PATHS {
        let other = path.replacen("/status", "/statuz", 1);
        like(&plain, path, &other).await;
    }
    let drover = board(&redis, MAIL).await;
    // Written differently, with a queue's name, beside the folder, of a kind that does not exist.
    for name in [
        "Mail.svg",
        "mail.SVG",
        "mail",
        "mail.png",
        "bull%3Amail.svg",
        "%2e%2e%2fmail.svg",
        "mail.svg%00",
        ".svg",
        "m%61il2.svg",
    ] {
        let path = format!("/status/badge/{name}");
        let answer = drover.get(&path).await;
        assert!(matches!(answer.status, 404 | 400), "{path}: {}", answer.status);
        assert!(!answer.body.contains("<svg xmlns"), "{path}");
    }
    like(&drover, "/status/badge/nope.svg", "/nowhere/badge/nope.svg").await;
    like(&drover, "/status/api/v2/nope.json", "/nowhere/api/v2/nope.json").await;
}

#[tokio::test]
async fn every_file_has_a_tag_may_be_kept_for_seconds_and_has_the_headers_of_a_page_without_scripts() {
    let redis = Redis::start();
    let file = MAIL.replace(
        "[status_page]",
        "[status_page]\nframe_ancestors = [\"https://wiki.example.com\"]",
    );
    let (drover, framed) = (board(&redis, MAIL).await, board(&redis, &file).await);
    for path in PATHS {
        let answer = drover.get(path).await;
        assert_eq!(answer.status, 200, "{path}");
        let policy = answer.header("content-security-policy").unwrap();
        assert!(
            policy.starts_with("default-src 'none'; style-src 'self';"),
            "{path}: {policy}"
        );
        assert!(
            policy.ends_with("frame-ancestors 'none'") && !policy.contains("script-src"),
            "{path}: {policy}"
        );
        assert_eq!(answer.header("x-frame-options"), Some("DENY"), "{path}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(answer.header("x-robots-tag"), Some("noindex"), "{path}");
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"), "{path}");
        assert!(
            answer.header("cache-control").unwrap().starts_with("public, max-age="),
            "{path}"
        );
        assert!(answer.header("set-cookie").is_none(), "{path}");
        // Rendered anew every few seconds: the test repeats the request until the tag is still the one it got.
        let again = eventually("not modified", SOON, || async {
            let tag = drover.get(path).await.header("etag").unwrap().to_owned();
            let known = [("If-None-Match", format!("\"x\", W/{tag}"))];
            let known: Vec<_> = known.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let at = format!("/admin/queues{path}");
            let again = crate::support::client::request(drover.port, "GET", &at, &known, "").await;
            (again.status == 304 && again.header("etag") == Some(tag.as_str())).then_some(again)
        })
        .await;
        assert!(again.bytes.is_empty(), "{path}");
        let framed = framed.get(path).await;
        let policy = framed.header("content-security-policy").unwrap();
        assert!(
            policy.ends_with("frame-ancestors https://wiki.example.com"),
            "{path}: {policy}"
        );
        assert!(framed.header("x-frame-options").is_none(), "{path}");
    }
    let badge = drover.get("/status/badge/mail.svg").await;
    assert_eq!(
        badge.header("cross-origin-resource-policy"),
        Some("cross-origin"),
        "it stands on other sites' pages"
    );
    assert_eq!(badge.header("content-type"), Some("image/svg+xml; charset=utf-8"));
    let page = drover.get("/status").await;
    assert!(
        page.body.len() < 30_000 && !page.body.contains("<script") && !page.body.contains(" style="),
        "{}",
        page.body
    );
    assert!(
        page.body.contains("http-equiv=\"refresh\"") && page.body.contains("href=\"/admin/queues/status/status.css\"")
    );
    assert!(
        !drover
            .get("/status?renew=off")
            .await
            .body
            .contains("http-equiv=\"refresh\"")
    );
    assert!(
        drover
            .get("/status")
            .await
            .body
            .contains("name=\"robots\" content=\"noindex\"")
    );
    // With a slash at the end, and without the prefix, as proxies send it.
    assert_eq!(drover.get("/status/").await.status, 200);
    assert_eq!(crate::support::client::get(drover.port, "/status").await.status, 200);
}

#[tokio::test]
async fn a_label_of_a_badge_is_text_and_short() {
    let redis = Redis::start();
    let drover = board(&redis, MAIL).await;
    let evil = "%3C%2Ftitle%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E%22%27+onload%3D1%E2%80%AE%00";
    let badge = drover
        .get(&format!("/status/badge/mail.svg?label={evil}{}", "x".repeat(2_000)))
        .await;
    assert_eq!(badge.status, 200);
    assert!(
        !badge.body.contains("<script") && !badge.body.contains("\"'") && !badge.body.contains('\u{202e}'),
        "{}",
        badge.body
    );
    assert!(badge.body.contains("&lt;/title&gt;&lt;script&gt;"), "{}", badge.body);
    assert!(badge.body.len() < 1_500, "{}", badge.body.len());
    let named = drover.get("/status/badge/mail.svg?style=x&label=Post+office").await;
    assert!(named.body.contains("<title>Post office: "), "{}", named.body);
    assert_ne!(named.header("etag"), badge.header("etag"));
    let empty = drover.get("/status/badge/mail.svg?label=%20").await;
    assert!(empty.body.contains("<title>Outgoing email: "), "{}", empty.body);
}
