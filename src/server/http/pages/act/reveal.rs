//! Hidden values of a job, shown once: a form that asks why, and the page that it leads to.
//!
//! What is shown is no address: the page comes as the answer to the form, nothing of it is kept or taken up by a script,
//! and reading it again asks again. From there the data can be edited as they are.

use super::super::super::caller::Caller;
use super::super::super::security::Sheet;
use super::super::{refused, show_once};
use super::filled::Filled;
use super::form::{self, crumbs, field};
use super::{On, on, shown};
use crate::base_path::job_path;
use crate::model::form::{FieldKind, FormPage};
use crate::model::format;
use crate::model::page::Body;
use crate::model::queue::QueueRef;
use crate::server::service::Refusal;
use crate::server::service::act::NotActed;
use crate::server::service::act::intent::Target;
use crate::server::service::view::reveal::{REVEAL, Reveal};
use crate::server::state::App;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::{Extension, Form};

/// What can be written from what is shown.
const WRITES: [&str; 2] = ["edit_data", "retry"];

/// The form that asks why.
pub async fn ask(
    (State(app), caller, Extension(sheet), headers): super::Frame,
    Path((store, queue, job)): Path<(String, String, String)>,
) -> Response {
    let on = on(store, queue, Target::Job, job);
    match page(&app, &caller, &on, "") {
        Ok(page) => shown(&app, &sheet, &headers, StatusCode::OK, page),
        Err(refusal) => refused(&app, &sheet, &headers, &refusal),
    }
}

/// The job as it is, or a form filled with its data as they are.
pub async fn show(
    (State(app), caller, Extension(sheet), headers): super::Frame,
    Path((store, queue, job)): Path<(String, String, String)>,
    Form(fields): Form<Vec<(String, String)>>,
) -> Response {
    let on = on(store, queue, Target::Job, job);
    let filled = Filled::new(fields);
    let ask = Reveal {
        reason: filled.text("reason").to_owned(),
        request: caller.request.clone(),
    };
    let word = WRITES.into_iter().find(|word| *word == filled.text("write"));
    let body = match word {
        None => of_job(&app, &caller, &on.queue, &on.target, &ask).await,
        Some(word) => form::revealed(&app, &caller.who, &on, word, &ask).await.map(Body::Form),
    };
    match body {
        Ok(body) => show_once(&app, &sheet, &headers, body),
        Err(Refusal::NotActed(NotActed::Wrong(why))) => wrong(&app, &sheet, &headers, &caller, &on, &filled, why),
        Err(refusal) => refused(&app, &sheet, &headers, &refusal),
    }
}

async fn of_job(app: &App, caller: &Caller, queue: &QueueRef, job: &str, ask: &Reveal) -> Result<Body, Refusal> {
    let (page, _) = app.view(&caller.who).reveal_page(queue, job, ask).await?;
    Ok(Body::Job(page))
}

fn wrong(
    app: &App,
    sheet: &Sheet,
    headers: &HeaderMap,
    caller: &Caller,
    on: &On,
    filled: &Filled,
    why: String,
) -> Response {
    match page(app, caller, on, filled.text("write")) {
        Ok(page) => {
            let page = filled.back_into(page, why);
            shown(app, sheet, headers, StatusCode::UNPROCESSABLE_ENTITY, page)
        }
        Err(refusal) => refused(app, sheet, headers, &refusal),
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
        sentence: format!("Job {} of {}.", format::visible(&on.target), app.service().place_of(&line)),
        notes: vec![
            "Passwords, tokens and keys in jobs are hidden. They are shown once, on the next page; the record says who looked, \
             and why."
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
            "Whoever reads the record sees it.",
            true,
        )],
        submit: "Show them".into(),
        crumbs: crumbs(on, &line.name),
        ..FormPage::default()
    })
}
