//! Messages of given tasks, somewhere in the lists of a queue.
//!
//! There is no index: a list is read in windows and taken apart. It is looked through where the messages were listed, where the last
//! ones were found (an operation goes through a queue from one end to the other), and from the front on, each within bounds.

use super::super::list::{BYTES_MAX, Element, LOOKED_AT, MOVED, OVERLAP, WINDOW, elements, lengths, row_id};
use super::super::message::{Message, digest};
use super::super::{Celery, ReadError};
use super::{Place, fits};
use crate::model::action::Seen;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Messages that are looked at where an operation is thought to be.
const NEAR: u64 = 4 * WINDOW;

/// How long an operation is thought to go on where it was.
const FRESH: Duration = Duration::from_secs(30);

/// Where messages were found last, in each queue.
#[derive(Debug, Default)]
pub(in super::super) struct LastFound(Mutex<HashMap<String, (Instant, u64)>>);

impl LastFound {
    fn of(&self, queue: &str) -> Option<u64> {
        let places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        places
            .get(queue)
            .filter(|(at, _)| at.elapsed() < FRESH)
            .map(|(_, at)| *at)
    }

    fn put(&self, queue: &str, at: u64) {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        places.retain(|_, (at, _)| at.elapsed() < FRESH);
        places.insert(queue.to_owned(), (Instant::now(), at));
    }
}

/// A message of a task that was looked for.
#[derive(Debug)]
pub(super) struct Found {
    /// Its list: how many of the queue's lists are before it.
    pub(super) list: usize,
    /// How many messages of its list are before it, and behind it.
    pub(super) around: (u64, u64),
    pub(super) retries: u32,
    /// The name of its delivery; empty if this is no message.
    pub(super) tag: String,
    pub(super) bytes: Vec<u8>,
}

/// What was found.
#[derive(Debug)]
pub(super) struct Sought {
    /// The messages of each task by the id that was given.
    pub(super) found: HashMap<String, Vec<Found>>,
    /// Whether every message of the queue was looked at.
    pub(super) whole: bool,
}

/// Looks for messages of these tasks, until there is one for each or enough was looked at.
pub(super) async fn seek(
    celery: &Celery,
    queue: &str,
    place: &Place,
    jobs: &[&(String, Seen)],
) -> Result<Sought, ReadError> {
    let lengths = lengths(&celery.link, place).await?;
    let total: u64 = lengths.iter().sum();
    let mut search = Search::new(jobs);
    let listed: Vec<u64> = jobs.iter().filter_map(|(id, _)| celery.seen.of(queue, id)).collect();
    let listed = listed.iter().min().zip(listed.iter().max()).map(|(first, last)| {
        let from = first.saturating_sub(MOVED);
        (from, (last + MOVED - from).min(LOOKED_AT))
    });
    let near = celery.last_found.of(queue).map(|at| at.saturating_sub(MOVED));
    let spans = [
        near.map(|at| (at, NEAR)),
        listed,
        near.map(|at| (at, LOOKED_AT)),
        Some((0, LOOKED_AT)),
    ];
    let mut looked: Vec<(u64, u64)> = vec![];
    for (from, n) in spans.into_iter().flatten() {
        let (mut at, end, mut room) = (from.min(total), (from + n).min(total), BYTES_MAX);
        while at < end && room > 0 && !search.is_over() {
            if let Some((_, past)) = looked.iter().find(|(first, past)| (*first..*past).contains(&at)) {
                at = *past;
                continue;
            }
            let next = looked.iter().map(|(first, _)| *first).filter(|first| *first > at).min();
            let want = WINDOW.min(end - at).min(next.unwrap_or(end) - at);
            let window = elements(&celery.link, place, &lengths, at, want, false, &mut room).await?;
            let read = if room > 0 { want } else { window.len() as u64 };
            window.into_iter().for_each(|element| search.take(element, &lengths));
            let step = if read == WINDOW { WINDOW - OVERLAP } else { read };
            looked.push((at, at + step));
            at += step;
        }
    }
    if let Some(last) = search.last {
        // What is found is removed, and what is behind it moves up.
        celery.last_found.put(queue, last.saturating_sub(search.n));
    }
    Ok(Sought {
        whole: looked.iter().map(|(first, past)| past - first).sum::<u64>() >= total,
        found: search.found,
    })
}

