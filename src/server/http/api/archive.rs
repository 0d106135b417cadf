//! The archive: found, read, handed over, put back.

use super::super::caller::Caller;
use super::super::problem::refuse;
use super::super::security::is_json;
use super::act::{answer_of, key_of, take};
use crate::model::Millis;
use crate::model::action::Changes;
use crate::model::archive::{
    ArchiveFilter, ArchivePage, ArchivedJob, ArchivedRow, PAGE_DEFAULT, PAGE_MAX, RESTORED_MANY, RestoredOne,
};
use crate::model::error::Problem;
use crate::model::format;
use crate::model::state::JobState;
use crate::server::http::extract::{Path, Query, RawBody};
use crate::server::http::state::App;
use crate::server::service::Refusal;
use crate::server::service::archive::Restore;
use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, NaiveDate};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::io;

/// The query parameters of a search for archived jobs.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ArchiveQuery {
    queue: Option<String>,
    name: Option<String>,
    id: Option<String>,
    error: Option<String>,
    text: Option<String>,
    state: Option<String>,
    from: Option<String>,
    to: Option<String>,
    cursor: Option<String>,
    limit: Option<usize>,
}

/// Characters of a text that is searched for.
const TEXT_MAX: usize = 500;

impl ArchiveQuery {
    /// What is searched for.
    ///
    /// # Errors
    ///
    /// When something is not understood.
    pub fn filter(&self) -> Result<ArchiveFilter, Problem> {
        let bad = |what: String| refuse(StatusCode::BAD_REQUEST, "bad-query", "Bad query", what);
        let text = |name: &str, value: &Option<String>| {
            let value = value.as_deref().map(str::trim).filter(|text| !text.is_empty());
            match value {
                Some(text) if text.chars().count() > TEXT_MAX || text.contains('\0') => Err(bad(format!(
                    "{name} has at most {TEXT_MAX} characters, and no zero among them."
                ))),
                other => Ok(other.map(str::to_owned)),
            }
        };
        let moment = |name: &str, value: &Option<String>| -> Result<Option<Millis>, Problem> {
            let Some(text) = value.as_deref().map(str::trim).filter(|text| !text.is_empty()) else {
                return Ok(None);
            };
            moment(text).map(Some).ok_or_else(|| {
                bad(format!(
                    "{name}={text}: a day such as 2026-11-01, a moment such as 2026-11-01T08:00:00Z, or milliseconds since 1970."
                ))
            })
        };
        let state = text("state", &self.state)?;
        let state = state.map(|word| match word.parse::<JobState>() {
            Ok(state @ (JobState::Completed | JobState::Failed)) => Ok(state),
            _ => Err(bad(format!("state={word}: completed or failed."))),
        });
        Ok(ArchiveFilter {
            queue: text("queue", &self.queue)?,
            name: text("name", &self.name)?,
            id: text("id", &self.id)?,
            error: text("error", &self.error)?,
            text: text("text", &self.text)?,
            state: state.transpose()?,
            from: moment("from", &self.from)?,
            to: moment("to", &self.to)?,
        })
    }

    /// Where to go on.
    #[must_use]
    pub fn cursor(&self) -> Option<&str> {
        self.cursor.as_deref().filter(|cursor| !cursor.is_empty())
    }

    /// What was written into the form, by its fields.
    #[must_use]
    pub fn written(&self) -> Vec<(String, String)> {
        let all = [
            ("queue", &self.queue),
            ("name", &self.name),
            ("id", &self.id),
            ("state", &self.state),
            ("error", &self.error),
            ("text", &self.text),
            ("from", &self.from),
            ("to", &self.to),
        ];
        let given = all
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value.clone()?)));
        given.filter(|(_, value)| !value.is_empty()).collect()
    }
}

fn moment(text: &str) -> Option<Millis> {
    if let Ok(ms) = text.parse::<Millis>() {
        return Some(ms);
    }
    if let Ok(day) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        return Some(day.and_hms_opt(0, 0, 0)?.and_utc().timestamp_millis());
    }
    DateTime::parse_from_rfc3339(text).ok().map(|at| at.timestamp_millis())
}

/// A page of archived jobs.
pub async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<ArchiveQuery>,
) -> Result<Json<ArchivePage>, Response> {
    let filter = query.filter().map_err(IntoResponse::into_response)?;
    let limit = query.limit.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX);
    let page = app.view(&caller.who).archive_page(&filter, query.cursor(), limit).await;
    page.map(Json).map_err(IntoResponse::into_response)
}

/// One archived job.
pub async fn one(State(app): State<App>, caller: Caller, Path(id): Path<String>) -> Result<Json<ArchivedJob>, Refusal> {
    app.view(&caller.who).archive_job(&id).await.map(Json)
}

