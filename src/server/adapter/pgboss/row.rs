//! A job in brief: the columns that a row takes, and the row.

use super::shape::{Shape, Table, ms, us};
use crate::model::Millis;
use crate::model::job::JobRow;
use crate::model::state::JobState;
use crate::server::redact::Mask;
use sqlx::Row as _;
use sqlx::postgres::PgRow;

/// Bytes of a result, as stored, that a row's error is taken from; a larger result is shown by its size.
const OUTPUT_MAX: i32 = 8 * 1024;

/// Characters of an error shown in a row.
const ERROR_MAX: usize = 300;

/// What a row needs, of the row `j`; `place` is where it stands in an order.
pub(super) fn row_columns(shape: &Shape, place: &str) -> String {
    let c = shape.columns;
    format!(
        "j.id::text as id, {state} as board, {created} as created, {started} as started, {finished} as finished, \
         {due} as due, j.priority, {attempts} as attempts, j.{retry_limit} as retry_limit, \
         pg_column_size(j.data) as stored_size, {place} as place, j.state = 'retry' as retried, \
         pg_column_size(j.output) as output_size, \
         case when (j.state = 'retry' or {failed}) and pg_column_size(j.output) <= {OUTPUT_MAX} \
             then left(coalesce(j.output->>'message', j.output#>>'{{value,message}}', j.output#>>'{{value}}', \
             j.output::text), 4000) end as error, \
         case when j.state = 'active' and pg_column_size(j.output) <= {OUTPUT_MAX} \
             then left(j.output->>'progress', 4000) end as progress",
        state = shape.state(),
        created = ms(c.created_on),
        started = ms(c.started_on),
        finished = shape.finished(),
        due = ms(c.start_after),
        attempts = shape.attempts(),
        retry_limit = c.retry_limit,
        place = us(place),
        failed = shape.is_failed(),
    )
}

/// A row out of [`row_columns`]. What a producer or a worker wrote into it is masked before it is cut, and before any
/// filter sees it.
pub(super) fn job_row(row: &PgRow, name: &str, mask: &Mask, table: Table) -> JobRow {
    let time = |column: &str| row.get::<Option<Millis>, _>(column);
    let count = |n: i32| u32::try_from(n).unwrap_or(0);
    let size = |column: &str| row.get::<Option<i32>, _>(column).and_then(|n| u64::try_from(n).ok());
    let state = row.get::<String, _>("board").parse().unwrap_or(JobState::Waiting);
    let error: Option<String> = row.get("error");
    let large = size("output_size").filter(|_| state == JobState::Failed || row.get("retried"));
    JobRow {
        id: row.get("id"),
        // The library's jobs have no name of their own: they are called by their queue.
        name: name.to_owned(),
        state,
        created: time("created"),
        started: time("started"),
        finished: time("finished"),
        due: time("due").filter(|_| state == JobState::Delayed),
        priority: u64::try_from(row.get::<i32, _>("priority")).unwrap_or(0),
        attempts: Some(count(row.get("attempts"))),
        attempts_max: Some(count(row.get("retry_limit")).saturating_add(1)),
        stalled: 0,
        progress: row
            .get::<Option<String>, _>("progress")
            .and_then(|json| mask.progress(&json)),
        error: match (error, large) {
            (Some(error), _) => Some(mask.headline(&error, ERROR_MAX)),
            (None, Some(size)) => Some(format!("(an error of {size} bytes)")),
            (None, None) => None,
        },
        worker: None,
        scheduler: None,
        data_size: size("stored_size").unwrap_or(0),
        locked: None,
        put_away: table == Table::Archive,
        problem: None,
    }
}
