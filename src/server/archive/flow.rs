//! From the queue into the archive: the order that its promises depend on.
//!
//! 1. Jobs are read whole, as many as fit in memory, their sizes first.
//! 2. Their rows are written and committed ([`super::keep`]). A run of a job that is there already with the same bytes
//!    is as good; with other bytes it is a conflict, and the job stays.
//! 3. Only now is each compared with what was read of it, and removed, in one step in its store.
//!
//! Killed between 2 and 3, or in 3: the next run reads what is left, finds the rows there, and goes on with 3.

use super::keep::Kept;
use super::{Archive, ArchivedQueue};
use crate::model::action::{Effect, Seen};
use crate::model::store::Reach;
use crate::server::adapter::raw::{RawJob, Whole};
use crate::server::adapter::{Adapter, QueueId, Trouble, unsupported};

/// Jobs after step 2: each has its result, or is durable and left to be removed.
#[derive(Debug)]
pub struct Secured {
    queue: QueueId,
    effects: Vec<Option<Effect>>,
    durable: Vec<RawJob>,
}

impl Secured {
    /// How many jobs, from the first that was asked for.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.effects.len()
    }

    /// Whether it is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.effects.is_empty()
    }

    /// Step 3: the effect on each job, and the bytes of those that were removed. An error means that nothing was.
    ///
    /// # Errors
    ///
    /// When the store does not answer.
    pub async fn remove(mut self, adapter: &dyn Adapter) -> Result<(Vec<Effect>, u64), Trouble> {
        let mut bytes = 0;
        if !self.durable.is_empty() {
            let removed = match adapter.archive() {
                Some(kept) => kept.remove_exactly(&self.queue, &self.durable).await?,
                None => vec![unsupported(); self.durable.len()],
            };
            bytes = self
                .durable
                .iter()
                .zip(&removed)
                .filter(|(_, effect)| matches!(effect, Effect::Done { .. }))
                .map(|(job, _)| job.size() as u64)
                .sum();
            let mut removed = removed.into_iter().map(|effect| match effect {
                Effect::Gone => {
                    already("It is in the archive; another client removed it from the queue in the meantime.")
                }
                Effect::Changed { now } => Effect::Changed {
                    now: format!("{now} The archive has it as it was before."),
                },
                Effect::Unconfirmed { reason } => Effect::Unconfirmed {
                    reason: format!("It is in the archive. Its removal from the queue: {reason}"),
                },
                other => other,
            });
            for effect in self.effects.iter_mut().filter(|effect| effect.is_none()) {
                *effect = removed.next();
            }
        }
        let unanswered = || Effect::Unconfirmed {
            reason: "No answer was received. Check the job before you try again.".into(),
        };
        let effects = self.effects.into_iter();
        let effects = effects.map(|effect| effect.unwrap_or_else(unanswered));
        Ok((effects.collect(), bytes))
    }
}

/// Jobs of a queue that no longer looks like one: they stay where they are.
fn unrecognised(queue: QueueId, effects: Vec<Option<Effect>>) -> Secured {
    let refused = || Effect::Refused {
        reason: "The library of this queue is not recognised, so nothing was archived and nothing removed.".into(),
    };
    let effects = effects.into_iter().map(|effect| Some(effect.unwrap_or_else(refused)));
    Secured {
        queue,
        effects: effects.collect(),
        durable: vec![],
    }
}

fn already(now: &str) -> Effect {
    Effect::Already { now: now.to_owned() }
}

