//! The lines of a file that the shared audit log does not have yet.
//!
//! A note beside the file (`audit.ndjson.carried`) says how far they were carried over. The note only saves time:
//! Postgres skips a line that is carried over again, so without a note, or with one that fits no file, reading begins
//! with the oldest.

use super::chain;
use super::record::{Carried, Record, fingerprint};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Lines that are carried over at a time.
const BATCH_LINES: usize = 500;

/// Bytes of them.
const BATCH_BYTES: u64 = 1024 * 1024;

/// How far a file was carried over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    /// Which file: it may be renamed meanwhile.
    inode: u64,
    /// Bytes of it.
    offset: u64,
    /// The hash of the last line before that.
    line: String,
}

/// Lines that were read, and where the next ones are.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) records: Vec<Record>,
    /// Lines that are no records, such as one torn by a crash.
    pub(super) odd: u64,
    next: Option<Mark>,
}

impl Batch {
    /// Whether there was nothing left.
    pub(super) const fn is_end(&self) -> bool {
        self.next.is_none()
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Spool {
    file: PathBuf,
    mark: Option<Mark>,
}

impl Spool {
    pub(super) fn new(file: &Path) -> Self {
        let mark = fs::read(noted(file))
            .ok()
            .and_then(|note| serde_json::from_slice(&note).ok());
        Self {
            file: file.to_path_buf(),
            mark,
        }
    }

    /// A placeholder while the real one is in use.
    pub(super) fn none() -> Self {
        Self {
            file: PathBuf::new(),
            mark: None,
        }
    }

    /// The next lines that are not carried over yet.
    pub(super) fn next(&self) -> io::Result<Batch> {
        let files: Vec<(PathBuf, u64)> = chain::files(&self.file)
            .into_iter()
            .filter_map(|path| Some((path.clone(), fs::metadata(path).ok()?.ino())))
            .collect();
        let mark = self.mark.as_ref();
        let known = mark.and_then(|mark| {
            let at = files.iter().position(|(_, inode)| *inode == mark.inode)?;
            mark.is_in(&files[at].0).then_some((at, mark.offset))
        });
        let (begin, mut offset) = known.unwrap_or_default();
        for (path, inode) in &files[begin..] {
            let batch = read(path, *inode, offset)?;
            if !batch.is_end() {
                return Ok(batch);
            }
            offset = 0;
        }
        Ok(Batch::default())
    }

    /// Notes that these are carried over.
    pub(super) fn carried(&mut self, batch: Batch) -> io::Result<()> {
        let Some(mark) = batch.next else { return Ok(()) };
        let (note, mut draft) = (noted(&self.file), noted(&self.file).into_os_string());
        draft.push(".draft");
        fs::write(&draft, serde_json::to_vec(&mark)?)?;
        fs::rename(&draft, note)?;
        self.mark = Some(mark);
        Ok(())
    }
}

fn noted(file: &Path) -> PathBuf {
    let mut path = file.to_path_buf().into_os_string();
    path.push(".carried");
    path.into()
}

impl Mark {
    /// Whether the line before it is there.
    fn is_in(&self, path: &Path) -> bool {
        let check = || -> io::Result<bool> {
            let mut file = File::open(path)?;
            let from = self.offset.saturating_sub(BATCH_BYTES * 2);
            file.seek(SeekFrom::Start(from))?;
            let mut bytes = Vec::new();
            file.take(self.offset - from).read_to_end(&mut bytes)?;
            let whole = bytes.len() as u64 == self.offset - from;
            let line = bytes.strip_suffix(b"\n").unwrap_or_default();
            let line = line.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
            Ok(whole && fingerprint(line) == self.line)
        };
        check().unwrap_or(false)
    }
}

fn read(path: &Path, inode: u64, offset: u64) -> io::Result<Batch> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    let mut reader = BufReader::new(file);
    let (mut batch, mut offset, begin) = (Batch::default(), offset, offset);
    let at = crate::model::now();
    while batch.records.len() < BATCH_LINES && offset - begin < BATCH_BYTES {
        let mut line = Vec::new();
        reader.read_until(b'\n', &mut line)?;
        // A line without an end is still being written.
        let Some(text) = line.strip_suffix(b"\n") else { break };
        offset += line.len() as u64;
        let hash = fingerprint(text);
        match serde_json::from_slice::<Record>(text) {
            Ok(mut record) => {
                record.carried = Some(Carried { at, line: hash.clone() });
                batch.records.push(record);
            }
            Err(_) if text.is_empty() => {}
            Err(_) => batch.odd += 1,
        }
        batch.next = Some(Mark {
            inode,
            offset,
            line: hash,
        });
    }
    Ok(batch)
}
