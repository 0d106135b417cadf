use super::*;
use crate::server::database::postgres::SharedPostgres;

fn ada() -> Vec<User> {
    let users = r#"[{"name": "ada", "hash": "", "role": "viewer", "queues": ["*"], "groups": []}]"#;
    serde_json::from_str(users).unwrap()
}

/// With a Postgres that does not answer.
fn away(folder: &Path) -> Identity {
    let postgres = SharedPostgres::new("postgres://127.0.0.1:1/drover", true).unwrap();
    Identity::new(OwnData::Postgres(Arc::new(postgres)), folder)
}

fn copy(folder: &Path, at: Millis) {
    let copy = Copy {
        at,
        users: ada(),
        tokens: vec![],
    };
    StateFile::at(folder.join(COPY)).write(&[copy]).unwrap();
}

// S-7: the archive's Postgres may be part of the incident, and a removed user must not get in for long.
#[tokio::test]
async fn a_copy_is_believed_for_an_hour_and_no_longer() {
    let dir = tempfile::tempdir().unwrap();
    let hour = Millis::try_from(AWAY.as_millis()).unwrap();
    for (at, believed) in [(now() - 5_000, true), (now() - hour, false), (now() + 60_000, false)] {
        copy(dir.path(), at);
        let identity = away(dir.path());
        let known = identity.now().await;
        assert_eq!(known.is_some(), believed, "{at}");
        if let Some((people, confirmed)) = known {
            assert!(people.user("ada").is_some() && !confirmed);
            let age = identity.known().as_ref().unwrap().confirmed.elapsed();
            assert!(
                age >= Duration::from_secs(5),
                "since the database confirmed it, not since the start"
            );
            identity.known().as_mut().unwrap().confirmed = Instant::now().checked_sub(AWAY).unwrap();
            assert!(identity.now().await.is_none(), "nor is memory");
        }
    }
}

// A Drover that was updated while its Postgres is away, or has no tables yet.
#[tokio::test]
async fn the_files_of_an_earlier_drover_count_until_they_can_be_taken_over() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join(USERS);
    fs::write(&file, serde_json::to_string(&ada()).unwrap()).unwrap();
    let identity = away(dir.path());
    assert!(identity.now().await.unwrap().0.user("ada").is_some());
    identity.write_copy().await;
    assert!(file.exists() && !dir.path().join(COPY).exists());
    // What cannot be understood lets no user in.
    fs::write(&file, "no list").unwrap();
    assert!(away(dir.path()).now().await.is_none());
}
