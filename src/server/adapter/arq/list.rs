//! A page of jobs.
//!
//! What is due is at the front of a queue and what is not due yet behind it, so both are found by their place. Claimed jobs
//! are left out of the waiting ones. A page is true for the moment at which it was read: places shift while jobs end.
//!
//! The size of a payload is known before it is read: of a large one only the name is read, as far as it is at the
//! beginning.

use super::super::redis::link::Link;
use super::super::redis::reply;
use super::super::{JobQuery, ReadError, Trouble};
use super::capabilities::NO_FINISHED;
use super::front::{Entry, Front, entries, look, ranks};
use super::record::{Record, name_at_the_beginning};
use super::{IN_PROGRESS, JOB, RETRY, key};
use crate::model::job::{JobRow, cut};
use crate::model::page::{JobPageRows, Order};
use crate::model::state::JobState;
use crate::model::{Millis, now};
use redis::{RedisResult, Value};
use std::collections::HashSet;

/// Jobs looked at in one round trip, and for one page of a search.
const WINDOW: usize = 200;
const LOOKED_AT: u64 = 10_000;

/// The largest payload that is read for a list, and all payloads of a page.
const PAYLOAD_MAX: u64 = 64 * 1024;
const PAGE_MAX: u64 = 8 * 1024 * 1024;

/// Bytes that are read of a larger one.
const BEGINNING: u64 = 512;

/// Characters of a name in a row.
const NAME_CHARS: usize = 500;

/// What a row says of a job whose payload is gone.
pub(super) const EXPIRED: &str = "its payload has expired: the worker that takes it fails it with \"job expired\"";

/// Where to go on: how many places were passed, and how many rows were on the pages before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Cursor {
    passed: u64,
    listed: u64,
}

impl Cursor {
    fn of(query: &JobQuery) -> Result<Self, ReadError> {
        let Some(cursor) = &query.cursor else {
            return Ok(Self::default());
        };
        let parts = cursor.strip_prefix('o').and_then(|cursor| cursor.split_once('.'));
        let number = |text: &str| text.parse().ok().filter(|number: &u64| *number < u64::MAX / 4);
        let both = parts.and_then(|(passed, listed)| Some((number(passed)?, number(listed)?)));
        let (passed, listed) = both.ok_or(ReadError::BadCursor)?;
        Ok(Self { passed, listed })
    }
}

/// What is known of a job in a queue before its payload is read.
#[derive(Debug)]
pub(super) struct Sight {
    /// Whether a worker has claimed it.
    pub(super) claimed: bool,
    /// How many tries have begun.
    pub(super) begun: u32,
    /// Bytes of its payload; 0 if that has expired.
    pub(super) size: u64,
}

impl Sight {
    /// The state that a job is in.
    pub(super) const fn state(&self, due: Millis, now: Millis) -> JobState {
        match (self.claimed, due > now) {
            (true, _) => JobState::Active,
            (false, true) => JobState::Delayed,
            (false, false) => JobState::Waiting,
        }
    }
}

/// A job as a line of a list; the payload as far as it was read.
pub(super) fn row(id: &str, due: Millis, state: JobState, sight: &Sight, payload: &[u8]) -> JobRow {
    let record = Record::read(payload);
    let beginning = || name_at_the_beginning(payload);
    let name = record.as_ref().map(|record| record.function.clone()).or_else(beginning);
    JobRow {
        id: id.to_owned(),
        name: name.map(|name| cut(&name, NAME_CHARS)).unwrap_or_default(),
        state,
        created: record.and_then(|record| record.added),
        // Only a result says when a try began.
        started: None,
        finished: None,
        due: Some(due).filter(|_| state == JobState::Delayed),
        priority: 0,
        attempts: Some(sight.begun.saturating_sub(u32::from(sight.claimed))),
        // How many are allowed is in the code of the worker: this one is.
        attempts_max: None,
        stalled: 0,
        progress: None,
        error: None,
        worker: None,
        scheduler: None,
        data_size: sight.size,
        locked: None,
        put_away: false,
        problem: (sight.size == 0).then(|| EXPIRED.to_owned()),
    }
}

