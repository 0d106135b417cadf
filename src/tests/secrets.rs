//! No answer shows the secrets in jobs, wherever they are and however a client asks for them (S-20, S-24, S-25, S-26).
//!
//! The real BullMQ and the real pg-boss put 38 canaries into everything that can hold one. Then the test fetches every
//! route, tries every search, and adds, edits, retries, archives and shows jobs; at the end it searches pages, answers,
//! streams, the audit log, the journals of operations and Drover's own log for them.

mod crawl;
mod planted;
mod shown;

use crate::operations;
use crate::support::app::Drover;
use crate::support::client::Stream;
use crate::support::oracle::Oracle;
use crate::support::postgres::Postgres;
use crate::support::process::Process;
use crate::support::redis::Redis;
use crate::support::{LATER, eventually};
use crawl::Known;
use drover::model::address::encode_segment;
use drover::server::tasks::Tasks;
use planted::{CANARIES, PARCEL};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::{Arc, Mutex};
use tokio_util::sync::CancellationToken;

/// Real stores, real libraries, and the program itself with its most detailed log.
struct Town {
    _redis: Redis,
    _postgres: Postgres,
    bullmq: Oracle,
    pgboss: Oracle,
    process: Process,
    drover: Drover,
    /// Failed, completed, and one that waits, of BullMQ and of pg-boss.
    shop: Vec<String>,
    letters: Vec<String>,
    /// The text of a stream.
    heard: Arc<Mutex<String>>,
}

impl Town {
    async fn build() -> Self {
        let (redis, postgres) = (Redis::start(), Postgres::start().await);
        let mut bullmq = Oracle::start(&redis.url(), 6).await;
        let quiet = json!({"supervise": false, "schedule": false});
        let mut pgboss = Oracle::pgboss(&postgres.url(), "12", "pgboss", quiet).await;
        pgboss.ask("createQueue", "letters", json!({"options": {}})).await;
        // A name that would be another line of the log (S-25).
        bullmq.add("evil\n{level=error}", "n", json!({}), json!({})).await;
        let options = json!({"delay": 3_600_000, "authToken": "cnry23option"});
        let failing = json!({"attempts": 1, "authToken": "cnry23option"});
        let waits = bullmq.add("shop", "label", planted::data(), options).await;
        let plan = json!({
            "schedulerId": "plan",
            "repeat": {"every": 3_600_000, "offset": 1_000},
            "template": {"name": "label", "data": {"webhookSecret": "cnry24template", "note": PARCEL}},
        });
        bullmq.ask("upsertScheduler", "plans", plan).await;
        let data = json!({"webhookSecret": "cnry24template", "note": PARCEL});
        let daily = json!({"method": "schedule", "args": ["letters", "0 3 * * *", data]});
        pgboss.ask("call", "letters", daily).await;
        let env = vec![
            ("DROVER_POSTGRES_URL", postgres.url()),
            ("DROVER_ARCHIVE_ALLOW_UNSAFE", "true".to_owned()),
            ("DROVER_AUTH_MODE", "none".to_owned()),
            ("DROVER_LOG", "debug".to_owned()),
        ];
        let process = Process::with(&redis.url(), env).await;
        let drover = Drover {
            store: "redis",
            port: process.port,
            stop: CancellationToken::new(),
            tasks: Tasks::new(CancellationToken::new()),
            serving: None,
            state: tempfile::tempdir().unwrap(),
        };
        for (store, queue) in [("redis", "bull:shop"), ("redis", "bull:plans"), ("postgres", "letters")] {
            eventually(queue, LATER, || drover.queue(store, queue)).await;
        }
        let heard = Arc::new(Mutex::new(String::new()));
        let topics = "overview,queue:redis/bull%3Ashop,queue:postgres/letters";
        let mut stream = Stream::open(drover.port, &format!("/admin/queues/events?topics={topics}"), &[]).await;
        let ear = heard.clone();
        tokio::spawn(async move {
            while let Some(event) = stream.next().await {
                ear.lock().unwrap().push_str(&event.data.to_string());
            }
        });
        let failed = bullmq.add("shop", "label", planted::failing(), failing).await;
        let done = bullmq.add("shop", "label", planted::returning(), json!({})).await;
        bullmq.ask("startWorker", "shop", json!({"workerId": "w"})).await;
        bullmq.wait("shop", "failed", 1).await;
        bullmq.wait("shop", "completed", 1).await;
        bullmq.ask("stopWorker", "shop", json!({"workerId": "w"})).await;
        let mut letters = Vec::new();
        for (data, state) in [
            (planted::failing_letter(), "failed"),
            (planted::returning(), "completed"),
        ] {
            let send = json!({"data": data, "options": {"retryLimit": 0}});
            let id = pgboss.ask("send", "letters", send).await["jobId"]
                .as_str()
                .unwrap()
                .to_owned();
            if state == "failed" {
                pgboss.ask("startWorker", "letters", json!({"workerId": "p"})).await;
            }
            pgboss
                .ask("waitUntil", "letters", json!({"jobId": id, "state": state}))
                .await;
            letters.push(id);
        }
        pgboss.ask("stopWorker", "letters", json!({"workerId": "p"})).await;
        let send = json!({"data": planted::data(), "options": {"startAfter": 3_600}});
        let later = pgboss.ask("send", "letters", send).await["jobId"]
            .as_str()
            .unwrap()
            .to_owned();
        letters.push(later);
        // The libraries have them.
        let job = bullmq.job("shop", &failed).await.to_string();
        assert!(
            job.contains("cnry01pw") && job.contains("cnry19error") && job.contains("cnry21log"),
            "{job}"
        );
        let town = Self {
            _redis: redis,
            _postgres: postgres,
            bullmq,
            pgboss,
            process,
            drover,
            shop: vec![failed, done, waits],
            letters,
            heard,
        };
        let began = std::time::Instant::now();
        while town.heard.lock().unwrap().matches("for user bob").count() < 2 {
            assert!(
                began.elapsed() < LATER,
                "one of the failures is not in {}",
                town.heard.lock().unwrap()
            );
            tokio::time::sleep(std::time::Duration::from_millis(25)).await;
        }
        town
    }

