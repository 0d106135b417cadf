//! What would be done, in one sentence: the same for a confirmation, an answer of the API and the record.

use super::intent::Intent;
use crate::model::action::{JobAction, NewJob, Plan, QueueAction, ScheduleAction};
use crate::model::answer::FLOW_MAX;
use crate::model::family::Layout;
use crate::model::format;
use crate::model::job::cut;
use crate::model::queue::{QueueRef, System};

/// Where it would be done.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The queue.
    pub queue: &'a QueueRef,
    /// Its name, as its application says it.
    pub name: &'a str,
    /// What the store is, such as `production`.
    pub environment: Option<&'a str>,
    /// Which generation of its library laid it out, where that is known.
    pub layout: Option<Layout>,
}

impl Place<'_> {
    /// The queue and its store: "queue mail in redis (production)".
    #[must_use]
    pub fn words(&self) -> String {
        let environment = self.environment.map_or_else(String::new, |e| format!(" ({e})"));
        format!(
            "queue {} in {}{environment}",
            shown(self.name),
            shown(&self.queue.store)
        )
    }
}

/// The sentence.
#[must_use]
pub fn of(intent: &Intent, place: Place<'_>) -> String {
    let there = place.words();
    match intent {
        Intent::Job { id, action } => on_job(&shown(id), action, &there, place.layout),
        Intent::Flow { id, .. } => format!(
            "Run the failed jobs below job {} of {there} again, up to {} and the deepest first, then the job itself if it \
             failed: each as soon as what is below it has ended.",
            shown(id),
            format::count(FLOW_MAX as u64)
        ),
        Intent::Queue(action) => on_queue(action, &there, place.layout),
        Intent::Schedule { key, action } => on_schedule(&shown(key), action, &there),
    }
}

fn shown(text: &str) -> String {
    cut(&format::visible(text), 120)
}

fn on_job(id: &str, action: &JobAction, there: &str, layout: Option<Layout>) -> String {
    let job = format!("job {id} of {there}");
    match action {
        JobAction::Retry { reset_attempts, data } => {
            let data = data.as_ref().map_or_else(String::new, |data| {
                format!(" with other data ({})", format::bytes(data.len() as u64))
            });
            let attempts = if *reset_attempts {
                ", its attempts counted from the beginning"
            } else {
                ""
            };
            format!("Run {job} again{data}{attempts}.")
        }
        JobAction::Remove { children: false } => format!("Remove {job} for ever."),
        JobAction::Remove { children: true } => {
            format!("Remove {job} and all its children for ever, those in other queues included.")
        }
        JobAction::Promote => format!("Have {job} run now instead of when it is due."),
        JobAction::Delay { ms } => format!("Have {job} wait {} from now.", duration(*ms)),
        JobAction::Priority { priority, lifo } => {
            let first = if *lifo { ", before others of the same" } else { "" };
            let order = layout.map_or_else(String::new, |layout| format!(" ({})", layout.priority_order()));
            format!("Give {job} the priority {priority}{first}{order}.")
        }
        JobAction::EditData { data } => {
            format!(
                "Replace the data of {job} ({}); the old data becomes a line of its log.",
                format::bytes(data.len() as u64)
            )
        }
        JobAction::Duplicate => format!("Add a new job with the name, data and options of {job}."),
        JobAction::FailLost { error } => format!("Fail {job}, whose worker is lost, with {:?}.", shown(error)),
        JobAction::PutBack => format!("Put {job}, whose worker is lost, back among the waiting ones."),
        JobAction::ResumeJob => format!("Put {job}, which is cancelled, back in the line."),
        JobAction::Redrive => {
            format!("Redrive {job}: put it back into the queue that it came from, and remove it here.")
        }
        JobAction::Cancel { .. } if is_boss(layout) => {
            format!("Cancel {job}: no worker takes it any more; it is kept, and can be resumed.")
        }
        JobAction::Cancel { error } => {
            format!(
                "Have {job} fail with {:?}, without running, when a worker takes it.",
                shown(error)
            )
        }
        JobAction::RemoveDeduplication => {
            format!("Remove the deduplication key of {job}: the next job like it is added.")
        }
        JobAction::ClearLogs { keep: 0 } => format!("Remove the log of {job} for ever."),
        JobAction::ClearLogs { keep } => format!("Remove the log of {job} but for its {keep} newest lines."),
        JobAction::Archive => {
            format!("Put {job} into the archive, and remove it from the queue once it is safe there.")
        }
        JobAction::RemoveChildren => format!("Remove the children of {job} that have not begun, for ever."),
    }
}

