//! Whether a schedule still does what it says.
//!
//! | rule | level | when |
//! |---|---|---|
//! | S1 | Bad | the next job is missing, or has run without making the one after: the chain is broken |
//! | S2 | Bad | due, not begun, and no worker is connected |
//! | S3 | Watch | due, not begun, and the queue is paused |
//! | S4 | Watch, Bad | due and still delayed for 10 s, 60 s although workers are connected |
//! | S5 | Watch | due, and waiting behind other work for more than a minute |
//! | U2 | Unknown | nothing says when it runs |
//! | P | Paused | not due yet, and the queue is paused |
//!
//! A schedule that has made all its jobs, or has passed its end, is OK and says so.

use crate::model::Millis;
use crate::model::format;
use crate::model::schedule::{Schedule, ScheduleKind};
use crate::model::state::JobState;
use crate::model::verdict::{Level, Verdict};

/// Clocks differ and workers look for due jobs every few seconds: before this nothing is late.
const LATE: Millis = 10_000;

/// Work in front of it is a reason to wait this long.
const BEHIND: Millis = 60_000;

/// What the rules know beside the schedule itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Surroundings {
    /// Now.
    pub now: Millis,
    /// Whether its queue is paused.
    pub paused: Option<bool>,
    /// Connected workers of its queue.
    pub workers: Option<u32>,
    /// Since when there has been no worker.
    pub deserted_since: Option<Millis>,
    /// Whether that was so from the first look on.
    pub deserted_longer: bool,
    /// Jobs ready in its queue.
    pub backlog: Option<u64>,
    /// The moment after the next one; `None` if there is none before its end, or it is not known.
    pub after_next: Option<Millis>,
}

/// Judges a schedule.
#[must_use]
pub fn of_schedule(schedule: &Schedule, around: &Surroundings) -> Verdict {
    let (level, rule, reason) = judge(schedule, around);
    Verdict {
        level,
        rule: rule.into(),
        reason,
        since: schedule.due.min(around.now),
    }
}

fn judge(schedule: &Schedule, around: &Surroundings) -> (Level, &'static str, String) {
    let now = around.now;
    if schedule.kind == ScheduleKind::Timetable {
        return timetable(around);
    }
    let late = now - schedule.due;
    let state = schedule.job.as_ref().map(|job| job.state);
    let finished = matches!(state, Some(Some(JobState::Completed | JobState::Failed)));
    if state.is_none() || finished {
        if let Some(words) = ended(schedule, around) {
            return (Level::Ok, "", words);
        }
        if schedule.every.is_none() && schedule.pattern.is_none() {
            let words = "Its definition is missing, so its run times are not known.";
            return (Level::Bad, "S1", words.into());
        }
        // A repeatable's limit is known to its jobs alone.
        let limit = if schedule.kind == ScheduleKind::Repeatable && schedule.job.is_none() {
            " If it had a limit, it may have reached it: the count was stored with the job."
        } else {
            ""
        };
        let words = if finished {
            format!(
                "The chain is broken: its job of {} ago has run but created no next one. Save the schedule again.",
                format::span(late)
            )
        } else if late > 0 {
            format!(
                "The chain is broken: its job was due {} ago and is gone. Save the schedule again.",
                format::span(late)
            )
        } else {
            "The chain is broken: its next job is gone, so nothing will run. Save the schedule again.".into()
        };
        return (Level::Bad, "S1", words + limit);
    }
    if state == Some(Some(JobState::Active)) {
        return (Level::Ok, "", String::new());
    }
    if schedule.every.is_none() && schedule.pattern.is_none() {
        return (Level::Unknown, "U2", "How often it runs is not known.".into());
    }
    if late <= LATE {
        return match around.paused {
            Some(true) => (Level::Paused, "P", "Its queue is paused: the job will wait.".into()),
            _ if around.workers == Some(0) => (Level::Ok, "", "No worker is connected yet.".into()),
            _ => (Level::Ok, "", String::new()),
        };
    }
    let due = format::span(late);
    if around.paused == Some(true) {
        return (
            Level::Watch,
            "S3",
            format!("Due {due} ago and held: its queue is paused."),
        );
    }
    if around.workers == Some(0) {
        let since = around
            .deserted_since
            .map_or_else(String::new, |since| format!(" for {}", format::span(now - since)));
        let longer = if around.deserted_longer { " or longer" } else { "" };
        return (
            Level::Bad,
            "S2",
            format!("Due {due} ago: its queue has had no worker{since}{longer}."),
        );
    }
    if state == Some(Some(JobState::Delayed)) {
        let level = if late > BEHIND { Level::Bad } else { Level::Watch };
        let who = if around.workers.is_some() {
            "although workers are connected"
        } else {
            "and whether workers are connected is not known"
        };
        return (
            level,
            "S4",
            format!("Due {due} ago and still delayed, {who}. Are they stuck, or is a rate limit in force?"),
        );
    }
    if late > BEHIND {
        let words = format!(
            "Due {due} ago; it is one of {} waiting jobs.",
            format::count_or_unknown(around.backlog)
        );
        return (Level::Watch, "S5", words);
    }
    (Level::Ok, "", String::new())
}

