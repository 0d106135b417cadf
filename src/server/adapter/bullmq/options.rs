//! A job's options as they are in force: the stored ones with their names in full, the values of the record that
//! override them, and the library's defaults for options that were not given.
//!
//! Options are stored as JSON that went through `MessagePack` and Lua; some names are shortened. An application may store
//! there what it likes: what is no setting of the library counts as payload.

use crate::model::Millis;
use crate::model::format;
use crate::model::job::{EffectiveOption, Origin, cut};
use serde_json::{Map, Value};

/// Characters of an option's value shown.
const VALUE_MAX: usize = 200;

/// What the rest of the page needs of the options.
#[derive(Debug, Default)]
pub(super) struct Options {
    pub(super) list: Vec<EffectiveOption>,
    /// The delay the job was created with, ms.
    pub(super) delay: Option<Millis>,
    /// Log lines kept.
    pub(super) keep_logs: Option<u64>,
    /// The back-off, in words.
    pub(super) backoff: Option<String>,
    /// The stored text is not what it should be.
    pub(super) odd: bool,
}

/// What the record says that wins over the options.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Record {
    pub(super) priority: Option<i64>,
    pub(super) delay: Option<Millis>,
    /// Failed attempts so far, for the next back-off.
    pub(super) attempts: u32,
}

/// Reads stored options.
pub(super) fn read(text: Option<&str>, record: Record) -> Options {
    let parsed = text.map(serde_json::from_str::<Map<String, Value>>);
    let odd = matches!(parsed, Some(Err(_)));
    let stored = parsed.and_then(Result::ok).unwrap_or_default();
    let mut list = Vec::new();
    let mut push = |name: &str, value: String, origin, payload| {
        list.push(EffectiveOption {
            name: name.to_owned(),
            value,
            origin,
            payload,
        });
    };
    let mut add = |name: &str, value: String, origin| push(name, value, origin, false);
    let number = |name: &str| stored.get(name).and_then(Value::as_f64);
    let or = |name: &str, words: &dyn Fn(&Value) -> String, default: &str| match stored.get(name) {
        None | Some(Value::Null) => (default.to_owned(), Origin::Default, false),
        Some(value) => (words(value), Origin::Options, !is_setting(name, value)),
    };

    // 0 is how the library stores "not said"; it means one attempt.
    match number("attempts").filter(|n| *n > 0.0) {
        Some(n) => add("attempts", n.to_string(), Origin::Options),
        None => add("attempts", "1".into(), Origin::Default),
    }
    let backoff = stored.get("backoff").and_then(backoff_words);
    let next = stored.get("backoff").and_then(|b| next_backoff(b, record.attempts + 1));
    match &backoff {
        Some(words) => add("backoff", words.clone(), Origin::Options),
        None => add("backoff", "none: retries at once".into(), Origin::Default),
    }
    let delay = number("delay").and_then(millis);
    match (record.delay, delay) {
        (Some(now), stored) if now != stored.unwrap_or(0) => add(
            "delay",
            format!(
                "{}{}",
                span(now),
                stored.map_or_else(String::new, |was| format!(" (options: {})", span(was)))
            ),
            Origin::Record,
        ),
        (_, Some(stored)) if stored > 0 => add("delay", span(stored), Origin::Options),
        _ => add("delay", "none".into(), Origin::Default),
    }
    let priority = number("priority").and_then(millis);
    match (record.priority, priority) {
        (Some(now), stored) if now != stored.unwrap_or(0) => add(
            "priority",
            format!(
                "{now}{}",
                stored.map_or_else(String::new, |was| format!(" (options: {was})"))
            ),
            Origin::Record,
        ),
        (_, Some(stored)) if stored > 0 => add("priority", stored.to_string(), Origin::Options),
        _ => add("priority", "none".into(), Origin::Default),
    }
    for (name, words, default) in [
        (
            "lifo",
            &plain as &dyn Fn(&Value) -> String,
            "false: added to the end of the queue",
        ),
        ("removeOnComplete", &keep_words, "never, unless its worker is set to"),
        ("removeOnFail", &keep_words, "never, unless its worker is set to"),
    ] {
        let (value, origin, payload) = or(name, words, default);
        push(name, value, origin, payload);
    }
    let keep_logs = number("kl").or_else(|| number("keepLogs")).and_then(millis);
    match keep_logs {
        Some(1) => push("keepLogs", "the last line".into(), Origin::Options, false),
        Some(n) => push("keepLogs", format!("the last {n} lines"), Origin::Options, false),
        None => push("keepLogs", "all lines".into(), Origin::Default, false),
    }
    let (value, origin, payload) = or(
        "stackTraceLimit",
        &|v| format!("the last {}", plain(v)),
        "all stack traces",
    );
    push("stackTraceLimit", value, origin, payload);

    for (name, value) in &stored {
        if let Some((name, shown)) = other(name, value) {
            let payload = !is_setting(&name, value);
            push(&name, shown, Origin::Options, payload);
        }
    }
    Options {
        list,
        delay,
        keep_logs: keep_logs.and_then(|n| u64::try_from(n).ok()),
        backoff: backoff.map(|words| match next {
            Some(next) if record.attempts > 0 => format!("{words}; after the next failure {}", span(next)),
            _ => words,
        }),
        odd,
    }
}

