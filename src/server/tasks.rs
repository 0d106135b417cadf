//! The supervisor of this process's tasks: it logs, reports and restarts a task that panics or ends early.
//!
//! A task that ends unnoticed leaves its last state in place: a store whose connection is no longer checked stays "live".
//! So every task that must run as long as the server is started with [`Tasks::keep`]. While one is down, [`Tasks::down`]
//! returns its name, `/readyz` fails, and the notice given to [`Tasks::of`] is called.
//!
//! A task that ends by itself, such as an action under way, is started with [`Tasks::spawn`].

use super::redact::said;
use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, oneshot};
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// When a failed task starts again, and when it counts as running.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Pauses before it starts again: one for each failure in a row, the last for all further ones.
    pub again: [Duration; 4],
    /// It counts as running when it has run for this long.
    pub steady: Duration,
    /// Failures further apart than this are not in a row.
    pub apart: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            again: [1, 2, 10, 30].map(Duration::from_secs),
            steady: Duration::from_secs(5),
            apart: Duration::from_secs(60),
        }
    }
}

/// Called when a task goes down, with its name and the reason, and again without a reason when it runs again.
type Notice = Arc<dyn Fn(&'static str, Option<&str>) + Send + Sync>;

/// The supervisor. Cheap to clone.
#[derive(Clone)]
pub struct Tasks {
    shared: Arc<Shared>,
    scope: Option<Scope>,
}

/// What tasks are about.
#[derive(Clone)]
struct Scope {
    of: Arc<str>,
    notice: Notice,
}

struct Shared {
    tracker: TaskTracker,
    stop: CancellationToken,
    pace: Pace,
    kept: Mutex<BTreeMap<String, Kept>>,
}

/// A task that is kept running.
struct Kept {
    name: &'static str,
    down: bool,
    fault: Arc<Notify>,
}

/// How a task ended.
enum End {
    /// As it was meant to.
    Meant,
    /// By itself, while the server still runs.
    Early,
}

impl fmt::Debug for Tasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tasks").field("kept", &self.names()).finish()
    }
}

impl From<CancellationToken> for Tasks {
    fn from(stop: CancellationToken) -> Self {
        Self::new(stop)
    }
}

impl Tasks {
    /// No tasks yet. All that are kept end when `stop` is cancelled.
    #[must_use]
    pub fn new(stop: CancellationToken) -> Self {
        Self::with(stop, Pace::default())
    }

    /// The same at another pace.
    #[must_use]
    pub fn with(stop: CancellationToken, pace: Pace) -> Self {
        let shared = Shared {
            tracker: TaskTracker::new(),
            stop,
            pace,
            kept: Mutex::default(),
        };
        Self {
            shared: Arc::new(shared),
            scope: None,
        }
    }

    /// The same supervisor for tasks about one thing, such as a store; `notice` is called for those tasks only.
    #[must_use]
    pub fn of(&self, what: &str, notice: impl Fn(&'static str, Option<&str>) + Send + Sync + 'static) -> Self {
        Self {
            shared: self.shared.clone(),
            scope: Some(Scope {
                of: what.into(),
                notice: Arc::new(notice),
            }),
        }
    }

    /// Cancelled when the server is asked to stop.
    #[must_use]
    pub fn stop(&self) -> &CancellationToken {
        &self.shared.stop
    }

    /// Starts a task that ends by itself. The server waits for it at the stop.
    pub fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        self.shared.tracker.spawn(task)
    }

    /// Keeps a task running until the server stops; then the task is dropped.
    pub fn keep<F>(&self, name: &'static str, make: impl Fn() -> F + Send + Sync + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let stop = self.stop().clone();
        self.keep_closing(name, move || {
            let (stop, work) = (stop.clone(), make());
            async move {
                stop.run_until_cancelled(work).await;
            }
        });
    }

    /// The same for a task that closes something at the stop and then ends by itself.
    pub fn keep_closing<F>(&self, name: &'static str, make: impl Fn() -> F + Send + Sync + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let stop = self.stop().clone();
        let task = self.attend(name, move || {
            let (stop, work) = (stop.clone(), make());
            async move {
                work.await;
                if stop.is_cancelled() { End::Meant } else { End::Early }
            }
        });
        self.spawn(task);
    }

    /// Runs a task to its end; it is restarted only after a panic.
    pub fn see_through<F>(&self, name: &'static str, make: impl Fn() -> F + Send + Sync + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.spawn(self.attend_to_the_end(name, make));
    }

