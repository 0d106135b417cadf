//! A Postgres: each part with its figure and its sentence, its tables, and the sessions that block others.

use super::{reason, refused};
use crate::model::format;
use crate::model::vitals::Answered;
use crate::model::vitals::postgres::{PostgresHealth, Session, TableHealth};
use crate::ui::components::{Ago, LevelMark};
use leptos::prelude::*;

#[component]
pub fn PostgresView(health: PostgresHealth) -> impl IntoView {
    let parts = health
        .parts
        .into_iter()
        .map(|part| {
            view! {
                <tr>
                    <th scope="row">{part.part.label()}</th>
                    <td>{part.now}</td>
                    <td class="judged">
                        <LevelMark level=Signal::derive(move || part.level)/>
                        <span>{part.text}</span>
                    </td>
                </tr>
            }
        })
        .collect_view();
    view! {
        <section aria-labelledby="t-health">
            <h2 id="t-health">"Health"</h2>
            <table class="health">
                <thead class="sr-only">
                    <tr><th scope="col">"Part"</th><th scope="col">"Now"</th><th scope="col">"What it means"</th></tr>
                </thead>
                <tbody>{parts}</tbody>
            </table>
        </section>
        {list(
            "t-sessions",
            "Blocking sessions",
            SESSIONS,
            "No session waits for a lock, and no transaction has been open for more than 5 s.",
            &health.sessions,
            session_row,
        )}
        {list(
            "t-tables",
            "Largest tables",
            TABLES,
            "There is no table in this database that Drover's role may see.",
            &health.tables,
            table_row,
        )}
    }
    .into_any()
}

/// The heading of each column of a list, and whether it holds numbers.
type Columns = &'static [(&'static str, bool)];

const SESSIONS: Columns = &[
    ("Process", true),
    ("Application", false),
    ("Role", false),
    ("State", false),
    ("Transaction open", true),
    ("Waits for", false),
];

const TABLES: Columns = &[
    ("Table", false),
    ("Rows", true),
    ("Size", true),
    ("Indexes", true),
    ("Dead rows", true),
    ("Vacuum at", true),
    ("Vacuumed", false),
];

/// A list with its heading, or why it is empty or not known.
fn list<T>(
    id: &'static str,
    title: &'static str,
    columns: Columns,
    empty: &'static str,
    answer: &Answered<Vec<T>>,
    row: fn(&T) -> AnyView,
) -> AnyView {
    let body = match answer {
        Answered::Known(rows) if rows.is_empty() => view! { <p class="empty">{empty}</p> }.into_any(),
        Answered::Known(rows) => {
            let head = columns
                .iter()
                .map(|(name, number)| view! { <th scope="col" class:n=*number>{*name}</th> })
                .collect_view();
            let rows = rows.iter().map(row).collect_view();
            view! { <div class="scroll"><table class="plain"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div> }.into_any()
        }
        other => refused(&reason(other)),
    };
    view! { <section aria-labelledby=id><h2 id=id>{title}</h2>{body}</section> }.into_any()
}

fn session_row(session: &Session) -> AnyView {
    let open = session.open_ms.map_or_else(|| format::UNKNOWN.to_owned(), format::span);
    let waits: Vec<String> = session.waits_for.iter().map(ToString::to_string).collect();
    view! {
        <tr>
            <td class="n">{session.pid}</td>
            <td>{format::visible(&session.application)}</td>
            <td>{format::visible(&session.user)}</td>
            <td>{format::visible(&session.state)}</td>
            <td class="n">{open}</td>
            <td>{waits.join(", ")}</td>
        </tr>
    }
    .into_any()
}

fn table_row(table: &TableHealth) -> AnyView {
    let vacuumed = match table.vacuumed {
        Some(at) => view! { <Ago at=Signal::derive(move || Some(at))/> }.into_any(),
        None => "never".into_any(),
    };
    view! {
        <tr>
            <th scope="row">{format!("{}.{}", format::visible(&table.schema), format::visible(&table.name))}</th>
            <td class="n">{format!("≈{}", format::count(table.live))}</td>
            <td class="n">{format::bytes(table.table_bytes)}</td>
            <td class="n">{format::bytes(table.index_bytes)}</td>
            <td class="n">{format!("≈{}", format::count(table.dead))}</td>
            <td class="n">{format::count(table.vacuum_at)}</td>
            <td>{vacuumed}</td>
        </tr>
    }
    .into_any()
}
