//! The address of the page and the reader's input: links that stay on the page, forms that are sent without leaving it.

use super::browser::{document, on_event, path_and_query, whole, window};
use crate::model::look::read_pin;
use crate::model::queue::QueueRef;
use leptos::ev::MouseEvent;
use std::ops::Range;
use wasm_bindgen::JsCast as _;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{Element, HtmlElement, RequestInit, UrlSearchParams};

/// Makes `href` the address of the page, as a new entry of the history.
pub fn push_address(href: &str) {
    if let Ok(history) = window().history() {
        let _ = history.push_state_with_url(&JsValue::NULL, "", Some(href));
    }
}

/// The same without a new history entry.
pub fn replace_address(href: &str) {
    if let Ok(history) = window().history() {
        let _ = history.replace_state_with_url(&JsValue::NULL, "", Some(href));
    }
}

/// Runs `then` with the query of the address whenever the reader goes back or forward within the page.
pub fn on_back(then: impl Fn(String) + 'static) {
    on_event("popstate", move || {
        let address = path_and_query();
        then(
            address
                .split_once('?')
                .map_or_else(String::new, |(_, query)| query.to_owned()),
        );
    });
}

/// The element of this kind that was clicked. Ignores a click that asks for another tab.
fn clicked(event: &MouseEvent, selector: &str) -> Option<Element> {
    let plain = event.button() == 0 && !event.ctrl_key() && !event.meta_key() && !event.shift_key() && !event.alt_key();
    let target: Element = event.target().filter(|_| plain)?.dyn_into().ok()?;
    target.closest(selector).ok().flatten()
}

/// The address of the link of this kind that was clicked; stops the browser from following it.
pub fn clicked_link(event: &MouseEvent, selector: &str) -> Option<String> {
    let href = clicked(event, selector)?.get_attribute("href")?;
    event.prevent_default();
    Some(href)
}

/// The queue whose pin was clicked, and the field that its form would send; stops the browser from sending the form.
pub fn clicked_pin(event: &MouseEvent) -> Option<(QueueRef, (String, String))> {
    let button = clicked(event, "button.pin")?;
    let (name, value) = (button.get_attribute("name")?, button.get_attribute("value")?);
    let queue = read_pin(&value)?;
    event.prevent_default();
    // Lines do not move while the focus is among them; after a click with the mouse the focus does not matter.
    if event.detail() > 0
        && let Some(button) = button.dyn_ref::<HtmlElement>()
    {
        let _ = button.blur();
    }
    Some((queue, (name, value)))
}

/// Sends a form of one field and passes to `then` whether the server accepted it.
pub fn send_form(url: &str, (name, value): (String, String), then: impl FnOnce(bool) + 'static) {
    let request = RequestInit::new();
    request.set_method("POST");
    if let Ok(fields) = UrlSearchParams::new() {
        fields.append(&name, &value);
        request.set_body(&fields);
    }
    // The answer redirects to the page, which is shown already.
    let _ = js_sys::Reflect::set(&request, &"redirect".into(), &"manual".into());
    let sent = window().fetch_with_str_and_init(&whole(url), &request);
    leptos::task::spawn_local(async move {
        let answer = JsFuture::from(sent).await.ok();
        let kind = answer.and_then(|answer| js_sys::Reflect::get(&answer, &"type".into()).ok());
        then(kind.and_then(|kind| kind.as_string()).as_deref() == Some("opaqueredirect"));
    });
}

/// Which children of the element with this id are on the screen or within so many screens of it.
///
/// By offsets within the page and with a binary search: measuring five hundred rows one by one takes longer than
/// drawing one.
pub fn rows_near(id: &str, screens: f64) -> Option<Range<usize>> {
    let parent: HtmlElement = document().get_element_by_id(id)?.dyn_into().ok()?;
    let rows = parent.children();
    let row = |i: usize| rows.item(u32::try_from(i).ok()?)?.dyn_into::<HtmlElement>().ok();
    let mut around = parent.offset_parent();
    // The offset of a row is relative to its table.
    let mut top = window().scroll_y().ok()?;
    while let Some(element) = around.and_then(|element| element.dyn_into::<HtmlElement>().ok()) {
        top -= f64::from(element.offset_top());
        around = element.offset_parent();
    }
    let height = window().inner_height().ok()?.as_f64()?;
    let count = rows.length() as usize;
    // The first row that ends after a place.
    let behind = |place: f64| {
        let (mut low, mut high) = (0, count);
        while low < high {
            let middle = usize::midpoint(low, high);
            match row(middle) {
                Some(row) if f64::from(row.offset_top() + row.offset_height()) <= place => low = middle + 1,
                _ => high = middle,
            }
        }
        low
    };
    let margin = screens * height;
    Some(behind(top - margin)..(behind(top + height + margin) + 1).min(count))
}

/// Runs `then` when the reader scrolls, after a resize and after printing, and `print` before the page is printed.
pub fn on_move(then: impl Fn() + Copy + 'static, print: impl Fn() + 'static) {
    on_event("scroll", then);
    on_event("resize", then);
    on_event("beforeprint", print);
    on_event("afterprint", then);
}
