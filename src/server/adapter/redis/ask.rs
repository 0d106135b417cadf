//! What the page of a store asks for beyond the server's report.
//!
//! | command | shown as | asked when |
//! |---|---|---|
//! | `CONFIG GET` of five names | settings | always; the others only if the first was allowed |
//! | `SLOWLOG GET 20` | the slow log | always |
//! | `LATENCY LATEST` | what the latency monitor saw | always |
//! | `PUBSUB CHANNELS`, `PUBSUB NUMSUB` | channels and their subscribers | if there are at most [`CHANNELS_MAX`] |
//!
//! A command that the access rules forbid is an answer of its own, naming the rule that would allow
//! it, and is not sent again for [`FORBIDDEN_FOR`]: each refusal is an entry in the server's `ACL LOG`.

use super::super::Trouble;
use super::link::Link;
use super::reply;
use crate::model::job::cut;
use crate::model::vitals::{Answered, Asked, Channel, LatencyEvent, Settings, SlowCommand};
use crate::model::{Millis, now};
use redis::{RedisError, RedisResult, Value};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Entries of the slow log.
const SLOW_MAX: u32 = 20;

/// Channels above which none is listed: `PUBSUB CHANNELS` answers with all of them at once.
pub const CHANNELS_MAX: u32 = 1000;

/// Channels that are listed.
const CHANNELS_SHOWN: usize = 100;

/// How long a refusal is remembered.
const FORBIDDEN_FOR: Duration = Duration::from_secs(300);

/// Bytes read of a name or an argument.
const ARGUMENT_MAX: usize = 40;

/// Arguments of a slow command that are shown, its name included.
const ARGUMENTS_MAX: usize = 8;

/// What is read from the configuration.
const SETTINGS: [&str; 5] = [
    "appendfsync",
    "save",
    "notify-keyspace-events",
    "slowlog-log-slower-than",
    "latency-monitor-threshold",
];

/// Rules that were missing when a command was sent, and when that was.
#[derive(Debug, Default)]
pub struct Forbidden(Mutex<HashMap<&'static str, Instant>>);

impl Forbidden {
    fn holds(&self, rule: &'static str) -> bool {
        let rules = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rules.get(rule).is_some_and(|at| at.elapsed() < FORBIDDEN_FOR)
    }

    fn note(&self, rule: &'static str) {
        let mut rules = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rules.insert(rule, Instant::now());
    }
}

/// Turns the refusal of a command into what the page shows.
pub fn refusal<T>(error: &RedisError, rule: &str) -> Answered<T> {
    if error.code() == Some("NOPERM") {
        return Answered::NotPermitted(rule.to_owned());
    }
    let says = error.detail().map_or_else(|| error.to_string(), str::to_owned);
    Answered::Failed(cut(&format!("the server answered with an error: {says}"), 200))
}

/// One round of questions: those that are not known to be refused, each with its rule.
struct Questions<'a> {
    forbidden: &'a Forbidden,
    pipe: redis::Pipeline,
    rules: Vec<&'static str>,
}

impl<'a> Questions<'a> {
    fn new(forbidden: &'a Forbidden) -> Self {
        Self {
            forbidden,
            pipe: redis::pipe(),
            rules: vec![],
        }
    }

    fn ask(&mut self, rule: &'static str, words: &[&str]) {
        if !self.forbidden.holds(rule) {
            self.pipe.cmd(words[0]).arg(&words[1..]);
            self.rules.push(rule);
        }
    }

    async fn send(mut self, link: &Link) -> Result<Replies<'a>, Trouble> {
        let replies = link.run(&mut self.pipe).await?;
        Ok(Replies {
            forbidden: self.forbidden,
            replies: self.rules.into_iter().zip(replies).collect(),
        })
    }
}

struct Replies<'a> {
    forbidden: &'a Forbidden,
    replies: Vec<(&'static str, RedisResult<Value>)>,
}

impl Replies<'_> {
    /// The next answer to a question with this rule.
    fn take(&mut self, rule: &'static str) -> Answered<Value> {
        let Some(i) = self.replies.iter().position(|(asked, _)| *asked == rule) else {
            return Answered::NotPermitted(rule.to_owned());
        };
        match self.replies.remove(i).1 {
            Ok(value) => Answered::Known(value),
            Err(error) => {
                let refused = refusal(&error, rule);
                if matches!(refused, Answered::NotPermitted(_)) {
                    self.forbidden.note(rule);
                }
                refused
            }
        }
    }
}

