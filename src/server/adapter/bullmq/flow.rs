//! A job with its relatives, a few at a time, whatever the size of the family.
//!
//! | key | type | children |
//! |---|---|---|
//! | `J:dependencies` | set of job keys | pending |
//! | `J:processed` | hash: job key → result | completed |
//! | `J:failed` | hash: job key → reason | failed, ignored by the parent |
//! | `J:unsuccessful` | zset of job keys, score = when | failed, which fails the parent |
//!
//! Counts cost nothing. Keys of up to [`WHOLE_MAX`] children are fetched at once and paged by
//! position in their order; larger sets are walked with `SSCAN` and `HSCAN`, whose cursor goes into
//! the address. `HSCAN` hands over results too, of any size: servers from 7.4 leave them out
//! (`NOVALUES`), for others the step is made small where results are large.
//!
//! A relative is a full key, `prefix:name:id`, and both name and id may hold colons: it belongs to
//! the *longest* known queue that it begins with.

use super::super::redis::link::Link;
use super::super::redis::reply;
use super::super::{FlowQuery, QueueId, ReadError, Trouble};
use super::list::zset;
use super::locate::SCORED;
use super::{Hidden, below, key};
use crate::model::exact::{bytes_of, text_of};
use crate::model::flow::{Branch, ChildKind, Flow, FlowNode};
use crate::model::job::{Children, cut};
use crate::model::now;
use crate::model::state::JobState;
use crate::model::timeline::is_moment;
use redis::{RedisResult, Value};
use std::collections::HashSet;

pub mod failed;
pub mod stuck;

/// How far up parents are followed.
const DEPTH_MAX: usize = 20;

/// Children of a kind whose keys are fetched at once: about 100 KB of keys.
const WHOLE_MAX: u64 = 1_000;

/// Steps of a walk for one page; a step of a sparse set may bring nothing.
const STEPS_MAX: usize = 20;

/// Bytes of results that a step of a walk may bring along, where the server cannot leave them out.
const STEP_BYTES: u64 = 256 * 1024;

/// A field that is longer is not fetched.
const FIELD_MAX: u64 = 4096;

/// Characters of a name and of an error.
const TEXT_MAX: usize = 200;

/// The key that holds the children of a kind.
const fn suffix(kind: ChildKind) -> &'static str {
    match kind {
        ChildKind::Pending => "dependencies",
        ChildKind::Completed => "processed",
        ChildKind::Failed => "unsuccessful",
        ChildKind::Ignored => "failed",
    }
}

