//! Takes waiting tasks out of the lists of a queue.

use super::super::capabilities::{HELD_STAYS, LEFT_STAYS};
use super::super::{Celery, QueueId, ReadError};
use super::seek::{Found, Sought, seek};
use super::{Place, RULES, fits, refused, unheard, was_elsewhere};
use crate::model::action::{Effect, Seen};
use crate::model::state::JobState;
use crate::server::adapter::Trouble;
use crate::server::adapter::celery::book::key;
use crate::server::adapter::celery::message::digest;
use crate::server::adapter::redis::reply;
use crate::server::adapter::redis::script::{Given, meaning, refusal};
use redis::{RedisResult, Value};

/// What one run of the script costs at most: elements that the server walks past, bytes that it is sent, and messages.
const WALK: u64 = 50_000;
const BYTES: usize = 1024 * 1024;
const MESSAGES: usize = 100;

/// Runs sent in one round trip.
const ROUND: usize = 40;

/// Messages of one task that are named in a sentence.
const NAMED: usize = 3;

const TAKEN: &str = "A worker has taken it.";
const GONE: &str = "No message of it waits in the queue any more: a worker has taken it, or it was removed.";
const LOOK: &str = "Look whether the task still waits before you try again.";

/// Removes tasks that wait, each the one message that was seen.
pub(super) async fn remove(
    celery: &Celery,
    queue: &QueueId,
    place: &Place,
    jobs: &[(String, Seen)],
) -> Result<Vec<Effect>, Trouble> {
    let mut effects: Vec<Option<Effect>> = jobs.iter().map(|(_, seen)| out_of_reach(seen)).collect();
    let open: Vec<&(String, Seen)> = jobs
        .iter()
        .zip(&effects)
        .filter_map(|(job, effect)| effect.is_none().then_some(job))
        .collect();
    let mut sought = match seek(celery, queue, place, &open).await {
        Ok(sought) => sought,
        Err(ReadError::Store(trouble)) => return Err(trouble),
        Err(error) => return Ok(vec![refused(error.to_string()); jobs.len()]),
    };
    let mut targets: Vec<(usize, Found)> = vec![];
    for i in 0..jobs.len() {
        if effects[i].is_none() {
            match choose(&mut sought, &jobs[i..]) {
                Ok(found) => targets.push((i, found)),
                Err(effect) => effects[i] = Some(effect),
            }
        }
    }
    settle(celery, place, targets, &mut effects).await?;
    Ok(effects
        .into_iter()
        .map(|effect| effect.unwrap_or_else(|| refused(GONE)))
        .collect())
}

/// Why nothing can be done to a task that was seen like this.
fn out_of_reach(seen: &Seen) -> Option<Effect> {
    let state = was_elsewhere(seen, &[JobState::Waiting])?;
    let held = matches!(state, JobState::Active | JobState::Delayed);
    Some(refused(if held { HELD_STAYS } else { LEFT_STAYS }))
}

/// The message that is meant by the first of these jobs. Two that were seen alike are meant only if both are asked for.
fn choose(sought: &mut Sought, jobs: &[(String, Seen)]) -> Result<Found, Effect> {
    let (id, seen) = &jobs[0];
    let all = sought.found.get_mut(id);
    let Some(all) = all.filter(|all| !all.is_empty()) else {
        return Err(if sought.whole {
            Effect::Changed { now: GONE.into() }
        } else {
            refused(
                "No message of it is among the first 10,000 of the queue or where it was listed: a worker has taken it, or it \
                 is further behind. Find it in the queue's list and remove it there.",
            )
        });
    };
    let alike: Vec<usize> = (0..all.len()).filter(|i| fits(seen, all[*i].retries)).collect();
    let asked = || {
        let same = jobs.iter().filter(|(other, as_seen)| other == id && as_seen == seen);
        same.count()
    };
    match alike.as_slice() {
        [] => Err(Effect::Changed {
            now: format!(
                "It waits with another number of retries than shown: {}.",
                all[0].retries
            ),
        }),
        [first, rest @ ..] if rest.is_empty() || rest.len() < asked() => Ok(all.remove(*first)),
        many => {
            let ids: Vec<String> = many.iter().take(NAMED).map(|i| digest(&all[*i].bytes)).collect();
            Err(refused(format!(
                "{} messages of this task wait, and nothing was done because its id does not tell which is meant. Each has a page \
                 of its own: {}.",
                many.len(),
                ids.join(", ")
            )))
        }
    }
}

/// Sends the removals.
async fn settle(
    celery: &Celery,
    place: &Place,
    targets: Vec<(usize, Found)>,
    effects: &mut [Option<Effect>],
) -> Result<(), Trouble> {
    let keys: Vec<Vec<u8>> = std::iter::once(key(&place.prefix, "unacked"))
        .chain(place.lists.iter().cloned())
        .collect();
    let runs = runs(&keys, targets);
    for (sent, round) in runs.chunks(ROUND).enumerate() {
        let given: Vec<Given> = round.iter().map(|(_, given)| given.clone()).collect();
        match celery.scripts.remove.run(&celery.link, &given).await {
            Ok(answers) => {
                for ((jobs, _), answer) in round.iter().zip(answers) {
                    for (n, i) in jobs.iter().enumerate() {
                        effects[*i] = Some(effect(&answer, n));
                    }
                }
            }
            // Nothing at all was sent: the caller may know a better time.
            Err(silence) if !silence.sent && sent == 0 && effects.iter().all(Option::is_none) => {
                return Err(silence.trouble);
            }
            Err(silence) => {
                for i in round.iter().flat_map(|(jobs, _)| jobs) {
                    effects[*i] = Some(unheard(&silence, LOOK));
                }
                for i in runs.iter().skip((sent + 1) * ROUND).flat_map(|(jobs, _)| jobs) {
                    effects[*i] = Some(refused(format!("The command was not sent: {}", silence.trouble)));
                }
                break;
            }
        }
    }
    Ok(())
}

