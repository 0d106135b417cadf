//! Queues that a reader pinned to the top of the overview, remembered in a cookie.

use super::theme::YEAR_S;
use super::{go_back, remember};
use crate::model::look::{read_pin, read_pins, write_pins};
use crate::model::queue::QueueRef;
use crate::server::auth::cookie::values;
use crate::server::http::extract::Form;
use crate::server::http::state::App;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;

const NAME: &str = "drover_pins";

/// The pinned queues, as the cookie says.
pub(super) fn pins_of(headers: &HeaderMap) -> Vec<QueueRef> {
    values(headers, NAME).next().map(read_pins).unwrap_or_default()
}

/// What the button of a queue sends, see [`pin`](crate::model::look::pin).
#[derive(Debug, Deserialize)]
pub struct Pin {
    pin: Option<String>,
    unpin: Option<String>,
}

/// Pins or unpins a queue, and redirects to the page. A repeated request changes nothing further.
pub async fn change(State(app): State<App>, headers: HeaderMap, Form(form): Form<Pin>) -> Response {
    let mut pins = pins_of(&headers);
    if let Some(queue) = form.unpin.as_deref().and_then(read_pin) {
        pins.retain(|pinned| *pinned != queue);
    }
    if let Some(queue) = form.pin.as_deref().and_then(read_pin)
        && !pins.contains(&queue)
    {
        pins.push(queue);
    }
    let value = write_pins(&pins);
    let age = if value.is_empty() { 0 } else { YEAR_S };
    remember(&app, go_back(&app, &headers), NAME, &value, age)
}
