//! Operations in Postgres, where all replicas of Drover see them, and one of them runs each.
//!
//! A replica runs an operation while it holds its lease ([`Held`]), which every write renews. One that was killed
//! renews nothing, and when the lease has run out by the clock of the Postgres another takes over with a new fence:
//! whatever the former owner still sends is not written, and it begins no batch once its lease may have run out. The
//! new owner treats jobs that were under way as after a restart. What the rows mean is described where the tables are
//! made (`migrations/0004_operation.sql`); the lines of the log are those of the files ([`super::journal`]).

use super::journal::{Meta, Past, read_items, write_items};
use super::select::Item;
use crate::model::operation::Operation;
use crate::model::store::Reach;
use crate::server::adapter::Trouble;
use crate::server::archive::{Archive, durable};
use crate::server::database::lease::{LEASE, Lease, Leased, RENEW};
use sqlx::postgres::PgRow;
use sqlx::{Connection as _, Executor, Postgres, Row as _};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::time::{sleep, timeout};

/// Jobs in one piece of a selection.
const PIECE: usize = 5_000;

/// How often what happened is written, if something did.
const WRITE: Duration = Duration::from_millis(300);

/// A write that the Postgres does not take is tried again after this.
const AGAIN: Duration = Duration::from_secs(1);

/// Only what is open is leased.
const OPERATION: Leased = Leased {
    table: "drover.operation",
    key: "id",
    also: (", version = version + 1", "AND open"),
};

/// How many times a commit whose answer did not come is looked for.
const LOOKS_BACK: u32 = 4;

/// The pause before each of these looks.
const LOOK_BACK_EVERY: Duration = Duration::from_secs(1);

/// How long a server that ends may take to release its operations to the other replicas.
const FAREWELL: Duration = Duration::from_millis(700);

/// Why an operation was not kept.
#[derive(Debug)]
pub(super) enum NotKept {
    /// It is not in Postgres, and can be kept elsewhere.
    Absent(Trouble),
    /// Another replica used its idempotency key.
    KeyTaken,
    /// It is not known whether it was kept.
    Unknown(Trouble),
}

/// What another replica may have changed.
#[derive(Debug)]
pub(super) struct News {
    pub(super) id: String,
    pub(super) version: i64,
    pub(super) meta: Meta,
    pub(super) told: Operation,
    pub(super) wanted: String,
    pub(super) asked: i64,
    /// Whether it is open and no other replica holds its lease.
    pub(super) left: bool,
}

fn news(row: &PgRow) -> Option<News> {
    Some(News {
        id: row.try_get("id").ok()?,
        version: row.try_get("version").ok()?,
        meta: serde_json::from_str(row.try_get("meta").ok()?).ok()?,
        told: serde_json::from_str(row.try_get("told").ok()?).ok()?,
        wanted: row.try_get("wanted").ok()?,
        asked: row.try_get("asked").ok()?,
        left: row.try_get("left_alone").ok()?,
    })
}

fn broken(trouble: Trouble) -> io::Error {
    io::Error::other(trouble.cause)
}

fn json<T: serde::Serialize>(value: &T) -> Result<String, sqlx::Error> {
    serde_json::to_string(value).map_err(|error| sqlx::Error::Encode(error.into()))
}

impl Archive {
    /// Saves a new operation with `owner` as its lease holder; closed ones beyond `keep` are removed.
    pub(super) async fn keep_operation(
        self: &Arc<Self>,
        meta: &Meta,
        told: &Operation,
        items: &[Item],
        owner: &str,
        keep: usize,
    ) -> Result<Held, NotKept> {
        self.shared().soon().await.map_err(NotKept::Absent)?;
        let began = Instant::now();
        let done = self
            .shared()
            .database()
            .run(self.insert_operation(meta, told, items, owner, keep))
            .await;
        if let Err(trouble) = done {
            // It answered, and refused.
            if trouble.reach == Reach::Live || trouble.reach == Reach::NotAllowed {
                return Err(match self.has_operation(meta).await {
                    Ok((_, true)) => NotKept::KeyTaken,
                    _ => NotKept::Absent(trouble),
                });
            }
            let mut found = Err(trouble);
            for _ in 0..LOOKS_BACK {
                sleep(LOOK_BACK_EVERY).await;
                found = self.has_operation(meta).await;
                if found.is_ok() {
                    break;
                }
            }
            match found {
                Ok((true, _)) => {}
                Ok((false, true)) => return Err(NotKept::KeyTaken),
                Ok((false, false)) => {
                    return Err(NotKept::Absent(self.refused("did not take the operation.")));
                }
                Err(trouble) => return Err(NotKept::Unknown(trouble)),
            }
        }
        Ok(Held::new(self.clone(), &meta.id, Lease::new(owner, 1, began)))
    }

