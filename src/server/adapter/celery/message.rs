//! One message as kombu stores it: a JSON document with a body, headers and properties.
//!
//! Protocol 2 (Celery 4 and later) has the task's name, id and times among the headers, and a body that need not be read
//! for a list. Protocol 1 (Celery 3) has them in the body. What is neither is not a message of Celery.

use super::body::{self, Body};
use crate::model::Millis;
use chrono::{DateTime, NaiveDateTime};
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};
use sha1::{Digest as _, Sha1};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// A message, as far as a list needs it.
#[derive(Clone, Debug)]
pub(super) struct Message {
    headers: Map<String, Value>,
    properties: Map<String, Value>,
    content_type: String,
    text: Option<String>,
    /// The task of protocol 1, out of the body.
    first: Map<String, Value>,
}

#[derive(Deserialize)]
struct Envelope {
    body: Value,
    #[serde(rename = "content-type")]
    content_type: Option<String>,
    #[serde(default)]
    headers: Map<String, Value>,
    properties: Map<String, Value>,
}

impl Message {
    /// Reads an element of a list; `None` for anything that kombu did not write.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let envelope: Envelope = serde_json::from_slice(bytes).ok()?;
        // Without it a worker drops the connection.
        envelope.properties.get("delivery_tag")?.as_str()?;
        let mut message = Self {
            headers: envelope.headers,
            properties: envelope.properties,
            content_type: envelope.content_type.unwrap_or_default(),
            text: match envelope.body {
                Value::String(text) => Some(text),
                _ => None,
            },
            first: Map::new(),
        };
        if !message.headers.contains_key("task")
            && let Body::Json(text) = message.body()
            && let Ok(Value::Object(first)) = serde_json::from_str(&text)
            && first.contains_key("task")
            && first.contains_key("id")
        {
            message.first = first;
        }
        Some(message)
    }

    /// Reads the value of a field of `unacked`: the message, the exchange and the routing key.
    pub(super) fn unacknowledged(bytes: &[u8]) -> Option<(Self, String, String)> {
        let (message, exchange, routing_key): (Box<RawValue>, Option<String>, Option<String>) =
            serde_json::from_slice(bytes).ok()?;
        let message = Self::read(message.get().as_bytes())?;
        Some((message, exchange.unwrap_or_default(), routing_key.unwrap_or_default()))
    }

    /// Whether Celery sent it, and not another application of kombu.
    pub(super) fn is_task(&self) -> bool {
        self.header("task").is_some_and(Value::is_string)
    }

    /// What is said of the task among the headers or, of protocol 1, in the body.
    pub(super) fn header(&self, name: &str) -> Option<&Value> {
        let value = self.headers.get(name).or_else(|| self.first.get(name))?;
        (!value.is_null()).then_some(value)
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.header(name)?.as_str()
    }

    /// The name of its delivery: no other message has it.
    pub(super) fn tag(&self) -> &str {
        let tag = self.properties.get("delivery_tag").and_then(Value::as_str);
        tag.unwrap_or_default()
    }

    /// The task's id; empty if there is none.
    pub(super) fn id(&self) -> &str {
        let correlation = || self.properties.get("correlation_id")?.as_str();
        self.text("id").or_else(correlation).unwrap_or_default()
    }

    /// The task's name; empty if there is none.
    pub(super) fn name(&self) -> &str {
        self.text("task").unwrap_or_default()
    }

    /// Not before this moment.
    pub(super) fn eta(&self) -> Option<Millis> {
        moment(self.text("eta")?)
    }

    /// Not after this moment.
    pub(super) fn expires(&self) -> Option<Millis> {
        moment(self.text("expires")?)
    }

    /// How often it was retried.
    pub(super) fn retries(&self) -> u32 {
        let retries = self.header("retries").and_then(Value::as_u64).unwrap_or(0);
        u32::try_from(retries).unwrap_or(u32::MAX)
    }

    /// Its priority: with Redis 0 runs first.
    pub(super) fn priority(&self) -> u64 {
        self.properties.get("priority").and_then(Value::as_u64).unwrap_or(0)
    }

    /// Bytes of its body, decoded from base64.
    pub(super) fn size(&self) -> u64 {
        let text = self.text.as_deref().unwrap_or_default();
        let padding = text.bytes().rev().take_while(|byte| *byte == b'=').count();
        let size = if self.is_base64() {
            text.len() / 4 * 3 - padding.min(text.len() / 4)
        } else {
            text.len()
        };
        size as u64
    }

    fn is_base64(&self) -> bool {
        self.properties.get("body_encoding").and_then(Value::as_str) == Some("base64")
    }

    /// The bytes of its body; `None` where that is no text, or not the base64 that it claims to be.
    pub(super) fn bytes(&self) -> Option<Vec<u8>> {
        let text = self.text.as_ref()?;
        match self.is_base64() {
            true => body::base64(text),
            false => Some(text.clone().into_bytes()),
        }
    }

    /// What its body is.
    pub(super) fn body(&self) -> Body {
        match self.bytes() {
            Some(bytes) => Body::read(bytes, &self.content_type, self.compression()),
            None => Body::Bytes(
                self.text.clone().unwrap_or_default().into_bytes(),
                "The body is not the base64 that its message claims.".into(),
            ),
        }
    }

    fn compression(&self) -> Option<&str> {
        self.text("compression")
    }

    /// Its headers and properties as JSON, without the arguments as the sender printed them: these are its data.
    pub(super) fn options(&self) -> String {
        let kept = |(name, _): &(&String, &Value)| !["argsrepr", "kwargsrepr"].contains(&name.as_str());
        let headers: Map<String, Value> = self
            .headers
            .iter()
            .filter(kept)
            .map(|(n, v)| (n.clone(), v.clone()))
            .collect();
        let options = serde_json::json!({
            "headers": headers,
            "properties": self.properties,
            "content-type": self.content_type,
        });
        options.to_string()
    }
}

