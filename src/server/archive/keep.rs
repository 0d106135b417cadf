//! Rows of the archive: written, committed, and known to be durable. Nothing here removes a job.
//!
//! Each transaction sets `synchronous_commit` itself, whatever the role, the database or a pooler in between has set,
//! and looks at the server it is on: one that does not wait for its disk, or a standby, is refused. The outcome of a
//! commit whose answer does not come is not guessed: it is read back over another connection.

use super::record::{ArchiveId, encode, sha256};
use super::{Archive, ArchivedQueue, LIMIT, durable};
use crate::model::Millis;
use crate::model::job::cut;
use crate::model::store::Reach;
use crate::server::adapter::Trouble;
use crate::server::adapter::raw::RawJob;
use sqlx::postgres::{PgConnection, PgPool};
use sqlx::{Postgres, Transaction};
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// Bytes of a job's data that can be searched.
const SEARCHED: usize = 4 * 1024;

/// Characters of an error's first line, and of a name.
const LINE: usize = 500;

/// How often to look for a commit whose answer did not come.
const LOOKS_BACK: u32 = 8;

/// The pause before each of these looks.
const LOOK_BACK_EVERY: Duration = Duration::from_millis(500);

/// The outcome for a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It is durable, with exactly these bytes.
    Durable,
    /// There is a durable row for this run of the job with other bytes.
    Conflict,
}

/// The columns of many rows, each as one array: one statement whatever their number.
#[derive(Default)]
struct Rows {
    finished_on: Vec<Millis>,
    id: Vec<Vec<u8>>,
    job_id: Vec<String>,
    name: Vec<String>,
    state: Vec<&'static str>,
    attempts: Vec<i64>,
    created_on: Vec<Option<Millis>>,
    processed_on: Vec<Option<Millis>>,
    error: Vec<Option<String>>,
    data: Vec<String>,
    size: Vec<i64>,
    record: Vec<Vec<u8>>,
    sha256: Vec<Vec<u8>>,
}

const INSERT: &str = "INSERT INTO drover.archive (store, system, queue, finished_on, id, job_id, name, state, attempts, \
     created_on, processed_on, error, data, size, record, sha256) \
     SELECT $1, $2, $3, * FROM unnest($4::bigint[], $5::bytea[], $6::text[], $7::text[], $8::text[], $9::bigint[], \
     $10::bigint[], $11::bigint[], $12::text[], $13::text[], $14::bigint[], $15::bytea[], $16::bytea[]) \
     ON CONFLICT (finished_on, id) DO NOTHING";

impl Rows {
    fn new(place: &ArchivedQueue, jobs: &[RawJob]) -> Self {
        let mut rows = Self::default();
        let mut order: Vec<(ArchiveId, &RawJob)> = jobs
            .iter()
            .map(|job| (place.id_of(&job.id, job.finished_on, job.attempts), job))
            .collect();
        // Two transactions that archive the same jobs take their rows in the same order, so that neither waits for the
        // other in turn.
        order.sort_unstable_by_key(|(id, _)| *id);
        for (id, job) in order {
            let record = encode(job);
            rows.finished_on.push(id.finished_on);
            rows.id.push(id.digest.to_vec());
            rows.job_id.push(job.id.clone());
            rows.name.push(cut(&job.brief.name, LINE));
            rows.state.push(job.state.as_str());
            rows.attempts.push(i64::try_from(job.attempts).unwrap_or(i64::MAX));
            rows.created_on.push(job.brief.created);
            rows.processed_on.push(job.brief.started);
            rows.error.push(job.brief.error.as_deref().map(first_line));
            rows.data.push(searchable(job.field("data").unwrap_or_default()));
            rows.size.push(i64::try_from(record.len()).unwrap_or(i64::MAX));
            rows.sha256.push(sha256(&record).to_vec());
            rows.record.push(record);
        }
        rows
    }

