//! A page of items: those that wait in the order in which workers take them, those of other lists in the order in which they came.
//!
//! A page is true for the moment at which it was read: places shift while workers take items. A page of very large items is shorter,
//! and the next page goes on there.

use super::super::{JobQuery, ReadError};
use super::Lists;
use super::body::Body;
use super::profile::Profile;
use super::read::{BYTES_MAX, LOOKED_AT, Span, WINDOW, elements, length};
use super::stuck;
use crate::model::job::JobRow;
use crate::model::now;
use crate::model::page::{JobPageRows, Order};

fn offset(query: &JobQuery) -> Result<u64, ReadError> {
    let Some(cursor) = &query.cursor else { return Ok(0) };
    let number = cursor.strip_prefix('o').and_then(|number| number.parse().ok());
    number
        .filter(|number: &u64| *number < u64::MAX / 4)
        .ok_or(ReadError::BadCursor)
}

/// Reads one page.
pub(super) async fn page(lists: &Lists, query: &JobQuery) -> Result<JobPageRows, ReadError> {
    let profile = lists.described(&query.queue)?;
    let list = profile.listed(query.state)?;
    let begin = offset(query)?;
    let total = length(&lists.link, &list).await?;
    let newest = query.order == Order::Newest;
    let (mut rows, mut at): (Vec<JobRow>, u64) = (vec![], begin);
    let (mut room, mut ended) = (BYTES_MAX, false);
    while rows.len() < query.limit && at < total && (at - begin < LOOKED_AT || query.filter.is_none()) && room > 0 {
        let want = match query.filter {
            None => (query.limit - rows.len()) as u64,
            Some(_) => WINDOW,
        };
        let n = want.min(total - at);
        let first = if newest { total - at - n } else { at };
        let span = Span { first, n, back: newest };
        let mut part = elements(&lists.link, &list, span, &mut room).await?;
        if newest {
            part.reverse();
        }
        if part.is_empty() {
            // Workers took them meanwhile.
            ended = true;
            break;
        }
        let all = rows_of(lists, profile, query, part.iter().map(|element| &*element.bytes)).await?;
        for (element, row) in part.iter().zip(all) {
            at += 1;
            if query.filter.as_ref().is_none_or(|filter| filter.takes(&row, query.at)) {
                lists.places.note(&list.key, &row.id, element.at);
                rows.push(row);
            }
            if rows.len() >= query.limit {
                break;
            }
        }
    }
    Ok(JobPageRows {
        rows,
        next: (at < total && !ended).then(|| format!("o{at}")),
        offset: query.filter.is_none().then_some(begin),
        total,
        searched: query.filter.as_ref().map(|_| at - begin),
        as_of: now(),
    })
}

/// The lines of these items.
async fn rows_of(
    lists: &Lists,
    profile: &Profile,
    query: &JobQuery,
    items: impl Iterator<Item = &[u8]>,
) -> Result<Vec<JobRow>, ReadError> {
    let items: Vec<&[u8]> = items.collect();
    let read = |bytes: &&[u8]| Body::read(profile, bytes).row(query.state);
    let mut rows: Vec<JobRow> = items.iter().map(read).collect();
    stuck::mark(lists, profile, &items, &mut rows).await?;
    Ok(rows)
}
