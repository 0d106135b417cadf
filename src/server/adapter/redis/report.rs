//! `INFO` in full, for the page of a store.
//!
//! [`super::info`] reads the few fields that every line of the overview needs; this reads all that
//! the page of one store shows. A field that a server leaves out is unknown, not zero: Valkey,
//! Dragonfly and hosted services each leave out others.

use crate::model::Millis;
use crate::model::vitals::{
    ClientsReport, Database, MasterLink, MemoryReport, PersistenceReport, Replica, ReplicationReport, Report,
    TrafficReport,
};
use std::collections::HashMap;

/// Databases that are listed at most; a server has 16 unless configured otherwise.
const DATABASES_MAX: usize = 64;

/// Replicas that are listed at most.
const REPLICAS_MAX: usize = 32;

/// The lines of a report by name.
struct Fields<'a>(HashMap<&'a str, &'a str>);

impl Fields<'_> {
    fn word(&self, name: &str) -> Option<String> {
        self.0
            .get(name)
            .filter(|text| !text.is_empty())
            .map(|text| (*text).to_owned())
    }

    /// A number; one below zero (some fields say −1 for "never") is none.
    fn number(&self, name: &str) -> Option<u64> {
        self.0.get(name)?.parse().ok()
    }

    fn float(&self, name: &str) -> Option<f64> {
        self.0.get(name)?.parse().ok().filter(|n: &f64| n.is_finite())
    }

    fn flag(&self, name: &str) -> Option<bool> {
        self.number(name).map(|n| n != 0)
    }

    fn is(&self, name: &str, word: &str) -> Option<bool> {
        self.0.get(name).map(|text| *text == word)
    }
}

/// Reads the text of `INFO`.
#[must_use]
pub fn parse(text: &str, at: Millis) -> Report {
    let fields = Fields(
        text.lines()
            .filter_map(|line| line.trim_end().split_once(':'))
            .collect(),
    );
    Report {
        at,
        mode: fields.word("redis_mode"),
        run_id: fields.word("run_id"),
        uptime_s: fields.number("uptime_in_seconds"),
        memory: MemoryReport {
            used: fields.number("used_memory"),
            peak: fields.number("used_memory_peak"),
            rss: fields.number("used_memory_rss"),
            max: fields.number("maxmemory").filter(|max| *max > 0),
            machine: fields.number("total_system_memory").filter(|n| *n > 0),
            fragmentation: fields.float("mem_fragmentation_ratio").filter(|ratio| *ratio > 0.0),
            policy: fields.word("maxmemory_policy"),
        },
        persistence: PersistenceReport {
            aof: fields.flag("aof_enabled"),
            aof_write_ok: fields.is("aof_last_write_status", "ok"),
            aof_rewrite_ok: fields.is("aof_last_bgrewrite_status", "ok"),
            rdb_saved_at: fields
                .number("rdb_last_save_time")
                .or_else(|| fields.number("last_save"))
                .and_then(|s| Millis::try_from(s).ok()?.checked_mul(1000))
                .filter(|at| *at > 0),
            rdb_saves: fields.number("rdb_saves"),
            rdb_ok: fields.is("rdb_last_bgsave_status", "ok"),
            rdb_changes: fields.number("rdb_changes_since_last_save"),
            rdb_saving: fields.flag("rdb_bgsave_in_progress"),
        },
        replication: replication(&fields),
        clients: ClientsReport {
            connected: fields.number("connected_clients"),
            blocked: fields.number("blocked_clients"),
            // Dragonfly has its own name for it.
            max: fields
                .number("maxclients")
                .or_else(|| fields.number("max_clients"))
                .filter(|n| *n > 0),
            rejected: fields.number("rejected_connections"),
        },
        traffic: TrafficReport {
            commands: fields.number("total_commands_processed"),
            per_second: fields.number("instantaneous_ops_per_sec"),
            hits: fields.number("keyspace_hits"),
            misses: fields.number("keyspace_misses"),
            expired: fields.number("expired_keys"),
            evicted: fields.number("evicted_keys"),
            channels: fields.number("pubsub_channels"),
            patterns: fields.number("pubsub_patterns"),
        },
        keyspace: keyspace(text),
    }
}

fn replication(fields: &Fields<'_>) -> ReplicationReport {
    let role = fields.word("role").map(|role| match role.as_str() {
        "slave" => "replica".to_owned(),
        _ => role,
    });
    let replicas = (0..REPLICAS_MAX)
        .map_while(|i| fields.0.get(format!("slave{i}").as_str()).map(|line| replica(line)))
        .collect();
    let master = fields.word("master_host").map(|host| MasterLink {
        address: format!("{host}:{}", fields.word("master_port").unwrap_or_default()),
        up: fields.is("master_link_status", "up"),
        last_heard_s: fields.number("master_last_io_seconds_ago"),
        down_s: fields.number("master_link_down_since_seconds"),
        syncing: fields.flag("master_sync_in_progress"),
    });
    ReplicationReport {
        role,
        replicas,
        connected: fields.number("connected_slaves"),
        master,
    }
}

