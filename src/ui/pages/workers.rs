//! Which worker serves which queue: queues without a worker they need come first.

use super::fleet::{Part, address, crumbs, filter_box, store_trouble, table};
use crate::base_path::queue_path;
use crate::model::counts::Total;
use crate::model::format;
use crate::model::queue::QueueRef;
use crate::model::verdict::Level;
use crate::model::worker::{Crew, FleetFilter, NameCount, Staffing, Worker, WorkersPage};
use crate::ui::components::{Ago, level_class};
use crate::ui::context::base;
use crate::ui::live::Live;
use leptos::prelude::*;

#[component]
pub fn WorkersView(page: WorkersPage) -> impl IntoView {
    let base = base();
    let filter = page.filter.clone();
    let sums = sums(&page);
    let (empty, unread) = (page.queues.is_empty(), is_unread(&page));
    let stores = page.stores.iter();
    let troubles: Vec<_> = stores
        .map(|s| {
            let part = Part {
                store: &s.store,
                reach: s.reach,
                since: s.since,
                cause: s.cause.as_deref(),
                as_of: s.as_of,
                trouble: s.refused.as_deref(),
                partly: s.partly,
                what: if s.partly { "workers of some queues" } else { "workers" },
            };
            store_trouble(&base, &part)
        })
        .collect();
    let head = view! {
        <th scope="col">"Verdict"</th>
        <th scope="col">"Queue and its workers"</th>
        <th scope="col" class="n" title="Ready to be taken: waiting and prioritized">"Waiting"</th>
        <th scope="col" class="n" title="By all workers of the queue together">"Active"</th>
        <th scope="col" class="n">"Workers"</th>
        <th scope="col">"Address"</th>
        <th scope="col">"Connected"</th>
        <th scope="col" title="A worker with no free slot makes no calls">"Last call"</th>
        <th scope="col" title="Inferred from the command it blocks on">"Library"</th>
    };
    let rows = page.queues.iter().map(rows).collect_view();
    view! {
        {crumbs(&base, "Workers", &filter)}
        <header class="head">
            <h1>"Workers"</h1>
            <p class="sums">{sums}</p>
        </header>
        {troubles}
        <div class="fleet-bar">
            {filter_box(&base, "/workers", &filter, "Queue, worker or address")}
            {names(page.names)}
        </div>
        {if empty {
            view! { <p class="empty">{nothing(!filter.is_empty(), unread)}</p> }.into_any()
        } else {
            table("crews", "Queues and their workers, queues with jobs but no worker first", head.into_any(), rows.into_any())
        }}
        {(!page.detailed)
            .then(|| view! { <p class="note">"Hundreds of workers: each queue is one line. Open a queue's number of workers, or filter, to see them one by one."</p> })}
        <Footnotes/>
    }
    .into_any()
}

const fn nothing(filtered: bool, unread: bool) -> &'static str {
    if unread {
        "Not known: a store has not been read yet. The reason is above; Drover keeps trying."
    } else if filtered {
        "No queue and no worker matches. Clear the filter to see all."
    } else {
        "No queue is known yet, and no worker is connected."
    }
}

fn sums(page: &WorkersPage) -> String {
    let shown = page.queues.len() as u64;
    let deserted = |crew: &&Crew| matches!(crew.standing, Staffing::Deserted | Staffing::Lost);
    let of = if shown == u64::from(page.queues_in_all) {
        String::new()
    } else {
        format!(" of {}", format::count(page.queues_in_all.into()))
    };
    let trouble = match page.queues.iter().filter(deserted).count() {
        0 => String::new(),
        1 => "; 1 queue has jobs but no worker".to_owned(),
        n => format!("; {n} queues have jobs but no worker"),
    };
    let untold = page.stores.iter().any(|store| store.refused.is_some());
    format!(
        "{} worker{} on {}{of} queue{}{trouble}",
        Total::of(page.workers.into(), untold || is_unread(page)),
        plural(page.workers.into()),
        Total::of(shown, is_unread(page)),
        plural(page.queues_in_all.into())
    )
}

fn plural(n: u64) -> &'static str {
    if n == 1 { "" } else { "s" }
}

/// Whether there may be queues and workers that the board does not know.
fn is_unread(page: &WorkersPage) -> bool {
    page.stores.iter().any(|store| store.as_of.is_none())
}

/// The most frequent names, each a filter.
fn names(names: Vec<NameCount>) -> AnyView {
    let base = base();
    let name = |count: NameCount| {
        let text = format!(
            "{} × {}",
            format::count(count.workers.into()),
            label(count.name.as_deref())
        );
        let title = format!("on {}", format::counted(count.queues.into(), "queue", "queues"));
        match count.name {
            Some(name) => {
                let filter = FleetFilter { q: name, queue: None };
                view! { <li><a href=address(&base, "/workers", &filter) title=title>{text}</a></li> }.into_any()
            }
            None => view! { <li title=title>{text}</li> }.into_any(),
        }
    };
    let names = names.into_iter().map(name).collect_view();
    view! { <ul class="names" aria-label="Workers by name">{names}</ul> }.into_any()
}

