//! Which queues there are: the rows of the table `queue`, or, up to generation 9, what jobs and schedules name.

use super::super::{FoundQueue, QueueId, Search, Trouble};
use super::PgBoss;
use super::names::{id_of, is_internal, parts_of};
use super::shape::Shape;
use crate::model::store::Reach;
use sqlx::Row as _;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

/// How long it may take to tell whether queues exist: one look into an index for each.
const LIMIT: Duration = Duration::from_millis(800);

/// Finds the queues of every installation.
pub(super) async fn queues(boss: &PgBoss, known: &HashSet<QueueId>) -> Result<Search, Trouble> {
    let (schemas, closed) = boss.installations().await?;
    if !closed.is_empty() {
        tracing::debug!(schemas = ?closed, "pg-boss is installed where our role may not look");
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
                    family: shape.family,
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
    let names = rows.iter().map(|row| row.get::<String, _>(0));
    Ok(names.filter(|name| !is_internal(name)).collect())
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
                family: shape.family,
            });
        }
    }
    Ok(found)
}

/// Which of these names are queues; all of them where that cannot be told in time.
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
    Ok(match rows {
        Some(rows) => rows.iter().map(|row| row.get(0)).collect(),
        None => names.to_vec(),
    })
}

/// Names by their schema.
pub(super) fn by_schema(queues: &[QueueId]) -> HashMap<String, Vec<String>> {
    let mut schemas: HashMap<String, Vec<String>> = HashMap::new();
    for (schema, name) in queues.iter().filter_map(|id| parts_of(id)) {
        schemas.entry(schema).or_default().push(name);
    }
    schemas
}