/// `ip=10.0.0.2,port=6379,state=online,offset=1,lag=0`.
fn replica(line: &str) -> Replica {
    let parts: HashMap<&str, &str> = line.split(',').filter_map(|part| part.split_once('=')).collect();
    let part = |name: &str| parts.get(name).copied().unwrap_or_default();
    Replica {
        address: format!("{}:{}", part("ip"), part("port")),
        state: part("state").to_owned(),
        lag_s: part("lag").parse().ok(),
    }
}

/// `db0:keys=12,expires=3,avg_ttl=4000`.
fn keyspace(text: &str) -> Vec<Database> {
    let mut databases: Vec<Database> = text
        .lines()
        .filter_map(|line| {
            let (index, rest) = line.trim_end().strip_prefix("db")?.split_once(':')?;
            let parts: HashMap<&str, &str> = rest.split(',').filter_map(|part| part.split_once('=')).collect();
            Some(Database {
                index: index.parse().ok()?,
                keys: parts.get("keys")?.parse().ok()?,
                expires: parts.get("expires").and_then(|n| n.parse().ok()),
                mean_ttl_ms: parts.get("avg_ttl").and_then(|n| n.parse().ok()).filter(|ttl| *ttl > 0),
            })
        })
        .take(DATABASES_MAX)
        .collect();
    databases.sort_by_key(|database| database.index);
    databases
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_of_a_master_is_read_in_full() {
        let report = parse(
            "# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\nrun_id:abc\r\nuptime_in_seconds:12\r\n\
             # Clients\r\nconnected_clients:7\r\nblocked_clients:3\r\nmaxclients:10000\r\nused_memory:1048576\r\n\
             used_memory_peak:2097152\r\nmaxmemory:0\r\nmaxmemory_policy:noeviction\r\nmem_fragmentation_ratio:1.21\r\n\
             aof_enabled:1\r\naof_last_write_status:err\r\nrdb_last_save_time:1795253652\r\nrdb_last_bgsave_time_sec:-1\r\n\
             role:master\r\nconnected_slaves:1\r\nslave0:ip=10.0.0.2,port=6379,state=online,offset=140,lag=1\r\n\
             keyspace_hits:10\r\nkeyspace_misses:30\r\ndb3:keys=5,expires=0,avg_ttl=0\r\ndb0:keys=12,expires=3,avg_ttl=4000\r\n",
            99,
        );
        assert_eq!(report.at, 99);
        assert_eq!(report.memory.max, None, "no limit is not a limit of zero");
        assert_eq!(report.memory.peak, Some(2_097_152));
        assert_eq!(report.persistence.aof_write_ok, Some(false));
        assert_eq!(report.persistence.rdb_saved_at, Some(1_795_253_652_000));
        assert_eq!(report.clients.max, Some(10_000));
        assert_eq!(report.replication.replicas[0].address, "10.0.0.2:6379");
        assert_eq!(report.replication.replicas[0].lag_s, Some(1));
        let indexes: Vec<u32> = report.keyspace.iter().map(|db| db.index).collect();
        assert_eq!(indexes, [0, 3]);
        assert_eq!(report.keyspace[1].mean_ttl_ms, None);
    }

    #[test]
    fn a_replica_knows_its_master() {
        let report = parse(
            "role:slave\nmaster_host:10.0.0.1\nmaster_port:6379\nmaster_link_status:down\n\
             master_last_io_seconds_ago:-1\nmaster_link_down_since_seconds:42\nmaster_sync_in_progress:0\n",
            0,
        );
        let master = report.replication.master.unwrap();
        assert_eq!(report.replication.role.as_deref(), Some("replica"));
        assert_eq!(
            (master.up, master.last_heard_s, master.down_s),
            (Some(false), None, Some(42))
        );
    }

    #[test]
    fn what_a_fork_leaves_out_is_unknown_and_not_zero() {
        // Dragonfly: no run id, no fragmentation, no maxclients under Redis' name, no AOF.
        let dragonfly = parse(
            "dragonfly_version:df-v1.23.0\nredis_mode:standalone\nconnected_clients:3\nmax_clients:64000\n\
             used_memory:5000\nmaxmemory:1000000\nrole:master\nlast_save:1795253652\nkeyspace_hits:0\n",
            0,
        );
        assert_eq!(dragonfly.clients.max, Some(64_000));
        assert_eq!(dragonfly.clients.blocked, None);
        assert_eq!(dragonfly.memory.fragmentation, None);
        assert_eq!(dragonfly.persistence.aof, None);
        assert_eq!(dragonfly.persistence.rdb_saved_at, Some(1_795_253_652_000));
        assert_eq!(dragonfly.traffic.misses, None);
        let valkey = parse(
            "valkey_version:8.1\nserver_mode:standalone\nmem_fragmentation_ratio:nan\n",
            0,
        );
        assert_eq!(valkey.memory.fragmentation, None);
        assert_eq!(
            parse("", 7),
            Report {
                at: 7,
                ..Report::default()
            }
        );
    }
}
