//! The form for a new operation: an action and a filter, with three lines of explanation.

use super::crumbs;
use crate::model::filter::FILTER_MAX;
use crate::model::operation::page::{NewPage, Wanted};
use crate::ui::context::base;
use leptos::prelude::*;

pub fn view(page: &NewPage) -> AnyView {
    let base = base();
    let trouble = page.trouble.clone().map(|trouble| {
        view! {
            <div class="banner" role="alert" id="filter-trouble">
                <strong>"This filter cannot be used."</strong>
                <p>{trouble}</p>
            </div>
        }
    });
    let wrong = page.trouble.is_some();
    let described = if wrong {
        "filter-trouble filter-help"
    } else {
        "filter-help"
    };
    view! {
        {crumbs(&base)}
        <header class="head"><h1>"New operation"</h1></header>
        {trouble}
        <form class="order" method="post" action=base.href("/operations/preview")>
            <fieldset>
                <legend>"What"</legend>
                {choice(page, "retry", "Retry", "failed or completed jobs run again")}
                {more(page, "retry", "with the attempt count reset")}
                {choice(page, "promote", "Promote", "delayed jobs run now")}
                {page.redrives.then(|| choice(page, "redrive", "Redrive", "waiting dead letters go back to the queue they came from"))}
                {page.cancels.then(|| choice(page, "resume_job", "Resume", "cancelled jobs wait to run again"))}
                {choice(page, "remove", "Remove", "jobs that are not running, permanently")}
                {more(page, "remove", "with their children, including those in other queues")}
                {page.archive_first.map(|first| view! {
                    <label class="more"><input type="checkbox" name="archive" value="remove" checked=first/>" archive them first, if they are completed or failed"</label>
                    {choice(page, "archive", "Archive", "completed or failed jobs move to the archive, where you can find them and run them again")}
                })}
            </fieldset>
            <fieldset>
                <legend>"Which jobs"</legend>
                <label class="sr-only" for="filter">"Filter"</label>
                <input
                    id="filter"
                    name="filter"
                    type="search"
                    class="language"
                    value=page.filter.clone()
                    maxlength=FILTER_MAX.to_string()
                    required
                    spellcheck="false"
                    autocapitalize="off"
                    autocomplete="off"
                    placeholder="state:failed queue:emails error:\"timed out\""
                    aria-invalid=wrong.to_string()
                    aria-describedby=described
                    data-search=""
                />
                {language()}
            </fieldset>
            <p class="go">
                <button class="main">"Preview"</button>
                " "
                <small>"Counts the jobs and shows some of them. Nothing is done yet."</small>
            </p>
        </form>
    }
    .into_any()
}

fn choice(page: &NewPage, word: &'static str, label: &'static str, about: &'static str) -> AnyView {
    let checked = page.wanted.word() == word;
    let class = if matches!(Wanted::read(word, false), Some(Wanted::Remove(_))) {
        "what danger"
    } else {
        "what"
    };
    view! {
        <label class=class>
            <input type="radio" name="action" value=word checked=checked/>
            " "
            <b>{label}</b>
            " "
            <small>{about}</small>
        </label>
    }
    .into_any()
}

/// The one option of an action.
fn more(page: &NewPage, word: &'static str, about: &'static str) -> AnyView {
    let checked = page.wanted.word() == word && page.wanted.is_more();
    view! { <label class="more"><input type="checkbox" name="more" value=word checked=checked/>" "{about}</label> }
        .into_any()
}

/// The filter's language in three lines.
pub fn language() -> AnyView {
    view! {
        <ul class="help" id="filter-help">
            <li>
                <code>"state:failed"</code>" and where: "<code>"queue:emails"</code>", "<code>"queue:redis/bull:mail.*"</code>", "
                <code>"system:celery"</code>". A state is required; without a queue or a system, all queues are included."
            </li>
            <li>
                "Which of them: "<code>"name:charge*"</code>" "<code>"id:order-?"</code>" "<code>"error:\"timed out\""</code>" "
                <code>"age:>2h"</code>" "<code>"attempts:>=3"</code>". A word alone is a part of the name or id."
            </li>
            <li>
                "Several states: "<code>"state:waiting,delayed"</code>". At most this many from the front of each list: "
                <code>"first:1000"</code>"."
            </li>
            <li>
                "All terms must match. "<code>"*"</code>" matches anything, "<code>"?"</code>
                " one character; put quotes around spaces and colons."
            </li>
        </ul>
    }
    .into_any()
}
