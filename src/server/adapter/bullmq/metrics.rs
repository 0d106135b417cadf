//! What workers count themselves, when configured to: jobs finished in each minute.
//!
//! `P:metrics:<completed|failed>` holds `count` (since recording began), `prevTS` (when the job arrived that
//! opened the current minute) and `prevCount` (the count at that moment). The list `…:data` holds the minutes
//! that are closed, the newest first. Minutes in which nothing finished are written only when a later job
//! finishes, so those after the newest are zero.

use super::super::redis::reply;
use super::key;
use crate::model::Millis;
use redis::{RedisResult, Value};

/// Commands that [`ask`] adds to a pipeline.
pub const COMMANDS: usize = 2;

const MINUTE: Millis = 60_000;

/// Asks for the last `minutes` of a kind.
pub fn ask(pipe: &mut redis::Pipeline, queue: &str, kind: &str, minutes: usize) {
    pipe.cmd("HMGET")
        .arg(key(queue, &format!("metrics:{kind}")))
        .arg(&["count", "prevTS", "prevCount"]);
    pipe.cmd("LRANGE")
        .arg(key(queue, &format!("metrics:{kind}:data")))
        .arg(0)
        // The newest is up to an hour and a minute away when nothing has finished for long.
        .arg(minutes + 1);
}

/// What is on record; empty when no worker records.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Recorded {
    /// The number of the open minute since the epoch, and what has finished in it.
    open: Option<(Millis, u32)>,
    /// The minutes before it, the newest first.
    closed: Vec<u32>,
}

impl Recorded {
    /// Reads the answers to [`ask`].
    pub fn read(replies: &[RedisResult<Value>]) -> Self {
        let [Ok(head), Ok(data)] = replies else {
            return Self::default();
        };
        let head = reply::items(head);
        let int = |i: usize| head.get(i).and_then(reply::int);
        let (Some(count), Some(since)) = (int(0), int(1)) else {
            return Self::default();
        };
        let small = |n: i64| u32::try_from(n.max(0)).unwrap_or(u32::MAX);
        Self {
            open: Some((
                since.div_euclid(MINUTE),
                small(count.saturating_sub(int(2).unwrap_or(0))),
            )),
            closed: reply::items(data).iter().filter_map(reply::int).map(small).collect(),
        }
    }

    /// Jobs that finished in the minute of this moment; `None` if it is not on record.
    pub fn minute(&self, at: Millis) -> Option<u32> {
        let (open, in_open) = self.open?;
        match open - at.div_euclid(MINUTE) {
            ..0 => Some(0),
            0 => Some(in_open),
            ago => self.closed.get(usize::try_from(ago - 1).ok()?).copied(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minutes_are_shifted_by_the_one_that_is_open() {
        let recorded = Recorded {
            open: Some((100, 2)),
            closed: vec![1, 0, 0, 2, 3],
        };
        let minute = |n: Millis| recorded.minute(n * MINUTE + 30_000);
        assert_eq!(minute(100), Some(2));
        assert_eq!(minute(99), Some(1));
        assert_eq!(minute(95), Some(3));
        assert_eq!(minute(94), None, "what was trimmed is not zero");
        assert_eq!(minute(103), Some(0), "nothing has finished since");
        assert_eq!(Recorded::default().minute(0), None);
    }
}
