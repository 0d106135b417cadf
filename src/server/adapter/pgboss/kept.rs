//! An archived job of pg-boss: shown as one of a queue is, and made into a new one.

use super::super::raw::RawJob;
use super::job::{OPTIONS, backoff, trace};
use crate::model::action::NewJob;
use crate::model::job::{
    Children, EffectiveOption, Field, Form, JobDetail, JobRow, LogPage, Neighbours, Origin, Payload, cut,
};
use crate::model::state::JobState;
use crate::model::{Millis, now};
use chrono::DateTime;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

/// Characters of a value in the table of columns.
const HEAD: usize = 200;

/// The largest value of which the page shows everything.
const WHOLE: usize = 256 * 1024;

/// How much it shows of a larger one.
const PREVIEW: usize = 64 * 1024;

/// Characters of the first line of an error.
const LINE: usize = 500;

/// A column by its name since 10; generation 9 writes it without underscores.
fn text<'a>(job: &'a RawJob, column: &str) -> Option<&'a str> {
    let value = job
        .field(column)
        .or_else(|| job.field(&column.replace('_', "")))
        .or_else(|| (column == "expire_seconds").then(|| job.field("expire_in").or_else(|| job.field("expirein")))?);
    std::str::from_utf8(value?).ok()
}

/// A time as Postgres writes it in UTC.
pub(super) fn moment(job: &RawJob, column: &str) -> Option<Millis> {
    let at = DateTime::parse_from_str(text(job, column)?, "%Y-%m-%d %H:%M:%S%.f%#z");
    Some(at.ok()?.timestamp_millis())
}

/// Where an error says what it is: as the library stores it, or wrapped by generation 9.
fn within<'a>(output: &'a Value, name: &str) -> Option<&'a str> {
    output[name].as_str().or_else(|| output["value"][name].as_str())
}

/// What went wrong, as the library keeps it.
pub(super) fn message(job: &RawJob) -> Option<String> {
    let output = text(job, "output")?;
    let parsed: Value = serde_json::from_str(output).unwrap_or(Value::Null);
    let said = within(&parsed, "message").or_else(|| parsed["value"].as_str());
    Some(said.map_or_else(|| output.to_owned(), str::to_owned))
}

fn payload(text: &str) -> Payload {
    let whole = text.len() <= WHOLE;
    let shown = if whole { text.to_owned() } else { cut(text, PREVIEW) };
    Payload {
        size: text.len() as u64,
        shown: if whole { text.len() } else { shown.len().min(PREVIEW) } as u64,
        form: if whole && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok() {
            Form::Json
        } else {
            Form::Text
        },
        text: Some(shown),
        note: None,
    }
}

/// As a job of a queue is shown.
pub(super) fn detail(job: &RawJob) -> JobDetail {
    let failed = job.state == JobState::Failed;
    let number = |column: &str| text(job, column).and_then(|text| text.parse::<i64>().ok());
    let count = |column: &str| u32::try_from(number(column).unwrap_or(0)).unwrap_or(0);
    let error = message(job).filter(|_| failed);
    let attempts = u32::try_from(job.attempts).unwrap_or(u32::MAX);
    let row = JobRow {
        id: job.id.clone(),
        name: text(job, "name").unwrap_or_default().to_owned(),
        state: job.state,
        created: moment(job, "created_on"),
        started: moment(job, "started_on"),
        finished: Some(job.finished_on),
        due: None,
        priority: u64::try_from(number("priority").unwrap_or(0)).unwrap_or(0),
        attempts: Some(attempts),
        attempts_max: Some(count("retry_limit").saturating_add(1)),
        stalled: 0,
        progress: None,
        error: error
            .as_deref()
            .map(|error| cut(error.lines().next().unwrap_or_default(), LINE)),
        worker: None,
        scheduler: None,
        data_size: text(job, "data").map_or(0, str::len) as u64,
        locked: None,
        put_away: false,
        problem: None,
    };
    let own = |column: &str| text(job, column).map(str::to_owned);
    let effective = OPTIONS.iter().filter_map(|(name, column)| {
        Some(EffectiveOption {
            name: (*name).to_owned(),
            value: match *column {
                "expire_seconds" => seconds(text(job, column)?)?.to_string(),
                column => cut(text(job, column)?, LINE),
            },
            origin: Origin::Options,
            payload: false,
        })
    });
    let stack = text(job, "output").filter(|_| failed).and_then(|output| {
        let output: Value = serde_json::from_str(output).ok()?;
        within(&output, "stack").map(|stack| trace(stack, attempts))
    });
    // A retry overwrites when the job was first to start.
    let waits = moment(job, "start_after").zip(moment(job, "created_on"));
    let waits = waits.filter(|(start, _)| count("retry_count") == 0 && row.started.is_none_or(|at| at >= *start));
    let waited_for = job.parts.iter().find(|part| part.name == "dependencies");
    JobDetail {
        withheld: false,
        hidden_by: std::collections::BTreeMap::new(),
        state_known: true,
        state_note: None,
        oddities: vec![],
        place: None,
        neighbours: Neighbours::default(),
        locked: None,
        lock: None,
        lost: None,
        attempts_started: Some(count("retry_count") + u32::from(row.started.is_some())),
        backoff: backoff(&own("retry_delay"), &own("retry_backoff"), &own("retry_delay_max")),
        deferred_failure: None,
        delay: None,
        first_delay: waits.map(|(start, created)| start - created).filter(|ms| *ms > 0),
        ready: None,
        data: text(job, "data").map(payload),
        options: None,
        effective: effective.collect(),
        progress: None,
        result: text(job, "output").filter(|_| !failed).map(payload),
        error: error.as_deref().map(payload),
        traces_total: stack.iter().len() as u64,
        traces_size: stack.iter().map(|trace| trace.size).sum(),
        traces: stack.into_iter().collect(),
        traces_note: (attempts > 1).then(|| "pg-boss keeps only the error of the last attempt.".into()),
        logs: LogPage::default(),
        keep_logs: None,
        dedup: None,
        carries_schedule: None,
        parent: None,
        children: waited_for.map(|part| Children {
            completed: part.items.len() as u64,
            ..Children::default()
        }),
        fields: job
            .fields
            .iter()
            .map(|(name, value)| Field {
                name: String::from_utf8_lossy(name).into_owned(),
                size: value.len() as u64,
                head: cut(&String::from_utf8_lossy(&value[..value.len().min(4 * HEAD)]), HEAD),
            })
            .collect(),
        row,
        as_of: now(),
    }
}

