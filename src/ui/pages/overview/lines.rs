//! The lines of the overview: their content, which are shown, in which order.
//!
//! Values change with the page's beat; order and membership change a little later, together, and never while the
//! pointer is among the lines. Lines are hydrated in steps: see [`Lines::grow`]; and only those near the screen have
//! all their cells: see [`Lines::look_around`].

use super::Part;
use super::tally::Tally;
use crate::model::event::Frame;
use crate::model::look::{Look, Sort, Sum};
use crate::model::page::{Overview, WHOLE_MAX};
use crate::model::queue::{QueueRef, QueueSummary};
use crate::model::store::StoreSummary;
use crate::ui::live;
use leptos::prelude::*;
use std::collections::{HashMap, HashSet};

#[cfg(feature = "ssr")]
mod large;

/// A queue's line, which changes in place.
#[derive(Clone, Debug)]
pub struct Line {
    pub key: QueueRef,
    pub known: Known,
}

/// The state of a queue's line.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    pub queue: RwSignal<QueueSummary>,
    /// Whether its row is on the screen or may soon be.
    pub near: RwSignal<bool>,
}

impl Known {
    fn new(queue: QueueSummary, near: bool) -> Self {
        Self {
            queue: RwSignal::new(queue),
            near: RwSignal::new(near),
        }
    }
}

/// A row of the table.
#[derive(Clone, Debug)]
pub enum Item {
    /// The heading of a group.
    Heading(String),
    /// A queue.
    Line(Line),
}

/// The key of a row.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ItemKey {
    Heading(String),
    Line(QueueRef),
}

impl Item {
    fn line(&self) -> Option<&Line> {
        match self {
            Self::Heading(_) => None,
            Self::Line(line) => Some(line),
        }
    }

    pub fn key(&self) -> ItemKey {
        match self {
            Self::Heading(key) => ItemKey::Heading(key.clone()),
            Self::Line(line) => ItemKey::Line(line.key.clone()),
        }
    }
}

type Index = HashMap<QueueRef, Known>;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Lines {
    /// Every queue, shown or not.
    index: StoredValue<Index>,
    pub stores: RwSignal<Vec<StoreSummary>>,
    /// The look that the reader chose.
    pub look: RwSignal<Look>,
    pub pins: RwSignal<Vec<QueueRef>>,
    /// The rows in order, and how many of them have been hydrated.
    pub items: RwSignal<Vec<Item>>,
    pub grown: RwSignal<usize>,
    growing: StoredValue<bool>,
    shrinking: StoredValue<bool>,
    /// How many queues there are, and how many pass the filter.
    pub total: RwSignal<usize>,
    pub kept: RwSignal<usize>,
    /// The queues of each group, and their sums.
    groups: StoredValue<Vec<(String, Vec<RwSignal<QueueSummary>>)>>,
    pub sums: RwSignal<HashMap<String, Sum>>,
    /// The sums over all lines, computed in one pass.
    pub tally: RwSignal<Tally>,
    /// Which rows the page shows, on a board that is too large for one page.
    pub part: Option<Part>,
    /// Whether the next summing and the next arrangement are already scheduled.
    tallying: StoredValue<bool>,
    sorting: StoredValue<bool>,
    looking: StoredValue<bool>,
}

/// Lines are sorted again this long after a change that affects the order.
const SORT_AFTER_MS: i32 = 2_000;

/// Rows that the server renders for every browser, about a screen, and how many more at a time: a few seconds are
/// enough for five hundred on a slow machine, and the reader's input waits no longer than one step.
const FIRST: usize = 24;
const STEP: usize = 30;
const STEP_MS: i32 = 15;

/// Rows that are removed at a time before all others are put in another order: from the end, where few readers look.
const SHRINK: usize = 80;

/// Rows within this many screens get all their cells before the reader reaches them.
const SCREENS: f64 = 1.0;

/// The reader's place in the table is checked no more often than this.
const LOOK_MS: i32 = 50;

/// The element with the rows that are hydrated.
pub const ROWS: &str = "rows";

