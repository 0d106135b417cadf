//! What a Postgres reports for its page: tables, indexes, sessions, standbys.
//!
//! Each part is a query of its own, so that a role that may not see one of them sees the others. A role without
//! `pg_monitor` does not see what other roles' sessions do; the page says so.

use super::database::Database;
use crate::model::vitals::Answered;
use crate::model::vitals::postgres::facts::{Health, Oldest, Replication};
use crate::model::vitals::postgres::{Session, TableHealth};
use sqlx::Row as _;
use sqlx::postgres::PgRow;

/// Tables that are shown.
const TABLES: i64 = 30;

/// Sessions that are shown.
const SESSIONS: i64 = 20;

/// A transaction open for longer than this is worth a line.
const OPEN_MS: i64 = 5_000;

/// Asks for everything, one after the other: each takes milliseconds.
pub async fn read(database: &Database) -> Health {
    let report = match super::report::read(database).await {
        Ok(report) => Answered::Known(report),
        Err(trouble) => Answered::Failed(trouble.cause),
    };
    Health {
        report,
        tables: rows(database, TABLES_SQL, TABLES, table).await,
        sessions: rows(database, SESSIONS_SQL, SESSIONS, session).await,
        oldest: one(rows(database, OLDEST_SQL, OPEN_MS, oldest).await),
        replication: one(rows(database, REPLICATION_SQL, 0, replication).await),
        dropped: database.dropped(),
    }
}

async fn rows<T>(
    database: &Database,
    sql: &'static str,
    bound: i64,
    parse: fn(&PgRow) -> Result<T, sqlx::Error>,
) -> Answered<Vec<T>> {
    let answer = database.rows(sqlx::query(sql).bind(bound)).await;
    match answer.and_then(|rows| rows.iter().map(parse).collect()) {
        Ok(rows) => Answered::Known(rows),
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("42501") => {
            Answered::NotPermitted("GRANT pg_monitor".into())
        }
        Err(error) => Answered::Failed(database.trouble(&error).cause),
    }
}

/// The one row of an answer that always has one.
fn one<T: Default>(answer: Answered<Vec<T>>) -> Answered<T> {
    match answer {
        Answered::Known(rows) => Answered::Known(rows.into_iter().next().unwrap_or_default()),
        Answered::NotPermitted(rule) => Answered::NotPermitted(rule),
        Answered::Failed(why) => Answered::Failed(why),
    }
}

/// A table's own storage parameters win over the server's settings, as they do for autovacuum. Measuring a table takes
/// a lock on it: of a table that another session has locked exclusively, the size is what its last vacuum saw.
const TABLES_SQL: &str = "
SELECT n.nspname::text AS schema, c.relname::text AS name,
       CASE WHEN h.held THEN c.relpages * current_setting('block_size')::int8
            ELSE pg_table_size(c.oid)::int8 END AS table_bytes,
       CASE WHEN h.held THEN (SELECT coalesce(sum(i.relpages), 0)::int8 * current_setting('block_size')::int8
                                FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid WHERE x.indrelid = c.oid)
            ELSE pg_indexes_size(c.oid)::int8 END AS index_bytes,
       s.n_live_tup AS live, s.n_dead_tup AS dead,
       (coalesce((SELECT option_value::float8 FROM pg_options_to_table(c.reloptions)
                   WHERE option_name = 'autovacuum_vacuum_threshold'),
                 current_setting('autovacuum_vacuum_threshold')::float8)
        + coalesce((SELECT option_value::float8 FROM pg_options_to_table(c.reloptions)
                     WHERE option_name = 'autovacuum_vacuum_scale_factor'),
                   current_setting('autovacuum_vacuum_scale_factor')::float8) * s.n_live_tup)::int8 AS vacuum_at,
       (extract(epoch FROM greatest(s.last_vacuum, s.last_autovacuum)) * 1000)::int8 AS vacuumed,
       coalesce((SELECT array_agg(i.relname::text ORDER BY i.relname) FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid
                  WHERE x.indrelid = c.oid AND NOT x.indisvalid), '{}') AS invalid
  FROM pg_stat_user_tables s
  JOIN pg_class c ON c.oid = s.relid
  JOIN pg_namespace n ON n.oid = c.relnamespace
 CROSS JOIN LATERAL (SELECT EXISTS (SELECT FROM pg_locks l WHERE l.relation = c.oid AND l.mode = 'AccessExclusiveLock')
                            AS held) h
 ORDER BY c.relpages DESC, c.oid
 LIMIT $1";

