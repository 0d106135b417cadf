//! What of a queue is due, and what of that a worker has claimed.
//!
//! arq leaves the id of a job in its queue while the job runs; what tells that it runs is the claim, a key of its own. A claim
//! without an id in a queue is that of a cron job that ended less than a minute ago: it is never looked at.
//!
//! Workers take jobs in the order in which they are due, so the claimed ones are among the first. These are read in windows, until
//! nothing in one is claimed.

use super::super::redis::link::Link;
use super::super::redis::reply;
use super::super::{QueueId, Trouble};
use super::{IN_PROGRESS, key};
use crate::model::exact::bytes_of;
use crate::model::{Millis, now};
use redis::{Pipeline, RedisResult, Value};

/// Jobs that are looked at in one round trip, and in all.
const WINDOW: u64 = 500;
const MOST: u64 = 5_000;

/// Jobs without a claim that are kept: some of them may have ended just now.
const NEXT: usize = 10;

/// A job in a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its id.
    pub(super) id: String,
    /// When it is due.
    pub(super) due: Millis,
    /// How many are due before it.
    pub(super) at: u64,
}

/// What there is in a queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Front {
    /// Jobs in it, whether due, running, or not due yet.
    pub(super) total: u64,
    /// Jobs that are due, or running.
    pub(super) due: u64,
    /// Those that are claimed, the ones that were due first in front.
    pub(super) claimed: Vec<Entry>,
    /// The first that are not.
    pub(super) next: Vec<Entry>,
    /// How many that are due were looked at.
    pub(super) looked: u64,
    /// Whether more may be claimed than were looked at.
    pub(super) cut: bool,
}

impl Front {
    /// How many wait; `None` where that is not known.
    pub(super) fn waiting(&self) -> Option<u64> {
        let claimed = self.claimed.len() as u64;
        (!self.cut).then(|| self.due.saturating_sub(claimed))
    }
}

/// What was seen of a queue, or why nothing was.
pub(super) type Seen = Result<Front, String>;

/// Whether a worker holds a job of a queue.
pub(super) fn is_claimed(front: &Seen) -> bool {
    front.as_ref().is_ok_and(|front| !front.claimed.is_empty())
}

/// Looks at the beginning of these queues.
pub(super) async fn look(link: &Link, queues: &[QueueId]) -> Result<Vec<Seen>, Trouble> {
    let mut fronts: Vec<Seen> = vec![Ok(Front::default()); queues.len()];
    let mut open: Vec<usize> = (0..queues.len()).collect();
    let mut first = 0;
    while first < MOST && !open.is_empty() {
        let mut pipe = redis::pipe();
        for place in &open {
            count(&mut pipe, &queues[*place]);
            ranks(&mut pipe, &queues[*place], first, WINDOW);
        }
        let at = now();
        let replies = link.run(&mut pipe).await?;
        let mut windows = vec![];
        for (place, replies) in open.iter().zip(replies.chunks_exact(3)) {
            match window(replies, first, at) {
                // Nothing is due, so nothing is claimed.
                Ok((counts, entries)) if entries.is_empty() => note(&mut fronts[*place], counts),
                Ok((_, entries)) => windows.push((*place, entries)),
                Err(why) => fronts[*place] = Err(why),
            }
        }
        open = claims(link, queues, &windows, &mut fronts).await?;
        first += WINDOW;
    }
    for place in open {
        if let Ok(front) = &mut fronts[place] {
            front.cut = true;
        }
    }
    Ok(fronts)
}

/// Asks how many jobs there are and how many of them are due.
fn count(pipe: &mut Pipeline, queue: &str) {
    let queue = bytes_of(queue);
    pipe.cmd("ZCARD").arg(&*queue);
    pipe.cmd("ZCOUNT").arg(&*queue).arg("-inf").arg(now());
}

/// Asks for so many jobs from a place on.
pub(super) fn ranks(pipe: &mut Pipeline, queue: &str, first: u64, n: u64) {
    let last = i64::try_from(first + n).unwrap_or(i64::MAX) - 1;
    pipe.cmd("ZRANGE")
        .arg(&*bytes_of(queue))
        .arg(first)
        .arg(last)
        .arg("WITHSCORES");
}

/// The jobs in the answer to [`ranks`].
pub(super) fn entries(reply: &RedisResult<Value>, first: u64) -> Result<Vec<Entry>, String> {
    let value = reply.as_ref().map_err(reply::why)?;
    let pairs = reply::items(value).chunks_exact(2);
    let entry = |(pair, at): (&[Value], u64)| {
        let (id, due) = (reply::exact(&pair[0])?, due(&pair[1])?);
        Some(Entry { id, due, at })
    };
    Ok(pairs.zip(first..).filter_map(entry).collect())
}

