//! Users and tokens in Drover's own data: one set for all replicas over one Postgres, known while it is away, and changed by the
//! command line beside a board and before its first start (S-7, S-10).

use super::replicas::{board, replica, status};
use super::*;
use crate::support::postgres::Postgres;
use crate::support::process::command;
use crate::support::redis::Redis;
use crate::support::{LATER, eventually};
use std::path::Path;

/// The users and the tokens in the files of an earlier Drover, as it wrote them; the passwords are [`PASSWORD`].
const USERS: &str = r#"[
  {
    "name": "ada",
    "hash": "$argon2id$v=19$m=19456,t=2,p=1$c2NZVQ4gZF7W3DjhfL5aiQ$G86AdUo3mTohlGPVuTlFVdt0e86uTXWZ6yvGyhUbSN8",
    "role": "viewer",
    "queues": ["*"],
    "groups": []
  },
  {
    "name": "eve",
    "hash": "$argon2id$v=19$m=19456,t=2,p=1$fxCvZrOb3gRZuZ9kMozN+Q$osDCdLs/+i6O3nGcph6RK5cILjFOZynQsi3GiIHddqc",
    "role": "operator",
    "queues": ["redis/bull:mail*"],
    "groups": ["ops", "on-call"]
  }
]"#;
const TOKENS: &str = r#"[
  {
    "id": "444a1e62",
    "name": "ci",
    "sha256": "444a1e62a529a88e97c388c6d4f93916af861a49a8f97c09ec3873ae1b16c0e5",
    "allow": ["view", "retry"],
    "queues": ["redis/*"],
    "created": 1796100097536,
    "expires": 4102444800000
  }
]"#;
const CI: &str = "dr_9Zf37eLS_g-gAIyL2r_JDvpVYBVfTx7j9WX2C4yDC5M00c644";

/// Leaves these files in a folder.
pub(super) fn left(folder: &Path) {
    std::fs::write(folder.join("users.json"), USERS).unwrap();
    std::fs::write(folder.join("tokens.json"), TOKENS).unwrap();
}

/// What changes when ada does.
pub(super) fn stamp_of_ada() -> String {
    let users: Vec<User> = serde_json::from_str(USERS).unwrap();
    users[0].stamp()
}

