//! Actions over many jobs through the API and through forms: preview, start, completion, compared with the library.

use crate::support::app::Drover;
use crate::support::client::Answer;
use crate::support::oracle::Oracle;
use crate::support::redis::Redis;
use crate::support::{LATER, eventually};
use serde_json::{Value, json};

const QUEUE: &str = "mail";
const ERROR: &str = "mailbox full";

/// A board over a queue with failed jobs: `many` with [`ERROR`], and one with another error.
async fn failed(many: usize) -> (Redis, Oracle, Drover) {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    oracle
        .ask("startWorker", QUEUE, json!({"workerId": "w", "concurrency": 20}))
        .await;
    let data = json!({"fail": ERROR});
    oracle
        .ask(
            "addMany",
            QUEUE,
            json!({"count": many, "name": "send", "data": data, "opts": {}}),
        )
        .await;
    oracle
        .add(
            QUEUE,
            "send",
            json!({"fail": "no such user"}),
            json!({"jobId": "other"}),
        )
        .await;
    oracle.wait(QUEUE, "failed", many + 1).await;
    // So that retried jobs stay waiting and can be counted.
    oracle.ask("stopWorker", QUEUE, json!({"workerId": "w"})).await;
    let drover = Drover::over(&redis.url()).await;
    let counts = oracle.counts(QUEUE).await;
    drover.knows("bull:mail").await;
    drover.counts_become("bull:mail", &counts).await;
    (redis, oracle, drover)
}

fn filter() -> String {
    format!("state:failed queue:redis/bull:mail error:\"{ERROR}\"")
}

async fn ended(drover: &Drover, id: &str) -> Value {
    eventually(&format!("{id} to end"), LATER, || async {
        let told = drover.get(&format!("/api/v1/operations/{id}")).await.json();
        (told["ended"].is_number()).then_some(told)
    })
    .await
}

fn kind(answer: &Answer) -> (u16, String) {
    let kind = answer.json()["type"]
        .as_str()
        .unwrap()
        .replace("urn:drover:problem:", "");
    assert_eq!(answer.json()["outcome"], "none", "{}", answer.body);
    (answer.status, kind)
}

/// The value of a hidden field of a page.
fn hidden<'a>(html: &'a str, name: &str) -> &'a str {
    let rest = html.split(&format!("name=\"{name}\" value=\"")).nth(1).unwrap();
    rest.split('"').next().unwrap()
}

#[tokio::test]
async fn an_order_with_a_key_is_started_once_and_its_results_are_a_file() {
    let (_redis, mut oracle, drover) = failed(30).await;
    let body = json!({"action": "retry", "filter": filter(), "reason": "once"});
    let key = [("Idempotency-Key", "night-7")];
    let (first, second) = tokio::join!(
        drover.post_with("/operations", &key, &body),
        drover.post_with("/operations", &key, &body)
    );
    assert_eq!(
        (first.status, second.status),
        (202, 202),
        "{} {}",
        first.body,
        second.body
    );
    let id = first.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(
        second.json()["id"],
        id.as_str(),
        "sent twice at once it is one operation"
    );
    let replayed = [&first, &second].map(|answer| answer.header("idempotency-replayed").is_some());
    assert!(replayed[0] ^ replayed[1], "and the later answer says so");
    let other = json!({"action": "remove", "filter": filter()});
    let other = drover.post_with("/operations", &key, &other).await;
    assert_eq!(other.status, 422, "a key stands for one request: {}", other.body);
    assert_eq!(ended(&drover, &id).await["totals"]["done"], 30);
    assert_eq!(oracle.counts(QUEUE).await["waiting"], 30);
    let file = drover.get(&format!("/api/v1/operations/{id}/results.ndjson")).await;
    assert_eq!(file.header("content-type"), Some("application/x-ndjson"));
    let disposition = file.header("content-disposition").unwrap();
    assert!(disposition.starts_with("attachment; filename="), "{disposition}");
    let lines: Vec<Value> = file
        .body
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 30);
    assert!(lines.iter().all(|line| line["result"] == "done"), "{}", file.body);
}

