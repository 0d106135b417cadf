//! All queues on one screen: what is wrong first, then one line each.

use crate::model::Millis;
use crate::model::counts::Counts;
use crate::model::event::{Frame, Topic};
use crate::model::format;
use crate::model::page::{Overview, sort_by_trouble};
use crate::model::queue::{QueueRef, QueueSummary};
use crate::model::state::JobState;
use crate::model::store::{Reach, StoreSummary};
use crate::model::verdict::{Level, Verdict};
use crate::ui::app::base;
use crate::ui::components::{LevelMark, StoreBanner, level_class, spark_path};
use crate::ui::live::{self, Live};
use leptos::prelude::*;
use std::collections::HashMap;

/// A queue's line, which changes in place.
#[derive(Clone)]
struct Line {
    key: QueueRef,
    queue: RwSignal<QueueSummary>,
}

/// The lines of the page.
#[derive(Clone, Copy)]
struct Lines {
    order: RwSignal<Vec<Line>>,
    stores: RwSignal<Vec<StoreSummary>>,
    /// Where to find a line. Kept beside `order`, because patches arrive a hundred times a second.
    index: StoredValue<HashMap<QueueRef, RwSignal<QueueSummary>>>,
    /// All lines together, added up in one pass.
    tally: RwSignal<Tally>,
    /// Whether the next pass is already planned.
    tallying: StoredValue<bool>,
    /// Whether a re-sort is already planned.
    sorting: StoredValue<bool>,
}

/// What all lines say together.
#[derive(Clone, Debug, Default, PartialEq)]
struct Tally {
    /// Queues by level, in the order of [`LEVELS`].
    levels: [usize; LEVELS.len()],
    /// All jobs by state.
    counts: Counts,
    /// The queues in trouble, worst first.
    troubled: Vec<(QueueRef, String, Verdict)>,
}

/// The levels, worst first.
const LEVELS: [Level; 5] = [Level::Bad, Level::Watch, Level::Unknown, Level::Paused, Level::Ok];

/// Lines change at once, their sums this much later: nobody reads a sum a hundred times a second.
const TALLY_AFTER_MS: i32 = 250;

/// Lines are put in order again this long after a verdict changed, never under the pointer.
const SORT_AFTER_MS: i32 = 2_000;

#[component]
pub fn OverviewView(overview: Overview, after: String) -> impl IntoView {
    let live = expect_context::<Live>();
    let tally = Tally::of(overview.queues.iter());
    let order: Vec<Line> = overview.queues.into_iter().map(line).collect();
    let lines = Lines {
        index: StoredValue::new(order.iter().map(|line| (line.key.clone(), line.queue)).collect()),
        order: RwSignal::new(order),
        stores: RwSignal::new(overview.stores),
        tally: RwSignal::new(tally),
        tallying: StoredValue::new(false),
        sorting: StoredValue::new(false),
    };
    let topic = Topic::Overview.to_string();
    live::follow(
        live,
        &topic,
        after,
        Box::new(move |frame, snapshot| lines.take(frame, snapshot)),
    );
    view! {
        <h1 class="sr-only">"All queues"</h1>
        <Summary lines/>
        <Stores stores=lines.stores/>
        <Attention lines/>
        {move || lines.order.with(Vec::is_empty).then(|| view! { <Empty stores=lines.stores/> })}
        <Table lines/>
    }
    .into_any()
}

fn line(queue: QueueSummary) -> Line {
    Line {
        key: queue.key(),
        queue: RwSignal::new(queue),
    }
}

impl Lines {
    /// Takes in what the stream says.
    fn take(self, frame: Frame, snapshot: bool) {
        if snapshot {
            self.stores.set(frame.stores);
            self.replace(frame.queues);
            return;
        }
        for store in frame.stores {
            self.stores
                .update(|stores| match stores.iter_mut().find(|known| known.id == store.id) {
                    Some(known) => *known = store,
                    None => stores.push(store),
                });
        }
        let mut sort = false;
        for patch in frame.patches {
            let key = QueueRef {
                store: patch.store.clone(),
                queue: patch.id.clone(),
            };
            if let Some(queue) = self.index.with_value(|index| index.get(&key).copied()) {
                let level = queue.with_untracked(|q| q.verdict.level);
                queue.update(|q| q.apply(patch));
                sort |= queue.with_untracked(|q| q.verdict.level) != level;
            }
        }
        if !frame.removed.is_empty() {
            self.edit(|order| order.retain(|line| !frame.removed.contains(&line.key)));
        }
        if !frame.queues.is_empty() {
            sort = true;
            self.edit(|order| {
                order.retain(|line| !frame.queues.iter().any(|queue| queue.key() == line.key));
                order.extend(frame.queues.into_iter().map(line));
            });
        }
        self.tally_soon();
        if sort {
            self.sort_soon();
        }
    }

