//! What a Postgres says of itself every few seconds, in one row that needs no special right.

use super::super::Trouble;
use super::database::Database;
use crate::model::vitals::postgres::facts::Report;
use sqlx::Row as _;
use sqlx::postgres::PgRow;

const ROW: &str = "
SELECT current_setting('server_version') AS version,
       (extract(epoch FROM clock_timestamp()) * 1000)::int8 AS clock,
       (extract(epoch FROM pg_postmaster_start_time()) * 1000)::int8 AS started,
       pg_is_in_recovery() AS standby,
       pg_database_size(current_database())::int8 AS size,
       (SELECT sum(numbackends)::int8 FROM pg_stat_database) AS connections,
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
    let read = async {
        let rows = database.rows(sqlx::query(ROW)).await?;
        parse(rows.first().ok_or(sqlx::Error::RowNotFound)?)
    };
    database.run(read).await
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
