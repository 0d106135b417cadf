//! Malformed requests: every route answers with a problem, or with a page for a browser that navigates (S-26).

use super::*;
use crate::support::redis::Redis;
use drover::server::http::route::Declared;
use drover::server::http::router::declared;

/// Words in place of numbers, and parameters twice.
const ODD: &str =
    "limit=x&offset=x&from=x&sample=x&line=x&limit=1&limit=2&queue=a&queue=b&state=a&state=b&next=a&next=b";

fn is_answered_well(what: &str, answer: &Answer, page: bool) {
    let kind = answer.header("content-type").unwrap_or_default();
    if answer.status < 400 {
        return;
    }
    if page {
        let fine = kind.starts_with("text/html") || kind == "application/problem+json";
        assert!(fine, "{what}: {} {kind}: {}", answer.status, answer.body);
        return;
    }
    let fine = kind == "application/problem+json" || kind.starts_with("text/html") && !what.contains("/api/");
    assert!(fine, "{what}: {} {kind}: {}", answer.status, answer.body);
    if kind == "application/problem+json" {
        let problem = answer.json();
        assert!(
            problem["type"].as_str().unwrap().starts_with("urn:drover:problem:") && problem["outcome"] == "none",
            "{what}: {problem}"
        );
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_answered_with_a_problem_on_every_route() {
    let redis = Redis::start();
    let drover = Drover::over(&redis.url()).await;
    let reader = [
        ("Accept", "text/html"),
        ("Sec-Fetch-Mode", "navigate"),
        ("Sec-Fetch-Site", "same-origin"),
    ];
    let mut refused = 0;
    for Declared { path, method, .. } in declared() {
        // Scripts and styles accept no query; a stream without topics is one of the overview.
        if matches!(path, "/pkg/{file}" | "/{file}" | "/events") {
            continue;
        }
        let method = if method == "*" { "GET" } else { method };
        let part = |with: &str| {
            let mut parts = path
                .split('/')
                .map(|part| if part.starts_with('{') { with } else { part });
            parts.by_ref().collect::<Vec<_>>().join("/")
        };
        let ask = async |inner: &str, headers: &[(&str, &str)], body: &str| {
            client::request(drover.port, method, &format!("/admin/queues{inner}"), headers, body).await
        };
        let mut asked = vec![];
        for (inner, headers) in [
            (format!("{}?{ODD}", part("x")), &[("Sec-Fetch-Site", "same-origin")][..]),
            (part("%FF"), &[("Sec-Fetch-Site", "same-origin")]),
            (format!("{}?{ODD}", part("x")), &reader),
            (part("%FF"), &reader),
        ] {
            let page = headers.len() > 1;
            asked.push((format!("{method} {inner}"), ask(&inner, headers, "").await, page));
        }
        if method == "POST" {
            let program = [("X-Drover", "1"), ("Content-Type", "application/json")];
            let text = [("Sec-Fetch-Site", "same-origin"), ("Content-Type", "text/plain")];
            let form = [
                ("Sec-Fetch-Site", "same-origin"),
                ("Content-Type", "application/x-www-form-urlencoded"),
            ];
            for (headers, body) in [
                (&program[..], "{"),
                (&program, "[1]"),
                (&program, "{\"limit\":\"x\",\"jobs\":7,\"ids\":\"x\"}"),
                (&text, "x"),
                (&form, "%FF=%FF&action=&theme=&theme=&name=&name="),
            ] {
                let inner = part("x");
                asked.push((format!("POST {inner} {body}"), ask(&inner, headers, body).await, false));
            }
        }
        for (what, answer, page) in asked {
            is_answered_well(&what, &answer, page);
            refused += usize::from(answer.status == 400);
        }
    }
    assert!(refused > 80, "{refused}");
    // A program learns which parameter is wrong.
    for path in [
        "/audit?limit=x",
        "/archive/jobs?limit=x",
        "/archive/jobs.ndjson?limit=x",
        "/archive/jobs.csv?limit=x",
        "/operations/none/results?offset=x",
        "/operations/none/results?limit=x",
        "/queues/redis/bull:q/jobs?limit=x",
        "/queues/redis/bull:q/jobs/1/logs?from=x",
        "/queues/redis/bull:q/jobs/1/logs?limit=x",
        "/queues/redis/bull:q/jobs/1/flow?limit=x",
        "/queues/redis/bull:q/jobs?limit=1&limit=2",
    ] {
        let answer = drover.get(&format!("/api/v1{path}")).await;
        assert_eq!(answer.status, 400, "{path}: {}", answer.body);
        assert_eq!(answer.json()["type"], "urn:drover:problem:bad-query", "{path}");
    }
}

// S-18: before sign-in a body is as small as a name and a password.
#[tokio::test]
async fn a_large_body_needs_a_sign_in() {
    let redis = Redis::start();
    let (drover, users) = with_sign_in(&redis.url(), &[]).await;
    users.add("ada", PASSWORD, Some(Role::Admin), &[], &[]).await.unwrap();
    let form = [
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("Sec-Fetch-Site", "same-origin"),
    ];
    let large = format!("theme=dark&more={}", "x".repeat(20_000));
    let theme = async |headers: &[(&str, &str)]| {
        client::request(drover.port, "POST", "/admin/queues/theme", headers, &large).await
    };
    let refused = theme(&form).await;
    assert_eq!(refused.status, 413, "{}", refused.body);
    let cookie = cookie_of(&sign_in(&drover, "ada", PASSWORD, &[]).await);
    let signed_in = [&form[..], &[("Cookie", cookie.as_str())]].concat();
    assert_eq!(theme(&signed_in).await.status, 303);
}
