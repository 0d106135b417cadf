//! Open files: how many the system allows, and what that leaves for event streams.
//!
//! Every stream holds a socket. A server that runs out of them cannot accept anybody, so streams are
//! refused (with 503 and a time to come back) while there is still room for pages, the API and the
//! stores.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Of a hundred files, how many may be streams.
const SHARE: u64 = 80;

/// The limit in force after it has been raised as far as the system allows; `None` for no limit.
#[must_use]
pub fn raise() -> Option<u64> {
    let now = getrlimit(Resource::Nofile);
    let mut wanted = now;
    wanted.current = now.maximum;
    if wanted.current != now.current
        && let Err(error) = setrlimit(Resource::Nofile, wanted)
    {
        tracing::warn!(%error, "the limit of open files cannot be raised");
    }
    getrlimit(Resource::Nofile).current
}

/// How many streams may be open at once, of the `wanted` that the configuration asks for.
#[must_use]
pub fn streams(wanted: usize, files: Option<u64>) -> usize {
    let room = files.map_or(u64::MAX, |files| files.saturating_mul(SHARE) / 100);
    wanted.min(usize::try_from(room).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_leave_room_for_everything_else() {
        assert_eq!(streams(10_000, None), 10_000);
        assert_eq!(streams(10_000, Some(20_000)), 10_000);
        assert_eq!(streams(10_000, Some(256)), 204);
        assert_eq!(streams(2, Some(256)), 2);
    }
}
