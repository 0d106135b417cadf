//! What a browser or a caller of the API may know of a failure.

use serde::{Deserialize, Serialize};

/// What became of a request that failed (RFC 9457 extension member `outcome`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Nothing was done.
    None,
    /// All of it was done.
    Done,
    /// Some of it was done.
    Partial,
    /// It is not known whether it was done: read back before repeating.
    Unknown,
}

/// An error as `application/problem+json` (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// A stable name for the kind of problem.
    #[serde(rename = "type")]
    pub kind: String,
    /// The same in a few words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened here and what to do next, in sentences that are safe to show.
    pub detail: String,
    /// What became of the request.
    pub outcome: Outcome,
}
