//! What all answers share.

use crate::support::app::Drover;
use crate::support::client;
use crate::support::oracle::Oracle;
use crate::support::redis::Redis;
use serde_json::json;

#[tokio::test]
async fn every_answer_has_the_headers_and_every_page_its_own_nonce() {
    let redis = Redis::start();
    let drover = Drover::over(&redis.url()).await;
    let mut policies = Vec::new();
    for path in [
        "",
        "/no-such-page/at/all",
        "/api/v1/queues",
        "/api/v1/nothing",
        "/robots.txt",
        "/livez",
        "/events?topics=nope",
    ] {
        let answer = drover.get(path).await;
        let policy = answer
            .header("content-security-policy")
            .unwrap_or_else(|| panic!("{path} has no policy"));
        let (before, nonce) = policy.split_once("'nonce-").unwrap();
        let (_, after) = nonce.split_once('\'').unwrap();
        assert_eq!(
            format!("{before}{after}"),
            "default-src 'none'; script-src 'self'  'wasm-unsafe-eval'; style-src 'self'; img-src 'self' data:; connect-src \
             'self'; font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
            "{path}"
        );
        policies.push(policy.to_owned());
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(answer.header("x-frame-options"), Some("DENY"), "{path}");
        assert_eq!(answer.header("referrer-policy"), Some("same-origin"), "{path}");
        assert!(answer.header("permissions-policy").is_some(), "{path}");
        assert!(
            answer.header("strict-transport-security").is_none(),
            "{path}: without TLS"
        );
        assert!(answer.header("access-control-allow-origin").is_none(), "{path}");
        assert!(answer.header("cache-control").is_some(), "{path}");
    }
    let count = policies.len();
    policies.sort();
    policies.dedup();
    assert_eq!(policies.len(), count, "a nonce was used twice");
}

#[tokio::test]
async fn only_scripts_with_the_nonce_are_in_a_page() {
    let redis = Redis::start();
    let drover = Drover::over(&redis.url()).await;
    // Twice: the overview is rendered once and served again.
    for _ in 0..2 {
        let page = drover.get("").await;
        let policy = page.header("content-security-policy").unwrap();
        let nonce = policy.split("'nonce-").nth(1).unwrap().split('\'').next().unwrap();
        for script in page.body.split("<script").skip(1) {
            let tag = script.split('>').next().unwrap();
            assert!(
                tag.contains(&format!("nonce=\"{nonce}\"")) || tag.contains("type=\"application/json\""),
                "<script{tag}>"
            );
        }
        assert!(!page.body.contains(" style=\""), "a style attribute breaks the policy");
        assert!(!page.body.contains(" onclick=") && !page.body.contains("javascript:"));
    }
}

#[tokio::test]
async fn names_and_payloads_are_text_and_nothing_else() {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    let evil = "</script><img src=x onerror=alert(1)>\u{202e}\0";
    oracle.ask("startWorker", evil, json!({"workerId": "w"})).await;
    oracle
        .ask(
            "add",
            evil,
            json!({"name": evil, "data": {"fail": evil, "log": [evil]}, "opts": {"jobId": "<u>1"}}),
        )
        .await;
    oracle
        .ask("waitUntil", evil, json!({"state": "failed", "count": 1}))
        .await;
    let drover = Drover::over(&redis.url()).await;
    let key = drover::model::exact::text_of(format!("bull:{evil}").as_bytes());
    let path: String = key.bytes().map(|b| format!("%{b:02X}")).collect();
    crate::support::eventually("the queue", crate::support::SOON, || async {
        let all = drover.get("/api/v1/queues").await.json();
        (all["items"][0]["id"] == key.as_str()).then_some(())
    })
    .await;
    // A zero byte travels as the character that stands for it.
    assert_eq!(drover.get(&format!("/queues/redis/{path}")).await.status, 200);
    let page = drover.get("").await;
    assert!(!page.body.contains("<img"), "the name became an element");
    assert!(page.body.contains("\\u{202e}"), "what hides is made visible");
    let harmless = "<img src=x onerror=alert(1)>";
    oracle.ask("startWorker", harmless, json!({"workerId": "w2"})).await;
    oracle
        .ask(
            "add",
            harmless,
            json!({"name": evil, "data": {"fail": evil, "log": [evil]}, "opts": {"jobId": "<u>1"}}),
        )
        .await;
    oracle
        .ask("waitUntil", harmless, json!({"state": "failed", "count": 1}))
        .await;
    let path = "/queues/redis/bull:%3Cimg%20src=x%20onerror=alert(1)%3E";
    crate::support::eventually("its page", crate::support::SOON, || async {
        (drover.get(path).await.status == 200).then_some(())
    })
    .await;
    for path in [format!("{path}?state=failed"), format!("{path}/jobs/%3Cu%3E1")] {
        let page = drover.get(&path).await;
        assert_eq!(page.status, 200, "{path}");
        assert!(!page.body.contains("<img") && !page.body.contains("<u>1"), "{path}");
    }
}

