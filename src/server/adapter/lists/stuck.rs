//! What in `processing` no worker holds any more, as far as that is known.
//!
//! `BLMOVE` leaves no time behind, and the body tells when an item was added at most. So an item is stuck where the heartbeat key that
//! the profile names is not there, or where Drover has seen it in the list at each look for as long as the profile says. What was seen
//! is in memory: after a start, nothing is stuck until that time has passed again. Where both are set, both have to be so.

use super::super::redis::reply;
use super::super::{Connections, QueueId, Trouble};
use super::Lists;
use super::body::digest;
use super::profile::{List, Profile};
use super::read::{range, ranged};
use crate::model::job::JobRow;
use crate::model::state::JobState;
use crate::model::{Millis, now};
use redis::Value;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Items that are looked at in each queue, those that came first in front; of larger ones fewer.
const LOOKED_AT: u64 = 200;
const LOOKED_AT_FIRST: u64 = 8;
const BYTES: u64 = 1024 * 1024;

const UNKNOWN: &str = "Workers of an application's own lists are not listed in Redis. Where a profile names a heartbeat key, that there is \
                       none is known while the key is not there.";

/// When the items in `processing` were first seen there.
#[derive(Debug, Default)]
pub(super) struct Sightings(Mutex<HashMap<QueueId, Seen>>);

#[derive(Debug, Default)]
struct Seen {
    since: HashMap<String, Millis>,
    /// Bytes of an item, on average.
    average: Option<u64>,
}

impl Sightings {
    fn all(&self) -> MutexGuard<'_, HashMap<QueueId, Seen>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wanted(&self, queue: &str) -> u64 {
        let all = self.all();
        let average = all.get(queue).and_then(|seen| seen.average);
        average.map_or(LOOKED_AT_FIRST, |average| (BYTES / average.max(1)).clamp(1, LOOKED_AT))
    }

    /// These are there now; what was there before and is not among them has gone.
    fn note(&self, queue: &QueueId, items: &[Vec<u8>], at: Millis) {
        let mut all = self.all();
        let seen = all.entry(queue.clone()).or_default();
        let before = std::mem::take(&mut seen.since);
        let since = |item: &Vec<u8>| {
            let id = digest(item);
            let since = before.get(&id).copied().unwrap_or(at);
            (id, since)
        };
        seen.since = items.iter().map(since).collect();
        let bytes: usize = items.iter().map(Vec::len).sum();
        seen.average = (bytes as u64).checked_div(items.len() as u64).or(seen.average);
    }

    /// Forgets an item that is about to be put back: a worker may take it again at once, and then it is not the one that was seen. Whether
    /// it was there, which is so for one of several who ask.
    pub(super) fn forget(&self, queue: &str, item: &[u8]) -> bool {
        let mut all = self.all();
        all.get_mut(queue)
            .is_some_and(|seen| seen.since.remove(&digest(item)).is_some())
    }

    fn since(&self, queue: &str, item: &[u8]) -> Option<Millis> {
        self.all().get(queue)?.since.get(&digest(item)).copied()
    }
}

/// Moves that are remembered.
const MOVES_MAX: usize = 50_000;

/// When Drover itself moved an item to `waiting`: its body tells at most when it was added.
#[derive(Debug, Default)]
pub(super) struct Moves(Mutex<Moved>);

/// By queue and digest.
#[derive(Debug, Default)]
struct Moved {
    since: HashMap<(String, String), Millis>,
    order: VecDeque<(String, String)>,
}

impl Moves {
    fn all(&self) -> MutexGuard<'_, Moved> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An item has waited in this queue since this moment.
    pub(super) fn note(&self, queue: &str, item: &[u8], at: Millis) {
        let mut all = self.all();
        let name = (queue.to_owned(), digest(item));
        if all.since.insert(name.clone(), at).is_none() {
            all.order.push_back(name);
        }
        if all.order.len() > MOVES_MAX
            && let Some(oldest) = all.order.pop_front()
        {
            all.since.remove(&oldest);
        }
    }

    /// Since when an item of this queue that was added at this moment has waited.
    pub(super) fn ready(&self, queue: &str, item: &[u8], added: Option<Millis>) -> Option<Millis> {
        let all = self.all();
        if all.since.is_empty() {
            return added;
        }
        added.max(all.since.get(&(queue.to_owned(), digest(item))).copied())
    }
}

/// Notes what is in these lists now.
pub(super) async fn look(lists: &Lists, queues: &[(QueueId, List)]) -> Result<(), Trouble> {
    if queues.is_empty() {
        return Ok(());
    }
    let mut pipe = redis::pipe();
    for (queue, list) in queues {
        range(&mut pipe, list, 0, lists.sightings.wanted(queue));
    }
    let replies = lists.link.read_long(&mut pipe).await?;
    for ((queue, list), reply) in queues.iter().zip(replies) {
        let items = ranged(reply, list).unwrap_or_default();
        lists.sightings.note(queue, &items, now());
    }
    Ok(())
}

