//! What the collector knows of one queue between two looks at it.

use super::entries::Entries;
use crate::model::Millis;
use crate::model::counts::Counts;
use crate::model::event::JobChange;
use crate::model::queue::{Expiry, QueueSummary, Stuck};
use crate::model::state::JobState;
use crate::model::verdict::Verdict;
use crate::server::adapter::{Change, FoundQueue, Head, JobEvent, Reading, What};
use crate::server::throughput::{Slice, Throughput};
use crate::server::verdict::{self, Facts, Judge, NO_PROGRESS, PROMISE};

mod due;
mod workers;

/// The age of the next job is read again after this long even if nothing happened: without an event
/// the job that is next stays next.
const LOOK_AGAIN: Millis = 120_000;

/// A count that finds nothing waiting, and a job that is ready by its record, may tell the time this differently.
const CLOCKS: Millis = 5_000;

/// Parents that wait are read this often.
const PARENTS_EVERY: Millis = 60_000;

/// How a store's times compare with ours.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Clocks {
    /// How far its clock is ahead of ours, where that is known.
    pub(super) ahead: Option<Millis>,
}

impl Clocks {
    /// A moment of ours by the store's clock.
    pub(super) fn its(self, at: Millis) -> Millis {
        at.saturating_add(self.ahead.unwrap_or(0))
    }

    /// A moment of the store's by our clock.
    fn ours(self, at: Millis) -> Millis {
        at.saturating_sub(self.ahead.unwrap_or(0))
    }
}
/// The moment at which the library removes the first job that waits is read this often.
const EXPIRY_AGAIN: Millis = 10_000;

