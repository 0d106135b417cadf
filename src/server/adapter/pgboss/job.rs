//! One job in full, however large what it carries.

use super::super::{QueueId, ReadError};
use super::PgBoss;
use super::counts::ready;
use super::expiry;
use super::flow;
use super::list::{Cursor, Wanted};
use super::names::{ident, is_uuid, literal, parts_of};
use super::row::{job_row, row_columns};
use super::shape::{Shape, Table, ms, ms_of, us};
use super::values::{STORED_MAX, payload, value_columns};
use crate::model::format;
use crate::model::job::{EffectiveOption, Field, JobDetail, JobRow, LogPage, Neighbours, Origin, Trace, cut};
use crate::model::page::Order;
use crate::model::state::JobState;
use crate::model::{Millis, now};
use crate::server::redact::Mask;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use std::time::Duration;

/// Characters of a column shown in the table of columns.
const HEAD: usize = 200;

/// Lines and characters of a stack that are shown.
const TRACE_LINES: usize = 200;
const TRACE_CHARS: usize = 64 * 1024;

/// How long looking for the job before or behind it may take.
const NEIGHBOUR: Duration = Duration::from_millis(300);

/// A supervisor takes what is overdue once a minute: twice that is a sign that there is none.
const OVERDUE: Millis = 120_000;

/// What is in force for a job: the library's name for it, and its column since 10.
pub(super) const OPTIONS: [(&str, &str); 14] = [
    ("retryLimit", "retry_limit"),
    ("retryDelay", "retry_delay"),
    ("retryBackoff", "retry_backoff"),
    ("retryDelayMax", "retry_delay_max"),
    ("expireInSeconds", "expire_seconds"),
    ("deleteAfterSeconds", "deletion_seconds"),
    ("keepUntil", "keep_until"),
    ("heartbeatSeconds", "heartbeat_seconds"),
    ("singletonKey", "singleton_key"),
    ("singletonOn", "singleton_on"),
    ("policy", "policy"),
    ("deadLetter", "dead_letter"),
    ("groupId", "group_id"),
    ("groupTier", "group_tier"),
];

/// Reads a job; `None` if there is none.
pub(super) async fn read(boss: &PgBoss, queue: &QueueId, id: &str) -> Result<Option<JobDetail>, ReadError> {
    let Some((schema, name)) = parts_of(queue).filter(|_| is_uuid(id)) else {
        return Ok(None);
    };
    let Some(shape) = boss.shape(&schema).await? else {
        return Ok(None);
    };
    let mut found = None;
    for table in shape.tables_of_jobs() {
        let sql = sql(&shape, *table);
        let rows = boss.read(Some(&schema), sqlx::query(&sql).bind(&name).bind(id)).await?;
        found = rows.into_iter().next().map(|row| (row, *table));
        if found.is_some() {
            break;
        }
    }
    let Some((found, table)) = found else {
        return Ok(None);
    };
    let found = &found;
    // The caller, who knows the user, masks what is shown as a whole.
    let mut detail = assemble(found, job_row(found, &name, &Mask::nothing(), table));
    detail.state_note = expiry::note(&shape, found, table).or(detail.state_note);
    let waits = table == Table::Jobs && expiry::is_queued(found);
    boss.waiting.note(
        queue,
        id,
        found.get::<Option<Millis>, _>("kept_until").filter(|_| waits),
    );
    if table == Table::Archive {
        detail.fields = fields(boss, &shape, table, (&name, id)).await?;
        return Ok(Some(detail));
    }
    let family = async {
        if !shape.has_flows() {
            return Ok((None, None));
        }
        tokio::try_join!(
            flow::children(boss, &shape, &name, id),
            flow::waits(boss, &shape, &name, id)
        )
    };
    let ((children, waits), neighbours, fields) = tokio::try_join!(
        family,
        neighbours(boss, &shape, &name, found, detail.row.state),
        fields(boss, &shape, table, (&name, id))
    )?;
    detail.children = children;
    detail.parent = waits.map(|(name, id, _)| format!("{name}/{id}"));
    (detail.neighbours, detail.fields) = (neighbours, fields);
    Ok(Some(detail))
}

