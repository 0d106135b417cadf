//! Who works for which queue: nobody where somebody should comes first.

use super::fleet::{address, crumbs, filter_box, store_trouble};
use crate::base_path::queue_path;
use crate::model::format;
use crate::model::queue::QueueRef;
use crate::model::verdict::Level;
use crate::model::worker::{Crew, FleetFilter, NameCount, Roster, Standing, Worker, WorkersPage};
use crate::ui::app::base;
use crate::ui::components::level_class;
use crate::ui::live::Live;
use leptos::prelude::*;

/// A queue's lines, which change in place.
#[derive(Clone)]
struct Line {
    key: QueueRef,
    crew: RwSignal<Crew>,
}

/// What is on the page.
#[derive(Clone, Copy)]
struct Board {
    lines: RwSignal<Vec<Line>>,
    stores: RwSignal<Vec<Roster>>,
    names: RwSignal<Vec<NameCount>>,
    /// Workers shown, and all queues.
    totals: RwSignal<(u32, u32)>,
    detailed: RwSignal<bool>,
}

#[component]
pub fn WorkersView(page: WorkersPage) -> impl IntoView {
    let base = base();
    let filter = page.filter.clone();
    let board = Board {
        lines: RwSignal::new(page.queues.into_iter().map(line).collect()),
        stores: RwSignal::new(page.stores),
        names: RwSignal::new(page.names),
        totals: RwSignal::new((page.workers, page.queues_in_all)),
        detailed: RwSignal::new(page.detailed),
    };
    let filtered = !filter.is_empty();
    view! {
        {crumbs(&base, "Workers", &filter)}
        <header class="head">
            <h1>"Workers"</h1>
            <p class="sums">{move || board.sums()}</p>
        </header>
        {move || {
            board
                .stores
                .get()
                .into_iter()
                .map(|s| store_trouble(&s.store, s.reach, s.refused.as_deref(), "workers"))
                .collect_view()
        }}
        <div class="fleet-bar">
            {filter_box(&base, "/workers", &filter, "Queue, worker or address")}
            <Names names=board.names/>
        </div>
        {move || {
            board.lines.with(Vec::is_empty).then(|| view! { <p class="empty">{nothing(filtered)}</p> })
        }}
        <div class="scroll">
            <table class="fleet crews" id="fleet" class:none=move || board.lines.with(Vec::is_empty)>
                <caption class="sr-only">"Queues and their workers, those with work and nobody to do it first"</caption>
                <thead>
                    <tr>
                        <th scope="col">"Verdict"</th>
                        <th scope="col">"Queue and its workers"</th>
                        <th scope="col" class="n" title="Ready to be taken: waiting and prioritized">"Waiting"</th>
                        <th scope="col" class="n" title="By all workers of the queue together">"Active"</th>
                        <th scope="col" class="n">"Workers"</th>
                        <th scope="col">"Address"</th>
                        <th scope="col">"Connected"</th>
                        <th scope="col" title="A worker that is busy in every slot asks for nothing">"Last call"</th>
                        <th scope="col" title="What the command it blocks in tells">"Library"</th>
                    </tr>
                </thead>
                <tbody>
                    <For each=move || board.lines.get() key=|line| line.key.clone() let:line>
                        <Rows line/>
                    </For>
                </tbody>
            </table>
        </div>
        {move || {
            (!board.detailed.get())
                .then(|| view! { <p class="note">"Hundreds of workers: each queue is one line. Open a queue's number of workers, or filter, to see them one by one."</p> })
        }}
        <Footnotes/>
    }
    .into_any()
}

fn line(crew: Crew) -> Line {
    Line {
        key: crew.queue.clone(),
        crew: RwSignal::new(crew),
    }
}

const fn nothing(filtered: bool) -> &'static str {
    if filtered {
        "No queue and no worker matches. Clear the filter to see all."
    } else {
        "No queue is known yet, and nobody who works for one is connected."
    }
}

