//! Operations among several replicas: each replica shows those of the others, passes a control request to the replica
//! that runs the operation, and takes over operations that no replica runs any more.

use super::journal::{Home, Log, Meta, Past};
use super::run::Run;
use super::select::Item;
use super::shared::{News, NotKept};
use super::{Control, KEPT, NotStarted, Operations};
use crate::server::adapter::Trouble;
use crate::server::archive::Archive;
use crate::server::collect::board::Update;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::time::{sleep, timeout};

/// How often the progress and the control requests of the other replicas are read.
const LOOK: Duration = Duration::from_millis(300);

/// How often an operation that waits for its turn tries to take it.
const TURN: Duration = Duration::from_millis(250);

/// A control request waits this long at most until the operation has applied it.
const CONTROL_WAIT: Duration = Duration::from_secs(3);

/// Where operations are shared, and by whom.
#[derive(Debug)]
pub(super) struct Sharing {
    archive: Arc<Archive>,
    /// This process, as far as leases are concerned.
    me: String,
    /// While it is held, no other process has this replica's id.
    _lock: Option<File>,
    /// Whether this replica runs operations.
    runs: bool,
    /// Operations that are just being started here.
    starting: Mutex<HashSet<String>>,
    /// The version of each operation that is known.
    versions: Mutex<HashMap<String, i64>>,
}

const fn word(control: Control) -> &'static str {
    match control {
        Control::Pause => "pause",
        Control::Resume => "work",
        Control::Cancel => "cancel",
    }
}

fn control_of(word: &str) -> Control {
    match word {
        "pause" => Control::Pause,
        "cancel" => Control::Cancel,
        _ => Control::Resume,
    }
}

