//! Policies of the archive: listed, run now, and tried without doing anything.

use super::super::caller::Caller;
use super::super::problem::refuse;
use super::super::security::is_json;
use crate::model::operation::Preview;
use crate::model::policy::PolicyStanding;
use crate::server::http::extract::{Path, RawBody};
use crate::server::http::state::App;
use crate::server::service::Refusal;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// All policies.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "ArchivePolicies")]
pub struct All {
    /// In the order of the configuration.
    items: Vec<PolicyStanding>,
}

/// How a policy is to run.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[schemars(rename = "ArchivePolicyRun")]
#[serde(deny_unknown_fields, default)]
pub struct RunBody {
    /// Only tell what would be done: the answer is a preview.
    dry_run: bool,
    /// Why: kept in the audit log.
    reason: String,
}

/// What a run began with.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "ArchivePolicyBegun")]
pub struct Begun {
    /// Its operation; `null` where there was nothing to archive.
    operation: Option<String>,
}

/// What a run is answered with: as it was asked for.
#[derive(Debug, JsonSchema, Serialize)]
#[serde(untagged)]
#[schemars(rename = "ArchivePolicyAnswer")]
#[expect(clippy::large_enum_variant, reason = "one value per request")]
pub enum Answer {
    /// With `dry_run`.
    Preview(Preview),
    /// Otherwise.
    Begun(Begun),
}

/// All of them.
pub async fn list(State(app): State<App>, caller: Caller) -> Result<Json<All>, Refusal> {
    let items = app.view(&caller.who).policy_standings().await?;
    Ok(Json(All { items }))
}

/// Runs one now, or tells what that would do.
pub async fn run(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    RawBody(body): RawBody,
) -> Result<Response, Response> {
    let bad = |detail: String| refuse(StatusCode::BAD_REQUEST, "bad-body", "Bad request", detail).into_response();
    if !body.is_empty() && !is_json(&headers) {
        return Err(bad(
            "Send a JSON object with Content-Type: application/json to start a run.".into(),
        ));
    }
    let wanted = if body.is_empty() {
        RunBody::default()
    } else {
        serde_json::from_slice(&body).map_err(|error| bad(format!("{error}.")))?
    };
    let service = app.service();
    if wanted.dry_run {
        let preview = service.preview_policy(&caller.who, &id).await;
        return Ok(Json(Answer::Preview(preview.map_err(IntoResponse::into_response)?)).into_response());
    }
    let operation = service.run_policy(&caller.who, &id, &wanted.reason).await;
    let operation = operation.map_err(IntoResponse::into_response)?;
    let status = if operation.is_some() {
        StatusCode::ACCEPTED
    } else {
        StatusCode::OK
    };
    Ok((status, Json(Answer::Begun(Begun { operation }))).into_response())
}
