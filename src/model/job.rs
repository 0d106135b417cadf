//! A job: one line of a list, and everything about it.
//!
//! [`timeline`](super::timeline) derives its history from it.

use super::Millis;
use super::state::JobState;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The progress a job reports. BullMQ allows any JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// A number, by convention 0 to 100.
    Percent(f64),
    /// Anything else, as JSON text cut to [`PROGRESS_TEXT_MAX`] characters.
    Text(String),
}

/// The longest progress text that is kept; the rest is replaced by an ellipsis.
pub const PROGRESS_TEXT_MAX: usize = 500;

impl Progress {
    /// Parses what the library stored. `0`, the library's initial value, means "nothing reported yet".
    #[must_use]
    pub fn parse(json: &str) -> Option<Self> {
        let json = json.trim();
        match json.parse::<f64>() {
            Ok(0.0) => None,
            Ok(n) if n.is_finite() => Some(Self::Percent(n)),
            _ if json.is_empty() || json == "null" || json == "{}" => None,
            _ => Some(Self::Text(cut(json, PROGRESS_TEXT_MAX))),
        }
    }
}

/// The longest name, in bytes, that is fetched for a list; of a longer one only the size is shown.
pub const ROW_NAME_MAX: u64 = 16 * 1024;

/// The text that replaces a redacted value.
pub const REDACTED: &str = "[redacted]";

/// The first `max` characters of `text`, with an ellipsis if there was more.
#[must_use]
pub fn cut(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// One line of a job list. Never holds a payload: lists are read without payloads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct JobRow {
    /// The job's id, byte for byte.
    pub id: String,
    /// The name its producer gave it.
    pub name: String,
    /// The state whose list it was found in.
    pub state: JobState,
    /// When it was created, by the producer's clock.
    pub created: Option<Millis>,
    /// When the last attempt began, by the worker's clock.
    pub started: Option<Millis>,
    /// When it finished, by the worker's clock.
    pub finished: Option<Millis>,
    /// When a delayed job is due.
    pub due: Option<Millis>,
    /// 0 is none; 1 goes before 2.
    pub priority: u64,
    /// Attempts made so far; `None` where that is not known.
    pub attempts: Option<u32>,
    /// Attempts allowed, at least 1; `None` where that is not stored.
    pub attempts_max: Option<u32>,
    /// How often its worker was lost.
    pub stalled: u32,
    /// The progress it reports.
    pub progress: Option<Progress>,
    /// The first line of its last error, cut.
    pub error: Option<String>,
    /// The worker that took it, when the worker has a name.
    pub worker: Option<String>,
    /// The scheduler that created it.
    pub scheduler: Option<String>,
    /// Bytes of data it carries.
    pub data_size: u64,
    /// Whether a worker holds its lock; `None` unless it was found among the active jobs.
    pub locked: Option<bool>,
    /// Whether its library has put it into an archive of the library's own, where no action is possible.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub put_away: bool,
    /// What is wrong with the record, if it could not be read whole.
    pub problem: Option<String>,
}

/// How the bytes of a value are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// JSON text, every digit as stored.
    Json,
    /// Text that is not JSON, or the beginning of a text that was cut.
    #[default]
    Text,
    /// Bytes that are no text: a hex dump of the first of them.
    Binary,
}

/// A value of any size: the part that is shown, and the size of the whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct Payload {
    /// Bytes in the store.
    pub size: u64,
    /// The text, or `None` when it is too large for any of it to be fetched.
    pub text: Option<String>,
    /// How many of the bytes `text` covers: less than `size` when it was cut.
    pub shown: u64,
    /// How to read `text`.
    pub form: Form,
    /// Why there is no text, where the size is not the reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A field of the job's record, as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct Field {
    /// The field's own name.
    pub name: String,
    /// Bytes of its value.
    pub size: u64,
    /// The beginning of the value; empty where the value was too large to read.
    pub head: String,
}

