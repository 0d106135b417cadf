//! Actions from pages, as a browser without JavaScript sends them.

use crate::support::app::Drover;
use crate::support::client::{self, Answer};
use crate::support::form::filled;
use crate::support::oracle::Oracle;
use crate::support::redis::Redis;
use drover::model::address::encode_segment;
use serde_json::json;

async fn board(env: &[(&str, &str)]) -> (Redis, Oracle, Drover, String) {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    oracle.ask("startWorker", "q", json!({"workerId": "w"})).await;
    let id = oracle.add("q", "n", json!({"fail": "no"}), json!({})).await;
    oracle.wait("q", "failed", 1).await;
    oracle.ask("stopWorker", "q", json!({"workerId": "w"})).await;
    let url = redis.url();
    let env: Vec<(&str, &str)> = [("DROVER_REDIS_URL", url.as_str())]
        .iter()
        .chain(env)
        .copied()
        .collect();
    let drover = Drover::with(&env, "").await;
    drover.knows("bull:q").await;
    (redis, oracle, drover, id)
}

async fn send(drover: &Drover, path: &str, body: &str) -> Answer {
    let headers = [
        ("Sec-Fetch-Site", "same-origin"),
        ("Content-Type", "application/x-www-form-urlencoded"),
    ];
    client::request(drover.port, "POST", &format!("/admin/queues{path}"), &headers, body).await
}

/// A page without the markers that separate its texts for the browser.
fn plain(page: &str) -> String {
    page.replace("<!>", "")
}

/// The page that an answer redirects to.
async fn follow(drover: &Drover, answer: &Answer) -> Answer {
    assert_eq!(answer.status, 303, "{}", answer.body);
    // The fragment is for the browser alone.
    let path = answer.header("location").unwrap().split('#').next().unwrap();
    client::get(drover.port, path).await
}

#[tokio::test]
async fn a_retry_asks_nothing_and_its_page_tells_what_became_of_it() {
    let (_redis, mut oracle, drover, id) = board(&[]).await;
    let path = format!("/queues/redis/bull:q/jobs/{id}");
    let page = drover.get(&path).await.body;
    assert!(page.contains(">Retry</button>"), "{page}");
    let retry = filled(&page, "retry", &[]);
    let removal = drover.get(&format!("{path}/act?action=remove")).await.body;
    let told = follow(&drover, &send(&drover, &format!("{path}/act"), &retry).await).await;
    assert_eq!(told.status, 200);
    assert!(told.body.contains("class=\"asked done\""), "{}", told.body);
    let sentence = format!("<p>Retried job {id}. It is now waiting.</p>");
    assert!(plain(&told.body).contains(&sentence), "{}", told.body);
    assert!(!told.body.contains(">Retry</button>"), "a waiting job is not retried");
    assert_eq!(oracle.ids("q", "waiting", true).await, std::slice::from_ref(&id));
    // The same again, from another tab: the action had been done already.
    let told = follow(&drover, &send(&drover, &format!("{path}/act"), &retry).await).await;
    assert!(told.body.contains("Already done: "), "{}", told.body);
    // And a form that was opened before: the job has changed since.
    let remove = filled(&removal, "remove", &[]);
    let told = follow(&drover, &send(&drover, &format!("{path}/act"), &remove).await).await;
    assert!(
        told.body.contains("class=\"asked not-done\"") && told.body.contains("it has changed since it was shown"),
        "{}",
        told.body
    );
    // An action's id from elsewhere shows nothing.
    let other = drover.get(&format!("{path}?asked=nonsense")).await;
    assert!(!other.body.contains("class=\"asked"));
}

