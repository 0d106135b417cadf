//! Which queues there are: the rows of the table `queue`, or, up to generation 9, the queues that jobs and schedules
//! name, those that the library has put away included. Its archive of 9 has no index of names: a search reads its
//! newest [`NEWEST`] rows, and looks for a known queue once in [`AGAIN`].

use super::super::{FoundQueue, QueueId, Search, Trouble};
use super::PgBoss;
use super::family::Layout;
use super::names::{id_of, is_internal, parts_of};
use super::shape::Shape;
use crate::model::store::Reach;
use sqlx::Row as _;
use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long it may take to tell whether queues exist: one look into an index for each.
const LIMIT: Duration = Duration::from_millis(800);

/// Rows of the archive of 9 that are read for names.
const NEWEST: usize = 5_000;

/// How long it is believed that a queue has jobs there.
const AGAIN: Duration = Duration::from_secs(600);

/// The queues of 9, by schema and name, that have jobs in the library's archive, and when that was read.
#[derive(Debug, Default)]
pub(super) struct PutAway(Mutex<HashMap<(String, String), Instant>>);

impl PutAway {
    fn has(&self, schema: &str, name: &str) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = known.get(&(schema.to_owned(), name.to_owned()));
        at.is_some_and(|at| at.elapsed() < AGAIN)
    }

    fn note(&self, schema: &str, names: &[String]) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, at| at.elapsed() < AGAIN);
        known.extend(
            names
                .iter()
                .map(|name| ((schema.to_owned(), name.clone()), Instant::now())),
        );
    }
}

/// Finds the queues of every installation.
pub(super) async fn queues(boss: &PgBoss, known: &HashSet<QueueId>) -> Result<Search, Trouble> {
    let (schemas, closed) = boss.installations().await?;
    if !closed.is_empty() {
        tracing::debug!(schemas = ?closed, "pg-boss is installed in a schema that Drover's role may not read");
    }
    let mut met = HashSet::new();
    let mut search = Search::default();
    let mut unread: HashSet<String> = closed.into_iter().collect();
    for schema in schemas {
        let names = match boss.shape(&schema).await {
            Ok(Some(shape)) => names(boss, &shape).await.map(|names| (shape, names)),
            Ok(None) => continue,
            Err(trouble) => Err(trouble),
        };
        let (shape, names) = match names {
            Ok(found) => found,
            // One installation that cannot be read does not hide the others.
            Err(trouble) if matches!(trouble.reach, Reach::Live | Reach::NotAllowed) => {
                tracing::debug!(schema, %trouble, "an installation of pg-boss could not be read");
                unread.insert(schema);
                continue;
            }
            Err(trouble) => return Err(trouble),
        };
        for name in names {
            let id = id_of(&schema, &name);
            if !known.contains(&id) {
                search.found.push(FoundQueue {
                    id: id.clone(),
                    name,
                    system: Layout::SYSTEM,
                    family: shape.layout.into(),
                });
            }
            met.insert(id);
        }
    }
    let gone = |id: &&QueueId| !met.contains(*id) && parts_of(id).is_none_or(|(schema, _)| !unread.contains(&schema));
    search.missing = known.iter().filter(gone).cloned().collect();
    Ok(search)
}

