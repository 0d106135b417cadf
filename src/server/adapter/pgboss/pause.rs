//! Pausing a queue, which pg-boss itself cannot.
//!
//! A worker takes a job by setting its state to `active`. While a queue is paused a trigger on the table of jobs leaves
//! out those updates: the worker gets no job, and asks again later. While any queue of an installation is paused, these
//! exist, all of them in the installation's own schema and its owner's; otherwise none of them does:
//!
//! | thing | what it is |
//! |---|---|
//! | table `drover_paused` | the paused queues; every role may read it |
//! | function `drover_hold` | looks a job's queue up there |
//! | trigger `drover_pause` on `job` | calls it for each job that is about to begin; partitions have copies of it |
//!
//! So every replica reads from the database whether a queue is paused. A resume removes a row, which waits for no other
//! session; the trigger is removed right after, as soon as no session reads the table of jobs for an instant. A trigger
//! that is left because a session reads the table for hours holds nothing up.
//!
//! Two Drovers that pause and resume at once take turns by an advisory lock.

use super::super::{QueueId, Trouble};
use super::act::{Failure, PATIENCE, answer};
use super::names::{ident, literal};
use super::rights::Owner;
use super::shape::Shape;
use super::{PgBoss, discover};
use crate::model::action::Effect;
use crate::model::store::Reach;
use sqlx::postgres::PgConnection;
use sqlx::{Executor as _, Row as _};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{sleep, timeout};

const TRIGGER: &str = "drover_pause";
const FUNCTION: &str = "drover_hold";
const TABLE: &str = "drover_paused";

/// How long removing the trigger waits for its lock: workers wait behind it.
const CLEAN_LOCK: &str = "set local lock_timeout = '250ms'";

/// It is tried again after this, and then after twice as long each time.
const CLEAN_AGAIN: Duration = Duration::from_millis(500);

/// The longest of these pauses.
const CLEAN_AGAIN_MAX: Duration = Duration::from_secs(60);

/// How often it is tried: for some hours. The next pause or resume takes care of it as well.
const CLEAN_TRIES: u32 = 300;

/// What there is, and what our role may do about it.
#[derive(Debug)]
struct Found {
    owner: Owner,
    /// Whether the session acts as it already.
    is_owner: bool,
    trigger: bool,
    table: bool,
}

/// What is done in one transaction.
#[derive(Clone, Copy, Debug)]
enum Step<'a> {
    /// A queue is paused, or goes on.
    Turn(&'a str, bool),
    /// What is not needed any more is removed.
    Clean,
}

/// The paused queues of an installation; `None` if that cannot be read.
pub(super) async fn paused(boss: &PgBoss, shape: &Shape) -> Result<Option<HashSet<String>>, Trouble> {
    let sql = "select coalesce(has_table_privilege(to_regclass($2), 'SELECT'), false) from pg_trigger t \
               join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace \
               where n.nspname = $1 and c.relname = 'job' and t.tgname = $3 and t.tgenabled in ('O', 'A')";
    let table = shape.at(TABLE);
    let query = sqlx::query(sql).bind(&shape.schema).bind(&table).bind(TRIGGER);
    let rows = boss.read(None, query).await?;
    match rows.first().map(|row| row.get::<bool, _>(0)) {
        None => return Ok(Some(HashSet::new())),
        Some(false) => return Ok(None),
        Some(true) => {}
    }
    let sql = format!("select queue from {table}");
    match boss.read(None, sqlx::query(&sql)).await {
        Ok(rows) => Ok(Some(rows.iter().map(|row| row.get(0)).collect())),
        // It was removed this very moment, or another session changes it.
        Err(trouble) if trouble.reach == Reach::Live => Ok(None),
        Err(trouble) => Err(trouble),
    }
}

