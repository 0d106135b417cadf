//! One queue: how it does, and its jobs of one state.

use crate::base_path::{BasePath, TO, queue_path};
use crate::model::event::{Frame, JobChange, Topic, encode_segment};
use crate::model::format;
use crate::model::job::JobRow;
use crate::model::page::{JobPageRows, Order, PAGE_SIZE, QueuePage};
use crate::model::queue::{QueueRef, QueueSummary};
use crate::model::state::JobState;
use crate::model::store::{Reach, StoreSummary};
use crate::ui::app::base;
use crate::ui::components::{StoreBanner, VerdictLine, state_class, state_mark};
use crate::ui::live::{self, Live};
use leptos::prelude::*;
use list::List;

pub mod list;

/// The list is read again at most this often.
const REREAD_MS: i32 = 1_000;

/// What the chart covers.
const HOUR: i64 = 3_600_000;

/// The chart is drawn again this often.
const REDRAW_MS: i32 = 10_000;

/// A job's line, which changes in place.
#[derive(Clone, Debug)]
pub struct Line {
    id: String,
    row: RwSignal<JobRow>,
}

/// The list and what keeps it true.
#[derive(Clone, Copy, Debug)]
pub struct Jobs {
    key: StoredValue<QueueRef>,
    base: StoredValue<BasePath>,
    state: JobState,
    order: Order,
    /// Where the list is read again, and where the reader stands.
    url: StoredValue<String>,
    first_page: bool,
    lines: RwSignal<Vec<Line>>,
    page: RwSignal<Result<JobPageRows, String>>,
    /// Things that happened to this list and are not on the page yet.
    news: RwSignal<u64>,
    rereading: StoredValue<bool>,
}

#[component]
pub fn QueueView(page: QueuePage, after: String) -> impl IntoView {
    let live = expect_context::<Live>();
    let base = base();
    let key = page.queue.key();
    let queue = RwSignal::new(page.queue);
    let store = RwSignal::new(page.store);
    let chart = RwSignal::new(page.chart);
    let since = page.watched_since;
    let gone = RwSignal::new(false);
    let jobs = Jobs {
        key: StoredValue::new(key.clone()),
        base: StoredValue::new(base.clone()),
        state: page.state,
        order: page.order,
        url: StoredValue::new(base.href(&format!(
            "/api/v1{}/jobs?{}",
            queue_path(&key),
            query(page.state, page.order, page.limit, page.cursor.as_deref())
        ))),
        first_page: page.cursor.is_none(),
        lines: RwSignal::new(lines_of(&page.jobs)),
        page: RwSignal::new(page.jobs),
        news: RwSignal::new(0),
        rereading: StoredValue::new(false),
    };
    let topic = Topic::Queue(key.clone()).to_string();
    live::follow(
        live,
        &topic,
        after,
        Box::new(move |frame, snapshot| {
            take_line(queue, store, gone, &frame);
            jobs.take(&frame, snapshot);
        }),
    );
    redraw(chart, base.href(&format!("{}/chart.svg", queue_path(&key))));
    let (name, id) = queue.with_untracked(|q| (format::visible(&q.name), format::visible(&q.id)));
    view! {
        <nav class="crumbs" aria-label="Breadcrumbs">
            <a href=base.href("/") data-up="">"All queues"</a>
            <span>{key.store.clone()}</span>
        </nav>
        <header class="head">
            <h1 title=id>{name}</h1>
            <Facts queue/>
        </header>
        <StoreBanner store/>
        {move || gone.get().then(|| view! { <div class="banner" role="alert"><strong>"This queue is no more."</strong><p>"Nothing of it is left in the store."</p></div> })}
        <div class:stale=move || store.with(|s| s.reach != Reach::Live)>
            <VerdictLine verdict=Signal::derive(move || queue.with(|q| q.verdict.clone()))/>
            <figure class="throughput">
                <figcaption>
                    "Jobs per minute "
                    <span class="key-in">"added"</span>" "<span class="key-out">"finished"</span>" "<span class="key-failed">"failed"</span>
                    {move || {
                        (live.now.get() - since < HOUR)
                            .then(|| view! { <small>{format!(" counted from events since {}; before, jobs that finished and are still kept", format::clock(since))}</small> })
                    }}
                </figcaption>
                <div inner_html=move || chart.get()></div>
            </figure>
            <Tabs queue jobs/>
            <List jobs store/>
        </div>
    }
    .into_any()
}

fn lines_of(page: &Result<JobPageRows, String>) -> Vec<Line> {
    page.iter().flat_map(|page| &page.rows).map(new_line).collect()
}

fn new_line(row: &JobRow) -> Line {
    Line {
        id: row.id.clone(),
        row: RwSignal::new(row.clone()),
    }
}

