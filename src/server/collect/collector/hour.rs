//! The last hour of each queue: as this process counted it, and before that as it was noted.

use super::super::past::{MINUTE, Minute, PER_MINUTE, Past, Watched};
use super::{Collector, State, Track};
use crate::model::Millis;
use crate::model::store::Reach;
use crate::server::adapter::QueueId;
use crate::server::throughput::{SLICE, SLICES, Slice};

/// The last hour of a queue.
#[derive(Clone, Debug)]
pub struct Hour {
    /// The oldest first; `None` for what is not known.
    pub slices: Vec<Option<Slice>>,
    /// When the newest of them began: it is still filling.
    pub newest: Millis,
    /// Since when nothing is missing.
    pub since: Millis,
}

impl State {
    /// Since when nothing of the store was missed.
    fn since(&self) -> Option<Millis> {
        self.tracks.values().map(|track| track.throughput.since()).min()
    }
}

impl Collector {
    /// The throughput of the last hour.
    pub fn hour(&self, queue: &str) -> Option<Hour> {
        let at = self.now();
        let mut state = self.state();
        let state = &mut *state;
        let track = state.tracks.get_mut(queue)?;
        let unread = track.is_unread();
        let (own, newest) = track.throughput.hour(at);
        let own_since = track.throughput.since();
        let last = newest / SLICE;
        let count = Millis::try_from(SLICES).unwrap_or(0);
        let own_first = last + 1 - Millis::try_from(own.len()).unwrap_or(0);
        let slice = |number: Millis| {
            let own = usize::try_from(number - own_first).ok().and_then(|i| own.get(i));
            own.filter(|_| !unread)
                .copied()
                .flatten()
                .or_else(|| state.past.slice(queue, number))
        };
        let slices: Vec<Option<Slice>> = (last + 1 - count..=last).map(slice).collect();
        let known = slices.iter().rev().skip(1).take_while(|slice| slice.is_some()).count();
        let since = (last - Millis::try_from(known).unwrap_or(0)) * SLICE;
        Some(Hour {
            slices,
            newest,
            // A chart of which all is known is not said to begin at its edge.
            since: if known == 0 { own_since } else { since.min(own_since) },
        })
    }

    /// Takes in what was noted of the store.
    pub fn recall(&self, past: Past) {
        self.state().past = past;
    }

    /// Whether it answers.
    pub fn answers(&self) -> bool {
        self.state().summary.reach == Reach::Live
    }

    /// Whether something that happened after this minute was not counted here.
    pub fn missed(&self, minute: Millis) -> bool {
        self.state().since().is_none_or(|since| since > minute * MINUTE)
    }

    /// What was counted here in a minute that is over, counted from the epoch; `None` if it was not watched.
    pub fn minute(&self, minute: Millis) -> Option<Watched> {
        let at = self.now();
        let mut state = self.state();
        if state.summary.reach != Reach::Live {
            return None;
        }
        let first = minute * Millis::try_from(PER_MINUTE).unwrap_or(0);
        let numbers: [Millis; PER_MINUTE] = std::array::from_fn(|i| first + Millis::try_from(i).unwrap_or(0));
        let noted = |(queue, track): (&QueueId, &mut Track)| {
            let noted: Minute = numbers.map(|number| track.throughput.at(at, number));
            (queue.clone(), noted)
        };
        let all: Vec<(QueueId, Minute)> = state.tracks.iter_mut().map(noted).collect();
        // The store was watched while one of its queues was.
        let slices = (0..PER_MINUTE)
            .filter(|i| all.iter().any(|(_, noted)| noted[*i].is_some()))
            .fold(0_u8, |bits, i| bits | 1 << i);
        if slices == 0 {
            return None;
        }
        let mut watched = Watched {
            minute,
            slices,
            ..Watched::default()
        };
        for (queue, noted) in all {
            // One that was not known yet, or not heard, has no silence that could be taken for zero.
            if noted.iter().any(Option::is_some) {
                watched.known.push(queue.to_string());
            }
            let silent = |(i, slice): (usize, &Option<Slice>)| match slice {
                Some(slice) => *slice == Slice::default(),
                None => slices >> i & 1 == 0,
            };
            if !noted.iter().enumerate().all(silent) {
                watched.queues.push((queue.to_string(), noted));
            }
        }
        Some(watched)
    }
}
