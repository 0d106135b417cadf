//! Where a job is, and which jobs are next to it, without ever searching a list from end to end.
//!
//! Sets with scores tell at once. In lists the search reads both ends; it does not find a job deep inside a list of
//! millions, and the page says so. (`LPOS` without a bound takes 160 ms of the server on a list of five million.)

use super::super::redis::link::Link;
use super::super::redis::reply;
use super::super::{ReadError, Trouble};
use super::key;
use super::layout::is_marker;
use super::list::zset;
use crate::model::exact::bytes_of;
use crate::model::job::{Neighbours, Place};
use crate::model::page::Order;
use crate::model::state::JobState;
use redis::{RedisResult, Value};

/// How far from each end a list is searched for a job.
const SEARCH_MAX: u64 = 10_000;

/// The states whose sets know their members at once.
pub(super) const SCORED: [JobState; 5] = [
    JobState::Completed,
    JobState::Failed,
    JobState::Delayed,
    JobState::Prioritized,
    JobState::WaitingChildren,
];

/// The lists a job may be in, with the state they stand for.
const LISTS: [(&str, JobState); 3] = [
    ("active", JobState::Active),
    ("wait", JobState::Waiting),
    ("paused", JobState::Waiting),
];

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The state of the first set or list it was found in.
    pub(super) state: Option<JobState>,
    pub(super) score: Option<f64>,
    pub(super) place: Option<Place>,
    pub(super) neighbours: Neighbours,
    /// Further sets it is in, which should not be.
    pub(super) also: Vec<JobState>,
    /// Whether every list was searched from end to end, so that "nowhere" is certain.
    pub(super) exhaustive: bool,
    /// Why a search was not possible.
    pub(super) trouble: Option<String>,
}

/// Commands of [`ask`].
pub(super) const ASKED: usize = SCORED.len() * 3;

/// Asks the sets with scores: the first step, to be sent along with other questions.
pub(super) fn ask(pipe: &mut redis::Pipeline, queue: &str, id: &str) {
    for state in SCORED {
        let set = key(queue, zset(state));
        pipe.cmd("ZSCORE").arg(&set).arg(&*bytes_of(id));
        pipe.cmd("ZRANK").arg(&set).arg(&*bytes_of(id));
        pipe.cmd("ZCARD").arg(&set);
    }
}

/// Reads the answers to [`ask`], and goes on searching where they do not tell.
pub(super) async fn find(
    link: &Link,
    queue: &str,
    id: &str,
    replies: &[RedisResult<Value>],
) -> Result<Found, ReadError> {
    let mut found = Found::default();
    let mut rank = None;
    for (state, answer) in SCORED.into_iter().zip(replies.chunks_exact(3)) {
        let score = match &answer[0] {
            Ok(Value::Nil) => continue,
            Ok(score) => reply::float(score),
            Err(error) => {
                let why = reply::why(error);
                found.trouble = Some(format!("the set of the {} jobs cannot be read: {why}", state.label()));
                continue;
            }
        };
        if found.state.is_some() {
            found.also.push(state);
            continue;
        }
        found.state = Some(state);
        found.score = score;
        rank = reply::count(&answer[1]).ok().zip(reply::count(&answer[2]).ok());
    }
    match (found.state, rank) {
        (Some(state), Some((rank, size))) => beside_in_set(link, queue, state, rank, size, &mut found).await?,
        (Some(_), None) => found.neighbours.unknown = Some("its rank could not be read".into()),
        (None, _) => in_lists(link, queue, id, &mut found).await?,
    }
    Ok(found)
}

async fn beside_in_set(
    link: &Link,
    queue: &str,
    state: JobState,
    rank: u64,
    size: u64,
    found: &mut Found,
) -> Result<(), Trouble> {
    let mut pipe = redis::pipe();
    let set = key(queue, zset(state));
    let below = rank.checked_sub(1);
    let at = |pipe: &mut redis::Pipeline, rank: u64| {
        pipe.cmd("ZRANGE").arg(&set).arg(rank).arg(rank);
    };
    at(&mut pipe, rank + 1);
    if let Some(below) = below {
        at(&mut pipe, below);
    }
    let replies = link.run(&mut pipe).await?;
    let first = |i: usize| {
        let items = reply::items(replies.get(i)?.as_ref().ok()?);
        reply::exact(items.first()?)
    };
    let (higher, lower) = (first(0), first(1));
    let newest = Order::of(state) == Order::Newest;
    let (previous, next) = if newest { (higher, lower) } else { (lower, higher) };
    found.neighbours = Neighbours {
        previous,
        next,
        unknown: None,
    };
    found.place = Some(Place {
        at: if newest { size.saturating_sub(rank) } else { rank + 1 },
        of: size,
    });
    Ok(())
}

async fn in_lists(link: &Link, queue: &str, id: &str, found: &mut Found) -> Result<(), Trouble> {
    let mut pipe = redis::pipe();
    for (list, _) in LISTS {
        let list = key(queue, list);
        pipe.cmd("LLEN").arg(&list);
        for rank in [-1, 1] {
            pipe.cmd("LPOS")
                .arg(&list)
                .arg(&*bytes_of(id))
                .arg("RANK")
                .arg(rank)
                .arg("MAXLEN")
                .arg(SEARCH_MAX);
        }
    }
    let replies = link.run(&mut pipe).await?;
    let mut hit = None;
    found.exhaustive = true;
    for ((list, state), answer) in LISTS.into_iter().zip(replies.chunks_exact(3)) {
        match reply::count(&answer[0]) {
            Ok(length) => {
                found.exhaustive &= length <= 2 * SEARCH_MAX;
                let index = answer[1..].iter().find_map(|a| match a {
                    Ok(Value::Int(index)) => u64::try_from(*index).ok(),
                    _ => None,
                });
                match (index, found.state) {
                    (Some(_), Some(_)) => found.also.push(state),
                    (Some(index), None) => {
                        found.state = Some(state);
                        hit = Some((list, index, length));
                    }
                    (None, _) => {}
                }
            }
            Err(code) => {
                found.exhaustive = false;
                found.trouble = Some(format!("the list of the {} jobs cannot be read: {code}", state.label()));
            }
        }
    }
    let Some((list, index, length)) = hit else {
        found.neighbours.unknown = Some("its place is not known".into());
        return Ok(());
    };
    // The tail of a list runs next and is shown first.
    found.place = Some(Place {
        at: length.saturating_sub(index),
        of: length,
    });
    let list = key(queue, list);
    let mut pipe = redis::pipe();
    pipe.cmd("LINDEX").arg(&list).arg(index + 1);
    if let Some(later) = index.checked_sub(1) {
        pipe.cmd("LINDEX").arg(&list).arg(later);
    }
    let replies = link.run(&mut pipe).await?;
    // Markers of older versions stand among the ids.
    let neighbour = |i: usize| reply::exact(replies.get(i)?.as_ref().ok()?).filter(|id| !is_marker(id));
    found.neighbours = Neighbours {
        previous: neighbour(0),
        next: neighbour(1),
        unknown: None,
    };
    Ok(())
}
