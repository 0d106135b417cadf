//! Pages of jobs of one state, by key: page 10,000 costs what page 1 costs, and never a payload.
//!
//! | state | order | index (12.38) |
//! |---|---|---|
//! | waiting | that of the library's fetch: priority, the highest first, then creation | `(name, priority desc, created_on, …)` |
//! | delayed | due first | `(name, state, blocked, start_after)` |
//! | active | begun first | the same, few rows |
//! | waiting for children | created first | the same |
//! | completed, failed, cancelled | finished last first | `(name, completed_on)` |
//!
//! A finished state of which there is little among much is looked for in windows of time that grow; when the last of
//! them takes too long, the page ends where the one before ended and its cursor goes on from there.

use super::super::{JobQuery, ReadError};
use super::PgBoss;
use super::counts;
use super::names::{is_uuid, parts_of};
use super::shape::{Shape, at_us, ms, us};
use crate::model::job::JobRow;
use crate::model::page::{JobPageRows, Order};
use crate::model::state::JobState;
use crate::model::{Millis, now};
use crate::server::redact::Mask;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use std::collections::HashSet;
use std::time::Duration;

/// The largest data, in bytes as stored, that a list looks into.
const SEARCHED_MAX: i32 = 256 * 1024;

/// Jobs whose data are read at a time to see whether what was found stands in what is shown, and the largest data.
const CONFIRMED: usize = 50;
const CONFIRMED_MAX: usize = 1024 * 1024;

/// Bytes of a result, as stored, that a row's error is taken from; of a larger one the size is told.
const OUTPUT_MAX: i32 = 8 * 1024;

/// Characters of an error shown in a row.
const ERROR_MAX: usize = 300;

/// Jobs looked at for one page of matches, and at a time.
const LOOKED_AT: u64 = 10_000;
const WINDOW: usize = 500;

/// How far back finished jobs are looked for, and for how long; then without an end.
const WINDOWS: [(Option<&str>, Duration); 3] = [
    (Some("1 day"), Duration::from_millis(1_500)),
    (Some("7 days"), Duration::from_millis(1_500)),
    (None, Duration::from_millis(2_500)),
];

/// Where a job stands in the order of its list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    /// Of waiting jobs only; 0 for others.
    pub priority: i64,
    /// Microseconds since 1970.
    pub at: i64,
    pub id: String,
}

impl Cursor {
    fn text(&self) -> String {
        format!("k{}.{}.{}", self.priority, self.at, self.id)
    }

    fn parse(text: &str) -> Result<Self, ReadError> {
        let parts = || {
            let (priority, rest) = text.strip_prefix('k')?.split_once('.')?;
            let (at, id) = rest.split_once('.')?;
            Some(Self {
                priority: priority.parse().ok()?,
                at: at.parse().ok()?,
                id: Some(id.to_owned()).filter(|id| is_uuid(id))?,
            })
        };
        parts().ok_or(ReadError::BadCursor)
    }
}

/// A row with its place.
pub(super) struct Listed {
    pub row: JobRow,
    pub cursor: Cursor,
    /// Whether its data hold what is looked for.
    pub hit: bool,
}

/// One page.
pub(super) async fn page(boss: &PgBoss, query: &JobQuery) -> Result<JobPageRows, ReadError> {
    let mut rows = Vec::new();
    let (mut cursor, mut searched) = (query.cursor.clone(), 0);
    let next = loop {
        let window = JobQuery {
            limit: if query.filter.is_some() { WINDOW } else { query.limit },
            cursor: cursor.take(),
            ..query.clone()
        };
        let (listed, next) = entries(boss, &window).await?;
        searched += listed.len() as u64;
        let room = query.limit - rows.len();
        let fits = |one: &Listed| {
            one.hit
                && query
                    .filter
                    .as_ref()
                    .is_none_or(|filter| filter.takes(&one.row, query.at))
        };
        let hits: Vec<usize> = (0..listed.len()).filter(|i| fits(&listed[*i])).take(room).collect();
        // A full page ends at its last row: the next one begins right behind it.
        let full = hits.last().filter(|_| hits.len() == room).copied();
        let behind = match full {
            Some(last) if last + 1 < listed.len() => Some(listed[last].cursor.text()),
            _ => next,
        };
        let mut listed: Vec<Option<Listed>> = listed.into_iter().map(Some).collect();
        rows.extend(
            hits.into_iter()
                .filter_map(|i| listed[i].take())
                .map(|listed| listed.row),
        );
        if query.filter.is_none() || behind.is_none() || full.is_some() || searched >= LOOKED_AT {
            break behind;
        }
        cursor = behind;
    };
    let known = counts::of_state(boss, &query.queue, query.state).await?;
    let seen = rows.len() as u64 + u64::from(next.is_some());
    Ok(JobPageRows {
        total: known.unwrap_or(0).max(if query.filter.is_none() { seen } else { 0 }),
        offset: (query.cursor.is_none() && query.filter.is_none()).then_some(0),
        searched: query.filter.is_some().then_some(searched),
        rows,
        next,
        as_of: now(),
    })
}

