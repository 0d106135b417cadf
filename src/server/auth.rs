//! Who somebody is, and what they may do.
//!
//! - [`who`]: whoever asks, roles, permissions
//! - [`proxy`]: identity from a proxy in front
//! - [`users`], [`sessions`]: people who sign in here with a password
//! - [`tokens`]: programs that call the API
//! - [`limiter`]: how often somebody may be wrong
//! - [`cookie`]: the cookie of a session
//!
//! Every request is recognised once, before it is routed ([`Auth::recognise`]). What it may do is asked for by the route
//! and by the service, not here.

use super::config::auth::{Auth as Settings, Mode, Rule};
use crate::base_path::BasePath;
use axum::http::{HeaderMap, header};
use cookie::Cookie;
use limiter::Limiter;
use proxy::Forged;
use sessions::Sessions;
use std::net::IpAddr;
use std::sync::Arc;
use tokens::Tokens;
use tokio::sync::Semaphore;
use users::{User, Users};
use who::{Grant, Via, Who};

pub mod cookie;
pub mod file;
pub mod limiter;
pub mod proxy;
pub mod sessions;
pub mod tokens;
pub mod users;
pub mod who;

/// Passwords checked at once: each takes 19 MiB and tens of milliseconds.
const CHECKED_AT_ONCE: usize = 2;

/// Where a request comes from: an address, or nobody knows, on a Unix socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// An address.
    Ip(IpAddr),
    /// The Unix socket.
    Socket,
}

/// Why a request is not served, whoever it is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Somebody is named who must not be believed.
    Forged(Forged),
    /// A token that is not valid.
    BadToken,
    /// Wrong too often: seconds until it may be tried again.
    TooOften(u64),
}

/// See the module.
#[derive(Debug)]
pub struct Auth {
    settings: Settings,
    users: Users,
    tokens: Tokens,
    sessions: Sessions,
    limiter: Limiter,
    /// By name, whatever addresses the guesses come from. Far above what a person mistypes, so that nobody is locked out by
    /// somebody else's few guesses.
    by_name: Limiter,
    checking: Semaphore,
    cookie: Cookie,
}

impl Auth {
    /// By the configuration.
    #[must_use]
    pub fn open(settings: &Settings, base: &BasePath) -> Self {
        let file = |name: &str| settings.folder.join(name);
        let secure = settings
            .origin
            .as_ref()
            .is_some_and(|origin| origin.starts_with("https://"));
        Self {
            users: Users::at(file("users.json")),
            tokens: Tokens::at(file("tokens.json")),
            sessions: Sessions::open(file("sessions.json"), settings.lifetime),
            limiter: Limiter::after(limiter::FAILURES),
            by_name: Limiter::after(10 * limiter::FAILURES),
            checking: Semaphore::new(CHECKED_AT_ONCE),
            cookie: Cookie::new(base, secure),
            settings: settings.clone(),
        }
    }

    /// How people are recognised.
    #[must_use]
    pub const fn mode(&self) -> &Mode {
        &self.settings.mode
    }

    /// The scheme, host and port by which browsers reach the board, if that was said.
    #[must_use]
    pub fn origin(&self) -> Option<&str> {
        self.settings.origin.as_deref()
    }

    /// Whether what a peer says of others is believed.
    #[must_use]
    pub fn trusts(&self, peer: Peer) -> bool {
        match peer {
            Peer::Socket => true,
            Peer::Ip(address) => self.trusts_address(address),
        }
    }

    fn trusts_address(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.settings.trusted_proxies.iter().any(|net| net.contains(&address))
    }

