//! The users who are signed in.
//!
//! A session is 32 random bytes in a cookie; only their hash is kept, in Drover's own database. Each sign-in begins a new session,
//! whatever cookie came along.
//!
//! With a Postgres that replicas share, each request asks it (one read by primary key), so that a session that has ended at one
//! replica has ended at all of them. While it does not answer, the board stays usable: the sessions that this process has seen go
//! on for [`AWAY`], new ones begin in its memory and are written later, and so is what ends. In `state.db`, which one process
//! uses, sessions are read once; then its memory is asked, because nothing that serves a request waits for the file.

use super::tokens::hash;
use crate::model::{Millis, now};
use crate::server::database::OwnData;
use crate::server::database::sessions::{Changes, Session};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use memory::{KEPT, Memory};
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::OnceCell;
use tokio::time::{sleep, timeout};

mod memory;

/// How long after a start requests wait until the database can be used.
pub(super) const START: Duration = Duration::from_secs(2);

/// How long a request waits for the database, and a sign-in or a sign-out for what it writes.
pub(super) const LIMIT: Duration = Duration::from_secs(1);

/// How long a session goes on that the shared database last had this long ago.
pub(super) const AWAY: Duration = Duration::from_secs(60 * 60);

/// How often what is not written yet is written, and how many times that until old sessions are removed.
const WRITE: Duration = Duration::from_secs(1);
const CLEAN: u32 = 60;

/// How long a session lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// Without a request. A page that is open asks by itself.
    pub idle: Duration,
    /// Altogether.
    pub whole: Duration,
}

impl Default for Lifetime {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(60 * 60),
            whole: Duration::from_secs(12 * 60 * 60),
        }
    }
}

impl Lifetime {
    /// The moments by which a session began, or was last used, that has run out at this one.
    fn ends(&self, at: Millis) -> (Millis, Millis) {
        let before = |span: Duration| at.saturating_sub(Millis::try_from(span.as_millis()).unwrap_or(Millis::MAX));
        (before(self.whole), before(self.idle))
    }

    fn lasts(&self, session: &Session, at: Millis) -> bool {
        let (began, used) = self.ends(at);
        session.since > began && session.seen > used
    }
}

/// See the module.
#[derive(Debug)]
pub struct Sessions {
    lifetime: Lifetime,
    data: OwnData,
    /// Where an earlier Drover kept them.
    file: PathBuf,
    started: Instant,
    prepared: OnceCell<()>,
    memory: Mutex<Memory>,
    writing: tokio::sync::Mutex<()>,
    /// Whether the shared database did not answer the last time.
    away: AtomicBool,
}

impl Sessions {
    /// Those in the database, and in the file of an earlier Drover, as far as they still last.
    #[must_use]
    pub fn new(data: OwnData, file: PathBuf, lifetime: Lifetime) -> Self {
        Self {
            lifetime,
            data,
            file,
            started: Instant::now(),
            prepared: OnceCell::new(),
            memory: Mutex::default(),
            writing: tokio::sync::Mutex::default(),
            away: AtomicBool::new(false),
        }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a session; returns the secret for the cookie.
    pub async fn begin(&self, name: &str, stamp: String) -> String {
        let secret = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
        let at = now();
        self.memory().begin(Session {
            key: hash(&secret),
            name: name.to_owned(),
            stamp,
            since: at,
            seen: at,
        });
        self.write().await;
        secret
    }

    /// The session with this secret, while it lasts.
    pub async fn whose(&self, secret: &str) -> Option<Session> {
        let key = hash(secret);
        self.prepare().await;
        if !self.data.is_shared() {
            return self.memory().whose(&key, now(), &self.lifetime, None);
        }
        let asked = Instant::now();
        let found = match timeout(LIMIT, self.data.session(&key)).await {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(trouble)) => Err(trouble.to_string()),
            Err(_) => Err(format!("it did not answer within {} s", LIMIT.as_secs())),
        };
        self.tell(found.as_ref().err());
        let mut memory = self.memory();
        match found {
            Ok(Some(session)) => memory.learn(session, asked),
            Ok(None) => memory.lack(&key, asked),
            Err(_) => {}
        }
        memory.whose(&key, now(), &self.lifetime, Some(AWAY))
    }

