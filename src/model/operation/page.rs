//! The contents of the pages of operations. Only the server renders them.

use super::{Bounds, Canary, ItemResult, Operation, OperationState, Preview};
use crate::model::action::JobAction;
use crate::model::address::encode_segment;
use crate::model::error::Notice;
use crate::model::filter::JobFilter;
use crate::model::queue::QueueRef;
use crate::model::state::JobState;

/// Above this many jobs a retry begins with a canary unless the user says otherwise.
pub const CANARY_ABOVE: u64 = 100;

/// Results on a page.
pub const RESULTS: usize = 100;

/// The words for the results of a job, in the order of the totals.
pub const RESULT_WORDS: [&str; 6] = ["done", "already", "changed", "gone", "failed", "unconfirmed"];

/// Which of the pages.
#[derive(Clone, Debug, PartialEq)]
pub enum OperationsPage {
    /// All operations, the newest first.
    All(Vec<Operation>),
    /// One, with some of its results.
    One(Box<OperationPage>),
    /// The preview of one.
    Preview(Box<PreviewPage>),
    /// The form for a new one: an action and a filter.
    New(NewPage),
    /// Why a submitted form was refused.
    Refused(Notice),
}

impl OperationsPage {
    /// The milliseconds after which the browser fetches the page again.
    #[must_use]
    pub fn every(&self) -> i32 {
        let open = match self {
            Self::All(all) => all.iter().any(|operation| operation.state.is_open()),
            Self::One(page) => page.operation.state.is_open(),
            // A user is filling these in, and the answer to a form cannot be fetched again: as late as a browser can
            // wait.
            Self::Preview(_) | Self::New(_) | Self::Refused(_) => return i32::MAX,
        };
        if open { 500 } else { 5_000 }
    }

    /// The title of the document.
    #[must_use]
    pub fn title(&self) -> String {
        match self {
            Self::All(all) => match all.iter().filter(|operation| operation.state.is_open()).count() {
                0 => "Operations".into(),
                n => format!("{n} in progress · Operations"),
            },
            Self::One(page) => {
                let operation = &page.operation;
                let state = if operation.state == OperationState::Running {
                    format!("{} %", percent(operation))
                } else {
                    operation.state.word().to_owned()
                };
                format!("{state} · {}", operation.sentence.trim_end_matches('.'))
            }
            Self::Preview(page) => format!("Preview · {}", page.preview.sentence.trim_end_matches('.')),
            Self::New(_) => "New operation".into(),
            Self::Refused(notice) => notice.title.clone(),
        }
    }
}

/// An operation with a page of its results.
#[derive(Clone, Debug, PartialEq)]
pub struct OperationPage {
    /// The operation.
    pub operation: Operation,
    /// Jobs with their results, or why they cannot be shown.
    pub results: Result<Vec<ItemResult>, String>,
    /// How many there are of this result.
    pub of: u64,
    /// Only those with this result.
    pub result: Option<String>,
    /// How many results come before.
    pub offset: usize,
}

/// A preview with the proposed bounds.
#[derive(Clone, Debug, PartialEq)]
pub struct PreviewPage {
    /// The preview.
    pub preview: Preview,
    /// Its bounds unless the user says otherwise.
    pub bounds: Bounds,
    /// The reason: copied from the operation that this one continues.
    pub reason: String,
}

impl PreviewPage {
    /// A preview page with bounds that are careful enough for so many jobs.
    #[must_use]
    pub fn new(preview: Preview) -> Self {
        let careful = matches!(preview.action, JobAction::Retry { .. }) && preview.selected > CANARY_ABOVE;
        Self {
            bounds: Bounds {
                rate: None,
                canary: careful.then(Canary::default),
            },
            preview,
            reason: String::new(),
        }
    }
}

/// The form for a new operation, as far as it is filled in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewPage {
    /// The action.
    pub wanted: Wanted,
    /// The filter as the user wrote it.
    pub filter: String,
    /// What is wrong with the filter.
    pub trouble: Option<String>,
    /// Whether there may be cancelled jobs to resume.
    pub cancels: bool,
    /// Whether there may be dead letters to put back.
    pub redrives: bool,
    /// Whether a removal archives the jobs first; `None` where there is no archive.
    pub archive_first: Option<bool>,
}

impl NewPage {
    /// The query of its address.
    #[must_use]
    pub fn query(&self) -> String {
        let mut query = format!("action={}", self.wanted.word());
        if self.wanted.is_more() {
            query += &format!("&more={}", self.wanted.word());
        }
        if !self.filter.is_empty() {
            query += &format!("&filter={}", encode_segment(&self.filter));
        }
        query
    }
}

/// The actions over many jobs that forms offer; the API accepts every action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Has failed or completed jobs run again; perhaps with attempts counted from the beginning.
    Retry(bool),
    /// Has delayed jobs run now.
    Promote,
    /// Removes jobs; perhaps with their children.
    Remove(bool),
    /// Puts dead letters back into the queues that they came from.
    Redrive,
    /// Puts cancelled jobs back in the queue.
    Resume,
    /// Puts finished jobs into the archive.
    Archive,
}

impl Default for Wanted {
    fn default() -> Self {
        Self::Retry(false)
    }
}

impl Wanted {
    /// Parses the fields of a form.
    #[must_use]
    pub fn read(word: &str, more: bool) -> Option<Self> {
        match word {
            "retry" => Some(Self::Retry(more)),
            "promote" => Some(Self::Promote),
            "remove" => Some(Self::Remove(more)),
            "redrive" => Some(Self::Redrive),
            "resume_job" => Some(Self::Resume),
            "archive" => Some(Self::Archive),
            _ => None,
        }
    }

