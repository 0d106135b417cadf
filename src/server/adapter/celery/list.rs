//! A page of messages.
//!
//! The next message of a list is at its tail. The lists of lower priorities follow one another, as a worker takes them. A page
//! is true for the moment at which it was read: positions shift while workers take messages.
//!
//! The size of an element is known only when it has been read, so a list is read in parts: few elements first, and as many
//! more as their average size permits. A page of very large messages is shorter, and the next page goes on there.

use super::super::redis::link::Link;
use super::super::redis::reply;
use super::super::{JobQuery, ReadError};
use super::Celery;
use super::book::Place;
use super::held::{All, Held};
use super::message::{Message, digest};
use crate::model::job::{JobRow, cut};
use crate::model::page::{JobPageRows, Order};
use crate::model::state::JobState;
use crate::model::{Millis, now};
use redis::Value;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of messages that are read for one page, about.
pub(super) const BYTES_MAX: usize = 8 * 1024 * 1024;

/// Elements that are read before their size is known.
const FIRST: u64 = 8;

/// Messages that are looked at for one page of a search, and for one job.
pub(super) const LOOKED_AT: u64 = 10_000;

/// Elements read in one round trip.
pub(super) const WINDOW: u64 = 500;

/// Messages of a window that are read again with the next where one is looked for: workers that take messages meanwhile move
/// the others up.
pub(super) const OVERLAP: u64 = 50;

/// Characters of a name in a row.
const NAME_CHARS: usize = 500;

/// Messages whose place is remembered, and how far each may have moved since it was listed.
const SEEN_MAX: usize = 5_000;
pub(super) const MOVED: u64 = 500;

/// A message of a list, with how many run before it.
pub(super) struct Element {
    pub(super) at: u64,
    pub(super) bytes: Vec<u8>,
}

/// Where messages were listed, so that the page of one finds it in a long list.
#[derive(Debug, Default)]
pub(super) struct Seen(Mutex<(HashMap<String, u64>, VecDeque<String>)>);

impl Seen {
    fn note(&self, queue: &str, id: &str, at: u64) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (places, order) = &mut *seen;
        let name = format!("{queue}\n{id}");
        if places.insert(name.clone(), at).is_none() {
            order.push_back(name);
        }
        if order.len() > SEEN_MAX
            && let Some(oldest) = order.pop_front()
        {
            places.remove(&oldest);
        }
    }

    pub(super) fn of(&self, queue: &str, id: &str) -> Option<u64> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.0.get(&format!("{queue}\n{id}")).copied()
    }
}

/// Reads one page.
pub(super) async fn page(celery: &Celery, query: &JobQuery) -> Result<JobPageRows, ReadError> {
    match query.state {
        JobState::Waiting => waiting(celery, query).await,
        JobState::Active | JobState::Delayed => held(celery, query).await,
        JobState::Completed | JobState::Failed => Err(ReadError::Unsupported(super::capabilities::NO_FINISHED)),
        JobState::Prioritized | JobState::WaitingChildren | JobState::Cancelled => {
            Err(ReadError::Unsupported("Celery has no such state."))
        }
    }
}

fn place_of(celery: &Celery, queue: &str) -> Result<Arc<Place>, ReadError> {
    let place = celery.book.of(queue);
    place.ok_or_else(|| ReadError::Corrupt("No route leads to this queue at the moment.".into()))
}

fn offset(query: &JobQuery) -> Result<u64, ReadError> {
    match &query.cursor {
        None => Ok(0),
        Some(cursor) => {
            let number = cursor.strip_prefix('o').and_then(|number| number.parse().ok());
            number
                .filter(|number: &u64| *number < u64::MAX / 2)
                .ok_or(ReadError::BadCursor)
        }
    }
}

async fn waiting(celery: &Celery, query: &JobQuery) -> Result<JobPageRows, ReadError> {
    let place = place_of(celery, &query.queue)?;
    let lengths = lengths(&celery.link, &place).await?;
    let total: u64 = lengths.iter().sum();
    let begin = offset(query)?;
    let newest = query.order == Order::Newest;
    let (mut rows, mut at) = (vec![], begin);
    let (mut room, mut ended) = (BYTES_MAX, false);
    while rows.len() < query.limit && at < total && (at - begin < LOOKED_AT || query.filter.is_none()) && room > 0 {
        let want = match query.filter {
            None => (query.limit - rows.len()) as u64,
            Some(_) => WINDOW,
        };
        let want = want.min(total - at);
        // Positions count from the next message on; the newest first is the same backwards.
        let first = if newest { total - at - want } else { at };
        let mut elements = elements(&celery.link, &place, &lengths, first, want, newest, &mut room).await?;
        if newest {
            elements.reverse();
        }
        if elements.is_empty() {
            // Workers took them meanwhile.
            ended = true;
            break;
        }
        for element in elements {
            at += 1;
            let row = row_of(&element);
            if query
                .filter
                .as_ref()
                .is_some_and(|filter| !filter.takes(&row, query.at))
            {
                continue;
            }
            celery.seen.note(&query.queue, &row.id, element.at);
            rows.push(row);
            if rows.len() >= query.limit {
                break;
            }
        }
    }
    Ok(JobPageRows {
        rows,
        next: (at < total && !ended).then(|| format!("o{at}")),
        offset: query.filter.is_none().then_some(begin),
        total,
        searched: query.filter.as_ref().map(|_| at - begin),
        as_of: now(),
    })
}