    /// Ends one, by the hash of its secret.
    pub async fn end(&self, key: &str) {
        self.memory().end(key);
        self.write().await;
    }

    /// Ends all sessions of a user, except those that began with this stamp.
    pub async fn end_of(&self, name: &str, except: &str) {
        self.memory().end_of(name, except);
        self.write().await;
        // Those that only other replicas know; where it fails, their stamp is refused with the next request.
        let _ = timeout(LIMIT, self.data.end_sessions_of(name, except)).await;
    }

    /// Writes what could not be written when it happened, and removes sessions that have run out; never returns.
    pub(super) async fn keep(&self) {
        loop {
            for _ in 0..CLEAN {
                self.prepare().await;
                self.write().await;
                sleep(WRITE).await;
            }
            let at = now();
            self.memory().clean(at, &self.lifetime);
            let (began, used) = self.lifetime.ends(at);
            let most = i64::try_from(KEPT).unwrap_or(i64::MAX);
            if let Err(trouble) = self.data.forget_sessions(began, used, most).await {
                tracing::debug!("sessions that have run out are not removed yet: {trouble}");
            }
        }
    }

    /// Once the database can be used: takes over the sessions of an earlier Drover, and reads those that only this process uses.
    async fn prepare(&self) {
        if self.prepared.initialized() {
            return;
        }
        // A database without the tables is never ready: only the first requests wait for it.
        let ready = match self.started.elapsed() < START {
            true => self.data.soon().await,
            false => self.data.ready(),
        };
        if ready.is_err() {
            return;
        }
        let prepared = self.prepared.get_or_try_init(|| self.take_over());
        if let Ok(Err(why)) = timeout(LIMIT, prepared).await {
            tracing::debug!("sessions are not read yet: {why}");
        }
    }

    async fn take_over(&self) -> Result<(), String> {
        let text = match fs::read_to_string(&self.file) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => {
                tracing::warn!(
                    "{} cannot be read, its users have to sign in again: {error}",
                    self.file.display()
                );
                None
            }
        };
        if let Some(text) = text {
            let left: Vec<Session> = serde_json::from_str(&text).unwrap_or_else(|error| {
                tracing::warn!(
                    "{} is malformed, its users have to sign in again: {error}",
                    self.file.display()
                );
                vec![]
            });
            let at = now();
            let begun = left.into_iter().filter(|session| self.lifetime.lasts(session, at));
            let begun = Changes {
                begun: begun.collect(),
                ..Changes::default()
            };
            let taken = self.data.change_sessions(&begun).await;
            taken.map_err(|trouble| trouble.to_string())?;
            if let Err(error) = fs::remove_file(&self.file) {
                tracing::warn!("{} was taken over and cannot be removed: {error}", self.file.display());
            }
        }
        if !self.data.is_shared() {
            let most = i64::try_from(KEPT).unwrap_or(i64::MAX);
            let kept = self.data.sessions(most).await.map_err(|trouble| trouble.to_string())?;
            let (mut memory, read) = (self.memory(), Instant::now());
            kept.into_iter().for_each(|session| memory.learn(session, read));
        }
        Ok(())
    }

    /// Writes what the database does not know yet. One at a time: what has ended is removed after it was added.
    async fn write(&self) {
        let _turn = self.writing.lock().await;
        let unwritten = self.memory().unwritten();
        if unwritten.is_empty() || self.data.ready().is_err() {
            return;
        }
        // What is cut off is written again, which changes nothing that was done.
        match timeout(LIMIT, self.data.change_sessions(&unwritten)).await {
            Ok(Ok(())) => self.memory().written(&unwritten),
            Ok(Err(trouble)) => tracing::debug!("sessions are not written yet: {trouble}"),
            Err(_) => tracing::debug!("sessions are not written yet: the database does not answer"),
        }
    }

    /// Logs when the shared database stops answering, and when it answers again.
    fn tell(&self, why: Option<&String>) {
        let before = self.away.swap(why.is_some(), Ordering::Relaxed);
        match why {
            Some(why) if !before => {
                tracing::warn!("users stay signed in from the memory of this Drover alone for now: {why}");
            }
            None if before => tracing::info!("sessions are shared by all replicas again"),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
