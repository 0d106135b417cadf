//! `[redact]`: what else is hidden of jobs, and what is shown all the same; in some queues by `[[redact.rule]]`.

use super::{Reader, file};
use crate::server::redact::{Redactor, Rule, Settings};

/// Reads the settings. They are compiled once here, so that the start reports every mistake.
pub(super) fn read(r: &mut Reader<'_>, raw: Option<file::Redact>, warnings: &mut Vec<String>) -> Settings {
    let raw = raw.unwrap_or_default();
    let rule = |raw: file::RedactRule| Rule {
        queues: raw.queues.unwrap_or_default().trim().to_owned(),
        keys: raw.keys.unwrap_or_default(),
        keep: raw.keep.unwrap_or_default(),
        patterns: raw.patterns.unwrap_or_default(),
        paths: raw.paths.unwrap_or_default(),
        personal: raw.personal.unwrap_or_default(),
        all: raw.all.unwrap_or_default(),
    };
    let settings = Settings {
        defaults: raw.defaults.unwrap_or(true),
        personal: raw.personal.unwrap_or_default(),
        keys: raw.keys.unwrap_or_default(),
        keep: raw.keep.unwrap_or_default(),
        patterns: raw.patterns.unwrap_or_default(),
        rules: raw.rule.unwrap_or_default().into_iter().map(rule).collect(),
    };
    if let Err(problems) = Redactor::new(settings.clone()) {
        let place = r
            .file
            .as_ref()
            .map_or_else(String::new, |path| path.display().to_string());
        r.problems
            .extend(problems.into_iter().map(|problem| format!("{place}: {problem}")));
    }
    if !settings.defaults {
        warnings.push(
            "redact.defaults is off: passwords, tokens and keys in jobs are shown to everyone who sees the board, \
             except what redact.keys and redact.patterns name. To show a single name, write redact.keep instead."
                .into(),
        );
    }
    settings
}
