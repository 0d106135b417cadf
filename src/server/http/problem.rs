//! Failures as `application/problem+json` (RFC 9457).

use crate::model::error::{Outcome, Problem};
use crate::server::service::Refusal;
use crate::server::service::act::NotActed;
use axum::Json;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self)).into_response();
        response.headers_mut().insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        response
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = self.problem().into_response();
        if let Some(seconds) = again(&self) {
            let value = HeaderValue::from_static(seconds);
            response.headers_mut().insert(header::RETRY_AFTER, value);
        }
        response
    }
}

/// In how many seconds it is worth asking again.
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
        "The API has stores, queues and jobs below /api/v1; the README lists the routes.",
    )
}

/// For an address that is there, and another method.
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
