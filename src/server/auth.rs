//! Authentication and permissions.
//!
//! - [`who`]: callers, roles, permissions
//! - [`proxy`]: identity from a proxy in front
//! - [`identity`]: the users and tokens that there are now
//! - [`users`], [`sessions`]: users who sign in here with a password
//! - [`tokens`]: programs that call the API
//! - [`trusted`]: the proxies whose forwarding headers are believed
//! - [`networks`]: the networks that users have signed in from
//! - [`changes`]: what makes open streams check their permission again
//! - [`cookie`]: the cookie of a session
//!
//! The caller of every request is recognised once, before the request is routed ([`Auth::recognise`]). The route and
//! the service check what the caller may do, not this module.

use self::settings::{Auth as Settings, Mode, Rule};
use super::database::OwnData;
use super::limiter::Limiter;
use crate::base_path::BasePath;
use crate::model::Millis;
use axum::http::{HeaderMap, header};
use changes::Changes;
use cookie::SessionCookie;
use identity::Identity;
use networks::{ClientNetwork, KnownNetworks};
use proxy::Forged;
use sessions::Sessions;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use users::User;
use who::{Grant, Via, Who};

pub mod changes;
pub mod cookie;
pub mod file;
pub mod identity;
pub mod networks;
pub mod proxy;
pub mod sessions;
pub mod settings;
pub mod tokens;
pub mod trusted;
pub mod users;
pub mod who;

/// Passwords checked at once: each takes 19 MiB and tens of milliseconds.
const CHECKED_AT_ONCE: usize = 2;

/// Wrong passwords or tokens from one network before the limit, which permits one more in each [`INTERVAL`].
const FAILURES: u32 = 10;

/// The same for one name, from networks that its user has not signed in from: far above what a person mistypes.
const GUESSES: u32 = 100;

/// See [`FAILURES`].
const INTERVAL: Duration = Duration::from_secs(30);

/// Where a request comes from: an address, or a Unix socket, where the address is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// An address.
    Ip(IpAddr),
    /// The Unix socket.
    Socket,
}

impl Peer {
    /// Its address; `None` for the socket, whose peers the file system chose.
    #[must_use]
    pub const fn address(self) -> Option<IpAddr> {
        match self {
            Self::Ip(address) => Some(address),
            Self::Socket => None,
        }
    }
}

/// Why a request is not served, for any caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Identity headers that must not be believed.
    Forged(Forged),
    /// A token that is not valid.
    BadToken,
    /// Too many wrong tokens: seconds until one may be tried again.
    TooOften(u64),
}

/// Why a sign-in failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotSignedIn {
    /// A wrong name or password.
    Wrong,
    /// Too many wrong ones from this network: seconds until the next attempt.
    FromThisNetwork(u64),
    /// Too many wrong ones for this name, from any network: seconds until the next attempt.
    ForThisName(u64),
    /// The database does not answer, and which users there are is not known.
    UsersUnknown,
}

/// See the module.
#[derive(Debug)]
pub struct Auth {
    settings: Settings,
    identity: Identity,
    sessions: Sessions,
    networks: KnownNetworks,
    /// By network; apart for tokens, so that a program with a wrong token locks no user out.
    wrong_passwords: Limiter,
    wrong_tokens: Limiter,
    /// By name, from any network.
    by_name: Limiter,
    /// By name and network, for users who have signed in from that network.
    by_name_and_network: Limiter,
    /// When a name was last unlocked, as far as that was applied.
    unlocked: Mutex<HashMap<String, Millis>>,
    checking: Semaphore,
    cookie: SessionCookie,
    changes: Arc<Changes>,
}

impl Auth {
    /// By the configuration. Users, tokens and sessions are in Drover's own data.
    #[must_use]
    pub fn open(settings: &Settings, base: &BasePath, data: OwnData) -> Self {
        let file = |name: &str| settings.folder.join(name);
        Self {
            identity: Identity::new(data.clone(), &settings.folder),
            sessions: Sessions::new(data, file("sessions.json"), settings.lifetime),
            networks: KnownNetworks::at(file("networks.json")),
            wrong_passwords: Limiter::new(FAILURES, INTERVAL),
            wrong_tokens: Limiter::new(FAILURES, INTERVAL),
            by_name: Limiter::new(GUESSES, INTERVAL),
            by_name_and_network: Limiter::new(FAILURES, INTERVAL),
            unlocked: Mutex::default(),
            changes: Arc::default(),
            checking: Semaphore::new(CHECKED_AT_ONCE),
            cookie: SessionCookie::new(base, settings.is_encrypted()),
            settings: settings.clone(),
        }
    }

