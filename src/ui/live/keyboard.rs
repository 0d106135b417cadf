//! Keyboard shortcuts for everything: see the help in [`crate::ui::app`].

use super::browser::{document, window};
use std::cell::Cell;
use wasm_bindgen::JsCast as _;
use wasm_bindgen::prelude::*;
use web_sys::{HtmlElement, KeyboardEvent};

thread_local! {
    /// Whether the previous key was `g`.
    static GOING: Cell<bool> = const { Cell::new(false) };
}

/// Starts listening.
pub(super) fn listen() {
    let on_key = Closure::<dyn Fn(KeyboardEvent)>::new(|event: KeyboardEvent| {
        if event.ctrl_key() || event.meta_key() || event.alt_key() {
            return;
        }
        let typing = event
            .target()
            .and_then(|target| target.dyn_into::<HtmlElement>().ok())
            .is_some_and(|element| {
                matches!(element.tag_name().as_str(), "INPUT" | "TEXTAREA" | "SELECT")
                    && element.get_attribute("type").as_deref() != Some("checkbox")
            });
        if press(&event.key(), typing) {
            event.prevent_default();
        }
    });
    let _ = window().add_event_listener_with_callback("keydown", on_key.as_ref().unchecked_ref());
    // Lives as long as the page.
    on_key.forget();
}

/// Handles a key; true if it is a shortcut.
fn press(key: &str, typing: bool) -> bool {
    let was_going = GOING.with(|going| going.replace(false));
    let help = document().get_element_by_id("help");
    let help_open = help.as_ref().is_some_and(|dialog| dialog.has_attribute("open"));
    match key {
        "Escape" if typing => blur(),
        // The browser closes the dialog itself.
        "Escape" if help_open => false,
        "Escape" => click("[data-up]"),
        _ if typing || help_open => false,
        "g" => {
            GOING.with(|going| going.set(true));
            true
        }
        "o" if was_going => click("[data-key=o]"),
        "w" if was_going => click("[data-key=w]"),
        "s" if was_going => click("[data-key=s]"),
        "a" if was_going => click("[data-key=a]"),
        "p" if was_going => click("[data-key=p]"),
        "r" if was_going => click("[data-key=r]"),
        "x" => click("tr:focus-within [type=checkbox]"),
        "j" => step(1),
        "k" => step(-1),
        "r" => click("[data-refresh]:not(.none)"),
        "[" | "p" => click("[data-previous]"),
        "]" | "n" => click("[data-next]"),
        "/" => focus(document().query_selector("[data-search]").ok().flatten()),
        "?" => help.is_some_and(|dialog| {
            // showModal by name: the dialog type would cost a feature for one call.
            js_sys::Reflect::get(&dialog, &"showModal".into())
                .ok()
                .and_then(|show| show.dyn_into::<js_sys::Function>().ok())
                .is_some_and(|show| show.call0(&dialog).is_ok())
        }),
        _ => false,
    }
}

fn blur() -> bool {
    document()
        .active_element()
        .and_then(|element| element.dyn_into::<HtmlElement>().ok())
        .is_some_and(|element| element.blur().is_ok())
}

fn click(selector: &str) -> bool {
    document()
        .query_selector(selector)
        .ok()
        .flatten()
        .and_then(|element| element.dyn_into::<HtmlElement>().ok())
        .map(|element| element.click())
        .is_some()
}

fn focus(element: Option<web_sys::Element>) -> bool {
    element
        .and_then(|element| element.dyn_into::<HtmlElement>().ok())
        .is_some_and(|element| element.focus().is_ok())
}

/// Puts the focus on the first row.
pub fn focus_first_row() {
    focus(document().query_selector("[data-row]").ok().flatten());
}

/// Moves the focus from row to row.
fn step(by: i32) -> bool {
    let Ok(rows) = document().query_selector_all("[data-row]") else {
        return false;
    };
    let length = i32::try_from(rows.length()).unwrap_or(0);
    if length == 0 {
        return false;
    }
    let focused = document().active_element();
    let at = (0..length).find(|i| {
        let row = rows.get(u32::try_from(*i).unwrap_or(0));
        row.as_ref()
            .is_some_and(|row| focused.as_ref().is_some_and(|f| row.is_same_node(Some(f))))
    });
    let next = match at {
        Some(at) => (at + by).clamp(0, length - 1),
        None if by > 0 => 0,
        None => length - 1,
    };
    let row = rows.get(u32::try_from(next).unwrap_or(0));
    focus(row.and_then(|row| row.dyn_into().ok()))
}
