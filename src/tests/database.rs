//! Drover's own data: the repositories behave the same over both backends, the file survives restarts, and no fault of
//! it keeps the board from being shown.

mod identity;

use crate::deploy::{Ends, as_nobody, only_for};
use crate::status::{MAIL, component};
use crate::support::app::Drover;
use crate::support::oracle::Oracle;
use crate::support::postgres::Postgres;
use crate::support::redis::Redis;
use crate::support::{LATER, SOON, client, eventually, free_port, now_ms};
use drover::server::archive::{Archive, Settings};
use drover::server::collect::past::{Minute, Watched};
use drover::server::database::OwnData;
use drover::server::database::days::{Day, Days};
use drover::server::database::sessions::{Changes, Session};
use drover::server::tasks::Tasks;
use drover::server::throughput::Slice;
use serde_json::json;
use sqlx::SqlitePool;
use sqlx::sqlite::SqliteConnectOptions;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The file in a folder, opened, and the tasks that keep it open.
async fn file(folder: &Path) -> (OwnData, Tasks) {
    let (data, tasks) = opening(folder);
    usable(&data).await;
    (data, tasks)
}

fn opening(folder: &Path) -> (OwnData, Tasks) {
    let tasks = Tasks::new(CancellationToken::new());
    let data = OwnData::new(None, &folder.join("audit.ndjson"));
    data.start(&tasks);
    (data, tasks)
}

async fn usable(data: &OwnData) {
    eventually("the database can be used", LATER, || async { data.ready().ok() }).await;
}

async fn close(tasks: Tasks) {
    tasks.stop().cancel();
    tasks.ended(SOON).await;
}

/// A Postgres that replicas share.
async fn shared(postgres: &Postgres) -> (OwnData, Tasks) {
    let tasks = Tasks::new(CancellationToken::new());
    let archive = Archive::new(Settings {
        url: postgres.url(),
        migrate: true,
        allow_unsafe: true,
        require_sync_standby: false,
        policies: vec![],
        keep: vec![],
        read_only: false,
    });
    let archive = Arc::new(archive.unwrap());
    archive.start(&tasks);
    let data = OwnData::new(Some(archive.shared().clone()), Path::new("unused"));
    usable(&data).await;
    (data, tasks)
}

/// A minute with so many jobs added in some of its slices; the others are not known.
fn minute(added: [Option<u32>; 6]) -> Minute {
    added.map(|added| {
        added.map(|added| Slice {
            added,
            completed: 2,
            failed: 1,
        })
    })
}

fn watched(number: i64, slices: u8, queues: &[(&str, Minute)], known: &[&str]) -> Watched {
    Watched {
        minute: number,
        slices,
        queues: queues
            .iter()
            .map(|(queue, minute)| ((*queue).to_owned(), *minute))
            .collect(),
        known: known.iter().map(|queue| (*queue).to_owned()).collect(),
    }
}

