//! The last known truth about everything, and the streams that carry its changes.
//!
//! Every change goes through [`Board::publish`], which compares it with what was known, makes one
//! frame for each topic it concerns, serialises (and compresses) each frame once, and wakes that topic's followers.
//! Frames carry state and are numbered by one counter, so a follower's whole position is one number.
//! A follower takes frames when its socket has room; one that falls behind further than the ring
//! remembers gets a snapshot of now instead. No follower has a queue of its own: a thousand idle or
//! stuck ones cost what their positions cost.

use crate::model::event::{Frame, JobChange, Topic};
use crate::model::look::Sort;
use crate::model::operation::Operation;
pub use crate::model::position::Position;
use crate::model::queue::{QueueRef, QueueSummary};
use crate::model::store::StoreSummary;
use crate::model::verdict::Level;
use crate::model::{Millis, now};
use crate::server::wire::Part;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};
use tokio::sync::watch;

mod follow;

use follow::Followed;
pub use follow::Subscription;

/// Frames remembered per topic, and their bytes. A page that lost its connection for a few seconds
/// picks up where it was; one that was away for longer gets a snapshot.
const RING_FRAMES: usize = 1024;
const RING_BYTES: usize = 2 * 1024 * 1024;

/// Things that happened to jobs that one frame holds; the rest is only counted.
const FRAME_JOBS: usize = 200;

/// A request for a page counts as watching for this long.
const LOOKS_ON: Duration = Duration::from_secs(30);

/// A topic without followers is forgotten after this long.
const TOPIC_LINGER: Duration = Duration::from_secs(60);

/// Queues in a snapshot of those in trouble.
const TROUBLED_MAX: usize = 200;

/// Operations that a follower can be sent.
const OPERATIONS: usize = 200;

/// What became known.
#[derive(Debug, Default)]
pub struct Update {
    /// Queues as they are now; unchanged ones are noticed and cost nothing further.
    pub queues: Vec<QueueSummary>,
    /// Queues that are no more.
    pub removed: Vec<QueueRef>,
    /// The store as it is now.
    pub store: Option<StoreSummary>,
    /// What happened to jobs, by queue, oldest first.
    pub jobs: Vec<(QueueRef, Vec<JobChange>)>,
    /// Operations as they are now; unchanged ones cost nothing further.
    pub operations: Vec<Operation>,
}

/// See the module.
#[derive(Debug)]
pub struct Board {
    /// Tells this process's numbering from an earlier one's.
    epoch: u64,
    /// One lock for state and streams, so that a snapshot and the frames after it cannot disagree.
    /// Held for the time of a comparison and a serialisation, never across an await.
    inner: Mutex<Inner>,
    /// Notified at each request of a viewer.
    viewers: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Inner {
    seq: u64,
    stores: Vec<StoreSummary>,
    queues: BTreeMap<QueueRef, Arc<QueueSummary>>,
    topics: HashMap<Topic, TopicState>,
    /// The newest [`OPERATIONS`], by id, which sorts by time.
    operations: BTreeMap<String, Operation>,
    /// When a viewer last made a request.
    asked: Option<Instant>,
}

#[derive(Debug)]
struct TopicState {
    ring: VecDeque<(u64, Arc<Part>)>,
    bytes: usize,
    /// Frames up to this number are no longer in the ring.
    forgotten: u64,
    /// A snapshot and the number it is true for, shared by all followers that need one at the same moment.
    snapshot: Option<(u64, Arc<Part>)>,
    /// The last known change of a followed job, as its snapshot.
    job: Option<JobChange>,
    wake: watch::Sender<u64>,
    unfollowed: Instant,
}

impl TopicState {
    fn new(seq: u64) -> Self {
        Self {
            ring: VecDeque::new(),
            bytes: 0,
            forgotten: seq,
            snapshot: None,
            job: None,
            wake: watch::Sender::new(seq),
            unfollowed: Instant::now(),
        }
    }

