//! Which queues there are: those to which a route leads and that hold tasks, or that an application with Celery's own
//! exchanges declared.
//!
//! Any application of kombu has such routes, and any application may have lists. So a queue is taken for one of Celery's only
//! if a message in it is a task or, where no message tells, if workers of Celery have announced themselves under its prefix.

use super::super::redis::link::Link;
use super::super::redis::reply;
use super::super::redis::walk::keys;
use super::super::{FoundQueue, QueueId, Search, Trouble};
use super::Celery;
use super::book::{BINDING, Place, exchange_of, is_control, key};
use super::capabilities;
use super::message::Message;
use crate::model::system::System;
use redis::{RedisResult, Value};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Routes of one exchange that are read.
const ROUTES_MAX: usize = 5_000;

/// Exchanges that are read in one round trip.
const EXCHANGES: usize = 100;

/// Queues whose messages are looked at in one round trip: a message may be large.
const BATCH: usize = 10;

/// Keys that are not looked at again for a while, and since when: sets that our user may not read, where each try is an entry
/// in the server's `ACL LOG`, and lists of others.
#[derive(Debug, Default)]
pub(super) struct Refused(Mutex<HashMap<Vec<u8>, Instant>>);

/// How long that is.
const REFUSED_FOR: Duration = Duration::from_secs(60);

impl Refused {
    fn holds(&self, binding: &[u8]) -> bool {
        let refused = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        refused.get(binding).is_some_and(|at| at.elapsed() < REFUSED_FOR)
    }

    fn note(&self, binding: Vec<u8>) {
        let mut refused = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        refused.retain(|_, at| at.elapsed() < REFUSED_FOR);
        refused.insert(binding, Instant::now());
    }
}

/// Finds queues that are not known yet, and says which known ones have no route any more.
pub(super) async fn queues(celery: &Celery, known: &HashSet<QueueId>) -> Result<Search, Trouble> {
    let Some(bindings) = walk(&celery.link).await? else {
        return Ok(Search::default());
    };
    let announced: BTreeSet<&str> = bindings
        .iter()
        .filter_map(|binding| exchange_of(binding).filter(|(_, exchange)| is_control(exchange)))
        .map(|(prefix, _)| prefix)
        .collect();
    let exchanges: Vec<(&str, &str)> = bindings.iter().filter_map(|binding| exchange_of(binding)).collect();
    let (mut met, mut new) = (HashSet::new(), vec![]);
    for place in routes(celery, &exchanges).await? {
        // A queue may have several routes.
        if !met.insert(place.id()) {
            continue;
        }
        if known.contains(&place.id()) {
            celery.book.note(place);
        } else {
            new.push(place);
        }
    }
    let missing = known.iter().filter(|id| !met.contains(*id)).cloned().collect();
    let found = verified(celery, new, &announced).await?;
    Ok(Search { found, missing })
}

/// Of these ids, the queues that a route of the default kind leads to: the exchange is called like the queue.
pub(super) async fn recognise(celery: &Celery, queues: &[QueueId]) -> Result<Vec<FoundQueue>, Trouble> {
    let mut found = vec![];
    for queue in queues {
        if let Some(place) = celery.book.of(queue) {
            found.push(found_queue(&place));
            continue;
        }
        let places = routes(celery, &[("", queue)]).await?;
        let own = places.into_iter().filter(|place| place.id() == *queue).collect();
        found.extend(verified(celery, own, &BTreeSet::new()).await?);
    }
    Ok(found)
}

/// Every set with routes; `None` where `SCAN` is not permitted.
async fn walk(link: &Link) -> Result<Option<BTreeSet<String>>, Trouble> {
    let mut found = BTreeSet::new();
    let whole = keys(link, format!("*{BINDING}*").as_bytes(), |key| {
        found.extend(reply::exact(key))
    })
    .await?;
    Ok(whole.then_some(found))
}

/// The set with the routes of an exchange.
fn binding((prefix, exchange): &(&str, &str)) -> Vec<u8> {
    key(prefix, &format!("{BINDING}{exchange}"))
}

