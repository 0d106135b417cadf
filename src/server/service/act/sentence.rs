//! What would be done, in one sentence: the same for a confirmation, an answer of the API and the audit log.

use super::intent::Intent;
use crate::model::action::{Changes, JobAction, NewJob, Plan, QueueAction, ScheduleAction};
use crate::model::answer::FLOW_MAX;
use crate::model::capability::Capabilities;
use crate::model::format;
use crate::model::job::cut;
use crate::model::queue::QueueRef;

/// Where it would be done.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The queue.
    pub queue: &'a QueueRef,
    /// What it is called.
    pub label: &'a str,
    /// What the store is, such as `production`.
    pub environment: Option<&'a str>,
    /// What its generation can do, where that is known.
    pub can: Option<&'a Capabilities>,
}

impl Place<'_> {
    /// The queue and its store: "queue mail in redis (production)".
    #[must_use]
    pub fn words(&self) -> String {
        let environment = self.environment.map_or_else(String::new, |e| format!(" ({e})"));
        format!(
            "queue {} in {}{environment}",
            shown(self.label),
            shown(&self.queue.store)
        )
    }
}

/// The sentence.
#[must_use]
pub fn of(intent: &Intent, place: Place<'_>) -> String {
    let there = place.words();
    match intent {
        Intent::Job { id, action } => on_job(&shown(id), action, &there, place.can),
        Intent::Flow { id, .. } => format!(
            "Retry the failed jobs below job {} of {there}, up to {} and the deepest first, then the job itself if it \
             failed. Each runs when its children have ended.",
            shown(id),
            format::count(FLOW_MAX as u64)
        ),
        Intent::Queue(action) => on_queue(action, &there, place.can),
        Intent::Schedule { key, action } => on_schedule(&shown(key), action, &there),
    }
}

fn shown(text: &str) -> String {
    cut(&format::visible(text), 120)
}

fn on_job(id: &str, action: &JobAction, there: &str, can: Option<&Capabilities>) -> String {
    let job = format!("job {id} of {there}");
    match action {
        JobAction::Retry { reset_attempts, data } => {
            let data = data.as_ref().map_or_else(String::new, |data| {
                format!(" with other data ({})", format::bytes(data.len() as u64))
            });
            let attempts = if *reset_attempts {
                ", with its attempt count reset"
            } else {
                ""
            };
            format!("Retry {job}{data}{attempts}.")
        }
        JobAction::Remove { children: false } => format!("Remove {job} permanently."),
        JobAction::Remove { children: true } => {
            format!("Remove {job} and all its children permanently, including those in other queues.")
        }
        JobAction::Promote => format!("Run {job} now instead of when it is due."),
        JobAction::Delay { ms } => format!("Delay {job} by {} from now.", duration(*ms)),
        JobAction::Priority { priority, lifo } => {
            let first = if *lifo {
                ", before others of the same priority"
            } else {
                ""
            };
            let order = can.map_or_else(String::new, |can| format!(" ({})", can.priority_order));
            format!("Set the priority of {job} to {priority}{first}{order}.")
        }
        JobAction::EditData { data } => {
            let old = if can.is_none_or(|can| can.edit_keeps_data) {
                "becomes a line of its log"
            } else {
                "is not kept"
            };
            format!(
                "Replace the data of {job} ({}); the old data {old}.",
                format::bytes(data.len() as u64)
            )
        }
        JobAction::Duplicate(changes) => {
            format!("Add a copy of {job}{}. Its work will be done again.", changed(changes))
        }
        JobAction::FailLost { error } => format!("Fail {job}, whose worker is lost, with {:?}.", shown(error)),
        JobAction::PutBack => {
            format!("Requeue {job}, whose worker is lost. It runs again from the start.")
        }
        JobAction::ResumeJob => format!("Resume {job}, which is cancelled."),
        JobAction::Redrive => {
            format!("Redrive {job}: move it back to the queue it came from, where it runs again.")
        }
        JobAction::Cancel { .. } if can.is_some_and(|can| can.cancel_keeps_job) => {
            format!("Cancel {job}. No worker will take it; it is kept and can be resumed.")
        }
        JobAction::Cancel { .. } if can.is_some_and(|can| can.cancel_discards_job) => {
            format!("Revoke {job}: a worker that takes it discards it without running it.")
        }
        JobAction::Cancel { .. } if can.is_some_and(|can| !can.cancel_takes_error()) => {
            format!("Fail {job} when a worker takes it, without running it.")
        }
        JobAction::Cancel { error } => {
            format!(
                "Fail {job} with {:?} when a worker takes it, without running it.",
                shown(error)
            )
        }
        JobAction::RemoveDeduplication => {
            format!("Remove the deduplication key of {job}, so that the next job with it is added.")
        }
        JobAction::ClearLogs { keep: 0 } => format!("Remove the log of {job} permanently."),
        JobAction::ClearLogs { keep } => {
            let kept = format::counted(*keep, "newest line", "newest lines");
            format!("Remove the log of {job} except its {kept}.")
        }
        JobAction::Archive => {
            format!("Archive {job}, and remove it from the queue once it is stored there.")
        }
        JobAction::RemoveChildren => format!("Remove the children of {job} that have not started, permanently."),
        JobAction::Release => {
            format!(
                "Run {job} without the children that failed or are missing. Those are kept, and it does not wait for \
                 them again."
            )
        }
    }
}

