//! The board's verdict on a queue or a store, and the reason.

use super::Millis;
use serde::{Deserialize, Serialize};

/// How much attention something deserves. Ordered: the worst comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// An operator should act now.
    Bad,
    /// Getting worse, or about to.
    Watch,
    /// There is no fresh data to judge by.
    Unknown,
    /// Held by an operator.
    Paused,
    /// Working as it should.
    Ok,
}

impl Level {
    /// The word shown beside the mark.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Bad => "Bad",
            Self::Watch => "Watch",
            Self::Unknown => "Unknown",
            Self::Paused => "Paused",
            Self::Ok => "OK",
        }
    }
}

/// The rule about parents that can never run.
pub const STUCK: &str = "W4";

/// A level, the rule that gave it, and one sentence for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct Verdict {
    /// How bad.
    pub level: Level,
    /// The id of the rule that fired; empty when none did.
    pub rule: String,
    /// One line, complete and readable without the numbers around it.
    pub reason: String,
    /// Since when the level has been this one.
    pub since: Millis,
}

impl Verdict {
    /// The verdict before anything has been read.
    #[must_use]
    pub fn not_read(at: Millis) -> Self {
        Self {
            level: Level::Unknown,
            rule: "U1".into(),
            reason: "Not read yet.".into(),
            since: at,
        }
    }
}
