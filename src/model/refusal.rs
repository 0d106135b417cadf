//! What a generation of the library cannot have done to it, and why: told before anything is tried.

use super::action::{JobAction, NewJob, Plan, QueueAction, ScheduleAction, Sweep};
use super::family::Layout;
use super::state::JobState;
use std::collections::BTreeMap;

/// Why a dead letter cannot be put back.
pub const NO_SOURCES: &str = "pg-boss writes down which queue a dead letter came from since 12.23. Add the job to that queue \
                              anew, with the same data, and remove it here.";

/// Every generation of pg-boss, as a pattern.
macro_rules! pgboss {
    () => {
        Layout::PgBoss9 | Layout::PgBoss10 | Layout::PgBoss11 | Layout::PgBoss12
    };
}

/// Why jobs of this layout cannot have this done to them.
#[must_use]
pub const fn job(layout: Layout, action: &JobAction) -> Option<&'static str> {
    if let Some(reason) = of_pgboss_jobs(layout, action) {
        return Some(reason);
    }
    match (layout, action) {
        (pgboss!(), _) => None,
        (_, JobAction::Redrive) => Some("Only pg-boss has dead-letter queues that know where their jobs came from."),
        (_, JobAction::ResumeJob) => Some("Only pg-boss has cancelled jobs that can be resumed."),
        (Layout::Bull4, JobAction::Delay { .. }) => {
            Some("Bull has no way to change a delay. Promote the job, or remove it and add it anew.")
        }
        (Layout::Bull4, JobAction::Priority { .. }) => {
            Some("Bull has no way to change a priority. Remove the job and add it anew.")
        }
        (Layout::Bull4 | Layout::BullMq3 | Layout::BullMq4, JobAction::PutBack) => Some(
            "Before BullMQ 5 only a worker puts a job back: its check for lost workers does it within half a minute.",
        ),
        (Layout::Bull4 | Layout::BullMq3 | Layout::BullMq4, JobAction::Cancel { .. }) => {
            Some("Workers heed a cancelled job since BullMQ 5.50. Remove the job instead.")
        }
        (Layout::BullMq3 | Layout::BullMq4, JobAction::RemoveDeduplication) => {
            Some("Deduplication came with BullMQ 5.11.")
        }
        (Layout::Bull4, JobAction::RemoveChildren) => flow(layout),
        (Layout::BullMq3 | Layout::BullMq4, JobAction::RemoveChildren) => {
            Some("Removing children that have not begun came with BullMQ 5.48. Remove them one by one.")
        }
        _ => None,
    }
}

/// Why jobs of this layout cannot have this done to them in this state, although they can in others.
#[must_use]
pub const fn job_in(layout: Layout, action: &JobAction, state: JobState) -> Option<&'static str> {
    match (layout, action, state) {
        (pgboss!(), JobAction::Retry { .. }, JobState::Completed) => {
            Some("pg-boss retries failed jobs only. Of a completed one there can be a duplicate.")
        }
        _ => None,
    }
}

/// Why jobs of this layout cannot have those below them retried.
#[must_use]
pub const fn flow(layout: Layout) -> Option<&'static str> {
    match layout {
        Layout::Bull4 => Some("Bull has no parents and children; BullMQ has."),
        pgboss!() => {
            Some("pg-boss releases a job when all it waits for have completed. Retry the failed ones themselves.")
        }
        _ => None,
    }
}

/// The same of pg-boss, whose jobs have neither locks nor logs.
const fn of_pgboss_jobs(layout: Layout, action: &JobAction) -> Option<&'static str> {
    match (layout, action) {
        (pgboss!(), JobAction::FailLost { .. } | JobAction::PutBack) => Some(
            "pg-boss does that itself, once a minute: a job whose time is over fails, or is retried. It takes a process with \
             supervise on.",
        ),
        (Layout::PgBoss9, JobAction::Redrive) => Some("Dead-letter queues came with pg-boss 10."),
        (Layout::PgBoss10 | Layout::PgBoss11, JobAction::Redrive) => Some(NO_SOURCES),
        (pgboss!(), JobAction::ClearLogs { .. }) => Some("pg-boss keeps no logs of jobs."),
        (pgboss!(), JobAction::RemoveChildren) => {
            Some("pg-boss does not remove the jobs that another waits for. Remove them one by one.")
        }
        _ => None,
    }
}

