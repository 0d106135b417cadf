//! What was filled in: the fields of a form as the fields of an action.

use crate::model::action::catalogue::{ActionKind, Empty, Input, Row};
use crate::model::action::{Changes, Seen};
use crate::model::form::FormPage;
use crate::server::audit::record::fingerprint;
use serde_json::{Map, Value, json};

/// What was filled in.
#[derive(Debug)]
pub(in super::super) struct Filled(Vec<(String, String)>);

impl Filled {
    pub(in super::super) const fn new(fields: Vec<(String, String)>) -> Self {
        Self(fields)
    }

    pub(in super::super) fn text(&self, name: &str) -> &str {
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

    /// Whether a field of a copy or a retry holds what it was filled in with: it is not given again, so that hidden values
    /// stay what they are, and no edit in between is undone.
    fn is_untouched(&self, name: &str) -> bool {
        let was = self.text(&format!("{WAS}{name}"));
        !was.is_empty() && untouched(self.text(name)) == was
    }

    /// What a copy has in place of what its job has.
    pub(in super::super) fn changes(&self) -> Result<Changes, String> {
        let given = self.fields(ActionKind::Duplicate.row())?;
        serde_json::from_value(Value::Object(given)).map_err(|error| format!("{error}."))
    }

    /// As what is given with an action.
    pub(super) fn fields(&self, row: &Row) -> Result<Map<String, Value>, String> {
        let mut given = Map::new();
        for field in row.fields.iter().filter(|field| field.input != Input::ApiOnly) {
            let text = match self.text(field.name).trim() {
                // They were taken out of the copy.
                "" if field.name == "options" && !self.text("was_options").is_empty() => "{}",
                text => text,
            };
            if self.is_untouched(field.name) {
                continue;
            }
            let within = field.name.split_once('.');
            let name = within.map_or(field.name, |(_, name)| name);
            let value = match (text, field.empty) {
                ("", Empty::Null) => {
                    given.insert(field.top().to_owned(), Value::Null);
                    continue;
                }
                ("", _) if within.is_some() && given.get(field.top()).is_some_and(Value::is_object) => {
                    return Err(format!("{:?} is missing.", field.label));
                }
                ("", _) => continue,
                (text, _) => value(name, field.input, text)?,
            };
            match within {
                None => {
                    given.insert(name.to_owned(), value);
                }
                Some((object, name)) => {
                    let object = given.entry(object).or_insert_with(|| json!({}));
                    if let Some(object) = object.as_object_mut() {
                        object.insert(name.to_owned(), value);
                    }
                }
            }
        }
        Ok(given)
    }

    /// The form again as it was filled in, with what was wrong.
    pub(in super::super) fn back_into(&self, mut page: FormPage, why: String) -> FormPage {
        for field in &mut page.fields {
            self.text(&field.name).clone_into(&mut field.value);
        }
        page.error = Some(why);
        page
    }
}

/// What the name of a field begins with that holds the fingerprint of what another one was filled in with.
pub(super) const WAS: &str = "was_";

/// What stays the same while a text goes through a form: browsers end its lines in their own way.
pub(super) fn untouched(text: &str) -> String {
    fingerprint(text.replace("\r\n", "\n").trim().as_bytes())
}

fn value(name: &str, input: Input, text: &str) -> Result<Value, String> {
    Ok(match input {
        Input::Tick => json!(text == "true"),
        Input::Seconds => json!(milliseconds(text).ok_or_else(|| format!("{text:?} is not a number of seconds."))?),
        Input::Number => {
            let number = text.parse::<u32>();
            json!(number.map_err(|_| format!("{name}: {text:?} is not a whole number of 0 or more."))?)
        }
        // Browsers end lines in their own way.
        Input::Json => json!(text.replace("\r\n", "\n")),
        Input::Line | Input::ApiOnly => json!(text),
    })
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
