//! How many jobs are in each state.

use super::format;
use super::state::JobState;
use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// Jobs by state. `None` means "not known", which is never the same as zero.
///
/// In JSON an object of state name → number or null, always with the names of [`COMMON`]. A state that only some
/// systems have appears where the system has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts([Option<u64>; JobState::ALL.len()]);

/// The states that are always listed, if need be as not known: all but the last.
const COMMON: usize = JobState::ALL.len() - 1;

impl Counts {
    /// Nothing is known yet.
    pub const UNKNOWN: Self = Self([None; JobState::ALL.len()]);

    /// The count of one state.
    #[must_use]
    pub const fn get(&self, state: JobState) -> Option<u64> {
        self.0[state.index()]
    }

    /// Sets the count of one state.
    pub const fn set(&mut self, state: JobState, count: Option<u64>) {
        self.0[state.index()] = count;
    }

    /// Work that is ready and not begun: waiting and prioritized. `None` if either is not known.
    #[must_use]
    pub fn backlog(&self) -> Option<u64> {
        Some(self.get(JobState::Waiting)? + self.get(JobState::Prioritized)?)
    }

    /// Everything but completed jobs: what an operator may still have to deal with. `None` if a part is not known.
    #[must_use]
    pub fn unfinished(&self) -> Option<u64> {
        let states = JobState::ALL[..COMMON]
            .iter()
            .filter(|state| **state != JobState::Completed);
        states.map(|state| self.get(*state)).sum()
    }

    /// Whether every state has a number.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.0[..COMMON].iter().all(Option::is_some)
    }

    /// Whether every state is known to hold nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0[..COMMON].iter().all(|c| *c == Some(0)) && self.0[COMMON].unwrap_or(0) == 0
    }

    /// All states at zero.
    #[must_use]
    pub const fn zero() -> Self {
        let mut counts = Self([Some(0); JobState::ALL.len()]);
        counts.0[COMMON] = None;
        counts
    }
}

/// A sum of numbers some of which may not be known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Total {
    known: u64,
    /// Whether a part is not known: the true sum is this or more.
    partial: bool,
}

impl Total {
    /// What is known of a sum, and whether a part of it is not.
    #[must_use]
    pub const fn of(known: u64, partial: bool) -> Self {
        Self { known, partial }
    }

    /// Adds a number.
    pub const fn add(&mut self, part: Option<u64>) {
        match part {
            Some(part) => self.known += part,
            None => self.partial = true,
        }
    }

    /// Whether the sum is known to be zero.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.known == 0 && !self.partial
    }
}

/// `1,284`; `≥1,284` where a part is not known; `—` where no part is.
impl fmt::Display for Total {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.known, self.partial) {
            (0, true) => f.write_str(format::UNKNOWN),
            (known, true) => write!(f, "≥{}", format::count(known)),
            (known, false) => f.write_str(&format::count(known)),
        }
    }
}

/// Jobs of many queues by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    sums: [Total; JobState::ALL.len()],
    /// Whether a queue has the state that only some systems have.
    rare: bool,
}

impl Totals {
    /// Adds a queue's jobs.
    pub fn add(&mut self, counts: &Counts) {
        for state in &JobState::ALL[..COMMON] {
            self.sums[state.index()].add(counts.get(*state));
        }
        if let Some(n) = counts.0[COMMON] {
            self.sums[COMMON].add(Some(n));
            self.rare = true;
        }
    }

    /// Records that some jobs were not counted, whatever their state.
    pub fn miss(&mut self) {
        self.add(&Counts::UNKNOWN);
    }

    /// The sum of one state; `None` for a state that none of the queues has.
    #[must_use]
    pub fn get(&self, state: JobState) -> Option<Total> {
        (state.index() < COMMON || self.rare).then(|| self.sums[state.index()])
    }
}

#[cfg(feature = "ssr")]
impl schemars::JsonSchema for Counts {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Counts".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let number = serde_json::json!({"type": ["integer", "null"], "minimum": 0});
        let states = JobState::ALL.map(|state| (state.as_str().to_owned(), number.clone()));
        schemars::json_schema!({
            "type": "object",
            "description": "Jobs by state; null where the number is not known.",
            "properties": serde_json::Map::from_iter(states),
            "required": JobState::ALL[..COMMON].iter().map(|state| state.as_str()).collect::<Vec<_>>(),
            "additionalProperties": false,
        })
    }
}

impl Serialize for Counts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let told = if self.0[COMMON].is_some() { COMMON + 1 } else { COMMON };
        let mut map = serializer.serialize_map(Some(told))?;
        for state in &JobState::ALL[..told] {
            map.serialize_entry(state.as_str(), &self.get(*state))?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Counts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ByName;
        impl<'de> Visitor<'de> for ByName {
            type Value = Counts;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of state name to number or null")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Counts, A::Error> {
                let mut counts = Counts::UNKNOWN;
                while let Some((state, count)) = map.next_entry::<JobState, Option<u64>>()? {
                    counts.set(state, count);
                }
                Ok(counts)
            }
        }
        deserializer.deserialize_map(ByName)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_that_a_system_does_not_have_is_not_told_and_makes_nothing_unknown() {
        let mut pgboss = Counts::zero();
        pgboss.set(JobState::Cancelled, Some(2));
        let mut totals = Totals::default();
        totals.add(&Counts::zero());
        assert_eq!(totals.get(JobState::Cancelled), None);
        totals.add(&pgboss);
        assert_eq!(
            totals.get(JobState::Cancelled).map(|n| n.to_string()).as_deref(),
            Some("2")
        );
        assert!(pgboss.is_known() && !pgboss.is_empty() && Counts::zero().is_known());
        assert_eq!(pgboss.unfinished(), Some(0), "nobody has to see to a cancelled job");
        let text = serde_json::to_string(&[Counts::zero(), pgboss]).unwrap();
        assert_eq!(text.matches("cancelled").count(), 1, "{text}");
        assert_eq!(serde_json::from_str::<Vec<Counts>>(&text).unwrap()[1], pgboss);
    }

    #[test]
    fn unknown_stays_unknown_through_json_and_sums() {
        let mut counts = Counts::zero();
        counts.set(JobState::Failed, None);
        counts.set(JobState::Waiting, Some(3));
        let text = serde_json::to_string(&counts).unwrap();
        assert!(text.contains(r#""failed":null"#), "{text}");
        assert_eq!(serde_json::from_str::<Counts>(&text).unwrap(), counts);
        assert_eq!(counts.backlog(), Some(3));
        assert!(!counts.is_known());
        assert!(!counts.is_empty());
    }

    #[test]
    fn a_total_of_which_a_part_is_not_known_says_at_least() {
        let text = |totals: &Totals, state| totals.get(state).unwrap().to_string();
        let mut counts = Counts::zero();
        counts.set(JobState::Waiting, Some(1_284));
        let mut totals = Totals::default();
        totals.add(&counts);
        assert_eq!(text(&totals, JobState::Waiting), "1,284");
        assert_eq!(text(&totals, JobState::Failed), "0");
        totals.miss();
        assert_eq!(text(&totals, JobState::Waiting), "≥1,284");
        assert_eq!(
            text(&totals, JobState::Failed),
            "—",
            "none that is known of, and more is not known"
        );
        assert!(!totals.get(JobState::Failed).unwrap().is_zero());
    }
}