#[tokio::test]
async fn a_removal_asks_first_in_one_sentence_and_leads_to_the_record() {
    let (_redis, _oracle, drover, id) = board(&[("DROVER_ENVIRONMENT", "staging")]).await;
    let path = format!("/queues/redis/bull:q/jobs/{id}");
    let page = drover.get(&path).await.body;
    let danger = page.split("<details class=\"danger\">").nth(1).unwrap();
    assert!(danger.contains("act?action=remove"), "{danger}");
    let form = drover.get(&format!("{path}/act?action=remove")).await;
    assert!(
        form.body
            .contains(&format!("Remove job {id} of queue q in redis (staging) permanently.")),
        "{}",
        form.body
    );
    let remove = filled(&form.body, "remove", &[("reason", "test data")]);
    let told = follow(&drover, &send(&drover, &format!("{path}/act"), &remove).await).await;
    assert!(
        told.body.contains("<h1>Audit</h1>") && told.body.contains("“test data”"),
        "{}",
        told.body
    );
    assert_eq!(drover.get(&path).await.status, 404);
}

#[tokio::test]
async fn a_form_with_a_mistake_comes_back_as_it_was_filled_in() {
    let (_redis, _oracle, drover, id) = board(&[]).await;
    let path = format!("/queues/redis/bull:q/jobs/{id}/act");
    let form = drover.get(&format!("{path}?action=edit_data")).await.body;
    assert!(
        form.contains("{&quot;fail&quot;:&quot;no&quot;}") || form.contains(r#"{"fail":"no"}"#),
        "{form}"
    );
    let wrong = send(&drover, &path, &filled(&form, "edit_data", &[("data", "{<b>")])).await;
    assert_eq!(wrong.status, 422, "{}", wrong.body);
    assert!(
        wrong.body.contains("is not JSON") && wrong.body.contains("{&lt;b&gt;"),
        "{}",
        wrong.body
    );
    assert!(drover.audit("").await.is_empty());
    let right = send(&drover, &path, &filled(&form, "edit_data", &[("data", r#"{"a": 1}"#)])).await;
    follow(&drover, &right).await;
    assert_eq!(drover.job("bull:q", &id).await["data"]["text"], r#"{"a": 1}"#);
    let retry = drover.get(&format!("{path}?action=retry")).await.body;
    let untouched = filled(&retry, "retry", &[("data", r#"{"a": 1}"#), ("reset_attempts", "true")]);
    follow(&drover, &send(&drover, &path, &untouched).await).await;
    let entry = &drover.audit("").await[0];
    assert_eq!(
        (&entry["action"], &entry["result"]),
        (&json!("retry"), &json!("done")),
        "{entry}"
    );
    assert!(!entry["sentence"].as_str().unwrap().contains("other data"), "{entry}");
}

#[tokio::test]
async fn what_stands_in_a_text_area_stays_in_it() {
    let (_redis, mut oracle, drover, _) = board(&[]).await;
    let evil = "</textarea><img src=x onerror=alert(1)>&lt;";
    let id = oracle
        .add("q", evil, json!({"a": evil}), json!({"delay": 1_000_000}))
        .await;
    let path = format!("/queues/redis/bull:q/jobs/{id}");
    for page in [
        format!("{path}/act?action=edit_data"),
        format!("{path}/act?action=remove"),
        path,
    ] {
        let page = drover.get(&page).await;
        assert_eq!(page.status, 200);
        assert!(!page.body.contains("<img"), "{}", page.body);
    }
    let form = drover
        .get(&format!("/queues/redis/bull:q/jobs/{id}/act?action=edit_data"))
        .await
        .body;
    assert!(
        form.contains("&lt;/textarea&gt;&lt;img src=x onerror=alert(1)&gt;&amp;lt;"),
        "{form}"
    );
}

#[tokio::test]
async fn a_queue_is_paused_with_a_reason_and_resumed() {
    let (_redis, mut oracle, drover, _) = board(&[]).await;
    let form = drover.get("/queues/redis/bull:q/act?action=pause").await.body;
    let answer = send(
        &drover,
        "/queues/redis/bull:q/act",
        &filled(&form, "pause", &[("reason", "deploy")]),
    )
    .await;
    assert_eq!(answer.header("location"), Some("/admin/queues/queues/redis/bull:q#act"));
    assert_eq!(oracle.ask("isPaused", "q", json!({})).await, true);
    // The page after the redirect knows already: it does not offer the action again that has just been done.
    let page = follow(&drover, &answer).await.body;
    assert!(
        page.contains("): deploy") && !page.contains(">Pause</button>"),
        "{page}"
    );
    let resume = filled(&page, "resume", &[]);
    let page = follow(&drover, &send(&drover, "/queues/redis/bull:q/act", &resume).await).await;
    assert_eq!(oracle.ask("isPaused", "q", json!({})).await, false);
    assert!(
        page.body.contains(">Pause</button>") && !page.body.contains(">Resume</button>"),
        "{}",
        page.body
    );
}

#[tokio::test]
async fn what_cannot_be_done_is_no_button_but_a_sentence() {
    let (_redis, _oracle, drover, id) = board(&[("DROVER_READ_ONLY", "true")]).await;
    let job = format!("/queues/redis/bull:q/jobs/{id}");
    for path in [
        job.clone(),
        "/queues/redis/bull:q".into(),
        format!("{job}/act?action=remove"),
    ] {
        let page = drover.get(&path).await.body;
        let main = page.split("<main").nth(1).unwrap();
        assert!(main.contains("read-only"), "{path}: {main}");
        assert!(
            !main.contains("method=\"post\"") || main.contains("class=\"refusal\""),
            "{path}: {main}"
        );
        assert!(!main.contains("class=\"go\""), "{path}");
    }
    let forced = send(&drover, &format!("{job}/act"), "action=remove").await;
    assert_eq!(forced.status, 403);
    assert!(forced.body.contains("Read-only"), "{}", forced.body);
}

#[tokio::test]
async fn the_record_has_a_page_with_filters_and_a_way_to_older_entries() {
    let (_redis, _oracle, drover, id) = board(&[]).await;
    assert!(drover.get("/audit").await.body.contains("No actions yet"));
    for n in 0..53 {
        let path = format!("/queues/redis/bull:q/jobs/{}/retry", if n == 0 { &id } else { "nope" });
        drover.post(&path, &json!({"reason": format!("try {n}.")})).await;
    }
    let page = drover.get("/audit").await.body;
    assert!(page.contains("“try 52.”") && !page.contains("“try 0.”"));
    let older = page
        .split("href=\"/admin/queues/audit?cursor=")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    assert!(
        drover
            .get(&format!("/audit?cursor={older}"))
            .await
            .body
            .contains("“try 0.”")
    );
    let of_job = format!("/audit?queue={}&job={id}", encode_segment("redis/bull:q"));
    let page = drover.get(&of_job).await.body;
    assert!(page.contains("“try 0.”") && !page.contains("“try 52.”"), "{page}");
    assert_eq!(drover.get("/audit?queue=nothing").await.status, 400);
}

#[tokio::test]
async fn a_form_that_is_sent_twice_adds_one_job() {
    let (_redis, mut oracle, drover, _) = board(&[]).await;
    let path = "/queues/redis/bull:q/act";
    let form = drover.get(&format!("{path}?action=add")).await.body;
    let typed = [
        ("name", "mail"),
        ("data", "{\r\n \"a\": 1 }"),
        ("delay", "3600"),
        ("priority", ""),
        ("options", ""),
    ];
    let add = filled(&form, "add", &typed);
    let first = send(&drover, path, &add).await;
    let second = send(&drover, path, &add).await;
    assert_eq!(first.status, 303, "{}", first.body);
    assert_eq!(first.header("location"), second.header("location"));
    let page = follow(&drover, &first).await;
    assert!(
        page.body.contains("delayed") && page.body.contains(">Run now</button>"),
        "{}",
        page.body
    );
    assert_eq!(oracle.ids("q", "delayed", true).await.len(), 1);
    assert_eq!(drover.audit("").await.len(), 1);
    let wrong = send(
        &drover,
        path,
        &filled(&form, "add", &[("name", "mail"), ("data", "1"), ("attempts", "many")]),
    )
    .await;
    assert_eq!(wrong.status, 422);
    assert!(
        wrong.body.contains("not a whole number") && wrong.body.contains("value=\"many\""),
        "{}",
        wrong.body
    );
}

#[tokio::test]
async fn a_schedule_is_added_run_and_removed() {
    let (_redis, mut oracle, drover, _) = board(&[]).await;
    let path = "/queues/redis/bull:q/act";
    let form = drover.get(&format!("{path}?action=schedule")).await.body;
    let typed = [
        ("schedule_key", "daily/1"),
        ("name", "report"),
        ("every_ms", "3600"),
        ("data", "{}"),
    ];
    let nameless = send(&drover, path, &filled(&form, "schedule", &typed[1..])).await;
    assert_eq!(nameless.status, 422, "{}", nameless.body);
    let page = follow(&drover, &send(&drover, path, &filled(&form, "schedule", &typed)).await).await;
    assert!(page.body.contains("Saved schedule daily/1."), "{}", page.body);
    let run = filled(&page.body, "run", &[]);
    let sent_to = page
        .body
        .split("action=\"")
        .skip(1)
        .map(|part| part.split('"').next().unwrap());
    let act = sent_to.into_iter().find(|address| address.contains("daily")).unwrap();
    let act = act
        .replace("&amp;", "&")
        .strip_prefix("/admin/queues")
        .unwrap()
        .to_owned();
    let before = oracle.counts("q").await;
    let page = follow(&drover, &send(&drover, &act, &run).await).await;
    assert!(
        page.body.contains("Ran schedule daily/1.") && page.body.contains(">Remove the new job</button>"),
        "{}",
        page.body
    );
    follow(&drover, &send(&drover, &act, &run).await).await;
    let after = oracle.counts("q").await;
    assert_eq!(
        after["waiting"].as_u64().unwrap() - before["waiting"].as_u64().unwrap(),
        1,
        "run once: {before} {after}"
    );
    let joint = if act.contains('?') { '&' } else { '?' };
    let form = drover.get(&format!("{act}{joint}action=remove")).await.body;
    assert!(
        form.contains("Remove schedule daily/1 of queue q in redis permanently, with its next job."),
        "{form}"
    );
    follow(&drover, &send(&drover, &act, &filled(&form, "remove", &[])).await).await;
    let words: Vec<_> = drover
        .audit("")
        .await
        .iter()
        .map(|e| format!("{} {}", e["action"], e["result"]).replace('"', ""))
        .collect();
    assert_eq!(words, ["remove done", "run done", "upsert done"]);
}

#[tokio::test]
async fn all_that_failed_like_one_are_found_from_its_page() {
    let (_redis, mut oracle, drover, _) = board(&[]).await;
    let mut first = String::new();
    for n in 0..14 {
        let data = json!({"fail": format!("refund window closed for SO-{}", 5_971_086 + n)});
        first = oracle.add("q", "refund", data, json!({})).await;
    }
    oracle
        .add("q", "refund", json!({"fail": "card_declined: expired_card"}), json!({}))
        .await;
    oracle.ask("startWorker", "q", json!({"workerId": "w"})).await;
    oracle.wait("q", "failed", 16).await;
    drover.counts_become("bull:q", &oracle.counts("q").await).await;
    let page = drover.get(&format!("/queues/redis/bull:q/jobs/{first}")).await.body;
    let mut links = page.split("href=\"").map(|part| part.split('"').next().unwrap());
    let link = links.find(|link| link.contains("/operations/new?")).unwrap();
    let link = link.replace("&amp;", "&");
    // The user can edit the filter before anything is counted.
    let form = client::get(drover.port, &link).await.body;
    let filter = "state:failed queue:redis/bull:q error:&quot;refund window closed for&quot;";
    assert!(form.contains(filter), "{form}");
    let preview = crate::operations::preview(&drover, "retry", &filter.replace("&quot;", "\"")).await;
    assert_eq!(preview["selected"], 14, "{preview}");
}

#[tokio::test]
async fn a_list_that_a_retry_has_emptied_blames_no_retention() {
    let (_redis, oracle, drover, id) = board(&[]).await;
    let mut oracle = oracle;
    let retry = format!("/queues/redis/bull:q/jobs/{id}/retry");
    assert_eq!(drover.post(&retry, &json!({})).await.status, 200);
    drover.counts_become("bull:q", &oracle.counts("q").await).await;
    let page = drover.get("/queues/redis/bull:q?state=failed").await.body;
    assert!(
        page.contains("There are no failed jobs now.") && !page.contains("Retention"),
        "{page}"
    );
}
