//! A connection to one Redis that is either known to work or known not to.
//!
//! redis-rs' own manager can look alive while it is dead: a response time-out does not make it
//! reconnect, a reconnect that fails with a refused password stays in place, and callers wait behind
//! a reconnect outside their own time-out. So the connection is owned here. A supervisor sends a `PING`
//! each second (each two seconds while unwatched), drops the connection when answers stop, and
//! keeps on making new ones. It is the only `PING` that Drover sends: what it took is also the latency that the board
//! shows, and tells readers how busy the server is ([`Rhythm`]). Callers never wait for it: without a working connection they get the
//! reason at once, with one they get an answer within [`DEADLINE`].
//!
//! It never has more than six sockets: the working connection, those of two readers that block, and
//! at most one being made for each; and for a moment one that asks what our user may do.

use super::super::Trouble;
pub use super::classify::classify;
use super::classify::{answers_all_the_same, full, no_such_host, refuses_everything};
use super::knock::{Behind, knock};
use super::refusals::Refusals;
use super::rights::Rights;
use super::topology::{Sentinels, Server, Target, Topology};
use crate::model::store::Reach;
use crate::model::vitals::sentinel::SentinelReport;
use crate::server::adapter::rhythm::Rhythm;
use arc_swap::ArcSwapOption;
use redis::aio::{MultiplexedConnection, PubSub};
use redis::{AsyncConnectionConfig, ConnectionAddr, ErrorKind, RedisConnectionInfo, RedisError, RedisResult, Value};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// How long a read may take before the store counts as not answering.
pub const DEADLINE: Duration = Duration::from_secs(1);

/// How long a write may take before its outcome counts as unknown: longer than a read, because it is not sent again.
const WRITE_DEADLINE: Duration = Duration::from_secs(3);

/// How long making a connection may take, greeting and password included.
const CONNECT_DEADLINE: Duration = Duration::from_secs(2);

/// Missed answers in a row after which the connection is dropped and made anew.
const STRIKES: u32 = 2;

/// Pause between attempts to connect: short, so that a store that is back is seen at once, and
/// grown to a second so that one that stays away costs nothing.
const RETRY: [Duration; 4] = [
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
];

/// Pause between two questions to a server that said why it does not answer.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// No answer.
#[derive(Clone, Debug)]
pub struct Silence {
    /// Why.
    pub trouble: Trouble,
    /// Whether it may have been sent, and so done.
    pub sent: bool,
}

/// Whether the store answers, as [`Link::health`] tells it.
pub type Health = Result<(), Trouble>;

/// One Redis.
pub struct Link {
    topology: Topology,
    /// Who Drover is to the server.
    settings: RedisConnectionInfo,
    /// The working connection. Swapped whole, so that readers never wait for a writer.
    current: ArcSwapOption<MultiplexedConnection>,
    health: watch::Sender<Health>,
    /// Woken by a caller whose command failed, so that the supervisor looks at once.
    suspect: Notify,
    /// Commands sent, for the board's own metrics.
    sent: AtomicU64,
    /// Refusals that do not stop it from answering.
    refusals: Mutex<Refusals>,
    /// What our user may do.
    rights: Rights,
    rhythm: Rhythm,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("address", &self.address())
            .finish_non_exhaustive()
    }
}

impl Link {
    /// A link that is not connected yet; [`Link::supervise`] connects it.
    ///
    /// # Errors
    ///
    /// When the URL is not one of a Redis.
    pub fn new(url: &str) -> RedisResult<Self> {
        Self::open(Target {
            url,
            ..Target::default()
        })
    }

    /// The same with everything that is configured.
    ///
    /// # Errors
    ///
    /// When the URL is not one of a Redis, or the certificates are none.
    pub fn open(target: Target<'_>) -> RedisResult<Self> {
        let (topology, settings) = Topology::of(target)?;
        Ok(Self {
            topology,
            settings,
            current: ArcSwapOption::empty(),
            health: watch::Sender::new(Err(Trouble::new(Reach::Connecting, "Connecting for the first time."))),
            suspect: Notify::new(),
            sent: AtomicU64::new(0),
            refusals: Mutex::default(),
            rights: Rights::default(),
            rhythm: Rhythm::default(),
        })
    }

