use super::*;
use crate::model::vitals::{MasterLink, Ping, Replica};

const NOW: Millis = 1_000_000_000;

fn settings(fsync: &str, save: &str) -> Answered<Settings> {
    Answered::Known(Settings {
        fsync: Some(fsync.into()),
        save: Some(save.into()),
        ..Settings::default()
    })
}

fn refused() -> Answered<Settings> {
    Answered::NotPermitted("+config|get".into())
}

fn aof() -> PersistenceReport {
    PersistenceReport {
        aof: Some(true),
        aof_write_ok: Some(true),
        aof_rewrite_ok: Some(true),
        rdb_ok: Some(true),
        ..PersistenceReport::default()
    }
}

#[track_caller]
fn says((level, text): Opinion, expected: Level, words: &str) {
    assert_eq!(level, expected, "{text}");
    assert!(text.contains(words), "{text:?} does not say {words:?}");
}

#[test]
fn what_a_crash_loses_depends_on_when_the_file_reaches_the_disk() {
    says(
        persistence(&aof(), &settings("always", ""), NOW),
        Level::Ok,
        "loses nothing",
    );
    says(
        persistence(&aof(), &settings("everysec", ""), NOW),
        Level::Ok,
        "about the last second",
    );
    says(
        persistence(&aof(), &settings("no", ""), NOW),
        Level::Watch,
        "30 seconds",
    );
    says(
        persistence(&aof(), &refused(), NOW),
        Level::Ok,
        "not permitted: +config|get",
    );
    let mut broken = aof();
    broken.aof_write_ok = Some(false);
    says(persistence(&broken, &settings("always", ""), NOW), Level::Bad, "failed");
}

#[test]
fn snapshots_lose_what_came_after_the_last_one() {
    let mut report = PersistenceReport {
        aof: Some(false),
        rdb_ok: Some(true),
        rdb_saves: Some(2),
        rdb_saved_at: Some(NOW - 120_000),
        rdb_changes: Some(3412),
        ..PersistenceReport::default()
    };
    let rules = settings("everysec", "3600 1");
    says(
        persistence(&report, &rules, NOW),
        Level::Ok,
        "the last 2 m ago: a crash loses the 3,412 changes",
    );
    report.rdb_saved_at = Some(NOW - 3_000_000);
    says(persistence(&report, &rules, NOW), Level::Watch, "50 m ago");
    report.rdb_changes = Some(0);
    says(
        persistence(&report, &rules, NOW),
        Level::Ok,
        "nothing has changed since",
    );
    report.rdb_ok = Some(false);
    says(
        persistence(&report, &rules, NOW),
        Level::Bad,
        "The last snapshot failed",
    );
}

#[test]
fn a_store_that_writes_nothing_is_said_to() {
    let report = PersistenceReport {
        aof: Some(false),
        rdb_ok: Some(true),
        rdb_saves: Some(0),
        rdb_saved_at: Some(NOW - 60_000),
        rdb_changes: Some(5),
        ..PersistenceReport::default()
    };
    says(
        persistence(&report, &settings("everysec", ""), NOW),
        Level::Watch,
        "loses every job",
    );
    says(
        persistence(&report, &refused(), NOW),
        Level::Watch,
        "no snapshot since it started 1 m ago",
    );
    says(
        persistence(&PersistenceReport::default(), &refused(), NOW),
        Level::Unknown,
        "does not report what is written",
    );
}

fn report(used: u64, max: Option<u64>, policy: &str) -> Report {
    let mut report = Report::default();
    report.memory.used = Some(used);
    report.memory.max = max;
    report.memory.policy = Some(policy.into());
    report
}

#[test]
fn memory_is_judged_by_its_limit_its_pace_and_the_machine() {
    let still = Watched::default();
    says(
        memory(&report(10, Some(100), "noeviction"), &still),
        Level::Ok,
        "10 % of its limit",
    );
    says(
        memory(&report(76, Some(100), "noeviction"), &still),
        Level::Watch,
        "76 %",
    );
    says(memory(&report(95, Some(100), "noeviction"), &still), Level::Bad, "95 %");
    let mut none = report(80, None, "noeviction");
    none.memory.machine = Some(100);
    says(memory(&none, &still), Level::Watch, "No limit is set");
    let growing = Watched {
        span_ms: 600_000,
        full_in_ms: Some(1_800_000),
        ..Watched::default()
    };
    says(
        memory(&report(10, Some(100), "noeviction"), &growing),
        Level::Bad,
        "full in 30 m; then adding jobs fails",
    );
    let young = Watched {
        span_ms: 61_000,
        ..growing
    };
    says(
        memory(&report(10, Some(100), "allkeys-lru"), &young),
        Level::Ok,
        "then it removes keys",
    );
}

