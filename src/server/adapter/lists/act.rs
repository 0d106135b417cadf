//! Changing things: an item is taken out of a list or moved to another, in one script that looks first.
//!
//! An item is read first, and the script changes exactly these bytes or nothing. Two items of one id are told apart by their bytes; where
//! both are near, nothing is done, and each is named by its digest (`sha1:…`).

use super::body::{Body, digest};
use super::capabilities::{self, DONE_STAYS, HELD_STAYS, NOT_HERE};
use super::profile::{End, List, Profile};
use super::read::Element;
use super::seek::{Sought, seek};
use super::{Lists, stuck};
use crate::model::action::{Effect, JobAction, QueueAction, ScheduleAction, Seen};
use crate::model::exact::{bytes_of, text_of};
use crate::model::now;
use crate::model::state::JobState;
use crate::server::adapter::redis::reply;
use crate::server::adapter::redis::rights::Needs;
use crate::server::adapter::redis::script::{Given, Script, lacks, refusal, unheard};
use crate::server::adapter::{Act, AnyAction, QueueId, ReadError, Trouble};
use async_trait::async_trait;
use redis::{RedisResult, Value};
use std::collections::BTreeMap;

/// The name under which the rights are asked about.
pub(super) const LIBRARY: &str = "lists";

/// Where the rules of a user are who may do all of it.
const RULES: &str = "docs/lists.md";

/// Keys that are asked about at most.
const PLACES: usize = 8;

/// Every command that an action runs on a key; `KEY` stands for a list.
const NEEDS: [&[&str]; 6] = [
    &["EXISTS", "KEY"],
    &["LPOS", "KEY", "v"],
    &["LPUSH", "KEY", "v"],
    &["LREM", "KEY", "-1", "v"],
    &["RPUSH", "KEY", "v"],
    &["TYPE", "KEY"],
];

/// Scripts sent in one round trip.
const ROUND: usize = 40;

/// Items that the server walks past for one that it removes.
const WALK: u64 = 100_000;

/// Items of one id that are named in a sentence.
const NAMED: usize = 3;

const GONE: &str = "It is not in the list any more: a worker took it, or it was moved or removed.";
const FAR: &str = "It is not among the first 10,000 items of the list or where it was listed: a worker took it, or it is further behind. \
                   Find it in the queue's list and try again there.";
const DEEP: &str = "It is more than 100,000 items from both ends of its list: looking for it would hold the server up.";
const NOT_KNOWN: &str = "Nothing tells that no worker holds it. Set heartbeat or stuck_after in the profile of this queue; with stuck_after \
                         Drover has to see the item in the list for so long.";
const HEARTBEAT: &str = "The heartbeat key is there.";
const LOOK: &str = "Look at the queue's lists before you try again.";

/// The scripts.
#[derive(Debug)]
pub(super) struct Scripts {
    remove: Script,
    shift: Script,
}

impl Default for Scripts {
    fn default() -> Self {
        Self {
            remove: Script::new(include_str!("act/lua/remove.lua").to_owned()),
            shift: Script::new(include_str!("act/lua/move.lua").to_owned()),
        }
    }
}

/// What the actions on these queues need.
pub(super) fn needs(lists: &Lists, queues: &[QueueId]) -> Needs {
    let profiles = queues.iter().filter_map(|queue| lists.profile(queue));
    let place = |key: &str| (key.to_owned(), bytes_of(key).into_owned());
    Needs {
        places: profiles
            .flat_map(Profile::keys)
            .take(PLACES)
            .map(place)
            .collect::<BTreeMap<_, _>>(),
        commands: NEEDS.to_vec(),
        rules: RULES,
    }
}

/// What is done to an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Remove,
    PutBack,
    Retry,
}

