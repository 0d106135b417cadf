//! Follows the event streams of all queues of a store.
//!
//! An `XREAD` costs the server time for every stream it names, at every wake-up: naming 500 streams
//! at 770 events a second takes 28 % of its core. So streams are kept in two reads on two
//! connections of their own. The *cold* read names every quiet stream, blocks for seconds, and is
//! woken rarely. A stream that speaks becomes *hot*: the hot read names only such streams, and
//! leaves [`GAP`] between two reads, so that a burst is one reply. A hot stream that has been quiet
//! for [`COOL_AFTER`] goes back.
//!
//! A server that answers late is read less often: after each read the readers rest four times as long
//! as it was late, and at least [`Rhythm::gap`](super::super::rhythm::Rhythm::gap).
//!
//! Events are hints. What is shown is counted afterwards; what an event stream misses is found by
//! the collector's slower recounts. A stream that was trimmed past our place while we were not
//! connected, or deleted and begun anew, is reported as a gap.

mod places;

use self::places::{drop_misfits, place_new, resync};
use super::super::redis::link::Link;
use super::super::redis::reply;
use super::super::{Change, JobEvent, QueueId, What};
use super::{Hidden, key};
use crate::model::Millis;
use crate::model::state::JobState;
use crate::server::redact::Mask;
use redis::Value;
use redis::aio::MultiplexedConnection;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, mpsc};
use tokio::time::{sleep, timeout};

/// Pause between two hot reads. A larger one makes changes later, a smaller one makes them cost
/// more; both are measured by the benchmark of freshness.
const GAP: Duration = Duration::from_millis(8);

/// The pause grows by this much for every hot stream, because a read costs the server time for each:
/// eighty streams are read every 8 ms, five hundred that all speak every 50 ms.
const GAP_PER_STREAM: Duration = Duration::from_micros(100);

/// How long a hot read waits on the server for the next event. Also the longest a stream that has
/// just become hot can be overlooked.
const HOT_BLOCK: Duration = Duration::from_millis(15);

/// How long a cold read waits. A queue added meanwhile starts hot, so nothing waits for this.
const COLD_BLOCK: Duration = Duration::from_secs(5);

/// A hot stream goes cold after this long without an event.
const COOL_AFTER: Duration = Duration::from_secs(10);

/// Entries read per stream and read. More come with the next one, at once.
const COUNT: usize = 500;

/// Batches that may wait for the collector. When it is this far behind, reading pauses: the streams
/// themselves are the buffer.
pub(super) const BACKLOG: usize = 64;

/// Characters kept of an error.
pub(super) const ERROR_MAX: usize = 300;

/// An answer that is later than this after its block comes from a server that has too much to do.
const LATE: Duration = Duration::from_millis(5);

/// The longest rest of a reader after a late answer.
const REST_MAX: Duration = Duration::from_secs(3);

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
    /// `None` while cold; otherwise when it last spoke.
    hot: Option<Instant>,
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

    /// The streams of one temperature, with the place to read on from.
    fn of(&self, hot: bool) -> (Vec<Vec<u8>>, Vec<String>) {
        self.streams()
            .values()
            .filter(|stream| stream.hot.is_some() == hot)
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
                hot: Some(Instant::now()),
            });
        }
    }

    fn cool(&self) {
        for stream in self.streams().values_mut() {
            if stream.hot.is_some_and(|spoke| spoke.elapsed() > COOL_AFTER) {
                stream.hot = None;
            }
        }
    }
}

/// Starts the two readers. They end when the receiver of `sender` is dropped.
pub fn start(link: &Arc<Link>, watch: &Arc<Watch>, sender: &mpsc::Sender<Vec<Change>>) {
    for hot in [true, false] {
        tokio::spawn(reader(link.clone(), watch.clone(), sender.clone(), hot));
    }
}

