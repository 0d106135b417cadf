//! Puts messages that a lost worker held back into their queue.
//!
//! A live worker puts such messages back by itself when the visibility timeout has passed; without a worker they stay. No key tells
//! which worker held a message. So this is done only where no worker is there by all that can be known: no heartbeat was heard, no
//! connection waits for a message, and no client listens for remote control. The script itself asks the last question.

use super::super::{Celery, QueueId, held, nodes};
use super::{Place, control, fits, refused, unheard, was_elsewhere};
use crate::model::action::{Effect, Seen};
use crate::model::exact::{bytes_of, text_of};
use crate::model::now;
use crate::model::state::JobState;
use crate::server::adapter::Trouble;
use crate::server::adapter::celery::book::key;
use crate::server::adapter::celery::held::{All, Held};
use crate::server::adapter::celery::list::held_row;
use crate::server::adapter::celery::message::{Message, digest, redelivered};
use crate::server::adapter::redis::reply;
use crate::server::adapter::redis::script::{Given, lacks, refusal};
use redis::{RedisResult, Value};
use std::sync::Arc;

/// The lowest priority.
const LAST: u64 = 9;

/// Deliveries that are named in a sentence.
const NAMED: usize = 3;

const NOT_HELD: &str = "No worker holds it any more: it was acknowledged, or put back.";
const NOT_READ: &str = "Its message is too large to be read, or it is not one of Celery. Start a worker: it puts the message back when \
                        the visibility timeout has passed.";
const LISTENED: &str = "A client listens for remote control as workers do, although no heartbeat is heard: a worker without heartbeats \
                        may hold it. It puts the message back by itself when the visibility timeout has passed.";
const LOOK: &str = "Look whether the task waits again before you try again.";

/// Puts tasks back, one after the other.
pub(super) async fn all(
    celery: &Celery,
    queue: &QueueId,
    place: &Place,
    jobs: &[(String, Seen)],
) -> Result<Vec<Effect>, Trouble> {
    let alive = nodes::alive(celery, &place.prefix).await?;
    let mut effects = Vec::with_capacity(jobs.len());
    for (id, seen) in jobs {
        match one(celery, queue, place, (id, seen), alive.as_deref()).await {
            Ok(effect) => effects.push(effect),
            Err(trouble) if effects.is_empty() => return Err(trouble),
            Err(trouble) => effects.push(refused(format!("The command was not sent: {trouble}"))),
        }
    }
    Ok(effects)
}

async fn one(
    celery: &Celery,
    queue: &QueueId,
    place: &Place,
    (id, seen): (&str, &Seen),
    alive: Option<&str>,
) -> Result<Effect, Trouble> {
    if was_elsewhere(seen, &[JobState::Active, JobState::Delayed]).is_some() {
        return Ok(refused("Only what a worker held can be put back."));
    }
    let all = celery.hands.read(&celery.link, &celery.book, &place.prefix).await?;
    let held = match chosen(&all, queue, id, seen) {
        Ok(held) => held,
        Err(effect) => return Ok(effect),
    };
    if let Some(why) = alive {
        return Ok(refused(why));
    }
    let raw = held::raw(&celery.link, &place.prefix, &held.tag).await?;
    let Some(given) = raw.as_deref().and_then(|raw| given(celery, place, held, raw)) else {
        return Ok(refused(NOT_READ));
    };
    let answer = celery.scripts.put_back.run(&celery.link, &[given]).await;
    Ok(match answer {
        Ok(answers) => answers
            .first()
            .map_or_else(|| refused(NOT_READ), |answer| effect(celery, answer)),
        Err(silence) if !silence.sent => return Err(silence.trouble),
        Err(silence) => unheard(&silence, LOOK),
    })
}

/// The message that is meant. Two that were seen alike are told apart by their delivery only.
pub(super) fn chosen<'a>(all: &'a All, queue: &'a QueueId, id: &str, seen: &Seen) -> Result<&'a Held, Effect> {
    if let Some(why) = &all.refused {
        return Err(refused(format!("What workers hold cannot be read: {why}.")));
    }
    let at = now();
    let as_seen = |held: &&Arc<Held>| {
        let state = held_row(held, at).state;
        held.is(id) && fits(seen, held.row.attempts.unwrap_or(0)) && was_elsewhere(seen, &[state]).is_none()
    };
    let held: Vec<&Arc<Held>> = all.of(queue).filter(as_seen).collect();
    match held.as_slice() {
        [] => Err(Effect::Changed { now: NOT_HELD.into() }),
        [held] => Ok(held),
        many => {
            let named = many.iter().take(NAMED);
            let tags: Vec<String> = named.map(|held| format!("tag:{}", held.tag)).collect();
            Err(refused(format!(
                "Workers held {} messages of this task, and nothing was done because its id does not tell which is meant. Each has a \
                 page of its own: {}.",
                many.len(),
                tags.join(", ")
            )))
        }
    }
}

/// What the script is given about a message.
fn given(celery: &Celery, place: &Place, held: &Held, raw: &[u8]) -> Option<Given> {
    let (message, ..) = Message::unacknowledged(raw)?;
    let index = ["unacked", "unacked_index"].map(|name| key(&place.prefix, name));
    let keys = index.into_iter().chain(place.lists.iter().cloned()).collect();
    let arguments = vec![
        bytes_of(&held.tag).into_owned(),
        digest(raw).replace("sha1:", "").into_bytes(),
        held.since.to_string().into_bytes(),
        redelivered(raw)?,
        message.priority().min(LAST).to_string().into_bytes(),
        control::channel(place, celery.link.database()),
        control::question(),
    ];
    Some((keys, arguments))
}

fn effect(celery: &Celery, answer: &RedisResult<Value>) -> Effect {
    let words = match answer {
        Ok(answer) => reply::items(answer),
        Err(error) => return refused(refusal(error, super::RULES)),
    };
    let word = |i: usize| match words.get(i) {
        Some(Value::BulkString(bytes)) => text_of(bytes),
        _ => String::new(),
    };
    match word(0).as_str() {
        "done" => Effect::noted("It is in front of its queue: the next worker that starts takes it first.".into()),
        "listened" => refused(LISTENED),
        "lacks" => refused(lacks(celery.link.user(), &word(1), &word(2))),
        // "gone" and "changed": another worker may have got it, and acknowledged it.
        _ => Effect::Changed { now: NOT_HELD.into() },
    }
}
