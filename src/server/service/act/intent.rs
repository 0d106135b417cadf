//! What is asked for: one action on one target, read from words and checked.

use crate::model::action::{FlowAction, JobAction, QueueAction, ScheduleAction};
use crate::model::family::Family;
use crate::server::adapter::Adapter;
use crate::server::auth::who::Verb;
use crate::server::redact::holds_marker;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// The largest data of a job that can be given.
pub const DATA_MAX: usize = 1024 * 1024;

/// The largest request of an action that carries no data.
pub const BODY_MAX: usize = 64 * 1024;

/// Characters of an error that a job is failed with.
const ERROR_MAX: usize = 1_000;

/// An error that says nothing.
pub const NO_ERROR: &str = "error says nothing; it becomes the reason that the job failed.";

/// Bytes of a name, an id, a pattern.
const NAME_MAX: usize = 4_096;

/// Ten years: anything longer is a mistake in the unit.
const DELAY_MAX: u64 = 10 * 365 * 86_400_000;

/// What an action is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// One job.
    Job,
    /// A queue.
    Queue,
    /// One schedule.
    Schedule,
}

/// An action's word and what can be given with it.
pub type Word = (&'static str, &'static [&'static str]);

const JOB: &[Word] = &[
    ("retry", &["reset_attempts", "data"]),
    ("remove", &["children"]),
    ("promote", &[]),
    ("delay", &["ms"]),
    ("priority", &["priority", "lifo"]),
    ("edit_data", &["data"]),
    ("duplicate", &[]),
    ("fail_lost", &["error"]),
    ("put_back", &[]),
    ("cancel", &["error"]),
    ("resume_job", &[]),
    ("redrive", &[]),
    ("remove_deduplication", &[]),
    ("clear_logs", &["keep"]),
    ("remove_children", &[]),
    ("archive", &[]),
    ("retry_children", &[]),
];

const QUEUE: &[Word] = &[
    ("pause", &[]),
    ("resume", &[]),
    (
        "add",
        &["name", "data", "id", "delay", "priority", "attempts", "options"],
    ),
    ("concurrency", &["limit"]),
    ("rate_limit", &["limit"]),
    ("release_rate_limit", &[]),
    ("trim_events", &["keep"]),
    ("obliterate", &["name", "force"]),
];

const SCHEDULE: &[Word] = &[
    ("run", &[]),
    ("remove", &[]),
    (
        "upsert",
        &["pattern", "every_ms", "tz", "limit", "name", "data", "options"],
    ),
];

impl Target {
    /// Every action there is on it.
    #[must_use]
    pub const fn words(self) -> &'static [Word] {
        match self {
            Self::Job => JOB,
            Self::Queue => QUEUE,
            Self::Schedule => SCHEDULE,
        }
    }

    const fn noun(self) -> &'static str {
        match self {
            Self::Job => "a job",
            Self::Queue => "a queue",
            Self::Schedule => "a schedule",
        }
    }
}

/// One action on one target of a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Intent {
    /// On a job.
    Job {
        /// Which.
        id: String,
        /// What.
        action: JobAction,
    },
    /// On a job and those below it.
    Flow {
        /// Which job.
        id: String,
        /// What.
        action: FlowAction,
    },
    /// On the queue itself.
    Queue(QueueAction),
    /// On a schedule.
    Schedule {
        /// Which.
        key: String,
        /// What.
        action: ScheduleAction,
    },
}

/// Why words are no intent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadIntent {
    /// There is no such action: a sentence that names those there are.
    NoSuchAction(String),
    /// What was given with it is wrong.
    Wrong(String),
}

impl Intent {
    /// Reads an action on `target` (the job's id, the schedule's key, nothing for a queue) from its word and
    /// the fields that were given with it.
    ///
    /// # Errors
    ///
    /// A sentence that names what is allowed.
    pub fn read(of: Target, target: &str, word: &str, mut fields: Map<String, Value>) -> Result<Self, BadIntent> {
        let words = of.words();
        let Some((_, allowed)) = words.iter().find(|(known, _)| *known == word) else {
            let all: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            return Err(BadIntent::NoSuchAction(format!(
                "There is no action {word:?} on {}; there are {}.",
                of.noun(),
                all.join(", ")
            )));
        };
        if let Some(unknown) = fields.keys().find(|name| !allowed.contains(&name.as_str())) {
            let allowed: Vec<&str> = allowed.iter().chain(COMMON).copied().collect();
            return Err(BadIntent::Wrong(format!(
                "{word} takes no {unknown:?}; it takes {}.",
                allowed.join(", ")
            )));
        }
        // Without this a forgotten field would take the limit away.
        if matches!(word, "concurrency" | "rate_limit") && !fields.contains_key("limit") {
            return Err(BadIntent::Wrong(format!(
                "{word} needs a limit; null takes the limit away."
            )));
        }
        fields.insert("action".into(), word.into());
        let intent = match of {
            Target::Job if word == "retry_children" => Self::Flow {
                id: target.to_owned(),
                action: read(word, fields)?,
            },
            Target::Job => Self::Job {
                id: target.to_owned(),
                action: read(word, fields)?,
            },
            Target::Queue => Self::Queue(read(word, fields)?),
            Target::Schedule => Self::Schedule {
                key: target.to_owned(),
                action: read(word, fields)?,
            },
        };
        intent.check().map_err(BadIntent::Wrong)?;
        Ok(intent)
    }