impl Step {
    /// The states of items that it is done to.
    const fn states(self) -> &'static [JobState] {
        match self {
            Self::Remove => &[JobState::Waiting, JobState::Failed, JobState::Completed],
            Self::PutBack => &[JobState::Active],
            Self::Retry => &[JobState::Failed],
        }
    }

    /// Why it is not done to an item that was seen in another state.
    const fn elsewhere(self, state: JobState) -> &'static str {
        match (self, state) {
            (Self::Remove, _) => HELD_STAYS,
            (Self::Retry, JobState::Completed) => DONE_STAYS,
            (Self::Retry, _) => "Only what failed can be retried.",
            (Self::PutBack, _) => "Only what a worker held can be put back.",
        }
    }
}

#[async_trait]
impl Act for Lists {
    async fn on_jobs(
        &self,
        queue: &QueueId,
        jobs: &[(String, Seen)],
        action: &JobAction,
    ) -> Result<Vec<Effect>, Trouble> {
        let refuse = |why: &str| Ok(vec![refused(why); jobs.len()]);
        if let Some(why) = capabilities::refusal(action.kind()) {
            return refuse(why);
        }
        if let Some(why) = self.lacks(queue, &[]) {
            self.link.rights().doubt();
            return refuse(&why);
        }
        let Some(profile) = self.profile(queue) else {
            return refuse("No [[store.list]] describes this queue.");
        };
        let step = match action {
            JobAction::Remove { children: false } => Step::Remove,
            JobAction::PutBack => Step::PutBack,
            JobAction::Retry {
                reset_attempts: false,
                data: None,
            } => Step::Retry,
            JobAction::Remove { .. } => return refuse("Items of lists have no children."),
            JobAction::Retry { .. } => {
                return refuse("An item has no attempts that are counted, and it is moved as it is.");
            }
            _ => return refuse(NOT_HERE),
        };
        all(self, profile, jobs, step).await
    }

    async fn on_queue(&self, _: &QueueId, action: &QueueAction) -> Result<Effect, Trouble> {
        Ok(refused(capabilities::refusal(action.kind()).unwrap_or(NOT_HERE)))
    }

    async fn on_schedule(&self, _: &QueueId, _: &str, action: &ScheduleAction) -> Result<Effect, Trouble> {
        Ok(refused(capabilities::refusal(action.kind()).unwrap_or(NOT_HERE)))
    }