    fn known(&self) -> Known {
        let (redis, postgres) = (
            vec!["data", "opts", "failedReason", "stacktrace", "returnvalue", "progress"],
            vec!["data", "output"],
        );
        Known {
            queues: vec![
                ("redis", "bull:shop", self.shop.clone(), redis),
                ("postgres", "letters", self.letters.clone(), postgres),
            ],
            schedule: ("redis", "bull:plans", "plan"),
            operations: vec![],
            archived: vec![],
        }
    }

    async fn count(&self, path: &str, list: &str) -> usize {
        let answer = self.drover.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.json()[list]
            .as_array()
            .unwrap_or_else(|| panic!("{path}: {}", answer.body))
            .len()
    }

    /// How many jobs each way of searching finds: what `words` makes of a keyword of the search and a text.
    async fn hits(&self, text: &str) -> Vec<(String, usize)> {
        let quoted = |word: &str| encode_segment(&format!("{word}:\"{text}\""));
        let plain = encode_segment(text);
        let (shop, letters) = ("redis/bull%3Ashop", "postgres/letters");
        let mut hits = Vec::new();
        for (path, list) in [
            (
                format!("/api/v1/queues/{shop}/jobs?state=failed&q={}", quoted("error")),
                "rows",
            ),
            (
                format!("/api/v1/queues/{letters}/jobs?state=failed&q={}", quoted("error")),
                "rows",
            ),
            (
                format!("/api/v1/queues/{letters}/jobs?state=failed&q={}", quoted("data")),
                "rows",
            ),
            (
                format!("/api/v1/queues/{letters}/jobs?state=delayed&q={}", quoted("data")),
                "rows",
            ),
            (
                format!("/api/v1/queues/{shop}/jobs/{}/logs?q={plain}", self.shop[0]),
                "lines",
            ),
            (format!("/api/v1/archive/jobs?error={plain}"), "items"),
            (format!("/api/v1/archive/jobs?text={plain}"), "items"),
        ] {
            hits.push((path.clone(), self.count(&path, list).await));
        }
        let filter = format!("state:failed error:\"{text}\"");
        let preview = operations::preview(&self.drover, "retry", &filter).await;
        hits.push((filter, usize::try_from(preview["selected"].as_u64().unwrap()).unwrap()));
        hits
    }
}

