//! One line of the audit log.

use crate::model::action::{Effect, Seen};
use crate::model::answer::FlowRetried;
use crate::model::audit::{AuditEntry, Became};
use crate::model::queue::QueueRef;
use crate::model::{Millis, format};
use crate::server::redact::Mask;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

/// Which of the two lines of an action it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Before it was sent.
    Intent,
    /// After the answer.
    Result,
}

/// An idempotency key, and what it was used for. Both hashed: the key with its user, and method, path
/// and body together.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Key {
    /// The hash of the user and the key.
    pub key: String,
    /// The hash of the request.
    pub digest: String,
}

impl Key {
    /// The key `text` of `who`, used for this request.
    #[must_use]
    pub fn new(who: &str, text: &str, request: &[&[u8]]) -> Self {
        Self {
            key: digest(&[who.as_bytes(), text.as_bytes()]),
            digest: digest(request),
        }
    }
}

/// SHA-256 of some parts, each told apart from the next by its length.
fn digest(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    hex(&hash.finalize())
}

/// SHA-256 of a value, in hexadecimal digits.
#[must_use]
pub fn fingerprint(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// See the module. Both lines of an action carry everything, so that one line alone tells the story.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The id of the action: the same on both lines.
    pub id: String,
    /// Which line it is.
    pub phase: Phase,
    /// When it was asked for, for people.
    pub time: String,
    /// The same in milliseconds.
    pub at: Millis,
    /// When the answer came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Millis>,
    /// Who asked.
    pub who: String,
    /// From which address.
    pub address: String,
    /// The word of the action.
    pub action: String,
    /// On which queue.
    #[serde(flatten)]
    pub queue: QueueRef,
    /// On which job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// On which schedule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// What was asked for.
    pub sentence: String,
    /// The target as it was shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Seen>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The id of the request.
    pub request: String,
    /// What else was given: of payloads only size and hash.
    #[serde(default)]
    pub details: Value,
    /// The idempotency key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency: Option<Key>,
    /// What the store answered; on the second line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<Effect>,
    /// What it answered for the jobs of a flow; on the second line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow: Option<FlowRetried>,
    /// Why the store was not asked; on the second line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_sent: Option<String>,
    /// Which replica wrote it, where several write to one audit log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replica: Option<String>,
    /// Set if it was in a file first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carried: Option<Carried>,
}

/// A line that was written to a file and carried over to the shared audit log later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carried {
    /// When it came.
    pub at: Millis,
    /// The hash of its line in the file.
    pub line: String,
}

impl Record {
    /// The first line of something that is asked for now.
    #[must_use]
    pub fn intent(who: (&str, &str), action: &str, queue: QueueRef, sentence: String) -> Self {
        let at = crate::model::now();
        Self {
            id: mint_id(at),
            phase: Phase::Intent,
            time: time(at),
            at,
            ended: None,
            who: who.0.to_owned(),
            address: who.1.to_owned(),
            action: action.to_owned(),
            queue,
            job: None,
            schedule: None,
            sentence,
            seen: None,
            reason: None,
            request: mint_id(at),
            details: Value::Null,
            idempotency: None,
            effect: None,
            flow: None,
            not_sent: None,
            replica: None,
            carried: None,
        }
    }

    /// The record without secrets that the operator wrote into it, or a producer whose text the sentence quotes.
    #[must_use]
    pub fn masked(mut self, mask: &Mask) -> Self {
        self.sentence = mask.sentence(&self.sentence).into_owned();
        self.reason = self.reason.map(|reason| mask.words(&reason).into_owned());
        hide(&mut self.details, mask);
        self
    }

    /// Whether it is about the queue itself.
    #[must_use]
    pub const fn is_on_queue(&self) -> bool {
        self.job.is_none() && self.schedule.is_none()
    }

    /// The outcome, as the second line says.
    #[must_use]
    pub fn became(&self) -> Became {
        match (&self.effect, &self.flow, &self.not_sent) {
            (Some(effect), ..) => Became::Known(effect.clone()),
            (None, Some(flow), _) => Became::Flow(flow.clone()),
            (None, None, Some(why)) => Became::NotSent(why.clone()),
            (None, None, None) => Became::Lost,
        }
    }

    /// The entry as pages and API show it.
    #[must_use]
    pub fn entry(&self, became: &Became) -> AuditEntry {
        AuditEntry {
            id: self.id.clone(),
            at: self.at,
            who: self.who.clone(),
            address: self.address.clone(),
            action: self.action.clone(),
            queue: self.queue.clone(),
            job: self.job.clone(),
            schedule: self.schedule.clone(),
            sentence: self.sentence.clone(),
            seen: self.seen.clone(),
            reason: self.reason.clone(),
            request: self.request.clone(),
            result: became.word().into(),
            detail: match &self.carried {
                None => became.sentence(),
                Some(carried) => format!(
                    "{} It was recorded in a local file and copied here at {}.",
                    became.sentence(),
                    time(carried.at)
                ),
            },
            outcome: became.outcome(),
            made: match became {
                Became::Known(Effect::Done { job, .. }) => job.clone(),
                _ => None,
            },
            note: match became {
                Became::Known(Effect::Done { note, .. }) => note.clone(),
                _ => None,
            },
        }
    }
}

/// Masks every text in a value.
fn hide(value: &mut Value, mask: &Mask) {
    match value {
        Value::String(text) => *text = mask.words(text).into_owned(),
        Value::Array(items) => items.iter_mut().for_each(|item| hide(item, mask)),
        Value::Object(fields) => fields.values_mut().for_each(|value| hide(value, mask)),
        _ => {}
    }
}

/// A new id: the moment, so that ids sort by time, then chance.
#[must_use]
pub fn mint_id(at: Millis) -> String {
    format!("{at:012x}{:016x}", rand::random::<u64>())
}

/// A moment for people.
#[must_use]
pub fn time(at: Millis) -> String {
    format::iso(at)
}

/// The fields of an action, without the action's word and without payloads: of those the size, and the hash of their
/// masked text. From the hash of the full text a secret could be guessed.
#[must_use]
pub fn details(action: Value, mask: &Mask) -> Value {
    let Value::Object(fields) = action else {
        return Value::Null;
    };
    let mut kept = Map::new();
    for (name, value) in fields {
        match (name.as_str(), value) {
            ("action", _) | (_, Value::Null) => {}
            ("data" | "options", Value::String(text)) => {
                let told = json!({"bytes": text.len(), "sha256": fingerprint(mask.json(&text).as_bytes())});
                kept.insert(name, told);
            }
            (_, value) => {
                kept.insert(name, value);
            }
        }
    }
    Value::Object(kept)
}
