//! Repeating archived work.

use super::pages::{found, send};
use super::{archive_all, board};
use crate::support::{client, form};
use serde_json::{Value, json};

#[tokio::test]
async fn what_completed_runs_again_only_after_a_page_has_said_so_once_and_can_be_taken_back() {
    let (_redis, _postgres, mut oracle, drover) = board().await;
    let paid = json!({"order": "SO-1", "password": "hunter2hunter2"});
    let options = json!({"attempts": 2, "backoff": {"type": "fixed", "delay": 1}});
    oracle.add("mail", "pay", paid.clone(), options).await;
    oracle.ask("startWorker", "mail", json!({"workerId": "w"})).await;
    oracle.wait("mail", "completed", 1).await;
    oracle.ask("stopWorker", "mail", json!({"workerId": "w"})).await;
    drover.knows("bull:mail").await;
    drover.counts_become("bull:mail", &oracle.counts("mail").await).await;
    archive_all(&drover, "state:completed").await;
    let path = format!(
        "/archive/jobs/{}",
        found(&drover, "").await["items"][0]["id"].as_str().unwrap()
    );
    let page = drover.get(&path).await.body;
    assert!(
        page.contains(">Run again as a new job…</a>") && !page.contains("<button>Run"),
        "no one click runs it: {page}"
    );
    // The button of an older page asks as well.
    let form = send(&drover, &format!("{path}/restore"), "").await;
    assert!(
        form.status == 200 && form.body.contains("It completed at ") && form.body.contains("will happen again"),
        "{}",
        form.body
    );
    assert_eq!(oracle.counts("mail").await["waiting"], 0);
    // Sent twice within a moment: one job.
    let asked = form::body(&form::filled_by(&form.body, ("asked", "true"), &[]));
    let mut told = Vec::new();
    for _ in 0..2 {
        let sent = send(&drover, &format!("{path}/restore"), &asked).await;
        assert_eq!(sent.status, 303, "{}", sent.body);
        let to = sent.header("location").unwrap().split('#').next().unwrap().to_owned();
        told.push(client::get(drover.port, &to).await.body.replace("<!>", ""));
    }
    let waiting = oracle.ids("mail", "waiting", true).await;
    assert_eq!(waiting.len(), 1, "{waiting:?}");
    for told in &told {
        assert!(
            told.contains("class=\"asked done\"") && told.contains("Queued the job again. New job: <a href="),
            "{told}"
        );
        assert!(!told.contains("done: Done"), "{told}");
    }
    let undo = form::filled(&told[0], "remove", &[]);
    let act = format!("/queues/redis/bull:mail/jobs/{}/act", waiting[0]);
    assert_eq!(send(&drover, &act, &undo).await.status, 303);
    assert_eq!(oracle.counts("mail").await["waiting"], 0);
    // A similar job, with other data and options; unchanged hidden values are copied.
    let form = drover.get(&format!("{path}/restore?like=true")).await.body;
    assert!(form.contains("[redacted]") && !form.contains("hunter2"), "{form}");
    let later = [("delay", "3600"), ("attempts", "4"), ("original_id", "true")];
    let like = form::filled_by(&form, ("like", "true"), &later);
    let sent = send(&drover, &format!("{path}/restore"), &form::body(&like)).await;
    assert_eq!(sent.status, 303, "{}", sent.body);
    let made = oracle.ids("mail", "delayed", true).await.remove(0);
    let job = oracle.job("mail", &made).await;
    assert_eq!(
        (
            &made[..],
            &job["data"],
            &job["opts"]["attempts"],
            &job["opts"]["backoff"]["type"]
        ),
        ("1", &paid, &json!(4), &json!("fixed"))
    );
    let hidden = [("data", r#"{"order": "SO-2", "password": "[redacted]"}"#)];
    let form = drover.get(&format!("{path}/restore?like=true")).await.body;
    let like = form::filled_by(&form, ("like", "true"), &hidden);
    let wrong = send(&drover, &format!("{path}/restore"), &form::body(&like)).await;
    assert!(wrong.status == 422 && wrong.body.contains("SO-2"), "{}", wrong.body);
    // Through the API: the same key adds one.
    let (restore, again) = (
        format!("{path}/restore"),
        json!({"again": true, "data": "{\"order\":3}"}),
    );
    for replayed in [None, Some("true")] {
        let answer = drover.post_with(&restore, &[("Idempotency-Key", "k")], &again).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(answer.header("idempotency-replayed"), replayed);
    }
    let waiting = oracle.ids("mail", "waiting", true).await;
    assert_eq!(waiting.len(), 1, "{waiting:?}");
    assert_eq!(oracle.job("mail", &waiting[0]).await["data"], json!({"order": 3}));
}

#[tokio::test]
async fn a_job_that_its_parent_waits_for_is_not_offered_to_be_archived() {
    let (_redis, _postgres, mut oracle, drover) = board().await;
    let kid = |opts: Value| json!({"name": "kid", "queueName": "kids", "data": {"fail": "no"}, "opts": opts});
    let children = [
        kid(json!({"jobId": "held"})),
        kid(json!({"jobId": "free", "ignoreDependencyOnFailure": true})),
    ];
    let tree = json!({"name": "parent", "queueName": "parents", "data": {}, "children": children});
    oracle.ask("flow", "parents", json!({"tree": tree})).await;
    oracle.ask("startWorker", "kids", json!({"workerId": "w"})).await;
    oracle.wait("kids", "failed", 2).await;
    oracle.ask("stopWorker", "kids", json!({"workerId": "w"})).await;
    drover.knows("bull:kids").await;
    drover.knows("bull:parents").await;
    let held = drover.get("/queues/redis/bull:kids/jobs/held").await.body;
    assert!(
        !held.contains("action=archive") && held.contains("Archive: its parent still waits for it."),
        "{held}"
    );
    let answer = drover
        .post("/queues/redis/bull:kids/jobs/held/archive", &json!({}))
        .await;
    assert_eq!(answer.status, 422, "{}", answer.body);
    let free = drover.get("/queues/redis/bull:kids/jobs/free").await.body;
    assert!(free.contains("action=archive"), "{free}");
    let answer = drover
        .post("/queues/redis/bull:kids/jobs/free/archive", &json!({}))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}
