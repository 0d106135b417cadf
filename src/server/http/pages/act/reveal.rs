//! Hidden values of a job, shown once: a form that asks why, and the page that it leads to.
//!
//! The values have no address: the page comes as the answer to the form, no script keeps or hydrates it,
//! and reading it again asks again. From there the data can be edited as they are.

use super::super::super::caller::Caller;
use super::super::PageRequest;
use super::fields::field;
use super::filled::Filled;
use super::form::{self, crumbs};
use super::{On, on};
use crate::base_path::job_path;
use crate::model::action::catalogue::Target;
use crate::model::form::{FieldKind, FormPage};
use crate::model::format;
use crate::model::page::Body;
use crate::model::queue::QueueRef;
use crate::server::http::extract::{Form, Path, Query};
use crate::server::http::state::App;
use crate::server::service::Refusal;
use crate::server::service::act::NotActed;
use crate::server::service::view::reveal::{REVEAL, Reveal};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

/// What can be written from what is shown.
const WRITES: [&str; 3] = ["edit_data", "retry", "duplicate"];

/// The query of the form.
#[derive(Debug, Default, Deserialize)]
pub struct Goal {
    /// What is to be written from what is shown.
    #[serde(default)]
    write: String,
}

/// The form that asks why.
pub async fn ask(
    req: PageRequest,
    Path((store, queue, job)): Path<(String, String, String)>,
    Query(goal): Query<Goal>,
) -> Response {
    let on = on(store, queue, Target::Job, job);
    match page(&req.app, &req.caller, &on, &goal.write) {
        Ok(page) => req.form(StatusCode::OK, page),
        Err(refusal) => req.refused(&refusal),
    }
}

/// The job as it is, or a form filled with its data as they are.
pub async fn show(
    req: PageRequest,
    Path((store, queue, job)): Path<(String, String, String)>,
    Form(fields): Form<Vec<(String, String)>>,
) -> Response {
    let on = on(store, queue, Target::Job, job);
    let filled = Filled::new(fields);
    let ask = Reveal {
        reason: filled.text("reason").to_owned(),
        request: req.caller.request.clone(),
    };
    let word = WRITES.into_iter().find(|word| *word == filled.text("write"));
    let body = match word {
        None => of_job(&req.app, &req.caller, &on.queue, &on.target, &ask).await,
        Some(word) => form::revealed(&req.app, &req.caller.who, &on, word, &ask)
            .await
            .map(Body::Form),
    };
    match body {
        Ok(body) => req.show_once(body),
        Err(Refusal::NotActed(NotActed::Wrong(why))) => wrong(&req, &on, &filled, why),
        Err(refusal) => req.refused(&refusal),
    }
}

async fn of_job(app: &App, caller: &Caller, queue: &QueueRef, job: &str, ask: &Reveal) -> Result<Body, Refusal> {
    let (page, _) = app.view(&caller.who).reveal_page(queue, job, ask).await?;
    Ok(Body::Job(page))
}

fn wrong(req: &PageRequest, on: &On, filled: &Filled, why: String) -> Response {
    match page(&req.app, &req.caller, on, filled.text("write")) {
        Ok(page) => req.form(StatusCode::UNPROCESSABLE_ENTITY, filled.back_into(page, why)),
        Err(refusal) => req.refused(&refusal),
    }
}

/// The form. `write` is what is to be written from what is shown; empty for nothing.
pub(super) fn page(app: &App, caller: &Caller, on: &On, write: &str) -> Result<FormPage, Refusal> {
    let view = app.view(&caller.who);
    let (line, ..) = view.queue(&on.queue)?;
    let mut hidden = vec![];
    if WRITES.contains(&write) {
        hidden.push(("write".into(), write.into()));
    }
    Ok(FormPage {
        title: "Show hidden values".into(),
        sentence: format!(
            "Job {} of {}.",
            format::visible(&on.target),
            app.service().place_of(&line)
        ),
        notes: vec![
            "Passwords, tokens and keys in jobs are hidden. They are shown once, on the next page; the audit log \
             records who looked and why."
                .into(),
        ],
        refusal: view.may_reveal(&on.queue).err(),
        action: format!("{}/{REVEAL}", job_path(&on.queue, &on.target)),
        hidden,
        fields: vec![field(
            "reason",
            "Reason",
            FieldKind::Line,
            "",
            "Shown in the audit log.",
            true,
        )],
        submit: "Show them".into(),
        crumbs: crumbs(on, &line.label),
        ..FormPage::default()
    })
}
