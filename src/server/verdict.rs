//! Bad, Watch, OK, Paused, Unknown: each rule with its id and its sentence.
//!
//! Rules look at facts, not at history they cannot explain. Among the rules that fire the worst
//! wins. A worse level must hold for two readings (two seconds) before it shows, and a better one for
//! [`CALM`], so that a queue at the edge of a rule does not flicker.
//!
//! | rule | level | when |
//! |---|---|---|
//! | U1 | Unknown | nothing has been read yet, or a count is missing |
//! | P | Paused | the queue is paused |
//! | B1 | Bad | work waits and no worker has been connected, or at work unseen, for 30 s |
//! | B2 | Bad | work has waited and workers have been there for 5 min, and nothing was begun or finished |
//! | W3, B3 | Watch, Bad | the next job has been ready longer than one minute, five minutes; since when is not known of every job |
//! | W4 | Watch | parents wait for children that can never finish |
//! | W5, B5 | Watch, Bad | at least 5 %, 20 % of 20 or more jobs finished within 5 min failed |
//! | W6, B6 | Watch, Bad | the library removes the first job that waits, unrun, within a day, an hour; of a paused queue within three days, a day |
//! | R2 | Watch, Bad | something is the matter with a store that answers: its worst [condition] |
//! | R1, R3 to R8 | Watch, Bad | the worst [part](vitals) of a Redis: memory, eviction, persistence, replication, clients, latency, fragmentation |
//! | R9 | Watch, Bad | the worst [part](postgres) of a Postgres |
//!
//! The rules of schedules (S) are in [`schedule`].
//!
//! [condition]: crate::model::condition

pub mod postgres;
mod store;
pub mod vitals;

use super::throughput::Slice;
use crate::model::Millis;
use crate::model::counts::Counts;
use crate::model::format;
use crate::model::queue::{Expiry, Stuck};
use crate::model::state::JobState;
use crate::model::verdict::{Level, STUCK, Verdict};
pub use store::{Concern, of_store};

pub mod schedule;

/// How long the next job may wait. One promise for all queues until it can be configured.
pub const PROMISE: Millis = 60_000;

/// How long a better level must hold before it shows.
pub const CALM: Millis = 10_000;

/// Below this many finished jobs a share of failures says nothing.
const SAMPLE: u32 = 20;

/// How long a queue with work may have no worker before that is a fault.
const NO_WORKERS: Millis = 30_000;

/// How long a queue with work and workers may make no progress before that is a fault.
pub const NO_PROGRESS: Millis = 300_000;

/// How soon the library may remove a job that waits before that is reported, and before it is Bad. A job that has
/// waited for less than it has left is in no danger: some queues keep jobs for minutes, on purpose.
const REMOVAL_TOLD: Millis = DAY;
const REMOVAL_BAD: Millis = 3_600_000;

/// The same of a paused queue, where every job that waits will be removed: reported so early that a weekend passes
/// before it is too late.
const REMOVAL_PAUSED_TOLD: Millis = 3 * DAY;
const REMOVAL_PAUSED_BAD: Millis = DAY;

const DAY: Millis = 86_400_000;

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
    /// Since when the next job has been ready to run; `None` if that is not known.
    pub oldest_waiting: Option<Millis>,
    /// Whether it may have been ready before that.
    pub at_least: bool,
    /// Since when something has been waiting, as far as the board has watched.
    pub backlog_since: Option<Millis>,
    /// Connected workers; `None` if not known.
    pub workers: Option<u32>,
    /// Whether there are workers that no connection shows.
    pub unseen: bool,
    /// Since when there has been no worker, and no sign of one.
    pub no_workers_since: Option<Millis>,
    /// When a job was last begun or finished, as far as the board has watched; else the start.
    pub last_movement: Millis,
    /// What finished within five minutes.
    pub recent: Slice,
    /// Parents that can never run.
    pub stuck: Option<Stuck>,
    /// When the library removes the first job that waits.
    pub expiry: Option<Expiry>,
}