/// The queues of these exchanges, each with its prefix.
async fn routes(celery: &Celery, exchanges: &[(&str, &str)]) -> Result<Vec<Place>, Trouble> {
    let (link, mut places) = (&celery.link, vec![]);
    let readable = |exchange: &&(&str, &str)| !is_control(exchange.1) && !celery.refused.holds(&binding(exchange));
    let exchanges: Vec<_> = exchanges.iter().filter(readable).collect();
    for batch in exchanges.chunks(EXCHANGES) {
        let mut pipe = redis::pipe();
        for exchange in batch {
            pipe.cmd("SSCAN")
                .arg(binding(exchange))
                .arg(0)
                .arg("COUNT")
                .arg(ROUTES_MAX);
        }
        let _turn = link.rhythm().turn().await;
        for (exchange, answer) in batch.iter().zip(link.run(&mut pipe).await?) {
            let (prefix, name) = exchange;
            let answer = match answer {
                Ok(answer) => answer,
                Err(error) => {
                    if error.code() == Some("NOPERM") {
                        celery.refused.note(binding(exchange));
                    }
                    continue;
                }
            };
            let members = reply::items(&answer).get(1).map_or(&[][..], reply::items);
            places.extend(members.iter().filter_map(|member| match member {
                Value::BulkString(member) => Place::of(prefix, name, member),
                _ => None,
            }));
        }
    }
    Ok(places)
}

/// Keeps the queues of Celery.
async fn verified(celery: &Celery, places: Vec<Place>, announced: &BTreeSet<&str>) -> Result<Vec<FoundQueue>, Trouble> {
    let mut found = vec![];
    let open = |place: &Place| !celery.refused.holds(&place.lists[0]);
    let places: Vec<Place> = places.into_iter().filter(open).collect();
    for batch in places.chunks(BATCH) {
        let mut pipe = redis::pipe();
        for place in batch {
            for list in &place.lists {
                pipe.cmd("LINDEX").arg(list).arg(-1);
            }
        }
        let _turn = celery.link.rhythm().turn().await;
        let replies = celery.link.run(&mut pipe).await?;
        let mut rest = replies.as_slice();
        for place in batch {
            let Some((own, next)) = rest.split_at_checked(place.lists.len()) else {
                break;
            };
            rest = next;
            if holds_tasks(own, announced.contains(&*place.prefix)) {
                celery.book.note(place.clone());
                found.push(found_queue(place));
            } else if !own.iter().all(|next| matches!(next, Ok(Value::Nil))) {
                // Its messages may be large.
                celery.refused.note(place.lists[0].clone());
            }
        }
    }
    Ok(found)
}

/// Whether the next message of each list tells of Celery. One that cannot be read says nothing.
fn holds_tasks(next: &[RedisResult<Value>], announced: bool) -> bool {
    // A key of another type is another application's.
    if matches!(next.first(), Some(Err(error)) if error.code() == Some("WRONGTYPE")) {
        return false;
    }
    let messages = next.iter().filter_map(|reply| match reply {
        Ok(Value::BulkString(bytes)) => Message::read(bytes),
        _ => None,
    });
    let mut tasks = messages.map(|message| message.is_task());
    match tasks.next() {
        Some(first) => first || tasks.any(|task| task),
        None => announced,
    }
}

fn found_queue(place: &Place) -> FoundQueue {
    FoundQueue {
        id: place.id(),
        name: place.name.clone(),
        system: System::Celery,
        family: capabilities::family(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_or_an_announced_worker_makes_a_queue_celerys() {
        let message = |task: &str| {
            let text = format!(r#"{{"body":"","headers":{{{task}}},"properties":{{"delivery_tag":"t"}}}}"#);
            Ok(Value::BulkString(text.into_bytes()))
        };
        let (task, kombu) = (|| message(r#""task":"t","id":"1""#), || message(""));
        let (nothing, broken) = (|| Ok(Value::Nil), || Ok(Value::BulkString(b"hello".to_vec())));
        for (next, announced, wanted) in [
            (vec![task()], false, true),
            (vec![kombu()], true, false),
            (vec![kombu(), task()], false, true),
            (vec![nothing()], false, false),
            (vec![nothing()], true, true),
            (vec![broken()], false, false),
            (vec![broken()], true, true),
        ] {
            assert_eq!(holds_tasks(&next, announced), wanted, "{next:?} {announced}");
        }
    }
}