/// Why queues of this layout cannot have this done to them.
#[must_use]
pub const fn queue(layout: Layout, action: &QueueAction) -> Option<&'static str> {
    match (layout, action) {
        (pgboss!(), QueueAction::Concurrency { .. }) => {
            Some("pg-boss has no limit for the whole queue; its policies singleton and stately allow one at a time.")
        }
        (pgboss!(), QueueAction::RateLimit { .. } | QueueAction::ReleaseRateLimit) => {
            Some("pg-boss has no rate limit; it throttles what is sent, by time slots.")
        }
        (pgboss!(), QueueAction::TrimEvents { .. }) => Some("pg-boss keeps no events."),
        (pgboss!(), QueueAction::Obliterate { .. }) => {
            Some("Its queues belong to the application, which removes them with deleteQueue. Remove the jobs here.")
        }
        (Layout::Bull4 | Layout::BullMq3 | Layout::BullMq4, QueueAction::Concurrency { .. }) => {
            Some("A concurrency for the whole queue came with BullMQ 5.9.")
        }
        (Layout::Bull4 | Layout::BullMq3 | Layout::BullMq4, QueueAction::RateLimit { .. }) => {
            Some("A rate limit for the whole queue came with BullMQ 5.60; workers limit themselves.")
        }
        (Layout::Bull4, QueueAction::TrimEvents { .. }) => Some("Bull tells of events by Pub/Sub and keeps none."),
        _ => None,
    }
}

/// Why schedules of this layout cannot have this done to them.
#[must_use]
pub const fn schedule(layout: Layout, action: &ScheduleAction) -> Option<&'static str> {
    match (layout, action) {
        (pgboss!(), ScheduleAction::Upsert(_)) => {
            Some("Schedules of pg-boss are written by the application (schedule). Here they can be run and removed.")
        }
        (Layout::Bull4 | Layout::BullMq3 | Layout::BullMq4, ScheduleAction::Upsert(_)) => {
            Some("It has repeatable jobs, which only its own client can plan; schedulers came with BullMQ 5.16.")
        }
        _ => None,
    }
}

/// Why queues of this layout cannot be swept like this.
#[must_use]
pub const fn sweep(layout: Layout, sweep: &Sweep) -> Option<&'static str> {
    match (layout, sweep) {
        (pgboss!(), _) => Some(
            "pg-boss has no script for it. An operation does the same in batches, each job by its id, because one that a \
                 policy keeps out would undo a whole batch.",
        ),
        (
            Layout::Bull4,
            Sweep::Retry {
                state: JobState::Completed,
                ..
            },
        ) => Some("Bull itself retries failed jobs only."),
        (
            _,
            Sweep::Retry {
                state: JobState::Failed | JobState::Completed,
                ..
            },
        ) => None,
        (_, Sweep::Retry { .. }) => Some("Only failed and completed jobs are retried."),
        (
            _,
            Sweep::Clean {
                state: JobState::Active,
                ..
            },
        ) => Some("Running jobs are not removed together: fail those whose worker is lost, or put them back."),
        (
            _,
            Sweep::Clean {
                state: JobState::WaitingChildren,
                ..
            },
        ) => Some("The library does not remove parents that wait for children together. Remove them one by one."),
        (
            Layout::Bull4 | Layout::BullMq3,
            Sweep::Clean {
                state: JobState::Prioritized,
                ..
            },
        ) => Some("Prioritized jobs stand in the waiting list at their place; BullMQ 4 keeps them apart."),
        _ => None,
    }
}

