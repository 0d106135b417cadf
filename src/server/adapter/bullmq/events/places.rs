//! Where to read on: the places of new streams, and of all after a new connection.

use super::super::super::redis::link::Link;
use super::super::super::redis::reply;
use super::super::super::{Change, QueueId};
use super::super::key;
use super::{StreamId, Watch, parse_id};
use redis::Value;
use redis::aio::MultiplexedConnection;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Finds the end of streams that are new on the board: from there on everything is followed. No reader has seen what
/// happened between their first count and this moment, so they are reported as gaps and counted again.
pub(super) async fn place_new(
    link: &Link,
    watch: &Watch,
    sender: &mpsc::Sender<Vec<Change>>,
    connection: &mut MultiplexedConnection,
) -> Option<()> {
    loop {
        let batch: Vec<QueueId> = watch.unplaced().iter().take(200).cloned().collect();
        if batch.is_empty() {
            return Some(());
        }
        let mut pipe = redis::pipe();
        for queue in &batch {
            pipe.cmd("XREVRANGE")
                .arg(key(queue, "events"))
                .arg("+")
                .arg("-")
                .arg("COUNT")
                .arg(1);
        }
        let replies = ask(link, connection, &mut pipe).await?;
        watch.place(&batch, replies);
        // Only now: had the connection failed, the next one would have to place them.
        watch.unplaced().retain(|queue| !batch.contains(queue));
        let gaps = batch.iter().map(|queue| Change {
            queue: queue.clone(),
            events: vec![],
            gap: true,
            own_clock: false,
        });
        sender.send(gaps.collect()).await.ok()?;
    }
}

/// After a new connection: looks for streams that went on without us, further than they remember, or
/// that were deleted and begun anew.
pub(super) async fn resync(
    link: &Link,
    watch: &Watch,
    sender: &mpsc::Sender<Vec<Change>>,
    connection: &mut MultiplexedConnection,
) -> Option<()> {
    let known: Vec<(Vec<u8>, QueueId, StreamId)> = watch
        .streams()
        .values()
        .map(|stream| (stream.key.clone(), stream.queue.clone(), stream.last))
        .collect();
    let mut changes = Vec::new();
    for batch in known.chunks(200) {
        let mut pipe = redis::pipe();
        for (key, ..) in batch {
            pipe.cmd("XRANGE").arg(key).arg("-").arg("+").arg("COUNT").arg(1);
            pipe.cmd("XREVRANGE").arg(key).arg("+").arg("-").arg("COUNT").arg(1);
        }
        let replies = ask(link, connection, &mut pipe).await?;
        for ((key, queue, last), ends) in batch.iter().zip(replies.chunks_exact(2)) {
            let end = |i: usize| {
                let value: &Value = ends[i].as_ref().ok()?;
                parse_id(reply::items(reply::items(value).first()?).first()?)
            };
            let trimmed = end(0).is_some_and(|first| first > *last && *last != (0, 0));
            let begun_anew = end(1).unwrap_or((0, 0)) < *last;
            if begun_anew && let Some(stream) = watch.streams().get_mut(key) {
                stream.last = end(1).unwrap_or((0, 0));
            }
            if trimmed || begun_anew {
                changes.push(Change {
                    queue: queue.clone(),
                    events: vec![],
                    gap: true,
                    own_clock: false,
                });
            }
        }
    }
    if !changes.is_empty() {
        sender.send(changes).await.ok()?;
    }
    Some(())
}

/// Stops following keys that are no streams, or that may not be read.
pub(super) async fn drop_misfits(
    link: &Link,
    watch: &Watch,
    connection: &mut MultiplexedConnection,
    keys: &[Vec<u8>],
) -> Option<()> {
    let mut pipe = redis::pipe();
    for key in keys {
        pipe.cmd("TYPE").arg(key);
    }
    let types = ask(link, connection, &mut pipe).await?;
    let mut streams = watch.streams();
    for (key, kind) in keys.iter().zip(types) {
        let fits = matches!(kind, Ok(value) if matches!(reply::text(&value).as_deref(), Some("stream" | "none")));
        if !fits {
            streams.remove(key);
        }
    }
    Some(())
}

async fn ask(
    link: &Link,
    connection: &mut MultiplexedConnection,
    pipe: &mut redis::Pipeline,
) -> Option<Vec<redis::RedisResult<Value>>> {
    link.count_sent(pipe.len() as u64);
    let answer = timeout(Duration::from_secs(3), pipe.ignore_errors().query_async(connection)).await;
    answer.ok()?.ok()
}
