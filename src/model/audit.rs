//! Who asked for what, and the result, as pages and the API show it.

use super::Millis;
use super::action::{Effect, Seen};
use super::answer::FlowRetried;
use super::error::Outcome;
use super::queue::QueueRef;
use serde::{Deserialize, Serialize};

/// The result of a request for an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Became {
    /// The action is under way.
    Asked,
    /// Drover ended before an answer came, or could not record the answer.
    Lost,
    /// Drover could not reach the store: nothing was done.
    NotSent(String),
    /// What the store answered.
    Known(Effect),
    /// The store's answer for each job of a flow.
    Flow(FlowRetried),
}

impl Became {
    /// One word, as in the API.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Lost => "unknown",
            Self::NotSent(_) => "not_sent",
            Self::Known(effect) => effect.word(),
            Self::Flow(flow) => flow.word(),
        }
    }

    /// Whether anything was done.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Flow(flow) => match flow.word() {
                "done" => Outcome::Done,
                "partial" => Outcome::Partial,
                "unconfirmed" => Outcome::Unknown,
                _ => Outcome::None,
            },
            Self::Asked | Self::Lost | Self::Known(Effect::Unconfirmed { .. }) => Outcome::Unknown,
            Self::Known(Effect::Done { .. } | Effect::Already { .. }) => Outcome::Done,
            _ => Outcome::None,
        }
    }

    /// The result in a sentence, for people.
    #[must_use]
    pub fn sentence(&self) -> String {
        match self {
            Self::Asked => "In progress: the store has not answered yet.".into(),
            Self::Lost => {
                "Result unknown: Drover stopped before it recorded the store's answer. Check the target.".into()
            }
            Self::NotSent(why) => format!("Nothing was done: the store could not be reached: {why}"),
            Self::Flow(flow) => flow.sentence(),
            Self::Known(Effect::Done { job, note }) => {
                let job = job
                    .as_ref()
                    .map(|job| format!("The new job is {}.", super::format::visible(job)));
                let said: Vec<String> = job.into_iter().chain(note.clone()).collect();
                if said.is_empty() {
                    "Done.".into()
                } else {
                    said.join(" ")
                }
            }
            Self::Known(Effect::Already { now }) => format!("Already done: {now}"),
            Self::Known(Effect::Changed { now }) => {
                format!("Nothing was done: it has changed since it was shown. {now}")
            }
            Self::Known(Effect::Gone) => "Nothing was done: it no longer exists.".into(),
            Self::Known(Effect::Locked { by }) => format!("Nothing was done: the job is running. {by}"),
            Self::Known(Effect::Refused { reason }) => format!("Refused, nothing was done: {reason}"),
            Self::Known(Effect::Unconfirmed { reason }) => format!("Result unknown: {reason}"),
        }
    }
}

/// One request for an action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct AuditEntry {
    /// Its id: also in the file, and in the answer to the caller.
    pub id: String,
    /// When, by Drover's clock.
    pub at: Millis,
    /// Who asked: `anonymous` while no user is signed in.
    pub who: String,
    /// From which address.
    pub address: String,
    /// The word of the action, as in its path.
    pub action: String,
    /// On which queue.
    #[serde(flatten)]
    pub queue: QueueRef,
    /// On which job of the queue, if on one.
    pub job: Option<String>,
    /// On which schedule of the queue, if on one.
    pub schedule: Option<String>,
    /// What was asked for, in a sentence.
    pub sentence: String,
    /// The target as it was shown.
    pub seen: Option<Seen>,
    /// Why, in the caller's words.
    pub reason: Option<String>,
    /// The id of the request: the caller's own, or one that Drover generated.
    pub request: String,
    /// The result: the word of an effect, or `asked`, `not_sent`, `unknown`.
    pub result: String,
    /// The same in a sentence.
    pub detail: String,
    /// Whether anything was done.
    pub outcome: Outcome,
    /// The job that the action created, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made: Option<String>,
    /// How much it changed and what it left, where the action alone does not say so: sentences.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Actions that create a job in a queue.
const MAKES: [&str; 4] = ["add", "duplicate", "run", "restore"];

impl AuditEntry {
    /// The job that the action created, if it is a new one.
    #[must_use]
    pub fn new_job(&self) -> Option<&str> {
        self.made.as_deref().filter(|_| MAKES.contains(&self.action.as_str()))
    }

