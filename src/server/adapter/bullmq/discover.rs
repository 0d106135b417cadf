//! Which queues there are. BullMQ keeps no register of them, so there are three sources: the
//! configuration, a walk over the key space, and the names of connected workers.

use super::super::redis::link::Link;
use super::super::redis::walk::{escape_glob, keys};
use super::super::{FoundQueue, QueueId, Search, Trouble};
use super::layout::Layouts;
use super::{Scope, name_of};
use crate::model::exact::{bytes_of, text_of};
use redis::Value;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// What looked like a queue and was none, and when that was found out. A key space may hold a million keys
/// that end like ours, and a restricted user is refused each one it asks about.
#[derive(Debug, Default)]
pub struct Rejected(Mutex<HashMap<String, Instant>>);

/// A rejected id is checked again after this long.
const REJECTED_FOR: Duration = Duration::from_secs(300);

/// Rejected ids remembered at most; the others are checked at each search.
const REJECTED_MAX: usize = 200_000;

impl Rejected {
    fn ids(&self) -> MutexGuard<'_, HashMap<String, Instant>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Leaves those that were rejected a while ago or never.
    fn filter(&self, candidates: &mut BTreeSet<String>) {
        let mut ids = self.ids();
        ids.retain(|_, at| at.elapsed() < REJECTED_FOR);
        candidates.retain(|id| !ids.contains_key(id));
    }

    fn add(&self, ids: impl Iterator<Item = String>) {
        let mut known = self.ids();
        let room = REJECTED_MAX.saturating_sub(known.len());
        known.extend(ids.take(room).map(|id| (id, Instant::now())));
    }
}

/// Finds every queue in scope that is not known yet, and says which known ones are not there any more.
/// Stops early only when the store stops answering.
pub async fn queues(
    link: &Link,
    scope: &Scope,
    known: &HashSet<QueueId>,
    layouts: &Layouts,
    rejected: &Rejected,
) -> Result<Search, Trouble> {
    let mut missing = vec![];
    let ids = if scope.queues.is_empty() {
        let Walked { mut found, whole } = walk(link, scope).await?;
        if whole {
            let gone = known.iter().filter(|id| !found.contains(id.as_ref() as &str));
            missing.extend(gone.cloned());
        }
        found.retain(|id| !known.contains(id.as_str()));
        rejected.filter(&mut found);
        let real = verify(link, layouts, &found).await?;
        rejected.add(found.into_iter().filter(|id| !real.contains(id)));
        real
    } else {
        scope
            .queues
            .iter()
            .filter(|id| !known.contains(id.as_str()))
            .cloned()
            .collect()
    };
    let found = named(link, layouts, ids, scope).await?;
    Ok(Search { found, missing })
}

async fn named(
    link: &Link,
    layouts: &Layouts,
    ids: BTreeSet<String>,
    scope: &Scope,
) -> Result<Vec<FoundQueue>, Trouble> {
    let ids: Vec<QueueId> = ids.into_iter().map(Into::into).collect();
    let families = {
        let _turn = link.rhythm().turn().await;
        layouts.of(link, &ids).await?
    };
    Ok(ids
        .into_iter()
        .zip(families)
        .map(|(id, family)| FoundQueue {
            name: name_of(&id, &scope.prefixes, layouts.forbids_colons(&id)).to_owned(),
            id,
            system: family.layout.system(),
            family: family.into(),
        })
        .collect())
}

/// Keeps what has more than one sign of being a queue: a job may be called `meta` too.
async fn verify(link: &Link, layouts: &Layouts, candidates: &BTreeSet<String>) -> Result<BTreeSet<String>, Trouble> {
    let candidates: Vec<QueueId> = candidates.iter().map(|id| id.as_str().into()).collect();
    let real = layouts.recognise(link, &candidates).await?;
    Ok(real.iter().map(ToString::to_string).collect())
}

/// Of these ids, the queues in scope.
pub async fn recognise(
    link: &Link,
    scope: &Scope,
    layouts: &Layouts,
    queues: &[QueueId],
) -> Result<Vec<FoundQueue>, Trouble> {
    let in_scope = |id: &str| {
        scope.queues.is_empty()
            && (scope.prefixes.is_empty()
                || scope.prefixes.iter().any(|prefix| {
                    id.strip_prefix(prefix.as_str())
                        .is_some_and(|rest| rest.starts_with(':'))
                }))
    };
    let candidates: BTreeSet<String> = queues
        .iter()
        .filter(|id| in_scope(id))
        .map(ToString::to_string)
        .collect();
    named(link, layouts, verify(link, layouts, &candidates).await?, scope).await
}

/// The ends of keys that give a queue away: `meta` for BullMQ, `id` for anything that ever held a job,
/// `meta-paused` for one of Bull that was paused before.
const ENDS: [&[u8]; 3] = [b":meta", b":id", b":meta-paused"];

/// What a walk over the key space met.
#[derive(Default)]
struct Walked {
    /// The ids of everything that looks like a queue.
    found: BTreeSet<String>,
    /// Whether every key was walked past: then what was there all the time is in `found`.
    whole: bool,
}

/// Everything that looks like one of a queue's own keys.
async fn walk(link: &Link, scope: &Scope) -> Result<Walked, Trouble> {
    let patterns: Vec<Vec<u8>> = if scope.prefixes.is_empty() {
        vec![b"*:[mi][ed]*".to_vec()]
    } else {
        scope
            .prefixes
            .iter()
            .map(|p| bytes_of(&format!("{}:*:[mi][ed]*", escape_glob(p))).into_owned())
            .collect()
    };
    let mut walked = Walked::default();
    for pattern in patterns {
        let found = &mut walked.found;
        let met = |key: &Value| {
            if let Value::BulkString(key) = key {
                found.extend(ENDS.iter().find_map(|end| key.strip_suffix(*end)).map(text_of));
            }
        };
        if !keys(link, &pattern, met).await? {
            // SCAN is not permitted: the configuration and the workers have to do.
            return Ok(walked);
        }
    }
    walked.whole = true;
    Ok(walked)
}
