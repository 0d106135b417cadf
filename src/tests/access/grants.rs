//! What a user may see and do: by role, and by queue.

use super::*;
use crate::support::client::Stream;
use crate::support::oracle::Oracle;
use crate::support::postgres::Postgres;
use crate::support::redis::Redis;
use crate::support::{LATER, SOON, eventually};
use serde_json::json;

/// A text that only a payload contains.
pub(super) const MARK: &str = "payload-mark-7313";

/// A shop with two queues, `billing` and `mail`, each with a failed job, a worker and a schedule; and their ids.
pub(super) async fn shop() -> (Redis, Oracle, [String; 2]) {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    let mut ids = vec![];
    for queue in ["billing", "mail"] {
        let worker = json!({"workerId": queue, "name": format!("{queue}-worker")});
        oracle.ask("startWorker", queue, worker).await;
        let data = json!({"fail": format!("{queue} is down"), "mark": MARK, "apiKey": "k9x2w8q4"});
        let options = json!({"attempts": 1, "backoff": {"type": "fixed", "delay": 5_000}, "customer": {"mark": MARK}});
        ids.push(oracle.add(queue, "n", data, options).await);
        oracle.wait(queue, "failed", 1).await;
        let plan = json!({"schedulerId": format!("{queue}-plan"), "repeat": {"every": 3_600_000}, "template": {"data": {"mark": MARK}}});
        oracle.ask("upsertScheduler", queue, plan).await;
        oracle
            .ask("log", queue, json!({"jobId": ids.last(), "line": MARK}))
            .await;
    }
    (redis, oracle, ids.try_into().unwrap())
}

pub(super) async fn knows(drover: &Drover, user: &str, queue: &str) {
    eventually(queue, SOON, || async {
        let answer = get_as(drover, user, &format!("/api/v1/queues/redis/bull:{queue}")).await;
        (answer.status == 200 && answer.json()["counts"]["failed"] == 1).then_some(())
    })
    .await;
}

// S-5
#[tokio::test]
async fn whoever_is_for_one_queue_sees_and_touches_no_other() {
    let (redis, mut oracle, [billing, mail]) = shop().await;
    let grants = grant("ada", "operator", &["redis/bull:billing*"]) + &grant("root", "admin", &["*"]);
    let drover = behind_proxy(&redis.url(), &grants).await;
    for queue in ["billing", "mail"] {
        knows(&drover, "root", queue).await;
    }
    // Every list contains one queue only.
    for path in [
        "",
        "/?q=a",
        "/workers",
        "/schedules",
        "/audit",
        "/operations",
        "/api/v1/queues",
        "/api/v1/workers",
        "/api/v1/schedules",
        "/api/v1/audit",
        "/queues/redis/bull:billing",
    ] {
        let (hers, all) = (get_as(&drover, "ada", path).await, get_as(&drover, "root", path).await);
        assert_eq!((hers.status, all.status), (200, 200), "{path}");
        assert!(!hers.body.contains("mail"), "{path} tells of mail: {}", hers.body);
        if !["/audit", "/operations", "/api/v1/audit"].contains(&path) {
            assert!(hers.body.contains("billing"), "{path}");
        }
        if !path.contains("audit") && !path.contains("operations") && !path.contains("billing") && path != "/?q=a" {
            assert!(all.body.contains("mail"), "{path} tells root of mail");
        }
    }
    // Everything about the other queue, by whatever address, is refused like something that does not exist.
    for path in [
        "/queues/redis/bull:mail".to_owned(),
        format!("/queues/redis/bull:mail/jobs/{mail}"),
        format!("/queues/redis/bull:mail/jobs/{mail}/act?action=retry"),
        "/queues/redis/bull:mail/chart.svg".into(),
        "/queues/redis/bull:mail/aside".into(),
        "/api/v1/queues/redis/bull:mail".into(),
        "/api/v1/queues/redis/bull:mail/jobs?state=failed".into(),
        format!("/api/v1/queues/redis/bull:mail/jobs/{mail}/logs"),
        format!("/api/v1/queues/redis/bull:mail/jobs/{mail}/flow"),
        format!("/api/v1/queues/redis/bull:mail/jobs/{mail}/fields/data"),
        "/api/v1/schedules?queue=redis%2Fbull:mail".into(),
        "/audit?queue=redis%2Fbull:mail".into(),
        "/stores/redis".into(),
        "/stores/redis/charts/memory.svg".into(),
        "/api/v1/stores/redis".into(),
        "/api/v1/stores/redis/memory".into(),
        "/metrics".into(),
    ] {
        let answer = get_as(&drover, "ada", &path).await;
        let unheard_of = get_as(&drover, "ada", &path.replace("mail", "none")).await;
        if path.starts_with("/audit") {
            assert!(!answer.body.contains("retry"), "{path}");
            continue;
        }
        assert_eq!(
            (answer.status, unheard_of.status),
            (403, 403),
            "{path}: {}",
            answer.body
        );
    }
    // Actions, one by one and many at once: Drover checks every queue.
    let one = format!("/queues/redis/bull:mail/jobs/{mail}/retry");
    assert_eq!(post_as(&drover, "ada", &one, "{}").await.status, 403);
    for action in ["pause", "resume", "obliterate"] {
        let path = format!("/queues/redis/bull:mail/{action}");
        assert_eq!(post_as(&drover, "ada", &path, "{}").await.status, 403, "{action}");
    }
    let both = json!({"action": "retry", "jobs": [
        {"queue": "redis/bull:billing", "id": billing},
        {"queue": "redis/bull:mail", "id": mail},
    ]});
    let answer = post_as(&drover, "ada", "/operations", &both.to_string()).await;
    assert_eq!(answer.status, 403, "{}", answer.body);
    for queue in ["billing", "mail"] {
        assert_eq!(oracle.counts(queue).await["failed"], 1, "nothing was done in {queue}");
    }
    // A filter finds her jobs; it reveals nothing about others.
    let all = json!({"action": "retry", "filter": "state:failed", "dry_run": true});
    let seen = post_as(&drover, "ada", "/operations", &all.to_string()).await;
    assert_eq!(seen.json()["selected"], 1, "{}", seen.body);
    assert!(!seen.body.contains("mail"), "{}", seen.body);
    let all = post_as(&drover, "root", "/operations", &all.to_string()).await;
    assert_eq!(all.json()["selected"], 2, "{}", all.body);
    // An operation on both queues is visible to root alone.
    let started = post_as(
        &drover,
        "root",
        "/operations",
        &json!({"token": all.json()["token"]}).to_string(),
    )
    .await;
    assert_eq!(started.status, 202, "{}", started.body);
    let id = started.json()["id"].as_str().unwrap().to_owned();
    for path in [
        format!("/operations/{id}"),
        format!("/api/v1/operations/{id}"),
        format!("/api/v1/operations/{id}/results"),
        format!("/api/v1/operations/{id}/results.ndjson"),
    ] {
        assert_eq!(get_as(&drover, "ada", &path).await.status, 404, "{path}");
        assert_eq!(get_as(&drover, "root", &path).await.status, 200, "{path}");
    }
    for word in ["pause", "cancel", "again"] {
        let told = post_as(&drover, "ada", &format!("/operations/{id}/{word}"), "{}").await;
        assert!(
            told.status == 404 && !told.body.contains("mail"),
            "{word}: {}",
            told.body
        );
    }
}

