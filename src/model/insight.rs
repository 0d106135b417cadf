//! What a queue's settings and its newest finished jobs show: limits, retention, and how long jobs wait and run.

use super::Millis;
use super::state::JobState;
use serde::{Deserialize, Serialize};

/// See the module. Read when a page or a caller asks for it, and cached for a few seconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct Insight {
    /// The limits of the queue's workers.
    pub limits: Limits,
    /// Schedules and repeatable jobs; `None` if they could not be counted.
    pub schedules: Option<u64>,
    /// Entries of the event stream, and the limit above which it is trimmed; `None` without a stream.
    pub events: Option<EventLog>,
    /// How long jobs ask to be kept after they completed, from the options of a few of them, the most common first.
    pub keep_completed: Vec<Share>,
    /// The same for failed jobs.
    pub keep_failed: Vec<Share>,
    /// How many jobs' options Drover read for that.
    pub sampled_options: u32,
    /// When the oldest completed job that is kept finished.
    pub oldest_completed: Option<Millis>,
    /// When the oldest failed job that is kept finished.
    pub oldest_failed: Option<Millis>,
    /// How long jobs wait and run; `None` if no finished job is kept.
    pub times: Option<Times>,
    /// What workers that record metrics have counted; `None` if none does.
    pub metrics: Option<Metrics>,
    /// Active jobs that no worker holds; `None` if none is active.
    pub lost: Option<Lost>,
    /// The ids of the queues into which the system itself puts this queue's jobs that failed for good.
    pub dead_letters: Vec<String>,
    /// The ids of the queues whose dead letters it keeps, by the settings of its system.
    pub dead_letters_of: Vec<String>,
    /// When this was read.
    pub as_of: Millis,
}

/// The limits of a queue's workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct Limits {
    /// Active jobs at once over all workers, where set (BullMQ from 5.9 on).
    pub concurrency: Option<u64>,
    /// Jobs started per time over all workers, where set (BullMQ from 5.60 on).
    pub rate: Option<RateLimit>,
    /// How long no job will be started because a rate limit has been reached; `None` if none has.
    pub limited_for: Option<Millis>,
    /// Jobs started in the running window of a rate limit.
    pub started_in_window: Option<u64>,
}

/// A rate limit: so many jobs in so much time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct RateLimit {
    /// Jobs.
    pub max: u64,
    /// Milliseconds.
    pub duration: u64,
}

/// The event stream's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct EventLog {
    /// Entries now.
    pub length: u64,
    /// Entries above which it is trimmed, about.
    pub max: Option<u64>,
}

/// The retention of a finished job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    /// It stays.
    All,
    /// It is removed at once.
    Nothing,
    /// It stays while it is among the newest, or young enough.
    Newest {
        /// How many.
        count: Option<u64>,
        /// For how many seconds.
        age: Option<u64>,
    },
}

/// A rule and how many jobs of the sample ask for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct Share {
    /// The rule.
    pub keep: Keep,
    /// Jobs that ask for it.
    pub jobs: u32,
}

/// How long the newest finished jobs waited and ran, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct Times {
    /// From the moment a job was ready (delay over) to its start; only of jobs with a single attempt that waited for no
    /// others, because it is not known when any other job was ready. `None` without any.
    pub wait: Option<Percentiles>,
    /// The last attempt's run.
    pub run: Option<Percentiles>,
    /// Jobs looked at.
    pub sample: u32,
    /// When the first and the last of them finished.
    pub from: Millis,
    /// See `from`.
    pub to: Millis,
}

/// Half, 95 % and 99 % were at most this; the longest was `max`. Milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[expect(missing_docs, reason = "the type says it")]
pub struct Percentiles {
    pub p50: Millis,
    pub p95: Millis,
    pub p99: Millis,
    pub max: Millis,
}

impl Percentiles {
    /// Of these values; `None` of none.
    #[must_use]
    pub fn of(mut values: Vec<Millis>) -> Option<Self> {
        values.sort_unstable();
        // The nearest rank: a value that was measured.
        let at = |percent: usize| {
            let rank = (values.len() * percent).div_ceil(100).max(1);
            values.get(rank - 1).copied()
        };
        Some(Self {
            p50: at(50)?,
            p95: at(95)?,
            p99: at(99)?,
            max: at(100)?,
        })
    }
}

/// What workers that record metrics have counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct Metrics {
    /// Jobs completed since recording began, kept or not.
    pub completed: u64,
    /// Jobs failed for good since then.
    pub failed: u64,
    /// Minutes that the metrics hold.
    pub minutes: u64,
}

/// Active jobs whose worker is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct Lost {
    /// Active jobs that no worker holds a lock on.
    pub without_lock: u64,
    /// Active jobs looked at, those begun longest ago first.
    pub checked: u64,
    /// Active jobs in all.
    pub active: u64,
}

/// The endings of the name of a queue that keeps another one's dead jobs, after the other's name.
const DEAD_LETTER_ENDINGS: [&str; 7] = [
    "dlq",
    "dead",
    "deadletter",
    "deadletters",
    "dead-letter",
    "dead-letters",
    "dead_letter",
];

/// The name of the queue whose dead letters this one keeps, by its own name; neither Bull nor BullMQ has dead letters
/// of its own, so an application that keeps them names the queue accordingly.
#[must_use]
pub fn dead_letters_of(name: &str) -> Option<&str> {
    let lower = name.to_ascii_lowercase();
    DEAD_LETTER_ENDINGS.iter().find_map(|ending| {
        let length = lower
            .strip_suffix(ending)?
            .strip_suffix(['-', '.', '_', ':', '/'])?
            .len();
        (length > 0).then(|| &name[..length])
    })
}

/// The states whose retention is shown.
pub const KEPT_STATES: [JobState; 2] = [JobState::Completed, JobState::Failed];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let p = Percentiles::of((1..=200).rev().collect()).unwrap();
        assert_eq!((p.p50, p.p95, p.p99, p.max), (100, 190, 198, 200));
        let one = Percentiles::of(vec![7]).unwrap();
        assert_eq!((one.p50, one.p99, one.max), (7, 7, 7));
        assert_eq!(Percentiles::of(vec![]), None);
    }

    #[test]
    fn a_queue_of_dead_letters_is_known_by_its_name() {
        assert_eq!(dead_letters_of("payments-dlq"), Some("payments"));
        assert_eq!(dead_letters_of("Payments.DeadLetter"), Some("Payments"));
        assert_eq!(dead_letters_of("mail:dead-letters"), Some("mail"));
        assert_eq!(dead_letters_of("mail-dead-letter"), Some("mail"));
        for other in ["dlq", "-dlq", "undead", "payments", "deadline"] {
            assert_eq!(dead_letters_of(other), None, "{other}");
        }
    }
}
