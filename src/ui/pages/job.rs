//! One job: where it is, how it got there, what it carries.

use crate::model::Millis;
use crate::model::event::{Frame, Topic};
use crate::model::format;
use crate::model::job::{JobDetail, Payload};
use crate::model::page::JobPage;
use crate::model::queue::QueueRef;
use crate::model::state::JobState;
use crate::model::store::Reach;
use crate::ui::app::base;
use crate::ui::components::{Ago, Due, ProgressView, StateMark, StoreBanner, pretty_json};
use crate::ui::live::{self, Live};
use leptos::prelude::*;

/// After something happened to the job it is read again this soon.
const REREAD_MS: i32 = 120;

/// While a job is active its log may grow, of which no event tells.
const FOLLOW_MS: i32 = 2_000;

#[derive(Clone, Copy)]
struct Shown {
    job: RwSignal<JobDetail>,
    /// Said by the stream: the job was removed.
    removed: RwSignal<bool>,
    url: StoredValue<String>,
    rereading: StoredValue<bool>,
}

#[component]
pub fn JobView(page: JobPage, after: String) -> impl IntoView {
    let live = expect_context::<Live>();
    let base = base();
    let key = page.queue.key();
    let id = page.job.row.id.clone();
    live.follow_clock(&page.store);
    let store = RwSignal::new(page.store);
    let shown = Shown {
        job: RwSignal::new(page.job),
        removed: RwSignal::new(false),
        url: StoredValue::new(base.href(&format!("/api/v1{}", crate::base_path::job_path(&key, &id)))),
        rereading: StoredValue::new(false),
    };
    let topic = Topic::Job(key.clone(), id.clone()).to_string();
    live::follow(
        live,
        &topic,
        after,
        Box::new(move |frame, snapshot| {
            if let Some(changed) = frame.stores.first() {
                live.follow_clock(changed);
                store.set(changed.clone());
            }
            shown.take(&frame, snapshot);
        }),
    );
    shown.follow_log();
    let job = shown.job;
    let list = move || job.with(|j| j.row.state);
    let (up, queue_path) = (base.clone(), crate::base_path::queue_path(&key));
    view! {
        <nav class="crumbs" aria-label="Breadcrumbs">
            <a href=base.href("/")>"All queues"</a>
            <a href=base.store(&key.store)>{key.store.clone()}</a>
            <a href=move || up.href(&format!("{queue_path}?state={}", list())) data-up="">{format::visible(&page.queue.name)}</a>
        </nav>
        <header class="head">
            <h1><small>{move || job.with(|j| format::visible(&j.row.name))}</small>" "{format::visible(&id)}</h1>
            <p class="state-line">
                <StateMark state=Signal::derive(list)/>
                {move || job.with(note_on_state).map(|note| view! { <small>{note}</small> })}
                <ProgressView progress=Signal::derive(move || job.with(|j| j.row.progress.clone()))/>
            </p>
        </header>
        <StoreBanner store/>
        {move || shown.removed.get().then(|| view! {
            <div class="banner" role="alert"><strong>"This job was removed."</strong><p>"What is shown is how it was last seen."</p></div>
        })}
        <div class="job" class:stale=move || store.with(|s| s.reach != Reach::Live) || shown.removed.get()>
            <section aria-labelledby="t-time"><h2 id="t-time">"Timeline"</h2><Timeline job/></section>
            <section aria-labelledby="t-facts"><h2 id="t-facts">"Facts"</h2><Facts job queue=key/></section>
            {move || job.with(|j| j.error.clone()).map(|error| view! {
                <section class="span" aria-labelledby="t-error"><h2 id="t-error">"Last error"</h2><Text payload=error class="error"/></section>
            })}
            {move || job.with(traces)}
            <section class="span" aria-labelledby="t-data"><h2 id="t-data">"Data"</h2>{move || view! { <Json payload=job.with(|j| j.data.clone())/> }}</section>
            {move || job.with(|j| j.result.clone()).map(|result| view! {
                <section class="span" aria-labelledby="t-result"><h2 id="t-result">"Return value"</h2><Json payload=result/></section>
            })}
            <section class="span" aria-labelledby="t-logs"><h2 id="t-logs">"Log"</h2><LogView job/></section>
            <section class="span" aria-labelledby="t-options"><h2 id="t-options">"Options as stored"</h2>{move || view! { <Json payload=job.with(|j| j.options.clone())/> }}</section>
            {move || job.with(other_fields)}
        </div>
    }
    .into_any()
}

