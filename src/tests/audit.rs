//! The audit log of several Drovers that share one Postgres: one chain, visible to all, and no entry lost while it is
//! unreachable. S-28 of the security plan.

use crate::support::app::Drover;
use crate::support::oracle::Oracle;
use crate::support::postgres::Postgres;
use crate::support::process::{command, migrate};
use crate::support::redis::Redis;
use crate::support::{LATER, eventually};
use serde_json::{Value, json};
use std::path::Path;

const PAUSE: &str = "/queues/redis/bull%3Aq/pause";
const RESUME: &str = "/queues/redis/bull%3Aq/resume";

/// A Redis with one queue, and a Postgres that waits for its disk.
async fn place() -> (Redis, Postgres, Oracle) {
    let (redis, postgres) = (Redis::start(), Postgres::start_with(&[]).await);
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    oracle.add("q", "n", json!({}), json!({})).await;
    (redis, postgres, oracle)
}

async fn over(redis: &Redis, postgres: &str, env: &[(&str, &str)]) -> Drover {
    let redis = redis.url();
    let stores = [("DROVER_REDIS_URL", redis.as_str()), ("DROVER_POSTGRES_URL", postgres)];
    let drover = Drover::with(&[&stores, env].concat(), "").await;
    drover.knows("bull:q").await;
    drover
}

/// A Drover over both, once its audit log is the shared one.
async fn sharing(redis: &Redis, postgres: &Postgres, env: &[(&str, &str)]) -> Drover {
    let drover = over(redis, &postgres.url(), env).await;
    kept_in(&drover, "the table drover.audit at ").await;
    drover
}

/// Waits until Drover says that the audit log is kept there.
async fn kept_in(drover: &Drover, place: &str) {
    eventually(&format!("the record is in {place}"), LATER * 3, || async {
        let page = drover.get("/api/v1/audit").await.json();
        page["file"].as_str().unwrap().starts_with(place).then_some(())
    })
    .await;
}

async fn act(drover: &Drover, path: &str, reason: &str) {
    let answer = drover.post(path, &json!({"reason": reason})).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}

/// The reasons in the audit log, the oldest first, once there are so many.
async fn reasons(drover: &Drover, count: usize) -> Vec<String> {
    eventually(&format!("{count} entries"), LATER, || async {
        let mut all = drover.audit("limit=200").await;
        all.reverse();
        let done = all
            .iter()
            .all(|entry| entry["result"] == "done" || entry["result"] == "already");
        let reasons = all
            .iter()
            .map(|entry| entry["reason"].as_str().unwrap_or("").to_owned());
        (all.len() == count && done).then(|| reasons.collect())
    })
    .await
}

/// The output of `drover audit verify`, and whether it found no fault.
async fn verify(postgres: &Postgres, file: &Path, more: &[&str]) -> (bool, String) {
    let file = file.display().to_string();
    let env = [("DROVER_POSTGRES_URL", postgres.url()), ("DROVER_AUDIT_FILE", file)];
    let env: Vec<(&str, &str)> = env.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let (code, text) = command(&[&["audit", "verify"], more].concat(), &env).await;
    (code == Some(0), text)
}

/// The lines of the table as they are, in their order.
async fn texts(postgres: &Postgres) -> Vec<String> {
    let sql = "SELECT line FROM drover.audit ORDER BY seq";
    let mut connection = postgres.connection().await;
    sqlx::query_scalar(sql).fetch_all(&mut connection).await.unwrap()
}

/// The lines of the table, in their order.
async fn lines(postgres: &Postgres) -> Vec<Value> {
    let lines = texts(postgres).await;
    lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// `drover audit export --follow` of the table: its output and its log, while the process is kept.
struct Export {
    _process: tokio::process::Child,
    out: tempfile::NamedTempFile,
    log: tempfile::NamedTempFile,
}

impl Export {
    fn follow(postgres: &Postgres) -> Self {
        let [out, log] = [(); 2].map(|()| tempfile::NamedTempFile::new().unwrap());
        let process = tokio::process::Command::new(env!("CARGO_BIN_EXE_drover"))
            .args(["audit", "export", "--follow"])
            .env("DROVER_CONFIG", "/dev/null")
            .env("DROVER_POSTGRES_URL", postgres.url())
            .stdout(out.reopen().unwrap())
            .stderr(log.reopen().unwrap())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self {
            _process: process,
            out,
            log,
        }
    }

    fn lines(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.out.path()).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.log.path()).unwrap()
    }
}

