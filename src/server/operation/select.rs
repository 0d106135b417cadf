//! Freezing a selection: exactly these jobs, as they are now.
//!
//! Lists are read page by page by key, so jobs that come or go meanwhile neither hide others nor appear twice; what
//! finishes after the beginning is not taken. Each job is kept with what was seen of it, which the store checks again
//! in the moment it acts.

use crate::model::Millis;
use crate::model::action::{JobAction, Seen};
use crate::model::capability::{Capabilities, NOT_SUPPORTED};
use crate::model::filter::JobFilter;
use crate::model::format;
use crate::model::job::{JobRow, cut};
use crate::model::operation::{SAMPLES, SELECTED_MAX, Sample, Share};
use crate::model::page::Order;
use crate::model::queue::{QueueRef, QueueSummary};
use crate::model::state::JobState;
use crate::server::adapter::{AnyAction, JobQuery, ReadError, SCAN};
use crate::server::collect::collector::Collector;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Jobs that are looked at to find the selection; a filter that fits few of very many says so.
const LOOKED_AT_MAX: u64 = 1_000_000;

/// Names that are counted; a selection with more tells of these.
const NAMES: usize = 10_000;

/// Characters of a name that are shown.
const NAME_SHOWN: usize = 500;

/// A job that was selected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Which of the selection's queues.
    pub queue: u32,
    /// Its id.
    pub id: Box<str>,
    /// As it was.
    pub seen: Seen,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Selection {
    /// The action.
    pub action: JobAction,
    /// The filter of the request; empty for ticked jobs.
    pub filter: JobFilter,
    /// Its queues, with what they are called.
    pub queues: Vec<(QueueRef, String)>,
    /// Its jobs: queue by queue and state by state, each in the order of its list, those that finished first in front.
    pub items: Vec<Item>,
    /// When, by Drover's clock.
    pub at: Millis,
    /// Whether more fit than are taken.
    pub capped: bool,
    /// Jobs that were looked at.
    pub looked_at: u64,
    /// Some of them.
    pub samples: Vec<Sample>,
    /// How many there are of each name, the most frequent first.
    pub by_name: Vec<Share>,
    /// What fits and is left out.
    pub skipped: Vec<Share>,
}

/// Why there is no selection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SelectError {
    /// It makes no sense: a sentence.
    Asked(String),
    /// A list could not be read.
    Unreadable(ReadError),
}

/// The states in which an action makes sense.
#[must_use]
pub const fn states(action: &JobAction) -> &'static [JobState] {
    match action {
        JobAction::Retry { .. } | JobAction::Archive => &[JobState::Failed, JobState::Completed],
        JobAction::Promote | JobAction::Delay { .. } => &[JobState::Delayed],
        JobAction::Redrive => &[JobState::Waiting, JobState::Delayed],
        JobAction::Remove { .. } => &[
            JobState::Waiting,
            JobState::Prioritized,
            JobState::Delayed,
            JobState::WaitingChildren,
            JobState::Completed,
            JobState::Failed,
            JobState::Cancelled,
        ],
        JobAction::ResumeJob => &[JobState::Cancelled],
        _ => &[],
    }
}

/// The word for what is done.
#[must_use]
pub const fn verb(action: &JobAction) -> &'static str {
    match action {
        JobAction::Retry { .. } => "Retry",
        JobAction::Promote => "Run now",
        JobAction::Delay { .. } => "Delay",
        JobAction::Remove { .. } => "Remove",
        JobAction::Redrive => "Redrive",
        JobAction::ResumeJob => "Resume",
        JobAction::Archive => "Archive",
        _ => "Change",
    }
}

impl Selection {
    fn empty(action: JobAction, filter: JobFilter, at: Millis) -> Self {
        Self {
            action,
            filter,
            queues: vec![],
            items: vec![],
            at,
            capped: false,
            looked_at: 0,
            samples: vec![],
            by_name: vec![],
            skipped: vec![],
        }
    }

    /// Exactly these jobs.
    #[must_use]
    pub fn of(
        action: JobAction,
        jobs: Vec<(QueueRef, String, Seen)>,
        name: impl Fn(&QueueRef) -> String,
        at: Millis,
    ) -> Self {
        let mut selection = Self::empty(action, JobFilter::default(), at);
        let mut known = HashSet::new();
        for (queue, id, seen) in jobs {
            if !known.insert((queue.clone(), id.clone())) {
                continue;
            }
            let index = match selection.queues.iter().position(|(known, _)| *known == queue) {
                Some(index) => index,
                None => {
                    selection.queues.push((queue.clone(), name(&queue)));
                    selection.queues.len() - 1
                }
            };
            if selection.samples.len() < SAMPLES {
                selection.samples.push(Sample {
                    queue,
                    id: id.clone(),
                    name: String::new(),
                    error: None,
                    since: seen.finished_on,
                });
            }
            selection.items.push(Item {
                queue: u32::try_from(index).unwrap_or(u32::MAX),
                id: id.into(),
                seen,
            });
        }
        selection.looked_at = selection.items.len() as u64;
        selection.items.sort_by_key(|item| item.queue);
        selection
    }

