//! Repeating work: the page says so, asks once where the work was done, repeats it once for each form, and undoes it
//! while it has not begun. All as a browser without JavaScript does it.

use crate::support::app::Drover;
use crate::support::client::{self, Answer};
use crate::support::form::{body, filled, filled_by, value};
use crate::support::oracle::Oracle;
use crate::support::redis::Redis;
use drover::model::address::encode_segment;
use serde_json::{Value, json};

struct Board {
    _redis: Redis,
    oracle: Oracle,
    drover: Drover,
}

impl Board {
    /// A board over a queue `q` without workers, with an ended job of this data and these options.
    async fn with(data: Value, opts: Value) -> (Self, String) {
        let redis = Redis::start();
        let mut oracle = Oracle::start(&redis.url(), 6).await;
        oracle.ask("startWorker", "q", json!({"workerId": "w"})).await;
        let ends = if data.get("fail").is_some() {
            "failed"
        } else {
            "completed"
        };
        let id = oracle.add("q", "charge", data, opts).await;
        oracle.wait("q", ends, 1).await;
        oracle.ask("stopWorker", "q", json!({"workerId": "w"})).await;
        let drover = Drover::over(&redis.url()).await;
        drover.knows("bull:q").await;
        let board = Self {
            _redis: redis,
            oracle,
            drover,
        };
        (board, id)
    }

    async fn get(&self, path: &str) -> String {
        let answer = self.drover.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.body.replace("<!>", "")
    }

    async fn send(&self, path: &str, body: &str) -> Answer {
        let headers = [
            ("Sec-Fetch-Site", "same-origin"),
            ("Content-Type", "application/x-www-form-urlencoded"),
        ];
        client::request(
            self.drover.port,
            "POST",
            &format!("/admin/queues{path}"),
            &headers,
            body,
        )
        .await
    }

    /// Sends a form and returns the page that the answer redirects to.
    async fn follow(&self, path: &str, body: &str) -> String {
        let answer = self.send(path, body).await;
        assert_eq!(answer.status, 303, "{}", answer.body);
        let to = answer.header("location").unwrap().split('#').next().unwrap();
        let page = client::get(self.drover.port, to).await;
        assert_eq!(page.status, 200, "{}", page.body);
        page.body.replace("<!>", "")
    }

    async fn ids(&mut self, state: &str) -> Vec<String> {
        self.oracle.ids("q", state, true).await
    }
}

fn path(id: &str) -> String {
    format!("/queues/redis/bull:q/jobs/{}", encode_segment(id))
}

#[tokio::test]
async fn a_retry_of_what_completed_is_asked_once_and_says_that_it_is_done_again() {
    let (mut board, id) = Board::with(json!({"n": 1}), json!({})).await;
    let page = board.get(&path(&id)).await;
    assert!(
        page.contains(">Retry…</a>") && !page.contains("value=\"retry\""),
        "one click retries nothing that completed: {page}"
    );
    let form = board.get(&format!("{}/act?action=retry", path(&id))).await;
    assert!(
        form.contains("It completed at ") && form.contains("will happen again"),
        "{form}"
    );
    let told = board
        .follow(&format!("{}/act", path(&id)), &filled(&form, "retry", &[]))
        .await;
    assert!(
        told.contains(&format!("<p>Retried job {id}. It is now waiting.</p>")),
        "{told}"
    );
    assert_eq!(board.ids("waiting").await, [id]);
}

