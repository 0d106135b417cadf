//! The schedules: those that do not run as planned come first, then the next to run.

use super::act;
use super::fleet::{Part, address, crumbs, filter_box, store_trouble, table};
use crate::base_path::{BasePath, schedule_act_path};
use crate::model::Millis;
use crate::model::counts::Total;
use crate::model::form::Offer;
use crate::model::format;
use crate::model::job::cut;
use crate::model::queue::QueueRef;
use crate::model::schedule::{Iteration, LastRun, MoreSchedules, Schedule, ScheduleKind, SchedulesPage};
use crate::model::state::JobState;
use crate::model::verdict::Level;
use crate::model::worker::FleetFilter;
use crate::ui::components::{Ago, Due, StateMark, level_class};
use crate::ui::context::base;
use leptos::prelude::*;
use std::collections::BTreeSet;

/// Characters of an id or a pattern in a row; the whole appears on hover.
const SHOWN: usize = 60;

#[component]
#[expect(clippy::needless_pass_by_value, reason = "a component owns what it shows")]
pub fn SchedulesView(page: SchedulesPage, offers: Vec<(QueueRef, Offer)>) -> impl IntoView {
    let base = base();
    let filter = page.filter.clone();
    let stores = page.stores.iter();
    let troubles: Vec<_> = stores
        .map(|s| {
            let part = Part {
                store: &s.store,
                reach: s.reach,
                since: s.since,
                cause: s.cause.as_deref(),
                as_of: s.as_of,
                partly: false,
                trouble: s.trouble.as_deref(),
                what: "schedules",
            };
            store_trouble(&base, &part)
        })
        .collect();
    let unknown: BTreeSet<String> = page.stores.iter().flat_map(|s| s.unknown.clone()).collect();
    let none = nothing(!filter.is_empty(), is_unread(&page), !unknown.is_empty());
    let unknown = unknown
        .into_iter()
        .map(|why| view! { <p class="note">{why}</p> })
        .collect_view();
    let mut refused: Vec<String> = offers
        .iter()
        .flat_map(|(_, offer)| offer.refused.iter().chain(&offer.lacks).cloned())
        .collect();
    refused.sort();
    refused.dedup();
    let last = offers
        .iter()
        .filter_map(|(_, offer)| Some((offer.last.as_ref()?, offer.undo.as_ref())))
        .max_by_key(|(entry, _)| entry.at);
    let said = view! {
        {last.map(|(entry, undo)| act::told(entry, None, undo))}
        {refused.into_iter().map(|why| view! { <p class="not-now">{why}</p> }).collect_view()}
    };
    let head = view! {
        <th scope="col">"Verdict"</th>
        <th scope="col">"Schedule"</th>
        <th scope="col">"Queue"</th>
        <th scope="col">"Runs"</th>
        <th scope="col">"Next run"</th>
        <th scope="col">"Last run"</th>
        <th scope="col" class="n" title="Jobs made so far, the next one included">"Made"</th>
        <th scope="col">"Template"</th>
        <th scope="col">"Actions"</th>
    };
    let rows = page.schedules.iter().map(|schedule| {
        let offer = offers.iter().find(|(queue, _)| *queue == schedule.queue);
        rows(schedule, offer.map(|(_, offer)| offer.clone()).unwrap_or_default())
    });
    let rows = rows.collect_view();
    view! {
        {crumbs(&base, "Schedules", &filter)}
        <header class="head">
            <h1>"Schedules"</h1>
            <p class="sums">{sums(&page)}</p>
        </header>
        {troubles}
        <div class="fleet-bar">
            {filter_box(&base, "/schedules", &filter, "Schedule, job name or queue")}
        </div>
        {unknown}
        {said}
        {if page.schedules.is_empty() {
            view! { <p class="empty">{none}</p> }.into_any()
        } else {
            table("schedules", "Schedules, problems first, then by next run", head.into_any(), rows.into_any())
        }}
        {more(&base, &page)}
    }
    .into_any()
}

