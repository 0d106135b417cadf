//! Repository: which replica's turn each policy is, and what its runs did, for all replicas.
//!
//! A replica runs a policy while it holds its [lease](super::lease). Every moment is by the clock of the Postgres, so that
//! replicas whose clocks differ agree on what is due. What a run does is not known here.

use super::lease::{Lease, Leased};
use super::postgres::SharedPostgres;
use crate::model::Millis;
use crate::model::policy::{Policy, PolicyRun};
use crate::server::adapter::Trouble;
use sqlx::Row as _;
use sqlx::postgres::PgRow;

/// Runs that are kept of each policy.
const KEPT: i64 = 1_000;

/// Its lease is taken for a moment of the timetable that no replica has begun, or for none.
const POLICY: Leased = Leased {
    table: "drover.policy",
    key: "policy",
    also: (
        ", last_due = coalesce($4, last_due)",
        "AND ($4::bigint IS NULL OR greatest(since, last_due) < $4)",
    ),
};

/// The clock that counts, in milliseconds.
const NOW: &str = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint";

/// What is known of a policy's turns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// The clock of the server.
    pub now: Millis,
    /// Moments of the timetable up to this one were begun, or were before the policy was known.
    pub begun: Millis,
    /// Whether a replica holds its lease.
    pub held: bool,
    /// Whether a replica held it, and did not give it back.
    pub expired: bool,
    /// Jobs that all its runs archived, and their bytes.
    pub freed: (u64, u64),
}

/// Numbers of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    /// Jobs that were selected.
    pub selected: u64,
    /// Jobs that are archived.
    pub archived: u64,
    /// Jobs that had changed or gone.
    pub changed: u64,
    /// Jobs that were refused, or of which nothing is known.
    pub failed: u64,
    /// Bytes of those that left their queues.
    pub bytes: u64,
}

