//! Every route, requested by users without permission, and with unusual addresses.

use super::*;
use crate::support::SOON;
use crate::support::eventually;
use crate::support::oracle::Oracle;
use crate::support::redis::Redis;
use drover::server::http::route::Declared;
use drover::server::http::route::Needs;
use drover::server::http::router::declared;
use serde_json::json;

/// A route with its parameters filled in.
fn filled(path: &str, queue: &str) -> String {
    let parts = [
        ("{store}", "redis"),
        ("{queue}", queue),
        ("{job}", "1"),
        ("{key}", "plan"),
        ("{id}", "none"),
        ("{field}", "data"),
        ("{series}", "memory.svg"),
        ("{action}", "pause"),
        ("{control}", "pause"),
        ("{word}", "run"),
        ("{component}", "mail"),
        ("{file}", "favicon.svg"),
        ("{*rest}", "x"),
    ];
    let path = parts
        .iter()
        .fold(path.to_owned(), |path, (part, with)| path.replace(part, with));
    assert!(!path.contains('{'), "{path} has a part that this test does not know");
    path
}

/// The same address in ways that a proxy, a router and a permission might read differently.
fn mutations(path: &str) -> Vec<String> {
    let all = [
        path.replacen('/', "//", 1),
        format!("/{path}"),
        path.replacen("/queues/", "/./queues/", 1),
        path.replacen("/queues/", "/x/../queues/", 1),
        path.replacen("/queues/", "/%2e/queues/", 1),
        path.replacen("/queues/", "/x/%2e%2e/queues/", 1),
        path.replacen("/queues/", "/queues%2f", 1),
        path.replacen("bull:mail", "bull%3Amail", 1),
        path.replacen("bull:mail", "bull:billing/../bull:mail", 1),
        path.replacen("bull:mail", "bull:billing%2f..%2fbull:mail", 1),
        path.replacen("bull:mail", "bull:mail;x=bull:billing", 1),
        path.replacen("bull:mail", "bull:mail%00", 1),
        path.replace('/', "\\"),
        path.replace("/queues/", "/QUEUES/"),
        format!("{path}/"),
        format!("{path}/."),
        format!("{path}%20"),
    ];
    let at_of_api = format!(
        "/api/v1/at?to={}",
        encode_segment(path.strip_prefix("/api/v1").unwrap_or(path))
    );
    let at = format!("/at?to={}", encode_segment(path));
    let at_of_base = format!("/at?to={}", encode_segment(&format!("/admin/queues{path}")));
    all.into_iter().chain([at, at_of_api, at_of_base]).collect()
}

async fn board(grants: &str) -> (Redis, Oracle, Drover) {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    for queue in ["billing", "mail"] {
        oracle.add(queue, "n", json!({"mark": "payload-mark"}), json!({})).await;
    }
    let drover = behind_proxy(&redis.url(), grants).await;
    eventually("both queues", SOON, || async {
        let all = get_as(&drover, "root", "/api/v1/queues").await.json();
        (all["items"].as_array()?.len() == 2).then_some(())
    })
    .await;
    (redis, oracle, drover)
}

async fn ask(drover: &Drover, method: &str, path: &str, who: &[(&str, &str)]) -> Answer {
    let program = [("X-Drover", "1"), ("Content-Type", "application/json")];
    let form = [
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("Sec-Fetch-Site", "same-origin"),
    ];
    let more = if path.contains("/api/") { program } else { form };
    let body = match (method, path.contains("/api/")) {
        ("GET", _) => "",
        (_, true) => "{}",
        _ => "action=pause",
    };
    client::request(drover.port, method, path, &[who, &more].concat(), body).await
}

// S-4
#[tokio::test]
async fn no_way_of_writing_an_address_leads_past_its_permission() {
    let grants = grant("root", "admin", &["*"]) + &grant("ada", "operator", &["redis/bull:billing"]);
    let (_redis, mut oracle, drover) = board(&grants).await;
    let ada = proxied("ada");
    let mut asked = 0;
    for Declared {
        path, method, needs, ..
    } in declared()
    {
        if !path.contains("{queue}") {
            continue;
        }
        assert!(needs.verb().is_some(), "{path} is about a queue and asks for nothing");
        let method = if method == "*" { "GET" } else { method };
        let plain = filled(path, "bull:mail");
        for inner in mutations(&plain).into_iter().chain([plain.clone()]) {
            for base in ["/admin/queues", ""] {
                let answer = ask(&drover, method, &format!("{base}{inner}"), &ada).await;
                let told = answer.body.contains("payload-mark");
                // A mutation may be another address, which is hers or does not exist; never the protected one.
                let other = inner.contains("billing") || inner.contains("/at?to=");
                let fine = !(200..300).contains(&answer.status) || (other && !answer.body.contains("bull:mail"));
                assert!(
                    fine && !told,
                    "{method} {base}{inner}: {} {}",
                    answer.status,
                    answer.body
                );
                asked += 1;
            }
        }
    }
    assert!(asked > 300, "{asked}");
    assert_eq!(oracle.ask("isPaused", "mail", json!({})).await, json!(false));
    assert_eq!(oracle.counts("mail").await["waiting"], 1);
}

