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
//! A search for a finished state with few jobs among many goes through windows of time that grow; when the last of them
//! takes too long, the page ends where the one before ended and its cursor goes on from there.
//!
//! Up to 10 the library puts finished jobs away into a table of its own. A page goes on there, in the order in which they
//! were put away, which is what that table has an index of.

use super::super::{JobQuery, ReadError};
use super::PgBoss;
use super::capabilities;
use super::counts;
use super::names::{is_uuid, parts_of};
use super::row::{job_row, row_columns};
use super::shape::{Shape, Table, at_us};
use crate::model::job::JobRow;
use crate::model::now;
use crate::model::page::{JobPageRows, Order};
use crate::model::state::JobState;
use crate::server::redact::Mask;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The largest data, in bytes as stored, that a list looks into.
const SEARCHED_MAX: i32 = 256 * 1024;

/// The largest data as text that a search looks into, bytes as stored that are read at a time, and how long it looks.
const TEXT_MAX: usize = 1024 * 1024;
const READ_MAX: u64 = 1024 * 1024;
const BUDGET: Duration = Duration::from_secs(2);

/// Jobs read for one page of matches, and at a time.
const LOOKED_AT: u64 = 10_000;
const WINDOW: usize = 500;

/// How far back to look for finished jobs, and for how long; then without an end.
const WINDOWS: [(Option<&str>, Duration); 3] = [
    (Some("1 day"), Duration::from_millis(1_500)),
    (Some("7 days"), Duration::from_millis(1_500)),
    (None, Duration::from_millis(2_500)),
];

/// Where a page goes on: in which table, and behind which job of it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    table: Table,
    after: Option<Cursor>,
}

impl Place {
    fn text(&self) -> String {
        let mark = match self.table {
            Table::Jobs => 'k',
            Table::Archive => 'a',
        };
        format!("{mark}{}", self.after.as_ref().map_or_else(String::new, Cursor::text))
    }

