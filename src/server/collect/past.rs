//! What was noted of a store by the processes that watched it: this Drover before it was started again, or another
//! replica. What no process watched is not known, and never zero.

use crate::model::Millis;
use crate::server::throughput::{SLICE, Slice};
use std::collections::{BTreeMap, HashMap};

/// Slices of a minute.
pub const PER_MINUTE: usize = 6;

/// The length of a minute.
pub const MINUTE: Millis = SLICE * PER_MINUTE as Millis;

/// What happened in a minute of one queue; `None` for slices that were not watched.
pub type Minute = [Option<Slice>; PER_MINUTE];

/// A minute of a store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watched {
    /// Which one, counted from the epoch.
    pub minute: Millis,
    /// A bit for each slice in which it was watched, the first one the lowest.
    pub slices: u8,
    /// Queues in which something happened, or of which some is not known.
    pub queues: Vec<(String, Minute)>,
    /// Queues of which all that is not among these is zero.
    pub known: Vec<String>,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Past {
    /// Minutes of the store, with a bit for each slice.
    pub watched: BTreeMap<Millis, u8>,
    /// The first minute that is known of each queue.
    pub since: HashMap<String, Millis>,
    /// Minutes of queues in which something happened, or of which some is not known.
    pub minutes: HashMap<String, BTreeMap<Millis, Minute>>,
}

impl Past {
    /// What happened in a slice, counted from the epoch.
    #[must_use]
    pub fn slice(&self, queue: &str, number: Millis) -> Option<Slice> {
        let per_minute = PER_MINUTE as Millis;
        let (minute, i) = (number.div_euclid(per_minute), number.rem_euclid(per_minute));
        let noted = self.minutes.get(queue).and_then(|minutes| minutes.get(&minute));
        if let Some(noted) = noted {
            return noted.get(usize::try_from(i).ok()?).copied().flatten();
        }
        let watched = self.watched.get(&minute).is_some_and(|slices| slices >> i & 1 == 1);
        let known = self.since.get(queue).is_some_and(|since| *since <= minute);
        (watched && known).then(Slice::default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_zero_where_it_was_watched_and_unknown_elsewhere() {
        let done = Slice {
            completed: 3,
            ..Slice::default()
        };
        let mut noted = [None; PER_MINUTE];
        noted[5] = Some(done);
        let past = Past {
            watched: BTreeMap::from([(10, 0b11_1111), (11, 0b00_0111)]),
            since: HashMap::from([("q".into(), 10), ("late".into(), 11)]),
            minutes: HashMap::from([("q".into(), BTreeMap::from([(10, noted)]))]),
        };
        assert_eq!(past.slice("q", 65), Some(done));
        assert_eq!(past.slice("q", 64), None, "it was not seen, whoever else was");
        assert_eq!(past.slice("q", 66), Some(Slice::default()));
        assert_eq!(past.slice("q", 69), None, "nobody watched");
        assert_eq!(past.slice("q", 72), None);
        assert_eq!(past.slice("late", 60), None, "it was not known yet");
        assert_eq!(past.slice("late", 68), Some(Slice::default()));
        assert_eq!(past.slice("none", 66), None);
    }
}
