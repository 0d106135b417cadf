//! Actions over many jobs: previewed, started, watched and controlled.
//!
//! A request is a JSON object: the action with its own fields, `filter` or `jobs`, and `dry_run` for a preview. The
//! preview's `token` starts exactly what it showed; up to [`UNSEEN_MAX`] jobs can be started without one.

use super::super::caller::Caller;
use super::super::problem::refuse;
use super::super::security::is_json;
use super::act::{key_of, take};
use crate::model::action::Seen;
use crate::model::action::catalogue::Target;
use crate::model::error::Problem;
use crate::model::filter::JobFilter;
use crate::model::operation::page::{RESULT_WORDS, RESULTS};
use crate::model::operation::{Bounds, Canary, ItemResult, Operation, Preview};
use crate::model::queue::QueueRef;
use crate::server::audit::record::Key;
use crate::server::http::extract::{Path, Query, RawBody};
use crate::server::http::state::App;
use crate::server::service::act::intent::{BadIntent, Intent};
use crate::server::service::operations::{Asked, Control, Start, UNSEEN_MAX};
use crate::server::service::{Refusal, Service};
use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::convert::Infallible;

/// The most results on a page.
pub const RESULTS_MAX: usize = 1_000;

/// All operations that are kept.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Operations")]
pub struct All {
    /// The newest first.
    items: Vec<Operation>,
}

/// A page of an operation's jobs.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "OperationResults")]
pub struct Results {
    /// The jobs, in the order of their turn.
    items: Vec<ItemResult>,
    /// How many there are of the result that was asked for.
    total: u64,
    /// How many come before these.
    offset: usize,
}

/// What may be given to an operation beside the action's own fields.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[expect(dead_code, reason = "it is the description; a request is taken apart field by field")]
pub struct OperationOrder {
    /// `retry`, `remove`, `archive`, `promote`, `delay`, `redrive` or `resume_job`, with the fields that this action takes for one job.
    action: Option<String>,
    /// Which jobs, such as `state:failed queue:redis/bull:emails error:"timed out"`.
    filter: Option<String>,
    /// Or these, up to 1,000, each as it was shown.
    jobs: Option<Vec<Named>>,
    /// Only a preview: nothing is started.
    dry_run: Option<bool>,
    /// Starts what the preview with this token showed, and nothing else.
    token: Option<String>,
    /// Jobs a second at most.
    rate: Option<u32>,
    /// A few first, then the rest if those do well.
    canary: Option<Canary>,
    /// Why: kept in the audit log.
    reason: Option<String>,
    /// What the preview asks to be typed.
    typed: Option<String>,
}

/// A job by name.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Named {
    queue: QueueWords,
    /// Its id.
    id: String,
    /// As it was shown; what is not given is not checked.
    #[serde(default)]
    seen: Seen,
}

/// A queue: `store/queue id`, or both as an object.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
enum QueueWords {
    Text(String),
    Ref(QueueRef),
}

/// Previews, or starts.
pub async fn order(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    RawBody(body): RawBody,
) -> Result<Response, Response> {
    if !is_json(&headers) {
        return Err(refuse(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "not-json",
            "Not JSON",
            "Send the operation as a JSON object with Content-Type: application/json.",
        )
        .into_response());
    }
    let wanted = Wanted::read(&body).map_err(IntoResponse::into_response)?;
    let service = app.service();
    let key = key_of(&headers, &caller, "/api/v1/operations", &body).map_err(IntoResponse::into_response)?;
    let key = key.filter(|_| !wanted.dry_run);
    // Two requests with the same key wait for each other: the second finds what the first began.
    let _alone = service.one_order_at_a_time(key.is_some()).await;
    if let Some(key) = &key
        && let Some(known) = service.ordered(key).map_err(IntoResponse::into_response)?
    {
        return Ok(accepted(&app, known, true));
    }
    if let Some(token) = wanted.token.clone().filter(|_| !wanted.dry_run) {
        wanted.is_of(service, &token).map_err(IntoResponse::into_response)?;
        return begin(&app, &caller, &token, wanted, key).await;
    }
    let asked = wanted.asked().map_err(IntoResponse::into_response)?;
    let preview = service
        .preview(&caller.who, asked)
        .await
        .map_err(IntoResponse::into_response)?;
    if wanted.dry_run {
        return Ok(Json(preview).into_response());
    }
    if preview.selected > UNSEEN_MAX {
        return Err(refuse(
            StatusCode::UNPROCESSABLE_ENTITY,
            "needs-preview",
            "Preview it first",
            format!(
                "This would be {} jobs. More than {UNSEEN_MAX} need a preview first: send the same with \"dry_run\": \
                 true, check the answer, and send its \"token\" within ten minutes.",
                preview.selected
            ),
        )
        .into_response());
    }
    let token = preview.token.clone();
    begin(&app, &caller, &token, wanted, key).await
}