/// Notes in the lines of items that workers hold whether one does still, where that is known.
pub(super) async fn mark(
    lists: &Lists,
    profile: &Profile,
    items: &[&[u8]],
    rows: &mut [JobRow],
) -> Result<(), Trouble> {
    if rows.first().is_none_or(|row| row.state != JobState::Active) {
        return Ok(());
    }
    let mut beats = vec![None; rows.len()];
    if profile.heartbeat.is_some() {
        let mut pipe = redis::pipe();
        for key in rows.iter().filter_map(|row| profile.heartbeat_of(&row.id)) {
            pipe.cmd("EXISTS").arg(key);
        }
        let replies = lists.link.run(&mut pipe).await?;
        beats = replies
            .iter()
            .map(|reply| Some(reply::count(reply).ok()? > 0))
            .collect();
    }
    let at = now();
    for ((row, item), beat) in rows.iter_mut().zip(items).zip(beats) {
        let since = lists.sightings.since(&profile.waiting, item);
        row.locked = held(profile, beat, since.map(|since| at - since));
    }
    Ok(())
}

/// Whether a worker holds an item of which the heartbeat is there or not, and which was seen for so long; `None` where that is not
/// known.
fn held(profile: &Profile, beats: Option<bool>, seen_for: Option<Millis>) -> Option<bool> {
    let long = |after: Millis| seen_for.is_some_and(|seen| seen >= after);
    match (profile.heartbeat.is_some(), profile.stuck_after) {
        (true, None) => beats,
        (true, Some(after)) => beats.filter(|beats| *beats || long(after)),
        (false, Some(after)) => long(after).then_some(false),
        (false, None) => None,
    }
}

/// Who works for these queues, as far as heartbeats tell.
pub(super) async fn workers(lists: &Lists, known: &HashSet<QueueId>) -> Result<Connections, Trouble> {
    let one = |queue: &&QueueId| {
        let profile = lists.profile(queue)?;
        (!profile.held_by_item()).then(|| profile.heartbeat_of(""))?
    };
    let asked: Vec<(&QueueId, Vec<u8>)> = known.iter().filter_map(|queue| Some((queue, one(&queue)?))).collect();
    let mut unknown = known.clone();
    if !asked.is_empty() {
        let mut pipe = redis::pipe();
        for (_, key) in &asked {
            pipe.cmd("EXISTS").arg(key);
        }
        for ((queue, _), reply) in asked.iter().zip(lists.link.run(&mut pipe).await?) {
            if matches!(reply, Ok(Value::Int(0))) {
                unknown.remove(*queue);
            }
        }
    }
    Ok(if unknown.is_empty() {
        Connections::Known(vec![])
    } else {
        Connections::Unknown(unknown, UNKNOWN.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::super::body::tests::profile;
    use super::super::profile::Format;
    use super::*;

    #[test]
    fn an_item_is_stuck_where_all_that_the_profile_names_says_so() {
        let of = |heartbeat: bool, after: Option<Millis>| Profile {
            heartbeat: heartbeat.then(|| "alive".to_owned()),
            stuck_after: after,
            ..profile(Format::Json)
        };
        for (heartbeat, after, beats, seen, wanted) in [
            (false, None, None, Some(9_000), None),
            (false, Some(5_000), None, None, None),
            (false, Some(5_000), None, Some(4_999), None),
            (false, Some(5_000), None, Some(5_000), Some(false)),
            (true, None, Some(true), None, Some(true)),
            (true, None, Some(false), None, Some(false)),
            (true, None, None, Some(9_000), None),
            (true, Some(5_000), Some(true), Some(9_000), Some(true)),
            (true, Some(5_000), Some(false), Some(10), None),
            (true, Some(5_000), Some(false), Some(9_000), Some(false)),
            (true, Some(5_000), None, Some(9_000), None),
        ] {
            let profile = of(heartbeat, after);
            assert_eq!(
                held(&profile, beats, seen),
                wanted,
                "{heartbeat} {after:?} {beats:?} {seen:?}"
            );
        }
    }

    #[test]
    fn what_was_moved_has_waited_since_then() {
        let moves = Moves::default();
        moves.note("q", b"a", 20);
        assert_eq!(moves.ready("q", b"a", Some(10)), Some(20));
        assert_eq!(moves.ready("q", b"a", None), Some(20), "its body need not tell");
        assert_eq!(moves.ready("q", b"b", Some(10)), Some(10));
        assert_eq!(moves.ready("other", b"a", None), None);
        for n in 0..MOVES_MAX {
            moves.note("q", &n.to_le_bytes(), 30);
        }
        assert_eq!(moves.ready("q", b"a", Some(10)), Some(10), "so many are remembered");
    }

    #[test]
    fn what_has_left_the_list_is_new_when_it_comes_back() {
        let (sightings, queue): (Sightings, QueueId) = (Sightings::default(), "q".into());
        let items = |words: &[&str]| -> Vec<Vec<u8>> { words.iter().map(|word| word.as_bytes().to_vec()).collect() };
        sightings.note(&queue, &items(&["a", "b"]), 10);
        sightings.note(&queue, &items(&["a"]), 20);
        sightings.note(&queue, &items(&["a", "b"]), 30);
        assert_eq!(
            (sightings.since("q", b"a"), sightings.since("q", b"b")),
            (Some(10), Some(30))
        );
        assert_eq!(sightings.since("other", b"a"), None);
        assert!(sightings.forget("q", b"a") && !sightings.forget("q", b"a"));
        sightings.note(&queue, &items(&["a", "b"]), 40);
        assert_eq!(sightings.since("q", b"a"), Some(40), "it was put back and taken again");
        assert_eq!(sightings.wanted("q"), LOOKED_AT);
    }
}