/// The stack of one failed attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct Trace {
    /// The attempt it belongs to, counted from 1; `None` where the record no longer says.
    pub attempt: Option<u32>,
    /// Its text, cut to some lines.
    pub text: String,
    /// Bytes of the whole.
    pub size: u64,
    /// Lines of the whole.
    pub lines: u64,
    /// Whether `text` is less than the whole.
    pub cut: bool,
}

/// A line of a job's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct LogLine {
    /// Its number in the log as it is now, from 1.
    pub n: u64,
    /// Its text, cut if it is very long.
    pub text: String,
    /// Bytes of the whole line, where it was cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
}

/// A search through a log, from its newest line to older ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct LogSearch {
    /// The text of the search; letters match in either case.
    pub q: String,
    /// The number of the newest line that was searched.
    pub from: u64,
    /// How many lines were searched.
    pub searched: u64,
    /// Where to continue; `None` at the beginning of the log.
    pub next: Option<u64>,
}

/// A part of a job's log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct LogPage {
    /// How many lines there are.
    pub total: u64,
    /// The lines, oldest first.
    pub lines: Vec<LogLine>,
    /// The search, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search: Option<LogSearch>,
}

/// A job's place in the order of its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct Place {
    /// Its position in the order a list of that state is shown in, counted from 1.
    pub at: u64,
    /// How many there are.
    pub of: u64,
}

/// The jobs before and after this one in its state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct Neighbours {
    /// The one above it in the list.
    pub previous: Option<String>,
    /// The one below.
    pub next: Option<String>,
    /// Why they are not known, if so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown: Option<String>,
}

/// A worker's lock on a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct Lock {
    /// The worker instance: the token without its counter.
    pub holder: String,
    /// How long it holds without being renewed, ms; `None` if it never ends.
    pub ttl: Option<Millis>,
}

/// A job's part in deduplication.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct Dedup {
    /// The deduplication id.
    pub id: String,
    /// The job that holds the id now; `None` if no job does, so that the next job with it is added.
    pub owner: Option<String>,
    /// How long it is held, ms; `None` for as long as the owner is unfinished.
    pub ttl: Option<Millis>,
}

/// Where the value of an option comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The job's own options.
    Options,
    /// A field of its record, which wins over the options.
    Record,
    /// The library's default, because neither of these sets it.
    Default,
}

/// An option as it is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct EffectiveOption {
    /// The library's name for it, in full.
    pub name: String,
    /// Its value, in words where a number alone would not be clear.
    pub value: String,
    /// Where it comes from.
    pub origin: Origin,
    /// Whether it may carry data of the application: anything but a setting of the library.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub payload: bool,
}

