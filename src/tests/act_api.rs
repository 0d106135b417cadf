//! Actions through the API: what is refused and how, what the audit log records, and what is done.
//!
//! S-4, S-5, S-6 and R-19, R-22, R-23 of the reference; A-1 to A-8 for the API.

use crate::support::app::Drover;
use crate::support::client;
use crate::support::oracle::Oracle;
use crate::support::redis::Redis;
use crate::support::{LATER, eventually};
use drover::model::address::encode_segment;
use serde_json::{Value, json};

/// A board over one Redis with a queue of BullMQ 6 that holds a waiting job.
async fn board(env: &[(&str, &str)], file: &str) -> (Redis, Oracle, Drover, String) {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    let id = oracle.add("q", "n", json!({"a": 1}), json!({})).await;
    let url = redis.url();
    let env: Vec<(&str, &str)> = [("DROVER_REDIS_URL", url.as_str())]
        .iter()
        .chain(env)
        .copied()
        .collect();
    let drover = Drover::with(&env, file).await;
    drover.knows("bull:q").await;
    (redis, oracle, drover, id)
}

fn problem(answer: &client::Answer) -> (u16, String, String) {
    assert_eq!(
        answer.header("content-type"),
        Some("application/problem+json"),
        "{}",
        answer.body
    );
    let json = answer.json();
    let kind = json["type"].as_str().unwrap().replace("urn:drover:problem:", "");
    assert_eq!(json["status"], answer.status);
    (answer.status, kind, json["outcome"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn what_is_wrong_is_refused_with_what_would_be_right() {
    let (_redis, _oracle, drover, id) = board(&[], "").await;
    let none = "none".to_owned();
    for (path, body, status, kind, says) in [
        (
            format!("/queues/redis/bull:q/jobs/{id}/explode"),
            json!({}),
            400,
            "no-such-action",
            "put_back",
        ),
        (
            "/queues/redis/bull:q/explode".into(),
            json!({}),
            400,
            "no-such-action",
            "resume",
        ),
        (
            "/schedules/redis/bull:q/daily/explode".into(),
            json!({}),
            400,
            "no-such-action",
            "upsert",
        ),
        (
            format!("/queues/redis/bull:q/jobs/{id}/retry"),
            json!({"soon": 1}),
            400,
            "bad-action",
            "reset_attempts",
        ),
        (
            format!("/queues/redis/bull:q/jobs/{id}/retry"),
            json!([]),
            400,
            "bad-json",
            "object",
        ),
        (
            format!("/queues/redis/bull:q/jobs/{id}/retry"),
            json!({"seen": {"color": 1}}),
            400,
            "bad-action",
            "seen",
        ),
        (
            format!("/queues/redis/bull:q/jobs/{id}/retry"),
            json!({"reason": "x".repeat(501)}),
            400,
            "bad-action",
            "500",
        ),
        (
            format!("/queues/redis/bull:q/jobs/{id}/edit_data"),
            json!({"data": "{"}),
            400,
            "bad-action",
            "JSON",
        ),
        (
            "/queues/redis/bull:q/concurrency".into(),
            json!({}),
            400,
            "bad-action",
            "null removes",
        ),
        (
            "/queues/redis/bull:nope/pause".into(),
            json!({}),
            404,
            "no-such-queue",
            "nope",
        ),
        (
            "/queues/nowhere/bull:q/pause".into(),
            json!({}),
            404,
            "no-such-store",
            "nowhere",
        ),
        (
            "/queues/redis/bull:q/jobs".into(),
            json!({"name": "n"}),
            400,
            "bad-action",
            "data",
        ),
        (
            "/queues/redis/bull:q/pause".into(),
            json!({"reason": "x".repeat(70_000)}),
            413,
            "too-large",
            "65536",
        ),
        ("/nothing".into(), json!({}), 404, "no-such-route", "routes"),
        (
            format!("/queues/redis/bull:q/jobs/{id}"),
            json!({}),
            405,
            "no-such-method",
            "POST",
        ),
    ] {
        let answer = drover.post(&path, &body).await;
        assert_eq!(
            problem(&answer),
            (status, kind.to_owned(), none.clone()),
            "{path} {}",
            answer.body
        );
        assert!(answer.body.contains(says), "{path}: {}", answer.body);
    }
    let path = "/admin/queues/api/v1/queues/redis/bull:q/pause";
    let text = [("Sec-Fetch-Site", "same-origin"), ("Content-Type", "text/plain")];
    let answer = client::request(drover.port, "POST", path, &text, "{}").await;
    assert_eq!(problem(&answer), (415, "not-json".into(), none));
    assert!(drover.audit("").await.is_empty(), "nothing was tried");
}

#[tokio::test]
async fn a_caller_that_does_not_say_where_it_is_from_is_refused_and_told_what_to_say() {
    let (_redis, _oracle, drover, _) = board(&[], "").await;
    let path = "/admin/queues/api/v1/queues/redis/bull:q/pause";
    let json = ("Content-Type", "application/json");
    for (headers, status) in [
        (vec![json], 403),
        (vec![("X-Drover", "1")], 403),
        (vec![json, ("X-Drover", "1")], 200),
        (vec![json, ("X-Drover", "1"), ("Sec-Fetch-Site", "cross-site")], 403),
        (vec![json, ("X-Drover", "1"), ("Origin", "https://evil.example")], 403),
        (vec![json, ("Sec-Fetch-Site", "same-origin")], 200),
    ] {
        let answer = client::request(drover.port, "POST", path, &headers, r#"{"dry_run":true}"#).await;
        assert_eq!(answer.status, status, "{headers:?}: {}", answer.body);
        assert!(answer.header("access-control-allow-origin").is_none());
        if status == 403 {
            assert_eq!(problem(&answer).1, "cross-site");
        }
    }
    let asked = client::request(drover.port, "OPTIONS", path, &[("Origin", "https://evil.example")], "").await;
    assert!(
        asked.header("access-control-allow-origin").is_none(),
        "no preflight is ever granted"
    );
}

#[tokio::test]
async fn a_dry_run_says_what_would_be_done_and_does_nothing() {
    let store = "[server]\nenvironment = \"production\"\n";
    let (_redis, mut oracle, drover, id) = board(&[], store).await;
    let path = format!("/queues/redis/bull:q/jobs/{id}/remove");
    let answer = drover.post(&path, &json!({"dry_run": true})).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let told = answer.json();
    assert_eq!(
        told["sentence"],
        format!("Remove job {id} of queue q in redis (production) permanently.")
    );
    assert_eq!(told["dry_run"], true);
    let seen = json!({"dry_run": true, "seen": {"state": "failed"}});
    let told = drover.post(&path, &seen).await.json();
    assert_eq!(told["allowed"], false, "{told}");
    assert_eq!(
        drover
            .post("/queues/redis/bull:q/jobs/nope/remove", &json!({"dry_run": true}))
            .await
            .status,
        404
    );
    assert!(drover.audit("").await.is_empty());
    assert!(oracle.job("q", &id).await.is_object());
}

#[tokio::test]
async fn a_read_only_board_changes_nothing_and_says_so() {
    let (_redis, _oracle, drover, id) = board(&[("DROVER_READ_ONLY", "true")], "").await;
    for path in [
        format!("/queues/redis/bull:q/jobs/{id}/remove"),
        "/queues/redis/bull:q/pause".into(),
        "/schedules/redis/bull:q/daily/run".into(),
    ] {
        let answer = drover.post(&path, &json!({})).await;
        assert_eq!(problem(&answer), (403, "read-only".into(), "none".into()), "{path}");
        let told = drover.post(&path, &json!({"dry_run": true})).await;
        assert_eq!(
            (told.status, &told.json()["allowed"]),
            (200, &json!(false)),
            "{}",
            told.body
        );
    }
    assert!(drover.audit("").await.is_empty());
}

#[tokio::test]
async fn what_cannot_be_recorded_is_not_done() {
    let (_redis, mut oracle, drover, id) = board(&[("DROVER_AUDIT_FILE", "/proc/no/audit.ndjson")], "").await;
    let path = format!("/queues/redis/bull:q/jobs/{id}/remove");
    let answer = drover.post_with(&path, &[("Idempotency-Key", "k")], &json!({})).await;
    assert_eq!(problem(&answer), (503, "audit-unavailable".into(), "none".into()));
    assert!(answer.body.contains("/proc/no/audit.ndjson"), "{}", answer.body);
    assert!(oracle.job("q", &id).await.is_object());
    let again = drover.post_with(&path, &[("Idempotency-Key", "k")], &json!({})).await;
    assert_eq!(problem(&again).1, "audit-unavailable", "the key is not used up");
}

#[tokio::test]
async fn a_store_that_is_silent_for_half_a_minute_is_not_acted_on() {
    let redis = Redis::start();
    let url = redis.url();
    let drover = {
        let mut oracle = Oracle::start(&url, 6).await;
        oracle.add("q", "n", json!({}), json!({})).await;
        let drover = Drover::over(&url).await;
        drover.knows("bull:q").await;
        drover
    };
    redis.freeze();
    // The rule counts from the last answer; the store's own line shows when Drover refuses actions.
    eventually("actions are refused", LATER * 4, || async {
        (drover.store("redis").await["actions"]["allowed"] == false).then_some(())
    })
    .await;
    let answer = drover.post("/queues/redis/bull:q/pause", &json!({})).await;
    assert_eq!(problem(&answer), (503, "not-now".into(), "none".into()));
    assert!(answer.header("retry-after").is_some());
    assert!(answer.body.contains("too old to act on"), "{}", answer.body);
    redis.thaw();
}

#[tokio::test]
async fn real_answers_of_every_route_are_as_the_document_says() {
    let (_redis, mut oracle, drover, id) = board(&[], "").await;
    oracle.ask("startWorker", "work", json!({"workerId": "w"})).await;
    let failed = oracle
        .add("work", "n", json!({"fail": "no", "log": ["a line"]}), json!({}))
        .await;
    oracle.wait("work", "failed", 1).await;
    drover.knows("bull:work").await;
    drover.store_becomes("redis", "live").await;
    let document = drover.get("/api/v1/openapi.json").await.json();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["servers"][0]["url"], "/admin/queues/api/v1");
    let components = &document["components"];
    let check = |path: &str, method: &str, status: &str, kind: &str, answer: &Value| {
        let mut schema = document["paths"][path][method]["responses"][status]["content"][kind]["schema"].clone();
        assert!(schema.is_object(), "{method} {path} {status} has no schema");
        schema["components"] = components.clone();
        let validator = jsonschema::draft202012::new(&schema).unwrap();
        let errors: Vec<String> = validator
            .iter_errors(answer)
            .map(|e| format!("{}: {e}", e.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{method} {path}: {errors:?}\n{answer}");
    };
    let queue = "/queues/{store}/{queue}";
    let job = "/queues/{store}/{queue}/jobs/{job}";
    for (path, real) in [
        ("/stores", "/stores".to_owned()),
        ("/stores/{store}", "/stores/redis".into()),
        ("/stores/{store}/memory", "/stores/redis/memory".into()),
        ("/queues", "/queues".into()),
        (queue, "/queues/redis/bull:work".into()),
        (
            "/queues/{store}/{queue}/jobs",
            "/queues/redis/bull:work/jobs?state=failed".into(),
        ),
        (job, format!("/queues/redis/bull:work/jobs/{failed}")),
        (
            "/queues/{store}/{queue}/jobs/{job}/logs",
            format!("/queues/redis/bull:work/jobs/{failed}/logs"),
        ),
        (
            "/queues/{store}/{queue}/jobs/{job}/flow",
            format!("/queues/redis/bull:work/jobs/{failed}/flow"),
        ),
        ("/workers", "/workers".into()),
        ("/schedules", "/schedules".into()),
        ("/audit", "/audit".into()),
        ("/openapi.json", "/openapi.json".into()),
    ] {
        let answer = drover.get(&format!("/api/v1{real}")).await;
        assert_eq!(answer.status, 200, "{real}: {}", answer.body);
        check(path, "get", "200", "application/json", &answer.json());
    }
    for (path, real) in [
        (format!("{job}/retry"), format!("/queues/redis/bull:q/jobs/{id}/retry")),
        (format!("{queue}/pause"), "/queues/redis/bull:q/pause".into()),
        (
            "/schedules/{store}/{queue}/{key}/run".into(),
            "/schedules/redis/bull:q/daily/run".into(),
        ),
    ] {
        let answer = drover.post(&real, &json!({"dry_run": true})).await;
        check(&path, "post", "200", "application/json", &answer.json());
        let refused = drover.post(&real, &json!({"x": 1})).await;
        check(&path, "post", "default", "application/problem+json", &refused.json());
    }
}

#[tokio::test]
async fn the_record_tells_its_own_mistakes() {
    let (_redis, _oracle, drover, _) = board(&[], "").await;
    for (query, says) in [
        ("queue=nothing", "redis/bull:emails"),
        ("job=1", "queue="),
        ("cursor=x", "cursor"),
    ] {
        let answer = drover.get(&format!("/api/v1/audit?{query}")).await;
        assert_eq!(problem(&answer).0, 400, "{query}");
        assert!(answer.body.contains(says), "{query}: {}", answer.body);
    }
    let of_queue = format!("queue={}", encode_segment("redis/bull:q"));
    assert!(drover.audit(&of_queue).await.is_empty());
}
