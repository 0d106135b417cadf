//! The pages, rendered whole on the server.
//!
//! A page is one document: the board's markup inside a shell, and the data it was made of as JSON,
//! from which the browser hydrates it. Links are ordinary links; nothing needs JavaScript.
//!
//! Here is the shell, and the notice that replaces a page that cannot be shown; each page has a file of its own.

use super::caller::Caller;
use super::security::PageContext;
use crate::model::error::Notice;
use crate::model::error::Problem;
use crate::model::form::FormPage;
use crate::model::now;
use crate::model::page::{Body, Page};
use crate::model::permission::Verb;
use crate::model::store::Silence;
use crate::server::auth::cookie;
use crate::server::auth::settings::Mode;
use crate::server::auth::who::{Via, Who};
use crate::server::collect::board::Position;
use crate::server::http::state::App;
use crate::server::service::view::View;
use crate::server::service::{Refusal, Service};
use crate::ui::{self, WayOut};
use axum::Extension;
use axum::extract::{FromRequestParts, State};
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
use theme::Preferences;

/// What every page is written with: the application, the caller, the context of the page, and the headers of the
/// request.
#[derive(Debug)]
pub struct PageRequest {
    app: App,
    caller: Caller,
    context: PageContext,
    headers: HeaderMap,
}

impl FromRequestParts<App> for PageRequest {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        let context = parts.extensions.get::<PageContext>().cloned();
        Ok(Self {
            app: app.clone(),
            caller: Caller::from_request_parts(parts, app).await?,
            context: context.unwrap_or_default(),
            headers: parts.headers.clone(),
        })
    }
}

impl PageRequest {
    /// What the caller may see.
    fn view(&self) -> View<'_> {
        self.app.view(&self.caller.who)
    }

    /// The use cases.
    fn service(&self) -> &Service {
        self.app.service()
    }

    /// Redirects to another page of the board.
    fn lead(&self, path: &str) -> Response {
        see_other(&self.app.config().base_path.href(path))
    }

    /// A page.
    fn show(&self, position: Position, body: Body) -> Response {
        let preferences = Preferences::of(&self.headers);
        Html(document(&self.app, &preferences, Some(position), body, &self.context)).into_response()
    }

    /// A page that is shown once: no script hydrates it, requests it again or keeps its data.
    fn show_once(&self, body: Body) -> Response {
        let preferences = Preferences::of(&self.headers);
        let html = written(&self.app, &preferences, None, body, &self.context, false);
        let mut response = Html(html).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }

    /// A form.
    fn form(&self, status: StatusCode, form: FormPage) -> Response {
        (status, self.show(self.app.board().position(), Body::Form(form))).into_response()
    }

    /// A notice in place of a page.
    fn notice(&self, status: StatusCode, title: String, detail: String, links: Vec<(String, String)>) -> Response {
        notice(&self.app, &self.context, &self.headers, status, title, detail, links)
    }

    /// The notice that says why there is no page.
    fn refused(&self, refusal: &Refusal) -> Response {
        refused(&self.app, &self.context, &self.headers, refusal)
    }
}

/// Anything else.
pub async fn not_found(
    State(app): State<App>,
    context: Option<Extension<PageContext>>,
    headers: HeaderMap,
) -> Response {
    let context = context.map_or_else(PageContext::default, |Extension(context)| context);
    notice(
        &app,
        &context,
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

/// Redirects to the page that a form was on, if it is one of ours.
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
        inner => base.lead(&format!("{inner}{query}")),
    };
    see_other(&back)
}

/// Sets a cookie for this board, or removes it with an age of 0.
fn remember(app: &App, response: Response, name: &str, value: &str, age_s: u32) -> Response {
    let path = app.config().base_path.cookie_path();
    cookie::with(response, &cookie::set(name, value, path, age_s.into(), false))
}

/// The name of the page's reader, their role, and how they sign out.
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

/// How the caller signs out; `None` where there is no sign-in.
fn way_out(app: &App, who: &Who) -> Option<WayOut> {
    match (&who.via, app.auth().mode()) {
        (Via::Session(_), _) => Some(WayOut::Here),
        (Via::Proxy, Mode::Proxy(proxy)) => Some(proxy.sign_out_url.clone().map_or(WayOut::Nowhere, WayOut::Url)),
        _ => None,
    }
}

fn refused(app: &App, context: &PageContext, headers: &HeaderMap, refusal: &Refusal) -> Response {
    let links = match refusal {
        Refusal::NoJob(queue, ..) => vec![("The queue".into(), crate::base_path::queue_path(queue))],
        _ => vec![],
    };
    let problem = Problem::from(refusal);
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut page = notice(app, context, headers, status, problem.title, problem.detail, links);
    if let Refusal::NotSearched(..) = refusal
        && let Some(seconds) = super::problem::again(refusal)
    {
        // The queue may exist: the browser asks again by itself.
        page.headers_mut().insert("refresh", HeaderValue::from_static(seconds));
    }
    page
}

