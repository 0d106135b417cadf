//! All queues on one screen: what is wrong first, then one line each.

use crate::model::event::{Frame, Topic};
use crate::model::format;
use crate::model::page::{Overview, sort_by_trouble};
use crate::model::queue::{QueueRef, QueueSummary};
use crate::model::state::JobState;
use crate::model::store::{Reach, StoreSummary};
use crate::model::verdict::Level;
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
    /// Whether a re-sort is already planned.
    sorting: StoredValue<bool>,
}

/// Lines are put in order again this long after a verdict changed, never under the pointer.
const SORT_AFTER_MS: i32 = 2_000;

#[component]
pub fn OverviewView(overview: Overview, after: String) -> impl IntoView {
    let live = expect_context::<Live>();
    let lines = Lines {
        order: RwSignal::new(overview.queues.into_iter().map(line).collect()),
        stores: RwSignal::new(overview.stores),
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
        if !frame.patches.is_empty() {
            let by_key: HashMap<QueueRef, RwSignal<QueueSummary>> = self
                .order
                .with_untracked(|order| order.iter().map(|line| (line.key.clone(), line.queue)).collect());
            for patch in frame.patches {
                let key = QueueRef {
                    store: patch.store.clone(),
                    queue: patch.id.clone(),
                };
                if let Some(queue) = by_key.get(&key) {
                    let level = queue.with_untracked(|q| q.verdict.level);
                    queue.update(|q| q.apply(patch));
                    sort |= queue.with_untracked(|q| q.verdict.level) != level;
                }
            }
        }
        if !frame.removed.is_empty() {
            self.order
                .update(|order| order.retain(|line| !frame.removed.contains(&line.key)));
        }
        if !frame.queues.is_empty() {
            sort = true;
            self.order.update(|order| {
                order.retain(|line| !frame.queues.iter().any(|queue| queue.key() == line.key));
                order.extend(frame.queues.into_iter().map(line));
            });
        }
        if sort {
            self.sort_soon();
        }
    }

    /// Takes over a whole board, keeping the lines that stay where they are.
    fn replace(self, mut queues: Vec<QueueSummary>) {
        sort_by_trouble(&mut queues);
        let known: HashMap<QueueRef, RwSignal<QueueSummary>> = self
            .order
            .with_untracked(|order| order.iter().map(|line| (line.key.clone(), line.queue)).collect());
        let order = queues
            .into_iter()
            .map(|queue| match known.get(&queue.key()) {
                Some(signal) => {
                    let key = queue.key();
                    signal.set(queue);
                    Line { key, queue: *signal }
                }
                None => line(queue),
            })
            .collect();
        self.order.set(order);
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

    fn count(self, level: Level) -> usize {
        self.order.with(|order| {
            order
                .iter()
                .filter(|line| line.queue.with(|q| q.verdict.level == level))
                .count()
        })
    }

    fn sum(self, state: JobState) -> Option<u64> {
        self.order.with(|order| {
            order
                .iter()
                .map(|line| line.queue.with(|q| q.counts.get(state)))
                .try_fold(0_u64, |sum, n| Some(sum + n?))
        })
    }
}

/// How many queues are in which condition, and all jobs together.
#[component]
fn Summary(lines: Lines) -> impl IntoView {
    let levels = [Level::Bad, Level::Watch, Level::Unknown, Level::Paused, Level::Ok];
    let marks = levels
        .into_iter()
        .map(|level| {
            let count = Memo::new(move |_| lines.count(level));
            view! {
                <li class=level_class(level) class:none=move || count.get() == 0>
                    <b>{move || count.get()}</b>" "{level.word()}
                </li>
            }
        })
        .collect_view();
    let totals = JobState::ALL
        .into_iter()
        .map(|state| {
            let sum = Memo::new(move |_| lines.sum(state));
            view! {
                <li>
                    <b>{move || format::count_or_unknown(sum.get())}</b>" "{state.short()}
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
            <strong>{move || store.with(|s| s.id.clone())}</strong>
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
                {move || store.with(|s| if s.reach == Reach::Live { s.verdict.reason.clone() } else { s.reach.word().to_owned() })}
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
    let troubled = Memo::new(move |_| {
        lines.order.with(|order| {
            let mut troubled: Vec<QueueSummary> = order
                .iter()
                .filter(|line| {
                    line.queue
                        .with(|q| matches!(q.verdict.level, Level::Bad | Level::Watch))
                })
                .map(|line| line.queue.get())
                .collect();
            sort_by_trouble(&mut troubled);
            troubled
                .into_iter()
                .map(|q| (q.key(), q.name.clone(), q.verdict))
                .collect::<Vec<_>>()
        })
    });
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
                        <Row line stores=lines.stores/>
                    </For>
                </tbody>
            </table>
        </div>
    }
    .into_any()
}

#[component]
fn Row(line: Line, stores: RwSignal<Vec<StoreSummary>>) -> impl IntoView {
    let live = expect_context::<Live>();
    let queue = line.queue;
    let (name, id) = queue.with_untracked(|q| (format::visible(&q.name), format::visible(&q.id)));
    let store = line.key.store.clone();
    // Since when the line may no longer be true, if it may not; ages then stand still.
    let silent = {
        let store = store.clone();
        Memo::new(move |_| {
            stores.with(|all| {
                let silent = all.iter().find(|s| s.id == store && s.reach != Reach::Live)?;
                Some(silent.as_of.unwrap_or(silent.since))
            })
        })
    };
    let now = move || silent.get().unwrap_or_else(|| live.now.get());
    let href = base().queue(&line.key);
    let count = move |state: JobState| move || queue.with(|q| format::count_or_unknown(q.counts.get(state)));
    let zero = move |state: JobState| move || queue.with(|q| q.counts.get(state) == Some(0));
    let why = move || queue.with(|q| q.reason.clone().unwrap_or_default());
    view! {
        <tr class:stale=move || silent.get().is_some()>
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
                    (_, Some(at)) => format::span(now().saturating_sub(at)),
                    _ => format::UNKNOWN.to_owned(),
                })}
            </td>
            <td class="n flight" data-l="active" class:zero=zero(JobState::Active)>{count(JobState::Active)}</td>
            <td class="n flight" data-l="workers">
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
