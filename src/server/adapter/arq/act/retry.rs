//! Has failed jobs run again, with the arguments that their results hold.

use super::super::capabilities::ONLY_FAILED;
use super::super::record::Record;
use super::super::{Arq, QueueId, RESULT, key};
use super::payload::of_result;
use super::{LOOK, RULES, keys, others, refused};
use crate::model::action::{Effect, Seen};
use crate::model::exact::bytes_of;
use crate::model::format;
use crate::model::now;
use crate::model::state::JobState;
use crate::server::adapter::Trouble;
use crate::server::adapter::arq::list::bytes;
use crate::server::adapter::redis::reply;
use crate::server::adapter::redis::script::{Given, lacks, refusal, unheard, unsent};
use redis::{RedisResult, Value};
use sha1::{Digest as _, Sha1};

/// The largest result that is read.
const LARGEST: usize = 1024 * 1024;

/// How long a payload is kept: as the library does for a job that is due at once.
const KEPT_MS: u64 = 86_400_000;

/// The function that arq names in a result where it could not read the job.
const UNKNOWN: &str = "<unknown>";

const GONE: &str = "Its result is gone: it expired, or the job runs again.";
const OTHER: &str = "Its result is not the one that was shown.";
const BUSY: &str = "A job with this id waits or runs already.";
const UNREAD: &str =
    "Its result cannot be read: its application has a serializer of its own, or it is larger than 1 MiB.";
const NO_ARGUMENTS: &str =
    "Its result has no arguments: the worker could not read the job, or its payload had expired. Add it again.";
const NOT_APART: &str = "The arguments cannot be taken out of its result unchanged: the result is a pickle of 64 KiB or more, or of an older \
                         protocol than 4. Add the job again.";

/// Runs jobs again, one after the other.
pub(super) async fn all(arq: &Arq, queue: &QueueId, jobs: &[(String, Seen)]) -> Result<Vec<Effect>, Trouble> {
    let mut effects = Vec::with_capacity(jobs.len());
    for (id, seen) in jobs {
        match one(arq, queue, id, seen).await {
            Ok(effect) => effects.push(effect),
            Err(trouble) if effects.is_empty() => return Err(trouble),
            Err(trouble) => effects.push(unsent(&trouble)),
        }
    }
    Ok(effects)
}

async fn one(arq: &Arq, queue: &QueueId, id: &str, seen: &Seen) -> Result<Effect, Trouble> {
    let mut pipe = redis::pipe();
    pipe.cmd("GETRANGE").arg(key(RESULT, id)).arg(0).arg(LARGEST);
    let replies = arq.link.read_long(&mut pipe).await?;
    let result = replies.first().map_or(&[][..], bytes);
    let payload = match payload(result, queue, seen) {
        Ok(payload) => payload,
        Err(effect) => return Ok(effect),
    };
    let sha: String = Sha1::digest(result).iter().map(|byte| format!("{byte:02x}")).collect();
    let own = [
        bytes_of(id).into_owned(),
        now().to_string().into_bytes(),
        sha.into_bytes(),
        payload,
        KEPT_MS.to_string().into_bytes(),
    ];
    let given: Given = (keys(queue, id), own.into_iter().chain(others(arq, queue)).collect());
    Ok(match arq.scripts.retry.run(&arq.link, &[given]).await {
        Ok(answers) => answers
            .first()
            .map_or_else(|| refused(UNREAD), |answer| effect(arq.link.user(), answer)),
        Err(silence) if !silence.sent => return Err(silence.trouble),
        Err(silence) => unheard(&silence, LOOK),
    })
}

/// The payload of the job that left this result, if it is the one that was seen.
fn payload(result: &[u8], queue: &QueueId, seen: &Seen) -> Result<Vec<u8>, Effect> {
    if result.is_empty() {
        return Err(Effect::Changed { now: GONE.into() });
    }
    let record = Some(result)
        .filter(|result| result.len() <= LARGEST)
        .and_then(Record::read);
    let record = record.filter(|record| record.succeeded.is_some());
    let record = record.ok_or_else(|| refused(UNREAD))?;
    if seen.state.is_some_and(|state| state != JobState::Failed) || record.succeeded == Some(true) {
        return Err(refused(ONLY_FAILED));
    }
    if record.queue.as_deref() != Some(queue) {
        let of = record.queue.unwrap_or_default();
        return Err(refused(format!(
            "The result is one of another queue: {}.",
            format::visible(&of)
        )));
    }
    let is_other = seen.finished_on.is_some_and(|at| record.ended != Some(at))
        || seen
            .attempts
            .is_some_and(|tries| u64::from(record.tries.unwrap_or(0)) != tries);
    if is_other {
        return Err(Effect::Changed { now: OTHER.into() });
    }
    if record.function == UNKNOWN {
        return Err(refused(NO_ARGUMENTS));
    }
    of_result(result, &record).ok_or_else(|| refused(NOT_APART))
}

fn effect(user: &str, answer: &RedisResult<Value>) -> Effect {
    let words = match answer {
        Ok(answer) => reply::items(answer),
        Err(error) => return refused(refusal(error, RULES)),
    };
    let changed = |now: &str| Effect::Changed { now: now.into() };
    let word = |i: usize| words.get(i).and_then(reply::exact).unwrap_or_default();
    match word(0).as_str() {
        "lacks" => refused(lacks(user, &word(1), &word(2))),
        "done" => Effect::done(),
        "busy" => changed(BUSY),
        "changed" => changed(OTHER),
        _ => changed(GONE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESULT: &str = r#"{"t": 3, "f": "add", "a": [1], "k": {}, "et": 7, "s": false, "r": "no", "st": 8, "ft": 9, "q": "mail", "id": "a"}"#;

    fn tried(result: &str, seen: &Seen) -> Result<Vec<u8>, Effect> {
        payload(result.as_bytes(), &"mail".into(), seen)
    }

    #[test]
    fn only_the_failure_that_was_seen_is_run_again() {
        let seen = |tries, at| Seen {
            state: Some(JobState::Failed),
            finished_on: Some(at),
            attempts: Some(tries),
        };
        let wanted = br#"{"t":null,"f":"add","a":[1],"k":{},"et":7}"#;
        assert_eq!(tried(RESULT, &seen(3, 9)).unwrap(), wanted);
        assert_eq!(tried(RESULT, &Seen::default()).unwrap(), wanted);
        for other in [seen(2, 9), seen(3, 10)] {
            assert_eq!(
                tried(RESULT, &other).unwrap_err(),
                Effect::Changed { now: OTHER.into() }
            );
        }
        let refusal = |old: &str, new: &str| match tried(&RESULT.replace(old, new), &Seen::default()) {
            Err(Effect::Refused { reason }) => reason,
            other => panic!("{other:?}"),
        };
        assert_eq!(refusal("false", "true"), ONLY_FAILED);
        assert!(refusal("\"mail\"", "\"other\"").contains("another queue: other"));
        assert_eq!(refusal("\"add\"", "\"<unknown>\""), NO_ARGUMENTS);
        assert_eq!(refusal("\"t\": 3", "nonsense"), UNREAD);
    }
}
