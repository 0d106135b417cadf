//! From signs to sentences: what is the matter with a store that answers.
//!
//! Three sources: the server's own report every few seconds, refusals met along the way, and how the
//! collector itself fares. A condition that is seen by something happening (a refusal counted, a key
//! evicted) is held for a while, so that it does not come and go between two reports.

use crate::model::condition::{Actions, Condition, ConditionKind};
use crate::model::store::{Reach, StoreSummary};
use crate::model::vitals::postgres::facts::Report as PgReport;
use crate::model::{Millis, format};
use crate::server::adapter::redis::refusals::Refusals;
use crate::server::adapter::redis::signs::{Signs, Slots};
use std::collections::HashMap;
use std::time::Duration;

pub(super) mod postgres;

/// How long the refusal of a client's command is held: longer than the time between two reports at the slowest pace.
const HELD: Millis = 20_000;

/// How long an eviction is held: a job that vanished is worth a longer word.
const EVICTION_HELD: Millis = 300_000;

/// Clocks that differ by more than this are reported.
const CLOCK_TOLD: Millis = 2_000;

/// Silence after which no action is tried any more: what is shown is too old to decide by.
const SILENCE_MAX: Millis = 30_000;

/// How the collector itself fares.
#[derive(Clone, Debug, Default)]
pub(super) struct Own {
    /// How quickly it answers and how often it is asked, while that is less than usual.
    pub(super) slowed: Option<(Duration, Duration)>,
    /// Whether it still answers slowly.
    pub(super) slow: bool,
    /// How far the store's clock is ahead.
    pub(super) ahead: Option<Millis>,
    /// Why what Sentinels said may be out of date.
    pub(super) sentinels: Option<String>,
    /// Queues whose keys our user may not read: the first by name, and how many.
    pub(super) unreadable: Option<(String, usize)>,
}

impl Own {
    fn tell(&self, product: &str, tell: Tell<'_>) {
        if let Some((latency, every)) = self.slowed {
            tell(
                ConditionKind::Slow,
                if self.slow {
                    format!("Polled less often: {product} takes {} to answer.", rough(latency))
                } else {
                    format!("Still polled less often: {product} has just recovered from slow answers.")
                },
                format!(
                    "Numbers are up to {} s old, and changes arrive late.",
                    every.as_secs() + 5
                ),
            );
        }
        if let Some(ahead) = self.ahead.filter(|ahead| ahead.abs() > CLOCK_TOLD) {
            let way = if ahead > 0 { "ahead of" } else { "behind" };
            tell(
                ConditionKind::ClockDiffers,
                format!(
                    "The clock of this {product} is {} {way} Drover's. One of the two is wrong: check NTP.",
                    format::span(ahead.abs())
                ),
                format!("Ages are counted by the clock of {product}."),
            );
        }
    }
}

/// What is remembered between two looks.
#[derive(Clone, Debug, Default)]
pub(super) struct Conditions {
    signs: Option<Signs>,
    /// What a Postgres said last.
    postgres: Option<PgReport>,
    /// Until when a code of refusal counts as happening.
    refused: HashMap<&'static str, Millis>,
    evicting: Option<(Millis, u64)>,
    since: HashMap<ConditionKind, Millis>,
}

impl Conditions {
    /// Takes in a report.
    pub(super) fn report(&mut self, now: Millis, signs: Signs) {
        if let Some(before) = &self.signs {
            for code in ["OOM", "NOREPLICAS"] {
                // A count that is lower than before is that of a server that was restarted.
                let count = |signs: &Signs| signs.refusals.get(code).copied().unwrap_or(0);
                if count(&signs) > count(before) {
                    self.refused.insert(code, now + HELD);
                }
            }
            if signs.evicted > before.evicted {
                let of_late = self.evicting.filter(|(until, _)| now < *until).map_or(0, |(_, n)| n);
                let gone = of_late + signs.evicted - before.evicted;
                self.evicting = Some((now + EVICTION_HELD, gone));
            }
        }
        self.signs = Some(signs);
    }

