//! What Drover needs from a queue library, and nothing about any one of them.
//!
//! An [`Adapter`] reads one system in one store: which queues there are, how many jobs they hold,
//! pages of jobs, one job, and a stream of what changes. What a queue can do follows from its
//! [`Family`], not from calls that fail. Adapters never write on a read path, never name each
//! other, HTTP or the pages, and answer within a deadline or say that they could not.
//!
//! | folder | system |
//! |---|---|
//! | [`redis`] | the connection every Redis-based adapter shares: supervised, with deadlines |
//! | [`rhythm`] | how often a store is asked |
//! | [`bullmq`] | Bull 4 and BullMQ 3 to 6 |
//! | [`postgres`] | the connection every Postgres-based adapter shares |
//! | [`pgboss`] | pg-boss 9 to 12 |

use crate::model::Millis;
use crate::model::action::{Effect, JobAction, NewJob, QueueAction, ScheduleAction, Seen, Sweep, Swept};
use crate::model::counts::Counts;
use crate::model::family::Family;
use crate::model::filter::JobFilter;
use crate::model::flow::{ChildKind, Flow};
use crate::model::insight::Insight;
use crate::model::job::{JobDetail, JobRow, LogPage, Progress};
use crate::model::page::{JobPageRows, Order};
use crate::model::refusal;
use crate::model::schedule::Schedule;
use crate::model::state::JobState;
use crate::model::store::Reach;
use crate::model::vitals::Answered;
use crate::model::worker::Worker;
use crate::server::redact::said;
use async_trait::async_trait;
use bytes::Bytes;
use flow::{FailedBelow, InFlow};
use raw::{RawJob, Whole};
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

pub mod bullmq;
pub mod flow;
pub mod pgboss;
pub mod postgres;
pub mod raw;
pub mod redis;
pub mod rhythm;

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
    /// A trouble with its sentence. What a server said in it is shown without the data that it quotes.
    pub fn new(reach: Reach, cause: impl AsRef<str>) -> Self {
        Self {
            reach,
            cause: said(cause.as_ref()),
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
    /// Which generation laid out its keys.
    pub family: Family,
}

/// What one look at a queue tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Jobs by state; unknown where a key could not be counted.
    pub counts: Counts,
    /// Why one is unknown.
    pub reason: Option<String>,
    /// Whether the queue is paused; `None` if that could not be read.
    pub paused: Option<bool>,
    /// What the library wrote about its version.
    pub version: Option<String>,
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

/// How much memory a queue takes, from a sample of its jobs. All in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueWeight {
    /// Its own lists, sets and streams.
    pub structure: u64,
    /// Its states that hold jobs.
    pub states: Vec<StateWeight>,
    /// The length of the data of each job that was weighed, with its state and id.
    pub payloads: Vec<(JobState, String, u64)>,
    /// Commands that it took.
    pub commands: u64,
}

/// The jobs of one state that were weighed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateWeight {
    /// The state.
    pub state: JobState,
    /// Jobs in it.
    pub jobs: u64,
    /// Jobs that were weighed.
    pub weighed: u64,
    /// What these take together.
    pub bytes: u64,
    /// The length of their data together.
    pub payload: u64,
}

/// What happened to a queue, in the order of the store.
#[derive(Clone, Debug)]
pub struct Change {
    /// The queue.
    pub queue: QueueId,
    /// What its stream said; empty when the stream was found to have skipped something.
    pub events: Vec<JobEvent>,
    /// Whether events were lost before these ones: rates are then unknown for a while.
    pub gap: bool,
}

/// One event of a queue.
#[derive(Clone, Debug, PartialEq)]
pub struct JobEvent {
    /// When, by the store's clock.
    pub at: Millis,
    /// The job; empty for events about the whole queue.
    pub job: String,
    /// What happened.
    pub what: What,
}