/// What a copy has of its own, as a part of a sentence.
fn changed(changes: &Changes) -> String {
    let Changes {
        name,
        data,
        delay,
        priority,
        attempts,
        options,
    } = changes;
    let data = data
        .as_ref()
        .map(|data| format!("other data ({})", format::bytes(data.len() as u64)));
    let parts = [
        name.as_ref().map(|name| format!("the name {}", shown(name))),
        data,
        delay.map(|ms| format!("a delay of {}", duration(ms))),
        priority.map(|n| format!("the priority {n}")),
        attempts.map(|n| format!("up to {}", format::counted(n.into(), "attempt", "attempts"))),
        options.as_ref().map(|_| "other options".to_owned()),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    match parts.as_slice() {
        [] => String::new(),
        parts => format!(" with {}", format::all(parts.iter().map(String::as_str))),
    }
}

fn on_queue(action: &QueueAction, there: &str, can: Option<&Capabilities>) -> String {
    match action {
        QueueAction::Pause => {
            let by = can.map_or("", |can| can.pause_by.as_str());
            format!("Pause {there}. Running jobs will finish; workers take no new ones{by}.")
        }
        QueueAction::Resume => format!("Resume {there}. Workers take jobs from it again."),
        QueueAction::Add(NewJob {
            name, data, id, delay, ..
        }) => {
            let id = id
                .as_ref()
                .map_or_else(String::new, |id| format!(" with the id {}", shown(id)));
            let when = if *delay > 0 {
                format!(", to run in {}", duration(*delay))
            } else {
                String::new()
            };
            let size = format::bytes(data.len() as u64);
            format!("Add a job {}{id} ({size} of data) to {there}{when}.", shown(name))
        }
        QueueAction::Concurrency { limit: Some(n) } => {
            format!(
                "Let at most {} of {there} run at once.",
                format::counted((*n).into(), "job", "jobs")
            )
        }
        QueueAction::Concurrency { limit: None } => {
            format!("Remove the concurrency limit of {there}.")
        }
        QueueAction::RateLimit { limit: Some(rate) } => {
            format!(
                "Let at most {} of {there} start per {}.",
                format::counted(rate.max.into(), "job", "jobs"),
                duration(rate.per_ms)
            )
        }
        QueueAction::RateLimit { limit: None } => format!("Remove the rate limit of {there}."),
        QueueAction::ReleaseRateLimit => format!("Lift the rate limit of {there} once, so that it continues now."),
        QueueAction::TrimEvents { keep } => format!("Remove the events of {there} except about the {keep} newest."),
        QueueAction::Obliterate { force, .. } => {
            let force = if *force { ", including running ones" } else { "" };
            format!(
                "Remove {there} permanently: all its jobs in every state{force}, its schedules, settings and events."
            )
        }
    }
}

fn on_schedule(key: &str, action: &ScheduleAction, there: &str) -> String {
    let schedule = format!("schedule {key} of {there}");
    match action {
        ScheduleAction::Run => format!("Add a job from {schedule} now; its plan stays as it is."),
        ScheduleAction::Remove => format!("Remove {schedule} permanently, with its next job."),
        ScheduleAction::Upsert(plan) => format!("Save {schedule}: {}.", plan_words(plan)),
    }
}

fn plan_words(plan: &Plan) -> String {
    let when = match (&plan.pattern, plan.every_ms) {
        (Some(pattern), _) => {
            let zone = plan
                .tz
                .as_ref()
                .map_or_else(String::new, |tz| format!(" in {}", shown(tz)));
            format!("at {}{zone}", shown(pattern))
        }
        (None, every) => format!("every {}", duration(every.unwrap_or_default())),
    };
    let limit = plan.limit.map_or_else(String::new, |n| {
        format!(", {} at most", format::counted(n, "time", "times"))
    });
    format!("a job {} {when}{limit}", shown(&plan.name))
}

fn duration(ms: u64) -> String {
    format::duration(i64::try_from(ms).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::capability::Generation;
    use crate::model::system::System;
    use std::collections::BTreeMap;

    #[test]
    fn a_sentence_names_the_queue_the_store_and_what_it_is() {
        let queue = QueueRef {
            store: "redis".into(),
            queue: "bull:mail".into(),
        };
        let place = Place {
            queue: &queue,
            label: "mail",
            environment: Some("production"),
            can: None,
        };
        let remove = Intent::Job {
            id: "7\u{202e}".into(),
            action: JobAction::Remove { children: false },
        };
        assert_eq!(
            of(&remove, place),
            "Remove job 7\\u{202e} of queue mail in redis (production) permanently."
        );
        let limit = Intent::Queue(QueueAction::Concurrency { limit: Some(3) });
        let place = Place {
            environment: None,
            ..place
        };
        assert_eq!(
            of(&limit, place),
            "Let at most 3 jobs of queue mail in redis run at once."
        );
        let generation = Generation {
            system: System::BullMq,
            layout: String::new(),
            label: String::new(),
            unsupported: None,
            states: vec![],
            evidence: BTreeMap::new(),
            uncounted: None,
        };
        let can = Capabilities {
            priority_order: "0 runs first, then 1".into(),
            ..Capabilities::new(generation, |_| Ok(()), |_| Ok(()))
        };
        let action = JobAction::Priority {
            priority: 2,
            lifo: false,
        };
        let id = "7".into();
        let place = Place {
            can: Some(&can),
            ..place
        };
        assert_eq!(
            of(&Intent::Job { id, action }, place),
            "Set the priority of job 7 of queue mail in redis to 2 (0 runs first, then 1)."
        );
    }
}
