//! What runs when.

use super::super::caller::Caller;
use super::super::security::Sheet;
use super::workers::FleetQuery;
use super::{refused, show};
use crate::model::page::Body;
use crate::model::queue::QueueRef;
use crate::model::schedule::SchedulesPage;
use crate::server::service::Refusal;
use crate::server::state::App;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::{Extension, Json};

/// The page.
pub async fn schedules(
    State(app): State<App>,
    caller: Caller,
    Extension(sheet): Extension<Sheet>,
    Query(query): Query<FleetQuery>,
    headers: HeaderMap,
) -> Response {
    let answer = match query.filter() {
        Ok(filter) => app.view(&caller.who).schedules(&filter).await,
        Err(refusal) => Err(refusal),
    };
    match answer {
        Ok((page, position)) => {
            let queues: Vec<QueueRef> = page.schedules.iter().map(|schedule| schedule.queue.clone()).collect();
            let offers = app.service().offer_schedules(&caller.who, &queues);
            show(&app, &sheet, &headers, position, Body::Schedules(page, offers))
        }
        Err(refusal) => refused(&app, &sheet, &headers, &refusal),
    }
}

/// The same for the API.
pub async fn schedules_json(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<FleetQuery>,
) -> Result<Json<SchedulesPage>, Refusal> {
    let (page, _) = app.view(&caller.who).schedules(&query.filter()?).await?;
    Ok(Json(page))
}
