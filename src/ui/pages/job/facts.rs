//! The facts about the job besides its payload, and the record that they come from.

use super::{Shown, part};
use crate::model::address::encode_segment;
use crate::model::format;
use crate::model::job::{Dedup, JobDetail, Origin};
use crate::model::state::JobState;
use leptos::prelude::*;

/// What is unusual about the record, and what will happen to a job without a worker.
pub fn warnings(job: RwSignal<JobDetail>) -> AnyView {
    let lines = part(job, |j| {
        let deferred = j.deferred_failure.as_ref().map(|failure| {
            let why = failure.text.clone().unwrap_or_default();
            format!("Set to fail: the worker that takes it next fails it with {why:?}, without running it.")
        });
        let mut lines: Vec<String> = j.lost.iter().cloned().chain(deferred).collect();
        lines.extend(j.oddities.iter().cloned());
        lines
    });
    (move || {
        let lines = lines.get();
        (!lines.is_empty()).then(|| {
            let items = lines
                .into_iter()
                .map(|line| view! { <li>{format::visible(&line)}</li> })
                .collect_view();
            view! { <ul class="oddities" role="status">{items}</ul> }
        })
    })
    .into_any()
}

/// A list of facts.
pub fn facts(shown: Shown) -> AnyView {
    let facts = part(shown.job, list);
    let dedup = part(shown.job, |j| (j.dedup.clone(), j.row.id.clone()));
    let name = part(shown.job, |j| (j.row.name.clone(), j.row.state));
    let parent = move || {
        let flow = shown.flow.get()?;
        let parent = flow.ancestors.last()?;
        let (queue, id) = (parent.queue.clone()?, parent.id.clone()?);
        let text = format::visible(&parent.key);
        let href = shown.place.with_value(|place| place.job(&queue, &id));
        Some(if parent.known {
            view! { <div><dt>"Parent"</dt><dd><a href=href>{text}</a></dd></div> }.into_any()
        } else {
            view! { <div><dt>"Parent"</dt><dd>{text}" "<small>"(its queue is not on the board)"</small></dd></div> }
                .into_any()
        })
    };
    let others = move || {
        let (name, state) = name.get();
        let query = format!("q={}", encode_segment(&name));
        let href = shown
            .place
            .with_value(|place| place.list(state, &query))
            .filter(|_| !name.is_empty())?;
        Some(
            view! { <div><dt>"Other runs"</dt><dd><a href=href>{format!("{} jobs named {}", state.label(), format::visible(&name))}</a></dd></div> },
        )
    };
    let rows = move || {
        let row = |(label, value): (&'static str, String)| {
            view! { <div><dt>{label}</dt><dd>{format::visible(&value)}</dd></div> }
        };
        facts.get().into_iter().map(row).collect_view()
    };
    view! {
        <dl class="facts">
            {rows}
            {move || {
                let (dedup, id) = dedup.get();
                dedup.map(|dedup| deduplication(shown, dedup, &id))
            }}
            {parent}
            {others}
        </dl>
    }
    .into_any()
}

