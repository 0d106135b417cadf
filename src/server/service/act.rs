//! Actions: everything between whoever asks and the adapter.
//!
//! Who asks is told apart from what is asked ([`who`](crate::server::auth::who), [`intent`]); what would be done is one sentence
//! ([`sentence`]). The order is always the same: may they, was it asked before (an idempotency key), can it
//! be done now (read-only, a store that is silent, a generation that lacks it), written down, sent, written
//! down again. Nothing is shown as done before the store has said so.
//!
//! An action that has begun goes on to its end although whoever asked has gone away.

use super::{Answer, Refusal, Service};
use crate::model::action::{Effect, JobAction, OBLITERATE_MAX, QueueAction, Seen};
use crate::model::answer::DryRunAnswer;
use crate::model::audit::{AuditEntry, AuditPage, Became};
use crate::model::event::Topic;
use crate::model::format;
use crate::model::queue::{QueueRef, QueueSummary, System};
use crate::model::state::JobState;
use crate::model::store::StoreSummary;
use crate::server::adapter::Adapter;
use crate::server::archive::flow::UNCONFIGURED;
use crate::server::archive::{self, Archive};
use crate::server::audit::record::{self, Key, Record};
use crate::server::audit::{Audit, AuditFilter, Claim};
use crate::server::auth::who::{Permission, Verb, Who};
use crate::server::config::Config;
use crate::server::redact::Mask;
use flow::FlowPlan;
use intent::{Intent, NO_ERROR, Target};
use sentence::Place;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::task::TaskTracker;

mod flow;
pub mod intent;
mod not_acted;
pub mod offer;
pub mod sentence;

pub use not_acted::NotActed;

/// Characters of a reason at most.
pub const REASON_MAX: usize = 500;

/// Why data that was taken from what is shown is not written back.
const HIDDEN: &str = "This data holds hidden values: each [redacted] stands for one that the job still has, and saving would write \
    the word in its place. Write the values themselves, or show the hidden values first and edit from there.";

/// A page waits this long for what an action did to be seen in the store.
const SEEN_SOON: Duration = Duration::from_secs(1);

/// What is asked.
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
    /// Whether what was given was written in a form that showed hidden values.
    pub revealed: bool,
    /// The idempotency key, with what it is used for.
    pub key: Option<Key>,
    /// The id of the request.
    pub request: String,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "one value per request")]
pub enum Told {
    /// Nothing was done, as asked.
    WouldBe(DryRunAnswer),
    /// It was tried.
    Acted(Acted),
}

/// Something that was tried.
#[derive(Clone, Debug, PartialEq)]
pub struct Acted {
    /// As it is in the record.
    pub entry: AuditEntry,
    /// What became of it.
    pub became: Became,
    /// Whether this was asked, and done, before with the same key.
    pub replayed: bool,
}

impl Acted {
    /// Whether it is done now, be it by this or before.
    #[must_use]
    pub const fn was_done(&self) -> bool {
        matches!(self.became, Became::Known(Effect::Done { .. } | Effect::Already { .. }))
    }
}

/// Where actions are taken in.
#[derive(Debug)]
pub struct Desk {
    audit: Arc<Audit>,
    read_only: bool,
    /// What each store is.
    environments: HashMap<String, String>,
    /// Actions under way: the server ends after them.
    pub(super) tasks: TaskTracker,
}

impl Desk {
    /// By the configuration.
    #[must_use]
    pub fn new(config: &Config, tasks: TaskTracker) -> Self {
        let environment = |store: &crate::server::config::Store| {
            let environment = store.environment.clone().or_else(|| config.environment.clone())?;
            Some((store.id.clone(), environment))
        };
        Self {
            audit: Arc::new(Audit::open(&config.audit_file)),
            read_only: config.read_only,
            environments: config.stores.iter().filter_map(environment).collect(),
            tasks,
        }
    }

    /// The record.
    #[must_use]
    pub const fn audit(&self) -> &Arc<Audit> {
        &self.audit
    }

    /// What a store is, such as `production`.
    #[must_use]
    pub fn environment(&self, store: &str) -> Option<&str> {
        self.environments.get(store).map(String::as_str)
    }

    /// Whether somebody may do something. Everything that is asked for is asked for here.
    ///
    /// # Errors
    ///
    /// Why not.
    pub fn may(&self, who: &Who, permission: Permission<'_>) -> Result<(), NotActed> {
        if !who.holds(permission.verb, permission.queue) {
            let place = permission
                .queue
                .map_or_else(String::new, |queue| format!(" in {queue}"));
            return Err(NotActed::Denied(format!(
                "{} may not {}{place}.",
                who.name,
                permission.verb.label()
            )));
        }
        if self.read_only && !permission.verb.only_reads() {
            return Err(NotActed::ReadOnly);
        }
        Ok(())
    }
}

