//! Each part of a store: its figure, and its meaning for queues.

use super::{micros, part, reason, refused};
use crate::model::format;
use crate::model::vitals::{About, Answered, StoreDetail, Watched};
use crate::ui::components::LevelMark;
use leptos::prelude::*;

type Detail = RwSignal<StoreDetail>;

#[component]
pub fn Health(detail: Detail) -> impl IntoView {
    // Without a report there is nothing to judge; the reason gets a line.
    let missing = Memo::new(move |_| detail.with(|d| reason(&d.report)));
    view! {
        <section aria-labelledby="t-health">
            <h2 id="t-health">"Health"</h2>
            {move || refused(&missing.get())}
            <table class="health">
                <thead class="sr-only">
                    <tr><th scope="col">"Part"</th><th scope="col">"Now"</th><th scope="col">"What it means"</th></tr>
                </thead>
                <tbody>
                    <Judgement detail of=About::Memory now=memory/>
                    <Judgement detail of=About::Eviction now=policy/>
                    <Judgement detail of=About::Fragmentation now=fragmentation/>
                    <Judgement detail of=About::Persistence now=persistence/>
                    <Judgement detail of=About::Replication now=replication/>
                    {move || detail.with(|d| d.sentinel.is_some()).then(|| view! {
                        <Plain detail label="Sentinel" now=sentinel note=sentinel_note/>
                    })}
                    <Judgement detail of=About::Clients now=clients/>
                    <Judgement detail of=About::Latency now=latency/>
                    <Plain detail label="Commands" now=commands note=commands_note/>
                    <Plain detail label="Hit rate" now=hit_rate note=hit_note/>
                    <Plain detail label="Keys removed" now=removed note=removed_note/>
                </tbody>
            </table>
        </section>
    }
    .into_any()
}

/// A part with a judgement.
#[component]
fn Judgement(detail: Detail, of: About, now: fn(&StoreDetail) -> Option<String>) -> impl IntoView {
    let judged = Memo::new(move |_| detail.with(|d| d.judged(of).cloned()));
    view! {
        <tr>
            <th scope="row">{of.label()}</th>
            <td>{move || detail.with(now).unwrap_or_else(|| format::UNKNOWN.to_owned())}</td>
            <td class="judged">
                {move || judged.get().map(|judged| view! {
                    <LevelMark level=Signal::derive(move || judged.level)/>
                    <span>{judged.text}</span>
                })}
            </td>
        </tr>
    }
    .into_any()
}

/// A part without a judgement.
#[component]
fn Plain(
    detail: Detail,
    label: &'static str,
    now: fn(&StoreDetail) -> Option<String>,
    note: fn(&StoreDetail) -> String,
) -> impl IntoView {
    view! {
        <tr>
            <th scope="row">{label}</th>
            <td>{move || detail.with(now).unwrap_or_else(|| format::UNKNOWN.to_owned())}</td>
            <td class="judged"><small>{move || detail.with(note)}</small></td>
        </tr>
    }
    .into_any()
}

fn memory(detail: &StoreDetail) -> Option<String> {
    let memory = part(detail, |r| Some(r.memory.clone()))?;
    let mut text = format!("{} used", format::bytes(memory.used?));
    if let Some(max) = memory.max {
        text += &format!(" of {}", format::bytes(max));
    }
    if let Some(peak) = memory.peak {
        text += &format!(", peak {}", format::bytes(peak));
    }
    Some(format!("{text}, {}", growth(&detail.watched)))
}

fn growth(watched: &Watched) -> String {
    match watched.growth_per_hour {
        None => "growth known after a minute".into(),
        Some(n) if n.unsigned_abs() < 1_000_000 => "steady".into(),
        Some(n) => format!("{}{}/h", if n > 0 { "+" } else { "−" }, format::bytes(n.unsigned_abs())),
    }
}

fn policy(detail: &StoreDetail) -> Option<String> {
    part(detail, |r| r.memory.policy.clone()).map(|policy| format::visible(&policy))
}

fn fragmentation(detail: &StoreDetail) -> Option<String> {
    let memory = part(detail, |r| Some(r.memory.clone()))?;
    let rss = memory
        .rss
        .map_or_else(String::new, |rss| format!(", {} from the system", format::bytes(rss)));
    Some(format!("{:.2}{rss}", memory.fragmentation?))
}

