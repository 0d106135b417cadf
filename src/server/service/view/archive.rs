//! The archive, as far as its queues are seen.

use super::{
    Answer, ArchiveFilter, ArchivePage, ArchivedJob, PolicyStanding, ReadError, Refusal, Verb, View, redact, withheld,
};

impl View<'_> {
    /// A page of archived jobs. Rows of queues that are not seen are left out after they were read: a page may be short.
    pub async fn archive_page(
        &self,
        filter: &ArchiveFilter,
        cursor: Option<&str>,
        limit: usize,
    ) -> Answer<ArchivePage> {
        if filter.text.is_some() && !self.who.holds_everywhere(Verb::ViewPayload) {
            // The search looks at all queues before anything is left out.
            return Err(super::super::act::NotActed::Denied(format!(
                "{} may not {} everywhere, so the data of archived jobs cannot be searched. Search by queue, name, id or error.",
                self.who.name,
                Verb::ViewPayload.label()
            ))
            .into());
        }
        let mut page = self.service.archive_page(filter, cursor, limit).await?;
        if !self.who.sees_all() {
            page.items.retain(|row| self.who.sees(&row.queue));
        }
        Ok(page)
    }

    /// The same for a file.
    pub async fn archive_exported(
        &self,
        filter: &ArchiveFilter,
        cursor: Option<&str>,
        limit: usize,
    ) -> Answer<ArchivePage> {
        let mut page = self.archive_page(filter, cursor, limit).await?;
        page.items.retain(|row| self.who.holds(Verb::Export, Some(&row.queue)));
        Ok(page)
    }

    /// One archived job.
    pub async fn archive_job(&self, id: &str) -> Answer<ArchivedJob> {
        let mut job = self.service.archive_job(id).await?;
        if !self.who.sees(&job.row.queue) {
            return Err(Refusal::NotArchived(id.to_owned()));
        }
        let mask = self.service.mask(&job.row.queue);
        redact::archived(&mut job, &mask);
        if !self.looks_into(&job.row.queue) {
            withheld::detail(&mut job.detail);
        }
        Ok(job)
    }

    /// A field of an archived job without its secrets, see [`archive_field`](super::Service::archive_field).
    pub async fn archive_field(&self, id: &str, field: &str) -> Answer<Vec<u8>> {
        let (queue, bytes) = self.service.archive_field(id, field).await?;
        if !self.who.sees(&queue) {
            return Err(Refusal::NotArchived(id.to_owned()));
        }
        self.may(Verb::ViewPayload, &queue)?;
        let bytes = bytes.ok_or_else(|| Refusal::NoField(field.to_owned()))?;
        let (mask, name) = (self.service.mask(&queue), field.to_owned());
        let masked = tokio::task::spawn_blocking(move || redact::bytes(&name, &bytes, &mask).unwrap_or(bytes)).await;
        masked.map_err(|error| Refusal::Unreadable(ReadError::Corrupt(error.to_string())))
    }

    /// Every policy with what became of it so far. A policy tells of queues by a pattern and of jobs by number: it is for
    /// those who see everything.
    pub async fn policy_standings(&self) -> Answer<Vec<PolicyStanding>> {
        match self.who.sees_all() {
            true => self.service.policy_standings().await,
            false => Err(super::super::act::NotActed::Denied(format!(
                "{} sees some queues, and policies are for those who see all.",
                self.who.name
            ))
            .into()),
        }
    }
}