/// The options of an archived job that a new one is given: their names, and columns that are numbers, texts or truths.
const NUMBERS: [(&str, &str); 4] = [
    ("retryDelay", "retry_delay"),
    ("retryDelayMax", "retry_delay_max"),
    ("deleteAfterSeconds", "deletion_seconds"),
    ("heartbeatSeconds", "heartbeat_seconds"),
];
const TEXTS: [(&str, &str); 2] = [("singletonKey", "singleton_key"), ("deadLetter", "dead_letter")];

/// A new job that does the same.
pub(super) fn renewed(job: &RawJob) -> Result<NewJob, String> {
    let number = |column: &str| text(job, column).and_then(|text| text.parse::<i64>().ok());
    let mut options = Map::new();
    for (option, column) in NUMBERS {
        options.extend(number(column).map(|n| (option.to_owned(), json!(n))));
    }
    for (option, column) in TEXTS {
        options.extend(text(job, column).map(|text| (option.to_owned(), json!(text))));
    }
    if matches!(text(job, "retry_backoff"), Some("true" | "t")) {
        options.insert("retryBackoff".into(), json!(true));
    }
    options.extend(
        text(job, "expire_seconds")
            .and_then(seconds)
            .map(|n| ("expireInSeconds".to_owned(), json!(n))),
    );
    if let Some(id) = text(job, "group_id") {
        options.insert("group".into(), json!({"id": id, "tier": text(job, "group_tier")}));
    }
    Ok(NewJob {
        name: text(job, "name").unwrap_or_default().to_owned(),
        data: text(job, "data").unwrap_or("null").to_owned(),
        priority: number("priority").and_then(|n| u32::try_from(n).ok()).unwrap_or(0),
        attempts: number("retry_limit").and_then(|n| u32::try_from(n.saturating_add(1)).ok()),
        options: Some(Value::Object(options).to_string()),
        restored: true,
        ..NewJob::default()
    })
}

/// Seconds as a number, or as an interval: `1 day 00:15:00`.
fn seconds(text: &str) -> Option<i64> {
    if let Ok(n) = text.parse() {
        return Some(n);
    }
    let (days, clock) = match text.split_once(" day") {
        Some((days, rest)) => (days.parse::<i64>().ok()?, rest.trim_start_matches('s').trim()),
        None => (0, text),
    };
    let mut total = 0;
    if !clock.is_empty() {
        let parts: Vec<i64> = clock
            .split(':')
            .map(|part| part.split('.').next()?.parse().ok())
            .collect::<Option<_>>()?;
        let [hours, minutes, seconds] = parts[..] else {
            return None;
        };
        total = hours * 3_600 + minutes * 60 + seconds;
    }
    Some(days * 86_400 + total)
}

/// The id of a job that is put back for the n-th time: the same for the same one, and a uuid as the library wants it.
pub(super) fn restored_id(run: &[u8; 16], n: i32) -> String {
    let sum = Sha256::new().chain_update(run).chain_update(n.to_be_bytes()).finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&sum[..16]);
    super::act::uuid_of(bytes, 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_so_many_seconds() {
        for (text, wanted) in [
            ("900", Some(900)),
            ("00:15:00", Some(900)),
            ("1 day", Some(86_400)),
            ("2 days 01:00:00.5", Some(176_400)),
            ("soon", None),
        ] {
            assert_eq!(seconds(text), wanted, "{text}");
        }
    }
}
