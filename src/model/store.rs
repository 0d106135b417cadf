//! One Redis that Drover watches.

use super::Millis;
use super::condition::{Actions, Condition};
use super::verdict::Verdict;
use serde::{Deserialize, Serialize};

/// Whether a store answers, and if not, why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// No answer yet since Drover started.
    Connecting,
    /// It answers.
    Live,
    /// Nothing listens, or the connection was cut.
    Gone,
    /// Its name has no address.
    NoSuchHost,
    /// The encrypted connection cannot be made.
    TlsFailed,
    /// It accepts the connection and sends nothing: the store or the path to it is frozen.
    Frozen,
    /// It is reading its data set from disk.
    Loading,
    /// A replica that has lost its primary and does not serve its data.
    FailingOver,
    /// It refuses our user name or password.
    WrongPassword,
    /// It accepts our user, and forbids a command that Drover needs to read.
    NotAllowed,
    /// A script has kept it busy for seconds.
    Busy,
    /// It has no room for another connection.
    Full,
    /// It answers, but not like a Redis that Drover can use.
    Refused,
    /// The task that watches the store has failed: Drover does not know whether it answers.
    Unwatched,
}

impl Reach {
    /// The words shown for the store's state.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Live => "live",
            Self::Gone => "unreachable",
            Self::NoSuchHost => "unresolvable",
            Self::TlsFailed => "failing TLS",
            Self::Frozen => "unresponsive",
            Self::Loading => "loading its data",
            Self::FailingOver => "failing over",
            Self::WrongPassword => "rejecting Drover's password",
            Self::NotAllowed => "denying access",
            Self::Busy => "busy with a script",
            Self::Full => "out of connections",
            Self::Refused => "unusable",
            Self::Unwatched => "unwatched",
        }
    }

    /// What Drover does about it, and whether an operator has to do anything to Drover.
    #[must_use]
    pub const fn patience(self) -> &'static str {
        match self {
            Self::WrongPassword => "Drover keeps trying.",
            Self::Unwatched => {
                "Drover restarts watching it automatically. If this happens again, please report it with Drover's log."
            }
            _ => "Drover keeps trying; you don't need to restart or reload anything.",
        }
    }

    /// What works and what does not in this state; empty while it answers.
    #[must_use]
    pub const fn effect(self) -> &'static str {
        match self {
            Self::Live => "",
            Self::Connecting => "Nothing has been read yet.",
            Self::Gone | Self::NoSuchHost | Self::TlsFailed | Self::Refused => {
                "Nothing can be read and no action will work."
            }
            Self::Frozen => "Nothing can be read. Actions cannot be confirmed until the store answers again.",
            Self::Unwatched => "The page shows what Drover last read; whether the store answers is not known.",
            Self::Loading => "Nothing can be read and no action will work until all data is loaded.",
            Self::FailingOver => "Nothing can be read and no action will work until it has a primary again.",
            Self::WrongPassword | Self::NotAllowed | Self::Full => {
                "Nothing can be read and no action will work; applications that are still connected keep working."
            }
            Self::Busy => {
                "Nothing can be read and actions would wait, as applications do. Drover does not stop the script."
            }
        }
    }
}

/// Memory as the store itself reports it, in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct Memory {
    /// In use by data and buffers.
    pub used: u64,
    /// The limit, if one is set.
    pub max: Option<u64>,
    /// What happens at the limit: queues need `noeviction`.
    pub policy: String,
}

/// What a store says about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct Vitals {
    /// Product and version, such as `Redis 7.0.15`.
    pub version: String,
    /// Memory in use and its limit; `null` for a Postgres, whose size is on disk.
    pub memory: Option<Memory>,
    /// Bytes of its database on disk; only of a Postgres.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<u64>,
    /// `master` or `replica`; of a Postgres `primary` or `standby`.
    pub role: String,
    /// Connected replicas; this and the following fields are `null` where the server does not report them.
    pub replicas: Option<u32>,
    /// Client connections.
    pub clients: Option<u32>,
    /// Commands per second over the last moments; of a Postgres transactions.
    pub ops_per_second: Option<u64>,
    /// Seconds since it started.
    pub uptime_s: Option<u64>,
    /// Keys evicted since it started. Above zero, jobs may have disappeared.
    pub evicted_keys: Option<u64>,
    /// How it survives a crash, in a few words.
    pub persistence: String,
}

