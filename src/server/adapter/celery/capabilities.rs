//! What Drover can do to Celery's queues and tell of them, and why not more.
//!
//! There is one generation. What is done is what can be done to messages in Redis; what only workers can do, or only for as long
//! as they run, is refused.

use crate::model::action::catalogue::ActionKind;
use crate::model::capability::{Capabilities, Feature, Generation, NotIn};
use crate::model::state::JobState;
use crate::model::system::{Family, System};
use std::borrow::Cow;
use std::sync::LazyLock;

/// The generations: one.
pub(super) static ALL: LazyLock<Vec<Capabilities>> = LazyLock::new(|| vec![celery()]);

/// The generation's word, and what it is decided by.
const LAYOUT: &str = "celery";
const EVIDENCE: (&str, &str) = (
    "routes",
    "kombu's routes lead to the queue, and its messages or its workers are Celery's.",
);

/// Why finished tasks are neither counted nor listed.
pub(super) const NO_FINISHED: &str = "Finished tasks are neither counted nor listed: Celery stores results by task id, without an index by queue. A task's page \
     shows its result until it expires.";

/// Why what workers hold is not removed, and why there is nothing to remove of what is over.
pub(super) const HELD_STAYS: &str = "A worker holds this task in its memory, and runs it even if its message is removed. Only tasks that wait are removed.";
pub(super) const LEFT_STAYS: &str = "Its message is gone: what is left of it is its result, which expires by itself.";

/// What is said of an action that has no way of its own here.
pub(super) const NOT_HERE: &str = "Drover does not do this to Celery's queues.";

/// What to know before tasks are removed.
const REMOVE: [&str; 2] = [
    "Only tasks that wait are removed. Those that workers hold, running, taken in advance or until an ETA, stay and run.",
    "A removed task leaves no trace: a caller that waits for its result waits until its own timeout.",
];

/// What to know before a message is put back.
const PUT_BACK: [&str; 2] = [
    "It is done only while no worker is there: no heartbeat, no connection that waits for messages, no client that listens for \
     remote control.",
    "A worker that none of these shows, or that is cut off from Redis and goes on, may still run the task: then it runs twice.",
];

/// What to know before a task is revoked.
const REVOKE: [&str; 2] = [
    "The workers that run now are told to discard it, and nothing else keeps that: if all of them end before one takes the task, it \
     runs. If it waits, removing it is certain.",
    "Its message stays where it is until a worker takes it or its ETA comes. Its result is REVOKED then. One that runs goes on.",
];

const NO_SENDING: &str =
    "Drover sends no new tasks to Celery: what a task needs is known to the application that sends it.";
const NO_PAUSE: &str =
    "Celery has no pause of a queue: single workers stop consuming it, and forget that when they start again.";

const NO_LOGS: &str = "Celery stores no log of a task.";
const NO_DEDUPLICATION: &str = "Celery has no deduplication.";
const NO_CONCURRENCY: &str = "Celery has no limit for a queue: each worker has its own concurrency.";
const NO_RATE_LIMIT: &str = "Celery limits the rate of a task in each worker's memory, not that of a queue.";
const NO_RATES: &str =
    "Arrivals and departures are not counted: Celery stores no events, and its results have no index by queue.";
const NO_SCHEDULES: &str =
    "Celery beat keeps its schedule in a file or in a database of the application, not in Redis.";
const NO_PROMOTE: &str =
    "A task with an ETA is in the memory of the worker that holds it, and cannot be started earlier.";
const NO_EDIT: &str = "A task's message is not changed in place: a worker may hold a copy of it.";

/// The family of every queue.
pub(super) const fn family() -> Family {
    Family {
        layout: Cow::Borrowed(LAYOUT),
        evidence: Cow::Borrowed(EVIDENCE.0),
    }
}

