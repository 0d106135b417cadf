//! A job with its relatives: the jobs that it waits for, and those that wait for it.
//!
//! pg-boss calls the job that waits a child and those that it waits for its parents; on the board it is the other way
//! round, as everywhere else: what a job waits for is below it. Several may wait for one job; the way up goes by the first
//! of them and says how many more there are.

use super::super::{FlowQuery, QueueId, ReadError, Trouble};
use super::PgBoss;
use super::names::{id_of, is_uuid, parts_of};
use super::row::{job_row, row_columns};
use super::shape::{Shape, Table, ms};
use crate::model::flow::{Branch, ChildKind, Flow, FlowNode};
use crate::model::job::Children;
use crate::model::now;
use crate::model::queue::Stuck;
use crate::model::state::JobState;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use std::time::Duration;

/// How many levels up to look.
const ANCESTORS: usize = 20;

/// The rows of `d`, of the job `me` with what it waits for, `j`.
fn below(shape: &Shape) -> String {
    format!(
        "{d} d join {job} me on me.name = d.child_name and me.id = d.child_id \
         left join {job} j on j.name = d.parent_name and j.id = d.parent_id \
         where d.child_name = $1 and d.child_id = $2::uuid",
        d = shape.at("job_dependency"),
        job = shape.job()
    )
}

/// The condition for `j` to be a child of this kind. A job that is gone had completed if no job waits for it any more.
const fn is(kind: ChildKind) -> &'static str {
    match kind {
        ChildKind::Pending => "(j.state < 'completed' or (j.id is null and me.blocked))",
        ChildKind::Completed => "(j.state = 'completed' or (j.id is null and not me.blocked))",
        ChildKind::Failed => "(j.state > 'completed')",
        // Nothing lets a job go on although one that it waits for has failed.
        ChildKind::Ignored => "false",
    }
}

/// How many jobs it waits for, by their outcome.
pub(super) async fn children(
    boss: &PgBoss,
    shape: &Shape,
    name: &str,
    id: &str,
) -> Result<Option<Children>, ReadError> {
    let count = |kind| format!("count(*) filter (where {})", is(kind));
    let sql = format!("select {} from {}", ChildKind::ALL.map(count).join(", "), below(shape));
    let rows = boss
        .read(Some(&shape.schema), sqlx::query(&sql).bind(name).bind(id))
        .await?;
    let n = |i: usize| {
        rows.first()
            .and_then(|row| u64::try_from(row.get::<i64, _>(i)).ok())
            .unwrap_or(0)
    };
    let children = Children {
        pending: n(0),
        failed: n(1),
        ignored: n(2),
        completed: n(3),
    };
    Ok((children.total() > 0).then_some(children))
}

/// The first of the jobs that wait for this one, as `name/id`, and how many there are.
pub(super) async fn waits(
    boss: &PgBoss,
    shape: &Shape,
    name: &str,
    id: &str,
) -> Result<Option<(String, String, u64)>, ReadError> {
    let sql = format!(
        "select child_name, child_id::text, count(*) over () from {} where parent_name = $1 and parent_id = $2::uuid \
         order by 1, 2 limit 1",
        shape.at("job_dependency")
    );
    let rows = boss
        .read(Some(&shape.schema), sqlx::query(&sql).bind(name).bind(id))
        .await?;
    Ok(rows
        .first()
        .map(|row| (row.get(0), row.get(1), u64::try_from(row.get::<i64, _>(2)).unwrap_or(1))))
}

/// Parents of a queue that one look reads.
const PARENTS: usize = 100;

/// How long looking at them may take.
const LIMIT: Duration = Duration::from_millis(300);

/// Looks for jobs that can never run, because one that they wait for has failed, was cancelled, or is gone; `None` where
/// that takes too long.
pub(super) async fn stuck(boss: &PgBoss, queue: &QueueId) -> Result<Option<Stuck>, Trouble> {
    let Some((schema, name)) = parts_of(queue) else {
        return Ok(None);
    };
    let Some(shape) = boss.shape(&schema).await?.filter(|shape| shape.has_flows()) else {
        return Ok(None);
    };
    // The library is about to release the jobs that wait for one that is marked as blocking.
    let sql = format!(
        "select count(*), count(*) filter (where held), min(at) filter (where held) from \
         (select {at} as at, (select coalesce(bool_or(p.state > 'completed'), false) \
              or not coalesce(bool_or(p.state < 'completed' or (p.state = 'completed' and p.blocking)), false) \
              from {dependency} d left join {job} p on p.name = d.parent_name and p.id = d.parent_id \
              where d.child_name = j.name and d.child_id = j.id) as held \
          from {job} j where j.name = $1 and j.state < 'active' and j.blocked \
          order by j.{created_on} limit {PARENTS}) x",
        at = ms(shape.columns.created_on),
        created_on = shape.columns.created_on,
        dependency = shape.at("job_dependency"),
        job = shape.job(),
    );
    let rows = boss.within(&shape, LIMIT, sqlx::query(&sql).bind(&name)).await?;
    let count = |row: &PgRow, i: usize| u64::try_from(row.get::<i64, _>(i)).unwrap_or(0);
    Ok(rows.as_ref().and_then(|rows| rows.first()).map(|row| Stuck {
        parents: count(row, 1),
        looked_at: count(row, 0),
        oldest: row.get(2),
    }))
}

