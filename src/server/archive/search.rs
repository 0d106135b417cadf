//! Finding archived jobs: by what is indexed at once, by texts a bounded number of rows at a time.
//!
//! Pages are cut by key, the last finished first, so that page ten thousand costs what the first costs. A text is looked
//! for in [`LOOKED_AT`] rows at most; a page says when that was not everything, and goes on from there.
//!
//! The archive holds jobs exactly, secrets included. What Postgres finds is a hit only if the text stands in what is shown:
//! the rest is passed over, and the page goes on to the same end as if it had not been found.

use super::Archive;
use super::record::{ArchiveId, decode};
use crate::model::Millis;
use crate::model::archive::{ArchiveFilter, ArchivePage, ArchivedRow, Restored};
use crate::model::queue::QueueRef;
use crate::model::state::JobState;
use crate::server::adapter::Trouble;
use crate::server::adapter::raw::RawJob;
use crate::server::redact::Mask;
use sqlx::postgres::PgRow;
use sqlx::{Postgres, QueryBuilder, Row as _};

/// Rows whose texts one page looks at.
const LOOKED_AT: i64 = 20_000;

const COLUMNS: &str = "finished_on, id, store, system, queue, job_id, name, state, attempts, created_on, processed_on, error, \
                       size, (extract(epoch FROM archived_at) * 1000)::bigint AS archived";

/// An archived job, whole.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its row.
    pub row: ArchivedRow,
    /// The job.
    pub job: RawJob,
    /// The SHA-256 of its record, in hex.
    pub sha256: String,
}

