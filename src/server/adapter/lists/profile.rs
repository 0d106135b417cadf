//! What an application's lists are, as an operator describes them in `[[store.list]]`.

use super::super::ReadError;
use crate::model::Millis;
use crate::model::exact::bytes_of;
use crate::model::state::JobState;
use serde_json::Value;
use std::fmt;

/// The most names of a path.
const DEPTH_MAX: usize = 16;

/// An end of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The head, `LPUSH` and `LPOP`.
    Left,
    /// The tail, `RPUSH` and `RPOP`.
    Right,
}

impl End {
    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Left => Self::Right,
            Self::Right => Self::Left,
        }
    }

    /// The command that adds at this end.
    pub(super) const fn push(self) -> &'static str {
        match self {
            Self::Left => "LPUSH",
            Self::Right => "RPUSH",
        }
    }
}

/// What the bytes of an item are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// JSON.
    Json,
    /// msgpack.
    MessagePack,
    /// Text without fields.
    Text,
}

/// A place in a body: names of fields and numbers of elements, from the top.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BodyPath(Vec<String>);

impl BodyPath {
    /// Reads a path such as `meta.ids.0`; `$.` in front is left out.
    ///
    /// # Errors
    ///
    /// When it is none: a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        let names: Vec<String> = text
            .strip_prefix("$.")
            .unwrap_or(text)
            .split('.')
            .map(str::to_owned)
            .collect();
        let plain = |name: &String| !name.is_empty() && !name.contains(['[', ']', '*', '$']);
        if names.len() <= DEPTH_MAX && names.iter().all(plain) {
            Ok(Self(names))
        } else {
            Err(format!(
                "{text:?}: write it as meta.id, or as items.0.id for the first of a list"
            ))
        }
    }

    /// What there is in a body at this place.
    pub(super) fn of<'a>(&self, body: &'a Value) -> Option<&'a Value> {
        self.0.iter().try_fold(body, |value, name| match value {
            Value::Object(fields) => fields.get(name),
            Value::Array(items) => items.get(name.parse::<usize>().ok()?),
            _ => None,
        })
    }
}

impl fmt::Display for BodyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("."))
    }
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// The name of the queue.
    pub name: String,
    /// The key of the list that workers take from, which is the queue's id.
    pub waiting: String,
    /// The list of what workers hold.
    pub processing: Option<String>,
    /// The list of what is done.
    pub completed: Option<String>,
    /// The list of what failed.
    pub failed: Option<String>,
    /// The end of `waiting` that workers take from.
    pub take: End,
    /// Whether producers add at that end too.
    pub lifo: bool,
    /// The end at which the other lists grow.
    pub grow: End,
    /// What an item is.
    pub format: Format,
    /// Where an item has its id.
    pub id: Option<BodyPath>,
    /// Where it has its name.
    pub title: Option<BodyPath>,
    /// Where it has its error.
    pub error: Option<BodyPath>,
    /// Where it has the time at which it was added.
    pub time: Option<BodyPath>,
    /// How long an item is seen in `processing` until it is stuck.
    pub stuck_after: Option<Millis>,
    /// A key that shows that a worker works, or works on the item with the id in place of `{id}`.
    pub heartbeat: Option<String>,
}

/// What stands for an item's id in the name of a heartbeat key.
const ID: &str = "{id}";

/// A list, and the end that is read first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct List {
    pub(super) key: Vec<u8>,
    /// Where the next item is, or the one that came first.
    pub(super) first: End,
}

impl Profile {
    /// The states that lists can hold.
    pub(super) const STATES: [JobState; 4] = [
        JobState::Waiting,
        JobState::Active,
        JobState::Completed,
        JobState::Failed,
    ];

    /// The keys of its lists.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        let waiting = Some(&self.waiting).filter(|key| !key.is_empty());
        let all = [
            waiting,
            self.processing.as_ref(),
            self.completed.as_ref(),
            self.failed.as_ref(),
        ];
        all.into_iter().flatten().map(String::as_str)
    }

    /// The setting that names the list of a state, and the key.
    pub(super) fn key(&self, state: JobState) -> Option<(&'static str, Option<&str>)> {
        Some(match state {
            JobState::Waiting => ("waiting", Some(&self.waiting)),
            JobState::Active => ("processing", self.processing.as_deref()),
            JobState::Completed => ("completed", self.completed.as_deref()),
            JobState::Failed => ("failed", self.failed.as_deref()),
            JobState::Delayed | JobState::Prioritized | JobState::WaitingChildren | JobState::Cancelled => return None,
        })
    }

    /// The list of a state; `None` if the profile names none.
    pub(super) fn list(&self, state: JobState) -> Option<List> {
        let key = self.key(state)?.1?;
        Some(List {
            key: bytes_of(key).into_owned(),
            first: if state == JobState::Waiting {
                self.take
            } else {
                self.grow.other()
            },
        })
    }

    /// The list of a state that a page is wanted of.
    pub(super) fn listed(&self, state: JobState) -> Result<List, ReadError> {
        self.list(state).ok_or(ReadError::Unsupported(match state {
            JobState::Active => "The profile of this queue names no list of what workers hold: set processing.",
            JobState::Completed => "The profile of this queue names no list of what is done: set completed.",
            JobState::Failed => "The profile of this queue names no list of what failed: set failed.",
            _ => "Lists have no such state.",
        }))
    }

    /// The end at which producers add.
    pub(super) const fn add(&self) -> End {
        if self.lifo { self.take } else { self.take.other() }
    }

    /// Whether each item has a heartbeat key of its own.
    #[must_use]
    pub fn held_by_item(&self) -> bool {
        self.heartbeat.as_ref().is_some_and(|key| key.contains(ID))
    }

    /// The heartbeat key of an item.
    pub(super) fn heartbeat_of(&self, id: &str) -> Option<Vec<u8>> {
        let key = self.heartbeat.as_ref()?.replace(ID, id);
        Some(bytes_of(&key).into_owned())
    }
}