/// One store, as the board knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct StoreSummary {
    /// Its id from the configuration.
    pub id: String,
    /// `redis` or `postgres`.
    pub kind: String,
    /// Host and port, never a password.
    pub address: String,
    /// Whether it answers.
    pub reach: Reach,
    /// Why not, in a sentence; `None` while it does.
    pub cause: Option<String>,
    /// Since when `reach` has been what it is.
    pub since: Millis,
    /// When Drover last read anything from it; `None` if it never did.
    pub as_of: Option<Millis>,
    /// What it last said about itself.
    pub vitals: Option<Vitals>,
    /// How many queues are in it; `null` until it has been searched.
    pub queues: Option<u32>,
    /// Whether a search for queues has been completed since the store was last found empty or restarted.
    pub searched: bool,
    /// The verdict on it.
    pub verdict: Verdict,
    /// What is wrong although it answers, the worst first; empty while it does not answer.
    #[serde(default)]
    pub conditions: Vec<Condition>,
    /// Whether Drover allows actions on its jobs.
    #[serde(default)]
    pub actions: Actions,
    /// How far its clock is ahead of Drover's, in milliseconds, negative when it is behind; `None` where the store does
    /// not report it. Drover adds this before it compares times from the store or its jobs.
    #[serde(default)]
    pub clock_ahead: Option<Millis>,
}

impl StoreSummary {
    /// The time on the store's own clock when Drover's clock says `now`.
    #[must_use]
    pub fn its_clock(&self, now: Millis) -> Millis {
        now.saturating_add(self.clock_ahead.unwrap_or(0))
    }
}

/// None of the stores of a page answers: what the page shows is as old as the last read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// When the shown data were read, of several stores the earliest; `None` if nothing was ever read.
    pub as_of: Option<Millis>,
}

impl Silence {
    /// The silence of these stores; `None` while one of them answers, or if there are none.
    #[must_use]
    pub fn of<'a>(stores: impl IntoIterator<Item = &'a StoreSummary>) -> Option<Self> {
        let mut silence = None;
        for store in stores {
            if store.reach == Reach::Live {
                return None;
            }
            let before = silence.and_then(|silence: Self| silence.as_of);
            let as_of = [before, store.as_of].into_iter().flatten().min();
            silence = Some(Self { as_of });
        }
        silence
    }
}

#[cfg(test)]
impl StoreSummary {
    /// A store that has just begun to answer, for tests.
    pub(crate) fn example(id: &str) -> Self {
        Self {
            id: id.into(),
            kind: "redis".into(),
            address: "127.0.0.1:1".into(),
            reach: Reach::Live,
            cause: None,
            since: 0,
            as_of: None,
            vitals: None,
            queues: None,
            searched: true,
            verdict: Verdict::not_read(0),
            conditions: vec![],
            actions: Actions::default(),
            clock_ahead: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_as_old_as_the_oldest_of_its_stores_when_none_answers() {
        let store = |reach, as_of| StoreSummary {
            reach,
            as_of,
            ..StoreSummary::example("s")
        };
        assert_eq!(Silence::of(&[]), None);
        let (gone, never) = (store(Reach::Gone, Some(7)), store(Reach::Connecting, None));
        assert_eq!(Silence::of([&never]), Some(Silence { as_of: None }));
        assert_eq!(Silence::of([&gone, &never]), Some(Silence { as_of: Some(7) }));
        let frozen = store(Reach::Frozen, Some(5));
        assert_eq!(Silence::of([&gone, &frozen]), Some(Silence { as_of: Some(5) }));
        assert_eq!(Silence::of([&gone, &store(Reach::Live, Some(9))]), None);
    }
}
