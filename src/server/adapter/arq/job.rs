//! One job, from its place in the queue, its payload, and the result that it left.

use super::super::decode::shown;
use super::super::redis::link::Link;
use super::super::redis::reply;
use super::super::{FieldBytes, FieldError, QueueId, ReadError};
use super::front::{Front, due, look};
use super::list::{EXPIRED, Sight, begun, bytes, row};
use super::record::{Record, unread};
use super::{ABORT, IN_PROGRESS, JOB, RESULT, RETRY, key};
use crate::model::exact::bytes_of;
use crate::model::format;
use crate::model::job::{EffectiveOption, Form, JobDetail, JobRow, Neighbours, Origin, Payload, Place, cut};
use crate::model::state::JobState;
use crate::model::{Millis, now};
use bytes::Bytes;
use redis::{RedisResult, Value};

/// The largest payload or result that is read.
const LARGEST: u64 = 1024 * 1024;

/// Characters of the first line of an error.
const ERROR_CHARS: usize = 300;

/// Everything that is stored about a job.
#[derive(Debug, Default)]
struct Found {
    /// When it is due; `None` if it is not in the queue.
    due: Option<Millis>,
    /// How many are due before it.
    rank: u64,
    /// How long the claim of a worker holds.
    claim: Option<Millis>,
    begun: u32,
    size: u64,
    payload: Vec<u8>,
    /// How long the payload is kept.
    kept: Option<Millis>,
    result: Vec<u8>,
    result_size: u64,
    result_kept: Option<Millis>,
    /// When an abort was asked for.
    abort: Option<Millis>,
}

/// Reads a job; `None` if it is not in the queue and left no result there.
pub(super) async fn read(link: &Link, queue: &QueueId, id: &str) -> Result<Option<JobDetail>, ReadError> {
    let found = look_for(link, queue, id).await?;
    let result = Record::read(&found.result);
    if found.due.is_none() {
        let left = match &result {
            // Another queue's.
            Some(result) => result.queue.as_ref().is_none_or(|of| *of == **queue),
            None => found.result_size > 0,
        };
        return Ok(left.then(|| ended(id, &found, result.as_ref())));
    }
    let front = look(link, std::slice::from_ref(queue)).await?.pop();
    let front = front.and_then(Result::ok).unwrap_or_default();
    Ok(Some(queued(id, &found, &front)))
}

async fn look_for(link: &Link, queue: &str, id: &str) -> Result<Found, ReadError> {
    let (queue, member) = (bytes_of(queue), bytes_of(id));
    let (job, claim, result) = (key(JOB, id), key(IN_PROGRESS, id), key(RESULT, id));
    let mut pipe = redis::pipe();
    pipe.cmd("ZSCORE").arg(&*queue).arg(&*member);
    pipe.cmd("ZRANK").arg(&*queue).arg(&*member);
    pipe.cmd("PTTL").arg(&claim);
    pipe.cmd("GET").arg(key(RETRY, id));
    pipe.cmd("STRLEN").arg(&job);
    pipe.cmd("GETRANGE").arg(&job).arg(0).arg(LARGEST);
    pipe.cmd("PTTL").arg(&job);
    pipe.cmd("STRLEN").arg(&result);
    pipe.cmd("GETRANGE").arg(&result).arg(0).arg(LARGEST);
    pipe.cmd("PTTL").arg(&result);
    pipe.cmd("ZSCORE").arg(ABORT).arg(&*member);
    let replies = link.read_long(&mut pipe).await?;
    let [
        score,
        rank,
        claim,
        tries,
        size,
        payload,
        kept,
        result_size,
        result,
        result_kept,
        abort,
    ] = replies.as_slice()
    else {
        return Ok(Found::default());
    };
    let score = score
        .as_ref()
        .map_err(|error| ReadError::Corrupt(format!("The job cannot be read: {}.", reply::why(error))))?;
    let number = |reply: &RedisResult<Value>| reply::count(reply).unwrap_or(0);
    Ok(Found {
        due: due(score),
        rank: number(rank),
        claim: left(claim),
        begun: tries.as_ref().map_or(0, begun),
        size: number(size),
        payload: bytes(payload).to_vec(),
        kept: left(kept).filter(|left| *left < Millis::MAX),
        result_size: number(result_size),
        result: bytes(result).to_vec(),
        result_kept: left(result_kept).filter(|left| *left < Millis::MAX),
        abort: abort.as_ref().ok().and_then(due),
    })
}

/// How long a key is there, from its `PTTL`; `None` if it is not there.
fn left(reply: &RedisResult<Value>) -> Option<Millis> {
    match reply.as_ref().ok().and_then(reply::int)? {
        -2 => None,
        -1 => Some(Millis::MAX),
        left => Some(left),
    }
}

