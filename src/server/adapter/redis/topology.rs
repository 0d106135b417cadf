//! Where a Redis is: at an address, or where Sentinels say that its primary is.
//!
//! Nothing above this folder knows which it is. With Sentinels the answer with the highest epoch counts: a Sentinel that is cut off from
//! the others goes on to name the primary of before. They are asked every half second, over connections of their own.

mod place;

use super::super::Trouble;
use crate::model::store::Reach;
use crate::model::vitals::sentinel::{SentinelAnswer, SentinelReport};
use crate::model::{Millis, now};
use crate::server::redact::said;
use futures::future::join_all;
use place::{joined, split};
use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo, RedisError,
    RedisResult, TlsCertificates,
};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::time::{sleep, timeout};

/// How often Sentinels are asked where the primary is. A write that a demoted primary accepts later than this, and the time of an answer,
/// is not counted as done.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// How long a Sentinel may take.
const PATIENCE: Duration = Duration::from_millis(800);

/// How long most of the Sentinels may be silent before actions are held.
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// Where a store is and what it takes to get in, as it is configured.
#[derive(Clone, Copy, Debug, Default)]
pub struct Target<'a> {
    /// `redis://…`, `redis+sentinel://…` and their kinds with TLS.
    pub url: &'a str,
    /// Certificates (PEM) that sign the server's, and those of its Sentinels.
    pub authorities: Option<&'a [u8]>,
    /// The user and the password that Sentinels ask for.
    pub sentinel: Login<'a>,
}

/// A user and a password.
#[derive(Clone, Copy, Default)]
pub struct Login<'a> {
    /// The user; none for the default one.
    pub user: Option<&'a str>,
    /// The password.
    pub password: Option<&'a str>,
}

impl std::fmt::Debug for Login<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Login")
    }
}

/// A server that connections are made to.
#[derive(Clone, Debug)]
pub(super) struct Server {
    /// Host and port, without a password.
    pub(super) address: Arc<str>,
    pub(super) client: Client,
}

/// See the module.
#[derive(Debug)]
pub(super) enum Topology {
    /// One address.
    Single(Arc<Server>),
    /// What Sentinels say.
    Sentinel(Box<Sentinels>),
}

impl Topology {
    /// Where a store is, and who Drover is there.
    pub(super) fn of(target: Target<'_>) -> RedisResult<(Self, RedisConnectionInfo)> {
        let (single, sentinels) = split(target.url)?;
        let info = prepared(single.as_str().into_connection_info()?);
        let settings = info.redis_settings().clone();
        let Some((name, places)) = sentinels else {
            let server = Server::new(info, target.authorities)?;
            return Ok((Self::Single(Arc::new(server)), settings));
        };
        let mut login = RedisConnectionInfo::default().set_skip_set_lib_name();
        if let Some(user) = target.sentinel.user {
            login = login.set_username(user);
        }
        if let Some(password) = target.sentinel.password {
            login = login.set_password(password);
        }
        let of_sentinels = info.clone().set_redis_settings(login);
        let sentinel = |(host, port): &(String, u16)| {
            let server = Server::new(at(&of_sentinels, host, *port), target.authorities)?;
            Ok(Sentinel {
                server,
                connection: Mutex::default(),
            })
        };
        let sentinels = Sentinels {
            name,
            all: places.iter().map(sentinel).collect::<RedisResult<_>>()?,
            info,
            authorities: target.authorities.map(<[u8]>::to_vec),
            seen: Mutex::default(),
        };
        Ok((Self::Sentinel(Box::new(sentinels)), settings))
    }

    /// What it is called before a server is known.
    pub(super) fn label(&self) -> String {
        match self {
            Self::Single(server) => server.address.to_string(),
            Self::Sentinel(sentinels) => format!("{} (Sentinel)", sentinels.name),
        }
    }

    /// The server to connect to.
    pub(super) async fn find(&self) -> Result<Arc<Server>, Trouble> {
        match self {
            Self::Single(server) => Ok(server.clone()),
            Self::Sentinel(sentinels) => sentinels.primary().await,
        }
    }

    /// The server that was found last.
    pub(super) fn found(&self) -> Option<Arc<Server>> {
        match self {
            Self::Single(server) => Some(server.clone()),
            Self::Sentinel(sentinels) => sentinels.seen().primary.as_ref().map(|(server, _)| server.clone()),
        }
    }