/// A field of `unacked` as the message that kombu puts back: all that is stored as it is, with the two flags set that say so.
pub(super) fn redelivered(bytes: &[u8]) -> Option<Vec<u8>> {
    type Object = BTreeMap<String, Box<RawValue>>;
    fn flagged(object: &RawValue) -> Option<Box<RawValue>> {
        let mut object: Object = serde_json::from_str(object.get()).ok()?;
        object.insert("redelivered".into(), RawValue::from_string("true".into()).ok()?);
        to_raw_value(&object).ok()
    }
    let (message, ..): (Box<RawValue>, Option<String>, Option<String>) = serde_json::from_slice(bytes).ok()?;
    let mut envelope: Object = serde_json::from_str(message.get()).ok()?;
    if let Some(headers) = envelope.get_mut("headers")
        && let Some(flagged) = flagged(headers)
    {
        *headers = flagged;
    }
    let properties = envelope.get_mut("properties")?;
    let mut within: Object = serde_json::from_str(properties.get()).ok()?;
    if let Some(delivery) = within.get_mut("delivery_info")
        && let Some(flagged) = flagged(delivery)
    {
        *delivery = flagged;
    }
    *properties = to_raw_value(&within).ok()?;
    serde_json::to_vec(&envelope).ok()
}

/// A moment as Celery writes it: ISO 8601 with an offset, or without one for UTC.
pub(super) fn moment(text: &str) -> Option<Millis> {
    let exact = DateTime::parse_from_rfc3339(text).map(|at| at.timestamp_millis());
    let naive =
        || NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").map(|at| at.and_utc().timestamp_millis());
    exact.or_else(|_| naive()).ok()
}

