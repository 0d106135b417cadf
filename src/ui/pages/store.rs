//! One store: its health, what a crash would lose, and its contents.
//!
//! - [`health`]: each part with its figure and its sentence
//! - [`memory`]: memory by queue and the largest payloads
//! - [`postgres`]: the same of a Postgres, with its tables and sessions
//! - [`lists`]: slow log, latency monitor, databases, Pub/Sub

use crate::model::format;
use crate::model::store::Reach;
use crate::model::verdict::Level;
use crate::model::vitals::{Answered, Report, Series, StoreDetail, StorePage};
use crate::ui::components::{Ago, LevelMark, StoreBanner, VerdictLine};
use crate::ui::context::base;
use leptos::prelude::*;

pub mod health;
pub mod lists;
pub mod memory;
pub mod postgres;

use health::Health;
use lists::Lists;
use memory::MemoryView;
use postgres::PostgresView;

/// The element in which the pointer keeps rows from moving.
const LISTS: &str = "store-lists";

/// See [`LISTS`].
const MEMORY: &str = "store-memory";

#[component]
pub fn StoreView(mut page: StorePage) -> impl IntoView {
    let base = base();
    let id = page.detail.summary.id.clone();
    // Empty charts would suggest that nothing happened.
    let unread = page.detail.summary.as_of.is_none().then(|| {
        view! { <p class="empty">"Not read yet: nothing has come from this store since Drover started, so there is nothing to draw."</p> }
    });
    let postgres = page.detail.postgres.take();
    let is_postgres = postgres.is_some();
    page.drawings
        .retain(|drawing| unread.is_none() && !(is_postgres && drawing.of == Series::Memory));
    let drawings = page
        .drawings
        .into_iter()
        .map(|drawing| {
            view! {
                <figure>
                    <figcaption>{title(drawing.of, is_postgres)}</figcaption>
                    <div inner_html=drawing.svg></div>
                </figure>
            }
        })
        .collect_view();
    let detail = RwSignal::new(page.detail);
    let memory = RwSignal::new(page.memory);
    // The banner says so already.
    let said = move || detail.with(|d| d.summary.reach != Reach::Live);
    view! {
        <nav class="crumbs" aria-label="Breadcrumbs">
            <a href=base.href("/") data-up="">"All queues"</a>
            <span>{format::visible(&id)}</span>
        </nav>
        <header class="head">
            <h1>{format::visible(&id)}</h1>
            <Facts detail/>
        </header>
        <StoreBanner store=Signal::derive(move || detail.with(|d| d.summary.clone()))/>
        <div class="store-page" class:stale=move || detail.with(|d| d.summary.reach != Reach::Live)>
            <div class:none=said>
                <VerdictLine verdict=Signal::derive(move || detail.with(|d| d.summary.verdict.clone()))/>
            </div>
            <Reasons detail/>
            <section class="vitals" aria-label="The last hour">{unread}{drawings}</section>
            {match postgres {
                Some(health) => view! { <PostgresView health/> }.into_any(),
                None => view! {
                    <Health detail/>
                    <MemoryView detail memory store=id sample=page.sample/>
                    <Lists detail/>
                }
                .into_any(),
            }}
        </div>
    }
    .into_any()
}

/// The heading of a chart: some have another name for a Postgres.
const fn title(of: Series, postgres: bool) -> &'static str {
    match of {
        Series::Commands if postgres => "Transactions per second",
        Series::Clients if postgres => "Connections",
        Series::Latency if postgres => "Longest round trip of SELECT 1",
        of => of.title(),
    }
}

/// A part of the report, if there is a report.
fn part<T>(detail: &StoreDetail, part: impl FnOnce(&Report) -> Option<T>) -> Option<T> {
    detail.report.known().and_then(part)
}

