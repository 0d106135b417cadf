//! What was archived: found, shown, handed over, and put back.
//!
//! A job is put back as a new job with the same name, data and options, or with some of them changed, under an id of
//! its own or, if that is free and asked for, under the old one. The archive first saves a row with the id that the job
//! gets, so that a kill in between never leads to a second job: a repeated request finds the job in the queue, or
//! answers that the result is not known.

use super::act::intent::Intent;
use super::act::{Acted, HIDDEN, NotActed, REASON_MAX};
use super::{Answer, Refusal, Service};
use crate::model::action::{Changes, Effect, JobAction, NewJob, QueueAction};
use crate::model::archive::{ArchiveFilter, ArchivePage, ArchivedJob, Restored, RestoredOne};
use crate::model::audit::Became;
use crate::model::capability::NOT_SUPPORTED;
use crate::model::format;
use crate::model::job::JobDetail;
use crate::model::permission::Verb;
use crate::model::queue::QueueRef;
use crate::server::adapter::{Adapter, QueueId, ReadError, Trouble, unsupported};
use crate::server::archive::Archive;
use crate::server::archive::flow::UNCONFIGURED;
use crate::server::archive::record::ArchiveId;
use crate::server::archive::scope::Scope;
use crate::server::archive::search::Found;
use crate::server::audit::record::{self, Key, Record};
use crate::server::auth::who::{Permission, Who};
use serde_json::json;
use std::sync::Arc;

/// How a job is to be put back.
#[derive(Clone, Debug, Default)]
pub struct Restore {
    /// Under its old id.
    pub original_id: bool,
    /// Although it was put back before.
    pub again: bool,
    /// What the new job has in place of what was archived.
    pub changes: Changes,
    /// The idempotency key, with what it is used for.
    pub key: Option<Key>,
    /// Why.
    pub reason: Option<String>,
    /// The id of the request.
    pub request: String,
}

impl Service {
    /// Whether there is an archive at all.
    #[must_use]
    pub const fn has_archive(&self) -> bool {
        self.archive.is_some()
    }

    /// For how long archived jobs are kept, a sentence for each rule.
    #[must_use]
    pub fn archive_retention(&self) -> Vec<String> {
        self.archive
            .as_ref()
            .map_or_else(Vec::new, |archive| archive.retention())
    }

    pub(super) fn archived(&self) -> Answer<&Arc<Archive>> {
        self.archive
            .as_ref()
            .ok_or_else(|| NotActed::NoArchive(UNCONFIGURED.into()).into())
    }

    /// A page of archived jobs.
    pub(super) async fn archive_page(
        &self,
        filter: &ArchiveFilter,
        scope: &Scope,
        cursor: Option<&str>,
        limit: usize,
    ) -> Answer<ArchivePage> {
        let after = cursor.map(|text| ArchiveId::parse(text).ok_or(Refusal::Unreadable(ReadError::BadCursor)));
        let page = self
            .archived()?
            .page(filter, scope, after.transpose()?, limit, &|queue| self.mask(queue))
            .await;
        page.map_err(unavailable)
    }

    async fn archive_found(&self, id: &str) -> Answer<(ArchiveId, Found)> {
        let none = || Refusal::NotArchived(id.to_owned());
        let key = ArchiveId::parse(id).ok_or_else(none)?;
        let found = self.archived()?.find(key).await.map_err(unavailable)?;
        Ok((key, found.ok_or_else(none)?))
    }

    /// One archived job.
    pub(super) async fn archive_job(&self, id: &str) -> Answer<ArchivedJob> {
        let (key, found) = self.archive_found(id).await?;
        let restored = self.archived()?.restored(key).await.map_err(unavailable)?;
        // The adapter of its own store, or of another of the same kind: its store may be gone from the configuration.
        let own = self.collector(&found.row.queue.store).ok();
        let mut all = own
            .into_iter()
            .chain(self.collectors.iter().map(|(_, collector)| collector))
            .flat_map(|collector| collector.adapters().all());
        let detail = all.find_map(|adapter| adapter.archive()?.detail_of(&found.row.system, &found.job));
        let detail = detail.ok_or_else(|| {
            Refusal::Unreadable(ReadError::Corrupt(
                "No store of the configuration holds jobs of this kind. Download its fields instead.".into(),
            ))
        })?;
        Ok(ArchivedJob {
            row: found.row,
            sha256: found.sha256,
            detail,
            restored,
        })
    }

