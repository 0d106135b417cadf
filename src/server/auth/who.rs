//! The caller, and what they may do where.
//!
//! A permission is a [`Verb`] on a queue. A caller holds [`Grant`]s: verbs, and the queues they are for. What no
//! grant lists is denied. A [`Role`] is a name for a set of verbs, and each role holds everything that the one before it
//! holds.

use crate::model::filter::matches;
use crate::model::permission::{Role, Verb, Verbs};
use crate::model::queue::QueueRef;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// A caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    /// A name; `anonymous` without sign-in.
    pub name: String,
    /// The address they asked from.
    pub address: String,
    /// How they were recognised.
    pub via: Via,
    /// What they may do where.
    pub grants: Arc<[Grant]>,
}

/// How a caller was recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Via {
    /// Not at all: there is no sign-in, and only this machine gets in.
    NoSignIn,
    /// By the proxy in front.
    Proxy,
    /// By name and password; the hash of the session's secret.
    Session(String),
    /// By a token; its id.
    Token(String),
}

/// Verbs, and the queues they are for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// What.
    pub verbs: Verbs,
    /// Where.
    pub queues: Vec<QueueGlob>,
}

/// Queues of a store: both parts may hold `*` and `?`. A store's id holds no slash, so that no name of a queue, whatever
/// it is, reaches into another store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueGlob {
    store: String,
    queue: String,
}

impl QueueGlob {
    /// Everything.
    #[must_use]
    pub fn all() -> Self {
        Self {
            store: "*".into(),
            queue: "*".into(),
        }
    }

    fn takes(&self, queue: &QueueRef) -> bool {
        matches(&self.store, &queue.store) && matches(&self.queue, &queue.queue)
    }
}

impl FromStr for QueueGlob {
    type Err = String;

    /// `redis/bull:mail*`, or `bull:mail*` in any store.
    fn from_str(text: &str) -> Result<Self, String> {
        let (store, queue) = text.split_once('/').unwrap_or(("*", text));
        if store.is_empty() || queue.is_empty() || text.len() > 1_000 {
            return Err(format!(
                "{text:?} names no queues: write store/queue, such as redis/bull:mail*, or * for all"
            ));
        }
        Ok(Self {
            store: store.to_owned(),
            queue: queue.to_owned(),
        })
    }
}

impl fmt::Display for QueueGlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.store.as_str(), self.queue.as_str()) {
            ("*", "*") => f.write_str("*"),
            (store, queue) => write!(f, "{store}/{queue}"),
        }
    }
}

impl Who {
    /// A user of this machine, where there is no sign-in.
    #[must_use]
    pub fn anonymous(address: String) -> Self {
        Self {
            name: "anonymous".into(),
            address,
            via: Via::NoSignIn,
            grants: Self::everywhere(Role::Admin),
        }
    }

    /// A role for all queues.
    #[must_use]
    pub fn everywhere(role: Role) -> Arc<[Grant]> {
        Arc::new([Grant {
            verbs: role.verbs(),
            queues: vec![QueueGlob::all()],
        }])
    }

    /// Whether they may do something with a queue; with any queue if none is named.
    #[must_use]
    pub fn holds(&self, verb: Verb, queue: Option<&QueueRef>) -> bool {
        let with = self.grants.iter().filter(|grant| grant.verbs.has(verb));
        match queue {
            None => with.map(|grant| grant.queues.len()).any(|n| n > 0),
            Some(queue) => with.flat_map(|grant| &grant.queues).any(|glob| glob.takes(queue)),
        }
    }

    /// Whether they may do something with whatever a store holds.
    #[must_use]
    pub fn holds_in_store(&self, verb: Verb, store: &str) -> bool {
        let mut globs = self.globs(verb);
        globs.any(|glob| glob.queue == "*" && matches(&glob.store, store))
    }

    /// Whether they may do something with some queue of a store.
    #[must_use]
    pub fn holds_somewhere_in(&self, verb: Verb, store: &str) -> bool {
        self.globs(verb).any(|glob| matches(&glob.store, store))
    }

    /// Whether they may do something everywhere.
    #[must_use]
    pub fn holds_everywhere(&self, verb: Verb) -> bool {
        self.globs(verb).any(|glob| glob.store == "*" && glob.queue == "*")
    }

    /// Whether nothing has to be left out of what is shown to them.
    #[must_use]
    pub fn sees_all(&self) -> bool {
        self.holds_everywhere(Verb::View)
    }

    /// Whether a queue is shown to them.
    #[must_use]
    pub fn sees(&self, queue: &QueueRef) -> bool {
        self.holds(Verb::View, Some(queue))
    }