    /// Changes which lines there are.
    fn edit(self, change: impl FnOnce(&mut Vec<Line>)) {
        self.order.update(change);
        let index = self
            .order
            .with_untracked(|order| order.iter().map(|line| (line.key.clone(), line.queue)).collect());
        self.index.set_value(index);
    }

    /// Takes over a whole board, keeping the lines that stay where they are.
    fn replace(self, mut queues: Vec<QueueSummary>) {
        sort_by_trouble(&mut queues);
        let lines = queues
            .into_iter()
            .map(|queue| {
                let key = queue.key();
                match self.index.with_value(|index| index.get(&key).copied()) {
                    Some(signal) => {
                        signal.set(queue);
                        Line { key, queue: signal }
                    }
                    None => line(queue),
                }
            })
            .collect();
        self.edit(|order| *order = lines);
        self.tally_soon();
    }

    fn tally_soon(self) {
        if self.tallying.get_value() {
            return;
        }
        self.tallying.set_value(true);
        live::set_timeout(TALLY_AFTER_MS, move || {
            self.tallying.set_value(false);
            let tally = self.order.with_untracked(|order| {
                let lines: Vec<_> = order.iter().map(|line| line.queue.read_untracked()).collect();
                Tally::of(lines.iter().map(|line| &**line))
            });
            if self.tally.with_untracked(|known| *known != tally) {
                self.tally.set(tally);
            }
        });
    }

    fn sort_soon(self) {
        if self.sorting.get_value() {
            return;
        }
        self.sorting.set_value(true);
        live::set_timeout(SORT_AFTER_MS, move || {
            self.sorting.set_value(false);
            if live::pointer_inside("queues") {
                self.sort_soon();
                return;
            }
            let mut queues: Vec<QueueSummary> = self
                .order
                .with_untracked(|order| order.iter().map(|line| line.queue.get_untracked()).collect());
            let before: Vec<QueueRef> = queues.iter().map(QueueSummary::key).collect();
            sort_by_trouble(&mut queues);
            if queues.iter().map(QueueSummary::key).ne(before) {
                self.replace(queues);
            }
        });
    }
}

impl Tally {
    fn of<'a>(queues: impl Iterator<Item = &'a QueueSummary>) -> Self {
        let mut tally = Self {
            counts: Counts::zero(),
            ..Self::default()
        };
        let mut troubled = Vec::new();
        for queue in queues {
            let level = queue.verdict.level;
            tally.counts = tally.counts.plus(&queue.counts);
            for (count, _) in tally.levels.iter_mut().zip(LEVELS).filter(|(_, l)| *l == level) {
                *count += 1;
            }
            if matches!(level, Level::Bad | Level::Watch) {
                troubled.push(queue.clone());
            }
        }
        sort_by_trouble(&mut troubled);
        tally.troubled = troubled.into_iter().map(|q| (q.key(), q.name, q.verdict)).collect();
        tally
    }
}

