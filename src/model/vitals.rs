//! One store in full: its own report, Drover's measurements, the answers to Drover's queries, and what each of that
//! means for a store that holds queues.
//!
//! Every field that a server may leave out is an `Option`: forks and hosted services leave many out,
//! and unknown is never zero.

use self::postgres::PostgresHealth;
use super::Millis;
use super::store::StoreSummary;
use super::verdict::Level;
use super::weights::MemoryByQueue;
use serde::{Deserialize, Serialize};

pub mod postgres;
pub mod sentinel;

/// An answer, or the reason why there is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Answered<T> {
    /// The answer.
    Known(T),
    /// The store's access rules forbid the command: what would allow it, such as `+slowlog|get`.
    NotPermitted(String),
    /// Drover could not get it: a sentence.
    Failed(String),
}

impl<T> Answered<T> {
    /// The answer, if there is one.
    pub const fn known(&self) -> Option<&T> {
        match self {
            Self::Known(answer) => Some(answer),
            Self::NotPermitted(_) | Self::Failed(_) => None,
        }
    }

    /// Why there is none, as a sentence.
    pub fn why(&self) -> Option<String> {
        match self {
            Self::Known(_) => None,
            Self::NotPermitted(rule) => Some(format!("not permitted: {rule}")),
            Self::Failed(why) => Some(why.clone()),
        }
    }
}

/// A store as its page and the API show it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct StoreDetail {
    /// Its summary, as on every page.
    #[serde(flatten)]
    pub summary: StoreSummary,
    /// Its own report: the last one.
    pub report: Answered<Report>,
    /// What Drover measured since it began to watch.
    pub watched: Watched,
    /// The answers to the queries for this page: the last ones.
    pub asked: Asked,
    /// A judgement on each part, in one sentence each.
    pub judgements: Vec<Judged>,
    /// Of a Redis behind Sentinels: what they say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sentinel: Option<sentinel::SentinelReport>,
    /// Of a Postgres: its parts, tables and sessions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postgres: Option<PostgresHealth>,
}

impl StoreDetail {
    /// The judgement about one part.
    #[must_use]
    pub fn judged(&self, about: About) -> Option<&Judged> {
        self.judgements.iter().find(|judged| judged.about == about)
    }

    /// The judgements that need attention, the worst first.
    #[must_use]
    pub fn reasons(&self) -> Vec<&Judged> {
        let mut reasons: Vec<&Judged> = self
            .judgements
            .iter()
            .filter(|judged| matches!(judged.level, Level::Bad | Level::Watch))
            .collect();
        reasons.sort_by_key(|judged| judged.level);
        reasons
    }
}

/// What a judgement is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum About {
    /// Memory against its limit, and its trend.
    Memory,
    /// How much the allocator holds beyond what the data needs.
    Fragmentation,
    /// What happens at the limit.
    Eviction,
    /// What a crash would lose.
    Persistence,
    /// Copies of it, or what it is a copy of.
    Replication,
    /// Connections.
    Clients,
    /// How long an answer takes.
    Latency,
}

impl About {
    /// The label of the part.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Memory => "Memory",
            Self::Fragmentation => "Fragmentation",
            Self::Eviction => "At the limit",
            Self::Persistence => "Persistence",
            Self::Replication => "Replication",
            Self::Clients => "Clients",
            Self::Latency => "Latency",
        }
    }
}

/// The judgement on one part of a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct Judged {
    /// Which part.
    pub about: About,
    /// How bad.
    pub level: Level,
    /// One sentence or two, complete without the numbers around it.
    pub text: String,
}

/// The content of `INFO`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct Report {
    /// When it was read.
    pub at: Millis,
    /// `standalone`, `sentinel` or `cluster`.
    pub mode: Option<String>,
    /// Identifies one run of the server process.
    pub run_id: Option<String>,
    /// Seconds since it started.
    pub uptime_s: Option<u64>,
    /// Memory, in bytes.
    pub memory: MemoryReport,
    /// What is written to disk.
    pub persistence: PersistenceReport,
    /// Copies.
    pub replication: ReplicationReport,
    /// Connections.
    pub clients: ClientsReport,
    /// What it has processed since it started.
    pub traffic: TrafficReport,
    /// Its databases, the ones that hold something.
    pub keyspace: Vec<Database>,
}

