//! The lines of the audit log, the oldest first, for `drover audit export`.
//!
//! Each line is given once and byte for byte, so that its hash can be checked wherever it is shipped. Each read begins with the
//! line that was given last: if it is gone or changed, what follows it is not known to be complete, and the export ends.

use super::chain;
use super::record::{Record, fingerprint};
use crate::server::adapter::postgres::classify::classify;
use crate::server::archive::Archive;
use sqlx::PgConnection;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::timeout;

/// Bytes of a file that are read at a time.
const BATCH_BYTES: usize = 1024 * 1024;

/// Rows that are read at a time.
const PAGE: i64 = 2_000;

/// How long a read of rows may take.
const LIMIT: Duration = Duration::from_secs(20);

/// Lines that were read.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// The lines, each with its end.
    pub bytes: Vec<u8>,
    /// Lines that are left out: they are no records, such as one torn by a crash.
    pub odd: u64,
}

impl Batch {
    /// Whether there was nothing to read.
    #[must_use]
    pub const fn is_end(&self) -> bool {
        self.bytes.is_empty() && self.odd == 0
    }

    fn push(&mut self, line: &[u8]) {
        // A row that was changed by hand may have line ends within.
        if line.contains(&b'\n') || serde_json::from_slice::<Record>(line).is_err() {
            self.odd += u64::from(!line.is_empty());
        } else {
            self.bytes.extend_from_slice(line);
            self.bytes.push(b'\n');
        }
    }
}

/// Why no more lines come, in a sentence.
#[derive(Debug, PartialEq, Eq)]
pub enum Unread {
    /// It cannot be read now, but may be later.
    Away(String),
    /// The line that was given last is gone or changed.
    Gone(String),
}

/// Where the lines come from.
#[derive(Debug)]
pub enum Source {
    /// The file of one Drover.
    Files(Files),
    /// The table that replicas share.
    Table(Box<Table>),
}

impl Source {
    /// The next lines; none if there are no more yet.
    ///
    /// # Errors
    ///
    /// When they cannot be read.
    pub async fn next(&mut self) -> Result<Batch, Unread> {
        match self {
            Self::Files(files) => files.next(),
            Self::Table(table) => table.next().await,
        }
    }
}

fn gone(place: &str) -> Unread {
    Unread::Gone(format!(
        "the line that was exported last is gone from {place} or changed; run `drover audit verify`, then export from the beginning"
    ))
}

/// The file and those that were rotated.
#[derive(Debug)]
pub struct Files {
    file: PathBuf,
    now: Option<Reading>,
}

/// The file that is being read.
#[derive(Debug)]
struct Reading {
    file: File,
    inode: u64,
    offset: u64,
    /// The line before the offset, with its end.
    last: Vec<u8>,
}

impl Files {
    /// All lines of this audit file.
    #[must_use]
    pub fn new(file: &Path) -> Self {
        Self {
            file: file.to_path_buf(),
            now: None,
        }
    }

    fn next(&mut self) -> Result<Batch, Unread> {
        let place = self.file.display().to_string();
        let away = |error: io::Error| Unread::Away(format!("the audit log at {place} cannot be read: {error}"));
        loop {
            // Looked for before the read: a file that another one follows gets no more lines.
            let following = self.following();
            if let Some(now) = &mut self.now {
                let batch = now.read().map_err(away)?.ok_or_else(|| gone(&place))?;
                if !batch.is_end() {
                    return Ok(batch);
                }
            }
            let Some((path, inode)) = following else {
                return Ok(Batch::default());
            };
            let file = match File::open(path) {
                // It was renamed meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                opened => opened.map_err(away)?,
            };
            if file.metadata().map_err(away)?.ino() == inode {
                self.now = Some(Reading {
                    file,
                    inode,
                    offset: 0,
                    last: vec![],
                });
            }
        }
    }

    /// The file after the one that is being read.
    fn following(&self) -> Option<(PathBuf, u64)> {
        let inode = |path: &Path| fs::metadata(path).map(|meta| meta.ino()).ok();
        // Looked for before the others: if it is renamed in between, it is among those.
        let newest = inode(&self.file);
        let mut files: Vec<(PathBuf, u64)> = super::journal::aside(&self.file)
            .into_iter()
            .rev()
            .filter_map(|path| Some((path.clone(), inode(&path)?)))
            .collect();
        if let Some(newest) = newest.filter(|newest| files.iter().all(|(_, inode)| inode != newest)) {
            files.push((self.file.clone(), newest));
        }
        let Some(now) = &self.now else {
            return files.into_iter().next();
        };
        match files.iter().position(|(_, inode)| *inode == now.inode) {
            Some(at) => files.into_iter().nth(at + 1),
            // It was moved away while it was the newest.
            None => files.pop().filter(|(path, _)| *path == self.file),
        }
    }
}

impl Reading {
    /// The next lines; `None` if the last one is not there.
    fn read(&mut self) -> io::Result<Option<Batch>> {
        self.file.seek(SeekFrom::Start(self.offset - self.last.len() as u64))?;
        let mut reader = BufReader::new(&self.file);
        let mut again = vec![];
        (&mut reader).take(self.last.len() as u64).read_to_end(&mut again)?;
        if again != self.last {
            return Ok(None);
        }
        let mut batch = Batch::default();
        while batch.bytes.len() < BATCH_BYTES {
            let mut line = vec![];
            reader.read_until(b'\n', &mut line)?;
            // A line without an end is still being written.
            let Some(text) = line.strip_suffix(b"\n") else { break };
            batch.push(text);
            self.offset += line.len() as u64;
            self.last = line;
        }
        Ok(Some(batch))
    }
}

/// The table in Postgres.
#[derive(Debug)]
pub struct Table {
    archive: Archive,
    connection: Option<PgConnection>,
    /// The number and the hash of the line that was given last.
    last: (i64, String),
}

impl Table {
    /// All lines of the table beside this archive.
    #[must_use]
    pub fn new(archive: Archive) -> Self {
        Self {
            archive,
            connection: None,
            last: (0, chain::NOTHING.to_owned()),
        }
    }

    async fn next(&mut self) -> Result<Batch, Unread> {
        let place = format!("the table drover.audit at {}", self.archive.address());
        let away = |why: String| Unread::Away(format!("{place} cannot be read: {why}"));
        // Kept only if the read succeeds.
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.archive.to_read_record().await.map_err(away)?,
        };
        let sql = "SELECT seq, line FROM drover.audit WHERE seq >= $1 ORDER BY seq LIMIT $2";
        let asked = sqlx::query_as::<_, (i64, String)>(sql).bind(self.last.0).bind(PAGE);
        let rows = match timeout(LIMIT, asked.fetch_all(&mut connection)).await {
            Ok(Ok(rows)) => rows,
            Ok(Err(error)) => return Err(away(classify(&error, self.archive.address()).cause)),
            Err(_) => return Err(away(format!("no answer within {} s", LIMIT.as_secs()))),
        };
        self.connection = Some(connection);
        let hash = |line: &str| fingerprint(line.as_bytes());
        let mut rows = &rows[..];
        if self.last.0 > 0 {
            let again = rows.split_first();
            let (_, rest) = again
                .filter(|((seq, line), _)| (*seq, hash(line)) == self.last)
                .ok_or_else(|| gone(&place))?;
            rows = rest;
        }
        let mut batch = Batch::default();
        for (_, line) in rows {
            batch.push(line.as_bytes());
        }
        if let Some((seq, line)) = rows.last() {
            self.last = (*seq, hash(line));
        }
        Ok(batch)
    }
}