#[tokio::test]
async fn a_filter_is_previewed_started_and_done_and_the_library_agrees() {
    let (_redis, mut oracle, drover) = failed(150).await;
    let asked = json!({"action": "retry", "filter": filter(), "dry_run": true});
    let answer = drover.post("/operations", &asked).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let preview = answer.json();
    assert_eq!(
        (&preview["selected"], &preview["capped"]),
        (&json!(150), &json!(false)),
        "{preview}"
    );
    assert_eq!(preview["by_name"], json!([{"of": "send", "jobs": 150}]));
    assert_eq!(preview["samples"].as_array().unwrap().len(), 20);
    assert_eq!(oracle.counts(QUEUE).await["failed"], 151, "a preview does nothing");
    let unseen = drover
        .post("/operations", &json!({"action": "retry", "filter": filter()}))
        .await;
    assert_eq!(kind(&unseen), (422, "needs-preview".into()));
    let other = json!({"action": "remove", "filter": filter(), "token": preview["token"]});
    let other = drover.post("/operations", &other).await;
    assert_eq!(kind(&other), (422, "other-preview".into()));
    assert_eq!(oracle.counts(QUEUE).await["failed"], 151, "and nothing was done");
    let start = json!({"token": preview["token"], "reason": "the mailbox is empty again", "rate": 100_000});
    let started = drover.post("/operations", &start).await;
    assert_eq!(started.status, 202, "{}", started.body);
    let id = started.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(
        started.header("location"),
        Some(format!("/admin/queues/api/v1/operations/{id}").as_str())
    );
    let again = drover.post("/operations", &start).await;
    assert_eq!(again.json()["id"], id.as_str(), "the same token is the same operation");
    let told = ended(&drover, &id).await;
    assert_eq!(told["state"], "done", "{told}");
    assert_eq!(
        told["totals"],
        json!({"selected": 150, "done": 150, "already": 0, "changed": 0, "gone": 0, "failed": 0, "unconfirmed": 0})
    );
    assert_eq!(told["reason"], "the mailbox is empty again");
    let counts = oracle.counts(QUEUE).await;
    assert_eq!((&counts["failed"], &counts["waiting"]), (&json!(1), &json!(150)));
    assert_eq!(oracle.ids(QUEUE, "failed", true).await, ["other"]);
    let page = drover
        .get(&format!(
            "/api/v1/operations/{id}/results?result=done&offset=140&limit=50"
        ))
        .await
        .json();
    assert_eq!(page["items"].as_array().unwrap().len(), 10, "{page}");
    assert_eq!((&page["total"], &page["offset"]), (&json!(150), &json!(140)));
    let none = drover
        .get(&format!("/api/v1/operations/{id}/results?result=failed"))
        .await
        .json();
    assert_eq!((&none["items"], &none["total"]), (&json!([]), &json!(0)));
    let lost = drover
        .get(&format!("/api/v1/operations/{id}/results?result=lost"))
        .await;
    assert_eq!(kind(&lost), (400, "bad-query".into()));
    let all = drover.get("/api/v1/operations").await.json();
    assert_eq!(all["items"][0]["id"], id.as_str());
    let html = drover.get(&format!("/operations/{id}")).await.body;
    assert!(html.contains("the mailbox is empty again"), "{html}");
}

#[tokio::test]
async fn a_few_jobs_by_name_are_started_at_once_and_only_as_they_were_seen() {
    let (_redis, mut oracle, drover) = failed(3).await;
    let ids = oracle.ids(QUEUE, "failed", true).await;
    let stale = json!({"state": "failed", "finished_on": 1});
    let jobs = json!([
        {"queue": "redis/bull:mail", "id": ids[0], "seen": {"state": "failed"}},
        {"queue": {"store": "redis", "queue": "bull:mail"}, "id": ids[1], "seen": stale},
        {"queue": "redis/bull:mail", "id": "nobody", "seen": {}},
    ]);
    let answer = drover
        .post("/operations", &json!({"action": "retry", "jobs": jobs}))
        .await;
    assert_eq!(answer.status, 202, "{}", answer.body);
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    let told = ended(&drover, &id).await;
    let totals = &told["totals"];
    assert_eq!(
        (
            &totals["selected"],
            &totals["done"],
            &totals["changed"],
            &totals["gone"]
        ),
        (&json!(3), &json!(1), &json!(1), &json!(1)),
        "{told}"
    );
    assert_eq!(oracle.counts(QUEUE).await["waiting"], 1);
}

