//! The live parts: the event stream (one per browser), the clock, fetching and the keyboard.
//!
//! The server renders with a static [`Live`]; in the browser the same signals change. The parts that need a browser are
//! in `live/browser.rs` and its neighbours, with counterparts for the server that do nothing, so that no component has
//! to know where it runs.

use crate::model::Millis;
use crate::model::event::Frame;
use crate::model::format;
use crate::model::store::{Silence, StoreSummary};
use leptos::prelude::*;

#[cfg(feature = "hydrate")]
mod attention;
#[cfg(feature = "hydrate")]
mod beat;
#[cfg(feature = "hydrate")]
mod browser;
#[cfg(feature = "hydrate")]
mod channel;
#[cfg(feature = "hydrate")]
mod fresh;
#[cfg(feature = "hydrate")]
mod keyboard;
#[cfg(feature = "hydrate")]
mod leader;
#[cfg(feature = "hydrate")]
mod place;
#[cfg(any(feature = "hydrate", test))]
#[cfg_attr(
    not(feature = "hydrate"),
    expect(dead_code, reason = "the server tests the rules; only a browser says the words")
)]
mod share;
#[cfg(feature = "hydrate")]
mod source;
#[cfg(feature = "hydrate")]
mod stream;

#[cfg(feature = "hydrate")]
pub use attention::idle_ms;
#[cfg(feature = "hydrate")]
pub use beat::{on_beat, start_clock};
#[cfg(feature = "hydrate")]
pub use browser::{
    after_hydration, document, fetch_json, fetch_text, path_and_query, pointer_inside, reload, set_timeout, utc_offset,
};
#[cfg(feature = "hydrate")]
pub use fresh::keep_fresh;
#[cfg(feature = "hydrate")]
pub use keyboard::focus_first_row;
#[cfg(feature = "hydrate")]
pub use place::{clicked_link, clicked_pin, on_back, on_move, push_address, replace_address, rows_near, send_form};
#[cfg(feature = "hydrate")]
pub use stream::follow;

/// Whether the page receives changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// As rendered: nothing changes (no JavaScript, or not started yet).
    Static,
    /// Opening the stream for the first time.
    Connecting,
    /// Every change arrives.
    Live,
    /// The stream broke; the page may be old since then.
    Reconnecting {
        /// The last moment at which the page was known to be true.
        since: Millis,
    },
    /// More pages are open in this browser than one stream serves: this page is updated from time to time.
    Turns,
    /// Released on purpose while the tab is hidden.
    Resting,
}

/// The page's own state, shared by all components.
#[derive(Clone, Copy, Debug)]
pub struct Live {
    /// The server's time, updated every second.
    pub now: RwSignal<Millis>,
    /// When the page was rendered.
    pub made: Millis,
    /// How far the clock of the page's store is ahead of the server's: the page compares a job's times with it.
    pub ahead: RwSignal<Millis>,
    /// Whether changes arrive.
    pub link: RwSignal<LinkState>,
    /// The time zone in which times are shown.
    pub zone: RwSignal<Zone>,
    /// How old the data are while none of the page's stores answers, whether or not changes arrive.
    pub silence: RwSignal<Option<Silence>>,
}

/// How old the shown data are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Age {
    /// As new as the page says.
    Fresh,
    /// They were true at this moment, and may not be any more.
    Since(Millis),
    /// Nothing was ever read.
    NotRead,
}

/// The time zone in which times are shown; the other one appears on hover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zone {
    /// As rendered: UTC, and no other zone is known.
    Rendered,
    /// UTC.
    Utc,
    /// The reader's own.
    Local,
}

impl Live {
    /// A static state.
    pub fn new(now: Millis) -> Self {
        Self {
            now: RwSignal::new(now),
            made: now,
            ahead: RwSignal::new(0),
            link: RwSignal::new(LinkState::Static),
            zone: RwSignal::new(Zone::Rendered),
            silence: RwSignal::new(None),
        }
    }

    /// How old the shown data are: because of the stores, and because of the link.
    pub fn age(&self) -> Age {
        let lost = match self.link.get() {
            LinkState::Reconnecting { since } => Some(since),
            LinkState::Static | LinkState::Connecting | LinkState::Live | LinkState::Turns | LinkState::Resting => None,
        };
        match (self.silence.get(), lost) {
            (Some(Silence { as_of: None }), _) => Age::NotRead,
            (Some(Silence { as_of: Some(at) }), lost) => Age::Since(lost.map_or(at, |since| since.min(at))),
            (None, Some(since)) => Age::Since(since),
            (None, None) => Age::Fresh,
        }
    }