/// The kinds of event.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// A job was created, with its name.
    Added(String),
    /// It is in this state now.
    Entered(JobState),
    /// It failed for good, with the first line of the error.
    Failed(String),
    /// It says how far it is.
    Progress(Option<Progress>),
    /// It was removed.
    Removed,
    /// Its worker was lost.
    Stalled,
    /// The queue was paused or resumed, drained, cleaned, or something this version does not know.
    Queue,
}

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
    /// Everybody whose connection names a queue.
    Known(Vec<Connected>),
    /// It does not tell: why, and what to do about it.
    Refused(String),
}

/// A connection that names a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connected {
    /// The queue it names, whether or not there is such a queue.
    pub queue: QueueId,
    /// What it is there for.
    pub role: Role,
    /// Who it is.
    pub worker: Worker,
}

/// What a connection is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
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

/// Which part of a job's log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LogQuery {
    /// The queue.
    pub queue: QueueId,
    /// The job.
    pub job: String,
    /// The first line wanted, counted from 1; in a search the line to search backwards from. `None`
    /// for the newest.
    pub from: Option<u64>,
    /// How many lines at most.
    pub limit: usize,
    /// Only lines that hold this text.
    pub find: Option<String>,
}

/// Which part of a job's family.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FlowQuery {
    /// The queue.
    pub queue: QueueId,
    /// The job.
    pub job: String,
    /// Whether parents and every kind of child are wanted; else only the branch.
    pub whole: bool,
    /// A kind of child, and where to go on in it.
    pub branch: Option<(ChildKind, Option<String>)>,
    /// Children of a kind at a time.
    pub limit: usize,
}

/// The value of a field as it is stored. Only one is under way per store at a time: until this is dropped.
#[derive(Debug)]
pub struct FieldBytes {
    /// The value.
    pub bytes: Bytes,
    /// Whether it is UTF-8.
    pub text: bool,
    /// The turn.
    pub permit: Option<OwnedSemaphorePermit>,
}

/// Why the value of a field cannot be handed over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] Trouble),
    /// It is too large.
    #[error("the value takes {size} bytes; up to {limit} are handed over")]
    TooLarge {
        /// Bytes of the value.
        size: u64,
        /// Bytes that are handed over at most.
        limit: u64,
    },
    /// Another one is under way.
    #[error("another value of this store is being handed over")]
    Busy,
}

/// Why a read failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] Trouble),
    /// The cursor is not one of ours.
    #[error("the address of this page is damaged: its cursor cannot be read")]
    BadCursor,
    /// The store answered with something that cannot be a queue's data.
    #[error("{0}")]
    Corrupt(String),
}

/// Why a batch of a sweep did not end well.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SweepError {
    /// It cannot be done; nothing was. A sentence.
    #[error("{0}")]
    Refused(String),
    /// The store did not take it; nothing was done.
    #[error("{0}")]
    NotSent(Trouble),
    /// It was sent, and the answer did not come: any of the batch may be done.
    #[error("{0}")]
    Unknown(Trouble),
}

/// What a search for queues met.
#[derive(Debug, Default)]
pub struct Search {
    /// Queues that were not known before.
    pub found: Vec<FoundQueue>,
    /// Known queues of which a search of everything met nothing: whoever removed them may have told
    /// nobody, so they are worth a count. Empty if not everything was searched.
    pub missing: Vec<QueueId>,
}

/// One queue library in one store.
#[async_trait]
pub trait Adapter: Send + Sync + fmt::Debug {
    /// Finds queues. Takes as long as the key space needs, in small steps.
    ///
    /// Those in `known` need no proof that they are queues, and are not found again.
    async fn discover(&self, known: &HashSet<QueueId>) -> Result<Search, Trouble>;

    /// Of these ids, the ones that are queues of this system.
    async fn recognise(&self, queues: &[QueueId]) -> Result<Vec<FoundQueue>, Trouble>;

    /// Counts the given queues in one round trip, in their order.
    async fn counts(&self, queues: &[QueueId]) -> Result<Vec<Reading>, Trouble>;

