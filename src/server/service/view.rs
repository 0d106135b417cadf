//! What one caller may see: every answer that a page, the API or a stream gives is read through this.
//!
//! [`Service`] reads each answer once for all callers. A [`View`] leaves out the queues that its caller does not see, and
//! the data of jobs where the caller may not look into jobs. Nothing outside of [`service`](super) can bypass it.

use super::queues::JobsRequest;
use super::{Answer, FlowRequest, JobRequest, LogRequest, Refusal, Service, redact};
use crate::model::archive::{ArchiveFilter, ArchivePage, ArchivedJob};
use crate::model::audit::{AuditEntry, AuditPage};
use crate::model::flow::Flow;
use crate::model::form::Offered;
use crate::model::insight::Insight;
use crate::model::job::{JobDetail, LogPage};
use crate::model::operation::{ItemResult, Operation};
use crate::model::page::{JobPage, JobPageRows, QueueAside, QueuePage};
use crate::model::permission::Verb;
use crate::model::policy::PolicyStanding;
use crate::model::queue::{QueueRef, QueueSummary};
use crate::model::schedule::SchedulesPage;
use crate::model::store::StoreSummary;
use crate::model::vitals::{Answered, Series, StoreDetail, StorePage};
use crate::model::weights::MemoryByQueue;
use crate::model::worker::{FleetFilter, WorkersPage};
use crate::server::adapter::{FieldBytes, JobQuery, ReadError, Trouble};
use crate::server::audit::AuditFilter;
use crate::server::auth::who::Who;
use crate::server::collect::board::Position;
use reveal::REVEAL;
use std::sync::Arc;

mod archive;
pub mod reveal;
mod withheld;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    service: &'a Service,
    who: &'a Who,
}

impl Service {
    /// What a caller may see.
    #[must_use]
    pub const fn view<'a>(&'a self, who: &'a Who) -> View<'a> {
        View { service: self, who }
    }
}

