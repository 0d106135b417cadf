//! The archive: finished jobs in Drover's own schema of a Postgres, every byte of them.
//!
//! It makes three promises. A job is never removed from its queue before its row is
//! durable. A job is never in the archive twice for the same finish. A job that changed while it was read is left
//! alone and reported. Should a Redis lose an acknowledged removal in a fail-over, the job shows up again, is archived
//! again (which changes nothing) and removed again. What is not promised: a Postgres that fails over to a standby that
//! was behind loses its last commits, and with them rows whose jobs are gone. The server's `synchronous_standby_names`
//! prevents that, and with [`Settings::require_sync_standby`] nothing is archived without it.
//!
//! | module | what it does |
//! |---|---|
//! | [`schema`] | makes the tables, and a partition for each month |
//! | [`record`] | a job as bytes, and the id of a run of a job |
//! | `durable` | what a commit is worth on this server |
//! | [`keep`] | rows, durable or reported not to be |
//! | [`search`] | finding rows, and what is known of jobs that were put back |
//! | [`scope`] | the queues that a reader may see |
//! | [`retention`] | how long they are kept |
//! | [`flow`] | read, keep, commit, compare and remove: the order that the promises depend on |
//!
//! It is not a log of everything that ever ran: a job that retention removed before it was archived is not in it.

use crate::model::Millis;
use crate::model::policy::Policy;
use crate::model::queue::QueueRef;
use crate::model::store::Reach;
use crate::server::adapter::Trouble;
use crate::server::adapter::postgres::database::Database;
use crate::server::collect::board::Board;
use crate::server::database::postgres::{SharedPostgres, answers};
use crate::server::redact::said;
use crate::server::shared::Shared;
use crate::server::tasks::Tasks;
use retention::{Keep, Removed};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, Semaphore, watch};
use tokio::time::sleep;

pub(in crate::server) mod durable;
pub mod flow;
pub mod keep;
pub mod record;
pub mod retention;
pub mod schema;
pub mod scope;
pub mod search;

/// How long a step may take before the server counts as not answering.
const LIMIT: Duration = Duration::from_secs(20);

/// How soon a schema that could not be made is tried again.
const MIGRATE_AGAIN: Duration = Duration::from_secs(5);

/// How often partitions are made ahead.
const PARTITIONS_EVERY: Duration = Duration::from_secs(6 * 3_600);

/// How long a caller right after a start waits for the schema.
const SOON: Duration = Duration::from_secs(2);

/// How long the list of queues with rows is kept.
const KNOWN: Duration = Duration::from_secs(10);

/// Searches for texts at once: each masks thousands of rows.
const SEARCHES: usize = 2;

/// Its configuration.
#[derive(Clone)]
pub struct Settings {
    /// `postgres://`. Holds the password: never logged, never shown.
    pub url: String,
    /// Whether the schema is made and brought up to date at the start.
    pub migrate: bool,
    /// Whether a server with `fsync=off` will do: one that loses everything in a crash, for tests and demonstrations.
    pub allow_unsafe: bool,
    /// Whether each commit must wait for a standby, so that no fail-over loses a row whose job is gone.
    pub require_sync_standby: bool,
    /// What is archived automatically.
    pub policies: Vec<Policy>,
    /// How long jobs are kept: by the first rule that their queue fits. What fits none is kept indefinitely.
    pub keep: Vec<Keep>,
    /// Whether nothing is removed, as on a read-only board.
    pub read_only: bool,
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings")
            .field("migrate", &self.migrate)
            .field("allow_unsafe", &self.allow_unsafe)
            .finish_non_exhaustive()
    }
}

/// See the module.
#[derive(Debug)]
pub struct Archive {
    database: Arc<Database>,
    /// The same server for what replicas share.
    shared: Arc<SharedPostgres>,
    settings: Settings,
    /// Why it cannot be used yet.
    ready: watch::Sender<Result<(), Trouble>>,
    /// Months that have a partition, or cannot have one.
    months: Mutex<HashSet<(i32, u32)>>,
    /// Queues with rows: as found a moment ago, and those that this process archived jobs of.
    queues: Shared<(), Result<Arc<HashSet<String>>, Trouble>>,
    archived: std::sync::Mutex<HashSet<String>>,
    /// Searches for texts at once.
    searching: Semaphore,
    removed: Removed,
}

impl Archive {
    /// An archive that is not connected yet.
    ///
    /// # Errors
    ///
    /// When the URL is not one of a Postgres.
    pub fn new(settings: Settings) -> Result<Self, String> {
        let database = Database::new(&settings.url)?.strict();
        let shared = SharedPostgres::new(&settings.url, settings.allow_unsafe)?;
        let first = Trouble::new(
            Reach::Connecting,
            format!("The archive at {} has not answered yet.", database.address()),
        );
        Ok(Self {
            database: Arc::new(database),
            shared: Arc::new(shared),
            settings,
            ready: watch::Sender::new(Err(first)),
            months: Mutex::default(),
            queues: Shared::new(KNOWN),
            archived: std::sync::Mutex::default(),
            searching: Semaphore::new(SEARCHES),
            removed: Removed::default(),
        })
    }