impl Lines {
    /// The lines of a page as the server made it.
    pub fn new(overview: Overview) -> Self {
        #[cfg(feature = "ssr")]
        if overview.large.is_some() {
            return large::lines(&overview);
        }
        let tally = Tally::of(overview.queues.iter(), &overview.stores, &overview.look);
        let index: Index = overview
            .queues
            .into_iter()
            .map(|q| (q.key(), Known::new(q, true)))
            .collect();
        let lines = Self::with(index, overview.stores, overview.look, overview.pins, tally);
        lines.items.set(lines.arranged());
        // The server renders all rows in full, and a browser hydrates the first ones as they are.
        if cfg!(feature = "hydrate") {
            lines
                .items
                .with_untracked(|items| set_near(&items[FIRST.min(items.len())..], false));
        }
        lines.sums.set(lines.added_up());
        lines
    }

    /// Lines that are not arranged yet.
    fn with(index: Index, stores: Vec<StoreSummary>, look: Look, pins: Vec<QueueRef>, tally: Tally) -> Self {
        Self {
            total: RwSignal::new(index.len()),
            index: StoredValue::new(index),
            stores: RwSignal::new(stores),
            look: RwSignal::new(look),
            pins: RwSignal::new(pins),
            items: RwSignal::new(vec![]),
            grown: RwSignal::new(FIRST),
            growing: StoredValue::new(false),
            shrinking: StoredValue::new(false),
            kept: RwSignal::new(0),
            groups: StoredValue::new(vec![]),
            sums: RwSignal::new(HashMap::new()),
            tally: RwSignal::new(tally),
            part: None,
            tallying: StoredValue::new(false),
            sorting: StoredValue::new(false),
            looking: StoredValue::new(false),
        }
    }

    /// The items that the page shows now, in order.
    fn arranged(self) -> Vec<Item> {
        let (items, groups, kept) = self.index.with_value(|index| {
            let lines: Vec<(&QueueRef, Known)> = index.iter().map(|(key, known)| (key, *known)).collect();
            let guards: Vec<_> = lines.iter().map(|(_, known)| known.queue.read_untracked()).collect();
            let queues: Vec<&QueueSummary> = guards.iter().map(|guard| &**guard).collect();
            let look = self.look.read_untracked();
            let arrangement = self.pins.with_untracked(|pins| look.arrange(&queues, pins));
            let line = |i: &usize| {
                Item::Line(Line {
                    key: lines[*i].0.clone(),
                    known: lines[*i].1,
                })
            };
            let mut items: Vec<Item> = arrangement.pinned.iter().map(line).collect();
            let mut groups = Vec::new();
            for group in &arrangement.groups {
                if let Some(key) = &group.key {
                    items.push(Item::Heading(key.clone()));
                    groups.push((
                        key.clone(),
                        group.rows.iter().map(|i| lines[*i].1.queue).collect::<Vec<_>>(),
                    ));
                    if look.folded.contains(key) {
                        continue;
                    }
                }
                items.extend(group.rows.iter().map(line));
            }
            (items, groups, arrangement.len())
        });
        self.groups.set_value(groups);
        self.kept.set(kept);
        items
    }

    fn added_up(self) -> HashMap<String, Sum> {
        self.groups.with_value(|groups| {
            let sum = |queues: &Vec<RwSignal<QueueSummary>>| {
                let guards: Vec<_> = queues.iter().map(|queue| queue.read_untracked()).collect();
                Sum::of(guards.iter().map(|guard| &**guard))
            };
            groups.iter().map(|(key, queues)| (key.clone(), sum(queues))).collect()
        })
    }

