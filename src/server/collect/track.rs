//! What the collector knows of one queue between two looks at it.

use super::throughput::{Slice, Throughput};
use crate::model::Millis;
use crate::model::counts::Counts;
use crate::model::event::JobChange;
use crate::model::queue::QueueSummary;
use crate::model::state::JobState;
use crate::model::verdict::Verdict;
use crate::server::adapter::{FoundQueue, JobEvent, Reading, What};
use crate::server::verdict::{self, Facts, Judge};

/// A queue that speaks is counted again this long after the last count even if no event asks for it:
/// retention, cleaning and draining say nothing.
const RECOUNT_BUSY: Millis = 5_000;

/// A queue whose changes nobody tells is counted this often.
const RECOUNT_UNHEARD: Millis = 2_000;

/// A queue that is silent is counted again after this long.
const RECOUNT_IDLE: Millis = 64_000;

/// The same with nobody watching.
const RECOUNT_UNWATCHED: Millis = 15_000;

/// Every queue is counted this often while changes are not pushed.
const RECOUNT_UNPUSHED: Millis = 10_000;

/// A count that was refused is tried again this soon.
const RECOUNT_REFUSED: Millis = 2_000;

/// A queue counts as busy for this long after an event.
const BUSY: Millis = 30_000;

/// The age of the next job is read again after this long even if nothing happened: without an event
/// the job that is next stays next.
const LOOK_AGAIN: Millis = 120_000;

/// Under which circumstances a store is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Circumstances {
    /// Whether anybody looks.
    pub(super) watched: bool,
    /// Whether changes are pushed.
    pub(super) pushed: bool,
    /// Whether something was refused that may be permitted by now.
    pub(super) refused: bool,
}

/// One queue as the collector follows it.
#[derive(Debug)]
pub(super) struct Track {
    pub(super) line: QueueSummary,
    pub(super) throughput: Throughput,
    judge: Judge,
    counted: Millis,
    spoke: Millis,
    /// When the age of the next job was read, and whether something may have changed since.
    looked: Millis,
    stirred: bool,
    last_movement: Millis,
    no_workers_since: Option<Millis>,
    /// Whether the store tells of its changes.
    pushed: bool,
    /// Jobs ever added, where that is how arrivals are known.
    added: Option<u64>,
    /// Whether a worker has ever been seen.
    ever_served: bool,
    /// Spreads the recounts of idle queues over time.
    phase: Millis,
}

impl Track {
    pub(super) fn new(store: &str, found: &FoundQueue, now: Millis) -> Self {
        let phase = found.id.bytes().fold(0_i64, |h, b| (h * 31 + i64::from(b)) % 4_000);
        Self {
            line: QueueSummary {
                store: store.to_owned(),
                id: found.id.to_string(),
                system: found.family.layout.system(),
                name: found.name.clone(),
                version: None,
                family: Some(found.family),
                paused: None,
                counts: Counts::UNKNOWN,
                reason: Some("Not read yet.".into()),
                rates: None,
                oldest_waiting: None,
                workers: None,
                verdict: Verdict::not_read(now),
                spark: vec![],
                as_of: now,
            },
            throughput: Throughput::new(now),
            judge: Judge::new(now),
            counted: 0,
            spoke: 0,
            looked: 0,
            stirred: true,
            last_movement: now,
            no_workers_since: None,
            pushed: true,
            added: None,
            ever_served: false,
            phase,
        }
    }

    /// Takes in events: what they say about jobs, and whether they call for a count.
    pub(super) fn hear(&mut self, now: Millis, events: &[JobEvent]) -> (Vec<JobChange>, bool) {
        // A gap without events is no sign of life.
        if !events.is_empty() {
            self.spoke = now;
        }
        let mut slice = Slice::default();
        let mut changes = Vec::with_capacity(events.len());
        let mut count = false;
        for event in events {
            match &event.what {
                What::Added(_) => slice.added += 1,
                What::Entered(JobState::Completed) => slice.completed += 1,
                What::Failed(_) => slice.failed += 1,
                _ => {}
            }
            count |= !matches!(event.what, What::Progress(_));
            changes.extend(change(event));
        }
        if slice.finished() > 0 || changes.iter().any(|c| c.state == Some(JobState::Active)) {
            self.last_movement = now;
        }
        self.stirred |= count;
        self.throughput.note(now, slice);
        (changes, count)
    }

    /// Takes in a count. True if it is the first, or the queue was paused or resumed since the last.
    pub(super) fn counted(&mut self, now: Millis, reading: Reading) -> bool {
        let turned = self.counted == 0 || self.line.paused != reading.paused;
        self.counted = now;
        if self.line.counts.backlog() == Some(0) && reading.counts.backlog() != Some(0) {
            self.stirred = true;
        }
        self.line.counts = reading.counts;
        self.line.reason = reading.reason;
        self.line.paused = reading.paused;
        self.line.version = reading.version;
        self.line.family = Some(reading.family);
        self.line.system = reading.family.layout.system();
        self.pushed = reading.pushed;
        if let Some(added) = reading.added {
            let more = self.added.map_or(0, |before| added.saturating_sub(before));
            self.added = Some(added);
            let slice = Slice {
                added: u32::try_from(more).unwrap_or(u32::MAX),
                ..Slice::default()
            };
            self.throughput.note(now, slice);
        }
        self.line.as_of = now;
        if self.line.counts.backlog() == Some(0) {
            self.line.oldest_waiting = None;
        }
        turned
    }