    /// Forgets what an earlier connection saw: it may have been another server.
    pub(super) fn begin_anew(&mut self) {
        *self = Self {
            since: std::mem::take(&mut self.since),
            ..Self::default()
        };
    }

    /// Our clock was set by `by`.
    pub(super) fn shift(&mut self, by: Millis) {
        let moments = self.refused.values_mut().chain(self.since.values_mut());
        for at in moments.chain(self.evicting.as_mut().map(|(until, _)| until)) {
            *at += by;
        }
    }

    /// Everything that is the matter now, worst first.
    pub(super) fn list(&mut self, now: Millis, user: &str, refusals: &Refusals, own: &Own) -> Vec<Condition> {
        let mut found = Vec::new();
        let mut tell = |kind, sentence: String, effect: String| found.push((kind, sentence, effect));
        let none = Signs::default();
        let signs = self.signs.as_ref().unwrap_or(&none);
        let refused = |code: &str| self.refused.get(code).is_some_and(|until| now < *until);
        if let Some(watched) = &signs.sentinel {
            // Nothing else is expected of it.
            sentinel(watched, &mut tell);
            return self.told(now, found);
        }
        if let Some(why) = &own.sentinels {
            tell(
                ConditionKind::SentinelsSilent,
                why.clone(),
                "What is shown is that of the last primary. Actions are held until most of the Sentinels answer."
                    .into(),
            );
        }
        cluster(user, signs, refusals, &mut tell);
        out_of_memory(signs, refused("OOM") || refusals.out_of_memory(), &mut tell);
        write_blocked(signs, refusals, &refused, &mut tell);
        replica(signs, refusals, &mut tell);
        if let Some((_, gone)) = self.evicting.filter(|(until, _)| now < *until) {
            tell(
                ConditionKind::Evicting,
                format!(
                    "It is full and makes room by removing keys: {} in the last minutes. Set maxmemory-policy to noeviction, \
                     and give it more memory.",
                    format::count(gone)
                ),
                "Jobs disappear, but counts still include them: such a row says that its record is missing. Removing \
                 it works, retrying it does not."
                    .into(),
            );
        }
        not_permitted(user, refusals, own.unreadable.as_ref(), &mut tell);
        if let Some(why) = refusals.unpushed.values().next() {
            tell(
                ConditionKind::NotPushed,
                format!("Changes are not pushed: {why}"),
                "Counts are right but up to ten seconds old, and rates are not known.".into(),
            );
        }
        own.tell("Redis", &mut tell);
        self.told(now, found)
    }

    /// What was found, worst first, each with the moment from which it has been so.
    fn told(&mut self, now: Millis, mut found: Vec<(ConditionKind, String, String)>) -> Vec<Condition> {
        self.since.retain(|kind, _| found.iter().any(|(k, ..)| k == kind));
        found.sort_by_key(|(kind, ..)| (kind.level(), *kind));
        found
            .into_iter()
            .map(|(kind, sentence, effect)| Condition {
                kind,
                sentence,
                effect,
                since: *self.since.entry(kind).or_insert(now),
            })
            .collect()
    }
}

type Tell<'a> = &'a mut dyn FnMut(ConditionKind, String, String);

fn sentinel(watched: &[(String, String)], tell: Tell<'_>) {
    let primary =
        |(name, address): &(String, String)| format!("{} at {}", format::visible(name), format::visible(address));
    let sentence = match watched {
        [] => "This is a Sentinel that watches no primary. Give this store the URL of a Redis.".to_owned(),
        [(name, address)] => format!(
            "This is a Sentinel of {}; its primary is {}. Give this store that address, or the URL \
             redis+sentinel://HOST:PORT/{}, with which Drover follows a failover.",
            format::visible(name),
            format::visible(address),
            format::visible(name)
        ),
        several => {
            let all: Vec<String> = several.iter().take(5).map(primary).collect();
            format!(
                "This is a Sentinel of {} primaries: {}. Give each a store with a URL such as \
                 redis+sentinel://HOST:PORT/NAME.",
                several.len(),
                all.join(", ")
            )
        }
    };
    tell(
        ConditionKind::Sentinel,
        sentence,
        "A Sentinel holds no queues: nothing can be read and no action will work.".into(),
    );
}