async fn begin(
    app: &App,
    caller: &Caller,
    token: &str,
    wanted: Wanted,
    key: Option<Key>,
) -> Result<Response, Response> {
    let start = Start {
        token: token.to_owned(),
        bounds: wanted.bounds,
        reason: wanted.reason,
        typed: wanted.typed,
        key,
    };
    let started = app.service().start(&caller.who, start).await;
    Ok(accepted(app, started.map_err(IntoResponse::into_response)?, false))
}

fn accepted(app: &App, started: Operation, replayed: bool) -> Response {
    let path = format!("/api/v1/operations/{}", started.id);
    let mut response = (StatusCode::ACCEPTED, Json(started)).into_response();
    if let Ok(path) = HeaderValue::from_str(&app.config().base_path.href(&path)) {
        response.headers_mut().insert(header::LOCATION, path);
    }
    if replayed {
        let name = HeaderName::from_static("idempotency-replayed");
        response.headers_mut().insert(name, HeaderValue::from_static("true"));
    }
    response
}

/// Everything a request says.
#[derive(Debug)]
struct Wanted {
    intent: Option<Intent>,
    filter: Option<JobFilter>,
    jobs: Option<Vec<Named>>,
    dry_run: bool,
    token: Option<String>,
    bounds: Bounds,
    reason: String,
    typed: Option<String>,
}

impl Wanted {
    fn read(body: &[u8]) -> Result<Self, Problem> {
        let mut fields: Map<String, Value> = serde_json::from_slice(body).map_err(|error| {
            refuse(
                StatusCode::BAD_REQUEST,
                "bad-json",
                "Bad request",
                format!("The request is not a JSON object: {error}."),
            )
        })?;
        let fields = &mut fields;
        let wanted = Self {
            filter: match take::<String>(fields, "filter").map_err(bad)? {
                Some(text) => Some(text.parse().map_err(|error| bad(format!("filter: {error}")))?),
                None => None,
            },
            jobs: take(fields, "jobs").map_err(bad)?,
            dry_run: take(fields, "dry_run").map_err(bad)?.unwrap_or_default(),
            token: take(fields, "token").map_err(bad)?,
            bounds: Bounds {
                rate: take(fields, "rate").map_err(bad)?,
                canary: take(fields, "canary").map_err(bad)?,
            },
            reason: take(fields, "reason").map_err(bad)?.unwrap_or_default(),
            typed: take(fields, "typed").map_err(bad)?,
            intent: match take::<String>(fields, "action").map_err(bad)? {
                Some(word) => {
                    let rest = std::mem::take(fields);
                    let intent = Intent::read(Target::Job, "", &word, rest);
                    Some(intent.map_err(|error| match error {
                        BadIntent::NoSuchAction(what) | BadIntent::Wrong(what) => bad(what),
                    })?)
                }
                None => None,
            },
        };
        match fields.keys().next() {
            Some(unknown) => Err(bad(format!(
                "An operation takes no {unknown:?} without its action; it takes action, filter, jobs, dry_run, token, rate, canary, \
                 reason and typed."
            ))),
            None => Ok(wanted),
        }
    }

    fn asked(&self) -> Result<Asked, Problem> {
        let Some(Intent::Job { action, .. }) = self.intent.clone() else {
            return Err(bad(
                "action is missing: retry, remove, archive, promote, delay, redrive or resume_job.",
            ));
        };
        if self.filter.is_some() == self.jobs.is_some() {
            return Err(bad(
                "Say which jobs: either a filter, such as \"state:failed queue:emails\", or jobs.",
            ));
        }
        let jobs = self.jobs.iter().flatten().map(|named| {
            let queue = match &named.queue {
                QueueWords::Ref(queue) => Some(queue.clone()),
                QueueWords::Text(text) => queue_of(text),
            };
            let queue = queue.ok_or_else(|| bad("A job's queue is <store>/<queue id>, such as redis/bull:emails."))?;
            Ok((queue, named.id.clone(), named.seen.clone()))
        });
        let jobs: Vec<_> = jobs.collect::<Result<_, Problem>>()?;
        if self.jobs.is_some() && jobs.is_empty() {
            return Err(bad("jobs is empty: name at least one."));
        }
        Ok(Asked {
            action,
            filter: self.filter.clone().unwrap_or_default(),
            jobs,
        })
    }

