//! Behind typical proxies: with a base path that is also the beginning of an address, and with one that decodes what it
//! forwards.

use crate::support::app::Drover;
use crate::support::client::{self, Answer};
use crate::support::nginx::Nginx;
use crate::support::oracle::Oracle;
use crate::support::redis::Redis;
use crate::support::{SOON, eventually, free_port};
use drover::model::address::encode_segment;
use serde_json::json;

/// Ids that do not survive in a path of every proxy, and one that does.
pub(crate) const ODD_IDS: [&str; 26] = [
    "plain-7",
    "x/../plain-7",
    "with space",
    "50% off",
    "what?state=failed",
    "a#b",
    "a+b",
    "a/b",
    "/a",
    "a/",
    "a//b",
    "%2F",
    "%2e%2e",
    "ä–日本",
    "a\\b",
    "..",
    ".",
    "...",
    "../plain-7",
    "./plain-7",
    ".hidden",
    "a;b,c",
    "a&b=c",
    "\"quoted\"",
    "a%00b",
    "plain-7/logs",
];

/// The proxy's secret.
const SECRET: &str = "a secret of the proxy";

/// Two servers: one that strips the prefix as most do, which decodes the rest, and one that keeps it.
async fn nginx(base: &str, drover: u16) -> (Nginx, u16, u16) {
    let (strips, keeps) = (free_port(), free_port());
    let who = format!("proxy_set_header X-Forwarded-User ada; proxy_set_header X-Drover-Proxy-Secret \"{SECRET}\";");
    let server = |port: u16, from: &str, to: &str| {
        format!(
            "server {{ listen 127.0.0.1:{port}; location {from} {{ {who} proxy_pass http://127.0.0.1:{drover}{to}; }} }}\n"
        )
    };
    let servers = server(strips, &format!("{base}/"), "/") + &server(keeps, base, "");
    let nginx = Nginx::start(&servers, strips).await;
    (nginx, strips, keeps)
}

/// A board below `base` with the odd jobs, for users of the proxy.
async fn board(base: &str) -> (Redis, Oracle, Drover) {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    for id in ODD_IDS {
        oracle.add("odd", "n", json!({}), json!({"jobId": id})).await;
    }
    let env = [
        ("DROVER_REDIS_URL", redis.url()),
        ("DROVER_AUTH_MODE", "proxy".into()),
        ("DROVER_PROXY_SECRET", SECRET.into()),
        ("DROVER_TRUSTED_PROXIES", "127.0.0.1".into()),
        ("DROVER_BASE_PATH", base.into()),
    ];
    let env: Vec<(&str, &str)> = env.iter().map(|(n, v)| (*n, v.as_str())).collect();
    let drover = Drover::with(&env, "[[auth.grant]]\nusers = [\"*\"]\nrole = \"admin\"\n").await;
    (redis, oracle, drover)
}

async fn get(port: u16, path: &str) -> Answer {
    client::request(port, "GET", path, &[], "").await
}

async fn remove(port: u16, path: &str) -> Answer {
    let program = [("X-Drover", "1"), ("Content-Type", "application/json")];
    client::request(port, "POST", path, &program, "{}").await
}