fn label(name: Option<&str>) -> String {
    name.map_or_else(|| "without a name".to_owned(), format::visible)
}

/// A queue and its workers.
fn rows(crew: &Crew) -> AnyView {
    let live = expect_context::<Live>();
    let base = base();
    let key = &crew.queue;
    let (name, id) = (format::visible(&crew.name), format::visible(&key.queue));
    let alone = FleetFilter {
        q: String::new(),
        queue: Some(key.clone()),
    };
    let zero = |n: Option<u64>| n == Some(0);
    let count = crew.count.map(u64::from);
    let (sentence, summary) = (crew.sentence(live.now.get_untracked()), summary(crew));
    let silent = sentence.is_empty() && summary.is_empty();
    let more = u64::from(crew.count.unwrap_or(0)).saturating_sub(crew.workers.len() as u64);
    let more = (more > 0 && !crew.workers.is_empty()).then(|| {
        view! { <tr class="one" data-id=format!("{key} more")><td></td><td colspan="8">{format!("and {} more", format::count(more))}</td></tr> }
    });
    let title = if crew.on_board {
        view! { <a href=base.href(&queue_path(key)) data-row="" title=id>{name}</a> }.into_any()
    } else {
        view! { <span title=id>{name}" "<small>"not on the board"</small></span> }.into_any()
    };
    view! {
        <tr class="crew" data-id=key.to_string() class:loud=crew.level == Level::Bad>
            <td class="v"><span class=level_class(crew.level)>{crew.level.word()}</span></td>
            <th scope="row" class="name">{title}<small>{key.store.clone()}</small></th>
            <td class="n backlog" data-l="waiting" class:zero=zero(crew.waiting)>{format::count_or_unknown(crew.waiting)}</td>
            <td class="n flight" data-l="active" class:zero=zero(crew.active)>{format::count_or_unknown(crew.active)}</td>
            <td class="n count" data-l="workers" class:zero=zero(count)>
                <a href=address(&base, "/workers", &alone) title="Only this queue, with all its workers">{format::count_or_unknown(count)}</a>
            </td>
            <td class="crew-about" class:blank=silent colspan="4">
                <span class="sentence">{sentence}</span>
                <span class="dim">{summary}</span>
            </td>
        </tr>
        {crew.workers.iter().map(|worker| row(key, worker)).collect_view()}
        {more}
    }
    .into_any()
}

/// Its workers by name where they are not listed, and its other connections.
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
        parts.push(format::counted(
            (crew.names.len() - NAMED) as u64,
            "more name",
            "more names",
        ));
    }
    match crew.hosts {
        // A single address is shown already.
        0 | 1 => {}
        n => parts.push(format!("{} hosts", format::count(n.into()))),
    }
    match crew.listeners {
        0 => {}
        1 => parts.push("1 event listener".into()),
        n => parts.push(format!("{} event listeners", format::count(n.into()))),
    }
    parts.join(" · ")
}

/// One worker.
fn row(queue: &QueueRef, worker: &Worker) -> AnyView {
    let live = expect_context::<Live>();
    let client = worker.client.as_deref().map(format::visible);
    let called = live.now.get_untracked() - i64::try_from(worker.idle_s).unwrap_or(0) * 1000;
    // A worker of pg-boss reports its version itself.
    let library = match worker.generation {
        Some(generation) => generation.label(),
        None if client.is_some() => "",
        None => "not known yet",
    };
    view! {
        <tr class="one" data-id=format!("{queue} {}", worker.id)>
            <td></td>
            <th scope="row" colspan="4" title=format!("connection {}", worker.id) class:dim=worker.name.is_none()>{label(worker.name.as_deref())}</th>
            <td class="address" data-l="from">{format::visible(&worker.address)}</td>
            <td data-l="connected"><Ago at=Some(worker.since)/></td>
            <td data-l="last call"><Ago at=Some(called)/></td>
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
                    "From the store's list of connections: a worker names its blocking connection after its queue. \
                     One worker object is one line, whatever its concurrency; how many jobs it can run at once is not \
                     in the store."
                </li>
                <li>
                    "Workers whose connections have another name (set by the application, shared through a proxy, or \
                     with another prefix) are not shown, although they process jobs. If jobs become active here \
                     without a worker, that is why."
                </li>
                <li>"The library is inferred from the command a worker blocks on. A queue's version is that of the last client that opened it, not of its workers."</li>
                <li>"An address is what the store sees: behind a proxy or NAT it is not the worker's own. Listeners follow a queue's events and do no work."</li>
                <li>"pg-boss workers come from its own register, which each process renews about twice a minute (12.36 and later)."</li>
                <li>"Celery workers send heartbeats, which do not name queues: how many work for a queue is known only where none is heard."</li>
                <li>"arq workers of a queue all write the same line of figures: how many there are is not known. That there is none is known where no line is there and no connection asks for jobs."</li>
                <li>"Workers of an application's own lists are not listed in Redis: that there is none is known where a profile names a heartbeat key and it is not there."</li>
            </ul>
        </aside>
    }
}
