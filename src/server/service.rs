//! The use cases: what a page or a caller of the API may know.
//!
//! Pages and API come through here and nowhere else, so that limits hold for both. Everything about
//! queues and stores comes from the board; only lists of jobs and single jobs are read from the
//! store, within its deadline, and once for all requests for the same data at the same moment.
//!
//! - [`view`]: all of the following, as one caller may see it: what pages and API ask
//! - [`queues`]: a queue's jobs and throughput
//! - [`jobs`]: one job, its log, its relatives, and its values as they are stored
//! - [`fleet`]: workers and schedules
//! - [`permission`]: whether a caller may
//! - [`act`]: what changes something; [`operations`]: what changes many things
//! - [`archive`]: archived jobs, and putting them back; [`policies`]: automatic archiving
//! - [`view`]: what one caller may see of it; [`mod@redact`]: whole jobs without their secrets
//! - [`stores`]: one store in full; [`weights`]: the memory its queues take

use self::policies::runner::Policies;
use super::adapter::{FlowQuery, JobQuery, LogQuery, ReadError, Trouble};
use super::archive::Archive;
use super::collect::board::{Board, Position};
use super::collect::collector::Collector;
use super::operation::Operations;
use super::redact::{Mask, Redactor, said};
use super::shared::Shared;
use crate::model::action::catalogue::ActionKind;
use crate::model::capability::Capabilities;
use crate::model::flow::Flow;
use crate::model::format;
use crate::model::insight::Insight;
use crate::model::job::{JobDetail, LogPage};
use crate::model::page::JobPageRows;
use crate::model::queue::{QueueRef, QueueSummary};
use crate::model::store::StoreSummary;
use crate::server::adapter::Adapter;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub mod act;
pub mod archive;
pub mod fleet;
pub mod jobs;
pub mod operations;
pub mod permission;
pub mod policies;
pub mod queues;
mod redact;
pub mod stores;
pub mod view;
pub mod weights;

pub use jobs::{FlowRequest, JobRequest, LogRequest};
pub use queues::JobsRequest;

/// How long all readers share one reading of a list or a job. Short enough that a person cannot tell.
const SHARE: Duration = Duration::from_millis(250);

/// How long all readers share a drawing and a queue's settings: no reader sees the difference.
const CHART: Duration = Duration::from_secs(5);

/// Why a use case has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The store is not in the configuration.
    NoStore(String),
    /// The store is in the configuration, and no such queue is known in it.
    NoQueue(QueueRef),
    /// The store has not been searched since Drover started, so it is not known whether the queue exists; and
    /// why, if the store does not answer.
    NotSearched(QueueRef, Option<String>),
    /// The queue exists and holds no such job; and what may have happened to the job.
    NoJob(QueueRef, String, String),
    /// The job exists and has no such field, or nothing of the requested kind.
    NoField(String),
    /// The value is larger than anything that is handed over: its bytes, and the limit.
    TooLarge(u64, u64),
    /// One at a time, and another one is under way.
    Busy,
    /// It could not be read.
    Unreadable(ReadError),
    /// There is no such operation, or not any more.
    NoOperation(String),
    /// There is no such job in the archive.
    NotArchived(String),
    /// There is no such policy of the archive.
    NoPolicy(String),
    /// An action was not tried.
    NotActed(act::NotActed),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoStore(id) => write!(f, "No store has the id {id:?}. GET /api/v1/stores lists them."),
            Self::NoQueue(QueueRef { store, queue }) => write!(
                f,
                "No queue {queue:?} is known in the store {store:?}. A new one is found within seconds of its first \
                 worker, and otherwise with the next search of the key space."
            ),
            Self::NotSearched(QueueRef { store, .. }, None) => write!(
                f,
                "Drover has just started and is still searching the store {store:?} for its queues. Try again in a few \
                 seconds."
            ),
            Self::NotSearched(QueueRef { store, .. }, Some(cause)) => write!(
                f,
                "The store {store:?} has not answered since Drover started, so its queues are not known: {cause}"
            ),
            Self::NoJob(_, job, fate) => write!(f, "The queue holds no job {job:?}: {fate}"),
            Self::NoField(field) => write!(f, "The record of this job has no field {field:?} now."),
            Self::TooLarge(size, limit) => write!(
                f,
                "The value takes {}; at most {} are returned. Read it with the store's own tools.",
                format::bytes(*size),
                format::bytes(*limit)
            ),
            Self::Busy => f.write_str("Another large value of this store is being read. Try again in a few seconds."),
            Self::NoOperation(id) => write!(
                f,
                "No operation has the id {id:?}: the newest 200 are kept. GET /api/v1/operations lists them."
            ),
            Self::NotArchived(id) => write!(
                f,
                "No archived job has the id {id:?}. GET /api/v1/archive/jobs finds them."
            ),
            Self::NoPolicy(id) => write!(
                f,
                "No policy of the archive has the id {id:?}. GET /api/v1/archive/policies lists them."
            ),
            Self::NotActed(why) => why.fmt(f),
            Self::Unreadable(ReadError::BadCursor) => ReadError::BadCursor.fmt(f),
            Self::Unreadable(ReadError::Store(trouble)) => f.write_str(&trouble.cause),
            Self::Unreadable(ReadError::Corrupt(what)) => f.write_str(&said(what)),
            Self::Unreadable(ReadError::Unsupported(why)) => f.write_str(why),
        }
    }
}

