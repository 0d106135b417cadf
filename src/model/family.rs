//! Which generation of Bull or BullMQ laid out a queue's keys.
//!
//! The library keeps no reliable record: the version in a queue's `meta` is written by whoever *looked*
//! last, and ports in other languages write numbers of their own. So the generation is decided from what
//! lies in the store, and the evidence is part of the answer.

use super::queue::System;
use super::state::JobState;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A generation of the key layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// Bull 3 and 4: Pub/Sub instead of a stream, priorities inside the waiting list.
    Bull4,
    /// BullMQ 1 to 3: an event stream, priorities still inside the waiting list.
    BullMq3,
    /// BullMQ 4: prioritized jobs apart, markers inside the waiting list.
    BullMq4,
    /// BullMQ 5: a marker set instead; a pause still renames the waiting list.
    BullMq5,
    /// BullMQ 6: a pause is a flag and moves nothing.
    BullMq6,
    /// BullMQ 5 or 6: nothing that lies in the store tells them apart now.
    #[serde(rename = "bullmq5_or_6")]
    BullMq5Or6,
    /// pg-boss 7.4 to 9: one flat table of jobs and an archive, no table of queues.
    PgBoss9,
    /// pg-boss 10: a partition for each queue, and the archive.
    PgBoss10,
    /// pg-boss 11, and 12 up to 12.5, which lays out the same tables: counters for each queue, no archive.
    PgBoss11,
    /// pg-boss 12 from 12.6 on.
    PgBoss12,
}

/// What a layout was decided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// No event stream, and the keys that only Bull writes.
    NoEventStream,
    /// A set of priorities beside the waiting list.
    PrioritySet,
    /// Markers inside the waiting list.
    ListMarkers,
    /// The command on which its workers block.
    BlockingCommand,
    /// Paused, and the waiting jobs were renamed away.
    PausedByRename,
    /// Paused, and the waiting jobs stayed where they are.
    PausedByFlag,
    /// The version that the last client wrote.
    Version,
    /// Clients of 5 and of 6 have opened it lately.
    BothVersions,
    /// The number of its schema, and the columns that are there.
    Schema,
    /// Only what all of them share.
    Nothing,
}

impl Evidence {
    /// The evidence in a sentence.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::NoEventStream => "It has no event stream, and keys that only Bull writes.",
            Self::PrioritySet => "It keeps priorities beside the waiting list, as versions before 4 do.",
            Self::ListMarkers => "Its waiting list holds markers, as version 4 and earlier write them.",
            Self::BlockingCommand => "Its workers block on the command of that generation.",
            Self::PausedByRename => "It is paused, and its waiting jobs were moved aside, as up to version 5.",
            Self::PausedByFlag => "It is paused, and its waiting jobs stayed in place, as from version 6 on.",
            Self::Version => "The client that opened it last wrote this version.",
            Self::BothVersions => "Clients of versions 5 and 6 have opened it within a day: either may work on it.",
            Self::Schema => "The schema says its number, and these are its columns.",
            Self::Nothing => "Nothing that lies in the store tells 5 from 6.",
        }
    }
}

/// A layout with its evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct Family {
    /// The generation.
    pub layout: Layout,
    /// What it was decided by.
    pub evidence: Evidence,
}

/// What a generation of the library may or may not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Feature {
    /// Prioritized jobs as a state of their own.
    PrioritizedState,
    /// Parents that wait for children.
    Flows,
    /// Schedulers with an id and a template.
    Schedulers,
    /// Deduplication by an id of its own.
    Deduplication,
    /// A concurrency limit for the whole queue.
    GlobalConcurrency,
    /// A rate limit for the whole queue.
    GlobalRateLimit,
    /// An event stream that can be read from a place in the past.
    EventHistory,
    /// How often attempts were begun, beside how often they ended.
    AttemptsStarted,
}

impl Layout {
    /// The library.
    #[must_use]
    pub const fn system(self) -> System {
        match self {
            Self::Bull4 => System::Bull,
            Self::PgBoss9 | Self::PgBoss10 | Self::PgBoss11 | Self::PgBoss12 => System::PgBoss,
            _ => System::BullMq,
        }
    }

