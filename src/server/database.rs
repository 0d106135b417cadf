//! The home of Drover's own data: one set of repositories over two backends.
//!
//! | module | contents |
//! |---|---|
//! | [`mod@file`] | the embedded SQLite file `state.db` of one Drover: the default |
//! | [`postgres`] | the schema `drover` of a Postgres, shared by replicas: where the archive has one |
//! | [`migrate`] | the steps that make the tables of either |
//! | [`history`] | repository: jobs in, completed and failed per minute |
//! | [`lease`] | work that one replica at a time may do |
//! | [`policy_runs`] | repository: which replica has the turn of each policy, and what its runs did |
//! | [`status_days`] | repository: the minutes behind the status page's bars |
//!
//! The audit log and operations are shared by replicas in the same Postgres, and without one are in files of their own; users,
//! tokens and sessions are in files. The archive is no part of this: it is always in a Postgres.

use crate::server::adapter::Trouble;
use crate::server::tasks::Tasks;
use file::StateFile;
use postgres::SharedPostgres;
use std::path::Path;
use std::sync::Arc;

pub mod days;
pub mod file;
pub mod history;
pub mod lease;
pub mod migrate;
pub mod policy_runs;
pub mod postgres;
pub mod status_days;

/// The backend in use. Its repositories are the methods in [`history`] and [`status_days`].
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

    /// Why the file is not written, in a sentence; `None` while it is, and with a Postgres.
    #[must_use]
    pub fn file_trouble(&self) -> Option<String> {
        match self {
            Self::File(file) => file.trouble(),
            Self::Postgres(_) => None,
        }
    }
}