    async fn insert(&self, place: &ArchivedQueue, connection: &mut PgConnection) -> Result<u64, sqlx::Error> {
        let done = sqlx::query(INSERT)
            .bind(&place.store)
            .bind(place.system)
            .bind(&place.queue)
            .bind(&self.finished_on)
            .bind(&self.id)
            .bind(&self.job_id)
            .bind(&self.name)
            .bind(&self.state)
            .bind(&self.attempts)
            .bind(&self.created_on)
            .bind(&self.processed_on)
            .bind(&self.error)
            .bind(&self.data)
            .bind(&self.size)
            .bind(&self.record)
            .bind(&self.sha256)
            .execute(connection)
            .await?;
        Ok(done.rows_affected())
    }
}

/// Bytes as text that Postgres takes: what is no text is replaced, and zeros.
fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace('\0', "\u{fffd}")
}

fn first_line(error: &str) -> String {
    cut(
        &error.lines().next().unwrap_or_default().replace('\0', "\u{fffd}"),
        LINE,
    )
}

fn searchable(data: &[u8]) -> String {
    let mut text = lossy(&data[..data.len().min(SEARCHED)]);
    // A character that was cut in half at the end says nothing.
    if data.len() > SEARCHED {
        text.truncate(text.trim_end_matches('\u{fffd}').len());
    }
    text
}

impl Archive {
    /// Writes jobs of one queue; returns the outcome for each, in their order. A row that is reported as durable is.
    ///
    /// # Errors
    ///
    /// When nothing is known to be durable: nothing may be removed then.
    pub async fn keep(&self, place: &ArchivedQueue, jobs: &[RawJob]) -> Result<Vec<Kept>, Trouble> {
        self.ready()?;
        self.make_room(jobs.iter().map(|job| job.finished_on)).await;
        self.note_queue(&place.queue);
        let rows = Rows::new(place, jobs);
        let mut known = HashMap::new();
        let pool = self.database.writes();
        let written = timeout(LIMIT, self.write(&pool, place, &rows)).await;
        let transaction = match written {
            Ok(Ok(written)) => written,
            Ok(Err(trouble)) => return Err(trouble),
            Err(_) => return Err(self.silent()),
        };
        let (transaction, inserted) = transaction;
        match timeout(LIMIT, transaction.commit()).await {
            Ok(Ok(())) if inserted == rows.id.len() as u64 => {
                let all = rows.finished_on.iter().zip(&rows.id).zip(&rows.sha256);
                known.extend(all.map(|((at, id), sum)| ((*at, id.clone()), sum.clone())));
            }
            // Some were there before: with which bytes?
            Ok(Ok(())) => known = self.sums(&rows).await?,
            // Unknown. Whatever can be read by another session is committed.
            lost => {
                let trouble = match lost {
                    Ok(Err(error)) => self.database.trouble(&error),
                    _ => self.silent(),
                };
                tracing::warn!(%trouble, "a commit of the archive was not answered: reading back");
                known = self.look_back(&rows, &trouble).await?;
            }
        }
        let own: HashMap<&[u8], &Vec<u8>> = rows.id.iter().map(Vec::as_slice).zip(&rows.sha256).collect();
        jobs.iter()
            .map(|job| {
                let id = place.id_of(&job.id, job.finished_on, job.attempts);
                let own = own.get(id.digest.as_slice()).copied();
                match (known.get(&(id.finished_on, id.digest.to_vec())), own) {
                    (Some(sum), Some(own)) if sum == own => Ok(Kept::Durable),
                    (Some(_), _) => Ok(Kept::Conflict),
                    (None, _) => Err(Trouble::new(
                        Reach::Live,
                        "A row that was just written to the archive is missing: something else deletes from it.",
                    )),
                }
            })
            .collect()
    }