fn persistence(detail: &StoreDetail) -> Option<String> {
    let report = part(detail, |r| Some(r.persistence.clone()))?;
    let settings = detail.asked.settings.known();
    let fsync = settings.and_then(|s| s.fsync.clone());
    let save = settings.and_then(|s| s.save.clone());
    Some(match (report.aof?, fsync, save.as_deref()) {
        (true, Some(fsync), _) => format!("append-only file, {}", format::visible(&fsync)),
        (true, None, _) => "append-only file".into(),
        (false, _, Some("")) => "none".into(),
        (false, _, Some(rules)) => format!("snapshots, save {}", format::visible(rules)),
        (false, _, None) => "no append-only file".into(),
    })
}

fn replication(detail: &StoreDetail) -> Option<String> {
    let report = part(detail, |r| Some(r.replication.clone()))?;
    let role = format::visible(&report.role?);
    Some(match (report.master, report.connected) {
        (Some(master), _) => format!("{role} of {}", format::visible(&master.address)),
        (None, Some(0)) => format!("{role}, no replica"),
        (None, Some(1)) => format!("{role}, 1 replica"),
        (None, Some(n)) => format!("{role}, {n} replicas"),
        (None, None) => role,
    })
}

fn sentinel(detail: &StoreDetail) -> Option<String> {
    let sentinel = detail.sentinel.as_ref()?;
    let primary = sentinel.primary.as_deref().unwrap_or(format::UNKNOWN);
    Some(format!(
        "{} at {}",
        format::visible(&sentinel.name),
        format::visible(primary)
    ))
}

fn sentinel_note(detail: &StoreDetail) -> String {
    let Some(sentinel) = &detail.sentinel else {
        return String::new();
    };
    let all = sentinel.sentinels.len();
    let silent: Vec<&str> = (sentinel.sentinels.iter())
        .filter(|one| one.trouble.is_some())
        .map(|one| one.address.as_str())
        .collect();
    let mut text = match silent.as_slice() {
        [] if all == 1 => "The Sentinel answers.".to_owned(),
        [] => format!("All {all} Sentinels answer."),
        [silent] => format!("Of {all} Sentinels, {silent} does not answer."),
        silent => format!(
            "Of {all} Sentinels, {} do not answer.",
            format::all(silent.iter().copied())
        ),
    };
    if let Some(quorum) = sentinel.quorum {
        text += &format!(" Quorum {quorum}.");
    }
    if let Some(at) = sentinel.switched_at {
        text += &format!(" Last failover seen at {}.", format::moment(at));
    }
    text
}

fn clients(detail: &StoreDetail) -> Option<String> {
    let clients = part(detail, |r| Some(r.clients.clone()))?;
    let mut text = format::count(clients.connected?);
    if let Some(max) = clients.max {
        text += &format!(" of {}", format::count(max));
    }
    if let Some(blocked) = clients.blocked {
        text += &format!(", {} blocked", format::count(blocked));
    }
    Some(text)
}

fn latency(detail: &StoreDetail) -> Option<String> {
    let ping = detail.watched.ping?;
    Some(format!(
        "median {}, longest {} ({} PINGs in a minute)",
        micros(ping.median_us.into()),
        micros(ping.max_us.into()),
        ping.count
    ))
}

fn commands(detail: &StoreDetail) -> Option<String> {
    let rate = detail.watched.commands_per_second?;
    Some(format!("{} /s", format::rate(rate)))
}

fn commands_note(detail: &StoreDetail) -> String {
    part(detail, |r| r.traffic.commands).map_or_else(String::new, |n| {
        format!("{} since it started, including Drover's own.", format::count(n))
    })
}

fn hit_rate(detail: &StoreDetail) -> Option<String> {
    detail.watched.hit_rate.map(|rate| format!("{:.0} %", rate * 100.0))
}

fn hit_note(detail: &StoreDetail) -> String {
    let watched = &detail.watched;
    match (watched.hit_rate, &detail.report) {
        (Some(_), _) => format!(
            "Of {} reads within the last {}. Workers poll empty queues all the time, so a low rate is normal here.",
            format::count(watched.lookups),
            format::span(watched.span_ms)
        ),
        (None, Answered::Known(_)) => "No key was read, or Drover has not watched it long enough.".into(),
        (None, _) => String::new(),
    }
}

fn removed(detail: &StoreDetail) -> Option<String> {
    let watched = &detail.watched;
    Some(format!(
        "{} expired, {} evicted",
        format::count(watched.expired?),
        format::count(watched.evicted?)
    ))
}

fn removed_note(detail: &StoreDetail) -> String {
    if removed(detail).is_none() {
        return String::new();
    }
    let traffic = part(detail, |r| Some(r.traffic.clone())).unwrap_or_default();
    format!(
        "Within the last {}; since it started {} expired, {} evicted.",
        format::span(detail.watched.span_ms),
        format::count_or_unknown(traffic.expired),
        format::count_or_unknown(traffic.evicted)
    )
}
