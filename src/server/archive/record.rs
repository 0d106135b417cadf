//! How a job is kept: bytes that lose nothing, and a key that makes the same run of a job the same row.
//!
//! A record begins with `drover-job 1` and a line feed. Everything after is counted: a number is four bytes, the highest
//! first, and a text is its length and its bytes, whatever they are.
//!
//! ```text
//! fields   number, then for each: its name, its value      by name, byte by byte
//! log      number, then each line                          the oldest first
//! parts    number, then for each: its name,                by name
//!          number, then each member                        of a hash: names and values in turn
//! ```
//!
//! The order is that of the bytes and not that of the store, so that the same job gives the same bytes whenever it is
//! read. The SHA-256 of the record stands beside it.

use crate::model::Millis;
use crate::model::exact::bytes_of;
use crate::model::state::JobState;
use crate::server::adapter::raw::{Brief, Part, RawJob};
use sha2::{Digest as _, Sha256};

/// What a record begins with.
const HEAD: &[u8] = b"drover-job 1\n";

/// The identity of a run of a job, as it stands in the archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ArchiveId {
    /// When it finished.
    pub finished_on: Millis,
    /// A digest of the rest, and of that.
    pub digest: [u8; 16],
}

impl ArchiveId {
    /// The identity of a job that finished at this moment after so many attempts.
    #[must_use]
    pub fn of(store: &str, queue: &str, job: &str, finished_on: Millis, attempts: u64) -> Self {
        let mut sum = Sha256::new();
        for text in [store.as_bytes(), &bytes_of(queue), &bytes_of(job)] {
            sum.update((text.len() as u64).to_be_bytes());
            sum.update(text);
        }
        sum.update(finished_on.to_be_bytes());
        sum.update(attempts.to_be_bytes());
        let sum = sum.finalize();
        let mut digest = [0; 16];
        digest.copy_from_slice(&sum[..16]);
        Self { finished_on, digest }
    }

    /// Reads it from an address.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (at, hex) = text.split_once('-')?;
        if at.is_empty() || at.len() > 19 || !at.bytes().all(|b| b.is_ascii_digit()) || hex.len() != 32 {
            return None;
        }
        let mut digest = [0; 16];
        for (i, byte) in digest.iter_mut().enumerate() {
            *byte = u8::from_str_radix(hex.get(2 * i..2 * i + 2)?, 16).ok()?;
        }
        let finished_on = at.parse().ok()?;
        let id = Self { finished_on, digest };
        // One way to write it.
        (id.to_string() == text).then_some(id)
    }
}

impl std::fmt::Display for ArchiveId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-", self.finished_on)?;
        self.digest.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The record of a job.
#[must_use]
pub fn encode(job: &RawJob) -> Vec<u8> {
    let mut out = Vec::with_capacity(job.size() + 64 + 8 * (2 * job.fields.len() + job.logs.len()));
    out.extend_from_slice(HEAD);
    number(&mut out, job.fields.len());
    for (name, value) in &job.fields {
        text(&mut out, name);
        text(&mut out, value);
    }
    texts(&mut out, &job.logs);
    number(&mut out, job.parts.len());
    for part in &job.parts {
        text(&mut out, part.name.as_bytes());
        texts(&mut out, &part.items);
    }
    out
}

fn number(out: &mut Vec<u8>, n: usize) {
    // A job is at most `raw::JOB_MAX` bytes, so that none of its numbers is larger.
    out.extend_from_slice(&u32::try_from(n).unwrap_or(u32::MAX).to_be_bytes());
}

fn text(out: &mut Vec<u8>, bytes: &[u8]) {
    number(out, bytes.len());
    out.extend_from_slice(bytes);
}

fn texts(out: &mut Vec<u8>, all: &[Vec<u8>]) {
    number(out, all.len());
    all.iter().for_each(|bytes| text(out, bytes));
}

