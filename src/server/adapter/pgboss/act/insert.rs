//! New jobs: as the library's own `send` makes them, with the defaults of their queue.
//!
//! The id is chosen here, before anything is sent: an answer that does not come is then settled by looking for the job.

use super::super::PgBoss;
use super::super::names::is_uuid;
use super::super::shape::{Shape, Table};
use super::answer::{self, of, refused};
use super::jobs::json;
use super::{Failure, not_sent, unconfirmed};
use crate::model::action::{Changes, Effect, NewJob, Seen};
use crate::server::adapter::Trouble;
use serde_json::{Map, Value};

/// The options that are understood, with their types in SQL.
const OPTIONS: [(&str, &str); 22] = [
    ("priority", "int4"),
    ("startAfter", "text"),
    ("retryLimit", "int4"),
    ("retryDelay", "int4"),
    ("retryBackoff", "bool"),
    ("retryDelayMax", "int4"),
    ("singletonKey", "text"),
    ("singletonSeconds", "int4"),
    ("singletonMinutes", "int4"),
    ("singletonHours", "int4"),
    ("singletonOffset", "int4"),
    ("expireInSeconds", "int4"),
    ("expireInMinutes", "int4"),
    ("expireInHours", "int4"),
    ("retentionSeconds", "int4"),
    ("retentionMinutes", "int4"),
    ("retentionHours", "int4"),
    ("retentionDays", "int4"),
    ("deleteAfterSeconds", "int4"),
    ("deadLetter", "text"),
    ("heartbeatSeconds", "int4"),
    ("group", "jsonb"),
];

/// Those that not every generation has, with their columns.
const LATER: [(&str, &str); 5] = [
    ("retryDelayMax", "retry_delay_max"),
    ("deleteAfterSeconds", "deletion_seconds"),
    ("deadLetter", "dead_letter"),
    ("heartbeatSeconds", "heartbeat_seconds"),
    ("group", "group_id"),
];

const KEPT_AWAY: &str = "The queue did not accept it: its policy, or the job's key or time slot, allows no second job. The library itself would have ignored it.";

/// Adds a job.
pub(super) async fn add(boss: &PgBoss, shape: &Shape, queue: &str, new: &NewJob) -> Result<Effect, Trouble> {
    let options = match options(new) {
        Ok(options) => options,
        Err(reason) => return Ok(refused(reason)),
    };
    let lacking = LATER.iter().find(|(option, column)| {
        options.get(option).is_some_and(|value| !value.is_null()) && !shape.has("job", column)
    });
    if let Some((option, _)) = lacking {
        return Ok(refused(format!(
            "{} has no option {option} for a job; it would be ignored.",
            shape.layout.label()
        )));
    }
    let data = match new.data.trim() {
        "" => "null".to_owned(),
        text => match json(text) {
            Ok(text) => text,
            Err(reason) => return Ok(refused(reason)),
        },
    };
    let id = match &new.id {
        Some(id) if !is_uuid(id) => {
            return Ok(refused(
                "The id of a pg-boss job is a UUID; leave it out to have one generated.",
            ));
        }
        Some(id) => id.to_lowercase(),
        None => uuid(),
    };
    if new.id.is_some() && !boss.states(shape, Table::Jobs, queue, &[&id]).await?.is_empty() {
        return Ok(refused(format!("Job {id} already exists.")));
    }
    let given = "select $3::jsonb as data, $4::json as options";
    let sql = sql(shape, given);
    let query = sqlx::query(&sql)
        .bind(queue)
        .bind(&id)
        .bind(data)
        .bind(options.to_string());
    let written = boss.write(shape, query).await;
    settle(boss, shape, queue, &id, written.map(|rows| !rows.is_empty()), KEPT_AWAY).await
}

