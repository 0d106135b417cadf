//! What creates jobs on a timetable, and whether it still does.

use super::Millis;
use super::job::Payload;
use super::queue::QueueRef;
use super::state::JobState;
use super::store::Reach;
use super::verdict::{Level, Verdict};
use super::worker::FleetFilter;
use serde::{Deserialize, Serialize};

/// Which of the libraries' inventions it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ScheduleKind {
    /// A job scheduler of BullMQ 5 and 6, with an id and a template of its own.
    Scheduler,
    /// A repeatable job of Bull or BullMQ up to 5: each job carries the timetable on to the next.
    Repeatable,
    /// A row of pg-boss: it makes a job when its time has come, and none before.
    Timetable,
}

impl ScheduleKind {
    /// What people call it.
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
    /// Its state; `None` if it exists and is in no list that was looked at.
    pub state: Option<JobState>,
    /// When it was begun.
    pub begun: Option<Millis>,
    /// When it finished.
    pub finished: Option<Millis>,
}

/// What is known of the run before the next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum LastRun {
    /// There has been none.
    None,
    /// Its job is still kept.
    Kept(Iteration),
    /// Its job is not kept.
    Removed {
        /// When the next job was made: when that run began, unless the schedule was saved again since.
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
    /// When the next job is planned for, as the library says it.
    pub next: Millis,
    /// When the next job is really due: a repeatable may be shifted against its plan.
    pub due: Millis,
    /// How many jobs it has made, the next one included; `None` where the library does not count.
    pub made: Option<u64>,
    /// How many it will make.
    pub limit: Option<u64>,
    /// When it begins.
    pub start: Option<Millis>,
    /// When it ends.
    pub end: Option<Millis>,
    /// The next job; `None` if there is none.
    pub job: Option<Iteration>,
    /// The run before.
    pub last: LastRun,
    /// What its jobs are given to work on, cut; `None` if nothing.
    pub data: Option<Payload>,
    /// Whether it does what it says.
    pub verdict: Verdict,
}

/// A store as far as schedules are concerned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct Timetable {
    /// The store.
    pub store: String,
    /// Whether it answers.
    pub reach: Reach,
    /// Since when that is so.
    #[serde(default)]
    pub since: Option<Millis>,
    /// Why it does not, in a sentence.
    #[serde(default)]
    pub cause: Option<String>,
    /// Why its schedules could not be read.
    pub trouble: Option<String>,
    /// When they were read.
    pub as_of: Option<Millis>,
}

/// A queue with more schedules than were read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct MoreSchedules {
    /// The queue.
    pub queue: QueueRef,
    /// Its name.
    pub name: String,
    /// How many were not read: those that run last.
    pub unread: u64,
}

/// What runs when.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct SchedulesPage {
    /// Each store, in the order of the configuration.
    pub stores: Vec<Timetable>,
    /// What was asked for.
    pub filter: FleetFilter,
    /// The schedules, trouble first, then by next run.
    pub schedules: Vec<Schedule>,
    /// How many match and are not listed: the ones that run last.
    pub unlisted: u64,
    /// How many there are in the stores and the queue asked for, whatever text is looked for.
    pub total: u64,
    /// How many of those were read.
    pub read: u64,
    /// Queues that have more than were read.
    pub more: Vec<MoreSchedules>,
}

/// Puts the schedules that need somebody first, then the one that runs next.
pub fn sort_schedules(schedules: &mut [Schedule]) {
    // A paused queue is an operator's decision: its schedules stand among the others, by time.
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
