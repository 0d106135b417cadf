//! Actions over many jobs: where they begin, what they would do, how far they are.
//!
//! A preview is the answer to a form and is shown once: a GET of its address redirects to the form for a filter.

use super::super::api::operations::{ResultsQuery, control_of, queue_of};
use super::theme::Preferences;
use super::{PageRequest, document};
use crate::base_path::queue_path;
use crate::model::action::JobAction;
use crate::model::action::catalogue::ActionKind;
use crate::model::error::Notice;
use crate::model::error::Problem;
use crate::model::operation::page::{NewPage, OperationPage, OperationsPage, PreviewPage, RESULTS, Wanted};
use crate::model::operation::{Bounds, Canary};
use crate::model::page::Body;
use crate::model::state::JobState;
use crate::model::tick;
use crate::server::http::extract::{Form, Path, Query};
use crate::server::service::operations::{Asked, Start};
use crate::server::service::view::View;
use crate::server::service::{Refusal, Service};
use crate::ui::operation_path;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use serde::Deserialize;

/// The fields of a form, in their order: one may be there many times.
type Fields = Vec<(String, String)>;

fn field<'a>(fields: &'a Fields, name: &str) -> Option<&'a str> {
    let found = fields.iter().find(|(key, _)| key == name);
    found.map(|(_, value)| value.trim()).filter(|value| !value.is_empty())
}

impl PageRequest {
    fn show_operations(&self, status: StatusCode, page: OperationsPage) -> Response {
        let preferences = Preferences::of(&self.headers);
        let html = document(&self.app, &preferences, None, Body::Operations(page), &self.context);
        (status, Html(html)).into_response()
    }

    /// The answer to a form that cannot be done. It stays until the reader moves on: its address has nothing to show.
    pub(super) fn cannot(&self, problem: Problem, links: Vec<(String, String)>) -> Response {
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let notice = Notice {
            status: problem.status,
            title: problem.title,
            detail: problem.detail,
            links,
        };
        self.show_operations(status, OperationsPage::Refused(notice))
    }

    pub(super) fn preview(&self, page: PreviewPage) -> Response {
        self.show_operations(StatusCode::OK, OperationsPage::Preview(Box::new(page)))
    }
}

/// All operations.
pub async fn all(req: PageRequest) -> Response {
    req.show_operations(StatusCode::OK, OperationsPage::All(req.view().operations()))
}

/// One operation with a page of its results.
pub async fn one(req: PageRequest, Path(id): Path<String>, Query(query): Query<ResultsQuery>) -> Response {
    let here = vec![("The operation".into(), operation_path(&id))];
    let (result, offset) = match query.read() {
        Ok(read) => read,
        Err(problem) => return req.cannot(problem, here),
    };
    match one_page(req.view(), &id, result, offset).await {
        Ok(page) => req.show_operations(StatusCode::OK, OperationsPage::One(Box::new(page))),
        Err(refusal) => req.refused(&refusal),
    }
}

async fn one_page(view: View<'_>, id: &str, result: Option<String>, offset: usize) -> Result<OperationPage, Refusal> {
    let operation = view.operation(id)?;
    let (results, of) = match view.results(id, result.as_deref(), offset, RESULTS).await {
        Ok((items, of)) => (Ok(items), of),
        Err(refusal) => (Err(refusal.to_string()), 0),
    };
    Ok(OperationPage {
        operation,
        results,
        of,
        result,
        offset,
    })
}

/// The query parameters of the page where an operation begins.
#[derive(Debug, Default, Deserialize)]
pub struct NewQuery {
    action: Option<String>,
    more: Option<String>,
    filter: Option<String>,
    /// Whether jobs are archived before they are removed; a sensible default if `None`.
    #[serde(skip)]
    archive: Option<bool>,
}

