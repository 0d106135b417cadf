//! One queue as a line of the overview, and the patch that keeps the line up to date.

use super::Millis;
use super::counts::Counts;
use super::format;
use super::system::{Family, System};
use super::verdict::Verdict;
use serde::{Deserialize, Deserializer, Serialize};
#[cfg(feature = "ssr")]
use std::collections::HashMap;
use std::fmt;

/// Which queue: the store it lives in and its id there.
///
/// For BullMQ the id is `prefix:name`. Both parts are opaque text: either may contain `:`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct QueueRef {
    /// The store's id from the configuration.
    pub store: String,
    /// The queue's id within the store.
    pub queue: String,
}

impl fmt::Display for QueueRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.store, self.queue)
    }
}

/// The labels of these queues of one store, given by id and name: the texts that people read and type.
///
/// A label is the queue's name, or its id where another queue has that name or id. No two labels are the same.
#[cfg(feature = "ssr")]
pub fn labels<'a>(queues: impl Iterator<Item = (&'a str, &'a str)> + Clone) -> impl Iterator<Item = &'a str> {
    let mut meant: HashMap<&str, u32> = HashMap::new();
    for (id, name) in queues.clone() {
        *meant.entry(name).or_default() += 1;
        if id != name {
            *meant.entry(id).or_default() += 1;
        }
    }
    queues.map(move |(id, name)| if meant.get(name) == Some(&1) { name } else { id })
}

/// Jobs per minute, counted from the queue's own events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct Rates {
    /// Jobs added per minute.
    #[serde(rename = "in")]
    pub arrivals: f64,
    /// Jobs finished per minute, completed and failed together.
    #[serde(rename = "out")]
    pub departures: f64,
    /// Of those, the ones that failed for good, per minute.
    pub failed: f64,
    /// How many seconds the figures cover: 60 once the board has watched that long.
    pub window_s: u32,
}

/// Parents that wait for children which can never finish: failed for good, or gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct Stuck {
    /// How many were found.
    pub parents: u64,
    /// How many parents Drover looked at, those that have waited longest first; it checked no others.
    pub looked_at: u64,
    /// Since when the first of the stuck parents has waited for its children.
    pub oldest: Option<Millis>,
}

/// The time when the library of a queue removes the first of the waiting jobs, if it has not begun by then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// That moment, by the store's clock.
    pub at: Millis,
    /// Since when that job has been ready to run.
    pub ready: Millis,
    /// What happens to it: words in front of "the first", such as "pg-boss deletes".
    pub deed: &'static str,
}

/// One queue, with what the overview shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct QueueSummary {
    /// The store it lives in.
    pub store: String,
    /// Its id within the store: what API paths take.
    pub id: String,
    /// The library it belongs to.
    pub system: System,
    /// The name its application gave it.
    pub name: String,
    /// Its label on pages and in sentences: its name, or its id where the name is not unique (see [`labels`]).
    pub label: String,
    /// What the library's client wrote about its own version, if it did.
    pub version: Option<String>,
    /// Which generation laid out its keys, and the evidence; `None` until Drover has read it.
    pub family: Option<Family>,
    /// Whether it hands out no work; `None` if not known.
    pub paused: Option<bool>,
    /// Jobs by state.
    pub counts: Counts,
    /// Why a count is missing, when one is, or what the counts leave out.
    pub reason: Option<String>,
    /// Throughput; `None` until the board has watched for a few seconds, or after a gap.
    pub rates: Option<Rates>,
    /// Since when the job that runs next has been ready to run, its delay and back-off over; `None` if none waits or
    /// that is not known. Beside `next_created` it is a bound: the job has waited at least since then.
    pub oldest_waiting: Option<Millis>,
    /// When the job that runs next was created, where it is not known since when that job has been ready.
    #[serde(default)]
    pub next_created: Option<Millis>,
    /// Connected workers; `None` when the store does not say, or when `unseen`.
    pub workers: Option<u32>,
    /// Whether jobs are being processed although Drover knows no connection as a worker of this queue.
    #[serde(default)]
    pub unseen: bool,
    /// Parents that can never run; `None` until Drover has searched for them.
    #[serde(default)]
    pub stuck: Option<Stuck>,
    /// The verdict on it.
    pub verdict: Verdict,
    /// Finished jobs per ten seconds, oldest first, the last ten minutes; null where Drover did not watch.
    pub spark: Vec<Option<u32>>,
    /// When the counts were read.
    pub as_of: Millis,
}

