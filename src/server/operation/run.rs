//! One operation under way: batch by batch, each on disk before and after.

use super::Control;
use super::canary::Canary;
use super::journal::{Home, Log, Meta, Past};
use super::pace::Pace;
use super::select::Item;
use crate::model::Millis;
use crate::model::action::{Effect, JobAction, Seen};
use crate::model::operation::{Operation, OperationState, Totals};
use crate::model::queue::QueueRef;
use crate::server::adapter::{QueueId, Trouble, unsupported};
use crate::server::archive::Archive;
use crate::server::collect::board::Board;
use crate::server::collect::collector::Collector;
use progress::{Progress, add};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap};
use std::io;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

mod elsewhere;
mod progress;
mod stream;

/// Jobs that are marked as possibly under way at a time: one write that waits for the disk for each.
const AHEAD: usize = 4_096;

/// A batch that a store does not take is tried again after this, then after twice as long each time.
const AGAIN_FIRST: Duration = Duration::from_secs(1);

/// The longest of these pauses.
const AGAIN_MAX: Duration = Duration::from_secs(30);

/// A control request waits this long at most until the operation has applied it.
const CONTROL_WAIT: Duration = Duration::from_secs(2);

/// A state with its note and times.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationStatus {
    /// The state.
    pub state: OperationState,
    /// A sentence, or nothing.
    pub note: String,
    /// When it began.
    #[serde(default)]
    pub started: Option<Millis>,
    /// When it ended.
    #[serde(default)]
    pub ended: Option<Millis>,
}

/// What an operation works with.
#[derive(Clone, Copy, Debug)]
pub struct Means<'a> {
    /// The stores by their ids.
    pub stores: &'a HashMap<String, Arc<Collector>>,
    /// Where jobs are archived.
    pub archive: Option<&'a Arc<Archive>>,
    /// What is known of the queues.
    pub board: &'a Board,
}

/// What the last control request wants of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Work,
    Pause,
    Cancel,
}

/// See the module.
#[derive(Debug)]
pub struct Run {
    meta: Meta,
    items: Vec<Item>,
    /// Jobs before this one may have been acted on by a process, or an attempt of this one, that failed.
    uncertain: AtomicUsize,
    /// Jobs before this one are on disk as perhaps under way.
    marked: AtomicUsize,
    home: Home,
    log: Option<Log>,
    /// Its state as reported by the replica that runs it, if that is another one.
    elsewhere: Mutex<Option<Operation>>,
    /// The number of control requests that this replica has noted.
    asked: AtomicI64,
    progress: Mutex<Progress>,
    wanted: watch::Sender<Wanted>,
    /// Bytes of the jobs that this process archived.
    removed: AtomicU64,
}

impl Run {
    /// An operation as an earlier process left it.
    #[must_use]
    pub fn new(meta: Meta, items: Vec<Item>, past: Past, home: Home, log: Option<Log>) -> Self {
        let mut results = past.results;
        results.resize(usize::try_from(meta.selected).unwrap_or(0), 0);
        let mut totals = Totals {
            selected: meta.selected,
            ..Totals::default()
        };
        for letter in &results {
            add(&mut totals, *letter, 1);
        }
        let standing = past.standing.unwrap_or(OperationStatus {
            state: OperationState::Queued,
            note: String::new(),
            started: None,
            ended: None,
        });
        let mut reasons: HashMap<String, u64> = HashMap::new();
        // A line that was written twice counts once.
        let whys: HashMap<u32, String> = past.whys.into_iter().collect();
        for why in whys.values() {
            *reasons.entry(why.clone()).or_default() += 1;
        }
        let wanted = match standing.state {
            OperationState::Paused => Wanted::Pause,
            _ => Wanted::Work,
        };
        Self {
            meta,
            items,
            uncertain: AtomicUsize::new(past.upto),
            marked: AtomicUsize::new(past.upto),
            home,
            log,
            elsewhere: Mutex::default(),
            asked: AtomicI64::new(0),
            progress: Mutex::new(Progress {
                standing,
                results,
                totals,
                reasons,
                whys,
                lately: vec![],
            }),
            wanted: watch::Sender::new(wanted),
            removed: AtomicU64::new(0),
        }
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.meta.id
    }

    /// The stores of its queues, in the order of their names.
    pub fn stores(&self) -> BTreeSet<String> {
        self.meta.queues.iter().map(|queue| queue.store.clone()).collect()
    }

    /// What was asked for.
    pub const fn meta(&self) -> &Meta {
        &self.meta
    }

    /// Whether it may still do something.
    pub fn is_open(&self) -> bool {
        self.state().is_open()
    }

    /// Bytes of the jobs that this process archived for it.
    pub fn removed(&self) -> u64 {
        self.removed.load(Ordering::Relaxed)
    }

