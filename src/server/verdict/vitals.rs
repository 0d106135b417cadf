//! Each part of a store in one sentence: what it means for queues, and how bad that is.
//!
//! Queues are not a cache. What a cache may do (drop keys for want of memory, start empty after a
//! crash) loses jobs, so every sentence says what would be lost.
//!
//! | part | Watch | Bad |
//! |---|---|---|
//! | memory | 75 % of its limit, or of the machine's memory; full within a day | 90 %; full within an hour |
//! | fragmentation | more than half again as much as the data, and 100 MB; partly swapped out | |
//! | eviction | any policy but `noeviction` | keys were evicted while watched |
//! | persistence | nothing is written; snapshots with changes older than 15 min; fsync left to the system | the last write failed |
//! | replication | a replica lags 10 s, or is still copying | the link to the master is down |
//! | clients | 75 % of `maxclients`; some were turned away | 90 % |
//! | latency | a round trip of 100 ms within the last minute | half of them that long |

use crate::model::Millis;
use crate::model::format;
use crate::model::verdict::Level;
use crate::model::vitals::{
    About, Answered, ClientsReport, Judged, PersistenceReport, ReplicationReport, Report, Settings, Watched,
};

/// Memory below which its fragmentation says nothing: the process itself weighs as much.
const SMALL: u64 = 64_000_000;

/// Memory beyond the data that is worth reporting.
const WASTE: u64 = 100_000_000;

/// A snapshot that is older, with changes since.
const OLD_SNAPSHOT: Millis = 900_000;

/// A pace measured for less than this does not change the level.
const TRUSTED: Millis = 300_000;

const HOUR: Millis = 3_600_000;

/// Judges all parts.
#[must_use]
pub fn judge(report: &Report, watched: &Watched, settings: &Answered<Settings>, now: Millis) -> Vec<Judged> {
    [
        (About::Memory, memory(report, watched)),
        (About::Fragmentation, fragmentation(report)),
        (About::Eviction, eviction(report, watched)),
        (About::Persistence, persistence(&report.persistence, settings, now)),
        (About::Replication, replication(&report.replication)),
        (About::Clients, clients(&report.clients)),
        (About::Latency, latency(watched)),
    ]
    .into_iter()
    .map(|(about, (level, text))| Judged { about, level, text })
    .collect()
}

type Opinion = (Level, String);

fn unknown(text: &str) -> Opinion {
    (Level::Unknown, text.to_owned())
}

fn share(part: u64, whole: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a share needs no more precision")]
    let share = part as f64 / whole.max(1) as f64;
    share
}

fn percent(share: f64) -> String {
    match share * 100.0 {
        tiny if tiny > 0.0 && tiny < 1.0 => "less than 1 %".into(),
        n => format!("{n:.0} %"),
    }
}

/// The worse of two levels.
fn worse(a: Level, b: Level) -> Level {
    a.min(b)
}

fn by_share(share: f64) -> Level {
    match share {
        0.9.. => Level::Bad,
        0.75.. => Level::Watch,
        _ => Level::Ok,
    }
}

fn memory(report: &Report, watched: &Watched) -> Opinion {
    let memory = &report.memory;
    let Some(used) = memory.used else {
        return unknown("It does not report how much memory it uses.");
    };
    let (mut level, mut text) = match (memory.max, memory.machine) {
        (Some(max), _) => {
            let share = share(used, max);
            (
                by_share(share),
                format!("At {} of its limit of {}.", percent(share), format::bytes(max)),
            )
        }
        (None, Some(machine)) => {
            let share = share(used, machine);
            (
                by_share(share),
                format!(
                    "No limit is set: it may take all {} of the machine, of which it uses {}.",
                    format::bytes(machine),
                    percent(share)
                ),
            )
        }
        (None, None) => (Level::Ok, "No limit is set.".into()),
    };
    if let Some(left) = watched.full_in_ms {
        text += &format!(
            " At the pace of the last {} it is full in {}",
            format::span(watched.span_ms),
            format::span(left)
        );
        text += match report.memory.policy.as_deref() {
            Some("noeviction") => "; then adding jobs fails.",
            Some(_) => "; then it removes keys.",
            None => ".",
        };
        if watched.span_ms >= TRUSTED {
            let of_pace = match left {
                ..HOUR => Level::Bad,
                n if n < 24 * HOUR => Level::Watch,
                _ => Level::Ok,
            };
            level = worse(level, of_pace);
        }
    }
    (level, text)
}

