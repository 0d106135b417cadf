//! The lines of `INFO` that tell that something is the matter.
//!
//! What a server says for people to read is in [`super::info`]; here is what conditions are made of.

use crate::model::Millis;
use std::collections::HashMap;

/// Signs of trouble in one report. A line that is missing is a sign of nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signs {
    /// Memory that counts towards the limit, and the limit, when there is one.
    pub memory: Option<(u64, u64)>,
    /// Whether it would make room by removing keys.
    pub evicts: bool,
    /// Keys removed to make room since the start.
    pub evicted: u64,
    /// For a replica: its primary.
    pub replica_of: Option<String>,
    /// For a replica: whether it follows its primary.
    pub follows: bool,
    /// Replicas that keep up, where the server demands some before it takes a write.
    pub good_replicas: Option<u64>,
    /// What of a cluster it holds, where it is a node of one.
    pub cluster: Option<Slots>,
    /// For a Sentinel: the primaries it watches, each with its name and address.
    pub sentinel: Option<Vec<(String, String)>>,
    /// Whether a client paused writes, or everything (`CLIENT PAUSE`), where the server tells.
    pub paused: bool,
    /// Refusals since the start, by their code, of any client's commands.
    pub refusals: HashMap<String, u64>,
    /// The server's own time.
    pub clock: Option<Millis>,
}

/// The hash slots of a node of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slots {
    /// Our user may not ask.
    Unknown,
    /// It owns every slot: as a store it is like any other.
    All,
    /// It owns so many of them.
    Some(u32),
}

/// Slots of a cluster.
const SLOTS: u32 = 16_384;

/// Reads the answer to `CLUSTER NODES`: which slots the node that answers owns.
#[must_use]
pub fn slots(nodes: &str) -> Slots {
    // <id> <address> <flags> <primary> <ping> <pong> <epoch> <link> <slot> …; slots that are being moved are in brackets.
    let own = nodes.lines().find(|line| {
        line.split(' ')
            .nth(2)
            .is_some_and(|flags| flags.split(',').any(|flag| flag == "myself"))
    });
    let Some(own) = own else { return Slots::Unknown };
    let count = |range: &str| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last) = (first.parse::<u32>().ok()?, last.parse::<u32>().ok()?);
        last.checked_sub(first).map(|more| more + 1)
    };
    match own.split_whitespace().skip(8).filter_map(count).sum() {
        SLOTS => Slots::All,
        some => Slots::Some(some),
    }
}

/// The value of a field in a line such as `name=mymaster,status=ok,address=10.0.0.5:6379`.
fn part<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let mut parts = line.split(',').filter_map(|part| part.split_once('='));
    parts.find(|(key, _)| *key == name).map(|(_, value)| value)
}

/// Reads the text of `INFO`.
#[must_use]
pub fn parse(text: &str) -> Signs {
    let mut signs = Signs::default();
    let (mut used, mut exempt, mut limit) = (0_u64, 0_u64, 0_u64);
    let (mut host, mut port, mut replica) = ("", "", false);
    for (name, value) in text.lines().filter_map(|line| line.trim_end().split_once(':')) {
        let number = || value.parse::<u64>().unwrap_or(0);
        match name {
            "used_memory" => used = number(),
            "mem_not_counted_for_evict" => exempt = number(),
            "maxmemory" => limit = number(),
            "maxmemory_policy" => signs.evicts = value != "noeviction",
            "evicted_keys" => signs.evicted = number(),
            "role" => replica = value == "slave",
            "master_host" => host = value,
            "master_port" => port = value,
            "master_link_status" => signs.follows = value == "up",
            "min_slaves_good_slaves" => signs.good_replicas = value.parse().ok(),
            "cluster_enabled" => signs.cluster = (value == "1").then_some(Slots::Unknown),
            "redis_mode" if value == "sentinel" => signs.sentinel = Some(vec![]),
            "paused_actions" => signs.paused = !matches!(value, "none" | ""),
            // Microseconds.
            "server_time_usec" => signs.clock = value.parse::<Millis>().ok().map(|us| us / 1000),
            _ => {
                if let Some(watched) = &mut signs.sentinel
                    && name.strip_prefix("master").is_some_and(|n| n.parse::<u32>().is_ok())
                    && let (Some(name), Some(address)) = (part(value, "name"), part(value, "address"))
                {
                    watched.push((name.to_owned(), address.to_owned()));
                }
                if let Some(code) = name.strip_prefix("errorstat_")
                    && let Some(count) = value.strip_prefix("count=").and_then(|n| n.parse().ok())
                {
                    signs.refusals.insert(code.to_owned(), count);
                }
            }
        }
    }
    signs.memory = (limit > 0).then(|| (used.saturating_sub(exempt), limit));
    signs.replica_of = replica.then(|| format!("{host}:{port}"));
    signs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_of_a_replica_at_its_limit_is_read() {
        let signs = parse(
            "server_time_usec:1795253362219439\r\nused_memory:1000\r\nmem_not_counted_for_evict:100\r\nmaxmemory:900\r\n\
             maxmemory_policy:noeviction\r\nrole:slave\r\nmaster_host:10.0.0.1\r\nmaster_port:6379\r\n\
             master_link_status:down\r\nerrorstat_OOM:count=7\r\nerrorstat_odd:x\r\ncluster_enabled:0\r\n",
        );
        assert_eq!(signs.memory, Some((900, 900)));
        assert!(!signs.evicts && !signs.follows && !signs.paused);
        assert_eq!((signs.cluster, &signs.sentinel), (None, &None));
        assert_eq!(signs.replica_of.as_deref(), Some("10.0.0.1:6379"));
        assert_eq!(signs.refusals.get("OOM"), Some(&7));
        assert_eq!(signs.clock, Some(1_795_253_362_219));
        assert_eq!(parse(""), Signs::default());
    }

    #[test]
    fn a_sentinel_tells_its_primaries_and_a_node_its_slots() {
        let signs = parse(
            "redis_mode:sentinel\r\n# Sentinel\r\nsentinel_masters:1\r\n\
             master0:name=mymaster,status=ok,address=10.0.0.5:6379,slaves=1,sentinels=3\r\n",
        );
        assert_eq!(signs.sentinel, Some(vec![("mymaster".into(), "10.0.0.5:6379".into())]));
        let node = |slots: &str| {
            format!("a1 h:1@2 master - 0 0 1 connected 0-99\nb2 h:2@3 myself,master - 0 0 2 connected{slots}\n")
        };
        assert_eq!(slots(&node(" 0-16383")), Slots::All);
        assert_eq!(slots(&node(" 0-99 101 [102->-a1]")), Slots::Some(101));
        assert_eq!(slots(&node("")), Slots::Some(0));
        assert_eq!(slots("nonsense"), Slots::Unknown);
    }
}
