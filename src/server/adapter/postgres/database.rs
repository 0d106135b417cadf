//! One Postgres that is either known to answer or known not to.
//!
//! Reads go over a pool whose sessions cannot write and give up after [`READ_LIMIT`]; actions over another one. Neither
//! waits for a lock for longer than [`LOCK_LIMIT`]. Where a pooler drops these settings ([`session`]), reads
//! bring them along and nothing is written. A supervisor asks for a sign of life every second. When one does not come, nor a
//! new connection, the store is silent; when two do not, both pools are replaced: a connection that hangs in a frozen server
//! is never waited for again.

use super::super::Trouble;
use super::super::rhythm::Rhythm;
use super::classify::{classify, while_connecting};
use super::session::{self, Sessions};
use super::{address, code};
use crate::model::store::Reach;
use arc_swap::ArcSwap;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgConnection, PgPool, PgPoolOptions, PgRow};
use sqlx::{ConnectOptions as _, Connection as _, Executor as _, Postgres};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// How long a read may take before the server gives it up.
pub const READ_LIMIT: Duration = Duration::from_secs(5);

/// How long an action may wait for a lock.
pub const LOCK_LIMIT: Duration = Duration::from_secs(2);

/// How long an action's statement may take.
const WRITE_LIMIT: Duration = Duration::from_secs(15);

/// How long a connection may take to be made, or to become free.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);

/// How long a sign of life may take.
const SIGN_LIMIT: Duration = Duration::from_secs(1);

/// The query for a sign of life: as text, which leaves no prepared statement behind.
const SIGN: &str = "SELECT 1";

/// Missed signs in a row after which the connections are made anew.
const STRIKES: u32 = 2;

/// Connections for reads.
const READERS: u32 = 4;

/// Connections for actions.
const WRITERS: u32 = 2;

/// A statement that took too long.
const TOO_LONG: &str = "57014";

/// Whether the store answers.
pub type Health = Result<(), Trouble>;

/// A statement with its parameters.
pub type Statement<'q> = sqlx::query::Query<'q, Postgres, PgArguments>;

/// One Postgres.
pub struct Database {
    options: PgConnectOptions,
    address: String,
    /// Of reads, and of actions.
    sessions: (Sessions, Sessions),
    /// Whether it is of no use without the settings of its sessions.
    strict: bool,
    pools: ArcSwap<Pools>,
    health: watch::Sender<Health>,
    suspect: Notify,
    rhythm: Rhythm,
    /// Statements sent, for the board's own metrics.
    sent: AtomicU64,
}

