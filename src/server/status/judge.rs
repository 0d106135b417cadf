//! From what the board knows of queues to what is said of a component.
//!
//! | what its queues do | what is said |
//! |---|---|
//! | every one is Bad | major outage |
//! | at least half of them are Bad | partial outage |
//! | some are Bad, or one has been on Watch for 10 minutes | degraded performance |
//! | every one is paused | under maintenance |
//! | of one there is no fresh data, and no more than that is wrong | unknown |
//! | anything else | operational |
//!
//! How a queue does is its verdict, with two differences: how long it may wait is the component's promise (one promise is
//! Watch, five are Bad), and a store that takes no writes makes its queues Bad. Data older than [`STALE`] is none.
//!
//! What is said is held back until it has lasted ([`Public`]), except that there is no data: that is said at once. Until then
//! data of a moment ago will do.

use crate::model::Millis;
use crate::model::condition::ConditionKind;
use crate::model::queue::QueueSummary;
use crate::model::status::State;
use crate::model::store::{Reach, StoreSummary};
use crate::model::verdict::{Level, STUCK};

/// Data that is older says nothing.
pub const STALE: Millis = 30_000;

/// Being on Watch for this long is reported to the public.
const WATCHED: Millis = 600_000;

/// How one queue does, for the public.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueStatus {
    /// Well.
    Fine,
    /// Getting worse.
    Watch,
    /// Not getting through.
    Bad,
    /// Held by an operator.
    Paused,
    /// No fresh data.
    Unknown,
}

/// What counts of one queue.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Seen {
    /// How it does.
    pub standing: QueueStatus,
    /// How long the next job has waited, zero if none waits; `None` if not known.
    pub wait: Option<Millis>,
    /// How much waits.
    pub backlog: Option<u64>,
    /// How much is finished in a minute.
    pub out: Option<f64>,
    /// Whether it is known to have no worker.
    pub unserved: bool,
}

/// Whether what is known of a store is from just now.
#[must_use]
pub fn is_fresh(store: &StoreSummary, now: Millis) -> bool {
    store.reach != Reach::Connecting && store.as_of.is_some_and(|at| now.saturating_sub(at) <= STALE)
}

/// What a store that answers means for all its queues.
fn of_store(store: &StoreSummary) -> QueueStatus {
    let refuses = |kind: &ConditionKind| {
        matches!(
            kind,
            ConditionKind::OutOfMemory
                | ConditionKind::DiskFailed
                | ConditionKind::TooFewReplicas
                | ConditionKind::CutOff
        )
    };
    let kinds = || store.conditions.iter().map(|condition| condition.kind);
    if kinds().any(|kind| refuses(&kind)) {
        QueueStatus::Bad
    } else if kinds().any(|kind| kind == ConditionKind::WritesPaused) {
        QueueStatus::Watch
    } else {
        QueueStatus::Fine
    }
}

impl Seen {
    /// Nothing is known.
    pub const NOTHING: Self = Self {
        standing: QueueStatus::Unknown,
        wait: None,
        backlog: None,
        out: None,
        unserved: false,
    };

