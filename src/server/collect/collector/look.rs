//! What the collector reads of each queue now and then, beside its counts.

use super::super::adapters::Share;
use super::super::track::Circumstances;
use super::Collector;
use crate::server::adapter::{QueueId, Trouble};

impl Collector {
    /// Reads since when the next jobs of each queue have been ready.
    pub(super) async fn look_at_next_jobs(&self, circumstances: Circumstances) -> Result<(), Trouble> {
        let at = self.now();
        let wanted: Vec<QueueId> = {
            let state = self.state();
            let wanted = state
                .tracks
                .iter()
                .filter(|(_, track)| track.wants_a_look(at, circumstances));
            wanted.map(|(queue, _)| queue.clone()).collect()
        };
        for Share { adapter, queues } in self.adapters.shares(&wanted) {
            let heads = {
                let heard = |queue: &QueueId, job: &str| self.ready_since(queue, job).is_some();
                let _turn = self.source.rhythm().turn().await;
                adapter.heads(&queues, &heard).await?
            };
            let mut state = self.state();
            let clocks = state.clocks();
            for (queue, heads) in queues.iter().zip(heads) {
                if let Some(track) = state.tracks.get_mut(queue) {
                    track.looked(at, clocks, heads);
                }
            }
        }
        Ok(())
    }

    /// Looks for parents that can never run, in one queue at a time: the one that was looked at longest ago.
    pub(super) async fn look_at_parents(&self) -> Result<(), Trouble> {
        let at = self.now();
        let (queue, known) = {
            let state = self.state();
            let due = state.tracks.iter().filter(|(_, track)| track.wants_parents(at));
            let Some((queue, _)) = due.min_by_key(|(_, track)| track.parents_looked()) else {
                return Ok(());
            };
            (queue.clone(), state.tracks.keys().cloned().collect::<Vec<_>>())
        };
        let adapter = self.adapters.of(&queue);
        let stuck = match adapter.as_ref().and_then(|adapter| adapter.flows()) {
            Some(flows) => flows.stuck(&queue, &known).await?,
            None => None,
        };
        if let Some(track) = self.state().tracks.get_mut(&queue) {
            track.parents(at, stuck);
        }
        Ok(())
    }

    /// Reads when the library removes the first job that waits in each queue.
    pub(super) async fn look_at_expiries(&self) -> Result<(), Trouble> {
        let at = self.now();
        let wanted: Vec<QueueId> = {
            let state = self.state();
            let wanted = state.tracks.iter().filter(|(_, track)| track.wants_its_expiry(at));
            wanted.map(|(queue, _)| queue.clone()).collect()
        };
        if wanted.is_empty() {
            return Ok(());
        }
        for Share { adapter, queues } in self.adapters.shares(&wanted) {
            let expiries = {
                let _turn = self.source.rhythm().turn().await;
                adapter.expiries(&queues).await?
            };
            let mut state = self.state();
            for (queue, expiry) in queues.iter().zip(expiries) {
                if let Some(track) = state.tracks.get_mut(queue) {
                    track.expires(at, expiry);
                }
            }
        }
        Ok(())
    }
}
