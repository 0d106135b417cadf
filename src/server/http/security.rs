//! What is refused before anything is routed, and the headers on every answer.
//!
//! Where there is no sign-in, or passwords would travel in the clear, only this machine gets in: a request that came
//! through a proxy, or that names another host (a page on the internet can make a browser send one to `127.0.0.1`), is
//! refused. A request that changes something is refused everywhere unless a page of this board or a program sent it.
//! Then the caller is recognised, once.

use super::base_path::Stripped;
use super::caller::recognise;
use super::encoding::Uncompressed;
use super::problem::{by_way_of_a_proxy, odd_path, refuse};
use crate::model::error::Problem;
use crate::server::auth::settings::Mode;
use crate::server::auth::who::Who;
use crate::server::auth::{Auth, bearer};
use crate::server::http::state::App;
use crate::server::telemetry;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// What a page is written with: the nonce that its one inline script carries, and its reader.
#[derive(Clone, Debug, Default)]
pub struct PageContext {
    /// The nonce.
    pub nonce: String,
    /// Its reader, if recognised.
    pub who: Option<Who>,
}

impl PageContext {
    fn mint() -> Self {
        Self {
            nonce: STANDARD.encode(rand::random::<[u8; 16]>()),
            who: None,
        }
    }

    /// With a place for the nonce, for a page that serves several.
    #[must_use]
    pub fn at(place: &str) -> Self {
        Self {
            nonce: place.to_owned(),
            who: None,
        }
    }
}

