//! What a page offers to do: actions that make sense now and would be tried. For others a sentence says why not.

use super::intent::Intent;
use super::{NotActed, Service};
use crate::base_path::job_path;
use crate::model::action::catalogue::{ActionKind, Fit, Fits, Harm, Target};
use crate::model::audit::AuditEntry;
use crate::model::capability::Capabilities;
use crate::model::flow::Flow;
use crate::model::form::{Offer, Offered, QueueOffer, Undo};
use crate::model::format;
use crate::model::job::JobDetail;
use crate::model::now;
use crate::model::permission::Verb;
use crate::model::queue::{QueueRef, QueueSummary};
use crate::model::state::JobState;
use crate::model::store::StoreSummary;
use crate::server::archive::flow::UNCONFIGURED;
use crate::server::audit::record::mint_id;
use crate::server::auth::who::Who;

/// How long a queue's page shows the last request on the queue, in milliseconds.
const LAST_KEEP: i64 = 15 * 60_000;

/// The word of a form for a schedule that is yet to be named.
pub const NEW_SCHEDULE: &str = "schedule";

/// An action, and how its button is offered.
#[derive(Clone, Copy, Debug)]
struct Choice {
    kind: ActionKind,
    label: Label,
}

/// The label of a button.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Label {
    /// It is done at once.
    AtOnce(&'static str),
    /// A form asks first.
    Asks(&'static str),
    /// It could be done at once, but a form asks first.
    AsksFirst(&'static str),
    /// A sentence instead of a button.
    NotYet(&'static str),
}

impl Choice {
    /// The buttons of an action that makes sense as far as `fit` says.
    fn of(kind: ActionKind, fit: Fit) -> Vec<Self> {
        let row = kind.row();
        let labels = match (fit, row.at_once) {
            (Fit::No, _) => vec![],
            (Fit::NotYet(why), _) => vec![Label::NotYet(why)],
            (Fit::Asks, Some(label)) => vec![Label::AsksFirst(label)],
            (Fit::Asks, None) => row.asks.map(Label::Asks).into_iter().collect(),
            (Fit::Yes, at_once) => {
                let at_once = at_once.map(Label::AtOnce);
                at_once.into_iter().chain(row.asks.map(Label::Asks)).collect()
            }
        };
        labels.into_iter().map(|label| Self { kind, label }).collect()
    }
}

impl Service {
    /// What can be done to a job. `asked` is the id of the audit entry of a request made a moment ago.
    #[must_use]
    pub fn offer_job(
        &self,
        who: &Who,
        (line, store): (&QueueSummary, &StoreSummary),
        (job, flow): (&JobDetail, Option<&Flow>),
        asked: Option<&str>,
    ) -> Offer {
        let id = job.row.id.as_str();
        let can = self.capabilities(line);
        let strands = can.is_some_and(|can| can.removal_strands_parents);
        // A button that can only fail is a sentence instead.
        let hopeless = hopeless(job, flow, strands);
        let state = job.row.state;
        let all: Vec<Choice> = variants(Target::Job, can)
            .filter(|kind| kind.row().states.contains(&state))
            .filter(|kind| !job.row.put_away || *kind == ActionKind::Duplicate)
            .filter(|kind| self.has_archive() || *kind != ActionKind::Archive)
            .filter(|kind| hopeless.iter().all(|(not, _)| not != kind))
            .filter(|kind| can.is_none_or(|can| can.refusal_in(*kind, state).is_none()))
            .flat_map(|kind| {
                let fit = match kind.row().fits {
                    Fits::Job(fits) => fits(job, flow),
                    Fits::Always | Fits::Queue(_) => Fit::Yes,
                };
                Choice::of(kind, asked_first(kind, fit, can))
            })
            .collect();
        let mut offer = self.offer(who, line, store, id, &all);
        if job.row.state == JobState::Active && job.locked == Some(true) {
            offer
                .refused
                .push("This job is running and can't be changed. You can pause the queue.".into());
        }
        if job.row.put_away {
            offer.refused.extend(can.map(|can| can.put_away.clone()));
        } else if store.actions.allowed && !self.is_read_only() {
            offer.refused.extend(hopeless.into_iter().map(|(_, why)| why));
        }
        offer.hidden = seen_fields(job);
        let last = asked.and_then(|id| self.audited(id));
        let mine = |entry: &AuditEntry| [entry.job.as_deref(), entry.new_job()].contains(&Some(id));
        offer.last = last.filter(|entry| entry.queue == line.key() && mine(entry));
        offer
    }

    /// The undo of an action that added a new job to a queue: the job's removal, as long as it has not begun.
    pub async fn undo_of(&self, who: &Who, entry: &AuditEntry) -> Option<Undo> {
        let made = entry.new_job()?;
        let job = self.job(&entry.queue, made).await.ok()?;
        let unbegun = matches!(
            job.row.state,
            JobState::Waiting | JobState::Prioritized | JobState::Delayed
        );
        let remove = Intent::example(ActionKind::Remove, made)?;
        if !unbegun || job.row.started.is_some() || self.refusal_of(who, &entry.queue, &remove).is_some() {
            return None;
        }
        let mut hidden = vec![("action".to_owned(), "remove".to_owned())];
        hidden.extend(seen_fields(&job));
        Some(Undo {
            label: "Remove the new job".into(),
            action: format!("{}/act", job_path(&entry.queue, made)),
            hidden,
        })
    }

    /// What can be done to a queue.
    #[must_use]
    pub fn offer_queue(&self, who: &Who, line: &QueueSummary, store: &StoreSummary, limited: bool) -> QueueOffer {
        let can = self.capabilities(line);
        let all: Vec<Choice> = variants(Target::Queue, can)
            .flat_map(|kind| {
                let fit = match kind.row().fits {
                    Fits::Queue(fits) => fits(line.paused, limited),
                    Fits::Always | Fits::Job(_) => Fit::Yes,
                };
                Choice::of(kind, asked_first(kind, fit, can))
            })
            .collect();
        let key = line.key();
        let mut offer = self.offer(who, line, store, "", &all);
        // A new schedule has no name yet, so the form to add one belongs to its queue.
        let plan = Choice {
            kind: ActionKind::SaveSchedule,
            label: Label::Asks("Add a schedule…"),
        };
        let plan = self.offer(who, line, store, "", &[plan]).safe;
        offer.safe.extend(plan.into_iter().map(|offered| Offered {
            word: NEW_SCHEDULE.into(),
            ..offered
        }));
        let now = now();
        offer.last = self.actions.audit.last_on_queue(&key, now - LAST_KEEP);
        let paused = self.actions.audit.last_pause(&key);
        QueueOffer {
            offer,
            paused: paused.filter(|entry| line.paused == Some(true) && entry.action == "pause"),
            now,
        }
    }

    /// What can be done to the schedules of each of these queues.
    #[must_use]
    pub fn offer_schedules(&self, who: &Who, queues: &[QueueRef]) -> Vec<(QueueRef, Offer)> {
        let choices: Vec<Choice> = ActionKind::on(Target::Schedule)
            .flat_map(|kind| Choice::of(kind, Fit::Yes))
            .collect();
        let mut offers: Vec<(QueueRef, Offer)> = Vec::new();
        for key in queues {
            if offers.iter().any(|(of, _)| of == key) {
                continue;
            }
            let Ok((line, store, _)) = self.queue(key) else {
                continue;
            };
            let mut offer = self.offer(who, &line, &store, "", &choices);
            offer.last = self
                .actions
                .audit
                .last_on_queue(key, now() - LAST_KEEP)
                .filter(|entry| entry.schedule.is_some());
            offers.push((key.clone(), offer));
        }
        offers
    }

    /// What our user lacks in the store for these intents, and what would permit all of them. An action that is asked for
    /// is tried all the same: the adapter looks at the rights again before it sends anything.
    pub(in super::super) fn lacks(&self, queue: &QueueRef, intents: &[&Intent]) -> Option<String> {
        let collector = self.collector(&queue.store).ok()?;
        let actions: Vec<_> = intents.iter().filter_map(|intent| intent.action()).collect();
        collector.lacks(&queue.queue.as_str().into(), &actions)
    }

    /// Why nothing can be archived now.
    pub(in super::super) fn no_archive(&self) -> Option<NotActed> {
        match &self.archive {
            None => Some(NotActed::Impossible(UNCONFIGURED.into())),
            Some(archive) => archive.ready().err().map(|trouble| NotActed::NoArchive(trouble.cause)),
        }
    }

    /// Why an action would not be tried now; `None` if it would.
    #[must_use]
    pub fn refusal_of(&self, who: &Who, key: &QueueRef, intent: &Intent) -> Option<String> {
        let (line, store, _) = self.queue(key).ok()?;
        let refusal = self.permitted(who, key, intent).err();
        let refusal = refusal.or_else(|| self.impossible(&line, &store, intent));
        let refusal = refusal.map(|refusal| refusal.to_string());
        refusal.or_else(|| self.lacks(key, &[intent]))
    }

    /// What can be done to many jobs of a queue at once; nothing for a user who may act on single jobs only.
    #[must_use]
    pub fn offer_many(&self, who: &Who, line: &QueueSummary, store: &StoreSummary) -> Offer {
        if let Err(why) = self.may(who, Verb::Bulk, Some(&line.key())) {
            return Offer {
                refused: vec![why.to_string()],
                ..Offer::default()
            };
        }
        let all: Vec<Choice> = ActionKind::on(Target::Job)
            .filter(|kind| kind.row().in_operations)
            .filter(|kind| self.has_archive() || *kind != ActionKind::Archive)
            .map(|kind| Choice {
                kind,
                label: Label::AsksFirst(kind.row().label()),
            })
            .collect();
        self.offer(who, line, store, "", &all)
    }

    fn offer(&self, who: &Who, line: &QueueSummary, store: &StoreSummary, target: &str, choices: &[Choice]) -> Offer {
        let key = line.key();
        let mut offer = Offer::default();
        // The same for every action: said once.
        if let Some(why) = self
            .capabilities(line)
            .and_then(|can| can.generation.unsupported.clone())
        {
            offer.refused.push(why);
            return offer;
        }
        let mut lacking: Vec<(&str, Intent)> = Vec::new();
        for Choice { kind, label } in choices {
            let row = kind.row();
            let Some(intent) = Intent::example(*kind, target) else {
                continue;
            };
            let refusal = self.permitted(who, &key, &intent).err();
            let refusal = refusal.or_else(|| self.impossible(line, store, &intent));
            let refusal = match (refusal, label) {
                // The same for every action: said once.
                (Some(why @ (NotActed::ReadOnly | NotActed::NotNow(_))), _) => {
                    return Offer {
                        refused: vec![why.to_string()],
                        ..Offer::default()
                    };
                }
                (Some(why), _) => Some(why.to_string()),
                (None, Label::NotYet(why)) => Some((*why).to_owned()),
                (None, _) => None,
            };
            let (text, at_once) = match label {
                Label::AtOnce(text) => ((*text).to_owned(), true),
                Label::Asks(text) => ((*text).to_owned(), false),
                Label::AsksFirst(text) => (format!("{text}…"), false),
                Label::NotYet(_) => (row.label().to_owned(), false),
            };
            if let Some(why) = refusal {
                if !offer.refused.iter().any(|said| said.ends_with(&why)) {
                    offer.refused.push(format!("{}: {why}", text.trim_end_matches('…')));
                }
            } else if self.lacks(&key, &[&intent]).is_some() {
                lacking.push((row.label(), intent));
            } else {
                let offered = Offered {
                    word: row.word.into(),
                    label: text,
                    at_once,
                    key: row.repeats.then(|| mint_id(now())),
                };
                match row.harm {
                    Harm::Final => offer.danger.push(offered),
                    Harm::None | Harm::Undoable => offer.safe.push(offered),
                }
            }
        }
        let intents: Vec<&Intent> = lacking.iter().map(|(_, intent)| intent).collect();
        offer.lacks = self.lacks(&key, &intents).filter(|_| !lacking.is_empty()).map(|why| {
            let labels: Vec<&str> = lacking.iter().map(|(label, _)| *label).collect();
            format!("{}: {why}", labels.join(", "))
        });
        offer
    }
}

/// What is worth knowing before an action is told before.
fn asked_first(kind: ActionKind, fit: Fit, can: Option<&Capabilities>) -> Fit {
    let notes = can.is_some_and(|can| !can.notes(kind).is_empty());
    if fit == Fit::Yes && notes { Fit::Asks } else { fit }
}

/// The actions on a target, each as this system does it.
fn variants(target: Target, can: Option<&'static Capabilities>) -> impl Iterator<Item = ActionKind> {
    let meant = move |kind: &ActionKind| {
        let word = ActionKind::find(target, kind.row().word).unwrap_or(*kind);
        can.map_or(word, |can| can.variant(word)) == *kind
    };
    ActionKind::on(target).filter(meant)
}

/// Actions that could only be refused, going by what is known of the job, each with why. `strands` says that the removal of a
/// job leaves those that wait for it waiting permanently.
fn hopeless(job: &JobDetail, flow: Option<&Flow>, strands: bool) -> Vec<(ActionKind, String)> {
    let mut all = vec![];
    if let Some(schedule) = &job.carries_schedule {
        let why = format!(
            "Remove: the schedule {} continues from this job and would end. Remove the schedule instead.",
            format::visible(schedule)
        );
        all.push((ActionKind::Remove, why));
    }
    if job.row.state == JobState::WaitingChildren && flow.is_some_and(|flow| !flow.may_have_unbegun()) {
        let why = "Remove children: all children it waits for have started or failed. Retry the failed ones, or remove each on its own page.";
        all.push((ActionKind::RemoveChildren, why.into()));
    }
    let waited_for = flow.is_some_and(Flow::parent_waits) && job.row.state != JobState::Completed;
    if strands && waited_for {
        let why = "Remove: other jobs wait for it and would wait forever. Retry it, or remove those first.";
        all.extend([
            (ActionKind::Remove, why.to_owned()),
            (ActionKind::Archive, why.replace("Remove:", "Archive:")),
        ]);
    } else if waited_for && job.row.state == JobState::Failed && !tells_parent(job) {
        let why =
            "Archive: its parent still waits for it. Retry the job, or remove it if the parent may run without it.";
        all.push((ActionKind::Archive, why.into()));
    }
    all
}

/// Whether a job says by its options what its failure does to its parent. Without any, the parent waits on.
fn tells_parent(job: &JobDetail) -> bool {
    job.effective
        .iter()
        .any(|option| option.name.ends_with("OnFailure") && option.value != "false")
}

/// A job as it is shown, for a form.
#[must_use]
pub fn seen_fields(job: &JobDetail) -> Vec<(String, String)> {
    let mut fields = vec![("seen_state".into(), job.row.state.to_string())];
    fields.extend(job.row.attempts.map(|made| ("seen_attempts".into(), made.to_string())));
    // A job that was retried keeps the moment it last finished; it says nothing about now.
    if let Some(at) = job
        .row
        .finished
        .filter(|_| matches!(job.row.state, JobState::Completed | JobState::Failed))
    {
        fields.push(("seen_finished_on".into(), at.to_string()));
    }
    fields
}
