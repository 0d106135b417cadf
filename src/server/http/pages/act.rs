//! Actions from pages: a form that asks before, and what a button sends.
//!
//! Everything works without JavaScript: the browser sends a form, and the answer redirects (303) to the page it was
//! about, which shows the result. A form whose contents are wrong comes back as it was filled in.

use super::{PageRequest, see_other};
use crate::base_path::{job_path, queue_path, schedule_act_path};
use crate::model::action::Effect;
use crate::model::action::catalogue::{ActionKind, Target};
use crate::model::address::encode_segment;
use crate::model::audit::Became;
use crate::model::error::Problem;
use crate::model::filter::JobFilter;
use crate::model::queue::QueueRef;
use crate::model::state::JobState;
use crate::server::audit::record::Key;
use crate::server::http::extract::{Form, Path, Query};
use crate::server::service::Refusal;
use crate::server::service::act::intent::{BadIntent, Intent};
use crate::server::service::act::offer::NEW_SCHEDULE;
use crate::server::service::act::{ActOutcome, Acted, Ask, NotActed};
use crate::server::service::view::reveal::REVEAL;
use axum::http::StatusCode;
use axum::response::Response;
use filled::Filled;
use serde::Deserialize;
use serde_json::Map;

pub(super) mod copy;
pub(super) mod fields;
pub(super) mod filled;
mod form;
pub mod reveal;

/// What an action from a page is on.
#[derive(Clone, Debug)]
struct On {
    queue: QueueRef,
    of: Target,
    /// The job's id, the schedule's key; empty for a queue.
    target: String,
}

impl On {
    /// Where its forms are and where they are sent, inside the board.
    fn path(&self) -> String {
        match self.of {
            Target::Job => format!("{}/act", job_path(&self.queue, &self.target)),
            Target::Queue => format!("{}/act", queue_path(&self.queue)),
            Target::Schedule => schedule_act_path(&self.queue, &self.target),
        }
    }

    /// The page that it is shown on.
    fn page(&self) -> String {
        match self.of {
            Target::Job => job_path(&self.queue, &self.target),
            Target::Queue => queue_path(&self.queue),
            Target::Schedule => {
                let of = encode_segment(&self.queue.to_string());
                format!("/schedules?queue={of}")
            }
        }
    }
}

/// The query parameters of a form.
#[derive(Debug, Default, Deserialize)]
pub struct Which {
    #[serde(default)]
    action: String,
}

/// The form for an action on a job.
pub async fn job_form(
    req: PageRequest,
    Path((store, queue, target)): Path<(String, String, String)>,
    Query(which): Query<Which>,
) -> Response {
    ask_first(req, on(store, queue, Target::Job, target), &which.action).await
}

/// An action on a job.
pub async fn job(
    req: PageRequest,
    Path((store, queue, target)): Path<(String, String, String)>,
    Form(fields): Form<Vec<(String, String)>>,
) -> Response {
    act(req, on(store, queue, Target::Job, target), fields).await
}

/// The form for an action on a queue.
pub async fn queue_form(
    req: PageRequest,
    Path((store, queue)): Path<(String, String)>,
    Query(which): Query<Which>,
) -> Response {
    ask_first(req, on(store, queue, Target::Queue, String::new()), &which.action).await
}

/// An action on a queue.
pub async fn queue(
    req: PageRequest,
    Path((store, queue)): Path<(String, String)>,
    Form(fields): Form<Vec<(String, String)>>,
) -> Response {
    act(req, on(store, queue, Target::Queue, String::new()), fields).await
}

/// The form for an action on a schedule.
pub async fn schedule_form(
    req: PageRequest,
    Path((store, queue, target)): Path<(String, String, String)>,
    Query(which): Query<Which>,
) -> Response {
    ask_first(req, on(store, queue, Target::Schedule, target), &which.action).await
}

/// An action on a schedule.
pub async fn schedule(
    req: PageRequest,
    Path((store, queue, target)): Path<(String, String, String)>,
    Form(fields): Form<Vec<(String, String)>>,
) -> Response {
    act(req, on(store, queue, Target::Schedule, target), fields).await
}

const fn on(store: String, queue: String, of: Target, target: String) -> On {
    On {
        queue: QueueRef { store, queue },
        of,
        target,
    }
}

async fn ask_first(req: PageRequest, on: On, word: &str) -> Response {
    let page = match (on.of, word) {
        (Target::Job, REVEAL) => reveal::page(&req.app, &req.caller, &on, ""),
        _ => form::page(&req.app, &req.caller.who, &on, word).await,
    };
    match page {
        Ok(page) => req.form(StatusCode::OK, page),
        Err(refusal) => req.refused(&refusal),
    }
}

