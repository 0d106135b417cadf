//! Open files: how many the system allows, and how they are divided.
//!
//! Every connection is an open file. A server that runs out of them accepts no connection, reaches no store and writes
//! no audit log. So both listeners are limited to fewer connections than there are files, and event streams to fewer
//! than the board's connections: they are refused (with 503 and a time to come back) while there is still room for
//! pages and the API.

use super::config::Config;
use rustix::process::{Resource, getrlimit, setrlimit};

/// The share of the files that streams may take, in percent.
const SHARE: u64 = 80;

/// Files of the process itself: logs, the audit log, operations, the runtime.
const OWN: u64 = 24;

/// Files of a store, and of the archive, which has two pools of connections.
const STORE: u64 = 8;
const ARCHIVE: u64 = 16;

/// Connections beside event streams, and to the status page's own listener, if there are files enough.
const PAGES: usize = 2_000;
const VISITORS: usize = 1_000;

/// Connections at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shares {
    /// The board, its event streams included.
    pub board: usize,
    /// Event streams.
    pub streams: usize,
    /// The status page's own listener.
    pub status: usize,
}

impl Shares {
    /// Divides the files (`None` for no limit) by what the configuration needs and asks for.
    #[must_use]
    pub fn of(files: Option<u64>, config: &Config) -> Self {
        let stores = u64::try_from(config.stores.len()).unwrap_or(u64::MAX);
        let archive = if config.archive.is_some() { ARCHIVE } else { 0 };
        let alone = config.status.as_ref().is_some_and(|status| status.listen.is_some());
        Self::share(files, stores.saturating_mul(STORE) + archive, alone, config.max_streams)
    }

    fn share(files: Option<u64>, stores: u64, alone: bool, wanted: usize) -> Self {
        let size = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        let files = files.unwrap_or(u64::MAX);
        // A quarter at least, however many stores there are.
        let left = size(files.saturating_sub(OWN.saturating_add(stores)).max(files / 4));
        let status = if alone { VISITORS.min(left / 8) } else { 0 };
        let board = (left - status).min(wanted.saturating_add(PAGES));
        let streams = wanted.min(size(files.saturating_mul(SHARE) / 100));
        Self {
            board,
            streams: streams.min(board - board / 16),
            status,
        }
    }
}

/// Raises the limit as far as the system allows.
pub fn raise() {
    let now = getrlimit(Resource::Nofile);
    let mut wanted = now;
    wanted.current = now.maximum;
    if wanted.current != now.current
        && let Err(error) = setrlimit(Resource::Nofile, wanted)
    {
        tracing::warn!(%error, "the limit of open files cannot be raised");
    }
}

/// The limit in force; `None` for no limit.
#[must_use]
pub fn files() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_files_for_everything_else() {
        let of = |files, stores, alone, wanted| {
            let Shares { board, streams, status } = Shares::share(files, stores, alone, wanted);
            (board, streams, status)
        };
        assert_eq!(of(None, 8, true, 10_000), (12_000, 10_000, 1_000));
        assert_eq!(of(Some(20_000), 8, false, 10_000), (12_000, 10_000, 0));
        assert_eq!(of(Some(256), 8, false, 10_000), (224, 204, 0));
        assert_eq!(of(Some(256), 8, false, 2), (224, 2, 0));
        assert_eq!(of(Some(512), 8, false, 10_000), (480, 409, 0));
        assert_eq!(of(Some(512), 8, true, 10_000), (420, 394, 60));
        assert_eq!(of(Some(256), 200, false, 10_000), (64, 60, 0), "stores come first");
        for files in 1..2_000 {
            let Shares { board, streams, status } = Shares::share(Some(files), 8, true, 10_000);
            let taken = u64::try_from(board + status).unwrap();
            assert!(
                taken <= files && streams <= board,
                "{files}: {board} {status} {streams}"
            );
        }
    }
}
