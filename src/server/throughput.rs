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

/// A slice of the hour as this process watched it.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    slice: Slice,
    /// Whether something of it may have been missed.
    missed: bool,
}

/// The memory of one queue's throughput: about 6 KB.
#[derive(Clone, Debug)]
pub struct Throughput {
    /// Since when nothing has been missed.
    since: Millis,
    seconds: VecDeque<(Millis, Slice)>,
    hour: VecDeque<Slot>,
    /// The number of the newest slice of `hour`, counted from the epoch.
    newest: Millis,
}

impl Throughput {
    /// Starts counting.
    #[must_use]
    pub fn new(now: Millis) -> Self {
        let began = Slot {
            missed: true,
            ..Slot::default()
        };
        Self {
            since: now,
            seconds: VecDeque::new(),
            hour: VecDeque::from([began]),
            newest: now / SLICE,
        }
    }

    /// Adds an event that happened at `at` and arrived at `now`. A late event counts in its own slice; one from
    /// before the last gap counts in no rate.
    pub fn note(&mut self, now: Millis, at: Millis, what: Slice) {
        self.roll(now);
        let at = at.min(now);
        let back = usize::try_from(self.newest - at / SLICE).unwrap_or(0);
        if let Some(slot) = self.hour.iter_mut().rev().nth(back) {
            slot.slice.add(what);
        }
        if at < self.since || at <= now - WINDOW * 1000 {
            return;
        }
        match self.seconds.back_mut() {
            Some((second, slice)) if *second == now / 1000 => slice.add(what),
            _ => self.seconds.push_back((now / 1000, what)),
        }
    }

    /// Something that happened between `from` and `now` may have been missed: rates start over, and the slices of that
    /// time are not known.
    pub fn gap(&mut self, from: Millis, now: Millis) {
        self.roll(now);
        let back = usize::try_from(self.newest - from.min(now) / SLICE).unwrap_or(0);
        for slot in self.hour.iter_mut().rev().take(back + 1) {
            slot.missed = true;
        }
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
        self.hour.extend(std::iter::repeat_n(Slot::default(), missing));
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

    /// Jobs finished and failed in the last `minutes`, as far as they were watched.
    #[must_use]
    pub fn last_minutes(&self, minutes: usize) -> Slice {
        let mut sum = Slice::default();
        for slot in self.hour.iter().rev().take(minutes * 6) {
            sum.add(slot.slice);
        }
        sum
    }

    /// Jobs finished per slice over ten minutes, oldest first and always up to now; `None` where it is not known. The
    /// slice that is still filling is left out: it would always look like a drop.
    pub fn spark(&mut self, now: Millis) -> Vec<Option<u32>> {
        self.roll(now);
        let complete = self.hour.iter().rev().skip(1).take(SPARK).rev();
        let values = complete.map(|slot| (!slot.missed).then(|| slot.slice.finished()));
        values.skip_while(Option::is_none).collect()
    }

    /// The slices of the last hour, oldest first, `None` where it is not known; and when the newest of them began.
    pub fn hour(&mut self, now: Millis) -> (Vec<Option<Slice>>, Millis) {
        self.roll(now);
        let known = |slot: &Slot| (!slot.missed).then_some(slot.slice);
        (self.hour.iter().map(known).collect(), self.newest * SLICE)
    }

    /// A slice of the last hour by its number, counted from the epoch.
    pub fn at(&mut self, now: Millis, number: Millis) -> Option<Slice> {
        self.roll(now);
        let back = usize::try_from(self.newest - number).ok()?;
        let slot = self.hour.iter().rev().nth(back)?;
        (!slot.missed).then_some(slot.slice)
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
            t.note(second * 1000, second * 1000, DONE);
        }
        let rates = t.rates(199_999).unwrap();
        assert!((rates.arrivals - 60.0).abs() < 0.1, "{rates:?}");
        assert_eq!(rates.window_s, 60);
        assert_eq!(t.spark(199_999).last(), Some(&Some(10)));
    }

    #[test]
    fn a_rate_is_unknown_at_first_and_after_a_gap() {
        let mut t = Throughput::new(0);
        t.note(0, 0, DONE);
        assert_eq!(t.rates(2_000), None, "two seconds are no minute");
        assert_eq!(t.rates(10_000).unwrap().window_s, 10);
        t.gap(10_000, 10_000);
        assert_eq!(t.rates(12_000), None);
    }

    #[test]
    fn a_clock_that_is_set_changes_neither_rates_nor_the_hour() {
        for by in [3_600_000, -3_600_000] {
            let mut t = Throughput::new(10_000_000);
            for second in 0..100 {
                let at = 10_000_000 + second * 1000;
                t.note(at, at, DONE);
            }
            let before = (t.rates(10_099_999), t.hour(10_099_999).0);
            t.shift(by);
            assert_eq!((t.rates(10_099_999 + by), t.hour(10_099_999 + by).0), before);
        }
    }

    #[test]
    fn the_hour_never_grows_and_silence_is_zero() {
        let mut t = Throughput::new(0);
        t.note(0, 0, DONE);
        t.note(50_000_000, 50_000_000, DONE);
        let (slices, newest) = t.hour(50_000_000);
        assert_eq!(slices.len(), SLICES);
        assert_eq!(newest, 50_000_000);
        assert_eq!(
            slices.iter().flatten().map(|s| s.completed).sum::<u32>(),
            1,
            "the first is an hour away"
        );
        assert_eq!(t.rates(50_100_000).unwrap().departures, 0.0);
    }

    #[test]
    fn a_silent_store_leaves_a_gap_and_no_spike() {
        let mut t = Throughput::new(0);
        for second in 0..100 {
            t.note(second * 1000, second * 1000, DONE);
        }
        // Nothing is heard for 40 s, in which the workers go on; then all of it at once.
        t.gap(100_000, 140_000);
        for second in 100..140 {
            t.note(140_000, second * 1000, DONE);
        }
        assert_eq!(t.rates(144_000), None, "what happened before the gap ended is no rate");
        for second in 140..210 {
            t.note(second * 1000, second * 1000, DONE);
        }
        let ten = Some(10);
        let spark = t.spark(209_999);
        assert_eq!(spark[..9], [ten; 9], "the first slice was not watched whole");
        assert_eq!(spark[9..14], [None; 5]);
        assert_eq!(spark[14..], [ten; 5]);
        assert_eq!(t.rates(209_999).unwrap().departures, 60.0);
    }

    #[test]
    fn what_is_heard_late_without_a_gap_counts_when_it_happened() {
        let mut t = Throughput::new(0);
        t.note(25_000, 12_000, DONE);
        assert_eq!(t.spark(40_000), [Some(1), Some(0), Some(0)]);
        assert_eq!(t.rates(40_000).unwrap().window_s, 40);
    }

    #[test]
    fn a_sparkline_ends_now_although_nothing_is_known_of_the_last_minutes() {
        let mut t = Throughput::new(0);
        t.note(15_000, 15_000, DONE);
        t.gap(20_000, 50_000);
        assert_eq!(t.spark(60_000), [Some(1), None, None, None, None]);
    }
}
