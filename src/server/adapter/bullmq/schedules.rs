//! What creates jobs on a timetable: job schedulers of BullMQ 5 and 6, and the repeatable jobs of Bull
//! and BullMQ 3, 4 and 5.
//!
//! All live in the sorted set `P:repeat`: member = the schedule, score = the moment the next job is
//! planned for. That job exists already, and only when a worker begins it is the one after made. So a
//! schedule whose next job is missing never runs again.
//!
//! | member | definition | next job |
//! |---|---|---|
//! | scheduler id | hash `P:repeat:<id>` with `ic`, the iterations made | `repeat:<id>:<ms>` |
//! | key or MD5 of BullMQ 5's repeatables | the same hash without `ic` | `repeat:<key>:<ms>` |
//! | `name:id:end:tz:pattern or interval` of BullMQ 3 and 4 | the member itself | `repeat:<md5(name + id + md5(member))>:<ms>` |
//! | `name:id:end:tz:pattern`, `name:id:end:interval` of Bull | the member itself | the same, with `:` behind the id |
//!
//! The library's own getter deletes members without a hash; this one only reads. Members that are not
//! read are counted, and everything of unknown length is measured before it is fetched.

use super::super::redis::link::Link;
use super::super::redis::reply;
use super::super::{Bounds, QueueId, Trouble};
use super::{Hidden, below, key};
use crate::model::exact::bytes_of;
use crate::model::job::{Payload, cut};
use crate::model::queue::QueueRef;
use crate::model::schedule::{Iteration, LastRun, Schedule, ScheduleKind};
use crate::model::state::JobState;
use crate::model::verdict::Verdict;
use crate::model::{Millis, now};
use crate::server::cron;
pub(super) use definition::job_prefixes;
use definition::{Definition, FIELDS};
use redis::{Pipeline, RedisResult, Value};
use std::time::Duration;

mod definition;

/// Queues, and schedules, read in one pipeline: about a millisecond of the server's time.
const BATCH: usize = 100;

/// The longest member that is read; a longer one is counted and nothing more.
const MEMBER_MAX: usize = 4096;

/// Template data above this many bytes is not fetched, and this much of it is shown.
const DATA_MAX: u64 = 4096;
const DATA_SHOWN: usize = 300;

/// Options of a job above this many bytes are not fetched.
const OPTIONS_MAX: u64 = 16 * 1024;

/// How far into a list to look for a job, from either end.
const SEARCH_MAX: usize = 1000;

/// How many planned moments back to look for the last run: a worker that was late skips some.
const LOOK_BACK: usize = 3;

/// A repeatable moves on in two steps, first the score, then the job. A missing job is looked for again after this
/// pause, before it is reported.
const SECOND_LOOK: Duration = Duration::from_millis(150);

/// How many schedules each queue has.
pub async fn count(link: &Link, queues: &[QueueId]) -> Result<Vec<Option<u64>>, Trouble> {
    let mut counts = Vec::with_capacity(queues.len());
    for batch in queues.chunks(10 * BATCH) {
        let mut pipe = redis::pipe();
        for queue in batch {
            pipe.cmd("ZCARD").arg(key(queue, "repeat"));
        }
        let replies = link.run(&mut pipe).await?;
        counts.extend(replies.iter().map(|reply| reply::count(reply).ok()));
    }
    Ok(counts)
}

/// A member of `P:repeat`.
#[derive(Clone, Debug)]
struct Member<'a> {
    queue: &'a QueueId,
    id: String,
    next: Millis,
}

/// Reads the schedules that run next.
pub(super) async fn read(
    link: &Link,
    queues: &[QueueId],
    bounds: Bounds,
    hidden: &Hidden,
) -> Result<Vec<Schedule>, Trouble> {
    let mut members = members(link, queues, bounds.queue).await?;
    members.sort_by_key(|member| member.next);
    members.truncate(bounds.all);
    let mut schedules = Vec::with_capacity(members.len());
    for batch in members.chunks(BATCH) {
        schedules.extend(details(link, batch, hidden).await?);
    }
    let missing: Vec<usize> = (0..schedules.len()).filter(|i| schedules[*i].job.is_none()).collect();
    if !missing.is_empty() {
        tokio::time::sleep(SECOND_LOOK).await;
        for batch in missing.chunks(BATCH) {
            look_again(link, &members, batch, &mut schedules, hidden).await?;
        }
    }
    Ok(schedules)
}

