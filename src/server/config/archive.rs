//! `[archive]`: whether and how finished jobs are kept, and which are archived automatically (`[[archive.policy]]`).
//!
//! The archive is in one of the Postgres stores that are configured; without one there is none.

use super::{Reader, Store, StoreKind, file};
use crate::model::policy::{Every, Policy};
use crate::model::span;
use crate::model::state::JobState;
use crate::server::archive::Settings;
use crate::server::archive::retention::Keep;
use crate::server::cron;
use std::collections::HashSet;

/// Reads the settings; `None` for no archive.
pub(super) fn read(
    r: &mut Reader<'_>,
    raw: Option<file::Archive>,
    stores: &[Store],
    read_only: bool,
    warnings: &mut Vec<String>,
) -> Option<Settings> {
    let raw = raw.unwrap_or_default();
    let mut switch = |name: &'static str, what: &str, in_file: Option<bool>, usual: bool| {
        let value = r.pick(name, in_file.map(|b| b.to_string()), &usual.to_string());
        r.read(&format!("archive.{what}: true or false"), value, usual)
    };
    let enabled = switch("DROVER_ARCHIVE", "enabled", raw.enabled, true);
    let migrate = switch("DROVER_ARCHIVE_MIGRATE", "migrate", raw.migrate, true);
    let allow_unsafe = switch("DROVER_ARCHIVE_ALLOW_UNSAFE", "allow_unsafe", raw.allow_unsafe, false);
    let require_sync_standby = switch(
        "DROVER_ARCHIVE_REQUIRE_SYNC_STANDBY",
        "require_sync_standby",
        raw.require_sync_standby,
        false,
    );
    let (wanted, source) = r.pick("DROVER_ARCHIVE_STORE", raw.store, "");
    let mut all = stores.iter().filter(|store| store.kind == StoreKind::Postgres);
    let store = match wanted.as_str() {
        "" => all.next(),
        id => {
            let found = all.find(|store| store.id == id);
            if found.is_none() && enabled {
                r.problems.push(format!(
                    "{source}: archive.store: no Postgres is configured with the id {id:?}"
                ));
            }
            found
        }
    };
    let policies = policies(r, raw.policy.unwrap_or_default());
    let keep = keep(r, raw.keep.unwrap_or_default());
    if !policies.is_empty() && enabled && store.is_none() && wanted.is_empty() {
        r.problems.push(format!(
            "{}: archive.policy: there is no archive for it: set DROVER_POSTGRES_URL or write a [[store]] with a postgres:// url",
            place(r)
        ));
    }
    if !policies.is_empty() && !enabled {
        warnings.push("archive.policy is set and archive.enabled is off: nothing is archived automatically.".into());
    }
    let url = store.filter(|_| enabled)?.url.clone();
    if allow_unsafe {
        warnings.push(
            "archive.allow_unsafe is on: an archive on a server with fsync=off loses jobs in a crash. Use it only for \
             jobs you can lose."
                .into(),
        );
    }
    Some(Settings {
        url,
        migrate,
        allow_unsafe,
        require_sync_standby,
        policies,
        keep,
        read_only,
    })
}

pub(super) fn place(r: &Reader<'_>) -> String {
    let path = r.file.as_ref();
    path.map_or_else(String::new, |path| path.display().to_string())
}

fn policies(r: &mut Reader<'_>, raw: Vec<file::Policy>) -> Vec<Policy> {
    let place = place(r);
    let mut seen = HashSet::new();
    let mut policies = Vec::new();
    for (i, raw) in raw.into_iter().enumerate() {
        let id = raw.id.clone().unwrap_or_default();
        let at = format!(
            "{place}: [[archive.policy]] {} ({})",
            i + 1,
            if id.is_empty() { "no id" } else { &id }
        );
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
        if id.is_empty() || id.len() > 64 || !id.bytes().all(plain) {
            r.problems
                .push(format!("{at}: id: 1 to 64 letters, digits, '-' and '_'"));
        } else if !seen.insert(id) {
            r.problems.push(format!("{at}: a second policy has this id"));
        }
        match one(raw) {
            Ok(policy) => policies.push(policy),
            Err(problems) => r
                .problems
                .extend(problems.into_iter().map(|problem| format!("{at}: {problem}"))),
        }
    }
    policies
}

/// A shorter time would be a slip of the pen.
const SHORTEST: u64 = 24 * 3_600 * 1_000;

fn keep(r: &mut Reader<'_>, raw: Vec<file::Keep>) -> Vec<Keep> {
    let place = place(r);
    let mut rules = Vec::new();
    for (i, raw) in raw.into_iter().enumerate() {
        let at = format!("{place}: [[archive.keep]] {}", i + 1);
        let queues = raw.queues.unwrap_or_default().trim().to_owned();
        if queues.is_empty() || queues.len() > 500 {
            r.problems.push(format!(
                "{at}: queues: the queues it is for, such as \"bull:emails.*\" or \"*\" for all"
            ));
        }
        let written = raw.span.unwrap_or_default();
        match span::parse(&written) {
            Ok(span) if span >= SHORTEST => rules.push(Keep { queues, span, written }),
            Ok(_) => r.problems.push(format!("{at}: for: at least 1d")),
            Err(why) => r.problems.push(format!("{at}: for: {why}")),
        }
    }
    rules
}

/// One policy, or everything that is wrong with it.
fn one(raw: file::Policy) -> Result<Policy, Vec<String>> {
    let mut problems = Vec::new();
    let queues = raw.queues.unwrap_or_default().trim().to_owned();
    if queues.is_empty() || queues.len() > 500 {
        problems.push("queues: the queues it is for, such as \"bull:emails.*\" or \"redis/*\"".into());
    }
    let mut states = Vec::new();
    for word in raw.states.unwrap_or_default() {
        match word.parse() {
            Ok(state @ (JobState::Completed | JobState::Failed)) if !states.contains(&state) => states.push(state),
            Ok(JobState::Completed | JobState::Failed) => {}
            _ => problems.push(format!("states: {word:?} is neither completed nor failed")),
        }
    }
    if states.is_empty() && problems.is_empty() {
        problems.push("states: write [\"completed\"], [\"failed\"] or both".into());
    }
    let older_than = raw.older_than.unwrap_or_default();
    let older = span::parse(&older_than).unwrap_or_else(|why| {
        problems.push(format!("older_than: {why}"));
        0
    });
    let every = raw.every.unwrap_or_default();
    let timetable = Every::read(&every);
    if let Err(why) = cron::check(&timetable.pattern, &timetable.zone) {
        problems.push(format!("every: {every:?}: {why}"));
    }
    if raw.limit == Some(0) {
        problems.push("limit: at least 1 job; leave it out for all there are".into());
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(Policy {
        id: raw.id.unwrap_or_default(),
        queues,
        states,
        older,
        older_than,
        every: timetable,
        limit: raw.limit,
    })
}
