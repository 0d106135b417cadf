//! Bad, Watch, OK, Paused, Unknown: each rule with its id and its sentence.
//!
//! Rules look at facts, not at history they cannot explain. Among the rules that fire the worst
//! wins. A worse level must hold for two looks (two seconds) before it shows, and a better one for
//! [`CALM`], so that a queue at the edge of a rule does not flicker.
//!
//! | rule | level | when |
//! |---|---|---|
//! | U1 | Unknown | nothing has been read yet, or a count is missing |
//! | P | Paused | the queue is paused |
//! | B1 | Bad | work waits and no worker has been connected for 30 s |
//! | B2 | Bad | work waits, workers are there, and nothing was begun or finished for 5 min |
//! | W3, B3 | Watch, Bad | the next job has waited longer than one minute, five minutes |
//! | W5, B5 | Watch, Bad | at least 5 %, 20 % of 20 or more jobs finished within 5 min failed |
//! | R1 | Watch, Bad | a store's memory is at 75 %, 90 % of its limit |
//! | R2 | Watch, Bad | something is the matter with a store that answers: its worst [condition] |
//! | R3 | Watch | a store may evict keys: its policy is not `noeviction` |
//!
//! The rules of schedules (S) are in [`schedule`].
//!
//! [condition]: crate::model::condition

pub mod postgres;
pub mod vitals;

use super::collect::throughput::Slice;
use crate::model::Millis;
use crate::model::counts::Counts;
use crate::model::format;
use crate::model::store::{Reach, StoreSummary};
use crate::model::verdict::{Level, Verdict};

pub mod schedule;

/// How long the next job may wait. One promise for all queues until it can be configured.
pub const PROMISE: Millis = 60_000;

/// How long a better level must hold before it shows.
pub const CALM: Millis = 10_000;

/// Below this many finished jobs a share of failures says nothing.
const SAMPLE: u32 = 20;

/// Silence of workers that is a fault.
const NO_WORKERS: Millis = 30_000;

/// Silence of a queue with work and workers that is a fault.
const NO_PROGRESS: Millis = 300_000;

/// What the rules know of a queue.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Now.
    pub now: Millis,
    /// Jobs by state.
    pub counts: Counts,
    /// Why a count is missing.
    pub reason: Option<String>,
    /// Whether it is paused.
    pub paused: Option<bool>,
    /// When the next job was created.
    pub oldest_waiting: Option<Millis>,
    /// Connected workers.
    pub workers: Option<u32>,
    /// Since when there has been no worker.
    pub no_workers_since: Option<Millis>,
    /// When a job was last begun or finished, as far as the board has watched; else the start.
    pub last_movement: Millis,
    /// What finished within five minutes.
    pub recent: Slice,
}

/// Judges a queue by its facts alone.
#[must_use]
pub fn of_queue(facts: &Facts) -> (Level, &'static str, String) {
    let Some(backlog) = facts.counts.backlog() else {
        let reason = facts.reason.clone().unwrap_or_else(|| "Not read yet.".into());
        return (Level::Unknown, "U1", reason);
    };
    let waiting = format::count(backlog);
    let age = facts.oldest_waiting.map(|at| facts.now.saturating_sub(at).max(0));
    if facts.paused == Some(true) {
        let text = match (backlog, age) {
            (0, _) => "Paused. Nothing waits.".into(),
            (_, Some(age)) => format!("Paused. {waiting} waiting, the next for {}.", format::span(age)),
            _ => format!("Paused. {waiting} waiting."),
        };
        return (Level::Paused, "P", text);
    }
    let mut worst = (Level::Ok, "", String::new());
    let mut fire = |level: Level, rule, text: String| {
        if level < worst.0 {
            worst = (level, rule, text);
        }
    };
    if backlog > 0 {
        if let (Some(0), Some(since)) = (facts.workers, facts.no_workers_since)
            && facts.now - since >= NO_WORKERS
        {
            fire(
                Level::Bad,
                "B1",
                format!(
                    "{waiting} waiting and no worker connected for {}.",
                    format::span(facts.now - since)
                ),
            );
        }
        let still = facts.now - facts.last_movement;
        if facts.workers.is_some_and(|n| n > 0) && still >= NO_PROGRESS && age.is_some_and(|age| age >= NO_PROGRESS) {
            fire(
                Level::Bad,
                "B2",
                format!(
                    "Nothing was begun or finished for {} while {waiting} wait.",
                    format::span(still)
                ),
            );
        }
        if let Some(age) = age {
            let text = || {
                format!(
                    "The next job has waited {}; the promise is {}.",
                    format::span(age),
                    format::span(PROMISE)
                )
            };
            if age >= 5 * PROMISE {
                fire(Level::Bad, "B3", text());
            } else if age >= PROMISE {
                fire(Level::Watch, "W3", text());
            }
        }
    }
    let finished = facts.recent.finished();
    if finished >= SAMPLE {
        let share = f64::from(facts.recent.failed) / f64::from(finished);
        let text = || format!("{:.0} % of {finished} jobs failed in 5 min.", share * 100.0);
        if share >= 0.2 {
            fire(Level::Bad, "B5", text());
        } else if share >= 0.05 {
            fire(Level::Watch, "W5", text());
        }
    }
    worst
}