/// How many queues are in which condition, and all jobs together.
#[component]
fn Summary(lines: Lines) -> impl IntoView {
    let marks = LEVELS
        .into_iter()
        .enumerate()
        .map(|(i, level)| {
            let count = move || lines.tally.with(|tally| tally.levels[i]);
            view! {
                <li class=level_class(level) class:none=move || count() == 0>
                    <b>{count}</b>" "{level.word()}
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
            view! {
                <li>
                    <b>{sum}</b>" "{state.short()}
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
    let vital = move |f: fn(&crate::model::store::Vitals) -> String| {
        move || store.with(|s| s.vitals.as_ref().map_or_else(|| format::UNKNOWN.to_owned(), f))
    };
    let share = move || {
        store.with(|s| {
            let memory = &s.vitals.as_ref()?.memory;
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
                "memory "
                <b>
                    {vital(|v| match v.memory.max {
                        Some(max) => format!("{} of {}", format::bytes(v.memory.used), format::bytes(max)),
                        None => format!("{}, no limit set", format::bytes(v.memory.used)),
                    })}
                </b>
                {move || share().map(|n| view! { <meter min="0" max="100" low="75" high="90" optimum="0" value=n.to_string() aria-label="memory used"></meter> })}
            </span>
            <span><b>{vital(|v| format::count(v.ops_per_second))}</b>" commands/s"</span>
            <span><b>{vital(|v| format::count(v.clients.into()))}</b>" clients"</span>
            <span>{vital(|v| v.role.clone())}", "{vital(|v| v.persistence.clone())}</span>
            <span class="reason">
                {move || store.with(|s| if s.reach == Reach::Live && s.conditions.is_empty() { s.verdict.reason.clone() } else if s.reach == Reach::Live { String::new() } else { s.reach.word().to_owned() })}
            </span>
        </div>
    }
    .into_any()
}

/// What needs somebody: one line each, worst first.
#[component]
fn Attention(lines: Lines) -> impl IntoView {
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
                        .take(12)
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
fn Table(lines: Lines) -> impl IntoView {
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
    view! {
        <div class="scroll">
            <table class="queues" id="queues" class:none=move || lines.order.with(Vec::is_empty)>
                <caption class="sr-only">"Queues, the ones in trouble first"</caption>
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
                    <For each=move || lines.order.get() key=|line| line.key.clone() let:line>
                        <Row line clocks/>
                    </For>
                </tbody>
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

#[component]
fn Row(line: Line, clocks: Memo<HashMap<String, StoreClock>>) -> impl IntoView {
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
    let count = move |state: JobState| move || queue.with(|q| format::count_or_unknown(q.counts.get(state)));
    let zero = move |state: JobState| move || queue.with(|q| q.counts.get(state) == Some(0));
    let why = move || queue.with(|q| q.reason.clone().unwrap_or_default());
    view! {
        <tr class:stale=move || silent().is_some()>
            <td class="v">
                <span class=move || level_class(queue.with(|q| q.verdict.level)) title=move || queue.with(|q| q.verdict.reason.clone())>
                    {move || queue.with(|q| q.verdict.level.word())}
                </span>
            </td>
            <th scope="row" class="name">
                <a href=href data-row="" title=id>{name}</a>
                <small>{store}</small>
            </th>
            <td class="n backlog" data-l="waiting" title=why class:zero=zero(JobState::Waiting)>{count(JobState::Waiting)}</td>
            <td class="n backlog wide" class:zero=zero(JobState::Prioritized)>{count(JobState::Prioritized)}</td>
            <td class="n backlog" data-l="oldest">
                {move || queue.with(|q| match (q.counts.backlog(), q.oldest_waiting) {
                    (Some(0), _) => String::new(),
                    (_, Some(at)) => format::age(now(), at),
                    _ => format::UNKNOWN.to_owned(),
                })}
            </td>
            <td class="n flight" data-l="active" class:zero=zero(JobState::Active)>{count(JobState::Active)}</td>
            <td
                class="n flight"
                data-l="workers"
                class:missing=move || queue.with(|q| q.workers == Some(0) && q.paused == Some(false) && q.counts.backlog() > Some(0))
            >
                {move || queue.with(|q| format::count_or_unknown(q.workers.map(u64::from)))}
            </td>
            <td class="n later wide" class:zero=zero(JobState::Delayed)>{count(JobState::Delayed)}</td>
            <td class="n later wide" class:zero=zero(JobState::WaitingChildren)>{count(JobState::WaitingChildren)}</td>
            <td class="n flow" data-l="in → out /min" title=move || queue.with(window_note)>
                {move || queue.with(flow)}
            </td>
            <td class="spark wide">
                <svg viewBox="0 0 118 20" width="118" height="20" aria-hidden="true">
                    <path d=move || queue.with(|q| spark_path(&q.spark, 118.0, 20.0))></path>
                </svg>
            </td>
            <td class="n trouble" data-l="failed" class:zero=zero(JobState::Failed)>{count(JobState::Failed)}</td>
            <td class="n history wide" class:zero=zero(JobState::Completed)>{count(JobState::Completed)}</td>
        </tr>
    }
    .into_any()
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
