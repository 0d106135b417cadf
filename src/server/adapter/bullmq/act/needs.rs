//! Every command that an action runs, as the server's access rules check them one by one.
//!
//! A user who lacks one of them could have a library's script stop halfway, so nothing is begun for such a user. A test
//! holds this list against the scripts themselves, and another holds `deploy/redis/users.acl` against this list.

use crate::model::exact::bytes_of;
use crate::server::adapter::QueueId;
use std::collections::BTreeMap;

/// The name under which the rights are asked about.
pub(in super::super) const LIBRARY: &str = "bullmq";

/// Prefixes that are checked at most.
const PREFIXES: usize = 8;

/// Each with arguments that it takes; `KEY` stands for a key of a queue.
const NEEDS: [&[&str]; 52] = [
    &["TIME"],
    &["TYPE", "KEY"],
    &["EXISTS", "KEY"],
    &["PTTL", "KEY"],
    &["DEL", "KEY"],
    &["PERSIST", "KEY"],
    &["PEXPIRE", "KEY", "1"],
    &["RENAME", "KEY", "KEY"],
    &["GET", "KEY"],
    &["SET", "KEY", "v"],
    &["INCR", "KEY"],
    &["HGET", "KEY", "f"],
    &["HMGET", "KEY", "f"],
    &["HGETALL", "KEY"],
    &["HKEYS", "KEY"],
    &["HLEN", "KEY"],
    &["HEXISTS", "KEY", "f"],
    &["HSET", "KEY", "f", "v"],
    &["HMSET", "KEY", "f", "v"],
    &["HDEL", "KEY", "f"],
    &["HINCRBY", "KEY", "f", "1"],
    &["LLEN", "KEY"],
    &["LINDEX", "KEY", "0"],
    &["LRANGE", "KEY", "0", "0"],
    &["LPOS", "KEY", "v"],
    &["LPUSH", "KEY", "v"],
    &["RPUSH", "KEY", "v"],
    &["LPOP", "KEY"],
    &["LSET", "KEY", "0", "v"],
    &["LREM", "KEY", "0", "v"],
    &["LINSERT", "KEY", "BEFORE", "v", "v"],
    &["LTRIM", "KEY", "0", "0"],
    &["SCARD", "KEY"],
    &["SMEMBERS", "KEY"],
    &["SISMEMBER", "KEY", "v"],
    &["SADD", "KEY", "v"],
    &["SREM", "KEY", "v"],
    &["ZCARD", "KEY"],
    &["ZCOUNT", "KEY", "0", "0"],
    &["ZSCORE", "KEY", "v"],
    &["ZRANGE", "KEY", "0", "0"],
    &["ZREVRANGE", "KEY", "0", "0"],
    &["ZRANGEBYSCORE", "KEY", "0", "0"],
    &["ZREVRANGEBYSCORE", "KEY", "0", "0"],
    &["ZADD", "KEY", "0", "v"],
    &["ZREM", "KEY", "v"],
    &["ZREMRANGEBYSCORE", "KEY", "0", "0"],
    &["ZREMRANGEBYRANK", "KEY", "0", "0"],
    &["XLEN", "KEY"],
    &["XADD", "KEY", "*", "f", "v"],
    &["XREVRANGE", "KEY", "+", "-"],
    &["XTRIM", "KEY", "MAXLEN", "0"],
];

/// Bull says what happens on channels that are called as its keys are.
const BULL: [&[&str]; 1] = [&["PUBLISH", "KEY", "v"]];

/// What actions on queues of BullMQ need, and of Bull if there are any.
pub(in super::super) fn of(bull: bool) -> Vec<&'static [&'static str]> {
    let bull: &[_] = if bull { &BULL } else { &[] };
    [&NEEDS[..], bull].concat()
}

/// A key for each prefix that queues have, by the pattern of its keys.
pub(in super::super) fn places(queues: &[QueueId]) -> BTreeMap<String, Vec<u8>> {
    let mut places = BTreeMap::new();
    for queue in queues {
        let prefix = bytes_of(queue.split(':').next().unwrap_or_default());
        let pattern = format!("{}:*", String::from_utf8_lossy(&prefix));
        if places.len() < PREFIXES && !places.contains_key(&pattern) {
            places.insert(pattern, super::key(queue, "meta"));
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::super::library::Generation;
    use super::*;
    use std::collections::BTreeSet;
    use std::path::Path;

    /// In scripts that we run, on ways that we never take: they hand a worker its next job.
    const NEVER: [&str; 2] = ["RPOPLPUSH", "ZPOPMIN"];

    fn all() -> BTreeSet<String> {
        of(true).iter().map(|words| words[0].to_owned()).collect()
    }

    /// The commands that a script names where it calls one.
    fn called(text: &str, found: &mut BTreeSet<String>) {
        for (at, _) in text.match_indices("call(") {
            let Some(quoted) = text[at + 5..].strip_prefix(['"', '\'']) else {
                continue;
            };
            let name = quoted.split(['"', '\'']).next().unwrap_or_default();
            found.insert(name.to_uppercase());
        }
    }

    #[test]
    fn every_command_of_every_script_is_asked_about_and_no_other() {
        let mut found = BTreeSet::new();
        for generation in Generation::ALL {
            for script in generation.scripts() {
                called(script.text, &mut found);
            }
        }
        let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/server/adapter/bullmq/act/lua");
        for file in std::fs::read_dir(own).unwrap() {
            called(&std::fs::read_to_string(file.unwrap().path()).unwrap(), &mut found);
        }
        for never in NEVER {
            assert!(found.remove(never), "{never} is called nowhere");
        }
        assert_eq!(found, all());
    }

    #[test]
    fn the_operator_of_the_deployment_may_do_all_of_it_and_writes_nothing_else() {
        let acl = include_str!("../../../../../deploy/redis/users.acl");
        let rules = |user: &str| -> BTreeSet<&str> {
            let line = acl.lines().find(|line| line.starts_with(&format!("user {user} ")));
            line.unwrap()
                .split(' ')
                .filter_map(|word| word.strip_prefix('+'))
                .collect()
        };
        let (reads, acts) = (rules("drover_read"), rules("drover_operator"));
        assert!(reads.is_subset(&acts), "{:?}", reads.difference(&acts));
        let needs: BTreeSet<String> = all().iter().map(|name| name.to_lowercase()).collect();
        let mut wanted: BTreeSet<&str> = needs.iter().map(String::as_str).collect();
        wanted.extend(["evalsha", "script|load"]);
        assert!(wanted.is_subset(&acts), "{:?}", wanted.difference(&acts));
        let more: Vec<_> = acts.difference(&reads).filter(|rule| !wanted.contains(*rule)).collect();
        assert!(more.is_empty(), "an operator needs no {more:?}");
    }

    #[test]
    fn one_queue_of_each_prefix_is_asked_about() {
        let queues: Vec<QueueId> = ["bull:a", "bull:b", "{x}:c"].map(QueueId::from).to_vec();
        let places = places(&queues);
        assert_eq!(places["bull:*"], b"bull:a:meta");
        assert_eq!(places.keys().collect::<Vec<_>>(), ["bull:*", "{x}:*"]);
    }
}
