//! Pages that the server writes anew every few seconds.
//!
//! What changes on the pages of workers, schedules and stores are mostly ages and whole rows. Their
//! components run on the server alone, which keeps them out of what a browser downloads; here the same
//! address is asked for again while the page is looked at, and the part that differs is exchanged.
//! Nothing is exchanged under the reader: not while a field is being filled in, and no row moves while the
//! pointer or the focus is on the page and it has been touched lately.

use super::attention::idle_ms;
use super::browser::{document, fetch_text, pointer_inside, set_timeout, window};
use super::{LinkState, Live};
use leptos::prelude::*;
use wasm_bindgen::JsCast as _;
use web_sys::{Document, DomParser, Element, HtmlElement, SupportedType};

/// The element whose content is exchanged.
pub(super) const ID: &str = "fresh";

/// Without a touch for this long nobody is in the middle of reading a row.
const IDLE_MS: f64 = 10_000.0;

/// Asks for the page again every `every_ms`.
pub fn keep_fresh(live: Live, every_ms: i32) {
    if live.link.get_untracked() == LinkState::Static {
        live.link.set(LinkState::Live);
    }
    set_timeout(every_ms, move || {
        if document().hidden() {
            live.link.set(LinkState::Resting);
            return keep_fresh(live, every_ms);
        }
        let address = window().location().href().unwrap_or_default();
        fetch_text(address, move |html| {
            match html.as_deref().and_then(parse) {
                Some(page) => {
                    exchange(&page);
                    live.link.set(LinkState::Live);
                }
                None if matches!(live.link.get_untracked(), LinkState::Reconnecting { .. }) => {}
                None => {
                    let since = live.now.get_untracked();
                    live.link.set(LinkState::Reconnecting { since });
                }
            }
            keep_fresh(live, every_ms);
        });
    });
}

fn parse(html: &str) -> Option<Document> {
    let page = DomParser::new()
        .ok()?
        .parse_from_string(html, SupportedType::TextHtml)
        .ok()?;
    page.get_element_by_id(ID).is_some().then_some(page)
}

fn exchange(page: &Document) {
    let (Some(old), Some(new)) = (document().get_element_by_id(ID), page.get_element_by_id(ID)) else {
        return;
    };
    let html = new.inner_html();
    if html == old.inner_html() {
        return;
    }
    let focused = document()
        .active_element()
        .filter(|element| old.contains(Some(element)));
    let typing = focused
        .as_ref()
        .is_some_and(|element| matches!(element.tag_name().as_str(), "INPUT" | "SELECT" | "TEXTAREA"));
    let moves = texts(&old, "[data-row]", href) != texts(&new, "[data-row]", href);
    let read = pointer_inside(ID) && idle_ms() < IDLE_MS;
    if typing || (moves && read) {
        return;
    }
    let open = texts(&old, "details[open] > summary", |summary| summary.text_content());
    let focused = focused.as_ref().and_then(href);
    old.set_inner_html(&html);
    for summary in all(&old, "details > summary") {
        if open.contains(&summary.text_content())
            && let Some(details) = summary.parent_element()
        {
            let _ = details.set_attribute("open", "");
        }
    }
    if let Some(focused) = focused
        && let Some(again) = all(&old, "a")
            .into_iter()
            .find(|link| href(link).as_ref() == Some(&focused))
        && let Ok(again) = again.dyn_into::<HtmlElement>()
    {
        let _ = again.focus();
    }
    document().set_title(&page.title());
}

fn href(element: &Element) -> Option<String> {
    element.get_attribute("href")
}

fn texts(root: &Element, selector: &str, text: impl Fn(&Element) -> Option<String>) -> Vec<Option<String>> {
    all(root, selector).iter().map(text).collect()
}

fn all(root: &Element, selector: &str) -> Vec<Element> {
    let Ok(list) = root.query_selector_all(selector) else {
        return vec![];
    };
    (0..list.length())
        .filter_map(|i| list.get(i)?.dyn_into::<Element>().ok())
        .collect()
}
