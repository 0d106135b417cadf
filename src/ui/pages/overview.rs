//! All queues on one screen: trouble first, then one line each.
//!
//! [`lines`] keeps the lines up to date and in order, [`mod@row`] shows one, [`tally`] adds them up, [`bar`] is filter,
//! order and groups.

use crate::model::event::Topic;
use crate::model::format;
use crate::model::look::{LEVELS, Look};
use crate::model::page::Overview;
use crate::model::state::JobState;
use crate::model::store::{Reach, StoreSummary};
use crate::model::verdict::{Level, STUCK};
use crate::ui::components::{LevelMark, StoreBanner, level_class};
use crate::ui::context::base;
use crate::ui::live::{self, Live};
use crate::ui::pages::queue::parents;
use bar::{Bar, Looks};
use leptos::prelude::*;
use lines::{Item, Lines, ROWS};
use row::{StoreClock, row};
use std::collections::HashMap;

pub mod bar;
pub mod lines;
pub mod row;
pub mod tally;

/// The form that all pin buttons belong to.
const PINS: &str = "pins";

#[component]
pub fn OverviewView(overview: Overview, after: String) -> impl IntoView {
    let live = expect_context::<Live>();
    let lines = Lines::new(overview);
    let looks = Looks::new(lines);
    let topic = Topic::Overview.to_string();
    live::follow(
        live,
        &topic,
        after,
        Box::new(move |frame, snapshot| {
            lines.take(frame, snapshot);
            lines.stores.with_untracked(|stores| live.follow_stores(stores));
        }),
    );
    lines.grow();
    live::on_move(move || lines.look_soon(), move || lines.show_all());
    let follow = move |event: leptos::ev::MouseEvent| {
        if let Some(href) = live::clicked_link(&event, "a[data-look]") {
            looks.follow(&href);
        }
    };
    view! {
        <h1 class="sr-only">"All queues"</h1>
        <div on:click=follow>
            <Summary looks/>
            <Stores stores=lines.stores/>
            <Attention looks/>
            {move || (lines.total.get() == 0).then(|| view! { <Empty stores=lines.stores/> })}
            <Bar looks/>
            {move || (lines.total.get() > 0 && lines.kept.get() == 0).then(|| view! { <p class="empty">"No queue matches this filter."</p> })}
            {lines.part.map(|part| view! { <p class="note left-out">{left_out(part, lines)}</p> })}
            <Table looks/>
            {lines.part.map(|part| view! { <Pages looks part/> })}
        </div>
    }
}

/// The rows of one page of a large board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The number of the page, from 1, and how many pages there are.
    pub page: usize,
    pub pages: usize,
    /// How many rows the page shows, and how many come before them.
    pub rows: usize,
    pub before: usize,
    /// The rows of all pages.
    pub of: usize,
}

/// Which rows a page of a large board shows.
fn left_out(part: Part, lines: Lines) -> String {
    let count = |n: usize| format::count(n as u64);
    let all = format!(
        "Verdicts and sums are those of all {} queues.",
        count(lines.total.get_untracked())
    );
    match part.of {
        0 => all,
        of if of == part.rows => format!("The filter and the order are applied to the whole board. {all}"),
        of => format!(
            "Rows {} to {} of {}; the others are on further pages. {all}",
            count(part.before + 1),
            count(part.before + part.rows),
            count(of)
        ),
    }
}

/// The ways to the other pages of a large board.
#[component]
fn Pages(looks: Looks, part: Part) -> impl IntoView {
    let look = looks.lines.look.get_untracked();
    let to = |page: usize| looks.page(&look, page);
    let previous = (part.page > 1)
        .then(|| view! { <a class="button" href=to(part.page - 1) data-previous="" rel="prev">"‹ Previous"</a> });
    let next = (part.page < part.pages)
        .then(|| view! { <a class="button" href=to(part.page + 1) data-next="" rel="next">"Next ›"</a> });
    view! {
        <nav class="pager" aria-label="Pages">
            {previous}
            <span>{format!("page {} of {}", format::count(part.page as u64), format::count(part.pages as u64))}</span>
            {next}
        </nav>
    }
}

/// How many queues have which verdict, and the sums of all jobs.
#[component]
fn Summary(looks: Looks) -> impl IntoView {
    let lines = looks.lines;
    let look = lines.look;
    let marks = LEVELS
        .into_iter()
        .enumerate()
        .map(|(i, level)| {
            let count = move || lines.tally.with(|tally| tally.levels[i]);
            let chosen = move || look.with(|look| look.levels.contains(&level));
            let href = looks.to(move |look| look.with_level(level));
            view! {
                <li class=level_class(level) class:none=move || count() == 0 && !chosen()>
                    <a data-look="" href=href aria-current=move || chosen().to_string()><b>{count}</b>" "{level.word()}</a>
                </li>
            }
        })
        .collect_view();
    let totals = JobState::ALL
        .into_iter()
        .map(|state| {
            let sum = move || {
                lines
                    .tally
                    .with(|tally| tally.counts.get(state).map(|sum| sum.to_string()))
            };
            let chosen = move || look.with(|look| look.states.contains(&state)).to_string();
            let href = looks.to(move |look| look.with_state(state));
            // A state that none of the systems on the board has.
            let absent = move || lines.tally.with(|tally| tally.counts.get(state).is_none());
            view! {
                <li class:none=absent>
                    <a data-look="" href=href aria-current=chosen><b>{sum}</b>" "{state.short()}</a>
                </li>
            }
        })
        .collect_view();
    view! {
        <section class="summary" aria-label="Summary">
            <ul class="levels">{marks}</ul>
            <div>
                <ul class="totals" class:stale=move || lines.stores.with(|all| all.iter().any(|s| s.reach != Reach::Live))>{totals}</ul>
                <p class="missing-part">{move || lines.tally.with(|tally| tally.missing.clone())}</p>
            </div>
        </section>
    }
}