fn list(j: &JobDetail) -> Vec<(&'static str, String)> {
    let row = &j.row;
    let mut facts = Vec::new();
    let made = row.attempts.unwrap_or(0);
    let started = j
        .attempts_started
        .filter(|started| row.attempts != Some(*started))
        .map_or_else(String::new, |started| format!(", {started} started"));
    let allowed = row.attempts_max.map_or_else(
        || "; how many are allowed is not stored".to_owned(),
        |most| format!(" of {most} allowed"),
    );
    facts.push(match row.attempts {
        Some(made) => ("Attempts", format!("{made} made{allowed}{started}")),
        None => ("Attempts", "not known".to_owned()),
    });
    let left = row.attempts_max.map_or(0, |most| most.saturating_sub(made));
    if row.state == JobState::Failed && left > 0 && made > 0 {
        let why = "unused: the error was marked as unrecoverable, its worker was lost too often, or it was set to fail";
        facts.push(("Attempts left", format!("{left} {why}")));
    }
    if let Some(backoff) = j.backoff.clone().filter(|_| left > 0 || made > 0) {
        facts.push(("Back-off", backoff));
    }
    if let Some(worker) = row.worker.clone() {
        facts.push(("Worker", worker));
    }
    if let Some(lock) = &j.lock {
        let ends = match lock.ttl {
            // Workers renew their locks after half of the time.
            Some(ms) => format!("expires in {} unless renewed", format::span(ms)),
            None => "never expires".into(),
        };
        facts.push(("Lock", format!("{}, {ends}", lock.holder)));
    }
    if row.stalled > 0 {
        let times = if row.stalled == 1 {
            "once".into()
        } else {
            format!("{} times", row.stalled)
        };
        facts.push(("Worker lost", times));
    }
    if row.priority > 0 {
        facts.push(("Priority", format!("{} (1 runs first)", row.priority)));
    }
    if row.state == JobState::Delayed
        && let Some(delay) = j.delay.filter(|delay| *delay > 0)
    {
        facts.push((
            if made > 0 { "Backs off for" } else { "Delay" },
            format::duration(delay),
        ));
    }
    if let Some(scheduler) = row.scheduler.clone() {
        facts.push(("Schedule", scheduler));
    }
    if j.progress.is_none() && row.state == JobState::Active {
        facts.push(("Progress", "none reported".into()));
    }
    // A row may only know the size; the value itself is shown below with this size.
    let size = j.data.as_ref().map_or(row.data_size, |data| data.size);
    facts.push(("Data", format::bytes(size)));
    facts
}

fn deduplication(shown: Shown, dedup: Dedup, id: &str) -> AnyView {
    let until = dedup.ttl.map_or_else(
        || "until it has finished".to_owned(),
        |ms| format!("for {} more", format::span(ms)),
    );
    let owner = match dedup.owner {
        None => view! { <small>"not held now: the next job with it is added"</small> }.into_any(),
        Some(owner) if owner == id => view! { <small>{format!("held by this job {until}")}</small> }.into_any(),
        Some(owner) => {
            let href = shown.place.with_value(|place| place.job(&place.key.queue, &owner));
            view! { <small>"held by "<a href=href>{format::visible(&owner)}</a>" "{until}</small> }.into_any()
        }
    };
    view! { <div><dt>"Deduplication"</dt><dd>{format::visible(&dedup.id)}" "{owner}</dd></div> }.into_any()
}

/// The effective options.
pub fn options(job: RwSignal<JobDetail>) -> AnyView {
    let list = part(job, |j| j.effective.clone());
    view! {
        <section class="span" aria-labelledby="t-options">
            <h2 id="t-options">"Options in force"</h2>
            <table class="plain"><tbody>
                {move || list.get().into_iter().map(|option| {
                    let (class, origin) = match option.origin {
                        Origin::Options => ("", ""),
                        Origin::Record => ("", "changed after it was created"),
                        Origin::Default => ("default", "default"),
                    };
                    view! {
                        <tr class=class><th scope="row">{format::visible(&option.name)}</th><td>{format::visible(&option.value)}</td><td><small>{origin}</small></td></tr>
                    }
                }).collect_view()}
            </tbody></table>
        </section>
    }
    .into_any()
}

/// The record, field by field.
pub fn record(shown: Shown) -> AnyView {
    let fields = part(shown.job, |j| j.fields.clone());
    if shown.job.with_untracked(|job| job.withheld) {
        return ().into_any();
    }
    let rows = move || {
        let row = |field: crate::model::job::Field| {
            let href = shown.place.with_value(|place| place.field(&field.name));
            let head = if field.head.is_empty() && field.size > 0 {
                "(too large to show)".into()
            } else {
                format::visible(&field.head)
            };
            view! {
                <tr>
                    <th scope="row">{format::visible(&field.name)}</th>
                    <td class="n"><a href=href download="">{format::bytes(field.size)}</a></td>
                    <td><code>{head}</code></td>
                </tr>
            }
        };
        fields.get().into_iter().map(row).collect_view()
    };
    view! {
        <details class="span record">
            <summary><h2>"The record, field by field"</h2></summary>
            <table class="plain"><thead><tr><th scope="col">"Field"</th><th class="n" scope="col">"Size"</th><th scope="col">"Begins with"</th></tr></thead>
                <tbody>{rows}</tbody></table>
        </details>
    }
    .into_any()
}
