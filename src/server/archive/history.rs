//! How many jobs came and went, kept for a restart and for other replicas. What the rows mean is described where the tables
//! are made (`migrations/0005_history.sql`).

use super::Archive;
use crate::model::Millis;
use crate::server::adapter::Trouble;
use crate::server::collect::past::{Minute, PER_MINUTE, Past, Watched};
use crate::server::collect::throughput::Slice;

/// Names that are longer fit no index.
const NAME: usize = 1_000;

/// Minutes that are kept: 90 days.
const KEPT: Millis = 90 * 24 * 60;

/// Rows that are removed at a time.
const REMOVED: i64 = 10_000;

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

impl Archive {
    /// Notes a minute of a store, all of it or nothing.
    ///
    /// # Errors
    ///
    /// When it does not answer: it can be noted again.
    pub async fn note_minute(&self, store: &str, watched: &Watched) -> Result<(), Trouble> {
        self.shares()?;
        let work = async {
            let pool = self.common().writes();
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
            // Two that note the same minute take their rows in the same order.
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
        self.common().run(work).await
    }

    /// What is known of a store from a minute on.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub async fn past(&self, store: &str, from: Millis) -> Result<Past, Trouble> {
        self.shares()?;
        let work = async {
            let pool = self.common().reads();
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
        self.common().run(work).await
    }

    /// Removes what is older than anybody looks at, a bounded number of rows; whether there is more.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub async fn forget_history(&self, now: Millis) -> Result<bool, Trouble> {
        self.shares()?;
        let before = now - KEPT;
        let mut removed = 0;
        for table in ["drover.history", "drover.history_watched"] {
            let sql = format!(
                "DELETE FROM {table} WHERE ctid = ANY (ARRAY(SELECT ctid FROM {table} WHERE minute < $1 ORDER BY minute LIMIT $2))"
            );
            let pool = self.common().writes();
            let done = sqlx::query(&sql).bind(before).bind(REMOVED);
            removed = removed.max(self.common().run(done.execute(&pool)).await?.rows_affected());
        }
        Ok(removed >= REMOVED.unsigned_abs())
    }
}
