//! Changing things, by statements of our own. Why not by the library's:
//!
//! - Its retry leaves a job to be removed by the next upkeep where the job was queued long ago (before 12.26 always when it
//!   failed long ago). Ours takes the time of the failure away and extends how long the job is kept.
//! - One job that a policy of its queue does not let in undoes the whole batch. Ours is halved until that one is found,
//!   which is then reported with the policy.
//! - It does not wake workers that wait for a notification. Ours sends one.
//! - It leaves `started_on` as it is, and so do we: the number of retries tells a worker's answer from that of an
//!   earlier attempt, and it grows at the next fetch only where a job has begun before.
//!
//! Each batch is one statement that locks its jobs, compares them with what was seen of them, and changes those that are
//! still so. A statement that the server refuses has done nothing; one that is cut off may have been done.
//!
//! - [`jobs`]: what each action changes, and of which jobs; [`insert`]: new jobs; [`redrive`]: dead letters that go back
//! - [`answer`]: the outcome, in words; [`settle`]: the outcome where no answer came

pub(super) mod answer;
mod insert;
mod jobs;
mod redrive;
mod settle;

use super::super::raw::RawJob;
use super::super::{AnyAction, QueueId, Trouble};
use super::capabilities;
use super::names::{is_uuid, parts_of};
use super::shape::{Shape, Table};
use super::{PgBoss, Statement, changes, code};
use crate::model::action::{Effect, JobAction, QueueAction, ScheduleAction, Seen};
use crate::model::capability::NOT_SUPPORTED;
use crate::model::store::Reach;
use answer::{refused, unconfirmed};
use jobs::Order;

pub(super) use insert::uuid_of;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// Jobs changed by one statement.
const BATCH: usize = 500;

/// After this long an answer is not waited for any more: the server gives a statement up before.
pub(super) const PATIENCE: Duration = Duration::from_secs(18);

/// Why a statement did not end well.
#[derive(Debug)]
pub(super) enum Failure {
    /// It was not sent.
    NotSent(Trouble),
    /// The server did nothing: a sentence.
    Refused(String),
    /// An index that admits one job alone stood in the way.
    Conflict(Option<String>),
    /// A value of one job does not fit: a sentence.
    Value(String),
    /// No answer came.
    Unknown(String),
}

impl PgBoss {
    /// [`Act::on_jobs`](super::super::Act::on_jobs).
    pub(super) async fn act_on_jobs(
        &self,
        queue: &QueueId,
        jobs: &[(String, Seen)],
        action: &JobAction,
    ) -> Result<Vec<Effect>, Trouble> {
        let Some((shape, name)) = self.found(queue).await? else {
            return Ok(vec![Effect::Gone; jobs.len()]);
        };
        if let Some(reason) = capabilities::refusal(shape.layout, action.kind()) {
            return Ok(vec![refused(reason); jobs.len()]);
        }
        if let Some(reason) = self.forbidden(&shape, AnyAction::Job(action)).await? {
            return Ok(vec![refused(reason); jobs.len()]);
        }
        if let JobAction::Duplicate(changes) = action {
            let mut effects = Vec::with_capacity(jobs.len());
            for (i, (id, seen)) in jobs.iter().enumerate() {
                match insert::duplicate(self, &shape, &name, (id, seen), changes).await {
                    Ok(effect) => effects.push(effect),
                    Err(trouble) if i == 0 => return Err(trouble),
                    Err(trouble) => effects.push(refused(format!("The command was not sent: {trouble}"))),
                }
            }
            return Ok(effects);
        }
        let order = match jobs::order(&shape, action) {
            Ok(order) => order,
            Err(reason) => return Ok(vec![refused(reason); jobs.len()]),
        };
        let mut effects = Vec::with_capacity(jobs.len());
        for batch in jobs.chunks(BATCH) {
            match self.batch(&shape, &name, batch, &order).await {
                Ok(more) => effects.extend(more),
                // Nothing at all was sent: the caller decides when to try again.
                Err(trouble) if effects.is_empty() => return Err(trouble),
                Err(trouble) => effects.extend(
                    batch
                        .iter()
                        .map(|_| refused(format!("The command was not sent: {trouble}"))),
                ),
            }
        }
        if order.wakes && effects.iter().any(|effect| matches!(effect, Effect::Done { .. })) {
            self.wake(&shape, &name).await;
        }
        if order.redrives() {
            self.wake_redriven(&shape, &name, &effects).await;
        }
        Ok(effects)
    }