/// Under which circumstances a store is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Circumstances {
    /// Whether the board has a viewer.
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
    /// Whether its counts changed since by what was heard, and whether a verdict may.
    stale: bool,
    urgent: bool,
    /// When the age of the next job was read, and whether something may have changed since.
    looked: Millis,
    stirred: bool,
    /// When jobs became ready, as far as events tell it.
    entries: Entries,
    /// The jobs that ran next at the last look and of which nothing tells since when they have been ready, with the moment
    /// at which each was first found waiting.
    heads: Vec<(String, Millis)>,
    /// When nothing waited last, and since when something has been waiting at every count.
    emptied: Option<Millis>,
    backlog_since: Option<Millis>,
    /// When the first job that waits is removed by the library, and when that was read.
    expiry: Option<Expiry>,
    expiry_read: Millis,
    last_movement: Millis,
    /// Connected workers as the list of connections has them.
    connected: Option<u32>,
    no_workers_since: Option<Millis>,
    /// When there was a sign since then that a worker is at work whom the list does not have, and whether a later list did
    /// not have it either.
    worked: Option<Millis>,
    unseen: bool,
    /// When parents were looked at.
    parents_looked: Millis,
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
                system: found.system,
                name: found.name.clone(),
                label: found.name.clone(),
                version: None,
                family: Some(found.family.clone()),
                paused: None,
                counts: Counts::UNKNOWN,
                reason: Some("Not read yet.".into()),
                rates: None,
                oldest_waiting: None,
                next_created: None,
                workers: None,
                unseen: false,
                stuck: None,
                verdict: Verdict::not_read(now),
                spark: vec![],
                as_of: now,
            },
            throughput: Throughput::new(now),
            judge: Judge::new(now),
            counted: 0,
            spoke: 0,
            stale: false,
            urgent: false,
            looked: 0,
            stirred: true,
            entries: Entries::default(),
            heads: vec![],
            emptied: None,
            backlog_since: None,
            expiry: None,
            expiry_read: 0,
            last_movement: now,
            connected: None,
            no_workers_since: None,
            worked: None,
            unseen: false,
            parents_looked: 0,
            pushed: true,
            added: None,
            ever_served: false,
            phase,
        }
    }

    /// Whether its jobs are not read at all: then nothing is known to have happened either.
    pub(super) fn is_unread(&self) -> bool {
        !self.line.system.is_supported()
    }

    /// Takes in events: what they say about jobs, and whether they call for a count.
    pub(super) fn hear(&mut self, now: Millis, clocks: Clocks, change: &Change) -> (Vec<JobChange>, bool) {
        if change.gap {
            self.gap(now, now);
        }
        let events = &change.events;
        // A gap without events is no sign of life.
        if !events.is_empty() {
            self.spoke = now;
        }
        let mut changes = Vec::with_capacity(events.len());
        let mut count = false;
        for event in events {
            let (ours, its) = match (change.own_clock, clocks.ahead) {
                (true, _) => (event.at, clocks.its(event.at)),
                (false, Some(_)) => (clocks.ours(event.at).min(now), event.at),
                (false, None) => (now, event.at),
            };
            let mut slice = Slice::default();
            match &event.what {
                What::Added(_) => slice.added = 1,
                What::Entered(JobState::Completed) => slice.completed = 1,
                What::Failed(_) => slice.failed = 1,
                _ => {}
            }
            if slice != Slice::default() {
                self.throughput.note(now, ours, slice);
            }
            match &event.what {
                What::Entered(JobState::Waiting) => self.entries.enter(&event.job, its),
                What::Entered(_) | What::Failed(_) | What::Removed => self.entries.leave(&event.job),
                _ => {}
            }
            let begun = event.what == What::Entered(JobState::Active);
            if begun || slice.finished() > 0 {
                self.last_movement = now;
                self.sign_of_work(ours, begun);
            }
            count |= !matches!(event.what, What::Progress(_));
            self.urgent |= matches!(
                event.what,
                What::Queue | What::Stalled | What::Entered(JobState::WaitingChildren)
            );
            changes.extend(job_change(event));
        }
        self.urgent |= change.gap;
        self.stale |= count || change.gap;
        self.stirred |= count;
        (changes, count)
    }

    /// Something of the time between `from` and `now` was not heard.
    pub(super) fn gap(&mut self, from: Millis, now: Millis) {
        self.throughput.gap(from, now);
        self.entries.forget();
    }

    /// Takes in a count. True if it is the first, or the queue was paused or resumed since the last.
    pub(super) fn counted(&mut self, now: Millis, reading: Reading) -> bool {
        let turned = self.counted == 0 || self.line.paused != reading.paused;
        self.counted = now;
        (self.stale, self.urgent) = (false, false);
        let (before, counts) = (self.line.counts, reading.counts);
        if before.backlog() == Some(0) && counts.backlog() != Some(0) {
            self.stirred = true;
        }
        match counts.backlog() {
            Some(0) => {
                self.backlog_since = None;
                // Numbers that are old say nothing of now.
                if reading.reason.is_none() {
                    self.emptied = Some(now);
                }
            }
            Some(_) => _ = self.backlog_since.get_or_insert(now),
            None => self.backlog_since = None,
        }
        // Where no event tells of it.
        if !reading.pushed {
            let grew = |state| before.get(state).zip(counts.get(state)).is_some_and(|(a, b)| b > a);
            let begun = grew(JobState::Active);
            if begun || grew(JobState::Completed) || grew(JobState::Failed) {
                self.last_movement = now;
                self.sign_of_work(now, begun);
            }
        }
        self.line.counts = counts;
        self.line.reason = reading.reason;
        self.line.paused = reading.paused;
        self.line.version = reading.version;
        self.line.family = Some(reading.family);
        self.line.system = reading.system;
        self.pushed = reading.pushed;
        if let Some(added) = reading.added {
            let more = self.added.map_or(0, |before| added.saturating_sub(before));
            self.added = Some(added);
            let slice = Slice {
                added: u32::try_from(more).unwrap_or(u32::MAX),
                ..Slice::default()
            };
            self.throughput.note(now, now, slice);
        }
        self.line.as_of = now;
        if counts.backlog() == Some(0) {
            (self.line.oldest_waiting, self.line.next_created) = (None, None);
            self.heads.clear();
        }
        if counts.get(JobState::WaitingChildren) == Some(0) {
            self.line.stuck = None;
            self.parents_looked = 0;
        }
        turned
    }

    /// Whether the age of the next job should be read.
    pub(super) fn wants_a_look(&self, now: Millis, at: Circumstances) -> bool {
        self.line.counts.backlog().is_some_and(|n| n > 0)
            && (self.stirred || now - self.looked >= LOOK_AGAIN || (at.refused && self.line.oldest_waiting.is_none()))
    }

    /// Since when a job has been ready by the store's clock, if its events told.
    pub(super) fn ready_since(&self, job: &str) -> Option<Millis> {
        self.entries.since(job)
    }

    /// Takes in the jobs that run next.
    pub(super) fn looked(&mut self, now: Millis, clocks: Clocks, heads: Vec<Head>) {
        self.looked = now;
        self.stirred = false;
        let emptied = self.emptied.map(|at| clocks.its(at) - CLOCKS);
        let latest = clocks.its(now) + CLOCKS;
        let known = std::mem::take(&mut self.heads);
        let (mut since, mut created, mut unknown) = (None, None, false);
        let mut earlier = |at: Millis| since = Some(since.map_or(at, |since: Millis| since.min(at)));
        for head in heads {
            let heard = self.entries.since(&head.id);
            // A record is wrong that tells of a time in which nothing waited, or of one to come: its delay was cut short.
            let possible = |ready: &Millis| {
                // A job of a producer whose clock is ahead is shown to be ahead.
                let cut_short = *ready > latest && head.created != Some(*ready);
                !cut_short && emptied.is_none_or(|emptied| *ready >= emptied)
            };
            if let Some(ready) = heard.or_else(|| head.ready.filter(possible)) {
                earlier(ready);
                continue;
            }
            unknown = true;
            created = [created, head.created].into_iter().flatten().min();
            let before = known.iter().find(|(id, _)| *id == head.id);
            let first = before.map_or(now, |(_, first)| *first);
            // A shorter time says nothing: the next look may find another job there.
            if now - first >= PROMISE {
                earlier(clocks.its(first));
            }
            self.heads.push((head.id, first));
        }
        // A bound without the word that it is one would be a lie.
        self.line.oldest_waiting = since.filter(|_| !unknown || created.is_some());
        self.line.next_created = created;
    }

    /// Whether the moment at which the library removes the first job that waits should be read.
    pub(super) fn wants_its_expiry(&self, now: Millis) -> bool {
        self.has_waiting() && now - self.expiry_read >= EXPIRY_AGAIN
    }

    /// Whether a job waits for its turn or for others.
    fn has_waiting(&self) -> bool {
        [JobState::Waiting, JobState::Prioritized, JobState::WaitingChildren]
            .iter()
            .any(|state| self.line.counts.get(*state).is_some_and(|n| n > 0))
    }

    pub(super) const fn expires(&mut self, now: Millis, expiry: Option<Expiry>) {
        self.expiry_read = now;
        self.expiry = expiry;
    }

    /// Whether its parents should be looked at.
    pub(super) fn wants_parents(&self, now: Millis) -> bool {
        self.line.counts.get(JobState::WaitingChildren) > Some(0) && now - self.parents_looked >= PARENTS_EVERY
    }

    /// When its parents were looked at.
    pub(super) const fn parents_looked(&self) -> Millis {
        self.parents_looked
    }

    /// Takes in which of its parents can never run.
    pub(super) const fn parents(&mut self, now: Millis, stuck: Option<Stuck>) {
        self.parents_looked = now;
        self.line.stuck = stuck;
    }

    /// Our clock was set by `by`.
    pub(super) fn shift(&mut self, by: Millis) {
        self.throughput.shift(by);
        self.judge.shift(by);
        self.line.as_of += by;
        self.line.verdict.since += by;
        self.last_movement += by;
        for at in [
            &mut self.counted,
            &mut self.spoke,
            &mut self.looked,
            &mut self.parents_looked,
            &mut self.expiry_read,
        ] {
            // Zero is "never".
            if *at != 0 {
                *at += by;
            }
        }
        let moments = [
            &mut self.no_workers_since,
            &mut self.worked,
            &mut self.emptied,
            &mut self.backlog_since,
        ];
        for at in moments.into_iter().flatten() {
            *at += by;
        }
        for (_, first) in &mut self.heads {
            *first += by;
        }
    }

    /// The store has been silent since `from`.
    pub(super) fn silent(&mut self, from: Millis, now: Millis, verdict: &Verdict) {
        self.throughput.gap(from, now);
        self.line.rates = None;
        self.line.spark = self.throughput.spark(now);
        self.line.verdict = verdict.clone();
    }

    /// Refreshes what changes with time alone. `heard` is whether the store tells of its changes at all.
    pub(super) fn tick(&mut self, now: Millis, clocks: Clocks, heard: bool) {
        if !(heard && self.pushed) {
            self.gap(now, now);
        }
        self.doubt_unseen(now);
        let unread = self.is_unread();
        self.line.rates = self.throughput.rates(now).filter(|_| !unread);
        self.line.spark = if unread { vec![] } else { self.throughput.spark(now) };
        // Work waits, and since when has not been asked yet: an opinion now would be a guess.
        if self.looked == 0 && self.line.counts.backlog().is_some_and(|n| n > 0) {
            return;
        }
        let ours = |expiry: Expiry| Expiry {
            at: clocks.ours(expiry.at),
            ready: clocks.ours(expiry.ready),
            ..expiry
        };
        let facts = Facts {
            now,
            counts: self.line.counts,
            reason: self.line.reason.clone(),
            paused: self.line.paused,
            oldest_waiting: self.line.oldest_waiting.map(|at| clocks.ours(at)),
            at_least: self.line.next_created.is_some(),
            backlog_since: self.backlog_since,
            workers: self.line.workers,
            unseen: self.line.unseen,
            no_workers_since: self.no_workers_since.max(self.worked),
            last_movement: self.last_movement,
            recent: self.throughput.last_minutes(5),
            stuck: self.line.stuck.map(|stuck| Stuck {
                oldest: stuck.oldest.map(|at| clocks.ours(at)),
                ..stuck
            }),
            expiry: self.expiry.filter(|_| self.has_waiting()).map(ours),
        };
        self.line.verdict = self.judge.consider(now, verdict::of_queue(&facts));
    }
}

/// What an event tells a reader about a job, if it is about one.
fn job_change(event: &JobEvent) -> Option<JobChange> {
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
        What::Stalled | What::Drained | What::Queue => return None,
    }
    Some(change)
}

#[cfg(test)]
#[path = "track_tests.rs"]
mod tests;
