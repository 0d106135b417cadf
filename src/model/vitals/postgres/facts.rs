//! What a Postgres reports about itself: the facts by which its parts are judged (on the server alone).

use super::{Session, TableHealth};
use crate::model::Millis;
use crate::model::store::Vitals;
use crate::model::vitals::{Answered, Report as Samples};

/// The figures that are read every few seconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// Such as `15.18`.
    pub version: String,
    /// Its clock.
    pub clock: Millis,
    /// When it started.
    pub started: Millis,
    /// Whether it follows another server.
    pub standby: bool,
    /// Bytes of the database on disk.
    pub size: u64,
    /// Connections of clients, over all databases.
    pub connections: u64,
    /// How many connections are allowed.
    pub connections_max: u64,
    /// Transactions of the database since its statistics began.
    pub transactions: u64,
    /// Blocks found in its own memory, and blocks read from the system.
    pub blocks: (u64, u64),
    /// Whether it waits for the disk at all.
    pub fsync: bool,
    /// What a commit waits for.
    pub synchronous_commit: String,
    /// Standbys that are connected; unknown without the right to see them.
    pub standbys: u64,
    /// How old the oldest transaction number in the database is.
    pub xid_age: u64,
}

impl Report {
    /// The part of it that the board shows on one line, with the measured transactions a second.
    #[must_use]
    pub fn vitals(&self, per_second: Option<f64>) -> Vitals {
        let version = self.version.split(' ').next().unwrap_or_default();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rate, rounded to be read"
        )]
        let ops_per_second = per_second.map(|n| n.round() as u64);
        Vitals {
            version: format!("PostgreSQL {version}"),
            memory: None,
            disk: Some(self.size),
            role: if self.standby { "standby" } else { "primary" }.into(),
            replicas: u32::try_from(self.standbys).ok(),
            clients: u32::try_from(self.connections).ok(),
            ops_per_second,
            uptime_s: u64::try_from((self.clock - self.started) / 1000).ok(),
            evicted_keys: None,
            persistence: self.persistence().into(),
        }
    }

    /// What survives a crash, in a few words.
    #[must_use]
    pub fn persistence(&self) -> &'static str {
        match (self.fsync, self.synchronous_commit.as_str()) {
            (false, _) => "does not wait for its disk",
            (true, "off") => "commits before they are on disk",
            (true, _) => "commits are on disk",
        }
    }

    /// The figures of the charts of the last hour.
    #[must_use]
    pub fn as_samples(&self, at: Millis) -> Samples {
        let mut samples = Samples {
            at,
            run_id: Some(self.started.to_string()),
            uptime_s: u64::try_from((self.clock - self.started) / 1000).ok(),
            ..Samples::default()
        };
        samples.clients.connected = Some(self.connections);
        samples.clients.max = Some(self.connections_max);
        samples.traffic.commands = Some(self.transactions);
        samples.traffic.hits = Some(self.blocks.0);
        samples.traffic.misses = Some(self.blocks.1);
        samples
    }
}

/// Everything on the page.
#[derive(Clone, Debug)]
pub struct Health {
    /// The report of the last seconds.
    pub report: Answered<Report>,
    /// The largest tables.
    pub tables: Answered<Vec<TableHealth>>,
    /// Sessions that block others, or hold a transaction open.
    pub sessions: Answered<Vec<Session>>,
    /// The oldest transaction.
    pub oldest: Answered<Oldest>,
    /// Standbys, or the server it follows.
    pub replication: Answered<Replication>,
    /// Why the settings of our sessions are not in force, if they are not.
    pub dropped: Option<String>,
}

/// The transactions that are open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Oldest {
    /// The oldest one's age in milliseconds; `None` if there is none besides ours.
    pub open_ms: Option<Millis>,
    /// The application that opened it.
    pub application: String,
    /// Sessions that hold a transaction open and do nothing.
    pub idle: u64,
    /// Sessions that wait for a lock.
    pub waiting: u64,
    /// Sessions of which our role may see nothing.
    pub hidden: u64,
}

/// How far replicas lag behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replication {
    /// Standbys that are connected.
    pub standbys: u64,
    /// The lag of the standby that is furthest behind, in milliseconds, where it is known.
    pub lag_ms: Option<Millis>,
    /// Bytes of log that slots hold back, where it is known.
    pub held_bytes: Option<u64>,
    /// Slots without a reader.
    pub idle_slots: u64,
    /// Of a standby: how old the last transaction that it has replayed is, in milliseconds.
    pub behind_ms: Option<Millis>,
}