#[tokio::test]
async fn drover_itself_can_be_asked_how_it_does() {
    let redis = Redis::start();
    let drover = Drover::over(&redis.url()).await;
    drover.store_becomes("redis", "live").await;
    // At the root too: a probe knows the port, not the base path.
    for path in ["/livez", "/readyz", "/admin/queues/readyz"] {
        assert_eq!(client::get(drover.port, path).await.status, 200, "{path}");
    }
    let metrics = client::get(drover.port, "/metrics").await;
    assert_eq!(metrics.status, 200, "{}", metrics.body);
    for name in [
        "drover_store_up{store=\"redis\"} 1",
        "drover_store_commands_total",
        "drover_http_requests_total",
        "drover_streams",
    ] {
        assert!(metrics.body.contains(name), "{name} is not in\n{}", metrics.body);
    }
    drover.stop.cancel();
}

#[tokio::test]
async fn without_sign_in_a_proxied_request_is_refused_and_says_how_to_allow_it() {
    let redis = Redis::start();
    let drover = Drover::over(&redis.url()).await;
    for headers in [[("X-Forwarded-For", "1.2.3.4")], [("Host", "evil.example")]] {
        let answer = client::request(drover.port, "GET", "/admin/queues", &headers, "").await;
        assert_eq!(answer.status, 403);
        assert!(
            answer.json()["detail"]
                .as_str()
                .unwrap()
                .contains("DROVER_AUTH_MODE=proxy"),
            "{}",
            answer.body
        );
    }
}

#[tokio::test]
async fn what_is_not_there_is_said_with_a_way_on() {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    oracle.add("q", "n", json!({}), json!({})).await;
    let drover = Drover::over(&redis.url()).await;
    drover.knows("bull:q").await;
    for (path, status) in [
        ("/queues/redis/bull:nope", 404),
        ("/queues/nowhere/bull:q", 404),
        ("/queues/redis/bull:q/jobs/nope", 404),
        ("/queues/redis/bull:q?state=sleeping", 400),
        ("/queues/redis/bull:q?state=failed&cursor=%3F", 400),
        ("/nothing/here", 404),
    ] {
        let page = drover.get(path).await;
        assert_eq!(page.status, status, "{path}");
        assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"), "{path}");
        assert!(page.body.contains("All queues"), "{path} leads nowhere");
        let api = drover.get(&format!("/api/v1{path}")).await;
        if !path.contains('?') {
            assert_eq!(api.status, status, "{path}");
            assert_eq!(api.header("content-type"), Some("application/problem+json"), "{path}");
            assert_eq!(api.json()["outcome"], "none");
        }
    }
    let found = drover.get("/queues/redis/bull:q/find?id=%201%20").await;
    assert_eq!(
        (found.status, found.header("location")),
        (303, Some("/admin/queues/queues/redis/bull:q/jobs/1"))
    );
}