    fn push(&mut self, seq: u64, frame: Arc<Part>) {
        // Of a large board it is megabytes, and it is no longer true.
        self.snapshot = None;
        self.bytes += frame.plain().len();
        self.ring.push_back((seq, frame));
        while self.ring.len() > RING_FRAMES || self.bytes > RING_BYTES {
            let Some((seq, frame)) = self.ring.pop_front() else {
                break;
            };
            self.bytes -= frame.plain().len();
            self.forgotten = seq;
        }
        self.wake.send_replace(seq);
    }
}

impl Default for Board {
    fn default() -> Self {
        Self {
            epoch: u64::try_from(now()).unwrap_or(0),
            inner: Mutex::default(),
            viewers: watch::Sender::new(()),
        }
    }
}

impl Board {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Announces a store before anything is known about it, in the order of the configuration.
    pub fn add_store(&self, store: StoreSummary) {
        let mut inner = self.inner();
        inner.seq += 1;
        inner
            .topics
            .entry(Topic::Overview)
            .or_insert_with(|| TopicState::new(0));
        inner.stores.push(store);
    }

    /// Notes a viewer's request.
    pub fn note_viewer(&self) {
        self.inner().asked = Some(Instant::now());
        self.viewers.send_replace(());
    }

    /// Whether a client follows a stream, or a viewer has made a request just now.
    pub fn is_watched(&self) -> bool {
        let inner = self.inner();
        inner.asked.is_some_and(|at| at.elapsed() < LOOKS_ON)
            || inner.topics.values().any(|topic| topic.wake.receiver_count() > 0)
    }

    /// Returns as soon as it is watched.
    pub async fn watched(&self) {
        let mut viewers = self.viewers.subscribe();
        // The sender is ours: it is not dropped meanwhile.
        while !self.is_watched() && viewers.changed().await.is_ok() {}
    }

    /// Queues of a store that a viewer has open: their page, or the page of one of their jobs.
    pub fn open_queues(&self, store: &str) -> HashSet<String> {
        let inner = self.inner();
        let followed = inner.topics.iter().filter(|(_, topic)| topic.wake.receiver_count() > 0);
        let queues = followed.filter_map(|(topic, _)| match topic {
            Topic::Queue(key) | Topic::Job(key, _) => Some(key),
            _ => None,
        });
        let here = queues.filter(|key| key.store == store);
        here.map(|key| key.queue.clone()).collect()
    }

    /// The current position: what a page made now is true for.
    pub fn position(&self) -> Position {
        Position {
            epoch: self.epoch,
            seq: self.inner().seq,
        }
    }

    /// All stores and queues as they are, the queues by store and id, and the position that this is true for.
    pub fn lines(&self) -> (Vec<StoreSummary>, Vec<Arc<QueueSummary>>, Position) {
        let inner = self.inner();
        let (epoch, seq) = (self.epoch, inner.seq);
        (
            inner.stores.clone(),
            inner.queues.values().cloned().collect(),
            Position { epoch, seq },
        )
    }

    /// One queue and its store.
    pub fn queue(&self, key: &QueueRef) -> Option<(Arc<QueueSummary>, StoreSummary, Position)> {
        let inner = self.inner();
        let queue = inner.queues.get(key)?.clone();
        let store = inner.stores.iter().find(|store| store.id == key.store)?.clone();
        let seq = inner.seq;
        Some((queue, store, Position { epoch: self.epoch, seq }))
    }

    /// One store.
    pub fn store(&self, id: &str) -> Option<StoreSummary> {
        self.inner().stores.iter().find(|store| store.id == id).cloned()
    }

