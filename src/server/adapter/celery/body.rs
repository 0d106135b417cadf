//! What a task carries, read without running anything.
//!
//! | content type | read as |
//! |---|---|
//! | `application/json` | JSON, every digit as stored |
//! | `application/x-msgpack` | JSON of the same values; bytes in base64 |
//! | `application/x-yaml` | its text, not parsed |
//! | `application/x-python-serialize` | a pickle, read without running it (see [`super::pickle`]), as JSON |
//! | anything else, and what is compressed | bytes |
//!
//! Work is bounded by the length of the body: nothing is decompressed, and a value that is nested too deeply or claims to
//! be longer than the body is bytes.

use super::pickle;
use crate::model::job::{Form, Payload};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::fmt::Write as _;

/// Bytes of a text that are shown whole, and of a larger one.
const WHOLE: usize = 256 * 1024;
const PREVIEW: usize = 64 * 1024;

/// Bytes of a dump.
const HEX_MAX: usize = 1024;

/// Nested values of msgpack.
const DEPTH_MAX: usize = 64;

/// A body, decoded as far as that is safe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// JSON text.
    Json(String),
    /// Text of another kind, and what it is.
    Text(String, &'static str),
    /// A pickle of so many bytes as JSON text.
    Pickle(String, usize),
    /// Bytes, and why they are not decoded.
    Bytes(Vec<u8>, String),
}

/// The bytes that base64 encodes.
pub(super) fn base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

impl Body {
    /// Reads bytes by what their message says that they are.
    pub(super) fn read(bytes: Vec<u8>, content_type: &str, compression: Option<&str>) -> Self {
        if let Some(compression) = compression {
            let why = format!("Compressed ({compression}): Drover does not decompress what jobs carry.");
            return Self::Bytes(bytes, why);
        }
        let text = |bytes: Vec<u8>, kind: &'static str| match String::from_utf8(bytes) {
            Ok(text) => Self::Text(text, kind),
            Err(error) => Self::Bytes(error.into_bytes(), format!("It claims to be {kind} and is not UTF-8.")),
        };
        match content_type {
            "application/json" => match String::from_utf8(bytes) {
                Ok(text) if serde_json::from_str::<&RawValue>(&text).is_ok() => Self::Json(text),
                Ok(text) => Self::Text(text, "JSON that cannot be parsed"),
                Err(error) => Self::Bytes(error.into_bytes(), "It claims to be JSON and is not UTF-8.".into()),
            },
            "application/x-msgpack" => match msgpack(&bytes) {
                Some(value) => Self::Json(value.to_string()),
                None => Self::Bytes(bytes, "It claims to be msgpack and is not.".into()),
            },
            "application/x-yaml" => text(bytes, "YAML, shown as its text"),
            "application/x-python-serialize" => match pickle::read(&bytes) {
                Some(value) => Self::Pickle(value.to_string(), bytes.len()),
                None => Self::Bytes(bytes, "It claims to be a pickle and cannot be read as one.".into()),
            },
            "text/plain" => text(bytes, "plain text"),
            _ => Self::Bytes(bytes, format!("Drover does not decode {content_type:?}.")),
        }
    }

    /// All of it as text, in which secrets can be found by their names; as bytes only where it is not decoded.
    pub(super) fn whole(self) -> Vec<u8> {
        match self {
            Self::Json(text) | Self::Pickle(text, _) => named(&text).unwrap_or(text).into_bytes(),
            Self::Text(text, _) => text.into_bytes(),
            Self::Bytes(bytes, _) => bytes,
        }
    }

    /// As it is shown. Of protocol 2 the body is a list of arguments, keyword arguments and what follows: these get their
    /// names.
    pub(super) fn shown(&self) -> Payload {
        match self {
            Self::Json(text) => shown(named(text).as_deref().unwrap_or(text), Form::Json, text.len(), None),
            Self::Text(text, kind) => shown(text, Form::Text, text.len(), Some((*kind).to_owned())),
            Self::Pickle(text, size) => {
                let note = "A pickle, read without running it: what it would call is only named.";
                shown(
                    named(text).as_deref().unwrap_or(text),
                    Form::Json,
                    *size,
                    Some(note.into()),
                )
            }
            Self::Bytes(bytes, why) => Payload {
                size: bytes.len() as u64,
                shown: bytes.len().min(HEX_MAX) as u64,
                text: Some(dump(bytes)),
                form: Form::Binary,
                note: Some(why.clone()),
            },
        }
    }
}

