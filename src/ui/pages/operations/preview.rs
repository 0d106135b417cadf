//! What an operation would do: how many jobs, which, which not and why, within which bounds. One button.

use super::{crumbs, heading, jobs, list_of, new_of, queue_link};
use crate::base_path::BasePath;
use crate::model::action::catalogue::Harm;
use crate::model::format;
use crate::model::operation::page::{PreviewPage, Wanted};
use crate::model::operation::{Canary, Preview, SELECTED_MAX, Sample, Share};
use crate::ui::components::Ago;
use crate::ui::context::base;
use leptos::prelude::*;

/// How long a preview is valid, in milliseconds.
const GOOD_FOR: i64 = 600_000;

pub fn view(page: &PreviewPage) -> AnyView {
    let base = base();
    let preview = &page.preview;
    let danger = preview.action.kind().at_worst().harm == Harm::Final;
    view! {
        {crumbs(&base)}
        <header class="head">
            <h1>{if preview.selected == 0 { "Nothing to do".into() } else { heading(&preview.sentence) }}</h1>
        </header>
        <p class="lead">
            <b class="count">{count(preview)}</b>
            " "
            {(preview.looked_at > preview.selected)
                .then(|| format!("{} checked. ", format::count(preview.looked_at)))}
            "Nothing has been done yet."
        </p>
        {(preview.done_again > 0).then(|| view! { <p class="asked unknown" role="note">{done_again(preview)}</p> })}
        {preview.notes.iter().map(|note| view! { <p class="asked" role="note">{note.clone()}</p> }).collect_view()}
        {way_back(&base, preview)}
        <div class="preview">
            <div class="which">
                {shares("By queue", &preview.by_queue, preview.selected, |queue| queue_link(&base, queue))}
                {names(&preview.by_name, preview.selected)}
                {skipped(&preview.skipped)}
            </div>
            {(preview.selected > 0).then(|| start(&base, page, danger))}
            {samples(&base, preview)}
        </div>
    }
    .into_any()
}

/// How many: exactly, or at least.
fn count(preview: &Preview) -> String {
    match (preview.selected, preview.capped) {
        (0, _) if preview.skipped.is_empty() => "No job matches.".into(),
        (0, _) => "No matching job can be processed.".into(),
        (n, false) => format!("Exactly {}.", jobs(n)),
        (n, true) => format!(
            "At least {}: more match than the {} that one operation can process. Start another one for the rest.",
            jobs(n),
            format::count(SELECTED_MAX)
        ),
    }
}

/// The warning that completed work would be done again.
fn done_again(preview: &Preview) -> String {
    let (of, whose) = match preview.done_again {
        1 if preview.selected == 1 => ("It".to_owned(), "Its"),
        all if all == preview.selected => ("They".to_owned(), "Their"),
        some => (format!("{} of them", format::count(some)), "Their"),
    };
    format!("{of} completed. {whose} side effects, such as e-mails and payments, will happen again.")
}

fn way_back(base: &BasePath, preview: &Preview) -> AnyView {
    let ticked = preview.filter.states.is_empty() && !preview.filter.chooses_queues();
    let filter = preview.filter.to_string();
    let change = (!ticked)
        .then(|| Wanted::of(&preview.action))
        .flatten()
        .map(|wanted| view! { <a href=base.href(&new_of(wanted, &preview.filter))>"Change the filter"</a> });
    let list = list_of(base, &preview.filter).or_else(|| match preview.by_queue.as_slice() {
        [(queue, _)] => {
            let state = preview.filter.states.first().map(|state| format!("?state={state}"));
            let path = crate::base_path::queue_path(queue);
            Some(base.href(&format!("{path}{}", state.unwrap_or_default())))
        }
        _ => None,
    });
    view! {
        <p class="ways">
            {if ticked {
                view! { <span>"The selected jobs"</span> }.into_any()
            } else {
                view! { <code class="language">{format::visible(&filter)}</code> }.into_any()
            }}
            {change}
            {list.map(|href| view! { <a href=href data-up="">"Back to the list"</a> })}
        </p>
    }
    .into_any()
}

