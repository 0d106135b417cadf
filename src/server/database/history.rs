//! Repository: how many jobs came and went, minute by minute, for a restart and for other replicas.
//!
//! What the rows mean is described where the tables are made (`migrations/0005_history.sql`,
//! `migrations/sqlite/0001_history.sql`). Two replicas that watched the same minute saw the same: what one missed, the
//! other may know, so that a minute can be noted twice. In Postgres the statement merges both; the file has one writer.

use super::OwnData;
use super::file::StateFile;
use super::postgres::SharedPostgres;
use crate::model::Millis;
use crate::server::adapter::Trouble;
use crate::server::collect::past::{Minute, PER_MINUTE, Past, Watched};
use crate::server::throughput::Slice;
use sqlx::SqliteConnection;
use std::collections::HashMap;

/// Names that are longer fit no index.
const NAME: usize = 1_000;

/// Minutes of a day, and those that are kept: 90 days.
const DAY: Millis = 24 * 60;
const KEPT: Millis = 90 * DAY;

/// Minutes that are kept however large the file is.
const HOUR: Millis = 60;

/// Rows that are removed at a time: of Postgres, and of the file.
const REMOVED: i64 = 10_000;
const REMOVED_OF_FILE: i64 = 2_000;

/// Bytes of the file in use above which the oldest minutes are removed.
const MOST: i64 = 256 * 1024 * 1024;

impl OwnData {
    /// Notes a minute of a store, all of it or nothing.
    ///
    /// # Errors
    ///
    /// When it does not answer: it can be noted again.
    pub async fn note_minute(&self, store: &str, watched: &Watched) -> Result<(), Trouble> {
        match self {
            Self::File(file) => file.note_minute(store, watched).await,
            Self::Postgres(postgres) => postgres.note_minute(store, watched).await,
        }
    }

    /// What is known of a store from a minute on.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub async fn past(&self, store: &str, from: Millis) -> Result<Past, Trouble> {
        match self {
            Self::File(file) => file.past(store, from).await,
            Self::Postgres(postgres) => postgres.past(store, from).await,
        }
    }

    /// Removes minutes that are no longer kept, and of a file those beyond its size, a bounded number of rows; returns
    /// whether there is more. `now` is the minute under way.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub async fn forget_history(&self, now: Millis) -> Result<bool, Trouble> {
        match self {
            Self::File(file) => file.forget_history(now, MOST).await,
            Self::Postgres(postgres) => postgres.forget_history(now).await,
        }
    }
}

/// Two replicas that both watched saw the same: what one missed the other may know.
const INSERT: &str = "INSERT INTO drover.history AS h (minute, store, queue, added, completed, failed) \
     SELECT $1, $2, q, ($4::int[])[n * 6 - 5 : n * 6], ($5::int[])[n * 6 - 5 : n * 6], ($6::int[])[n * 6 - 5 : n * 6] \
     FROM unnest($3::text[]) WITH ORDINALITY u (q, n) \
     ON CONFLICT (minute, store, queue) DO UPDATE SET \
     added = ARRAY(SELECT coalesce(a, b) FROM unnest(h.added, excluded.added) WITH ORDINALITY s (a, b, i) ORDER BY i), \
     completed = ARRAY(SELECT coalesce(a, b) FROM unnest(h.completed, excluded.completed) WITH ORDINALITY s (a, b, i) ORDER BY i), \
     failed = ARRAY(SELECT coalesce(a, b) FROM unnest(h.failed, excluded.failed) WITH ORDINALITY s (a, b, i) ORDER BY i)";

fn fits(queue: &str) -> bool {
    queue.len() <= NAME && !queue.contains('\0')
}

fn number(n: u32) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}

fn minute_of(added: &[Option<i32>], completed: &[Option<i32>], failed: &[Option<i32>]) -> Minute {
    let mut minute = [None; PER_MINUTE];
    for (i, slice) in minute.iter_mut().enumerate() {
        let one = |all: &[Option<i32>]| u32::try_from(*all.get(i)?.as_ref()?).ok();
        *slice = one(added)
            .zip(one(completed))
            .zip(one(failed))
            .map(|((added, completed), failed)| Slice {
                added,
                completed,
                failed,
            });
    }
    minute
}

