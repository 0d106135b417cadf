//! A queue, its chart, and its jobs.

use super::super::api::JobsQuery;
use super::super::caller::Caller;
use super::{PageRequest, see_other};
use crate::base_path::{job_path, queue_path};
use crate::model::page::Body;
use crate::model::queue::QueueRef;
use crate::server::http::extract::{Path, Query};
use crate::server::http::state::App;
use crate::ui;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use serde::Deserialize;

/// One queue.
pub async fn queue(
    req: PageRequest,
    Path((store, queue)): Path<(String, String)>,
    Query(query): Query<JobsQuery>,
) -> Response {
    let key = QueueRef { store, queue };
    let request = match query.request() {
        Ok(request) => request,
        Err(problem) => {
            let links = vec![("The queue".into(), queue_path(&key))];
            return req.notice(StatusCode::BAD_REQUEST, problem.title, problem.detail, links);
        }
    };
    let view = req.view();
    let (page, aside) = tokio::join!(view.queue_page(&key, &request), view.queue_aside(&key));
    match page {
        Ok((mut page, position)) => {
            let letters = aside.as_ref().is_ok_and(|aside| {
                let insight = aside.insight.as_ref();
                insight.is_ok_and(|insight| !insight.dead_letters_of.is_empty())
            });
            page.aside = aside.map_or_else(|_| String::new(), |aside| ui::aside(&req.app.config().base_path, aside));
            let can = req.app.service().capabilities(&page.queue);
            page.generation = can.map(|can| can.generation.clone());
            if let Some(can) = can.filter(|can| can.generation.unsupported.is_none())
                && !req.app.service().is_read_only()
            {
                let offer = req.app.service().offer_many(&req.caller.who, &page.queue, &page.store);
                page.tools = ui::tools(&req.app.config().base_path, &page, can, &offer, letters);
            }
            req.show(position, Body::Queue(page))
        }
        Err(refusal) => req.refused(&refusal),
    }
}

/// What the form "job by id" sends. The queue is in the path, or in `to` where it does not survive there.
#[derive(Debug, Deserialize)]
pub struct Find {
    #[serde(default)]
    id: String,
}

/// Redirects to a job by its id.
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