/// What `drover audit export` prints, and whether it succeeded.
async fn export(env: &[(&str, &str)]) -> (bool, String) {
    let (code, text) = command(&["audit", "export"], env).await;
    (code == Some(0), text)
}

#[tokio::test]
async fn two_boards_write_one_chain_and_each_tells_what_the_other_did() {
    let (redis, postgres, _oracle) = place().await;
    let (one, two) = tokio::join!(sharing(&redis, &postgres, &[]), sharing(&redis, &postgres, &[]));
    // At the same moment, repeatedly.
    for n in 0..10 {
        let (a, b) = (format!("one {n}"), format!("two {n}"));
        tokio::join!(act(&one, PAUSE, &a), act(&two, PAUSE, &b));
    }
    let (seen, also) = (reasons(&one, 20).await, reasons(&two, 20).await);
    assert_eq!(seen, also, "both tell the same in the same order");
    // Both lines of each action, in one chain.
    assert_eq!(lines(&postgres).await.len(), 40);
    let none = one.state.path().join("none");
    let (fine, says) = verify(&postgres, &none, &[]).await;
    assert!(fine && says.contains("40 lines in the table drover.audit"), "{says}");
    // The actions of one Drover are on the other's pages.
    act(&one, RESUME, "").await;
    act(&one, PAUSE, "the provider is down").await;
    eventually("the other tells who paused it", LATER, || async {
        let page = two.get("/queues/redis/bull%3Aq").await;
        page.body.contains("the provider is down").then_some(())
    })
    .await;
    // No file contains any of it.
    let file = std::fs::read_to_string(one.state.path().join("audit.ndjson")).unwrap();
    assert_eq!(file, "");
    // A Drover that starts later shows all of it.
    let three = sharing(&redis, &postgres, &[]).await;
    assert_eq!(reasons(&three, 22).await[..20], seen);
}

#[tokio::test]
async fn a_key_that_another_board_used_does_nothing_again() {
    let (redis, postgres, _oracle) = place().await;
    let (one, two) = tokio::join!(sharing(&redis, &postgres, &[]), sharing(&redis, &postgres, &[]));
    for n in 0..5 {
        let key = format!("key-{n}");
        let headers = [("Idempotency-Key", key.as_str())];
        let body = json!({"name": "n", "data": "{}"});
        let path = "/queues/redis/bull%3Aq/jobs";
        let (a, b) = tokio::join!(
            one.post_with(path, &headers, &body),
            two.post_with(path, &headers, &body)
        );
        let mut answers = [a.status, b.status];
        answers.sort_unstable();
        assert!(
            answers == [200, 409] || answers == [201, 409],
            "{answers:?}: {} {}",
            a.body,
            b.body
        );
        // A little later both give the same answer.
        for board in [&one, &two] {
            eventually("the answer of then", LATER, || async {
                let again = board.post_with(path, &headers, &body).await;
                let replayed = again.header("idempotency-replayed") == Some("true");
                (again.status < 300 && replayed).then_some(())
            })
            .await;
        }
    }
    let waiting: u64 = redis.run(&["LLEN", "bull:q:wait"]);
    assert_eq!(waiting, 6, "one that was there, and one of each key");
}

