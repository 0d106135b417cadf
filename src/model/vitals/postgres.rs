//! A Postgres in full: each part with its figure and what it means for the queues in it.

use super::Answered;
use crate::model::Millis;
use crate::model::verdict::Level;
use serde::{Deserialize, Serialize};

#[cfg(feature = "ssr")]
pub mod facts;

/// What Drover knows about a Postgres beyond its line on the board.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct PostgresHealth {
    /// When it was read, by Drover's clock.
    pub at: Millis,
    /// Each part, judged.
    pub parts: Vec<HealthPart>,
    /// Its largest tables, the largest first.
    pub tables: Answered<Vec<TableHealth>>,
    /// Sessions that block others, or hold a transaction open for long: the oldest transaction first.
    pub sessions: Answered<Vec<Session>>,
}

/// A part of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// The size of the database on disk.
    Size,
    /// Connections against their limit.
    Connections,
    /// The transaction that has been open for longest.
    OldestTransaction,
    /// Sessions that wait for a lock.
    Locks,
    /// Dead rows that vacuum has not yet cleared.
    DeadRows,
    /// Indexes that are not valid.
    Indexes,
    /// What a crash would lose.
    Durability,
    /// Standbys, or the server it follows.
    Replication,
    /// Reads that its cache answered.
    CacheHits,
    /// Transaction numbers left before it must stop.
    Wraparound,
    /// The settings of our own sessions; only where a pooler drops them.
    Settings,
}

impl Part {
    /// The label of the part on the page.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Size => "Size",
            Self::Connections => "Connections",
            Self::OldestTransaction => "Oldest transaction",
            Self::Locks => "Locks",
            Self::DeadRows => "Dead rows",
            Self::Indexes => "Indexes",
            Self::Durability => "Durability",
            Self::Replication => "Replication",
            Self::CacheHits => "Cache hits",
            Self::Wraparound => "Transaction numbers",
            Self::Settings => "Session settings",
        }
    }
}

/// A part with its figure and its sentence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct HealthPart {
    /// Which.
    pub part: Part,
    /// How bad.
    pub level: Level,
    /// The figure; `—` where it is not known.
    pub now: String,
    /// What it means, in a sentence or two.
    pub text: String,
}

/// A table with its figures for vacuum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct TableHealth {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Bytes of its rows.
    pub table_bytes: u64,
    /// Bytes of its indexes.
    pub index_bytes: u64,
    /// Rows, as the server estimates.
    pub live: u64,
    /// Rows that are dead and still there, as the server estimates.
    pub dead: u64,
    /// The number of dead rows at which autovacuum starts.
    pub vacuum_at: u64,
    /// When it was last vacuumed, manually or by autovacuum.
    pub vacuumed: Option<Millis>,
    /// Its indexes that are not valid: a build that was interrupted or is under way.
    pub invalid_indexes: Vec<String>,
}

/// A session of interest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct Session {
    /// Its process.
    pub pid: i32,
    /// The name its application gave.
    pub application: String,
    /// Its role.
    pub user: String,
    /// `active`, `idle in transaction` …
    pub state: String,
    /// How long its transaction has been open, in milliseconds.
    pub open_ms: Option<Millis>,
    /// The sessions it waits for.
    pub waits_for: Vec<i32>,
}
