//! What a task carries, read without running anything.
//!
//! | content type | read as |
//! |---|---|
//! | `application/json` | JSON, every digit as stored |
//! | `application/x-msgpack` | JSON of the same values; bytes in base64 |
//! | `application/x-yaml` | its text, not parsed |
//! | `application/x-python-serialize` | a pickle, read without running it (see [`pickle`]), as JSON |
//! | anything else, and what is compressed | bytes |
//!
//! Work is bounded by the length of the body: nothing is decompressed, and a value that is nested too deeply or claims to
//! be longer than the body is bytes.

use super::super::decode::{dumped, msgpack, pickle, shown};
use crate::model::job::{Form, Payload};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::fmt::Write as _;

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
            "application/x-msgpack" => match msgpack::read(&bytes) {
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
                let text = named(text).unwrap_or_else(|| text.clone());
                shown(&text, Form::Json, *size, Some(pickle::NOTE.into()))
            }
            Self::Bytes(bytes, why) => dumped(bytes, why.clone()),
        }
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
    fn a_body_of_msgpack_is_shown_as_json() {
        let body = base64("k5IBy0AEAAAAAAAAgISpY2FsbGJhY2tzwKhlcnJiYWNrc8ClY2hhaW7ApWNob3JkwA==").unwrap();
        let body = Body::read(body, "application/x-msgpack", None);
        assert_eq!(body.shown().text.unwrap(), r#"{"args":[1,2.5],"kwargs":{}}"#);
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
    }
}
