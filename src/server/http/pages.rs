//! The pages, rendered whole on the server.
//!
//! A page is one document: the board's markup inside a shell, and the data it was made of as JSON,
//! from which the browser takes it up. Links are ordinary links; nothing needs JavaScript.
//!
//! Here is the shell, and the notice that stands where a page cannot; each page has a file of its own.

use super::security::Sheet;
use crate::model::now;
use crate::model::page::{Body, Notice, Page};
use crate::server::auth::who::{Via, Who};
use crate::server::collect::board::Position;
use crate::server::config::auth::Mode;
use crate::server::service::Refusal;
use crate::server::state::App;
use crate::ui::{self, WayOut};
use axum::Extension;
use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Response};

pub mod act;
pub mod archive;
pub mod audit;
pub mod job;
pub mod operations;
pub mod overview;
pub mod pins;
pub mod policies;
pub mod queue;
pub mod schedules;
pub mod sign_in;
pub mod store;
pub mod theme;
pub mod workers;

pub use overview::Rendered;
use theme::Taste;

/// Anything else.
pub async fn not_found(State(app): State<App>, sheet: Option<Extension<Sheet>>, headers: HeaderMap) -> Response {
    let sheet = sheet.map_or_else(Sheet::default, |Extension(sheet)| sheet);
    notice(
        &app,
        &sheet,
        &headers,
        StatusCode::NOT_FOUND,
        "No such page".into(),
        "The board has no page at this address.".into(),
        vec![],
    )
}

pub(super) fn see_other(to: &str) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    if let Ok(to) = HeaderValue::from_str(to) {
        response.headers_mut().insert(header::LOCATION, to);
    }
    response
}

/// Leads back to the page that a form was on, if it is one of ours.
fn go_back(app: &App, headers: &HeaderMap) -> Response {
    let base = &app.config().base_path;
    let referer = headers
        .get(header::REFERER)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.parse::<Uri>().ok());
    let (path, query) = match referer.as_ref() {
        Some(uri) => (
            uri.path(),
            uri.query().map_or_else(String::new, |query| format!("?{query}")),
        ),
        None => ("/", String::new()),
    };
    // Only its path: another host's page has none here.
    let back = match base.strip(path) {
        "" | "/" => base.href("/") + &query,
        inner => base.href(&format!("{inner}{query}")),
    };
    let back = if back.starts_with("//") { base.href("/") } else { back };
    see_other(&back)
}