fn table(row: &PgRow) -> Result<TableHealth, sqlx::Error> {
    let count = |name: &str| -> Result<u64, sqlx::Error> { Ok(row.try_get::<i64, _>(name)?.unsigned_abs()) };
    Ok(TableHealth {
        schema: row.try_get("schema")?,
        name: row.try_get("name")?,
        table_bytes: count("table_bytes")?,
        index_bytes: count("index_bytes")?,
        live: count("live")?,
        dead: count("dead")?,
        vacuum_at: count("vacuum_at")?,
        vacuumed: row.try_get("vacuumed")?,
        invalid_indexes: row.try_get("invalid")?,
    })
}

/// Our own sessions are left out: their transactions last as long as this read.
const SESSIONS_SQL: &str = "
SELECT a.pid, coalesce(a.application_name, '') AS application, coalesce(a.usename::text, '') AS usename,
       coalesce(a.state, 'not permitted to see') AS state,
       (extract(epoch FROM clock_timestamp() - a.xact_start) * 1000)::int8 AS open_ms,
       CASE WHEN a.wait_event_type = 'Lock' THEN pg_blocking_pids(a.pid) ELSE '{}' END AS waits_for
  FROM pg_stat_activity a
 WHERE a.backend_type = 'client backend' AND a.datname = current_database() AND a.pid <> pg_backend_pid()
   AND (a.wait_event_type = 'Lock' OR a.xact_start < clock_timestamp() - interval '5 seconds')
 ORDER BY a.xact_start NULLS LAST
 LIMIT $1";

fn session(row: &PgRow) -> Result<Session, sqlx::Error> {
    Ok(Session {
        pid: row.try_get("pid")?,
        application: row.try_get("application")?,
        user: row.try_get("usename")?,
        state: row.try_get("state")?,
        open_ms: row.try_get("open_ms")?,
        waits_for: row.try_get("waits_for")?,
    })
}

/// Of other roles' sessions the kind is hidden too; a session with a user is a client's, or as good as one.
const OLDEST_SQL: &str = "
SELECT (extract(epoch FROM clock_timestamp() - min(xact_start)) * 1000)::int8 AS open_ms,
       coalesce((array_agg(application_name ORDER BY xact_start) FILTER (WHERE xact_start IS NOT NULL))[1], '')
         AS application,
       count(*) FILTER (WHERE state LIKE 'idle in transaction%'
                          AND xact_start < clock_timestamp() - $1 * interval '1 millisecond') AS idle,
       count(*) FILTER (WHERE wait_event_type = 'Lock') AS waiting,
       count(*) FILTER (WHERE backend_type IS NULL) AS hidden
  FROM pg_stat_activity
 WHERE (backend_type = 'client backend' OR (backend_type IS NULL AND usesysid IS NOT NULL)) AND datname = current_database() AND pid <> pg_backend_pid()";

fn oldest(row: &PgRow) -> Result<Oldest, sqlx::Error> {
    let count = |name: &str| -> Result<u64, sqlx::Error> { Ok(row.try_get::<i64, _>(name)?.unsigned_abs()) };
    Ok(Oldest {
        open_ms: row.try_get("open_ms")?,
        application: row.try_get("application")?,
        idle: count("idle")?,
        waiting: count("waiting")?,
        hidden: count("hidden")?,
    })
}

/// The log position is that of a primary; a standby says how old what it has replayed is.
const REPLICATION_SQL: &str = "
SELECT (SELECT count(*) FROM pg_stat_replication) AS standbys,
       (SELECT (extract(epoch FROM max(replay_lag)) * 1000)::int8 FROM pg_stat_replication) AS lag_ms,
       (SELECT max(pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn()
                                        ELSE pg_current_wal_lsn() END, restart_lsn))::int8
          FROM pg_replication_slots) AS held_bytes,
       (SELECT count(*) FROM pg_replication_slots WHERE NOT active) AS idle_slots,
       CASE WHEN pg_is_in_recovery()
            THEN (extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) * 1000)::int8 END AS behind_ms
 WHERE $1 = 0";

fn replication(row: &PgRow) -> Result<Replication, sqlx::Error> {
    Ok(Replication {
        standbys: row.try_get::<i64, _>("standbys")?.unsigned_abs(),
        lag_ms: row.try_get("lag_ms")?,
        held_bytes: row.try_get::<Option<i64>, _>("held_bytes")?.map(i64::unsigned_abs),
        idle_slots: row.try_get::<i64, _>("idle_slots")?.unsigned_abs(),
        behind_ms: row.try_get("behind_ms")?,
    })
}
