//! The fields of each action's form.

use crate::model::action::catalogue::{ActionKind, Empty, Input};
use crate::model::capability::Capabilities;
use crate::model::form::{Field, FieldKind};
use crate::model::job::{JobDetail, Payload};
use crate::model::schedule::Schedule;

/// Why something is asked for.
pub(in super::super) fn reason() -> Field {
    field(
        "reason",
        "Reason",
        FieldKind::Line,
        "",
        "Optional. Shown in the audit log.",
        false,
    )
}

/// A field.
pub(in super::super) fn field(
    name: &str,
    label: &str,
    kind: FieldKind,
    value: impl Into<String>,
    hint: &str,
    required: bool,
) -> Field {
    Field {
        name: name.into(),
        label: label.into(),
        kind,
        value: value.into(),
        hint: hint.into(),
        required,
    }
}

/// What is known of the target of an action.
#[derive(Clone, Copy, Debug, Default)]
pub(in super::super) struct Known<'a> {
    /// The job.
    pub job: Option<&'a JobDetail>,
    /// The job's other options, where they can be given with a copy.
    pub options: Option<&'a str>,
    /// The schedule.
    pub schedule: Option<&'a Schedule>,
}

impl Known<'_> {
    fn value(&self, name: &str) -> Option<String> {
        let text = |payload: Option<&Payload>| payload.and_then(|p| p.text.clone());
        match (self.job, self.schedule) {
            (Some(job), _) => match name {
                "name" => Some(job.row.name.clone()),
                "data" => text(job.data.as_ref()),
                "priority" => Some(job.row.priority.to_string()),
                "attempts" => job.row.attempts_max.map(|most| most.to_string()),
                "options" => self.options.map(str::to_owned),
                _ => None,
            },
            (None, Some(schedule)) => match name {
                "name" => schedule.name.clone(),
                "pattern" => schedule.pattern.clone(),
                "tz" => schedule.tz.clone(),
                "every_ms" => schedule.every.map(seconds),
                "limit" => schedule.limit.map(|n| n.to_string()),
                "data" => text(schedule.data.as_ref()),
                _ => None,
            },
            (None, None) => None,
        }
    }

    /// Whether a field makes sense for it.
    fn asks(&self, name: &str) -> bool {
        match (name, self.job) {
            ("children", Some(job)) => job.children.is_some(),
            ("options", Some(_)) => self.options.is_some(),
            _ => true,
        }
    }
}

/// What an action asks for, filled in with what is known.
pub(in super::super) fn fields(kind: ActionKind, can: Option<&Capabilities>, known: Known<'_>) -> Vec<Field> {
    let row = kind.row();
    let asked = row.fields.iter().filter(|field| {
        let takes = can.is_none_or(|can| can.takes(row, field.name));
        field.input != Input::ApiOnly && takes && known.asks(field.name)
    });
    let filled = asked.map(|field| {
        let value = known.value(field.name).unwrap_or_else(|| field.initial.to_owned());
        let always = can.is_some_and(|can| can.always.contains(&format!("{}.{}", row.word, field.name)));
        let hint = match (kind, can) {
            (ActionKind::Priority, Some(can)) if field.name == row.word => format!("{}.", can.priority_order),
            (ActionKind::EditData, Some(can)) if can.edit_keeps_data => {
                format!("{} The old data becomes a line of its log.", field.hint)
            }
            (ActionKind::EditData, Some(_)) => format!("{} The old data is not kept.", field.hint),
            _ => field.hint.to_owned(),
        };
        let (kind, value) = match field.input {
            Input::Line | Input::ApiOnly => (FieldKind::Line, value),
            Input::Number | Input::Seconds => (FieldKind::Number, value),
            Input::Json => (FieldKind::Area, value),
            Input::Tick => (FieldKind::Tick, if always { "true".into() } else { String::new() }),
        };
        Field {
            name: field.name.into(),
            label: field.label.into(),
            kind,
            value,
            hint,
            required: field.empty == Empty::Refused,
        }
    });
    filled.collect()
}

fn seconds(ms: i64) -> String {
    match (ms / 1000, ms % 1000) {
        (s, 0) => s.to_string(),
        (s, ms) => format!("{s}.{ms:03}"),
    }
}