    /// A field of an archived job, or its whole log under the name `:logs`, byte by byte.
    pub(super) async fn archive_field(&self, id: &str, field: &str) -> Answer<(QueueRef, Option<Vec<u8>>)> {
        let (_, found) = self.archive_found(id).await?;
        if field == ":logs" {
            return Ok((found.row.queue, Some(found.job.logs.join(&b'\n'))));
        }
        let bytes = found.job.field(field).map(<[u8]>::to_vec);
        Ok((found.row.queue, bytes))
    }

    /// Why this caller cannot put the job back now; `None` if they can.
    #[must_use]
    pub fn archive_refusal(&self, who: &Who, queue: &QueueRef) -> Option<String> {
        let intent = Intent::Queue(QueueAction::Add(NewJob::default()));
        match self.queue(queue) {
            Ok(_) => self.refusal_of(who, queue, &intent),
            Err(refusal) => Some(refusal.to_string()),
        }
    }

    /// Puts an archived job back into its queue.
    pub async fn restore(&self, who: &Who, id: &str, ask: Restore) -> Answer<Acted> {
        if ask
            .reason
            .as_ref()
            .is_some_and(|reason| reason.chars().count() > REASON_MAX)
        {
            return Err(NotActed::Wrong(format!("reason is longer than {REASON_MAX} characters.")).into());
        }
        let copy = Intent::Job {
            id: String::new(),
            action: JobAction::Duplicate(ask.changes.clone()),
        };
        copy.check().map_err(NotActed::Wrong)?;
        if copy.holds_hidden() {
            return Err(NotActed::Wrong(HIDDEN.into()).into());
        }
        let (key, found) = self.archive_found(id).await?;
        let queue = found.row.queue.clone();
        if !who.sees(&queue) {
            return Err(Refusal::NotArchived(id.to_owned()));
        }
        self.actions.may(
            who,
            Permission {
                verb: Verb::Add,
                queue: Some(&queue),
            },
        )?;
        self.queue(&queue)?;
        if let Some(why) = self.archive_refusal(who, &queue) {
            return Err(NotActed::NotNow(why).into());
        }
        let mut claimed = match self.claim(ask.key.as_ref())? {
            Ok(claimed) => claimed,
            Err(before) => return Ok(before),
        };
        // One at a time in this process; between processes, the row that is written first decides.
        let _turn = self.restoring.lock().await;
        let archive = self.archived()?.clone();
        let adapter = self.adapter(&queue)?;
        let impossible = || NotActed::Impossible(NOT_SUPPORTED.into());
        let kept = adapter.archive().ok_or_else(impossible)?;
        let before = archive.restored(key).await.map_err(unavailable)?;
        let mask = self.mask(&queue);
        let mut details = json!({"archived": id});
        if ask.changes != Changes::default() {
            details["changes"] = record::details(copy.value(), &mask);
        }
        let record = |job: &str, how: &str| {
            let record = Record {
                idempotency: ask.key.clone(),
                job: Some(job.to_owned()),
                reason: ask
                    .reason
                    .clone()
                    .map(|r| r.trim().to_owned())
                    .filter(|r| !r.is_empty()),
                request: ask.request.clone(),
                details: details.clone(),
                ..Record::intent(
                    (&who.name, &who.address),
                    "restore",
                    queue.clone(),
                    format!(
                        "Add the archived job {} of {queue} again{how}. Its work will be done again.",
                        format::visible(&found.row.job)
                    ),
                )
            };
            record.masked(&mask)
        };
        let renewed = || {
            let mut new = kept.renewed(&found.job).map_err(NotActed::Impossible)?;
            ask.changes.clone().apply(&mut new);
            Ok::<_, NotActed>(new)
        };
        let last = before.first().filter(|_| !ask.again);
        if let Some(last) = last {
            let became = match last.done {
                Some(at) => Effect::Already {
                    now: format!(
                        "It was queued again at {} as job {}. To add it once more, send again: true.",
                        format::iso(at),
                        format::visible(&last.job)
                    ),
                },
                // An earlier request has no known result: only the queue can tell it.
                None => match adapter.job(&queue.queue.as_str().into(), &last.job).await {
                    Ok(Some(there)) if !is_same(&there, &renewed()?) => Effect::Unconfirmed {
                        reason: format!(
                            "It was to be queued again as job {} at {}, but Drover stopped before it knew the result. \
                             The job with that id there now is a different one. To add it once more, send again: \
                             true.",
                            format::visible(&last.job),
                            format::iso(last.asked)
                        ),
                    },
                    Ok(Some(_)) => {
                        archive.settle_restore(key, last.n, true).await.map_err(unavailable)?;
                        Effect::made(last.job.clone())
                    }
                    Ok(None) => Effect::Unconfirmed {
                        reason: format!(
                            "It was to be queued again as job {} at {}, but Drover stopped before it knew the result. \
                             There is no such job now: it was not added, or has run and was removed. To add it once \
                             more, send again: true.",
                            format::visible(&last.job),
                            format::iso(last.asked)
                        ),
                    },
                    Err(error) => return Err(Refusal::Unreadable(error)),
                },
            };
            let became = Became::Known(became);
            return Ok(Acted {
                entry: record(&last.job, "").entry(&became),
                became,
                replayed: true,
            });
        }
        let mut new = renewed()?;
        let n = before.first().map_or(1, |last| last.n.saturating_add(1));
        let job = if ask.original_id {
            found.row.job.clone()
        } else {
            kept.restored_id(&key.digest, n)
        };
        new.id = Some(job.clone());
        let how = if ask.original_id {
            " under its old id"
        } else {
            " as a new job"
        };
        let record = Arc::new(record(&job, how));
        let audit = self.actions.audit().clone();
        audit.intend(&record).await.map_err(NotActed::from)?;
        // The idempotency key now belongs to the audit entry.
        claimed.key = None;
        let restored = Restored {
            n,
            queue: queue.clone(),
            job: job.clone(),
            who: who.name.clone(),
            asked: record.at,
            done: None,
        };
        let (name, sent) = (queue.queue.clone(), record.clone());
        let (adapter, of) = (adapter.clone(), archive.clone());
        // From here on the caller may disconnect.
        let task = self.actions.tasks.spawn(async move {
            // Unless the row is known to be ours it may be another request's, which is then left as it is.
            let (became, own) = match of.will_restore(key, &restored).await {
                Err(trouble) => (Became::NotSent(trouble.cause), false),
                Ok(false) => (
                    Became::NotSent(
                        "Another request is queueing it again right now. Try again in a few seconds.".into(),
                    ),
                    false,
                ),
                Ok(true) => match add(adapter.as_ref(), &name.as_str().into(), new).await {
                    Ok(effect) => (Became::Known(effect), true),
                    Err(trouble) => (Became::NotSent(trouble.cause), true),
                },
            };
            let settled = match &became {
                _ if !own => Ok(()),
                Became::Known(Effect::Done { .. }) => of.settle_restore(key, restored.n, true).await,
                Became::Known(Effect::Unconfirmed { .. }) => Ok(()),
                _ => of.settle_restore(key, restored.n, false).await,
            };
            if let Err(trouble) = settled {
                tracing::warn!(%trouble, "the result of a restore could not be saved");
            }
            audit.conclude(&sent, became.clone()).await;
            became
        });
        let became = task.await.unwrap_or(Became::Lost);
        self.forget(&queue);
        Ok(Acted {
            entry: record.entry(&became),
            became,
            replayed: false,
        })
    }
}

