//! The archive: a list to search, one job, and putting it back.

use super::super::api::archive::ArchiveQuery;
use super::super::caller::Caller;
use super::act::copy::{hide_notes, keep_untouched, runs_again};
use super::act::fields::{Known, fields};
use super::act::fields::{field, reason};
use super::act::filled::Filled;
use super::{PageRequest, see_other};
use crate::base_path::job_path;
use crate::model::action::catalogue::ActionKind;
use crate::model::address::encode_segment;
use crate::model::archive::{ArchiveView, PAGE_DEFAULT, RESTORED_MANY, RestoredOne};
use crate::model::error::Problem;
use crate::model::form::{FieldKind, FormPage};
use crate::model::format;
use crate::model::page::Body;
use crate::model::state::JobState;
use crate::server::archive::flow::UNCONFIGURED;
use crate::server::audit::record::{Key, mint_id};
use crate::server::http::extract::{Form, Path, Query};
use crate::server::http::state::App;
use crate::server::service::Refusal;
use crate::server::service::act::NotActed;
use crate::server::service::archive::Restore;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::json;

/// The list.
pub async fn list(req: PageRequest, Query(query): Query<ArchiveQuery>) -> Response {
    if !req.app.service().has_archive() {
        return unconfigured(&req);
    }
    let (all, page, status) = match query.filter() {
        Err(problem) => (true, Err(problem.detail), StatusCode::BAD_REQUEST),
        Ok(filter) => match req.view().archive_page(&filter, query.cursor(), PAGE_DEFAULT).await {
            Ok(page) => (filter.is_empty(), Ok(page), StatusCode::OK),
            Err(refusal) => {
                let problem = Problem::from(&refusal);
                let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
                (filter.is_empty(), Err(problem.detail), status)
            }
        },
    };
    let view = ArchiveView::List {
        all,
        written: query.written(),
        page,
        later: query.cursor().is_some(),
        restorable: !req.app.config().read_only,
    };
    let position = req.app.board().position();
    (status, req.show(position, Body::Archive(view))).into_response()
}

fn unconfigured(req: &PageRequest) -> Response {
    req.notice(
        StatusCode::NOT_FOUND,
        "There is no archive".into(),
        UNCONFIGURED.into(),
        vec![],
    )
}

/// The query parameters of one job's page.
#[derive(Debug, Default, Deserialize)]
pub struct Told {
    asked: Option<String>,
}

/// One job.
pub async fn one(req: PageRequest, Path(id): Path<String>, Query(told): Query<Told>) -> Response {
    if !req.app.service().has_archive() {
        return unconfigured(&req);
    }
    match req.view().archive_job(&id).await {
        Ok(job) => {
            let asked = told.asked.and_then(|id| req.view().audited(&id));
            let told = match asked {
                Some(entry) => {
                    let undo = req.app.service().undo_of(&req.caller.who, &entry).await;
                    Some((entry, undo))
                }
                None => None,
            };
            let view = ArchiveView::One {
                refused: req.app.service().archive_refusal(&req.caller.who, &job.row.queue),
                told,
                job: Box::new(job),
            };
            req.show(req.app.board().position(), Body::Archive(view))
        }
        Err(refusal) => req.refused(&refusal),
    }
}

/// The query of the form.
#[derive(Debug, Default, Deserialize)]
pub struct Which {
    /// `true` for a form with what the job has, to be changed.
    #[serde(default)]
    like: String,
}

/// The form that says that work is done again, with what the job has where that is to be changed.
pub async fn restore_form(req: PageRequest, Path(id): Path<String>, Query(which): Query<Which>) -> Response {
    match form(&req.app, &req.caller, &id, which.like == "true").await {
        Ok(page) => req.form(StatusCode::OK, page),
        Err(refusal) => req.refused(&refusal),
    }
}

/// A form that was sent says so, and with what.
const ASKED: &str = "asked";
const LIKE: &str = "like";

