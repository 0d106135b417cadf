//! One job.

use super::super::api::job::JobQuery;
use super::super::caller::Caller;
use super::super::security::Sheet;
use super::{notice, refused, show};
use crate::base_path::job_path;
use crate::model::page::Body;
use crate::model::queue::QueueRef;
use crate::server::state::App;
use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

/// One job, with a part of its log and of its children.
pub async fn job(
    State(app): State<App>,
    caller: Caller,
    Extension(sheet): Extension<Sheet>,
    Path((store, queue, job)): Path<(String, String, String)>,
    Query(query): Query<JobQuery>,
    headers: HeaderMap,
) -> Response {
    let key = QueueRef { store, queue };
    let request = match query.request() {
        Ok(request) => request,
        Err(problem) => {
            let links = vec![("The job".into(), job_path(&key, &job))];
            let (title, detail) = (problem.title, problem.detail);
            return notice(&app, &sheet, &headers, StatusCode::BAD_REQUEST, title, detail, links);
        }
    };
    match app.view(&caller.who).job_page(&key, &job, &request).await {
        Ok((page, position)) => show(&app, &sheet, &headers, position, Body::Job(page)),
        Err(refusal) => refused(&app, &sheet, &headers, &refusal),
    }
}