fn cluster(user: &str, signs: &Signs, refusals: &Refusals, tell: Tell<'_>) {
    let (sentence, effect) = match signs.cluster {
        Some(Slots::All) | None if !refusals.cluster() => return,
        Some(Slots::Unknown) if !refusals.cluster() => (
            format!(
                "This Redis is in cluster mode, and whether it owns all slots is not known: the user {user} may not ask. This \
                 permits it: ACL SETUSER {user} +cluster|nodes"
            ),
            "Queues of other nodes, if there are any, are missing. No action is tried until it is known.",
        ),
        _ => (
            "This is one node of a Redis Cluster, given as a single Redis: it knows only the keys in its own slots and \
             answers MOVED for the rest. Give this store the URL of a Redis that holds all keys, or of a proxy that speaks \
             for the whole cluster; this version of Drover does not follow a cluster itself."
                .to_owned(),
            "Queues of other nodes are missing or not counted, and changes are not pushed. No action will work.",
        ),
    };
    tell(ConditionKind::Cluster, sentence, effect.into());
}

fn out_of_memory(signs: &Signs, refused: bool, tell: Tell<'_>) {
    let full = signs.memory.is_some_and(|(used, max)| used >= max) && !signs.evicts;
    // Close to the limit the last refusal may still hold; far from it memory has been freed since.
    let close = signs.memory.is_none_or(|(used, max)| used >= max / 10 * 9);
    let shown = full || (refused && close);
    if !shown {
        return;
    }
    let limit = signs.memory.map_or_else(String::new, |(used, max)| {
        format!(": {} of {} are in use", format::bytes(used), format::bytes(max))
    });
    tell(
        ConditionKind::OutOfMemory,
        format!("Redis is out of memory{limit}. It refuses writes that need more."),
        "Reading, removing and archiving work; retrying and adding may be refused, and producers are refused.".into(),
    );
}

fn write_blocked(signs: &Signs, refusals: &Refusals, refused: &dyn Fn(&str) -> bool, tell: Tell<'_>) {
    let effect = "Reading works. No action will work, and the applications' own writes are refused too.";
    if let Some(says) = refusals.disk() {
        // `PING` is refused with the writes, so this is known within a second, and so is its end.
        let what = if says.contains("AOF") {
            "its append-only file"
        } else {
            "a snapshot"
        };
        tell(
            ConditionKind::DiskFailed,
            format!(
                "Redis could not write {what} to its disk and refuses every write until it can (MISCONF). \
                 Is the disk full, or its directory not writable? Its log says why."
            ),
            effect.into(),
        );
    }
    // The report has the number only while the server demands replicas, but not how many it demands.
    let demands = signs.good_replicas.is_some();
    if signs.good_replicas == Some(0) || (demands && refused("NOREPLICAS")) || refusals.too_few_replicas() {
        let good = signs
            .good_replicas
            .map_or_else(String::new, |n| format!(" ({n} keep up)"));
        tell(
            ConditionKind::TooFewReplicas,
            format!(
                "Too few replicas follow this Redis{good}, and it refuses every write until more do (NOREPLICAS, \
                 min-replicas-to-write)."
            ),
            effect.into(),
        );
    }
    if signs.paused || refusals.paused() {
        tell(
            ConditionKind::WritesPaused,
            "Writes are paused (CLIENT PAUSE), as is done for a failover. They continue when the pause ends, or with \
             CLIENT UNPAUSE."
                .into(),
            "Reading works. Actions, and the applications' own writes, wait until the pause ends.".into(),
        );
    }
}

