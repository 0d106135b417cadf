//! What moves: the event stream (one per browser), the clock, fetching and the keyboard.
//!
//! The server renders with [`Live`] standing still; in the browser the same signals begin to move.
//! The parts that need a browser are in `live/browser.rs` and its neighbours, with twins for the server that do nothing, so
//! that no component has to know where it runs.

use crate::model::Millis;
use crate::model::event::Frame;
use leptos::prelude::*;

#[cfg(feature = "hydrate")]
mod attention;
#[cfg(feature = "hydrate")]
mod browser;
#[cfg(feature = "hydrate")]
mod channel;
#[cfg(feature = "hydrate")]
mod keyboard;
#[cfg(feature = "hydrate")]
mod leader;
#[cfg(any(feature = "hydrate", test))]
mod share;
#[cfg(feature = "hydrate")]
mod source;
#[cfg(feature = "hydrate")]
mod stream;

#[cfg(feature = "hydrate")]
pub use attention::idle_ms;
#[cfg(feature = "hydrate")]
pub use browser::{
    after_hydration, document, fetch_json, fetch_text, hidden, is_at_end, path_and_query, pointer_inside,
    scroll_to_end, set_timeout, start_clock,
};
#[cfg(feature = "hydrate")]
pub use stream::follow;

/// Whether the page hears of changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// As rendered: nothing moves (no JavaScript, or not started yet).
    Static,
    /// Opening the stream for the first time.
    Connecting,
    /// Every change arrives.
    Live,
    /// The stream broke; what is shown may be old since then.
    Reconnecting {
        /// The last moment at which the page was known to be true.
        since: Millis,
    },
    /// More is open in this browser than one stream takes: this page is looked after now and then.
    Turns,
    /// Released on purpose while the tab is hidden.
    Resting,
}

/// The page's own state, shared by all components.
#[derive(Clone, Copy, Debug)]
pub struct Live {
    /// The server's time, ticking.
    pub now: RwSignal<Millis>,
    /// When the page was made.
    pub made: Millis,
    /// Whether changes arrive.
    pub link: RwSignal<LinkState>,
}

impl Live {
    /// Standing still.
    pub fn new(now: Millis) -> Self {
        Self {
            now: RwSignal::new(now),
            made: now,
            link: RwSignal::new(LinkState::Static),
        }
    }

    /// Whether what is shown may no longer be true.
    pub fn is_stale(&self) -> bool {
        match self.link.get() {
            LinkState::Reconnecting { since } => self.now.get() - since > 3_000,
            LinkState::Resting => true,
            LinkState::Static | LinkState::Connecting | LinkState::Live | LinkState::Turns => false,
        }
    }
}

/// Reads `url` again and again while the page is visible, `every_ms` after each answer.
pub fn reread<T: serde::de::DeserializeOwned + 'static>(
    every_ms: i32,
    url: String,
    then: impl Fn(T) + Clone + 'static,
) {
    set_timeout(every_ms, move || {
        if hidden() {
            return reread(every_ms, url, then);
        }
        let again = url.clone();
        fetch_json::<T>(url, move |answer| {
            if let Some(answer) = answer {
                then(answer);
            }
            reread(every_ms, again, then);
        });
    });
}

/// What a page does with a frame; `true` for a snapshot.
pub type OnFrame = Box<dyn Fn(Frame, bool)>;

#[cfg(not(feature = "hydrate"))]
pub use on_the_server::{
    fetch_json, fetch_text, follow, hidden, idle_ms, is_at_end, pointer_inside, scroll_to_end, set_timeout, start_clock,
};

/// The twins: on the server nothing moves.
#[cfg(not(feature = "hydrate"))]
mod on_the_server {
    use super::{Live, OnFrame};

    pub fn start_clock(_: Live) {}

    pub fn follow(_: Live, _: &str, _: String, _: OnFrame) {}

    pub fn pointer_inside(_: &str) -> bool {
        false
    }

    pub fn idle_ms() -> f64 {
        0.0
    }

    pub fn hidden() -> bool {
        true
    }

    pub fn is_at_end(_: &str) -> bool {
        false
    }

    pub fn scroll_to_end(_: &str) {}

    pub fn set_timeout(_: i32, _: impl FnOnce() + 'static) {}

    pub fn fetch_json<T>(_: String, _: impl FnOnce(Option<T>) + 'static) {}

    pub fn fetch_text(_: String, _: impl FnOnce(Option<String>) + 'static) {}
}