fn leaks(what: &str, text: &str) -> Vec<String> {
    let found = CANARIES.iter().filter(|canary| text.contains(**canary));
    found.map(|canary| format!("{canary} in {what}")).collect()
}

/// Every file below a folder.
fn files(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            let bytes = std::fs::read(&path).unwrap();
            found.push((path.display().to_string(), String::from_utf8_lossy(&bytes).into_owned()));
        }
    }
}

#[tokio::test]
async fn secrets_are_seen_by_nobody_wherever_they_stand() {
    let mut town = Town::build().await;
    let mut known = town.known();
    // The audit log records the actions on them.
    let job = |id: &str| format!("/queues/redis/bull%3Ashop/jobs/{id}");
    let new = json!({"name": "label", "data": "{\"password\":\"cnry26added\"}", "reason": "with token=cnry28reason"});
    let answer = town.drover.post("/queues/redis/bull%3Ashop/jobs", &new).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let added = answer.json()["job"].as_str().unwrap().to_owned();
    let mut edited = planted::data();
    edited["password"] = json!("cnry27edited");
    let edit = json!({"data": edited.to_string(), "reason": "token=cnry28reason"});
    let answer = town.drover.post(&format!("{}/edit_data", job(&added)), &edit).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let cancel = json!({"error": "stopped: password=cnry30cancelled"});
    let answer = town.drover.post(&format!("{}/cancel", job(&added)), &cancel).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    known.queues[0].2.push(added.clone());
    let before = crawl::live(&town.drover, &known).await;
    // An operation that archives the failed jobs, and one that retries what it puts back.
    for filter in ["state:failed", "state:completed"] {
        let preview = operations::preview(&town.drover, "archive", filter).await;
        let reason = json!({"reason": "moved with token=cnry28reason"});
        let id = operations::start(&town.drover, &preview, reason).await;
        let ended = operations::becomes(&town.drover, &id, "done").await;
        assert_eq!(ended["totals"]["done"], 2, "{ended}");
        known.operations.push(id);
    }
    let rows = town.drover.get("/api/v1/archive/jobs").await.json();
    let rows = rows["items"].as_array().unwrap();
    known.archived = rows.iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(known.archived.len(), 4);
    // Archived jobs are no longer in their queues; the others and the archived ones are fetched now.
    for (_, _, jobs, _) in &mut known.queues {
        jobs.drain(..2);
    }
    let after = crawl::everything(&town.drover, &known).await;
    assert!(before.len() + after.len() > 150, "{} and {}", before.len(), after.len());
    let mut found: Vec<String> = before
        .iter()
        .chain(&after)
        .flat_map(|(what, text)| leaks(what, text))
        .collect();
    found.extend(leaks("the stream", &town.heard.lock().unwrap()));
    // Drover's own files and log.
    let mut kept = vec![("the log".to_owned(), town.process.log())];
    files(town.process.state.path(), &mut kept);
    assert!(
        kept.len() >= 3,
        "audit, operations: {:?}",
        kept.iter().map(|(name, _)| name).collect::<Vec<_>>()
    );
    found.extend(kept.iter().flat_map(|(what, text)| leaks(what, text)));
    assert!(found.is_empty(), "{} leaks:\n{}", found.len(), found.join("\n"));
    // Each name is on one line.
    let log = town.process.log();
    assert!(!log.lines().any(|line| line.starts_with("{level=error}")), "{log}");
    // And values that are no secret are still there.
    let all: String = before.into_iter().map(|(_, text)| text).collect();
    for innocent in [
        PARCEL,
        "for user bob",
        "sent to depot",
        "[redacted]",
        "example.test/feed",
        "pages",
    ] {
        assert!(all.contains(innocent), "{innocent} is not shown anywhere");
    }
    let job = town.bullmq.job("shop", &added).await;
    assert_eq!(job["data"]["password"], "cnry27edited", "what is stored is exact");
    let archived = town
        .pgboss
        .ask("job", "letters", json!({"jobId": town.letters[0]}))
        .await;
    assert_eq!(archived, Value::Null);
}

