//! The part beside a queue's facts: limits, retention, times, schedules, dead letters.
//!
//! Rendered by the server alone; the page fetches it again every few seconds.

use crate::base_path::{BasePath, queue_path};
use crate::model::address::encode_segment;
use crate::model::format;
use crate::model::insight::{Insight, Keep, Limits, Percentiles, Share};
use crate::model::page::QueueAside;
use crate::model::{Millis, now};
use crate::ui::pages::act;
use crate::ui::pages::operations::tools;
use leptos::prelude::*;

/// Limits, times and retention in one line each; the queues of dead letters.
pub fn view(base: &BasePath, aside: QueueAside) -> AnyView {
    let facts = match &aside.insight {
        Err(why) => {
            view! { <div class="missing"><dt>"Limits and times"</dt><dd>{format!("not known: {why}")}</dd></div> }
                .into_any()
        }
        Ok(insight) => [
            times(insight),
            limits(&insight.limits),
            lost(insight),
            kept(insight, now()),
            metrics(insight),
        ]
        .into_iter()
        .flatten()
        .map(|fact| view! { <div class=fact.class title=fact.note><dt>{fact.label}</dt><dd>{fact.text}</dd></div> })
        .collect_view()
        .into_any(),
    };
    let scheduled = aside
        .insight
        .as_ref()
        .ok()
        .and_then(|i| i.schedules)
        .filter(|n| *n > 0)
        .map(|n| {
            let of_queue = encode_segment(&format!("{}/{}", aside.queue.store, aside.queue.queue));
            let href = base.href(&format!("/schedules?queue={of_queue}"));
            view! { <div><dt>"Schedules"</dt><dd><a href=href>{format::count(n)}</a></dd></div> }
        });
    let under_way = aside
        .operations
        .iter()
        .map(|operation| tools::line(base, operation))
        .collect_view();
    let letters = aside
        .dead_letters
        .into_iter()
        .map(|letters| {
            let jobs = format::count_or_unknown(letters.jobs);
            view! { <div><dt>"Dead letters"</dt><dd>{jobs}" in "<a href=base.queue(&letters.queue)>{format::visible(&letters.name)}</a></dd></div> }
        })
        .collect_view();
    let of = aside
        .dead_letters_of
        .into_iter()
        .map(|of| {
            view! { <div><dt>"Dead letters of"</dt><dd><a href=base.queue(&of)>{format::visible(&of.queue)}</a></dd></div> }
        })
        .collect_view();
    let send = base.href(&format!("{}/act", queue_path(&aside.queue)));
    let act = act::of_queue(&aside.offer, &send);
    let asked = format!("/audit?queue={}", encode_segment(&aside.queue.to_string()));
    view! {
        <dl class="insight">
            {under_way}{facts}{scheduled}{letters}{of}
            <div><dt>"Audit log"</dt><dd><a href=base.href(&asked)>"actions on this queue"</a></dd></div>
        </dl>
        {act}
    }
    .into_any()
}

struct Fact {
    label: &'static str,
    text: String,
    /// The basis of these figures.
    note: String,
    class: &'static str,
}

fn fact(label: &'static str, text: String, note: String) -> Fact {
    Fact {
        label,
        text,
        note,
        class: "",
    }
}

fn times(insight: &Insight) -> Option<Fact> {
    let times = insight.times?;
    let three = |p: Percentiles| {
        format!(
            "{} / {} / {}",
            format::duration(p.p50),
            format::duration(p.p95),
            format::duration(p.p99)
        )
    };
    let wait = times.wait.map_or_else(|| format::UNKNOWN.to_owned(), three);
    let run = times.run.map_or_else(|| format::UNKNOWN.to_owned(), three);
    Some(fact(
        "Times (p50 / p95 / p99)",
        format!("wait {wait} · run {run}"),
        format!(
            "From the {} newest finished jobs that are kept, {} to {}. Waiting is counted from the end of a delay, \
             and only for jobs with a single attempt.",
            times.sample,
            format::clock(times.from),
            format::clock(times.to)
        ),
    ))
}

fn limits(limits: &Limits) -> Option<Fact> {
    let mut parts = Vec::new();
    if let Some(n) = limits.concurrency {
        parts.push(format!("{} active at once", format::count(n)));
    }
    if let Some(rate) = limits.rate {
        let duration = Millis::try_from(rate.duration).unwrap_or(Millis::MAX);
        parts.push(format!(
            "{} per {}",
            format::count(rate.max),
            format::duration(duration)
        ));
    }
    if let Some(left) = limits.limited_for {
        parts.push(format!("reached, nothing starts for {}", format::duration(left)));
    }
    let reached = limits.limited_for.is_some();
    (!parts.is_empty()).then(|| Fact {
        label: "Limits",
        text: parts.join(", "),
        note: "Of the whole queue. Limits that workers set for themselves are not in the store.".into(),
        class: if reached { "missing" } else { "" },
    })
}

fn lost(insight: &Insight) -> Option<Fact> {
    let lost = insight.lost.filter(|lost| lost.without_lock > 0)?;
    Some(Fact {
        label: "Lost by their workers",
        text: format!("{} of {} active", format::count(lost.without_lock), format::count(lost.checked)),
        note: "No worker holds their lock. A live worker of the queue requeues them within about a minute; without one they stay.".into(),
        class: "missing",
    })
}

fn kept(insight: &Insight, now: Millis) -> Option<Fact> {
    let rule = |shares: &[Share]| shares.first().map(|share| keep(share.keep));
    let age = |at: Option<Millis>| {
        at.map(|at| format!(", oldest {}", format::span(now.saturating_sub(at))))
            .unwrap_or_default()
    };
    let completed = rule(&insight.keep_completed)?;
    let failed = rule(&insight.keep_failed)?;
    let mixed = insight.keep_completed.len() > 1 || insight.keep_failed.len() > 1;
    Some(fact(
        "Kept",
        format!(
            "completed {completed}{}; failed {failed}{}{}",
            age(insight.oldest_completed),
            age(insight.oldest_failed),
            if mixed { "; jobs differ" } else { "" }
        ),
        format!(
            "From the options of {}. A worker may have its own rules, which are not in the store.",
            format::counted(insight.sampled_options.into(), "job", "jobs")
        ),
    ))
}

fn keep(keep: Keep) -> String {
    match keep {
        Keep::All => "forever".into(),
        Keep::Nothing => "not at all".into(),
        Keep::Newest { count, age } => {
            let count = count.map(|n| format!("the newest {}", format::count(n)));
            let age = age.map(|s| {
                let ms = Millis::try_from(s.saturating_mul(1000)).unwrap_or(Millis::MAX);
                format!("for {}", format::span(ms))
            });
            [count, age].into_iter().flatten().collect::<Vec<_>>().join(" ")
        }
    }
}

fn metrics(insight: &Insight) -> Option<Fact> {
    let metrics = insight.metrics?;
    Some(fact(
        "Ever",
        format!(
            "{} completed, {} failed",
            format::count(metrics.completed),
            format::count(metrics.failed)
        ),
        format!(
            "Counted by the workers, including jobs no longer kept; {} recorded.",
            format::counted(metrics.minutes, "minute is", "minutes are")
        ),
    ))
}
