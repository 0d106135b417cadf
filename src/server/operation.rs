//! Actions over many jobs, run by the server.
//!
//! [`select`] freezes a selection, which becomes a [`Preview`](crate::model::operation::Preview) with a token; that token
//! starts it. What runs is a [`run::Run`]: bounded batches that adapt to the store ([`pace`]), a few jobs first if the
//! request says so ([`canary`]), with everything it is about to do and did in a [`journal`], so that the next process
//! goes on where this one was killed. One operation works in a store at a time; the others queue.
//!
//! With a Postgres for what replicas share, operations are kept there ([`shared`]): each replica shows all of them, and
//! one replica runs each ([`replicas`]). One that cannot be kept there, because that Postgres is away, stays with this
//! Drover and its files.

use crate::model::action::Effect;
use crate::model::audit::Became;
use crate::model::operation::{Bounds, Operation, OperationState};
use crate::server::archive::Archive;
use crate::server::audit::Audit;
use crate::server::audit::record::{Key, Record};
use crate::server::collect::board::{Board, Update};
use crate::server::collect::collector::Collector;
use crate::server::tasks::Tasks;
use journal::{Folder, Meta};
use replicas::Sharing;
use run::{Means, Run};
use select::Selection;
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tokio::time::sleep;

pub mod canary;
pub mod journal;
pub mod pace;
pub mod replicas;
pub mod run;
pub mod select;
pub mod shared;

/// A preview can be started for this long.
const PREVIEW_FOR: Duration = Duration::from_secs(600);

/// Previews kept at most; the oldest go first.
const PREVIEWS: usize = 32;

/// How often followers of an operation get its progress.
const TELL_EVERY: Duration = Duration::from_millis(250);

/// Operations kept at most, open ones aside.
const KEPT: usize = 200;

/// What an operation is to do, and who wants it why.
#[derive(Clone, Debug)]
pub struct OperationRequest {
    /// The frozen selection.
    pub selection: Arc<Selection>,
    /// What it does, in a sentence.
    pub sentence: String,
    /// The bounds.
    pub bounds: Bounds,
    /// Who.
    pub who: String,
    /// Why.
    pub reason: String,
    /// Its lines in the audit log; each gets its result when the operation ends.
    pub records: Vec<Record>,
    /// The idempotency key that it was asked for with.
    pub key: Option<Key>,
}

/// A control request for an operation that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// No further batch until it is resumed.
    Pause,
    /// Go on.
    Resume,
    /// No further batch at all.
    Cancel,
}

impl Control {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pause => "Pause",
            Self::Resume => "Resume",
            Self::Cancel => "Cancel",
        }
    }

    /// Whether an operation in this state has applied the request.
    #[must_use]
    pub fn is_applied(self, state: OperationState) -> bool {
        match self {
            Self::Pause => state != OperationState::Running,
            Self::Resume => state != OperationState::Paused,
            Self::Cancel => !state.is_open(),
        }
    }
}

/// Why an operation was not started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotStarted {
    /// It cannot be saved: a sentence.
    Unwritten(String),
    /// Another replica used its idempotency key.
    KeyTaken,
}

impl From<std::io::Error> for NotStarted {
    fn from(error: std::io::Error) -> Self {
        Self::Unwritten(format!("the operation cannot be saved: {error}"))
    }
}

/// See the module.
#[derive(Debug)]
pub struct Operations {
    stores: HashMap<String, Arc<Collector>>,
    archive: Option<Arc<Archive>>,
    /// The turn in each store; the operation that works there holds it.
    turns: HashMap<String, Arc<tokio::sync::Mutex<()>>>,
    folder: Folder,
    audit: Arc<Audit>,
    board: Arc<Board>,
    previews: Mutex<HashMap<String, (Instant, Arc<Selection>)>>,
    /// The id of the operation that each token started.
    started: Mutex<HashMap<String, String>>,
    /// Held while an operation is ordered with an idempotency key.
    ordering: tokio::sync::Mutex<()>,
    /// Newest last.
    runs: Mutex<Vec<Arc<Run>>>,
    /// Set where replicas share operations.
    sharing: OnceLock<Sharing>,
    tasks: Tasks,
}