impl QueueSummary {
    /// The pair that names this queue.
    #[must_use]
    pub fn key(&self) -> QueueRef {
        QueueRef {
            store: self.store.clone(),
            queue: self.id.clone(),
        }
    }

    /// How long the job that runs next has waited, by the store's clock; [`format::UNKNOWN`] if that is not known, and
    /// empty if none waits.
    #[must_use]
    pub fn waited(&self, its_clock: Millis) -> String {
        match (self.counts.backlog(), self.oldest_waiting) {
            (Some(0), _) => String::new(),
            (_, None) => format::UNKNOWN.into(),
            (_, Some(at)) if self.next_created.is_some() => format!("≥ {}", format::age(its_clock, at)),
            (_, Some(at)) => format::age(its_clock, at),
        }
    }

    /// Why the wait is not known, or not exactly.
    #[must_use]
    pub fn waited_note(&self, its_clock: Millis) -> Option<String> {
        let created = self.next_created.filter(|_| self.counts.backlog() != Some(0))?;
        let age = format::span(its_clock.saturating_sub(created));
        Some(format!("Created {age} ago; when it became ready is not known."))
    }

    /// What changed between `before` and `self`; `None` if no visible field did.
    #[must_use]
    pub fn patch_since(&self, before: &Self) -> Option<QueuePatch> {
        fn differs<T: PartialEq + Clone>(new: &T, old: &T) -> Option<T> {
            (new != old).then(|| new.clone())
        }
        let patch = QueuePatch {
            store: self.store.clone(),
            id: self.id.clone(),
            system: differs(&self.system, &before.system),
            label: differs(&self.label, &before.label),
            version: differs(&self.version, &before.version),
            family: differs(&self.family, &before.family),
            paused: differs(&self.paused, &before.paused),
            counts: differs(&self.counts, &before.counts),
            reason: differs(&self.reason, &before.reason),
            rates: differs(&self.rates, &before.rates),
            oldest_waiting: differs(&self.oldest_waiting, &before.oldest_waiting),
            next_created: differs(&self.next_created, &before.next_created),
            workers: differs(&self.workers, &before.workers),
            unseen: differs(&self.unseen, &before.unseen),
            stuck: differs(&self.stuck, &before.stuck),
            verdict: differs(&self.verdict, &before.verdict),
            spark: differs(&self.spark, &before.spark),
            as_of: self.as_of,
        };
        (!patch.is_empty()).then_some(patch)
    }

    /// Applies a patch.
    pub fn apply(&mut self, patch: QueuePatch) {
        fn set<T>(place: &mut T, value: Option<T>) {
            if let Some(value) = value {
                *place = value;
            }
        }
        set(&mut self.system, patch.system);
        set(&mut self.label, patch.label);
        set(&mut self.version, patch.version);
        set(&mut self.family, patch.family);
        set(&mut self.paused, patch.paused);
        set(&mut self.counts, patch.counts);
        set(&mut self.reason, patch.reason);
        set(&mut self.rates, patch.rates);
        set(&mut self.oldest_waiting, patch.oldest_waiting);
        set(&mut self.next_created, patch.next_created);
        set(&mut self.workers, patch.workers);
        set(&mut self.unseen, patch.unseen);
        set(&mut self.stuck, patch.stuck);
        set(&mut self.verdict, patch.verdict);
        set(&mut self.spark, patch.spark);
        self.as_of = patch.as_of;
    }
}

/// The parts of a [`QueueSummary`] that changed. A field that is absent is unchanged; a field that
/// is null has become unknown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each field is the one of the same name in `QueueSummary`")]
pub struct QueuePatch {
    pub store: String,
    pub id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<System>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub version: Option<Option<String>>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub family: Option<Option<Family>>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub paused: Option<Option<bool>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<Counts>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub reason: Option<Option<String>>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub rates: Option<Option<Rates>>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub oldest_waiting: Option<Option<Millis>>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub next_created: Option<Option<Millis>>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub workers: Option<Option<u32>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unseen: Option<bool>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub stuck: Option<Option<Stuck>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spark: Option<Vec<Option<u32>>>,
    pub as_of: Millis,
}

