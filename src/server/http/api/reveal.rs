//! Hidden values, for a program that says why it needs them.

use super::super::caller::Caller;
use super::super::problem::refuse;
use super::super::security::is_json;
use super::job::file;
use crate::model::archive::ArchivedJob;
use crate::model::error::Problem;
use crate::model::job::JobDetail;
use crate::model::queue::QueueRef;
use crate::server::http::extract::{Path, RawBody};
use crate::server::http::state::App;
use crate::server::service::Refusal;
use crate::server::service::view::reveal::Reveal;
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Deserialize;

/// The body of a request.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RevealBody {
    /// Why: kept in the audit log.
    #[serde(default)]
    reason: String,
    /// Of a job in a queue: only this field of its record, byte by byte.
    #[serde(default)]
    field: Option<String>,
}

fn read(headers: &HeaderMap, body: &Bytes, caller: &Caller) -> Result<(Reveal, Option<String>), Problem> {
    let what = "Send a JSON object with a reason, with Content-Type: application/json.";
    if !is_json(headers) {
        return Err(refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-json", "Not JSON", what));
    }
    let body: RevealBody = serde_json::from_slice(body).map_err(|error| {
        let what = format!("{what} {error}.");
        refuse(StatusCode::BAD_REQUEST, "bad-json", "Bad request", what)
    })?;
    let ask = Reveal {
        reason: body.reason,
        request: caller.request.clone(),
    };
    Ok((ask, body.field))
}

/// One job with everything that is hidden of it, or one field of it.
pub async fn job(
    State(app): State<App>,
    caller: Caller,
    Path((store, queue, job)): Path<(String, String, String)>,
    headers: HeaderMap,
    RawBody(body): RawBody,
) -> Result<Response, Response> {
    let (ask, field) = read(&headers, &body, &caller).map_err(IntoResponse::into_response)?;
    let (view, key) = (app.view(&caller.who), QueueRef { store, queue });
    match field {
        None => view
            .reveal(&key, &job, &ask)
            .await
            .map(|job: JobDetail| Json(job).into_response()),
        Some(field) => {
            let value = view.reveal_field(&key, &job, &field, &ask).await;
            value.map(|value| file(value, &job, &field))
        }
    }
    .map_err(Refusal::into_response)
}

/// One archived job with everything that is hidden of it.
pub async fn archived(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    RawBody(body): RawBody,
) -> Result<Json<ArchivedJob>, Response> {
    let (ask, _) = read(&headers, &body, &caller).map_err(IntoResponse::into_response)?;
    let job = app.view(&caller.who).reveal_archived(&id, &ask).await;
    job.map(Json).map_err(Refusal::into_response)
}