#[tokio::test]
async fn a_base_path_that_begins_like_a_page_works_kept_and_stripped() {
    let (_redis, _oracle, drover) = board("/queues").await;
    let (_nginx, strips, keeps) = nginx("/queues", drover.port).await;
    for port in [strips, keeps] {
        eventually("the queue", SOON, || async {
            let queue = get(port, "/queues/api/v1/queues/redis/bull:odd").await;
            (queue.status == 200).then_some(())
        })
        .await;
        for path in [
            "/queues/",
            "/queues/workers",
            "/queues/stores/redis",
            "/queues/queues/redis/bull:odd",
            "/queues/queues/redis/bull:odd?state=waiting&order=newest",
            "/queues/queues/redis/bull:odd/jobs/plain-7",
            "/queues/queues/redis/bull:odd/jobs/plain-7/act?action=remove",
            "/queues/favicon.svg",
            "/queues/api/v1/queues",
            "/queues/api/v1/queues/redis/bull:odd/jobs/plain-7",
            "/queues/at?to=%2Fqueues%2Fredis%2Fbull:odd%2Fjobs%2Fa%252Fb",
            "/queues/readyz",
        ] {
            let answer = get(port, path).await;
            // Only a release build has the icon.
            let fine = answer.status == 200 || (path.ends_with(".svg") && answer.body == "no such file\n");
            assert!(fine, "{path} at {port}: {} {}", answer.status, answer.body);
        }
        let page = get(port, "/queues/queues/redis/bull:odd").await.body;
        assert!(
            page.contains("href=\"/queues/queues/redis/bull:odd/jobs/plain-7\""),
            "{page}"
        );
    }
}

#[tokio::test]
async fn an_id_that_a_proxy_takes_apart_travels_as_a_parameter_or_the_answer_names_the_proxy() {
    let (_redis, mut oracle, drover) = board("/admin/queues").await;
    let (_nginx, strips, keeps) = nginx("/admin/queues", drover.port).await;
    eventually("the queue", SOON, || async {
        let queue = get(keeps, "/admin/queues/api/v1/queues/redis/bull:odd").await;
        (queue.status == 200 && queue.json()["counts"]["waiting"] == ODD_IDS.len()).then_some(())
    })
    .await;
    let api = "/admin/queues/api/v1";
    let mut hints = 0;
    for id in ODD_IDS {
        let path = format!("/queues/redis/bull:odd/jobs/{}", encode_segment(id));
        let at = format!("{api}/at?to={}", encode_segment(&path));
        // As a parameter it arrives, whatever is in between; as a path where no proxy decodes it.
        for (port, address) in [(strips, &at), (keeps, &at), (keeps, &format!("{api}{path}"))] {
            let job = get(port, address).await;
            assert_eq!(job.status, 200, "{id:?} at {address}: {}", job.body);
            assert_eq!(job.json()["row"]["id"], id, "{address}");
        }
        let logs = format!("{api}/at?to={}&limit=3", encode_segment(&format!("{path}/logs")));
        assert_eq!(get(strips, &logs).await.status, 200, "{logs}");
        // A path that the proxy turned into no job's path gets the hint. One that it turned into another job's path
        // arrives as a request for that job, which is why the parameter exists.
        let decoded = get(strips, &format!("{api}{path}")).await;
        if decoded.status != 200 {
            assert!(
                decoded.body.contains("a proxy on the way may have decoded it"),
                "{id:?}: {}",
                decoded.body
            );
            assert!(decoded.body.contains("/api/v1/at?to="), "{id:?}: {}", decoded.body);
            hints += 1;
        }
    }
    assert!(hints > 3, "this proxy decodes nothing: {hints}");
    // An action also finds its job, and no other.
    for id in ["x/../plain-7", "../plain-7", "plain-7/logs"] {
        let path = format!("/queues/redis/bull:odd/jobs/{}/remove", encode_segment(id));
        let removed = remove(strips, &format!("{api}/at?to={}", encode_segment(&path))).await;
        assert_eq!(removed.status, 200, "{id:?}: {}", removed.body);
    }
    let left = oracle.ids("odd", "waiting", true).await;
    assert_eq!(left.len(), ODD_IDS.len() - 3);
    assert!(left.contains(&"plain-7".to_owned()));
    for (at, status) in [
        ("/at", 400),
        ("/at?to=", 400),
        ("/at?to=nowhere", 400),
        ("/at?to=%2Fnowhere", 404),
    ] {
        let answer = get(strips, &format!("{api}{at}")).await;
        assert_eq!(answer.status, status, "{at}: {}", answer.body);
    }
}
