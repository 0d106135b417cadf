//! Signing in and out.

use super::super::caller::peer_of;
use super::super::security::PageContext;
use super::theme::Preferences;
use super::{notice, see_other};
use crate::model::format;
use crate::server::auth::settings::Mode;
use crate::server::auth::who::Who;
use crate::server::auth::{NotSignedIn, cookie};
use crate::server::http::extract::{Form, Query};
use crate::server::http::state::App;
use crate::ui::{self, SignIn};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse as _, Response};
use axum::{Extension, RequestExt as _};
use serde::Deserialize;

/// The query parameters.
#[derive(Debug, Default, Deserialize)]
pub struct Next {
    #[serde(default)]
    next: String,
}

/// The form.
pub async fn form(
    State(app): State<App>,
    Extension(context): Extension<PageContext>,
    Query(query): Query<Next>,
    headers: HeaderMap,
) -> Response {
    if context.who.is_some() {
        return lead(&app, &query.next);
    }
    let form = SignIn {
        next: query.next,
        ..SignIn::default()
    };
    shown(&app, &context, &headers, StatusCode::OK, form)
}

fn shown(app: &App, context: &PageContext, headers: &HeaderMap, status: StatusCode, form: SignIn) -> Response {
    if !matches!(app.auth().mode(), Mode::Password) {
        let detail = "There is no sign-in here: the proxy in front identifies users, or only this machine has access.";
        return notice(
            app,
            context,
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
    let theme = match Preferences::of(headers).theme.as_str() {
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

/// Signs in, and redirects to where the reader wanted to go.
pub async fn sign_in(State(app): State<App>, Extension(context): Extension<PageContext>, request: Request) -> Response {
    let (headers, peer) = (request.headers().clone(), peer_of(request.extensions()));
    let Ok(Form(given)) = request.extract_with_state::<Form<Given>, _, _>(&app).await else {
        return shown(&app, &context, &headers, StatusCode::BAD_REQUEST, SignIn::default());
    };
    if !matches!(app.auth().mode(), Mode::Password) {
        return shown(&app, &context, &headers, StatusCode::NOT_FOUND, SignIn::default());
    }
    let name = given.name.trim().to_owned();
    match app.auth().sign_in(&headers, peer, name.clone(), given.password).await {
        Ok(cookie) => cookie::with(lead(&app, &given.next), &cookie),
        Err(why) => {
            let status = match why {
                NotSignedIn::UsersUnknown => StatusCode::SERVICE_UNAVAILABLE,
                NotSignedIn::Wrong => StatusCode::UNAUTHORIZED,
                NotSignedIn::FromThisNetwork(_) | NotSignedIn::ForThisName(_) => StatusCode::TOO_MANY_REQUESTS,
            };
            let (trouble, wait) = trouble(why, &name);
            let form = SignIn {
                next: given.next,
                name,
                trouble: Some(trouble),
            };
            let mut response = shown(&app, &context, &headers, status, form);
            if let Some(seconds) = wait {
                let again = HeaderValue::from(seconds);
                response.headers_mut().insert(header::RETRY_AFTER, again);
            }
            response
        }
    }
}

/// Why a sign-in failed, in a sentence, and the seconds until the next attempt.
fn trouble(why: NotSignedIn, name: &str) -> (String, Option<u64>) {
    let span = |seconds: u64| format::span(i64::try_from(seconds).unwrap_or(0) * 1_000);
    match why {
        NotSignedIn::Wrong => ("The name or the password is wrong.".to_owned(), None),
        NotSignedIn::UsersUnknown => {
            let text = "Drover does not know its users now: the database that they are in does not answer. Try again soon; the \
                        log and /readyz say more.";
            (text.to_owned(), None)
        }
        NotSignedIn::FromThisNetwork(seconds) => {
            let text = format!(
                "Too many wrong attempts from your address. Try again in {}.",
                span(seconds)
            );
            (text, Some(seconds))
        }
        NotSignedIn::ForThisName(seconds) => {
            let text = format!(
                "Too many wrong passwords for this name. Sign in from an address that you have signed in from before, ask an \
                 administrator to run `drover user unlock {}`, or try again in {}.",
                format::visible(name),
                span(seconds)
            );
            (text, Some(seconds))
        }
    }
}

/// Signs out.
pub async fn sign_out(State(app): State<App>, who: Option<Extension<Who>>) -> Response {
    let response = see_other(&app.config().base_path.href("/sign-in"));
    match who {
        Some(Extension(who)) => cookie::with(response, &app.auth().sign_out(&who).await),
        None => response,
    }
}

/// Redirects to a page of this board, and to no other place whatever the address says.
fn lead(app: &App, next: &str) -> Response {
    see_other(&app.config().base_path.lead(next))
}