/// Jobs in brief, whatever the filter.
pub(super) async fn scan(boss: &PgBoss, query: &JobQuery) -> Result<(Vec<JobRow>, Option<String>), ReadError> {
    let (listed, next) = entries(boss, query).await?;
    Ok((listed.into_iter().map(|listed| listed.row).collect(), next))
}

/// The rows behind the cursor, and where to go on.
pub(super) async fn entries(boss: &PgBoss, query: &JobQuery) -> Result<(Vec<Listed>, Option<String>), ReadError> {
    let cursor = query.cursor.as_deref().map(Cursor::parse).transpose()?;
    let Some((schema, name)) = parts_of(&query.queue) else {
        return Ok((Vec::new(), None));
    };
    let Some(shape) = boss.shape(&schema).await? else {
        return Ok((Vec::new(), None));
    };
    if !shape.family.layout.states().any(|state| state == query.state) {
        return Ok((Vec::new(), None));
    }
    let wanted = Wanted {
        shape: &shape,
        state: query.state,
        order: query.order,
        after: cursor.as_ref(),
        data: query.filter.as_ref().and_then(|filter| filter.data.as_deref()),
    };
    let finished = matches!(
        query.state,
        JobState::Completed | JobState::Failed | JobState::Cancelled
    );
    if !(finished && query.order == Order::Newest && shape.indexes.finished) {
        let rows = wanted.fetch(boss, &name, query.limit, None).await?;
        return Ok(ended(rows, query.limit));
    }
    let mut best: Option<(Vec<Listed>, &str)> = None;
    for window in WINDOWS {
        match (wanted.fetch_within(boss, &name, query.limit, window).await?, window.0) {
            (Some(rows), _) if rows.len() > query.limit => return Ok(ended(rows, query.limit)),
            (Some(rows), None) => return Ok(ended(rows, query.limit)),
            (Some(rows), Some(back)) => best = Some((rows, back)),
            (None, _) => break,
        }
    }
    // The rest is too far away for one read: the next page begins where this one stopped looking.
    let (rows, back) = best.ok_or_else(|| ReadError::Corrupt("these jobs are too many to be looked through".into()))?;
    let from = cursor.as_ref().map_or_else(|| now() * 1000, |cursor| cursor.at);
    let days = if back == "1 day" { 1 } else { 7 };
    let edge = Cursor {
        priority: 0,
        at: from - days * 86_400_000_000,
        id: "ffffffff-ffff-ffff-ffff-ffffffffffff".into(),
    };
    Ok((rows, Some(edge.text())))
}

/// Cuts off the row that only says that there is more.
fn ended(mut rows: Vec<Listed>, limit: usize) -> (Vec<Listed>, Option<String>) {
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(|last| last.cursor.text());
    (rows, next)
}

/// Which list, and from where on.
pub(super) struct Wanted<'a> {
    pub shape: &'a Shape,
    pub state: JobState,
    pub order: Order,
    pub after: Option<&'a Cursor>,
    /// A part of the data, in either case.
    pub data: Option<&'a str>,
}