    /// Arranges the shown items by the look, now.
    fn arrange(self) {
        let items = self.arranged();
        let changed = self.items.with_untracked(|known| {
            known.len() != items.len() || known.iter().zip(&items).any(|(a, b)| a.key() != b.key())
        });
        if !changed {
            return;
        }
        let grown = self.grown.get_untracked();
        let known: HashSet<ItemKey> = self
            .items
            .with_untracked(|known| known.iter().take(grown).map(Item::key).collect());
        let fresh = items
            .iter()
            .take(grown)
            .filter(|item| !known.contains(&item.key()))
            .count();
        if fresh > STEP * 2 {
            self.grown.set(FIRST);
        }
        // Most readers see these; the positions of the others are known when their rows exist.
        set_near(&items[..FIRST.min(items.len())], true);
        self.items.set(items);
        self.sums.set(self.added_up());
        live::set_timeout(0, move || self.look_around());
        self.grow();
    }

    /// Hydrates further rows, a few at a time.
    ///
    /// Making five hundred rows live takes a third of a second, in which the browser answers no input; parsing them
    /// takes longer. So the server renders only the first ones for a browser with scripts, and the others follow in
    /// steps.
    pub fn grow(self) {
        let full = move || self.grown.get_untracked() >= self.items.with_untracked(Vec::len);
        if full() || self.growing.get_value() {
            return;
        }
        self.growing.set_value(true);
        live::set_timeout(STEP_MS, move || {
            self.growing.set_value(false);
            if full() || self.shrinking.get_value() {
                return;
            }
            self.grown.update(|grown| *grown += STEP);
            live::set_timeout(0, move || self.look_around());
            self.grow();
        });
    }

    /// Shows another look.
    pub fn show(self, look: Look) {
        if self.look.with_untracked(|known| *known != look) {
            let moved = self
                .look
                .with_untracked(|known| (known.sort, known.grouped) != (look.sort, look.grouped));
            self.look.set(look);
            if moved {
                self.shrink();
            } else if !self.shrinking.get_value() {
                self.arrange();
            }
            self.tally_soon();
        }
    }

    /// Removes rows, some at a time, and puts the others in their new order.
    ///
    /// Moving every row at once takes as long as creating them all, and removing them all a tenth of a second.
    fn shrink(self) {
        if self.shrinking.get_value() {
            return;
        }
        let live = self.grown.get_untracked().min(self.items.with_untracked(Vec::len));
        if live <= FIRST + SHRINK {
            self.grown.set(FIRST);
            return self.arrange();
        }
        self.grown.set(live - SHRINK);
        self.shrinking.set_value(true);
        live::set_timeout(0, move || {
            self.shrinking.set_value(false);
            self.shrink();
        });
    }

    /// Pins or unpins a queue. The line moves when the pointer has left.
    pub fn toggle_pin(self, key: &QueueRef) {
        self.pins.update(|pins| match pins.iter().position(|pin| pin == key) {
            Some(i) => drop(pins.remove(i)),
            None => pins.push(key.clone()),
        });
        self.sort_soon();
    }

    /// Applies a frame of the stream.
    pub fn take(self, frame: Frame, snapshot: bool) {
        let known = if snapshot { 0 } else { self.total.get_untracked() };
        if known + frame.queues.len() > 2 * WHOLE_MAX {
            // Too many to arrange in a browser; the server shows them in pages.
            return live::reload();
        }
        if snapshot {
            self.stores.set(frame.stores);
            self.replace(frame.queues);
            return;
        }
        for store in frame.stores {
            self.stores
                .update(|stores| match stores.iter_mut().find(|known| known.id == store.id) {
                    Some(known) => *known = store,
                    None => stores.push(store),
                });
        }
        // Where counts decide which lines are shown and where, every change may affect the order.
        let mut sort = !frame.patches.is_empty()
            && self
                .look
                .with_untracked(|look| !look.states.is_empty() || !matches!(look.sort, Sort::Trouble | Sort::Name));
        self.index.with_value(|index| {
            for patch in frame.patches {
                let key = QueueRef {
                    store: patch.store.clone(),
                    queue: patch.id.clone(),
                };
                if let Some(Known { queue, .. }) = index.get(&key) {
                    let level = queue.with_untracked(|q| q.verdict.level);
                    queue.update(|q| q.apply(patch));
                    sort |= queue.with_untracked(|q| q.verdict.level) != level;
                }
            }
        });
        if !frame.removed.is_empty() {
            self.index
                .update_value(|index| index.retain(|key, _| !frame.removed.contains(key)));
            self.items.update(|items| {
                items.retain(|item| !matches!(item, Item::Line(line) if frame.removed.contains(&line.key)));
            });
        }
        for queue in frame.queues {
            sort = true;
            self.add(queue);
        }
        let total = self.index.with_value(HashMap::len);
        if self.total.get_untracked() != total {
            self.total.set(total);
        }
        self.tally_soon();
        if sort {
            self.sort_soon();
        }
    }

