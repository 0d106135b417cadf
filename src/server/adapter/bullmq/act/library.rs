//! The libraries' own scripts, as the build took them from their packages, and what each of their keys is.

/// What a key that a script takes is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Job,
    Lock,
    Logs,
    /// The children of a job that are pending, and those that failed it.
    Dependencies,
    Unsuccessful,
    /// The set or list of a state: whichever the job, or the batch, is taken from.
    State,
    Wait,
    Paused,
    /// What a pause renames, and what to.
    Source,
    Target,
    Meta,
    MetaPaused,
    Active,
    Marker,
    Prioritized,
    Pc,
    Events,
    Delayed,
    WaitingChildren,
    Priority,
    Completed,
    Failed,
    Limiter,
    /// Where a message is published: no key at all.
    Channel,
    /// What all keys begin with: no key either.
    Prefix,
    Repeat,
    Id,
    Stalled,
    MetricsFailed,
    Dedup,
}

/// A script of a library.
#[derive(Clone, Copy, Debug)]
pub(super) struct Library {
    pub(super) name: &'static str,
    pub(super) roles: &'static [Role],
    /// The MD5 of what its header says that it takes.
    #[cfg_attr(not(test), expect(dead_code, reason = "the tests compare it with the header"))]
    pub(super) header: &'static str,
    pub(super) text: &'static str,
}

/// Whose scripts are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Generation {
    Bull4,
    V3,
    V4,
    V5,
    V6,
}

include!(concat!(env!("OUT_DIR"), "/library_scripts.rs"));

impl Generation {
    #[cfg(test)]
    pub(super) const ALL: [Self; 5] = [Self::Bull4, Self::V3, Self::V4, Self::V5, Self::V6];

    pub(super) fn scripts(self) -> &'static [Library] {
        match self {
            Self::Bull4 => BULL,
            Self::V3 => BULLMQ3,
            Self::V4 => BULLMQ4,
            Self::V5 => BULLMQ5,
            Self::V6 => BULLMQ6,
        }
    }

    /// The script of this name, if this generation has it.
    pub(super) fn script(self, name: &str) -> Option<&'static Library> {
        self.scripts().iter().find(|script| script.name == name)
    }
}

impl Role {
    /// What the key is called behind the queue's; `None` where that depends on the job or the action.
    pub(super) const fn suffix(self) -> Option<&'static str> {
        Some(match self {
            Self::Wait => "wait",
            Self::Paused => "paused",
            Self::Meta => "meta",
            Self::MetaPaused => "meta-paused",
            Self::Active => "active",
            Self::Marker => "marker",
            Self::Prioritized => "prioritized",
            Self::Pc => "pc",
            Self::Events => "events",
            Self::Delayed => "delayed",
            Self::WaitingChildren => "waiting-children",
            Self::Priority => "priority",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Limiter => "limiter",
            Self::Prefix => "",
            Self::Repeat => "repeat",
            Self::Id => "id",
            Self::Stalled => "stalled",
            Self::MetricsFailed => "metrics:failed",
            Self::Job
            | Self::Lock
            | Self::Logs
            | Self::Dependencies
            | Self::Unsuccessful
            | Self::State
            | Self::Source
            | Self::Target
            | Self::Channel
            | Self::Dedup => {
                return None;
            }
        })
    }

    /// The first letter of the type that it must have if it is there; a dash where any will do.
    pub(super) const fn kind(self) -> char {
        match self {
            Self::Job | Self::Meta | Self::MetricsFailed => 'h',
            Self::Wait | Self::Paused | Self::Source | Self::Target | Self::Active | Self::Logs => 'l',
            Self::Marker
            | Self::Prioritized
            | Self::Delayed
            | Self::WaitingChildren
            | Self::Unsuccessful
            | Self::Priority
            | Self::Completed
            | Self::Failed
            | Self::Repeat => 'z',
            Self::Events => 'x',
            Self::Lock | Self::MetaPaused | Self::Pc | Self::Id | Self::Limiter | Self::Dedup => 's',
            Self::Stalled | Self::Dependencies => 'e',
            Self::State | Self::Channel | Self::Prefix => '-',
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use md5::{Digest as _, Md5};
    use std::fmt::Write as _;

    /// What a script's header says that it takes, without white space.
    fn input(text: &str) -> String {
        let header = text.split("]]").next().unwrap_or_default();
        let input = header.split_once("Input").map_or(header, |(_, input)| input);
        input.chars().filter(|c| !c.is_whitespace()).collect()
    }

    fn md5(text: &str) -> String {
        Md5::digest(text).iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }

    #[test]
    fn each_script_takes_what_it_took_when_it_was_read() {
        let mut changed = String::new();
        for generation in Generation::ALL {
            for script in generation.scripts() {
                let now = md5(&input(script.text));
                if now != script.header {
                    let _ = writeln!(
                        changed,
                        "{generation:?} {} = {now}\n{}",
                        script.name,
                        script.text.split("]]").next().unwrap_or_default()
                    );
                }
            }
        }
        assert!(
            changed.is_empty(),
            "read these headers again, then write their sums into scripts.txt:\n{changed}"
        );
    }

    #[test]
    fn every_package_comes_with_its_notice() {
        assert_eq!(LICENCES.len(), 5);
        assert!(LICENCES.iter().all(|(_, notice)| notice.contains("MIT")));
    }

    #[test]
    fn a_set_is_told_from_a_string_and_a_stream() {
        // The guard knows a type by one letter of its name; two types that begin alike need another.
        let kinds = [
            Role::Stalled,
            Role::Lock,
            Role::Events,
            Role::Wait,
            Role::Delayed,
            Role::Job,
        ]
        .map(Role::kind);
        let distinct: std::collections::HashSet<char> = kinds.into_iter().collect();
        assert_eq!(distinct.len(), kinds.len());
    }
}
