//! When a queue is counted although no event asks for it.

use super::{Circumstances, Track};
use crate::model::Millis;
use crate::model::state::JobState;

/// A queue that speaks is counted again this long after the last count even if no event asks for it:
/// retention, cleaning and draining say nothing.
const RECOUNT_BUSY: Millis = 5_000;

/// A queue whose changes no event tells is counted this often while the board is watched.
const RECOUNT_UNHEARD: Millis = 2_000;

/// A queue that is silent is counted again after this long.
const RECOUNT_IDLE: Millis = 64_000;

/// What was heard is counted at once while it is watched; where that failed, or the board was not watched, this long after the last count.
const RECOUNT_STALE: Millis = 1_000;

/// On an unwatched board, a queue of which something was heard is counted this long after the last count if a verdict may
/// depend on it: work waits, or it was paused or resumed. With each poll, that is.
const RECOUNT_UNWATCHED: Millis = 4_000;

/// The same of a queue in which work waited or ran and which may be empty by now.
const RECOUNT_UNWATCHED_DONE: Millis = 15_000;

/// On an unwatched board, a queue in which nothing waits or runs is counted this long after the last count, and up to twice
/// as long, also if jobs came and went.
const RECOUNT_UNWATCHED_IDLE: Millis = 300_000;

/// Every queue is counted this often while changes are not pushed, and on an unwatched board one whose changes no event
/// tells.
const RECOUNT_UNPUSHED: Millis = 10_000;

/// A count that was refused is tried again this soon.
const RECOUNT_REFUSED: Millis = 2_000;

/// A queue counts as busy for this long after an event.
const BUSY: Millis = 30_000;

impl Track {
    /// Whether it is time to count although no event asks for it.
    pub(in super::super) fn is_due(&self, now: Millis, at: Circumstances) -> bool {
        let every = if at.refused && self.line.reason.is_some() {
            RECOUNT_REFUSED
        } else if !self.pushed && at.watched {
            RECOUNT_UNHEARD
        } else if !(self.pushed && at.pushed) {
            RECOUNT_UNPUSHED
        } else if at.watched {
            match (self.stale, now - self.spoke < BUSY) {
                (true, _) => RECOUNT_STALE,
                (false, true) => RECOUNT_BUSY,
                (false, false) => RECOUNT_IDLE + self.phase,
            }
        } else if self.stale && self.added.is_some() {
            // What arrived is known by counting alone, and is taken for having arrived then.
            RECOUNT_STALE
        } else if self.stale && (self.urgent || !self.entries.is_empty()) {
            RECOUNT_UNWATCHED
        } else if self.stale && self.has_work() {
            RECOUNT_UNWATCHED_DONE
        } else if self.has_work() {
            RECOUNT_IDLE + self.phase
        } else {
            RECOUNT_UNWATCHED_IDLE + self.phase * 75
        };
        now - self.counted >= every
    }

    /// Whether anything waits or runs, or that is not known.
    fn has_work(&self) -> bool {
        let counts = &self.line.counts;
        counts.backlog() != Some(0) || counts.get(JobState::Active) != Some(0)
    }

    /// Whether a queue that a viewer has open should be counted again: what is drained or obliterated by others says
    /// nothing.
    pub(in super::super) const fn wants_a_recount(&self, now: Millis) -> bool {
        now - self.counted >= RECOUNT_BUSY
    }

    /// When it was counted.
    pub(in super::super) const fn counted_at(&self) -> Millis {
        self.counted
    }

    /// Has it counted at the next occasion.
    pub(in super::super) const fn doubt(&mut self) {
        self.counted = 0;
    }
}
