//! One job: its record, its log, its relatives, and its values as they are stored.

use super::{Answer, Refusal, Service};
use crate::model::capability::Feature;
use crate::model::flow::{BRANCH, ChildKind, Flow};
use crate::model::job::{JobDetail, LogPage};
use crate::model::page::JobPage;
use crate::model::queue::QueueRef;
use crate::model::state::JobState;
use crate::server::adapter::{FieldBytes, FieldError, FlowQuery, LogQuery, QueueId, ReadError};
use crate::server::auth::who::Who;
use crate::server::collect::board::Position;
use std::sync::Arc;

/// The longest job id that is looked up.
const JOB_ID_MAX: usize = 4096;

/// Log lines in an answer by default.
pub const LOG_LINES: usize = 200;

/// Log lines in an answer at most.
pub const LOG_LINES_MAX: usize = 1000;

/// The longest text that is searched for in a log.
const FIND_MAX: usize = 256;

/// Children of a kind in an answer at most.
pub const BRANCH_MAX: usize = 100;

/// Which part of a log, as an address names it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogRequest {
    /// The first line; in a search the line to search backwards from.
    pub from: Option<u64>,
    /// Lines; [`LOG_LINES`] if left out.
    pub limit: Option<usize>,
    /// Only lines with this text.
    pub find: Option<String>,
}

/// Which children, as an address names them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlowRequest {
    /// Only these; parents and all kinds if left out.
    pub children: Option<ChildKind>,
    /// Where to go on.
    pub from: Option<String>,
    /// Children of a kind; [`BRANCH`] if left out.
    pub limit: Option<usize>,
}

/// What a job's page is to show of log and children.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobRequest {
    /// The part of the log; the newest by default.
    pub log: LogRequest,
    /// The part of the children; the first of each kind by default.
    pub flow: FlowRequest,
    /// The id of the audit entry of a request made a moment ago.
    pub asked: Option<String>,
}

impl Service {
    /// One job.
    pub(super) async fn job(&self, key: &QueueRef, id: &str) -> Answer<Arc<JobDetail>> {
        self.queue(key)?;
        let gone = || self.no_job(key, id);
        if id.len() > JOB_ID_MAX {
            return Err(gone());
        }
        let collector = Arc::clone(self.collector(&key.store)?);
        let adapter = self.adapter(key)?;
        let (queue, job): (QueueId, _) = (key.queue.as_str().into(), id.to_owned());
        self.jobs
            .get((key.clone(), id.to_owned()), || async move {
                let detail = adapter.job(&queue, &job).await?;
                Ok(detail.map(|mut detail| {
                    if matches!(detail.row.state, JobState::Waiting | JobState::Prioritized) {
                        // The moment of the event is more exact than what the job's record tells.
                        detail.ready = collector.ready_since(&queue, &job).or(detail.ready);
                    }
                    Arc::new(detail)
                }))
            })
            .await
            .map_err(Refusal::Unreadable)?
            .ok_or_else(gone)
    }

    /// A part of a job's log.
    pub(super) async fn logs(&self, key: &QueueRef, id: &str, request: &LogRequest) -> Answer<LogPage> {
        self.queue(key)?;
        let query = LogQuery {
            queue: key.queue.as_str().into(),
            job: id.to_owned(),
            from: request.from.filter(|from| *from > 0),
            limit: request.limit.unwrap_or(LOG_LINES).clamp(1, LOG_LINES_MAX),
            find: request
                .find
                .as_deref()
                .map(|find| cut_bytes(find, FIND_MAX).to_owned())
                .filter(|find| !find.is_empty()),
        };
        let adapter = self.adapter(key)?;
        let asked = query.clone();
        let read = || async move {
            match adapter.logs() {
                Some(logs) => logs.page(&asked).await,
                None => Ok(LogPage::default()),
            }
        };
        let page = self.logs.get((key.store.clone(), query), read).await;
        page.map_err(Refusal::Unreadable)
    }

