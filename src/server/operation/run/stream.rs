//! An operation that archives: its batches wait for two stores in turn, so a few of them are under way together.
//!
//! While one batch is being committed, the next is read, and what is durable is removed from its queue in the order of
//! the selection. A batch that does not fit in memory is taken in parts. Nothing is under way any more when the operation
//! pauses, ends, or waits for a store.

use super::{AGAIN_FIRST, AGAIN_MAX, AHEAD, Means, Run, Wanted};
use crate::model::action::Seen;
use crate::model::operation::OperationState;
use crate::model::store::Reach;
use crate::server::adapter::{Adapter, Trouble};
use crate::server::archive::flow::{Secured, UNCONFIGURED};
use crate::server::archive::{Archive, ArchivedQueue};
use crate::server::operation::pace::Pace;
use crate::server::redact::said;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// Batches under way together: what each holds in memory is bounded by `raw::BATCH_BYTES`.
const AT_ONCE: usize = 3;

/// Jobs of a batch at most.
const MOST: usize = 1_000;

/// A batch that is being read and written.
struct Batch {
    at: usize,
    end: usize,
    adapter: Arc<dyn Adapter>,
    place: ArchivedQueue,
    task: JoinHandle<Result<Secured, Trouble>>,
}

impl Drop for Batch {
    fn drop(&mut self) {
        // What it has committed stays, and the next attempt finds it there.
        self.task.abort();
    }
}

impl Run {
    pub(super) async fn archive_batches(&self, means: &Means<'_>) -> (OperationState, String) {
        let Some(archive) = means.archive else {
            return (OperationState::Stopped, UNCONFIGURED.into());
        };
        let mut pace = Pace::new(self.meta.bounds.rate);
        let mut under_way: VecDeque<Batch> = VecDeque::new();
        let mut fits = MOST;
        let mut again = AGAIN_FIRST;
        // From here on nothing has been begun; jobs before it may be left without a result by a store that went away.
        let mut next = 0;
        let mut marked = 0;
        loop {
            let working = *self.wanted.borrow() == Wanted::Work;
            if under_way.is_empty() {
                next = 0;
                if let Some(end) = self.wait_if_wanted().await {
                    return end;
                }
            }
            let mut hold = None;
            while (working || under_way.is_empty()) && under_way.len() < AT_ONCE && hold.is_none() {
                let at = self.next(next);
                let Some(item) = self.items.get(at) else { break };
                let found = self
                    .queue(item)
                    .and_then(|queue| Some((queue, means.stores.get(&queue.store)?)));
                let Some((queue, store)) = found else {
                    return (
                        OperationState::Stopped,
                        "A store of this operation is no longer in the configuration.".into(),
                    );
                };
                let actions = store.actions();
                if !actions.allowed {
                    let why = actions
                        .reason
                        .unwrap_or_else(|| "The store may not be changed now.".into());
                    hold = Some((AGAIN_FIRST, Some(format!("Waiting: {why}"))));
                    break;
                }
                let (size, pause) = pace.next(Instant::now());
                if !pause.is_zero() {
                    hold = Some((pause.min(Duration::from_millis(500)), None));
                    break;
                }
                let adapter = match store.adapters().whose(&queue.queue.as_str().into()).await {
                    Ok(Some(adapter)) => adapter,
                    Ok(None) => {
                        return (
                            OperationState::Stopped,
                            format!("The store no longer has a queue {queue}. Nothing more was archived."),
                        );
                    }
                    Err(trouble) => {
                        hold = Some((AGAIN_FIRST, Some(format!("Waiting: {}", trouble.cause))));
                        break;
                    }
                };
                let end = self.batch_end(at, size.min(fits), self.items.len());
                if end > marked {
                    marked = (end + AHEAD).min(self.items.len()).max(end);
                    self.marked.fetch_max(marked, Ordering::Relaxed);
                    if let Err(error) = self.write(format!("U {marked}\n"), true).await {
                        return (
                            OperationState::Stopped,
                            format!("Its progress cannot be saved: {error}. Nothing more was done."),
                        );
                    }
                }
                self.ours().await;
                pace.took(end - at, Duration::ZERO, Instant::now());
                let place = ArchivedQueue::of(means.board, queue);
                under_way.push_back(self.begin(archive, adapter, place, at, end));
                next = end;
            }
            let Some(mut batch) = under_way.pop_front() else {
                match hold {
                    None => return (OperationState::Done, String::new()),
                    Some((pause, note)) => {
                        if let Some(note) = note {
                            self.stand(OperationState::Running, note).await;
                        }
                        sleep(pause).await;
                        continue;
                    }
                }
            };
            let secured = match (&mut batch.task).await {
                Ok(secured) => secured,
                Err(error) => Err(Trouble::new(
                    Reach::Live,
                    format!("Drover itself failed: {}", said(&error.to_string())),
                )),
            };
            self.ours().await;
            let done = match secured {
                Ok(secured) => secured.remove(batch.adapter.as_ref()).await,
                Err(trouble) => Err(trouble),
            };
            match done {
                Err(trouble) => {
                    under_way.clear();
                    self.stand(OperationState::Running, format!("Waiting: {}", trouble.cause))
                        .await;
                    sleep(again).await;
                    again = (again * 2).min(AGAIN_MAX);
                }
                Ok((effects, bytes)) => {
                    self.removed.fetch_add(bytes, Ordering::Relaxed);
                    again = AGAIN_FIRST;
                    let lines = self.settle(batch.at, &effects);
                    if let Err(error) = self.write(lines, false).await {
                        return (
                            OperationState::Stopped,
                            format!("Its progress cannot be saved: {error}. Nothing more was done."),
                        );
                    }
                    self.stand(OperationState::Running, String::new()).await;
                    let rest = batch.at + effects.len();
                    if rest < batch.end {
                        fits = effects.len().max(1);
                        let place = batch.place.clone();
                        let left = self.begin(archive, batch.adapter.clone(), place, rest, batch.end);
                        under_way.push_front(left);
                    } else {
                        fits = (fits * 2).min(MOST);
                    }
                }
            }
        }
    }

    fn begin(
        &self,
        archive: &Arc<Archive>,
        adapter: Arc<dyn Adapter>,
        place: ArchivedQueue,
        at: usize,
        end: usize,
    ) -> Batch {
        let jobs: Vec<(String, Seen)> = self.items[at..end]
            .iter()
            .map(|item| (item.id.to_string(), item.seen.clone()))
            .collect();
        let (archive, of, to) = (archive.clone(), adapter.clone(), place.clone());
        let task = tokio::spawn(async move { archive.secure(of.as_ref(), &to, &jobs).await });
        Batch {
            at,
            end,
            adapter,
            place,
            task,
        }
    }
}
