//! Clock, timers and fetching in the browser.

use super::{attention, keyboard};
use serde::de::DeserializeOwned;
use std::cell::Cell;
use wasm_bindgen::JsCast as _;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

pub(super) fn window() -> web_sys::Window {
    web_sys::window().expect("a page has a window")
}

/// The document.
pub fn document() -> web_sys::Document {
    window().document().expect("a window has a document")
}

/// The address of the page without scheme and host.
pub fn path_and_query() -> String {
    let location = window().location();
    location.pathname().unwrap_or_default() + &location.search().unwrap_or_default()
}

/// Loads the page again.
pub fn reload() {
    let _ = window().location().reload();
}

/// The whole address of a path on this host, without the name and the password that the page's own address may have: a
/// browser refuses to fetch an address with those.
pub(super) fn whole(address: &str) -> String {
    match address.starts_with('/') {
        true => window().location().origin().unwrap_or_default() + address,
        false => address.to_owned(),
    }
}

thread_local! {
    static SERVER_THEN: std::cell::Cell<i64> = const { std::cell::Cell::new(0) };
    static SET_AT: std::cell::Cell<f64> = const { std::cell::Cell::new(0.0) };
}

/// The server's time now.
pub(super) fn server_time() -> i64 {
    let elapsed = js_sys::Date::now() - SET_AT.with(std::cell::Cell::get);
    #[expect(clippy::cast_possible_truncation, reason = "milliseconds since 1970")]
    let elapsed = elapsed.max(0.0) as i64;
    SERVER_THEN.with(std::cell::Cell::get) + elapsed
}

/// Sets the server's time.
pub(super) fn set_time(now: i64) {
    SERVER_THEN.with(|cell| cell.set(now));
    SET_AT.with(|cell| cell.set(js_sys::Date::now()));
}

/// Whether the page is hidden.
pub(super) fn hidden() -> bool {
    document().hidden()
}

/// By how many minutes the reader's clock was ahead of UTC at a moment.
pub fn utc_offset(at: crate::model::Millis) -> i32 {
    #[expect(clippy::cast_precision_loss, reason = "a date is exact far beyond the year 9999")]
    let date = js_sys::Date::new(&JsValue::from_f64(at as f64));
    let minutes = -date.get_timezone_offset();
    #[expect(clippy::cast_possible_truncation, reason = "less than a day")]
    let minutes = if minutes.is_finite() { minutes as i32 } else { 0 };
    minutes
}

/// Runs `then` once, after this many milliseconds.
pub fn set_timeout(ms: i32, then: impl FnOnce() + 'static) {
    let then = Closure::once_into_js(then);
    let _ = window().set_timeout_with_callback_and_timeout_and_arguments_0(then.unchecked_ref(), ms);
}

/// Runs `then` at this interval for as long as the page lives.
pub(super) fn set_interval(ms: i32, then: impl Fn() + 'static) {
    let then = Closure::<dyn Fn()>::new(then);
    let _ = window().set_interval_with_callback_and_timeout_and_arguments_0(then.as_ref().unchecked_ref(), ms);
    // Lives as long as the page.
    then.forget();
}

/// Runs `then` on every event of this name on the window, for as long as the page lives.
pub(super) fn on_event(name: &str, then: impl Fn() + 'static) {
    on(&window(), name, then);
}

/// The same for the document.
pub(super) fn on_document_event(name: &str, then: impl Fn() + 'static) {
    on(&document(), name, then);
}

fn on(target: &web_sys::EventTarget, name: &str, then: impl Fn() + 'static) {
    let then = Closure::<dyn Fn()>::new(then);
    let _ = target.add_event_listener_with_callback(name, then.as_ref().unchecked_ref());
    // Lives as long as the page.
    then.forget();
}

/// A name that no other tab has.
pub(super) fn random_id() -> String {
    let part = || js_sys::Math::random().to_string().split_off(2);
    part() + &part()
}

/// Whether the pointer or the focus is in the element with this id: then its rows must not move.
pub fn pointer_inside(id: &str) -> bool {
    matches(id, "hover") || matches(id, "focus-within")
}

/// Whether the mouse button is pressed on something in the element with this id: a browser reports a click only if
/// press and release are on the same element, so none may be replaced between the two.
pub(super) fn pressed(id: &str) -> bool {
    matches(id, "active")
}

fn matches(id: &str, pseudo_class: &str) -> bool {
    let found = document().query_selector(&format!("#{id}:{pseudo_class}"));
    found.ok().flatten().is_some()
}

thread_local! {
    /// Whether a form was sent a moment ago: its answer is the next page, and a reload would abort it. That of the
    /// sign-out ends the session before its answer has arrived.
    static SENT: Cell<bool> = const { Cell::new(false) };
}

/// How long the answer to a form may take; then a reload is due again.
const SENT_MS: i32 = 10_000;

fn note_what_is_sent() {
    on_document_event("submit", || {
        SENT.set(true);
        set_timeout(SENT_MS, || SENT.set(false));
    });
}

async fn answer(url: String) -> Option<web_sys::Response> {
    let answer = JsFuture::from(window().fetch_with_str(&whole(&url))).await.ok()?;
    let answer: web_sys::Response = answer.dyn_into().ok()?;
    if answer.status() == 401 && !SENT.get() {
        // The user is no longer signed in: reloading the page leads to the sign-in.
        reload();
    }
    Some(answer)
}

async fn fetch(url: String) -> Option<web_sys::Response> {
    answer(url).await.filter(web_sys::Response::ok)
}

async fn page(url: String) -> Option<(bool, String)> {
    let response = answer(url).await?;
    let text = JsFuture::from(response.text().ok()?).await.ok()?.as_string()?;
    Some((response.ok(), text))
}

async fn text(url: String) -> Option<String> {
    JsFuture::from(fetch(url).await?.text().ok()?).await.ok()?.as_string()
}

/// Fetches JSON; `None` if the request fails.
pub fn fetch_json<T: DeserializeOwned + 'static>(url: String, then: impl FnOnce(Option<T>) + 'static) {
    leptos::task::spawn_local(async move {
        let json = text(url).await;
        then(json.and_then(|json| serde_json::from_str(&json).ok()));
    });
}

/// Fetches text; `None` if the request fails.
pub fn fetch_text(url: String, then: impl FnOnce(Option<String>) + 'static) {
    leptos::task::spawn_local(async move { then(text(url).await) });
}

/// Fetches a page whatever its status: whether that is a success, and the text; `None` if no answer comes.
pub(super) fn fetch_page(url: String, then: impl FnOnce(Option<(bool, String)>) + 'static) {
    leptos::task::spawn_local(async move { then(page(url).await) });
}

/// What has to wait until the page has been hydrated.
pub fn after_hydration() {
    keyboard::listen();
    attention::watch();
    note_what_is_sent();
    // Tests and styles can distinguish a live page from one that is not yet live.
    if let Some(root) = document().document_element() {
        let _ = root.set_attribute("data-alive", "");
    }
}