/// Reads a job's relatives; `None` if nothing at all is stored of the job.
pub(super) async fn read(
    link: &Link,
    query: &FlowQuery,
    known: &[QueueId],
    hidden: &Hidden,
) -> Result<Option<Flow>, ReadError> {
    let job = key(&query.queue, &query.job);
    let own_key = text_of(&job);
    let mut pipe = redis::pipe();
    count_children(&mut pipe, &job);
    pipe.cmd("EXISTS").arg(&job);
    for kind in [ChildKind::Completed, ChildKind::Ignored] {
        pipe.cmd("MEMORY").arg("USAGE").arg(below(&job, suffix(kind)));
    }
    let replies = link.run(&mut pipe).await?;
    let counts = children_of(&replies[..4]);
    if counts.total() == 0 && !matches!(replies[4], Ok(Value::Int(1))) {
        return Ok(None);
    }
    let (above, note) = if query.whole {
        climb(link, &own_key).await?
    } else {
        (vec![], None)
    };
    let mut parts = Vec::new();
    for kind in ChildKind::ALL {
        let total = kind.of(&counts);
        let asked = query.branch.as_ref().filter(|(k, _)| *k == kind);
        if total == 0 || (!query.whole && asked.is_none()) {
            continue;
        }
        let memory = match kind {
            ChildKind::Completed => reply::count(&replies[5]).ok(),
            ChildKind::Ignored => reply::count(&replies[6]).ok(),
            _ => None,
        };
        let from = asked.and_then(|(_, from)| from.clone());
        let set = Set {
            key: below(&job, suffix(kind)),
            kind,
            total,
            average: memory.map_or(STEP_BYTES, |memory| memory / total),
        };
        let (keys, next) = page(link, &set, from.as_deref(), query.limit).await?;
        parts.push((kind, total, keys, from, next));
    }
    // One lookup for all of them: ancestors, the job itself, children.
    let mut keys: Vec<&str> = above.iter().map(String::as_str).collect();
    keys.push(&own_key);
    keys.extend(
        parts
            .iter()
            .flat_map(|(_, _, keys, ..)| keys.iter().map(String::as_str)),
    );
    let mut nodes = look_up(link, &job, &keys, known).await?;
    for node in &mut nodes {
        let mask = hidden.of(node.queue.as_deref().unwrap_or(&query.queue));
        node.error = node.error.as_deref().map(|error| mask.headline(error, TEXT_MAX));
    }
    let mut nodes = nodes.into_iter();
    let ancestors: Vec<FlowNode> = nodes.by_ref().take(above.len()).collect();
    let Some(mut own) = nodes.next() else {
        return Ok(None);
    };
    own.queue = Some(query.queue.to_string());
    own.id = Some(query.job.clone());
    own.known = true;
    let branches = parts
        .into_iter()
        .map(|(kind, total, keys, from, next)| Branch {
            kind,
            total,
            nodes: nodes.by_ref().take(keys.len()).collect(),
            from,
            next,
        })
        .collect();
    Ok(Some(Flow {
        ancestors,
        ancestors_note: note,
        job: own,
        branches,
        as_of: now(),
    }))
}

fn count_children(pipe: &mut redis::Pipeline, job: &[u8]) {
    pipe.cmd("SCARD").arg(below(job, "dependencies"));
    pipe.cmd("HLEN").arg(below(job, "processed"));
    pipe.cmd("ZCARD").arg(below(job, "unsuccessful"));
    pipe.cmd("HLEN").arg(below(job, "failed"));
}

fn children_of(replies: &[RedisResult<Value>]) -> Children {
    let count = |i: usize| reply::count(&replies[i]).unwrap_or(0);
    Children {
        pending: count(0),
        completed: count(1),
        failed: count(2),
        ignored: count(3),
    }
}

/// The keys above a job, the root first, and why they end there if that is no root.
async fn climb(link: &Link, job: &str) -> Result<(Vec<String>, Option<String>), Trouble> {
    let mut above: Vec<String> = Vec::new();
    let mut seen = HashSet::from([job.to_owned()]);
    let mut at = job.to_owned();
    let mut note = None;
    loop {
        let mut pipe = redis::pipe();
        pipe.cmd("HSTRLEN").arg(&*bytes_of(&at)).arg("parentKey");
        let size = reply::count(&link.run(&mut pipe).await?[0]).unwrap_or(0);
        if size == 0 || size > FIELD_MAX {
            break;
        }
        let mut pipe = redis::pipe();
        pipe.cmd("HGET").arg(&*bytes_of(&at)).arg("parentKey");
        let Some(parent) = link.run(&mut pipe).await?[0].as_ref().ok().and_then(reply::exact) else {
            break;
        };
        if !seen.insert(parent.clone()) {
            note = Some("Its parents form a cycle: one of them names a job below it as its own parent.".into());
            break;
        }
        above.push(parent.clone());
        if above.len() == DEPTH_MAX {
            note = Some(format!(
                "There may be more above: Drover follows up to {DEPTH_MAX} parents."
            ));
            break;
        }
        at = parent;
    }
    above.reverse();
    Ok((above, note))
}

/// The children of one kind, and what is known about their size.
struct Set {
    key: Vec<u8>,
    kind: ChildKind,
    total: u64,
    /// Bytes of an entry with its value, on average.
    average: u64,
}

