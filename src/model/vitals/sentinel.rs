//! What Sentinels say of a store.

use crate::model::Millis;
use serde::{Deserialize, Serialize};

/// What Sentinels say of the primary that they watch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct SentinelReport {
    /// What they call it.
    pub name: String,
    /// Its address; `null` before one of them has answered.
    pub primary: Option<String>,
    /// How many of them have to agree that it is down.
    pub quorum: Option<u64>,
    /// How many replicas they know.
    pub replicas: Option<u64>,
    /// When another server was last seen to become the primary, since Drover began to watch.
    pub switched_at: Option<Millis>,
    /// Those that are configured.
    pub sentinels: Vec<SentinelAnswer>,
}

/// A Sentinel.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct SentinelAnswer {
    /// Its address.
    pub address: String,
    /// Why it does not answer; `null` if it does.
    pub trouble: Option<String>,
}
