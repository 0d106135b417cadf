//! The distance of two reads of streams.

use super::slots::Streams;
use std::time::Duration;

/// Distance of two reads while events are dense. A larger one makes changes later, a smaller one makes them cost
/// more; both are measured by the benchmark of freshness.
const GAP: Duration = Duration::from_millis(8);

/// The distance grows by this much for every stream, because a read costs the server time for each:
/// eighty streams are read every 8 ms, five hundred that all speak every 50 ms.
const GAP_PER_HOT: Duration = Duration::from_micros(100);

/// The same for quiet streams, which speak in turn: those that go on speaking are not long among them. Five hundred are read
/// every 8 ms, ten thousand every 150 ms.
const GAP_PER_COLD: Duration = Duration::from_micros(15);

/// The distance of two reads of these streams while events are dense.
pub(super) fn gap_of(streams: &Streams, hot: bool) -> Duration {
    let per_stream = if hot { GAP_PER_HOT } else { GAP_PER_COLD };
    GAP.max(per_stream * u32::try_from(streams.0.len()).unwrap_or(u32::MAX))
}
