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
    /// Whether it is a node of a cluster.
    pub cluster: bool,
    /// Whether somebody paused writes, or everything (`CLIENT PAUSE`), where it tells.
    pub paused: bool,
    /// Refusals since the start, by their code, of any client's commands.
    pub refusals: HashMap<String, u64>,
    /// The server's own time.
    pub clock: Option<Millis>,
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
            "cluster_enabled" => signs.cluster = value == "1",
            "paused_actions" => signs.paused = !matches!(value, "none" | ""),
            // Microseconds.
            "server_time_usec" => signs.clock = value.parse::<Millis>().ok().map(|us| us / 1000),
            _ => {
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
        assert!(!signs.evicts && !signs.follows && !signs.cluster && !signs.paused);
        assert_eq!(signs.replica_of.as_deref(), Some("10.0.0.1:6379"));
        assert_eq!(signs.refusals.get("OOM"), Some(&7));
        assert_eq!(signs.clock, Some(1_795_253_362_219));
        assert_eq!(parse(""), Signs::default());
    }
}