    /// [`Act::on_queue`](super::super::Act::on_queue).
    pub(super) async fn act_on_whole(&self, queue: &QueueId, action: &QueueAction) -> Result<Effect, Trouble> {
        let Some((shape, name)) = self.found(queue).await? else {
            return Ok(Effect::Gone);
        };
        if let Some(reason) = capabilities::refusal(shape.layout, action.kind()) {
            return Ok(refused(reason));
        }
        // A pause looks in its own transaction.
        if let QueueAction::Add(_) = action
            && let Some(reason) = self.forbidden(&shape, AnyAction::Queue(action)).await?
        {
            return Ok(refused(reason));
        }
        match action {
            QueueAction::Add(new) => insert::add(self, &shape, &name, new).await,
            QueueAction::Pause => self.turn(&shape, queue, &name, true).await,
            QueueAction::Resume => self.turn(&shape, queue, &name, false).await,
            // Refused above, by its capabilities.
            QueueAction::Concurrency { .. }
            | QueueAction::RateLimit { .. }
            | QueueAction::ReleaseRateLimit
            | QueueAction::TrimEvents { .. }
            | QueueAction::Obliterate { .. } => Ok(refused(NOT_SUPPORTED)),
        }
    }

    /// [`Act::on_schedule`](super::super::Act::on_schedule).
    pub(super) async fn act_on_plan(
        &self,
        queue: &QueueId,
        key: &str,
        action: &ScheduleAction,
    ) -> Result<Effect, Trouble> {
        let Some((shape, name)) = self.found(queue).await? else {
            return Ok(Effect::Gone);
        };
        if let Some(reason) = capabilities::refusal(shape.layout, action.kind()) {
            return Ok(refused(reason));
        }
        // Up to 10 a queue has one schedule, which has no key.
        let keyed = shape.has("schedule", "key");
        if !keyed && !key.is_empty() {
            return Ok(Effect::Gone);
        }
        if let Some(reason) = self.forbidden(&shape, AnyAction::Schedule(action)).await? {
            return Ok(refused(reason));
        }
        match action {
            ScheduleAction::Run => insert::run(self, &shape, &name, key).await,
            ScheduleAction::Remove => {
                let which = if keyed { "and key = $2" } else { "and $2 = ''" };
                let sql = format!(
                    "delete from {} where name = $1 {which} returning name",
                    shape.at("schedule")
                );
                Ok(
                    match self.write(&shape, sqlx::query(&sql).bind(&name).bind(key)).await {
                        Ok(rows) if rows.is_empty() => Effect::Gone,
                        Ok(_) => Effect::done(),
                        Err(Failure::NotSent(trouble)) => return Err(trouble),
                        Err(failure) => answer::of(&failure),
                    },
                )
            }
            ScheduleAction::Upsert(_) => Ok(refused("pg-boss does not support this.")),
        }
    }

    pub(super) async fn found(&self, queue: &QueueId) -> Result<Option<(Arc<Shape>, String)>, Trouble> {
        let Some((schema, name)) = parts_of(queue) else {
            return Ok(None);
        };
        Ok(self.shape(&schema).await?.map(|shape| (shape, name)))
    }

    /// Changes a batch; where a policy does not let one job in, its halves, so that only that one is left out.
    async fn batch(
        &self,
        shape: &Shape,
        name: &str,
        jobs: &[(String, Seen)],
        order: &Order,
    ) -> Result<Vec<Effect>, Trouble> {
        let mut effects = vec![Effect::Gone; jobs.len()];
        let open: Vec<usize> = (0..jobs.len()).filter(|i| is_uuid(&jobs[*i].0)).collect();
        let mut parts = vec![open];
        let mut sent = false;
        while let Some(part) = parts.pop() {
            if part.is_empty() {
                continue;
            }
            let of: Vec<&(String, Seen)> = part.iter().map(|i| &jobs[*i]).collect();
            match self.change(shape, name, &of, order).await {
                Ok(done) => {
                    for (i, effect) in part.into_iter().zip(done) {
                        effects[i] = effect;
                    }
                }
                Err(Failure::NotSent(trouble)) if !sent => return Err(trouble),
                // One job that its policy or a number of its own keeps out must not keep the others.
                Err(Failure::Conflict(_) | Failure::Value(_)) if part.len() > 1 => {
                    let (left, right) = part.split_at(part.len() / 2);
                    parts.extend([right.to_vec(), left.to_vec()]);
                }
                Err(Failure::Conflict(index)) => {
                    effects[part[0]] = refused(self.policy(shape, index.as_deref()).await);
                }
                Err(Failure::Unknown(why)) if order.redrives() => {
                    let ids: Vec<&str> = of.iter().map(|(id, _)| id.as_str()).collect();
                    let settled = self.settle_redrive(shape, name, &ids, &why).await;
                    for (i, effect) in part.into_iter().zip(settled) {
                        effects[i] = effect;
                    }
                }
                Err(Failure::Unknown(why)) => {
                    let ids: Vec<&str> = of.iter().map(|(id, _)| id.as_str()).collect();
                    let settled = self.settle(shape, name, &ids, Some(order), &why).await;
                    for (i, effect) in part.into_iter().zip(settled) {
                        effects[i] = effect;
                    }
                }
                Err(failure) => {
                    for i in part {
                        effects[i] = answer::of(&failure);
                    }
                }
            }
            sent = true;
        }
        Ok(effects)
    }