    async fn insert_operation(
        &self,
        meta: &Meta,
        told: &Operation,
        items: &[Item],
        owner: &str,
        keep: usize,
    ) -> Result<(), sqlx::Error> {
        let pool = self.shared().database().writes();
        let mut transaction = pool.begin().await?;
        durable::ask(&mut transaction).await?;
        let mut stores: Vec<&str> = meta.queues.iter().map(|queue| &*queue.store).collect();
        stores.sort_unstable();
        stores.dedup();
        let sql = "INSERT INTO drover.operation (id, meta, stores, key, told, owner, expires_at) \
                   VALUES ($1, $2, $3, $4, $5, $6, clock_timestamp() + $7 * interval '1 second')";
        sqlx::query(sql)
            .bind(&meta.id)
            .bind(json(meta)?)
            .bind(stores)
            .bind(meta.key.as_ref().map(|key| &*key.key))
            .bind(json(told)?)
            .bind(owner)
            .bind(LEASE.as_secs_f64())
            .execute(&mut *transaction)
            .await?;
        for (piece, jobs) in (0_i32..).zip(items.chunks(PIECE)) {
            let mut bytes = Vec::new();
            write_items(&mut bytes, jobs).map_err(|error| sqlx::Error::Encode(error.into()))?;
            let sql = "INSERT INTO drover.operation_jobs (operation, piece, jobs) VALUES ($1, $2, $3)";
            let piece = sqlx::query(sql).bind(&meta.id).bind(piece).bind(bytes);
            piece.execute(&mut *transaction).await?;
        }
        let old = "DELETE FROM drover.operation WHERE NOT open AND id <= \
                   (SELECT id FROM drover.operation WHERE NOT open ORDER BY id DESC OFFSET $1 LIMIT 1)";
        let keep = i64::try_from(keep).unwrap_or(i64::MAX);
        sqlx::query(old).bind(keep).execute(&mut *transaction).await?;
        transaction.commit().await
    }

    /// Whether an operation is in Postgres, and whether another one with its idempotency key is.
    async fn has_operation(&self, meta: &Meta) -> Result<(bool, bool), Trouble> {
        let sql = "SELECT EXISTS (SELECT FROM drover.operation WHERE id = $1), \
                   EXISTS (SELECT FROM drover.operation WHERE id <> $1 AND key = $2)";
        let pool = self.shared().database().writes();
        let asked = sqlx::query_as(sql).bind(&meta.id);
        let asked = asked.bind(meta.key.as_ref().map(|key| &*key.key));
        self.shared().database().run(asked.fetch_one(&pool)).await
    }

    /// Operations whose version is not the known one, and open ones whose lease no other replica holds:
    /// those that `owner` runs, or ran before it was started again, are among these.
    pub(super) async fn operation_news(&self, known: &[(String, i64)], owner: &str) -> Result<Vec<News>, Trouble> {
        let sql = "SELECT o.id, o.version, o.meta, o.told, o.wanted, o.asked, \
                   o.open AND (o.owner IS NULL OR o.owner = $3 OR o.expires_at <= clock_timestamp()) AS left_alone \
                   FROM drover.operation o LEFT JOIN unnest($1::text[], $2::bigint[]) k (id, version) USING (id) \
                   WHERE o.version IS DISTINCT FROM k.version \
                   OR (o.open AND (o.owner IS NULL OR o.owner = $3 OR o.expires_at <= clock_timestamp())) ORDER BY o.id";
        let (ids, versions): (Vec<&str>, Vec<i64>) = known.iter().map(|(id, version)| (&**id, *version)).unzip();
        let pool = self.shared().database().reads();
        let asked = sqlx::query(sql).bind(ids).bind(versions).bind(owner);
        let rows = self.shared().database().run(asked.fetch_all(&pool)).await?;
        // An operation that another version of Drover wrote, and this one cannot read, is left to that version.
        Ok(rows.iter().filter_map(news).collect())
    }

    /// Takes over an operation that no replica runs, or that `owner` ran before it was started again. Only one replica
    /// gets it.
    pub(super) async fn take_operation(self: &Arc<Self>, id: &str, owner: &str) -> Result<Option<Held>, Trouble> {
        let lease = self.shared().take(OPERATION, id, owner, None).await?;
        Ok(lease.map(|lease| Held::new(self.clone(), id, lease)))
    }

