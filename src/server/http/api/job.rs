//! The parts of a job: its log, its relatives, its values byte by byte.

use super::super::problem::refuse;
use crate::model::error::Problem;
use crate::model::flow::{ChildKind, Flow};
use crate::model::job::LogPage;
use crate::model::queue::QueueRef;
use crate::server::adapter::FieldBytes;
use crate::server::http::caller::Caller;
use crate::server::http::extract::{Path, Query};
use crate::server::http::state::App;
use crate::server::service::{FlowRequest, JobRequest, LogRequest, Refusal};
use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Bytes of a value handed to the connection at a time.
const PIECE: usize = 256 * 1024;

/// How long a reader may take to fetch a value: meanwhile no other reader can fetch one.
const FETCH_WITHIN: Duration = Duration::from_secs(120);

/// The query parameters of a part of a log.
#[derive(Debug, Default, Deserialize)]
pub struct LogsQuery {
    from: Option<u64>,
    limit: Option<usize>,
    q: Option<String>,
}

/// A part of a job's log.
pub async fn logs(
    State(app): State<App>,
    caller: Caller,
    Path((store, queue, job)): Path<(String, String, String)>,
    Query(query): Query<LogsQuery>,
) -> Result<Json<LogPage>, Refusal> {
    let request = LogRequest {
        from: query.from,
        limit: query.limit,
        find: query.q,
    };
    app.view(&caller.who)
        .logs(&QueueRef { store, queue }, &job, &request)
        .await
        .map(Json)
}

/// The query parameters of a job's children.
#[derive(Debug, Default, Deserialize)]
pub struct FlowQuery {
    children: Option<String>,
    from: Option<String>,
    limit: Option<usize>,
}

impl FlowQuery {
    /// Checks the words.
    ///
    /// # Errors
    ///
    /// When one is not known.
    pub fn request(self) -> Result<FlowRequest, Problem> {
        let kind = |text: String| {
            text.parse::<ChildKind>().map_err(|()| {
                let what = format!("children={text}: one of pending, failed, ignored, completed.");
                refuse(StatusCode::BAD_REQUEST, "bad-query", "Bad query", what)
            })
        };
        Ok(FlowRequest {
            children: self.children.filter(|text| !text.is_empty()).map(kind).transpose()?,
            from: self.from.filter(|from| !from.is_empty()),
            limit: self.limit,
        })
    }
}

/// A job's parents and children, or more children of one kind.
pub async fn flow(
    State(app): State<App>,
    caller: Caller,
    Path((store, queue, job)): Path<(String, String, String)>,
    Query(query): Query<FlowQuery>,
) -> Result<Json<Flow>, Response> {
    let request = query.request().map_err(IntoResponse::into_response)?;
    let whole = request.children.is_none();
    let answer = app
        .view(&caller.who)
        .flow(&QueueRef { store, queue }, &job, &request, whole)
        .await;
    answer.map(Json).map_err(IntoResponse::into_response)
}

/// The query parameters of a job's page.
#[derive(Debug, Default, Deserialize)]
pub struct JobQuery {
    children: Option<String>,
    from: Option<String>,
    line: Option<u64>,
    find: Option<String>,
    asked: Option<String>,
}

impl JobQuery {
    /// Checks the words.
    ///
    /// # Errors
    ///
    /// When one is not known.
    pub fn request(self) -> Result<JobRequest, Problem> {
        let flow = FlowQuery {
            children: self.children,
            from: self.from,
            limit: None,
        };
        Ok(JobRequest {
            flow: flow.request()?,
            log: LogRequest {
                from: self.line,
                limit: None,
                find: self.find.filter(|find| !find.is_empty()),
            },
            asked: self.asked,
        })
    }
}

/// A field of a job's record as a file: as it is stored, but for its secrets.
pub async fn field(
    State(app): State<App>,
    caller: Caller,
    Path((store, queue, job, field)): Path<(String, String, String, String)>,
) -> Result<Response, Refusal> {
    let value = app
        .view(&caller.who)
        .field(&QueueRef { store, queue }, &job, &field)
        .await?;
    Ok(file(value, &job, &field))
}

/// The value of a field as a file.
pub(super) fn file(value: FieldBytes, job: &str, field: &str) -> Response {
    let (kind, ending) = if value.text {
        ("text/plain; charset=utf-8", "txt")
    } else {
        ("application/octet-stream", "bin")
    };
    let name = format!("job-{}-{}.{ending}", plain(job), plain(field));
    let length = value.bytes.len();
    let mut response = Response::new(Body::from_stream(pieces(value)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    if let Ok(name) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
        headers.insert(header::CONTENT_DISPOSITION, name);
    }
    response
}

/// A stranger's text with only those characters that are safe in a file name.
fn plain(text: &str) -> String {
    let fine = |c: char| {
        if c.is_ascii_alphanumeric() || c == '-' || c == '_' {
            c
        } else {
            '_'
        }
    };
    text.chars().take(60).map(fine).collect()
}

/// The value in pieces. It is dropped when the reader takes too long, read or not, because it holds the turn.
fn pieces(value: FieldBytes) -> impl futures::Stream<Item = io::Result<Bytes>> {
    let shared = Arc::new(Mutex::new(Some(value)));
    let held = Arc::downgrade(&shared);
    tokio::spawn(async move {
        tokio::time::sleep(FETCH_WITHIN).await;
        if let Some(held) = held.upgrade() {
            held.lock().unwrap_or_else(PoisonError::into_inner).take();
        }
    });
    futures::stream::unfold(shared, |shared| async move {
        let piece = match &mut *shared.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(value) if value.bytes.is_empty() => return None,
            Some(value) => Ok(value.bytes.split_to(PIECE.min(value.bytes.len()))),
            None => Err(io::Error::new(io::ErrorKind::TimedOut, "the reader took too long")),
        };
        Some((piece, shared))
    })
}
