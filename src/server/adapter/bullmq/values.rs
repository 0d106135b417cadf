//! Values of any size: shown whole, in part, or by size alone, and handed over byte by byte.
//!
//! The size is known before any byte is asked for. There is no way to read *part* of a hash field,
//! so a preview reads the field whole over a connection of its own and drops what it does not show.
//! The other way, a read-only script that cuts in Redis, holds Redis up longer; the worst `PING` of
//! another client meanwhile, Redis 7.0.15 on two shared cores, median of eight:
//!
//! | value | `HGET` | `EVAL_RO` with `string.sub` |
//! |---|---|---|
//! | 1 MB | 0.5 ms | 2 ms |
//! | 4 MB | 2.8 ms | 7 ms |
//! | 8 MB | 8.5 ms | 20 ms |
//! | 50 MB | 32 ms | 139 ms |
//!
//! Hence [`PREVIEW_MAX`], where it stays below 10 ms, and one such read at a time per store.

use super::super::redis::link::Link;
use super::super::{FieldBytes, FieldError, Trouble};
use crate::model::job::{Form, Payload, Trace};
use crate::model::store::Reach;
use bytes::Bytes;
use redis::Value;
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// The largest value that is shown whole.
pub const VALUE_MAX: u64 = 256 * 1024;

/// How much of a larger one is shown.
pub const PREVIEW: usize = 64 * 1024;

/// The largest value of which a part is shown.
pub const PREVIEW_MAX: u64 = 8 * 1024 * 1024;

/// The largest value that is handed over.
pub const DOWNLOAD_MAX: u64 = 64 * 1024 * 1024;

/// Bytes shown of a value that is no text.
const HEX_MAX: usize = 1024;

/// Lines and bytes of one stack trace shown, and bytes of all together.
const TRACE_LINES: usize = 200;
const TRACE_BYTES: usize = 64 * 1024;
const TRACES_BYTES: usize = 128 * 1024;

/// Stack traces shown, the newest.
const TRACES: usize = 50;

/// How long a large read may take, the wait for its turn included.
const PREVIEW_DEADLINE: Duration = Duration::from_secs(3);
const DOWNLOAD_DEADLINE: Duration = Duration::from_secs(20);

/// How long a preview is cached for all callers: pages are read again while a job is active.
const KEEP: Duration = Duration::from_secs(60);
const KEPT_MAX: usize = 16;

/// Which large value: the job's key, the field, its size, and what changes when the job runs again.
pub(super) type Which = (Vec<u8>, &'static str, u64, String);

/// The turn-taking of large reads in one store, and the last previews.
#[derive(Debug)]
pub struct Large {
    previewing: Semaphore,
    downloading: Arc<Semaphore>,
    pub(super) logs: Semaphore,
    kept: Mutex<VecDeque<(Which, Instant, Preview)>>,
}

impl Default for Large {
    fn default() -> Self {
        Self {
            previewing: Semaphore::new(1),
            downloading: Arc::new(Semaphore::new(1)),
            logs: Semaphore::new(2),
            kept: Mutex::default(),
        }
    }
}

/// What is left of a large value.
#[derive(Clone, Debug)]
pub(super) enum Preview {
    Value(Payload),
    Traces(Traces),
}

/// What is shown of a large value that is at hand.
pub(super) fn preview(name: &str, bytes: &[u8]) -> Preview {
    if name == "stacktrace" {
        Preview::Traces(Traces::read(bytes))
    } else {
        Preview::Value(beginning(bytes))
    }
}

impl Large {
    /// The part of a value of up to [`PREVIEW_MAX`] bytes that is shown; the reason if it cannot be had.
    pub(super) async fn preview(&self, link: &Link, which: Which) -> Result<Preview, String> {
        if let Some(preview) = self.remembered(&which) {
            return Ok(preview);
        }
        let read = async {
            let _turn = self.previewing.acquire().await;
            // The previous holder of the turn may have read the same.
            if let Some(preview) = self.remembered(&which) {
                return Ok(preview);
            }
            let bytes = hget(link, &which.0, which.1.as_bytes())
                .await
                .map_err(|trouble| trouble.cause)?
                .ok_or("it no longer exists")?;
            let traces = which.1 == "stacktrace";
            // Milliseconds of work for each megabyte: not on the tasks that serve requests.
            let preview = tokio::task::spawn_blocking(move || {
                if traces {
                    Preview::Traces(Traces::read(&bytes))
                } else {
                    Preview::Value(beginning(&bytes))
                }
            });
            preview.await.map_err(|_| "it could not be parsed".to_owned())
        };
        let preview = timeout(PREVIEW_DEADLINE, read)
            .await
            .map_err(|_| "another large value is being read; reload in a moment".to_owned())??;
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT_MAX {
            kept.pop_front();
        }
        kept.push_back((which, Instant::now(), preview.clone()));
        drop(kept);
        Ok(preview)
    }

    fn remembered(&self, which: &Which) -> Option<Preview> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(_, at, _)| at.elapsed() < KEEP);
        kept.iter()
            .find(|(w, ..)| w == which)
            .map(|(.., preview)| preview.clone())
    }

    /// A field as it is stored.
    pub(super) async fn download(
        &self,
        link: &Link,
        job: &[u8],
        field: &[u8],
    ) -> Result<Option<FieldBytes>, FieldError> {
        let mut pipe = redis::pipe();
        pipe.cmd("HEXISTS").arg(job).arg(field);
        pipe.cmd("HSTRLEN").arg(job).arg(field);
        let replies = link.run(&mut pipe).await?;
        if !matches!(replies[0], Ok(Value::Int(1))) {
            return Ok(None);
        }
        let size = super::super::redis::reply::count(&replies[1]).unwrap_or(0);
        if size > DOWNLOAD_MAX {
            return Err(FieldError::TooLarge {
                size,
                limit: DOWNLOAD_MAX,
            });
        }
        let permit = self
            .downloading
            .clone()
            .try_acquire_owned()
            .map_err(|_| FieldError::Busy)?;
        let bytes = timeout(DOWNLOAD_DEADLINE, hget(link, job, field)).await.map_err(|_| {
            Trouble::new(
                Reach::Frozen,
                format!("{} did not return the value in time.", link.address()),
            )
        })??;
        Ok(bytes.map(|bytes| FieldBytes {
            text: std::str::from_utf8(&bytes).is_ok(),
            bytes: Bytes::from(bytes),
            permit: Some(permit),
        }))
    }
}

