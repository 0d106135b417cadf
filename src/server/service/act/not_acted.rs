//! Why an action was not tried, in sentences.

use super::Refusal;
use crate::server::audit::Unwritten;

/// Why an action was not tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotActed {
    /// Whoever asks may not.
    Denied(String),
    /// Nothing may be changed here.
    ReadOnly,
    /// The store cannot be acted on now.
    NotNow(String),
    /// The library, or its generation, cannot do it.
    Impossible(String),
    /// It could not be written down.
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

impl NotActed {
    /// Its name, title, status and sentence.
    #[must_use]
    pub fn parts(&self) -> (&'static str, &'static str, u16, String) {
        match self {
            Self::Denied(what) => ("denied", "Not permitted", 403, what.clone()),
            Self::ReadOnly => (
                "read-only",
                "Read-only",
                403,
                "This board is read-only: nothing can be changed from here. DROVER_READ_ONLY=false lets it act.".into(),
            ),
            Self::NotNow(why) => ("not-now", "Not now", 503, why.clone()),
            Self::Impossible(why) => ("not-possible", "Not possible", 422, why.clone()),
            Self::NoAudit(why) => (
                "audit-unavailable",
                "Nothing can be recorded",
                503,
                format!("Nothing was done, because what cannot be recorded is not done: {why}"),
            ),
            Self::NoArchive(why) => ("archive-unavailable", "The archive does not answer", 503, why.clone()),
            Self::Wrong(why) => ("bad-action", "Bad action", 400, why.clone()),
            Self::KeyUsed => (
                "key-used",
                "Idempotency key used",
                422,
                "Something else was asked with this Idempotency-Key within the last day. Use a new one.".into(),
            ),
            Self::KeyRunning => (
                "key-running",
                "Under way",
                409,
                "The same was asked with this Idempotency-Key and is under way. Ask again in a moment for its result."
                    .into(),
            ),
            Self::NoCursor => (
                "bad-cursor",
                "Damaged address",
                400,
                "The cursor is not known: it is damaged, or so old that it is only in the file.".into(),
            ),
        }
    }
}

impl From<NotActed> for Refusal {
    fn from(why: NotActed) -> Self {
        Self::NotActed(why)
    }
}