/// What stands in a record: fields, log, parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// As [`RawJob::fields`].
    pub fields: Vec<(Vec<u8>, Vec<u8>)>,
    /// As [`RawJob::logs`].
    pub logs: Vec<Vec<u8>>,
    /// As [`RawJob::parts`].
    pub parts: Vec<Part>,
}

impl Contents {
    /// The job, with what stands beside the record.
    #[must_use]
    pub fn into_job(self, id: &str, state: JobState, finished_on: Millis, attempts: u64) -> RawJob {
        RawJob {
            id: id.to_owned(),
            state,
            finished_on,
            attempts,
            brief: Brief::default(),
            fields: self.fields,
            logs: self.logs,
            parts: self.parts,
        }
    }
}

/// Reads a record; `None` if it is none, or not whole.
#[must_use]
pub fn decode(record: &[u8]) -> Option<Contents> {
    let mut rest = Reader(record.strip_prefix(HEAD)?);
    let mut contents = Contents::default();
    for _ in 0..rest.number()? {
        contents.fields.push((rest.text()?, rest.text()?));
    }
    contents.logs = rest.texts()?;
    for _ in 0..rest.number()? {
        let name = String::from_utf8(rest.text()?).ok()?;
        let items = rest.texts()?;
        contents.parts.push(Part { name, items });
    }
    rest.0.is_empty().then_some(contents)
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn number(&mut self) -> Option<u32> {
        let (number, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*number))
    }

    fn text(&mut self) -> Option<Vec<u8>> {
        let length = usize::try_from(self.number()?).ok()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(text.to_vec())
    }

    fn texts(&mut self) -> Option<Vec<Vec<u8>>> {
        (0..self.number()?).map(|_| self.text()).collect()
    }
}

/// The SHA-256 of a record.
#[must_use]
pub fn sha256(record: &[u8]) -> [u8; 32] {
    Sha256::digest(record).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn job(fields: Vec<(Vec<u8>, Vec<u8>)>, logs: Vec<Vec<u8>>, items: Vec<Vec<u8>>) -> RawJob {
        RawJob {
            id: "1".into(),
            state: JobState::Failed,
            finished_on: 5,
            attempts: 1,
            brief: Brief::default(),
            fields,
            logs,
            parts: vec![Part {
                name: "processed".into(),
                items,
            }],
        }
    }

    proptest! {
        // A failure is reported by its text; no file of seeds is kept.
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn every_job_comes_back_as_it_was(
            fields in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..20), prop::collection::vec(any::<u8>(), 0..200)), 0..20),
            logs in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..10),
            items in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..10),
        ) {
            let job = job(fields, logs, items);
            let record = encode(&job);
            let read = decode(&record).unwrap().into_job("1", JobState::Failed, 5, 1);
            prop_assert_eq!(&read, &job);
            // What is cut off is not taken for a whole.
            prop_assert_eq!(decode(&record[..record.len() - 1]), None);
            prop_assert_eq!(decode(&[record.as_slice(), b"x"].concat()), None);
        }

        #[test]
        fn nothing_makes_reading_fail_otherwise(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&[HEAD, &bytes].concat());
        }
    }

    #[test]
    fn a_run_has_one_id_and_one_way_to_write_it() {
        let id = ArchiveId::of("redis", "bull:mail", "17", 1_732_000_000_000, 3);
        assert_eq!(ArchiveId::parse(&id.to_string()), Some(id));
        for other in [
            ArchiveId::of("redi", "sbull:mail", "17", 1_732_000_000_000, 3),
            ArchiveId::of("redis", "bull:mail", "17", 1_732_000_000_001, 3),
            ArchiveId::of("redis", "bull:mail", "17", 1_732_000_000_000, 4),
            ArchiveId::of("redis", "bull:mail1", "7", 1_732_000_000_000, 3),
        ] {
            assert_ne!(other.digest, id.digest);
        }
        for bad in [
            "",
            "1-",
            "-1-00",
            "01-00000000000000000000000000000000",
            "1-0000000000000000000000000000000G",
            "1-é",
        ] {
            assert_eq!(ArchiveId::parse(bad), None, "{bad}");
        }
    }
}