    /// The same for a task that may end after the server: the stop does not wait for it.
    pub fn see_through_alone<F>(&self, name: &'static str, make: impl Fn() -> F + Send + Sync + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        tokio::spawn(self.attend_to_the_end(name, make));
    }

    fn attend_to_the_end<F>(
        &self,
        name: &'static str,
        make: impl Fn() -> F + Send + Sync + 'static,
    ) -> impl Future<Output = ()> + Send + 'static
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.attend(name, move || {
            let work = make();
            async move {
                work.await;
                End::Meant
            }
        })
    }

    /// Runs a task again and again until it ends as it was meant to.
    fn attend<F>(
        &self,
        name: &'static str,
        make: impl Fn() -> F + Send + Sync + 'static,
    ) -> impl Future<Output = ()> + Send + 'static
    where
        F: Future<Output = End> + Send + 'static,
    {
        let this = self.clone();
        let make = Arc::new(make);
        let fault = Arc::new(Notify::new());
        let full = this.enter(name, &fault);
        async move {
            let mut failures = 0;
            loop {
                let began = Instant::now();
                let why = match this.attempt(name, &full, make.clone(), fault.clone()).await {
                    Ok(End::Meant) => break,
                    Ok(End::Early) => "it ended unexpectedly".to_owned(),
                    Err(error) => match why(error) {
                        Some(why) => why,
                        None => break,
                    },
                };
                if this.stop().is_cancelled() {
                    break;
                }
                if began.elapsed() > this.shared.pace.apart {
                    failures = 0;
                }
                let pauses = &this.shared.pace.again;
                let pause = pauses[failures.min(pauses.len() - 1)];
                failures += 1;
                this.went_down(name, &full, &why, pause);
                if this.stop().run_until_cancelled(sleep(pause)).await.is_none() {
                    break;
                }
            }
            this.kept().remove(&full);
        }
    }

    async fn attempt<F>(
        &self,
        name: &'static str,
        full: &str,
        make: Arc<impl Fn() -> F + Send + Sync + 'static>,
        fault: Arc<Notify>,
    ) -> Result<End, JoinError>
    where
        F: Future<Output = End> + Send + 'static,
    {
        let mut running = tokio::spawn(async move {
            tokio::select! {
                end = make() => end,
                () = fault.notified() => panic!("a test made it fail"),
            }
        });
        let down = self.kept().get(full).is_some_and(|kept| kept.down);
        if down {
            if let Ok(ended) = timeout(self.shared.pace.steady, &mut running).await {
                return ended;
            }
            self.set_down(full, false);
            tracing::info!(task = full, "a task of Drover runs again");
            self.tell(name, None);
        }
        running.await
    }

    fn kept(&self) -> MutexGuard<'_, BTreeMap<String, Kept>> {
        self.shared.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, name: &'static str, fault: &Arc<Notify>) -> String {
        let named = match &self.scope {
            Some(scope) => format!("{name} of {}", scope.of),
            None => name.to_owned(),
        };
        let mut kept = self.kept();
        // Several operations run at a time.
        let mut full = named.clone();
        let mut n = 2;
        while kept.contains_key(&full) {
            full = format!("{named} ({n})");
            n += 1;
        }
        let fault = fault.clone();
        let down = false;
        kept.insert(full.clone(), Kept { name, down, fault });
        full
    }

    fn set_down(&self, full: &str, down: bool) {
        if let Some(kept) = self.kept().get_mut(full) {
            kept.down = down;
        }
    }

    fn went_down(&self, name: &'static str, full: &str, why: &str, pause: Duration) {
        self.set_down(full, true);
        let again_in_s = pause.as_secs();
        tracing::error!(
            task = full,
            again_in_s,
            "a task of Drover failed and will be restarted: {why}"
        );
        self.tell(name, Some(why));
    }

    /// The notice may panic for the same reason as the task; that must not end the supervisor's own task.
    fn tell(&self, name: &'static str, why: Option<&str>) {
        if let Some(scope) = &self.scope {
            let _ = catch_unwind(AssertUnwindSafe(|| (scope.notice)(name, why)));
        }
    }

    /// The names of tasks that are to run and do not, without what they are about.
    #[must_use]
    pub fn down(&self) -> Vec<&'static str> {
        self.kept()
            .values()
            .filter(|kept| kept.down)
            .map(|kept| kept.name)
            .collect()
    }

    /// All tasks that are kept, each with what it is about.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.kept().keys().cloned().collect()
    }

    /// Makes a task panic that is kept under this name: for tests, nothing in the server calls it.
    pub fn fail(&self, name: &str) {
        if let Some(kept) = self.kept().get(name) {
            kept.fault.notify_one();
        }
    }

    /// Waits until everything has ended, but no longer than `limit`.
    pub async fn ended(&self, limit: Duration) {
        self.shared.tracker.close();
        let _ = timeout(limit, self.shared.tracker.wait()).await;
    }
}

