//! Putting dead letters back into the queue that they came from.
//!
//! pg-boss copies a job that failed for good into the dead-letter queue and, from 12.23 on, writes beside the copy where it
//! came from. A redrive makes a job of the copy in that queue, as the library's own redrive does: with the copy's data,
//! priority and key, and the settings of the queue as they are now. It differs in two things:
//!
//! - The new job keeps the copy's id. So one statement that is sent twice makes one job, and an answer that does not come is
//!   settled by looking where the id is.
//! - A job that the queue does not take stays as it is. The library would have it fail in the dead-letter queue.
//!
//! The insertion and the removal are one statement. A copy whose original was run again meanwhile is left alone: the same
//! work would be done twice.

use super::super::shape::Shape;
use super::super::{PgBoss, names::is_uuid};
use super::answer::unconfirmed;
use crate::model::action::Effect;
use crate::model::format;
use crate::server::adapter::Trouble;
use sqlx::Row as _;
use std::collections::{HashMap, HashSet};

/// Whether the installation writes down where dead letters come from.
pub(super) fn is_known(shape: &Shape) -> bool {
    shape.has("job", "source_name") && shape.has("job", "source_id")
}

/// Why the row `j` cannot be redriven: a text, null where it can.
pub(super) fn hindered(shape: &Shape) -> String {
    let (job, queue) = (shape.job(), shape.at("queue"));
    format!(
        "case when j.source_name is null then 'It is not a dead letter: pg-boss recorded no source queue.' \
         when not exists (select from {queue} q where q.name = j.source_name) \
         then 'The queue that it came from, ' || j.source_name || ', no longer exists.' \
         else (select 'The original job has been run again since and is ' || o.state || ' in ' || o.name || \
             ': its work would be done twice.' from {job} o \
             where o.name = j.source_name and o.id = j.source_id and o.state < 'cancelled') end"
    )
}

/// The queue that the row `j` came from, and the policy of that queue.
pub(super) fn told(shape: &Shape) -> (String, String) {
    let policy = format!(
        "(select q.policy from {} q where q.name = j.source_name)",
        shape.at("queue")
    );
    ("j.source_name".into(), policy)
}

/// The parts `made` and `done` of the statement: the new jobs, and the removal of exactly the copies that became one.
pub(super) fn moved(shape: &Shape, which: &str) -> String {
    let mut columns = vec![
        ("id", "j.id"),
        ("name", "q.name"),
        ("data", "j.data"),
        ("priority", "j.priority"),
        ("retry_limit", "q.retry_limit"),
        ("retry_backoff", "q.retry_backoff"),
        ("retry_delay", "q.retry_delay"),
        ("retry_delay_max", "q.retry_delay_max"),
        ("expire_seconds", "q.expire_seconds"),
        ("start_after", "now()"),
        ("keep_until", "now() + q.retention_seconds * interval '1 s'"),
        ("deletion_seconds", "q.deletion_seconds"),
        ("policy", "q.policy"),
        ("singleton_key", "j.singleton_key"),
        ("group_id", "j.group_id"),
        ("group_tier", "j.group_tier"),
        ("heartbeat_seconds", "q.heartbeat_seconds"),
        ("dead_letter", "q.dead_letter"),
        ("source_root_id", "coalesce(j.source_root_id, j.source_id)"),
        ("trace_context", "j.trace_context"),
    ];
    columns.retain(|(column, _)| shape.has("job", column));
    let (names, values): (Vec<&str>, Vec<&str>) = columns.into_iter().unzip();
    let (job, queue) = (shape.job(), shape.at("queue"));
    // The older of two that cannot both be there is the one that is taken.
    format!(
        "made as (insert into {job} ({}) select {} from seen join {job} j on {which} join {queue} q on q.name = j.source_name \
         order by j.created_on on conflict do nothing returning id), \
         done as (delete from {job} j using made where j.name = $1 and j.id = made.id returning j.id)",
        names.join(", "),
        values.join(", "),
    )
}

impl PgBoss {
    /// Looks for jobs that are not in the dead-letter queue any more: returns the queue in which each was found, by its
    /// id. A job that is in another queue was redriven; a job that was not found has no entry.
    pub(super) async fn redriven(
        &self,
        shape: &Shape,
        from: &str,
        ids: &[&str],
    ) -> Result<HashMap<String, String>, Trouble> {
        let sql = format!(
            "select j.id::text, j.name from {} q join {} j on j.name = q.name and j.id = any($2::text[]::uuid[]) \
             where q.name <> $1",
            shape.at("queue"),
            shape.job()
        );
        let ids: Vec<&str> = ids.iter().copied().filter(|id| is_uuid(id)).collect();
        let rows = self
            .read(Some(&shape.schema), sqlx::query(&sql).bind(from).bind(ids))
            .await?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
    }

    /// The outcome for jobs whose redrive was not answered.
    pub(super) async fn settle_redrive(&self, shape: &Shape, from: &str, ids: &[&str], why: &str) -> Vec<Effect> {
        // What cannot be read is not known either.
        let moved = self.redriven(shape, from, ids).await.unwrap_or_default();
        let effect = |id: &&str| match moved.contains_key(&id.to_lowercase()) {
            true => Effect::made((*id).to_owned()),
            // It may still be under way.
            false => unconfirmed(why),
        };
        ids.iter().map(effect).collect()
    }

    /// Wakes the workers of the queues that jobs were put back into.
    pub(super) async fn wake_redriven(&self, shape: &Shape, from: &str, effects: &[Effect]) {
        if !shape.has("queue", "notify") {
            return;
        }
        let made = |effect: &Effect| match effect {
            Effect::Done { job, .. } => job.clone(),
            _ => None,
        };
        let ids: Vec<String> = effects.iter().filter_map(made).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        if ids.is_empty() {
            return;
        }
        let queues: HashSet<String> = self
            .redriven(shape, from, &ids)
            .await
            .map(|moved| moved.into_values().collect())
            .unwrap_or_default();
        for queue in queues {
            self.wake(shape, &queue).await;
        }
    }
}

/// It was done before.
pub(super) fn already(queue: &str) -> Effect {
    Effect::Already {
        now: format!("It is back in {}.", format::visible(queue)),
    }
}
