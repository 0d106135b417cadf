//! Which generation of the library a queue's keys belong to.
//!
//! `meta.version` says who *looked* last, not who works: every client that opens a queue overwrites
//! it, and ports in other languages write numbers of their own. So what lies in the store decides first,
//! in this order:
//!
//! 1. no event stream, and keys that only Bull writes: Bull 4
//! 2. a set called `priority`: BullMQ 3
//! 3. markers (`0:…`) in the waiting list: BullMQ 4
//! 4. workers that block on `BRPOPLPUSH` or `BLMOVE` (3 and 4) or `BZPOPMIN` (5 and 6)
//! 5. paused with the waiting jobs renamed to `paused` (up to 5), or left in `wait` (6)
//! 6. the version, where it is a plausible one; of 5 and 6 both, where both were seen within a day
//!
//! A wrong guess between 5 and 6 changes nothing that is read. It matters to actions.

use super::super::QueueId;
use super::super::Trouble;
use super::super::redis::link::Link;
use super::super::redis::reply;
use super::key;
use crate::model::family::{Evidence, Family, Layout};
use redis::{RedisResult, Value};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// Evidence is looked at again this often: libraries are upgraded while the board watches. Sooner when
/// a count shows another version or another state of the pause.
const KEEP: Duration = Duration::from_secs(900);

/// How long a version that was seen counts against another one: whoever wrote it may still be at work.
const BOTH: Duration = Duration::from_secs(24 * 3600);

/// Commands sent for each queue whose layout is looked for.
const COMMANDS: usize = 12;

/// Queues asked about in one pipeline.
const BATCH: usize = 200;

/// What [`Layouts`] remembers of a queue.
#[derive(Clone, Debug)]
struct Known {
    family: Family,
    at: Instant,
    version: Option<String>,
    paused: bool,
}

/// The command on which workers of a queue block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocking {
    /// `BRPOPLPUSH` or `BLMOVE`: Bull, BullMQ up to 4.
    List,
    /// `BZPOPMIN`: BullMQ from 5 on.
    Marker,
}

/// The layouts of a store's queues, as far as they are known.
#[derive(Debug, Default)]
pub struct Layouts {
    known: Mutex<HashMap<QueueId, Known>>,
    blocking: Mutex<HashMap<QueueId, Blocking>>,
    /// When a client of 5, and one of 6, was seen to have opened a queue.
    opened: Mutex<HashMap<QueueId, [Option<Instant>; 2]>>,
    /// When `blocking` was read.
    noted: Mutex<Option<Instant>>,
}

/// A queue looked at just now, for whoever is about to change it.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// Which generation laid out its keys.
    pub family: Family,
    /// Whether it is paused.
    pub paused: bool,
    /// On what its workers block, as far as that is known.
    pub blocking: Option<Blocking>,
    /// Whether anything of it is there.
    pub exists: bool,
    /// Whether its version does not tell 5 from 6, because both have opened it.
    pub both: bool,
}

impl Layouts {
    fn known(&self) -> MutexGuard<'_, HashMap<QueueId, Known>> {
        self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Takes in on what the workers of each queue block, as the list of clients tells it.
    pub fn note_blocking(&self, blocking: HashMap<QueueId, Blocking>) {
        *self.blocking.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = blocking;
        *self.noted.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(Instant::now());
    }

    /// Whether it is known on what workers block, and not for too long.
    pub fn knows_blocking(&self, within: Duration) -> bool {
        let noted = *self.noted.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        noted.is_some_and(|at| at.elapsed() <= within)
    }

    /// Takes in which version a client has written, and tells whether both 5 and 6 did within a day.
    fn opened_by_both(&self, queue: &str, versions: &[Option<&str>]) -> bool {
        let mut opened = self.opened.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let majors = versions.iter().filter_map(|version| major(*version));
        for major in majors.filter(|major| matches!(major, 5 | 6)) {
            if !opened.contains_key(queue) {
                opened.insert(queue.into(), [None; 2]);
            }
            if let Some(at) = opened.get_mut(queue) {
                at[usize::from(major - 5)] = Some(Instant::now());
            }
        }
        let lately = |at: &Option<Instant>| at.is_some_and(|at| at.elapsed() <= BOTH);
        opened.get(queue).is_some_and(|at| at.iter().all(lately))
    }