/// Names of files in a folder.
fn files(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

/// The status of a request with the token.
async fn by_token(drover: &Drover) -> u16 {
    let headers = [("Authorization", format!("Bearer {CI}"))];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    client::request(drover.port, "GET", "/admin/queues/api/v1/queues", &headers, "")
        .await
        .status
}

async fn signs_in(drover: &Drover, name: &str, password: &str) -> u16 {
    sign_in(drover, name, password, &[]).await.status
}

/// Runs commands over the Postgres of the replicas, in a folder of its own.
struct CommandLine {
    env: Vec<(&'static str, String)>,
    _folder: tempfile::TempDir,
}

impl CommandLine {
    fn over(postgres: &Postgres) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let env = vec![
            ("DROVER_REDIS_URL", "redis://127.0.0.1:1".to_owned()),
            ("DROVER_AUTH_MODE", "password".to_owned()),
            (
                "DROVER_AUDIT_FILE",
                folder.path().join("audit.ndjson").display().to_string(),
            ),
            ("DROVER_POSTGRES_URL", postgres.url()),
            ("DROVER_ARCHIVE_ALLOW_UNSAFE", "true".to_owned()),
        ];
        Self { env, _folder: folder }
    }

    async fn run(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let env: Vec<(&str, &str)> = self.env.iter().map(|(name, value)| (*name, value.as_str())).collect();
        command(arguments, &env).await
    }

    /// The last line of the answer: a new password.
    async fn does(&self, arguments: &[&str]) -> String {
        let (code, said) = self.run(arguments).await;
        assert_eq!(code, Some(0), "{arguments:?}: {said}");
        said.lines().last().unwrap_or_default().to_owned()
    }
}

// S-7, S-10
#[tokio::test]
async fn users_and_tokens_that_are_changed_at_one_replica_are_changed_at_all() {
    let (redis, postgres) = (Redis::start(), Postgres::start().await);
    let line = CommandLine::over(&postgres);
    // Before the first start it makes the tables, and what it adds hides nothing that is taken over later.
    let first = line.does(&["user", "add", "bob", "--role", "viewer"]).await;
    let folders = [
        tempfile::tempdir().unwrap(),
        tempfile::tempdir().unwrap(),
        tempfile::tempdir().unwrap(),
    ];
    left(folders[0].path());
    left(folders[1].path());
    // Two that start at once, each with the files of before.
    let (one, other) = tokio::join!(
        replica(&redis, folders[0].path(), &postgres),
        replica(&redis, folders[1].path(), &postgres)
    );
    let at_once = tokio::join!(signs_in(&one, "ada", PASSWORD), signs_in(&other, "ada", PASSWORD));
    assert_eq!(at_once, (303, 303));
    let kept: String = postgres
        .one("SELECT (SELECT string_agg(name, ' ' ORDER BY name) FROM drover.user) || (SELECT string_agg(name, ' ') FROM drover.token)")
        .await;
    assert_eq!(kept, "ada bob eveci");
    for folder in &folders[..2] {
        let files = files(folder.path());
        let there = |name: &str| files.iter().any(|file| file == name);
        assert!(
            there("users.json.taken-over") && there("tokens.json.taken-over"),
            "{files:?}"
        );
        assert!(!there("users.json") && !there("tokens.json"), "{files:?}");
    }
    // A copy that appears later brings no removed user back.
    line.does(&["user", "remove", "eve"]).await;
    left(folders[2].path());
    let third = replica(&redis, folders[2].path(), &postgres).await;
    assert_eq!(signs_in(&third, "ada", PASSWORD).await, 303);
    let boards = [&one, &other, &third];
    for drover in boards {
        assert_eq!(
            (signs_in(drover, "eve", PASSWORD).await, by_token(drover).await),
            (401, 200)
        );
    }
    let bob = async |password: &str| {
        let answer = sign_in(&one, "bob", password, &[]).await;
        assert_eq!(answer.status, 303, "{}", answer.body);
        cookie_of(&answer)
    };
    let all = async |cookie: &str| {
        let mut seen = vec![];
        for drover in boards {
            seen.push(status(drover, cookie).await);
        }
        seen
    };
    // Another password, another role, no user any more: each ends the session at the next request, at each replica.
    let cookie = bob(&first).await;
    assert_eq!(all(&cookie).await, [200; 3]);
    let second = line.does(&["user", "password", "bob"]).await;
    assert_eq!(all(&cookie).await, [401; 3]);
    assert_eq!(
        (
            signs_in(&other, "bob", &first).await,
            signs_in(&other, "bob", &second).await
        ),
        (401, 303)
    );
    let cookie = bob(&second).await;
    line.does(&["user", "remove", "bob"]).await;
    assert_eq!(all(&cookie).await, [401; 3]);
    let third_password = line
        .does(&["user", "add", "bob", "--role", "operator", "--queues", "redis/bull:a*"])
        .await;
    assert_eq!(all(&cookie).await, [401; 3]);
    let cookie = bob(&third_password).await;
    let page = client::request(other.port, "GET", "/admin/queues/audit", &[("Cookie", &cookie)], "").await;
    assert_eq!(page.status, 200, "operators may read the audit log: {}", page.body);
    line.does(&["token", "revoke", "ci"]).await;
    for drover in boards {
        assert_eq!(by_token(drover).await, 401);
    }
    let (_, said) = line.run(&["user", "list"]).await;
    assert!(
        said.contains("ada\tviewer\t*\t") && said.contains("bob\toperator\tredis/bull:a*\t"),
        "{said}"
    );
}

// S-7: an engineer must be able to sign in when the Postgres is part of the incident, also at a board that starts then.
#[tokio::test]
async fn while_postgres_is_away_the_users_and_tokens_known_before_get_in() {
    let (redis, mut postgres) = (Redis::start(), Postgres::start().await);
    let line = CommandLine::over(&postgres);
    let (folder, empty) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    left(folder.path());
    let before = replica(&redis, folder.path(), &postgres).await;
    assert_eq!(signs_in(&before, "ada", PASSWORD).await, 303);
    eventually("the copy", LATER, || async {
        let copy = std::fs::read_to_string(folder.path().join("identity.json")).ok()?;
        (copy.contains("eve") && !copy.contains(CI)).then_some(())
    })
    .await;
    postgres.kill();
    let started = replica(&redis, folder.path(), &postgres).await;
    for drover in [&before, &started] {
        assert_eq!(signs_in(drover, "eve", PASSWORD).await, 303, "who never did before");
        assert_eq!(signs_in(drover, "eve", "not the password").await, 401);
        assert_eq!(by_token(drover).await, 200);
    }
    let unknown = replica(&redis, empty.path(), &postgres).await;
    let answer = sign_in(&unknown, "eve", PASSWORD, &[]).await;
    assert!(
        answer.status == 503 && answer.body.contains("does not know its users"),
        "{}",
        answer.body
    );
    let (code, said) = line.run(&["user", "remove", "eve"]).await;
    assert!(code == Some(1) && said.contains("127.0.0.1"), "{said}");
    let (code, said) = line.run(&["user", "unlock", "eve"]).await;
    assert_eq!(code, Some(0), "{said}");
    // Once it is back, what is changed is changed at all of them.
    postgres.restart(&["fsync=off"]).await;
    eventually("the command line", LATER, || async {
        (line.run(&["user", "remove", "eve"]).await.0 == Some(0)).then_some(())
    })
    .await;
    for drover in [&before, &started, &unknown] {
        eventually("the users are known", LATER, || async {
            let known = signs_in(drover, "ada", PASSWORD).await == 303;
            (known && signs_in(drover, "eve", PASSWORD).await == 401).then_some(())
        })
        .await;
    }
}

// S-7, S-10
#[tokio::test]
async fn without_a_postgres_they_are_changed_before_the_first_start_and_kept_over_a_restart() {
    let (redis, folder) = (Redis::start(), tempfile::tempdir().unwrap());
    left(folder.path());
    let audit = folder.path().join("audit.ndjson").display().to_string();
    let (url, env) = (redis.url(), [("DROVER_AUDIT_FILE", audit.as_str())]);
    let line = [
        ("DROVER_REDIS_URL", url.as_str()),
        ("DROVER_AUTH_MODE", "password"),
        env[0],
    ];
    let (code, said) = command(&["user", "remove", "eve"], &line).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(!files(folder.path()).contains(&"users.json".to_owned()));
    let mut cookie: Option<String> = None;
    for _ in 0..2 {
        let mut drover = board(&redis, folder.path(), &env).await;
        assert_eq!(
            (signs_in(&drover, "eve", PASSWORD).await, by_token(&drover).await),
            (401, 200)
        );
        if let Some(cookie) = &cookie {
            assert_eq!(status(&drover, cookie).await, 200);
        }
        cookie = Some(cookie_of(&sign_in(&drover, "ada", PASSWORD, &[]).await));
        drover.stop.cancel();
        drover.serving.take().unwrap().await.unwrap();
    }
    let drover = board(&redis, folder.path(), &env).await;
    assert_eq!(by_token(&drover).await, 200);
    assert_eq!(command(&["token", "revoke", "444a1e62"], &line).await.0, Some(0));
    assert_eq!(command(&["user", "remove", "ada"], &line).await.0, Some(0));
    assert_eq!(
        (by_token(&drover).await, status(&drover, &cookie.unwrap()).await),
        (401, 401)
    );
}
