//! The distance that a reader leaves between two reads.

use std::time::{Duration, Instant};

/// Reads that may follow one another at once after a pause: the steps of a job that is done in a moment.
const BURST: u32 = 4;

/// Distances between the reads of one reader.
#[derive(Debug)]
pub(in super::super) struct Spacing {
    /// When the next read would be due had all kept their distance.
    next: Instant,
}

impl Spacing {
    /// No read yet.
    pub(in super::super) fn new() -> Self {
        Self { next: Instant::now() }
    }

    /// How long to rest after a read that brought something: until `gap` after the one before it, but not for the first few
    /// after a pause.
    pub(in super::super) fn rest(&mut self, now: Instant, gap: Duration) -> Duration {
        let earliest = now.checked_sub(gap * BURST).unwrap_or(now);
        self.next = self.next.max(earliest) + gap;
        self.next.saturating_duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_after_a_pause_waits_for_nothing_and_dense_ones_keep_their_distance() {
        let ms = Duration::from_millis;
        let (began, gap) = (Instant::now(), ms(8));
        let mut spacing = Spacing { next: began };
        let mut now = began + ms(1_000);
        let mut rests = vec![];
        for _ in 0..8 {
            let rest = spacing.rest(now, gap);
            rests.push(rest);
            now += rest + ms(1);
        }
        assert_eq!(rests[..4], [ms(0); 4]);
        assert!(rests[5..].iter().all(|rest| *rest == ms(7)), "{rests:?}");
        assert_eq!(spacing.rest(now + ms(1_000), gap), ms(0));
    }
}