async fn keeps_minutes_and_days(data: &OwnData) {
    let now = i64::try_from(now_ms() / 60_000).unwrap();
    let (one, other) = (Some(7), None);
    let long = "x".repeat(5_000);
    let odd = [
        ("q", minute([one, one, other, other, other, other])),
        ("nul\0", minute([one; 6])),
        (&long, minute([one; 6])),
    ];
    data.note_minute("redis", &watched(now - 5, 0b11, &odd, &["q", "idle", "nul\0", &long]))
        .await
        .unwrap();
    // The same minute as another replica saw it, and again, which changes nothing.
    let more = watched(
        now - 5,
        0b110,
        &[("q", minute([other, Some(9), Some(3), other, other, other]))],
        &["q"],
    );
    for _ in 0..2 {
        data.note_minute("redis", &more).await.unwrap();
    }
    data.note_minute("redis", &watched(now - 4, 63, &[], &["q", "it's \"odd\" 🦀"]))
        .await
        .unwrap();
    data.note_minute("elsewhere", &watched(now - 5, 63, &[("q", minute([one; 6]))], &["q"]))
        .await
        .unwrap();
    let past = data.past("redis", now - 60).await.unwrap();
    let at = |queue: &str, minute: i64, slice: i64| past.slice(queue, minute * 6 + slice);
    let added = [0, 1, 2, 3].map(|slice| at("q", now - 5, slice).map(|slice| slice.added));
    assert_eq!(added, [Some(7), Some(7), Some(3), None]);
    assert_eq!(
        at("q", now - 5, 0).map(|slice| (slice.completed, slice.failed)),
        Some((2, 1))
    );
    assert_eq!(
        at("q", now - 4, 5),
        Some(Slice::default()),
        "watched, and nothing happened"
    );
    assert_eq!(at("idle", now - 5, 2), Some(Slice::default()));
    assert_eq!(at("idle", now - 5, 3), None, "it was not watched");
    assert_eq!(at("it's \"odd\" 🦀", now - 5, 0), None, "it was not known yet");
    assert_eq!(at("it's \"odd\" 🦀", now - 4, 0), Some(Slice::default()));
    assert_eq!(past.since.len(), 3, "names that fit no index are left out: {past:?}");
    assert!(data.past("redis", now - 3).await.unwrap().watched.is_empty());
    assert!(data.past("none", 0).await.unwrap().since.is_empty());
    // Data older than 90 days is removed, and with it the record that it was watched.
    let old = now - 90 * 1_440 - 10;
    data.note_minute("redis", &watched(old, 63, &[("gone", minute([one; 6]))], &["gone"]))
        .await
        .unwrap();
    assert!(data.past("redis", old).await.unwrap().watched.contains_key(&old));
    while data.forget_history(now).await.unwrap() {}
    let past = data.past("redis", 0).await.unwrap();
    assert_eq!(past.watched.keys().copied().collect::<Vec<_>>(), [now - 5, now - 4]);
    assert_eq!(past.minutes.len(), 1, "{past:?}");

    let today = drover::server::database::days::day_of(now * 60_000);
    let seen = |from: i64, missed: bool| {
        let mut days = Days::default();
        for minute in from..from + 10 {
            days.note(i64::from(today) * 86_400_000 + minute * 60_000, !missed);
        }
        days.take_unwritten()[0].1
    };
    let row = |component: &str, day: i32, seen: Day| (component.to_owned(), day, seen);
    for _ in 0..2 {
        data.note_days(&[row("mail", today, seen(0, false)), row("web", today, seen(0, false))])
            .await
            .unwrap();
        data.note_days(&[
            row("mail", today, seen(5, true)),
            row("mail", today - 90, seen(0, true)),
        ])
        .await
        .unwrap();
    }
    let ids = ["mail".to_owned(), "none".to_owned()];
    let days = async || {
        let mut days = data.days(&ids, today - 100).await.unwrap();
        days.sort_by_key(|(_, day, _)| *day);
        days.into_iter()
            .map(|(component, day, seen)| (component, day - today, seen.minutes()))
            .collect::<Vec<_>>()
    };
    let (first, last) = (("mail".to_owned(), -90, (10, 10)), ("mail".to_owned(), 0, (15, 10)));
    assert_eq!(days().await, [first, last.clone()]);
    data.forget_days(today - 89).await.unwrap();
    assert_eq!(days().await, [last]);
}

async fn keeps_sessions(data: &OwnData) {
    let session = |key: &str, name: &str, stamp: &str, at: i64| Session {
        key: key.into(),
        name: name.into(),
        stamp: stamp.into(),
        since: at,
        seen: at,
    };
    let all = [
        session("a", "ada", "1", 10),
        session("b", "it's \"odd\" 🦀", "1", 20),
        session("c", "ada", "2", 30),
        session("d", "eve", "1", 40),
    ];
    let begun = Changes {
        begun: all.to_vec(),
        ..Changes::default()
    };
    let more = Changes {
        used: vec![("a".into(), 50), ("c".into(), 5), ("gone".into(), 60)],
        ended: vec!["d".into(), "gone".into()],
        ..Changes::default()
    };
    for changes in [&begun, &begun, &more, &more] {
        data.change_sessions(changes).await.unwrap();
    }
    let keys = async || -> Vec<String> {
        let all = data.sessions(9).await.unwrap().into_iter();
        all.map(|session| format!("{} {}", session.key, session.seen)).collect()
    };
    assert_eq!(keys().await, ["a 50", "c 30", "b 20"], "a use is no beginning");
    assert_eq!(data.session("b").await.unwrap().as_ref(), Some(&all[1]));
    assert_eq!(data.session("d").await.unwrap(), None);
    data.end_sessions_of("ada", "1").await.unwrap();
    assert_eq!(keys().await, ["a 50", "b 20"]);
    data.end_sessions_of("ada", "2").await.unwrap();
    data.change_sessions(&begun).await.unwrap();
    assert_eq!(keys().await, ["d 40", "c 30", "b 20", "a 10"]);
    data.forget_sessions(10, 0, 9).await.unwrap();
    data.forget_sessions(0, 20, 9).await.unwrap();
    assert_eq!(
        keys().await,
        ["d 40", "c 30"],
        "one began too long ago, one was not used"
    );
    data.forget_sessions(0, 0, 1).await.unwrap();
    assert_eq!(keys().await, ["d 40"], "the longest unused goes first");
}