    /// What it is on.
    #[must_use]
    pub const fn target(&self) -> Target {
        match self {
            Self::Job { .. } | Self::Flow { .. } => Target::Job,
            Self::Queue(_) => Target::Queue,
            Self::Schedule { .. } => Target::Schedule,
        }
    }

    /// The action as it is written in a path, with its fields.
    #[must_use]
    pub fn value(&self) -> Value {
        let value = match self {
            Self::Job { action, .. } => serde_json::to_value(action),
            Self::Flow { action, .. } => serde_json::to_value(action),
            Self::Queue(action) => serde_json::to_value(action),
            Self::Schedule { action, .. } => serde_json::to_value(action),
        };
        value.unwrap_or_default()
    }

    /// The word of the action.
    #[must_use]
    pub fn word(&self) -> String {
        self.value()["action"].as_str().unwrap_or_default().to_owned()
    }

    /// Everything that whoever asks must be permitted.
    #[must_use]
    pub fn verbs(&self) -> &'static [Verb] {
        match self {
            Self::Job { action, .. } => match action {
                JobAction::Retry { data: Some(_), .. } => &[Verb::Retry, Verb::Edit],
                JobAction::Retry { .. } | JobAction::PutBack | JobAction::ResumeJob | JobAction::Redrive => {
                    &[Verb::Retry]
                }
                JobAction::Promote | JobAction::Delay { .. } | JobAction::Priority { .. } => &[Verb::Promote],
                JobAction::EditData { .. } => &[Verb::Edit],
                JobAction::Duplicate => &[Verb::Add],
                JobAction::Remove { .. }
                | JobAction::FailLost { .. }
                | JobAction::Cancel { .. }
                | JobAction::RemoveDeduplication
                | JobAction::ClearLogs { .. }
                | JobAction::RemoveChildren => &[Verb::Remove],
                JobAction::Archive => &[Verb::Archive],
            },
            Self::Flow {
                action: FlowAction::RetryChildren,
                ..
            } => &[Verb::Retry],
            Self::Queue(action) => match action {
                QueueAction::Pause | QueueAction::Resume => &[Verb::Pause],
                QueueAction::Add(_) => &[Verb::Add],
                QueueAction::Concurrency { .. } | QueueAction::RateLimit { .. } | QueueAction::ReleaseRateLimit => {
                    &[Verb::Limit]
                }
                QueueAction::TrimEvents { .. } => &[Verb::Remove],
                QueueAction::Obliterate { .. } => &[Verb::Obliterate],
            },
            Self::Schedule { action, .. } => match action {
                ScheduleAction::Run => &[Verb::Add],
                ScheduleAction::Remove => &[Verb::Remove],
                ScheduleAction::Upsert(_) => &[Verb::Edit],
            },
        }
    }

    /// Whether what would be written holds the word that stands for hidden values.
    #[must_use]
    pub fn holds_hidden(&self) -> bool {
        let (data, options) = match self {
            Self::Job {
                action: JobAction::Retry { data: Some(data), .. } | JobAction::EditData { data },
                ..
            } => (Some(data), None),
            Self::Queue(QueueAction::Add(job)) => (Some(&job.data), job.options.as_ref()),
            Self::Schedule {
                action: ScheduleAction::Upsert(plan),
                ..
            } => (Some(&plan.data), plan.options.as_ref()),
            _ => (None, None),
        };
        data.into_iter().chain(options).any(|text| holds_marker(text))
    }

    /// Whether doing it twice is not the same as doing it once.
    #[must_use]
    pub const fn makes_something(&self) -> bool {
        matches!(
            self,
            Self::Job {
                action: JobAction::Duplicate,
                ..
            } | Self::Queue(QueueAction::Add(_))
                | Self::Schedule {
                    action: ScheduleAction::Run,
                    ..
                }
        )
    }

    /// Why a queue of this generation cannot do it; `None` if it can.
    #[must_use]
    pub fn refused_by(&self, adapter: &dyn Adapter, family: Family) -> Option<&'static str> {
        match self {
            Self::Job { action, .. } => adapter.refuses(family, action),
            Self::Flow { .. } => adapter.refuses_flow(family),
            Self::Queue(action) => adapter.refuses_queue(family, action),
            Self::Schedule { action, .. } => adapter.refuses_schedule(family, action),
        }
    }

    fn check(&self) -> Result<(), String> {
        match self {
            Self::Job { id, action } => {
                no_longer("the id of the job", id, NAME_MAX)?;
                match action {
                    JobAction::Retry { data: Some(data), .. } | JobAction::EditData { data } => {
                        json("data", data, DATA_MAX)
                    }
                    JobAction::Delay { ms } => at_most("ms", *ms, DELAY_MAX),
                    JobAction::FailLost { error } | JobAction::Cancel { error } => match error.trim() {
                        // Of a job of pg-boss nothing becomes of it.
                        "" if matches!(action, JobAction::FailLost { .. }) => Err(NO_ERROR.into()),
                        _ if error.chars().count() > ERROR_MAX => {
                            Err(format!("error is longer than {ERROR_MAX} characters."))
                        }
                        _ => Ok(()),
                    },
                    _ => Ok(()),
                }
            }
            Self::Flow { id, .. } => no_longer("the id of the job", id, NAME_MAX),
            Self::Queue(QueueAction::Add(job)) => {
                no_longer("name", &job.name, NAME_MAX)?;
                no_longer("id", job.id.as_deref().unwrap_or_default(), NAME_MAX)?;
                at_most("delay", job.delay, DELAY_MAX)?;
                json("data", &job.data, DATA_MAX)?;
                job.options.as_deref().map_or(Ok(()), options)?;
                match (job.id.as_deref(), job.attempts) {
                    (Some(""), _) => Err("id is empty; leave it out to have one counted up.".into()),
                    (_, Some(0)) => Err("attempts is at least 1.".into()),
                    _ => Ok(()),
                }
            }
            Self::Queue(QueueAction::Concurrency { limit: Some(0) }) => {
                Err("limit is at least 1; null takes it away, and pause stops the queue.".into())
            }
            Self::Queue(QueueAction::RateLimit { limit: Some(rate) }) if rate.max == 0 || rate.per_ms == 0 => {
                Err("max and per_ms are at least 1; a limit of null takes it away.".into())
            }
            Self::Queue(_) => Ok(()),
            Self::Schedule { key, action } => {
                no_longer("the key of the schedule", key, NAME_MAX)?;
                let ScheduleAction::Upsert(plan) = action else {
                    return Ok(());
                };
                no_longer("name", &plan.name, NAME_MAX)?;
                no_longer("pattern", plan.pattern.as_deref().unwrap_or_default(), NAME_MAX)?;
                if !plan.data.is_empty() {
                    json("data", &plan.data, DATA_MAX)?;
                }
                plan.options.as_deref().map_or(Ok(()), options)?;
                match (plan.pattern.as_deref(), plan.every_ms) {
                    (Some(pattern), None) if !pattern.trim().is_empty() => Ok(()),
                    (None, Some(every)) if every > 0 => at_most("every_ms", every, DELAY_MAX),
                    _ => Err("A schedule has either a pattern or an every_ms above 0.".into()),
                }
            }
        }
    }
}

