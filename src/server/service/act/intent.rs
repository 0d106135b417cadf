//! What is asked for: one action on one target, read from words and checked.

use crate::model::action::catalogue::{ActionKind, Empty, Field, Input, Target};
use crate::model::action::sentence::{self, Place};
use crate::model::action::{FlowAction, JobAction, QueueAction, ScheduleAction};
use crate::model::permission::Verb;
use crate::server::adapter::AnyAction;
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
pub const NO_ERROR: &str = "error is empty; it is shown as the reason for the failure.";

/// A job that is never tried.
const NO_ATTEMPTS: &str = "attempts is at least 1.";

/// Bytes of a name, an id, a pattern.
const NAME_MAX: usize = 4_096;

/// Ten years: anything longer is a mistake in the unit.
const DELAY_MAX: u64 = 10 * 365 * 86_400_000;

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
    /// What would be done, in one sentence: the same for a confirmation, an answer of the API and the audit log.
    #[must_use]
    pub fn sentence(&self, place: Place<'_>) -> String {
        match self {
            Self::Job { id, action } => sentence::on_job(id, action, place),
            Self::Flow { id, .. } => sentence::on_flow(id, place),
            Self::Queue(action) => sentence::on_queue(action, place),
            Self::Schedule { key, action } => sentence::on_schedule(key, action, place),
        }
    }

    /// Reads an action on `target` (the job's id, the schedule's key, nothing for a queue) from its word and
    /// the fields that were given with it.
    ///
    /// # Errors
    ///
    /// A sentence that names what is allowed.
    pub fn read(of: Target, target: &str, word: &str, mut fields: Map<String, Value>) -> Result<Self, BadIntent> {
        let Some(kind) = ActionKind::find(of, word) else {
            let mut all: Vec<&str> = ActionKind::on(of).map(|kind| kind.row().word).collect();
            all.dedup();
            return Err(BadIntent::NoSuchAction(format!(
                "There is no action {word:?} on {}; there are {}.",
                of.noun(),
                all.join(", ")
            )));
        };
        let row = kind.row();
        let allowed = row.names();
        if let Some(unknown) = fields.keys().find(|name| !allowed.contains(&name.as_str())) {
            let allowed: Vec<&str> = allowed.iter().chain(COMMON).copied().collect();
            return Err(BadIntent::Wrong(format!(
                "{word} takes no {unknown:?}; it takes {}.",
                allowed.join(", ")
            )));
        }
        // Without this a forgotten field would take the limit away.
        let nullable = row.fields.iter().filter(|field| field.empty == Empty::Null);
        if let Some(missing) = nullable.map(Field::top).find(|name| !fields.contains_key(*name)) {
            return Err(BadIntent::Wrong(format!(
                "{word} needs a {missing}; null removes the {missing}."
            )));
        }
        fields.insert("action".into(), word.into());
        let intent = match of {
            Target::Job if kind == ActionKind::RetryChildren => Self::Flow {
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

    /// Which action it is.
    #[must_use]
    pub const fn kind(&self) -> ActionKind {
        match self {
            Self::Job { action, .. } => action.kind(),
            Self::Flow { action, .. } => action.kind(),
            Self::Queue(action) => action.kind(),
            Self::Schedule { action, .. } => action.kind(),
        }
    }

    /// The permissions that it needs.
    #[must_use]
    pub fn verbs(&self) -> Vec<Verb> {
        let row = self.kind().row();
        let mut verbs = row.needs.to_vec();
        // What is given may be large: it is written out only where a field needs more.
        let more: Vec<_> = row
            .fields
            .iter()
            .filter_map(|field| Some((field, field.needs?)))
            .collect();
        if !more.is_empty() {
            let value = self.value();
            let given = more.into_iter().filter(|(field, _)| !value[field.top()].is_null());
            verbs.extend(given.map(|(_, verb)| verb));
        }
        verbs
    }

    /// An action with nothing unusual given, to ask whether it would be tried.
    #[must_use]
    pub fn example(kind: ActionKind, target: &str) -> Option<Self> {
        let row = kind.row();
        let mut fields = Map::new();
        for field in row.fields {
            let value = match (field.empty, field.input) {
                (Empty::Null, _) => Value::Null,
                (Empty::LeftOut, _) => continue,
                (Empty::Refused, Input::Json) => "{}".into(),
                (Empty::Refused, Input::Number | Input::Seconds) => 0.into(),
                (Empty::Refused, Input::Line | Input::Tick | Input::ApiOnly) => "?".into(),
            };
            fields.insert(field.top().to_owned(), value);
        }
        if kind == ActionKind::SaveSchedule {
            fields.insert("every_ms".into(), 1_000.into());
        }
        Self::read(row.target, target, row.word, fields).ok()
    }

    /// Whether what would be written holds the marker of hidden values.
    #[must_use]
    pub fn holds_hidden(&self) -> bool {
        let (data, options) = match self {
            Self::Job {
                action: JobAction::Retry { data: Some(data), .. } | JobAction::EditData { data },
                ..
            } => (Some(data), None),
            Self::Job {
                action: JobAction::Duplicate(changes),
                ..
            } => (changes.data.as_ref(), changes.options.as_ref()),
            Self::Queue(QueueAction::Add(job)) => (Some(&job.data), job.options.as_ref()),
            Self::Schedule {
                action: ScheduleAction::Upsert(plan),
                ..
            } => (Some(&plan.data), plan.options.as_ref()),
            _ => (None, None),
        };
        data.into_iter().chain(options).any(|text| holds_marker(text))
    }

    /// The action, as far as the rights that it takes go; `None` for one that is carried out job by job.
    #[must_use]
    pub const fn action(&self) -> Option<AnyAction<'_>> {
        match self {
            Self::Job { action, .. } => Some(AnyAction::Job(action)),
            Self::Flow { .. } => None,
            Self::Queue(action) => Some(AnyAction::Queue(action)),
            Self::Schedule { action, .. } => Some(AnyAction::Schedule(action)),
        }
    }

    /// Checks what was given: sizes, bounds, and that JSON is JSON.
    pub(in super::super) fn check(&self) -> Result<(), String> {
        match self {
            Self::Job { id, action } => {
                no_longer("the id of the job", id, NAME_MAX)?;
                match action {
                    JobAction::Retry { data: Some(data), .. } | JobAction::EditData { data } => {
                        json("data", data, DATA_MAX)
                    }
                    JobAction::Duplicate(changes) => {
                        no_longer("name", changes.name.as_deref().unwrap_or_default(), NAME_MAX)?;
                        at_most("delay", changes.delay.unwrap_or(0), DELAY_MAX)?;
                        changes
                            .data
                            .as_deref()
                            .map_or(Ok(()), |data| json("data", data, DATA_MAX))?;
                        changes.options.as_deref().map_or(Ok(()), options)?;
                        match changes.attempts {
                            Some(0) => Err(NO_ATTEMPTS.into()),
                            _ => Ok(()),
                        }
                    }
                    JobAction::Delay { ms } => at_most("ms", *ms, DELAY_MAX),
                    JobAction::FailLost { error } | JobAction::Cancel { error } => match error.trim() {
                        // pg-boss does not keep the error.
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
                    (Some(""), _) => Err("id is empty; leave it out to have one assigned automatically.".into()),
                    (_, Some(0)) => Err(NO_ATTEMPTS.into()),
                    _ => Ok(()),
                }
            }
            Self::Queue(QueueAction::Concurrency { limit: Some(0) }) => {
                Err("limit is at least 1; null removes it, and pause stops the queue.".into())
            }
            Self::Queue(QueueAction::RateLimit { limit: Some(rate) }) if rate.max == 0 || rate.per_ms == 0 => {
                Err("max and per_ms are at least 1; a limit of null removes it.".into())
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
