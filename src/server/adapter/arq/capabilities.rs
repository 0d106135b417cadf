//! What Drover can do to arq's queues and tell of them, and why not more.
//!
//! There is one generation. This version reads and changes nothing.

use crate::model::action::catalogue::ActionKind;
use crate::model::capability::{Capabilities, Feature, Generation};
use crate::model::state::JobState;
use crate::model::system::{Family, System};
use std::borrow::Cow;
use std::sync::LazyLock;

/// The generations: one.
pub(super) static ALL: LazyLock<Vec<Capabilities>> = LazyLock::new(|| vec![arq()]);

/// The generation's word, and what it is decided by.
const LAYOUT: &str = "arq";
const EVIDENCE: (&str, &str) = (
    "keys",
    "The sorted set holds ids of jobs of arq, or workers of arq wrote their line beside it.",
);

/// Why finished jobs are neither counted nor listed.
pub(super) const NO_FINISHED: &str = "Finished jobs are neither counted nor listed: arq stores results by job id, without an index by queue. A job's page \
     shows its result until it expires.";

const READ_ONLY: &str = "This version of Drover reads arq's queues and does not change them.";
const NO_CONTROL: &str = "arq has no pause: nothing that a worker reads tells it to take no jobs.";
const NO_LOGS: &str = "arq stores no log of a job.";
const NO_DEDUPLICATION: &str =
    "arq has no deduplication beside job ids: an id is refused while its job or its result is there.";
const NO_CONCURRENCY: &str = "arq has no limit for a queue: each worker has its own max_jobs.";
const NO_RATE_LIMIT: &str = "arq has no rate limit.";
const NO_SCHEDULES: &str =
    "Cron jobs of arq are in the code of its workers: Redis has a run of one when it is due, and no schedule.";
const NO_PRIORITY: &str = "arq has no priorities: jobs run in the order in which they are due.";
const NO_FLOWS: &str = "arq has no parents and no children.";
const NO_EVENTS: &str = "arq stores and publishes no events: Drover finds changes by counting.";

/// The family of every queue.
pub(super) const fn family() -> Family {
    Family {
        layout: Cow::Borrowed(LAYOUT),
        evidence: Cow::Borrowed(EVIDENCE.0),
    }
}

fn arq() -> Capabilities {
    let generation = Generation {
        system: System::Arq,
        layout: LAYOUT.to_owned(),
        label: "arq".to_owned(),
        unsupported: None,
        states: vec![JobState::Waiting, JobState::Active, JobState::Delayed],
        evidence: [(EVIDENCE.0.to_owned(), EVIDENCE.1.to_owned())].into(),
    };
    Capabilities::new(generation, |kind| Err(refusal(kind)), lack)
}

/// Why a feature is missing.
const fn lack(feature: Feature) -> Result<(), &'static str> {
    match feature {
        Feature::AttemptsStarted => Ok(()),
        Feature::PrioritizedState => Err(NO_PRIORITY),
        Feature::Flows => Err(NO_FLOWS),
        Feature::Schedulers => Err(NO_SCHEDULES),
        Feature::Deduplication => Err(NO_DEDUPLICATION),
        Feature::Logs => Err(NO_LOGS),
        Feature::GlobalConcurrency => Err(NO_CONCURRENCY),
        Feature::GlobalRateLimit => Err(NO_RATE_LIMIT),
        Feature::EventHistory => Err(NO_EVENTS),
    }
}

/// Why an action cannot be done. Every action is listed: a missing one does not compile.
const fn refusal(action: ActionKind) -> &'static str {
    use ActionKind as A;
    match action {
        A::Retry
        | A::Remove
        | A::Promote
        | A::Delay
        | A::Duplicate
        | A::Cancel
        | A::FailWhenTaken
        | A::Revoke
        | A::PutBack
        | A::Archive
        | A::Add
        | A::Obliterate => READ_ONLY,
        A::Pause | A::Resume => NO_CONTROL,
        A::FailLost => "A worker of arq starts a job of a lost worker again when the claim ends.",
        A::Priority => NO_PRIORITY,
        A::EditData => "A job of arq is written by the serializer of its application, which Drover does not have.",
        A::ResumeJob => "arq has no cancelled jobs that can be resumed: an aborted one has failed.",
        A::Redrive => "arq has no dead-letter queues.",
        A::RemoveDeduplication => NO_DEDUPLICATION,
        A::ClearLogs => NO_LOGS,
        A::Release | A::RemoveChildren | A::RetryChildren => NO_FLOWS,
        A::Concurrency => NO_CONCURRENCY,
        A::RateLimit | A::ReleaseRateLimit => NO_RATE_LIMIT,
        A::TrimEvents => NO_EVENTS,
        A::RunSchedule | A::RemoveSchedule | A::SaveSchedule => NO_SCHEDULES,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_is_refused_with_a_reason() {
        for kind in ActionKind::ALL {
            let reason = ALL[0].refusal(*kind).unwrap_or_default();
            assert!(reason.ends_with('.'), "{kind:?}: {reason:?}");
        }
    }
}