/// The runs of the script, each with the jobs that it is about. A list is walked through from the end that is nearer.
fn runs(keys: &[Vec<u8>], targets: Vec<(usize, Found)>) -> Vec<(Vec<usize>, Given)> {
    let mut runs: Vec<(Vec<usize>, Given)> = vec![];
    let (mut walk, mut bytes) = (0, 0);
    for (i, found) in targets {
        let (before, behind) = found.around;
        walk += before.min(behind);
        bytes += found.bytes.len();
        let full = |jobs: &Vec<usize>| jobs.len() >= MESSAGES || walk > WALK || bytes > BYTES;
        if runs.last().is_none_or(|(jobs, _)| full(jobs)) {
            (walk, bytes) = (before.min(behind), found.bytes.len());
            runs.push((vec![], (keys.to_vec(), vec![])));
        }
        let from: &[u8] = if before <= behind { b"-1" } else { b"1" };
        if let Some((jobs, (_, arguments))) = runs.last_mut() {
            jobs.push(i);
            let list = (found.list + 1).to_string().into_bytes();
            arguments.extend([list, from.to_vec(), found.tag.into_bytes(), found.bytes]);
        }
    }
    runs
}

/// The effect on the n-th message of a run.
fn effect(answer: &RedisResult<Value>, n: usize) -> Effect {
    let answers = match answer {
        Ok(answers) => reply::items(answers),
        Err(error) => return refused(refusal(error, RULES)),
    };
    let word = answers.get(n).and_then(reply::text).unwrap_or_default();
    match word.as_str() {
        "removed" => Effect::done(),
        "taken" => Effect::Changed { now: TAKEN.into() },
        "gone" => Effect::Changed { now: GONE.into() },
        other => {
            let (code, says) = other.trim_start_matches('-').split_once(' ').unwrap_or((other, ""));
            refused(meaning(code, says, RULES))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn found(retries: u32, bytes: &str, around: (u64, u64)) -> Found {
        Found {
            list: 2,
            around,
            retries,
            tag: "t".into(),
            bytes: bytes.as_bytes().to_vec(),
        }
    }

    fn sought(all: Vec<Found>, whole: bool) -> Sought {
        Sought {
            found: HashMap::from([("a".to_owned(), all)]),
            whole,
        }
    }

    fn job(attempts: u64) -> (String, Seen) {
        let seen = Seen {
            attempts: Some(attempts),
            ..Seen::default()
        };
        ("a".into(), seen)
    }

    #[test]
    fn two_messages_of_a_task_are_never_confused() {
        let both = || vec![found(0, "x", (0, 9)), found(1, "y", (1, 8))];
        let chosen = choose(&mut sought(both(), true), &[job(1)]).unwrap();
        assert_eq!(chosen.bytes, b"y");
        let other = choose(&mut sought(both(), true), &[job(2)]).unwrap_err();
        assert!(matches!(other, Effect::Changed { .. }));
        let alike = || vec![found(0, "x", (0, 9)), found(0, "y", (1, 8))];
        let Effect::Refused { reason } = choose(&mut sought(alike(), true), &[job(0)]).unwrap_err() else {
            panic!()
        };
        assert!(
            reason.contains(&digest(b"x")) && reason.contains(&digest(b"y")),
            "{reason}"
        );
        // Both are asked for.
        let mut all = sought(alike(), true);
        let jobs = [job(0), job(0)];
        assert_eq!(choose(&mut all, &jobs).unwrap().bytes, b"x");
        assert_eq!(choose(&mut all, &jobs[1..]).unwrap().bytes, b"y");
        assert!(matches!(choose(&mut all, &[job(0)]), Err(Effect::Changed { .. })));
        assert!(matches!(
            choose(&mut sought(vec![], false), &[job(0)]),
            Err(Effect::Refused { .. })
        ));
    }

    #[test]
    fn a_run_walks_past_a_bounded_number_of_messages_from_the_nearer_end() {
        let far = |i: usize| (i, found(0, "x", (60_000, 30_000)));
        let runs = runs(&[], vec![far(0), far(1), (2, found(0, "x", (3, 9)))]);
        let jobs: Vec<_> = runs.iter().map(|(jobs, _)| jobs.clone()).collect();
        assert_eq!(jobs, [vec![0], vec![1, 2]]);
        let (_, (_, arguments)) = &runs[1];
        assert_eq!(
            (arguments[1].as_slice(), arguments[5].as_slice()),
            (&b"1"[..], &b"-1"[..])
        );
        assert_eq!(arguments[0], b"3");
        let many = super::runs(&[], (0..250).map(|i| (i, found(0, "x", (0, 1)))).collect());
        assert_eq!(many.len(), 3);
    }

    #[test]
    fn what_is_held_or_over_is_refused_with_its_reason() {
        let seen = |state| Seen {
            state: Some(state),
            ..Seen::default()
        };
        assert_eq!(out_of_reach(&seen(JobState::Waiting)), None);
        assert_eq!(out_of_reach(&seen(JobState::Delayed)), Some(refused(HELD_STAYS)));
        assert_eq!(out_of_reach(&seen(JobState::Completed)), Some(refused(LEFT_STAYS)));
    }
}
