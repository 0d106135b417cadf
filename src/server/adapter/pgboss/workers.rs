//! Who takes jobs: the register of processes that pg-boss keeps since 12.36.
//!
//! A worker here is one call of `work()` in one process. A process writes what it runs every half minute, so one that
//! has just begun shows up that much later. Older installations keep no register: their workers are unknown.

use super::super::{Connected, ConnectionRole, Connections, Trouble};
use super::PgBoss;
use super::names::{id_of, is_internal};
use crate::model::worker::Worker;
use crate::model::{Millis, now};
use serde::Deserialize;
use sqlx::Row as _;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// Processes that are read of one installation.
const MOST: usize = 1_000;

/// What a process says of one call of `work()`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Work {
    id: String,
    queue: String,
    #[serde(default)]
    last_fetched_ms: Option<Millis>,
}

/// Reads the registers of all installations.
pub(super) async fn read(boss: &PgBoss) -> Result<Connections, Trouble> {
    let mut known = Vec::new();
    let (schemas, _) = boss.installations().await?;
    for schema in schemas {
        let Some(shape) = boss.shape(&schema).await? else {
            continue;
        };
        if !shape.has_table("instance") {
            return Ok(Connections::Refused(format!(
                "pg-boss registers its processes since 12.36, and the installation in the schema {schema} is older \
                 (schema version {}). Upgrade it to see its workers.",
                shape.number
            )));
        }
        let sql = format!(
            "select i.name, i.host, i.pid, i.version, floor(extract(epoch from i.started_on) * 1000)::int8, \
             (select coalesce(jsonb_agg(jsonb_build_object('id', w->>'id', 'queue', w->>'queue', 'lastFetchedMs', \
             floor(extract(epoch from (w->>'lastFetchedOn')::timestamptz) * 1000)::int8)), '[]')::text \
             from jsonb_array_elements(i.workers) w) \
             from {} i where i.stopped_on is null and i.heartbeat_on >= now() - 3 * i.heartbeat_seconds * interval '1 s' \
             order by i.started_on limit {MOST}",
            shape.at("instance")
        );
        for row in boss.read(Some(&schema), sqlx::query(&sql)).await? {
            let (name, host, pid): (Option<String>, String, i32) = (row.get(0), row.get(1), row.get(2));
            let version: String = row.get(3);
            let works: Vec<Work> = serde_json::from_str(&row.get::<String, _>(5)).unwrap_or_default();
            for work in works.into_iter().filter(|work| !is_internal(&work.queue)) {
                let mut number = DefaultHasher::new();
                (&host, pid, &work.id).hash(&mut number);
                let idle = work.last_fetched_ms.map_or(0, |at| (now() - at).max(0) / 1000);
                known.push(Connected {
                    queue: id_of(&schema, &work.queue),
                    role: ConnectionRole::Worker,
                    worker: Worker {
                        // Short enough for a browser's numbers.
                        id: number.finish() >> 12,
                        name: name.clone(),
                        address: format!("{host}, process {pid}"),
                        since: row.get(4),
                        idle_s: u64::try_from(idle).unwrap_or(0),
                        generation: None,
                        client: Some(format!("pg-boss {version}")),
                    },
                });
            }
        }
    }
    Ok(Connections::Known(known))
}
