//! How many items each list holds, and since when the next of a queue has waited.

use super::super::redis::reply;
use super::super::{Head, QueueId, Reading, Trouble};
use super::body::Body;
use super::capabilities::family;
use super::profile::{List, Profile};
use super::read::{range, ranged, why};
use super::{Lists, stuck};
use crate::model::counts::Counts;
use crate::model::state::JobState;
use crate::model::system::System;
use redis::{RedisResult, Value};

/// Counts the given queues.
pub(super) async fn read(lists: &Lists, queues: &[QueueId]) -> Result<Vec<Reading>, Trouble> {
    let mut pipe = redis::pipe();
    for list in queues.iter().filter_map(|queue| lists.profile(queue)).flat_map(all) {
        pipe.cmd("LLEN").arg(list.key);
    }
    let mut replies = if queues.is_empty() {
        vec![].into_iter()
    } else {
        lists.link.run(&mut pipe).await?.into_iter()
    };
    let mut readings = Vec::with_capacity(queues.len());
    let mut held = vec![];
    for queue in queues {
        let Some(profile) = lists.profile(queue) else {
            readings.push(reading(
                Counts::UNKNOWN,
                Some("No [[store.list]] describes this queue.".into()),
            ));
            continue;
        };
        let (counts, reason) = count(profile, &mut replies);
        if profile.stuck_after.is_some()
            && let Some(list) = profile.list(JobState::Active)
        {
            held.push((queue.clone(), list));
        }
        readings.push(reading(counts, reason));
    }
    stuck::look(lists, &held).await?;
    Ok(readings)
}

/// The lists that a profile names.
fn all(profile: &Profile) -> impl Iterator<Item = List> {
    Profile::STATES.into_iter().filter_map(|state| profile.list(state))
}

fn reading(counts: Counts, reason: Option<String>) -> Reading {
    Reading {
        counts,
        reason,
        // Nothing that a profile names pauses a queue.
        paused: Some(false),
        version: None,
        system: System::Lists,
        family: family(),
        added: None,
        pushed: false,
        // One that is described is there, whether or not it has a key.
        exists: true,
    }
}

/// The counts of a queue from the next answers, and why some are not known.
fn count(profile: &Profile, replies: &mut impl Iterator<Item = RedisResult<Value>>) -> (Counts, Option<String>) {
    let mut counts = Counts::zero();
    let (mut missing, mut reasons) = (vec![], vec![]);
    for state in Profile::STATES {
        counts.set(state, None);
        match profile.key(state) {
            Some((_, Some(key))) => match replies.next() {
                Some(Err(error)) => reasons.push(format!("{key} cannot be counted: {}.", why(&error))),
                Some(reply) => counts.set(state, reply::count(&reply).ok()),
                None => reasons.push(format!("{key} was not counted.")),
            },
            Some((setting, None)) => missing.push(setting),
            None => {}
        }
    }
    if !missing.is_empty() {
        reasons.push(format!(
            "The profile of this queue names no list for {}.",
            missing.join(", ")
        ));
    }
    (counts, (!reasons.is_empty()).then(|| reasons.join(" ")))
}

/// The item of each queue that is taken next, and the one that waits longest where that is another; none where bodies have no time.
pub(super) async fn heads(lists: &Lists, queues: &[QueueId]) -> Result<Vec<Vec<Head>>, Trouble> {
    let mut pipe = redis::pipe();
    let mut asked = vec![];
    for queue in queues {
        let profile = lists.profile(queue).filter(|profile| profile.time.is_some());
        let list = profile.and_then(|profile| profile.list(JobState::Waiting));
        let (Some(profile), Some(list)) = (profile, list) else {
            asked.push(None);
            continue;
        };
        range(&mut pipe, &list, 0, 1);
        let mut ends = vec![list.clone()];
        if profile.lifo {
            // The first that came is taken last.
            ends.push(List {
                first: list.first.other(),
                ..list
            });
            range(&mut pipe, &ends[1], 0, 1);
        }
        asked.push(Some((profile, ends)));
    }
    if asked.iter().all(Option::is_none) {
        return Ok(vec![vec![]; queues.len()]);
    }
    let mut replies = lists.link.read_long(&mut pipe).await?.into_iter();
    let mut heads = vec![];
    for asked in asked {
        let mut of_queue = vec![];
        let (profile, ends) = match &asked {
            Some((profile, ends)) => (*profile, ends.as_slice()),
            None => {
                heads.push(of_queue);
                continue;
            }
        };
        for (end, reply) in ends.iter().zip(&mut replies) {
            for item in ranged(reply, end).unwrap_or_default() {
                let body = Body::read(profile, &item);
                of_queue.push(Head {
                    id: body.id(),
                    created: body.time(),
                    ready: lists.moves.ready(&profile.waiting, &item, body.time()),
                });
            }
        }
        heads.push(of_queue);
    }
    Ok(heads)
}

#[cfg(test)]
mod tests {
    use super::super::body::tests::profile;
    use super::super::profile::Format;
    use super::*;

    #[test]
    fn what_is_not_named_or_no_list_is_not_zero() {
        let error = || redis::make_extension_error("WRONGTYPE".into(), None);
        let replies = vec![Ok(Value::Int(3)), Err(error()), Ok(Value::Int(0))];
        let (counts, reason) = count(&profile(Format::Json), &mut replies.into_iter());
        let of = |state| counts.get(state);
        assert_eq!((of(JobState::Waiting), of(JobState::Failed)), (Some(3), Some(0)));
        assert_eq!((of(JobState::Active), of(JobState::Completed)), (None, None));
        assert_eq!(of(JobState::Delayed), Some(0));
        let reason = reason.unwrap();
        assert!(
            reason.contains("mail:processing cannot be counted: the key holds another type"),
            "{reason}"
        );
        assert!(reason.contains("no list for completed"), "{reason}");
    }
}
