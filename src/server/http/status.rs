//! The status page over HTTP: below the board, and on a listener of its own where one is configured.
//!
//! [`FILES`] is everything there is, for both. An answer is bytes that were made before the request
//! ([`crate::server::status`]); the listener of its own has nothing else, in particular no session, no store and
//! nothing that changes anything. It limits how often one client may ask, and its connections
//! ([`connections`](super::connections)).

use super::client::{Client, Tuned};
use super::connections::{ConnectionLimit, LimitedListener, TrackRequests};
use super::pages;
use super::route::{Needs, Routes, get};
use super::security::PageContext;
use crate::server::auth::trusted::Trusted;
use crate::server::http::state::App;
use crate::server::limiter::{Limiter, network};
use crate::server::status::files::{File, Files, Look, style};
use crate::server::status::{Status, Visibility};
use axum::body::Body;
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{ConnectInfo, RawPathParams, RawQuery, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router, ServiceExt};
use percent_encoding::percent_decode_str;
use std::net::IpAddr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// What a route gives.
#[derive(Clone, Copy, Debug)]
enum What {
    Page,
    Json,
    Style,
    /// In the shapes of Statuspage.
    V2(&'static str),
    /// A component's, by the name of the file.
    Badge,
    Shield,
}

/// Every route, and for how many seconds what it gives may be kept.
const FILES: [(&str, What, u32); 13] = [
    ("/status", What::Page, 10),
    ("/status.json", What::Json, 10),
    ("/status/status.css", What::Style, 3_600),
    ("/status/api/v2/summary.json", What::V2("summary.json"), 10),
    ("/status/api/v2/status.json", What::V2("status.json"), 10),
    ("/status/api/v2/components.json", What::V2("components.json"), 10),
    ("/status/api/v2/incidents.json", What::V2("incidents.json"), 10),
    (
        "/status/api/v2/incidents/unresolved.json",
        What::V2("incidents/unresolved.json"),
        10,
    ),
    (
        "/status/api/v2/scheduled-maintenances.json",
        What::V2("scheduled-maintenances.json"),
        10,
    ),
    (
        "/status/api/v2/scheduled-maintenances/upcoming.json",
        What::V2("scheduled-maintenances/upcoming.json"),
        10,
    ),
    (
        "/status/api/v2/scheduled-maintenances/active.json",
        What::V2("scheduled-maintenances/active.json"),
        10,
    ),
    ("/status/badge/{file}", What::Badge, 30),
    ("/status/shield/{file}", What::Shield, 30),
];

/// The path of every route.
pub fn paths() -> impl Iterator<Item = &'static str> {
    FILES.iter().map(|(path, ..)| *path)
}

/// What the routes need on the board.
const fn needs(visibility: Visibility) -> Needs {
    match visibility {
        Visibility::Public => Needs::Nothing,
        Visibility::SignedIn => Needs::Status,
    }
}

/// Adds the page to the board's routes, where something is published. Where nothing is, its addresses are like any others
/// that do not exist.
pub fn routes(mut routes: Routes, status: Option<&Status>) -> Routes {
    let Some(status) = status else { return routes };
    let needs = needs(status.settings().visibility);
    for (path, what, keep) in FILES {
        let handler = async move |State(app): State<App>,
                                  context: Option<Extension<PageContext>>,
                                  parts: Result<RawPathParams, RawPathParamsRejection>,
                                  RawQuery(query): RawQuery,
                                  headers: HeaderMap| {
            let asked = Asked {
                what,
                keep,
                alone: false,
                file: file_of(parts),
                query,
            };
            let answer = app.status().and_then(|status| asked.answer(status, &headers));
            match answer {
                Some(answer) => answer,
                // As for every other address that does not exist.
                None => pages::not_found(State(app), context, headers).await,
            }
        };
        routes = routes.route(path, get(needs, handler));
    }
    routes
}

/// The file that a path names, if its route has a place for one.
fn file_of(parts: Result<RawPathParams, RawPathParamsRejection>) -> Option<String> {
    let parts = parts.ok()?;
    parts.iter().next().map(|(_, file)| file.to_owned())
}

/// A request that was understood.
struct Asked {
    what: What,
    keep: u32,
    alone: bool,
    file: Option<String>,
    query: Option<String>,
}