type Keys = (Vec<String>, Option<String>);

/// A page of keys and where the next one begins: `o20` is a position, `s17` a cursor of the server.
async fn page(link: &Link, set: &Set, from: Option<&str>, limit: usize) -> Result<Keys, ReadError> {
    let (way, at) = match from {
        None if set.kind == ChildKind::Failed || set.total <= WHOLE_MAX => ('o', 0),
        None => ('s', 0),
        Some(from) => {
            let mut chars = from.chars();
            let way = chars
                .next()
                .filter(|way| matches!(way, 'o' | 's'))
                .ok_or(ReadError::BadCursor)?;
            (way, chars.as_str().parse::<u64>().map_err(|_| ReadError::BadCursor)?)
        }
    };
    let limit_u64 = limit as u64;
    if set.kind == ChildKind::Failed {
        let mut pipe = redis::pipe();
        pipe.cmd("ZRANGE").arg(&set.key).arg(at).arg(at + limit_u64 - 1);
        let keys = texts(&link.run(&mut pipe).await?[0])?;
        let next = (at + (keys.len() as u64) < set.total && !keys.is_empty()).then(|| format!("o{}", at + limit_u64));
        return Ok((keys, next));
    }
    if way == 's' {
        return Ok(walk(link, set, at, limit).await?);
    }
    if set.total > WHOLE_MAX {
        // It has grown since the address was made.
        return Ok(walk(link, set, 0, limit).await?);
    }
    let mut pipe = redis::pipe();
    let all = if set.kind == ChildKind::Pending {
        "SMEMBERS"
    } else {
        "HKEYS"
    };
    pipe.cmd(all).arg(&set.key);
    let mut keys = texts(&link.run(&mut pipe).await?[0])?;
    // Sets have no order; this one is the same each time, and ids that count up stand in a row.
    keys.sort_by(|a, b| (a.len(), a).cmp(&(b.len(), b)));
    let at = usize::try_from(at).unwrap_or(usize::MAX);
    let next = (at.saturating_add(limit) < keys.len()).then(|| format!("o{}", at.saturating_add(limit)));
    Ok((keys.into_iter().skip(at).take(limit).collect(), next))
}

fn texts(reply: &RedisResult<Value>) -> Result<Vec<String>, ReadError> {
    match reply {
        Ok(value) => {
            let items = match value {
                Value::Set(items) => items.as_slice(),
                other => reply::items(other),
            };
            Ok(items.iter().filter_map(reply::exact).collect())
        }
        Err(error) => Err(ReadError::Corrupt(format!(
            "the children cannot be read: {}",
            reply::why(error)
        ))),
    }
}

/// Walks on from a cursor until there is a page.
async fn walk(link: &Link, set: &Set, mut cursor: u64, limit: usize) -> Result<Keys, Trouble> {
    let hash = set.kind != ChildKind::Pending;
    let mut keys: Vec<String> = Vec::new();
    let mut names_only = hash;
    for _ in 0..STEPS_MAX {
        let left = limit.saturating_sub(keys.len()).max(1) as u64;
        let mut pipe = redis::pipe();
        pipe.cmd(if hash { "HSCAN" } else { "SSCAN" })
            .arg(&set.key)
            .arg(cursor)
            .arg("COUNT");
        if hash && !names_only {
            pipe.arg((STEP_BYTES / set.average.max(1)).clamp(1, left));
        } else {
            pipe.arg(left);
        }
        if names_only {
            pipe.arg("NOVALUES");
        }
        let reply = link.run(&mut pipe).await?.swap_remove(0);
        let Ok(value) = &reply else {
            if !names_only {
                break;
            }
            // Before 7.4 NOVALUES is a syntax error.
            names_only = false;
            continue;
        };
        let [next, found] = reply::items(value) else { break };
        let step = if hash && !names_only { 2 } else { 1 };
        for found in reply::items(found).iter().step_by(step).filter_map(reply::exact) {
            // A set that is being resized hands some members out twice.
            if !keys.contains(&found) {
                keys.push(found);
            }
        }
        cursor = reply::text(next).and_then(|next| next.parse().ok()).unwrap_or(0);
        if cursor == 0 || keys.len() >= limit {
            break;
        }
    }
    Ok((keys, (cursor != 0).then(|| format!("s{cursor}"))))
}

