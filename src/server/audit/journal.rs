//! The file: lines are added at its end, each flushed to the disk before the write is confirmed.
//!
//! One thread writes. Lines that come while it is busy are written and flushed together, so that a hundred
//! actions in one moment cost a few flushes. Only one process writes to a file: it holds a lock beside it.
//! A crash can leave the last line torn; it gets its end of line when the file is opened again, and is
//! skipped by readers.

use super::chain;
use super::index::{Index, KEY_KEEP};
use super::record::Record;
use crate::model::now;
use crate::server::tasks::{Tasks, on_a_thread};
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;
use tokio::sync::oneshot;

/// A file of this size is rotated.
pub(super) const ROTATE: u64 = 8 * 1024 * 1024;

/// How much of older files is read at the start.
const READ_BACK: u64 = 16 * 1024 * 1024;

/// Lines that are flushed together at most.
const GROUP: usize = 256;

/// How long the disk may take.
const PATIENCE: Duration = Duration::from_secs(10);

type Trouble = Arc<Mutex<Option<String>>>;

/// A line on its way.
struct Line {
    bytes: Vec<u8>,
    flush: bool,
    done: oneshot::Sender<Result<(), String>>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Journal {
    lines: mpsc::Sender<Line>,
    trouble: Trouble,
}

impl Journal {
    /// Opens the file, reads its newest part into the index, and starts the thread that writes. A file of `rotate`
    /// bytes is rotated.
    pub(super) fn open(file: &Path, index: Arc<Mutex<Index>>, rotate: u64, tasks: &Tasks) -> Self {
        let (lines, inbox) = mpsc::channel();
        let trouble = Trouble::default();
        let mut writer = Writer {
            path: file.to_path_buf(),
            index,
            open: None,
            rotate,
            trouble: trouble.clone(),
            before: None,
        };
        if let Err(why) = writer.ready() {
            tracing::warn!("actions are refused: {why}");
            // Existing entries can be shown all the same.
            writer.read_back();
        }
        let writing = Arc::new(Mutex::new((writer, inbox)));
        // Ends when all senders are dropped, so that lines under way at the stop of the server are still written.
        tasks.see_through_alone("audit file", move || {
            let writing = writing.clone();
            on_a_thread("audit", move || {
                let mut writing = match writing.lock() {
                    Ok(writing) => writing,
                    Err(poisoned) => {
                        // It failed in the middle of a line: the file is opened anew.
                        writing.clear_poison();
                        let mut writing = poisoned.into_inner();
                        writing.0.open = None;
                        writing.0.before = None;
                        writing
                    }
                };
                let (writer, inbox) = &mut *writing;
                writer.run(inbox);
                // Releases the lock: another process may write to the file from now on.
                writer.open = None;
            })
        });
        Self { lines, trouble }
    }

    pub(super) fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Adds a line; if `flush`, it is on the disk when this returns.
    pub(super) async fn append(&self, record: &Record, flush: bool) -> Result<(), String> {
        let mut bytes = serde_json::to_vec(record).map_err(|error| error.to_string())?;
        bytes.push(b'\n');
        let (done, written) = oneshot::channel();
        let gone = || "the thread that writes the audit file has stopped".to_owned();
        self.lines.send(Line { bytes, flush, done }).map_err(|_| gone())?;
        match tokio::time::timeout(PATIENCE, written).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(gone()),
            Err(_) => Err(format!(
                "the disk did not accept a line within {} s",
                PATIENCE.as_secs()
            )),
        }
    }
}

struct Writer {
    path: PathBuf,
    index: Arc<Mutex<Index>>,
    open: Option<Open>,
    rotate: u64,
    trouble: Trouble,
    /// The hash of the last line that was written; `None` before it was looked up.
    before: Option<String>,
}

struct Open {
    file: File,
    size: u64,
    /// Which file it is: an operator may move it away.
    inode: u64,
    /// Held as long as this process writes.
    _lock: File,
}

impl Writer {
    fn run(&mut self, inbox: &mpsc::Receiver<Line>) {
        while let Ok(first) = inbox.recv() {
            let mut lines = vec![first];
            lines.extend(inbox.try_iter().take(GROUP - 1));
            let result = self.write(&lines);
            *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = result.clone().err();
            for line in lines {
                let _ = line.done.send(result.clone());
            }
        }
    }

    fn write(&mut self, lines: &[Line]) -> Result<(), String> {
        self.ready()?;
        let path = self.path.display().to_string();
        let Some(open) = &mut self.open else {
            return Err(format!("{path} is not open"));
        };
        let mut before = self.before.clone().unwrap_or_else(|| chain::NOTHING.to_owned());
        let mut bytes = Vec::new();
        for line in lines {
            let (linked, hash) = chain::link(&line.bytes, &before);
            bytes.extend(linked);
            before = hash;
        }
        let flush = lines.iter().any(|line| line.flush);
        let result = open
            .file
            .write_all(&bytes)
            .and_then(|()| if flush { open.file.sync_data() } else { Ok(()) });
        if let Err(error) = result {
            // These lines were not confirmed; a half line must not stay.
            let _ = open.file.set_len(open.size);
            return Err(format!("the audit file {path} cannot be written: {error}"));
        }
        open.size += bytes.len() as u64;
        self.before = Some(before);
        Ok(())
    }

