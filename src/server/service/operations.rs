//! Actions over many jobs: previewed, started, watched and controlled.
//!
//! The permission is checked for every queue of a selection, not only for the first. Each queue's audit entry says what
//! was asked for before anything is done, and afterwards how many jobs had which result.

use super::act::intent::Intent;
use super::act::{NotActed, REASON_MAX};
use super::{Answer, Refusal, Service};
use crate::model::action::{Effect, JobAction, Seen};
use crate::model::audit::Became;
use crate::model::filter::JobFilter;
use crate::model::now;
use crate::model::operation::{Bounds, ItemResult, Operation, Preview, TYPED_ABOVE};
use crate::model::permission::Verb;
use crate::model::queue::{QueueRef, QueueSummary};
use crate::server::adapter::ReadError;
use crate::server::audit::record::{Key, Record};
use crate::server::auth::who::{Permission, Who};
use crate::server::operation::run::Run;
use crate::server::operation::select::{self, SelectError, Selection};
use crate::server::operation::{NotStarted, OperationRequest, Operations};
use crate::server::redact::Mask;
use serde_json::json;
use std::sync::Arc;

pub use crate::server::operation::Control;

/// Queues of an operation that each get an audit entry of their own; only the operation names the others.
const RECORDED: usize = 20;

/// Jobs that may be selected and started without a preview.
pub const UNSEEN_MAX: u64 = 100;

/// A request for an action over many jobs.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The action.
    pub action: JobAction,
    /// Which jobs.
    pub filter: JobFilter,
    /// Or these, as they were shown.
    pub jobs: Vec<(QueueRef, String, Seen)>,
}

/// A request to start a preview.
#[derive(Clone, Debug, Default)]
pub struct Start {
    /// The token of the preview.
    pub token: String,
    /// The bounds.
    pub bounds: Bounds,
    /// Why.
    pub reason: String,
    /// What the preview asked to be typed.
    pub typed: Option<String>,
    /// The idempotency key: a repeated request is the same start.
    pub key: Option<Key>,
}

impl Service {
    fn engine(&self) -> Answer<&Arc<Operations>> {
        let engine = self.operations.as_ref();
        engine.map_err(|why| Refusal::NotActed(NotActed::NoAudit(why.clone())))
    }

    /// Freezes a selection and tells what would be done with it.
    pub async fn preview(&self, who: &Who, asked: Asked) -> Answer<Preview> {
        let engine = self.engine()?;
        check(&asked.action)?;
        let asked = Asked {
            action: without_secrets(asked.action, self.redactor.base()),
            ..asked
        };
        if asked.action == JobAction::Archive {
            if let Some(archive) = &self.archive {
                // Its result is read right after.
                let _ = archive.soon().await;
            }
            if let Some(why) = self.no_archive() {
                return Err(why.into());
            }
        }
        let selection = if asked.jobs.is_empty() {
            let (_, queues, _) = self.board.lines();
            let seen = queues.iter().filter(|line| who.sees(&line.key()));
            let seen: Vec<_> = seen.map(|line| QueueSummary::clone(line)).collect();
            let read = select::filtered(asked.action, asked.filter, &seen, engine.stores(), now());
            read.await.map_err(refusal)?
        } else {
            for (queue, ..) in &asked.jobs {
                // Before the answer reveals whether there is such a queue.
                self.may(who, Verb::View, Some(queue))?;
                self.queue(queue)?;
            }
            select::ticked(asked.action, asked.jobs, |queue| self.label_of(queue), now()).map_err(refusal)?
        };
        self.permitted_everywhere(who, &selection)?;
        Ok(self.kept_preview(engine, selection))
    }

    /// Keeps a selection under a token, and tells what would be done with it.
    fn kept_preview(&self, engine: &Operations, selection: Selection) -> Preview {
        let selection = Arc::new(selection);
        let token = engine.keep(selection.clone());
        Preview {
            token,
            action: selection.action.clone(),
            filter: selection.filter.clone(),
            sentence: self.of_places(&selection),
            at: selection.at,
            selected: selection.items.len() as u64,
            capped: selection.capped,
            looked_at: selection.looked_at,
            samples: selection.samples.clone(),
            by_name: selection.by_name.clone(),
            by_queue: selection.by_queue().into_iter().take(100).collect(),
            skipped: selection.skipped.clone(),
            done_again: selection.done_again(),
            notes: self.notes_on(&selection),
            typed: typed(&selection),
        }
    }