    /// Whether it is time to count although no event asks for it.
    pub(super) const fn is_due(&self, now: Millis, at: Circumstances) -> bool {
        let every = if at.refused && self.line.reason.is_some() {
            RECOUNT_REFUSED
        } else if !self.pushed {
            RECOUNT_UNHEARD
        } else if !at.pushed {
            RECOUNT_UNPUSHED
        } else if now - self.spoke >= BUSY {
            RECOUNT_IDLE + self.phase
        } else if at.watched {
            RECOUNT_BUSY
        } else {
            RECOUNT_UNWATCHED
        };
        now - self.counted >= every
    }

    /// Whether a queue that somebody has open should be counted again: what is drained or obliterated by others says
    /// nothing.
    pub(super) const fn wants_a_recount(&self, now: Millis) -> bool {
        now - self.counted >= RECOUNT_BUSY
    }

    /// When it was counted.
    pub(super) const fn counted_at(&self) -> Millis {
        self.counted
    }

    /// Has it counted at the next occasion.
    pub(super) const fn doubt(&mut self) {
        self.counted = 0;
    }

    /// Whether the age of the next job should be read.
    pub(super) fn wants_a_look(&self, now: Millis, at: Circumstances) -> bool {
        self.line.counts.backlog().is_some_and(|n| n > 0)
            && (self.stirred || now - self.looked >= LOOK_AGAIN || (at.refused && self.line.oldest_waiting.is_none()))
    }

    pub(super) fn looked(&mut self, now: Millis, oldest: Option<Millis>) {
        self.looked = now;
        self.stirred = false;
        self.line.oldest_waiting = oldest;
    }

    pub(super) fn workers(&mut self, now: Millis, workers: Option<u32>) {
        self.line.workers = workers;
        match workers {
            Some(0) => {
                self.no_workers_since.get_or_insert(now);
            }
            _ => {
                self.no_workers_since = None;
                self.ever_served |= workers.is_some();
            }
        }
    }

    /// Since when no worker has been seen, and whether that was so from the first look on.
    pub(super) fn deserted(&self) -> Option<(Millis, bool)> {
        self.no_workers_since.map(|since| (since, !self.ever_served))
    }

    /// Our clock was set by `by`.
    pub(super) fn shift(&mut self, by: Millis) {
        self.throughput.shift(by);
        self.judge.shift(by);
        self.line.as_of += by;
        self.line.verdict.since += by;
        self.last_movement += by;
        for at in [&mut self.counted, &mut self.spoke, &mut self.looked] {
            // Zero is "never".
            if *at != 0 {
                *at += by;
            }
        }
        if let Some(since) = &mut self.no_workers_since {
            *since += by;
        }
    }

    /// Refreshes what changes with time alone. The store's clock is `ahead` of ours.
    pub(super) fn tick(&mut self, now: Millis, ahead: Millis) {
        self.line.rates = self.throughput.rates(now);
        self.line.spark = self.throughput.spark(now);
        // Work waits, and since when has not been asked yet: an opinion now would be a guess.
        if self.looked == 0 && self.line.counts.backlog().is_some_and(|n| n > 0) {
            return;
        }
        let facts = Facts {
            now,
            counts: self.line.counts,
            reason: self.line.reason.clone(),
            paused: self.line.paused,
            oldest_waiting: self.line.oldest_waiting.map(|at| at.saturating_sub(ahead)),
            workers: self.line.workers,
            no_workers_since: self.no_workers_since,
            last_movement: self.last_movement,
            recent: self.throughput.last_minutes(5),
        };
        self.line.verdict = self.judge.consider(now, verdict::of_queue(&facts));
    }
}

/// What an event tells a reader about a job, if it is about one.
fn change(event: &JobEvent) -> Option<JobChange> {
    if event.job.is_empty() {
        return None;
    }
    let mut change = JobChange {
        id: event.job.clone(),
        name: None,
        state: None,
        removed: false,
        progress: None,
        error: None,
        at: event.at,
    };
    match &event.what {
        What::Added(name) => change.name = Some(name.clone()),
        What::Entered(state) => change.state = Some(*state),
        What::Failed(error) => {
            change.state = Some(JobState::Failed);
            change.error = Some(error.clone());
        }
        What::Progress(progress) => change.progress.clone_from(progress),
        What::Removed => change.removed = true,
        What::Stalled | What::Queue => return None,
    }
    Some(change)
}
