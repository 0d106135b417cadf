//! What a system, at one of its generations, can do to a queue, and what it can tell about the queue.
//!
//! An adapter answers with one [`Capabilities`] for each generation that it knows. Pages, API and operations read it
//! instead of checking which system a queue belongs to. What is absent is refused: a system that forgets an action gets
//! no button for it, never a wrong write.

use super::queue::QueueSummary;
use super::state::JobState;
use super::system::System;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[cfg(feature = "ssr")]
use super::action::catalogue::{ActionKind, Row};
#[cfg(feature = "ssr")]
use super::action::sentence::Manner;

/// A generation in words for readers: what a browser needs to show a queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct Generation {
    /// The system.
    pub system: System,
    /// Its word, as in the `family` of a queue: `bullmq5`.
    pub layout: String,
    /// How people call it: "BullMQ 5".
    pub label: String,
    /// Why Drover neither reads nor changes its queues; `null` for those that it does.
    pub unsupported: Option<String>,
    /// The states its jobs can be in.
    pub states: Vec<JobState>,
    /// The words for how Drover decided a queue's generation, each with its sentence.
    pub evidence: BTreeMap<String, String>,
    /// Why arrivals and departures of its jobs are never counted; `null` where they are.
    #[serde(default)]
    pub uncounted: Option<String>,
}

impl Generation {
    /// Whether this generation laid out the queue.
    #[must_use]
    pub fn is_of(&self, queue: &QueueSummary) -> bool {
        queue.family.as_ref().is_some_and(|family| family.layout == self.layout)
    }
}

/// What queues of a generation can show and do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct Capabilities {
    /// The generation.
    #[serde(flatten)]
    pub generation: Generation,
    /// Features it lacks, each with its reason.
    pub lacks: Vec<Lack>,
    /// Actions by their names, each `null` where it can be done, or why not. An action that is not listed cannot be
    /// done.
    pub actions: BTreeMap<String, Option<String>>,
    /// Actions that can be done, but not on jobs in these states.
    pub not_in: Vec<NotIn>,
    /// What to know before an action, by its name. Such an action always asks first with a form.
    pub notes: BTreeMap<String, Vec<String>>,
    /// Fields of actions that the system does not accept, such as `priority.lifo`.
    pub takes_no: Vec<String>,
    /// Ticks of actions that are always set, because the system does that in any case.
    pub always: Vec<String>,
    /// Where priority 0, which means no priority, sorts; empty where that is not known.
    pub priority_order: String,
    /// How a pause stops the workers, where the library has no pause of its own; the end of a sentence.
    pub pause_by: String,
    /// Why no action is possible on a job that the library has put into an archive of its own.
    pub put_away: String,
    /// Whether a cancelled job is kept and can be resumed. Otherwise it fails when a worker takes it.
    pub cancel_keeps_job: bool,
    /// Whether a worker discards a cancelled job when it takes it, instead of failing it.
    pub cancel_discards_job: bool,
    /// Whether the data that an edit replaces becomes a line of the job's log.
    pub edit_keeps_data: bool,
    /// Whether a job that is removed leaves the jobs that wait for it waiting permanently.
    pub removal_strands_parents: bool,
    /// Whether lists can be searched by the jobs' data.
    pub searches_data: bool,
}

/// A feature that is missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct Lack {
    /// Which feature.
    pub feature: Feature,
    /// Why.
    pub reason: String,
}

/// An action that cannot be done in some states.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct NotIn {
    /// The action's name.
    pub action: String,
    /// The states.
    pub states: Vec<JobState>,
    /// Why it cannot be done in them.
    pub reason: String,
}

/// What a generation of a system may or may not have.
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
    /// A count of started attempts, beside the count of ended ones.
    AttemptsStarted,
    /// Lines that a job logs.
    Logs,
}