    /// Removes a batch that is in the archive, as [`super::whole`] words it. Whatever is not answered is read back: what
    /// is not there any more is gone for good, and kept.
    pub(super) async fn remove_batch(
        &self,
        shape: &Shape,
        name: &str,
        jobs: &[RawJob],
        query: Statement<'_>,
    ) -> Result<Vec<Effect>, Trouble> {
        let rows = match self.write(shape, query).await {
            Ok(rows) => rows,
            Err(Failure::NotSent(trouble)) => return Err(trouble),
            Err(Failure::Unknown(why)) => {
                let ids: Vec<&str> = jobs.iter().map(|job| job.id.as_str()).collect();
                return Ok(self.settle(shape, name, &ids, None, &why).await);
            }
            Err(failure) => return Ok(vec![answer::of(&failure); jobs.len()]),
        };
        let found: HashMap<String, PgRow> = rows.into_iter().map(|row| (row.get("id"), row)).collect();
        let effect = |job: &RawJob| match found.get(&job.id.to_lowercase()) {
            None => Effect::Gone,
            Some(row) if row.get("gone") => Effect::done(),
            Some(row) if row.get("same") => refused(super::whole::WAITED_FOR),
            Some(row) => Effect::Changed {
                now: format!(
                    "{}, but has changed since it was read.",
                    answer::it_is(row.get("board")).trim_end_matches('.')
                ),
            },
        };
        let effects: Vec<Effect> = jobs.iter().map(effect).collect();
        if effects.iter().any(|effect| matches!(effect, Effect::Changed { .. })) {
            // Perhaps by an upgrade of the library.
            self.shapes.forget(&shape.schema);
        }
        Ok(effects)
    }

    async fn change(
        &self,
        shape: &Shape,
        name: &str,
        jobs: &[&(String, Seen)],
        order: &Order,
    ) -> Result<Vec<Effect>, Failure> {
        let ids: Vec<&str> = jobs.iter().map(|(id, _)| id.as_str()).collect();
        let states: Vec<Option<&str>> = jobs
            .iter()
            .map(|(_, seen)| seen.state.map(|state| state.as_str()))
            .collect();
        let finished: Vec<Option<i64>> = jobs.iter().map(|(_, seen)| seen.finished_on).collect();
        let attempts: Vec<Option<i64>> = jobs
            .iter()
            .map(|(_, seen)| seen.attempts.map(|n| i64::try_from(n).unwrap_or(i64::MAX)))
            .collect();
        let sql = order.sql(shape);
        let query = sqlx::query(&sql)
            .bind(name)
            .bind(&ids)
            .bind(states)
            .bind(finished)
            .bind(attempts);
        let query = query.bind(order.text.as_deref()).bind(order.number);
        let rows = self.write(shape, query).await?;
        let found: HashMap<String, PgRow> = rows.into_iter().map(|row| (row.get("id"), row)).collect();
        let missing: Vec<&str> = ids
            .iter()
            .copied()
            .filter(|id| !found.contains_key(&id.to_lowercase()))
            .collect();
        // The library fails a job by removing it and adding it anew: what was not met may be there.
        let there = if missing.is_empty() {
            Ok(HashMap::new())
        } else {
            self.states(shape, Table::Jobs, name, &missing).await
        };
        let moved = if order.redrives() && there.as_ref().is_ok_and(|there| there.len() < missing.len()) {
            self.redriven(shape, name, &missing).await
        } else {
            Ok(HashMap::new())
        };
        let put_away = self.put_away(shape, name, &missing).await;
        let gone = |id: &str| match (&there, &moved, &put_away) {
            (Err(trouble), ..) | (_, Err(trouble), _) | (.., Err(trouble)) => unconfirmed(&trouble.cause),
            (Ok(there), Ok(moved), Ok(put_away)) => match (there.get(id), moved.get(id)) {
                (Some(state), _) => answer::changed(state),
                (None, Some(queue)) => redrive::already(queue),
                (None, None) if put_away.contains(id) => refused(capabilities::PUT_AWAY),
                (None, None) => Effect::Gone,
            },
        };
        Ok(ids
            .iter()
            .map(|id| match found.get(&id.to_lowercase()) {
                Some(row) => answer::of_row(row, order),
                None => gone(&id.to_lowercase()),
            })
            .collect())
    }

