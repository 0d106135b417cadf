//! One action as one script: the guard, the library's own text, and the step that runs it, sent by its SHA-1.
//!
//! The library's scripts stand in it unchanged, each in a function of its own that is given exactly the keys and
//! arguments that the library gives it. `KEYS` holds theirs first, in their order, then those of further jobs.

use super::super::super::redis::link::{Link, Silence};
use super::super::super::redis::script::{Given, Script};
use super::super::{below, key};
use super::library::{Generation, Library, Role};
use super::pack::Pack;
use redis::{RedisResult, Value};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

const GUARD: &str = include_str!("lua/guard.lua");

/// An error that one job raises is reported for that job: the jobs before it may be done. An error of the first job is
/// raised as it is, because nothing was done of any, unless the job itself is malformed.
const LOOP: &str = "
local answers = {}
for i, job in ipairs(order.jobs) do
  local fine, answer = pcall(step, job)
  if not fine then
    local said = type(answer) == 'table' and answer.err or tostring(answer)
    if i == 1 and (#order.jobs == 1 or not string.find(said, 'WRONGTYPE', 1, true)) then
      error(answer)
    end
    answer = {'broke', said}
  end
  answers[i] = answer
end
return answers
";

/// What an action is made of: names of the library's scripts, and our own step in Lua.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recipe {
    /// Its name, for [`Scripts`].
    pub(super) name: &'static str,
    /// The library's scripts that it must have.
    pub(super) needs: &'static [&'static str],
    /// Those that it takes where the generation has them.
    pub(super) likes: &'static [&'static str],
    /// The step, after the parts that it builds on.
    pub(super) steps: &'static [&'static str],
}

/// A script ready to be sent.
#[derive(Debug)]
pub(super) struct Composed {
    script: Script,
    scripts: Vec<&'static Library>,
}

/// All scripts that were composed so far.
#[derive(Debug, Default)]
pub struct Scripts(Mutex<HashMap<(Generation, &'static str), Arc<Composed>>>);

/// What the keys of a script that depend on the action are.
#[derive(Clone, Debug, Default)]
pub(super) struct Frame {
    pub(super) job: Option<Vec<u8>>,
    pub(super) state: Option<&'static str>,
    pub(super) source: Option<&'static str>,
    pub(super) target: Option<&'static str>,
    pub(super) channel: Option<&'static str>,
    pub(super) dedup: Option<Vec<u8>>,
}

impl Scripts {
    /// The script of an action for a generation; `None` if that lacks what it needs.
    pub(super) fn get(&self, generation: Generation, recipe: &Recipe) -> Option<Arc<Composed>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(composed) = all.get(&(generation, recipe.name)) {
            return Some(Arc::clone(composed));
        }
        let needed: Option<Vec<_>> = recipe.needs.iter().map(|name| generation.script(name)).collect();
        let liked = recipe.likes.iter().filter_map(|name| generation.script(name));
        let composed = Arc::new(compose(needed?.into_iter().chain(liked).collect(), recipe.steps));
        all.insert((generation, recipe.name), Arc::clone(&composed));
        Some(composed)
    }
}

fn compose(scripts: Vec<&'static Library>, steps: &[&str]) -> Composed {
    let mut text = String::from(GUARD);
    let mut at = 0;
    for script in &scripts {
        let kinds: String = script.roles.iter().map(|role| role.kind()).collect();
        let mut jobs = String::new();
        let (mut state, mut dedup) = ("nil".to_owned(), "nil".to_owned());
        for (i, role) in (1..).zip(script.roles) {
            match role {
                Role::Job => _ = write!(jobs, "[{i}] = '', "),
                Role::Lock => _ = write!(jobs, "[{i}] = ':lock', "),
                Role::Logs => _ = write!(jobs, "[{i}] = ':logs', "),
                Role::Dependencies => _ = write!(jobs, "[{i}] = ':dependencies', "),
                Role::Unsuccessful => _ = write!(jobs, "[{i}] = ':unsuccessful', "),
                Role::State => state = i.to_string(),
                Role::Dedup => dedup = i.to_string(),
                _ => {}
            }
        }
        let _ = write!(
            text,
            "\nlib.{name} = {{n = {n}, at = {at}, kinds = '{kinds}', job = {{{jobs}}}, state = {state}, dedup = {dedup}}}\n\
             lib.{name}.run = function(KEYS, ARGV)\n{body}\nend\n",
            name = script.name,
            n = script.roles.len(),
            body = script.text,
        );
        at += script.roles.len();
    }
    for step in steps {
        text.push('\n');
        text.push_str(step);
    }
    text.push_str(LOOP);
    Composed {
        script: Script::new(text),
        scripts,
    }
}

impl Composed {
    /// The keys of its scripts, in their order.
    pub(super) fn keys(&self, queue: &str, frame: &Frame) -> Vec<Vec<u8>> {
        let roles = self.scripts.iter().flat_map(|script| script.roles);
        roles.map(|role| frame.key(queue, *role)).collect()
    }

    /// Sends one order after the other in one round trip: as [`Script::run`].
    pub(super) async fn run(
        &self,
        link: &Link,
        orders: &[(Vec<Vec<u8>>, Pack)],
    ) -> Result<Vec<RedisResult<Value>>, Silence> {
        let given = |(keys, order): &(Vec<Vec<u8>>, Pack)| (keys.clone(), vec![order.bytes()]);
        let runs: Vec<Given> = orders.iter().map(given).collect();
        self.script.run(link, &runs).await
    }
}

impl Frame {
    fn key(&self, queue: &str, role: Role) -> Vec<u8> {
        // A script about no job is given the queue's own prefix as its key: a key that its user may name, and that no
        // job has.
        let no_job = key(queue, "");
        let job = || self.job.as_deref().unwrap_or(&no_job);
        let of = |suffix: Option<&str>| key(queue, suffix.unwrap_or_default());
        match role {
            Role::Job => job().to_vec(),
            Role::Lock => below(job(), "lock"),
            Role::Logs => below(job(), "logs"),
            Role::Dependencies => below(job(), "dependencies"),
            Role::Unsuccessful => below(job(), "unsuccessful"),
            Role::State => of(self.state.or(Some("failed"))),
            Role::Source => of(self.source),
            Role::Target => of(self.target),
            Role::Channel => of(self.channel),
            Role::Dedup => self.dedup.clone().unwrap_or_else(|| of(Some("de:"))),
            other => of(other.suffix()),
        }
    }
}