#[tokio::test]
async fn nobody_finds_a_secret_by_searching_for_it() {
    let town = Town::build().await;
    // One of each stays, and one of each is archived as well.
    let preview = operations::preview(&town.drover, "archive", "state:completed").await;
    let id = operations::start(&town.drover, &preview, json!({})).await;
    operations::becomes(&town.drover, &id, "done").await;
    for canary in CANARIES {
        // Letter by letter, a guess is no better than no guess (S-20).
        for text in [&canary[..6], canary] {
            for (how, hits) in town.hits(text).await {
                assert_eq!(hits, 0, "{text} is found by {how}");
            }
        }
    }
    let found = |hits: &[(String, usize)]| hits.iter().map(|(_, n)| *n).collect::<Vec<_>>();
    // The data of the one in pg-boss contain its error message.
    assert_eq!(found(&town.hits("for user bob").await), [1, 1, 1, 0, 0, 0, 0, 2]);
    assert_eq!(found(&town.hits(PARCEL).await), [0, 0, 1, 1, 0, 0, 2, 0]);
    assert_eq!(found(&town.hits("sent to depot").await)[4], 1);
}

#[tokio::test]
async fn what_is_hidden_is_never_written_into_a_job() {
    let mut town = Town::build().await;
    let [failed, _, waits] = &town.shop[..] else {
        panic!("three jobs")
    };
    let (failed, waits) = (failed.clone(), waits.clone());
    let job = |id: &str| format!("/queues/redis/bull%3Ashop/jobs/{id}");
    // The shown value, sent back.
    let shown = town.drover.get(&format!("/api/v1{}", job(&waits))).await.json();
    let shown = shown["data"]["text"].as_str().unwrap().to_owned();
    assert!(shown.contains("[redacted]") && shown.contains(PARCEL), "{shown}");
    for (path, body) in [
        (format!("{}/edit_data", job(&waits)), json!({"data": shown})),
        (format!("{}/retry", job(&failed)), json!({"data": shown})),
        (
            "/queues/redis/bull%3Ashop/jobs".to_owned(),
            json!({"name": "n", "data": shown}),
        ),
        (
            "/queues/postgres/letters/jobs".to_owned(),
            json!({"name": "letters", "data": shown}),
        ),
    ] {
        let answer = town.drover.post(&path, &body).await;
        assert!(
            answer.status >= 400 && answer.body.contains("contains hidden values"),
            "{path}: {}",
            answer.body
        );
    }
    let form = town
        .drover
        .get(&format!("{}/act?action=edit_data", job(&waits)))
        .await
        .body;
    assert!(
        form.contains("[redacted]") && form.contains("Some of its values are hidden"),
        "{form}"
    );
    let fields = [
        ("action", "edit_data"),
        ("data", shown.as_str()),
        ("seen_state", "delayed"),
    ];
    let answer = town.drover.send_form(&format!("{}/act", job(&waits)), &fields).await;
    assert!(
        answer.status == 422 && answer.body.contains("contains hidden values"),
        "{}",
        answer.body
    );
    // A retry from a form with unchanged data leaves them as they are.
    let form = town
        .drover
        .get(&format!("{}/act?action=retry", job(&failed)))
        .await
        .body;
    let hidden = |name: &str| {
        let at = form
            .find(&format!("name=\"{name}\""))
            .unwrap_or_else(|| panic!("{name}: {form}"));
        let tag = &form[form[..at].rfind('<').unwrap()..];
        let value = &tag[tag.find("value=\"").unwrap() + 7..];
        value[..value.find('"').unwrap()].to_owned()
    };
    let masked = town.drover.get(&format!("/api/v1{}", job(&failed))).await.json();
    let masked = masked["data"]["text"].as_str().unwrap().to_owned();
    let (state, seen) = (hidden("seen_state"), hidden("was_data"));
    let fields = [
        ("action", "retry"),
        ("data", masked.as_str()),
        ("was_data", seen.as_str()),
        ("seen_state", state.as_str()),
    ];
    let answer = town.drover.send_form(&format!("{}/act", job(&failed)), &fields).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    for id in [&failed, &waits] {
        let data = town.bullmq.job("shop", id).await["data"].clone();
        assert_eq!(data["password"], "cnry01pw");
    }
}

