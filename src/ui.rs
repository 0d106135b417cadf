//! The pages: the server renders them to text, and the browser hydrates them and keeps them up to date.
//!
//! The same components run in both places and must render the same tree from the same [`Page`]: no clock, no locale,
//! nothing random on first render. [`live`] drives everything that changes: one event stream per browser. A page never
//! asks a store; it shows what the board knows.
//!
//! - [`app`]: picks the page and renders the frame around it
//! - [`pages`]: overview, queue, job, workers, schedules, operations, store, audit, a form before an action, notice
//! - [`components`]: what several pages need
//! - [`context`]: what every component may need to know
//! - [`live`]: the stream, its state, fetching, the keyboard. Does nothing on the server

// The component macro makes public items of its own that cannot carry documentation.
#![expect(missing_docs, reason = "components are documented by the module they are in")]

pub mod app;
pub mod components;
pub mod context;
pub mod live;
pub mod pages;

#[cfg(feature = "ssr")]
use crate::model::page::Body;
use crate::model::page::Page;
#[cfg(feature = "ssr")]
use crate::model::verdict::Level;

/// The document's title, escaped for HTML: trouble comes first, so that it shows on one tab among many.
#[cfg(feature = "ssr")]
#[must_use]
pub fn title(page: &Page) -> String {
    let text = match &page.body {
        Body::Overview(overview) => {
            let bad = overview.all().filter(|queue| queue.verdict.level == Level::Bad).count()
                + overview
                    .stores
                    .iter()
                    .filter(|store| store.verdict.level == Level::Bad)
                    .count();
            if bad == 0 {
                "Queues · Drover".into()
            } else {
                format!("{bad} bad · Queues · Drover")
            }
        }
        Body::Queue(page) => format!("{} · Drover", page.queue.label),
        Body::Job(page) => format!("{} · {} · Drover", page.job.row.id, page.queue.label),
        Body::Workers(page) => {
            let deserted = page.queues.iter().filter(|crew| crew.level == Level::Bad).count();
            if deserted == 0 {
                "Workers · Drover".into()
            } else {
                format!("{deserted} without workers · Workers · Drover")
            }
        }
        Body::Schedules(page, _) => {
            let bad = page.schedules.iter().filter(|s| s.verdict.level == Level::Bad).count();
            if bad == 0 {
                "Schedules · Drover".into()
            } else {
                format!("{bad} bad · Schedules · Drover")
            }
        }
        Body::Store(page) => format!("{} · Drover", page.detail.summary.id),
        Body::Form(form) => format!("{} · Drover", form.title),
        Body::Audit(_) => "Audit · Drover".into(),
        Body::Archive(crate::model::archive::ArchiveView::List { .. }) => "Archive · Drover".into(),
        Body::Archive(crate::model::archive::ArchiveView::Policies(_)) => "Policies · Archive · Drover".into(),
        Body::Archive(crate::model::archive::ArchiveView::One { job, .. }) => {
            format!("{} · Archive · Drover", crate::model::format::visible(&job.row.job))
        }
        Body::Operations(page) => format!("{} · Drover", page.title()),
        Body::Notice(notice) => format!("{} · Drover", notice.title),
        // Never rendered: in the browser it replaces the pages that only the server renders.
        Body::Fresh(_) => "Drover".into(),
    };
    crate::model::format::escape(&text).into_owned()
}

/// The markup of a page, between `<body>` and `</body>`.
#[cfg(feature = "ssr")]
#[must_use]
pub fn render(page: Page) -> String {
    use leptos::prelude::*;
    // Dropped at the end: no state of one request survives into another.
    let owner = Owner::new_root(None);
    owner.with(|| app::App(app::AppProps { page }).to_html())
}

/// The part beside a queue's facts, as markup.
#[cfg(feature = "ssr")]
#[must_use]
pub fn aside(base: &crate::base_path::BasePath, aside: crate::model::page::QueueAside) -> String {
    use leptos::prelude::*;
    let owner = Owner::new_root(None);
    owner.with(|| pages::queue::aside::view(base, aside).to_html())
}

#[cfg(feature = "ssr")]
pub use pages::sign_in::{SignIn, WayOut};

/// The name of the reader of a page, and the way to sign out, as markup.
#[cfg(feature = "ssr")]
#[must_use]
pub fn account(base: &crate::base_path::BasePath, name: &str, role: &str, way_out: &WayOut) -> String {
    use leptos::prelude::*;
    let owner = Owner::new_root(None);
    owner.with(|| pages::sign_in::account(base, name, role, way_out).to_html())
}

/// The sign-in form, as markup.
#[cfg(feature = "ssr")]
#[must_use]
pub fn sign_in(base: &crate::base_path::BasePath, form: SignIn) -> String {
    use leptos::prelude::*;
    let owner = Owner::new_root(None);
    owner.with(|| pages::sign_in::view(base, form).to_html())
}

#[cfg(feature = "ssr")]
pub use pages::operations::path as operation_path;

/// The actions on the jobs that a queue's page lists, as markup.
#[cfg(feature = "ssr")]
#[must_use]
pub fn tools(
    base: &crate::base_path::BasePath,
    page: &crate::model::page::QueuePage,
    can: &crate::model::capability::Capabilities,
    offer: &crate::model::form::Offer,
    letters: bool,
) -> String {
    use leptos::prelude::*;
    let owner = Owner::new_root(None);
    owner.with(|| pages::operations::tools::view(base, page, can, offer, letters).to_html())
}

/// Hydrates the page that the server rendered.
#[cfg(feature = "hydrate")]
pub fn hydrate() {
    let data = live::document()
        .get_element_by_id("page")
        .and_then(|element| element.text_content());
    let Some(page) = data.and_then(|json| serde_json::from_str::<Page>(&json).ok()) else {
        leptos::logging::error!("the page carries no data that this version reads; it stays as it is");
        return;
    };
    leptos::mount::hydrate_body(move || app::App(app::AppProps { page }));
    live::after_hydration();
}
