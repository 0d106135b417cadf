//! Extractors like axum's, but with a problem as the rejection, or a page for a browser that navigates. Those of axum reject
//! in plain text; `clippy.toml` forbids them.

#![expect(clippy::disallowed_types, reason = "they are wrapped here")]

use super::caller::wants_page;
use super::connections::BodyTimeout;
use super::pages;
use super::problem::refuse;
use super::security::PageContext;
use crate::model::error::Problem;
use crate::server::http::state::App;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, FormRejection};
use axum::extract::{self, FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::de::DeserializeOwned;
use std::error::Error;

/// The query.
#[derive(Clone, Copy, Debug, Default)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<App> for Query<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        let read = extract::Query::<T>::from_request_parts(parts, app).await;
        let read = read.map_err(|why| {
            let what = format!("The query cannot be read: {}.", reason(&why.body_text()));
            answer(
                app,
                parts,
                refuse(StatusCode::BAD_REQUEST, "bad-query", "Bad query", what),
            )
        });
        read.map(|extract::Query(value)| Self(value))
    }
}

/// The parameters of the path.
#[derive(Clone, Copy, Debug)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send> FromRequestParts<App> for Path<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        let read = extract::Path::<T>::from_request_parts(parts, app).await;
        let read = read.map_err(|why| {
            let what = format!("The path cannot be read: {}.", reason(&why.body_text()));
            answer(
                app,
                parts,
                refuse(StatusCode::BAD_REQUEST, "bad-path", "Bad path", what),
            )
        });
        read.map(|extract::Path(value)| Self(value))
    }
}

/// A form.
#[derive(Clone, Copy, Debug)]
pub struct Form<T>(pub T);

impl<T: DeserializeOwned> FromRequest<App> for Form<T> {
    type Rejection = Response;

    async fn from_request(request: Request, app: &App) -> Result<Self, Response> {
        let (parts, body) = request.into_parts();
        let request = Request::from_parts(parts.clone(), body);
        let read = extract::Form::<T>::from_request(request, app).await;
        let read = read.map_err(|why| {
            let problem = match &why {
                FormRejection::BytesRejection(bytes) => unread(bytes),
                FormRejection::InvalidFormContentType(_) => refuse(
                    StatusCode::UNSUPPORTED_MEDIA_TYPE,
                    "not-a-form",
                    "Not a form",
                    "Send a form with Content-Type: application/x-www-form-urlencoded.",
                ),
                other => {
                    let what = format!("The form cannot be read: {}.", reason(&other.body_text()));
                    refuse(StatusCode::BAD_REQUEST, "bad-form", "Bad form", what)
                }
            };
            answer(app, &parts, problem)
        });
        read.map(|extract::Form(value)| Self(value))
    }
}

/// The body as bytes.
#[derive(Clone, Debug)]
pub struct RawBody(pub Bytes);

impl FromRequest<App> for RawBody {
    type Rejection = Response;

    async fn from_request(request: Request, app: &App) -> Result<Self, Response> {
        let read = Bytes::from_request(request, app).await;
        read.map(Self).map_err(|why| unread(&why).into_response())
    }
}

/// The problem of a body that could not be read.
pub fn unread(why: &BytesRejection) -> Problem {
    if why.status() == StatusCode::PAYLOAD_TOO_LARGE {
        let what = "The request is too large for this address.";
        return refuse(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "Too large", what);
    }
    let first: &(dyn Error + 'static) = why;
    let mut causes = std::iter::successors(Some(first), |error: &&(dyn Error + 'static)| Error::source(*error));
    if causes.any(|cause| cause.is::<BodyTimeout>()) {
        let what = "The rest of the request did not arrive in time, so nothing was done. Send it again.";
        return refuse(StatusCode::REQUEST_TIMEOUT, "too-slow", "Too slow", what);
    }
    let what = format!("The request could not be read: {}.", reason(&why.body_text()));
    refuse(StatusCode::BAD_REQUEST, "bad-request", "Bad request", what)
}

/// The reason in a text of axum, without what axum puts in front of it.
fn reason(text: &str) -> &str {
    text.split_once(": ")
        .map_or(text, |(_, reason)| reason)
        .trim_end_matches('.')
}

fn answer(app: &App, parts: &Parts, problem: Problem) -> Response {
    let (path, headers): (&str, &HeaderMap) = (parts.uri.path(), &parts.headers);
    if !wants_page(path, headers) {
        return problem.into_response();
    }
    let context = parts.extensions.get::<PageContext>().cloned().unwrap_or_default();
    pages::wrong(app, &context, headers, problem)
}