/// What stands behind `?` for a list, without what is the default anyway.
fn query(state: JobState, order: Order, limit: usize, cursor: Option<&str>) -> String {
    let mut query = format!("state={state}");
    if order != Order::of(state) {
        query += &format!("&order={}", order.as_str());
    }
    if limit != PAGE_SIZE {
        query += &format!("&limit={limit}");
    }
    if let Some(cursor) = cursor {
        query += &format!("&cursor={}", encode_segment(cursor));
    }
    query
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

fn redraw(chart: RwSignal<String>, url: String) {
    live::set_timeout(REDRAW_MS, move || {
        let again = url.clone();
        live::fetch_text(url, move |svg| {
            if let Some(svg) = svg {
                chart.set(svg);
            }
            redraw(chart, again);
        });
    });
}

impl Jobs {
    /// The address of this queue's page with a query.
    fn href(self, query: &str) -> String {
        let path = self.key.with_value(queue_path);
        self.base.with_value(|base| base.href(&format!("{path}?{query}")))
    }

    /// Takes in what happened to jobs: lines on the page change in place, and the list is read again
    /// soon, unless the reader is in it.
    fn take(self, frame: &Frame, snapshot: bool) {
        let mut touched = frame.more_jobs;
        for change in &frame.jobs {
            let shown = self
                .lines
                .with_untracked(|lines| lines.iter().find(|line| line.id == change.id).map(|line| line.row));
            match shown {
                Some(row) => {
                    apply(row, change);
                    touched += u64::from(change.removed || change.state.is_some_and(|state| state != self.state));
                }
                None => touched += u64::from(self.belongs(change)),
            }
        }
        if touched > 0 || snapshot {
            self.news.update(|news| *news += touched);
            self.reread_soon();
        }
    }

    /// Whether a job that is not on the page may have come into this list.
    fn belongs(self, change: &JobChange) -> bool {
        match change.state {
            // The event for a prioritized job says "waiting" too.
            Some(JobState::Waiting) => matches!(self.state, JobState::Waiting | JobState::Prioritized),
            Some(state) => state == self.state,
            None => false,
        }
    }

    fn reread_soon(self) {
        if self.rereading.get_value() {
            return;
        }
        self.rereading.set_value(true);
        live::set_timeout(REREAD_MS, move || {
            self.rereading.set_value(false);
            // Further pages stay as they are: their reader is looking for something.
            if self.first_page && !live::pointer_inside("jobs") {
                self.reread();
            } else if self.first_page && self.news.get_untracked() > 0 {
                self.reread_soon();
            }
        });
    }

    fn reread(self) {
        live::fetch_json::<JobPageRows>(self.url.get_value(), move |page| {
            let Some(page) = page else { return };
            self.lines.update(|lines| {
                *lines = page
                    .rows
                    .iter()
                    .map(|row| match lines.iter().find(|line| line.id == row.id) {
                        Some(line) => {
                            if line.row.with_untracked(|known| known != row) {
                                line.row.set(row.clone());
                            }
                            line.clone()
                        }
                        None => new_line(row),
                    })
                    .collect();
            });
            self.page.set(Ok(page));
            self.news.set(0);
        });
    }
}

fn apply(row: RwSignal<JobRow>, change: &JobChange) {
    row.update(|row| {
        if let Some(state) = change.state {
            row.state = state;
        }
        if change.progress.is_some() {
            row.progress.clone_from(&change.progress);
        }
        if change.error.is_some() {
            row.error.clone_from(&change.error);
        }
        if change.removed {
            row.problem = Some("removed".into());
        }
    });
}

#[component]
fn Facts(queue: RwSignal<QueueSummary>) -> impl IntoView {
    let live = expect_context::<Live>();
    view! {
        <dl class="facts">
            <div><dt>"System"</dt><dd>{move || queue.with(version)}</dd></div>
            <div>
                <dt>"Workers"</dt>
                <dd>{move || queue.with(|q| format::count_or_unknown(q.workers.map(u64::from)))}</dd>
            </div>
            <div>
                <dt>"In → out /min"</dt>
                <dd>
                    {move || queue.with(|q| q.rates.map_or_else(
                        || format::UNKNOWN.to_owned(),
                        |r| format!("{} → {}", format::rate(r.arrivals), format::rate(r.departures)),
                    ))}
                </dd>
            </div>
            <div>
                <dt>"Next has waited"</dt>
                <dd>
                    {move || queue.with(|q| match (q.counts.backlog(), q.oldest_waiting) {
                        (Some(0), _) => "nothing waits".to_owned(),
                        (_, Some(at)) => format::span(live.now.get().saturating_sub(at)),
                        _ => format::UNKNOWN.to_owned(),
                    })}
                </dd>
            </div>
            <div>
                <dt>"Hands out work"</dt>
                <dd>{move || queue.with(|q| match q.paused { Some(true) => "no, paused", Some(false) => "yes", None => format::UNKNOWN })}</dd>
            </div>
        </dl>
    }
    .into_any()
}

/// What the library said of itself. The last client that opened the queue wrote it.
fn version(queue: &QueueSummary) -> String {
    match queue.version.as_deref().and_then(|v| v.split_once(':')) {
        Some((_, version)) => format!("{} ({})", queue.system, format::visible(version)),
        None => queue.system.to_string(),
    }
}

/// One tab per state, each a link with its count.
#[component]
fn Tabs(queue: RwSignal<QueueSummary>, jobs: Jobs) -> impl IntoView {
    let find = format!("{}/find", jobs.key.with_value(queue_path));
    let action = jobs.base.with_value(|base| base.href(&find));
    // A form that is sent by GET replaces the query of its address.
    let (action, to) = match action.split_once('?') {
        Some((action, _)) => (action.to_owned(), Some(find)),
        None => (action, None),
    };
    let tabs = JobState::ALL
        .into_iter()
        .map(|state| {
            let current = if state == jobs.state { "page" } else { "false" };
            view! {
                <a
                    href=jobs.href(&format!("state={state}"))
                    class=state_class(state)
                    class:zero=move || queue.with(|q| q.counts.get(state) == Some(0))
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
                <input id="find" name="id" type="search" placeholder="Job id" required maxlength="4096" data-search=""/>
                <button>"Open"</button>
            </form>
        </div>
    }
    .into_any()
}