impl SharedPostgres {
    async fn note_minute(&self, store: &str, watched: &Watched) -> Result<(), Trouble> {
        self.ready()?;
        let work = async {
            let pool = self.database().writes();
            let mut transaction = pool.begin().await?;
            let sql = "INSERT INTO drover.history_watched AS w (minute, store, slices) VALUES ($1, $2, $3) \
                       ON CONFLICT (minute, store) DO UPDATE SET slices = w.slices | excluded.slices";
            let bits = sqlx::query(sql)
                .bind(watched.minute)
                .bind(store)
                .bind(i16::from(watched.slices));
            bits.execute(&mut *transaction).await?;
            let known: Vec<&str> = watched
                .known
                .iter()
                .map(|queue| &**queue)
                .filter(|queue| fits(queue))
                .collect();
            if !known.is_empty() {
                let sql = "INSERT INTO drover.history_queue (store, queue, since) SELECT $1, q, $3 FROM unnest($2::text[]) q \
                           ORDER BY q ON CONFLICT DO NOTHING";
                let queues = sqlx::query(sql).bind(store).bind(known).bind(watched.minute);
                queues.execute(&mut *transaction).await?;
            }
            let mut queues: Vec<&(String, Minute)> = watched.queues.iter().filter(|(queue, _)| fits(queue)).collect();
            // Two transactions that note the same minute take their rows in the same order.
            queues.sort_unstable_by(|a, b| a.0.cmp(&b.0));
            if !queues.is_empty() {
                let all = |of: fn(Slice) -> u32| -> Vec<Option<i32>> {
                    let slices = queues.iter().flat_map(|(_, minute)| minute.iter());
                    slices.map(|slice| slice.map(|slice| number(of(slice)))).collect()
                };
                let names: Vec<&str> = queues.iter().map(|(queue, _)| &**queue).collect();
                sqlx::query(INSERT)
                    .bind(watched.minute)
                    .bind(store)
                    .bind(names)
                    .bind(all(|slice| slice.added))
                    .bind(all(|slice| slice.completed))
                    .bind(all(|slice| slice.failed))
                    .execute(&mut *transaction)
                    .await?;
            }
            transaction.commit().await
        };
        self.database().run(work).await
    }

    async fn past(&self, store: &str, from: Millis) -> Result<Past, Trouble> {
        self.ready()?;
        let work = async {
            let pool = self.database().reads();
            let mut past = Past::default();
            let sql = "SELECT minute, slices FROM drover.history_watched WHERE store = $1 AND minute >= $2";
            let watched: Vec<(i64, i16)> = sqlx::query_as(sql).bind(store).bind(from).fetch_all(&pool).await?;
            if watched.is_empty() {
                return Ok(past);
            }
            let watched = watched.into_iter();
            past.watched = watched
                .filter_map(|(minute, bits)| Some((minute, u8::try_from(bits).ok()?)))
                .collect();
            let sql = "SELECT queue, since FROM drover.history_queue WHERE store = $1";
            let since: Vec<(String, i64)> = sqlx::query_as(sql).bind(store).fetch_all(&pool).await?;
            past.since = since.into_iter().collect();
            type Row = (i64, String, Vec<Option<i32>>, Vec<Option<i32>>, Vec<Option<i32>>);
            let sql =
                "SELECT minute, queue, added, completed, failed FROM drover.history WHERE store = $1 AND minute >= $2";
            let rows: Vec<Row> = sqlx::query_as(sql).bind(store).bind(from).fetch_all(&pool).await?;
            for (minute, queue, added, completed, failed) in rows {
                let noted = minute_of(&added, &completed, &failed);
                past.minutes.entry(queue).or_default().insert(minute, noted);
            }
            Ok(past)
        };
        self.database().run(work).await
    }

    async fn forget_history(&self, now: Millis) -> Result<bool, Trouble> {
        self.ready()?;
        let before = now - KEPT;
        let mut removed = 0;
        for table in ["drover.history", "drover.history_watched"] {
            let sql = format!(
                "DELETE FROM {table} WHERE ctid = ANY (ARRAY(SELECT ctid FROM {table} WHERE minute < $1 ORDER BY minute LIMIT $2))"
            );
            let pool = self.database().writes();
            let done = sqlx::query(&sql).bind(before).bind(REMOVED);
            removed = removed.max(self.database().run(done.execute(&pool)).await?.rows_affected());
        }
        Ok(removed >= REMOVED.unsigned_abs())
    }
}

/// A minute as JSON.
fn json_of(minute: &Minute) -> String {
    let slices = minute.map(|slice| slice.map(|slice| (slice.added, slice.completed, slice.failed)));
    serde_json::to_string(&slices).unwrap_or_default()
}

/// The same read back. What cannot be read is not known.
fn of_json(text: &str) -> Minute {
    let slices: [Option<(u32, u32, u32)>; PER_MINUTE] = serde_json::from_str(text).unwrap_or_default();
    slices.map(|slice| {
        slice.map(|(added, completed, failed)| Slice {
            added,
            completed,
            failed,
        })
    })
}

