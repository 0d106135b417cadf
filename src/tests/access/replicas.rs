//! Sessions in Drover's own data: shared by replicas over one Postgres without sticky sessions, usable while it is away, and
//! kept over a restart without one (S-7).

use super::identity::{left, stamp_of_ada};
use super::*;
use crate::support::client::Stream;
use crate::support::postgres::Postgres;
use crate::support::process::command;
use crate::support::redis::Redis;
use crate::support::{LATER, eventually, now_ms};
use drover::server::auth::cookie::SessionCookie;
use serde_json::json;
use sha2::{Digest as _, Sha256};

/// A board with this folder of files, with more in its environment.
pub(super) async fn board(redis: &Redis, folder: &Path, more: &[(&str, &str)]) -> Drover {
    let (redis, folder) = (redis.url(), folder.display().to_string());
    let own = [
        ("DROVER_REDIS_URL", redis.as_str()),
        ("DROVER_AUTH_MODE", "password"),
        ("DROVER_AUTH_FOLDER", &folder),
    ];
    Drover::with(&[&own, more].concat(), "").await
}

/// The same, as one of several over a Postgres.
pub(super) async fn replica(redis: &Redis, folder: &Path, postgres: &Postgres) -> Drover {
    let url = postgres.url();
    let shared = [
        ("DROVER_POSTGRES_URL", url.as_str()),
        ("DROVER_ARCHIVE_ALLOW_UNSAFE", "true"),
    ];
    board(redis, folder, &shared).await
}

async fn cookie(drover: &Drover) -> String {
    let answer = sign_in(drover, "ada", PASSWORD, &[]).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    cookie_of(&answer)
}

pub(super) async fn status(drover: &Drover, cookie: &str) -> u16 {
    let path = "/admin/queues/api/v1/queues";
    client::request(drover.port, "GET", path, &[("Cookie", cookie)], "")
        .await
        .status
}

async fn accepted(drover: &Drover, cookie: &str) {
    eventually("the session is known", LATER, || async {
        (status(drover, cookie).await == 200).then_some(())
    })
    .await;
}

async fn sign_out(drover: &Drover, cookie: &str) {
    let headers = [("Cookie", cookie), ("Sec-Fetch-Site", "same-origin")];
    let out = client::request(drover.port, "POST", "/admin/queues/sign-out", &headers, "").await;
    assert_eq!(out.status, 303);
}

/// The session that an earlier Drover left for this secret in its file, and its cookie.
pub(super) fn left_behind(folder: &Path, secret: &str, since: u64) -> String {
    let key: String = Sha256::digest(secret)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let stamp = stamp_of_ada();
    let left = json!([{"key": key, "name": "ada", "stamp": stamp, "since": since, "seen": now_ms()}]);
    std::fs::write(folder.join("sessions.json"), left.to_string()).unwrap();
    let cookie = SessionCookie::new(&"/admin/queues".parse().unwrap(), false).set(secret, 60);
    cookie.split(';').next().unwrap().to_owned()
}

