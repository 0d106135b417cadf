//! Jobs that wait longer than they are kept, and go unrun.
//!
//! Each queued job carries the moment until which it is kept: 14 days after it may run, unless its queue or its sender says
//! otherwise. From then on the library's upkeep deletes it; up to 10 it moves it into the library's archive.
//!
//! No index knows that moment. A read takes the first [`LOOKED_AT`] jobs of a queue by the moment from which they may
//! run, which an index has (of 12.30 to 12.37 only the order in which jobs are taken): where all jobs of a queue are
//! kept for the same time, as is usual, the first of all is among them. One that its sender has kept for less may be
//! missed.

use super::super::{QueueId, Trouble};
use super::PgBoss;
use super::counts::LIVE_LIMIT;
use super::discover::{by_schema, chunk};
use super::names::parts_of;
use super::shape::{Shape, Table, ms};
use crate::model::queue::Expiry;
use crate::model::state::JobState;
use crate::model::{Millis, format, now};
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

/// Jobs of a queue that one read takes.
const LOOKED_AT: usize = 200;

/// Jobs seen waiting that are remembered.
const REMEMBERED: usize = 1_000;

/// When the first job of each queue goes, in their order.
pub(super) async fn read(boss: &PgBoss, queues: &[QueueId]) -> Result<Vec<Option<Expiry>>, Trouble> {
    let mut found: HashMap<(String, String), Expiry> = HashMap::new();
    for (schema, names) in by_schema(queues) {
        let Some(shape) = boss.shape(&schema).await? else {
            continue;
        };
        let sql = sql(&shape);
        for names in names.chunks(chunk(&shape)) {
            let rows = boss.within(&shape, LIVE_LIMIT, sqlx::query(&sql).bind(names)).await?;
            for row in rows.unwrap_or_default() {
                let expiry = Expiry {
                    at: row.get(1),
                    ready: row.get(2),
                    deed: deed(&shape),
                };
                found.insert((schema.clone(), row.get(0)), expiry);
            }
        }
    }
    let of = |id: &QueueId| parts_of(id).and_then(|key| found.get(&key).copied());
    Ok(queues.iter().map(of).collect())
}

fn sql(shape: &Shape) -> String {
    let c = shape.columns;
    let part = |which: &str, order: &str| {
        format!(
            "(select j.{kept}, j.{created}, j.{start} from {job} j where j.name = n and {which} order by {order} limit {LOOKED_AT})",
            kept = c.keep_until,
            created = c.created_on,
            start = c.start_after,
            job = shape.job(),
        )
    };
    let due = format!("j.{}", c.start_after);
    let parts = if shape.indexes.live {
        // As the index has it: each of the states, and those that wait for others apart.
        let mut parts = Vec::new();
        for state in ["created", "retry"] {
            for blocked in ["j.blocked", "not j.blocked"] {
                parts.push(part(&format!("j.state = '{state}' and {blocked}"), &due));
            }
        }
        parts.join(" union all ")
    } else if shape.indexes.due {
        part("j.state < 'active'", &due)
    } else {
        let order = format!("j.priority desc, j.{}", c.created_on);
        part(&format!("j.state < 'active' and not {}", shape.blocked()), &order)
    };
    format!(
        "select n, {at}, floor(extract(epoch from greatest(j.{created}, j.{start})) * 1000)::int8 \
         from unnest($1::text[]) n cross join lateral (select * from ({parts}) j order by j.{kept} limit 1) j",
        at = ms(c.keep_until),
        created = c.created_on,
        start = c.start_after,
        kept = c.keep_until,
    )
}

/// What is done to a job that was not begun in time.
fn deed(shape: &Shape) -> &'static str {
    if shape.has_table("archive") {
        "pg-boss archives"
    } else {
        "pg-boss deletes"
    }
}

/// What stands beside the state of a job: until when it is kept, or since when it has been put away.
pub(super) fn note(shape: &Shape, found: &PgRow, table: Table) -> Option<String> {
    let queued = is_queued(found);
    match table {
        Table::Archive => {
            let since = format::moment(found.get::<Option<Millis>, _>("put_away_on")?);
            Some(if queued {
                format!(
                    "in pg-boss's archive since {since}: retention removed it before it ran, because it did not start \
                     in time"
                )
            } else {
                format!("in pg-boss's archive since {since}")
            })
        }
        Table::Jobs if queued => {
            let until: Millis = found.get("kept_until");
            let (deed, moment) = (deed(shape), format::moment(until));
            Some(if until > now() {
                format!("kept until {moment}: {deed} it then if it has not started")
            } else {
                format!("kept until {moment}, which has passed: {deed} it at its next maintenance")
            })
        }
        Table::Jobs => None,
    }
}

/// Whether a job waits, for its turn, its time or others.
pub(super) fn is_queued(found: &PgRow) -> bool {
    let state = found.get::<String, _>("board").parse();
    matches!(
        state,
        Ok(JobState::Waiting | JobState::Delayed | JobState::WaitingChildren)
    )
}

/// A job that was seen waiting.
#[derive(Debug)]
struct Seen {
    queue: QueueId,
    id: String,
    kept_until: Millis,
    at: Millis,
}

/// The jobs that were last seen waiting, which explain why one of them is missing later.
#[derive(Debug, Default)]
pub(super) struct Waiting(Mutex<VecDeque<Seen>>);

impl Waiting {
    /// A job was seen, waiting or not.
    pub(super) fn note(&self, queue: &QueueId, id: &str, kept_until: Option<Millis>) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.retain(|seen| seen.queue != *queue || seen.id != id);
        seen.extend(kept_until.map(|kept_until| Seen {
            queue: queue.clone(),
            id: id.to_owned(),
            kept_until,
            at: now(),
        }));
        while seen.len() > REMEMBERED {
            seen.pop_front();
        }
    }

    /// Why a job is missing, as far as that is known: text that follows a colon.
    pub(super) fn fate(&self, queue: &QueueId, id: &str) -> String {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let one = seen.iter().find(|seen| seen.queue == *queue && seen.id == id);
        match one.filter(|seen| seen.kept_until <= now()) {
            Some(seen) => format!(
                "it was waiting when Drover last read it ({}) and was kept until {}. Deleted by retention before it \
                 ran, unless it started or was removed in between.",
                format::moment(seen.at),
                format::moment(seen.kept_until)
            ),
            None => {
                "it was removed, or pg-boss deleted it, after it finished or because it did not start in time.".into()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_became_of_a_job_is_told_where_it_was_seen_waiting_and_left_open_elsewhere() {
        let (waiting, queue) = (Waiting::default(), QueueId::from("q"));
        waiting.note(&queue, "late", Some(now() - 1));
        waiting.note(&queue, "kept", Some(now() + 60_000));
        waiting.note(&queue, "ran", Some(now() - 1));
        waiting.note(&queue, "ran", None);
        assert!(
            waiting
                .fate(&queue, "late")
                .contains("Deleted by retention before it ran")
        );
        for id in ["kept", "ran", "never seen"] {
            let fate = waiting.fate(&queue, id);
            assert!(fate.contains("after it finished or because"), "{id}: {fate}");
        }
        for n in 0..2 * REMEMBERED {
            waiting.note(&queue, &n.to_string(), Some(0));
        }
        assert_eq!(waiting.0.lock().unwrap().len(), REMEMBERED);
    }
}
