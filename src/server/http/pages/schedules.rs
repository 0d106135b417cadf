//! What runs when.

use super::super::caller::Caller;
use super::PageRequest;
use super::workers::FleetQuery;
use crate::model::page::Body;
use crate::model::queue::QueueRef;
use crate::model::schedule::SchedulesPage;
use crate::server::http::extract::Query;
use crate::server::http::state::App;
use crate::server::service::Refusal;
use axum::Json;
use axum::extract::State;
use axum::response::Response;

/// The page.
pub async fn schedules(req: PageRequest, Query(query): Query<FleetQuery>) -> Response {
    let answer = match query.filter() {
        Ok(filter) => req.view().schedules(&filter).await,
        Err(refusal) => Err(refusal),
    };
    match answer {
        Ok((page, position)) => {
            let queues: Vec<QueueRef> = page.schedules.iter().map(|schedule| schedule.queue.clone()).collect();
            let mut offers = req.app.service().offer_schedules(&req.caller.who, &queues);
            for (_, offer) in &mut offers {
                if let Some(last) = &offer.last {
                    offer.undo = req.app.service().undo_of(&req.caller.who, last).await;
                }
            }
            req.show(position, Body::Schedules(page, offers))
        }
        Err(refusal) => req.refused(&refusal),
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