fn sql(shape: &Shape, table: Table) -> String {
    let text = "coalesce(j.output->>'message', j.output#>>'{value,message}', j.output#>>'{value}', j.output::text)";
    let small = |expression: &str| format!("case when pg_column_size(j.output) <= {STORED_MAX} then {expression} end");
    let mut options = Vec::new();
    for (_, column) in OPTIONS {
        let own = if shape.layout == super::family::Layout::PgBoss9 {
            column.replace('_', "")
        } else {
            column.to_owned()
        };
        options.push(match column {
            "expire_seconds" if !shape.has("job", column) => {
                let interval = if shape.has("job", "expire_in") {
                    "expire_in"
                } else {
                    "expirein"
                };
                format!("extract(epoch from j.{interval})::int8::text")
            }
            _ if shape.has("job", &own) => format!("left(j.{}::text, 500)", ident(&own)),
            _ => "null::text".to_owned(),
        });
    }
    let expires = if shape.has("job", "expire_seconds") {
        "j.expire_seconds * interval '1 s'".to_owned()
    } else {
        format!(
            "j.{}",
            if shape.has("job", "expire_in") {
                "expire_in"
            } else {
                "expirein"
            }
        )
    };
    let heartbeat = if shape.has("job", "heartbeat_on") {
        "floor(extract(epoch from j.heartbeat_on + j.heartbeat_seconds * interval '1 s') * 1000)::int8"
    } else {
        "null::int8"
    };
    let source = |column: &str, of: &str| {
        if shape.has("job", column) {
            format!("j.{column}::text as {of}")
        } else {
            format!("null::text as {of}")
        }
    };
    let c = shape.columns;
    format!(
        "select {row}, array[{options}] as options, {data}, {output}, {message}, \
         {stack} as stack, {source_name}, {source_id}, j.{retry_count} as retry_count, j.{started_on} is not null as begun, \
         floor(extract(epoch from j.{started_on} + {expires}) * 1000)::int8 as expires, {heartbeat} as beat_until, \
         case when j.{retry_count} = 0 and (j.{started_on} is null or j.{started_on} >= j.{start_after}) \
             then greatest(0, extract(epoch from j.{start_after} - j.{created_on}) * 1000)::int8 else 0 end as first_delay, \
         {ready} as ready, \
         array[{start}, {begin}, {end}, {created}] as places, {kept} as kept_until, {archived} as put_away_on \
         from {job} j where j.name = $1 and j.id = $2::uuid",
        row = row_columns(shape, c.created_on),
        options = options.join(", "),
        data = value_columns("j.data::text", "j.data", "data"),
        output = value_columns("j.output::text", "j.output", "result"),
        message = value_columns(text, "j.output", "message"),
        stack = small("left(coalesce(j.output->>'stack', j.output#>>'{value,stack}'), 262144)"),
        source_name = source("source_name", "source_name"),
        source_id = source("source_id", "source_id"),
        retry_count = c.retry_count,
        started_on = c.started_on,
        start_after = c.start_after,
        created_on = c.created_on,
        ready = ms_of(&ready(shape, "j")),
        start = us(c.start_after),
        begin = us(c.started_on),
        end = us(c.completed_on),
        created = us(c.created_on),
        kept = ms(c.keep_until),
        archived = match table {
            Table::Jobs => "null::int8".to_owned(),
            Table::Archive => ms(c.archived_on),
        },
        job = table.at(shape),
    )
}