impl Operations {
    /// Operations over these stores, kept in a folder. Operations that an earlier process left open go on.
    ///
    /// # Errors
    ///
    /// When the folder cannot be used.
    pub fn open(
        folder: &Path,
        stores: impl Iterator<Item = (String, Arc<Collector>)>,
        archive: Option<Arc<Archive>>,
        audit: Arc<Audit>,
        board: Arc<Board>,
        tasks: &Tasks,
    ) -> std::io::Result<Arc<Self>> {
        let stores: HashMap<_, _> = stores.collect();
        let folder = Folder::open(folder)?;
        let all = Arc::new(Self {
            turns: stores.keys().map(|id| (id.clone(), Arc::default())).collect(),
            stores,
            archive,
            audit,
            board,
            previews: Mutex::default(),
            started: Mutex::default(),
            ordering: tokio::sync::Mutex::default(),
            runs: Mutex::new(folder.load(KEPT)?),
            folder,
            sharing: OnceLock::new(),
            tasks: tasks.clone(),
        });
        all.board.publish(Update {
            operations: all.runs().iter().map(|run| run.told()).collect(),
            ..Update::default()
        });
        let open: Vec<_> = all.runs().iter().filter(|run| run.is_open()).cloned().collect();
        for run in &open {
            tracing::info!(operation = run.id(), "an operation of the previous process continues");
            all.spawn(run);
        }
        Ok(all)
    }

    fn runs(&self) -> MutexGuard<'_, Vec<Arc<Run>>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn previews(&self) -> MutexGuard<'_, HashMap<String, (Instant, Arc<Selection>)>> {
        let mut previews = self.previews.lock().unwrap_or_else(PoisonError::into_inner);
        previews.retain(|_, (at, _)| at.elapsed() < PREVIEW_FOR);
        previews
    }

    /// Keeps a selection until it is started; returns the token.
    pub fn keep(&self, selection: Arc<Selection>) -> String {
        let token = format!("{:032x}", rand::random::<u128>());
        let mut previews = self.previews();
        while previews.len() >= PREVIEWS {
            let Some(oldest) = previews
                .iter()
                .min_by_key(|(_, (at, _))| *at)
                .map(|(token, _)| token.clone())
            else {
                break;
            };
            previews.remove(&oldest);
        }
        previews.insert(token.clone(), (Instant::now(), selection));
        token
    }

    /// Its stores.
    pub const fn stores(&self) -> &HashMap<String, Arc<Collector>> {
        &self.stores
    }

    /// The operation that a token started.
    pub fn started_by(&self, token: &str) -> Option<Arc<Run>> {
        let started = self.started.lock().unwrap_or_else(PoisonError::into_inner);
        let id = started.get(token)?.clone();
        drop(started);
        self.get(&id)
    }

    /// Held while an operation is ordered with an idempotency key.
    pub const fn ordering(&self) -> &tokio::sync::Mutex<()> {
        &self.ordering
    }

    /// The operation that was started with this idempotency key, by the same request or by another one.
    pub fn started_with(&self, key: &Key) -> Option<Arc<Run>> {
        let of = |run: &&Arc<Run>| run.meta().key.as_ref().is_some_and(|known| known.key == key.key);
        self.runs().iter().find(of).cloned()
    }

    /// The selection behind a token, which stays usable.
    pub fn kept(&self, token: &str) -> Option<Arc<Selection>> {
        self.previews().get(token).map(|(_, selection)| selection.clone())
    }

