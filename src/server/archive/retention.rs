//! How long archived jobs are kept: indefinitely, unless the configuration has a rule for their queue.
//!
//! A rule counts from the moment a job was archived, never from its finish: what was archived late is not removed at
//! once. Of several rules that a queue fits the first counts. Rows go a bounded number at a time, each step one short
//! transaction that waits for no row lock; several replicas may do it at once and skip each other's rows.

use super::Archive;
use super::scope::like;
use crate::model::format;
use crate::server::adapter::Trouble;
use sqlx::{Postgres, QueryBuilder};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::sleep;

/// Rows that one step removes at most.
const STEP_ROWS: i64 = 2_000;

/// The rest after each step.
const STEP_REST: Duration = Duration::from_millis(200);

/// How soon after the start the first removal begins.
const LOOK_FIRST: Duration = Duration::from_secs(5);

/// How often.
const LOOK_EVERY: Duration = Duration::from_secs(3_600);

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keep {
    /// A glob over `store/queue id`, a queue's id or its name.
    pub queues: String,
    /// For how long, in milliseconds from the moment it was archived.
    pub span: u64,
    /// The same as it was written, such as `90d`.
    pub written: String,
}

/// What was removed by each rule since this process began.
#[derive(Debug, Default)]
pub struct Removed(Mutex<Vec<u64>>);

impl Removed {
    fn add(&self, rule: usize, rows: u64) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() <= rule {
            all.resize(rule + 1, 0);
        }
        all[rule] += rows;
    }

    /// By a rule.
    #[must_use]
    pub fn by(&self, rule: usize) -> u64 {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(rule).copied().unwrap_or(0)
    }
}

/// Whether a row's queue fits a glob, in the words of `filter::JobFilter`: whole, without its store, without its prefix.
fn fits(query: &mut QueryBuilder<'_, Postgres>, rule: &Keep) {
    let like = like(&rule.queues);
    query.push("(store || '/' || queue LIKE ").push_bind(like.clone());
    query.push(" OR queue LIKE ").push_bind(like.clone());
    query
        .push(" OR substr(queue, strpos(queue, ':') + 1) LIKE ")
        .push_bind(like)
        .push(")");
}

impl Archive {
    /// Removes what may go, again and again; ends at once where everything is kept.
    pub async fn retain(&self) {
        sleep(LOOK_FIRST).await;
        loop {
            for rule in 0..self.settings.keep.len() {
                match self.retain_by(rule).await {
                    Ok(0) => {}
                    Ok(rows) => {
                        let kept = &self.settings.keep[rule];
                        tracing::info!(
                            queues = kept.queues,
                            kept_for = kept.written,
                            rows,
                            "old rows of the archive were removed"
                        );
                    }
                    Err(trouble) => {
                        tracing::warn!("old rows of the archive stay for now: {trouble}");
                        break;
                    }
                }
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Removes the rows that a rule no longer keeps; returns how many.
    async fn retain_by(&self, rule: usize) -> Result<u64, Trouble> {
        let mut all = 0;
        loop {
            self.ready()?;
            let rows = self.retain_step(rule).await?;
            self.removed.add(rule, rows);
            all += rows;
            if rows == 0 {
                return Ok(all);
            }
            sleep(STEP_REST).await;
        }
    }

    async fn retain_step(&self, rule: usize) -> Result<u64, Trouble> {
        let kept = &self.settings.keep[rule];
        let span = i64::try_from(kept.span).unwrap_or(i64::MAX);
        // No job is archived before it has finished, but for clocks that differ: the index finds the old ones.
        let mut query = QueryBuilder::new(
            "WITH old AS (SELECT finished_on, id FROM drover.archive WHERE finished_on < \
             (extract(epoch FROM now()) * 1000)::bigint - ",
        );
        query.push_bind(span);
        query.push("::bigint AND archived_at < now() - ").push_bind(span);
        query.push("::bigint * interval '1 millisecond' AND ");
        fits(&mut query, kept);
        for earlier in &self.settings.keep[..rule] {
            query.push(" AND NOT ");
            fits(&mut query, earlier);
        }
        query.push(" ORDER BY finished_on, id LIMIT ").push_bind(STEP_ROWS);
        query.push(
            " FOR UPDATE SKIP LOCKED), \
             gone AS (DELETE FROM drover.archive a USING old WHERE a.finished_on = old.finished_on AND a.id = old.id \
                 RETURNING a.finished_on, a.id), \
             back AS (DELETE FROM drover.restore r USING gone WHERE r.finished_on = gone.finished_on AND r.id = gone.id) \
             SELECT count(*) FROM gone",
        );
        let pool = self.database.writes();
        let rows: i64 = self.database.run(query.build_query_scalar().fetch_one(&pool)).await?;
        Ok(u64::try_from(rows).unwrap_or(0))
    }

    /// The rules, each as a sentence with what it removed.
    #[must_use]
    pub fn retention(&self) -> Vec<String> {
        let rule = |(i, kept): (usize, &super::Keep)| {
            let removed = match self.removed.by(i) {
                0 => "nothing removed since Drover started".to_owned(),
                rows => format!("{} removed since Drover started", format::count(rows)),
            };
            format!(
                "Jobs of {} for {} after they were archived: {removed}.",
                kept.queues, kept.written
            )
        };
        self.settings.keep.iter().enumerate().map(rule).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glob_is_a_pattern_in_which_everything_else_stands_for_itself() {
        assert_eq!(like("redis/bull:mail_*?"), "redis/bull:mail\\_%_");
    }
}