    fn lacks(&self, _: &QueueId, _: &[AnyAction<'_>]) -> Option<String> {
        self.link.rights().refusal_of(LIBRARY, self.link.user())
    }
}

fn refused(reason: impl Into<String>) -> Effect {
    Effect::Refused { reason: reason.into() }
}

fn changed() -> Effect {
    Effect::Changed { now: GONE.into() }
}

/// Does it to each of these, in the list in which it was seen or, where that is not said, the first that has it.
async fn all(lists: &Lists, profile: &Profile, jobs: &[(String, Seen)], step: Step) -> Result<Vec<Effect>, Trouble> {
    let elsewhere = |(_, seen): &(String, Seen)| {
        let state = seen.state.filter(|state| !step.states().contains(state))?;
        Some(refused(step.elsewhere(state)))
    };
    let mut effects: Vec<Option<Effect>> = jobs.iter().map(elsewhere).collect();
    let mut sent = false;
    let mut whole = true;
    for state in step.states() {
        let open: Vec<usize> = (0..jobs.len())
            .filter(|i| effects[*i].is_none() && jobs[*i].1.state.is_none_or(|seen| seen == *state))
            .collect();
        let Some(list) = profile.list(*state).filter(|_| !open.is_empty()) else {
            continue;
        };
        let ids: Vec<&str> = open.iter().map(|i| jobs[*i].0.as_str()).collect();
        let sought = match seek(lists, profile, &list, &ids).await {
            Ok(sought) => sought,
            Err(ReadError::Store(trouble)) if !sent => return Err(trouble),
            Err(error) => {
                open.iter().for_each(|i| effects[*i] = Some(refused(error.to_string())));
                continue;
            }
        };
        whole &= sought.whole;
        let targets = choose(lists, profile, step, &sought, (&open, jobs), &mut effects).await?;
        let given = |element: &Element| given(profile, step, &list, element, sought.total);
        sent |= settle(
            lists,
            step,
            targets.iter().map(|(i, element)| (*i, given(element))),
            &mut effects,
            sent,
        )
        .await?;
        for (i, element) in targets.iter().filter(|_| step != Step::Remove) {
            if matches!(effects[*i], Some(Effect::Done { .. })) {
                lists.moves.note(&profile.waiting, &element.bytes, now());
            }
        }
    }
    let left = || if whole { changed() } else { refused(FAR) };
    Ok(effects.into_iter().map(|effect| effect.unwrap_or_else(left)).collect())
}

/// The item that each of these means. What is not done to one is its effect; one that was not found is left open.
async fn choose<'a>(
    lists: &Lists,
    profile: &Profile,
    step: Step,
    sought: &'a Sought,
    (open, jobs): (&[usize], &[(String, Seen)]),
    effects: &mut [Option<Effect>],
) -> Result<Vec<(usize, &'a Element)>, Trouble> {
    let mut targets: Vec<(usize, &Element)> = vec![];
    for i in open {
        let id = &jobs[*i].0;
        let all = sought.found.get(id).map_or(&[][..], Vec::as_slice);
        let asked = open.iter().filter(|other| jobs[**other].0 == *id);
        // How many of them are chosen already.
        let before = targets.iter().filter(|(other, _)| jobs[*other].0 == *id).count();
        match all {
            [] => {}
            all if all.len() > asked.count() => {
                let ids: Vec<String> = all.iter().take(NAMED).map(|element| digest(&element.bytes)).collect();
                effects[*i] = Some(refused(format!(
                    "{} items have this id, and nothing was done because it does not tell which is meant. Each has a page of its own: {}.",
                    all.len(),
                    ids.join(", ")
                )));
            }
            // More are asked for than have other bytes: these are of the same bytes as one before.
            all => targets.push((*i, &all[before.min(all.len() - 1)])),
        }
    }
    if step == Step::PutBack {
        let items: Vec<&[u8]> = targets.iter().map(|(_, element)| &*element.bytes).collect();
        let mut rows: Vec<_> = items
            .iter()
            .map(|item| Body::read(profile, item).row(JobState::Active))
            .collect();
        stuck::mark(lists, profile, &items, &mut rows).await?;
        for (((i, _), row), item) in targets.iter().zip(&rows).zip(&items) {
            let by_sight = profile.stuck_after.is_some();
            effects[*i] = match row.locked {
                Some(false) if by_sight && !lists.sightings.forget(&profile.waiting, item) => Some(refused(NOT_KNOWN)),
                Some(false) => None,
                Some(true) => Some(Effect::Locked { by: HEARTBEAT.into() }),
                None => Some(refused(NOT_KNOWN)),
            };
        }
        targets.retain(|(i, _)| effects[*i].is_none());
    }
    Ok(targets)
}

/// What a script is given about an item; `None` where that would hold the server up. A list is walked from the end that is nearer.
fn given(profile: &Profile, step: Step, list: &List, element: &Element, total: u64) -> Option<Given> {
    let behind = total.saturating_sub(element.at);
    if element.at.min(behind) > WALK {
        return None;
    }
    let end = if element.at <= behind {
        list.first
    } else {
        list.first.other()
    };
    let from = if end == End::Left { "1" } else { "-1" };
    let mut keys = vec![list.key.clone()];
    let mut arguments = vec![from.as_bytes().to_vec(), element.bytes.clone()];
    let to = match step {
        Step::Remove => return Some((keys, arguments)),
        Step::PutBack => profile.take,
        Step::Retry => profile.add(),
    };
    keys.push(bytes_of(&profile.waiting).into_owned());
    if step == Step::PutBack {
        keys.extend(profile.heartbeat_of(&Body::read(profile, &element.bytes).id()));
    }
    arguments.push(to.push().as_bytes().to_vec());
    Some((keys, arguments))
}

