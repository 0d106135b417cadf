//! Archived jobs: one line of a list, everything about one, and the filter of a search.

use super::Millis;
use super::audit::AuditEntry;
use super::form::Undo;
use super::job::JobDetail;
use super::policy::PolicyStanding;
use super::queue::QueueRef;
use super::state::JobState;
use serde::{Deserialize, Serialize};

/// Rows on a page when the request does not say.
pub const PAGE_DEFAULT: usize = 50;

/// The most rows on a page.
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
    /// Bytes of everything that the archive keeps of it.
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
    /// The cursor of the next page; `None` at the end.
    pub next: Option<String>,
    /// Whether the search stopped before it had looked at everything: `next` continues where it stopped, and there may
    /// be fewer rows than asked for.
    pub partial: bool,
    /// How many jobs a text search looked at; `None` where it did not have to read jobs.
    pub searched: Option<u64>,
}

/// What to search for. Texts match in either case.
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
    /// Whether every archived job matches.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The queue, where the filter names exactly one.
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

/// One restore of an archived job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct Restored {
    /// The first time is 1.
    pub n: i32,
    /// The queue it was put into.
    pub queue: QueueRef,
    /// The id it has there.
    pub job: String,
    /// Who asked.
    pub who: String,
    /// When the restore was asked for.
    pub asked: Millis,
    /// When the store confirmed that the job is there; `None` if that is not known.
    pub done: Option<Millis>,
}

/// Everything about one archived job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct ArchivedJob {
    /// The same facts as in a list.
    #[serde(flatten)]
    pub row: ArchivedRow,
    /// The SHA-256 of the archived record, in hex.
    pub sha256: String,
    /// The job as the page of a queue's job shows it.
    pub detail: JobDetail,
    /// When it was put back, the latest first.
    pub restored: Vec<Restored>,
}

/// The result of one restore among many.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct RestoredOne {
    /// Its id in the archive.
    pub id: String,
    /// `done`, `already`, or what prevented the restore.
    pub result: String,
    /// More about that, in a sentence.
    pub detail: String,
    /// The queue it was put into.
    pub queue: Option<QueueRef>,
    /// The job that the restore created.
    pub job: Option<String>,
}

/// The most jobs that one request puts back.
pub const RESTORED_MANY: usize = 200;

/// What the page of the archive shows.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "one value per request")]
pub enum ArchiveView {
    /// A list.
    List {
        /// Whether the search has no filter.
        all: bool,
        /// The fields of the form, as the reader wrote them.
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
        /// Why it cannot be put back, if so.
        refused: Option<String>,
        /// The restore that was asked for a moment ago, and the button that undoes it.
        told: Option<(AuditEntry, Option<Undo>)>,
    },
    /// The policies that archive jobs automatically.
    Policies(Box<PoliciesView>),
}

/// What the page of the policies shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoliciesView {
    /// The policies, or why they cannot be read now.
    pub policies: Result<Vec<PolicyStanding>, String>,
    /// Why no user can run a policy from this page, if so.
    pub refused: Option<String>,
    /// The policy that a user has just asked to run.
    pub asked: Option<String>,
    /// For how long archived jobs are kept: a sentence for each rule; none where all are kept indefinitely.
    pub keep: Vec<String>,
}
