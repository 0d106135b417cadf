//! Failures as `application/problem+json` (RFC 9457).

use crate::model::error::{Outcome, Problem};
use crate::server::service::Refusal;
use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
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
        if self == Self::Busy {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from_static("3"));
        }
        response
    }
}

/// A problem of the request itself.
#[must_use]
pub fn refuse(status: StatusCode, kind: &str, title: &str, detail: impl Into<String>) -> Problem {
    Problem {
        kind: format!("urn:drover:problem:{kind}"),
        title: title.into(),
        status: status.as_u16(),
        detail: detail.into(),
        outcome: Outcome::None,
    }
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