    /// Everything up to the commit.
    async fn write(
        &self,
        pool: &PgPool,
        place: &ArchivedQueue,
        rows: &Rows,
    ) -> Result<(Transaction<'static, Postgres>, u64), Trouble> {
        let trouble = |error: sqlx::Error| self.database.trouble(&error);
        let mut transaction = pool.begin().await.map_err(trouble)?;
        let server = durable::ask(&mut transaction).await.map_err(trouble)?;
        if server.standby {
            return Err(self.refused("is a standby and accepts no writes. Point Drover at the primary."));
        }
        if !server.fsync && !self.settings.allow_unsafe {
            return Err(self.refused(
                "runs with fsync=off: it may lose what it has acknowledged, so no job is removed for it. Turn fsync \
                 on, or set archive.allow_unsafe (DROVER_ARCHIVE_ALLOW_UNSAFE=true) for a server whose jobs you can \
                 lose.",
            ));
        }
        if !server.followed && self.settings.require_sync_standby {
            return Err(self.refused(
                "commits without waiting for a standby, and archive.require_sync_standby is on: set synchronous_standby_names on \
                 the server.",
            ));
        }
        if !server.waits {
            return Err(self.refused("does not let synchronous_commit be set."));
        }
        let inserted = rows.insert(place, &mut transaction).await.map_err(trouble)?;
        Ok((transaction, inserted))
    }

    pub(in crate::server) fn refused(&self, what: &str) -> Trouble {
        Trouble::new(Reach::Refused, format!("The archive at {} {what}", self.address()))
    }

    fn silent(&self) -> Trouble {
        Trouble::new(
            Reach::Frozen,
            format!("The archive at {} does not answer.", self.address()),
        )
    }

    /// The sums of these rows as they are committed.
    async fn sums(&self, rows: &Rows) -> Result<HashMap<(Millis, Vec<u8>), Vec<u8>>, Trouble> {
        let ids = rows.finished_on.iter().zip(&rows.id);
        self.committed(ids.map(|(at, id)| (*at, id.clone()))).await
    }

    /// The sums of rows that are committed, of the requested ones.
    async fn committed(
        &self,
        ids: impl Iterator<Item = (Millis, Vec<u8>)>,
    ) -> Result<HashMap<(Millis, Vec<u8>), Vec<u8>>, Trouble> {
        let (finished_on, id): (Vec<Millis>, Vec<Vec<u8>>) = ids.unzip();
        // From the sessions that write: a pool of reads may be led to a standby.
        let pool = self.database.writes();
        let read = sqlx::query_as::<_, (Millis, Vec<u8>, Vec<u8>)>(
            "SELECT a.finished_on, a.id, a.sha256 FROM unnest($1::bigint[], $2::bytea[]) AS wanted (finished_on, id) \
             JOIN drover.archive a USING (finished_on, id)",
        )
        .bind(finished_on)
        .bind(id);
        let found = self.database.run(read.fetch_all(&pool)).await?;
        Ok(found.into_iter().map(|(at, id, sum)| ((at, id), sum)).collect())
    }

    /// The same after a commit that was not answered: all of its rows, or nothing is known.
    async fn look_back(&self, rows: &Rows, trouble: &Trouble) -> Result<HashMap<(Millis, Vec<u8>), Vec<u8>>, Trouble> {
        for _ in 0..LOOKS_BACK {
            sleep(LOOK_BACK_EVERY).await;
            match self.sums(rows).await {
                Ok(found) if found.len() == rows.id.len() => return Ok(found),
                // It may still be under way: only what is there can be believed.
                Ok(_) | Err(_) => {}
            }
        }
        Err(Trouble::new(
            trouble.reach,
            format!(
                "{} Whether the last rows were written is not known, so nothing was removed.",
                trouble.cause
            ),
        ))
    }

    /// Which of these runs of jobs are in the archive.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub async fn has(&self, ids: &[ArchiveId]) -> Result<Vec<bool>, Trouble> {
        if ids.is_empty() {
            return Ok(vec![]);
        }
        let all = ids.iter().map(|id| (id.finished_on, id.digest.to_vec()));
        let found = self.committed(all).await?;
        let there = |id: &ArchiveId| found.contains_key(&(id.finished_on, id.digest.to_vec()));
        Ok(ids.iter().map(there).collect())
    }
}
