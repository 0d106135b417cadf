//! A queue, its chart, and its jobs.

use super::super::api::JobsQuery;
use super::super::caller::Caller;
use super::super::security::Sheet;
use super::{notice, refused, see_other, show};
use crate::base_path::{job_path, queue_path};
use crate::model::action::JobAction;
use crate::model::page::Body;
use crate::model::queue::QueueRef;
use crate::model::refusal;
use crate::server::state::App;
use crate::ui;
use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use serde::Deserialize;

/// One queue.
pub async fn queue(
    State(app): State<App>,
    caller: Caller,
    Extension(sheet): Extension<Sheet>,
    Path((store, queue)): Path<(String, String)>,
    Query(query): Query<JobsQuery>,
    headers: HeaderMap,
) -> Response {
    let key = QueueRef { store, queue };
    let request = match query.request() {
        Ok(request) => request,
        Err(problem) => {
            let links = vec![("The queue".into(), queue_path(&key))];
            return notice(
                &app,
                &sheet,
                &headers,
                StatusCode::BAD_REQUEST,
                problem.title,
                problem.detail,
                links,
            );
        }
    };
    let view = app.view(&caller.who);
    let (page, aside) = tokio::join!(view.queue_page(&key, &request), view.queue_aside(&key));
    match page {
        Ok((mut page, position)) => {
            let letters = aside.as_ref().is_ok_and(|aside| {
                let insight = aside.insight.as_ref();
                insight.is_ok_and(|insight| !insight.dead_letters_of.is_empty())
            });
            page.aside = aside.map_or_else(|_| String::new(), |aside| ui::aside(&app.config().base_path, aside));
            if !app.service().is_read_only() {
                let layout = page.queue.family.map(|family| family.layout);
                let archive = layout.is_some_and(|layout| refusal::job(layout, &JobAction::Archive).is_none());
                let archive = archive && app.service().has_archive();
                page.tools = ui::tools(&app.config().base_path, &page, archive, letters);
            }
            show(&app, &sheet, &headers, position, Body::Queue(page))
        }
        Err(refusal) => refused(&app, &sheet, &headers, &refusal),
    }
}

/// What the form "job by id" sends. The queue is in the path, or in `to` where it does not survive there.
#[derive(Debug, Deserialize)]
pub struct Find {
    #[serde(default)]
    id: String,
}

/// Leads to a job by its id.
pub async fn find_job(
    State(app): State<App>,
    Path((store, queue)): Path<(String, String)>,
    Query(find): Query<Find>,
) -> Response {
    let key = QueueRef { store, queue };
    let inner = match find.id.trim() {
        "" => queue_path(&key),
        id => job_path(&key, id),
    };
    see_other(&app.config().base_path.href(&inner))
}

/// Limits, retention and times alone, for a page that keeps them fresh.
pub async fn aside(State(app): State<App>, caller: Caller, Path((store, queue)): Path<(String, String)>) -> Response {
    match app.view(&caller.who).queue_aside(&QueueRef { store, queue }).await {
        Ok(aside) => Html(ui::aside(&app.config().base_path, aside)).into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

/// The throughput chart alone, for a page that keeps it fresh.
pub async fn chart(State(app): State<App>, caller: Caller, Path((store, queue)): Path<(String, String)>) -> Response {
    match app.view(&caller.who).chart(&QueueRef { store, queue }).await {
        Ok(svg) => ([(header::CONTENT_TYPE, "image/svg+xml")], svg.to_string()).into_response(),
        Err(refusal) => refusal.into_response(),
    }
}
