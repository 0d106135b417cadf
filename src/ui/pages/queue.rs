//! One queue: its condition, and its jobs of one state.

use crate::base_path::{BasePath, TO, queue_path};
use crate::model::address::encode_segment;
use crate::model::capability::Generation;
use crate::model::event::{Frame, Topic};
use crate::model::format;
use crate::model::page::{Order, PAGE_SIZE, QueuePage};
use crate::model::queue::{QueueRef, QueueSummary};
use crate::model::state::JobState;
use crate::model::store::{Reach, StoreSummary};
use crate::model::verdict::STUCK;
use crate::ui::components::{StoreBanner, VerdictLine, state_class, state_mark};
use crate::ui::context::base;
use crate::ui::live::{self, Live};
use facts::Facts;
use jobs::{Jobs, News, lines_of};
use leptos::prelude::*;
use list::List;

#[cfg(feature = "ssr")]
pub mod aside;
pub mod facts;
pub mod jobs;
pub mod list;

/// The span of the chart.
const HOUR: i64 = 3_600_000;

/// The chart is redrawn and limits are read again at this interval.
const REDRAW_MS: i32 = 10_000;

#[component]
pub fn QueueView(page: QueuePage, after: String) -> impl IntoView {
    let live = expect_context::<Live>();
    let base = base();
    let key = page.queue.key();
    let queue = RwSignal::new(page.queue);
    live.follow_clock(&page.store);
    let store = RwSignal::new(page.store);
    let chart = RwSignal::new(page.chart);
    let aside = RwSignal::new(page.aside);
    let tools = page.tools;
    let since = page.watched_since;
    let gone = RwSignal::new(false);
    let path = queue_path(&key);
    let asked = Asked {
        state: page.state,
        order: page.order,
        limit: page.limit,
        text: page.text.as_deref(),
    };
    let lists = page
        .generation
        .as_ref()
        .is_none_or(|of| of.states.contains(&page.state));
    let listed = lists || page.jobs.is_ok();
    let jobs = Jobs {
        key: StoredValue::new(key.clone()),
        base: StoredValue::new(base.clone()),
        state: page.state,
        order: page.order,
        url: StoredValue::new(base.href(&format!("/api/v1{path}/jobs?{}", asked.query(page.cursor.as_deref())))),
        follows: page.cursor.is_none() && page.text.is_none(),
        first_page: page.cursor.is_none(),
        lines: RwSignal::new(lines_of(&page.jobs)),
        page: RwSignal::new(page.jobs),
        news: RwSignal::new(News::default()),
        waiting: StoredValue::new(None),
        rereading: StoredValue::new(false),
        text: StoredValue::new(page.text),
    };
    let known: Known = StoredValue::new(page.generation);
    let topic = Topic::Queue(key.clone()).to_string();
    live::follow(
        live,
        &topic,
        after,
        Box::new(move |frame, snapshot| {
            take_line(queue, store, gone, &frame);
            store.with_untracked(|store| {
                live.follow_clock(store);
                live.follow_stores([store]);
            });
            jobs.take(&frame, snapshot);
        }),
    );
    redraw(chart, base.href(&format!("{path}/chart.svg")));
    redraw(aside, base.href(&format!("{path}/aside")));
    let of_aside = base.href(&format!("{path}/aside"));
    let paused = Memo::new(move |_| queue.with(|q| q.paused));
    // That markup says who paused it and why, and has the button that resumes it.
    Effect::new(move |before: Option<Option<bool>>| {
        let now = paused.get();
        if before.is_some_and(|before| before != now) {
            live::fetch_text(of_aside.clone(), move |fresh| take_drawn(aside, fresh));
        }
        now
    });
    let stuck = Memo::new(move |_| queue.with(|q| q.verdict.rule == STUCK));
    let held = parents(&base, &key);
    // Drover lists nothing of a library that is not supported: the verdict says so.
    let unread = Memo::new(move |_| queue.with(|q| !q.system.is_supported()));
    // There is nothing to draw: the facts say why.
    let undrawn = known.with_value(|known| known.as_ref().is_some_and(|of| of.uncounted.is_some()));
    let counted = Memo::new(move |_| queue.with(|q| q.rates.is_some()));
    let label = Memo::new(move |_| queue.with(|q| format::visible(&q.label)));
    let id = queue.with_untracked(|q| format::visible(&q.id));
    view! {
        <nav class="crumbs" aria-label="Breadcrumbs">
            <a href=base.href("/") data-up="">"All queues"</a>
            <a href=base.store(&key.store)>{key.store.clone()}</a>
        </nav>
        <StoreBanner store/>
        {move || gone.get().then(|| view! { <div class="banner" role="alert"><strong>"This queue no longer exists."</strong><p>"The store holds none of its keys."</p></div> })}
        <div class="about" class:stale=move || store.with(|s| s.reach != Reach::Live)>
            <header class="head">
                <h1 title=id>{move || label.get()}</h1>
                <Facts queue known/>
                <VerdictLine verdict=Signal::derive(move || queue.with(|q| q.verdict.clone()))/>
                {move || stuck.get().then(|| view! { <p class="note"><a href=held.clone()>"Show the parents, longest waiting first"</a></p> })}
                <div inner_html=move || aside.get()></div>
            </header>
            <figure class="throughput" class:none=move || undrawn || unread.get()>
                <figcaption>
                    "Jobs per minute "
                    <span class="key-in">"added"</span>" "<span class="key-out">"finished"</span>" "<span class="key-failed">"failed"</span>
                    {move || {
                        (counted.get() && live.now.get() - since < HOUR)
                            .then(|| view! { <small title="Earlier values come from metrics that workers record, or from finished jobs that are still kept">{format!("counted from events since {}", live.clock(since))}</small> })
                    }}
                </figcaption>
                <div inner_html=move || chart.get()></div>
            </figure>
        </div>
        <div class:none=unread class:stale=move || store.with(|s| s.reach != Reach::Live)>
            <Tabs queue jobs known/>
            <List jobs store tools listed/>
        </div>
    }
}

