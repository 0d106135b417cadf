//! The audit log: who asked for what, and the result, the newest first.

use crate::base_path::{job_path, queue_path};
use crate::model::address::encode_segment;
use crate::model::audit::AuditEntry;
use crate::model::error::Outcome;
use crate::model::form::AuditView;
use crate::model::format;
use crate::model::job::cut;
use crate::ui::context::base;
use crate::ui::live::Live;
use leptos::prelude::*;

/// Characters of an id in a row.
const SHOWN: usize = 60;

#[component]
pub fn AuditTable(shown: AuditView) -> impl IntoView {
    let base = base();
    let AuditView {
        page,
        queue,
        job,
        later,
    } = shown;
    let filter = |cursor: Option<&str>| {
        let queue = queue
            .as_ref()
            .map(|queue| format!("queue={}", encode_segment(&queue.to_string())));
        let job = job.as_ref().map(|job| format!("job={}", encode_segment(job)));
        let cursor = cursor.map(|cursor| format!("cursor={cursor}"));
        let parts: Vec<String> = [queue, job, cursor].into_iter().flatten().collect();
        base.href(&if parts.is_empty() {
            "/audit".into()
        } else {
            format!("/audit?{}", parts.join("&"))
        })
    };
    let older = page
        .next
        .as_deref()
        .map(|cursor| view! { <a class="button" href=filter(Some(cursor)) data-next="">"Older ›"</a> });
    let newest = later.then(|| view! { <a class="button" href=filter(None) data-previous="">"‹ Newest"</a> });
    let of = match (&queue, &job) {
        (Some(queue), Some(job)) => format!(
            "job {} of {}",
            format::visible(job),
            format::visible(&queue.to_string())
        ),
        (Some(queue), None) => format::visible(&queue.to_string()),
        _ => String::new(),
    };
    let filtered = !of.is_empty();
    let all = filtered.then(|| view! { <p class="of">"Only of "<strong>{of}</strong>". "<a href=base.href("/audit") data-up="">"Show all"</a></p> });
    let none = page.items.is_empty().then(|| {
        let what = if filtered {
            "No actions here yet."
        } else {
            "No actions yet. Every action, done or not, is recorded here before it is tried."
        };
        view! { <p class="empty">{what}</p> }
    });
    let trouble = page.trouble.clone().map(|why| {
        view! { <div class="banner" role="alert"><strong>"Actions are not possible now"</strong><p>{format!("The audit log cannot be written: {why}")}</p></div> }
    });
    let empty = page.items.is_empty();
    let rows = page.items.iter().map(row).collect_view();
    let (queue_text, job_text) = (
        queue.as_ref().map(ToString::to_string).unwrap_or_default(),
        job.clone().unwrap_or_default(),
    );
    view! {
        <header class="head">
            <h1>"Audit"</h1>
            <form class="audit-filter" action=base.href("/audit") role="search">
                <label for="a-queue">"Queue"</label>
                <input id="a-queue" name="queue" value=queue_text placeholder="store/prefix:name" data-search="" autocomplete="off"/>
                <label for="a-job">"Job"</label>
                <input id="a-job" name="job" value=job_text placeholder="id" autocomplete="off"/>
                <button>"Filter"</button>
            </form>
        </header>
        {trouble}
        {all}
        {none}
        <div class="scroll">
            <table class="fleet audit" class:none=empty>
                <caption class="sr-only">"Actions, newest first"</caption>
                <thead>
                    <tr>
                        <th scope="col">"When"</th>
                        <th scope="col">"Who"</th>
                        <th scope="col">"Action"</th>
                        <th scope="col">"Target"</th>
                        <th scope="col">"Result"</th>
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
        <nav class="pager" aria-label="Pages">{newest}{older}</nav>
        <p class="note">{format!("The full audit log is in {}.", page.file)}</p>
    }
    .into_any()
}

fn row(entry: &AuditEntry) -> AnyView {
    let live = expect_context::<Live>();
    let base = base();
    let at = entry.at;
    let class = match entry.outcome {
        Outcome::Done => "done",
        Outcome::None => "not-done",
        Outcome::Partial | Outcome::Unknown => "unknown",
    };
    let (queue, shown) = (&entry.queue, |text: &str| cut(&format::visible(text), SHOWN));
    let target = match (&entry.job, &entry.schedule) {
        (Some(job), _) => view! { <a href=base.href(&job_path(queue, job)) data-row="">{shown(job)}</a>" " }.into_any(),
        (None, Some(key)) => view! { {shown(key)}" " }.into_any(),
        (None, None) => ().into_any(),
    };
    let row = entry.job.is_none().then_some("");
    let reason = entry
        .reason
        .as_ref()
        .map(|reason| view! { <small class="reason">{format!("“{}”", format::visible(reason))}</small> });
    // The result's word says as much as "Done.".
    let detail = match (entry.new_job(), entry.result.as_str()) {
        (Some(job), "done") => {
            view! { "New job: "<a href=base.href(&job_path(queue, job))>{shown(job)}</a> }.into_any()
        }
        (None, "done") => entry.note.clone().into_any(),
        _ => entry.detail.clone().into_any(),
    };
    view! {
        <tr class=class>
            <td class="when"><time datetime=format::iso(at) title=live.both_moments(at)>{format::moment(at)}</time></td>
            <td class="who" data-l="who" title=format!("request {}", entry.request)>{entry.who.clone()}" "<small>{entry.address.clone()}</small></td>
            <td class="what">{entry.sentence.clone()}{reason}</td>
            <td class="on" data-l="on">{target}<a href=base.href(&queue_path(queue)) data-row=row>{shown(&queue.to_string())}</a></td>
            <td class="result"><strong>{entry.result.clone()}</strong>" "<small>{detail}</small></td>
        </tr>
    }
    .into_any()
}