impl Asked {
    /// What it gives; `None` where there is no such thing.
    fn answer(&self, status: &Status, headers: &HeaderMap) -> Option<Response> {
        static STYLE: LazyLock<File> = LazyLock::new(style);
        let files: Arc<Files> = status.files();
        let named = |end: &str| self.file.as_deref().and_then(|file| file.strip_suffix(end));
        let file = match self.what {
            What::Page => {
                let renews = parameter(self.query.as_deref(), "renew").as_deref() != Some("off");
                let look = Look {
                    alone: self.alone,
                    renews,
                };
                files.page(look)?.clone()
            }
            What::Json => files.json.clone(),
            What::Style => STYLE.clone(),
            What::V2(path) => files.v2.get(path)?.clone(),
            What::Badge => {
                let label = parameter(self.query.as_deref(), "label");
                files.badge(named(".svg")?, label.as_deref())?
            }
            What::Shield => files.shield(named(".json")?)?.clone(),
        };
        let embeds = matches!(self.what, What::Badge);
        Some(respond(
            &file,
            self.keep,
            headers,
            Dress::of(status, embeds, self.alone),
        ))
    }
}

/// A parameter of a query, decoded. What is longer than any of ours needs to be is cut off first.
fn parameter(query: Option<&str>, name: &str) -> Option<String> {
    let pairs = query?.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let (_, value) = { pairs }.find(|(key, _)| *key == name)?;
    let value: String = value.chars().take(600).collect();
    // Forms write a space as a plus.
    Some(
        percent_decode_str(&value.replace('+', " "))
            .decode_utf8_lossy()
            .into_owned(),
    )
}

/// The file, or a 304 if the client has it already.
fn respond(file: &File, keep: u32, headers: &HeaderMap, dress: Dress) -> Response {
    let known = headers.get_all(header::IF_NONE_MATCH).iter();
    let tags = known
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    let has_it = { tags }.any(|tag| matches!(tag.trim(), "*") || tag.trim().trim_start_matches("W/") == file.tag);
    let mut response = match has_it {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => {
            let mut response = Response::new(Body::from(file.bytes.clone()));
            let kind = HeaderValue::from_static(file.kind);
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
            response
        }
    };
    let scope = if dress.public { "public" } else { "private" };
    let out = response.headers_mut();
    for (name, value) in [
        (header::ETAG, file.tag.clone()),
        (header::CACHE_CONTROL, format!("{scope}, max-age={keep}")),
    ] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            out.insert(name, value);
        }
    }
    response.extensions_mut().insert(dress);
    response
}

/// Which headers an answer of the status page has.
#[derive(Clone, Debug)]
struct Dress {
    public: bool,
    /// Whether it is made for other sites' pages.
    embeds: bool,
    /// Whether scripts of other sites may read it.
    shared: bool,
    frame_ancestors: String,
}

impl Dress {
    fn of(status: &Status, embeds: bool, alone: bool) -> Self {
        let settings = status.settings();
        let public = settings.visibility == Visibility::Public;
        Self {
            public,
            embeds: embeds && public,
            shared: public && alone,
            frame_ancestors: settings.frame_ancestors.join(" "),
        }
    }

    /// Puts them on, in place of those of the board.
    fn put_on(&self, headers: &mut HeaderMap) {
        let framed = !self.frame_ancestors.is_empty();
        let ancestors = if framed {
            self.frame_ancestors.as_str()
        } else {
            "'none'"
        };
        let policy = format!(
            "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors {ancestors}"
        );
        let resource = if self.embeds || self.shared {
            "cross-origin"
        } else {
            "same-origin"
        };
        let fixed = [
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::X_FRAME_OPTIONS, "DENY"),
            (header::REFERRER_POLICY, "no-referrer"),
            (HeaderName::from_static("x-robots-tag"), "noindex"),
            (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
            (HeaderName::from_static("cross-origin-resource-policy"), resource),
            (
                HeaderName::from_static("permissions-policy"),
                "camera=(), geolocation=(), microphone=()",
            ),
        ];
        for (name, value) in fixed {
            headers.insert(name, HeaderValue::from_static(value));
        }
        if framed {
            // It knows no sites, and would win in old browsers.
            headers.remove(header::X_FRAME_OPTIONS);
        }
        if self.shared {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        }
        if let Ok(policy) = HeaderValue::from_str(&policy) {
            headers.insert(header::CONTENT_SECURITY_POLICY, policy);
        }
    }
}