impl QueuePatch {
    /// The queue it is about.
    #[cfg(feature = "ssr")]
    #[must_use]
    pub fn queue(&self) -> QueueRef {
        QueueRef {
            store: self.store.clone(),
            queue: self.id.clone(),
        }
    }

    const fn is_empty(&self) -> bool {
        self.system.is_none()
            && self.label.is_none()
            && self.version.is_none()
            && self.family.is_none()
            && self.paused.is_none()
            && self.counts.is_none()
            && self.reason.is_none()
            && self.rates.is_none()
            && self.oldest_waiting.is_none()
            && self.next_created.is_none()
            && self.workers.is_none()
            && self.unseen.is_none()
            && self.stuck.is_none()
            && self.verdict.is_none()
            && self.spark.is_none()
    }
}

/// Distinguishes "null" from "absent": serde alone reads both as `None`.
fn present<'de, D, T>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::<T>::deserialize(deserializer).map(Some)
}

#[cfg(test)]
impl QueueSummary {
    /// An empty queue of BullMQ where all is well, for tests.
    pub(crate) fn example(name: &str) -> Self {
        Self {
            store: "redis".into(),
            id: format!("bull:{name}"),
            system: System::BullMq,
            name: name.into(),
            label: name.into(),
            version: None,
            family: None,
            paused: Some(false),
            counts: Counts::zero(),
            reason: None,
            rates: None,
            oldest_waiting: None,
            next_created: None,
            unseen: false,
            stuck: None,
            workers: Some(1),
            verdict: Verdict {
                level: crate::model::verdict::Level::Ok,
                ..Verdict::not_read(0)
            },
            spark: vec![],
            as_of: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::state::JobState;

    fn line() -> QueueSummary {
        QueueSummary {
            store: "redis".into(),
            id: "bull:mail".into(),
            system: System::BullMq,
            name: "mail".into(),
            label: "mail".into(),
            version: None,
            family: None,
            paused: Some(false),
            counts: Counts::zero(),
            reason: None,
            rates: None,
            oldest_waiting: Some(5),
            next_created: None,
            workers: Some(2),
            unseen: false,
            stuck: None,
            verdict: Verdict::not_read(1),
            spark: vec![],
            as_of: 1,
        }
    }

    #[test]
    fn a_patch_through_json_makes_the_old_line_the_new_line() {
        let before = line();
        let mut after = line();
        after.as_of = 2;
        after.counts.set(JobState::Waiting, Some(9));
        after.oldest_waiting = None;
        after.workers = None;
        let patch = after.patch_since(&before).unwrap();
        let text = serde_json::to_string(&patch).unwrap();
        assert!(text.contains(r#""workers":null"#), "unknown must travel: {text}");
        assert!(!text.contains("paused"), "unchanged must not travel: {text}");
        let mut patched = before;
        patched.apply(serde_json::from_str(&text).unwrap());
        assert_eq!(patched, after);
    }

    #[test]
    fn queues_that_share_a_name_are_called_by_their_ids() {
        let of = |queues: &[(&'static str, &'static str)]| labels(queues.iter().copied()).collect::<Vec<_>>();
        assert_eq!(of(&[("bull:mail", "mail"), ("bull:pay", "pay")]), ["mail", "pay"]);
        assert_eq!(
            of(&[("stage:pay", "pay"), ("prod:pay", "pay"), ("prod:mail", "mail")]),
            ["stage:pay", "prod:pay", "mail"]
        );
        // A name that equals another queue's id would be mistaken for that queue.
        assert_eq!(
            of(&[("bull:eu:mail", "eu:mail"), ("eu:mail", "mail")]),
            ["bull:eu:mail", "mail"]
        );
        assert_eq!(of(&[("pay", "pay"), ("other:pay", "pay")]), ["pay", "other:pay"]);
    }

    #[test]
    fn a_later_reading_of_the_same_values_is_no_change() {
        let before = line();
        let mut after = line();
        after.as_of = 99;
        assert_eq!(after.patch_since(&before), None);
    }
}
