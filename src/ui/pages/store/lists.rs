//! The answers to a store's queries: its slow log, its latency monitor, its databases, its subscribers.

use super::{LISTS, micros, part, percent, reason, refused};
use crate::model::format;
use crate::model::vitals::{Answered, Channel, Database, LatencyEvent, Settings, SlowCommand, StoreDetail};
use crate::ui::components::Ago;
use leptos::prelude::*;

type Detail = RwSignal<StoreDetail>;

#[component]
pub fn Lists(detail: Detail) -> impl IntoView {
    view! {
        <div id=LISTS class="store-lists">
            <Slow detail/>
            <Databases detail/>
            <Latency detail/>
            <PubSub detail/>
        </div>
    }
    .into_any()
}

#[component]
fn Slow(detail: Detail) -> impl IntoView {
    // Rows are re-created only when there is something new.
    let slow = Memo::new(move |_| detail.with(|d| d.asked.slow.clone()));
    let threshold = Memo::new(move |_| detail.with(|d| d.asked.settings.known().and_then(|s| s.slower_than_us)));
    view! {
        <section class="span" aria-labelledby="t-slow">
            <h2 id="t-slow">
                "Slow log"
                {move || threshold.get().map(|us| view! { <small>{slower_than(us)}</small> })}
            </h2>
            {move || slow.with(|slow| match slow {
                Answered::Known(slow) if slow.is_empty() => {
                    view! { <p class="empty">"The slow log is empty: no command took longer than the server's limit since it started or the log was reset."</p> }.into_any()
                }
                Answered::Known(slow) => slow_table(slow),
                other => refused(&reason(other)),
            })}
        </section>
    }
    .into_any()
}

fn slower_than(us: i64) -> String {
    match u64::try_from(us) {
        Ok(us) => format!("the newest 20 commands that took longer than {}", micros(us)),
        Err(_) => "switched off (slowlog-log-slower-than)".into(),
    }
}

fn slow_table(slow: &[SlowCommand]) -> AnyView {
    let rows = slow
        .iter()
        .map(|entry| {
            let at = entry.at;
            let command = format::visible(&entry.command);
            view! {
                <tr>
                    <td class="n"><b>{micros(entry.took_us)}</b></td>
                    <td class="when"><Ago at=Signal::derive(move || Some(at))/></td>
                    <td class="command"><code title=command.clone()>{command.clone()}</code></td>
                    <td class="client">{format::visible(&entry.client)}</td>
                </tr>
            }
        })
        .collect_view();
    view! {
        <div class="scroll">
            <table class="plain slow">
                <thead>
                    <tr><th scope="col" class="n">"Took"</th><th scope="col">"When"</th><th scope="col">"Command, cut"</th><th scope="col">"Client"</th></tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
    }
    .into_any()
}

#[component]
fn Latency(detail: Detail) -> impl IntoView {
    let events = Memo::new(move |_| detail.with(|d| d.asked.latency.clone()));
    let threshold = Memo::new(move |_| detail.with(|d| d.asked.settings.known().and_then(|s| s.latency_threshold_ms)));
    view! {
        <section aria-labelledby="t-latency">
            <h2 id="t-latency">"Latency monitor"</h2>
            {move || events.with(|events| match events {
                Answered::Known(events) if events.is_empty() => {
                    let text = match threshold.get() {
                        Some(0) => "Switched off: CONFIG SET latency-monitor-threshold 100 lets the server remember what kept it longer than 100 ms.".to_owned(),
                        Some(ms) => format!("Nothing took longer than {ms} ms."),
                        None => "It has recorded nothing, or is switched off (latency-monitor-threshold).".to_owned(),
                    };
                    view! { <p class="empty">{text}</p> }.into_any()
                }
                Answered::Known(events) => latency_table(events),
                other => refused(&reason(other)),
            })}
        </section>
    }
    .into_any()
}

fn latency_table(events: &[LatencyEvent]) -> AnyView {
    let rows = events
        .iter()
        .map(|event| {
            let at = event.at;
            view! {
                <tr>
                    <th scope="row">{format::visible(&event.event)}</th>
                    <td class="when"><Ago at=Signal::derive(move || Some(at))/></td>
                    <td class="n">{format!("{} ms", format::count(event.latest_ms))}</td>
                    <td class="n">{format!("{} ms", format::count(event.max_ms))}</td>
                </tr>
            }
        })
        .collect_view();
    view! {
        <table class="plain">
            <thead>
                <tr><th scope="col">"Event"</th><th scope="col">"Last seen"</th><th scope="col" class="n">"Then"</th><th scope="col" class="n">"Longest"</th></tr>
            </thead>
            <tbody>{rows}</tbody>
        </table>
    }
    .into_any()
}

