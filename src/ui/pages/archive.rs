//! The archive: a search form, the results, and one job as it was in its queue.
//!
//! Rendered by the server alone; everything works with plain links and forms.

use super::act;
use super::job::{Place, Shown, attempts, facts, part, timeline, value};
use crate::base_path::{BasePath, queue_path};
use crate::model::address::encode_segment;
use crate::model::archive::{ArchivePage, ArchiveView, ArchivedJob, ArchivedRow};
use crate::model::audit::AuditEntry;
use crate::model::form::Undo;
use crate::model::format;
use crate::model::job::cut;
use crate::model::state::JobState;
use crate::ui::components::StateMark;
use crate::ui::context::base;
use crate::ui::live::Live;
use leptos::prelude::*;

/// The form for the actions on ticked jobs.
const TICKED: &str = "ticked";

/// Characters of an id, a name or an error in a row.
const SHOWN: usize = 80;

#[component]
pub fn ArchiveTable(view: ArchiveView) -> impl IntoView {
    let base = base();
    match view {
        ArchiveView::List {
            all,
            written,
            page,
            later,
            restorable,
        } => list(&base, &written, all, page, (later, restorable)),
        ArchiveView::Policies(view) => super::policies::policies(*view),
        ArchiveView::One { job, refused, told } => one(&base, *job, refused, told),
    }
}

/// The address of a list.
fn address(base: &BasePath, path: &str, written: &[(String, String)], cursor: Option<&str>) -> String {
    let fields = written.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let fields = fields.chain(cursor.map(|cursor| ("cursor", cursor)));
    let query: Vec<String> = fields
        .map(|(name, value)| format!("{name}={}", encode_segment(value)))
        .collect();
    let mark = if query.is_empty() { "" } else { "?" };
    base.href(&format!("{path}{mark}{}", query.join("&")))
}

fn list(
    base: &BasePath,
    written: &[(String, String)],
    all: bool,
    page: Result<ArchivePage, String>,
    (later, restorable): (bool, bool),
) -> AnyView {
    let value = |name: &str| {
        let found = written.iter().find(|(known, _)| known == name);
        found.map_or_else(String::new, |(_, value)| value.clone())
    };
    let field = |name: &'static str, label: &'static str, hint: &'static str| {
        let id = format!("ar-{name}");
        view! {
            <p class="field">
                <label for=id.clone()>{label}</label>
                <input id=id name=name value=value(name) placeholder=hint maxlength="500" autocomplete="off" data-search=(name == "text").then_some("")/>
            </p>
        }
    };
    let day = |name: &'static str, label: &'static str| {
        let id = format!("ar-{name}");
        view! { <p class="field"><label for=id.clone()>{label}</label><input id=id name=name value=value(name) placeholder="2026-11-01" maxlength="40" autocomplete="off"/></p> }
    };
    let state = value("state");
    let choice =
        |word: &'static str, label: &'static str| view! { <option value=word selected=state == word>{label}</option> };
    let (body, links) = match page {
        Err(why) => (
            view! { <div class="banner" role="alert"><strong>"The archive cannot be read now."</strong><p>{why}</p><p>"Until then no job is archived. Drover keeps trying; reload this page."</p></div> }.into_any(),
            ().into_any(),
        ),
        Ok(page) => found(base, written, all, &page, (later, restorable)),
    };
    let export = |ending: &str| address(base, &format!("/api/v1/archive/jobs.{ending}"), written, None);
    view! {
        <header class="head"><h1>"Archive"</h1><a href=base.href("/archive/policies")>"Policies"</a></header>
        <form class="archive-search" action=base.href("/archive") role="search" aria-label="Search the archive">
            {field("queue", "Queue", "redis/bull:emails, or a part of it")}
            {field("name", "Name", "charge*")}
            {field("id", "Job id", "exactly")}
            {field("error", "Error", "a part of it")}
            {field("text", "Data", "a part of it")}
            <p class="field">
                <label for="ar-state">"State"</label>
                <select id="ar-state" name="state">{choice("", "any")}{choice("failed", "failed")}{choice("completed", "completed")}</select>
            </p>
            {day("from", "Finished from")}
            {day("to", "before")}
            <p class="go"><button class="main">"Search"</button></p>
        </form>
        {body}
        <nav class="pager" aria-label="Pages">{links}</nav>
        <p class="note">"As a file: "<a href=export("ndjson") download="">"NDJSON"</a>", "<a href=export("csv") download="">"CSV"</a>"."</p>
    }
    .into_any()
}

