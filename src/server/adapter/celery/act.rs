//! Changing things: what can be done to messages without a worker's help, each in one script that looks first.
//!
//! A message has no key of its own: it is an element of a list or a field of `unacked`. So an action reads it first, and its
//! script changes exactly these bytes or nothing. They are the stored ones, never written anew, and no two messages have the same:
//! each has a delivery tag of its own. Two messages of the same task are told apart by their retries, and where these are the same
//! by their bytes (`sha1:…`) or by their delivery (`tag:…`).
//!
//! - [`seek`]: messages of tasks in lists that may be long; [`remove`]: out of them
//! - [`put_back`]: what a lost worker held, back into its list
//! - [`revoke`]: what workers are to discard; [`control`]: telling them

use super::Celery;
use super::book::{Book, Place};
use super::capabilities;
use crate::model::action::{Effect, JobAction, QueueAction, ScheduleAction, Seen};
use crate::model::exact::bytes_of;
use crate::model::state::JobState;
use crate::server::adapter::redis::rights::Needs;
use crate::server::adapter::redis::script::{Script, unheard};
use crate::server::adapter::{Act, AnyAction, QueueId, Trouble};
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::sync::Arc;

mod control;
mod put_back;
mod remove;
mod revoke;
mod seek;

pub(super) use seek::LastFound;

/// The name under which the rights are asked about.
pub(super) const LIBRARY: &str = "celery";

/// Where the rules of a user are who may do all of it.
const RULES: &str = "docs/celery.md";

/// Keys that are asked about at most.
const PLACES: usize = 8;

/// Every command that an action runs on a key; `KEY` stands for a list. The scripts themselves ask about the channel and
/// about the keys that are one for all queues.
const NEEDS: [&[&str]; 9] = [
    &["EXISTS", "KEY"],
    &["HDEL", "KEY", "f"],
    &["HEXISTS", "KEY", "f"],
    &["HGET", "KEY", "f"],
    &["LPOS", "KEY", "v"],
    &["LREM", "KEY", "-1", "v"],
    &["RPUSH", "KEY", "v"],
    &["ZREM", "KEY", "v"],
    &["ZSCORE", "KEY", "v"],
];

/// The scripts.
#[derive(Debug)]
pub(super) struct Scripts {
    remove: Script,
    put_back: Script,
    revoke: Script,
}

impl Default for Scripts {
    fn default() -> Self {
        Self {
            remove: Script::new(include_str!("act/lua/remove.lua").to_owned()),
            put_back: Script::new(include_str!("act/lua/put_back.lua").to_owned()),
            revoke: Script::new(include_str!("act/lua/revoke.lua").to_owned()),
        }
    }
}

/// What the actions on these queues need.
pub(super) fn needs(book: &Book, queues: &[QueueId]) -> Needs {
    let mut places = BTreeMap::new();
    for place in queues.iter().take(PLACES).filter_map(|queue| book.of(queue)) {
        // With a queue goes what its workers hold.
        for name in [place.id(), format!("{}unacked", place.prefix).into()] {
            let pattern = format!("{}*", String::from_utf8_lossy(&bytes_of(&name)));
            places.insert(pattern, place.lists[0].clone());
        }
    }
    Needs {
        places,
        commands: NEEDS.to_vec(),
        rules: RULES,
    }
}

#[async_trait]
impl Act for Celery {
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
        let Some(place) = self.place(queue).await? else {
            return refused("No route leads to this queue at the moment. Try again in a few seconds.");
        };
        let effects = match action {
            JobAction::Remove { children: false } => remove::remove(self, queue, &place, jobs).await,
            JobAction::Remove { children: true } => return refused("A task of Celery has no children."),
            JobAction::PutBack => put_back::all(self, queue, &place, jobs).await,
            JobAction::Cancel { .. } => revoke::all(self, queue, &place, jobs).await,
            _ => return refused(capabilities::NOT_HERE),
        };
        self.hands.doubt(&place.prefix);
        effects
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

impl Celery {
    /// Where a queue is; of one that is not known yet, its route is looked for.
    async fn place(&self, queue: &QueueId) -> Result<Option<Arc<Place>>, Trouble> {
        if let Some(place) = self.book.of(queue) {
            return Ok(Some(place));
        }
        super::discover::recognise(self, std::slice::from_ref(queue)).await?;
        Ok(self.book.of(queue))
    }
}

fn refused(reason: impl Into<String>) -> Effect {
    Effect::Refused { reason: reason.into() }
}

/// Whether a job that was seen like this can be one with these retries.
fn fits(seen: &Seen, retries: u32) -> bool {
    seen.attempts.is_none_or(|attempts| attempts == u64::from(retries))
}

/// The state in which it was seen, where that is none of these.
fn was_elsewhere(seen: &Seen, states: &[JobState]) -> Option<JobState> {
    seen.state.filter(|state| !states.contains(state))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_command_of_the_scripts_is_asked_about_and_no_other() {
        let scripts = [
            include_str!("act/lua/remove.lua"),
            include_str!("act/lua/put_back.lua"),
            include_str!("act/lua/revoke.lua"),
        ];
        let calls = scripts.iter().flat_map(|script| script.split("call(\"").skip(1));
        let mut called: BTreeSet<&str> = calls.filter_map(|rest| rest.split('"').next()).collect();
        // Its channel is not called like a key: the script itself asks.
        assert!(called.remove("PUBLISH"));
        assert_eq!(called, NEEDS.iter().map(|words| words[0]).collect());
    }
}
