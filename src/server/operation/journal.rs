//! What is on disk about an operation, so that a kill does not lose track of its jobs.
//!
//! | file | holds |
//! |---|---|
//! | `{id}.json` | what was asked for; written once |
//! | `{id}.jobs` | the frozen selection, a JSON array for each job; written once, before the file above |
//! | `{id}.log` | what happened, a line each; the last may be torn |
//!
//! A line of the log is `U n` (jobs before the n-th may be acted on from now on; on disk before any of them is),
//! `R n letters` (results from the n-th on, a letter each), `W n text` (why the n-th has that result) or `S json`
//! (a change of state). Jobs before the last `U` without a result were under way when the process died.
//!
//! Where replicas of Drover share their operations, the same three are rows of Postgres instead ([`super::shared`]).

use super::OperationRequest;
use super::run::{OperationStatus, Run};
use super::select::Item;
use super::shared::Held;
use crate::model::Millis;
use crate::model::action::{JobAction, Seen};
use crate::model::filter::JobFilter;
use crate::model::operation::{Bounds, Operation};
use crate::model::queue::QueueRef;
use crate::server::archive::Archive;
use crate::server::audit::record::{Key, Record, fingerprint};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Meta {
    /// Its id.
    pub id: String,
    /// The action.
    pub action: JobAction,
    /// The filter of the request.
    pub filter: JobFilter,
    /// Its queues.
    pub queues: Vec<QueueRef>,
    /// What it does.
    pub sentence: String,
    /// Who asked.
    pub who: String,
    /// Why.
    pub reason: String,
    /// Its bounds.
    pub bounds: Bounds,
    /// When it was asked for.
    pub created: Millis,
    /// Jobs in its selection.
    pub selected: u64,
    /// Its lines in the audit log.
    #[serde(default)]
    pub records: Vec<Record>,
    /// The idempotency key that it was asked for with.
    #[serde(default)]
    pub key: Option<Key>,
}

impl Meta {
    /// What was ordered, with an id of its own.
    #[must_use]
    pub fn of(order: OperationRequest) -> Self {
        let created = crate::model::now();
        let selection = order.selection;
        Self {
            id: format!("{created:011x}{:05x}", rand::random::<u32>() & 0xf_ffff),
            action: selection.action.clone(),
            filter: selection.filter.clone(),
            queues: selection.queues.iter().map(|(queue, _)| queue.clone()).collect(),
            sentence: order.sentence,
            who: order.who,
            reason: order.reason,
            bounds: order.bounds,
            created,
            selected: selection.items.len() as u64,
            records: order.records,
            key: order.key,
        }
    }
}

/// What a log tells of a past process.
#[derive(Clone, Debug, Default)]
pub struct Past {
    /// Jobs before this one may have been acted on.
    pub upto: usize,
    /// A letter for each job; 0 without a result.
    pub results: Vec<u8>,
    /// Why, for some.
    pub whys: Vec<(u32, String)>,
    /// The last state it was in.
    pub standing: Option<OperationStatus>,
}

