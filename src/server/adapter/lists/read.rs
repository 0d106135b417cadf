//! Items from an end of a list on.
//!
//! Places count from the end where the next item is, or the one that came first. The size of an item is known only when it has been
//! read, so a list is read in parts: few items first, and as many more as their average size permits.

use super::super::ReadError;
use super::super::redis::link::Link;
use super::super::redis::reply;
use super::profile::{End, List};
use redis::{RedisError, RedisResult, Value};

/// Bytes of items that are read for one page, about.
pub(super) const BYTES_MAX: usize = 8 * 1024 * 1024;

/// Items that are looked at for one page of a search, and for one item.
pub(super) const LOOKED_AT: u64 = 10_000;

/// Items read in one round trip, and before their size is known.
pub(super) const WINDOW: u64 = 500;
const FIRST: u64 = 8;

/// An item, with how many are before it.
#[derive(Debug)]
pub(super) struct Element {
    pub(super) at: u64,
    pub(super) bytes: Vec<u8>,
}

/// Why a list was not read, as the second half of a sentence.
pub(super) fn why(error: &RedisError) -> String {
    match error.code() {
        Some("WRONGTYPE") => "the key holds another type than a list".into(),
        _ => reply::why(error),
    }
}

/// How many items a list holds.
pub(super) async fn length(link: &Link, list: &List) -> Result<u64, ReadError> {
    let mut pipe = redis::pipe();
    pipe.cmd("LLEN").arg(&list.key);
    match link.run(&mut pipe).await?.into_iter().next() {
        Some(Ok(Value::Int(n))) => Ok(u64::try_from(n).unwrap_or(0)),
        Some(Err(error)) => Err(unread(&error)),
        _ => Ok(0),
    }
}

fn unread(error: &RedisError) -> ReadError {
    ReadError::Corrupt(format!("Its items cannot be read: {}.", why(error)))
}

/// Asks for so many items from a place on.
pub(super) fn range(pipe: &mut redis::Pipeline, list: &List, first: u64, n: u64) {
    let index = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let (from, to) = match list.first {
        End::Left => (index(first), index(first + n) - 1),
        End::Right => (-index(first + n), -index(first) - 1),
    };
    pipe.cmd("LRANGE").arg(&list.key).arg(from).arg(to);
}

/// The items in the answer to [`range`], in the order of their places.
pub(super) fn ranged(reply: RedisResult<Value>, list: &List) -> Result<Vec<Vec<u8>>, RedisError> {
    let Value::Array(items) = reply? else {
        return Ok(vec![]);
    };
    let bytes = items.into_iter().map(|item| match item {
        Value::BulkString(bytes) => bytes,
        _ => vec![],
    });
    let mut all: Vec<Vec<u8>> = bytes.collect();
    if list.first == End::Right {
        all.reverse();
    }
    Ok(all)
}

/// Which items: so many from a place on. `back` reads those at the end of the span first, which matters where there is no room for all.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) first: u64,
    pub(super) n: u64,
    pub(super) back: bool,
}

/// These items, as many as there is room for.
pub(super) async fn elements(
    link: &Link,
    list: &List,
    span: Span,
    room: &mut usize,
) -> Result<Vec<Element>, ReadError> {
    let (mut low, mut high) = (span.first, span.first + span.n);
    let mut parts: Vec<Vec<Element>> = vec![];
    let (mut read, mut bytes) = (0_u64, 0_usize);
    while low < high && *room > 0 {
        let average = (bytes as u64).checked_div(read);
        let fits = average.map_or(FIRST, |average| (*room as u64 / average.max(1)).max(1));
        let n = fits.min(high - low).min(WINDOW);
        let from = if span.back { high - n } else { low };
        let mut pipe = redis::pipe();
        range(&mut pipe, list, from, n);
        let Some(reply) = link.read_long(&mut pipe).await?.into_iter().next() else {
            break;
        };
        let part = ranged(reply, list).map_err(|error| unread(&error))?;
        if span.back {
            high -= n;
        } else {
            low += n;
        }
        let size: usize = part.iter().map(Vec::len).sum();
        (read, bytes) = (read + n, bytes + size);
        *room = room.saturating_sub(size);
        // Of a list that became shorter meanwhile, the last place is what it was: items are taken at the first.
        parts.push((from..).zip(part).map(|(at, bytes)| Element { at, bytes }).collect());
    }
    if span.back {
        parts.reverse();
    }
    Ok(parts.into_iter().flatten().collect())
}