impl PgBoss {
    /// Pauses a queue, or lets it go on.
    pub(super) async fn turn(
        &self,
        shape: &Arc<Shape>,
        queue: &QueueId,
        name: &str,
        pause: bool,
    ) -> Result<Effect, Trouble> {
        if discover::recognise(self, std::slice::from_ref(queue)).await?.is_empty() {
            return Ok(Effect::Gone);
        }
        let wanted = if pause { "It is paused." } else { "It is not paused." };
        let turned = self.alone(shape, Step::Turn(name, pause)).await;
        self.knock.notify_one();
        let effect = match turned {
            Ok(true) => Effect::done(),
            Ok(false) => Effect::Already { now: wanted.into() },
            Err(Failure::NotSent(trouble)) => return Err(trouble),
            Err(Failure::Unknown(why)) => match paused(self, shape).await {
                Ok(Some(now)) if now.contains(name) == pause => Effect::done(),
                // It may still arrive.
                _ => answer::unconfirmed(&why),
            },
            Err(failure) => answer::of(&failure),
        };
        if !pause && matches!(effect, Effect::Done { .. } | Effect::Already { .. }) {
            self.wake(shape, name).await;
            if self.clean(shape).await.is_err() {
                tokio::spawn(clean_later(self.clone(), Arc::clone(shape)));
            }
        }
        Ok(effect)
    }

    /// Removes what a pause needs, if no queue is paused.
    async fn clean(&self, shape: &Arc<Shape>) -> Result<bool, Failure> {
        self.alone(shape, Step::Clean).await
    }

    /// Runs a step as one transaction; what it answers counts once that is committed.
    async fn alone(&self, shape: &Shape, step: Step<'_>) -> Result<bool, Failure> {
        let mut connection = self.db.write().await.map_err(Failure::NotSent)?;
        let all = async {
            connection.execute("begin").await?;
            let answer = match step {
                Step::Turn(name, pause) => turned(&mut connection, shape, name, pause).await,
                Step::Clean => cleaned(&mut connection, shape).await,
            };
            let end = if answer.is_ok() { "commit" } else { "rollback" };
            connection.execute(end).await?;
            answer
        };
        match timeout(PATIENCE, all).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(Stop::Refused(reason))) => Err(Failure::Refused(reason)),
            Ok(Err(Stop::Sql(error))) => Err(self.failed(None, &error)),
            Err(_) => {
                // The connection is still busy with it; no other caller should wait for it.
                connection.detach();
                Err(self.silent())
            }
        }
    }
}

async fn clean_later(boss: PgBoss, shape: Arc<Shape>) {
    let mut pause = CLEAN_AGAIN;
    for _ in 0..CLEAN_TRIES {
        sleep(pause).await;
        pause = (pause * 2).min(CLEAN_AGAIN_MAX);
        match boss.clean(&shape).await {
            Ok(_) => return,
            Err(failure) => tracing::debug!(?failure, schema = shape.schema, "the trigger of a pause is still there"),
        }
    }
    tracing::warn!(
        schema = shape.schema,
        "the trigger {TRIGGER} could not be removed; it holds nothing up, and the next resume tries again"
    );
}

/// Whether there is now one paused queue more, or less.
async fn turned(connection: &mut PgConnection, shape: &Shape, name: &str, pause: bool) -> Result<bool, Stop> {
    let found = found(connection, shape).await?;
    if !pause && !found.table {
        return Ok(false);
    }
    let found = as_owner(connection, shape, &found).await?;
    let table = shape.at(TABLE);
    if pause {
        install(connection, shape, &found).await?;
    } else if !found.table {
        return Ok(false);
    }
    if shape.has_queues() {
        // A queue that was deleted while it was paused would keep the trigger alive indefinitely.
        let sql = format!(
            "delete from {table} p where not exists (select from {} q where q.name = p.queue)",
            shape.at("queue")
        );
        connection.execute(sqlx::raw_sql(&sql)).await?;
    }
    let sql = if pause {
        format!("insert into {table} (queue) values ($1) on conflict do nothing")
    } else {
        format!("delete from {table} where queue = $1")
    };
    let done = sqlx::query(&sql).bind(name).execute(connection).await?;
    Ok(done.rows_affected() > 0)
}