/// Jobs by something they have in common, with the share of all as a bar.
fn shares<T>(title: &'static str, of: &[(T, u64)], all: u64, cell: impl Fn(&T) -> AnyView) -> Option<AnyView> {
    if of.is_empty() {
        return None;
    }
    let rest = all.saturating_sub(of.iter().map(|(_, n)| n).sum());
    let rows = of
        .iter()
        .map(|(what, n)| {
            view! {
                <tr>
                    <th scope="row">{cell(what)}</th>
                    <td class="n">{format::count(*n)}</td>
                    <td class="share"><progress max=all.max(1).to_string() value=n.to_string() aria-hidden="true"></progress></td>
                </tr>
            }
        })
        .collect_view();
    let others = (rest > 0).then(|| view! { <tr class="others"><th scope="row">"others"</th><td class="n">{format::count(rest)}</td><td></td></tr> });
    Some(
        view! {
            <section>
                <h2>{title}</h2>
                <table class="plain shares"><tbody>{rows}{others}</tbody></table>
            </section>
        }
        .into_any(),
    )
}

fn names(names: &[Share], all: u64) -> Option<AnyView> {
    let pairs: Vec<(String, u64)> = names.iter().map(|share| (share.of.clone(), share.jobs)).collect();
    let name = |name: &String| {
        if name.is_empty() {
            view! { <small>"without a name"</small> }.into_any()
        } else {
            format::visible(name).into_any()
        }
    };
    shares("By name", &pairs, all, name)
}

/// The jobs that match and are left out.
fn skipped(skipped: &[Share]) -> Option<AnyView> {
    let lines = skipped
        .iter()
        .map(|share| view! { <li><b>{format::count(share.jobs)}</b>" "{format::visible(&share.of)}</li> })
        .collect_view();
    (!skipped.is_empty())
        .then(|| view! { <section><h2>"Left out"</h2><ul class="left-out">{lines}</ul></section> }.into_any())
}

fn samples(base: &BasePath, preview: &Preview) -> Option<AnyView> {
    if preview.samples.is_empty() {
        return None;
    }
    let any = |has: fn(&Sample) -> bool| preview.samples.iter().any(has);
    // Jobs that a user ticked are known by their ids: nothing else of them was read.
    let columns = Columns {
        name: any(|sample| !sample.name.is_empty()),
        queue: preview.by_queue.len() != 1,
        since: any(|sample| sample.since.is_some()),
        error: any(|sample| sample.error.is_some()),
    };
    let rows = preview
        .samples
        .iter()
        .map(|sample| sample_row(base, sample, columns))
        .collect_view();
    let title = if preview.samples.len() as u64 == preview.selected {
        "The jobs".to_owned()
    } else {
        format!("{} of them", preview.samples.len())
    };
    Some(
        view! {
            <section class="span" aria-labelledby="t-samples">
                <h2 id="t-samples">{title}</h2>
                <table class="jobs-few">
                    <thead>
                        <tr>
                            <th scope="col">"Job"</th>
                            {columns.name.then(|| view! { <th scope="col">"Name"</th> })}
                            {columns.queue.then(|| view! { <th scope="col">"Queue"</th> })}
                            {columns.since.then(|| view! { <th scope="col" class="when">"Since"</th> })}
                            {columns.error.then(|| view! { <th scope="col">"Error"</th> })}
                        </tr>
                    </thead>
                    <tbody>{rows}</tbody>
                </table>
            </section>
        }
        .into_any(),
    )
}

/// The columns of the examples, beside the id: those that have something to show.
#[derive(Clone, Copy)]
struct Columns {
    name: bool,
    queue: bool,
    since: bool,
    error: bool,
}

