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
    (!matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) && !same_origin(request.headers())).then(|| {
        refuse(
            StatusCode::FORBIDDEN,
            "cross-site",
            "Not from this page",
            "The browser says that another site made this request, or does not say who did. If a proxy is in front, let it pass \
             the Origin, Host and Sec-Fetch-Site headers on.",
        )
    })
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

/// Whether an unsafe request was made by a page of this board. Browsers say so themselves; where
/// they do not (plain HTTP to a name that is not localhost), the origin must be the host asked.
fn same_origin(headers: &HeaderMap) -> bool {
    let get = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = headers.get("sec-fetch-site").and_then(|value| value.to_str().ok()) {
        return site == "same-origin";
    }
    let origin = get(header::ORIGIN)
        .and_then(|origin| origin.split_once("://"))
        .map(|(_, host)| host);
    origin.is_some() && origin == get(header::HOST)
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
        let host = ("host", "localhost:3000");
        let post = |headers: &[(&str, &str)]| kind(false, "POST", "/theme", &[&[host], headers].concat());
        assert_eq!(post(&[("sec-fetch-site", "same-origin")]), None);
        assert_eq!(post(&[("origin", "http://localhost:3000")]), None);
        for bad in [
            &[("sec-fetch-site", "cross-site")][..],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "none")],
            &[("origin", "http://localhost:4000")],
            &[("origin", "null")],
            &[],
        ] {
            assert_eq!(post(bad).as_deref(), Some("cross-site"), "{bad:?}");
        }
        assert_eq!(
            kind(false, "GET", "/", &[host, ("sec-fetch-site", "cross-site")]),
            None,
            "links may come from anywhere"
        );
    }

    #[test]
    fn odd_paths_are_no_paths() {
        for path in ["//", "/a//b", "/a/../b", "/a/./b", "/a%00"] {
            assert_eq!(kind(true, "GET", path, &[]).as_deref(), Some("odd-path"), "{path}");
        }
    }
}
