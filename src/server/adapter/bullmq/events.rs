//! Follows the event streams of all queues of a store.
//!
//! An `XREAD` costs the server time for every stream it names, at every wake-up: naming 500 streams
//! at 770 events a second takes 28 % of its core. So streams are kept in two reads on two
//! connections of their own. The *cold* read names every quiet stream, blocks for seconds, and is
//! woken rarely. A stream that speaks becomes *hot*: the hot read names only such streams. A hot stream that has been quiet
//! for [`COOL_AFTER`] goes back. A blocked read cannot be told of another stream, so each reader takes streams over when it
//! begins a read, and the other one names them until its own read ends: each stream is always named by one of the two.
//!
//! A read that blocks ends at once when an event comes. A change on a quiet board waits for nothing; when events are dense,
//! [`Spacing`] keeps two reads apart, so that a burst is one reply.
//!
//! A server that answers late is read less often: [`Rhythm::gap`](super::super::rhythm::Rhythm::gap) is left between two reads. On an
//! unwatched board the cold reader names all streams, and does not block but looks every few seconds: events carry their
//! time, and no viewer waits for them.
//!
//! A server in cluster mode that owns all slots wants a command for each slot. Streams of one slot, such as all of a
//! prefix `{bull}`, are read as everywhere else; those of several are read in turns on the same connection ([`slots`]).
//!
//! Events are hints. What is shown is counted afterwards; what an event stream misses is found by
//! the collector's slower recounts. A stream that was trimmed past our place while we were not
//! connected, or deleted and begun anew, is reported as a gap.

mod entry;
mod places;
mod slots;
mod spacing;

use self::entry::{event, parse_id};
use self::places::{drop_misfits, place_new, resync};
use self::slots::Streams;
use self::spacing::gap_of;
use super::super::redis::link::Link;
use super::super::redis::reply;
use super::super::redis::spacing::Spacing;
use super::super::{Change, QueueId};
use super::{Hidden, key};
use crate::server::redact::Mask;
use redis::aio::MultiplexedConnection;
use redis::{RedisError, RedisResult, Value};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, mpsc};
use tokio::time::{sleep, timeout};

/// How long a hot read waits on the server for the next event. Also how long a stream that becomes hot may stay with the
/// cold reader, and a new one without any. Not shorter: an idle Redis ends a block only with its next tick, each 100 ms.
const HOT_BLOCK: Duration = Duration::from_millis(250);

/// How long a cold read waits.
const COLD_BLOCK: Duration = Duration::from_secs(5);

/// Pause between two looks on an unwatched board: rates need every change, not every change at once.
const UNWATCHED_GAP: Duration = Duration::from_secs(5);

/// The same after a look that brought so much that a stream may be trimmed past our place in that time.
const UNWATCHED_BUSY: Duration = Duration::from_millis(250);

/// Where hot streams are of several hash slots, they are read this often while nothing happens.
const HOT_POLL: Duration = Duration::from_millis(15);

/// Where quiet streams are of several hash slots, they are read this often, and less often the more slots it takes: a
/// minute costs a server of 500 slots what an idle board may cost it. Never less often than the last of these.
const COLD_POLL: Duration = Duration::from_secs(1);
const COLD_POLL_PER_SLOT: Duration = Duration::from_millis(12);
const COLD_POLL_MAX: Duration = Duration::from_secs(10);

/// A hot stream goes cold after this long without an event.
const COOL_AFTER: Duration = Duration::from_secs(10);

/// Entries read per stream and read. More come with the next one, at once.
const COUNT: usize = 500;

/// Batches that may wait for the collector. When it is this far behind, reading pauses: the streams
/// themselves are the buffer.
pub(super) const BACKLOG: usize = 64;

/// Characters kept of an error.
pub(super) const ERROR_MAX: usize = 300;

/// Pause after a refusal: what is not permitted is not asked for in a storm.
const REFUSED: Duration = Duration::from_secs(1);

/// A place in a stream.
type StreamId = (u64, u64);

#[derive(Debug)]
struct Stream {
    queue: QueueId,
    /// The `events` key, made once.
    key: Vec<u8>,
    last: StreamId,
    /// What is hidden in its events.
    mask: Mask,
    /// When it last spoke, or was taken up.
    spoke: Instant,
    /// Which reader names it.
    hot: bool,
}

