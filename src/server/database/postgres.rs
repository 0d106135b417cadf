//! What replicas of Drover share: the audit log, operations, and Drover's own data of this module. Here is only whether the
//! tables are there and the server is one that keeps what it acknowledges.
//!
//! They are beside the archive, in the same schema, and over connections of their own: no archiving holds them up. A database
//! that lacks them, or does not answer, has each replica keep them for itself, in its files and its memory.

use crate::model::store::Reach;
use crate::server::adapter::Trouble;
use crate::server::adapter::postgres::database::Database;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

/// How often a database that cannot be shared is checked again.
const LOOK_BAD: Duration = Duration::from_secs(3);

/// The same of one that can.
const LOOK_GOOD: Duration = Duration::from_secs(300);

/// How long a caller right after a start waits for the first look.
const SOON: Duration = Duration::from_secs(2);

/// One table of each migration that brought one.
const TABLES: [&str; 5] = [
    "drover.audit",
    "drover.operation",
    "drover.history",
    "drover.session",
    "drover.identity",
];

/// See the module.
#[derive(Debug)]
pub struct SharedPostgres {
    database: Arc<Database>,
    /// Why it cannot be used yet.
    ready: watch::Sender<Result<(), Trouble>>,
    allow_unsafe: bool,
}

/// Whether a server answers, or has not been asked yet.
pub(in crate::server) fn answers(database: &Database) -> Result<(), Trouble> {
    match &*database.health().borrow() {
        Err(trouble) if !matches!(trouble.reach, Reach::Live | Reach::Connecting) => Err(trouble.clone()),
        _ => Ok(()),
    }
}

impl SharedPostgres {
    /// A server that is not connected yet. `allow_unsafe`: one that may lose what it acknowledged will do.
    ///
    /// # Errors
    ///
    /// When the URL is not one of a Postgres.
    pub fn new(url: &str, allow_unsafe: bool) -> Result<Self, String> {
        let database = Database::new(url)?.strict();
        let first = format!("The archive at {} has not answered yet.", database.address());
        Ok(Self {
            database: Arc::new(database),
            ready: watch::Sender::new(Err(Trouble::new(Reach::Connecting, first))),
            allow_unsafe,
        })
    }

    /// The server.
    pub(in crate::server) const fn database(&self) -> &Arc<Database> {
        &self.database
    }

    /// Whether a server that may lose what it acknowledged will do.
    pub(in crate::server) const fn allows_unsafe(&self) -> bool {
        self.allow_unsafe
    }

    /// Whether it can be used now.
    ///
    /// # Errors
    ///
    /// Why not, in a sentence.
    pub fn ready(&self) -> Result<(), Trouble> {
        answers(&self.database)?;
        self.ready.borrow().clone()
    }

    /// The same, and right after a start waits until that is known, but not for long.
    ///
    /// # Errors
    ///
    /// Why not, in a sentence.
    pub(in crate::server) async fn soon(&self) -> Result<(), Trouble> {
        let mut ready = self.ready.subscribe();
        let known = |ready: &Result<(), Trouble>| !matches!(ready, Err(trouble) if trouble.reach == Reach::Connecting);
        let _ = timeout(SOON, ready.wait_for(known)).await;
        self.ready()
    }

    /// Keeps looking whether it can.
    pub(in crate::server) async fn keep_looking(&self) {
        loop {
            let can = self.can_share().await;
            let good = can.is_ok();
            let news = self.ready.send_if_modified(|known| {
                let news = *known != can;
                *known = can.clone();
                news
            });
            match can {
                Ok(()) if news => {
                    tracing::info!(
                        address = self.database.address(),
                        "the audit log and operations are shared by all replicas"
                    );
                }
                Err(trouble) if news => {
                    tracing::warn!("the audit log and operations stay in local files: {trouble}");
                }
                _ => {}
            }
            sleep(if good { LOOK_GOOD } else { LOOK_BAD }).await;
        }
    }

    async fn can_share(&self) -> Result<(), Trouble> {
        let mut health = self.database.health();
        // No other task replaces the sender.
        let _ = health.wait_for(Result::is_ok).await;
        let sql = "SELECT pg_is_in_recovery(), current_setting('fsync'), \
                   (SELECT bool_and(to_regclass(t) IS NOT NULL) FROM unnest($1::text[]) t) AND EXISTS (SELECT FROM pg_attribute \
                   WHERE attrelid = to_regclass('drover.policy') AND attname = 'fence')";
        let pool = self.database.reads();
        let asked = sqlx::query_as::<_, (bool, String, bool)>(sql).bind(&TABLES[..]);
        let (standby, fsync, there) = self.database.run(asked.fetch_one(&pool)).await?;
        if !there {
            return Err(self.refused(
                "is from an older Drover and has no tables that replicas share. Run `drover migrate` to update it.",
            ));
        }
        if standby {
            return Err(self.refused("is a standby and accepts no writes. Point Drover at the primary."));
        }
        if fsync != "on" && !self.allow_unsafe {
            return Err(self.refused("runs with fsync=off: it may lose what it has acknowledged."));
        }
        Ok(())
    }

    fn refused(&self, what: &str) -> Trouble {
        Trouble::new(
            Reach::Refused,
            format!("The archive at {} {what}", self.database.address()),
        )
    }
}