/// A timetable whose next job is only made when its time has come: nothing about it can be late, but a worker has to
/// take the job.
fn timetable(around: &Surroundings) -> (Level, &'static str, String) {
    if around.workers == Some(0) {
        return (Level::Ok, "", "No worker is connected yet.".into());
    }
    (Level::Ok, "", String::new())
}

/// Why there is rightly no next job.
fn ended(schedule: &Schedule, around: &Surroundings) -> Option<String> {
    // A repeatable's own count goes with its job; a limit alone then tells nothing.
    if let (Some(made), Some(limit)) = (schedule.made, schedule.limit)
        && made >= limit
    {
        return Some(format!(
            "Ended: it has created all of its {}.",
            format::counted(limit, "job", "jobs")
        ));
    }
    let end = schedule.end?;
    let over = end <= around.now || schedule.next > end || around.after_next.is_none_or(|next| next > end);
    over.then(|| format!("Ended: it ran until {}.", format::moment(end)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::queue::QueueRef;
    use crate::model::schedule::{Iteration, LastRun};

    fn schedule(state: Option<JobState>) -> Schedule {
        Schedule {
            queue: QueueRef {
                store: "redis".into(),
                queue: "bull:mail".into(),
            },
            queue_name: "mail".into(),
            id: "nightly".into(),
            name: None,
            kind: ScheduleKind::Scheduler,
            every: Some(60_000),
            pattern: None,
            tz: None,
            words: "every minute".into(),
            next: 1_000_000,
            due: 1_000_000,
            made: Some(3),
            limit: None,
            start: None,
            end: None,
            job: Some(Iteration {
                id: "repeat:nightly:1000000".into(),
                at: 1_000_000,
                state,
                begun: None,
                finished: None,
            }),
            last: LastRun::None,
            data: None,
            verdict: Verdict::not_read(0),
        }
    }

    fn around(now: Millis) -> Surroundings {
        Surroundings {
            now,
            paused: Some(false),
            workers: Some(1),
            deserted_since: None,
            deserted_longer: false,
            backlog: Some(7),
            after_next: Some(1_060_000),
        }
    }

    fn rule(schedule: &Schedule, around: &Surroundings) -> (Level, String) {
        let verdict = of_schedule(schedule, around);
        (verdict.level, verdict.rule)
    }

    #[test]
    fn each_rule_fires_on_its_own_fact() {
        let delayed = schedule(Some(JobState::Delayed));
        assert_eq!(rule(&delayed, &around(990_000)), (Level::Ok, String::new()));
        assert_eq!(rule(&delayed, &around(1_009_000)).0, Level::Ok, "clocks differ");
        assert_eq!(rule(&delayed, &around(1_011_000)), (Level::Watch, "S4".into()));
        assert_eq!(rule(&delayed, &around(1_061_000)), (Level::Bad, "S4".into()));
        let unserved = Surroundings {
            workers: Some(0),
            deserted_since: Some(900_000),
            ..around(1_011_000)
        };
        let verdict = of_schedule(&delayed, &unserved);
        assert_eq!((verdict.level, verdict.rule.as_str()), (Level::Bad, "S2"));
        assert!(verdict.reason.contains("no worker for 1 m 51 s"), "{}", verdict.reason);
        let paused = |now| Surroundings {
            paused: Some(true),
            ..around(now)
        };
        assert_eq!(rule(&delayed, &paused(990_000)), (Level::Paused, "P".into()));
        assert_eq!(rule(&delayed, &paused(1_011_000)), (Level::Watch, "S3".into()));
        let waiting = schedule(Some(JobState::Waiting));
        assert_eq!(rule(&waiting, &paused(1_011_000)), (Level::Watch, "S3".into()));
        assert_eq!(rule(&waiting, &around(1_011_000)).0, Level::Ok, "it waits its turn");
        assert_eq!(rule(&waiting, &around(1_061_000)), (Level::Watch, "S5".into()));
        let active = schedule(Some(JobState::Active));
        assert_eq!(rule(&active, &unserved).0, Level::Ok, "it runs");
    }

    #[test]
    fn a_missing_job_is_a_broken_chain_unless_the_schedule_has_ended() {
        let mut gone = schedule(None);
        gone.job = None;
        assert_eq!(rule(&gone, &around(990_000)), (Level::Bad, "S1".into()));
        let done = schedule(Some(JobState::Completed));
        assert_eq!(rule(&done, &around(1_011_000)), (Level::Bad, "S1".into()));
        gone.limit = Some(3);
        let verdict = of_schedule(&gone, &around(990_000));
        assert_eq!(verdict.level, Level::Ok);
        assert!(verdict.reason.contains("all of its 3 jobs"), "{}", verdict.reason);
        gone.limit = Some(4);
        assert_eq!(rule(&gone, &around(990_000)).0, Level::Bad);
        gone.end = Some(1_030_000);
        assert_eq!(
            rule(&gone, &around(990_000)).0,
            Level::Ok,
            "the next one would be after the end"
        );
    }
}