/// Reads a flow; `None` if there is no such job, or nothing waits here.
pub(super) async fn read(boss: &PgBoss, query: &FlowQuery, known: &[QueueId]) -> Result<Option<Flow>, ReadError> {
    let Some((schema, name)) = parts_of(&query.queue).filter(|_| is_uuid(&query.job)) else {
        return Ok(None);
    };
    let Some(shape) = boss.shape(&schema).await?.filter(|shape| shape.has_flows()) else {
        return Ok(None);
    };
    let own = one(boss, &shape, &name, &query.job, known).await?;
    if own.removed {
        return Ok(None);
    }
    let mut flow = Flow {
        ancestors: Vec::new(),
        ancestors_note: None,
        job: own,
        branches: Vec::new(),
        as_of: now(),
    };
    let Some(children) = children(boss, &shape, &name, &query.job).await? else {
        if query.whole {
            climb(boss, &shape, &name, &query.job, known, &mut flow).await?;
        }
        return Ok(Some(flow));
    };
    flow.job.children = Some(children);
    if query.whole {
        climb(boss, &shape, &name, &query.job, known, &mut flow).await?;
    }
    for kind in ChildKind::ALL {
        let asked = query.branch.as_ref().filter(|(asked, _)| *asked == kind);
        let total = kind.of(&children);
        if total == 0 || (!query.whole && asked.is_none()) {
            continue;
        }
        let from = asked.and_then(|(_, from)| from.clone());
        flow.branches
            .push(branch(boss, &shape, &name, query, (kind, total, from), known).await?);
    }
    Ok(Some(flow))
}

async fn branch(
    boss: &PgBoss,
    shape: &Shape,
    name: &str,
    query: &FlowQuery,
    (kind, total, from): (ChildKind, u64, Option<String>),
    known: &[QueueId],
) -> Result<Branch, ReadError> {
    // A cursor is the id and the queue of the last one shown.
    let after = match from.as_deref() {
        None => None,
        Some(text) if text.is_char_boundary(36) && text.len() > 36 && is_uuid(&text[..36]) => Some(text.split_at(36)),
        Some(_) => return Err(ReadError::BadCursor),
    };
    let beyond = if after.is_some() {
        "and (d.parent_id, d.parent_name) > ($4::uuid, $5)"
    } else {
        ""
    };
    let sql = format!(
        "select d.parent_name as of_queue, d.parent_id::text as of_job, j.id is not null as there, {} from {} and {} {beyond} \
         order by d.parent_id, d.parent_name limit $3",
        row_columns(shape, shape.columns.created_on),
        below(shape),
        is(kind)
    );
    let limit = i64::try_from(query.limit + 1).unwrap_or(i64::MAX);
    let statement = sqlx::query(&sql).bind(name).bind(&query.job).bind(limit);
    let statement = match after {
        Some((id, name)) => statement.bind(id).bind(name),
        None => statement,
    };
    let rows = boss.read(Some(&shape.schema), statement).await?;
    let mut nodes: Vec<FlowNode> = rows.iter().map(|row| node(boss, shape, row, known)).collect();
    let more = nodes.len() > query.limit;
    nodes.truncate(query.limit);
    let last = rows.get(query.limit.saturating_sub(1)).filter(|_| more);
    let next = last.map(|row| format!("{}{}", row.get::<String, _>("of_job"), row.get::<String, _>("of_queue")));
    Ok(Branch {
        kind,
        total,
        nodes,
        from,
        next,
    })
}

/// The way up, the root first.
async fn climb(
    boss: &PgBoss,
    shape: &Shape,
    name: &str,
    id: &str,
    known: &[QueueId],
    flow: &mut Flow,
) -> Result<(), ReadError> {
    let mut at = (name.to_owned(), id.to_owned());
    while let Some((name, id, n)) = waits(boss, shape, &at.0, &at.1).await? {
        if flow.ancestors.len() >= ANCESTORS {
            flow.ancestors_note = Some(format!("There are more ancestors than the {ANCESTORS} shown."));
            break;
        }
        if n > 1 && flow.ancestors_note.is_none() {
            let who = if flow.ancestors.is_empty() {
                "it"
            } else {
                "one of these"
            };
            flow.ancestors_note = Some(format!("{n} jobs wait for {who}; only the first is followed upwards."));
        }
        flow.ancestors.push(one(boss, shape, &name, &id, known).await?);
        at = (name, id);
    }
    flow.ancestors.reverse();
    Ok(())
}

async fn one(boss: &PgBoss, shape: &Shape, name: &str, id: &str, known: &[QueueId]) -> Result<FlowNode, ReadError> {
    let sql = format!(
        "select $1::text as of_queue, $2::text as of_job, true as there, {} from {} j \
         where j.name = $1 and j.id = $2::text::uuid",
        row_columns(shape, shape.columns.created_on),
        shape.job()
    );
    let rows = boss
        .read(Some(&shape.schema), sqlx::query(&sql).bind(name).bind(id))
        .await?;
    let gone = || FlowNode {
        removed: true,
        ..blank(shape, name, id, known)
    };
    Ok(rows.first().map_or_else(gone, |row| node(boss, shape, row, known)))
}

fn node(boss: &PgBoss, shape: &Shape, row: &PgRow, known: &[QueueId]) -> FlowNode {
    let (name, id): (String, String) = (row.get("of_queue"), row.get("of_job"));
    let blank = blank(shape, &name, &id, known);
    if !row.get::<bool, _>("there") {
        return FlowNode { removed: true, ..blank };
    }
    let job = job_row(row, &name, &boss.mask(shape, &name), Table::Jobs);
    FlowNode {
        state: Some(job.state),
        error: job.error.filter(|_| job.state == JobState::Failed),
        created: job.created,
        finished: job.finished,
        ..blank
    }
}

fn blank(shape: &Shape, name: &str, id: &str, known: &[QueueId]) -> FlowNode {
    let queue = id_of(&shape.schema, name);
    FlowNode {
        known: known.contains(&queue),
        queue: Some(queue.to_string()),
        id: Some(id.to_owned()),
        name: Some(name.to_owned()),
        ..FlowNode::of_key(format!("{name}/{id}"))
    }
}
