//! A script in Lua, sent by its SHA-1: one atomic step in the store. What it does is its adapter's business.

use super::link::{Link, Silence};
use super::reply;
use crate::model::action::Effect;
use crate::model::job::cut;
use crate::server::adapter::Trouble;
use crate::server::redact::said;
use redis::{RedisError, RedisResult, Value};
use std::sync::OnceLock;

/// Characters of the server's text that are repeated in a sentence.
const SHOWN: usize = 200;

/// The keys and the arguments of one run.
pub type Given = (Vec<Vec<u8>>, Vec<Vec<u8>>);

/// See the module.
#[derive(Debug)]
pub struct Script {
    text: String,
    sha: OnceLock<String>,
}

impl Script {
    /// A script that no server has seen yet.
    #[must_use]
    pub const fn new(text: String) -> Self {
        Self {
            text,
            sha: OnceLock::new(),
        }
    }

    /// Runs it once for each, in one round trip. Each run has its answer, or an error of its own; an error means that the
    /// server did nothing of that run.
    ///
    /// # Errors
    ///
    /// As [`Link::write`].
    pub async fn run(&self, link: &Link, runs: &[Given]) -> Result<Vec<RedisResult<Value>>, Silence> {
        let mut answers: Vec<Option<RedisResult<Value>>> = vec![None; runs.len()];
        // Once for a script that the server has not seen, or has forgotten meanwhile.
        for load in [self.sha.get().is_none(), true] {
            if load {
                let unsent = |trouble: Trouble| Silence { trouble, sent: false };
                if let Err(error) = self.load(link).await.map_err(unsent)? {
                    answers
                        .iter_mut()
                        .filter(|answer| answer.is_none())
                        .for_each(|answer| *answer = Some(Err(error.clone())));
                    break;
                }
            }
            let open: Vec<usize> = (0..runs.len()).filter(|i| answers[*i].is_none()).collect();
            let mut pipe = redis::pipe();
            for i in &open {
                let (keys, arguments) = &runs[*i];
                pipe.cmd("EVALSHA")
                    .arg(self.sha.get())
                    .arg(keys.len())
                    .arg(keys)
                    .arg(arguments);
            }
            for (i, answer) in open.into_iter().zip(link.write(&mut pipe).await?) {
                if !matches!(&answer, Err(error) if error.code() == Some("NOSCRIPT")) {
                    answers[i] = Some(answer);
                }
            }
            if answers.iter().all(Option::is_some) {
                break;
            }
        }
        let lost = || {
            Err(RedisError::from(std::io::Error::other(
                "the server forgets its scripts at once",
            )))
        };
        Ok(answers.into_iter().map(|answer| answer.unwrap_or_else(lost)).collect())
    }

    /// Has the server remember the script. Loading and not `EVAL`: Redis forgets what came by `EVAL` sooner.
    async fn load(&self, link: &Link) -> Result<RedisResult<()>, Trouble> {
        let mut pipe = redis::pipe();
        pipe.cmd("SCRIPT").arg("LOAD").arg(&self.text);
        let answer = link.run(&mut pipe).await?.pop();
        Ok(match answer {
            Some(Ok(sha)) => {
                let _ = self.sha.set(reply::text(&sha).unwrap_or_default());
                Ok(())
            }
            Some(Err(error)) => Err(error),
            None => Err(RedisError::from(std::io::Error::other("SCRIPT LOAD was not answered"))),
        })
    }
}

/// The effect of a run that was not answered, where nothing in the store tells whether we or a worker changed a job.
#[must_use]
pub fn unheard(silence: &Silence, look_at: &str) -> Effect {
    let trouble = &silence.trouble;
    if silence.sent {
        Effect::Unconfirmed {
            reason: format!(
                "The command was sent, but no answer came: {trouble} The store does not show whether it was done. {look_at}"
            ),
        }
    } else {
        unsent(trouble)
    }
}

/// The effect of a run that did not leave Drover.
#[must_use]
pub fn unsent(trouble: &Trouble) -> Effect {
    Effect::Refused {
        reason: format!("The command was not sent: {trouble}"),
    }
}

/// Why a server takes no writes: it says so at the first one, so that nothing was done.
#[must_use]
pub fn before_any_write(says: &str) -> Option<String> {
    let says = says.trim_start_matches('-');
    Some(match says.split([' ', ':']).next().unwrap_or_default() {
        "OOM" => {
            "The server is out of memory (maxmemory) and accepts no writes. Free memory first; removing jobs works."
                .into()
        }
        "READONLY" => "The server is a read-only replica. Point Drover at the primary.".into(),
        "MISCONF" => "The server cannot save to its disk and accepts no writes. Check its disk.".into(),
        "NOREPLICAS" => "The server has too few healthy replicas and accepts no writes.".into(),
        _ => return None,
    })
}

/// What a script answers that may not run all of its commands, and has begun none of them.
#[must_use]
pub fn lacks(user: &str, command: &str, place: &str) -> String {
    let kind = if command == "publish" { '&' } else { '~' };
    format!(
        "The Redis user {user} may not {command} to {place}; nothing was done. This permits it: ACL SETUSER {user} +{command} \
         {kind}{place}"
    )
}

/// What an error that came instead of an answer means: the server did nothing. `rules` is where those of a user are who may
/// do it.
#[must_use]
pub fn refusal(error: &RedisError, rules: &str) -> String {
    let says = error.detail().map_or_else(|| error.to_string(), str::to_owned);
    meaning(error.code().unwrap_or_default(), &says, rules)
}

/// The same of an error's code and what follows it, as a script catches it.
#[must_use]
pub fn meaning(code: &str, says: &str, rules: &str) -> String {
    if let Some(why) = before_any_write(code) {
        return why;
    }
    // Redis 7.0 gives what its script may not do no code of its own.
    let denied = says.starts_with("The user executing the script can't");
    match code {
        _ if denied => format!(
            "Drover's user may not run a command of the script on this server. {rules} has a user with all that an \
             operator needs."
        ),
        "NOPERM" => format!(
            "Drover's user is not permitted to do that on this server: {}. {rules} has a user with all that an operator \
             needs.",
            cut(&said(says), SHOWN)
        ),
        "BUSY" => "The server is running another client's script and does not answer until it ends; nothing was done. Try again then.".into(),
        "LOADING" => "The server is loading its data; nothing was done. Try again when it has.".into(),
        "MASTERDOWN" => "The server is a replica that has lost its primary; nothing was done. Try again when it has one.".into(),
        "WRONGTYPE" => "A key of the queue has a different type than the library expects; nothing was done. Check what wrote it.".into(),
        _ => {
            tracing::warn!(code, says = said(&cut(says, SHOWN)), "the server refused a script");
            "The queue's keys hold data that the library does not write, so the server refused the script; nothing \
             was done. Check the job's record below, or use the library itself."
                .into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_the_rule_that_permits_it() {
        assert!(lacks("ops", "publish", "news").ends_with("ACL SETUSER ops +publish &news"));
        assert!(lacks("ops", "hdel", "held").ends_with("ACL SETUSER ops +hdel ~held"));
    }

    #[test]
    fn a_command_that_a_script_may_not_run_is_no_strange_data() {
        let says = "The user executing the script can't run this command or subcommand script: 42, on @user_script:1.";
        assert!(meaning("ERR", says, "The guide").contains("The guide has a user"));
    }
}
