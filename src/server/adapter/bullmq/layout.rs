//! Which library, and which generation of it, a queue's keys belong to.
//!
//! `meta.version` says who *looked* last, not who works: every client that opens a queue overwrites
//! it, and ports in other languages write numbers of their own. So what lies in the store decides first,
//! in this order:
//!
//! 1. groups of jobs, or a version of BullMQ Pro: BullMQ Pro, which is not supported
//! 2. without a sign of BullMQ (settings, version or events of its own): all jobs in one hash, Bee-Queue, which is not
//!    supported; a counter or a pause as Bull writes them, Bull 4; anything else is not known
//! 3. a set called `priority`: BullMQ 3
//! 4. markers (`0:…`) in the waiting list: BullMQ 4
//! 5. workers that block on `BRPOPLPUSH` or `BLMOVE` (3 and 4) or `BZPOPMIN` (5 and 6)
//! 6. paused with the waiting jobs renamed to `paused` (up to 5), or left in `wait` (6)
//! 7. the version, where it is a plausible one; of 5 and 6 both, where both were seen within a day
//!
//! A wrong guess between 5 and 6 changes nothing that is read. It matters to actions. The guard of every action decides
//! once more in the same order (`act/lua/guard.lua`). What decides is in [`signs`].

use super::super::QueueId;
use super::super::Trouble;
use super::super::redis::link::Link;
use super::family::{Family, Layout};
use signs::{Signs, major};
use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

pub(super) mod signs;

pub use signs::is_marker;

/// Evidence is read again this often: libraries are upgraded while the board watches. Sooner when a count shows another
/// version or another state of the pause.
const KEEP: Duration = Duration::from_secs(900);

/// How long a version that was seen counts against another one: the client that wrote it may still be at work.
const BOTH: Duration = Duration::from_secs(24 * 3600);

/// Queues asked about in one pipeline.
const BATCH: usize = 100;

/// What [`Layouts`] remembers of a queue.
#[derive(Clone, Debug)]
struct Known {
    family: Family,
    at: Instant,
    version: Option<String>,
    paused: bool,
}

impl Known {
    fn by(signs: &Signs) -> Self {
        Self {
            family: signs.decide(),
            at: Instant::now(),
            version: signs.version.clone(),
            paused: signs.paused,
        }
    }
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
    /// Queues that a version has opened which takes no colon in a name.
    plain: Mutex<HashSet<QueueId>>,
    /// When `blocking` was read.
    noted: Mutex<Option<Instant>>,
}

/// A queue as it was read just now, for a caller that is about to change it.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// Which generation laid out its keys.
    pub family: Family,
    /// Whether it is paused.
    pub paused: bool,
    /// The command on which its workers block, as far as that is known.
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

    /// Notes the command on which the workers of each queue block, from the list of clients.
    pub fn note_blocking(&self, blocking: HashMap<QueueId, Blocking>) {
        *self.blocking.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = blocking;
        *self.noted.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(Instant::now());
    }

    /// Whether the commands on which workers block were noted at most this long ago.
    pub fn knows_blocking(&self, within: Duration) -> bool {
        let noted = *self.noted.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        noted.is_some_and(|at| at.elapsed() <= within)
    }

    /// Notes the version that a client has written; returns whether both 5 and 6 were noted within a day.
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

    /// Asks the store about these queues, whatever is remembered of them.
    async fn examine(&self, link: &Link, queues: &[QueueId]) -> Result<Vec<Signs>, Trouble> {
        let mut all = signs::read(link, queues).await?;
        let blocking = self.blocking.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        for (queue, signs) in queues.iter().zip(&mut all) {
            signs.blocking = blocking.get(queue).copied();
        }
        drop(blocking);
        for (queue, signs) in queues.iter().zip(&mut all) {
            signs.both = self.opened_by_both(queue, &[signs.version.as_deref()]);
        }
        let mut plain = self.plain.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let of_late = |signs: &Signs| major(signs.version.as_deref()).is_some_and(|major| major >= 5);
        let found = queues.iter().zip(&all).filter(|(_, signs)| of_late(signs));
        plain.extend(found.map(|(queue, _)| queue.clone()));
        drop(plain);
        Ok(all)
    }

    /// Looks at one queue now, whatever is remembered of it.
    pub async fn look(&self, link: &Link, queue: &QueueId) -> Result<Look, Trouble> {
        let signs = self.examine(link, std::slice::from_ref(queue)).await?;
        let signs = signs.into_iter().next().unwrap_or_default();
        let family = signs.decide();
        Ok(Look {
            family,
            paused: if family.layout == Layout::Bull4 {
                signs.meta_paused
            } else {
                signs.paused
            },
            blocking: signs.blocking,
            exists: signs.exists(),
            both: signs.both,
        })
    }

    /// Of these, the ones that are queues, beyond what a job or another application could have left.
    pub async fn recognise(&self, link: &Link, candidates: &[QueueId]) -> Result<Vec<QueueId>, Trouble> {
        let mut real = Vec::new();
        for batch in candidates.chunks(BATCH) {
            let turn = link.rhythm().turn().await;
            let signs = self.examine(link, batch).await?;
            drop(turn);
            for (queue, signs) in batch.iter().zip(&signs).filter(|(_, signs)| signs.are_of_a_queue()) {
                self.known().insert(queue.clone(), Known::by(signs));
                real.push(queue.clone());
            }
        }
        Ok(real)
    }

    /// The family of a queue, if it has been looked for.
    pub fn get(&self, queue: &str) -> Option<Family> {
        self.known().get(queue).map(|known| known.family)
    }

    /// The queues that have been looked for.
    pub fn queues(&self) -> HashSet<QueueId> {
        self.known().keys().cloned().collect()
    }

    /// Whether this queue is one of Bull 4.
    pub fn is_bull(&self, queue: &str) -> bool {
        self.get(queue).is_some_and(|family| family.layout == Layout::Bull4)
    }

    /// Whether its library takes no colon in a queue's name, as BullMQ since 5.12.
    pub fn forbids_colons(&self, queue: &str) -> bool {
        let plain = self.plain.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        plain.contains(queue)
    }

    /// Has a queue looked at again, the next time, because something suggests another layout.
    pub fn doubt(&self, queue: &str) {
        self.known().remove(queue);
    }

    /// Has a queue looked at again, the next time, if its count shows another version or pause than before.
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
            let signs = self.examine(link, batch).await?;
            let signs = batch.iter().zip(&signs);
            self.known()
                .extend(signs.map(|(queue, signs)| (queue.clone(), Known::by(signs))));
        }
        let known = self.known();
        Ok(queues
            .iter()
            .map(|queue| known.get(queue).map_or(signs::UNRECOGNISED, |known| known.family))
            .collect())
    }

    /// Forgets queues that are no longer followed.
    pub fn keep_only(&self, queues: &[QueueId]) {
        let wanted: HashSet<&QueueId> = queues.iter().collect();
        self.known().retain(|queue, _| wanted.contains(queue));
        let mut opened = self.opened.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        opened.retain(|queue, _| wanted.contains(queue));
        let mut plain = self.plain.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        plain.retain(|queue| wanted.contains(queue));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_does_not_tell_where_both_have_opened_the_queue() {
        let layouts = Layouts::default();
        assert!(!layouts.opened_by_both("bull:q", &[Some("bullmq:5.81.5")]));
        assert!(!layouts.opened_by_both("bull:other", &[Some("bullmq:6.7.0"), Some("bullmq:4.18.3")]));
        assert!(layouts.opened_by_both("bull:q", &[Some("bullmq:6.7.0")]));
    }
}