impl Wanted<'_> {
    /// Up to `limit` rows and one more.
    pub(super) async fn fetch(
        &self,
        boss: &PgBoss,
        name: &str,
        limit: usize,
        window: Option<&str>,
    ) -> Result<Vec<Listed>, ReadError> {
        let sql = self.sql(window);
        let rows = boss
            .read(Some(&self.shape.schema), self.bind(&sql, name, limit))
            .await?;
        let mask = boss.mask(self.shape, name);
        let mut listed: Vec<Listed> = rows.iter().map(|row| self.listed(row, name, &mask)).collect();
        self.confirm(boss, name, &mask, &mut listed).await?;
        Ok(listed)
    }

    pub(super) async fn fetch_within(
        &self,
        boss: &PgBoss,
        name: &str,
        limit: usize,
        (window, time): (Option<&str>, Duration),
    ) -> Result<Option<Vec<Listed>>, ReadError> {
        let sql = self.sql(window);
        let rows = boss.within(self.shape, time, self.bind(&sql, name, limit)).await?;
        let Some(rows) = rows else { return Ok(None) };
        let mask = boss.mask(self.shape, name);
        let mut listed: Vec<Listed> = rows.iter().map(|row| self.listed(row, name, &mask)).collect();
        self.confirm(boss, name, &mask, &mut listed).await?;
        Ok(Some(listed))
    }

    fn bind<'q>(&'q self, sql: &'q str, name: &'q str, limit: usize) -> super::Statement<'q> {
        let query = sqlx::query(sql)
            .bind(name)
            .bind(i64::try_from(limit + 1).unwrap_or(i64::MAX));
        let query = match self.after {
            None => query,
            Some(after) if self.by_priority() => query.bind(after.at).bind(&after.id).bind(after.priority),
            Some(after) => query.bind(after.at).bind(&after.id),
        };
        match self.data {
            // The one character that no text of Postgres holds is in no data either.
            Some(data) => query.bind(data.replace('\0', "\u{fffd}")),
            None => query,
        }
    }

    /// Of the rows whose data hold what is looked for, those where it stands in what is shown: the others are no hits,
    /// and look like every other row that is none.
    async fn confirm(&self, boss: &PgBoss, name: &str, mask: &Mask, listed: &mut [Listed]) -> Result<(), ReadError> {
        let Some(needle) = self.data else { return Ok(()) };
        let needle = needle.to_lowercase();
        let sql = format!(
            "select j.id::text, case when octet_length(j.data::text) <= {CONFIRMED_MAX} then j.data::text end from {} j \
             where j.name = $1 and j.id = any($2::text[]::uuid[])",
            self.shape.job()
        );
        let hits: Vec<usize> = (0..listed.len()).filter(|i| listed[*i].hit).collect();
        for batch in hits.chunks(CONFIRMED) {
            let ids: Vec<String> = batch.iter().map(|i| listed[*i].row.id.clone()).collect();
            let rows = boss
                .read(Some(&self.shape.schema), sqlx::query(&sql).bind(name).bind(ids))
                .await?;
            let shown: HashSet<String> = rows
                .iter()
                .filter(|row| {
                    let data: Option<String> = row.get(1);
                    data.is_some_and(|data| mask.json(&data).to_lowercase().contains(&needle))
                })
                .map(|row| row.get(0))
                .collect();
            for i in batch {
                listed[*i].hit = shown.contains(&listed[*i].row.id);
            }
        }
        Ok(())
    }

    const fn by_priority(&self) -> bool {
        matches!(self.state, JobState::Waiting)
    }

    /// The column that the list is ordered by, after the priority.
    pub(super) const fn column(&self) -> &'static str {
        match self.state {
            JobState::Delayed => self.shape.columns.start_after,
            JobState::Active => self.shape.columns.started_on,
            JobState::Completed | JobState::Failed | JobState::Cancelled => self.shape.columns.completed_on,
            _ => self.shape.columns.created_on,
        }
    }

    fn sql(&self, window: Option<&str>) -> String {
        let (column, at) = (self.column(), at_us("$3"));
        let (start_after, blocked) = (self.shape.columns.start_after, self.shape.blocked());
        let forward = self.order == Order::Next;
        let (beyond, least, direction) = if forward {
            (">", ">=", "asc")
        } else {
            ("<", "<=", "desc")
        };
        let mut which = match self.state {
            JobState::Waiting => format!("j.state < 'active' and not {blocked} and j.{start_after} <= now()"),
            JobState::Delayed => format!("not {blocked} and j.{start_after} > now()"),
            JobState::WaitingChildren => format!("j.state < 'active' and {blocked}"),
            JobState::Failed => self.shape.is_failed().to_owned(),
            JobState::Completed => "j.state = 'completed'".to_owned(),
            JobState::Cancelled => "j.state = 'cancelled'".to_owned(),
            _ => "j.state = 'active'".to_owned(),
        };
        if matches!(self.state, JobState::Completed | JobState::Failed | JobState::Cancelled) {
            which += &format!(" and j.{column} is not null");
        }
        if let Some(back) = window {
            let from = if self.after.is_some() { &at } else { "now()" };
            which += &format!(" and j.{column} > {from} - interval '{back}'");
        }
        let order = if self.by_priority() {
            if self.after.is_some() {
                // The higher priority runs first.
                let (before, most) = if forward { ("<", "<=") } else { (">", ">=") };
                which += &format!(
                    " and j.priority {most} $5 and (j.priority {before} $5 or (j.{column}, j.id) {beyond} ({at}, $4::uuid))"
                );
            }
            let reversed = if forward { "desc" } else { "asc" };
            format!("j.priority {reversed}, j.{column} {direction}, j.id {direction}")
        } else {
            if self.after.is_some() {
                which += &format!(" and j.{column} {least} {at} and (j.{column}, j.id) {beyond} ({at}, $4::uuid)");
            }
            format!("j.{column} {direction}, j.id {direction}")
        };
        let (job, columns) = (self.shape.job(), row_columns(self.shape, column));
        let part =
            |which: &str| format!("select j.* from {job} j where j.name = $1 and {which} order by {order} limit $2");
        let from = match self.state {
            // Each of the two states in the order of the index; one scan over both would sort them all.
            JobState::Delayed => format!(
                "(({}) union all ({}))",
                part(&format!("j.state = 'created' and {which}")),
                part(&format!("j.state = 'retry' and {which}"))
            ),
            _ => format!("({})", part(&which)),
        };
        // Of values beyond that no text is made for a list.
        let part = match self.after {
            None => 3,
            Some(_) if self.by_priority() => 6,
            Some(_) => 5,
        };
        let hit = if self.data.is_some() {
            format!(
                "pg_column_size(j.data) <= {SEARCHED_MAX} and strpos(lower(j.data::text), lower(${part}::text)) > 0"
            )
        } else {
            "true".to_owned()
        };
        format!("select {columns}, {hit} as hit from {from} j order by {order} limit $2")
    }

    fn listed(&self, row: &PgRow, name: &str, mask: &Mask) -> Listed {
        let job = job_row(row, name, mask);
        let priority = if self.by_priority() {
            i64::from(row.get::<i32, _>("priority"))
        } else {
            0
        };
        let cursor = Cursor {
            priority,
            at: row.get::<Option<i64>, _>("place").unwrap_or(0),
            id: job.id.clone(),
        };
        Listed {
            row: job,
            cursor,
            hit: row.get::<Option<bool>, _>("hit").unwrap_or(false),
        }
    }
}