    /// Its word in addresses.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Retry(_) => "retry",
            Self::Promote => "promote",
            Self::Remove(_) => "remove",
            Self::Redrive => "redrive",
            Self::Resume => "resume_job",
            Self::Archive => "archive",
        }
    }

    /// Whether its one option is on.
    #[must_use]
    pub const fn is_more(self) -> bool {
        matches!(self, Self::Retry(true) | Self::Remove(true))
    }

    /// The action; `None` for one that forms do not offer.
    #[must_use]
    pub const fn of(action: &JobAction) -> Option<Self> {
        match action {
            JobAction::Retry {
                reset_attempts,
                data: None,
            } => Some(Self::Retry(*reset_attempts)),
            JobAction::Promote => Some(Self::Promote),
            JobAction::Remove { children } => Some(Self::Remove(*children)),
            JobAction::Redrive => Some(Self::Redrive),
            JobAction::ResumeJob => Some(Self::Resume),
            JobAction::Archive => Some(Self::Archive),
            _ => None,
        }
    }

    /// The action that makes sense for most jobs of a state.
    #[must_use]
    pub const fn in_state(state: Option<JobState>) -> Self {
        match state {
            Some(JobState::Delayed) => Self::Promote,
            Some(JobState::Cancelled) => Self::Resume,
            Some(JobState::Waiting | JobState::Prioritized | JobState::WaitingChildren) => Self::Remove(false),
            _ => Self::Retry(false),
        }
    }
}

impl From<Wanted> for JobAction {
    fn from(wanted: Wanted) -> Self {
        match wanted {
            Wanted::Retry(reset_attempts) => Self::Retry {
                reset_attempts,
                data: None,
            },
            Wanted::Promote => Self::Promote,
            Wanted::Remove(children) => Self::Remove { children },
            Wanted::Redrive => Self::Redrive,
            Wanted::Resume => Self::ResumeJob,
            Wanted::Archive => Self::Archive,
        }
    }
}

/// The percentage of jobs with a result, rounded down: 100 means all.
#[must_use]
pub const fn percent(operation: &Operation) -> u64 {
    let totals = &operation.totals;
    match totals.settled().saturating_mul(100).checked_div(totals.selected) {
        Some(percent) => percent,
        None => 100,
    }
}

/// Jobs that another operation could take: those that this one has not reached, that failed, or whose result is not
/// known.
#[must_use]
pub const fn rest(operation: &Operation) -> u64 {
    let totals = &operation.totals;
    totals.left() + totals.failed + totals.unconfirmed
}

/// The only queue of a filter that names one in full.
#[must_use]
pub fn only_queue(filter: &JobFilter) -> Option<QueueRef> {
    let [queue] = filter.queues.as_slice() else {
        return None;
    };
    let (store, id) = queue.split_once('/')?;
    (!queue.contains(['*', '?']) && !store.is_empty() && !id.is_empty()).then(|| QueueRef {
        store: store.to_owned(),
        queue: id.to_owned(),
    })
}

/// A filter for jobs of a state of one queue, optionally with an error.
#[must_use]
pub fn filter_of(queue: &QueueRef, state: JobState, error: Option<&str>) -> JobFilter {
    // The ellipsis of a cut text is not a part of the error.
    let error = error.map(|error| error.trim_end_matches('…').trim());
    let error = error.map(|error| error.chars().take(ERROR_CHARS).collect::<String>());
    JobFilter {
        queues: vec![queue.to_string()],
        states: vec![state],
        error: error.filter(|error| !error.is_empty()),
        ..JobFilter::default()
    }
}

/// So many characters of an error distinguish it from others and leave room in a filter.
const ERROR_CHARS: usize = 150;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_made_from_an_error_is_read_again() {
        let queue = QueueRef {
            store: "redis".into(),
            queue: "bull:emails".into(),
        };
        for error in [
            "",
            "card \"declined\": no funds",
            "cut at the end…",
            "€".repeat(900).as_str(),
            "back\\slash",
        ] {
            let filter = filter_of(&queue, JobState::Failed, Some(error));
            let read: JobFilter = filter.to_string().parse().unwrap();
            assert_eq!(read, filter, "{filter}");
            assert_eq!(only_queue(&read), Some(queue.clone()));
            let part = filter.error.unwrap_or_default();
            assert!(error.contains(&part) && !part.ends_with('…'));
        }
        for text in ["", "queue:emails", "queue:redis/bull:*", "queue:a/b queue:a/c"] {
            assert_eq!(only_queue(&text.parse().unwrap()), None, "{text}");
        }
    }

    #[test]
    fn what_forms_offer_is_an_action_and_back() {
        for wanted in [
            Wanted::Retry(false),
            Wanted::Retry(true),
            Wanted::Promote,
            Wanted::Remove(false),
            Wanted::Remove(true),
            Wanted::Redrive,
            Wanted::Resume,
            Wanted::Archive,
        ] {
            assert_eq!(Wanted::of(&wanted.into()), Some(wanted));
            assert_eq!(Wanted::read(wanted.word(), wanted.is_more()), Some(wanted));
        }
        assert_eq!(Wanted::read("pause", false), None);
        assert_eq!(Wanted::of(&JobAction::PutBack), None);
    }
}
