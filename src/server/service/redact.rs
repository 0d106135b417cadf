//! Whole jobs without their secrets, on the way out: to a page, the API, a stream or a file.
//!
//! Lines of lists are masked where they are read; a job in full is read as it is stored, because Drover also uses it
//! (puts it back, compares it), and masked here. Every type is taken apart field by field, without a rest pattern: a
//! new field does not compile until its author has decided what is hidden of it.

use crate::model::archive::{ArchivedJob, ArchivedRow};
use crate::model::job::{
    Dedup, EffectiveOption, Field, Form, JobDetail, JobRow, LogLine, LogPage, Payload, Progress, Trace,
};
use crate::server::redact::{MARKER, Mask, without_data};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Why the text of bytes that are no text is not shown.
const BYTES: &str = "Its bytes hold values that are hidden.";

/// Masks in place, and remembers what hides which value.
struct Hide<'a> {
    mask: &'a Mask,
    hidden: bool,
    rules: BTreeMap<String, Vec<String>>,
}

/// Masks a job, and notes in it which rule hides each value. Returns whether anything was hidden.
pub(super) fn detail(job: &mut JobDetail, mask: &Mask) -> bool {
    let mut hide = Hide::new(mask);
    hide.detail(job);
    job.hidden_by = hide.rules;
    hide.hidden
}

/// Masks a row that was not read from a list.
pub(super) fn archived(job: &mut ArchivedJob, mask: &Mask) -> bool {
    let ArchivedJob {
        row,
        sha256: _,
        detail,
        restored: _,
    } = job;
    let mut hide = Hide::new(mask);
    hide.detail(detail);
    hide.archived_row(row);
    detail.hidden_by = hide.rules;
    hide.hidden
}

impl<'a> Hide<'a> {
    fn new(mask: &'a Mask) -> Self {
        Self {
            mask,
            hidden: false,
            rules: BTreeMap::new(),
        }
    }

    fn replace(&mut self, text: &mut String, masked: impl FnOnce(&Mask, &str) -> Option<String>) {
        if let Some(masked) = masked(self.mask, text) {
            *text = masked;
            self.hidden = true;
        }
    }

    /// A text of this field, and why its values are hidden.
    fn text(&mut self, field: &str, text: &mut String) {
        let (masked, rules) = self.mask.text_with_rules(text);
        let masked = changed(masked);
        self.ruled(field, text, masked, rules);
    }

    fn ruled(&mut self, field: &str, text: &mut String, masked: Option<String>, rules: Vec<String>) {
        if let Some(masked) = masked {
            *text = masked;
            self.hidden = true;
            self.rules.insert(field.to_owned(), rules);
        }
    }

    /// A sentence of ours: what it quotes is a job's.
    fn sentence(&mut self, text: &mut String) {
        self.replace(text, |mask, text| {
            let masked = mask.sentence(&without_data(text)).into_owned();
            (masked != text).then_some(masked)
        });
    }

    fn named(&mut self, name: &str, text: &mut String) {
        self.replace(text, |mask, text| changed(mask.named(name, text)));
    }

    fn detail(&mut self, job: &mut JobDetail) {
        let JobDetail {
            row,
            state_known: _,
            state_note,
            oddities,
            place: _,
            // Ids, and a sentence of ours.
            neighbours: _,
            locked: _,
            // Who holds it: the name of a worker.
            lock: _,
            lost,
            attempts_started: _,
            backoff,
            deferred_failure,
            delay: _,
            first_delay: _,
            ready: _,
            data,
            options,
            effective,
            progress,
            result,
            error,
            traces,
            traces_total: _,
            traces_size: _,
            traces_note,
            logs,
            keep_logs: _,
            dedup,
            // A key, made of ids.
            parent: _,
            children: _,
            fields,
            as_of: _,
            carries_schedule: _,
            withheld: _,
            // Written when all of it is known.
            hidden_by: _,
        } = job;
        self.row(row);
        for text in [state_note, lost, backoff, traces_note].into_iter().flatten() {
            self.sentence(text);
        }
        for text in oddities {
            self.sentence(text);
        }
        for (field, value) in [
            ("deferredFailure", deferred_failure),
            ("data", data),
            ("opts", options),
            ("progress", progress),
            ("returnvalue", result),
            ("failedReason", error),
        ] {
            if let Some(value) = value {
                self.payload(field, value);
            }
        }
        for EffectiveOption {
            name,
            value,
            origin: _,
            payload: _,
        } in effective
        {
            self.named(name, value);
        }
        for (i, trace) in traces.iter_mut().enumerate() {
            let Trace {
                attempt: _,
                text,
                size: _,
                lines: _,
                cut: _,
            } = trace;
            self.text(&format!("traces.{i}"), text);
        }
        self.logs(logs);
        if let Some(Dedup { id, owner: _, ttl: _ }) = dedup {
            self.replace(id, |mask, text| changed(mask.words(text)));
        }
        for Field { name, size: _, head } in fields {
            match head.strip_prefix("binary: ") {
                None => self.named(name, head),
                Some(hex) if self.hides_bytes(&bytes_of(hex.split(' '))) => {
                    MARKER.clone_into(head);
                    self.hidden = true;
                }
                Some(_) => {}
            }
        }
    }

