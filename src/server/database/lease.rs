//! The one kind of lease. Work that one replica at a time may do, such as running an operation or a policy, is done by
//! the lease holder, which renews its lease.
//!
//! A row that can be leased has the columns `owner`, `fence` and `expires_at`. Of all replicas that try to take it, one
//! gets it, with a new fence. A write of the holder names owner and fence, and changes nothing once another replica has
//! the lease. A holder that was killed renews nothing, and after [`LEASE`] another replica takes over. Every moment in
//! the table is by the clock of the Postgres, so that replicas whose clocks differ agree; the holder counts by its own
//! clock, from before it asked, and so knows no later than the Postgres that its lease may have run out.

use super::postgres::SharedPostgres;
use crate::server::adapter::Trouble;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// How long a lease lasts that its holder does not renew.
pub const LEASE: Duration = Duration::from_secs(15);

/// How often it is renewed: three may fail in a row.
pub const RENEW: Duration = Duration::from_secs(4);

/// Nothing is begun so shortly before it runs out.
const MARGIN: Duration = Duration::from_secs(3);

/// A table whose rows are leased.
#[derive(Clone, Copy, Debug)]
pub(in crate::server) struct Leased {
    /// Its name.
    pub(in crate::server) table: &'static str,
    /// The column that names a row.
    pub(in crate::server) key: &'static str,
    /// What else changes when the lease is taken, and what else must be so: each begins with its comma or `AND`. `$4` is a number
    /// that the caller gives, or null.
    pub(in crate::server) also: (&'static str, &'static str),
}

/// A lease that this process holds, or held.
#[derive(Debug)]
pub struct Lease {
    owner: String,
    fence: i64,
    /// Until when no other replica can have taken it.
    until: Mutex<Instant>,
    lost: CancellationToken,
}

impl Lease {
    /// A lease that this process asked for at this moment.
    pub(in crate::server) fn new(owner: &str, fence: i64, asked: Instant) -> Self {
        Self {
            owner: owner.to_owned(),
            fence,
            until: Mutex::new(asked + LEASE),
            lost: CancellationToken::new(),
        }
    }

    /// The process that holds it.
    pub(in crate::server) fn owner(&self) -> &str {
        &self.owner
    }

    /// Its number: each new owner has a higher one.
    pub(in crate::server) const fn fence(&self) -> i64 {
        self.fence
    }

    /// When it was last asked for or renewed.
    pub(in crate::server) fn since(&self) -> Instant {
        self.until().checked_sub(LEASE).unwrap_or_else(Instant::now)
    }

    /// Notes that a write that was sent at this moment renewed it.
    pub(in crate::server) fn renewed(&self, asked: Instant) {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner) = asked + LEASE;
    }

    /// Notes that this process no longer holds it.
    pub(in crate::server) fn lose(&self) {
        self.lost.cancel();
    }

    /// Whether this process is known to hold it no longer.
    pub(in crate::server) fn is_lost(&self) -> bool {
        self.lost.is_cancelled()
    }

    /// Returns once this process is known to hold it no longer.
    pub(in crate::server) async fn lost(&self) {
        self.lost.cancelled().await;
    }

    fn until(&self) -> Instant {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is too late to begin anything under it.
    pub(in crate::server) fn is_late(&self) -> bool {
        Instant::now() + MARGIN >= self.until()
    }

    /// Whether it may have run out.
    pub(in crate::server) fn may_be_over(&self) -> bool {
        Instant::now() >= self.until()
    }
}

impl SharedPostgres {
    /// Takes the lease of a row that no other owner holds; `None` if one does, or there is no such row.
    pub(in crate::server) async fn take(
        &self,
        of: Leased,
        key: &str,
        owner: &str,
        number: Option<i64>,
    ) -> Result<Option<Lease>, Trouble> {
        let Leased {
            table,
            key: column,
            also: (set, only),
        } = of;
        let sql = format!(
            "UPDATE {table} SET owner = $2, fence = fence + 1, expires_at = clock_timestamp() + $3 * interval '1 second'{set} \
             WHERE {column} = $1 AND (owner IS NULL OR owner = $2 OR expires_at <= clock_timestamp()) \
             AND ($4::bigint IS NULL OR true) {only} RETURNING fence"
        );
        // `$4` has a type also where `also` does not use it.
        let pool = self.database().writes();
        let asked = Instant::now();
        let query = sqlx::query_scalar(&sql)
            .bind(key)
            .bind(owner)
            .bind(LEASE.as_secs_f64())
            .bind(number);
        let fence: Option<i64> = self.database().run(query.fetch_optional(&pool)).await?;
        Ok(fence.map(|fence| Lease::new(owner, fence, asked)))
    }

    /// Renews a lease, or gives it back; returns whether its owner still held it.
    pub(in crate::server) async fn renew(
        &self,
        of: Leased,
        key: &str,
        lease: &Lease,
        leave: bool,
    ) -> Result<bool, Trouble> {
        let Leased { table, key: column, .. } = of;
        let sql = format!(
            "UPDATE {table} SET owner = CASE WHEN $4 THEN NULL ELSE owner END, \
             expires_at = CASE WHEN $4 THEN NULL ELSE clock_timestamp() + $5 * interval '1 second' END \
             WHERE {column} = $1 AND owner = $2 AND fence = $3"
        );
        let pool = self.database().writes();
        let asked = Instant::now();
        let query = sqlx::query(&sql).bind(key).bind(&lease.owner).bind(lease.fence);
        let done = query.bind(leave).bind(LEASE.as_secs_f64()).execute(&pool);
        let held = self.database().run(done).await?.rows_affected() == 1;
        if held {
            lease.renewed(asked);
        } else {
            lease.lose();
        }
        Ok(held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_begun_before_a_lease_may_be_over_and_a_renewal_counts_from_when_it_was_asked_for() {
        let now = Instant::now();
        let lease = Lease::new("me", 1, now);
        assert!(!lease.is_late() && !lease.may_be_over());
        lease.renewed(now.checked_sub(LEASE - MARGIN / 2).unwrap());
        assert!(
            lease.is_late() && !lease.may_be_over(),
            "as if its last renewal was long ago"
        );
        lease.renewed(now.checked_sub(LEASE).unwrap());
        assert!(lease.is_late() && lease.may_be_over());
        assert!(!lease.is_lost());
        lease.lose();
        assert!(lease.is_lost());
    }
}