    /// Makes sure that the file is open, ours, in its place and not too large.
    fn ready(&mut self) -> Result<(), String> {
        let result = self.try_ready();
        let told = |error: io::Error| {
            format!(
                "the audit file {} cannot be written: {error}. Give another one with DROVER_AUDIT_FILE.",
                self.path.display()
            )
        };
        let result = result.map_err(told);
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = result.clone().err();
        result
    }

    fn try_ready(&mut self) -> io::Result<()> {
        if let Some(open) = &self.open {
            let there = fs::metadata(&self.path).is_ok_and(|meta| meta.ino() == open.inode);
            if there && open.size < self.rotate {
                return Ok(());
            }
            if there {
                self.put_aside()?;
            }
        }
        let lock = match self.open.take() {
            Some(open) => open._lock,
            None => {
                if let Some(folder) = self.path.parent() {
                    fs::create_dir_all(folder)?;
                }
                let lock = self.take_lock()?;
                self.read_back();
                lock
            }
        };
        if self.before.is_none() {
            let mut files = vec![self.path.clone()];
            files.extend(aside(&self.path));
            self.before = Some(chain::last(&files));
        }
        self.open = Some(open_file(&self.path, lock)?);
        Ok(())
    }

    fn take_lock(&self) -> io::Result<File> {
        let mut path = self.path.clone().into_os_string();
        path.push(".lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(path)?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|error| match error {
            rustix::io::Errno::WOULDBLOCK => io::Error::other("another Drover is writing to it"),
            error => error.into(),
        })?;
        Ok(lock)
    }

    /// Renames the full file after the moment; the next one begins empty.
    fn put_aside(&self) -> io::Result<()> {
        let stem = self.path.file_stem().unwrap_or_default().to_string_lossy();
        let named = |at: i64| self.path.with_file_name(format!("{stem}-{at:013}.ndjson"));
        let mut at = now();
        // A clock that was set back must not put one file in the place of another.
        while named(at).exists() {
            at += 1;
        }
        fs::rename(&self.path, named(at))
    }

    /// Reads the newest part of the audit log: as many files as hold the last day, within reason.
    fn read_back(&self) {
        let mut files = vec![self.path.clone()];
        let mut size = fs::metadata(&self.path).map_or(0, |meta| meta.len());
        for path in aside(&self.path) {
            let Ok(meta) = fs::metadata(&path) else { continue };
            let touched = meta.mtime().saturating_mul(1000);
            if size > 0 && (size + meta.len() > READ_BACK || now() - touched > KEY_KEEP) {
                break;
            }
            size += meta.len();
            files.push(path);
        }
        let mut index = Index::default();
        let mut odd = 0_u64;
        for path in files.iter().rev() {
            odd += read_lines(path, &mut index);
        }
        if odd > 0 {
            tracing::warn!(
                "{odd} line(s) of the audit file {} cannot be read and are skipped",
                self.path.display()
            );
        }
        *self.index.lock().unwrap_or_else(PoisonError::into_inner) = index;
    }
}

/// The files that were rotated, the newest first.
pub(super) fn aside(file: &Path) -> Vec<PathBuf> {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let ours = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let moment = name
            .strip_prefix(&format!("{stem}-"))
            .and_then(|rest| rest.strip_suffix(".ndjson"));
        moment.is_some_and(|moment| moment.len() == 13 && moment.bytes().all(|b| b.is_ascii_digit()))
    };
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    let Ok(entries) = fs::read_dir(folder.unwrap_or_else(|| Path::new("."))) else {
        return vec![];
    };
    let mut paths: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(ours)
        .collect();
    paths.sort();
    paths.reverse();
    paths
}

/// Reads a file into the index; gives how many lines could not be read.
fn read_lines(path: &Path, index: &mut Index) -> u64 {
    let Ok(file) = File::open(path) else { return 0 };
    let mut odd = 0;
    for line in BufReader::new(file).split(b'\n') {
        let Ok(line) = line else { return odd + 1 };
        match serde_json::from_slice::<Record>(&line) {
            Ok(record) => index.read(record),
            Err(_) if line.is_empty() => {}
            Err(_) => odd += 1,
        }
    }
    odd
}

/// Opens a file for adding to it, and ends a line that a crash has torn.
fn open_file(path: &Path, lock: File) -> io::Result<Open> {
    let mut file = OpenOptions::new()
        .create(true)
        .read(true)
        .append(true)
        .mode(0o600)
        .open(path)?;
    let meta = file.metadata()?;
    let mut size = meta.len();
    if size > 0 {
        let mut last = [0];
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            file.write_all(b"\n")?;
            size += 1;
        }
    } else {
        // The name of a new file is part of its folder.
        file.sync_all()?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or_else(|| Path::new(".")))?.sync_all()?;
    }
    Ok(Open {
        file,
        size,
        inode: meta.ino(),
        _lock: lock,
    })
}