/// A search under way.
struct Search<'a> {
    /// How many messages of each are still looked for, with what was seen of them.
    open: HashMap<&'a str, Vec<&'a Seen>>,
    /// Whether elements are looked for by their bytes.
    digests: bool,
    found: HashMap<String, Vec<Found>>,
    /// Where the last one was, and how many there were.
    last: Option<u64>,
    n: u64,
}

impl<'a> Search<'a> {
    fn new(jobs: &[&'a (String, Seen)]) -> Self {
        let mut open: HashMap<&str, Vec<&Seen>> = HashMap::new();
        for (id, seen) in jobs {
            open.entry(id).or_default().push(seen);
        }
        Self {
            digests: open.keys().any(|id| id.starts_with("sha1:")),
            open,
            found: HashMap::new(),
            last: None,
            n: 0,
        }
    }

    fn is_over(&self) -> bool {
        self.open.values().all(Vec::is_empty)
    }

    fn take(&mut self, element: Element, lengths: &[u64]) {
        let message = Message::read(&element.bytes);
        let mut id = row_id(message.as_ref(), &element.bytes);
        if self.digests && !self.open.contains_key(id.as_str()) {
            id = digest(&element.bytes);
        }
        let Some(open) = self.open.get_mut(id.as_str()) else {
            return;
        };
        let retries = message.as_ref().map_or(0, Message::retries);
        let of_task = self.found.entry(id).or_default();
        // Windows overlap.
        if of_task.iter().any(|known| known.bytes == element.bytes) {
            return;
        }
        if let Some(at) = open.iter().position(|seen| fits(seen, retries)) {
            open.remove(at);
        }
        self.last = self.last.max(Some(element.at));
        self.n += 1;
        let (mut list, mut before) = (0, element.at);
        while list + 1 < lengths.len() && before >= lengths[list] {
            before -= lengths[list];
            list += 1;
        }
        of_task.push(Found {
            list,
            around: (before, lengths[list].saturating_sub(before)),
            retries,
            tag: message.map(|message| message.tag().to_owned()).unwrap_or_default(),
            bytes: element.bytes,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(at: u64, id: &str, retries: u32, tag: &str) -> Element {
        let text = format!(
            r#"{{"body":"","headers":{{"task":"t","id":"{id}","retries":{retries}}},"properties":{{"delivery_tag":"{tag}"}}}}"#
        );
        Element {
            at,
            bytes: text.into_bytes(),
        }
    }

    #[test]
    fn messages_of_one_task_are_told_apart_by_their_retries_and_their_bytes() {
        let seen = |attempts| Seen {
            attempts: Some(attempts),
            ..Seen::default()
        };
        let retried = element(12, "a", 1, "y");
        let own = digest(&element(12, "b", 0, "z").bytes);
        let jobs = [("a".to_owned(), seen(1)), (own.clone(), seen(0))];
        let mut search = Search::new(&jobs.iter().collect::<Vec<_>>());
        search.take(element(0, "a", 0, "x"), &[10, 5]);
        assert!(!search.is_over(), "another retry of it");
        search.take(element(3, "c", 0, "w"), &[10, 5]);
        search.take(
            Element {
                at: 12,
                bytes: retried.bytes.clone(),
            },
            &[10, 5],
        );
        search.take(
            Element {
                at: 11,
                bytes: retried.bytes,
            },
            &[10, 5],
        );
        search.take(element(12, "b", 0, "z"), &[10, 5]);
        assert!(search.is_over());
        let of_task = &search.found["a"];
        let facts: Vec<_> = of_task
            .iter()
            .map(|found| (found.list, found.around, found.retries))
            .collect();
        assert_eq!(facts, [(0, (0, 10), 0), (1, (2, 3), 1)]);
        assert_eq!((search.found[&own][0].tag.as_str(), search.last), ("z", Some(12)));
    }
}
