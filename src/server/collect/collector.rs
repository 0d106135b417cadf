//! One collector per store: the only thing on the board that reads a store by itself.
//!
//! Three loops. [`Collector::listen`] is the fast path: events arrive, the queues they are about are
//! counted in one pipeline, and counts and events are published together. [`Collector::keep`] (in
//! [`keep`]) does what no event asks for: health, recounts, workers, the server's own report.
//! [`Collector::seek`] (in [`seek`]) looks for new queues, which takes as long as the key space is
//! large. All end when the board stops; one that ends before is started again, and until then the store
//! counts as not watched. A store that does not answer holds up only its own loops.
//!
//! The loops take turns ([`Rhythm::turn`](crate::server::adapter::rhythm::Rhythm::turn)): one read of theirs is under way at a time, and [`Pace`](super::pace::Pace) says
//! how soon the next may begin. What is published is what the state holds at that moment: the state
//! stays locked meanwhile, so a line never goes back to an older count.

use super::adapters::{Adapters, Share};
use super::board::{Board, Update};
use super::clock::{Offset, Steady};
use super::conditions::Conditions;
use super::past::Past;
use super::source::Source;
use super::track::{Clocks, Track};
use super::vitals::Vitals;
use crate::model::Millis;
use crate::model::condition::Actions;
use crate::model::event::JobChange;
use crate::model::queue::{QueueRef, labels};
use crate::model::store::{Reach, StoreSummary};
use crate::model::verdict::Verdict;
use crate::server::adapter::{Adapter, AnyAction, Change, QueueId, Reading, Trouble};
use crate::server::tasks::Tasks;
use crate::server::verdict::Judge;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::time::sleep;
use workforce::Workforce;

pub mod hour;
mod keep;
mod look;
mod seek;
pub mod workforce;

/// A count that takes longer than this meets a busy server: the next one waits four times as long.
const SLOW_COUNT: Duration = Duration::from_millis(40);

/// The longest such wait.
const REST_MAX: Duration = Duration::from_secs(3);

/// What happened to jobs, by queue.
type JobNews = Vec<(QueueRef, Vec<JobChange>)>;

/// See the module.
#[derive(Debug)]
pub struct Collector {
    store: String,
    source: Source,
    adapters: Adapters,
    board: Arc<Board>,
    vitals: Arc<Vitals>,
    /// Taken before the board's own lock, never after.
    state: Mutex<State>,
    clock: Mutex<Steady>,
    /// Whether what the server says about itself has been read and shown once.
    shown: watch::Sender<bool>,
}

#[derive(Debug)]
struct State {
    summary: StoreSummary,
    judge: Judge,
    tracks: HashMap<QueueId, Track>,
    conditions: Conditions,
    offset: Offset,
    workforce: Workforce,
    /// Since when the store has been silent, while it is.
    silent_since: Option<Millis>,
    /// What was noted of its queues by the processes that watched them.
    past: Past,
    /// Tasks that watch the store and are down, each with why.
    down: BTreeMap<&'static str, String>,
}

impl State {
    fn clocks(&self) -> Clocks {
        Clocks {
            ahead: self.offset.ahead(),
        }
    }

    /// Sees to it that no two queues are called the same.
    fn relabel(&mut self) {
        let names = self.tracks.iter().map(|(id, track)| (&**id, track.line.name.as_str()));
        let labels: Vec<String> = labels(names).map(str::to_owned).collect();
        for (track, label) in self.tracks.values_mut().zip(labels) {
            track.line.label = label;
        }
    }

    /// How many queues there are, once they have been looked for.
    fn count_queues(&mut self) {
        let queues = u32::try_from(self.tracks.len()).unwrap_or(u32::MAX);
        self.summary.queues = self.summary.searched.then_some(queues);
    }
}

impl Collector {
    /// A collector that has read nothing; announces its store on the board.
    pub fn new(store: &str, source: Source, adapters: Vec<Arc<dyn Adapter>>, board: Arc<Board>) -> Self {
        let at = crate::model::now();
        let summary = StoreSummary {
            id: store.to_owned(),
            kind: source.kind().into(),
            address: source.address(),
            reach: Reach::Connecting,
            cause: None,
            since: at,
            as_of: None,
            vitals: None,
            queues: None,
            searched: false,
            verdict: Verdict::not_read(at),
            conditions: vec![],
            actions: Actions::default(),
            clock_ahead: None,
        };
        board.add_store(summary.clone());
        Self {
            store: store.to_owned(),
            source,
            adapters: Adapters::new(adapters),
            board,
            vitals: Arc::default(),
            state: Mutex::new(State {
                summary,
                judge: Judge::new(at),
                tracks: HashMap::new(),
                conditions: Conditions::default(),
                offset: Offset::default(),
                workforce: Workforce::default(),
                silent_since: None,
                past: Past::default(),
                down: BTreeMap::new(),
            }),
            clock: Mutex::new(Steady::new(at, Instant::now())),
            shown: watch::Sender::new(false),
        }
    }