    /// Looks at one queue now, whatever is remembered of it.
    pub async fn look(&self, link: &Link, queue: &QueueId) -> Result<Look, Trouble> {
        let replies = link.run(&mut question(std::slice::from_ref(queue))).await?;
        let blocking = {
            let all = self.blocking.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            all.get(queue).copied()
        };
        let mut signs = Signs::read(&replies, blocking);
        signs.both = self.opened_by_both(queue, &[signs.version.as_deref()]);
        let family = signs.decide();
        Ok(Look {
            family,
            paused: if family.layout == Layout::Bull4 {
                signs.meta_paused
            } else {
                signs.paused
            },
            blocking,
            exists: signs.counter || signs.events || signs.marked || signs.paused,
            both: signs.both,
        })
    }

    /// The family of a queue, if it has been looked for.
    pub fn get(&self, queue: &str) -> Option<Family> {
        self.known().get(queue).map(|known| known.family)
    }

    /// Whether this queue is one of Bull 4.
    pub fn is_bull(&self, queue: &str) -> bool {
        self.get(queue).is_some_and(|family| family.layout == Layout::Bull4)
    }

    /// Looks again, the next time, at a queue whose count tells another version or pause than before.
    pub fn compare(&self, queue: &str, version: Option<&str>, paused: Option<bool>) {
        let mut known = self.known();
        if let Some(entry) = known.get(queue)
            && (entry.version.as_deref() != version || paused.is_some_and(|paused| paused != entry.paused))
        {
            self.opened_by_both(queue, &[entry.version.as_deref(), version]);
            known.remove(queue);
        }
    }

    /// The families of these queues, in their order; asks the store about those that are not known.
    pub async fn of(&self, link: &Link, queues: &[QueueId]) -> Result<Vec<Family>, Trouble> {
        let unknown: Vec<QueueId> = {
            let known = self.known();
            let fresh = |queue: &&QueueId| known.get(*queue).is_none_or(|known| known.at.elapsed() > KEEP);
            queues.iter().filter(fresh).cloned().collect()
        };
        for batch in unknown.chunks(BATCH) {
            let replies = link.run(&mut question(batch)).await?;
            let blocking = self
                .blocking
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .clone();
            let mut known = self.known();
            for (queue, replies) in batch.iter().zip(replies.chunks_exact(COMMANDS)) {
                let mut signs = Signs::read(replies, blocking.get(queue).copied());
                signs.both = self.opened_by_both(queue, &[signs.version.as_deref()]);
                let entry = Known {
                    family: signs.decide(),
                    at: Instant::now(),
                    version: signs.version.clone(),
                    paused: signs.paused,
                };
                known.insert(queue.clone(), entry);
            }
        }
        let known = self.known();
        Ok(queues
            .iter()
            .map(|queue| known.get(queue).map_or(UNDECIDED, |known| known.family))
            .collect())
    }

    /// Forgets queues that are no longer followed.
    pub fn keep_only(&self, queues: &[QueueId]) {
        let wanted: std::collections::HashSet<&QueueId> = queues.iter().collect();
        self.known().retain(|queue, _| wanted.contains(queue));
        let mut opened = self.opened.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        opened.retain(|queue, _| wanted.contains(queue));
    }
}

/// When nothing speaks for anything.
const UNDECIDED: Family = Family {
    layout: Layout::BullMq5Or6,
    evidence: Evidence::Nothing,
};

