//! One task, from its message, from what a worker holds, and from its result.

use super::super::decode::shown;
use super::super::{FieldBytes, FieldError, QueueId, ReadError};
use super::Celery;
use super::held::message;
use super::list::{find, held_row, of_state, row};
use super::message::Message;
use super::nodes;
use super::result::{self, Left, Meta};
use crate::model::format;
use crate::model::job::{
    EffectiveOption, Form, JobDetail, JobRow, Neighbours, Origin, Place as Standing, Progress, cut,
};
use crate::model::page::Order;
use crate::model::state::JobState;
use crate::model::{Millis, now};
use bytes::Bytes;

/// Characters of the first line of an error.
const ERROR_CHARS: usize = 300;

/// A task, as far as it was found.
struct Found {
    row: JobRow,
    message: Option<Message>,
    place: Option<Standing>,
    neighbours: Neighbours,
    /// Since when a worker has held it.
    held: Option<Millis>,
    /// Whether no worker is there that could hold it.
    lost: bool,
}

/// Reads a task; `None` if there is neither a message nor a result of it.
pub(super) async fn read(celery: &Celery, queue: &QueueId, id: &str) -> Result<Option<JobDetail>, ReadError> {
    let Some(place) = celery.book.of(queue) else {
        return Ok(None);
    };
    let found = match held(celery, queue, id).await? {
        Some(found) => Some(found),
        None => waiting(celery, queue, id).await?,
    };
    let left = result::read(&celery.link, &place.prefix, id).await?;
    let left = left.filter(|left| match left {
        // Another queue's.
        Left::Meta(meta) => found.is_some() || meta.queue.as_ref().is_none_or(|name| *name == place.name),
        Left::Unread(..) => true,
    });
    Ok(match (found, left) {
        (None, None) => None,
        (found, left) => Some(assemble(id, found, left)),
    })
}

/// A task that a worker holds.
async fn held(celery: &Celery, queue: &QueueId, id: &str) -> Result<Option<Found>, ReadError> {
    let Some(place) = celery.book.of(queue) else {
        return Ok(None);
    };
    let all = celery.hands.read(&celery.link, &celery.book, &place.prefix).await?;
    let Some(held) = all.of(queue).find(|held| held.is(id)) else {
        return Ok(None);
    };
    let row = held_row(held, now());
    let listed = of_state(&all, queue, row.state, Order::of(row.state), now());
    let at = listed.iter().position(|other| other.tag == held.tag);
    let beside = |at: Option<usize>| Some(listed.get(at?)?.row.id.clone());
    Ok(Some(Found {
        place: at.map(|at| Standing {
            at: at as u64 + 1,
            of: listed.len() as u64,
        }),
        neighbours: Neighbours {
            previous: beside(at.and_then(|at| at.checked_sub(1))),
            next: beside(at.map(|at| at + 1)),
            unknown: None,
        },
        message: message(&celery.link, &place.prefix, &held.tag).await?,
        held: Some(held.since),
        lost: nodes::alive(celery, &place.prefix).await?.is_none(),
        row,
    }))
}

/// A task whose message is in a list.
async fn waiting(celery: &Celery, queue: &QueueId, id: &str) -> Result<Option<Found>, ReadError> {
    let Some((element, total)) = find(celery, queue, id).await? else {
        return Ok(None);
    };
    let message = Message::read(&element.bytes);
    Ok(Some(Found {
        row: row(
            id.to_owned(),
            message.as_ref(),
            JobState::Waiting,
            element.bytes.len() as u64,
        ),
        place: Some(Standing {
            at: element.at + 1,
            of: total,
        }),
        neighbours: Neighbours {
            unknown: Some("the messages beside it change while workers take them".into()),
            ..Neighbours::default()
        },
        message,
        held: None,
        lost: false,
    }))
}

