//! How many jobs a batch takes, and how soon the next may begin.
//!
//! A batch is one pipeline of small scripts: a Redis serves its other clients between the pieces it reads of one,
//! so they do not wait for the whole batch. Its duration is kept near [`TARGET`] all the same, because that is
//! also how long a cancel may take, and the load on a store that is busy with other clients.

use std::time::{Duration, Instant};

/// How long a batch should take.
const TARGET: Duration = Duration::from_millis(6);

/// The fewest jobs of a batch.
const SIZE_MIN: usize = 1;

/// The most.
const SIZE_MAX: usize = 1_000;

/// The runner rests for an eighth of the time of its batches, a few batches' worth at a time: shorter rests take longer
/// than they should.
const REST: u32 = 8;

/// The shortest rest.
const REST_LEAST: Duration = Duration::from_millis(4);

/// See the module.
#[derive(Clone, Debug)]
pub struct Pace {
    size: usize,
    /// Jobs a second at most, and when the next one may begin.
    rate: Option<(u32, Instant)>,
    /// Rest that is due.
    owed: Duration,
}

impl Pace {
    /// Begins carefully.
    #[must_use]
    pub fn new(rate: Option<u32>) -> Self {
        Self {
            size: 25,
            rate: rate.filter(|rate| *rate > 0).map(|rate| (rate, Instant::now())),
            owed: Duration::ZERO,
        }
    }

    /// How many jobs the next batch may take, after what pause.
    #[must_use]
    pub fn next(&self, now: Instant) -> (usize, Duration) {
        match self.rate {
            None => (self.size, Duration::ZERO),
            // A tenth of a second's worth at a time.
            Some((rate, from)) => {
                let worth = usize::try_from(rate / 10).unwrap_or(usize::MAX).max(1);
                (self.size.min(worth), from.saturating_duration_since(now))
            }
        }
    }

    /// Takes in a batch that ended; returns how long to rest.
    pub fn took(&mut self, jobs: usize, took: Duration, now: Instant) -> Duration {
        let each = took.as_secs_f64() / f64::from(u32::try_from(jobs.max(1)).unwrap_or(u32::MAX));
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped right after"
        )]
        let fitting = (TARGET.as_secs_f64() / each.max(1e-7)) as usize;
        // A batch that was small for another reason says little about a larger one.
        self.size = fitting.clamp(SIZE_MIN, self.size * 2).min(SIZE_MAX);
        if let Some((rate, from)) = &mut self.rate {
            let cost = Duration::from_secs_f64(f64::from(u32::try_from(jobs).unwrap_or(u32::MAX)) / f64::from(*rate));
            *from = (*from).max(now.checked_sub(took).unwrap_or(now)) + cost;
        }
        self.owed += took / REST;
        if self.owed < REST_LEAST {
            return Duration::ZERO;
        }
        std::mem::take(&mut self.owed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_grow_while_they_are_quick_and_shrink_when_they_are_not() {
        let mut pace = Pace::new(None);
        let now = Instant::now();
        for _ in 0..10 {
            let (jobs, pause) = pace.next(now);
            assert_eq!(pause, Duration::ZERO);
            pace.took(jobs, Duration::from_micros(5) * u32::try_from(jobs).unwrap(), now);
        }
        assert_eq!(pace.next(now).0, SIZE_MAX);
        let rest = pace.took(SIZE_MAX, Duration::from_millis(400), now);
        assert_eq!(pace.next(now).0, 15);
        assert!(
            rest >= Duration::from_millis(50),
            "what was owed before is rested too: {rest:?}"
        );
        assert_eq!(
            pace.took(15, Duration::from_millis(8), now),
            Duration::ZERO,
            "not worth a pause"
        );
        pace.took(10, Duration::from_secs(9), now);
        assert_eq!(pace.next(now).0, 1, "a frozen store is asked for one");
    }

    #[test]
    fn a_rate_holds_over_time() {
        let mut pace = Pace::new(Some(50));
        let began = Instant::now();
        let (mut now, mut jobs) = (began, 0);
        while now < began + Duration::from_secs(10) {
            let (batch, pause) = pace.next(now);
            assert!(batch <= 5);
            now += pause;
            now += Duration::from_millis(1);
            jobs += batch;
            pace.took(batch, Duration::from_millis(1), now);
        }
        assert!((490..=510).contains(&jobs), "{jobs} in ten seconds");
    }
}