fn fragmentation(report: &Report) -> Opinion {
    let memory = &report.memory;
    let Some(ratio) = memory.fragmentation else {
        return unknown("Not reported.");
    };
    let used = memory.used.unwrap_or(0);
    if used < SMALL {
        return (
            Level::Ok,
            format!("Not meaningful below {} in use.", format::bytes(SMALL)),
        );
    }
    let wasted = memory.rss.unwrap_or(0).saturating_sub(used);
    if ratio < 0.95 {
        let text = "Part of its memory is swapped out to disk: answers can take milliseconds instead of microseconds.";
        return (Level::Watch, text.into());
    }
    if ratio > 1.5 && wasted > WASTE {
        let text = format!(
            "{} are held beyond what the data needs; activedefrag or a restart frees them.",
            format::bytes(wasted)
        );
        return (Level::Watch, text);
    }
    (Level::Ok, "Healthy.".into())
}

fn eviction(report: &Report, watched: &Watched) -> Opinion {
    let evicted = watched.evicted.unwrap_or(0);
    if evicted > 0 {
        let text = format!(
            "{} evicted within {}: jobs may be disappearing. Queues need noeviction.",
            format::counted(evicted, "key was", "keys were"),
            format::span(watched.span_ms)
        );
        return (Level::Bad, text);
    }
    let before = match report.traffic.evicted {
        Some(n) if n > 0 => format!(
            " {} evicted since it started.",
            format::counted(n, "key was", "keys were")
        ),
        _ => String::new(),
    };
    let (level, text) = match report.memory.policy.as_deref() {
        None => return unknown("Not reported."),
        Some("noeviction") => (
            Level::Ok,
            "Right for queues: at the limit writes are refused, and no job is lost.",
        ),
        Some(policy) if policy.starts_with("allkeys") => (
            Level::Watch,
            "Wrong for queues: at the limit any job can be deleted. Queues need noeviction.",
        ),
        Some(_) => (
            Level::Watch,
            "Wrong for queues: at the limit keys with an expiry are deleted, such as workers' locks. Queues need noeviction.",
        ),
    };
    let unlimited = if report.memory.max.is_none() && level == Level::Watch {
        " No limit is set, so it does not happen yet."
    } else {
        ""
    };
    (level, format!("{text}{unlimited}{before}"))
}

fn persistence(report: &PersistenceReport, settings: &Answered<Settings>, now: Millis) -> Opinion {
    let known = settings.known();
    if report.aof == Some(true) {
        if report.aof_write_ok == Some(false) {
            return (
                Level::Bad,
                "The last write to the append-only file failed: what was added since may be lost, and writes are refused. \
                 Is the disk full?"
                    .into(),
            );
        }
        if report.aof_rewrite_ok == Some(false) {
            return (
                Level::Bad,
                "The last rewrite of the append-only file failed: it grows without limit. Is the disk full?".into(),
            );
        }
        return match (known.and_then(|s| s.fsync.as_deref()), settings.why()) {
            (Some("always"), _) => (
                Level::Ok,
                "Append-only file, on disk before each answer: a crash loses nothing that was acknowledged.".into(),
            ),
            (Some("everysec"), _) => (
                Level::Ok,
                "Append-only file, on disk every second: a crash of the machine loses about the last second.".into(),
            ),
            (Some("no"), _) => (
                Level::Watch,
                "Append-only file, on disk when the operating system decides: a crash of the machine loses up to \
                 about 30 seconds."
                    .into(),
            ),
            (_, why) => (
                Level::Ok,
                format!(
                    "Append-only file; how often it reaches the disk is not known ({}). With everysec, the default, a crash \
                     of the machine loses about the last second.",
                    why.unwrap_or_else(|| "the server does not report it".into())
                ),
            ),
        };
    }
    if report.rdb_ok == Some(false) {
        return (
            Level::Bad,
            "The last snapshot failed: a crash loses everything since the one before, and by default writes are refused. \
             Is the disk full?"
                .into(),
        );
    }
    let changes = report.rdb_changes;
    match known.and_then(|s| s.save.as_deref()) {
        Some("") => (
            Level::Watch,
            "Nothing is written to disk: a crash or a restart loses every job. Queues need appendonly yes.".into(),
        ),
        _ => snapshots(report, changes, known.is_some(), now),
    }
}

