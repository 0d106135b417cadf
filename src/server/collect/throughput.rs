//! How many jobs came and went, second by second and over the last hour.

use crate::model::Millis;
use crate::model::queue::Rates;
use std::collections::VecDeque;

/// What happened in one slice of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slice {
    /// Jobs added.
    pub added: u32,
    /// Jobs completed.
    pub completed: u32,
    /// Jobs failed for good.
    pub failed: u32,
}

impl Slice {
    const fn add(&mut self, other: Self) {
        self.added += other.added;
        self.completed += other.completed;
        self.failed += other.failed;
    }

    /// Jobs finished either way.
    #[must_use]
    pub const fn finished(self) -> u32 {
        self.completed + self.failed
    }
}

/// Length of a slice of the hour, in milliseconds.
pub const SLICE: Millis = 10_000;

/// Slices kept: one hour.
pub const SLICES: usize = 360;

/// Slices of a sparkline: ten minutes.
const SPARK: usize = 60;

/// Seconds that make the rates.
const WINDOW: Millis = 60;

/// Seconds to watch before a rate is worth a number.
const SETTLE: Millis = 5;

/// The memory of one queue's throughput: about 5 KB.
#[derive(Clone, Debug)]
pub struct Throughput {
    /// Since when nothing has been missed.
    since: Millis,
    seconds: VecDeque<(Millis, Slice)>,
    hour: VecDeque<Slice>,
    /// The number of the newest slice of `hour`, counted from the epoch.
    newest: Millis,
}

impl Throughput {
    /// Starts counting.
    #[must_use]
    pub fn new(now: Millis) -> Self {
        Self {
            since: now,
            seconds: VecDeque::new(),
            hour: VecDeque::from([Slice::default()]),
            newest: now / SLICE,
        }
    }

    /// Adds what happened at `now`.
    pub fn note(&mut self, now: Millis, what: Slice) {
        self.roll(now);
        if let Some(slice) = self.hour.back_mut() {
            slice.add(what);
        }
        match self.seconds.back_mut() {
            Some((second, slice)) if *second == now / 1000 => slice.add(what),
            _ => self.seconds.push_back((now / 1000, what)),
        }
    }

    /// Forgets that the past was complete: rates start over, the hour keeps what is known.
    pub fn gap(&mut self, now: Millis) {
        self.since = now;
        self.seconds.clear();
    }

    /// The clock was set by `by`: what was counted happened as long ago as before.
    pub fn shift(&mut self, by: Millis) {
        self.since += by;
        self.newest += by / SLICE;
        for (second, _) in &mut self.seconds {
            *second += by / 1000;
        }
    }

    fn roll(&mut self, now: Millis) {
        let current = now / SLICE;
        let missing = usize::try_from(current - self.newest).unwrap_or(0).min(SLICES);
        self.hour.extend(std::iter::repeat_n(Slice::default(), missing));
        while self.hour.len() > SLICES {
            self.hour.pop_front();
        }
        self.newest = self.newest.max(current);
        while self
            .seconds
            .front()
            .is_some_and(|(second, _)| *second <= now / 1000 - WINDOW)
        {
            self.seconds.pop_front();
        }
    }

    /// Jobs per minute over the last minute, or as much of it as was watched.
    pub fn rates(&mut self, now: Millis) -> Option<Rates> {
        self.roll(now);
        let watched = ((now - self.since) / 1000).min(WINDOW);
        if watched < SETTLE {
            return None;
        }
        let mut sum = Slice::default();
        for (_, slice) in &self.seconds {
            sum.add(*slice);
        }
        let window_s = u32::try_from(watched).unwrap_or(60);
        let per_minute = |n: u32| (f64::from(n) * 600.0 / f64::from(window_s)).round() / 10.0;
        Some(Rates {
            arrivals: per_minute(sum.added),
            departures: per_minute(sum.finished()),
            failed: per_minute(sum.failed),
            window_s,
        })
    }

    /// Jobs finished and failed in the last `minutes`.
    #[must_use]
    pub fn last_minutes(&self, minutes: usize) -> Slice {
        let mut sum = Slice::default();
        for slice in self.hour.iter().rev().take(minutes * 6) {
            sum.add(*slice);
        }
        sum
    }

    /// Jobs finished per slice over ten minutes, oldest first. The slice that is still filling is
    /// left out: it would always look like a drop.
    pub fn spark(&mut self, now: Millis) -> Vec<u32> {
        self.roll(now);
        let complete = self.hour.len() - 1;
        self.hour
            .iter()
            .take(complete)
            .skip(complete.saturating_sub(SPARK))
            .map(|slice| slice.finished())
            .collect()
    }

    /// The slices of the last hour, oldest first, and when the newest of them began.
    pub fn hour(&mut self, now: Millis) -> (Vec<Slice>, Millis) {
        self.roll(now);
        (self.hour.iter().copied().collect(), self.newest * SLICE)
    }

    /// A slice of the last hour by its number, counted from the epoch.
    pub fn at(&mut self, now: Millis, number: Millis) -> Option<Slice> {
        self.roll(now);
        let back = usize::try_from(self.newest - number).ok()?;
        self.hour.iter().rev().nth(back).copied()
    }

    /// Since when nothing has been missed.
    #[must_use]
    pub const fn since(&self) -> Millis {
        self.since
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DONE: Slice = Slice {
        added: 1,
        completed: 1,
        failed: 0,
    };

    #[test]
    fn a_steady_job_a_second_is_sixty_a_minute() {
        let mut t = Throughput::new(0);
        for second in 0..200 {
            t.note(second * 1000, DONE);
        }
        let rates = t.rates(199_999).unwrap();
        assert!((rates.arrivals - 60.0).abs() < 0.1, "{rates:?}");
        assert_eq!(rates.window_s, 60);
        assert_eq!(t.spark(199_999).last(), Some(&10));
    }

    #[test]
    fn a_rate_is_unknown_at_first_and_after_a_gap() {
        let mut t = Throughput::new(0);
        t.note(0, DONE);
        assert_eq!(t.rates(2_000), None, "two seconds are no minute");
        assert_eq!(t.rates(10_000).unwrap().window_s, 10);
        t.gap(10_000);
        assert_eq!(t.rates(12_000), None);
    }

    #[test]
    fn a_clock_that_is_set_changes_neither_rates_nor_the_hour() {
        for by in [3_600_000, -3_600_000] {
            let mut t = Throughput::new(10_000_000);
            for second in 0..100 {
                t.note(10_000_000 + second * 1000, DONE);
            }
            let before = (t.rates(10_099_999), t.hour(10_099_999).0);
            t.shift(by);
            assert_eq!((t.rates(10_099_999 + by), t.hour(10_099_999 + by).0), before);
        }
    }

    #[test]
    fn the_hour_never_grows_and_silence_is_zero() {
        let mut t = Throughput::new(0);
        t.note(0, DONE);
        t.note(50_000_000, DONE);
        let (slices, newest) = t.hour(50_000_000);
        assert_eq!(slices.len(), SLICES);
        assert_eq!(newest, 50_000_000);
        assert_eq!(
            slices.iter().map(|s| s.completed).sum::<u32>(),
            1,
            "the first is an hour away"
        );
        assert_eq!(t.rates(50_100_000).unwrap().departures, 0.0);
    }
}
