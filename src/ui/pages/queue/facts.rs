//! The facts of a queue at this moment: version, workers, rates, the next job.

use super::Known;
use crate::model::capability::Generation;
use crate::model::format;
use crate::model::queue::QueueSummary;
use crate::model::worker::UNSEEN;
use crate::ui::live::Live;
use leptos::prelude::*;

#[component]
pub fn Facts(queue: RwSignal<QueueSummary>, known: Known) -> impl IntoView {
    let live = expect_context::<Live>();
    let evidence = move || {
        queue.with(|q| {
            let word = q.family.as_ref().map(|family| family.evidence.as_ref());
            known.with_value(|known| Some(known.as_ref()?.evidence.get(word?)?.clone()))
        })
    };
    view! {
        <dl class="facts">
            <div><dt>"System"</dt><dd title=evidence>{move || queue.with(|q| known.with_value(|known| version(q, known.as_ref())))}</dd></div>
            <div>
                <dt>"Workers"</dt>
                <dd>{move || queue.with(|q| match q.unseen {
                    true => UNSEEN.trim_end_matches('.').to_owned(),
                    false => format::count_or_unknown(q.workers.map(u64::from)),
                })}</dd>
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
                <dt>"Oldest waiting job"</dt>
                <dd>
                    {move || queue.with(|q| match (q.counts.backlog(), q.oldest_waiting) {
                        (Some(0), _) => "none".to_owned(),
                        (_, Some(_)) => q.waited(live.its_clock()),
                        _ => q.waited_note(live.its_clock()).unwrap_or_else(|| format::UNKNOWN.into()),
                    })}
                </dd>
            </div>
            <div>
                <dt>"Status"</dt>
                <dd>{move || queue.with(|q| match q.paused { Some(true) => "paused", Some(false) => "running", None => format::UNKNOWN })}</dd>
            </div>
            {known.with_value(|known| known.as_ref()?.uncounted.clone()).map(|why| view! { <div><dt>"Rates"</dt><dd class="said">{why}</dd></div> })}
            // The verdict already gives the reason where all counts are unknown.
            {move || queue.with(|q| q.reason.clone().filter(|why| *why != q.verdict.reason)).map(|why| view! { <div><dt>"Counts"</dt><dd class="said">{why}</dd></div> })}
        </dl>
    }
}

/// The generation with its evidence, followed by the version that the last client wrote.
fn version(queue: &QueueSummary, known: Option<&Generation>) -> String {
    let known = known.filter(|known| known.is_of(queue));
    let label = known.map_or_else(|| queue.system.label(), |known| known.label.as_str());
    match queue.version.as_deref() {
        Some(version) => format!(
            "{label} ({})",
            format::visible(version.strip_prefix("bullmq:").unwrap_or(version))
        ),
        None => label.to_owned(),
    }
}
