//! `Leptos.toml` as it is written: every value optional, unknown names refused with their line.
//!
//! The table of settings in `docs/configuration.md` is made from the comments on these fields, in this order. Links in them are
//! relative to `docs/`.

use super::names::nearest;
use serde::Deserialize;
use std::ops::Range;
use toml::de::{DeTable, DeValue, Deserializer, Error};

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Raw {
    /// `[[store]]`
    pub store: Option<Vec<Store>>,
    /// `[server]`
    pub server: Option<Server>,
    /// `[auth]`
    pub auth: Option<Auth>,
    /// `[audit]`
    pub audit: Option<Audit>,
    /// `[archive]`
    pub archive: Option<Archive>,
    /// `[redact]`
    pub redact: Option<Redact>,
    /// `[status_page]`
    pub status_page: Option<super::status::Raw>,
    /// Names of the built assets, shared with the build; last in the file, where its readers look.
    pub package: Option<toml::Table>,
}

/// `[[store]]`: one table for each Redis or Postgres
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Store {
    /// the store's id, part of URLs: 1 to 64 letters, digits, `-`, `_` and `.`
    pub id: Option<String>,
    /// the server to watch: `redis://`, or `rediss://` for TLS; `redis+sentinel://HOST:26379,HOST2:26379/NAME/0` (`rediss+sentinel://`
    /// for TLS) for the primary that Sentinels call NAME; `postgres://`, with `?sslmode=verify-full` for TLS and
    /// `&sslrootcert=FILE` for your own certificates. Parameters that Drover does not know are ignored with a warning. A Postgres
    /// holds the archive too. A variable defines the store `redis` or `postgres` and replaces a store of that id in the file
    ///
    /// - environment: `DROVER_REDIS_URL`, `DROVER_POSTGRES_URL`
    pub url: Option<String>,
    /// the same, read from a file such as a mounted secret
    ///
    /// - environment: `DROVER_REDIS_URL_FILE`, `DROVER_POSTGRES_URL_FILE`
    pub url_file: Option<String>,
    /// the user that the Sentinels of a `redis+sentinel://` ask for
    ///
    /// - environment: `DROVER_REDIS_SENTINEL_USERNAME`
    pub sentinel_username: Option<String>,
    /// the password that they ask for; that of the Redis itself is in the URL
    ///
    /// - environment: `DROVER_REDIS_SENTINEL_PASSWORD`
    pub sentinel_password: Option<String>,
    /// the same, read from a file
    ///
    /// - environment: `DROVER_REDIS_SENTINEL_PASSWORD_FILE`
    pub sentinel_password_file: Option<String>,
    /// PEM file with the authorities that sign the certificate of a `rediss://` server
    ///
    /// - default: public authorities
    /// - environment: `DROVER_REDIS_CA_FILE`
    pub ca_file: Option<String>,
    /// Redis: only queues of Bull and BullMQ with these prefixes, such as `["bull"]`
    ///
    /// - default: any
    pub prefixes: Option<Vec<String>>,
    /// Redis: exactly these queues of Bull and BullMQ, such as `["bull:emails"]`; Drover then does not scan the key
    /// space
    ///
    /// - default: search
    pub queues: Option<Vec<String>>,
    /// Postgres: only the pg-boss installations in these schemas
    ///
    /// - default: any
    pub schemas: Option<Vec<String>>,
    /// `[[store.list]]`
    pub list: Option<Vec<List>>,
    /// as in `[server]`, for one store
    ///
    /// - default: that of `[server]`
    pub environment: Option<String>,
}

