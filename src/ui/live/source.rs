//! One connection to the server's event stream, as long as it lasts.
//!
//! The browser's own `EventSource` gives up permanently on some failures and cannot be given a position to continue
//! from. So this opens it for one connection only: it reports its events, and its owner decides when to open the next
//! one.

use super::browser::whole;
use super::share::Place;
use crate::model::event::PAINT_MS;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use std::rc::Rc;
use wasm_bindgen::JsCast as _;
use wasm_bindgen::prelude::*;
use web_sys::{EventSource, MessageEvent};

/// An open connection and the callbacks it needs. Closed when dropped.
pub(super) struct Source {
    events: EventSource,
    _callbacks: Vec<Closure<dyn Fn(MessageEvent)>>,
}

impl Drop for Source {
    fn drop(&mut self) {
        self.events.close();
    }
}

/// The callback for an event: its name, its id and its data, the latter two empty where there is none.
pub(super) type OnEvent = Rc<dyn Fn(&'static str, String, String)>;

/// `open` and `error` are the browser's own, the rest are the server's.
const NAMES: [&str; 7] = ["open", "snapshot", "delta", "refused", "heartbeat", "bye", "error"];

impl Source {
    /// Opens a stream for these topics at the address of streams; `None` if the browser will not.
    pub(super) fn open(address: &str, places: &[Place], on_event: &OnEvent) -> Option<Self> {
        let topics: Vec<String> = places
            .iter()
            .map(|place| match place.at {
                Some(at) => format!("{}@{at}", place.topic),
                None => place.topic.clone(),
            })
            .collect();
        // A topic itself contains percent escapes, so it is escaped once more as a parameter.
        let topics = utf8_percent_encode(&topics.join(","), NON_ALPHANUMERIC).to_string();
        let events = EventSource::new(&whole(&format!("{address}?topics={topics}&pace={PAINT_MS}"))).ok()?;
        let callbacks = NAMES
            .into_iter()
            .map(|name| {
                let on_event = on_event.clone();
                let callback = Closure::<dyn Fn(MessageEvent)>::new(move |event: MessageEvent| {
                    // The browser's own events are not messages.
                    match event.dyn_ref::<MessageEvent>() {
                        Some(event) => on_event(
                            name,
                            event.last_event_id(),
                            event.data().as_string().unwrap_or_default(),
                        ),
                        None => on_event(name, String::new(), String::new()),
                    }
                });
                let _ = events.add_event_listener_with_callback(name, callback.as_ref().unchecked_ref());
                callback
            })
            .collect();
        Some(Self {
            events,
            _callbacks: callbacks,
        })
    }
}
