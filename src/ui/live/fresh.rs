//! Pages that only the server renders, kept up to date.
//!
//! The components of jobs, workers, schedules and stores run on the server alone, so that a browser does not have to
//! download them. This module fetches the same address again, soon after a change and at intervals anyway, and replaces
//! what differs, node by node: an unchanged element stays, with its scroll position, its selection and whatever the
//! reader opened in it. A row is identified by its `data-id`, so that a row that appears or disappears leaves the
//! others as they were. Nothing is replaced while the reader fills in a field, and no row moves while the pointer or
//! the focus is on the page and the reader was active lately.

use super::attention::idle_ms;
use super::beat::on_beat;
use super::browser::{
    document, fetch_page, path_and_query, pointer_inside, pressed, reload, set_interval, set_timeout,
};
use super::{LinkState, Live, follow};
use crate::model::Millis;
use crate::model::event::Frame;
use crate::model::format::{ago, due};
use crate::model::store::Reach;
use crate::ui::context::JobBanners;
use leptos::prelude::*;
use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use wasm_bindgen::JsCast as _;
use web_sys::{Document, DomParser, Element, Node, SupportedType};

/// The element whose content is replaced.
const ID: &str = "fresh";

/// The attribute that identifies a row among its siblings, wherever it is.
const KEY: &str = "data-id";

/// How old the data of the page are, when its stores do not answer.
const SILENCE: &str = "data-silence";

/// A page counts as stale when no answer came for this long after it was due.
const LATE_MS: f64 = 2_000.0;

/// A page that is not due within a minute does not change by itself.
const STILL_MS: i32 = 60_000;

/// The delay between news and the request: several events are often one change.
const SOON_MS: f64 = 120.0;

/// However much happens, the page is fetched no more often than it is painted.
const AGAIN_MS: f64 = 250.0;

/// After this long without input, no reader is in the middle of reading a row.
const IDLE_MS: f64 = 10_000.0;

/// A page that is kept up to date.
struct Page {
    live: Live,
    /// Whether a stream reports the state of the link; otherwise the answers show it.
    followed: bool,
    asking: Cell<bool>,
    /// When it was requested last, by the browser's clock.
    asked: Cell<f64>,
    /// When the last answer came, by the browser's clock, and the server's time in it.
    answered: Cell<(f64, Millis)>,
    /// Something changed while a request was under way.
    again: Cell<bool>,
}

/// Keeps the page up to date: after news of `topics` (a comma-separated list) from `after` on, and at the interval that
/// the page itself gives.
pub fn keep_fresh(live: Live, topics: &str, after: String, banners: JobBanners) {
    let page = Rc::new(Page {
        live,
        followed: !topics.is_empty(),
        asking: Cell::new(false),
        asked: Cell::new(0.0),
        answered: Cell::new((js_sys::Date::now(), live.made)),
        again: Cell::new(false),
    });
    if page.followed {
        let news = page.clone();
        // The server cannot render a job while its store is silent; it can render a store's own page.
        let of_job = topics.starts_with("job:");
        let on_frame = move |frame: Frame, _| {
            if !frame.stores.is_empty() {
                live.follow_stores(&frame.stores);
            }
            if let Some(store) = frame.stores.into_iter().next().filter(|_| of_job) {
                banners.silent.set((store.reach != Reach::Live).then_some(store));
            }
            if let Some(change) = frame.jobs.last() {
                banners.removed.set(change.removed);
            }
            if !banners.removed.get_untracked() {
                ask_soon(&news);
            }
        };
        follow(live, topics, after, Box::new(on_frame));
    } else {
        // After the page has been hydrated as it was rendered: an earlier change would not be shown.
        set_timeout(0, move || live.link.set(LinkState::Live));
    }
    for end in all(&document(), "[data-end]") {
        end.set_scroll_top(end.scroll_height());
    }
    let watched = page.clone();
    set_interval(1000, move || {
        if !document().hidden() {
            on_beat(move || tick(live));
        }
        if !watched.followed {
            mind_the_silence(&watched);
        }
    });
    ask_later(page);
}

/// The interval between requests.
fn every() -> i32 {
    let fresh = document().get_element_by_id(ID);
    let every = fresh.and_then(|fresh| fresh.get_attribute("data-every"));
    every.and_then(|every| every.parse().ok()).unwrap_or(30_000)
}

/// A request without an answer may never end: then too the page is stale.
fn mind_the_silence(page: &Page) {
    let ((at, since), every) = (page.answered.get(), every());
    let late = every < STILL_MS && js_sys::Date::now() - at > f64::from(every) + LATE_MS;
    if late && page.live.link.get_untracked() == LinkState::Live && !document().hidden() {
        page.live.link.set(LinkState::Reconnecting { since });
    }
}

