//! What creates jobs on a timetable: the table `schedule`, with cron patterns and, since 12.31, recurrence rules.
//!
//! pg-boss makes a job when its time has come and none before, and keeps the id of the last one since 12.31 or so.
//! A recurrence rule is understood where it says the same as a cron pattern, or is a plain interval in UTC; the moment
//! of any other is not known here, and it is counted but not listed.

use super::super::{Bounds, QueueId, Trouble};
use super::PgBoss;
use super::discover::by_schema;
use super::names::{id_of, is_uuid, parts_of};
use super::shape::{Shape, ms};
use crate::model::job::{Payload, cut};
use crate::model::queue::QueueRef;
use crate::model::schedule::{Iteration, LastRun, Schedule, ScheduleKind};
use crate::model::verdict::Verdict;
use crate::model::{Millis, now};
use crate::server::cron;
use sqlx::Row as _;
use std::collections::HashMap;

/// Characters of the data of a schedule that are shown.
const DATA_SHOWN: usize = 2_000;

/// How many schedules each queue has.
pub(super) async fn count(boss: &PgBoss, queues: &[QueueId]) -> Result<Vec<Option<u64>>, Trouble> {
    let mut found: HashMap<(String, String), u64> = HashMap::new();
    let mut looked = Vec::new();
    for (schema, names) in by_schema(queues) {
        let Some(shape) = boss.shape(&schema).await? else {
            continue;
        };
        let sql = format!(
            "select name, count(*) from {} where name = any($1) group by 1",
            shape.at("schedule")
        );
        for row in boss.read(Some(&schema), sqlx::query(&sql).bind(names)).await? {
            found.insert(
                (schema.clone(), row.get(0)),
                u64::try_from(row.get::<i64, _>(1)).unwrap_or(0),
            );
        }
        looked.push(schema);
    }
    let count = |id: &QueueId| {
        let key = parts_of(id).filter(|(schema, _)| looked.contains(schema))?;
        Some(found.get(&key).copied().unwrap_or(0))
    };
    Ok(queues.iter().map(count).collect())
}

/// The schedules that run next.
pub(super) async fn read(boss: &PgBoss, queues: &[QueueId], bounds: Bounds) -> Result<Vec<Schedule>, Trouble> {
    let mut all = Vec::new();
    for (schema, names) in by_schema(queues) {
        if let Some(shape) = boss.shape(&schema).await? {
            all.extend(of_schema(boss, &shape, &names, bounds).await?);
        }
    }
    all.sort_by_key(|schedule| schedule.next);
    let mut of_queue: HashMap<String, usize> = HashMap::new();
    all.retain(|schedule| {
        let n = of_queue.entry(schedule.queue.queue.clone()).or_default();
        *n += 1;
        *n <= bounds.queue
    });
    all.truncate(bounds.all);
    Ok(all)
}

async fn of_schema(boss: &PgBoss, shape: &Shape, names: &[String], bounds: Bounds) -> Result<Vec<Schedule>, Trouble> {
    let or = |column: &str, otherwise: &str| {
        if shape.has("schedule", column) {
            format!("s.{column}")
        } else {
            otherwise.to_owned()
        }
    };
    let (last, state, started, finished) = if shape.has("schedule", "last_job_id") {
        (
            "s.last_job_id::text",
            shape.state(),
            ms(shape.columns.started_on),
            shape.finished(),
        )
    } else {
        (
            "null::text",
            "null::text".into(),
            "null::int8".into(),
            "null::int8".into(),
        )
    };
    // Without the id of the last job there is nothing to join; a job of no id joins nothing.
    let join = if shape.has("schedule", "last_job_id") {
        format!(
            "left join {} j on j.name = s.name and j.id = s.last_job_id",
            shape.job()
        )
    } else {
        String::new()
    };
    let created = if join.is_empty() {
        "null::int8".into()
    } else {
        ms(shape.columns.created_on)
    };
    let sql = format!(
        "select s.name, {key}, {kind}, s.cron, s.timezone, left(s.data::text, 10000), octet_length(s.data::text), \
         {last}, {state}, {started}, {finished}, {created} \
         from {schedule} s {join} where s.name = any($1) order by 1, 2 limit $2",
        key = or("key", "''"),
        kind = or("kind", "'cron'"),
        schedule = shape.at("schedule"),
    );
    // They cannot be read in the order in which they run: that is not stored.
    let most = i64::try_from(bounds.all.saturating_mul(4)).unwrap_or(i64::MAX);
    let rows = boss
        .read(Some(&shape.schema), sqlx::query(&sql).bind(names).bind(most))
        .await?;
    let now = now();
    let mut schedules = Vec::with_capacity(rows.len());
    for row in rows {
        let (name, key, kind): (String, String, String) = (row.get(0), row.get(1), row.get(2));
        let (text, tz): (String, Option<String>) = (row.get(3), row.get(4));
        let (every, pattern) = if kind == "rrule" {
            of_rule(&text, tz.as_deref())
        } else {
            (None, Some(text.clone()))
        };
        let Some(next) = next(every, pattern.as_deref(), tz.as_deref(), now) else {
            continue;
        };
        let words = cron::words(every, pattern.as_deref(), tz.as_deref());
        let mask = boss.mask(shape, &name);
        let (last_id, state): (Option<String>, Option<String>) = (row.get(7), row.get(8));
        let size = u64::try_from(row.get::<Option<i32>, _>(6).unwrap_or(0)).unwrap_or(0);
        let last = match (last_id, state, row.get::<Option<Millis>, _>(11)) {
            (Some(id), Some(state), Some(at)) if is_uuid(&id) => LastRun::Kept(Iteration {
                id,
                at,
                state: state.parse().ok(),
                begun: row.get(9),
                finished: row.get(10),
            }),
            (None, ..) if shape.has("schedule", "last_job_id") => LastRun::None,
            _ => LastRun::Removed { about: None },
        };
        schedules.push(Schedule {
            queue: QueueRef {
                store: String::new(),
                queue: id_of(&shape.schema, &name).to_string(),
            },
            queue_name: String::new(),
            id: key,
            name: Some(name),
            kind: ScheduleKind::Timetable,
            every,
            pattern: if kind == "rrule" { Some(text) } else { pattern },
            tz,
            words,
            next,
            due: next,
            made: None,
            limit: None,
            start: None,
            end: None,
            job: None,
            last,
            data: row
                .get::<Option<String>, _>(5)
                .filter(|text| text != "null")
                .map(|text| {
                    let text = cut(&mask.json(&text), DATA_SHOWN);
                    Payload {
                        size,
                        shown: text.len() as u64,
                        text: Some(text),
                        ..Payload::default()
                    }
                }),
            verdict: Verdict::not_read(now),
        });
    }
    Ok(schedules)
}

