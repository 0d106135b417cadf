//! What happens in queues, as an adapter tells it.

use super::QueueId;
use crate::model::Millis;
use crate::model::job::Progress;
use crate::model::state::JobState;
use std::panic::resume_unwind;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// What happened to a queue, in the order of the store.
#[derive(Clone, Debug)]
pub struct Change {
    /// The queue.
    pub queue: QueueId,
    /// What its stream said; empty when the stream was found to have skipped something.
    pub events: Vec<JobEvent>,
    /// Whether events were lost before these ones: rates are then unknown for a while.
    pub gap: bool,
    /// Whether the moments of these are by our clock, because the store tells none.
    pub own_clock: bool,
}

/// Changes as they arrive, with the tasks that read them, which end with it.
#[derive(Debug)]
pub struct Changes {
    arriving: mpsc::Receiver<Vec<Change>>,
    readers: JoinSet<()>,
}

impl Changes {
    /// Changes that these tasks send.
    #[must_use]
    pub const fn new(arriving: mpsc::Receiver<Vec<Change>>, readers: JoinSet<()>) -> Self {
        Self { arriving, readers }
    }

    /// Those of a store that tells of none: what changes is found by counting.
    #[must_use]
    pub fn none() -> Self {
        let (sender, arriving) = mpsc::channel(1);
        let mut readers = JoinSet::new();
        readers.spawn(async move { sender.closed().await });
        Self { arriving, readers }
    }

    /// Merges these into one, which ends when one of them does. Their tasks end with it.
    #[must_use]
    pub fn together(mut all: Vec<Self>) -> Self {
        if all.len() == 1
            && let Some(only) = all.pop()
        {
            return only;
        }
        let (sender, arriving) = mpsc::channel(1);
        let mut readers = JoinSet::new();
        for mut changes in all {
            let sender = sender.clone();
            readers.spawn(async move {
                while let Some(batch) = changes.next().await {
                    if sender.send(batch).await.is_err() {
                        break;
                    }
                }
            });
        }
        Self { arriving, readers }
    }

    /// Everything that has arrived; `None` when a reader has ended, so that not all changes are read any more.
    ///
    /// # Panics
    ///
    /// When a reader did.
    pub async fn next(&mut self) -> Option<Vec<Change>> {
        let mut batch = tokio::select! {
            biased;
            Some(ended) = self.readers.join_next() => {
                if let Err(error) = ended && let Ok(panic) = error.try_into_panic() {
                    resume_unwind(panic);
                }
                return None;
            }
            batch = self.arriving.recv() => batch?,
        };
        while let Ok(more) = self.arriving.try_recv() {
            batch.extend(more);
        }
        Some(batch)
    }
}

/// One event of a queue.
#[derive(Clone, Debug, PartialEq)]
pub struct JobEvent {
    /// When, by the store's clock or, see [`Change::own_clock`], by ours.
    pub at: Millis,
    /// The job; empty for events about the whole queue.
    pub job: String,
    /// What happened.
    pub what: What,
}

/// The kinds of event.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// A job was created, with its name.
    Added(String),
    /// It is in this state now.
    Entered(JobState),
    /// It failed for good, with the first line of the error.
    Failed(String),
    /// It says how far it is.
    Progress(Option<Progress>),
    /// It was removed.
    Removed,
    /// Its worker was lost.
    Stalled,
    /// Nothing waits any more.
    Drained,
    /// The queue was paused or resumed, cleaned, or something this version does not know.
    Queue,
}