const fn nothing(filtered: bool, unread: bool, unknown: bool) -> &'static str {
    if unread {
        "Not known: a store has not been read yet. The reason is above; Drover keeps trying."
    } else if filtered {
        "No schedule matches. Clear the filter to see all."
    } else if unknown {
        "No schedule is known. Those of other systems appear here within 15 seconds of being saved."
    } else {
        "No queue has a schedule. Job schedulers and repeatable jobs appear here within 15 seconds of being saved."
    }
}

fn sums(page: &SchedulesPage) -> String {
    let shown = page.schedules.len() as u64;
    let of = if shown == page.total {
        String::new()
    } else {
        format!(" of {}", format::count(page.total))
    };
    let plural = if page.total == 1 { "" } else { "s" };
    let trouble = match page
        .schedules
        .iter()
        .filter(|schedule| needs_attention(schedule))
        .count()
    {
        0 => String::new(),
        1 => ", 1 needs attention".to_owned(),
        n => format!(", {n} need attention"),
    };
    format!("{}{of} schedule{plural}{trouble}", Total::of(shown, is_unread(page)))
}

/// Whether there may be schedules that the board does not know.
fn is_unread(page: &SchedulesPage) -> bool {
    page.stores.iter().any(|store| store.as_of.is_none())
}

const fn needs_attention(schedule: &Schedule) -> bool {
    matches!(schedule.verdict.level, Level::Bad | Level::Watch)
}

/// A schedule, and below it what is wrong.
fn rows(schedule: &Schedule, offer: Offer) -> AnyView {
    let base = base();
    let queue = &schedule.queue;
    let (id, kind) = (format::visible(&schedule.id), schedule.kind.label());
    let whole = format!("{kind} {id}");
    // A repeatable's id is all its options in a row: the name of its jobs says more. A scheduler's job name is shown
    // only where it differs from the id.
    let (shown, named) = match (schedule.kind, schedule.name.as_deref().map(format::visible)) {
        (ScheduleKind::Repeatable, Some(name)) => (name, None),
        (_, name) => {
            let named = name.filter(|name| *name != id).map(|name| cut(&name, SHOWN));
            (id, named)
        }
    };
    let pattern = schedule
        .pattern
        .as_deref()
        .map(|pattern| format!("{} ", format::visible(pattern)));
    let pattern = pattern.unwrap_or_default() + kind;
    let (level, reason) = (schedule.verdict.level, schedule.verdict.reason.clone());
    let row = format!("{queue} {}", schedule.id);
    let why = (!reason.is_empty()).then(|| {
        let why = format!("{row} why");
        view! { <tr class="why" data-id=why><td></td><td colspan="8" class:sentence=needs_attention(schedule)>{reason}</td></tr> }
    });
    view! {
        <tr class="crew" data-id=row class:loud=level == Level::Bad>
            <td class="v"><span class=level_class(level)>{level.word()}</span></td>
            <th scope="row" class="name" title=whole>{cut(&shown, SHOWN)}" "<small>{named}</small></th>
            <td class="of" data-l="queue">
                <a href=base.queue(queue) data-row="">{format::visible(&schedule.queue_name)}</a>" "<small>{queue.store.clone()}</small>
            </td>
            <td class="when" title=pattern>{format::visible(&schedule.words)}" "<small>{ends(schedule)}</small></td>
            <td class="next" data-l="next">{next(schedule, &base, queue)}</td>
            <td class="last" data-l="last">{last(&schedule.last, &base, queue)}</td>
            <td class="n" data-l="made">{made(schedule)}</td>
            <td class="template">{template(schedule)}</td>
            <td class="can">{actions(&base, schedule, offer)}</td>
        </tr>
        {why}
    }
    .into_any()
}

/// The actions on it; why none is possible is said once, above the table.
fn actions(base: &BasePath, schedule: &Schedule, mut offer: Offer) -> AnyView {
    offer.refused.clear();
    offer.lacks = None;
    // A repeatable's next job has the only copy of its data: without that job there is nothing to run.
    if schedule.kind == ScheduleKind::Repeatable && schedule.job.is_none() {
        offer.safe.retain(|offered| offered.word != "run");
    }
    let to = base.href(&schedule_act_path(&schedule.queue, &schedule.id));
    act::buttons(&offer, &to, &schedule.id)
}