impl View<'_> {
    fn may(&self, verb: Verb, queue: &QueueRef) -> Answer<()> {
        self.service.may(self.who, verb, Some(queue))
    }

    /// Whether they see what jobs of a queue carry.
    fn looks_into(&self, queue: &QueueRef) -> bool {
        self.who.holds(Verb::ViewPayload, Some(queue))
    }

    /// All stores and queues that they see, the queues by store and id.
    #[must_use]
    pub fn lines(&self) -> (Vec<StoreSummary>, Vec<Arc<QueueSummary>>, Position) {
        let (mut stores, mut queues, position) = self.service.lines();
        if !self.who.sees_all() {
            let who = self.who;
            queues.retain(|queue| who.sees(&queue.key()));
            stores.retain(|store| who.holds_somewhere_in(Verb::View, &store.id));
        }
        (stores, queues, position)
    }

    /// One store, if they see anything in it.
    pub fn store(&self, id: &str) -> Answer<StoreSummary> {
        match self.who.holds_somewhere_in(Verb::View, id) {
            true => self.service.store(id),
            false => Err(Refusal::NoStore(id.to_owned())),
        }
    }

    /// One queue's line and its store.
    pub fn queue(&self, key: &QueueRef) -> Answer<(QueueSummary, StoreSummary, Position)> {
        self.may(Verb::View, key)?;
        self.service.queue(key)
    }

    /// One page of jobs, with the state and order it is of.
    pub async fn jobs(
        &self,
        key: &QueueRef,
        request: &JobsRequest,
    ) -> Answer<(JobQuery, Result<JobPageRows, ReadError>)> {
        self.may_search(key, request)?;
        let (query, rows) = self.service.jobs(key, request).await?;
        Ok((query, rows.map(|rows| self.rows(key, rows))))
    }

    /// A queue with a page of its jobs.
    pub async fn queue_page(&self, key: &QueueRef, request: &JobsRequest) -> Answer<(QueuePage, Position)> {
        self.may_search(key, request)?;
        let (mut page, position) = self.service.queue_page(key, request).await?;
        page.jobs = page.jobs.map(|rows| self.rows(key, rows));
        Ok((page, position))
    }

    /// A caller who may not look into jobs may not search their data either: the results would tell what is in them.
    fn may_search(&self, key: &QueueRef, request: &JobsRequest) -> Answer<()> {
        self.may(Verb::View, key)?;
        match &request.filter {
            Some((_, filter)) if filter.data.is_some() => self.may(Verb::ViewPayload, key),
            _ => Ok(()),
        }
    }

    fn rows(&self, key: &QueueRef, mut rows: JobPageRows) -> JobPageRows {
        if !self.looks_into(key) {
            rows.rows.iter_mut().for_each(withheld::row);
        }
        rows
    }

    /// The part of the page beside the queue's facts.
    pub async fn queue_aside(&self, key: &QueueRef) -> Answer<QueueAside> {
        self.may(Verb::View, key)?;
        let mut aside = self.service.queue_aside(self.who, key).await?;
        aside.dead_letters.retain(|letters| self.who.sees(&letters.queue));
        aside.dead_letters_of.retain(|queue| self.who.sees(queue));
        aside.operations.retain(|operation| self.sees_operation(operation));
        Ok(aside)
    }

    /// Limits, retention and times.
    pub async fn insight(&self, key: &QueueRef) -> Answer<Result<Insight, Trouble>> {
        self.may(Verb::View, key)?;
        self.service.insight(key).await
    }

    /// Throughput of the last hour, drawn.
    pub async fn chart(&self, key: &QueueRef) -> Answer<Arc<str>> {
        self.may(Verb::View, key)?;
        self.service.chart(key).await
    }

    /// One job.
    pub async fn job(&self, key: &QueueRef, id: &str) -> Answer<JobDetail> {
        self.may(Verb::View, key)?;
        let mut job = JobDetail::clone(&*self.service.job(key, id).await?);
        self.detail(key, &mut job);
        Ok(job)
    }

    /// Takes out of a job what this caller may not see. Returns whether secrets are hidden in what they may.
    fn detail(&self, key: &QueueRef, job: &mut JobDetail) -> bool {
        let hidden = redact::detail(job, &self.service.mask(key));
        self.rules(key, job);
        if self.looks_into(key) {
            return hidden;
        }
        withheld::detail(job);
        false
    }

    /// Leaves the rules that hide values in a job to those who may see the values.
    fn rules(&self, key: &QueueRef, job: &mut JobDetail) {
        if self.may_reveal(key).is_err() {
            job.hidden_by.clear();
        }
    }

    /// A part of a job's log.
    pub async fn logs(&self, key: &QueueRef, id: &str, request: &LogRequest) -> Answer<LogPage> {
        self.may(Verb::ViewPayload, key)?;
        self.service.logs(key, id, request).await
    }

    /// A job's parents and children.
    pub async fn flow(&self, key: &QueueRef, id: &str, request: &FlowRequest, whole: bool) -> Answer<Flow> {
        self.may(Verb::View, key)?;
        let flow = self.service.flow(key, id, request, whole).await?;
        Ok(self.relatives(key, flow))
    }

    /// Of relatives in queues that the caller does not see, only the key is shown: that they exist is part of this job.
    fn relatives(&self, key: &QueueRef, mut flow: Flow) -> Flow {
        if !self.who.holds_in_store(Verb::View, &key.store) {
            let who = self.who;
            withheld::flow(&mut flow, |queue| {
                who.sees(&QueueRef {
                    store: key.store.clone(),
                    queue: queue.to_owned(),
                })
            });
        }
        flow
    }

    /// A field of a job's record: as it is stored, but for its secrets.
    pub async fn field(&self, key: &QueueRef, id: &str, field: &str) -> Answer<FieldBytes> {
        self.may(Verb::ViewPayload, key)?;
        let mut value = self.service.field(key, id, field).await?;
        let (bytes, mask, name) = (value.bytes.clone(), self.service.mask(key), field.to_owned());
        // A large one takes a second, so it is masked outside of the threads that answer requests.
        let masked = tokio::task::spawn_blocking(move || redact::bytes(&name, &bytes, &mask)).await;
        let masked = masked.map_err(|error| Refusal::Unreadable(ReadError::Corrupt(error.to_string())))?;
        if let Some(masked) = masked {
            (value.bytes, value.text) = (masked.into(), true);
        }
        Ok(value)
    }

    /// A job's page.
    pub async fn job_page(&self, key: &QueueRef, id: &str, request: &JobRequest) -> Answer<(JobPage, Position)> {
        self.may(Verb::View, key)?;
        if request.log.find.is_some() {
            self.may(Verb::ViewPayload, key)?;
        }
        let (mut page, position) = self.service.job_page(self.who, key, id, request).await?;
        let hidden = self.detail(key, &mut page.job);
        if hidden && self.may_reveal(key).is_ok() {
            page.offer.safe.push(Offered {
                word: REVEAL.into(),
                label: "Show hidden values…".into(),
                at_once: false,
                key: None,
            });
        }
        page.flow = page.flow.map(|flow| self.relatives(key, flow));
        Ok((page, position))
    }

    /// The workers of each queue.
    pub async fn workers(&self, filter: &FleetFilter) -> Answer<(Arc<WorkersPage>, Position)> {
        if let Some(queue) = &filter.queue {
            self.may(Verb::View, queue)?;
        }
        Ok(self.service.workers(self.who, filter).await)
    }

    /// What runs when.
    pub async fn schedules(&self, filter: &FleetFilter) -> Answer<(SchedulesPage, Position)> {
        if let Some(queue) = &filter.queue {
            self.may(Verb::View, queue)?;
        }
        let (mut page, position) = self.service.schedules(self.who, filter).await?;
        for schedule in &mut page.schedules {
            if !self.looks_into(&schedule.queue) {
                withheld::schedule(schedule);
            }
        }
        Ok((page, position))
    }

    /// A store in full is for those who see everything in it.
    fn may_store(&self, id: &str) -> Answer<()> {
        self.store(id)?;
        match self.who.holds_in_store(Verb::View, id) {
            true => Ok(()),
            false => Err(super::act::NotActed::Denied(format!(
                "{} may see some queues of the store {id}, but not the store itself, which shows all of them.",
                self.who.name
            ))
            .into()),
        }
    }

    /// One store in full.
    pub async fn store_detail(&self, id: &str) -> Answer<StoreDetail> {
        self.may_store(id)?;
        self.service.store_detail(id).await
    }

    /// A store's page.
    pub async fn store_page(&self, id: &str, sample: u32) -> Answer<(StorePage, Position)> {
        self.may_store(id)?;
        self.service.store_page(id, sample).await
    }

    /// One figure of a store over the last hour, drawn.
    pub async fn store_chart(&self, id: &str, series: Series) -> Answer<Arc<str>> {
        self.may_store(id)?;
        self.service.store_chart(id, series).await
    }

    /// Memory by queue.
    pub async fn memory_by_queue(&self, id: &str, sample: u32) -> Answer<Answered<MemoryByQueue>> {
        self.may_store(id)?;
        self.service.memory_by_queue(id, sample).await
    }

    /// An operation names its queues and its jobs: it is shown to those who see all of them.
    fn sees_operation(&self, operation: &Operation) -> bool {
        operation.queues.iter().all(|queue| self.who.sees(queue))
    }

    /// Operations, the newest first.
    #[must_use]
    pub fn operations(&self) -> Vec<Operation> {
        let mut all = self.service.all_operations();
        all.retain(|operation| self.sees_operation(operation));
        all
    }

    /// One operation.
    pub fn operation(&self, id: &str) -> Answer<Operation> {
        let operation = self.service.operation(id)?;
        match self.sees_operation(&operation) {
            true => Ok(operation),
            false => Err(Refusal::NoOperation(id.to_owned())),
        }
    }

    /// Jobs of an operation with their results, see [`Service::results`].
    pub async fn results(
        &self,
        id: &str,
        result: Option<&str>,
        offset: usize,
        limit: usize,
    ) -> Answer<(Vec<ItemResult>, u64)> {
        self.operation(id)?;
        self.service.results(id, result, offset, limit).await
    }

    /// All results, as a file.
    pub async fn exported_results(&self, id: &str) -> Answer<Vec<ItemResult>> {
        for queue in &self.operation(id)?.queues {
            self.may(Verb::Export, queue)?;
        }
        Ok(self.service.results(id, None, 0, usize::MAX).await?.0)
    }

    /// Audit entries: requests and their outcomes, the newest first.
    pub fn audit(&self, filter: &AuditFilter, cursor: Option<&str>, limit: Option<usize>) -> Answer<AuditPage> {
        self.service.audit(self.who, filter, cursor, limit)
    }

    /// One audit entry.
    #[must_use]
    pub fn audited(&self, id: &str) -> Option<AuditEntry> {
        self.service.audited(id).filter(|entry| self.who.sees(&entry.queue))
    }
}
