//! What each generation of pg-boss can do, and why not.

use super::family::Layout;
use crate::model::action::catalogue::ActionKind;
use crate::model::capability::{Capabilities, Feature, Generation, NotIn};
use crate::model::state::JobState;
use std::sync::LazyLock;

/// All generations.
pub(super) static ALL: LazyLock<Vec<Capabilities>> = LazyLock::new(|| Layout::ALL.into_iter().map(of).collect());

/// Why a dead letter cannot be put back.
pub(super) const NO_SOURCES: &str = "pg-boss records the source queue of a dead letter since 12.23. Add the job to that queue again with the same data, then remove it here.";

/// Why nothing can be done with a job that the library has put into its own archive.
pub(super) const PUT_AWAY: &str =
    "The job is in pg-boss's own archive, which only deletes old jobs. To run it again, duplicate it.";

const NO_CONCURRENCY: &str =
    "pg-boss has no queue-wide limit; its queue policies singleton and stately allow one job at a time.";
const NO_RATE_LIMIT: &str = "pg-boss has no rate limit; it throttles sending by time slots.";
const NO_RETRY_BELOW: &str =
    "pg-boss runs a job only when all jobs it waits for have completed. Retry the failed ones.";

/// What to know before a pause.
const PAUSE: [&str; 4] = [
    "pg-boss itself has no pause. While any queue of its installation is paused, Drover keeps three things in the schema of \
     that installation: a trigger drover_pause on the table job, its function drover_hold, and a table drover_paused with \
     the paused queues. Resuming the last of them removes all three.",
    "Running jobs will finish. New, scheduled and retried jobs wait; workers keep polling and get nothing.",
    "pg-boss still removes jobs that wait longer than their queue keeps them: 14 days by default.",
    "This needs a role that may act as the owner of the table job. Creating the trigger waits up to two seconds for \
     other writes to that table to finish, and new writes wait behind it.",
];

/// The states its jobs can be in.
pub(super) fn states(layout: Layout) -> Vec<JobState> {
    let has = |state: &JobState| match state {
        JobState::Prioritized => feature(layout, Feature::PrioritizedState).is_ok(),
        JobState::WaitingChildren => feature(layout, Feature::Flows).is_ok(),
        JobState::Waiting
        | JobState::Active
        | JobState::Delayed
        | JobState::Completed
        | JobState::Failed
        | JobState::Cancelled => true,
    };
    JobState::ALL.into_iter().filter(has).collect()
}

/// The capabilities of a generation.
fn of(layout: Layout) -> Capabilities {
    let (evidence, sentence) = Layout::EVIDENCE;
    let generation = Generation {
        system: Layout::SYSTEM,
        layout: layout.word().to_owned(),
        label: layout.label().to_owned(),
        unsupported: None,
        states: states(layout),
        evidence: [(evidence.to_owned(), sentence.to_owned())].into(),
        uncounted: None,
    };
    Capabilities {
        not_in: vec![
            NotIn {
                action: ActionKind::Retry.name(),
                states: vec![JobState::Completed],
                reason: "pg-boss retries failed jobs only. Duplicate a completed job to run it again.".into(),
            },
            NotIn {
                action: ActionKind::EditData.name(),
                states: vec![JobState::Completed, JobState::Failed, JobState::Cancelled],
                reason: "pg-boss takes other data only for a job that has not ended. Duplicate it with other data."
                    .into(),
            },
        ],
        notes: [(ActionKind::Pause.name(), PAUSE.map(str::to_owned).to_vec())].into(),
        // Its jobs of one priority run in the order in which they were created, and are called as their queue is.
        takes_no: ["priority.lifo", "remove.children", "duplicate.name"]
            .map(str::to_owned)
            .to_vec(),
        priority_order: "the highest runs first, 0 is the default".into(),
        pause_by: ", which a trigger in its database ensures".into(),
        put_away: PUT_AWAY.into(),
        cancel_keeps_job: true,
        removal_strands_parents: true,
        searches_data: true,
        ..Capabilities::new(
            generation,
            |kind| refusal(layout, kind).map_or(Ok(()), Err),
            |wanted| feature(layout, wanted),
        )
    }
}

