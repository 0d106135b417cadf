//! Actions: everything between the caller and the adapter.
//!
//! The caller ([`who`](crate::server::auth::who)) is separate from the request ([`intent`]); one sentence says what
//! would be done ([`Intent::sentence`]). The order is always the same: check the permission, look up the idempotency key, check
//! that the action is possible now (read-only, a store that is silent, a generation that lacks it), write the intent to
//! the audit log, send it, write the result to the audit log. Nothing is shown as done before the store has confirmed
//! it.
//!
//! An action that has begun runs to its end even if its caller has disconnected.

use super::{Answer, Refusal, Service};
use crate::model::action::catalogue::Target;
use crate::model::action::sentence::Place;
use crate::model::action::{Effect, JobAction, OBLITERATE_MAX, QueueAction, Seen};
use crate::model::answer::DryRunAnswer;
use crate::model::audit::{AuditEntry, AuditPage, Became};
use crate::model::capability::{Capabilities, NOT_SUPPORTED};
use crate::model::event::Topic;
use crate::model::format;
use crate::model::job::JobDetail;
use crate::model::permission::Verb;
use crate::model::queue::{QueueRef, QueueSummary};
use crate::model::state::JobState;
use crate::model::store::{Reach, StoreSummary};
use crate::server::adapter::{Adapter, Trouble, unsupported};
use crate::server::archive::flow::UNCONFIGURED;
use crate::server::archive::{self, Archive};
use crate::server::audit::record::{self, Key, Record};
use crate::server::audit::{Audit, AuditFilter};
use crate::server::auth::who::{Permission, Who};
use crate::server::config::Config;
use crate::server::redact::Mask;
use crate::server::tasks::Tasks;
use flow::FlowPlan;
use intent::{Intent, NO_ERROR};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

mod claim;
mod flow;
pub mod intent;
mod not_acted;
pub mod offer;

pub use not_acted::NotActed;

/// Characters of a reason at most.
pub const REASON_MAX: usize = 500;

/// Why data with masked values is not written back.
pub(super) const HIDDEN: &str = "This data contains hidden values: saving would replace each one with the word [redacted]. Write the real values, or show the hidden values first and edit from there.";

/// A page waits this long for the effect of an action to be seen in the store.
const SEEN_SOON: Duration = Duration::from_secs(1);

/// A request for an action.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The action and its target.
    pub intent: Intent,
    /// The target as it was shown.
    pub seen: Option<Seen>,
    /// Why.
    pub reason: Option<String>,
    /// Whether only to tell what would be done.
    pub dry_run: bool,
    /// Whether the fields come from a form that showed hidden values.
    pub revealed: bool,
    /// The idempotency key, with what it is used for.
    pub key: Option<Key>,
    /// The id of the request.
    pub request: String,
}

/// The outcome of a request.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "one value per request")]
pub enum ActOutcome {
    /// Nothing was done: a dry run.
    WouldBe(DryRunAnswer),
    /// It was tried.
    Acted(Acted),
}

/// An action that was tried.
#[derive(Clone, Debug, PartialEq)]
pub struct Acted {
    /// Its entry in the audit log.
    pub entry: AuditEntry,
    /// Its outcome.
    pub became: Became,
    /// Whether an earlier request with the same key did this.
    pub replayed: bool,
}

impl Acted {
    /// Whether it is done now, by this request or an earlier one.
    #[must_use]
    pub const fn was_done(&self) -> bool {
        matches!(self.became, Became::Known(Effect::Done { .. } | Effect::Already { .. }))
    }
}

/// What every action needs: the audit log, what each store is, and the tasks that carry actions out.
#[derive(Debug)]
pub struct ActionContext {
    audit: Arc<Audit>,
    /// Whether every action is refused.
    pub(super) read_only: bool,
    /// What each store is.
    environments: HashMap<String, String>,
    /// Actions under way: the server waits for them before it ends.
    pub(super) tasks: Tasks,
}

impl ActionContext {
    /// By the configuration.
    #[must_use]
    pub fn new(config: &Config, tasks: Tasks) -> Self {
        let environment = |store: &crate::server::config::Store| {
            let environment = store.environment.clone().or_else(|| config.environment.clone())?;
            Some((store.id.clone(), environment))
        };
        Self {
            audit: Arc::new(Audit::open(&config.audit_file, &tasks)),
            read_only: config.read_only,
            environments: config.stores.iter().filter_map(environment).collect(),
            tasks,
        }
    }

