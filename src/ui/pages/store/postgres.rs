//! A Postgres: each part with its figure and its sentence, its tables, and who holds whom up.

use super::{reason, refused};
use crate::model::format;
use crate::model::postgres::{PostgresHealth, Session, TableHealth};
use crate::model::vitals::Answered;
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
        <Sessions sessions=health.sessions/>
        <Tables tables=health.tables/>
    }
    .into_any()
}

#[component]
fn Sessions(sessions: Answered<Vec<Session>>) -> impl IntoView {
    let missing = refused(&reason(&sessions));
    let rows = match sessions {
        Answered::Known(sessions) if sessions.is_empty() => {
            view! { <p class="empty">"Nobody waits for a lock, and no transaction has been open for more than 5 s."</p> }
                .into_any()
        }
        Answered::Known(sessions) => {
            let rows = sessions.into_iter().map(|session| session_row(&session)).collect_view();
            view! {
                <div class="scroll">
                    <table class="plain">
                        <thead>
                            <tr>
                                <th scope="col" class="n">"Process"</th><th scope="col">"Application"</th><th scope="col">"Role"</th>
                                <th scope="col">"State"</th><th scope="col" class="n">"Transaction open"</th><th scope="col">"Waits for"</th>
                            </tr>
                        </thead>
                        <tbody>{rows}</tbody>
                    </table>
                </div>
            }
            .into_any()
        }
        _ => ().into_any(),
    };
    view! {
        <section aria-labelledby="t-sessions">
            <h2 id="t-sessions">"Sessions that hold others up"</h2>
            {missing}
            {rows}
        </section>
    }
    .into_any()
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

#[component]
fn Tables(tables: Answered<Vec<TableHealth>>) -> impl IntoView {
    let missing = refused(&reason(&tables));
    let rows = match tables {
        Answered::Known(tables) if tables.is_empty() => {
            view! { <p class="empty">"There is no table in this database that our role may see."</p> }.into_any()
        }
        Answered::Known(tables) => {
            let rows = tables.into_iter().map(|table| table_row(&table)).collect_view();
            view! {
                <div class="scroll">
                    <table class="plain">
                        <thead>
                            <tr>
                                <th scope="col">"Table"</th><th scope="col" class="n">"Rows"</th><th scope="col" class="n">"Size"</th>
                                <th scope="col" class="n">"Indexes"</th><th scope="col" class="n">"Dead rows"</th>
                                <th scope="col" class="n">"Vacuum at"</th><th scope="col">"Vacuumed"</th>
                            </tr>
                        </thead>
                        <tbody>{rows}</tbody>
                    </table>
                </div>
            }
            .into_any()
        }
        _ => ().into_any(),
    };
    view! {
        <section aria-labelledby="t-tables">
            <h2 id="t-tables">"Largest tables"</h2>
            {missing}
            {rows}
        </section>
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
