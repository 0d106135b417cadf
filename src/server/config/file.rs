//! `Leptos.toml` as it is written: every value optional, unknown names refused with their line.

use serde::Deserialize;

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
    pub sentence: Option<String>,
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

/// Reads the text of the file.
///
/// # Errors
///
/// What is wrong and in which line, without the line itself: it may hold a password.
pub fn parse(text: &str) -> Result<Raw, String> {
    toml::from_str(text).map_err(|error| {
        let line = error
            .span()
            .map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
        match line {
            Some(line) => format!("line {line}: {}", error.message()),
            None => error.message().to_owned(),
        }
    })
}