    /// Whether it takes no further job.
    fn is_full(&self) -> bool {
        let first = self.filter.first;
        self.capped || first.is_some_and(|first| self.items.len() as u64 >= first)
    }

    /// Jobs that completed, where the action has them run again.
    #[must_use]
    pub fn done_again(&self) -> u64 {
        let completed = |item: &&Item| item.seen.state == Some(JobState::Completed);
        match self.action {
            JobAction::Retry { .. } => self.items.iter().filter(completed).count() as u64,
            _ => 0,
        }
    }

    /// The word of the action, as in the audit log.
    #[must_use]
    pub const fn action_word(&self) -> &'static str {
        match self.action {
            JobAction::Retry { .. } => "retry_many",
            JobAction::Remove { .. } => "remove_many",
            JobAction::Promote => "promote_many",
            JobAction::Delay { .. } => "delay_many",
            JobAction::Redrive => "redrive_many",
            JobAction::ResumeJob => "resume_many",
            JobAction::Archive => "archive_many",
            _ => "change_many",
        }
    }

    /// What it would do, in a sentence without an end: "Retry 41,212 failed jobs of emails in redis".
    #[must_use]
    pub fn sentence(&self) -> String {
        let count = self.items.len() as u64;
        let state = format::all(self.filter.states.iter().map(|state| state.label()));
        let jobs = if count == 1 { "job" } else { "jobs" };
        let stores: HashSet<&str> = self.queues.iter().map(|(queue, _)| queue.store.as_str()).collect();
        let mut stores: Vec<&str> = stores.into_iter().collect();
        stores.sort_unstable();
        let of = match self.queues.as_slice() {
            [] => "no queue".to_owned(),
            [(_, name)] => format::visible(name),
            many => format!("{} queues", format::count(many.len() as u64)),
        };
        let (count, stores) = (format::count(count), stores.join(", "));
        let words = [verb(&self.action), &count, &state, jobs, "of", &of, "in", &stores];
        let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
        words.join(" ")
    }

    /// Jobs of each queue.
    #[must_use]
    pub fn by_queue(&self) -> Vec<(QueueRef, u64)> {
        let mut counts = vec![0_u64; self.queues.len()];
        for item in &self.items {
            if let Some(count) = usize::try_from(item.queue).ok().and_then(|i| counts.get_mut(i)) {
                *count += 1;
            }
        }
        let queues = self.queues.iter().map(|(queue, _)| queue.clone());
        queues.zip(counts).filter(|(_, count)| *count > 0).collect()
    }
}

/// The jobs that a user ticked.
///
/// # Errors
///
/// When there are none or too many.
pub fn ticked(
    action: JobAction,
    jobs: Vec<(QueueRef, String, Seen)>,
    name: impl Fn(&QueueRef) -> String,
    at: Millis,
) -> Result<Selection, SelectError> {
    const TICKED_MAX: usize = 1_000;
    if jobs.is_empty() || jobs.len() > TICKED_MAX {
        return Err(SelectError::Asked(format!(
            "Select between 1 and {TICKED_MAX} jobs; use a filter for more."
        )));
    }
    Ok(Selection::of(action, jobs, name, at))
}

