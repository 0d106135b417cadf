//! One operation: what, which, who and why, its progress, its controls, and the results of its jobs.

use super::{bounds, crumbs, heading, jobs, left, list_of, path, progress, queue_link, rate, state_mark};
use crate::base_path::BasePath;
use crate::model::format;
use crate::model::operation::page::{OperationPage, RESULT_WORDS, RESULTS, rest};
use crate::model::operation::{ItemResult, Operation, OperationState, Totals};
use crate::ui::components::Ago;
use crate::ui::context::base;
use leptos::prelude::*;

pub fn view(page: &OperationPage) -> AnyView {
    let base = base();
    let operation = &page.operation;
    view! {
        {crumbs(&base)}
        <header class="head">
            <h1>{heading(&operation.sentence)}</h1>
            {controls(&base, operation)}
        </header>
        {note(operation)}
        <p class="op-line">
            {state_mark(operation.state)}
            {progress(operation)}
            {running(operation)}
        </p>
        {sum(&base, page)}
        {again(&base, operation)}
        <dl class="facts op-facts">{facts(&base, operation)}</dl>
        {reasons(operation)}
        {results(&base, page)}
    }
    .into_any()
}

/// What the state alone does not say: prominent where the operation stopped by itself.
fn note(operation: &Operation) -> Option<AnyView> {
    let text = format::visible(&operation.note);
    match operation.state {
        OperationState::Stopped => Some(
            view! {
                <div class="banner" role="alert">
                    <strong>"It stopped automatically."</strong>
                    <p>{text}" Completed work is kept; the rest was not touched."</p>
                </div>
            }
            .into_any(),
        ),
        _ if text.is_empty() => None,
        _ => Some(view! { <p class="op-note">{text}</p> }.into_any()),
    }
}

fn running(operation: &Operation) -> Option<AnyView> {
    if operation.state != OperationState::Running {
        return None;
    }
    let parts: Vec<String> = [operation.per_second.map(rate), operation.left_ms.map(left)]
        .into_iter()
        .flatten()
        .collect();
    Some(view! { <span class="pace">{parts.join(", ")}</span> }.into_any())
}

/// Pause or resume, and separately cancel.
fn controls(base: &BasePath, operation: &Operation) -> Option<AnyView> {
    if !operation.state.is_open() {
        return None;
    }
    let button = |control: &'static str, label: &'static str, class: &'static str, title: &'static str| {
        let action = base.href(&format!("{}/{control}", path(&operation.id)));
        view! { <form method="post" action=action><button class=class title=title>{label}</button></form> }
    };
    let hold = if operation.state == OperationState::Paused {
        button("resume", "Resume", "", "Continues with the remaining jobs")
    } else {
        button("pause", "Pause", "", "No further job until it is resumed")
    };
    Some(
        view! {
            <div class="controls">
                {hold}
                {button("cancel", "Cancel the operation", "danger", "No further job; completed work is kept")}
            </div>
        }
        .into_any(),
    )
}

/// For each result its label, its meaning, and its count.
fn parts(totals: &Totals) -> [(&'static str, &'static str, u64); 6] {
    [
        ("done", "Done", totals.done),
        ("already", "Already done before", totals.already),
        ("changed", "Changed since the preview; skipped", totals.changed),
        ("gone", "No longer exists", totals.gone),
        (
            "failed",
            "Locked by a worker, or refused; nothing was done",
            totals.failed,
        ),
        ("unconfirmed", "It is not known whether it was done", totals.unconfirmed),
    ]
}