const NO_LOGS: &str = "pg-boss keeps no job logs.";

/// Whether a generation has a feature, or why not.
const fn feature(layout: Layout, feature: Feature) -> Result<(), &'static str> {
    match (feature, layout) {
        (Feature::PrioritizedState, _) => Err("Jobs with a priority are among the waiting jobs, in order."),
        (Feature::Flows, Layout::PgBoss9 | Layout::PgBoss10 | Layout::PgBoss11) => {
            Err("Jobs that wait for others need pg-boss 12.19 or newer.")
        }
        (Feature::Flows, Layout::PgBoss12)
        | (Feature::Schedulers | Feature::Deduplication | Feature::AttemptsStarted, _) => Ok(()),
        (Feature::Logs, _) => Err(NO_LOGS),
        (Feature::GlobalConcurrency, _) => Err(NO_CONCURRENCY),
        (Feature::GlobalRateLimit, _) => Err(NO_RATE_LIMIT),
        (Feature::EventHistory, _) => Err("pg-boss stores no events: Drover finds changes by querying."),
    }
}

/// Why a generation cannot do an action; `None` if it can. Every action is listed: a missing one does not compile.
pub(super) const fn refusal(layout: Layout, action: ActionKind) -> Option<&'static str> {
    use ActionKind as A;
    match action {
        A::Retry
        | A::Remove
        | A::Promote
        | A::Delay
        | A::Priority
        | A::EditData
        | A::Duplicate
        | A::Cancel
        | A::FailWhenTaken
        | A::Revoke
        | A::ResumeJob
        | A::RemoveDeduplication
        | A::Archive
        | A::Pause
        | A::Resume
        | A::Add
        | A::RunSchedule
        | A::RemoveSchedule => None,
        A::FailLost | A::PutBack => Some(
            "pg-boss does this itself once a minute: an expired job fails or is retried. This needs a pg-boss process with supervise on.",
        ),
        A::Redrive => match layout {
            Layout::PgBoss9 => Some("Dead-letter queues need pg-boss 10 or newer."),
            Layout::PgBoss10 | Layout::PgBoss11 => Some(NO_SOURCES),
            Layout::PgBoss12 => None,
        },
        A::ClearLogs => Some(NO_LOGS),
        A::Release | A::RetryChildren => Some(NO_RETRY_BELOW),
        A::RemoveChildren => Some("pg-boss does not remove the jobs that a job waits for. Remove them one by one."),
        A::Concurrency => Some(NO_CONCURRENCY),
        A::RateLimit | A::ReleaseRateLimit => Some(NO_RATE_LIMIT),
        A::TrimEvents => Some("pg-boss stores no events."),
        A::Obliterate => Some(
            "pg-boss queues belong to the application, which removes them with deleteQueue. You can remove the jobs \
             here.",
        ),
        A::SaveSchedule => {
            Some("The application defines pg-boss schedules (schedule). Here you can run and remove them.")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_done_is_refused_with_its_reason() {
        let latest = of(Layout::PgBoss12);
        let refusal = latest.refusal(ActionKind::RateLimit).unwrap();
        assert!(refusal.starts_with("pg-boss has no rate limit"));
        for kind in [ActionKind::Retry, ActionKind::ResumeJob, ActionKind::Pause] {
            assert_eq!(latest.refusal(kind), None, "{kind:?}");
        }
        assert!(latest.refusal_in(ActionKind::Retry, JobState::Completed).is_some());
        assert_eq!(latest.refusal_in(ActionKind::Retry, JobState::Failed), None);
        assert_eq!((states(Layout::PgBoss12).len(), states(Layout::PgBoss10).len()), (7, 6));
    }
}