async fn form(app: &App, caller: &Caller, id: &str, like: bool) -> Result<FormPage, Refusal> {
    let job = app.view(&caller.who).archive_job(id).await?;
    let queue = &job.row.queue;
    let path = format!("/archive/jobs/{}", encode_segment(id));
    let (can, place) = match app.view(&caller.who).queue(queue) {
        Ok((line, ..)) => (app.service().capabilities(&line), app.service().place_of(&line)),
        Err(_) => (None, format!("queue {}", format::visible(&queue.to_string()))),
    };
    let title = if like {
        "Add a job like this"
    } else {
        "Run the job again"
    };
    let mut page = FormPage {
        title: title.into(),
        sentence: format!(
            "Add a new job like the archived job {} to {place}. Its work will be done again.",
            format::visible(&job.row.job)
        ),
        refusal: app.service().archive_refusal(&caller.who, queue),
        action: format!("{path}/restore"),
        hidden: vec![
            (ASKED.into(), "true".into()),
            (LIKE.into(), like.to_string()),
            ("key".into(), mint_id(crate::model::now())),
        ],
        submit: if like { "Add the job" } else { "Run it again" }.into(),
        crumbs: vec![
            ("Archive".into(), "/archive".into()),
            (format::visible(&job.row.job), path),
        ],
        ..FormPage::default()
    };
    page.notes.extend(runs_again(&job.detail));
    if let Some(last) = job.restored.first() {
        page.hidden.push(("again".into(), "true".into()));
        page.notes.push(format!(
            "It was already queued again at {} as job {}.",
            format::iso(last.asked),
            format::visible(&last.job)
        ));
    }
    if like {
        let options = app.service().copied_options(queue, &job.detail);
        let known = Known {
            job: Some(&job.detail),
            options: options.as_deref(),
            schedule: None,
        };
        page.fields = fields(ActionKind::Duplicate, can, known);
        keep_untouched(&mut page, &job.detail);
        hide_notes(&mut page, true);
    }
    let label = "Use its old id, if no job has it";
    page.fields
        .push(field("original_id", label, FieldKind::Tick, "", "", false));
    page.fields.push(reason());
    Ok(page)
}

/// Adds one again, and redirects to the result. A job that had completed, or was put back before, asks first.
pub async fn restore(req: PageRequest, Path(id): Path<String>, Form(fields): Form<Vec<(String, String)>>) -> Response {
    let filled = Filled::new(fields);
    let ticked = |name: &str| filled.text(name) == "true";
    let again = |why: Option<String>| {
        let (filled, req, id) = (&filled, &req, &id);
        async move {
            match (form(&req.app, &req.caller, id, filled.text(LIKE) == "true").await, why) {
                (Ok(page), Some(why)) => req.form(StatusCode::UNPROCESSABLE_ENTITY, filled.back_into(page, why)),
                (Ok(page), None) => req.form(StatusCode::OK, page),
                (Err(refusal), _) => req.refused(&refusal),
            }
        }
    };
    if !ticked(ASKED) {
        match req.view().archive_job(&id).await {
            Ok(job) if job.row.state == JobState::Failed && job.restored.is_empty() => {}
            Ok(_) => return again(None).await,
            Err(refusal) => return req.refused(&refusal),
        }
    }
    let changes = match filled.changes() {
        Ok(changes) => changes,
        Err(why) => return again(Some(why)).await,
    };
    let here = format!("/archive/jobs/{}", encode_segment(&id));
    let what = json!([ticked("original_id"), ticked("again"), changes]).to_string();
    let key = Some(filled.text("key")).filter(|key| !key.is_empty());
    let ask = Restore {
        original_id: ticked("original_id"),
        again: ticked("again"),
        changes,
        key: key.map(|key| Key::new(&req.caller.who.name, key, &[b"FORM", here.as_bytes(), what.as_bytes()])),
        reason: Some(filled.text("reason").to_owned()),
        request: req.caller.request.clone(),
    };
    match req.app.service().restore(&req.caller.who, &id, ask).await {
        Ok(acted) => {
            let to = req.app.config().base_path.href(&here);
            see_other(&format!("{to}?asked={}#asked", acted.entry.id))
        }
        Err(Refusal::NotActed(NotActed::Wrong(why))) => again(Some(why)).await,
        Err(refusal @ Refusal::NotActed(_)) => {
            let problem = Problem::from(&refusal);
            let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let links = vec![("The archived job".into(), here)];
            req.notice(status, problem.title, problem.detail, links)
        }
        Err(refusal) => req.refused(&refusal),
    }
}