/// Everything that fits a filter.
///
/// # Errors
///
/// When the filter makes no sense for the action, or a list cannot be read.
pub async fn filtered(
    action: JobAction,
    filter: JobFilter,
    board: &[QueueSummary],
    stores: &HashMap<String, Arc<Collector>>,
    at: Millis,
) -> Result<Selection, SelectError> {
    if filter.states.is_empty() {
        return Err(SelectError::Asked(
            "Say which jobs: a filter needs a state, such as state:failed.".to_owned(),
        ));
    }
    if filter.data.is_some() {
        return Err(SelectError::Asked(
            "data: works only in a queue's list. Select the jobs it finds there, or filter by name, id, error, age or \
             attempts."
                .to_owned(),
        ));
    }
    if let Some(unfit) = filter.states.iter().find(|state| !states(&action).contains(state)) {
        let fitting: Vec<_> = states(&action).iter().map(|state| state.as_str()).collect();
        return Err(SelectError::Asked(format!(
            "{} is for jobs that are {}; the filter asks for {}.",
            verb(&action),
            if fitting.is_empty() {
                "shown one by one".to_owned()
            } else {
                fitting.join(" or ")
            },
            unfit.as_str(),
        )));
    }
    let mut selection = Selection::empty(action, filter, at);
    let mut names: HashMap<String, u64> = HashMap::new();
    let mut skipped: HashMap<String, u64> = HashMap::new();
    let filter = &selection.filter;
    let takes = |queue: &&QueueSummary| {
        filter.takes_system(queue.system) && filter.takes_queue(&queue.store, &queue.id, &queue.name)
    };
    let meant: Vec<&QueueSummary> = board.iter().filter(takes).collect();
    'all: for queue in meant {
        let Some(store) = stores.get(&queue.store) else {
            continue;
        };
        let kind = selection.action.kind();
        let can = queue
            .family
            .as_ref()
            .map(|family| store.adapters().capabilities(family));
        let refused = match can {
            Some(can) => can.map_or(Some(NOT_SUPPORTED), |can| can.refusal(kind)),
            None => Some("The library of this queue is not known yet."),
        };
        let refused = refused.map(str::to_owned);
        let can = can.flatten();
        let lacks = || store.lacks(&queue.id.as_str().into(), &[AnyAction::Job(&selection.action)]);
        let refused = refused.or_else(lacks);
        for state in selection.filter.states.clone() {
            // A list that is known to be empty, or that this kind of queue does not have, need not be read.
            let has = |can: &Capabilities| can.generation.states.contains(&state) || queue.counts.get(state).is_some();
            if queue.counts.get(state) == Some(0) || !can.is_none_or(has) {
                continue;
            }
            let in_state = can.and_then(|can| can.refusal_in(kind, state));
            if let Some(reason) = refused.clone().or_else(|| in_state.map(str::to_owned)) {
                *skipped.entry(reason).or_default() += queue.counts.get(state).unwrap_or(0);
                continue;
            }
            read(&mut selection, queue, state, store, &mut names).await?;
            if selection.is_full() {
                break 'all;
            }
        }
    }
    let ranked = |counts: HashMap<String, u64>| {
        let mut shares: Vec<Share> = counts.into_iter().map(|(of, jobs)| Share { of, jobs }).collect();
        shares.sort_by(|a, b| b.jobs.cmp(&a.jobs).then_with(|| a.of.cmp(&b.of)));
        shares.truncate(SAMPLES);
        shares
    };
    selection.by_name = ranked(names);
    selection.skipped = ranked(skipped);
    Ok(selection)
}

/// Reads what fits of one queue.
async fn read(
    selection: &mut Selection,
    queue: &QueueSummary,
    state: JobState,
    store: &Arc<Collector>,
    names: &mut HashMap<String, u64>,
) -> Result<(), SelectError> {
    let key = queue.key();
    let at = selection.at + store.ahead();
    // A queue with jobs in several states is listed once.
    let known = selection.queues.last().is_some_and(|(last, _)| *last == key);
    let index = u32::try_from(selection.queues.len() - usize::from(known)).unwrap_or(u32::MAX);
    let finished = matches!(state, JobState::Completed | JobState::Failed);
    let mut found: Vec<Item> = Vec::new();
    let mut cursor = None;
    'list: loop {
        let query = JobQuery {
            queue: key.queue.as_str().into(),
            state,
            filter: None,
            at,
            order: Order::Next,
            cursor: cursor.take(),
            limit: if selection.samples.len() < SAMPLES {
                SAMPLES
            } else {
                SCAN
            },
        };
        // Only what is shown of it needs the errors of all.
        let errors = selection.filter.error.is_some() || selection.samples.len() < SAMPLES;
        let Some(adapter) = store.adapter(&key.queue) else {
            break;
        };
        let (rows, next) = adapter.scan(&query, errors).await.map_err(SelectError::Unreadable)?;
        selection.looked_at += rows.len() as u64;
        for row in rows {
            if row.finished.is_some_and(|finished| finished > at) {
                if finished {
                    break 'list;
                }
                continue;
            }
            if !selection.filter.takes(&row, at) {
                continue;
            }
            let count = (selection.items.len() + found.len()) as u64;
            if selection.filter.first.is_some_and(|first| count >= first) {
                break 'list;
            }
            if count >= SELECTED_MAX {
                selection.capped = true;
                break;
            }
            if selection.samples.len() < SAMPLES {
                selection.samples.push(sample(&key, &row));
            }
            if names.len() < NAMES || names.contains_key(row.name.as_str()) {
                *names.entry(cut(&row.name, NAME_SHOWN)).or_default() += 1;
            }
            found.push(Item {
                queue: index,
                seen: seen(&row),
                id: row.id.into(),
            });
        }
        selection.capped |= selection.looked_at >= LOOKED_AT_MAX;
        cursor = next;
        if cursor.is_none() || selection.capped {
            break;
        }
    }
    if !found.is_empty() {
        if !known {
            selection.queues.push((key, queue.label.clone()));
        }
        selection.items.append(&mut found);
    }
    Ok(())
}

fn seen(row: &JobRow) -> Seen {
    Seen {
        state: Some(row.state),
        finished_on: row
            .finished
            .filter(|_| matches!(row.state, JobState::Failed | JobState::Completed)),
        attempts: row.attempts.map(u64::from),
    }
}

fn sample(queue: &QueueRef, row: &JobRow) -> Sample {
    Sample {
        queue: queue.clone(),
        id: row.id.clone(),
        name: cut(&row.name, NAME_SHOWN),
        error: row.error.clone(),
        since: row.finished.or(row.created),
    }
}