#[tokio::test]
async fn what_is_wrong_is_refused_with_what_would_be_right() {
    let (_redis, _oracle, drover) = failed(1).await;
    for (body, status, of, says) in [
        (json!({}), 400, "bad-operation", "action is missing"),
        (
            json!({"action": "explode", "filter": filter()}),
            400,
            "bad-operation",
            "there are release",
        ),
        (
            json!({"action": "retry", "soon": 1, "filter": filter()}),
            400,
            "bad-operation",
            "reset_attempts",
        ),
        (json!({"soon": 1}), 400, "bad-operation", "dry_run"),
        (json!({"action": "retry"}), 400, "bad-operation", "either a filter"),
        (
            json!({"action": "retry", "jobs": []}),
            400,
            "bad-operation",
            "at least one",
        ),
        (
            json!({"action": "retry", "jobs": [{"queue": "mail", "id": "1"}]}),
            400,
            "bad-operation",
            "<store>/<queue id>",
        ),
        (
            json!({"action": "retry", "filter": "color:red"}),
            400,
            "bad-operation",
            "use state, queue",
        ),
        (
            json!({"action": "retry", "filter": "queue:mail", "dry_run": true}),
            400,
            "bad-action",
            "needs a state",
        ),
        (
            json!({"action": "promote", "filter": filter(), "dry_run": true}),
            400,
            "bad-action",
            "delayed",
        ),
        (json!({"token": "lost"}), 400, "bad-action", "Preview again"),
        (
            json!({"action": "retry", "filter": filter(), "rate": 0}),
            400,
            "bad-action",
            "rate is at least",
        ),
    ] {
        let answer = drover.post("/operations", &body).await;
        assert_eq!(kind(&answer), (status, of.into()), "{body}: {}", answer.body);
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(says), "{body}: {detail}");
    }
    for path in ["/operations/none", "/operations/none/results"] {
        let answer = drover.get(&format!("/api/v1{path}")).await;
        assert_eq!(answer.status, 404, "{}", answer.body);
    }
    let answer = drover.post("/operations/none/pause", &json!({})).await;
    assert_eq!(answer.status, 404, "{}", answer.body);
    let answer = drover.post("/operations/none/explode", &json!({})).await;
    assert_eq!(kind(&answer), (404, "no-such-action".into()));
    assert_eq!(drover.get("/operations/none").await.status, 404);
}

#[tokio::test]
async fn a_form_leads_from_a_filter_to_an_operation_that_can_be_paused_and_ended() {
    let (_redis, mut oracle, drover) = failed(150).await;
    let wrong = drover
        .send_form("/operations/preview", &[("action", "retry"), ("filter", "error:")])
        .await;
    assert_eq!(wrong.status, 422);
    assert!(wrong.body.contains("error: has no value"), "{}", wrong.body);
    let text = filter();
    let preview = drover
        .send_form("/operations/preview", &[("action", "retry"), ("filter", &text)])
        .await;
    assert_eq!(preview.status, 200, "{}", preview.body);
    for part in [
        "Exactly 150 jobs.",
        "Retry 150 jobs",
        "name=\"canary\" value=\"1\" checked",
    ] {
        assert!(preview.body.contains(part), "{part}: {}", preview.body);
    }
    let token = hidden(&preview.body, "token");
    let slowly = [("token", token), ("rate", "20"), ("reason", "slowly")];
    let started = drover.send_form("/operations/start", &slowly).await;
    assert_eq!(started.status, 303, "{}", started.body);
    let page = started
        .header("location")
        .unwrap()
        .strip_prefix("/admin/queues")
        .unwrap();
    let id = page.rsplit('/').next().unwrap();
    let aside = drover.get("/queues/redis/bull:mail/aside").await.body;
    assert!(aside.contains(&format!("{page}\">Retrying 150 jobs: ")), "{aside}");
    let paused = drover.send_form(&format!("{page}/pause"), &[]).await;
    assert_eq!(paused.status, 303, "{}", paused.body);
    let told = drover.get(&format!("/api/v1/operations/{id}")).await.json();
    assert_eq!(told["state"], "paused", "{told}");
    let html = drover.get(page).await.body;
    assert!(
        html.contains("/resume\"") && html.contains("data-every=\"500\""),
        "{html}"
    );
    let cancelled = drover.send_form(&format!("{page}/cancel"), &[]).await;
    assert_eq!(cancelled.status, 303);
    let told = ended(&drover, id).await;
    assert_eq!(told["state"], "cancelled");
    let done = told["totals"]["done"].as_u64().unwrap();
    assert!(done < 150, "{told}");
    assert_eq!(oracle.counts(QUEUE).await["failed"].as_u64().unwrap(), 151 - done);
    let html = drover.get(page).await.body;
    for part in ["Again for the rest", "not processed", "data-every=\"5000\""] {
        assert!(html.contains(part), "{part}: {html}");
    }
    let again = drover.send_form(&format!("{page}/again"), &[]).await;
    assert!(
        again.body.contains(&format!("Exactly {} jobs.", 150 - done)),
        "{}",
        again.body
    );
    assert!(again.body.contains("value=\"slowly\""), "the reason is kept");
    let token = hidden(&again.body, "token");
    let rest = drover.send_form("/operations/start", &[("token", token)]).await;
    let page = rest.header("location").unwrap().to_owned();
    let told = ended(&drover, page.rsplit('/').next().unwrap()).await;
    assert_eq!(told["totals"]["done"], 150 - done, "{told}");
    assert_eq!(oracle.ids(QUEUE, "failed", true).await, ["other"]);
    let list = drover.get("/operations").await.body;
    assert!(list.contains("none in progress, 2 ended"), "{list}");
}

