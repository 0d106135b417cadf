//! What a task left in the result backend: the key `celery-task-meta-<id>`, for a day unless another time is set.
//!
//! The backend may be another database or another server, or there may be none; then nothing is found here. Name, arguments,
//! worker and queue are in it only where the application sets `result_extended`.

use super::super::Trouble;
use super::super::decode::{pickle, shown};
use super::super::redis::link::Link;
use super::message::moment;
use crate::model::Millis;
use crate::model::exact::bytes_of;
use crate::model::format;
use crate::model::job::{Form, Payload, Trace};
use crate::model::state::JobState;
use redis::Value as Reply;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// The largest result that is read.
const RESULT_MAX: u64 = 512 * 1024;

/// Bytes of a traceback that are shown.
const TRACE_MAX: usize = 64 * 1024;

/// What is before the id.
const META: &str = "celery-task-meta-";

/// What a task left.
#[derive(Debug)]
pub(super) enum Left {
    /// It can be read.
    Meta(Box<Meta>),
    /// There is something that is not read, and why.
    Unread(String),
}

/// A result as it is stored.
#[derive(Debug, Deserialize)]
pub(super) struct Meta {
    status: String,
    result: Option<Box<RawValue>>,
    traceback: Option<String>,
    date_done: Option<String>,
    /// With `result_extended`: the task's name.
    pub(super) name: Option<String>,
    args: Option<Box<RawValue>>,
    kwargs: Option<Box<RawValue>>,
    /// With `result_extended`: the worker that ran it.
    pub(super) worker: Option<String>,
    /// With `result_extended`: how often it was retried.
    pub(super) retries: Option<u32>,
    /// With `result_extended`: its queue's name.
    pub(super) queue: Option<String>,
    /// The task that sent it.
    pub(super) parent_id: Option<String>,
    /// The group it is in.
    pub(super) group_id: Option<String>,
}

/// Reads what a task left; `None` if there is nothing.
pub(super) async fn read(link: &Link, prefix: &str, id: &str) -> Result<Option<Left>, Trouble> {
    // The backend puts an underscore behind a prefix that does not end like one, the broker does not.
    let prefixes = [String::new(), prefix.to_owned(), format!("{prefix}_")];
    let prefixes = &prefixes[..if prefix.is_empty() { 1 } else { prefixes.len() }];
    let keys: Vec<Vec<u8>> = prefixes
        .iter()
        .map(|prefix| bytes_of(&format!("{prefix}{META}{id}")).into_owned())
        .collect();
    let mut pipe = redis::pipe();
    for key in &keys {
        // Up to a byte more than is read.
        pipe.cmd("GETRANGE").arg(key).arg(0).arg(RESULT_MAX);
    }
    let found = link
        .read_long(&mut pipe)
        .await?
        .into_iter()
        .find_map(|answer| match answer {
            Ok(Reply::BulkString(bytes)) if !bytes.is_empty() => Some(bytes),
            _ => None,
        });
    Ok(found.map(|bytes| interpret(&bytes)))
}

fn interpret(bytes: &[u8]) -> Left {
    if bytes.len() as u64 > RESULT_MAX {
        return Left::Unread(format!("it is larger than {}", format::bytes(RESULT_MAX)));
    }
    if bytes.starts_with(b"\0celery-compressed\0") {
        return Left::Unread("it is compressed, and Drover does not decompress what jobs carry".into());
    }
    // With `result_serializer=pickle`.
    let pickled = pickle::read(bytes)
        .filter(Value::is_object)
        .map(|value| value.to_string());
    match serde_json::from_slice(pickled.as_deref().map_or(bytes, str::as_bytes)) {
        Ok(meta) => Left::Meta(Box::new(meta)),
        Err(_) => Left::Unread("it is neither JSON nor a pickle of a result".into()),
    }
}

impl Meta {
    /// The state that its status is, and what else to say of it.
    pub(super) fn state(&self) -> (JobState, Option<String>) {
        let by = |state| (state, Some(format!("by its result, whose status is {}", self.status)));
        match self.status.as_str() {
            "SUCCESS" => (JobState::Completed, None),
            "FAILURE" => (JobState::Failed, None),
            "REVOKED" => by(JobState::Cancelled),
            "RETRY" => by(JobState::Delayed),
            _ => by(JobState::Active),
        }
    }

    /// Whether it has come to an end.
    pub(super) fn finished(&self) -> Option<Millis> {
        moment(self.date_done.as_deref()?)
    }

