//! Who may ask at all, and the headers on every answer.
//!
//! This version has no sign-in. So it answers only this machine: a request that came through a
//! proxy, or that names another host (a page on the internet can make a browser send one to
//! `127.0.0.1`), is refused unless the operator has said that a proxy in front decides who gets in.

use super::problem::refuse;
use crate::model::error::Problem;
use crate::server::state::App;
use crate::server::telemetry;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The nonce of one answer: the only inline script that may run carries it.
#[derive(Clone, Debug)]
pub struct Nonce(pub String);

impl Nonce {
    fn mint() -> Self {
        Self(STANDARD.encode(rand::random::<[u8; 16]>()))
    }
}

/// Refuses what must not be here; adds the headers to everything.
pub async fn guard(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let nonce = Nonce::mint();
    let began = std::time::Instant::now();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut response = match refusal(app.config().behind_proxy, &request) {
        Some(problem) => problem.into_response(),
        None => {
            request.extensions_mut().insert(nonce.clone());
            next.run(request).await
        }
    };
    add_headers(response.headers_mut(), &nonce);
    telemetry::count_request(response.status().as_u16());
    let duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::debug!(%method, path, status = response.status().as_u16(), duration_ms, "request");
    response
}

/// Headers that say that a request came through a proxy.
const FORWARDING: [&str; 7] = [
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-forwarded-prefix",
    "x-real-ip",
    "via",
];

fn refusal(behind_proxy: bool, request: &Request) -> Option<Problem> {
    let path = request.uri().path();
    if path.contains("//")
        || path.contains('\\')
        || path.contains("/./")
        || path.contains("/../")
        || path.contains("%00")
    {
        return Some(refuse(
            StatusCode::BAD_REQUEST,
            "odd-path",
            "Odd path",
            "The path holds an empty segment, a dot segment or a zero byte; no address of the board does.",
        ));
    }
    if !behind_proxy {
        if let Some(name) = FORWARDING.iter().find(|name| request.headers().contains_key(**name)) {
            return Some(refuse(
                StatusCode::FORBIDDEN,
                "forwarded",
                "Not through a proxy",
                format!(
                    "The request carries {name}: it came through a proxy, and this board has no sign-in. If the proxy decides who \
                     gets in, start Drover with DROVER_BEHIND_PROXY=true."
                ),
            ));
        }
        if !names_this_machine(request.headers()) {
            return Some(refuse(
                StatusCode::FORBIDDEN,
                "foreign-host",
                "Not this machine",
                "The request names another host than localhost, and this board has no sign-in. If a proxy decides who gets in, \
                 start Drover with DROVER_BEHIND_PROXY=true.",
            ));
        }
    }
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        return None;
    }
    match origin_of(request) {
        Origin::ThisBoard | Origin::Program => None,
        Origin::Elsewhere => Some(refuse(
            StatusCode::FORBIDDEN,
            "cross-site",
            "Not from this page",
            "The browser says that another site made this request. If a proxy is in front, let it pass the Origin, Host and \
             Sec-Fetch-Site headers on as they are.",
        )),
        Origin::Unsaid => Some(refuse(
            StatusCode::FORBIDDEN,
            "cross-site",
            "Not from this page",
            "The request does not say where it was made. A browser does: if a proxy is in front, let it pass the Origin, Host \
             and Sec-Fetch-Site headers on. A program that calls the API sends the headers X-Drover: 1 and Content-Type: \
             application/json.",
        )),
    }
}

fn names_this_machine(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST).and_then(|host| host.to_str().ok()) else {
        // HTTP/1.0 clients and HTTP/2 without Host: no browser sends that.
        return true;
    };
    let name = match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Who made an unsafe request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// A page of this board.
    ThisBoard,
    /// A program that calls the API.
    Program,
    /// A page of another site, or nobody's.
    Elsewhere,
    /// It does not tell.
    Unsaid,
}

/// The header with which a program says that it is no browser.
const PROGRAM: &str = "x-drover";

/// Who made an unsafe request. Browsers say so themselves; where they do not (plain HTTP to a name that is
/// not localhost), the origin must be the host asked. What says neither is no browser, or one so old that it
/// could only send forms: a program therefore sends JSON with a header of its own, which a page of another
/// site cannot do without asking first, and it is never told yes.
fn origin_of(request: &Request) -> Origin {
    let headers = request.headers();
    let get = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    if let Some(site) = get("sec-fetch-site") {
        return match site {
            "same-origin" => Origin::ThisBoard,
            _ => Origin::Elsewhere,
        };
    }
    if let Some(origin) = get("origin") {
        let host = origin.split_once("://").map(|(_, host)| host);
        return match host.is_some() && host == get("host") {
            true => Origin::ThisBoard,
            false => Origin::Elsewhere,
        };
    }
    let api = request.uri().path().starts_with("/api/");
    match api && get(PROGRAM) == Some("1") && is_json(headers) {
        true => Origin::Program,
        false => Origin::Unsaid,
    }
}

