//! What forms for a copy and for a retry have in common: they are filled in with what the job has, and what is left as it is
//! stays what is stored, hidden values included.

use super::filled::{WAS, untouched};
use crate::model::form::{Field, FieldKind, FormPage};
use crate::model::format;
use crate::model::job::{Form as Written, JobDetail, Payload};
use crate::model::state::JobState;
use crate::server::redact::{MARKER, holds_marker};

/// The warning before a job that has completed, or may have, runs again.
pub(in super::super) fn runs_again(job: &JobDetail) -> Option<String> {
    (job.row.state == JobState::Completed).then(|| {
        let when = job
            .row
            .finished
            .map_or_else(String::new, |at| format!(" at {}", format::iso(at)));
        format!("It completed{when}. Its side effects, such as e-mails and payments, will happen again.")
    })
}

/// Notes what each field was filled in with, so that what is not touched is copied in the store as it is. What is not
/// shown whole cannot be changed here.
pub(in super::super) fn keep_untouched(form: &mut FormPage, job: &JobDetail) {
    if let Some(why) = unwritable(job.data.as_ref()) {
        form.fields.retain(|field| field.name != "data");
        form.notes
            .push(why.replace("it cannot be edited in a form", "it stays as it is"));
    }
    let was = |field: &Field| (format!("{WAS}{}", field.name), untouched(&field.value));
    let typed = form.fields.iter().filter(|field| field.kind != FieldKind::Tick);
    let was: Vec<_> = typed.map(was).collect();
    form.hidden.extend(was);
}

/// Says which fields hold hidden values, and whether one that is left as it is keeps them; whether there are any.
pub(in super::super) fn hide_notes(form: &mut FormPage, kept: bool) -> bool {
    let mut any = false;
    for field in &mut form.fields {
        if matches!(field.name.as_str(), "data" | "options") && holds_marker(&field.value) {
            field.hint = format!("{} Each {MARKER} is a hidden value.", field.hint);
            any = true;
        }
    }
    if any {
        let keeps = if kept {
            "A field that you do not change keeps them. In one that you change, "
        } else {
            "To save the data, "
        };
        form.notes.push(format!(
            "Some of its values are hidden. {keeps}replace each {MARKER} with the real value: text that contains the \
             word is not saved."
        ));
    }
    any
}

/// Why data cannot be edited in a form: what is not shown whole would be lost.
pub(super) fn unwritable(data: Option<&Payload>) -> Option<String> {
    let data = data?;
    if let Some(note) = &data.note {
        let note = note.trim_end_matches('.');
        return Some(format!(
            "Its data is not shown as it is stored ({note}): it cannot be edited in a form."
        ));
    }
    if data.form == Written::Binary || data.text.is_none() || data.shown < data.size {
        return Some(format!(
            "Its data ({}) is too large, or no text: it cannot be edited in a form. The API takes up to 1 MiB.",
            format::bytes(data.size)
        ));
    }
    None
}
