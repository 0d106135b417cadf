//! One item, from the list that it is in.

use super::super::decode::shown;
use super::super::{FieldBytes, FieldError, QueueId, ReadError};
use super::body::Body;
use super::profile::{Format, Profile};
use super::read::Element;
use super::seek::seek;
use super::{Lists, stuck};
use crate::model::job::{Form, JobDetail, Neighbours, Place};
use crate::model::now;
use crate::model::state::JobState;
use bytes::Bytes;

/// An item that was found.
struct Found {
    state: JobState,
    element: Element,
    of: u64,
    /// Others with the same id and other bytes.
    others: usize,
}

/// Looks for an item in the lists of a queue, in the order in which it goes through them.
async fn find(lists: &Lists, profile: &Profile, id: &str) -> Result<Option<Found>, ReadError> {
    let mut problem = None;
    for state in [
        JobState::Waiting,
        JobState::Active,
        JobState::Failed,
        JobState::Completed,
    ] {
        let Some(list) = profile.list(state) else { continue };
        match seek(lists, profile, &list, &[id]).await {
            Ok(mut sought) => {
                let mut all = sought.found.remove(id).unwrap_or_default();
                if !all.is_empty() {
                    return Ok(Some(Found {
                        state,
                        element: all.swap_remove(0),
                        of: sought.total,
                        others: all.len(),
                    }));
                }
            }
            Err(ReadError::Store(trouble)) => return Err(trouble.into()),
            // A key that is no list does not hide the others.
            Err(error) => problem = Some(error),
        }
    }
    problem.map_or(Ok(None), Err)
}

/// Reads an item; `None` if it is in none of the queue's lists, or too far behind.
pub(super) async fn read(lists: &Lists, queue: &QueueId, id: &str) -> Result<Option<JobDetail>, ReadError> {
    let profile = lists.described(queue)?;
    let Some(found) = find(lists, profile, id).await? else {
        return Ok(None);
    };
    let bytes: &[u8] = &found.element.bytes;
    let body = Body::read(profile, bytes);
    let mut rows = [body.row(found.state)];
    stuck::mark(lists, profile, &[bytes], &mut rows).await?;
    let [row] = rows;
    let mut oddities = vec![];
    if found.others > 0 {
        oddities.push("Other items with the same id and other bytes are near it in the list.".into());
    }
    let error = body.error().filter(|_| found.state == JobState::Failed);
    Ok(Some(JobDetail {
        state_known: true,
        state_note: note(profile, found.state, row.locked),
        oddities,
        place: Some(Place {
            at: found.element.at + 1,
            of: found.of,
        })
        .filter(|place| place.at <= place.of),
        neighbours: Neighbours {
            unknown: Some("the items beside it change while workers take them".into()),
            ..Neighbours::default()
        },
        locked: row.locked,
        lost: (row.locked == Some(false))
            .then(|| "Nothing puts it back by itself, unless the application does: requeue it.".to_owned()),
        ready: (found.state == JobState::Waiting)
            .then(|| lists.moves.ready(&profile.waiting, bytes, body.time()))
            .flatten(),
        data: Some(body.data()),
        error: error.map(|text| shown(&text, Form::Text, text.len(), None)),
        traces_note: (found.state == JobState::Failed)
            .then(|| "what an item says of its error is in its body".to_owned()),
        ..JobDetail::of(row, now())
    }))
}

/// How it is to be understood that an item is in its state.
fn note(profile: &Profile, state: JobState, held: Option<bool>) -> Option<String> {
    let beats = profile.heartbeat.is_some();
    (state == JobState::Active).then(|| {
        match held {
            Some(true) => "the heartbeat of a worker is there",
            Some(false) if beats => "the heartbeat of its worker is not there: it is stuck",
            Some(false) => "it has been in the list for longer than stuck_after: it is stuck",
            None if beats || profile.stuck_after.is_some() => {
                "whether a worker still holds it is not known yet: Drover has not seen it here for long enough"
            }
            None => "whether a worker still holds it is not known: the profile has neither heartbeat nor stuck_after",
        }
        .to_owned()
    })
}

/// The body of an item, never cut: as stored, and msgpack decoded as on its page.
pub(super) async fn field(
    lists: &Lists,
    queue: &QueueId,
    id: &str,
    field: &str,
) -> Result<Option<FieldBytes>, FieldError> {
    if field != "data" {
        return Ok(None);
    }
    let profile = lists.described(queue)?;
    let Some(found) = find(lists, profile, id).await? else {
        return Ok(None);
    };
    let packed = (profile.format == Format::MessagePack)
        .then(|| super::super::decode::msgpack::read(&found.element.bytes))
        .flatten();
    let bytes = packed.map_or(found.element.bytes, |value| value.to_string().into_bytes());
    Ok(Some(FieldBytes {
        text: std::str::from_utf8(&bytes).is_ok(),
        bytes: Bytes::from(bytes),
        permit: None,
    }))
}
