//! What was asked for, by whom, and what became of it, as pages and API tell it.

use super::Millis;
use super::action::{Effect, Seen};
use super::answer::FlowRetried;
use super::error::Outcome;
use super::queue::QueueRef;
use serde::{Deserialize, Serialize};

/// What became of something that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Became {
    /// It is under way.
    Asked,
    /// Drover ended before an answer came, or could not note the answer.
    Lost,
    /// The store could not be asked: nothing was done.
    NotSent(String),
    /// What the store answered.
    Known(Effect),
    /// What it answered for each job of a flow.
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

    /// It in a sentence, for people.
    #[must_use]
    pub fn sentence(&self) -> String {
        match self {
            Self::Asked => "Under way: the store has not answered yet.".into(),
            Self::Lost => {
                "Result unknown: Drover ended before the store's answer was noted. Look at the target.".into()
            }
            Self::NotSent(why) => format!("Nothing was done: the store could not be asked: {why}"),
            Self::Flow(flow) => flow.sentence(),
            Self::Known(Effect::Done { job: None }) => "Done.".into(),
            Self::Known(Effect::Done { job: Some(job) }) => format!("Done: job {}.", super::format::visible(job)),
            Self::Known(Effect::Already { now }) => format!("It had been done before: {now}"),
            Self::Known(Effect::Changed { now }) => format!("Nothing was done: it is not as it was shown. {now}"),
            Self::Known(Effect::Gone) => "Nothing was done: it is no longer there.".into(),
            Self::Known(Effect::Locked { by }) => format!("Nothing was done: it is being worked on. {by}"),
            Self::Known(Effect::Refused { reason }) => format!("Refused, nothing was done: {reason}"),
            Self::Known(Effect::Unconfirmed { reason }) => format!("Result unknown: {reason}"),
        }
    }
}

/// One thing that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct AuditEntry {
    /// Its id: also in the file, and in the answer to whoever asked.
    pub id: String,
    /// When, by Drover's clock.
    pub at: Millis,
    /// Who: `anonymous` as long as nobody signs in.
    pub who: String,
    /// From which address.
    pub address: String,
    /// The word of the action, as in its path.
    pub action: String,
    /// On which queue.
    #[serde(flatten)]
    pub queue: QueueRef,
    /// On which job of it, if on one.
    pub job: Option<String>,
    /// On which schedule of it, if on one.
    pub schedule: Option<String>,
    /// What was asked for, in a sentence.
    pub sentence: String,
    /// The target as it was shown.
    pub seen: Option<Seen>,
    /// Why, in the words of whoever asked.
    pub reason: Option<String>,
    /// The id of the request, as the caller gave it or as it was made up.
    pub request: String,
    /// What became of it: the word of an effect, or `asked`, `not_sent`, `unknown`.
    pub result: String,
    /// The same in a sentence.
    pub detail: String,
    /// Whether anything was done.
    pub outcome: Outcome,
}

/// A page of them, the newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct AuditPage {
    /// The entries.
    pub items: Vec<AuditEntry>,
    /// The cursor of the next, older page; `None` at the end of what is at hand.
    pub next: Option<String>,
    /// Where the whole record is: only its newest part is at hand here.
    pub file: String,
    /// Why nothing can be recorded now, and so nothing can be done; `None` while it can.
    pub trouble: Option<String>,
}