/// Reads one page.
pub(super) async fn page(link: &Link, query: &JobQuery) -> Result<JobPageRows, ReadError> {
    let cursor = Cursor::of(query)?;
    match query.state {
        JobState::Waiting | JobState::Active | JobState::Delayed => {}
        JobState::Completed | JobState::Failed => return Err(ReadError::Unsupported(NO_FINISHED)),
        JobState::Prioritized | JobState::WaitingChildren | JobState::Cancelled => {
            return Err(ReadError::Unsupported("arq has no such state."));
        }
    }
    let front = look(link, std::slice::from_ref(&query.queue)).await?.pop();
    let front = front.unwrap_or_else(|| Ok(Front::default()));
    let front = front.map_err(|why| ReadError::Corrupt(format!("Its jobs cannot be read: {why}.")))?;
    let claimed = front.claimed.len() as u64;
    // The places of the state, and how many jobs of it are there.
    let (low, high, total) = match query.state {
        JobState::Delayed => (front.due, front.total, front.total.saturating_sub(front.due)),
        JobState::Active => (0, claimed, claimed),
        _ => (0, front.due, front.due.saturating_sub(claimed)),
    };
    let mut reader = Reader {
        link,
        query,
        claimed: front.claimed.iter().map(|entry| entry.id.as_str()).collect(),
        front: &front,
        room: PAGE_MAX,
        rows: vec![],
    };
    let passed = reader.read(low, high.max(low), cursor.passed).await?;
    let (rows, all) = (reader.rows, high.saturating_sub(low));
    let next = Cursor {
        passed,
        listed: cursor.listed + rows.len() as u64,
    };
    Ok(JobPageRows {
        next: (passed < all && passed > cursor.passed).then(|| format!("o{}.{}", next.passed, next.listed)),
        offset: query.filter.is_none().then_some(cursor.listed),
        total,
        searched: query.filter.as_ref().map(|_| passed.saturating_sub(cursor.passed)),
        rows,
        as_of: now(),
    })
}

struct Reader<'a> {
    link: &'a Link,
    query: &'a JobQuery,
    front: &'a Front,
    /// The ids of claimed jobs.
    claimed: HashSet<&'a str>,
    /// Bytes of payloads that may still be read.
    room: u64,
    rows: Vec<JobRow>,
}

impl Reader<'_> {
    /// Reads rows from a number of places on; how many places were passed then.
    async fn read(&mut self, low: u64, high: u64, begin: u64) -> Result<u64, ReadError> {
        let (all, newest) = (high - low, self.query.order == Order::Newest);
        let mut passed = begin.min(all);
        while self.rows.len() < self.query.limit && passed < all && passed - begin < LOOKED_AT {
            let want = (WINDOW as u64).min(all - passed);
            let first = if newest { high - passed - want } else { low + passed };
            let mut window = self.window(first, want).await?;
            if window.is_empty() {
                // They have ended meanwhile.
                return Ok(all);
            }
            if newest {
                window.reverse();
            }
            if self.query.state == JobState::Waiting {
                window.retain(|entry| !self.claimed.contains(entry.id.as_str()));
            }
            // No more are read than are wanted.
            for part in window.chunks(self.part()) {
                let rows = rows(self.link, part, self.query.state, &mut self.room).await?;
                for (entry, row) in part.iter().zip(rows) {
                    self.rows.extend(row.filter(|row| self.takes(row)));
                    if self.rows.len() >= self.query.limit {
                        return Ok(if newest { high - entry.at } else { entry.at + 1 - low });
                    }
                }
            }
            passed += want;
        }
        Ok(passed)
    }

    fn takes(&self, row: &JobRow) -> bool {
        let filter = self.query.filter.as_ref();
        filter.is_none_or(|filter| filter.takes(row, self.query.at))
    }

    fn part(&self) -> usize {
        match self.query.filter {
            Some(_) => WINDOW,
            None => self.query.limit.saturating_sub(self.rows.len()).max(1),
        }
    }

    /// The jobs of some places of the state.
    async fn window(&self, first: u64, n: u64) -> Result<Vec<Entry>, ReadError> {
        if self.query.state == JobState::Active {
            let claimed = self.front.claimed.iter().zip(0..);
            let within = claimed.filter(|(_, at)| (first..first + n).contains(at));
            let placed = |(entry, at): (&Entry, u64)| Entry { at, ..entry.clone() };
            return Ok(within.map(placed).collect());
        }
        let mut pipe = redis::pipe();
        ranks(&mut pipe, &self.query.queue, first, n);
        let replies = self.link.run(&mut pipe).await?;
        let answer = replies
            .first()
            .map_or_else(|| Ok(vec![]), |reply| entries(reply, first));
        answer.map_err(|why| ReadError::Corrupt(format!("Its jobs cannot be read: {why}.")))
    }
}

