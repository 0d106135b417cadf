//! The archive: a list to search, one job, and putting it back.

use super::super::api::archive::ArchiveQuery;
use super::super::caller::Caller;
use super::super::security::Sheet;
use super::{notice, refused, see_other, show};
use crate::base_path::job_path;
use crate::model::archive::{ArchiveFilter, ArchiveView, PAGE, RESTORED_MANY, RestoredOne};
use crate::model::event::encode_segment;
use crate::model::format;
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
type Frame = (State<App>, Caller, Extension<Sheet>, HeaderMap);

/// The list.
pub async fn list(
    (State(app), caller, Extension(sheet), headers): Frame,
    Query(query): Query<ArchiveQuery>,
) -> Response {
    if !app.service().has_archive() {
        return unconfigured(&app, &sheet, &headers);
    }
    let (filter, page, status) = match query.filter() {
        Err(problem) => (ArchiveFilter::default(), Err(problem.detail), StatusCode::BAD_REQUEST),
        Ok(filter) => match app
            .view(&caller.who)
            .archive_page(&filter, query.cursor(), PAGE.0)
            .await
        {
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
        restorable: !app.config().read_only,
    };
    let position = app.board().position();
    (status, show(&app, &sheet, &headers, position, Body::Archive(view))).into_response()
}

fn unconfigured(app: &App, sheet: &Sheet, headers: &HeaderMap) -> Response {
    notice(
        app,
        sheet,
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
    (State(app), caller, Extension(sheet), headers): Frame,
    Path(id): Path<String>,
    Query(told): Query<Told>,
) -> Response {
    if !app.service().has_archive() {
        return unconfigured(&app, &sheet, &headers);
    }
    match app.view(&caller.who).archive_job(&id).await {
        Ok(job) => {
            let view = ArchiveView::One {
                refused: app.service().archive_refusal(&caller.who, &job.row.queue),
                told: told
                    .asked
                    .and_then(|id| app.view(&caller.who).audited(&id))
                    .map(|entry| format!("{} {}: {}", entry.sentence, entry.result, entry.detail)),
                job: Box::new(job),
            };
            show(&app, &sheet, &headers, app.board().position(), Body::Archive(view))
        }
        Err(refusal) => refused(&app, &sheet, &headers, &refusal),
    }
}

/// Puts one back, and leads to what came of it.
pub async fn restore(
    (State(app), caller, Extension(sheet), headers): Frame,
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
            notice(&app, &sheet, &headers, status, problem.title, problem.detail, links)
        }
        Err(refusal) => refused(&app, &sheet, &headers, &refusal),
    }
}

fn jobs(n: usize) -> String {
    match n {
        1 => "1 job".to_owned(),
        n => format!("{n} jobs"),
    }
}

/// Puts the ticked ones back, and says what became of each.
pub async fn restore_many(
    (State(app), caller, Extension(sheet), headers): Frame,
    Form(fields): Form<Vec<(String, String)>>,
) -> Response {
    let ids: Vec<String> = fields
        .into_iter()
        .filter(|(name, _)| name == "id")
        .map(|(_, id)| id)
        .collect();
    let mut links = vec![("The archive".to_owned(), "/archive".to_owned())];
    if ids.is_empty() || ids.len() > RESTORED_MANY {
        let detail = format!("Tick between 1 and {RESTORED_MANY} jobs in the list, then press the button again.");
        let title = "Nothing was put back".to_owned();
        return notice(&app, &sheet, &headers, StatusCode::BAD_REQUEST, title, detail, links);
    }
    let ask = Restore {
        request: caller.request.clone(),
        ..Restore::default()
    };
    let items = app.service().restore_many(&caller.who, ids, &ask).await;
    let of = |result: &str| items.iter().filter(|item| item.result == result).count();
    let (done, already) = (of("done"), of("already"));
    let title = format!("{done} of {} put back", jobs(items.len()));
    let mut detail = Vec::new();
    if already > 0 {
        detail.push(format!(
            "{} had been put back before; from its own page it can be put back once more.",
            jobs(already)
        ));
    }
    let open: Vec<&RestoredOne> = items
        .iter()
        .filter(|item| !matches!(item.result.as_str(), "done" | "already"))
        .collect();
    if let Some(first) = open.first() {
        detail.push(format!("{} not. The first of them: {}", jobs(open.len()), first.detail));
    }
    if detail.is_empty() {
        detail.push("Each is in its queue again as a new job; the archive keeps what it had.".to_owned());
    }
    for item in &items {
        if let (Some(queue), Some(job)) = (&item.queue, &item.job) {
            links.push((
                format!(
                    "Job {} of {}",
                    format::visible(job),
                    format::visible(&queue.to_string())
                ),
                job_path(queue, job),
            ));
        }
    }
    for item in open {
        links.push((
            format!("Not put back: {}", item.id),
            format!("/archive/jobs/{}", encode_segment(&item.id)),
        ));
    }
    notice(&app, &sheet, &headers, StatusCode::OK, title, detail.join(" "), links)
}

/// For whoever asks for the address of that form.
pub async fn to_list(State(app): State<App>) -> Response {
    see_other(&app.config().base_path.href("/archive"))
}

/// For whoever asks for the address of the form.
pub async fn to_one(State(app): State<App>, Path(id): Path<String>) -> Response {
    see_other(
        &app.config()
            .base_path
            .href(&format!("/archive/jobs/{}", encode_segment(&id))),
    )
}