impl Service {
    /// Puts many jobs back, one after the other; returns the result of each, in their order.
    pub async fn restore_many(&self, who: &Who, ids: Vec<String>, ask: &Restore) -> Vec<RestoredOne> {
        let mut items = Vec::with_capacity(ids.len());
        for id in ids {
            items.push(match self.restore(who, &id, ask.clone()).await {
                Ok(acted) => RestoredOne {
                    id,
                    result: acted.entry.result.clone(),
                    detail: acted.became.sentence(),
                    queue: Some(acted.entry.queue.clone()),
                    job: acted.entry.job.clone().filter(|_| acted.was_done()),
                },
                Err(refusal) => RestoredOne {
                    id,
                    result: "refused".into(),
                    detail: refusal.to_string(),
                    queue: None,
                    job: None,
                },
            });
        }
        items
    }
}

/// Whether a job is what was to be added, as far as its name and its data tell.
fn is_same(there: &JobDetail, new: &NewJob) -> bool {
    let or_null = |text: &str| match text {
        "" => "null".to_owned(),
        text => text.to_owned(),
    };
    let same = there.data.as_ref().map_or_else(
        || or_null(&new.data) == "null",
        |data| {
            let text = data.text.as_deref().unwrap_or_default();
            let whole = data.shown == data.size;
            if whole {
                or_null(text) == or_null(&new.data)
            } else {
                data.size == new.data.len() as u64
            }
        },
    );
    there.row.name == new.name && same
}

pub(super) fn unavailable(trouble: Trouble) -> Refusal {
    NotActed::NoArchive(trouble.cause).into()
}

/// Adds a job to a queue.
async fn add(adapter: &dyn Adapter, queue: &QueueId, new: NewJob) -> Result<Effect, Trouble> {
    match adapter.act() {
        Some(act) => act.on_queue(queue, &QueueAction::Add(new)).await,
        None => Ok(unsupported()),
    }
}