    /// What the systems of the selected queues say of the action beforehand, each sentence once.
    fn notes_on(&self, selection: &Selection) -> Vec<String> {
        let mut notes: Vec<String> = vec![];
        for (queue, _) in selection.by_queue() {
            let can = self.board.queue(&queue).and_then(|(line, ..)| self.capabilities(&line));
            for note in can.map_or(&[][..], |can| can.notes(selection.action.kind())) {
                if !notes.contains(note) {
                    notes.push(note.clone());
                }
            }
        }
        notes
    }

    /// What a queue is called; its id where the queue is not known any more.
    fn label_of(&self, queue: &QueueRef) -> String {
        let known = self.board.queue(queue);
        known.map_or_else(|| queue.queue.clone(), |(line, ..)| line.label.clone())
    }

    /// What a preview that can still be started would do with which jobs.
    #[must_use]
    pub fn previewed(&self, token: &str) -> Option<(JobAction, JobFilter)> {
        let selection = self.engine().ok()?.kept(token)?;
        Some((selection.action.clone(), selection.filter.clone()))
    }

    /// With an idempotency key, waits until no other request with one is being ordered.
    pub async fn one_order_at_a_time(&self, with_key: bool) -> Option<tokio::sync::MutexGuard<'_, ()>> {
        match (&self.operations, with_key) {
            (Ok(engine), true) => Some(engine.ordering().lock().await),
            _ => None,
        }
    }

    /// What was started with this idempotency key before.
    pub fn ordered(&self, key: &Key) -> Answer<Option<Operation>> {
        let Some(run) = self.engine()?.started_with(key) else {
            return Ok(None);
        };
        if run.meta().key.as_ref() != Some(key) {
            return Err(NotActed::KeyUsed.into());
        }
        Ok(Some(run.told()))
    }

    /// Starts what was previewed: exactly that. The same token again is answered with the same operation.
    pub async fn start(&self, who: &Who, start: Start) -> Answer<Operation> {
        let Start {
            token,
            bounds,
            reason,
            typed: typed_in,
            key,
        } = start;
        let token = token.as_str();
        let engine = self.engine()?;
        if let Some(known) = engine.started_by(token) {
            return Ok(known.told());
        }
        let wrong = |why: String| Refusal::NotActed(NotActed::Wrong(why));
        let Some(selection) = engine.kept(token) else {
            return Err(wrong(
                "This preview has expired: it is older than ten minutes, or Drover was restarted. Preview again."
                    .into(),
            ));
        };
        if selection.items.is_empty() {
            return Err(wrong("No job is selected, so there is nothing to start.".into()));
        }
        if reason.chars().count() > REASON_MAX {
            return Err(wrong(format!("reason is longer than {REASON_MAX} characters.")));
        }
        if let Some(canary) = bounds.canary
            && !(1..=1_000).contains(&canary.jobs)
        {
            return Err(wrong("canary.jobs is a number from 1 to 1,000.".into()));
        }
        if let Some(canary) = bounds.canary
            && (!(1..=3_600).contains(&canary.watch_s) || canary.stop_percent > 100)
        {
            return Err(wrong(
                "canary.watch_s is a number from 1 to 3,600, canary.stop_percent one up to 100.".into(),
            ));
        }
        if bounds.rate == Some(0) {
            return Err(wrong("rate is at least 1 job a second.".into()));
        }
        if let Some(wanted) = typed(&selection)
            && typed_in.as_deref().map(str::trim) != Some(wanted.as_str())
        {
            return Err(wrong(format!("Type {wanted:?} to confirm: this cannot be undone.")));
        }
        self.permitted_everywhere(who, &selection)?;
        // Both are kept with the operation for as long as it is.
        let reason = self.redactor.base().words(&reason).into_owned();
        let sentence = self.redactor.base().sentence(&self.of_places(&selection)).into_owned();
        let records: Vec<Record> = selection
            .by_queue()
            .into_iter()
            .take(RECORDED)
            .map(|(queue, jobs)| {
                let details = json!({"filter": selection.filter, "jobs": jobs, "bounds": bounds});
                let mask = self.mask(&queue);
                note(who, queue, selection.action_word(), sentence.clone(), &reason, details).masked(&mask)
            })
            .collect();
        for record in &records {
            let written = self.actions.audit().intend(&Arc::new(record.clone())).await;
            written.map_err(NotActed::from)?;
        }
        let intended = records.clone();
        let order = OperationRequest {
            selection,
            sentence,
            bounds,
            who: who.name.clone(),
            reason,
            records,
            key,
        };
        let started = match engine.start(token, order).await {
            Ok(started) => started,
            Err(why) => {
                let refusal = match why {
                    NotStarted::Unwritten(why) => NotActed::NoAudit(why),
                    NotStarted::KeyTaken => NotActed::KeyRunning,
                };
                let not_sent = Became::NotSent(refusal.to_string());
                for record in intended {
                    self.actions.audit().conclude(&Arc::new(record), not_sent.clone()).await;
                }
                return Err(refusal.into());
            }
        };
        started.ok_or_else(|| wrong("Another user has just started this preview.".into()))
    }

    /// All operations that are kept, the newest first.
    pub fn all_operations(&self) -> Vec<Operation> {
        self.operations.as_ref().map_or_else(|_| vec![], |engine| engine.list())
    }

    /// The open operation that works on a queue, if there is one.
    #[must_use]
    pub fn operation_on(&self, queue: &QueueRef) -> Option<Operation> {
        self.all_operations()
            .into_iter()
            .find(|operation| operation.state.is_open() && operation.queues.contains(queue))
    }

    /// One operation.
    pub fn operation(&self, id: &str) -> Answer<Operation> {
        Ok(self.run(id)?.told())
    }

    /// Whether this process runs an operation, or ran it.
    #[must_use]
    pub fn runs_here(&self, id: &str) -> bool {
        self.run(id).is_ok_and(|run| !run.is_elsewhere())
    }

    /// Bytes of the jobs that this process archived for an operation.
    #[must_use]
    pub fn removed_by(&self, id: &str) -> u64 {
        self.run(id).map_or(0, |run| run.removed())
    }

    fn run(&self, id: &str) -> Answer<Arc<Run>> {
        self.engine()?
            .get(id)
            .ok_or_else(|| Refusal::NoOperation(id.to_owned()))
    }

    /// Jobs of an operation with their results, those with `result` only (`left` for those that have none), and how
    /// many of these there are.
    pub(super) async fn results(
        &self,
        id: &str,
        result: Option<&str>,
        offset: usize,
        limit: usize,
    ) -> Answer<(Vec<ItemResult>, u64)> {
        let read = self.run(id)?.results(result, offset, limit).await;
        read.map_err(|error| {
            Refusal::Unreadable(ReadError::Corrupt(format!(
                "The saved operation cannot be read: {error}."
            )))
        })
    }

    /// Pauses, resumes or cancels one.
    pub async fn control(&self, who: &Who, id: &str, control: Control) -> Answer<Operation> {
        self.view(who).operation(id)?;
        let run = self.run(id)?;
        let meta = run.meta();
        for queue in &meta.queues {
            self.may_act(who, queue, &meta.action)?;
        }
        let word = match control {
            Control::Pause => "pause_operation",
            Control::Resume => "resume_operation",
            Control::Cancel => "cancel_operation",
        };
        if let Some(queue) = meta.queues.first() {
            let sentence = format!("{}: {}.", control.word(), meta.sentence.trim_end_matches('.'));
            let record = note(who, queue.clone(), word, sentence, "", json!({"operation": id}));
            let record = Arc::new(record.masked(&self.mask(queue)));
            let written = self.actions.audit().intend(&record).await;
            written.map_err(NotActed::from)?;
            let told = self.engine()?.control(&run, control).await;
            let became = match &told {
                Ok(()) => Became::Known(Effect::done()),
                Err(why) => Became::NotSent(why.clone()),
            };
            self.actions.audit().conclude(&record, became).await;
            told.map_err(NotActed::NotNow)?;
        }
        Ok(run.told())
    }

    /// Freezes the rest of an operation that has ended: jobs that it did not reach, that failed, or whose result is not
    /// known.
    pub async fn again(&self, who: &Who, id: &str) -> Answer<Preview> {
        self.view(who).operation(id)?;
        let run = self.run(id)?;
        if run.is_open() {
            return Err(NotActed::Wrong("It has not ended yet. Cancel it first, or let it end.".into()).into());
        }
        let rest = run.rest().await.map_err(|error| {
            Refusal::Unreadable(ReadError::Corrupt(format!(
                "The saved operation cannot be read: {error}."
            )))
        })?;
        if rest.is_empty() {
            return Err(NotActed::Wrong("Nothing is left of it: every job has its result.".into()).into());
        }
        let action = run.meta().action.clone();
        let selection = Selection::of(action, rest, |queue| self.label_of(queue), now());
        self.permitted_everywhere(who, &selection)?;
        Ok(self.kept_preview(self.engine()?, selection))
    }

    pub(super) fn may_act(&self, who: &Who, queue: &QueueRef, action: &JobAction) -> Answer<()> {
        let intent = Intent::Job {
            id: String::new(),
            action: action.clone(),
        };
        for verb in intent.verbs() {
            let permission = Permission {
                verb,
                queue: Some(queue),
            };
            self.actions.may(who, permission)?;
        }
        Ok(())
    }

    fn permitted_everywhere(&self, who: &Who, selection: &Selection) -> Answer<()> {
        selection.queues.iter().try_for_each(|(queue, _)| {
            self.may(who, Verb::Bulk, Some(queue))?;
            self.may_act(who, queue, &selection.action)?;
            let intent = Intent::Job {
                id: String::new(),
                action: selection.action.clone(),
            };
            match self.lacks(queue, &[&intent]) {
                Some(why) => Err(NotActed::Impossible(why).into()),
                None => Ok(()),
            }
        })
    }

    /// The selection's sentence with the environments of its stores.
    fn of_places(&self, selection: &Selection) -> String {
        let mut environments: Vec<&str> = selection
            .queues
            .iter()
            .filter_map(|(queue, _)| self.actions.environment(&queue.store))
            .collect();
        environments.sort_unstable();
        environments.dedup();
        if environments.is_empty() {
            format!("{}.", selection.sentence())
        } else {
            format!("{} ({}).", selection.sentence(), environments.join(", "))
        }
    }
}