/// `[[store.list]]`: Redis: lists that an application works through by itself ([lists](lists.md)); one table for each queue
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// the list that workers take from; its key is the queue's id
    pub waiting: Option<String>,
    /// the queue's name
    ///
    /// - default: the key
    pub name: Option<String>,
    /// the list that a worker moves an item to while it works on it (`BLMOVE`, `BRPOPLPUSH`)
    ///
    /// - default: unknown
    pub processing: Option<String>,
    /// the list of items that are done
    ///
    /// - default: unknown
    pub completed: Option<String>,
    /// the list of items that failed
    ///
    /// - default: unknown
    pub failed: Option<String>,
    /// the end of `waiting` that workers take from: `right` (`BRPOP`, `BRPOPLPUSH`, `BLMOVE … RIGHT`) or `left`
    ///
    /// - default: `right`
    pub take: Option<String>,
    /// `fifo` if producers add at the other end, `lifo` if at the same
    ///
    /// - default: `fifo`
    pub order: Option<String>,
    /// the end at which the other lists grow: `left` (`LPUSH`, `BRPOPLPUSH`, `BLMOVE … LEFT`) or `right`
    ///
    /// - default: `left`
    pub grow: Option<String>,
    /// what an item is: `json`, `msgpack` or `text`
    ///
    /// - default: `json`
    pub format: Option<String>,
    /// where an item has its id, such as `id` or `meta.ids.0`
    ///
    /// - default: the digest of its bytes
    pub id_path: Option<String>,
    /// where it has its name
    pub name_path: Option<String>,
    /// where a failed one has its error
    pub error_path: Option<String>,
    /// where it has the time at which it was added: seconds or milliseconds since 1970, or text with a zone such as
    /// `2026-11-30T12:00:00Z`
    pub time_path: Option<String>,
    /// an item that Drover has seen in `processing` for so long is stuck and can be put back
    ///
    /// - default: unknown
    pub stuck_after: Option<String>,
    /// a key that is there while a worker works; with `{id}` in it, while one works on the item with this id. Without it items in
    /// `processing` are stuck
    ///
    /// - default: unknown
    pub heartbeat: Option<String>,
}

/// `[server]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// address and port, or `unix:/run/drover/drover.sock`
    ///
    /// - default: `127.0.0.1:3000`
    /// - environment: `DROVER_LISTEN`
    pub listen: Option<String>,
    /// path of the dashboard on its host; `/` for the root
    ///
    /// - default: `/admin/queues`
    /// - environment: `DROVER_BASE_PATH`
    pub base_path: Option<String>,
    /// scheme and host under which browsers reach the dashboard, such as `https://ops.example.com`
    ///
    /// - environment: `DROVER_PUBLIC_URL`
    pub public_url: Option<String>,
    /// addresses or networks whose forwarding headers are trusted ([proxy](proxy.md)); comma-separated in the
    /// variable
    ///
    /// - environment: `DROVER_TRUSTED_PROXIES`
    pub trusted_proxies: Option<Vec<String>>,
    /// concurrent event streams; at most 80 % of the open files that the system allows ([connections](#connections))
    ///
    /// - default: `10000`
    /// - environment: `DROVER_MAX_STREAMS`
    pub max_streams: Option<u32>,
    /// refuses every action, from pages and the API alike
    ///
    /// - default: `false`
    /// - environment: `DROVER_READ_ONLY`
    pub read_only: Option<bool>,
    /// a label such as `production`, named in each sentence about an action; at most 40 characters
    ///
    /// - environment: `DROVER_ENVIRONMENT`
    pub environment: Option<String>,
    /// log filter, such as `info,drover=debug`
    ///
    /// - default: `info`
    /// - environment: `DROVER_LOG`
    pub log: Option<String>,
    /// `text` or `json`
    ///
    /// - default: `text`
    /// - environment: `DROVER_LOG_FORMAT`
    pub log_format: Option<String>,
}

/// `[auth]`: [access](access.md)
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    /// `none` (this machine only), `password` or `proxy`
    ///
    /// - default: `none`, with a warning
    /// - environment: `DROVER_AUTH_MODE`
    pub mode: Option<String>,
    /// holds the networks that users signed in from, and a copy of users and tokens
    ///
    /// - default: beside the audit file
    /// - environment: `DROVER_AUTH_FOLDER`
    pub folder: Option<String>,
    /// `[auth.proxy]`
    pub proxy: Option<Proxy>,
    /// `[auth.session]`
    pub session: Option<Session>,
    /// `[[auth.grant]]`
    pub grant: Option<Vec<Grant>>,
}

/// `[auth.proxy]`: for the mode `proxy`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proxy {
    /// file with the secret that the proxy sends; at least 16 characters. The first variable holds the secret itself
    ///
    /// - environment: `DROVER_PROXY_SECRET`, `DROVER_PROXY_SECRET_FILE`
    pub secret_file: Option<String>,
    /// header with the user name
    ///
    /// - default: `X-Forwarded-User`
    pub user_header: Option<String>,
    /// header with the comma-separated groups
    ///
    /// - default: `X-Forwarded-Groups`
    pub groups_header: Option<String>,
    /// where *Sign out* leads
    pub sign_out_url: Option<String>,
}

/// `[auth.session]`: for the mode `password`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Session {
    /// a session ends after this long without an open page
    ///
    /// - default: `1h`
    pub idle: Option<String>,
    /// a session ends after this long at the latest
    ///
    /// - default: `12h`
    pub lasts: Option<String>,
}

