//! The operations: running ones first, then ended ones, the newest first.

use super::{heading, left, path, progress, state_mark};
use crate::base_path::BasePath;
use crate::model::format;
use crate::model::operation::page::NewPage;
use crate::model::operation::{Operation, OperationState};
use crate::ui::components::Ago;
use crate::ui::context::base;
use leptos::prelude::*;

pub fn view(operations: &[Operation]) -> AnyView {
    let base = base();
    let (open, ended): (Vec<&Operation>, Vec<&Operation>) =
        operations.iter().partition(|operation| operation.state.is_open());
    let new = base.href(&format!("/operations/new?{}", NewPage::default().query()));
    view! {
        <header class="head">
            <h1>"Operations"</h1>
            <p class="sums">{sums(open.len(), ended.len())}</p>
            <a class="button" href=new>"New operation…"</a>
        </header>
        {operations.is_empty().then(|| view! {
            <p class="empty">
                "No operations yet. Select jobs in a queue's list, or describe them with a filter: you see a preview \
                 first, and nothing is done until you start it."
            </p>
        })}
        {table(&base, "In progress", &open)}
        {table(&base, "Ended", &ended)}
    }
    .into_any()
}

fn sums(open: usize, ended: usize) -> String {
    let under_way = match open {
        0 => "none in progress".to_owned(),
        1 => "1 in progress".to_owned(),
        n => format!("{n} in progress"),
    };
    format!("{under_way}, {} ended", format::count(ended as u64))
}

fn table(base: &BasePath, title: &'static str, operations: &[&Operation]) -> Option<AnyView> {
    if operations.is_empty() {
        return None;
    }
    let id = if title == "Ended" { "t-ended" } else { "t-open" };
    let rows = operations.iter().map(|operation| row(base, operation)).collect_view();
    Some(
        view! {
            <section class="operations" aria-labelledby=id>
                <h2 id=id>{title}</h2>
                <table class="fleet ops">
                    <thead>
                        <tr>
                            <th scope="col">"State"</th>
                            <th scope="col">"Operation"</th>
                            <th scope="col">"Progress"</th>
                            <th scope="col">"Who"</th>
                            <th scope="col">"Requested"</th>
                        </tr>
                    </thead>
                    <tbody>{rows}</tbody>
                </table>
            </section>
        }
        .into_any(),
    )
}

fn row(base: &BasePath, operation: &Operation) -> AnyView {
    let created = operation.created;
    let about = match operation.state {
        OperationState::Running => operation.left_ms.map(left).unwrap_or_default(),
        _ => outcome(operation),
    };
    let why = (!operation.reason.is_empty()).then(|| view! { <small>{format::visible(&operation.reason)}</small> });
    let loud = operation.state == OperationState::Stopped;
    view! {
        <tr class:loud=loud>
            <td class="v">{state_mark(operation.state)}</td>
            <th scope="row" class="name">
                <a href=base.href(&path(&operation.id)) data-row="">{heading(&operation.sentence)}</a>
                " "
                {why}
            </th>
            <td class="far">{progress(operation)}" "<small>{about}</small></td>
            <td data-l="by">{format::visible(&operation.who)}</td>
            <td class="when"><Ago at=Signal::derive(move || Some(created))/></td>
        </tr>
    }
    .into_any()
}

/// What did not succeed; empty when everything did.
fn outcome(operation: &Operation) -> String {
    let totals = &operation.totals;
    [
        (totals.failed, "failed"),
        (totals.unconfirmed, "unconfirmed"),
        (totals.changed, "changed"),
        (totals.gone, "gone"),
    ]
    .into_iter()
    .filter(|(n, _)| *n > 0)
    .map(|(n, word)| format!("{} {word}", format::count(n)))
    .collect::<Vec<_>>()
    .join(", ")
}
