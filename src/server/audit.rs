//! The audit log: who asked for what, and the result.
//!
//! Drover writes each action to it twice: the *intent* before it is sent, flushed to the disk, and the *result* after.
//! An action whose intent cannot be written is not done. An intent without a result is shown as "result unknown".
//!
//! The audit log is one file of JSON lines to which lines are only ever added ([`journal`]): a file that has
//! grown large is renamed and a new one begun, and none is ever removed here. Its newest part is kept in memory
//! ([`index`]) for the pages, with the idempotency keys of the last day. Payloads are never in it:
//! of a value only its size and a hash ([`record`]). Each line carries the hash of the one before ([`chain`]), so that
//! `drover audit verify` tells whether any was changed or removed.
//!
//! With a Postgres for what replicas share, the audit log is a table there instead, with one chain for all of them
//! ([`ledger`]). While that Postgres takes no lines they go to the file and are carried over later, in order and marked
//! ([`keeper`], [`spool`]): an operator who needs an action done at night is not refused because a database is away.

pub mod chain;
pub mod export;
mod index;
mod journal;
mod keeper;
mod ledger;
pub mod record;
mod spool;

use crate::model::action::Effect;
use crate::model::audit::{AuditEntry, AuditPage, Became};
use crate::model::queue::QueueRef;
use crate::model::{Millis, now};
use crate::server::archive::Archive;
use crate::server::tasks::Tasks;
use index::Index;
use journal::Journal;
use keeper::Keeper;
use record::{Key, Phase, Record};
use spool::Spool;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// Entries on a page by default.
pub const PAGE: usize = 50;

/// Entries on a page at most.
pub const PAGE_MAX: usize = 200;

/// A filter for audit entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Only on this queue.
    pub queue: Option<QueueRef>,
    /// Only on this job of it.
    pub job: Option<String>,
}

/// The result of claiming an idempotency key.
#[derive(Debug)]
pub enum Claim {
    /// The key is new: the caller now holds it.
    New,
    /// The same was asked before, with this outcome.
    Again(Arc<Record>, Became),
    /// The same was asked before, and is under way.
    Running,
    /// Something else was asked with it.
    Other,
}

/// Why an intent was not written, so that the action must not be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unwritten {
    /// It could not be: a sentence.
    NoRecord(String),
    /// Another replica used the idempotency key; whether for the same request.
    KeyTaken(bool),
}

impl std::fmt::Display for Unwritten {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoRecord(why) => f.write_str(why),
            Self::KeyTaken(_) => f.write_str("another Drover used its idempotency key"),
        }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Audit {
    file: PathBuf,
    journal: Arc<Journal>,
    index: Arc<Mutex<Index>>,
    /// Decides where lines go, once the audit log is shared.
    keeper: OnceLock<Keeper>,
}