/// A job that is in the queue.
fn queued(id: &str, found: &Found, front: &Front) -> JobDetail {
    let (due, now) = (found.due.unwrap_or_default(), now());
    let sight = Sight {
        claimed: found.claim.is_some(),
        begun: found.begun,
        size: found.size,
    };
    let state = sight.state(due, now);
    let mut oddities = vec![];
    if found.size == 0 {
        oddities.push(format!("There is no arq:job key: {EXPIRED}."));
    }
    if found.result_size > 0 {
        oddities.push("It is in the queue again, and an earlier run of the same id left a result.".into());
    }
    if let Some(at) = found.abort {
        oddities.push(format!(
            "An abort was asked for at {}. A worker aborts jobs only with allow_abort_jobs.",
            format::moment(at)
        ));
    }
    let claimed = front.claimed.iter().map(|entry| entry.at);
    let place = match state {
        JobState::Active => claimed.clone().position(|at| at == found.rank).map(|at| Place {
            at: at as u64 + 1,
            of: front.claimed.len() as u64,
        }),
        JobState::Delayed => found.rank.checked_sub(front.due).map(|at| Place {
            at: at + 1,
            of: front.total.saturating_sub(front.due),
        }),
        _ => front.waiting().map(|of| Place {
            at: found.rank + 1 - claimed.filter(|at| *at < found.rank).count() as u64,
            of,
        }),
    };
    let record = Record::read(&found.payload);
    JobDetail {
        state_known: true,
        state_note: note(found, state),
        oddities,
        place: place.filter(|place| place.at <= place.of),
        neighbours: Neighbours {
            unknown: Some("the jobs beside it change while workers take them".into()),
            ..Neighbours::default()
        },
        attempts_started: Some(found.begun),
        ready: (state == JobState::Waiting).then_some(due),
        data: data(found, record.as_ref()),
        effective: effective(found, record.as_ref()),
        ..JobDetail::of(row(id, due, state, &sight, &found.payload), now)
    }
}

/// How it is to be understood that a job is in its state.
fn note(found: &Found, state: JobState) -> Option<String> {
    match (state, found.claim) {
        (JobState::Active, Some(Millis::MAX)) => Some("a worker has claimed it, and the claim does not end".into()),
        (JobState::Active, Some(left)) => Some(format!(
            "a worker has claimed it; if the worker is lost, another one begins it again when the claim ends in {}",
            format::span(left)
        )),
        _ if found.size == 0 => Some(EXPIRED.into()),
        (JobState::Delayed, _) if found.begun > 0 => Some("it is to be tried again".into()),
        (JobState::Waiting, _) if found.begun > 0 => {
            Some("a try has begun and not ended: the worker stopped, or asked for another try".into())
        }
        _ => None,
    }
}

/// A job that left a result.
fn ended(id: &str, found: &Found, result: Option<&Record>) -> JobDetail {
    let now = now();
    let state = match result.and_then(|result| result.succeeded) {
        Some(false) => JobState::Failed,
        _ => JobState::Completed,
    };
    let known = result.is_some_and(|result| result.succeeded.is_some());
    let error = result.and_then(Record::error);
    let data = result.map(Record::data);
    let row = JobRow {
        started: result.and_then(|result| result.began),
        finished: result.and_then(|result| result.ended),
        error: error
            .as_ref()
            .map(|error| cut(error.lines().next().unwrap_or_default(), ERROR_CHARS)),
        attempts: result.and_then(|result| result.tries),
        data_size: data.as_ref().map_or(0, |data| data.size),
        problem: None,
        ..row(
            id,
            0,
            state,
            &Sight {
                claimed: false,
                begun: 0,
                size: 0,
            },
            &found.result,
        )
    };
    let why = match found.result_size {
        size if size > LARGEST => format!("it is larger than {}", format::bytes(LARGEST)),
        _ => "its application has a serializer of its own".to_owned(),
    };
    JobDetail {
        state_known: known,
        state_note: (!known).then(|| "nothing is known of it but that it left a result".to_owned()),
        oddities: if known {
            vec![]
        } else {
            vec![format!("Its result is not shown: {why}.")]
        },
        neighbours: Neighbours {
            unknown: Some("finished jobs are in no list".into()),
            ..Neighbours::default()
        },
        attempts_started: result.and_then(|result| result.tries),
        data,
        effective: effective(found, result),
        result: result.and_then(Record::result),
        error: error.map(|text| shown(&text, Form::Text, text.len(), None)),
        traces_note: (state == JobState::Failed)
            .then(|| "arq stores the class and the arguments of an error, and no traceback".to_owned()),
        ..JobDetail::of(row, now)
    }
}

