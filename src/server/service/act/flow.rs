//! Retrying what failed below a job, and then the job: looks the jobs up first, checks the permission for each queue,
//! and retries from the bottom up, so that no job is retried above one that was not.

use super::super::{Answer, Refusal, Service};
use super::intent::Intent;
use super::{Ask, NotActed};
use crate::model::action::{Effect, FlowAction, Seen};
use crate::model::answer::{FLOW_MAX, FlowJobAnswer, FlowRetried};
use crate::model::audit::Became;
use crate::model::capability::NOT_SUPPORTED;
use crate::model::job::cut;
use crate::model::queue::QueueRef;
use crate::server::adapter::flow::{FlowJob, FlowState, InFlow};
use crate::server::adapter::{Adapter, ReadError, unsupported};
use crate::server::auth::who::Who;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Jobs handed to the adapter at a time.
const BATCH: usize = 200;

/// What is to be retried, as it was found.
#[derive(Clone, Debug)]
pub(super) struct FlowPlan {
    store: String,
    /// The job that was asked for, then those below it, each behind its parent.
    jobs: Vec<FlowJob>,
    /// Why nothing of a queue can be retried, by the queue's id.
    closed: BTreeMap<String, String>,
    unseen: u64,
}

impl Service {
    /// What there is to retry below a job.
    ///
    /// # Errors
    ///
    /// Where there is nothing, or where one of its queues may not be touched.
    pub(super) async fn flow_plan(&self, who: &Who, key: &QueueRef, id: &str) -> Answer<FlowPlan> {
        let (adapter, known) = (self.adapter(key)?, self.collector(&key.store)?.queues());
        let queue = key.queue.as_str().into();
        let found = match adapter.flows() {
            Some(flows) => flows.failed_below(&queue, id, &known, FLOW_MAX).await,
            None => Err(ReadError::Unsupported(NOT_SUPPORTED)),
        };
        let found = found
            .map_err(Refusal::Unreadable)?
            .ok_or_else(|| self.no_job(key, id))?;
        let mut plan = FlowPlan {
            store: key.store.clone(),
            jobs: found.jobs,
            closed: BTreeMap::new(),
            unseen: found.unseen,
        };
        let impossible = |why: &str| Err(NotActed::Impossible(why.to_owned()).into());
        if plan.jobs[0].state == FlowState::Other {
            return impossible(
                "It has not failed and does not wait for its children, so failed jobs below it do not block it. Retry \
                 those jobs on their own pages.",
            );
        }
        if plan.jobs.iter().skip(1).all(|job| job.state == FlowState::Waits) {
            return impossible("None of the jobs below it has failed. Retry the job itself, if it failed.");
        }
        let intent = Intent::Flow {
            id: id.to_owned(),
            action: FlowAction::RetryChildren,
        };
        for queue in plan.queues() {
            // All of them, before anything is done.
            self.permitted(who, &queue, &intent)?;
            let why = match self.queue(&queue) {
                Ok((line, store, _)) => self.impossible(&line, &store, &intent).map(|why| why.to_string()),
                Err(_) => Some("Its queue is not on the board.".into()),
            };
            plan.closed.extend(why.map(|why| (queue.queue, why)));
        }
        Ok(plan)
    }

    /// What would be done; the second is why nothing would.
    pub(super) async fn flow_foreseen(
        &self,
        who: &Who,
        key: &QueueRef,
        ask: &Ask,
    ) -> Answer<(Option<FlowRetried>, Option<String>)> {
        let Intent::Flow { id, .. } = &ask.intent else {
            return Ok((None, None));
        };
        match self.flow_plan(who, key, id).await {
            Ok(plan) => match plan.carry_out(None, ask.seen.as_ref()).await {
                Became::Flow(flow) => Ok((Some(flow), None)),
                other => Ok((None, Some(other.sentence()))),
            },
            Err(Refusal::NotActed(NotActed::Impossible(why))) => Ok((None, Some(why))),
            Err(refusal) => Err(refusal),
        }
    }

