//! The users who are signed in.
//!
//! A session is 32 random bytes in a cookie; Drover keeps only their hash, in memory and in a file beside the audit
//! log, so that a restart in the middle of an incident signs no user out. Each sign-in begins a new session, whatever
//! cookie came along.

use super::file::StateFile;
use super::tokens::hash;
use crate::model::{Millis, now};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Sessions that are kept; the longest unused goes first.
const KEPT: usize = 10_000;

/// How exactly it is noted when a session was last used.
const NOTED: Millis = 30_000;

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

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Session {
    /// The hash of what is in the cookie.
    key: String,
    name: String,
    /// The user as they were, see `User::stamp`.
    stamp: String,
    since: Millis,
    seen: Millis,
}

/// See the module.
#[derive(Debug)]
pub struct Sessions {
    lifetime: Lifetime,
    file: StateFile<Session>,
    live: Mutex<HashMap<String, Session>>,
}

impl Sessions {
    /// Those that an earlier Drover left, as far as they still last.
    #[must_use]
    pub fn open(path: PathBuf, lifetime: Lifetime) -> Self {
        let file = StateFile::at(path);
        let kept = file.read().unwrap_or_else(|error: std::io::Error| {
            tracing::warn!(
                "{} cannot be read; all users have to sign in again: {error}",
                file.path().display()
            );
            std::sync::Arc::default()
        });
        let live = kept
            .iter()
            .map(|session: &Session| (session.key.clone(), session.clone()));
        let live = live.collect();
        Self {
            lifetime,
            file,
            live: Mutex::new(live),
        }
    }

    fn live(&self) -> MutexGuard<'_, HashMap<String, Session>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lasts(&self, session: &Session, at: Millis) -> bool {
        let within =
            |since: Millis, span: Duration| at - since < Millis::try_from(span.as_millis()).unwrap_or(Millis::MAX);
        within(session.since, self.lifetime.whole) && within(session.seen, self.lifetime.idle)
    }

    /// Begins a session; returns the secret for the cookie.
    #[must_use]
    pub fn begin(&self, name: &str, stamp: String) -> String {
        let secret = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
        let at = now();
        let session = Session {
            key: hash(&secret),
            name: name.to_owned(),
            stamp,
            since: at,
            seen: at,
        };
        let mut live = self.live();
        live.retain(|_, session| self.lasts(session, at));
        if live.len() >= KEPT
            && let Some(oldest) = live.values().min_by_key(|session| session.seen).map(|s| s.key.clone())
        {
            live.remove(&oldest);
        }
        live.insert(session.key.clone(), session);
        self.keep(&live);
        secret
    }

    /// The session with this secret: the secret's hash, the user's name, and the stamp of the user it began with.
    #[must_use]
    pub fn whose(&self, secret: &str) -> Option<(String, String, String)> {
        let at = now();
        let key = hash(secret);
        let mut live = self.live();
        let session = live.get_mut(&key)?;
        if !self.lasts(session, at) {
            live.remove(&key);
            return None;
        }
        let told = (key, session.name.clone(), session.stamp.clone());
        if at - session.seen > NOTED {
            session.seen = at;
            self.keep(&live);
        }
        Some(told)
    }

    /// Ends one, by the hash of its secret.
    pub fn end(&self, key: &str) {
        let mut live = self.live();
        live.remove(key);
        self.keep(&live);
    }

    fn keep(&self, live: &HashMap<String, Session>) {
        let all: Vec<Session> = live.values().cloned().collect();
        if let Err(error) = self.file.write(&all) {
            tracing::warn!("sessions cannot be kept in {}: {error}", self.file.path().display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sessions(path: &std::path::Path, idle: u64, whole: u64) -> Sessions {
        let lifetime = Lifetime {
            idle: Duration::from_millis(idle),
            whole: Duration::from_millis(whole),
        };
        Sessions::open(path.join("sessions.json"), lifetime)
    }

    // S-7
    #[test]
    fn a_session_outlives_a_restart_and_ends_when_it_is_ended() {
        let dir = tempfile::tempdir().unwrap();
        let first = sessions(dir.path(), 60_000, 60_000);
        let (ada, eve) = (first.begin("ada", "1".into()), first.begin("eve", "2".into()));
        assert_ne!(ada, eve);
        let kept = std::fs::read_to_string(dir.path().join("sessions.json")).unwrap();
        assert!(!kept.contains(&ada), "only its hash is kept");
        let again = sessions(dir.path(), 60_000, 60_000);
        let (key, name, stamp) = again.whose(&ada).unwrap();
        assert_eq!((name.as_str(), stamp.as_str()), ("ada", "1"));
        again.end(&key);
        assert!(again.whose(&ada).is_none() && again.whose(&eve).is_some() && again.whose("made up").is_none());
        assert!(sessions(dir.path(), 60_000, 60_000).whose(&ada).is_none());
    }

    #[test]
    fn a_session_ends_by_itself() {
        let dir = tempfile::tempdir().unwrap();
        for (idle, whole) in [(0, 60_000), (60_000, 0)] {
            let sessions = sessions(dir.path(), idle, whole);
            let secret = sessions.begin("ada", String::new());
            assert!(sessions.whose(&secret).is_none(), "{idle} {whole}");
        }
    }
}
