//! The rows of the overview: a queue's line, and the heading of a group.

use super::PINS;
use super::bar::Looks;
use super::lines::{Item, Known, Line, Lines};
use crate::model::Millis;
use crate::model::counts::Total;
use crate::model::format;
use crate::model::look::{pin, pin_button};
use crate::model::queue::QueueSummary;
use crate::model::state::JobState;
use crate::model::verdict::Level;
use crate::model::worker::UNSEEN;
use crate::ui::components::{level_class, spark_path};
use crate::ui::context::base;
use crate::ui::live::Live;
use leptos::either::Either;
use leptos::prelude::*;
use std::collections::HashMap;

/// What the lines of a store need to know of its time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StoreClock {
    /// When the store was last heard, if it is silent.
    pub silent: Option<Millis>,
    pub ahead: Millis,
}

pub fn row(looks: Looks, clocks: Memo<HashMap<String, StoreClock>>, item: Item) -> impl IntoView {
    match item {
        Item::Heading(group) => Either::Left(view! { <Heading looks group/> }),
        Item::Line(line) => Either::Right(view! { <Row line lines=looks.lines clocks/> }),
    }
}

/// The heading of a group: how many queues, the worst of them, and their jobs together.
#[component]
fn Heading(looks: Looks, group: String) -> impl IntoView {
    let lines = looks.lines;
    let title = match group.as_str() {
        "" => "other queues".to_owned(),
        name => format::visible(name),
    };
    let key = StoredValue::new(group.clone());
    let sum = Memo::new(move |_| lines.sums.with(|sums| key.with_value(|key| sums.get(key).cloned())));
    let level = move || sum.with(|sum| sum.as_ref().map_or(Level::Unknown, |sum| sum.level));
    let queues = move || match sum.with(|sum| sum.as_ref().map_or(0, |sum| sum.queues)) {
        1 => "1 queue".to_owned(),
        n => format!("{} queues", format::count(n as u64)),
    };
    let folded = move || lines.look.with(|look| key.with_value(|key| look.folded.contains(key)));
    let href = looks.to(move |look| look.with_fold(&group));
    let cell = move |state: JobState, class: &'static str| {
        let count = move || sum.with(|sum| sum.as_ref().and_then(|sum| sum.counts.get(state)));
        let text = move || count().map_or_else(|| format::UNKNOWN.to_owned(), |count| count.to_string());
        view! { <td class=class data-l=state.short() class:zero=move || count().is_some_and(Total::is_zero)>{text}</td> }
    };
    // A key of its own: what names a queue has a slash in it.
    let name = lines.part.map(|_| key.get_value());
    view! {
        <tr class="group" data-id=name>
            <td class="v"><span class=move || level_class(level())>{move || level().word()}</span></td>
            <th scope="rowgroup" class="name">
                <a data-look="" data-row="" href=href aria-expanded=move || (!folded()).to_string()>{title}</a>
                <small>{queues}</small>
            </th>
            {cell(JobState::Waiting, "n backlog")}
            {cell(JobState::Prioritized, "n backlog wide")}
            <td class="n backlog blank"></td>
            {cell(JobState::Active, "n flight")}
            <td class="n flight blank"></td>
            {cell(JobState::Delayed, "n later wide")}
            {cell(JobState::WaitingChildren, "n later wide")}
            <td class="n flow blank"></td>
            <td class="spark wide"></td>
            {cell(JobState::Failed, "n trouble")}
            {cell(JobState::Completed, "n history wide")}
        </tr>
    }
}