    /// A token is for the action and the filter that its preview showed. A request with another action or filter is
    /// refused: its caller has not seen a preview of it.
    fn is_of(&self, service: &Service, token: &str) -> Result<(), Problem> {
        let Some((action, filter)) = service.previewed(token) else {
            // The start answers why, or with the operation that the token has started already.
            return Ok(());
        };
        let other = |what: &str| {
            refuse(
                StatusCode::UNPROCESSABLE_ENTITY,
                "other-preview",
                "Not what was previewed",
                format!("The token is of a preview with another {what}. Preview again, or send the token alone."),
            )
        };
        match &self.intent {
            Some(Intent::Job { action: given, .. }) if *given != action => return Err(other("action")),
            _ => {}
        }
        match &self.filter {
            Some(given) if *given != filter => Err(other("filter")),
            _ => Ok(()),
        }
    }
}

fn bad(what: impl Into<String>) -> Problem {
    refuse(StatusCode::BAD_REQUEST, "bad-operation", "Bad operation", what)
}

/// The queue that `store/queue id` names.
pub fn queue_of(text: &str) -> Option<QueueRef> {
    let (store, queue) = text.split_once('/')?;
    (!store.is_empty() && !queue.is_empty()).then(|| QueueRef {
        store: store.to_owned(),
        queue: queue.to_owned(),
    })
}

/// All operations.
pub async fn all(State(app): State<App>, caller: Caller) -> Json<All> {
    Json(All {
        items: app.view(&caller.who).operations(),
    })
}

/// One operation.
pub async fn one(State(app): State<App>, caller: Caller, Path(id): Path<String>) -> Result<Json<Operation>, Refusal> {
    app.view(&caller.who).operation(&id).map(Json)
}

/// The query parameters of a list of results.
#[derive(Debug, Default, Deserialize)]
pub struct ResultsQuery {
    result: Option<String>,
    offset: Option<usize>,
    limit: Option<usize>,
}

impl ResultsQuery {
    /// The result that is asked for, if one is, and how many come before.
    ///
    /// # Errors
    ///
    /// When there is no such result.
    pub fn read(self) -> Result<(Option<String>, usize), Problem> {
        let result = self.result.filter(|result| !result.is_empty());
        match &result {
            Some(word) if word != "left" && !RESULT_WORDS.contains(&word.as_str()) => Err(refuse(
                StatusCode::BAD_REQUEST,
                "bad-query",
                "Bad query",
                format!("result={word}: one of {}, left.", RESULT_WORDS.join(", ")),
            )),
            _ => Ok((result, self.offset.unwrap_or(0))),
        }
    }
}

/// Jobs of an operation with their results.
pub async fn results(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<ResultsQuery>,
) -> Result<Json<Results>, Response> {
    let limit = query.limit.unwrap_or(RESULTS).clamp(1, RESULTS_MAX);
    let (result, offset) = query.read().map_err(IntoResponse::into_response)?;
    let read = app
        .view(&caller.who)
        .results(&id, result.as_deref(), offset, limit)
        .await;
    let (items, total) = read.map_err(IntoResponse::into_response)?;
    Ok(Json(Results { items, total, offset }))
}

/// Every job of an operation with its result, a JSON object on each line, as a file.
pub async fn download(State(app): State<App>, caller: Caller, Path(id): Path<String>) -> Result<Response, Refusal> {
    let items = app.view(&caller.who).exported_results(&id).await?;
    // Line by line: a hundred thousand are not put together first.
    let lines = items.into_iter().map(|item| {
        let mut line = serde_json::to_vec(&item).unwrap_or_default();
        line.push(b'\n');
        Ok::<_, Infallible>(Bytes::from(line))
    });
    let mut response = Body::from_stream(futures::stream::iter(lines)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    let name = format!("attachment; filename=\"operation-{id}.ndjson\"");
    if let Ok(name) = HeaderValue::from_str(&name) {
        headers.insert(header::CONTENT_DISPOSITION, name);
    }
    Ok(response)
}

/// The control that a word means.
pub fn control_of(word: &str) -> Option<Control> {
    match word {
        "pause" => Some(Control::Pause),
        "resume" => Some(Control::Resume),
        "cancel" => Some(Control::Cancel),
        _ => None,
    }
}

/// Pauses, resumes or cancels an operation, or previews the rest of it.
pub async fn control(
    State(app): State<App>,
    caller: Caller,
    Path((id, word)): Path<(String, String)>,
) -> Result<Response, Response> {
    let service = app.service();
    if word == "again" {
        let preview: Result<Preview, Refusal> = service.again(&caller.who, &id).await;
        return preview
            .map(|preview| Json(preview).into_response())
            .map_err(IntoResponse::into_response);
    }
    let Some(control) = control_of(&word) else {
        return Err(refuse(
            StatusCode::NOT_FOUND,
            "no-such-action",
            "No such action",
            "An operation accepts pause, resume and cancel, and again previews the rest of one that has ended.",
        )
        .into_response());
    };
    let told = service.control(&caller.who, &id, control).await;
    told.map(|operation| Json(operation).into_response())
        .map_err(IntoResponse::into_response)
}