/// The lines of these jobs; `None` for one that is not in the state any more.
async fn rows(link: &Link, entries: &[Entry], state: JobState, room: &mut u64) -> Result<Vec<Option<JobRow>>, Trouble> {
    let sights = sights(link, entries).await?;
    let mut pipe = redis::pipe();
    for (entry, sight) in entries.iter().zip(&sights) {
        let whole = sight.size <= PAYLOAD_MAX.min(*room);
        let n = if whole { sight.size } else { BEGINNING };
        *room = room.saturating_sub(n);
        pipe.cmd("GETRANGE")
            .arg(key(JOB, &entry.id))
            .arg(0)
            .arg(i64::try_from(n).unwrap_or(0).max(1) - 1);
    }
    let payloads = link.read_long(&mut pipe).await?;
    let now = now();
    let all = entries.iter().zip(&sights).zip(&payloads);
    let rows = all.map(|((entry, sight), payload)| {
        let is = sight.state(entry.due, now);
        (is == state).then(|| row(&entry.id, entry.due, state, sight, bytes(payload)))
    });
    Ok(rows.collect())
}

/// The bytes of an answer; none where there are none.
pub(super) fn bytes(reply: &RedisResult<Value>) -> &[u8] {
    match reply {
        Ok(Value::BulkString(bytes)) => bytes,
        _ => &[],
    }
}

async fn sights(link: &Link, entries: &[Entry]) -> Result<Vec<Sight>, Trouble> {
    if entries.is_empty() {
        return Ok(vec![]);
    }
    let mut pipe = redis::pipe();
    for prefix in [IN_PROGRESS, RETRY] {
        pipe.cmd("MGET");
        for entry in entries {
            pipe.arg(key(prefix, &entry.id));
        }
    }
    for entry in entries {
        pipe.cmd("STRLEN").arg(key(JOB, &entry.id));
    }
    let replies = link.run(&mut pipe).await?;
    let items = |at: usize| {
        replies
            .get(at)
            .and_then(|reply| reply.as_ref().ok())
            .map_or(&[][..], reply::items)
    };
    let (claims, tries) = (items(0), items(1));
    let sight = |(at, size): (usize, &RedisResult<Value>)| Sight {
        claimed: claims.get(at).is_some_and(|claim| *claim != Value::Nil),
        begun: tries.get(at).map_or(0, begun),
        size: reply::count(size).unwrap_or(0),
    };
    Ok(replies.iter().skip(2).enumerate().map(sight).collect())
}

/// The number of tries that have begun.
pub(super) fn begun(reply: &Value) -> u32 {
    reply::int(reply).and_then(|n| u32::try_from(n).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(cursor: Option<&str>) -> JobQuery {
        JobQuery {
            queue: "arq:queue".into(),
            state: JobState::Waiting,
            filter: None,
            at: 0,
            order: Order::Next,
            cursor: cursor.map(str::to_owned),
            limit: 10,
        }
    }

    #[test]
    fn a_cursor_says_how_many_places_and_rows_are_behind() {
        let cursor = |text| Cursor::of(&query(text)).ok();
        assert_eq!(cursor(None), Some(Cursor::default()));
        assert_eq!(cursor(Some("o60.50")), Some(Cursor { passed: 60, listed: 50 }));
        for broken in [
            "",
            "x",
            "o1",
            "o-1.0",
            "o1.",
            "o99999999999999999999.1",
            "o9223372036854775807.1",
        ] {
            assert_eq!(cursor(Some(broken)), None, "{broken}");
        }
    }

    #[test]
    fn a_claimed_job_runs_its_try_and_one_without_a_payload_says_so() {
        let mut sight = Sight {
            claimed: true,
            begun: 2,
            size: 0,
        };
        assert_eq!(sight.state(5, 1), JobState::Active);
        let running = row("a", 5, JobState::Active, &sight, b"");
        assert_eq!((running.attempts, running.due), (Some(1), None));
        assert!(running.problem.unwrap().contains("expired"));
        sight = Sight {
            claimed: false,
            size: 3,
            ..sight
        };
        assert_eq!(sight.state(5, 1), JobState::Delayed);
        let later = row("a", 5, JobState::Delayed, &sight, b"\xff\xff\xff");
        assert_eq!((later.attempts, later.due, later.problem), (Some(2), Some(5), None));
    }
}
