//! The lines of a board that is too large for one page: the server arranges all queues and shows a part of them.

use super::super::Part;
use super::super::tally::Tally;
use super::{Index, Item, Known, Line, Lines};
use crate::model::look::Sum;
use crate::model::page::{Overview, PART};
use crate::model::queue::QueueSummary;
use leptos::prelude::*;
use std::collections::HashMap;

/// A row before it has signals: only those that are shown get some.
enum Row<'a> {
    Heading(&'a str),
    Queue(&'a QueueSummary),
}

/// The lines of one page; counts, verdicts and sums are those of the whole board.
pub(super) fn lines(overview: &Overview) -> Lines {
    let all: Vec<&QueueSummary> = overview.all().collect();
    let asked = overview.large.as_ref().map_or(1, |large| large.page);
    let (look, total) = (overview.look.clone(), all.len());
    let tally = Tally::of(all.iter().copied(), &overview.stores, &look);
    let arrangement = look.arrange(&all, &overview.pins);
    let mut rows: Vec<Row<'_>> = arrangement.pinned.iter().map(|i| Row::Queue(all[*i])).collect();
    let mut sums = HashMap::new();
    for group in &arrangement.groups {
        let queues = || group.rows.iter().map(|i| all[*i]);
        if let Some(key) = &group.key {
            rows.push(Row::Heading(key));
            sums.insert(key.clone(), Sum::of(queues()));
            if look.folded.contains(key) {
                continue;
            }
        }
        rows.extend(queues().map(Row::Queue));
    }
    let pages = rows.len().div_ceil(PART).max(1);
    // An address of a page that is no more leads to the last one.
    let page = asked.clamp(1, pages);
    let before = (page - 1) * PART;
    let items: Vec<Item> = rows.iter().skip(before).take(PART).map(item).collect();
    let part = Part {
        page,
        pages,
        rows: items.len(),
        before,
        of: rows.len(),
    };
    let lines = Lines {
        part: Some(part),
        ..Lines::with(
            Index::new(),
            overview.stores.clone(),
            look.clone(),
            overview.pins.clone(),
            tally,
        )
    };
    lines.total.set(total);
    lines.kept.set(arrangement.len());
    lines.grown.set(items.len());
    lines.items.set(items);
    lines.sums.set(sums);
    lines
}

fn item(row: &Row<'_>) -> Item {
    match row {
        Row::Heading(key) => Item::Heading((*key).to_owned()),
        Row::Queue(queue) => Item::Line(Line {
            key: queue.key(),
            known: Known::new((*queue).clone(), true),
        }),
    }
}