    /// Judges a queue by the promise of its component.
    #[must_use]
    pub fn of(queue: &QueueSummary, store: &StoreSummary, promise: Millis, now: Millis) -> Self {
        let Some(backlog) = queue.counts.backlog() else {
            return Self::NOTHING;
        };
        if !is_fresh(store, now) || queue.verdict.level == Level::Unknown {
            return Self::NOTHING;
        }
        let age = |at: Millis| store.its_clock(now).saturating_sub(at).max(0);
        let known = match backlog {
            0 => Some(0),
            _ => queue.oldest_waiting.map(age),
        };
        // A bound that is within the promise does not say that the promise is kept.
        let wait = known.filter(|wait| queue.next_created.is_none() || *wait > promise);
        // The board's own promise is not this one, and a parent that cannot run keeps no other work waiting.
        let by_verdict = match (queue.verdict.level, queue.verdict.rule.as_str()) {
            (Level::Unknown, _) => QueueStatus::Unknown,
            (Level::Paused, _) => QueueStatus::Paused,
            // For a reader of the status page it is paused all the same.
            (_, "W6" | "B6") if queue.paused == Some(true) => QueueStatus::Paused,
            (Level::Ok, _) | (_, "W3" | "B3" | STUCK) => QueueStatus::Fine,
            (Level::Watch, _) => QueueStatus::Watch,
            (Level::Bad, _) => QueueStatus::Bad,
        };
        let by_wait = match wait {
            Some(wait) if wait >= promise.saturating_mul(5) => QueueStatus::Bad,
            Some(wait) if wait > promise => QueueStatus::Watch,
            _ => QueueStatus::Fine,
        };
        let all = [by_verdict, by_wait, of_store(store)];
        let standing = if by_verdict == QueueStatus::Paused {
            QueueStatus::Paused
        } else if all.contains(&QueueStatus::Bad) {
            QueueStatus::Bad
        } else if all.contains(&QueueStatus::Watch) {
            QueueStatus::Watch
        } else {
            QueueStatus::Fine
        };
        Self {
            standing,
            wait,
            backlog: Some(backlog),
            out: queue.rates.map(|rates| rates.departures),
            unserved: queue.workers == Some(0),
        }
    }
}

/// All queues of a component together.
#[derive(Clone, Debug, Default)]
pub struct Together {
    queues: Vec<Seen>,
    /// Whether there may be queues that have not been found yet.
    incomplete: bool,
}

impl Together {
    /// Puts them together. With `incomplete`, a store that may hold more of them has never been searched.
    #[must_use]
    pub const fn new(queues: Vec<Seen>, incomplete: bool) -> Self {
        Self { queues, incomplete }
    }

    fn of(&self, standing: QueueStatus) -> usize {
        self.queues.iter().filter(|queue| queue.standing == standing).count()
    }

    /// Whether there is fresh data of all of them.
    #[must_use]
    pub fn is_known(&self) -> bool {
        !self.incomplete && !self.queues.is_empty() && self.of(QueueStatus::Unknown) == 0
    }

    /// Whether one is known not to get through.
    #[must_use]
    pub fn has_trouble(&self) -> bool {
        self.of(QueueStatus::Bad) > 0
    }

