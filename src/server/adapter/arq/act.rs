//! Changing things: what can be done to a job without a worker's help, each in one script that looks first.
//!
//! A job that waits has a place in its queue, and a key of its own for its payload. Workers claim a job in a transaction that watches
//! the key of the claim and nothing else. So a script that takes a job away touches that key, and a worker that has just looked
//! at the job gives way.
//!
//! - [`retry`]: failed jobs, which run again; [`payload`]: what they ran with

use super::capabilities::{self, LEFT_STAYS, NO_FLOWS, NO_OTHER_DATA, RUNS};
use super::list::EXPIRED;
use super::{ABORT, Arq, IN_PROGRESS, JOB, RESULT, RETRY, key};
use crate::model::action::{Effect, JobAction, QueueAction, ScheduleAction, Seen};
use crate::model::exact::bytes_of;
use crate::model::format;
use crate::model::now;
use crate::model::state::JobState;
use crate::server::adapter::redis::reply;
use crate::server::adapter::redis::rights::Needs;
use crate::server::adapter::redis::script::{Given, Script, lacks, refusal, unheard, unsent};
use crate::server::adapter::{Act, AnyAction, QueueId, Trouble};
use async_trait::async_trait;
use redis::{RedisResult, Value};
use std::collections::BTreeMap;

mod payload;
mod retry;

/// The name under which the rights are asked about.
pub(super) const LIBRARY: &str = "arq";

/// Where the rules of a user are who may do all of it.
const RULES: &str = "docs/arq.md";

/// Queues whose keys are asked about at most.
const PLACES: usize = 8;

/// Runs sent in one round trip.
const ROUND: usize = 500;

/// Every command that an action runs; `KEY` stands for a key.
const NEEDS: [&[&str]; 7] = [
    &["DEL", "KEY"],
    &["EXISTS", "KEY"],
    &["GET", "KEY"],
    &["SET", "KEY", "v"],
    &["ZADD", "KEY", "1", "v"],
    &["ZREM", "KEY", "v"],
    &["ZSCORE", "KEY", "v"],
];

const GONE: &str = "It is not in the queue any more: it has ended, or it was removed.";
const LOOK: &str = "Look at the job before you try again.";
const ABORTED: &str =
    "A worker with allow_abort_jobs fails it with CancelledError when it takes it. Any other worker runs it.";

/// The scripts.
#[derive(Debug)]
pub(super) struct Scripts {
    queued: Script,
    retry: Script,
}

impl Default for Scripts {
    fn default() -> Self {
        Self {
            queued: Script::new(include_str!("act/lua/queued.lua").to_owned()),
            retry: Script::new(include_str!("act/lua/retry.lua").to_owned()),
        }
    }
}

/// What the actions on these queues need.
pub(super) fn needs(queues: &[QueueId]) -> Needs {
    let mut places = BTreeMap::new();
    for queue in queues.iter().take(PLACES) {
        // With a queue go the keys of its jobs.
        places.insert("arq:*".to_owned(), key(JOB, ""));
        let name = bytes_of(queue);
        if !name.starts_with(b"arq:") {
            places.insert(format!("{}*", String::from_utf8_lossy(&name)), name.into_owned());
        }
    }
    Needs {
        places,
        commands: NEEDS.to_vec(),
        rules: RULES,
    }
}

/// What is done to a job that is in its queue.
#[derive(Clone, Copy, Debug)]
enum Step {
    Remove,
    Promote,
    Abort,
}

impl Step {
    const fn word(self) -> &'static [u8] {
        match self {
            Self::Remove => b"remove",
            Self::Promote => b"promote",
            Self::Abort => b"abort",
        }
    }
}

#[async_trait]
impl Act for Arq {
    async fn on_jobs(
        &self,
        queue: &QueueId,
        jobs: &[(String, Seen)],
        action: &JobAction,
    ) -> Result<Vec<Effect>, Trouble> {
        let refused = |why: &str| Ok(vec![refused(why); jobs.len()]);
        if let Some(why) = capabilities::refusal(action.kind()) {
            return refused(why);
        }
        if let Some(why) = self.lacks(queue, &[]) {
            self.link.rights().doubt();
            return refused(&why);
        }
        match action {
            JobAction::Remove { children: false } => in_queue(self, queue, jobs, Step::Remove).await,
            JobAction::Remove { children: true } => refused(NO_FLOWS),
            JobAction::Promote => in_queue(self, queue, jobs, Step::Promote).await,
            JobAction::Cancel { .. } => in_queue(self, queue, jobs, Step::Abort).await,
            JobAction::Retry { data: None, .. } => retry::all(self, queue, jobs).await,
            JobAction::Retry { data: Some(_), .. } => refused(NO_OTHER_DATA),
            _ => refused(capabilities::NOT_HERE),
        }
    }

    async fn on_queue(&self, _: &QueueId, action: &QueueAction) -> Result<Effect, Trouble> {
        Ok(refused(
            capabilities::refusal(action.kind()).unwrap_or(capabilities::NOT_HERE),
        ))
    }