    /// A job's parents and children.
    pub(super) async fn flow(&self, key: &QueueRef, id: &str, request: &FlowRequest, whole: bool) -> Answer<Flow> {
        self.queue(key)?;
        let query = FlowQuery {
            queue: key.queue.as_str().into(),
            job: id.to_owned(),
            whole,
            branch: request.children.map(|kind| (kind, request.from.clone())),
            limit: request.limit.unwrap_or(BRANCH).clamp(1, BRANCH_MAX),
        };
        let (adapter, known) = (self.adapter(key)?, self.collector(&key.store)?.queues());
        let asked = query.clone();
        let read = || async move {
            match adapter.flows() {
                Some(flows) => flows.flow(&asked, &known).await,
                None => Ok(None),
            }
        };
        let flow = self.flows.get((key.store.clone(), query), read).await;
        flow.map_err(Refusal::Unreadable)?.ok_or_else(|| self.no_job(key, id))
    }

    /// There is no such job.
    pub(super) fn no_job(&self, key: &QueueRef, id: &str) -> Refusal {
        let fate = self.adapter(key).map_or_else(
            |_| String::new(),
            |adapter| adapter.fate(&key.queue.as_str().into(), id),
        );
        Refusal::NoJob(key.clone(), crate::model::job::cut(id, 200), fate)
    }

    /// A field of a job's record as it is stored.
    pub(super) async fn field(&self, key: &QueueRef, id: &str, field: &str) -> Answer<FieldBytes> {
        self.queue(key)?;
        let adapter = self.adapter(key)?;
        let missing = || Refusal::NoField(crate::model::job::cut(field, 200));
        match adapter.field(&key.queue.as_str().into(), id, field).await {
            Ok(bytes) => bytes.ok_or_else(missing),
            Err(FieldError::Busy) => Err(Refusal::Busy),
            Err(FieldError::TooLarge { size, limit }) => Err(Refusal::TooLarge(size, limit)),
            Err(FieldError::Store(trouble)) => Err(Refusal::Unreadable(ReadError::Store(trouble))),
            Err(FieldError::Read(error)) => Err(Refusal::Unreadable(error)),
        }
    }

    /// A job's page.
    pub(super) async fn job_page(
        &self,
        who: &Who,
        key: &QueueRef,
        id: &str,
        request: &JobRequest,
    ) -> Answer<(JobPage, Position)> {
        // Before the job is read: an event that falls in between is then told again, not lost.
        let (.., position) = self.queue(key)?;
        let mut job = JobDetail::clone(&*self.job(key, id).await?);
        let related = job.parent.is_some() || job.children.is_some();
        let (flow, logs) = tokio::join!(
            async {
                match related {
                    true => Some(self.flow(key, id, &request.flow, true).await),
                    false => None,
                }
            },
            async {
                match request.log == LogRequest::default() {
                    true => None,
                    false => Some(self.logs(key, id, &request.log).await),
                }
            }
        );
        let flow = match flow {
            Some(Err(Refusal::Unreadable(ReadError::BadCursor))) => {
                return Err(Refusal::Unreadable(ReadError::BadCursor));
            }
            Some(Err(refusal)) => {
                let why = refusal.to_string();
                job.oddities.push(format!("Its relatives could not be read: {why}"));
                None
            }
            Some(Ok(flow)) => Some(flow),
            None => None,
        };
        match logs {
            Some(Ok(logs)) => job.logs = logs,
            Some(Err(refusal)) => {
                let why = refusal.to_string();
                job.oddities.push(format!("The log could not be read: {why}"));
            }
            None => {}
        }
        let (queue, store, _) = self.queue(key)?;
        let mut offer = self.offer_job(who, (&queue, &store), (&job, flow.as_ref()), request.asked.as_deref());
        offer.undo = match &offer.last {
            Some(last) => self.undo_of(who, last).await,
            None => None,
        };
        let can = self.capabilities(&queue);
        let page = JobPage {
            no_log: can.and_then(|can| can.lack(Feature::Logs)).map(str::to_owned),
            lists: can.map_or_else(|| JobState::ALL.to_vec(), |can| can.generation.states.clone()),
            offer,
            queue,
            store,
            job,
            flow,
        };
        Ok((page, position))
    }
}

/// The first bytes of a text, never half a character.
fn cut_bytes(text: &str, max: usize) -> &str {
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
