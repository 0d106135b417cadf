//! The policies: each as its sentence, its state, and the results of its last runs.
//!
//! Rendered by the server alone; everything works with plain links and forms.

use crate::base_path::BasePath;
use crate::model::Millis;
use crate::model::address::encode_segment;
use crate::model::archive::PoliciesView;
use crate::model::format;
use crate::model::format::{ago, due};
use crate::model::policy::{PolicyRun, PolicyStanding, PolicyState};
use crate::ui::context::base;
use crate::ui::live::Live;
use crate::ui::operation_path;
use leptos::prelude::*;

/// Runs of a policy that are shown.
const SHOWN: usize = 5;

pub fn policies(view: PoliciesView) -> AnyView {
    let base = base();
    let now = expect_context::<Live>().its_clock();
    let PoliciesView {
        policies,
        refused,
        asked,
        keep,
    } = view;
    let told = asked.map(|id| view! { <p id="asked" class="asked done" role="status">{format!("{id} was run: there was nothing to archive.")}</p> });
    let body = match policies {
        Err(why) => view! { <div class="banner" role="alert"><strong>"The policy runs cannot be read now."</strong><p>{why}</p></div> }.into_any(),
        Ok(all) if all.is_empty() => empty(),
        Ok(all) => all.iter().map(|one| policy(&base, one, now, refused.is_some())).collect_view().into_any(),
    };
    let refused = refused.map(|why| view! { <p class="note">{format!("None can be run from here: {why}")}</p> });
    view! {
        <nav class="crumbs" aria-label="Breadcrumbs"><a href=base.href("/archive") data-up="">"Archive"</a></nav>
        <header class="head"><h1>"Policies"</h1></header>
        {told}
        {refused}
        {body}
        {kept(&keep)}
    }
    .into_any()
}

/// For how long archived jobs are kept.
fn kept(rules: &[String]) -> AnyView {
    let lines = rules
        .iter()
        .map(|rule| view! { <li>{format::visible(rule)}</li> })
        .collect_view();
    let rest = if rules.is_empty() {
        "Archived jobs are kept forever. Override per queue with [[archive.keep]] in the config file."
    } else {
        "Jobs that match no rule are kept forever. The rules are applied once an hour."
    };
    view! {
        <section class="kept" aria-labelledby="kept">
            <h2 id="kept">"How long archived jobs are kept"</h2>
            <ul class="not-now">{lines}</ul>
            <p class="note">{rest}</p>
        </section>
    }
    .into_any()
}

fn empty() -> AnyView {
    const EXAMPLE: &str = "[[archive.policy]]\nid = \"emails\"\nqueues = \"bull:emails.*\"\nstates = [\"completed\"]\nolder_than = \"24h\"\nevery = \"day at 02:00\"";
    view! {
        <p class="empty">"Nothing is archived automatically. Add a policy to Leptos.toml and restart Drover; it needs an archive."</p>
        <pre class="policy-example" tabindex="0">{EXAMPLE}</pre>
    }
    .into_any()
}

fn moment(at: Millis, words: String) -> AnyView {
    let live = expect_context::<Live>();
    view! { {words}" "<small><time datetime=format::iso(at) title=live.both_moments(at)>{format::moment(at)}</time></small> }.into_any()
}

fn policy(base: &BasePath, one: &PolicyStanding, now: Millis, refused: bool) -> AnyView {
    let class = match one.state {
        PolicyState::Ok => "asked done",
        PolicyState::Failed => "asked not-done",
        PolicyState::Due => "asked unknown",
        PolicyState::Running => "asked",
    };
    let why = if one.why.is_empty() {
        String::new()
    } else {
        format!(": {}", format::visible(&one.why))
    };
    let next = match one.next {
        Some(at) => moment(at, due(now, at)),
        None => "not planned".into_any(),
    };
    let last = match one.runs.first() {
        Some(run) => moment(run.started, ago(now, run.started)),
        None => "never".into_any(),
    };
    let action = |word: &str| base.href(&format!("/archive/policies/{}/{word}", encode_segment(&one.id)));
    let name = format!("p-{}", one.id);
    let labelled = name.clone();
    let buttons = (!refused).then(|| {
        view! {
            <div class="acts">
                <form method="post" action=action("dry-run")><button>"Dry run"</button></form>
                <form method="post" action=action("run")><button disabled=one.state == PolicyState::Running>"Run now"</button></form>
            </div>
        }
    });
    let runs = (!one.runs.is_empty()).then(|| {
        let rows = one.runs.iter().take(SHOWN).map(|run| line(base, run)).collect_view();
        view! {
            <div class="scroll">
                <table class="fleet audit archive">
                    <caption class="sr-only">{format!("The last runs of {}, newest first", one.id)}</caption>
                    <thead>
                        <tr>
                            <th scope="col">"Started"</th>
                            <th scope="col">"Result"</th>
                            <th class="n" scope="col">"Archived"</th>
                            <th class="n" scope="col">"Freed"</th>
                            <th class="n" scope="col">"Changed"</th>
                            <th class="n" scope="col">"Failed"</th>
                            <th scope="col">"Operation"</th>
                        </tr>
                    </thead>
                    <tbody>{rows}</tbody>
                </table>
            </div>
        }
    });
    view! {
        <section class="policy" aria-labelledby=labelled>
            <h2 id=name>{one.id.clone()}</h2>
            <p class="sentence">{format::visible(&one.sentence)}</p>
            <p class=class><strong>{one.state.word()}</strong>{why}</p>
            <dl class="facts">
                <div><dt>"Runs"</dt><dd>{format::visible(&one.when)}</dd></div>
                <div><dt>"Next run"</dt><dd>{next}</dd></div>
                <div><dt>"Last run"</dt><dd>{last}</dd></div>
                <div><dt>"Freed so far"</dt><dd>{format!("{}, {}", format::counted(one.freed_jobs, "job", "jobs"), format::bytes(one.freed_bytes))}</dd></div>
            </dl>
            {buttons}
            {runs}
        </section>
    }
    .into_any()
}

fn line(base: &BasePath, run: &PolicyRun) -> AnyView {
    let live = expect_context::<Live>();
    let class = match run.outcome.as_deref() {
        Some("ok") => "done",
        Some("failed") => "not-done",
        _ => "unknown",
    };
    let outcome = run.outcome.clone().unwrap_or_else(|| "running".into());
    let took = run
        .ended
        .map(|ended| format!("in {} ", format::span(ended - run.started)));
    let operation = match (&run.operation, run.here) {
        (Some(id), true) => view! { <a href=base.href(&operation_path(id)) data-row="">{id.clone()}</a> }.into_any(),
        (Some(id), false) => format!("{id}, on another replica or no longer kept").into_any(),
        (None, _) => ().into_any(),
    };
    view! {
        <tr class=class>
            <td class="when"><time datetime=format::iso(run.started) title=live.both_moments(run.started)>{format::moment(run.started)}</time></td>
            <td class="result" data-l="result"><strong>{outcome}</strong>" "<small>{took}{format::visible(&run.note)}</small></td>
            <td class="n" data-l="archived">{format::count(run.archived)}" of "{format::count(run.selected)}</td>
            <td class="n" data-l="freed">{format::bytes(run.bytes)}</td>
            <td class="n" data-l="changed">{format::count(run.changed)}</td>
            <td class="n" data-l="failed">{format::count(run.failed)}</td>
            <td class="on" data-l="operation">{operation}</td>
        </tr>
    }
    .into_any()
}
