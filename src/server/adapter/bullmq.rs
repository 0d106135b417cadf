//! Bull 4 and BullMQ 3 to 6 on Redis, read with plain commands, and changed only by their own scripts.
//!
//! The library's own read scripts write (they remove old markers), so none of them is used. What is
//! read, with `P` = `prefix:name`, which is also the queue's id on the board, and `J` = `P:id`; in the
//! middle, the versions that have the key (B for Bull 4, else BullMQ):
//!
//! | key | in | type | read as |
//! |---|---|---|---|
//! | `P:meta` | 3–6 | hash | `paused` present = paused; `version`; `opts.maxLenEvents` marks a BullMQ queue |
//! | `P:meta-paused` | B | string | present = paused |
//! | `P:id` | all | string | how many jobs were ever added |
//! | `P:wait` | all | list | waiting; the tail runs next. 3 and 4 keep markers (`0:…`) in it, which are no jobs |
//! | `P:paused` | B–5 | list | waiting too: a pause renames `wait` to this; 6 never fills it |
//! | `P:active` | all | list | active; the tail began first |
//! | `P:priority` | B, 3 | zset | an index of `wait`, never a state |
//! | `P:prioritized` | 4–6 | zset | prioritized; score = priority · 2³² + a counter, lowest first |
//! | `P:delayed` | all | zset | delayed; score = due ms · 4096 + a counter |
//! | `P:completed`, `P:failed` | all | zset | score = when it finished, ms |
//! | `P:waiting-children` | 3–6 | zset | score = when it began to wait, ms |
//! | `P:events` | 3–6 | stream | what happened, trimmed to about 10,000 entries |
//! | `P:<event>` | B | channel | what happens, told to whoever listens |
//! | `J` | all | hash | the job |
//! | `J:lock` | all | string | its worker's lock, 30 s, renewed |
//! | `J:logs` | all | list | log lines, oldest first |
//! | `P:repeat` | all | zset | schedules; score = when the next job is planned for, ms |
//! | `P:repeat:<id>` | 5, 6 | hash | a schedule's definition; the field `ic` marks a job scheduler |
//! | `J:dependencies`, `J:processed`, `J:failed`, `J:unsuccessful` | 3–6 | set, hash, hash, zset | its children |
//!
//! Verified against the npm packages `bull` 4.16.5 and `bullmq` 3.16.2, 4.18.3, 5.81.5 and 6.7.0 in
//! `src/tests`.
//!
//! - [`layout`]: which generation a queue's keys belong to, by evidence
//! - [`discover`]: which queues there are; [`workers`]: who is connected
//! - [`counts`]: how many jobs, in one pipeline for any number of queues
//! - [`list`]: a page of jobs; [`search`]: the ones that fit a filter; [`scan`]: many in brief
//! - [`job`]: one job in full, from its [`record`], [`options`], [`logs`] and place ([`locate`]);
//!   [`values`]: what is shown of large ones; [`flow`]: its relatives
//! - [`metrics`]: minutes that workers record
//! - [`schedules`]: what creates jobs on a timetable
//! - [`insight`]: limits, retention, and how long jobs wait and run
//! - [`weigh`]: how much memory a queue takes, from a sample of its jobs
//! - [`act`]: changing any of it, by the libraries' own scripts
//! - [`events`]: following all queues over two blocking connections; [`channels`]: Bull's over a third

pub mod act;
pub mod channels;
pub mod counts;
pub mod discover;
pub mod events;
pub mod flow;
pub mod insight;
pub mod job;
pub mod layout;
pub mod list;
mod locate;
pub mod logs;
pub mod metrics;
mod options;
mod record;
mod scan;
pub mod schedules;
pub mod search;
pub mod values;
pub mod weigh;
pub mod whole;
pub mod workers;

use super::flow::{FailedBelow, InFlow};
use super::raw::{RawJob, Whole};
use super::redis::link::Link;
use super::{
    Adapter, Bounds, Change, Connections, FieldBytes, FieldError, FlowQuery, FoundQueue, JobQuery, Kept, LogQuery,
    QueueId, QueueWeight, ReadError, Reading, Search, SweepError, Trouble,
};
use crate::model::Millis;
use crate::model::action::{Effect, JobAction, NewJob, QueueAction, ScheduleAction, Seen, Sweep, Swept};
use crate::model::counts::Counts;
use crate::model::exact::bytes_of;
use crate::model::flow::Flow;
use crate::model::insight::Insight;
use crate::model::job::{JobDetail, JobRow, LogPage};
use crate::model::page::JobPageRows;
use crate::model::schedule::Schedule;
use crate::model::state::JobState;
use crate::model::vitals::Answered;
use crate::server::redact::{Mask, Masks};
use async_trait::async_trait;
use std::collections::HashSet;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Which queues to look at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Only queues with these prefixes; empty for any prefix.
    pub prefixes: Vec<String>,
    /// Exactly these queues, as `prefix:name`; empty to search the key space.
    pub queues: Vec<String>,
}

