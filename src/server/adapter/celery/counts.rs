//! How many messages each queue holds.
//!
//! | state | is |
//! |---|---|
//! | waiting | the messages in the lists of all priorities. One with an ETA that no worker has taken yet is among them |
//! | delayed | those that workers hold until their ETA |
//! | active | those that workers hold otherwise: taken in advance, held back by a rate limit, or running and acknowledged late |
//! | completed, failed | not known: results are stored by task id alone |
//!
//! By default a worker acknowledges a task before it runs it, and then no key tells of it. So no active task is known only
//! where no worker runs anything by its heartbeat; otherwise that number is not known.

use super::super::redis::reply;
use super::super::{QueueId, Reading, Trouble};
use super::Celery;
use super::book::Place;
use super::capabilities::{NO_FINISHED, family};
use super::held::All;
use super::nodes::{Busy, Said};
use crate::model::counts::Counts;
use crate::model::now;
use crate::model::state::JobState;
use crate::model::system::System;
use redis::{RedisResult, Value};
use std::collections::HashMap;
use std::sync::Arc;

/// Queues read in one pipeline.
const BATCH: usize = 100;

const HELD: &str =
    "Active are tasks that workers hold unacknowledged; by default Celery acknowledges a task before it runs.";
const NO_EVENTS: &str = "Its workers ran tasks without events: start them with -E, and changes are counted at once instead of every \
                         two seconds.";

/// What all queues of an application share.
struct Application {
    held: Arc<All>,
    said: Said,
}

/// Commands sent for a queue whose messages all have the priority that runs first. One with others needs nine more.
const COMMANDS: usize = 3;

/// What was found in the lists of a queue.
struct Lists {
    waiting: Result<u64, String>,
    /// Whether there are lists of other priorities, which are not counted yet.
    more: bool,
    /// Whether its route is there.
    route: bool,
}

/// Counts the given queues.
pub(super) async fn read(celery: &Celery, queues: &[QueueId]) -> Result<Vec<Reading>, Trouble> {
    let mut applications: HashMap<Arc<str>, Application> = HashMap::new();
    let mut readings = Vec::with_capacity(queues.len());
    for batch in queues.chunks(BATCH) {
        let places: Vec<Option<Arc<Place>>> = batch.iter().map(|queue| celery.book.of(queue)).collect();
        let mut lists = lists(celery, &places).await?.into_iter();
        for (queue, place) in batch.iter().zip(places) {
            let Some((place, lists)) = place.and_then(|place| Some((place, lists.next()?))) else {
                readings.push(reading(
                    Counts::UNKNOWN,
                    Some("Its route has not been read yet.".into()),
                    true,
                ));
                continue;
            };
            // After its lists: a message that a worker takes meanwhile is counted twice rather than not at all.
            if !applications.contains_key(&place.prefix) {
                let held = celery.hands.read(&celery.link, &celery.book, &place.prefix).await?;
                let said = celery.nodes.of(&place.prefix);
                applications.insert(place.prefix.clone(), Application { held, said });
            }
            readings.push(interpret(queue, lists, &applications[&place.prefix]));
        }
    }
    Ok(readings)
}

/// Counts the messages in the lists of the queues whose place is known.
async fn lists(celery: &Celery, places: &[Option<Arc<Place>>]) -> Result<Vec<Lists>, Trouble> {
    let known: Vec<&Arc<Place>> = places.iter().flatten().collect();
    let mut pipe = redis::pipe();
    for place in &known {
        pipe.cmd("LLEN").arg(&place.lists[0]);
        pipe.cmd("EXISTS").arg(&place.lists[1..]);
        pipe.cmd("SISMEMBER").arg(&place.binding.0).arg(&place.binding.1);
    }
    let replies = celery.link.run(&mut pipe).await?;
    let mut lists: Vec<Lists> = replies.chunks_exact(COMMANDS).map(first).collect();
    let mut pipe = redis::pipe();
    for (place, _) in known.iter().zip(&lists).filter(|(_, lists)| lists.more) {
        for list in &place.lists[1..] {
            pipe.cmd("LLEN").arg(list);
        }
    }
    let replies = celery.link.run(&mut pipe).await?;
    let mut rest = replies.iter();
    for (place, lists) in known.iter().zip(&mut lists).filter(|(_, lists)| lists.more) {
        let others: Result<u64, String> = rest.by_ref().take(place.lists.len() - 1).map(reply::count).sum();
        lists.waiting = lists.waiting.clone().and_then(|first| Ok(first + others?));
    }
    Ok(lists)
}