async fn reader(link: Arc<Link>, watch: Arc<Watch>, sender: mpsc::Sender<Vec<Change>>, hot: bool) {
    let mut health = link.health();
    while !sender.is_closed() {
        // No use in trying while the supervisor says that nothing answers.
        if health.wait_for(Result::is_ok).await.is_err() {
            return;
        }
        match link.dedicated().await {
            Ok(connection) => {
                let ended = if hot {
                    read_hot(&link, &watch, &sender, connection).await
                } else {
                    read_cold(&link, &watch, &sender, connection).await
                };
                if ended.is_none() && sender.is_closed() {
                    return;
                }
            }
            Err(trouble) => {
                link.met().unpushed.insert(reader_name(hot), trouble.cause);
                sleep(REFUSED).await;
            }
        }
        sleep(Duration::from_millis(250)).await;
    }
}

const fn reader_name(hot: bool) -> &'static str {
    if hot { "hot" } else { "cold" }
}

/// Reads until the connection fails (`None`).
async fn read_hot(
    link: &Link,
    watch: &Watch,
    sender: &mpsc::Sender<Vec<Change>>,
    mut connection: MultiplexedConnection,
) -> Option<()> {
    resync(link, watch, sender, &mut connection).await?;
    loop {
        place_new(link, watch, sender, &mut connection).await?;
        let (keys, places) = watch.of(true);
        if keys.is_empty() {
            tokio::select! {
                () = watch.warmed.notified() => {}
                () = sender.closed() => return None,
            }
            continue;
        }
        let gap = GAP.max(GAP_PER_STREAM * u32::try_from(keys.len()).unwrap_or(u32::MAX));
        let asked = Instant::now();
        let more = read_once(link, watch, sender, &mut connection, (keys, places), true).await?;
        let gap = match more {
            Spoke::Nothing | Spoke::AndHasMore => Duration::ZERO,
            Spoke::All => gap,
        };
        let rest = gap
            .max(link.rhythm().gap())
            .max(rest_after(asked.elapsed().saturating_sub(HOT_BLOCK)));
        if !rest.is_zero() {
            sleep(rest).await;
        }
    }
}

async fn read_cold(
    link: &Link,
    watch: &Watch,
    sender: &mpsc::Sender<Vec<Change>>,
    mut connection: MultiplexedConnection,
) -> Option<()> {
    loop {
        watch.cool();
        let (keys, places) = watch.of(false);
        if keys.is_empty() {
            tokio::select! {
                () = sleep(Duration::from_secs(1)) => {}
                () = sender.closed() => return None,
            }
            continue;
        }
        read_once(link, watch, sender, &mut connection, (keys, places), false).await?;
        sleep(link.rhythm().gap()).await;
    }
}

/// How long to rest after an answer that was this late.
fn rest_after(late: Duration) -> Duration {
    if late > LATE {
        (late * 4).min(REST_MAX)
    } else {
        Duration::ZERO
    }
}

enum Spoke {
    Nothing,
    All,
    /// A stream filled its share of the reply.
    AndHasMore,
}