fn big(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn number(row: &PgRow, name: &str) -> Result<u64, sqlx::Error> {
    Ok(u64::try_from(row.try_get::<i64, _>(name)?).unwrap_or(0))
}

fn run_of(row: &PgRow) -> Result<PolicyRun, sqlx::Error> {
    Ok(PolicyRun {
        id: row.try_get("id")?,
        due: row.try_get("due")?,
        started: row.try_get("started")?,
        ended: row.try_get("ended")?,
        outcome: row.try_get("outcome")?,
        operation: row.try_get("operation")?,
        here: false,
        selected: number(row, "selected")?,
        archived: number(row, "archived")?,
        changed: number(row, "changed")?,
        failed: number(row, "failed")?,
        bytes: number(row, "bytes")?,
        note: row.try_get("note")?,
    })
}

impl SharedPostgres {
    /// Makes a policy known: what was due before it was known, or by another timetable, is not made up.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub async fn enroll(&self, policy: &Policy) -> Result<(), Trouble> {
        self.ready()?;
        let sql = format!(
            "INSERT INTO drover.policy AS known (policy, timetable, since) VALUES ($1, $2, {NOW}) \
             ON CONFLICT (policy) DO UPDATE SET timetable = excluded.timetable, since = excluded.since \
             WHERE known.timetable <> excluded.timetable"
        );
        let query = sqlx::query(&sql).bind(&policy.id).bind(policy.every.to_string());
        let pool = self.database().writes();
        self.database().run(query.execute(&pool)).await?;
        Ok(())
    }

    /// What is known of a policy's turns; `None` before it was enrolled.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub async fn turn(&self, policy: &str) -> Result<Option<Turn>, Trouble> {
        self.ready()?;
        let sql = format!(
            "SELECT {NOW} AS now, greatest(since, last_due) AS begun, owner IS NOT NULL AND expires_at > clock_timestamp() AS held, \
             owner IS NOT NULL AND expires_at <= clock_timestamp() AS expired, freed_jobs, freed_bytes FROM drover.policy WHERE policy = $1"
        );
        let pool = self.database().reads();
        let found = self
            .database()
            .run(sqlx::query(&sql).bind(policy).fetch_optional(&pool))
            .await?;
        let turn = |row: &PgRow| {
            Ok::<_, sqlx::Error>(Turn {
                now: row.try_get("now")?,
                begun: row.try_get("begun")?,
                held: row.try_get("held")?,
                expired: row.try_get("expired")?,
                freed: (number(row, "freed_jobs")?, number(row, "freed_bytes")?),
            })
        };
        let turn = found.as_ref().map(turn).transpose();
        turn.map_err(|error| self.database().trouble(&error))
    }

    /// Takes the lease of a policy, for a moment of its timetable that no replica has begun, or for none. Of all
    /// replicas that try, one gets it.
    ///
    /// # Errors
    ///
    /// When it does not answer: [`SharedPostgres::turn`] tells whether it is held.
    pub async fn claim(&self, policy: &str, owner: &str, due: Option<Millis>) -> Result<Option<Lease>, Trouble> {
        self.ready()?;
        self.take(POLICY, policy, owner, due).await
    }

    /// Renews the lease of a policy; returns whether this owner still held it.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub async fn renew_policy(&self, policy: &str, lease: &Lease) -> Result<bool, Trouble> {
        self.renew(POLICY, policy, lease, false).await
    }

    /// Gives the lease of a policy back.
    ///
    /// # Errors
    ///
    /// When it does not answer: then it expires.
    pub async fn release_policy(&self, policy: &str, lease: &Lease) -> Result<bool, Trouble> {
        self.renew(POLICY, policy, lease, true).await
    }

    async fn changed(
        &self,
        query: sqlx::query::Query<'_, sqlx::Postgres, sqlx::postgres::PgArguments>,
    ) -> Result<bool, Trouble> {
        let pool = self.database().writes();
        let done = self.database().run(query.execute(&pool)).await?;
        Ok(done.rows_affected() == 1)
    }

    /// Writes down that a run begins; returns its id. Closes the policy's open runs, which an owner that is gone has
    /// left.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub async fn begin_run(&self, policy: &str, owner: &str, due: Option<Millis>) -> Result<i64, Trouble> {
        let pool = self.database().writes();
        let left = sqlx::query(
            "WITH open AS (UPDATE drover.policy_run SET ended_at = now(), outcome = 'failed', \
             note = 'The Drover process that ran it stopped halfway. The next run takes over the rest.' \
             WHERE policy = $1 AND ended_at IS NULL RETURNING archived, bytes) \
             UPDATE drover.policy SET freed_jobs = freed_jobs + (SELECT coalesce(sum(archived), 0)::bigint FROM open), \
             freed_bytes = freed_bytes + (SELECT coalesce(sum(bytes), 0)::bigint FROM open) WHERE policy = $1",
        );
        self.database().run(left.bind(policy).execute(&pool)).await?;
        let old = sqlx::query(
            "DELETE FROM drover.policy_run WHERE policy = $1 AND id <= \
             (SELECT id FROM drover.policy_run WHERE policy = $1 ORDER BY id DESC OFFSET $2 LIMIT 1)",
        );
        self.database().run(old.bind(policy).bind(KEPT).execute(&pool)).await?;
        let sql = "INSERT INTO drover.policy_run (policy, owner, due) VALUES ($1, $2, $3) RETURNING id";
        let query = sqlx::query_scalar(sql).bind(policy).bind(owner).bind(due);
        self.database().run(query.fetch_one(&pool)).await
    }

    /// Writes down how far a run is.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub async fn note_run(&self, run: i64, operation: Option<&str>, n: &Numbers) -> Result<bool, Trouble> {
        let sql = "UPDATE drover.policy_run SET operation = $2, selected = $3, archived = $4, changed = $5, failed = $6, bytes = $7 \
                   WHERE id = $1 AND ended_at IS NULL";
        let query = sqlx::query(sql)
            .bind(run)
            .bind(operation)
            .bind(big(n.selected))
            .bind(big(n.archived));
        self.changed(query.bind(big(n.changed)).bind(big(n.failed)).bind(big(n.bytes)))
            .await
    }

    /// Writes down how a run ended, and adds what it did to the sums of its policy.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub async fn end_run(&self, run: i64, outcome: &str, note: &str) -> Result<bool, Trouble> {
        let sql = "WITH ended AS (UPDATE drover.policy_run SET ended_at = now(), outcome = $2, note = $3 \
                   WHERE id = $1 AND ended_at IS NULL RETURNING policy, archived, bytes) \
                   UPDATE drover.policy SET freed_jobs = freed_jobs + archived, freed_bytes = freed_bytes + bytes \
                   FROM ended WHERE drover.policy.policy = ended.policy";
        self.changed(sqlx::query(sql).bind(run).bind(outcome).bind(note)).await
    }

    /// The last runs of a policy, the newest first.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub async fn runs(&self, policy: &str, limit: i64) -> Result<Vec<PolicyRun>, Trouble> {
        self.ready()?;
        let sql = "SELECT id, due, (extract(epoch FROM started_at) * 1000)::bigint AS started, \
                   (extract(epoch FROM ended_at) * 1000)::bigint AS ended, outcome, operation, selected, archived, changed, failed, \
                   bytes, note FROM drover.policy_run WHERE policy = $1 ORDER BY id DESC LIMIT $2";
        let pool = self.database().reads();
        let rows = self
            .database()
            .run(sqlx::query(sql).bind(policy).bind(limit).fetch_all(&pool))
            .await?;
        let runs = rows.iter().map(run_of).collect::<Result<Vec<_>, _>>();
        runs.map_err(|error| self.database().trouble(&error))
    }
}