/// The streams that are followed, shared by the two readers and the collector.
#[derive(Debug, Default)]
pub struct Watch {
    hidden: Hidden,
    /// Short critical sections only: it is taken by two readers a hundred times a second.
    streams: Mutex<HashMap<Vec<u8>, Stream>>,
    /// Queues whose place in their stream is not known yet.
    new: Mutex<Vec<QueueId>>,
    warmed: Notify,
}

impl Watch {
    /// Follows nothing yet.
    pub(super) fn new(hidden: Hidden) -> Self {
        Self {
            hidden,
            ..Self::default()
        }
    }

    fn streams(&self) -> MutexGuard<'_, HashMap<Vec<u8>, Stream>> {
        self.streams.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Follows exactly these queues from now on.
    pub fn follow(&self, queues: &[QueueId]) {
        let wanted: HashMap<Vec<u8>, &QueueId> = queues.iter().map(|queue| (key(queue, "events"), queue)).collect();
        let mut streams = self.streams();
        streams.retain(|key, _| wanted.contains_key(key));
        let new: Vec<QueueId> = wanted
            .iter()
            .filter(|(key, _)| !streams.contains_key(*key))
            .map(|(_, queue)| (*queue).clone())
            .collect();
        drop(streams);
        *self.unplaced() = new;
        self.warmed.notify_one();
    }

    fn unplaced(&self) -> MutexGuard<'_, Vec<QueueId>> {
        self.new.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The streams that a reader names in the read that it begins now, with the place to read on from. On an unwatched
    /// board none is lively enough for the hot one.
    fn share(&self, hot: bool, watched: bool) -> Streams {
        let mut streams = self.streams();
        for stream in streams.values_mut() {
            let lively = watched && stream.spoke.elapsed() <= COOL_AFTER;
            if lively == hot {
                stream.hot = hot;
            }
        }
        streams
            .values()
            .filter(|stream| stream.hot == hot)
            .map(|stream| (stream.key.clone(), format!("{}-{}", stream.last.0, stream.last.1)))
            .unzip()
    }

    /// Begins to follow these queues at the end of their streams.
    fn place(&self, queues: &[QueueId], ends: Vec<redis::RedisResult<Value>>) {
        let mut streams = self.streams();
        for (queue, end) in queues.iter().zip(ends) {
            let Ok(entries) = end else { continue };
            let last = reply::items(&entries)
                .first()
                .and_then(|entry| parse_id(reply::items(entry).first()?))
                .unwrap_or((0, 0));
            let key = key(queue, "events");
            streams.entry(key.clone()).or_insert_with(|| Stream {
                queue: queue.clone(),
                key,
                last,
                mask: self.hidden.of(queue),
                spoke: Instant::now(),
                hot: true,
            });
        }
    }
}

/// One of the two readers. It ends when the receiver of `sender` is dropped.
pub(super) async fn reader(link: Arc<Link>, watch: Arc<Watch>, sender: mpsc::Sender<Vec<Change>>, hot: bool) {
    let mut health = link.health();
    while !sender.is_closed() {
        // No use in trying while the supervisor says that nothing answers.
        if health.wait_for(Result::is_ok).await.is_err() {
            return;
        }
        match link.dedicated().await {
            Ok(connection) => {
                let mut reader = Reader {
                    link: &link,
                    watch: &watch,
                    sender: &sender,
                    connection,
                    hot,
                    by_slot: false,
                    spacing: Spacing::new(),
                };
                let ended = if hot {
                    reader.read_hot().await
                } else {
                    reader.read_cold().await
                };
                if ended.is_none() && sender.is_closed() {
                    return;
                }
            }
            Err(trouble) => {
                link.refusals().unpushed.insert(reader_name(hot), trouble.cause);
                sleep(REFUSED).await;
            }
        }
        sleep(Duration::from_millis(250)).await;
    }
}

const fn reader_name(hot: bool) -> &'static str {
    if hot { "hot" } else { "cold" }
}

enum Spoke {
    Nothing,
    All,
    /// A stream filled its share of the reply.
    AndHasMore,
}

/// One of the two readers, on a connection of its own.
struct Reader<'a> {
    link: &'a Link,
    watch: &'a Watch,
    sender: &'a mpsc::Sender<Vec<Change>>,
    connection: MultiplexedConnection,
    hot: bool,
    /// Whether the server takes no command that names streams of several hash slots, as it has said once.
    by_slot: bool,
    spacing: Spacing,
}

