//! All queues on one screen: what is wrong first, then one line each.
//!
//! [`lines`] keeps the lines true and in order, [`bar`] is filter, order and groups.

use crate::model::Millis;
use crate::model::event::Topic;
use crate::model::format;
use crate::model::look::{LEVELS, Look, pin};
use crate::model::page::Overview;
use crate::model::queue::QueueSummary;
use crate::model::state::JobState;
use crate::model::store::{Reach, StoreSummary};
use crate::model::verdict::Level;
use crate::ui::app::base;
use crate::ui::components::{LevelMark, StoreBanner, level_class, spark_path};
use crate::ui::live::{self, Live};
use bar::{Bar, Looks};
use leptos::prelude::*;
use lines::{Item, Line, Lines, REST};
use std::collections::HashMap;

pub mod bar;
pub mod lines;

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
        Box::new(move |frame, snapshot| lines.take(frame, snapshot)),
    );
    lines.grow();
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
            {move || (lines.total.get() > 0 && lines.kept.get() == 0).then(|| view! { <p class="empty">"No queue fits this filter."</p> })}
            <Table looks/>
        </div>
    }
    .into_any()
}

/// How many queues are in which condition, and all jobs together.
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
                    .with(|tally| format::count_or_unknown(tally.counts.get(state)))
            };
            let chosen = move || look.with(|look| look.states.contains(&state)).to_string();
            let href = looks.to(move |look| look.with_state(state));
            // A state that none of the systems on the board has.
            let absent =
                move || state == JobState::Cancelled && lines.tally.with(|tally| tally.counts.get(state).is_none());
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
            <ul class="totals" class:stale=move || lines.stores.with(|all| all.iter().any(|s| s.reach != Reach::Live))>{totals}</ul>
        </section>
    }
    .into_any()
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
    .into_any()
}

#[component]
fn StoreLine(store: Memo<StoreSummary>) -> impl IntoView {
    let href = base().store(&store.with_untracked(|s| s.id.clone()));
    let postgres = store.with_untracked(|s| s.kind == "postgres");
    let vital = move |f: fn(&crate::model::store::Vitals) -> String| {
        move || store.with(|s| s.vitals.as_ref().map_or_else(|| format::UNKNOWN.to_owned(), f))
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
            <span><b>{vital(|v| format::count(v.ops_per_second))}</b>{if postgres { " transactions/s" } else { " commands/s" }}</span>
            <span><b>{vital(|v| format::count(v.clients.into()))}</b>{if postgres { " connections" } else { " clients" }}</span>
            <span>{vital(|v| v.role.clone())}", "{vital(|v| v.persistence.clone())}</span>
            <span class="reason">
                {move || store.with(|s| if s.reach == Reach::Live && s.conditions.is_empty() { s.verdict.reason.clone() } else if s.reach == Reach::Live { String::new() } else { s.reach.word().to_owned() })}
            </span>
        </div>
    }
    .into_any()
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

/// Lines that say what is the matter before the table says the rest.
const ATTENTION_MAX: usize = 12;

/// What needs somebody: one line each, worst first.
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
                            view! {
                                <li>
                                    <span class=level_class(verdict.level)>{verdict.level.word()}</span>
                                    <a href=base.queue(&key)>{format::visible(&name)}</a>
                                    <span>{verdict.reason}</span>
                                    <small>{move || format!("for {}", format::span(live.now.get() - verdict.since))}</small>
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
    .into_any()
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
                "No BullMQ queue was found. A queue appears within seconds of its first worker, and with the next search after \
                 its first job. If yours has an unusual prefix, name it in the store's configuration under prefixes or queues."
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
    // What the server writes beyond the first rows, as text; in the browser it is there already.
    #[cfg(feature = "ssr")]
    let rest = {
        let items = lines
            .items
            .with_untracked(|items| items.get(lines.grown.get_untracked()..).map(<[_]>::to_vec));
        let html = |item| row(looks, clocks, item).to_html();
        items.unwrap_or_default().into_iter().map(html).collect::<String>()
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
        <div class="scroll" on:click=toggle_pin>
            <table class="queues" id="queues" class:none=move || lines.items.with(Vec::is_empty)>
                <caption class="sr-only">"Queues"</caption>
                <thead>
                    <tr>
                        <th scope="col">"Verdict"</th>
                        <th scope="col">"Queue"</th>
                        <th scope="col" class="n backlog">"Waiting"</th>
                        <th scope="col" class="n backlog">"Prioritized"</th>
                        <th scope="col" class="n backlog" title="How long the job that runs next has waited">"Oldest"</th>
                        <th scope="col" class="n flight">"Active"</th>
                        <th scope="col" class="n flight">"Workers"</th>
                        <th scope="col" class="n later">"Delayed"</th>
                        <th scope="col" class="n later" title="Parents that wait for their children">"Parents"</th>
                        <th scope="col" class="n flow" title="Jobs added and finished per minute">"In → out /min"</th>
                        <th scope="col" class="flow">"10 min"</th>
                        <th scope="col" class="n trouble">"Failed"</th>
                        <th scope="col" class="n history" title="Kept by retention, not a total">"Completed"</th>
                    </tr>
                </thead>
                <tbody>
                    <For each=shown key=Item::key let:item>{row(looks, clocks, item)}</For>
                </tbody>
                <tbody id=REST inner_html=rest></tbody>
            </table>
        </div>
    }
    .into_any()
}

/// What the lines of a store need to know of its time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct StoreClock {
    /// The last moment it was heard, if it is silent.
    silent: Option<Millis>,
    ahead: Millis,
}

