//! The actions with their fields, and their effects.

use crate::model::Millis;
use crate::model::state::JobState;
use serde::{Deserialize, Serialize};

/// A job as the operator saw it. A field that is not given is not checked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Seen {
    /// The state it was in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<JobState>,
    /// When it had finished: if the job failed again since, that is another failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_on: Option<Millis>,
    /// How many attempts had ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u64>,
}

/// An action on one job. The word is the last segment of its path in the API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum JobAction {
    /// Retries a failed or completed job.
    Retry {
        /// Whether to count attempts from the beginning again; otherwise a job that used them up gets one.
        #[serde(default)]
        reset_attempts: bool,
        /// JSON text that replaces its data.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        data: Option<String>,
    },
    /// Removes a job that is not running.
    Remove {
        /// Also removes its children, finished ones and those in other queues included.
        #[serde(default)]
        children: bool,
    },
    /// Makes a delayed job run now.
    Promote,
    /// Makes a delayed job wait this long from now.
    Delay {
        /// Milliseconds.
        ms: u64,
    },
    /// Gives a job that has not begun another priority.
    Priority {
        /// 0 is none; 1 is the highest. Jobs without a priority run before the others, up to BullMQ 3 after them.
        priority: u32,
        /// Whether it runs before others of the same priority.
        #[serde(default)]
        lifo: bool,
    },
    /// Replaces a job's data; the old value becomes a line of its log.
    EditData {
        /// JSON text.
        data: String,
    },
    /// Adds a new job with the same name, data and options, except for the given changes.
    Duplicate(Changes),
    /// Fails a job whose worker is lost.
    FailLost {
        /// The failed reason of the job.
        error: String,
    },
    /// Puts a job whose worker is lost back among the waiting ones.
    PutBack,
    /// Makes a job that has not begun fail, visibly, when a worker takes it. pg-boss has a state for it: the job is
    /// cancelled at once, kept, and can be resumed.
    Cancel {
        /// The failed reason of the job, where it fails; pg-boss ignores it.
        #[serde(default)]
        error: String,
    },
    /// Puts a cancelled job back in the queue. Of the systems here only pg-boss has it.
    ResumeJob,
    /// Puts a dead letter back into the queue that it came from, and removes it from the queue of dead letters. Of the
    /// systems here only pg-boss has such queues of its own.
    Redrive,
    /// Removes the deduplication key that keeps other jobs like it out.
    RemoveDeduplication,
    /// Removes its log lines.
    ClearLogs {
        /// How many of the newest lines stay.
        #[serde(default)]
        keep: u64,
    },
    /// Removes its children that have not begun.
    RemoveChildren,
    /// Lets a job that waits for its children run without those that failed or are gone.
    Release,
    /// Puts a completed or failed job into the archive, every byte of it, and removes it once it is durable there.
    Archive,
}

/// An action on a job and those below it. The word is the last segment of its path in the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum FlowAction {
    /// Retries the failed jobs below it, those of other queues included and the deepest first, and then the job itself
    /// if it failed: each as soon as the jobs below it have ended.
    RetryChildren,
}

/// A job to be added.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct NewJob {
    /// Its name.
    pub name: String,
    /// JSON text.
    pub data: String,
    /// An id of its own; otherwise the library assigns the next number.
    #[serde(default)]
    pub id: Option<String>,
    /// Milliseconds until it may run.
    #[serde(default)]
    pub delay: u64,
    /// 0 for none.
    #[serde(default)]
    pub priority: u32,
    /// How often it may be tried; at least once.
    #[serde(default)]
    pub attempts: Option<u32>,
    /// Other options, as the library names them, as a JSON object.
    #[serde(default)]
    pub options: Option<String>,
    /// Whether the job was in the queue before: only then may its own id be a number. No request from outside can set
    /// it.
    #[serde(skip)]
    pub restored: bool,
}

/// The values of a copy that differ from the original job. A value that is not given is copied in the store, hidden
/// values included.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Changes {
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// JSON text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// Milliseconds until it may run; at once if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay: Option<u64>,
    /// 0 for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<u32>,
    /// How often it may be tried; at least once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
    /// All other options, as the library names them, as a JSON object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub options: Option<String>,
}

