//! Why an adapter has no answer.

use super::Trouble;

/// Why the value of a field cannot be handed over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] Trouble),
    /// It is too large.
    #[error("the value takes {size} bytes; at most {limit} are returned")]
    TooLarge {
        /// Bytes of the value.
        size: u64,
        /// Bytes that are handed over at most.
        limit: u64,
    },
    /// Another one is under way.
    #[error("another value of this store is being read")]
    Busy,
    /// The queue cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Why a read failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] Trouble),
    /// The cursor is not one of ours.
    #[error("the address of this page is not valid: its cursor cannot be read")]
    BadCursor,
    /// The store answered with something that cannot be a queue's data.
    #[error("{0}")]
    Corrupt(String),
    /// Queues of this library are not read.
    #[error("{0}")]
    Unsupported(&'static str),
}

/// Why a batch of a sweep did not end well.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SweepError {
    /// It cannot be done; nothing was. A sentence.
    #[error("{0}")]
    Refused(String),
    /// The store did not take it; nothing was done.
    #[error("{0}")]
    NotSent(Trouble),
    /// It was sent, and the answer did not come: any of the batch may be done.
    #[error("{0}")]
    Unknown(Trouble),
}