fn jobs(n: usize) -> String {
    format::counted(n as u64, "job", "jobs")
}

/// Adds the selected jobs again after a page has asked, and shows the result of each.
pub async fn restore_many(req: PageRequest, Form(fields): Form<Vec<(String, String)>>) -> Response {
    let asked = fields.iter().any(|(name, value)| name == ASKED && value == "true");
    let ids: Vec<String> = fields
        .into_iter()
        .filter(|(name, _)| name == "id")
        .map(|(_, id)| id)
        .collect();
    let mut links = vec![("The archive".to_owned(), "/archive".to_owned())];
    if ids.is_empty() || ids.len() > RESTORED_MANY {
        let detail = format!("Select between 1 and {RESTORED_MANY} jobs in the list, then press the button again.");
        let title = "No job is selected".to_owned();
        return req.notice(StatusCode::BAD_REQUEST, title, detail, links);
    }
    if !asked {
        let n = jobs(ids.len());
        let unseen = ids.into_iter().map(|id| ("id".to_owned(), id));
        let page = FormPage {
            title: format!("Run {n} again"),
            sentence: format!("Add {n} from the archive to the queues as new jobs. Their work will be done again."),
            notes: vec![
                "Side effects of completed jobs, such as e-mails and payments, will happen again. Jobs that were \
                 queued again before are skipped."
                    .into(),
            ],
            action: "/archive/restore".into(),
            hidden: [(ASKED.to_owned(), "true".to_owned())]
                .into_iter()
                .chain(unseen)
                .collect(),
            submit: "Run them again".into(),
            crumbs: vec![("Archive".into(), "/archive".into())],
            ..FormPage::default()
        };
        return req.form(StatusCode::OK, page);
    }
    let ask = Restore {
        request: req.caller.request.clone(),
        ..Restore::default()
    };
    let items = req.app.service().restore_many(&req.caller.who, ids, &ask).await;
    let of = |result: &str| items.iter().filter(|item| item.result == result).count();
    let (done, already) = (of("done"), of("already"));
    let title = format!("{done} of {} queued again", jobs(items.len()));
    let mut detail = Vec::new();
    if already > 0 {
        detail.push(format!(
            "{} already queued again: use the job's own page to run it once more.",
            format::counted(already as u64, "job was", "jobs were")
        ));
    }
    let open: Vec<&RestoredOne> = items
        .iter()
        .filter(|item| !matches!(item.result.as_str(), "done" | "already"))
        .collect();
    if let Some(first) = open.first() {
        let open = format::counted(open.len() as u64, "job was", "jobs were");
        detail.push(format!("{open} not queued. The first of them: {}", first.detail));
    }
    if detail.is_empty() {
        detail.push(
            "Each is in its queue as a new job, and the archive keeps its copy. You can remove a new job on its page \
             until it starts."
                .to_owned(),
        );
    }
    for item in &items {
        if let (Some(queue), Some(job)) = (&item.queue, &item.job) {
            let name = format!("{} of {}", format::visible(job), format::visible(&queue.to_string()));
            let path = job_path(queue, job);
            if items.len() <= UNDONE {
                links.push((format!("Remove job {name}…"), format!("{path}/act?action=remove")));
            }
            links.push((format!("Job {name}"), path));
        }
    }
    for item in open {
        links.push((
            format!("Not queued: {}", item.id),
            format!("/archive/jobs/{}", encode_segment(&item.id)),
        ));
    }
    req.notice(StatusCode::OK, title, detail.join(" "), links)
}

/// New jobs whose removal is offered beside them.
const UNDONE: usize = 20;

/// The redirect for a GET of that form's address.
pub async fn to_list(State(app): State<App>) -> Response {
    see_other(&app.config().base_path.href("/archive"))
}