/// The generation that laid the queue out when the page was written.
type Known = StoredValue<Option<Generation>>;

/// Which jobs a page of this queue lists.
#[derive(Clone, Copy, Debug)]
struct Asked<'a> {
    state: JobState,
    order: Order,
    limit: usize,
    text: Option<&'a str>,
}

impl Asked<'_> {
    /// Its query in the address, without default values.
    fn query(self, cursor: Option<&str>) -> String {
        let mut query = format!("state={}", self.state);
        if self.order != Order::of(self.state) {
            query += &format!("&order={}", self.order.as_str());
        }
        if self.limit != PAGE_SIZE {
            query += &format!("&limit={}", self.limit);
        }
        if let Some(text) = self.text {
            query += &format!("&q={}", encode_segment(text));
        }
        if let Some(cursor) = cursor {
            query += &format!("&cursor={}", encode_segment(cursor));
        }
        query
    }
}

/// The list of a queue's parents that wait for their children, the first to be released first.
pub fn parents(base: &BasePath, key: &QueueRef) -> String {
    let path = queue_path(key);
    base.href(&format!("{path}?state={}", JobState::WaitingChildren))
}

fn take_line(queue: RwSignal<QueueSummary>, store: RwSignal<StoreSummary>, gone: RwSignal<bool>, frame: &Frame) {
    if let Some(line) = frame.queues.first() {
        queue.set(line.clone());
        gone.set(false);
    }
    for patch in &frame.patches {
        queue.update(|q| q.apply(patch.clone()));
    }
    if let Some(changed) = frame.stores.first() {
        store.set(changed.clone());
    }
    if !frame.removed.is_empty() {
        gone.set(true);
    }
}

/// Fetches at an interval what only the server draws or renders.
fn redraw(shown: RwSignal<String>, url: String) {
    let ask = move || {
        let again = url.clone();
        live::fetch_text(url, move |fresh| {
            take_drawn(shown, fresh);
            redraw(shown, again);
        });
    };
    // While the page is hidden, nothing is drawn.
    live::set_timeout(REDRAW_MS, move || live::on_beat(ask));
}

/// Shows what the server drew or rendered. Does not replace a button that the reader is about to press.
fn take_drawn(shown: RwSignal<String>, fresh: Option<String>) {
    let Some(fresh) = fresh else { return };
    live::on_beat(move || {
        if !live::pointer_inside("act") && shown.with_untracked(|shown| *shown != fresh) {
            shown.set(fresh);
        }
    });
}

/// One tab per state, each a link with its count.
#[component]
fn Tabs(queue: RwSignal<QueueSummary>, jobs: Jobs, known: Known) -> impl IntoView {
    let find = format!("{}/find", jobs.key.with_value(queue_path));
    let action = jobs.base.with_value(|base| base.href(&find));
    // A form that is sent by GET replaces the query of its address.
    let (action, to) = match action.split_once('?') {
        Some((action, _)) => (action.to_owned(), Some(find)),
        None => (action, None),
    };
    let cancels = queue.with_untracked(|q| q.counts.get(JobState::Cancelled).is_some());
    let tabs = JobState::ALL
        .into_iter()
        .filter(|state| cancels || *state != JobState::Cancelled)
        .map(|state| {
            // A state that the library's generation does not have, unless the queue has jobs in it all the same.
            let absent = move || {
                queue.with(|q| {
                    let has = known.with_value(|known| {
                        let known = known.as_ref().filter(|known| known.is_of(q));
                        known.is_none_or(|known| known.states.contains(&state))
                    });
                    !has && q.counts.get(state) == Some(0)
                })
            };
            let current = if state == jobs.state { "page" } else { "false" };
            view! {
                <a
                    href=jobs.href(&format!("state={state}"))
                    class=state_class(state)
                    class:zero=move || queue.with(|q| q.counts.get(state) == Some(0))
                    class:unknown=move || queue.with(|q| q.counts.get(state).is_none())
                    class:none=absent
                    aria-current=current
                >
                    <i aria-hidden="true">{state_mark(state)}</i>
                    <span>{state.short()}</span>
                    <b>{move || queue.with(|q| format::count_or_unknown(q.counts.get(state)))}</b>
                </a>
            }
        })
        .collect_view();
    view! {
        <div class="bar">
            <nav class="tabs" aria-label="Jobs by state">{tabs}</nav>
            <form class="find" action=action role="search">
                {to.map(|to| view! { <input type="hidden" name=TO value=to/> })}
                <label class="sr-only" for="find">"Job id"</label>
                <input id="find" name="id" type="search" placeholder="Job id" required maxlength="4096"/>
                <button>"Open"</button>
            </form>
        </div>
    }
}
