//! What Drover needs from a queue library, and nothing about any one of them.
//!
//! An [`Adapter`] reads one system in one store: which queues there are, how many jobs they hold,
//! pages of jobs, one job, and a stream of what changes. What a queue can do follows from its
//! [`Capabilities`], not from calls that fail; what only some systems have is a facet ([`Act`], [`Archiving`], [`Flows`],
//! [`Weigh`], [`Logs`]) that an adapter has or has not. Adapters never write on a read path, never name each
//! other, HTTP or the pages, and answer within a deadline or say that they could not.
//!
//! | folder | system |
//! |---|---|
//! | [`redis`] | the connection every Redis-based adapter shares: supervised, with deadlines |
//! | [`rhythm`] | how often a store is asked |
//! | [`bullmq`] | Bull 4 and BullMQ 3 to 6 |
//! | [`celery`] | Celery 5 on Redis |
//! | [`arq`] | arq 0.26 to 0.28 on Redis |
//! | [`lists`] | lists that an application works through by itself, as its operator describes them |
//! | `decode` | what jobs carry, decoded without running anything |
//! | [`postgres`] | the connection every Postgres-based adapter shares |
//! | [`pgboss`] | pg-boss 9 to 12 |

use crate::model::Millis;
use crate::model::capability::Capabilities;
use crate::model::counts::Counts;
use crate::model::filter::JobFilter;
use crate::model::insight::Insight;
use crate::model::job::{JobDetail, JobRow};
use crate::model::page::{JobPageRows, Order};
use crate::model::queue::Expiry;
use crate::model::schedule::Schedule;
use crate::model::state::JobState;
use crate::model::store::Reach;
use crate::model::system::{Family, System};
use crate::model::worker::Worker;
use async_trait::async_trait;
use bytes::Bytes;
pub use change::{Change, Changes, JobEvent, What};
pub use error::{FieldError, ReadError, SweepError};
pub use facet::{
    Act, AnyAction, Archiving, FlowQuery, Flows, LogQuery, Logs, QueueWeight, StateWeight, Weigh, unsupported,
};
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

pub mod arq;
pub mod bullmq;
pub mod celery;
mod change;
mod decode;
mod error;
mod facet;
pub mod flow;
pub mod lists;
pub mod pgboss;
pub mod postgres;
pub mod raw;
pub mod recognised;
pub mod redis;
pub mod rhythm;
mod tls;

/// A queue's id within its store. Cheap to clone: it travels with every event.
pub type QueueId = Arc<str>;

/// Why a store could not answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{cause}")]
pub struct Trouble {
    /// What kind of silence it is.
    pub reach: Reach,
    /// A sentence for a person; never holds a secret.
    pub cause: String,
}

impl Trouble {
    /// A trouble with its sentence, in Drover's own words. What a server or a library said in it goes through
    /// [`said`](crate::server::redact::said) first: it may quote a job's data.
    pub fn new(reach: Reach, cause: impl Into<String>) -> Self {
        Self {
            reach,
            cause: cause.into(),
        }
    }
}

/// A queue that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundQueue {
    /// Its id in the store.
    pub id: QueueId,
    /// The name its application gave it.
    pub name: String,
    /// The library.
    pub system: System,
    /// Which generation laid out its keys.
    pub family: Family,
}

/// How a [`Reading`]'s reason ends where the store's user may not read a key.
pub const NOT_PERMITTED: &str = "Drover's user may not read the key";

/// What one reading of a queue tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Jobs by state; unknown where a key could not be counted.
    pub counts: Counts,
    /// Why one is unknown, or what they leave out.
    pub reason: Option<String>,
    /// Whether the queue is paused; `None` if that could not be read.
    pub paused: Option<bool>,
    /// What the library wrote about its version.
    pub version: Option<String>,
    /// The library.
    pub system: System,
    /// Which generation laid out its keys.
    pub family: Family,
    /// How many jobs were ever added, where no event tells of it.
    pub added: Option<u64>,
    /// Whether the store tells of changes; otherwise they are found by counting.
    pub pushed: bool,
    /// Whether anything at all is left of the queue in the store.
    pub exists: bool,
}