    async fn on_schedule(&self, _: &QueueId, _: &str, action: &ScheduleAction) -> Result<Effect, Trouble> {
        Ok(refused(
            capabilities::refusal(action.kind()).unwrap_or(capabilities::NOT_HERE),
        ))
    }

    fn lacks(&self, _: &QueueId, _: &[AnyAction<'_>]) -> Option<String> {
        self.link.rights().refusal_of(LIBRARY, self.link.user())
    }
}

fn refused(reason: impl Into<String>) -> Effect {
    Effect::Refused { reason: reason.into() }
}

/// The keys of a job, in the order in which the scripts know them.
fn keys(queue: &str, id: &str) -> Vec<Vec<u8>> {
    let own = [JOB, IN_PROGRESS, RETRY, RESULT].map(|prefix| key(prefix, id));
    std::iter::once(bytes_of(queue).into_owned())
        .chain(own)
        .chain([ABORT.into()])
        .collect()
}

/// The other queues that are known, for the end of a script's arguments.
fn others(arq: &Arq, queue: &QueueId) -> Vec<Vec<u8>> {
    let others = arq.known.beside(queue);
    others.iter().map(|other| bytes_of(other).into_owned()).collect()
}

/// Does this to jobs that are in the queue, each as it was seen.
async fn in_queue(arq: &Arq, queue: &QueueId, jobs: &[(String, Seen)], step: Step) -> Result<Vec<Effect>, Trouble> {
    let (now, others) = (now().to_string().into_bytes(), others(arq, queue));
    let given = |(id, seen): &(String, Seen)| -> Given {
        let state = seen.state.map(|state| state.as_str().as_bytes().to_vec());
        let tries = seen.attempts.map(|tries| tries.to_string().into_bytes());
        let own = [
            step.word().to_vec(),
            bytes_of(id).into_owned(),
            now.clone(),
            state.unwrap_or_default(),
            tries.unwrap_or_default(),
        ];
        (keys(queue, id), own.into_iter().chain(others.iter().cloned()).collect())
    };
    let user = arq.link.user();
    let mut effects = Vec::with_capacity(jobs.len());
    for round in jobs.chunks(ROUND) {
        let runs: Vec<Given> = round.iter().map(given).collect();
        match arq.scripts.queued.run(&arq.link, &runs).await {
            Ok(answers) => effects.extend(
                round
                    .iter()
                    .zip(answers)
                    .map(|((_, seen), answer)| effect(user, step, seen, &answer)),
            ),
            // Nothing at all was sent: the caller may know a better time.
            Err(silence) if !silence.sent && effects.is_empty() => return Err(silence.trouble),
            Err(silence) => {
                effects.extend(round.iter().map(|_| unheard(&silence, LOOK)));
                effects.resize(jobs.len(), unsent(&silence.trouble));
                break;
            }
        }
    }
    Ok(effects)
}

/// The effect on a job that was seen like this.
fn effect(user: &str, step: Step, seen: &Seen, answer: &RedisResult<Value>) -> Effect {
    let words = match answer {
        Ok(answer) => reply::items(answer),
        Err(error) => return refused(refusal(error, RULES)),
    };
    let word = |i: usize| words.get(i).and_then(reply::exact).unwrap_or_default();
    match word(0).as_str() {
        "done" if matches!(step, Step::Abort) => Effect::noted(ABORTED.into()),
        "done" => Effect::done(),
        "claimed" => Effect::Locked { by: RUNS.into() },
        "due" => Effect::Already {
            now: "It is due, and a worker takes it in its turn.".into(),
        },
        "changed" => Effect::Changed {
            now: format!(
                "It is {}, and {} begun.",
                word(1),
                format::counted(word(2).parse().unwrap_or(0), "try has", "tries have")
            ),
        },
        "lacks" => refused(lacks(user, &word(1), &word(2))),
        "expired" => refused(format!("There is no arq:job key: {EXPIRED}. Remove it instead.")),
        "elsewhere" => refused(format!(
            "The queue {} holds a job with the same id, and arq keeps one payload for both: removing it would take the other's.",
            format::visible(&word(1))
        )),
        _ if seen.state.is_some_and(JobState::is_finished) => refused(LEFT_STAYS),
        _ => Effect::Changed { now: GONE.into() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_command_of_the_scripts_is_asked_about_and_no_other() {
        let scripts = [include_str!("act/lua/queued.lua"), include_str!("act/lua/retry.lua")];
        let calls = scripts.iter().flat_map(|script| script.split("call(\"").skip(1));
        let called: BTreeSet<&str> = calls.filter_map(|rest| rest.split('"').next()).collect();
        assert_eq!(called, NEEDS.iter().map(|words| words[0]).collect());
    }

    #[test]
    fn the_keys_of_jobs_are_asked_about_beside_those_of_queues_that_are_called_otherwise() {
        let places = |queues: &[&str]| -> Vec<String> {
            let queues: Vec<QueueId> = queues.iter().map(|queue| (*queue).into()).collect();
            needs(&queues).places.into_keys().collect()
        };
        assert_eq!(places(&["arq:queue"]), ["arq:*"]);
        assert_eq!(places(&["arq:queue", "mail"]), ["arq:*", "mail*"]);
        assert!(places(&[]).is_empty());
    }
}