    /// Starts a selection; its token is used up.
    ///
    /// # Errors
    ///
    /// When it cannot be saved: then nothing is done.
    pub async fn start(
        self: &Arc<Self>,
        token: &str,
        order: OperationRequest,
    ) -> Result<Option<Operation>, NotStarted> {
        if self.previews().remove(token).is_none() {
            return Ok(None);
        }
        let selection = order.selection.clone();
        let meta = Meta::of(order);
        let run = match self.keep_shared(&meta, &selection.items).await? {
            Some(run) => run,
            None => {
                let folder = self.folder.clone();
                tokio::task::spawn_blocking(move || folder.create(meta, selection.items.clone()))
                    .await
                    .map_err(std::io::Error::other)??
            }
        };
        {
            let mut started = self.started.lock().unwrap_or_else(PoisonError::into_inner);
            if started.len() >= KEPT {
                started.clear();
            }
            started.insert(token.to_owned(), run.id().to_owned());
        }
        self.put(run.clone());
        self.spawn(&run);
        Ok(Some(run.told()))
    }

    fn spawn(self: &Arc<Self>, run: &Arc<Run>) {
        let (all, run) = (self.clone(), run.clone());
        self.tasks
            .see_through("operation", move || all.clone().see_through(run.clone()));
    }

    /// Runs an operation to its end, or until the server stops. One that failed in the middle goes on where it was.
    async fn see_through(self: Arc<Self>, run: Arc<Run>) {
        let all = self;
        let turns = run.stores();
        let turns = turns.iter().filter_map(|store| all.turns.get(store).cloned());
        let turns: Vec<_> = turns.collect();
        let mine = async {
            // The turn among the replicas first: an operation that was taken over has it already.
            all.shared_turn(&run).await;
            // In the order of their names, so that no two wait for each other.
            let mut held = Vec::new();
            for turn in turns {
                held.push(turn.lock_owned().await);
            }
            held
        };
        let tell = || {
            all.board.publish(Update {
                operations: vec![run.told()],
                ..Update::default()
            });
        };
        let telling = async {
            loop {
                tell();
                sleep(TELL_EVERY).await;
            }
        };
        let turn = async {
            tokio::select! {
                held = mine => {
                    let means = Means {
                        stores: &all.stores,
                        archive: all.archive.as_ref(),
                        board: &all.board,
                    };
                    run.work(&means).await;
                    drop(held);
                }
                () = run.ended_before_its_turn() => {}
            }
        };
        let keeping = async {
            match run.held() {
                Some(held) => held.keep(|| run.told()).await,
                None => std::future::pending().await,
            }
        };
        let work = async {
            tokio::select! {
                // Never ends by itself.
                () = telling => {}
                // Ends when another replica has taken it over.
                () = keeping => {}
                () = turn => {}
            }
            let ours = match run.held() {
                Some(held) => held.ended(|| run.told()).await,
                None => !run.is_shared(),
            };
            if !ours {
                return all.lost(&run);
            }
            all.conclude(&run).await;
            tell();
        };
        // An operation under way when the server ends goes on in the next process, or on another replica.
        if all.tasks.stop().run_until_cancelled(work).await.is_none()
            && run.is_open()
            && let Some(held) = run.held()
        {
            held.leave(&run.told()).await;
        }
    }

    /// Adds the results to the audit log.
    async fn conclude(&self, run: &Run) {
        let told = run.told();
        for record in &run.meta().records {
            let totals = serde_json::to_value(told.totals).unwrap_or_default();
            let mut record = record.clone();
            if let Some(details) = record.details.as_object_mut() {
                details.insert("operation".into(), run.id().into());
                details.insert("state".into(), told.state.word().into());
                details.insert("totals".into(), totals);
            }
            let done = Became::Known(Effect::done());
            self.audit.conclude(&Arc::new(record), done).await;
        }
    }

    /// All operations, the newest first.
    pub fn list(&self) -> Vec<Operation> {
        self.runs().iter().rev().map(|run| run.told()).collect()
    }

    /// One of them.
    pub fn get(&self, id: &str) -> Option<Arc<Run>> {
        self.runs().iter().find(|run| run.id() == id).cloned()
    }
}