    /// Starts the connection and the loops. While one of them is down the store counts as not watched.
    pub fn start(self: &Arc<Self>, tasks: &Tasks) {
        let watched = self.clone();
        let tasks = tasks.of(&self.store, move |task, why| watched.task_is_down(task, why));
        let (source, stop) = (self.source.clone(), tasks.stop().clone());
        tasks.keep_closing("connection", move || source.clone().supervise(stop.clone()));
        let (listen, keep, seek) = (self.clone(), self.clone(), self.clone());
        tasks.keep("changes", move || listen.clone().listen());
        tasks.keep("poll", move || keep.clone().keep());
        tasks.keep("search", move || seek.clone().seek());
        let (vitals, source) = (self.vitals.clone(), self.source.clone());
        tasks.keep("ping", move || vitals.clone().note_pings(source.clone()));
    }

    /// The adapters, for reads that a page asks for.
    pub const fn adapters(&self) -> &Adapters {
        &self.adapters
    }

    /// The adapter of a queue; `None` while it is not known whose it is.
    pub fn adapter(&self, queue: &str) -> Option<Arc<dyn Adapter>> {
        self.adapters.of(queue)
    }

    /// How the store was over the last hour.
    pub fn vitals(&self) -> &Arc<Vitals> {
        &self.vitals
    }

    /// The connection.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// How far the store's clock is ahead of ours, in milliseconds; 0 while that is not known.
    pub fn ahead(&self) -> Millis {
        self.state().offset.ahead().unwrap_or(0)
    }

    /// Whether the store may be changed now, and why not.
    pub fn actions(&self) -> Actions {
        self.state().summary.actions.clone()
    }

    /// What our user lacks in the store to do these things to a queue: see [`Act::lacks`](crate::server::adapter::Act::lacks).
    pub fn lacks(&self, queue: &QueueId, actions: &[AnyAction<'_>]) -> Option<String> {
        let whole = self.source.may_not_act();
        whole.or_else(|| self.adapters.of(queue)?.act()?.lacks(queue, actions))
    }

    /// Has a queue counted with the next poll: something was done to it that its events may not tell.
    pub fn doubt(&self, queue: &str) {
        if let Some(track) = self.state().tracks.get_mut(queue) {
            track.doubt();
        }
    }

    /// Since when a job has been ready to run by the store's clock, where that was heard.
    pub fn ready_since(&self, queue: &str, job: &str) -> Option<Millis> {
        self.state().tracks.get(queue)?.ready_since(job)
    }

    /// Every queue that is known now.
    pub fn queues(&self) -> Vec<QueueId> {
        self.state().tracks.keys().cloned().collect()
    }

    /// The present moment, by a clock that does not jump.
    fn now(&self) -> Millis {
        self.clock().at(Instant::now())
    }

    fn clock(&self) -> MutexGuard<'_, Steady> {
        self.clock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The fast path.
    async fn listen(self: Arc<Self>) {
        let mut changes = self.adapters.changes();
        while let Some(batch) = changes.next().await {
            let (jobs, mut dirty) = self.hear(batch);
            if !self.board.is_watched() {
                // The next poll counts what a verdict may depend on.
                dirty.clear();
            }
            // Without counts the events are still news; the counts follow when the store answers.
            let took = self.count_and_publish(&dirty, jobs).await;
            if took > SLOW_COUNT {
                // What happens meanwhile is counted once.
                sleep((took * 4).min(REST_MAX)).await;
            }
        }
    }

    fn hear(&self, batch: Vec<Change>) -> (JobNews, Vec<QueueId>) {
        let at = self.now();
        let mut jobs: HashMap<QueueId, Vec<JobChange>> = HashMap::new();
        let mut dirty = Vec::new();
        let mut state = self.state();
        let clocks = state.clocks();
        for change in batch {
            let Some(track) = state.tracks.get_mut(&change.queue) else {
                continue;
            };
            let (changes, count) = track.hear(at, clocks, &change);
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

    /// Counts queues, those of one system in one round trip.
    async fn count(&self, queues: &[QueueId]) -> Result<Vec<(QueueId, Reading)>, Trouble> {
        let mut all = Vec::with_capacity(queues.len());
        for Share { adapter, queues } in self.adapters.shares(queues) {
            let readings = adapter.counts(&queues).await?;
            all.extend(queues.into_iter().zip(readings));
        }
        Ok(all)
    }

    /// Counts queues and publishes their lines together with what happened to their jobs. Gives how
    /// long the count took.
    async fn count_and_publish(&self, queues: &[QueueId], jobs: JobNews) -> Duration {
        // What needs no count is published at once.
        let turn = if queues.is_empty() {
            None
        } else {
            Some(self.source.rhythm().turn().await)
        };
        let began = Instant::now();
        let readings = self.count(queues).await.unwrap_or_default();
        let at = self.now();
        let took = began.elapsed();
        let mut state = self.state();
        let clocks = state.clocks();
        let heard = self.source.pushes();
        let mut lines = Vec::with_capacity(readings.len());
        let mut moved = false;
        for (queue, reading) in readings {
            if let Some(track) = state.tracks.get_mut(&queue) {
                moved |= track.line.system != reading.system;
                // A first reading and an operator's pause are judged at once, not at the next tick.
                if track.counted(at, reading) {
                    track.tick(at, clocks, heard);
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
        drop(turn);
        if moved {
            // An application went from Bull to BullMQ: the queue is followed in another way now.
            self.follow();
        }
        took
    }
}