impl Reader<'_> {
    /// Reads until the connection fails (`None`).
    async fn read_hot(&mut self) -> Option<()> {
        resync(self.link, self.watch, self.sender, &mut self.connection).await?;
        loop {
            place_new(self.link, self.watch, self.sender, &mut self.connection).await?;
            let watched = self.link.rhythm().is_watched();
            let streams = self.watch.share(true, watched);
            if streams.0.is_empty() || !watched {
                tokio::select! {
                    () = self.watch.warmed.notified() => {}
                    () = self.link.rhythm().watched(), if !watched => {}
                    () = self.sender.closed() => return None,
                }
                continue;
            }
            let gap = gap_of(&streams, self.hot);
            let (spoke, _) = self.read(streams, Some(HOT_BLOCK)).await?;
            self.rest_after(&spoke, gap).await?;
        }
    }

    async fn read_cold(&mut self) -> Option<()> {
        let mut busy = false;
        loop {
            let watched = self.link.rhythm().is_watched();
            let streams = self.watch.share(false, watched);
            if streams.0.is_empty() {
                self.pause(Duration::from_secs(1)).await?;
                continue;
            }
            let gap = gap_of(&streams, self.hot);
            let (spoke, polled) = self.read(streams, watched.then_some(COLD_BLOCK)).await?;
            self.rest_after(&spoke, gap).await?;
            let full = matches!(spoke, Spoke::AndHasMore);
            if full {
                busy = true;
                continue;
            }
            if !watched {
                let pause = if busy { UNWATCHED_BUSY } else { UNWATCHED_GAP };
                tokio::select! {
                    paused = self.pause(pause) => paused?,
                    () = self.link.rhythm().watched() => {}
                }
            } else if let Some(slots) = polled {
                self.pause((COLD_POLL + COLD_POLL_PER_SLOT * slots).min(COLD_POLL_MAX))
                    .await?;
            }
            busy = false;
        }
    }

    /// Leaves the store and the reader of what was read the time that they need.
    async fn rest_after(&mut self, spoke: &Spoke, gap: Duration) -> Option<()> {
        let rest = match spoke {
            Spoke::Nothing | Spoke::AndHasMore => Duration::ZERO,
            Spoke::All => self.spacing.rest(Instant::now(), gap),
        };
        self.pause(rest.max(self.link.rhythm().gap())).await
    }

    /// Waits; `None` when the receiver of changes was dropped.
    async fn pause(&self, pause: Duration) -> Option<()> {
        if pause.is_zero() {
            return Some(());
        }
        tokio::select! {
            () = sleep(pause) => Some(()),
            () = self.sender.closed() => None,
        }
    }

    /// Reads these streams once: by one command that waits so long for the next event, or, where they are of several hash
    /// slots and the server wants one for each, by so many that do not wait.
    async fn read(&mut self, streams: Streams, block: Option<Duration>) -> Option<(Spoke, Option<u32>)> {
        let groups = if self.by_slot {
            slots::apart(streams)
        } else {
            vec![streams]
        };
        let polled = (groups.len() > 1).then(|| u32::try_from(groups.len()).unwrap_or(u32::MAX));
        let block = block.filter(|_| polled.is_none());
        let mut pipe = redis::pipe();
        for (keys, places) in &groups {
            let command = pipe.cmd("XREAD").arg("COUNT").arg(COUNT);
            if let Some(block) = block {
                command.arg("BLOCK").arg(u64::try_from(block.as_millis()).unwrap_or(1));
            }
            command.arg("STREAMS").arg(keys).arg(places);
        }
        self.link.count_sent(groups.len() as u64);
        // A frozen server never ends the block: two seconds of grace, then the connection is given up.
        let limit = block.unwrap_or_default() + Duration::from_secs(2);
        let query = pipe.ignore_errors().query_async(&mut self.connection);
        let answers: Vec<RedisResult<Value>> = tokio::select! {
            answers = timeout(limit, query) => answers.ok()?.ok()?,
            () = self.sender.closed() => return None,
        };
        let (mut changes, mut full, mut refused) = (Vec::new(), false, false);
        for ((keys, _), answer) in groups.iter().zip(answers) {
            match answer {
                Ok(value) => {
                    let (of_it, more) = take(self.watch, &value);
                    changes.extend(of_it);
                    full |= more;
                }
                Err(error) => refused |= self.refused(&error, keys).await?,
            }
        }
        if refused {
            sleep(REFUSED).await;
        } else {
            self.link.refusals().pushed(reader_name(self.hot));
        }
        if changes.is_empty() {
            if polled.is_some() && self.hot {
                sleep(HOT_POLL).await;
            }
            return Some((Spoke::Nothing, polled));
        }
        self.watch.warmed.notify_one();
        self.sender.send(changes).await.ok()?;
        Some((if full { Spoke::AndHasMore } else { Spoke::All }, polled))
    }

    /// Takes in that a command was refused: whether it would be again. `None` when the connection is of no more use.
    async fn refused(&mut self, error: &RedisError, keys: &[Vec<u8>]) -> Option<bool> {
        self.link.refusals().note(error);
        let says = error.detail().unwrap_or_default();
        match error.code() {
            // One key that is no stream, or that may not be read, makes the whole command fail:
            // leave such queues to the recounts.
            Some("WRONGTYPE") => drop_misfits(self.link, self.watch, &mut self.connection, keys).await?,
            Some("NOPERM") if says.contains("key") => {
                drop_misfits(self.link, self.watch, &mut self.connection, keys).await?;
            }
            Some("CROSSSLOT") if !self.by_slot => self.by_slot = true,
            Some(code @ ("NOPERM" | "CROSSSLOT" | "MOVED" | "ASK" | "CLUSTERDOWN")) => {
                let why = format!("the server does not permit Drover to follow them ({code}).");
                self.link.refusals().unpushed.insert(reader_name(self.hot), why);
                return Some(true);
            }
            _ => return None,
        }
        Some(false)
    }
}