#[test]
fn only_noeviction_is_right_for_queues() {
    let calm = Watched::default();
    says(
        eviction(&report(1, Some(9), "noeviction"), &calm),
        Level::Ok,
        "no job is lost",
    );
    says(
        eviction(&report(1, Some(9), "allkeys-lru"), &calm),
        Level::Watch,
        "any job can be deleted",
    );
    says(
        eviction(&report(1, None, "volatile-ttl"), &calm),
        Level::Watch,
        "does not happen yet",
    );
    let evicting = Watched {
        evicted: Some(12),
        span_ms: 60_000,
        ..Watched::default()
    };
    says(
        eviction(&report(1, Some(9), "allkeys-lru"), &evicting),
        Level::Bad,
        "12 keys were evicted within 1 m",
    );
    says(eviction(&Report::default(), &calm), Level::Unknown, "Not reported.");
}

#[test]
fn fragmentation_is_judged_only_where_it_can_matter() {
    let with = |used, rss, ratio| {
        let mut report = report(used, None, "noeviction");
        report.memory.rss = Some(rss);
        report.memory.fragmentation = Some(ratio);
        fragmentation(&report)
    };
    says(with(1_000_000, 13_000_000, 13.0), Level::Ok, "Not meaningful");
    says(with(500_000_000, 600_000_000, 1.2), Level::Ok, "Healthy");
    says(with(500_000_000, 900_000_000, 1.8), Level::Watch, "400 MB");
    says(with(500_000_000, 300_000_000, 0.6), Level::Watch, "swapped out");
}

#[test]
fn replication_is_judged_from_both_ends() {
    let mut master = ReplicationReport {
        role: Some("master".into()),
        connected: Some(1),
        ..ReplicationReport::default()
    };
    master.replicas = vec![Replica {
        address: "b:1".into(),
        state: "online".into(),
        lag_s: Some(0),
    }];
    says(replication(&master), Level::Ok, "1 replica is connected");
    master.replicas[0].lag_s = Some(40);
    says(replication(&master), Level::Watch, "not acknowledged for 40 s");
    master.replicas[0].state = "wait_bgsave".into();
    says(replication(&master), Level::Watch, "wait_bgsave");
    master.connected = Some(0);
    master.replicas.clear();
    says(replication(&master), Level::Ok, "No replica");
    let mut replica = ReplicationReport {
        role: Some("replica".into()),
        master: Some(MasterLink {
            address: "a:1".into(),
            up: Some(true),
            last_heard_s: Some(1),
            down_s: None,
            syncing: Some(false),
        }),
        ..ReplicationReport::default()
    };
    says(replication(&replica), Level::Ok, "the link is up");
    if let Some(link) = &mut replica.master {
        link.up = Some(false);
        link.down_s = Some(90);
    }
    says(replication(&replica), Level::Bad, "down for 1 m 30 s");
}

#[test]
fn clients_and_latency_have_limits() {
    let clients_of = |connected, rejected| {
        clients(&ClientsReport {
            connected: Some(connected),
            max: Some(100),
            rejected: Some(rejected),
            blocked: None,
        })
    };
    says(clients_of(10, 0), Level::Ok, "Plenty");
    says(clients_of(80, 0), Level::Watch, "80 %");
    says(clients_of(95, 0), Level::Bad, "cannot connect");
    says(
        clients_of(10, 3),
        Level::Watch,
        "Connections refused since it started: 3.",
    );
    let ping = |median_us, max_us| {
        latency(&Watched {
            ping: Some(Ping {
                median_us,
                max_us,
                count: 60,
            }),
            ..Watched::default()
        })
    };
    says(ping(200, 900), Level::Ok, "Quick");
    says(ping(200, 250_000), Level::Watch, "slow log");
    says(ping(150_000, 250_000), Level::Bad, "Every command waits");
    says(latency(&Watched::default()), Level::Unknown, "Not measured");
}
