//! Who gets in, and who may see and do what: rules S-1 to S-11, from outside.

mod archive;
mod beside;
mod grants;
mod guesses;
mod identity;
mod modes;
mod paths;
mod replicas;
mod status;
mod streams;
mod unreadable;

use crate::support::app::Drover;
use crate::support::client::{self, Answer};
use drover::model::address::encode_segment;
use drover::model::permission::{Role, Verb};
use drover::server::auth::tokens::{Tokens, Wanted};
use drover::server::auth::users::{User, Users};
use drover::server::auth::who::QueueGlob;
use drover::server::database::OwnData;
use drover::server::tasks::Tasks;
use std::path::Path;
use tokio_util::sync::CancellationToken;

/// The proxy's secret.
const SECRET: &str = "a secret of the proxy";

/// A password that is strong enough.
const PASSWORD: &str = "correct horse battery";

/// A board behind a proxy on this machine.
pub(crate) async fn behind_proxy(redis: &str, grants: &str) -> Drover {
    let env = [
        ("DROVER_REDIS_URL", redis),
        ("DROVER_AUTH_MODE", "proxy"),
        ("DROVER_PROXY_SECRET", SECRET),
        ("DROVER_TRUSTED_PROXIES", "127.0.0.1"),
    ];
    Drover::with(&env, grants).await
}

/// A grant as the configuration has it.
pub(crate) fn grant(users: &str, role: &str, queues: &[&str]) -> String {
    format!("[[auth.grant]]\nusers = [\"{users}\"]\nrole = \"{role}\"\nqueues = {queues:?}\n")
}

/// The headers of a request that the proxy forwards for a user.
pub(crate) fn proxied(user: &str) -> [(&str, &str); 2] {
    [("X-Forwarded-User", user), ("X-Drover-Proxy-Secret", SECRET)]
}

/// `GET` below the base path, as a user.
pub(crate) async fn get_as(drover: &Drover, user: &str, path: &str) -> Answer {
    client::request(drover.port, "GET", &format!("/admin/queues{path}"), &proxied(user), "").await
}

/// `POST` of JSON to the API, as a user.
async fn post_as(drover: &Drover, user: &str, path: &str, body: &str) -> Answer {
    let program = [("X-Drover", "1"), ("Content-Type", "application/json")];
    let headers = [&proxied(user)[..], &program].concat();
    client::request(
        drover.port,
        "POST",
        &format!("/admin/queues/api/v1{path}"),
        &headers,
        body,
    )
    .await
}

/// The data of a board without a Postgres, as the command line opens it beside the board.
async fn beside(folder: &Path) -> OwnData {
    let data = OwnData::new(None, &folder.join("audit.ndjson"));
    let tasks = Tasks::new(CancellationToken::new());
    data.open_beside(&tasks).await.unwrap();
    data
}

/// A board with sign-in, and its users.
async fn with_sign_in(redis: &str, more: &[(&str, &str)]) -> (Drover, Users) {
    let env = [&[("DROVER_REDIS_URL", redis), ("DROVER_AUTH_MODE", "password")], more].concat();
    let drover = Drover::with(&env, "").await;
    let users = Users::new(beside(drover.state.path()).await);
    (drover, users)
}

/// Sends the sign-in form.
async fn sign_in(drover: &Drover, name: &str, password: &str, more: &[(&str, &str)]) -> Answer {
    let headers = [
        &[
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("Sec-Fetch-Site", "same-origin"),
        ],
        more,
    ]
    .concat();
    let form = format!(
        "name={}&password={}&next=/workers",
        encode_segment(name),
        encode_segment(password)
    );
    client::request(drover.port, "POST", "/admin/queues/sign-in", &headers, &form).await
}

/// What a browser sends back for a cookie that the server set.
fn cookie_of(answer: &Answer) -> String {
    let set = answer.header("set-cookie").unwrap();
    set.split(';').next().unwrap().to_owned()
}

/// A token with these permissions on these queues.
async fn token(drover: &Drover, name: &str, allow: &[Verb], role: Option<Role>, queues: &[&str]) -> String {
    let tokens = Tokens::new(beside(drover.state.path()).await);
    let wanted = Wanted {
        name: name.into(),
        role,
        allow: allow.to_vec(),
        queues: queues.iter().map(|glob| glob.parse::<QueueGlob>().unwrap()).collect(),
        days: 1,
    };
    tokens.add(&wanted).await.unwrap().0
}