    /// When the job that runs next in each queue was created, in the order of `queues`.
    async fn oldest_waiting(&self, queues: &[QueueId]) -> Result<Vec<Option<Millis>>, Trouble>;

    /// One page of jobs.
    async fn jobs(&self, query: &JobQuery) -> Result<JobPageRows, ReadError>;

    /// Jobs in brief, whatever the filter: id, name, state, times, attempts and, where asked for, the first line of
    /// the error; and where to go on. For choosing among very many, with a limit of up to [`SCAN`].
    async fn scan(&self, query: &JobQuery, errors: bool) -> Result<(Vec<JobRow>, Option<String>), ReadError>;

    /// One job, `None` if there is no such job.
    async fn job(&self, queue: &QueueId, id: &str) -> Result<Option<JobDetail>, ReadError>;

    /// What a queue's settings and its newest finished jobs tell: limits, retention, times.
    async fn insight(&self, queue: &QueueId) -> Result<Insight, Trouble>;

    /// A part of a job's log; empty if there is none.
    async fn logs(&self, _: &LogQuery) -> Result<LogPage, ReadError> {
        Ok(LogPage::default())
    }

    /// A job's parents and children. `known` are the queues on the board, to tell whose a relative is.
    async fn flow(&self, _: &FlowQuery, _known: &[QueueId]) -> Result<Option<Flow>, ReadError> {
        Ok(None)
    }

    /// A field of a job's record as it is stored, however large; `None` if there is none.
    async fn field(&self, _: &QueueId, _job: &str, _field: &str) -> Result<Option<FieldBytes>, FieldError> {
        Ok(None)
    }

    /// How many jobs that are still kept finished in each minute, oldest first: `minutes` of them, the
    /// last ending at `until`.
    async fn finished(&self, queue: &QueueId, until: Millis, minutes: usize) -> Result<Vec<Kept>, Trouble>;

    /// Who is connected and says which queue it is there for. One command for the whole store,
    /// however many workers and queues there are.
    async fn workers(&self) -> Result<Connections, Trouble>;

    /// How many schedules each queue has, in the order of `queues`; `None` where it cannot be
    /// counted. One command for each queue, in one round trip.
    async fn count_schedules(&self, queues: &[QueueId]) -> Result<Vec<Option<u64>>, Trouble>;

    /// The schedules of these queues that run next, the next first: at most `bounds.queue` of one
    /// queue and `bounds.all` together. The store's id, the queue's name and the verdict are left to
    /// whoever knows them.
    async fn schedules(&self, queues: &[QueueId], bounds: Bounds) -> Result<Vec<Schedule>, Trouble>;
    /// Weighs a queue, with `sample` jobs of each list or set it keeps them in at most. Bounded by
    /// [`Adapter::weigh_cost`], whatever the backlog.
    async fn weigh(&self, _queue: &QueueId, _sample: u32) -> Result<Answered<QueueWeight>, Trouble> {
        Ok(Answered::Failed("jobs of this kind cannot be weighed".into()))
    }

    /// The most commands that weighing a queue with these counts takes.
    fn weigh_cost(&self, _counts: &Counts, _sample: u32) -> u64 {
        0
    }

    /// Acts on jobs of one queue, each in one atomic step that checks what was [`Seen`] of it. The effects
    /// are in the order of `jobs`, always as many. A cut or a time-out in the middle is read back and told as
    /// [`Effect::Unconfirmed`] where that does not tell; an error means that nothing was sent.
    async fn act(&self, _: &QueueId, _jobs: &[(String, Seen)], _: &JobAction) -> Result<Vec<Effect>, Trouble> {
        Err(Trouble::new(Reach::Live, "jobs of this kind cannot be changed"))
    }

    /// Reads finished jobs whole, their sizes first: as many from the first on as [`raw::BATCH_BYTES`] take, and at least one.
    async fn whole(&self, _: &QueueId, _jobs: &[(String, Seen)]) -> Result<Vec<Whole>, Trouble> {
        Err(Trouble::new(Reach::Live, "jobs of this kind cannot be archived"))
    }

