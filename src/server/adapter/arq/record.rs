//! A job as its application's serializer wrote it, and the result, which is the same with more fields: a mapping whose fields have
//! short names.
//!
//! | field | is |
//! |---|---|
//! | `f` `a` `k` | function, arguments, keyword arguments |
//! | `t` `et` | the try, and when it was added |
//! | `s` `r` | of a result: whether it succeeded, and what it returned or the error |
//! | `st` `ft` `q` | of a result: when it began and ended, and its queue |
//!
//! Pickles, which are the default, msgpack and JSON are read.

use super::super::decode::{dumped, msgpack, pickle, shown};
use crate::model::Millis;
use crate::model::job::{Form, Payload};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// A job or a result.
#[derive(Debug, Deserialize)]
pub(super) struct Record {
    /// The function's name.
    #[serde(rename = "f")]
    pub(super) function: String,
    #[serde(rename = "a")]
    args: Option<Box<RawValue>>,
    #[serde(rename = "k")]
    kwargs: Option<Box<RawValue>>,
    /// The number of the try, of a result.
    #[serde(rename = "t")]
    pub(super) tries: Option<u32>,
    /// When it was added.
    #[serde(rename = "et")]
    pub(super) added: Option<Millis>,
    /// Whether it succeeded.
    #[serde(rename = "s")]
    pub(super) succeeded: Option<bool>,
    #[serde(rename = "r")]
    returned: Option<Box<RawValue>>,
    /// When the last try began.
    #[serde(rename = "st")]
    pub(super) began: Option<Millis>,
    /// When it ended.
    #[serde(rename = "ft")]
    pub(super) ended: Option<Millis>,
    /// The queue that it was in.
    #[serde(rename = "q")]
    pub(super) queue: Option<String>,
    #[serde(skip)]
    pickled: bool,
}

impl Record {
    /// Reads a job or a result; `None` for what another serializer wrote.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        // Pickles first: the byte that all begin with is an empty mapping of msgpack.
        let pickled = pickle::read(bytes).filter(Value::is_object);
        let is_pickle = pickled.is_some();
        let value = pickled.or_else(|| msgpack::read(bytes).filter(Value::is_object));
        let record: Self = match value {
            Some(value) => serde_json::from_str(&value.to_string()).ok()?,
            None => serde_json::from_slice(bytes).ok()?,
        };
        Some(Self {
            pickled: is_pickle,
            ..record
        })
    }

    /// Whether this is the job that left a result, as it was added: with the same arguments and without a try.
    pub(super) fn is_job_of(&self, result: &Self) -> bool {
        let added = |of: &Self| (of.function.clone(), of.arguments(), of.added);
        let alone = self.tries.is_none() && self.succeeded.is_none() && self.returned.is_none();
        alone && added(self) == added(result)
    }

    fn payload(&self, text: &str) -> Payload {
        let note = self.pickled.then(|| pickle::NOTE.to_owned());
        shown(text, Form::Json, text.len(), note)
    }

    /// Its arguments as JSON.
    pub(super) fn arguments(&self) -> String {
        let raw =
            |value: &Option<Box<RawValue>>, none: &str| value.as_ref().map_or(none, |value| value.get()).to_owned();
        format!(
            r#"{{"args":{},"kwargs":{}}}"#,
            raw(&self.args, "[]"),
            raw(&self.kwargs, "{}")
        )
    }

    /// Its arguments as they are shown.
    pub(super) fn data(&self) -> Payload {
        self.payload(&self.arguments())
    }

    /// What it returned.
    pub(super) fn result(&self) -> Option<Payload> {
        let returned = self.returned.as_ref().filter(|_| self.succeeded == Some(true))?;
        Some(self.payload(returned.get()))
    }

    /// The error of a failed one: its class and arguments. arq stores no traceback, and other serializers than pickle may
    /// not take an error at all.
    pub(super) fn error(&self) -> Option<String> {
        let returned = self.returned.as_ref().filter(|_| self.succeeded == Some(false))?;
        let value: Value = serde_json::from_str(returned.get()).ok()?;
        let class = value.get("call").and_then(Value::as_str);
        Some(match (class, value.as_str()) {
            (Some(class), _) => pickle::error(class, value.get("with")),
            (None, Some(text)) => text.to_owned(),
            (None, None) => value.to_string(),
        })
    }
}