fn sample_row(base: &BasePath, sample: &Sample, columns: Columns) -> AnyView {
    let since = sample.since;
    let error = sample.error.as_deref().map(format::visible);
    view! {
        <tr>
            <th scope="row" class="id"><a href=base.job(&sample.queue, &sample.id) data-row="">{format::visible(&sample.id)}</a></th>
            {columns.name.then(|| view! { <td>{format::visible(&sample.name)}</td> })}
            {columns.queue.then(|| view! { <td>{queue_link(base, &sample.queue)}</td> })}
            {columns.since.then(|| view! { <td class="when"><Ago at=Signal::derive(move || since)/></td> })}
            {columns.error.then(|| view! { <td class="error">{error}</td> })}
        </tr>
    }
    .into_any()
}

/// The bounds, the reason, and the button.
fn start(base: &BasePath, page: &PreviewPage, danger: bool) -> AnyView {
    let preview = &page.preview;
    let verb = preview.action.kind().row().many;
    let (class, button) = if danger {
        (
            "order start destroys",
            format!("{verb} {} permanently", jobs(preview.selected)),
        )
    } else {
        ("order start", format!("{verb} {}", jobs(preview.selected)))
    };
    let typed = preview.typed.as_ref().map(|word| {
        view! {
            <label class="typed">
                <span>"Type "<b>{format::visible(word)}</b>" to confirm"</span>
                <input name="typed" required autocomplete="off" autocapitalize="off" spellcheck="false" pattern=literal(word)/>
            </label>
        }
    });
    let rate = page.bounds.rate.map(|rate| rate.to_string());
    let watches = matches!(preview.action, crate::model::action::JobAction::Retry { .. });
    let again = Wanted::of(&preview.action)
        .filter(|_| !preview.filter.states.is_empty())
        .map(|wanted| new_of(wanted, &preview.filter));
    view! {
        <form class=class method="post" action=base.href("/operations/start") aria-label="Start">
            <input type="hidden" name="token" value=preview.token.clone()/>
            {again.map(|again| view! { <input type="hidden" name="back" value=again/> })}
            <fieldset>
                <legend>"Limits"</legend>
                <label>
                    "At most "
                    <input name="rate" type="number" min="1" max="1000000" inputmode="numeric" value=rate placeholder="no limit"/>
                    " jobs a second"
                </label>
                <small>"Blank: as fast as the store allows without slowing other clients."</small>
                {watches.then(|| canary(page.bounds.canary))}
            </fieldset>
            <label class="reason">
                <span>"Why "<small>"is kept with the operation"</small></span>
                <input name="reason" maxlength="500" value=page.reason.clone() placeholder="the mail provider is back"/>
            </label>
            {typed}
            <p class="go">
                <button class="main">{button}</button>
            </p>
            <p>
                <small>
                    "Applies to the jobs counted here; any that changed since "
                    <span data-moment=preview.at.to_string()>{format::moment(preview.at)}</span>
                    {format!(
                        " are skipped. The preview expires at {}.",
                        format::clock(preview.at + GOOD_FOR)
                    )}
                </small>
            </p>
        </form>
    }
    .into_any()
}

fn canary(canary: Option<Canary>) -> AnyView {
    let shown = canary.unwrap_or_default();
    view! {
        <label class="canary">
            <input type="checkbox" name="canary" value="1" checked=canary.is_some()/>
            " Canary: try a few jobs first"
        </label>
        <p class="canary-bounds">
            <label>"The first "<input name="canary_jobs" type="number" min="1" max="1000" value=shown.jobs.to_string()/>" jobs,"</label>
            " "
            <label>"watched for up to "<input name="canary_watch" type="number" min="1" max="3600" value=shown.watch_s.to_string()/>" seconds;"</label>
            " "
            <label>"stop when more than "<input name="canary_stop" type="number" min="0" max="100" value=shown.stop_percent.to_string()/>" % failed again"</label>
        </p>
    }
    .into_any()
}

/// A pattern that only this text matches.
pub(super) fn literal(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() * 2);
    for c in text.chars() {
        // Escapes only the characters with a meaning: a browser ignores a pattern that escapes anything else.
        if "\\^$.*+?()[]{}|/".contains(c) {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}
