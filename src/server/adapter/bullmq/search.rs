//! The jobs of a state whose name or id contains a text.
//!
//! Redis has no index of names, so this reads names in windows from where the cursor stands, and
//! stops at a full page, at the end, or when [`LOOKED_AT`] jobs have been looked at. The page says how
//! many that were; its cursor goes on behind the last of them.

use super::super::redis::link::Link;
use super::super::redis::reply;
use super::super::{JobQuery, ReadError, Trouble};
use super::key;
use super::list::{self, Entry};
use crate::model::job::ROW_NAME_MAX;
use crate::model::now;
use crate::model::page::JobPageRows;

/// Names read in one round trip: well below a millisecond of the server's time.
const WINDOW: usize = 500;

/// Jobs looked at for one page.
const LOOKED_AT: u64 = 10_000;

/// Reads one page of matches.
pub async fn page(link: &Link, query: &JobQuery, text: &str) -> Result<JobPageRows, ReadError> {
    let wanted = text.to_lowercase();
    let mut window = JobQuery {
        limit: WINDOW,
        text: None,
        ..query.clone()
    };
    let mut matches: Vec<Entry> = Vec::new();
    let mut searched = 0;
    let (mut next, mut total);
    loop {
        let found = list::entries(link, &window).await?;
        let names = names(link, &query.queue, &found.entries).await?;
        let hits = found
            .entries
            .iter()
            .zip(&names)
            .enumerate()
            .filter(|(_, (entry, name))| {
                entry.id.to_lowercase().contains(&wanted) || name.to_lowercase().contains(&wanted)
            });
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
        rows: list::rows(link, &query.queue, query.state, &matches).await?,
        next,
        offset: None,
        total,
        searched: Some(searched),
        as_of: now(),
    })
}

/// The names of these jobs; empty where there is none, or one too long to be a name.
async fn names(link: &Link, queue: &str, entries: &[Entry]) -> Result<Vec<String>, Trouble> {
    let mut pipe = redis::pipe();
    for entry in entries {
        pipe.cmd("HSTRLEN").arg(key(queue, &entry.id)).arg("name");
    }
    let sizes = link.run(&mut pipe).await?;
    let mut pipe = redis::pipe();
    for (entry, size) in entries.iter().zip(&sizes) {
        let fits = reply::count(size).is_ok_and(|size| size <= ROW_NAME_MAX);
        pipe.cmd("HGET")
            .arg(key(queue, &entry.id))
            .arg(if fits { "name" } else { "" });
    }
    let names = link.run(&mut pipe).await?;
    Ok(names
        .iter()
        .map(|name| name.as_ref().ok().and_then(reply::text).unwrap_or_default())
        .collect())
}