/// What another serializer wrote.
pub(super) fn unread(bytes: &[u8]) -> Payload {
    dumped(
        bytes,
        "This is not a pickle, msgpack or JSON of a job: its application has a serializer of its own.".into(),
    )
}

/// The function's name from the beginning of a pickle that is too long to be read for a list: the second field, as Python writes it.
pub(super) fn name_at_the_beginning(bytes: &[u8]) -> Option<String> {
    const FIELD: &[u8] = b"\x8c\x01f\x94\x8c";
    let at = bytes.windows(FIELD.len()).take(64).position(|part| part == FIELD)? + FIELD.len();
    let length = usize::from(*bytes.get(at)?);
    let name = bytes.get(at + 1..at + 1 + length)?;
    Some(String::from_utf8_lossy(name).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `pickle.dumps({'t': None, 'f': 'add', 'a': (1, {'n': 2.5}), 'k': {}, 'et': 1796053354900})`.
    const JOB: &[u8] = b"\x80\x04\x95<\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\x01t\x94N\x8c\x01f\x94\x8c\x03add\x94\x8c\x01a\x94K\x01}\x94\
        \x8c\x01n\x94G@\x04\x00\x00\x00\x00\x00\x00s\x86\x94\x8c\x01k\x94}\x94\x8c\x02et\x94\x8a\x06\x94\x2b\xfc\x2d\xa2\x01u.";

    #[test]
    fn a_job_is_read_whatever_its_serializer() {
        let job = Record::read(JOB).unwrap();
        assert_eq!((job.function.as_str(), job.added), ("add", Some(1_796_067_830_676)));
        assert_eq!(job.arguments(), r#"{"args":[1,{"n":2.5}],"kwargs":{}}"#);
        assert!(job.data().note.unwrap().contains("without running it"));
        assert_eq!(name_at_the_beginning(JOB).as_deref(), Some("add"));
        let packed = b"\x85\xa1t\xc0\xa1f\xa3add\xa1a\x92\x01\x02\xa1k\x80\xa2et\xcf\x00\x00\x01\xa2\x2d\xfc\x2b\x94";
        let job = Record::read(packed).unwrap();
        assert_eq!(
            (job.arguments().as_str(), job.added),
            (r#"{"args":[1,2],"kwargs":{}}"#, Some(1_796_067_830_676))
        );
        let job = Record::read(br#"{"t":null,"f":"add","a":[1.50],"k":{},"et":7}"#).unwrap();
        assert_eq!(
            (job.arguments().as_str(), job.data().note),
            (r#"{"args":[1.50],"kwargs":{}}"#, None)
        );
        for broken in [&b""[..], b"x", b"[]", b"{}", b"\x80\x04}\x94.", b"\x80", b"gAAAAAB"] {
            assert!(Record::read(broken).is_none(), "{broken:?}");
        }
    }

    #[test]
    fn a_result_tells_what_it_returned_or_the_error() {
        let result = |text: &str| Record::read(text.as_bytes()).unwrap();
        let good = result(r#"{"t":1,"f":"add","a":[],"k":{},"et":1,"s":true,"r":1.50,"st":2,"ft":3,"q":"mail"}"#);
        assert_eq!(good.result().unwrap().text.as_deref(), Some("1.50"));
        assert_eq!(
            (good.error(), good.ended, good.queue.as_deref()),
            (None, Some(3), Some("mail"))
        );
        let bad = result(r#"{"f":"add","s":false,"r":{"call":"shop.errors.Full","with":["boom",7]}}"#);
        assert_eq!(bad.error().as_deref(), Some("Full: boom, 7"));
        assert!(bad.result().is_none());
        let lost = result(r#"{"f":"add","s":false,"r":"unable to serialize result"}"#);
        assert_eq!(lost.error().as_deref(), Some("unable to serialize result"));
    }
}
