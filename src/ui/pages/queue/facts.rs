//! What a queue is and how it does at this moment: version, workers, rates, the next job.

use crate::model::format;
use crate::model::queue::QueueSummary;
use crate::ui::live::Live;
use leptos::prelude::*;

#[component]
pub fn Facts(queue: RwSignal<QueueSummary>) -> impl IntoView {
    let live = expect_context::<Live>();
    let evidence = move || queue.with(|q| q.family.map(|family| family.evidence.sentence()).unwrap_or_default());
    view! {
        <dl class="facts">
            <div><dt>"System"</dt><dd title=evidence>{move || queue.with(version)}</dd></div>
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

/// The generation by evidence, and behind it what the last client wrote of itself.
fn version(queue: &QueueSummary) -> String {
    let label = queue
        .family
        .map_or_else(|| queue.system.label(), |family| family.layout.label());
    match queue.version.as_deref() {
        Some(version) => format!(
            "{label} ({})",
            format::visible(version.strip_prefix("bullmq:").unwrap_or(version))
        ),
        None => label.to_owned(),
    }
}
