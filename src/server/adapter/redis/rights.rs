//! What our user may do on a Redis, asked without doing any of it.
//!
//! An action is a script, and every command inside it is checked against the user's rules when its turn comes: one that
//! is missing would stop the script halfway, with the job in no list. So Drover asks the server beforehand, by a script
//! that calls nothing but `redis.acl_check_cmd` (Redis 7 and newer): it touches no key, and what it is denied does not
//! get into `ACL LOG`. A user who may run no script is known by the refusal of that script, the one entry that this
//! costs for each connection. A server that cannot be asked is taken to permit everything; the action itself reports
//! what it refuses.
//!
//! What each library needs is checked apart: a user may act on the queues of one and only read those of another.
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

/// What the actions of one library need.
#[derive(Debug, Default)]
pub struct Needs {
    /// A key of a queue for each pattern that permits such keys (`bull:*`).
    pub places: BTreeMap<String, Vec<u8>>,
    /// Commands, each a list of words. The word `KEY` stands for such a key, and for a channel of that name.
    pub commands: Vec<&'static [&'static str]>,
    /// Where the rules of a user are who may do all of it.
    pub rules: &'static str,
}

/// What is asked about, and the answer.
#[derive(Debug, Default)]
struct Group {
    needs: Needs,
    known: Known,
}

/// What is asked about.
#[derive(Debug, Default)]
struct Wanted {
    /// By the name of the library.
    groups: BTreeMap<&'static str, Group>,
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

impl Wanted {
    /// What is so for all keys and commands, if anything is.
    fn whole(&self) -> Option<&Known> {
        self.groups
            .values()
            .map(|group| &group.known)
            .find(|known| known.is_final())
    }

    /// Those of which queues are known.
    fn in_use(&self) -> impl Iterator<Item = &Group> {
        self.groups.values().filter(|group| !group.needs.places.is_empty())
    }
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

