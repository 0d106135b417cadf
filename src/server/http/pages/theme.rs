//! What a reader prefers: light or dark, UTC or local time. Remembered in cookies of their own.

use super::{go_back, remember};
use crate::server::auth::cookie::values;
use crate::server::http::extract::Form;
use crate::server::http::state::App;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;

/// How long a preference is remembered: a year.
pub(super) const YEAR_S: u32 = 31_536_000;

/// What the reader of a page prefers, as the cookies say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preferences {
    /// `light`, `dark`, or empty to follow the system.
    pub theme: String,
    /// Whether times are shown as the reader's own clock has them.
    pub local_time: bool,
}

impl Preferences {
    /// Reads the cookies.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let theme = values(headers, "drover_theme")
            .next()
            .filter(|theme| matches!(*theme, "light" | "dark"));
        Self {
            theme: theme.unwrap_or_default().to_owned(),
            local_time: values(headers, "drover_time").next() == Some("local"),
        }
    }
}

/// What the theme buttons send.
#[derive(Debug, Deserialize)]
pub struct Theme {
    #[serde(default)]
    theme: String,
}

/// Remembers the theme and redirects to the page.
pub async fn choose(State(app): State<App>, headers: HeaderMap, Form(choice): Form<Theme>) -> Response {
    let (value, age) = match choice.theme.as_str() {
        theme @ ("light" | "dark") => (theme, YEAR_S),
        _ => ("", 0),
    };
    remember(&app, go_back(&app, &headers), "drover_theme", value, age)
}

/// What the time buttons send.
#[derive(Debug, Deserialize)]
pub struct Time {
    #[serde(default)]
    time: String,
}

/// Remembers how times are to be shown and redirects to the page.
pub async fn choose_time(State(app): State<App>, headers: HeaderMap, Form(choice): Form<Time>) -> Response {
    let (value, age) = match choice.time.as_str() {
        "local" => ("local", YEAR_S),
        _ => ("", 0),
    };
    remember(&app, go_back(&app, &headers), "drover_time", value, age)
}
