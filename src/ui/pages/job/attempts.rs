//! The stacks of failed attempts, the newest first and unfolded.

use super::Shown;
use crate::model::format;
use crate::model::job::{JobDetail, Trace};
use crate::ui::components::with_rules;
use leptos::prelude::*;

type Traces = (Vec<Trace>, u64, u64, Option<String>);

fn traces(job: &JobDetail) -> Traces {
    (
        job.traces.clone(),
        job.traces_total,
        job.traces_size,
        job.traces_note.clone(),
    )
}

/// The section, if any attempt left a stack.
pub fn attempts(shown: Shown) -> AnyView {
    let traces = super::part(shown.job, traces);
    (move || {
        let (traces, total, size, note) = traces.get();
        if traces.is_empty() && note.is_none() {
            return ().into_any();
        }
        let cut = traces.iter().any(|trace| trace.cut) || (traces.len() as u64) < total;
        let hidden = total.saturating_sub(traces.len() as u64);
        let withheld = shown.job.with_untracked(|job| job.withheld);
        let items = traces.iter().enumerate().rev();
        let items = items.enumerate().map(|(i, (at, trace))| item(shown, (i, at), trace, total)).collect_view();
        let href = shown.place.with_value(|place| place.field("stacktrace"));
        view! {
            <section class="span traces" aria-labelledby="t-attempts">
                <div class="value-head">
                    <h2 id="t-attempts">"Failed attempts"</h2>
                    <small>{format!("{} on record, newest first", format::count(total))}</small>
                    {((cut || !traces.is_empty()) && !withheld).then(|| {
                        let text = if cut { format!("Download all {}", format::bytes(size)) } else { "Download".into() };
                        view! { <a href=href download="">{text}</a> }
                    })}
                </div>
                {note.map(|note| view! { <p class="empty">{note}</p> })}
                {items}
                {(hidden > 0 && !withheld).then(|| view! { <p class="empty">{format!("{} earlier ones are not shown.", format::count(hidden))}</p> })}
            </section>
        }
        .into_any()
    })
    .into_any()
}

/// The stack at index `at` of the record, the `i`th from the newest.
fn item(shown: Shown, (i, at): (usize, usize), trace: &Trace, total: u64) -> AnyView {
    let number = match trace.attempt {
        Some(n) => format!("Attempt {n}"),
        None => format!("Failure {} of {total}", total.saturating_sub(i as u64)),
    };
    let mut lines = trace.text.splitn(2, '\n');
    let head = format::visible(lines.next().unwrap_or_default());
    let lines_shown = trace.text.lines().count();
    let text = shown.job.with_untracked(|job| {
        let rules = job.hidden_by.get(&format!("traces.{at}"));
        with_rules(&format::visible(&trace.text), rules)
    });
    let note = trace.cut.then(|| {
        format!(
            "The first {lines_shown} of {} lines ({} in all).",
            format::count(trace.lines),
            format::bytes(trace.size)
        )
    });
    view! {
        <details open=i == 0>
            <summary><b>{number}</b>" "{head}</summary>
            <pre tabindex="0">{text}</pre>
            {note.map(|note| view! { <small>{note}</small> })}
        </details>
    }
    .into_any()
}
