//! How the tabs of one browser reach each other, and how they agree on a leader.
//!
//! A `BroadcastChannel` carries the messages; a Web Lock decides who leads: it belongs to one tab at a time, and the
//! browser gives it to the next the moment that one ends, however it ends. Browsers offer locks on secure pages only;
//! without them tabs claim the lead, see [`super::stream`].

use super::browser::window;
use super::share::Word;
use js_sys::{Array, Function, Object, Promise, Reflect};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use wasm_bindgen::JsCast as _;
use wasm_bindgen::prelude::*;
use web_sys::{BroadcastChannel, MessageEvent};

/// A frame on its way through the tabs, as text: only the tabs that need it parse it.
pub(super) struct Post {
    pub(super) leader: String,
    /// `snapshot`, `delta` or `refused`.
    pub(super) kind: String,
    pub(super) id: String,
    pub(super) data: String,
}

/// A message from the channel.
pub(super) enum Heard {
    Word(Word),
    Post(Post),
}

/// The channel of all tabs of this board in this browser. Closed when dropped.
pub(super) struct Channel {
    channel: BroadcastChannel,
    _callback: Closure<dyn Fn(MessageEvent)>,
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.channel.close();
    }
}

impl Channel {
    /// Joins the channel; `None` where the browser has none.
    pub(super) fn join(name: &str, on_heard: impl Fn(Heard) + 'static) -> Option<Self> {
        if !has(&window(), "BroadcastChannel") {
            return None;
        }
        let channel = BroadcastChannel::new(name).ok()?;
        let callback = Closure::<dyn Fn(MessageEvent)>::new(move |event: MessageEvent| {
            if let Some(heard) = read(&event.data()) {
                on_heard(heard);
            }
        });
        channel.set_onmessage(Some(callback.as_ref().unchecked_ref()));
        Some(Self {
            channel,
            _callback: callback,
        })
    }

    pub(super) fn say(&self, word: &Word) {
        if let Ok(text) = serde_json::to_string(word) {
            let _ = self.channel.post_message(&text.into());
        }
    }

    pub(super) fn hand_on(&self, post: &Post) {
        let parts = [&post.leader, &post.kind, &post.id, &post.data];
        let parts: Array = parts.into_iter().map(|part| JsValue::from_str(part)).collect();
        let _ = self.channel.post_message(&parts);
    }
}

/// Parses a message: words are JSON, frames are arrays of four texts.
fn read(data: &JsValue) -> Option<Heard> {
    if let Some(text) = data.as_string() {
        return serde_json::from_str(&text).ok().map(Heard::Word);
    }
    let parts: &Array = data.dyn_ref()?;
    let part = |i: u32| parts.get(i).as_string();
    Some(Heard::Post(Post {
        leader: part(0)?,
        kind: part(1)?,
        id: part(2)?,
        data: part(3)?,
    }))
}

fn has(object: &JsValue, key: &str) -> bool {
    Reflect::get(object, &key.into()).is_ok_and(|value| !value.is_undefined() && !value.is_null())
}

/// A place in the queue for the lead.
pub(super) struct Line {
    name: String,
    locks: Object,
    /// Resolves the promise that holds the lock.
    release: RefCell<Option<Function>>,
    /// Counts requests, so that an answer to an earlier one is ignored.
    request: Cell<u32>,
    on_lead: Box<dyn Fn()>,
    on_deposed: Box<dyn Fn()>,
}

impl Line {
    /// `None` where the browser has no locks. Calls `on_lead` when this tab leads, `on_deposed` when another tab stole
    /// the lock.
    pub(super) fn new(name: &str, on_lead: Box<dyn Fn()>, on_deposed: Box<dyn Fn()>) -> Option<Rc<Self>> {
        // By name: the lock types are not among the stable bindings.
        let navigator = Reflect::get(&window(), &"navigator".into()).ok()?;
        let locks = Reflect::get(&navigator, &"locks".into()).ok()?;
        Some(Rc::new(Self {
            name: name.to_owned(),
            locks: locks.dyn_into().ok()?,
            release: RefCell::new(None),
            request: Cell::new(0),
            on_lead,
            on_deposed,
        }))
    }

    /// Waits for the lock, or steals it from a tab that holds it and does not answer.
    pub(super) fn stand(self: &Rc<Self>, steal: bool) {
        let request = self.request.get() + 1;
        self.request.set(request);
        let line = self.clone();
        let granted = Closure::once_into_js(move |_lock: JsValue| -> JsValue {
            if line.request.get() != request {
                // No longer wanted: releases the lock at once.
                return JsValue::UNDEFINED;
            }
            let mut release = None;
            let held = Promise::new(&mut |resolve, _| release = Some(resolve));
            line.release.replace(release);
            (line.on_lead)();
            held.into()
        });
        let options = Object::new();
        let _ = Reflect::set(&options, &"steal".into(), &steal.into());
        let asked = Reflect::get(&self.locks, &"request".into())
            .ok()
            .and_then(|f| f.dyn_into::<Function>().ok())
            .and_then(|f| {
                f.call3(&self.locks, &self.name.as_str().into(), &options, &granted)
                    .ok()
            })
            .and_then(|promise| promise.dyn_into::<Promise>().ok());
        let Some(asked) = asked else { return };
        let line = self.clone();
        leptos::task::spawn_local(async move {
            // Rejected: another tab stole the lock.
            if wasm_bindgen_futures::JsFuture::from(asked).await.is_err() && line.request.get() == request {
                line.release.replace(None);
                (line.on_deposed)();
                line.stand(false);
            }
        });
    }

    /// Leaves the queue, and the lead with it.
    pub(super) fn leave(&self) {
        self.request.set(self.request.get() + 1);
        if let Some(release) = self.release.take() {
            let _ = release.call0(&JsValue::UNDEFINED);
        }
    }
}