/// An idempotency key that is given back unless something is done with it.
struct Claimed<'a> {
    audit: &'a Audit,
    key: Option<Key>,
}

impl Drop for Claimed<'_> {
    fn drop(&mut self) {
        if let Some(key) = &self.key {
            self.audit.release(key);
        }
    }
}

impl Service {
    /// Whether nothing may be changed from here, whoever asks.
    #[must_use]
    pub const fn is_read_only(&self) -> bool {
        self.desk.read_only
    }

    /// Whether somebody may do something, with a queue or everywhere.
    ///
    /// # Errors
    ///
    /// Why not.
    pub fn may(&self, who: &Who, verb: Verb, queue: Option<&QueueRef>) -> Answer<()> {
        Ok(self.desk.may(who, Permission { verb, queue })?)
    }

    /// Does what is asked, or tells what would be done.
    pub async fn act(&self, who: &Who, queue: &QueueRef, ask: Ask) -> Answer<Told> {
        let (line, store, _) = self.queue(queue)?;
        let ask = Ask {
            reason: checked_reason(ask.reason)?,
            ..ask
        };
        let sentence = self
            .mask(queue)
            .words(&self.sentence_of(&line, &ask.intent))
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
            let refusal = match refusal.or_else(|| self.impossible(&line, &store, &ask.intent)) {
                Some(refusal) => Some(refusal.parts().3),
                None => self.foreseen(queue, &ask).await?,
            };
            let (flow, refusal) = match refusal {
                None => self.flow_foreseen(who, queue, &ask).await?,
                refusal => (None, refusal),
            };
            return Ok(Told::WouldBe(DryRunAnswer {
                dry_run: true,
                sentence,
                allowed: refusal.is_none(),
                refusal,
                flow,
            }));
        }
        if let Intent::Queue(QueueAction::Obliterate { name, .. }) = &ask.intent
            && *name != line.name
        {
            let why = format!(
                "Type the queue's name, {:?}, to confirm: this cannot be undone.",
                line.name
            );
            return Err(NotActed::Wrong(why).into());
        }
        let audit = &self.desk.audit;
        let mut claimed = Claimed { audit, key: None };
        if let Some(key) = &ask.key {
            match audit.claim(key) {
                Claim::New => claimed.key = Some(key.clone()),
                Claim::Running => return Err(NotActed::KeyRunning.into()),
                Claim::Other => return Err(NotActed::KeyUsed.into()),
                Claim::Again(record, became) => {
                    return Ok(Told::Acted(Acted {
                        entry: record.entry(&became),
                        became,
                        replayed: true,
                    }));
                }
            }
        }
        if let Some(refusal) = self.impossible(&line, &store, &ask.intent) {
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
        let (sent, audit) = (record.clone(), self.desk.audit.clone());
        let adapter = self.collector(&queue.store)?.adapter().clone();
        let (archive, place) = (self.archive.clone(), archive::Place::of(&self.board, queue));
        // From here on whoever asked may go away. The key is the record's now.
        let claimed_key = claimed.key.take();
        let task = self.desk.tasks.spawn(async move {
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
                    reason: "Drover itself failed while it was acting. Look at the target before asking again.".into(),
                }),
            };
            audit.conclude(&sent, flow::kept(&became)).await;
            Ok(became)
        });
        let became = task.await.unwrap_or(Ok(Became::Lost))?;
        for queue in touched.iter().chain([queue]) {
            self.forget(queue);
        }
        Ok(Told::Acted(Acted {
            entry: record.entry(&became),
            became,
            replayed: false,
        }))
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

    /// What would be done, in a sentence.
    #[must_use]
    pub fn sentence_of(&self, line: &QueueSummary, intent: &Intent) -> String {
        self.at_place(line, |place| sentence::of(intent, place))
    }

    /// A queue with its store, in words.
    #[must_use]
    pub fn place_of(&self, line: &QueueSummary) -> String {
        self.at_place(line, |place| place.words())
    }

    fn at_place(&self, line: &QueueSummary, say: impl Fn(Place<'_>) -> String) -> String {
        say(Place {
            queue: &line.key(),
            name: &line.name,
            environment: self.desk.environments.get(&line.store).map(String::as_str),
            layout: line.family.map(|family| family.layout),
        })
    }

    /// What was asked for and what became of it, the newest first.
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
        self.desk.may(who, permission)?;
        let limit = limit.unwrap_or(crate::server::audit::PAGE).max(1);
        let reads = |queue: &QueueRef| who.holds(Verb::AuditRead, Some(queue));
        let page = self.desk.audit.page(filter, cursor, limit, &reads);
        page.ok_or_else(|| NotActed::NoCursor.into())
    }

    /// One thing that was asked for.
    pub(super) fn audited(&self, id: &str) -> Option<AuditEntry> {
        self.desk.audit.entry(id)
    }

    fn permitted(&self, who: &Who, queue: &QueueRef, intent: &Intent) -> Result<(), NotActed> {
        intent.verbs().iter().try_for_each(|verb| {
            let permission = Permission {
                verb: *verb,
                queue: Some(queue),
            };
            self.desk.may(who, permission)
        })
    }

    /// Why it cannot be done now, as far as is known without asking the store.
    fn impossible(&self, line: &QueueSummary, store: &StoreSummary, intent: &Intent) -> Option<NotActed> {
        if !store.actions.allowed {
            let why = store.actions.reason.clone();
            return Some(NotActed::NotNow(why.unwrap_or_else(|| {
                "Nothing has been read from the store yet. Ask again in a few seconds.".into()
            })));
        }
        let Some(family) = line.family else {
            return Some(NotActed::NotNow(
                "Which generation of its library laid out the queue is not known yet. Ask again in a few seconds."
                    .into(),
            ));
        };
        let adapter = self.collector(&line.store).ok()?.adapter();
        if let Some(why) = intent.refused_by(adapter.as_ref(), family) {
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
            } if error.trim().is_empty() && family.layout.system() != System::PgBoss => {
                Some(NotActed::Wrong(NO_ERROR.into()))
            }
            Intent::Queue(QueueAction::Obliterate { .. }) if jobs > OBLITERATE_MAX => {
                Some(NotActed::Impossible(format!(
                    "It holds {} jobs. Remove them first: an operation shows how far it is and can be stopped.",
                    format::count(jobs)
                )))
            }
            _ => None,
        }
    }

    /// Why nothing can be archived now.
    pub(super) fn no_archive(&self) -> Option<NotActed> {
        match &self.archive {
            None => Some(NotActed::Impossible(UNCONFIGURED.into())),
            Some(archive) => archive.ready().err().map(|trouble| NotActed::NoArchive(trouble.cause)),
        }
    }

    /// What an action on a job would meet, as the job is now.
    async fn foreseen(&self, queue: &QueueRef, ask: &Ask) -> Answer<Option<String>> {
        let (Intent::Job { id, .. }, seen) = (&ask.intent, ask.seen.clone().unwrap_or_default()) else {
            return Ok(None);
        };
        let row = self.job(queue, id).await?.row.clone();
        let same = seen.state.is_none_or(|state| state == row.state)
            && seen.finished_on.is_none_or(|at| row.finished == Some(at))
            && seen.attempts.is_none_or(|n| n == u64::from(row.attempts));
        Ok((!same).then(|| {
            let finished = row
                .finished
                .map_or_else(String::new, |at| format!(", finished at {}", format::iso(at)));
            format!(
                "It is not as it was shown: it is {} now, with {} attempt(s) made{finished}.",
                row.state.label(),
                row.attempts
            )
        }))
    }

    /// What was read a moment ago may not be true any more.
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
    place: archive::Place,
    intent: Intent,
    seen: Option<Seen>,
) -> Became {
    let queue = place.queue.as_str().into();
    let effect = match intent {
        Intent::Job { id, action } => {
            let jobs = [(id, seen.unwrap_or_default())];
            let effects = archive::flow::act(archive.as_deref(), adapter.as_ref(), &place, &jobs, &action).await;
            // Always one for one job.
            effects.map(|effects| effects.into_iter().next().unwrap_or_else(unanswered))
        }
        // Carried out job by job.
        Intent::Flow { .. } => Ok(unanswered()),
        Intent::Queue(action) => adapter.act_on_queue(&queue, &action).await,
        Intent::Schedule { key, action } => adapter.act_on_schedule(&queue, &key, &action).await,
    };
    effect.map_or_else(|trouble| Became::NotSent(trouble.cause), Became::Known)
}

fn unanswered() -> Effect {
    Effect::Unconfirmed {
        reason: "The adapter gave no answer. Look at the job before asking again.".into(),
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
        ..Record::intent((&who.name, &who.address), &ask.intent.word(), queue.clone(), sentence)
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