// S-5: streams are built once for all readers, and cut for those who do not see everything.
#[tokio::test]
async fn a_stream_tells_nothing_of_queues_that_are_not_shown() {
    let (redis, mut oracle, _) = shop().await;
    let grants = grant("ada", "viewer", &["redis/bull:billing*"]) + &grant("root", "admin", &["*"]);
    let drover = behind_proxy(&redis.url(), &grants).await;
    for queue in ["billing", "mail"] {
        knows(&drover, "root", queue).await;
    }
    let open = |path: &'static str| {
        let headers = proxied("ada");
        async move { Stream::open(drover.port, path, &headers).await }
    };
    for topic in ["queue:redis/bull:mail", "job:redis/bull:mail/1"] {
        let path = format!("/admin/queues/events?topics={topic}");
        let headers = proxied("ada");
        let refused = client::request(drover.port, "GET", &path, &headers, "").await;
        assert_eq!(refused.status, 403, "{topic}: {}", refused.body);
    }
    let mut stream = open("/admin/queues/events?topics=overview").await;
    let (mut heard, mut told) = (String::new(), 0);
    for queue in ["mail", "billing", "mail", "billing"] {
        oracle.add(queue, "n", json!({"fail": "again"}), json!({})).await;
    }
    stream
        .until("changes of her own queue", |event| {
            heard += &event.data.to_string();
            told += usize::from(event.name == "delta");
            let patches = event.data["patches"].as_array().into_iter().flatten();
            let failed = patches
                .filter(|patch| patch["id"] == "bull:billing")
                .any(|patch| patch["counts"]["failed"] == 3);
            failed.then_some(())
        })
        .await;
    assert!(
        !heard.contains("mail") && heard.contains("billing") && told > 0,
        "{heard}"
    );
}

