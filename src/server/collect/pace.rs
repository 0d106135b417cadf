//! How often a store is asked: less when it answers slowly, less without a viewer, and after repeated failure not for a
//! while.
//!
//! - The next poll begins no earlier than the interval, and four times the last poll's duration, after
//!   it: Drover takes at most a fifth of one connection's time.
//! - The interval is 1, 2, 5 or 15 seconds. It grows by a step with each `PING` before which even the
//!   quickest answer was slow, and shrinks by one after five good ones in a row.
//! - Five failed polls in a row while the connection works open a breaker: no poll for 2 seconds, and
//!   twice as long each time, up to 30.
//! - Without a viewer, polls are for verdicts and rates alone.

use std::time::{Duration, Instant};

/// The intervals.
const STEPS: [Duration; 4] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(15),
];

/// An answer slower than the n-th asks for step n + 1.
const SLOW: [Duration; 3] = [
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(400),
];

/// Good ones in a row before the interval shrinks.
const GOOD: u32 = 5;

/// The interval without a viewer.
const UNWATCHED: Duration = Duration::from_secs(5);

/// Failures in a row that open the breaker.
const FAILURES: u32 = 5;

/// How long it stays open first.
const OPEN_FIRST: Duration = Duration::from_secs(2);

/// How long at most.
const OPEN_MAX: Duration = Duration::from_secs(30);

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Pace {
    step: usize,
    good: u32,
    /// The quickest answer that was noted last.
    latency: Duration,
    last: Option<(Instant, Duration)>,
    failures: u32,
    open: Option<(Instant, Duration)>,
}

impl Pace {
    /// Takes in the quickest answer between two `PING`s.
    pub(super) fn note(&mut self, quickest: Duration) {
        self.latency = quickest;
        let wanted = SLOW.iter().take_while(|limit| quickest >= **limit).count();
        if wanted < self.step {
            self.good += 1;
            if self.good >= GOOD {
                self.step -= 1;
                self.good = 0;
            }
            return;
        }
        self.good = 0;
        if wanted > self.step {
            self.step += 1;
        }
    }

    /// The shortest time from the end of a poll to the next.
    pub(super) fn interval(&self, watched: bool) -> Duration {
        let step = STEPS[self.step];
        if watched { step } else { step.max(UNWATCHED) }
    }

    /// Whether the next poll may begin.
    pub(super) fn is_due(&self, now: Instant, watched: bool) -> bool {
        if self.open.is_some_and(|(until, _)| now < until) {
            return false;
        }
        self.last.is_none_or(|(ended, took)| {
            // A tenth of a second of slack, or an interval of one second would often become two.
            now + Duration::from_millis(100) >= ended + self.interval(watched).max(took * 4)
        })
    }

    /// Takes in a poll that ended at `now`. `jitter` is between 0 and 1.
    pub(super) fn polled(&mut self, now: Instant, took: Duration, good: bool, jitter: f64) {
        self.last = Some((now, took));
        if good {
            self.failures = 0;
            self.open = None;
            return;
        }
        self.failures += 1;
        if self.failures >= FAILURES {
            let pause = self.open.map_or(OPEN_FIRST, |(_, pause)| (pause * 2).min(OPEN_MAX));
            self.open = Some((now + pause.mul_f64(0.75 + jitter / 2.0), pause));
        }
    }

    /// Forgets the past: the store has come back and is asked at once.
    pub(super) fn begin_anew(&mut self) {
        self.last = None;
        self.failures = 0;
        self.open = None;
    }

    /// While it is asked less often because it is slow: how quickly it answers, and how often it is
    /// asked.
    pub(super) fn slowed(&self) -> Option<(Duration, Duration)> {
        (self.step > 0).then(|| (self.latency, STEPS[self.step]))
    }

    /// Whether it answers slowly now, rather than having done so a moment ago.
    pub(super) fn is_slow(&self) -> bool {
        self.latency >= SLOW[0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn a_slow_store_is_asked_less_step_by_step_and_more_after_five_good_answers_each() {
        let mut pace = Pace::default();
        let mut intervals = vec![];
        for _ in 0..4 {
            pace.note(ms(500));
            intervals.push(pace.interval(true).as_secs());
        }
        assert_eq!(intervals, [2, 5, 15, 15]);
        assert_eq!(pace.slowed(), Some((ms(500), Duration::from_secs(15))));
        for _ in 0..4 {
            pace.note(ms(1));
        }
        pace.note(ms(500));
        assert_eq!(pace.interval(true).as_secs(), 15, "four are not five");
        for _ in 0..15 {
            pace.note(ms(1));
        }
        assert_eq!(pace.interval(true).as_secs(), 1);
        assert_eq!(pace.slowed(), None);
    }

    #[test]
    fn a_poll_is_followed_by_four_times_its_own_length() {
        let mut pace = Pace::default();
        let ended = Instant::now();
        pace.polled(ended, ms(10), true, 0.5);
        assert!(!pace.is_due(ended + ms(800), true));
        assert!(pace.is_due(ended + ms(950), true));
        assert!(!pace.is_due(ended + ms(950), false), "nobody watches");
        pace.polled(ended, ms(700), true, 0.5);
        assert!(!pace.is_due(ended + ms(2_600), true));
        assert!(pace.is_due(ended + ms(2_800), true));
    }

    #[test]
    fn five_failures_open_the_breaker_for_longer_each_time_and_one_success_closes_it() {
        let mut pace = Pace::default();
        let mut now = Instant::now();
        let mut pauses = vec![];
        for _ in 0..11 {
            pace.polled(now, ms(1), false, 0.5);
            let from = now;
            while !pace.is_due(now, true) {
                now += ms(100);
            }
            pauses.push((now - from).as_secs_f64().round());
        }
        assert_eq!(pauses, [1.0, 1.0, 1.0, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]);
        pace.polled(now, ms(1), true, 0.5);
        assert!(pace.is_due(now + ms(950), true));
    }
}
