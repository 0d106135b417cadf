//! The event stream of a page, which all tabs of a browser share.
//!
//! A browser has six connections per host under HTTP/1.1, to share with the rest of the application under that host: a
//! stream for each tab would block it at the sixth. So one tab leads. It holds the one `EventSource`, for the topics of
//! all tabs, and forwards every frame to the others.
//!
//! **Who leads.** The tab that holds the Web Lock; when it closes, crashes or goes to another page, the browser gives
//! the lock to the next. On plain HTTP there are no locks: then a tab that hears of no leader claims the lead, of two
//! that do the smaller id keeps it, and one that leaves announces it. A visible tab that asks and gets no answer takes
//! over the lead. Without a channel a tab leads only itself. Nothing below depends on there being one leader only: two
//! for a moment are two streams, not a wrong page.
//!
//! **What the leader forwards.** Each tab says which topics it wants and the position its page is true for
//! ([`Word::Want`]). The leader opens the stream from there, topic by topic, and announces from which place on it
//! forwards *everything* ([`Word::Covers`]). A tab applies changes only after an announcement that begins no later than
//! its own page ends, so nothing is lost; and only those with numbers above its own, so nothing is shown twice or goes
//! back (a [`Gate`]). If an announcement begins too late for it, the tab repeats its position, and the leader reopens
//! the stream from there; that costs one request and is invisible. The channel keeps the order of each tab's messages,
//! and this protocol needs no other guarantee. A new leader asks every tab ([`Word::Lead`]) and starts from the
//! answers.
//!
//! **Hidden tabs.** The frames for a hidden tab wait until it is visible ([`super::beat`]). A tab that was hidden for a
//! minute wants nothing any more; when no tab wants anything, the leader closes the stream. A tab that becomes visible
//! again says its position and gets what it missed.
//!
//! **More topics than one stream takes.** Visible tabs first, then the newest; the others take turns every few seconds
//! ([`LinkState::Turns`]).
//!
//! This module is the tab; [`super::leader`] is what it does while it leads.

use super::beat::{Frames, time_of};
use super::browser::{
    hidden, on_document_event, on_event, random_id, server_time, set_interval, set_time, set_timeout,
};
use super::channel::{Channel, Heard, Line, Post};
use super::leader::Leader;
use super::share::{Gate, Place, Roster, Word};
use super::{LinkState, Live, OnFrame};
use crate::model::Millis;
use crate::model::event::{Frame, HEARTBEAT_MS, Refused};
use crate::model::position::Position;
use crate::ui::context::base;
use leptos::prelude::*;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

/// How long a hidden tab is still kept up to date.
const HIDDEN_MS: i32 = 60_000;

/// A leader that is silent for this long counts as gone: two heartbeats and a half.
const SILENCE_MS: f64 = HEARTBEAT_MS as f64 * 2.5;

/// A heartbeat that is later than this counts as missed, and the page is as old as the last one.
const LATE_MS: f64 = HEARTBEAT_MS as f64 + 2_000.0;

/// A leader that does not answer a visible tab for this long is stuck.
const ANSWER_MS: f64 = 3_000.0;

/// A tab repeats at this interval what it wants, so that no other tab forgets it.
const REPEAT_MS: f64 = 20_000.0;

/// How often a tab checks its leader and link. With [`LATE_MS`], a missed heartbeat is noticed within three seconds.
const LOOK_MS: i32 = 1_000;

/// Without locks: how long a tab listens for a leader before it claims the lead itself.
const CLAIM_MS: f64 = 150.0;

/// This tab.
pub(super) struct Tab {
    pub(super) id: String,
    /// The address of streams.
    pub(super) events: String,
    live: Live,
    frames: Rc<Frames>,
    gates: RefCell<Vec<Gate>>,
    pub(super) roster: RefCell<Roster>,
    channel: RefCell<Option<Channel>>,
    line: RefCell<Option<Rc<Line>>>,
    /// The leader that this tab listens to.
    leader: RefCell<String>,
    /// The leader's state, while this tab leads.
    pub(super) lead: RefCell<Option<Leader>>,
    /// Messages that this tab sent and has not handled itself: the channel brings a tab only what others say.
    inbox: RefCell<VecDeque<Heard>>,
    hearing: Cell<bool>,
    /// When the leader was last heard, and since when an answer is due.
    heard: Cell<f64>,
    /// When the server was last heard, through any leader, and its clock's time then.
    vouched: Cell<(f64, Millis)>,
    asked: Cell<Option<f64>>,
    told: Cell<f64>,
    /// Whether the connection is up; `None` before it is known.
    up: Cell<Option<bool>>,
    /// Taking turns; refused by the server; released while hidden; left for the back-forward cache.
    turns: Cell<bool>,
    refused: Cell<bool>,
    resting: Cell<bool>,
    away: Cell<bool>,
    /// Counts changes of visibility, so that the timer of an earlier one does nothing.
    looks: Cell<u32>,
}

