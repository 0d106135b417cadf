//! One Redis that Drover watches.

use super::Millis;
use super::verdict::Verdict;
use serde::{Deserialize, Serialize};

/// Whether a store answers, and if not, what kind of silence it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// No answer yet since Drover started.
    Connecting,
    /// It answers.
    Live,
    /// Nothing listens, the host is not found, or the connection was cut.
    Gone,
    /// It accepts the connection and says nothing: frozen, or the path to it is.
    Frozen,
    /// It is reading its data set from disk.
    Loading,
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
            Self::Frozen => "not answering",
            Self::Loading => "loading its data",
            Self::WrongPassword => "wrong password",
            Self::NotAllowed => "not permitted",
            Self::Busy => "busy with a script",
            Self::Full => "no free connection",
            Self::Refused => "refused",
        }
    }
}

/// Memory as the store itself reports it, in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
pub struct Vitals {
    /// Product and version, such as `Redis 7.0.15`.
    pub version: String,
    /// Memory in use and its limit.
    pub memory: Memory,
    /// `master` or `replica`.
    pub role: String,
    /// Connected replicas.
    pub replicas: u32,
    /// Client connections.
    pub clients: u32,
    /// Commands per second over the last moments.
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
pub struct StoreSummary {
    /// Its id from the configuration.
    pub id: String,
    /// Always `redis` so far.
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
}