    /// The states of these jobs now, as far as they are there.
    async fn states(
        &self,
        shape: &Shape,
        table: Table,
        name: &str,
        ids: &[&str],
    ) -> Result<HashMap<String, String>, Trouble> {
        let sql = format!(
            "select j.id::text, {} from {} j where j.name = $1 and j.id = any($2::text[]::uuid[])",
            shape.state(),
            table.at(shape)
        );
        let rows = self
            .read(Some(&shape.schema), sqlx::query(&sql).bind(name).bind(ids))
            .await;
        Ok(rows?.iter().map(|row| (row.get(0), row.get(1))).collect())
    }

    /// Those of these jobs that the library has put into its archive.
    pub(super) async fn put_away(&self, shape: &Shape, name: &str, ids: &[&str]) -> Result<HashSet<String>, Trouble> {
        if ids.is_empty() || !shape.has_archive() {
            return Ok(HashSet::new());
        }
        let states = self.states(shape, Table::Archive, name, ids).await?;
        Ok(states.into_keys().collect())
    }

    /// Runs one statement that writes.
    async fn write(&self, shape: &Shape, query: Statement<'_>) -> Result<Vec<PgRow>, Failure> {
        let mut connection = self.db.write().await.map_err(Failure::NotSent)?;
        let error = match timeout(PATIENCE, query.fetch_all(&mut *connection)).await {
            Ok(Ok(rows)) => return Ok(rows),
            Ok(Err(error)) => error,
            Err(_) => {
                // The connection is still busy with the statement; no other caller should wait for it.
                connection.detach();
                return Err(self.silent());
            }
        };
        Err(self.failed(Some(&shape.schema), &error))
    }

    pub(super) fn silent(&self) -> Failure {
        Failure::Unknown(format!("{} did not answer in time.", self.db.address()))
    }

    pub(super) fn failed(&self, schema: Option<&str>, error: &sqlx::Error) -> Failure {
        self.note(schema, error);
        let said = self.db.trouble(error);
        match code(error).as_deref() {
            // No code: the connection was cut. The others: the server ended the session, whether before or after the
            // statement is not said.
            None | Some("57P01" | "57P02" | "57P03" | "40003") => Failure::Unknown(said.cause),
            // Of the connection: some of them come from a pooler in between.
            Some(code) if code.starts_with("08") => Failure::Unknown(said.cause),
            Some("23505") => Failure::Conflict(
                error
                    .as_database_error()
                    .and_then(|error| error.constraint())
                    .map(str::to_owned),
            ),
            Some("42501") => Failure::Refused(format!(
                "Drover's role {} is not permitted to do that: {} docs/pg-boss.md lists what an operator's role needs.",
                self.db.user(),
                said.cause
            )),
            Some(code) if code.starts_with("22") => Failure::Value(said.cause),
            Some("23503") => Failure::Refused("The queue it names no longer exists.".into()),
            Some(_) => Failure::Refused(said.cause),
        }
    }

    /// Which policy an index stands for, in words.
    async fn policy(&self, shape: &Shape, index: Option<&str>) -> String {
        let sql = "select pg_get_indexdef(c.oid) from pg_class c join pg_namespace n on n.oid = c.relnamespace \
                   where n.nspname = $1 and c.relname = $2";
        let query = sqlx::query(sql).bind(&shape.schema).bind(index.unwrap_or_default());
        let rows = self.read(Some(&shape.schema), query).await.unwrap_or_default();
        let definition: Option<String> = rows.first().and_then(|row| row.get(0));
        answer::policy(&definition.unwrap_or_default())
    }

    /// Wakes workers that wait for a notification rather than poll. Without it they find the job themselves, half a
    /// minute later.
    pub(super) async fn wake(&self, shape: &Shape, name: &str) {
        if !shape.has("queue", "notify") {
            return;
        }
        let sql = format!(
            "select pg_notify(c, q.name) from unnest($1::text[]) c cross join {} q where q.name = $2 and q.notify",
            shape.at("queue")
        );
        let channels = changes::channels(&shape.schema);
        let query = sqlx::query(&sql).bind(channels.as_slice()).bind(name);
        if let Err(failure) = self.write(shape, query).await {
            tracing::debug!(?failure, "workers could not be woken");
        }
    }
}

/// A trouble that says that nothing was sent, for a failure before sending.
fn not_sent(cause: &str) -> Trouble {
    Trouble::new(Reach::Live, cause)
}
