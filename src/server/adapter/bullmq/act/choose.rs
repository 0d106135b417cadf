//! Which library's scripts may touch a queue: decided anew for every action, and checked once more inside it.
//!
//! Up to version 5 a pause renames the waiting list to `paused` and a resume renames it back, over whatever is there; from
//! 6 on a pause is a flag. The wrong script on a paused queue therefore loses jobs. Where 5 cannot be told from 6, by
//! what lies in the store or by a version that only one of them has written lately:
//!
//! | what | script | why |
//! |---|---|---|
//! | brings a job into a queue that is not paused | 6 | both put it in the same place |
//! | … that is paused | 5 | into `paused`, which a resume of either version brings back |
//! | pause | 5 | a resume of either version undoes it; a flag alone would not stop what 5 renames back |
//! | resume | 6, for 5 as well | it merges both lists; that of 5 renames one over the other |
//! | obliterate | 6, for 5 as well | it knows the lists of both |

use super::super::super::redis::link::Link;
use super::super::super::{QueueId, Trouble};
use super::super::family::Layout;
use super::super::layout::{Blocking, Layouts, Look};
use super::super::workers;
use super::library::Generation;
use super::needs;
use super::pack::Pack;
use crate::model::store::Reach;
use std::time::Duration;

/// How old the list of workers may be.
const WORKERS_WITHIN: Duration = Duration::from_secs(5);

/// What the choice is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// May put a job into a waiting list, be it a parent.
    Enqueue,
    Pause,
    /// Resume or obliterate.
    Undo,
}

/// Whose scripts, and under which conditions.
#[derive(Clone, Debug)]
pub(super) struct Choice {
    pub(super) generation: Generation,
    /// The layouts for which they are right.
    letters: String,
    /// Whether the queue must be paused, or not, for them to be right.
    paused: Option<bool>,
    blocking: Option<Blocking>,
    /// Whether its version does not tell 5 from 6.
    both: bool,
    /// Whether the queue was paused when it was read.
    pub(super) looked_paused: bool,
}

/// Looks at a queue now. Nothing is begun for a user who lacks a part of the commands.
pub(super) async fn look(link: &Link, layouts: &Layouts, queue: &QueueId) -> Result<Look, Trouble> {
    if let Some(why) = link.rights().refusal_of(needs::LIBRARY, link.user()) {
        link.rights().doubt();
        return Err(Trouble::new(Reach::Refused, why));
    }
    if !layouts.knows_blocking(WORKERS_WITHIN) {
        // A server that refuses the list tells nothing; the rest of the evidence has to do.
        workers::read(link, layouts, &layouts.queues()).await?;
    }
    layouts.look(link, queue).await
}

/// Why there is nothing to act on.
pub(super) const NO_QUEUE: &str = "This queue does not exist: the store holds none of its keys.";

/// Decides.
///
/// # Errors
///
/// Where no scripts are right: why.
pub(super) fn choose(look: &Look, purpose: Purpose) -> Result<Choice, &'static str> {
    if !look.exists {
        return Err(NO_QUEUE);
    }
    let layout = look.family.layout;
    let (generation, letters, paused) = match (layout, purpose) {
        (Layout::Bull4, _) => (Generation::Bull4, "B", None),
        (Layout::BullMq3, Purpose::Enqueue) => (Generation::V3, "3", Some(look.paused)),
        (Layout::BullMq4, Purpose::Enqueue) => (Generation::V4, "4", Some(look.paused)),
        (Layout::BullMq3, _) => (Generation::V3, "3", None),
        (Layout::BullMq4, _) => (Generation::V4, "4", None),
        (Layout::BullMq5 | Layout::BullMq6 | Layout::BullMq5Or6, Purpose::Undo) => (Generation::V6, "56u", None),
        (Layout::BullMq5, _) => (Generation::V5, "5", Some(look.paused)),
        (Layout::BullMq6, _) => (Generation::V6, "6", Some(look.paused)),
        (Layout::BullMq5Or6, Purpose::Pause) => (Generation::V5, "u", Some(look.paused)),
        (Layout::BullMq5Or6, Purpose::Enqueue) if look.paused => (Generation::V5, "u", Some(true)),
        (Layout::BullMq5Or6, Purpose::Enqueue) => (Generation::V6, "u", Some(false)),
        // Of these none is laid out by this library.
        (Layout::BullMqPro | Layout::BeeQueue | Layout::Unknown, _) => {
            return Err(layout.unsupported().unwrap_or(NO_QUEUE));
        }
    };
    Ok(Choice {
        generation,
        letters: letters.to_owned(),
        paused,
        blocking: look.blocking,
        both: look.both,
        looked_paused: look.paused,
    })
}

impl Choice {
    /// The part of an order that the guard checks the choice by.
    pub(super) fn order(&self) -> Vec<(&'static str, Pack)> {
        let mut order = vec![("letters", Pack::text(&self.letters))];
        if let Some(paused) = self.paused {
            order.push(("paused", Pack::Int(i64::from(paused))));
        }
        if self.both {
            order.push(("both", Pack::Bool(true)));
        }
        if let Some(blocking) = self.blocking {
            let word = match blocking {
                Blocking::List => "l",
                Blocking::Marker => "m",
            };
            order.push(("blocking", Pack::text(word)));
        }
        order
    }
}