pub(super) fn clock() -> f64 {
    js_sys::Date::now()
}

/// Follows `topics` (a comma-separated list) from `after` for as long as the page lives.
pub fn follow(live: Live, topics: &str, after: String, on_frame: OnFrame) {
    let at = Position::try_from(after).ok();
    let gate = |topic: &str| Gate {
        topic: topic.to_owned(),
        at,
        open: false,
    };
    let tab = Rc::new(Tab {
        id: random_id(),
        events: base().href("/events"),
        live,
        frames: Frames::new(on_frame),
        gates: RefCell::new(topics.split(',').map(gate).collect()),
        roster: RefCell::default(),
        channel: RefCell::new(None),
        line: RefCell::new(None),
        leader: RefCell::default(),
        lead: RefCell::new(None),
        inbox: RefCell::default(),
        hearing: Cell::new(false),
        heard: Cell::new(clock()),
        vouched: Cell::new((clock(), live.made)),
        asked: Cell::new(None),
        told: Cell::new(0.0),
        up: Cell::new(None),
        turns: Cell::new(false),
        refused: Cell::new(false),
        resting: Cell::new(false),
        away: Cell::new(false),
        looks: Cell::new(0),
    });
    live.link.set(LinkState::Connecting);
    watch_visibility(&tab);
    watch_over(&tab);
    let (leaving, coming) = (tab.clone(), tab.clone());
    on_event("pagehide", move || leave(&leaving));
    on_event("pageshow", move || {
        if coming.away.replace(false) {
            enter(&coming);
        }
    });
    enter(&tab);
    if hidden() {
        hide_later(&tab);
    }
}

/// Joins the other tabs.
fn enter(tab: &Rc<Tab>) {
    // Tabs of another version may use another protocol; another base path is another board.
    let name = format!("drover {} {}", env!("CARGO_PKG_VERSION"), tab.events);
    let ears = Rc::downgrade(tab);
    let channel = Channel::join(&name, move |heard| {
        if let Some(tab) = ears.upgrade() {
            hear(&tab, heard);
        }
    });
    let alone = channel.is_none();
    tab.channel.replace(channel);
    if alone {
        return lead(tab);
    }
    let (up, down) = (Rc::downgrade(tab), Rc::downgrade(tab));
    let line = Line::new(
        &name,
        Box::new(move || {
            if let Some(tab) = up.upgrade() {
                lead(&tab);
            }
        }),
        Box::new(move || {
            if let Some(tab) = down.upgrade() {
                step_down(&tab);
            }
        }),
    );
    match &line {
        Some(line) => line.stand(false),
        None => claim_later(tab),
    }
    tab.line.replace(line);
    want(tab);
}

/// The reader leaves the page, and perhaps comes back.
fn leave(tab: &Rc<Tab>) {
    tab.away.set(true);
    tab.lead.replace(None);
    if let Some(channel) = tab.channel.take() {
        channel.say(&Word::Gone { tab: tab.id.clone() });
    }
    if let Some(line) = tab.line.take() {
        line.leave();
    }
    tab.leader.take();
    for gate in tab.gates.borrow_mut().iter_mut() {
        gate.open = false;
    }
}

fn lead(tab: &Rc<Tab>) {
    if tab.lead.borrow().is_none() && !tab.away.get() {
        let others = tab.roster.borrow().others(&tab.id);
        tab.lead.replace(Some(Leader::new(others)));
        say(tab, Word::Lead { leader: tab.id.clone() });
        super::leader::begin(tab);
    }
}

fn step_down(tab: &Rc<Tab>) {
    // Dropping the leader closes its connection.
    if tab.lead.replace(None).is_some() {
        want(tab);
    }
}