/// Splits a job's key into queue and id, by the longest known queue; true if it is known.
pub fn resolve(job: &str, known: &[QueueId]) -> Option<(String, String, bool)> {
    let rest = |queue: &QueueId| {
        job.strip_prefix(&**queue)?
            .strip_prefix(':')
            .filter(|id| !id.is_empty())
    };
    let longest = known
        .iter()
        .filter(|queue| rest(queue).is_some())
        .max_by_key(|queue| queue.len());
    if let Some((queue, id)) = longest.and_then(|queue| Some((queue, rest(queue)?))) {
        return Some((queue.to_string(), id.to_owned(), true));
    }
    let (queue, id) = job.rsplit_once(':')?;
    (queue.contains(':') && !id.is_empty()).then(|| (queue.to_owned(), id.to_owned(), false))
}

/// Commands for each relative in the first and second question.
const FIRST: usize = 5 + 4 + SCORED.len() + 1;
const SECOND: usize = 2;

/// What a line needs to know of each key: two round trips for all of them.
async fn look_up(link: &Link, job: &[u8], keys: &[&str], known: &[QueueId]) -> Result<Vec<FlowNode>, Trouble> {
    let mut pipe = redis::pipe();
    let places: Vec<_> = keys.iter().map(|key| resolve(key, known)).collect();
    for (relative, place) in keys.iter().zip(&places) {
        let relative = &*bytes_of(relative);
        pipe.cmd("EXISTS").arg(relative);
        pipe.cmd("HSTRLEN").arg(relative).arg("name");
        pipe.cmd("HSTRLEN").arg(relative).arg("failedReason");
        pipe.cmd("HMGET").arg(relative).arg(&["timestamp", "finishedOn"]);
        pipe.cmd("EXISTS").arg(below(relative, "lock"));
        count_children(&mut pipe, relative);
        let (queue, id) = place.as_ref().map_or(("", ""), |(queue, id, _)| (queue, id));
        for state in SCORED {
            pipe.cmd("ZSCORE").arg(key(queue, zset(state))).arg(&*bytes_of(id));
        }
        pipe.cmd("HSTRLEN").arg(below(job, "processed")).arg(relative);
    }
    let first = link.run(&mut pipe).await?;
    let mut pipe = redis::pipe();
    for (relative, answer) in keys.iter().zip(first.chunks_exact(FIRST)) {
        let relative = &*bytes_of(relative);
        let fits = |i: usize| reply::count(&answer[i]).is_ok_and(|size| size <= FIELD_MAX);
        pipe.cmd("HMGET").arg(relative);
        for (i, field) in [(1, "name"), (2, "failedReason")] {
            pipe.arg(if fits(i) { field } else { "" });
        }
        // Of a child that is gone the parent keeps the reason.
        let gone = !matches!(answer[0], Ok(Value::Int(1)));
        pipe.cmd("HSTRLEN")
            .arg(if gone { below(job, "failed") } else { vec![] })
            .arg(relative);
    }
    let second = link.run(&mut pipe).await?;
    let mut nodes: Vec<FlowNode> = keys
        .iter()
        .zip(places)
        .zip(first.chunks_exact(FIRST).zip(second.chunks_exact(SECOND)))
        .map(|((key, place), (first, second))| node(key, place, first, second))
        .collect();
    reasons(link, job, keys, &second, &mut nodes).await?;
    Ok(nodes)
}