type Answer<T> = Result<T, Refusal>;

/// What reading a job gave; shared, because it may be large.
type JobRead = Result<Option<Arc<JobDetail>>, ReadError>;

/// See the module.
#[derive(Debug)]
pub struct Service {
    board: Arc<Board>,
    collectors: Vec<(String, Arc<Collector>)>,
    lists: Shared<(String, JobQuery), Result<JobPageRows, ReadError>>,
    jobs: Shared<(QueueRef, String), JobRead>,
    logs: Shared<(String, LogQuery), Result<LogPage, ReadError>>,
    flows: Shared<(String, FlowQuery), Result<Option<Flow>, ReadError>>,
    charts: Shared<QueueRef, Arc<str>>,
    insights: Shared<QueueRef, Result<Insight, Trouble>>,
    fleet: fleet::Fleet,
    stores: stores::Stores,
    actions: act::ActionContext,
    /// Or why there can be none.
    operations: Result<Arc<Operations>, String>,
    archive: Option<Arc<Archive>>,
    policies: Policies,
    redactor: Arc<Redactor>,
    /// Held while an archived job is put back.
    restoring: tokio::sync::Mutex<()>,
}

impl Service {
    /// The use cases over a board and its collectors.
    #[must_use]
    pub fn new(
        board: Arc<Board>,
        collectors: Vec<(String, Arc<Collector>)>,
        actions: act::ActionContext,
        operations: Result<Arc<Operations>, String>,
        archive: Option<Arc<Archive>>,
        policies: Policies,
        redactor: Arc<Redactor>,
    ) -> Self {
        Self {
            board,
            collectors,
            lists: Shared::new(SHARE),
            jobs: Shared::new(SHARE),
            logs: Shared::new(SHARE),
            flows: Shared::new(SHARE),
            charts: Shared::new(CHART),
            insights: Shared::new(CHART),
            fleet: fleet::Fleet::default(),
            stores: stores::Stores::default(),
            actions,
            operations,
            archive,
            policies,
            redactor,
            restoring: tokio::sync::Mutex::default(),
        }
    }

    /// What is hidden in a queue.
    fn mask(&self, key: &QueueRef) -> Mask {
        let name = self.board.queue(key).map(|(line, ..)| line.name.clone());
        // Archived jobs of a queue that no longer exists know only its id.
        let name = name.unwrap_or_else(|| key.queue.rsplit(':').next().unwrap_or_default().to_owned());
        self.redactor.for_queue(&key.store, &key.queue, &name)
    }

    fn collector(&self, store: &str) -> Answer<&Arc<Collector>> {
        self.collectors
            .iter()
            .find(|(id, _)| id == store)
            .map(|(_, collector)| collector)
            .ok_or_else(|| Refusal::NoStore(store.to_owned()))
    }

    /// The adapter of a queue.
    fn adapter(&self, queue: &QueueRef) -> Answer<Arc<dyn Adapter>> {
        let adapter = self.collector(&queue.store)?.adapter(&queue.queue);
        adapter.ok_or_else(|| self.no_queue(queue))
    }

    /// All stores and queues, the queues by store and id.
    fn lines(&self) -> (Vec<StoreSummary>, Vec<Arc<QueueSummary>>, Position) {
        self.board.note_viewer();
        self.board.lines()
    }

    /// One store.
    fn store(&self, id: &str) -> Answer<StoreSummary> {
        self.board.note_viewer();
        self.board.store(id).ok_or_else(|| Refusal::NoStore(id.to_owned()))
    }

    /// One queue's line and its store.
    fn queue(&self, key: &QueueRef) -> Answer<(QueueSummary, StoreSummary, Position)> {
        self.collector(&key.store)?;
        self.board.note_viewer();
        let (queue, store, position) = self.board.queue(key).ok_or_else(|| self.no_queue(key))?;
        Ok((QueueSummary::clone(&queue), store, position))
    }

    /// Whether an action can be done to any queue that is known.
    #[must_use]
    pub fn can_anywhere(&self, kind: ActionKind) -> bool {
        let (_, queues, _) = self.board.lines();
        let can = |queue: &QueueSummary| self.capabilities(queue).is_some_and(|can| can.refusal(kind).is_none());
        queues.iter().any(|queue| can(queue))
    }

    /// What each generation of each system in the configured stores can do.
    #[must_use]
    pub fn systems(&self) -> Vec<&'static Capabilities> {
        let mut all: Vec<&Capabilities> = self
            .collectors
            .iter()
            .flat_map(|(_, collector)| collector.adapters().all())
            .flat_map(|adapter| adapter.generations())
            .collect();
        all.sort_by_key(|can| (can.generation.system, can.generation.layout.as_str()));
        all.dedup_by_key(|can| &can.generation.layout);
        all
    }

    /// Why a queue is not on the board.
    fn no_queue(&self, key: &QueueRef) -> Refusal {
        match self.board.store(&key.store) {
            Some(store) if !store.searched => Refusal::NotSearched(key.clone(), store.cause),
            _ => Refusal::NoQueue(key.clone()),
        }
    }
}
