//! Streams end with their session, their token and the proxy's authorisation (S-7).

use super::identity::left;
use super::replicas::left_behind;
use super::*;
use crate::support::client::Stream;
use crate::support::now_ms;
use crate::support::process::command;
use crate::support::redis::Redis;
use drover::server::auth::sessions::Lifetime;

async fn ends(stream: &mut Stream) {
    let end = |event: &crate::support::client::Event| (event.name == "auth_expired").then_some(());
    stream.until("the event that ends the stream", end).await;
    assert!(stream.next().await.is_none(), "and to end");
}

// S-7, S-10
#[tokio::test]
async fn a_stream_ends_with_its_token_its_user_and_its_session() {
    let redis = Redis::start();
    let (drover, users) = with_sign_in(&redis.url(), &[]).await;
    for name in ["ada", "eve"] {
        users.add(name, PASSWORD, Some(Role::Viewer), &[], &[]).await.unwrap();
    }
    let open = async |name: &str, value: &str| {
        let stream = Stream::open(drover.port, "/admin/queues/events", &[(name, value)]).await;
        assert_eq!(stream.status, 200);
        stream
    };
    let secret = token(&drover, "reader", &[Verb::View], None, &["*"]).await;
    let mut by_token = open("Authorization", &format!("Bearer {secret}")).await;
    let ada = cookie_of(&sign_in(&drover, "ada", PASSWORD, &[]).await);
    let eve = cookie_of(&sign_in(&drover, "eve", PASSWORD, &[]).await);
    let (mut of_ada, mut of_eve) = (open("Cookie", &ada).await, open("Cookie", &eve).await);
    let audit = drover.state.path().join("audit.ndjson").display().to_string();
    let env = [
        ("DROVER_AUTH_MODE", "password"),
        ("DROVER_AUDIT_FILE", audit.as_str()),
        ("DROVER_REDIS_URL", "redis://127.0.0.1:1"),
    ];
    assert_eq!(command(&["token", "revoke", "reader"], &env).await.0, Some(0));
    ends(&mut by_token).await;
    assert_eq!(command(&["user", "remove", "eve"], &env).await.0, Some(0));
    ends(&mut of_eve).await;
    let headers = [("Cookie", ada.as_str()), ("Sec-Fetch-Site", "same-origin")];
    let out = client::request(drover.port, "POST", "/admin/queues/sign-out", &headers, "").await;
    assert_eq!(out.status, 303);
    ends(&mut of_ada).await;
}

// S-7: a session that expires notifies no stream.
#[tokio::test]
async fn a_stream_ends_when_its_session_runs_out() {
    let redis = Redis::start();
    let folder = tempfile::tempdir().unwrap();
    left(folder.path());
    // It began long ago, and lasts as long as the board needs to start, and a little longer.
    let began = now_ms() + 15_000 - u64::try_from(Lifetime::default().whole.as_millis()).unwrap();
    let cookie = left_behind(folder.path(), "a secret", began);
    let env = [("DROVER_AUTH_FOLDER", folder.path().to_str().unwrap())];
    let (drover, _) = with_sign_in(&redis.url(), &env).await;
    let mut stream = Stream::open(drover.port, "/admin/queues/events", &[("Cookie", &cookie)]).await;
    assert_eq!(stream.status, 200);
    ends(&mut stream).await;
}

// S-7: a proxy names a user with each request, so a stream is opened again each minute.
#[tokio::test]
async fn a_stream_behind_a_proxy_ends_with_other_groups_and_after_a_minute() {
    let redis = Redis::start();
    let grants = "[[auth.grant]]\ngroups = [\"ops\"]\nrole = \"operator\"\nqueues = [\"*\"]\n\
                  [[auth.grant]]\ngroups = [\"guests\"]\nrole = \"viewer\"\nqueues = [\"redis/bull:a*\"]\n";
    let drover = behind_proxy(&redis.url(), grants).await;
    let as_member = |user: &'static str, groups: &'static str| {
        let [user, secret] = proxied(user);
        [user, secret, ("X-Forwarded-Groups", groups)]
    };
    let open = async |user, groups| {
        let stream = Stream::open(drover.port, "/admin/queues/events", &as_member(user, groups)).await;
        assert_eq!(stream.status, 200);
        stream
    };
    let (mut of_ada, mut of_eve) = (open("ada", "ops").await, open("eve", "ops").await);
    let ask = async |user, groups| {
        let headers = as_member(user, groups);
        client::request(drover.port, "GET", "/admin/queues/api/v1/queues", &headers, "")
            .await
            .status
    };
    assert_eq!(ask("ada", "ops").await, 200);
    assert_eq!(ask("ada", "guests").await, 200);
    ends(&mut of_ada).await;
    // It does not affect the other user's stream, nor a new one with the new groups.
    let mut again = open("ada", "guests").await;
    let mut heard = vec![];
    loop {
        let event = of_eve.next().await.expect("the event before the end");
        heard.push(event.name.clone());
        if event.name == "bye" {
            assert!(event.data["retry_ms"].as_u64().unwrap() <= 1_000, "{event:?}");
            break;
        }
    }
    assert!(
        of_eve.next().await.is_none() && !heard.contains(&"auth_expired".to_owned()),
        "{heard:?}"
    );
    again
        .until("its own end", |event| (event.name == "bye").then_some(()))
        .await;
}
