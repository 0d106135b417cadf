//! A job's log, a part at a time.
//!
//! A list tells how many lines it has and about how much memory they take, never how long a line is:
//! it is known when it has been fetched. So lines are fetched in batches made for the average, a log
//! that could hold a giant line is read over a connection of its own, and an answer ends after
//! [`TEXT_MAX`] bytes of text or [`FETCH_MAX`] bytes fetched, whichever comes first. A search goes
//! from the newest line to older ones and ends after [`SEARCH_LINES`] lines; it says how far it came. It sees the
//! masked text of a line, up to the place where a line is cut: no search can find hidden text.

use super::super::redis::link::{Link, classify};
use super::super::redis::reply;
use super::super::{LogQuery, ReadError, Trouble};
use super::values::Large;
use super::{below, key};
use crate::model::job::{LogLine, LogPage, LogSearch};
use crate::model::store::Reach;
use crate::server::redact::{MARKER, Mask};
use redis::aio::MultiplexedConnection;
use redis::{RedisResult, Value};
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// Bytes of text in one answer.
pub const TEXT_MAX: usize = 256 * 1024;

/// Bytes of one line in an answer.
const LINE_MAX: usize = 4 * 1024;

/// Bytes fetched for one answer, after which no further batch is fetched.
const FETCH_MAX: usize = 8 * 1024 * 1024;

/// Lines searched for one answer, and how long it may take.
pub const SEARCH_LINES: u64 = 20_000;
const SEARCH_TIME: Duration = Duration::from_millis(800);

/// Bytes in a batch, by the average line.
const BATCH: u64 = 64 * 1024;

/// A log that takes less memory than this is read over the shared connection.
const SHARED_MAX: u64 = 2 * 1024 * 1024;

/// How long an answer may take, the wait for its turn included.
const DEADLINE: Duration = Duration::from_secs(4);

/// Reads what a query asks for; `None` if the job has no log.
pub async fn page(link: &Link, large: &Large, query: &LogQuery, mask: &Mask) -> Result<LogPage, ReadError> {
    let log = below(&key(&query.queue, &query.job), "logs");
    let mut pipe = redis::pipe();
    measure(&mut pipe, &log);
    let replies = link.run(&mut pipe).await?;
    if let Err(error) = &replies[0] {
        let why = reply::why(error);
        return Err(ReadError::Corrupt(format!("the log cannot be read: {why}")));
    }
    part(link, large, &log, &replies, query, TEXT_MAX, mask).await
}

/// Asks how many lines there are and how much memory they take: two commands.
pub(super) fn measure(pipe: &mut redis::Pipeline, log: &[u8]) {
    pipe.cmd("LLEN").arg(log);
    // Exact for up to 10,000 chunks of 8 KB; an estimate from as many beyond.
    pipe.cmd("MEMORY").arg("USAGE").arg(log).arg("SAMPLES").arg(10_000);
}

/// Reads a part of a log that was measured, at most `room` bytes of text.
pub(super) async fn part(
    link: &Link,
    large: &Large,
    log: &[u8],
    measured: &[RedisResult<Value>],
    query: &LogQuery,
    room: usize,
    mask: &Mask,
) -> Result<LogPage, ReadError> {
    let total = reply::count(&measured[0]).unwrap_or(0);
    if total == 0 {
        return Ok(LogPage {
            search: query.find.clone().map(|q| LogSearch {
                q,
                from: 0,
                searched: 0,
                next: None,
            }),
            ..LogPage::default()
        });
    }
    // Where MEMORY is forbidden a log may be anything.
    let memory = reply::count(&measured[1]).unwrap_or(u64::MAX);
    let read = async {
        let _turn;
        let own = if memory > SHARED_MAX {
            _turn = large.logs.acquire().await;
            Some(link.dedicated().await?)
        } else {
            None
        };
        let mut reader = Reader {
            link,
            own,
            log,
            average: (memory / total).max(1),
            fetched: 0,
        };
        match &query.find {
            Some(q) => search(&mut reader, q, query, total, room, mask).await,
            None => lines(&mut reader, query, total, room, mask).await,
        }
    };
    let page = timeout(DEADLINE, read).await.map_err(|_| {
        Trouble::new(
            Reach::Frozen,
            format!("{} did not return the log in time.", link.address()),
        )
    })??;
    Ok(page)
}

struct Reader<'a> {
    link: &'a Link,
    own: Option<MultiplexedConnection>,
    log: &'a [u8],
    average: u64,
    fetched: usize,
}

impl Reader<'_> {
    /// How many lines to ask for next, with `left` still wanted.
    fn batch(&self, left: u64) -> u64 {
        (BATCH / self.average).clamp(1, left.clamp(1, 1000))
    }

    /// Lines `first..first + count`, counted from 0.
    async fn range(&mut self, first: u64, count: u64) -> Result<Vec<Vec<u8>>, Trouble> {
        let mut pipe = redis::pipe();
        pipe.cmd("LRANGE").arg(self.log).arg(first).arg(first + count - 1);
        let reply = match &mut self.own {
            None => self.link.run(&mut pipe).await?.swap_remove(0),
            Some(connection) => {
                self.link.count_sent(1);
                let replies: RedisResult<Vec<Value>> = pipe.query_async(connection).await;
                replies.map(|mut replies| replies.pop().unwrap_or(Value::Nil))
            }
        };
        let lines: Vec<Vec<u8>> = match reply {
            Ok(Value::Array(items)) => items
                .into_iter()
                .map(|item| match item {
                    Value::BulkString(bytes) => bytes,
                    other => reply::text(&other).unwrap_or_default().into_bytes(),
                })
                .collect(),
            Ok(_) => vec![],
            Err(error) => return Err(classify(&error, &self.link.address())),
        };
        self.fetched += lines.iter().map(Vec::len).sum::<usize>();
        Ok(lines)
    }

    const fn tired(&self) -> bool {
        self.fetched >= FETCH_MAX
    }
}