fn celery() -> Capabilities {
    let generation = Generation {
        system: System::Celery,
        layout: LAYOUT.to_owned(),
        label: "Celery".to_owned(),
        unsupported: None,
        states: vec![JobState::Waiting, JobState::Active, JobState::Delayed],
        evidence: [(EVIDENCE.0.to_owned(), EVIDENCE.1.to_owned())].into(),
        uncounted: Some(NO_RATES.to_owned()),
    };
    Capabilities {
        not_in: vec![
            NotIn {
                action: ActionKind::Remove.name(),
                states: vec![JobState::Active, JobState::Delayed],
                reason: HELD_STAYS.into(),
            },
            NotIn {
                action: ActionKind::Remove.name(),
                states: vec![JobState::Completed, JobState::Failed, JobState::Cancelled],
                reason: LEFT_STAYS.into(),
            },
        ],
        notes: [
            (ActionKind::Remove, REMOVE),
            (ActionKind::PutBack, PUT_BACK),
            (ActionKind::Revoke, REVOKE),
        ]
        .map(|(kind, notes)| (kind.name(), notes.map(str::to_owned).to_vec()))
        .into(),
        cancel_discards_job: true,
        takes_no: ["remove.children", "cancel.error"].map(str::to_owned).to_vec(),
        priority_order: "0 runs first, then 1".into(),
        ..Capabilities::new(
            generation,
            |kind| refusal(kind).map_or(Ok(()), Err),
            |feature| Err(lack(feature)),
        )
    }
}

/// Why a feature is missing.
const fn lack(feature: Feature) -> &'static str {
    match feature {
        Feature::PrioritizedState => "Tasks of every priority are waiting tasks, in the order in which they run.",
        Feature::Flows => {
            "This version of Drover shows the parent and the root of a task, not its group, chord or chain."
        }
        Feature::Schedulers => NO_SCHEDULES,
        Feature::Deduplication => NO_DEDUPLICATION,
        Feature::Logs => NO_LOGS,
        Feature::GlobalConcurrency => NO_CONCURRENCY,
        Feature::GlobalRateLimit => NO_RATE_LIMIT,
        Feature::EventHistory => "Celery publishes events and stores none: Drover finds changes by counting.",
        Feature::AttemptsStarted => "A message counts the retries of its task, not the attempts that were started.",
    }
}

/// Why an action cannot be done; `None` if it can. Every action is listed: a missing one does not compile.
pub(super) const fn refusal(action: ActionKind) -> Option<&'static str> {
    use ActionKind as A;
    Some(match action {
        A::Remove | A::PutBack | A::Cancel | A::FailWhenTaken | A::Revoke => return None,
        A::Retry => {
            "The message of a finished task is gone, and its result holds neither its options nor its callbacks. Send it again."
        }
        A::Duplicate | A::Add => NO_SENDING,
        A::Archive => "The message of a finished task is gone: there is nothing of it that could be added again.",
        A::Pause | A::Resume => NO_PAUSE,
        A::Obliterate => {
            "The next client of the application declares the queue again. Remove its waiting tasks instead."
        }
        A::FailLost => "A worker of Celery takes up what a lost worker held when the visibility timeout ends.",
        A::Promote => NO_PROMOTE,
        A::Delay | A::Priority | A::EditData => NO_EDIT,
        A::ResumeJob => "Celery has no cancelled tasks that can be resumed: a revoked one is gone.",
        A::Redrive => "Celery has no dead-letter queues on Redis.",
        A::RemoveDeduplication => NO_DEDUPLICATION,
        A::ClearLogs => NO_LOGS,
        A::Release | A::RemoveChildren | A::RetryChildren => "A task of Celery does not wait for children.",
        A::Concurrency => NO_CONCURRENCY,
        A::RateLimit | A::ReleaseRateLimit => NO_RATE_LIMIT,
        A::TrimEvents => "Celery publishes events and stores none.",
        A::RunSchedule | A::RemoveSchedule | A::SaveSchedule => NO_SCHEDULES,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_messages_allow_can_be_done_and_the_rest_is_refused_with_a_reason() {
        let celery = &ALL[0];
        let mut can = vec![];
        for kind in ActionKind::ALL {
            match celery.refusal(*kind) {
                Some(reason) => assert!(reason.ends_with('.'), "{kind:?}: {reason:?}"),
                None => can.push(*kind),
            }
        }
        let wanted = [
            ActionKind::Cancel,
            ActionKind::FailWhenTaken,
            ActionKind::Revoke,
            ActionKind::PutBack,
            ActionKind::Remove,
        ];
        assert_eq!(can, wanted);
        for state in [JobState::Active, JobState::Delayed, JobState::Completed] {
            assert!(celery.refusal_in(ActionKind::Remove, state).is_some(), "{state}");
        }
        assert_eq!(celery.refusal_in(ActionKind::Remove, JobState::Waiting), None);
        assert_eq!(celery.lacks.len(), Feature::ALL.len());
    }
}