async fn install(connection: &mut PgConnection, shape: &Shape, found: &Found) -> Result<(), sqlx::Error> {
    let (job, table, function) = (shape.job(), shape.at(TABLE), shape.at(FUNCTION));
    if !found.table {
        let sql = format!(
            "create table {table} (queue text primary key, since timestamptz not null default now()); \
             grant select on {table} to public"
        );
        connection.execute(sqlx::raw_sql(&sql)).await?;
    }
    if !found.trigger {
        let body = format!(
            "begin if exists (select from {table} p where p.queue = new.name) then return null; end if; return new; end"
        );
        // It reads the table with its owner's rights: the roles of the workers need none.
        let sql = format!(
            "create or replace function {function}() returns trigger language plpgsql security definer \
             set search_path = pg_catalog, pg_temp as {}; \
             create trigger {TRIGGER} before update of state on {job} for each row \
             when (new.state = 'active' and old.state < 'active') execute function {function}()",
            literal(&body)
        );
        connection.execute(sqlx::raw_sql(&sql)).await?;
    }
    Ok(())
}

/// Whether everything is gone now.
async fn cleaned(connection: &mut PgConnection, shape: &Shape) -> Result<bool, Stop> {
    connection.execute(CLEAN_LOCK).await?;
    let found = found(connection, shape).await?;
    if !found.table && !found.trigger {
        return Ok(true);
    }
    let found = as_owner(connection, shape, &found).await?;
    let table = shape.at(TABLE);
    if found.table {
        let sql = format!("select exists (select from {table})");
        let row = connection.fetch_one(sqlx::raw_sql(&sql)).await?;
        if row.get::<bool, _>(0) {
            return Ok(false);
        }
    }
    let sql = format!(
        "drop trigger if exists {TRIGGER} on {job}; drop function if exists {function}(); drop table if exists {table}",
        job = shape.job(),
        function = shape.at(FUNCTION),
    );
    connection.execute(sqlx::raw_sql(&sql)).await?;
    Ok(true)
}

/// Why a transaction was not carried on.
#[derive(Debug)]
enum Stop {
    /// The server said no.
    Sql(sqlx::Error),
    /// We did: a sentence.
    Refused(String),
}

impl From<sqlx::Error> for Stop {
    fn from(error: sqlx::Error) -> Self {
        Self::Sql(error)
    }
}

async fn found(connection: &mut PgConnection, shape: &Shape) -> Result<Found, sqlx::Error> {
    let sql = "select o.rolname::text, o.rolsuper, pg_has_role(c.relowner, 'MEMBER'), \
               has_schema_privilege(c.relowner, n.oid, 'CREATE'), o.rolname = current_user, \
               exists (select from pg_trigger t where t.tgrelid = c.oid and t.tgname = $2), to_regclass($3) is not null \
               from pg_class c join pg_namespace n on n.oid = c.relnamespace join pg_roles o on o.oid = c.relowner \
               where n.nspname = $1 and c.relname = 'job'";
    let table = shape.at(TABLE);
    let query = sqlx::query(sql).bind(&shape.schema).bind(TRIGGER).bind(&table);
    let row = query.fetch_one(connection).await?;
    Ok(Found {
        owner: Owner {
            name: row.get(0),
            is_superuser: row.get(1),
            is_ours: row.get(2),
            may_create: row.get(3),
        },
        is_owner: row.get(4),
        trigger: row.get(5),
        table: row.get(6),
    })
}

/// Goes on as the owner of the jobs, who alone may put a trigger on them and take it away, and alone among all Drovers.
async fn as_owner(connection: &mut PgConnection, shape: &Shape, before: &Found) -> Result<Found, Stop> {
    let (owner, schema) = (&before.owner, &shape.schema);
    let row = connection.fetch_one("select current_user::text").await?;
    if let Some(reason) = owner.refusal(schema, row.get(0)) {
        return Err(Stop::Refused(reason));
    }
    if !before.is_owner {
        let sql = format!("set local role {}", ident(&owner.name));
        connection.execute(sqlx::raw_sql(&sql)).await?;
    }
    sqlx::query("select pg_advisory_xact_lock(hashtextextended($1, 0))")
        .bind(format!("{TRIGGER}:{schema}"))
        .execute(&mut *connection)
        .await?;
    Ok(Found {
        owner: owner.clone(),
        ..found(connection, shape).await?
    })
}
