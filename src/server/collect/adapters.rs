//! The adapters of one store, and which of them each of its queues belongs to.
//!
//! BullMQ and another system can live in one Redis. Each adapter searches for the queues of its own system, and a queue
//! belongs to the adapter that found or recognised it: no queue is taken for one of a system by default.

use crate::model::capability::Capabilities;
use crate::model::system::Family;
use crate::server::adapter::{Adapter, Changes, Connected, Connections, FoundQueue, QueueId, Search, Trouble};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// See the module.
#[derive(Debug)]
pub struct Adapters {
    all: Vec<Arc<dyn Adapter>>,
    owners: Mutex<Owners>,
}

#[derive(Debug, Default)]
struct Owners {
    /// The place in `all` of each queue's adapter.
    of: HashMap<QueueId, usize>,
    /// Those that were followed last. A queue that was found and is not followed yet keeps its owner.
    followed: HashSet<QueueId>,
}

/// The connections, of all systems.
#[derive(Clone, Debug, Default)]
pub struct Staff {
    /// All connections that name a queue.
    pub connected: Vec<Connected>,
    /// Why the workers of some queues are not known.
    pub refused: Option<String>,
    /// These queues.
    pub unknown: HashSet<QueueId>,
}

/// Queues of one adapter.
#[derive(Clone, Debug)]
pub struct Share {
    /// The adapter.
    pub adapter: Arc<dyn Adapter>,
    /// Its queues, in the order in which they were given.
    pub queues: Vec<QueueId>,
}

impl Adapters {
    /// These adapters, the first asked first.
    #[must_use]
    pub fn new(all: Vec<Arc<dyn Adapter>>) -> Self {
        Self {
            all,
            owners: Mutex::default(),
        }
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> &[Arc<dyn Adapter>] {
        &self.all
    }

    /// What queues of this generation can do; `None` if it is a generation of none of these systems.
    #[must_use]
    pub fn capabilities(&self, family: &Family) -> Option<&'static Capabilities> {
        self.all.iter().find_map(|adapter| adapter.capabilities(family))
    }

    /// The adapter of a queue that is on the board. A store with one adapter needs no search to know it.
    #[must_use]
    pub fn of(&self, queue: &str) -> Option<Arc<dyn Adapter>> {
        let owner = match &*self.all {
            [_] => 0,
            _ => *self.owners().of.get(queue)?,
        };
        self.all.get(owner).cloned()
    }

    /// The adapter of any queue, for operations that outlive the board: asks the store about a queue that is not known.
    ///
    /// # Errors
    ///
    /// When the store does not answer.
    pub async fn whose(&self, queue: &QueueId) -> Result<Option<Arc<dyn Adapter>>, Trouble> {
        if let Some(known) = self.of(queue) {
            return Ok(Some(known));
        }
        self.recognise(std::slice::from_ref(queue)).await?;
        Ok(self.of(queue))
    }

    /// Each adapter with its own of these queues; none without one. A queue of none is left out.
    #[must_use]
    pub fn shares(&self, queues: &[QueueId]) -> Vec<Share> {
        if let [only] = &*self.all {
            let only = Share {
                adapter: only.clone(),
                queues: queues.to_vec(),
            };
            return if queues.is_empty() { vec![] } else { vec![only] };
        }
        let owners = self.owners();
        let shares = self.all.iter().enumerate().map(|(of, adapter)| {
            let own = queues.iter().filter(|queue| owners.of.get(*queue) == Some(&of));
            Share {
                adapter: adapter.clone(),
                queues: own.cloned().collect(),
            }
        });
        shares.filter(|share| !share.queues.is_empty()).collect()
    }

    /// Finds queues of every system: see [`Adapter::discover`].
    ///
    /// # Errors
    ///
    /// When the store does not answer one of the adapters.
    pub async fn discover(&self, known: &HashSet<QueueId>) -> Result<Search, Trouble> {
        let mut all = Search::default();
        for (of, adapter) in self.all.iter().enumerate() {
            let search = adapter.discover(&self.own(of, known)).await?;
            all.found.extend(self.claim(of, search.found));
            all.missing.extend(search.missing);
        }
        Ok(all)
    }

    /// Of these ids, the ones that are queues: see [`Adapter::recognise`].
    ///
    /// # Errors
    ///
    /// When the store does not answer one of the adapters.
    pub async fn recognise(&self, queues: &[QueueId]) -> Result<Vec<FoundQueue>, Trouble> {
        let mut all: Vec<FoundQueue> = vec![];
        for (of, adapter) in self.all.iter().enumerate() {
            let open: Vec<QueueId> = queues
                .iter()
                .filter(|queue| all.iter().all(|found| found.id != **queue))
                .cloned()
                .collect();
            if open.is_empty() {
                break;
            }
            all.extend(self.claim(of, adapter.recognise(&open).await?));
        }
        Ok(all)
    }

    /// The connections to the queues of every system: see [`Adapter::workers`].
    ///
    /// # Errors
    ///
    /// When the store does not answer one of the adapters.
    pub async fn workers(&self, known: &HashSet<QueueId>) -> Result<Staff, Trouble> {
        let mut staff = Staff::default();
        // Each system has its own, and several may be refused for the same one.
        let mut refused = BTreeSet::new();
        for (of, adapter) in self.all.iter().enumerate() {
            let own = self.own(of, known);
            match adapter.workers(&own).await? {
                Connections::Known(connected) => staff.connected.extend(connected),
                Connections::Refused(why) => {
                    staff.unknown.extend(own);
                    refused.insert(why);
                }
                Connections::Unknown(queues, why) => {
                    staff.unknown.extend(queues);
                    refused.insert(why);
                }
            }
        }
        if !refused.is_empty() {
            staff.refused = Some(Vec::from_iter(refused).join(" "));
        }
        Ok(staff)
    }

    /// Has each adapter follow its own of exactly these queues.
    pub fn follow(&self, queues: &[QueueId]) {
        let next: HashSet<QueueId> = queues.iter().cloned().collect();
        {
            let mut owners = self.owners();
            let before = std::mem::replace(&mut owners.followed, next);
            let Owners { of, followed } = &mut *owners;
            of.retain(|queue, _| followed.contains(queue) || !before.contains(queue));
        }
        for (of, adapter) in self.all.iter().enumerate() {
            let own = queues.iter().filter(|queue| self.is_of(of, queue));
            adapter.follow(&own.cloned().collect::<Vec<_>>());
        }
    }

    /// The changes of every system, which end when those of one do.
    #[must_use]
    pub fn changes(&self) -> Changes {
        Changes::together(self.all.iter().map(|adapter| adapter.changes()).collect())
    }

    /// What an adapter found and no other one has found before.
    fn claim(&self, of: usize, found: Vec<FoundQueue>) -> Vec<FoundQueue> {
        if self.all.len() == 1 {
            return found;
        }
        let mut owners = self.owners();
        let own = |queue: &FoundQueue| *owners.of.entry(queue.id.clone()).or_insert(of) == of;
        found.into_iter().filter(own).collect()
    }

    fn own(&self, of: usize, queues: &HashSet<QueueId>) -> HashSet<QueueId> {
        let own = queues.iter().filter(|queue| self.is_of(of, queue));
        own.cloned().collect()
    }

    fn is_of(&self, of: usize, queue: &QueueId) -> bool {
        self.all.len() == 1 || self.owners().of.get(queue) == Some(&of)
    }

    fn owners(&self) -> MutexGuard<'_, Owners> {
        self.owners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