    /// What a form says of it beforehand.
    ///
    /// # Errors
    ///
    /// As for the action itself.
    pub async fn flow_preview(&self, who: &Who, key: &QueueRef, id: &str) -> Answer<Vec<String>> {
        let plan = self.flow_plan(who, key, id).await?;
        let Became::Flow(flow) = plan.carry_out(None, None).await else {
            return Ok(vec![]);
        };
        let mut queues = BTreeMap::<&str, u64>::new();
        for job in flow.jobs.iter().filter(|job| job.detail.is_none()) {
            *queues.entry(&job.queue).or_default() += 1;
        }
        let queues: Vec<String> = queues.iter().map(|(queue, n)| format!("{n} in {queue}")).collect();
        let mut notes = vec![format!("Now: {} ({}).", flow.retried, queues.join(", "))];
        for job in flow.jobs.iter().take(BATCH) {
            let above = if job.depth == 0 { " (the job itself)" } else { "" };
            let why = job
                .detail
                .as_ref()
                .map_or_else(String::new, |why| format!(": not retried. {why}"));
            notes.push(format!("{} of {}{above}{why}", job.job, job.queue));
        }
        if let left @ 1.. = flow.jobs.len().saturating_sub(BATCH) {
            notes.push(format!("And {left} more."));
        }
        notes.extend(flow.note);
        Ok(notes.iter().map(|note| crate::model::format::visible(note)).collect())
    }
}

impl FlowPlan {
    /// Every queue that something would be done in.
    pub(super) fn queues(&self) -> Vec<QueueRef> {
        let failed = self.jobs.iter().filter(|job| job.state == FlowState::Failed);
        let mut queues: Vec<&String> = failed.map(|job| &job.queue).collect();
        queues.sort();
        queues.dedup();
        let queues = queues.into_iter().map(|queue| QueueRef {
            store: self.store.clone(),
            queue: queue.clone(),
        });
        queues.collect()
    }

    /// For the audit entry: how many jobs, and in which queues.
    pub(super) fn details(&self) -> Value {
        let failed = self.jobs.iter().filter(|job| job.state == FlowState::Failed).count();
        let queues: Vec<String> = self.queues().into_iter().map(|queue| queue.queue).collect();
        json!({"jobs": failed, "queues": queues})
    }

