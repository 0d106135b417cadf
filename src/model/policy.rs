//! Policies of the archive: which jobs Drover archives automatically, and when.
//!
//! A policy is a sentence: `archive completed older than 24h from bull:emails.* every day at 02:00 UTC`. It does not
//! say how: each run is an ordinary operation. It is no retention of the archive itself: nothing here removes a row of
//! it.

use super::Millis;
use super::filter::JobFilter;
use super::state::JobState;
use schemars::JsonSchema;
use serde::Serialize;
use std::fmt;

/// A policy from the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Its name: part of addresses.
    pub id: String,
    /// A glob over `store/queue id`, a queue's id or its name.
    pub queues: String,
    /// Completed, failed or both.
    pub states: Vec<JobState>,
    /// Only jobs that finished at least so long ago, in milliseconds.
    pub older: u64,
    /// The same as the configuration writes it, such as `24h`.
    pub older_than: String,
    /// Its timetable.
    pub every: Every,
    /// Jobs a run takes at most; `None` for all.
    pub limit: Option<u64>,
}

/// A timetable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Every {
    /// As the configuration writes it, without the zone: `day at 02:00`, or a cron pattern.
    pub written: String,
    /// The same as a cron pattern.
    pub pattern: String,
    /// The time zone of the pattern.
    pub zone: String,
}

impl fmt::Display for Every {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.written, self.zone)
    }
}

const DAYS: [&str; 7] = [
    "sunday",
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
];

impl Every {
    /// Parses what people write: `hour`, `day at 02:00`, `monday at 02:00`, or a cron pattern; each followed by a zone
    /// if it is not UTC. Does not check whether the zone and the pattern exist.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let words: Vec<&str> = text.split_whitespace().collect();
        let zoned = |pattern: String, rest: &[&str]| Self {
            written: words[..words.len() - rest.len()].join(" "),
            pattern,
            zone: if rest.is_empty() { "UTC".into() } else { rest.join(" ") },
        };
        match words.as_slice() {
            ["hour", rest @ ..] => zoned("0 * * * *".into(), rest),
            [day, "at", at, rest @ ..] if clock(at).is_some() && day_of(day).is_some() => {
                let ((hour, minute), day) = (clock(at).unwrap_or_default(), day_of(day).unwrap_or_default());
                zoned(format!("{minute} {hour} * * {day}"), rest)
            }
            // A zone is the last word, and no field of a pattern looks like a zone.
            [fields @ .., last]
                if fields.len() >= 5 && (last.contains('/') && !last.contains(['*', ',']) || *last == "UTC") =>
            {
                let zone = !last.split('/').any(|part| part.parse::<u32>().is_ok());
                let rest = if zone { std::slice::from_ref(last) } else { &[] };
                zoned(words[..words.len() - rest.len()].join(" "), rest)
            }
            _ => zoned(words.join(" "), &[]),
        }
    }
}

/// The field of a pattern for a day of the week, or for any.
fn day_of(word: &str) -> Option<String> {
    match DAYS.iter().position(|day| *day == word) {
        Some(n) => Some(n.to_string()),
        None => (word == "day").then(|| "*".into()),
    }
}

fn clock(text: &str) -> Option<(u32, u32)> {
    let (hour, minute) = text.split_once(':')?;
    let (hour, minute) = (hour.parse().ok()?, minute.parse().ok()?);
    (hour < 24 && minute < 60).then_some((hour, minute))
}

impl Policy {
    /// Which jobs a run selects.
    #[must_use]
    pub fn filter(&self) -> JobFilter {
        JobFilter {
            queues: vec![self.queues.clone()],
            states: self.states.clone(),
            older: Some(self.older),
            first: self.limit,
            ..JobFilter::default()
        }
    }

    /// The name that the audit log has for its runs.
    #[must_use]
    pub fn who(&self) -> String {
        format!("policy:{}", self.id)
    }

    /// The policy in one sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        let states: Vec<&str> = self.states.iter().map(|state| state.as_str()).collect();
        format!(
            "archive {} older than {} from {} every {}",
            states.join(" and "),
            self.older_than,
            self.queues,
            self.every
        )
    }
}

