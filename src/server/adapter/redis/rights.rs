//! What our user may do on a Redis, asked without doing any of it.
//!
//! An action is a script, and every command inside it is checked against the user's rules when its turn comes: one that
//! is missing would stop the script halfway, with the job in no list. So Drover asks the server beforehand, by a script
//! that calls nothing but `redis.acl_check_cmd` (Redis 7 and newer): it touches no key, and what it is denied does not
//! get into `ACL LOG`. A user who may run no script is known by the refusal of that script, the one entry that this
//! costs for each connection. A server that cannot be asked is taken to permit everything; the action itself reports
//! what it refuses.
//!
//! The question goes over a connection of its own, for a moment: while a client pauses writes (`CLIENT PAUSE`), the
//! server holds back a client that sends a script, with everything that it sends after it.

use super::super::Trouble;
use super::link::{DEADLINE, Link};
use super::reply;
use redis::aio::MultiplexedConnection;
use redis::{Cmd, RedisResult, Value};
use sha1::{Digest as _, Sha1};
use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

/// A user who lacks something, or is doubted, is asked about again after this long. One who may run no script is asked
/// about again only when doubted: each question is an entry in `ACL LOG`.
const AGAIN: Duration = Duration::from_secs(5);

/// How long a page waits for the first answer.
const SETTLES: Duration = Duration::from_millis(500);

/// Commands that are named in a sentence.
const NAMED: usize = 8;

/// Asks about its first argument, a JSON list of commands, each a list of words, on the keys from the third on; the second
/// is any SHA-1.
/// Answers first whether settings may be read, which no action needs.
const PROBE: &str = "if not redis.acl_check_cmd then return {'unknown'} end
local answer = {redis.acl_check_cmd('CONFIG', 'GET', 'save') and 'settings' or 'none'}
local needs = cjson.decode(ARGV[1])
for i = 3, #ARGV do
  if redis.acl_check_cmd('EVALSHA', ARGV[2], '1', ARGV[i]) then
    answer[2] = 'lacks'
    for _, words in ipairs(needs) do
      for at, word in ipairs(words) do
        if word == 'KEY' then words[at] = ARGV[i] end
      end
      local fine, may = pcall(redis.acl_check_cmd, unpack(words))
      local name = string.lower(words[1])
      if fine and not may then answer[#answer + 1] = name == 'script' and 'script|load' or name end
    end
    return answer
  end
end
answer[2] = #ARGV > 2 and 'keys' or nil
return answer";

/// The SHA-1 of [`PROBE`].
static PROBE_SHA: LazyLock<String> = LazyLock::new(|| {
    let sha = Sha1::digest(PROBE);
    sha.iter().map(|byte| format!("{byte:02x}")).collect()
});

/// What is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Known {
    /// Not asked yet, or the server cannot be asked.
    #[default]
    Nothing,
    /// It may do all of it.
    Enough,
    /// Rules that are missing, as the server names them (`hset`, `script|load`).
    Lacks(Vec<String>),
    /// It may not write to these keys, whatever the commands.
    Keys,
}

/// What is asked about.
#[derive(Debug, Default)]
struct Wanted {
    /// A key of a queue for each prefix.
    places: BTreeMap<String, Vec<u8>>,
    needs: Vec<&'static [&'static str]>,
    known: Known,
    /// Whether there is something new to ask about.
    fresh: bool,
    /// Whether what is known may be wrong.
    doubted: bool,
    asked: Option<Instant>,
    /// Whether the first question over this connection was answered, or was not answered in time.
    settled: bool,
    /// Whether `CONFIG GET` is known to be refused: the page of a store would like it, no action needs it.
    no_config: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Rights {
    wanted: Mutex<Wanted>,
    wake: Notify,
}

