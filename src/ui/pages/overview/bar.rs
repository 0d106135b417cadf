//! The bar above the lines: filter, order, groups.
//!
//! Everything on it is a link or a form that the server answers; in the browser the page follows the same addresses
//! without a reload.

use super::lines::Lines;
use crate::model::format;
use crate::model::look::{Look, Sort};
use crate::model::system;
use crate::ui::context::base;
use crate::ui::live;
use leptos::prelude::*;

/// Typing changes the address this long after the last key.
const ADDRESS_AFTER_MS: i32 = 300;

/// Navigation between looks within the page.
#[derive(Clone, Copy, Debug)]
pub struct Looks {
    pub lines: Lines,
    here: StoredValue<String>,
    /// Whether typing created the newest entry of the history: further typing replaces it.
    typing: StoredValue<bool>,
    /// Counts keys: the address changes after the last one.
    keys: StoredValue<u32>,
}

impl Looks {
    pub fn new(lines: Lines) -> Self {
        let looks = Self {
            lines,
            here: StoredValue::new(base().href("/")),
            typing: StoredValue::new(false),
            keys: StoredValue::new(0),
        };
        live::on_back(move |query| {
            looks.typing.set_value(false);
            lines.show(Look::from_query(&query));
        });
        looks
    }

    /// The address of a look.
    pub fn href(self, look: &Look) -> String {
        self.here.with_value(|here| format!("{here}{}", look.to_query()))
    }

    /// The address of a page of a look.
    pub fn page(self, look: &Look, page: usize) -> String {
        let href = self.href(look);
        match page {
            1 => href,
            _ if href.contains('?') => format!("{href}&page={page}"),
            _ => format!("{href}?page={page}"),
        }
    }

    /// The address after `change` from the current look.
    pub fn to(
        self,
        change: impl Fn(&Look) -> Look + Send + Sync + 'static,
    ) -> impl Fn() -> String + Send + Sync + 'static {
        move || self.lines.look.with(|look| self.href(&change(look)))
    }

    /// Follows a link of the bar, if the click was on one; `true` if it was.
    pub fn follow(self, href: &str) {
        let query = href.split_once('?').map_or("", |(_, query)| query);
        self.typing.set_value(false);
        live::push_address(href);
        self.lines.show(Look::from_query(query));
    }

    fn type_text(self, text: String) {
        let mut look = self.lines.look.get_untracked();
        look.text = text;
        self.lines.show(look);
        let key = self.keys.get_value() + 1;
        self.keys.set_value(key);
        live::set_timeout(ADDRESS_AFTER_MS, move || {
            if self.keys.get_value() != key {
                return;
            }
            let href = self.lines.look.with_untracked(|look| self.href(look));
            if self.typing.get_value() {
                live::replace_address(&href);
            } else {
                self.typing.set_value(true);
                live::push_address(&href);
            }
        });
    }
}

#[component]
pub fn Bar(looks: Looks) -> impl IntoView {
    let lines = looks.lines;
    let look = lines.look;
    let first = look.with_untracked(|look| look.text.clone());
    let sorts = Sort::ALL
        .into_iter()
        .map(|sort| {
            let href = looks.to(move |look| Look { sort, ..look.clone() });
            let current = move || {
                if look.with(|look| look.sort == sort) {
                    "true"
                } else {
                    "false"
                }
            };
            view! { <a data-look="" href=href aria-current=current>{sort.as_str()}</a> }
        })
        .collect_view();
    let grouped = move || look.with(|look| look.grouped);
    let group = looks.to(|look| Look {
        grouped: !look.grouped,
        folded: vec![],
        ..look.clone()
    });
    let fields = move || {
        let hidden = |(name, value)| view! { <input type="hidden" name=name value=value/> };
        look.with(Look::fields).into_iter().map(hidden).collect_view()
    };
    let shown = move || {
        let (kept, total) = (lines.kept.get(), lines.total.get());
        let count = |n: usize| format::count(n as u64);
        match (look.with(Look::is_filtered), total) {
            (true, _) => format!("{} of {} queues", count(kept), count(total)),
            (false, 1) => "1 queue".to_owned(),
            (false, _) => format!("{} queues", count(total)),
        }
    };
    let clear = move || {
        look.with(Look::is_filtered).then(|| {
            let href = looks.to(Look::unfiltered);
            view! { <a class="clear" data-look="" data-up="" href=href>"Show all"</a> }
        })
    };
    let systems = system::SUPPORTED
        .map(|system| view! { <option value=format!("system:{}", system.word())>{system.label()}</option> })
        .collect_view();
    view! {
        <div class="looks" class:none=move || lines.total.get() == 0>
            <form
                class="filter"
                role="search"
                action=looks.href(&Look::default())
                on:submit=move |event| {
                    event.prevent_default();
                    live::focus_first_row();
                }
            >
                <label class="sr-only" for="filter">"Filter queues"</label>
                <input
                    id="filter"
                    name="q"
                    type="search"
                    placeholder="Filter by name or store"
                    title="Parts of a name, store or system; or system:celery,arq"
                    list="filter-systems"
                    maxlength="200"
                    autocomplete="off"
                    data-search=""
                    value=first
                    prop:value=move || look.with(|look| look.text.clone())
                    on:input=move |event| looks.type_text(event_target_value(&event))
                />
                <datalist id="filter-systems">{systems}</datalist>
                {fields}
                <button>"Filter"</button>
            </form>
            <nav class="choice" aria-label="Order">{sorts}</nav>
            <nav class="choice" aria-label="Groups">
                <a data-look="" href=group aria-current=move || if grouped() { "true" } else { "false" }>"group by name"</a>
            </nav>
            <p class="shown"><span role="status">{shown}</span>" "{clear}</p>
        </div>
    }
}
