//! A follower of the board: what it has reached of each topic, and what is new since.

use super::{Board, Position};
use crate::model::event::Topic;
use crate::server::wire::Part;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

#[derive(Debug)]
pub(super) struct Followed {
    pub(super) topic: Topic,
    pub(super) wake: watch::Receiver<u64>,
    /// The number this follower has reached; `None` if it needs a snapshot.
    pub(super) at: Option<u64>,
}

/// A follower of some topics.
#[derive(Debug)]
pub struct Subscription {
    pub(super) board: Arc<Board>,
    pub(super) followed: Vec<Followed>,
}

impl Subscription {
    /// Everything new since the last call, as parts ready to be sent; empty if nothing is.
    pub fn take(&mut self) -> Vec<Arc<Part>> {
        let mut guard = self.board.inner();
        let inner = &mut *guard;
        let seq = inner.seq;
        let mut snapshots = Vec::new();
        let mut deltas: Vec<(u64, Arc<Part>)> = Vec::new();
        for followed in &mut self.followed {
            followed.wake.mark_unchanged();
            let reached = match (inner.topics.get(&followed.topic), followed.at) {
                (Some(state), Some(at)) if at >= state.forgotten => Some((state, at)),
                _ => None,
            };
            match reached {
                Some((state, at)) => {
                    let first = state.ring.partition_point(|(seq, _)| *seq <= at);
                    deltas.extend(state.ring.range(first..).cloned());
                }
                None => snapshots.push(inner.snapshot(&followed.topic, self.board.epoch)),
            }
            followed.at = Some(seq);
        }
        drop(guard);
        deltas.sort_unstable_by_key(|(seq, _)| *seq);
        let arrived = (!snapshots.is_empty()).then(|| {
            let position = Position {
                epoch: self.board.epoch,
                seq,
            };
            Arc::new(Part::new(format!("id: {position}\n\n")))
        });
        snapshots
            .into_iter()
            .chain(deltas.into_iter().map(|(_, part)| part))
            .chain(arrived)
            .collect()
    }

    /// Waits until there may be something to take.
    pub async fn changed(&mut self) {
        let waits = self
            .followed
            .iter_mut()
            .map(|followed| Box::pin(followed.wake.changed()));
        let (result, ..) = futures::future::select_all(waits).await;
        if result.is_err() {
            // The topic was forgotten, which happens only to topics without followers; start over
            // with a snapshot rather than spin.
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}