impl Shown {
    fn take(self, frame: &Frame, snapshot: bool) {
        let mut reread = snapshot;
        for change in &frame.jobs {
            self.removed.set(change.removed);
            if change.progress.is_some() {
                self.job.update(|job| job.row.progress.clone_from(&change.progress));
            }
            reread |= change.state.is_some();
        }
        if reread && !self.removed.get_untracked() {
            self.reread_soon(REREAD_MS);
        }
    }

    fn reread_soon(self, ms: i32) {
        if self.rereading.get_value() {
            return;
        }
        self.rereading.set_value(true);
        live::set_timeout(ms, move || {
            live::fetch_json::<JobDetail>(self.url.get_value(), move |job| {
                self.rereading.set_value(false);
                if let Some(job) = job {
                    self.job.set(job);
                }
            });
        });
    }

    fn follow_log(self) {
        live::set_timeout(FOLLOW_MS, move || {
            if self.job.with_untracked(|j| j.row.state == JobState::Active) && !self.removed.get_untracked() {
                self.reread_soon(0);
            }
            self.follow_log();
        });
    }
}

fn note_on_state(job: &JobDetail) -> Option<String> {
    if !job.state_known {
        return Some("inferred from its own fields: it was in none of the lists that can be searched quickly".into());
    }
    (job.locked == Some(false)).then(|| "no worker holds its lock: the worker is gone, or just taking it".into())
}

/// What happened when, and how long each part took.
#[component]
fn Timeline(job: RwSignal<JobDetail>) -> impl IntoView {
    let live = expect_context::<Live>();
    let at = move |f: fn(&JobDetail) -> Option<Millis>| Signal::derive(move || job.with(f));
    let step = move |label: &'static str, f: fn(&JobDetail) -> Option<Millis>| {
        move || {
            job.with(f).map(|_| {
                view! {
                    <li>
                        <b>{label}</b>
                        <Ago at=at(f)/>
                        <small>{move || job.with(f).map(format::moment)}</small>
                    </li>
                }
            })
        }
    };
    let gap =
        move |label: &'static str, from: fn(&JobDetail) -> Option<Millis>, to: fn(&JobDetail) -> Option<Millis>| {
            move || {
                let (from, to) = job.with(|j| (from(j), to(j)));
                let text = match (from, to) {
                    (Some(from), Some(to)) => format::duration(to.saturating_sub(from)),
                    (Some(from), None) if job.with(|j| j.row.state == JobState::Active) => {
                        format!("{} so far", format::span(live.now.get().saturating_sub(from)))
                    }
                    _ => return None,
                };
                Some(view! { <li class="gap">{label}" "<b>{text}</b></li> })
            }
        };
    view! {
        <ol class="timeline">
            {step("created", |j| j.row.created)}
            {gap("waited", |j| j.row.created, |j| j.row.started)}
            {step("last started", |j| j.row.started)}
            {gap("ran", |j| j.row.started, |j| j.row.finished)}
            {step("finished", |j| j.row.finished)}
            {move || job.with(|j| j.row.due).map(|_| view! { <li><b>"due"</b><Due at=Signal::derive(move || job.with(|j| j.row.due))/></li> })}
        </ol>
    }
    .into_any()
}

#[component]
fn Facts(job: RwSignal<JobDetail>, queue: QueueRef) -> impl IntoView {
    let base = base();
    let fact = move |label: &'static str, f: fn(&JobDetail) -> Option<String>| {
        move || {
            job.with(f)
                .map(|value| view! { <div><dt>{label}</dt><dd>{format::visible(&value)}</dd></div> })
        }
    };
    let parent = move || {
        job.with(|j| j.parent.clone()).map(|parent| {
            // The parent's key is `prefix:name:id`. An id may hold colons, so this is a guess that
            // fits ids without any; where it does not, the key is still shown.
            let link = parent.rsplit_once(':').map(|(p, id)| {
                let key = QueueRef { store: queue.store.clone(), queue: p.to_owned() };
                base.job(&key, id)
            });
            view! { <div><dt>"Parent"</dt><dd><a href=link.unwrap_or_default()>{format::visible(&parent)}</a></dd></div> }
        })
    };
    view! {
        <dl class="facts">
            {fact("Attempts", |j| Some(format!("{} of {}", j.row.attempts, j.row.attempts_max)))}
            {fact("Worker", |j| j.row.worker.clone())}
            {fact("Priority", |j| (j.row.priority > 0).then(|| j.row.priority.to_string()))}
            {fact("Lost its worker", |j| (j.row.stalled > 0).then(|| format!("{} times", j.row.stalled)))}
            {fact("Schedule", |j| j.row.scheduler.clone())}
            {fact("Children", |j| j.children.map(|c| format!("{} pending, {} completed, {} failed", format::count(c.pending), format::count(c.completed), format::count(c.failed))))}
            {parent}
            {fact("Data", |j| Some(format::bytes(j.row.data_size)))}
        </dl>
    }
    .into_any()
}