    /// Adds a new queue: its line is at the end until lines are sorted.
    fn add(self, queue: QueueSummary) {
        let key = queue.key();
        if let Some(known) = self.index.with_value(|index| index.get(&key).copied()) {
            return known.queue.set(queue);
        }
        let kept = self.look.with_untracked(|look| look.keeps(&queue));
        let known = Known::new(queue, true);
        self.index.update_value(|index| {
            index.insert(key.clone(), known);
        });
        if kept {
            self.items.update(|items| items.push(Item::Line(Line { key, known })));
            self.look_soon();
            self.grow();
        }
    }

    /// Applies a whole board, and keeps the lines that stay.
    fn replace(self, queues: Vec<QueueSummary>) {
        let known = self.index.with_value(Clone::clone);
        let mut index = Index::with_capacity(queues.len());
        for queue in queues {
            let key = queue.key();
            let signal = match known.get(&key) {
                Some(known) => {
                    if known.queue.with_untracked(|known| *known != queue) {
                        known.queue.set(queue);
                    }
                    *known
                }
                None => Known::new(queue, true),
            };
            index.insert(key, signal);
        }
        self.total.set(index.len());
        self.index.set_value(index);
        self.arrange();
        self.tally_soon();
    }

    fn tally_soon(self) {
        if self.tallying.get_value() {
            return;
        }
        self.tallying.set_value(true);
        // Within the same beat, after all its frames.
        live::on_beat(move || {
            self.tallying.set_value(false);
            let tally = self.index.with_value(|index| {
                let lines: Vec<_> = index.values().map(|known| known.queue.read_untracked()).collect();
                let (look, stores) = (self.look.read_untracked(), self.stores.read_untracked());
                Tally::of(lines.iter().map(|line| &**line), &stores, &look)
            });
            if self.tally.with_untracked(|known| *known != tally) {
                self.tally.set(tally);
            }
            let sums = self.added_up();
            if self.sums.with_untracked(|known| *known != sums) {
                self.sums.set(sums);
            }
        });
    }

    fn sort_soon(self) {
        if self.sorting.get_value() {
            return;
        }
        self.sorting.set_value(true);
        live::set_timeout(SORT_AFTER_MS, move || {
            live::on_beat(move || {
                self.sorting.set_value(false);
                if live::pointer_inside("queues") || self.shrinking.get_value() {
                    self.sort_soon();
                } else {
                    self.arrange();
                }
            });
        });
    }

    /// Finds the reader's place in the table, after the scheduled work.
    pub fn look_soon(self) {
        if !self.looking.get_value() {
            self.looking.set_value(true);
            live::set_timeout(LOOK_MS, move || {
                self.looking.set_value(false);
                self.look_around();
            });
        }
    }

    /// Gives the rows near the screen all their cells; they keep them. The other rows have only the queue and its
    /// verdict: five hundred whole rows are twenty thousand nodes, and a change in each of them is work off the screen.
    fn look_around(self) {
        if let Some(near) = live::rows_near(ROWS, SCREENS) {
            self.items
                .with_untracked(|items| set_near(items.get(near).unwrap_or_default(), true));
        }
    }

    /// Gives all rows all their cells, because the page is about to be printed.
    pub fn show_all(self) {
        self.index
            .with_value(|index| index.values().for_each(|known| known.near.set(true)));
    }
}

fn set_near(items: &[Item], near: bool) {
    for line in items.iter().filter_map(Item::line) {
        if line.known.near.get_untracked() != near {
            line.known.near.set(near);
        }
    }
}