fn line(n: u64, bytes: &[u8], mask: &Mask) -> LogLine {
    let cut = bytes.len() > LINE_MAX;
    // A character that the cut goes through is left out; other bytes that are no text are replaced.
    let head = &bytes[..bytes.len().min(LINE_MAX)];
    let head = match std::str::from_utf8(head) {
        Err(error) if cut && error.error_len().is_none() => &head[..error.valid_up_to()],
        _ => head,
    };
    LogLine {
        n,
        text: mask.text(&String::from_utf8_lossy(head)).into_owned(),
        size: cut.then_some(bytes.len() as u64),
    }
}

/// From `from` on, or the newest ones.
async fn lines(
    reader: &mut Reader<'_>,
    query: &LogQuery,
    total: u64,
    room: usize,
    mask: &Mask,
) -> Result<LogPage, Trouble> {
    let limit = query.limit as u64;
    let mut lines: Vec<LogLine> = Vec::new();
    let mut text = 0;
    let mut fits = |line: &LogLine, first: bool| {
        text += line.text.len();
        first || text <= room
    };
    if let Some(from) = query.from {
        let mut at = from.saturating_sub(1);
        let end = total.min(at.saturating_add(limit));
        'forward: while at < end && !reader.tired() {
            let batch = reader.range(at, reader.batch(end - at)).await?;
            if batch.is_empty() {
                break;
            }
            for bytes in batch {
                let line = line(at + 1, &bytes, mask);
                if !fits(&line, lines.is_empty()) {
                    break 'forward;
                }
                lines.push(line);
                at += 1;
            }
        }
    } else {
        let mut at = total;
        let end = total.saturating_sub(limit);
        'backward: while at > end && !reader.tired() {
            let count = reader.batch(at - end);
            let batch = reader.range(at - count, count).await?;
            if batch.is_empty() {
                break;
            }
            for bytes in batch.iter().rev() {
                let line = line(at, bytes, mask);
                if !fits(&line, lines.is_empty()) {
                    break 'backward;
                }
                lines.push(line);
                at -= 1;
            }
        }
        lines.reverse();
    }
    Ok(LogPage {
        total,
        lines,
        search: None,
    })
}

/// Backwards from `from`, or from the newest line.
async fn search(
    reader: &mut Reader<'_>,
    q: &str,
    query: &LogQuery,
    total: u64,
    room: usize,
    mask: &Mask,
) -> Result<LogPage, Trouble> {
    let from = query.from.unwrap_or(total).min(total);
    let (mut at, mut text, mut lines) = (from, 0, Vec::new());
    let (needle, began) = (q.to_lowercase(), Instant::now());
    'search: while at > 0 && from - at < SEARCH_LINES && !reader.tired() && began.elapsed() < SEARCH_TIME {
        let count = reader.batch((SEARCH_LINES - (from - at)).min(at));
        let batch = reader.range(at - count, count).await?;
        if batch.is_empty() {
            break;
        }
        for bytes in batch.iter().rev() {
            // Most lines do not hold it; of those that do it must stand in what is shown.
            let hit = Some(bytes)
                .filter(|bytes| holds(bytes, &needle) || MARKER.contains(&needle))
                .map(|bytes| line(at, bytes, mask));
            if let Some(line) = hit.filter(|line| holds(line.text.as_bytes(), &needle)) {
                if lines.len() >= query.limit || (text + line.text.len() > room && !lines.is_empty()) {
                    break 'search;
                }
                text += line.text.len();
                lines.push(line);
            }
            at -= 1;
        }
    }
    lines.reverse();
    Ok(LogPage {
        total,
        lines,
        search: Some(LogSearch {
            q: q.to_owned(),
            from,
            searched: from - at,
            next: (at > 0).then_some(at),
        }),
    })
}

/// Whether a line holds a lower-case text in letters of either case.
fn holds(line: &[u8], needle: &str) -> bool {
    if needle.is_ascii() {
        let needle = needle.as_bytes();
        return needle.is_empty() || line.windows(needle.len()).any(|w| w.eq_ignore_ascii_case(needle));
    }
    String::from_utf8_lossy(line).to_lowercase().contains(needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_finds_letters_of_either_case() {
        assert!(holds(b"Connection REFUSED", "refused"));
        assert!(holds("größe ÄNDERN".as_bytes(), "ändern"));
        assert!(!holds(b"refuse", "refused"));
        assert!(!holds(b"\xff\xfe", "refused"));
    }

    #[test]
    fn a_long_line_is_cut_between_characters_and_says_its_size() {
        let long = format!("a{}", "é".repeat(LINE_MAX));
        let line = line(7, long.as_bytes(), &Mask::default());
        assert_eq!((line.n, line.size), (7, Some(long.len() as u64)));
        assert!(!line.text.contains('\u{fffd}') && line.text.len() >= LINE_MAX - 2);
    }
}
