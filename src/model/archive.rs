//! Archived jobs: one line of a list, everything about one, and what is searched for.

use super::Millis;
use super::audit::AuditEntry;
use super::form::Undo;
use super::job::JobDetail;
use super::policy::PolicyStanding;
use super::queue::QueueRef;
use super::state::JobState;
use serde::{Deserialize, Serialize};

/// Rows of a page where none are asked for.
pub const PAGE_DEFAULT: usize = 50;

/// Rows of a page at most.
pub const PAGE_MAX: usize = 200;

/// One archived run of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct ArchivedRow {
    /// Its id in the archive: the same for the same run, however often it is archived.
    pub id: String,
    /// The queue it was in.
    pub queue: QueueRef,
    /// The library of that queue: `bullmq`, `bull` or `pgboss`.
    pub system: String,
    /// Its id there.
    pub job: String,
    /// Its name.
    pub name: String,
    /// Completed or failed.
    pub state: JobState,
    /// When it finished.
    pub finished: Millis,
    /// When it was created.
    pub created: Option<Millis>,
    /// When its last attempt began.
    pub started: Option<Millis>,
    /// Attempts that had ended.
    pub attempts: u64,
    /// The first line of its last error.
    pub error: Option<String>,
    /// Bytes of everything that is kept of it.
    pub size: u64,
    /// When it was archived.
    pub archived: Millis,
}

/// A page of archived jobs, those that finished last first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct ArchivePage {
    /// The rows.
    pub items: Vec<ArchivedRow>,
    /// Where to go on; `None` at the end.
    pub next: Option<String>,
    /// Whether the search stopped before it had looked at everything: `next` goes on where it stopped, and there may be
    /// fewer rows than asked for.
    pub partial: bool,
    /// How many jobs a search for a text looked at; `None` where nothing had to be looked through.
    pub searched: Option<u64>,
}

/// What is searched for. Texts are found in either case.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ArchiveFilter {
    /// `store/queue id`, or a part of it with `*`.
    pub queue: Option<String>,
    /// A name; `*` stands for anything.
    pub name: Option<String>,
    /// Exactly this job id.
    pub id: Option<String>,
    /// A part of the first line of the error.
    pub error: Option<String>,
    /// A part of the beginning of the data.
    pub text: Option<String>,
    /// Completed or failed.
    pub state: Option<JobState>,
    /// Finished no earlier.
    pub from: Option<Millis>,
    /// Finished earlier than this.
    pub to: Option<Millis>,
}

impl ArchiveFilter {
    /// Whether everything fits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The queue, where one is named and not a part of several.
    #[must_use]
    pub fn exact_queue(&self) -> Option<QueueRef> {
        let queue = self.queue.as_deref().filter(|queue| !queue.contains('*'))?;
        let (store, queue) = queue.split_once('/')?;
        Some(QueueRef {
            store: store.to_owned(),
            queue: queue.to_owned(),
        })
    }
}

/// A time that an archived job was put back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct Restored {
    /// The first time is 1.
    pub n: i32,
    /// Where to.
    pub queue: QueueRef,
    /// The id it has there.
    pub job: String,
    /// Who asked.
    pub who: String,
    /// When.
    pub asked: Millis,
    /// When the store said that it is there; `None` if that is not known.
    pub done: Option<Millis>,
}

/// Everything about one archived job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct ArchivedJob {
    /// The same facts as in a list.
    #[serde(flatten)]
    pub row: ArchivedRow,
    /// The SHA-256 of the record, in hex.
    pub sha256: String,
    /// As a job of a queue is shown.
    pub detail: JobDetail,
    /// When it was put back, the last first.
    pub restored: Vec<Restored>,
}

/// What became of one of many that were to be put back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct RestoredOne {
    /// Its id in the archive.
    pub id: String,
    /// `done`, `already`, or what kept it from being put back.
    pub result: String,
    /// More about that, in a sentence.
    pub detail: String,
    /// The queue it was put into.
    pub queue: Option<QueueRef>,
    /// The job that came of it.
    pub job: Option<String>,
}

/// Jobs that are put back with one request at most.
pub const RESTORED_MANY: usize = 200;

/// What the page of the archive shows.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "one value per request")]
pub enum ArchiveView {
    /// A list.
    List {
        /// Whether nothing is searched for.
        all: bool,
        /// The words of the form, as they were written.
        written: Vec<(String, String)>,
        /// The rows, or why there are none.
        page: Result<ArchivePage, String>,
        /// Whether it is a later page.
        later: bool,
        /// Whether this reader may put jobs back.
        restorable: bool,
    },
    /// One job.
    One {
        /// The job.
        job: Box<ArchivedJob>,
        /// Why it cannot be put back, if it cannot.
        refused: Option<String>,
        /// The last restore, as it was asked for a moment ago, and what takes it back.
        told: Option<(AuditEntry, Option<Undo>)>,
    },
    /// What is archived by itself.
    Policies(Box<PoliciesView>),
}

/// What the page of the policies shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoliciesView {
    /// They, or why nothing is known of them now.
    pub policies: Result<Vec<PolicyStanding>, String>,
    /// Why nobody may run one from here, if so.
    pub refused: Option<String>,
    /// The policy that somebody has just asked to run.
    pub asked: Option<String>,
    /// For how long archived jobs are kept: a sentence for each rule; none where all are kept for ever.
    pub keep: Vec<String>,
}