impl Feature {
    /// All features.
    pub const ALL: [Self; 9] = [
        Self::PrioritizedState,
        Self::Flows,
        Self::Schedulers,
        Self::Deduplication,
        Self::GlobalConcurrency,
        Self::GlobalRateLimit,
        Self::EventHistory,
        Self::AttemptsStarted,
        Self::Logs,
    ];
}

/// The reason for refusing an action that a system does not list.
pub const NOT_SUPPORTED: &str = "Drover does not support this action on this system.";

#[cfg(feature = "ssr")]
impl Capabilities {
    /// Capabilities of a generation: for every action whether it can be done, and for every feature whether it exists.
    /// Nothing else is claimed.
    #[must_use]
    pub fn new(
        generation: Generation,
        can: impl Fn(ActionKind) -> Result<(), &'static str>,
        has: impl Fn(Feature) -> Result<(), &'static str>,
    ) -> Self {
        let lack = |feature: Feature| {
            let reason = has(feature).err()?.to_owned();
            Some(Lack { feature, reason })
        };
        Self {
            generation,
            lacks: Feature::ALL.into_iter().filter_map(lack).collect(),
            actions: ActionKind::ALL
                .iter()
                .map(|kind| (kind.name(), can(*kind).err().map(str::to_owned)))
                .collect(),
            not_in: vec![],
            notes: BTreeMap::new(),
            takes_no: vec![],
            always: vec![],
            priority_order: String::new(),
            pause_by: String::new(),
            put_away: String::new(),
            cancel_keeps_job: false,
            cancel_discards_job: false,
            edit_keeps_data: false,
            removal_strands_parents: false,
            searches_data: false,
        }
    }

    /// Why an action cannot be done; `None` if it can.
    #[must_use]
    pub fn refusal(&self, kind: ActionKind) -> Option<&str> {
        match self.actions.get(&kind.name()) {
            Some(reason) => reason.as_deref(),
            None => Some(NOT_SUPPORTED),
        }
    }

    /// Why a feature is missing; `None` if it is there.
    #[must_use]
    pub fn lack(&self, feature: Feature) -> Option<&str> {
        let lack = self.lacks.iter().find(|lack| lack.feature == feature)?;
        Some(&lack.reason)
    }

    /// Why an action that can be done cannot be done to a job in this state; `None` if it can.
    #[must_use]
    pub fn refusal_in(&self, kind: ActionKind, state: JobState) -> Option<&str> {
        let here = |not: &&NotIn| not.action == kind.name() && not.states.contains(&state);
        self.not_in.iter().find(here).map(|not| not.reason.as_str())
    }

    /// What to know before an action.
    #[must_use]
    pub fn notes(&self, kind: ActionKind) -> &[String] {
        self.notes.get(&kind.name()).map_or(&[], Vec::as_slice)
    }

    /// Whether an action takes this field.
    #[must_use]
    pub fn takes(&self, row: &Row, field: &str) -> bool {
        let name = |no: &String| no.split_once('.') == Some((row.word, field));
        !self.takes_no.iter().any(name)
    }

    /// Whether a cancelled job fails with an error that is given.
    #[must_use]
    pub fn cancel_takes_error(&self) -> bool {
        !self.cancel_keeps_job && self.takes(ActionKind::FailWhenTaken.row(), "error")
    }

    /// What differs between systems in what an action does.
    #[must_use]
    pub fn manner(&self) -> Manner<'_> {
        Manner {
            keeps_cancelled: self.cancel_keeps_job,
            discards_cancelled: self.cancel_discards_job,
            cancel_takes_error: self.cancel_takes_error(),
            edit_keeps_data: self.edit_keeps_data,
            priority_order: &self.priority_order,
            pause_by: &self.pause_by,
        }
    }

    /// The action that this word means here, where two actions share a word.
    #[must_use]
    pub const fn variant(&self, kind: ActionKind) -> ActionKind {
        match kind {
            ActionKind::Cancel if self.cancel_discards_job => ActionKind::Revoke,
            ActionKind::Cancel if !self.cancel_keeps_job => ActionKind::FailWhenTaken,
            kind => kind,
        }
    }
}