/// BullMQ in one Redis.
#[derive(Debug)]
pub struct BullMq {
    link: Arc<Link>,
    scope: Scope,
    hidden: Hidden,
    watch: Arc<events::Watch>,
    channels: Arc<channels::Channels>,
    layouts: Arc<layout::Layouts>,
    rejected: discover::Rejected,
    large: values::Large,
    scripts: act::Scripts,
}

impl BullMq {
    /// An adapter over a link that somebody else supervises, of queues with these masks.
    #[must_use]
    pub fn new(link: Arc<Link>, scope: Scope, masks: Masks) -> Self {
        let hidden = Hidden {
            masks,
            prefixes: scope.prefixes.clone(),
        };
        Self {
            link,
            scope,
            watch: Arc::new(events::Watch::new(hidden.clone())),
            channels: Arc::new(channels::Channels::new(hidden.clone())),
            hidden,
            layouts: Arc::default(),
            rejected: discover::Rejected::default(),
            large: values::Large::default(),
            scripts: act::Scripts::default(),
        }
    }
}

/// What is hidden in each queue.
#[derive(Clone, Debug, Default)]
struct Hidden {
    masks: Masks,
    prefixes: Vec<String>,
}

impl Hidden {
    fn of(&self, queue: &str) -> Mask {
        self.masks.of(queue, &name_of(queue, &self.prefixes))
    }
}

/// A key of a queue's, `P:suffix`, in exactly the bytes that its id and the suffix stand for.
fn key(queue: &str, suffix: &str) -> Vec<u8> {
    let mut key = bytes_of(queue).into_owned();
    key.push(b':');
    key.extend_from_slice(&bytes_of(suffix));
    key
}

/// A key of a job's, `J:suffix`.
fn below(job: &[u8], suffix: &str) -> Vec<u8> {
    [job, b":", suffix.as_bytes()].concat()
}

/// The name of a queue: what follows the prefix. A prefix has no colon unless it is configured.
fn name_of(queue: &str, prefixes: &[String]) -> String {
    prefixes
        .iter()
        .filter_map(|prefix| queue.strip_prefix(prefix.as_str())?.strip_prefix(':'))
        .next()
        .or_else(|| queue.split_once(':').map(|(_, name)| name))
        .unwrap_or(queue)
        .to_owned()
}

#[async_trait]
impl Adapter for BullMq {
    async fn discover(&self, known: &HashSet<QueueId>) -> Result<Search, Trouble> {
        discover::queues(&self.link, &self.scope, known, &self.layouts, &self.rejected).await
    }

    async fn recognise(&self, queues: &[QueueId]) -> Result<Vec<FoundQueue>, Trouble> {
        discover::recognise(&self.link, &self.scope, &self.layouts, queues).await
    }

    async fn counts(&self, queues: &[QueueId]) -> Result<Vec<Reading>, Trouble> {
        counts::read(&self.link, &self.layouts, &self.channels, queues).await
    }

    async fn oldest_waiting(&self, queues: &[QueueId]) -> Result<Vec<Option<Millis>>, Trouble> {
        counts::oldest_waiting(&self.link, queues).await
    }

    async fn jobs(&self, query: &JobQuery) -> Result<JobPageRows, ReadError> {
        match &query.filter {
            None => list::page(&self.link, query, &self.hidden.of(&query.queue)).await,
            Some(filter) => search::page(&self.link, query, filter, &self.hidden.of(&query.queue)).await,
        }
    }

    async fn scan(&self, query: &JobQuery, errors: bool) -> Result<(Vec<JobRow>, Option<String>), ReadError> {
        scan::page(&self.link, query, errors, &self.hidden.of(&query.queue)).await
    }

    async fn job(&self, queue: &QueueId, id: &str) -> Result<Option<JobDetail>, ReadError> {
        job::read(&self.link, &self.large, queue, id).await
    }

    async fn logs(&self, query: &LogQuery) -> Result<LogPage, ReadError> {
        logs::page(&self.link, &self.large, query, &self.hidden.of(&query.queue)).await
    }

    async fn flow(&self, query: &FlowQuery, known: &[QueueId]) -> Result<Option<Flow>, ReadError> {
        flow::read(&self.link, query, known, &self.hidden).await
    }

