//! What the pages of workers and of schedules share.

use crate::base_path::BasePath;
use crate::model::Millis;
use crate::model::format;
use crate::model::store::Reach;
use crate::model::worker::FleetFilter;
use crate::ui::live::Live;
use leptos::prelude::*;

/// The address of a path with a filter.
pub fn address(base: &BasePath, path: &str, filter: &FleetFilter) -> String {
    match filter.query().as_str() {
        "" => base.href(path),
        query => base.href(&format!("{path}?{query}")),
    }
}

/// The breadcrumbs. One level up is the unfiltered page, while a filter is set.
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

/// A text to search for, and the page's queue. An ordinary form: it needs no JavaScript.
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

/// A store whose part of the page may be missing or old.
#[derive(Debug)]
pub struct Part<'a> {
    pub store: &'a str,
    pub reach: Reach,
    /// Since when the store has not answered, and why.
    pub since: Option<Millis>,
    pub cause: Option<&'a str>,
    /// When its part was read.
    pub as_of: Option<Millis>,
    /// Why it could not be read although the store answers.
    pub trouble: Option<&'a str>,
    /// Whether that is true of some queues only, and always.
    pub partly: bool,
    /// The subject of the page, such as workers.
    pub what: &'static str,
}

/// Why a store's part of the page is missing or old: since when, why, what the page still shows, and where to find
/// more.
pub fn store_trouble(base: &BasePath, part: &Part<'_>) -> AnyView {
    let live = expect_context::<Live>();
    let (store, what) = (format::visible(part.store), part.what);
    if part.reach == Reach::Live {
        let Some(trouble) = part.trouble else {
            return ().into_any();
        };
        let words = format!("The {what} of {store} are not known. {trouble}");
        return match part.partly {
            // It is always so: there is nothing to do about it.
            true => view! { <p class="note">{words}</p> }.into_any(),
            false => view! { <div class="banner" role="alert"><p>{words}</p></div> }.into_any(),
        };
    }
    let (word, effect) = (part.reach.word(), part.reach.effect());
    let since = part.since;
    let how_long = move || since.map_or_else(String::new, |at| format!(" for {}", format::span(live.now.get() - at)));
    let cause = part
        .cause
        .map_or_else(|| "Connecting for the first time.".to_owned(), str::to_owned);
    let shown = match part.as_of {
        Some(at) => view! {
            {format!("Its {what} are shown as they were at ")}
            {move || live.clock(at)}
            ". "
        }
        .into_any(),
        None => format!("Its {what} have not been read yet. ").into_any(),
    };
    view! {
        <div class="banner" role="alert">
            <strong>{format!("{store} has been {word}")}{how_long}</strong>
            <p>
                {cause}" "{shown}{part.reach.patience()}" "
                <a href=base.store(part.store)>"Open the store"</a>
            </p>
            <p class="effect">{effect}</p>
        </div>
    }
    .into_any()
}