/// Jobs that finished in a minute and are still kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Completed ones; `None` where retention has removed some or all of that time.
    pub completed: Option<u32>,
    /// Failed ones: a lower bound.
    pub failed: u32,
}

/// A job that runs next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its id.
    pub id: String,
    /// When it was created.
    pub created: Option<Millis>,
    /// Since when it has been ready to run; `None` where its record cannot tell.
    pub ready: Option<Millis>,
}

/// Returns whether the caller already knows since when a job has been ready, so that its record need not be read.
pub type Heard<'a> = &'a (dyn Fn(&QueueId, &str) -> bool + Send + Sync);

/// Jobs of one [`Adapter::scan`], at most.
pub const SCAN: usize = 1_000;

/// Which page of jobs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct JobQuery {
    /// The queue.
    pub queue: QueueId,
    /// The state whose jobs are wanted.
    pub state: JobState,
    /// Only jobs that fit this, its ages counted to `at`.
    pub filter: Option<JobFilter>,
    /// A moment of the store's clock.
    pub at: Millis,
    /// In which order.
    pub order: Order,
    /// Where to go on; `None` for the first page.
    pub cursor: Option<String>,
    /// How many rows at most.
    pub limit: usize,
}

/// What a store says of its connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Connections {
    /// All connections that name a queue.
    Known(Vec<Connected>),
    /// It does not tell: why, and what to do about it.
    Refused(String),
    /// It does not tell of these queues, and why; the others have no worker.
    Unknown(HashSet<QueueId>, String),
}

/// A connection that names a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connected {
    /// The queue it names, whether or not there is such a queue.
    pub queue: QueueId,
    /// What the connection is for.
    pub role: ConnectionRole,
    /// The worker.
    pub worker: Worker,
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionRole {
    /// It takes jobs.
    Worker,
    /// It listens to the queue's events.
    Listener,
}

/// How many schedules are read at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Of one queue.
    pub queue: usize,
    /// Of all queues together.
    pub all: usize,
}

/// The value of a field as it is stored. Only one exists per store at a time: until this is dropped.
#[derive(Debug)]
pub struct FieldBytes {
    /// The value.
    pub bytes: Bytes,
    /// Whether it is UTF-8.
    pub text: bool,
    /// The turn.
    pub permit: Option<OwnedSemaphorePermit>,
}

/// The result of a search for queues.
#[derive(Debug, Default)]
pub struct Search {
    /// Queues that were not known before.
    pub found: Vec<FoundQueue>,
    /// Known queues of which a search of everything met nothing: their removal may have emitted no event, so the caller
    /// counts them. Empty if not everything was searched.
    pub missing: Vec<QueueId>,
}

/// One queue library in one store.
#[async_trait]
pub trait Adapter: Send + Sync + fmt::Debug {
    /// What each generation of the system can do. Known from the start, without asking the store.
    fn generations(&self) -> &'static [Capabilities];

    /// Finds queues. Takes as long as the key space needs, in small steps.
    ///
    /// Those in `known` need no proof that they are queues, and are not found again.
    async fn discover(&self, known: &HashSet<QueueId>) -> Result<Search, Trouble>;

    /// Of these ids, the ones that are queues of this system.
    async fn recognise(&self, queues: &[QueueId]) -> Result<Vec<FoundQueue>, Trouble>;

    /// Counts the given queues in one round trip, in their order.
    async fn counts(&self, queues: &[QueueId]) -> Result<Vec<Reading>, Trouble>;