fn assemble(id: &str, found: Option<Found>, left: Option<Left>) -> JobDetail {
    let mut oddities = vec![];
    let meta = match left {
        Some(Left::Meta(meta)) => Some(meta),
        Some(Left::Unread(why)) => {
            oddities.push(format!("Its result is not shown: {why}."));
            None
        }
        None => None,
    };
    let (state, note) = match (&found, &meta) {
        (Some(found), _) => (found.row.state, held_note(found)),
        (None, Some(meta)) => meta.state(),
        (None, None) => (
            JobState::Completed,
            Some("nothing is known of it but that it left a result".into()),
        ),
    };
    let known = found.is_some() || meta.as_ref().is_some_and(|meta| meta.finished().is_some());
    if let (None, Some(meta)) = (&found, &meta)
        && meta.queue.is_none()
    {
        oddities.push(
            "Its result says neither its name nor its queue nor its arguments: the application does not set result_extended."
                .into(),
        );
    }
    let Found {
        row,
        message,
        place,
        neighbours,
        held,
        lost,
    } = found.unwrap_or_else(|| Found {
        row: row_of_result(id, state),
        message: None,
        place: None,
        neighbours: Neighbours {
            unknown: Some("finished tasks are in no list".into()),
            ..Neighbours::default()
        },
        held: None,
        lost: false,
    });
    let mut row = row;
    if let Some(meta) = &meta {
        complete(&mut row, meta);
    }
    if let Some(problem) = &row.problem {
        oddities.push(format!("Its message is odd: {problem}."));
    }
    if let (Some(due), Some(held)) = (row.due, held)
        && due - held > HOUR
    {
        oddities.push(
            "Its ETA is more than an hour after a worker took it. With a visibility timeout of an hour, which is the default, \
             another worker gets it again before that, and it runs twice."
                .into(),
        );
    }
    let meta = meta.as_deref();
    let trace = meta.and_then(Meta::trace);
    let data = message.as_ref().map(|message| message.body().shown());
    let options = message.as_ref().map(Message::options);
    let locked = (lost && row.state == JobState::Active).then_some(false);
    JobDetail {
        state_known: known,
        state_note: note,
        oddities,
        place,
        neighbours,
        locked,
        lost: lost.then(|| LOST.to_owned()),
        data: data.or_else(|| meta.and_then(Meta::data)),
        options: options.map(|text| shown(&text, Form::Json, text.len(), None)),
        effective: match (&message, meta) {
            (Some(message), _) => effective(message),
            (None, Some(meta)) => kin(meta),
            (None, None) => vec![],
        },
        progress: meta
            .and_then(Meta::progress)
            .map(|text| shown(text, Form::Json, text.len(), None)),
        result: meta.and_then(Meta::returned),
        error: meta
            .and_then(Meta::error)
            .map(|text| shown(&text, Form::Text, text.len(), None)),
        traces_total: u64::from(trace.is_some()),
        traces_size: trace.as_ref().map_or(0, |trace| trace.size),
        traces: trace.into_iter().collect(),
        ..JobDetail::of(row, now())
    }
}

/// What becomes of a message without a worker.
const LOST: &str = "No worker is there by all that Redis tells, so the one that held it is lost. A worker that starts puts it back when the \
                    visibility timeout has passed: an hour after it was taken, unless another is set.";

/// The visibility timeout where nothing is set.
const HOUR: Millis = 3_600_000;

fn held_note(found: &Found) -> Option<String> {
    let since = found.held?;
    let ago = format::span(now() - since);
    Some(match found.row.state {
        JobState::Delayed => format!("a worker has held it for {ago}, until its ETA"),
        _ => format!(
            "a worker has held it for {ago}: taken in advance, held back by a rate limit, or running and acknowledged late"
        ),
    })
}

fn row_of_result(id: &str, state: JobState) -> JobRow {
    let mut row = row(id.to_owned(), None, state, 0);
    (row.problem, row.data_size) = (None, 0);
    row
}

