//! What shows that a write on a queue or a schedule was done, where its answer did not come.

use super::super::super::QueueId;
use super::super::super::redis::link::Link;
use super::super::super::redis::reply;
use super::super::key;
use super::answer::done;
use super::confirm::{AGAIN, deadline};
use crate::model::action::Effect;
use crate::model::exact::bytes_of;
use redis::Value;
use tokio::time::{Instant, sleep};

/// Entries that a stream keeps above what was asked for, because it gives up whole nodes only.
const NODE: u64 = 100;

/// What to look for.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Sign {
    /// The queue is paused, or runs and has nothing lying aside.
    Paused(bool),
    /// These settings have these values; `None` for one that is gone.
    Settings(Vec<(&'static str, Option<String>)>),
    /// No rate limit is reached.
    Released,
    /// No more events than these.
    Events(u64),
    /// There is a job with this id, name and data.
    Job { id: String, name: Vec<u8>, data: Vec<u8> },
    /// There is no such schedule.
    NoSchedule(String),
    /// There is a schedule that says this; a field without a value is not there.
    Schedule {
        id: String,
        fields: Vec<(&'static str, Option<Vec<u8>>)>,
        options: serde_json::Value,
    },
    /// Nothing tells it from what others do.
    Nothing,
}

/// What was found.
enum Found {
    Yes,
    No,
    /// It was not done, and will not be.
    Never(Effect),
    /// The store did not tell.
    Silence,
}

impl Sign {
    /// What an operator should check where the sign does not show.
    const fn look_at(&self) -> &'static str {
        match self {
            Self::Paused(true) => "Check the queue. Pausing it again is safe.",
            Self::Paused(false) => {
                "Check the queue. Resuming it again is safe, and brings back jobs that may still be set aside."
            }
            Self::Settings(_) | Self::Released | Self::Events(_) => {
                "Check the queue's settings. Repeating the action is safe."
            }
            Self::Job { .. } => "Look for the job by its id before you try again.",
            Self::NoSchedule(_) | Self::Schedule { .. } => "Check the schedule. Repeating the action is safe.",
            Self::Nothing => "Check the newest jobs of the queue before you try again: the job may have been added.",
        }
    }
}

/// Reads until the sign shows that it was done, or it is too late.
pub(super) async fn settle(link: &Link, queue: &QueueId, sign: &Sign, why: &str) -> Effect {
    let until = deadline();
    loop {
        // An order that is still on its way takes effect after this look: only "it shows" can be believed.
        let found = find(link, queue, sign).await;
        match found {
            Found::Yes => {
                let job = match sign {
                    Sign::Job { id, .. } => Some(id.clone()),
                    _ => None,
                };
                return done(job);
            }
            Found::Never(effect) => return effect,
            _ => {}
        }
        if Instant::now() >= until || *sign == Sign::Nothing {
            let and = match (found, sign) {
                (Found::Silence, _) => "The store does not answer, so it is not known whether it was done.",
                (_, Sign::Nothing) => "The store does not show whether it was done.",
                _ => "The store shows no sign that it was done.",
            };
            let look_at = sign.look_at();
            return Effect::Unconfirmed {
                reason: format!("{why} {and} {look_at}"),
            };
        }
        sleep(AGAIN).await;
    }
}

async fn find(link: &Link, queue: &QueueId, sign: &Sign) -> Found {
    let mut pipe = redis::pipe();
    let meta = key(queue, "meta");
    match sign {
        Sign::Paused(_) => {
            pipe.cmd("HEXISTS").arg(&meta).arg("paused");
            pipe.cmd("EXISTS").arg(key(queue, "meta-paused"));
            pipe.cmd("LLEN").arg(key(queue, "paused"));
        }
        Sign::Settings(fields) => {
            pipe.cmd("HMGET").arg(&meta);
            for (name, _) in fields {
                pipe.arg(name);
            }
        }
        Sign::Released => {
            pipe.cmd("EXISTS").arg(key(queue, "limiter"));
        }
        Sign::Events(_) => {
            pipe.cmd("XLEN").arg(key(queue, "events"));
        }
        Sign::Job { id, .. } => {
            let job = key(queue, id);
            pipe.cmd("EXISTS").arg(&job);
            pipe.cmd("HSTRLEN").arg(&job).arg("name");
            pipe.cmd("HSTRLEN").arg(&job).arg("data");
        }
        Sign::NoSchedule(id) => {
            pipe.cmd("ZSCORE").arg(key(queue, "repeat")).arg(&*bytes_of(id));
        }
        Sign::Schedule { id, fields, .. } => {
            pipe.cmd("ZSCORE").arg(key(queue, "repeat")).arg(&*bytes_of(id));
            let definition = key(queue, &format!("repeat:{id}"));
            for (name, _) in fields {
                pipe.cmd("HSTRLEN").arg(&definition).arg(name);
            }
            pipe.cmd("HSTRLEN").arg(&definition).arg("opts");
        }
        Sign::Nothing => return Found::No,
    }
    let Ok(replies) = link.run(&mut pipe).await else {
        return Found::Silence;
    };
    let n = |i: usize| replies.get(i).and_then(|reply| reply::count(reply).ok());
    let yes = match sign {
        Sign::Paused(true) => n(0) == Some(1) || n(1) == Some(1),
        Sign::Paused(false) => n(0) == Some(0) && n(1) == Some(0) && n(2) == Some(0),
        Sign::Settings(fields) => {
            let now = replies[0].as_ref().ok().map(reply::items).unwrap_or_default();
            fields.len() == now.len()
                && fields
                    .iter()
                    .zip(now)
                    .all(|((_, wanted), now)| *wanted == reply::text(now))
        }
        Sign::Released => n(0) == Some(0),
        Sign::Events(keep) => n(0).is_some_and(|n| n <= keep.saturating_add(NODE)),
        Sign::NoSchedule(_) => matches!(replies.first(), Some(Ok(Value::Nil))),
        Sign::Job { id, name, data } => return job(link, queue, id, [name, data], [n(0), n(1), n(2)]).await,
        Sign::Schedule { id, fields, options } => {
            let there = !matches!(replies.first(), Some(Ok(Value::Nil)));
            let same_size = fields
                .iter()
                .enumerate()
                .all(|(i, (_, wanted))| n(i + 1) == Some(wanted.as_ref().map_or(0, |wanted| wanted.len() as u64)));
            let short = n(fields.len() + 1).is_some_and(|size| size <= super::add::OPTIONS_MAX);
            if !(there && same_size && short) {
                return Found::No;
            }
            return schedule(link, queue, id, fields, options).await;
        }
        Sign::Nothing => false,
    };
    if yes { Found::Yes } else { Found::No }
}

/// Whether a job is there, and the one that was to be added. What is compared has the size of ours.
async fn job(link: &Link, queue: &QueueId, id: &str, ours: [&Vec<u8>; 2], sizes: [Option<u64>; 3]) -> Found {
    let [there, name, data] = sizes;
    if there != Some(1) {
        return Found::No;
    }
    let size = |bytes: &[u8]| Some(bytes.len() as u64);
    let mut same = name == size(ours[0]) && data == size(ours[1]);
    if same {
        let mut pipe = redis::pipe();
        pipe.cmd("HMGET").arg(key(queue, id)).arg("name").arg("data");
        let Ok(replies) = link.run(&mut pipe).await else {
            return Found::Silence;
        };
        let now = replies[0].as_ref().ok().map(reply::items).unwrap_or_default();
        let is = |i: usize| matches!(now.get(i), Some(Value::BulkString(bytes)) if bytes == ours[i]);
        same = is(0) && is(1);
    }
    if same {
        return Found::Yes;
    }
    Found::Never(Effect::Already {
        now: "A job with this id already exists.".into(),
    })
}

async fn schedule(
    link: &Link,
    queue: &QueueId,
    id: &str,
    fields: &[(&'static str, Option<Vec<u8>>)],
    options: &serde_json::Value,
) -> Found {
    let mut pipe = redis::pipe();
    pipe.cmd("HMGET").arg(key(queue, &format!("repeat:{id}")));
    for (name, _) in fields {
        pipe.arg(name);
    }
    pipe.arg("opts");
    let Ok(replies) = link.run(&mut pipe).await else {
        return Found::Silence;
    };
    let now = replies[0].as_ref().ok().map(reply::items).unwrap_or_default();
    let bytes = |i: usize| match now.get(i) {
        Some(Value::BulkString(bytes)) => Some(bytes.as_slice()),
        _ => None,
    };
    let same = fields
        .iter()
        .enumerate()
        .all(|(i, (_, wanted))| bytes(i) == wanted.as_deref());
    let stored = serde_json::from_slice(bytes(fields.len()).unwrap_or(b"{}"));
    match stored {
        Ok(stored) if same && alike(options, &stored) => Found::Yes,
        _ => Found::No,
    }
}

/// Whether two values are the same but for how a number is written, and for an empty list, which Lua writes as an object.
fn alike(a: &serde_json::Value, b: &serde_json::Value) -> bool {
    use serde_json::Value as Json;
    match (a, b) {
        (Json::Number(a), Json::Number(b)) => a.as_f64() == b.as_f64(),
        (Json::Array(a), Json::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b)),
        (Json::Array(a), Json::Object(b)) => a.is_empty() && b.is_empty(),
        (Json::Object(a), Json::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| alike(a, b)))
        }
        (a, b) => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn options_are_the_same_however_lua_writes_them() {
        assert!(alike(
            &json!({"a": 1, "b": [], "c": {"d": 2.5}}),
            &json!({"c": {"d": 2.5}, "b": {}, "a": 1.0})
        ));
        assert!(!alike(&json!({"a": 1}), &json!({"a": 2})));
        assert!(!alike(&json!({"a": 1}), &json!({"a": 1, "b": 1})));
        assert!(!alike(&json!([1]), &json!({})));
    }
}
