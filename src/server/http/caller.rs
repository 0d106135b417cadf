//! The caller of a request.

use super::client::Client;
use super::problem::refuse;
use crate::model::format;
use crate::server::audit::record::mint_id;
use crate::server::auth::changes::Followed;
use crate::server::auth::settings::Mode;
use crate::server::auth::who::{Via, Who};
use crate::server::auth::{Auth, Peer, Refused};
use crate::server::http::state::App;
use axum::extract::{ConnectInfo, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use std::net::{IpAddr, Ipv4Addr};
use tokio::sync::watch;

/// The caller of a request, and the request's id.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Who.
    pub who: Who,
    /// The id that the caller gave the request, or one made up.
    pub request: String,
}

/// Recognises the caller of a request and stores it in the request, for the route and its handler. Returns the answer
/// to a request that must not be served at all.
pub async fn recognise(app: &App, request: &mut Request) -> Option<Response> {
    let peer = peer_of(request.extensions());
    match app.auth().recognise(request.headers(), peer).await {
        Ok(Some(who)) => {
            request.extensions_mut().insert(who);
            None
        }
        Ok(None) => None,
        Err(Refused::Forged(why)) => {
            let status = StatusCode::BAD_REQUEST;
            Some(refuse(status, "forged-identity", "Not from the proxy", why.sentence()).into_response())
        }
        Err(Refused::BadToken) => Some(unknown(
            "bad-token",
            "The token is not valid: it is mistyped, expired or revoked. `drover token list` shows the valid ones.",
        )),
        Err(Refused::TooOften(seconds)) => Some(too_often(seconds)),
    }
}

/// Too many wrong tokens.
fn too_often(seconds: u64) -> Response {
    let wait = format::span(i64::try_from(seconds).unwrap_or(0) * 1_000);
    let detail = format!("Too many wrong tokens from your address. Try again in {wait}.");
    let mut response = refuse(StatusCode::TOO_MANY_REQUESTS, "too-often", "Too many attempts", detail).into_response();
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    response
}

/// An address that is no proxy's.
const UNKNOWN: Peer = Peer::Ip(IpAddr::V4(Ipv4Addr::UNSPECIFIED));

/// The other end of the connection.
pub fn peer_of(extensions: &Extensions) -> Peer {
    let client = extensions.get::<ConnectInfo<Client>>();
    // Both listeners set it; a connection without it would not count as a proxy's.
    client.map_or(UNKNOWN, |ConnectInfo(client)| client.peer)
}

/// Whether the request is a reader's navigation, and not from a script of a page or a program.
pub fn wants_page(path: &str, headers: &HeaderMap) -> bool {
    let navigates = headers.get("sec-fetch-mode").is_none_or(|mode| mode == "navigate");
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    navigates && accept.is_some_and(|accept| accept.contains("text/html")) && !path.starts_with("/api/")
}

/// The answer to a request without identity: sends a reader to the sign-in page, and tells a program how to
/// authenticate.
pub fn unauthenticated(app: &App, method: &Method, path: &str, headers: &HeaderMap) -> Response {
    let page = *method == Method::GET && wants_page(path, headers);
    match app.auth().mode() {
        Mode::Password if page => {
            let next = crate::model::address::encode_segment(path);
            super::pages::see_other(&app.config().base_path.href(&format!("/sign-in?next={next}")))
        }
        Mode::Password => unknown(
            "signed-out",
            "You are not signed in: the session has ended, or there was none. Reload the page to sign in. A program \
             sends Authorization: Bearer with a token from `drover token add`.",
        ),
        Mode::Proxy(proxy) => unknown(
            "no-identity",
            &format!(
                "The proxy did not say who you are: it has to send the header {} and its secret. A program sends \
                 Authorization: Bearer with a token from `drover token add`.",
                proxy.user
            ),
        ),
        Mode::None => unknown("no-identity", "Drover does not know who you are."),
    }
}

fn unknown(kind: &str, detail: &str) -> Response {
    let mut response = refuse(StatusCode::UNAUTHORIZED, kind, "Not signed in", detail).into_response();
    response.headers_mut().insert(
        header::WWW_AUTHENTICATE,
        HeaderValue::from_static("Bearer realm=\"drover\""),
    );
    response
}

impl FromRequestParts<App> for Caller {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        let Some(who) = parts.extensions.get::<Who>() else {
            let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
            return Err(unauthenticated(app, &parts.method, path, &parts.headers));
        };
        Ok(Self {
            who: who.clone(),
            request: given_id(&parts.headers).unwrap_or_else(|| mint_id(crate::model::now())),
        })
    }
}

/// What a stream keeps to check again whether the caller who opened it may still read it.
#[derive(Debug)]
pub struct Recheck {
    headers: HeaderMap,
    peer: Peer,
    who: Who,
    changes: watch::Receiver<u64>,
    /// If a proxy named the caller: what it says of them in later requests.
    proxied: Option<Followed>,
}

impl Recheck {
    /// Of a request that was recognised.
    #[must_use]
    pub fn of(auth: &Auth, who: &Who, headers: &HeaderMap, peer: Peer) -> Self {
        // Ten thousand streams keep this: only the headers that identify the caller.
        let tells = |name: &header::HeaderName| match who.via {
            Via::NoSignIn | Via::Proxy => false,
            Via::Session(_) => name == header::COOKIE,
            Via::Token(_) => name == header::AUTHORIZATION,
        };
        let kept = headers.iter().filter(|(name, _)| tells(name));
        let mut headers = HeaderMap::new();
        kept.for_each(|(name, value)| {
            headers.append(name.clone(), value.clone());
        });
        Self {
            headers,
            peer,
            who: who.clone(),
            changes: auth.changes().subscribe(),
            proxied: matches!(who.via, Via::Proxy).then(|| auth.changes().follow(who)),
        }
    }

    /// Waits until something changed that may concern it.
    pub async fn changed(&mut self) {
        if self.changes.changed().await.is_err() {
            std::future::pending().await
        }
    }

    /// Whether everything is as it was: the session lasts, the token is valid, the permissions are the same.
    pub async fn holds(&self, auth: &Auth) -> bool {
        if let Some(proxied) = &self.proxied {
            return proxied.holds(&self.who.grants);
        }
        let now = auth.recognise(&self.headers, self.peer).await.ok().flatten();
        now.is_some_and(|now| now.grants == self.who.grants && now.name == self.who.name)
    }
}

fn given_id(headers: &HeaderMap) -> Option<String> {
    let id = headers.get("x-request-id")?.to_str().ok()?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.:".contains(&b);
    (!id.is_empty() && id.len() <= 128 && id.bytes().all(plain)).then(|| id.to_owned())
}
