//! The collector's clock: the wall clock as it was, carried on by the one that never jumps.
//!
//! Rates, ages and "since when" are differences of two moments. Were they taken from the wall clock, setting it would
//! make an hour of work appear or vanish. So moments come from [`Steady`], and when the wall clock is found to have
//! jumped, everything that is remembered moves with it in one step ([`Steady::jump`], [`Steady::adopt`]).
//!
//! The store has a clock too. [`Offset`] measures how far ahead it is.

use crate::model::Millis;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Two readings of a clock agree within this; beyond it, the clock was set.
const TOLERANCE: Millis = 2_000;

/// A wall clock that does not jump.
#[derive(Clone, Copy, Debug)]
pub(super) struct Steady {
    wall: Millis,
    at: Instant,
}

impl Steady {
    /// Starts at the wall clock's `wall`.
    pub(super) fn new(wall: Millis, at: Instant) -> Self {
        Self { wall, at }
    }

    /// The moment at `instant`.
    pub(super) fn at(&self, instant: Instant) -> Millis {
        let elapsed = instant.saturating_duration_since(self.at).as_millis();
        self.wall
            .saturating_add(Millis::try_from(elapsed).unwrap_or(Millis::MAX))
    }

    /// By how much the wall clock, which says `wall`, has been set since; `None` if it was not.
    pub(super) fn jump(&self, wall: Millis, instant: Instant) -> Option<Millis> {
        let by = wall.saturating_sub(self.at(instant));
        (by.abs() > TOLERANCE).then_some(by)
    }

    /// Follows a jump.
    pub(super) fn adopt(&mut self, by: Millis) {
        self.wall = self.wall.saturating_add(by);
    }
}

/// Samples that make an offset: a single one is off by half a round trip that took its time.
const SAMPLES: usize = 5;

/// A round trip longer than this says too little about when the server looked at its clock.
const ROUND_TRIP_MAX: Duration = Duration::from_millis(900);

/// Differences below this are noise of the measurement and are not reported again.
const NOISE: Millis = 250;

/// How far the store's clock is ahead of ours.
#[derive(Clone, Debug, Default)]
pub(super) struct Offset {
    samples: VecDeque<Millis>,
    told: Option<Millis>,
}

impl Offset {
    /// Takes in what the store's clock said in an answer to a question that was asked at `asked`.
    pub(super) fn note(&mut self, store: Millis, asked: Millis, round_trip: Duration) {
        if round_trip > ROUND_TRIP_MAX {
            return;
        }
        let half = Millis::try_from(round_trip.as_millis() / 2).unwrap_or(0);
        self.samples.push_back(store.saturating_sub(asked + half));
        if self.samples.len() > SAMPLES {
            self.samples.pop_front();
        }
        let mut sorted: Vec<Millis> = self.samples.iter().copied().collect();
        sorted.sort_unstable();
        let median = sorted[sorted.len() / 2];
        if self.told.is_none_or(|told| (told - median).abs() >= NOISE) {
            // Below the noise two clocks are the same clock.
            self.told = Some(if median.abs() < NOISE { 0 } else { median });
        }
    }

    /// Milliseconds; `None` before the first measurement.
    pub(super) const fn ahead(&self) -> Option<Millis> {
        self.told
    }

    /// Our own clock was set by `by`.
    pub(super) fn shift(&mut self, by: Millis) {
        for sample in &mut self.samples {
            *sample -= by;
        }
        self.told = self.told.map(|told| told - by);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wall_clock_that_is_set_does_not_move_time() {
        let start = Instant::now();
        let mut clock = Steady::new(1_000_000, start);
        let later = start + Duration::from_secs(5);
        assert_eq!(clock.at(later), 1_005_000);
        assert_eq!(clock.jump(1_005_400, later), None, "a clock that drifts was not set");
        // The clock is set an hour ahead, and later two hours back.
        assert_eq!(clock.jump(4_605_000, later), Some(3_600_000));
        assert_eq!(clock.at(later), 1_005_000, "until it is adopted nothing moves");
        clock.adopt(3_600_000);
        assert_eq!(clock.at(later + Duration::from_secs(1)), 4_606_000);
        assert_eq!(clock.jump(-2_594_000, later + Duration::from_secs(1)), Some(-7_200_000));
    }

    #[test]
    fn the_stores_clock_is_measured_through_slow_answers() {
        let mut offset = Offset::default();
        assert_eq!(offset.ahead(), None);
        let quick = Duration::from_millis(2);
        offset.note(600_100, 100, quick);
        assert_eq!(offset.ahead(), Some(599_999));
        // One answer that waited 800 ms somewhere changes nothing that is reported.
        offset.note(600_900, 100, Duration::from_millis(800));
        offset.note(601_100, 1_100, quick);
        assert_eq!(offset.ahead(), Some(599_999));
        offset.note(9, 9, Duration::from_secs(2));
        assert_eq!(offset.ahead(), Some(599_999), "what took two seconds measures nothing");
        offset.shift(3_600_000);
        assert_eq!(
            offset.ahead(),
            Some(599_999 - 3_600_000),
            "ours was set, theirs was not"
        );
    }

    #[test]
    fn clocks_that_agree_are_told_to_agree() {
        let mut offset = Offset::default();
        offset.note(1_090, 1_000, Duration::from_millis(20));
        assert_eq!(offset.ahead(), Some(0));
    }
}