/// Reads a field over a connection of its own, so that no other caller waits behind it.
async fn hget(link: &Link, job: &[u8], field: &[u8]) -> Result<Option<Vec<u8>>, Trouble> {
    let mut connection = link.dedicated().await?;
    link.count_sent(1);
    let value: Value = redis::cmd("HGET")
        .arg(job)
        .arg(field)
        .query_async(&mut connection)
        .await
        .map_err(|error| super::super::redis::link::classify(&error, &link.address()))?;
    Ok(match value {
        Value::BulkString(bytes) => Some(bytes),
        _ => None,
    })
}

/// A value that was fetched whole.
pub(super) fn payload(bytes: &[u8]) -> Payload {
    let size = bytes.len() as u64;
    match std::str::from_utf8(bytes) {
        Ok(text) => Payload {
            size,
            shown: size,
            form: form(text),
            text: Some(text.to_owned()),
            note: None,
        },
        Err(_) => binary(bytes),
    }
}

/// JSON is only looked over, never taken apart: no number in it is changed.
fn form(text: &str) -> Form {
    if serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok() {
        Form::Json
    } else {
        Form::Text
    }
}

/// A value of which only the size is known.
pub(super) fn sized(size: u64, note: Option<String>) -> Payload {
    Payload {
        size,
        note,
        ..Payload::default()
    }
}

/// The first [`PREVIEW`] bytes of a value.
fn beginning(bytes: &[u8]) -> Payload {
    let head = &bytes[..bytes.len().min(PREVIEW)];
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        // The cut may go through a character.
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return binary(bytes),
    };
    Payload {
        size: bytes.len() as u64,
        shown: text.len() as u64,
        form: if text.len() == bytes.len() {
            form(text)
        } else {
            Form::Text
        },
        text: Some(text.to_owned()),
        note: None,
    }
}

/// A hex dump of the beginning: offset, sixteen bytes, and what of them can be read.
fn binary(bytes: &[u8]) -> Payload {
    let head = &bytes[..bytes.len().min(HEX_MAX)];
    let mut dump = String::with_capacity(head.len() * 5);
    for (row, chunk) in head.chunks(16).enumerate() {
        let _ = write!(dump, "{:08x} ", row * 16);
        for i in 0..16 {
            match chunk.get(i) {
                Some(byte) => drop(write!(dump, " {byte:02x}")),
                None => dump.push_str("   "),
            }
        }
        dump.push_str("  ");
        dump.extend(chunk.iter().map(|b| {
            if b.is_ascii_graphic() || *b == b' ' {
                char::from(*b)
            } else {
                '.'
            }
        }));
        dump.push('\n');
    }
    Payload {
        size: bytes.len() as u64,
        shown: head.len() as u64,
        text: Some(dump),
        form: Form::Binary,
        note: None,
    }
}

/// The first characters of a short value, for a table of fields.
pub(super) fn head(bytes: &[u8], max: usize) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => crate::model::job::cut(text, max),
        Err(_) => {
            let mut hex = String::from("binary:");
            for byte in bytes.iter().take(max / 3) {
                let _ = write!(hex, " {byte:02x}");
            }
            hex
        }
    }
}

/// The stack traces of a record, the newest in full as far as there is room.
#[derive(Clone, Debug, Default)]
pub(super) struct Traces {
    pub(super) shown: Vec<Trace>,
    pub(super) total: u64,
    pub(super) note: Option<String>,
}

