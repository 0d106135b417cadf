//! What the tests share.

pub(crate) mod app;
pub(crate) mod client;
pub(crate) mod form;
pub(crate) mod nginx;
pub(crate) mod oracle;
pub(crate) mod pgbouncer;
pub(crate) mod postgres;
pub(crate) mod process;
pub(crate) mod proxy;
pub(crate) mod redis;
pub(crate) mod refusals;
pub(crate) mod sentinel;

use std::time::{Duration, Instant};

/// Waits until `check` returns a value, and returns that. Prefer it to a sleep for a fixed time.
///
/// # Panics
///
/// After `limit`, naming what it waited for.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    limit: Duration,
    mut check: impl FnMut() -> F,
) -> T {
    let began = Instant::now();
    loop {
        if let Some(value) = check().await {
            return value;
        }
        assert!(began.elapsed() < limit, "waited {limit:?} in vain for: {what}");
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

/// The fields of a job's record of every generation, and one that no generation knows.
pub(crate) const RECORD: [&str; 24] = [
    "name",
    "data",
    "opts",
    "timestamp",
    "delay",
    "priority",
    "processedOn",
    "finishedOn",
    "progress",
    "returnvalue",
    "failedReason",
    "stacktrace",
    "atm",
    "attemptsMade",
    "ats",
    "stc",
    "stalledCounter",
    "pb",
    "rjk",
    "parentKey",
    "parent",
    "deid",
    "defa",
    "made-up",
];

/// How long a test waits for what it expects before it fails. Generous, because only a failure takes that long: a limit
/// near the usual time makes a test that fails on a loaded machine.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// The same for values that appear only after several polls of the store, or a few slices of the history of ten seconds
/// each.
pub(crate) const LATER: Duration = Duration::from_secs(45);

/// A free port below the range for outgoing connections, one of which could take it before its use.
pub(crate) fn free_port() -> u16 {
    let free = |port: &u16| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok();
    std::iter::repeat_with(|| rand::random_range(10_000..32_000))
        .find(free)
        .unwrap()
}

/// Milliseconds since 1970, by this machine's clock.
pub(crate) fn now_ms() -> u64 {
    let now = std::time::SystemTime::now();
    u64::try_from(now.duration_since(std::time::UNIX_EPOCH).unwrap().as_millis()).unwrap()
}
