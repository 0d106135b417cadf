//! Finding, showing, downloading and restoring archived jobs: through the API and on pages.

use super::{archive_all, board};
use crate::operations::{failed, write_failed};
use crate::support::app::Drover;
use crate::support::{LATER, eventually};
use crate::support::{client, form};
use serde_json::{Value, json};
use std::collections::HashSet;

pub(super) async fn found(drover: &Drover, query: &str) -> Value {
    let answer = drover.get(&format!("/api/v1/archive/jobs?{query}")).await;
    assert_eq!(answer.status, 200, "{query}: {}", answer.body);
    answer.json()
}

async fn how_many(drover: &Drover, query: &str) -> usize {
    found(drover, query).await["items"].as_array().unwrap().len()
}

/// Sends a form of a page of ours.
pub(super) async fn send(drover: &Drover, path: &str, body: &str) -> client::Answer {
    let headers = [
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("Sec-Fetch-Site", "same-origin"),
    ];
    client::request(drover.port, "POST", &format!("/admin/queues{path}"), &headers, body).await
}

#[tokio::test]
async fn archived_jobs_are_found_page_by_page_and_by_what_they_say() {
    let (redis, _postgres, mut oracle, drover) = board().await;
    write_failed(&redis, "mail", 230);
    let evil = "<img src=x onerror=alert(1)> 100%_";
    failed(&mut oracle, "other", "charge.card", 2, evil).await;
    failed(&mut oracle, "other", "=cmd|' /C calc'!A0", 1, "-2+3").await;
    for queue in ["bull:mail", "bull:other"] {
        drover.knows(queue).await;
    }
    drover.counts_become("bull:other", &oracle.counts("other").await).await;
    drover.counts_become("bull:mail", &oracle.counts("mail").await).await;
    let done = archive_all(&drover, "state:failed").await;
    assert_eq!(done["totals"]["done"], 233, "{done}");
    // Every job once, over all pages, the last finished first.
    let (mut ids, mut last, mut cursor) = (HashSet::new(), i64::MAX, String::new());
    loop {
        let page = found(&drover, &format!("limit=50&cursor={cursor}")).await;
        for row in page["items"].as_array().unwrap() {
            assert!(ids.insert(row["id"].as_str().unwrap().to_owned()), "twice: {row}");
            let at = row["finished"].as_i64().unwrap();
            assert!(at <= last);
            last = at;
        }
        match page["next"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(ids.len(), 233);
    for (query, count) in [
        ("queue=redis%2Fbull%3Aother", 3),
        ("queue=other", 3),
        ("queue=redis%2Fbull%3Ao*r", 3),
        ("queue=redis%2Fbull%3Anone", 0),
        ("name=charge.*", 2),
        ("name=CHARGE.card", 2),
        ("name=charge", 0),
        ("id=17", 1),
        ("error=ONERROR", 2),
        ("error=100%25_", 2),
        ("error=100%25x", 0),
        ("text=onerror", 2),
        ("state=completed", 0),
        ("state=failed&queue=other", 3),
        ("to=2001-01-01", 0),
        ("from=2001-01-01&queue=other", 3),
    ] {
        assert_eq!(how_many(&drover, query).await, count, "{query}");
    }
    for bad in ["state=waiting", "from=yesterday", "cursor=xx"] {
        let answer = drover.get(&format!("/api/v1/archive/jobs?{bad}")).await;
        assert_eq!(answer.status, 400, "{bad}: {}", answer.body);
    }
    // As files.
    let lines = drover.get("/api/v1/archive/jobs.ndjson").await;
    assert_eq!(lines.body.lines().filter(|line| line.starts_with('{')).count(), 233);
    let table = drover.get("/api/v1/archive/jobs.csv?queue=other").await;
    assert!(table.body.contains(",'=cmd|' /C calc'!A0,"), "{}", table.body);
    assert!(table.body.contains(",'-2+3"), "{}", table.body);
    // The page shows the same, and everything in it is text.
    let page = drover.get("/archive?queue=other").await;
    assert_eq!(page.status, 200);
    assert!(page.body.contains("&lt;img src=x onerror=alert(1)&gt;"), "escaped");
    assert!(!page.body.contains("<img src=x"));
    assert!(page.body.contains(">Archive</a>"), "it is among the pages");
    assert!(page.body.contains("data-row"));
    let none = drover.get("/archive?name=nobody").await;
    assert!(none.body.contains("No archived job matches"), "{}", none.body);
    let bad = drover.get("/archive?from=soon").await;
    assert!(bad.status == 400 && bad.body.contains("value=\"soon\""));
}

#[tokio::test]
async fn one_is_shown_as_it_was_and_put_back_once() {
    let (redis, postgres, mut oracle, drover) = board().await;
    let data = json!({"fail": "out of paper", "log": ["first line", "second line"], "n": 7});
    oracle
        .add(
            "mail",
            "print",
            data,
            json!({"attempts": 2, "priority": 3, "backoff": {"type": "fixed", "delay": 1}}),
        )
        .await;
    let worker = json!({"workerId": "w", "opts": {"concurrency": 1}});
    oracle.ask("startWorker", "mail", worker.clone()).await;
    oracle.wait("mail", "failed", 1).await;
    oracle.ask("stopWorker", "mail", json!({"workerId": "w"})).await;
    drover.knows("bull:mail").await;
    drover.counts_become("bull:mail", &oracle.counts("mail").await).await;
    let job = oracle.ids("mail", "failed", true).await.remove(0);
    let live = drover
        .get(&format!("/api/v1/queues/redis/bull%3Amail/jobs/{job}"))
        .await
        .json();
    // By its page, as a user without JavaScript does.
    let page = drover.get(&format!("/queues/redis/bull%3Amail/jobs/{job}")).await;
    assert!(page.body.contains("action=archive"), "it is offered");
    let sent = send(
        &drover,
        &format!("/queues/redis/bull%3Amail/jobs/{job}/act"),
        "action=remove&archive=true&seen_state=failed",
    )
    .await;
    assert_eq!(sent.status, 303, "{}", sent.body);
    assert_eq!(drover.audit("queue=redis%2Fbull%3Amail").await[0]["action"], "archive");
    assert_eq!(oracle.counts("mail").await["failed"], 0);
    let row = found(&drover, "").await["items"][0].clone();
    let id = row["id"].as_str().unwrap().to_owned();
    let path = format!("/archive/jobs/{id}");
    let kept = drover.get(&format!("/api/v1{path}")).await.json();
    for part in [
        "data",
        "error",
        "traces",
        "effective",
        "attempts_started",
        "options",
        "logs",
    ] {
        assert_eq!(kept["detail"][part], live[part], "{part}");
    }
    for part in [
        "name",
        "created",
        "started",
        "finished",
        "attempts",
        "attempts_max",
        "priority",
        "state",
    ] {
        assert_eq!(kept["detail"]["row"][part], live["row"][part], "{part}");
    }
    let page = drover.get(&path).await;
    for says in [
        "out of paper",
        "second line",
        "Timeline",
        "Options in force",
        "Run again as a new job",
        "Add a job like this…",
        "SHA-256",
    ] {
        assert!(page.body.contains(says), "{says}");
    }
    let field = drover.get(&format!("/api/v1{path}/fields/data")).await;
    assert!(field.body.contains("\"n\":7"));
    let log = drover.get(&format!("/api/v1{path}/fields/:logs")).await;
    assert!(log.body.contains("first line\nsecond line"), "{}", log.body);
    // Back, as a new job, and only once however often a client asks for it.
    let restore = |body: Value| {
        let (drover, path) = (&drover, &path);
        async move { drover.post(&format!("{path}/restore"), &body).await }
    };
    let (one, two) = tokio::join!(restore(json!({})), restore(json!({})));
    let results: HashSet<String> = [&one, &two]
        .map(|a| a.json()["result"].as_str().unwrap().to_owned())
        .into();
    assert_eq!(
        results,
        HashSet::from(["done".into(), "already".into()]),
        "{} {}",
        one.body,
        two.body
    );
    let new = [&one, &two]
        .into_iter()
        .find_map(|a| a.json()["job"].as_str().map(str::to_owned))
        .unwrap();
    assert_eq!(oracle.counts("mail").await["prioritized"], 1);
    let there = oracle.job("mail", &new).await;
    assert_eq!(there["data"]["n"], 7, "{there}");
    assert_eq!(there["opts"]["attempts"], 2, "{there}");
    // A worker runs it.
    oracle.ask("startWorker", "mail", worker).await;
    oracle.wait("mail", "failed", 1).await;
    oracle.ask("stopWorker", "mail", json!({"workerId": "w"})).await;
    assert_eq!(oracle.ids("mail", "failed", true).await, std::slice::from_ref(&new));
    // Under its old id, which is free, and once more when it is not.
    let answer = restore(json!({"again": true, "original_id": true})).await;
    assert_eq!(
        (answer.status, &answer.json()["job"]),
        (200, &json!(job)),
        "{}",
        answer.body
    );
    let answer = restore(json!({"again": true, "original_id": true})).await;
    assert_eq!(answer.json()["result"], "already", "{}", answer.body);
    assert_eq!(oracle.counts("mail").await["prioritized"], 1);
    let page = drover.get(&path).await;
    assert!(
        page.body.contains("Run once more as a new job…"),
        "it says where it went"
    );
    // A process that was killed in the middle leaves a row; Drover finds the job in the queue, or the result is
    // unknown.
    postgres
        .run("UPDATE drover.restore SET done_at = NULL WHERE n = 2")
        .await;
    assert_eq!(restore(json!({})).await.json()["result"], "done");
    postgres
        .run("UPDATE drover.restore SET done_at = NULL WHERE n = 2")
        .await;
    oracle.ask("remove", "mail", json!({"jobId": job})).await;
    let answer = restore(json!({})).await;
    assert_eq!(
        (answer.status, answer.json()["outcome"].as_str()),
        (504, Some("unknown")),
        "{}",
        answer.body
    );
    assert_eq!(oracle.counts("mail").await["prioritized"], 0);
    // From its page, which asks first: it was put back before.
    let form = send(&drover, &format!("{path}/restore"), "again=true").await;
    assert!(
        form.status == 200 && form.body.contains("It was already queued again at "),
        "{}",
        form.body
    );
    assert_eq!(oracle.counts("mail").await["prioritized"], 0);
    let asked = form::body(&form::filled_by(&form.body, ("asked", "true"), &[]));
    for _ in 0..2 {
        let sent = send(&drover, &format!("{path}/restore"), &asked).await;
        assert_eq!(sent.status, 303, "{}", sent.body);
    }
    assert_eq!(oracle.counts("mail").await["prioritized"], 1, "one for each form");
    // Many at once.
    let answer = drover
        .post("/archive/restore", &json!({"ids": [id, "1-00"], "again": true}))
        .await;
    let items = answer.json()["items"].clone();
    assert_eq!(
        (&items[0]["result"], &items[1]["result"]),
        (&json!("done"), &json!("refused")),
        "{items}"
    );
    drop(redis);
}

#[tokio::test]
async fn a_queue_that_is_to_go_offers_to_keep_its_finished_jobs_first() {
    let (_redis, _postgres, mut oracle, drover) = board().await;
    failed(&mut oracle, "mail", "send", 2, "no").await;
    drover.knows("bull:mail").await;
    drover.counts_become("bull:mail", &oracle.counts("mail").await).await;
    oracle.ask("pause", "mail", json!({})).await;
    let path = "/queues/redis/bull%3Amail/act";
    // The form asks once Drover has seen the pause.
    eventually("the form offers the archive", LATER, || async {
        let form = drover.get(&format!("{path}?action=obliterate")).await;
        form.body
            .contains("Archive its completed and failed jobs first")
            .then_some(())
    })
    .await;
    let sent = send(&drover, path, "action=obliterate&archive=true&name=mail").await;
    let to = sent.header("location").unwrap_or_default().to_owned();
    assert!(
        sent.status == 303 && to.contains("/operations/new?action=archive"),
        "{} {to}",
        sent.status
    );
    assert_eq!(oracle.counts("mail").await["failed"], 2);
    let next = client::request(drover.port, "GET", &to, &[], "").await;
    assert!(next.body.contains("state:completed,failed"), "{}", next.body);
    let sent = send(&drover, path, "action=obliterate&name=mail").await;
    assert_eq!(sent.status, 303, "{}", sent.body);
    assert_eq!(oracle.counts("mail").await["failed"], 0);
}

#[tokio::test]
async fn ticked_ones_are_put_back_together() {
    let (_redis, _postgres, mut oracle, drover) = board().await;
    failed(&mut oracle, "mail", "send", 4, "no").await;
    drover.knows("bull:mail").await;
    drover.counts_become("bull:mail", &oracle.counts("mail").await).await;
    archive_all(&drover, "state:failed").await;
    let page = drover.get("/archive").await;
    assert!(page.body.contains("Run selected again as new jobs…"), "{}", page.body);
    let rows = found(&drover, "").await["items"].clone();
    let id = |n: usize| rows[n]["id"].as_str().unwrap();
    let form = send(&drover, "/archive/restore", &format!("id={}&id={}", id(0), id(1))).await;
    assert!(
        form.status == 200 && form.body.contains("Their work will be done again"),
        "{}",
        form.body
    );
    assert_eq!(oracle.counts("mail").await["waiting"], 0, "nothing before it was asked");
    let asked = form::body(&form::filled_by(&form.body, ("asked", "true"), &[]));
    let sent = send(&drover, "/archive/restore", &asked).await;
    assert!(
        sent.status == 200 && sent.body.contains("2 of 2 jobs queued again"),
        "{}",
        sent.body
    );
    assert!(sent.body.contains("/act?action=remove"), "a way back: {}", sent.body);
    assert_eq!(oracle.counts("mail").await["waiting"], 2);
    let more = format!("asked=true&id={}&id={}&id=1-00", id(1), id(2));
    let sent = send(&drover, "/archive/restore", &more).await;
    for says in [
        "1 of 3 jobs queued again",
        "1 job was already queued again",
        "1 job was not queued.",
    ] {
        assert!(sent.body.contains(says), "{says}: {}", sent.body);
    }
    assert_eq!(oracle.counts("mail").await["waiting"], 3);
    let none = send(&drover, "/archive/restore", "").await;
    assert!(
        none.status == 400 && none.body.contains("Select between"),
        "{}",
        none.body
    );
    let foreign = [
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("Sec-Fetch-Site", "cross-site"),
    ];
    let path = "/admin/queues/archive/restore";
    let refused = client::request(drover.port, "POST", path, &foreign, &format!("id={}", id(3))).await;
    assert_eq!(refused.status, 403);
    assert_eq!(oracle.counts("mail").await["waiting"], 3);
}

#[tokio::test]
async fn two_replicas_that_put_the_same_back_add_it_once() {
    let (redis, postgres, mut oracle, drover) = board().await;
    let other = super::over(&redis.url(), &postgres.url()).await;
    failed(&mut oracle, "mail", "send", 12, "no").await;
    for drover in [&drover, &other] {
        drover.knows("bull:mail").await;
    }
    drover.counts_become("bull:mail", &oracle.counts("mail").await).await;
    archive_all(&drover, "state:failed").await;
    let rows = found(&drover, "").await["items"].clone();
    for row in rows.as_array().unwrap() {
        let path = format!("/archive/jobs/{}/restore", row["id"].as_str().unwrap());
        let body = json!({});
        let (one, two) = tokio::join!(drover.post(&path, &body), other.post(&path, &body));
        let done = [&one, &two].iter().filter(|a| a.json()["result"] == "done").count();
        assert!(done >= 1, "{} {}", one.body, two.body);
        // The slower process left the other's note: Drover knows that the job is back.
        let again = other.post(&path, &body).await;
        assert_eq!(again.json()["result"], "already", "{}", again.body);
    }
    assert_eq!(oracle.counts("mail").await["waiting"], 12);
}

#[tokio::test]
async fn a_number_that_the_library_will_count_to_is_not_put_back() {
    let (redis, _postgres, mut oracle, drover) = board().await;
    failed(&mut oracle, "mail", "send", 3, "no").await;
    drover.knows("bull:mail").await;
    drover.counts_become("bull:mail", &oracle.counts("mail").await).await;
    archive_all(&drover, "state:failed queue:mail").await;
    redis.run::<()>(&["SET", "bull:mail:id", "1"]);
    let rows = found(&drover, "id=3").await;
    let id = rows["items"][0]["id"].as_str().unwrap();
    let answer = drover
        .post(&format!("/archive/jobs/{id}/restore"), &json!({"original_id": true}))
        .await;
    assert!(
        answer.status == 422 && answer.body.contains("new id"),
        "{}",
        answer.body
    );
    let answer = drover.post(&format!("/archive/jobs/{id}/restore"), &json!({})).await;
    assert_eq!(
        answer.json()["result"],
        "done",
        "nothing was written down as done: {}",
        answer.body
    );
}

#[tokio::test]
async fn an_archive_that_is_down_or_not_there_is_said_with_what_to_do() {
    let (_redis, mut postgres, _oracle, drover) = board().await;
    let empty = drover.get("/archive").await;
    assert!(
        empty.status == 200 && empty.body.contains("The archive is empty."),
        "{}",
        empty.body
    );
    postgres.kill();
    eventually("the archive is down", LATER, || async {
        let page = drover.get("/archive").await;
        (page.status == 503 && page.body.contains("cannot be read now")).then_some(())
    })
    .await;
    let answer = drover.get("/api/v1/archive/jobs").await;
    assert_eq!(answer.status, 503, "{}", answer.body);
    // The board itself keeps working.
    assert_eq!(drover.get("").await.status, 200);
    postgres.restart(&[]).await;
    eventually("the archive is back", LATER, || async {
        (drover.get("/archive").await.status == 200).then_some(())
    })
    .await;
    let alone = Drover::over("redis://127.0.0.1:1").await;
    let page = alone.get("/archive").await;
    assert!(
        page.status == 404 && page.body.contains("DROVER_POSTGRES_URL"),
        "{}",
        page.body
    );
    assert!(
        !page.body.contains("href=\"/admin/queues/archive\""),
        "no entry without an archive"
    );
}

#[tokio::test]
async fn real_answers_are_as_the_document_says() {
    let (_redis, _postgres, mut oracle, drover) = board().await;
    failed(&mut oracle, "mail", "send", 1, "no").await;
    drover.knows("bull:mail").await;
    drover.counts_become("bull:mail", &oracle.counts("mail").await).await;
    archive_all(&drover, "state:failed queue:mail").await;
    let document = drover.get("/api/v1/openapi.json").await.json();
    let check = |path: &str, method: &str, answer: &Value| {
        let answers = &document["paths"][path][method]["responses"];
        let mut schema = answers["200"]["content"]["application/json"]["schema"].clone();
        assert!(schema.is_object(), "{method} {path} has no schema");
        schema["components"] = document["components"].clone();
        let validator = jsonschema::draft202012::new(&schema).unwrap();
        let errors: Vec<String> = validator
            .iter_errors(answer)
            .map(|e| format!("{}: {e}", e.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{method} {path}: {errors:?}\n{answer}");
    };
    let page = found(&drover, "").await;
    check("/archive/jobs", "get", &page);
    let path = format!("/archive/jobs/{}", page["items"][0]["id"].as_str().unwrap());
    let restored = drover.post(&format!("{path}/restore"), &json!({})).await.json();
    check("/archive/jobs/{id}/restore", "post", &restored);
    let one = drover.get(&format!("/api/v1{path}")).await.json();
    check("/archive/jobs/{id}", "get", &one);
    let many = drover
        .post("/archive/restore", &json!({"ids": [page["items"][0]["id"]]}))
        .await
        .json();
    check("/archive/restore", "post", &many);
}
