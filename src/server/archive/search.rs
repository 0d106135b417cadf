//! Finding archived jobs: by what is indexed at once, by texts a bounded number of rows at a time.
//!
//! Pages are cut by key, the last finished first, so that page ten thousand costs what the first costs. A reader's queues are
//! part of the statement ([`scope`](super::scope)).
//!
//! The archive holds jobs exactly, secrets included, and a search looks for a text in what is shown of them. So
//! Postgres does not look for it: rows are read in rounds of [`ROUND`], masked here and searched here. How many rounds
//! there are depends on the rows and on the clock, never on what is hidden in them (S-20). A page says how many rows it
//! looked at, and whether that was everything.

use super::Archive;
use super::record::{ArchiveId, decode};
use super::scope::{Scope, like};
use crate::model::Millis;
use crate::model::archive::{ArchiveFilter, ArchivePage, ArchivedRow, Restored};
use crate::model::queue::QueueRef;
use crate::model::state::JobState;
use crate::server::adapter::Trouble;
use crate::server::adapter::raw::RawJob;
use crate::server::redact::Mask;
use sqlx::postgres::PgRow;
use sqlx::{Postgres, QueryBuilder, Row as _};
use std::time::{Duration, Instant};

/// Rows whose texts one page looks at, and at a time.
const LOOKED_AT: usize = 20_000;
const ROUND: usize = 1_000;

/// How long one page looks; then it ends with the round.
const BUDGET: Duration = Duration::from_secs(2);

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