    fn parse(text: &str) -> Result<Self, ReadError> {
        let (table, after) = match (text.strip_prefix('k'), text.strip_prefix('a')) {
            (Some(after), _) => (Table::Jobs, after),
            (_, Some(after)) => (Table::Archive, after),
            _ => return Err(ReadError::BadCursor),
        };
        let after = Some(after).filter(|after| !after.is_empty());
        Ok(Self {
            table,
            after: after.map(Cursor::parse).transpose()?,
        })
    }
}

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
        format!("{}.{}.{}", self.priority, self.at, self.id)
    }

    fn parse(text: &str) -> Result<Self, ReadError> {
        let parts = || {
            let (priority, rest) = text.split_once('.')?;
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
    place: Place,
}

/// One page.
pub(super) async fn page(boss: &PgBoss, query: &JobQuery) -> Result<JobPageRows, ReadError> {
    let mut rows = Vec::new();
    let (mut cursor, mut searched) = (query.cursor.clone(), 0);
    let until = Instant::now() + BUDGET;
    let next = loop {
        let window = JobQuery {
            limit: if query.filter.is_some() { WINDOW } else { query.limit },
            cursor: cursor.take(),
            ..query.clone()
        };
        let (mut listed, mut next) = entries(boss, &window, true).await?;
        let data = query.filter.as_ref().and_then(|filter| filter.data.as_deref());
        let holds = match data {
            None => vec![true; listed.len()],
            Some(needle) => search(boss, &query.queue, needle, &listed, until).await?,
        };
        if holds.len() < listed.len() {
            listed.truncate(holds.len());
            next = listed.last().map(|last| last.place.text());
        }
        searched += listed.len() as u64;
        let room = query.limit - rows.len();
        let fits = |one: &Listed| {
            let filter = query.filter.as_ref();
            filter.is_none_or(|filter| filter.takes(&one.row, query.at))
        };
        let hits = (0..listed.len()).filter(|i| holds[*i] && fits(&listed[*i]));
        let hits: Vec<usize> = hits.take(room).collect();
        // A full page ends at its last row: the next one begins right behind it.
        let full = hits.last().filter(|_| hits.len() == room).copied();
        let behind = match full {
            Some(last) if last + 1 < listed.len() => Some(listed[last].place.text()),
            _ => next,
        };
        let mut listed: Vec<Option<Listed>> = listed.into_iter().map(Some).collect();
        rows.extend(
            hits.into_iter()
                .filter_map(|i| listed[i].take())
                .map(|listed| listed.row),
        );
        let done = full.is_some() || searched >= LOOKED_AT || until <= Instant::now();
        if query.filter.is_none() || behind.is_none() || done {
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

/// Which of these jobs hold a text in what is shown of their data; for the first of them, if that takes too long for all.
///
/// Postgres does not search: the data of every job are read, masked and searched here, so that neither the answer nor its time
/// depends on hidden values (S-20).
async fn search(
    boss: &PgBoss,
    queue: &str,
    needle: &str,
    listed: &[Listed],
    until: Instant,
) -> Result<Vec<bool>, ReadError> {
    let Some((schema, name)) = parts_of(queue) else {
        return Ok(Vec::new());
    };
    let Some(shape) = boss.shape(&schema).await? else {
        return Ok(Vec::new());
    };
    let (mask, needle) = (boss.mask(&shape, &name), Arc::new(needle.to_lowercase()));
    let mut holds = Vec::with_capacity(listed.len());
    while holds.len() < listed.len() {
        let rest = &listed[holds.len()..];
        let table = rest[0].place.table;
        let mut bytes = 0;
        let batch = rest.iter().take_while(|one| {
            let first = bytes == 0;
            bytes += one.row.data_size.max(1);
            one.place.table == table && (first || bytes <= READ_MAX)
        });
        let batch: Vec<&Listed> = batch.collect();
        let ids: Vec<&str> = batch.iter().map(|one| one.row.id.as_str()).collect();
        let mut sql = format!(
            "select j.id::text, case when octet_length(j.data::text) <= {TEXT_MAX} then j.data::text end from {} j \
             where j.name = $1 and j.id = any($2::text[]::uuid[]) and pg_column_size(j.data) <= {SEARCHED_MAX}",
            table.at(&shape)
        );
        let times = batch.iter().filter_map(|one| Some(one.place.after.as_ref()?.at));
        if table == Table::Archive {
            // Its only index is that of the time.
            let (from, to) = (at_us("$3"), at_us("$4"));
            sql += &format!(" and j.{} between {from} and {to}", shape.columns.archived_on);
        }
        let mut asked = sqlx::query(&sql).bind(&name).bind(&ids);
        if table == Table::Archive {
            asked = asked.bind(times.clone().min()).bind(times.max());
        }
        let rows = boss.read(Some(&shape.schema), asked).await?;
        let (mask, needle) = (mask.clone(), needle.clone());
        // Milliseconds of work: not on the tasks that serve requests.
        let found = tokio::task::spawn_blocking(move || {
            let shown = |row: &PgRow| {
                let data: Option<String> = row.get(1);
                data.is_some_and(|data| mask.json(&data).to_lowercase().contains(needle.as_str()))
            };
            let found = rows.iter().filter(|row| shown(row)).map(|row| row.get(0));
            found.collect::<HashSet<String>>()
        });
        let found = found.await.map_err(|error| ReadError::Corrupt(error.to_string()))?;
        holds.extend(ids.iter().map(|id| found.contains(*id)));
        if until <= Instant::now() {
            break;
        }
    }
    Ok(holds)
}

/// Jobs in brief, whatever the filter, without those that the library has put away: nothing can be done with them.
pub(super) async fn scan(boss: &PgBoss, query: &JobQuery) -> Result<(Vec<JobRow>, Option<String>), ReadError> {
    let (listed, next) = entries(boss, query, false).await?;
    Ok((listed.into_iter().map(|listed| listed.row).collect(), next))
}

/// The rows behind the cursor, and where to go on.
async fn entries(boss: &PgBoss, query: &JobQuery, archived: bool) -> Result<(Vec<Listed>, Option<String>), ReadError> {
    let from = query.cursor.as_deref().map(Place::parse).transpose()?;
    let Some((schema, name)) = parts_of(&query.queue) else {
        return Ok((Vec::new(), None));
    };
    let Some(shape) = boss.shape(&schema).await? else {
        return Ok((Vec::new(), None));
    };
    if !capabilities::states(shape.layout).contains(&query.state) {
        return Ok((Vec::new(), None));
    }
    let tables: &[Table] = match (
        query.state.is_finished() && archived && shape.has_archive(),
        query.order,
    ) {
        (false, _) => &[Table::Jobs],
        (true, Order::Newest) => &[Table::Jobs, Table::Archive],
        (true, Order::Next) => &[Table::Archive, Table::Jobs],
    };
    let mut rows = Vec::new();
    let begun = from.as_ref().map_or(tables[0], |place| place.table);
    let mut after = from.and_then(|place| place.after);
    for table in tables.iter().skip_while(|table| **table != begun) {
        let behind = after.take();
        let wanted = Wanted {
            shape: &shape,
            table: *table,
            state: query.state,
            order: query.order,
            after: behind.as_ref(),
        };
        let (more, next) = wanted.entries(boss, &name, query.limit - rows.len()).await?;
        rows.extend(more);
        if let Some(after) = next {
            let place = Place { table: *table, after };
            return Ok((rows, Some(place.text())));
        }
    }
    Ok((rows, None))
}

/// Rows, and behind which one to go on; `Some(None)` from the beginning.
type Found = (Vec<Listed>, Option<Option<Cursor>>);

/// Cuts off the row that only says that there is more.
fn ended(mut rows: Vec<Listed>, limit: usize) -> Found {
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = more.then(|| rows.last().and_then(|last| last.place.after.clone()));
    (rows, next)
}

/// Which list, and from where on.
pub(super) struct Wanted<'a> {
    pub shape: &'a Shape,
    pub table: Table,
    pub state: JobState,
    pub order: Order,
    pub after: Option<&'a Cursor>,
}

impl Wanted<'_> {
    /// Up to `limit` rows, and where to go on.
    async fn entries(&self, boss: &PgBoss, name: &str, limit: usize) -> Result<Found, ReadError> {
        let indexed = self.shape.indexes.finished || self.table == Table::Archive;
        if !(self.state.is_finished() && self.order == Order::Newest && indexed) {
            let rows = self.fetch(boss, name, limit, None).await?;
            return Ok(ended(rows, limit));
        }
        let mut best: Option<(Vec<Listed>, &str)> = None;
        for window in WINDOWS {
            match (self.fetch_within(boss, name, limit, window).await?, window.0) {
                (Some(rows), _) if rows.len() > limit => return Ok(ended(rows, limit)),
                (Some(rows), None) => return Ok(ended(rows, limit)),
                (Some(rows), Some(back)) => best = Some((rows, back)),
                (None, _) => break,
            }
        }
        // The rest is too far away for one read: the next page begins where this one stopped looking.
        let (rows, back) =
            best.ok_or_else(|| ReadError::Corrupt("there are too many of these jobs to search".into()))?;
        let from = self.after.map_or_else(|| now() * 1000, |cursor| cursor.at);
        let days = if back == "1 day" { 1 } else { 7 };
        let edge = Cursor {
            priority: 0,
            at: from - days * 86_400_000_000,
            id: "ffffffff-ffff-ffff-ffff-ffffffffffff".into(),
        };
        Ok((rows, Some(Some(edge))))
    }

    /// Up to `limit` rows and one more.
    async fn fetch(
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
        Ok(rows.iter().map(|row| self.listed(row, name, &mask)).collect())
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
        Ok(Some(rows.iter().map(|row| self.listed(row, name, &mask)).collect()))
    }

    fn bind<'q>(&'q self, sql: &'q str, name: &'q str, limit: usize) -> super::Statement<'q> {
        let query = sqlx::query(sql)
            .bind(name)
            .bind(i64::try_from(limit + 1).unwrap_or(i64::MAX));
        match self.after {
            None => query,
            Some(after) if self.by_priority() => query.bind(after.at).bind(&after.id).bind(after.priority),
            Some(after) => query.bind(after.at).bind(&after.id),
        }
    }

    const fn by_priority(&self) -> bool {
        matches!(self.state, JobState::Waiting)
    }

    /// The column that the list is ordered by, after the priority.
    const fn column(&self) -> &'static str {
        match self.state {
            _ if matches!(self.table, Table::Archive) => self.shape.columns.archived_on,
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
        if self.state.is_finished() {
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
        let (job, columns) = (self.table.at(self.shape), row_columns(self.shape, column));
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
        format!("select {columns} from {from} j order by {order} limit $2")
    }

    fn listed(&self, row: &PgRow, name: &str, mask: &Mask) -> Listed {
        let job = job_row(row, name, mask, self.table);
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
            place: Place {
                table: self.table,
                after: Some(cursor),
            },
        }
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
        for (table, after) in [
            (Table::Jobs, Some(cursor.clone())),
            (Table::Archive, Some(cursor)),
            (Table::Archive, None),
        ] {
            let place = Place { table, after };
            assert_eq!(Place::parse(&place.text()), Ok(place));
        }
        for other in ["", "k1.2.3", "o50", "k1.x.5c3a1b9f-7e0d-460c-b954-dedf256515fe"] {
            assert_eq!(Place::parse(other), Err(ReadError::BadCursor), "{other}");
        }
    }
}
