//! What each part of a Postgres means for the queues in it.

use crate::model::format;
use crate::model::verdict::Level;
use crate::model::vitals::Answered;
use crate::model::vitals::postgres::facts::{Health, Oldest, Replication, Report};
use crate::model::vitals::postgres::{HealthPart, Part, TableHealth};

/// A transaction open this long keeps vacuum from clearing finished jobs.
const OPEN_WATCH_MS: i64 = 60_000;

/// And this long it slows every queue down.
const OPEN_BAD_MS: i64 = 900_000;

/// Autovacuum comes late when dead rows exceed its own threshold by this factor.
const LATE: u64 = 3;

/// Dead rows below this are nothing, whatever the threshold.
const DEAD_MIN: u64 = 10_000;

/// Postgres stops before two thousand million; autovacuum fights it from two hundred million on.
const XID_WATCH: u64 = 1_000_000_000;

/// A minute of lag: what is read from that standby is old, and what it would lose in a failover is much.
const LAG_WATCH_MS: i64 = 60_000;

/// Log held back by a slot that no client reads fills the disk in the end.
const HELD_WATCH: u64 = 4 << 30;

/// Every part, the worst first.
#[must_use]
pub fn judge(health: &Health) -> Vec<HealthPart> {
    let mut parts = Vec::new();
    let mut told = |part: Part, (level, now, text): (Level, String, String)| {
        parts.push(HealthPart { part, level, now, text });
    };
    if let Some(why) = &health.dropped {
        told(Part::Settings, (Level::Watch, "not in force".into(), why.clone()));
    }
    match &health.report {
        Answered::Known(report) => {
            told(Part::Size, size(report));
            told(Part::Connections, connections(report));
            told(Part::Durability, durability(report));
            told(Part::CacheHits, cache(report));
            told(Part::Wraparound, wraparound(report));
        }
        other => told(Part::Size, unknown(other)),
    }
    told(Part::OldestTransaction, known(&health.oldest, transactions));
    told(Part::Locks, known(&health.oldest, locks));
    told(Part::DeadRows, known(&health.tables, |tables| dead_rows(tables)));
    told(Part::Indexes, known(&health.tables, |tables| indexes(tables)));
    told(Part::Replication, known(&health.replication, replication));
    parts.sort_by_key(|part| part.level);
    parts
}

type Told = (Level, String, String);

fn known<T>(answer: &Answered<T>, tell: impl FnOnce(&T) -> Told) -> Told {
    match answer {
        Answered::Known(answer) => tell(answer),
        other => unknown(other),
    }
}

fn unknown<T>(answer: &Answered<T>) -> Told {
    let why = answer.why().unwrap_or_default();
    (Level::Unknown, format::UNKNOWN.to_owned(), why)
}

fn size(report: &Report) -> Told {
    (
        Level::Ok,
        format::bytes(report.size),
        "This database on disk, including indexes. Drover cannot see how full the disk is.".into(),
    )
}

fn connections(report: &Report) -> Told {
    let (used, max) = (report.connections, report.connections_max.max(1));
    let now = format!("{} of {}", format::count(used), format::count(max));
    if used * 10 >= max * 9 {
        let text =
            "Nearly all are in use: the next worker may be refused. Raise max_connections, or put a pooler in front.";
        return (Level::Bad, now, text.into());
    }
    if used * 4 >= max * 3 {
        return (Level::Watch, now, "Three quarters are in use.".into());
    }
    (
        Level::Ok,
        now,
        "Clients of all databases; each pg-boss instance keeps a pool.".into(),
    )
}

fn durability(report: &Report) -> Told {
    let now = report.persistence().to_owned();
    match (report.fsync, report.synchronous_commit.as_str()) {
        (false, _) => (
            Level::Bad,
            now,
            "fsync is off: a crash of the machine may damage the whole database. Use it only for data you can lose."
                .into(),
        ),
        (true, "off") => (
            Level::Watch,
            now,
            "synchronous_commit is off: a crash loses the last moments, including accepted jobs.".into(),
        ),
        (true, _) => (
            Level::Ok,
            now,
            "A job that was accepted survives a crash of the server.".into(),
        ),
    }
}

fn cache(report: &Report) -> Told {
    let (hit, read) = report.blocks;
    let all = hit + read;
    if all == 0 {
        return (
            Level::Ok,
            format::UNKNOWN.to_owned(),
            "Nothing has been read yet.".into(),
        );
    }
    #[expect(clippy::cast_precision_loss, reason = "a share needs no more precision")]
    let share = hit as f64 / all as f64 * 100.0;
    (
        Level::Ok,
        format!("{share:.1} %"),
        "Share of blocks read since its statistics began; the rest came from the operating system's cache or the disk."
            .into(),
    )
}

fn wraparound(report: &Report) -> Told {
    let now = format!("{} old", format::count(report.xid_age));
    if report.xid_age >= XID_WATCH {
        let text = "Vacuum does not keep up with transaction numbers: at about 2,000,000,000 the server stops accepting \
                    writes. Look for what holds it back: old transactions, slots, prepared transactions.";
        return (Level::Bad, now, text.into());
    }
    (
        Level::Ok,
        now,
        "Far from the 2,000,000,000 at which it would stop.".into(),
    )
}

fn hidden(oldest: &Oldest) -> String {
    match oldest.hidden {
        0 => String::new(),
        n => format!(
            " Sessions of other roles that Drover's role cannot see: {}. GRANT pg_monitor shows them.",
            format::count(n)
        ),
    }
}