/// Whether the body is said to be JSON.
pub fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default();
    kind.trim().eq_ignore_ascii_case("application/json")
}

fn add_headers(headers: &mut HeaderMap, nonce: &Nonce) {
    // 'wasm-unsafe-eval' lets WebAssembly compile and nothing else run.
    let policy = format!(
        "default-src 'none'; script-src 'self' 'nonce-{}' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' data:; \
         connect-src 'self'; font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        nonce.0
    );
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "same-origin"),
        (
            header::HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            header::HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
        (
            header::HeaderName::from_static("permissions-policy"),
            "camera=(), geolocation=(), microphone=()",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// Answers are about now, and about payloads: nobody may keep one unless its handler says so.
pub async fn cache_nothing_by_default(mut response: Response) -> Response {
    response
        .headers_mut()
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    fn request(method: &str, path: &str, headers: &[(&str, &str)]) -> Request {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(Body::empty()).unwrap()
    }

    fn kind(behind_proxy: bool, method: &str, path: &str, headers: &[(&str, &str)]) -> Option<String> {
        refusal(behind_proxy, &request(method, path, headers)).map(|p| p.kind.replace("urn:drover:problem:", ""))
    }

    #[test]
    fn without_sign_in_only_this_machine_gets_in() {
        for host in ["localhost:3000", "127.0.0.1:3000", "[::1]:3000", "127.8.9.1"] {
            assert_eq!(kind(false, "GET", "/", &[("host", host)]), None, "{host}");
        }
        for host in ["evil.example", "127.0.0.1.evil.example", "10.0.0.1", "[fe80::1]"] {
            assert_eq!(
                kind(false, "GET", "/", &[("host", host)]).as_deref(),
                Some("foreign-host"),
                "{host}"
            );
        }
        for header in FORWARDING {
            let headers = [("host", "localhost"), (header, "1.2.3.4")];
            assert_eq!(
                kind(false, "GET", "/", &headers).as_deref(),
                Some("forwarded"),
                "{header}"
            );
            assert_eq!(kind(true, "GET", "/", &headers), None, "{header}");
        }
    }

    #[test]
    fn another_site_cannot_change_anything() {
        const HOST: (&str, &str) = ("host", "localhost:3000");
        const PROGRAM: [(&str, &str); 2] = [("x-drover", "1"), ("content-type", "application/json")];
        let sites = [
            None,
            Some("same-origin"),
            Some("same-site"),
            Some("cross-site"),
            Some("none"),
        ];
        let origins = [
            None,
            Some("http://localhost:3000"),
            Some("http://localhost:4000"),
            Some("null"),
        ];
        // What the browser says decides; then the origin; then whether it is a program that calls the API.
        for site in sites {
            for origin in origins {
                for (path, extra, program) in [
                    ("/theme", &[][..], false),
                    ("/theme", &PROGRAM[..], false),
                    ("/api/v1/queues/a/b/pause", &[], false),
                    ("/api/v1/queues/a/b/pause", &PROGRAM[..1], false),
                    (
                        "/api/v1/queues/a/b/pause",
                        &[PROGRAM[0], ("content-type", "text/plain")],
                        false,
                    ),
                    ("/api/v1/queues/a/b/pause", &PROGRAM[..], true),
                ] {
                    let mut headers = vec![HOST];
                    headers.extend(site.map(|site| ("sec-fetch-site", site)));
                    headers.extend(origin.map(|origin| ("origin", origin)));
                    headers.extend(extra);
                    let passes = match (site, origin) {
                        (Some(site), _) => site == "same-origin",
                        (None, Some(origin)) => origin == "http://localhost:3000",
                        (None, None) => program,
                    };
                    let refused = kind(false, "POST", path, &headers);
                    let expected = (!passes).then_some("cross-site");
                    assert_eq!(refused.as_deref(), expected, "POST {path} with {headers:?}");
                }
            }
        }
        let lan = [("host", "10.0.0.140:3000"), ("origin", "http://10.0.0.140:3000")];
        assert_eq!(
            kind(true, "POST", "/theme", &lan),
            None,
            "plain HTTP in a local network"
        );
        let read = [HOST, ("sec-fetch-site", "cross-site")];
        assert_eq!(kind(false, "GET", "/", &read), None, "links may come from anywhere");
    }

    #[test]
    fn odd_paths_are_no_paths() {
        for path in ["//", "/a//b", "/a/../b", "/a/./b", "/a%00"] {
            assert_eq!(kind(true, "GET", path, &[]).as_deref(), Some("odd-path"), "{path}");
        }
    }
}