    /// Checks that a server that Sentinels named is the primary already.
    pub(super) async fn check(&self, server: &Server, connection: &MultiplexedConnection) -> Result<(), Trouble> {
        if matches!(self, Self::Single(_)) {
            return Ok(());
        }
        let (mut info, mut connection) = (redis::cmd("INFO"), connection.clone());
        let answer = timeout(PATIENCE, info.arg("replication").query_async::<String>(&mut connection)).await;
        match answer {
            Ok(Ok(text)) if text.lines().any(|line| line.trim_end() == "role:slave") => Err(Trouble::new(
                Reach::FailingOver,
                format!(
                    "Sentinel names {} as the primary, and it is a replica: the failover has not ended.",
                    server.address
                ),
            )),
            // What else is wrong the next question tells.
            _ => Ok(()),
        }
    }

    /// Waits until another server takes the place of this one. Never, where there is an address.
    pub(super) async fn moved(&self, from: &Server) -> Trouble {
        let Self::Sentinel(sentinels) = self else {
            return std::future::pending().await;
        };
        loop {
            sleep(ASK_EVERY).await;
            if let Ok(now) = sentinels.primary().await
                && now.address != from.address
            {
                return Trouble::new(
                    Reach::FailingOver,
                    format!(
                        "Sentinel has made {} the primary of {} instead of {}. Drover is connecting to it.",
                        now.address, sentinels.name, from.address
                    ),
                );
            }
        }
    }

    /// What Sentinels say; `None` where there are none.
    pub(super) fn sentinels(&self) -> Option<&Sentinels> {
        match self {
            Self::Single(_) => None,
            Self::Sentinel(sentinels) => Some(sentinels),
        }
    }
}

/// A Sentinel.
#[derive(Debug)]
struct Sentinel {
    server: Server,
    connection: Mutex<Option<MultiplexedConnection>>,
}

/// The Sentinels of a primary.
pub(super) struct Sentinels {
    /// What they call it.
    name: String,
    all: Vec<Sentinel>,
    /// How connections to the primary are made; the address is that of a Sentinel.
    info: ConnectionInfo,
    authorities: Option<Vec<u8>>,
    seen: Mutex<Seen>,
}

impl std::fmt::Debug for Sentinels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sentinels")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// What they said last.
#[derive(Debug, Default)]
struct Seen {
    /// The primary, and the epoch of the configuration in which it became one.
    primary: Option<(Arc<Server>, u64)>,
    quorum: Option<u64>,
    replicas: Option<u64>,
    /// When the primary was seen to change.
    switched: Option<Millis>,
    /// What each answered; `None` for an answer.
    answers: Vec<Option<String>>,
    /// When most of them answered.
    heard: Option<Instant>,
}

/// What one said of the primary.
struct Said {
    host: String,
    port: u16,
    epoch: u64,
    quorum: Option<u64>,
    replicas: Option<u64>,
}

impl Sentinels {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks all of them at once.
    async fn primary(&self) -> Result<Arc<Server>, Trouble> {
        let answers = join_all(self.all.iter().map(|sentinel| sentinel.ask(&self.name))).await;
        let mut seen = self.seen();
        seen.answers = answers.iter().map(|answer| answer.as_ref().err().cloned()).collect();
        let said: Vec<Said> = answers.into_iter().filter_map(Result::ok).collect();
        if said.len() * 2 > self.all.len() {
            seen.heard = Some(Instant::now());
        }
        let Some(newest) = said.into_iter().max_by_key(|said| said.epoch) else {
            return Err(self.silent(&seen));
        };
        (seen.quorum, seen.replicas) = (newest.quorum, newest.replicas);
        let address = joined(&newest.host, newest.port);
        match &seen.primary {
            // A Sentinel that is behind the others says nothing new.
            Some((server, epoch)) if *server.address == *address || newest.epoch < *epoch => {
                let server = server.clone();
                let epoch = newest.epoch.max(*epoch);
                seen.primary = Some((server.clone(), epoch));
                Ok(server)
            }
            before => {
                let server = Server::new(at(&self.info, &newest.host, newest.port), self.authorities.as_deref());
                let server = server.map(Arc::new).map_err(|error| {
                    let what = said_of(&error);
                    Trouble::new(
                        Reach::Gone,
                        format!("Sentinel names {address}, which is no address: {what}"),
                    )
                })?;
                if before.is_some() {
                    seen.switched = Some(now());
                }
                seen.primary = Some((server.clone(), newest.epoch));
                Ok(server)
            }
        }
    }

    fn silent(&self, seen: &Seen) -> Trouble {
        let all: Vec<&str> = self.all.iter().map(|sentinel| &*sentinel.server.address).collect();
        let why = seen.answers.iter().flatten().next().map_or("", String::as_str);
        Trouble::new(
            Reach::Gone,
            format!(
                "No Sentinel of {} says where its primary is ({}): {why}",
                self.name,
                all.join(", ")
            ),
        )
    }

