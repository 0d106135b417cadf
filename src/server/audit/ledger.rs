//! The audit log in Postgres: one chain of lines for all replicas
//! ([`drover.audit`](../../../../migrations/0003_audit.sql)).
//!
//! A replica that adds lines locks the row that holds the last hash, so that the chain has one end however many
//! replicas add to it, and waits for the commit to be on disk, whatever the role has set. A line is added once: one
//! that is sent again, because its commit was not answered, is skipped.

use super::chain::{self, NOTHING, Verified};
use super::record::{Phase, Record, fingerprint};
use crate::model::Millis;
use crate::model::store::Reach;
use crate::server::adapter::Trouble;
use crate::server::adapter::postgres::classify::classify;
use crate::server::archive::{Archive, durable};
use sqlx::{PgConnection, PgPool};
use std::collections::{HashMap, HashSet};
use std::time::Duration;
use tokio::time::timeout;

/// How long adding lines may take before they go to the file: a caller waits for it.
const LIMIT: Duration = Duration::from_secs(2);

/// How long a key is kept after its use.
const KEY_KEEP: Millis = super::index::KEY_KEEP;

/// How long a replica counts as live after its last heartbeat.
const ALIVE: Duration = Duration::from_secs(20);

/// How long `to_read_record` waits for the connection.
const CONNECT: Duration = Duration::from_secs(10);

/// Rows that are verified at a time.
const PAGE: i64 = 2_000;

/// The result of adding a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Added {
    /// It is there.
    There,
    /// Another replica used its idempotency key; whether for the same request.
    KeyTaken(bool),
}

const INSERT: &str = "INSERT INTO drover.audit (seq, line, hash, id, phase, at, key, digest) \
     SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[], $8::text[])";

/// Idempotency keys in use, each with the digest of its request and whether it can be used again.
const KEYS: &str = "SELECT DISTINCT ON (a.key) a.key, a.digest, a.id, EXISTS (SELECT FROM drover.audit r WHERE r.id = a.id \
     AND r.phase = 'result' AND r.line LIKE '%,\"not_sent\":\"%') FROM drover.audit a WHERE a.key = ANY ($1) AND a.phase = 'intent' \
     AND a.at > $2 ORDER BY a.key, a.seq DESC";

const fn word(phase: Phase) -> &'static str {
    match phase {
        Phase::Intent => "intent",
        Phase::Result => "result",
    }
}

/// Columns of the rows that are added.
#[derive(Default)]
struct Rows {
    seq: Vec<i64>,
    line: Vec<String>,
    hash: Vec<String>,
    id: Vec<String>,
    phase: Vec<&'static str>,
    at: Vec<Millis>,
    key: Vec<Option<String>>,
    digest: Vec<Option<String>>,
}

impl Rows {
    fn push(&mut self, seq: i64, record: &Record, before: &str) -> Result<String, serde_json::Error> {
        let mut bytes = serde_json::to_vec(record)?;
        bytes.push(b'\n');
        let (linked, hash) = chain::link(&bytes, before);
        let line = String::from_utf8_lossy(linked.strip_suffix(b"\n").unwrap_or(&linked)).into_owned();
        let key = record.idempotency.as_ref().filter(|_| record.phase == Phase::Intent);
        self.seq.push(seq);
        self.line.push(line);
        self.hash.push(hash.clone());
        self.id.push(record.id.clone());
        self.phase.push(word(record.phase));
        self.at.push(record.at);
        self.key.push(key.map(|key| key.key.clone()));
        self.digest.push(key.map(|key| key.digest.clone()));
        Ok(hash)
    }

    async fn insert(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        let done = sqlx::query(INSERT)
            .bind(&self.seq)
            .bind(&self.line)
            .bind(&self.hash)
            .bind(&self.id)
            .bind(&self.phase)
            .bind(&self.at)
            .bind(&self.key)
            .bind(&self.digest);
        done.execute(&mut *connection).await?;
        let head = "UPDATE drover.audit_head SET seq = $1, hash = $2";
        let last = (self.seq.last(), self.hash.last());
        sqlx::query(head).bind(last.0).bind(last.1).execute(connection).await?;
        Ok(())
    }
}

impl Archive {
    /// Adds lines to the shared audit log, in their order and all or none. When this returns, they are on its disk.
    ///
    /// # Errors
    ///
    /// When it does not answer in time or refuses: then they may be there or not, and can be sent again.
    pub(super) async fn record(&self, records: &[Record], carried: bool) -> Result<Vec<Added>, Trouble> {
        self.shared().ready()?;
        let pool = self.shared().database().writes();
        match timeout(LIMIT, self.add(&pool, records, carried)).await {
            Ok(Ok(added)) => added,
            Ok(Err(error)) => Err(self.shared().database().trouble(&error)),
            Err(_) => Err(Trouble::new(
                Reach::Frozen,
                format!(
                    "The Postgres at {} did not accept an audit entry within {} s.",
                    self.address(),
                    LIMIT.as_secs()
                ),
            )),
        }
    }