#[tokio::test]
async fn a_copy_is_a_form_with_what_the_job_has_made_once_and_taken_back_until_it_begins() {
    let options = json!({"attempts": 3, "priority": 2, "backoff": {"type": "fixed", "delay": 50}, "keepLogs": 7});
    let (mut board, id) = Board::with(json!({"order": "SO-1", "fail": "no"}), options).await;
    let page = board.get(&path(&id)).await;
    assert!(
        page.contains(">Duplicate…</a>") && !page.contains("value=\"duplicate\""),
        "one click copies nothing: {page}"
    );
    let form = board.get(&format!("{}/act?action=duplicate", path(&id))).await;
    let fields = filled_by(&form, ("action", "duplicate"), &[]);
    for (name, shown) in [("name", "charge"), ("priority", "2"), ("attempts", "3"), ("delay", "0")] {
        assert_eq!(value(&fields, name), shown, "{name}");
    }
    let data: Value = serde_json::from_str(value(&fields, "data")).unwrap();
    assert_eq!(data["order"], "SO-1");
    let others: Value = serde_json::from_str(value(&fields, "options")).unwrap();
    assert_eq!(others, json!({"backoff": {"type": "fixed", "delay": 50}, "kl": 7}));
    // Twice, as by an impatient user: one copy.
    let act = format!("{}/act", path(&id));
    let told = board.follow(&act, &body(&fields)).await;
    let again = board.follow(&act, &body(&fields)).await;
    let made = board.ids("prioritized").await;
    assert_eq!(made.len(), 1, "{made:?}");
    for told in [&told, &again] {
        assert!(
            told.contains(&format!("Duplicated job {id}. New job: <a href=")),
            "{told}"
        );
        assert!(told.contains(&format!(">{}</a>.</p>", made[0])), "{told}");
    }
    let copy = board.oracle.job("q", &made[0]).await;
    assert_eq!(
        (&copy["data"], &copy["name"]),
        (&json!({"order": "SO-1", "fail": "no"}), &json!("charge"))
    );
    assert_eq!(
        (&copy["opts"]["attempts"], &copy["opts"]["keepLogs"]),
        (&json!(3), &json!(7))
    );
    // It has not begun: one button undoes it.
    let undo = format!("{}/act", path(&made[0]));
    assert!(told.contains(">Remove the new job</button>"), "{told}");
    board.follow(&undo, &filled(&told, "remove", &[])).await;
    assert!(board.ids("prioritized").await.is_empty());
    assert_eq!(
        board.ids("failed").await,
        std::slice::from_ref(&id),
        "the first is as it was"
    );
    // A second form is a second copy. A worker takes it before the undo: nothing is undone.
    let form = board.get(&format!("{}/act?action=duplicate", path(&id))).await;
    let hold = [("data", r#"{"hold": true}"#), ("priority", "0")];
    let told = board.follow(&act, &filled(&form, "duplicate", &hold)).await;
    let made = board.ids("waiting").await.remove(0);
    board.oracle.ask("startWorker", "q", json!({"workerId": "w"})).await;
    board.oracle.wait("q", "active", 1).await;
    let late = board
        .follow(&format!("{}/act", path(&made)), &filled(&told, "remove", &[]))
        .await;
    assert!(late.contains("asked not-done"), "{late}");
    assert_eq!(board.ids("active").await, [made]);
    let asked = board.drover.audit("").await;
    let copied = asked.iter().find(|entry| entry["action"] == "duplicate").unwrap();
    let page = board
        .get(&format!("{}?asked={}", path(&id), copied["id"].as_str().unwrap()))
        .await;
    assert!(
        page.contains("Duplicated job") && !page.contains("Remove the new job"),
        "what runs is not offered to be removed: {page}"
    );
    board.oracle.ask("release", "q", json!({"all": true})).await;
}

#[tokio::test]
async fn a_copy_has_what_was_changed_and_the_rest_as_it_is_stored() {
    let secret = json!({"password": "hunter2hunter2", "to": "anna"});
    let (mut board, id) = Board::with(secret.clone(), json!({"attempts": 2})).await;
    let act = format!("{}/act", path(&id));
    let form = board.get(&format!("{act}?action=duplicate")).await;
    assert!(
        form.contains("It completed at ") && form.contains("[redacted]") && !form.contains("hunter2"),
        "{form}"
    );
    // Only the delay and the attempts: the store copies the hidden values.
    let later = [("delay", "3600"), ("attempts", "5")];
    board.follow(&act, &filled(&form, "duplicate", &later)).await;
    let made = board.ids("delayed").await.remove(0);
    let copy = board.oracle.job("q", &made).await;
    assert_eq!((&copy["data"], &copy["opts"]["attempts"]), (&secret, &json!(5)));
    let entry = board.drover.audit("").await.remove(0);
    let sentence = entry["sentence"].as_str().unwrap();
    assert!(
        sentence.contains("with a delay of 1 h and up to 5 attempts. Its work will be done again."),
        "{entry}"
    );
    // Editing data around a hidden value would lose it.
    let edited = [("data", r#"{"password": "[redacted]", "to": "bert"}"#)];
    let wrong = board.send(&act, &filled(&form, "duplicate", &edited)).await;
    assert_eq!(wrong.status, 422, "{}", wrong.body);
    let reveal = format!("{}/reveal?write=duplicate", path(&id));
    assert!(
        wrong.body.contains(&reveal) && wrong.body.contains("bert"),
        "{}",
        wrong.body
    );
    // The link to the values themselves, recorded in the audit log, and the links from there.
    let ask = board.get(&reveal).await;
    let ask = filled_by(&ask, ("write", "duplicate"), &[("reason", "ticket 7")]);
    let shown = board.send(&format!("{}/reveal", path(&id)), &body(&ask)).await;
    assert!(
        shown.status == 200 && shown.body.contains("hunter2hunter2"),
        "{}",
        shown.body
    );
    let data = r#"{"password": "hunter2hunter2", "to": "bert"}"#;
    let told = board
        .follow(
            &act,
            &filled(&shown.body, "duplicate", &[("data", data), ("name", "refund")]),
        )
        .await;
    assert!(told.contains("Duplicated job"), "{told}");
    let made = board.ids("waiting").await.remove(0);
    let copy = board.oracle.job("q", &made).await;
    assert_eq!((&copy["data"]["to"], &copy["name"]), (&json!("bert"), &json!("refund")));
    let wrong = board
        .send(&act, &filled(&form, "duplicate", &[("options", "{no")]))
        .await;
    assert!(
        wrong.status == 422 && wrong.body.contains("not a JSON object"),
        "{}",
        wrong.body
    );
}

#[tokio::test]
async fn programs_copy_with_changes_too() {
    let (mut board, id) = Board::with(json!({"a": 1, "fail": "no"}), json!({})).await;
    let act = format!("{}/duplicate", path(&id));
    let changed = json!({"data": "{\"a\":2}", "priority": 4, "options": "{\"lifo\": true}"});
    let answer = board.drover.post(&act, &changed).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let made = answer.json()["job"].as_str().unwrap().to_owned();
    assert_eq!(board.ids("prioritized").await, std::slice::from_ref(&made));
    let copy = board.oracle.job("q", &made).await;
    assert_eq!((&copy["data"], &copy["opts"]["lifo"]), (&json!({"a": 2}), &json!(true)));
    for wrong in [
        json!({"data": "{"}),
        json!({"options": "[]"}),
        json!({"attempts": 0}),
        json!({"id": "own"}),
    ] {
        let answer = board.drover.post(&act, &wrong).await;
        assert_eq!(answer.status, 400, "{wrong}: {}", answer.body);
    }
}

#[tokio::test]
async fn a_job_that_was_added_is_told_with_a_way_to_it_and_a_way_back() {
    let (mut board, _) = Board::with(json!({}), json!({})).await;
    let act = "/queues/redis/bull:q/act";
    let form = board.get(&format!("{act}?action=add")).await;
    let told = board.follow(act, &filled(&form, "add", &[("name", "mail")])).await;
    let made = board.ids("waiting").await.remove(0);
    assert!(
        told.contains(&format!(
            "Added a job. New job: <a href=\"/admin/queues{}\">{made}</a>. It is now waiting.</p>",
            path(&made)
        )),
        "{told}"
    );
    board
        .follow(&format!("{}/act", path(&made)), &filled(&told, "remove", &[]))
        .await;
    assert!(board.ids("waiting").await.is_empty());
}
