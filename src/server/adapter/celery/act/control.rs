//! Remote control: what is published to all workers of an application. They keep what they are told in their memory.

use super::Place;
use crate::server::adapter::celery::book::key;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// The channel on which workers of an application listen.
pub(super) fn channel(place: &Place, database: i64) -> Vec<u8> {
    key(&place.prefix, &format!("/{database}.celery.pidbox"))
}

/// A ping for a node that does not exist: its number of receivers tells how many listen.
pub(super) fn question() -> Vec<u8> {
    message("ping", &json!({}), &json!(["drover"]))
}

/// Has every worker discard a task when it takes it.
pub(super) fn revocation(task: &str) -> Vec<u8> {
    message("revoke", &json!({"task_id": task, "terminate": false}), &Value::Null)
}

fn message(method: &str, arguments: &Value, destination: &Value) -> Vec<u8> {
    let body = json!({
        "method": method, "arguments": arguments, "destination": destination, "pattern": null, "matcher": null
    });
    let message = json!({
        "body": STANDARD.encode(body.to_string()),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"clock": 1},
        "properties": {
            "delivery_mode": 2,
            "delivery_info": {"exchange": "celery.pidbox", "routing_key": ""},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": "drover",
        },
    });
    message.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::adapter::celery::message::Message;

    #[test]
    fn what_is_published_is_a_message_that_wants_no_reply() {
        let body = |bytes: &[u8]| -> Value {
            let message = Message::read(bytes).unwrap();
            serde_json::from_slice(&message.bytes().unwrap()).unwrap()
        };
        let question = body(&question());
        assert_eq!(
            (&question["method"], &question["destination"][0]),
            (&json!("ping"), &json!("drover"))
        );
        let revocation = body(&revocation("a\"b"));
        assert_eq!(revocation["arguments"]["task_id"], "a\"b");
        assert!(question["reply_to"].is_null() && revocation["destination"].is_null());
    }
}