/// An option without a default worth showing, with its short name spelled out.
fn other(name: &str, value: &Value) -> Option<(String, String)> {
    let full = match name {
        "attempts" | "backoff" | "delay" | "priority" | "lifo" | "removeOnComplete" | "removeOnFail" | "kl"
        | "keepLogs" | "stackTraceLimit" => return None,
        "de" => "deduplication",
        "fpof" => "failParentOnFailure",
        "cpof" => "continueParentOnFailure",
        "idof" => "ignoreDependencyOnFailure",
        "rdof" => "removeDependencyOnFailure",
        "tm" => "telemetry.metadata",
        "omc" => "telemetry.omitContext",
        name => name,
    };
    let value = match (full, value) {
        ("timeout" | "timestamp" | "prevMillis", Value::Number(n)) => n.to_string(),
        (_, value) => plain(value),
    };
    Some((cut(full, 100), value))
}

/// Settings of the library that have no form of their own here, and what those consist of that are objects.
const SETTINGS: [(&str, &[&str]); 18] = [
    ("lifo", &[]),
    ("removeOnComplete", &["age", "count", "limit"]),
    ("removeOnFail", &["age", "count", "limit"]),
    ("stackTraceLimit", &[]),
    ("timeout", &[]),
    ("timestamp", &[]),
    ("prevMillis", &[]),
    ("sizeLimit", &[]),
    ("preventParsingData", &[]),
    ("failParentOnFailure", &[]),
    ("continueParentOnFailure", &[]),
    ("ignoreDependencyOnFailure", &[]),
    ("removeDependencyOnFailure", &[]),
    ("telemetry.omitContext", &[]),
    ("deduplication", &["id", "ttl", "extend", "replace", "keepLastIfActive"]),
    ("debounce", &["id", "ttl"]),
    ("parent", &["id", "queue", "queueKey"]),
    (
        "repeat",
        &[
            "pattern",
            "cron",
            "every",
            "tz",
            "utc",
            "limit",
            "count",
            "offset",
            "immediately",
            "key",
            "jobId",
            "startDate",
            "endDate",
            "prevMillis",
            "nthDayOfWeek",
        ],
    ),
];

/// Ids, which are texts.
const IDS: [&str; 2] = ["jobId", "repeatJobKey"];

/// Whether a stored option is a setting of the library, and nothing that an application put there.
fn is_setting(name: &str, value: &Value) -> bool {
    let is_plain = |value: &Value| !value.is_object() && !value.is_array();
    if IDS.contains(&name) {
        return is_plain(value);
    }
    let Some((_, parts)) = SETTINGS.iter().find(|(known, _)| *known == name) else {
        return false;
    };
    match value {
        Value::Object(map) => map
            .iter()
            .all(|(part, value)| parts.contains(&part.as_str()) && is_plain(value)),
        value => is_plain(value) && !value.is_string(),
    }
}

fn plain(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    cut(&text, VALUE_MAX)
}

fn millis(n: f64) -> Option<Millis> {
    #[expect(clippy::cast_possible_truncation, reason = "the range is checked first")]
    (n.is_finite() && n.abs() < 9e15).then_some(n as Millis)
}

fn span(ms: Millis) -> String {
    if ms == 0 { "none".into() } else { format::duration(ms) }
}

fn backoff_words(value: &Value) -> Option<String> {
    let (kind, delay, jitter) = parts(value)?;
    let delay = delay.map_or_else(String::new, |ms| format!(" {}", span(ms)));
    let jitter = jitter
        .filter(|j| *j > 0.0)
        .map_or_else(String::new, |j| format!(", up to {:.0} % less", j * 100.0));
    Some(match kind.as_str() {
        "fixed" => format!("fixed,{delay}{jitter}"),
        "exponential" => format!("exponential from{delay}{jitter}"),
        kind => format!("{:?} (known to its worker only){delay}{jitter}", cut(kind, 60)),
    })
}

fn parts(value: &Value) -> Option<(String, Option<Millis>, Option<f64>)> {
    match value {
        Value::Number(n) => {
            let ms = n.as_f64().and_then(millis)?;
            (ms > 0).then(|| ("fixed".to_owned(), Some(ms), None))
        }
        Value::Object(map) => {
            let number = |name: &str| map.get(name).and_then(Value::as_f64);
            let kind = map.get("type").and_then(Value::as_str).unwrap_or("fixed").to_owned();
            Some((kind, number("delay").and_then(millis), number("jitter")))
        }
        _ => None,
    }
}

