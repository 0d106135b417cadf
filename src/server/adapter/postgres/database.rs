//! One Postgres that is either known to answer or known not to.
//!
//! Reads go over a pool whose sessions cannot write and give up after [`READ_LIMIT`]; actions over another one. Neither
//! waits for a lock for longer than [`LOCK_LIMIT`]. A supervisor asks for a sign of life every second. When two do not
//! come, both pools are replaced: a connection that hangs in a frozen server is never waited for again.

use super::super::Trouble;
use super::super::rhythm::Rhythm;
use super::classify::classify;
use crate::model::store::Reach;
use arc_swap::ArcSwap;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions, PgSslMode};
use sqlx::{ConnectOptions as _, Connection as _};
use std::fmt;
use std::str::FromStr as _;
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

/// The pace of the signs of life.
const SIGN_EVERY: Duration = Duration::from_secs(1);

/// Missed signs in a row after which the connections are made anew.
const STRIKES: u32 = 2;

/// Connections for reads, and for actions.
const CONNECTIONS: (u32, u32) = (4, 2);

/// Whether the store answers.
pub type Health = Result<(), Trouble>;

/// One Postgres.
pub struct Database {
    options: PgConnectOptions,
    address: String,
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

/// What a URL says, as far as a configuration is judged by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The host, or the folder of a socket.
    pub host: String,
    /// Whether it asks for encryption, and does without a connection that has none.
    pub encrypted: bool,
    /// Whether it carries a password.
    pub password: bool,
}

impl Address {
    /// Reads a URL.
    ///
    /// # Errors
    ///
    /// When it is not one of a Postgres: a sentence.
    pub fn of(url: &str) -> Result<Self, String> {
        let options = options(url)?;
        let encrypted = matches!(
            options.get_ssl_mode(),
            PgSslMode::Require | PgSslMode::VerifyCa | PgSslMode::VerifyFull
        );
        let authority = url.split("://").nth(1).unwrap_or_default();
        let user = authority.rsplit_once('@').map_or("", |(user, _)| user);
        Ok(Self {
            host: options
                .get_socket()
                .map_or_else(|| options.get_host().to_owned(), |_| String::new()),
            encrypted,
            password: user.contains(':'),
        })
    }
}

fn options(url: &str) -> Result<PgConnectOptions, String> {
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return Err("it does not begin with postgres:// or postgresql://".into());
    }
    PgConnectOptions::from_str(url).map_err(|error| error.to_string())
}

impl Database {
    /// A database that is not connected yet; [`Database::supervise`] connects it. Needs the runtime.
    ///
    /// # Errors
    ///
    /// When the URL is not one of a Postgres: a sentence.
    pub fn new(url: &str) -> Result<Self, String> {
        let options = options(url)?;
        let options = options.application_name("drover");
        let address = match options.get_socket() {
            Some(socket) => socket.display().to_string(),
            None => format!("{}:{}", options.get_host(), options.get_port()),
        };
        let address = match options.get_database() {
            Some(database) => format!("{address}/{database}"),
            None => address,
        };
        Ok(Self {
            pools: ArcSwap::from_pointee(Pools::new(&options)),
            options,
            address,
            health: watch::Sender::new(Err(Trouble::new(Reach::Connecting, "Connecting for the first time."))),
            suspect: Notify::new(),
            rhythm: Rhythm::default(),
            sent: AtomicU64::new(0),
        })
    }

    /// Host, port and database, without a password.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The role that Drover is to the server.
    pub fn user(&self) -> &str {
        self.options.get_username()
    }

    /// How to connect, for a connection of one's own (`LISTEN`).
    pub fn options(&self) -> &PgConnectOptions {
        &self.options
    }

    /// Sessions that can only read.
    pub fn reads(&self) -> PgPool {
        self.pools.load().reads.clone()
    }

    /// Sessions that may write. A statement that was cut off may have been done: [`Database::trouble`] does not tell.
    pub fn writes(&self) -> PgPool {
        self.pools.load().writes.clone()
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
                    self.set(Ok(()));
                }
                Err(trouble) => {
                    strikes += 1;
                    let silent = trouble.reach == Reach::Frozen;
                    if !silent || strikes >= STRIKES {
                        self.set(Err(trouble));
                    }
                    if strikes == STRIKES || (strikes > STRIKES && strikes.is_multiple_of(10)) {
                        // The old ones are dropped without a farewell, which a frozen server would not answer.
                        self.pools.store(Arc::new(Pools::new(&self.options)));
                    }
                }
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = sleep(SIGN_EVERY) => {}
                () = self.suspect.notified() => sleep(Duration::from_millis(50)).await,
            }
        }
        let pools = self.pools.load_full();
        let _ = timeout(Duration::from_millis(300), pools.reads.close()).await;
        let _ = timeout(Duration::from_millis(300), pools.writes.close()).await;
    }

    async fn sign(&self) -> Health {
        let asked = Instant::now();
        match timeout(
            SIGN_LIMIT + CONNECT_LIMIT,
            sqlx::query("SELECT 1").execute(&self.reads()),
        )
        .await
        {
            Ok(Ok(_)) if asked.elapsed() <= SIGN_LIMIT => {
                self.rhythm.answered(asked.elapsed());
                Ok(())
            }
            // Late is late, but it does answer.
            Ok(Ok(_)) => Ok(()),
            // A pool only says that it has nothing to give; a connection of its own tells why.
            Ok(Err(sqlx::Error::PoolTimedOut)) | Err(_) => self.knock().await,
            Ok(Err(error)) => Err(classify(&error, &self.address)),
        }
    }

    async fn knock(&self) -> Health {
        match timeout(SIGN_LIMIT, self.options.connect()).await {
            // It lets us in: all our connections are busy with reads that take their time.
            Ok(Ok(connection)) => {
                drop(connection.close().await);
                Ok(())
            }
            Ok(Err(error)) => Err(classify(&error, &self.address)),
            Err(_) => Err(self.frozen()),
        }
    }

    fn frozen(&self) -> Trouble {
        Trouble::new(
            Reach::Frozen,
            format!(
                "{} accepts connections and says nothing: it is frozen, or the path to it is.",
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
    fn new(options: &PgConnectOptions) -> Self {
        let ms = |limit: Duration| limit.as_millis().to_string();
        // A generic plan would lock every partition of the job table at each execution.
        let options = options.clone().options([("plan_cache_mode", "force_custom_plan")]);
        let reads = options.clone().options([
            ("default_transaction_read_only", "on".to_owned()),
            ("lock_timeout", ms(LOCK_LIMIT)),
            ("statement_timeout", ms(READ_LIMIT)),
            ("idle_in_transaction_session_timeout", ms(READ_LIMIT)),
        ]);
        let writes = options.options([
            ("lock_timeout", ms(LOCK_LIMIT)),
            ("statement_timeout", ms(WRITE_LIMIT)),
            ("idle_in_transaction_session_timeout", ms(WRITE_LIMIT)),
        ]);
        let pool = |options: PgConnectOptions, most: u32| {
            PgPoolOptions::new()
                .max_connections(most)
                .acquire_timeout(CONNECT_LIMIT)
                .idle_timeout(Duration::from_secs(60))
                .connect_lazy_with(options)
        };
        Self {
            reads: pool(reads, CONNECTIONS.0),
            writes: pool(writes, CONNECTIONS.1),
        }
    }
}