/// The totals, written as a sum.
fn sum(base: &BasePath, page: &OperationPage) -> AnyView {
    let totals = &page.operation.totals;
    let here = path(&page.operation.id);
    let terms = parts(totals)
        .into_iter()
        .enumerate()
        .map(|(i, (word, about, n))| {
            let sign = if i == 0 { "" } else { "+" };
            let class = if n == 0 {
                "zero"
            } else if matches!(word, "failed" | "unconfirmed") {
                "bad"
            } else {
                ""
            };
            let number = if n == 0 {
                view! { <b>"0"</b> }.into_any()
            } else {
                let href = base.href(&format!("{here}?result={word}"));
                view! { <a href=href><b>{format::count(n)}</b></a> }.into_any()
            };
            view! { <li class=class title=about><i>{sign}</i>{number}<span>{word}</span></li> }
        })
        .collect_view();
    let left = totals.left();
    view! {
        <ul class="sum" aria-label="Jobs by result">
            {terms}
            <li class=if left == 0 { "zero" } else { "" } title="Not processed yet">
                <i>"+"</i><b>{format::count(left)}</b>
                <span>{if page.operation.state.is_open() { "remaining" } else { "not processed" }}</span>
            </li>
            <li class="all" title="All jobs of the preview"><i>"="</i><b>{format::count(totals.selected)}</b><span>"selected"</span></li>
        </ul>
    }
    .into_any()
}

/// The link to preview the remaining jobs again.
fn again(base: &BasePath, operation: &Operation) -> Option<AnyView> {
    let rest = rest(operation);
    if operation.state.is_open() || rest == 0 {
        return None;
    }
    let action = base.href(&format!("{}/again", path(&operation.id)));
    Some(
        view! {
            <form class="again" method="post" action=action>
                <button>"Again for the rest…"</button>
                " "
                <small>{format!("{} not done. You see a new preview first.", jobs(rest))}</small>
            </form>
        }
        .into_any(),
    )
}

fn facts(base: &BasePath, operation: &Operation) -> AnyView {
    let filter = operation.filter.to_string();
    let which = if filter.is_empty() {
        "selected jobs".into_any()
    } else {
        let text = format::visible(&filter);
        match list_of(base, &operation.filter) {
            Some(href) => view! { <a href=href><code>{text}</code></a> }.into_any(),
            None => view! { <code>{text}</code> }.into_any(),
        }
    };
    let shown = operation.queues.len().min(10);
    let queues = operation.queues[..shown]
        .iter()
        .map(|queue| view! { <span class="queue">{queue_link(base, queue)}</span>" " })
        .collect_view();
    let more = operation.queues.len() - shown;
    let moment = |label: &'static str, at: Option<i64>| {
        at.map(|_| view! { <div><dt>{label}</dt><dd><Ago at=Signal::derive(move || at)/></dd></div> })
    };
    let why = if operation.reason.is_empty() {
        "no reason given".to_owned()
    } else {
        format::visible(&operation.reason)
    };
    let took = operation
        .started
        .zip(operation.ended)
        .map(|(from, to)| view! { <div><dt>"Took"</dt><dd>{format::duration(to - from)}</dd></div> });
    view! {
        <div><dt>"Which jobs"</dt><dd>{which}</dd></div>
        <div>
            <dt>{if operation.queues.len() == 1 { "Queue" } else { "Queues" }}</dt>
            <dd>{queues}{(more > 0).then(|| format!("and {more} more"))}</dd>
        </div>
        <div><dt>"Who"</dt><dd>{format::visible(&operation.who)}</dd></div>
        <div><dt>"Why"</dt><dd>{why}</dd></div>
        {moment("Requested", Some(operation.created))}
        {moment("Started", operation.started)}
        {moment("Ended", operation.ended)}
        {took}
        <div class="bounds"><dt>"Limits"</dt><dd>{bounds(operation)}</dd></div>
    }
    .into_any()
}

/// Why jobs were not done.
fn reasons(operation: &Operation) -> Option<AnyView> {
    let lines = operation
        .reasons
        .iter()
        .map(|share| view! { <li><b>{format::count(share.jobs)}</b>" "{format::visible(&share.of)}</li> })
        .collect_view();
    (!operation.reasons.is_empty()).then(|| {
        view! {
            <section class="op-reasons" aria-labelledby="t-why">
                <h2 id="t-why">"Why jobs were not done"</h2>
                <ul class="left-out">{lines}</ul>
            </section>
        }
        .into_any()
    })
}

