//! What a browser or a caller of the API may learn about a failure.

use serde::{Deserialize, Serialize};

/// The outcome of a request that failed (RFC 9457 extension member `outcome`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Nothing was done.
    None,
    /// All of it was done.
    Done,
    /// Some of it was done.
    Partial,
    /// It is not known whether it was done: read the target before repeating.
    Unknown,
}

/// An error as `application/problem+json` (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
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
    /// The outcome of the request.
    pub outcome: Outcome,
    /// The present state of an action's target, where it differs from what the caller saw.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub now: Option<Box<str>>,
    /// The id of the action's entry in the audit log, where the action was tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<Box<str>>,
}

#[cfg(feature = "ssr")]
impl Problem {
    /// A problem of a kind.
    #[must_use]
    pub fn new(kind: &str, title: &str, status: u16, detail: impl Into<String>, outcome: Outcome) -> Self {
        Self {
            kind: format!("urn:drover:problem:{kind}"),
            title: title.into(),
            status,
            detail: detail.into(),
            outcome,
            now: None,
            audit: None,
        }
    }
}

/// A page that could not be shown, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// The HTTP status.
    pub status: u16,
    /// What is wrong, in a few words.
    pub title: String,
    /// What happened and what to do next.
    pub detail: String,
    /// Where to go from here: a label and a path inside the board.
    pub links: Vec<(String, String)>,
}