/// A field of an archived job as it was stored, as a file.
pub async fn field(
    State(app): State<App>,
    caller: Caller,
    Path((id, field)): Path<(String, String)>,
) -> Result<Response, Refusal> {
    let bytes = app.view(&caller.who).archive_field(&id, &field).await?;
    let kind = if std::str::from_utf8(&bytes).is_ok() {
        "text/plain; charset=utf-8"
    } else {
        "application/octet-stream"
    };
    Ok(file(Body::from(bytes), kind, "archived-field"))
}

fn file(body: Body, kind: &'static str, name: &str) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Ok(name) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
        headers.insert(header::CONTENT_DISPOSITION, name);
    }
    response
}

/// How an archived job is queued again.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RestoreBody {
    /// Under its old id, if that is free; otherwise it gets a new one.
    original_id: bool,
    /// Although it was queued again before.
    again: bool,
    /// A new name; the archived one if left out.
    name: Option<String>,
    /// New data, JSON text; the archived data if left out.
    data: Option<String>,
    /// Milliseconds until it may run; at once if left out.
    delay: Option<u64>,
    /// A new priority; the archived one if left out.
    priority: Option<u32>,
    /// A new number of attempts; the archived one if left out.
    attempts: Option<u32>,
    /// Other options as a JSON object, with the names that the library gives them; the archived ones if left out.
    options: Option<String>,
    /// Why: kept in the audit log.
    reason: Option<String>,
}

/// Which archived jobs are queued again, and how.
#[derive(Debug, JsonSchema)]
#[expect(dead_code, reason = "for the document; the ids are taken from the fields first")]
pub struct RestoreManyBody {
    /// The archived jobs.
    #[schemars(length(min = 1, max = RESTORED_MANY))]
    ids: Vec<String>,
    #[serde(flatten)]
    how: RestoreBody,
}

fn read(headers: &HeaderMap, body: &Bytes) -> Result<Map<String, Value>, Problem> {
    if !is_json(headers) {
        return Err(refuse(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "not-json",
            "Not JSON",
            "Send a JSON object with Content-Type: application/json; send {} if there is nothing to set.",
        ));
    }
    let bad = |what: String| refuse(StatusCode::BAD_REQUEST, "bad-json", "Bad request", what);
    serde_json::from_slice(body).map_err(|error| bad(format!("The request is not a JSON object: {error}.")))
}

fn how(fields: Map<String, Value>, caller: &Caller) -> Result<Restore, Problem> {
    let body: RestoreBody = serde_json::from_value(Value::Object(fields)).map_err(|error| {
        refuse(
            StatusCode::BAD_REQUEST,
            "bad-action",
            "Bad request",
            format!("restore: {error}."),
        )
    })?;
    Ok(Restore {
        original_id: body.original_id,
        again: body.again,
        changes: Changes {
            name: body.name,
            data: body.data,
            delay: body.delay,
            priority: body.priority,
            attempts: body.attempts,
            options: body.options,
        },
        key: None,
        reason: body.reason,
        request: caller.request.clone(),
    })
}

/// Puts one job back. A repeated request is answered with where the job went: no job is added twice unless `again` says
/// so.
pub async fn restore(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    RawBody(body): RawBody,
) -> Result<Response, Response> {
    let fields = read(&headers, &body).map_err(IntoResponse::into_response)?;
    let mut ask = how(fields, &caller).map_err(IntoResponse::into_response)?;
    ask.key = key_of(&headers, &caller, uri.path(), &body).map_err(IntoResponse::into_response)?;
    let acted = app.service().restore(&caller.who, &id, ask).await;
    acted
        .map(|acted| answer_of(&acted))
        .map_err(IntoResponse::into_response)
}

/// The results of queueing many jobs again.
#[derive(Debug, JsonSchema, Serialize)]
pub struct RestoredMany {
    /// In the order in which they were asked for.
    items: Vec<RestoredOne>,
}

/// Puts many jobs back, one after the other: `ids`, and how.
pub async fn restore_many(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    RawBody(body): RawBody,
) -> Result<Json<RestoredMany>, Response> {
    let work = async {
        let mut fields = read(&headers, &body)?;
        let wrong = |what: String| refuse(StatusCode::BAD_REQUEST, "bad-action", "Bad request", what);
        let ids: Vec<String> = take(&mut fields, "ids").map_err(wrong)?.unwrap_or_default();
        if ids.is_empty() || ids.len() > RESTORED_MANY {
            return Err(wrong(format!("ids names between 1 and {RESTORED_MANY} archived jobs.")));
        }
        Ok((ids, how(fields, &caller)?))
    };
    let (ids, ask) = work.await.map_err(IntoResponse::into_response)?;
    let items = app.service().restore_many(&caller.who, ids, &ask).await;
    Ok(Json(RestoredMany { items }))
}

