//! The embedded SQLite file `state.db`: Drover's own data where no Postgres is configured for it.
//!
//! One Drover uses the file: it holds a lock beside it, and a second one goes on without the file and says so. A command opens the
//! file beside it. Writes go over one connection (WAL, `synchronous=FULL`), reads over another. A request that carries a session or
//! a token waits for it for a second at most, and no other does: a file that cannot be opened or written is logged, reported by
//! `/readyz`, and tried again; meanwhile the data is in memory. A damaged file is renamed to `state.db.damaged-<time>` and a new
//! one begun.

use super::migrate::{Step, migrator};
use crate::model::store::Reach;
use crate::server::adapter::Trouble;
use crate::server::redact::said;
use crate::server::tasks::Tasks;
use rustix::fs::{FlockOperation, flock};
use sqlx::migrate::MigrateError;
use sqlx::sqlite::{
    SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// What it is called.
pub const NAME: &str = "state.db";

/// All steps, by number.
const STEPS: [Step; 3] = [
    (
        1,
        "history",
        include_str!("../../../migrations/sqlite/0001_history.sql"),
    ),
    (
        2,
        "session",
        include_str!("../../../migrations/sqlite/0002_session.sql"),
    ),
    (
        3,
        "identity",
        include_str!("../../../migrations/sqlite/0003_identity.sql"),
    ),
];

/// How soon a file that could not be opened is tried again.
const AGAIN: Duration = Duration::from_secs(2);

/// The same while a command holds the lock, and how long that may be.
const AGAIN_BESIDE: Duration = Duration::from_millis(20);
const BRIEFLY: Duration = Duration::from_millis(500);

/// How often to check whether the file is still in its place and has pages to give back.
const LOOK: Duration = Duration::from_secs(60);

/// How long after one damaged file a second one is set aside: a disk that damages each new file must not fill up with them.
const APART: Duration = Duration::from_secs(3_600);

/// How long a piece of work may take, and the end of a connection.
const LIMIT: Duration = Duration::from_secs(20);
const CLOSE: Duration = Duration::from_millis(500);

/// How long a caller right after a start waits until it is open.
const SOON: Duration = Duration::from_secs(2);

/// Pages that are given back to the disk at a time, once so many are free.
const PAGES: i64 = 512;

/// `SQLITE_CORRUPT` and `SQLITE_NOTADB`: the low byte of an error's code.
const DAMAGED: [i32; 2] = [11, 26];

/// See the module.
#[derive(Debug)]
pub struct StateFile {
    path: PathBuf,
    open: watch::Sender<Result<Arc<Open>, Trouble>>,
    /// Why the last write failed.
    unwritten: Mutex<Option<Trouble>>,
}

/// Its connections, while it is open.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) reads: SqlitePool,
    pub(super) writes: SqlitePool,
    /// Which file it is: it may be moved away.
    inode: u64,
    /// A read or a write met damage.
    damaged: Notify,
}

impl Open {
    async fn close(&self) {
        let _ = timeout(CLOSE, self.reads.close()).await;
        // Two connections that close in the same moment each leave this to the other.
        let whole = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&self.writes);
        let _ = timeout(CLOSE, whole).await;
        let _ = timeout(CLOSE, self.writes.close()).await;
    }
}

/// Whether an error says that the file is damaged.
fn is_damage(error: &sqlx::Error) -> bool {
    if let sqlx::Error::Migrate(error) = error {
        return match &**error {
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => is_damage(error),
            _ => false,
        };
    }
    let code = error
        .as_database_error()
        .and_then(|error| error.code()?.parse::<i32>().ok());
    code.is_some_and(|code| DAMAGED.contains(&(code & 0xff)))
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    name.into()
}