#[component]
fn Databases(detail: Detail) -> impl IntoView {
    let databases = Memo::new(move |_| detail.with(|d| part(d, |r| Some(r.keyspace.clone()))));
    view! {
        <section aria-labelledby="t-keys">
            <h2 id="t-keys">"Keys by database"</h2>
            {move || databases.with(|databases| match databases {
                None => view! { <p class="empty">"Not known: there is no report."</p> }.into_any(),
                Some(databases) if databases.is_empty() => view! { <p class="empty">"The store holds no key."</p> }.into_any(),
                Some(databases) => database_table(databases),
            })}
        </section>
    }
    .into_any()
}

fn database_table(databases: &[Database]) -> AnyView {
    let rows = databases
        .iter()
        .map(|database| {
            let expires = database.expires.map_or_else(
                || format::UNKNOWN.to_owned(),
                |n| format!("{} ({})", format::count(n), percent(n, database.keys)),
            );
            let ttl = database.mean_ttl_ms.map_or_else(
                || format::UNKNOWN.to_owned(),
                |ms| format::duration(i64::try_from(ms).unwrap_or(i64::MAX)),
            );
            view! {
                <tr>
                    <th scope="row">{format!("db{}", database.index)}</th>
                    <td class="n">{format::count(database.keys)}</td>
                    <td class="n">{expires}</td>
                    <td class="n">{ttl}</td>
                </tr>
            }
        })
        .collect_view();
    view! {
        <table class="plain">
            <thead>
                <tr><th scope="col">"Database"</th><th scope="col" class="n">"Keys"</th><th scope="col" class="n">"With expiry"</th><th scope="col" class="n">"Mean time to live"</th></tr>
            </thead>
            <tbody>{rows}</tbody>
        </table>
    }
    .into_any()
}

#[component]
fn PubSub(detail: Detail) -> impl IntoView {
    let channels = Memo::new(move |_| detail.with(|d| d.asked.channels.clone()));
    let settings = Memo::new(move |_| detail.with(|d| d.asked.settings.clone()));
    let counts = Memo::new(move |_| detail.with(|d| part(d, |r| Some((r.traffic.channels, r.traffic.patterns)))));
    let totals = move || {
        counts.get().map(|(channels, patterns)| {
            format!(
                "{} channel{}, {} pattern{}. ",
                format::count_or_unknown(channels),
                if channels == Some(1) { "" } else { "s" },
                format::count_or_unknown(patterns),
                if patterns == Some(1) { "" } else { "s" }
            )
        })
    };
    view! {
        <section aria-labelledby="t-pubsub">
            <h2 id="t-pubsub">"Pub/Sub"</h2>
            <p class:none=move || counts.get().is_none()>{totals}"Keyspace notifications: "{move || settings.with(notifications)}"."</p>
            {move || channels.with(|channels| match channels {
                Answered::Known(channels) if channels.is_empty() => ().into_any(),
                Answered::Known(channels) => channel_table(channels),
                other => refused(&reason(other)),
            })}
        </section>
    }
    .into_any()
}

fn notifications(settings: &Answered<Settings>) -> String {
    match (settings, settings.known().and_then(|s| s.notifications.as_deref())) {
        (_, Some("")) => "off".into(),
        (_, Some(classes)) => format!("on ({})", format::visible(classes)),
        (Answered::Known(_), None) => "the server does not report it".into(),
        (other, None) => other.why().unwrap_or_default(),
    }
}

fn channel_table(channels: &[Channel]) -> AnyView {
    let rows = channels
        .iter()
        .map(|channel| {
            let name = format::visible(&channel.name);
            view! {
                <tr>
                    <th scope="row" class="id">{name}</th>
                    <td class="n">{format::count_or_unknown(channel.subscribers)}</td>
                </tr>
            }
        })
        .collect_view();
    view! {
        <table class="plain">
            <thead>
                <tr><th scope="col">"Channel"</th><th scope="col" class="n">"Subscribers"</th></tr>
            </thead>
            <tbody>{rows}</tbody>
        </table>
    }
    .into_any()
}