    /// The audit log.
    #[must_use]
    pub const fn audit(&self) -> &Arc<Audit> {
        &self.audit
    }

    /// What a store is, such as `production`.
    #[must_use]
    pub fn environment(&self, store: &str) -> Option<&str> {
        self.environments.get(store).map(String::as_str)
    }
}

impl Service {
    /// Does the action, or tells what would be done.
    pub async fn act(&self, who: &Who, queue: &QueueRef, ask: Ask) -> Answer<ActOutcome> {
        let (line, store, _) = self.queue(queue)?;
        let ask = Ask {
            reason: checked_reason(ask.reason)?,
            ..ask
        };
        let sentence = self
            .mask(queue)
            .sentence(&self.sentence_of(&line, &ask.intent))
            .into_owned();
        let refusal = match self.permitted(who, queue, &ask.intent) {
            Err(NotActed::ReadOnly) if ask.dry_run => Some(NotActed::ReadOnly),
            other => {
                other?;
                None
            }
        };
        if ask.intent.holds_hidden() && !(ask.revealed && who.holds(Verb::Reveal, Some(queue))) {
            return Err(NotActed::Wrong(HIDDEN.into()).into());
        }
        if ask.dry_run {
            let refusal = refusal.or_else(|| self.impossible(&line, &store, &ask.intent));
            let refusal = refusal.or_else(|| self.lacks(queue, &[&ask.intent]).map(NotActed::Impossible));
            let refusal = match refusal {
                Some(refusal) => Some(refusal.to_string()),
                None => self.foreseen(queue, &ask).await?,
            };
            let (flow, refusal) = match refusal {
                None => self.flow_foreseen(who, queue, &ask).await?,
                refusal => (None, refusal),
            };
            return Ok(ActOutcome::WouldBe(DryRunAnswer {
                dry_run: true,
                sentence,
                allowed: refusal.is_none(),
                refusal,
                flow,
            }));
        }
        let impossible = self.impossible(&line, &store, &ask.intent);
        if impossible.is_none()
            && let Intent::Queue(QueueAction::Obliterate { name, .. }) = &ask.intent
            && ![&line.label, &line.id].contains(&name)
        {
            let why = format!("Type {:?} to confirm: this cannot be undone.", line.label);
            return Err(NotActed::Wrong(why).into());
        }
        let mut claimed = match self.claim(ask.key.as_ref())? {
            Ok(claimed) => claimed,
            Err(before) => return Ok(ActOutcome::Acted(before)),
        };
        if let Some(refusal) = impossible {
            self.doubt_rights(&queue.store);
            return Err(refusal.into());
        }
        let flow = match &ask.intent {
            Intent::Flow { id, .. } => Some(self.flow_plan(who, queue, id).await?),
            _ => None,
        };
        let touched = flow.as_ref().map_or_else(Vec::new, FlowPlan::queues);
        let mut record = record_of(who, queue, &ask, sentence, &self.mask(queue));
        if let Some(flow) = &flow {
            record.details = flow.details();
        }
        let record = Arc::new(record.masked(&self.mask(queue)));
        let (sent, audit) = (record.clone(), self.actions.audit.clone());
        let adapter = self.adapter(queue)?;
        let (archive, place) = (self.archive.clone(), archive::ArchivedQueue::of(&self.board, queue));
        // From here on the caller may disconnect. The idempotency key now belongs to the audit entry.
        let claimed_key = claimed.key.take();
        let task = self.actions.tasks.spawn(async move {
            if let Err(why) = audit.intend(&sent).await {
                if let Some(key) = &claimed_key {
                    audit.release(key);
                }
                return Err(NotActed::from(why));
            }
            let acting = match flow {
                Some(flow) => tokio::spawn(async move { flow.carry_out(Some(adapter), ask.seen.as_ref()).await }),
                None => tokio::spawn(send(adapter, archive, place, ask.intent, ask.seen)),
            };
            let became = match acting.await {
                Ok(became) => became,
                Err(_) => Became::Known(Effect::Unconfirmed {
                    reason: "Drover itself failed during the action. Check the target before you try again.".into(),
                }),
            };
            audit.conclude(&sent, flow::kept(&became)).await;
            Ok(became)
        });
        let became = task.await.unwrap_or(Ok(Became::Lost))?;
        for queue in touched.iter().chain([queue]) {
            self.forget(queue);
        }
        Ok(ActOutcome::Acted(Acted {
            entry: record.entry(&became),
            became,
            replayed: false,
        }))
    }