/// Judges a store by what it says about itself.
#[must_use]
pub fn of_store(store: &StoreSummary) -> (Level, &'static str, String) {
    if store.reach != Reach::Live {
        let cause = store
            .cause
            .clone()
            .unwrap_or_else(|| format!("{} is {}.", store.address, store.reach.word()));
        let level = if store.reach == Reach::Connecting {
            Level::Unknown
        } else {
            Level::Bad
        };
        return (level, "U1", cause);
    }
    if let Some(worst) = store.conditions.first() {
        return (worst.kind.level(), "R2", worst.sentence.clone());
    }
    let Some(memory) = store.vitals.as_ref().and_then(|vitals| vitals.memory.as_ref()) else {
        return (Level::Ok, "", String::new());
    };
    if let Some(max) = memory.max {
        #[expect(clippy::cast_precision_loss, reason = "a share needs no more precision")]
        let share = memory.used as f64 / max as f64;
        let text = || format!("Memory is at {:.0} % of {}.", share * 100.0, format::bytes(max));
        if share >= 0.9 {
            return (Level::Bad, "R1", text());
        }
        if share >= 0.75 {
            return (Level::Watch, "R1", text());
        }
    }
    if !memory.policy.is_empty() && memory.policy != "noeviction" {
        return (
            Level::Watch,
            "R3",
            format!(
                "Its eviction policy is {}; queues need noeviction, or jobs can disappear.",
                memory.policy
            ),
        );
    }
    (Level::Ok, "", String::new())
}

/// Holds a level long enough to be read.
#[derive(Clone, Debug)]
pub struct Judge {
    shown: Verdict,
    /// A different level and since when it has held.
    candidate: Option<(Level, Millis)>,
}

impl Judge {
    /// Before the first look.
    #[must_use]
    pub fn new(now: Millis) -> Self {
        Self {
            shown: Verdict::not_read(now),
            candidate: None,
        }
    }

    /// The clock was set by `by`.
    pub fn shift(&mut self, by: Millis) {
        self.shown.since += by;
        if let Some((_, since)) = &mut self.candidate {
            *since += by;
        }
    }

    /// Takes a new opinion and gives what to show.
    pub fn consider(&mut self, now: Millis, (level, rule, reason): (Level, &'static str, String)) -> Verdict {
        let first = self.shown.level == Level::Unknown;
        if level == self.shown.level {
            self.candidate = None;
            self.shown.rule = rule.into();
            self.shown.reason = reason;
            return self.shown.clone();
        }
        // Silence, its end, and what operators do show at once.
        let at_once = first
            || [rule, self.shown.rule.as_str()].contains(&"U1")
            || [level, self.shown.level].contains(&Level::Paused);
        let since = match self.candidate {
            Some((held, since)) if held == level => since,
            _ => now,
        };
        let wait = if level < self.shown.level { 1_000 } else { CALM };
        if at_once || (self.candidate.is_some_and(|(held, _)| held == level) && now - since >= wait) {
            self.candidate = None;
            self.shown = Verdict {
                level,
                rule: rule.into(),
                reason,
                since,
            };
        } else {
            self.candidate = Some((level, since));
        }
        self.shown.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::state::JobState;

    fn facts() -> Facts {
        Facts {
            now: 1_000_000,
            counts: Counts::zero(),
            reason: None,
            paused: Some(false),
            oldest_waiting: None,
            workers: Some(2),
            no_workers_since: None,
            last_movement: 1_000_000,
            recent: Slice::default(),
        }
    }

    fn waiting(n: u64, age: Millis) -> Facts {
        let mut f = facts();
        f.counts.set(JobState::Waiting, Some(n));
        f.oldest_waiting = Some(f.now - age);
        f
    }

    #[test]
    fn each_rule_fires_on_its_own_fact() {
        assert_eq!(of_queue(&facts()).0, Level::Ok);
        assert_eq!(of_queue(&waiting(5, 10_000)).0, Level::Ok);
        assert_eq!(of_queue(&waiting(5, 61_000)).1, "W3");
        let (level, rule, text) = of_queue(&waiting(5, 301_000));
        assert_eq!((level, rule), (Level::Bad, "B3"), "{text}");
        let mut none = waiting(812, 10_000);
        none.workers = Some(0);
        none.no_workers_since = Some(none.now - 31_000);
        assert_eq!(of_queue(&none).1, "B1");
        none.workers = None;
        assert_eq!(
            of_queue(&none).0,
            Level::Ok,
            "workers that cannot be counted are not missing"
        );
        let mut stuck = waiting(1, 400_000);
        stuck.last_movement = stuck.now - 400_000;
        assert_eq!(of_queue(&stuck).1, "B2");
        let mut failing = facts();
        failing.recent.completed = 15;
        failing.recent.failed = 4;
        assert_eq!(of_queue(&failing).0, Level::Ok, "19 jobs are too few to judge");
        failing.recent.failed = 5;
        assert_eq!(of_queue(&failing).1, "B5");
    }

    #[test]
    fn paused_and_unknown_are_not_faults() {
        let mut f = waiting(5, 999_000);
        f.paused = Some(true);
        assert_eq!(of_queue(&f).0, Level::Paused);
        f.counts.set(JobState::Waiting, None);
        assert_eq!(of_queue(&f).0, Level::Unknown);
    }

    #[test]
    fn a_level_that_does_not_last_is_not_shown() {
        let mut judge = Judge::new(0);
        let say = |level| (level, "X", String::new());
        assert_eq!(judge.consider(0, say(Level::Ok)).level, Level::Ok);
        assert_eq!(judge.consider(1_000, say(Level::Bad)).level, Level::Ok);
        assert_eq!(judge.consider(2_000, say(Level::Ok)).level, Level::Ok);
        assert_eq!(judge.consider(3_000, say(Level::Bad)).level, Level::Ok);
        let shown = judge.consider(4_000, say(Level::Bad));
        assert_eq!((shown.level, shown.since), (Level::Bad, 3_000));
        assert_eq!(judge.consider(5_000, say(Level::Ok)).level, Level::Bad);
        assert_eq!(judge.consider(16_000, say(Level::Ok)).level, Level::Ok);
    }
}
