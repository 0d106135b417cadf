//! What is wrong with a store that answers: each condition with its own sentence, and its effect on actions.
//!
//! A store that does not answer has a [`super::store::Reach`] instead; what that means is
//! [`super::store::Reach::effect`].

use super::Millis;
use super::verdict::Level;
use serde::{Deserialize, Serialize};

/// The kinds of trouble, in the order in which pages show them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ConditionKind {
    /// A Sentinel that the configuration gives as a Redis.
    Sentinel,
    /// Most Sentinels of the store do not answer.
    SentinelsSilent,
    /// A node of a cluster that does not own all slots, given as a single Redis.
    Cluster,
    /// The store is at its memory limit and does not evict keys.
    OutOfMemory,
    /// The store refuses writes because it cannot write to its disk.
    DiskFailed,
    /// The store refuses writes because too few replicas follow it.
    TooFewReplicas,
    /// A replica that has lost its primary.
    CutOff,
    /// A replica.
    Replica,
    /// Nearly all connections are taken.
    Crowded,
    /// A pooler between Drover and the server drops the settings of our sessions.
    SettingsDropped,
    /// An operator paused writes.
    WritesPaused,
    /// The store is evicting keys to free memory.
    Evicting,
    /// Our user may not run a command that Drover needs to read.
    NotPermitted,
    /// The store does not push changes; Drover reads counts from time to time instead.
    NotPushed,
    /// The store answers slowly, and Drover asks it less often.
    Slow,
    /// Its clock differs from ours.
    ClockDiffers,
}

impl ConditionKind {
    /// A few words for a heading.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Sentinel => "a Sentinel, not a store",
            Self::SentinelsSilent => "Sentinels do not answer",
            Self::Cluster => "one node of a cluster",
            Self::OutOfMemory => "out of memory",
            Self::DiskFailed => "refuses writes: disk",
            Self::TooFewReplicas => "refuses writes: replicas",
            Self::CutOff => "cut off from its primary",
            Self::Replica => "a read-only replica",
            Self::Crowded => "few connections left",
            Self::SettingsDropped => "behind a pooler",
            Self::WritesPaused => "writes are paused",
            Self::Evicting => "evicting keys",
            Self::NotPermitted => "not permitted",
            Self::NotPushed => "changes not pushed",
            Self::Slow => "polled less often",
            Self::ClockDiffers => "clocks differ",
        }
    }

    /// How much attention it deserves.
    #[must_use]
    pub const fn level(self) -> Level {
        match self {
            Self::Sentinel
            | Self::Cluster
            | Self::OutOfMemory
            | Self::DiskFailed
            | Self::TooFewReplicas
            | Self::CutOff
            | Self::Evicting => Level::Bad,
            Self::SentinelsSilent
            | Self::Replica
            | Self::Crowded
            | Self::SettingsDropped
            | Self::WritesPaused
            | Self::NotPermitted
            | Self::NotPushed
            | Self::Slow
            | Self::ClockDiffers => Level::Watch,
        }
    }

    /// Whether no action can work while it lasts.
    #[must_use]
    pub const fn forbids_actions(self) -> bool {
        matches!(
            self,
            Self::Sentinel
                | Self::SentinelsSilent
                | Self::Cluster
                | Self::DiskFailed
                | Self::TooFewReplicas
                | Self::CutOff
                | Self::Replica
                | Self::SettingsDropped
                | Self::WritesPaused
        )
    }
}

/// One condition of a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct Condition {
    /// What.
    pub kind: ConditionKind,
    /// A sentence with cause and, where there is one, the remedy.
    pub sentence: String,
    /// What works and what does not while it lasts.
    pub effect: String,
    /// Since when, as far as Drover noticed.
    pub since: Millis,
}

/// Whether Drover allows actions on jobs in a store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct Actions {
    /// Whether Drover would try an action.
    pub allowed: bool,
    /// Why not; `None` while it would.
    pub reason: Option<String>,
}
