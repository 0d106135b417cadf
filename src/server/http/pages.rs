//! The pages, rendered whole on the server.
//!
//! A page is one document: the board's markup inside a shell, and the data it was made of as JSON,
//! from which the browser takes it up. Links are ordinary links; nothing needs JavaScript.

use super::api::JobsQuery;
use super::security::Nonce;
use crate::base_path::job_path;
use crate::model::now;
use crate::model::page::{Body, Notice, Page};
use crate::model::queue::QueueRef;
use crate::server::collect::board::Position;
use crate::server::service::Refusal;
use crate::server::state::App;
use crate::ui;
use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Response};
use serde::Deserialize;
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

/// The overview as rendered last, one per theme.
///
/// Rendering costs milliseconds, copying microseconds; in an incident everybody opens it at once. One
/// is rendered at a time: whoever comes meanwhile waits for that one instead of making another.
#[derive(Debug, Default)]
pub struct Rendered(tokio::sync::Mutex<Vec<RenderedPage>>);

#[derive(Clone, Debug)]
struct RenderedPage {
    theme: String,
    position: String,
    at: Instant,
    /// The page before and after the nonce.
    parts: Arc<(String, String)>,
}

impl RenderedPage {
    fn serves(&self, position: &str) -> bool {
        let keep = if self.position == position { SAME_FOR } else { MOVED_FOR };
        self.at.elapsed() < keep
    }
}

/// All queues.
pub async fn overview(State(app): State<App>, Extension(nonce): Extension<Nonce>, headers: HeaderMap) -> Response {
    let theme = theme_of(&headers);
    let parts = rendered_overview(&app, theme).await;
    let (before, after) = &*parts;
    Html(Bytes::from([before, nonce.0.as_str(), after].concat())).into_response()
}

async fn rendered_overview(app: &App, theme: String) -> Arc<(String, String)> {
    let mut cache = app.rendered().0.lock().await;
    let position = app.board().position().to_string();
    cache.retain(|page| page.serves(&position));
    if let Some(page) = cache.iter().find(|page| page.theme == theme) {
        return page.parts.clone();
    }
    let (overview, position) = app.service().overview();
    let html = document(app, &theme, Some(position), Body::Overview(overview), NONCE_PLACE);
    let (before, after) = html.split_once(NONCE_PLACE).unwrap_or((&html, ""));
    let parts = Arc::new((before.to_owned(), after.to_owned()));
    cache.push(RenderedPage {
        theme,
        position: position.to_string(),
        at: Instant::now(),
        parts: parts.clone(),
    });
    parts
}

/// One queue.
pub async fn queue(
    State(app): State<App>,
    Extension(nonce): Extension<Nonce>,
    Path((store, queue)): Path<(String, String)>,
    Query(query): Query<JobsQuery>,
    headers: HeaderMap,
) -> Response {
    let key = QueueRef { store, queue };
    let request = match query.request() {
        Ok(request) => request,
        Err(problem) => {
            let links = vec![("The queue".into(), crate::base_path::queue_path(&key))];
            return notice(
                &app,
                &nonce,
                &headers,
                StatusCode::BAD_REQUEST,
                problem.title,
                problem.detail,
                links,
            );
        }
    };
    match app.service().queue_page(&key, &request).await {
        Ok((page, position)) => show(&app, &nonce, &headers, position, Body::Queue(page)),
        Err(refusal) => refused(&app, &nonce, &headers, &refusal),
    }
}

/// One job.
pub async fn job(
    State(app): State<App>,
    Extension(nonce): Extension<Nonce>,
    Path((store, queue, job)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Response {
    match app.service().job_page(&QueueRef { store, queue }, &job).await {
        Ok((page, position)) => show(&app, &nonce, &headers, position, Body::Job(page)),
        Err(refusal) => refused(&app, &nonce, &headers, &refusal),
    }
}

/// What the form "job by id" sends. The queue is in the path, or in `to` where it does not survive there.
#[derive(Debug, Deserialize)]
pub struct Find {
    #[serde(default)]
    id: String,
}

/// Leads to a job by its id.
pub async fn find_job(
    State(app): State<App>,
    Path((store, queue)): Path<(String, String)>,
    Query(find): Query<Find>,
) -> Response {
    let key = QueueRef { store, queue };
    let inner = match find.id.trim() {
        "" => crate::base_path::queue_path(&key),
        id => job_path(&key, id),
    };
    see_other(&app.config().base_path.href(&inner))
}

/// The throughput chart alone, for a page that keeps it fresh.
pub async fn chart(State(app): State<App>, Path((store, queue)): Path<(String, String)>) -> Response {
    match app.service().chart(&QueueRef { store, queue }).await {
        Ok(svg) => ([(header::CONTENT_TYPE, "image/svg+xml")], svg.to_string()).into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

/// What the theme buttons send.
#[derive(Debug, Deserialize)]
pub struct Theme {
    #[serde(default)]
    theme: String,
}

/// Remembers the theme and leads back to the page.
pub async fn theme(State(app): State<App>, headers: HeaderMap, axum::Form(choice): axum::Form<Theme>) -> Response {
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