fn row(looks: Looks, clocks: Memo<HashMap<String, StoreClock>>, item: Item) -> AnyView {
    match item {
        Item::Heading(group) => view! { <Heading looks group/> }.into_any(),
        Item::Line(line) => view! { <Row line lines=looks.lines clocks/> }.into_any(),
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
        view! { <td class=class data-l=state.short() class:zero=move || count() == Some(0)>{move || format::count_or_unknown(count())}</td> }
    };
    view! {
        <tr class="group">
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
    .into_any()
}

/// A queue's line. Cells that change together are one piece: five hundred lines of thirty pieces each
/// take a browser too long to make and to take away again.
#[component]
fn Row(line: Line, lines: Lines, clocks: Memo<HashMap<String, StoreClock>>) -> impl IntoView {
    let live = expect_context::<Live>();
    let queue = line.queue;
    let (name, id) = queue.with_untracked(|q| (format::visible(&q.name), format::visible(&q.id)));
    let store = line.key.store.clone();
    // Since when the line may no longer be true, if it may not; ages then stand still.
    let clock = {
        let store = store.clone();
        move || clocks.with(|clocks| clocks.get(&store).copied().unwrap_or_default())
    };
    let its = clock.clone();
    let silent = move || clock().silent;
    let now = move || {
        let clock = its();
        clock
            .silent
            .unwrap_or_else(|| live.now.get())
            .saturating_add(clock.ahead)
    };
    let href = base().queue(&line.key);
    let pin_button = {
        let (key, value, name) = (line.key.clone(), pin(&line.key), name.clone());
        move || {
            let pinned = lines.pins.with(|pins| pins.contains(&key));
            let (field, title) = if pinned { ("unpin", "Unpin") } else { ("pin", "Pin") };
            view! { <button class="pin" form=PINS name=field value=value.clone() title=format!("{title} {name}")></button> }
        }
    };
    view! {
        <tr class:stale=move || silent().is_some()>
            {move || queue.with(|q| {
                view! {
                    <td class="v">
                        <span class=level_class(q.verdict.level) title=q.verdict.reason.clone()>{q.verdict.level.word()}</span>
                    </td>
                }
            })}
            <th scope="row" class="name">
                {pin_button}
                <a href=href data-row="" title=id>{name}</a>
                <small>{store}</small>
            </th>
            {move || queue.with(|q| {
                view! {
                    <td class="n backlog" data-l="waiting" title=q.reason.clone().unwrap_or_default() class:zero=zero(q, JobState::Waiting)>{count(q, JobState::Waiting)}</td>
                    <td class="n backlog wide" class:zero=zero(q, JobState::Prioritized)>{count(q, JobState::Prioritized)}</td>
                }
            })}
            <td class="n backlog" data-l="oldest" class:zero=move || queue.with(|q| q.counts.backlog() == Some(0))>
                {move || queue.with(|q| match (q.counts.backlog(), q.oldest_waiting) {
                    (Some(0), _) => String::new(),
                    (_, Some(at)) => format::age(now(), at),
                    _ => format::UNKNOWN.to_owned(),
                })}
            </td>
            {move || queue.with(|q| {
                let deserted = q.workers == Some(0) && q.paused == Some(false) && q.counts.backlog() > Some(0);
                view! {
                    <td class="n flight" data-l="active" class:zero=zero(q, JobState::Active)>{count(q, JobState::Active)}</td>
                    <td class="n flight" data-l="workers" class:missing=deserted>{format::count_or_unknown(q.workers.map(u64::from))}</td>
                    <td class="n later wide" class:zero=zero(q, JobState::Delayed)>{count(q, JobState::Delayed)}</td>
                    <td class="n later wide" class:zero=zero(q, JobState::WaitingChildren)>{count(q, JobState::WaitingChildren)}</td>
                    <td class="n flow" data-l="in → out /min" title=window_note(q)>{flow(q)}</td>
                    <td class="spark wide">
                        <svg viewBox="0 0 118 20" width="118" height="20" aria-hidden="true">
                            <path d=spark_path(&q.spark, 118.0, 20.0)></path>
                        </svg>
                    </td>
                    <td class="n trouble" data-l="failed" class:zero=zero(q, JobState::Failed)>{count(q, JobState::Failed)}</td>
                    <td class="n history wide" class:zero=zero(q, JobState::Completed)>{count(q, JobState::Completed)}</td>
                }
            })}
        </tr>
    }
    .into_any()
}

fn count(queue: &QueueSummary, state: JobState) -> String {
    format::count_or_unknown(queue.counts.get(state))
}

fn zero(queue: &QueueSummary, state: JobState) -> bool {
    queue.counts.get(state) == Some(0)
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
        None => "Not known: events have been followed for less than five seconds without a gap.".into(),
        Some(rates) if rates.window_s < 60 => format!("From the last {} s; exact after a minute.", rates.window_s),
        Some(rates) => format!(
            "Counted over the last minute. Failed: {} /min.",
            format::rate(rates.failed)
        ),
    }
}