async fn members<'a>(link: &Link, queues: &'a [QueueId], limit: usize) -> Result<Vec<Member<'a>>, Trouble> {
    let mut members = Vec::new();
    for batch in queues.chunks(BATCH) {
        let mut pipe = redis::pipe();
        for queue in batch {
            pipe.cmd("ZRANGE")
                .arg(key(queue, "repeat"))
                .arg(0)
                .arg(limit.saturating_sub(1))
                .arg("WITHSCORES");
        }
        let replies = link.run(&mut pipe).await?;
        for (queue, reply) in batch.iter().zip(&replies) {
            let pairs = reply.as_ref().map(reply::items).unwrap_or_default();
            for pair in pairs.chunks_exact(2) {
                if let (Some(id), Some(next)) = (reply::exact(&pair[0]), reply::int(&pair[1]))
                    && id.len() <= MEMBER_MAX
                {
                    members.push(Member { queue, id, next });
                }
            }
        }
    }
    Ok(members)
}

/// Reads those again whose next job was not found, from the moment they are planned for now.
async fn look_again(
    link: &Link,
    members: &[Member<'_>],
    missing: &[usize],
    schedules: &mut [Schedule],
    hidden: &Hidden,
) -> Result<(), Trouble> {
    let mut pipe = redis::pipe();
    for i in missing {
        pipe.cmd("ZSCORE")
            .arg(key(members[*i].queue, "repeat"))
            .arg(&*bytes_of(&members[*i].id));
    }
    let scores = link.run(&mut pipe).await?;
    let again: Vec<Member<'_>> = missing
        .iter()
        .zip(&scores)
        .map(|(i, score)| {
            let mut member = members[*i].clone();
            // One that was removed meanwhile stays as it was read: the next reading does not list it.
            if let Some(next) = score.as_ref().ok().and_then(reply::int) {
                member.next = next;
            }
            member
        })
        .collect();
    for (i, schedule) in missing.iter().zip(details(link, &again, hidden).await?) {
        schedules[*i] = schedule;
    }
    Ok(())
}

/// A schedule on its way: what it says, what its jobs are called, and the moments it ran at before.
struct Draft<'a> {
    member: &'a Member<'a>,
    definition: Definition,
    /// What its job ids begin with; `None` if the next job was not found.
    prefix: Option<String>,
    before: Vec<(String, Millis)>,
}

/// Commands of [`ask_job`] and of [`ask_past`].
const JOB: usize = 8;
const PAST: usize = 2;

fn ask_job(pipe: &mut Pipeline, queue: &str, id: &str) {
    let job = key(queue, id);
    pipe.cmd("HMGET")
        .arg(&job)
        .arg("timestamp")
        .arg("processedOn")
        .arg("finishedOn");
    for set in ["delayed", "prioritized", "completed", "failed"] {
        pipe.cmd("ZSCORE").arg(key(queue, set)).arg(&*bytes_of(id));
    }
    pipe.cmd("EXISTS").arg(below(&job, "lock"));
    pipe.cmd("HSTRLEN").arg(&job).arg("data");
    pipe.cmd("HSTRLEN").arg(&job).arg("opts");
}

fn ask_past(pipe: &mut Pipeline, queue: &str, id: &str) {
    pipe.cmd("HMGET")
        .arg(key(queue, id))
        .arg("timestamp")
        .arg("processedOn")
        .arg("finishedOn");
    pipe.cmd("ZSCORE").arg(key(queue, "failed")).arg(&*bytes_of(id));
}

