//! What a queue's settings and its newest finished jobs tell, and how many finished in each minute.

use super::super::{Kept, QueueId, Trouble};
use super::PgBoss;
use super::counts::released;
use super::names::{id_of, parts_of};
use super::schedules;
use super::shape::{Shape, Table, ms, ms_of};
use crate::model::insight::{Insight, Keep, Lost, Percentiles, Share, Times};
use crate::model::{Millis, now};
use sqlx::Row as _;
use std::time::Duration;

/// Finished jobs whose times are read, of each end state.
const SAMPLE: usize = 200;

/// Jobs whose source is read.
const LETTERS: usize = 100;

/// How long each of these reads may take.
const LIMIT: Duration = Duration::from_millis(800);

const MINUTE: Millis = 60_000;

/// Reads everything.
pub(super) async fn read(boss: &PgBoss, queue: &QueueId) -> Result<Insight, Trouble> {
    let mut insight = Insight {
        as_of: now(),
        ..Insight::default()
    };
    let Some((schema, name)) = parts_of(queue) else {
        return Ok(insight);
    };
    let Some(shape) = boss.shape(&schema).await? else {
        return Ok(insight);
    };
    insight.schedules = schedules::count(boss, std::slice::from_ref(queue))
        .await?
        .into_iter()
        .next()
        .flatten();
    (insight.times, insight.oldest_completed, insight.oldest_failed) = times(boss, &shape, &name).await?;
    let keep = keep(boss, &shape, &name).await?;
    insight.keep_completed = keep.into_iter().collect();
    insight.keep_failed = insight.keep_completed.clone();
    insight.sampled_options = u32::try_from(insight.keep_completed.len()).unwrap_or(0);
    insight.lost = lost(boss, &shape, &name).await?;
    (insight.dead_letters, insight.dead_letters_of) = dead_letters(boss, &shape, &name).await?;
    Ok(insight)
}

/// The queues into which its dead letters go and those from which it has some: by the settings of the queues, and by what
/// is written beside the first of its jobs, because an application can name another queue for a job of its own.
async fn dead_letters(boss: &PgBoss, shape: &Shape, name: &str) -> Result<(Vec<String>, Vec<String>), Trouble> {
    if !shape.has("queue", "dead_letter") {
        return Ok((Vec::new(), Vec::new()));
    }
    let sources = if shape.has("job", "source_name") {
        format!(
            "union select 'of', x.source_name from (select j.source_name from {} j \
             where j.name = $1 and j.state < 'active' limit {LETTERS}) x where x.source_name is not null",
            shape.job()
        )
    } else {
        String::new()
    };
    let sql = format!(
        "select 'to', dead_letter from {queue} where name = $1 and dead_letter is not null \
         union select 'of', name from {queue} where dead_letter = $1 {sources} order by 1, 2",
        queue = shape.at("queue")
    );
    let rows = boss.within(shape, LIMIT, sqlx::query(&sql).bind(name)).await?;
    let (mut to, mut of) = (Vec::new(), Vec::new());
    for row in rows.unwrap_or_default() {
        let list = if row.get::<&str, _>(0) == "to" {
            &mut to
        } else {
            &mut of
        };
        list.push(id_of(&shape.schema, row.get(1)).to_string());
    }
    Ok((to, of))
}

/// How long a finished job is kept, by the settings of the queue. Up to 10 that is an option of the process that
/// maintains it.
async fn keep(boss: &PgBoss, shape: &Shape, name: &str) -> Result<Option<Share>, Trouble> {
    if !shape.has("queue", "deletion_seconds") {
        return Ok(None);
    }
    let sql = format!("select deletion_seconds from {} where name = $1", shape.at("queue"));
    let rows = boss.read(Some(&shape.schema), sqlx::query(&sql).bind(name)).await?;
    let seconds = rows.first().map(|row| u64::try_from(row.get::<i32, _>(0)).unwrap_or(0));
    let keep = |seconds| match seconds {
        0 => Keep::All,
        age => Keep::Newest {
            count: None,
            age: Some(age),
        },
    };
    Ok(seconds.map(|seconds| Share {
        keep: keep(seconds),
        jobs: 1,
    }))
}

type Found = (Option<Times>, Option<Millis>, Option<Millis>);

async fn times(boss: &PgBoss, shape: &Shape, name: &str) -> Result<Found, Trouble> {
    let c = shape.columns;
    let part = |which: &str, direction: &str, limit: usize| {
        format!(
            "(select j.* from {job} j where j.name = $1 and {which} and j.{completed} is not null \
             order by j.{completed} {direction} limit {limit})",
            job = shape.job(),
            completed = c.completed_on
        )
    };
    let sql = format!(
        "select {finished}, {started}, case when j.{retry_count} = 0 then {ready} end from ({done} union all {failed}) j",
        finished = ms(c.completed_on),
        started = ms(c.started_on),
        ready = ms_of(&released(shape, "j")),
        retry_count = c.retry_count,
        done = part("j.state = 'completed'", "desc", SAMPLE),
        failed = part(shape.is_failed(), "desc", SAMPLE),
    );
    let rows = boss
        .within(shape, LIMIT, sqlx::query(&sql).bind(name))
        .await?
        .unwrap_or_default();
    let (mut wait, mut run, mut ends) = (Vec::new(), Vec::new(), Vec::new());
    for row in &rows {
        let (finished, started): (Option<Millis>, Option<Millis>) = (row.get(0), row.get(1));
        let Some((finished, started)) = finished.zip(started) else {
            continue;
        };
        ends.push(finished);
        run.push((finished - started).max(0));
        // The back-off of a later attempt moved the moment at which it was ready.
        if let Some(ready) = row.get::<Option<Millis>, _>(2) {
            wait.push((started - ready).max(0));
        }
    }
    let times = ends.iter().min().zip(ends.iter().max()).map(|(from, to)| Times {
        wait: Percentiles::of(wait),
        run: Percentiles::of(run),
        sample: u32::try_from(ends.len()).unwrap_or(u32::MAX),
        from: *from,
        to: *to,
    });
    let mut oldest = [None, None];
    for (slot, which) in oldest.iter_mut().zip(["j.state = 'completed'", shape.is_failed()]) {
        let sql = format!("select {} from {} j", ms(c.completed_on), part(which, "asc", 1));
        let rows = boss.within(shape, LIMIT, sqlx::query(&sql).bind(name)).await?;
        *slot = rows.and_then(|rows| rows.first().and_then(|row| row.get(0)));
    }
    Ok((times, oldest[0], oldest[1]))
}