/// Snapshots alone, or nothing: without the setting only what was saved tells.
fn snapshots(report: &PersistenceReport, changes: Option<u64>, planned: bool, now: Millis) -> Opinion {
    let Some(saved) = report.rdb_saved_at else {
        return unknown("It does not report what is written to disk.");
    };
    let age = (now - saved).max(0);
    let lost = match changes {
        Some(0) => "nothing has changed since".to_owned(),
        Some(n) => format!("a crash loses the {} changes since", format::count(n)),
        None => "a crash loses what came after".to_owned(),
    };
    let late = changes != Some(0) && age >= OLD_SNAPSHOT;
    let level = if late { Level::Watch } else { Level::Ok };
    match report.rdb_saves {
        // A server that has saved none says when it started instead.
        Some(0) if !planned => (
            Level::Watch,
            format!(
                "No append-only file, and no snapshot since it started {} ago: {lost} its last snapshot, if there is one.",
                format::span(age)
            ),
        ),
        Some(0) => (
            level,
            format!(
                "Snapshots only, and none was due since it started {} ago: {lost} then.",
                format::span(age)
            ),
        ),
        _ => (
            level,
            format!(
                "Snapshots only, the last {} ago: {lost}. An append-only file would keep them.",
                format::span(age)
            ),
        ),
    }
}

fn replication(report: &ReplicationReport) -> Opinion {
    if let Some(master) = &report.master {
        return match (master.up, master.syncing) {
            (_, Some(true)) => (
                Level::Watch,
                format!(
                    "A replica that is copying all of {}: what it shows is incomplete.",
                    master.address
                ),
            ),
            (Some(false), _) => {
                let since = master
                    .down_s
                    .map_or_else(String::new, |s| format!(" for {}", format::span(seconds(s))));
                (
                    Level::Bad,
                    format!(
                        "Its link to its master {} is down{since}: what it shows is old.",
                        master.address
                    ),
                )
            }
            (Some(true), _) => (
                Level::Ok,
                format!("A replica of {}; the link is up. It refuses writes.", master.address),
            ),
            (None, _) => unknown("A replica that does not report the state of its link."),
        };
    }
    match (report.role.as_deref(), report.connected) {
        (None, _) => unknown("Not reported."),
        (Some("master"), None | Some(0)) => (
            Level::Ok,
            "No replica: if this machine is lost, so is all data that is only here.".into(),
        ),
        (Some("master"), Some(n)) => {
            let slow = report
                .replicas
                .iter()
                .find(|r| r.state != "online" || r.lag_s.is_some_and(|s| s >= 10));
            match slow {
                None => (
                    Level::Ok,
                    format!(
                        "{} {} connected and close behind.",
                        n,
                        if n == 1 { "replica is" } else { "replicas are" }
                    ),
                ),
                Some(replica) if replica.state != "online" => (
                    Level::Watch,
                    format!("The replica {} is not ready: {}.", replica.address, replica.state),
                ),
                Some(replica) => (
                    Level::Watch,
                    format!(
                        "The replica {} has not acknowledged for {}: a failover to it loses that.",
                        replica.address,
                        format::span(seconds(replica.lag_s.unwrap_or(0)))
                    ),
                ),
            }
        }
        (Some(role), _) => (Level::Ok, format!("Its role is {role}.")),
    }
}

fn clients(report: &ClientsReport) -> Opinion {
    let Some(connected) = report.connected else {
        return unknown("Not reported.");
    };
    let rejected = report.rejected.unwrap_or(0);
    let (mut level, mut text) = match report.max {
        Some(max) => {
            let share = share(connected, max);
            let text = match by_share(share) {
                Level::Ok => "Plenty of room.".to_owned(),
                _ => format!(
                    "{} of maxclients are in use: at the limit workers and producers cannot connect.",
                    percent(share)
                ),
            };
            (by_share(share), text)
        }
        None => (Level::Ok, "The limit is not known.".into()),
    };
    if rejected > 0 {
        level = worse(level, Level::Watch);
        text += &format!(" Connections refused since it started: {}.", format::count(rejected));
    }
    (level, text)
}

fn latency(watched: &Watched) -> Opinion {
    let Some(ping) = watched.ping else {
        return unknown("Not measured within the last minute.");
    };
    let level = match (ping.median_us, ping.max_us) {
        (100_000.., _) => Level::Bad,
        (_, 100_000..) => Level::Watch,
        _ => Level::Ok,
    };
    let text = match level {
        Level::Bad => "Every command waits: the server is busy, or far away. The slow log may show why.",
        Level::Watch => "Something kept the server or the network busy for a moment. The slow log may show what.",
        _ if ping.median_us < 2_000 => "Quick.",
        _ => "Steady.",
    };
    (level, text.into())
}

fn seconds(s: u64) -> Millis {
    Millis::try_from(s).unwrap_or(Millis::MAX / 1000).saturating_mul(1000)
}

#[cfg(test)]
#[path = "vitals_tests.rs"]
mod tests;