fn ends(schedule: &Schedule) -> String {
    let mut parts = Vec::new();
    if let Some(start) = schedule.start {
        parts.push(format!("from {}", short(start)));
    }
    if let Some(end) = schedule.end {
        parts.push(format!("until {}", short(end)));
    }
    parts.join(", ")
}

/// A moment to the second.
fn short(at: Millis) -> String {
    let moment = format::moment(at);
    match moment.split_once('.') {
        Some((seconds, _)) => format!("{seconds} UTC"),
        None => moment,
    }
}

fn made(schedule: &Schedule) -> String {
    match (schedule.made, schedule.limit) {
        (made, Some(limit)) => format!("{} of {}", format::count_or_unknown(made), format::count(limit)),
        (made, None) => format::count_or_unknown(made),
    }
}

fn next(schedule: &Schedule, base: &BasePath, queue: &QueueRef) -> AnyView {
    let due = schedule.due;
    let Some(job) = &schedule.job else {
        return view! { <span class="dim">"none"</span> <small>{format!("planned for {}", short(due))}</small> }
            .into_any();
    };
    let href = base.job(queue, &job.id);
    match job.state {
        Some(state @ (JobState::Active | JobState::Completed | JobState::Failed)) => view! {
            <a href=href><StateMark state=state/></a>
            <small>{format!("planned for {}", short(due))}</small>
        }
        .into_any(),
        state => view! {
            <a href=href title=format!("The next job, {}", state.map_or("not found in its lists", |state| state.label()))>
                <Due at=Some(due)/>
            </a>
            <small>{short(due)}</small>
        }
        .into_any(),
    }
}

fn last(last: &LastRun, base: &BasePath, queue: &QueueRef) -> AnyView {
    match last {
        LastRun::None => view! { <span class="dim">"none yet"</span> }.into_any(),
        LastRun::Kept(Iteration {
            id,
            at,
            state,
            begun,
            finished,
        }) => {
            let moment = finished.or(*begun).unwrap_or(*at);
            let state = match state {
                Some(state) => view! { <StateMark state=*state/> }.into_any(),
                None => view! { "not started" }.into_any(),
            };
            view! { <a href=base.job(queue, id)>{state}</a>" "<small><Ago at=Some(moment)/></small> }.into_any()
        }
        LastRun::Removed { about } => {
            let about = about.map(|at| view! { "about "<Ago at=Some(at)/>"; " });
            view! {
                <span class="dim" title="Retention removed the job after it finished. The time is when the next job was created: when that run started, unless the schedule was saved again since.">
                    {about}"not known: removed by retention"
                </span>
            }
            .into_any()
        }
    }
}

fn template(schedule: &Schedule) -> AnyView {
    match &schedule.data {
        None => view! { <span class="dim">"no data"</span> }.into_any(),
        Some(data) => match &data.text {
            Some(text) => {
                let text = format::visible(text);
                let title = text.clone();
                view! { <code title=title>{text}</code> }.into_any()
            }
            None => view! { <span class="dim">{format::bytes(data.size)}</span> }.into_any(),
        },
    }
}

/// The schedules that the page does not list.
fn more(base: &BasePath, page: &SchedulesPage) -> AnyView {
    let unlisted = (page.unlisted > 0).then(|| {
        let count = format::count(page.unlisted);
        view! { <p class="note">{format!("{count} more match; they run later. Filter to see them.")}</p> }
    });
    let unread = (!page.more.is_empty()).then(|| {
        let queue = |more: &MoreSchedules| {
            let filter = FleetFilter {
                q: String::new(),
                queue: Some(more.queue.clone()),
            };
            view! {
                <li>
                    <a href=address(base, "/schedules", &filter)>{format::visible(&more.name)}</a>
                    {format!(": {} more", format::count(more.unread))}
                </li>
            }
        };
        let queues = page.more.iter().take(20).map(queue).collect_view();
        let (total, read) = (format::count(page.total), format::count(page.read));
        view! {
            <div class="note">
                <p>{format!("Of {total} schedules the {read} that run next were read. Not read:")}</p>
                <ul>{queues}</ul>
            </div>
        }
    });
    view! { {unlisted} {unread} }.into_any()
}
