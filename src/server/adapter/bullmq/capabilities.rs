//! What each generation of Bull and BullMQ can do, and why not.

use super::family::{Evidence, Layout};
use crate::model::action::catalogue::ActionKind;
use crate::model::capability::{Capabilities, Feature, Generation, NotIn};
use crate::model::state::JobState;
use std::sync::LazyLock;

/// All generations.
pub(super) static ALL: LazyLock<Vec<Capabilities>> = LazyLock::new(|| Layout::ALL.into_iter().map(of).collect());

/// Every generation of BullMQ.
macro_rules! bullmq {
    () => {
        Layout::BullMq3 | Layout::BullMq4 | since_5!()
    };
}

/// BullMQ from version 5 on.
macro_rules! since_5 {
    () => {
        Layout::BullMq5 | Layout::BullMq6 | Layout::BullMq5Or6
    };
}

/// What is recognised and neither read nor changed.
macro_rules! unsupported {
    () => {
        Layout::BullMqPro | Layout::BeeQueue | Layout::Unknown
    };
}

/// The states its jobs can be in; none where they are not read.
fn states(layout: Layout) -> Vec<JobState> {
    let has = |state: &JobState| match state {
        JobState::Prioritized => feature(layout, Feature::PrioritizedState).is_ok(),
        JobState::WaitingChildren => feature(layout, Feature::Flows).is_ok(),
        JobState::Cancelled => false,
        JobState::Waiting | JobState::Active | JobState::Delayed | JobState::Completed | JobState::Failed => {
            layout.unsupported().is_none()
        }
    };
    JobState::ALL.into_iter().filter(has).collect()
}

/// The capabilities of a generation.
fn of(layout: Layout) -> Capabilities {
    let evidence = Evidence::ALL
        .into_iter()
        .map(|evidence| (evidence.word().to_owned(), evidence.sentence().to_owned()));
    let generation = Generation {
        system: layout.system(),
        layout: layout.word().to_owned(),
        label: layout.label().to_owned(),
        unsupported: layout.unsupported().map(str::to_owned),
        states: states(layout),
        evidence: evidence.collect(),
        uncounted: None,
    };
    Capabilities {
        priority_order: priority_order(layout).to_owned(),
        edit_keeps_data: true,
        not_in: match layout {
            Layout::Bull4 => vec![NotIn {
                action: ActionKind::Retry.name(),
                states: vec![JobState::Completed],
                reason: "Bull retries failed jobs only. Duplicate a completed job to run it again.".into(),
            }],
            Layout::BullMq3
            | Layout::BullMq4
            | Layout::BullMq5
            | Layout::BullMq6
            | Layout::BullMq5Or6
            | Layout::BullMqPro
            | Layout::BeeQueue
            | Layout::Unknown => vec![],
        },
        // It removes them in any case, so that without the tick it could only be refused.
        always: match layout {
            Layout::BullMq3 => vec!["remove.children".into()],
            Layout::Bull4
            | Layout::BullMq4
            | Layout::BullMq5
            | Layout::BullMq6
            | Layout::BullMq5Or6
            | Layout::BullMqPro
            | Layout::BeeQueue
            | Layout::Unknown => vec![],
        },
        ..Capabilities::new(
            generation,
            |kind| refusal(layout, kind).map_or(Ok(()), Err),
            |wanted| feature(layout, wanted),
        )
    }
}

/// Where 0, which is no priority, is. Measured with each of the libraries: since prioritized jobs have a list of their own
/// they are taken after all others; before that they pushed in front.
const fn priority_order(layout: Layout) -> &'static str {
    match layout {
        Layout::Bull4 | Layout::BullMq3 => "1 runs first, 0 runs last",
        Layout::BullMq4 | since_5!() => "0 runs first, then 1",
        unsupported!() => "",
    }
}