/// A text as a value of `size` bytes in the store.
pub(super) fn shown(text: &str, form: Form, size: usize, note: Option<String>) -> Payload {
    let whole = text.len() <= WHOLE;
    let mut end = text.len().min(PREVIEW);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    Payload {
        size: size as u64,
        shown: if whole { size } else { end.min(size) } as u64,
        text: Some(if whole { text } else { &text[..end] }.to_owned()),
        form: if whole { form } else { Form::Text },
        note,
    }
}

/// The parts of a body of protocol 2 by their names, their text unchanged; `None` for any other.
fn named(text: &str) -> Option<String> {
    let (args, kwargs, embed): (&RawValue, &RawValue, Map<String, Value>) = serde_json::from_str(text).ok()?;
    let mut all = format!(r#"{{"args":{},"kwargs":{}"#, args.get(), kwargs.get());
    for (name, value) in embed.iter().filter(|(_, value)| !value.is_null()) {
        let _ = write!(all, ",{}:{value}", Value::from(name.as_str()));
    }
    all.push('}');
    Some(all)
}

/// A dump of the beginning: offset, sixteen bytes, and what of them can be read.
fn dump(bytes: &[u8]) -> String {
    let mut dump = String::new();
    for (row, chunk) in bytes[..bytes.len().min(HEX_MAX)].chunks(16).enumerate() {
        let hex: Vec<String> = chunk.iter().map(|byte| format!("{byte:02x}")).collect();
        let text = chunk.iter().map(|byte| match byte {
            b' '..=b'~' => char::from(*byte),
            _ => '.',
        });
        let _ = writeln!(
            dump,
            "{:08x}  {:<47}  {}",
            row * 16,
            hex.join(" "),
            text.collect::<String>()
        );
    }
    dump
}

/// A value of msgpack as JSON, if the bytes are exactly one.
fn msgpack(bytes: &[u8]) -> Option<Value> {
    let mut reader = Reader { rest: bytes };
    let value = reader.value(0)?;
    reader.rest.is_empty().then_some(value)
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(n)?;
        self.rest = rest;
        Some(taken)
    }

    /// A number of `n` bytes, the highest first.
    fn number(&mut self, n: usize) -> Option<u64> {
        Some(self.take(n)?.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    }

    fn length(&mut self, n: usize) -> Option<usize> {
        usize::try_from(self.number(n)?).ok()
    }

    /// A number of `n` bytes with a sign.
    fn signed(&mut self, n: usize) -> Option<i64> {
        let unused = 64 - 8 * u32::try_from(n).ok()?;
        Some((self.number(n)? << unused).cast_signed() >> unused)
    }

    fn text(&mut self, n: usize) -> Option<Value> {
        Some(String::from_utf8_lossy(self.take(n)?).into())
    }

    fn bytes(&mut self, n: usize) -> Option<Value> {
        Some(serde_json::json!({"base64": STANDARD.encode(self.take(n)?)}))
    }

    fn list(&mut self, n: usize, depth: usize) -> Option<Value> {
        // Each takes a byte or more: a length that is a lie makes no room.
        (n <= self.rest.len()).then_some(())?;
        (0..n)
            .map(|_| self.value(depth))
            .collect::<Option<Vec<_>>>()
            .map(Value::Array)
    }

    fn map(&mut self, n: usize, depth: usize) -> Option<Value> {
        let mut map = Map::new();
        for _ in 0..n {
            let name = match self.value(depth)? {
                Value::String(name) => name,
                other => other.to_string(),
            };
            map.insert(name, self.value(depth)?);
        }
        Some(Value::Object(map))
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        (depth < DEPTH_MAX).then_some(())?;
        let depth = depth + 1;
        let kind = *self.take(1)?.first()?;
        let low = usize::from(kind);
        match kind {
            0x00..=0x7f => Some(kind.into()),
            0xe0..=0xff => Some(kind.cast_signed().into()),
            0x80..=0x8f => self.map(low & 15, depth),
            0x90..=0x9f => self.list(low & 15, depth),
            0xa0..=0xbf => self.text(low & 31),
            0xc0 => Some(Value::Null),
            0xc2 | 0xc3 => Some((kind == 0xc3).into()),
            0xc4..=0xc6 => self.length(1 << (low - 0xc4)).and_then(|n| self.bytes(n)),
            0xc7..=0xc9 => {
                let n = self.length(1 << (low - 0xc7))?;
                self.bytes(n.checked_add(1)?)
            }
            0xca => Some(f64::from(f32::from_bits(u32::try_from(self.number(4)?).ok()?)).into()),
            0xcb => Some(f64::from_bits(self.number(8)?).into()),
            0xcc..=0xcf => self.number(1 << (low - 0xcc)).map(Value::from),
            0xd0..=0xd3 => self.signed(1 << (low - 0xd0)).map(Value::from),
            0xd4..=0xd8 => self.bytes((1 << (low - 0xd4)) + 1),
            0xd9..=0xdb => self.length(1 << (low - 0xd9)).and_then(|n| self.text(n)),
            0xdc | 0xdd => self.length(2 << (low - 0xdc)).and_then(|n| self.list(n, depth)),
            0xde | 0xdf => self.length(2 << (low - 0xde)).and_then(|n| self.map(n, depth)),
            0xc1 => None,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Base64 of these bytes.
    pub(in super::super) fn encode(bytes: &[u8]) -> String {
        STANDARD.encode(bytes)
    }

    #[test]
    fn the_parts_of_a_body_get_their_names_and_no_digit_changes() {
        let body = Body::read(
            br#"[[1.50, 12345678901234567890123], {"a": "b"}, {"callbacks": null, "chain": [{"task": "t"}]}]"#.to_vec(),
            "application/json",
            None,
        );
        let text = body.shown().text.unwrap();
        assert_eq!(
            text,
            r#"{"args":[1.50, 12345678901234567890123],"kwargs":{"a": "b"},"chain":[{"task":"t"}]}"#
        );
    }

    #[test]
    fn msgpack_is_read_as_the_same_values() {
        let body = base64("k5IBy0AEAAAAAAAAgISpY2FsbGJhY2tzwKhlcnJiYWNrc8ClY2hhaW7ApWNob3JkwA==").unwrap();
        let body = Body::read(body, "application/x-msgpack", None);
        assert_eq!(body.shown().text.unwrap(), r#"{"args":[1,2.5],"kwargs":{}}"#);
        for (bytes, wanted) in [
            (&[0xd1, 0xff, 0x00][..], "-256"),
            (&[0xe0], "-32"),
            (&[0xcd, 0x01, 0x00], "256"),
            (&[0xc4, 0x01, 0xff], r#"{"base64":"/w=="}"#),
            (&[0x81, 0x01, 0xc3], r#"{"1":true}"#),
            (&[0xd9, 0x02, b'a', 0xff], "\"a\u{fffd}\""),
        ] {
            assert_eq!(msgpack(bytes).unwrap().to_string(), wanted);
        }
        let deep = [vec![0x91; 100_000], vec![0xc0]].concat();
        for broken in [
            &deep[..],
            &[0xdd, 0xff, 0xff, 0xff, 0xff],
            &[0xc1],
            &[0xc0, 0xc0],
            &[0xdb, 0xff, 0xff, 0xff, 0xff],
        ] {
            assert_eq!(msgpack(broken), None);
        }
    }

    #[test]
    fn what_cannot_be_decoded_is_bytes_with_the_reason() {
        for (bytes, kind, compression) in [
            (&b"x\x9c"[..], "application/json", Some("application/x-gzip")),
            (b"\xff", "application/json", None),
            (b"\xc1", "application/x-msgpack", None),
            (b"abc", "application/data", None),
        ] {
            let shown = Body::read(bytes.to_vec(), kind, compression).shown();
            assert_eq!(shown.form, Form::Binary, "{kind}");
            assert!(shown.note.is_some_and(|note| !note.is_empty()));
        }
        let long = format!("[{}1]", "1,".repeat(WHOLE));
        let shown = Body::read(long.into_bytes(), "application/json", None).shown();
        assert_eq!((shown.form, shown.text.unwrap().len()), (Form::Text, PREVIEW));
    }
}