/// Memory, in bytes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct MemoryReport {
    /// In use by data and buffers.
    pub used: Option<u64>,
    /// The most that was ever in use since it started.
    pub peak: Option<u64>,
    /// The memory that the operating system has given it.
    pub rss: Option<u64>,
    /// The limit, if one is set.
    pub max: Option<u64>,
    /// The memory of the machine.
    pub machine: Option<u64>,
    /// `rss` over `used`.
    pub fragmentation: Option<f64>,
    /// The eviction policy at the limit.
    pub policy: Option<String>,
}

/// What is written to disk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct PersistenceReport {
    /// Whether there is an append-only file.
    pub aof: Option<bool>,
    /// Whether the last write to it succeeded.
    pub aof_write_ok: Option<bool>,
    /// Whether its last rewrite succeeded.
    pub aof_rewrite_ok: Option<bool>,
    /// When the last snapshot was saved. A server that has saved none says when it started.
    pub rdb_saved_at: Option<Millis>,
    /// Snapshots saved since it started; not known before Redis 7.
    pub rdb_saves: Option<u64>,
    /// Whether the last snapshot succeeded.
    pub rdb_ok: Option<bool>,
    /// Changes since the last snapshot.
    pub rdb_changes: Option<u64>,
    /// Whether one is being saved now.
    pub rdb_saving: Option<bool>,
}

/// Copies of a store, or what it is a copy of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct ReplicationReport {
    /// `master` or `replica`.
    pub role: Option<String>,
    /// Its replicas that are connected.
    pub replicas: Vec<Replica>,
    /// How many replicas the server counts, also where it does not list them.
    pub connected: Option<u64>,
    /// Of a replica: its master.
    pub master: Option<MasterLink>,
}

/// A replica as its master sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct Replica {
    /// Host and port.
    pub address: String,
    /// `online`, or the state before it.
    pub state: String,
    /// Seconds since its last acknowledgement.
    pub lag_s: Option<u64>,
}

/// A master as its replica sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct MasterLink {
    /// Host and port.
    pub address: String,
    /// Whether the link is up.
    pub up: Option<bool>,
    /// Seconds since the last message from it.
    pub last_heard_s: Option<u64>,
    /// Seconds since the link broke.
    pub down_s: Option<u64>,
    /// Whether a full copy is under way.
    pub syncing: Option<bool>,
}

/// Connections.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct ClientsReport {
    /// Now.
    pub connected: Option<u64>,
    /// Of these, waiting in a blocking command, as idle workers do.
    pub blocked: Option<u64>,
    /// How many connections are allowed.
    pub max: Option<u64>,
    /// Connections refused since it started, because there was no room.
    pub rejected: Option<u64>,
}

/// What a store has processed since it started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct TrafficReport {
    /// Commands.
    pub commands: Option<u64>,
    /// Commands per second over the last moments, by its own measure.
    pub per_second: Option<u64>,
    /// Reads that found their key.
    pub hits: Option<u64>,
    /// Reads that did not.
    pub misses: Option<u64>,
    /// Keys removed because they expired.
    pub expired: Option<u64>,
    /// Keys removed to free memory.
    pub evicted: Option<u64>,
    /// Pub/Sub channels with subscribers.
    pub channels: Option<u64>,
    /// Pub/Sub patterns with subscribers.
    pub patterns: Option<u64>,
}

/// One database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct Database {
    /// Its number.
    pub index: u32,
    /// Keys in it.
    pub keys: u64,
    /// Of these, with an expiry.
    pub expires: Option<u64>,
    /// Their mean time to live, in milliseconds.
    pub mean_ttl_ms: Option<u64>,
}

/// What Drover measured since it began to watch, at most an hour, and at most since the store's last start.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct Watched {
    /// How long the figures cover, in milliseconds; 0 before there are two reports.
    pub span_ms: Millis,
    /// Bytes per hour, fitted over the whole span; unknown in the first minute.
    pub growth_per_hour: Option<i64>,
    /// When memory reaches the limit at that pace; unknown if it does not grow or has no limit.
    pub full_in_ms: Option<Millis>,
    /// Commands per second between the last two reports.
    pub commands_per_second: Option<f64>,
    /// Reads that found their key, of all reads; unknown if there were none.
    pub hit_rate: Option<f64>,
    /// How many reads that was.
    pub lookups: u64,
    /// Keys evicted.
    pub evicted: Option<u64>,
    /// Keys expired.
    pub expired: Option<u64>,
    /// Round trips of our own `PING` over the last minute.
    pub ping: Option<Ping>,
}