fn first(replies: &[RedisResult<Value>]) -> Lists {
    let (waiting, more) = (reply::count(&replies[0]), reply::count(&replies[1]));
    Lists {
        more: more.as_ref().is_ok_and(|n| *n > 0),
        waiting: more.and(waiting),
        route: !matches!(replies[2], Ok(Value::Int(0))),
    }
}

fn reading(counts: Counts, reason: Option<String>, exists: bool) -> Reading {
    Reading {
        counts,
        reason,
        // Celery pauses no queue: single workers can be told not to consume it.
        paused: Some(false),
        version: None,
        system: System::Celery,
        family: family(),
        added: None,
        pushed: false,
        exists,
    }
}

fn interpret(queue: &QueueId, lists: Lists, application: &Application) -> Reading {
    let Application { held, said } = application;
    let mut counts = Counts::zero();
    for state in [JobState::Completed, JobState::Failed] {
        counts.set(state, None);
    }
    let mut reason = vec![NO_FINISHED.to_owned(), HELD.to_owned()];
    let waiting = match lists.waiting {
        Ok(waiting) => Some(waiting),
        Err(why) => {
            // The reason that matters, and by its end whether our user may not read it.
            reason = vec![format!("Its messages cannot be counted: {why}")];
            None
        }
    };
    counts.set(JobState::Waiting, waiting);
    let now = now();
    let delayed = held.of(queue).filter(|message| message.is_delayed(now)).count() as u64;
    let active = held.of(queue).count() as u64 - delayed;
    let unknown = held.unknown();
    let whole = unknown.is_none();
    counts.set(JobState::Delayed, Some(delayed).filter(|_| whole));
    let idle = said.busy == Busy::No;
    counts.set(JobState::Active, Some(active).filter(|n| whole && (*n > 0 || idle)));
    if let Some(why) = unknown.filter(|_| waiting.is_some()) {
        reason.insert(0, why);
    }
    if said.mute && waiting.is_some() {
        reason.push(NO_EVENTS.to_owned());
    }
    let exists = waiting != Some(0) || active + delayed > 0 || lists.route;
    Reading {
        version: said.version.clone(),
        ..reading(counts, Some(reason.join(" ")), exists)
    }
}

#[cfg(test)]
mod tests {
    use super::super::held::MOST;
    use super::*;

    fn application(busy: Busy) -> Application {
        let said = Said {
            busy,
            names: vec!["a@h".into()],
            silent: false,
            mute: true,
            version: Some("5.5.3".into()),
        };
        let held = Arc::default();
        Application { held, said }
    }

    fn lists(waiting: u64, route: bool) -> Lists {
        Lists {
            waiting: Ok(waiting),
            more: false,
            route,
        }
    }

    #[test]
    fn what_is_not_known_is_not_zero() {
        let read = interpret(&"celery".into(), lists(3, true), &application(Busy::Perhaps));
        assert_eq!(read.counts.get(JobState::Waiting), Some(3));
        for unknown in [JobState::Active, JobState::Completed, JobState::Failed] {
            assert_eq!(read.counts.get(unknown), None, "{unknown}");
        }
        assert!(read.reason.unwrap().contains("-E"));
        let idle = interpret(&"celery".into(), lists(3, true), &application(Busy::No));
        assert_eq!(idle.counts.get(JobState::Active), Some(0));
        assert!(!interpret(&"celery".into(), lists(0, false), &application(Busy::No)).exists);
    }

    #[test]
    fn more_than_can_be_followed_is_not_known() {
        let mut application = application(Busy::No);
        application.held = Arc::new(All {
            total: MOST + 1,
            ..All::default()
        });
        let read = interpret(&"celery".into(), lists(0, true), &application);
        assert_eq!(
            (read.counts.get(JobState::Active), read.counts.get(JobState::Delayed)),
            (None, None)
        );
        assert!(
            read.reason
                .unwrap()
                .starts_with("Workers hold more than 2,000 messages")
        );
    }
}