/// What else is worth knowing before it is done.
#[must_use]
pub fn notes(intent: &Intent, layout: Option<Layout>) -> Vec<String> {
    match intent {
        Intent::Queue(QueueAction::Pause) if is_boss(layout) => PAUSE.map(str::to_owned).to_vec(),
        _ => Vec::new(),
    }
}

/// What a pause of a queue of pg-boss is.
const PAUSE: [&str; 4] = [
    "pg-boss itself has no pause. While any queue of its installation is paused, Drover keeps three things in the schema of \
     that installation: a trigger drover_pause on the table job, its function drover_hold, and a table drover_paused with \
     the paused queues. Resuming the last of them removes all three.",
    "Running jobs go on to their end. What is sent, scheduled or to be retried waits; workers keep asking, and get nothing.",
    "pg-boss goes on removing jobs that wait for longer than their queue keeps them: 14 days, unless it is set otherwise.",
    "It needs a role that may act as the owner of the table job. Putting the trigger there waits up to two seconds for a \
     moment at which nobody writes to that table, and new writes wait behind it.",
];

fn is_boss(layout: Option<Layout>) -> bool {
    layout.is_some_and(|layout| layout.system() == System::PgBoss)
}

fn on_queue(action: &QueueAction, there: &str, layout: Option<Layout>) -> String {
    match action {
        QueueAction::Pause if is_boss(layout) => format!(
            "Pause {there}: workers take no new jobs from it, running ones go on. A trigger in its database sees to that."
        ),
        QueueAction::Pause => format!("Pause {there}: workers take no new jobs from it, running ones go on."),
        QueueAction::Resume => format!("Resume {there}: workers take jobs from it again."),
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
        QueueAction::Concurrency { limit: Some(n) } => format!("Let at most {n} job(s) of {there} run at once."),
        QueueAction::Concurrency { limit: None } => {
            format!("Take the limit of jobs that run at once away from {there}.")
        }
        QueueAction::RateLimit { limit: Some(rate) } => {
            format!(
                "Let at most {} job(s) of {there} begin per {}.",
                rate.max,
                duration(rate.per_ms)
            )
        }
        QueueAction::RateLimit { limit: None } => format!("Take the rate limit away from {there}."),
        QueueAction::ReleaseRateLimit => format!("Let {there} go on at once although it has reached its rate limit."),
        QueueAction::TrimEvents { keep } => format!("Remove the events of {there} but for about the {keep} newest."),
        QueueAction::Obliterate { force, .. } => {
            let force = if *force { ", those that are running too" } else { "" };
            format!("Remove {there} for ever: all its jobs in every state{force}, its schedules, settings and events.")
        }
    }
}

fn on_schedule(key: &str, action: &ScheduleAction, there: &str) -> String {
    let schedule = format!("schedule {key} of {there}");
    match action {
        ScheduleAction::Run => format!("Add a job from {schedule} now; its plan stays as it is."),
        ScheduleAction::Remove => format!("Remove {schedule} for ever, with its next job."),
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
    let limit = plan
        .limit
        .map_or_else(String::new, |n| format!(", {n} time(s) at most"));
    format!("a job {} {when}{limit}", shown(&plan.name))
}

fn duration(ms: u64) -> String {
    format::duration(i64::try_from(ms).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_names_the_queue_the_store_and_what_it_is() {
        let queue = QueueRef {
            store: "redis".into(),
            queue: "bull:mail".into(),
        };
        let place = Place {
            queue: &queue,
            name: "mail",
            environment: Some("production"),
            layout: None,
        };
        let remove = Intent::Job {
            id: "7\u{202e}".into(),
            action: JobAction::Remove { children: false },
        };
        assert_eq!(
            of(&remove, place),
            "Remove job 7\\u{202e} of queue mail in redis (production) for ever."
        );
        let limit = Intent::Queue(QueueAction::Concurrency { limit: Some(3) });
        let place = Place {
            environment: None,
            ..place
        };
        assert_eq!(
            of(&limit, place),
            "Let at most 3 job(s) of queue mail in redis run at once."
        );
        let priority = Intent::Job {
            id: "7".into(),
            action: JobAction::Priority {
                priority: 2,
                lifo: false,
            },
        };
        for (layout, order) in [
            (None, ""),
            (
                Some(Layout::BullMq3),
                " (1 goes before all others, 0 behind all that have one)",
            ),
            (Some(Layout::BullMq6), " (0 goes before all others, then 1)"),
        ] {
            assert_eq!(
                of(&priority, Place { layout, ..place }),
                format!("Give job 7 of queue mail in redis the priority 2{order}.")
            );
        }
    }
}
