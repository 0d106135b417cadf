//! What was filled in: the fields of a form as the fields of an action.

use crate::model::action::Seen;
use crate::model::form::FormPage;
use crate::server::audit::record::fingerprint;
use crate::server::service::act::intent::Target;
use serde_json::{Map, Value, json};

/// What was filled in.
#[derive(Debug)]
pub(super) struct Filled(Vec<(String, String)>);

impl Filled {
    pub(super) const fn new(fields: Vec<(String, String)>) -> Self {
        Self(fields)
    }

    pub(super) fn text(&self, name: &str) -> &str {
        self.0
            .iter()
            .find(|(n, _)| n == name)
            .map_or("", |(_, value)| value.as_str())
    }

    /// The target as it was shown.
    pub(super) fn seen(&self) -> Option<Seen> {
        let state = self.text("seen_state").parse().ok();
        state.map(|state| Seen {
            state: Some(state),
            finished_on: self.text("seen_finished_on").parse().ok(),
            attempts: self.text("seen_attempts").parse().ok(),
        })
    }

    /// As the fields of an action. What is empty is left out.
    pub(super) fn fields(&self, of: Target, word: &str) -> Result<Map<String, Value>, String> {
        let mut given = Map::new();
        for (name, value) in &self.0 {
            let value = value.trim();
            if value.is_empty()
                || matches!(
                    name.as_str(),
                    "action" | "key" | "reason" | "schedule_key" | "archive" | "revealed"
                )
                || name.starts_with("seen_")
            {
                continue;
            }
            let (name, value) = match name.as_str() {
                "reset_attempts" | "lifo" | "children" | "force" => (name.as_str(), json!(value == "true")),
                "ms_s" | "delay_s" | "every_s" | "per_s" => {
                    let ms = milliseconds(value).ok_or_else(|| format!("{value:?} is no number of seconds."))?;
                    (to_ms(name), json!(ms))
                }
                "priority" | "keep" | "attempts" | "limit" | "max" => {
                    let n = value
                        .parse::<u32>()
                        .map_err(|_| format!("{name}: {value:?} is no whole number from 0 on."))?;
                    (name.as_str(), json!(n))
                }
                // Browsers end lines in their own way.
                "data" | "options" => (name.as_str(), json!(value.replace("\r\n", "\n"))),
                _ => (name.as_str(), json!(value)),
            };
            given.insert(name.to_owned(), value);
        }
        match (of, word) {
            (Target::Queue, "concurrency") => {
                given.entry("limit").or_insert(Value::Null);
            }
            (Target::Queue, "rate_limit") => {
                let (max, per_ms) = (given.remove("max"), given.remove("per_ms"));
                let limit = match (max, per_ms) {
                    (Some(max), Some(per_ms)) => json!({"max": max, "per_ms": per_ms}),
                    (None, _) => Value::Null,
                    (Some(_), None) => return Err("In so many seconds: say in how many.".into()),
                };
                given.insert("limit".into(), limit);
            }
            // Data that was not touched is not given again: another retry must not undo an edit.
            (Target::Job, "retry") if untouched(self.text("data")) == self.text("seen_data") => {
                given.remove("data");
            }
            _ => {}
        }
        Ok(given)
    }

    /// The form again as it was filled in, with what was wrong.
    pub(super) fn back_into(&self, mut page: FormPage, why: String) -> FormPage {
        for field in &mut page.fields {
            self.text(&field.name).clone_into(&mut field.value);
        }
        page.error = Some(why);
        page
    }
}

/// What stays the same while a text goes through a form: browsers end its lines in their own way.
pub(super) fn untouched(text: &str) -> String {
    fingerprint(text.replace("\r\n", "\n").trim().as_bytes())
}

fn to_ms(name: &str) -> &'static str {
    match name {
        "delay_s" => "delay",
        "every_s" => "every_ms",
        "per_s" => "per_ms",
        _ => "ms",
    }
}

fn milliseconds(seconds: &str) -> Option<u64> {
    let seconds: f64 = seconds.parse().ok()?;
    if !(0.0..=1e12).contains(&seconds) {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
    let ms = (seconds * 1000.0).round() as u64;
    Some(ms)
}
