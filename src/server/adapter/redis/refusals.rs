//! Refusals met along the way that do not stop a store from answering.
//!
//! A command that our user may not run, a write refused for lack of disk or replicas, an answer that only a cluster
//! gives: the connection works, and something is the matter all the same. The code that meets one notes it here, and
//! the collector reports it.

use redis::{Cmd, RedisError, RedisResult, Value};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A refusal that is not met again is believed for this long: longer than the pause between two
/// attempts at what is met again and again.
const BELIEVED: Duration = Duration::from_secs(4);

/// A command that only some pages send may stay refused for long without being met.
const DENIAL_BELIEVED: Duration = Duration::from_secs(600);

/// Commands that never wait for anything: a client that waits with one of them is held by
/// `CLIENT PAUSE`. Servers before 7.4 tell of a pause in no other way.
const NEVER_WAIT: [&str; 14] = [
    "evalsha", "eval", "fcall", "exec", "set", "lpush", "rpush", "lrem", "xadd", "zadd", "zrem", "hset", "sadd", "del",
];

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Refusals {
    denied: BTreeMap<String, Instant>,
    disk: Option<(Instant, String)>,
    replicas: Option<Instant>,
    read_only: Option<Instant>,
    memory: Option<Instant>,
    cluster: Option<Instant>,
    paused: Option<Instant>,
    /// Why changes are not pushed, in a sentence, by the reader that cannot read them.
    pub unpushed: BTreeMap<&'static str, String>,
}

impl Refusals {
    /// Takes in an error that one command got.
    pub fn note(&mut self, error: &RedisError) {
        let now = Instant::now();
        match error.code().unwrap_or_default() {
            // Foreign keys that a search came upon are refused by design: which queues cannot be read
            // is known where they are counted.
            "NOPERM" => {
                if let Some(command) = needed(error.detail().unwrap_or_default()) {
                    self.denied.insert(command, now);
                }
            }
            "MISCONF" => self.disk = Some((now, error.detail().unwrap_or_default().to_owned())),
            "NOREPLICAS" => self.replicas = Some(now),
            "READONLY" => self.read_only = Some(now),
            "OOM" => self.memory = Some(now),
            // A node that owns every slot answers CROSSSLOT too, so that is no sign of missing slots.
            "MOVED" | "ASK" | "CLUSTERDOWN" | "TRYAGAIN" => self.cluster = Some(now),
            _ => {}
        }
    }

    /// Takes in a list of clients (`CLIENT LIST`): one that waits to write shows that writes are paused.
    pub fn note_clients(&mut self, list: &str) {
        let held = list.lines().any(|line| {
            let field = |name: &str| line.split(' ').find_map(|field| field.strip_prefix(name));
            field("flags=").is_some_and(|flags| flags.contains('b'))
                && field("cmd=").is_some_and(|cmd| NEVER_WAIT.contains(&cmd))
        });
        self.paused = held.then(Instant::now);
    }

    /// Writes to disk work: a `PING` was answered.
    pub fn disk_is_fine(&mut self) {
        self.disk = None;
    }

