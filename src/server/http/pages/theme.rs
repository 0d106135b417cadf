//! Light, dark, or as the system has it.

use super::see_other;
use crate::server::state::App;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use axum::response::Response;
use serde::Deserialize;

/// What the theme buttons send.
#[derive(Debug, Deserialize)]
pub struct Theme {
    #[serde(default)]
    theme: String,
}

/// Remembers the theme and leads back to the page.
pub async fn choose(State(app): State<App>, headers: HeaderMap, axum::Form(choice): axum::Form<Theme>) -> Response {
    let base = &app.config().base_path;
    // Only the path of the page the form was on, and only if it is one of ours.
    let referer = headers
        .get(header::REFERER)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.parse::<Uri>().ok());
    let back = referer
        .as_ref()
        .and_then(Uri::path_and_query)
        .map_or("/", |path| path.as_str());
    let back = base.href(base.strip(back));
    let back = if back.starts_with("//") { base.href("/") } else { back };
    let (value, age) = match choice.theme.as_str() {
        theme @ ("light" | "dark") => (theme, 31_536_000),
        _ => ("", 0),
    };
    let cookie = format!(
        "drover_theme={value}; Path={}; Max-Age={age}; HttpOnly; SameSite=Lax",
        base.cookie_path()
    );
    let mut response = see_other(&back);
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}
