//! A job's record: its hash, as much of it as may be fetched, and what is odd about it.

use super::super::Trouble;
use super::super::raw::RawJob;
use super::super::redis::link::Link;
use super::super::redis::reply;
use super::locate::Found;
use super::values::{self, Large, PREVIEW_MAX, Preview, VALUE_MAX};
use crate::model::format;
use crate::model::job::{Field, Payload};
use crate::model::state::JobState;
use crate::model::timeline::is_moment;
use redis::Value;

/// A hash with more fields than this is read by the names the library knows only.
const FIELDS_MAX: u64 = 500;

/// Bytes of a field that has no place of its own on the page, above which it is not fetched.
const SMALL_MAX: u64 = 1024;

/// Characters of a field's value in the table of fields.
const HEAD: usize = 120;

/// Fields that are shown up to [`VALUE_MAX`].
pub(super) const LARGE: [&str; 7] = [
    "data",
    "opts",
    "returnvalue",
    "failedReason",
    "stacktrace",
    "progress",
    "defa",
];

/// The other fields the library writes, in all its versions.
const SMALL: [&str; 22] = [
    "name",
    "timestamp",
    "delay",
    "priority",
    "processedOn",
    "finishedOn",
    "atm",
    "attemptsMade",
    "ats",
    "stc",
    "stalledCounter",
    "pb",
    "rjk",
    "deid",
    "nrjid",
    "tm",
    "parentKey",
    "parent",
    "retriedOn",
    "flowAttachmentFailed",
    "pc",
    "ic",
];

/// The job's hash, as much of it as may be fetched.
#[derive(Default)]
pub(super) struct Record {
    /// Names as stored: any bytes.
    fields: Vec<(Vec<u8>, u64, Value)>,
    /// How many fields there are.
    length: u64,
}

impl Record {
    pub(super) async fn read(link: &Link, job: &[u8], length: u64) -> Result<Self, Trouble> {
        let names: Vec<Vec<u8>> = if length > FIELDS_MAX {
            LARGE
                .iter()
                .chain(&SMALL)
                .map(|name| name.as_bytes().to_vec())
                .collect()
        } else {
            let mut pipe = redis::pipe();
            pipe.cmd("HKEYS").arg(job);
            let replies = link.run(&mut pipe).await?;
            let bytes = |value: &Value| match value {
                Value::BulkString(bytes) => Some(bytes.clone()),
                other => reply::text(other).map(String::into_bytes),
            };
            let items = replies[0].as_ref().map_or(&[][..], reply::items);
            items.iter().filter_map(bytes).collect()
        };
        if names.is_empty() {
            return Ok(Self::default());
        }
        let mut pipe = redis::pipe();
        for name in &names {
            pipe.cmd("HSTRLEN").arg(job).arg(name);
        }
        let replies = link.run(&mut pipe).await?;
        let sizes: Vec<u64> = replies.iter().map(|size| reply::count(size).unwrap_or(0)).collect();
        let mut pipe = redis::pipe();
        pipe.cmd("HMGET").arg(job);
        for (name, size) in names.iter().zip(&sizes) {
            let limit = if LARGE.iter().any(|large| large.as_bytes() == name) {
                VALUE_MAX
            } else {
                SMALL_MAX
            };
            // A value that is too large is requested by a name that no hash has, to keep the places.
            pipe.arg(if *size <= limit { name.as_slice() } else { &[] });
        }
        let mut replies = link.run(&mut pipe).await?;
        let values = match replies.pop() {
            Some(Ok(Value::Array(values))) => values,
            _ => vec![],
        };
        let fields = names
            .into_iter()
            .zip(sizes)
            .zip(values)
            .map(|((name, size), value)| (name, size, value))
            .filter(|(_, size, value)| *size > 0 || *value != Value::Nil)
            .collect();
        Ok(Self { fields, length })
    }

    /// The record of an archived job: as much of it as of one in a queue.
    pub(super) fn of(raw: &RawJob) -> Self {
        let field = |(name, value): &(Vec<u8>, Vec<u8>)| {
            let large = LARGE.iter().any(|large| large.as_bytes() == name);
            let limit = if large { VALUE_MAX } else { SMALL_MAX };
            let size = value.len() as u64;
            let shown = if size <= limit {
                Value::BulkString(value.clone())
            } else {
                Value::Nil
            };
            (name.clone(), size, shown)
        };
        Self {
            fields: raw.fields.iter().map(field).collect(),
            length: raw.fields.len() as u64,
        }
    }

    fn get(&self, name: &str) -> Option<&(Vec<u8>, u64, Value)> {
        self.fields.iter().find(|(n, ..)| n == name.as_bytes())
    }