impl Sharing {
    fn versions(&self) -> MutexGuard<'_, HashMap<String, i64>> {
        self.versions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn starting(&self) -> MutexGuard<'_, HashSet<String>> {
        self.starting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Operations {
    /// From now on operations are kept where all replicas see them. Without `runs` they are only shown here.
    pub fn share(self: &Arc<Self>, runs: bool) {
        let Some(archive) = &self.archive else { return };
        let (me, lock) = self.folder.identity();
        let sharing = Sharing {
            archive: archive.clone(),
            me,
            _lock: lock,
            runs,
            starting: Mutex::default(),
            versions: Mutex::default(),
        };
        if self.sharing.set(sharing).is_ok() {
            let all = self.clone();
            self.tasks.keep("operations", move || {
                let all = all.clone();
                async move { all.follow().await }
            });
        }
    }

    async fn follow(self: &Arc<Self>) {
        let Some(sharing) = self.sharing.get() else { return };
        loop {
            if sharing.archive.shared().ready().is_ok()
                && let Err(trouble) = self.look(sharing).await
            {
                tracing::debug!(%trouble, "what the operations of other replicas do is not known");
            }
            sleep(LOOK).await;
        }
    }

    async fn look(self: &Arc<Self>, sharing: &Sharing) -> Result<(), Trouble> {
        let known: Vec<_> = sharing.versions().clone().into_iter().collect();
        let mut shown = Vec::new();
        for news in sharing.archive.operation_news(&known, &sharing.me).await? {
            if sharing.starting().contains(&news.id) {
                continue;
            }
            let fresh = sharing.versions().insert(news.id.clone(), news.version) != Some(news.version);
            let run = self.get(&news.id);
            if let Some(run) = run.as_ref().filter(|run| run.held().is_some()) {
                if run.note_requests(news.asked) {
                    let (run, control) = (run.clone(), control_of(&news.wanted));
                    // Spawned, because it may wait for news of the next look.
                    self.tasks
                        .spawn(async move { timeout(CONTROL_WAIT, run.control(control)).await });
                }
                continue;
            }
            if fresh {
                shown.push(news.told.clone());
                match run {
                    Some(run) => run.show(news.told.clone()),
                    None => {
                        let home = Home::Shared(sharing.archive.clone());
                        self.put(Arc::new(Run::shown(news.meta.clone(), news.told.clone(), home)));
                    }
                }
            }
            if news.left && sharing.runs {
                self.take(sharing, news).await?;
            }
        }
        if !shown.is_empty() {
            self.forget_old();
            self.board.publish(Update {
                operations: shown,
                ..Update::default()
            });
        }
        Ok(())
    }

    /// Takes over an operation that no replica runs, if its stores are known here. One that is only to end needs none.
    async fn take(self: &Arc<Self>, sharing: &Sharing, news: News) -> Result<(), Trouble> {
        let known = news
            .meta
            .queues
            .iter()
            .all(|queue| self.stores.contains_key(&queue.store));
        if !known && news.wanted != "cancel" {
            return Ok(());
        }
        let archive = &sharing.archive;
        let Some(held) = archive.take_operation(&news.id, &sharing.me).await? else {
            return Ok(());
        };
        let items = archive.operation_items(&news.id).await;
        let past = archive.operation_past(&news.id, news.meta.selected).await;
        let (Ok(items), Ok(past)) = (items, past) else {
            held.leave(&news.told).await;
            return Ok(());
        };
        tracing::info!(
            operation = news.id,
            "an operation that no replica runs any more continues here"
        );
        let run = Run::new(
            news.meta,
            items,
            past,
            Home::Shared(archive.clone()),
            Some(Log::Shared(Arc::new(held))),
        );
        run.begin_with(&news.wanted, news.asked);
        let run = Arc::new(run);
        self.put(run.clone());
        self.spawn(&run);
        Ok(())
    }

    /// Replaces the known version of an operation, or inserts it by its age.
    pub(super) fn put(&self, run: Arc<Run>) {
        let mut runs = self.runs();
        runs.retain(|known| known.id() != run.id());
        let place = runs.partition_point(|known| known.id() < run.id());
        runs.insert(place, run);
    }

    /// Forgets old operations, which Postgres does not keep any more either.
    fn forget_old(&self) {
        let mut runs = self.runs();
        let old = |run: &Arc<Run>| run.is_shared() && !run.is_open();
        let mut over = runs.iter().filter(|run| old(run)).count().saturating_sub(KEPT);
        runs.retain(|run| {
            let goes = over > 0 && old(run);
            over -= usize::from(goes);
            !goes
        });
    }

    /// Keeps a new operation where all replicas see it; `None` where that is not possible, and it stays on this
    /// replica.
    pub(super) async fn keep_shared(&self, meta: &Meta, items: &[Item]) -> Result<Option<Arc<Run>>, NotStarted> {
        let Some(sharing) = self.sharing.get() else {
            return Ok(None);
        };
        let home = || Home::Shared(sharing.archive.clone());
        let told = Run::new(meta.clone(), vec![], Past::default(), home(), None).told();
        sharing.starting().insert(meta.id.clone());
        let kept = sharing
            .archive
            .keep_operation(meta, &told, items, &sharing.me, KEPT)
            .await;
        let kept = match kept {
            Ok(held) => {
                let log = Log::Shared(Arc::new(held));
                let run = Run::new(meta.clone(), items.to_vec(), Past::default(), home(), Some(log));
                let run = Arc::new(run);
                self.put(run.clone());
                Ok(Some(run))
            }
            Err(NotKept::Absent(trouble)) => {
                tracing::warn!(
                    operation = meta.id,
                    "an operation is kept by this Drover alone: {trouble}"
                );
                Ok(None)
            }
            Err(NotKept::KeyTaken) => Err(NotStarted::KeyTaken),
            Err(NotKept::Unknown(trouble)) => Err(NotStarted::Unwritten(format!(
                "{} Whether the operation was saved is not known: if it was, it is among the operations and runs as \
                 soon as that Postgres answers. Check there before you start it again.",
                trouble.cause
            ))),
        };
        sharing.starting().remove(&meta.id);
        kept
    }

    /// Returns when an operation has the turn in all its stores, whichever replicas run the other operations.
    pub(super) async fn shared_turn(&self, run: &Run) {
        let Some(sharing) = self.sharing.get().filter(|_| run.held().is_some()) else {
            return;
        };
        while !matches!(sharing.archive.take_turn(run.id()).await, Ok(true)) {
            sleep(TURN).await;
        }
    }

    /// Shows the operation as another replica reports it from now on.
    pub(super) fn lost(&self, run: &Run) {
        tracing::warn!(operation = run.id(), "an operation was taken over by another Drover");
        if let Some(sharing) = self.sharing.get() {
            sharing.versions().remove(run.id());
        }
    }

    /// Pauses, resumes or cancels an operation, wherever it runs.
    ///
    /// # Errors
    ///
    /// Why the request cannot reach the replica that runs it.
    pub async fn control(&self, run: &Arc<Run>, control: Control) -> Result<(), String> {
        if !run.is_shared() {
            run.control(control).await;
            return Ok(());
        }
        let here = run.held().is_some();
        if let Some(sharing) = self.sharing.get() {
            match sharing.archive.want(run.id(), word(control)).await {
                Ok(asked) if here => {
                    asked.map(|asked| run.note_requests(asked));
                }
                Ok(_) => {}
                Err(_) if here => {}
                Err(trouble) => return Err(trouble.cause),
            }
        }
        if here {
            let _ = timeout(CONTROL_WAIT, run.control(control)).await;
            return Ok(());
        }
        let until = Instant::now() + CONTROL_WAIT;
        while Instant::now() < until && !control.is_applied(run.state()) {
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}