    /// Forgets refusals of commands that are permitted by now, by an answer to each.
    pub fn permit<'a>(&mut self, answered: impl Iterator<Item = (&'a Cmd, &'a RedisResult<Value>)>) {
        for (command, reply) in answered {
            if self.denied.is_empty() {
                return;
            }
            if !matches!(reply, Err(error) if error.code() == Some("NOPERM")) {
                self.denied.remove(&name_of(command, 1));
                self.denied.remove(&name_of(command, 2));
            }
        }
    }

    /// Changes arrive at this reader.
    pub fn pushed(&mut self, reader: &str) {
        if !self.unpushed.is_empty() {
            self.unpushed.remove(reader);
        }
        if !self.denied.is_empty() {
            self.denied.remove("xread");
        }
    }

    /// Commands our user may not run, as the server names them (`llen`, `client|list`).
    pub fn denied(&self) -> impl Iterator<Item = &str> {
        let believed = self.denied.iter().filter(|(_, at)| at.elapsed() < DENIAL_BELIEVED);
        believed.map(|(name, _)| name.as_str())
    }

    /// Whether anything is refused that would be seen to be permitted only by trying it again.
    #[must_use]
    pub fn wants_another_try(&self) -> bool {
        self.denied().next().is_some()
    }

    /// The server's own words about its disk, while it refuses writes for it.
    #[must_use]
    pub fn disk(&self) -> Option<&str> {
        self.disk
            .as_ref()
            .filter(|(at, _)| at.elapsed() < BELIEVED)
            .map(|(_, says)| says.as_str())
    }

    /// Whether a write of ours was just refused for lack of replicas.
    #[must_use]
    pub fn too_few_replicas(&self) -> bool {
        recent(self.replicas)
    }

    /// Whether a write of ours was just refused by a replica.
    #[must_use]
    pub fn read_only(&self) -> bool {
        recent(self.read_only)
    }

    /// Whether a write of ours was just refused for lack of memory.
    #[must_use]
    pub fn out_of_memory(&self) -> bool {
        recent(self.memory)
    }

    /// Whether clients were just seen to wait with a write.
    #[must_use]
    pub fn paused(&self) -> bool {
        recent(self.paused)
    }

    /// Whether it has just answered as only a node of a cluster does.
    #[must_use]
    pub fn cluster(&self) -> bool {
        recent(self.cluster)
    }
}

fn recent(at: Option<Instant>) -> bool {
    at.is_some_and(|at| at.elapsed() < BELIEVED)
}

/// Optional commands: the part that uses one reports its refusal itself.
const LIKED: [&str; 6] = ["config", "slowlog", "latency", "pubsub", "memory", "cluster"];

/// The command that a refusal names, if reading cannot do without it.
fn needed(says: &str) -> Option<String> {
    let command = denied(says)?;
    let first = command.split('|').next().unwrap_or_default();
    (!LIKED.contains(&first)).then_some(command)
}

/// The command that a refusal names: `… no permissions to run the 'client|list' command`; the others
/// are about keys.
fn denied(says: &str) -> Option<String> {
    let (name, _) = says.split_once('\'')?.1.split_once('\'')?;
    Some(name.to_lowercase())
}

/// A command as the server names it: its first `words`, joined as it joins them.
fn name_of(command: &Cmd, words: usize) -> String {
    let words: Vec<String> = command
        .args_iter()
        .take(words)
        .filter_map(|word| match word {
            redis::Arg::Simple(bytes) => Some(String::from_utf8_lossy(bytes).to_lowercase()),
            _ => None,
        })
        .collect();
    words.join("|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_command_that_the_rules_lack() {
        let of = |says: &str| denied(says);
        assert_eq!(
            of("this user has no permissions to run the 'client|list' command").as_deref(),
            Some("client|list")
        );
        assert_eq!(
            of("User x has no permissions to run the 'GET' command").as_deref(),
            Some("get"),
            "7.2 says it differently"
        );
        assert_eq!(
            of("this user has no permissions to access one of the keys used as arguments"),
            None
        );
    }

    #[test]
    fn a_client_that_waits_to_write_shows_a_pause_and_a_waiting_worker_does_not() {
        let mut refusals = Refusals::default();
        refusals.note_clients("id=1 flags=b cmd=bzpopmin user=default\nid=2 flags=N cmd=evalsha user=default\n");
        assert!(!refusals.paused());
        refusals.note_clients("id=1 flags=b cmd=evalsha user=default\n");
        assert!(refusals.paused());
        refusals.note_clients("");
        assert!(!refusals.paused());
    }

    #[test]
    fn a_command_that_is_answered_is_permitted_again() {
        let mut refusals = Refusals::default();
        refusals.denied.insert("client|list".into(), Instant::now());
        let mut list = redis::cmd("CLIENT");
        list.arg("LIST").arg("TYPE").arg("normal");
        let info = redis::cmd("INFO");
        let fine: RedisResult<Value> = Ok(Value::Okay);
        refusals.permit([(&info, &fine)].into_iter());
        assert!(refusals.wants_another_try());
        refusals.permit([(&list, &fine)].into_iter());
        assert!(!refusals.wants_another_try());
    }
}