    /// Takes in what became known and notifies the followers of each topic that it concerns.
    pub fn publish(&self, update: Update) {
        let at = now();
        let mut guard = self.inner();
        let inner = &mut *guard;
        let mut overview = Frame::new(&Topic::Overview, at);
        let mut trouble = Frame::new(&Topic::Trouble, at);
        let mut of_queue: HashMap<QueueRef, Frame> = HashMap::new();
        let frame = |of_queue: &mut HashMap<QueueRef, Frame>, key: &QueueRef, edit: &mut dyn FnMut(&mut Frame)| {
            let topic = Topic::Queue(key.clone());
            edit(of_queue.entry(key.clone()).or_insert_with(|| Frame::new(&topic, at)));
        };
        for queue in update.queues {
            let key = queue.key();
            match inner.queues.get_mut(&key) {
                Some(known) => {
                    let Some(patch) = queue.patch_since(known) else {
                        continue;
                    };
                    if known.verdict.level != queue.verdict.level && (troubled(known) || troubled(&queue)) {
                        trouble.queues.push(queue.clone());
                    }
                    *known = Arc::new(queue);
                    if inner.topics.contains_key(&Topic::Queue(key.clone())) {
                        frame(&mut of_queue, &key, &mut |f| f.patches.push(patch.clone()));
                    }
                    overview.patches.push(patch);
                }
                None => {
                    if inner.topics.contains_key(&Topic::Queue(key.clone())) {
                        frame(&mut of_queue, &key, &mut |f| f.queues.push(queue.clone()));
                    }
                    if troubled(&queue) {
                        trouble.queues.push(queue.clone());
                    }
                    overview.queues.push(queue.clone());
                    inner.queues.insert(key, Arc::new(queue));
                }
            }
        }
        for key in update.removed {
            if let Some(known) = inner.queues.remove(&key) {
                if troubled(&known) {
                    trouble.removed.push(key.clone());
                }
                frame(&mut of_queue, &key, &mut |f| f.removed.push(key.clone()));
                overview.removed.push(key);
            }
        }
        for (key, jobs) in update.jobs {
            for job in &jobs {
                inner.tell_job(&key, job, at, self.epoch);
            }
            if inner.topics.contains_key(&Topic::Queue(key.clone())) {
                let spare = jobs.len().saturating_sub(FRAME_JOBS);
                frame(&mut of_queue, &key, &mut |f| {
                    f.more_jobs = spare as u64;
                    f.jobs = jobs[spare..].to_vec();
                });
            }
        }
        if let Some(store) = update.store
            && let Some(known) = inner.stores.iter_mut().find(|known| known.id == store.id)
            && *known != store
        {
            let turned = (known.reach, known.verdict.level) != (store.reach, store.verdict.level);
            *known = store.clone();
            if turned {
                trouble.stores.clone_from(&inner.stores);
            }
            // Followers of a queue or a job need to know whether what they see is still true.
            let concerned: Vec<Topic> = inner
                .topics
                .keys()
                .filter(|topic| match topic {
                    Topic::Queue(queue) | Topic::Job(queue, _) => queue.store == store.id,
                    Topic::Store(id) => *id == store.id,
                    Topic::Overview | Topic::Trouble | Topic::Operation(_) => false,
                })
                .cloned()
                .collect();
            for topic in concerned {
                let mut frame = Frame::new(&topic, at);
                frame.stores.push(store.clone());
                inner.push(&topic, &frame, self.epoch);
            }
            overview.stores.push(store);
        }
        for operation in update.operations {
            let topic = Topic::Operation(operation.id.clone());
            let before = inner.operations.insert(operation.id.clone(), operation.clone());
            if before.as_ref() == Some(&operation) || !inner.topics.contains_key(&topic) {
                continue;
            }
            let mut frame = Frame::new(&topic, at);
            frame.operation = Some(Box::new(operation));
            inner.push(&topic, &frame, self.epoch);
        }
        while inner.operations.len() > OPERATIONS {
            inner.operations.pop_first();
        }
        for (key, frame) in of_queue {
            inner.push(&Topic::Queue(key), &frame, self.epoch);
        }
        for (topic, frame) in [(Topic::Overview, overview), (Topic::Trouble, trouble)] {
            if !frame.is_empty() {
                inner.push(&topic, &frame, self.epoch);
            }
        }
    }

    /// Forgets topics that have had no follower for a while.
    pub fn forget_unfollowed(&self) {
        self.inner().topics.retain(|topic, state| {
            if state.wake.receiver_count() > 0 {
                state.unfollowed = Instant::now();
            }
            *topic == Topic::Overview || state.unfollowed.elapsed() < TOPIC_LINGER
        });
    }

    /// Follows topics, from `after` if that is still remembered, else from a snapshot.
    pub fn subscribe(self: &Arc<Self>, topics: Vec<Topic>, after: Option<Position>) -> Subscription {
        self.subscribe_each(topics.into_iter().map(|topic| (topic, after)))
    }