    /// Sets whether the stores of the page answer.
    pub fn follow_stores<'a>(&self, stores: impl IntoIterator<Item = &'a StoreSummary>) {
        let silence = Silence::of(stores);
        if self.silence.get_untracked() != silence {
            self.silence.set(silence);
        }
    }

    /// The time of day of a moment, `05:41:32 UTC`, in the time zone that the reader chose.
    pub fn clock(&self, at: Millis) -> String {
        match self.zone.get() {
            Zone::Local => format::clock_at(at, utc_offset(at)),
            Zone::Rendered | Zone::Utc => format::clock(at),
        }
    }

    /// Date and time of a moment, in the time zone that the reader chose.
    pub fn moment(&self, at: Millis) -> String {
        match self.zone.get() {
            Zone::Local => format::moment_at(at, utc_offset(at)),
            Zone::Rendered | Zone::Utc => format::moment(at),
        }
    }

    /// The same in the other zone, beside a time that is shown already; empty if there is no other zone.
    pub fn other_moment(&self, at: Millis) -> String {
        match self.zone.get() {
            Zone::Rendered => String::new(),
            _ if utc_offset(at) == 0 => String::new(),
            Zone::Utc => format::moment_at(at, utc_offset(at)),
            Zone::Local => format::moment(at),
        }
    }

    /// In both zones, where no time is shown.
    pub fn both_moments(&self, at: Millis) -> String {
        match (self.moment(at), self.other_moment(at)) {
            (one, other) if other.is_empty() => one,
            (one, other) => format!("{one}\n{other}"),
        }
    }

    /// The time by the clock of the page's store, updated every second.
    pub fn its_clock(&self) -> Millis {
        self.now.get().saturating_add(self.ahead.get())
    }

    /// Takes the clock of the page's store.
    pub fn follow_clock(&self, store: &StoreSummary) {
        let ahead = store.clock_ahead.unwrap_or(0);
        if self.ahead.get_untracked() != ahead {
            self.ahead.set(ahead);
        }
    }

    /// Whether the shown data may no longer be true.
    pub fn is_stale(&self) -> bool {
        match self.link.get() {
            LinkState::Reconnecting { since } => self.now.get() - since > 3_000,
            LinkState::Resting => true,
            LinkState::Static | LinkState::Connecting | LinkState::Live | LinkState::Turns => false,
        }
    }
}

/// The handler of a frame; `true` for a snapshot.
pub type OnFrame = Box<dyn Fn(Frame, bool)>;

#[cfg(not(feature = "hydrate"))]
pub use on_the_server::{
    clicked_link, clicked_pin, fetch_json, fetch_text, focus_first_row, follow, idle_ms, keep_fresh, on_back, on_beat,
    on_move, pointer_inside, push_address, reload, replace_address, rows_near, send_form, set_timeout, start_clock,
    utc_offset,
};

/// The counterparts on the server, where nothing changes.
#[cfg(not(feature = "hydrate"))]
mod on_the_server {
    use super::{Live, OnFrame};
    use crate::ui::context::JobBanners;

    pub fn start_clock(_: Live) {}

    pub fn keep_fresh(_: Live, _: &str, _: String, _: JobBanners) {}

    pub fn follow(_: Live, _: &str, _: String, _: OnFrame) {}

    pub fn pointer_inside(_: &str) -> bool {
        false
    }

    pub fn idle_ms() -> f64 {
        0.0
    }

    pub fn utc_offset(_: crate::model::Millis) -> i32 {
        0
    }

    pub fn on_beat(_: impl FnOnce() + 'static) {}

    pub fn on_back(_: impl Fn(String) + 'static) {}

    pub fn on_move(_: impl Fn() + Copy + 'static, _: impl Fn() + 'static) {}

    pub fn rows_near(_: &str, _: f64) -> Option<std::ops::Range<usize>> {
        None
    }

    pub fn reload() {}

    pub fn push_address(_: &str) {}

    pub fn replace_address(_: &str) {}

    pub fn focus_first_row() {}

    pub fn clicked_link<T>(_: &T, _: &str) -> Option<String> {
        None
    }

    pub fn clicked_pin<T>(_: &T) -> Option<(crate::model::queue::QueueRef, (String, String))> {
        None
    }

    pub fn send_form(_: &str, _: (String, String), _: impl FnOnce(bool) + 'static) {}

    pub fn set_timeout(_: i32, _: impl FnOnce() + 'static) {}

    pub fn fetch_json<T>(_: String, _: impl FnOnce(Option<T>) + 'static) {}

    pub fn fetch_text(_: String, _: impl FnOnce(Option<String>) + 'static) {}
}
