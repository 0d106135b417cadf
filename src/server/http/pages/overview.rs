//! All queues, rendered once for all readers who ask at the same moment.
//!
//! A reader who filters, sorts or has pinned queues gets a page of their own, rendered for the request.

use super::super::security::PageContext;
use super::pins::pins_of;
use super::theme::Preferences;
use super::{END, PageRequest, document};
use crate::model::look::Look;
use crate::model::page::{Body, Overview};
use crate::server::auth::who::Who;
use crate::server::http::encoding;
use crate::server::http::state::App;
use crate::server::wire::Part;
use axum::extract::RawQuery;
use axum::response::Response;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a rendered overview may be given out again while nothing on it has changed: the ages on
/// it are in seconds.
const SAME_FOR: Duration = Duration::from_millis(900);

/// How long although something has. The page says which position it is true for, and its stream goes
/// on from there, so only a reader without JavaScript sees numbers that are this old.
const MOVED_FOR: Duration = Duration::from_millis(250);

/// Where the nonce goes in a page that is rendered for several answers. Not a possible nonce.
const NONCE_PLACE: &str = "{nonce}";

/// The overview as rendered last, one per preferences.
///
/// Rendering and compressing cost milliseconds, copying microseconds; in an incident all users open it at once. One
/// is rendered at a time: a request that arrives meanwhile waits for that one instead of making another.
#[derive(Debug, Default)]
pub struct Rendered(tokio::sync::Mutex<Vec<RenderedPage>>);

#[derive(Clone, Debug)]
struct RenderedPage {
    preferences: Preferences,
    position: String,
    at: Instant,
    /// The page before and after the nonce, without its [`END`]; one part where no script needs a nonce.
    parts: Arc<[Part]>,
}

impl RenderedPage {
    fn serves(&self, position: &str) -> bool {
        let keep = if self.position == position { SAME_FOR } else { MOVED_FOR };
        self.at.elapsed() < keep
    }
}

/// All queues, or those that the address asks for.
pub async fn overview(req: PageRequest, RawQuery(query): RawQuery) -> Response {
    let query = query.unwrap_or_default();
    let (look, page) = (Look::from_query(&query), page_of(&query));
    let pins = pins_of(&req.headers);
    let who = &req.caller.who;
    if look != Look::default() || page > 1 || !pins.is_empty() || !who.sees_all() {
        let (stores, queues, position) = req.view().lines();
        let mut overview = Overview::of(stores, queues, page);
        (overview.look, overview.pins) = (look, pins);
        return req.show(position, Body::Overview(overview));
    }
    let parts = rendered_overview(&req.app, who, Preferences::of(&req.headers)).await;
    // The line with the reader's name is for that reader alone.
    let account = super::account(&req.app, who);
    let (nonce, end) = (Part::new(req.context.nonce), Part::new(account + END));
    let whole: Vec<&Part> = match &*parts {
        [before, after] => vec![before, &nonce, after, &end],
        one => one.iter().chain([&end]).collect(),
    };
    encoding::answer(&req.headers, "text/html; charset=utf-8", &whole)
}

/// Which page of a large board an address asks for.
fn page_of(query: &str) -> usize {
    let page = query.split('&').find_map(|pair| pair.strip_prefix("page="));
    page.and_then(|page| page.parse().ok()).unwrap_or(1)
}

/// For readers who see everything: the same for all of them.
async fn rendered_overview(app: &App, who: &Who, preferences: Preferences) -> Arc<[Part]> {
    let mut cache = app.rendered().0.lock().await;
    let position = app.board().position().to_string();
    cache.retain(|page| page.serves(&position));
    if let Some(page) = cache.iter().find(|page| page.preferences == preferences) {
        return page.parts.clone();
    }
    let (stores, queues, position) = app.view(who).lines();
    let overview = Overview::of(stores, queues, 1);
    let html = document(
        app,
        &preferences,
        Some(position),
        Body::Overview(overview),
        &PageContext::at(NONCE_PLACE),
    );
    let parts: Arc<[Part]> = html
        .strip_suffix(END)
        .unwrap_or(&html)
        .splitn(2, NONCE_PLACE)
        .map(|part| Part::new(part.to_owned()))
        .collect();
    cache.push(RenderedPage {
        preferences,
        position: position.to_string(),
        at: Instant::now(),
        parts: parts.clone(),
    });
    parts
}
