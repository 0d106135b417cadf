//! Has workers discard a task when they take it, or when its ETA comes: `revoke`, as Celery's own clients send it.
//!
//! Nothing in Redis keeps it. The message stays where it is until a worker meets it, and the workers that were told remember it for as
//! long as one of them runs.

use super::super::{Celery, QueueId, ReadError, held};
use super::seek::seek;
use super::{Place, control, fits, put_back, refused, unheard, was_elsewhere};
use crate::model::action::{Effect, Seen};
use crate::model::exact::bytes_of;
use crate::model::format;
use crate::model::state::JobState;
use crate::server::adapter::Trouble;
use crate::server::adapter::celery::book::key;
use crate::server::adapter::celery::message::{Message, digest};
use crate::server::adapter::redis::reply;
use crate::server::adapter::redis::script::{Given, lacks, refusal};
use redis::{RedisResult, Value};

const GONE: &str = "It neither waits nor is held as it was shown: a worker runs it, or it is over.";
const UNTOLD: &str = "No worker listens for remote control, and nothing else keeps a revocation: nothing was done. Remove the task \
                      instead if it waits.";
const NO_ID: &str = "This message has no task id by which it could be revoked. Remove it instead if it waits.";
const LOOK: &str = "Repeating it is safe.";

/// Revokes tasks, one after the other.
pub(super) async fn all(
    celery: &Celery,
    queue: &QueueId,
    place: &Place,
    jobs: &[(String, Seen)],
) -> Result<Vec<Effect>, Trouble> {
    let mut effects = Vec::with_capacity(jobs.len());
    for job in jobs {
        match one(celery, queue, place, job).await {
            Ok(effect) => effects.push(effect),
            Err(trouble) if effects.is_empty() => return Err(trouble),
            Err(trouble) => effects.push(refused(format!("The command was not sent: {trouble}"))),
        }
    }
    Ok(effects)
}

async fn one(celery: &Celery, queue: &QueueId, place: &Place, job: &(String, Seen)) -> Result<Effect, Trouble> {
    let (id, seen) = job;
    if was_elsewhere(seen, &[JobState::Waiting, JobState::Delayed]).is_some() {
        return Ok(refused("A task that runs or may run is not stopped by that."));
    }
    let given = match seen.state {
        Some(JobState::Delayed) => delayed(celery, queue, place, id, seen).await?,
        _ => waiting(celery, queue, place, job).await?,
    };
    let given = match given {
        Ok(given) => given,
        Err(effect) => return Ok(effect),
    };
    Ok(match celery.scripts.revoke.run(&celery.link, &[given]).await {
        Ok(answers) => answers
            .first()
            .map_or_else(|| refused(GONE), |answer| effect(celery, answer)),
        Err(silence) if !silence.sent => return Err(silence.trouble),
        Err(silence) => unheard(&silence, LOOK),
    })
}

/// What the script is given about a task that waits.
async fn waiting(
    celery: &Celery,
    queue: &QueueId,
    place: &Place,
    job: &(String, Seen),
) -> Result<Result<Given, Effect>, Trouble> {
    let (id, seen) = job;
    let sought = match seek(celery, queue, place, &[job]).await {
        Ok(sought) => sought,
        Err(ReadError::Store(trouble)) => return Err(trouble),
        Err(error) => return Ok(Err(refused(error.to_string()))),
    };
    let found = sought.found.get(id).into_iter().flatten();
    let Some(found) = found.into_iter().find(|found| fits(seen, found.retries)) else {
        return Ok(Err(Effect::Changed { now: GONE.into() }));
    };
    let Some(message) = Message::read(&found.bytes).filter(|message| !message.id().is_empty()) else {
        return Ok(Err(refused(NO_ID)));
    };
    Ok(Ok(given(
        celery,
        place,
        place.lists[found.list].clone(),
        [found.bytes.clone(), vec![], vec![]],
        message.id(),
    )))
}

/// What the script is given about a task that a worker holds until its ETA.
async fn delayed(
    celery: &Celery,
    queue: &QueueId,
    place: &Place,
    id: &str,
    seen: &Seen,
) -> Result<Result<Given, Effect>, Trouble> {
    let all = celery.hands.read(&celery.link, &celery.book, &place.prefix).await?;
    let held = match put_back::chosen(&all, queue, id, seen) {
        Ok(held) => held,
        Err(Effect::Changed { .. }) => return Ok(Err(Effect::Changed { now: GONE.into() })),
        Err(effect) => return Ok(Err(effect)),
    };
    let Some(raw) = held::raw(&celery.link, &place.prefix, &held.tag).await? else {
        return Ok(Err(Effect::Changed { now: GONE.into() }));
    };
    let Some((message, ..)) = Message::unacknowledged(&raw).filter(|(message, ..)| !message.id().is_empty()) else {
        return Ok(Err(refused(NO_ID)));
    };
    let what = [
        vec![],
        bytes_of(&held.tag).into_owned(),
        digest(&raw).replace("sha1:", "").into_bytes(),
    ];
    Ok(Ok(given(
        celery,
        place,
        key(&place.prefix, "unacked"),
        what,
        message.id(),
    )))
}

fn given(celery: &Celery, place: &Place, of: Vec<u8>, what: [Vec<u8>; 3], task: &str) -> Given {
    let told = [
        control::channel(place, celery.link.database()),
        control::revocation(task),
    ];
    (vec![of], what.into_iter().chain(told).collect())
}

fn effect(celery: &Celery, answer: &RedisResult<Value>) -> Effect {
    let words = match answer {
        Ok(answer) => reply::items(answer),
        Err(error) => return refused(refusal(error, super::RULES)),
    };
    let word = |i: usize| words.get(i).and_then(reply::exact).unwrap_or_default();
    match (word(0).as_str(), word(1).parse().unwrap_or(0)) {
        ("told", 0) => refused(UNTOLD),
        ("told", n) => Effect::noted(format!(
            "{} told to discard it.",
            format::counted(n, "worker was", "workers were")
        )),
        ("lacks", _) => refused(lacks(celery.link.user(), &word(1), &word(2))),
        _ => Effect::Changed { now: GONE.into() },
    }
}
