//! What workers hold and have not acknowledged: the hash `unacked` and its index by time, one for all queues of an
//! application.
//!
//! Such a message is one that a worker took in advance, one that waits in a worker's memory for its ETA, one that a rate limit
//! holds back, or one that runs and is acknowledged late. A task that runs and was acknowledged before it began, which is
//! the default, is not here and in no other key.
//!
//! A message never changes, so it is read once, when its tag appears, and what a list shows of it is kept. Both the number of
//! messages and the size of each that is read are bounded; of more it is said that they are not known.

use super::super::redis::link::Link;
use super::super::redis::reply;
use super::super::{QueueId, Trouble};
use super::book::{Book, key};
use super::list::row;
use super::message::Message;
use crate::model::Millis;
use crate::model::exact::bytes_of;
use crate::model::format;
use crate::model::job::JobRow;
use crate::model::state::JobState;
use redis::Value;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

/// Messages that are followed in each application.
pub(super) const MOST: u64 = 2_000;

/// The largest message that is read for the lists, and for its own page.
const MESSAGE_MAX: u64 = 256 * 1024;
const PAGE_MAX: u64 = 8 * 1024 * 1024;

/// The longest id, exchange or routing key that is kept.
const NAME_MAX: usize = 1_000;

/// Messages read in one round trip.
const BATCH: usize = 50;

/// How long what was read serves everybody.
const KEEP: Duration = Duration::from_millis(500);

/// A message that a worker holds.
#[derive(Clone, Debug)]
pub(super) struct Held {
    /// The name of its delivery.
    pub(super) tag: String,
    /// When a worker took it.
    pub(super) since: Millis,
    /// The exchange and the routing key; `None` for a message that is too large, or that cannot be read.
    route: Option<(String, String)>,
    /// The queue; `None` if no route leads to one.
    pub(super) queue: Option<QueueId>,
    /// Not before this moment.
    pub(super) eta: Option<Millis>,
    /// Its line in a list of active tasks.
    pub(super) row: JobRow,
}

impl Held {
    /// Whether it is of the task with this id, or the delivery that an id of the form `tag:…` names.
    pub(super) fn is(&self, id: &str) -> bool {
        self.row.id == id || id.strip_prefix("tag:") == Some(&self.tag)
    }

    /// Whether it waits for its ETA in a worker's memory.
    pub(super) fn is_delayed(&self, now: Millis) -> bool {
        self.eta.is_some_and(|eta| eta > now)
    }
}

/// All that is held in one application.
#[derive(Clone, Debug, Default)]
pub(super) struct All {
    /// What is known, those that were taken first in front.
    pub(super) messages: Vec<Arc<Held>>,
    /// How many there are.
    pub(super) total: u64,
    /// Why they cannot be read.
    pub(super) refused: Option<String>,
}

impl All {
    /// Why it is not known how many there are of each queue; `None` where it is. Some may have been acknowledged since they
    /// were counted.
    pub(super) fn unknown(&self) -> Option<String> {
        let astray = self.messages.iter().filter(|held| held.queue.is_none()).count() as u64;
        if let Some(why) = &self.refused {
            Some(format!("What workers hold cannot be read: {why}."))
        } else if self.total > MOST {
            let most = format::count(MOST);
            Some(format!(
                "Workers hold more than {most} messages of all queues together: how many of each is not known."
            ))
        } else if astray > 0 {
            let astray = format::counted(astray, "message", "messages");
            Some(format!(
                "Workers hold {astray} whose queue is not known: too large to be read, or without a route."
            ))
        } else {
            None
        }
    }

    /// Those of a queue.
    pub(super) fn of<'a>(&'a self, queue: &'a str) -> impl Iterator<Item = &'a Arc<Held>> {
        let own = move |held: &&Arc<Held>| held.queue.as_deref() == Some(queue);
        self.messages.iter().filter(own)
    }
}

/// What was read, and when.
type Read = (Instant, Arc<All>);

/// What was read last in each application.
#[derive(Debug, Default)]
pub(super) struct Hands {
    last: std::sync::Mutex<HashMap<Arc<str>, Read>>,
    /// One reads at a time; the others take what it has read.
    reading: tokio::sync::Mutex<()>,
}

impl Hands {
    fn last(&self, prefix: &str) -> Option<Read> {
        self.last
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(prefix)
            .cloned()
    }

    /// Has it read again: something was done to it.
    pub(super) fn doubt(&self, prefix: &str) {
        let mut kept = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, _)) = kept.get_mut(prefix) {
            *at = at.checked_sub(KEEP).unwrap_or(*at);
        }
    }

    /// All that is held in an application.
    pub(super) async fn read(&self, link: &Link, book: &Book, prefix: &Arc<str>) -> Result<Arc<All>, Trouble> {
        let _turn = self.reading.lock().await;
        let last = self.last(prefix);
        if let Some((at, all)) = &last
            && at.elapsed() < KEEP
        {
            return Ok(all.clone());
        }
        let before = last.map(|(_, all)| all).unwrap_or_default();
        let all = Arc::new(refreshed(link, book, prefix, &before).await?);
        let mut kept = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        kept.insert(prefix.clone(), (Instant::now(), all.clone()));
        Ok(all)
    }
}