    /// What the actions of a library need.
    pub fn about(&self, library: &'static str, needs: Needs) {
        let mut wanted = self.wanted();
        // One who may run no script may not on other keys either.
        let is_final = wanted.whole().is_some();
        let group = wanted.groups.entry(library).or_default();
        let before = &group.needs;
        let same = before.commands == needs.commands && before.places.keys().eq(needs.places.keys());
        group.needs = needs;
        if !same && !is_final {
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
        let lacking = |group: &Group| !matches!(group.known, Known::Nothing | Known::Enough);
        let lacks = wanted.groups.values().any(lacking) && wanted.whole().is_none();
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

    fn settle(&self, answer: Result<Vec<(&'static str, Known)>, Trouble>) {
        let mut wanted = self.wanted();
        wanted.settled = true;
        match answer {
            Ok(answers) => {
                for (library, known) in answers {
                    wanted.groups.entry(library).or_default().known = known;
                }
            }
            Err(trouble) => {
                wanted.doubted = true;
                tracing::debug!(%trouble, "what the Redis user may do is not known");
            }
        }
    }

    /// Why nothing at all can be changed, and what to do about it; `None` while nothing is known to stand in the way of some
    /// library's actions.
    #[must_use]
    pub fn refusal(&self, user: &str) -> Option<String> {
        let wanted = self.wanted();
        if let Some(known) = wanted.whole() {
            let nothing = Needs::default();
            let needs = wanted.in_use().next().map_or(&nothing, |group| &group.needs);
            return known.refusal(needs, user);
        }
        let mut all = wanted.in_use();
        let first = all.next()?.refusal(user);
        first.filter(|_| all.all(|group| group.refusal(user).is_some()))
    }

    /// Why nothing of a library's queues can be changed, and what to do about it.
    #[must_use]
    pub fn refusal_of(&self, library: &str, user: &str) -> Option<String> {
        let wanted = self.wanted();
        let group = wanted.groups.get(library)?;
        wanted.whole().unwrap_or(&group.known).refusal(&group.needs, user)
    }
}

impl Group {
    fn refusal(&self, user: &str) -> Option<String> {
        self.known.refusal(&self.needs, user)
    }
}

impl Known {
    /// Why nothing can be changed by it, and what to do about it.
    fn refusal(&self, needs: &Needs, user: &str) -> Option<String> {
        let places: Vec<&str> = needs.places.keys().map(String::as_str).collect();
        match self {
            Self::Nothing | Self::Enough => None,
            Self::Keys => Some(format!(
                "The Redis user {user} may not write to the keys of {}. This permits it: ACL SETUSER {user} {}",
                places.join(", "),
                places
                    .iter()
                    .map(|place| format!("~{place}"))
                    .collect::<Vec<_>>()
                    .join(" ")
            )),
            Self::Lacks(rules) => Some(lacks(user, rules, &places, needs.rules)),
        }
    }

    /// Whether it is so for all keys and commands, and another question might be another entry in `ACL LOG`.
    fn is_final(&self) -> bool {
        matches!(self, Self::Lacks(rules) if rules.iter().any(|rule| ["evalsha", "script|load"].contains(&rule.as_str())))
    }
}

fn lacks(user: &str, rules: &[String], places: &[&str], file: &str) -> String {
    if rules.iter().any(|rule| rule == "evalsha") {
        let file = if file.is_empty() {
            "deploy/redis/users.acl"
        } else {
            file
        };
        return format!(
            "The Redis user {user} may only read (it lacks evalsha): connect Drover as a user with the operator's rights \
             to act; {file} has one."
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

    /// Asks for each library; for none in particular where nothing of any is known yet.
    async fn ask_rights(&self) -> Result<Vec<(&'static str, Known)>, Trouble> {
        type Question = (&'static str, Vec<Vec<u8>>, Vec<&'static [&'static str]>);
        let mut questions: Vec<Question> = {
            let mut wanted = self.rights().wanted();
            (wanted.fresh, wanted.doubted, wanted.asked) = (false, false, Some(Instant::now()));
            let question = |(library, group): (&&'static str, &Group)| {
                let places = group.needs.places.values().cloned().collect();
                (*library, places, group.needs.commands.clone())
            };
            wanted.groups.iter().map(question).collect()
        };
        // Of those without queues nothing but whether scripts may be run can be told: one question is enough.
        let whole = questions.iter().all(|(_, places, _)| places.is_empty());
        questions.retain(|(_, places, _)| !places.is_empty());
        if whole {
            questions.push(("", vec![], vec![]));
        }
        let mut connection = self.dedicated().await?;
        let mut answers = vec![];
        for (library, places, commands) in questions {
            let known = self.ask_about(&mut connection, &places, commands).await?;
            let is_final = known.is_final();
            answers.push((library, known));
            if is_final {
                break;
            }
        }
        if let Some((library, known)) = answers.last().cloned() {
            let mut wanted = self.rights().wanted();
            for (other, group) in &mut wanted.groups {
                // It is so for all, or was and is no more.
                if known.is_final() && *other != library {
                    group.known = known.clone();
                } else if group.known.is_final() {
                    group.known = Known::Nothing;
                }
            }
        }
        Ok(answers)
    }

    async fn ask_about(
        &self,
        connection: &mut MultiplexedConnection,
        places: &[Vec<u8>],
        mut commands: Vec<&'static [&'static str]>,
    ) -> Result<Known, Trouble> {
        // Every action is loaded before it is run.
        commands.push(&["SCRIPT", "LOAD", "return 1"]);
        let mut run = redis::cmd("EVALSHA");
        let commands = serde_json::to_string(&commands).unwrap_or_default();
        run.arg(&*PROBE_SHA).arg(0).arg(commands).arg(&*PROBE_SHA).arg(places);
        let mut answer = self.ask(connection, &run).await?;
        if code(&answer) == Some("NOSCRIPT") {
            let mut load = redis::cmd("SCRIPT");
            load.arg("LOAD").arg(PROBE);
            let loaded = self.ask(connection, &load).await?;
            if code(&loaded) == Some("NOPERM") {
                return Ok(Known::Lacks(vec!["script|load".into()]));
            }
            answer = self.ask(connection, &run).await?;
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

    fn needs(place: &str) -> Needs {
        Needs {
            places: BTreeMap::from([(place.into(), b"key".to_vec())]),
            ..Needs::default()
        }
    }

    fn refusal(known: Known) -> Option<String> {
        let rights = Rights::default();
        rights.about("bull", needs("bull:*"));
        rights.settle(Ok(vec![("bull", known)]));
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
            rights.settle(Ok(vec![("bull", known.clone())]));
            assert_eq!(rights.due().is_some(), again, "{known:?}");
        }
    }

    #[test]
    fn who_may_act_on_the_queues_of_one_library_acts_on_these() {
        let rights = Rights::default();
        rights.about("bull", needs("bull:*"));
        rights.about("other", needs("mail*"));
        rights.about("idle", Needs::default());
        rights.settle(Ok(vec![("bull", Known::Enough), ("other", Known::Keys)]));
        assert_eq!(rights.refusal("ops"), None);
        assert_eq!(rights.refusal_of("bull", "ops"), None);
        assert!(
            rights
                .refusal_of("other", "ops")
                .is_some_and(|why| why.ends_with("~mail*"))
        );
        rights.settle(Ok(vec![("bull", Known::Lacks(vec!["hset".into()]))]));
        assert!(rights.refusal("ops").is_some_and(|why| why.contains("hset")));
        rights.settle(Ok(vec![("", Known::Lacks(vec!["evalsha".into()]))]));
        assert!(rights.refusal("ops").is_some_and(|why| why.contains("may only read")));
        // Of a library that is met later too, and by the rules of one that has queues.
        rights.about("new", needs("new*"));
        assert!(
            rights
                .refusal_of("new", "ops")
                .is_some_and(|why| why.contains("may only read"))
        );
    }
}