/// Conditions that an index or the partitions serve.
fn conditions(query: &mut QueryBuilder<'_, Postgres>, filter: &ArchiveFilter, after: Option<ArchiveId>) {
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
    if let Some(QueueRef { store, queue }) = filter.exact_queue() {
        query.push(" AND store = ").push_bind(store);
        query.push(" AND left(queue, 100) = left(").push_bind(queue.clone());
        query.push("::text, 100) AND queue = ").push_bind(queue);
    } else if let Some(queue) = &filter.queue {
        let all = if queue.contains('*') {
            like(queue)
        } else {
            format!("%{}%", like(queue))
        };
        query.push(" AND store || '/' || queue ILIKE ").push_bind(all);
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

/// What a search looks at of a row.
struct Candidate {
    row: ArchivedRow,
    /// The beginning of its data, where the search covers them.
    data: Option<String>,
    /// Whether its name fits.
    named: bool,
    mask: Mask,
}

impl Candidate {
    /// The row as it is shown, if what is shown of it holds everything that the search is for.
    fn hit(mut self, error: Option<&str>, text: Option<&str>) -> Option<ArchivedRow> {
        let holds = |shown: &str, part: Option<&str>| part.is_none_or(|part| shown.to_lowercase().contains(part));
        self.row.error = self.row.error.map(|error| self.mask.text(&error).into_owned());
        let error = holds(self.row.error.as_deref().unwrap_or_default(), error);
        // Masked even if the error did not match: the time must not depend on it.
        let data = self.data.as_deref().map(|data| self.mask.json(data));
        let data = holds(data.as_deref().unwrap_or_default(), text);
        (self.named && error && data).then_some(self.row)
    }
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
        scope: &Scope,
        after: Option<ArchiveId>,
        limit: usize,
        mask: &(dyn Fn(&QueueRef) -> Mask + Sync),
    ) -> Result<ArchivePage, Trouble> {
        self.ready()?;
        let which = (filter, scope);
        if filter.name.is_some() || filter.error.is_some() || filter.text.is_some() {
            return self.searched(which, after, limit, mask).await;
        }
        let found = self.rows(which, after, limit.saturating_add(1), mask).await?;
        let mut items: Vec<ArchivedRow> = found
            .into_iter()
            .filter_map(|candidate| candidate.hit(None, None))
            .collect();
        let more = items.len() > limit;
        items.truncate(limit);
        Ok(ArchivePage {
            next: items.last().filter(|_| more).map(|row| row.id.clone()),
            items,
            ..ArchivePage::default()
        })
    }

    /// The same, for texts.
    async fn searched(
        &self,
        (filter, scope): (&ArchiveFilter, &Scope),
        after: Option<ArchiveId>,
        limit: usize,
        mask: &(dyn Fn(&QueueRef) -> Mask + Sync),
    ) -> Result<ArchivePage, Trouble> {
        // Never closed.
        let _turn = self.searching.acquire().await;
        let began = Instant::now();
        let lower = |text: &Option<String>| text.as_ref().map(|text| text.to_lowercase());
        let (error, text) = (lower(&filter.error), lower(&filter.text));
        let (mut at, mut searched) = (after, 0);
        let mut items: Vec<ArchivedRow> = Vec::new();
        let next = loop {
            let round = self.rows((filter, scope), at, ROUND, mask).await?;
            let whole = round.len() == ROUND;
            searched += round.len();
            let last = round.last().map(|candidate| candidate.row.id.clone());
            let (error, text) = (error.clone(), text.clone());
            // Milliseconds of work: not on the tasks that serve requests.
            let hits = tokio::task::spawn_blocking(move || {
                let hits = round
                    .into_iter()
                    .filter_map(|candidate| candidate.hit(error.as_deref(), text.as_deref()));
                hits.collect::<Vec<_>>()
            });
            items.extend(hits.await.unwrap_or_default());
            if items.len() > limit {
                items.truncate(limit);
                break items.last().map(|row| row.id.clone());
            }
            if !whole {
                break None;
            }
            if searched >= LOOKED_AT || began.elapsed() >= BUDGET {
                break last;
            }
            at = last.as_deref().and_then(ArchiveId::parse);
        };
        Ok(ArchivePage {
            partial: next.is_some() && items.len() < limit,
            next,
            items,
            searched: Some(searched as u64),
        })
    }

    /// Rows behind one, those that finished last first, with everything that the search looks at.
    async fn rows(
        &self,
        (filter, scope): (&ArchiveFilter, &Scope),
        after: Option<ArchiveId>,
        wanted: usize,
        mask: &(dyn Fn(&QueueRef) -> Mask + Sync),
    ) -> Result<Vec<Candidate>, Trouble> {
        let wanted = i64::try_from(wanted).unwrap_or(i64::MAX);
        // A queue or a job that is named is found by its own index.
        let few = match filter.exact_queue().is_some() || filter.id.is_some() {
            true => None,
            false => self.few_queues(scope).await?,
        };
        let mut query = QueryBuilder::new(format!("SELECT {COLUMNS}"));
        let text = filter.text.is_some();
        match &filter.name {
            None => query.push(", true AS named").push(if text { ", data" } else { "" }),
            Some(name) => {
                query.push(", name ILIKE ").push_bind(like(name)).push(" AS named");
                if text {
                    // A name is no secret: what does not fit is not fetched.
                    query.push(", CASE WHEN name ILIKE ").push_bind(like(name));
                    query.push(" THEN data ELSE '' END AS data");
                }
                &mut query
            }
        };
        let order = " ORDER BY finished_on DESC, id DESC";
        match few {
            None => {
                query.push(" FROM drover.archive WHERE true");
                conditions(&mut query, filter, after);
                scope.push(&mut query);
            }
            Some(few) => {
                query
                    .push(" FROM (SELECT own.finished_on, own.id FROM unnest(")
                    .push_bind(few);
                query.push("::text[]) AS few(key) CROSS JOIN LATERAL (SELECT finished_on, id FROM drover.archive");
                query.push(" WHERE left(queue, 100) = few.key");
                conditions(&mut query, filter, after);
                scope.push(&mut query);
                query.push(order).push(" LIMIT ").push_bind(wanted);
                query.push(") own").push(order).push(" LIMIT ").push_bind(wanted);
                query.push(") page JOIN drover.archive USING (finished_on, id)");
            }
        }
        query.push(order).push(" LIMIT ").push_bind(wanted);
        let pool = self.database.reads();
        let found = self.database.run(query.build().fetch_all(&pool)).await?;
        let candidate = |found: &PgRow| {
            let row = row(found)?;
            Ok(Candidate {
                mask: mask(&row.queue),
                data: text.then(|| found.try_get("data")).transpose()?,
                named: found.try_get("named")?,
                row,
            })
        };
        let rows: Result<_, sqlx::Error> = found.iter().map(candidate).collect();
        rows.map_err(|error| self.database.trouble(&error))
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
        let contents = contents
            .ok_or_else(|| self.refused("holds a damaged record for this job: its checksum does not match."))?;
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

    /// Writes down that a job is about to be put back; `false` if another caller has just done so.
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
    /// When it does not answer: the next caller looks in the queue.
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
        assert_eq!(like("charge*"), "charge%");
        assert_eq!(like("100%_\\"), "100\\%\\_\\\\");
    }
}
