//! One job: its state, its history, its payload, its relatives.
//!
//! Rendered on the server alone; a browser fetches it again when something has happened to the job, and replaces what
//! differs, so that an opened stack trace stays open and a log keeps its scroll position.
//!
//! - [`timeline`]: what happened when
//! - [`facts`]: attempts, lock, options, the record field by field
//! - [`attempts`]: the stacks of failed attempts
//! - [`value`]: data, result and error, of any size
//! - [`log`]: the log
//! - [`family`]: parents and children

use crate::base_path::{BasePath, job_path, queue_path};
use crate::model::address::encode_segment;
use crate::model::archive::ArchivedRow;
use crate::model::flow::Flow;
use crate::model::format;
use crate::model::job::{Form, JobDetail, Payload, Progress};
use crate::model::page::JobPage;
use crate::model::queue::QueueRef;
use crate::model::state::JobState;
use crate::model::store::Reach;
use crate::ui::components::{ProgressView, StateMark, StoreBanner};
use crate::ui::context::base;
use crate::ui::live::Live;
use crate::ui::pages::act;
use crate::ui::pages::operations::tools;
use leptos::prelude::*;
use log::LogSection;

pub mod attempts;
pub mod facts;
pub mod family;
pub mod log;
pub mod timeline;
pub mod value;

/// The base of the page's addresses.
#[derive(Clone, Debug)]
pub struct Place {
    base: BasePath,
    key: QueueRef,
    id: String,
    /// Its id in the archive, if the page shows it from there.
    archived: Option<String>,
    /// The states whose jobs the queue's page lists.
    lists: Vec<JobState>,
}

impl Place {
    /// The place of an archived job.
    pub fn archived(base: &BasePath, row: &ArchivedRow) -> Self {
        Self {
            base: base.clone(),
            key: row.queue.clone(),
            id: row.job.clone(),
            archived: Some(row.id.clone()),
            lists: JobState::ALL.to_vec(),
        }
    }

    /// The path of the job, inside the board and inside the API.
    fn path(&self) -> String {
        match &self.archived {
            Some(id) => format!("/archive/jobs/{}", encode_segment(id)),
            None => job_path(&self.key, &self.id),
        }
    }

    /// The address of the page with a query.
    fn page(&self, query: &str) -> String {
        let path = self.path();
        let mark = if query.is_empty() { "" } else { "?" };
        self.base.href(&format!("{path}{mark}{query}"))
    }

    /// The address of an API answer about the job.
    fn api(&self, rest: &str) -> String {
        self.base.href(&format!("/api/v1{}{rest}", self.path()))
    }

    /// The address of a field as it is stored.
    pub fn field(&self, name: &str) -> String {
        self.api(&format!("/fields/{}", encode_segment(name)))
    }

    /// The place of another job of the same store.
    fn other(&self, queue: &str, id: &str) -> Self {
        Self {
            base: self.base.clone(),
            key: QueueRef {
                store: self.key.store.clone(),
                queue: queue.to_owned(),
            },
            id: id.to_owned(),
            archived: None,
            lists: self.lists.clone(),
        }
    }

    /// The page of another job of the same store.
    fn job(&self, queue: &str, id: &str) -> String {
        self.other(queue, id).page("")
    }

    /// The address of the queue's list of a state; `None` where the page does not list such jobs.
    fn list(&self, state: JobState, query: &str) -> Option<String> {
        let path = queue_path(&self.key);
        let listed = self.lists.contains(&state);
        listed.then(|| self.base.href(&format!("{path}?state={state}&{query}")))
    }
}

/// The page's state.
#[derive(Clone, Copy, Debug)]
pub struct Shown {
    /// The job.
    pub job: RwSignal<JobDetail>,
    /// Its relatives, where they are known.
    pub flow: RwSignal<Option<Flow>>,
    /// Where it is.
    pub place: StoredValue<Place>,
}

/// A part of the job that is redrawn only when it changes.
pub fn part<T: PartialEq + Send + Sync + 'static>(job: RwSignal<JobDetail>, of: fn(&JobDetail) -> T) -> Memo<T> {
    Memo::new(move |_| job.with(of))
}