    /// Removes those of these jobs that are, byte for byte, what was read of them; the others stay as they are. As
    /// [`Adapter::act`] otherwise.
    async fn remove_exactly(&self, _: &QueueId, _jobs: &[RawJob]) -> Result<Vec<Effect>, Trouble> {
        Err(Trouble::new(Reach::Live, "jobs of this kind cannot be archived"))
    }

    /// An archived job of that system as one of a queue is shown. `None` where it is another than this adapter's.
    fn detail_of(&self, _system: &str, _: &RawJob) -> Option<JobDetail> {
        None
    }

    /// The id of a job that is put back for the n-th time, made from what tells its run from all others: always the same.
    fn restored_id(&self, run: &[u8; 16], n: i32) -> String {
        let hex: String = run.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        format!("restored-{hex}-{n}")
    }

    /// A new job that does the same as an archived one; else why there can be none, in a sentence.
    fn renewed(&self, _: &RawJob) -> Result<NewJob, String> {
        Err("Jobs of this kind cannot be put back.".into())
    }

    /// The failed jobs below a job, over all the queues in `known`, up to `most` of them. `None` if there is no such
    /// job.
    async fn failed_below(
        &self,
        _: &QueueId,
        _job: &str,
        _known: &[QueueId],
        _most: usize,
    ) -> Result<Option<FailedBelow>, ReadError> {
        Err(ReadError::Corrupt("jobs of this kind have no others below them".into()))
    }

    /// Has failed jobs of a flow run again, each as soon as nothing below it is pending. An error means that nothing
    /// was sent.
    async fn retry_in_flow(&self, _: &QueueId, _jobs: &[(String, Seen)], _: InFlow) -> Result<Vec<Effect>, Trouble> {
        Err(Trouble::new(Reach::Live, "jobs of this kind cannot be changed"))
    }

    /// Acts on a queue. An error means that nothing was sent.
    async fn act_on_queue(&self, _: &QueueId, _: &QueueAction) -> Result<Effect, Trouble> {
        Err(Trouble::new(Reach::Live, "queues of this kind cannot be changed"))
    }

    /// Acts on the schedule with this key. An error means that nothing was sent.
    async fn act_on_schedule(&self, _: &QueueId, _key: &str, _: &ScheduleAction) -> Result<Effect, Trouble> {
        Err(Trouble::new(Reach::Live, "schedules of this kind cannot be changed"))
    }

    /// One batch of a sweep: at most `limit` jobs.
    async fn sweep(&self, _: &QueueId, _: &Sweep, _limit: usize) -> Result<Swept, SweepError> {
        Err(SweepError::Refused("queues of this kind cannot be swept".into()))
    }

    /// Why jobs of this generation have no others below them; `None` if they may.
    fn refuses_flow(&self, family: Family) -> Option<&'static str> {
        refusal::flow(family.layout)
    }

    /// Why this queue cannot do something to a job now; `None` if it can. From its generation alone, without
    /// a word to the store.
    fn refuses(&self, family: Family, action: &JobAction) -> Option<&'static str> {
        refusal::job(family.layout, action)
    }

    /// The same of the queue.
    fn refuses_queue(&self, family: Family, action: &QueueAction) -> Option<&'static str> {
        refusal::queue(family.layout, action)
    }

    /// The same of a schedule.
    fn refuses_schedule(&self, family: Family, action: &ScheduleAction) -> Option<&'static str> {
        refusal::schedule(family.layout, action)
    }

    /// The same of a sweep.
    fn refuses_sweep(&self, family: Family, sweep: &Sweep) -> Option<&'static str> {
        refusal::sweep(family.layout, sweep)
    }

    /// Follows exactly these queues from now on.
    fn follow(&self, queues: &[QueueId]);

    /// Starts following; changes arrive until the receiver is dropped. Called once.
    fn changes(&self) -> mpsc::Receiver<Vec<Change>>;
}