/// Reads definitions, next jobs and last runs.
async fn details(link: &Link, members: &[Member<'_>], hidden: &Hidden) -> Result<Vec<Schedule>, Trouble> {
    let drafts = drafts(link, members).await?;
    let mut pipe = redis::pipe();
    for draft in &drafts {
        let queue = draft.member.queue;
        if let Some(id) = draft.job_id() {
            ask_job(&mut pipe, queue, &id);
        }
        for (id, _) in &draft.before {
            ask_past(&mut pipe, queue, id);
        }
    }
    let mut replies = link.run(&mut pipe).await?.into_iter();
    let mut schedules = Vec::with_capacity(drafts.len());
    let mut found = Vec::with_capacity(drafts.len());
    for draft in drafts {
        let job: Vec<_> = match draft.prefix {
            Some(_) => replies.by_ref().take(JOB).collect(),
            None => vec![],
        };
        let past: Vec<_> = replies.by_ref().take(PAST * draft.before.len()).collect();
        schedules.push(draft.assemble(&job, &past));
        let size = |i: usize| job.get(i).and_then(|reply| reply::count(reply).ok()).unwrap_or(0);
        found.push(Sizes {
            template: draft.definition.data_size,
            data: size(6),
            options: size(7),
        });
    }
    complete(link, &mut schedules, &found, hidden).await?;
    Ok(schedules)
}

async fn drafts<'a>(link: &Link, members: &'a [Member<'a>]) -> Result<Vec<Draft<'a>>, Trouble> {
    let prefixes: Vec<Vec<String>> = members.iter().map(|member| job_prefixes(&member.id)).collect();
    let mut pipe = redis::pipe();
    for (member, prefixes) in members.iter().zip(&prefixes) {
        let definition = key(member.queue, &format!("repeat:{}", member.id));
        pipe.cmd("HMGET").arg(&definition).arg(&FIELDS[..]);
        pipe.cmd("HSTRLEN").arg(&definition).arg("data");
        for prefix in prefixes {
            pipe.cmd("EXISTS")
                .arg(key(member.queue, &format!("{prefix}{}", member.next)));
        }
    }
    let mut replies = link.run(&mut pipe).await?.into_iter();
    let mut drafts = Vec::with_capacity(members.len());
    for (member, prefixes) in members.iter().zip(prefixes) {
        let of_member: Vec<_> = replies.by_ref().take(2 + prefixes.len()).collect();
        let [hash, data_size, exist @ ..] = of_member.as_slice() else {
            break;
        };
        let definition = Definition::read(&member.id, hash, data_size);
        let there = exist.iter().position(|reply| matches!(reply, Ok(Value::Int(1))));
        // Without the next job the last is still looked for under the most likely name.
        let likely = if there.is_none() && !definition.scheduler && definition.name.is_some() && prefixes.len() > 1 {
            1
        } else {
            0
        };
        let prefix = &prefixes[there.unwrap_or(likely)];
        let (every, pattern, tz) = (
            definition.every,
            definition.pattern.as_deref(),
            definition.tz.as_deref(),
        );
        let before = cron::before(every, pattern, tz, member.next, LOOK_BACK)
            .into_iter()
            .map(|at| (format!("{prefix}{at}"), at))
            .collect();
        drafts.push(Draft {
            member,
            prefix: there.map(|_| prefix.clone()),
            definition,
            before,
        });
    }
    Ok(drafts)
}

impl Draft<'_> {
    fn job_id(&self) -> Option<String> {
        Some(format!("{}{}", self.prefix.as_ref()?, self.member.next))
    }

    fn assemble(&self, job: &[RedisResult<Value>], past: &[RedisResult<Value>]) -> Schedule {
        let definition = &self.definition;
        let next = self.member.next;
        let (iteration, created, due) = match (self.job_id(), job) {
            (Some(id), [fields, delayed, prioritized, completed, failed, lock, ..]) => {
                let times = Times::of(fields);
                let hit = |reply: &RedisResult<Value>| reply.as_ref().ok().and_then(reply::float);
                let state = match () {
                    () if matches!(lock, Ok(Value::Int(1))) => Some(JobState::Active),
                    () if hit(delayed).is_some() => Some(JobState::Delayed),
                    () if hit(prioritized).is_some() => Some(JobState::Prioritized),
                    () if hit(completed).is_some() => Some(JobState::Completed),
                    () if hit(failed).is_some() => Some(JobState::Failed),
                    () => None,
                };
                #[expect(clippy::cast_possible_truncation, reason = "a moment in milliseconds, times 4096")]
                let due = hit(delayed).map(|score| (score / 4096.0).floor() as Millis);
                (Some(times.iteration(id, next, state)), times.created, due)
            }
            _ => (None, None, None),
        };
        let last = past
            .chunks_exact(PAST)
            .zip(&self.before)
            .find_map(|(replies, (id, at))| {
                let times = Times::of(&replies[0]);
                times.created?;
                let failed = matches!(&replies[1], Ok(value) if *value != Value::Nil);
                let state = match (times.finished, times.begun) {
                    (Some(_), _) if failed => Some(JobState::Failed),
                    (Some(_), _) => Some(JobState::Completed),
                    (None, Some(_)) => Some(JobState::Active),
                    (None, None) => None,
                };
                Some(LastRun::Kept(times.iteration(id.clone(), *at, state)))
            });
        Schedule {
            queue: QueueRef {
                store: String::new(),
                queue: self.member.queue.to_string(),
            },
            queue_name: String::new(),
            id: self.member.id.clone(),
            name: definition.name.as_deref().map(|name| cut(name, DATA_SHOWN)),
            kind: if definition.scheduler {
                ScheduleKind::Scheduler
            } else {
                ScheduleKind::Repeatable
            },
            every: definition.every,
            words: cron::words(
                definition.every,
                definition.pattern.as_deref(),
                definition.tz.as_deref(),
            ),
            pattern: definition.pattern.as_deref().map(|pattern| cut(pattern, DATA_SHOWN)),
            tz: definition.tz.as_deref().map(|tz| cut(tz, DATA_SHOWN)),
            next,
            due: due.unwrap_or(next),
            made: definition.made,
            limit: definition.limit,
            start: definition.start,
            end: definition.end,
            job: iteration,
            last: last.unwrap_or(LastRun::Removed { about: created }),
            data: None,
            verdict: Verdict::not_read(now()),
        }
    }
}

/// When a job was made, begun and finished.
struct Times {
    created: Option<Millis>,
    begun: Option<Millis>,
    finished: Option<Millis>,
}

impl Times {
    fn of(fields: &RedisResult<Value>) -> Self {
        let fields = fields.as_ref().map(reply::items).unwrap_or_default();
        let at = |i: usize| fields.get(i).and_then(reply::int);
        Self {
            created: at(0),
            begun: at(1),
            finished: at(2),
        }
    }

    const fn iteration(&self, id: String, at: Millis, state: Option<JobState>) -> Iteration {
        Iteration {
            id,
            at,
            state,
            begun: self.begun,
            finished: self.finished,
        }
    }
}

/// How long the values are that a schedule may show, in bytes.
struct Sizes {
    template: u64,
    data: u64,
    options: u64,
}

/// Commands that look for a job in the lists.
const LISTS: usize = 5;

/// Reads what is small enough to be fetched, and looks for jobs in the lists.
async fn complete(link: &Link, schedules: &mut [Schedule], sizes: &[Sizes], hidden: &Hidden) -> Result<(), Trouble> {
    let mut pipe = redis::pipe();
    for (schedule, sizes) in schedules.iter().zip(sizes) {
        let queue = schedule.queue.queue.as_str();
        let job = schedule.job.as_ref().map_or("", |job| job.id.as_str());
        // A scheduler keeps its template, a repeatable hands it on from job to job.
        let (holder, size) = match schedule.kind {
            ScheduleKind::Scheduler => (key(queue, &format!("repeat:{}", schedule.id)), sizes.template),
            _ => (key(queue, job), sizes.data),
        };
        pipe.cmd("HGET")
            .arg(holder)
            .arg(if size <= DATA_MAX { "data" } else { "" });
        let wanted = schedule.kind == ScheduleKind::Repeatable && sizes.options <= OPTIONS_MAX;
        pipe.cmd("HGET")
            .arg(key(queue, job))
            .arg(if wanted { "opts" } else { "" });
        if schedule.job.as_ref().is_some_and(|job| job.state.is_none()) {
            for (list, tail) in [
                ("active", false),
                ("wait", true),
                ("wait", false),
                ("paused", true),
                ("paused", false),
            ] {
                pipe.cmd("LPOS").arg(key(queue, list)).arg(&*bytes_of(job));
                if tail {
                    pipe.arg("RANK").arg(-1);
                }
                pipe.arg("MAXLEN").arg(SEARCH_MAX);
            }
        }
    }
    let mut replies = link.run(&mut pipe).await?.into_iter();
    for (schedule, sizes) in schedules.iter_mut().zip(sizes) {
        let text = |reply: Option<RedisResult<Value>>| reply.and_then(Result::ok).as_ref().and_then(reply::text);
        let (data, options) = (text(replies.next()), text(replies.next()));
        let size = match schedule.kind {
            ScheduleKind::Scheduler => sizes.template,
            _ => sizes.data,
        };
        let nothing = size == 0 || data.as_deref() == Some("{}");
        schedule.data = (!nothing).then(|| {
            let mask = hidden.of(&schedule.queue.queue);
            let text = data.map(|text| cut(&mask.json(&text), DATA_SHOWN));
            Payload {
                size,
                shown: text.as_ref().map_or(0, |text| text.len() as u64),
                text,
                ..Payload::default()
            }
        });
        if schedule.kind == ScheduleKind::Repeatable {
            carried(schedule, options.as_deref().unwrap_or_default());
        }
        if let Some(job) = schedule.job.as_mut().filter(|job| job.state.is_none()) {
            let found: Vec<bool> = replies
                .by_ref()
                .take(LISTS)
                .map(|reply| matches!(reply, Ok(Value::Int(_))))
                .collect();
            job.state = match found.iter().position(|found| *found) {
                Some(0) => Some(JobState::Active),
                Some(_) => Some(JobState::Waiting),
                None => None,
            };
        }
        if matches!(schedule.last, LastRun::Removed { .. }) && schedule.made.is_some_and(|made| made <= 1) {
            schedule.last = LastRun::None;
        }
    }
    Ok(())
}

/// What a repeatable job carries on to the next: how many there were, and how many there may be.
fn carried(schedule: &mut Schedule, options: &str) {
    let options: serde_json::Value = serde_json::from_str(options).unwrap_or_default();
    let repeat = &options["repeat"];
    let moment = |value: &serde_json::Value| value.as_i64();
    schedule.made = repeat["count"].as_u64();
    schedule.limit = repeat["limit"].as_u64();
    schedule.start = schedule.start.or_else(|| moment(&repeat["startDate"]));
    schedule.end = schedule.end.or_else(|| moment(&repeat["endDate"]));
}