    /// Host and port of the server, without a password; before Sentinels have named it, what they call it.
    pub fn address(&self) -> Arc<str> {
        match self.topology.found() {
            Some(server) => server.address.clone(),
            None => self.topology.label().into(),
        }
    }

    /// What the store is called: its address, or what its Sentinels call it.
    pub fn label(&self) -> String {
        self.topology.label()
    }

    /// What Sentinels say; `None` where there are none.
    pub fn sentinels(&self) -> Option<SentinelReport> {
        self.topology.sentinels().map(Sentinels::report)
    }

    /// Why what Sentinels said may be out of date.
    pub fn sentinels_doubt(&self) -> Option<String> {
        self.topology.sentinels()?.doubt()
    }

    /// The user that Drover is to the server.
    pub fn user(&self) -> &str {
        self.settings.username().unwrap_or("default")
    }

    /// The number of the database that is read.
    pub fn database(&self) -> i64 {
        self.settings.db()
    }

    /// What our user may do.
    pub fn rights(&self) -> &Rights {
        &self.rights
    }

    /// How often it is asked.
    pub fn rhythm(&self) -> &Rhythm {
        &self.rhythm
    }

    /// What was refused of late.
    pub fn refusals(&self) -> MutexGuard<'_, Refusals> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Follows whether the store answers.
    pub fn health(&self) -> watch::Receiver<Health> {
        self.health.subscribe()
    }

    /// How many commands have been sent.
    pub fn commands_sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Counts commands that were sent over a connection of [`Link::dedicated`].
    pub fn count_sent(&self, commands: u64) {
        self.sent.fetch_add(commands, Ordering::Relaxed);
    }

    /// Runs a pipeline within [`DEADLINE`]; every command has an answer or an error of its own.
    ///
    /// # Errors
    ///
    /// When there is no working connection, no answer in time, or the server refuses everything.
    pub async fn run(&self, pipe: &mut redis::Pipeline) -> Result<Vec<RedisResult<Value>>, Trouble> {
        let replies = self.send(pipe, DEADLINE).await.map_err(|silence| silence.trouble)?;
        // A server that loads its data or waits for a script refuses every command alike.
        match replies.first() {
            Some(Err(error)) if refuses_everything(error) => {
                self.suspect.notify_one();
                Err(classify(error, &self.address()))
            }
            _ => Ok(replies),
        }
    }

    /// Runs a pipeline that changes something, within [`WRITE_DEADLINE`]; every command has an answer or an error of
    /// its own, also where the server refuses all of them. Nothing is ever sent a second time.
    ///
    /// # Errors
    ///
    /// When there is no working connection, or no answer in time: [`Silence::sent`] tells which.
    pub async fn write(&self, pipe: &mut redis::Pipeline) -> Result<Vec<RedisResult<Value>>, Silence> {
        let over = self.current.load_full();
        let replies = self.send(pipe, WRITE_DEADLINE).await?;
        // What a primary answers after another one took its place may be lost with it.
        if self.topology.sentinels().is_some() && self.has_changed(over.as_ref()) {
            return Err(Silence {
                trouble: self.trouble(),
                sent: true,
            });
        }
        let refused = |reply: &RedisResult<Value>| matches!(reply, Err(error) if error.code() == Some("NOPERM"));
        if replies.iter().any(refused) {
            self.rights.doubt();
        }
        Ok(replies)
    }

    /// Whether the working connection is another than this one.
    fn has_changed(&self, over: Option<&Arc<MultiplexedConnection>>) -> bool {
        let current = self.current.load();
        match (over, &*current) {
            (Some(over), Some(current)) => !Arc::ptr_eq(over, current),
            _ => true,
        }
    }

    /// Runs a pipeline of reads with answers so large that they may take as long as a write.
    ///
    /// # Errors
    ///
    /// As [`Link::run`].
    pub async fn read_long(&self, pipe: &mut redis::Pipeline) -> Result<Vec<RedisResult<Value>>, Trouble> {
        let replies = self.send(pipe, WRITE_DEADLINE).await;
        replies.map_err(|silence| silence.trouble)
    }