    async fn add(
        &self,
        pool: &PgPool,
        records: &[Record],
        carried: bool,
    ) -> Result<Result<Vec<Added>, Trouble>, sqlx::Error> {
        let mut transaction = pool.begin().await?;
        let server = durable::ask(&mut transaction).await?;
        if server.standby || !(server.fsync || self.shared().allows_unsafe()) {
            let why = if server.standby {
                "is a standby now"
            } else {
                "runs with fsync=off now"
            };
            return Ok(Err(Trouble::new(
                Reach::Refused,
                format!("The Postgres at {} {why}.", self.address()),
            )));
        }
        let head = "SELECT seq, hash FROM drover.audit_head FOR UPDATE";
        let (mut seq, mut hash): (i64, String) = sqlx::query_as(head).fetch_one(&mut *transaction).await?;
        let ids: Vec<&str> = records.iter().map(|record| &*record.id).collect();
        let there = sqlx::query_as::<_, (String, String)>("SELECT id, phase FROM drover.audit WHERE id = ANY ($1)");
        let mut there: HashSet<_> = there
            .bind(ids)
            .fetch_all(&mut *transaction)
            .await?
            .into_iter()
            .collect();
        let mut used = HashMap::new();
        // Only keys of new intents are checked: a line about an action that is done already is added in any case.
        let keys: Vec<&str> = records
            .iter()
            .filter(|record| record.phase == Phase::Intent && !carried)
            .filter_map(|record| Some(&*record.idempotency.as_ref()?.key))
            .collect();
        if !keys.is_empty() {
            let asked = sqlx::query_as::<_, (String, String, String, bool)>(KEYS);
            let since = crate::model::now() - KEY_KEEP;
            let found = asked.bind(keys).bind(since).fetch_all(&mut *transaction).await?;
            used.extend(
                found
                    .into_iter()
                    .map(|(key, digest, id, free)| (key, (digest, id, free))),
            );
        }
        let mut rows = Rows::default();
        let mut added = Vec::with_capacity(records.len());
        for record in records {
            if let Some(key) = record
                .idempotency
                .as_ref()
                .filter(|_| record.phase == Phase::Intent && !carried)
                && let Some((digest, id, false)) = used.get(&key.key)
                && *id != record.id
            {
                added.push(Added::KeyTaken(*digest == key.digest));
                continue;
            }
            added.push(Added::There);
            if there.insert((record.id.clone(), word(record.phase).to_owned())) {
                seq += 1;
                let pushed = rows.push(seq, record, &hash);
                hash = pushed.map_err(|error| sqlx::Error::Encode(error.into()))?;
            }
        }
        if !rows.seq.is_empty() {
            rows.insert(&mut transaction).await?;
        }
        transaction.commit().await?;
        Ok(Ok(added))
    }

