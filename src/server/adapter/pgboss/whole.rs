//! Finished jobs whole, as the archive keeps them: every column of the row as Postgres writes it, exactly; and their
//! removal, if each column still is what was read.
//!
//! Sessions speak in UTC and ISO dates, so that the same row gives the same texts. A value of JSON keeps its quotes and
//! digits; a column that is null is left out. What the job waited for stands beside it, as `queue/id`.

use super::super::raw::{BATCH_BYTES, Brief, JOB_MAX, Part, RawJob, Whole};
use super::super::{AnyAction, QueueId, Trouble};
use super::PgBoss;
use super::capabilities;
use super::kept::{message, moment};
use super::names::{ident, is_uuid, literal};
use super::shape::{Shape, Table};
use crate::model::action::{Effect, JobAction, Seen};
use crate::model::format;
use crate::model::state::JobState;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use std::collections::HashMap;

/// What a row takes beside its values.
const OWN_BYTES: u64 = 512;

/// Jobs removed by one statement.
pub(super) const REMOVED: usize = 500;

pub(super) const WAITED_FOR: &str = "Other jobs wait for it and would wait forever. Once it has completed, pg-boss releases them within seconds if a process with supervise on is running: try again then. If it failed, retry it, or remove those jobs first.";

/// The columns of a job, in an order of their own.
pub(super) fn columns(shape: &Shape) -> Vec<&str> {
    let mut columns: Vec<&str> = Table::Jobs.columns(shape).collect();
    columns.sort_unstable();
    columns
}

/// `$1` the queue, `$2` the jobs. The sizes first; columns are made for those only that are handed over.
fn reading(shape: &Shape, columns: &[&str]) -> String {
    let texts: Vec<String> = columns
        .iter()
        .map(|column| format!("j.{}::text", ident(column)))
        .collect();
    let waited = if shape.has_flows() {
        format!(
            "array(select d.parent_name || '/' || d.parent_id from {} d where d.child_name = j.name and d.child_id = j.id \
             order by 1)",
            shape.at("job_dependency")
        )
    } else {
        "'{}'::text[]".to_owned()
    };
    let slot = format!(
        "j.{on} is not null and j.{on} > (now() at time zone 'UTC') - interval '1 day'",
        on = shape.columns.singleton_on
    );
    let line = if shape.has("job", "policy") {
        "j.policy = 'key_strict_fifo' and j.state = 'failed'"
    } else {
        "false"
    };
    let finished = format!("(j.state = 'completed' or {})", shape.is_failed());
    format!(
        "with met as (select u.ord, j.id, {board} as board, {at} as finished, {attempts} as attempts, \
             {waited_for} as waited_for, {slot} as slot, {line} as line, {finished} as fits, \
             coalesce(octet_length(j.data::text), 0)::int8 + coalesce(octet_length(j.output::text), 0) + {OWN_BYTES} as size \
             from unnest($2::text[]) with ordinality u(id, ord) join {job} j on j.name = $1 and j.id = u.id::uuid), \
         sized as (select *, sum(case when fits and size <= {JOB_MAX} then size else 0 end) over (order by ord) as total from met), \
         taken as (select *, fits and size <= {JOB_MAX} and (total <= {BATCH_BYTES} or total = size) as taken from sized) \
         select t.ord, t.board, t.finished, t.attempts, t.waited_for, t.slot, t.line, t.fits, t.size, t.taken, \
             case when t.taken then array[{texts}]::text[] end as texts, case when t.taken then {waited} end as waited \
         from taken t join {job} j on j.name = $1 and j.id = t.id order by t.ord",
        board = shape.state(),
        at = shape.finished(),
        attempts = shape.attempts(),
        waited_for = shape.waited_for(),
        job = shape.job(),
        texts = texts.join(", "),
    )
}