    async fn send(&self, pipe: &mut redis::Pipeline, deadline: Duration) -> Result<Vec<RedisResult<Value>>, Silence> {
        let Some(connection) = self.current.load_full() else {
            return Err(Silence {
                trouble: self.trouble(),
                sent: false,
            });
        };
        let commands = pipe.len() as u64;
        if commands == 0 {
            return Ok(vec![]);
        }
        self.count_sent(commands);
        let mut connection = MultiplexedConnection::clone(&connection);
        let asked = Instant::now();
        let answer = timeout(
            deadline,
            pipe.ignore_errors()
                .query_async::<Vec<RedisResult<Value>>>(&mut connection),
        )
        .await;
        let trouble = match answer {
            Ok(Ok(replies)) => {
                self.rhythm.answered(asked.elapsed());
                self.look_for_refusals(pipe, &replies);
                return Ok(replies);
            }
            Ok(Err(error)) => classify(&error, &self.address()),
            Err(_) => self.frozen(),
        };
        self.suspect.notify_one();
        Err(Silence { trouble, sent: true })
    }

    fn look_for_refusals(&self, pipe: &redis::Pipeline, replies: &[RedisResult<Value>]) {
        let mut refusals = self.refusals();
        if refusals.wants_another_try() {
            refusals.permit(pipe.cmd_iter().zip(replies));
        }
        for error in replies.iter().filter_map(|reply| reply.as_ref().err()) {
            refusals.note(error);
        }
    }

    /// A connection of its own for commands that block. It has no response time-out: the caller bounds the wait.
    ///
    /// # Errors
    ///
    /// When the store does not accept it.
    pub async fn dedicated(&self) -> Result<MultiplexedConnection, Trouble> {
        match self.topology.found() {
            Some(server) => self.connect(&server).await,
            None => Err(self.trouble()),
        }
    }