/// Adds a job as a schedule does when its time has come.
pub(super) async fn run(boss: &PgBoss, shape: &Shape, queue: &str, key: &str) -> Result<Effect, Trouble> {
    let which = if shape.has("schedule", "key") {
        "s.key = $3"
    } else {
        "$3 = ''"
    };
    let from = format!(
        "select s.data, coalesce(s.options, '{{}}')::json as options from {} s where s.name = $1 and {which}",
        shape.at("schedule")
    );
    let exists = format!("select 1 from ({from}) s where $2::text is not null");
    let found = boss
        .read(Some(&shape.schema), sqlx::query(&exists).bind(queue).bind("").bind(key))
        .await;
    // `$2` is there for the statement below alone.
    let found = match found {
        Ok(rows) => rows,
        Err(trouble) => return Err(not_sent(&trouble.cause)),
    };
    if found.is_empty() {
        return Ok(Effect::Gone);
    }
    let id = uuid();
    let sql = sql(shape, &from);
    let written = boss
        .write(shape, sqlx::query(&sql).bind(queue).bind(&id).bind(key))
        .await;
    settle(boss, shape, queue, &id, written.map(|rows| !rows.is_empty()), KEPT_AWAY).await
}

/// Adds a job with the data and settings of another, with these changes.
pub(super) async fn duplicate(
    boss: &PgBoss,
    shape: &Shape,
    queue: &str,
    (job, seen): (&str, &Seen),
    changes: &Changes,
) -> Result<Effect, Trouble> {
    if !is_uuid(job) {
        return Ok(Effect::Gone);
    }
    let (data, [delay, priority, retries]) = match changed(changes) {
        Ok(changed) => changed,
        Err(reason) => return Ok(refused(reason)),
    };
    let mut found = None;
    for table in shape.tables_of_jobs() {
        let states = boss.states(shape, *table, queue, &[job]).await?;
        found = states.get(&job.to_lowercase()).cloned().map(|state| (state, *table));
        if found.is_some() {
            break;
        }
    }
    let Some((state, table)) = found else {
        return Ok(Effect::Gone);
    };
    if seen.state.is_some_and(|then| state != then.as_str()) {
        return Ok(answer::changed(&state));
    }
    let c = shape.columns;
    let mut columns = vec!["name", c.retry_delay, c.retry_backoff, c.singleton_key];
    for more in [
        "retry_delay_max",
        "expire_seconds",
        "expire_in",
        "expirein",
        "deletion_seconds",
        "policy",
        "dead_letter",
        "heartbeat_seconds",
        "group_id",
        "group_tier",
    ] {
        if shape.has("job", more) {
            columns.push(more);
        }
    }
    let copied: Vec<String> = columns.iter().map(|column| format!("j.{column}")).collect();
    let (from, limit) = if shape.has_queues() {
        // Retries by hand have raised the limit of the job itself.
        (
            format!("join {} q on q.name = j.name", shape.at("queue")),
            "least(j.{limit}, greatest(j.{limit} - j.{count}, coalesce(q.retry_limit, 2)))",
        )
    } else {
        (String::new(), "j.{limit}")
    };
    let limit = limit
        .replace("{limit}", c.retry_limit)
        .replace("{count}", c.retry_count);
    let sql = format!(
        "insert into {job} (id, {columns}, data, priority, {retry_limit}, {start_after}, {keep_until}) \
         select $2::uuid, {copied}, case when $4::text is null then j.data else nullif($4::text::jsonb, 'null'::jsonb) end, \
         coalesce($6::int8::int4, j.priority), coalesce($7::int8::int4, {limit}), {due}, {due} + {retention} from {source} j {from} \
         where j.name = $1 and j.id = $3::uuid on conflict do nothing returning id",
        job = shape.job(),
        source = table.at(shape),
        columns = columns.join(", "),
        copied = copied.join(", "),
        retry_limit = c.retry_limit,
        start_after = c.start_after,
        keep_until = c.keep_until,
        due = "now() + coalesce($5::int8, 0) * interval '1 ms'",
        retention = shape.retention(),
    );
    let id = uuid();
    let query = sqlx::query(&sql).bind(queue).bind(&id).bind(job).bind(data);
    let written = boss.write(shape, query.bind(delay).bind(priority).bind(retries)).await;
    settle(boss, shape, queue, &id, written.map(|rows| !rows.is_empty()), KEPT_AWAY).await
}

