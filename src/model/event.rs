//! The vocabulary of the event stream.
//!
//! A client names topics; for each it gets a `snapshot` (or picks up where its page left off) and
//! then `delta`s. A delta carries state, not instructions: a client that missed any number of them
//! is right again after the next snapshot.

use super::Millis;
use super::address::encode_segment;
use super::job::Progress;
use super::position::Position;
use super::queue::{QueuePatch, QueueRef, QueueSummary};
use super::state::JobState;
use super::store::StoreSummary;
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// What a client can follow.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Topic {
    /// Every queue's line and every store.
    Overview,
    /// The queues that enter or leave trouble, and the stores that are lost or found.
    Trouble,
    /// One queue: its line, and what happens to its jobs.
    Queue(QueueRef),
    /// One job.
    Job(QueueRef, String),
    /// One store.
    Store(String),
    /// One operation over many jobs.
    Operation(String),
}

impl Topic {
    /// The store it is about; `None` if about all.
    #[must_use]
    pub fn store(&self) -> Option<&str> {
        match self {
            Self::Overview | Self::Trouble | Self::Operation(_) => None,
            Self::Store(store) => Some(store),
            Self::Queue(queue) | Self::Job(queue, _) => Some(&queue.store),
        }
    }
}

fn decode_segment(text: &str) -> Result<String, BadTopic> {
    percent_decode_str(text)
        .decode_utf8()
        .map(std::borrow::Cow::into_owned)
        .map_err(|_| BadTopic)
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let e = encode_segment;
        match self {
            Self::Overview => f.write_str("overview"),
            Self::Trouble => f.write_str("trouble"),
            Self::Queue(q) => write!(f, "queue:{}/{}", e(&q.store), e(&q.queue)),
            Self::Job(q, job) => write!(f, "job:{}/{}/{}", e(&q.store), e(&q.queue), e(job)),
            Self::Store(store) => write!(f, "store:{}", e(store)),
            Self::Operation(id) => write!(f, "operation:{}", e(id)),
        }
    }
}

/// Not a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadTopic;

impl fmt::Display for BadTopic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a topic; write overview, trouble, queue:{store}/{queue}, job:{store}/{queue}/{job}, store:{store} or operation:{id}, each part percent-encoded")
    }
}

impl std::error::Error for BadTopic {}

impl FromStr for Topic {
    type Err = BadTopic;

    fn from_str(text: &str) -> Result<Self, BadTopic> {
        match text {
            "overview" => return Ok(Self::Overview),
            "trouble" => return Ok(Self::Trouble),
            _ => {}
        }
        let (kind, rest) = text.split_once(':').ok_or(BadTopic)?;
        let parts = rest.split('/').map(decode_segment).collect::<Result<Vec<_>, _>>()?;
        if parts.iter().any(String::is_empty) {
            return Err(BadTopic);
        }
        match (kind, parts.as_slice()) {
            ("store", [store]) => Ok(Self::Store(store.clone())),
            ("operation", [id]) => Ok(Self::Operation(id.clone())),
            ("queue", [store, queue]) => Ok(Self::Queue(QueueRef {
                store: store.clone(),
                queue: queue.clone(),
            })),
            ("job", [store, queue, job]) => Ok(Self::Job(
                QueueRef {
                    store: store.clone(),
                    queue: queue.clone(),
                },
                job.clone(),
            )),
            _ => Err(BadTopic),
        }
    }
}

/// Something that happened to a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobChange {
    /// The job's id.
    pub id: String,
    /// Its name, where the event carries it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The state it is in now; `None` if the state did not change or it is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<JobState>,
    /// Whether it was removed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub removed: bool,
    /// The progress it reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// Its last error, first line, cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// When it happened, by the store's clock.
    pub at: Millis,
}

/// The payload of a `snapshot` or a `delta`, by topic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Frame {
    /// The topic, as the client named it. It is the first field, see [`Frame::head`].
    pub topic: String,
    /// In a snapshot, the position it is true for; a delta has its own as the event's id. It is the second field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    /// Queues in full: all of them in a snapshot of the overview, new ones in a delta.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub queues: Vec<QueueSummary>,
    /// Changed lines.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub patches: Vec<QueuePatch>,
    /// Queues that no longer exist.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<QueueRef>,
    /// Stores that changed; all of them in a snapshot of the overview.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stores: Vec<StoreSummary>,
    /// What happened to jobs, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jobs: Vec<JobChange>,
    /// How many more changes of jobs there were than `jobs` has room for.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more_jobs: u64,
    /// The operation as it is, for a client that follows one. The pages of the board do not.
    #[cfg(feature = "ssr")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Box<super::operation::Operation>>,
    /// The server's time when the frame was made.
    pub now: Millis,
}

const fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl Frame {
    /// An empty frame.
    #[must_use]
    pub fn new(topic: &Topic, now: Millis) -> Self {
        Self {
            topic: topic.to_string(),
            position: None,
            queues: vec![],
            patches: vec![],
            removed: vec![],
            stores: vec![],
            jobs: vec![],
            more_jobs: 0,
            #[cfg(feature = "ssr")]
            operation: None,
            now,
        }
    }

    /// Topic and position of a frame that is still text. A browser's tabs pass each other frames of hundreds of
    /// kilobytes, most of which concern only one of them: a tab sees from the beginning whether one concerns it.
    #[must_use]
    pub fn head(json: &str) -> Option<(&str, Option<Position>)> {
        // A topic is percent-encoded, so no quotation mark in it can be escaped.
        let (topic, rest) = json.strip_prefix(r#"{"topic":""#)?.split_once('"')?;
        let position = rest
            .strip_prefix(r#","position":""#)
            .and_then(|rest| rest.split_once('"'))
            .and_then(|(text, _)| text.parse().ok());
        Some((topic, position))
    }

    /// Whether the frame carries no news.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queues.is_empty()
            && self.patches.is_empty()
            && self.removed.is_empty()
            && self.stores.is_empty()
            && self.jobs.is_empty()
            && self.more_jobs == 0
    }
}

/// The payload of `refused`: the other topics of the stream are followed, this one is not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// The topic, as the client named it.
    pub topic: String,
    /// Why, in a sentence.
    pub detail: String,
}

/// How often a stream without news sends a sign of life, in milliseconds.
///
/// Well below the 60 seconds after which nginx, Traefik and others cut a silent connection. A page whose stream was
/// silent for much longer than this is stale.
pub const HEARTBEAT_MS: u32 = 5_000;

/// The shortest time between two paints of a page, in milliseconds. The stream sends the changes of that time together.
pub const PAINT_MS: u32 = 250;

/// The payload of `heartbeat`: everything that the stream has sent is still true. The first one comes when the stream
/// begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// The server's time.
    pub now: Millis,
}

/// The payload of `bye`: the server ends the stream on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bye {
    /// How long to wait before coming back, different for each client so that they do not all
    /// come at once.
    pub retry_ms: u32,
}

/// The pause before a client reopens a stream that only needs a new permission check: the link is not lost.
pub const RENEWAL_MS: u32 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_of_a_frame_is_read_without_reading_the_frame() {
        let queue = QueueRef {
            store: "s".into(),
            queue: "bull:\"quoted\"@1".into(),
        };
        let mut frame = Frame::new(&Topic::Queue(queue), 5);
        let text = serde_json::to_string(&frame).unwrap();
        assert_eq!(Frame::head(&text), Some((frame.topic.as_str(), None)), "{text}");
        let position = Position { epoch: 0xabc, seq: 12 };
        frame.position = Some(position);
        let text = serde_json::to_string(&frame).unwrap();
        assert_eq!(
            Frame::head(&text),
            Some((frame.topic.as_str(), Some(position))),
            "{text}"
        );
        assert_eq!(serde_json::from_str::<Frame>(&text).unwrap(), frame);
        assert!(
            !frame.topic.contains('@'),
            "a position after it could not be told: {}",
            frame.topic
        );
    }

    #[test]
    fn topics_survive_names_made_of_anything() {
        for name in [
            "mail",
            "bull:a b",
            "a/b,c",
            "..",
            "%2e",
            "<img src=x>",
            "é\n\0",
            "{tag}",
        ] {
            let queue = QueueRef {
                store: "s".into(),
                queue: name.into(),
            };
            for topic in [
                Topic::Queue(queue.clone()),
                Topic::Job(queue.clone(), name.into()),
                Topic::Store(name.into()),
                Topic::Operation(name.into()),
            ] {
                let text = topic.to_string();
                assert!(!text.contains(','), "{text} would break a list of topics");
                assert_eq!(text.parse(), Ok(topic));
            }
        }
        assert_eq!("overview".parse(), Ok(Topic::Overview));
        assert_eq!("trouble".parse(), Ok(Topic::Trouble));
        for bad in ["", "queue:", "queue:a", "job:a/b", "nope:a", "queue:a/", "queue:a/%ff"] {
            assert_eq!(bad.parse::<Topic>(), Err(BadTopic), "{bad}");
        }
    }
}
