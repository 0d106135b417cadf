//! Hidden values, shown once to a caller who gives a reason. The audit log gets an entry before anything is shown:
//! without the entry nothing is shown.

use super::super::act::{NotActed, REASON_MAX};
use super::{Answer, ArchivedJob, FieldBytes, JobDetail, JobPage, JobRequest, QueueRef, Verb, View};
use crate::model::action::Effect;
use crate::model::audit::Became;
use crate::model::format;
use crate::server::audit::record::Record;
use crate::server::collect::board::Position;
use serde_json::{Value, json};
use std::sync::Arc;

/// Its word in addresses and in the audit log.
pub const REVEAL: &str = "reveal";

/// Who wants to see hidden values, and why.
#[derive(Clone, Debug, Default)]
pub struct Reveal {
    /// Why; nothing is shown without.
    pub reason: String,
    /// The id of the request.
    pub request: String,
}

impl View<'_> {
    /// Whether they may see what is hidden of a queue's jobs.
    ///
    /// # Errors
    ///
    /// Why not.
    pub fn may_reveal(&self, key: &QueueRef) -> Result<(), String> {
        let verbs = [Verb::View, Verb::ViewPayload, Verb::Reveal];
        let denied = verbs.iter().find_map(|verb| self.may(*verb, key).err());
        denied.map_or(Ok(()), |refusal| Err(refusal.to_string()))
    }

    /// One job with everything that is hidden of it.
    pub async fn reveal(&self, key: &QueueRef, id: &str, ask: &Reveal) -> Answer<JobDetail> {
        self.may_see_hidden(key)?;
        // Before the audit entry: of a job that does not exist nothing is revealed.
        let job = JobDetail::clone(&*self.service.job(key, id).await?);
        self.note(key, id, ask, Value::Null).await?;
        Ok(job)
    }

    /// The same as its page.
    pub async fn reveal_page(&self, key: &QueueRef, id: &str, ask: &Reveal) -> Answer<(JobPage, Position)> {
        self.may_see_hidden(key)?;
        let request = JobRequest::default();
        let (mut page, position) = self.service.job_page(self.who, key, id, &request).await?;
        page.flow = page.flow.map(|flow| self.relatives(key, flow));
        self.note(key, id, ask, Value::Null).await?;
        Ok((page, position))
    }

    /// A field of a job's record, byte by byte.
    pub async fn reveal_field(&self, key: &QueueRef, id: &str, field: &str, ask: &Reveal) -> Answer<FieldBytes> {
        self.may_see_hidden(key)?;
        let bytes = self.service.field(key, id, field).await?;
        self.note(key, id, ask, json!({"field": field})).await?;
        Ok(bytes)
    }

    /// An archived job with everything that is hidden of it.
    pub async fn reveal_archived(&self, id: &str, ask: &Reveal) -> Answer<ArchivedJob> {
        // A caller who may not see the job gets the same answer as on its page.
        let key = self.archive_job(id).await?.row.queue;
        self.may_see_hidden(&key)?;
        let job = self.service.archive_job(id).await?;
        self.note(&key, &job.row.job, ask, json!({"archived": id})).await?;
        Ok(job)
    }

    fn may_see_hidden(&self, key: &QueueRef) -> Answer<()> {
        self.may(Verb::View, key)?;
        self.may(Verb::ViewPayload, key)?;
        self.may(Verb::Reveal, key)
    }

    /// Writes an audit entry that the caller looks, and why.
    async fn note(&self, key: &QueueRef, job: &str, ask: &Reveal, details: Value) -> Answer<()> {
        let reason = ask.reason.trim();
        if reason.is_empty() {
            return Err(NotActed::Wrong(
                "reason is empty. Say why you need to see hidden values: it is kept in the audit log.".into(),
            )
            .into());
        }
        if reason.chars().count() > REASON_MAX {
            return Err(NotActed::Wrong(format!("reason is longer than {REASON_MAX} characters.")).into());
        }
        let record = Record {
            job: Some(job.to_owned()),
            reason: Some(reason.to_owned()),
            request: ask.request.clone(),
            details,
            ..Record::intent(
                (&self.who.name, &self.who.address),
                REVEAL,
                key.clone(),
                format!("Show job {} of {key} with its hidden values.", format::visible(job)),
            )
        };
        let record = Arc::new(record.masked(&self.service.mask(key)));
        let audit = self.service.actions.audit();
        audit.intend(&record).await.map_err(NotActed::from)?;
        audit.conclude(&record, Became::Known(Effect::done())).await;
        Ok(())
    }
}