/// The id of an element without a task id: `sha1:` and the digest of its bytes.
pub(super) fn digest(bytes: &[u8]) -> String {
    let mut id = String::from("sha1:");
    for byte in Sha1::digest(bytes) {
        let _ = write!(id, "{byte:02x}");
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: &str = r#"{"body":"W1sxLCAyXSwge30sIHsiY2FsbGJhY2tzIjogbnVsbCwgImVycmJhY2tzIjogbnVsbCwgImNoYWluIjogbnVsbCwgImNob3JkIjogbnVsbH1d",
        "content-encoding":"utf-8","content-type":"application/json","headers":{"lang":"py","task":"shop.add","id":"7-a","eta":"2026-11-30T15:42:34.900214+00:00",
        "expires":null,"retries":2,"argsrepr":"(1, 2)","kwargsrepr":"{}"},
        "properties":{"delivery_info":{"exchange":"","routing_key":"celery"},"priority":5,"body_encoding":"base64","delivery_tag":"t"}}"#;

    #[test]
    fn a_message_is_read_by_its_headers() {
        let message = Message::read(MESSAGE.as_bytes()).unwrap();
        assert!(message.is_task());
        assert_eq!((message.id(), message.name()), ("7-a", "shop.add"));
        assert_eq!((message.retries(), message.priority()), (2, 5));
        assert_eq!(message.eta(), Some(1_796_053_354_900));
        assert_eq!(message.expires(), None);
        assert_eq!(message.bytes().unwrap().len() as u64, message.size());
        assert!(!message.options().contains("argsrepr"), "arguments are data");
        let held = format!(r#"[{MESSAGE}, "", "celery"]"#);
        let (message, exchange, key) = Message::unacknowledged(held.as_bytes()).unwrap();
        assert_eq!((message.id(), exchange.as_str(), key.as_str()), ("7-a", "", "celery"));
    }

    #[test]
    fn a_message_that_is_put_back_is_as_it_was_but_for_two_flags() {
        let held = r#"[{"body":"eyIx","headers":{"id":"a","big":123456789012345678901234567890,"f":1.10,"redelivered":false},"properties":{"delivery_tag":"t","delivery_info":{"routing_key":"q"}}},"","q"]"#;
        let back = String::from_utf8(redelivered(held.as_bytes()).unwrap()).unwrap();
        assert_eq!(
            back,
            r#"{"body":"eyIx","headers":{"big":123456789012345678901234567890,"f":1.10,"id":"a","redelivered":true},"properties":{"delivery_info":{"redelivered":true,"routing_key":"q"},"delivery_tag":"t"}}"#
        );
        assert_eq!(redelivered(b"[7,\"\",\"q\"]"), None);
    }

    #[test]
    fn a_message_of_protocol_1_is_read_by_its_body() {
        let body = body::tests::encode(
            br#"{"task":"old.add","id":"o1","args":[1],"kwargs":{},"retries":1,"eta":"2026-11-30T15:42:34"}"#,
        );
        let text = format!(
            r#"{{"body":"{body}","content-type":"application/json","headers":{{}},"properties":{{"body_encoding":"base64","delivery_tag":"t"}}}}"#
        );
        let message = Message::read(text.as_bytes()).unwrap();
        assert_eq!((message.id(), message.name(), message.retries()), ("o1", "old.add", 1));
        assert_eq!(message.eta(), Some(1_796_053_354_000));
    }

    #[test]
    fn what_others_put_into_lists_is_no_message() {
        for text in [
            "",
            "17",
            "{}",
            "[]",
            r#"{"class":"Job","jid":"a"}"#,
            r#"{"body":"","properties":{}}"#,
            "\u{80}",
        ] {
            assert!(Message::read(text.as_bytes()).is_none(), "{text}");
        }
        let kombu = r#"{"body":"e30=","headers":{},"content-type":"application/json","properties":{"body_encoding":"base64","delivery_tag":"t"}}"#;
        assert!(
            !Message::read(kombu.as_bytes()).unwrap().is_task(),
            "kombu without Celery"
        );
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(Message::read(deep.as_bytes()).is_none());
        assert!(digest(b"x").starts_with("sha1:11f6ad8e"));
    }
}