/// Without locks: claims the lead unless another tab turns out to have it.
fn claim_later(tab: &Rc<Tab>) {
    let (tab, since) = (tab.clone(), clock());
    #[expect(clippy::cast_possible_truncation, reason = "a fraction of a second")]
    let pause = (CLAIM_MS * (1.0 + js_sys::Math::random())) as i32;
    set_timeout(pause, move || {
        let heard = tab.heard.get() > since && !tab.leader.borrow().is_empty();
        if !heard && tab.line.borrow().is_none() {
            lead(&tab);
        }
    });
}

/// Takes the lead from the tab that has it and is stuck.
fn take_over(tab: &Rc<Tab>) {
    tab.heard.set(clock());
    tab.asked.set(None);
    let line = tab.line.borrow().clone();
    match line {
        Some(line) => line.stand(true),
        None => lead(tab),
    }
}

/// Sends a message to all tabs, this one included.
pub(super) fn say(tab: &Rc<Tab>, word: Word) {
    if let Some(channel) = &*tab.channel.borrow() {
        channel.say(&word);
    }
    hear(tab, Heard::Word(word));
}

/// Forwards a frame to all tabs, this one included.
pub(super) fn hand_on(tab: &Rc<Tab>, post: Post) {
    if let Some(channel) = &*tab.channel.borrow() {
        channel.hand_on(&post);
    }
    hear(tab, Heard::Post(post));
}

/// Announces what this tab wants and the position of its page.
fn want(tab: &Rc<Tab>) {
    let place = |gate: &Gate| Place {
        topic: gate.topic.clone(),
        at: gate.at,
    };
    let topics: Vec<Place> = match tab.resting.get() {
        true => vec![],
        false => tab.gates.borrow().iter().map(place).collect(),
    };
    let (now, hidden) = (clock(), hidden());
    tab.told.set(now);
    if !topics.is_empty() && tab.asked.get().is_none() {
        tab.asked.set(Some(now));
    }
    let tab_id = tab.id.clone();
    say(
        tab,
        Word::Want {
            tab: tab_id,
            topics,
            hidden,
        },
    );
}

/// Handles messages one after the other: an answer waits until the message that caused it has been handled.
fn hear(tab: &Rc<Tab>, heard: Heard) {
    tab.inbox.borrow_mut().push_back(heard);
    if tab.hearing.replace(true) {
        return;
    }
    loop {
        let next = tab.inbox.borrow_mut().pop_front();
        match next {
            Some(Heard::Word(word)) => take_word(tab, word),
            Some(Heard::Post(post)) => take_post(tab, &post),
            None => break,
        }
    }
    tab.hearing.set(false);
    show(tab);
}

fn take_word(tab: &Rc<Tab>, word: Word) {
    match word {
        Word::Want {
            tab: who,
            topics,
            hidden,
        } => {
            tab.roster.borrow_mut().note(&who, &topics, hidden, clock());
            super::leader::wanted(tab, &who, &topics);
        }
        Word::Gone { tab: who } => {
            tab.roster.borrow_mut().forget(&who);
            super::leader::left(tab, &who);
            if *tab.leader.borrow() == who && tab.line.borrow().is_none() {
                tab.leader.take();
                claim_later(tab);
            }
        }
        Word::Lead { leader } => {
            let rivals = tab.lead.borrow().is_some() && leader != tab.id;
            // The tab with the lock leads; among claims the smaller id does.
            if rivals && tab.line.borrow().is_none() && tab.id < leader {
                return say(tab, Word::Lead { leader: tab.id.clone() });
            }
            if rivals {
                tab.lead.replace(None);
            }
            listen_to(tab, &leader);
            want(tab);
        }
        Word::Covers { leader, topics, turns } => {
            listen_to(tab, &leader);
            tab.asked.set(None);
            let (mut content, mut in_turn) = (true, false);
            for gate in tab.gates.borrow_mut().iter_mut() {
                match topics.iter().find(|place| place.topic == gate.topic) {
                    Some(place) => content &= gate.covers(place.at),
                    None => {
                        gate.open = false;
                        let known = turns.contains(&gate.topic);
                        in_turn |= known;
                        content &= known;
                    }
                }
            }
            tab.turns.set(in_turn);
            if !content && !tab.resting.get() {
                want(tab);
            }
        }
        Word::Link { leader, up } => {
            if *tab.leader.borrow() == leader {
                tab.heard.set(clock());
                tab.up.set(Some(up));
            }
        }
        Word::Beat { leader, now } => {
            if *tab.leader.borrow() == leader {
                tab.heard.set(clock());
                set_time(now);
                tab.vouched.set((clock(), now));
            }
        }
    }
}

