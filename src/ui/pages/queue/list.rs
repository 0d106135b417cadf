//! The jobs of one state, a line each.

use super::Asked;
use super::jobs::{Jobs, Line};
use crate::base_path::{TO, queue_path};
use crate::model::Millis;
use crate::model::format;
use crate::model::job::JobRow;
use crate::model::page::{JobPageRows, Order, PAGE_SIZE};
use crate::model::state::JobState;
use crate::model::store::{Reach, StoreSummary};
use crate::model::tick;
use crate::ui::components::{Ago, Due, ProgressView, state_class, state_mark};
use crate::ui::live::Live;
use leptos::prelude::*;

#[component]
pub fn List(
    jobs: Jobs,
    store: RwSignal<StoreSummary>,
    tools: String,
    /// Whether the system lists jobs of the state at all.
    listed: bool,
) -> impl IntoView {
    let live = expect_context::<Live>();
    let state = jobs.state;
    let refresh = jobs.href(&jobs.query(jobs.order, None));
    let other = match jobs.order {
        Order::Next => (Order::Newest, "newest first"),
        Order::Newest => (
            Order::Next,
            if state == JobState::Completed || state == JobState::Failed {
                "oldest first"
            } else {
                "next first"
            },
        ),
    };
    let turn = jobs.href(&jobs.query(other.0, None));
    let next = move || {
        jobs.page.with(|page| {
            let page = page.as_ref().ok()?;
            let query = jobs.query(jobs.order, Some(page.next.as_ref()?));
            let label = if page.searched.is_some() {
                "Search on"
            } else {
                "Next page"
            };
            Some(view! { <a class="button" rel="next" href=jobs.href(&query)>{label}</a> })
        })
    };
    let first = (!jobs.first_page).then(|| view! { <a class="button" href=refresh.clone()>"First page"</a> });
    let range = move || {
        jobs.page.with(|page| match page {
            Err(_) => String::new(),
            Ok(JobPageRows {
                searched: Some(searched),
                total,
                rows,
                ..
            }) => format!(
                "{} of {} {} searched: {}{} match",
                format::count(*searched),
                format::count((*total).max(*searched)),
                state.label(),
                if jobs.first_page { "" } else { "here " },
                rows.len()
            ),
            Ok(page) if page.rows.is_empty() => String::new(),
            Ok(page) => {
                let from = page.offset.unwrap_or(0) + 1;
                let to = from + page.rows.len() as u64 - 1;
                format!(
                    "{}–{} of {} {}",
                    format::count(from),
                    format::count(to),
                    format::count(page.total.max(to)),
                    state.label()
                )
            }
        })
    };
    let read_at = move || jobs.page.with(|page| page.as_ref().ok().map(|page| page.as_of));
    view! {
        <div class="list-head" class:none=!listed>
            <p>
                <b>{range}</b>
                <small>{move || read_at().map(|at| format!("read {} ago", format::span(live.now.get() - at)))}</small>
            </p>
            <Filter jobs/>
            <p class="actions">
                <a
                    class="news"
                    href=refresh.clone()
                    data-refresh=""
                    class:none=move || jobs.news.with(|news| news.text().is_none())
                    on:click=move |event| if jobs.show_waiting() { event.prevent_default() }
                >
                    {move || jobs.news.with(|news| news.text())}
                </a>
                <a href=turn>{other.1}</a>
                {first}
                {next}
            </p>
        </div>
        // The browser keeps the markup that the server rendered there.
        <div inner_html=tools></div>
        {move || jobs.page.with(|page| match page {
            Err(why) => Some(view! { <p class="empty">{format!("The jobs cannot be shown: {why}")}</p> }.into_any()),
            Ok(page) if page.rows.is_empty() => Some(view! { <p class="empty">{empty_text(state, page)}</p> }.into_any()),
            Ok(_) => None,
        })}
        <div class="scroll">
            <table
                class="jobs"
                id="jobs"
                class:none=move || jobs.lines.with(Vec::is_empty)
                class:no-when=without(jobs, |row, list| when_of(row, list).is_some())
                class:no-span=without(jobs, has_duration)
                class:no-made=without(jobs, |row, _| row.attempts.is_some())
            >
                <caption class="sr-only">{format!("Jobs {}", state.label())}</caption>
                <thead>
                    <tr>
                        <th scope="col">"Job"</th>
                        <th scope="col">"Name"</th>
                        <th scope="col" class="n">{when_title(state)}</th>
                        <th scope="col" class="n">{duration_title(state)}</th>
                        <th scope="col" class="n">"Attempts"</th>
                        <th scope="col">{detail_title(state)}</th>
                        <th scope="col" class="n wide">"Data"</th>
                    </tr>
                </thead>
                <tbody>
                    <For each=move || jobs.lines.get() key=|line| line.id.clone() let:line>
                        <Row jobs line store/>
                    </For>
                </tbody>
            </table>
        </div>
    }
}

