//! Actions on one job, one queue, one schedule, and the audit log.
//!
//! A request is a JSON object with the action's own fields and `seen`, `reason`, `dry_run`. The answer tells the
//! result: 200 when the action was done, a problem otherwise, whose `outcome` says whether anything was.

use super::super::caller::Caller;
use super::super::problem::refuse;
use super::super::security::is_json;
use crate::model::action::catalogue::{ActionKind, Input, Target};
use crate::model::action::{Effect, Seen};
use crate::model::answer::ActAnswer;
use crate::model::audit::{AuditPage, Became};
use crate::model::error::{Outcome, Problem};
use crate::model::queue::QueueRef;
use crate::server::audit::AuditFilter;
use crate::server::audit::record::Key;
use crate::server::http::extract::{Path, Query, unread};
use crate::server::http::state::App;
use crate::server::service::Refusal;
use crate::server::service::act::intent::{BODY_MAX, BadIntent, DATA_MAX, Intent};
use crate::server::service::act::{ActOutcome, Acted, Ask};
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Map, Value};

/// The largest request of all: the largest data, with every second character escaped, and the rest.
pub const REQUEST_MAX: usize = 2 * DATA_MAX + BODY_MAX;

/// The largest form: the largest data, with every character escaped, and the rest.
pub const FORM_MAX: usize = 3 * DATA_MAX + BODY_MAX;

/// The longest idempotency key.
const KEY_MAX: usize = 255;

/// The body of a request.
type Body = Result<Bytes, BytesRejection>;

