//! One job.

use super::super::api::job::JobQuery;
use super::PageRequest;
use crate::base_path::job_path;
use crate::model::page::Body;
use crate::model::queue::QueueRef;
use crate::server::http::extract::{Path, Query};
use axum::http::StatusCode;
use axum::response::Response;

/// One job, with a part of its log and of its children.
pub async fn job(
    req: PageRequest,
    Path((store, queue, job)): Path<(String, String, String)>,
    Query(query): Query<JobQuery>,
) -> Response {
    let key = QueueRef { store, queue };
    let request = match query.request() {
        Ok(request) => request,
        Err(problem) => {
            let links = vec![("The job".into(), job_path(&key, &job))];
            let (title, detail) = (problem.title, problem.detail);
            return req.notice(StatusCode::BAD_REQUEST, title, detail, links);
        }
    };
    match req.view().job_page(&key, &job, &request).await {
        Ok((page, position)) => req.show(position, Body::Job(page)),
        Err(refusal) => req.refused(&refusal),
    }
}