async fn names(boss: &PgBoss, shape: &Shape) -> Result<Vec<String>, Trouble> {
    let sql = if shape.has_queues() {
        format!("select name from {} order by 1", shape.at("queue"))
    } else {
        // From each name to the next by the index, whatever the number of jobs. It is ordered by bytes.
        format!(
            "with recursive t as ((select name from {job} order by name using ~<~ limit 1) \
             union all select (select name from {job} where name ~>~ t.name order by name using ~<~ limit 1) \
             from t where t.name is not null) \
             select name from t where name is not null union select name from {schedule} order by 1",
            job = shape.job(),
            schedule = shape.at("schedule")
        )
    };
    let rows = boss.read(Some(&shape.schema), sqlx::query(&sql)).await?;
    let mut names: HashSet<String> = rows.iter().map(|row| row.get(0)).collect();
    if !shape.has_queues() && shape.has_archive() {
        let sql = format!(
            "select distinct name from (select name from {} order by {} desc limit {NEWEST}) a",
            shape.at("archive"),
            shape.columns.archived_on
        );
        let rows = boss.within(shape, LIMIT, sqlx::query(&sql)).await?;
        let put_away: Vec<String> = rows.unwrap_or_default().iter().map(|row| row.get(0)).collect();
        boss.put_away.note(&shape.schema, &put_away);
        names.extend(put_away);
    }
    let mut names: Vec<String> = names.into_iter().filter(|name| !is_internal(name)).collect();
    names.sort_unstable();
    Ok(names)
}

/// Of these queues of 9, those that have jobs in the library's archive; all of them if the query takes too long.
async fn put_away(boss: &PgBoss, shape: &Shape, names: &[String]) -> Result<Vec<String>, Trouble> {
    let (mut there, open): (Vec<String>, Vec<String>) = names
        .iter()
        .cloned()
        .partition(|name| boss.put_away.has(&shape.schema, name));
    if !open.is_empty() {
        let sql = format!(
            "select n from unnest($1::text[]) n where exists (select from {} a where a.name = n)",
            shape.at("archive")
        );
        let rows = boss.within(shape, LIMIT, sqlx::query(&sql).bind(&open)).await?;
        let found = rows.map_or(open, |rows| rows.iter().map(|row| row.get(0)).collect());
        boss.put_away.note(&shape.schema, &found);
        there.extend(found);
    }
    Ok(there)
}

/// Of these ids, the ones that are queues.
pub(super) async fn recognise(boss: &PgBoss, queues: &[QueueId]) -> Result<Vec<FoundQueue>, Trouble> {
    let mut found = Vec::new();
    for (schema, names) in by_schema(queues) {
        let Some(shape) = boss.shape(&schema).await? else {
            continue;
        };
        for name in existing(boss, &shape, &names).await? {
            found.push(FoundQueue {
                id: id_of(&schema, &name),
                name,
                system: Layout::SYSTEM,
                family: shape.layout.into(),
            });
        }
    }
    Ok(found)
}

/// Which of these names are queues; all of them if the query takes too long.
pub(super) async fn existing(boss: &PgBoss, shape: &Shape, names: &[String]) -> Result<Vec<String>, Trouble> {
    let sql = if shape.has_queues() {
        format!("select name from {} where name = any($1)", shape.at("queue"))
    } else {
        format!(
            "select n from unnest($1::text[]) n where exists (select from {} j where j.name = n) \
             or exists (select from {} s where s.name = n)",
            shape.job(),
            shape.at("schedule")
        )
    };
    let rows = boss.within(shape, LIMIT, sqlx::query(&sql).bind(names)).await?;
    let Some(rows) = rows else { return Ok(names.to_vec()) };
    let mut there: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    if !shape.has_queues() && shape.has_archive() {
        let missing: Vec<String> = names.iter().filter(|name| !there.contains(name)).cloned().collect();
        there.extend(put_away(boss, shape, &missing).await?);
    }
    Ok(there)
}

/// How many queues one statement is about. In generation 10 each has a partition, which the statement locks.
pub(super) fn chunk(shape: &Shape) -> usize {
    if shape.layout == Layout::PgBoss10 { 25 } else { 500 }
}

/// Names by their schema.
pub(super) fn by_schema(queues: &[QueueId]) -> HashMap<String, Vec<String>> {
    let mut schemas: HashMap<String, Vec<String>> = HashMap::new();
    for (schema, name) in queues.iter().filter_map(|id| parts_of(id)) {
        schemas.entry(schema).or_default().push(name);
    }
    schemas
}
