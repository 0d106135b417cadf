//! The users and tokens that a request may be from.
//!
//! They are in Drover's own database. Each request asks it which ones there are now (one read of two rows), and reads them again
//! if they have changed, so that what is changed at one replica, or by the command line, is in force everywhere with the next
//! request.
//!
//! While the database does not answer, those that it confirmed within [`AWAY`] are known, so that a user can sign in: from memory,
//! and from a copy on the disk by a Drover that starts in that time.

use super::changes::Changes;
use super::file::StateFile;
use super::sessions::{AWAY, LIMIT, START};
use crate::model::{Millis, now};
use crate::server::database::identity::{Revision, Token, User};
use crate::server::database::{OwnData, file};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fmt::Display;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::OnceCell;
use tokio::time::{sleep, timeout};

/// How often changes are looked for while a stream is open.
const LOOK: Duration = Duration::from_millis(500);

/// How often without one, and how often the copy is written.
const CONFIRM: Duration = Duration::from_secs(60);

/// The files of an earlier Drover, and the copy.
const USERS: &str = "users.json";
const TOKENS: &str = "tokens.json";
const COPY: &str = "identity.json";

/// All users and tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct People {
    users: Vec<User>,
    pub(super) tokens: Vec<Token>,
}

impl People {
    /// The user of this name.
    #[must_use]
    pub fn user(&self, name: &str) -> Option<&User> {
        self.users.iter().find(|user| user.name == name)
    }
}

/// What the copy holds, and when the database confirmed it.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Copy {
    at: Millis,
    users: Vec<User>,
    tokens: Vec<Token>,
}

#[derive(Clone, Debug)]
struct Known {
    revision: Revision,
    people: Arc<People>,
    /// When the database was asked that confirmed it.
    confirmed: Instant,
}

/// See the module.
#[derive(Debug)]
pub struct Identity {
    data: OwnData,
    folder: PathBuf,
    started: Instant,
    prepared: OnceCell<()>,
    known: Mutex<Option<Known>>,
    copy: Arc<StateFile<Copy>>,
    /// Whether the database did not answer the last time.
    away: AtomicBool,
}

fn text(why: impl Display) -> String {
    why.to_string()
}

/// What is answered in time.
async fn within<T>(answer: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let late = |_| Err(format!("the database did not answer within {} s", LIMIT.as_secs()));
    timeout(LIMIT, answer).await.unwrap_or_else(late)
}

/// What is in a file of an earlier Drover; `None` without one, and if it cannot be read.
fn left<T: DeserializeOwned>(path: &Path) -> Option<Vec<T>> {
    let read = match fs::read_to_string(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        read => read,
    };
    read.map_err(text)
        .and_then(|read| serde_json::from_str(&read).map_err(text))
        .inspect_err(|why| tracing::error!("{} cannot be read, and is not taken over: {why}", path.display()))
        .ok()
}

/// Renames a file that is in the database now, or another one in its place.
fn set_aside(path: &Path, taken: bool) {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".taken-over");
    let aside = path.with_file_name(name);
    let renamed = fs::rename(path, &aside);
    let mut lock = path.as_os_str().to_owned();
    lock.push(".lock");
    let _ = fs::remove_file(lock);
    let path = path.display();
    match renamed {
        // A replica in the same folder was quicker.
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => tracing::warn!("{path} is not used any more, and cannot be renamed: {error}"),
        Ok(()) if taken => tracing::info!("{path} was taken over, and is kept as {}", aside.display()),
        Ok(()) => tracing::warn!(
            "{path} is not used, because such a file was taken over before; it is kept as {}",
            aside.display()
        ),
    }
}

impl Identity {
    /// Those in the database, once the files in this folder that an earlier Drover left are taken over.
    #[must_use]
    pub fn new(data: OwnData, folder: &Path) -> Self {
        Self {
            data,
            folder: folder.to_path_buf(),
            started: Instant::now(),
            prepared: OnceCell::new(),
            known: Mutex::default(),
            copy: Arc::new(StateFile::at(folder.join(COPY))),
            away: AtomicBool::new(false),
        }
    }

    fn known(&self) -> MutexGuard<'_, Option<Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All users and tokens, and whether the database has confirmed them since this was asked; `None` if they are not known.
    pub async fn now(&self) -> Option<(Arc<People>, bool)> {
        let answer = match self.prepare().await {
            Ok(()) => within(self.ask()).await,
            Err(why) => Err(why),
        };
        let (known, why) = match answer {
            Ok(people) => (Some((people, true)), None),
            Err(why) => (self.remembered().map(|people| (people, false)), Some(why)),
        };
        self.tell(why, known.is_some());
        known
    }

    async fn ask(&self) -> Result<Arc<People>, String> {
        let asked = Instant::now();
        let known = self.known().clone();
        let mut revision = self.data.identity_revision().await.map_err(text)?;
        if let Some(known) = &known
            && revision.is_first()
            && !self.data.is_shared()
            && self.put_back(known).await?
        {
            revision = self.data.identity_revision().await.map_err(text)?;
        }
        let people = match known {
            Some(known) if known.revision == revision => known.people,
            // What changes after the revision was read is read again with the next request.
            _ => Arc::new(People {
                users: self.data.users().await.map_err(text)?,
                tokens: self.data.tokens().await.map_err(text)?,
            }),
        };
        let mut known = self.known();
        if known.as_ref().is_none_or(|known| known.confirmed <= asked) {
            *known = Some(Known {
                revision,
                people: people.clone(),
                confirmed: asked,
            });
        }
        Ok(people)
    }

