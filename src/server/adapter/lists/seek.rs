//! Items by their ids, somewhere in a list.
//!
//! There is no index: a list is read in windows and taken apart. It is looked through where the items were listed, where the last ones
//! were found (an operation goes through a list from one end to the other), and from the front on, each within bounds.

use super::super::ReadError;
use super::Lists;
use super::body::{Body, digest};
use super::profile::{List, Profile};
use super::read::{BYTES_MAX, Element, LOOKED_AT, Span, WINDOW, elements, length};
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Items whose place is remembered, and how far each may have moved since.
const NOTED_MAX: usize = 5_000;
const MOVED: u64 = 500;

/// Items of a window that are read again with the next: while workers take items, the others move up.
const OVERLAP: u64 = 50;

/// How long an operation is thought to go on where it was.
const FRESH: Duration = Duration::from_secs(30);

/// Where items were seen.
#[derive(Debug, Default)]
pub(super) struct Places(Mutex<Noted>);

#[derive(Debug, Default)]
struct Noted {
    /// The place of each item by its list and id, and the order in which they were noted.
    listed: HashMap<(Vec<u8>, String), u64>,
    order: VecDeque<(Vec<u8>, String)>,
    /// Where the last ones of each list were found.
    found: HashMap<Vec<u8>, (Instant, u64)>,
}

impl Places {
    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An item was listed there.
    pub(super) fn note(&self, list: &[u8], id: &str, at: u64) {
        let mut noted = self.noted();
        let name = (list.to_vec(), id.to_owned());
        if noted.listed.insert(name.clone(), at).is_none() {
            noted.order.push_back(name);
        }
        if noted.order.len() > NOTED_MAX
            && let Some(oldest) = noted.order.pop_front()
        {
            noted.listed.remove(&oldest);
        }
    }

    /// The first and the last place at which one of these was listed.
    fn listed(&self, list: &[u8], ids: &[&str]) -> Option<(u64, u64)> {
        let noted = self.noted();
        let place = |id: &&str| noted.listed.get(&(list.to_vec(), (*id).to_owned())).copied();
        let places: Vec<u64> = ids.iter().filter_map(place).collect();
        places.iter().min().copied().zip(places.iter().max().copied())
    }

    fn put_found(&self, list: &[u8], at: u64) {
        let mut noted = self.noted();
        noted.found.retain(|_, (at, _)| at.elapsed() < FRESH);
        noted.found.insert(list.to_vec(), (Instant::now(), at));
    }

    fn found(&self, list: &[u8]) -> Option<u64> {
        let noted = self.noted();
        let found = noted.found.get(list).filter(|(at, _)| at.elapsed() < FRESH);
        found.map(|(_, at)| *at)
    }
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Sought {
    /// The items of each id, each with other bytes.
    pub(super) found: HashMap<String, Vec<Element>>,
    /// How many items the list holds.
    pub(super) total: u64,
    /// Whether every one was looked at.
    pub(super) whole: bool,
}

/// Looks for items with these ids, until there is one for each or enough was looked at.
pub(super) async fn seek(lists: &Lists, profile: &Profile, list: &List, ids: &[&str]) -> Result<Sought, ReadError> {
    let total = length(&lists.link, list).await?;
    let mut search = Search::new(ids);
    let listed = lists.places.listed(&list.key, ids).map(|(first, last)| {
        let from = first.saturating_sub(MOVED);
        (from, (last + MOVED - from).min(LOOKED_AT))
    });
    let near = lists.places.found(&list.key).map(|at| at.saturating_sub(MOVED));
    let spans = [
        listed,
        near.filter(|_| ids.len() > 1 || listed.is_none())
            .map(|at| (at, LOOKED_AT)),
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
            let span = Span {
                first: at,
                n: WINDOW.min(end - at),
                back: false,
            };
            let window = elements(&lists.link, list, span, &mut room).await?;
            // A list that became shorter meanwhile has no more behind the window.
            let read = if room > 0 { span.n } else { window.len() as u64 };
            window.into_iter().for_each(|element| search.take(profile, element));
            let step = if read == WINDOW { WINDOW - OVERLAP } else { read };
            looked.push((at, at + step));
            at += step;
        }
    }
    if let Some(last) = search.last {
        // What is found may be taken out, and what is behind it moves up.
        lists.places.put_found(&list.key, last.saturating_sub(ids.len() as u64));
    }
    Ok(Sought {
        whole: is_whole(looked, total),
        found: search.found,
        total,
    })
}

/// Whether these parts are all of a list.
fn is_whole(mut looked: Vec<(u64, u64)>, total: u64) -> bool {
    looked.sort_unstable();
    let reached = looked.into_iter().fold(
        0,
        |reached, (first, past)| {
            if first <= reached { past.max(reached) } else { reached }
        },
    );
    reached >= total
}

/// A search under way.
struct Search<'a> {
    /// How many of each are still looked for.
    open: HashMap<&'a str, usize>,
    /// Whether items are looked for by their bytes.
    digests: bool,
    found: HashMap<String, Vec<Element>>,
    last: Option<u64>,
}

impl<'a> Search<'a> {
    fn new(ids: &[&'a str]) -> Self {
        let mut open = HashMap::new();
        for id in ids {
            *open.entry(*id).or_default() += 1;
        }
        Self {
            digests: ids.iter().any(|id| id.starts_with("sha1:")),
            open,
            found: HashMap::new(),
            last: None,
        }
    }

    fn is_over(&self) -> bool {
        self.open.values().all(|open| *open == 0)
    }

    fn take(&mut self, profile: &Profile, element: Element) {
        let mut id = Body::read(profile, &element.bytes).id();
        if self.digests && !self.open.contains_key(id.as_str()) {
            id = digest(&element.bytes);
        }
        let Some(open) = self.open.get_mut(id.as_str()) else {
            return;
        };
        *open = open.saturating_sub(1);
        self.last = self.last.max(Some(element.at));
        let of_id = self.found.entry(id).or_default();
        // Windows overlap, and items with the same bytes are the same.
        if of_id.iter().all(|known| known.bytes != element.bytes) {
            of_id.push(element);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::body::tests::profile;
    use super::super::profile::Format;
    use super::*;

    #[test]
    fn items_of_one_id_are_told_apart_by_their_bytes() {
        let item = |at, n: u8| Element {
            at,
            bytes: format!(r#"{{"meta":{{"id":"a"}},"n":{n}}}"#).into_bytes(),
        };
        let profile = profile(Format::Json);
        let own = digest(b"{}");
        let ids = ["a", "a", own.as_str()];
        let mut search = Search::new(&ids);
        for element in [item(0, 1), item(0, 1)] {
            search.take(&profile, element);
        }
        assert!(!search.is_over());
        let other = Element {
            at: 7,
            bytes: b"{}".to_vec(),
        };
        search.take(&profile, other);
        assert!(search.is_over(), "both of it, and one without an id");
        search.take(&profile, item(9, 2));
        assert_eq!((search.found["a"].len(), search.found[&own].len()), (2, 1));
        assert_eq!(search.last, Some(9));
    }

    #[test]
    fn a_list_was_looked_through_if_no_part_of_it_is_missing() {
        assert!(is_whole(vec![], 0));
        assert!(is_whole(vec![(450, 900), (0, 450)], 900));
        assert!(!is_whole(vec![(450, 900), (0, 449)], 900));
        assert!(!is_whole(vec![(0, 450)], 900));
    }
}
