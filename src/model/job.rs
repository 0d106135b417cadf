//! A job: one line of a list, and everything about it.

use super::Millis;
use super::state::JobState;
use serde::{Deserialize, Serialize};

/// How far a job says it is. BullMQ lets it be any JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    /// Reads what the library stored. `0`, the library's initial value, is "nothing said yet".
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

/// Bytes of a name that is fetched for a list; a longer one is told by its size.
pub const ROW_NAME_MAX: u64 = 16 * 1024;

/// The first `max` characters of `text`, with an ellipsis if there was more.
#[must_use]
pub fn cut(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// One line of a job list. Never holds a payload: lists are read without fetching any.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobRow {
    /// The job's id, exactly.
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
    /// 0 is none and goes first; then 1 before 2.
    pub priority: u64,
    /// Attempts made so far.
    pub attempts: u32,
    /// Attempts allowed, at least 1.
    pub attempts_max: u32,
    /// How often its worker was lost.
    pub stalled: u32,
    /// How far it says it is.
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
    /// What is wrong with the record itself, if it could not be read whole.
    pub problem: Option<String>,
}

/// A value of unknown size: as much as is shown, and how much there is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payload {
    /// Bytes in the store.
    pub size: u64,
    /// The text, or `None` when it is too large to be fetched.
    pub text: Option<String>,
}

/// A field of the job's record, as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// The field's own name.
    pub name: String,
    /// Its value.
    pub value: Payload,
}

/// The newest part of a job's log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logs {
    /// How many lines there are.
    pub total: u64,
    /// The number of the first line shown, counted from 1.
    pub first: u64,
    /// The lines, oldest first.
    pub lines: Vec<String>,
}

/// Everything about a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobDetail {
    /// The same facts as in a list.
    pub row: JobRow,
    /// Whether it was found in the list of the state; an active job may be between two lists.
    pub state_known: bool,
    /// Whether a worker holds its lock; `None` if it is not active.
    pub locked: Option<bool>,
    /// What it was given to work on.
    pub data: Payload,
    /// Its options, as stored.
    pub options: Payload,
    /// What it returned.
    pub result: Option<Payload>,
    /// Its last error, whole up to the limit.
    pub error: Option<Payload>,
    /// One stack trace for each failed attempt, oldest first.
    pub traces: Vec<String>,
    /// Bytes of stack traces when they are too large to be fetched.
    pub traces_too_large: Option<u64>,
    /// Its log.
    pub logs: Logs,
    /// The parent's key, as stored.
    pub parent: Option<String>,
    /// How many children are unfinished and finished, if it has any.
    pub children: Option<Children>,
    /// Fields that have no place of their own on the page.
    pub other: Vec<Field>,
    /// When this was read.
    pub as_of: Millis,
}

/// Children of a job, by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Children {
    /// Not finished.
    pub pending: u64,
    /// Completed.
    pub completed: u64,
    /// Failed, with the failure counted against the parent or ignored.
    pub failed: u64,
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