#[tokio::test]
async fn minutes_days_sessions_and_users_are_kept_alike_in_the_file_and_in_postgres() {
    let (folder, postgres) = (tempfile::tempdir().unwrap(), Postgres::start().await);
    for (data, tasks) in [file(folder.path()).await, shared(&postgres).await] {
        keeps_minutes_and_days(&data).await;
        keeps_sessions(&data).await;
        identity::keeps_users_and_tokens(&data).await;
        close(tasks).await;
    }
    // Opened again it has the same content.
    let (data, tasks) = file(folder.path()).await;
    assert_eq!(data.past("redis", 0).await.unwrap().watched.len(), 2);
    close(tasks).await;
}

/// Files that were set aside.
fn aside(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let aside = |path: &PathBuf| path.display().to_string().contains("state.db.damaged-") && !path.ends_with("-wal");
    entries.filter(aside).collect()
}

/// Overwrites the file from this fraction of it on.
fn damage(path: &Path, from: f64) {
    let mut file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    let size = file.metadata().unwrap().len();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "a part of a small file"
    )]
    let from = (size as f64 * from) as u64 / 4096 * 4096;
    file.seek(SeekFrom::Start(from)).unwrap();
    file.write_all(&vec![0xAB; usize::try_from(size - from).unwrap()])
        .unwrap();
}

#[tokio::test]
async fn a_damaged_file_is_set_aside_and_a_new_one_begun() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let names: Vec<String> = (0..2_000).map(|n| format!("queue {n}")).collect();
    let names: Vec<&str> = names.iter().map(|name| &**name).collect();
    let queues: Vec<(&str, Minute)> = names.iter().map(|name| (*name, minute([Some(1); 6]))).collect();
    // A damaged beginning is found when the file is opened. Damaged rows are found when they are read.
    for (from, found) in [(0.0, "opened"), (0.3, "read")] {
        let (data, tasks) = file(folder.path()).await;
        data.note_minute("redis", &watched(1_000, 63, &queues, &names))
            .await
            .unwrap();
        close(tasks).await;
        damage(&path, from);
        let before = aside(folder.path()).len();
        let (data, tasks) = opening(folder.path());
        let made = eventually(&format!("damage is met when it is {found}"), LATER, || async {
            let _ = data.past("redis", 0).await;
            let made = aside(folder.path());
            (made.len() > before && data.ready().is_ok()).then_some(made)
        })
        .await;
        assert!(
            made.iter().any(|file| std::fs::metadata(file).unwrap().len() > 100_000),
            "{made:?}"
        );
        assert!(data.past("redis", 0).await.unwrap().watched.is_empty(), "a new one");
        data.note_minute("redis", &watched(1_001, 63, &queues, &names))
            .await
            .unwrap();
        assert_eq!(data.past("redis", 0).await.unwrap().minutes.len(), 2_000);
        close(tasks).await;
    }
}

