//! Drover's own schema: made, brought up to date, and given a partition for each month.
//!
//! Everything is in the schema `drover`, sqlx's list of what was run included. Two processes that start together take
//! turns (an advisory lock). A partition that cannot be made, for want of a right or of time, leaves its rows to the
//! default one: nothing is refused for it.

use super::Archive;
use crate::model::Millis;
use crate::server::adapter::postgres::database::Database;
use crate::server::database::migrate::{Step, migrator};
use chrono::{DateTime, Datelike as _, Months, NaiveDate, Utc};
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use std::time::Duration;
use tokio::time::timeout;

/// All there are, by number.
const ALL: [Step; 9] = [
    (1, "archive", include_str!("../../../migrations/0001_archive.sql")),
    (2, "policy", include_str!("../../../migrations/0002_policy.sql")),
    (3, "audit", include_str!("../../../migrations/0003_audit.sql")),
    (4, "operation", include_str!("../../../migrations/0004_operation.sql")),
    (5, "history", include_str!("../../../migrations/0005_history.sql")),
    (6, "status", include_str!("../../../migrations/0006_status.sql")),
    (7, "lease", include_str!("../../../migrations/0007_lease.sql")),
    (8, "session", include_str!("../../../migrations/0008_session.sql")),
    (9, "identity", include_str!("../../../migrations/0009_identity.sql")),
];

/// How long making the schema may take: a first index over a large table of an older version takes its time.
const LIMIT: Duration = Duration::from_secs(300);

/// Months ahead of now that have a partition.
const AHEAD: u32 = 2;

/// The oldest server that has what the schema needs.
const OLDEST: i32 = 130_000;

/// Makes the schema or brings it up to date; how many steps that took.
///
/// # Errors
///
/// A sentence.
pub async fn migrate(database: &Database) -> Result<usize, String> {
    let work = async {
        let mut connection = database.connect(&[("search_path", "drover")]).await?;
        let (version,): (i32,) = sqlx::query_as("SELECT current_setting('server_version_num')::int")
            .fetch_one(&mut connection)
            .await?;
        if version < OLDEST {
            return Ok(Err(format!(
                "this server is Postgres {}; the archive needs 13 or newer",
                version / 10_000
            )));
        }
        // Asked first: IF NOT EXISTS still wants the right to make one.
        if !exists(&mut connection).await? {
            let made = sqlx::query("CREATE SCHEMA IF NOT EXISTS drover")
                .execute(&mut connection)
                .await;
            // Another process may have been quicker.
            if made.is_err() && !exists(&mut connection).await? {
                made?;
            }
        }
        let before = applied(&mut connection).await?;
        if let Err(error) = migrator(&ALL).run_direct(&mut connection).await {
            return Ok(Err(error.to_string()));
        }
        let after = applied(&mut connection).await?;
        let _ = connection.close().await;
        Ok::<_, sqlx::Error>(Ok(after - before))
    };
    match timeout(LIMIT, work).await {
        Ok(Ok(done)) => done,
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("it did not answer within {} s", LIMIT.as_secs())),
    }
}

async fn exists(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'drover')")
        .fetch_one(connection)
        .await
}

async fn applied(connection: &mut PgConnection) -> Result<usize, sqlx::Error> {
    let there: bool = sqlx::query_scalar("SELECT to_regclass('drover._sqlx_migrations') IS NOT NULL")
        .fetch_one(&mut *connection)
        .await?;
    if !there {
        return Ok(0);
    }
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM drover._sqlx_migrations WHERE success")
        .fetch_one(connection)
        .await?;
    Ok(usize::try_from(count).unwrap_or(0))
}

/// The month of a moment, if a calendar in use knows it.
fn month(at: Millis) -> Option<(i32, u32)> {
    let at = DateTime::<Utc>::from_timestamp_millis(at)?;
    (2000..2100).contains(&at.year()).then(|| (at.year(), at.month()))
}

/// Where a month begins and ends.
fn bounds((year, month): (i32, u32)) -> Option<(Millis, Millis)> {
    let first = NaiveDate::from_ymd_opt(year, month, 1)?;
    let next = first.checked_add_months(Months::new(1))?;
    let ms = |day: NaiveDate| Some(day.and_hms_opt(0, 0, 0)?.and_utc().timestamp_millis());
    Some((ms(first)?, ms(next)?))
}

impl Archive {
    /// Makes the partitions of these moments, and those of the months ahead.
    pub(super) async fn make_room(&self, moments: impl Iterator<Item = Millis>) {
        let now = DateTime::<Utc>::from_timestamp_millis(crate::model::now()).unwrap_or_default();
        let ahead = (0..=AHEAD).filter_map(|n| now.checked_add_months(Months::new(n)));
        let last = ahead.clone().next_back().map(|at| at.timestamp_millis());
        let wanted = moments.filter(|at| last.is_none_or(|last| *at <= last));
        for at in wanted.chain(ahead.map(|at| at.timestamp_millis())) {
            let Some(month) = month(at) else { continue };
            if !self.months.lock().await.insert(month) {
                continue;
            }
            let Some((from, to)) = bounds(month) else { continue };
            let (year, number) = month;
            let sql = format!(
                "CREATE TABLE IF NOT EXISTS drover.archive_{year}_{number:02} PARTITION OF drover.archive \
                 FOR VALUES FROM ({from}) TO ({to})"
            );
            let pool = self.database.writes();
            let made = timeout(super::LIMIT, sqlx::query(&sql).execute(&pool)).await;
            match made {
                Ok(Ok(_)) => {}
                // A connection that is cut says nothing about the month: it is tried again.
                Ok(Err(sqlx::Error::Database(error))) => {
                    tracing::debug!(year, month = number, %error, "a month of the archive has no partition of its own");
                }
                _ => {
                    self.months.lock().await.remove(&month);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_follow_each_other_without_a_gap() {
        let mut at = 946_684_800_000;
        for _ in 0..1_199 {
            let (from, to) = bounds(month(at).unwrap()).unwrap();
            assert_eq!(from, at);
            assert_eq!(month(to - 1), month(at));
            at = to;
        }
        assert_eq!(month(-1), None);
        assert_eq!(month(i64::MAX), None);
        assert_eq!(month(4_102_444_800_000), None, "2100");
    }

    #[test]
    fn every_migration_stays_in_its_own_schema() {
        for (_, name, sql) in ALL {
            let code: String = sql
                .lines()
                .filter(|line| !line.trim_start().starts_with("--"))
                .collect();
            for statement in code.split(';').map(str::trim).filter(|statement| !statement.is_empty()) {
                assert!(statement.contains("drover."), "{name}: {statement}");
            }
        }
    }
}