/// The result of each job, a page at a time.
fn results(base: &BasePath, page: &OperationPage) -> AnyView {
    let here = path(&page.operation.id);
    let all = page.operation.totals;
    let tab = |word: Option<&'static str>, n: u64| {
        let current = if page.result.as_deref() == word {
            "page"
        } else {
            "false"
        };
        let href = match word {
            None => base.href(&here),
            Some(word) => base.href(&format!("{here}?result={word}")),
        };
        view! {
            <a href=href aria-current=current class:zero=(n == 0)>
                <span>{word.unwrap_or("all")}</span>" "<b>{format::count(n)}</b>
            </a>
        }
    };
    let file = base.href(&format!("/api/v1{here}/results.ndjson"));
    let counts = parts(&all);
    let tabs = RESULT_WORDS
        .iter()
        .zip(counts)
        .map(|(word, (_, _, n))| tab(Some(word), n))
        .collect_view();
    view! {
        <section class="op-results" aria-labelledby="t-results">
            <h2 id="t-results">"Jobs"</h2>
            <nav class="tabs" aria-label="Jobs by result">{tab(None, all.selected)}{tabs}{tab(Some("left"), all.left())}</nav>
            <p class="actions"><a href=file download="">"Download all as NDJSON"</a></p>
            {match &page.results {
                Err(why) => view! { <p class="empty">{why.clone()}</p> }.into_any(),
                Ok(items) if items.is_empty() => view! { <p class="empty">{nothing(page)}</p> }.into_any(),
                Ok(items) => listed(base, page, items),
            }}
        </section>
    }
    .into_any()
}

const fn nothing(page: &OperationPage) -> &'static str {
    if page.result.is_some() {
        "No job has this result."
    } else if page.offset > 0 {
        "There are no more."
    } else {
        "The selection is empty."
    }
}

fn listed(base: &BasePath, page: &OperationPage, items: &[ItemResult]) -> AnyView {
    let one_queue = page.operation.queues.len() == 1;
    let rows = items.iter().map(|item| row(base, item, one_queue)).collect_view();
    let (from, to) = (page.offset as u64 + 1, (page.offset + items.len()) as u64);
    let link = |offset: usize, label: &'static str, rel: &'static str| {
        let mut query = format!("offset={offset}");
        if let Some(result) = &page.result {
            query += &format!("&result={result}");
        }
        let href = base.href(&format!("{}?{query}", path(&page.operation.id)));
        view! { <a class="button" rel=rel href=href>{label}</a> }
    };
    let previous = (page.offset > 0).then(|| link(page.offset.saturating_sub(RESULTS), "‹ Previous", "prev"));
    let next = (to < page.of).then(|| link(page.offset + RESULTS, "Next ›", "next"));
    view! {
        <div class="list-head">
            <p><b>{format!("{}–{} of {}", format::count(from), format::count(to), format::count(page.of.max(to)))}</b></p>
            <p class="actions">{previous}{next}</p>
        </div>
        <table class="jobs-few results">
            <thead>
                <tr>
                    <th scope="col">"Job"</th>
                    {(!one_queue).then(|| view! { <th scope="col">"Queue"</th> })}
                    <th scope="col" class="result">"Result"</th>
                    <th scope="col">"Why"</th>
                </tr>
            </thead>
            <tbody>{rows}</tbody>
        </table>
    }
    .into_any()
}

fn row(base: &BasePath, item: &ItemResult, one_queue: bool) -> AnyView {
    let class = match item.result.as_deref() {
        Some("failed" | "unconfirmed") => "result bad",
        Some("done") => "result done",
        _ => "result",
    };
    let word = item.result.clone().unwrap_or_else(|| "not yet".into());
    view! {
        <tr>
            <th scope="row" class="id"><a href=base.job(&item.queue, &item.id) data-row="">{format::visible(&item.id)}</a></th>
            {(!one_queue).then(|| view! { <td>{queue_link(base, &item.queue)}</td> })}
            <td class=class>{word}</td>
            <td class="why">{item.reason.as_deref().map(format::visible)}</td>
        </tr>
    }
    .into_any()
}