fn assemble(found: &PgRow, row: JobRow) -> JobDetail {
    let values: Vec<Option<String>> = found.get("options");
    let mut effective: Vec<EffectiveOption> = OPTIONS
        .iter()
        .zip(&values)
        .filter_map(|((name, _), value)| {
            Some(EffectiveOption {
                name: (*name).to_owned(),
                value: value.clone()?,
                origin: Origin::Options,
                payload: false,
            })
        })
        .collect();
    let option = |name: &str| {
        let place = OPTIONS.iter().position(|(known, _)| *known == name)?;
        values.get(place)?.clone()
    };
    let mut oddities = Vec::new();
    let source: (Option<String>, Option<String>) = (found.get("source_name"), found.get("source_id"));
    if let (Some(queue), Some(id)) = &source {
        effective.push(EffectiveOption {
            name: "source".into(),
            value: format!("{queue}/{id}"),
            origin: Origin::Options,
            payload: false,
        });
        oddities.push(format!(
            "It is the dead letter of job {id} of {}, which still exists as failed: run one of them again, not both.",
            format::visible(queue)
        ));
    }
    let failed = row.state == JobState::Failed;
    if let Some(letters) = option("deadLetter").filter(|_| failed) {
        oddities.push(format!(
            "When it failed permanently, a copy was put into {}: run one of them again, not both.",
            format::visible(&letters)
        ));
    }
    let message = payload(found, "message");
    let stack: Option<String> = found.get("stack");
    // A job that waits for its retry still has what its last attempt failed with.
    let with_error = failed || row.error.is_some();
    let traces: Vec<Trace> = stack
        .filter(|_| with_error)
        .map(|stack| trace(&stack, row.attempts.unwrap_or(0)))
        .into_iter()
        .collect();
    let delay: Millis = found.get("first_delay");
    let ready: Option<Millis> = found.get("ready");
    let active = row.state == JobState::Active;
    JobDetail {
        withheld: false,
        hidden_by: std::collections::BTreeMap::new(),
        state_known: true,
        state_note: (active && option("heartbeatSeconds").is_none()).then(|| {
            "A worker without a heartbeat does not notice actions on its job: if you cancel or remove the job, its \
             result is ignored."
                .into()
        }),
        oddities,
        place: None,
        neighbours: Neighbours::default(),
        locked: None,
        lock: None,
        lost: active.then(|| overdue(found)).flatten(),
        attempts_started: Some(
            u32::try_from(found.get::<i32, _>("retry_count")).unwrap_or(0) + u32::from(found.get::<bool, _>("begun")),
        ),
        backoff: backoff(&option("retryDelay"), &option("retryBackoff"), &option("retryDelayMax")),
        deferred_failure: None,
        delay: None,
        first_delay: (delay > 0).then_some(delay),
        ready: ready.filter(|_| row.state == JobState::Waiting),
        data: payload(found, "data"),
        options: None,
        effective,
        progress: None,
        result: payload(found, "result").filter(|_| !with_error),
        error: message.filter(|_| with_error),
        traces_total: traces.len() as u64,
        traces_size: traces.iter().map(|trace| trace.size).sum(),
        traces,
        traces_note: (row.attempts > Some(1)).then(|| "pg-boss keeps only the error of the last attempt.".into()),
        logs: LogPage::default(),
        keep_logs: None,
        dedup: None,
        carries_schedule: None,
        parent: None,
        children: None,
        fields: Vec::new(),
        row,
        as_of: now(),
    }
}

pub(super) fn trace(stack: &str, attempt: u32) -> Trace {
    let shown: Vec<&str> = stack.lines().take(TRACE_LINES).collect();
    let text = cut(&shown.join("\n"), TRACE_CHARS);
    Trace {
        attempt: Some(attempt),
        size: stack.len() as u64,
        lines: stack.lines().count() as u64,
        cut: text.len() < stack.trim_end().len(),
        text,
    }
}

pub(super) fn backoff(delay: &Option<String>, grows: &Option<String>, most: &Option<String>) -> Option<String> {
    let delay = delay.as_deref().unwrap_or("0");
    let most = most
        .as_deref()
        .map_or_else(String::new, |most| format!(", {most} s at most"));
    match (delay, grows.as_deref()) {
        (_, Some("true")) => Some(format!("from {delay} s, doubled each time{most}")),
        ("0", _) => None,
        _ => Some(format!("{delay} s")),
    }
}