impl NewQuery {
    fn page(self, service: &Service) -> NewPage {
        let has_archive = service.has_archive();
        let filter = self.filter.unwrap_or_default().trim().to_owned();
        let (trouble, finished) = match filter.parse::<crate::model::filter::JobFilter>() {
            Ok(filter) => (None, only_finished(&filter.states)),
            Err(error) => (Some(error.to_string()), true),
        };
        NewPage {
            wanted: wanted(self.action.as_deref(), self.more.is_some() && self.more == self.action).unwrap_or_default(),
            filter,
            trouble,
            cancels: service.can_anywhere(ActionKind::ResumeJob),
            redrives: service.can_anywhere(ActionKind::Redrive),
            archive_first: has_archive.then(|| self.archive.unwrap_or(finished)),
        }
    }
}

/// Whether these are states whose jobs can be archived; none may still become any.
fn only_finished(states: &[JobState]) -> bool {
    let finished = |state: &JobState| matches!(state, JobState::Completed | JobState::Failed);
    states.iter().all(finished)
}

fn wanted(word: Option<&str>, more: bool) -> Option<Wanted> {
    Wanted::read(word?, more)
}

/// Where an operation begins.
pub async fn new(req: PageRequest, Query(query): Query<NewQuery>) -> Response {
    req.show_operations(StatusCode::OK, OperationsPage::New(query.page(req.service())))
}

/// The redirect for a GET of a form's address.
pub async fn to_new(req: PageRequest) -> Response {
    req.lead("/operations/new")
}

/// The same where the form belongs to an operation.
pub async fn to_one(req: PageRequest, Path((id, _)): Path<(String, String)>) -> Response {
    req.lead(&operation_path(&id))
}

/// What would be done with the jobs that were ticked, or that fit a filter.
pub async fn preview(req: PageRequest, Form(fields): Form<Fields>) -> Response {
    let service = req.service();
    if let Some(queue) = field(&fields, "ticked") {
        let links = match queue_of(queue) {
            Some(queue) => {
                let state = field(&fields, "state").unwrap_or_default();
                vec![("The list".into(), format!("{}?state={state}", queue_path(&queue)))]
            }
            None => vec![],
        };
        return match ticked(queue, &fields) {
            Ok(asked) => match service.preview(&req.caller.who, asked).await {
                Ok(preview) => req.preview(PreviewPage::new(preview)),
                Err(refusal) => req.cannot(Problem::from(&refusal), links),
            },
            Err(what) => req.cannot(asked_wrongly(what), links),
        };
    }
    let action = field(&fields, "action").map(str::to_owned);
    // Each action has a box of its own; only that of the chosen one counts.
    let ours = |(name, value): &&(String, String)| name == "more" && Some(value) == action.as_ref();
    let mut page = NewQuery {
        more: fields.iter().find(ours).map(|(_, value)| value.clone()),
        action,
        filter: field(&fields, "filter").map(str::to_owned),
        // The form says it; a button that has no such box removes.
        archive: Some(field(&fields, "archive") == Some("remove")),
    }
    .page(service);
    let first = page.archive_first == Some(true) && matches!(page.wanted, Wanted::Remove(_));
    if page.trouble.is_none() {
        let wanted = if first { Wanted::Archive } else { page.wanted };
        let asked = Asked {
            action: wanted.into(),
            filter: page.filter.parse().unwrap_or_default(),
            jobs: vec![],
        };
        match service.preview(&req.caller.who, asked).await {
            Ok(preview) => return req.preview(PreviewPage::new(preview)),
            Err(refusal) => page.trouble = Some(refusal.to_string()),
        }
    }
    req.show_operations(StatusCode::UNPROCESSABLE_ENTITY, OperationsPage::New(page))
}

fn asked_wrongly(what: &str) -> Problem {
    super::super::problem::refuse(StatusCode::UNPROCESSABLE_ENTITY, "bad-operation", "Nothing to do", what)
}

