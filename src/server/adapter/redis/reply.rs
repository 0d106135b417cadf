//! Reads Redis replies without trusting their shape.
//!
//! A key of the wrong type, a nil where a number was expected, bytes that are not UTF-8: each is an
//! ordinary value here, never a panic and never a failed page.

use crate::model::exact::text_of;
use crate::server::adapter::NOT_PERMITTED;
use crate::server::redact::said;
use redis::{RedisError, RedisResult, Value};

/// Text of a bulk or simple string, with invalid UTF-8 replaced; `None` for nil and anything else.
#[must_use]
pub fn text(value: &Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        Value::SimpleString(text) => Some(text.clone()),
        Value::Int(n) => Some(n.to_string()),
        Value::Okay => Some("OK".into()),
        _ => None,
    }
}

/// A name or an id, exactly (see [`crate::model::exact`]); `None` for nil and anything else.
#[must_use]
pub fn exact(value: &Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => Some(text_of(bytes)),
        other => text(other),
    }
}

/// A whole number, also when it was stored as text.
#[must_use]
pub fn int(value: &Value) -> Option<i64> {
    match value {
        Value::Int(n) => Some(*n),
        Value::BulkString(bytes) => number(std::str::from_utf8(bytes).ok()?),
        Value::SimpleString(text) => number(text),
        _ => None,
    }
}

/// A number as producers write it: whole, fractional or in exponent form, inside what an `i64` holds.
fn number(text: &str) -> Option<i64> {
    if let Ok(n) = text.parse() {
        return Some(n);
    }
    let n: f64 = text.parse().ok()?;
    #[expect(clippy::cast_possible_truncation, reason = "the range is checked first")]
    (n.is_finite() && n.abs() < 9e18).then_some(n as i64)
}

/// A floating-point number, as scores are sent.
#[must_use]
pub fn float(value: &Value) -> Option<f64> {
    match value {
        #[expect(clippy::cast_precision_loss, reason = "scores are doubles in Redis itself")]
        Value::Int(n) => Some(*n as f64),
        Value::Double(n) => Some(*n),
        other => text(other)?.parse().ok(),
    }
}

/// The elements of an array; empty for anything else.
#[must_use]
pub fn items(value: &Value) -> &[Value] {
    match value {
        Value::Array(items) => items,
        _ => &[],
    }
}

/// A count: the number, or the reason why there is none.
///
/// # Errors
///
/// Why the server refused, see [`why`].
pub fn count(reply: &RedisResult<Value>) -> Result<u64, String> {
    match reply {
        Ok(Value::Int(n)) => Ok(u64::try_from(*n).unwrap_or(0)),
        Ok(_) => Err("the server answered with something other than a number".into()),
        Err(error) => Err(why(error)),
    }
}

/// Why a read of one key was refused, as the second half of a sentence, without the server's code for it.
#[must_use]
pub fn why(error: &RedisError) -> String {
    match error.code() {
        Some("WRONGTYPE") => "the key holds another type than the library keeps there".into(),
        Some("NOPERM") => NOT_PERMITTED.into(),
        _ => {
            let says = error.detail().map_or_else(|| error.to_string(), str::to_owned);
            format!("the server says {:?}", said(says.trim_start_matches('-')))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_from_whatever_a_producer_wrote() {
        let bulk = |s: &str| Value::BulkString(s.as_bytes().to_vec());
        assert_eq!(int(&bulk("1732167")), Some(1_732_167));
        assert_eq!(int(&bulk("1.5e3")), Some(1500));
        assert_eq!(int(&bulk("1e300")), None);
        assert_eq!(int(&bulk("NaN")), None);
        assert_eq!(int(&bulk("soon")), None);
        assert_eq!(int(&Value::Nil), None);
        assert_eq!(text(&Value::BulkString(vec![0xff, b'a'])), Some("\u{fffd}a".into()));
    }
}
