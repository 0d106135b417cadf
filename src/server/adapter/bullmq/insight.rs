//! What a queue's settings and its newest finished jobs tell.
//!
//! Three round trips with a bounded number of commands, whatever the queue holds: settings and the ids of
//! a sample; sizes of the options, and times; the options that are short enough.

use super::super::redis::link::Link;
use super::super::redis::reply;
use super::super::{QueueId, Trouble};
use super::layout::is_marker;
use super::ready::{FAMILY, OPTIONS_MAX, Past, delay_of};
use super::{below, key};
use crate::model::insight::{EventLog, Insight, Keep, Limits, Lost, Metrics, Percentiles, RateLimit, Share, Times};
use crate::model::{Millis, now};
use redis::{RedisResult, Value};
use serde::Deserialize;
use std::collections::HashMap;

/// Finished jobs whose times are read, of each end state.
const SAMPLE: usize = 200;

/// Jobs of each list whose options are read.
const OPTIONS_SAMPLE: usize = 10;

/// Options longer than this are not read for the delay alone.
const DELAY_MAX: u64 = 2 * 1024;

/// Active jobs whose locks are read.
const LOCKS: usize = 200;

/// What a manual rate limit writes instead of a count: JavaScript's largest exact integer.
const LIMITED_BY_HAND: i64 = 9_007_199_254_740_991;

/// Reads everything.
pub async fn read(link: &Link, queue: &QueueId) -> Result<Insight, Trouble> {
    let mut pipe = redis::pipe();
    pipe.cmd("HMGET")
        .arg(key(queue, "meta"))
        .arg(&["concurrency", "max", "duration", "opts.maxLenEvents"]);
    pipe.cmd("PTTL").arg(key(queue, "limiter"));
    pipe.cmd("GET").arg(key(queue, "limiter"));
    pipe.cmd("ZCARD").arg(key(queue, "repeat"));
    pipe.cmd("XLEN").arg(key(queue, "events"));
    for set in ["completed", "failed"] {
        pipe.cmd("ZRANGE").arg(key(queue, set)).arg(0).arg(0).arg("WITHSCORES");
    }
    for set in ["completed", "failed"] {
        pipe.cmd("HGET").arg(key(queue, &format!("metrics:{set}"))).arg("count");
    }
    pipe.cmd("LLEN").arg(key(queue, "metrics:completed:data"));
    for set in ["completed", "failed"] {
        pipe.cmd("ZREVRANGE").arg(key(queue, set)).arg(0).arg(SAMPLE - 1);
    }
    pipe.cmd("LRANGE")
        .arg(key(queue, "wait"))
        .arg(0)
        .arg(OPTIONS_SAMPLE - 1);
    pipe.cmd("LLEN").arg(key(queue, "active"));
    pipe.cmd("LRANGE")
        .arg(key(queue, "active"))
        .arg(-i64::try_from(LOCKS).unwrap_or(200))
        .arg(-1);
    let replies = link.run(&mut pipe).await?;
    let ids = |i: usize| -> Vec<String> {
        let list = replies[i].as_ref().ok().map(reply::items).unwrap_or_default();
        list.iter()
            .filter_map(reply::exact)
            .filter(|id| !is_marker(id))
            .collect()
    };
    let meta = replies[0].as_ref().ok().map(reply::items).unwrap_or_default();
    let setting = |i: usize| meta.get(i).and_then(reply::int).and_then(|n| u64::try_from(n).ok());
    let (completed, failed, waiting, active) = (ids(10), ids(11), ids(12), ids(14));
    let asked: Vec<&String> = [&completed, &failed, &waiting, &active]
        .into_iter()
        .flat_map(|list| list.iter().take(OPTIONS_SAMPLE))
        .collect();
    let finished: Vec<&String> = completed.iter().chain(&failed).collect();
    let details = Details::read(link, queue, (&finished, completed.len()), &active, &asked).await?;
    let metrics = |i: usize| {
        replies[i]
            .as_ref()
            .ok()
            .and_then(reply::int)
            .and_then(|n| u64::try_from(n).ok())
    };
    let oldest = |i: usize| {
        let pair = replies[i].as_ref().ok().map(reply::items).unwrap_or_default();
        pair.get(1).and_then(reply::int)
    };
    let (keep_completed, keep_failed) = details.retention();
    Ok(Insight {
        limits: limits(&setting, &replies[1], &replies[2]),
        schedules: reply::count(&replies[3]).ok(),
        events: reply::count(&replies[4])
            .ok()
            .filter(|n| *n > 0)
            .map(|length| EventLog {
                length,
                max: setting(3),
            }),
        keep_completed,
        keep_failed,
        sampled_options: u32::try_from(details.options.len()).unwrap_or(u32::MAX),
        oldest_completed: oldest(5),
        oldest_failed: oldest(6),
        times: details.times(),
        metrics: metrics(7).or_else(|| metrics(8)).map(|_| Metrics {
            completed: metrics(7).unwrap_or(0),
            failed: metrics(8).unwrap_or(0),
            minutes: reply::count(&replies[9]).unwrap_or(0),
        }),
        lost: (!active.is_empty()).then(|| Lost {
            without_lock: details.without_lock,
            checked: active.len() as u64,
            active: reply::count(&replies[13]).unwrap_or(0).max(active.len() as u64),
        }),
        dead_letters: Vec::new(),
        dead_letters_of: Vec::new(),
        as_of: now(),
    })
}