pub(super) async fn lengths(link: &Link, place: &Place) -> Result<Vec<u64>, ReadError> {
    let mut pipe = redis::pipe();
    for list in &place.lists {
        pipe.cmd("LLEN").arg(list);
    }
    let replies = link.run(&mut pipe).await?;
    let count =
        |reply| reply::count(reply).map_err(|why| ReadError::Corrupt(format!("Its messages cannot be read: {why}")));
    replies.iter().map(count).collect()
}

/// The messages from a position on, the next first: as many as are wanted and there is room for. `back` reads those at the
/// end of the span first, which matters where there is no room for all.
pub(super) async fn elements(
    link: &Link,
    place: &Place,
    lengths: &[u64],
    first: u64,
    want: u64,
    back: bool,
    room: &mut usize,
) -> Result<Vec<Element>, ReadError> {
    let (mut low, mut high) = (first, first + want);
    let mut parts: Vec<Vec<Element>> = vec![];
    let (mut read, mut bytes) = (0_u64, 0_usize);
    while low < high && *room > 0 {
        let average = (bytes as u64).checked_div(read);
        let fits = average.map_or(FIRST, |average| (*room as u64 / average.max(1)).max(1));
        let n = fits.min(high - low).min(WINDOW);
        let from = if back { high - n } else { low };
        let part = span(link, place, lengths, from, n).await?;
        if back {
            high -= n;
        } else {
            low += n;
        }
        let size: usize = part.iter().map(|element| element.bytes.len()).sum();
        (read, bytes) = (read + n, bytes + size);
        *room = room.saturating_sub(size);
        parts.push(part);
    }
    if back {
        parts.reverse();
    }
    Ok(parts.into_iter().flatten().collect())
}

/// So many messages from a position on, the next first, over all lists.
async fn span(link: &Link, place: &Place, lengths: &[u64], first: u64, n: u64) -> Result<Vec<Element>, ReadError> {
    let mut pipe = redis::pipe();
    let mut firsts = vec![];
    let (mut begin, index) = (0, |n: u64| i64::try_from(n).unwrap_or(i64::MAX));
    for (list, length) in place.lists.iter().zip(lengths) {
        let (from, to) = (first.max(begin), (first + n).min(begin + length));
        if from < to {
            pipe.cmd("LRANGE")
                .arg(list)
                .arg(-index(to - begin))
                .arg(-index(from - begin) - 1);
            firsts.push(from);
        }
        begin += length;
    }
    let mut elements = vec![];
    for (from, reply) in firsts.into_iter().zip(link.read_long(&mut pipe).await?) {
        let value = reply
            .map_err(|error| ReadError::Corrupt(format!("Its messages cannot be read: {}", reply::why(&error))))?;
        let Value::Array(items) = value else { continue };
        let bytes = items.into_iter().rev().map(|item| match item {
            Value::BulkString(bytes) => bytes,
            _ => vec![],
        });
        elements.extend(bytes.zip(from..).map(|(bytes, at)| Element { at, bytes }));
    }
    Ok(elements)
}

/// A message of a queue by the id of its task: near where it was listed, else among the first.
pub(super) async fn find(celery: &Celery, queue: &str, id: &str) -> Result<Option<(Element, u64)>, ReadError> {
    let place = place_of(celery, queue)?;
    let lengths = lengths(&celery.link, &place).await?;
    let total: u64 = lengths.iter().sum();
    let seen = celery
        .seen
        .of(queue, id)
        .map(|at| (at.saturating_sub(MOVED), 2 * MOVED));
    for (first, n) in seen.into_iter().chain([(0, LOOKED_AT)]) {
        let (mut at, end, mut room) = (first.min(total), (first + n).min(total), BYTES_MAX);
        while at < end && room > 0 {
            let want = WINDOW.min(end - at);
            let window = elements(&celery.link, &place, &lengths, at, want, false, &mut room).await?;
            if window.is_empty() {
                break;
            }
            let read = window.len() as u64;
            at += if read == WINDOW { WINDOW - OVERLAP } else { read };
            if let Some(found) = window.into_iter().find(|element| is_of(&element.bytes, id)) {
                return Ok(Some((found, total)));
            }
        }
    }
    Ok(None)
}