/// The jobs that were ticked.
fn ticked(queue: &str, fields: &Fields) -> Result<Asked, &'static str> {
    const DAMAGED: &str = "The form is not complete. Open the list again.";
    let queue = queue_of(queue).ok_or(DAMAGED)?;
    let state: JobState = field(fields, "state").and_then(|s| s.parse().ok()).ok_or(DAMAGED)?;
    let action: JobAction = wanted(field(fields, "action"), false).ok_or(DAMAGED)?.into();
    let jobs = fields.iter().filter(|(name, _)| name == tick::FIELD);
    let jobs = jobs.map(|(_, value)| {
        let (id, seen) = tick::read(value, state)?;
        Some((queue.clone(), id, seen))
    });
    let jobs: Vec<_> = jobs.collect::<Option<_>>().ok_or(DAMAGED)?;
    if jobs.is_empty() {
        return Err(
            "No job is selected. Select jobs with the boxes in front of them, or act on all that match a filter.",
        );
    }
    Ok(Asked {
        action,
        filter: crate::model::filter::JobFilter::default(),
        jobs,
    })
}

/// Starts what was previewed.
pub async fn start(req: PageRequest, Form(fields): Form<Fields>) -> Response {
    // Only a page of ours.
    let back = field(&fields, "back").filter(|back| back.starts_with("/operations/new"));
    let links = vec![(
        if back.is_some() {
            "Preview again"
        } else {
            "New operation"
        }
        .to_owned(),
        back.unwrap_or("/operations/new").to_owned(),
    )];
    let bounds = match bounds(&fields) {
        Ok(bounds) => bounds,
        Err(what) => return req.cannot(asked_wrongly(what), links),
    };
    let token = field(&fields, "token").unwrap_or_default();
    let reason = field(&fields, "reason").unwrap_or_default().to_owned();
    let typed = field(&fields, "typed").map(str::to_owned);
    let start = Start {
        token: token.to_owned(),
        bounds,
        reason,
        typed,
        key: None,
    };
    match req.service().start(&req.caller.who, start).await {
        Ok(operation) => req.lead(&operation_path(&operation.id)),
        Err(refusal) => req.cannot(Problem::from(&refusal), links),
    }
}

fn bounds(fields: &Fields) -> Result<Bounds, &'static str> {
    let number = |name: &str, else_: &'static str| match field(fields, name) {
        None => Ok(None),
        Some(text) => text.parse::<u32>().map(Some).map_err(|_| else_),
    };
    let rate = number(
        "rate",
        "Jobs a second is a whole number, at least 1. Go back and write one, or none.",
    )?;
    let usual = Canary::default();
    let canary = Canary {
        jobs: number("canary_jobs", "How many jobs go first is a whole number up to 1,000.")?.unwrap_or(usual.jobs),
        watch_s: number(
            "canary_watch",
            "How long they are watched is a whole number of seconds up to 3,600.",
        )?
        .unwrap_or(usual.watch_s),
        stop_percent: number(
            "canary_stop",
            "The share at which it stops is a whole number up to 100.",
        )?
        .unwrap_or(usual.stop_percent),
    };
    Ok(Bounds {
        rate,
        canary: field(fields, "canary").map(|_| canary),
    })
}

/// Pauses, resumes or cancels an operation, or previews the rest of it.
pub async fn control(req: PageRequest, Path((id, word)): Path<(String, String)>) -> Response {
    let here = operation_path(&id);
    let links = vec![("The operation".into(), here.clone())];
    let service = req.service();
    if word == "again" {
        return match service.again(&req.caller.who, &id).await {
            Ok(preview) => {
                let mut page = PreviewPage::new(preview);
                if let Ok(before) = req.view().operation(&id) {
                    page.reason = before.reason;
                    page.bounds = before.bounds;
                }
                req.preview(page)
            }
            Err(refusal) => req.cannot(Problem::from(&refusal), links),
        };
    }
    let Some(control) = control_of(&word) else {
        return req.lead(&here);
    };
    match service.control(&req.caller.who, &id, control).await {
        Ok(_) => req.lead(&here),
        Err(refusal) => req.cannot(Problem::from(&refusal), links),
    }
}