impl Board {
    fn sums(self) -> String {
        let (workers, in_all) = self.totals.get();
        let (shown, deserted) = self.lines.with(|lines| {
            let bad = |line: &&Line| {
                line.crew
                    .with(|crew| matches!(crew.standing, Standing::Deserted | Standing::Lost))
            };
            (lines.len(), lines.iter().filter(bad).count())
        });
        let of = if shown as u64 == u64::from(in_all) {
            String::new()
        } else {
            format!(" of {}", format::count(in_all.into()))
        };
        let trouble = match deserted {
            0 => String::new(),
            1 => ", one with work and nobody to do it".to_owned(),
            n => format!(", {n} with work and nobody to do it"),
        };
        format!(
            "{} connected, {}{of} queues{trouble}",
            format::count(workers.into()),
            format::count(shown as u64)
        )
    }
}

/// The most frequent names, each a filter.
#[component]
fn Names(names: RwSignal<Vec<NameCount>>) -> impl IntoView {
    let base = base();
    view! {
        <ul class="names" aria-label="Workers by name">
            {move || {
                names
                    .get()
                    .into_iter()
                    .map(|count| {
                        let text = format!("{} × {}", format::count(count.workers.into()), label(count.name.as_deref()));
                        let title = format!("on {} queues", format::count(count.queues.into()));
                        match count.name {
                            Some(name) => {
                                let filter = FleetFilter { q: name, queue: None };
                                view! { <li><a href=address(&base, "/workers", &filter) title=title>{text}</a></li> }.into_any()
                            }
                            None => view! { <li title=title>{text}</li> }.into_any(),
                        }
                    })
                    .collect_view()
            }}
        </ul>
    }
    .into_any()
}

fn label(name: Option<&str>) -> String {
    name.map_or_else(|| "without a name".to_owned(), format::visible)
}

/// A queue and its workers.
#[component]
fn Rows(line: Line) -> impl IntoView {
    let live = expect_context::<Live>();
    let base = base();
    let crew = line.crew;
    let (name, id, on_board) =
        crew.with_untracked(|c| (format::visible(&c.name), format::visible(&c.queue.queue), c.on_board));
    let href = base.href(&queue_path(&line.key));
    let alone = FleetFilter {
        q: String::new(),
        queue: Some(line.key.clone()),
    };
    let alone = address(&base, "/workers", &alone);
    let number = move |f: fn(&Crew) -> Option<u64>| move || crew.with(|c| format::count_or_unknown(f(c)));
    let zero = move |f: fn(&Crew) -> Option<u64>| move || crew.with(|c| f(c) == Some(0));
    let loud = move || crew.with(|c| c.level == Level::Bad);
    // Whether there is nothing to say does not depend on the time.
    let silent = move || crew.with(|c| c.sentence(0).is_empty() && summary(c).is_empty());
    let (row, rest) = (line.key.to_string(), format!("{} more", line.key));
    view! {
        <tr class="crew" data-id=row class:loud=loud>
            <td class="v">
                <span class=move || level_class(crew.with(|c| c.level))>{move || crew.with(|c| c.level.word())}</span>
            </td>
            <th scope="row" class="name">
                {if on_board {
                    view! { <a href=href data-row="" title=id>{name}</a> }.into_any()
                } else {
                    view! { <span title=id>{name}" "<small>"not on the board"</small></span> }.into_any()
                }}
                <small>{line.key.store.clone()}</small>
            </th>
            <td class="n backlog" data-l="waiting" class:zero=zero(|c| c.waiting)>{number(|c| c.waiting)}</td>
            <td class="n flight" data-l="active" class:zero=zero(|c| c.active)>{number(|c| c.active)}</td>
            <td class="n count" data-l="workers" class:zero=zero(|c| c.count.map(u64::from))>
                <a href=alone title="Only this queue, with all its workers">{number(|c| c.count.map(u64::from))}</a>
            </td>
            <td class="crew-about" class:blank=silent colspan="4">
                <span class="sentence">{move || crew.with(|c| c.sentence(live.now.get()))}</span>
                <span class="dim">{move || crew.with(summary)}</span>
            </td>
        </tr>
        <For each=move || crew.with(|c| c.workers.clone()) key=|worker| worker.id let:worker>
            <Row crew worker/>
        </For>
        {move || {
            let more = crew.with(|c| u64::from(c.count.unwrap_or(0)).saturating_sub(c.workers.len() as u64));
            (more > 0 && crew.with(|c| !c.workers.is_empty()))
                .then(|| view! { <tr class="one" data-id=rest.clone()><td></td><td colspan="8">{format!("and {} more", format::count(more))}</td></tr> })
        }}
    }
    .into_any()
}