/// Only what makes sense for many jobs at once.
fn check(action: &JobAction) -> Result<(), NotActed> {
    let many = !select::states(action).is_empty() && !matches!(action, JobAction::Retry { data: Some(_), .. });
    if many {
        Ok(())
    } else {
        Err(NotActed::Wrong(
            "Many jobs at once can be retried, removed, archived, promoted, delayed, redriven or resumed; anything else is for one job."
                .into(),
        ))
    }
}

fn refusal(error: SelectError) -> Refusal {
    match error {
        SelectError::Asked(why) => NotActed::Wrong(why).into(),
        SelectError::Unreadable(why) => Refusal::Unreadable(why),
    }
}

/// What has to be typed before something is destroyed.
fn typed(selection: &Selection) -> Option<String> {
    let destroys = matches!(selection.action, JobAction::Remove { .. });
    (destroys && selection.items.len() as u64 > TYPED_ABOVE).then(|| match selection.queues.as_slice() {
        [(_, name)] => name.trim().to_owned(),
        _ => selection.items.len().to_string(),
    })
}

/// Files keep an action over many jobs until it has ended: an error that a user writes into it is masked before.
fn without_secrets(mut action: JobAction, mask: &Mask) -> JobAction {
    if let JobAction::FailLost { error } | JobAction::Cancel { error } = &mut action {
        *error = mask.words(error).into_owned();
    }
    action
}

fn note(
    who: &Who,
    queue: QueueRef,
    action: &str,
    sentence: String,
    reason: &str,
    details: serde_json::Value,
) -> Record {
    Record {
        reason: Some(reason.trim().to_owned()).filter(|reason| !reason.is_empty()),
        details,
        ..Record::intent((&who.name, &who.address), action, queue, sentence)
    }
}
