//! Values of any size: how large they are is known before any of them is fetched, and of a large one only the beginning
//! leaves the server.

use super::super::{FieldBytes, FieldError, QueueId};
use super::PgBoss;
use super::names::{ident, is_uuid, parts_of};
use super::shape::{Shape, Table};
use crate::model::format;
use crate::model::job::{Form, Payload};
use bytes::Bytes;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use std::sync::Arc;

/// The largest text that is shown whole.
const WHOLE: i32 = 256 * 1024;

/// Characters that are shown of a larger one.
const PREVIEW: i32 = 64 * 1024;

/// The largest value, in bytes as stored, that the server makes a text of for a page.
pub(super) const STORED_MAX: i32 = 8 * 1024 * 1024;

/// The largest value that is handed over.
const DOWNLOAD_MAX: u64 = 64 * 1024 * 1024;

/// Columns of a value: its size as stored, the length of its text, and as much of that as is shown.
pub(super) fn value_columns(text: &str, stored: &str, name: &str) -> String {
    format!(
        "pg_column_size({stored}) as {name}_stored, \
         case when pg_column_size({stored}) <= {STORED_MAX} then octet_length({text}) end as {name}_size, \
         case when pg_column_size({stored}) <= {STORED_MAX} then \
             case when octet_length({text}) <= {WHOLE} then {text} else left({text}, {PREVIEW}) end end as {name}_text"
    )
}

/// The value out of [`value_columns`]; `None` where there is none.
pub(super) fn payload(row: &PgRow, name: &str) -> Option<Payload> {
    let number = |what: &str| {
        row.get::<Option<i32>, _>(&*format!("{name}_{what}"))
            .and_then(|n| u64::try_from(n).ok())
    };
    let text: Option<String> = row.get(&*format!("{name}_text"));
    match (number("size"), text) {
        (Some(size), Some(text)) => {
            let shown = text.len() as u64;
            let json = shown == size && serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
            Some(Payload {
                size,
                shown,
                form: if json { Form::Json } else { Form::Text },
                text: Some(text),
                note: None,
            })
        }
        _ => number("stored")
            .filter(|stored| *stored > u64::try_from(STORED_MAX).unwrap_or(0))
            .map(|stored| Payload {
                size: stored,
                note: Some(format!(
                    "it takes {} as Postgres stores it, its text more",
                    format::bytes(stored)
                )),
                ..Payload::default()
            }),
    }
}

impl PgBoss {
    /// A column of a job as text, one at a time for the whole store.
    pub(super) async fn value(&self, queue: &QueueId, id: &str, field: &str) -> Result<Option<FieldBytes>, FieldError> {
        let Some((schema, name)) = parts_of(queue).filter(|_| is_uuid(id)) else {
            return Ok(None);
        };
        let Some(shape) = self.shape(&schema).await? else {
            return Ok(None);
        };
        if !Table::Jobs.columns(&shape).any(|known| known == field) && !shape.has("archive", field) {
            return Ok(None);
        }
        let permit = Arc::clone(&self.downloads)
            .try_acquire_owned()
            .map_err(|_| FieldError::Busy)?;
        let column = ident(field);
        let mut found = None;
        for table in shape.tables_of_jobs() {
            if found.is_none() && table.columns(&shape).any(|known| known == field) {
                let size = self.size(&shape, *table, (&name, id), &column).await?;
                found = size.map(|size| (size, *table));
            }
        }
        let Some((size, table)) = found else {
            return Ok(None);
        };
        if size > DOWNLOAD_MAX {
            return Err(FieldError::TooLarge {
                size,
                limit: DOWNLOAD_MAX,
            });
        }
        let sql = format!(
            "select j.{column}::text from {} j where j.name = $1 and j.id = $2::uuid",
            table.at(&shape)
        );
        let rows = self.read(Some(&schema), sqlx::query(&sql).bind(&name).bind(id)).await?;
        let text: Option<String> = rows.first().and_then(|row| row.get(0));
        Ok(text.map(|text| FieldBytes {
            bytes: Bytes::from(text),
            text: true,
            permit: Some(permit),
        }))
    }

    async fn size(
        &self,
        shape: &Shape,
        table: Table,
        (name, id): (&str, &str),
        column: &str,
    ) -> Result<Option<u64>, FieldError> {
        let sql = format!(
            "select octet_length(j.{column}::text)::int8 from {} j where j.name = $1 and j.id = $2::uuid",
            table.at(shape)
        );
        let rows = self
            .read(Some(&shape.schema), sqlx::query(&sql).bind(name).bind(id))
            .await?;
        let size: Option<i64> = rows.first().and_then(|row| row.get(0));
        Ok(size.and_then(|size| u64::try_from(size).ok()))
    }
}
