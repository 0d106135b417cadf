//! What the pages of workers and of schedules share.

use crate::base_path::BasePath;
use crate::model::format;
use crate::model::store::Reach;
use crate::model::worker::FleetFilter;
use leptos::prelude::*;

/// A path with a filter behind it.
pub fn address(base: &BasePath, path: &str, filter: &FleetFilter) -> String {
    match filter.query().as_str() {
        "" => base.href(path),
        query => base.href(&format!("{path}?{query}")),
    }
}

/// Where the page stands. One level up is all of it, as long as a filter hides some.
pub fn crumbs(base: &BasePath, here: &'static str, filter: &FleetFilter) -> AnyView {
    let up = filter.is_empty().then_some("");
    view! {
        <nav class="crumbs" aria-label="Breadcrumbs">
            <a href=base.href("/") data-up=up>"All queues"</a>
            <span>{here}</span>
        </nav>
    }
    .into_any()
}

/// The table of the page.
pub fn table(class: &'static str, caption: &'static str, head: AnyView, rows: AnyView) -> AnyView {
    view! {
        <div class="scroll">
            <table class=format!("fleet {class}") id="fleet">
                <caption class="sr-only">{caption}</caption>
                <thead><tr>{head}</tr></thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
    }
    .into_any()
}

/// Text to look for, and the queue the page is about. An ordinary form: it needs no JavaScript.
pub fn filter_box(base: &BasePath, path: &'static str, filter: &FleetFilter, hint: &'static str) -> AnyView {
    let queue = filter.queue.as_ref().map(ToString::to_string);
    let shown = queue.clone().map(|queue| {
        view! {
            <span class="only">
                "Only the queue "<b>{format::visible(&queue)}</b>" "
                <a href=base.href(path) data-up="">"show all"</a>
            </span>
        }
    });
    let clear = (!filter.q.is_empty()).then(|| {
        let without = FleetFilter {
            q: String::new(),
            ..filter.clone()
        };
        view! { <a href=address(base, path, &without) data-up="">"clear"</a> }
    });
    view! {
        <form class="fleet-filter" method="get" action=base.href(path) role="search">
            {queue.map(|queue| view! { <input type="hidden" name="queue" value=queue/> })}
            <label class="sr-only" for="q">"Filter"</label>
            <input id="q" name="q" type="search" placeholder=hint maxlength="200" value=filter.q.clone() data-search=""/>
            <button>"Filter"</button>
            {clear}
            {shown}
        </form>
    }
    .into_any()
}

/// Why a store's part of the page is missing or old.
pub fn store_trouble(store: &str, reach: Reach, trouble: Option<&str>, what: &'static str) -> AnyView {
    let words = match (reach, trouble) {
        (Reach::Live, None) => return ().into_any(),
        (Reach::Live, Some(trouble)) => format!("The {what} of {store} are not known. {trouble}"),
        (reach, _) => format!(
            "{store} is {}: its {what} are shown as they were last read, or not at all. Drover keeps trying.",
            reach.word()
        ),
    };
    view! { <div class="banner" role="alert"><p>{words}</p></div> }.into_any()
}