    /// How users are recognised.
    #[must_use]
    pub const fn mode(&self) -> &Mode {
        &self.settings.mode
    }

    /// The scheme, host and port by which browsers reach the board, if configured.
    #[must_use]
    pub fn origin(&self) -> Option<&str> {
        self.settings.origin.as_deref()
    }

    /// Whether only this machine gets in: there is no sign-in, or passwords would travel in the clear.
    #[must_use]
    pub fn is_for_this_machine(&self) -> bool {
        match self.settings.mode {
            Mode::None => true,
            Mode::Proxy(_) => false,
            Mode::Password => !self.is_encrypted(),
        }
    }

    /// Whether browsers reach the board over TLS.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.settings.is_encrypted()
    }

    /// The address that a request comes from, by the trusted proxies; `None` if it is not known.
    fn client(&self, headers: &HeaderMap, peer: Peer) -> Option<IpAddr> {
        self.settings.trusted.client(headers, peer.address())
    }

    /// The caller of a request; `None` if the request carries no identity.
    ///
    /// # Errors
    ///
    /// When it must not be served at all.
    pub async fn recognise(&self, headers: &HeaderMap, peer: Peer) -> Result<Option<Who>, Refused> {
        let client = self.client(headers, peer);
        let address = self.address(client, peer);
        if let Some(token) = bearer(headers) {
            return self.of_token(token, client, &address).await.map(Some);
        }
        match &self.settings.mode {
            Mode::None => Ok(Some(Who::anonymous(address))),
            Mode::Proxy(proxy) => {
                let named = proxy
                    .named(
                        headers,
                        peer.address().is_none_or(|address| self.settings.trusted.has(address)),
                    )
                    .map_err(|why| {
                        tracing::warn!(address, "{}", why.sentence());
                        Refused::Forged(why)
                    })?;
                Ok(named.map(|named| {
                    let grants = self.grants(&named.user, &named.groups, None);
                    self.changes.record(&named.user, &grants);
                    Who {
                        grants,
                        name: named.user,
                        address,
                        via: Via::Proxy,
                    }
                }))
            }
            Mode::Password => Ok(self.session(headers, address).await),
        }
    }

    /// The caller with this token. A valid one is never limited: a program with an old token must not lock out the
    /// others behind the same address, and 256 random bits are not guessed.
    async fn of_token(&self, token: &str, client: Option<IpAddr>, address: &str) -> Result<Who, Refused> {
        if tokens::is_whole(token)
            && let Some((people, _)) = self.identity.now().await
            && let Some(who) = people.of_token(token, address)
        {
            return Ok(who);
        }
        self.wrong_tokens
            .spend(&ClientNetwork::of(client))
            .map_err(Refused::TooOften)?;
        tracing::warn!(address, "a token that is not valid was refused");
        Err(Refused::BadToken)
    }

    fn address(&self, client: Option<IpAddr>, peer: Peer) -> String {
        match (client, peer) {
            (None, _) => "unix socket".into(),
            (Some(client), Peer::Ip(peer)) if peer.to_canonical() != client => format!("{client} by {peer}"),
            (Some(client), _) => client.to_string(),
        }
    }

    async fn session(&self, headers: &HeaderMap, address: String) -> Option<Who> {
        let secret = self.cookie.read(headers)?;
        let (session, mut known) = tokio::join!(self.sessions.whose(secret), self.identity.now());
        let session = session?;
        let stamped = |user: &&User| user.stamp() == session.stamp;
        if known.as_ref()?.0.user(&session.name).filter(stamped).is_none() {
            // The session may have begun after the users were read.
            known = self.identity.now().await;
        }
        let (people, confirmed) = known?;
        let user = people.user(&session.name);
        let Some(user) = user.filter(stamped) else {
            // A user who was removed or changed has to sign in again.
            if confirmed {
                let stamp = user.map(User::stamp).unwrap_or_default();
                self.sessions.end_of(&session.name, &stamp).await;
            }
            return None;
        };
        Some(Who {
            grants: self.grants(&user.name, &user.groups, user.grant()),
            name: user.name.clone(),
            address,
            via: Via::Session(session.key),
        })
    }

    fn grants(&self, name: &str, groups: &[String], own: Option<Grant>) -> Arc<[Grant]> {
        // Groups are compared whole: a name that only ends alike is another one.
        let theirs = |rule: &&Rule| {
            rule.users.iter().any(|user| user == name || user == "*")
                || rule.groups.iter().any(|group| groups.contains(group))
        };
        let rules = self.settings.rules.iter().filter(theirs).map(|rule| rule.grant.clone());
        own.into_iter().chain(rules).collect()
    }

    /// Signs a user in; returns the cookie that the answer sets.
    ///
    /// Success resets no limit: with an account of their own, attackers could otherwise guess the passwords of others without
    /// end.
    ///
    /// # Errors
    ///
    /// Why not.
    pub async fn sign_in(
        self: &Arc<Self>,
        headers: &HeaderMap,
        peer: Peer,
        name: String,
        password: String,
    ) -> Result<String, NotSignedIn> {
        let client = self.client(headers, peer);
        let (network, address) = (ClientNetwork::of(client), self.address(client, peer));
        let _turn = self.checking.acquire().await;
        let user: String = name.escape_debug().take(64).collect();
        // Checked after the wait: the requests ahead may have reached the limit.
        let known = self.networks.knows(&name, &network);
        if let Some(held) = self.held(&name, &network, known) {
            tracing::warn!(address, user, ?held, "too many wrong passwords");
            return Err(held);
        }
        let (people, _) = self.identity.now().await.ok_or(NotSignedIn::UsersUnknown)?;
        let asked = people.user(&name).cloned();
        let (auth, from) = (self.clone(), network.clone());
        let checked = tokio::task::spawn_blocking(move || {
            let user = users::check(asked, &password)?;
            auth.networks.note(&user.name, &from);
            Some(user)
        });
        let Some(user) = checked.await.ok().flatten() else {
            let _ = self.wrong_passwords.spend(&network);
            let _ = self.by_name.spend(&name);
            if known {
                let _ = self.by_name_and_network.spend(&(&name, &network));
            }
            tracing::warn!(address, user, "a wrong name or password");
            return Err(NotSignedIn::Wrong);
        };
        if let Some(secret) = self.cookie.read(headers)
            && let Some(old) = self.sessions.whose(secret).await
        {
            self.end(&old.key).await;
        }
        tracing::info!(address, user = user.name, "signed in");
        let secret = self.sessions.begin(&user.name, User::stamp(&user)).await;
        Ok(self.cookie.set(&secret, self.settings.lifetime.whole.as_secs()))
    }

    /// Why a password must not be checked now.
    fn held(&self, name: &str, network: &ClientNetwork, known: bool) -> Option<NotSignedIn> {
        if known {
            return self
                .by_name_and_network
                .wait(&(name, network))
                .map(NotSignedIn::FromThisNetwork);
        }
        if let Some(at) = self.networks.unlocked(name) {
            let mut unlocked = self.unlocked.lock().unwrap_or_else(PoisonError::into_inner);
            if unlocked.insert(name.to_owned(), at) != Some(at) {
                self.by_name.forget(name);
            }
        }
        let here = self.wrong_passwords.wait(network).map(NotSignedIn::FromThisNetwork);
        here.or_else(|| self.by_name.wait(name).map(NotSignedIn::ForThisName))
    }

    async fn end(&self, session: &str) {
        self.sessions.end(session).await;
        self.changes.notify();
    }

    /// Signs a user out; returns the cookie that the answer sets.
    pub async fn sign_out(&self, who: &Who) -> String {
        if let Via::Session(key) = &who.via {
            self.end(key).await;
            tracing::info!(address = who.address, user = who.name, "signed out");
        }
        self.cookie.set("", 0)
    }

    /// What makes open streams check their permission again.
    #[must_use]
    pub const fn changes(&self) -> &Arc<Changes> {
        &self.changes
    }

    /// Watches the users and tokens until it is dropped.
    pub async fn keep_identity(&self) {
        self.identity.keep(&self.changes).await;
    }

    /// Writes sessions that could not be written when they began or ended, and removes old ones, until it is dropped.
    pub async fn keep_sessions(&self) {
        self.sessions.keep().await;
    }

    /// Whether a request carries a session, valid or not.
    #[must_use]
    pub fn has_cookie(&self, headers: &HeaderMap) -> bool {
        self.cookie.read(headers).is_some()
    }
}

/// The token of a request, if it is one of ours: a proxy may pass on those of others. Only from the header: addresses are
/// written into logs.
#[must_use]
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let ours = scheme.eq_ignore_ascii_case("bearer") && token.trim().starts_with(tokens::PREFIX);
    ours.then(|| token.trim())
}

#[cfg(test)]
mod tests;