/// Whether a message is of this task. Most are not, and are not taken apart to know it.
fn is_of(bytes: &[u8], id: &str) -> bool {
    if id.starts_with("sha1:") {
        return digest(bytes) == id;
    }
    let plain = bytes.windows(id.len().max(1)).any(|part| part == id.as_bytes());
    // The id of protocol 1 is in the body.
    let old = !bytes.windows(6).any(|part| part == b"\"task\"");
    (plain || old) && row_id(Message::read(bytes).as_ref(), bytes) == id
}

pub(super) fn row_id(message: Option<&Message>, bytes: &[u8]) -> String {
    match message.map(Message::id).filter(|id| !id.is_empty()) {
        Some(id) => id.to_owned(),
        None => digest(bytes),
    }
}

fn row_of(element: &Element) -> JobRow {
    let message = Message::read(&element.bytes);
    let id = row_id(message.as_ref(), &element.bytes);
    row(id, message.as_ref(), JobState::Waiting, element.bytes.len() as u64)
}

/// A message as a line of a list.
pub(super) fn row(id: String, message: Option<&Message>, state: JobState, stored: u64) -> JobRow {
    let problem = match message {
        None => Some("this is not a message of Celery: a worker that takes it may end".to_owned()),
        Some(message) if !message.is_task() => Some("this message of kombu names no task".to_owned()),
        Some(_) => None,
    };
    JobRow {
        id,
        name: message
            .map(|message| cut(message.name(), NAME_CHARS))
            .unwrap_or_default(),
        state,
        // A message does not say when it was sent.
        created: None,
        started: None,
        finished: None,
        due: message.and_then(Message::eta).filter(|_| state != JobState::Active),
        priority: message.map_or(0, Message::priority),
        attempts: message.map(Message::retries),
        // How many are allowed is in the task's code: this one is.
        attempts_max: None,
        stalled: 0,
        progress: None,
        error: None,
        worker: None,
        scheduler: None,
        data_size: message.map_or(stored, Message::size),
        locked: None,
        put_away: false,
        problem,
    }
}

/// What a worker holds as a line of a list.
pub(super) fn held_row(held: &Held, now: Millis) -> JobRow {
    let delayed = held.is_delayed(now);
    JobRow {
        state: if delayed { JobState::Delayed } else { JobState::Active },
        due: held.eta.filter(|_| delayed),
        ..held.row.clone()
    }
}

/// Those that workers hold, in the order of the state.
pub(super) fn of_state(all: &All, queue: &str, state: JobState, order: Order, now: Millis) -> Vec<Arc<Held>> {
    let delayed = state == JobState::Delayed;
    let mut held: Vec<Arc<Held>> = all
        .of(queue)
        .filter(|held| held.is_delayed(now) == delayed)
        .cloned()
        .collect();
    if delayed {
        held.sort_by_key(|held| held.eta);
    }
    if order == Order::Newest {
        held.reverse();
    }
    held
}

async fn held(celery: &Celery, query: &JobQuery) -> Result<JobPageRows, ReadError> {
    let place = place_of(celery, &query.queue)?;
    let all = celery.hands.read(&celery.link, &celery.book, &place.prefix).await?;
    if let Some(why) = &all.refused {
        return Err(ReadError::Corrupt(format!("What workers hold cannot be read: {why}.")));
    }
    let now = now();
    let listed = of_state(&all, &query.queue, query.state, query.order, now);
    let (begin, total) = (offset(query)?, listed.len() as u64);
    let (mut rows, mut at) = (vec![], begin);
    for held in listed.iter().skip(usize::try_from(begin).unwrap_or(usize::MAX)) {
        if rows.len() >= query.limit {
            break;
        }
        at += 1;
        let row = held_row(held, now);
        if query.filter.as_ref().is_none_or(|filter| filter.takes(&row, query.at)) {
            rows.push(row);
        }
    }
    Ok(JobPageRows {
        rows,
        next: (at < total).then(|| format!("o{at}")),
        offset: query.filter.is_none().then_some(begin),
        total,
        searched: query.filter.as_ref().map(|_| at - begin.min(at)),
        as_of: now,
    })
}
