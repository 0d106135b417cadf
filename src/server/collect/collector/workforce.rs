//! The connections of the last reading, shared by all callers.
//!
//! The list of connections is read once every few seconds for the whole store. The board takes the
//! number of workers of each queue from it, and the page of workers takes the workers.

use super::super::adapters::{Share, Staff};
use super::Collector;
use crate::model::Millis;
use crate::server::adapter::{Connected, ConnectionRole, QueueId, Trouble};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// How far two readings may differ about when the same connection began: ages are whole seconds.
const SAME_MOMENT: Millis = 2_500;

/// Queues whose locks are read in one round trip.
const LOCKS: usize = 200;

/// The connections, as read last.
#[derive(Clone, Debug, Default)]
pub struct Workforce {
    /// When it was read; `None` before the first time.
    pub as_of: Option<Millis>,
    /// Why the workers of some queues, or of all, are not known.
    pub refused: Option<String>,
    /// These queues.
    pub unknown: Arc<HashSet<QueueId>>,
    /// The queues that were known then.
    pub read: Arc<HashSet<QueueId>>,
    /// All connections that name a queue.
    pub connected: Arc<[Connected]>,
    /// The queues without a worker: since when, and whether that was so from the first look on.
    pub deserted: HashMap<QueueId, (Millis, bool)>,
}

impl Workforce {
    /// Whether the workers of a queue are known. Where those of some are unknown, so are those of a queue that was
    /// found since.
    #[must_use]
    pub fn tells_of(&self, queue: &str) -> bool {
        self.as_of.is_some() && !self.unknown.contains(queue) && (self.refused.is_none() || self.read.contains(queue))
    }
}

impl Collector {
    /// The connections of the last reading.
    pub fn workforce(&self) -> Workforce {
        let state = self.state();
        let mut workforce = state.workforce.clone();
        workforce.deserted = state
            .tracks
            .iter()
            .filter_map(|(queue, track)| Some((queue.clone(), track.deserted()?)))
            .collect();
        workforce
    }

    pub(super) async fn read_workers(&self) -> Result<(), Trouble> {
        let known: HashSet<QueueId> = self.state().tracks.keys().cloned().collect();
        let Staff {
            mut connected,
            refused,
            unknown,
        } = {
            let _turn = self.source.rhythm().turn().await;
            self.adapters.workers(&known).await?
        };
        let at = self.now();
        let counts = count(&connected);
        let not_found: Vec<QueueId> = {
            let mut state = self.state();
            steady(&state.workforce.connected, &mut connected);
            for (queue, track) in &mut state.tracks {
                let workers = counts.get(queue).copied().unwrap_or(0);
                track.workers(at, (!unknown.contains(queue)).then_some(workers));
            }
            state.workforce.connected = connected.into();
            state.workforce.refused = refused;
            state.workforce.unknown = unknown.into();
            state.workforce.read = known.into();
            state.workforce.as_of = Some(at);
            let known = &state.tracks;
            counts
                .keys()
                .filter(|queue| !known.contains_key(*queue))
                .cloned()
                .collect()
        };
        if !not_found.is_empty() {
            // A worker is connected to a queue that no search has found yet.
            self.take_up_served(not_found, &counts).await;
        }
        self.look_at_locks(at).await
    }

    /// Looks for workers that are not in the list by the locks on the jobs that they hold.
    async fn look_at_locks(&self, at: Millis) -> Result<(), Trouble> {
        let wanted: Vec<QueueId> = {
            let state = self.state();
            let wanted = state.tracks.iter().filter(|(_, track)| track.wants_locks(at));
            wanted.map(|(queue, _)| queue.clone()).take(LOCKS).collect()
        };
        if wanted.is_empty() {
            return Ok(());
        }
        for Share { adapter, queues } in self.adapters.shares(&wanted) {
            let held = {
                let _turn = self.source.rhythm().turn().await;
                adapter.held(&queues).await?
            };
            let mut state = self.state();
            for (queue, _) in queues.iter().zip(held).filter(|(_, held)| *held) {
                if let Some(track) = state.tracks.get_mut(queue) {
                    track.locked(at);
                }
            }
        }
        Ok(())
    }

    async fn take_up_served(&self, queues: Vec<QueueId>, counts: &HashMap<QueueId, u32>) {
        let Ok(found) = self.adapters.recognise(&queues).await else {
            return;
        };
        self.take_up(&found).await;
        let at = self.now();
        let mut state = self.state();
        for queue in found {
            if let Some(track) = state.tracks.get_mut(&queue.id) {
                track.workers(at, Some(counts.get(&queue.id).copied().unwrap_or(0)));
            }
        }
    }
}

fn count(connected: &[Connected]) -> HashMap<QueueId, u32> {
    let mut counts = HashMap::new();
    for connection in connected
        .iter()
        .filter(|connection| connection.role == ConnectionRole::Worker)
    {
        *counts.entry(connection.queue.clone()).or_default() += 1;
    }
    counts
}

/// Keeps the moment a connection began as it was said first: ages come in whole seconds, and a moment
/// computed from them would swing.
fn steady(before: &[Connected], now: &mut [Connected]) {
    let known: HashMap<u64, Millis> = before.iter().map(|c| (c.worker.id, c.worker.since)).collect();
    for connection in now {
        if let Some(since) = known.get(&connection.worker.id)
            && (since - connection.worker.since).abs() <= SAME_MOMENT
        {
            connection.worker.since = *since;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::worker::Worker;

    fn connection(id: u64, since: Millis) -> Connected {
        Connected {
            queue: "bull:mail".into(),
            role: ConnectionRole::Worker,
            worker: Worker {
                id,
                name: None,
                address: String::new(),
                since,
                idle_s: 0,
                generation: None,
                client: None,
            },
        }
    }

    #[test]
    fn the_moment_a_worker_connected_stands_still() {
        let mut now = [connection(1, 10_900), connection(2, 90_000)];
        steady(&[connection(1, 10_000), connection(2, 10_000)], &mut now);
        assert_eq!(now[0].worker.since, 10_000);
        assert_eq!(
            now[1].worker.since, 90_000,
            "the store was restarted: another connection"
        );
    }
}
