//! The connection that every Postgres-based adapter shares, and what a Postgres says of itself.
//!
//! | module | what it does |
//! |---|---|
//! | [`address`] | the URL of one, read |
//! | [`database`] | two small pools, supervised: reads that cannot write, and actions |
//! | [`session`] | what sessions ask for, and what is done where a pooler drops it |
//! | [`health`] | what the server reports for its page |
//! | [`report`] | what the server reports every few seconds |
//! | [`classify`] | an error as a person can use it |

pub mod address;
pub mod classify;
pub mod database;
pub mod health;
pub mod report;
mod session;

/// The code of an error that the server sent.
#[must_use]
pub fn code(error: &sqlx::Error) -> Option<String> {
    Some(error.as_database_error()?.code()?.into_owned())
}