#[tokio::test]
async fn hidden_values_are_shown_once_with_a_reason_and_on_the_record() {
    let town = Town::build().await;
    let job = format!("/queues/redis/bull%3Ashop/jobs/{}", town.shop[0]);
    let reveal = format!("{job}/reveal");
    for body in [json!({}), json!({"reason": " "})] {
        let answer = town.drover.post(&reveal, &body).await;
        assert!(
            answer.status >= 400 && answer.body.contains("reason"),
            "{}",
            answer.body
        );
        assert!(leaks("", &answer.body).is_empty());
    }
    let why = json!({"reason": "ticket 7, token=cnry28reason"});
    let answer = town.drover.post(&reveal, &why).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    // Progress, result and template are of other jobs.
    for canary in CANARIES
        .iter()
        .take(17)
        .chain(&CANARIES[18..23])
        .chain(planted::forms())
    {
        assert!(
            answer.body.contains(canary),
            "{canary} is still hidden: {}",
            answer.body
        );
    }
    // The bytes of a field, exactly.
    let stored = town
        .drover
        .post(&reveal, &json!({"reason": "r", "field": "data"}))
        .await;
    assert_eq!(stored.body, planted::failing().to_string());
    let masked = town.drover.get(&format!("/api/v1{job}/fields/data")).await.body;
    assert!(
        masked.contains("\"otp\":\"[redacted]\"") && masked.contains(PARCEL),
        "{masked}"
    );
    // On a page: requested, shown, and edited from there.
    let page = town.drover.get(&job).await.body;
    assert!(page.contains("Show hidden values"), "{page}");
    let form = town.drover.get(&reveal).await;
    assert!(form.status == 200 && form.body.contains("Reason"), "{}", form.body);
    let answer = town.drover.send_form(&reveal, &[("reason", "")]).await;
    assert!(
        answer.status == 422 && leaks("", &answer.body).is_empty(),
        "{}",
        answer.body
    );
    let answer = town.drover.send_form(&reveal, &[("reason", "ticket 8")]).await;
    assert!(
        answer.status == 200 && answer.body.contains("cnry01pw"),
        "{}",
        answer.body
    );
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert!(
        !answer.body.contains("<script"),
        "no script takes it up: {}",
        answer.body
    );
    let fields = [("reason", "ticket 9"), ("write", "edit_data")];
    let answer = town.drover.send_form(&reveal, &fields).await;
    assert!(
        answer.body.contains("cnry01pw") && answer.body.contains("name=\"revealed\""),
        "{}",
        answer.body
    );
    // The next reader sees none of it, and the audit log says who looked, and why.
    assert!(leaks("", &town.drover.get(&job).await.body).is_empty());
    let entries = town.drover.audit("").await;
    let reasons: Vec<&str> = entries
        .iter()
        .filter(|entry| entry["action"] == "reveal")
        .map(|entry| entry["reason"].as_str().unwrap())
        .collect();
    assert_eq!(reasons, ["ticket 9", "ticket 8", "r", "ticket 7, token=[redacted]"]);
}
