//! The newest part of the audit log, and the idempotency keys of the last day.

use super::record::{Key, Phase, Record};
use super::{AuditFilter, Claim};
use crate::model::Millis;
use crate::model::audit::{AuditEntry, Became};
use crate::model::queue::QueueRef;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

/// Entries that are kept in memory.
pub(super) const ENTRIES: usize = 5_000;

/// How long a key is kept after its use.
pub(super) const KEY_KEEP: Millis = 24 * 3_600_000;

/// Keys that are kept; the oldest are removed first.
const KEYS: usize = 20_000;

#[derive(Clone, Debug)]
struct Entry {
    record: Arc<Record>,
    became: Became,
}

#[derive(Debug)]
struct Used {
    digest: String,
    at: Millis,
    /// `None` until the intent is on the disk.
    entry: Option<Entry>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// By the moment they were asked for, the oldest first.
    entries: VecDeque<Entry>,
    /// Live replicas that write to the same audit log, this one included.
    alive: HashSet<String>,
    keys: HashMap<String, Used>,
    /// The keys in the order of their first use; some are gone already.
    order: VecDeque<(Millis, String)>,
}

impl Index {
    /// Adds a line that was read from the file. An intent without a result will not get one any more.
    pub(super) fn read(&mut self, record: Record) {
        match record.phase {
            Phase::Intent => {
                let (id, key) = (record.id.clone(), record.idempotency.clone());
                self.intend(&Arc::new(record));
                self.note(&id, key.as_ref(), &Became::Lost);
            }
            Phase::Result => {
                let became = record.became();
                self.note(&record.id, record.idempotency.as_ref(), &became);
            }
        }
    }

    /// Adds a line that another replica wrote, or that this one wrote and knows already.
    pub(super) fn share(&mut self, record: Record) {
        if record.phase == Phase::Result {
            let became = record.became();
            return self.note(&record.id, record.idempotency.as_ref(), &became);
        }
        let record = Arc::new(record);
        let place = self.place(&record);
        let same_moment = self
            .entries
            .range(..place)
            .rev()
            .take_while(|entry| entry.record.at == record.at);
        let known = same_moment.zip(1..).find(|(entry, _)| entry.record.id == record.id);
        match known.map(|(_, back)| place - back) {
            Some(known) => self.entries[known].record = record,
            None => self.intend(&record),
        }
    }

    /// Sets the live replicas; no result will come from any other.
    pub(super) fn alive(&mut self, alive: HashSet<String>) {
        self.alive = alive;
    }

    /// The index behind all entries up to that moment; entries of one moment are grouped by replica, so that all
    /// replicas show the same order.
    fn place(&self, record: &Record) -> usize {
        let order = |of: &Record| (of.at, of.replica.clone());
        let own = order(record);
        let later = self.entries.iter().rev().take_while(|entry| order(&entry.record) > own);
        self.entries.len() - later.count()
    }

    fn became(&self, entry: &Entry) -> Became {
        match (&entry.became, &entry.record.replica) {
            (Became::Asked, Some(replica)) if !self.alive.contains(replica) => Became::Lost,
            (became, _) => became.clone(),
        }
    }

    pub(super) fn intend(&mut self, record: &Arc<Record>) {
        let entry = Entry {
            record: record.clone(),
            became: Became::Asked,
        };
        if let Some(key) = &record.idempotency {
            self.remember(key, record.at);
            if let Some(used) = self.keys.get_mut(&key.key) {
                used.digest.clone_from(&key.digest);
                used.entry = Some(entry.clone());
            }
        }
        let place = self.place(record);
        self.entries.insert(place, entry);
        if self.entries.len() > ENTRIES {
            self.entries.pop_front();
        }
    }

    pub(super) fn conclude(&mut self, id: &str, became: &Became) {
        let found = self.entries.iter().rev().find(|entry| entry.record.id == id);
        let key = found.and_then(|entry| entry.record.idempotency.clone());
        self.note(id, key.as_ref(), became);
    }

    fn note(&mut self, id: &str, key: Option<&Key>, became: &Became) {
        if let Some(entry) = self.entries.iter_mut().rev().find(|entry| entry.record.id == id) {
            entry.became = became.clone();
        }
        let Some(key) = key else { return };
        // Nothing was done: the same may be asked again.
        if matches!(became, Became::NotSent(_)) {
            self.keys.remove(&key.key);
        } else if let Some(entry) = self.keys.get_mut(&key.key).and_then(|used| used.entry.as_mut())
            && entry.record.id == id
        {
            entry.became = became.clone();
        }
    }

    fn remember(&mut self, key: &Key, at: Millis) {
        while let Some((then, oldest)) = self.order.front() {
            if self.order.len() < KEYS && at - then < KEY_KEEP {
                break;
            }
            if self.keys.get(oldest).is_some_and(|used| used.at == *then) {
                self.keys.remove(oldest);
            }
            self.order.pop_front();
        }
        if !self.keys.contains_key(&key.key) {
            self.order.push_back((at, key.key.clone()));
            let used = Used {
                digest: key.digest.clone(),
                at,
                entry: None,
            };
            self.keys.insert(key.key.clone(), used);
        }
    }

    pub(super) fn claim(&mut self, key: &Key, now: Millis) -> Claim {
        match self.keys.get(&key.key).filter(|used| now - used.at < KEY_KEEP) {
            Some(used) if used.digest != key.digest => Claim::Other,
            Some(Used { entry: Some(entry), .. }) if self.became(entry) != Became::Asked => {
                Claim::Again(entry.record.clone(), self.became(entry))
            }
            Some(_) => Claim::Running,
            None => {
                self.keys.remove(&key.key);
                self.remember(key, now);
                Claim::New
            }
        }
    }

    pub(super) fn release(&mut self, key: &Key) {
        // A key of another replica's action stays.
        if self.keys.get(&key.key).is_some_and(|used| used.entry.is_none()) {
            self.keys.remove(&key.key);
        }
    }

    pub(super) fn page(
        &self,
        filter: &AuditFilter,
        cursor: Option<&str>,
        limit: usize,
        reads: &dyn Fn(&QueueRef) -> bool,
    ) -> Option<(Vec<AuditEntry>, Option<String>)> {
        let end = match cursor {
            None => self.entries.len(),
            Some(id) => {
                let own = |entry: &Entry| entry.record.id == id && reads(&entry.record.queue);
                self.entries.iter().rposition(own)?
            }
        };
        let wanted = |entry: &&Entry| {
            let record = &entry.record;
            reads(&record.queue)
                && filter.queue.as_ref().is_none_or(|queue| record.queue == *queue)
                && filter.job.as_ref().is_none_or(|job| record.job.as_ref() == Some(job))
        };
        let mut found: Vec<&Entry> = self.entries.range(..end).rev().filter(wanted).take(limit + 1).collect();
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| more).map(|entry| entry.record.id.clone());
        let items = found
            .into_iter()
            .map(|entry| entry.record.entry(&self.became(entry)))
            .collect();
        Some((items, next))
    }

    pub(super) fn entry(&self, id: &str) -> Option<AuditEntry> {
        self.find(|record, _| record.id == id)
    }

    /// The newest that fits.
    pub(super) fn find(&self, fits: impl Fn(&Record, &Became) -> bool) -> Option<AuditEntry> {
        let fits = |entry: &&Entry| fits(&entry.record, &entry.became);
        let entry = self.entries.iter().rev().find(fits)?;
        Some(entry.record.entry(&self.became(entry)))
    }
}