/// The filter of the list.
#[component]
fn Filter(jobs: Jobs) -> impl IntoView {
    let path = jobs.key.with_value(queue_path);
    let action = jobs.base.with_value(|base| base.href(&path));
    let text = jobs.text.get_value();
    let clear = text.as_ref().map(|_| {
        let all = Asked {
            state: jobs.state,
            order: jobs.order,
            limit: PAGE_SIZE,
            text: None,
        };
        view! { <a href=jobs.href(&all.query(None))>"all of them"</a> }
    });
    // A form that is sent by GET replaces the query of its address.
    let (action, to) = match action.split_once('?') {
        Some((action, _)) => (action.to_owned(), Some(path)),
        None => (action, None),
    };
    let order = (jobs.order != Order::of(jobs.state)).then(|| jobs.order.as_str());
    view! {
        <form class="name-filter" action=action role="search">
            {to.map(|to| view! { <input type="hidden" name=TO value=to/> })}
            <input type="hidden" name="state" value=jobs.state.as_str()/>
            {order.map(|order| view! { <input type="hidden" name="order" value=order/> })}
            <label for="q">"Find"</label>
            <input
                id="q"
                name="q"
                type="search"
                value=text
                maxlength="1000"
                placeholder="name, id, error:… age:>2h"
                title="A part of a name or id; or name:charge* id:order-? error:\"timed out\" age:>2h attempts:>=3"
                data-search=""
            />
            <button>"Filter"</button>
            {clear}
        </form>
    }
}

fn empty_text(state: JobState, page: &JobPageRows) -> String {
    if let Some(searched) = page.searched {
        let more = if page.next.is_some() {
            " Search on to check more."
        } else {
            ""
        };
        return format!(
            "None of the {} searched has that in its name or id.{more}",
            format::counted(searched, "job", "jobs")
        );
    }
    if page.total > 0 {
        return "This page is now empty. Go to the first page to see the remaining jobs.".into();
    }
    match state {
        JobState::Waiting => "There are no waiting jobs: workers have taken everything that is ready.".into(),
        JobState::Active => "There are no active jobs now.".into(),
        JobState::Failed => "There are no failed jobs now.".into(),
        JobState::Completed => "There are no completed jobs now. The queue may remove jobs as they complete.".into(),
        JobState::Delayed => "There are no delayed jobs now: none is scheduled or backing off.".into(),
        JobState::Prioritized => "There are no prioritized jobs now.".into(),
        JobState::WaitingChildren => "There are no parents waiting for children.".into(),
        JobState::Cancelled => "There are no cancelled jobs now.".into(),
    }
}

/// Attempts made, the running one included, of those allowed; nothing where that is not known.
fn attempts(row: &JobRow, list: JobState) -> String {
    let running = u32::from(list == JobState::Active && row.state == JobState::Active);
    let Some(made) = row.attempts.map(|made| made.saturating_add(running)) else {
        return String::new();
    };
    row.attempts_max
        .map_or_else(|| made.to_string(), |most| format!("{made} / {most}"))
}

/// Whether a column is empty in all rows.
fn without(jobs: Jobs, holds: fn(&JobRow, JobState) -> bool) -> Memo<bool> {
    Memo::new(move |_| {
        let held = |line: &Line| line.row.with(|row| holds(row, jobs.state));
        jobs.lines.with(|lines| !lines.iter().any(held))
    })
}

/// The moment that a list shows of its jobs.
const fn when_of(row: &JobRow, list: JobState) -> Option<Millis> {
    match list {
        JobState::Delayed => row.due,
        JobState::Active => row.started,
        JobState::Completed | JobState::Failed | JobState::Cancelled => row.finished,
        _ => row.created,
    }
}