fn found(
    base: &BasePath,
    written: &[(String, String)],
    all: bool,
    page: &ArchivePage,
    (later, restorable): (bool, bool),
) -> (AnyView, AnyView) {
    let older = page.next.as_deref().map(|cursor| {
        let label = if page.partial {
            "Search further ›"
        } else {
            "Older ›"
        };
        view! { <a class="button" href=address(base, "/archive", written, Some(cursor)) data-next="">{label}</a> }
    });
    let newest = later.then(
        || view! { <a class="button" href=address(base, "/archive", written, None) data-previous="">"‹ Newest"</a> },
    );
    let links = view! { {newest}{older} }.into_any();
    let partial = page.partial.then(|| {
        let looked = format::count(page.searched.unwrap_or(0));
        view! { <p class="note" role="status">{format!("The search stopped after looking at {looked} jobs. Search further to continue, or narrow it by queue or time.")}</p> }
    });
    if page.items.is_empty() {
        let what = match (all, page.partial) {
            (_, true) => "No match so far.",
            (true, _) => {
                "The archive is empty. Archive a finished job from its page, or many from a queue's list: they are \
                 kept here in full and can be run again."
            }
            (false, _) => "No archived job matches. Remove a search term, or search a longer period.",
        };
        return (view! { <p class="empty">{what}</p>{partial} }.into_any(), links);
    }
    let rows = page.items.iter().map(|row| line(base, row, restorable)).collect_view();
    let ticked = restorable.then(|| {
        view! {
            <form id=TICKED class="tools" method="post" action=base.href("/archive/restore")>
                <p class="ticked"><button>"Run selected again as new jobs…"</button></p>
            </form>
        }
    });
    let table = view! {
        {partial}
        {ticked}
        <div class="scroll">
            <table class="fleet audit archive">
                <caption class="sr-only">"Archived jobs, last finished first"</caption>
                <thead>
                    <tr>
                        <th scope="col">"Finished"</th>
                        <th scope="col">"State"</th>
                        <th scope="col">"Job"</th>
                        <th scope="col">"Queue"</th>
                        <th scope="col">"Error"</th>
                        <th class="n" scope="col">"Attempts"</th>
                        <th class="n" scope="col">"Size"</th>
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
    };
    (table.into_any(), links)
}

fn short(text: &str) -> String {
    cut(&format::visible(text), SHOWN)
}

fn line(base: &BasePath, row: &ArchivedRow, restorable: bool) -> AnyView {
    let live = expect_context::<Live>();
    let at = row.finished;
    let state = row.state;
    let tick = restorable.then(|| {
        let label = format!("Select {}", short(&row.job));
        view! { <input type="checkbox" name="id" value=row.id.clone() form=TICKED aria-label=label/>" " }
    });
    view! {
        <tr>
            <td class="when"><time datetime=format::iso(at) title=live.both_moments(at)>{format::moment(at)}</time></td>
            <td data-l="state"><StateMark state=Signal::stored(state)/></td>
            <td class="what">{tick}<a href=base.href(&format!("/archive/jobs/{}", row.id)) data-row="">{short(&row.job)}</a>" "<small>{short(&row.name)}</small></td>
            <td class="on" data-l="queue">{short(&row.queue.to_string())}</td>
            <td class="result" data-l="error">{row.error.as_deref().map(short)}</td>
            <td class="n" data-l="attempts">{row.attempts.to_string()}</td>
            <td class="n" data-l="size">{format::bytes(row.size)}</td>
        </tr>
    }
    .into_any()
}