/// Whether a generation has a feature, or why not.
const fn feature(layout: Layout, feature: Feature) -> Result<(), &'static str> {
    match (feature, layout) {
        (_, unsupported!()) => match layout.unsupported() {
            Some(why) => Err(why),
            None => Ok(()),
        },
        (Feature::PrioritizedState, Layout::Bull4 | Layout::BullMq3) => {
            Err("Prioritized jobs are in the waiting list, in order; BullMQ 4 and later keep them separately.")
        }
        (Feature::Flows, Layout::Bull4) => Err(NO_FLOWS),
        (Feature::Schedulers, Layout::Bull4 | Layout::BullMq3 | Layout::BullMq4) => {
            Err("This version has repeatable jobs; job schedulers need BullMQ 5.16 or newer.")
        }
        (Feature::Deduplication, Layout::BullMq3 | Layout::BullMq4) => Err(NO_DEDUPLICATION),
        (Feature::GlobalConcurrency, Layout::Bull4 | Layout::BullMq3 | Layout::BullMq4) => Err(NO_CONCURRENCY),
        (Feature::GlobalRateLimit, Layout::Bull4 | Layout::BullMq3 | Layout::BullMq4) => Err(NO_RATE_LIMIT),
        (Feature::EventHistory, Layout::Bull4) => {
            Err("Bull publishes events by Pub/Sub, which does not store them: Drover finds missed changes by counting.")
        }
        (Feature::AttemptsStarted, Layout::Bull4 | Layout::BullMq3 | Layout::BullMq4) => {
            Err("BullMQ counts started attempts since version 5.")
        }
        (Feature::Logs, Layout::Bull4 | bullmq!())
        | (Feature::Flows | Feature::EventHistory, bullmq!())
        | (Feature::PrioritizedState, Layout::BullMq4 | since_5!())
        | (Feature::Deduplication, Layout::Bull4 | since_5!())
        | (
            Feature::Schedulers | Feature::GlobalConcurrency | Feature::GlobalRateLimit | Feature::AttemptsStarted,
            since_5!(),
        ) => Ok(()),
    }
}

const NO_FLOWS: &str = "Bull has no parent and child jobs; BullMQ has.";
const NO_DEDUPLICATION: &str = "Deduplication needs BullMQ 5.11 or newer.";
const NO_CONCURRENCY: &str = "Queue-wide concurrency needs BullMQ 5.9 or newer.";
const NO_RATE_LIMIT: &str = "A queue-wide rate limit needs BullMQ 5.60 or newer; before that, workers set their own.";