/// Its workers by name where they are not listed, and who else is there.
fn summary(crew: &Crew) -> String {
    const NAMED: usize = 5;
    let listed = crew.count == u32::try_from(crew.workers.len()).ok();
    let mut parts: Vec<String> = crew
        .names
        .iter()
        .take(if listed { 0 } else { NAMED })
        .map(|(name, count)| match (name, count) {
            (Some(name), 1) => format::visible(name),
            (name, count) => format!("{} × {}", format::count((*count).into()), label(name.as_deref())),
        })
        .collect();
    if crew.names.len() > NAMED && !listed {
        parts.push(format!("{} more names", crew.names.len() - NAMED));
    }
    match crew.hosts {
        // One address speaks for itself.
        0 | 1 => {}
        n => parts.push(format!("{} hosts", format::count(n.into()))),
    }
    match crew.listeners {
        0 => {}
        1 => parts.push("one listener to its events".into()),
        n => parts.push(format!("{} listeners to its events", format::count(n.into()))),
    }
    parts.join(" · ")
}

/// One worker.
#[component]
fn Row(crew: RwSignal<Crew>, worker: Worker) -> impl IntoView {
    let live = expect_context::<Live>();
    let (id, since, named) = (worker.id, worker.since, worker.name.is_some());
    let client = worker.client.as_deref().map(format::visible);
    let number = format!("connection {id}");
    let row = crew.with_untracked(|c| format!("{} {id}", c.queue));
    let first = (worker.idle_s, worker.generation);
    // These two change while it works.
    let lately = Memo::new(move |_| {
        crew.with(|c| {
            c.workers
                .iter()
                .find(|w| w.id == id)
                .map_or(first, |w| (w.idle_s, w.generation))
        })
    });
    let idle = move || {
        format!(
            "{} ago",
            format::span(i64::try_from(lately.get().0).unwrap_or(0) * 1000)
        )
    };
    let library = move || lately.get().1.map_or("not known yet", |generation| generation.label());
    view! {
        <tr class="one" data-id=row>
            <td></td>
            <th scope="row" colspan="4" title=number class:dim=!named>{label(worker.name.as_deref())}</th>
            <td class="address" data-l="from">{format::visible(&worker.address)}</td>
            <td data-l="connected">
                <time datetime=format::iso(since) title=move || live.both_moments(since)>
                    {move || format!("{} ago", format::span(live.now.get() - since))}
                </time>
            </td>
            <td data-l="last call">{idle}</td>
            <td>{library}{client.map(|client| view! { " "<small>{client}</small> })}</td>
        </tr>
    }
    .into_any()
}

/// What the page cannot know.
#[component]
fn Footnotes() -> impl IntoView {
    view! {
        <aside class="note" aria-label="How workers are counted">
            <h2>"How workers are counted"</h2>
            <ul>
                <li>
                    "From the store's list of connections: a worker names its blocking connection after its queue. One worker object is one line, \
                     whatever its concurrency; how many jobs it can do at once is not in the store."
                </li>
                <li>
                    "Workers whose connections carry another name (set by the application, shared through a proxy, or with another prefix) are not seen, \
                     although their jobs are done. If jobs become active here without a worker, that is why."
                </li>
                <li>"The library is told from the command a worker blocks in. The version a queue shows is of whoever opened it last, not of who works."</li>
                <li>"An address is what the store sees: behind a proxy or NAT it is not the worker's own. Listeners follow a queue's events and do no work."</li>
            </ul>
        </aside>
    }
}
