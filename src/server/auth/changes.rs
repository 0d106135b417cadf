//! What makes open streams check their permission again.
//!
//! A stream is permitted when it is opened. It is notified when a user signs out, when a user or a token is changed or removed,
//! and when a request through the proxy has other permissions for the same name. A session that runs out notifies no stream:
//! streams check for that now and then.

use super::who::{Grant, Who};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// See the module.
#[derive(Debug, Default)]
pub struct Changes {
    count: watch::Sender<u64>,
    /// By name, the readers of open streams whom a proxy named.
    followed: Mutex<HashMap<String, Named>>,
}

#[derive(Debug)]
struct Named {
    streams: usize,
    /// Of the last request.
    grants: Arc<[Grant]>,
}

impl Changes {
    /// Notifies of changes; the value has no meaning.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.count.subscribe()
    }

    /// Whether a stream is open that may have to end.
    pub(super) fn is_followed(&self) -> bool {
        self.count.receiver_count() > 0
    }

    /// Makes every stream check its permission.
    pub(super) fn notify(&self) {
        self.count.send_modify(|count| *count += 1);
    }

    fn followed(&self) -> MutexGuard<'_, HashMap<String, Named>> {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the permissions of a request whose sender the proxy named.
    pub(super) fn record(&self, name: &str, grants: &Arc<[Grant]>) {
        let mut followed = self.followed();
        if let Some(known) = followed.get_mut(name)
            && known.grants != *grants
        {
            known.grants = grants.clone();
            drop(followed);
            self.notify();
        }
    }

    /// Notes the permissions of later requests of the same name until the returned value is dropped.
    #[must_use]
    pub fn follow(self: &Arc<Self>, who: &Who) -> Followed {
        let mut followed = self.followed();
        let known = followed.entry(who.name.clone()).or_insert_with(|| Named {
            streams: 0,
            grants: who.grants.clone(),
        });
        known.streams += 1;
        Followed {
            name: who.name.clone(),
            changes: self.clone(),
        }
    }
}

/// An open stream whose reader a proxy named.
#[derive(Debug)]
pub struct Followed {
    name: String,
    changes: Arc<Changes>,
}

impl Followed {
    /// Whether the last request of that name had these permissions.
    #[must_use]
    pub fn holds(&self, grants: &Arc<[Grant]>) -> bool {
        let followed = self.changes.followed();
        followed.get(&self.name).is_some_and(|known| known.grants == *grants)
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        let mut followed = self.changes.followed();
        if let Some(known) = followed.get_mut(&self.name) {
            known.streams -= 1;
            if known.streams == 0 {
                followed.remove(&self.name);
            }
        }
    }
}