/// The data, and the delay in milliseconds, the priority and the retries, that a copy has in place of those of its job.
fn changed(changes: &Changes) -> Result<(Option<String>, [Option<i64>; 3]), String> {
    if changes.name.is_some() {
        return Err("Jobs of pg-boss have no name of their own.".into());
    }
    if changes.options.is_some() {
        return Err(
            "Drover copies the other options of a pg-boss job unchanged. To set different ones, add a job.".into(),
        );
    }
    let small = |n: Option<u32>, what: &str| match n.map(i32::try_from) {
        Some(Err(_)) => Err(format!("That {what} is too large.")),
        other => Ok(other.and_then(Result::ok).map(i64::from)),
    };
    let delay = changes.delay.map(i64::try_from).transpose();
    let delay = delay.map_err(|_| "That delay is too long.")?;
    let retries = small(changes.attempts.map(|n| n.saturating_sub(1)), "number of attempts")?;
    let data = changes.data.as_deref().map(json).transpose()?;
    Ok((data, [delay, small(changes.priority, "priority")?, retries]))
}

/// The outcome of an insertion.
async fn settle(
    boss: &PgBoss,
    shape: &Shape,
    queue: &str,
    id: &str,
    written: Result<bool, Failure>,
    otherwise: &str,
) -> Result<Effect, Trouble> {
    Ok(match written {
        Ok(true) => {
            boss.wake(shape, queue).await;
            Effect::made(id.to_owned())
        }
        Ok(false) => refused(otherwise),
        Err(Failure::NotSent(trouble)) => return Err(trouble),
        Err(Failure::Unknown(why)) => match boss.states(shape, Table::Jobs, queue, &[id]).await {
            Ok(there) if !there.is_empty() => Effect::made(id.to_owned()),
            // It may still arrive.
            _ => unconfirmed(&why),
        },
        Err(failure) => of(&failure),
    })
}