/// Fields that every action takes.
pub const COMMON: &[&str] = &["seen", "reason", "dry_run"];

fn read<T: DeserializeOwned>(word: &str, fields: Map<String, Value>) -> Result<T, BadIntent> {
    serde_json::from_value(Value::Object(fields)).map_err(|error| BadIntent::Wrong(format!("{word}: {error}.")))
}

fn no_longer(what: &str, text: &str, max: usize) -> Result<(), String> {
    if text.len() > max {
        return Err(format!("{what} takes more than {max} bytes."));
    }
    Ok(())
}

fn at_most(what: &str, n: u64, max: u64) -> Result<(), String> {
    if n > max {
        return Err(format!("{what} is more than ten years in milliseconds."));
    }
    Ok(())
}

/// Checks that a text is JSON, every digit of it left as it is.
fn json(what: &str, text: &str, max: usize) -> Result<(), String> {
    no_longer(what, text, max)?;
    serde_json::from_str::<serde::de::IgnoredAny>(text).map_err(|error| format!("{what} is not JSON: {error}."))?;
    Ok(())
}

fn options(text: &str) -> Result<(), String> {
    no_longer("options", text, BODY_MAX)?;
    serde_json::from_str::<Map<String, Value>>(text)
        .map_err(|error| format!("options are not a JSON object: {error}."))?;
    Ok(())
}

#[cfg(test)]
#[path = "intent_tests.rs"]
mod tests;