struct Pools {
    reads: PgPool,
    writes: PgPool,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Database {
    /// A database that is not connected yet; [`Database::supervise`] connects it. Needs the runtime.
    ///
    /// # Errors
    ///
    /// When the URL is not one of a Postgres: a sentence.
    pub fn new(url: &str) -> Result<Self, String> {
        let options = address::options(url)?.application_name("drover");
        let address = match options.get_socket() {
            Some(socket) => socket.display().to_string(),
            None => format!("{}:{}", options.get_host(), options.get_port()),
        };
        let address = match options.get_database() {
            Some(database) => format!("{address}/{database}"),
            None => address,
        };
        let sessions = (
            Sessions::new(true, READ_LIMIT, LOCK_LIMIT),
            Sessions::new(false, WRITE_LIMIT, LOCK_LIMIT),
        );
        Ok(Self {
            pools: ArcSwap::from_pointee(Pools::new(&options, &sessions)),
            options,
            address,
            sessions,
            strict: false,
            health: watch::Sender::new(Err(Trouble::new(Reach::Connecting, "Connecting for the first time."))),
            suspect: Notify::new(),
            rhythm: Rhythm::default(),
            sent: AtomicU64::new(0),
        })
    }

    /// The same, and it counts as not usable where a pooler drops the settings of its sessions: for what writes all the time.
    #[must_use]
    pub fn strict(self) -> Self {
        Self { strict: true, ..self }
    }

    /// Host, port and database, without a password.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The role that Drover is to the server.
    pub fn user(&self) -> &str {
        self.options.get_username()
    }

    /// How to connect, for `LISTEN`.
    pub fn options(&self) -> &PgConnectOptions {
        &self.options
    }

    /// A connection apart from the pools, with these settings in force.
    ///
    /// # Errors
    ///
    /// Also when a pooler drops the settings.
    pub async fn connect(&self, settings: &[(&'static str, &str)]) -> Result<PgConnection, sqlx::Error> {
        session::connect(&self.options, settings, &self.address).await
    }

    /// Sessions that can only read; [`Database::rows`] holds their limits where a pooler is in between.
    pub fn reads(&self) -> PgPool {
        self.pools.load().reads.clone()
    }

    /// Sessions that may write. A statement that was cut off may have been done: [`Database::trouble`] does not tell.
    pub fn writes(&self) -> PgPool {
        self.pools.load().writes.clone()
    }

    /// A session for an action.
    ///
    /// # Errors
    ///
    /// When there is none, or a pooler drops its settings: nothing is written then.
    pub async fn write(&self) -> Result<PoolConnection<Postgres>, Trouble> {
        let pool = self.writes();
        let connection = self.run(async { pool.acquire().await }).await?;
        match self.dropped() {
            None => Ok(connection),
            Some(why) => Err(Trouble::new(Reach::Live, why)),
        }
    }

    /// Why the settings of its sessions are not in force, in a sentence with what to do; `None` while they are, as far as is
    /// known.
    pub fn dropped(&self) -> Option<String> {
        let mut dropped = self.sessions.0.dropped();
        if dropped.is_empty() {
            dropped = self.sessions.1.dropped();
        }
        (!dropped.is_empty()).then(|| session::sentence(&dropped, &self.address))
    }

    /// Reads rows within the limits of a read.
    ///
    /// # Errors
    ///
    /// What the server or the way to it says.
    pub async fn rows(&self, query: Statement<'_>) -> Result<Vec<PgRow>, sqlx::Error> {
        if self.dropped().is_some() {
            return self.apart(query, &self.sessions.0.begin(None)).await;
        }
        let rows = query.fetch_all(&self.reads()).await;
        rows.inspect_err(|error| self.sessions.0.hear(error))
    }

    /// Reads rows that may take so long; `None` if they take longer.
    ///
    /// # Errors
    ///
    /// As [`Database::rows`].
    pub async fn rows_within(&self, query: Statement<'_>, limit: Duration) -> Result<Option<Vec<PgRow>>, sqlx::Error> {
        let begin = match self.dropped() {
            None => format!("BEGIN; SET LOCAL statement_timeout = {}", limit.as_millis()),
            Some(_) => self.sessions.0.begin(Some(limit)),
        };
        match self.apart(query, &begin).await {
            Ok(rows) => Ok(Some(rows)),
            Err(error) if code(&error).as_deref() == Some(TOO_LONG) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads rows in a transaction of their own.
    async fn apart(&self, query: Statement<'_>, begin: &str) -> Result<Vec<PgRow>, sqlx::Error> {
        let mut transaction = self.reads().begin_with(begin.to_owned()).await?;
        // Nothing is left behind in a session that may be another's next.
        let query = query.persistent(self.dropped().is_none());
        match query.fetch_all(&mut *transaction).await {
            Ok(rows) => transaction.commit().await.map(|()| rows),
            Err(error) => {
                self.sessions.0.hear(&error);
                // The connection may be gone: what went wrong is the error that counts.
                let _ = transaction.rollback().await;
                Err(error)
            }
        }
    }

    /// Waits for a read, counts it, and says in words what went wrong.
    ///
    /// # Errors
    ///
    /// When the store does not answer in time or refuses.
    pub async fn run<T>(&self, read: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, Trouble> {
        if let Err(trouble) = &*self.health.borrow()
            && trouble.reach != Reach::Live
        {
            return Err(trouble.clone());
        }
        self.sent.fetch_add(1, Ordering::Relaxed);
        let asked = Instant::now();
        match timeout(READ_LIMIT + CONNECT_LIMIT, read).await {
            Ok(Ok(answer)) => {
                self.rhythm.answered(asked.elapsed());
                Ok(answer)
            }
            Ok(Err(error)) => Err(self.trouble(&error)),
            Err(_) => {
                self.suspect.notify_one();
                Err(self.frozen())
            }
        }
    }

    /// An error in words. One that says that the connection is bad has the supervisor look at once.
    pub fn trouble(&self, error: &sqlx::Error) -> Trouble {
        let trouble = classify(error, &self.address);
        if trouble.reach != Reach::Live && trouble.reach != Reach::NotAllowed {
            self.suspect.notify_one();
        }
        trouble
    }

    /// How often it is asked.
    pub fn rhythm(&self) -> &Rhythm {
        &self.rhythm
    }

    /// How many statements have been sent.
    pub fn statements_sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Follows whether the store answers.
    pub fn health(&self) -> watch::Receiver<Health> {
        self.health.subscribe()
    }

    /// Asks for signs of life until `stop`.
    pub async fn supervise(self: Arc<Self>, stop: CancellationToken) {
        let mut strikes = 0;
        while !stop.is_cancelled() {
            match self.sign().await {
                Ok(()) => {
                    strikes = 0;
                    self.set(match self.dropped() {
                        Some(why) if self.strict => Err(Trouble::new(Reach::Refused, why)),
                        _ => Ok(()),
                    });
                }
                Err(trouble) => {
                    strikes += 1;
                    self.set(Err(trouble));
                    if strikes == STRIKES || (strikes > STRIKES && strikes.is_multiple_of(10)) {
                        // The old ones are dropped without a farewell, which a frozen server would not answer.
                        self.pools.store(Arc::new(Pools::new(&self.options, &self.sessions)));
                    }
                }
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = sleep(self.rhythm.ping_every()) => {}
                () = self.suspect.notified() => sleep(Duration::from_millis(50)).await,
            }
        }
        let pools = self.pools.load_full();
        let _ = timeout(Duration::from_millis(300), pools.reads.close()).await;
        let _ = timeout(Duration::from_millis(300), pools.writes.close()).await;
    }

    async fn sign(&self) -> Health {
        let asked = Instant::now();
        match timeout(SIGN_LIMIT, self.reads().execute(SIGN)).await {
            Ok(Ok(_)) => {
                self.rhythm.pinged(asked.elapsed());
                Ok(())
            }
            // A pool only says that it has nothing to give; a connection of its own tells why.
            Ok(Err(sqlx::Error::PoolTimedOut)) | Err(_) => self.knock().await,
            Ok(Err(error)) => Err(while_connecting(&error, &self.address)),
        }
    }

    async fn knock(&self) -> Health {
        let asked = Instant::now();
        match timeout(CONNECT_LIMIT, self.options.connect()).await {
            // It lets us in: all our connections are busy with reads that take their time.
            Ok(Ok(connection)) => {
                self.rhythm.answered(asked.elapsed());
                drop(timeout(SIGN_LIMIT, connection.close()).await);
                Ok(())
            }
            Ok(Err(error)) => Err(while_connecting(&error, &self.address)),
            Err(_) => Err(self.frozen()),
        }
    }

    fn frozen(&self) -> Trouble {
        Trouble::new(
            Reach::Frozen,
            format!(
                "{} accepts connections but does not answer: it is frozen, or the network path to it is.",
                self.address
            ),
        )
    }

    fn set(&self, health: Health) {
        self.health.send_if_modified(|known| {
            let news = *known != health;
            *known = health;
            news
        });
    }
}

impl Pools {
    fn new(options: &PgConnectOptions, sessions: &(Sessions, Sessions)) -> Self {
        let pool = |sessions: &Sessions, most: u32| {
            let asked = sessions.clone();
            PgPoolOptions::new()
                .max_connections(most)
                .acquire_timeout(CONNECT_LIMIT)
                .idle_timeout(Duration::from_secs(60))
                .after_connect(move |connection, _| {
                    let asked = asked.clone();
                    Box::pin(async move { asked.check(connection).await })
                })
                .connect_lazy_with(sessions.options(options))
        };
        Self {
            reads: pool(&sessions.0, READERS),
            writes: pool(&sessions.1, WRITERS),
        }
    }
}
