//! The libraries, and the keys by which each is known.
//!
//! | library | index (a set) | member | queue |
//! |---|---|---|---|
//! | RQ | `rq:queues` | `rq:queue:NAME` | `rq:queue:NAME` |
//! | Resque | `resque:queues` | `NAME` | `resque:queue:NAME` |
//! | Sidekiq | `queues` | `NAME` | `queue:NAME` |
//! | Kue | `q:job:types` | `NAME` | `q:jobs:NAME` |
//!
//! In front of the keys of Resque, Sidekiq and Kue there can be a name space of the application. `queues` is a common word: it is taken for
//! Sidekiq's where its workers have left the set of their processes or the number of jobs that they have done.
//!
//! From the sources of RQ 3.0 (`queue.py`) and Sidekiq 8 (`api.rb`), and the documentation of Resque 2 and Kue 0.11.

use crate::model::system::System;

/// What every index ends with, as a pattern of Redis: `queues` and `job:types`.
pub(super) const INDEXES: &[u8] = b"*[ey][up]es";

/// A library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Library {
    /// RQ (Python).
    Rq,
    /// Resque (Ruby and others).
    Resque,
    /// Sidekiq (Ruby).
    Sidekiq,
    /// Kue (Node).
    Kue,
}

impl Library {
    /// All of them, those with the most particular names first.
    pub(super) const ALL: [Self; 4] = [Self::Rq, Self::Resque, Self::Kue, Self::Sidekiq];

    /// Its system.
    pub(super) const fn system(self) -> System {
        match self {
            Self::Rq => System::Rq,
            Self::Resque => System::Resque,
            Self::Sidekiq => System::Sidekiq,
            Self::Kue => System::Kue,
        }
    }

    /// Ends of the names of its index and of its queues.
    const fn ends(self) -> (&'static str, &'static str) {
        match self {
            Self::Rq => ("rq:queues", "rq:queue:"),
            Self::Resque => ("resque:queues", "resque:queue:"),
            Self::Sidekiq => ("queues", "queue:"),
            Self::Kue => ("q:job:types", "q:jobs:"),
        }
    }

    /// Whether the names of its keys show that they are its own.
    pub(super) const fn is_plain(self) -> bool {
        !matches!(self, Self::Sidekiq)
    }

    /// What is in front of a name, where that can be a name space. RQ has none.
    fn space(self, before: &str) -> Option<&str> {
        let ends = before.is_empty() || (before.ends_with(':') && !matches!(self, Self::Rq));
        ends.then_some(before)
    }
}

/// The set of all queues of a library, in one name space.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Index {
    library: Library,
    space: String,
    /// Its key.
    pub(super) key: String,
    /// Keys of which one must be there; none where the name of the index is enough.
    pub(super) signs: Vec<String>,
}

impl Index {
    /// The index that a key is called like.
    pub(super) fn of(key: &str) -> Option<Self> {
        Library::ALL.into_iter().find_map(|library| {
            let space = library.space(key.strip_suffix(library.ends().0)?)?;
            let signs: &[&str] = match library {
                Library::Sidekiq => &["processes", "stat:processed"],
                Library::Rq | Library::Resque | Library::Kue => &[],
            };
            Some(Self {
                library,
                space: space.to_owned(),
                key: key.to_owned(),
                signs: signs.iter().map(|sign| format!("{space}{sign}")).collect(),
            })
        })
    }

    /// The queue of a member.
    pub(super) fn place(&self, member: &str) -> Option<Place> {
        let (_, queues) = self.library.ends();
        let name = match self.library {
            Library::Rq => member.strip_prefix(queues)?,
            Library::Resque | Library::Sidekiq | Library::Kue => member,
        };
        Some(Place {
            library: self.library,
            index: self.key.clone(),
            member: member.to_owned(),
            id: format!("{}{queues}{name}", self.space),
            name: name.to_owned(),
        })
    }
}

/// A queue, and where it is listed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Whose it is.
    pub(super) library: Library,
    /// The key of its index.
    pub(super) index: String,
    /// What it is there.
    pub(super) member: String,
    /// Its id on the board: the key of its list, or what the keys of its lists begin with.
    pub(super) id: String,
    /// Its name.
    pub(super) name: String,
}

impl Place {
    /// The queue that an id stands for, if it can be one of these libraries.
    pub(super) fn of(id: &str) -> Option<Self> {
        Library::ALL.into_iter().find_map(|library| {
            let (index, queues) = library.ends();
            let (before, name) = id.split_once(queues)?;
            let index = Index::of(&format!("{}{index}", library.space(before)?))?;
            let member = match library {
                Library::Rq => id,
                Library::Resque | Library::Sidekiq | Library::Kue => name,
            };
            index.place(member).filter(|place| place.library == library)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_index_is_taken_for_its_librarys_and_no_other_set_for_one() {
        for (key, library, member, id, name) in [
            ("rq:queues", Library::Rq, "rq:queue:mail", "rq:queue:mail", "mail"),
            ("resque:queues", Library::Resque, "mail", "resque:queue:mail", "mail"),
            ("shop:resque:queues", Library::Resque, "m", "shop:resque:queue:m", "m"),
            ("queues", Library::Sidekiq, "default", "queue:default", "default"),
            ("shop:queues", Library::Sidekiq, "a:b", "shop:queue:a:b", "a:b"),
            ("q:job:types", Library::Kue, "email", "q:jobs:email", "email"),
        ] {
            let place = Index::of(key).unwrap().place(member).unwrap();
            assert_eq!((place.library, &*place.id, &*place.name), (library, id, name), "{key}");
            assert_eq!(Place::of(id), Some(place), "{id}");
        }
        for key in ["my_queues", "x:rq:queues:old", "types", "requeues", "rq:queue:mail"] {
            assert_eq!(Index::of(key), None, "{key}");
        }
        assert_eq!(Index::of("rq:queues").unwrap().place("mail"), None);
        for id in ["bull:mail", "mail", "prequeue:x"] {
            assert_eq!(Place::of(id), None, "{id}");
        }
    }
}
