//! The board below any path, whether a proxy keeps the prefix or strips it.

use crate::support::app::Drover;
use crate::support::client;
use crate::support::oracle::Oracle;
use crate::support::redis::Redis;
use serde_json::json;

/// Every address in a page.
fn addresses(html: &str) -> Vec<String> {
    ["href=\"", "src=\"", "action=\"", "start(\""]
        .iter()
        .flat_map(|mark| html.split(mark).skip(1))
        .map(|rest| rest.split('"').next().unwrap().to_owned())
        .filter(|address| !address.starts_with('#') && !address.is_empty())
        .collect()
}

async fn every_address_is_below(base: &str) {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    let id = oracle.add("q", "n", json!({}), json!({})).await;
    let shown = if base.is_empty() { "/" } else { base };
    let drover = Drover::with(&[("DROVER_REDIS_URL", &redis.url()), ("DROVER_BASE_PATH", shown)], "").await;
    crate::support::eventually("the queue", crate::support::SOON, || async {
        (client::get(drover.port, "/api/v1/queues/redis/bull:q").await.status == 200).then_some(())
    })
    .await;
    let pages = [
        "/".to_owned(),
        "/queues/redis/bull:q".to_owned(),
        "/queues/redis/bull:q?state=waiting&order=newest".to_owned(),
        format!("/queues/redis/bull:q/jobs/{id}"),
        "/no/such/page".to_owned(),
    ];
    for inner in pages {
        // As a proxy that keeps the prefix sends it, and as one that strips it does.
        for path in [format!("{base}{inner}"), inner.clone()] {
            let page = client::get(drover.port, &path).await;
            let wanted = if inner.contains("no/such") { 404 } else { 200 };
            assert_eq!(page.status, wanted, "{path}");
            let addresses = addresses(&page.body);
            assert!(addresses.len() > 3, "{path}: {addresses:?}");
            for address in addresses {
                assert!(
                    address == base
                        || address.starts_with(&format!("{base}/"))
                        || address.starts_with(&format!("{base}?")),
                    "{path}: {address} leaves {base:?}"
                );
                assert!(
                    base.is_empty() || !address.starts_with(&format!("{base}{base}")),
                    "{path}: {address} has the prefix twice"
                );
            }
        }
    }
    for path in [base.to_owned(), format!("{base}/")] {
        if !path.is_empty() {
            assert_eq!(
                client::get(drover.port, &path).await.status,
                200,
                "{path} is the overview, and no redirect"
            );
        }
    }
}

/// The proxy's secret.
const SECRET: &str = "a secret of the proxy";

#[tokio::test]
async fn every_address_is_below_the_default_base_path() {
    every_address_is_below("/admin/queues").await;
}

#[tokio::test]
async fn every_address_is_right_at_the_root() {
    every_address_is_below("").await;
}

#[tokio::test]
async fn a_prefix_in_a_header_is_never_believed() {
    let redis = Redis::start();
    let env = [
        ("DROVER_REDIS_URL", redis.url()),
        ("DROVER_AUTH_MODE", "proxy".into()),
        ("DROVER_PROXY_SECRET", SECRET.into()),
        ("DROVER_TRUSTED_PROXIES", "127.0.0.1".into()),
    ];
    let env: Vec<(&str, &str)> = env.iter().map(|(n, v)| (*n, v.as_str())).collect();
    let grant = "[[auth.grant]]\nusers = [\"*\"]\nrole = \"viewer\"\n";
    let drover = Drover::with(&env, grant).await;
    for prefix in ["//evil", "/\"><script>", "/..", "/x"] {
        let headers = [
            ("X-Forwarded-User", "ada"),
            ("X-Drover-Proxy-Secret", SECRET),
            ("X-Forwarded-Prefix", prefix),
            ("X-Forwarded-Host", "evil.example"),
        ];
        let page = client::request(drover.port, "GET", "/admin/queues", &headers, "").await;
        assert_eq!(page.status, 200);
        assert!(!page.body.contains("evil"), "{prefix}");
        for address in addresses(&page.body) {
            assert!(address.starts_with("/admin/queues"), "{prefix}: {address}");
        }
    }
}

#[tokio::test]
async fn choosing_a_theme_leads_back_below_the_base_path() {
    let redis = Redis::start();
    let drover = Drover::over(&redis.url()).await;
    for (referer, back) in [
        (
            "http://127.0.0.1/admin/queues/queues/redis/bull:q?state=failed",
            "/admin/queues/queues/redis/bull:q?state=failed",
        ),
        ("http://127.0.0.1/elsewhere", "/admin/queues/elsewhere"),
        ("nonsense", "/admin/queues"),
    ] {
        let headers = [
            ("Sec-Fetch-Site", "same-origin"),
            ("Referer", referer),
            ("Content-Type", "application/x-www-form-urlencoded"),
        ];
        let answer = client::request(drover.port, "POST", "/admin/queues/theme", &headers, "theme=dark").await;
        assert_eq!(
            (answer.status, answer.header("location")),
            (303, Some(back)),
            "{referer}"
        );
        let cookie = answer.header("set-cookie").unwrap();
        assert!(
            cookie.contains("drover_theme=dark") && cookie.contains("Path=/admin/queues;"),
            "{cookie}"
        );
    }
    let dark = client::request(
        drover.port,
        "GET",
        "/admin/queues",
        &[("Cookie", "a=b; drover_theme=dark")],
        "",
    )
    .await;
    assert!(dark.body.contains("data-theme=\"dark\""));
    let odd = client::request(
        drover.port,
        "GET",
        "/admin/queues",
        &[("Cookie", "drover_theme=\"><script>")],
        "",
    )
    .await;
    assert!(!odd.body.contains("\"><script>\""));
    assert!(!odd.body.contains("data-theme"));
}
