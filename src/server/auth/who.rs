//! Who asks, and what they may do where.
//!
//! A permission is a [`Verb`] on a queue. Whoever asks holds [`Grant`]s: verbs, and the queues they are for. What no
//! grant lists is denied. A [`Role`] is a name for a set of verbs, and each role holds everything that the one before it
//! holds.

use crate::model::filter::matches;
use crate::model::queue::QueueRef;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Whoever asks.
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

/// How somebody was recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Via {
    /// Not at all: only this machine gets in.
    Nobody,
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
    /// Whoever sits at this machine, where nobody signs in.
    #[must_use]
    pub fn anonymous(address: String) -> Self {
        Self {
            name: "anonymous".into(),
            address,
            via: Via::Nobody,
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

/// A named set of verbs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Reads the status page, where that is not public.
    Status,
    /// Looks at queues and jobs, but not into what jobs carry.
    Viewer,
    /// Looks into jobs, and acts.
    Operator,
    /// Does everything, destroys whole queues, and reads what is hidden from others.
    Admin,
}

impl Role {
    /// All, from the least to the most.
    pub const ALL: [Self; 4] = [Self::Status, Self::Viewer, Self::Operator, Self::Admin];

    /// Its verbs. What is not listed is denied.
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

    /// Whether it holds a verb.
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
        found.ok_or_else(|| format!("{text:?} is no role: status, viewer, operator or admin"))
    }
}

/// What can be permitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// To read the status page, where that is not public.
    Status,
    /// To see queues and jobs: names, ids, states, times, errors.
    View,
    /// To see what jobs carry: data, results, options, stacks, logs.
    ViewPayload,
    /// To see values that are hidden because they look like secrets.
    Reveal,
    /// To take lists away as files.
    Export,
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
    /// To move jobs to the archive.
    Archive,
    /// To change what jobs are given.
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
    /// All of them.
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

    /// Whether it leaves everything as it is.
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

    /// For sentences: "may not …".
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Status => "read the status page",
            Self::View => "see this",
            Self::ViewPayload => "see what jobs carry",
            Self::Reveal => "see hidden values",
            Self::Export => "take lists away as files",
            Self::AuditRead => "read who did what",
            Self::Retry => "have jobs run again",
            Self::Promote => "change when jobs run",
            Self::Pause => "pause or resume",
            Self::Remove => "remove anything",
            Self::Archive => "move jobs to the archive",
            Self::Edit => "change what jobs are given",
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
            format!("{text:?} is no permission: {}", all.join(", "))
        })
    }
}

/// A set of verbs.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Verbs(u32);

impl Verbs {
    /// These.
    #[must_use]
    pub const fn of(verbs: &[Verb]) -> Self {
        let (mut bits, mut i) = (0, 0);
        while i < verbs.len() {
            bits |= 1 << verbs[i] as u32;
            i += 1;
        }
        Self(bits)
    }

    /// These and others.
    #[must_use]
    pub const fn with(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// These without others.
    #[must_use]
    pub const fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    /// Whether a verb is among them.
    #[must_use]
    pub const fn has(self, verb: Verb) -> bool {
        self.0 & (1 << verb as u32) != 0
    }

    /// Their names.
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

/// A verb on a queue, or on any queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permission<'a> {
    /// What.
    pub verb: Verb,
    /// Where; wherever they may if `None`: what is touched is asked for one by one.
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
