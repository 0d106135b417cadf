//! Connected workers, by the queue they serve.
//!
//! The queue libraries keep no register of workers. Drover learns of them from the store's list of connections: a
//! worker gives its blocking connection the name of its queue. So a worker here is one such connection, one for each
//! worker object of a process, whatever its concurrency. Workers whose connections have no such name are known by their
//! effects ([`Staffing::Unseen`]).

use super::queue::QueueRef;
use super::store::Reach;
use super::verdict::Level;
use super::{Millis, format};
use serde::{Deserialize, Serialize};

/// What a worker's blocking command shows about its library.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Generation {
    /// It takes jobs off the waiting list with `BRPOPLPUSH` or `BLMOVE`: Bull, or BullMQ up to 4.
    List,
    /// It waits for a marker with `BZPOPMIN`: BullMQ from 5 on.
    Marker,
}

impl Generation {
    /// The label of the generation.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::List => "Bull or BullMQ 3, 4",
            Self::Marker => "BullMQ 5 or 6",
        }
    }
}

/// One connected worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct Worker {
    /// The number of its connection, which the store never reuses.
    pub id: u64,
    /// The name its application gave it.
    pub name: Option<String>,
    /// Host and port it connects from, as the store sees them: behind a proxy, the proxy's.
    pub address: String,
    /// When it connected, to the second.
    pub since: Millis,
    /// Seconds since its last command. A worker that is busy in every slot sends no command for work.
    pub idle_s: u64,
    /// What its blocking command shows; `None` until it has asked for work.
    pub generation: Option<Generation>,
    /// What its Redis client calls itself, where the store keeps that (Redis 7.2 and later).
    pub client: Option<String>,
}

/// Whether a queue has workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Staffing {
    /// Work waits, and no worker is connected.
    Deserted,
    /// Jobs are active, and no worker is connected any more.
    Lost,
    /// Work waits, no worker is connected, and the queue is paused anyway.
    Held,
    /// The store does not say who is connected.
    Unknown,
    /// Jobs are being processed, and no connection carries the queue's name.
    Unseen,
    /// Workers are connected.
    Served,
    /// No worker is connected, and no work waits.
    Empty,
}

/// The sentence for workers that process jobs and cannot be listed.
pub const UNSEEN: &str = "Workers not visible, but jobs are being processed.";

/// One queue and its workers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct Crew {
    /// The queue.
    pub queue: QueueRef,
    /// Its label: its name, or its id where the name is not unique.
    pub name: String,
    /// False for a queue that workers name and the board does not show.
    pub on_board: bool,
    /// Whether the workers that it needs are connected.
    pub standing: Staffing,
    /// How bad that is: a few seconds without a worker are a restart.
    pub level: Level,
    /// Whether it hands out no work; `None` if not known.
    pub paused: Option<bool>,
    /// Jobs ready to be taken: waiting and prioritized.
    pub waiting: Option<u64>,
    /// Jobs being processed, by all its workers together.
    pub active: Option<u64>,
    /// Since when no worker has been seen; `None` while there is one, or if not known.
    pub deserted_since: Option<Millis>,
    /// Whether no worker was connected at the first look: the queue may have been without one for longer.
    pub deserted_longer: bool,
    /// How many workers are connected; `None` if the store does not say, or Drover cannot see them.
    pub count: Option<u32>,
    /// How many connections listen to its events without working.
    pub listeners: u32,
    /// The names of its workers with how many carry each, most frequent first; `None` is "no name".
    pub names: Vec<(Option<String>, u32)>,
    /// The hosts they connect from.
    pub hosts: u32,
    /// The workers themselves, longest connected first; fewer than `count` where there are many.
    pub workers: Vec<Worker>,
}

impl Crew {
    /// What is wrong, in one line; empty when nothing is.
    #[must_use]
    pub fn sentence(&self, now: Millis) -> String {
        let since = || match self.deserted_since {
            Some(since) if self.deserted_longer => format!(" for {} or longer", format::span(now - since)),
            Some(since) => format!(" for {}", format::span(now - since)),
            None => String::new(),
        };
        let waiting = || format::count_or_unknown(self.waiting);
        match self.standing {
            Staffing::Deserted => format!("{} waiting, no worker{}.", waiting(), since()),
            Staffing::Lost => format!(
                "{} active, no worker{}.",
                format::count_or_unknown(self.active),
                since()
            ),
            Staffing::Held => format!(
                "Paused with {} waiting; no worker{}. None is needed until you resume it.",
                waiting(),
                since()
            ),
            Staffing::Unknown => "Its workers are not known; the reason is above.".into(),
            Staffing::Unseen => UNSEEN.into(),
            Staffing::Empty => format!("No worker{}; nothing is waiting.", since()),
            Staffing::Served if self.paused == Some(true) => format!("Paused with {} waiting.", waiting()),
            Staffing::Served => String::new(),
        }
    }
}