/// Updates the ages, and shows moments in the time zone that the reader chose.
fn tick(live: Live) {
    let Some(fresh) = document().get_element_by_id(ID) else {
        return;
    };
    for time in all(&fresh, "time[datetime]") {
        #[expect(clippy::cast_possible_truncation, reason = "milliseconds of a date")]
        let at = js_sys::Date::parse(&time.get_attribute("datetime").unwrap_or_default()) as Millis;
        // Text that is no date parses as not a number, which is zero here; none of our moments is from 1970.
        if at == 0 {
            continue;
        }
        let text = match (time.has_attribute("data-ago"), time.has_attribute("data-due")) {
            (true, _) => Some(ago(live.its_clock(), at)),
            (_, true) => Some(due(live.its_clock(), at)),
            _ => None,
        };
        if let Some(text) = text.filter(|text| time.text_content().as_ref() != Some(text)) {
            time.set_text_content(Some(&text));
        }
        let both = live.both_moments(at);
        if time.get_attribute("title").as_ref() != Some(&both) {
            let _ = time.set_attribute("title", &both);
        }
    }
    for moment in all(&fresh, "[data-moment]") {
        let at = moment.get_attribute("data-moment").and_then(|at| at.parse().ok());
        let text = at.map(|at| live.moment(at));
        if text.is_some() && moment.text_content() != text {
            moment.set_text_content(text.as_deref());
        }
    }
}

fn ask_later(page: Rc<Page>) {
    set_timeout(every(), move || {
        if !document().hidden() {
            ask(&page);
        } else if !page.followed {
            page.live.link.set(LinkState::Resting);
        }
        ask_later(page);
    });
}

fn ask_soon(page: &Rc<Page>) {
    if page.again.replace(true) {
        return;
    }
    let page = page.clone();
    let rest = page.asked.get() + AGAIN_MS - js_sys::Date::now();
    #[expect(clippy::cast_possible_truncation, reason = "a fraction of a second")]
    let wait = rest.clamp(SOON_MS, AGAIN_MS) as i32;
    set_timeout(wait, move || {
        page.again.set(false);
        ask(&page);
    });
}

fn ask(page: &Rc<Page>) {
    if page.asking.replace(true) {
        return ask_soon(page);
    }
    page.asked.set(js_sys::Date::now());
    let page = page.clone();
    fetch_page(path_and_query(), move |answer| {
        page.asking.set(false);
        on_beat(move || take(&page, answer));
    });
}

/// Shows an answer, given whether its status is a success and its text.
fn take(page: &Page, answer: Option<(bool, String)>) {
    // A notice has the status of its error. It does not replace a page, but it is an answer of Drover.
    let found = answer.and_then(|(good, html)| Some((good, parse(&html)?)));
    if found
        .as_ref()
        .is_some_and(|(good, page)| *good && page.get_element_by_id(ID).is_none())
    {
        // The board has become small enough for a page that lives in the browser.
        return reload();
    }
    if let Some((good, found)) = &found {
        page.answered.set((js_sys::Date::now(), page.live.now.get_untracked()));
        let fresh = found
            .get_element_by_id(ID)
            .and_then(|fresh| fresh.get_attribute(SILENCE));
        if let Some(silence) = fresh.and_then(|silence| serde_json::from_str(&silence).ok()) {
            page.live.silence.set(silence);
        }
        if *good {
            exchange(found);
        }
        tick(page.live);
    }
    if page.followed {
        return;
    }
    match (found, page.live.link.get_untracked()) {
        (Some(_), _) => page.live.link.set(LinkState::Live),
        (None, LinkState::Reconnecting { .. }) => {}
        (None, _) => {
            let (_, since) = page.answered.get();
            page.live.link.set(LinkState::Reconnecting { since });
        }
    }
}

/// Parses a page of Drover; `None` for the error page of a proxy while the server is away.
fn parse(html: &str) -> Option<Document> {
    let page = DomParser::new()
        .ok()?
        .parse_from_string(html, SupportedType::TextHtml)
        .ok()?;
    // The data of a page, which each page of Drover has.
    page.get_element_by_id("page").is_some().then_some(page)
}

