//! The archive: a list to search, one job, and putting it back.

use super::super::api::archive::ArchiveQuery;
use super::super::caller::Caller;
use super::super::security::Nonce;
use super::{notice, refused, see_other, show};
use crate::model::archive::{ArchiveFilter, ArchiveView, PAGE};
use crate::model::event::encode_segment;
use crate::model::page::Body;
use crate::server::archive::flow::UNCONFIGURED;
use crate::server::service::Refusal;
use crate::server::service::archive::Restore;
use crate::server::state::App;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Form};
use serde::Deserialize;

/// Everything that comes with a request for a page.
type Frame = (State<App>, Caller, Extension<Nonce>, HeaderMap);

/// The list.
pub async fn list((State(app), _, Extension(nonce), headers): Frame, Query(query): Query<ArchiveQuery>) -> Response {
    if !app.service().has_archive() {
        return unconfigured(&app, &nonce, &headers);
    }
    let (filter, page, status) = match query.filter() {
        Err(problem) => (ArchiveFilter::default(), Err(problem.detail), StatusCode::BAD_REQUEST),
        Ok(filter) => match app.service().archive_page(&filter, query.cursor(), PAGE.0).await {
            Ok(page) => (filter, Ok(page), StatusCode::OK),
            Err(refusal) => {
                let problem = refusal.problem();
                let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
                (filter, Err(problem.detail), status)
            }
        },
    };
    let view = ArchiveView::List {
        filter,
        written: query.written(),
        page,
        later: query.cursor().is_some(),
    };
    let position = app.board().position();
    (status, show(&app, &nonce, &headers, position, Body::Archive(view))).into_response()
}

fn unconfigured(app: &App, nonce: &Nonce, headers: &HeaderMap) -> Response {
    notice(
        app,
        nonce,
        headers,
        StatusCode::NOT_FOUND,
        "There is no archive".into(),
        UNCONFIGURED.into(),
        vec![],
    )
}

/// What may stand behind `?` where one job is shown.
#[derive(Debug, Default, Deserialize)]
pub struct Told {
    asked: Option<String>,
}

/// One job.
pub async fn one(
    (State(app), caller, Extension(nonce), headers): Frame,
    Path(id): Path<String>,
    Query(told): Query<Told>,
) -> Response {
    if !app.service().has_archive() {
        return unconfigured(&app, &nonce, &headers);
    }
    match app.service().archive_job(&id).await {
        Ok(job) => {
            let view = ArchiveView::One {
                refused: app.service().archive_refusal(&caller.who, &job.row.queue),
                told: told
                    .asked
                    .and_then(|id| app.service().audited(&id))
                    .map(|entry| format!("{} {}: {}", entry.sentence, entry.result, entry.detail)),
                job: Box::new(job),
            };
            show(&app, &nonce, &headers, app.board().position(), Body::Archive(view))
        }
        Err(refusal) => refused(&app, &nonce, &headers, &refusal),
    }
}

/// Puts one back, and leads to what came of it.
pub async fn restore(
    (State(app), caller, Extension(nonce), headers): Frame,
    Path(id): Path<String>,
    Form(fields): Form<Vec<(String, String)>>,
) -> Response {
    let ticked = |name: &str| fields.iter().any(|(field, value)| field == name && value == "true");
    let ask = Restore {
        original_id: ticked("original_id"),
        again: ticked("again"),
        reason: None,
        request: caller.request.clone(),
    };
    let here = format!("/archive/jobs/{}", encode_segment(&id));
    match app.service().restore(&caller.who, &id, ask).await {
        Ok(acted) => {
            let to = app.config().base_path.href(&here);
            see_other(&format!("{to}?asked={}#asked", acted.entry.id))
        }
        Err(refusal @ Refusal::NotActed(_)) => {
            let problem = refusal.problem();
            let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let links = vec![("The archived job".into(), here)];
            notice(&app, &nonce, &headers, status, problem.title, problem.detail, links)
        }
        Err(refusal) => refused(&app, &nonce, &headers, &refusal),
    }
}

/// For whoever asks for the address of the form.
pub async fn to_one(State(app): State<App>, Path(id): Path<String>) -> Response {
    see_other(
        &app.config()
            .base_path
            .href(&format!("/archive/jobs/{}", encode_segment(&id))),
    )
}
