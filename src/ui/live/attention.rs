//! Whether the reader is active on the page.

use super::browser::window;
use std::cell::Cell;
use wasm_bindgen::prelude::*;

thread_local! {
    static TOUCHED: Cell<f64> = const { Cell::new(0.0) };
}

/// Milliseconds since the reader last moved, scrolled, touched or typed; since the page was loaded if never.
pub fn idle_ms() -> f64 {
    js_sys::Date::now() - TOUCHED.with(Cell::get)
}

/// Starts listening for input.
pub(super) fn watch() {
    TOUCHED.with(|touched| touched.set(js_sys::Date::now()));
    for event in ["pointermove", "pointerdown", "wheel", "scroll", "keydown", "touchstart"] {
        let note = Closure::<dyn Fn()>::new(|| TOUCHED.with(|touched| touched.set(js_sys::Date::now())));
        let _ = window().add_event_listener_with_callback(event, note.as_ref().unchecked_ref());
        // Lives as long as the page.
        note.forget();
    }
}