/// Where operations are kept.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// Makes the folder if need be.
    ///
    /// # Errors
    ///
    /// When it cannot be made.
    pub fn open(path: &Path) -> io::Result<Self> {
        fs::create_dir_all(path)?;
        Ok(Self(path.to_owned()))
    }

    /// This replica's id, for as long as the lock is held: the same after a restart with this folder, so that its
    /// operations go on at once. Where another process holds the lock, or the folder was copied to another machine, the
    /// id is a different one.
    pub(super) fn identity(&self) -> (String, Option<File>) {
        let own = || -> io::Result<(String, File)> {
            let path = self.0.join("replica");
            let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
            rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive)?;
            let mut id = String::new();
            file.read_to_string(&mut id)?;
            if id.len() != 32 {
                id = format!("{:032x}", rand::random::<u128>());
                file.set_len(0)?;
                file.write_all(id.as_bytes())?;
            }
            let machine = fs::read("/proc/sys/kernel/hostname").unwrap_or_default();
            Ok((fingerprint(&[id.as_bytes(), &machine].concat()), file))
        };
        match own() {
            Ok((id, lock)) => (id, Some(lock)),
            Err(_) => (format!("{:032x}", rand::random::<u128>()), None),
        }
    }

    fn file(&self, id: &str, kind: &str) -> PathBuf {
        self.0.join(format!("{id}.{kind}"))
    }

    /// Saves a new operation.
    ///
    /// # Errors
    ///
    /// When the disk does not take it; then there is no operation.
    pub fn create(&self, meta: Meta, items: Vec<Item>) -> io::Result<Arc<Run>> {
        let id = meta.id.clone();
        let mut jobs = BufWriter::new(File::create(self.file(&id, "jobs"))?);
        write_items(&mut jobs, &items)?;
        jobs.into_inner()?.sync_all()?;
        let log = self.log(&id)?;
        // Last, and renamed as a whole: once this file exists, the operation does.
        let (draft, real) = (self.file(&id, "draft"), self.file(&id, "json"));
        let mut file = File::create(&draft)?;
        file.write_all(&serde_json::to_vec(&meta)?)?;
        file.sync_all()?;
        fs::rename(&draft, &real)?;
        File::open(&self.0)?.sync_all()?;
        Ok(Arc::new(Run::new(
            meta,
            items,
            Past::default(),
            Home::Folder(self.clone()),
            Some(log),
        )))
    }

    fn log(&self, id: &str) -> io::Result<Log> {
        let path = self.file(id, "log");
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Log::File(Arc::new(Mutex::new(file))))
    }

    /// All operations, oldest first: open ones ready to go on, and `keep` others. Older ones are removed.
    ///
    /// # Errors
    ///
    /// When the folder cannot be read. An operation that cannot be read is left out, with a line in Drover's log.
    pub fn load(&self, keep: usize) -> io::Result<Vec<Arc<Run>>> {
        let mut ids: Vec<String> = fs::read_dir(&self.0)?
            .filter_map(|entry| Some(entry.ok()?.file_name().to_str()?.strip_suffix(".json")?.to_owned()))
            .collect();
        ids.sort_unstable();
        let mut runs = Vec::new();
        let mut closed = 0;
        for id in ids.iter().rev() {
            match self.read(id) {
                Ok(run) if run.is_open() => runs.push(Arc::new(run)),
                Ok(run) => {
                    closed += 1;
                    if closed <= keep {
                        runs.push(Arc::new(run));
                    } else {
                        self.remove(id);
                    }
                }
                Err(error) => {
                    tracing::error!(operation = id, %error, "an operation cannot be read and is left as it is")
                }
            }
        }
        runs.reverse();
        Ok(runs)
    }

    fn remove(&self, id: &str) {
        for kind in ["json", "jobs", "log"] {
            if let Err(error) = fs::remove_file(self.file(id, kind)) {
                tracing::debug!(operation = id, %error, "a file of an old operation stays");
            }
        }
    }

    fn read(&self, id: &str) -> io::Result<Run> {
        let meta: Meta = serde_json::from_slice(&fs::read(self.file(id, "json"))?)?;
        let past = self.past(id, usize::try_from(meta.selected).unwrap_or(usize::MAX))?;
        let open = past.standing.as_ref().is_none_or(|standing| standing.state.is_open());
        // The jobs of an operation that has ended are read on demand.
        let (items, log) = if open {
            (self.items(id)?, Some(self.log(id)?))
        } else {
            (vec![], None)
        };
        Ok(Run::new(meta, items, past, Home::Folder(self.clone()), log))
    }

    /// The frozen selection.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn items(&self, id: &str) -> io::Result<Vec<Item>> {
        read_items(BufReader::new(File::open(self.file(id, "jobs"))?))
    }

    fn past(&self, id: &str, selected: usize) -> io::Result<Past> {
        match fs::read(self.file(id, "log")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Past::read(b"", selected)),
            read => Ok(Past::read(&read?, selected)),
        }
    }
}

