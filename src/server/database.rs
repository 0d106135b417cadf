//! The home of Drover's own data: one set of repositories over two backends.
//!
//! | module | contents |
//! |---|---|
//! | [`mod@file`] | the embedded SQLite file `state.db` of one Drover: the default |
//! | [`postgres`] | the schema `drover` of a Postgres, shared by replicas: where the archive has one |
//! | [`migrate`] | the steps that make the tables of either |
//! | [`history`] | repository: jobs in, completed and failed per minute |
//! | [`identity`] | repository: users who sign in with a password, and tokens of programs |
//! | [`lease`] | work that one replica at a time may do |
//! | [`policy_runs`] | repository: which replica has the turn of each policy, and what its runs did |
//! | `portable` | statements that both backends understand, written once |
//! | [`sessions`] | repository: who is signed in |
//! | [`status_days`] | repository: the minutes behind the status page's bars |
//!
//! The audit log and operations are shared by replicas in the same Postgres, and without one are in files of their own. The
//! archive is no part of this: it is always in a Postgres.

use crate::server::adapter::Trouble;
use crate::server::tasks::Tasks;
use file::StateFile;
use postgres::{SharedPostgres, answers};
use std::path::Path;
use std::sync::Arc;

pub mod days;
pub mod file;
pub mod history;
pub mod identity;
pub mod lease;
pub mod migrate;
pub mod policy_runs;
mod portable;
pub mod postgres;
pub mod sessions;
pub mod status_days;

/// The backend in use. Its repositories are the methods in [`history`], [`identity`], [`sessions`] and [`status_days`].
#[derive(Clone, Debug)]
pub enum OwnData {
    /// The file of this process.
    File(Arc<StateFile>),
    /// A Postgres that replicas share.
    Postgres(Arc<SharedPostgres>),
}

impl OwnData {
    /// The Postgres if there is one, else the file in the folder of the audit file.
    #[must_use]
    pub fn new(postgres: Option<Arc<SharedPostgres>>, audit_file: &Path) -> Self {
        match postgres {
            Some(postgres) => Self::Postgres(postgres),
            None => Self::File(Arc::new(StateFile::new(&audit_file.with_file_name(file::NAME)))),
        }
    }

    /// Opens the file. The Postgres is connected with the archive.
    pub fn start(&self, tasks: &Tasks) {
        if let Self::File(file) = self {
            file.start(tasks);
        }
    }

    /// Opens it for a command, which may run beside a Drover that uses it, and waits until that is done.
    ///
    /// # Errors
    ///
    /// Why it cannot be used, in a sentence.
    pub async fn open_beside(&self, tasks: &Tasks) -> Result<(), Trouble> {
        if let Self::File(file) = self {
            let (file, stop) = (file.clone(), tasks.stop().clone());
            tasks.keep_closing("state file", move || {
                let (file, stop) = (file.clone(), stop.clone());
                async move { file.open_beside(stop).await }
            });
        }
        self.soon().await
    }

    /// Whether it can be used now.
    ///
    /// # Errors
    ///
    /// Why not, in a sentence.
    pub fn ready(&self) -> Result<(), Trouble> {
        match self {
            Self::File(file) => file.ready(),
            Self::Postgres(postgres) => postgres.ready(),
        }
    }

    /// The same, and right after a start waits until that is known, but not for long.
    ///
    /// # Errors
    ///
    /// Why not, in a sentence.
    pub async fn soon(&self) -> Result<(), Trouble> {
        match self {
            Self::File(file) => file.soon().await,
            Self::Postgres(postgres) => {
                // Once a server is known not to answer, nothing waits for it.
                answers(postgres.database())?;
                postgres.soon().await
            }
        }
    }

    /// Whether replicas share it: without asking, this process does not know what another one has changed.
    #[must_use]
    pub const fn is_shared(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    /// Why the file is not written, in a sentence; `None` while it is, and with a Postgres.
    #[must_use]
    pub fn file_trouble(&self) -> Option<String> {
        match self {
            Self::File(file) => file.trouble(),
            Self::Postgres(_) => None,
        }
    }
}