    /// What happened, in one short sentence in the past tense, with the note if there is one; where nothing happened,
    /// why not.
    #[must_use]
    pub fn told(&self) -> String {
        if self.result != "done" {
            return self.detail.clone();
        }
        let shown = |text: &Option<String>| super::format::visible(text.as_deref().unwrap_or_default());
        let (job, schedule) = (shown(&self.job), shown(&self.schedule));
        let past = match (self.action.as_str(), self.schedule.is_some()) {
            ("run", true) => format!("Ran schedule {schedule}."),
            ("remove", true) => format!("Removed schedule {schedule}."),
            ("upsert", true) => format!("Saved schedule {schedule}."),
            ("retry", _) => format!("Retried job {job}."),
            ("remove", _) => format!("Removed job {job}."),
            ("promote", _) => format!("Promoted job {job}."),
            ("delay", _) => format!("Changed the delay of job {job}."),
            ("priority", _) => format!("Changed the priority of job {job}."),
            ("edit_data", _) => format!("Changed the data of job {job}."),
            ("duplicate", _) => format!("Duplicated job {job}."),
            ("fail_lost", _) => format!("Failed job {job}."),
            ("put_back", _) => format!("Requeued job {job}."),
            ("cancel", _) if self.sentence.starts_with("Cancel ") => format!("Cancelled job {job}."),
            ("cancel", _) if self.sentence.starts_with("Revoke ") => {
                format!("Revoked job {job}: a worker that takes it discards it.")
            }
            ("cancel", _) => format!("Job {job} will fail when a worker takes it."),
            ("resume_job", _) => format!("Resumed job {job}."),
            ("redrive", _) => format!("Moved job {job} back to the queue it came from."),
            ("remove_deduplication", _) => format!("Removed the deduplication key of job {job}."),
            ("clear_logs", _) => format!("Cleared the log of job {job}."),
            ("remove_children", _) => format!("Removed children of job {job} that had not started."),
            ("archive", _) => format!("Archived job {job}."),
            ("restore", _) => "Queued the job again.".into(),
            ("pause", _) => "Paused the queue. Running jobs will finish.".into(),
            ("resume", _) => "Resumed the queue.".into(),
            ("add", _) => "Added a job.".into(),
            ("concurrency", _) => "Saved the concurrency.".into(),
            ("rate_limit", _) => "Saved the rate limit.".into(),
            ("release_rate_limit", _) => "Lifted the rate limit once.".into(),
            ("trim_events", _) => "Trimmed the events.".into(),
            ("obliterate", _) => "Obliterated the queue.".into(),
            // An operation: only its sentence says what it did to how many.
            (action, _) if action.ends_with("_many") => format!("{} {}", self.sentence, self.detail),
            _ => return self.detail.clone(),
        };
        match &self.note {
            Some(note) => format!("{past} {note}"),
            None => past,
        }
    }
}

/// A page of entries, the newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct AuditPage {
    /// The entries.
    pub items: Vec<AuditEntry>,
    /// The cursor of the next, older page; `None` at the end of the entries that Drover has loaded.
    pub next: Option<String>,
    /// Where the whole audit log is: Drover has only its newest part loaded.
    pub file: String,
    /// Why Drover cannot record anything now and therefore refuses every action; `None` while it can.
    pub trouble: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(action: &str, result: &str) -> AuditEntry {
        AuditEntry {
            id: "1".into(),
            at: 0,
            who: "anna".into(),
            address: "127.0.0.1".into(),
            action: action.into(),
            queue: QueueRef {
                store: "redis".into(),
                queue: "bull:q".into(),
            },
            job: Some("491".into()),
            schedule: None,
            sentence: "Run job 491 of queue q in redis again.".into(),
            seen: None,
            reason: None,
            request: "r".into(),
            result: result.into(),
            detail: "Nothing was done: it no longer exists.".into(),
            outcome: Outcome::Done,
            made: None,
            note: None,
        }
    }

    #[test]
    fn what_was_done_is_told_in_one_short_sentence_of_the_past() {
        assert_eq!(entry("retry", "done").told(), "Retried job 491.");
        let many = AuditEntry {
            job: None,
            sentence: "Retry 2 jobs of mail in redis.".into(),
            detail: "Done.".into(),
            ..entry("retry_many", "done")
        };
        assert_eq!(many.told(), "Retry 2 jobs of mail in redis. Done.");
        let revoked = AuditEntry {
            sentence: "Revoke job 491: a worker that takes it discards it without running it.".into(),
            ..entry("cancel", "done")
        };
        assert_eq!(revoked.told(), "Revoked job 491: a worker that takes it discards it.");
        assert_eq!(entry("retry", "gone").told(), "Nothing was done: it no longer exists.");
        let removed = AuditEntry {
            note: Some("3 jobs below it were removed with it.".into()),
            ..entry("remove", "done")
        };
        assert_eq!(removed.told(), "Removed job 491. 3 jobs below it were removed with it.");
        let ran = AuditEntry {
            schedule: Some("tick".into()),
            made: Some("846".into()),
            ..entry("run", "done")
        };
        assert_eq!((&*ran.told(), ran.new_job()), ("Ran schedule tick.", Some("846")));
        // The next job of a schedule is created with the schedule: no user asked for it.
        let saved = AuditEntry {
            action: "upsert".into(),
            ..ran
        };
        assert_eq!((&*saved.told(), saved.new_job()), ("Saved schedule tick.", None));
        let detail = Became::Known(Effect::made("846".into())).sentence();
        assert_eq!(detail, "The new job is 846.");
    }
}