    fn queue(&self, item: &Item) -> Option<&QueueRef> {
        self.meta.queues.get(usize::try_from(item.queue).ok()?)
    }

    /// Applies a control request. An operation that has ended stays as it is.
    pub async fn control(&self, control: Control) {
        let wanted = match control {
            Control::Pause => Wanted::Pause,
            Control::Resume => Wanted::Work,
            Control::Cancel => Wanted::Cancel,
        };
        let state = self.progress().standing.state;
        if !state.is_open() {
            return;
        }
        self.wanted.send_replace(wanted);
        match (state, wanted) {
            // Before its turn, `work` does not run and cannot end it.
            (OperationState::Queued | OperationState::Paused, Wanted::Cancel) => {
                self.end(OperationState::Cancelled, String::new()).await;
            }
            (OperationState::Queued, Wanted::Pause) => self.stand(OperationState::Paused, String::new()).await,
            (OperationState::Paused, Wanted::Work) if self.progress().standing.started.is_none() => {
                self.stand(OperationState::Queued, String::new()).await;
            }
            _ => {}
        }
        // It takes effect within a batch: wait, so that the caller sees the new state.
        let until = Instant::now() + CONTROL_WAIT;
        while !control.is_applied(self.progress().standing.state) && Instant::now() < until {
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Returns once it was cancelled while it waited.
    pub async fn ended_before_its_turn(&self) {
        let mut wanted = self.wanted.subscribe();
        loop {
            if !self.is_open() {
                return;
            }
            if wanted.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
            // `control` saves the new state right after this.
            sleep(Duration::from_millis(20)).await;
        }
    }

    async fn stand(&self, state: OperationState, note: String) {
        let standing = {
            let mut progress = self.progress();
            if !progress.standing.state.is_open() {
                return;
            }
            let now = crate::model::now();
            let standing = &mut progress.standing;
            if (standing.state, &standing.note) == (state, &note) {
                return;
            }
            standing.state = state;
            standing.note = note;
            if state == OperationState::Running {
                standing.started.get_or_insert(now);
            }
            if !state.is_open() {
                standing.ended = Some(now);
            }
            standing.clone()
        };
        if let Ok(json) = serde_json::to_string(&standing)
            && let Err(error) = self.write(format!("S {json}\n"), !state.is_open()).await
        {
            tracing::error!(operation = self.meta.id, %error, "the state of an operation cannot be saved");
        }
    }

    async fn end(&self, state: OperationState, note: String) {
        self.stand(state, note).await;
        tracing::info!(operation = self.meta.id, state = state.word(), "an operation ended");
    }

    async fn write(&self, lines: String, sync: bool) -> io::Result<()> {
        match &self.log {
            Some(log) => log.write(lines, sync, || self.told()).await,
            None => Ok(()),
        }
    }

    /// Works until it is done, cancelled or stopped.
    pub async fn work(&self, means: &Means<'_>) {
        self.uncertain
            .store(self.marked.load(Ordering::Relaxed), Ordering::Relaxed);
        if self.is_open() {
            let (state, note) = match self.meta.action {
                JobAction::Archive => self.archive_batches(means).await,
                _ => self.batches(means.stores).await,
            };
            self.end(state, note).await;
        }
        for queue in &self.meta.queues {
            if let Some(store) = means.stores.get(&queue.store) {
                store.doubt(&queue.queue);
            }
        }
    }

    async fn batches(&self, stores: &HashMap<String, Arc<Collector>>) -> (OperationState, String) {
        let mut pace = Pace::new(self.meta.bounds.rate);
        let retries = matches!(self.meta.action, JobAction::Retry { .. });
        let mut canary = self
            .meta
            .bounds
            .canary
            .filter(|_| retries)
            .map(|c| Canary::new(c.stop_percent));
        let first = self
            .meta
            .bounds
            .canary
            .map_or(0, |c| usize::try_from(c.jobs).unwrap_or(0));
        let mut watched = false;
        let mut marked = 0;
        let mut again = AGAIN_FIRST;
        let mut at = 0;
        loop {
            if let Some(end) = self.wait_if_wanted().await {
                return end;
            }
            at = self.next(at);
            let Some(item) = self.items.get(at) else {
                return (OperationState::Done, String::new());
            };
            if !watched && first > 0 && at >= first {
                watched = true;
                if let Some(canary) = &mut canary
                    && let Some(end) = self.watch(canary, stores).await
                {
                    return end;
                }
            }
            let Some((queue, store)) = self
                .queue(item)
                .and_then(|queue| Some((queue, stores.get(&queue.store)?)))
            else {
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
                self.stand(OperationState::Running, format!("Waiting: {why}")).await;
                sleep(AGAIN_FIRST).await;
                continue;
            }
            let (size, pause) = pace.next(Instant::now());
            if !pause.is_zero() {
                // In steps, so that a cancel does not wait for it.
                sleep(pause.min(Duration::from_millis(500))).await;
                if pause > Duration::from_millis(500) {
                    continue;
                }
            }
            let limit = if watched || first == 0 { self.items.len() } else { first };
            let end = self.batch_end(at, size, limit);
            if end > marked {
                marked = (end + AHEAD).min(limit).max(end);
                self.marked.fetch_max(marked, Ordering::Relaxed);
                if let Err(error) = self.write(format!("U {marked}\n"), true).await {
                    return (
                        OperationState::Stopped,
                        format!("Its progress cannot be saved: {error}. Nothing more was done."),
                    );
                }
            }
            let jobs: Vec<(String, Seen)> = self.items[at..end]
                .iter()
                .map(|item| (item.id.to_string(), item.seen.clone()))
                .collect();
            if self.ours().await {
                continue;
            }
            let began = Instant::now();
            match act(store, &queue.queue.as_str().into(), &jobs, &self.meta.action).await {
                Err(trouble) => {
                    self.stand(OperationState::Running, format!("Waiting: {}", trouble.cause))
                        .await;
                    sleep(again).await;
                    again = (again * 2).min(AGAIN_MAX);
                }
                Ok(effects) => {
                    let took = began.elapsed();
                    again = AGAIN_FIRST;
                    if let Some(canary) = &mut canary {
                        for (job, _) in jobs
                            .iter()
                            .zip(&effects)
                            .filter(|(_, e)| matches!(e, Effect::Done { .. }))
                        {
                            canary.watch(queue, &job.0);
                        }
                    }
                    let lines = self.settle(at, &effects);
                    if let Err(error) = self.write(lines, false).await {
                        return (
                            OperationState::Stopped,
                            format!("Its progress cannot be saved: {error}. Nothing more was done."),
                        );
                    }
                    self.stand(OperationState::Running, String::new()).await;
                    let rest = pace.took(jobs.len(), took, Instant::now());
                    if let Some(canary) = &mut canary
                        && watched
                        && let Some(why) = canary.look(stores, false).await
                    {
                        return (OperationState::Stopped, why);
                    }
                    if !rest.is_zero() {
                        sleep(rest).await;
                    }
                }
            }
        }
    }

    /// Waits while it is to pause; returns how it ends if it is to end.
    async fn wait_if_wanted(&self) -> Option<(OperationState, String)> {
        let mut wanted = self.wanted.subscribe();
        loop {
            let now = *wanted.borrow_and_update();
            match now {
                Wanted::Cancel => return Some((OperationState::Cancelled, String::new())),
                Wanted::Work => {
                    self.stand(OperationState::Running, self.note()).await;
                    return None;
                }
                Wanted::Pause => {}
            }
            self.stand(OperationState::Paused, String::new()).await;
            if wanted.changed().await.is_err() {
                return Some((OperationState::Cancelled, String::new()));
            }
        }
    }

    fn note(&self) -> String {
        self.progress().standing.note.clone()
    }

    /// Waits until the first jobs have finished, or long enough.
    async fn watch(
        &self,
        canary: &mut Canary,
        stores: &HashMap<String, Arc<Collector>>,
    ) -> Option<(OperationState, String)> {
        let bound = self.meta.bounds.canary?;
        let until = Instant::now() + Duration::from_secs(bound.watch_s.into());
        let mut wanted = self.wanted.subscribe();
        self.stand(
            OperationState::Running,
            format!(
                "Watching the first {} jobs for {} s at most, before the rest.",
                bound.jobs, bound.watch_s
            ),
        )
        .await;
        loop {
            if let Some(why) = canary.look(stores, canary.settled()).await {
                return Some((OperationState::Stopped, why));
            }
            if canary.settled() || Instant::now() >= until {
                self.stand(OperationState::Running, String::new()).await;
                return None;
            }
            if timeout(Duration::from_millis(500), wanted.changed()).await.is_ok()
                && let Some(end) = self.wait_if_wanted().await
            {
                return Some(end);
            }
        }
    }
}

/// Acts on jobs of a queue, which may not be on the board; where no adapter knows it any more, its jobs are gone.
async fn act(
    store: &Collector,
    queue: &QueueId,
    jobs: &[(String, Seen)],
    action: &JobAction,
) -> Result<Vec<Effect>, Trouble> {
    let Some(adapter) = store.adapters().whose(queue).await? else {
        return Ok(vec![Effect::Gone; jobs.len()]);
    };
    match adapter.act() {
        Some(act) => act.on_jobs(queue, jobs, action).await,
        None => Ok(vec![unsupported(); jobs.len()]),
    }
}
