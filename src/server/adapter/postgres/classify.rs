//! What an error of a Postgres means for the board.

use super::super::Trouble;
use crate::model::store::Reach;
use sqlx::Error;
use std::io::ErrorKind;

/// The trouble behind an error, with a sentence that names the address and never a secret.
#[must_use]
pub fn classify(error: &Error, address: &str) -> Trouble {
    match error {
        Error::Io(io) => {
            let text = io.to_string();
            if io.kind() == ErrorKind::ConnectionRefused {
                Trouble::new(Reach::Gone, format!("Nothing listens at {address}."))
            } else if text.contains("lookup address") || text.contains("Name or service not known") {
                Trouble::new(Reach::NoSuchHost, format!("The name of {address} has no address."))
            } else {
                Trouble::new(Reach::Gone, format!("The connection to {address} was cut: {text}."))
            }
        }
        Error::Tls(why) => Trouble::new(
            Reach::TlsFailed,
            format!("No encrypted connection to {address} can be made: {why}."),
        ),
        Error::PoolTimedOut => Trouble::new(
            Reach::Frozen,
            format!("{address} gave no connection in time: it is frozen, unreachable or overloaded."),
        ),
        Error::PoolClosed | Error::WorkerCrashed => Trouble::new(
            Reach::Gone,
            format!("The connections to {address} are being made anew."),
        ),
        Error::Database(database) => {
            let said = database.message();
            match database.code().as_deref() {
                Some("28P01" | "28000") => Trouble::new(
                    Reach::WrongPassword,
                    format!("{address} refuses our name or password: {said}."),
                ),
                Some("53300") => Trouble::new(Reach::Full, format!("{address} has no free connection: {said}.")),
                Some("57P03") => Trouble::new(Reach::Loading, format!("{address} is starting: {said}.")),
                Some("57P01" | "57P02") => Trouble::new(Reach::Gone, format!("{address} is shutting down: {said}.")),
                Some("3D000") => Trouble::new(Reach::Refused, format!("{address} has no such database: {said}.")),
                Some("42501") => Trouble::new(Reach::NotAllowed, format!("{address} does not permit it: {said}.")),
                Some("57014") => Trouble::new(
                    Reach::Live,
                    format!("{address} took longer than we let it: the read was given up."),
                ),
                Some("55P03") => Trouble::new(
                    Reach::Live,
                    format!("{address} did not get a lock in time: somebody else holds it."),
                ),
                _ => Trouble::new(Reach::Live, format!("{address} refused it: {said}.")),
            }
        }
        other => Trouble::new(Reach::Refused, format!("{address} cannot be used: {other}.")),
    }
}