#[component]
fn Facts(detail: RwSignal<StoreDetail>) -> impl IntoView {
    let or_unknown = |text: Option<String>| text.unwrap_or_else(|| format::UNKNOWN.to_owned());
    let version = move || detail.with(|d| or_unknown(d.summary.vitals.as_ref().map(|v| format::visible(&v.version))));
    let mode = move || detail.with(|d| or_unknown(part(d, |r| r.mode.clone()).map(|mode| format::visible(&mode))));
    let uptime = move || {
        detail.with(|d| {
            or_unknown(
                part(d, |r| r.uptime_s).map(|s| format::span(i64::try_from(s).unwrap_or(0).saturating_mul(1000))),
            )
        })
    };
    let queues = move || detail.with(|d| d.summary.queues.map(u64::from));
    view! {
        <dl class="facts">
            <div><dt>"Server"</dt><dd>{version}</dd></div>
            <div><dt>"Mode"</dt><dd>{mode}</dd></div>
            <div><dt>"Address"</dt><dd>{move || detail.with(|d| format::visible(&d.summary.address))}</dd></div>
            <div><dt>"Up for"</dt><dd>{uptime}</dd></div>
            <div><dt>"Queues"</dt><dd>{move || format::count_or_unknown(queues())}</dd></div>
            <div><dt>"Report"</dt><dd><Ago at=Signal::derive(move || detail.with(|d| part(d, |r| Some(r.at))))/></dd></div>
        </dl>
    }
    .into_any()
}

/// The judgements that need attention, the worst first.
#[component]
fn Reasons(detail: RwSignal<StoreDetail>) -> impl IntoView {
    let reasons = Memo::new(move |_| detail.with(|d| d.reasons().into_iter().cloned().collect::<Vec<_>>()));
    view! {
        <section class="reasons" aria-label="Reasons" class:none=move || reasons.with(Vec::is_empty)>
            <ul>
                {move || {
                    reasons
                        .get()
                        .into_iter()
                        .map(|judged| view! {
                            <li>
                                <LevelMark level=Signal::derive(move || judged.level)/>
                                <b>{judged.about.label()}</b>
                                <span>{judged.text}</span>
                            </li>
                        })
                        .collect_view()
                }}
            </ul>
        </section>
    }
    .into_any()
}

/// Why something is not shown, and what would allow it.
fn refused(why: &Answered<()>) -> AnyView {
    match why {
        Answered::NotPermitted(rule) => view! {
            <p class="refused">
                <LevelMark level=Signal::derive(|| Level::Unknown)/>
                <span>{format!("not permitted: {rule}")}</span>
                <small>"The store's access rules refuse this command to Drover's user. Allow it with ACL SETUSER and it appears here within five minutes."</small>
            </p>
        }
        .into_any(),
        Answered::Failed(why) => view! { <p class="refused"><span>{format::visible(why)}</span></p> }.into_any(),
        Answered::Known(()) => ().into_any(),
    }
}

/// The reason alone.
fn reason<T>(answer: &Answered<T>) -> Answered<()> {
    match answer {
        Answered::Known(_) => Answered::Known(()),
        Answered::NotPermitted(rule) => Answered::NotPermitted(rule.clone()),
        Answered::Failed(why) => Answered::Failed(why.clone()),
    }
}

/// Microseconds in the most readable unit.
fn micros(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..100_000 => format!("{}.{} ms", us / 1_000, us % 1_000 / 100),
        _ => format::duration(i64::try_from(us / 1_000).unwrap_or(i64::MAX)),
    }
}

/// A share in whole percent.
fn percent(part: u64, whole: u64) -> String {
    match (part, whole) {
        (_, 0) => format::UNKNOWN.to_owned(),
        (0, _) => "0 %".into(),
        (part, whole) => {
            #[expect(clippy::cast_precision_loss, reason = "a share needs no more precision")]
            let share = part as f64 / whole as f64 * 100.0;
            if share < 0.95 {
                format!("{share:.1} %")
            } else {
                format!("{share:.0} %")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_times_and_shares_keep_their_digits() {
        assert_eq!(micros(420), "420 µs");
        assert_eq!(micros(1_450), "1.4 ms");
        assert_eq!(micros(2_500_000), "2.5 s");
        assert_eq!(percent(1, 3), "33 %");
        assert_eq!(percent(1, 500), "0.2 %");
        assert_eq!(percent(0, 5), "0 %");
        assert_eq!(percent(0, 0), "—");
    }
}
