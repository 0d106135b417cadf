//! One beat for the whole page: changes are painted at most four times a second, and all in one paint.
//!
//! The first change after a rest is painted at once; changes soon after it are painted together, when the beat is over.
//! The clock of all ages advances with the same beat. While the page is hidden nothing is painted: changes wait until
//! the page is visible again.

use super::OnFrame;
use super::browser::{hidden, on_document_event, server_time, set_interval, set_time, set_timeout};
use super::stream::clock;
use crate::model::event::{Frame, PAINT_MS};
use crate::ui::live::Live;
use leptos::prelude::*;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

/// The shortest time between two paints.
const BEAT_MS: f64 = PAINT_MS as f64;

/// How often ages are updated.
const SECOND_MS: i32 = 1_000;

/// The clock advances when this much has passed: timers are not exact, and a beat may come a little before its second.
const ALMOST_MS: i64 = 900;

thread_local! {
    static WORK: RefCell<VecDeque<Box<dyn FnOnce()>>> = const { RefCell::new(VecDeque::new()) };
    static LAST: Cell<f64> = const { Cell::new(0.0) };
    static PLANNED: Cell<bool> = const { Cell::new(false) };
    static NOW: Cell<Option<RwSignal<i64>>> = const { Cell::new(None) };
}

/// Runs `work` with the next beat; at once after a rest, or within the beat that is running.
pub fn on_beat(work: impl FnOnce() + 'static) {
    WORK.with_borrow_mut(|all| all.push_back(Box::new(work)));
    plan();
}

/// Keeps the page's copy of the server's time running. It was right when the page was rendered, and every frame and
/// heartbeat corrects it; the browser's own clock only measures the time in between.
pub fn start_clock(live: Live) {
    set_time(live.made);
    NOW.set(Some(live.now));
    set_interval(SECOND_MS, || {
        if !hidden() {
            on_beat(|| {});
        }
    });
    on_document_event("visibilitychange", plan);
}

fn plan() {
    if PLANNED.get() || hidden() {
        return;
    }
    let rest = LAST.get() + BEAT_MS - clock();
    // After the clock was set back there is no beat to wait for.
    if rest <= 0.0 || rest > BEAT_MS {
        return beat();
    }
    PLANNED.set(true);
    #[expect(clippy::cast_possible_truncation, reason = "a fraction of a second")]
    set_timeout(rest.ceil() as i32, || {
        PLANNED.set(false);
        if !hidden() {
            beat();
        }
    });
}

fn beat() {
    LAST.set(clock());
    // Work that is planned during a beat belongs to that beat.
    PLANNED.set(true);
    let now = server_time();
    if let Some(shown) = NOW
        .get()
        .filter(|shown| (now - shown.get_untracked()).abs() >= ALMOST_MS)
    {
        shown.set(now);
    }
    while let Some(work) = WORK.with_borrow_mut(VecDeque::pop_front) {
        work();
    }
    PLANNED.set(false);
}

/// Frames that wait for the next beat. They wait as text: frames that a snapshot replaces are never parsed.
pub(super) struct Frames {
    waiting: RefCell<Vec<(String, bool)>>,
    on_frame: OnFrame,
}

impl Frames {
    pub(super) fn new(on_frame: OnFrame) -> Rc<Self> {
        let waiting = RefCell::default();
        Rc::new(Self { waiting, on_frame })
    }

    pub(super) fn add(self: &Rc<Self>, data: &str, snapshot: bool) {
        let mut waiting = self.waiting.borrow_mut();
        if snapshot && let Some((topic, _)) = Frame::head(data) {
            waiting.retain(|(other, _)| Frame::head(other).is_none_or(|(other, _)| other != topic));
        }
        let first = waiting.is_empty();
        waiting.push((data.to_owned(), snapshot));
        drop(waiting);
        if first {
            let frames = self.clone();
            on_beat(move || frames.show());
        }
    }

    /// Shows the waiting frames now.
    pub(super) fn show(&self) {
        for (data, snapshot) in self.waiting.take() {
            if let Ok(frame) = serde_json::from_str(&data) {
                (self.on_frame)(frame, snapshot);
            }
        }
    }
}

/// The server's time in a frame that is still text: it is the last field.
pub(super) fn time_of(data: &str) -> Option<i64> {
    data.strip_suffix('}')?.rsplit_once(r#""now":"#)?.1.parse().ok()
}
