//! A small file of this machine alone: read anew when it has changed, replaced as a whole.
//!
//! It is checked on every use, so that a change by the command line holds at once, on a Drover that runs.

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// See the module.
#[derive(Debug)]
pub struct StateFile<T> {
    path: PathBuf,
    held: Mutex<Option<(Stamp, Arc<Vec<T>>)>>,
}

/// Which version of a file it is: its node, its length and when it was changed.
type Stamp = (u64, u64, i64, i64);

/// The version of a file; `None` if it is not there.
fn stamp(path: &Path) -> io::Result<Option<Stamp>> {
    match fs::metadata(path) {
        Ok(meta) => Ok(Some((meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

impl<T: DeserializeOwned + Serialize + Clone> StateFile<T> {
    /// A file, which need not be there yet.
    #[must_use]
    pub const fn at(path: PathBuf) -> Self {
        Self {
            path,
            held: Mutex::new(None),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is in it now. Nothing, if it is not there.
    ///
    /// # Errors
    ///
    /// When it exists and cannot be read.
    pub fn read(&self) -> io::Result<Arc<Vec<T>>> {
        let Some(stamp) = stamp(&self.path)? else {
            return Ok(Arc::default());
        };
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, all)) = &*held
            && *known == stamp
        {
            return Ok(all.clone());
        }
        let text = fs::read_to_string(&self.path)?;
        let all: Arc<Vec<T>> = Arc::new(serde_json::from_str(&text).map_err(io::Error::other)?);
        *held = Some((stamp, all.clone()));
        Ok(all)
    }

    /// Replaces what is in it. Only its owner can read it.
    ///
    /// # Errors
    ///
    /// When it cannot be written; then it is as it was.
    pub fn write(&self, all: &[T]) -> io::Result<()> {
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}", std::process::id()));
        let beside = self.path.with_file_name(name);
        let _ = fs::remove_file(&beside);
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&beside)?;
        file.write_all(serde_json::to_string_pretty(all).map_err(io::Error::other)?.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, &self.path)
    }

    /// Changes what is in it, one after the other: also between processes.
    ///
    /// # Errors
    ///
    /// When it cannot be read or written, or `change` has an objection.
    pub fn change<R>(&self, change: impl FnOnce(&mut Vec<T>) -> Result<R, String>) -> Result<R, String> {
        let told = |error: io::Error| format!("{}: {error}", self.path.display());
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder).map_err(told)?;
        }
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(".lock");
        let lock = fs::File::create(self.path.with_file_name(name)).map_err(told)?;
        rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).map_err(|error| told(error.into()))?;
        let mut all = Vec::clone(&*self.read().map_err(told)?);
        let done = change(&mut all)?;
        self.write(&all).map_err(told)?;
        Ok(done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn what_is_changed_is_seen_at_once_and_only_by_its_owner() {
        let dir = tempfile::tempdir().unwrap();
        let file = StateFile::<String>::at(dir.path().join("sub/names.json"));
        assert!(file.read().unwrap().is_empty());
        let add = |all: &mut Vec<String>| {
            all.push("a".into());
            Ok(())
        };
        file.change(add).unwrap();
        assert_eq!(*file.read().unwrap(), ["a"]);
        StateFile::<String>::at(file.path().to_owned())
            .write(&["b".into()])
            .unwrap();
        assert_eq!(*file.read().unwrap(), ["b"]);
        let mode = fs::metadata(file.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::write(file.path(), "no list").unwrap();
        assert!(
            file.read().is_err(),
            "a file that cannot be read is not taken for an empty one"
        );
        assert!(file.change(add).is_err());
    }
}
