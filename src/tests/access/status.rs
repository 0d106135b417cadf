//! Who sees the status page of a board with sign-in.

use super::*;
use crate::support::redis::Redis;

const PAGE: &str = r#"
[status_page]
visibility = "VISIBILITY"
[[status_page.component]]
id = "mail"
name = "Outgoing email"
queues = "redis/bull:mail*"
promise = "1m"
"#;

#[tokio::test]
async fn a_public_page_is_for_anybody_and_any_other_for_those_who_may_see_it() {
    let redis = Redis::start();
    let grants = grant("ada", "status", &["*"]);
    let public = behind_proxy(&redis.url(), &(PAGE.replace("VISIBILITY", "public") + &grants)).await;
    let signed_in = behind_proxy(&redis.url(), &(PAGE.replace("VISIBILITY", "signed_in") + &grants)).await;
    for path in [
        "/status",
        "/status.json",
        "/status/api/v2/summary.json",
        "/status/badge/mail.svg",
    ] {
        let (anybody, nobody) = (public.get(path).await, signed_in.get(path).await);
        assert_eq!(anybody.status, 200, "{path}: {}", anybody.body);
        assert!(
            matches!(nobody.status, 302 | 303 | 401 | 403),
            "{path}: {}",
            nobody.status
        );
        assert!(!nobody.body.contains("Outgoing"), "{path}: {}", nobody.body);
        let hers = get_as(&signed_in, "ada", path).await;
        assert_eq!(hers.status, 200, "{path}: {}", hers.body);
        assert!(hers.header("cache-control").unwrap().starts_with("private, "), "{path}");
        assert!(
            anybody.header("cache-control").unwrap().starts_with("public, "),
            "{path}"
        );
    }
    assert!(
        !matches!(get_as(&signed_in, "ada", "/api/v1/queues").await.status, 200),
        "the page is all she sees"
    );
}