/// The message of a panic; `None` when the runtime is shutting down.
fn why(error: JoinError) -> Option<String> {
    let panic = error.try_into_panic().ok()?;
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    Some(match text {
        Some(text) => format!("it panicked: {}", said(text)),
        None => "it panicked".to_owned(),
    })
}

/// Runs blocking work on its own thread and waits for it; a panic there continues here.
pub async fn on_a_thread(name: &str, work: impl FnOnce() + Send + 'static) {
    let (sender, ended) = oneshot::channel();
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        let _ = sender.send(catch_unwind(AssertUnwindSafe(work)));
    });
    if let Err(error) = thread {
        panic!("the thread {name} cannot start: {error}");
    }
    if let Ok(Err(panic)) = ended.await {
        resume_unwind(panic);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};
    use tokio::sync::mpsc;

    /// The calls of a notice, in order.
    type Calls = mpsc::UnboundedReceiver<(&'static str, Option<String>)>;

    fn tasks() -> (Tasks, Calls) {
        let pace = Pace {
            again: [10; 4].map(Duration::from_millis),
            steady: Duration::from_millis(30),
            apart: Duration::from_secs(60),
        };
        let (sender, calls) = mpsc::unbounded_channel();
        let tasks = Tasks::with(CancellationToken::new(), pace).of("redis", move |name, why| {
            let _ = sender.send((name, why.map(str::to_owned)));
        });
        (tasks, calls)
    }

    #[tokio::test]
    async fn a_task_that_panics_is_reported_and_restarted() {
        let (tasks, mut calls) = tasks();
        let starts = Arc::new(AtomicU32::new(0));
        let counted = starts.clone();
        tasks.keep("poll", move || {
            let first = counted.fetch_add(1, Ordering::SeqCst) == 0;
            async move {
                assert!(!first, "the password=hunter2 was wrong");
                std::future::pending::<()>().await;
            }
        });
        let (name, why) = calls.recv().await.unwrap();
        assert_eq!(name, "poll");
        assert_eq!(why.unwrap(), "it panicked: the password=[redacted] was wrong");
        assert_eq!(tasks.down(), ["poll"]);
        assert_eq!(calls.recv().await.unwrap(), ("poll", None));
        assert!(tasks.down().is_empty());
        assert_eq!(starts.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_task_that_ends_early_is_reported_and_one_that_ends_at_the_stop_is_not() {
        let (tasks, mut calls) = tasks();
        tasks.keep("ends", || async {});
        assert_eq!(calls.recv().await.unwrap().1.unwrap(), "it ended unexpectedly");
        let stop = tasks.stop().clone();
        tasks.keep_closing("closes", move || stop.clone().cancelled_owned());
        tasks.keep("stays", std::future::pending);
        assert_eq!(tasks.names(), ["closes of redis", "ends of redis", "stays of redis"]);
        tasks.stop().cancel();
        tasks.ended(Duration::from_secs(10)).await;
        assert!(tasks.names().is_empty());
        calls.close();
        while let Some((name, _)) = calls.recv().await {
            assert_eq!(name, "ends");
        }
    }

    #[tokio::test]
    async fn a_task_that_is_made_to_fail_is_one_of_that_name_alone() {
        let (tasks, mut calls) = tasks();
        tasks.keep("one", std::future::pending);
        tasks.keep("other", std::future::pending);
        tasks.fail("other of redis");
        assert_eq!(calls.recv().await.unwrap().0, "other");
        assert_eq!(calls.recv().await.unwrap(), ("other", None));
    }

    #[tokio::test]
    async fn a_panic_on_a_thread_restarts_its_task_also_when_the_notice_panics() {
        let (tasks, _) = tasks();
        let tasks = tasks.of("file", |_, _| panic!("the notice failed"));
        let (sender, mut again) = mpsc::unbounded_channel();
        tasks.keep("writer", move || {
            let sender = sender.clone();
            on_a_thread("writer", move || {
                let _ = sender.send(());
                panic!("the disk is odd");
            })
        });
        for _ in 0..3 {
            again.recv().await.unwrap();
        }
    }
}