/// Active jobs that pg-boss should have taken from their workers two minutes ago.
async fn lost(boss: &PgBoss, shape: &Shape, name: &str) -> Result<Option<Lost>, Trouble> {
    let started = shape.columns.started_on;
    let expires = if shape.has("job", "expire_seconds") {
        "j.expire_seconds * interval '1 s'"
    } else if shape.has("job", "expire_in") {
        "j.expire_in"
    } else {
        "j.expirein"
    };
    let beat = if shape.has("job", "heartbeat_on") {
        "or j.heartbeat_on + j.heartbeat_seconds * interval '1 s' < now() - interval '2 min'"
    } else {
        ""
    };
    let sql = format!(
        "select count(*) filter (where j.{started} + {expires} < now() - interval '2 min' {beat}), count(*) \
         from {} j where j.name = $1 and j.state = 'active'",
        shape.job()
    );
    let rows = boss
        .within(shape, LIMIT, sqlx::query(&sql).bind(name))
        .await?
        .unwrap_or_default();
    let n = |i: usize| {
        rows.first()
            .and_then(|row| u64::try_from(row.get::<i64, _>(i)).ok())
            .unwrap_or(0)
    };
    Ok((n(1) > 0).then(|| Lost {
        without_lock: n(0),
        checked: n(1),
        active: n(1),
    }))
}

/// Finished jobs by minute.
pub(super) async fn finished(
    boss: &PgBoss,
    queue: &QueueId,
    until: Millis,
    minutes: usize,
) -> Result<Vec<Kept>, Trouble> {
    let nothing = Kept {
        completed: None,
        failed: 0,
    };
    let mut kept = vec![nothing; minutes];
    let Some((schema, name)) = parts_of(queue) else {
        return Ok(kept);
    };
    let Some(shape) = boss.shape(&schema).await? else {
        return Ok(kept);
    };
    let from = until - Millis::try_from(minutes).unwrap_or(0) * MINUTE;
    let c = shape.columns;
    let part = |table: Table, more: &str| {
        format!(
            "select j.state, j.{completed} from {table} j where j.name = $1 and j.state > 'active' \
             and j.{completed} >= to_timestamp($2 / 1000.0) and j.{completed} < to_timestamp($3 / 1000.0) {more}",
            completed = c.completed_on,
            table = table.at(&shape),
        )
    };
    let mut parts = vec![part(Table::Jobs, "")];
    if shape.has_archive() {
        // What has been put away since was put away after it finished; that moment is in an index.
        parts.push(part(
            Table::Archive,
            &format!("and j.{} >= to_timestamp($2 / 1000.0)", c.archived_on),
        ));
    }
    let sql = format!(
        "select floor(({at} - $2) / {MINUTE})::int8, count(*) filter (where j.state = 'completed'), \
         count(*) filter (where {failed}) from ({parts}) j group by 1",
        at = ms(c.completed_on),
        failed = shape.is_failed(),
        parts = parts.join(" union all "),
    );
    let query = sqlx::query(&sql).bind(&name).bind(from).bind(until);
    let Some(rows) = boss.within(&shape, LIMIT, query).await? else {
        return Ok(kept);
    };
    let since = complete_since(boss, &shape, &name).await?;
    for (i, minute) in kept.iter_mut().enumerate() {
        let begins = from + Millis::try_from(i).unwrap_or(0) * MINUTE;
        minute.completed = since.filter(|since| begins >= *since).map(|_| 0);
    }
    let small = |n: i64| u32::try_from(n).unwrap_or(u32::MAX);
    for row in rows {
        let minute = usize::try_from(row.get::<i64, _>(0)).ok().and_then(|i| kept.get_mut(i));
        if let Some(minute) = minute {
            minute.completed = minute.completed.map(|_| small(row.get(1)));
            minute.failed = small(row.get(2));
        }
    }
    Ok(kept)
}

/// Since when completed jobs are all kept; `None` where that is not known: up to 10 they are removed from the library's
/// archive after a time that only the library knows, the oldest first.
async fn complete_since(boss: &PgBoss, shape: &Shape, name: &str) -> Result<Option<Millis>, Trouble> {
    if shape.has_archive() {
        let archived_on = shape.columns.archived_on;
        let sql = format!(
            "select {} from {} j order by j.{archived_on} limit 1",
            ms(archived_on),
            Table::Archive.at(shape)
        );
        let rows = boss.read(Some(&shape.schema), sqlx::query(&sql)).await?;
        return Ok(rows.first().map(|row| row.get(0)));
    }
    Ok(keep(boss, shape, name).await?.map(|share| match share.keep {
        Keep::Newest { age: Some(seconds), .. } => {
            now() - Millis::try_from(seconds).unwrap_or(Millis::MAX / 2000) * 1000
        }
        _ => 0,
    }))
}