/// What a row needs, of the row `j`; `place` is where it stands in an order.
pub(super) fn row_columns(shape: &Shape, place: &str) -> String {
    let c = shape.columns;
    format!(
        "j.id::text as id, {state} as board, {created} as created, {started} as started, {finished} as finished, \
         {due} as due, j.priority, {attempts} as attempts, j.{retry_limit} as retry_limit, \
         pg_column_size(j.data) as data_size, {place} as place, j.state = 'retry' as retried, \
         pg_column_size(j.output) as output_size, \
         case when (j.state = 'retry' or {failed}) and pg_column_size(j.output) <= {OUTPUT_MAX} \
             then left(coalesce(j.output->>'message', j.output#>>'{{value,message}}', j.output#>>'{{value}}', \
             j.output::text), 4000) end as error, \
         case when j.state = 'active' and pg_column_size(j.output) <= {OUTPUT_MAX} \
             then left(j.output->>'progress', 4000) end as progress",
        state = shape.state(),
        created = ms(c.created_on),
        started = ms(c.started_on),
        finished = shape.finished(),
        due = ms(c.start_after),
        attempts = shape.attempts(),
        retry_limit = c.retry_limit,
        place = us(place),
        failed = shape.is_failed(),
    )
}

/// A row out of [`row_columns`]. What a producer or a worker wrote into it is masked before it is cut, and before any
/// filter sees it.
pub(super) fn job_row(row: &PgRow, name: &str, mask: &Mask) -> JobRow {
    let time = |column: &str| row.get::<Option<Millis>, _>(column);
    let count = |n: i32| u32::try_from(n).unwrap_or(0);
    let size = |column: &str| row.get::<Option<i32>, _>(column).and_then(|n| u64::try_from(n).ok());
    let state = row.get::<String, _>("board").parse().unwrap_or(JobState::Waiting);
    let error: Option<String> = row.get("error");
    let large = size("output_size").filter(|_| state == JobState::Failed || row.get("retried"));
    JobRow {
        id: row.get("id"),
        // The library's jobs have no name of their own: they are called by their queue.
        name: name.to_owned(),
        state,
        created: time("created"),
        started: time("started"),
        finished: time("finished"),
        due: time("due").filter(|_| state == JobState::Delayed),
        priority: u64::try_from(row.get::<i32, _>("priority")).unwrap_or(0),
        attempts: count(row.get("attempts")),
        attempts_max: count(row.get("retry_limit")).saturating_add(1),
        stalled: 0,
        progress: row
            .get::<Option<String>, _>("progress")
            .and_then(|json| mask.progress(&json)),
        error: match (error, large) {
            (Some(error), _) => Some(mask.headline(&error, ERROR_MAX)),
            (None, Some(size)) => Some(format!("(an error of {size} bytes)")),
            (None, None) => None,
        },
        worker: None,
        scheduler: None,
        data_size: size("data_size").unwrap_or(0),
        locked: None,
        problem: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_and_nothing_else_is_one() {
        let cursor = Cursor {
            priority: -3,
            at: 1_700_000_000_000_001,
            id: "5c3a1b9f-7e0d-460c-b954-dedf256515fe".into(),
        };
        assert_eq!(Cursor::parse(&cursor.text()), Ok(cursor));
        for other in ["", "k1.2.3", "o50", "k1.x.5c3a1b9f-7e0d-460c-b954-dedf256515fe"] {
            assert_eq!(Cursor::parse(other), Err(ReadError::BadCursor), "{other}");
        }
    }
}