/// Adds what the result tells.
fn complete(row: &mut JobRow, meta: &Meta) {
    if row.name.is_empty() {
        row.name = meta.name.as_deref().map(|name| cut(name, 500)).unwrap_or_default();
    }
    if let Some(data) = meta.data().filter(|_| row.data_size == 0) {
        row.data_size = data.size;
    }
    row.worker = meta.worker.as_deref().map(|worker| cut(worker, 200));
    row.error = meta
        .error()
        .map(|error| cut(error.lines().next().unwrap_or_default(), ERROR_CHARS));
    row.progress = meta.progress().and_then(Progress::parse);
    if row.state.is_finished() {
        row.finished = meta.finished();
        row.attempts = meta.retries.map(|retries| retries.saturating_add(1));
    }
}

fn own(name: &str, value: String) -> EffectiveOption {
    EffectiveOption {
        name: name.to_owned(),
        value,
        origin: Origin::Options,
        payload: false,
    }
}

/// What a result says of other tasks.
fn kin(meta: &Meta) -> Vec<EffectiveOption> {
    let kin = [("parent task", &meta.parent_id), ("group", &meta.group_id)];
    kin.into_iter()
        .filter_map(|(name, id)| Some(own(name, cut(id.as_ref()?, 500))))
        .collect()
}

/// What a message says of how its task is to run.
fn effective(message: &Message) -> Vec<EffectiveOption> {
    let names = [
        ("lang", "language"),
        ("root_id", "root task"),
        ("parent_id", "parent task"),
        ("group", "group"),
        ("timelimit", "time limits (hard, soft), s"),
        ("ignore_result", "ignore_result"),
        ("origin", "sent by"),
        ("redelivered", "redelivered"),
        ("celery_beat_task", "sent by beat"),
    ];
    let mut options: Vec<EffectiveOption> = names
        .iter()
        .filter_map(|(header, name)| {
            let value = message.header(header)?;
            Some(own(
                name,
                cut(&value.as_str().map_or_else(|| value.to_string(), str::to_owned), 500),
            ))
        })
        .collect();
    let retries = message.retries();
    options.push(own(
        "retries",
        format!("{retries}; how many are allowed is in the task's code"),
    ));
    options.push(own("priority", format!("{}, and 0 runs first", message.priority())));
    for (name, at) in [("ETA", message.eta()), ("expires", message.expires())] {
        options.extend(at.map(|at| own(name, format::moment(at))));
    }
    options
}

/// The body of a task's message, decoded as on its page and never cut.
pub(super) async fn field(
    celery: &Celery,
    queue: &QueueId,
    id: &str,
    field: &str,
) -> Result<Option<FieldBytes>, FieldError> {
    if field != "data" {
        return Ok(None);
    }
    let found = match held(celery, queue, id).await? {
        Some(found) => Some(found),
        None => waiting(celery, queue, id).await?,
    };
    let bytes = found.and_then(|found| Some(found.message?.body().whole()));
    Ok(bytes.map(|bytes| FieldBytes {
        text: std::str::from_utf8(&bytes).is_ok(),
        bytes: Bytes::from(bytes),
        permit: None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_of_which_only_a_result_is_left_says_what_it_does_not_know() {
        let text = br#"{"status":"SUCCESS","result":7,"traceback":null,"date_done":"2026-11-30T14:43:00+00:00","task_id":"a"}"#;
        let meta: Meta = serde_json::from_slice(text).unwrap();
        let detail = assemble("a", None, Some(Left::Meta(Box::new(meta))));
        assert_eq!((detail.row.state, detail.state_known), (JobState::Completed, true));
        assert!(detail.oddities[0].contains("result_extended"), "{:?}", detail.oddities);
        assert_eq!(detail.result.map(|result| result.text), Some(Some("7".into())));
        let unread = assemble("a", None, Some(Left::Unread("it is a pickle".into())));
        assert!(!unread.state_known);
    }
}