/// From now on only frames from this leader count, and only after it has announced them.
fn listen_to(tab: &Rc<Tab>, leader: &str) {
    tab.heard.set(clock());
    if *tab.leader.borrow() != leader {
        tab.leader.replace(leader.to_owned());
        for gate in tab.gates.borrow_mut().iter_mut() {
            gate.open = false;
        }
    }
}

fn take_post(tab: &Rc<Tab>, post: &Post) {
    if *tab.leader.borrow() != post.leader {
        return;
    }
    tab.heard.set(clock());
    tab.vouched.set((clock(), server_time()));
    let Some((topic, snapshot_at)) = Frame::head(&post.data) else {
        return;
    };
    let id = post.id.parse().ok();
    let snapshot = post.kind == "snapshot";
    let mut mine = false;
    for gate in tab.gates.borrow_mut().iter_mut() {
        if gate.topic == topic {
            mine = match (post.kind.as_str(), id) {
                ("snapshot", _) => gate.snapshot(snapshot_at),
                ("delta", Some(id)) => gate.delta(id),
                _ => false,
            };
        } else if let ("delta", Some(id)) = (post.kind.as_str(), id) {
            gate.passed(id);
        }
        if gate.topic == topic && post.kind == "refused" && serde_json::from_str::<Refused>(&post.data).is_ok() {
            tab.refused.set(true);
        }
    }
    if mine {
        tab.refused.set(false);
        if let Some(now) = time_of(&post.data) {
            set_time(now);
        }
        tab.frames.add(&post.data, snapshot);
    }
}

/// Sets the link state of the page.
fn show(tab: &Rc<Tab>) {
    let link = tab.live.link;
    let shown = link.get_untracked();
    let covered = tab.gates.borrow().iter().all(|gate| gate.open);
    let (at, since) = tab.vouched.get();
    let state = if tab.resting.get() {
        LinkState::Resting
    } else if clock() - at > LATE_MS {
        match shown {
            LinkState::Reconnecting { .. } => shown,
            _ => LinkState::Reconnecting { since },
        }
    } else if tab.up.get() == Some(false) || tab.refused.get() {
        match shown {
            LinkState::Reconnecting { .. } => shown,
            _ => LinkState::Reconnecting {
                since: tab.live.now.get_untracked(),
            },
        }
    } else if covered && tab.up.get().is_some() {
        LinkState::Live
    } else if tab.turns.get() {
        LinkState::Turns
    } else if shown == LinkState::Resting {
        LinkState::Connecting
    } else {
        // Between two leaders, for a moment: the last state of the page is still right.
        shown
    };
    if state != shown {
        link.set(state);
    }
}

/// Checks for leaders, connections and tabs that ended silently.
fn watch_over(tab: &Rc<Tab>) {
    let tab = tab.clone();
    set_interval(LOOK_MS, move || {
        if tab.away.get() {
            return;
        }
        let now = clock();
        if now - tab.told.get() > REPEAT_MS {
            want(&tab);
        }
        tab.roster.borrow_mut().expire(now);
        show(&tab);
        if tab.lead.borrow().is_some() {
            super::leader::look(&tab);
        } else if !hidden() {
            let silent = now - tab.heard.get() > SILENCE_MS;
            let unanswered = tab.asked.get().is_some_and(|asked| now - asked > ANSWER_MS);
            if silent || unanswered {
                take_over(&tab);
            }
        }
    });
}

fn watch_visibility(tab: &Rc<Tab>) {
    let tab = tab.clone();
    on_document_event("visibilitychange", move || {
        tab.looks.set(tab.looks.get() + 1);
        if hidden() {
            hide_later(&tab);
        } else {
            tab.resting.set(false);
            tab.heard.set(clock());
        }
        if !tab.away.get() {
            want(&tab);
        }
    });
}

/// The tab is hidden: after a while it wants nothing any more.
fn hide_later(tab: &Rc<Tab>) {
    let (tab, look) = (tab.clone(), tab.looks.get());
    set_timeout(HIDDEN_MS, move || {
        if hidden() && tab.looks.get() == look && !tab.away.get() {
            tab.resting.set(true);
            tab.asked.set(None);
            // Waiting frames are not kept for as long as the tab stays hidden.
            tab.frames.show();
            for gate in tab.gates.borrow_mut().iter_mut() {
                gate.open = false;
            }
            want(&tab);
        }
    });
}