/// `$1` the queue, `$2` the ids, from `$3` on what each column was.
fn removing(shape: &Shape, columns: &[&str]) -> String {
    let arrays: Vec<String> = (0..=columns.len()).map(|i| format!("${}::text[]", i + 2)).collect();
    let names: Vec<String> = (0..columns.len()).map(|i| format!("c{i}")).collect();
    let same: Vec<String> = columns
        .iter()
        .zip(&names)
        .map(|(column, name)| format!("j.{}::text is not distinct from u.{name}", ident(column)))
        .collect();
    format!(
        "with seen as materialized (select j.id, {board} as board, {same} \
                 and {width} = (select count(*) from pg_attribute a where a.attrelid = {table}::regclass and a.attnum > 0 \
                 and not a.attisdropped) as same, {waited_for} as waited_for \
             from unnest({arrays}) u(id, {names}) join {job} j on j.name = $1 and j.id = u.id::uuid for update of j), \
         gone as (delete from {job} j using seen where j.name = $1 and j.id = seen.id and seen.same and not seen.waited_for \
             returning j.id) \
         select seen.id::text as id, seen.board, seen.same, seen.waited_for, seen.id in (select id from gone) as gone from seen",
        board = shape.state(),
        same = same.join(" and "),
        // A column that came since they were read is in no archive.
        width = columns.len(),
        table = literal(&shape.job()),
        waited_for = shape.waited_for(),
        arrays = arrays.join(", "),
        names = names.join(", "),
        job = shape.job(),
    )
}

impl PgBoss {
    /// [`Archiving::whole`](super::super::Archiving::whole).
    pub(super) async fn read_whole(&self, queue: &QueueId, jobs: &[(String, Seen)]) -> Result<Vec<Whole>, Trouble> {
        let Some((shape, name)) = self.found(queue).await? else {
            return Ok(jobs.iter().map(|_| Whole::Not(Effect::Gone)).collect());
        };
        let columns = columns(&shape);
        let sql = reading(&shape, &columns);
        // An id that cannot be one meets no job; its place is kept.
        let no_job = "00000000-0000-0000-0000-000000000000";
        let ids: Vec<&str> = jobs
            .iter()
            .map(|(id, _)| if is_uuid(id) { id.as_str() } else { no_job })
            .collect();
        let query = sqlx::query(&sql).bind(&name).bind(&ids);
        let rows = self.read(Some(&shape.schema), query).await?;
        let found: HashMap<i64, PgRow> = rows.into_iter().map(|row| (row.get("ord"), row)).collect();
        let met = (1_i64..).zip(&ids).filter(|(ord, _)| !found.contains_key(ord));
        let missing: Vec<&str> = met.map(|(_, id)| *id).collect();
        let put_away = self.put_away(&shape, &name, &missing).await?;
        let mut all = Vec::with_capacity(jobs.len());
        for (ord, asked) in (1_i64..).zip(jobs) {
            let Some(row) = found.get(&ord) else {
                all.push(Whole::Not(if put_away.contains(&asked.0.to_lowercase()) {
                    Effect::Refused {
                        reason: capabilities::PUT_AWAY.into(),
                    }
                } else {
                    Effect::Gone
                }));
                continue;
            };
            match read(row, asked, &columns, &name) {
                Read::Whole(whole) => all.push(whole),
                Read::Later => break,
            }
        }
        Ok(all)
    }

    /// [`Archiving::remove_exactly`](super::super::Archiving::remove_exactly): statements of [`REMOVED`] jobs.
    pub(super) async fn remove_as_read(&self, queue: &QueueId, jobs: &[RawJob]) -> Result<Vec<Effect>, Trouble> {
        let Some((shape, name)) = self.found(queue).await? else {
            return Ok(vec![Effect::Gone; jobs.len()]);
        };
        if let Some(reason) = self.forbidden(&shape, AnyAction::Job(&JobAction::Archive)).await? {
            return Ok(vec![Effect::Refused { reason }; jobs.len()]);
        }
        let columns = columns(&shape);
        let sql = removing(&shape, &columns);
        let mut effects = Vec::with_capacity(jobs.len());
        for batch in jobs.chunks(REMOVED) {
            let ids: Vec<&str> = batch.iter().map(|job| job.id.as_str()).collect();
            let mut query = sqlx::query(&sql).bind(&name).bind(ids);
            for column in &columns {
                let values: Vec<Option<&str>> = batch
                    .iter()
                    .map(|job| std::str::from_utf8(job.field(column)?).ok())
                    .collect();
                query = query.bind(values);
            }
            match self.remove_batch(&shape, &name, batch, query).await {
                Ok(more) => effects.extend(more),
                Err(trouble) if effects.is_empty() => return Err(trouble),
                Err(trouble) => effects.extend(batch.iter().map(|_| Effect::Refused {
                    reason: format!("The command was not sent: {trouble}"),
                })),
            }
        }
        Ok(effects)
    }
}

