//! Which queues there are. BullMQ keeps no register of them, so there are three sources: the
//! configuration, a walk over the key space, and the names of connected workers.

use super::super::redis::link::Link;
use super::super::redis::reply;
use super::super::{FoundQueue, QueueId, Search, Trouble};
use super::layout::Layouts;
use super::{Scope, key, name_of};
use crate::model::exact::{bytes_of, text_of};
use redis::{RedisResult, Value};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// Keys looked at per step of the walk: about 1.5 ms of the server's time.
const STEP: usize = 1000;

/// Pause between steps, so that a walk over millions of keys is noticed by nobody.
const PAUSE: Duration = Duration::from_millis(2);

/// What looked like a queue and was none, and when that was found out. A key space may hold a million keys
/// that end like ours, and a restricted user is refused each one it asks about.
#[derive(Debug, Default)]
pub struct Rejected(Mutex<HashMap<String, Instant>>);

/// What was rejected is looked at again after this long.
const REJECTED_FOR: Duration = Duration::from_secs(300);

/// Rejected ids remembered at most; more are asked about at each search.
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

/// A step that takes longer than this meets a busy server, and the pause grows with it.
const SLOW_STEP: Duration = Duration::from_millis(20);

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
        let real = verify(link, found.clone()).await?;
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
            name: name_of(&id, &scope.prefixes),
            id,
            family,
        })
        .collect())
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
    named(link, layouts, verify(link, candidates).await?, scope).await
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
        let mut cursor = "0".to_owned();
        loop {
            let mut pipe = redis::pipe();
            pipe.cmd("SCAN")
                .arg(&cursor)
                .arg("MATCH")
                .arg(&pattern)
                .arg("COUNT")
                .arg(STEP);
            let turn = link.rhythm().turn().await;
            let began = Instant::now();
            let answer = link.run(&mut pipe).await?.into_iter().next();
            let took = began.elapsed();
            drop(turn);
            let Some(Ok(answer)) = answer else {
                // SCAN is not permitted: the configuration and the workers have to do.
                return Ok(walked);
            };
            let [next, keys] = reply::items(&answer) else {
                return Ok(walked);
            };
            walked
                .found
                .extend(reply::items(keys).iter().filter_map(|key| match key {
                    Value::BulkString(key) => ENDS.iter().find_map(|end| key.strip_suffix(*end)).map(text_of),
                    _ => None,
                }));
            cursor = reply::text(next).unwrap_or_else(|| "0".into());
            if cursor == "0" {
                break;
            }
            tokio::time::sleep(if took > SLOW_STEP { took * 4 } else { PAUSE }).await;
        }
    }
    walked.whole = true;
    Ok(walked)
}

/// Bull's keys and what each is; two of them make a queue.
const OF_BULL: [(&str, &str); 9] = [
    ("id", "string"),
    ("meta-paused", "string"),
    ("stalled-check", "string"),
    ("wait", "list"),
    ("paused", "list"),
    ("active", "list"),
    ("delayed", "zset"),
    ("completed", "zset"),
    ("failed", "zset"),
];

/// Keeps what has a second sign of being a queue: a job may be called `meta` too.
async fn verify(link: &Link, candidates: BTreeSet<String>) -> Result<BTreeSet<String>, Trouble> {
    let candidates: Vec<String> = candidates.into_iter().collect();
    let mut real = BTreeSet::new();
    for batch in candidates.chunks(200) {
        let mut pipe = redis::pipe();
        for queue in batch {
            pipe.cmd("HEXISTS").arg(key(queue, "meta")).arg("opts.maxLenEvents");
            pipe.cmd("HEXISTS").arg(key(queue, "meta")).arg("paused");
            pipe.cmd("TYPE").arg(key(queue, "events"));
            for (suffix, _) in OF_BULL {
                pipe.cmd("TYPE").arg(key(queue, suffix));
            }
        }
        let turn = link.rhythm().turn().await;
        let replies = link.run(&mut pipe).await?;
        drop(turn);
        for (queue, signs) in batch.iter().zip(replies.chunks_exact(3 + OF_BULL.len())) {
            let is = |reply: &RedisResult<Value>, kind: &str| matches!(reply, Ok(value) if reply::text(value).as_deref() == Some(kind));
            let has = |reply: &RedisResult<Value>| matches!(reply, Ok(Value::Int(1)));
            let of_bull = signs[3..]
                .iter()
                .zip(OF_BULL)
                .filter(|(reply, (_, kind))| is(reply, kind));
            // Bull writes its pause twice, and nothing else before the first job.
            let of_bull = of_bull.count() + usize::from(has(&signs[1]));
            if has(&signs[0]) || is(&signs[2], "stream") || of_bull >= 2 {
                real.insert(queue.clone());
            }
        }
    }
    Ok(real)
}

/// Makes a configured prefix match only itself.
pub(super) fn escape_glob(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '*' | '?' | '[' | ']' | '^' | '\\') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_with_glob_characters_matches_itself() {
        assert_eq!(escape_glob("a*[b]{c}"), "a\\*\\[b\\]{c}");
    }
}
