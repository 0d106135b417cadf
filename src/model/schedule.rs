//! What creates jobs on a timetable, and whether it still does.

use super::Millis;
use super::job::Payload;
use super::queue::QueueRef;
use super::state::JobState;
use super::store::Reach;
use super::verdict::{Level, Verdict};
use super::worker::FleetFilter;
use serde::{Deserialize, Serialize};

/// The kind of schedule, by library.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ScheduleKind {
    /// A job scheduler of BullMQ 5 and 6, with an id and a template of its own.
    Scheduler,
    /// A repeatable job of Bull or BullMQ up to 5: each job carries the timetable on to the next.
    Repeatable,
    /// A row of pg-boss: it creates a job when its time has come, and not before.
    Timetable,
}

impl ScheduleKind {
    /// The label of the kind.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Scheduler => "job scheduler",
            Self::Repeatable => "repeatable job",
            Self::Timetable => "schedule",
        }
    }
}

/// One job that a schedule made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct Iteration {
    /// The job's id.
    pub id: String,
    /// The moment it was planned for.
    pub at: Millis,
    /// Its state; `None` if it exists and is in none of the lists that Drover looked at.
    pub state: Option<JobState>,
    /// When it was begun.
    pub begun: Option<Millis>,
    /// When it finished.
    pub finished: Option<Millis>,
}

/// What is known of the previous run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum LastRun {
    /// There was none.
    None,
    /// Its job still exists.
    Kept(Iteration),
    /// Its job was removed.
    Removed {
        /// When the next job was created: the start of that run, unless the schedule was saved again since.
        about: Option<Millis>,
    },
}

/// One schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct Schedule {
    /// The queue its jobs go to.
    pub queue: QueueRef,
    /// The name of that queue.
    pub queue_name: String,
    /// Its id: what the library calls the scheduler's id or the repeatable's key.
    pub id: String,
    /// The name of the jobs it makes.
    pub name: Option<String>,
    /// Which kind it is.
    pub kind: ScheduleKind,
    /// The interval in milliseconds, if it is one.
    pub every: Option<Millis>,
    /// The cron pattern, if it is one.
    pub pattern: Option<String>,
    /// The time zone of the pattern; the worker's own if there is none.
    pub tz: Option<String>,
    /// When it runs, in words.
    pub words: String,
    /// When the next job is planned, as the library says.
    pub next: Millis,
    /// When the next job is really due: the time of a repeatable may be shifted from its plan.
    pub due: Millis,
    /// How many jobs it has created, the next one included; `None` where the library does not count.
    pub made: Option<u64>,
    /// How many it will create.
    pub limit: Option<u64>,
    /// When it begins.
    pub start: Option<Millis>,
    /// When it ends.
    pub end: Option<Millis>,
    /// The next job; `None` if there is none.
    pub job: Option<Iteration>,
    /// The previous run.
    pub last: LastRun,
    /// The data of its jobs, cut; `None` if there is none.
    pub data: Option<Payload>,
    /// Whether it runs as planned.
    pub verdict: Verdict,
}

/// What the page of schedules knows about a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct Timetable {
    /// The store.
    pub store: String,
    /// Whether it answers.
    pub reach: Reach,
    /// Since when `reach` has been what it is.
    #[serde(default)]
    pub since: Option<Millis>,
    /// Why the store does not answer, in a sentence.
    #[serde(default)]
    pub cause: Option<String>,
    /// Why its schedules could not be read.
    pub trouble: Option<String>,
    /// When they were read.
    pub as_of: Option<Millis>,
    /// Why those of some of its queues cannot be known: a sentence for each system.
    #[serde(default)]
    pub unknown: Vec<String>,
}

/// A queue with more schedules than were read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct MoreSchedules {
    /// The queue.
    pub queue: QueueRef,
    /// Its name.
    pub name: String,
    /// How many were not read: those that run latest.
    pub unread: u64,
}

/// What runs when.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct SchedulesPage {
    /// Each store, in the order of the configuration.
    pub stores: Vec<Timetable>,
    /// The filter.
    pub filter: FleetFilter,
    /// The schedules, trouble first, then by next run.
    pub schedules: Vec<Schedule>,
    /// How many match and are not listed: the ones that run latest.
    pub unlisted: u64,
    /// How many there are in the selected stores and queue, whatever the text filter.
    pub total: u64,
    /// How many of those were read.
    pub read: u64,
    /// Queues that have more than were read.
    pub more: Vec<MoreSchedules>,
}

/// Sorts the schedules that need attention to the front, then the one that runs next.
pub fn sort_schedules(schedules: &mut [Schedule]) {
    // A paused queue is an operator's decision: its schedules are sorted among the others, by time.
    let rank = |level: Level| match level {
        Level::Bad => 0,
        Level::Watch => 1,
        Level::Unknown => 2,
        Level::Paused | Level::Ok => 3,
    };
    schedules.sort_by(|a, b| {
        (rank(a.verdict.level), a.next, &a.queue, &a.id).cmp(&(rank(b.verdict.level), b.next, &b.queue, &b.id))
    });
}