fn question(queues: &[QueueId]) -> redis::Pipeline {
    let mut pipe = redis::pipe();
    for queue in queues {
        pipe.cmd("HMGET")
            .arg(key(queue, "meta"))
            .arg("paused")
            .arg("version")
            .arg("opts.maxLenEvents");
        pipe.cmd("EXISTS").arg(key(queue, "meta-paused"));
        pipe.cmd("TYPE").arg(key(queue, "events"));
        pipe.cmd("TYPE").arg(key(queue, "priority"));
        pipe.cmd("EXISTS").arg(key(queue, "marker"));
        for list in ["wait", "paused"] {
            pipe.cmd("LLEN").arg(key(queue, list));
            pipe.cmd("LINDEX").arg(key(queue, list)).arg(0);
            pipe.cmd("LINDEX").arg(key(queue, list)).arg(-1);
        }
        pipe.cmd("EXISTS").arg(key(queue, "id"));
    }
    pipe
}

/// What was found.
#[derive(Clone, Debug, Default)]
struct Signs {
    paused: bool,
    version: Option<String>,
    marked: bool,
    meta_paused: bool,
    events: bool,
    priority_set: bool,
    marker: bool,
    waiting: u64,
    set_aside: u64,
    list_markers: bool,
    counter: bool,
    blocking: Option<Blocking>,
    /// Clients of 5 and of 6 have opened it lately.
    both: bool,
}

/// The major version that a client wrote, where it means one of ours.
fn major(version: Option<&str>) -> Option<u8> {
    let (package, version) = version?.split_once(':')?;
    // Elixir's port writes this one whatever it is; the Rust crate's number says nothing.
    if !matches!(package, "bullmq" | "bullmq-pro") || version == "5.65.1" {
        return None;
    }
    match version.split('.').next()? {
        // .NET's port counts from one and lays out as version 6.
        "1" => Some(6),
        major => major.parse().ok().filter(|major| (3..=6).contains(major)),
    }
}

/// Whether an element of a waiting list is a marker of BullMQ 3 or 4 and no job: `0:0`, or `0:` and the
/// moment the next delayed job is due. Older libraries let a job's own id begin with `0:` too.
#[must_use]
pub fn is_marker(id: &str) -> bool {
    id.strip_prefix("0:")
        .is_some_and(|due| due == "0" || (due.len() >= 13 && due.bytes().all(|b| b.is_ascii_digit() || b == b'.')))
}

impl Signs {
    fn read(replies: &[RedisResult<Value>], blocking: Option<Blocking>) -> Self {
        let meta = replies[0].as_ref().ok().map(reply::items).unwrap_or_default();
        let field = |i: usize| meta.get(i).and_then(reply::text);
        let yes = |i: usize| matches!(&replies[i], Ok(Value::Int(1)));
        let kind = |i: usize| replies[i].as_ref().ok().and_then(reply::text).unwrap_or_default();
        let marker = |i: usize| {
            replies[i]
                .as_ref()
                .ok()
                .and_then(reply::text)
                .is_some_and(|id| is_marker(&id))
        };
        Self {
            paused: field(0).is_some(),
            version: field(1),
            marked: field(2).is_some(),
            meta_paused: yes(1),
            events: kind(2) == "stream",
            priority_set: kind(3) == "zset",
            marker: yes(4),
            waiting: reply::count(&replies[5]).unwrap_or(0),
            set_aside: reply::count(&replies[8]).unwrap_or(0),
            list_markers: [6, 7, 9, 10].into_iter().any(marker),
            counter: yes(11),
            blocking,
            both: false,
        }
    }

    fn decide(&self) -> Family {
        let (layout, evidence) = self
            .by_structure()
            .or_else(|| self.by_version())
            .unwrap_or((UNDECIDED.layout, UNDECIDED.evidence));
        Family { layout, evidence }
    }

    fn by_structure(&self) -> Option<(Layout, Evidence)> {
        if !self.events && !self.marked && (self.meta_paused || self.counter || self.paused) {
            return Some((Layout::Bull4, Evidence::NoEventStream));
        }
        if self.priority_set {
            return Some((Layout::BullMq3, Evidence::PrioritySet));
        }
        // Version 3 writes the marker of a delayed job into its list too; the version tells them apart.
        let before_five = match self.major() {
            Some(3) => Layout::BullMq3,
            _ => Layout::BullMq4,
        };
        if self.list_markers {
            return Some((before_five, Evidence::ListMarkers));
        }
        if self.blocking == Some(Blocking::List) {
            return Some((before_five, Evidence::BlockingCommand));
        }
        // From here on it is 5 or 6, unless the version says that it is older.
        if matches!(self.major(), Some(3 | 4)) && !self.marker && self.blocking.is_none() {
            return None;
        }
        if self.paused && self.set_aside > 0 && self.waiting == 0 {
            return Some((Layout::BullMq5, Evidence::PausedByRename));
        }
        if self.paused && self.waiting > 0 && self.set_aside == 0 {
            return Some((Layout::BullMq6, Evidence::PausedByFlag));
        }
        None
    }