/// Why a generation cannot do an action; `None` if it can. Every pair is listed: a missing one does not compile.
#[expect(clippy::match_same_arms, reason = "a row for each action")]
pub(super) const fn refusal(layout: Layout, action: ActionKind) -> Option<&'static str> {
    use ActionKind as A;
    match (action, layout) {
        (_, unsupported!()) => layout.unsupported(),
        (
            A::Retry | A::Remove | A::Promote | A::EditData | A::Duplicate | A::Archive | A::FailLost | A::ClearLogs,
            Layout::Bull4 | bullmq!(),
        ) => None,
        (A::Pause | A::Resume | A::Add | A::ReleaseRateLimit | A::Obliterate, Layout::Bull4 | bullmq!()) => None,
        (A::RunSchedule | A::RemoveSchedule, Layout::Bull4 | bullmq!()) => None,
        (A::Delay, Layout::Bull4) => {
            Some("Bull cannot change a delay. Promote the job, or remove it and add it again.")
        }
        (A::Priority, Layout::Bull4) => Some("Bull cannot change a priority. Remove the job and add it again."),
        (A::Delay | A::Priority, bullmq!()) => None,
        (A::PutBack, Layout::Bull4 | Layout::BullMq3 | Layout::BullMq4) => {
            Some("Before BullMQ 5 only a worker can requeue a job: its stalled check does so within 30 seconds.")
        }
        (A::PutBack, since_5!()) => None,
        (A::Cancel | A::FailWhenTaken | A::Revoke, Layout::Bull4 | Layout::BullMq3 | Layout::BullMq4) => {
            Some("Cancelling needs workers of BullMQ 5.50 or newer. Remove the job instead.")
        }
        (A::Cancel | A::FailWhenTaken | A::Revoke, since_5!()) => None,
        (A::ResumeJob, Layout::Bull4 | bullmq!()) => Some("Only pg-boss has cancelled jobs that can be resumed."),
        (A::Redrive, Layout::Bull4 | bullmq!()) => {
            Some("Only pg-boss records in its dead-letter queues where a job came from.")
        }
        (A::RemoveDeduplication, Layout::BullMq3 | Layout::BullMq4) => Some(NO_DEDUPLICATION),
        (A::RemoveDeduplication, Layout::Bull4 | since_5!()) => None,
        (A::Release | A::RemoveChildren | A::RetryChildren, Layout::Bull4) => Some(NO_FLOWS),
        (A::Release, Layout::BullMq3 | Layout::BullMq4) => Some(
            "This needs BullMQ 5.16 or newer. Remove the failed children instead: the parent then runs without them.",
        ),
        (A::RemoveChildren, Layout::BullMq3 | Layout::BullMq4) => {
            Some("Removing children that have not started needs BullMQ 5.48 or newer. Remove them one by one.")
        }
        (A::Release | A::RemoveChildren, since_5!()) | (A::RetryChildren, bullmq!()) => None,
        (A::Concurrency, Layout::Bull4 | Layout::BullMq3 | Layout::BullMq4) => Some(NO_CONCURRENCY),
        (A::RateLimit, Layout::Bull4 | Layout::BullMq3 | Layout::BullMq4) => Some(NO_RATE_LIMIT),
        (A::Concurrency | A::RateLimit, since_5!()) => None,
        (A::TrimEvents, Layout::Bull4) => Some("Bull publishes events by Pub/Sub and stores none."),
        (A::TrimEvents, bullmq!()) => None,
        (A::SaveSchedule, Layout::Bull4 | Layout::BullMq3 | Layout::BullMq4) => {
            Some("Only the library's own client can change repeatable jobs; job schedulers need BullMQ 5.16 or newer.")
        }
        (A::SaveSchedule, since_5!()) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_generation_has_the_states_its_library_has() {
        for (layout, count) in [(Layout::Bull4, 5), (Layout::BullMq3, 6), (Layout::BullMq6, 7)] {
            assert_eq!(states(layout).len(), count, "{layout:?}");
        }
        assert!(
            of(Layout::Bull4)
                .lacks
                .iter()
                .any(|lack| lack.feature == Feature::Flows)
        );
        assert!(of(Layout::BullMq5).lacks.is_empty());
    }

    #[test]
    fn of_a_library_that_is_not_supported_nothing_is_claimed() {
        for layout in [Layout::BullMqPro, Layout::BeeQueue, Layout::Unknown] {
            let capabilities = of(layout);
            assert_eq!(capabilities.generation.states, []);
            assert_eq!(capabilities.lacks.len(), Feature::ALL.len());
            assert!(capabilities.actions.values().all(Option::is_some), "{capabilities:?}");
        }
    }

    #[test]
    fn what_cannot_be_done_is_refused_with_its_reason() {
        let refused = |layout: Layout| of(layout).actions.values().flatten().count();
        assert_eq!(
            [Layout::BullMq5, Layout::BullMq6, Layout::BullMq5Or6].map(refused),
            [2, 2, 2],
            "there is nothing to resume and nothing to redrive"
        );
        let bull = of(Layout::Bull4);
        let priority = bull.refusal(ActionKind::Priority).unwrap();
        assert!(priority.starts_with("Bull cannot change a priority"));
        assert_eq!(bull.refusal(ActionKind::Retry), None);
        for layout in [Layout::BullMq3, Layout::BullMq4] {
            assert!(of(layout).refusal(ActionKind::Cancel).is_some());
        }
    }

    #[test]
    fn what_a_system_does_not_list_is_refused() {
        let mut forgetful = of(Layout::BullMq6);
        forgetful.actions.remove("retry");
        assert!(forgetful.refusal(ActionKind::Retry).is_some());
    }
}
