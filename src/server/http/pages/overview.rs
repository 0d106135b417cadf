//! All queues, rendered once for everybody who asks in the same moment.
//!
//! A reader who filters, sorts or has pinned queues gets a page of their own, rendered for the request.

use super::super::security::Sheet;
use super::pins::pins_of;
use super::theme::Taste;
use super::{END, document, show};
use crate::model::look::Look;
use crate::model::page::Body;
use crate::server::auth::who::Who;
use crate::server::http::caller::Caller;
use crate::server::state::App;
use axum::Extension;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::{Html, IntoResponse, Response};
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

/// The overview as rendered last, one per taste.
///
/// Rendering costs milliseconds, copying microseconds; in an incident everybody opens it at once. One
/// is rendered at a time: whoever comes meanwhile waits for that one instead of making another.
#[derive(Debug, Default)]
pub struct Rendered(tokio::sync::Mutex<Vec<RenderedPage>>);

#[derive(Clone, Debug)]
struct RenderedPage {
    taste: Taste,
    position: String,
    at: Instant,
    /// The page before and after the nonce, without its [`END`].
    parts: Arc<(String, String)>,
}

impl RenderedPage {
    fn serves(&self, position: &str) -> bool {
        let keep = if self.position == position { SAME_FOR } else { MOVED_FOR };
        self.at.elapsed() < keep
    }
}

/// All queues, or those that the address asks for.
pub async fn overview(
    State(app): State<App>,
    caller: Caller,
    Extension(sheet): Extension<Sheet>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let look = Look::from_query(&query.unwrap_or_default());
    let pins = pins_of(&headers);
    if look != Look::default() || !pins.is_empty() || !caller.who.sees_all() {
        let (mut overview, position) = app.view(&caller.who).overview();
        (overview.look, overview.pins) = (look, pins);
        return show(&app, &sheet, &headers, position, Body::Overview(overview));
    }
    let parts = rendered_overview(&app, &caller.who, Taste::of(&headers)).await;
    let (before, after) = &*parts;
    // The line that tells who reads it is theirs alone.
    let account = super::account(&app, &caller.who);
    let html = [before, sheet.nonce.as_str(), after, &account, END].concat();
    Html(Bytes::from(html)).into_response()
}

/// For somebody who sees all: the same for all of them.
async fn rendered_overview(app: &App, who: &Who, taste: Taste) -> Arc<(String, String)> {
    let mut cache = app.rendered().0.lock().await;
    let position = app.board().position().to_string();
    cache.retain(|page| page.serves(&position));
    if let Some(page) = cache.iter().find(|page| page.taste == taste) {
        return page.parts.clone();
    }
    let (overview, position) = app.view(who).overview();
    let html = document(
        app,
        &taste,
        Some(position),
        Body::Overview(overview),
        &Sheet::at(NONCE_PLACE),
    );
    let (before, after) = html.split_once(NONCE_PLACE).unwrap_or((&html, ""));
    let after = after.strip_suffix(END).unwrap_or(after);
    let parts = Arc::new((before.to_owned(), after.to_owned()));
    cache.push(RenderedPage {
        taste,
        position: position.to_string(),
        at: Instant::now(),
        parts: parts.clone(),
    });
    parts
}
