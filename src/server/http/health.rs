//! How Drover itself is doing. None of these asks a store: a dead Redis must not restart the board
//! that shows that it is dead.

use super::caller::Caller;
use super::problem::refuse;
use crate::server::state::App;
use crate::server::telemetry;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

/// The process answers.
pub async fn live() -> &'static str {
    "ok\n"
}

/// The process can serve, and is not stopping.
pub async fn ready(State(app): State<App>) -> Response {
    if app.stop().is_cancelled() {
        (StatusCode::SERVICE_UNAVAILABLE, "stopping\n").into_response()
    } else {
        "ready\n".into_response()
    }
}

/// Metrics in the Prometheus text format, for those who see everything: they tell of every store.
pub async fn metrics(State(app): State<App>, caller: Caller) -> Response {
    if !caller.who.sees_all() {
        let detail =
            "Metrics tell of every store; they are for those who see all queues. A scraper takes a token with view.";
        return refuse(StatusCode::FORBIDDEN, "denied", "Not permitted", detail).into_response();
    }
    match telemetry::render(&app) {
        Some(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response(),
        None => (StatusCode::SERVICE_UNAVAILABLE, "another recorder is installed\n").into_response(),
    }
}