/// Whether a job has what the column after that shows: how long it ran. That of priorities is always there.
const fn has_duration(row: &JobRow, list: JobState) -> bool {
    match list {
        JobState::Active | JobState::Completed | JobState::Failed | JobState::Cancelled => row.started.is_some(),
        _ => true,
    }
}

const fn when_title(state: JobState) -> &'static str {
    match state {
        JobState::Active => "Started",
        JobState::Delayed => "Due",
        JobState::Completed | JobState::Failed => "Finished",
        JobState::Cancelled => "Cancelled",
        _ => "Created",
    }
}

const fn duration_title(state: JobState) -> &'static str {
    match state {
        JobState::Completed | JobState::Failed => "Ran",
        JobState::Active => "Running",
        _ => "Priority",
    }
}

const fn detail_title(state: JobState) -> &'static str {
    match state {
        JobState::Failed => "Error",
        JobState::Active => "Progress",
        _ => "Worker, progress or last error",
    }
}

#[component]
fn Row(jobs: Jobs, line: Line, store: RwSignal<StoreSummary>) -> impl IntoView {
    let live = expect_context::<Live>();
    let row = line.row;
    let list = jobs.state;
    let href = jobs
        .base
        .with_value(|base| jobs.key.with_value(|key| base.job(key, &line.id)));
    let id = format::visible(&line.id);
    let duration = move || {
        row.with(|row| match list {
            JobState::Prioritized | JobState::Waiting | JobState::Delayed | JobState::WaitingChildren => {
                match row.priority {
                    0 => String::new(),
                    priority => priority.to_string(),
                }
            }
            JobState::Active if row.state == JobState::Active => row
                .started
                .map_or_else(String::new, |at| format::span(live.now.get().saturating_sub(at))),
            JobState::Active | JobState::Completed | JobState::Failed | JobState::Cancelled => row
                .started
                .zip(row.finished)
                .map_or_else(String::new, |(from, to)| format::duration(to.saturating_sub(from))),
        })
    };
    let at = Signal::derive(move || row.with(|r| when_of(r, list)));
    let when = move || match list {
        JobState::Delayed => view! { <Due at/> }.into_any(),
        _ => view! { <Ago at/> }.into_any(),
    };
    let moved = move || row.with(|row| row.problem.is_some() || row.state != list);
    view! {
        <tr class:moved=moved class:stale=move || store.with(|s| s.reach != Reach::Live)>
            <th scope="row" class="id">
                <input
                    type="checkbox"
                    name=tick::FIELD
                    form=tick::FORM
                    value=move || row.with(tick::write)
                    hidden=move || list == JobState::Active || row.with(|row| row.put_away)
                    aria-label=format!("Select {id}")
                />
                <a href=href data-row="" title=id.clone()>{id.clone()}</a>
            </th>
            <td class="name">{move || row.with(|r| format::visible(&r.name))}</td>
            <td class="n" data-l=when_title(list)>{when()}</td>
            <td class="n" data-l=move || (!duration().is_empty()).then(|| duration_title(list))>{duration}</td>
            <td class="n" data-l="Attempts">{move || row.with(|r| attempts(r, list))}</td>
            <td class="detail">
                {move || row.with(|r| (r.state != list).then(|| view! { <span class=state_class(r.state)><i aria-hidden="true">{state_mark(r.state)}</i>{r.state.label()}</span> }))}
                {move || row.with(|r| (r.locked == Some(false) && r.state == list).then(|| view! { <span class="problem" title="No worker holds its lock: its worker is lost, or is picking it up right now">"lost by its worker"</span> }))}
                {move || row.with(|r| r.put_away.then(|| view! { <span class="put-away">"in pg-boss's archive"</span> }))}
                {move || row.with(|r| r.problem.clone().map(|text| view! { <span class="problem">{text}</span> }))}
                <ProgressView progress=Signal::derive(move || row.with(|r| (list != JobState::Failed).then(|| r.progress.clone()).flatten()))/>
                {move || row.with(|r| r.worker.as_ref().filter(|_| list == JobState::Active).map(|w| view! { <span class="worker">{format::visible(w)}</span> }))}
                {move || row.with(|r| r.error.clone().filter(|_| list != JobState::Completed).map(|e| {
                    let e = format::visible(&e);
                    view! { <span class="error" title=e.clone()>{e.clone()}</span> }
                }))}
            </td>
            <td class="n wide">{move || row.with(|r| format::bytes(r.data_size))}</td>
        </tr>
    }
}