fn limits(setting: &impl Fn(usize) -> Option<u64>, ttl: &RedisResult<Value>, started: &RedisResult<Value>) -> Limits {
    let left = ttl.as_ref().ok().and_then(reply::int).filter(|left| *left > 0);
    let started = started.as_ref().ok().and_then(reply::int).filter(|_| left.is_some());
    let rate = setting(1)
        .zip(setting(2))
        .map(|(max, duration)| RateLimit { max, duration });
    // The limit of a worker itself is not in the store: only a global one, or one that was set by hand, is
    // known to have been reached.
    let reached = started.is_some_and(|n| {
        n >= LIMITED_BY_HAND || rate.is_some_and(|rate| u64::try_from(n).is_ok_and(|n| n >= rate.max))
    });
    Limits {
        concurrency: setting(0),
        rate,
        limited_for: left.filter(|_| reached),
        started_in_window: started
            .filter(|n| *n < LIMITED_BY_HAND)
            .and_then(|n| u64::try_from(n).ok()),
    }
}

/// A finished job of the sample.
#[derive(Clone, Copy, Debug, Default)]
struct Finished {
    past: Past,
    started: Option<Millis>,
    finished: Option<Millis>,
}

/// Commands for each of them.
const COMMANDS: usize = 4;

impl Finished {
    fn read(replies: &[RedisResult<Value>], completed: bool) -> Self {
        let fields = replies[0].as_ref().ok().map(reply::items).unwrap_or_default();
        let int = |i: usize| fields.get(i).and_then(reply::int);
        let more_than = |n: i64, i: usize| int(i).is_some_and(|value| value > n);
        let count = |i: usize| reply::count(&replies[i]).unwrap_or(0);
        // Of several attempts only the last one's start is kept. A completed one leaves no stack: that is of one before.
        let retried = (3..6).any(|i| more_than(1, i)) || (6..9).any(|i| more_than(0, i));
        Self {
            past: Past {
                created: int(0),
                delay: None,
                retried: None,
                lived: retried || (completed && count(1) > 2) || count(3) > 0,
            },
            started: int(1),
            finished: int(2),
        }
    }
}

/// What the jobs of the sample themselves say.
struct Details {
    finished: Vec<Finished>,
    without_lock: u64,
    options: Vec<Options>,
}

impl Details {
    /// The first `completed` of the `finished` jobs have completed.
    async fn read(
        link: &Link,
        queue: &str,
        (finished, completed): (&[&String], usize),
        active: &[String],
        asked: &[&String],
    ) -> Result<Self, Trouble> {
        let mut pipe = redis::pipe();
        for id in finished {
            let job = key(queue, id);
            pipe.cmd("HMGET").arg(&job).arg(&[
                "timestamp",
                "processedOn",
                "finishedOn",
                "atm",
                "attemptsMade",
                "ats",
                "stc",
                "stalledCounter",
                "retriedOn",
            ]);
            pipe.cmd("HSTRLEN").arg(&job).arg("stacktrace");
            pipe.cmd("HSTRLEN").arg(&job).arg("opts");
            pipe.cmd("EXISTS").arg(FAMILY.map(|name| below(&job, name)).as_slice());
        }
        for id in active {
            pipe.cmd("EXISTS").arg(key(queue, &format!("{id}:lock")));
        }
        for id in asked {
            pipe.cmd("HSTRLEN").arg(key(queue, id)).arg("opts");
        }
        let replies = link.run(&mut pipe).await?;
        let (stamps, rest) = replies.split_at((finished.len() * COMMANDS).min(replies.len()));
        let (locks, sizes) = rest.split_at(active.len().min(rest.len()));
        let stamps = stamps.chunks_exact(COMMANDS).enumerate();
        let (mut jobs, mut delays) = (Vec::with_capacity(finished.len()), Vec::new());
        let mut pipe = redis::pipe();
        for (i, replies) in stamps {
            let job = Finished::read(replies, i < completed);
            if !job.past.lived && reply::count(&replies[2]).is_ok_and(|size| (1..=DELAY_MAX).contains(&size)) {
                pipe.cmd("HGET").arg(key(queue, finished[i])).arg("opts");
                delays.push(i);
            }
            jobs.push(job);
        }
        for (id, size) in asked.iter().zip(sizes) {
            if reply::count(size).is_ok_and(|size| (1..=OPTIONS_MAX).contains(&size)) {
                pipe.cmd("HGET").arg(key(queue, id)).arg("opts");
            }
        }
        let options = link.run(&mut pipe).await?;
        let texts: Vec<Option<String>> = options.iter().map(|reply| reply::text(reply.as_ref().ok()?)).collect();
        let (of_finished, of_asked) = texts.split_at(delays.len().min(texts.len()));
        for (i, text) in delays.into_iter().zip(of_finished) {
            jobs[i].past.delay = text.as_deref().and_then(delay_of);
        }
        Ok(Self {
            finished: jobs,
            without_lock: locks.iter().filter(|lock| matches!(lock, Ok(Value::Int(0)))).count() as u64,
            options: of_asked
                .iter()
                .filter_map(|text| serde_json::from_str(text.as_deref()?).ok())
                .collect(),
        })
    }

