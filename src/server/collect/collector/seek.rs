//! Finding queues by searching.

use super::{Collector, Track};
use crate::model::store::StoreSummary;
use crate::server::adapter::{FoundQueue, QueueId};
use crate::server::collect::board::Update;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::{sleep, timeout};

/// The shortest time between two searches of the key space.
const SEARCH_EVERY: Duration = Duration::from_secs(5);

/// A search may take a twentieth of the time: one that takes a minute runs every 20 minutes.
const SEARCH_SHARE: u32 = 20;

/// The longest a first search waits for the server's own report.
const REPORT_MAX: Duration = Duration::from_secs(2);

impl Collector {
    /// Searches the key space again and again, and takes up what is new.
    pub(super) async fn seek(self: Arc<Self>) {
        let mut health = self.source.health();
        // Whether jobs can be acted on is known once the server's own report is in.
        let mut shown = self.shown.subscribe();
        let _ = timeout(REPORT_MAX, shown.wait_for(|shown| *shown)).await;
        while health.wait_for(Result::is_ok).await.is_ok() {
            let began = Instant::now();
            let known = self.state().tracks.keys().cloned().collect();
            match self.adapters.discover(&known).await {
                Ok(search) => {
                    for queue in &search.missing {
                        if let Some(track) = self.state().tracks.get_mut(queue) {
                            track.doubt();
                        }
                    }
                    self.take_up(&search.found).await;
                    self.searched();
                }
                Err(trouble) => tracing::debug!(store.id = %self.store, %trouble, "search for queues ended early"),
            }
            let pause = SEARCH_EVERY.max(began.elapsed() * SEARCH_SHARE);
            sleep(pause).await;
            // Three times as long while unwatched; a viewer who comes has it done at once.
            let _ = timeout(pause * 2, self.board.watched()).await;
        }
    }

    /// Publishes that the search is complete: from now on a queue that is not found counts as gone. Publishes every
    /// known queue with it, because one that workers named may still be being counted.
    fn searched(&self) {
        let mut state = self.state();
        if !std::mem::replace(&mut state.summary.searched, true)
            && let Some(known) = self.board.store(&self.store)
        {
            state.count_queues();
            self.board.publish(Update {
                queues: state.tracks.values().map(|track| track.line.clone()).collect(),
                store: Some(StoreSummary {
                    searched: true,
                    queues: state.summary.queues,
                    ..known
                }),
                ..Update::default()
            });
        }
    }

    /// Begins to follow queues that are not followed yet.
    pub(super) async fn take_up(&self, found: &[FoundQueue]) {
        let at = self.now();
        let new: Vec<QueueId> = {
            let mut state = self.state();
            let new: Vec<&FoundQueue> = found
                .iter()
                .filter(|queue| !state.tracks.contains_key(&queue.id))
                .collect();
            for queue in &new {
                let track = Track::new(&self.store, queue, at);
                state.tracks.insert(queue.id.clone(), track);
            }
            new.into_iter().map(|queue| queue.id.clone()).collect()
        };
        if new.is_empty() {
            return;
        }
        tracing::info!(store.id = %self.store, queues = new.len(), "new queues on the board");
        self.follow();
        self.count_and_publish(&new, vec![]).await;
    }

    /// Tells the adapters which queues to follow.
    pub(super) fn follow(&self) {
        let mut state = self.state();
        let queues: Vec<QueueId> = state.tracks.keys().cloned().collect();
        state.count_queues();
        state.relabel();
        // Under the lock, so that the adapters hear of the queues in the order in which they changed.
        self.adapters.follow(&queues);
    }
}