fn one(
    base: &BasePath,
    job: ArchivedJob,
    refused: Option<String>,
    told: Option<(AuditEntry, Option<Undo>)>,
) -> AnyView {
    let ArchivedJob {
        row,
        sha256,
        detail,
        restored,
    } = job;
    let state: JobState = row.state;
    let shown = Shown {
        job: RwSignal::new(detail),
        flow: RwSignal::new(None),
        place: StoredValue::new(Place::archived(base, &row)),
    };
    let job = shown.job;
    let get =
        |of: fn(&crate::model::job::JobDetail) -> Option<crate::model::job::Payload>| part(job, of).get_untracked();
    let told = told.map(|told| view! { <div id="asked">{act::told(&told.0, None, told.1.as_ref())}</div> });
    let act = back(base, &row, &restored, refused);
    let lines = job.with_untracked(|job| job.logs.clone());
    let first = lines.lines.first().map_or(0, |line| line.n);
    let log = lines
        .lines
        .into_iter()
        .map(|line| view! { <li value=line.n.to_string()>{format::visible(&line.text)}</li> });
    let log: Vec<_> = log.collect();
    let log = if log.is_empty() {
        view! { <p class="empty">"The job wrote no log line."</p> }.into_any()
    } else {
        view! { <ol class="log" tabindex="0">{log}</ol> }.into_any()
    };
    let log_words = match lines.total {
        0 => String::new(),
        total if first > 1 => format!("the newest of {} lines", format::count(total)),
        total => format::counted(total, "line", "lines"),
    };
    let download = (lines.total > 0).then(|| {
        let href = shown.place.with_value(|place| place.field(":logs"));
        view! { <a href=href download="">"Download"</a> }
    });
    let queue = base.href(&queue_path(&row.queue));
    view! {
        <nav class="crumbs" aria-label="Breadcrumbs">
            <a href=base.href("/archive") data-up="">"Archive"</a>
            <a href=queue>{format::visible(&row.queue.to_string())}</a>
        </nav>
        <header class="head">
            <div>
                <h1><small>{format::visible(&row.name)}</small>" "{format::visible(&row.job)}</h1>
                <p class="state-line">
                    <StateMark state=Signal::stored(state)/>
                    <small>{format!("archived {}, {} kept in full; SHA-256 {sha256}", format::moment(row.archived), format::bytes(row.size))}</small>
                </p>
            </div>
        </header>
        {told}
        {act}
        <div class="job">
            <section aria-labelledby="t-time"><h2 id="t-time">"Timeline"</h2>{timeline::timeline(job)}</section>
            <section aria-labelledby="t-facts"><h2 id="t-facts">"Facts"</h2>{facts::facts(shown)}</section>
            {get(|j| j.error.clone()).map(|error| value::section("Last error", "failedReason", error, shown, false))}
            {attempts::attempts(shown)}
            {value::section("Data", "data", get(|j| j.data.clone()).unwrap_or_default(), shown, true)}
            {get(|j| j.result.clone()).map(|result| value::section("Return value", "returnvalue", result, shown, true))}
            <section class="span" aria-labelledby="t-logs">
                <div class="value-head"><h2 id="t-logs">"Log"</h2><small>{log_words}</small>{download}</div>
                {log}
            </section>
            {facts::options(job)}
            {get(|j| j.options.clone()).map(|options| value::section("Options as stored", "opts", options, shown, true))}
            {facts::record(shown)}
        </div>
    }
    .into_any()
}

/// The form that puts the job back into a queue.
fn back(
    base: &BasePath,
    row: &ArchivedRow,
    restored: &[crate::model::archive::Restored],
    refused: Option<String>,
) -> AnyView {
    let before = restored.iter().map(|one| {
        let when = match one.done {
            Some(at) => format!("Queued again {} as job ", format::moment(at)),
            None => format!("Requested {}, result unknown: job ", format::moment(one.asked)),
        };
        let href = base.job(&one.queue, &one.job);
        view! { <li>{when}<a href=href>{format::visible(&one.job)}</a>{format!(", by {}.", format::visible(&one.who))}</li> }
    });
    let before: Vec<_> = before.collect();
    let again = !before.is_empty();
    let before = again.then(|| view! { <ul class="not-now">{before}</ul> });
    if let Some(why) = refused {
        return view! { <div class="act">{before}<ul class="not-now"><li>{format!("It cannot be run again now: {why}")}</li></ul></div> }.into_any();
    }
    let action = base.href(&format!("/archive/jobs/{}/restore", row.id));
    // Work that was done, or may have been, is repeated only after a page has said so.
    let at_once = row.state == JobState::Failed && !again;
    let button = |label: &'static str, original: bool| {
        let original = original.then(|| view! { <input type="hidden" name="original_id" value="true"/> });
        view! { <form method="post" action=action.clone()>{original}<button>{label}</button></form> }
    };
    let like = view! { <a class="button" href=format!("{action}?like=true")>"Add a job like this…"</a> };
    let acts = if at_once {
        view! { {button("Run again as a new job", false)}{button("Run again under its old id", true)}{like} }.into_any()
    } else {
        let label = if again {
            "Run once more as a new job…"
        } else {
            "Run again as a new job…"
        };
        view! { <a class="button" href=action.clone()>{label}</a>{like} }.into_any()
    };
    view! { <div class="act">{before}<div class="acts">{acts}</div></div> }.into_any()
}
