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
//! | `P:groups`, `P:groups:…` | Pro | zset | groups of BullMQ Pro: such a queue is shown, and neither read nor changed |
//! | `P:<event>` | B | channel | what happens, published to its subscribers |
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
//! - [`family`]: the generations; [`capabilities`]: what each can do, and why not
//! - [`layout`]: which library and generation a queue's keys belong to, by evidence; Bee-Queue and BullMQ Pro are
//!   recognised, and nothing is read of them
//! - [`discover`]: which queues there are; [`workers`]: who is connected
//! - [`counts`]: how many jobs, in one pipeline for any number of queues
//! - [`list`]: a page of jobs; [`search`]: the ones that fit a filter; [`scan`]: many in brief
//! - [`job`]: one job in full, from its [`record`], [`options`], [`logs`] and place ([`locate`]);
//!   [`values`]: what is shown of large ones; [`flow`]: its relatives
//! - [`metrics`]: minutes that workers record
//! - [`schedules`]: what creates jobs on a timetable
//! - [`ready`]: the jobs that run next, and since when they have been ready
//! - [`insight`]: limits, retention, and how long jobs wait and run
//! - [`weigh`]: how much memory a queue takes, from a sample of its jobs
//! - [`act`]: changing any of it, by the libraries' own scripts
//! - [`events`]: following all queues over two blocking connections; [`channels`]: Bull's over a third

pub mod act;
mod capabilities;
pub mod channels;
pub mod counts;
pub mod discover;
pub mod events;
mod family;
pub mod flow;
pub mod insight;
pub mod job;
pub mod layout;
pub mod list;
mod locate;
pub mod logs;
pub mod metrics;
mod options;
mod ready;
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
use super::redis::listen::keep_listening;
use super::redis::rights::Needs;
use super::{
    Act, Adapter, AnyAction, Archiving, Bounds, Changes, Connections, FieldBytes, FieldError, FlowQuery, Flows,
    FoundQueue, Head, Heard, JobQuery, Kept, LogQuery, Logs, QueueId, QueueWeight, ReadError, Reading, Search, Trouble,
    Weigh,
};
use crate::model::Millis;
use crate::model::action::{Effect, JobAction, NewJob, QueueAction, ScheduleAction, Seen};
use crate::model::capability::Capabilities;
use crate::model::counts::Counts;
use crate::model::exact::bytes_of;
use crate::model::flow::Flow;
use crate::model::insight::Insight;
use crate::model::job::{JobDetail, JobRow, LogPage};
use crate::model::page::JobPageRows;
use crate::model::queue::Stuck;
use crate::model::schedule::Schedule;
use crate::model::state::JobState;
use crate::model::store::Reach;
use crate::model::vitals::Answered;
use crate::server::redact::{Mask, Masks};
use async_trait::async_trait;
use std::collections::HashSet;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

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
    /// An adapter over a link that the caller supervises, with these masks for its queues.
    #[must_use]
    pub fn new(link: Arc<Link>, scope: Scope, masks: Masks) -> Self {
        let layouts: Arc<layout::Layouts> = Arc::default();
        let hidden = Hidden {
            masks,
            prefixes: scope.prefixes.clone(),
            layouts: Arc::clone(&layouts),
        };
        Self {
            link,
            scope,
            watch: Arc::new(events::Watch::new(hidden.clone())),
            channels: Arc::new(channels::Channels::new(hidden.clone())),
            hidden,
            layouts,
            rejected: discover::Rejected::default(),
            large: values::Large::default(),
            scripts: act::Scripts::default(),
        }
    }
}

impl BullMq {
    /// Why a queue is not read, as far as its layout is known.
    fn unsupported(&self, queue: &str) -> Option<&'static str> {
        self.layouts.get(queue)?.layout.unsupported()
    }

    /// Looks for the layout of a queue first, if it is not known. An error where it is not supported.
    async fn readable(&self, queue: &QueueId) -> Result<(), ReadError> {
        let families = self.layouts.of(&self.link, std::slice::from_ref(queue)).await?;
        match families.first().and_then(|family| family.layout.unsupported()) {
            Some(why) => Err(ReadError::Unsupported(why)),
            None => Ok(()),
        }
    }
}

/// The prefix that Bull and BullMQ use where none is given; with braces in a cluster.
const PREFIXES: [&str; 2] = ["bull", "{bull}"];

/// What is hidden in each queue.
#[derive(Clone, Debug, Default)]
struct Hidden {
    masks: Masks,
    prefixes: Vec<String>,
    layouts: Arc<layout::Layouts>,
}