#[tokio::test]
async fn what_was_changed_taken_out_or_reordered_is_found_and_named() {
    let (redis, postgres, _oracle) = place().await;
    let drover = sharing(&redis, &postgres, &[]).await;
    for n in 0..4 {
        act(&drover, PAUSE, &format!("n{n}")).await;
    }
    let file = drover.state.path().join("none");
    drop(drover);
    let (fine, says) = verify(&postgres, &file, &[]).await;
    assert!(fine, "{says}");
    let head = says
        .split("the last line is ")
        .nth(1)
        .unwrap()
        .split_whitespace()
        .next()
        .unwrap()
        .to_owned();
    assert!(verify(&postgres, &file, &["--expect", &head]).await.0);
    postgres
        .run("CREATE TABLE public.kept AS SELECT * FROM drover.audit")
        .await;
    let again = "DELETE FROM drover.audit; INSERT INTO drover.audit SELECT * FROM public.kept";
    let tampered = [
        (
            "UPDATE drover.audit SET line = replace(line, '\"n1\"', '\"n9\"') WHERE seq = 3",
            "row 3 was changed",
        ),
        // If its hash is made to match, the next line reveals the change.
        (
            "UPDATE drover.audit SET line = replace(line, '\"n1\"', '\"n9\"') WHERE seq = 3; \
             UPDATE drover.audit SET hash = encode(sha256(line::bytea), 'hex') WHERE seq = 3",
            "row 4 does not follow",
        ),
        ("DELETE FROM drover.audit WHERE seq = 5", "row 5 missing"),
        ("DELETE FROM drover.audit WHERE seq < 3", "rows 1 to 2 missing"),
        ("DELETE FROM drover.audit WHERE seq > 6", "rows 7 to 8 missing"),
        (
            "UPDATE drover.audit SET seq = -seq WHERE seq IN (3, 4); UPDATE drover.audit SET seq = 7 + seq WHERE seq < 0",
            "row 3 does not follow",
        ),
        ("UPDATE drover.audit SET id = 'x' WHERE seq = 2", "row 2 was changed"),
    ];
    for (sql, tells) in tampered {
        postgres.run(sql).await;
        let (fine, says) = verify(&postgres, &file, &[]).await;
        assert!(!fine && says.contains(tells), "{sql}: {says}");
        postgres.run(again).await;
        assert!(verify(&postgres, &file, &[]).await.0, "it is as it was");
    }
    // The hash that was noted elsewhere reveals a rewrite of the whole end.
    postgres
        .run(
            "DELETE FROM drover.audit WHERE seq > 6; UPDATE drover.audit_head SET (seq, hash) = \
             (SELECT seq, hash FROM drover.audit ORDER BY seq DESC LIMIT 1)",
        )
        .await;
    assert!(verify(&postgres, &file, &[]).await.0);
    let (fine, says) = verify(&postgres, &file, &["--expect", &head]).await;
    assert!(!fine && says.contains("cut off or changed"), "{says}");
}

