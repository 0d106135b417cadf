//! The list of queues, in pages where there are many.

use crate::model::look::{Look, pin, read_pin};
use crate::model::position::Position;
use crate::model::queue::{QueueRef, QueueSummary};
use crate::server::adapter::ReadError;
use crate::server::auth::who::Who;
use crate::server::http::caller::Caller;
use crate::server::http::encoding;
use crate::server::http::extract::Query;
use crate::server::http::state::App;
use crate::server::service::Refusal;
use crate::server::wire::Part;
use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The most queues in one answer, and as many as it has when the address does not say.
const LIMIT: usize = 1_000;

/// The query parameters, beside those of [`Look`].
#[derive(Debug, Default, Deserialize)]
pub struct QueuesQuery {
    limit: Option<usize>,
    cursor: Option<String>,
}

/// Queues with the moment they are true for.
#[derive(Debug, JsonSchema, Serialize)]
pub struct QueueList<'a> {
    items: Vec<&'a QueueSummary>,
    /// The position in the event stream that the items belong to.
    after: String,
    /// How many queues match, on all pages.
    total: usize,
    /// The cursor of the next page, if there is one.
    next: Option<String>,
}

/// The list of queues as it was made last, with the position that it is true for: made once for all callers who see
/// everything and ask for no part of it.
#[derive(Debug, Default)]
pub struct Listed(tokio::sync::Mutex<Option<(Position, Arc<Part>)>>);

/// The queues that match: trouble first where one answer has room for all, else in pages by store and id. A caller who
/// sees all queues and has the newest list already gets a 304 by its tag.
///
/// # Errors
///
/// When the cursor is none.
pub async fn queues(
    State(app): State<App>,
    caller: Caller,
    RawQuery(raw): RawQuery,
    Query(query): Query<QueuesQuery>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let raw = raw.unwrap_or_default();
    if !caller.who.sees_all() {
        return list(&app, &caller.who, &raw, &query, |list, _| Json(list).into_response());
    }
    app.board().note_viewer();
    // Weak: the same list may be sent compressed or not.
    let tag = |position: Position| format!("W/\"{position}\"");
    let had = headers.get(header::IF_NONE_MATCH).and_then(|tags| tags.to_str().ok());
    let has = |position| had.is_some_and(|had| had.split(',').any(|one| one.trim() == tag(position)));
    let now = app.board().position();
    let (position, mut response) = if has(now) {
        (now, encoding::unchanged())
    } else {
        let make = || {
            list(&app, &caller.who, &raw, &query, |list, position| {
                (
                    position,
                    Arc::new(Part::new(serde_json::to_vec(&list).unwrap_or_default())),
                )
            })
        };
        let (position, part) = if raw.is_empty() {
            let mut listed = app.listed().0.lock().await;
            match &*listed {
                Some(known) if known.0 == app.board().position() => known.clone(),
                _ => listed.insert(make()?).clone(),
            }
        } else {
            make()?
        };
        (position, encoding::answer(&headers, "application/json", &[&part]))
    };
    if let Ok(tag) = HeaderValue::from_str(&tag(position)) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    Ok(response)
}

/// Passes the list that the caller asks for to `then`.
fn list<T>(
    app: &App,
    who: &Who,
    raw: &str,
    query: &QueuesQuery,
    then: impl FnOnce(QueueList<'_>, Position) -> T,
) -> Result<T, Refusal> {
    let cursor = query.cursor.as_deref().filter(|cursor| !cursor.is_empty());
    let after = cursor.map(|cursor| read_pin(cursor).ok_or(Refusal::Unreadable(ReadError::BadCursor)));
    let after = after.transpose()?;
    let limit = query.limit.unwrap_or(LIMIT).clamp(1, LIMIT);
    let look = Look::from_query(raw);
    let (_, queues, position) = app.view(who).lines();
    let (items, total, next) = page(&queues, &look, after.as_ref(), limit);
    let list = QueueList {
        items,
        after: position.to_string(),
        total,
        next,
    };
    Ok(then(list, position))
}

/// The queues of a page out of all queues in the order of their keys, how many match, and the cursor of the next page.
///
/// Pages have that order too: a queue that stays is on exactly one of them, whatever comes, goes or changes meanwhile.
fn page<'a>(
    queues: &'a [Arc<QueueSummary>],
    look: &Look,
    after: Option<&QueueRef>,
    limit: usize,
) -> (Vec<&'a QueueSummary>, usize, Option<String>) {
    let all = queues.iter().map(|queue| &**queue);
    let mut items: Vec<&QueueSummary> = all.filter(|queue| look.keeps(queue)).collect();
    let total = items.len();
    if let Some(after) = after {
        let read = items.partition_point(|queue| (&queue.store, &queue.id) <= (&after.store, &after.queue));
        items.drain(..read);
    } else if total <= limit {
        items.sort_by(|a, b| look.sort.compare(a, b));
    }
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| more).map(|queue| pin(&queue.key()));
    (items, total, next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn board(ids: impl Iterator<Item = u32>) -> Vec<Arc<QueueSummary>> {
        let queue = |n: u32| QueueSummary::example(&format!("t/{n:04}"));
        ids.map(|n| Arc::new(queue(n))).collect()
    }

    #[test]
    fn pages_have_each_queue_once_while_others_come_and_go() {
        // Even numbers stay; odd ones are there in every other page only.
        let boards = [board(0..999), board((0..999).filter(|n| n % 2 == 0))];
        let mut seen = Vec::new();
        let mut after = None;
        for queues in boards.iter().cycle() {
            let (items, total, next) = page(queues, &Look::default(), after.as_ref(), 70);
            assert_eq!(total, queues.len());
            seen.extend(items.iter().map(|queue| queue.id.clone()));
            after = next.map(|cursor| read_pin(&cursor).unwrap());
            if after.is_none() {
                break;
            }
        }
        let once: BTreeSet<&String> = seen.iter().collect();
        assert_eq!(once.len(), seen.len(), "no queue is on two pages");
        assert!(boards[1].iter().all(|queue| once.contains(&queue.id)));
    }

    #[test]
    fn what_fits_into_one_answer_has_the_order_of_the_overview() {
        let mut queues = board(0..3);
        Arc::make_mut(&mut queues[2]).verdict.level = crate::model::verdict::Level::Bad;
        let ids = |limit| {
            let (items, total, next) = page(&queues, &Look::default(), None, limit);
            assert_eq!((total, next.is_some()), (3, limit < 3));
            items.iter().map(|queue| queue.id.clone()).collect::<Vec<_>>()
        };
        assert_eq!(ids(3)[0], "bull:t/0002");
        assert_eq!(ids(2), ["bull:t/0000", "bull:t/0001"]);
        let bad = Look::from_query("level=bad&limit=1");
        assert_eq!(page(&queues, &bad, None, 1).1, 1);
    }
}