impl Rights {
    fn wanted(&self) -> MutexGuard<'_, Wanted> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What actions need: these commands, on keys like these, one for each prefix. In a command the word `KEY` stands
    /// for such a key, and for a channel of that name.
    pub fn about(&self, places: BTreeMap<String, Vec<u8>>, needs: Vec<&'static [&'static str]>) {
        let mut wanted = self.wanted();
        let same = wanted.needs == needs && wanted.places.keys().eq(places.keys());
        (wanted.places, wanted.needs) = (places, needs);
        // One who may run no script may not on other keys either.
        if !same && !wanted.known.is_final() {
            wanted.fresh = true;
            self.wake.notify_one();
        }
    }

    /// Notes a new connection: the server behind it may have other rules. What was known holds until they are read.
    pub(super) fn connected(&self) {
        let mut wanted = self.wanted();
        (wanted.settled, wanted.fresh) = (false, true);
        self.wake.notify_one();
    }

    /// What is known may be wrong: a command was refused, or a user asks for what is not permitted.
    pub fn doubt(&self) {
        self.wanted().doubted = true;
        self.wake.notify_one();
    }

    /// How long until it is to be asked about again; `None` until there is reason to.
    fn due(&self) -> Option<Duration> {
        let wanted = self.wanted();
        let lacks = !matches!(wanted.known, Known::Nothing | Known::Enough) && !wanted.known.is_final();
        if wanted.fresh {
            Some(Duration::ZERO)
        } else if wanted.doubted || lacks {
            let since = wanted.asked.map_or(AGAIN, |at| at.elapsed());
            Some(AGAIN.saturating_sub(since))
        } else {
            None
        }
    }

    /// Whether asking for settings is known to be refused. Just after connecting it waits a moment for that.
    pub async fn lack_config(&self) -> bool {
        let began = Instant::now();
        while !self.wanted().settled && began.elapsed() < SETTLES {
            sleep(SETTLES / 20).await;
        }
        self.wanted().no_config
    }

    fn settle(&self, answer: Result<Known, Trouble>) {
        let mut wanted = self.wanted();
        wanted.settled = true;
        match answer {
            Ok(known) => wanted.known = known,
            Err(trouble) => {
                wanted.doubted = true;
                tracing::debug!(%trouble, "what the Redis user may do is not known");
            }
        }
    }

    /// Why nothing can be changed, and what to do about it; `None` while nothing is known to stand in the way.
    #[must_use]
    pub fn refusal(&self, user: &str) -> Option<String> {
        let wanted = self.wanted();
        let places = || wanted.places.keys().map(|prefix| format!("{prefix}:*"));
        match &wanted.known {
            Known::Nothing | Known::Enough => None,
            Known::Keys => Some(format!(
                "The Redis user {user} may not write to the keys of {}. This permits it: ACL SETUSER {user} {}",
                places().collect::<Vec<_>>().join(", "),
                places().map(|place| format!("~{place}")).collect::<Vec<_>>().join(" ")
            )),
            Known::Lacks(rules) => Some(lacks(user, rules, &places().collect::<Vec<_>>())),
        }
    }
}

impl Known {
    /// Whether it is so for all keys and commands, and another question might be another entry in `ACL LOG`.
    fn is_final(&self) -> bool {
        matches!(self, Self::Lacks(rules) if rules.iter().any(|rule| ["evalsha", "script|load"].contains(&rule.as_str())))
    }
}

fn lacks(user: &str, rules: &[String], places: &[String]) -> String {
    if rules.iter().any(|rule| rule == "evalsha") {
        return format!(
            "The Redis user {user} may only read (it lacks evalsha): connect Drover as a user with the operator's rights \
             to act; deploy/redis/users.acl has one."
        );
    }
    let mut named: Vec<&str> = rules.iter().take(NAMED).map(String::as_str).collect();
    let more = format!("{} more", rules.len().saturating_sub(NAMED));
    if rules.len() > NAMED {
        named.push(&more);
    }
    let mut permits: Vec<String> = rules.iter().map(|rule| format!("+{rule}")).collect();
    // A message needs the right to its channel as well.
    if rules.iter().any(|rule| rule == "publish") {
        permits.extend(places.iter().map(|place| format!("&{place}")));
    }
    format!(
        "The Redis user {user} lacks {}: actions would stop halfway, so none is started. This permits it: ACL SETUSER \
         {user} {}",
        named.join(", "),
        permits.join(" ")
    )
}

impl Link {
    /// Learns what our user may do, whenever there is reason to ask.
    pub(super) async fn learn(&self) {
        loop {
            match self.rights().due() {
                Some(Duration::ZERO) => {
                    let answer = self.ask_rights().await;
                    self.rights().settle(answer);
                }
                Some(wait) => {
                    tokio::select! {
                        () = self.rights().wake.notified() => {}
                        () = sleep(wait) => {}
                    }
                }
                None => self.rights().wake.notified().await,
            }
        }
    }