/// The outermost layer of the board: its headers are for pages with scripts, and the status page has none.
pub async fn dress(mut response: Response) -> Response {
    if let Some(dress) = response.extensions_mut().remove::<Dress>() {
        dress.put_on(response.headers_mut());
    }
    response
}

/// What the listener of its own has.
#[derive(Clone)]
struct Alone {
    status: Arc<Status>,
    /// `None` for any number of requests.
    limiter: Option<Arc<Limiter>>,
    trusted: Trusted,
}

/// Serves the page alone until `stop`.
///
/// # Errors
///
/// When the listener fails.
pub async fn serve(
    status: Arc<Status>,
    trusted: Trusted,
    listener: TcpListener,
    places: Arc<ConnectionLimit>,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let per_minute = status.settings().rate_limit;
    let limiter = |()| Arc::new(Limiter::new(per_minute, Duration::from_secs(60) / per_minute));
    let alone = Alone {
        limiter: (per_minute > 0).then_some(()).map(limiter),
        trusted,
        status,
    };
    let service =
        ServiceExt::<Request>::into_make_service_with_connect_info::<Client>(TrackRequests::new(router(alone)));
    axum::serve(LimitedListener::new(Tuned(listener), places), service)
        .with_graceful_shutdown(stop.cancelled_owned())
        .await
}

impl Alone {
    /// Counts a request.
    ///
    /// # Errors
    ///
    /// The seconds after which the client may ask again.
    fn admits(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> Result<(), u64> {
        let client = self.trusted.client(headers, peer).map(network);
        self.limiter.as_ref().map_or(Ok(()), |limiter| limiter.spend(&client))
    }
}

fn router(alone: Alone) -> Router {
    let mut router = Router::new();
    for (path, what, keep) in FILES {
        let handler = async move |State(alone): State<Alone>,
                                  parts: Result<RawPathParams, RawPathParamsRejection>,
                                  RawQuery(query): RawQuery,
                                  headers: HeaderMap| {
            let asked = Asked {
                what,
                keep,
                alone: true,
                file: file_of(parts),
                query,
            };
            asked.answer(&alone.status, &headers).unwrap_or_else(nothing)
        };
        router = router.route(path, axum::routing::get(handler));
        if matches!(what, What::Page) {
            router = router.route("/", axum::routing::get(handler));
        }
    }
    router
        // A slash too many: relative, because a proxy may have put something in front.
        .route(
            "/status/",
            axum::routing::get(async || (StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, "../status")])),
        )
        .fallback(async || nothing())
        .method_not_allowed_fallback(async || (StatusCode::METHOD_NOT_ALLOWED, "This page is only read.\n"))
        .layer(from_fn_with_state(alone.clone(), let_in))
        .with_state(alone)
}

fn nothing() -> Response {
    (StatusCode::NOT_FOUND, "No such page.\n").into_response()
}

/// Counts the client's requests, and puts the headers on every answer.
async fn let_in(
    State(alone): State<Alone>,
    ConnectInfo(client): ConnectInfo<Client>,
    request: Request,
    next: Next,
) -> Response {
    let mut response = match alone.admits(client.peer.address(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(seconds) => {
            let text = format!("Too many requests. The page is updated every few seconds; try again in {seconds} s.\n");
            let retry = [(header::RETRY_AFTER, seconds.to_string())];
            (StatusCode::TOO_MANY_REQUESTS, retry, text).into_response()
        }
    };
    let dress = response.extensions_mut().remove::<Dress>();
    let dress = dress.unwrap_or_else(|| Dress::of(&alone.status, false, true));
    let headers = response.headers_mut();
    dress.put_on(headers);
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_statuspage_has_an_address() {
        for end in crate::server::status::files::V2 {
            let path = format!("/status/api/v2/{end}");
            assert!(
                FILES
                    .iter()
                    .any(|(route, what, _)| *route == path && matches!(what, What::V2(of) if *of == end)),
                "{end}"
            );
        }
    }

    #[test]
    fn a_parameter_is_found_decoded_and_cut() {
        let of = |query: &str| parameter(Some(query), "label");
        assert_eq!(of("a=b&label=e%2Dmail+out"), Some("e-mail out".into()));
        assert_eq!(of("label"), Some(String::new()));
        assert_eq!(of("Label=x"), None);
        assert_eq!(of("label=%FF"), Some("\u{fffd}".into()));
        assert_eq!(of(&format!("label={}", "x".repeat(9_000))).unwrap().len(), 600);
    }
}