    /// The same with a position for each topic: one stream may serve several pages, made at different moments.
    pub fn subscribe_each(
        self: &Arc<Self>,
        topics: impl IntoIterator<Item = (Topic, Option<Position>)>,
    ) -> Subscription {
        let mut inner = self.inner();
        let seq = inner.seq;
        let followed = topics
            .into_iter()
            .map(|(topic, after)| {
                // A position of another process, or one from the future, is no position here.
                let after = after.filter(|p| p.epoch == self.epoch && p.seq <= seq).map(|p| p.seq);
                let state = inner
                    .topics
                    .entry(topic.clone())
                    .or_insert_with(|| TopicState::new(seq));
                let resumable = after.filter(|after| *after >= state.forgotten);
                Followed {
                    wake: state.wake.subscribe(),
                    at: resumable,
                    topic,
                }
            })
            .collect();
        drop(inner);
        self.viewers.send_replace(());
        Subscription {
            board: self.clone(),
            followed,
        }
    }
}

impl Inner {
    fn push(&mut self, topic: &Topic, frame: &Frame, epoch: u64) {
        if let Some(state) = self.topics.get_mut(topic) {
            self.seq += 1;
            state.push(
                self.seq,
                encode("delta", Some(Position { epoch, seq: self.seq }), frame),
            );
        }
    }

    fn tell_job(&mut self, key: &QueueRef, change: &JobChange, at: Millis, epoch: u64) {
        if !self.topics.keys().any(|topic| matches!(topic, Topic::Job(..))) {
            return;
        }
        let topic = Topic::Job(key.clone(), change.id.clone());
        if let Some(state) = self.topics.get_mut(&topic) {
            state.job = Some(change.clone());
            let mut frame = Frame::new(&topic, at);
            frame.jobs.push(change.clone());
            self.push(&topic, &frame, epoch);
        }
    }

    fn snapshot(&mut self, topic: &Topic, epoch: u64) -> Arc<Part> {
        let seq = self.seq;
        if let Some(TopicState {
            snapshot: Some((at, bytes)),
            ..
        }) = self.topics.get(topic)
            && *at == seq
        {
            return bytes.clone();
        }
        let mut frame = Frame::new(topic, now());
        frame.position = Some(Position { epoch, seq });
        let store_of = |inner: &Self, id: &str| inner.stores.iter().filter(|s| s.id == id).cloned().collect();
        match topic {
            Topic::Overview => {
                frame.queues = self.queues.values().map(|queue| QueueSummary::clone(queue)).collect();
                frame.stores.clone_from(&self.stores);
            }
            Topic::Trouble => {
                let mut worst: Vec<&QueueSummary> =
                    self.queues.values().map(|q| &**q).filter(|q| troubled(q)).collect();
                worst.sort_by(|a, b| Sort::Trouble.compare(a, b));
                frame.queues = worst.into_iter().take(TROUBLED_MAX).cloned().collect();
                frame.stores.clone_from(&self.stores);
            }
            Topic::Queue(key) => {
                frame.stores = store_of(self, &key.store);
                match self.queues.get(key) {
                    Some(queue) => frame.queues.push(QueueSummary::clone(queue)),
                    None => frame.removed.push(key.clone()),
                }
            }
            Topic::Job(key, _) => {
                frame.stores = store_of(self, &key.store);
                frame
                    .jobs
                    .extend(self.topics.get(topic).and_then(|state| state.job.clone()));
            }
            Topic::Store(id) => frame.stores = store_of(self, id),
            Topic::Operation(id) => frame.operation = self.operations.get(id).cloned().map(Box::new),
        }
        // Without an id: only when all snapshots of a batch have arrived is the position reached.
        let bytes = encode("snapshot", None, &frame);
        if let Some(state) = self.topics.get_mut(topic) {
            state.snapshot = Some((seq, bytes.clone()));
        }
        bytes
    }
}

fn troubled(queue: &QueueSummary) -> bool {
    matches!(queue.verdict.level, Level::Bad | Level::Watch)
}

/// One event as it goes over the wire.
fn encode(event: &str, id: Option<Position>, data: &impl serde::Serialize) -> Arc<Part> {
    use std::io::Write as _;
    let mut text = Vec::with_capacity(512);
    if let Some(id) = id {
        let _ = writeln!(text, "id: {id}");
    }
    let _ = write!(text, "event: {event}\ndata: ");
    if serde_json::to_writer(&mut text, data).is_err() {
        // Our own types always serialise; an event without data would be skipped by the browser.
        text.extend_from_slice(b"{}");
    }
    text.extend_from_slice(b"\n\n");
    Arc::new(Part::new(text))
}

#[cfg(test)]
#[path = "board_tests.rs"]
mod tests;
