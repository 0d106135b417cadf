//! What Drover can do to arq's queues and tell of them, and why not more.
//!
//! There is one generation. What is done is what can be done to a job in Redis without knowing its worker; the rest is refused.

use crate::model::action::catalogue::ActionKind;
use crate::model::capability::{Capabilities, Feature, Generation, NotIn};
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

/// Why what runs is left alone, and why there is nothing to remove of what is over.
pub(super) const RUNS: &str = "A worker has claimed it and runs it, or was lost and its claim has not ended yet.";
pub(super) const LEFT_STAYS: &str =
    "It is not in the queue any more: what is left of it is its result, which expires by itself.";

/// Why a completed job does not run again.
pub(super) const ONLY_FAILED: &str =
    "Only a failed job runs again: a caller may still wait for the result of a completed one, which would be gone.";

/// Why a retry takes no data.
pub(super) const NO_OTHER_DATA: &str = "A job of arq is written by the serializer of its application, which Drover does not have: it runs again \
     with the arguments that it had.";

/// What is said of an action that has no way of its own here.
pub(super) const NOT_HERE: &str = "Drover does not do this to arq's queues.";

/// What to know before jobs are removed.
const REMOVE: [&str; 2] = [
    "Only jobs that no worker has claimed are removed, with their payload. One that runs goes on.",
    "A removed job leaves no result: a caller that waits for one waits until its own timeout.",
];

/// What to know before a job runs again.
const RETRY: [&str; 3] = [
    "It runs with the arguments that its result holds: a function that changed them left them changed.",
    "It is due at once, its tries are counted from one again, and its result is removed.",
    "arq also takes a job for failed whose result its serializer could not write (\"unable to serialize result\"): that job may have \
     done its work.",
];

/// What to know before a job is aborted.
const ABORT: [&str; 3] = [
    "Only a worker that was started with allow_abort_jobs fails the job when it takes it, and Redis does not tell whether there is one. \
     Any other worker runs it. If it need not fail but only not run, removing it is certain.",
    "A worker of arq 0.28 with keep_result_forever ends when it takes such a job.",
    "What asks for the abort stays in Redis until such a worker takes the job.",
];

const NO_SERIALIZER: &str =
    "Drover adds no jobs to arq: a job is written by the serializer of its application, which Drover does not have.";
const NO_OWNER: &str = "A claim does not say which worker holds it, so it is not known that the worker is lost. When the claim ends, a worker \
     starts the job again.";
const NO_CONTROL: &str = "arq has no pause: nothing that a worker reads tells it to take no jobs.";
const NO_LOGS: &str = "arq stores no log of a job.";
const NO_DEDUPLICATION: &str =
    "arq has no deduplication beside job ids: an id is refused while its job or its result is there.";
const NO_CONCURRENCY: &str = "arq has no limit for a queue: each worker has its own max_jobs.";
const NO_RATE_LIMIT: &str = "arq has no rate limit.";
const NO_RATES: &str =
    "Arrivals and departures are not counted: arq publishes no events, and its results have no index by queue.";
const NO_SCHEDULES: &str =
    "Cron jobs of arq are in the code of its workers: Redis has a run of one when it is due, and no schedule.";
const NO_PRIORITY: &str = "arq has no priorities: jobs run in the order in which they are due.";
pub(super) const NO_FLOWS: &str = "arq has no parents and no children.";
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
        uncounted: Some(NO_RATES.to_owned()),
    };
    Capabilities {
        not_in: vec![
            not_in(ActionKind::Remove, &[JobState::Active], RUNS),
            not_in(
                ActionKind::Remove,
                &[JobState::Completed, JobState::Failed, JobState::Cancelled],
                LEFT_STAYS,
            ),
            not_in(ActionKind::Retry, &[JobState::Completed], ONLY_FAILED),
        ],
        notes: [
            (ActionKind::Remove, &REMOVE[..]),
            (ActionKind::Retry, &RETRY),
            (ActionKind::FailWhenTaken, &ABORT),
        ]
        .map(|(kind, notes)| (kind.name(), notes.iter().map(|note| (*note).to_owned()).collect()))
        .into(),
        takes_no: ["remove.children", "cancel.error", "retry.data"]
            .map(str::to_owned)
            .to_vec(),
        always: vec!["retry.reset_attempts".into()],
        ..Capabilities::new(generation, |kind| refusal(kind).map_or(Ok(()), Err), lack)
    }
}

fn not_in(action: ActionKind, states: &[JobState], reason: &str) -> NotIn {
    NotIn {
        action: action.name(),
        states: states.to_vec(),
        reason: reason.into(),
    }
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

/// Why an action cannot be done; `None` if it can. Every action is listed: a missing one does not compile.
pub(super) const fn refusal(action: ActionKind) -> Option<&'static str> {
    use ActionKind as A;
    Some(match action {
        A::Remove | A::Promote | A::Retry | A::Cancel | A::FailWhenTaken | A::Revoke => return None,
        A::Delay => {
            "The payload of a job of arq expires a day after the time for which it was added, so Drover defers none."
        }
        A::Duplicate | A::Add => NO_SERIALIZER,
        A::PutBack | A::FailLost => NO_OWNER,
        A::Archive => "arq stores results by job id, without an index by queue: Drover archives none.",
        A::Pause | A::Resume => NO_CONTROL,
        A::Obliterate => "A queue of arq is there only while it holds jobs. Remove these instead.",
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
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_jobs_allow_can_be_done_and_the_rest_is_refused_with_a_reason() {
        use ActionKind as A;
        let arq = &ALL[0];
        let mut can = vec![];
        for kind in ActionKind::ALL {
            match arq.refusal(*kind) {
                Some(reason) => assert!(reason.ends_with('.'), "{kind:?}: {reason:?}"),
                None => can.push(*kind),
            }
        }
        assert_eq!(
            can,
            [A::Retry, A::Promote, A::Cancel, A::FailWhenTaken, A::Revoke, A::Remove]
        );
        for state in [JobState::Active, JobState::Completed, JobState::Failed] {
            assert!(arq.refusal_in(A::Remove, state).is_some(), "{state}");
        }
        assert_eq!(arq.refusal_in(A::Remove, JobState::Delayed), None);
        assert_eq!(arq.refusal_in(A::Retry, JobState::Failed), None);
    }
}