async fn refreshed(link: &Link, book: &Book, prefix: &str, before: &All) -> Result<All, Trouble> {
    let (hash, index) = (key(prefix, "unacked"), key(prefix, "unacked_index"));
    let mut pipe = redis::pipe();
    pipe.cmd("HLEN").arg(&hash);
    pipe.cmd("ZRANGE").arg(&index).arg(0).arg(MOST - 1).arg("WITHSCORES");
    let replies = link.run(&mut pipe).await?;
    let total = match reply::count(&replies[0]) {
        Ok(total) => total,
        Err(why) => {
            return Ok(All {
                refused: Some(why),
                ..All::default()
            });
        }
    };
    let known: HashMap<&str, &Arc<Held>> = before.messages.iter().map(|held| (held.tag.as_str(), held)).collect();
    let entries = replies[1].as_ref().map_or(&[][..], reply::items).chunks_exact(2);
    #[expect(clippy::cast_possible_truncation, reason = "a score is seconds since 1970")]
    let entries =
        entries.filter_map(|pair| Some((reply::exact(&pair[0])?, (reply::float(&pair[1])? * 1000.0) as Millis)));
    let mut messages = vec![];
    let mut new = vec![];
    for (tag, since) in entries {
        match known.get(tag.as_str()).filter(|held| held.since == since) {
            // Its route may have been found since.
            Some(held) if held.queue.is_none() => messages.push(Arc::new(Held {
                queue: routed(book, prefix, held.route.as_ref()),
                ..Held::clone(held)
            })),
            Some(held) => messages.push(Arc::clone(held)),
            None => new.push((tag, since)),
        }
    }
    for batch in new.chunks(BATCH) {
        messages.extend(read(link, book, prefix, batch).await?.into_iter().map(Arc::new));
    }
    messages.sort_by(|a, b| (a.since, &a.tag).cmp(&(b.since, &b.tag)));
    Ok(All {
        messages,
        total,
        refused: None,
    })
}

/// Reads messages that are not known yet. One that was acknowledged meanwhile is left out.
async fn read(link: &Link, book: &Book, prefix: &str, tags: &[(String, Millis)]) -> Result<Vec<Held>, Trouble> {
    let hash = key(prefix, "unacked");
    let mut pipe = redis::pipe();
    for (tag, _) in tags {
        pipe.cmd("HSTRLEN").arg(&hash).arg(&*bytes_of(tag));
    }
    let sizes: Vec<u64> = link
        .run(&mut pipe)
        .await?
        .iter()
        .map(|size| reply::count(size).unwrap_or(0))
        .collect();
    let mut pipe = redis::pipe();
    pipe.cmd("HMGET").arg(&hash);
    for ((tag, _), size) in tags.iter().zip(&sizes) {
        // One that is too large is asked for by a tag that there is not, which keeps the places.
        let asked = if *size <= MESSAGE_MAX { tag.as_str() } else { "" };
        pipe.arg(&*bytes_of(asked));
    }
    let answer = link.read_long(&mut pipe).await?.into_iter().next();
    let values = match &answer {
        Some(Ok(values)) => reply::items(values),
        _ => &[],
    };
    let held = tags.iter().zip(sizes).zip(values).filter(|((_, size), _)| *size > 0);
    let held = held.map(|(((tag, since), stored), value)| {
        let whole = match value {
            Value::BulkString(bytes) => Message::unacknowledged(bytes),
            _ => None,
        };
        let (message, route) = match whole {
            Some((message, exchange, key)) => (Some(message), Some((exchange, key))),
            None => (None, None),
        };
        let short = |text: &str| text.len() <= NAME_MAX;
        let route = route.filter(|(exchange, key)| short(exchange) && short(key));
        let id = message.as_ref().map_or("", Message::id);
        let id = if id.is_empty() || !short(id) {
            format!("tag:{tag}")
        } else {
            id.to_owned()
        };
        let mut row = row(id, message.as_ref(), JobState::Active, stored);
        if message.is_none() {
            row.problem = Some("this message is too large to be read, or it is not one of Celery".into());
        }
        Held {
            tag: tag.clone(),
            since: *since,
            queue: routed(book, prefix, route.as_ref()),
            route,
            eta: message.as_ref().and_then(Message::eta),
            row,
        }
    });
    Ok(held.collect())
}

fn routed(book: &Book, prefix: &str, route: Option<&(String, String)>) -> Option<QueueId> {
    let (exchange, key) = route?;
    book.routed(prefix, exchange, key)
}

/// The whole message of a delivery, for its own page; `None` if it is gone, too large, or cannot be read.
pub(super) async fn message(link: &Link, prefix: &str, tag: &str) -> Result<Option<Message>, Trouble> {
    let raw = raw(link, prefix, tag).await?;
    Ok(raw
        .and_then(|bytes| Message::unacknowledged(&bytes))
        .map(|(message, ..)| message))
}

/// What is stored of a delivery; `None` if it is gone or too large.
pub(super) async fn raw(link: &Link, prefix: &str, tag: &str) -> Result<Option<Vec<u8>>, Trouble> {
    let (hash, tag) = (key(prefix, "unacked"), bytes_of(tag));
    let mut pipe = redis::pipe();
    pipe.cmd("HSTRLEN").arg(&hash).arg(&*tag);
    let replies = link.run(&mut pipe).await?;
    let size = replies.first().and_then(|size| reply::count(size).ok());
    if size.is_none_or(|size| size > PAGE_MAX) {
        return Ok(None);
    }
    let mut pipe = redis::pipe();
    pipe.cmd("HMGET").arg(&hash).arg(&*tag);
    let answer = link.read_long(&mut pipe).await?.into_iter().next();
    Ok(match answer {
        Some(Ok(Value::Array(values))) => values.into_iter().find_map(|value| match value {
            Value::BulkString(bytes) => Some(bytes),
            _ => None,
        }),
        _ => None,
    })
}