    /// The options of a job as a form shows them for a copy; `None` where they are copied as a whole.
    #[must_use]
    pub fn copied_options(&self, queue: &QueueRef, job: &JobDetail) -> Option<String> {
        self.adapter(queue).ok()?.act()?.copied_options(job)
    }

    /// Waits until a queue is seen to be paused, or not to be, but not for long: a page that comes right after
    /// the action would otherwise offer what has just been done.
    pub async fn see_paused(&self, key: &QueueRef, paused: bool) {
        let mut following = self.board.subscribe(vec![Topic::Queue(key.clone())], None);
        let seen = async {
            while self
                .board
                .queue(key)
                .is_some_and(|(line, ..)| line.paused != Some(paused))
            {
                following.changed().await;
            }
        };
        let _ = tokio::time::timeout(SEEN_SOON, seen).await;
    }

    /// What queues of this generation can do; `None` while that is not known.
    #[must_use]
    pub fn capabilities(&self, line: &QueueSummary) -> Option<&'static Capabilities> {
        let collector = self.collector(&line.store).ok()?;
        collector.adapters().capabilities(line.family.as_ref()?)
    }

    /// What would be done, in a sentence.
    #[must_use]
    pub fn sentence_of(&self, line: &QueueSummary, intent: &Intent) -> String {
        self.at_place(line, |place| intent.sentence(place))
    }

    /// A queue with its store, in words.
    #[must_use]
    pub fn place_of(&self, line: &QueueSummary) -> String {
        self.at_place(line, |place| place.words())
    }

    fn at_place(&self, line: &QueueSummary, say: impl Fn(Place<'_>) -> String) -> String {
        say(Place {
            queue: &line.key(),
            label: &line.label,
            environment: self.actions.environments.get(&line.store).map(String::as_str),
            can: self.capabilities(line).map(Capabilities::manner),
        })
    }

    /// Audit entries: requests and their outcomes, the newest first.
    pub(super) fn audit(
        &self,
        who: &Who,
        filter: &AuditFilter,
        cursor: Option<&str>,
        limit: Option<usize>,
    ) -> Answer<AuditPage> {
        let permission = Permission {
            verb: Verb::AuditRead,
            queue: filter.queue.as_ref(),
        };
        self.actions.may(who, permission)?;
        let limit = limit.unwrap_or(crate::server::audit::PAGE).max(1);
        let reads = |queue: &QueueRef| who.holds(Verb::AuditRead, Some(queue));
        let page = self.actions.audit.page(filter, cursor, limit, &reads);
        page.ok_or_else(|| NotActed::NoCursor.into())
    }

    /// One audit entry.
    pub(super) fn audited(&self, id: &str) -> Option<AuditEntry> {
        self.actions.audit.entry(id)
    }

    /// Why it cannot be done now, as far as is known without asking the store.
    fn impossible(&self, line: &QueueSummary, store: &StoreSummary, intent: &Intent) -> Option<NotActed> {
        if !store.actions.allowed {
            let why = store.actions.reason.clone();
            return Some(NotActed::NotNow(why.unwrap_or_else(|| {
                "Nothing has been read from the store yet. Try again in a few seconds.".into()
            })));
        }
        if line.family.is_none() {
            return Some(NotActed::NotNow(
                "The library version of this queue is not known yet. Try again in a few seconds.".into(),
            ));
        }
        let can = self.capabilities(line);
        let refusal = can.map_or(Some(NOT_SUPPORTED), |can| can.refusal(intent.kind()));
        if let Some(why) = refusal {
            return Some(NotActed::Impossible(why.to_owned()));
        }
        if let Intent::Job {
            action: JobAction::Archive,
            ..
        } = intent
            && let Some(why) = self.no_archive()
        {
            return Some(why);
        }
        let jobs = JobState::ALL.iter().filter_map(|state| line.counts.get(*state)).sum();
        match intent {
            Intent::Job {
                action: JobAction::Cancel { error },
                ..
            } if error.trim().is_empty() && can.is_none_or(Capabilities::cancel_takes_error) => {
                Some(NotActed::Wrong(NO_ERROR.into()))
            }
            Intent::Queue(QueueAction::Obliterate { .. }) if jobs > OBLITERATE_MAX => {
                Some(NotActed::Impossible(format!(
                    "It holds {} jobs. Remove them first with an operation, which shows its progress and can be \
                     stopped.",
                    format::count(jobs)
                )))
            }
            _ => None,
        }
    }

    /// Why an action on a job would not be done, as the job is now; `None` if nothing is in its way.
    async fn foreseen(&self, queue: &QueueRef, ask: &Ask) -> Answer<Option<String>> {
        let (Intent::Job { id, .. }, seen) = (&ask.intent, ask.seen.clone().unwrap_or_default()) else {
            return Ok(None);
        };
        let row = self.job(queue, id).await?.row.clone();
        let same = seen.state.is_none_or(|state| state == row.state)
            && seen.finished_on.is_none_or(|at| row.finished == Some(at))
            && (seen.attempts.zip(row.attempts)).is_none_or(|(seen, made)| seen == u64::from(made));
        let changed = (!same).then(|| {
            let finished = row
                .finished
                .map_or_else(String::new, |at| format!(", finished at {}", format::iso(at)));
            let made = row.attempts.map_or_else(String::new, |made| {
                format!(", with {} made", format::counted(made.into(), "attempt", "attempts"))
            });
            let state = row.state.label();
            format!("It has changed since it was shown: it is now {state}{made}{finished}.")
        });
        let (line, ..) = self.queue(queue)?;
        let can = self.capabilities(&line);
        let here = can.and_then(|can| can.refusal_in(ask.intent.kind(), row.state));
        Ok(changed.or_else(|| here.map(str::to_owned)))
    }

    /// Drops cached lists and jobs that may be out of date.
    pub(super) fn forget(&self, queue: &QueueRef) {
        self.lists
            .forget(|(store, query)| *store == queue.store && *query.queue == *queue.queue);
        self.jobs.forget(|(of, _)| of.store == queue.store);
        self.logs
            .forget(|(store, query)| *store == queue.store && *query.queue == *queue.queue);
        self.flows.forget(|(store, _)| *store == queue.store);
        self.insights.forget(|of| of == queue);
        self.fleet.forget(&queue.store);
    }
}