/// One stack trace per failed attempt, the newest first and open.
fn traces(job: &JobDetail) -> Option<AnyView> {
    if let Some(size) = job.traces_too_large {
        let text = format!(
            "The stack traces are {} long, too large to be fetched.",
            format::bytes(size)
        );
        return Some(
            view! { <section class="span"><h2>"Attempts"</h2><p class="empty">{text}</p></section> }.into_any(),
        );
    }
    if job.traces.is_empty() {
        return None;
    }
    let newest = job.traces.len() - 1;
    // The library keeps the last few traces only; they belong to the last attempts.
    let made = usize::try_from(job.row.attempts).unwrap_or(0).max(job.traces.len());
    let first = made - job.traces.len();
    let items = job
        .traces
        .iter()
        .enumerate()
        .rev()
        .map(|(i, trace)| {
            let head = format::visible(trace.lines().next().unwrap_or_default());
            view! {
                <details open=i == newest>
                    <summary><b>{format!("Attempt {}", first + i + 1)}</b>" "{head}</summary>
                    <pre tabindex="0">{format::visible(trace)}</pre>
                </details>
            }
        })
        .collect_view();
    Some(view! { <section class="span traces" aria-labelledby="t-attempts"><h2 id="t-attempts">"Failed attempts"</h2>{items}</section> }.into_any())
}

#[component]
fn Json(payload: Payload) -> impl IntoView {
    let payload = Payload {
        text: payload.text.as_deref().map(pretty_json),
        ..payload
    };
    view! { <Text payload class="json"/> }
}

#[component]
fn Text(payload: Payload, class: &'static str) -> impl IntoView {
    match payload.text {
        Some(text) if !text.is_empty() => {
            view! { <pre class=class tabindex="0">{format::visible(&text)}</pre> }.into_any()
        }
        Some(_) => view! { <p class="empty">"Empty."</p> }.into_any(),
        None => {
            let text = format!("{} long, too large to be fetched.", format::bytes(payload.size));
            view! { <p class="empty">{text}</p> }.into_any()
        }
    }
}

#[component]
fn LogView(job: RwSignal<JobDetail>) -> impl IntoView {
    move || {
        let logs = job.with(|j| j.logs.clone());
        if logs.total == 0 {
            return view! { <p class="empty">"The job has written no log line."</p> }.into_any();
        }
        let hidden = logs.total - logs.lines.len() as u64;
        let first = logs.first;
        let lines = logs
            .lines
            .into_iter()
            .zip(first..)
            .map(|(line, n)| view! { <li value=n.to_string()>{format::visible(&line)}</li> })
            .collect_view();
        view! {
            {(hidden > 0).then(|| view! { <p class="empty">{format!("The newest of {} lines; {} earlier ones are not shown.", format::count(logs.total), format::count(hidden))}</p> })}
            <ol class="log" tabindex="0">{lines}</ol>
        }
        .into_any()
    }
}

fn other_fields(job: &JobDetail) -> Option<AnyView> {
    if job.other.is_empty() {
        return None;
    }
    let rows = job
        .other
        .iter()
        .map(|field| {
            let value = match &field.value.text {
                Some(text) => format::visible(text),
                None => format!("{} long", format::bytes(field.value.size)),
            };
            view! { <tr><th scope="row">{format::visible(&field.name)}</th><td>{value}</td></tr> }
        })
        .collect_view();
    Some(
        view! {
            <section class="span" aria-labelledby="t-other"><h2 id="t-other">"Other fields of its record"</h2>
                <table class="other"><tbody>{rows}</tbody></table>
            </section>
        }
        .into_any(),
    )
}