/// Turns a reply into changes and moves the places on.
fn take(watch: &Watch, value: &Value) -> (Vec<Change>, bool) {
    let mut changes = Vec::new();
    let mut full = false;
    let mut streams = watch.streams();
    for pair in reply::items(value) {
        let [name, entries] = reply::items(pair) else { continue };
        let Value::BulkString(name) = name else { continue };
        let Some(stream) = streams.get_mut(name) else { continue };
        let entries = reply::items(entries);
        full |= entries.len() >= COUNT;
        let mut events = Vec::with_capacity(entries.len());
        for entry in entries {
            let [id, fields] = reply::items(entry) else { continue };
            let Some(id) = parse_id(id) else { continue };
            // Both readers named this stream while it changed hands.
            if id <= stream.last {
                continue;
            }
            stream.last = id;
            events.push(event(id, reply::items(fields), &stream.mask));
        }
        stream.spoke = Instant::now();
        if !events.is_empty() {
            changes.push(Change {
                queue: stream.queue.clone(),
                events,
                gap: false,
                own_clock: false,
            });
        }
    }
    (changes, full)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    #[test]
    fn an_entry_that_both_readers_saw_counts_once() {
        let watch = Watch::default();
        watch.streams().insert(
            b"bull:a:events".to_vec(),
            Stream {
                queue: "bull:a".into(),
                key: b"bull:a:events".to_vec(),
                last: (5, 0),
                mask: Mask::default(),
                spoke: Instant::now(),
                hot: false,
            },
        );
        let entry = |id: &str| Value::Array(vec![bulk(id), Value::Array(vec![bulk("event"), bulk("drained")])]);
        let reply = Value::Array(vec![Value::Array(vec![
            bulk("bull:a:events"),
            Value::Array(vec![entry("5-0"), entry("6-0")]),
        ])]);
        assert_eq!(take(&watch, &reply).0[0].events.len(), 1);
        assert!(take(&watch, &reply).0.is_empty(), "the second time nothing is new");
        assert_eq!(
            watch.share(false, true).1,
            ["6-0"],
            "until the hot reader begins a read"
        );
        assert_eq!(watch.share(true, true).1, ["6-0"], "a stream that spoke is hot");
        assert!(watch.share(false, true).0.is_empty(), "and not read twice");
        assert_eq!(
            watch.share(false, false).1,
            ["6-0"],
            "on an unwatched board all are cold"
        );
    }
}
