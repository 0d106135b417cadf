//! A chain of lines: each carries the SHA-256 of the line before it.
//!
//! Changing or removing a line breaks the chain at the next one. What no chain shows is the end: lines cut
//! off there, or the last one changed. The hash of the last line, noted elsewhere, shows that too ([`Verified::head`]).

use super::record::{Record, fingerprint};
use serde::Deserialize;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader};
use std::path::{Path, PathBuf};

/// The hash in place of the line before the first.
pub(super) const NOTHING: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Ends a line of JSON with the hash of the line before; gives its own hash. `line` is an object and a newline.
pub(super) fn link(line: &[u8], before: &str) -> (Vec<u8>, String) {
    let object = line.strip_suffix(b"}\n").unwrap_or(line);
    let linked = [object, br#","prev":""#, before.as_bytes(), b"\"}"].concat();
    let hash = fingerprint(&linked);
    ([&linked[..], b"\n"].concat(), hash)
}

/// The hash of the last line of the newest of these files that has one.
pub(super) fn last(files: &[PathBuf]) -> String {
    let last_line = |path: &PathBuf| -> Option<String> {
        let bytes = fs::read(path).ok()?;
        let line = bytes.split(|b| *b == b'\n').rfind(|line| !line.is_empty())?;
        Some(fingerprint(line))
    };
    files.iter().find_map(last_line).unwrap_or_else(|| NOTHING.to_owned())
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Files that were read.
    pub files: u64,
    /// Lines in them.
    pub lines: u64,
    /// Lines at the beginning that were written before lines were chained.
    pub unlinked: u64,
    /// Lines that a crash has torn.
    pub torn: u64,
    /// Whether the first line follows one that is not here: older files were removed.
    pub begins_later: bool,
    /// Where the chain is broken: a sentence each, at most ten.
    pub broken: Vec<String>,
    /// The hash of the last line.
    pub head: String,
    /// Whether the hash that was asked for is that of one of the lines.
    pub expected: bool,
}

/// The part of a line that links to the one before.
#[derive(Deserialize)]
struct Link {
    prev: Option<String>,
}

/// Reads the files, the oldest first, and follows the chain through them.
///
/// # Errors
///
/// When a file cannot be read.
pub fn verify(files: &[PathBuf], expected: Option<&str>) -> io::Result<Verified> {
    let mut found = Verified {
        head: NOTHING.to_owned(),
        expected: expected.is_none(),
        ..Verified::default()
    };
    let mut linked = false;
    for path in files {
        found.files += 1;
        for (n, line) in BufReader::new(File::open(path)?).split(b'\n').enumerate() {
            let line = line?;
            if line.is_empty() {
                continue;
            }
            found.lines += 1;
            let place = || format!("{} line {}", path.display(), n + 1);
            match serde_json::from_slice::<Link>(&line).ok().map(|link| link.prev) {
                Some(Some(prev)) if prev == found.head => linked = true,
                Some(Some(_)) if !linked && found.lines == 1 => (linked, found.begins_later) = (true, true),
                Some(Some(_)) => {
                    linked = true;
                    tell(
                        &mut found.broken,
                        &place(),
                        "does not follow the line before it: that one was changed, or lines were removed",
                    );
                }
                Some(None) if linked => tell(
                    &mut found.broken,
                    &place(),
                    "has no link to the line before it: it was not written by Drover",
                ),
                Some(None) => found.unlinked += 1,
                None => found.torn += 1,
            }
            if serde_json::from_slice::<Record>(&line).is_err() && serde_json::from_slice::<Link>(&line).is_ok() {
                tell(&mut found.broken, &place(), "is not a record of an action");
            }
            found.head = fingerprint(&line);
            found.expected |= expected == Some(found.head.as_str());
        }
    }
    Ok(found)
}

/// The hash of the line before, as a line carries it.
pub(super) fn before(line: &[u8]) -> Option<String> {
    serde_json::from_slice::<Link>(line).ok()?.prev
}

pub(super) fn tell(broken: &mut Vec<String>, place: &str, what: &str) {
    if broken.len() < 10 {
        broken.push(format!("{place} {what}"));
    }
}

/// The files of the audit log: this one and those that were rotated, the oldest first.
#[must_use]
pub fn files(file: &Path) -> Vec<PathBuf> {
    let mut files = super::journal::aside(file);
    files.reverse();
    if file.exists() {
        files.push(file.to_path_buf());
    }
    files
}
