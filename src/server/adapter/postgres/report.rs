//! What a Postgres says of itself every few seconds, in one row that needs no special right.

use super::super::Trouble;
use super::database::Database;
use crate::model::Millis;
use crate::model::store::Vitals;
use crate::model::vitals::Report as Samples;
use sqlx::Row as _;
use sqlx::postgres::PgRow;

/// See the module.
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
    /// How many there may be.
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

const ROW: &str = "
SELECT current_setting('server_version') AS version,
       (extract(epoch FROM clock_timestamp()) * 1000)::int8 AS clock,
       (extract(epoch FROM pg_postmaster_start_time()) * 1000)::int8 AS started,
       pg_is_in_recovery() AS standby,
       pg_database_size(current_database())::int8 AS size,
       (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS connections,
       current_setting('max_connections')::int8 - current_setting('superuser_reserved_connections')::int8
         AS connections_max,
       d.xact_commit + d.xact_rollback AS transactions,
       d.blks_hit, d.blks_read,
       current_setting('fsync') = 'on' AS fsync,
       current_setting('synchronous_commit') AS synchronous_commit,
       (SELECT count(*) FROM pg_stat_replication) AS standbys,
       (SELECT age(datfrozenxid)::int8 FROM pg_database WHERE datname = current_database()) AS xid_age
  FROM pg_stat_database d WHERE d.datname = current_database()";

/// Reads it.
///
/// # Errors
///
/// When the store does not answer.
pub async fn read(database: &Database) -> Result<Report, Trouble> {
    let reads = database.reads();
    database
        .run(async { parse(&sqlx::query(ROW).fetch_one(&reads).await?) })
        .await
}

fn parse(row: &PgRow) -> Result<Report, sqlx::Error> {
    let count = |name: &str| -> Result<u64, sqlx::Error> { Ok(row.try_get::<i64, _>(name)?.unsigned_abs()) };
    Ok(Report {
        version: row.try_get("version")?,
        clock: row.try_get("clock")?,
        started: row.try_get("started")?,
        standby: row.try_get("standby")?,
        size: count("size")?,
        connections: count("connections")?,
        connections_max: count("connections_max")?,
        transactions: count("transactions")?,
        blocks: (count("blks_hit")?, count("blks_read")?),
        fsync: row.try_get("fsync")?,
        synchronous_commit: row.try_get("synchronous_commit")?,
        standbys: count("standbys")?,
        xid_age: count("xid_age")?,
    })
}

impl Report {
    /// The part of it that the board shows on one line, with the transactions a second that were counted.
    #[must_use]
    pub fn vitals(&self, per_second: Option<f64>) -> Vitals {
        let version = self.version.split(' ').next().unwrap_or_default();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rate, rounded to be read"
        )]
        let ops_per_second = per_second.unwrap_or(0.0).round() as u64;
        Vitals {
            version: format!("PostgreSQL {version}"),
            memory: None,
            disk: Some(self.size),
            role: if self.standby { "standby" } else { "primary" }.into(),
            replicas: u32::try_from(self.standbys).unwrap_or(u32::MAX),
            clients: u32::try_from(self.connections).unwrap_or(u32::MAX),
            ops_per_second,
            uptime_s: u64::try_from((self.clock - self.started) / 1000).unwrap_or(0),
            evicted_keys: 0,
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

    /// The figures that are drawn over the last hour.
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