impl Archive {
    /// Steps 1 and 2 for jobs of one queue: for as many from the first on as fit in memory, at least one.
    ///
    /// # Errors
    ///
    /// When the store or the archive does not answer: nothing was removed.
    pub async fn secure(
        &self,
        adapter: &dyn Adapter,
        place: &ArchivedQueue,
        jobs: &[(String, Seen)],
    ) -> Result<Secured, Trouble> {
        self.ready()?;
        let queue: QueueId = place.queue.as_str().into();
        let mut effects = Vec::new();
        let mut read = Vec::new();
        let whole = match adapter.archive() {
            Some(kept) => kept.whole(&queue, jobs).await?,
            None => jobs.iter().map(|_| Whole::Not(unsupported())).collect(),
        };
        for whole in whole {
            match whole {
                Whole::Job(job) => {
                    read.push(job);
                    effects.push(None);
                }
                Whole::Not(effect) => effects.push(Some(effect)),
            }
        }
        self.look_for_gone(place, jobs, &mut effects).await?;
        let kept = if read.is_empty() {
            vec![]
        } else {
            // Without a known system only the adapter can say whose jobs these are: a row with another one could not be read.
            let known = match place.system {
                Some(_) => place.clone(),
                None => {
                    let found = adapter.recognise(std::slice::from_ref(&queue)).await?;
                    ArchivedQueue {
                        system: found.first().map(|found| found.system.word()),
                        ..place.clone()
                    }
                }
            };
            if known.system.is_none() {
                return Ok(unrecognised(queue, effects));
            }
            self.keep(&known, &read).await?
        };
        let mut durable = Vec::with_capacity(read.len());
        let mut open = effects.iter_mut().filter(|effect| effect.is_none());
        for (job, kept) in read.into_iter().zip(kept) {
            let effect = open.next();
            match kept {
                Kept::Durable => durable.push(job),
                Kept::Conflict => {
                    if let Some(effect) = effect {
                        *effect = Some(conflict(place, &job));
                    }
                }
            }
        }
        Ok(Secured {
            queue,
            effects,
            durable,
        })
    }

    /// A job that is gone may be gone because it was archived before.
    async fn look_for_gone(
        &self,
        place: &ArchivedQueue,
        jobs: &[(String, Seen)],
        effects: &mut [Option<Effect>],
    ) -> Result<(), Trouble> {
        let gone: Vec<(usize, super::record::ArchiveId)> = effects
            .iter()
            .zip(jobs)
            .enumerate()
            .filter(|(_, (effect, _))| **effect == Some(Effect::Gone))
            .filter_map(|(i, (_, (id, seen)))| Some((i, place.id_of(id, seen.finished_on?, seen.attempts?))))
            .collect();
        let ids: Vec<_> = gone.iter().map(|(_, id)| *id).collect();
        for ((i, _), there) in gone.iter().zip(self.has(&ids).await?) {
            if there {
                effects[*i] = Some(already("It is already in the archive."));
            }
        }
        Ok(())
    }

    /// All three steps for jobs of one queue, however many; returns the effect on each, in their order.
    ///
    /// # Errors
    ///
    /// When no job was removed.
    pub async fn archive(
        &self,
        adapter: &dyn Adapter,
        place: &ArchivedQueue,
        jobs: &[(String, Seen)],
    ) -> Result<Vec<Effect>, Trouble> {
        let mut all = Vec::with_capacity(jobs.len());
        while all.len() < jobs.len() {
            let step = async {
                let secured = self.secure(adapter, place, &jobs[all.len()..]).await?;
                secured.remove(adapter).await
            };
            match step.await {
                Ok((effects, _)) if !effects.is_empty() => all.extend(effects),
                Ok(_) => return Err(Trouble::new(Reach::Live, "The store gave no answer for these jobs.")),
                Err(trouble) if all.is_empty() => return Err(trouble),
                Err(trouble) => all.resize(
                    jobs.len(),
                    Effect::Refused {
                        reason: format!("It was not archived: {trouble}"),
                    },
                ),
            }
        }
        Ok(all)
    }
}

fn conflict(place: &ArchivedQueue, job: &RawJob) -> Effect {
    Effect::Refused {
        reason: format!(
            "The archive already has this run of the job with different contents ({}): it was changed after it was \
             archived. Compare the two, and remove the one in the queue if it is not needed.",
            place.id_of(&job.id, job.finished_on, job.attempts)
        ),
    }
}

/// What is said where there is no archive.
pub const UNCONFIGURED: &str = "No archive is configured. Set DROVER_POSTGRES_URL to a Postgres in which Drover may keep its own schema; it is created at startup.";