// S-1, S-4
#[tokio::test]
async fn nobody_gets_nothing_and_a_viewer_changes_nothing_on_any_route() {
    let grants = grant("root", "admin", &["*"]) + &grant("eve", "viewer", &["*"]) + &grant("teams", "status", &["*"]);
    let (_redis, mut oracle, drover) = board(&grants).await;
    let key = [("X-Drover-Proxy-Secret", SECRET)];
    for Declared {
        path, method, needs, ..
    } in declared()
    {
        let method = if method == "*" { "GET" } else { method };
        let inner = format!("/admin/queues{}", filled(path, "bull:mail"));
        if needs == Needs::Nothing {
            continue;
        }
        for nobody in [&[][..], &key] {
            let answer = ask(&drover, method, &inner, nobody).await;
            assert_eq!(answer.status, 401, "{method} {inner}: {}", answer.body);
            assert!(!answer.body.contains("bull:"), "{inner}");
        }
        if needs != Needs::Status {
            let answer = ask(&drover, method, &inner, &proxied("teams")).await;
            assert_eq!(
                answer.status, 403,
                "{method} {inner}: whoever reads the status page reads no more"
            );
        }
        if needs == Needs::Act {
            let answer = ask(&drover, method, &inner, &proxied("eve")).await;
            let nothing_done = !(200..300).contains(&answer.status);
            assert!(nothing_done, "{method} {inner}: {} {}", answer.status, answer.body);
        }
    }
    assert_eq!(oracle.ask("isPaused", "mail", json!({})).await, json!(false));
    assert_eq!(oracle.counts("mail").await["waiting"], 1);
    assert!(std::fs::read_to_string(drover.state.path().join("audit.ndjson")).is_ok_and(|text| text.is_empty()));
}

// S-13, S-14: on every answer, refusals and streams too.
#[tokio::test]
async fn every_answer_says_what_a_browser_may_do_with_it() {
    let grants = grant("root", "admin", &["*"]);
    let (_redis, _oracle, drover) = board(&grants).await;
    let root = proxied("root");
    let mut asked = vec![];
    for Declared { path, method, .. } in declared() {
        let method = if method == "*" { "GET" } else { method };
        let inner = format!("/admin/queues{}", filled(path, "bull:mail"));
        if path == "/events" {
            let stream = crate::support::client::Stream::open(drover.port, &inner, &root).await;
            asked.push((inner.clone(), stream.status, stream.headers.clone()));
        } else {
            let answer = ask(&drover, method, &inner, &root).await;
            asked.push((format!("{method} {inner}"), answer.status, answer.headers));
        }
        let nobody = ask(&drover, method, &inner, &[]).await;
        asked.push((format!("{method} {inner} as nobody"), nobody.status, nobody.headers));
    }
    for odd in [
        "/admin/queues/none",
        "/admin/queues//workers",
        "/elsewhere",
        "/admin/queues/api/v1/none",
    ] {
        let answer = ask(&drover, "GET", odd, &root).await;
        assert!(answer.status >= 400, "{odd}");
        asked.push((odd.into(), answer.status, answer.headers));
    }
    let mut nonces = std::collections::HashSet::new();
    for (what, status, headers) in &asked {
        let header = |name: &str| {
            let mut all = headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
            let one = all.next().map(|(_, value)| value.as_str());
            assert!(all.next().is_none(), "{what}: {name} is there twice");
            one
        };
        let policy = header("content-security-policy").unwrap_or_else(|| panic!("{what}: {status} without a policy"));
        for part in [
            "default-src 'none'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "form-action 'self'",
        ] {
            assert!(policy.contains(part), "{what}: {policy}");
        }
        assert!(
            !policy.contains("unsafe-inline") && !policy.contains("'unsafe-eval'"),
            "{what}: {policy}"
        );
        let nonce = policy.split("'nonce-").nth(1).and_then(|rest| rest.split('\'').next());
        assert!(
            nonces.insert(nonce.unwrap_or_default().to_owned()),
            "{what}: a nonce is used twice"
        );
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "same-origin"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(header(name), Some(value), "{what}: {name}");
        }
        assert!(
            header("server").is_none() && header("access-control-allow-origin").is_none(),
            "{what}"
        );
        let kept = what.contains("/pkg/") || what.contains("favicon.svg") || what.contains("openapi.json");
        let caching = header("cache-control").unwrap_or_default();
        assert!(kept || caching.contains("no-store"), "{what}: {caching}");
    }
}
