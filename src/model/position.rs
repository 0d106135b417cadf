//! A place in the stream of changes.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The position of a follower: the process that numbers the frames, and the number of the last frame it has.
///
/// Written `{epoch in hex}-{number}`. One counter numbers the frames of all topics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Position {
    /// Distinguishes the numbering of one process from another's: the moment it began, so a later one is greater.
    pub epoch: u64,
    /// The number.
    pub seq: u64,
}

impl Position {
    /// The earlier of two positions; `None` if they are of different processes and cannot be compared.
    #[must_use]
    pub fn earlier(self, other: Self) -> Option<Self> {
        (self.epoch == other.epoch).then(|| Self {
            seq: self.seq.min(other.seq),
            ..self
        })
    }

    /// Whether a follower at `self` has seen everything up to `other`.
    #[must_use]
    pub const fn includes(self, other: Self) -> bool {
        self.epoch == other.epoch && other.seq <= self.seq
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{}", self.epoch, self.seq)
    }
}

/// Not a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadPosition;

impl fmt::Display for BadPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a position in the event stream")
    }
}

impl std::error::Error for BadPosition {}

impl FromStr for Position {
    type Err = BadPosition;
    fn from_str(text: &str) -> Result<Self, BadPosition> {
        let (epoch, seq) = text.split_once('-').ok_or(BadPosition)?;
        Ok(Self {
            epoch: u64::from_str_radix(epoch, 16).map_err(|_| BadPosition)?,
            seq: seq.parse().map_err(|_| BadPosition)?,
        })
    }
}

impl From<Position> for String {
    fn from(position: Position) -> Self {
        position.to_string()
    }
}

impl TryFrom<String> for Position {
    type Error = BadPosition;
    fn try_from(text: String) -> Result<Self, BadPosition> {
        text.parse()
    }
}
