//! The use cases: what a page or a caller of the API may know.
//!
//! Pages and API come through here and nowhere else, so that limits hold for both. Everything about
//! queues and stores comes from the board; only lists of jobs and single jobs are read from the
//! store, within its deadline, and once for all who ask for the same in the same moment.

use super::adapter::{JobQuery, ReadError};
use super::chart;
use super::collect::board::{Board, Position};
use super::collect::collector::Collector;
use super::shared::Shared;
use crate::model::error::{Outcome, Problem};
use crate::model::job::JobDetail;
use crate::model::page::{JobPage, JobPageRows, Order, Overview, PAGE_SIZE, PAGE_SIZE_MAX, QueuePage};
use crate::model::queue::{QueueRef, QueueSummary};
use crate::model::state::JobState;
use crate::model::store::StoreSummary;
use std::sync::Arc;
use std::time::Duration;

/// How long one reading of a list or a job serves everybody. Short enough that a person cannot tell.
const SHARE: Duration = Duration::from_millis(250);

/// How long a drawing serves everybody: it is made of slices of ten seconds.
const CHART: Duration = Duration::from_secs(5);

/// The longest job id that is looked up.
const JOB_ID_MAX: usize = 4096;

/// Which page of a queue's jobs, as it stands in an address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobsRequest {
    /// The state; the one that most likely needs a look if left out.
    pub state: Option<JobState>,
    /// The order; the one that helps in that state if left out.
    pub order: Option<Order>,
    /// Where to go on.
    pub cursor: Option<String>,
    /// Rows; [`PAGE_SIZE`] if left out.
    pub limit: Option<usize>,
}

/// Why a use case has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The store is not in the configuration.
    NoStore(String),
    /// The store is, and no such queue is known in it.
    NoQueue(QueueRef),
    /// The queue is, and holds no such job.
    NoJob(QueueRef, String),
    /// It could not be read.
    Unreadable(ReadError),
}

impl Refusal {
    /// For the API.
    #[must_use]
    pub fn problem(&self) -> Problem {
        let (kind, title, status, detail) = match self {
            Self::NoStore(id) => (
                "no-such-store",
                "No such store",
                404,
                format!("No store has the id {id:?}. GET /api/v1/stores lists them."),
            ),
            Self::NoQueue(queue) => (
                "no-such-queue",
                "No such queue",
                404,
                format!(
                    "No queue {:?} is known in the store {:?}. A new one is found within seconds of its first worker, and otherwise with the next search of the key space.",
                    queue.queue, queue.store
                ),
            ),
            Self::NoJob(_, job) => (
                "no-such-job",
                "No such job",
                404,
                format!("The queue holds no job {job:?}: it was removed, or retention removed it after it finished."),
            ),
            Self::Unreadable(ReadError::BadCursor) => {
                ("bad-cursor", "Damaged address", 400, ReadError::BadCursor.to_string())
            }
            Self::Unreadable(ReadError::Store(trouble)) => (
                "store-unavailable",
                "The store does not answer",
                503,
                trouble.cause.clone(),
            ),
            Self::Unreadable(ReadError::Corrupt(what)) => {
                ("unreadable", "The store's data cannot be read", 502, what.clone())
            }
        };
        Problem {
            kind: format!("urn:drover:problem:{kind}"),
            title: title.into(),
            status,
            detail,
            outcome: Outcome::None,
        }
    }
}

type Answer<T> = Result<T, Refusal>;

/// See the module.
#[derive(Debug)]
pub struct Service {
    board: Arc<Board>,
    collectors: Vec<(String, Arc<Collector>)>,
    lists: Shared<(String, JobQuery), Result<JobPageRows, ReadError>>,
    jobs: Shared<(QueueRef, String), Result<Option<JobDetail>, ReadError>>,
    charts: Shared<QueueRef, Arc<str>>,
}

impl Service {
    /// The use cases over a board and its collectors.
    #[must_use]
    pub fn new(board: Arc<Board>, collectors: Vec<(String, Arc<Collector>)>) -> Self {
        Self {
            board,
            collectors,
            lists: Shared::new(SHARE),
            jobs: Shared::new(SHARE),
            charts: Shared::new(CHART),
        }
    }

    fn collector(&self, store: &str) -> Answer<&Arc<Collector>> {
        self.collectors
            .iter()
            .find(|(id, _)| id == store)
            .map(|(_, collector)| collector)
            .ok_or_else(|| Refusal::NoStore(store.to_owned()))
    }

    /// Everything, trouble first.
    #[must_use]
    pub fn overview(&self) -> (Overview, Position) {
        let (mut overview, position) = self.board.overview();
        crate::model::page::sort_by_trouble(&mut overview.queues);
        (overview, position)
    }

