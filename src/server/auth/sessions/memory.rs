//! The sessions that this process knows, and what of them the database does not know yet.

use super::Lifetime;
use crate::model::Millis;
use crate::server::database::sessions::{Changes, Session};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Sessions that are kept; the longest unused goes first.
pub(super) const KEPT: usize = 10_000;

/// How exactly it is noted when a session was last used.
const NOTED: Millis = 30_000;

/// How long it is remembered that a session has ended: longer than an answer of the database from before can be under way.
const ENDED: Duration = Duration::from_secs(60);

#[derive(Debug)]
struct Known {
    session: Session,
    /// When the database was known to have it; `None` if it has not been written yet.
    written: Option<Instant>,
    /// Whether the last use has to be written.
    used: bool,
}

#[derive(Debug)]
struct Ended {
    at: Instant,
    written: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Memory {
    live: HashMap<String, Known>,
    ended: HashMap<String, Ended>,
}

impl Memory {
    /// Notes a new session.
    pub(super) fn begin(&mut self, session: Session) {
        self.hold(Known {
            session,
            written: None,
            used: false,
        });
    }

    /// Notes a session that the database had when it was asked at this moment.
    pub(super) fn learn(&mut self, mut session: Session, asked: Instant) {
        // It may have ended after the database answered.
        if self.ended.contains_key(&session.key) {
            return;
        }
        let known = self.live.get(&session.key);
        session.seen = session.seen.max(known.map_or(Millis::MIN, |known| known.session.seen));
        let used = known.is_some_and(|known| known.used);
        self.hold(Known {
            session,
            written: Some(asked),
            used,
        });
    }

    /// Notes that the database did not have a session when it was asked at this moment.
    pub(super) fn lack(&mut self, key: &str, asked: Instant) {
        if self
            .live
            .get(key)
            .is_some_and(|known| known.written.is_some_and(|written| written <= asked))
        {
            self.live.remove(key);
        }
    }

    fn hold(&mut self, known: Known) {
        if self.live.len() >= KEPT
            && !self.live.contains_key(&known.session.key)
            && let Some(oldest) = self.live.values().min_by_key(|known| known.session.seen)
        {
            let oldest = oldest.session.key.clone();
            self.live.remove(&oldest);
        }
        self.live.insert(known.session.key.clone(), known);
    }

    /// A session that lasts, and that the database had within this time, if one is given. Notes its use.
    pub(super) fn whose(
        &mut self,
        key: &str,
        at: Millis,
        lifetime: &Lifetime,
        within: Option<Duration>,
    ) -> Option<Session> {
        let known = self.live.get_mut(key)?;
        let doubtful = |limit: Duration| known.written.is_some_and(|written| written.elapsed() > limit);
        if !lifetime.lasts(&known.session, at) || within.is_some_and(doubtful) {
            self.live.remove(key);
            return None;
        }
        if at - known.session.seen > NOTED {
            known.session.seen = at;
            known.used = true;
        }
        Some(known.session.clone())
    }

    /// Ends a session.
    pub(super) fn end(&mut self, key: &str) {
        self.live.remove(key);
        if self.ended.len() >= KEPT
            && let Some(oldest) = self.ended.iter().min_by_key(|(_, ended)| ended.at)
        {
            let oldest = oldest.0.clone();
            self.ended.remove(&oldest);
        }
        let ended = Ended {
            at: Instant::now(),
            written: false,
        };
        self.ended.insert(key.to_owned(), ended);
    }

    /// Ends all sessions of a user that are known here, except those that began with this stamp.
    pub(super) fn end_of(&mut self, name: &str, except: &str) {
        let others = self.live.values().map(|known| &known.session);
        let others = others.filter(|session| session.name == name && session.stamp != except);
        let keys: Vec<String> = others.map(|session| session.key.clone()).collect();
        for key in keys {
            self.end(&key);
        }
    }

    /// What the database does not know yet.
    pub(super) fn unwritten(&self) -> Changes {
        let mut unwritten = Changes::default();
        for known in self.live.values() {
            match known.written {
                None => unwritten.begun.push(known.session.clone()),
                Some(_) if known.used => unwritten.used.push((known.session.key.clone(), known.session.seen)),
                Some(_) => {}
            }
        }
        let ended = self.ended.iter().filter(|(_, ended)| !ended.written);
        unwritten.ended = ended.map(|(key, _)| key.clone()).collect();
        unwritten
    }