fn transactions(oldest: &Oldest) -> Told {
    let Some(open) = oldest.open_ms.filter(|ms| *ms > 0) else {
        return (
            Level::Ok,
            "none open".into(),
            format!("Not counting Drover's own.{}", hidden(oldest)),
        );
    };
    let whose = match oldest.application.as_str() {
        "" => String::new(),
        name => format!(", {}", format::visible(name)),
    };
    let now = format!("{}{whose}", format::span(open));
    let text = "While it is open no dead row that is younger can be cleared, and fetching jobs slows down.";
    let level = match open {
        OPEN_BAD_MS.. => Level::Bad,
        OPEN_WATCH_MS.. => Level::Watch,
        _ => Level::Ok,
    };
    let text = if level == Level::Ok { "Short enough." } else { text };
    (level, now, format!("{text}{}", hidden(oldest)))
}

fn locks(oldest: &Oldest) -> Told {
    let idle = match oldest.idle {
        0 => String::new(),
        1 => " 1 session holds a transaction open and does nothing.".into(),
        n => format!(" {} sessions hold a transaction open and do nothing.", format::count(n)),
    };
    match oldest.waiting {
        0 => (
            Level::Ok,
            "none waiting".into(),
            format!("No session waits for another.{idle}"),
        ),
        n => (
            Level::Watch,
            format!("{} wait", format::count(n)),
            format!("The table below shows which session waits for which.{idle}"),
        ),
    }
}

fn dead_rows(tables: &[TableHealth]) -> Told {
    let dead: u64 = tables.iter().map(|table| table.dead).sum();
    let now = format::count(dead);
    let late = tables
        .iter()
        .filter(|table| table.dead >= DEAD_MIN && table.dead > table.vacuum_at.saturating_mul(LATE));
    match late.max_by_key(|table| table.dead) {
        Some(table) => (
            Level::Watch,
            now,
            format!(
                "{}.{} has {} of them, and autovacuum should have started at {}: something holds it back, or it is \
                 too slow.",
                format::visible(&table.schema),
                format::visible(&table.name),
                format::count(table.dead),
                format::count(table.vacuum_at)
            ),
        ),
        None => (Level::Ok, now, "Autovacuum keeps up.".into()),
    }
}

fn indexes(tables: &[TableHealth]) -> Told {
    let invalid: Vec<String> = tables
        .iter()
        .flat_map(|table| table.invalid_indexes.iter())
        .map(|name| format::visible(name))
        .collect();
    if invalid.is_empty() {
        return (Level::Ok, "all valid".into(), "Of the tables below.".into());
    }
    (
        Level::Watch,
        format!("{} not valid", invalid.len()),
        format!(
            "A build was interrupted or is in progress: {}. Reads do not use it; REINDEX INDEX CONCURRENTLY repairs \
             it.",
            invalid.join(", ")
        ),
    )
}

fn replication(replication: &Replication) -> Told {
    if let Some(behind) = replication.behind_ms {
        let now = format!("standby, {} behind", format::span(behind));
        let level = if behind >= LAG_WATCH_MS {
            Level::Watch
        } else {
            Level::Ok
        };
        let text = "How old the last transaction it has replayed is; a quiet primary makes it look old.";
        return (level, now, text.into());
    }
    let mut now = match replication.standbys {
        0 => "primary, no standby".to_owned(),
        1 => "primary, 1 standby".into(),
        n => format!("primary, {} standbys", format::count(n)),
    };
    if let Some(lag) = replication.lag_ms {
        now += &format!(", up to {} behind", format::duration(lag));
    }
    if let Some(held) = replication.held_bytes.filter(|held| *held >= HELD_WATCH) {
        let text = format!(
            "A replication slot holds back {} of log, {} of them not in use: it fills the disk in the end.",
            format::bytes(held),
            format::count(replication.idle_slots)
        );
        return (Level::Watch, now, text);
    }
    if replication.lag_ms.is_some_and(|lag| lag >= LAG_WATCH_MS) {
        return (
            Level::Watch,
            now,
            "A failover now would lose what it has not received.".into(),
        );
    }
    let text = match replication.standbys {
        0 => "Nothing takes over if it is lost.",
        _ => "They keep up.",
    };
    (Level::Ok, now, text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_transaction_and_dead_rows_that_pile_up_are_told() {
        let oldest = |open_ms| {
            transactions(&Oldest {
                open_ms,
                application: "report".into(),
                hidden: 2,
                ..Oldest::default()
            })
        };
        assert_eq!(oldest(None).0, Level::Ok);
        assert_eq!(oldest(Some(70_000)).0, Level::Watch);
        let (level, now, text) = oldest(Some(1_000_000));
        assert_eq!(level, Level::Bad);
        assert!(now.contains("report") && text.contains("pg_monitor"), "{now} {text}");

        let table = |dead, vacuum_at| TableHealth {
            schema: "pgboss".into(),
            name: "job".into(),
            table_bytes: 0,
            index_bytes: 0,
            live: 0,
            dead,
            vacuum_at,
            vacuumed: None,
            invalid_indexes: vec![],
        };
        assert_eq!(dead_rows(&[table(9_000, 50)]).0, Level::Ok, "few");
        assert_eq!(dead_rows(&[table(90_000, 50_000)]).0, Level::Ok, "it will come");
        assert_eq!(dead_rows(&[table(90_000, 5_000)]).0, Level::Watch);
    }

    #[test]
    fn what_may_not_be_seen_is_unknown_and_says_what_would_show_it() {
        let (level, _, text) = known(&Answered::<Oldest>::NotPermitted("GRANT pg_monitor".into()), locks);
        assert_eq!(level, Level::Unknown);
        assert!(text.contains("pg_monitor"));
    }
}
