//! Who asks, and what they may do.
//!
//! This version signs nobody in: everybody is `anonymous` with an address, and may do everything that the
//! installation allows. Every permission is asked for through [`Desk::may`](super::Desk::may), so that roles
//! can be put there and nowhere else.

use crate::model::queue::QueueRef;

/// Whoever asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    /// A name; `anonymous` without sign-in.
    pub name: String,
    /// The address they asked from.
    pub address: String,
    /// What they are.
    pub roles: Vec<Role>,
}

impl Who {
    /// Somebody whom nobody has asked for a name.
    #[must_use]
    pub fn anonymous(address: String) -> Self {
        Self {
            name: "anonymous".into(),
            address,
            roles: vec![Role::Operator],
        }
    }
}

/// A named set of verbs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Looks.
    Viewer,
    /// Acts.
    Operator,
}

impl Role {
    /// Whether the role holds a verb. What is not listed is denied.
    #[must_use]
    pub const fn holds(self, verb: Verb) -> bool {
        match self {
            Self::Viewer => matches!(verb, Verb::View),
            Self::Operator => true,
        }
    }
}

/// What can be permitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// To see queues and jobs.
    View,
    /// To read who did what.
    AuditRead,
    /// To have jobs run again.
    Retry,
    /// To change when jobs run.
    Promote,
    /// To pause and resume.
    Pause,
    /// To remove things, and to end jobs.
    Remove,
    /// To change what jobs are given.
    Edit,
    /// To add jobs.
    Add,
    /// To change limits.
    Limit,
}

impl Verb {
    /// Whether it leaves everything as it is.
    #[must_use]
    pub const fn only_reads(self) -> bool {
        matches!(self, Self::View | Self::AuditRead)
    }

    /// For sentences: "may not …".
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::View => "see this",
            Self::AuditRead => "read who did what",
            Self::Retry => "have jobs run again",
            Self::Promote => "change when jobs run",
            Self::Pause => "pause or resume",
            Self::Remove => "remove anything",
            Self::Edit => "change what jobs are given",
            Self::Add => "add jobs",
            Self::Limit => "change limits",
        }
    }
}

/// A verb on a queue, or on everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permission<'a> {
    /// What.
    pub verb: Verb,
    /// Where; everywhere if `None`.
    pub queue: Option<&'a QueueRef>,
}