/// The stores, each with its vital signs.
#[component]
fn Stores(stores: RwSignal<Vec<StoreSummary>>) -> impl IntoView {
    view! {
        <section class="stores" aria-label="Stores">
            <For each=move || stores.get() key=|store| store.id.clone() let:first>
                {
                    let id = first.id.clone();
                    let store = Memo::new(move |_| {
                        stores.with(|all| all.iter().find(|s| s.id == id).cloned()).unwrap_or_else(|| first.clone())
                    });
                    view! { <StoreLine store/> }
                }
            </For>
        </section>
    }
}

#[component]
fn StoreLine(store: Memo<StoreSummary>) -> impl IntoView {
    let href = base().store(&store.with_untracked(|s| s.id.clone()));
    let postgres = store.with_untracked(|s| s.kind == "postgres");
    let vital = move |f: fn(&crate::model::store::Vitals) -> String| {
        move || store.with(|s| s.vitals.as_ref().map_or_else(|| format::UNKNOWN.to_owned(), f))
    };
    let number = move |f: fn(&crate::model::store::Vitals) -> Option<u64>| {
        move || format::count_or_unknown(store.with(|s| s.vitals.as_ref().and_then(f)))
    };
    let share = move || {
        store.with(|s| {
            let memory = s.vitals.as_ref()?.memory.as_ref()?;
            #[expect(clippy::cast_precision_loss, reason = "a bar needs no more precision")]
            memory
                .max
                .map(|max| (memory.used as f64 / max as f64 * 100.0).round().min(100.0))
        })
    };
    view! {
        <StoreBanner store=Signal::derive(move || store.get())/>
        <div class="store" class:stale=move || store.with(|s| s.reach != Reach::Live)>
            <LevelMark level=Signal::derive(move || store.with(|s| s.verdict.level))/>
            <strong><a href=href>{move || store.with(|s| s.id.clone())}</a></strong>
            <span>{vital(|v| v.version.clone())}" at "{move || store.with(|s| s.address.clone())}</span>
            <span class="memory">
                {if postgres { "on disk " } else { "memory " }}
                <b>{vital(size)}</b>
                {move || share().map(|n| view! { <meter min="0" max="100" low="75" high="90" optimum="0" value=n.to_string() aria-label="memory used"></meter> })}
            </span>
            <span><b>{number(|v| v.ops_per_second)}</b>{if postgres { " transactions/s" } else { " commands/s" }}</span>
            <span><b>{number(|v| v.clients.map(u64::from))}</b>{move || {
                let one = store.with(|s| s.vitals.as_ref().and_then(|v| v.clients)) == Some(1);
                match (postgres, one) {
                    (true, true) => " connection",
                    (true, false) => " connections",
                    (false, true) => " client",
                    (false, false) => " clients",
                }
            }}</span>
            <span>{vital(|v| v.role.clone())}", "{vital(|v| v.persistence.clone())}</span>
            <span class="reason">
                {move || store.with(|s| if s.reach == Reach::Live && s.conditions.is_empty() { s.verdict.reason.clone() } else if s.reach == Reach::Live { String::new() } else { s.reach.word().to_owned() })}
            </span>
        </div>
    }
}

/// What a store holds, against its limit where it has one.
fn size(vitals: &crate::model::store::Vitals) -> String {
    match (&vitals.memory, vitals.disk) {
        (Some(memory), _) => match memory.max {
            Some(max) => format!("{} of {}", format::bytes(memory.used), format::bytes(max)),
            None => format!("{}, no limit set", format::bytes(memory.used)),
        },
        (None, Some(disk)) => format::bytes(disk),
        (None, None) => format::UNKNOWN.to_owned(),
    }
}

/// The most lines of trouble before the table.
const ATTENTION_MAX: usize = 12;

