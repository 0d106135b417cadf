//! What the API answers to an action.

use super::Millis;
use serde::{Deserialize, Serialize};

/// It was done, now or before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct ActAnswer {
    /// `done`, or `already` where it had been done before.
    pub result: String,
    /// What was asked for, in a sentence.
    pub sentence: String,
    /// What it is now, where it had been done before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub now: Option<String>,
    /// The job that came of it, where one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// When it was asked for.
    pub at: Millis,
    /// Its id in the record.
    pub audit: String,
}

/// What would be done, and whether it would be tried. Nothing was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct DryRunAnswer {
    /// Always true.
    pub dry_run: bool,
    /// What would be done, in a sentence.
    pub sentence: String,
    /// Whether it would be tried.
    pub allowed: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
}