#[tokio::test]
async fn while_that_postgres_is_away_actions_go_on_and_are_carried_over_in_order() {
    let (redis, mut postgres, _oracle) = place().await;
    let (one, two) = tokio::join!(sharing(&redis, &postgres, &[]), sharing(&redis, &postgres, &[]));
    act(&one, PAUSE, "before").await;
    reasons(&two, 1).await;
    let shipped = Export::follow(&postgres);
    eventually("the first lines are shipped", LATER, || async {
        (shipped.lines().len() == 2).then_some(())
    })
    .await;
    // Frozen: it accepts connections and sends nothing.
    postgres.freeze();
    act(&one, RESUME, "frozen").await;
    postgres.thaw();
    kept_in(&one, "the table").await;
    reasons(&two, 2).await;
    // Dead.
    postgres.kill();
    act(&one, PAUSE, "dead 1").await;
    act(&one, RESUME, "dead 2").await;
    let page = one.get("/audit").await;
    assert!(
        page.body.contains("until Postgres accepts them") && page.body.contains("dead 2"),
        "{}",
        page.body
    );
    let file = one.state.path().join("audit.ndjson");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("dead 1") && !text.contains("before"), "{text}");
    eventually("the export says what it waits for", LATER, || async {
        shipped.log().contains("waiting for it").then_some(())
    })
    .await;
    let env = [("DROVER_POSTGRES_URL", &*postgres.url())];
    let (fine, says) = export(&env).await;
    assert!(!fine && says.contains("the table drover.audit at "), "{says}");
    postgres.restart(&[]).await;
    kept_in(&one, "the table").await;
    act(&one, PAUSE, "after").await;
    let all = ["before", "frozen", "dead 1", "dead 2", "after"];
    assert_eq!(reasons(&two, 5).await, all);
    assert_eq!(reasons(&one, 5).await, all);
    let lines = lines(&postgres).await;
    assert_eq!(lines.len(), 10, "each once: {lines:?}");
    for line in &lines {
        let carried = !line["carried"].is_null();
        let reason = line["reason"].as_str().unwrap();
        assert!(carried == reason.starts_with("dead") || reason == "frozen", "{line}");
    }
    // The entry on the other board says where it was kept meanwhile.
    let told = two.audit("limit=10").await;
    let dead = told.iter().find(|entry| entry["reason"] == "dead 1").unwrap();
    assert!(dead["detail"].as_str().unwrap().contains("copied here"), "{dead}");
    let (fine, says) = verify(&postgres, &file, &[]).await;
    assert!(fine && says.contains("10 lines in the table"), "{says}");
    // The export went on where it was: each line once, byte for byte and in order.
    let stored = texts(&postgres).await;
    eventually("all lines are shipped", LATER, || async {
        (shipped.lines().len() >= 10).then_some(())
    })
    .await;
    assert_eq!(shipped.lines(), stored);
    assert_eq!(export(&env).await, (true, stored.join("\n") + "\n"));
    // Lines that were shipped and are gone again, as from a backup: it does not go on as if nothing had happened.
    postgres.run("DELETE FROM drover.audit WHERE seq > 8").await;
    eventually("the export ends", LATER, || async {
        shipped.log().contains("exported last is gone").then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_a_file_holds_from_before_is_taken_over_once() {
    let (redis, postgres, _oracle) = place().await;
    let alone = Drover::over(&redis.url()).await;
    alone.knows("bull:q").await;
    act(&alone, PAUSE, "long ago").await;
    act(&alone, RESUME, "not so long ago").await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("audit.ndjson");
    std::fs::copy(alone.state.path().join("audit.ndjson"), &file).unwrap();
    drop(alone);
    let own = file.display().to_string();
    let written = std::fs::read_to_string(&file).unwrap();
    let (url, none) = (redis.url(), folder.path().join("none").display().to_string());
    let of = |file| [("DROVER_REDIS_URL", url.as_str()), ("DROVER_AUDIT_FILE", file)];
    assert_eq!(export(&of(&own)).await, (true, written));
    let (fine, says) = export(&of(&none)).await;
    assert!(!fine && says.contains("there is no audit log at"), "{says}");
    let one = sharing(&redis, &postgres, &[("DROVER_AUDIT_FILE", own.as_str())]).await;
    act(&one, PAUSE, "now").await;
    let all = ["long ago", "not so long ago", "now"];
    assert_eq!(reasons(&one, 3).await, all);
    drop(one);
    // With the note of how far it came, and without it.
    for forget in [false, true] {
        if forget {
            std::fs::remove_file(folder.path().join("audit.ndjson.carried")).unwrap();
        }
        let copy = tempfile::tempdir().unwrap();
        for name in ["audit.ndjson", "audit.ndjson.carried"] {
            let _ = std::fs::copy(folder.path().join(name), copy.path().join(name));
        }
        let own = copy.path().join("audit.ndjson").display().to_string();
        let again = sharing(&redis, &postgres, &[("DROVER_AUDIT_FILE", own.as_str())]).await;
        assert_eq!(reasons(&again, 3).await, all);
        assert_eq!(lines(&postgres).await.len(), 6);
    }
}

#[tokio::test]
async fn a_role_that_may_only_add_to_the_record_is_enough() {
    let (redis, postgres, _oracle) = place().await;
    drop(sharing(&redis, &postgres, &[]).await);
    postgres
        .run(
            "CREATE ROLE adder LOGIN; GRANT USAGE ON SCHEMA drover TO adder; \
             GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA drover TO adder; \
             REVOKE UPDATE, DELETE ON drover.audit FROM adder",
        )
        .await;
    let url = postgres.url_of("adder", "");
    let drover = over(&redis, &url, &[("DROVER_ARCHIVE_MIGRATE", "false")]).await;
    kept_in(&drover, "the table").await;
    act(&drover, PAUSE, "as it should be").await;
    assert_eq!(reasons(&drover, 1).await, ["as it should be"]);
    assert_eq!(lines(&postgres).await.len(), 2);
}

#[tokio::test]
async fn a_database_from_an_older_drover_is_said_to_be_and_the_file_goes_on() {
    let (redis, postgres, _oracle) = place().await;
    drop(sharing(&redis, &postgres, &[]).await);
    // The schema as the second migration left it.
    postgres
        .run(
            "DELETE FROM drover._sqlx_migrations WHERE version > 2; ALTER TABLE drover.policy DROP COLUMN fence; \
             DO $$ DECLARE t text; BEGIN \
             FOR t IN SELECT tablename FROM pg_tables WHERE schemaname = 'drover' AND tablename !~ '^(archive|restore|policy|_)' \
             LOOP EXECUTE 'DROP TABLE drover.' || t || ' CASCADE'; END LOOP; END $$",
        )
        .await;
    let drover = over(&redis, &postgres.url(), &[("DROVER_ARCHIVE_MIGRATE", "false")]).await;
    eventually("it says so", LATER, || async {
        let page = drover.get("/audit").await;
        page.body.contains("Run `drover migrate` to update it").then_some(())
    })
    .await;
    act(&drover, PAUSE, "in the file").await;
    let file = drover.state.path().join("audit.ndjson");
    let (fine, says) = verify(&postgres, &file, &[]).await;
    assert!(!fine && says.contains("run `drover migrate` to create it"), "{says}");
    assert!(std::fs::read_to_string(&file).unwrap().contains("in the file"));
    assert!(migrate(&postgres.url()).await.0);
    // Without a restart.
    kept_in(&drover, "the table").await;
    assert_eq!(lines(&postgres).await[0]["reason"], "in the file");
}
