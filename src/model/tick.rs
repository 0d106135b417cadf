//! Jobs ticked in a list, as the field of a form: each with what the reader saw of it when it was ticked.
//!
//! `finished.attempts.id`, the first two empty where they are not known and the id escaped, so that a browser's changes
//! to line ends or unusual characters cannot turn it into another id.

use super::action::Seen;
use super::address::encode_segment;
use super::job::JobRow;
use super::state::JobState;
use percent_encoding::percent_decode_str;

/// The name of the field.
pub const FIELD: &str = "job";

/// The form that the boxes belong to: the actions on the ticked jobs.
pub const FORM: &str = "ticked";

/// The value of a row's box.
#[must_use]
pub fn write(row: &JobRow) -> String {
    let finished = row.finished.map_or_else(String::new, |at| at.to_string());
    let attempts = row.attempts.map_or_else(String::new, |made| made.to_string());
    format!("{finished}.{attempts}.{}", encode_segment(&row.id))
}

/// The job that a value names, seen in a list of this state.
#[must_use]
pub fn read(value: &str, state: JobState) -> Option<(String, Seen)> {
    let mut parts = value.splitn(3, '.');
    let (finished, attempts, id) = (parts.next()?, parts.next()?, parts.next()?);
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let id = percent_decode_str(id).decode_utf8().ok()?.into_owned();
    let seen = Seen {
        state: Some(state),
        finished_on: given(finished).map(|at| at.parse()).transpose().ok()?,
        attempts: given(attempts).map(|n| n.parse()).transpose().ok()?,
    };
    (!id.is_empty()).then_some((id, seen))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: &str, finished: Option<i64>) -> JobRow {
        JobRow {
            id: id.into(),
            name: String::new(),
            state: JobState::Failed,
            created: None,
            started: None,
            finished,
            due: None,
            priority: 0,
            attempts: Some(3),
            attempts_max: Some(3),
            stalled: 0,
            progress: None,
            error: None,
            worker: None,
            scheduler: None,
            data_size: 0,
            locked: None,
            put_away: false,
            problem: None,
        }
    }

    #[test]
    fn a_ticked_job_is_read_as_it_was_seen() {
        for id in ["1", "order.7", "a\nb", "a b&c=d%", "…", ".", "repeat:x:1"] {
            let value = write(&row(id, Some(1_795_239_692_120)));
            assert!(!value.contains(['\n', ' ', '&']), "{value}");
            let (read, seen) = read(&value, JobState::Failed).unwrap();
            assert_eq!(read, id);
            assert_eq!(seen.state, Some(JobState::Failed));
            assert_eq!(seen.finished_on, Some(1_795_239_692_120));
            assert_eq!(seen.attempts, Some(3));
        }
        let (_, seen) = read(&write(&row("1", None)), JobState::Waiting).unwrap();
        assert_eq!(seen.finished_on, None);
    }

    #[test]
    fn anything_else_is_no_ticked_job() {
        for value in ["", "1", "1.2", "1.2.", "x.2.id", "1.x.id", "1.2.%FF"] {
            assert_eq!(read(value, JobState::Failed), None, "{value}");
        }
    }
}
