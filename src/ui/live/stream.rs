//! The page's event stream.
//!
//! The browser's own `EventSource` gives up for ever on some failures and cannot be given a place to
//! go on from, so it is owned here: opened with `after`, reopened after a pause that grows and is
//! never the same twice, given up when nothing has been heard for longer than two heartbeats, and
//! released while the tab is hidden, because a browser has six connections per host to share with
//! the rest of the application.

use super::browser::{document, set_time, set_timeout, window};
use super::{LinkState, Live, OnFrame};
use crate::model::event::{Bye, Frame, Heartbeat};
use crate::ui::app::base;
use leptos::prelude::*;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use wasm_bindgen::JsCast as _;
use wasm_bindgen::prelude::*;
use web_sys::{EventSource, MessageEvent};

/// Silence after which the link counts as dead: two heartbeats and a half.
const SILENCE_MS: f64 = 25_000.0;

/// How long a hidden tab keeps its stream.
const HIDDEN_MS: i32 = 30_000;

/// The longest pause between two attempts.
const PAUSE_MAX_MS: f64 = 15_000.0;

struct Stream {
    live: Live,
    url: String,
    on_frame: OnFrame,
    /// The last position that was reached.
    after: RefCell<String>,
    source: RefCell<Option<Source>>,
    heard: Cell<f64>,
    attempts: Cell<u32>,
    /// Counts openings, so that a timer of an earlier one changes nothing.
    generation: Cell<u32>,
}

/// An open connection and the callbacks it needs.
struct Source {
    events: EventSource,
    _callbacks: Vec<Closure<dyn Fn(MessageEvent)>>,
}

impl Drop for Source {
    fn drop(&mut self) {
        self.events.close();
    }
}

/// Follows `topics` (a comma-separated list) from `after` for as long as the page lives.
pub fn follow(live: Live, topics: &str, after: String, on_frame: OnFrame) {
    let topics = utf8_percent_encode(topics, NON_ALPHANUMERIC);
    let stream = Rc::new(Stream {
        live,
        url: format!("{}?topics={topics}", base().href("/events")),
        on_frame,
        after: RefCell::new(after),
        source: RefCell::new(None),
        heard: Cell::new(js_sys::Date::now()),
        attempts: Cell::new(0),
        generation: Cell::new(0),
    });
    live.link.set(LinkState::Connecting);
    watch_visibility(&stream);
    watch_silence(&stream);
    open(&stream);
}

fn open(stream: &Rc<Stream>) {
    stream.generation.set(stream.generation.get() + 1);
    let url = format!("{}&after={}", stream.url, stream.after.borrow());
    let Ok(events) = EventSource::new(&url) else {
        return lost(stream);
    };
    let mut callbacks = Vec::new();
    let mut on = |name: &str, then: fn(&Rc<Stream>, &MessageEvent)| {
        let weak = Rc::downgrade(stream);
        let callback = Closure::<dyn Fn(MessageEvent)>::new(move |event: MessageEvent| {
            if let Some(stream) = weak.upgrade() {
                then(&stream, &event);
            }
        });
        let _ = events.add_event_listener_with_callback(name, callback.as_ref().unchecked_ref());
        callbacks.push(callback);
    };
    on("open", |stream, _| heard(stream));
    on("snapshot", |stream, event| frame(stream, event, true));
    on("delta", |stream, event| frame(stream, event, false));
    on("heartbeat", |stream, event| {
        heard(stream);
        if let Some(beat) = read::<Heartbeat>(event) {
            set_time(beat.now);
        }
    });
    on("bye", |stream, event| {
        let pause = read::<Bye>(event).map_or(1000, |bye| bye.retry_ms);
        close(stream);
        reopen_after(stream, f64::from(pause));
    });
    on("error", |stream, _| lost(stream));
    stream.heard.set(js_sys::Date::now());
    stream.source.replace(Some(Source {
        events,
        _callbacks: callbacks,
    }));
}

fn read<T: serde::de::DeserializeOwned>(event: &MessageEvent) -> Option<T> {
    serde_json::from_str(&event.data().as_string()?).ok()
}

fn heard(stream: &Rc<Stream>) {
    stream.heard.set(js_sys::Date::now());
    stream.attempts.set(0);
    if stream.live.link.get_untracked() != LinkState::Live {
        stream.live.link.set(LinkState::Live);
    }
}

fn frame(stream: &Rc<Stream>, event: &MessageEvent, snapshot: bool) {
    heard(stream);
    let id = event.last_event_id();
    if !id.is_empty() {
        stream.after.replace(id);
    }
    if let Some(frame) = read::<Frame>(event) {
        set_time(frame.now);
        (stream.on_frame)(frame, snapshot);
    }
}

fn close(stream: &Rc<Stream>) {
    stream.source.replace(None);
}

/// The link broke: say so, and come back after a pause.
fn lost(stream: &Rc<Stream>) {
    close(stream);
    let pause = (500.0 * 2_f64.powi(stream.attempts.get().min(5).cast_signed())).min(PAUSE_MAX_MS);
    reopen_after(stream, pause * (0.5 + js_sys::Math::random() / 2.0));
}

fn reopen_after(stream: &Rc<Stream>, pause: f64) {
    stream.attempts.set(stream.attempts.get() + 1);
    if !matches!(stream.live.link.get_untracked(), LinkState::Reconnecting { .. }) {
        let since = stream.live.now.get_untracked();
        stream.live.link.set(LinkState::Reconnecting { since });
    }
    let generation = stream.generation.get();
    let stream = stream.clone();
    #[expect(clippy::cast_possible_truncation, reason = "at most 15,000")]
    set_timeout(pause as i32, move || {
        let current = stream.generation.get() == generation && stream.source.borrow().is_none();
        if current && !document().hidden() {
            open(&stream);
        }
    });
}

/// A connection can die without a word (a laptop that slept, a proxy that forgot): heartbeats tell.
fn watch_silence(stream: &Rc<Stream>) {
    let stream = stream.clone();
    let check = Closure::<dyn Fn()>::new(move || {
        let silent = js_sys::Date::now() - stream.heard.get() > SILENCE_MS;
        if silent && stream.source.borrow().is_some() {
            lost(&stream);
        }
    });
    let _ = window().set_interval_with_callback_and_timeout_and_arguments_0(check.as_ref().unchecked_ref(), 2_500);
    // Lives as long as the page.
    check.forget();
}

fn watch_visibility(stream: &Rc<Stream>) {
    let stream = stream.clone();
    let change = Closure::<dyn Fn()>::new(move || {
        if document().hidden() {
            let generation = stream.generation.get();
            let stream = stream.clone();
            set_timeout(HIDDEN_MS, move || {
                if document().hidden() && stream.generation.get() == generation {
                    close(&stream);
                    stream.live.link.set(LinkState::Resting);
                }
            });
        } else if stream.source.borrow().is_none() {
            open(&stream);
        }
    });
    let _ = document().add_event_listener_with_callback("visibilitychange", change.as_ref().unchecked_ref());
    // Lives as long as the page.
    change.forget();
}
