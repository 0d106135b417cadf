//! Users and tokens in Drover's own data.

use super::{close, file};
use drover::model::permission::Verb;
use drover::server::auth::identity::Identity;
use drover::server::auth::tokens::{Tokens, Wanted};
use drover::server::auth::users::Users;
use drover::server::database::OwnData;
use drover::server::database::identity::{Token, User};
use sqlx::SqlitePool;
use sqlx::sqlite::SqliteConnectOptions;

/// Run over both backends.
pub(super) async fn keeps_users_and_tokens(data: &OwnData) {
    let user = |name: &str, role: Option<&str>| User {
        name: name.into(),
        hash: "$argon2id$…".into(),
        role: role.map(str::to_owned),
        queues: vec!["redis/bull:it's \"odd\" 🦀".into(), "*".into()],
        groups: vec!["ops".into()],
    };
    let token = |id: &str, name: &str, created: i64| Token {
        id: id.into(),
        name: name.into(),
        sha256: format!("{id} in full"),
        allow: vec!["view".into(), "one of a later Drover".into()],
        queues: vec![],
        created,
        expires: created + 5,
    };
    let mut seen = vec![data.identity_revision().await.unwrap()];
    assert!(seen[0].is_first());
    let mut changes = async |done: bool, what: &str| {
        assert!(done, "{what}");
        let revision = data.identity_revision().await.unwrap();
        assert!(!seen.contains(&revision), "{what}");
        seen.push(revision);
    };
    let (ada, eve) = (user("ada", Some("viewer")), user("eve", None));
    changes(data.add_user(&eve).await.unwrap(), "a user").await;
    // Of two that take over at once, one does, and what is there stays.
    let files = [
        [ada.clone(), user("eve", Some("admin"))],
        [ada.clone(), user("mia", None)],
    ];
    let at_once = tokio::join!(data.take_over_users(&files[0], 7), data.take_over_users(&files[1], 7));
    let (one, other) = (at_once.0.unwrap(), at_once.1.unwrap());
    changes(one != other, "one of two files").await;
    assert_ne!(data.remove_user("mia").await.unwrap(), one);
    assert_eq!(data.users().await.unwrap(), [ada.clone(), eve]);
    assert!(!data.take_over_users(&files[1], 8).await.unwrap() && !data.add_user(&user("ada", None)).await.unwrap());
    changes(data.set_password("ada", "another").await.unwrap(), "a password").await;
    changes(data.remove_user("eve").await.unwrap(), "a removal").await;
    assert!(!data.remove_user("eve").await.unwrap() && !data.set_password("eve", "x").await.unwrap());
    let hash = "another".to_owned();
    assert_eq!(data.users().await.unwrap(), [User { hash, ..ada }]);
    changes(data.add_token(&token("b", "ci", 20)).await.unwrap(), "a token").await;
    changes(
        data.take_over_tokens(&[token("a", "deploy", 10), token("c", "ci", 30)], 7)
            .await
            .unwrap(),
        "a file",
    )
    .await;
    assert!(
        !data.add_token(&token("d", "ci", 40)).await.unwrap(),
        "the name is taken"
    );
    assert_eq!(
        data.tokens().await.unwrap(),
        [token("a", "deploy", 10), token("b", "ci", 20)]
    );
    changes(data.remove_token("ci").await.unwrap(), "by its name").await;
    changes(data.remove_token("a").await.unwrap(), "by its id").await;
    assert!(!data.remove_token("a").await.unwrap() && data.tokens().await.unwrap().is_empty());
}

// A damaged file is replaced by an empty one: its users are not locked out.
#[tokio::test]
async fn users_and_tokens_are_written_into_a_file_that_was_begun_anew() {
    let folder = tempfile::tempdir().unwrap();
    let (data, tasks) = file(folder.path()).await;
    let (users, tokens) = (Users::new(data.clone()), Tokens::new(data.clone()));
    users.add("ada", "correct horse battery", None, &[], &[]).await.unwrap();
    let wanted = Wanted {
        name: "ci".into(),
        role: None,
        allow: vec![Verb::View],
        queues: vec![],
        days: 1,
    };
    tokens.add(&wanted).await.unwrap();
    let kept = (users.list().await.unwrap(), tokens.list().await.unwrap());
    let identity = Identity::new(data, folder.path());
    let (_, confirmed) = identity.now().await.unwrap();
    assert!(confirmed);
    let options = SqliteConnectOptions::new().filename(folder.path().join("state.db"));
    let beside = SqlitePool::connect_with(options).await.unwrap();
    let anew = "DELETE FROM user; DELETE FROM token; UPDATE identity SET revision = 0, taken_over = NULL";
    sqlx::raw_sql(anew).execute(&beside).await.unwrap();
    let (people, _) = identity.now().await.unwrap();
    assert!(people.user("ada").is_some());
    assert_eq!((users.list().await.unwrap(), tokens.list().await.unwrap()), kept);
    // Users who were removed one by one are not written back.
    users.remove("ada").await.unwrap();
    assert!(identity.now().await.unwrap().0.user("ada").is_none() && users.list().await.unwrap().is_empty());
    close(tasks).await;
}