    /// Connects, makes the schema, and keeps making partitions ahead.
    pub fn start(self: &Arc<Self>, tasks: &Tasks) {
        for (name, database) in [
            ("archive connection", self.database.clone()),
            ("connection for what replicas share", self.shared.database().clone()),
        ] {
            let stop = tasks.stop().clone();
            tasks.keep_closing(name, move || database.clone().supervise(stop.clone()));
        }
        let archive = self.clone();
        tasks.keep("archive schema", move || {
            let archive = archive.clone();
            async move { archive.prepare().await }
        });
        if !self.settings.read_only && !self.settings.keep.is_empty() {
            let archive = self.clone();
            tasks.keep("archive retention", move || {
                let archive = archive.clone();
                async move { archive.retain().await }
            });
        }
    }

    async fn prepare(&self) {
        loop {
            let made = self.make().await;
            let good = made.is_ok();
            let news = self.ready.send_if_modified(|known| {
                let news = *known != made;
                *known = made.clone();
                news
            });
            match made {
                Ok(()) if news => tracing::info!(address = self.database.address(), "the archive is ready"),
                Err(trouble) if news => tracing::warn!("{trouble}"),
                _ => {}
            }
            if good {
                self.make_room(std::iter::empty()).await;
                let _ = tokio::time::timeout(PARTITIONS_EVERY, self.shared.keep_looking()).await;
            } else {
                sleep(MIGRATE_AGAIN).await;
            }
        }
    }

    async fn make(&self) -> Result<(), Trouble> {
        let mut health = self.database.health();
        // No other task replaces the sender; the attempt below reports a wait that ends without health.
        let _ = health.wait_for(Result::is_ok).await;
        if self.settings.migrate {
            let done = schema::migrate(&self.database).await;
            match done {
                Ok(0) => {}
                Ok(steps) => tracing::info!(steps, "the schema of the archive was updated"),
                Err(why) => {
                    return Err(Trouble::new(
                        Reach::NotAllowed,
                        format!(
                            "The schema drover at {} cannot be created or updated: {}. Run `drover migrate` once with \
                             a role that may create it.",
                            self.address(),
                            said(&why.to_string())
                        ),
                    ));
                }
            }
        }
        let there = sqlx::query_scalar::<_, bool>("SELECT to_regclass('drover.archive') IS NOT NULL");
        let reads = self.database.reads();
        if self.database.run(there.fetch_one(&reads)).await? {
            return Ok(());
        }
        Err(Trouble::new(
            Reach::Refused,
            format!(
                "There is no archive at {} yet. Run `drover migrate` to create it.",
                self.address()
            ),
        ))
    }

    /// Makes the schema, or brings it up to date; returns how many steps that took.
    ///
    /// # Errors
    ///
    /// A sentence.
    pub async fn migrate(&self) -> Result<usize, String> {
        let steps = schema::migrate(&self.database).await.map_err(|why| {
            format!(
                "the schema drover at {} cannot be created or updated: {why}",
                self.address()
            )
        })?;
        // The role that serves may not be allowed to.
        self.make_room(std::iter::empty()).await;
        Ok(steps)
    }

    /// The same server for what replicas share: the audit log, operations and Drover's own data.
    #[must_use]
    pub const fn shared(&self) -> &Arc<SharedPostgres> {
        &self.shared
    }

    /// Host, port and database.
    #[must_use]
    pub fn address(&self) -> &str {
        self.database.address()
    }

    /// Waits until it can be used, but not for long: right after a start it connects first.
    ///
    /// # Errors
    ///
    /// Why it cannot, in a sentence.
    pub async fn soon(&self) -> Result<(), Trouble> {
        let mut ready = self.ready.subscribe();
        let _ = tokio::time::timeout(SOON, ready.wait_for(Result::is_ok)).await;
        self.ready()
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
}

/// A queue whose jobs are archived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchivedQueue {
    /// The id of its store.
    pub store: String,
    /// Its id there.
    pub queue: String,
    /// The word of its system; `None` where the board does not know the queue.
    pub system: Option<&'static str>,
}

impl ArchivedQueue {
    /// A queue by what the board knows of it.
    #[must_use]
    pub fn of(board: &Board, queue: &QueueRef) -> Self {
        let system = board.queue(queue).map(|(line, ..)| line.system.word());
        Self {
            store: queue.store.clone(),
            queue: queue.queue.clone(),
            system,
        }
    }

    /// The id of a run of a job of it.
    #[must_use]
    pub fn id_of(&self, job: &str, finished_on: Millis, attempts: u64) -> record::ArchiveId {
        record::ArchiveId::of(&self.store, &self.queue, job, finished_on, attempts)
    }
}