impl Traces {
    /// Reads the library's JSON list of texts. Anything else is shown as one text.
    pub(super) fn read(bytes: &[u8]) -> Self {
        let (all, note) = match serde_json::from_slice::<Vec<Option<Piece>>>(bytes) {
            Ok(pieces) => {
                let text = |piece: Option<Piece>| piece.map_or_else(|| "null".to_owned(), |piece| piece.0);
                (pieces.into_iter().map(text).collect::<Vec<String>>(), None)
            }
            Err(_) if bytes.is_empty() => (vec![], None),
            Err(_) => (
                vec![String::from_utf8_lossy(bytes).into_owned()],
                Some("Not stored as a list of strings; shown as it is.".to_owned()),
            ),
        };
        let total = all.len() as u64;
        let mut room = TRACES_BYTES;
        let mut shown: Vec<Trace> = all
            .iter()
            .rev()
            .take(TRACES)
            .map(|text| {
                let trace = cut_trace(text, room.min(TRACE_BYTES));
                room = room.saturating_sub(trace.text.len());
                trace
            })
            .collect();
        shown.reverse();
        Self { shown, total, note }
    }

    /// Numbers them: the newest belongs to attempt `last`, the ones before to those before.
    pub(super) fn number(&mut self, last: u32) {
        // With more traces than attempts the counter was reset in between, and no number is sure.
        if self.total > u64::from(last) {
            return;
        }
        for (trace, number) in self.shown.iter_mut().rev().zip((1..=last).rev()) {
            trace.attempt = Some(number);
        }
    }
}

fn cut_trace(text: &str, room: usize) -> Trace {
    let mut end = text.len().min(room.max(300));
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let head = &text[..end];
    let head = match head.match_indices('\n').nth(TRACE_LINES - 1) {
        Some((at, _)) => &head[..at],
        None => head,
    };
    Trace {
        attempt: None,
        text: head.to_owned(),
        size: text.len() as u64,
        lines: text.lines().count() as u64,
        cut: head.len() < text.len(),
    }
}

/// An element of the list. Texts with half a surrogate pair are no Unicode, and JSON all the same.
struct Piece(String);

impl<'de> serde::Deserialize<'de> for Piece {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl serde::de::Visitor<'_> for Bytes {
            type Value = Piece;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a text")
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Piece, E> {
                Ok(Piece(String::from_utf8_lossy(bytes).into_owned()))
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_json_text_or_binary_and_never_changed() {
        let big = br#"{"n":12345678901234567890123,"s":"\ud800","z":"\u0000"}"#;
        let json = payload(big);
        assert_eq!(
            (json.form, json.text.as_deref()),
            (Form::Json, std::str::from_utf8(big).ok())
        );
        assert_eq!(payload(b"__import__('os')").form, Form::Text);
        let pickle = payload(b"\x80\x04\x95hello");
        assert_eq!(pickle.form, Form::Binary);
        let dump = pickle.text.unwrap();
        assert!(dump.starts_with("00000000  80 04 95 68 65"), "{dump}");
        assert!(dump.ends_with("...hello\n"), "{dump}");
        assert_eq!(payload(b"").form, Form::Text);
    }

    #[test]
    fn a_cut_never_goes_through_a_character() {
        let text = "é".repeat(PREVIEW);
        let cut = beginning(text.as_bytes());
        assert_eq!((cut.shown, cut.form), (PREVIEW as u64, Form::Text));
        let odd = format!("a{text}");
        assert_eq!(beginning(odd.as_bytes()).shown, PREVIEW as u64 - 1);
    }

    #[test]
    fn of_many_long_stacks_the_newest_is_shown_best() {
        let long = (0..1000)
            .map(|i| format!("    at frame{i} (/app/worker.js:{i}:1)\n"))
            .collect::<String>();
        let all: Vec<String> = (0..80).map(|i| format!("Error: try {i}\n{long}")).collect();
        let mut traces = Traces::read(serde_json::to_string(&all).unwrap().as_bytes());
        traces.number(80);
        assert_eq!((traces.total, traces.shown.len()), (80, TRACES));
        let newest = traces.shown.last().unwrap();
        assert_eq!((newest.attempt, newest.lines, newest.cut), (Some(80), 1001, true));
        assert_eq!(newest.text.lines().count(), TRACE_LINES);
        assert!(newest.text.starts_with("Error: try 79"));
        let shown: usize = traces.shown.iter().map(|t| t.text.len()).sum();
        assert!(shown < TRACES_BYTES + TRACES * 400, "{shown}");
        assert!(traces.shown.iter().all(|t| t.text.starts_with("Error: try ")));
    }

    #[test]
    fn odd_stacks_are_shown_all_the_same() {
        assert_eq!(Traces::read(br#"["a\ud800b",null]"#).total, 2);
        let text = Traces::read(b"plain words");
        assert_eq!(
            (text.shown[0].text.as_str(), text.note.is_some()),
            ("plain words", true)
        );
        let mut reset = Traces::read(br#"["a","b","c"]"#);
        reset.number(1);
        assert!(
            reset.shown.iter().all(|t| t.attempt.is_none()),
            "three stacks cannot be of one attempt"
        );
    }
}
