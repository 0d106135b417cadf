//! The operator's configuration, checked.
//!
//! Two stages. [`mod@file`] and the environment give *raw* values, each with the place it came from;
//! [`check`] turns them into a [`Config`] and collects every problem instead of stopping at the
//! first. What is legal but risky becomes a warning. The order is: default, then file, then
//! environment.

use crate::base_path::{self, BasePath};
use crate::server::adapter::lists::profile::Profile;
use crate::server::adapter::redis::topology::{Login, Target};
use crate::server::auth::settings;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

mod archive;
pub mod auth;
pub mod file;
mod listen;
mod lists;
mod names;
pub mod print;
mod redact;
mod status;
mod stores;
mod url;

pub use listen::Listen;

/// The file that is read when no other is named and it exists.
pub const DEFAULT_FILE: &str = "Leptos.toml";

/// Exit code for a configuration that cannot be used (`EX_CONFIG`).
pub const EXIT_CONFIG: u8 = 78;

/// Everything that can be set, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen. Loopback, unless users sign in.
    pub listen: Listen,
    /// Where the board lives on its host.
    pub base_path: BasePath,
    /// Sign-in and permissions.
    pub auth: settings::Auth,
    /// Event streams served at once; more are refused with 503.
    pub max_streams: usize,
    /// Whether nothing may be changed: the one switch, for every caller.
    pub read_only: bool,
    /// What this installation is, such as `production`; part of every sentence about an action.
    pub environment: Option<String>,
    /// The file of the audit log.
    pub audit_file: PathBuf,
    /// Where finished jobs are archived, if anywhere.
    pub archive: Option<super::archive::Settings>,
    /// What is hidden of jobs.
    pub redact: super::redact::Settings,
    /// What the status page publishes, if anything.
    pub status: Option<super::status::Settings>,
    /// The stores, at least one.
    pub stores: Vec<Store>,
    /// Which log lines are written, as `tracing` filter directives.
    pub log: String,
    /// How they are written.
    pub log_format: LogFormat,
    /// Legal but risky settings, as sentences.
    pub warnings: Vec<String>,
    /// The file that was read, if any.
    pub file: Option<PathBuf>,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For a person at a terminal.
    Text,
    /// One JSON object a line.
    Json,
}

/// One store to watch.
#[derive(Clone)]
pub struct Store {
    /// Its id: part of addresses.
    pub id: String,
    /// Which kind of store, by its URL.
    pub kind: StoreKind,
    /// `redis://`, `rediss://` or `postgres://`. Holds the password: never logged, never shown.
    pub url: String,
    /// Certificates (PEM) that sign the server's, where those that the public trusts do not.
    pub authorities: Option<Vec<u8>>,
    /// The user and the password of its Sentinels, where they ask for them.
    pub sentinel_username: Option<String>,
    /// See `sentinel_username`. Never logged, never shown.
    pub sentinel_password: Option<String>,
    /// Only queues with these prefixes; empty for any.
    pub prefixes: Vec<String>,
    /// Of a Postgres: only the installations of pg-boss in these schemas; empty for any.
    pub schemas: Vec<String>,
    /// Exactly these queues, as `prefix:name`; empty to search.
    pub queues: Vec<String>,
    /// Of a Redis: the lists that are queues of an application without a library.
    pub lists: Vec<Profile>,
    /// What it is, where that differs from the whole installation.
    pub environment: Option<String>,
}

/// Which kind of store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// Bull and BullMQ.
    Redis,
    /// pg-boss.
    Postgres,
}

impl Store {
    /// Where a Redis is and what it takes to get in.
    #[must_use]
    pub fn target(&self) -> Target<'_> {
        Target {
            url: &self.url,
            authorities: self.authorities.as_deref(),
            sentinel: Login {
                user: self.sentinel_username.as_deref(),
                password: self.sentinel_password.as_deref(),
            },
        }
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("id", &self.id)
            .field("url", &url::mask(&self.url))
            .finish_non_exhaustive()
    }
}

/// Where a value came from, for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// It is not set.
    Default,
    /// The file.
    File(PathBuf),
    /// An environment variable.
    Env(&'static str),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Env(name) => f.write_str(name),
        }
    }
}

/// Everything that is wrong, each with its place.
#[derive(Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<String>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "the configuration cannot be used:")?;
        for problem in &self.0 {
            writeln!(f, "  - {problem}")?;
        }
        write!(f, "nothing was started; `drover config check` checks again")
    }
}