/// Sets a cookie for this board, or removes it with an age of 0.
fn remember(app: &App, mut response: Response, name: &str, value: &str, age_s: u32) -> Response {
    let cookie = format!(
        "{name}={value}; Path={}; Max-Age={age_s}; HttpOnly; SameSite=Lax",
        app.config().base_path.cookie_path()
    );
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

/// Who reads the page, what they are here, and the way out.
fn account(app: &App, who: &Who) -> String {
    let Some(way_out) = way_out(app, who) else {
        return String::new();
    };
    let role = match who.role() {
        Some(role) => role.as_str().to_owned(),
        None if who.sees_all() => "sees all queues".into(),
        None => "sees some queues".into(),
    };
    ui::account(&app.config().base_path, &who.name, &role, &way_out)
}

/// How somebody signs out; `None` where nobody signs in.
fn way_out(app: &App, who: &Who) -> Option<WayOut> {
    match (&who.via, app.auth().mode()) {
        (Via::Session(_), _) => Some(WayOut::Here),
        (Via::Proxy, Mode::Proxy(proxy)) => Some(proxy.sign_out_url.clone().map_or(WayOut::Nowhere, WayOut::Url)),
        _ => None,
    }
}

fn refused(app: &App, sheet: &Sheet, headers: &HeaderMap, refusal: &Refusal) -> Response {
    let links = match refusal {
        Refusal::NoJob(queue, _) => vec![("The queue".into(), crate::base_path::queue_path(queue))],
        _ => vec![],
    };
    let problem = refusal.problem();
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut page = notice(app, sheet, headers, status, problem.title, problem.detail, links);
    if let Refusal::NotSearched(..) = refusal
        && let Some(seconds) = super::problem::again(refusal)
    {
        // The address is right as far as anybody knows: the browser asks again by itself.
        page.headers_mut().insert("refresh", HeaderValue::from_static(seconds));
    }
    page
}

/// A page that is not for whoever asks, before its handler began.
pub(super) fn denied(app: &App, parts: &Parts, refusal: &Refusal) -> Response {
    let sheet = parts.extensions.get::<Sheet>().cloned().unwrap_or_default();
    refused(app, &sheet, &parts.headers, refusal)
}

fn notice(
    app: &App,
    sheet: &Sheet,
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
    let html = document(app, &Taste::of(headers), None, body, sheet);
    (status, Html(html)).into_response()
}

fn show(app: &App, sheet: &Sheet, headers: &HeaderMap, position: Position, body: Body) -> Response {
    Html(document(app, &Taste::of(headers), Some(position), body, sheet)).into_response()
}

/// How every document ends.
const END: &str = "</body></html>";

/// A page that is there once: no script takes it up, asks for it again or keeps what it was made of.
fn show_once(app: &App, sheet: &Sheet, headers: &HeaderMap, body: Body) -> Response {
    let html = written(app, &Taste::of(headers), None, body, sheet, false);
    let mut response = Html(html).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The whole document.
fn document(app: &App, taste: &Taste, position: Option<Position>, body: Body, sheet: &Sheet) -> String {
    written(app, taste, position, body, sheet, true)
}

/// The same, with or without what a browser takes it up with.
fn written(app: &App, taste: &Taste, position: Option<Position>, body: Body, sheet: &Sheet, live: bool) -> String {
    let nonce = &sheet.nonce;
    let base = &app.config().base_path;
    let page = Page {
        base: base.as_str().to_owned(),
        now: now(),
        after: position.map_or_else(String::new, |position| position.to_string()),
        theme: taste.theme.clone(),
        local_time: taste.local_time,
        archive: app.service().has_archive(),
        body,
    };
    // The only character that could end the script element or begin another.
    let data = match page.body.fresh() {
        None => serde_json::to_string(&page),
        Some((topics, _)) => serde_json::to_string(&Page {
            body: Body::Fresh(topics),
            base: page.base.clone(),
            after: page.after.clone(),
            theme: page.theme.clone(),
            ..page
        }),
    };
    let data = data.unwrap_or_default().replace('<', "\\u003c");
    let data = if live {
        format!("<script type=\"application/json\" id=\"page\">{data}</script>")
    } else {
        String::new()
    };
    let assets = app.assets();
    let address = |file: &Option<String>| file.as_ref().map(|file| base.href(&format!("/pkg/{file}")));
    let style =
        address(&assets.style).map_or_else(String::new, |href| format!("<link rel=\"stylesheet\" href=\"{href}\">"));
    // The three lists are where Leptos looks for streamed data; the board's pages stream none.
    let script = address(&assets.script)
        .zip(address(&assets.wasm))
        .filter(|_| live)
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
    let theme = match taste.theme.as_str() {
        "" => String::new(),
        theme => format!(" data-theme=\"{theme}\""),
    };
    let markup = ui::render(page);
    // Behind the rest, which the browser takes up as it is; the style puts it on top.
    let account = sheet.who.as_ref().map_or_else(String::new, |who| account(app, who));
    format!(
        "<!DOCTYPE html><html lang=\"en\"{theme}><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\"><meta name=\"robots\" content=\"noindex\">\
         <title>{title}</title><link rel=\"icon\" type=\"image/svg+xml\" href=\"{icon}\">{style}{script}\
         {data}</head><body>{markup}{account}{END}"
    )
}