/// Sends the scripts. Whether any was sent; an error means that none was, ever.
async fn settle(
    lists: &Lists,
    step: Step,
    targets: impl Iterator<Item = (usize, Option<Given>)>,
    effects: &mut [Option<Effect>],
    before: bool,
) -> Result<bool, Trouble> {
    let script = match step {
        Step::Remove => &lists.scripts.remove,
        Step::PutBack | Step::Retry => &lists.scripts.shift,
    };
    let mut runs: Vec<(usize, Given)> = vec![];
    for (i, given) in targets {
        match given {
            Some(given) => runs.push((i, given)),
            None => effects[i] = Some(refused(DEEP)),
        }
    }
    let mut sent = false;
    for round in runs.chunks(ROUND) {
        let given: Vec<Given> = round.iter().map(|(_, given)| given.clone()).collect();
        match script.run(&lists.link, &given).await {
            Ok(answers) => {
                sent = true;
                for ((i, _), answer) in round.iter().zip(answers) {
                    effects[*i] = Some(effect(lists, step, &answer));
                }
            }
            // Nothing at all was sent: the caller may know a better time.
            Err(silence) if !silence.sent && !sent && !before => return Err(silence.trouble),
            Err(silence) => {
                sent |= silence.sent;
                round
                    .iter()
                    .for_each(|(i, _)| effects[*i] = Some(unheard(&silence, LOOK)));
            }
        }
    }
    Ok(sent)
}

fn effect(lists: &Lists, step: Step, answer: &RedisResult<Value>) -> Effect {
    let words = match answer {
        Ok(answer) => reply::items(answer),
        Err(error) => return refused(refusal(error, RULES)),
    };
    let word = |i: usize| match words.get(i) {
        Some(Value::BulkString(bytes)) => text_of(bytes),
        _ => String::new(),
    };
    match word(0).as_str() {
        "done" => match step {
            Step::Remove => Effect::done(),
            Step::PutBack => Effect::noted("It is at the end of the waiting list that workers take from.".into()),
            Step::Retry => Effect::noted("It waits behind those that were added before.".into()),
        },
        "held" => Effect::Locked { by: HEARTBEAT.into() },
        "type" => refused(format!("{} holds another type than a list; nothing was done.", word(1))),
        "lacks" => refused(lacks(lists.link.user(), &word(1), &word(2))),
        _ => changed(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::body::tests::profile;
    use super::super::profile::Format;
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_command_of_the_scripts_is_asked_about_and_no_other() {
        let scripts = [include_str!("act/lua/remove.lua"), include_str!("act/lua/move.lua")];
        let calls = scripts.iter().flat_map(|script| script.split("call(\"").skip(1));
        let called: BTreeSet<&str> = calls.filter_map(|rest| rest.split('"').next()).collect();
        assert_eq!(called, NEEDS.iter().map(|words| words[0]).collect());
    }

    #[test]
    fn an_item_is_looked_for_from_the_nearer_end_and_goes_where_it_belongs() {
        let mail = Profile {
            heartbeat: Some("alive:{id}".into()),
            ..profile(Format::Json)
        };
        let of = |step, state, at| {
            let element = Element {
                at,
                bytes: br#"{"meta":{"id":"7"}}"#.to_vec(),
            };
            let list = mail.list(state).unwrap();
            let (keys, arguments) = given(&mail, step, &list, &element, 300_000)?;
            let all = keys.iter().chain(&arguments).filter(|word| !word.starts_with(b"{"));
            Some(
                all.map(|word| String::from_utf8(word.clone()).unwrap())
                    .collect::<Vec<_>>(),
            )
        };
        // Workers take at the tail.
        assert_eq!(of(Step::Remove, JobState::Waiting, 5).unwrap(), ["mail:waiting", "-1"]);
        assert_eq!(
            of(Step::Remove, JobState::Waiting, 299_990).unwrap(),
            ["mail:waiting", "1"]
        );
        assert_eq!(of(Step::Remove, JobState::Waiting, 150_000), None);
        assert_eq!(
            of(Step::PutBack, JobState::Active, 0).unwrap(),
            ["mail:processing", "mail:waiting", "alive:7", "-1", "RPUSH"]
        );
        assert_eq!(
            of(Step::Retry, JobState::Failed, 0).unwrap(),
            ["mail:failed", "mail:waiting", "-1", "LPUSH"]
        );
    }
}
