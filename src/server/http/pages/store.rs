//! One store: its health, its last hour, and what it holds.

use super::super::api::SampleQuery;
use super::super::problem::refuse;
use super::PageRequest;
use crate::model::page::Body;
use crate::model::vitals::Series;
use crate::server::http::caller::Caller;
use crate::server::http::extract::{Path, Query};
use crate::server::http::state::App;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

/// One store.
pub async fn store(req: PageRequest, Path(store): Path<String>, Query(query): Query<SampleQuery>) -> Response {
    match req.view().store_page(&store, query.sample()).await {
        Ok((page, position)) => req.show(position, Body::Store(page)),
        Err(refusal) => req.refused(&refusal),
    }
}

/// One drawing alone, for a page that keeps it fresh: `memory.svg`, `commands.svg` and so on.
pub async fn chart(State(app): State<App>, caller: Caller, Path((store, file)): Path<(String, String)>) -> Response {
    let Some(series) = file.strip_suffix(".svg").and_then(|name| name.parse::<Series>().ok()) else {
        let what = format!("There is no chart {file:?}.");
        return refuse(StatusCode::NOT_FOUND, "no-such-chart", "No such chart", what).into_response();
    };
    match app.view(&caller.who).store_chart(&store, series).await {
        Ok(svg) => ([(header::CONTENT_TYPE, "image/svg+xml")], svg.to_string()).into_response(),
        Err(refusal) => refusal.into_response(),
    }
}