impl Hidden {
    fn of(&self, queue: &str) -> Mask {
        let name = name_of(queue, &self.prefixes, self.layouts.forbids_colons(queue));
        self.masks.of(queue, name)
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

/// The name of a queue: what follows its prefix. A name has no colon where the library forbids it, or behind another
/// prefix than the library's own; a prefix may have any number.
fn name_of<'a>(queue: &'a str, prefixes: &[String], forbids_colons: bool) -> &'a str {
    let behind = |prefix: &str| queue.strip_prefix(prefix)?.strip_prefix(':');
    let configured = prefixes.iter().filter_map(|prefix| behind(prefix));
    let own = || {
        PREFIXES
            .into_iter()
            .filter_map(behind)
            .next()
            .filter(|_| !forbids_colons)
    };
    configured
        .min_by_key(|name| name.len())
        .or_else(own)
        .or_else(|| queue.rsplit_once(':').map(|(_, name)| name))
        .unwrap_or(queue)
}

#[async_trait]
impl Adapter for BullMq {
    fn generations(&self) -> &'static [Capabilities] {
        &capabilities::ALL
    }

    async fn discover(&self, known: &HashSet<QueueId>) -> Result<Search, Trouble> {
        discover::queues(&self.link, &self.scope, known, &self.layouts, &self.rejected).await
    }

    async fn recognise(&self, queues: &[QueueId]) -> Result<Vec<FoundQueue>, Trouble> {
        discover::recognise(&self.link, &self.scope, &self.layouts, queues).await
    }

    async fn counts(&self, queues: &[QueueId]) -> Result<Vec<Reading>, Trouble> {
        counts::read(&self.link, &self.layouts, &self.channels, queues).await
    }

    async fn heads(&self, queues: &[QueueId], heard: Heard<'_>) -> Result<Vec<Vec<Head>>, Trouble> {
        ready::heads(&self.link, queues, heard).await
    }

    async fn held(&self, queues: &[QueueId]) -> Result<Vec<bool>, Trouble> {
        ready::held(&self.link, queues).await
    }

    async fn jobs(&self, query: &JobQuery) -> Result<JobPageRows, ReadError> {
        self.readable(&query.queue).await?;
        match &query.filter {
            None => list::page(&self.link, query, &self.hidden.of(&query.queue)).await,
            Some(filter) => search::page(&self.link, query, filter, &self.hidden.of(&query.queue)).await,
        }
    }

    async fn scan(&self, query: &JobQuery, errors: bool) -> Result<(Vec<JobRow>, Option<String>), ReadError> {
        self.readable(&query.queue).await?;
        scan::page(&self.link, query, errors, &self.hidden.of(&query.queue)).await
    }

    async fn job(&self, queue: &QueueId, id: &str) -> Result<Option<JobDetail>, ReadError> {
        self.readable(queue).await?;
        job::read(&self.link, &self.large, queue, id).await
    }

    async fn field(&self, queue: &QueueId, id: &str, field: &str) -> Result<Option<FieldBytes>, FieldError> {
        self.readable(queue).await?;
        self.large.download(&self.link, &key(queue, id), &bytes_of(field)).await
    }

    async fn finished(&self, queue: &QueueId, until: Millis, minutes: usize) -> Result<Vec<Kept>, Trouble> {
        if self.unsupported(queue).is_some() {
            return Ok(vec![]);
        }
        counts::finished(&self.link, queue, until, minutes).await
    }

    async fn insight(&self, queue: &QueueId) -> Result<Insight, Trouble> {
        match self.unsupported(queue) {
            Some(why) => Err(Trouble::new(Reach::Live, why)),
            None => insight::read(&self.link, queue).await,
        }
    }

    async fn workers(&self, known: &HashSet<QueueId>) -> Result<Connections, Trouble> {
        workers::read(&self.link, &self.layouts, known).await
    }

    async fn count_schedules(&self, queues: &[QueueId]) -> Result<Vec<Option<u64>>, Trouble> {
        let counts = schedules::count(&self.link, queues).await?;
        let known = |(queue, count): (&QueueId, _)| if self.unsupported(queue).is_some() { None } else { count };
        Ok(queues.iter().zip(counts).map(known).collect())
    }

    async fn schedules(&self, queues: &[QueueId], bounds: Bounds) -> Result<Vec<Schedule>, Trouble> {
        let read = |queue: &&QueueId| self.unsupported(queue).is_none();
        let queues: Vec<QueueId> = queues.iter().filter(read).cloned().collect();
        schedules::read(&self.link, &queues, bounds, &self.hidden).await
    }

    fn act(&self) -> Option<&dyn Act> {
        Some(self)
    }

    fn archive(&self) -> Option<&dyn Archiving> {
        Some(self)
    }

    fn flows(&self) -> Option<&dyn Flows> {
        Some(self)
    }

    fn weigh(&self) -> Option<&dyn Weigh> {
        Some(self)
    }

    fn logs(&self) -> Option<&dyn Logs> {
        Some(self)
    }

    fn follow(&self, queues: &[QueueId]) {
        self.layouts.keep_only(queues);
        let supported = queues.iter().filter(|queue| self.unsupported(queue).is_none());
        let supported: Vec<QueueId> = supported.cloned().collect();
        let places = act::needs::places(&supported);
        let (bull, streams): (Vec<_>, Vec<_>) = supported.into_iter().partition(|queue| self.layouts.is_bull(queue));
        let needs = Needs {
            places,
            commands: act::needs::of(!bull.is_empty()),
            rules: "deploy/redis/users.acl",
        };
        self.link.rights().about(act::needs::LIBRARY, needs);
        self.watch.follow(&streams);
        self.channels.follow(&bull);
    }

    fn changes(&self) -> Changes {
        let (sender, receiver) = mpsc::channel(events::BACKLOG);
        let mut readers = JoinSet::new();
        for hot in [true, false] {
            readers.spawn(events::reader(
                self.link.clone(),
                self.watch.clone(),
                sender.clone(),
                hot,
            ));
        }
        readers.spawn(keep_listening(self.link.clone(), self.channels.clone(), sender));
        Changes::new(receiver, readers)
    }
}

