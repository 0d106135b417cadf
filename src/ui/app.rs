//! The frame around every page.

use super::components::{LinkBadge, SilenceBanner};
use super::context::{Frame, JobBanners};
use super::live::{self, Live, Zone};
#[cfg(feature = "ssr")]
use super::pages::{
    ArchiveTable, AuditTable, FormView, JobView, NoticeView, OperationsView, SchedulesView, StoreView, WorkersView,
};
use super::pages::{OverviewView, QueueView};
use crate::base_path::BasePath;
#[cfg(feature = "ssr")]
use crate::model::page::LARGE_EVERY_MS;
use crate::model::page::{Body, Page};
use crate::model::store::Silence;
use leptos::either::EitherOf3;
use leptos::prelude::*;

#[component]
pub fn App(page: Page) -> impl IntoView {
    // The server has parsed it already; a page of another version with a path that does not parse uses the root.
    let base: BasePath = page.base.parse().unwrap_or_default();
    provide_context(Frame { base: base.clone() });
    let live = Live::new(page.now);
    live.silence.set(page.silence);
    provide_context(live);
    live::start_clock(live);
    let local_time = page.local_time;
    // After the page has been hydrated as it was rendered.
    live::set_timeout(0, move || {
        live.zone.set(if local_time { Zone::Local } else { Zone::Utc })
    });
    let theme = page.theme.clone();
    let after = page.after.clone();
    let banners = JobBanners {
        silent: RwSignal::new(None),
        removed: RwSignal::new(false),
    };
    // No AnyView here: it would keep the code that hydrates its content, which never runs.
    let body = match page.body {
        #[cfg(feature = "ssr")]
        Body::Overview(overview) if overview.large.is_some() => {
            let html = view! { <OverviewView overview after/> }.to_html();
            EitherOf3::C(fresh(html, LARGE_EVERY_MS, page.silence, banners))
        }
        Body::Overview(overview) => EitherOf3::A(view! { <OverviewView overview after/> }),
        Body::Queue(queue) => EitherOf3::B(view! { <QueueView page=queue after/> }),
        Body::Fresh(topics) => {
            live::keep_fresh(live, &topics, after, banners);
            EitherOf3::C(fresh(String::new(), 0, page.silence, banners))
        }
        #[cfg(feature = "ssr")]
        written => {
            let every = written.fresh().map_or(0, |(_, every)| every);
            let view = match written {
                Body::Notice(notice) => view! { <NoticeView notice/> }.into_any(),
                Body::Job(page) => view! { <JobView page/> }.into_any(),
                Body::Workers(page) => view! { <WorkersView page/> }.into_any(),
                Body::Schedules(page, offers) => view! { <SchedulesView page offers/> }.into_any(),
                Body::Form(form) => view! { <FormView form/> }.into_any(),
                Body::Audit(view) => view! { <AuditTable shown=view/> }.into_any(),
                Body::Archive(view) => view! { <ArchiveTable view/> }.into_any(),
                Body::Store(page) => view! { <StoreView page/> }.into_any(),
                Body::Operations(page) => view! { <OperationsView page/> }.into_any(),
                // Rendered above. A page that is in neither list does not compile.
                Body::Overview(_) | Body::Queue(_) | Body::Fresh(_) => ().into_any(),
            };
            EitherOf3::C(fresh(view.to_html(), every, page.silence, banners))
        }
    };
    view! {
        <a class="skip" href="#main">"Skip to content"</a>
        <header class="top">
            <a class="brand" href=base.href("/") aria-label="Drover, all queues">
                <svg viewBox="0 0 24 24" width="20" height="20" aria-hidden="true">
                    <path d="M3 6h18M3 12h12M3 18h7" stroke="currentColor" stroke-width="2.5" stroke-linecap="round" fill="none"/>
                    <path d="M16 15l4 3.5-4 3.5z" fill="currentColor"/>
                </svg>
                "Drover"
            </a>
            <nav aria-label="Main">
                <a href=base.href("/") data-key="o">"Queues"</a>
                <a href=base.href("/workers") data-key="w">"Workers"</a>
                <a href=base.href("/schedules") data-key="s">"Schedules"</a>
                <a href=base.href("/audit") data-key="a">"Audit"</a>
                <a href=base.href("/operations") data-key="p">"Operations"</a>
                {page.archive.then(|| view! { <a href=base.href("/archive") data-key="r">"Archive"</a> })}
            </nav>
            <LinkBadge/>
            <form class="theme time" method="post" action=base.href("/time") aria-label="Times">
                <button name="time" value="" aria-pressed=(!local_time).to_string() title="Times in UTC">"UTC"</button>
                <button name="time" value="local" aria-pressed=local_time.to_string() title="Times by this computer's clock">"Local"</button>
            </form>
            <form class="theme" method="post" action=base.href("/theme") aria-label="Theme">
                <ThemeButton value="light" label="Light" shown=theme.clone()/>
                <ThemeButton value="dark" label="Dark" shown=theme.clone()/>
                <ThemeButton value="" label="Auto" shown=theme/>
            </form>
        </header>
        <main id="main" tabindex="-1" class:stale=move || live.is_stale()>{body}</main>
        <dialog id="help" aria-label="Keyboard">
            <h2>"Keyboard"</h2>
            <dl class="keys">
                <dt><kbd>"j"</kbd>" "<kbd>"k"</kbd></dt><dd>"next and previous row"</dd>
                <dt><kbd>"Enter"</kbd></dt><dd>"open the row, fold the group"</dd>
                <dt><kbd>"["</kbd>" "<kbd>"]"</kbd></dt><dd>"previous and next job of the same state"</dd>
                <dt><kbd>"/"</kbd></dt><dd>"search, filter"</dd>
                <dt><kbd>"x"</kbd></dt><dd>"select the row"</dd>
                <dt><kbd>"r"</kbd></dt><dd>"show what is new in a list"</dd>
                <dt><kbd>"g"</kbd>" "<kbd>"o"</kbd></dt><dd>"all queues"</dd>
                <dt><kbd>"g"</kbd>" "<kbd>"w"</kbd></dt><dd>"workers"</dd>
                <dt><kbd>"g"</kbd>" "<kbd>"s"</kbd></dt><dd>"schedules"</dd>
                <dt><kbd>"g"</kbd>" "<kbd>"a"</kbd></dt><dd>"audit log"</dd>
                <dt><kbd>"g"</kbd>" "<kbd>"p"</kbd></dt><dd>"operations"</dd>
                {page.archive.then(|| view! { <dt><kbd>"g"</kbd>" "<kbd>"r"</kbd></dt><dd>"archive"</dd> })}
                <dt><kbd>"Esc"</kbd></dt><dd>"leave the field, show all, one level up"</dd>
                <dt><kbd>"?"</kbd></dt><dd>"this help"</dd>
            </dl>
            <form method="dialog"><button>"Close"</button></form>
        </dialog>
    }
}

/// Markup that only the server renders, as text. The browser leaves the existing nodes as they are.
fn fresh(html: String, every_ms: i32, silence: Option<Silence>, banners: JobBanners) -> impl IntoView {
    view! {
        {move || banners.silent.get().map(|store| view! { <SilenceBanner store=Signal::stored(store)/> })}
        {move || banners.removed.get().then(|| view! {
            <div class="banner" role="alert"><strong>"This job was removed."</strong><p>"The page shows its last known state."</p></div>
        })}
        <div
            id="fresh"
            data-every=every_ms.to_string()
            data-silence=serde_json::to_string(&silence).unwrap_or_default()
            class:stale=move || banners.removed.get() || banners.silent.with(Option::is_some)
            inner_html=html
        ></div>
    }
}

#[component]
fn ThemeButton(value: &'static str, label: &'static str, shown: String) -> impl IntoView {
    let pressed = if shown == value { "true" } else { "false" };
    view! { <button name="theme" value=value aria-pressed=pressed>{label}</button> }
}