impl StateFile {
    async fn note_minute(&self, store: &str, watched: &Watched) -> Result<(), Trouble> {
        let open = self.open()?;
        let work = async {
            let mut transaction = open.writes.begin_with("BEGIN IMMEDIATE").await?;
            let sql = "INSERT INTO history_watched (minute, store, slices) VALUES (?1, ?2, ?3) \
                       ON CONFLICT (minute, store) DO UPDATE SET slices = slices | excluded.slices";
            let bits = sqlx::query(sql).bind(watched.minute).bind(store).bind(watched.slices);
            bits.execute(&mut *transaction).await?;
            let known: Vec<&String> = watched.known.iter().filter(|queue| fits(queue)).collect();
            let sql = "INSERT INTO history_queue (store, queue, since, seen) SELECT ?1, value, ?2, ?2 FROM json_each(?3) WHERE true \
                       ON CONFLICT (store, queue) DO UPDATE SET seen = excluded.seen WHERE seen < excluded.seen - ?4";
            let queues = sqlx::query(sql)
                .bind(store)
                .bind(watched.minute)
                .bind(sqlx::types::Json(known));
            queues.bind(DAY).execute(&mut *transaction).await?;
            let sql = "SELECT q.queue, h.slices FROM history h JOIN history_queue q ON q.id = h.queue \
                       WHERE h.minute = ?1 AND q.store = ?2";
            let noted: Vec<(String, String)> = sqlx::query_as(sql)
                .bind(watched.minute)
                .bind(store)
                .fetch_all(&mut *transaction)
                .await?;
            let noted: HashMap<String, Minute> = noted
                .into_iter()
                .map(|(queue, slices)| (queue, of_json(&slices)))
                .collect();
            let merged = watched
                .queues
                .iter()
                .filter(|(queue, _)| fits(queue))
                .map(|(queue, minute)| {
                    let mut minute = *minute;
                    if let Some(noted) = noted.get(queue) {
                        minute = std::array::from_fn(|i| noted[i].or(minute[i]));
                    }
                    (queue, json_of(&minute))
                });
            // A queue of which nothing was ever known needs no row to be unknown.
            let sql = "INSERT OR REPLACE INTO history (minute, queue, slices) SELECT ?1, q.id, e.value ->> 1 \
                       FROM json_each(?3) e CROSS JOIN history_queue q ON q.store = ?2 AND q.queue = e.value ->> 0";
            let rows = sqlx::query(sql).bind(watched.minute).bind(store);
            let rows = rows.bind(sqlx::types::Json(merged.collect::<Vec<_>>()));
            rows.execute(&mut *transaction).await?;
            transaction.commit().await
        };
        self.write(&open, work).await
    }

    async fn past(&self, store: &str, from: Millis) -> Result<Past, Trouble> {
        let open = self.open()?;
        let work = async {
            let sql = "SELECT minute, slices FROM history_watched WHERE store = ?1 AND minute >= ?2";
            let watched: Vec<(i64, u8)> = sqlx::query_as(sql)
                .bind(store)
                .bind(from)
                .fetch_all(&open.reads)
                .await?;
            let mut past = Past {
                watched: watched.into_iter().collect(),
                ..Past::default()
            };
            if past.watched.is_empty() {
                return Ok(past);
            }
            let sql = "SELECT queue, since FROM history_queue WHERE store = ?1";
            let since: Vec<(String, i64)> = sqlx::query_as(sql).bind(store).fetch_all(&open.reads).await?;
            past.since = since.into_iter().collect();
            let sql = "SELECT h.minute, q.queue, h.slices FROM history h CROSS JOIN history_queue q ON q.id = h.queue \
                       WHERE h.minute >= ?2 AND q.store = ?1";
            let rows: Vec<(i64, String, String)> = sqlx::query_as(sql)
                .bind(store)
                .bind(from)
                .fetch_all(&open.reads)
                .await?;
            for (minute, queue, slices) in rows {
                past.minutes.entry(queue).or_default().insert(minute, of_json(&slices));
            }
            Ok(past)
        };
        self.read(&open, work).await
    }

    /// `most`: bytes that may be in use.
    async fn forget_history(&self, now: Millis, most: i64) -> Result<bool, Trouble> {
        let open = self.open()?;
        let work = async {
            let mut transaction = open.writes.begin_with("BEGIN IMMEDIATE").await?;
            let old = forget_until(&mut transaction, now - KEPT - 1).await?;
            let gone = sqlx::query("DELETE FROM history_queue WHERE seen < ?1").bind(now - KEPT - DAY);
            gone.execute(&mut *transaction).await?;
            let sql = "SELECT (page_count - freelist_count) * page_size FROM pragma_page_count, pragma_freelist_count, pragma_page_size";
            let used: i64 = sqlx::query_scalar(sql).fetch_one(&mut *transaction).await?;
            let large = used > most && forget_until(&mut transaction, now - HOUR - 1).await?;
            transaction.commit().await?;
            Ok(old || large)
        };
        self.write(&open, work).await
    }
}

