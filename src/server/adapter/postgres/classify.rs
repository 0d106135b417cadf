//! What an error of a Postgres means for the board.

use super::super::{Trouble, tls};
use crate::model::store::Reach;
use crate::server::redact::said;
use sqlx::Error;
use sqlx::postgres::{PgDatabaseError, PgSeverity};
use std::io::ErrorKind;

/// What its settings about TLS are called.
const TLS: tls::Settings = tls::Settings {
    authority: "sslrootcert in the URL of this store",
    off: "leave sslmode out of the URL of this store",
};

/// The trouble behind an error that kept a connection from being made: whatever it is, the store cannot be used.
#[must_use]
pub fn while_connecting(error: &Error, address: &str) -> Trouble {
    let trouble = classify(error, address);
    let reach = match (trouble.reach, error.as_database_error().and_then(|error| error.code())) {
        // Not even a sign of life came in time.
        (Reach::Live, Some(code)) if code == "57014" => Reach::Frozen,
        (Reach::Live, _) => Reach::Refused,
        (reach, _) => reach,
    };
    Trouble { reach, ..trouble }
}

/// Whether an error ended the session, or kept it from beginning.
pub(super) fn ends_the_session(error: &Error) -> bool {
    error
        .as_database_error()
        .and_then(|error| error.try_downcast_ref::<PgDatabaseError>())
        .is_some_and(|error| matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic))
}

/// The trouble behind an error, with a sentence that names the address and never a secret.
#[must_use]
pub fn classify(error: &Error, address: &str) -> Trouble {
    let inner: Option<&(dyn std::error::Error + 'static)> = match error {
        Error::Io(io) => Some(io),
        Error::Tls(why) => Some(why.as_ref()),
        _ => None,
    };
    if let Some(error) = inner.and_then(tls::of) {
        return tls::trouble(error, address, TLS);
    }
    match error {
        Error::Io(io) => {
            let text = said(&io.to_string());
            if io.kind() == ErrorKind::ConnectionRefused {
                Trouble::new(Reach::Gone, format!("Nothing listens at {address}."))
            } else if text.contains("lookup address") || text.contains("Name or service not known") {
                Trouble::new(
                    Reach::NoSuchHost,
                    format!("The host name of {address} cannot be resolved (DNS)."),
                )
            } else {
                Trouble::new(Reach::Gone, format!("The connection to {address} was cut: {text}."))
            }
        }
        Error::Tls(why) => Trouble::new(
            Reach::TlsFailed,
            format!(
                "No encrypted connection to {address} can be made: {}.",
                said(&why.to_string())
            ),
        ),
        Error::PoolTimedOut => Trouble::new(
            Reach::Frozen,
            format!("Connecting to {address} timed out: it is frozen, unreachable or overloaded."),
        ),
        Error::PoolClosed | Error::WorkerCrashed => {
            Trouble::new(Reach::Gone, format!("Drover is reconnecting to {address}."))
        }
        Error::Database(database) => {
            let said = said(database.message());
            match database.code().as_deref() {
                Some("28P01" | "28000") => Trouble::new(
                    Reach::WrongPassword,
                    format!("{address} rejects Drover's user or password: {said}."),
                ),
                Some("53300") => Trouble::new(Reach::Full, format!("{address} has no free connection: {said}.")),
                Some("57P03") => Trouble::new(Reach::Loading, format!("{address} is starting: {said}.")),
                Some("57P01" | "57P02") => Trouble::new(Reach::Gone, format!("{address} is shutting down: {said}.")),
                Some("3D000") => Trouble::new(Reach::Refused, format!("{address} has no such database: {said}.")),
                Some("42501") => Trouble::new(Reach::NotAllowed, format!("{address} does not permit it: {said}.")),
                Some("57014") => Trouble::new(
                    Reach::Live,
                    format!("{address} took too long, so Drover gave up the read."),
                ),
                Some("55P03") => Trouble::new(
                    Reach::Live,
                    format!("{address} did not get a lock in time: another session holds it."),
                ),
                _ if said.contains("unsupported startup parameter") => Trouble::new(
                    Reach::Refused,
                    format!(
                        "{address} is a pooler that refuses the settings of Drover's sessions ({said}). Give Drover \
                         the address of Postgres itself. To use PgBouncer anyway, set ignore_startup_parameters = \
                         extra_float_digits,options in its configuration."
                    ),
                ),
                _ if ends_the_session(error) => {
                    Trouble::new(Reach::Refused, format!("{address} ended the connection: {said}."))
                }
                _ => Trouble::new(Reach::Live, format!("{address} refused it: {said}.")),
            }
        }
        other => Trouble::new(
            Reach::Refused,
            format!("{address} cannot be used: {}.", said(&other.to_string())),
        ),
    }
}