    /// One store.
    pub fn store(&self, id: &str) -> Answer<StoreSummary> {
        self.board.store(id).ok_or_else(|| Refusal::NoStore(id.to_owned()))
    }

    /// One queue's line and its store.
    pub fn queue(&self, key: &QueueRef) -> Answer<(QueueSummary, StoreSummary, Position)> {
        self.collector(&key.store)?;
        let (queue, store, position) = self.board.queue(key).ok_or_else(|| Refusal::NoQueue(key.clone()))?;
        Ok((QueueSummary::clone(&queue), store, position))
    }

    /// One page of jobs, with the state and order it is of.
    pub async fn jobs(
        &self,
        key: &QueueRef,
        request: &JobsRequest,
    ) -> Answer<(JobQuery, Result<JobPageRows, ReadError>)> {
        let (queue, ..) = self.queue(key)?;
        let state = request.state.unwrap_or_else(|| most_telling(&queue));
        let query = JobQuery {
            queue: key.queue.as_str().into(),
            state,
            order: request.order.unwrap_or_else(|| Order::of(state)),
            cursor: request.cursor.clone(),
            limit: request.limit.unwrap_or(PAGE_SIZE).clamp(1, PAGE_SIZE_MAX),
        };
        let adapter = self.collector(&key.store)?.adapter().clone();
        let asked = query.clone();
        let rows = self
            .lists
            .get((key.store.clone(), query.clone()), || async move {
                adapter.jobs(&asked).await
            })
            .await;
        Ok((query, rows))
    }

    /// A queue with a page of its jobs. A list that cannot be read is part of the page.
    pub async fn queue_page(&self, key: &QueueRef, request: &JobsRequest) -> Answer<(QueuePage, Position)> {
        let (jobs, chart) = tokio::join!(self.jobs(key, request), self.chart(key));
        let (query, rows) = jobs?;
        if rows == Err(ReadError::BadCursor) {
            return Err(Refusal::Unreadable(ReadError::BadCursor));
        }
        // After the rows, so that the position is not older than what they show.
        let (queue, store, position) = self.queue(key)?;
        let page = QueuePage {
            chart: chart?.to_string(),
            watched_since: self
                .collector(&key.store)?
                .hour(&key.queue)
                .map_or(0, |(.., since)| since),
            queue,
            store,
            jobs: rows.map_err(|error| error.to_string()),
            state: query.state,
            order: query.order,
            limit: query.limit,
            cursor: query.cursor,
        };
        Ok((page, position))
    }

    /// One job.
    pub async fn job(&self, key: &QueueRef, id: &str) -> Answer<JobDetail> {
        self.queue(key)?;
        let gone = || Refusal::NoJob(key.clone(), crate::model::job::cut(id, 200));
        if id.len() > JOB_ID_MAX {
            return Err(gone());
        }
        let adapter = self.collector(&key.store)?.adapter().clone();
        let (queue, job) = (key.queue.as_str().into(), id.to_owned());
        self.jobs
            .get((key.clone(), id.to_owned()), || async move {
                adapter.job(&queue, &job).await
            })
            .await
            .map_err(Refusal::Unreadable)?
            .ok_or_else(gone)
    }

    /// A job's page.
    pub async fn job_page(&self, key: &QueueRef, id: &str) -> Answer<(JobPage, Position)> {
        // Before the job is read: an event that falls in between is then told again, not lost.
        let (.., position) = self.queue(key)?;
        let job = self.job(key, id).await?;
        let (queue, store, _) = self.queue(key)?;
        Ok((JobPage { queue, store, job }, position))
    }

    /// Throughput of the last hour, drawn.
    pub async fn chart(&self, key: &QueueRef) -> Answer<Arc<str>> {
        let collector = self.collector(&key.store)?;
        let Some((slices, newest, since)) = collector.hour(&key.queue) else {
            return Err(Refusal::NoQueue(key.clone()));
        };
        let adapter = collector.adapter().clone();
        let queue = key.queue.as_str().into();
        Ok(self
            .charts
            .get(key.clone(), || async move {
                let (minutes, end) = chart::unwatched(&slices, newest, since);
                // A store that does not answer leaves those minutes blank.
                let kept = adapter.finished(&queue, end, minutes).await.unwrap_or_default();
                chart::throughput(&slices, newest, since, &kept).into()
            })
            .await)
    }
}

/// The state to open a queue at: failures, else work in flight, else backlog, else history.
fn most_telling(queue: &QueueSummary) -> JobState {
    [
        JobState::Failed,
        JobState::Active,
        JobState::Waiting,
        JobState::Prioritized,
        JobState::Delayed,
        JobState::WaitingChildren,
    ]
    .into_iter()
    .find(|state| queue.counts.get(*state).is_some_and(|n| n > 0))
    .unwrap_or(JobState::Completed)
}