/// The queues that need attention: one line each, worst first.
#[component]
fn Attention(looks: Looks) -> impl IntoView {
    let lines = looks.lines;
    let base = base();
    let live = expect_context::<Live>();
    let troubled = Memo::new(move |_| lines.tally.with(|tally| tally.troubled.clone()));
    view! {
        <section class="attention" aria-label="Needs attention" class:none=move || troubled.with(Vec::is_empty)>
            <ul>
                {move || {
                    troubled
                        .get()
                        .into_iter()
                        .take(ATTENTION_MAX)
                        .map(|(key, name, verdict)| {
                            let href = if verdict.rule == STUCK { parents(&base, &key) } else { base.queue(&key) };
                            view! {
                                <li>
                                    <span class=level_class(verdict.level)>{verdict.level.word()}</span>
                                    <a href=href>{format::visible(&name)}</a>
                                    <span>{verdict.reason}</span>
                                    <small>{move || format!("detected {} ago", format::span(live.now.get() - verdict.since))}</small>
                                </li>
                            }
                        })
                        .collect_view()
                }}
                {move || {
                    let more = troubled.with(Vec::len).saturating_sub(ATTENTION_MAX);
                    let all = || Look { levels: vec![Level::Bad, Level::Watch], ..Look::default() };
                    (more > 0).then(|| view! { <li><a data-look="" href=looks.href(&all())>{format!("and {} more", format::count(more as u64))}</a></li> })
                }}
            </ul>
        </section>
    }
}

/// No queue is known: why, and what to do.
#[component]
fn Empty(stores: RwSignal<Vec<StoreSummary>>) -> impl IntoView {
    let text = move || {
        stores.with(|stores| {
            if stores.iter().all(|s| s.reach != Reach::Live) {
                "No store answers yet, so no queue can be shown. The reasons are above; Drover keeps trying."
            } else if stores.iter().any(|s| !s.searched && s.reach == Reach::Live) {
                "Searching the key space for queues. They appear here as they are found."
            } else {
                "No queue was found. A queue of BullMQ appears within seconds of its first worker, and any with the next search \
                 after its first job. If yours has an unusual prefix, name it in the store's configuration under prefixes or queues."
            }
        })
    };
    view! { <p class="empty">{text}</p> }
}

#[component]
fn Table(looks: Looks) -> impl IntoView {
    let lines = looks.lines;
    // Since when a store has been silent, if it is, and how far its clock is ahead.
    let clocks = Memo::new(move |_| {
        lines.stores.with(|all| {
            let clock = |s: &StoreSummary| StoreClock {
                silent: (s.reach != Reach::Live).then(|| s.as_of.unwrap_or(s.since)),
                ahead: s.clock_ahead.unwrap_or(0),
            };
            all.iter().map(|s| (s.id.clone(), clock(s))).collect::<HashMap<_, _>>()
        })
    });
    let toggle_pin = move |event: leptos::ev::MouseEvent| {
        if let Some((key, form)) = live::clicked_pin(&event) {
            lines.toggle_pin(&key);
            live::send_form(&base().href("/pins"), form, move |sent| {
                if !sent {
                    lines.toggle_pin(&key);
                }
            });
        }
    };
    // The rows after the first ones, for a browser without scripts; one with scripts creates its own.
    #[cfg(feature = "ssr")]
    let rest = {
        let items = lines
            .items
            .with_untracked(|items| items.get(lines.grown.get_untracked()..).map(<[_]>::to_vec));
        let html = |item| row(looks, clocks, item).to_html();
        let rows = items.unwrap_or_default().into_iter().map(html).collect::<String>();
        match rows.as_str() {
            "" => String::new(),
            _ => format!(
                "<table class=\"queues\"><caption class=\"sr-only\">Further queues</caption><thead class=\"sr-only\">{}</thead>\
                 <tbody>{rows}</tbody></table>",
                columns().to_html()
            ),
        }
    };
    #[cfg(not(feature = "ssr"))]
    let rest = String::new();
    let shown = move || {
        lines
            .items
            .with(|items| items.iter().take(lines.grown.get()).cloned().collect::<Vec<_>>())
    };
    view! {
        <form id=PINS method="post" action=base().href("/pins")></form>
        <div class="scroll" id="queues" on:click=toggle_pin>
            <table class="queues" class:none=move || lines.items.with(Vec::is_empty)>
                <caption class="sr-only">"Queues"</caption>
                <thead>{columns()}</thead>
                <tbody id=ROWS>
                    <For each=shown key=Item::key let:item>{row(looks, clocks, item)}</For>
                </tbody>
            </table>
            <noscript inner_html=rest></noscript>
        </div>
    }
}

fn columns() -> impl IntoView {
    view! {
            <tr>
                <th scope="col">"Verdict"</th>
                <th scope="col">"Queue"</th>
                <th scope="col" class="n backlog">"Waiting"</th>
                <th scope="col" class="n backlog">"Prioritized"</th>
                <th scope="col" class="n backlog" title="How long the job that runs next has been ready to run">"Oldest"</th>
                <th scope="col" class="n flight">"Active"</th>
                <th scope="col" class="n flight">"Workers"</th>
                <th scope="col" class="n later">"Delayed"</th>
                <th scope="col" class="n later" title="Parents that wait for their children">"Parents"</th>
                <th scope="col" class="n flow" title="Jobs added and finished per minute">"In → out /min"</th>
                <th scope="col" class="flow" title="Jobs finished in the last 10 minutes, up to now; broken where nothing is known">"10 min"</th>
                <th scope="col" class="n trouble">"Failed"</th>
                <th scope="col" class="n history" title="Kept by retention, not a total">"Completed"</th>
            </tr>
    }
}
