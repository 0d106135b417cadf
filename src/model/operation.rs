//! An action over many jobs: the request, its preview, and its progress.
//!
//! A [`Preview`] freezes the selection: exactly the jobs it counted, as they were then. The operation made from it
//! touches no other. Its [`Totals`] always add up to what was selected.

use super::Millis;
use super::action::JobAction;
use super::filter::JobFilter;
use super::queue::QueueRef;
use serde::{Deserialize, Serialize};

#[cfg(feature = "ssr")]
pub mod page;

/// The most jobs one operation takes.
pub const SELECTED_MAX: u64 = 100_000;

/// Jobs that a preview lists.
pub const SAMPLES: usize = 20;

/// Above this many jobs a destructive action asks for the queue's name, or for the number of jobs if there are several
/// queues.
pub const TYPED_ABOVE: u64 = 100;

/// The limits that the request sets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Bounds {
    /// Jobs a second at most; when left out, as many as the store can take without making others wait.
    pub rate: Option<u32>,
    /// A few jobs first, then the rest if those do well.
    pub canary: Option<Canary>,
}

/// A few jobs that go first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Canary {
    /// How many, 1 to 1,000.
    pub jobs: u32,
    /// How long Drover watches them at most, in seconds, 1 to 3,600.
    pub watch_s: u32,
    /// The operation stops by itself when more than this share of the retried jobs that finished has failed again.
    pub stop_percent: u32,
}

impl Default for Canary {
    fn default() -> Self {
        Self {
            jobs: 10,
            watch_s: 60,
            stop_percent: 50,
        }
    }
}

/// A job of a selection, as an example.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct Sample {
    /// Its queue.
    pub queue: QueueRef,
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The first line of its last error.
    pub error: Option<String>,
    /// When it finished, or was created if it has not.
    pub since: Option<Millis>,
}

/// How many jobs have something in common.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct Share {
    /// What they have in common.
    pub of: String,
    /// Jobs.
    pub jobs: u64,
}

/// What an operation would do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct Preview {
    /// The token that starts exactly this, within ten minutes.
    pub token: String,
    /// The action.
    pub action: JobAction,
    /// Which jobs, as Drover parsed the filter; empty for ticked ones.
    pub filter: JobFilter,
    /// One sentence: what, how many, of which queue, where.
    pub sentence: String,
    /// When the selection was frozen, by the clock of Drover.
    pub at: Millis,
    /// Jobs in the selection.
    pub selected: u64,
    /// Whether more jobs match: the selection stops at [`SELECTED_MAX`].
    pub capped: bool,
    /// Jobs that Drover looked at to find them.
    pub looked_at: u64,
    /// Some of them.
    pub samples: Vec<Sample>,
    /// By name, the most frequent first, at most 20.
    pub by_name: Vec<Share>,
    /// By queue, at most 100.
    pub by_queue: Vec<(QueueRef, u64)>,
    /// Jobs that match and are left out, with the reason.
    pub skipped: Vec<Share>,
    /// Jobs of the selection that completed and would run again, with all their effects.
    #[serde(default)]
    pub done_again: u64,
    /// What is worth knowing before it in its queues: what it leaves alone, and what it does not take back.
    #[serde(default)]
    pub notes: Vec<String>,
    /// What the user has to type to start it; `None` if nothing.
    pub typed: Option<String>,
}

/// The state of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum OperationState {
    /// It waits: another operation of the same store is running.
    Queued,
    /// It is running.
    Running,
    /// A user paused it.
    Paused,
    /// A user cancelled it; what was done stays done.
    Cancelled,
    /// It stopped by itself before the end, for the reason it gives.
    Stopped,
    /// Every job has its result.
    Done,
}

impl OperationState {
    /// Whether it may still change jobs.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Queued | Self::Running | Self::Paused)
    }

    /// The word for people.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Queued => "waits for another operation",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Cancelled => "cancelled",
            Self::Stopped => "stopped automatically",
            Self::Done => "done",
        }
    }
}

/// Jobs by result. `selected` is the sum of all others and of the jobs that the operation has not reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct Totals {
    /// All jobs of the selection.
    pub selected: u64,
    /// The action was done.
    pub done: u64,
    /// The action had been done before.
    pub already: u64,
    /// The job had changed since the preview; untouched.
    pub changed: u64,
    /// The job no longer exists.
    pub gone: u64,
    /// Locked, or refused; untouched.
    pub failed: u64,
    /// It is not known whether the action was done.
    pub unconfirmed: u64,
}

impl Totals {
    /// Jobs that have a result.
    #[must_use]
    pub const fn settled(&self) -> u64 {
        self.done + self.already + self.changed + self.gone + self.failed + self.unconfirmed
    }

    /// Jobs that have no result yet.
    #[must_use]
    pub const fn left(&self) -> u64 {
        self.selected.saturating_sub(self.settled())
    }
}

/// An operation as every reader sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct Operation {
    /// Its id: sorts by time.
    pub id: String,
    /// The action.
    pub action: JobAction,
    /// Which jobs; empty for ticked ones.
    pub filter: JobFilter,
    /// Its queues.
    pub queues: Vec<QueueRef>,
    /// What it does, in a sentence.
    pub sentence: String,
    /// Who asked for it.
    pub who: String,
    /// Why.
    pub reason: String,
    /// Its bounds.
    pub bounds: Bounds,
    /// Its state.
    pub state: OperationState,
    /// More about the state, in a sentence; empty when there is no more to say.
    pub note: String,
    /// Jobs by result.
    pub totals: Totals,
    /// Why jobs were not done, the most frequent first, at most 20.
    pub reasons: Vec<Share>,
    /// When it was asked for.
    pub created: Millis,
    /// When it began.
    pub started: Option<Millis>,
    /// When it ended.
    pub ended: Option<Millis>,
    /// Jobs a second lately.
    pub per_second: Option<f64>,
    /// Milliseconds left at this rate.
    pub left_ms: Option<u64>,
}

/// A job of an operation with its result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct ItemResult {
    /// Its queue.
    pub queue: QueueRef,
    /// Its id.
    pub id: String,
    /// `done`, `already`, `changed`, `gone`, `failed` or `unconfirmed`; `None` if the operation has not reached it.
    pub result: Option<String>,
    /// Why, where it is known.
    pub reason: Option<String>,
}
