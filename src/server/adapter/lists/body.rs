//! An item: what its body tells at the places that the profile names.

use super::super::decode::{dumped, msgpack, shown};
use super::profile::{Format, Profile};
use crate::model::Millis;
use crate::model::job::{Form, JobRow, Payload, cut};
use crate::model::state::JobState;
use chrono::DateTime;
use serde_json::Value;
use sha1::{Digest as _, Sha1};
use std::fmt::Write as _;

/// Characters of a name and of the first line of an error; a longer id is not one.
const NAME_CHARS: usize = 500;
const ERROR_CHARS: usize = 300;
const ID_CHARS: usize = 500;

/// The id of an item that has none: `sha1:` and the digest of its bytes.
pub(super) fn digest(bytes: &[u8]) -> String {
    let mut id = String::from("sha1:");
    for byte in Sha1::digest(bytes) {
        let _ = write!(id, "{byte:02x}");
    }
    id
}

/// A body, as far as it can be read.
#[derive(Debug)]
pub(super) struct Body<'a> {
    profile: &'a Profile,
    bytes: &'a [u8],
    fields: Result<Option<Value>, &'static str>,
}

impl<'a> Body<'a> {
    /// Reads the bytes of an item.
    pub(super) fn read(profile: &'a Profile, bytes: &'a [u8]) -> Self {
        let fields = match profile.format {
            Format::Json => serde_json::from_slice(bytes)
                .map(Some)
                .map_err(|_| "its body cannot be read as JSON"),
            Format::MessagePack => msgpack::read(bytes)
                .map(Some)
                .ok_or("its body cannot be read as msgpack"),
            Format::Text => std::str::from_utf8(bytes)
                .map(|_| None)
                .map_err(|_| "its body is no text in UTF-8"),
        };
        Self { profile, bytes, fields }
    }

    fn at(&self, path: Option<&super::profile::BodyPath>) -> Option<&Value> {
        path?.of(self.fields.as_ref().ok()?.as_ref()?)
    }

    /// Its id: the one in it, or the digest of its bytes.
    pub(super) fn id(&self) -> String {
        let own = self.at(self.profile.id.as_ref()).and_then(text);
        let own = own.filter(|id| !id.is_empty() && id.len() <= ID_CHARS && !id.chars().any(char::is_control));
        own.unwrap_or_else(|| digest(self.bytes))
    }

    /// Since when it has been there.
    pub(super) fn time(&self) -> Option<Millis> {
        self.at(self.profile.time.as_ref()).and_then(time)
    }

    /// The whole error.
    pub(super) fn error(&self) -> Option<String> {
        let error = self.at(self.profile.error.as_ref())?;
        text(error).or_else(|| (!error.is_null()).then(|| error.to_string()))
    }

    /// It as a line of a list.
    pub(super) fn row(&self, state: JobState) -> JobRow {
        let first = |error: String| cut(error.lines().next().unwrap_or_default(), ERROR_CHARS);
        JobRow {
            id: self.id(),
            name: self
                .at(self.profile.title.as_ref())
                .and_then(text)
                .map(|name| cut(&name, NAME_CHARS))
                .unwrap_or_default(),
            state,
            created: self.time(),
            started: None,
            finished: None,
            due: None,
            priority: 0,
            // An item does not count them.
            attempts: None,
            attempts_max: None,
            stalled: 0,
            progress: None,
            error: self.error().map(first),
            worker: None,
            scheduler: None,
            data_size: self.bytes.len() as u64,
            locked: None,
            put_away: false,
            problem: self.fields.as_ref().err().map(|why| (*why).to_owned()),
        }
    }

    /// It as its page shows it.
    pub(super) fn data(&self) -> Payload {
        let size = self.bytes.len();
        match (&self.fields, std::str::from_utf8(self.bytes)) {
            (Err(why), _) => dumped(self.bytes, format!("These are its bytes: {why}.")),
            (Ok(Some(fields)), _) if self.profile.format == Format::MessagePack => {
                let text = fields.to_string();
                shown(&text, Form::Json, text.len(), None)
            }
            (Ok(Some(_)), Ok(text)) => shown(text, Form::Json, size, None),
            (_, Ok(text)) => shown(text, Form::Text, size, None),
            (_, Err(_)) => dumped(self.bytes, "These are its bytes.".into()),
        }
    }
}

