//! Which queues there are. BullMQ keeps no register of them, so there are three sources: the
//! configuration, a walk over the key space, and the names of connected workers.

use super::super::redis::link::Link;
use super::super::redis::reply;
use super::super::{FoundQueue, QueueId, Trouble};
use super::{Scope, key, name_of};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use redis::Value;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

/// Keys looked at per step of the walk: about 1.5 ms of the server's time.
const STEP: usize = 1000;

/// Pause between steps, so that a walk over millions of keys is noticed by nobody.
const PAUSE: Duration = Duration::from_millis(2);

/// Finds every queue in scope that is not known yet. Stops early only when the store stops answering.
pub async fn queues(link: &Link, scope: &Scope, known: &HashSet<QueueId>) -> Result<Vec<FoundQueue>, Trouble> {
    let ids = if scope.queues.is_empty() {
        let mut found = walk(link, scope).await?;
        found.retain(|id| !known.contains(id.as_str()));
        verify(link, found).await?
    } else {
        scope.queues.iter().cloned().collect()
    };
    Ok(named(ids, scope))
}

fn named(ids: BTreeSet<String>, scope: &Scope) -> Vec<FoundQueue> {
    ids.into_iter()
        .map(|id| FoundQueue {
            name: name_of(&id, &scope.prefixes),
            id: id.into(),
        })
        .collect()
}

/// Of these ids, the queues in scope.
pub async fn recognise(link: &Link, scope: &Scope, queues: &[QueueId]) -> Result<Vec<FoundQueue>, Trouble> {
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
    Ok(named(verify(link, candidates).await?, scope))
}

/// Everything that looks like the `meta` key of a queue.
async fn walk(link: &Link, scope: &Scope) -> Result<BTreeSet<String>, Trouble> {
    let patterns: Vec<String> = if scope.prefixes.is_empty() {
        vec!["*:meta".into()]
    } else {
        scope
            .prefixes
            .iter()
            .map(|p| format!("{}:*:meta", escape_glob(p)))
            .collect()
    };
    let mut found = BTreeSet::new();
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
            let Some(Ok(answer)) = link.run(&mut pipe).await?.into_iter().next() else {
                // SCAN is not permitted: the configuration and the workers have to do.
                return Ok(found);
            };
            let [next, keys] = reply::items(&answer) else { break };
            found.extend(
                reply::items(keys)
                    .iter()
                    .filter_map(reply::text)
                    .filter_map(|key| key.strip_suffix(":meta").map(str::to_owned)),
            );
            cursor = reply::text(next).unwrap_or_else(|| "0".into());
            if cursor == "0" {
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
    Ok(found)
}

/// Keeps what has a second sign of being a BullMQ queue: a job may be called `meta` too.
async fn verify(link: &Link, candidates: BTreeSet<String>) -> Result<BTreeSet<String>, Trouble> {
    let candidates: Vec<String> = candidates.into_iter().collect();
    let mut real = BTreeSet::new();
    for batch in candidates.chunks(STEP) {
        let mut pipe = redis::pipe();
        for queue in batch {
            pipe.cmd("HEXISTS").arg(key(queue, "meta")).arg("opts.maxLenEvents");
            pipe.cmd("TYPE").arg(key(queue, "events"));
        }
        let replies = link.run(&mut pipe).await?;
        for (queue, signs) in batch.iter().zip(replies.chunks_exact(2)) {
            let marked = matches!(signs[0], Ok(Value::Int(1)));
            let streams = matches!(&signs[1], Ok(value) if reply::text(value).as_deref() == Some("stream"));
            if marked || streams {
                real.insert(queue.clone());
            }
        }
    }
    Ok(real)
}

/// Connected workers by queue, from the names their connections carry; `None` if the server does not
/// tell who is connected. One command for the whole store.
pub async fn workers(link: &Link) -> Result<Option<HashMap<QueueId, u32>>, Trouble> {
    let mut pipe = redis::pipe();
    pipe.cmd("CLIENT").arg("LIST").arg("TYPE").arg("normal");
    let Some(Ok(list)) = link.run(&mut pipe).await?.into_iter().next() else {
        return Ok(None);
    };
    Ok(reply::text(&list).map(|text| count_workers(&text)))
}

/// Reads `CLIENT LIST`. A worker's blocking connection is called `<prefix>:<base64 of the queue's
/// name>`, with `:w:<worker's name>` behind it when the worker has one.
fn count_workers(list: &str) -> HashMap<QueueId, u32> {
    let mut workers: HashMap<QueueId, u32> = HashMap::new();
    for line in list.lines() {
        let Some(name) = line.split(' ').find_map(|field| field.strip_prefix("name=")) else {
            continue;
        };
        let name = name.split_once(":w:").map_or(name, |(queue, _)| queue);
        let Some((prefix, encoded)) = name.rsplit_once(':') else {
            continue;
        };
        let Some(queue) = STANDARD
            .decode(encoded)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
        else {
            continue;
        };
        if !queue.is_empty() {
            *workers.entry(format!("{prefix}:{queue}").into()).or_default() += 1;
        }
    }
    workers
}

/// Makes a configured prefix match only itself.
fn escape_glob(text: &str) -> String {
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
    fn workers_are_counted_by_the_names_of_their_connections() {
        let name = |queue: &str| STANDARD.encode(queue);
        let list = format!(
            "id=1 addr=a name=bull:{mail} cmd=bzpopmin\nid=2 name=bull:{mail}:w:eu-1 cmd=bzpopmin\n\
             id=3 name=bull:{mail}:qe cmd=xread\nid=4 name={{bull}}:{ship} cmd=bzpopmin\nid=5 name= cmd=get\n\
             id=6 name=sidekiq cmd=get\n",
            mail = name("mail"),
            ship = name("ship:ping"),
        );
        let workers = count_workers(&list);
        assert_eq!(workers.get("bull:mail"), Some(&2), "{workers:?}");
        assert_eq!(workers.get("{bull}:ship:ping"), Some(&1));
        assert_eq!(workers.len(), 2, "{workers:?}");
    }

    #[test]
    fn a_prefix_with_glob_characters_matches_itself() {
        assert_eq!(escape_glob("a*[b]{c}"), "a\\*\\[b\\]{c}");
    }
}