    /// The jobs that run next in each queue, in the order of `queues`: one of each list or set that jobs are taken
    /// from. Of a job that `heard` knows, only the id is read.
    async fn heads(&self, queues: &[QueueId], heard: Heard<'_>) -> Result<Vec<Vec<Head>>, Trouble>;

    /// Whether a worker holds a job of each of these queues now, in their order; for queues of which no worker can be seen.
    async fn held(&self, queues: &[QueueId]) -> Result<Vec<bool>, Trouble> {
        Ok(vec![false; queues.len()])
    }

    /// When the library removes the first job that still waits in each queue, in the order of `queues`; `None` where it
    /// removes none.
    async fn expiries(&self, queues: &[QueueId]) -> Result<Vec<Option<Expiry>>, Trouble> {
        Ok(vec![None; queues.len()])
    }

    /// One page of jobs.
    async fn jobs(&self, query: &JobQuery) -> Result<JobPageRows, ReadError>;

    /// Jobs in brief, whatever the filter: id, name, state, times, attempts and, where asked for, the first line of
    /// the error; and where to go on. For choosing among very many, with a limit of up to [`SCAN`].
    async fn scan(&self, query: &JobQuery, errors: bool) -> Result<(Vec<JobRow>, Option<String>), ReadError>;

    /// One job, `None` if there is no such job.
    async fn job(&self, queue: &QueueId, id: &str) -> Result<Option<JobDetail>, ReadError>;

    /// Why a job may be missing from the store: text that follows a colon.
    fn fate(&self, _: &QueueId, _job: &str) -> String {
        "it was removed, or retention removed it.".into()
    }

    /// What a queue's settings and its newest finished jobs tell: limits, retention, times.
    async fn insight(&self, queue: &QueueId) -> Result<Insight, Trouble>;

    /// A field of a job's record as it is stored, however large; `None` if there is none.
    async fn field(&self, _: &QueueId, _job: &str, _field: &str) -> Result<Option<FieldBytes>, FieldError> {
        Ok(None)
    }

    /// How many jobs that are still kept finished in each minute, oldest first: `minutes` of them, the
    /// last ending at `until`.
    async fn finished(&self, queue: &QueueId, until: Millis, minutes: usize) -> Result<Vec<Kept>, Trouble>;

    /// The connections that name the queue they serve: one of those `known`, or one that may not have been found yet.
    /// One command for the whole store, however many workers and queues there are.
    async fn workers(&self, known: &HashSet<QueueId>) -> Result<Connections, Trouble>;

    /// How many schedules each queue has, in the order of `queues`; `None` where it cannot be
    /// counted. One command for each queue, in one round trip.
    async fn count_schedules(&self, queues: &[QueueId]) -> Result<Vec<Option<u64>>, Trouble>;

    /// The schedules of these queues that run next, the next first: at most `bounds.queue` of one queue and
    /// `bounds.all` together. The caller fills in the store's id, the queue's name and the verdict.
    async fn schedules(&self, queues: &[QueueId], bounds: Bounds) -> Result<Vec<Schedule>, Trouble>;

    /// Changes jobs, queues and schedules; `None` for a system that is only read.
    fn act(&self) -> Option<&dyn Act> {
        None
    }

    /// Puts finished jobs into the archive and makes new jobs of archived ones; `None` where jobs cannot be read whole.
    fn archive(&self) -> Option<&dyn Archiving> {
        None
    }

    /// Reads and retries trees of jobs; `None` for a system without them.
    fn flows(&self) -> Option<&dyn Flows> {
        None
    }

    /// Measures memory; `None` where that cannot be done.
    fn weigh(&self) -> Option<&dyn Weigh> {
        None
    }

    /// Reads the log lines that jobs write; `None` for a system without them.
    fn logs(&self) -> Option<&dyn Logs> {
        None
    }

    /// Follows exactly these queues from now on.
    fn follow(&self, queues: &[QueueId]);

    /// Starts following; changes arrive until the answer is dropped. Called again only after that.
    fn changes(&self) -> Changes;
}

impl dyn Adapter {
    /// What queues of this generation can do; `None` if it is not one of the system's.
    pub fn capabilities(&self, family: &Family) -> Option<&'static Capabilities> {
        let mut all = self.generations().iter();
        all.find(|can| can.generation.layout == family.layout)
    }
}