/// An action on a job.
pub async fn job(
    State(app): State<App>,
    caller: Caller,
    Path((store, queue, job, action)): Path<(String, String, String, String)>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Response> {
    let request = Request {
        caller,
        uri,
        headers,
        body,
    };
    request
        .act(&app, QueueRef { store, queue }, Target::Job, &job, &action)
        .await
}

/// An action on a queue.
pub async fn queue(
    State(app): State<App>,
    caller: Caller,
    Path((store, queue, action)): Path<(String, String, String)>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Response> {
    let request = Request {
        caller,
        uri,
        headers,
        body,
    };
    request
        .act(&app, QueueRef { store, queue }, Target::Queue, "", &action)
        .await
}

/// A new job.
pub async fn add(
    State(app): State<App>,
    caller: Caller,
    Path((store, queue)): Path<(String, String)>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Response> {
    let request = Request {
        caller,
        uri,
        headers,
        body,
    };
    request
        .act(&app, QueueRef { store, queue }, Target::Queue, "", "add")
        .await
}

/// An action on a schedule.
pub async fn schedule(
    State(app): State<App>,
    caller: Caller,
    Path((store, queue, key, action)): Path<(String, String, String, String)>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Response> {
    let request = Request {
        caller,
        uri,
        headers,
        body,
    };
    request
        .act(&app, QueueRef { store, queue }, Target::Schedule, &key, &action)
        .await
}

/// The query parameters of the audit log.
#[derive(Debug, Default, Deserialize)]
pub struct AuditQuery {
    queue: Option<String>,
    job: Option<String>,
    cursor: Option<String>,
    limit: Option<usize>,
}

impl AuditQuery {
    /// What is asked for.
    ///
    /// # Errors
    ///
    /// When the queue is not `<store>/<queue id>`, or a job is without its queue.
    pub fn filter(&self) -> Result<AuditFilter, Problem> {
        let bad = |what: &str| refuse(StatusCode::BAD_REQUEST, "bad-query", "Bad query", what);
        let given = |text: &Option<String>| {
            text.as_deref()
                .map(str::trim)
                .filter(|text| !text.is_empty())
                .map(str::to_owned)
        };
        let queue = match given(&self.queue) {
            None => None,
            Some(queue) => {
                let parts = queue
                    .split_once('/')
                    .filter(|(store, id)| !store.is_empty() && !id.is_empty());
                let (store, id) =
                    parts.ok_or_else(|| bad("queue is <store>/<queue id>, such as redis/bull:emails."))?;
                Some(QueueRef {
                    store: store.to_owned(),
                    queue: id.to_owned(),
                })
            }
        };
        let job = given(&self.job);
        if job.is_some() && queue.is_none() {
            return Err(bad(
                "job is the id of a job of a queue: give queue=<store>/<queue id> too.",
            ));
        }
        Ok(AuditFilter { queue, job })
    }

    /// Where to go on.
    #[must_use]
    pub fn cursor(&self) -> Option<&str> {
        self.cursor.as_deref().filter(|cursor| !cursor.is_empty())
    }
}

/// The audit log: who asked for what, and the result.
pub async fn audit(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<AuditQuery>,
) -> Result<Json<AuditPage>, Response> {
    let filter = query.filter().map_err(IntoResponse::into_response)?;
    let page = app.view(&caller.who).audit(&filter, query.cursor(), query.limit);
    page.map(Json).map_err(IntoResponse::into_response)
}

/// Everything that came with a request.
struct Request {
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
}

impl Request {
    async fn act(self, app: &App, queue: QueueRef, of: Target, target: &str, word: &str) -> Result<Response, Response> {
        let id = HeaderValue::from_str(&self.caller.request);
        let mut result = self.answer(app, queue, of, target, word).await;
        let (Ok(response) | Err(response)) = &mut result;
        if let Ok(id) = id {
            response.headers_mut().insert("x-request-id", id);
        }
        result
    }

    async fn answer(
        self,
        app: &App,
        queue: QueueRef,
        of: Target,
        target: &str,
        word: &str,
    ) -> Result<Response, Response> {
        let who = self.caller.who.clone();
        let ask = self.ask(of, target, word).map_err(IntoResponse::into_response)?;
        let seen = ask.seen.is_some();
        match app.service().act(&who, &queue, ask).await {
            Ok(ActOutcome::WouldBe(answer)) => Ok(Json(answer).into_response()),
            Ok(ActOutcome::Acted(acted)) => Ok(told(&acted, seen)),
            Err(refusal) => Err(Refusal::into_response(refusal)),
        }
    }

    fn ask(self, of: Target, target: &str, word: &str) -> Result<Ask, Problem> {
        let bad = |kind: &str, what: String| refuse(StatusCode::BAD_REQUEST, kind, "Bad request", what);
        if !is_json(&self.headers) {
            return Err(refuse(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "not-json",
                "Not JSON",
                "Send the action as a JSON object with Content-Type: application/json; send {} if there is nothing to \
                 set.",
            ));
        }
        let fields = ActionKind::find(of, word).map_or(&[][..], |kind| kind.row().fields);
        let carries_data = fields.iter().any(|field| field.input == Input::Json);
        let max = if carries_data { REQUEST_MAX } else { BODY_MAX };
        let too_large = || {
            let what = format!("This action takes a request of up to {max} bytes.");
            refuse(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "Too large", what)
        };
        let body = self.body.map_err(|rejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => too_large(),
            _ => unread(&rejection),
        })?;
        if body.len() > max {
            return Err(too_large());
        }
        let object = serde_json::from_slice::<Map<String, Value>>(&body);
        let mut fields = object.map_err(|error| {
            bad(
                "bad-json",
                format!("The request is not a JSON object: {error}. Send {{}} if there is nothing to set."),
            )
        })?;
        let key = key_of(&self.headers, &self.caller, self.uri.path(), &body)?;
        let wrong = |what: String| bad("bad-action", what);
        let seen = take::<Seen>(&mut fields, "seen").map_err(wrong)?;
        let reason = take(&mut fields, "reason").map_err(wrong)?;
        let dry_run = take(&mut fields, "dry_run").map_err(wrong)?.unwrap_or_default();
        let intent = Intent::read(of, target, word, fields).map_err(|error| match error {
            BadIntent::NoSuchAction(what) => bad("no-such-action", what),
            BadIntent::Wrong(what) => wrong(what),
        })?;
        Ok(Ask {
            intent,
            seen,
            reason,
            dry_run,
            revealed: false,
            key,
            request: self.caller.request,
        })
    }
}

/// The idempotency key of a request, if it has one, bound to its caller and to what it asks for.
pub(super) fn key_of(headers: &HeaderMap, caller: &Caller, path: &str, body: &[u8]) -> Result<Option<Key>, Problem> {
    let Some(key) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    let text = key.to_str().ok().filter(|key| !key.is_empty() && key.len() <= KEY_MAX);
    let text = text.ok_or_else(|| {
        let what = format!("An Idempotency-Key is 1 to {KEY_MAX} visible characters.");
        refuse(StatusCode::BAD_REQUEST, "bad-key", "Bad request", what)
    })?;
    Ok(Some(Key::new(
        &caller.who.name,
        text,
        &[b"POST", path.as_bytes(), body],
    )))
}

/// A field that every action takes; `null` is as good as left out.
pub(super) fn take<T: serde::de::DeserializeOwned>(
    fields: &mut Map<String, Value>,
    name: &str,
) -> Result<Option<T>, String> {
    match fields.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => serde_json::from_value(value)
            .map(Some)
            .map_err(|error| format!("{name}: {error}.")),
    }
}

/// The answer to an action whose request had no `seen`.
pub(super) fn answer_of(acted: &Acted) -> Response {
    told(acted, false)
}

/// The answer to something that was tried.
fn told(acted: &Acted, seen: bool) -> Response {
    let entry = &acted.entry;
    let flow = match &acted.became {
        Became::Flow(flow) => Some(flow),
        _ => None,
    };
    let answer = |result: &str, now: Option<String>, job: Option<String>| {
        Json(ActAnswer {
            flow: flow.cloned(),
            result: result.into(),
            sentence: entry.sentence.clone(),
            now,
            job,
            note: entry.note.clone(),
            at: entry.at,
            audit: entry.id.clone(),
        })
        .into_response()
    };
    let problem = |kind: &str, title: &str, status: u16, outcome: Outcome, now: Option<String>| {
        let mut problem = Problem::new(kind, title, status, acted.became.sentence(), outcome);
        problem.now = now.map(String::into_boxed_str);
        problem.audit = Some(entry.id.as_str().into());
        problem.into_response()
    };
    let mut response = match &acted.became {
        Became::Known(effect) => match effect {
            Effect::Done { job, .. } => answer("done", None, job.clone()),
            Effect::Already { now } => answer("already", Some(now.clone()), None),
            Effect::Changed { now } => {
                // A request with `seen` made it a precondition.
                let status = if seen { 412 } else { 409 };
                problem(
                    "changed",
                    "Changed since it was shown",
                    status,
                    Outcome::None,
                    Some(now.clone()),
                )
            }
            Effect::Gone => problem("gone", "No longer there", 404, Outcome::None, None),
            Effect::Locked { by } => problem("locked", "Job is running", 409, Outcome::None, Some(by.clone())),
            Effect::Refused { .. } => problem("refused", "Refused", 422, Outcome::None, None),
            Effect::Unconfirmed { .. } => problem("unconfirmed", "Result unknown", 504, Outcome::Unknown, None),
        },
        Became::Flow(flow) => match acted.became.outcome() {
            Outcome::Done | Outcome::Partial => answer(flow.word(), None, None),
            Outcome::Unknown => problem("unconfirmed", "Result unknown", 504, Outcome::Unknown, None),
            Outcome::None => problem("refused", "Refused", 422, Outcome::None, None),
        },
        Became::NotSent(_) => {
            let mut response = problem("not-sent", "The store could not be reached", 503, Outcome::None, None);
            let headers = response.headers_mut();
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
            response
        }
        Became::Asked | Became::Lost => problem("unconfirmed", "Result unknown", 504, Outcome::Unknown, None),
    };
    if acted.replayed {
        let headers = response.headers_mut();
        headers.insert("idempotency-replayed", HeaderValue::from_static("true"));
    }
    response
}
