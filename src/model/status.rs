//! The contents of the status page: all that it can publish.
//!
//! These types are the whole list of what Drover may publish: they exist for it and reuse none of the board's own
//! types, so that a new field of the board never becomes public by itself. No queue, store, host, count, job or person
//! is in them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How well a component works, in the words that status pages share, with one for not knowing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Work gets through as promised.
    Operational,
    /// Part of it is late or fails.
    DegradedPerformance,
    /// Much of it does not get through.
    PartialOutage,
    /// None of it gets through.
    MajorOutage,
    /// An operator holds all of it.
    UnderMaintenance,
    /// There is no recent data. Never shown as operational.
    Unknown,
}

impl State {
    /// All states.
    pub const ALL: [Self; 6] = [
        Self::Operational,
        Self::DegradedPerformance,
        Self::PartialOutage,
        Self::MajorOutage,
        Self::UnderMaintenance,
        Self::Unknown,
    ];

    /// The word in JSON, and the class of an element.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Operational => "operational",
            Self::DegradedPerformance => "degraded_performance",
            Self::PartialOutage => "partial_outage",
            Self::MajorOutage => "major_outage",
            Self::UnderMaintenance => "under_maintenance",
            Self::Unknown => "unknown",
        }
    }

    /// The word beside its mark.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Operational => "Operational",
            Self::DegradedPerformance => "Degraded performance",
            Self::PartialOutage => "Partial outage",
            Self::MajorOutage => "Major outage",
            Self::UnderMaintenance => "Under maintenance",
            Self::Unknown => "No recent data",
        }
    }

    /// Its mark: distinguishable without colour.
    #[must_use]
    pub const fn mark(self) -> &'static str {
        match self {
            Self::Operational => "●",
            Self::DegradedPerformance => "▲",
            Self::PartialOutage => "◆",
            Self::MajorOutage => "■",
            Self::UnderMaintenance => "‖",
            Self::Unknown => "?",
        }
    }

    /// How bad it is. Not knowing is worse than every good or intended state, and better than known trouble.
    #[must_use]
    pub const fn weight(self) -> u8 {
        match self {
            Self::Operational => 0,
            Self::UnderMaintenance => 1,
            Self::Unknown => 2,
            Self::DegradedPerformance => 3,
            Self::PartialOutage => 4,
            Self::MajorOutage => 5,
        }
    }
}

/// How the amount of waiting work changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Trend {
    /// Less waits than a few minutes ago.
    Clearing,
    /// About as much.
    Steady,
    /// More waits.
    Growing,
}

impl Trend {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Clearing => "clearing",
            Self::Steady => "steady",
            Self::Growing => "growing",
        }
    }
}

/// An approximate span of time, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// The lower bound.
    pub from_s: u64,
    /// The upper bound.
    pub to_s: u64,
}

/// One day of a component.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PublicDay {
    /// The day, UTC, such as `2026-11-21`.
    pub date: String,
    /// The share of its known minutes in which the oldest wait was within the promise, in percent, rounded down.
    pub within_promise: f64,
}

/// The days of a component.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PublicHistory {
    /// Whether Drover keeps it for 90 days. If not, it begins where Drover was last started.
    pub kept: bool,
    /// The share over all known days; null before there is any.
    pub within_promise: Option<f64>,
    /// The known days, oldest first, at most 90.
    pub days: Vec<PublicDay>,
}

/// One component.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PublicComponent {
    /// Its id from the configuration: part of addresses.
    pub id: String,
    /// Its name for readers.
    pub name: String,
    /// What it is, in a sentence, if the configuration says so.
    pub description: Option<String>,
    /// The heading above it, if any.
    pub group: Option<String>,
    /// How well it works.
    pub state: State,
    /// Since when, in ISO 8601.
    pub since: String,
    /// What that means for new work.
    pub sentence: String,
    /// How long work may wait, in seconds.
    pub promise_s: u64,
    /// Within about how many seconds new work starts, rounded up; null where that cannot be said.
    pub starts_within_s: Option<u64>,
    /// How the amount of waiting work changes; null where that cannot be said.
    pub trend: Option<Trend>,
    /// In about how long it is back to normal, while the trend is clearing.
    pub back_to_normal: Option<Range>,
    /// Day by day.
    pub history: PublicHistory,
}

/// The page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PublicStatus {
    /// The page's name.
    pub name: String,
    /// The state of the whole: that of the worst component.
    pub state: State,
    /// The same as a sentence.
    pub headline: String,
    /// Since when.
    pub since: String,
    /// The time of the data, in ISO 8601; null before there was any.
    pub updated_at: Option<String>,
    /// How old the data was when this was made, in seconds.
    pub age_s: Option<u64>,
    /// The published components, in the order of the configuration.
    pub components: Vec<PublicComponent>,
}

impl PublicStatus {
    /// The same page when no data has arrived since: it claims nothing but the past.
    #[must_use]
    pub fn without_news(&self) -> Self {
        let mut stale = self.clone();
        stale.state = State::Unknown;
        State::Unknown.word().clone_into(&mut stale.headline);
        if let Some(at) = &self.updated_at {
            stale.since.clone_from(at);
        }
        stale.age_s = None;
        for component in &mut stale.components {
            if component.state != State::Unknown {
                component.since.clone_from(&stale.since);
            }
            component.state = State::Unknown;
            component.sentence = NO_DATA.into();
            component.starts_within_s = None;
            component.trend = None;
            component.back_to_normal = None;
        }
        stale
    }
}

/// The sentence for a component without recent data.
pub const NO_DATA: &str = "No recent data.";
