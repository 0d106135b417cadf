//! One collector per store: the only thing on the board that reads a store by itself.
//!
//! Three loops. [`Collector::listen`] is the fast path: events arrive, the queues they are about are
//! counted in one pipeline, and counts and events are published together. [`Collector::keep`] does
//! what no event asks for: health, recounts, workers, the server's own report. [`Collector::seek`]
//! looks for new queues, which takes as long as the key space is large. All end when the board stops.
//! A store that does not answer holds up only its own loops.
//!
//! What is published is what the state holds at that moment: the state stays locked meanwhile, and
//! two counts are never under way at once, so a line never goes back to an older count.

use super::board::{Board, Update};
use super::throughput::Slice;
use super::track::Track;
use super::vitals::Vitals;
use crate::model::Millis;
use crate::model::event::JobChange;
use crate::model::now;
use crate::model::queue::QueueRef;
use crate::model::store::{Reach, StoreSummary};
use crate::model::verdict::{Level, Verdict};
use crate::server::adapter::redis::info;
use crate::server::adapter::redis::link::Link;
use crate::server::adapter::redis::reply;
use crate::server::adapter::{Adapter, Change, FoundQueue, QueueId};
use crate::server::verdict::{self, Judge};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};
use tokio::time::{MissedTickBehavior, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use workforce::Workforce;

pub mod workforce;

/// The pace of [`Collector::keep`].
const TICK: Duration = Duration::from_secs(1);

/// Ticks between two looks at the connected workers: a queue whose first worker connects is on the
/// board within this time.
const WORKERS_EVERY: u64 = 3;

/// Ticks between two reports of the server.
const INFO_EVERY: u64 = 5;

/// The shortest time between two searches of the key space.
const SEARCH_EVERY: Duration = Duration::from_secs(5);

/// A search may take a twentieth of the time: one that takes a minute runs every 20 minutes.
const SEARCH_SHARE: u32 = 20;

/// Queues recounted in one tick at most.
const RECOUNTS: usize = 200;

/// What happened to jobs, by queue.
type JobNews = Vec<(QueueRef, Vec<JobChange>)>;

/// See the module.
#[derive(Debug)]
pub struct Collector {
    store: String,
    link: Arc<Link>,
    adapter: Arc<dyn Adapter>,
    board: Arc<Board>,
    vitals: Arc<Vitals>,
    /// Taken before the board's own lock, never after.
    state: Mutex<State>,
    /// Held from the question to the answer of a count.
    counting: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct State {
    summary: StoreSummary,
    judge: Judge,
    tracks: HashMap<QueueId, Track>,
    evicted: Option<u64>,
    workforce: Workforce,
}

impl Collector {
    /// A collector that has read nothing; announces its store on the board.
    pub fn new(store: &str, link: Arc<Link>, adapter: Arc<dyn Adapter>, board: Arc<Board>) -> Self {
        let at = now();
        let summary = StoreSummary {
            id: store.to_owned(),
            kind: "redis".into(),
            address: link.address().to_owned(),
            reach: Reach::Connecting,
            cause: None,
            since: at,
            as_of: None,
            vitals: None,
            queues: 0,
            searched: false,
            verdict: Verdict::not_read(at),
        };
        board.add_store(summary.clone());
        Self {
            store: store.to_owned(),
            link,
            adapter,
            board,
            vitals: Arc::default(),
            state: Mutex::new(State {
                summary,
                judge: Judge::new(at),
                tracks: HashMap::new(),
                evicted: None,
                workforce: Workforce::default(),
            }),
            counting: tokio::sync::Mutex::default(),
        }
    }

    /// Starts the loops.
    pub fn start(self: &Arc<Self>, tasks: &TaskTracker, stop: &CancellationToken) {
        tasks.spawn(stop.clone().run_until_cancelled_owned(self.clone().listen()));
        tasks.spawn(stop.clone().run_until_cancelled_owned(self.clone().keep()));
        tasks.spawn(stop.clone().run_until_cancelled_owned(self.clone().seek()));
        tasks.spawn(
            stop.clone()
                .run_until_cancelled_owned(self.vitals.clone().ping(self.link.clone())),
        );
    }

    /// The adapter, for reads that a page asks for.
    pub fn adapter(&self) -> &Arc<dyn Adapter> {
        &self.adapter
    }

    /// How the store was over the last hour.
    pub fn vitals(&self) -> &Arc<Vitals> {
        &self.vitals
    }

    /// The connection.
    pub fn link(&self) -> &Arc<Link> {
        &self.link
    }

    /// Every queue that is known now.
    pub fn queues(&self) -> Vec<QueueId> {
        self.state().tracks.keys().cloned().collect()
    }

    /// The throughput of the last hour, oldest first, when the newest slice began, and since when it
    /// is complete.
    pub fn hour(&self, queue: &str) -> Option<(Vec<Slice>, Millis, Millis)> {
        let mut state = self.state();
        let track = state.tracks.get_mut(queue)?;
        let (slices, newest) = track.throughput.hour(now());
        Some((slices, newest, track.throughput.since()))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The fast path.
    async fn listen(self: Arc<Self>) {
        let mut changes = self.adapter.changes();
        while let Some(mut batch) = changes.recv().await {
            while let Ok(more) = changes.try_recv() {
                batch.extend(more);
            }
            let (jobs, dirty) = self.hear(batch);
            // Without counts the events are still news; the counts follow when the store answers.
            self.count_and_publish(&dirty, jobs).await;
        }
    }

    fn hear(&self, batch: Vec<Change>) -> (JobNews, Vec<QueueId>) {
        let at = now();
        let mut jobs: HashMap<QueueId, Vec<JobChange>> = HashMap::new();
        let mut dirty = Vec::new();
        let mut state = self.state();
        for change in batch {
            let Some(track) = state.tracks.get_mut(&change.queue) else {
                continue;
            };
            if change.gap {
                track.throughput.gap(at);
            }
            let (changes, count) = track.hear(at, &change.events);
            jobs.entry(change.queue.clone()).or_default().extend(changes);
            if (count || change.gap) && !dirty.contains(&change.queue) {
                dirty.push(change.queue);
            }
        }
        let jobs = jobs
            .into_iter()
            .filter(|(_, changes)| !changes.is_empty())
            .map(|(queue, changes)| (self.key(&queue), changes))
            .collect();
        (jobs, dirty)
    }

    fn key(&self, queue: &QueueId) -> QueueRef {
        QueueRef {
            store: self.store.clone(),
            queue: queue.to_string(),
        }
    }

    /// Counts queues and publishes their lines together with what happened to their jobs.
    async fn count_and_publish(&self, queues: &[QueueId], jobs: JobNews) {
        let counting = self.counting.lock().await;
        let readings = match queues {
            [] => vec![],
            queues => self.adapter.counts(queues).await.unwrap_or_default(),
        };
        let at = now();
        let mut state = self.state();
        let mut lines = Vec::with_capacity(readings.len());
        let mut moved = false;
        for (queue, reading) in queues.iter().zip(readings) {
            if let Some(track) = state.tracks.get_mut(queue) {
                moved |= track.line.system != reading.family.layout.system();
                // A first reading and an operator's pause are judged at once, not at the next tick.
                if track.counted(at, reading) {
                    track.tick(at);
                }
                lines.push(track.line.clone());
            }
        }
        self.board.publish(Update {
            queues: lines,
            jobs,
            ..Update::default()
        });
        drop(state);
        drop(counting);
        if moved {
            // An application went from Bull to BullMQ: the queue is heard in another way now.
            self.follow();
        }
    }

    /// What no event asks for.
    async fn keep(self: Arc<Self>) {
        let mut health = self.link.health();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut ticks: u64 = 0;
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                changed = health.changed() => if changed.is_err() { return },
            }
            let answer = health.borrow_and_update().clone();
            let came_back = self.note_health(&answer);
            if answer.is_err() {
                self.publish_ticked();
                continue;
            }
            if came_back || ticks.is_multiple_of(WORKERS_EVERY) {
                self.read_workers().await;
            }
            if came_back || ticks.is_multiple_of(INFO_EVERY) {
                self.read_info().await;
            }
            self.recount(came_back).await;
            self.look_at_next_jobs().await;
            self.publish_ticked();
            ticks += 1;
        }
    }

    /// Takes in whether the store answers. True if it has just begun to.
    fn note_health(&self, health: &Result<(), crate::server::adapter::Trouble>) -> bool {
        let at = now();
        let mut state = self.state();
        let before = state.summary.reach;
        match health {
            Ok(()) => {
                state.summary.as_of = Some(at);
                state.summary.reach = Reach::Live;
                state.summary.cause = None;
            }
            Err(trouble) => {
                state.summary.reach = trouble.reach;
                state.summary.cause = Some(trouble.cause.clone());
            }
        }
        if state.summary.reach == before {
            return false;
        }
        state.summary.since = at;
        let came_back = state.summary.reach == Reach::Live;
        if came_back {
            // What happened meanwhile was not seen.
            for track in state.tracks.values_mut() {
                track.throughput.gap(at);
            }
            tracing::info!(store.id = %self.store, "store answers");
        } else if before == Reach::Live || before == Reach::Connecting {
            tracing::warn!(store.id = %self.store, state = state.summary.reach.word(), cause = state.summary.cause.as_deref(), "store does not answer");
        }
        came_back
    }

    /// Searches the key space again and again, and takes up what is new.
    async fn seek(self: Arc<Self>) {
        let mut health = self.link.health();
        while health.wait_for(Result::is_ok).await.is_ok() {
            let began = Instant::now();
            let known = self.state().tracks.keys().cloned().collect();
            match self.adapter.discover(&known).await {
                Ok(found) => {
                    self.state().summary.searched = true;
                    self.take_up(&found).await;
                }
                Err(trouble) => tracing::debug!(store.id = %self.store, %trouble, "search for queues ended early"),
            }
            sleep(SEARCH_EVERY.max(began.elapsed() * SEARCH_SHARE)).await;
        }
    }

    /// Begins to follow queues that are not followed yet.
    async fn take_up(&self, found: &[FoundQueue]) {
        let at = now();
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

    fn follow(&self) {
        let mut state = self.state();
        let queues: Vec<QueueId> = state.tracks.keys().cloned().collect();
        state.summary.queues = u32::try_from(queues.len()).unwrap_or(u32::MAX);
        // Under the lock, so that the adapter hears of the queues in the order in which they changed.
        self.adapter.follow(&queues);
    }

    async fn read_info(&self) {
        let mut pipe = redis::pipe();
        pipe.cmd("INFO");
        let Ok(replies) = self.link.run(&mut pipe).await else {
            return;
        };
        self.vitals.hear(&replies);
        let Some(text) = replies
            .into_iter()
            .next()
            .and_then(Result::ok)
            .as_ref()
            .and_then(reply::text)
        else {
            return;
        };
        let vitals = info::parse(&text);
        let mut state = self.state();
        let evicting = state.evicted.is_some_and(|before| vitals.evicted_keys > before);
        state.evicted = Some(vitals.evicted_keys);
        state.summary.vitals = Some(vitals);
        let opinion = verdict::of_store(&state.summary, evicting);
        state.summary.verdict = state.judge.consider(now(), opinion);
    }

    /// Counts what is due, and forgets queues of which nothing is left.
    async fn recount(&self, all: bool) {
        let at = now();
        let mut due: Vec<QueueId> = {
            let state = self.state();
            let due = state.tracks.iter().filter(|(_, track)| all || track.is_due(at));
            due.map(|(queue, _)| queue.clone()).collect()
        };
        if !all {
            due.truncate(RECOUNTS);
        }
        let counting = self.counting.lock().await;
        let Ok(readings) = self.adapter.counts(&due).await else {
            return;
        };
        let at = now();
        let mut gone = Vec::new();
        {
            let mut state = self.state();
            for (queue, reading) in due.iter().zip(readings) {
                if !reading.exists
                    && state
                        .tracks
                        .get(queue)
                        .is_some_and(|track| track.line.workers.unwrap_or(0) == 0)
                {
                    gone.push(queue.clone());
                } else if let Some(track) = state.tracks.get_mut(queue) {
                    track.counted(at, reading);
                }
            }
            for queue in &gone {
                state.tracks.remove(queue);
            }
        }
        drop(counting);
        if !gone.is_empty() {
            self.follow();
            self.board.publish(Update {
                removed: gone.iter().map(|queue| self.key(queue)).collect(),
                ..Update::default()
            });
        }
    }

    async fn look_at_next_jobs(&self) {
        let at = now();
        let wanted: Vec<QueueId> = {
            let state = self.state();
            let wanted = state.tracks.iter().filter(|(_, track)| track.wants_a_look(at));
            wanted.map(|(queue, _)| queue.clone()).collect()
        };
        let Ok(oldest) = self.adapter.oldest_waiting(&wanted).await else {
            return;
        };
        let mut state = self.state();
        for (queue, oldest) in wanted.iter().zip(oldest) {
            if let Some(track) = state.tracks.get_mut(queue) {
                track.looked(at, oldest);
            }
        }
    }

    /// Publishes everything that changes with time alone. Lines that did not change cost nothing.
    fn publish_ticked(&self) {
        let at = now();
        let mut state = self.state();
        let live = state.summary.reach == Reach::Live;
        if live {
            for track in state.tracks.values_mut() {
                track.tick(at);
            }
        } else {
            let opinion = verdict::of_store(&state.summary, false);
            state.summary.verdict = state.judge.consider(at, opinion);
            let shown = &state.summary;
            let verdict = Verdict {
                level: Level::Unknown,
                rule: "U1".into(),
                reason: format!("No data from {}: {}.", shown.id, shown.reach.word()),
                since: shown.since,
            };
            for track in state.tracks.values_mut() {
                track.line.verdict = verdict.clone();
                track.line.rates = None;
            }
        }
        let queues = state.tracks.values().map(|track| track.line.clone()).collect();
        let mut store = state.summary.clone();
        // While it answers, "when" is now: it is told with the report, not every second.
        if live && let Some(known) = self.board.store(&self.store) {
            let mut same = known.clone();
            same.as_of = store.as_of;
            if same == store {
                store = known;
            }
        }
        self.board.publish(Update {
            queues,
            store: Some(store),
            ..Update::default()
        });
        drop(state);
        self.board.forget_unfollowed();
    }
}