    /// Where they may do something: globs of stores, and of queues in them.
    #[must_use]
    pub fn globs_of(&self, verb: Verb) -> Vec<(String, String)> {
        let globs = self.globs(verb);
        globs.map(|glob| (glob.store.clone(), glob.queue.clone())).collect()
    }

    fn globs(&self, verb: Verb) -> impl Iterator<Item = &QueueGlob> {
        let with = self.grants.iter().filter(move |grant| grant.verbs.has(verb));
        with.flat_map(|grant| &grant.queues)
    }

    /// The role whose verbs they hold everywhere, if there is one; the highest.
    #[must_use]
    pub fn role(&self) -> Option<Role> {
        let held = |role: &Role| {
            Verb::ALL
                .iter()
                .all(|verb| !role.holds(*verb) || self.holds_everywhere(*verb))
        };
        Role::ALL.into_iter().rev().find(held)
    }
}

/// A verb on a queue, or on any queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permission<'a> {
    /// What.
    pub verb: Verb,
    /// Where; on any queue if `None`: each queue that is touched is then checked by itself.
    pub queue: Option<&'a QueueRef>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(grants: &[(Role, &[&str])]) -> Who {
        let grants = grants.iter().map(|(role, globs)| Grant {
            verbs: role.verbs(),
            queues: globs.iter().map(|glob| glob.parse().unwrap()).collect(),
        });
        Who {
            grants: grants.collect(),
            ..Who::anonymous(String::new())
        }
    }

    fn queue(text: &str) -> QueueRef {
        let (store, queue) = text.split_once('/').unwrap();
        QueueRef {
            store: store.into(),
            queue: queue.into(),
        }
    }

    #[test]
    fn each_role_holds_what_the_one_before_it_holds_and_more() {
        for pair in Role::ALL.windows(2) {
            let (less, more) = (pair[0].verbs(), pair[1].verbs());
            assert_eq!(less.with(more), more, "{pair:?}");
            assert_ne!(less, more, "{pair:?}");
        }
        for verb in Verb::ALL {
            assert!(Role::Admin.holds(verb), "{verb:?}");
            assert_eq!(verb.as_str().parse(), Ok(verb));
            if !verb.only_reads() {
                assert!(!Role::Viewer.holds(verb), "{verb:?} changes something");
            }
        }
        assert!(!Role::Viewer.holds(Verb::ViewPayload) && !Role::Status.holds(Verb::View));
        assert!(!Role::Operator.holds(Verb::Reveal) && !Role::Operator.holds(Verb::Obliterate));
    }

    // S-5
    #[test]
    fn a_grant_is_for_its_queues_and_no_others() {
        let ada = who(&[(Role::Operator, &["redis/bull:billing*"]), (Role::Viewer, &["redis/*"])]);
        assert!(ada.holds(Verb::Retry, Some(&queue("redis/bull:billing-eu"))));
        assert!(!ada.holds(Verb::Retry, Some(&queue("redis/bull:mail"))));
        assert!(!ada.holds(Verb::Retry, Some(&queue("other/bull:billing"))));
        assert!(ada.sees(&queue("redis/bull:mail")) && !ada.sees(&queue("other/bull:mail")));
        assert!(!ada.sees_all() && !ada.holds_everywhere(Verb::View));
        assert!(ada.holds_in_store(Verb::View, "redis") && !ada.holds_in_store(Verb::Retry, "redis"));
        assert!(ada.holds(Verb::Retry, None) && !ada.holds(Verb::Reveal, None));
        assert_eq!(ada.role(), None);
        assert!(who(&[]).role().is_none() && !who(&[]).holds(Verb::Status, None));
        assert_eq!(who(&[(Role::Operator, &["*"])]).role(), Some(Role::Operator));
    }

    #[test]
    fn no_name_of_a_queue_reaches_into_another_store() {
        let glob: QueueGlob = "redis/bull:a*".parse().unwrap();
        for (name, fits) in [
            ("redis/bull:a/../other/bull:b", true),
            ("other/redis/bull:a", false),
            ("redis/bull:b/bull:a", false),
        ] {
            assert_eq!(glob.takes(&queue(name)), fits, "{name}");
        }
        let anywhere: QueueGlob = "bull:a*".parse().unwrap();
        assert!(anywhere.takes(&queue("x/bull:ab")) && !anywhere.takes(&queue("x/y/bull:ab")));
        for wrong in ["", "/", "redis/", "/bull:a"] {
            assert!(wrong.parse::<QueueGlob>().is_err(), "{wrong}");
        }
    }
}