async fn send(
    adapter: Arc<dyn Adapter>,
    archive: Option<Arc<Archive>>,
    place: archive::ArchivedQueue,
    intent: Intent,
    seen: Option<Seen>,
) -> Became {
    let queue = place.queue.as_str().into();
    let Some(act) = adapter.act() else {
        return Became::Known(unsupported());
    };
    let effect = match intent {
        Intent::Job { id, action } => {
            let jobs = [(id, seen.unwrap_or_default())];
            let effects = match (&action, archive) {
                (JobAction::Archive, Some(archive)) => archive.archive(adapter.as_ref(), &place, &jobs).await,
                (JobAction::Archive, None) => Err(Trouble::new(Reach::Refused, UNCONFIGURED)),
                _ => act.on_jobs(&queue, &jobs, &action).await,
            };
            // Always one for one job.
            effects.map(|effects| effects.into_iter().next().unwrap_or_else(unanswered))
        }
        // Carried out job by job.
        Intent::Flow { .. } => Ok(unanswered()),
        Intent::Queue(action) => act.on_queue(&queue, &action).await,
        Intent::Schedule { key, action } => act.on_schedule(&queue, &key, &action).await,
    };
    effect.map_or_else(|trouble| Became::NotSent(trouble.cause), Became::Known)
}

fn unanswered() -> Effect {
    Effect::Unconfirmed {
        reason: "No answer was received. Check the job before you try again.".into(),
    }
}

fn record_of(who: &Who, queue: &QueueRef, ask: &Ask, sentence: String, mask: &Mask) -> Record {
    let (job, schedule) = match &ask.intent {
        Intent::Job { id, .. } | Intent::Flow { id, .. } => (Some(id.clone()), None),
        Intent::Schedule { key, .. } => (None, Some(key.clone())),
        Intent::Queue(_) => (None, None),
    };
    Record {
        job,
        schedule,
        seen: ask.seen.clone().filter(|_| ask.intent.target() == Target::Job),
        reason: ask.reason.clone(),
        request: ask.request.clone(),
        details: record::details(ask.intent.value(), mask),
        idempotency: ask.key.clone(),
        ..Record::intent(
            (&who.name, &who.address),
            ask.intent.kind().row().word,
            queue.clone(),
            sentence,
        )
    }
}

fn checked_reason(reason: Option<String>) -> Result<Option<String>, NotActed> {
    let reason = reason
        .map(|reason| reason.trim().to_owned())
        .filter(|reason| !reason.is_empty());
    match &reason {
        Some(text) if text.chars().count() > REASON_MAX => Err(NotActed::Wrong(format!(
            "reason is longer than {REASON_MAX} characters."
        ))),
        _ => Ok(reason),
    }
}