/// Each action by its word in the API: `None` where it can be done, else why not.
#[must_use]
pub fn all(layout: Layout) -> BTreeMap<String, Option<String>> {
    let text = String::new;
    let jobs = [
        (
            "retry",
            JobAction::Retry {
                reset_attempts: false,
                data: None,
            },
        ),
        ("remove", JobAction::Remove { children: false }),
        ("promote", JobAction::Promote),
        ("delay", JobAction::Delay { ms: 0 }),
        (
            "priority",
            JobAction::Priority {
                priority: 0,
                lifo: false,
            },
        ),
        ("edit_data", JobAction::EditData { data: text() }),
        ("duplicate", JobAction::Duplicate),
        ("fail_lost", JobAction::FailLost { error: text() }),
        ("put_back", JobAction::PutBack),
        ("cancel", JobAction::Cancel { error: text() }),
        ("resume_job", JobAction::ResumeJob),
        ("redrive", JobAction::Redrive),
        ("remove_deduplication", JobAction::RemoveDeduplication),
        ("clear_logs", JobAction::ClearLogs { keep: 0 }),
        ("remove_children", JobAction::RemoveChildren),
        ("archive", JobAction::Archive),
    ];
    let queues = [
        ("pause", QueueAction::Pause),
        ("resume", QueueAction::Resume),
        ("add", QueueAction::Add(NewJob::default())),
        ("concurrency", QueueAction::Concurrency { limit: None }),
        ("rate_limit", QueueAction::RateLimit { limit: None }),
        ("release_rate_limit", QueueAction::ReleaseRateLimit),
        ("trim_events", QueueAction::TrimEvents { keep: 0 }),
        (
            "obliterate",
            QueueAction::Obliterate {
                name: text(),
                force: false,
            },
        ),
    ];
    let plan = Plan {
        pattern: None,
        every_ms: None,
        tz: None,
        limit: None,
        name: text(),
        data: text(),
        options: None,
    };
    let schedules = [
        ("schedule_run", ScheduleAction::Run),
        ("schedule_remove", ScheduleAction::Remove),
        ("schedule_upsert", ScheduleAction::Upsert(plan)),
    ];
    let (state, until) = (JobState::Failed, 0);
    let sweeps = [
        ("sweep_retry", Sweep::Retry { state, until }),
        ("sweep_promote", Sweep::Promote),
        ("sweep_clean", Sweep::Clean { state, until }),
    ];
    let jobs = jobs.iter().map(|(word, action)| (*word, job(layout, action)));
    let queues = queues.iter().map(|(word, action)| (*word, queue(layout, action)));
    let schedules = schedules.iter().map(|(word, action)| (*word, schedule(layout, action)));
    let sweeps = sweeps.iter().map(|(word, action)| (*word, sweep(layout, action)));
    let flows = [("retry_children", flow(layout))];
    let all = jobs.chain(flows).chain(queues).chain(schedules).chain(sweeps);
    all.map(|(word, reason)| (word.to_owned(), reason.map(str::to_owned)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_done_is_told_with_its_reason() {
        let of = |layout: Layout| all(layout).into_iter().filter(|(_, reason)| reason.is_some()).count();
        assert_eq!(
            [Layout::BullMq5, Layout::BullMq6, Layout::BullMq5Or6].map(of),
            [2, 2, 2],
            "there is nothing to resume and nothing to redrive"
        );
        let bull = all(Layout::Bull4);
        assert!(bull["priority"].as_deref().unwrap().starts_with("Bull has no way"));
        assert_eq!(bull["retry"], None);
        for layout in [Layout::BullMq3, Layout::BullMq4] {
            assert!(all(layout)["cancel"].is_some());
        }
        let pgboss = all(Layout::PgBoss12);
        assert!(
            pgboss["rate_limit"]
                .as_deref()
                .unwrap()
                .starts_with("pg-boss has no rate limit")
        );
        assert_eq!(
            (&pgboss["retry"], &pgboss["resume_job"], &pgboss["pause"]),
            (&None, &None, &None)
        );
    }
}
