//! The rules by which the tabs of one browser share one event stream.
//!
//! Nothing here needs a browser. [`Roster`] knows the tabs and chooses the topics of the stream, [`Ledger`] is the
//! leader's account of what it has forwarded, [`Gate`] is a tab's account of which frames it may apply. The module
//! above describes their protocol.

use crate::model::Millis;
use crate::model::position::Position;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// The most topics that the server accepts on one stream.
pub(super) const TOPICS_MAX: usize = 32;

/// The most characters of topics in one address: proxies refuse lines beyond eight thousand.
pub(super) const TOPICS_BYTES: usize = 6_000;

/// While there are more topics than fit, the rest share so many of the places in turn.
const PLACES_IN_TURN: usize = 4;

/// A tab that was silent for this long counts as gone. A browser may let hidden tabs run only once a minute.
const SILENT_TAB_MS: f64 = 150_000.0;

/// A message between tabs. Frames of the stream travel beside it, as the text they are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Word {
    /// A tab says what it follows and up to which position. Without topics it wants nothing for now.
    Want {
        tab: String,
        topics: Vec<Place>,
        hidden: bool,
    },
    /// A tab leaves.
    Gone { tab: String },
    /// A tab leads from now on; every tab answers with what it wants.
    Lead { leader: String },
    /// From here on the leader forwards every frame of these topics that comes after their places; where there is no
    /// place, a snapshot comes first. The topics in `turns` are followed from time to time.
    Covers {
        leader: String,
        topics: Vec<Place>,
        turns: Vec<String>,
    },
    /// Whether the leader's connection is up. Not sent before that is known.
    Link { leader: String, up: bool },
    /// The connection is up and nothing happened.
    Beat { leader: String, now: Millis },
}

/// A topic and a position in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Place {
    pub(super) topic: String,
    pub(super) at: Option<Position>,
}

/// The tabs of the browser. Each tab keeps its own roster from the messages of all tabs.
#[derive(Debug, Default)]
pub(super) struct Roster {
    /// The newest tab is last.
    members: Vec<Member>,
    turn: usize,
}

#[derive(Debug)]
struct Member {
    tab: String,
    topics: Vec<String>,
    hidden: bool,
    told: f64,
}

impl Roster {
    /// Records what a tab wants, at the browser's time `now` in milliseconds.
    pub(super) fn note(&mut self, tab: &str, topics: &[Place], hidden: bool, now: f64) {
        let topics: Vec<String> = topics.iter().map(|place| place.topic.clone()).collect();
        match self.members.iter_mut().find(|member| member.tab == tab) {
            Some(member) => {
                member.topics = topics;
                member.hidden = hidden;
                member.told = now;
            }
            None => self.members.push(Member {
                tab: tab.to_owned(),
                topics,
                hidden,
                told: now,
            }),
        }
    }

    /// Removes a tab that left.
    pub(super) fn forget(&mut self, tab: &str) {
        self.members.retain(|member| member.tab != tab);
    }

    /// Removes tabs that ended without a message.
    pub(super) fn expire(&mut self, now: f64) {
        self.members.retain(|member| now - member.told < SILENT_TAB_MS);
    }

    /// All tabs that want something, except one.
    pub(super) fn others(&self, than: &str) -> Vec<String> {
        let others = self.members.iter().filter(|m| m.tab != than && !m.topics.is_empty());
        others.map(|member| member.tab.clone()).collect()
    }

    /// All wanted topics: those of visible tabs first, then those of the newest.
    pub(super) fn topics(&self) -> Vec<String> {
        let mut ranked: Vec<&Member> = self.members.iter().rev().collect();
        ranked.sort_by_key(|member| member.hidden);
        let mut topics: Vec<String> = Vec::new();
        for topic in ranked.iter().flat_map(|member| &member.topics) {
            if !topics.contains(topic) {
                topics.push(topic.clone());
            }
        }
        topics
    }

    /// The topics for the stream, and the topics that wait for their turn.
    ///
    /// Where not everything fits, the rest share a few places in turn, and each call moves on by a step.
    pub(super) fn choose(&mut self) -> (Vec<String>, Vec<String>) {
        let mut topics = self.topics();
        let fits = |topics: &[String], count: usize| {
            let mut room = TOPICS_BYTES;
            let fitting = topics.iter().take(count).take_while(|topic| {
                let left = room.checked_sub(topic.len());
                room = left.unwrap_or(0);
                left.is_some()
            });
            // A single topic is tried whatever its length.
            fitting.count().max(1).min(topics.len())
        };
        if fits(&topics, TOPICS_MAX) == topics.len() {
            return (topics, vec![]);
        }
        // Where the address is full before the places are, one of the fitting topics gives way.
        let full = TOPICS_MAX - PLACES_IN_TURN;
        let fixed = match fits(&topics, full) {
            count if count == full => full,
            count => count.saturating_sub(1).max(1),
        };
        let mut rest = topics.split_off(fixed);
        let step = self.turn % rest.len();
        rest.rotate_left(step);
        topics.append(&mut rest);
        let waiting = topics.split_off(fits(&topics, TOPICS_MAX));
        self.turn = step + (topics.len() - fixed).max(1);
        (topics, waiting)
    }
}

