//! Who works for which queue.

use super::super::security::Sheet;
use super::{refused, show};
use crate::model::page::Body;
use crate::model::worker::{FleetFilter, WorkersPage};
use crate::server::http::caller::Caller;
use crate::server::service::Refusal;
use crate::server::state::App;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::{Extension, Json};
use serde::Deserialize;

/// What may stand behind `?` where workers and schedules are shown.
#[derive(Debug, Default, Deserialize)]
pub struct FleetQuery {
    q: Option<String>,
    queue: Option<String>,
}

impl FleetQuery {
    /// Checks the words.
    ///
    /// # Errors
    ///
    /// When the queue is not `<store>/<queue id>`.
    pub fn filter(&self) -> Result<FleetFilter, Refusal> {
        FleetFilter::parse(self.q.as_deref(), self.queue.as_deref())
    }
}

/// The page.
pub async fn workers(
    State(app): State<App>,
    caller: Caller,
    Extension(sheet): Extension<Sheet>,
    Query(query): Query<FleetQuery>,
    headers: HeaderMap,
) -> Response {
    match query.filter() {
        Ok(filter) => {
            let (page, position) = app.view(&caller.who).workers(&filter).await;
            let page = WorkersPage::clone(&page);
            show(&app, &sheet, &headers, position, Body::Workers(page))
        }
        Err(refusal) => refused(&app, &sheet, &headers, &refusal),
    }
}

/// The same for the API.
pub async fn workers_json(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<FleetQuery>,
) -> Result<Json<WorkersPage>, Refusal> {
    let filter = query.filter()?;
    let (page, _) = app.view(&caller.who).workers(&filter).await;
    Ok(Json(WorkersPage::clone(&page)))
}
