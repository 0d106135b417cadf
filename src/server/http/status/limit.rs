//! How often one client may ask in a minute. The memory it takes does not depend on how many there are.

use axum::http::HeaderMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Places in which requests are counted: half a megabyte. Two clients that share one share what they have; which ones do is
/// different in every process, so nobody can choose to take somebody else's.
const PLACES: usize = 65_536;

/// See the module.
#[derive(Debug)]
pub(super) struct Limit {
    /// Zero for any number.
    per_minute: u32,
    behind_proxy: bool,
    hash: RandomState,
    began: Instant,
    /// The minute in the upper half, the requests of it in the lower.
    places: Box<[AtomicU64]>,
}

impl Limit {
    pub(super) fn new(per_minute: u32, behind_proxy: bool) -> Self {
        let places = if per_minute == 0 { 0 } else { PLACES };
        Self {
            per_minute,
            behind_proxy,
            hash: RandomState::new(),
            began: Instant::now(),
            places: (0..places).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// Counts a request.
    ///
    /// # Errors
    ///
    /// In how many seconds the client may ask again.
    pub(super) fn admits(&self, peer: IpAddr, headers: &HeaderMap) -> Result<(), u64> {
        if self.per_minute == 0 {
            return Ok(());
        }
        let told = last_forwarded(headers).filter(|_| self.behind_proxy);
        let client = told.and_then(|client| client.parse().ok()).unwrap_or(peer);
        self.count(client, self.began.elapsed().as_secs())
    }

    fn count(&self, client: IpAddr, second: u64) -> Result<(), u64> {
        // A household has a network of its own, and can take any address in it.
        let network = match client.to_canonical() {
            IpAddr::V4(address) => u64::from(address.to_bits()),
            IpAddr::V6(address) => u64::try_from(address.to_bits() >> 64).unwrap_or(0) ^ 1 << 63,
        };
        let hash = self.hash.hash_one(network);
        let place = usize::try_from(hash % PLACES as u64).unwrap_or(0);
        let minute = second / 60 + 1;
        let Some(place) = self.places.get(place) else {
            return Ok(());
        };
        let counted = place.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |before| {
            let requests = if before >> 32 == minute {
                before & 0xffff_ffff
            } else {
                0
            };
            (requests < u64::from(self.per_minute)).then_some(minute << 32 | (requests + 1))
        });
        counted.map(|_| ()).map_err(|_| 60 - second % 60)
    }
}

/// The client, as the proxy right in front of us says: what stands before the last address was written by whoever asks.
fn last_forwarded(headers: &HeaderMap) -> Option<&str> {
    let last = headers.get_all("x-forwarded-for").iter().next_back()?.to_str().ok()?;
    last.rsplit(',').next().map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_has_its_own_number_of_requests_in_a_minute() {
        let limit = Limit::new(3, false);
        let (one, two): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        for _ in 0..3 {
            assert_eq!(limit.count(one, 10), Ok(()));
        }
        assert_eq!(limit.count(one, 10), Err(50));
        assert_eq!(
            limit.count("::ffff:192.0.2.1".parse().unwrap(), 10),
            Err(50),
            "the same, written otherwise"
        );
        assert_eq!(limit.count(two, 10), Ok(()));
        assert_eq!(limit.count(one, 60), Ok(()), "the next minute");
        let net = |n: u32| format!("2001:db8::{n:x}").parse().unwrap();
        let admitted = (0..50).filter(|n| limit.count(net(*n), 10).is_ok()).count();
        assert_eq!(admitted, 3, "one network is one client");
    }

    #[test]
    fn only_a_proxy_that_is_meant_to_be_there_says_who_asks_and_zero_is_any_number() {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", "192.0.2.1, 192.0.2.7".parse().unwrap());
        let peer = "127.0.0.1".parse().unwrap();
        let (trusting, plain) = (Limit::new(1, true), Limit::new(1, false));
        assert!(trusting.admits(peer, &headers).is_ok() && plain.admits(peer, &headers).is_ok());
        headers.insert("x-forwarded-for", "192.0.2.1, 192.0.2.8".parse().unwrap());
        assert!(trusting.admits(peer, &headers).is_ok(), "another client");
        assert!(plain.admits(peer, &headers).is_err(), "whatever it says");
        let any = Limit::new(0, false);
        assert!((0..10_000).all(|_| any.admits(peer, &headers).is_ok()));
    }
}
