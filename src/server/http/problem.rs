//! Failures as `application/problem+json` (RFC 9457).

use crate::model::error::{Outcome, Problem};
use crate::server::adapter::ReadError;
use crate::server::service::Refusal;
use crate::server::service::act::NotActed;
use axum::Json;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// The hint about proxies: what one may have done to the address, and the way that avoids it.
const DECODED: &str = "If an id in the address holds a slash, a backslash, a percent sign or dots, a proxy on the way may have \
    decoded it, so that something else arrived: ask at /api/v1/at?to= with the path below /api/v1, percent-encoded once more.";

/// Adds the hint about proxies to a problem of a path that matches no route.
#[must_use]
pub fn by_way_of_a_proxy(response: Response) -> Response {
    let lost = matches!(
        response.status(),
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED
    );
    match response.extensions().get::<Problem>().filter(|_| lost) {
        Some(problem) if !problem.detail.contains(DECODED) => {
            let mut problem = problem.clone();
            problem.detail = format!("{} {DECODED}", problem.detail);
            let mut extended = problem.into_response();
            for (name, value) in response.headers() {
                extended.headers_mut().entry(name).or_insert_with(|| value.clone());
            }
            extended
        }
        _ => response,
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(&self)).into_response();
        response.extensions_mut().insert(self);
        response.headers_mut().insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        response
    }
}

impl From<&Refusal> for Problem {
    fn from(refusal: &Refusal) -> Self {
        let (kind, title, status) = match refusal {
            Refusal::NoStore(_) => ("no-such-store", "No such store", 404),
            Refusal::NoQueue(_) => ("no-such-queue", "No such queue", 404),
            Refusal::NotSearched(..) => ("not-searched", "Not searched yet", 503),
            Refusal::NoJob(..) => ("no-such-job", "No such job", 404),
            Refusal::NoField(_) => ("no-such-field", "No such field", 404),
            Refusal::TooLarge(..) => ("too-large", "Too large", 413),
            Refusal::Busy => ("busy", "One at a time", 503),
            Refusal::NoOperation(_) => ("no-such-operation", "No such operation", 404),
            Refusal::NotArchived(_) => ("not-archived", "Not in the archive", 404),
            Refusal::NoPolicy(_) => ("no-such-policy", "No such policy", 404),
            Refusal::NotActed(why) => match why {
                NotActed::Denied(_) => ("denied", "Not permitted", 403),
                NotActed::ReadOnly => ("read-only", "Read-only", 403),
                NotActed::NotNow(_) => ("not-now", "Not now", 503),
                NotActed::Impossible(_) => ("not-possible", "Not possible", 422),
                NotActed::NoAudit(_) => ("audit-unavailable", "The audit log cannot be written", 503),
                NotActed::NoArchive(_) => ("archive-unavailable", "The archive does not answer", 503),
                NotActed::Wrong(_) => ("bad-action", "Bad action", 400),
                NotActed::KeyUsed => ("key-used", "Idempotency key used", 422),
                NotActed::KeyRunning => ("key-running", "In progress", 409),
                NotActed::NoCursor => ("bad-cursor", "Damaged address", 400),
            },
            Refusal::Unreadable(why) => match why {
                ReadError::BadCursor => ("bad-cursor", "Damaged address", 400),
                ReadError::Store(_) => ("store-unavailable", "The store does not answer", 503),
                ReadError::Corrupt(_) => ("unreadable", "The store's data cannot be read", 502),
                ReadError::Unsupported(_) => ("unsupported", "Not supported", 422),
            },
        };
        Self::new(kind, title, status, refusal.to_string(), Outcome::None)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = Problem::from(&self).into_response();
        if let Some(seconds) = again(&self) {
            let value = HeaderValue::from_static(seconds);
            response.headers_mut().insert(header::RETRY_AFTER, value);
        }
        response
    }
}

/// The seconds after which it is worth asking again.
pub const fn again(refusal: &Refusal) -> Option<&'static str> {
    match refusal {
        Refusal::NotSearched(..) => Some("2"),
        Refusal::Busy => Some("3"),
        Refusal::NotActed(NotActed::KeyRunning) => Some("1"),
        Refusal::NotActed(NotActed::NotNow(_) | NotActed::NoAudit(_) | NotActed::NoArchive(_)) => Some("5"),
        _ => None,
    }
}

/// A problem of the request itself.
#[must_use]
pub fn refuse(status: StatusCode, kind: &str, title: &str, detail: impl Into<String>) -> Problem {
    Problem::new(kind, title, status.as_u16(), detail, Outcome::None)
}

/// For addresses below `/api` that mean nothing.
pub async fn no_such_route() -> Problem {
    refuse(
        StatusCode::NOT_FOUND,
        "no-such-route",
        "No such route",
        format!(
            "The API has stores, queues and jobs below /api/v1. GET /api/v1/openapi.json and docs/api.md list the routes. {DECODED}"
        ),
    )
}

/// For `/api/v1/at` without a usable `to`.
pub async fn nowhere() -> Problem {
    refuse(
        StatusCode::BAD_REQUEST,
        "bad-at",
        "Leads nowhere",
        "This address leads to another one of the API, by its parameter to: the path below /api/v1, percent-encoded once more, \
         such as /api/v1/at?to=%2Fqueues%2Fredis%2Fbull:mail%2Fjobs%2Fa%252Fb for the job a/b.",
    )
}

/// A path that no address of the board has.
pub fn odd_path() -> Problem {
    let what = "The path holds an empty segment, a dot segment or a zero byte; no address of the board does.";
    refuse(
        StatusCode::BAD_REQUEST,
        "odd-path",
        "Odd path",
        format!("{what} {DECODED}"),
    )
}

/// For an address that exists, with another method.
pub async fn no_such_method(method: Method) -> Problem {
    refuse(
        StatusCode::METHOD_NOT_ALLOWED,
        "no-such-method",
        "No such method",
        format!(
            "This address does not take {method}. GET reads, POST acts; openapi.json below /api/v1 lists what there is."
        ),
    )
}
