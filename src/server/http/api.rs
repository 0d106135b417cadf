//! The API, `/api/v1`: the same answers as the pages, as JSON.
//!
//! - [`act`]: actions, and the audit log
//! - [`queues`]: the list of queues
//! - [`mod@job`]: the parts of a job
//! - [`operations`]: actions over many jobs
//! - [`archive`]: archived jobs; [`policies`]: automatic archiving

use super::problem::refuse;
use crate::model::capability::Capabilities;
use crate::model::error::Problem;
use crate::model::filter::JobFilter;
use crate::model::insight::Insight;
use crate::model::job::JobDetail;
use crate::model::page::{JobPageRows, Order};
use crate::model::queue::{QueueRef, QueueSummary};
use crate::model::state::JobState;
use crate::model::store::StoreSummary;
use crate::model::vitals::{Answered, StoreDetail};
use crate::model::weights::{MemoryByQueue, SAMPLE, SAMPLE_MAX, SAMPLE_MIN};
use crate::server::http::caller::Caller;
use crate::server::http::extract::{Path, Query};
use crate::server::http::state::App;
use crate::server::service::{JobsRequest, Refusal};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub mod act;
pub mod archive;
pub mod job;
pub mod operations;
pub mod policies;
pub mod queues;
pub mod reveal;

/// A list with the moment it is true for.
#[derive(Debug, JsonSchema, Serialize)]
pub struct Listing<T> {
    items: Vec<T>,
    /// The position in the event stream that the items belong to.
    after: String,
}

/// All stores.
pub async fn stores(State(app): State<App>, caller: Caller) -> Json<Listing<StoreSummary>> {
    let (stores, _, position) = app.view(&caller.who).lines();
    Json(Listing {
        items: stores,
        after: position.to_string(),
    })
}

/// One store in full.
pub async fn store(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<StoreDetail>, Refusal> {
    app.view(&caller.who).store_detail(&id).await.map(Json)
}

/// The query parameters of memory by queue.
#[derive(Debug, Default, Deserialize)]
pub struct SampleQuery {
    sample: Option<String>,
}

impl SampleQuery {
    /// Jobs to weigh of each state; the usual number if the parameter is not a number.
    #[must_use]
    pub fn sample(&self) -> u32 {
        let asked = self.sample.as_deref().and_then(|text| text.parse().ok());
        asked.unwrap_or(SAMPLE).clamp(SAMPLE_MIN, SAMPLE_MAX)
    }
}

/// The memory that a store's queues take.
pub async fn store_memory(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<SampleQuery>,
) -> Result<Json<Answered<MemoryByQueue>>, Refusal> {
    app.view(&caller.who)
        .memory_by_queue(&id, query.sample())
        .await
        .map(Json)
}

/// What each system at each generation can do, of the stores that are configured.
pub async fn systems(State(app): State<App>) -> Json<Listing<&'static Capabilities>> {
    Json(Listing {
        items: app.service().systems(),
        after: app.board().position().to_string(),
    })
}

/// One queue in full.
#[derive(Debug, JsonSchema, Serialize)]
pub struct QueueInFull {
    #[serde(flatten)]
    queue: QueueSummary,
    /// Limits, retention and times; `null` when the store does not answer.
    insight: Option<Insight>,
}

/// One queue.
pub async fn queue(
    State(app): State<App>,
    caller: Caller,
    Path((store, queue)): Path<(String, String)>,
) -> Result<Json<QueueInFull>, Refusal> {
    let key = QueueRef { store, queue };
    let insight = app.view(&caller.who).insight(&key).await?;
    let (queue, ..) = app.view(&caller.who).queue(&key)?;
    Ok(Json(QueueInFull {
        queue,
        insight: insight.ok(),
    }))
}

/// The query parameters of a list of jobs.
#[derive(Debug, Default, Deserialize)]
pub struct JobsQuery {
    state: Option<String>,
    order: Option<String>,
    q: Option<String>,
    cursor: Option<String>,
    limit: Option<usize>,
}

impl JobsQuery {
    /// Checks the words.
    ///
    /// # Errors
    ///
    /// When one is not known.
    pub fn request(self) -> Result<JobsRequest, Problem> {
        let bad = |what: String| refuse(StatusCode::BAD_REQUEST, "bad-query", "Bad query", what);
        Ok(JobsRequest {
            state: self
                .state
                .map(|text| {
                    text.parse::<JobState>()
                        .map_err(|error| bad(format!("state={text}: {error}.")))
                })
                .transpose()?,
            order: self
                .order
                .map(|text| {
                    text.parse::<Order>()
                        .map_err(|()| bad(format!("order={text}: neither next nor newest.")))
                })
                .transpose()?,
            filter: self
                .q
                .map(|text| text.trim().to_owned())
                .filter(|text| !text.is_empty())
                .map(|text| match JobFilter::in_list(&text) {
                    Ok(filter) => Ok((text, filter)),
                    Err(error) => Err(bad(error.to_string())),
                })
                .transpose()?,
            cursor: self.cursor.filter(|cursor| !cursor.is_empty()),
            limit: self.limit,
        })
    }
}

/// A page of jobs.
pub async fn jobs(
    State(app): State<App>,
    caller: Caller,
    Path((store, queue)): Path<(String, String)>,
    Query(query): Query<JobsQuery>,
) -> Result<Json<JobPageRows>, Response> {
    let request = query.request().map_err(IntoResponse::into_response)?;
    let answer = app.view(&caller.who).jobs(&QueueRef { store, queue }, &request).await;
    let (_, rows) = answer.map_err(IntoResponse::into_response)?;
    rows.map(Json)
        .map_err(|error| Refusal::Unreadable(error).into_response())
}

/// One job.
pub async fn job(
    State(app): State<App>,
    caller: Caller,
    Path((store, queue, job)): Path<(String, String, String)>,
) -> Result<Json<JobDetail>, Refusal> {
    let job = app.view(&caller.who).job(&QueueRef { store, queue }, &job).await?;
    Ok(Json(JobDetail::clone(&job)))
}
