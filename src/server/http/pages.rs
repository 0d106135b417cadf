//! The pages, rendered whole on the server.
//!
//! A page is one document: the board's markup inside a shell, and the data it was made of as JSON,
//! from which the browser takes it up. Links are ordinary links; nothing needs JavaScript.
//!
//! Here is the shell, and the notice that stands where a page cannot; each page has a file of its own.

use super::security::Nonce;
use crate::model::now;
use crate::model::page::{Body, Notice, Page};
use crate::server::collect::board::Position;
use crate::server::service::Refusal;
use crate::server::state::App;
use crate::ui;
use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

pub mod job;
pub mod overview;
pub mod queue;
pub mod schedules;
pub mod store;
pub mod theme;
pub mod workers;

pub use overview::Rendered;

/// Anything else.
pub async fn not_found(State(app): State<App>, nonce: Option<Extension<Nonce>>, headers: HeaderMap) -> Response {
    let nonce = nonce.map_or_else(|| Nonce(String::new()), |Extension(nonce)| nonce);
    notice(
        &app,
        &nonce,
        &headers,
        StatusCode::NOT_FOUND,
        "No such page".into(),
        "The board has no page at this address.".into(),
        vec![],
    )
}

fn see_other(to: &str) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    if let Ok(to) = HeaderValue::from_str(to) {
        response.headers_mut().insert(header::LOCATION, to);
    }
    response
}

fn refused(app: &App, nonce: &Nonce, headers: &HeaderMap, refusal: &Refusal) -> Response {
    let links = match refusal {
        Refusal::NoJob(queue, _) => vec![("The queue".into(), crate::base_path::queue_path(queue))],
        _ => vec![],
    };
    let problem = refusal.problem();
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    notice(app, nonce, headers, status, problem.title, problem.detail, links)
}

fn notice(
    app: &App,
    nonce: &Nonce,
    headers: &HeaderMap,
    status: StatusCode,
    title: String,
    detail: String,
    mut links: Vec<(String, String)>,
) -> Response {
    links.push(("All queues".into(), "/".into()));
    let body = Body::Notice(Notice {
        status: status.as_u16(),
        title,
        detail,
        links,
    });
    let html = document(app, &theme_of(headers), None, body, &nonce.0);
    (status, Html(html)).into_response()
}

fn show(app: &App, nonce: &Nonce, headers: &HeaderMap, position: Position, body: Body) -> Response {
    Html(document(app, &theme_of(headers), Some(position), body, &nonce.0)).into_response()
}

fn theme_of(headers: &HeaderMap) -> String {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|cookies| cookies.split(';'))
        .filter_map(|cookie| cookie.trim().strip_prefix("drover_theme="))
        .find(|theme| matches!(*theme, "light" | "dark"))
        .unwrap_or_default()
        .to_owned()
}

/// The whole document.
fn document(app: &App, theme: &str, position: Option<Position>, body: Body, nonce: &str) -> String {
    let base = &app.config().base_path;
    let page = Page {
        base: base.as_str().to_owned(),
        now: now(),
        after: position.map_or_else(String::new, |position| position.to_string()),
        theme: theme.to_owned(),
        body,
    };
    // The only character that could end the script element or begin another.
    let data = serde_json::to_string(&page).unwrap_or_default().replace('<', "\\u003c");
    let assets = app.assets();
    let address = |file: &Option<String>| file.as_ref().map(|file| base.href(&format!("/pkg/{file}")));
    let style =
        address(&assets.style).map_or_else(String::new, |href| format!("<link rel=\"stylesheet\" href=\"{href}\">"));
    // The three lists are where Leptos looks for streamed data; the board's pages stream none.
    let script = address(&assets.script)
        .zip(address(&assets.wasm))
        .map_or_else(String::new, |(js, wasm)| {
            format!(
                "<link rel=\"modulepreload\" href=\"{js}\"><script type=\"module\" nonce=\"{nonce}\">\
             globalThis.__RESOLVED_RESOURCES=[];globalThis.__SERIALIZED_ERRORS=[];globalThis.__INCOMPLETE_CHUNKS=[];\
             import start, {{ hydrate }} from \"{js}\";\
             start({{ module_or_path: \"{wasm}\" }}).then(hydrate);</script>"
            )
        });
    let title = ui::title(&page);
    let icon = base.href("/favicon.svg");
    let theme = if theme.is_empty() {
        String::new()
    } else {
        format!(" data-theme=\"{theme}\"")
    };
    let markup = ui::render(page);
    format!(
        "<!DOCTYPE html><html lang=\"en\"{theme}><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\"><meta name=\"robots\" content=\"noindex\">\
         <title>{title}</title><link rel=\"icon\" type=\"image/svg+xml\" href=\"{icon}\">{style}{script}\
         <script type=\"application/json\" id=\"page\">{data}</script></head><body>{markup}</body></html>"
    )
}