    fn major(&self) -> Option<u8> {
        major(self.version.as_deref())
    }

    fn by_version(&self) -> Option<(Layout, Evidence)> {
        let layout = match self.major()? {
            5 | 6 if self.both => return Some((Layout::BullMq5Or6, Evidence::BothVersions)),
            3 => Layout::BullMq3,
            4 => Layout::BullMq4,
            5 => Layout::BullMq5,
            _ => Layout::BullMq6,
        };
        Some((layout, Evidence::Version))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bullmq(version: &str) -> Signs {
        Signs {
            events: true,
            marked: true,
            counter: true,
            version: Some(version.into()),
            ..Signs::default()
        }
    }

    #[test]
    fn what_lies_in_the_store_outweighs_what_a_client_wrote() {
        let mut signs = bullmq("bullmq:6.7.0");
        assert_eq!(signs.decide().layout, Layout::BullMq6);
        signs.paused = true;
        signs.set_aside = 3;
        let family = signs.decide();
        assert_eq!(
            (family.layout, family.evidence),
            (Layout::BullMq5, Evidence::PausedByRename),
            "a board that opened the queue with version 6 does not make it one"
        );
        signs.list_markers = true;
        assert_eq!(signs.decide().layout, Layout::BullMq4);
        signs.priority_set = true;
        assert_eq!(signs.decide().layout, Layout::BullMq3);
    }

    #[test]
    fn a_marker_is_told_from_a_job_whose_id_looks_like_one() {
        assert!(is_marker("0:0") && is_marker("0:1795254285345") && is_marker("0:1795254285345.5"));
        assert!(!is_marker("0:7") && !is_marker("0:eu") && !is_marker("10:0") && !is_marker("0"));
    }

    #[test]
    fn a_queue_without_events_is_bulls() {
        let bull = Signs {
            counter: true,
            ..Signs::default()
        };
        assert_eq!(bull.decide().layout, Layout::Bull4);
        let flow_only = Signs {
            events: true,
            ..Signs::default()
        };
        assert_eq!(flow_only.decide(), UNDECIDED, "a flow's queue may have no meta at all");
    }

    #[test]
    fn a_version_does_not_tell_where_both_have_opened_the_queue() {
        let layouts = Layouts::default();
        assert!(!layouts.opened_by_both("bull:q", &[Some("bullmq:5.81.5")]));
        assert!(!layouts.opened_by_both("bull:other", &[Some("bullmq:6.7.0"), Some("bullmq:4.18.3")]));
        assert!(layouts.opened_by_both("bull:q", &[Some("bullmq:6.7.0")]));
        let mut signs = bullmq("bullmq:6.7.0");
        signs.both = true;
        let family = signs.decide();
        assert_eq!(
            (family.layout, family.evidence),
            (Layout::BullMq5Or6, Evidence::BothVersions)
        );
        // What lies in the store still does.
        (signs.paused, signs.waiting) = (true, 2);
        assert_eq!(signs.decide().layout, Layout::BullMq6);
    }

    #[test]
    fn versions_of_other_languages_are_read_for_what_they_are() {
        assert_eq!(bullmq("bullmq:1.1.0").decide().layout, Layout::BullMq6);
        assert_eq!(bullmq("bullmq:5.65.1").decide(), UNDECIDED);
        assert_eq!(bullmq("bullmq-official:0.1.0").decide(), UNDECIDED);
        assert_eq!(bullmq("nonsense").decide(), UNDECIDED);
        assert_eq!(bullmq("bullmq:4.18.3").decide().layout, Layout::BullMq4);
    }
}