#[component]
pub fn JobView(page: JobPage) -> impl IntoView {
    let live = expect_context::<Live>();
    let base = base();
    let key = page.queue.key();
    let id = page.job.row.id.clone();
    live.follow_clock(&page.store);
    let store = RwSignal::new(page.store);
    let place = Place {
        base: base.clone(),
        key: key.clone(),
        id: id.clone(),
        archived: None,
        lists: page.lists,
    };
    let shown = Shown {
        job: RwSignal::new(page.job),
        flow: RwSignal::new(page.flow),
        place: StoredValue::new(place),
    };
    let job = shown.job;
    let state = part(job, |j| j.row.state);
    let offer = page.offer;
    let asked = offer.last.as_ref().map(|entry| {
        // The state of the original says nothing about the copy.
        let other = entry.new_job().is_some_and(|new| new != id);
        let now = job.with(|j| j.row.state);
        view! { <div id="asked">{act::told(entry, (!other).then_some(now), offer.undo.as_ref())}</div> }
    });
    let act = act::buttons(&offer, &base.href(&format!("{}/act", job_path(&key, &id))), "");
    let (up, up_path) = (base.clone(), queue_path(&key));
    let (data, result, error, options) = (
        part(job, |j| j.data.clone()),
        part(job, |j| j.result.clone()),
        part(job, |j| j.error.clone()),
        part(job, |j| j.options.clone()),
    );
    let progress = part(job, |j| j.progress.clone());
    view! {
        <nav class="crumbs" aria-label="Breadcrumbs">
            <a href=base.href("/")>"All queues"</a>
            <a href=base.store(&key.store)>{key.store.clone()}</a>
            <a href=move || up.href(&format!("{up_path}?state={}", state.get())) data-up="">{format::visible(&page.queue.label)}</a>
        </nav>
        <header class="head">
            <div>
                <h1><small>{move || job.with(|j| format::visible(&j.row.name))}</small>" "{format::visible(&id)}</h1>
                <p class="state-line">
                    <StateMark state/>
                    {move || job.with(|j| j.state_note.clone()).map(|note| view! { <small>{note}</small> })}
                    <ProgressView progress=Signal::derive(move || progress.with(bar))/>
                    {same_error(shown)}
                </p>
            </div>
            {neighbours(shown)}
        </header>
        <StoreBanner store/>
        {asked}
        {act}
        {facts::warnings(job)}
        <div class="job" class:stale=move || store.with(|s| s.reach != Reach::Live)>
            <section aria-labelledby="t-time"><h2 id="t-time">"Timeline"</h2>{timeline::timeline(job)}</section>
            <section aria-labelledby="t-facts"><h2 id="t-facts">"Facts"</h2>{facts::facts(shown)}</section>
            {move || error.get().map(|error| value::section("Last error", "failedReason", error, shown, false))}
            {attempts::attempts(shown)}
            {family::family(shown)}
            {move || progress.get().filter(|p| bar(&Some(p.clone())).is_none()).map(|progress| value::section("Progress", "progress", progress, shown, true))}
            {move || value::section("Data", "data", data.get().unwrap_or_default(), shown, true)}
            {move || result.get().map(|result| value::section("Return value", "returnvalue", result, shown, true))}
            <LogSection shown none=page.no_log/>
            {facts::options(job)}
            {move || options.get().map(|options| value::section("Options as stored", "opts", options, shown, true))}
            {facts::record(shown)}
        </div>
    }
    .into_any()
}

/// The link to all jobs that failed with the same error.
fn same_error(shown: Shown) -> Option<AnyView> {
    let error = shown
        .job
        .with(|j| j.row.error.clone().filter(|_| j.row.state == JobState::Failed))?;
    let href = shown.place.with_value(|p| {
        let listed = p.lists.contains(&JobState::Failed);
        listed.then(|| tools::same_error(&p.base, &p.key, &error))
    })?;
    Some(view! { <a class="same" href=href>"All failed in this queue with an error like this…"</a> }.into_any())
}

/// The number a job reported, 0 included; `None` for anything that is no number.
fn bar(progress: &Option<Payload>) -> Option<Progress> {
    let progress = progress.as_ref().filter(|p| p.form == Form::Json)?;
    let number: f64 = progress.text.as_ref()?.trim().parse().ok()?;
    number.is_finite().then_some(Progress::Percent(number))
}

/// The jobs before and after this one in its state, and its position.
fn neighbours(shown: Shown) -> AnyView {
    let around = part(shown.job, |j| (j.neighbours.clone(), j.place, j.row.state));
    (move || {
        let (around, place, state) = around.get();
        let link = |id: Option<String>, text: &'static str, back: bool| match id {
            Some(id) => {
                let href = shown.place.with_value(|p| p.base.job(&p.key, &id));
                let title = format::visible(&id);
                let (previous, next) = (back.then_some(""), (!back).then_some(""));
                view! { <a class="button" href=href title=title data-previous=previous data-next=next>{text}</a> }
                    .into_any()
            }
            None => view! { <span class="button off">{text}</span> }.into_any(),
        };
        let words = match (place, around.unknown) {
            (Some(place), _) => format!(
                "{} of {} {}",
                format::count(place.at),
                format::count(place.of),
                state.label()
            ),
            (None, Some(why)) => why,
            (None, None) => String::new(),
        };
        view! {
            <nav class="beside" aria-label="Jobs of the same state">
                <small>{words}</small>
                {link(around.previous, "‹ Previous", true)}
                {link(around.next, "Next ›", false)}
            </nav>
        }
    })
    .into_any()
}