/// Everything about a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct JobDetail {
    /// The same facts as in a list.
    pub row: JobRow,
    /// Whether it was found in the list of the state; an active job may be between two lists.
    pub state_known: bool,
    /// How the state was determined, where that is not obvious.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_note: Option<String>,
    /// What is unusual about the record, a sentence each.
    pub oddities: Vec<String>,
    /// Its place among the jobs of its state.
    pub place: Option<Place>,
    /// The jobs next to it.
    pub neighbours: Neighbours,
    /// Whether a worker holds its lock; `None` if it is not active.
    pub locked: Option<bool>,
    /// The lock itself.
    pub lock: Option<Lock>,
    /// What will happen to an active job without a lock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<String>,
    /// Attempts that were started; more than were completed while one runs, or after a worker was lost.
    pub attempts_started: Option<u32>,
    /// The back-off between attempts, in words.
    pub backoff: Option<String>,
    /// Set from outside: the next worker that takes the job fails it with this.
    pub deferred_failure: Option<Payload>,
    /// The delay in its record, ms: after a failed attempt this is the back-off.
    pub delay: Option<Millis>,
    /// The delay it was created with, ms.
    pub first_delay: Option<Millis>,
    /// Since when it has been ready to run, by the store's clock; `None` if it is not ready, or that is not known.
    #[serde(default)]
    pub ready: Option<Millis>,
    /// Its data.
    pub data: Option<Payload>,
    /// Its options, as stored.
    pub options: Option<Payload>,
    /// Its options as they are in force.
    pub effective: Vec<EffectiveOption>,
    /// The progress it reports, as stored.
    pub progress: Option<Payload>,
    /// What it returned.
    pub result: Option<Payload>,
    /// Its last error.
    pub error: Option<Payload>,
    /// The stacks of failed attempts, oldest first.
    pub traces: Vec<Trace>,
    /// How many stacks the record holds.
    pub traces_total: u64,
    /// Bytes of all stacks together.
    pub traces_size: u64,
    /// Why stacks are missing or cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traces_note: Option<String>,
    /// The newest part of its log.
    pub logs: LogPage,
    /// How many log lines are kept, when that is limited.
    pub keep_logs: Option<u64>,
    /// Its deduplication.
    pub dedup: Option<Dedup>,
    /// The schedule that continues through this job: it would end if the job were removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carries_schedule: Option<String>,
    /// The parent's key, as stored.
    pub parent: Option<String>,
    /// How many children are unfinished and finished, if it has any.
    pub children: Option<Children>,
    /// Every field of its record.
    pub fields: Vec<Field>,
    /// For each hidden value the rule that hides it, in order, by the field that holds the values: `data`, `traces.0`,
    /// `logs.17`. Only for users who may see hidden values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub hidden_by: BTreeMap<String, Vec<String>>,
    /// Whether the payload was left out, because the caller may not see it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub withheld: bool,
    /// When this was read.
    pub as_of: Millis,
}

impl JobDetail {
    /// A job of which nothing is known but its line.
    #[cfg(feature = "ssr")]
    #[must_use]
    pub fn of(row: JobRow, as_of: Millis) -> Self {
        Self {
            row,
            state_known: false,
            state_note: None,
            oddities: vec![],
            place: None,
            neighbours: Neighbours::default(),
            locked: None,
            lock: None,
            lost: None,
            attempts_started: None,
            backoff: None,
            deferred_failure: None,
            delay: None,
            first_delay: None,
            ready: None,
            data: None,
            options: None,
            effective: vec![],
            progress: None,
            result: None,
            error: None,
            traces: vec![],
            traces_total: 0,
            traces_size: 0,
            traces_note: None,
            logs: LogPage::default(),
            keep_logs: None,
            dedup: None,
            carries_schedule: None,
            parent: None,
            children: None,
            fields: vec![],
            hidden_by: BTreeMap::new(),
            withheld: false,
            as_of,
        }
    }
}

/// Children of a job, by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct Children {
    /// Not finished, or failed without telling the parent, which then waits indefinitely.
    pub pending: u64,
    /// Completed.
    pub completed: u64,
    /// Failed, which fails the parent.
    pub failed: u64,
    /// Failed, which the parent ignores.
    pub ignored: u64,
}

impl Children {
    /// All of them.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.pending + self.completed + self.failed + self.ignored
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_a_number_a_text_or_nothing() {
        assert_eq!(Progress::parse("0"), None);
        assert_eq!(Progress::parse("{}"), None);
        assert_eq!(Progress::parse("42.5"), Some(Progress::Percent(42.5)));
        assert_eq!(Progress::parse("NaN"), Some(Progress::Text("NaN".into())));
        assert_eq!(
            Progress::parse(r#"{"done":3}"#),
            Some(Progress::Text(r#"{"done":3}"#.into()))
        );
        let long = format!("\"{}\"", "é".repeat(1000));
        let Some(Progress::Text(text)) = Progress::parse(&long) else {
            panic!("not a text");
        };
        assert_eq!(text.chars().count(), PROGRESS_TEXT_MAX + 1);
    }
}
