//! What the status page says, and all that it can say.
//!
//! These types are the whole list of what may be published: they are made for it and borrow nothing from the board's own,
//! so that a field that is added there never becomes public by itself. No queue, store, host, count, job or person has a
//! place here.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a component does, in the words that status pages share, and one for not knowing.
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
    /// All of it is held by an operator.
    UnderMaintenance,
    /// There is no recent data. Never shown as well.
    Unknown,
}

impl State {
    /// All there are.
    pub const ALL: [Self; 6] = [
        Self::Operational,
        Self::DegradedPerformance,
        Self::PartialOutage,
        Self::MajorOutage,
        Self::UnderMaintenance,
        Self::Unknown,
    ];

    /// As in JSON, and as the class of an element.
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

    /// The words beside its mark.
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

    /// Its mark: told apart without colour.
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

    /// How bad it is. Not knowing is worse than everything that is well or meant, and better than trouble that is known.
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

/// Where the work that waits is going.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Trend {
    /// Less waits than a few minutes ago.
    Clearing,
    /// About as much.
    Steady,
    /// More.
    Growing,
}

impl Trend {
    /// The word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Clearing => "clearing",
            Self::Steady => "steady",
            Self::Growing => "growing",
        }
    }
}

/// A span of time of which only about how long it is can be said, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// At least about.
    pub from_s: u64,
    /// At most about.
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
    /// Whether it is kept for 90 days. If not, it begins where Drover was last started.
    pub kept: bool,
    /// Over all days that are known; null before anything is.
    pub within_promise: Option<f64>,
    /// The days of which something is known, oldest first, at most 90.
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
    /// What it is, in a sentence, where there is one.
    pub description: Option<String>,
    /// The heading it stands under, if any.
    pub group: Option<String>,
    /// How it does.
    pub state: State,
    /// Since when, in ISO 8601.
    pub since: String,
    /// What that means for new work.
    pub sentence: String,
    /// How long work may wait, in seconds.
    pub promise_s: u64,
    /// Within about how many seconds new work starts, rounded up; null where that cannot be said.
    pub starts_within_s: Option<u64>,
    /// Where the work that waits is going; null where that cannot be said.
    pub trend: Option<Trend>,
    /// In about how long it is back to normal, while it is clearing.
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
    /// The state of the whole: that of the component that does worst.
    pub state: State,
    /// The same as a sentence.
    pub headline: String,
    /// Since when.
    pub since: String,
    /// From when the data is, in ISO 8601; null before there was any.
    pub updated_at: Option<String>,
    /// How old the data was when this was made, in seconds.
    pub age_s: Option<u64>,
    /// What is published, in the order of the configuration.
    pub components: Vec<PublicComponent>,
}

impl PublicStatus {
    /// The same when nothing has been heard since: nothing is claimed but the past.
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

/// All that is said of what is not known.
pub const NO_DATA: &str = "No recent data.";