    /// The generation as people say it.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Bull4 => "Bull 4",
            Self::BullMq3 => "BullMQ 3",
            Self::BullMq4 => "BullMQ 4",
            Self::BullMq5 => "BullMQ 5",
            Self::BullMq6 => "BullMQ 6",
            Self::BullMq5Or6 => "BullMQ 5 or 6",
            Self::PgBoss9 => "pg-boss 9",
            Self::PgBoss10 => "pg-boss 10",
            Self::PgBoss11 => "pg-boss 11 or 12.0 to 12.5",
            Self::PgBoss12 => "pg-boss 12",
        }
    }

    /// The states its jobs can be in.
    pub fn states(self) -> impl Iterator<Item = JobState> {
        JobState::ALL.into_iter().filter(move |state| match state {
            JobState::Prioritized => self.lacks(Feature::PrioritizedState).is_none(),
            JobState::WaitingChildren => self.lacks(Feature::Flows).is_none(),
            JobState::Cancelled => matches!(self.system(), System::PgBoss),
            _ => true,
        })
    }

    /// Where 0, which is no priority, stands. Measured with each of the libraries: since prioritized jobs have a list of
    /// their own they are taken after all others, before that they pushed in front.
    #[must_use]
    pub const fn priority_order(self) -> &'static str {
        match self {
            Self::Bull4 | Self::BullMq3 => "1 goes before all others, 0 behind all that have one",
            Self::PgBoss9 | Self::PgBoss10 | Self::PgBoss11 | Self::PgBoss12 => {
                "the highest goes before all others, 0 is what jobs have that were given none"
            }
            _ => "0 goes before all others, then 1",
        }
    }

    /// Why this generation does not have a feature; `None` if it has it.
    #[must_use]
    pub const fn lacks(self, feature: Feature) -> Option<&'static str> {
        match (self, feature) {
            (Self::Bull4 | Self::BullMq3, Feature::PrioritizedState) => {
                Some("Prioritized jobs stand in the waiting list at their place; BullMQ 4 keeps them apart.")
            }
            (Self::PgBoss9 | Self::PgBoss10 | Self::PgBoss11 | Self::PgBoss12, Feature::PrioritizedState) => {
                Some("Jobs with a priority stand among the waiting ones at their place.")
            }
            (Self::PgBoss9 | Self::PgBoss10 | Self::PgBoss11, Feature::Flows) => {
                Some("Jobs that wait for others came with pg-boss 12.19.")
            }
            (Self::PgBoss9 | Self::PgBoss10 | Self::PgBoss11 | Self::PgBoss12, Feature::GlobalConcurrency) => Some(
                "pg-boss has no limit for the whole queue; its policies singleton and stately allow one at a time.",
            ),
            (Self::PgBoss9 | Self::PgBoss10 | Self::PgBoss11 | Self::PgBoss12, Feature::GlobalRateLimit) => {
                Some("pg-boss has no rate limit; it throttles what is sent, by time slots.")
            }
            (Self::PgBoss9 | Self::PgBoss10 | Self::PgBoss11 | Self::PgBoss12, Feature::EventHistory) => {
                Some("pg-boss keeps no events: what happened is found by looking.")
            }
            (Self::Bull4, Feature::Flows) => Some("Bull has no parents and children; BullMQ has."),
            (Self::Bull4 | Self::BullMq3 | Self::BullMq4, Feature::Schedulers) => {
                Some("It has repeatable jobs instead of schedulers; schedulers came with BullMQ 5.16.")
            }
            (Self::BullMq3 | Self::BullMq4, Feature::Deduplication) => Some("Deduplication came with BullMQ 5.11."),
            (Self::Bull4 | Self::BullMq3 | Self::BullMq4, Feature::GlobalConcurrency) => {
                Some("A concurrency for the whole queue came with BullMQ 5.9.")
            }
            (Self::Bull4 | Self::BullMq3 | Self::BullMq4, Feature::GlobalRateLimit) => {
                Some("A rate limit for the whole queue came with BullMQ 5.60; workers limit themselves.")
            }
            (Self::Bull4, Feature::EventHistory) => {
                Some("Bull tells of events by Pub/Sub, which keeps none: what nobody heard is found by counting.")
            }
            (Self::Bull4 | Self::BullMq3 | Self::BullMq4, Feature::AttemptsStarted) => {
                Some("Attempts that were begun are counted since BullMQ 5.")
            }
            _ => None,
        }
    }
}

impl Feature {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::PrioritizedState,
        Self::Flows,
        Self::Schedulers,
        Self::Deduplication,
        Self::GlobalConcurrency,
        Self::GlobalRateLimit,
        Self::EventHistory,
        Self::AttemptsStarted,
    ];
}

/// What a queue can show, as the API tells it: the states its jobs can be in, and for each feature
/// `null` when it has it or the reason why not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct Capabilities {
    /// The states its jobs can be in.
    pub states: Vec<JobState>,
    /// Features it lacks, each with its reason.
    pub lacks: Vec<Lack>,
    /// Actions by their words in the API, each `null` where it can be done, or why not.
    #[serde(default)]
    pub actions: BTreeMap<String, Option<String>>,
}

/// A feature that is missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct Lack {
    /// Which.
    pub feature: Feature,
    /// Why.
    pub reason: String,
}

impl From<Layout> for Capabilities {
    fn from(layout: Layout) -> Self {
        let lack = |feature: Feature| {
            let reason = layout.lacks(feature)?.to_owned();
            Some(Lack { feature, reason })
        };
        Self {
            states: layout.states().collect(),
            lacks: Feature::ALL.into_iter().filter_map(lack).collect(),
            actions: super::refusal::all(layout),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_generation_has_the_states_its_library_has() {
        assert_eq!(Layout::Bull4.states().count(), 5);
        assert_eq!(Layout::BullMq3.states().count(), 6);
        assert_eq!(Layout::BullMq6.states().count(), 7);
        let bull = Capabilities::from(Layout::Bull4);
        assert!(bull.lacks.iter().any(|lack| lack.feature == Feature::Flows));
        assert!(Capabilities::from(Layout::BullMq5).lacks.is_empty());
        assert_eq!(Layout::PgBoss12.states().count(), 7);
        assert_eq!(Layout::PgBoss10.states().count(), 6);
    }

    #[test]
    fn a_family_is_told_in_words_that_do_not_change() {
        let family = Family {
            layout: Layout::BullMq5Or6,
            evidence: Evidence::Nothing,
        };
        let json = serde_json::to_string(&family).unwrap();
        assert_eq!(json, r#"{"layout":"bullmq5_or_6","evidence":"nothing"}"#);
    }
}