/// A queue's line: its verdict and its name, and all other cells while it is near the screen.
///
/// Cells that change together are one piece: a browser takes too long to create and to remove five hundred lines of
/// thirty pieces each.
#[component]
fn Row(line: Line, lines: Lines, clocks: Memo<HashMap<String, StoreClock>>) -> impl IntoView {
    let live = expect_context::<Live>();
    let Known { queue, near } = line.known;
    let id = queue.with_untracked(|q| format::visible(&q.id));
    let store = line.key.store.clone();
    // Its verdict, its label, and its store, with its library if that is not supported.
    let called = {
        let store = store.clone();
        Memo::new(move |_| {
            queue.with(|q| {
                let place = match q.system.is_supported() {
                    true => store.clone(),
                    false => format!("{store} · {}: not supported", q.system.label()),
                };
                let verdict = &q.verdict;
                (verdict.level, verdict.reason.clone(), format::visible(&q.label), place)
            })
        })
    };
    // Since when the line may no longer be true, if so; ages then do not advance.
    let clock = move || clocks.with(|clocks| clocks.get(&store).copied().unwrap_or_default());
    let its = clock.clone();
    let now = move || {
        let clock = its();
        let now = clock.silent.unwrap_or_else(|| live.now.get());
        now.saturating_add(clock.ahead)
    };
    let href = base().queue(&line.key);
    let (key, value) = (line.key.clone(), pin(&line.key));
    let head = move || {
        let (field, title) = pin_button(lines.pins.with(|pins| pins.contains(&key)));
        called.with(|(level, reason, label, place)| {
            view! {
                <td class="v"><span class=level_class(*level) title=reason.clone()>{level.word()}</span></td>
                <th scope="row" class="name">
                    <button class="pin" form=PINS name=field value=value.clone() title=format!("{title} {label}")></button>
                    <a href=href.clone() data-row="" title=id.clone()>{label.clone()}</a>
                    <small>{place.clone()}</small>
                </th>
            }
        })
    };
    // Only cells with an age depend on the clock.
    let cells = move || {
        near.get()
            .then(|| queue.with(|q| cells(q, if ages(q) { now() } else { 0 })))
    };
    let name = lines.part.map(|_| pin(&line.key));
    view! { <tr data-id=name class:stale=move || clock().silent.is_some()>{head}{cells}</tr> }
}

fn ages(queue: &QueueSummary) -> bool {
    queue.counts.backlog() != Some(0) && (queue.oldest_waiting.is_some() || queue.next_created.is_some())
}

/// The cells of a queue's line.
fn cells(q: &QueueSummary, now: Millis) -> impl IntoView + use<> {
    let deserted = q.workers == Some(0) && q.paused == Some(false) && q.counts.backlog() > Some(0);
    view! {
        <td class=looks("n backlog", q.counts.get(JobState::Waiting)) data-l="waiting" title=q.reason.clone().unwrap_or_default()>{count(q, JobState::Waiting)}</td>
        <td class=looks("n backlog wide", q.counts.get(JobState::Prioritized))>{count(q, JobState::Prioritized)}</td>
        <td class="n backlog" data-l="oldest" class:zero=q.counts.backlog() == Some(0) title=q.waited_note(now)>{q.waited(now)}</td>
        <td class=looks("n flight", q.counts.get(JobState::Active)) data-l="active">{count(q, JobState::Active)}</td>
        <td class="n flight" data-l="workers" class:missing=deserted class:unknown=q.workers.is_none() title=q.unseen.then_some(UNSEEN)>{format::count_or_unknown(q.workers.map(u64::from))}</td>
        <td class=looks("n later wide", q.counts.get(JobState::Delayed))>{count(q, JobState::Delayed)}</td>
        <td class=looks("n later wide", q.counts.get(JobState::WaitingChildren))>{count(q, JobState::WaitingChildren)}</td>
        <td class="n flow" data-l="in → out /min" title=window_note(q)>{flow(q)}</td>
        <td class="spark wide">
            <svg width="118" height="20" aria-hidden="true"><path d=spark_path(&q.spark, 118.0, 20.0)></path></svg>
        </td>
        <td class=looks("n trouble", q.counts.get(JobState::Failed)) data-l="failed">{count(q, JobState::Failed)}</td>
        <td class=looks("n history wide", q.counts.get(JobState::Completed))>{count(q, JobState::Completed)}</td>
    }
}

fn count(queue: &QueueSummary, state: JobState) -> String {
    format::count_or_unknown(queue.counts.get(state))
}

/// The classes of a cell with a number: zero and unknown are muted.
fn looks(class: &str, count: Option<u64>) -> String {
    match count {
        Some(0) => format!("{class} zero"),
        Some(_) => class.to_owned(),
        None => format!("{class} unknown"),
    }
}

fn flow(queue: &QueueSummary) -> String {
    match &queue.rates {
        Some(rates) if rates.window_s < 60 => {
            format!("≈{} → {}", format::rate(rates.arrivals), format::rate(rates.departures))
        }
        Some(rates) => format!("{} → {}", format::rate(rates.arrivals), format::rate(rates.departures)),
        None => format::UNKNOWN.to_owned(),
    }
}

/// How exact the rates are.
fn window_note(queue: &QueueSummary) -> String {
    match &queue.rates {
        None if !queue.system.is_supported() => queue.reason.clone().unwrap_or_default(),
        None => "Not known: events have been followed for less than five seconds without a gap.".into(),
        Some(rates) if rates.window_s < 60 => format!("From the last {} s; exact after a minute.", rates.window_s),
        Some(rates) => format!(
            "Counted over the last minute. Failed: {} /min.",
            format::rate(rates.failed)
        ),
    }
}
