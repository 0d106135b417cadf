//! Whether there are workers, as far as that is known.
//!
//! arq keeps no list of them. All workers of a queue write one line, each hour unless another time is set, and the first that
//! ends in an orderly way removes it while others go on. So how many there are is never known, and that there is none only
//! where three signs agree: there is no line, no claim, and no connection of this database that last did what a worker
//! does, which asks for jobs twice a second.

use super::super::redis::link::Link;
use super::super::redis::reply;
use super::super::{Connections, QueueId, Trouble};
use super::discover::{LINE_MAX, is_line};
use super::front::{is_claimed, look};
use super::{HEALTH, key};
use crate::model::format;
use std::collections::HashSet;

/// Lines that are quoted.
const NAMED: usize = 3;

/// What a worker did last on a connection: it asked for jobs, left a claimed one alone, or ended a transaction.
const OF_WORKERS: [&str; 5] = [
    "cmd=zrangebyscore",
    "cmd=exec",
    "cmd=unwatch",
    "cmd=zremrangebyscore",
    "cmd=psetex",
];

/// Who works for these queues.
pub(super) async fn read(link: &Link, known: &HashSet<QueueId>) -> Result<Connections, Trouble> {
    let mut queues: Vec<QueueId> = known.iter().cloned().collect();
    if queues.is_empty() {
        return Ok(Connections::Known(vec![]));
    }
    queues.sort();
    let mut pipe = redis::pipe();
    for queue in &queues {
        pipe.cmd("GETRANGE").arg(key(queue, HEALTH)).arg(0).arg(LINE_MAX);
        pipe.cmd("PTTL").arg(key(queue, HEALTH));
    }
    let replies = link.run(&mut pipe).await?;
    let (mut unknown, mut silent, mut lines) = (HashSet::new(), vec![], vec![]);
    for (queue, replies) in queues.into_iter().zip(replies.chunks_exact(2)) {
        match replies[0].as_ref().map(|line| reply::text(line).unwrap_or_default()) {
            Ok(line) if line.is_empty() => silent.push(queue),
            line => {
                let left = replies[1].as_ref().ok().and_then(reply::int);
                lines.extend(line.ok().and_then(|line| sentence(&queue, &line, left)));
                unknown.insert(queue);
            }
        }
    }
    if !silent.is_empty() && may_poll(link).await? {
        unknown.extend(silent.drain(..));
    }
    // One that is busy with all that it may do at a time does not ask.
    let fronts = look(link, &silent).await?;
    let busy = silent.into_iter().zip(&fronts).filter(|(_, front)| is_claimed(front));
    unknown.extend(busy.map(|(queue, _)| queue));
    if unknown.is_empty() {
        return Ok(Connections::Known(vec![]));
    }
    lines.truncate(NAMED);
    let why = format!(
        "arq keeps no list of workers: all of a queue write one line of figures, which the first that ends removes. {}",
        if lines.is_empty() {
            "None is there now.".to_owned()
        } else {
            lines.join(" ")
        }
    );
    Ok(Connections::Unknown(unknown, why))
}

/// What the line beside a queue tells; `None` if there is none.
fn sentence(queue: &str, line: &str, left: Option<i64>) -> Option<String> {
    // The time at the beginning is one of the worker's own zone, without a year.
    let figures = line
        .find("j_complete=")
        .filter(|_| is_line(line))
        .map(|at| line[at..].trim_end())?;
    let valid = match left {
        Some(left) if left > 0 => format!(", valid for another {}", format::span(left)),
        _ => String::new(),
    };
    Some(format!("A worker of {queue} wrote {figures}{valid}."))
}

/// Whether a connection may be that of a worker; also where our user may not list them.
async fn may_poll(link: &Link) -> Result<bool, Trouble> {
    let mut pipe = redis::pipe();
    pipe.cmd("CLIENT").arg("LIST").arg("TYPE").arg("normal");
    let answer = link.run(&mut pipe).await?.into_iter().next();
    let list = answer.and_then(|list| reply::exact(&list.ok()?));
    Ok(list.is_none_or(|list| polls(&list, link.database())))
}

/// Whether a connection of this database last did what a worker does.
fn polls(list: &str, database: i64) -> bool {
    let database = format!("db={database}");
    list.lines().any(|line| {
        let is = |wanted: &str| line.split(' ').any(|field| field == wanted);
        is(&database) && OF_WORKERS.iter().any(|did| is(did))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_told_with_its_figures_and_without_its_time() {
        let line = "Nov-20 17:57:27 j_complete=4 j_failed=3 j_retried=5 j_ongoing=1 queued=2";
        assert_eq!(
            sentence("arq:queue", line, Some(3_540_000)).unwrap(),
            "A worker of arq:queue wrote j_complete=4 j_failed=3 j_retried=5 j_ongoing=1 queued=2, valid for another 59 m."
        );
        assert_eq!(sentence("arq:queue", "", None), None);
        assert_eq!(sentence("arq:queue", "hello", None), None);
    }

    #[test]
    fn only_a_connection_of_this_database_that_asked_for_jobs_may_be_a_worker() {
        let line = |db: u8, cmd: &str| format!("id=7 addr=127.0.0.1:1 name= db={db} flags=N cmd={cmd} user=default\n");
        assert!(polls(&line(0, "zrangebyscore"), 0));
        assert!(!polls(&line(1, "zrangebyscore"), 0));
        assert!(!polls(&line(0, "zrange"), 0), "as Drover does");
        assert!(!polls("", 0));
    }
}
