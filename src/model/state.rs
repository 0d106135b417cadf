//! The states of jobs, shared by every queue system on the board.
//!
//! "Paused" is not one of them: it is a property of a queue (see
//! [`QueueSummary::paused`](super::queue::QueueSummary::paused)).

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The state of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Ready, next to be taken by a worker.
    Waiting,
    /// Ready, taken in order of priority after the plain waiting ones.
    Prioritized,
    /// Being worked on now.
    Active,
    /// Not ready before a given time: a delay, a back-off or a schedule.
    Delayed,
    /// A parent whose children are not finished.
    WaitingChildren,
    /// Completed. Retention decides how many are kept.
    Completed,
    /// Out of attempts. Kept until a user or retention removes it.
    Failed,
    /// Cancelled by a user, and kept. Of the systems here only pg-boss has it.
    Cancelled,
}

impl JobState {
    /// Every state, in the order pages show them.
    pub const ALL: [Self; 8] = [
        Self::Waiting,
        Self::Prioritized,
        Self::Active,
        Self::Delayed,
        Self::WaitingChildren,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
    ];

    /// The name used in URLs and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Prioritized => "prioritized",
            Self::Active => "active",
            Self::Delayed => "delayed",
            Self::WaitingChildren => "waiting_children",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The name used in text, lower case.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::WaitingChildren => "waiting for children",
            other => other.as_str(),
        }
    }

    /// The short name used in narrow table headings.
    #[must_use]
    pub const fn short(self) -> &'static str {
        match self {
            Self::WaitingChildren => "parents",
            other => other.as_str(),
        }
    }

    /// Whether its jobs are finished.
    #[must_use]
    pub const fn is_finished(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }

    /// Its place in [`JobState::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Not the name of a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownState;

impl fmt::Display for UnknownState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "not a job state; one of waiting, prioritized, active, delayed, waiting_children, completed, failed, cancelled",
        )
    }
}

impl std::error::Error for UnknownState {}

impl FromStr for JobState {
    type Err = UnknownState;

    /// Parses the URL form; also accepts the hyphenated form that BullMQ itself uses.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "waiting" | "wait" => Ok(Self::Waiting),
            "prioritized" => Ok(Self::Prioritized),
            "active" => Ok(Self::Active),
            "delayed" => Ok(Self::Delayed),
            "waiting_children" | "waiting-children" => Ok(Self::WaitingChildren),
            "completed" => Ok(Self::Completed),
            "failed" => Ok(Self::Failed),
            "cancelled" => Ok(Self::Cancelled),
            _ => Err(UnknownState),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_reads_back_from_its_own_name() {
        for (i, state) in JobState::ALL.into_iter().enumerate() {
            assert_eq!(state.as_str().parse(), Ok(state));
            assert_eq!(state.index(), i, "{state} is not at its place in ALL");
        }
        assert_eq!("paused".parse::<JobState>(), Err(UnknownState));
    }
}