// S-5: seeing that a job failed is one permission, seeing its payload another.
#[tokio::test]
async fn a_viewer_sees_that_and_not_what() {
    let (redis, mut oracle, [billing, _]) = shop().await;
    oracle
        .ask(
            "setProgress",
            "billing",
            json!({"jobId": billing, "progress": {"mark": MARK}}),
        )
        .await;
    let grants = grant("eve", "viewer", &["*"]) + &grant("ada", "operator", &["*"]) + &grant("root", "admin", &["*"]);
    let drover = behind_proxy(&redis.url(), &grants).await;
    knows(&drover, "eve", "billing").await;
    let job = format!("/queues/redis/bull:billing/jobs/{billing}");
    for path in [
        job.clone(),
        format!("/api/v1{job}"),
        format!("/api/v1{job}/flow"),
        "/queues/redis/bull:billing?state=failed".into(),
        "/api/v1/queues/redis/bull:billing/jobs?state=failed".into(),
        "/schedules".into(),
        "/api/v1/schedules".into(),
    ] {
        let answer = get_as(&drover, "eve", &path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        assert!(!answer.body.contains(MARK), "{path} shows the payload: {}", answer.body);
    }
    for path in [
        format!("/api/v1{job}"),
        job.clone(),
        "/api/v1/queues/redis/bull:billing/jobs?state=failed".into(),
        "/api/v1/schedules".into(),
    ] {
        assert!(
            get_as(&drover, "ada", &path).await.body.contains(MARK),
            "{path} shows it to an operator"
        );
    }
    // Settings are visible: how often and when it is tried again. Options of the application are not.
    let options = |body: &serde_json::Value, name: &str| {
        let list = body["effective"].as_array().unwrap().clone();
        let found = list.into_iter().find(|option| option["name"] == name);
        found.map(|option| option["value"].as_str().unwrap().to_owned())
    };
    let seen = get_as(&drover, "eve", &format!("/api/v1{job}")).await.json();
    assert_eq!(options(&seen, "attempts").as_deref(), Some("1"));
    assert_eq!(options(&seen, "backoff").as_deref(), Some("fixed, 5.0 s"));
    assert_eq!(options(&seen, "customer").as_deref(), Some("not shown"));
    let seen = get_as(&drover, "ada", &format!("/api/v1{job}")).await.json();
    assert_eq!(options(&seen, "customer").unwrap(), json!({"mark": MARK}).to_string());
    // The rule that hides a value is visible only to users who may see the value.
    assert!(seen["hidden_by"].is_null() && seen["data"]["text"].as_str().unwrap().contains("[redacted]"));
    let seen = get_as(&drover, "root", &format!("/api/v1{job}")).await.json();
    let rule = "Hidden by its name, \"apikey\" (built-in list)";
    assert_eq!(seen["hidden_by"], json!({"data": [rule]}));
    let (hers, his) = (
        get_as(&drover, "ada", &job).await.body,
        get_as(&drover, "root", &job).await.body,
    );
    assert!(
        !hers.contains("class=\"redacted\"") && his.contains("class=\"redacted\""),
        "{:?}",
        his.match_indices("redacted")
            .map(|(at, _)| &his[at.saturating_sub(60)..at + 20])
            .collect::<Vec<_>>()
    );
    let page = get_as(&drover, "eve", &job).await;
    assert!(
        page.body.contains("billing is down"),
        "the error is what the page is for: {}",
        page.body
    );
    assert!(
        page.body.contains("view_payload"),
        "and it says why the rest is not shown"
    );
    assert!(page.body.contains("eve may not run jobs again"), "{}", page.body);
    for path in [
        format!("/api/v1{job}/logs"),
        format!("/api/v1{job}/fields/data"),
        format!("{job}?find=mark"),
        "/queues/redis/bull:billing?state=failed&q=data:mark".into(),
        "/api/v1/queues/redis/bull:billing/jobs?state=failed&q=data:mark".into(),
    ] {
        assert_eq!(get_as(&drover, "eve", &path).await.status, 403, "{path}");
    }
    // Every action is refused, in every way.
    for (path, body) in [
        (format!("{job}/retry"), "{}"),
        (format!("{job}/remove"), "{}"),
        ("/queues/redis/bull:billing/pause".into(), "{}"),
        (
            "/queues/redis/bull:billing/jobs".into(),
            "{\"name\":\"n\",\"data\":\"{}\"}",
        ),
        (
            "/operations".into(),
            "{\"action\":\"retry\",\"filter\":\"state:failed\"}",
        ),
    ] {
        let answer = post_as(&drover, "eve", &path, body).await;
        assert_eq!(answer.status, 403, "{path}: {}", answer.body);
    }
    for path in ["/audit", "/api/v1/audit"] {
        assert_eq!(get_as(&drover, "eve", path).await.status, 403, "{path}");
    }
    assert_eq!(oracle.counts("billing").await["failed"], 1);
}

#[tokio::test]
async fn an_operator_does_everything_but_destroy_a_queue() {
    let (redis, mut oracle, [billing, _]) = shop().await;
    let grants = grant("ada", "operator", &["*"]) + &grant("root", "admin", &["*"]);
    let drover = behind_proxy(&redis.url(), &grants).await;
    knows(&drover, "ada", "billing").await;
    let name = json!({"name": "billing", "force": false}).to_string();
    let answer = post_as(&drover, "ada", "/queues/redis/bull:billing/obliterate", &name).await;
    assert_eq!(answer.status, 403, "{}", answer.body);
    let page = get_as(&drover, "ada", "/queues/redis/bull:billing/aside").await;
    assert!(page.body.contains("ada may not remove a whole queue"), "{}", page.body);
    let removed = post_as(
        &drover,
        "ada",
        &format!("/queues/redis/bull:billing/jobs/{billing}/remove"),
        "{}",
    )
    .await;
    assert_eq!(removed.status, 200, "{}", removed.body);
    assert_eq!(oracle.counts("billing").await["failed"], 0, "the library says so too");
    let who = get_as(&drover, "ada", "/api/v1/audit").await.json();
    assert_eq!(who["items"][0]["who"], "ada", "{who}");
}

// S-5, for jobs that have left the queues.
#[tokio::test]
async fn the_archive_shows_the_jobs_of_queues_that_are_shown() {
    let (redis, mut oracle, _) = shop().await;
    let postgres = Postgres::start_with(&[]).await;
    let (redis_url, postgres_url) = (redis.url(), postgres.url());
    let env = [
        ("DROVER_REDIS_URL", redis_url.as_str()),
        ("DROVER_POSTGRES_URL", postgres_url.as_str()),
        ("DROVER_AUTH_MODE", "proxy"),
        ("DROVER_PROXY_SECRET", SECRET),
        ("DROVER_TRUSTED_PROXIES", "127.0.0.1"),
    ];
    let grants = [
        grant("ada", "operator", &["redis/bull:billing*"]),
        grant("eve", "viewer", &["*"]),
        grant("root", "admin", &["*"]),
    ];
    let drover = Drover::with(&env, &grants.concat()).await;
    for queue in ["billing", "mail"] {
        knows(&drover, "root", queue).await;
    }
    let order = json!({"action": "archive", "filter": "state:failed"}).to_string();
    eventually("the archive to take both", LATER, || async {
        (post_as(&drover, "root", "/operations", &order).await.status == 202).then_some(())
    })
    .await;
    let all = eventually("both in the archive", LATER, || async {
        let page = get_as(&drover, "root", "/api/v1/archive/jobs").await.json();
        let items = page["items"].as_array()?.clone();
        (items.len() == 2).then_some(items)
    })
    .await;
    let id_of = |queue: &str| {
        let row = all
            .iter()
            .find(|row| row["queue"]["queue"] == format!("bull:{queue}"))
            .unwrap();
        row["id"].as_str().unwrap().to_owned()
    };
    let (billing, mail) = (id_of("billing"), id_of("mail"));
    for path in [
        "/archive",
        "/api/v1/archive/jobs",
        "/api/v1/archive/jobs.ndjson",
        "/api/v1/archive/jobs.csv",
    ] {
        let hers = get_as(&drover, "ada", path).await;
        assert!(
            hers.status == 200 && hers.body.contains("billing") && !hers.body.contains("mail is down"),
            "{path}: {}",
            hers.body
        );
    }
    for path in ["/archive/jobs/", "/api/v1/archive/jobs/"] {
        assert_eq!(
            get_as(&drover, "ada", &format!("{path}{mail}")).await.status,
            404,
            "{path}"
        );
        let found = get_as(&drover, "ada", &format!("{path}{billing}")).await;
        assert!(found.status == 200 && found.body.contains(MARK), "{path}");
        let eyes = get_as(&drover, "eve", &format!("{path}{billing}")).await;
        assert!(
            eyes.status == 200 && !eyes.body.contains(MARK),
            "{path}: a viewer sees that, not what"
        );
    }
    for (user, path, status) in [
        ("ada", format!("/api/v1/archive/jobs/{mail}/fields/data"), 404),
        ("eve", format!("/api/v1/archive/jobs/{mail}/fields/data"), 403),
        ("eve", "/api/v1/archive/jobs?text=mark".into(), 403),
        ("ada", "/api/v1/archive/policies".into(), 403),
    ] {
        assert_eq!(get_as(&drover, user, &path).await.status, status, "{user} {path}");
    }
    let rows = get_as(&drover, "eve", "/api/v1/archive/jobs.ndjson").await;
    assert_eq!(rows.status, 403, "a viewer takes nothing away: {}", rows.body);
    let put_back = post_as(&drover, "ada", &format!("/archive/jobs/{mail}/restore"), "{}").await;
    assert_eq!(put_back.status, 404, "{}", put_back.body);
    assert_eq!(oracle.counts("mail").await["waiting"], 0);
}
