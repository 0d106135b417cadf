//! The server's own report, `INFO`, parsed.

use crate::model::store::{Memory, Vitals};
use std::collections::HashMap;

/// Reads the text of `INFO`. A line that is missing reads as not known, never as zero or a failure:
/// forks and hosted services leave many out.
#[must_use]
pub fn parse(text: &str) -> Vitals {
    let fields: HashMap<&str, &str> = text
        .lines()
        .filter_map(|line| line.trim_end().split_once(':'))
        .collect();
    let word = |name: &str| fields.get(name).copied().unwrap_or_default();
    let number = |name: &str| word(name).parse::<u64>().ok();
    let small = |name: &str| word(name).parse::<u32>().ok();
    let product = if fields.contains_key("dragonfly_version") {
        format!("Dragonfly {}", word("dragonfly_version").trim_start_matches("df-"))
    } else if fields.contains_key("valkey_version") {
        format!("Valkey {}", word("valkey_version"))
    } else {
        format!("Redis {}", word("redis_version"))
    };
    Vitals {
        version: product,
        memory: number("used_memory").map(|used| Memory {
            used,
            max: number("maxmemory").filter(|max| *max > 0),
            policy: word("maxmemory_policy").to_owned(),
        }),
        disk: None,
        role: match word("role") {
            "slave" => "replica".to_owned(),
            "" if word("redis_mode") == "sentinel" => "sentinel".to_owned(),
            "" => "unknown".to_owned(),
            role => role.to_owned(),
        },
        replicas: small("connected_slaves"),
        clients: small("connected_clients"),
        ops_per_second: number("instantaneous_ops_per_sec"),
        uptime_s: number("uptime_in_seconds"),
        evicted_keys: number("evicted_keys"),
        persistence: persistence(&word),
    }
}

/// How much a crash would lose, from the fields every server has.
fn persistence<'a>(word: &impl Fn(&str) -> &'a str) -> String {
    let aof = word("aof_enabled") == "1";
    let failed = (aof && word("aof_last_write_status") == "err") || word("rdb_last_bgsave_status") == "err";
    match (failed, aof) {
        (true, _) => "last write to disk failed".into(),
        (false, true) => "append-only file".into(),
        (false, false) => match word("rdb_last_save_time").parse::<u64>() {
            Ok(_) => "no append-only file".into(),
            Err(_) => "unknown".into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_of_redis_7_is_read() {
        let vitals = parse(
            "# Server\r\nredis_version:7.0.15\r\nuptime_in_seconds:12\r\n# Memory\r\nused_memory:1048576\r\n\
             maxmemory:0\r\nmaxmemory_policy:noeviction\r\nrole:slave\r\nconnected_clients:7\r\naof_enabled:1\r\n\
             aof_last_write_status:ok\r\ninstantaneous_ops_per_sec:99\r\nevicted_keys:3\r\n",
        );
        assert_eq!(vitals.version, "Redis 7.0.15");
        let memory = vitals.memory.unwrap();
        assert_eq!(memory.used, 1_048_576);
        assert_eq!(memory.max, None, "no limit is not a limit of zero");
        assert_eq!(vitals.role, "replica");
        assert_eq!(vitals.persistence, "append-only file");
        assert_eq!(
            (vitals.clients, vitals.ops_per_second, vitals.evicted_keys),
            (Some(7), Some(99), Some(3))
        );
    }

    #[test]
    fn a_report_with_nothing_in_it_is_read_too() {
        let nothing = parse("");
        assert_eq!(nothing.role, "unknown");
        assert_eq!(
            (nothing.memory, nothing.clients, nothing.ops_per_second),
            (None, None, None)
        );
        assert_eq!(parse("valkey_version:8.1\n").version, "Valkey 8.1");
    }
}