fn data(found: &Found, record: Option<&Record>) -> Option<Payload> {
    match record {
        _ if found.size == 0 => None,
        Some(record) => Some(record.data()),
        None if found.size > LARGEST => Some(Payload {
            size: found.size,
            text: None,
            shown: 0,
            form: Form::Binary,
            note: Some(format!("More than {} are not read.", format::bytes(LARGEST))),
        }),
        None => Some(unread(&found.payload)),
    }
}

fn effective(found: &Found, record: Option<&Record>) -> Vec<EffectiveOption> {
    let own = |name: &str, value: String| EffectiveOption {
        name: name.to_owned(),
        value,
        origin: Origin::Options,
        payload: false,
    };
    let tries = found.due.map(|_| {
        let begun = format::count(u64::from(found.begun));
        own(
            "tries",
            format!("{begun} begun; how many are allowed is in the code of the worker"),
        )
    });
    let after = |left: Option<Millis>| left.map(|left| format::moment(now() + left));
    let times = [
        ("payload expires", after(found.kept)),
        ("result expires", after(found.result_kept)),
        ("added", record.and_then(|record| record.added).map(format::moment)),
    ];
    let times = times.into_iter().filter_map(|(name, at)| Some(own(name, at?)));
    tries.into_iter().chain(times).collect()
}

/// The arguments of a job, decoded as on its page and never cut; as bytes only where they are not decoded.
pub(super) async fn field(
    link: &Link,
    queue: &QueueId,
    id: &str,
    field: &str,
) -> Result<Option<FieldBytes>, FieldError> {
    if field != "data" {
        return Ok(None);
    }
    let found = look_for(link, queue, id).await?;
    let bytes = if found.due.is_some() {
        found.payload
    } else {
        found.result
    };
    let record = Record::read(&bytes);
    // A result of another queue, or none that can be read, has no arguments to show.
    let of = |record: &Record| found.due.is_some() || record.queue.as_ref().is_none_or(|of| *of == **queue);
    let bytes = match &record {
        Some(record) => of(record).then(|| record.arguments().into_bytes()),
        None if found.size > LARGEST => {
            return Err(FieldError::TooLarge {
                size: found.size,
                limit: LARGEST,
            });
        }
        None => (found.due.is_some() && found.size > 0).then_some(bytes),
    };
    Ok(bytes.map(|bytes| FieldBytes {
        text: std::str::from_utf8(&bytes).is_ok(),
        bytes: Bytes::from(bytes),
        permit: None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(text: &str) -> JobDetail {
        let found = Found {
            result: text.as_bytes().to_vec(),
            result_size: text.len() as u64,
            result_kept: Some(60_000),
            ..Found::default()
        };
        ended("a", &found, Record::read(&found.result).as_ref())
    }

    #[test]
    fn a_job_of_which_a_result_is_left_says_how_it_ended() {
        let good = result(r#"{"t":2,"f":"add","a":[],"k":{},"et":1,"s":true,"r":7,"st":2,"ft":3,"q":"mail"}"#);
        assert_eq!(
            (good.row.state, good.row.attempts, good.state_known),
            (JobState::Completed, Some(2), true)
        );
        assert_eq!(
            (good.row.started, good.row.finished, good.row.created),
            (Some(2), Some(3), Some(1))
        );
        assert_eq!(good.result.unwrap().text.as_deref(), Some("7"));
        let bad = result(r#"{"f":"add","s":false,"r":{"call":"builtins.ValueError","with":["boom\nsecond"]}}"#);
        assert_eq!(
            (bad.row.state, bad.row.error.as_deref()),
            (JobState::Failed, Some("ValueError: boom"))
        );
        assert!(bad.traces_note.unwrap().contains("no traceback"));
        let strange = result("gAAAAABn");
        assert!(!strange.state_known && strange.oddities[0].contains("serializer"));
    }

    #[test]
    fn a_running_job_says_when_its_claim_ends_and_a_lost_payload_what_comes_of_it() {
        let mut found = Found {
            due: Some(1),
            claim: Some(290_000),
            begun: 1,
            size: 3,
            payload: b"\xff\xff\xff".to_vec(),
            ..Found::default()
        };
        let runs = queued("a", &found, &Front::default());
        assert_eq!(
            (runs.row.state, runs.row.attempts, runs.attempts_started),
            (JobState::Active, Some(0), Some(1))
        );
        assert!(runs.state_note.unwrap().contains("the claim ends in 4 m 50 s"));
        assert_eq!(runs.data.unwrap().form, Form::Binary);
        (found.claim, found.size, found.begun, found.payload) = (None, 0, 0, vec![]);
        let gone = queued("a", &found, &Front::default());
        assert_eq!(gone.row.state, JobState::Waiting);
        assert!(gone.state_note.unwrap().contains("job expired") && gone.data.is_none());
    }
}
