//! The jobs of a state that fit a filter.
//!
//! Redis has no index of names or errors, so this reads them in windows from where the cursor stands, and
//! stops at a full page, at the end, or when [`LOOKED_AT`] jobs have been looked at. The page says how
//! many that were; its cursor goes on behind the last of them.

use super::super::redis::link::Link;
use super::super::{JobQuery, ReadError};
use super::list::{self, Entry};
use super::scan;
use crate::model::filter::JobFilter;
use crate::model::now;
use crate::model::page::JobPageRows;
use crate::server::redact::Mask;

/// Jobs read in one round trip: well below a millisecond of the server's time.
const WINDOW: usize = 500;

/// Jobs looked at for one page.
const LOOKED_AT: u64 = 10_000;

/// Reads one page of matches.
pub async fn page(link: &Link, query: &JobQuery, filter: &JobFilter, mask: &Mask) -> Result<JobPageRows, ReadError> {
    let mut window = JobQuery {
        limit: WINDOW,
        filter: None,
        ..query.clone()
    };
    let mut matches: Vec<Entry> = Vec::new();
    let mut searched = 0;
    let (mut next, mut total);
    loop {
        let found = list::entries(link, &window).await?;
        let brief = scan::brief(
            link,
            &query.queue,
            query.state,
            &found.entries,
            filter.error.is_some(),
            mask,
        )
        .await?;
        let hits = brief.iter().enumerate().filter(|(_, row)| filter.takes(row, query.at));
        let room = query.limit - matches.len();
        let hits: Vec<usize> = hits.map(|(i, _)| i).take(room).collect();
        // A full page ends at its last row: the next one begins right behind it.
        let seen = match hits.last() {
            Some(last) if hits.len() == room => last + 1,
            _ => found.entries.len(),
        };
        next = found.after(query.state, seen);
        total = found.total;
        searched += seen as u64;
        let mut entries: Vec<Option<Entry>> = found.entries.into_iter().map(Some).collect();
        matches.extend(hits.into_iter().filter_map(|i| entries[i].take()));
        if next.is_none() || matches.len() >= query.limit || searched >= LOOKED_AT {
            break;
        }
        window.cursor.clone_from(&next);
    }
    Ok(JobPageRows {
        rows: list::rows(link, &query.queue, query.state, &matches, mask).await?,
        next,
        offset: None,
        total,
        searched: Some(searched),
        as_of: now(),
    })
}