fn exchange(page: &Document) {
    let (Some(old), Some(new)) = (document().get_element_by_id(ID), page.get_element_by_id(ID)) else {
        return;
    };
    let typing = document().active_element().is_some_and(|element| {
        old.contains(Some(&element)) && matches!(element.tag_name().as_str(), "INPUT" | "SELECT" | "TEXTAREA")
    });
    let rows = |root: &Element| -> Vec<Option<String>> {
        all(root, "[data-row], [data-id]")
            .iter()
            .map(|row| row.get_attribute("href").or_else(|| row.get_attribute(KEY)))
            .collect()
    };
    let read = pointer_inside(ID) && idle_ms() < IDLE_MS;
    if typing || pressed(ID) || (read && rows(&old) != rows(&new)) {
        return;
    }
    let at_end: Vec<Element> = all(&old, "[data-end]").into_iter().filter(is_at_end).collect();
    for name in ["data-every", SILENCE] {
        if let Some(value) = new.get_attribute(name) {
            let _ = old.set_attribute(name, &value);
        }
    }
    morph_children(&old, &new);
    for end in at_end {
        end.set_scroll_top(end.scroll_height());
    }
    document().set_title(&page.title());
}

fn is_at_end(element: &Element) -> bool {
    element.scroll_top() + element.client_height() >= element.scroll_height() - 8
}

/// Makes `old` equal to `new`, without touching equal parts.
fn morph(old: &Element, new: &Element) {
    for name in new.get_attribute_names().iter().filter_map(|name| name.as_string()) {
        let value = new.get_attribute(&name);
        if old.get_attribute(&name) != value {
            let _ = old.set_attribute(&name, &value.unwrap_or_default());
        }
    }
    for name in old.get_attribute_names().iter().filter_map(|name| name.as_string()) {
        // An element that a reader opened stays open.
        if name != "open" && !new.has_attribute(&name) {
            let _ = old.remove_attribute(&name);
        }
    }
    morph_children(old, new);
}

fn morph_children(old: &Element, new: &Element) {
    let want = nodes(new);
    let keys: HashSet<String> = want.iter().filter_map(key).collect();
    if keys.is_empty() {
        morph_in_place(old, &want);
    } else {
        morph_rows(old, &want, &keys);
    }
}

fn key(node: &Node) -> Option<String> {
    node.dyn_ref::<Element>()?.get_attribute(KEY)
}

/// Rows that stay keep their elements. Moving one would take the focus from it, so rows that are gone are removed
/// first, and only a change of order moves any.
fn morph_rows(old: &Element, want: &[Node], keys: &HashSet<String>) {
    let have: HashMap<String, Node> = nodes(old)
        .into_iter()
        .filter_map(|node| Some((key(&node)?, node)))
        .collect();
    let mut at = old.first_child();
    for want in want {
        while let Some(gone) = at.take_if(|at| key(at).is_none_or(|key| !keys.contains(&key))) {
            at = gone.next_sibling();
            let _ = old.remove_child(&gone);
        }
        let Some(known) = key(want).and_then(|key| have.get(&key)) else {
            let _ = old.insert_before(want, at.as_ref());
            continue;
        };
        if at.as_ref().is_some_and(|at| at.is_same_node(Some(known))) {
            at = known.next_sibling();
        } else {
            let _ = old.insert_before(known, at.as_ref());
        }
        if let (Some(known), Some(want)) = (known.dyn_ref::<Element>(), want.dyn_ref::<Element>())
            && !known.is_equal_node(Some(want))
        {
            morph(known, want);
        }
    }
    while let Some(surplus) = at {
        at = surplus.next_sibling();
        let _ = old.remove_child(&surplus);
    }
}

/// Nodes without a key are matched by position.
fn morph_in_place(old: &Element, want: &[Node]) {
    let have = nodes(old);
    for (have, want) in have.iter().zip(want) {
        match (have.dyn_ref::<Element>(), want.dyn_ref::<Element>()) {
            (Some(have), Some(want)) if have.tag_name() == want.tag_name() => {
                if !have.is_equal_node(Some(want)) {
                    morph(have, want);
                }
            }
            (None, None) if have.node_type() == want.node_type() => {
                if have.node_value() != want.node_value() {
                    have.set_node_value(want.node_value().as_deref());
                }
            }
            _ => {
                let _ = old.replace_child(want, have);
            }
        }
    }
    for surplus in have.iter().skip(want.len()) {
        let _ = old.remove_child(surplus);
    }
    for missing in want.iter().skip(have.len()) {
        let _ = old.append_child(missing);
    }
}

fn nodes(parent: &Element) -> Vec<Node> {
    let list = parent.child_nodes();
    (0..list.length()).filter_map(|i| list.get(i)).collect()
}

fn all(root: &impl AsRef<Node>, selector: &str) -> Vec<Element> {
    let list = match (root.as_ref().dyn_ref::<Document>(), root.as_ref().dyn_ref::<Element>()) {
        (Some(document), _) => document.query_selector_all(selector),
        (_, Some(element)) => element.query_selector_all(selector),
        _ => return vec![],
    };
    let Ok(list) = list else { return vec![] };
    (0..list.length())
        .filter_map(|i| list.get(i)?.dyn_into::<Element>().ok())
        .collect()
}