#[tokio::test]
async fn ticked_jobs_are_removed_and_those_that_have_changed_are_left_alone() {
    let (_redis, mut oracle, drover) = failed(3).await;
    let list = drover.get("/queues/redis/bull:mail?state=failed").await.body;
    let boxes: Vec<&str> = list.split("type=\"checkbox\"").skip(1).map(hidden_value).collect();
    assert_eq!(boxes.len(), 4, "{list}");
    let ids = oracle.ids(QUEUE, "failed", false).await;
    let form = [("ticked", "redis/bull:mail"), ("state", "failed"), ("action", "remove")];
    let none = drover.send_form("/operations/preview", &form).await;
    assert_eq!(none.status, 422);
    assert!(none.body.contains("No job is selected."), "{}", none.body);
    let mut fields = form.to_vec();
    fields.extend([("job", boxes[0]), ("job", boxes[1])]);
    let preview = drover.send_form("/operations/preview", &fields).await;
    for part in ["Exactly 2 jobs.", "Remove 2 jobs permanently", "destroys"] {
        assert!(preview.body.contains(part), "{part}: {}", preview.body);
    }
    // Another client retries one of them meanwhile.
    oracle
        .ask("callJob", QUEUE, json!({"jobId": ids[0], "method": "retry"}))
        .await;
    let token = hidden(&preview.body, "token");
    let started = drover.send_form("/operations/start", &[("token", token)]).await;
    assert_eq!(started.status, 303, "{}", started.body);
    let page = started.header("location").unwrap().to_owned();
    let told = ended(&drover, page.rsplit('/').next().unwrap()).await;
    assert_eq!(
        (&told["totals"]["done"], &told["totals"]["changed"]),
        (&json!(1), &json!(1)),
        "{told}"
    );
    let counts = oracle.counts(QUEUE).await;
    assert_eq!((&counts["failed"], &counts["waiting"]), (&json!(2), &json!(1)));
    let again = drover.send_form("/operations/start", &[("token", token)]).await;
    assert_eq!(
        again.header("location"),
        Some(page.as_str()),
        "a form sent twice is one operation"
    );
}

/// The value of the first field in a piece of a page.
fn hidden_value(html: &str) -> &str {
    let rest = html.split("value=\"").nth(1).unwrap();
    rest.split('"').next().unwrap()
}

#[tokio::test]
async fn what_destroys_much_has_to_be_confirmed_in_words() {
    let (_redis, mut oracle, drover) = failed(120).await;
    let text = filter();
    let preview = drover
        .send_form("/operations/preview", &[("action", "remove"), ("filter", &text)])
        .await;
    assert!(preview.body.contains("pattern=\"mail\""), "{}", preview.body);
    let token = hidden(&preview.body, "token");
    for typed in ["", "male"] {
        let refused = drover
            .send_form("/operations/start", &[("token", token), ("typed", typed)])
            .await;
        assert_eq!(refused.status, 400, "{}", refused.body);
        assert!(refused.body.contains("to confirm"), "{}", refused.body);
    }
    assert_eq!(oracle.counts(QUEUE).await["failed"], 121);
    let started = drover
        .send_form("/operations/start", &[("token", token), ("typed", "mail")])
        .await;
    assert_eq!(started.status, 303, "{}", started.body);
    let page = started.header("location").unwrap().to_owned();
    let told = ended(&drover, page.rsplit('/').next().unwrap()).await;
    assert_eq!(told["totals"]["done"], 120, "{told}");
    assert_eq!(oracle.ids(QUEUE, "failed", true).await, ["other"]);
}

#[tokio::test]
async fn a_failed_job_leads_to_all_that_failed_like_it() {
    let (_redis, _oracle, drover) = failed(2).await;
    let id = drover.ids("bull:mail", "failed", "newest", 10).await.pop().unwrap();
    let html = drover.get(&format!("/queues/redis/bull:mail/jobs/{id}")).await.body;
    let link = html
        .split("href=\"/admin/queues/operations/new?")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap()
        .replace("&amp;", "&");
    let page = drover.get(&format!("/operations/new?{link}")).await;
    assert_eq!(page.status, 200);
    let text = filter().replace('"', "&quot;");
    assert!(page.body.contains(&format!("value=\"{text}\"")), "{}", page.body);
    let list = drover.get("/queues/redis/bull:mail?state=failed&q=oth").await.body;
    assert!(
        list.contains("value=\"state:failed queue:redis/bull:mail oth\""),
        "{list}"
    );
    let running = drover.get("/queues/redis/bull:mail?state=active").await.body;
    assert!(!running.contains("id=\"ticked\""), "what runs is the worker's");
}