#[tokio::test]
async fn a_second_process_goes_on_without_the_file_until_the_first_has_ended() {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    oracle.add("q", "n", json!({}), json!({})).await;
    let folder = tempfile::tempdir().unwrap();
    let (_first, tasks) = file(folder.path()).await;
    let audit = folder.path().join("audit.ndjson").display().to_string();
    let env = [("DROVER_REDIS_URL", &*redis.url()), ("DROVER_AUDIT_FILE", &audit)];
    let second = Drover::with(&env, "").await;
    second.knows("bull:q").await;
    let readyz = async |says: &str| {
        eventually(&format!("/readyz says {says:?}"), LATER, || async {
            let answer = second.get("/readyz").await;
            (answer.status == 200 && answer.body.contains(says)).then_some(answer.body)
        })
        .await
    };
    readyz("state.db is not in use").await;
    assert_eq!(second.get("/queues/redis/bull%3Aq").await.status, 200);
    close(tasks).await;
    eventually("it takes the file over", LATER, || async {
        (second.get("/readyz").await.body == "ready\n").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_file_that_can_only_be_read_keeps_nothing_and_the_board_is_shown() {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    oracle.add("q", "n", json!({}), json!({})).await;
    let root = tempfile::tempdir().unwrap();
    let [bin, state] = ["bin", "state"].map(|name| root.path().join(name));
    for folder in [&bin, &state] {
        std::fs::create_dir(folder).unwrap();
    }
    let program = bin.join("drover");
    std::fs::copy(env!("CARGO_BIN_EXE_drover"), &program).unwrap();
    let (_, tasks) = file(&state).await;
    close(tasks).await;
    let log = root.path().join("log");
    let output = std::fs::File::create(&log).unwrap();
    for (path, mode) in [
        (&state.join("state.db"), 0o444),
        (&state.join("state.db.lock"), 0o666),
        (&state, 0o555),
        (&bin, 0o555),
    ] {
        only_for(path, mode);
    }
    only_for(root.path(), 0o755);
    let port = free_port();
    let mut command = as_nobody(&program, &bin);
    command
        .env("DROVER_LISTEN", format!("127.0.0.1:{port}"))
        .env("DROVER_REDIS_URL", redis.url())
        .env("DROVER_AUDIT_FILE", state.join("audit.ndjson"))
        .stdout(Stdio::null())
        .stderr(output);
    let _served = Ends(command.spawn().unwrap());
    eventually("it serves, and says that the file is not written", LATER, || async {
        tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok()?;
        let answer = client::get(port, "/readyz").await;
        let page = client::get(port, "/admin/queues/queues/redis/bull%3Aq").await;
        (answer.body.contains("state.db is not in use") && page.status == 200).then_some(())
    })
    .await;
    let log = std::fs::read_to_string(log).unwrap();
    let said = log
        .lines()
        .filter(|line| line.contains("Drover's own data is in memory only for now"));
    let said: Vec<&str> = said.collect();
    assert!(said.len() == 1 && said[0].contains("readonly"), "once: {said:?}");
}

#[tokio::test]
async fn without_a_postgres_a_restart_draws_the_minutes_and_days_of_before() {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    oracle.ask("startWorker", "mail", json!({"workerId": "w"})).await;
    oracle.add("mail", "n", json!({}), json!({})).await;
    oracle.add("q", "n", json!({}), json!({})).await;
    let folder = tempfile::tempdir().unwrap();
    let audit = folder.path().join("audit.ndjson").display().to_string();
    let env = [("DROVER_REDIS_URL", &*redis.url()), ("DROVER_AUDIT_FILE", &audit)];
    let mut drover = Drover::with(&env, MAIL).await;
    drover.knows("bull:q").await;
    // Only whole slices count.
    tokio::time::sleep(Duration::from_secs(11)).await;
    for _ in 0..7 {
        oracle.add("q", "n", json!({}), json!({})).await;
    }
    let state = SqlitePool::connect_with(SqliteConnectOptions::new().filename(folder.path().join("state.db")));
    let state = state.await.unwrap();
    eventually("they are noted", Duration::from_secs(100), || async {
        let sum = "SELECT coalesce(sum(s.value ->> 0), 0) FROM history h JOIN history_queue q ON q.id = h.queue, json_each(slices) s \
                   WHERE q.queue = 'bull:q'";
        (sqlx::query_scalar::<_, i64>(sum).fetch_one(&state).await.unwrap() == 7).then_some(())
    })
    .await;
    eventually("the minute of the status page", LATER, || async {
        let known = "SELECT coalesce(sum(length(replace(known, '0', ''))), 0) FROM status_day";
        (sqlx::query_scalar::<_, i64>(known).fetch_one(&state).await.unwrap() > 0).then_some(())
    })
    .await;
    drover.stop.cancel();
    drover.serving.take().unwrap().await.unwrap();
    // As if it had watched some minutes more in full, and yesterday too, with 144 missed minutes.
    let yesterday = now_ms() / 86_400_000 - 1;
    for sql in [
        "INSERT OR REPLACE INTO history_watched SELECT min(minute) + n.value, 'redis', 63 FROM history, \
         json_each('[-3,-2,-1,0,1]') n GROUP BY n.value",
        "UPDATE history_queue SET since = since - 3",
        "UPDATE history SET slices = (SELECT json_group_array(json_array(coalesce(s.value ->> 0, 0), 0, 0)) FROM json_each(slices) s)",
        &format!(
            "INSERT INTO status_day VALUES ('mail', {yesterday}, '{}', '{}')",
            "1".repeat(1_440),
            "1".repeat(144)
        ),
    ] {
        sqlx::query(sql).execute(&state).await.unwrap();
    }
    state.close().await;
    let again = Drover::with(&env, MAIL).await;
    again.knows("bull:q").await;
    eventually("the chart of before", LATER, || async {
        let chart = again.get("/queues/redis/bull%3Aq/chart.svg").await;
        chart.body.contains(" 7 added").then_some(())
    })
    .await;
    let history = eventually("the days of before", LATER, || async {
        let history = component(&again, "mail").await["history"].clone();
        (history["kept"] == true).then_some(history)
    })
    .await;
    assert_eq!(history["days"][0]["within_promise"], 90.0, "{history}");
    assert_eq!(again.get("/readyz").await.body, "ready\n");
}
