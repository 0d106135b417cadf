//! Which generation of Bull or BullMQ laid out a queue's keys.
//!
//! The library keeps no reliable record: the version in a queue's `meta` is written by the client that *looked* last, and
//! ports in other languages write numbers of their own. So the generation is decided from what lies in the store, and the
//! evidence is part of the answer.

use crate::model::system::{self, System};
use std::borrow::Cow;

/// A generation of the key layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layout {
    /// Bull 3 and 4: Pub/Sub instead of a stream, priorities inside the waiting list.
    Bull4,
    /// BullMQ 1 to 3: an event stream, priorities still inside the waiting list.
    BullMq3,
    /// BullMQ 4: prioritized jobs apart, markers inside the waiting list.
    BullMq4,
    /// BullMQ 5: a marker set instead; a pause still renames the waiting list.
    BullMq5,
    /// BullMQ 6: a pause is a flag and moves nothing.
    BullMq6,
    /// BullMQ 5 or 6: nothing that lies in the store tells them apart now.
    BullMq5Or6,
    /// BullMQ Pro, whose groups keep their jobs in keys of their own. Recognised, not supported.
    BullMqPro,
    /// Bee-Queue. Recognised, not supported.
    BeeQueue,
    /// Nothing that this version knows.
    Unknown,
}

impl Layout {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Bull4,
        Self::BullMq3,
        Self::BullMq4,
        Self::BullMq5,
        Self::BullMq6,
        Self::BullMq5Or6,
        Self::BullMqPro,
        Self::BeeQueue,
        Self::Unknown,
    ];

    /// Its word in the API.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Bull4 => "bull4",
            Self::BullMq3 => "bullmq3",
            Self::BullMq4 => "bullmq4",
            Self::BullMq5 => "bullmq5",
            Self::BullMq6 => "bullmq6",
            Self::BullMq5Or6 => "bullmq5_or_6",
            Self::BullMqPro => "bullmq_pro",
            Self::BeeQueue => "bee_queue",
            Self::Unknown => "unknown",
        }
    }

    /// The library.
    #[must_use]
    pub const fn system(self) -> System {
        match self {
            Self::Bull4 => System::Bull,
            Self::BullMq3 | Self::BullMq4 | Self::BullMq5 | Self::BullMq6 | Self::BullMq5Or6 => System::BullMq,
            Self::BullMqPro => System::BullMqPro,
            Self::BeeQueue => System::BeeQueue,
            Self::Unknown => System::Unknown,
        }
    }

    /// The generation as people say it.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Bull4 => "Bull 4",
            Self::BullMq3 => "BullMQ 3",
            Self::BullMq4 => "BullMQ 4",
            Self::BullMq5 => "BullMQ 5",
            Self::BullMq6 => "BullMQ 6",
            Self::BullMq5Or6 => "BullMQ 5 or 6",
            Self::BullMqPro | Self::BeeQueue | Self::Unknown => self.system().label(),
        }
    }

    /// Why queues of this layout are neither read nor changed; `None` for those that are.
    #[must_use]
    pub const fn unsupported(self) -> Option<&'static str> {
        match self {
            Self::Bull4 | Self::BullMq3 | Self::BullMq4 | Self::BullMq5 | Self::BullMq6 | Self::BullMq5Or6 => None,
            Self::BullMqPro => Some(
                "BullMQ Pro is not supported by this version of Drover. Its groups keep jobs in separate keys, so \
                 nothing here is counted or changed.",
            ),
            Self::BeeQueue => {
                Some("Bee-Queue is not supported by this version of Drover. Its jobs are neither counted nor changed.")
            }
            Self::Unknown => Some(
                "Library not recognised: no known library writes the keys under this name. Nothing is counted or \
                 changed.",
            ),
        }
    }
}

/// What a layout was decided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Evidence {
    /// No event stream, and the keys that only Bull writes.
    NoEventStream,
    /// A set of priorities beside the waiting list.
    PrioritySet,
    /// Markers inside the waiting list.
    ListMarkers,
    /// The command on which its workers block.
    BlockingCommand,
    /// Paused, and the waiting jobs were renamed away.
    PausedByRename,
    /// Paused, and the waiting jobs stayed where they are.
    PausedByFlag,
    /// The version that the last client wrote.
    Version,
    /// Clients of 5 and of 6 have opened it lately.
    BothVersions,
    /// Only what all of them share.
    Nothing,
    /// Groups, or the version that a client of BullMQ Pro wrote.
    Groups,
    /// All jobs in one hash.
    JobsHash,
    /// Nothing that any library leaves.
    Unrecognised,
}

impl Evidence {
    /// All of it.
    pub const ALL: [Self; 12] = [
        Self::NoEventStream,
        Self::PrioritySet,
        Self::ListMarkers,
        Self::BlockingCommand,
        Self::PausedByRename,
        Self::PausedByFlag,
        Self::Version,
        Self::BothVersions,
        Self::Nothing,
        Self::Groups,
        Self::JobsHash,
        Self::Unrecognised,
    ];

    /// Its word in the API.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::NoEventStream => "no_event_stream",
            Self::PrioritySet => "priority_set",
            Self::ListMarkers => "list_markers",
            Self::BlockingCommand => "blocking_command",
            Self::PausedByRename => "paused_by_rename",
            Self::PausedByFlag => "paused_by_flag",
            Self::Version => "version",
            Self::BothVersions => "both_versions",
            Self::Nothing => "nothing",
            Self::Groups => "groups",
            Self::JobsHash => "jobs_hash",
            Self::Unrecognised => "unrecognised",
        }
    }

    /// The evidence in a sentence.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::NoEventStream => "It has no event stream, but keys that only Bull writes.",
            Self::PrioritySet => "It keeps priorities beside the waiting list, as versions before 4 do.",
            Self::ListMarkers => "Its waiting list holds markers, as version 4 and earlier write them.",
            Self::BlockingCommand => "Its workers block on the command that this version uses.",
            Self::PausedByRename => {
                "It is paused, and its waiting jobs were moved to the paused list, as versions up to 5 do."
            }
            Self::PausedByFlag => {
                "It is paused, and its waiting jobs stayed in the waiting list, as in version 6 and later."
            }
            Self::Version => "The client that opened it last wrote this version.",
            Self::BothVersions => "Clients of versions 5 and 6 opened it within the last day: either may process it.",
            Self::Nothing => "Nothing in the store distinguishes version 5 from 6.",
            Self::Groups => "It has job groups, or its version is one of BullMQ Pro.",
            Self::JobsHash => "It keeps all its jobs in one hash, as Bee-Queue does.",
            Self::Unrecognised => "No known library writes the keys under this name.",
        }
    }
}

/// A layout with its evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Family {
    /// The generation.
    pub layout: Layout,
    /// What it was decided by.
    pub evidence: Evidence,
}

impl From<Family> for system::Family {
    fn from(family: Family) -> Self {
        Self {
            layout: Cow::Borrowed(family.layout.word()),
            evidence: Cow::Borrowed(family.evidence.word()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_told_in_words_that_do_not_change() {
        let family = Family {
            layout: Layout::BullMq5Or6,
            evidence: Evidence::Nothing,
        };
        let json = serde_json::to_string(&system::Family::from(family)).unwrap();
        assert_eq!(json, r#"{"layout":"bullmq5_or_6","evidence":"nothing"}"#);
    }
}
