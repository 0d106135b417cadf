//! What Drover can do to Celery's queues and tell of them, and why not more.
//!
//! There is one generation. This version reads and changes nothing.

use crate::model::action::catalogue::ActionKind;
use crate::model::capability::{Capabilities, Feature, Generation};
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

const READ_ONLY: &str = "This version of Drover reads Celery's queues and does not change them.";
const NO_LOGS: &str = "Celery stores no log of a task.";
const NO_DEDUPLICATION: &str = "Celery has no deduplication.";
const NO_CONCURRENCY: &str = "Celery has no limit for a queue: each worker has its own concurrency.";
const NO_RATE_LIMIT: &str = "Celery limits the rate of a task in each worker's memory, not that of a queue.";
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
    };
    Capabilities {
        priority_order: "0 runs first, then 1".into(),
        ..Capabilities::new(generation, |kind| Err(refusal(kind)), |feature| Err(lack(feature)))
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

/// Why an action cannot be done. Every action is listed: a missing one does not compile.
const fn refusal(action: ActionKind) -> &'static str {
    use ActionKind as A;
    match action {
        A::Retry
        | A::Remove
        | A::Duplicate
        | A::Cancel
        | A::FailWhenTaken
        | A::PutBack
        | A::Archive
        | A::Pause
        | A::Resume
        | A::Add
        | A::Obliterate => READ_ONLY,
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
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_is_refused_with_a_reason() {
        let celery = &ALL[0];
        for kind in ActionKind::ALL {
            let reason = celery.refusal(*kind).unwrap_or_default();
            assert!(reason.ends_with('.'), "{kind:?}: {reason:?}");
        }
        assert_eq!(celery.lacks.len(), Feature::ALL.len());
    }
}
