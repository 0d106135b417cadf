//! How often a store is asked: who may read for the board now, how quickly it answers, and how long a pause there is.
//!
//! The same for every kind of store. Viewers' reads do not wait here.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex, MutexGuard};

/// See the module.
#[derive(Debug)]
pub struct Rhythm {
    /// Held by whoever reads for the board rather than for a viewer: one such read at a time.
    turn: Mutex<()>,
    /// The quickest answer since it was last asked for, in microseconds; `u64::MAX` for none.
    quickest: AtomicU64,
    /// The least pause that readers of changes leave between two reads, in milliseconds.
    gap: AtomicU64,
}

impl Default for Rhythm {
    fn default() -> Self {
        Self {
            turn: Mutex::default(),
            quickest: AtomicU64::new(u64::MAX),
            gap: AtomicU64::new(0),
        }
    }
}

impl Rhythm {
    /// A turn to read for the board. Polls, counts and searches take turns, so that a store that is slow has one of our
    /// reads to answer and never a pile of them.
    pub async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// Takes in how long an answer took.
    pub fn answered(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.quickest.fetch_min(us, Ordering::Relaxed);
    }

    /// The quickest answer since the last call: when even that one was slow, the store is.
    pub fn take_quickest(&self) -> Option<Duration> {
        let us = self.quickest.swap(u64::MAX, Ordering::Relaxed);
        (us < u64::MAX).then(|| Duration::from_micros(us))
    }

    /// The least pause between two reads of changes.
    pub fn gap(&self) -> Duration {
        Duration::from_millis(self.gap.load(Ordering::Relaxed))
    }

    /// Sets [`Rhythm::gap`]: longer while the store is slow or nobody watches.
    pub fn set_gap(&self, gap: Duration) {
        let ms = u64::try_from(gap.as_millis()).unwrap_or(u64::MAX);
        self.gap.store(ms, Ordering::Relaxed);
    }
}