    async fn field(&self, queue: &QueueId, id: &str, field: &str) -> Result<Option<FieldBytes>, FieldError> {
        self.large.download(&self.link, &key(queue, id), &bytes_of(field)).await
    }

    async fn finished(&self, queue: &QueueId, until: Millis, minutes: usize) -> Result<Vec<Kept>, Trouble> {
        counts::finished(&self.link, queue, until, minutes).await
    }

    async fn insight(&self, queue: &QueueId) -> Result<Insight, Trouble> {
        insight::read(&self.link, queue).await
    }

    async fn workers(&self) -> Result<Connections, Trouble> {
        workers::read(&self.link, &self.layouts).await
    }

    async fn count_schedules(&self, queues: &[QueueId]) -> Result<Vec<Option<u64>>, Trouble> {
        schedules::count(&self.link, queues).await
    }

    async fn schedules(&self, queues: &[QueueId], bounds: Bounds) -> Result<Vec<Schedule>, Trouble> {
        schedules::read(&self.link, queues, bounds, &self.hidden).await
    }

    async fn weigh(&self, queue: &QueueId, sample: u32) -> Result<Answered<QueueWeight>, Trouble> {
        weigh::weigh(&self.link, queue, sample).await
    }

    fn weigh_cost(&self, counts: &Counts, sample: u32) -> u64 {
        let states = JobState::ALL.into_iter();
        weigh::cost(
            states
                .map(|state| (state, counts.get(state).unwrap_or(0)))
                .filter(|(_, jobs)| *jobs > 0),
            sample,
        )
    }

    async fn act(&self, queue: &QueueId, jobs: &[(String, Seen)], action: &JobAction) -> Result<Vec<Effect>, Trouble> {
        self.act_on_jobs(queue, jobs, action).await
    }

    async fn whole(&self, queue: &QueueId, jobs: &[(String, Seen)]) -> Result<Vec<Whole>, Trouble> {
        whole::read(&self.link, queue, jobs).await
    }

    async fn remove_exactly(&self, queue: &QueueId, jobs: &[RawJob]) -> Result<Vec<Effect>, Trouble> {
        self.remove_as_read(queue, jobs).await
    }

    fn detail_of(&self, system: &str, raw: &RawJob) -> Option<JobDetail> {
        matches!(system, "bullmq" | "bull").then(|| job::archived(raw))
    }

    fn renewed(&self, raw: &RawJob) -> Result<NewJob, String> {
        act::renewed(raw)
    }

    async fn failed_below(
        &self,
        queue: &QueueId,
        job: &str,
        known: &[QueueId],
        most: usize,
    ) -> Result<Option<FailedBelow>, ReadError> {
        flow::failed::below(&self.link, queue, job, known, most).await
    }

    async fn retry_in_flow(
        &self,
        queue: &QueueId,
        jobs: &[(String, Seen)],
        place: InFlow,
    ) -> Result<Vec<Effect>, Trouble> {
        self.retry_at(queue, jobs, place).await
    }

    async fn act_on_queue(&self, queue: &QueueId, action: &QueueAction) -> Result<Effect, Trouble> {
        self.act_on_whole(queue, action).await
    }

    async fn act_on_schedule(&self, queue: &QueueId, key: &str, action: &ScheduleAction) -> Result<Effect, Trouble> {
        self.act_on_plan(queue, key, action).await
    }

    async fn sweep(&self, queue: &QueueId, sweep: &Sweep, limit: usize) -> Result<Swept, SweepError> {
        self.sweep_batch(queue, sweep, limit).await
    }

    fn follow(&self, queues: &[QueueId]) {
        self.layouts.keep_only(queues);
        let (bull, streams): (Vec<_>, Vec<_>) = queues.iter().cloned().partition(|queue| self.layouts.is_bull(queue));
        self.link
            .rights()
            .about(act::needs::places(queues), act::needs::of(!bull.is_empty()));
        self.watch.follow(&streams);
        self.channels.follow(&bull);
    }

    fn changes(&self) -> mpsc::Receiver<Vec<Change>> {
        let (sender, receiver) = mpsc::channel(events::BACKLOG);
        events::start(&self.link, &self.watch, &sender);
        channels::start(&self.link, &self.channels, sender);
        receiver
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_what_follows_the_prefix() {
        assert_eq!(name_of("bull:mail", &[]), "mail");
        assert_eq!(name_of("{bull}:mail", &[]), "mail");
        assert_eq!(name_of("bull:{mail}", &[]), "{mail}");
        assert_eq!(name_of("my:app:mail", &["my:app".into()]), "mail");
        assert_eq!(name_of("my:app:mail", &[]), "app:mail");
    }
}
