//! Why an action was not tried, in sentences.

use super::Refusal;
use crate::server::audit::Unwritten;
use std::fmt;

/// Why an action was not tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotActed {
    /// The caller may not.
    Denied(String),
    /// Nothing may be changed here.
    ReadOnly,
    /// The store cannot be acted on now.
    NotNow(String),
    /// The library, or its generation, cannot do it.
    Impossible(String),
    /// It could not be written to the audit log.
    NoAudit(String),
    /// The archive cannot be used now.
    NoArchive(String),
    /// What was given is wrong.
    Wrong(String),
    /// The idempotency key was used for something else.
    KeyUsed,
    /// The same is under way.
    KeyRunning,
    /// The cursor is not known.
    NoCursor,
}

impl From<Unwritten> for NotActed {
    fn from(why: Unwritten) -> Self {
        match why {
            Unwritten::NoRecord(why) => Self::NoAudit(why),
            // Its result is known here in a moment.
            Unwritten::KeyTaken(true) => Self::KeyRunning,
            Unwritten::KeyTaken(false) => Self::KeyUsed,
        }
    }
}

impl fmt::Display for NotActed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied(why) | Self::NotNow(why) | Self::Impossible(why) | Self::NoArchive(why) | Self::Wrong(why) => {
                f.write_str(why)
            }
            Self::ReadOnly => f.write_str(
                "This board is read-only: nothing can be changed from here. DROVER_READ_ONLY=false lets it act.",
            ),
            Self::NoAudit(why) => write!(f, "Nothing was done, because the audit log cannot be written: {why}"),
            Self::KeyUsed => {
                f.write_str("A different request used this Idempotency-Key within the last day. Use a new one.")
            }
            Self::KeyRunning => f.write_str(
                "The same request with this Idempotency-Key is in progress. Try again in a few seconds for its result.",
            ),
            Self::NoCursor => {
                f.write_str("The cursor is not known: it is not valid, or so old that it is only in the file.")
            }
        }
    }
}

impl From<NotActed> for Refusal {
    fn from(why: NotActed) -> Self {
        Self::NotActed(why)
    }
}