    fn row(&mut self, row: &mut JobRow) {
        let JobRow {
            // Names and ids are shown as they are: they identify the job.
            id: _,
            name: _,
            state: _,
            created: _,
            started: _,
            finished: _,
            due: _,
            priority: _,
            attempts: _,
            attempts_max: _,
            stalled: _,
            progress,
            error,
            worker: _,
            scheduler: _,
            data_size: _,
            locked: _,
            put_away: _,
            problem,
        } = row;
        if let Some(Progress::Text(text)) = progress {
            self.replace(text, |mask, text| changed(mask.json(text)));
        }
        if let Some(error) = error {
            self.text("error", error);
        }
        if let Some(problem) = problem {
            self.sentence(problem);
        }
    }

    fn archived_row(&mut self, row: &mut ArchivedRow) {
        let ArchivedRow {
            id: _,
            queue: _,
            system: _,
            job: _,
            name: _,
            state: _,
            finished: _,
            created: _,
            started: _,
            attempts: _,
            error,
            size: _,
            archived: _,
        } = row;
        if let Some(error) = error {
            self.text("error", error);
        }
    }

    fn logs(&mut self, logs: &mut LogPage) {
        let LogPage {
            total: _,
            lines,
            // What was asked for.
            search: _,
        } = logs;
        for LogLine { n, text, size: _ } in lines {
            self.text(&format!("logs.{n}"), text);
        }
    }

    fn payload(&mut self, field: &str, value: &mut Payload) {
        let Payload {
            size: _,
            text,
            shown,
            form,
            note,
        } = value;
        if let Some(note) = note {
            self.sentence(note);
        }
        let Some(shown_text) = text else { return };
        if *form != Form::Binary {
            let (masked, rules) = self.mask.json_with_rules(shown_text);
            let masked = changed(masked);
            self.ruled(field, shown_text, masked, rules);
            return;
        }
        // A hex dump: each line has an offset and then sixteen bytes.
        let hex = shown_text
            .lines()
            .flat_map(|line| line.get(10..57).unwrap_or_default().split(' '));
        if self.hides_bytes(&bytes_of(hex)) {
            (*text, *shown, *form) = (None, 0, Form::Text);
            *note = Some(BYTES.into());
            self.hidden = true;
        }
    }

    fn hides_bytes(&self, bytes: &[u8]) -> bool {
        changed(self.mask.json(&String::from_utf8_lossy(bytes))).is_some()
    }
}

fn changed(masked: Cow<'_, str>) -> Option<String> {
    match masked {
        Cow::Borrowed(text) if text != MARKER => None,
        masked => Some(masked.into_owned()),
    }
}

fn bytes_of<'a>(hex: impl Iterator<Item = &'a str>) -> Vec<u8> {
    hex.filter_map(|byte| u8::from_str_radix(byte, 16).ok()).collect()
}

/// The bytes of a field with its secrets masked; `None` if it has none. Takes milliseconds for each megabyte.
pub(super) fn bytes(name: &str, value: &[u8], mask: &Mask) -> Option<Vec<u8>> {
    let text = String::from_utf8_lossy(value);
    let masked = mask.named(name, &text);
    (masked != text).then(|| masked.into_owned().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(text: &str, form: Form) -> Payload {
        Payload {
            size: text.len() as u64,
            shown: text.len() as u64,
            text: Some(text.into()),
            form,
            note: None,
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_shown_unless_something_is_hidden_in_them() {
        let dump = |bytes: &[u8]| {
            let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            hex.chunks(16)
                .enumerate()
                .map(|(i, row)| format!("{:08x}  {:<47}  ................\n", i * 16, row.join(" ")))
                .collect::<String>()
        };
        let mask = Mask::default();
        let mut hide = Hide::new(&mask);
        let mut plain = payload(&dump(b"\xff{\"user\":\"bob\",\"n\":1234567890}"), Form::Binary);
        hide.payload("data", &mut plain);
        assert!(plain.text.is_some() && !hide.hidden);
        let mut secret = payload(&dump(b"\xff{\"password\":\"hunter2\"} and more"), Form::Binary);
        hide.payload("data", &mut secret);
        assert_eq!((secret.text, secret.note.as_deref()), (None, Some(BYTES)));
        assert!(hide.hidden);
    }

    #[test]
    fn a_field_is_handed_over_without_its_secrets() {
        let mask = Mask::default();
        assert_eq!(bytes("data", br#"{"n":1.0}"#, &mask), None);
        let masked = bytes("data", br#"{"n":1.0,"pwd":"x"}"#, &mask).unwrap();
        assert_eq!(masked, br#"{"n":1.0,"pwd":"[redacted]"}"#);
        assert!(bytes("x", b"\xff token=abc1", &mask).is_some());
    }
}