/// The leader's account: how far the stream has brought each topic, for all tabs that follow it.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Topics of the open stream: the leader forwards all frames after the place. Without a place, a snapshot is on its
    /// way.
    open: HashMap<String, Option<Position>>,
    /// The last places of topics that are no longer on the stream.
    left: HashMap<String, Option<Position>>,
    /// Places that tabs asked for and the open stream does not cover: it began after them.
    asked: HashMap<String, Option<Position>>,
}

/// A place that covers both. `None`: only a snapshot covers both.
fn both(a: Option<Position>, b: Option<Position>) -> Option<Position> {
    a?.earlier(b?)
}

impl Ledger {
    /// Whether the open stream gives a tab at this place of a topic everything that it has not seen.
    pub(super) fn gives(&mut self, place: &Place) -> bool {
        let given = match (self.open.get(&place.topic), place.at) {
            (Some(None), _) => true,
            (Some(Some(open)), Some(at)) => at.includes(*open),
            (Some(Some(_)) | None, _) => false,
        };
        if !given {
            let asked = self.asked.entry(place.topic.clone()).or_insert(place.at);
            *asked = both(*asked, place.at);
        }
        given
    }

    /// Reopens the stream for these topics: the place to start from for each.
    pub(super) fn open(&mut self, topics: &[String]) -> Vec<Place> {
        self.left.extend(self.open.drain());
        let mut asked = std::mem::take(&mut self.asked);
        for topic in topics {
            let at = match (self.left.remove(topic), asked.remove(topic)) {
                (Some(left), Some(asked)) => both(left, asked),
                (Some(at), None) | (None, Some(at)) => at,
                (None, None) => None,
            };
            self.open.insert(topic.clone(), at);
        }
        for (topic, at) in asked {
            let left = self.left.entry(topic).or_insert(at);
            *left = both(*left, at);
        }
        // A browser can visit any number of jobs; a place only saves a snapshot.
        if self.left.len() > 500 {
            self.left.clear();
        }
        self.places(topics)
    }

    /// The places from which the open stream gives everything, in the order of `topics`.
    pub(super) fn places(&self, topics: &[String]) -> Vec<Place> {
        let at = |topic: &String| self.open.get(topic).copied().flatten();
        let place = |topic: &String| Place {
            topic: topic.clone(),
            at: at(topic),
        };
        topics.iter().map(place).collect()
    }

    /// Records that a snapshot of a topic was forwarded.
    pub(super) fn snapshot(&mut self, topic: &str, position: Option<Position>) {
        if let Some(open) = self.open.get_mut(topic) {
            *open = position;
        }
    }

    /// Records that a frame with this number was forwarded: all topics have come as far, because the server sends
    /// frames in the order of their numbers.
    pub(super) fn reached(&mut self, position: Position) {
        for open in self.open.values_mut().flatten() {
            if open.epoch != position.epoch || open.seq < position.seq {
                *open = position;
            }
        }
    }
}

/// A tab's account of one topic: what its page shows, and whether it receives every change.
#[derive(Debug)]
pub(super) struct Gate {
    pub(super) topic: String,
    /// What the page shows is true for this position.
    pub(super) at: Option<Position>,
    /// Whether the leader forwards everything after `at`.
    pub(super) open: bool,
}

impl Gate {
    /// The leader forwards everything after `place`. If that leaves a gap, the gate stays shut.
    pub(super) fn covers(&mut self, place: Option<Position>) -> bool {
        self.open = match (place, self.at) {
            (None, _) => true,
            (Some(place), Some(at)) => at.includes(place),
            (Some(_), None) => false,
        };
        self.open
    }

    /// Whether to show a snapshot: not if the page is already further.
    pub(super) fn snapshot(&mut self, position: Option<Position>) -> bool {
        let older = self
            .at
            .zip(position)
            .is_some_and(|(at, new)| (new.epoch, new.seq) < (at.epoch, at.seq));
        if older {
            return false;
        }
        self.at = position;
        self.open = true;
        true
    }

    /// Whether to show a change: not if the page has it, and not if an earlier one is missing.
    pub(super) fn delta(&mut self, position: Position) -> bool {
        let next = self.open
            && self
                .at
                .is_none_or(|at| at.epoch == position.epoch && at.seq < position.seq);
        if next {
            self.at = Some(position);
        }
        next
    }

    /// A change of another topic passed: so this topic is complete up to there.
    pub(super) fn passed(&mut self, position: Position) {
        if let Some(at) = self.at.as_mut().filter(|at| self.open && at.epoch == position.epoch) {
            at.seq = at.seq.max(position.seq);
        }
    }
}

#[cfg(test)]
#[path = "share_tests.rs"]
mod tests;