/// Fetches what the parent keeps of ignored children that are gone.
async fn reasons(
    link: &Link,
    job: &[u8],
    keys: &[&str],
    second: &[RedisResult<Value>],
    nodes: &mut [FlowNode],
) -> Result<(), Trouble> {
    let wanted: Vec<usize> = (0..keys.len())
        .filter(|i| reply::count(&second[i * SECOND + 1]).is_ok_and(|size| (1..=FIELD_MAX).contains(&size)))
        .collect();
    let mut pipe = redis::pipe();
    for i in &wanted {
        pipe.cmd("HGET").arg(below(job, "failed")).arg(&*bytes_of(keys[*i]));
    }
    for (i, reply) in wanted.into_iter().zip(link.run(&mut pipe).await?) {
        nodes[i].error = reply.ok().as_ref().and_then(reply::text);
    }
    Ok(())
}

fn node(
    key: &str,
    place: Option<(String, String, bool)>,
    first: &[RedisResult<Value>],
    second: &[RedisResult<Value>],
) -> FlowNode {
    let hit = |i: usize| matches!(&first[i], Ok(value) if *value != Value::Nil);
    let exists = matches!(first[0], Ok(Value::Int(1)));
    let locked = matches!(first[4], Ok(Value::Int(1)));
    let scored = SCORED
        .into_iter()
        .enumerate()
        .find(|(i, _)| hit(9 + i))
        .map(|(_, state)| state);
    let field = |reply: &RedisResult<Value>, i: usize| {
        let value = reply.as_ref().ok().map(reply::items)?.get(i)?;
        Some(value.clone()).filter(|value| *value != Value::Nil)
    };
    let moment = |i: usize| {
        field(&first[3], i)
            .as_ref()
            .and_then(reply::int)
            .filter(|ms| is_moment(*ms))
    };
    let text = |i: usize| {
        field(&second[0], i)
            .as_ref()
            .and_then(reply::text)
            .filter(|text| !text.is_empty())
    };
    let children = children_of(&first[5..9]);
    let (queue, id, known) = match place {
        Some((queue, id, known)) => (Some(queue), Some(id), known),
        None => (None, None, false),
    };
    FlowNode {
        key: key.to_owned(),
        queue,
        id,
        known,
        name: text(0).map(|name| cut(&name, TEXT_MAX)),
        state: match (scored, locked, exists) {
            (Some(state), ..) => Some(state),
            (None, true, _) => Some(JobState::Active),
            (None, false, true) => Some(JobState::Waiting),
            (None, false, false) => None,
        },
        removed: !exists,
        // It is masked, and then cut, with those of the others.
        error: text(1),
        created: moment(0),
        finished: moment(1),
        result_size: reply::count(&first[FIRST - 1]).ok().filter(|size| *size > 0),
        children: (children.total() > 0).then_some(children),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relative_belongs_to_the_longest_queue_its_key_begins_with() {
        let known: Vec<QueueId> = ["bull:a", "bull:a:b", "my:app:mail"].map(QueueId::from).to_vec();
        let resolved = |key: &str| resolve(key, &known).map(|(q, id, known)| format!("{q} {id} {known}"));
        assert_eq!(resolved("bull:a:7").as_deref(), Some("bull:a 7 true"));
        assert_eq!(resolved("bull:a:b:7").as_deref(), Some("bull:a:b 7 true"));
        assert_eq!(
            resolved("bull:a:repeat:x:17").as_deref(),
            Some("bull:a repeat:x:17 true")
        );
        assert_eq!(resolved("my:app:mail:1").as_deref(), Some("my:app:mail 1 true"));
        assert_eq!(resolved("bull:ab:7").as_deref(), Some("bull:ab 7 false"));
        assert_eq!(resolved("nonsense"), None);
        assert_eq!(resolved("bull:a:"), None);
    }
}
