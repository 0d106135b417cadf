//! Parents that can never run: a child that they wait for has failed without telling them, or is gone.
//!
//! A child that fails for good stays among what its parent waits for unless one of four options of its own says
//! otherwise, and so does one whose record was deleted by hand, or evicted. A look reads the parents that have waited
//! longest: those that cannot run are among them in the end. It costs the server about 3 ms at most.

use super::super::super::redis::link::Link;
use super::super::super::redis::reply;
use super::super::super::{QueueId, Trouble};
use super::super::{below, key};
use super::resolve;
use crate::model::exact::bytes_of;
use crate::model::queue::Stuck;
use crate::model::{Millis, now};
use redis::{RedisResult, Value};

/// Parents looked at.
const PARENTS: usize = 100;

/// Children looked at, of one parent and of all.
const CHILDREN: usize = 100;
const CHILDREN_IN_ALL: usize = 1_000;

/// Parents, and children, asked about in one pipeline.
const BATCH: usize = 200;

/// A parent that waits for no child at all may be one whose children are just being added.
const SETTLED: Millis = 60_000;

/// A child of a parent, by the parent's place among those that the look reads.
struct Child {
    parent: usize,
    key: String,
}

/// Looks at the parents of a queue.
pub async fn look(link: &Link, queue: &QueueId, known: &[QueueId]) -> Result<Stuck, Trouble> {
    let parents = parents(link, queue).await?;
    let mut stuck = vec![false; parents.len()];
    let mut looked_at = parents.len();
    let mut children = Vec::new();
    for (i, (pending, some)) in pending(link, queue, &parents).await?.into_iter().enumerate() {
        if children.len() + some.len() > CHILDREN_IN_ALL {
            looked_at = i;
            break;
        }
        stuck[i] = pending == 0 && now() - parents[i].1 > SETTLED;
        children.extend(some.into_iter().map(|key| Child { parent: i, key }));
    }
    let mut gone = Vec::new();
    for batch in children.chunks(BATCH) {
        let mut pipe = redis::pipe();
        for child in batch {
            let (of, id, _) = resolve(&child.key, known).unwrap_or_default();
            pipe.cmd("ZSCORE").arg(key(&of, "failed")).arg(&*bytes_of(&id));
            pipe.cmd("EXISTS").arg(&*bytes_of(&child.key));
        }
        let _turn = link.rhythm().turn().await;
        for (child, replies) in batch.iter().zip(link.run(&mut pipe).await?.chunks_exact(2)) {
            stuck[child.parent] |= matches!(&replies[0], Ok(score) if *score != Value::Nil);
            if matches!(replies[1], Ok(Value::Int(0))) {
                gone.push(child);
            }
        }
    }
    // A child that has completed and was removed meanwhile is not waited for any more.
    let mut pipe = redis::pipe();
    for child in &gone {
        let parent = key(queue, &parents[child.parent].0);
        pipe.cmd("SISMEMBER")
            .arg(below(&parent, "dependencies"))
            .arg(&*bytes_of(&child.key));
    }
    for (child, reply) in gone.iter().zip(link.run(&mut pipe).await?) {
        stuck[child.parent] |= matches!(reply, Ok(Value::Int(1)));
    }
    let found = parents.iter().zip(&stuck).filter(|(_, stuck)| **stuck);
    let since: Vec<Millis> = found.map(|((_, since), _)| *since).collect();
    Ok(Stuck {
        parents: since.len() as u64,
        looked_at: looked_at as u64,
        oldest: since.into_iter().min(),
    })
}

/// The parents that have waited longest, each with the moment at which it began to.
async fn parents(link: &Link, queue: &QueueId) -> Result<Vec<(String, Millis)>, Trouble> {
    let mut pipe = redis::pipe();
    pipe.cmd("ZRANGE")
        .arg(key(queue, "waiting-children"))
        .arg(0)
        .arg(PARENTS - 1)
        .arg("WITHSCORES");
    let _turn = link.rhythm().turn().await;
    let replies = link.run(&mut pipe).await?;
    let pairs = replies[0].as_ref().ok().map(reply::items).unwrap_or_default();
    let parent = |pair: &[Value]| Some((reply::exact(&pair[0])?, reply::int(&pair[1])?));
    Ok(pairs.chunks_exact(2).filter_map(parent).collect())
}

/// How many children each parent waits for, and some of them.
async fn pending(
    link: &Link,
    queue: &QueueId,
    parents: &[(String, Millis)],
) -> Result<Vec<(u64, Vec<String>)>, Trouble> {
    let mut pipe = redis::pipe();
    for (id, _) in parents {
        let dependencies = below(&key(queue, id), "dependencies");
        pipe.cmd("SCARD").arg(&dependencies);
        pipe.cmd("SSCAN").arg(&dependencies).arg(0).arg("COUNT").arg(CHILDREN);
    }
    let _turn = link.rhythm().turn().await;
    let replies = link.run(&mut pipe).await?;
    let one = |replies: &[RedisResult<Value>]| {
        // A set that cannot be read is not empty.
        let pending = reply::count(&replies[0]).unwrap_or(1);
        let page = replies[1].as_ref().ok().map(reply::items).unwrap_or_default();
        let keys = page.get(1).map(reply::items).unwrap_or_default();
        let keys = keys.iter().filter_map(reply::exact).take(CHILDREN);
        (pending, keys.collect())
    };
    Ok(replies.chunks_exact(2).map(one).collect())
}
