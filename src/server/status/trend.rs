//! Where the work that waits is going, and when it will be gone.

use crate::model::Millis;
use crate::model::status::{Range, Trend};
use std::collections::VecDeque;

/// Time between two samples, how far back they go, and how far they must go before they say anything.
const EVERY: Millis = 10_000;
const WINDOW: Millis = 300_000;
const ENOUGH: Millis = 60_000;

/// A change of less than so many, or than a tenth, is none.
const NOISE: u64 = 5;

/// A forecast that ends after more than a day is not given.
const LONGEST: f64 = 86_400_000.0;

/// How much waited in the last minutes.
#[derive(Clone, Debug, Default)]
pub struct Backlog(VecDeque<(Millis, u64)>);

impl Backlog {
    /// Notes how much waits; an unknown number discards the samples before it.
    pub fn note(&mut self, now: Millis, backlog: Option<u64>) {
        let Some(backlog) = backlog else {
            self.0.clear();
            return;
        };
        match self.0.back() {
            Some((last, _)) if *last > now => self.0.clear(),
            Some((last, _)) if now - last < EVERY => return,
            _ => {}
        }
        self.0.push_back((now, backlog));
        while self.0.front().is_some_and(|(first, _)| now - first > WINDOW) {
            self.0.pop_front();
        }
    }

    /// Where it is going.
    #[must_use]
    pub fn trend(&self) -> Option<Trend> {
        let ((from, before), (to, after)) = (*self.0.front()?, *self.0.back()?);
        if to - from < ENOUGH {
            return None;
        }
        let least = NOISE.max(before.max(after) / 10);
        Some(match after {
            _ if before.abs_diff(after) < least => Trend::Steady,
            after if after < before => Trend::Clearing,
            _ => Trend::Growing,
        })
    }

    /// In how long no more than `fits` waits, at the pace of the last minute and of the last five: the truth is around there.
    #[must_use]
    pub fn back_to_normal(&self, fits: f64) -> Option<Range> {
        if self.trend() != Some(Trend::Clearing) {
            return None;
        }
        let (to, after) = *self.0.back()?;
        let left = float(after) - fits;
        if left <= 0.0 {
            return None;
        }
        let pace = |since: Millis| {
            let (from, before) = *self.0.iter().rev().find(|(at, _)| to - at >= since)?;
            #[expect(clippy::cast_precision_loss, reason = "an estimate")]
            let pace = (float(before) - float(after)) / (to - from) as f64;
            (pace > 0.0).then_some(left / pace)
        };
        let (quick, slow) = (pace(ENOUGH)?, pace(to - self.0.front()?.0)?);
        let (from, to) = (quick.min(slow) * 0.8, quick.max(slow) * 1.3);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "positive, and not above a day"
        )]
        (to <= LONGEST).then(|| Range {
            from_s: super::words::down(from as Millis) as u64 / 1000,
            to_s: super::words::up(to as Millis) as u64 / 1000,
        })
    }
}

#[expect(clippy::cast_precision_loss, reason = "an estimate")]
const fn float(n: u64) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(samples: impl IntoIterator<Item = (Millis, u64)>) -> Backlog {
        let mut backlog = Backlog::default();
        for (at, n) in samples {
            backlog.note(at, Some(n));
        }
        backlog
    }

    #[test]
    fn a_backlog_clears_grows_or_stays_and_nothing_is_said_before_a_minute() {
        let after = |to: u64| of((0..=6).map(|i: Millis| (i * 10_000, 100 + to * i.unsigned_abs() / 6 - 50)));
        assert_eq!(after(100).trend(), Some(Trend::Growing));
        assert_eq!(after(4).trend(), Some(Trend::Steady));
        let clearing = of((0..=6).map(|i: Millis| (i * 10_000, 700 - 100 * i.unsigned_abs())));
        assert_eq!(clearing.trend(), Some(Trend::Clearing));
        assert_eq!(of([(0, 900), (50_000, 1)]).trend(), None);
        let mut gap = clearing;
        gap.note(70_000, None);
        assert_eq!(gap.trend(), None, "what came before a gap says nothing");
    }

    #[test]
    fn back_to_normal_is_a_range_around_the_pace_and_only_while_it_clears() {
        // 10 a second are done; 1,200 wait.
        let clearing = of((0..=30).map(|i: Millis| (i * 10_000, 4_200 - 100 * i.unsigned_abs())));
        let range = clearing.back_to_normal(0.0).unwrap();
        assert!(
            range.from_s <= 120 && range.to_s >= 120 && range.to_s <= 300,
            "{range:?}"
        );
        assert_eq!(
            clearing.back_to_normal(2_000.0),
            None,
            "what waits fits into the promise"
        );
        let steady = of((0..=30).map(|i| (i * 10_000, 1_000)));
        assert_eq!(steady.back_to_normal(0.0), None);
        let stuck = of((0..=30).map(|i| (i * 10_000, if i < 20 { 4_000 } else { 3_000 })));
        assert_eq!(stuck.back_to_normal(0.0), None, "it does not move any more");
    }
}