    /// Notes that the database knows this now.
    pub(super) fn written(&mut self, now: &Changes) {
        for session in &now.begun {
            if let Some(known) = self.live.get_mut(&session.key) {
                known.written = Some(Instant::now());
            }
        }
        for (key, seen) in &now.used {
            if let Some(known) = self.live.get_mut(key).filter(|known| known.session.seen == *seen) {
                known.used = false;
            }
        }
        for key in &now.ended {
            if let Some(ended) = self.ended.get_mut(key) {
                ended.written = true;
            }
        }
    }

    /// Removes what no longer matters.
    pub(super) fn clean(&mut self, at: Millis, lifetime: &Lifetime) {
        self.live.retain(|_, known| lifetime.lasts(&known.session, at));
        self.ended
            .retain(|_, ended| !ended.written || ended.at.elapsed() < ENDED);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(key: &str, seen: Millis) -> Session {
        Session {
            key: key.into(),
            name: "ada".into(),
            stamp: "1".into(),
            since: 1,
            seen,
        }
    }

    #[test]
    fn an_answer_from_before_the_end_begins_no_session_again() {
        let mut memory = Memory::default();
        let asked = Instant::now();
        memory.begin(session("a", 1));
        let begun = memory.unwritten();
        memory.end("a");
        memory.written(&begun);
        memory.learn(session("a", 1), asked);
        assert_eq!(memory.whose("a", 2, &Lifetime::default(), None), None);
        assert_eq!(memory.unwritten().ended, ["a"], "it may have been written meanwhile");
        // Nor does an answer from before the beginning end one.
        memory.begin(session("b", 1));
        let begun = memory.unwritten();
        memory.lack("b", asked);
        memory.written(&begun);
        memory.lack("b", asked);
        assert!(memory.whose("b", 2, &Lifetime::default(), None).is_some());
        memory.lack("b", Instant::now());
        assert_eq!(memory.whose("b", 2, &Lifetime::default(), None), None);
    }

    #[test]
    fn what_the_database_had_too_long_ago_is_in_doubt_and_what_it_does_not_have_yet_is_not() {
        let (mut memory, lifetime, no_time) = (Memory::default(), Lifetime::default(), Some(Duration::ZERO));
        memory.begin(session("new", 1));
        memory.learn(session("had", 1), Instant::now() - Duration::from_millis(1));
        assert!(memory.whose("had", 2, &lifetime, Some(Duration::MAX)).is_some());
        assert!(
            memory.whose("had", 2, &lifetime, no_time).is_none()
                && memory.whose("new", 2, &lifetime, no_time).is_some()
        );
    }

    #[test]
    fn a_use_is_noted_each_half_minute_until_it_is_written() {
        let (mut memory, lifetime) = (Memory::default(), Lifetime::default());
        memory.learn(session("a", 1), Instant::now());
        for (at, noted) in [(NOTED, 0), (NOTED + 2, 1), (NOTED + 3, 1)] {
            assert!(memory.whose("a", at, &lifetime, None).is_some());
            assert_eq!(memory.unwritten().used.len(), noted, "{at}");
        }
        let before = memory.unwritten();
        memory.whose("a", 3 * NOTED, &lifetime, None);
        memory.written(&before);
        assert_eq!(memory.unwritten().used, [("a".to_owned(), 3 * NOTED)]);
        memory.written(&memory.unwritten());
        // The database may know an older use than this process.
        memory.learn(session("a", 1), Instant::now());
        assert_eq!(memory.whose("a", 3 * NOTED, &lifetime, None).unwrap().seen, 3 * NOTED);
        assert!(memory.unwritten().is_empty());
    }

    #[test]
    fn so_many_are_kept_and_the_longest_unused_goes_first() {
        let mut memory = Memory::default();
        for n in 0..=KEPT {
            memory.begin(session(&n.to_string(), Millis::try_from(n).unwrap() + 1));
        }
        let lifetime = Lifetime::default();
        assert_eq!(memory.live.len(), KEPT);
        assert!(memory.whose("0", 2, &lifetime, None).is_none() && memory.whose("1", 2, &lifetime, None).is_some());
        for n in 0..=KEPT {
            memory.end(&n.to_string());
        }
        assert!(memory.live.is_empty() && memory.ended.len() == KEPT);
    }
}
