//! The audit log: who asked for what, and the result.

use super::super::api::act::AuditQuery;
use super::PageRequest;
use crate::model::form::AuditView;
use crate::model::page::Body;
use crate::server::http::extract::Query;
use axum::http::StatusCode;
use axum::response::Response;

/// The page.
pub async fn audit(req: PageRequest, Query(query): Query<AuditQuery>) -> Response {
    let filter = match query.filter() {
        Ok(filter) => filter,
        Err(problem) => {
            let links = vec![("The audit log".into(), "/audit".into())];
            let (title, detail) = (problem.title, problem.detail);
            return req.notice(StatusCode::BAD_REQUEST, title, detail, links);
        }
    };
    let position = req.app.board().position();
    match req.view().audit(&filter, query.cursor(), None) {
        Ok(page) => {
            let view = AuditView {
                page,
                queue: filter.queue,
                job: filter.job,
                later: query.cursor().is_some(),
            };
            req.show(position, Body::Audit(view))
        }
        Err(refusal) => req.refused(&refusal),
    }
}
