//! What a tab does while it leads: it holds the one connection, for the topics of all tabs.
//!
//! The leader reopens the connection when tabs want topics that it does not serve, but not more often than a few times
//! a second; after a failure it waits for a growing and randomised pause; and it reopens the connection after two and a
//! half heartbeats of silence.

use super::browser::{fetch_text, set_timeout};
use super::channel::Post;
use super::share::{Ledger, Place, Word};
use super::source::{OnEvent, Source};
use super::stream::{Tab, clock, hand_on, say};
use crate::model::event::{Bye, Frame, HEARTBEAT_MS, Heartbeat, RENEWAL_MS};
use std::rc::Rc;

/// Silence after which a connection counts as dead: two heartbeats and a half.
const SILENCE_MS: f64 = HEARTBEAT_MS as f64 * 2.5;

/// The longest pause between two attempts.
const PAUSE_MAX_MS: f64 = 15_000.0;

/// Requests for topics within this time are served together.
const GATHER_MS: f64 = 250.0;

/// How long a new leader waits for the answers of the tabs it knows.
const ANSWERS_MS: i32 = 150;

/// How long topics wait for their turn.
const TURN_MS: f64 = 5_000.0;

/// See the module.
pub(super) struct Leader {
    ledger: Ledger,
    /// The topics of the connection, and those that wait for their turn.
    topics: Vec<String>,
    turns: Vec<String>,
    source: Option<Source>,
    /// Tabs whose answers to a new leader are outstanding.
    awaited: Vec<String>,
    begun: bool,
    /// Counts openings, so that events of an earlier connection are ignored.
    generation: u32,
    opened: f64,
    heard: f64,
    attempts: u32,
    /// Whether the connection is up; `None` before the first one succeeded or failed.
    up: Option<bool>,
    /// Whether a reopening is scheduled.
    planned: bool,
}

impl Leader {
    /// A leader that first waits for the answers of these tabs.
    pub(super) fn new(awaited: Vec<String>) -> Self {
        Self {
            ledger: Ledger::default(),
            topics: vec![],
            turns: vec![],
            source: None,
            awaited,
            begun: false,
            generation: 0,
            opened: 0.0,
            heard: clock(),
            attempts: 0,
            up: None,
            planned: false,
        }
    }
}

/// Runs `work` on the leader, if this tab leads.
fn with<T>(tab: &Rc<Tab>, work: impl FnOnce(&mut Leader) -> T) -> Option<T> {
    tab.lead.borrow_mut().as_mut().map(work)
}

/// Waits for the topics of all tabs, but not for long.
pub(super) fn begin(tab: &Rc<Tab>) {
    let later = tab.clone();
    set_timeout(ANSWERS_MS, move || start(&later));
    if with(tab, |leader| leader.awaited.is_empty()) == Some(true) {
        start(tab);
    }
}

fn start(tab: &Rc<Tab>) {
    if with(tab, |leader| !std::mem::replace(&mut leader.begun, true)) == Some(true) {
        open(tab);
    }
}

/// Handles a tab's request for topics.
pub(super) fn wanted(tab: &Rc<Tab>, who: &str, places: &[Place]) {
    let Some((begun, complete)) = with(tab, |leader| {
        leader.awaited.retain(|tab| tab != who);
        (leader.begun, leader.awaited.is_empty())
    }) else {
        return;
    };
    // Asks the ledger about each place, and does not stop at the first that is not given.
    let given = with(tab, |leader| {
        places.iter().filter(|place| !leader.ledger.gives(place)).count() == 0
    });
    if !begun {
        if complete {
            start(tab);
        }
        return;
    }
    // Topics that wait for their turn need no reopening: their turn comes.
    let patient = with(tab, |l| places.iter().all(|p| l.turns.contains(&p.topic)));
    let broken = with(tab, |l| l.source.is_none() && clock() - l.opened > 1_000.0);
    if places.is_empty() {
        review(tab);
    } else if broken != Some(true) && (given == Some(true) || patient == Some(true)) {
        announce(tab);
    } else {
        open_soon(tab);
    }
}

/// Handles a tab that is gone: its topics are no longer wanted.
pub(super) fn left(tab: &Rc<Tab>, who: &str) {
    if with(tab, |leader| {
        leader.awaited.retain(|tab| tab != who);
        leader.begun
    }) == Some(true)
    {
        review(tab);
    }
}

/// Reopens the connection if it carries more topics than the tabs want.
fn review(tab: &Rc<Tab>) {
    let wanted = tab.roster.borrow().topics();
    let spare = with(tab, |leader| leader.topics.iter().any(|topic| !wanted.contains(topic)));
    if spare == Some(true) {
        open_soon(tab);
    }
}

/// Announces what the open connection gives, for tabs that came after it was opened.
fn announce(tab: &Rc<Tab>) {
    if let Some((covers, link)) = with(tab, |leader| {
        let covers = Word::Covers {
            leader: tab.id.clone(),
            topics: leader.ledger.places(&leader.topics),
            turns: leader.turns.clone(),
        };
        let leader_id = tab.id.clone();
        (covers, leader.up.map(|up| Word::Link { leader: leader_id, up }))
    }) {
        say(tab, covers);
        if let Some(link) = link {
            say(tab, link);
        }
    }
}

