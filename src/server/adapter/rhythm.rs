//! How often a store is asked: who may read for the board now, how quickly it answers, and how long a pause there is.
//!
//! The same for every kind of store. Viewers' reads do not wait here.
//!
//! Whether a store has too much to do is measured by questions that it answers at once: of those between two `PING`s of the
//! supervisor the quickest counts. How long a blocking read takes says nothing: an idle Redis ends it up to 100 ms late.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, MutexGuard, watch};

/// Time between two `PING`s, watched and unwatched.
const PING_EVERY: Duration = Duration::from_secs(1);
const PING_UNWATCHED: Duration = Duration::from_secs(2);

/// A store whose quickest answer takes longer has too much to do: readers of changes rest four times as long between two
/// reads.
const LATE: Duration = Duration::from_millis(5);

/// The longest such rest.
const GAP_MAX: Duration = Duration::from_secs(3);

/// See the module.
#[derive(Debug)]
pub struct Rhythm {
    /// Held by the task that reads for the board rather than for a viewer: one such read at a time.
    turn: Mutex<()>,
    /// The quickest answer since the last `PING`, in microseconds; `u64::MAX` for none.
    quickest: AtomicU64,
    /// The quickest before it, in microseconds.
    latency: AtomicU64,
    /// How long the last `PING` took.
    ping: watch::Sender<Duration>,
    watched: watch::Sender<bool>,
    /// When the last answer came, in milliseconds since `started`.
    answered: AtomicU64,
    started: Instant,
}

impl Default for Rhythm {
    fn default() -> Self {
        Self {
            turn: Mutex::default(),
            quickest: AtomicU64::new(u64::MAX),
            latency: AtomicU64::new(0),
            ping: watch::Sender::new(Duration::ZERO),
            watched: watch::Sender::new(true),
            answered: AtomicU64::new(0),
            started: Instant::now(),
        }
    }
}

impl Rhythm {
    /// A turn to read for the board. Polls, counts and searches take turns, so that a store that is slow has one of our
    /// reads to answer and never a pile of them.
    pub async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// Takes in an answer that came just now, and how long it took.
    pub fn answered(&self, took: Duration) {
        self.quickest.fetch_min(micros(took), Ordering::Relaxed);
        self.answered.store(self.elapsed_ms(), Ordering::Relaxed);
    }

    /// Takes in the answer to a `PING` of the supervisor.
    pub fn pinged(&self, took: Duration) {
        self.answered(took);
        let quickest = self.quickest.swap(u64::MAX, Ordering::Relaxed);
        self.latency.store(quickest, Ordering::Relaxed);
        self.ping.send_replace(took);
    }

    /// How long after a `PING` the next one is due.
    pub fn ping_every(&self) -> Duration {
        if self.is_watched() { PING_EVERY } else { PING_UNWATCHED }
    }

    /// How long each `PING` took.
    pub fn pings(&self) -> watch::Receiver<Duration> {
        self.ping.subscribe()
    }

    /// How long ago the last answer came.
    pub fn silent_for(&self) -> Duration {
        Duration::from_millis(self.elapsed_ms().saturating_sub(self.answered.load(Ordering::Relaxed)))
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The quickest answer between the last two `PING`s: when even that one was slow, the store is.
    pub fn latency(&self) -> Duration {
        Duration::from_micros(self.latency.load(Ordering::Relaxed))
    }

    /// The least pause between two reads of changes.
    pub fn gap(&self) -> Duration {
        let latency = self.latency();
        if latency > LATE {
            (latency * 4).min(GAP_MAX)
        } else {
            Duration::ZERO
        }
    }

    /// Whether the board is watched.
    pub fn is_watched(&self) -> bool {
        *self.watched.borrow()
    }

    /// Returns as soon as the board is watched.
    pub async fn watched(&self) {
        // The sender is ours: it is not dropped meanwhile.
        let _ = self.watched.subscribe().wait_for(|watched| *watched).await;
    }

    /// Takes in whether the board is watched.
    pub fn set_watched(&self, watched: bool) {
        self.watched
            .send_if_modified(|known| std::mem::replace(known, watched) != watched);
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_rest_while_even_the_quickest_answer_is_late() {
        let ms = Duration::from_millis;
        let rhythm = Rhythm::default();
        rhythm.answered(ms(500));
        rhythm.pinged(ms(800));
        assert_eq!((rhythm.latency(), rhythm.gap()), (ms(500), ms(2_000)));
        rhythm.pinged(ms(900));
        assert_eq!(rhythm.gap(), ms(3_000), "no longer than that");
        rhythm.answered(ms(900));
        rhythm.answered(ms(1));
        assert_eq!(rhythm.gap(), ms(3_000), "until the next PING");
        rhythm.pinged(ms(900));
        assert_eq!(rhythm.gap(), ms(0), "one quick answer is enough");
    }
}