/// A pattern for LIKE: `*` stands for anything, everything else for itself.
fn pattern(text: &str, anywhere: bool) -> String {
    let mut out = String::with_capacity(text.len() + 4);
    if anywhere {
        out.push('%');
    }
    for c in text.chars() {
        match c {
            '*' if !anywhere => out.push('%'),
            '%' | '_' | '\\' => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    if anywhere {
        out.push('%');
    }
    out
}

/// Conditions that an index or the partitions serve.
fn indexed(query: &mut QueryBuilder<'_, Postgres>, filter: &ArchiveFilter, after: Option<ArchiveId>) {
    query.push(" WHERE true");
    if let Some(after) = after {
        query.push(" AND (finished_on, id) < (").push_bind(after.finished_on);
        query.push(", ").push_bind(after.digest.to_vec()).push(")");
    }
    if let Some(from) = filter.from {
        query.push(" AND finished_on >= ").push_bind(from);
    }
    if let Some(to) = filter.to {
        query.push(" AND finished_on < ").push_bind(to);
    }
    if let Some(id) = &filter.id {
        query.push(" AND left(job_id, 100) = left(").push_bind(id.clone());
        query.push("::text, 100) AND job_id = ").push_bind(id.clone());
    }
    if let Some(queue) = &filter.queue {
        match queue.split_once('/').filter(|_| !queue.contains('*')) {
            Some((store, queue)) => {
                query.push(" AND store = ").push_bind(store.to_owned());
                query.push(" AND left(queue, 100) = left(").push_bind(queue.to_owned());
                query.push("::text, 100) AND queue = ").push_bind(queue.to_owned());
            }
            None => {
                let all = pattern(queue, !queue.contains('*'));
                query.push(" AND store || '/' || queue ILIKE ").push_bind(all);
            }
        }
    }
    if let Some(state) = filter.state {
        query.push(" AND state = ").push_bind(state.as_str());
    }
}

fn row(found: &PgRow) -> Result<ArchivedRow, sqlx::Error> {
    Ok(ArchivedRow {
        id: key(found)?.to_string(),
        queue: QueueRef {
            store: found.try_get("store")?,
            queue: found.try_get("queue")?,
        },
        system: found.try_get("system")?,
        job: found.try_get("job_id")?,
        name: found.try_get("name")?,
        state: found.try_get::<String, _>("state")?.parse().unwrap_or(JobState::Failed),
        finished: found.try_get("finished_on")?,
        created: found.try_get("created_on")?,
        started: found.try_get("processed_on")?,
        attempts: u64::try_from(found.try_get::<i64, _>("attempts")?).unwrap_or(0),
        error: found.try_get("error")?,
        size: u64::try_from(found.try_get::<i64, _>("size")?).unwrap_or(0),
        archived: found.try_get("archived")?,
    })
}

/// A row as it is shown; `None` if what is looked for stands only in what is hidden of it.
fn shown(
    found: &PgRow,
    filter: &ArchiveFilter,
    mask: &(dyn Fn(&QueueRef) -> Mask + Sync),
) -> Result<Option<ArchivedRow>, sqlx::Error> {
    let mut row = row(found)?;
    let mask = mask(&row.queue);
    row.error = row.error.map(|error| mask.text(&error).into_owned());
    let holds = |text: &str, part: &str| text.to_lowercase().contains(&part.to_lowercase());
    if let Some(part) = &filter.error
        && !row.error.as_ref().is_some_and(|error| holds(error, part))
    {
        return Ok(None);
    }
    if let Some(part) = &filter.text {
        let data: String = found.try_get("data")?;
        if !holds(&mask.json(&data), part) {
            return Ok(None);
        }
    }
    Ok(Some(row))
}

fn key(found: &PgRow) -> Result<ArchiveId, sqlx::Error> {
    let bytes: Vec<u8> = found.try_get("id")?;
    let mut digest = [0; 16];
    for (to, from) in digest.iter_mut().zip(bytes) {
        *to = from;
    }
    Ok(ArchiveId {
        finished_on: found.try_get("finished_on")?,
        digest,
    })
}

impl Archive {
    /// A page of what fits, those that finished last first.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub async fn page(
        &self,
        filter: &ArchiveFilter,
        after: Option<ArchiveId>,
        limit: usize,
        mask: &(dyn Fn(&QueueRef) -> Mask + Sync),
    ) -> Result<ArchivePage, Trouble> {
        self.ready()?;
        let texts = filter.name.is_some() || filter.error.is_some() || filter.text.is_some();
        let wanted = limit.saturating_add(1);
        let mut items: Vec<ArchivedRow> = Vec::new();
        let mut passed = None;
        loop {
            let batch = self.batch(filter, after, passed, (texts, wanted)).await?;
            let whole = batch.len() >= wanted;
            for found in &batch {
                let row = shown(found, filter, mask).map_err(|error| self.database.trouble(&error))?;
                items.extend(row);
            }
            passed = match batch.last().map(key).transpose() {
                Ok(last) => last,
                Err(error) => return Err(self.database.trouble(&error)),
            };
            if !whole || items.len() > limit {
                break;
            }
        }
        if items.len() > limit {
            items.truncate(limit);
            let next = items.last().map(|row| row.id.clone());
            return Ok(ArchivePage {
                items,
                next,
                partial: false,
            });
        }
        let next = if texts {
            self.stopped(filter, after).await?
        } else {
            None
        };
        Ok(ArchivePage {
            items,
            partial: next.is_some(),
            next: next.map(|id| id.to_string()),
        })
    }

    /// Rows that fit behind those that were `passed`, out of the same ones that the page looks at.
    async fn batch(
        &self,
        filter: &ArchiveFilter,
        after: Option<ArchiveId>,
        passed: Option<ArchiveId>,
        (texts, wanted): (bool, usize),
    ) -> Result<Vec<PgRow>, Trouble> {
        let wanted = i64::try_from(wanted).unwrap_or(i64::MAX);
        let bound = if texts { LOOKED_AT } else { wanted };
        let data = if filter.text.is_some() { ", data" } else { "" };
        let mut query = QueryBuilder::new(format!("SELECT {COLUMNS}{data} FROM (SELECT * FROM drover.archive"));
        indexed(&mut query, filter, after);
        query
            .push(" ORDER BY finished_on DESC, id DESC LIMIT ")
            .push_bind(bound)
            .push(") looked WHERE true");
        if let Some(passed) = passed {
            query.push(" AND (finished_on, id) < (").push_bind(passed.finished_on);
            query.push(", ").push_bind(passed.digest.to_vec()).push(")");
        }
        if let Some(name) = &filter.name {
            query.push(" AND name ILIKE ").push_bind(pattern(name, false));
        }
        if let Some(error) = &filter.error {
            query.push(" AND error ILIKE ").push_bind(pattern(error, true));
        }
        if let Some(text) = &filter.text {
            query.push(" AND data ILIKE ").push_bind(pattern(text, true));
        }
        query
            .push(" ORDER BY finished_on DESC, id DESC LIMIT ")
            .push_bind(wanted);
        let pool = self.database.reads();
        self.database.run(query.build().fetch_all(&pool)).await
    }

    /// The last row that a search for texts looked at, if there are more.
    async fn stopped(&self, filter: &ArchiveFilter, after: Option<ArchiveId>) -> Result<Option<ArchiveId>, Trouble> {
        let mut query = QueryBuilder::new("SELECT finished_on, id FROM drover.archive");
        indexed(&mut query, filter, after);
        query
            .push(" ORDER BY finished_on DESC, id DESC OFFSET ")
            .push_bind(LOOKED_AT - 1)
            .push(" LIMIT 1");
        let pool = self.database.reads();
        let found = self.database.run(query.build().fetch_optional(&pool)).await?;
        let id = found.as_ref().map(key).transpose();
        id.map_err(|error| self.database.trouble(&error))
    }

    /// One job, whole.
    ///
    /// # Errors
    ///
    /// When it does not answer, or the row holds no record that can be read.
    pub async fn find(&self, id: ArchiveId) -> Result<Option<Found>, Trouble> {
        self.ready()?;
        let sql = format!(
            "SELECT {COLUMNS}, record, encode(sha256, 'hex') AS sum FROM drover.archive WHERE finished_on = $1 AND id = $2"
        );
        let query = sqlx::query(&sql).bind(id.finished_on).bind(id.digest.to_vec());
        let pool = self.database.reads();
        let Some(found) = self.database.run(query.fetch_optional(&pool)).await? else {
            return Ok(None);
        };
        let trouble = |error: sqlx::Error| self.database.trouble(&error);
        let row = row(&found).map_err(trouble)?;
        let record: Vec<u8> = found.try_get("record").map_err(trouble)?;
        let sha256: String = found.try_get("sum").map_err(trouble)?;
        let own = super::record::sha256(&record);
        let hex: String = own.iter().map(|byte| format!("{byte:02x}")).collect();
        let contents = decode(&record).filter(|_| hex == sha256);
        let contents = contents.ok_or_else(|| {
            self.refused("holds a damaged record for this job: its bytes are not those that were written.")
        })?;
        let job = contents.into_job(&row.job, row.state, row.finished, row.attempts);
        Ok(Some(Found { row, job, sha256 }))
    }

    /// How often a job was put back, the last time first.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub async fn restored(&self, id: ArchiveId) -> Result<Vec<Restored>, Trouble> {
        type Row = (i32, String, String, String, String, Millis, Option<Millis>);
        let query = sqlx::query_as::<_, Row>(
            "SELECT n, store, queue, job_id, who, (extract(epoch FROM asked_at) * 1000)::bigint, \
             (extract(epoch FROM done_at) * 1000)::bigint FROM drover.restore WHERE finished_on = $1 AND id = $2 \
             ORDER BY n DESC LIMIT 100",
        );
        let query = query.bind(id.finished_on).bind(id.digest.to_vec());
        // From the sessions that write: what was just written must be seen.
        let pool = self.database.writes();
        let rows = self.database.run(query.fetch_all(&pool)).await?;
        let restored = |(n, store, queue, job, who, asked, done)| Restored {
            n,
            queue: QueueRef { store, queue },
            job,
            who,
            asked,
            done,
        };
        Ok(rows.into_iter().map(restored).collect())
    }

    /// Writes down that a job is about to be put back; `false` if somebody else has just done so.
    ///
    /// # Errors
    ///
    /// When it is not known to be written: nothing may be added then.
    pub async fn will_restore(&self, id: ArchiveId, restored: &Restored) -> Result<bool, Trouble> {
        let query = sqlx::query(
            "INSERT INTO drover.restore (finished_on, id, n, store, queue, job_id, who) VALUES ($1, $2, $3, $4, $5, $6, $7) \
             ON CONFLICT DO NOTHING",
        );
        let query = query.bind(id.finished_on).bind(id.digest.to_vec()).bind(restored.n);
        let query = query.bind(&restored.queue.store).bind(&restored.queue.queue);
        let query = query.bind(&restored.job).bind(&restored.who);
        let pool = self.database.writes();
        let done = self.database.run(query.execute(&pool)).await?;
        Ok(done.rows_affected() == 1)
    }

    /// Writes down that it is there, or that it was not added after all.
    ///
    /// # Errors
    ///
    /// When it does not answer: the next one who asks looks in the queue.
    pub async fn settle_restore(&self, id: ArchiveId, n: i32, done: bool) -> Result<(), Trouble> {
        let sql = if done {
            "UPDATE drover.restore SET done_at = now() WHERE finished_on = $1 AND id = $2 AND n = $3 AND done_at IS NULL"
        } else {
            "DELETE FROM drover.restore WHERE finished_on = $1 AND id = $2 AND n = $3 AND done_at IS NULL"
        };
        let query = sqlx::query(sql).bind(id.finished_on).bind(id.digest.to_vec()).bind(n);
        let pool = self.database.writes();
        self.database.run(query.execute(&pool)).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_searched_for_stands_for_itself() {
        assert_eq!(pattern("charge*", false), "charge%");
        assert_eq!(pattern("100%_\\", true), "%100\\%\\_\\\\%");
        assert_eq!(pattern("a*b", true), "%a*b%");
    }
}
