//! How often somebody may be wrong.
//!
//! Failures are counted by where they come from: an IPv4 address, the /64 of an IPv6 address. What is remembered is
//! bounded, whatever addresses a request makes up: the longest unseen is forgotten first (S-11).

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Failures of one place within [`WINDOW`] after which nothing more is tried.
pub const FAILURES: usize = 10;

/// How long a failure counts.
pub const WINDOW: Duration = Duration::from_secs(300);

/// Places that are remembered.
const PLACES: usize = 1_000;

/// See the module.
#[derive(Debug)]
pub struct Limiter {
    failures: usize,
    places: Mutex<HashMap<String, Vec<Instant>>>,
}

impl Limiter {
    /// One that lets so many failures pass.
    #[must_use]
    pub fn after(failures: usize) -> Self {
        Self {
            failures,
            places: Mutex::default(),
        }
    }

    /// After how many seconds it may be tried again; `None` if it may be now.
    #[must_use]
    pub fn wait(&self, place: &str) -> Option<u64> {
        let places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let failures = places.get(place)?;
        let recent: Vec<_> = failures.iter().filter(|at| at.elapsed() < WINDOW).collect();
        let first = recent
            .len()
            .checked_sub(self.failures)
            .and_then(|over| recent.get(over))?;
        Some((WINDOW.saturating_sub(first.elapsed())).as_secs() + 1)
    }

    /// Somebody was wrong.
    pub fn failed(&self, place: &str) {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if !places.contains_key(place) && places.len() >= PLACES {
            let oldest = places.iter().min_by_key(|(_, failures)| failures.last().copied());
            if let Some(oldest) = oldest.map(|(place, _)| place.clone()) {
                places.remove(&oldest);
            }
        }
        let failures = places.entry(place.to_owned()).or_default();
        failures.retain(|at| at.elapsed() < WINDOW);
        if failures.len() < self.failures {
            failures.push(Instant::now());
        }
    }

    /// Somebody was right: what was before is forgiven.
    pub fn succeeded(&self, place: &str) {
        self.places.lock().unwrap_or_else(PoisonError::into_inner).remove(place);
    }
}

/// Where a request comes from, as far as failures are counted.
#[must_use]
pub fn place(address: Option<IpAddr>) -> String {
    match address.map(|address| address.to_canonical()) {
        Some(IpAddr::V6(v6)) => {
            let [a, b, c, d, ..] = v6.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
        Some(v4) => v4.to_string(),
        None => "socket".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // S-11
    #[test]
    fn ten_failures_are_enough_and_what_is_remembered_is_bounded() {
        let limiter = Limiter::after(FAILURES);
        for _ in 0..FAILURES {
            assert_eq!(limiter.wait("a"), None);
            limiter.failed("a");
        }
        let wait = limiter.wait("a").unwrap();
        assert!((1..=WINDOW.as_secs() + 1).contains(&wait), "{wait}");
        assert_eq!(limiter.wait("b"), None);
        for n in 0..3 * PLACES {
            limiter.failed(&n.to_string());
        }
        assert!(limiter.places.lock().unwrap().len() <= PLACES);
        limiter.succeeded("a");
        assert_eq!(limiter.wait("a"), None);
    }

    #[test]
    fn an_ipv6_address_counts_as_its_network() {
        let of = |text: &str| place(Some(text.parse().unwrap()));
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:10.0.0.1"), "10.0.0.1");
    }
}