    /// Whether every one is held.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.is_known() && self.of(QueueStatus::Paused) == self.queues.len()
    }

    /// Whether some are held and others are not.
    #[must_use]
    pub fn is_partly_held(&self) -> bool {
        self.of(QueueStatus::Paused) > 0 && !self.is_held()
    }

    /// Whether some queue is known to have no worker.
    #[must_use]
    pub fn is_unserved(&self) -> bool {
        self.queues.iter().any(|queue| queue.unserved)
    }

    /// How long the work that has waited longest has waited; `None` if that is not known of every queue.
    #[must_use]
    pub fn wait(&self) -> Option<Millis> {
        let waits = self.queues.iter().map(|queue| queue.wait);
        self.is_known()
            .then(|| waits.collect::<Option<Vec<_>>>())??
            .into_iter()
            .max()
    }

    /// How much waits.
    #[must_use]
    pub fn backlog(&self) -> Option<u64> {
        self.is_known()
            .then(|| self.queues.iter().map(|queue| queue.backlog).sum())?
    }

    /// How much of it is finished in a minute.
    #[must_use]
    pub fn out(&self) -> Option<f64> {
        self.queues.iter().map(|queue| queue.out).sum()
    }

    /// Within how long new work starts, where every queue moves: what is before it, at the pace of the last minute. Not less
    /// than what waits has waited already.
    #[must_use]
    pub fn starts_within(&self) -> Option<Millis> {
        let one = |queue: &Seen| {
            let backlog = queue.backlog?;
            if backlog == 0 {
                return (!queue.unserved).then_some(0);
            }
            let out = queue.out.filter(|out| *out > 0.0)?;
            #[expect(
                clippy::cast_precision_loss,
                clippy::cast_possible_truncation,
                reason = "an estimate, and casts to integers saturate"
            )]
            let ahead = (backlog as f64 / out * 60_000.0) as Millis;
            Some(ahead.max(queue.wait.unwrap_or(0)))
        };
        let moving = self.queues.iter().filter(|queue| queue.standing != QueueStatus::Paused);
        let each: Option<Vec<Millis>> = moving.map(one).collect();
        self.is_known().then_some(each)??.into_iter().max()
    }

    /// Whether it needs watching: a queue is on Watch, or one is held beyond the promise beside others that run.
    fn is_on_watch(&self, promise: Millis) -> bool {
        let late =
            |queue: &Seen| queue.standing == QueueStatus::Paused && queue.wait.is_some_and(|wait| wait > promise);
        self.of(QueueStatus::Watch) > 0 || (!self.is_held() && self.queues.iter().any(late))
    }

    /// What would be said now, when it has been on Watch since then.
    fn state(&self, now: Millis, watched_since: Option<Millis>) -> State {
        let (all, bad) = (self.queues.len(), self.of(QueueStatus::Bad));
        if bad > 0 {
            // Of a queue that is not known it is not known that it is bad.
            return match (bad == all && self.is_known(), bad * 2 >= all) {
                (true, _) => State::MajorOutage,
                (_, true) => State::PartialOutage,
                _ => State::DegradedPerformance,
            };
        }
        if !self.is_known() {
            State::Unknown
        } else if self.is_held() {
            State::UnderMaintenance
        } else if watched_since.is_some_and(|since| now.saturating_sub(since) >= WATCHED) {
            State::DegradedPerformance
        } else {
            State::Operational
        }
    }
}

/// What is said of a component, held back until it has lasted.
#[derive(Clone, Debug)]
pub struct Public {
    shown: State,
    since: Millis,
    /// Since when it has been worse than what is shown, or better.
    worse: Option<Millis>,
    better: Option<Millis>,
    watched_since: Option<Millis>,
}

/// How long something must last before it is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// When it got worse.
    pub worse: Millis,
    /// When it got better.
    pub better: Millis,
}

impl Public {
    /// Before anything is known.
    #[must_use]
    pub const fn new(now: Millis) -> Self {
        Self {
            shown: State::Unknown,
            since: now,
            worse: None,
            better: None,
            watched_since: None,
        }
    }

    /// What is said, and since when that has been so.
    #[must_use]
    pub const fn shown(&self) -> (State, Millis) {
        (self.shown, self.since)
    }

    /// Takes in how it looks now.
    pub fn consider(&mut self, now: Millis, together: &Together, promise: Millis, patience: Patience) {
        // A clock that was set back must not make anything wait.
        for at in [&mut self.worse, &mut self.better, &mut self.watched_since] {
            *at = at.map(|at| at.min(now));
        }
        if together.is_on_watch(promise) {
            self.watched_since.get_or_insert(now);
        } else if together.is_known() {
            self.watched_since = None;
        }
        let state = together.state(now, self.watched_since);
        if state == self.shown {
            (self.worse, self.better) = (None, None);
            return;
        }
        // That nothing is known is said at once, and so is the first thing that is.
        if state == State::Unknown || self.shown == State::Unknown {
            self.show(state, now);
            return;
        }
        let since = if state.weight() > self.shown.weight() {
            self.better = None;
            let since = *self.worse.get_or_insert(now);
            (now - since >= patience.worse).then_some(since)
        } else {
            self.worse = None;
            let since = *self.better.get_or_insert(now);
            (now - since >= patience.better).then_some(since)
        };
        if let Some(since) = since {
            self.show(state, since);
        }
    }

    const fn show(&mut self, state: State, since: Millis) {
        self.shown = state;
        self.since = since;
        (self.worse, self.better) = (None, None);
    }
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
