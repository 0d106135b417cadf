//! Signing in and out.

use super::super::caller::{peer_of, too_often};
use super::super::security::Sheet;
use super::theme::Taste;
use super::{notice, see_other};
use crate::server::auth::who::Who;
use crate::server::config::auth::Mode;
use crate::server::state::App;
use crate::ui::{self, SignIn};
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse as _, Response};
use axum::{Extension, Form, RequestExt as _};
use serde::Deserialize;

/// What may stand behind `?`.
#[derive(Debug, Default, Deserialize)]
pub struct Next {
    #[serde(default)]
    next: String,
}

/// The form.
pub async fn form(
    State(app): State<App>,
    Extension(sheet): Extension<Sheet>,
    Query(query): Query<Next>,
    headers: HeaderMap,
) -> Response {
    if sheet.who.is_some() {
        return lead(&app, &query.next);
    }
    let form = SignIn {
        next: query.next,
        ..SignIn::default()
    };
    shown(&app, &sheet, &headers, StatusCode::OK, form)
}

fn shown(app: &App, sheet: &Sheet, headers: &HeaderMap, status: StatusCode, form: SignIn) -> Response {
    if !matches!(app.auth().mode(), Mode::Password) {
        let detail =
            "Nobody signs in here: it is the proxy in front that says who you are, or only this machine gets in.";
        return notice(
            app,
            sheet,
            headers,
            StatusCode::NOT_FOUND,
            "No such page".into(),
            detail.into(),
            vec![],
        );
    }
    let base = &app.config().base_path;
    let style = app.assets().style.as_ref().map_or_else(String::new, |file| {
        format!(
            "<link rel=\"stylesheet\" href=\"{}\">",
            base.href(&format!("/pkg/{file}"))
        )
    });
    let theme = match Taste::of(headers).theme.as_str() {
        "" => String::new(),
        theme => format!(" data-theme=\"{theme}\""),
    };
    let markup = ui::sign_in(base, form);
    let html = format!(
        "<!DOCTYPE html><html lang=\"en\"{theme}><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\"><meta name=\"robots\" content=\"noindex\">\
         <title>Sign in · Drover</title><link rel=\"icon\" type=\"image/svg+xml\" href=\"{}\">{style}</head><body>{markup}</body></html>",
        base.href("/favicon.svg")
    );
    (status, Html(html)).into_response()
}

/// What the form sends.
#[derive(Debug, Deserialize)]
pub struct Given {
    #[serde(default)]
    name: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    next: String,
}

/// Signs in, and leads to where the reader wanted to go.
pub async fn sign_in(State(app): State<App>, Extension(sheet): Extension<Sheet>, request: Request) -> Response {
    let (headers, peer) = (request.headers().clone(), peer_of(request.extensions()));
    let Ok(Form(given)) = request.extract::<Form<Given>, _>().await else {
        return shown(&app, &sheet, &headers, StatusCode::BAD_REQUEST, SignIn::default());
    };
    if !matches!(app.auth().mode(), Mode::Password) {
        return shown(&app, &sheet, &headers, StatusCode::NOT_FOUND, SignIn::default());
    }
    let name = given.name.trim().to_owned();
    match app.auth().sign_in(&headers, peer, name.clone(), given.password).await {
        Ok(cookie) => with_cookie(lead(&app, &given.next), &cookie),
        Err(wait) => {
            let trouble = match wait {
                None => "The name or the password is wrong.".to_owned(),
                Some(seconds) => format!(
                    "Too many wrong attempts. Try again in {}.",
                    crate::model::format::span(i64::try_from(seconds).unwrap_or(0) * 1_000)
                ),
            };
            let form = SignIn {
                next: given.next,
                name,
                trouble: Some(trouble),
            };
            let mut response = shown(&app, &sheet, &headers, StatusCode::UNAUTHORIZED, form);
            if let Some(seconds) = wait {
                *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
                let again = too_often(seconds).headers().get(header::RETRY_AFTER).cloned();
                again.map(|again| response.headers_mut().insert(header::RETRY_AFTER, again));
            }
            response
        }
    }
}

/// Signs out.
pub async fn sign_out(State(app): State<App>, who: Option<Extension<Who>>) -> Response {
    let response = see_other(&app.config().base_path.href("/sign-in"));
    match who {
        Some(Extension(who)) => with_cookie(response, &app.auth().sign_out(&who)),
        None => response,
    }
}

fn with_cookie(mut response: Response, cookie: &str) -> Response {
    if let Ok(cookie) = HeaderValue::from_str(cookie) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

/// Leads to a page of this board, and to no other place whatever the address says.
fn lead(app: &App, next: &str) -> Response {
    let ours =
        next.starts_with('/') && !next.starts_with("//") && !next.contains(['\\', '\r', '\n']) && next.is_ascii();
    let next = if ours { next } else { "/" };
    see_other(&app.config().base_path.href(next))
}
