//! The archive, as far as its queues are seen.

use super::{
    Answer, ArchiveFilter, ArchivePage, ArchivedJob, PolicyStanding, ReadError, Refusal, Verb, View, redact, withheld,
};
use crate::server::archive::scope::Scope;

impl View<'_> {
    /// A page of archived jobs of the queues that are seen. Data are searched in queues whose jobs are looked into.
    pub async fn archive_page(
        &self,
        filter: &ArchiveFilter,
        cursor: Option<&str>,
        limit: usize,
    ) -> Answer<ArchivePage> {
        let scope = self.archive_scope(filter, &[])?;
        self.service.archive_page(filter, &scope, cursor, limit).await
    }

    /// The same for a file: of the queues that may be taken away.
    pub async fn archive_exported(
        &self,
        filter: &ArchiveFilter,
        cursor: Option<&str>,
        limit: usize,
    ) -> Answer<ArchivePage> {
        let scope = self.archive_scope(filter, &[Verb::Export])?;
        self.service.archive_page(filter, &scope, cursor, limit).await
    }

    /// The queues for which every permission that a search needs is held. Denied if one is held nowhere, or not for the queue
    /// that the filter names: an empty page would say that there is nothing.
    fn archive_scope(&self, filter: &ArchiveFilter, more: &[Verb]) -> Answer<Scope> {
        let text: &[Verb] = if filter.text.is_some() {
            &[Verb::ViewPayload]
        } else {
            &[]
        };
        let verbs = [&[Verb::View], text, more].concat();
        let named = filter.exact_queue();
        for verb in &verbs {
            self.service.may(self.who, *verb, named.as_ref())?;
        }
        Ok(Scope::of(verbs.into_iter().map(|verb| self.who.globs_of(verb))))
    }

    /// One archived job.
    pub async fn archive_job(&self, id: &str) -> Answer<ArchivedJob> {
        let mut job = self.service.archive_job(id).await?;
        if !self.who.sees(&job.row.queue) {
            return Err(Refusal::NotArchived(id.to_owned()));
        }
        let mask = self.service.mask(&job.row.queue);
        redact::archived(&mut job, &mask);
        self.rules(&job.row.queue, &mut job.detail);
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

    /// Every policy with its results so far. A policy names queues by a pattern and tells numbers of jobs: only callers
    /// who see everything may read it.
    pub async fn policy_standings(&self) -> Answer<Vec<PolicyStanding>> {
        match self.who.sees_all() {
            true => self.service.policy_standings().await,
            false => Err(super::super::act::NotActed::Denied(format!(
                "{} may see some queues only; policies need access to all queues.",
                self.who.name
            ))
            .into()),
        }
    }
}