fn next(every: Option<Millis>, pattern: Option<&str>, tz: Option<&str>, now: Millis) -> Option<Millis> {
    match every {
        // A rule without a beginning counts from 1970.
        Some(every) if every > 0 => Some((now / every + 1) * every),
        _ => cron::after(None, pattern, tz, now),
    }
}

/// A recurrence rule as an interval or as a cron pattern with seconds, where it says the same.
fn of_rule(rule: &str, tz: Option<&str>) -> (Option<Millis>, Option<String>) {
    let rule = rule.trim().trim_start_matches("RRULE:");
    let mut parts = HashMap::new();
    for part in rule.split(';').filter(|part| !part.is_empty()) {
        match part.split_once('=') {
            Some((name, value)) => parts.insert(name.to_ascii_uppercase(), value.to_ascii_uppercase()),
            None => return (None, None),
        };
    }
    let Some(frequency) = parts.remove("FREQ") else {
        return (None, None);
    };
    let interval = parts
        .remove("INTERVAL")
        .map_or(Some(1), |text| text.parse::<Millis>().ok());
    if parts.is_empty() {
        let unit: Option<Millis> = match frequency.as_str() {
            "SECONDLY" => Some(1_000),
            "MINUTELY" => Some(60_000),
            "HOURLY" => Some(3_600_000),
            "DAILY" => Some(86_400_000),
            _ => None,
        };
        let utc = tz.is_none_or(|tz| matches!(tz, "UTC" | "Etc/UTC"));
        if let (Some(unit), Some(interval), true) = (unit, interval.filter(|n| *n > 0), utc) {
            return (unit.checked_mul(interval), None);
        }
    }
    if interval != Some(1) {
        return (None, None);
    }
    let numbers = |text: Option<String>, otherwise: &str| {
        let text = text.unwrap_or_else(|| otherwise.to_owned());
        text.split(',')
            .all(|n| n.parse::<u32>().is_ok() || n == "*")
            .then_some(text)
    };
    let (s, m, h) = (
        parts.remove("BYSECOND"),
        parts.remove("BYMINUTE"),
        parts.remove("BYHOUR"),
    );
    let below = |above: &[&str]| if above.contains(&frequency.as_str()) { "*" } else { "0" };
    let seconds = numbers(s, below(&["SECONDLY"]));
    let minutes = numbers(m, below(&["SECONDLY", "MINUTELY"]));
    let hours = numbers(h, below(&["SECONDLY", "MINUTELY", "HOURLY"]));
    let days = match parts.remove("BYDAY") {
        None if frequency == "WEEKLY" => None,
        None => Some("*".to_owned()),
        Some(days) => {
            const DAYS: [&str; 7] = ["SU", "MO", "TU", "WE", "TH", "FR", "SA"];
            let number = |day: &str| DAYS.iter().position(|known| *known == day).map(|n| n.to_string());
            days.split(',')
                .map(number)
                .collect::<Option<Vec<_>>>()
                .map(|days| days.join(","))
        }
    };
    let of_month = match parts.remove("BYMONTHDAY") {
        None if matches!(frequency.as_str(), "MONTHLY" | "YEARLY") => None,
        other => numbers(other, "*"),
    };
    if !parts.is_empty() || frequency == "YEARLY" {
        return (None, None);
    }
    let fields = [seconds, minutes, hours, of_month, Some("*".into()), days];
    let pattern = fields
        .into_iter()
        .collect::<Option<Vec<_>>>()
        .map(|fields| fields.join(" "));
    (None, pattern)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_that_say_what_a_pattern_says_are_understood() {
        let pattern = |rule: &str| of_rule(rule, Some("Europe/Paris")).1;
        assert_eq!(pattern("FREQ=DAILY;BYHOUR=9").as_deref(), Some("0 0 9 * * *"));
        assert_eq!(
            pattern("RRULE:FREQ=WEEKLY;BYDAY=MO,FR;BYHOUR=9;BYMINUTE=30").as_deref(),
            Some("0 30 9 * * 1,5")
        );
        assert_eq!(pattern("FREQ=MONTHLY;BYMONTHDAY=1").as_deref(), Some("0 0 0 1 * *"));
        assert_eq!(of_rule("FREQ=HOURLY;INTERVAL=2", Some("UTC")), (Some(7_200_000), None));
        for other in [
            "FREQ=WEEKLY",
            "FREQ=DAILY;INTERVAL=3;BYHOUR=9",
            "FREQ=DAILY;COUNT=3",
            "DTSTART:2020\nFREQ=DAILY",
        ] {
            assert_eq!(of_rule(other, Some("Europe/Paris")), (None, None), "{other}");
        }
    }
}