impl StateFile {
    /// A file that is not open yet; [`StateFile::start`] opens it.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        let first = Trouble::new(Reach::Connecting, format!("{} is not open yet.", path.display()));
        Self {
            path: path.to_path_buf(),
            open: watch::Sender::new(Err(first)),
            unwritten: Mutex::default(),
        }
    }

    /// Opens the file and keeps it open until the server stops.
    pub fn start(self: &Arc<Self>, tasks: &Tasks) {
        let (file, stop) = (self.clone(), tasks.stop().clone());
        tasks.keep_closing("state file", move || file.clone().keep(stop.clone()));
    }

    /// Opens the file for a command until `stop`, also beside the Drover that uses it. SQLite has each process see what the
    /// other has written.
    pub(super) async fn open_beside(&self, stop: CancellationToken) {
        let again = Instant::now() + SOON;
        let opened = loop {
            // Held while the tables are made, and not for longer: a Drover that starts meanwhile needs it.
            let lock = self.lock();
            let opened = self.connect().await;
            // The process that holds it may be making the tables.
            if opened.is_ok() || lock.is_ok() || Instant::now() > again {
                break opened;
            }
            sleep(AGAIN_BESIDE).await;
        };
        let _ = self.open.send_replace(opened.map_err(|error| self.refused(&error)));
        stop.cancelled().await;
        let open = self.open.send_replace(Err(self.cannot("it is closed")));
        if let Ok(open) = open {
            open.close().await;
        }
    }

    /// Whether it is open.
    ///
    /// # Errors
    ///
    /// Why not, in a sentence.
    pub fn ready(&self) -> Result<(), Trouble> {
        self.open().map(|_| ())
    }

    /// The same, and right after a start waits until that is known, but not for long.
    pub(super) async fn soon(&self) -> Result<(), Trouble> {
        let mut open = self.open.subscribe();
        let known =
            |open: &Result<Arc<Open>, Trouble>| !matches!(open, Err(trouble) if trouble.reach == Reach::Connecting);
        let _ = timeout(SOON, open.wait_for(known)).await;
        self.ready()
    }

    /// Why nothing is written to it, in a sentence; `None` while it is.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        let unwritten = self.unwritten.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let trouble = self.ready().err().or(unwritten)?;
        (trouble.reach != Reach::Connecting).then_some(trouble.cause)
    }

    pub(super) fn open(&self) -> Result<Arc<Open>, Trouble> {
        self.open.borrow().clone()
    }

    /// Waits for a read.
    pub(super) async fn read<T>(
        &self,
        open: &Open,
        work: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, Trouble> {
        match timeout(LIMIT, work).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => {
                if is_damage(&error) {
                    open.damaged.notify_one();
                }
                Err(self.refused(&error))
            }
            Err(_) => Err(self.cannot("the disk does not answer")),
        }
    }

    /// Waits for a write, and logs when writes begin to fail and when they succeed again.
    pub(super) async fn write<T>(
        &self,
        open: &Open,
        work: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, Trouble> {
        let done = self.read(open, work).await;
        let trouble = done.as_ref().err().cloned();
        let before = {
            let mut unwritten = self.unwritten.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *unwritten, trouble.clone())
        };
        match trouble {
            Some(trouble) if before.as_ref() != Some(&trouble) => {
                tracing::warn!("Drover's own data is in memory only for now: {trouble}");
            }
            None if before.is_some() => tracing::info!("{} is written again", self.path.display()),
            _ => {}
        }
        done
    }

    fn cannot(&self, why: &str) -> Trouble {
        Trouble::new(
            Reach::Refused,
            format!("{} cannot be used: {why}.", self.path.display()),
        )
    }

    fn refused(&self, error: &sqlx::Error) -> Trouble {
        let why = error
            .as_database_error()
            .map_or_else(|| error.to_string(), |error| error.message().to_owned());
        self.cannot(&said(&why))
    }

    async fn keep(self: Arc<Self>, stop: CancellationToken) {
        // Held until its connections are closed.
        let mut lock = None;
        stop.run_until_cancelled(self.keep_open(&mut lock)).await;
        let open = self.open.send_replace(Err(self.cannot("Drover is stopping")));
        if let Ok(open) = open {
            open.close().await;
        }
    }

    async fn keep_open(&self, lock: &mut Option<File>) {
        let mut set_aside: Option<Instant> = None;
        loop {
            let why = match self.try_open(lock).await {
                Ok(open) => {
                    tracing::info!(file = %self.path.display(), "Drover's own data is in this file");
                    let _ = self.open.send_replace(Ok(open.clone()));
                    let damaged = self.tend(&open).await;
                    open.close().await;
                    if !damaged {
                        continue;
                    }
                    "a read or a write found it malformed".to_owned()
                }
                Err(error) if is_damage(&error) => error.to_string(),
                Err(error) => {
                    self.tell(self.refused(&error));
                    sleep(AGAIN).await;
                    continue;
                }
            };
            let path = self.path.display();
            if let Some(at) = set_aside.filter(|at| at.elapsed() < APART) {
                self.tell(
                    self.cannot("it is damaged again within an hour: check the disk and the memory of this machine"),
                );
                sleep(APART.saturating_sub(at.elapsed())).await;
            }
            match self.set_aside() {
                Ok(aside) => {
                    set_aside = Some(Instant::now());
                    self.tell(self.cannot("it is damaged"));
                    tracing::error!(
                        "{path} is damaged ({why}). It is kept as {}; a new one is begun",
                        aside.display()
                    );
                }
                Err(why) => {
                    self.tell(self.cannot(&format!("it is damaged and cannot be renamed: {why}")));
                    sleep(AGAIN).await;
                }
            }
        }
    }

    /// Logs why it is not open, once for each reason.
    fn tell(&self, trouble: Trouble) {
        let news = self.open.borrow().as_ref().err() != Some(&trouble);
        if news {
            tracing::warn!("Drover's own data is in memory only for now: {trouble}");
            let _ = self.open.send_replace(Err(trouble));
        }
    }

    async fn try_open(&self, lock: &mut Option<File>) -> Result<Arc<Open>, sqlx::Error> {
        if lock.is_none() {
            let until = Instant::now() + BRIEFLY;
            *lock = Some(loop {
                match self.lock() {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock && Instant::now() < until => {
                        sleep(AGAIN_BESIDE).await;
                    }
                    locked => break locked?,
                }
            });
        }
        self.connect().await
    }

    async fn connect(&self) -> Result<Arc<Open>, sqlx::Error> {
        // Other users of the machine cannot read it; SQLite gives the files beside it the same mode.
        match OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&self.path)
        {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error.into()),
            _ => {}
        }
        let options = SqliteConnectOptions::new()
            .filename(&self.path)
            .auto_vacuum(SqliteAutoVacuum::Incremental)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .pragma("journal_size_limit", "16777216");
        let pool = || {
            SqlitePoolOptions::new()
                .max_connections(1)
                .acquire_timeout(LIMIT)
                .idle_timeout(None)
                .max_lifetime(None)
        };
        let writes = pool().connect_with(options.clone()).await?;
        migrator(&STEPS)
            .run(&writes)
            .await
            .map_err(|error| sqlx::Error::Migrate(Box::new(error)))?;
        // A file that can only be read is known now and not at the first write.
        sqlx::query("PRAGMA user_version = 1").execute(&writes).await?;
        let reads = pool().connect_with(options.pragma("query_only", "on")).await?;
        let inode = fs::metadata(&self.path)?.ino();
        Ok(Arc::new(Open {
            reads,
            writes,
            inode,
            damaged: Notify::new(),
        }))
    }

    fn lock(&self) -> io::Result<File> {
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder)?;
        }
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(beside(&self.path, ".lock"))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|error| match error {
            rustix::io::Errno::WOULDBLOCK => io::Error::new(io::ErrorKind::WouldBlock, "another Drover uses it"),
            error => error.into(),
        })?;
        Ok(lock)
    }

    /// Looks after the open file until it is damaged, or no longer in its place; whether it is damaged.
    async fn tend(&self, open: &Open) -> bool {
        loop {
            tokio::select! {
                () = open.damaged.notified() => return true,
                () = sleep(LOOK) => {}
            }
            if fs::metadata(&self.path).map_or(true, |meta| meta.ino() != open.inode) {
                tracing::warn!(
                    "{} was moved or removed while in use: a new one is begun",
                    self.path.display()
                );
                return false;
            }
            let _ = self.write(open, give_back(&open.writes)).await;
        }
    }

    /// Renames the damaged file and its log; what is free of either begins anew.
    fn set_aside(&self) -> io::Result<PathBuf> {
        let aside = beside(&self.path, &format!(".damaged-{}", crate::model::now()));
        fs::rename(&self.path, &aside)?;
        // Rows that were not in the file yet.
        let _ = fs::rename(beside(&self.path, "-wal"), beside(&aside, "-wal"));
        let _ = fs::remove_file(beside(&self.path, "-shm"));
        Ok(aside)
    }
}

/// Gives free pages back to the disk, a few at a time, while they are more than a tenth of the file.
async fn give_back(writes: &SqlitePool) -> Result<(), sqlx::Error> {
    loop {
        let sql = "SELECT freelist_count, page_count FROM pragma_freelist_count, pragma_page_count";
        let (free, all): (i64, i64) = sqlx::query_as(sql).fetch_one(writes).await?;
        if free < PAGES || free < all / 10 {
            return Ok(());
        }
        sqlx::query(&format!("PRAGMA incremental_vacuum({PAGES})"))
            .execute(writes)
            .await?;
    }
}
