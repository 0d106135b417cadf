//! Time, samples and their percentiles.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// When the benchmark began. Microseconds since then travel in payloads, so that the receiver knows how old one is:
/// writer and reader are one process and share this clock.
static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Microseconds since the benchmark began.
pub(crate) fn micros() -> u64 {
    u64::try_from(BEGAN.elapsed().as_micros()).unwrap_or(u64::MAX)
}

/// Durations of one kind, in microseconds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples(Vec<u64>);

impl Samples {
    /// Adds one.
    pub(crate) fn add(&mut self, micros: u64) {
        self.0.push(micros);
    }

    /// Adds the time since `began`.
    pub(crate) fn add_since(&mut self, began: u64) {
        self.0.push(micros().saturating_sub(began));
    }

    /// Adds all samples of another.
    pub(crate) fn merge(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The value that this many of a thousand samples do not exceed; `None` without samples.
    pub(crate) fn per_mille(&self, share: usize) -> Option<Duration> {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let last = sorted.len().checked_sub(1)?;
        sorted
            .get((sorted.len() * share / 1000).min(last))
            .map(|us| Duration::from_micros(*us))
    }

    /// Half of the samples are not longer than this.
    pub(crate) fn p50(&self) -> Option<Duration> {
        self.per_mille(500)
    }

    /// 95 of 100 samples are not longer than this.
    pub(crate) fn p95(&self) -> Option<Duration> {
        self.per_mille(950)
    }

    /// 99 of 100 samples are not longer than this.
    pub(crate) fn p99(&self) -> Option<Duration> {
        self.per_mille(990)
    }

    /// Median and 99th percentile, written for the table.
    pub(crate) fn told(&self) -> String {
        match (self.p50(), self.p99()) {
            (Some(p50), Some(p99)) => format!("{} / {}", ms(p50), ms(p99)),
            _ => "no samples".into(),
        }
    }

    /// Whether both percentiles are known and within these bounds, in milliseconds.
    pub(crate) fn within(&self, p50: u64, p99: u64) -> bool {
        let holds = |value: Option<Duration>, bound| value.is_some_and(|value| value <= Duration::from_millis(bound));
        holds(self.p50(), p50) && holds(self.p99(), p99)
    }
}

/// A duration in milliseconds, with as many digits as are significant.
pub(crate) fn ms(duration: Duration) -> String {
    let ms = duration.as_secs_f64() * 1000.0;
    match ms {
        ms if ms < 1.0 => format!("{ms:.2} ms"),
        ms if ms < 100.0 => format!("{ms:.1} ms"),
        ms => format!("{ms:.0} ms"),
    }
}

/// A count as a float, for ratios. Counts here stay far below 2^53.
#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53")]
pub(crate) fn float(count: u64) -> f64 {
    count as f64
}
