use super::*;
use crate::server::database::postgres::SharedPostgres;
use crate::server::tasks::Tasks;
use std::path::Path;
use tokio_util::sync::CancellationToken;

/// Sessions in the file of a folder, and the tasks that keep it open.
fn sessions(folder: &Path, idle: u64, whole: u64) -> (Sessions, Tasks) {
    let tasks = Tasks::new(CancellationToken::new());
    let data = OwnData::new(None, &folder.join("audit.ndjson"));
    data.start(&tasks);
    let lifetime = Lifetime {
        idle: Duration::from_millis(idle),
        whole: Duration::from_millis(whole),
    };
    (Sessions::new(data, folder.join("sessions.json"), lifetime), tasks)
}

async fn close(tasks: Tasks) {
    tasks.stop().cancel();
    tasks.ended(Duration::from_secs(10)).await;
}

/// Everything in the files of a folder.
fn bytes(folder: &Path) -> Vec<u8> {
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    files.flat_map(|file| fs::read(file).unwrap()).collect()
}

// S-7
#[tokio::test]
async fn a_session_outlives_a_restart_and_ends_when_it_is_ended() {
    let dir = tempfile::tempdir().unwrap();
    let (first, tasks) = sessions(dir.path(), 60_000, 60_000);
    first.prepare().await;
    let (ada, eve) = (
        first.begin("ada", "1".into()).await,
        first.begin("eve", "2".into()).await,
    );
    assert_ne!(ada, eve);
    close(tasks).await;
    let kept = bytes(dir.path());
    let holds = |text: &str| kept.windows(text.len()).any(|part| part == text.as_bytes());
    assert!(holds(&hash(&ada)) && !holds(&ada), "only its hash is kept");
    let (again, tasks) = sessions(dir.path(), 60_000, 60_000);
    let session = again.whose(&ada).await.unwrap();
    assert_eq!((session.name.as_str(), session.stamp.as_str()), ("ada", "1"));
    again.end(&session.key).await;
    assert!(again.whose(&ada).await.is_none() && again.whose("made up").await.is_none());
    assert!(again.whose(&eve).await.is_some());
    close(tasks).await;
    let (again, tasks) = sessions(dir.path(), 60_000, 60_000);
    assert!(again.whose(&ada).await.is_none() && again.whose(&eve).await.is_some());
    // A user who was changed: what began before ends.
    let new = again.begin("eve", "3".into()).await;
    again.end_of("eve", "3").await;
    assert!(again.whose(&eve).await.is_none() && again.whose(&new).await.is_some());
    close(tasks).await;
}

#[tokio::test]
async fn a_session_ends_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    for (idle, whole) in [(0, 60_000), (60_000, 0)] {
        let (sessions, tasks) = sessions(dir.path(), idle, whole);
        let secret = sessions.begin("ada", String::new()).await;
        assert!(sessions.whose(&secret).await.is_none(), "{idle} {whole}");
        close(tasks).await;
    }
}

#[tokio::test]
async fn what_an_earlier_drover_kept_is_taken_over_once() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("sessions.json");
    let session = |secret: &str, age: Millis| Session {
        key: hash(secret),
        name: "ada".into(),
        stamp: "1".into(),
        since: now() - age,
        seen: now() - age,
    };
    let left = [session("lasts", 1_000), session("ran out", 70_000)];
    fs::write(&file, serde_json::to_string(&left).unwrap()).unwrap();
    for _ in 0..2 {
        let (sessions, tasks) = sessions(dir.path(), 60_000, 60_000);
        assert!(sessions.whose("lasts").await.is_some() && sessions.whose("ran out").await.is_none());
        assert!(!file.exists());
        close(tasks).await;
    }
    // What cannot be understood signs no user in, and holds nothing up.
    fs::write(&file, "no list").unwrap();
    let (sessions, tasks) = sessions(dir.path(), 60_000, 60_000);
    assert!(sessions.whose("lasts").await.is_some() && !file.exists());
    close(tasks).await;
}

// The archive's Postgres may be part of the incident, or not have the tables yet.
#[tokio::test]
async fn a_postgres_that_cannot_be_used_signs_no_user_out() {
    let dir = tempfile::tempdir().unwrap();
    let postgres = SharedPostgres::new("postgres://127.0.0.1:1/drover", true).unwrap();
    let data = OwnData::Postgres(std::sync::Arc::new(postgres));
    let sessions = Sessions::new(data, dir.path().join("sessions.json"), Lifetime::default());
    let (ada, eve) = (
        sessions.begin("ada", "1".into()).await,
        sessions.begin("eve", "1".into()).await,
    );
    sessions.end(&hash(&eve)).await;
    assert!(sessions.whose(&ada).await.is_some() && sessions.whose(&eve).await.is_none());
    let unwritten = sessions.memory().unwritten();
    assert_eq!((unwritten.begun.len(), unwritten.ended), (1, vec![hash(&eve)]));
}

#[tokio::test]
async fn without_its_file_a_session_is_in_memory_and_is_written_later() {
    let dir = tempfile::tempdir().unwrap();
    let (holder, held) = sessions(dir.path(), 60_000, 60_000);
    holder.prepare().await;
    let (second, tasks) = sessions(dir.path(), 60_000, 60_000);
    let secret = second.begin("ada", "1".into()).await;
    assert!(second.whose(&secret).await.is_some());
    close(held).await;
    while !second.prepared.initialized() || !second.memory().unwritten().is_empty() {
        second.prepare().await;
        second.write().await;
        sleep(Duration::from_millis(20)).await;
    }
    close(tasks).await;
    let (again, tasks) = sessions(dir.path(), 60_000, 60_000);
    assert!(again.whose(&secret).await.is_some());
    close(tasks).await;
}