    /// Retries the jobs from the bottom up; without an adapter, only tells what would be done.
    pub(super) async fn carry_out(&self, adapter: Option<Arc<dyn Adapter>>, seen: Option<&Seen>) -> Became {
        if let Some(now) = seen.and_then(|seen| unlike(seen, &self.jobs[0])) {
            return Became::Known(Effect::Changed { now });
        }
        let mut flow = FlowRetried::default();
        // Which job below another one is in the way of its retry.
        let mut in_the_way: Vec<Option<usize>> = vec![None; self.jobs.len()];
        let (mut unsent, mut sent) = (None, false);
        let deepest = self.jobs.iter().map(|job| job.depth).max().unwrap_or(0);
        for depth in (0..=deepest).rev() {
            let mut effects: Vec<(usize, Effect)> = vec![];
            let mut to_send = BTreeMap::<&str, Vec<usize>>::new();
            for (i, job) in self.jobs.iter().enumerate().filter(|(_, job)| job.depth == depth) {
                match (job.state, self.skipped(job, in_the_way[i])) {
                    (FlowState::Gone, _) => effects.push((i, Effect::Gone)),
                    (FlowState::Failed, Some(reason)) => effects.push((i, Effect::Refused { reason })),
                    (FlowState::Failed, None) => to_send.entry(&job.queue).or_default().push(i),
                    // It is not retried itself; what is in its way is in the way of those above as well.
                    _ if in_the_way[i].is_some() || job.cut => {
                        job.parent.into_iter().for_each(|parent| in_the_way[parent] = Some(i));
                    }
                    _ => {}
                }
            }
            let place = if depth == 0 { InFlow::Top } else { InFlow::Below };
            for (queue, all) in to_send {
                for some in all.chunks(BATCH) {
                    let jobs: Vec<_> = some
                        .iter()
                        .map(|i| (self.jobs[*i].id.clone(), self.jobs[*i].seen.clone()))
                        .collect();
                    let answers = match &adapter {
                        None => Ok(vec![Effect::done(); jobs.len()]),
                        Some(adapter) => match adapter.flows() {
                            Some(flows) => flows.retry(&queue.into(), &jobs, place).await,
                            None => Ok(vec![unsupported(); jobs.len()]),
                        },
                    };
                    sent |= answers.is_ok();
                    let answers = answers.unwrap_or_else(|trouble| {
                        let reason = format!("The store could not be reached: {}", trouble.cause);
                        unsent = Some(trouble.cause);
                        vec![Effect::Refused { reason }; jobs.len()]
                    });
                    effects.extend(some.iter().copied().zip(answers));
                }
            }
            effects.sort_by_key(|(i, _)| *i);
            for (i, effect) in effects {
                let job = &self.jobs[i];
                let fine = matches!(effect, Effect::Done { .. } | Effect::Already { .. });
                if let (Some(parent), false) = (job.parent, fine) {
                    in_the_way[parent] = Some(i);
                }
                flow.push(FlowJobAnswer {
                    queue: job.queue.clone(),
                    job: job.id.clone(),
                    depth,
                    result: match (&effect, &adapter) {
                        (Effect::Done { .. }, None) => "would_retry",
                        (effect, _) => effect.word(),
                    }
                    .into(),
                    detail: (!fine).then(|| Became::Known(effect).sentence()),
                });
            }
        }
        if let (Some(cause), false) = (unsent, sent) {
            return Became::NotSent(cause);
        }
        flow.note = (self.unseen > 0).then(|| {
            format!(
                "{} not checked: up to {FLOW_MAX} failed jobs are retried at a time. Retry again for more.",
                crate::model::format::counted(self.unseen, "job below it was", "jobs below it were")
            )
        });
        Became::Flow(flow)
    }

    /// Why a job is not tried.
    fn skipped(&self, job: &FlowJob, in_the_way: Option<usize>) -> Option<String> {
        if let Some(below) = in_the_way.map(|i| &self.jobs[i]) {
            return Some(format!(
                "Job {} of {} below it was not retried: without that one it would fail again or wait forever.",
                cut(&below.id, 200),
                below.queue
            ));
        }
        if job.cut {
            return Some("Not all failed jobs below it are among these. Retry again for the rest.".into());
        }
        if !job.known && job.depth > 0 {
            return Some("Its queue is not on the board.".into());
        }
        self.closed.get(&job.queue).cloned()
    }
}

/// What the job is now, if it is not as it was shown.
fn unlike(seen: &Seen, job: &FlowJob) -> Option<String> {
    let same = seen.state.is_none_or(|state| match job.state {
        FlowState::Waits => state == crate::model::state::JobState::WaitingChildren,
        _ => job.seen.state == Some(state),
    }) && seen.finished_on.is_none_or(|at| job.seen.finished_on == Some(at))
        && seen.attempts.is_none_or(|n| job.seen.attempts.unwrap_or(0) == n);
    (!same).then(|| match job.state {
        FlowState::Failed => "It failed, but at a different time than shown.".into(),
        FlowState::Waits => "It is waiting for its children.".into(),
        FlowState::Other => "It is in another state.".into(),
        FlowState::Gone => "It no longer exists.".into(),
    })
}

/// What the audit log keeps.
pub(super) fn kept(became: &Became) -> Became {
    match became {
        Became::Flow(flow) => Became::Flow(flow.kept()),
        other => other.clone(),
    }
}
