//! The settings that Drover's sessions ask for, and whether they are in force.
//!
//! They go with the start of a connection. A pooler in between, such as PgBouncer, may take the connection and drop
//! them: then nothing stops a read from writing or from waiting for a lock indefinitely. One that gives each
//! transaction another session of the server loses prepared statements as well, or has two clients meet in one of the
//! same name, and a row is taken for the answer to another question. So a query on each new connection reads what is in
//! force, in the one way that needs no prepared statement. Where something is missing, each read brings the settings
//! along in a transaction of its own, and nothing is written.

use super::classify::ends_the_session;
use super::code;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions as _, Executor as _, Row as _};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Names and values of settings, as `pg_settings` shows them.
type Settings = Vec<(&'static str, String)>;

/// What every session asks for. A generic plan would lock every partition of the job table at each execution.
const ALL: (&str, &str) = ("plan_cache_mode", "force_custom_plan");

/// The setting that the library sends apart from these.
const ZONE: (&str, &str) = ("TimeZone", "UTC");

/// Reads what is in force, as text.
const ASK: &str = "SELECT name, setting FROM pg_settings WHERE name IN ('default_transaction_read_only', 'lock_timeout', \
                   'statement_timeout', 'idle_in_transaction_session_timeout', 'plan_cache_mode', 'TimeZone', 'search_path')";

/// Codes that tell of a prepared statement that is gone, or of one that another client made.
const WANDERED: [&str; 3] = ["26000", "42P05", "08P01"];

/// The settings of one kind of session, and which of them the newest of these does not have.
#[derive(Clone, Debug)]
pub(super) struct Sessions {
    wanted: Arc<Settings>,
    dropped: Arc<Mutex<Vec<String>>>,
    /// Whether a statement met a session in which it was not prepared. That is so for good.
    wanders: Arc<AtomicBool>,
}

impl Sessions {
    /// Sessions whose statements take so long at most, and wait so long for a lock.
    pub(super) fn new(read_only: bool, statement: Duration, lock: Duration) -> Self {
        let ms = |limit: Duration| limit.as_millis().to_string();
        let mut wanted = vec![
            ("lock_timeout", ms(lock)),
            ("statement_timeout", ms(statement)),
            ("idle_in_transaction_session_timeout", ms(statement)),
            (ALL.0, ALL.1.to_owned()),
        ];
        if read_only {
            wanted.push(("default_transaction_read_only", "on".to_owned()));
        }
        Self {
            wanted: Arc::new(wanted),
            dropped: Arc::default(),
            wanders: Arc::default(),
        }
    }

    /// How to connect.
    pub(super) fn options(&self, options: &PgConnectOptions) -> PgConnectOptions {
        options.clone().options(self.wanted.iter().cloned())
    }

    /// What begins a read that has the settings although its session does not.
    pub(super) fn begin(&self, statement: Option<Duration>) -> String {
        let mut begin = "BEGIN READ ONLY".to_owned();
        for (name, value) in self.wanted.iter().filter(|(name, _)| !name.starts_with("default_")) {
            let value = match statement {
                Some(limit) if *name == "statement_timeout" => &limit.as_millis().to_string(),
                _ => value,
            };
            // Writing into a String cannot fail.
            let _ = write!(begin, "; SET LOCAL {name} = '{value}'");
        }
        let _ = write!(begin, "; SET LOCAL {} = '{}'", ZONE.0, ZONE.1);
        begin
    }

    /// Asks a new connection what is in force.
    pub(super) async fn check(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        let dropped = dropped(connection, &self.wanted).await?;
        *self.dropped.lock().unwrap_or_else(PoisonError::into_inner) = dropped;
        Ok(())
    }

    /// Takes in an error: one that says that the session is not the one in which a statement was prepared.
    pub(super) fn hear(&self, error: &sqlx::Error) {
        let wandered = code(error).is_some_and(|code| WANDERED.contains(&&*code));
        if wandered && !ends_the_session(error) {
            self.wanders.store(true, Ordering::Relaxed);
        }
    }

    /// What is missing, each in a few words; nothing where all is well.
    pub(super) fn dropped(&self) -> Vec<String> {
        let mut all = self.dropped.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if self.wanders.load(Ordering::Relaxed) {
            all.push("a prepared statement is gone in the next transaction".to_owned());
        }
        all
    }
}

async fn dropped(connection: &mut PgConnection, wanted: &[(&'static str, String)]) -> Result<Vec<String>, sqlx::Error> {
    let rows = connection.fetch_all(ASK).await?;
    let mut missing = Vec::new();
    let zone = [(ZONE.0, ZONE.1.to_owned())];
    for (name, wanted) in wanted.iter().chain(&zone) {
        let row = rows
            .iter()
            .find(|row| row.try_get::<&str, _>(0).is_ok_and(|n| n == *name));
        let found: Option<&str> = row.map(|row| row.try_get(1)).transpose()?;
        match found {
            Some(found) if found == wanted => {}
            Some(found) => missing.push(format!("{name} is {found} and not {wanted}")),
            None => missing.push(format!("{name} is not known there")),
        }
    }
    Ok(missing)
}

/// A connection of its own with these settings in force.
///
/// # Errors
///
/// Also when a pooler drops the settings.
pub(super) async fn connect(
    options: &PgConnectOptions,
    extra: &[(&'static str, &str)],
    address: &str,
) -> Result<PgConnection, sqlx::Error> {
    let extra = extra.iter().map(|(name, value)| (*name, (*value).to_owned()));
    let wanted: Settings = extra.chain([(ALL.0, ALL.1.to_owned())]).collect();
    let mut connection = options.clone().options(wanted.iter().cloned()).connect().await?;
    let missing = dropped(&mut connection, &wanted).await?;
    if missing.is_empty() {
        return Ok(connection);
    }
    Err(sqlx::Error::Protocol(sentence(&missing, address)))
}

/// What it means that settings are missing, with what to do about it.
pub(super) fn sentence(dropped: &[String], address: &str) -> String {
    format!(
        "{address} is a pooler, such as PgBouncer, that does not keep the settings of Drover's sessions: {}. Give \
         Drover the address of Postgres itself.",
        dropped.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_brings_along_what_the_session_lacks() {
        let sessions = Sessions::new(true, Duration::from_secs(5), Duration::from_secs(2));
        assert_eq!(
            sessions.begin(None),
            "BEGIN READ ONLY; SET LOCAL lock_timeout = '2000'; SET LOCAL statement_timeout = '5000'; \
             SET LOCAL idle_in_transaction_session_timeout = '5000'; SET LOCAL plan_cache_mode = 'force_custom_plan'; \
             SET LOCAL TimeZone = 'UTC'"
        );
        let short = sessions.begin(Some(Duration::from_millis(300)));
        assert!(short.contains("SET LOCAL statement_timeout = '300'"), "{short}");
        assert!(!short.contains("'5000'; SET LOCAL idle"), "{short}");
    }
}