    /// Writes those that were known into a file that was begun anew, because the one before was damaged or moved away; whether
    /// it was.
    async fn put_back(&self, known: &Known) -> Result<bool, String> {
        if known.revision.is_first() || *known.people == People::default() {
            return Ok(false);
        }
        self.data
            .take_over_users(&known.people.users, now())
            .await
            .map_err(text)?;
        self.data
            .take_over_tokens(&known.people.tokens, now())
            .await
            .map_err(text)?;
        tracing::warn!("users and tokens were written into a new {}", file::NAME);
        Ok(true)
    }

    /// Those that were confirmed not too long ago.
    fn remembered(&self) -> Option<Arc<People>> {
        let mut known = self.known();
        if known.is_none() {
            *known = self.copied().or_else(|| self.left_behind());
        }
        let known = known.as_ref()?;
        (known.confirmed.elapsed() < AWAY).then(|| known.people.clone())
    }

    fn copied(&self) -> Option<Known> {
        let copy = self.copy.read().ok()?;
        let copy = copy.first()?.clone();
        // One from the future is too old.
        let age = u64::try_from(now() - copy.at).map_or(AWAY, Duration::from_millis);
        (age < AWAY).then_some(())?;
        Some(Known {
            revision: Revision::default(),
            people: Arc::new(People {
                users: copy.users,
                tokens: copy.tokens,
            }),
            confirmed: Instant::now().checked_sub(age)?,
        })
    }

    /// Those in the files of an earlier Drover, until they can be taken over.
    fn left_behind(&self) -> Option<Known> {
        let (users, tokens) = (left(&self.folder.join(USERS)), left(&self.folder.join(TOKENS)));
        (users.is_some() || tokens.is_some()).then(|| Known {
            revision: Revision::default(),
            people: Arc::new(People {
                users: users.unwrap_or_default(),
                tokens: tokens.unwrap_or_default(),
            }),
            confirmed: self.started,
        })
    }

    /// Once the database can be used: takes over the files of an earlier Drover.
    async fn prepare(&self) -> Result<(), String> {
        if self.prepared.initialized() {
            return Ok(());
        }
        // A database without the tables is never ready: only the first requests wait for it.
        let ready = match self.started.elapsed() < START {
            true => self.data.soon().await,
            false => self.data.ready(),
        };
        ready.map_err(text)?;
        let prepared = self.prepared.get_or_try_init(|| self.take_over());
        within(prepared).await.map(|&()| ())
    }

    /// Takes over the files of an earlier Drover, and renames them. Of replicas that do so at once, one does; a file that appears
    /// later is not used.
    ///
    /// # Errors
    ///
    /// When the database does not answer, in a sentence.
    pub async fn take_over(&self) -> Result<(), String> {
        let path = self.folder.join(USERS);
        if let Some(users) = left(&path) {
            set_aside(&path, self.data.take_over_users(&users, now()).await.map_err(text)?);
        }
        let path = self.folder.join(TOKENS);
        if let Some(tokens) = left(&path) {
            set_aside(&path, self.data.take_over_tokens(&tokens, now()).await.map_err(text)?);
        }
        Ok(())
    }

    /// Looks for changes, so that streams check their permission again, and keeps the copy; never returns.
    pub(super) async fn keep(&self, changes: &Changes) {
        let (mut last, mut copied): (Option<Revision>, Option<Instant>) = (None, None);
        loop {
            let confirmed = self.known().as_ref().map(|known| known.confirmed.elapsed());
            if changes.is_followed() || confirmed.is_none_or(|age| age > CONFIRM) {
                self.now().await;
            }
            let revision = self.known().as_ref().map(|known| known.revision.clone());
            let changed = revision != last;
            if changed {
                last = revision;
                changes.notify();
            }
            if changed || copied.is_none_or(|at| at.elapsed() > CONFIRM) {
                copied = Some(Instant::now());
                self.write_copy().await;
            }
            sleep(LOOK).await;
        }
    }

    async fn write_copy(&self) {
        // What the database has not confirmed is in another file.
        let confirmed = |known: &Known| known.revision != Revision::default();
        let Some(known) = self.known().clone().filter(confirmed) else {
            return;
        };
        let copy = Copy {
            at: now() - Millis::try_from(known.confirmed.elapsed().as_millis()).unwrap_or(Millis::MAX),
            users: known.people.users.clone(),
            tokens: known.people.tokens.clone(),
        };
        let file = self.copy.clone();
        let written = tokio::task::spawn_blocking(move || file.write(&[copy])).await;
        if let Ok(Err(error)) = written {
            tracing::warn!("{} cannot be written: {error}", self.copy.path().display());
        }
    }

    /// Logs when the database stops answering, and when it answers again.
    fn tell(&self, why: Option<String>, known: bool) {
        let before = self.away.swap(why.is_some(), Ordering::Relaxed);
        match why {
            Some(why) if !before && known => tracing::warn!("users and tokens are those known before, for now: {why}"),
            Some(why) if !before => tracing::error!("no user can sign in, and no token is valid, for now: {why}"),
            None if before => tracing::info!("users and tokens are confirmed by the database again"),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