/// The notice for a page that the caller may not see, before its handler began.
pub(super) fn denied(app: &App, parts: &Parts, refusal: &Refusal) -> Response {
    let context = parts.extensions.get::<PageContext>().cloned().unwrap_or_default();
    refused(app, &context, &parts.headers, refusal)
}

/// A page for a request that cannot be read.
pub(super) fn wrong(app: &App, context: &PageContext, headers: &HeaderMap, problem: Problem) -> Response {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::BAD_REQUEST);
    notice(app, context, headers, status, problem.title, problem.detail, vec![])
}

fn notice(
    app: &App,
    context: &PageContext,
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
    let html = document(app, &Preferences::of(headers), None, body, context);
    (status, Html(html)).into_response()
}

/// How old the data of a page are, when none of its stores answers: the one it is about, else all that its reader sees.
fn silence(app: &App, context: &PageContext, body: &Body) -> Option<Silence> {
    match body {
        Body::Overview(overview) => Silence::of(&overview.stores),
        Body::Queue(page) => Silence::of([&page.store]),
        Body::Job(page) => Silence::of([&page.store]),
        Body::Store(page) => Silence::of([&page.detail.summary]),
        _ => {
            let (mut stores, ..) = app.board().lines();
            if let Some(who) = &context.who {
                stores.retain(|store| who.holds_somewhere_in(Verb::View, &store.id));
            }
            Silence::of(&stores)
        }
    }
}

/// How the script hydrates a page; if that fails, then or later, the page says that it is not live.
///
/// The three lists are where Leptos looks for streamed data; the board's pages stream none. Addresses begin with the origin:
/// below an address with a name and a password in it, a browser fetches nothing that does not. The script is fetched and
/// compiled while the page is still being read. If the page cannot be hydrated, it shows what is written for a browser
/// without scripts.
const START: &str = r#"globalThis.__RESOLVED_RESOURCES=[];globalThis.__SERIALIZED_ERRORS=[];globalThis.__INCOMPLETE_CHUNKS=[];
const still=(why)=>{const link=document.getElementById("link");
if(link){link.className="link lost";link.textContent="not live: reload the page to see changes";link.title=String(why)}};
const broke=(why)=>{if(why instanceof WebAssembly.RuntimeError)still(why)};
addEventListener("error",(event)=>broke(event.error));addEventListener("unhandledrejection",(event)=>broke(event.reason));
const parsed=new Promise((then)=>document.readyState==="loading"?addEventListener("DOMContentLoaded",then):then());
const written=()=>{for(const part of document.querySelectorAll("noscript"))part.outerHTML=part.textContent};
const start=async(js,wasm)=>{const at=location.origin;try{const page=await import(at+js);
await page.default({module_or_path:at+wasm});await parsed;page.hydrate();
if(!("alive" in document.documentElement.dataset))throw "The page carries no data that its script reads."}
catch(why){await parsed;written();still(why);throw why}};"#;

/// How every document ends.
const END: &str = "</body></html>";

/// The whole document.
fn document(
    app: &App,
    preferences: &Preferences,
    position: Option<Position>,
    body: Body,
    context: &PageContext,
) -> String {
    written(app, preferences, position, body, context, true)
}

/// The same, with or without the data and the script that hydrate it.
fn written(
    app: &App,
    preferences: &Preferences,
    position: Option<Position>,
    body: Body,
    context: &PageContext,
    live: bool,
) -> String {
    let nonce = &context.nonce;
    let base = &app.config().base_path;
    let page = Page {
        base: base.as_str().to_owned(),
        now: now(),
        after: position.map_or_else(String::new, |position| position.to_string()),
        theme: preferences.theme.clone(),
        local_time: preferences.local_time,
        archive: app.service().has_archive(),
        silence: silence(app, context, &body),
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
    let script = address(&assets.script)
        .zip(address(&assets.wasm))
        .filter(|_| live)
        .map_or_else(String::new, |(js, wasm)| {
            format!(
                "<link rel=\"modulepreload\" href=\"{js}\"><script type=\"module\" async nonce=\"{nonce}\">{START}\
             start(\"{js}\",\"{wasm}\");</script>"
            )
        });
    let title = ui::title(&page);
    let icon = base.href("/favicon.svg");
    let theme = match preferences.theme.as_str() {
        "" => String::new(),
        theme => format!(" data-theme=\"{theme}\""),
    };
    let markup = ui::render(page);
    // Behind the rest, which the browser hydrates as it is; the style puts it on top.
    let account = context.who.as_ref().map_or_else(String::new, |who| account(app, who));
    format!(
        "<!DOCTYPE html><html lang=\"en\"{theme}><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\"><meta name=\"robots\" content=\"noindex\">\
         <title>{title}</title><link rel=\"icon\" type=\"image/svg+xml\" href=\"{icon}\">{style}{script}\
         {data}</head><body>{markup}{account}{END}"
    )
}
