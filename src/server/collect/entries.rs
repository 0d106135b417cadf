//! When jobs became ready to run, as the events of their queue tell it.
//!
//! A job's record keeps one time of creation and no time of a promotion, a retry or a release, so its events are the better
//! source. Queues are first in, first out: while fewer than [`MOST`] jobs wait, the one that runs next is among the last
//! that entered. What was missed ends what is known: a job may have run and come back meanwhile.

use crate::model::Millis;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher as _, RandomState};

/// Jobs remembered of one queue: 20 KB where it is full.
const MOST: usize = 512;

/// See the module. Jobs are kept by a hash of their ids.
#[derive(Debug, Default)]
pub(super) struct Entries {
    hash: RandomState,
    at: HashMap<u64, Millis>,
    /// In the order of their entry, left or not.
    order: VecDeque<(u64, Millis)>,
}

impl Entries {
    /// A job became ready.
    pub(super) fn enter(&mut self, job: &str, at: Millis) {
        let job = self.hash.hash_one(job);
        self.at.insert(job, at);
        self.order.push_back((job, at));
        if self.order.len() > MOST
            && let Some((old, entered)) = self.order.pop_front()
            && self.at.get(&old) == Some(&entered)
        {
            self.at.remove(&old);
        }
    }

    /// A job is not ready any more.
    pub(super) fn leave(&mut self, job: &str) {
        if !self.at.is_empty() {
            self.at.remove(&self.hash.hash_one(job));
        }
    }

    /// Whether nothing is ready, as far as was heard.
    pub(super) fn is_empty(&self) -> bool {
        self.at.is_empty()
    }

    /// Something was missed.
    pub(super) fn forget(&mut self) {
        self.at.clear();
        self.order.clear();
    }

    /// Since when a job has been ready, if that was heard.
    pub(super) fn since(&self, job: &str) -> Option<Millis> {
        self.at.get(&self.hash.hash_one(job)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_ready_since_its_last_entry_and_not_after_it_left() {
        let mut entries = Entries::default();
        entries.enter("a", 1);
        entries.enter("b", 2);
        entries.leave("a");
        assert_eq!((entries.since("a"), entries.since("b")), (None, Some(2)));
        entries.enter("a", 3);
        assert_eq!(entries.since("a"), Some(3));
        entries.forget();
        assert_eq!(entries.since("a"), None);
    }

    #[test]
    fn the_newest_are_remembered_and_no_more() {
        let mut entries = Entries::default();
        entries.enter("again", 0);
        for i in 1..2_000 {
            entries.enter(&format!("job-{i}"), i);
        }
        entries.enter("again", 2_000);
        for i in 2_001..2_400 {
            entries.enter(&format!("job-{i}"), i);
        }
        assert_eq!(
            entries.since("again"),
            Some(2_000),
            "its first entry is forgotten, not its last"
        );
        assert_eq!(entries.since("job-1500"), None);
        assert_eq!(entries.since("job-2399"), Some(2_399));
        assert!(entries.at.len() <= MOST && entries.order.len() == MOST);
    }
}