/// The statement that adds a job: `$1` its queue, `$2` its id, and its data and options from a query.
fn sql(shape: &Shape, given: &str) -> String {
    let c = shape.columns;
    let or = |column: &str, otherwise: &str| {
        if shape.has("queue", column) {
            format!("coalesce(q.{column}, {otherwise})")
        } else {
            otherwise.to_owned()
        }
    };
    let start = "case when o.\"startAfter\" ~ '^[0-9]{4}-' then o.\"startAfter\"::timestamptz \
                 else now() + coalesce(o.\"startAfter\", '0')::interval end";
    let slot = "coalesce(o.\"singletonSeconds\", o.\"singletonMinutes\" * 60, o.\"singletonHours\" * 3600)";
    let kept = "coalesce(o.\"retentionSeconds\", o.\"retentionMinutes\" * 60, o.\"retentionHours\" * 3600, \
                o.\"retentionDays\" * 86400)";
    let expires = format!(
        "coalesce(o.\"expireInSeconds\", o.\"expireInMinutes\" * 60, o.\"expireInHours\" * 3600, {})",
        or("expire_seconds", "900")
    );
    let usual_retries = if shape.has_queues() { "2" } else { "0" };
    let mut columns: Vec<(&str, String)> = vec![
        ("id", "$2::uuid".into()),
        ("name", "$1".into()),
        (
            "data",
            "case when g.data = 'null'::jsonb then null else g.data end".into(),
        ),
        ("priority", "coalesce(o.priority, 0)".into()),
        (c.start_after, start.into()),
        (c.singleton_key, "o.\"singletonKey\"".into()),
        (
            c.singleton_on,
            format!(
                "case when {slot} is not null then 'epoch'::timestamp + interval '1 s' * ({slot} * \
                 floor((date_part('epoch', now()) + coalesce(o.\"singletonOffset\", 0)) / {slot})) end"
            ),
        ),
        (
            c.keep_until,
            format!("{start} + coalesce({kept} * interval '1 s', {})", shape.retention()),
        ),
        (
            c.retry_limit,
            format!("coalesce(o.\"retryLimit\", {})", or("retry_limit", usual_retries)),
        ),
        (
            c.retry_delay,
            format!("coalesce(o.\"retryDelay\", {})", or("retry_delay", "0")),
        ),
        (
            c.retry_backoff,
            format!("coalesce(o.\"retryBackoff\", {})", or("retry_backoff", "false")),
        ),
    ];
    let optional = [
        (
            "retry_delay_max",
            format!("coalesce(o.\"retryDelayMax\", {})", or("retry_delay_max", "null")),
        ),
        ("expire_seconds", expires.clone()),
        ("expire_in", format!("{expires} * interval '1 s'")),
        ("expirein", format!("{expires} * interval '1 s'")),
        (
            "deletion_seconds",
            format!(
                "coalesce(o.\"deleteAfterSeconds\", {})",
                or("deletion_seconds", "604800")
            ),
        ),
        ("policy", "q.policy".into()),
        ("dead_letter", "coalesce(o.\"deadLetter\", q.dead_letter)".into()),
        (
            "heartbeat_seconds",
            format!("coalesce(o.\"heartbeatSeconds\", {})", or("heartbeat_seconds", "null")),
        ),
        ("group_id", "o.\"group\"->>'id'".into()),
        ("group_tier", "o.\"group\"->>'tier'".into()),
    ];
    columns.extend(optional.into_iter().filter(|(column, _)| shape.has("job", column)));
    let (names, values): (Vec<&str>, Vec<String>) = columns.into_iter().unzip();
    let record: Vec<String> = OPTIONS
        .iter()
        .map(|(name, kind)| format!("\"{name}\" {kind}"))
        .collect();
    let queue = if shape.has_queues() {
        format!("join {} q on q.name = $1", shape.at("queue"))
    } else {
        String::new()
    };
    format!(
        "insert into {} ({}) select {} from ({given}) g cross join lateral json_to_record(g.options) as o({}) {queue} \
         on conflict do nothing returning id",
        shape.job(),
        names.join(", "),
        values.join(", "),
        record.join(", ")
    )
}

/// The options of a new job, as the library names them.
fn options(new: &NewJob) -> Result<Value, String> {
    let mut options: Map<String, Value> = match new.options.as_deref().map(str::trim) {
        None | Some("") => Map::new(),
        Some(text) => {
            serde_json::from_str(text).map_err(|error| format!("The options are not a JSON object: {error}."))?
        }
    };
    let unknown = options
        .keys()
        .find(|name| !OPTIONS.iter().any(|(known, _)| known == name));
    if let Some(name) = unknown {
        return Err(format!("{name} is not an option that Drover passes on to pg-boss."));
    }
    if new.delay > 0 {
        let seconds = format!("{} milliseconds", new.delay);
        options.insert("startAfter".into(), seconds.into());
    } else if let Some(seconds) = options.get("startAfter").and_then(Value::as_f64) {
        options.insert("startAfter".into(), format!("{seconds} seconds").into());
    }
    if new.priority > 0 {
        options.insert("priority".into(), new.priority.into());
    }
    if let Some(attempts) = new.attempts {
        options.insert("retryLimit".into(), attempts.saturating_sub(1).into());
    }
    Ok(Value::Object(options))
}

/// A random id.
fn uuid() -> String {
    uuid_of(rand::random(), 4)
}

/// These bytes as an id of a kind.
pub(in super::super) fn uuid_of(mut bytes: [u8; 16], kind: u8) -> String {
    bytes[6] = (bytes[6] & 0x0f) | (kind << 4);
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_uuid_of_the_fourth_kind() {
        let id = uuid();
        assert!(is_uuid(&id) && id.as_bytes()[14] == b'4', "{id}");
        assert_ne!(id, uuid());
    }
}