async fn read_once(
    link: &Link,
    watch: &Watch,
    sender: &mpsc::Sender<Vec<Change>>,
    connection: &mut MultiplexedConnection,
    (keys, places): (Vec<Vec<u8>>, Vec<String>),
    hot: bool,
) -> Option<Spoke> {
    let block = if hot { HOT_BLOCK } else { COLD_BLOCK };
    let mut command = redis::cmd("XREAD");
    command
        .arg("COUNT")
        .arg(COUNT)
        .arg("BLOCK")
        .arg(u64::try_from(block.as_millis()).unwrap_or(1));
    command.arg("STREAMS").arg(&keys).arg(&places);
    link.count_sent(1);
    // A frozen server never ends the block: two seconds of grace, then the connection is given up.
    let answer = tokio::select! {
        answer = timeout(block + Duration::from_secs(2), command.query_async::<Value>(connection)) => answer,
        () = sender.closed() => return None,
    };
    let value = match answer {
        Ok(Ok(value)) => value,
        Ok(Err(error)) => {
            link.met().note(&error);
            let says = error.detail().unwrap_or_default();
            match error.code() {
                // One key that is no stream, or that may not be read, makes the whole command fail:
                // leave such queues to the recounts.
                Some("WRONGTYPE") => drop_misfits(link, watch, connection, &keys).await?,
                Some("NOPERM") if says.contains("key") => drop_misfits(link, watch, connection, &keys).await?,
                Some(code @ ("NOPERM" | "CROSSSLOT" | "MOVED" | "ASK" | "CLUSTERDOWN")) => {
                    let why = format!("the server refuses to let Drover follow them ({code}).");
                    link.met().unpushed.insert(reader_name(hot), why);
                    sleep(REFUSED).await;
                }
                _ => return None,
            }
            return Some(Spoke::Nothing);
        }
        Err(_) => return None,
    };
    link.met().pushed(reader_name(hot));
    let (changes, full) = take(watch, &value);
    if changes.is_empty() {
        return Some(Spoke::Nothing);
    }
    watch.warmed.notify_one();
    sender.send(changes).await.ok()?;
    Some(if full { Spoke::AndHasMore } else { Spoke::All })
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
            // A stream that both readers were asked for at the moment it changed hands.
            if id <= stream.last {
                continue;
            }
            stream.last = id;
            events.push(event(id, reply::items(fields), &stream.mask));
        }
        stream.hot = Some(Instant::now());
        if !events.is_empty() {
            changes.push(Change {
                queue: stream.queue.clone(),
                events,
                gap: false,
            });
        }
    }
    (changes, full)
}

fn parse_id(value: &Value) -> Option<StreamId> {
    let text = reply::text(value)?;
    let (ms, seq) = text.split_once('-')?;
    Some((ms.parse().ok()?, seq.parse().ok()?))
}

/// Reads one entry: `event` first, then what belongs to it.
fn event(id: StreamId, fields: &[Value], mask: &Mask) -> JobEvent {
    let field = |name: &str| {
        fields
            .chunks_exact(2)
            .find(|pair| matches!(&pair[0], Value::BulkString(bytes) if bytes == name.as_bytes()))
            .and_then(|pair| reply::exact(&pair[1]))
    };
    let what = match field("event").as_deref().unwrap_or_default() {
        "added" => What::Added(field("name").unwrap_or_default()),
        "waiting" => What::Entered(JobState::Waiting),
        "delayed" => What::Entered(JobState::Delayed),
        "waiting-children" => What::Entered(JobState::WaitingChildren),
        "active" => What::Entered(JobState::Active),
        "completed" => What::Entered(JobState::Completed),
        "failed" => {
            What::Failed(field("failedReason").map_or_else(String::new, |text| mask.headline(&text, ERROR_MAX)))
        }
        "progress" => What::Progress(field("data").and_then(|json| mask.progress(&json))),
        "removed" => What::Removed,
        "stalled" => What::Stalled,
        _ => What::Queue,
    };
    JobEvent {
        at: Millis::try_from(id.0).unwrap_or(Millis::MAX),
        job: field("jobId").unwrap_or_default(),
        what,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    #[test]
    fn an_event_is_read_by_the_names_of_its_fields() {
        let fields = [
            "event",
            "failed",
            "jobId",
            "7",
            "failedReason",
            "boom\nat x",
            "prev",
            "active",
        ]
        .map(bulk);
        let event = event((1000, 2), &fields, &Mask::default());
        assert_eq!(event.at, 1000);
        assert_eq!(event.job, "7");
        assert_eq!(event.what, What::Failed("boom".into()));
        assert_eq!(super::event((1, 0), &[], &Mask::default()).what, What::Queue);
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
                hot: None,
            },
        );
        let entry = |id: &str| Value::Array(vec![bulk(id), Value::Array(vec![bulk("event"), bulk("drained")])]);
        let reply = Value::Array(vec![Value::Array(vec![
            bulk("bull:a:events"),
            Value::Array(vec![entry("5-0"), entry("6-0")]),
        ])]);
        assert_eq!(take(&watch, &reply).0[0].events.len(), 1);
        assert!(take(&watch, &reply).0.is_empty(), "the second time nothing is new");
        assert_eq!(watch.of(true).1, ["6-0"], "a stream that spoke is hot");
    }
}