    /// Where a request comes from: the peer, or what trusted proxies say of it. The addresses in `X-Forwarded-For` are
    /// read from the right, up to the first that is no proxy of ours: what stands before it anybody could have written.
    #[must_use]
    pub fn client(&self, headers: &HeaderMap, peer: Peer) -> Option<IpAddr> {
        let own = match peer {
            Peer::Ip(address) => Some(address.to_canonical()),
            Peer::Socket => None,
        };
        if !self.trusts(peer) {
            return own;
        }
        let mut client = own;
        let lines: Vec<_> = headers.get_all("x-forwarded-for").iter().collect();
        let all = lines
            .iter()
            .rev()
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.rsplit(','));
        for text in all {
            let Ok(address) = text.trim().parse::<IpAddr>() else {
                return client;
            };
            client = Some(address.to_canonical());
            if !self.trusts_address(address) {
                return client;
            }
        }
        client
    }

    /// Whoever makes a request; `None` if nobody says who it is.
    ///
    /// # Errors
    ///
    /// When it must not be served at all.
    pub fn recognise(&self, headers: &HeaderMap, peer: Peer) -> Result<Option<Who>, Refused> {
        let client = self.client(headers, peer);
        let address = self.address(client, peer);
        if let Some(token) = bearer(headers) {
            let place = limiter::place(client);
            if let Some(seconds) = self.limiter.wait(&place) {
                return Err(Refused::TooOften(seconds));
            }
            let who = self.tokens.who(token, &address);
            if who.is_none() {
                self.limiter.failed(&place);
                tracing::warn!(address, "a token that is not valid was refused");
            }
            return who.map(Some).ok_or(Refused::BadToken);
        }
        match &self.settings.mode {
            Mode::None => Ok(Some(Who::anonymous(address))),
            Mode::Proxy(proxy) => {
                let named = proxy.named(headers, self.trusts(peer)).map_err(|why| {
                    tracing::warn!(address, "{}", why.sentence());
                    Refused::Forged(why)
                })?;
                Ok(named.map(|named| Who {
                    grants: self.grants(&named.user, &named.groups, None),
                    name: named.user,
                    address,
                    via: Via::Proxy,
                }))
            }
            Mode::Password => Ok(self.session(headers, address)),
        }
    }

    fn address(&self, client: Option<IpAddr>, peer: Peer) -> String {
        match (client, peer) {
            (None, _) => "unix socket".into(),
            (Some(client), Peer::Ip(peer)) if peer.to_canonical() != client => format!("{client} by {peer}"),
            (Some(client), _) => client.to_string(),
        }
    }

    fn session(&self, headers: &HeaderMap, address: String) -> Option<Who> {
        let (key, name, stamp) = self.sessions.whose(self.cookie.read(headers)?)?;
        // Whoever was taken out, or is given other rights, has to sign in again.
        let user = self.users.get(&name).filter(|user| user.stamp() == stamp);
        let Some(user) = user else {
            self.sessions.end(&key);
            return None;
        };
        Some(Who {
            grants: self.grants(&user.name, &user.groups, user.grant()),
            name: user.name,
            address,
            via: Via::Session(key),
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

    /// Signs somebody in: what the answer sets as a cookie.
    ///
    /// # Errors
    ///
    /// `None` for a wrong name or password, or the seconds to wait.
    pub async fn sign_in(
        self: &Arc<Self>,
        headers: &HeaderMap,
        peer: Peer,
        name: String,
        password: String,
    ) -> Result<String, Option<u64>> {
        let client = self.client(headers, peer);
        let place = limiter::place(client);
        let address = self.address(client, peer);
        let _turn = self.checking.acquire().await;
        // Looked at when it is one's turn: whoever waited behind ten failures has failed too.
        if let Some(seconds) = self.limiter.wait(&place).or_else(|| self.by_name.wait(&name)) {
            tracing::warn!(address, "too many wrong passwords");
            return Err(Some(seconds));
        }
        let auth = self.clone();
        let asked = name.clone();
        let checked = tokio::task::spawn_blocking(move || auth.users.check(&asked, &password)).await;
        let Some(user) = checked.ok().flatten() else {
            self.limiter.failed(&place);
            self.by_name.failed(&name);
            let user: String = name.escape_debug().take(64).collect();
            tracing::warn!(address, user, "a wrong name or password");
            return Err(None);
        };
        self.limiter.succeeded(&place);
        self.by_name.succeeded(&name);
        if let Some((old, ..)) = self.cookie.read(headers).and_then(|secret| self.sessions.whose(secret)) {
            self.sessions.end(&old);
        }
        tracing::info!(address, user = user.name, "signed in");
        let secret = self.sessions.begin(&user.name, User::stamp(&user));
        Ok(self.cookie.set(&secret, self.settings.lifetime.whole.as_secs()))
    }

    /// Signs somebody out: what the answer sets as a cookie.
    #[must_use]
    pub fn sign_out(&self, who: &Who) -> String {
        if let Via::Session(key) = &who.via {
            self.sessions.end(key);
            tracing::info!(address = who.address, user = who.name, "signed out");
        }
        self.cookie.set("", 0)
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