    /// The frozen selection.
    pub(super) async fn operation_items(&self, id: &str) -> io::Result<Vec<Item>> {
        let sql = "SELECT jobs FROM drover.operation_jobs WHERE operation = $1 ORDER BY piece";
        let pool = self.shared().database().reads();
        let asked = sqlx::query_scalar::<_, Vec<u8>>(sql).bind(id);
        let pieces = self
            .shared()
            .database()
            .run(asked.fetch_all(&pool))
            .await
            .map_err(broken)?;
        let mut items = Vec::new();
        for piece in pieces {
            items.append(&mut read_items(&*piece)?);
        }
        Ok(items)
    }

    /// What its log tells.
    pub(super) async fn operation_past(&self, id: &str, selected: u64) -> io::Result<Past> {
        let sql = "SELECT lines FROM drover.operation_log WHERE operation = $1 ORDER BY n";
        let pool = self.shared().database().reads();
        let asked = sqlx::query_scalar::<_, Vec<u8>>(sql).bind(id);
        let lines = self
            .shared()
            .database()
            .run(asked.fetch_all(&pool))
            .await
            .map_err(broken)?;
        Ok(Past::read(&lines.concat(), usize::try_from(selected).unwrap_or(0)))
    }

    /// Saves a control request for an open operation; returns the number of requests so far.
    pub(super) async fn want(&self, id: &str, wanted: &str) -> Result<Option<i64>, Trouble> {
        self.shared().ready()?;
        let sql = "UPDATE drover.operation SET wanted = $2, asked = asked + 1, version = version + 1 \
                   WHERE id = $1 AND open RETURNING asked";
        let pool = self.shared().database().writes();
        let asked = sqlx::query_scalar(sql).bind(id).bind(wanted);
        self.shared().database().run(asked.fetch_optional(&pool)).await
    }

    /// Takes the turn in all stores of an operation, or in none: one operation works in a store, whichever replica runs
    /// it. Those that were asked for first go first, unless no replica runs them.
    pub(super) async fn take_turn(&self, id: &str) -> Result<bool, Trouble> {
        let work = async {
            let pool = self.shared().database().writes();
            let mut transaction = pool.begin().await?;
            let ended =
                "DELETE FROM drover.operation_turn t USING drover.operation o WHERE o.id = t.operation AND NOT o.open";
            sqlx::query(ended).execute(&mut *transaction).await?;
            let sql = "INSERT INTO drover.operation_turn (store, operation) SELECT s, o.id FROM drover.operation o, \
                       unnest(o.stores) s WHERE o.id = $1 AND NOT EXISTS (SELECT FROM drover.operation b WHERE b.open \
                       AND b.id < o.id AND b.stores && o.stores AND b.expires_at > clock_timestamp()) \
                       ORDER BY s ON CONFLICT DO NOTHING";
            sqlx::query(sql).bind(id).execute(&mut *transaction).await?;
            let sql = "SELECT (SELECT count(*) FROM drover.operation_turn WHERE operation = $1) = cardinality(stores) \
                       FROM drover.operation WHERE id = $1";
            let all: Option<bool> = sqlx::query_scalar(sql)
                .bind(id)
                .fetch_optional(&mut *transaction)
                .await?;
            if all == Some(true) {
                transaction.commit().await?;
                return Ok(true);
            }
            transaction.rollback().await?;
            Ok(false)
        };
        self.shared().database().run(work).await
    }
}

/// An operation that this process runs, for as long as it renews its lease.
#[derive(Debug)]
pub struct Held {
    archive: Arc<Archive>,
    id: String,
    lease: Lease,
    /// Lines that are not written yet.
    lines: Mutex<String>,
    /// One write at a time; what was told with the last one, and when that was.
    writing: tokio::sync::Mutex<(String, Instant)>,
}

impl Held {
    fn new(archive: Arc<Archive>, id: &str, lease: Lease) -> Self {
        Self {
            archive,
            id: id.to_owned(),
            lines: Mutex::default(),
            writing: tokio::sync::Mutex::new((String::new(), lease.since())),
            lease,
        }
    }

    fn lines(&self) -> MutexGuard<'_, String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether another replica holds it by now.
    pub(super) fn is_lost(&self) -> bool {
        self.lease.is_lost()
    }

    /// Whether its lease may have run out.
    pub(super) fn is_late(&self) -> bool {
        self.lease.is_late()
    }

    /// Waits until the lease is renewed; never returns if another replica holds it.
    pub(super) async fn renewed(&self, told: impl Fn() -> Operation) {
        while self.is_late() {
            self.settle(&told).await;
        }
    }