    /// Lines of the shared audit log after `seq`, the oldest first, with the number of the last.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub(super) async fn recorded(&self, seq: i64, limit: i64) -> Result<Vec<(i64, String)>, Trouble> {
        let sql = "SELECT seq, line FROM drover.audit WHERE seq > $1 ORDER BY seq LIMIT $2";
        let pool = self.shared().database().reads();
        let asked = sqlx::query_as(sql).bind(seq).bind(limit);
        self.shared().database().run(asked.fetch_all(&pool)).await
    }

    /// The number and the hash of the last line.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub(super) async fn record_head(&self) -> Result<(i64, String), Trouble> {
        let pool = self.shared().database().reads();
        let asked = sqlx::query_as("SELECT seq, hash FROM drover.audit_head");
        self.shared().database().run(asked.fetch_one(&pool)).await
    }

    /// Writes this replica's heartbeat; returns the live replicas.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub(super) async fn alive(&self, replica: &str) -> Result<HashSet<String>, Trouble> {
        let pool = self.shared().database().writes();
        let sign = "INSERT INTO drover.replica (id, seen_at) VALUES ($1, clock_timestamp()) \
                    ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at";
        self.shared()
            .database()
            .run(sqlx::query(sign).bind(replica).execute(&pool))
            .await?;
        let gone = "DELETE FROM drover.replica WHERE seen_at < clock_timestamp() - interval '1 day'";
        self.shared().database().run(sqlx::query(gone).execute(&pool)).await?;
        let alive = "SELECT id FROM drover.replica WHERE seen_at > clock_timestamp() - $1 * interval '1 second'";
        let asked = sqlx::query_scalar::<_, String>(alive).bind(ALIVE.as_secs_f64());
        Ok(self
            .shared()
            .database()
            .run(asked.fetch_all(&pool))
            .await?
            .into_iter()
            .collect())
    }

    /// A connection for the command line, if the table is there.
    ///
    /// # Errors
    ///
    /// Why there is none, in a sentence.
    pub(super) async fn to_read_record(&self) -> Result<PgConnection, String> {
        let reach = async {
            let mut connection = self.shared().database().connect(&[]).await?;
            let there = sqlx::query_scalar("SELECT to_regclass('drover.audit') IS NOT NULL");
            let there: bool = there.fetch_one(&mut connection).await?;
            Ok((connection, there))
        };
        match timeout(CONNECT, reach).await.unwrap_or(Err(sqlx::Error::PoolTimedOut)) {
            Ok((connection, true)) => Ok(connection),
            Ok((_, false)) => Err("it does not exist; run `drover migrate` to create it".to_owned()),
            Err(error) => Err(classify(&error, self.address()).cause),
        }
    }

    /// Follows the chain of the shared audit log through all its rows.
    ///
    /// # Errors
    ///
    /// When it cannot be read, in a sentence.
    pub async fn verify_record(&self, expected: Option<&str>) -> Result<Verified, String> {
        use sqlx::Connection as _;
        let mut connection = self.to_read_record().await?;
        let read = async {
            let mut found = Verified {
                head: NOTHING.to_owned(),
                expected: expected.is_none(),
                ..Verified::default()
            };
            // The head first: what is added meanwhile follows it.
            let head = "SELECT seq, hash FROM drover.audit_head";
            let head: Option<(i64, String)> = sqlx::query_as(head).fetch_optional(&mut connection).await?;
            let mut last = 0;
            let mut at_head = None;
            loop {
                let sql =
                    "SELECT seq, line, hash, id, phase, key FROM drover.audit WHERE seq > $1 ORDER BY seq LIMIT $2";
                let page: Vec<Row> = sqlx::query_as(sql)
                    .bind(last)
                    .bind(PAGE)
                    .fetch_all(&mut connection)
                    .await?;
                if page.is_empty() {
                    break;
                }
                for row in page {
                    follow(&mut found, &row, last);
                    last = row.0;
                    found.expected |= expected == Some(found.head.as_str());
                    if head.as_ref().is_some_and(|(seq, _)| *seq == last) {
                        at_head = Some(found.head.clone());
                    }
                }
            }
            match head {
                None => chain::tell(&mut found.broken, "drover.audit_head", "is empty: its row was removed"),
                Some((seq, _)) if seq > last => {
                    chain::tell(&mut found.broken, &rows(last + 1, seq), "missing: removed at the end")
                }
                Some((seq, hash)) if seq > 0 && at_head.as_ref() != Some(&hash) => {
                    chain::tell(
                        &mut found.broken,
                        &rows(seq, seq),
                        "is not the one that drover.audit_head names",
                    );
                }
                Some(_) => {}
            }
            let _ = connection.close().await;
            Ok::<_, sqlx::Error>(found)
        };
        read.await.map_err(|error| classify(&error, self.address()).cause)
    }
}

type Row = (i64, String, String, String, String, Option<String>);

fn rows(from: i64, to: i64) -> String {
    if from == to {
        format!("drover.audit row {from}")
    } else {
        format!("drover.audit rows {from} to {to}")
    }
}

/// Adds a row, and reports what is wrong with it.
fn follow(found: &mut Verified, (seq, line, hash, id, phase, key): &Row, last: i64) {
    let place = rows(*seq, *seq);
    let own = fingerprint(line.as_bytes());
    found.lines += 1;
    if *seq != last + 1 {
        chain::tell(&mut found.broken, &rows(last + 1, seq - 1), "missing: removed");
    }
    if own != *hash {
        chain::tell(
            &mut found.broken,
            &place,
            "was changed: its line is not the one that its hash was made of",
        );
    }
    match serde_json::from_str::<Record>(line) {
        Ok(record) => {
            let says = record
                .idempotency
                .filter(|_| record.phase == Phase::Intent)
                .map(|key| key.key);
            if record.id != *id || word(record.phase) != phase || says != *key {
                chain::tell(
                    &mut found.broken,
                    &place,
                    "was changed: its columns are not what its line says",
                );
            }
        }
        Err(_) => chain::tell(&mut found.broken, &place, "is not a record of an action"),
    }
    // A missing row is reported already.
    if *seq == last + 1 && chain::before(line.as_bytes()).as_ref() != Some(&found.head) {
        chain::tell(
            &mut found.broken,
            &place,
            "does not follow the line before it: that one was changed, or rows were put in another order",
        );
    }
    found.head = own;
}
