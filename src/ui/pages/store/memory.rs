//! Memory by queue, estimated, with the basis of the estimate; and the largest payloads of the sample.

use super::{MEMORY, part, percent, reason, refused};
use crate::base_path::store_path;
use crate::model::format;
use crate::model::vitals::{Answered, StoreDetail};
use crate::model::weights::{LargePayload, MemoryByQueue, QueueMemory, SAMPLE, SAMPLE_MAX, SystemMemory};
use crate::ui::components::{Ago, StateMark, state_class, state_mark};
use crate::ui::context::base;
use leptos::prelude::*;

#[component]
pub fn MemoryView(
    detail: RwSignal<StoreDetail>,
    memory: RwSignal<Answered<MemoryByQueue>>,
    store: String,
    sample: u32,
) -> impl IntoView {
    let used = Memo::new(move |_| detail.with(|d| part(d, |r| r.memory.used)));
    view! {
        <section id=MEMORY aria-labelledby="t-memory">
            <h2 id="t-memory">"Memory by queue"</h2>
            {move || memory.with(|memory| match memory {
                Answered::Known(memory) => view! { <Weighed memory=memory.clone() used store=store.clone() sample/> }.into_any(),
                other => refused(&reason(other)),
            })}
        </section>
    }
    .into_any()
}

#[component]
fn Weighed(memory: MemoryByQueue, used: Memo<Option<u64>>, store: String, sample: u32) -> impl IntoView {
    let at = memory.at;
    let (bytes, covered) = (memory.bytes, coverage(&memory));
    let systems = by_system(&memory).map(|said| view! { <p class="coverage">{said}</p> });
    let more = more(&memory, &store, sample);
    let empty = memory.queues.is_empty();
    let others = (memory.others.0 > 0).then(|| {
        view! {
            <tr class="others" data-id="others">
                <th scope="row">{format::counted(memory.others.0.into(), "more queue", "more queues")}</th>
                <td class="n">{approximately(memory.others.1)}</td>
                <td colspan="6"></td>
            </tr>
        }
    });
    let rows = memory
        .queues
        .into_iter()
        .map(|queue| view! { <Row queue used/> })
        .collect_view();
    let largest = memory.largest;
    view! {
        <p class="coverage">
            <b>{approximately(bytes)}</b>
            {move || used.get().map(|used| format!(" of {} in use", format::bytes(used)))}
            ". "{covered}" Measured "<Ago at=Signal::derive(move || Some(at))/>". "{more}
        </p>
        {systems}
        <div class="scroll" class:none=empty>
            <table class="weights">
                <thead>
                    <tr>
                        <th scope="col">"Queue"</th>
                        <th scope="col" class="n">"Memory"</th>
                        <th scope="col" title="Of all memory the store uses">"Share"</th>
                        <th scope="col" class="n">"Jobs"</th>
                        <th scope="col" class="n">"Mean payload"</th>
                        <th scope="col">"Jobs by state"</th>
                        <th scope="col" class="n" title="The queue's own lists, sets and event stream">"Lists, events"</th>
                        <th scope="col" class="n" title="Jobs that were measured; the rest is estimated from them">"Measured"</th>
                    </tr>
                </thead>
                <tbody>{rows}{others}</tbody>
            </table>
        </div>
        <Largest largest/>
    }
    .into_any()
}

/// An estimate, marked as such.
fn approximately(bytes: u64) -> String {
    format!("≈{}", format::bytes(bytes))
}

/// What the sample covered, in words.
fn coverage(memory: &MemoryByQueue) -> String {
    if memory.queues_known == 0 {
        return "No queue is known in this store.".into();
    }
    let queues = if memory.queues_weighed == memory.queues_known {
        match memory.queues_known {
            1 => "The one queue".to_owned(),
            n => format!("All {} queues", format::count(n.into())),
        }
    } else {
        format!(
            "The {} largest of {} queues, with {} of all jobs",
            format::count(memory.queues_weighed.into()),
            format::count(memory.queues_known.into()),
            percent(memory.jobs_covered, memory.jobs_known)
        )
    };
    format!(
        "{queues}, estimated from {} of {}: at most {} of each state, {}.",
        format::count(memory.jobs_weighed),
        format::counted(memory.jobs_covered, "job", "jobs"),
        memory.sample,
        format::counted(memory.commands, "command", "commands")
    )
}

/// What each system takes, if there are several.
fn by_system(memory: &MemoryByQueue) -> Option<String> {
    if memory.systems.len() < 2 {
        return None;
    }
    let queues = |of: &SystemMemory| format::counted(of.queues.into(), "queue", "queues");
    let known = memory.systems.iter().filter_map(|of| {
        let bytes = approximately(of.bytes?);
        Some(format!("{} {bytes} in {}", of.system.label(), queues(of)))
    });
    let known = format!("By system: {}.", known.collect::<Vec<_>>().join(", "));
    let unknown = memory.systems.iter().filter(|of| of.bytes.is_none());
    let unknown: Vec<String> = unknown
        .map(|of| format!("{}, {}", of.system.label(), queues(of)))
        .collect();
    Some(if unknown.is_empty() {
        known
    } else {
        format!(
            "{known} Not measured, because Drover cannot size their jobs: {}.",
            unknown.join("; ")
        )
    })
}

