//! One Redis that Drover watches.

use super::Millis;
use super::condition::{Actions, Condition};
use super::verdict::Verdict;
use serde::{Deserialize, Serialize};

/// Whether a store answers, and if not, what kind of silence it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// No answer yet since Drover started.
    Connecting,
    /// It answers.
    Live,
    /// Nothing listens, or the connection was cut.
    Gone,
    /// Its name has no address.
    NoSuchHost,
    /// The encrypted connection cannot be made.
    TlsFailed,
    /// It accepts the connection and says nothing: frozen, or the path to it is.
    Frozen,
    /// It is reading its data set from disk.
    Loading,
    /// A replica that has lost its primary and keeps what it knows to itself.
    FailingOver,
    /// It refuses our name or password.
    WrongPassword,
    /// It knows us, and forbids a command that reading needs.
    NotAllowed,
    /// A script has kept it busy for seconds.
    Busy,
    /// It has no room for another connection.
    Full,
    /// It answers, and not as a Redis we can use does.
    Refused,
}

impl Reach {
    /// The words shown where the store's state goes.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Live => "live",
            Self::Gone => "unreachable",
            Self::NoSuchHost => "not found",
            Self::TlsFailed => "refused: TLS",
            Self::Frozen => "not answering",
            Self::Loading => "loading its data",
            Self::FailingOver => "failing over",
            Self::WrongPassword => "refusing our password",
            Self::NotAllowed => "not permitted",
            Self::Busy => "busy with a script",
            Self::Full => "no free connection",
            Self::Refused => "refused",
        }
    }

    /// What Drover does about it, and whether somebody has to do anything to Drover.
    #[must_use]
    pub const fn patience(self) -> &'static str {
        match self {
            Self::WrongPassword => "Drover keeps trying.",
            _ => "Drover keeps trying; nothing needs to be restarted or reloaded.",
        }
    }

    /// What works and what does not in this state; empty while it answers.
    #[must_use]
    pub const fn effect(self) -> &'static str {
        match self {
            Self::Live => "",
            Self::Connecting => "Nothing has been read yet.",
            Self::Gone | Self::NoSuchHost | Self::TlsFailed | Self::Refused => {
                "Nothing can be read and no action will work."
            }
            Self::Frozen => {
                "Nothing can be read. An action could not be confirmed: whether it was done would be known only later."
            }
            Self::Loading => "Nothing can be read and no action will work until all data is loaded.",
            Self::FailingOver => "Nothing can be read and no action will work until it has a primary again.",
            Self::WrongPassword | Self::NotAllowed | Self::Full => {
                "Nothing can be read and no action will work; the applications that are still connected go on."
            }
            Self::Busy => {
                "Nothing can be read and actions would wait, for the applications too. Drover does not stop a script."
            }
        }
    }
}

/// Memory as the store itself reports it, in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct Memory {
    /// In use by data and buffers.
    pub used: u64,
    /// The limit, if one is set.
    pub max: Option<u64>,
    /// What happens at the limit: queues need `noeviction`.
    pub policy: String,
}

/// What a store says about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct Vitals {
    /// Product and version, such as `Redis 7.0.15`.
    pub version: String,
    /// Memory in use and its limit; `null` for a Postgres, whose size is on disk.
    pub memory: Option<Memory>,
    /// Bytes of its database on disk; only of a Postgres.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<u64>,
    /// `master` or `replica`; of a Postgres `primary` or `standby`.
    pub role: String,
    /// Connected replicas.
    pub replicas: u32,
    /// Client connections.
    pub clients: u32,
    /// Commands per second over the last moments; of a Postgres transactions.
    pub ops_per_second: u64,
    /// Seconds since it started.
    pub uptime_s: u64,
    /// Keys evicted since it started. Above zero, jobs may have disappeared.
    pub evicted_keys: u64,
    /// How it survives a crash, in a few words.
    pub persistence: String,
}

/// One store, as the board knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct StoreSummary {
    /// Its id from the configuration.
    pub id: String,
    /// `redis` or `postgres`.
    pub kind: String,
    /// Host and port, never a password.
    pub address: String,
    /// Whether it answers.
    pub reach: Reach,
    /// Why not, in a sentence; `None` while it does.
    pub cause: Option<String>,
    /// Since when `reach` has been what it is.
    pub since: Millis,
    /// The last moment anything was read from it; `None` if nothing ever was.
    pub as_of: Option<Millis>,
    /// What it last said about itself.
    pub vitals: Option<Vitals>,
    /// How many queues are known in it.
    pub queues: u32,
    /// Whether a search for queues has been completed since it was last found empty or restarted.
    pub searched: bool,
    /// What to think of it.
    pub verdict: Verdict,
    /// What is the matter although it answers, the worst first; empty while it does not answer.
    #[serde(default)]
    pub conditions: Vec<Condition>,
    /// Whether its jobs may be acted on.
    #[serde(default)]
    pub actions: Actions,
    /// How far its clock is ahead of Drover's, in milliseconds, negative when it is behind; `None`
    /// where it does not tell. Times that the store or its jobs carry are compared with this added.
    #[serde(default)]
    pub clock_ahead: Option<Millis>,
}

impl StoreSummary {
    /// The store's own clock, when Drover's says `now`.
    #[must_use]
    pub fn its_clock(&self, now: Millis) -> Millis {
        now.saturating_add(self.clock_ahead.unwrap_or(0))
    }
}

#[cfg(test)]
impl StoreSummary {
    /// A store that has just begun to answer, for tests.
    pub(crate) fn example(id: &str) -> Self {
        Self {
            id: id.into(),
            kind: "redis".into(),
            address: "127.0.0.1:1".into(),
            reach: Reach::Live,
            cause: None,
            since: 0,
            as_of: None,
            vitals: None,
            queues: 0,
            searched: true,
            verdict: Verdict::not_read(0),
            conditions: vec![],
            actions: Actions::default(),
            clock_ahead: None,
        }
    }
}
