//! The log: its newest part, older parts, and lines that contain a text.

use super::Shown;
use crate::base_path::TO;
use crate::model::address::encode_segment;
use crate::model::format;
use crate::model::job::{LogLine, LogPage};
use crate::model::state::JobState;
use crate::ui::components::with_rules;
use leptos::prelude::*;

/// Lines fetched at a time.
const STEP: u64 = 200;

#[component]
pub fn LogSection(shown: Shown, none: Option<String>) -> impl IntoView {
    let none = none.unwrap_or_else(|| "The job has written no log line.".into());
    let log = RwSignal::new(shown.job.with_untracked(|j| j.logs.clone()));
    // A page that was opened at a line, or for a search, stays there.
    let newest =
        log.with_untracked(|log| log.search.is_none() && log.lines.last().is_none_or(|line| line.n >= log.total));
    let form = move || {
        let (path, href) = shown
            .place
            .with_value(|place| (crate::base_path::job_path(&place.key, &place.id), place.page("")));
        // A form drops the query of its address: a path that travels there becomes a hidden field.
        let (action, to) = match href.split_once('?') {
            Some((action, _)) => (action.to_owned(), Some(path)),
            None => (href, None),
        };
        let value = log.with_untracked(|log| log.search.as_ref().map(|s| s.q.clone()).unwrap_or_default());
        view! {
            <form class="find" action=format!("{action}#t-logs") role="search">
                {to.map(|to| view! { <input type="hidden" name=TO value=to/> })}
                <label class="sr-only" for="log-find">"Lines with this text"</label>
                <input id="log-find" name="find" type="search" placeholder="Lines with…" maxlength="256" value=value data-search=""/>
                <button>"Search"</button>
            </form>
        }
    };
    let size = Memo::new(move |_| log.with(|log| log.total > 0 || log.search.is_some()));
    view! {
        <section class="span" aria-labelledby="t-logs">
            <div class="value-head">
                <h2 id="t-logs">"Log"</h2>
                <small>{move || log.with(|log| words(log, newest && shown.job.with(|j| j.row.state == JobState::Active)))}</small>
                {move || log.with(|log| moves(shown, log))}
                {move || (size.get() && !shown.job.with_untracked(|job| job.withheld)).then(form)}
            </div>
            {move || if size.get() { lines(shown, log, newest) } else { view! { <p class="empty">{none.clone()}</p> }.into_any() }}
        </section>
    }
    .into_any()
}

fn lines(shown: Shown, log: RwSignal<LogPage>, newest: bool) -> AnyView {
    // A log that is scrolled to its end stays at its end.
    let end = newest.then_some("");
    let line = move |line: LogLine| {
        let size = line
            .size
            .map(|size| view! { <small>{format!(" … cut, {} in all", format::bytes(size))}</small> });
        let text = shown.job.with_untracked(|job| {
            let rules = job.hidden_by.get(&format!("logs.{}", line.n));
            with_rules(&format::visible(&line.text), rules)
        });
        view! { <li value=line.n.to_string()>{text}{size}</li> }
    };
    view! {
        <ol class="log" id="log" tabindex="0" data-end=end>
            <For each=move || log.with(|log| log.lines.clone()) key=|line| (line.n, line.text.len()) children=line/>
        </ol>
    }
    .into_any()
}

/// Which part of the log is shown, in words.
fn words(log: &LogPage, followed: bool) -> String {
    let total = format::count(log.total);
    if let Some(search) = &log.search {
        let found = format::count(log.lines.len() as u64);
        return format!(
            "{found} {} with “{}”; searched {} of {}",
            if log.lines.len() == 1 { "line" } else { "lines" },
            format::visible(&search.q),
            format::count(search.searched),
            format::counted(log.total, "line", "lines")
        );
    }
    match (log.lines.first(), log.lines.last()) {
        (Some(first), Some(last)) => {
            let tail = if followed { ", followed" } else { "" };
            format!(
                "lines {} to {} of {total}{tail}",
                format::count(first.n),
                format::count(last.n)
            )
        }
        _ if log.total > 0 => format!("{}, none here", format::counted(log.total, "line", "lines")),
        _ => String::new(),
    }
}

/// Links to other parts of the log.
fn moves(shown: Shown, log: &LogPage) -> AnyView {
    let link = |query: String, text: String| {
        let href = shown.place.with_value(|place| place.page(&query)) + "#t-logs";
        view! { <a href=href>{text}</a> }
    };
    let mut links = Vec::new();
    if let Some(search) = &log.search {
        if let Some(next) = search.next {
            let query = format!("find={}&line={next}", encode_segment(&search.q));
            links.push(link(query, format!("Search on from line {}", format::count(next))));
        }
        links.push(link(String::new(), "All lines".into()));
    } else {
        if let Some(first) = log.lines.first().filter(|line| line.n > 1) {
            let from = first.n.saturating_sub(STEP).max(1);
            links.push(link(format!("line={from}"), "Older".into()));
        }
        if let Some(last) = log.lines.last().filter(|line| line.n < log.total) {
            links.push(link(format!("line={}", last.n + 1), "Newer".into()));
            links.push(link(String::new(), "Newest".into()));
        }
    }
    links.collect_view().into_any()
}
