//! Whether workers are there: connected, at work unseen, or missing.

use super::{NO_PROGRESS, Track};
use crate::model::Millis;
use crate::model::state::JobState;

/// Events of what a worker did before it was seen to have left arrive within this time, also on an unwatched board.
const LAST_WORDS: Millis = 8_000;

/// The locks on a queue's jobs are read for a worker that cannot be seen when there was no other sign of it for this
/// long.
const ASK_FOR_LOCKS: Millis = 15_000;

impl Track {
    /// A job was begun or finished. A worker that leaves still finishes what it holds, and begins nothing.
    pub(super) fn sign_of_work(&mut self, at: Millis, begun: bool) {
        let absent = self.no_workers_since.is_some_and(|since| at - since > LAST_WORDS);
        if absent && (begun || !self.ever_served) {
            self.worked = self.worked.max(Some(at));
        }
    }

    /// Takes in how many workers are connected.
    pub(in super::super) fn workers(&mut self, now: Millis, workers: Option<u32>) {
        self.connected = workers;
        match workers {
            Some(0) => {
                self.no_workers_since.get_or_insert(now);
                self.unseen |= self.worked.is_some();
            }
            _ => {
                self.no_workers_since = None;
                (self.worked, self.unseen) = (None, false);
                self.ever_served |= workers.is_some();
            }
        }
        self.show_workers();
    }

    /// Whether it should be asked if a worker holds one of its jobs: no event tells of one that takes long.
    pub(in super::super) fn wants_locks(&self, now: Millis) -> bool {
        self.connected == Some(0)
            && (self.unseen || !self.ever_served)
            && self.line.counts.get(JobState::Active) > Some(0)
            && self.worked.is_none_or(|at| now - at >= ASK_FOR_LOCKS)
    }

    /// A worker holds one of its jobs.
    pub(in super::super) fn locked(&mut self, now: Millis) {
        self.worked = Some(now);
        self.unseen = true;
        self.show_workers();
    }

    /// What cannot be seen is not known to be absent.
    pub(super) fn show_workers(&mut self) {
        self.line.unseen = self.unseen;
        self.line.workers = self.connected.filter(|_| !self.unseen);
    }

    /// Takes a worker that cannot be seen for gone when nothing has been done for too long.
    pub(super) fn doubt_unseen(&mut self, now: Millis) {
        if !self.unseen {
            return;
        }
        // With nothing to do it cannot show that it is there.
        if self.line.counts.backlog() == Some(0) || self.line.paused == Some(true) {
            self.worked = Some(now);
        }
        let idle = self.worked.filter(|at| now - at >= NO_PROGRESS);
        if idle.is_some() {
            self.no_workers_since = idle;
            (self.worked, self.unseen) = (None, false);
            self.show_workers();
        }
    }

    /// Since when no worker has been seen, and whether that was so from the first look on.
    pub(in super::super) fn deserted(&self) -> Option<(Millis, bool)> {
        let since = self.no_workers_since.filter(|_| !self.unseen)?;
        Some((self.worked.map_or(since, |at| since.max(at)), !self.ever_served))
    }
}