// S-7
#[tokio::test]
async fn a_sign_in_and_a_sign_out_at_one_replica_hold_at_all() {
    let (redis, postgres) = (Redis::start(), Postgres::start().await);
    let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    left(folder.path());
    let old = left_behind(folder.path(), "of an earlier Drover", now_ms());
    let one = replica(&redis, folder.path(), &postgres).await;
    let other = replica(&redis, elsewhere.path(), &postgres).await;
    // What the file of an earlier Drover holds is known to both, and kept in one place.
    accepted(&one, &old).await;
    accepted(&other, &old).await;
    assert!(!folder.path().join("sessions.json").exists());
    let first = cookie(&one).await;
    assert_eq!(status(&other, &first).await, 200, "at the next request");
    let second = cookie(&other).await;
    assert_eq!(status(&one, &second).await, 200);
    let kept: String = postgres
        .one("SELECT string_agg(s::text, ' ') FROM drover.session s")
        .await;
    let (_, secret) = first.split_once('=').unwrap();
    assert!(
        kept.contains("ada") && !kept.contains(secret),
        "only its hash is kept: {kept}"
    );
    // A sign-out at one ends the session, and what it opened, at the other.
    let mut stream = Stream::open(one.port, "/admin/queues/events", &[("Cookie", &first)]).await;
    assert_eq!(stream.status, 200);
    sign_out(&other, &first).await;
    assert_eq!((status(&one, &first).await, status(&other, &first).await), (401, 401));
    let end = |event: &crate::support::client::Event| (event.name == "auth_expired").then_some(());
    stream.until("the event that ends the stream", end).await;
    assert_eq!(status(&one, &second).await, 200, "the others go on");
    // Another password ends all sessions of the user.
    let url = postgres.url();
    let env = [
        ("DROVER_AUTH_MODE", "password"),
        ("DROVER_AUTH_FOLDER", folder.path().to_str().unwrap()),
        ("DROVER_POSTGRES_URL", url.as_str()),
        ("DROVER_ARCHIVE_ALLOW_UNSAFE", "true"),
    ];
    let (code, said) = command(&["user", "password", "ada"], &env).await;
    assert_eq!(code, Some(0), "{said}");
    for cookie in [&old, &second] {
        assert_eq!((status(&one, cookie).await, status(&other, cookie).await), (401, 401));
    }
    let left: i64 = postgres.one("SELECT count(*) FROM drover.session").await;
    assert_eq!(left, 0);
}

// S-7: the board must be usable when its Postgres is part of the incident.
#[tokio::test]
async fn while_postgres_is_away_users_stay_signed_in_sign_in_and_sign_out() {
    let (redis, mut postgres) = (Redis::start(), Postgres::start().await);
    let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    left(folder.path());
    let one = replica(&redis, folder.path(), &postgres).await;
    let other = replica(&redis, elsewhere.path(), &postgres).await;
    let (seen, unseen) = (cookie(&one).await, cookie(&one).await);
    accepted(&other, &seen).await;
    assert_eq!(status(&one, &unseen).await, 200);
    postgres.kill();
    for drover in [&one, &other] {
        assert_eq!(status(drover, &seen).await, 200, "it goes on where it was seen");
    }
    assert_eq!(status(&other, &unseen).await, 401);
    let new = cookie(&one).await;
    assert_eq!((status(&one, &new).await, status(&other, &new).await), (200, 401));
    sign_out(&one, &seen).await;
    assert_eq!(status(&one, &seen).await, 401);
    let page = client::request(one.port, "GET", "/admin/queues/workers", &[("Cookie", &new)], "").await;
    assert_eq!(page.status, 200, "{}", page.body);
    postgres.restart(&["fsync=off"]).await;
    // What happened meanwhile is written, and both know the same again.
    accepted(&other, &new).await;
    eventually("the sign-out is known", LATER, || async {
        (status(&other, &seen).await == 401).then_some(())
    })
    .await;
    assert_eq!((status(&one, &seen).await, status(&one, &unseen).await), (401, 200));
    assert_eq!(status(&other, &unseen).await, 200);
}

// S-7
#[tokio::test]
async fn a_restart_without_a_postgres_signs_no_user_out() {
    let (redis, folder) = (Redis::start(), tempfile::tempdir().unwrap());
    left(folder.path());
    let audit = folder.path().join("audit.ndjson").display().to_string();
    let env = [("DROVER_AUDIT_FILE", audit.as_str())];
    let start = || board(&redis, folder.path(), &env);
    let old = left_behind(folder.path(), "of an earlier Drover", now_ms());
    let mut drover = start().await;
    // The first request after a start waits for the file.
    assert_eq!(status(&drover, &old).await, 200);
    let (new, ended) = (cookie(&drover).await, cookie(&drover).await);
    sign_out(&drover, &ended).await;
    drover.stop.cancel();
    drover.serving.take().unwrap().await.unwrap();
    let again = start().await;
    assert_eq!((status(&again, &old).await, status(&again, &new).await), (200, 200));
    assert_eq!(status(&again, &ended).await, 401);
}