#[async_trait]
impl Act for BullMq {
    async fn on_jobs(
        &self,
        queue: &QueueId,
        jobs: &[(String, Seen)],
        action: &JobAction,
    ) -> Result<Vec<Effect>, Trouble> {
        self.act_on_jobs(queue, jobs, action).await
    }

    async fn on_queue(&self, queue: &QueueId, action: &QueueAction) -> Result<Effect, Trouble> {
        self.act_on_whole(queue, action).await
    }

    async fn on_schedule(&self, queue: &QueueId, key: &str, action: &ScheduleAction) -> Result<Effect, Trouble> {
        self.act_on_plan(queue, key, action).await
    }

    fn copied_options(&self, job: &JobDetail) -> Option<String> {
        act::copied_options(job)
    }

    fn lacks(&self, _: &QueueId, _: &[AnyAction<'_>]) -> Option<String> {
        self.link.rights().refusal_of(act::needs::LIBRARY, self.link.user())
    }
}

#[async_trait]
impl Archiving for BullMq {
    async fn whole(&self, queue: &QueueId, jobs: &[(String, Seen)]) -> Result<Vec<Whole>, Trouble> {
        match self.unsupported(queue) {
            Some(why) => Err(Trouble::new(Reach::Live, why)),
            None => whole::read(&self.link, queue, jobs).await,
        }
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
}

#[async_trait]
impl Flows for BullMq {
    async fn flow(&self, query: &FlowQuery, known: &[QueueId]) -> Result<Option<Flow>, ReadError> {
        self.readable(&query.queue).await?;
        flow::read(&self.link, query, known, &self.hidden).await
    }

    async fn stuck(&self, queue: &QueueId, known: &[QueueId]) -> Result<Option<Stuck>, Trouble> {
        flow::stuck::look(&self.link, queue, known).await.map(Some)
    }

    async fn failed_below(
        &self,
        queue: &QueueId,
        job: &str,
        known: &[QueueId],
        most: usize,
    ) -> Result<Option<FailedBelow>, ReadError> {
        self.readable(queue).await?;
        flow::failed::below(&self.link, queue, job, known, most).await
    }

    async fn retry(&self, queue: &QueueId, jobs: &[(String, Seen)], place: InFlow) -> Result<Vec<Effect>, Trouble> {
        self.retry_at(queue, jobs, place).await
    }
}

#[async_trait]
impl Weigh for BullMq {
    async fn queue(&self, queue: &QueueId, sample: u32) -> Result<Answered<QueueWeight>, Trouble> {
        match self.unsupported(queue) {
            Some(why) => Ok(Answered::Failed(why.to_owned())),
            None => weigh::weigh(&self.link, queue, sample).await,
        }
    }

    fn cost(&self, counts: &Counts, sample: u32) -> u64 {
        let states = JobState::ALL.into_iter();
        weigh::cost(
            states
                .map(|state| (state, counts.get(state).unwrap_or(0)))
                .filter(|(_, jobs)| *jobs > 0),
            sample,
        )
    }
}

#[async_trait]
impl Logs for BullMq {
    async fn page(&self, query: &LogQuery) -> Result<LogPage, ReadError> {
        self.readable(&query.queue).await?;
        logs::page(&self.link, &self.large, query, &self.hidden.of(&query.queue)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_what_follows_the_prefix() {
        let found = |queue| name_of(queue, &[], false);
        assert_eq!(found("bull:mail"), "mail");
        assert_eq!(found("{bull}:mail"), "mail");
        assert_eq!(found("bull:{mail}"), "{mail}");
        assert_eq!(found("acme:bull:mail"), "mail");
        assert_eq!(found("{acme:bull}:mail"), "mail");
        assert_eq!(found("bull:eu:mail"), "eu:mail", "older libraries take colons in names");
        assert_eq!(
            name_of("bull:eu:mail", &[], true),
            "mail",
            "this one's version does not"
        );
        let prefixes = ["bull".to_owned(), "bull:eu".to_owned()];
        assert_eq!(name_of("bull:eu:mail", &prefixes, false), "mail", "the longest prefix");
        assert_eq!(
            name_of("bull:eu:mail", &prefixes[..1], true),
            "eu:mail",
            "as configured"
        );
    }
}