    /// What it returned.
    pub(super) fn returned(&self) -> Option<Payload> {
        let result = self.result.as_ref().filter(|_| self.status == "SUCCESS")?;
        Some(shown(result.get(), Form::Json, result.get().len(), None))
    }

    /// How far it says it is: what it keeps with a status of its own.
    pub(super) fn progress(&self) -> Option<&str> {
        let own = ![
            "SUCCESS", "FAILURE", "REVOKED", "RETRY", "STARTED", "PENDING", "RECEIVED",
        ]
        .contains(&self.status.as_str());
        self.result.as_ref().filter(|_| own).map(|result| result.get())
    }

    /// The error of the last attempt, as Python prints it.
    pub(super) fn error(&self) -> Option<String> {
        if !["FAILURE", "RETRY", "REVOKED"].contains(&self.status.as_str()) {
            return None;
        }
        let error: Map<String, Value> = serde_json::from_str(self.result.as_ref()?.get()).ok()?;
        // In a pickle it is the exception itself.
        let kind = error.get("exc_type").or_else(|| error.get("call"))?.as_str()?;
        let said = error.get("exc_message").or_else(|| error.get("with"));
        Some(pickle::error(kind, said))
    }

    /// The traceback of the last attempt.
    pub(super) fn trace(&self) -> Option<Trace> {
        let text = self.traceback.as_ref()?;
        // The end says what happened.
        let mut begin = text.len().saturating_sub(TRACE_MAX);
        while !text.is_char_boundary(begin) {
            begin += 1;
        }
        Some(Trace {
            attempt: self.retries.map(|retries| retries.saturating_add(1)),
            text: text[begin..].to_owned(),
            size: text.len() as u64,
            lines: text.lines().count() as u64,
            cut: begin > 0,
        })
    }

    /// Its arguments, where the application keeps them.
    pub(super) fn data(&self) -> Option<Payload> {
        let (args, kwargs) = (self.args.as_ref()?, self.kwargs.as_ref()?);
        let text = format!(r#"{{"args":{},"kwargs":{}}}"#, args.get(), kwargs.get());
        let size = text.len();
        Some(shown(&text, Form::Json, size, None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(text: &str) -> Meta {
        match interpret(text.as_bytes()) {
            Left::Meta(meta) => *meta,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_failure_tells_its_error_and_its_traceback() {
        let failed = meta(
            r#"{"status":"FAILURE","result":{"exc_type":"ValueError","exc_message":["boom",7],"exc_module":"builtins"},
            "traceback":"Traceback\n  x\nValueError: boom\n","children":[],"date_done":"2026-11-30T14:43:00.205973+00:00","retries":1,"task_id":"a"}"#,
        );
        assert_eq!(failed.state().0, JobState::Failed);
        assert_eq!(failed.error().as_deref(), Some("ValueError: boom, 7"));
        let trace = failed.trace().unwrap();
        assert_eq!((trace.attempt, trace.lines, trace.cut), (Some(2), 3, false));
        assert_eq!(failed.finished(), Some(1_796_049_780_205));
        assert!(failed.returned().is_none() && failed.data().is_none());
    }

    #[test]
    fn a_status_of_its_own_is_progress() {
        let runs = meta(r#"{"status":"PROGRESS","result":{"current":3,"total":10},"traceback":null,"date_done":null}"#);
        assert_eq!(runs.progress(), Some(r#"{"current":3,"total":10}"#));
        assert_eq!(runs.state().0, JobState::Active);
        let done = meta(r#"{"status":"SUCCESS","result":1.50,"args":[1],"kwargs":{"b":2.0}}"#);
        assert_eq!(done.returned().unwrap().text.as_deref(), Some("1.50"));
        assert_eq!(
            done.data().unwrap().text.as_deref(),
            Some(r#"{"args":[1],"kwargs":{"b":2.0}}"#)
        );
    }

    #[test]
    fn a_pickled_result_is_read_without_running_it() {
        let pickle = b"\x80\x04}(\x8c\x06status\x8c\x07FAILURE\x8c\x06result\x8c\x08builtins\x8c\x0aValueError\x93\x8c\x04boom\x85R\x8c\x09tracebackNu.";
        let Left::Meta(meta) = interpret(pickle) else {
            panic!("not read");
        };
        assert_eq!(meta.error().as_deref(), Some("ValueError: boom"));
    }

    #[test]
    fn what_is_no_result_is_not_read() {
        for text in [
            &b"\x80\x05]\x94."[..],
            b"\x80\x04}\x94.",
            b"\0celery-compressed\0application/x-gzip\0x",
            b"{",
            b"[]",
        ] {
            assert!(matches!(interpret(text), Left::Unread(..)));
        }
    }
}
