//! One job.

use super::{Answer, Refusal, Service};
use crate::model::job::JobDetail;
use crate::model::page::JobPage;
use crate::model::queue::QueueRef;
use crate::server::collect::board::Position;

/// The longest job id that is looked up.
const JOB_ID_MAX: usize = 4096;

impl Service {
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
}
