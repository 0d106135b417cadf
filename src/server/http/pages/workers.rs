//! The workers of each queue.

use super::PageRequest;
use crate::model::page::Body;
use crate::model::worker::{FleetFilter, WorkersPage};
use crate::server::http::caller::Caller;
use crate::server::http::extract::Query;
use crate::server::http::state::App;
use crate::server::service::Refusal;
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

/// The query parameters of workers and schedules.
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
pub async fn workers(req: PageRequest, Query(query): Query<FleetQuery>) -> Response {
    let answer = match query.filter() {
        Ok(filter) => req.view().workers(&filter).await,
        Err(refusal) => Err(refusal),
    };
    match answer {
        Ok((page, position)) => {
            let page = WorkersPage::clone(&page);
            req.show(position, Body::Workers(page))
        }
        Err(refusal) => req.refused(&refusal),
    }
}

/// The same for the API.
pub async fn workers_json(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<FleetQuery>,
) -> Result<Json<WorkersPage>, Refusal> {
    let filter = query.filter()?;
    let (page, _) = app.view(&caller.who).workers(&filter).await?;
    Ok(Json(WorkersPage::clone(&page)))
}