fn lock(index: &Mutex<Index>) -> MutexGuard<'_, Index> {
    index.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Audit {
    /// Opens the audit log. A file that cannot be written forbids actions and nothing else: each action tries it
    /// again.
    #[must_use]
    pub fn open(file: &Path, tasks: &Tasks) -> Self {
        Self::open_with(file, journal::ROTATE, tasks)
    }

    fn open_with(file: &Path, rotate: u64, tasks: &Tasks) -> Self {
        let index = Arc::<Mutex<Index>>::default();
        Self {
            file: file.to_path_buf(),
            journal: Arc::new(Journal::open(file, index.clone(), rotate, tasks)),
            index,
            keeper: OnceLock::new(),
        }
    }

    /// From now on the audit log is in this Postgres, and the file is its fallback. The file's lines are carried over.
    pub fn share(&self, archive: &Arc<Archive>, tasks: &Tasks) {
        self.keeper.get_or_init(|| {
            let spool = Spool::new(&self.file);
            let (archive, journal, index) = (archive.clone(), self.journal.clone(), self.index.clone());
            Keeper::start(archive, journal, index, spool, tasks)
        });
    }

    /// Why nothing can be written; `None` while it can.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        let shared = self.keeper.get().is_some_and(|keeper| keeper.place().is_ok());
        self.journal.trouble().filter(|_| !shared)
    }

    /// Where the whole audit log is.
    fn place(&self) -> String {
        let file = self.file.display();
        match self.keeper.get().map(Keeper::place) {
            None => file.to_string(),
            Some(Ok(table)) => table,
            Some(Err(why)) => format!("Postgres, and new entries are in {file} until Postgres accepts them: {why}"),
        }
    }

    async fn append(&self, record: Record, flush: bool) -> Result<(), Unwritten> {
        match self.keeper.get() {
            None => self.journal.append(&record, flush).await.map_err(Unwritten::NoRecord),
            Some(keeper) => {
                let replica = Some(keeper.replica().to_owned());
                keeper.append(Record { replica, ..record }, flush).await
            }
        }
    }

    /// Claims an idempotency key, so that no other request acts with it.
    pub fn claim(&self, key: &Key) -> Claim {
        lock(&self.index).claim(key, now())
    }

    /// Gives a claimed key back: nothing was done with it.
    pub fn release(&self, key: &Key) {
        lock(&self.index).release(key);
    }

    /// Writes what is about to be done. When this returns, it is on the disk.
    ///
    /// # Errors
    ///
    /// Why it was not; then nothing may be done.
    pub async fn intend(&self, record: &Arc<Record>) -> Result<(), Unwritten> {
        self.append(Record::clone(record), true).await?;
        let own = self.keeper.get().map(|keeper| keeper.replica().to_owned());
        // The reader of the shared audit log may have been quicker.
        lock(&self.index).share(Record {
            replica: own,
            ..Record::clone(record)
        });
        Ok(())
    }

    /// Writes the result of an action. A result that cannot be written is kept in memory all the same.
    pub async fn conclude(&self, record: &Arc<Record>, became: Became) {
        let mut result = Record {
            phase: Phase::Result,
            ended: Some(now()),
            ..Record::clone(record)
        };
        match &became {
            Became::Known(effect) => result.effect = Some(effect.clone()),
            Became::Flow(flow) => result.flow = Some(flow.clone()),
            Became::NotSent(why) => result.not_sent = Some(why.clone()),
            Became::Asked | Became::Lost => {}
        }
        lock(&self.index).conclude(&record.id, &became);
        if let Err(why) = self.append(result, false).await {
            tracing::error!(
                id = record.id,
                action = record.action,
                became = became.word(),
                "the result of an action could not be written to the audit log: {why}"
            );
        }
    }

    /// The newest entries on queues that may be read, or those older than a cursor; `None` if the cursor is not known (any more).
    #[must_use]
    pub fn page(
        &self,
        filter: &AuditFilter,
        cursor: Option<&str>,
        limit: usize,
        reads: &dyn Fn(&QueueRef) -> bool,
    ) -> Option<AuditPage> {
        let (items, next) = lock(&self.index).page(filter, cursor, limit.clamp(1, PAGE_MAX), reads)?;
        Some(AuditPage {
            items,
            next,
            file: self.place(),
            trouble: self.trouble(),
        })
    }

    /// One entry.
    #[must_use]
    pub fn entry(&self, id: &str) -> Option<AuditEntry> {
        lock(&self.index).entry(id)
    }

    /// The last pause or resumption of a queue that was done.
    #[must_use]
    pub fn last_pause(&self, queue: &QueueRef) -> Option<AuditEntry> {
        lock(&self.index).find(|record, became| {
            let done = matches!(became, Became::Known(Effect::Done { .. }));
            done && record.queue == *queue && record.is_on_queue() && matches!(&*record.action, "pause" | "resume")
        })
    }

    /// The newest entry on a queue itself, or on one of its schedules, that is not older than `since`.
    #[must_use]
    pub fn last_on_queue(&self, queue: &QueueRef, since: Millis) -> Option<AuditEntry> {
        lock(&self.index).find(|record, _| record.queue == *queue && record.job.is_none() && record.at >= since)
    }
}

#[cfg(test)]
#[path = "audit/tests.rs"]
mod tests;