/// Judges a queue by its facts alone.
#[must_use]
pub fn of_queue(facts: &Facts) -> (Level, &'static str, String) {
    let Some(backlog) = facts.counts.backlog() else {
        let reason = facts.reason.clone().unwrap_or_else(|| "Not read yet.".into());
        return (Level::Unknown, "U1", reason);
    };
    let waiting = format::count(backlog);
    let since = |at: Millis| facts.now.saturating_sub(at).max(0);
    let age = facts.oldest_waiting.map(since);
    let at_least = if facts.at_least { "at least " } else { "" };
    let removal = removal(facts, backlog);
    if facts.paused == Some(true) {
        if let Some((level, rule, text)) = removal {
            return (level, rule, format!("Paused. {text} Resume it before that."));
        }
        let text = match (backlog, age) {
            (0, _) => "Paused. Nothing is waiting.".into(),
            (_, Some(age)) => format!(
                "Paused. {waiting} waiting, the next for {at_least}{}.",
                format::span(age)
            ),
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
    if let Some((level, rule, text)) = removal {
        fire(level, rule, text);
    }
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
        let waits = age.max(facts.backlog_since.map(since));
        let served = facts.unseen || facts.workers.is_some_and(|n| n > 0);
        if served && still >= NO_PROGRESS && waits.is_some_and(|waits| waits >= NO_PROGRESS) {
            fire(
                Level::Bad,
                "B2",
                format!(
                    "No job started or finished for {}; {waiting} waiting.",
                    format::span(still)
                ),
            );
        }
        if let Some(age) = age {
            let text = || {
                format!(
                    "The next job has waited {at_least}{}; the promise is {}.",
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
    if let Some(stuck) = facts.stuck.filter(|stuck| stuck.parents > 0) {
        fire(Level::Watch, STUCK, of_parents(facts, &stuck));
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

/// How many parents can never run, and for how long the first of them has waited.
fn of_parents(facts: &Facts, stuck: &Stuck) -> String {
    let all = facts.counts.get(JobState::WaitingChildren).unwrap_or(0);
    // Of parents that were not looked at nothing is known.
    let bound = if all > stuck.looked_at {
        format!(", of the {} that have waited longest", format::count(stuck.looked_at))
    } else {
        String::new()
    };
    let (who, why, first) = match stuck.parents {
        1 => ("A parent".to_owned(), "a child failed or is missing", "It"),
        n => (
            format!("{} parents", format::count(n)),
            "their children failed or are missing",
            "The first",
        ),
    };
    let oldest = stuck.oldest.map_or_else(String::new, |at| {
        let age = format::span(facts.now.saturating_sub(at).max(0));
        format!(" {first} has waited {age}.")
    });
    format!("{who} cannot run{bound}: {why}.{oldest}")
}

/// Whether the library is about to remove jobs that wait.
fn removal(facts: &Facts, backlog: u64) -> Option<(Level, &'static str, String)> {
    let expiry = facts.expiry?;
    let left = expiry.at - facts.now;
    let paused = facts.paused == Some(true);
    let (told, bad) = if paused {
        (REMOVAL_PAUSED_TOLD, REMOVAL_PAUSED_BAD)
    } else {
        (REMOVAL_TOLD, REMOVAL_BAD)
    };
    let in_time = !paused && facts.now - expiry.ready < left;
    if left > told || in_time {
        return None;
    }
    let when = if left > 0 {
        // To the minute, so that it does not change with every look.
        format!("in {}", format::span((left + 59_999) / 60_000 * 60_000))
    } else {
        "at its next maintenance".into()
    };
    let deed = expiry.deed;
    let text = match backlog {
        0 => format!("Jobs wait for other jobs; {deed} the first {when} without running it."),
        1 => format!("1 waiting; {deed} it {when}."),
        n => format!("{} waiting; {deed} the first {when}.", format::count(n)),
    };
    Some(if left <= bad {
        (Level::Bad, "B6", text)
    } else {
        (Level::Watch, "W6", text)
    })
}

/// Holds a level long enough for a reader to see it.
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

    /// Takes a new level and returns the verdict to show.
    pub fn consider(&mut self, now: Millis, (level, rule, reason): (Level, &'static str, String)) -> Verdict {
        let first = self.shown.level == Level::Unknown;
        if level == self.shown.level {
            self.candidate = None;
            self.shown.rule = rule.into();
            self.shown.reason = reason;
            return self.shown.clone();
        }
        // Silence, its end, and the effects of operators' actions show at once.
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

    fn facts() -> Facts {
        Facts {
            now: 1_000_000,
            counts: Counts::zero(),
            reason: None,
            paused: Some(false),
            oldest_waiting: None,
            at_least: false,
            backlog_since: None,
            workers: Some(2),
            unseen: false,
            no_workers_since: None,
            last_movement: 1_000_000,
            recent: Slice::default(),
            stuck: None,
            expiry: None,
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
    fn nothing_alarms_on_a_wait_that_is_not_known() {
        let mut unknown = waiting(5, 0);
        unknown.oldest_waiting = None;
        unknown.backlog_since = Some(unknown.now - 200_000);
        assert_eq!(of_queue(&unknown).0, Level::Ok);
        // What was found waiting five minutes ago and still is has waited that long whatever its record says.
        unknown.oldest_waiting = Some(unknown.now - 301_000);
        unknown.at_least = true;
        let (level, rule, text) = of_queue(&unknown);
        assert_eq!((level, rule), (Level::Bad, "B3"));
        assert!(text.contains("has waited at least 5 m"), "{text}");
        let mut still = waiting(5, 0);
        still.oldest_waiting = None;
        still.last_movement = still.now - 400_000;
        still.backlog_since = Some(still.now - 301_000);
        assert_eq!(
            of_queue(&still).1,
            "B2",
            "although nobody knows the age of the next job"
        );
    }

    #[test]
    fn workers_that_cannot_be_seen_are_not_absent_and_can_be_stuck() {
        let mut unseen = waiting(178, 10_000);
        (unseen.workers, unseen.unseen) = (None, true);
        unseen.no_workers_since = Some(unseen.now - 31_000);
        assert_eq!(of_queue(&unseen).0, Level::Ok);
        unseen.last_movement = unseen.now - 400_000;
        unseen.backlog_since = Some(unseen.now - 400_000);
        assert_eq!(of_queue(&unseen).1, "B2");
    }

    #[test]
    fn parents_that_can_never_run_are_told_with_their_number_and_age() {
        let mut held = facts();
        held.counts.set(JobState::WaitingChildren, Some(40));
        let stuck = |parents, looked_at| Stuck {
            parents,
            looked_at,
            oldest: Some(held.now - 7_200_000),
        };
        let say = |stuck| {
            let mut held = held.clone();
            held.stuck = Some(stuck);
            of_queue(&held)
        };
        assert_eq!(say(stuck(0, 40)).0, Level::Ok);
        let (level, rule, text) = say(stuck(40, 40));
        assert_eq!((level, rule), (Level::Watch, STUCK));
        assert_eq!(
            text,
            "40 parents cannot run: their children failed or are missing. The first has waited 2 h."
        );
        assert_eq!(
            say(stuck(1, 30)).2,
            "A parent cannot run, of the 30 that have waited longest: a child failed or is missing. It has waited 2 h."
        );
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
    fn jobs_that_the_library_removes_unrun_are_told_in_time() {
        const HOUR: Millis = 3_600_000;
        let of = |paused, waited: Millis, left: Millis| {
            let mut f = waiting(100_000, waited.min(30_000));
            f.paused = Some(paused);
            f.expiry = Some(Expiry {
                at: f.now + left,
                ready: f.now - waited,
                deed: "pg-boss deletes",
            });
            of_queue(&f)
        };
        let (level, rule, text) = of(true, HOUR, 4 * HOUR - 7_000);
        assert_eq!((level, rule), (Level::Bad, "B6"));
        assert_eq!(
            text,
            "Paused. 100,000 waiting; pg-boss deletes the first in 4 h. Resume it before that."
        );
        assert_eq!(of(true, HOUR, 30 * HOUR).0, Level::Watch);
        assert_eq!(of(true, HOUR, 80 * HOUR).0, Level::Paused);
        let (level, rule, text) = of(false, 14 * 24 * HOUR, 4 * HOUR);
        assert_eq!((level, rule), (Level::Watch, "W6"));
        assert_eq!(text, "100,000 waiting; pg-boss deletes the first in 4 h.");
        assert_eq!(of(false, 14 * 24 * HOUR, HOUR - 1).0, Level::Bad);
        let (level, _, text) = of(false, 14 * 24 * HOUR, -HOUR);
        assert_eq!(level, Level::Bad);
        assert!(text.contains("at its next maintenance"), "{text}");
        assert_eq!(
            of(false, 1_000, HOUR / 2).0,
            Level::Ok,
            "kept for half an hour on purpose, and taken in time"
        );
        assert_eq!(of(false, HOUR, 30 * HOUR).0, Level::Ok);
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