/// Removes the oldest minutes up to this one, a bounded number of rows; returns whether there may be more. The same
/// minutes go from both tables in one transaction: without its rows a minute that was watched would be one in which
/// nothing happened.
async fn forget_until(connection: &mut SqliteConnection, last: Millis) -> Result<bool, sqlx::Error> {
    let sql = "SELECT min((SELECT max(minute) FROM (SELECT minute FROM history ORDER BY minute LIMIT ?1)), \
               (SELECT max(minute) FROM (SELECT minute FROM history_watched ORDER BY minute LIMIT ?1)))";
    let oldest: Option<i64> = sqlx::query_scalar(sql)
        .bind(REMOVED_OF_FILE)
        .fetch_one(&mut *connection)
        .await?;
    let until = oldest.map_or(last, |oldest| oldest.min(last));
    let mut removed = 0;
    for sql in [
        "DELETE FROM history_watched WHERE minute <= ?1",
        "DELETE FROM history WHERE minute <= ?1",
    ] {
        removed += sqlx::query(sql)
            .bind(until)
            .execute(&mut *connection)
            .await?
            .rows_affected();
    }
    Ok(removed > 0 && until < last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::tasks::Tasks;
    use std::time::Duration;
    use tokio_util::sync::CancellationToken;

    const NOW: Millis = 30_000_000;

    async fn opened(folder: &tempfile::TempDir, tasks: &Tasks) -> std::sync::Arc<StateFile> {
        let file = std::sync::Arc::new(StateFile::new(&folder.path().join("state.db")));
        file.start(tasks);
        while file.ready().is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        file
    }

    /// A minute in which something happened in so many queues.
    fn watched(minute: Millis, queues: u32) -> Watched {
        let names: Vec<String> = (0..queues).map(|n| format!("queue {n}")).collect();
        let slice = Some(Slice {
            added: 1,
            ..Slice::default()
        });
        Watched {
            minute,
            slices: 63,
            queues: names.iter().map(|name| (name.clone(), [slice; PER_MINUTE])).collect(),
            known: names,
        }
    }

    #[tokio::test]
    async fn a_file_that_is_too_large_loses_its_oldest_minutes_a_few_at_a_time_and_never_the_last_hour() {
        let (folder, tasks) = (tempfile::tempdir().unwrap(), Tasks::new(CancellationToken::new()));
        let file = opened(&folder, &tasks).await;
        for minute in 0..10 {
            file.note_minute("redis", &watched(NOW - 1_000 + minute, 900))
                .await
                .unwrap();
        }
        file.note_minute("redis", &watched(NOW - 1, 900)).await.unwrap();
        assert!(!file.forget_history(NOW, MOST).await.unwrap(), "there is room");
        let mut steps = 0;
        while file.forget_history(NOW, 1).await.unwrap() {
            steps += 1;
        }
        assert!(steps >= 3, "{steps}: 2,000 rows at a time");
        let past = file.past("redis", 0).await.unwrap();
        assert_eq!(
            past.watched.into_keys().collect::<Vec<_>>(),
            [NOW - 1],
            "none without its rows"
        );
        assert_eq!(past.minutes.len(), 900);
        tasks.stop().cancel();
        tasks.ended(Duration::from_secs(10)).await;
    }

    #[tokio::test]
    async fn a_full_disk_is_reported_once_and_the_minute_is_noted_when_there_is_room() {
        let (folder, tasks) = (tempfile::tempdir().unwrap(), Tasks::new(CancellationToken::new()));
        let file = opened(&folder, &tasks).await;
        let pages = |most: u32| {
            let file = file.clone();
            let sql = format!("PRAGMA max_page_count = {most}");
            async move { sqlx::query(&sql).execute(&file.open().unwrap().writes).await.unwrap() }
        };
        pages(20).await;
        for _ in 0..2 {
            let refused = file.note_minute("redis", &watched(NOW, 5_000)).await.unwrap_err();
            assert!(refused.cause.contains("full"), "{refused}");
        }
        assert!(file.trouble().unwrap().contains("full"));
        assert!(
            file.past("redis", 0).await.unwrap().watched.is_empty(),
            "all of a minute or nothing"
        );
        pages(1_000_000).await;
        file.note_minute("redis", &watched(NOW, 5_000)).await.unwrap();
        assert_eq!(file.trouble(), None);
        assert_eq!(file.past("redis", 0).await.unwrap().minutes.len(), 5_000);
        tasks.stop().cancel();
        tasks.ended(Duration::from_secs(10)).await;
    }
}