/// What happens to an active job whose time is over.
fn overdue(found: &PgRow) -> Option<String> {
    let late = |column: &str| {
        let until: Option<Millis> = found.get(column);
        until.map(|until| now() - until).filter(|late| *late > 0)
    };
    let (late, what) = late("beat_until")
        .map(|late| (late, "Its worker has sent no heartbeat in time"))
        .or_else(|| late("expires").map(|late| (late, "It has exceeded its time limit")))?;
    Some(if late > OVERDUE {
        format!(
            "{what}, since {}. pg-boss fails such jobs once a minute, but no pg-boss process with supervise on is \
             running.",
            format::span(late)
        )
    } else {
        format!("{what}: pg-boss fails it within a minute, to be retried if attempts are left.")
    })
}

async fn neighbours(
    boss: &PgBoss,
    shape: &Shape,
    name: &str,
    found: &PgRow,
    state: JobState,
) -> Result<Neighbours, ReadError> {
    let places: Vec<Option<i64>> = found.get("places");
    // The column that orders the list of its state tells its place.
    let place = match state {
        JobState::Delayed => places[0],
        JobState::Active => places[1],
        JobState::Completed | JobState::Failed | JobState::Cancelled => places[2],
        _ => places[3],
    };
    let Some(at) = place else {
        return Ok(Neighbours::default());
    };
    let cursor = Cursor {
        priority: i64::from(found.get::<i32, _>("priority")),
        at,
        id: found.get("id"),
    };
    let order = Order::of(state);
    let other = match order {
        Order::Next => Order::Newest,
        Order::Newest => Order::Next,
    };
    let one = async |order: Order| {
        let wanted = Wanted {
            shape,
            table: Table::Jobs,
            state,
            order,
            after: Some(&cursor),
        };
        // A finished state of which there is little among much is not walked through for this.
        let rows = wanted.fetch_within(boss, name, 0, (None, NEIGHBOUR)).await?;
        Ok::<_, ReadError>(rows.map(|rows| rows.into_iter().next().map(|listed| listed.row.id)))
    };
    Ok(match tokio::try_join!(one(other), one(order))? {
        (Some(previous), Some(next)) => Neighbours {
            previous,
            next,
            unknown: None,
        },
        _ => Neighbours {
            unknown: Some("searching for them takes too long".into()),
            ..Neighbours::default()
        },
    })
}

/// Every column of its row that is not null.
async fn fields(boss: &PgBoss, shape: &Shape, table: Table, (name, id): (&str, &str)) -> Result<Vec<Field>, ReadError> {
    let column = |column: &str| {
        let (quoted, literal) = (ident(column), literal(column));
        match column {
            "data" | "output" | "source_output" | "trace_context" => format!(
                "({literal}, pg_column_size(j.{quoted}), \
                 case when pg_column_size(j.{quoted}) <= 8192 then left(j.{quoted}::text, {HEAD}) else '' end)"
            ),
            _ => format!("({literal}, octet_length(j.{quoted}::text), left(j.{quoted}::text, {HEAD}))"),
        }
    };
    let columns: Vec<String> = table.columns(shape).map(column).collect();
    let sql = format!(
        "select u.name, u.size, u.head from {} j cross join lateral (values {}) u(name, size, head) \
         where j.name = $1 and j.id = $2::uuid and u.size is not null order by 1",
        table.at(shape),
        columns.join(", ")
    );
    let rows = boss
        .read(Some(&shape.schema), sqlx::query(&sql).bind(name).bind(id))
        .await?;
    let field = |row: &PgRow| Field {
        name: row.get(0),
        size: u64::try_from(row.get::<i32, _>(1)).unwrap_or(0),
        head: row.get::<Option<String>, _>(2).unwrap_or_default(),
    };
    Ok(rows.iter().map(field).collect())
}
