//! What replicas of Drover share: the record of actions, operations and the past of the charts. Here is only whether their
//! tables are there and the server is one that keeps what it acknowledges.
//!
//! They live beside the archive, in the same schema, and go without it: a database that lacks them, or does not answer, has
//! each replica keep them for itself, in its files and its memory.

use super::{Archive, SOON};
use crate::model::store::Reach;
use crate::server::adapter::Trouble;
use crate::server::adapter::postgres::database::Database;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// How often it is looked whether they can be shared, while they cannot and while they can.
const LOOK: (Duration, Duration) = (Duration::from_secs(3), Duration::from_secs(300));

/// One table of each migration that brought one.
const TABLES: [&str; 3] = ["drover.audit", "drover.operation", "drover.history"];

impl Archive {
    /// The server, for what replicas share.
    pub(in crate::server) const fn common(&self) -> &Arc<Database> {
        &self.common
    }

    /// Whether a server that may lose what it acknowledged will do.
    pub(in crate::server) const fn allows_unsafe(&self) -> bool {
        self.settings.allow_unsafe
    }

    /// Whether what replicas share can be kept there now.
    ///
    /// # Errors
    ///
    /// Why not, in a sentence.
    pub fn shares(&self) -> Result<(), Trouble> {
        self.shares.borrow().clone()?;
        match &*self.common.health().borrow() {
            Err(trouble) if trouble.reach != Reach::Live => Err(trouble.clone()),
            _ => Ok(()),
        }
    }

    /// The same, and right after a start waits until that is known, but not for long.
    ///
    /// # Errors
    ///
    /// Why not, in a sentence.
    pub(in crate::server) async fn shares_soon(&self) -> Result<(), Trouble> {
        let mut shares = self.shares.subscribe();
        let known =
            |shares: &Result<(), Trouble>| !matches!(shares, Err(trouble) if trouble.reach == Reach::Connecting);
        let _ = timeout(SOON, shares.wait_for(known)).await;
        self.shares()
    }

    /// Keeps looking whether it can.
    pub(super) async fn keep_sharing(&self) {
        loop {
            let can = self.can_share().await;
            let good = can.is_ok();
            let news = self.shares.send_if_modified(|known| {
                let news = *known != can;
                *known = can.clone();
                news
            });
            match can {
                Ok(()) if news => {
                    tracing::info!(
                        address = self.address(),
                        "record and operations are shared by all replicas"
                    );
                }
                Err(trouble) if news => {
                    tracing::warn!("record and operations stay in files of this Drover: {trouble}");
                }
                _ => {}
            }
            sleep(if good { LOOK.1 } else { LOOK.0 }).await;
        }
    }

    async fn can_share(&self) -> Result<(), Trouble> {
        let mut health = self.common.health();
        // Nobody else replaces the sender.
        let _ = health.wait_for(Result::is_ok).await;
        let sql = "SELECT pg_is_in_recovery(), current_setting('fsync'), \
                   (SELECT bool_and(to_regclass(t) IS NOT NULL) FROM unnest($1::text[]) t)";
        let pool = self.common.reads();
        let asked = sqlx::query_as::<_, (bool, String, bool)>(sql).bind(&TABLES[..]);
        let (standby, fsync, there) = self.common.run(asked.fetch_one(&pool)).await?;
        if !there {
            return Err(self.refused(
                "is from an older Drover and has no tables for what replicas share. `drover migrate` brings it up to date.",
            ));
        }
        if standby {
            return Err(self.refused("is a standby and takes no rows. Point Drover at the primary."));
        }
        if fsync != "on" && !self.settings.allow_unsafe {
            return Err(self.refused("runs with fsync=off: it may lose what it has acknowledged."));
        }
        Ok(())
    }
}