    pub(super) fn size(&self, name: &str) -> Option<u64> {
        self.get(name).map(|(_, size, _)| *size)
    }

    pub(super) fn value(&self, name: &str) -> Option<&Value> {
        self.get(name).map(|(.., value)| value)
    }

    pub(super) fn bytes(&self, name: &str) -> Option<&[u8]> {
        match self.value(name) {
            Some(Value::BulkString(bytes)) => Some(bytes),
            _ => None,
        }
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.value(name).and_then(reply::text).filter(|text| !text.is_empty())
    }

    pub(super) fn int(&self, name: &str) -> Option<i64> {
        self.value(name).and_then(reply::int)
    }

    /// The value of a field of [`LARGE`], as far as it was fetched with the others.
    pub(super) fn payload(&self, name: &str) -> Option<Payload> {
        let size = self.size(name)?;
        Some(match self.bytes(name) {
            Some(bytes) => values::payload(bytes),
            None => values::sized(size, None),
        })
    }

    /// The beginnings of values too large to be fetched with the others.
    pub(super) async fn large(
        &self,
        link: &Link,
        large: &Large,
        job: &[u8],
    ) -> Vec<(&'static str, Result<Preview, String>)> {
        let mut previews = Vec::new();
        // What changes when the job runs again, or is given other data of the same length.
        let version = ["atm", "attemptsMade", "processedOn", "finishedOn"].map(|name| self.text(name));
        for name in LARGE {
            let size = self.size(name).unwrap_or(0);
            if size > VALUE_MAX && size <= PREVIEW_MAX {
                let which = (job.to_vec(), name, size, format!("{version:?}"));
                previews.push((name, large.preview(link, which).await));
            }
        }
        previews
    }
}

pub(super) fn fields(record: &Record) -> Vec<Field> {
    let field = |(name, size, value): &(Vec<u8>, u64, Value)| Field {
        name: values::head(name, 200),
        size: *size,
        head: match value {
            Value::BulkString(bytes) => values::head(bytes, HEAD),
            _ => String::new(),
        },
    };
    record.fields.iter().map(field).collect()
}

pub(super) fn oddities(job: &str, kind: &str, state: JobState, record: &Record, found: &Found) -> Vec<String> {
    let mut odd = Vec::new();
    match kind {
        "hash" => {}
        "none" | "" => odd.push(format!(
            "Its record is missing: the id is among the {} jobs, but nothing is stored under {job}. It was removed just now, \
             evicted by the server, or deleted by hand. A worker that takes it runs it without a name and data.",
            state.label()
        )),
        other => odd.push(format!(
            "Its record cannot be read: a {other} is stored under {job}, where the job's hash should be."
        )),
    }
    if !found.also.is_empty() {
        let all: Vec<&str> = std::iter::once(state)
            .chain(found.also.iter().copied())
            .map(JobState::label)
            .collect();
        odd.push(format!(
            "It is in more than one set at once: {}. It was moved by hand, or by two versions of the library.",
            all.join(", ")
        ));
    }
    if kind != "hash" {
        return odd;
    }
    if record.length > FIELDS_MAX {
        odd.push(format!(
            "The record has {} fields; only those that the library writes are shown.",
            format::count(record.length)
        ));
    }
    let missing: Vec<&str> = ["name", "data", "opts", "timestamp"]
        .into_iter()
        .filter(|name| record.size(name).is_none())
        .collect();
    if !missing.is_empty() {
        odd.push(format!(
            "The record has no {}: it was partly written, or not by the library.",
            missing.join(", ")
        ));
    }
    for (field, what) in [
        ("timestamp", "when it was created"),
        ("processedOn", "when it started"),
        ("finishedOn", "when it finished"),
    ] {
        if record.size(field).is_some_and(|size| size > 0) && !record.int(field).is_some_and(is_moment) {
            odd.push(format!(
                "{field} ({}) is not a valid time, so {what} is not known.",
                shown(record, field)
            ));
        }
    }
    for field in [
        "delay",
        "priority",
        "atm",
        "attemptsMade",
        "ats",
        "stc",
        "stalledCounter",
    ] {
        if record.size(field).is_some_and(|size| size > 0) && record.int(field).is_none_or(|n| n < 0) {
            odd.push(format!(
                "{field} ({}) is not a number; it is treated as 0.",
                shown(record, field)
            ));
        }
    }
    odd
}

/// A field's value in a sentence.
fn shown(record: &Record, field: &str) -> String {
    match record.bytes(field) {
        Some(bytes) => format!("{:?}", values::head(bytes, 40)),
        None => format!("{} long", format::bytes(record.size(field).unwrap_or(0))),
    }
}