impl Changes {
    /// Applies the changes to a job that is about to be added.
    pub fn apply(self, job: &mut NewJob) {
        let Self {
            name,
            data,
            delay,
            priority,
            attempts,
            options,
        } = self;
        name.into_iter().for_each(|name| job.name = name);
        data.into_iter().for_each(|data| job.data = data);
        delay.into_iter().for_each(|delay| job.delay = delay);
        priority.into_iter().for_each(|priority| job.priority = priority);
        job.attempts = attempts.or(job.attempts);
        options.into_iter().for_each(|options| job.options = Some(options));
    }
}

/// An action on a whole queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum QueueAction {
    /// No worker takes a new job; running ones go on.
    Pause,
    /// Workers take jobs again.
    Resume,
    /// Adds a job.
    Add(NewJob),
    /// Sets how many jobs may run at once in the whole queue; `None` removes the limit.
    Concurrency {
        /// At least 1.
        limit: Option<u32>,
    },
    /// Sets how many jobs may begin within a time in the whole queue; `None` removes the limit.
    RateLimit {
        /// The limit.
        limit: Option<Rate>,
    },
    /// Lets a queue that has reached its rate limit continue at once.
    ReleaseRateLimit,
    /// Shortens the event stream.
    TrimEvents {
        /// About how many of the newest events stay.
        keep: u64,
    },
    /// Removes the paused queue with everything in it, as far as the library knows of it.
    Obliterate {
        /// The queue's name again: a mistake cannot be undone.
        name: String,
        /// Even if jobs are running.
        #[serde(default)]
        force: bool,
    },
}

/// The most jobs that a queue may hold to be obliterated. Operations have to remove more first: they show their
/// progress and can be stopped.
pub const OBLITERATE_MAX: u64 = 100_000;

/// A rate limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct Rate {
    /// Jobs, at least 1.
    pub max: u32,
    /// Milliseconds, at least 1.
    pub per_ms: u64,
}

/// An action on one schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum ScheduleAction {
    /// Adds a job from its template now; the plan stays as it is.
    Run,
    /// Removes it with its next job.
    Remove,
    /// Adds it, or changes it.
    Upsert(Plan),
}

/// What a schedule does and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// A cron pattern; this or `every_ms`.
    #[serde(default)]
    pub pattern: Option<String>,
    /// Milliseconds between two runs; this or `pattern`.
    #[serde(default)]
    pub every_ms: Option<u64>,
    /// The time zone of `pattern`.
    #[serde(default)]
    pub tz: Option<String>,
    /// How often at most.
    #[serde(default)]
    pub limit: Option<u64>,
    /// The name of its jobs.
    pub name: String,
    /// Their data, JSON text; if left out, the stored data stays.
    #[serde(default)]
    pub data: String,
    /// Their options, as the library names them, as a JSON object; if left out, the stored options stay.
    #[serde(default)]
    pub options: Option<String>,
}

/// The outcome of an action on one target. Exactly one of these; they add up in an operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum Effect {
    /// The action was done.
    Done {
        /// The job that the action created, if any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        job: Option<String>,
        /// How much it changed and what it left, where the action alone does not say so: sentences.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
    },
    /// The action had been done before.
    Already {
        /// The target's present state.
        now: String,
    },
    /// The job differs from what the operator saw; nothing was done.
    Changed {
        /// The job's present state, in a sentence.
        now: String,
    },
    /// The job no longer exists.
    Gone,
    /// A worker holds the job, or one of its children; nothing was done.
    Locked {
        /// The holder, where known, in a sentence.
        by: String,
    },
    /// The store, the library or Drover does not allow the action; nothing was done.
    Refused {
        /// Why, and what to do instead.
        reason: String,
    },
    /// The store did not answer in time, and reading back did not settle it.
    Unconfirmed {
        /// What was tried, and what to check.
        reason: String,
    },
}

impl Effect {
    /// The action was done, and there is nothing to add.
    #[must_use]
    pub const fn done() -> Self {
        Self::Done { job: None, note: None }
    }

    /// The action was done and created this job.
    #[must_use]
    pub const fn made(job: String) -> Self {
        Self::Done {
            job: Some(job),
            note: None,
        }
    }

    /// The action was done; the note says how much it changed and what it left.
    #[must_use]
    pub const fn noted(note: String) -> Self {
        Self::Done {
            job: None,
            note: Some(note),
        }
    }

    /// The word for the effect, as in an operation's totals.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Done { .. } => "done",
            Self::Already { .. } => "already",
            Self::Changed { .. } => "changed",
            Self::Gone => "gone",
            Self::Locked { .. } => "locked",
            Self::Refused { .. } => "refused",
            Self::Unconfirmed { .. } => "unconfirmed",
        }
    }
}