/// A name or an id as text.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A time: a number since 1970 in seconds or smaller units, or text with a zone.
fn time(value: &Value) -> Option<Millis> {
    match value {
        Value::Number(number) => since_1970(number.as_f64()?),
        Value::String(text) => match text.parse() {
            Ok(number) => since_1970(number),
            Err(_) => DateTime::parse_from_rfc3339(text).ok().map(|at| at.timestamp_millis()),
        },
        _ => None,
    }
}

/// The unit follows from the size: no queue has items from before 2001 or after 5138.
fn since_1970(number: f64) -> Option<Millis> {
    if !(1e9..1e20).contains(&number) {
        return None;
    }
    let mut ms = if number < 1e11 { number * 1_000.0 } else { number };
    while ms >= 1e14 {
        ms /= 1_000.0;
    }
    #[expect(clippy::cast_possible_truncation, reason = "it is below 1e14")]
    Some(ms.round() as Millis)
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::profile::{BodyPath, End};
    use super::*;

    pub(in super::super) fn profile(format: Format) -> Profile {
        let path = |text| BodyPath::parse(text).ok();
        Profile {
            name: "mail".into(),
            waiting: "mail:waiting".into(),
            processing: Some("mail:processing".into()),
            completed: None,
            failed: Some("mail:failed".into()),
            take: End::Right,
            lifo: false,
            grow: End::Left,
            format,
            id: path("meta.id"),
            title: path("meta.names.1"),
            error: path("error"),
            time: path("at"),
            stuck_after: None,
            heartbeat: None,
        }
    }

    #[test]
    fn a_body_is_read_at_the_places_of_the_profile() {
        let json = profile(Format::Json);
        let text = br#"{"meta":{"id":7,"names":["x","send"]},"at":1796053354.5,"error":"boom\nmore","n":1.50}"#;
        let body = Body::read(&json, text);
        let row = body.row(JobState::Failed);
        assert_eq!((row.id.as_str(), row.name.as_str()), ("7", "send"));
        assert_eq!(
            (row.created, row.error.as_deref()),
            (Some(1_796_053_354_500), Some("boom"))
        );
        assert_eq!(body.data().text.unwrap().as_bytes(), text, "every digit as stored");
        let packed = profile(Format::MessagePack);
        let body = Body::read(&packed, b"\x82\xa4meta\x81\xa2id\xa1a\xa2at\xce\x6b\x0d\x5d\x6a");
        assert_eq!((body.id().as_str(), body.time()), ("a", Some(1_796_037_994_000)));
    }

    #[test]
    fn what_cannot_be_read_is_one_line_with_its_bytes() {
        for (format, bytes) in [
            (Format::Json, &b"\xff\x00"[..]),
            (Format::Json, b"{"),
            (Format::Json, b""),
            (Format::MessagePack, b"\xc1"),
            (Format::Text, b"\xff"),
        ] {
            let profile = profile(format);
            let body = Body::read(&profile, bytes);
            let row = body.row(JobState::Waiting);
            assert!(row.id.starts_with("sha1:") && row.problem.is_some(), "{bytes:?}");
            assert_eq!(body.data().form, Form::Binary, "{bytes:?}");
        }
        // It can be read, and tells nothing.
        let json = profile(Format::Json);
        for bytes in [
            &b"7"[..],
            b"[]",
            b"null",
            br#"{"meta":{"id":null}}"#,
            br#"{"meta":{"id":""}}"#,
        ] {
            let row = Body::read(&json, bytes).row(JobState::Waiting);
            assert_eq!((row.id, row.problem, row.created), (digest(bytes), None, None));
        }
        let plain = profile(Format::Text);
        assert_eq!(Body::read(&plain, b"hello").data().text.as_deref(), Some("hello"));
    }

    #[test]
    fn a_time_is_in_the_unit_that_makes_it_one() {
        let ms = Some(1_796_053_354_000);
        for value in [
            "1796053354",
            "1796053354000",
            "1796053354000000",
            "\"1796053354\"",
            "\"2026-11-30T15:42:34Z\"",
            "\"2026-11-30T17:42:34+02:00\"",
        ] {
            let value: Value = serde_json::from_str(value).unwrap();
            assert_eq!(time(&value), ms, "{value}");
        }
        for value in [
            "0",
            "7",
            "-5",
            "1e300",
            "\"soon\"",
            "\"2026-11-30T14:22:34\"",
            "true",
            "{}",
        ] {
            let value: Value = serde_json::from_str(value).unwrap();
            assert_eq!(time(&value), None, "{value}: no time, or none with a zone");
        }
    }
}