fn replica(signs: &Signs, refusals: &Refusals, tell: Tell<'_>) {
    let Some(primary) = &signs.replica_of else {
        if refusals.read_only() {
            tell(
                ConditionKind::Replica,
                "It has just refused a write as a replica does (READONLY): another server has become the primary."
                    .into(),
                "Reads may be old; no action will work.".into(),
            );
        }
        return;
    };
    if signs.follows {
        tell(
            ConditionKind::Replica,
            format!("This Redis is a replica of {primary}. Give this store the URL of the primary to act on jobs."),
            "Reads are from a replica and may lag behind; no action will work.".into(),
        );
    } else {
        tell(
            ConditionKind::CutOff,
            format!(
                "This Redis is a replica and has lost its primary {primary}: a failover, or a broken path between the two."
            ),
            "What is read is how things were when the primary was lost; no action will work.".into(),
        );
    }
}

/// What reading lacks without a command.
fn lacks(command: &str) -> Option<&'static str> {
    Some(match command {
        "client|list" | "client" => "Workers cannot be counted",
        "xread" | "xrange" | "xrevrange" => "Changes are not pushed",
        "scan" => "New queues are found only by their workers or in the configuration",
        "info" => "Memory, role, and trouble with writes are not known",
        "ping" => return None,
        "llen" | "zcard" | "hmget" => "Counts are missing",
        _ => "Parts of lists and jobs cannot be shown",
    })
}

fn not_permitted(user: &str, refusals: &Refusals, unreadable: Option<&(String, usize)>, tell: Tell<'_>) {
    let denied: Vec<&str> = refusals.denied().collect();
    let mut what = Vec::new();
    let mut rules: Vec<String> = denied.iter().map(|name| format!("+{name}")).collect();
    let mut effects: Vec<&str> = denied.iter().filter_map(|name| lacks(name)).collect();
    if !denied.is_empty() {
        let commands: Vec<String> = denied
            .iter()
            .map(|name| name.replace('|', " ").to_uppercase())
            .collect();
        what.push(format!("run {}", commands.join(", ")));
    }
    if let Some((queue, queues)) = unreadable {
        let others = match queues - 1 {
            0 => String::new(),
            n => format!(" and {} more", format::count(n as u64)),
        };
        what.push(format!("read the keys of {}{others}", format::visible(queue)));
        let prefix = queue.split_once(':').map_or("", |(prefix, _)| prefix);
        rules.push(format!("%R~{}:*", format::visible(prefix)));
        effects.push("Queues whose keys may not be read are not counted");
    }
    if what.is_empty() {
        return;
    }
    effects.sort_unstable();
    effects.dedup();
    tell(
        ConditionKind::NotPermitted,
        format!(
            "The Redis user {user} may not {}. This permits it: ACL SETUSER {user} {}",
            what.join(", nor "),
            rules.join(" ")
        ),
        if effects.is_empty() {
            "Nothing is missing.".to_owned()
        } else {
            format!("{}.", effects.join(". "))
        },
    );
}

/// A latency with two digits: one that changes in the third with every poll is no news.
fn rough(latency: Duration) -> String {
    let ms = u64::try_from(latency.as_millis()).unwrap_or(u64::MAX);
    let unit = if ms >= 1000 { 100 } else { 10 };
    format::duration(Millis::try_from(ms / unit * unit).unwrap_or(Millis::MAX))
}

/// Whether jobs of this store may be acted on. `lacks` is what our user may not do.
pub(super) fn actions(store: &StoreSummary, now: Millis, lacks: Option<String>) -> Actions {
    let refuse = |reason: String| Actions {
        allowed: false,
        reason: Some(reason),
    };
    if let Some(condition) = store.conditions.iter().find(|c| c.kind.forbids_actions()) {
        return refuse(condition.sentence.clone());
    }
    let Some(as_of) = store.as_of else {
        return refuse("Nothing has been read from it yet. Try again in a few seconds.".into());
    };
    // A short silence does not make what is shown wrong; it may be over before the action is there.
    if store.reach != Reach::Live && now - as_of > SILENCE_MAX {
        return refuse(format!(
            "It is {}, and nothing was read from it for more than {} s: the page is too old to act on.",
            store.reach.word(),
            SILENCE_MAX / 1000
        ));
    }
    Actions {
        allowed: lacks.is_none(),
        reason: lacks,
    }
}

#[cfg(test)]
#[path = "conditions_tests.rs"]
mod tests;
