//! The generations of pg-boss.

use crate::model::system::{Family, System};
use std::borrow::Cow;

/// A generation of the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layout {
    /// pg-boss 7.4 to 9: one flat table of jobs and an archive, no table of queues.
    PgBoss9,
    /// pg-boss 10: a partition for each queue, and the archive.
    PgBoss10,
    /// pg-boss 11, and 12 up to 12.5, which lays out the same tables: counters for each queue, no archive.
    PgBoss11,
    /// pg-boss 12 from 12.6 on.
    PgBoss12,
}

impl Layout {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::PgBoss9, Self::PgBoss10, Self::PgBoss11, Self::PgBoss12];

    /// The library.
    pub const SYSTEM: System = System::PgBoss;

    /// What a layout is decided by, and the same in a sentence.
    pub(super) const EVIDENCE: (&str, &str) = ("schema", "The schema has this version number, and its columns match.");

    /// Its word in the API.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::PgBoss9 => "pgboss9",
            Self::PgBoss10 => "pgboss10",
            Self::PgBoss11 => "pgboss11",
            Self::PgBoss12 => "pgboss12",
        }
    }

    /// The generation as people say it.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::PgBoss9 => "pg-boss 9",
            Self::PgBoss10 => "pg-boss 10",
            Self::PgBoss11 => "pg-boss 11 or 12.0 to 12.5",
            Self::PgBoss12 => "pg-boss 12",
        }
    }
}

impl From<Layout> for Family {
    fn from(layout: Layout) -> Self {
        Self {
            layout: Cow::Borrowed(layout.word()),
            evidence: Cow::Borrowed(Layout::EVIDENCE.0),
        }
    }
}