    /// Why what they say may be out of date; `None` while most of them answer.
    pub(super) fn doubt(&self) -> Option<String> {
        let seen = self.seen();
        let silent = seen.answers.iter().flatten().count();
        let late = seen.heard.is_none_or(|at| at.elapsed() > SILENCE_MAX);
        late.then(|| {
            let answer = if silent == 1 {
                "does not answer"
            } else {
                "do not answer"
            };
            format!(
                "{silent} of {} Sentinels of {} {answer}: another server may have become the primary.",
                self.all.len(),
                self.name
            )
        })
    }

    /// What is shown of them.
    pub(super) fn report(&self) -> SentinelReport {
        let seen = self.seen();
        let answer = |(i, sentinel): (usize, &Sentinel)| SentinelAnswer {
            address: sentinel.server.address.to_string(),
            trouble: seen.answers.get(i).cloned().flatten(),
        };
        SentinelReport {
            name: self.name.clone(),
            primary: seen.primary.as_ref().map(|(server, _)| server.address.to_string()),
            quorum: seen.quorum,
            replicas: seen.replicas,
            switched_at: seen.switched,
            sentinels: self.all.iter().enumerate().map(answer).collect(),
        }
    }
}

impl Sentinel {
    /// Asks where the primary is. An error is a few words for people.
    async fn ask(&self, name: &str) -> Result<Said, String> {
        let answer = match timeout(PATIENCE, self.question(name)).await {
            Ok(Ok(fields)) => {
                let number = |name: &str| fields.get(name)?.parse::<u64>().ok();
                let place = fields
                    .get("ip")
                    .zip(number("port").and_then(|port| u16::try_from(port).ok()));
                let said = place.map(|(host, port)| Said {
                    host: host.clone(),
                    port,
                    epoch: number("config-epoch").unwrap_or(0),
                    quorum: number("quorum"),
                    replicas: number("num-slaves"),
                });
                return said.ok_or_else(|| "its answer names no address".to_owned());
            }
            Ok(Err(error)) => said_of(&error),
            Err(_) => "no answer".to_owned(),
        };
        *self.connection() = None;
        Err(answer)
    }

    async fn question(&self, name: &str) -> RedisResult<HashMap<String, String>> {
        let open = self.connection().clone();
        let mut connection = match open {
            Some(connection) => connection,
            None => {
                let config = AsyncConnectionConfig::new().set_connection_timeout(Some(PATIENCE));
                let client = &self.server.client;
                let made = client.get_multiplexed_async_connection_with_config(&config).await?;
                *self.connection() = Some(made.clone());
                made
            }
        };
        redis::cmd("SENTINEL")
            .arg("MASTER")
            .arg(name)
            .query_async(&mut connection)
            .await
    }

    fn connection(&self) -> MutexGuard<'_, Option<MultiplexedConnection>> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Server {
    fn new(info: ConnectionInfo, authorities: Option<&[u8]>) -> RedisResult<Self> {
        let address = match info.addr() {
            ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => joined(host, *port),
            other => other.to_string(),
        };
        let client = match authorities {
            None => Client::open(info)?,
            Some(pem) => Client::build_with_tls(
                info,
                TlsCertificates {
                    client_tls: None,
                    root_cert: Some(pem.to_vec()),
                },
            )?,
        };
        Ok(Self {
            address: address.into(),
            client,
        })
    }
}

fn said_of(error: &RedisError) -> String {
    said(&error.detail().map_or_else(|| error.to_string(), str::to_owned))
}

/// The same connection to another place.
fn at(info: &ConnectionInfo, host: &str, port: u16) -> ConnectionInfo {
    let host = host.to_owned();
    let addr = match info.addr() {
        ConnectionAddr::TcpTls {
            insecure, tls_params, ..
        } => ConnectionAddr::TcpTls {
            host,
            port,
            insecure: *insecure,
            tls_params: tls_params.clone(),
        },
        _ => ConnectionAddr::Tcp(host, port),
    };
    info.clone().set_addr(addr)
}

/// How every connection is made.
fn prepared(info: ConnectionInfo) -> ConnectionInfo {
    // A dead path is noticed by the kernel too, not only by our own questions: without these a
    // half-open socket would hold memory until the kernel gives up after a quarter of an hour.
    let tcp = TcpSettings::default()
        .set_nodelay(true)
        .set_keepalive(
            socket2::TcpKeepalive::new()
                .with_time(Duration::from_secs(5))
                .with_interval(Duration::from_secs(1)),
        )
        .set_user_timeout(Duration::from_secs(5));
    // CLIENT SETINFO is refused by servers before 7.2, and each refusal lands in their ACL LOG.
    let settings = info.redis_settings().clone().set_skip_set_lib_name();
    info.set_tcp_settings(tcp).set_redis_settings(settings)
}