enum Read {
    Whole(Whole),
    /// It does not fit in memory beside those before it.
    Later,
}

/// What a row of [`reading`] says of a job.
fn read(row: &PgRow, (id, seen): &(String, Seen), columns: &[&str], name: &str) -> Read {
    let not = |effect| Read::Whole(Whole::Not(effect));
    let changed = |now: String| not(Effect::Changed { now });
    let refused = |reason: String| not(Effect::Refused { reason });
    let board: String = row.get("board");
    let state: JobState = board.parse().unwrap_or(JobState::Waiting);
    let label = state.label();
    if !row.get::<bool, _>("fits") || seen.state.is_some_and(|wanted| wanted != state) {
        return changed(format!("It is {label} now."));
    }
    let Some(finished_on) = row.get::<Option<i64>, _>("finished").filter(|at| *at >= 0) else {
        return refused(
            "Its record has no finish time, so this run could not be distinguished from another one.".into(),
        );
    };
    if seen.finished_on.is_some_and(|at| at != finished_on) {
        return changed(format!("It is {label} again, since another moment than the one shown."));
    }
    let attempts = u64::try_from(row.get::<i32, _>("attempts")).unwrap_or(0);
    if seen.attempts.is_some_and(|seen| seen != attempts) {
        return changed(format!("It is {label}, and was tried again since it was shown."));
    }
    if row.get("waited_for") {
        return refused(WAITED_FOR.into());
    }
    if row.get("slot") {
        return refused(
            "It was throttled within the last day: without it, another job could take its time slot. Archive it later."
                .into(),
        );
    }
    if row.get("line") {
        return refused(
            "Its queue keeps the order within a key, and the jobs behind it must not overtake it. Retry it, or remove \
             it."
            .into(),
        );
    }
    let size = u64::try_from(row.get::<i64, _>("size")).unwrap_or(u64::MAX);
    if size > JOB_MAX {
        return refused(format!(
            "It takes {}; jobs of up to {} can be archived. Save what you need of it with the store's own tools.",
            format::bytes(size),
            format::bytes(JOB_MAX)
        ));
    }
    if !row.get::<bool, _>("taken") {
        return Read::Later;
    }
    let texts: Vec<Option<String>> = row.get("texts");
    let fields: Vec<(Vec<u8>, Vec<u8>)> = columns
        .iter()
        .zip(texts)
        .filter_map(|(column, text)| Some((column.as_bytes().to_vec(), text?.into_bytes())))
        .collect();
    let waited: Vec<String> = row.get("waited");
    let parts = (!waited.is_empty()).then(|| Part {
        name: "dependencies".into(),
        items: waited.into_iter().map(String::into_bytes).collect(),
    });
    let mut job = RawJob {
        // Postgres takes either case of it, the archive one.
        id: id.to_lowercase(),
        state,
        finished_on,
        attempts,
        brief: Brief::default(),
        fields,
        logs: vec![],
        parts: parts.into_iter().collect(),
    };
    job.brief = Brief {
        // The library's jobs have no name of their own: they are called by their queue.
        name: name.to_owned(),
        created: moment(&job, "created_on"),
        started: moment(&job, "started_on"),
        error: (state == JobState::Failed).then(|| message(&job)).flatten(),
    };
    Read::Whole(Whole::Job(job))
}