/// Round trips, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct Ping {
    /// Half of them took at most this.
    pub median_us: u32,
    /// The longest.
    pub max_us: u32,
    /// How many.
    pub count: u32,
}

/// The answers to the queries for a store's page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct Asked {
    /// When it answered; `None` if it never has.
    pub at: Option<Millis>,
    /// Settings that decide what a crash loses and which changes the store reports.
    pub settings: Answered<Settings>,
    /// Its slowest commands, the newest first.
    pub slow: Answered<Vec<SlowCommand>>,
    /// What its latency monitor saw.
    pub latency: Answered<Vec<LatencyEvent>>,
    /// Pub/Sub channels, the ones with most subscribers first.
    pub channels: Answered<Vec<Channel>>,
}

impl Asked {
    /// No query was sent yet, for this reason.
    #[must_use]
    pub fn nothing(why: &str) -> Self {
        Self {
            at: None,
            settings: Answered::Failed(why.to_owned()),
            slow: Answered::Failed(why.to_owned()),
            latency: Answered::Failed(why.to_owned()),
            channels: Answered::Failed(why.to_owned()),
        }
    }
}

/// Settings of a store, as `CONFIG GET` gives them; one that a server does not know is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct Settings {
    /// `appendfsync`: `always`, `everysec` or `no`.
    pub fsync: Option<String>,
    /// `save`: the rules for snapshots, such as `3600 1 300 100`; empty for none.
    pub save: Option<String>,
    /// `notify-keyspace-events`: which changes of keys are reported; empty for none.
    pub notifications: Option<String>,
    /// `slowlog-log-slower-than`, in microseconds; below 0 none is logged.
    pub slower_than_us: Option<i64>,
    /// `latency-monitor-threshold`, in milliseconds; 0 if the monitor is off.
    pub latency_threshold_ms: Option<i64>,
}

/// An entry of the slow log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct SlowCommand {
    /// Its number in the log.
    pub id: i64,
    /// When it ran.
    pub at: Millis,
    /// How long it kept the server busy, in microseconds.
    pub took_us: u64,
    /// The command and its first arguments, cut.
    pub command: String,
    /// Who sent it: address, and the name it gave itself.
    pub client: String,
}

/// A kind of delay that the latency monitor saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct LatencyEvent {
    /// Its name, such as `fork`.
    pub event: String,
    /// When it was last seen.
    pub at: Millis,
    /// How long it took then, in milliseconds.
    pub latest_ms: u64,
    /// How long it took at most.
    pub max_ms: u64,
}

/// A Pub/Sub channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct Channel {
    /// Its name.
    pub name: String,
    /// How many subscribers it has, without those of patterns; unknown if Drover could not ask.
    pub subscribers: Option<u64>,
}

/// A chart of the last hour.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct Drawing {
    /// The figure that it shows.
    pub of: Series,
    /// SVG, made by the server.
    pub svg: String,
}

/// A figure that has a chart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Series {
    /// Memory in use.
    Memory,
    /// Commands per second.
    Commands,
    /// Connections.
    Clients,
    /// The longest round trip of our own `PING`.
    Latency,
}

impl Series {
    /// All of them, in the order of the page.
    pub const ALL: [Self; 4] = [Self::Memory, Self::Commands, Self::Clients, Self::Latency];

    /// The name used in addresses.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Commands => "commands",
            Self::Clients => "clients",
            Self::Latency => "latency",
        }
    }

    /// The heading.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Memory => "Memory used",
            Self::Commands => "Commands per second",
            Self::Clients => "Clients",
            Self::Latency => "Longest PING round trip",
        }
    }
}

impl std::str::FromStr for Series {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|series| series.as_str() == text).ok_or(())
    }
}

/// A store's page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct StorePage {
    /// The store.
    pub detail: StoreDetail,
    /// The charts of the last hour.
    pub drawings: Vec<Drawing>,
    /// Memory by queue.
    pub memory: Answered<MemoryByQueue>,
    /// How many jobs of each state the address asks to weigh.
    pub sample: u32,
}