fn map<T, U>(answer: Answered<T>, f: impl FnOnce(T) -> U) -> Answered<U> {
    match answer {
        Answered::Known(value) => Answered::Known(f(value)),
        Answered::NotPermitted(rule) => Answered::NotPermitted(rule),
        Answered::Failed(why) => Answered::Failed(why),
    }
}

/// Asks. `channels` is how many Pub/Sub channels the report counts, if it does.
///
/// # Errors
///
/// When the store does not answer.
pub async fn ask(link: &Link, forbidden: &Forbidden, channels: Option<u64>) -> Result<Asked, Trouble> {
    let list_channels = channels.is_none_or(|n| n <= u64::from(CHANNELS_MAX));
    let settings = settings(link, forbidden).await?;
    let mut questions = Questions::new(forbidden);
    questions.ask("+slowlog|get", &["SLOWLOG", "GET", &SLOW_MAX.to_string()]);
    questions.ask("+latency|latest", &["LATENCY", "LATEST"]);
    if list_channels {
        questions.ask("+pubsub|channels", &["PUBSUB", "CHANNELS"]);
    }
    let mut first = questions.send(link).await?;
    let slow = map(first.take("+slowlog|get"), |value| slow_commands(&value));
    let latency = map(first.take("+latency|latest"), |value| latency_events(&value));
    let names = if list_channels {
        map(first.take("+pubsub|channels"), |value| channel_names(&value))
    } else {
        Answered::Failed(format!("too many to list: more than {CHANNELS_MAX}"))
    };

    let mut questions = Questions::new(forbidden);
    if let Some(names) = names.known().filter(|names| !names.is_empty()) {
        let names = names.iter().take(CHANNELS_MAX as usize).map(String::as_str);
        let words: Vec<&str> = ["PUBSUB", "NUMSUB"].into_iter().chain(names).collect();
        questions.ask("+pubsub|numsub", &words);
    }
    let mut second = questions.send(link).await?;
    let counted = names.known().is_some_and(|names| !names.is_empty());
    let subscribers = match counted.then(|| second.take("+pubsub|numsub")) {
        Some(Answered::Known(value)) => subscribers(&value),
        _ => HashMap::new(),
    };
    Ok(Asked {
        at: Some(now()),
        settings,
        slow,
        latency,
        channels: map(names, |names| list(names, &subscribers)),
    })
}

/// Asks for the settings: the first alone, for a refusal of it is one of all.
///
/// # Errors
///
/// When the store does not answer.
pub async fn settings(link: &Link, forbidden: &Forbidden) -> Result<Answered<Settings>, Trouble> {
    const RULE: &str = "+config|get";
    if link.rights().lack_config().await {
        forbidden.note(RULE);
    }
    let mut questions = Questions::new(forbidden);
    questions.ask(RULE, &["CONFIG", "GET", SETTINGS[0]]);
    let fsync = questions.send(link).await?.take(RULE);
    let mut questions = Questions::new(forbidden);
    if fsync.known().is_some() {
        for name in &SETTINGS[1..] {
            questions.ask(RULE, &["CONFIG", "GET", name]);
        }
    }
    let mut rest = questions.send(link).await?;
    Ok(map(fsync, |fsync| {
        let mut next = || match rest.take(RULE) {
            Answered::Known(value) => setting(&value),
            _ => None,
        };
        Settings {
            fsync: setting(&fsync),
            save: next(),
            notifications: next(),
            slower_than_us: next().and_then(|text| text.parse().ok()),
            latency_threshold_ms: next().and_then(|text| text.parse().ok()),
        }
    }))
}

/// The value of `[name, value]`.
fn setting(value: &Value) -> Option<String> {
    reply::text(reply::items(value).get(1)?)
}

/// Entries as `[id, unix seconds, microseconds, [argument, …], address, name]`; the last two since Redis 4.
fn slow_commands(value: &Value) -> Vec<SlowCommand> {
    let entry = |entry: &Value| {
        let parts = reply::items(entry);
        let text = |i: usize| parts.get(i).and_then(reply::text).unwrap_or_default();
        let number = |i: usize| parts.get(i).and_then(reply::int);
        let client = match (text(4), text(5)) {
            (address, name) if name.is_empty() => address,
            (address, name) => format!("{address} {name}"),
        };
        Some(SlowCommand {
            id: number(0)?,
            at: number(1)?.saturating_mul(1000),
            took_us: u64::try_from(number(2)?).unwrap_or(0),
            command: command(parts.get(3).map_or(&[], reply::items)),
            client: cut(&client, 120),
        })
    };
    reply::items(value)
        .iter()
        .take(SLOW_MAX as usize)
        .filter_map(entry)
        .collect()
}