/// `[[auth.grant]]`: [permissions](access.md#permissions); any number of these add up
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// user names; `"*"` for every user
    pub users: Option<Vec<String>>,
    /// groups that the proxy names
    pub groups: Option<Vec<String>>,
    /// `status`, `viewer`, `operator` or `admin`
    pub role: Option<String>,
    /// permissions beside those of the role
    pub allow: Option<Vec<String>>,
    /// permissions that the role has and these users do not get
    pub deny: Option<Vec<String>>,
    /// where this holds
    ///
    /// - default: all queues
    pub queues: Option<Vec<String>>,
}

/// `[audit]`: [audit log](actions.md#audit-log)
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    /// the audit log; [`state.db`](#drovers-own-data) and the folder `operations` are beside it
    ///
    /// - default: `audit.ndjson` in `$STATE_DIRECTORY`, `$XDG_STATE_HOME/drover`, `~/.local/state/drover` or `/var/lib/drover`
    /// - environment: `DROVER_AUDIT_FILE`
    pub file: Option<String>,
}

/// `[archive]`: [archive](archive.md)
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Archive {
    /// use a configured Postgres for the archive and for what replicas share
    ///
    /// - default: `true`
    /// - environment: `DROVER_ARCHIVE`
    pub enabled: Option<bool>,
    /// which Postgres store, by its id
    ///
    /// - default: the first one
    /// - environment: `DROVER_ARCHIVE_STORE`
    pub store: Option<String>,
    /// create and upgrade the schema `drover` at the start; otherwise run `drover migrate`
    ///
    /// - default: `true`
    /// - environment: `DROVER_ARCHIVE_MIGRATE`
    pub migrate: Option<bool>,
    /// archive only if `synchronous_standby_names` is set, so that a fail-over loses no row
    ///
    /// - default: `false`
    /// - environment: `DROVER_ARCHIVE_REQUIRE_SYNC_STANDBY`
    pub require_sync_standby: Option<bool>,
    /// archive on a server with `fsync=off`; for disposable servers only
    ///
    /// - default: `false`
    /// - environment: `DROVER_ARCHIVE_ALLOW_UNSAFE`
    pub allow_unsafe: Option<bool>,
    /// `[[archive.policy]]`
    pub policy: Option<Vec<Policy>>,
    /// `[[archive.keep]]`
    pub keep: Option<Vec<Keep>>,
}

/// `[[archive.policy]]`: scheduled archiving ([policies](archive.md#policies))
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// part of URLs and of the user in the audit log, `policy:<id>`
    pub id: Option<String>,
    /// which queues
    pub queues: Option<String>,
    /// a list of `completed`, `failed` or both
    pub states: Option<Vec<String>>,
    /// how long ago a job finished at least
    pub older_than: Option<String>,
    /// when: `hour`, `day at 02:00`, `monday at 02:00` (UTC unless a zone follows) or a cron pattern
    pub every: Option<String>,
    /// most jobs of a run
    ///
    /// - default: no limit
    pub limit: Option<u64>,
}

/// `[[archive.keep]]`: [retention](archive.md#retention); the first rule that fits counts
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keep {
    /// which queues
    pub queues: Option<String>,
    /// how long archived jobs are kept, at least `1d`
    #[serde(rename = "for")]
    pub span: Option<String>,
}

/// `[redact]`: [redaction](redaction.md)
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Redact {
    /// the built-in rules for secrets
    ///
    /// - default: `true`
    pub defaults: Option<bool>,
    /// hides personal data too: names of people, e-mail, phone, postal address, date of birth
    ///
    /// - default: `false`
    pub personal: Option<bool>,
    /// more names whose values are hidden
    pub keys: Option<Vec<String>>,
    /// names whose values are shown
    pub keep: Option<Vec<String>>,
    /// regular expressions; what they match is hidden
    pub patterns: Option<Vec<String>>,
    /// `[[redact.rule]]`
    pub rule: Option<Vec<RedactRule>>,
}

/// `[[redact.rule]]`: rules for some queues, beside those of `[redact]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RedactRule {
    /// which queues
    pub queues: Option<String>,
    /// more names whose values are hidden
    pub keys: Option<Vec<String>>,
    /// names whose values are shown
    pub keep: Option<Vec<String>>,
    /// regular expressions; what they match is hidden
    pub patterns: Option<Vec<String>>,
    /// places whose values are hidden, such as `$.customer.email`
    pub paths: Option<Vec<String>>,
    /// hides personal data too
    pub personal: Option<bool>,
    /// hides every value
    pub all: Option<bool>,
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