/// Links to a larger sample, as long as that would improve the estimate.
fn more(memory: &MemoryByQueue, store: &str, sample: u32) -> Option<AnyView> {
    let whole = memory.jobs_weighed >= memory.jobs_known;
    let next = [SAMPLE, 200, SAMPLE_MAX].into_iter().find(|next| *next > sample)?;
    if whole {
        return None;
    }
    let href = base().href(&format!("{}?sample={next}", store_path(store))) + "#store-memory";
    Some(view! { <a href=href>{format!("Measure more: {next} of each state")}</a> }.into_any())
}

#[component]
fn Row(queue: QueueMemory, used: Memo<Option<u64>>) -> impl IntoView {
    let href = base().queue(&queue.queue);
    let bytes = queue.bytes;
    let row = queue.queue.to_string();
    let mut states = queue.states;
    states.sort_by_key(|of| std::cmp::Reverse(of.bytes));
    let states = states
        .into_iter()
        .map(|of| {
            let title = format!(
                "{}: {} of {} measured",
                of.state.label(),
                format::count(of.weighed),
                format::counted(of.jobs, "job", "jobs")
            );
            view! {
                <span class=state_class(of.state) title=title>
                    <i aria-hidden="true">{state_mark(of.state)}</i>
                    {of.state.short()}" "{of.bytes.map_or_else(|| format::UNKNOWN.to_owned(), approximately)}
                </span>
            }
        })
        .collect_view();
    view! {
        <tr data-id=row>
            <th scope="row" class="name"><a href=href data-row="">{format::visible(&queue.name)}</a></th>
            <td class="n" data-l="memory"><b>{approximately(bytes)}</b></td>
            <td class="share">
                {move || used.get().map(|used| view! {
                    <progress max=used.max(1).to_string() value=bytes.min(used).to_string() aria-label="share of memory"></progress>
                    <span>{percent(bytes, used)}</span>
                })}
            </td>
            <td class="n" data-l="jobs">{format::count(queue.jobs)}</td>
            <td class="n" data-l="mean payload">{queue.mean_payload.map_or_else(|| format::UNKNOWN.to_owned(), format::bytes)}</td>
            <td class="states">{states}</td>
            <td class="n" data-l="lists, events">{format::bytes(queue.structure)}</td>
            <td class="n" data-l="weighed">{format::count(queue.weighed)}</td>
        </tr>
    }
    .into_any()
}

#[component]
fn Largest(largest: Vec<LargePayload>) -> impl IntoView {
    let base = base();
    let empty = largest.is_empty();
    let rows = largest
        .into_iter()
        .map(|payload| {
            let state = payload.state;
            view! {
                <tr>
                    <td class="n"><b>{format::bytes(payload.bytes)}</b></td>
                    <th scope="row" class="id"><a href=base.job(&payload.queue, &payload.job) data-row="">{format::visible(&payload.job)}</a></th>
                    <td>{format::visible(&payload.name)}</td>
                    <td><StateMark state=Signal::derive(move || state)/></td>
                </tr>
            }
        })
        .collect_view();
    view! {
        <div class:none=empty>
            <h3>"Largest payloads among the measured jobs"</h3>
            <table class="plain">
                <thead>
                    <tr><th scope="col" class="n">"Data"</th><th scope="col">"Job"</th><th scope="col">"Queue"</th><th scope="col">"State"</th></tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::system::System;

    #[test]
    fn an_estimate_says_what_it_is_made_of() {
        let mut memory = MemoryByQueue {
            at: 0,
            asked: 50,
            sample: 5,
            commands: 7_900,
            queues_weighed: 96,
            queues_known: 500,
            jobs_covered: 960_000,
            jobs_known: 1_000_000,
            jobs_weighed: 1_420,
            bytes: 1,
            queues: vec![],
            systems: vec![],
            others: (46, 1),
            largest: vec![],
        };
        assert_eq!(
            coverage(&memory),
            "The 96 largest of 500 queues, with 96 % of all jobs, estimated from 1,420 of 960,000 jobs: at most 5 of each \
             state, 7,900 commands."
        );
        memory.queues_weighed = 500;
        assert!(coverage(&memory).starts_with("All 500 queues, estimated"));
        let of = |system, queues, bytes| SystemMemory { system, queues, bytes };
        memory.systems = vec![of(System::BullMq, 500, Some(9_000))];
        assert_eq!(by_system(&memory), None, "one system has the whole");
        memory.systems.extend([
            of(System::Bull, 1, Some(4_000)),
            of(System::Celery, 2, None),
            of(System::Arq, 1, None),
        ]);
        assert_eq!(
            by_system(&memory).unwrap(),
            "By system: BullMQ ≈9.0 kB in 500 queues, Bull ≈4.0 kB in 1 queue. Not measured, because Drover cannot size \
             their jobs: Celery, 2 queues; arq, 1 queue."
        );
        memory.queues_known = 0;
        assert!(coverage(&memory).starts_with("No queue"));
    }
}
