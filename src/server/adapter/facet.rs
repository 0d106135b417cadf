//! What only some systems can do or tell: an adapter implements the facets of its system and no others.
//!
//! The capabilities of a generation say what of a facet can be done to its queues; service and operations ask them before
//! anything is sent.

use super::flow::{FailedBelow, InFlow};
use super::raw::{RawJob, Whole};
use super::{QueueId, ReadError, Trouble};
use crate::model::action::{Effect, JobAction, NewJob, QueueAction, ScheduleAction, Seen};
use crate::model::capability::NOT_SUPPORTED;
use crate::model::counts::Counts;
use crate::model::flow::{ChildKind, Flow};
use crate::model::job::{JobDetail, LogPage};
use crate::model::queue::Stuck;
use crate::model::state::JobState;
use crate::model::vitals::Answered;
use async_trait::async_trait;
use std::fmt;

/// An action on a job, a queue or a schedule, for the check of the rights that it needs.
#[derive(Clone, Copy, Debug)]
pub enum AnyAction<'a> {
    /// On a job.
    Job(&'a JobAction),
    /// On the queue.
    Queue(&'a QueueAction),
    /// On a schedule.
    Schedule(&'a ScheduleAction),
}

/// Changes jobs, queues and schedules.
#[async_trait]
pub trait Act: Send + Sync + fmt::Debug {
    /// Acts on jobs of one queue, each in one atomic step that checks what was [`Seen`] of it. The effects are in the
    /// order of `jobs`, always as many. A cut or a time-out in the middle is read back and reported as
    /// [`Effect::Unconfirmed`] where that does not tell; an error means that nothing was sent.
    async fn on_jobs(
        &self,
        queue: &QueueId,
        jobs: &[(String, Seen)],
        action: &JobAction,
    ) -> Result<Vec<Effect>, Trouble>;

    /// Acts on a queue. An error means that nothing was sent.
    async fn on_queue(&self, queue: &QueueId, action: &QueueAction) -> Result<Effect, Trouble>;

    /// Acts on the schedule with this key. An error means that nothing was sent.
    async fn on_schedule(&self, queue: &QueueId, key: &str, action: &ScheduleAction) -> Result<Effect, Trouble>;

    /// The options that a copy of a job has, as JSON text for a form; `None` where they are copied as a whole.
    fn copied_options(&self, _: &JobDetail) -> Option<String> {
        None
    }

    /// What our user lacks in the store to do these things to a queue, as it was last read: one sentence that says what
    /// would permit all of them. `None` where it lacks nothing, and where the store is asked as a whole.
    fn lacks(&self, _: &QueueId, _: &[AnyAction<'_>]) -> Option<String> {
        None
    }
}

/// Reads finished jobs whole and removes exactly what was read, so that no job is ever in neither place.
#[async_trait]
pub trait Archiving: Send + Sync + fmt::Debug {
    /// Reads finished jobs whole, their sizes first: as many from the first on as [`raw::BATCH_BYTES`](super::raw::BATCH_BYTES)
    /// take, and at least one.
    async fn whole(&self, queue: &QueueId, jobs: &[(String, Seen)]) -> Result<Vec<Whole>, Trouble>;

    /// Removes those of these jobs that are, byte for byte, what was read of them; the others stay as they are. As
    /// [`Act::on_jobs`] otherwise.
    async fn remove_exactly(&self, queue: &QueueId, jobs: &[RawJob]) -> Result<Vec<Effect>, Trouble>;

    /// An archived job of that system, in the form in which a job of a queue is shown. `None` if the system is not this
    /// adapter's.
    fn detail_of(&self, system: &str, job: &RawJob) -> Option<JobDetail>;

    /// A new job that does the same as an archived one; else why there can be none, in a sentence.
    fn renewed(&self, job: &RawJob) -> Result<NewJob, String>;

    /// The id of a job that is put back for the n-th time, made from the identity of its run: always the same.
    fn restored_id(&self, run: &[u8; 16], n: i32) -> String {
        let hex: String = run.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        format!("restored-{hex}-{n}")
    }
}

/// Reads trees of jobs.
#[async_trait]
pub trait Flows: Send + Sync + fmt::Debug {
    /// A job's parents and children. `known` are the queues on the board, to tell whose a relative is.
    async fn flow(&self, query: &FlowQuery, known: &[QueueId]) -> Result<Option<Flow>, ReadError>;

    /// Looks for parents that can never run, among a bounded number of those that have waited longest; `None` where
    /// that takes too long. `known` are the queues on the board, to tell whose a child is.
    async fn stuck(&self, queue: &QueueId, known: &[QueueId]) -> Result<Option<Stuck>, Trouble>;

    /// The failed jobs below a job, over all the queues in `known`, up to `most` of them. `None` if there is no such
    /// job.
    async fn failed_below(
        &self,
        _: &QueueId,
        _job: &str,
        _known: &[QueueId],
        _most: usize,
    ) -> Result<Option<FailedBelow>, ReadError> {
        Err(ReadError::Unsupported(NOT_SUPPORTED))
    }

    /// Has failed jobs of a flow run again, each as soon as nothing below it is pending. An error means that nothing
    /// was sent.
    async fn retry(&self, _: &QueueId, jobs: &[(String, Seen)], _: InFlow) -> Result<Vec<Effect>, Trouble> {
        Ok(vec![unsupported(); jobs.len()])
    }
}

/// Measures memory.
#[async_trait]
pub trait Weigh: Send + Sync + fmt::Debug {
    /// Weighs a queue, with `sample` jobs of each list or set it keeps them in at most. Bounded by [`Weigh::cost`],
    /// whatever the backlog.
    async fn queue(&self, queue: &QueueId, sample: u32) -> Result<Answered<QueueWeight>, Trouble>;

    /// The most commands that weighing a queue with these counts takes.
    fn cost(&self, counts: &Counts, sample: u32) -> u64;
}

/// Reads the log lines that jobs write.
#[async_trait]
pub trait Logs: Send + Sync + fmt::Debug {
    /// A part of a job's log; empty if there is none.
    async fn page(&self, query: &LogQuery) -> Result<LogPage, ReadError>;
}

/// The effect of an action that a system does not support. Its capabilities say so before the action is sent.
pub fn unsupported() -> Effect {
    Effect::Refused {
        reason: NOT_SUPPORTED.into(),
    }
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
