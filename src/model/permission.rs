//! Permissions: verbs, sets of verbs, and the roles that name such sets.
//!
//! `server::auth` decides who holds which of them where; the verbs that an action needs are in its row of the
//! [catalogue](super::action::catalogue).

use std::fmt;
use std::str::FromStr;

/// A named set of verbs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Reads the status page, where that is not public.
    Status,
    /// Sees queues and jobs, but not the payloads.
    Viewer,
    /// Sees payloads, and acts.
    Operator,
    /// Does everything, obliterates queues, and sees what is hidden from others.
    Admin,
}

impl Role {
    /// All roles, from the least to the most.
    pub const ALL: [Self; 4] = [Self::Status, Self::Viewer, Self::Operator, Self::Admin];

    /// Its verbs. A verb that is not listed is denied.
    #[must_use]
    pub const fn verbs(self) -> Verbs {
        match self {
            Self::Status => Verbs::of(&[Verb::Status]),
            Self::Viewer => Self::Status.verbs().with(Verbs::of(&[Verb::View])),
            Self::Operator => Self::Viewer.verbs().with(Verbs::of(&[
                Verb::ViewPayload,
                Verb::Export,
                Verb::AuditRead,
                Verb::Retry,
                Verb::Promote,
                Verb::Pause,
                Verb::Add,
                Verb::Edit,
                Verb::Limit,
                Verb::Remove,
                Verb::Archive,
                Verb::Bulk,
            ])),
            Self::Admin => Self::Operator
                .verbs()
                .with(Verbs::of(&[Verb::Obliterate, Verb::Reveal])),
        }
    }

    /// Whether the role has a verb.
    #[must_use]
    pub const fn holds(self, verb: Verb) -> bool {
        self.verbs().has(verb)
    }

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|role| role.as_str() == text);
        found.ok_or_else(|| format!("{text:?} is not a role: status, viewer, operator or admin"))
    }
}

/// A single permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// To read the status page, where that is not public.
    Status,
    /// To see queues and jobs: names, ids, states, times, errors.
    View,
    /// To see payloads: data, results, options, stacks, logs.
    ViewPayload,
    /// To see values that are hidden because they look like secrets.
    Reveal,
    /// To download lists as files.
    Export,
    /// To read the audit log.
    AuditRead,
    /// To have jobs run again.
    Retry,
    /// To change when jobs run.
    Promote,
    /// To pause and resume.
    Pause,
    /// To remove things, and to end jobs.
    Remove,
    /// To move jobs to the archive.
    Archive,
    /// To change the data of jobs.
    Edit,
    /// To add jobs.
    Add,
    /// To change limits.
    Limit,
    /// To act on many jobs at once.
    Bulk,
    /// To remove a queue with everything in it.
    Obliterate,
}

impl Verb {
    /// All verbs.
    pub const ALL: [Self; 16] = [
        Self::Status,
        Self::View,
        Self::ViewPayload,
        Self::Reveal,
        Self::Export,
        Self::AuditRead,
        Self::Retry,
        Self::Promote,
        Self::Pause,
        Self::Remove,
        Self::Archive,
        Self::Edit,
        Self::Add,
        Self::Limit,
        Self::Bulk,
        Self::Obliterate,
    ];

    /// Whether it only reads.
    #[must_use]
    pub const fn only_reads(self) -> bool {
        matches!(
            self,
            Self::Status | Self::View | Self::ViewPayload | Self::Reveal | Self::Export | Self::AuditRead
        )
    }

    /// Its name in the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::View => "view",
            Self::ViewPayload => "view_payload",
            Self::Reveal => "reveal",
            Self::Export => "export",
            Self::AuditRead => "audit_read",
            Self::Retry => "retry",
            Self::Promote => "promote",
            Self::Pause => "pause",
            Self::Remove => "remove",
            Self::Archive => "archive",
            Self::Edit => "edit",
            Self::Add => "add",
            Self::Limit => "limit",
            Self::Bulk => "bulk",
            Self::Obliterate => "obliterate",
        }
    }

    /// Its words after "may not …", for sentences.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Status => "read the status page",
            Self::View => "see this",
            Self::ViewPayload => "see job payloads",
            Self::Reveal => "see hidden values",
            Self::Export => "download lists as files",
            Self::AuditRead => "read the audit log",
            Self::Retry => "run jobs again",
            Self::Promote => "change when jobs run",
            Self::Pause => "pause or resume",
            Self::Remove => "remove anything",
            Self::Archive => "move jobs to the archive",
            Self::Edit => "change job data",
            Self::Add => "add jobs",
            Self::Limit => "change limits",
            Self::Bulk => "act on many jobs at once",
            Self::Obliterate => "remove a whole queue",
        }
    }
}

impl FromStr for Verb {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|verb| verb.as_str() == text);
        found.ok_or_else(|| {
            let all: Vec<_> = Self::ALL.iter().map(|verb| verb.as_str()).collect();
            format!("{text:?} is not a permission: {}", all.join(", "))
        })
    }
}

/// A set of verbs.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Verbs(u32);

impl Verbs {
    /// A set of these verbs.
    #[must_use]
    pub const fn of(verbs: &[Verb]) -> Self {
        let (mut bits, mut i) = (0, 0);
        while i < verbs.len() {
            bits |= 1 << verbs[i] as u32;
            i += 1;
        }
        Self(bits)
    }

    /// The union of both sets.
    #[must_use]
    pub const fn with(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// This set without the others.
    #[must_use]
    pub const fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    /// Whether the set has a verb.
    #[must_use]
    pub const fn has(self, verb: Verb) -> bool {
        self.0 & (1 << verb as u32) != 0
    }

    /// The names of its verbs.
    #[must_use]
    pub fn names(self) -> Vec<&'static str> {
        let held = Verb::ALL.into_iter().filter(|verb| self.has(*verb));
        held.map(Verb::as_str).collect()
    }
}

impl fmt::Debug for Verbs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}