/// A command line, short enough for a row. A script's text or a job's data stands in there whole or
/// cut at 128 bytes by the server itself.
fn command(arguments: &[Value]) -> String {
    let mut line = arguments
        .iter()
        .take(ARGUMENTS_MAX)
        .map(|argument| cut(&reply::text(argument).unwrap_or_default(), ARGUMENT_MAX))
        .collect::<Vec<_>>()
        .join(" ");
    if arguments.len() > ARGUMENTS_MAX {
        line += &format!(" … ({} more)", arguments.len() - ARGUMENTS_MAX);
    }
    line
}

/// Events as `[name, unix seconds, latest ms, max ms]`.
fn latency_events(value: &Value) -> Vec<LatencyEvent> {
    let event = |event: &Value| {
        let parts = reply::items(event);
        let number = |i: usize| parts.get(i).and_then(reply::int);
        Some(LatencyEvent {
            event: cut(&reply::text(parts.first()?)?, 60),
            at: number(1)?.saturating_mul(1000) as Millis,
            latest_ms: u64::try_from(number(2)?).unwrap_or(0),
            max_ms: u64::try_from(number(3)?).unwrap_or(0),
        })
    };
    reply::items(value).iter().take(50).filter_map(event).collect()
}

fn channel_names(value: &Value) -> Vec<String> {
    reply::items(value).iter().filter_map(reply::text).collect()
}

/// `[name, count, …]`.
fn subscribers(value: &Value) -> HashMap<String, u64> {
    reply::items(value)
        .chunks_exact(2)
        .filter_map(|pair| Some((reply::text(&pair[0])?, u64::try_from(reply::int(&pair[1])?).ok()?)))
        .collect()
}

fn list(names: Vec<String>, subscribers: &HashMap<String, u64>) -> Vec<Channel> {
    let mut channels: Vec<Channel> = names
        .into_iter()
        .map(|name| Channel {
            subscribers: subscribers.get(&name).copied(),
            name: cut(&name, 200),
        })
        .collect();
    channels.sort_by(|a, b| b.subscribers.cmp(&a.subscribers).then_with(|| a.name.cmp(&b.name)));
    channels.truncate(CHANNELS_SHOWN);
    channels
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    #[test]
    fn a_slow_command_is_cut_to_a_row() {
        let long = "x".repeat(500);
        let mut arguments = vec![bulk("EVALSHA"), bulk(&long)];
        arguments.extend((0..10).map(|i| bulk(&i.to_string())));
        let value = Value::Array(vec![Value::Array(vec![
            Value::Int(7),
            Value::Int(1000),
            Value::Int(15_000),
            Value::Array(arguments),
            bulk("127.0.0.1:5000"),
            bulk("worker"),
        ])]);
        let slow = slow_commands(&value);
        assert_eq!((slow[0].id, slow[0].at, slow[0].took_us), (7, 1_000_000, 15_000));
        assert_eq!(slow[0].client, "127.0.0.1:5000 worker");
        assert!(slow[0].command.starts_with("EVALSHA xxx"), "{}", slow[0].command);
        assert!(slow[0].command.ends_with("(4 more)"), "{}", slow[0].command);
        assert!(slow[0].command.len() < 150, "{}", slow[0].command);
    }

    #[test]
    fn answers_of_another_shape_are_no_entries() {
        assert!(slow_commands(&Value::Nil).is_empty());
        assert!(slow_commands(&Value::Array(vec![Value::Int(1), Value::Array(vec![])])).is_empty());
        assert!(latency_events(&Value::Array(vec![Value::Array(vec![bulk("fork")])])).is_empty());
        assert_eq!(setting(&Value::Array(vec![])), None);
    }

    #[test]
    fn channels_with_most_listeners_come_first() {
        let counts = subscribers(&Value::Array(vec![bulk("a"), Value::Int(1), bulk("b"), Value::Int(5)]));
        let channels = list(vec!["a".into(), "c".into(), "b".into()], &counts);
        let names: Vec<&str> = channels.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(names, ["b", "a", "c"]);
        assert_eq!(channels[2].subscribers, None, "not asked is not zero");
    }

    #[test]
    fn a_refusal_is_not_repeated_for_a_while() {
        let forbidden = Forbidden::default();
        forbidden.note("+slowlog|get");
        let mut questions = Questions::new(&forbidden);
        questions.ask("+slowlog|get", &["SLOWLOG", "GET", "20"]);
        questions.ask("+latency|latest", &["LATENCY", "LATEST"]);
        assert_eq!(questions.rules, ["+latency|latest"]);
    }
}
