//! The rate limiter of wrong passwords, wrong tokens and requests for the status page.
//!
//! The `governor` crate does the arithmetic: a burst, and one more in each interval. Its own store of keys grows without bound, so
//! the state is kept here in a fixed number of slots: memory does not grow with the addresses and names that requests make up
//! (S-11). Keys in the same slot share a limit. The hash is seeded for each process, so that an attacker cannot pick keys in the
//! slot of another client.

use governor::clock::{Clock, MonotonicClock};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed, StateStore};
use governor::{NotUntil, Quota, RateLimiter};
use std::convert::Infallible;
use std::fmt;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Slots of one limiter: half a megabyte, allocated with the first use.
const SLOTS: usize = 65_536;

/// See the module.
pub struct Limiter<C: Clock = MonotonicClock> {
    spend: RateLimiter<usize, Slots, C, NoOpMiddleware<C::Instant>>,
    look: RateLimiter<usize, Look, C, NoOpMiddleware<C::Instant>>,
    slots: Slots,
    hash: RandomState,
    clock: C,
}

impl Limiter {
    /// Permits `burst` at once, and one more in each interval.
    #[must_use]
    pub fn new(burst: u32, interval: Duration) -> Self {
        Self::with(burst, interval, MonotonicClock)
    }
}

impl<C: Clock + Clone> Limiter<C> {
    fn with(burst: u32, interval: Duration, clock: C) -> Self {
        let burst = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
        let quota =
            Quota::with_period(interval).map_or_else(|| Quota::per_second(burst), |quota| quota.allow_burst(burst));
        let slots = Slots::default();
        Self {
            spend: RateLimiter::new(quota, slots.clone(), clock.clone()),
            look: RateLimiter::new(quota, Look(slots.clone()), clock.clone()),
            slots,
            hash: RandomState::new(),
            clock,
        }
    }

    /// Counts one.
    ///
    /// # Errors
    ///
    /// If none is left: the seconds until the next one.
    pub fn spend(&self, key: &(impl Hash + ?Sized)) -> Result<(), u64> {
        self.spend.check_key(&self.slot(key)).map_err(|not| self.seconds(&not))
    }

    /// The seconds until one is permitted; `None` if one is permitted now. Counts nothing.
    #[must_use]
    pub fn wait(&self, key: &(impl Hash + ?Sized)) -> Option<u64> {
        let looked = self.look.check_key(&self.slot(key));
        looked.err().map(|not| self.seconds(&not))
    }

    /// Resets the count.
    pub fn forget(&self, key: &(impl Hash + ?Sized)) {
        let fresh = |_: Option<Nanos>| Ok::<_, Infallible>(((), Nanos::new(0)));
        let Ok(()) = self.slots.measure_and_replace(&self.slot(key), fresh);
    }

    fn slot(&self, key: &(impl Hash + ?Sized)) -> usize {
        usize::try_from(self.hash.hash_one(key) % SLOTS as u64).unwrap_or(0)
    }

    fn seconds(&self, not: &NotUntil<C::Instant>) -> u64 {
        not.wait_time_from(self.clock.now()).as_secs() + 1
    }
}

impl<C: Clock> fmt::Debug for Limiter<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limiter").finish_non_exhaustive()
    }
}

/// The state of all slots.
#[derive(Clone, Default)]
struct Slots(Arc<OnceLock<Box<[InMemoryState]>>>);

impl Slots {
    fn at(&self, slot: usize) -> &InMemoryState {
        let all = self
            .0
            .get_or_init(|| (0..SLOTS).map(|_| InMemoryState::default()).collect());
        &all[slot % SLOTS]
    }
}

impl StateStore for Slots {
    type Key = usize;

    fn measure_and_replace<T, F, E>(&self, slot: &usize, next: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        self.at(*slot).measure_and_replace(&NotKeyed::NonKey, next)
    }
}

/// The same slots, which it leaves unchanged.
struct Look(Slots);

impl StateStore for Look {
    type Key = usize;

    fn measure_and_replace<T, F, E>(&self, slot: &usize, next: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        // A slot is replaced if the closure succeeds: this one returns its answer as an error.
        let answer = |state| Err::<(Infallible, Nanos), _>(next(state).map(|(answer, _)| answer));
        match self.0.measure_and_replace(slot, answer) {
            Err(answer) => answer,
            Ok(never) => match never {},
        }
    }
}

/// The network of an address: an IPv4 address itself, the /64 of an IPv6 address, all of which belongs to one site.
#[must_use]
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use governor::clock::FakeRelativeClock;

    fn limiter(burst: u32) -> (Limiter<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        // The state counts from the start of the clock, and 0 is no state.
        clock.advance(Duration::from_secs(1));
        (Limiter::with(burst, Duration::from_secs(30), clock.clone()), clock)
    }

    // S-11
    #[test]
    fn so_many_are_permitted_at_once_and_one_more_after_each_interval() {
        let (limiter, clock) = limiter(10);
        for n in 0..10 {
            assert_eq!((limiter.wait("a"), limiter.spend("a")), (None, Ok(())), "{n}");
        }
        assert_eq!((limiter.wait("a"), limiter.spend("a")), (Some(31), Err(31)));
        assert_eq!(limiter.wait("b"), None, "another key has its own count");
        clock.advance(Duration::from_secs(30));
        assert_eq!(
            (limiter.wait("a"), limiter.wait("a")),
            (None, None),
            "looking counts nothing"
        );
        assert_eq!((limiter.spend("a"), limiter.wait("a")), (Ok(()), Some(31)));
        limiter.forget("a");
        assert!((0..10).all(|_| limiter.spend("a").is_ok()) && limiter.spend("a").is_err());
        clock.advance(Duration::from_secs(300));
        assert!((0..10).all(|_| limiter.spend("a").is_ok()) && limiter.spend("a").is_err());
    }

    // S-11
    #[test]
    fn what_is_remembered_is_bounded_whatever_addresses_are_made_up() {
        let (limiter, _) = limiter(1);
        assert!(limiter.slots.0.get().is_none(), "no memory before the first use");
        assert_eq!(limiter.spend("first"), Ok(()));
        for n in 0..3 * SLOTS {
            let _ = limiter.spend(&n);
        }
        assert_eq!(limiter.slots.0.get().unwrap().len(), SLOTS);
        assert!(limiter.wait("first").is_some(), "other keys do not reset it");
    }

    #[test]
    fn an_address_counts_as_its_network() {
        let of = |text: &str| network(text.parse().unwrap()).to_string();
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:10.0.0.1"), "10.0.0.1");
    }
}