    async fn connect(&self, server: &Server) -> Result<MultiplexedConnection, Trouble> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_DEADLINE))
            .set_response_timeout(None);
        let made = server.client.get_multiplexed_async_connection_with_config(&config);
        match timeout(CONNECT_DEADLINE, made).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) if error.is_timeout() => Err(self.frozen_or_gone(server).await),
            Ok(Err(error)) if error.kind() == ErrorKind::AuthenticationFailed => {
                Err(self.not_let_in(server, &error).await)
            }
            Ok(Err(error)) => Err(classify(&error, &server.address)),
            Err(_) => Err(self.frozen_or_gone(server).await),
        }
    }

    /// A connection that can subscribe to channels.
    ///
    /// # Errors
    ///
    /// When the store does not accept it.
    pub async fn listener(&self) -> Result<PubSub, Trouble> {
        let Some(server) = self.topology.found() else {
            return Err(self.trouble());
        };
        match timeout(CONNECT_DEADLINE, server.client.get_async_pubsub()).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => Err(classify(&error, &server.address)),
            Err(_) => Err(self.frozen()),
        }
    }

    /// Keeps the link alive until `stop`.
    pub async fn supervise(self: Arc<Self>, stop: CancellationToken) {
        tokio::select! {
            () = self.learn() => {}
            () = self.keep_connected(&stop) => {}
        }
    }

    async fn keep_connected(&self, stop: &CancellationToken) {
        let mut failures = 0_usize;
        loop {
            let connecting = async {
                let server = self.topology.find().await?;
                let connection = self.connect(&server).await?;
                self.topology.check(&server, &connection).await?;
                Ok::<_, Trouble>((server, connection))
            };
            let connected = tokio::select! {
                () = stop.cancelled() => return,
                connected = connecting => connected,
            };
            match connected {
                Ok((server, connection)) => {
                    let held = tokio::select! {
                        () = stop.cancelled() => return,
                        held = self.hold(connection) => held,
                        moved = self.topology.moved(&server) => {
                            self.current.store(None);
                            self.set(Err(moved));
                            true
                        }
                    };
                    self.current.store(None);
                    if held {
                        failures = 0;
                    }
                }
                Err(trouble) => self.set(Err(trouble)),
            }
            // Jitter, so that many Drovers do not come back to a restarted Redis in step.
            let pause = RETRY[failures.min(RETRY.len() - 1)].mul_f64(rand::random_range(0.5..1.0));
            failures += 1;
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(pause) => {}
            }
        }
    }

    /// Watches over one connection until it stops answering. True if it ever worked.
    async fn hold(&self, connection: MultiplexedConnection) -> bool {
        let mut worked = false;
        let mut strikes = 0;
        loop {
            self.count_sent(1);
            let mut probe = connection.clone();
            let asked = Instant::now();
            let mut answer = timeout(DEADLINE, redis::cmd("PING").query_async::<Value>(&mut probe)).await;
            match &answer {
                Ok(Ok(_)) => self.refusals().disk_is_fine(),
                Ok(Err(error)) if answers_all_the_same(error) => {
                    self.refusals().note(error);
                    answer = Ok(Ok(Value::Okay));
                }
                _ => {}
            }
            match answer {
                Ok(Ok(_)) => {
                    self.rhythm.pinged(asked.elapsed());
                    strikes = 0;
                    if !worked {
                        worked = true;
                        self.current.store(Some(Arc::new(connection.clone())));
                        self.rights.connected();
                    }
                    self.set(Ok(()));
                }
                // The connection is fine, the server is not ready: ask again on the same one.
                Ok(Err(error)) if refuses_everything(&error) && !error.is_io_error() => {
                    let trouble = classify(&error, &self.address());
                    let keep = matches!(trouble.reach, Reach::Loading | Reach::Busy | Reach::FailingOver);
                    self.set(Err(trouble));
                    if !keep {
                        return worked;
                    }
                    sleep(ASK_AGAIN).await;
                    continue;
                }
                Ok(Err(error)) => {
                    self.set(Err(classify(&error, &self.address())));
                    return worked;
                }
                Err(_) => {
                    strikes += 1;
                    self.set(Err(self.frozen()));
                    if strikes >= STRIKES {
                        return worked;
                    }
                    continue;
                }
            }
            // The next one, or at once when a caller had trouble.
            tokio::select! {
                () = self.suspect.notified() => {}
                () = sleep(self.rhythm.ping_every()) => {}
            }
        }
    }

    fn trouble(&self) -> Trouble {
        self.health
            .borrow()
            .clone()
            .err()
            .unwrap_or_else(|| Trouble::new(Reach::Connecting, "Connecting again."))
    }

    pub(super) fn frozen(&self) -> Trouble {
        Trouble::new(
            Reach::Frozen,
            format!(
                "{} accepts connections but does not answer. Is the process stopped, swapping, or blocked by a slow command?",
                self.address()
            ),
        )
    }

    /// Why a connection was not made in time.
    async fn frozen_or_gone(&self, server: &Server) -> Trouble {
        let address = server.client.get_connection_info().addr();
        let tls = matches!(address, ConnectionAddr::TcpTls { .. });
        match knock(address, tls).await {
            Behind::NoAddress => no_such_host(&self.address()),
            Behind::Unreachable => Trouble::new(
                Reach::Gone,
                format!(
                    "No answer from {}: the host or the network path to it is down.",
                    self.address()
                ),
            ),
            Behind::Words(words) if tls && words.starts_with(['+', '-']) => Trouble::new(
                Reach::TlsFailed,
                format!(
                    "{} answers without TLS: write redis:// instead of rediss:// in the URL of this store, or switch \
                     TLS on at the server.",
                    self.address()
                ),
            ),
            Behind::Silence | Behind::Words(_) => self.frozen(),
        }
    }

    /// Why a name or password was not taken. The library says "wrong password" to whatever a server
    /// answers to it, and one without room for another client says that.
    async fn not_let_in(&self, server: &Server, error: &RedisError) -> Trouble {
        match knock(server.client.get_connection_info().addr(), false).await {
            Behind::Words(words) if words.contains("max number of clients") => full(&self.address()),
            _ => classify(error, &self.address()),
        }
    }

    /// Publishes a change of health; an unchanged one wakes no receiver.
    fn set(&self, health: Health) {
        self.health.send_if_modified(|now| {
            let changed = *now != health;
            if changed {
                *now = health;
            }
            changed
        });
    }
}