/// What a store reports about its connections.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct Roster {
    /// The store.
    pub store: String,
    /// Whether it answers.
    pub reach: Reach,
    /// Since when `reach` has been what it is.
    #[serde(default)]
    pub since: Option<Millis>,
    /// Why the store does not answer, in a sentence.
    #[serde(default)]
    pub cause: Option<String>,
    /// When its connections were listed; `None` if they never were.
    pub as_of: Option<Millis>,
    /// Why the store does not list them, and how to change that.
    pub refused: Option<String>,
    /// Whether that is true of some of its queues only.
    #[serde(default)]
    pub partly: bool,
}

/// How many workers carry a name, over all queues shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct NameCount {
    /// The name; `None` for workers without one.
    pub name: Option<String>,
    /// Connections.
    pub workers: u32,
    /// Queues they serve.
    pub queues: u32,
}

/// Which workers serve which queues.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct WorkersPage {
    /// Each store, in the order of the configuration.
    pub stores: Vec<Roster>,
    /// The filter.
    pub filter: FleetFilter,
    /// The queues, those with work and no worker first.
    pub queues: Vec<Crew>,
    /// How many queues there are without the filter.
    pub queues_in_all: u32,
    /// The most frequent names.
    pub names: Vec<NameCount>,
    /// Workers of all queues shown.
    pub workers: u32,
    /// Whether each worker has a line of its own: not where the page shows hundreds.
    pub detailed: bool,
}

/// Which part of the fleet, as the address gives it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct FleetFilter {
    /// Only entries with this text in a name, an id or an address, whatever its case; empty for all.
    pub q: String,
    /// Only this queue.
    pub queue: Option<QueueRef>,
}

impl FleetFilter {
    /// Whether it lets everything through.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.q.is_empty() && self.queue.is_none()
    }

    /// The query of an address, without the question mark; empty for everything.
    #[must_use]
    pub fn query(&self) -> String {
        let mut parts = Vec::new();
        if let Some(queue) = &self.queue {
            parts.push(format!("queue={}", super::address::encode_segment(&queue.to_string())));
        }
        if !self.q.is_empty() {
            parts.push(format!("q={}", super::address::encode_segment(&self.q)));
        }
        parts.join("&")
    }

    /// Whether one of these texts contains the text of the filter.
    pub fn finds<'a>(&self, texts: impl IntoIterator<Item = &'a str>) -> bool {
        if self.q.is_empty() {
            return true;
        }
        let wanted = self.q.to_lowercase();
        texts.into_iter().any(|text| text.to_lowercase().contains(&wanted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crew(standing: Staffing) -> Crew {
        Crew {
            queue: QueueRef {
                store: "redis".into(),
                queue: "bull:mail".into(),
            },
            name: "mail".into(),
            on_board: true,
            standing,
            level: Level::Bad,
            paused: Some(false),
            waiting: Some(812),
            active: Some(3),
            deserted_since: Some(0),
            deserted_longer: false,
            count: Some(0),
            listeners: 0,
            names: vec![],
            hosts: 0,
            workers: vec![],
        }
    }

    #[test]
    fn a_queue_without_workers_says_so_in_one_line() {
        let mut crew = crew(Staffing::Deserted);
        assert_eq!(crew.sentence(180_000), "812 waiting, no worker for 3 m.");
        crew.deserted_longer = true;
        assert_eq!(crew.sentence(180_000), "812 waiting, no worker for 3 m or longer.");
        crew.standing = Staffing::Lost;
        assert_eq!(crew.sentence(180_000), "3 active, no worker for 3 m or longer.");
        crew.standing = Staffing::Unseen;
        assert_eq!(
            crew.sentence(180_000),
            "Workers not visible, but jobs are being processed."
        );
        crew.standing = Staffing::Held;
        assert!(crew.sentence(180_000).starts_with("Paused with 812 waiting"));
    }

    #[test]
    fn a_filter_is_an_address_and_back() {
        let filter = FleetFilter {
            q: "a&b é".into(),
            queue: Some(QueueRef {
                store: "redis".into(),
                queue: "bull:x/y".into(),
            }),
        };
        assert_eq!(filter.query(), "queue=redis%2Fbull:x%2Fy&q=a%26b%20%C3%A9");
        assert!(filter.finds(["nothing", "XA&B É!"]));
        assert!(!filter.finds(["nothing"]));
        assert_eq!(FleetFilter::default().query(), "");
    }
}