/// Refuses requests that are not allowed; adds the headers to every answer.
pub async fn guard(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let mut context = PageContext::mint();
    let began = std::time::Instant::now();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut response = match refusal(app.auth(), &request) {
        Some(problem) => problem.into_response(),
        None => match recognise(&app, &mut request).await {
            None => {
                context.who = request.extensions().get::<Who>().cloned();
                request.extensions_mut().insert(context.clone());
                let stripped = request.extensions().get::<Stripped>().is_some();
                let response = next.run(request).await;
                if stripped {
                    by_way_of_a_proxy(response)
                } else {
                    response
                }
            }
            Some(refused) => refused,
        },
    };
    if !matches!(method, Method::GET | Method::HEAD) {
        response.extensions_mut().insert(Uncompressed);
    }
    add_headers(response.headers_mut(), &context, app.auth().is_encrypted());
    super::metrics::count_request(response.status().as_u16());
    let duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let path = telemetry::named(&path);
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

fn refusal(auth: &Auth, request: &Request) -> Option<Problem> {
    let path = request.uri().path();
    if is_odd(path) {
        return Some(odd_path());
    }
    if auth.is_for_this_machine() {
        let what = match auth.mode() {
            Mode::Password => {
                "passwords would travel in the clear. Set DROVER_PUBLIC_URL to the https:// address by which browsers reach it."
            }
            _ => {
                "this board has no sign-in. Start Drover with DROVER_AUTH_MODE=proxy if the proxy signs people in, or with password if Drover is to."
            }
        };
        if let Some(name) = FORWARDING.iter().find(|name| request.headers().contains_key(**name)) {
            return Some(refuse(
                StatusCode::FORBIDDEN,
                "forwarded",
                "Not through a proxy",
                format!("The request carries {name}: it came through a proxy, and {what}"),
            ));
        }
        if !names_this_machine(request.headers()) {
            return Some(refuse(
                StatusCode::FORBIDDEN,
                "foreign-host",
                "Not this machine",
                format!(
                    "The request names another host than localhost, and {what} On this machine, open it by that name."
                ),
            ));
        }
    }
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        return taken_elsewhere(request).then(|| {
            refuse(
                StatusCode::FORBIDDEN,
                "cross-site",
                "Not from this page",
                "Another site asks for this. Answers of the API and streams are for pages of the board and for programs; open the \
                 address itself, or follow a link to it.",
            )
        });
    }
    match origin_of(auth, request) {
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

/// Whether another site's page asks for data or a stream: it could not read the answer, but would take a place (S-15).
/// Links from other sites still work.
fn taken_elsewhere(request: &Request) -> bool {
    let is = |name: &str, value: &str| request.headers().get(name).is_some_and(|given| given == value);
    let path = request.uri().path();
    let data = path.starts_with("/api/") || path == "/events" || path == "/metrics";
    data && is("sec-fetch-site", "cross-site")
        && !(is("sec-fetch-mode", "navigate") && is("sec-fetch-dest", "document"))
}

/// What no address of the board holds, and what a proxy and a router could read in two ways (S-4). What is escaped stays
/// so until the route has been matched: a queue may be called `..`, and its permission is asked for by that name.
fn is_odd(path: &str) -> bool {
    ["//", "\\", "/./", "/../", "%00"]
        .iter()
        .any(|part| path.contains(part))
        || path.ends_with("/.")
        || path.ends_with("/..")
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
    /// A page of another site, or one without an origin.
    Elsewhere,
    /// The request does not tell.
    Unsaid,
}

/// The header with which a program says that it is no browser.
const PROGRAM: &str = "x-drover";

/// Who made an unsafe request. Browsers say so themselves; where they do not (plain HTTP to a name that is
/// not localhost), the origin must be the host asked. What says neither is no browser, or one so old that it
/// could only send forms: a program therefore sends JSON with a header of its own, which a page of another
/// site cannot send without a preflight request, and Drover never permits those.
fn origin_of(auth: &Auth, request: &Request) -> Origin {
    let headers = request.headers();
    let get = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    // What a browser adds by itself is what another site could make it send. A token it never adds.
    if bearer(headers).is_some() && !auth.has_cookie(headers) {
        return Origin::Program;
    }
    if let Some(site) = get("sec-fetch-site") {
        return match site {
            "same-origin" => Origin::ThisBoard,
            _ => Origin::Elsewhere,
        };
    }
    if let Some(origin) = get("origin") {
        let host = origin.split_once("://").map(|(_, host)| host);
        let ours = match auth.origin() {
            Some(ours) => origin == ours,
            None => host.is_some() && host == get("host"),
        };
        return match ours {
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

fn add_headers(headers: &mut HeaderMap, context: &PageContext, encrypted: bool) {
    // 'wasm-unsafe-eval' lets WebAssembly compile and nothing else run.
    let policy = format!(
        "default-src 'none'; script-src 'self' 'nonce-{}' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' data:; \
         connect-src 'self'; font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        context.nonce
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
    // Answers are about now, and about payloads: no cache may keep one unless its handler says so.
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    if encrypted {
        let year = HeaderValue::from_static("max-age=31536000");
        headers.insert(header::STRICT_TRANSPORT_SECURITY, year);
    }
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

    fn auth(mode: Mode, origin: Option<&str>) -> Auth {
        let settings = crate::server::auth::settings::Auth {
            mode,
            rules: vec![],
            lifetime: crate::server::auth::sessions::Lifetime::default(),
            folder: "/nonexistent/drover".into(),
            origin: origin.map(str::to_owned),
            trusted: crate::server::auth::trusted::Trusted::default(),
        };
        let data = crate::server::database::OwnData::new(None, "/nonexistent/drover/audit.ndjson".as_ref());
        Auth::open(&settings, &crate::base_path::BasePath::default(), data)
    }

    fn kind(signs_in: bool, method: &str, path: &str, headers: &[(&str, &str)]) -> Option<String> {
        let proxy = Mode::Proxy(crate::server::auth::proxy::Proxy {
            secret: None,
            user: "x-forwarded-user".into(),
            groups: "x-forwarded-groups".into(),
            sign_out_url: None,
        });
        let mode = if signs_in { proxy } else { Mode::None };
        kind_at(&auth(mode, None), method, path, headers)
    }

    fn kind_at(auth: &Auth, method: &str, path: &str, headers: &[(&str, &str)]) -> Option<String> {
        refusal(auth, &request(method, path, headers)).map(|p| p.kind.replace("urn:drover:problem:", ""))
    }

    // S-6
    #[test]
    fn the_origin_is_that_of_the_public_address_where_that_is_known() {
        let auth = auth(Mode::Password, Some("https://ops.example.com"));
        for (origin, refused) in [
            ("https://ops.example.com", false),
            ("http://ops.example.com", true),
            ("https://ops.example.com:8443", true),
            ("https://ops.example.com.evil.example", true),
            ("https://127.0.0.1:3000", true),
            ("null", true),
        ] {
            // A proxy may name itself to us as it likes.
            let headers = [("host", "127.0.0.1:3000"), ("origin", origin)];
            assert_eq!(
                kind_at(&auth, "POST", "/theme", &headers).is_some(),
                refused,
                "{origin}"
            );
        }
    }

    // S-6: a token is never added by a browser itself, and a session beside it is what another site would use.
    #[test]
    fn a_token_speaks_for_itself_unless_a_session_comes_along() {
        let auth = auth(Mode::Password, Some("https://ops.example.com"));
        let cookie =
            crate::server::auth::cookie::SessionCookie::new(&crate::base_path::BasePath::default(), true).set("x", 1);
        let token = ("authorization", "Bearer dr_x");
        assert_eq!(kind_at(&auth, "POST", "/api/v1/operations", &[token]), None);
        let both = [token, ("cookie", cookie.split(';').next().unwrap())];
        assert_eq!(
            kind_at(&auth, "POST", "/api/v1/operations", &both).as_deref(),
            Some("cross-site")
        );
        let basic = [("authorization", "Basic eDp5")];
        assert_eq!(
            kind_at(&auth, "POST", "/api/v1/operations", &basic).as_deref(),
            Some("cross-site")
        );
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
        for header in [
            "forwarded",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-proto",
            "x-forwarded-prefix",
            "x-real-ip",
            "via",
        ] {
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

    // S-15
    #[test]
    fn another_site_takes_no_data_and_no_stream() {
        let site = ("sec-fetch-site", "cross-site");
        let link = [site, ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
        let frame = [site, ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")];
        let image = [site, ("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image")];
        for path in ["/api/v1/queues", "/events", "/metrics"] {
            assert_eq!(kind(true, "GET", path, &link), None, "{path}: a link");
            for headers in [&frame, &image] {
                assert_eq!(
                    kind(true, "GET", path, headers).as_deref(),
                    Some("cross-site"),
                    "{path} {headers:?}"
                );
            }
            assert_eq!(kind(true, "GET", path, &[("sec-fetch-site", "same-origin")]), None);
            assert_eq!(kind(true, "GET", path, &[]), None, "{path}: a program");
        }
        assert_eq!(
            kind(true, "GET", "/status.json", &image),
            None,
            "the status page is for other sites too"
        );
    }

    #[test]
    fn odd_paths_are_no_paths() {
        for path in ["//", "/a//b", "/a/../b", "/a/./b", "/a%00", "/a/.", "/a/..", "/a\\b"] {
            assert_eq!(kind(true, "GET", path, &[]).as_deref(), Some("odd-path"), "{path}");
        }
    }
}