/// The back-off after failure number `failures`, where the library itself works it out.
fn next_backoff(value: &Value, failures: u32) -> Option<Millis> {
    let (kind, delay, _) = parts(value)?;
    match kind.as_str() {
        "fixed" => delay,
        "exponential" => delay?.checked_mul(2_i64.checked_pow(failures.saturating_sub(1))?),
        _ => None,
    }
}

/// What happens to the job when it has finished.
fn keep_words(value: &Value) -> String {
    match value {
        Value::Bool(true) => "at once".into(),
        Value::Bool(false) => "never, unless its worker is set to".into(),
        Value::Number(n) if n.as_f64() == Some(0.0) => "at once".into(),
        Value::Number(n) => format!("all but the newest {n}"),
        Value::Object(map) => {
            let number = |name: &str| map.get(name).and_then(Value::as_f64).and_then(millis);
            let age = number("age").map(|s| format!("after {}", format::span(s.saturating_mul(1000))));
            let count = number("count").map(|n| format!("all but the newest {n}"));
            match (age, count) {
                (Some(age), Some(count)) => format!("{age}, and {count}"),
                (Some(one), None) | (None, Some(one)) => one,
                (None, None) => plain(value),
            }
        }
        other => plain(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find<'a>(options: &'a Options, name: &str) -> (&'a str, Origin) {
        let found = options.list.iter().find(|option| option.name == name);
        found.map(|option| (option.value.as_str(), option.origin)).unwrap()
    }

    #[test]
    fn defaults_are_filled_in_and_short_names_spelled_out() {
        let text = r#"{"attempts":5,"backoff":{"type":"exponential","delay":4000},"kl":100,"fpof":true,"de":{"id":"a"},
            "removeOnComplete":{"age":3600,"count":50},"removeOnFail":true,"custom":1}"#;
        let options = read(
            Some(text),
            Record {
                attempts: 2,
                ..Record::default()
            },
        );
        assert_eq!(find(&options, "attempts"), ("5", Origin::Options));
        assert_eq!(find(&options, "backoff").0, "exponential from 4.0 s");
        assert_eq!(
            options.backoff.as_deref(),
            Some("exponential from 4.0 s; after the next failure 16 s")
        );
        assert_eq!(
            find(&options, "removeOnComplete").0,
            "after 1 h, and all but the newest 50"
        );
        assert_eq!(find(&options, "removeOnFail").0, "at once");
        assert_eq!(find(&options, "keepLogs"), ("the last 100 lines", Origin::Options));
        assert_eq!(find(&options, "failParentOnFailure").0, "true");
        assert_eq!(find(&options, "deduplication").0, r#"{"id":"a"}"#);
        assert_eq!(find(&options, "stackTraceLimit").1, Origin::Default);
        assert_eq!(find(&options, "custom").0, "1");
    }

    #[test]
    fn what_an_application_puts_among_the_options_is_payload_and_settings_are_not() {
        let text = r#"{"attempts":3,"backoff":{"type":"jittered","delay":5},"kl":9,"jobId":"a","lifo":true,"timeout":5,
            "removeOnFail":{"age":5},"de":{"id":"a","ttl":5},"repeat":{"every":5,"key":"k"},"parent":{"id":"1","queueKey":"bull:a"},
            "removeOnComplete":{"age":5,"customer":"x"},"stackTraceLimit":"x","debounce":{"id":{"x":1}},
            "tm":"{}","customer":{"name":"x"},"note":"x","list":[1]}"#;
        let options = read(Some(text), Record::default());
        let payload: Vec<&str> = options
            .list
            .iter()
            .filter(|option| option.payload)
            .map(|option| option.name.as_str())
            .collect();
        assert_eq!(
            payload,
            [
                "removeOnComplete",
                "stackTraceLimit",
                "customer",
                "debounce",
                "list",
                "note",
                "telemetry.metadata"
            ]
        );
        let template = r#"{"repeat":{"every":5,"data":{"customer":"x"}}}"#;
        let repeat = read(Some(template), Record::default());
        assert!(
            repeat
                .list
                .iter()
                .any(|option| option.name == "repeat" && option.payload)
        );
    }

    #[test]
    fn the_record_wins_over_the_options() {
        let record = Record {
            priority: Some(3),
            delay: Some(0),
            attempts: 0,
        };
        let options = read(Some(r#"{"priority":10,"delay":5000}"#), record);
        assert_eq!(find(&options, "priority"), ("3 (options: 10)", Origin::Record));
        assert_eq!(find(&options, "delay"), ("none (options: 5.0 s)", Origin::Record));
        assert_eq!(options.delay, Some(5000));
    }

    #[test]
    fn options_that_are_none_leave_the_defaults() {
        for text in [None, Some("{not json"), Some("[1]"), Some("{}")] {
            let options = read(text, Record::default());
            assert_eq!(find(&options, "attempts"), ("1", Origin::Default));
            assert_eq!(options.odd, matches!(text, Some("{not json" | "[1]")), "{text:?}");
        }
    }
}