    fn times(&self) -> Option<Times> {
        let (mut waits, mut runs) = (Vec::new(), Vec::new());
        let (mut from, mut to) = (Millis::MAX, Millis::MIN);
        for job in &self.finished {
            let (Some(started), Some(finished)) = (job.started, job.finished) else {
                continue;
            };
            // Clocks of producers and workers differ: a negative duration counts as zero.
            runs.push(finished.saturating_sub(started).max(0));
            (from, to) = (from.min(finished), to.max(finished));
            if let Some(ready) = job.past.ready() {
                waits.push(started.saturating_sub(ready).max(0));
            }
        }
        let sample = u32::try_from(runs.len()).unwrap_or(u32::MAX);
        (sample > 0).then(|| Times {
            wait: Percentiles::of(waits),
            run: Percentiles::of(runs),
            sample,
            from,
            to,
        })
    }

    fn retention(&self) -> (Vec<Share>, Vec<Share>) {
        let of = |pick: fn(&Options) -> &Option<Rule>| {
            let mut jobs: HashMap<Keep, u32> = HashMap::new();
            for options in &self.options {
                *jobs
                    .entry(pick(options).as_ref().map_or(Keep::All, Rule::keep))
                    .or_default() += 1;
            }
            let mut shares: Vec<Share> = jobs.into_iter().map(|(keep, jobs)| Share { keep, jobs }).collect();
            shares.sort_by_key(|share| std::cmp::Reverse(share.jobs));
            shares
        };
        (of(|o| &o.remove_on_complete), of(|o| &o.remove_on_fail))
    }
}

/// The options that decide how long a finished job is kept.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Options {
    remove_on_complete: Option<Rule>,
    remove_on_fail: Option<Rule>,
}

/// `removeOnComplete` and `removeOnFail`: a boolean, a number of jobs, or `{age, count}`.
#[derive(Deserialize)]
#[serde(untagged)]
enum Rule {
    Switch(bool),
    Count(f64),
    Newest { count: Option<f64>, age: Option<f64> },
}

impl Rule {
    fn keep(&self) -> Keep {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped first")]
        let whole = |n: f64| n.clamp(0.0, 9e15) as u64;
        match self {
            // The library keeps all of them for -1.
            Self::Switch(false) | Self::Newest { count: None, age: None } => Keep::All,
            Self::Count(n) if *n < 0.0 => Keep::All,
            Self::Switch(true) | Self::Count(0.0) => Keep::Nothing,
            Self::Count(n) => Keep::Newest {
                count: Some(whole(*n)),
                age: None,
            },
            Self::Newest { count, age } => Keep::Newest {
                count: count.map(whole),
                age: age.map(whole),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_retention_rule_is_read() {
        let keep = |json: &str| serde_json::from_str::<Rule>(json).unwrap().keep();
        assert_eq!(keep("true"), Keep::Nothing);
        assert_eq!(keep("false"), Keep::All);
        assert_eq!(keep("0"), Keep::Nothing);
        assert_eq!(keep("-1"), Keep::All);
        let newest = |count, age| Keep::Newest { count, age };
        assert_eq!(keep("1000"), newest(Some(1000), None));
        assert_eq!(keep(r#"{"age":3600,"count":5,"limit":9}"#), newest(Some(5), Some(3600)));
    }

    #[test]
    fn waits_leave_out_retried_jobs_and_delays() {
        let job = |lived, delay, started, finished| Finished {
            past: Past {
                created: Some(0),
                delay,
                lived,
                ..Past::default()
            },
            started,
            finished,
        };
        let details = Details {
            finished: vec![
                job(false, Some(100), Some(150), Some(200)),
                job(true, Some(0), Some(9_000), Some(9_500)),
                job(false, None, Some(8_000), Some(8_100)),
                job(false, Some(0), None, Some(1)),
            ],
            without_lock: 0,
            options: vec![],
        };
        let times = details.times().unwrap();
        assert_eq!(times.sample, 3);
        assert_eq!(
            times.wait.unwrap().max,
            50,
            "the delay is not waiting; of the retried job and of the one without options nothing is known"
        );
        assert_eq!(times.run.unwrap().max, 500);
    }
}