/// The state of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PolicyState {
    /// It is due, and no replica has started it yet.
    Due,
    /// A run is under way.
    Running,
    /// The last run succeeded, or there was none yet.
    Ok,
    /// The last run failed.
    Failed,
}

impl PolicyState {
    /// The word for people.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Due => "due",
            Self::Running => "running",
            Self::Ok => "ok",
            Self::Failed => "failed",
        }
    }
}

/// A run of a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PolicyRun {
    /// Larger for later ones.
    pub id: i64,
    /// The time when it was due; `None` for a run that a user asked for.
    pub due: Option<Millis>,
    /// When it began.
    pub started: Millis,
    /// When it ended.
    pub ended: Option<Millis>,
    /// `ok`, `failed` or `cancelled`; `None` while it runs.
    pub outcome: Option<String>,
    /// Its operation, on the replica that ran it; `None` where there was nothing to archive.
    pub operation: Option<String>,
    /// Whether this replica has that operation.
    pub here: bool,
    /// Jobs that were selected.
    pub selected: u64,
    /// Jobs that are in the archive and no longer in their queue.
    pub archived: u64,
    /// Jobs that had changed or gone meanwhile; untouched.
    pub changed: u64,
    /// Jobs that could not be archived, or whose result is not known.
    pub failed: u64,
    /// Bytes of the jobs that were removed from their queues.
    pub bytes: u64,
    /// More about it, in a sentence.
    pub note: String,
}

/// A policy with the results of its runs so far.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "ArchivePolicy")]
pub struct PolicyStanding {
    /// Its name.
    pub id: String,
    /// What it does, and when.
    pub sentence: String,
    /// Which jobs its runs select.
    pub filter: JobFilter,
    /// When, in words.
    pub when: String,
    /// Its state.
    pub state: PolicyState,
    /// Why it failed or does not run, in a sentence; empty otherwise.
    pub why: String,
    /// When it is due next; `None` if never.
    pub next: Option<Millis>,
    /// Jobs that all its runs archived.
    pub freed_jobs: u64,
    /// The bytes of those jobs.
    pub freed_bytes: u64,
    /// Its last runs, the newest first.
    pub runs: Vec<PolicyRun>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timetable_is_what_people_write_or_a_pattern() {
        for (text, pattern, zone) in [
            ("day at 02:00", "0 2 * * *", "UTC"),
            ("day at 23:05 UTC", "5 23 * * *", "UTC"),
            ("monday at 02:00 Europe/Paris", "0 2 * * 1", "Europe/Paris"),
            ("hour", "0 * * * *", "UTC"),
            ("*/5 * * * *", "*/5 * * * *", "UTC"),
            ("*/5 * * * * *", "*/5 * * * * *", "UTC"),
            ("0 2 * * * America/New_York", "0 2 * * *", "America/New_York"),
            ("0 2 * * 1-5/2", "0 2 * * 1-5/2", "UTC"),
            ("* * * * * 0/10", "* * * * * 0/10", "UTC"),
            ("soon", "soon", "UTC"),
            ("day at 24:00", "day at 24:00", "UTC"),
        ] {
            let every = Every::read(text);
            assert_eq!((every.pattern.as_str(), every.zone.as_str()), (pattern, zone), "{text}");
            if !matches!(text, "soon" | "day at 24:00") {
                assert_eq!(Every::read(&every.to_string()), every, "{text}");
            }
        }
    }

    #[test]
    fn a_policy_is_told_in_a_sentence_and_selects_by_a_filter() {
        let policy = Policy {
            id: "emails".into(),
            queues: "bull:emails.*".into(),
            states: vec![JobState::Completed],
            older: 86_400_000,
            older_than: "24h".into(),
            every: Every::read("day at 02:00"),
            limit: None,
        };
        assert_eq!(
            policy.sentence(),
            "archive completed older than 24h from bull:emails.* every day at 02:00 UTC"
        );
        assert_eq!(
            policy.filter().to_string(),
            "state:completed queue:bull:emails.* age:>1d"
        );
    }
}