/// The moment that a score is.
#[expect(clippy::cast_possible_truncation, reason = "a time in ms is far below 2^53")]
pub(super) fn due(score: &Value) -> Option<Millis> {
    Some(reply::float(score)? as Millis)
}

/// How many there are, and how many of them are due.
type Both = (u64, u64);

fn window(replies: &[RedisResult<Value>], first: u64, at: Millis) -> Result<(Both, Vec<Entry>), String> {
    let counts = (reply::count(&replies[0])?, reply::count(&replies[1])?);
    let mut entries = entries(&replies[2], first)?;
    entries.retain(|entry| entry.due <= at);
    Ok((counts, entries))
}

fn note(front: &mut Seen, (total, due): Both) {
    if let Ok(front) = front {
        (front.total, front.due) = (total, due);
    }
}

/// Looks which of these jobs are claimed; the queues of which more have to be looked at.
async fn claims(
    link: &Link,
    queues: &[QueueId],
    windows: &[(usize, Vec<Entry>)],
    fronts: &mut [Seen],
) -> Result<Vec<usize>, Trouble> {
    let mut pipe = redis::pipe();
    for (place, entries) in windows {
        // Counted again beside the claims: a job that ended meanwhile is in neither.
        count(&mut pipe, &queues[*place]);
        pipe.cmd("MGET");
        for entry in entries {
            pipe.arg(key(IN_PROGRESS, &entry.id));
        }
    }
    let replies = link.run(&mut pipe).await?;
    let mut open = vec![];
    for ((place, entries), replies) in windows.iter().zip(replies.chunks_exact(3)) {
        let counts = reply::count(&replies[0]).and_then(|total| Ok((total, reply::count(&replies[1])?)));
        let claims = replies[2].as_ref().map_err(reply::why);
        match (&mut fronts[*place], counts, claims) {
            (Ok(front), Ok(counts), Ok(claims)) => {
                (front.total, front.due) = counts;
                let some = sort_out(front, entries, reply::items(claims));
                if some && entries.len() as u64 == WINDOW {
                    open.push(*place);
                }
            }
            (front, Err(why), _) | (front, _, Err(why)) => *front = Err(why),
            (Err(_), ..) => {}
        }
    }
    Ok(open)
}

/// Takes in a window with its claims. Whether there are some.
fn sort_out(front: &mut Front, entries: &[Entry], claims: &[Value]) -> bool {
    let before = front.claimed.len();
    for (entry, claim) in entries.iter().zip(claims) {
        if *claim != Value::Nil {
            front.claimed.push(entry.clone());
        } else if front.next.len() < NEXT {
            front.next.push(entry.clone());
        }
    }
    front.looked += entries.len() as u64;
    front.claimed.len() > before
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    #[test]
    fn a_job_that_runs_is_in_the_queue_and_does_not_wait() {
        let reply = Ok(Value::Array(vec![
            bulk("a"),
            bulk("100"),
            bulk("b"),
            bulk("200.0"),
            bulk("c"),
            bulk("300"),
        ]));
        let (counts, due) = window(&[Ok(Value::Int(3)), Ok(Value::Int(2)), reply], 0, 200).unwrap();
        assert_eq!(counts, (3, 2));
        let ids: Vec<(&str, Millis)> = due.iter().map(|entry| (entry.id.as_str(), entry.due)).collect();
        assert_eq!(ids, [("a", 100), ("b", 200)], "what is due");
        let mut front = Front {
            total: 3,
            due: 2,
            ..Front::default()
        };
        assert!(sort_out(&mut front, &due, &[bulk("1"), Value::Nil]));
        assert_eq!((front.waiting(), front.claimed[0].id.as_str()), (Some(1), "a"));
        assert_eq!((front.next[0].id.as_str(), front.next[0].at), ("b", 1));
        assert!(!sort_out(&mut front, &due[1..], &[Value::Nil]));
        front.cut = true;
        assert_eq!(front.waiting(), None);
    }

    #[test]
    fn what_is_no_sorted_set_has_a_reason_and_no_count() {
        let error = || Err(redis::make_extension_error("WRONGTYPE".into(), None));
        let why = window(&[error(), error(), error()], 0, 0).unwrap_err();
        assert!(why.contains("another type"), "{why}");
    }
}
