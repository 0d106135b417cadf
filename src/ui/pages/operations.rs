//! Actions over many jobs: the form, the preview, the progress.
//!
//! Rendered on the server alone, from a value: the browser changes nothing here except by fetching the page again.
//!
//! - [`new`]: an action and a filter
//! - [`preview`]: what it would do, its bounds, and the button
//! - [`one`]: an operation and the results of its jobs
//! - [`all`]: the operations
//! - [`tools`]: the links to operations from a list of jobs

use crate::base_path::BasePath;
use crate::model::address::encode_segment;
use crate::model::filter::JobFilter;
use crate::model::format;
use crate::model::operation::page::{NewPage, OperationsPage, Wanted, only_queue, percent};
use crate::model::operation::{Operation, OperationState};
use crate::model::queue::QueueRef;
use crate::ui::pages::NoticeView;
use leptos::prelude::*;

pub mod all;
pub mod new;
pub mod one;
pub mod preview;
pub mod tools;

#[component]
pub fn OperationsView(page: OperationsPage) -> impl IntoView {
    match page {
        OperationsPage::All(operations) => all::view(&operations),
        OperationsPage::One(page) => one::view(&page),
        OperationsPage::Preview(page) => preview::view(&page),
        OperationsPage::New(page) => new::view(&page),
        OperationsPage::Refused(notice) => view! { <NoticeView notice/> }.into_any(),
    }
}

/// The path of an operation's page.
pub fn path(id: &str) -> String {
    format!("/operations/{}", encode_segment(id))
}

/// A sentence as a heading.
fn heading(sentence: &str) -> String {
    format::visible(sentence.trim_end_matches('.'))
}

/// One, or many: `1 job`, `1,284 jobs`.
fn jobs(n: u64) -> String {
    format!("{} job{}", format::count(n), if n == 1 { "" } else { "s" })
}

/// The breadcrumbs, on every page but the list itself.
fn crumbs(base: &BasePath) -> AnyView {
    view! {
        <nav class="crumbs" aria-label="Breadcrumbs">
            <a href=base.href("/")>"All queues"</a>
            <a href=base.href("/operations") data-up="">"Operations"</a>
        </nav>
    }
    .into_any()
}

/// A queue as a link, with its store.
fn queue_link(base: &BasePath, queue: &QueueRef) -> AnyView {
    // What a colon in an id parts is known to its system alone, so the id is whole.
    view! {
        <a href=base.queue(queue)>{format::visible(&queue.queue)}</a>
        " "
        <small>{queue.store.clone()}</small>
    }
    .into_any()
}

/// The page that lists the jobs of a filter: their queue's own list where that can show them, else none.
fn list_of(base: &BasePath, filter: &JobFilter) -> Option<String> {
    let queue = only_queue(filter)?;
    let [state] = filter.states.as_slice() else {
        return None;
    };
    let text = match &filter.text {
        Some(text) => format!("&q={}", encode_segment(text)),
        None => String::new(),
    };
    let path = crate::base_path::queue_path(&queue);
    Some(base.href(&format!("{path}?state={state}{text}")))
}

/// The path of the form where the user can change the filter.
fn new_of(wanted: Wanted, filter: &JobFilter) -> String {
    let page = NewPage {
        wanted,
        filter: filter.to_string(),
        trouble: None,
        cancels: false,
        redrives: false,
        archive_first: None,
    };
    format!("/operations/new?{}", page.query())
}

/// A state as mark and word.
fn state_mark(state: OperationState) -> AnyView {
    let (class, mark) = match state {
        OperationState::Queued => ("op-state queued", "○"),
        OperationState::Running => ("op-state running", "▶"),
        OperationState::Paused => ("op-state held", "Ⅱ"),
        OperationState::Cancelled => ("op-state cancelled", "◻"),
        OperationState::Stopped => ("op-state stopped", "✕"),
        OperationState::Done => ("op-state done", "✓"),
    };
    view! { <span class=class><i aria-hidden="true">{mark}</i>" "{state.word()}</span> }.into_any()
}

/// The progress: a bar, the number of jobs, and the share.
fn progress(operation: &Operation) -> AnyView {
    let totals = &operation.totals;
    let (settled, selected) = (totals.settled(), totals.selected);
    view! {
        <progress max=selected.max(1).to_string() value=settled.to_string() aria-label="jobs with a result"></progress>
        " "
        <span class="of"><b>{format::count(settled)}</b>" of "{jobs(selected)}</span>
        " "
        <span class="percent">{percent(operation).to_string()}" %"</span>
    }
    .into_any()
}

/// Jobs a second.
fn rate(per_second: f64) -> String {
    if per_second < 9.95 {
        format!("{per_second:.1} jobs a second")
    } else {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "positive and far below 2^63"
        )]
        let whole = per_second.round() as u64;
        format!("{} jobs a second", format::count(whole))
    }
}

/// Time left.
fn left(ms: u64) -> String {
    let ms = i64::try_from(ms).unwrap_or(i64::MAX);
    if ms < 1_000 {
        "less than a second left".into()
    } else {
        format!("about {} left", format::span(ms))
    }
}

/// Bounds in words.
fn bounds(operation: &Operation) -> String {
    let bounds = &operation.bounds;
    let rate = match bounds.rate {
        Some(rate) => format!("at most {} a second", jobs(rate.into())),
        None => "as fast as the store allows".into(),
    };
    match bounds.canary {
        Some(canary) => format!(
            "{rate}; canary: the first {} are watched for up to {}, and it stops when more than {} % of the retried \
             jobs that finished have failed again",
            format::count(canary.jobs.into()),
            format::span(i64::from(canary.watch_s) * 1_000),
            canary.stop_percent
        ),
        None => format!("{rate}; no canary"),
    }
}

#[cfg(test)]
#[path = "operations/tests.rs"]
mod tests;
