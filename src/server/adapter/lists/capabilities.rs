//! What Drover can do to an application's own lists and tell of them, and why not more.
//!
//! There is one generation. What is done is what can be done to items of lists without knowing what the application means by them.

use crate::model::action::catalogue::ActionKind;
use crate::model::capability::{Capabilities, Feature, Generation, NotIn};
use crate::model::state::JobState;
use crate::model::system::{Family, System};
use std::borrow::Cow;
use std::sync::LazyLock;

/// The generations: one.
pub(super) static ALL: LazyLock<Vec<Capabilities>> = LazyLock::new(|| vec![lists()]);

/// The generation's word, and what it is decided by.
const LAYOUT: &str = "lists";
const EVIDENCE: (&str, &str) = ("profile", "A [[store.list]] in the configuration describes it.");

/// Why what workers hold is not removed, and why what is done is not retried.
pub(super) const HELD_STAYS: &str = "A worker may work on this item, whether or not it is in the list. Requeue it if it is stuck, and remove it where it waits.";
pub(super) const DONE_STAYS: &str =
    "What the list of completed items holds is what the application writes of them, which may not be what it takes.";

/// What is said of an action that has no way of its own here.
pub(super) const NOT_HERE: &str = "Drover does not do this to an application's own lists.";

/// What to know before an action.
const REMOVE: [&str; 2] = [
    "Exactly the bytes that were read are removed, once. Of items with the same bytes one is removed.",
    "Only the list is changed: a record of the item that the application keeps in another key stays.",
];
const PUT_BACK: [&str; 2] = [
    "It moves to the end of the waiting list that workers take from, as long as no heartbeat is there. Items of which a worker is not known \
     to be lost are refused.",
    "A worker that is only slow goes on: then it runs twice. Its LREM finds nothing, and a worker that does not check that adds the item to \
     the finished ones as well.",
];
const RETRY: [&str; 2] = [
    "It moves from the failed items to the end of the waiting list at which producers add.",
    "It is moved as it is, with what the application added to it when it failed.",
];

const NO_BODY: &str = "What an item has to be is known to the application alone. Add items there.";
const NO_DELAY: &str = "A list has no order but that of its items: none is due at a time or goes before others.";
const NO_PAUSE: &str = "Nothing that workers of an application's own lists read tells them to take no items.";
const NO_LOGS: &str = "Lists hold items, and no log of them.";
const NO_DEDUPLICATION: &str = "Lists have no deduplication.";
const NO_CONCURRENCY: &str = "Lists have no limit for a queue: each worker has its own.";
const NO_RATE_LIMIT: &str = "Lists have no rate limit.";
const NO_RATES: &str =
    "Arrivals and departures are not counted: a list tells its length, not what came and went in between.";
const NO_SCHEDULES: &str = "Lists have no schedules: the application adds items when it wants to.";
const NO_FLOWS: &str = "Items of lists have no parents and no children.";
const NO_EVENTS: &str = "Lists store and publish no events: Drover finds changes by counting.";

/// The family of every queue.
pub(super) const fn family() -> Family {
    Family {
        layout: Cow::Borrowed(LAYOUT),
        evidence: Cow::Borrowed(EVIDENCE.0),
    }
}

fn lists() -> Capabilities {
    let generation = Generation {
        system: System::Lists,
        layout: LAYOUT.to_owned(),
        label: "Redis lists".to_owned(),
        unsupported: None,
        states: super::profile::Profile::STATES.to_vec(),
        evidence: [(EVIDENCE.0.to_owned(), EVIDENCE.1.to_owned())].into(),
        uncounted: Some(NO_RATES.to_owned()),
    };
    let not_in = |kind: ActionKind, state: JobState, reason: &str| NotIn {
        action: kind.name(),
        states: vec![state],
        reason: reason.into(),
    };
    Capabilities {
        not_in: vec![
            not_in(ActionKind::Remove, JobState::Active, HELD_STAYS),
            not_in(ActionKind::Retry, JobState::Completed, DONE_STAYS),
        ],
        notes: [
            (ActionKind::Remove, REMOVE),
            (ActionKind::PutBack, PUT_BACK),
            (ActionKind::Retry, RETRY),
        ]
        .map(|(kind, notes)| (kind.name(), notes.map(str::to_owned).to_vec()))
        .into(),
        takes_no: ["remove.children", "retry.data", "retry.reset_attempts"]
            .map(str::to_owned)
            .to_vec(),
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
        Feature::PrioritizedState => NO_DELAY,
        Feature::Flows => NO_FLOWS,
        Feature::Schedulers => NO_SCHEDULES,
        Feature::Deduplication => NO_DEDUPLICATION,
        Feature::Logs => NO_LOGS,
        Feature::GlobalConcurrency => NO_CONCURRENCY,
        Feature::GlobalRateLimit => NO_RATE_LIMIT,
        Feature::EventHistory => NO_EVENTS,
        Feature::AttemptsStarted => "Lists do not count attempts.",
    }
}

/// Why an action cannot be done; `None` if it can. Every action is listed: a missing one does not compile.
pub(super) const fn refusal(action: ActionKind) -> Option<&'static str> {
    use ActionKind as A;
    Some(match action {
        A::Remove | A::PutBack | A::Retry => return None,
        A::Add | A::Duplicate => NO_BODY,
        A::EditData => {
            "An item is its bytes: a worker that changes it cannot find it in the list any more. Remove it and add another."
        }
        A::Archive => {
            "Items of lists are not archived: an archived one could not be told from another with the same bytes."
        }
        A::FailLost => "What a failed item has to say is known to the application alone. Requeue it.",
        A::Cancel | A::FailWhenTaken | A::Revoke => {
            "Nothing tells a worker to leave out an item. Remove it while it waits."
        }
        A::Obliterate => "The next producer or worker makes the list again. Remove its waiting items instead.",
        A::Pause | A::Resume => NO_PAUSE,
        A::Promote | A::Delay | A::Priority => NO_DELAY,
        A::ResumeJob => "Lists have no cancelled items.",
        A::Redrive => "Lists have no dead-letter queues beside the list of failed items: retry those.",
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
    fn what_lists_allow_can_be_done_and_the_rest_is_refused_with_a_reason() {
        let lists = &ALL[0];
        let mut can = vec![];
        for kind in ActionKind::ALL {
            match lists.refusal(*kind) {
                Some(reason) => assert!(reason.ends_with('.'), "{kind:?}: {reason:?}"),
                None => can.push(*kind),
            }
        }
        assert_eq!(can.len(), 3, "{can:?}");
        assert!(lists.refusal_in(ActionKind::Remove, JobState::Active).is_some());
        assert!(lists.refusal_in(ActionKind::Retry, JobState::Completed).is_some());
        assert_eq!(lists.refusal_in(ActionKind::Retry, JobState::Failed), None);
        assert_eq!(lists.lacks.len(), Feature::ALL.len());
    }
}