async fn act(req: PageRequest, on: On, fields: Vec<(String, String)>) -> Response {
    let filled = Filled::new(fields);
    let form = (on.clone(), filled.text("action").to_owned());
    let (on, word) = match (on.of, form.1.as_str()) {
        (Target::Queue, NEW_SCHEDULE) => {
            let key = filled.text("schedule_key").trim().to_owned();
            (
                self::on(on.queue.store, on.queue.queue, Target::Schedule, key),
                "upsert".to_owned(),
            )
        }
        (Target::Job, "remove") if filled.text("archive") == "true" => (on, "archive".to_owned()),
        (_, word) => (on, word.to_owned()),
    };
    if (on.of, word.as_str()) == (Target::Queue, "obliterate") && filled.text("archive") == "true" {
        let finished = JobFilter {
            states: vec![JobState::Completed, JobState::Failed],
            queues: vec![on.queue.to_string()],
            ..JobFilter::default()
        };
        let first = format!(
            "/operations/new?action=archive&filter={}",
            encode_segment(&finished.to_string())
        );
        return see_other(&req.app.config().base_path.href(&first));
    }
    let wrong = async |why: String| match form::page(&req.app, &req.caller.who, &form.0, &form.1).await {
        Ok(page) => {
            let page = filled.back_into(page, why);
            req.form(StatusCode::UNPROCESSABLE_ENTITY, page)
        }
        Err(refusal) => req.refused(&refusal),
    };
    if on.of == Target::Schedule && on.target.is_empty() {
        return wrong("A schedule has an id.".into()).await;
    }
    let given = match ActionKind::find(on.of, &word) {
        Some(kind) => filled.fields(kind.row()).map_err(BadIntent::Wrong),
        None => Ok(Map::new()),
    };
    let intent = given.and_then(|given| Intent::read(on.of, &on.target, &word, given));
    let intent = match intent {
        Ok(intent) => intent,
        Err(BadIntent::Wrong(why)) => return wrong(why).await,
        Err(BadIntent::NoSuchAction(why)) => {
            let refusal = NotActed::Wrong(why).into();
            return req.refused(&refusal);
        }
    };
    // A form that is sent twice does its work once: the key was made with the form.
    let key = Some(filled.text("key")).filter(|key| !key.is_empty());
    let path = on.path();
    let what = intent.value().to_string();
    let ask = Ask {
        seen: filled.seen(),
        reason: Some(filled.text("reason").to_owned()),
        dry_run: false,
        revealed: filled.text("revealed") == "true",
        key: key.map(|key| Key::new(&req.caller.who.name, key, &[b"FORM", path.as_bytes(), what.as_bytes()])),
        request: req.caller.request.clone(),
        intent,
    };
    match req.app.service().act(&req.caller.who, &on.queue, ask).await {
        Ok(ActOutcome::Acted(acted)) => {
            if let (Target::Queue, "pause" | "resume", Became::Known(Effect::Done { .. } | Effect::Already { .. })) =
                (on.of, word.as_str(), &acted.became)
            {
                req.app.service().see_paused(&on.queue, word == "pause").await;
            }
            let (path, part) = after(&on, &word, &acted);
            see_other(&format!("{}{part}", req.app.config().base_path.href(&path)))
        }
        Ok(ActOutcome::WouldBe(_)) => see_other(&req.app.config().base_path.href(&on.page())),
        Err(Refusal::NotActed(NotActed::Wrong(why))) => wrong(why).await,
        Err(refusal @ Refusal::NotActed(_)) => {
            let problem = Problem::from(&refusal);
            let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let links = vec![("Back".into(), on.page())];
            req.notice(status, problem.title, problem.detail, links)
        }
        Err(refusal) => req.refused(&refusal),
    }
}

/// Where the answer redirects to, and which part of the page: the next Tab begins at the outcome, before the buttons. A
/// job that no longer exists has no page, a new one has one.
fn after(on: &On, word: &str, acted: &Acted) -> (String, &'static str) {
    let asked = &acted.entry.id;
    let record = || {
        let (queue, job) = (encode_segment(&on.queue.to_string()), encode_segment(&on.target));
        (format!("/audit?queue={queue}&job={job}"), "")
    };
    match (on.of, &acted.became) {
        (Target::Job, Became::Known(Effect::Gone)) => record(),
        (Target::Job, Became::Known(Effect::Done { .. } | Effect::Already { .. }))
            if ActionKind::find(on.of, word).is_some_and(|kind| kind.row().leaves) =>
        {
            record()
        }
        (Target::Job, _) => (format!("{}?asked={asked}", on.page()), "#asked"),
        (Target::Queue, Became::Known(Effect::Done { job: Some(job), .. })) if word == "add" => {
            (format!("{}?asked={asked}", job_path(&on.queue, job)), "#asked")
        }
        (Target::Queue, _) => (on.page(), "#act"),
        (Target::Schedule, _) => (on.page(), ""),
    }
}