    /// Takes in lines; with `sync` they are durable when this returns, and the operation begins nothing until then.
    pub(super) async fn write(&self, lines: &str, sync: bool, told: impl Fn() -> Operation) {
        self.lines().push_str(lines);
        if sync {
            self.settle(&told).await;
        }
    }

    /// Writes the end of the operation; returns `false` if another replica holds it by now.
    pub(super) async fn ended(&self, told: impl Fn() -> Operation) -> bool {
        tokio::select! {
            () = self.settle(&told) => true,
            () = self.lease.lost() => false,
        }
    }

    /// Writes until it is written; never returns if another replica holds the operation.
    async fn settle(&self, told: &impl Fn() -> Operation) {
        loop {
            match self.flush(&told(), true).await {
                Ok(true) => return,
                Ok(false) => std::future::pending().await,
                Err(trouble) => {
                    tracing::warn!(operation = self.id, "an operation waits for its journal: {trouble}");
                    sleep(AGAIN).await;
                }
            }
        }
    }

    /// Writes what happens and renews the lease; returns once another replica holds it.
    pub(super) async fn keep(&self, told: impl Fn() -> Operation) {
        loop {
            sleep(WRITE).await;
            let now = told();
            let (before, at) = self.writing.lock().await.clone();
            let news = !self.lines().is_empty() || json(&now).is_ok_and(|now| now != before);
            if self.is_lost() {
                return;
            }
            if !news && at.elapsed() < RENEW {
                continue;
            }
            match self.flush(&now, false).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(trouble) => {
                    tracing::debug!(operation = self.id, %trouble, "the journal of an operation waits");
                    sleep(AGAIN).await;
                }
            }
        }
    }

    async fn flush(&self, told: &Operation, sync: bool) -> Result<bool, Trouble> {
        let mut writing = self.writing.lock().await;
        // They stay until they are known to be written: the caller may drop this future in the middle.
        let lines = self.lines().clone();
        let began = Instant::now();
        let work = async {
            let pool = self.archive.shared().database().writes();
            if !sync {
                return self.put(&pool, told, &lines, false).await;
            }
            let mut transaction = pool.begin().await?;
            durable::ask(&mut transaction).await?;
            let held = self.put(&mut *transaction, told, &lines, false).await?;
            transaction.commit().await?;
            Ok(held)
        };
        let done = self.archive.shared().database().run(work).await;
        match &done {
            Ok(true) => {
                // Others only add behind them.
                self.lines().drain(..lines.len());
                *writing = (json(told).unwrap_or_default(), began);
                self.lease.renewed(began);
            }
            Ok(false) => self.lease.lose(),
            Err(_) => {}
        }
        done
    }

    async fn put<'e>(
        &self,
        executor: impl Executor<'e, Database = Postgres>,
        told: &Operation,
        lines: &str,
        leave: bool,
    ) -> Result<bool, sqlx::Error> {
        let sql = "WITH mine AS (UPDATE drover.operation SET told = $4, open = $5, version = version + 1, \
                   owner = CASE WHEN $7 THEN NULL ELSE owner END, \
                   expires_at = clock_timestamp() + $8 * interval '1 second' WHERE id = $1 AND owner = $2 AND fence = $3 RETURNING id), \
                   kept AS (INSERT INTO drover.operation_log (operation, lines) SELECT id, $6 FROM mine WHERE length($6) > 0), \
                   freed AS (DELETE FROM drover.operation_turn WHERE NOT $5 AND operation IN (SELECT id FROM mine)) \
                   SELECT count(*) FROM mine";
        let mine: i64 = sqlx::query_scalar(sql)
            .bind(&self.id)
            .bind(self.lease.owner())
            .bind(self.lease.fence())
            .bind(json(told)?)
            .bind(told.state.is_open())
            .bind(lines.as_bytes())
            .bind(leave)
            .bind(LEASE.as_secs_f64())
            .fetch_one(executor)
            .await?;
        Ok(mine == 1)
    }

    /// Releases the lease, so that another replica takes it at once: this one ends.
    pub(super) async fn leave(&self, told: &Operation) {
        let work = async {
            let _writing = self.writing.lock().await;
            let lines = std::mem::take(&mut *self.lines());
            // The pools are being closed.
            let mut connection = self.archive.shared().database().connect(&[]).await?;
            self.put(&mut connection, told, &lines, true).await?;
            connection.close().await
        };
        if !matches!(timeout(FAREWELL, work).await, Ok(Ok(()))) {
            tracing::debug!(
                operation = self.id,
                "the lease of an operation is not given back and expires"
            );
        }
    }
}
