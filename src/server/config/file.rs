//! `Leptos.toml` as it is written: every value optional, unknown names refused with their line.

use super::names::nearest;
use serde::Deserialize;
use std::ops::Range;
use toml::de::{DeTable, DeValue, Deserializer, Error};

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    missing_docs,
    reason = "each field is a table of the file; `Config` says what they mean"
)]
pub struct Raw {
    pub server: Option<Server>,
    pub auth: Option<Auth>,
    pub audit: Option<Audit>,
    pub archive: Option<Archive>,
    pub redact: Option<Redact>,
    pub status_page: Option<super::status::Raw>,
    pub store: Option<Vec<Store>>,
    /// Names of the built assets, shared with the build; last in the file, where its readers look.
    pub package: Option<toml::Table>,
}

/// `[server]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    missing_docs,
    reason = "each field is a key of the file; `Config` says what they mean"
)]
pub struct Server {
    pub listen: Option<String>,
    pub base_path: Option<String>,
    pub public_url: Option<String>,
    pub trusted_proxies: Option<Vec<String>>,
    pub max_streams: Option<u32>,
    pub read_only: Option<bool>,
    pub environment: Option<String>,
    pub log: Option<String>,
    pub log_format: Option<String>,
}

/// `[auth]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    missing_docs,
    reason = "each field is a key of the file; `Config` says what they mean"
)]
pub struct Auth {
    pub mode: Option<String>,
    pub folder: Option<String>,
    pub proxy: Option<Proxy>,
    pub session: Option<Session>,
    pub grant: Option<Vec<Grant>>,
}

/// `[auth.proxy]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    missing_docs,
    reason = "each field is a key of the file; `server::auth::proxy` says what they mean"
)]
pub struct Proxy {
    pub secret_file: Option<String>,
    pub user_header: Option<String>,
    pub groups_header: Option<String>,
    pub sign_out_url: Option<String>,
}

/// `[auth.session]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    missing_docs,
    reason = "each field is a key of the file; `server::auth::sessions` says what they mean"
)]
pub struct Session {
    pub idle: Option<String>,
    pub lasts: Option<String>,
}

/// `[[auth.grant]]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    missing_docs,
    reason = "each field is a key of the file; `server::auth::who` says what they mean"
)]
pub struct Grant {
    pub users: Option<Vec<String>>,
    pub groups: Option<Vec<String>>,
    pub role: Option<String>,
    pub allow: Option<Vec<String>>,
    pub deny: Option<Vec<String>>,
    pub queues: Option<Vec<String>>,
}

/// `[audit]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    missing_docs,
    reason = "each field is a key of the file; `Config` says what they mean"
)]
pub struct Audit {
    pub file: Option<String>,
}

/// `[archive]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    missing_docs,
    reason = "each field is a key of the file; `Config` says what they mean"
)]
pub struct Archive {
    pub enabled: Option<bool>,
    pub store: Option<String>,
    pub migrate: Option<bool>,
    pub allow_unsafe: Option<bool>,
    pub require_sync_standby: Option<bool>,
    pub policy: Option<Vec<Policy>>,
    pub keep: Option<Vec<Keep>>,
}

/// `[[archive.keep]]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    missing_docs,
    reason = "each field is a key of the file; `server::archive::retention` says what they mean"
)]
pub struct Keep {
    pub queues: Option<String>,
    #[serde(rename = "for")]
    pub span: Option<String>,
}

/// `[[archive.policy]]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    missing_docs,
    reason = "each field is a key of the file; `model::policy::Policy` says what they mean"
)]
pub struct Policy {
    pub id: Option<String>,
    pub queues: Option<String>,
    pub states: Option<Vec<String>>,
    pub older_than: Option<String>,
    pub every: Option<String>,
    pub limit: Option<u64>,
}

/// `[redact]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    missing_docs,
    reason = "each field is a key of the file; `server::redact::Settings` says what they mean"
)]
pub struct Redact {
    pub defaults: Option<bool>,
    pub personal: Option<bool>,
    pub keys: Option<Vec<String>>,
    pub keep: Option<Vec<String>>,
    pub patterns: Option<Vec<String>>,
    pub rule: Option<Vec<RedactRule>>,
}

/// `[[redact.rule]]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    missing_docs,
    reason = "each field is a key of the file; `server::redact::Rule` says what they mean"
)]
pub struct RedactRule {
    pub queues: Option<String>,
    pub keys: Option<Vec<String>>,
    pub keep: Option<Vec<String>>,
    pub patterns: Option<Vec<String>>,
    pub paths: Option<Vec<String>>,
    pub personal: Option<bool>,
    pub all: Option<bool>,
}

/// `[[store]]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    missing_docs,
    reason = "each field is a key of the file; `Config` says what they mean"
)]
pub struct Store {
    pub id: Option<String>,
    pub url: Option<String>,
    pub url_file: Option<String>,
    pub ca_file: Option<String>,
    pub prefixes: Option<Vec<String>>,
    pub schemas: Option<Vec<String>>,
    pub queues: Option<Vec<String>>,
    pub environment: Option<String>,
}

/// Reads the text of the file. Returns its values, and each problem with its line number but without the line's text, which
/// may hold a password.
pub fn parse(text: &str) -> (Raw, Vec<String>) {
    let mut problems = Vec::new();
    let mut table = match DeTable::parse(text) {
        Ok(table) => table,
        Err(error) => return (Raw::default(), vec![describe(text, &error)]),
    };
    loop {
        let error = match Raw::deserialize(Deserializer::from(table.clone())) {
            Ok(raw) => return (raw, problems),
            Err(error) => error,
        };
        problems.push(describe(text, &error));
        // The reader stops at the first name that it does not know: without it, it goes on to the next.
        let unknown = error.message().starts_with("unknown field");
        let taken_out = error
            .span()
            .is_some_and(|span| unknown && take_out(table.get_mut(), &span));
        if !taken_out {
            return (Raw::default(), problems);
        }
    }
}

fn describe(text: &str, error: &Error) -> String {
    let line = error
        .span()
        .map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
    let line = line.map_or_else(String::new, |line| format!("line {line}: "));
    // unknown field `readonly`, expected one of `listen`, `read_only`
    let mut names = error.message().split('`').skip(1).step_by(2);
    let nearest = match names.next() {
        Some(name) if error.message().starts_with("unknown field") => {
            nearest(name, names).map(|nearest| format!("unknown field `{name}`, did you mean `{nearest}`?"))
        }
        _ => None,
    };
    line + nearest.as_deref().unwrap_or_else(|| error.message())
}

/// Takes the key at this place out of a table, or of one inside it; false where there is none.
fn take_out(table: &mut DeTable<'_>, place: &Range<usize>) -> bool {
    let own = table.keys().find(|key| key.span() == *place).cloned();
    match own {
        Some(key) => table.remove(&key).is_some(),
        None => table.iter_mut().any(|(_, value)| take_out_of(value.get_mut(), place)),
    }
}

fn take_out_of(value: &mut DeValue<'_>, place: &Range<usize>) -> bool {
    match value {
        DeValue::Table(table) => take_out(table, place),
        DeValue::Array(values) => values.iter_mut().any(|value| take_out_of(value.get_mut(), place)),
        _ => false,
    }
}