impl std::error::Error for Problems {}

/// Reads an environment variable. Tests pass a map.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Reads and checks everything, with the environment of this process. Any other variable that begins with our prefix is
/// a problem: a setting with a typing error.
///
/// # Errors
///
/// All problems of file and environment at once.
pub fn load_here(named: Option<&Path>) -> Result<Config, Problems> {
    let names: Vec<String> = std::env::vars_os()
        .filter_map(|(name, _)| name.into_string().ok())
        .collect();
    load_of(named, &|name: &str| std::env::var(name).ok(), &names)
}

/// Reads and checks everything.
///
/// # Errors
///
/// All problems of file and environment at once.
pub fn load(named: Option<&Path>, env: Env<'_>) -> Result<Config, Problems> {
    load_of(named, env, &[])
}

/// The same of an environment with these names.
fn load_of(named: Option<&Path>, env: Env<'_>, names: &[String]) -> Result<Config, Problems> {
    let mut problems = Vec::new();
    let path = named.map(Path::to_path_buf).or_else(|| {
        let default = PathBuf::from(DEFAULT_FILE);
        default.exists().then_some(default)
    });
    let raw = match &path {
        None => file::Raw::default(),
        Some(path) => match std::fs::read_to_string(path) {
            Err(error) => {
                problems.push(format!("{}: cannot be read: {error}", path.display()));
                file::Raw::default()
            }
            Ok(text) => {
                let (raw, wrong) = file::parse(&text);
                problems.extend(wrong.into_iter().map(|why| format!("{}: {why}", path.display())));
                raw
            }
        },
    };
    check(raw, path, env, names, problems)
}

/// One value on its way from text to type.
struct Reader<'a> {
    env: Env<'a>,
    /// The variables that were asked for.
    read: RefCell<BTreeSet<&'static str>>,
    file: Option<PathBuf>,
    problems: Vec<String>,
}

/// A secret that may be given directly or as the path of a file that holds it, as the environment has it.
struct Given {
    names: (&'static str, &'static str),
    direct: Option<String>,
    path: Option<String>,
}

impl Reader<'_> {
    fn env(&self, name: &'static str) -> Option<String> {
        self.read.borrow_mut().insert(name);
        (self.env)(name).filter(|value| !value.is_empty())
    }

    /// The environment's value, else the file's, else the default.
    fn pick(&self, name: &'static str, in_file: Option<String>, default: &str) -> (String, Source) {
        if let Some(value) = self.env(name) {
            return (value, Source::Env(name));
        }
        match (in_file, &self.file) {
            (Some(value), Some(path)) => (value, Source::File(path.clone())),
            _ => (default.to_owned(), Source::Default),
        }
    }

    fn read<T: std::str::FromStr>(&mut self, what: &str, (text, source): (String, Source), fallback: T) -> T
    where
        T::Err: fmt::Display,
    {
        text.parse().unwrap_or_else(|why| {
            self.problems.push(format!("{source}: {what}: {why}"));
            fallback
        })
    }

    /// Asks the environment for a secret, which is not read yet.
    fn given(&self, name: &'static str, name_file: &'static str) -> Given {
        Given {
            names: (name, name_file),
            direct: self.env(name),
            path: self.env(name_file),
        }
    }

    /// A secret.
    fn secret(&mut self, given: Given) -> Option<String> {
        let (name, name_file) = given.names;
        if given.direct.is_some() && given.path.is_some() {
            self.problems
                .push(format!("{name} and {name_file} are both set: keep one"));
        }
        given.direct.or_else(|| self.read_secret(name_file, &given.path?))
    }

    fn read_secret(&mut self, place: &str, path: &str) -> Option<String> {
        if path.contains("://") {
            // Not shown: the secret itself may have been written in the place of its file.
            self.problems.push(format!(
                "{place}: holds a URL and not the path of a file that holds one"
            ));
            return None;
        }
        match std::fs::read_to_string(path) {
            Ok(text) => Some(text.trim().to_owned()),
            Err(error) => {
                self.problems.push(format!("{place}: {path} cannot be read: {error}"));
                None
            }
        }
    }
}

