//! Day by day, minute by minute: whether there was data, and whether the promise was missed.
//!
//! Both are bits that are only ever set. What two replicas saw, or one saw before and after a restart, is put together by
//! OR, in any order and as often as one likes; a minute in which one of them saw a wait beyond the promise is missed.

use crate::model::Millis;
use std::collections::{BTreeMap, BTreeSet};

/// Days that are shown and kept.
pub const KEPT: i32 = 90;

/// Minutes of a day.
const MINUTES: usize = 1_440;

/// Milliseconds of a minute, and of a day.
const MINUTE: Millis = 60_000;
const DAY: Millis = 86_400_000;

/// A bit for each minute of a day.
type Bits = [u64; MINUTES.div_ceil(64)];

/// One day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Day {
    known: Bits,
    missed: Bits,
}

fn set(bits: &mut Bits, minute: usize) -> bool {
    let (word, bit) = (minute / 64, 1 << (minute % 64));
    let news = bits[word] & bit == 0;
    bits[word] |= bit;
    news
}

fn or(bits: &mut Bits, more: &Bits) {
    for (word, more) in bits.iter_mut().zip(more) {
        *word |= more;
    }
}

fn count(bits: &Bits) -> u32 {
    bits.iter().map(|word| word.count_ones()).sum()
}

fn text(bits: &Bits) -> String {
    let digit = |minute: usize| {
        if bits[minute / 64] >> (minute % 64) & 1 == 1 {
            '1'
        } else {
            '0'
        }
    };
    (0..MINUTES).map(digit).collect()
}

fn bits(text: &str) -> Bits {
    let mut all = Bits::default();
    for (minute, _) in text.bytes().take(MINUTES).enumerate().filter(|(_, b)| *b == b'1') {
        set(&mut all, minute);
    }
    all
}

impl Day {
    /// Known and missed minutes as ones and zeros.
    #[must_use]
    pub fn written(&self) -> (String, String) {
        (text(&self.known), text(&self.missed))
    }

    /// The same read back.
    #[must_use]
    pub fn read(known: &str, missed: &str) -> Self {
        Self {
            known: bits(known),
            missed: bits(missed),
        }
    }

    /// Takes in what else is known of it.
    pub fn add(&mut self, more: &Self) {
        or(&mut self.known, &more.known);
        or(&mut self.missed, &more.missed);
    }

    /// Known and missed minutes.
    #[must_use]
    pub fn minutes(&self) -> (u32, u32) {
        (count(&self.known), count(&self.missed))
    }
}

/// The share of minutes that were within the promise, in percent with two decimals. Rounded down: only what was never missed is 100.
#[must_use]
pub fn share((known, missed): (u32, u32)) -> Option<f64> {
    let kept = u64::from(known.saturating_sub(missed));
    let hundredths = (kept * 10_000).checked_div(u64::from(known))?;
    Some(f64::from(u32::try_from(hundredths).unwrap_or(0)) / 100.0)
}

/// The day of a moment, counted from 1970 in UTC.
#[must_use]
pub fn day_of(at: Millis) -> i32 {
    i32::try_from(at.div_euclid(DAY)).unwrap_or(0)
}

/// The first moment of a day.
#[must_use]
pub fn begins(day: i32) -> Millis {
    Millis::from(day) * DAY
}

/// The days of one component.
#[derive(Clone, Debug, Default)]
pub struct Days {
    all: BTreeMap<i32, Day>,
    /// Days of which more is known than was written.
    unwritten: BTreeSet<i32>,
}

impl Days {
    /// At this moment there was fresh data, and the promise was kept or not.
    pub fn note(&mut self, at: Millis, kept: bool) {
        let number = day_of(at);
        let minute = usize::try_from(at.rem_euclid(DAY) / MINUTE).unwrap_or(0);
        let day = self.all.entry(number).or_default();
        let mut news = set(&mut day.known, minute);
        if !kept {
            news |= set(&mut day.missed, minute);
        }
        if news {
            self.unwritten.insert(number);
        }
        self.all.retain(|day, _| *day > number - KEPT);
    }

    /// Takes in what was written by another, or before.
    pub fn merge(&mut self, number: i32, day: &Day) {
        self.all.entry(number).or_default().add(day);
    }

    /// The days up to this one that are shown, oldest first.
    pub fn shown(&self, today: i32) -> impl Iterator<Item = (i32, &Day)> {
        let days = self.all.range(today - KEPT + 1..=today);
        days.map(|(number, day)| (*number, day))
    }

    /// What has to be written; from then on it counts as written.
    pub fn take_unwritten(&mut self) -> Vec<(i32, Day)> {
        let days = std::mem::take(&mut self.unwritten).into_iter();
        days.filter_map(|number| Some((number, *self.all.get(&number)?)))
            .collect()
    }

    /// It could not be written.
    pub fn not_written(&mut self, number: i32) {
        self.unwritten.insert(number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Millis = 20_000 * DAY + 720 * MINUTE;

    #[test]
    fn a_minute_in_which_anybody_saw_the_promise_missed_is_missed_however_often_it_is_put_together() {
        let (mut one, mut two) = (Days::default(), Days::default());
        for minute in 0..10 {
            one.note(NOON + minute * MINUTE, true);
        }
        two.note(NOON + 3 * MINUTE, true);
        two.note(NOON + 3 * MINUTE + 59_999, false);
        two.note(NOON + 20 * MINUTE, true);
        let all = two.take_unwritten();
        for _ in 0..3 {
            for (number, day) in &all {
                let (known, missed) = day.written();
                assert_eq!(Day::read(&known, &missed), *day);
                one.merge(*number, day);
            }
        }
        let (number, day) = one.shown(20_000).next().unwrap();
        assert_eq!((number, day.minutes()), (20_000, (11, 1)));
        assert_eq!(share(day.minutes()), Some(90.9));
    }

    #[test]
    fn only_what_was_never_missed_is_a_hundred_and_what_is_not_known_is_no_share() {
        assert_eq!(share((0, 0)), None);
        assert_eq!(share((129_600, 0)), Some(100.0));
        assert_eq!(share((129_600, 1)), Some(99.99));
        assert_eq!(share((1, 1)), Some(0.0));
    }

    #[test]
    fn what_is_written_is_written_once_and_again_after_a_failure_and_old_days_go() {
        let mut days = Days::default();
        days.note(NOON, true);
        assert_eq!(days.take_unwritten().len(), 1);
        days.note(NOON + 1_000, true);
        assert!(days.take_unwritten().is_empty(), "nothing new was learnt");
        days.not_written(20_000);
        assert_eq!(days.take_unwritten().len(), 1);
        days.note(NOON + Millis::from(KEPT) * DAY, true);
        assert_eq!(days.shown(20_000 + KEPT).count(), 1, "90 days later");
        assert_eq!(days.all.len(), 1);
    }
}