/// Reopens the connection: at once, or together with other requests of this moment.
fn open_soon(tab: &Rc<Tab>) {
    let Some(wait) = with(tab, |leader| {
        let wait = GATHER_MS - (clock() - leader.opened);
        let planned = std::mem::replace(&mut leader.planned, wait > 0.0);
        (!planned).then_some(wait)
    })
    .flatten() else {
        return;
    };
    if wait <= 0.0 {
        return open(tab);
    }
    let tab = tab.clone();
    #[expect(clippy::cast_possible_truncation, reason = "at most 250")]
    set_timeout(wait as i32, move || {
        if with(&tab, |leader| std::mem::replace(&mut leader.planned, false)) == Some(true) {
            open(&tab);
        }
    });
}

fn open(tab: &Rc<Tab>) {
    let (topics, turns) = tab.roster.borrow_mut().choose();
    let Some((places, generation)) = with(tab, |leader| {
        leader.source = None;
        leader.planned = false;
        leader.generation += 1;
        (leader.opened, leader.heard) = (clock(), clock());
        leader.topics = topics;
        leader.turns = turns;
        (leader.ledger.open(&leader.topics), leader.generation)
    }) else {
        return;
    };
    // Before the connection opens: its frames come after the announcement.
    announce(tab);
    if places.is_empty() {
        return;
    }
    let ears = Rc::downgrade(tab);
    let on_event: OnEvent = Rc::new(move |name, id, data| {
        if let Some(tab) = ears.upgrade()
            && with(&tab, |leader| leader.generation == generation) == Some(true)
        {
            hear(&tab, name, id, data);
        }
    });
    match Source::open(&tab.events, &places, &on_event) {
        Some(source) => {
            with(tab, |leader| leader.source = Some(source));
        }
        None => lost(tab, None),
    }
}

fn hear(tab: &Rc<Tab>, name: &'static str, id: String, data: String) {
    match name {
        "error" => return lost(tab, None),
        "bye" => {
            let bye = serde_json::from_str::<Bye>(&data);
            return lost(tab, Some(bye.map_or(1000, |bye| bye.retry_ms)));
        }
        _ => {}
    }
    let was_up = with(tab, |leader| {
        leader.heard = clock();
        leader.attempts = 0;
        leader.up.replace(true)
    });
    if was_up != Some(Some(true)) || name == "open" {
        let leader = tab.id.clone();
        say(tab, Word::Link { leader, up: true });
    }
    match name {
        "snapshot" | "delta" | "refused" => {
            with(tab, |leader| match (name, Frame::head(&data), id.parse()) {
                ("snapshot", Some((topic, position)), _) => leader.ledger.snapshot(topic, position),
                ("delta", _, Ok(position)) => leader.ledger.reached(position),
                _ => {}
            });
            let (leader, kind) = (tab.id.clone(), name.to_owned());
            hand_on(tab, Post { leader, kind, id, data });
        }
        "heartbeat" => {
            if let Ok(beat) = serde_json::from_str::<Heartbeat>(&data) {
                let leader = tab.id.clone();
                say(tab, Word::Beat { leader, now: beat.now });
            }
        }
        _ => {}
    }
}

/// Handles a broken connection: reports it, and reconnects after a pause, of this length if the server gave one.
fn lost(tab: &Rc<Tab>, pause: Option<u32>) {
    let Some((pause, generation)) = with(tab, |leader| {
        leader.source = None;
        leader.up = Some(false);
        let grown = (500.0 * 2_f64.powi(leader.attempts.min(5).cast_signed())).min(PAUSE_MAX_MS);
        leader.attempts += 1;
        let pause = pause.map_or_else(|| grown * (0.5 + js_sys::Math::random() / 2.0), f64::from);
        (pause, leader.generation)
    }) else {
        return;
    };
    // The server ends a stream so that it is authorised again: the link is not lost.
    if pause > f64::from(RENEWAL_MS) {
        let leader = tab.id.clone();
        say(tab, Word::Link { leader, up: false });
        // A stream does not say why it is refused; this request takes a reader who is no longer signed in to the
        // sign-in page.
        fetch_text(
            format!("{}/api/v1/stores", tab.events.trim_end_matches("/events")),
            |_| (),
        );
    }
    let tab = tab.clone();
    #[expect(clippy::cast_possible_truncation, reason = "at most 15,000")]
    set_timeout(pause as i32, move || {
        let still = with(&tab, |leader| {
            leader.generation == generation && leader.source.is_none()
        });
        if still == Some(true) {
            open(&tab);
        }
    });
}

/// A connection can die silently (a laptop that slept, a proxy that forgot it): missing heartbeats show it. Topics that
/// wait also get their turn here.
pub(super) fn look(tab: &Rc<Tab>) {
    let now = clock();
    let (silent, turn) = with(tab, |leader| {
        let open = leader.source.is_some();
        (
            open && now - leader.heard > SILENCE_MS,
            open && !leader.turns.is_empty() && now - leader.opened > TURN_MS,
        )
    })
    .unwrap_or_default();
    if silent {
        lost(tab, None);
    } else if turn {
        open(tab);
    }
}