fn check(
    raw: file::Raw,
    path: Option<PathBuf>,
    env: Env<'_>,
    names: &[String],
    problems: Vec<String>,
) -> Result<Config, Problems> {
    let mut r = Reader {
        env,
        read: RefCell::default(),
        file: path.clone(),
        problems,
    };
    let mut warnings = Vec::new();
    let server = raw.server.unwrap_or_default();
    let listen_raw = r.pick("DROVER_LISTEN", server.listen, "127.0.0.1:3000");
    let listen_source = listen_raw.1.clone();
    let listen = r.read(
        "listen: an address and port such as 127.0.0.1:3000",
        listen_raw,
        Listen::default(),
    );
    let base_raw = r.pick("DROVER_BASE_PATH", server.base_path, base_path::DEFAULT);
    let base_path = r.read("base_path", base_raw, BasePath::default());
    let streams_raw = r.pick("DROVER_MAX_STREAMS", server.max_streams.map(|n| n.to_string()), "10000");
    let max_streams = r.read("max_streams: a number", streams_raw, 10_000);
    let read_only_raw = r.pick("DROVER_READ_ONLY", server.read_only.map(|b| b.to_string()), "false");
    let read_only = r.read("read_only: true or false", read_only_raw, false);
    let (environment, environment_source) = r.pick("DROVER_ENVIRONMENT", server.environment, "");
    let environment = label(&mut r, &environment_source.to_string(), environment);
    let (audit_file, _) = r.pick("DROVER_AUDIT_FILE", raw.audit.unwrap_or_default().file, "");
    let audit_file = match audit_file.as_str() {
        "" => default_audit_file(env),
        file => PathBuf::from(file),
    };
    let (log, _) = r.pick("DROVER_LOG", server.log, "info");
    let format_raw = r.pick("DROVER_LOG_FORMAT", server.log_format, "text");
    let log_format = match format_raw.0.as_str() {
        "text" => LogFormat::Text,
        "json" => LogFormat::Json,
        other => {
            r.problems.push(format!(
                "{}: log_format: {other:?} is neither text nor json",
                format_raw.1
            ));
            LogFormat::Text
        }
    };
    let auth = auth::read(
        &mut r,
        raw.auth.unwrap_or_default(),
        (server.public_url, server.trusted_proxies),
        (&listen, &listen_source.to_string()),
        &audit_file,
        &mut warnings,
    );
    let stores = stores::read(&mut r, raw.store.unwrap_or_default(), &mut warnings);
    let archive = archive::read(&mut r, raw.archive, &stores, read_only, &mut warnings);
    let redact = redact::read(&mut r, raw.redact, &mut warnings);
    let status = status::read(
        &mut r,
        raw.status_page,
        &listen,
        !matches!(auth.mode, settings::Mode::None),
        &mut warnings,
    );
    let mut read = r.read.take();
    read.extend(super::args::variables());
    let unknown = names
        .iter()
        .filter_map(|name| names::problem(name, &env(name).unwrap_or_default(), &read));
    r.problems.extend(unknown);
    if r.problems.is_empty() {
        Ok(Config {
            listen,
            base_path,
            auth,
            max_streams,
            read_only,
            environment,
            audit_file,
            archive,
            redact,
            status,
            stores,
            log,
            log_format,
            warnings,
            file: path,
        })
    } else {
        Err(Problems(r.problems))
    }
}

/// A word or two for people, used in sentences.
fn label(r: &mut Reader<'_>, at: &str, text: String) -> Option<String> {
    if text.chars().count() > 40 || text.chars().any(char::is_control) {
        r.problems.push(format!(
            "{at}: environment: at most 40 characters on one line, such as production"
        ));
    }
    Some(text).filter(|text| !text.is_empty())
}

/// Where state is kept: the folder of the service manager, else that of the user's desktop, else where services keep
/// theirs.
fn default_audit_file(env: Env<'_>) -> PathBuf {
    let set = |name: &str| env(name).filter(|value| value.starts_with('/')).map(PathBuf::from);
    let folder = set("STATE_DIRECTORY")
        .or_else(|| set("XDG_STATE_HOME").map(|home| home.join("drover")))
        .or_else(|| {
            let home = set("HOME").filter(|home| home.parent().is_some())?;
            Some(home.join(".local/state/drover"))
        });
    folder
        .unwrap_or_else(|| PathBuf::from("/var/lib/drover"))
        .join("audit.ndjson")
}

#[cfg(test)]
#[path = "config/tests.rs"]
mod tests;