/// Everything that fits, a JSON object on each line.
pub async fn ndjson(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<ArchiveQuery>,
) -> Result<Response, Response> {
    let line = |row: &ArchivedRow| {
        let mut line = serde_json::to_vec(row).unwrap_or_default();
        line.push(b'\n');
        line
    };
    export(
        (app, caller),
        &query,
        vec![],
        line,
        "application/x-ndjson",
        "archive.ndjson",
    )
    .await
}

/// Everything that fits, as a table for a spreadsheet.
pub async fn csv(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<ArchiveQuery>,
) -> Result<Response, Response> {
    let line = |row: &ArchivedRow| {
        let time = |at: Option<Millis>| at.map(format::iso).unwrap_or_default();
        let cells = [
            row.id.clone(),
            row.queue.store.clone(),
            row.queue.queue.clone(),
            row.job.clone(),
            row.name.clone(),
            row.state.to_string(),
            time(Some(row.finished)),
            time(row.created),
            time(row.started),
            row.attempts.to_string(),
            row.size.to_string(),
            row.error.clone().unwrap_or_default(),
        ];
        let cells: Vec<String> = cells.iter().map(|text| cell(text)).collect();
        format!("{}\r\n", cells.join(",")).into_bytes()
    };
    let head = "id,store,queue,job,name,state,finished,created,started,attempts,size,error\r\n";
    export(
        (app, caller),
        &query,
        head.into(),
        line,
        "text/csv; charset=utf-8",
        "archive.csv",
    )
    .await
}

/// A text as a cell. One that a spreadsheet would take for a formula begins with an apostrophe, as OWASP advises.
fn cell(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '\0', '＝', '＋', '－', '＠']);
    let text = format!("{}{text}", if formula { "'" } else { "" });
    if text.contains(['"', ',', '\n', '\r']) {
        return format!("\"{}\"", text.replace('"', "\"\""));
    }
    text
}

/// Sends page after page, as fast as the client takes them. A failure in the middle cuts the answer off, visibly.
async fn export(
    (app, caller): (App, Caller),
    query: &ArchiveQuery,
    head: Vec<u8>,
    line: impl Fn(&ArchivedRow) -> Vec<u8> + Send + 'static,
    kind: &'static str,
    name: &str,
) -> Result<Response, Response> {
    let filter = query.filter().map_err(IntoResponse::into_response)?;
    let first = app
        .view(&caller.who)
        .archive_exported(&filter, query.cursor(), PAGE_MAX)
        .await;
    let first = first.map_err(IntoResponse::into_response)?;
    let stream = futures::stream::unfold(
        (Some((head, Some(first), None)), app, caller, filter, line),
        |(at, app, caller, filter, line)| async move {
            let (mut out, page, cursor): (Vec<u8>, Option<ArchivePage>, Option<String>) = at?;
            let page = match page {
                Some(page) => page,
                None => match app
                    .view(&caller.who)
                    .archive_exported(&filter, cursor.as_deref(), PAGE_MAX)
                    .await
                {
                    Ok(page) => page,
                    Err(refusal) => {
                        let error = io::Error::other(refusal.to_string());
                        return Some((Err(error), (None, app, caller, filter, line)));
                    }
                },
            };
            page.items.iter().for_each(|row| out.extend(line(row)));
            let next = page.next.map(|next| (vec![], None, Some(next)));
            Some((Ok(Bytes::from(out)), (next, app, caller, filter, line)))
        },
    );
    Ok(file(Body::from_stream(stream), kind, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    // S-16
    #[test]
    fn a_cell_is_never_a_formula() {
        assert_eq!(cell("plain"), "plain");
        assert_eq!(cell("=HYPERLINK(\"x\")"), "\"'=HYPERLINK(\"\"x\"\")\"");
        for text in ["+1", "-1", "@a", "\tx", "\0=1", "＝1", "＋1", "－1", "＠a"] {
            assert!(cell(text).trim_start_matches('"').starts_with('\''), "{text}");
        }
        assert_eq!(cell("a,b\nc"), "\"a,b\nc\"");
    }

    #[test]
    fn moments_are_days_moments_or_milliseconds() {
        assert_eq!(moment("2026-11-01"), Some(1_793_491_200_000));
        assert_eq!(moment("2026-11-01T01:00:00+01:00"), Some(1_793_491_200_000));
        assert_eq!(moment("1793491200000"), Some(1_793_491_200_000));
        assert_eq!(moment("yesterday"), None);
    }
}