    async fn ask_rights(&self) -> Result<Known, Trouble> {
        let (places, mut needs) = {
            let mut wanted = self.rights().wanted();
            (wanted.fresh, wanted.doubted, wanted.asked) = (false, false, Some(Instant::now()));
            (wanted.places.clone(), wanted.needs.clone())
        };
        // Every action is loaded before it is run.
        needs.push(&["SCRIPT", "LOAD", "return 1"]);
        let mut connection = self.dedicated().await?;
        let mut run = redis::cmd("EVALSHA");
        let needs = serde_json::to_string(&needs).unwrap_or_default();
        run.arg(&*PROBE_SHA).arg(0).arg(needs).arg(&*PROBE_SHA);
        for place in places.values() {
            run.arg(place);
        }
        let mut answer = self.ask(&mut connection, &run).await?;
        if code(&answer) == Some("NOSCRIPT") {
            let mut load = redis::cmd("SCRIPT");
            load.arg("LOAD").arg(PROBE);
            let loaded = self.ask(&mut connection, &load).await?;
            if code(&loaded) == Some("NOPERM") {
                return Ok(Known::Lacks(vec!["script|load".into()]));
            }
            answer = self.ask(&mut connection, &run).await?;
        }
        if code(&answer) == Some("NOPERM") {
            return Ok(Known::Lacks(vec!["evalsha".into()]));
        }
        let words: Vec<String> = match &answer {
            Ok(value) => reply::items(value).iter().filter_map(reply::text).collect(),
            Err(_) => vec![],
        };
        self.rights().wanted().no_config = words.first().is_some_and(|word| word == "none");
        Ok(match words.get(1).map(String::as_str) {
            Some("lacks") if words.len() == 2 => Known::Enough,
            Some("lacks") => Known::Lacks(words[2..].to_vec()),
            Some("keys") => Known::Keys,
            _ => Known::Nothing,
        })
    }

    async fn ask(&self, connection: &mut MultiplexedConnection, command: &Cmd) -> Result<RedisResult<Value>, Trouble> {
        self.count_sent(1);
        timeout(DEADLINE, command.query_async::<Value>(connection))
            .await
            .map_err(|_| self.frozen())
    }
}

fn code(answer: &RedisResult<Value>) -> Option<&str> {
    answer.as_ref().err()?.code()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(known: Known) -> Option<String> {
        let rights = Rights::default();
        rights.about(BTreeMap::from([("bull".into(), b"bull:q:meta".to_vec())]), vec![]);
        rights.wanted().known = known;
        rights.refusal("ops")
    }

    #[test]
    fn what_is_missing_is_named_with_the_rules_that_permit_it() {
        assert_eq!(refusal(Known::Nothing), None);
        assert_eq!(refusal(Known::Enough), None);
        let of = |rules: &[&str]| {
            let rules = rules.iter().map(|rule| (*rule).to_owned()).collect();
            refusal(Known::Lacks(rules)).unwrap_or_default()
        };
        assert_eq!(
            of(&["evalsha"]),
            "The Redis user ops may only read (it lacks evalsha): connect Drover as a user with the operator's rights to act; \
             deploy/redis/users.acl has one."
        );
        let some = of(&["hset", "publish"]);
        assert!(some.starts_with("The Redis user ops lacks hset, publish: "), "{some}");
        assert!(some.ends_with("ACL SETUSER ops +hset +publish &bull:*"), "{some}");
        let many: Vec<&str> = std::iter::repeat_n("xadd", 11).collect();
        assert!(of(&many).contains("xadd, 3 more: "), "{}", of(&many));
        let keys = refusal(Known::Keys).unwrap_or_default();
        assert!(keys.ends_with("ACL SETUSER ops ~bull:*"), "{keys}");
    }

    #[test]
    fn a_doubt_asks_again_but_not_at_once_and_a_connection_at_once() {
        let rights = Rights::default();
        assert_eq!(rights.due(), None);
        rights.wanted().asked = Some(Instant::now());
        rights.doubt();
        assert!(rights.due().is_some_and(|wait| !wait.is_zero() && wait <= AGAIN));
        rights.connected();
        assert_eq!(rights.due(), Some(Duration::ZERO));
    }

    #[test]
    fn only_who_lacks_a_part_is_asked_about_without_a_reason() {
        let rights = Rights::default();
        let lacks = |rule: &str| Known::Lacks(vec![rule.into()]);
        for (known, again) in [
            (Known::Enough, false),
            (lacks("hset"), true),
            (Known::Keys, true),
            (lacks("evalsha"), false),
            (lacks("script|load"), false),
        ] {
            rights.settle(Ok(known.clone()));
            assert_eq!(rights.due().is_some(), again, "{known:?}");
        }
    }
}
