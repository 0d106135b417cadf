//! Who asked for what, and what became of it.

use super::super::api::act::AuditQuery;
use super::super::caller::Caller;
use super::super::security::Sheet;
use super::{notice, refused, show};
use crate::model::form::AuditView;
use crate::model::page::Body;
use crate::server::state::App;
use axum::Extension;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

/// The page.
pub async fn audit(
    State(app): State<App>,
    caller: Caller,
    Extension(sheet): Extension<Sheet>,
    Query(query): Query<AuditQuery>,
    headers: HeaderMap,
) -> Response {
    let filter = match query.filter() {
        Ok(filter) => filter,
        Err(problem) => {
            let links = vec![("Everything that was asked for".into(), "/audit".into())];
            let (title, detail) = (problem.title, problem.detail);
            return notice(&app, &sheet, &headers, StatusCode::BAD_REQUEST, title, detail, links);
        }
    };
    let position = app.board().position();
    match app.view(&caller.who).audit(&filter, query.cursor(), None) {
        Ok(page) => {
            let view = AuditView {
                page,
                queue: filter.queue,
                job: filter.job,
                later: query.cursor().is_some(),
            };
            show(&app, &sheet, &headers, position, Body::Audit(view))
        }
        Err(refusal) => refused(&app, &sheet, &headers, &refusal),
    }
}
