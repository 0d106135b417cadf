//! Whoever made a request.

use crate::server::audit::record::mint_id;
use crate::server::service::act::who::Who;
use crate::server::state::App;
use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use std::convert::Infallible;
use std::net::SocketAddr;

/// Who made the request, and the id of it.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Who.
    pub who: Who,
    /// The id that the caller gave the request, or one made up.
    pub request: String,
}

impl FromRequestParts<App> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let peer = peer.map_or_else(|| "unknown".into(), |ConnectInfo(peer)| peer.ip().to_string());
        // Only the last address was written by the proxy that is meant to be there; the others by whoever asks.
        let behind = app.config().behind_proxy;
        let address = match last_forwarded(&parts.headers).filter(|_| behind) {
            Some(client) => format!("{client} by {peer}"),
            None => peer,
        };
        Ok(Self {
            who: Who::anonymous(address),
            request: given_id(&parts.headers).unwrap_or_else(|| mint_id(crate::model::now())),
        })
    }
}

fn last_forwarded(headers: &HeaderMap) -> Option<String> {
    let last = headers.get_all("x-forwarded-for").iter().next_back()?.to_str().ok()?;
    let last = last.rsplit(',').next()?.trim();
    let plain = |b: u8| b.is_ascii_hexdigit() || b".:[]".contains(&b);
    (!last.is_empty() && last.len() <= 64 && last.bytes().all(plain)).then(|| last.to_owned())
}

fn given_id(headers: &HeaderMap) -> Option<String> {
    let id = headers.get("x-request-id")?.to_str().ok()?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.:".contains(&b);
    (!id.is_empty() && id.len() <= 128 && id.bytes().all(plain)).then(|| id.to_owned())
}