/// Writes a selection, a JSON array for each job.
pub(super) fn write_items(to: &mut impl io::Write, items: &[Item]) -> io::Result<()> {
    for Item { queue, id, seen } in items {
        serde_json::to_writer(&mut *to, &(queue, id, seen))?;
        to.write_all(b"\n")?;
    }
    Ok(())
}

/// Reads it back.
pub(super) fn read_items(from: impl io::BufRead) -> io::Result<Vec<Item>> {
    from.lines()
        .map(|line| {
            let (queue, id, seen): (u32, Box<str>, Seen) = serde_json::from_str(&line?)?;
            Ok(Item { queue, id, seen })
        })
        .collect()
}

/// Where an operation is kept.
#[derive(Clone, Debug)]
pub enum Home {
    /// In files of this Drover.
    Folder(Folder),
    /// Where all replicas see it.
    Shared(Arc<Archive>),
}

impl Home {
    /// The frozen selection.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub async fn items(&self, id: &str) -> io::Result<Vec<Item>> {
        match self {
            Self::Folder(folder) => folder.items(id),
            Self::Shared(archive) => archive.operation_items(id).await,
        }
    }
}

impl Past {
    /// Takes in a whole log.
    pub(super) fn read(text: &[u8], selected: usize) -> Self {
        let mut past = Self {
            results: vec![0; selected],
            ..Self::default()
        };
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            // A line without an end was being written when the process died.
            let Some(line) = line.strip_suffix(b"\n").and_then(|line| std::str::from_utf8(line).ok()) else {
                continue;
            };
            past.take(line);
        }
        past
    }

    /// Takes in a line; skips one that makes no sense.
    fn take(&mut self, line: &str) -> Option<()> {
        let (kind, rest) = line.split_once(' ')?;
        match kind {
            "U" => self.upto = self.upto.max(rest.parse().ok()?),
            "S" => self.standing = Some(serde_json::from_str(rest).ok()?),
            "R" => {
                let (from, letters) = rest.split_once(' ')?;
                let from: usize = from.parse().ok()?;
                let known = self.results.get_mut(from..from.checked_add(letters.len())?)?;
                known.copy_from_slice(letters.as_bytes());
            }
            "W" => {
                let (index, why) = rest.split_once(' ')?;
                self.whys.push((index.parse().ok()?, why.to_owned()));
            }
            _ => {}
        }
        Some(())
    }
}

/// The log of one operation, being written.
#[derive(Clone, Debug)]
pub enum Log {
    /// A file.
    File(Arc<Mutex<File>>),
    /// In Postgres, by the replica that runs the operation.
    Shared(Arc<Held>),
}

impl Log {
    /// Writes lines; with `sync` they are on disk when this returns. `told` is how far the operation is.
    ///
    /// # Errors
    ///
    /// When the disk does not take them.
    pub async fn write(&self, lines: String, sync: bool, told: impl Fn() -> Operation) -> io::Result<()> {
        let file = match self {
            Self::File(file) => file.clone(),
            Self::Shared(held) => {
                held.write(&lines, sync, told).await;
                return Ok(());
            }
        };
        let write = move || {
            let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
            file.write_all(lines.as_bytes())?;
            if sync { file.sync_data() } else { Ok(()) }
        };
        tokio::task::spawn_blocking(write).await.map_err(io::Error::other)?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_or_foreign_line_loses_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        fs::write(
            folder.file("x", "log"),
            b"U 4\nR 0 dd\nW 1 because of this\n\xff\nR 9 dddd\nR 1 x y z\nnonsense\nS {\"state\":\"paused\",\"note\":\"\"}\nR 2 c",
        )
        .unwrap();
        let past = folder.past("x", 4).unwrap();
        assert_eq!(past.upto, 4);
        assert_eq!(past.results[0], b'd');
        assert_eq!(past.results[2], 0, "the torn line is no result");
        assert_eq!(past.whys, [(1, "because of this".to_owned())]);
        assert!(past.standing.is_some_and(|standing| standing.state.is_open()));
        assert_eq!(folder.past("none", 2).unwrap().results, [0, 0]);
    }
}
