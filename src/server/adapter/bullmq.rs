//! BullMQ 5 and 6 on Redis, read with plain commands only.
//!
//! The library's own read scripts write (they remove old markers), so none of them is used. What is
//! read, with `P` = `prefix:name`, which is also the queue's id on the board, and `J` = `P:id`:
//!
//! | key | type | read as |
//! |---|---|---|
//! | `P:meta` | hash | `paused` present = paused; `version`; `opts.maxLenEvents` marks a BullMQ queue |
//! | `P:wait` | list | waiting; the tail runs next |
//! | `P:paused` | list | waiting too: up to version 5 a pause renames `wait` to this, 6 never fills it |
//! | `P:active` | list | active; the tail began first |
//! | `P:prioritized` | zset | prioritized; score = priority · 2³² + a counter, lowest first |
//! | `P:delayed` | zset | delayed; score = due ms · 4096 + a counter |
//! | `P:completed`, `P:failed` | zset | score = when it finished, ms |
//! | `P:waiting-children` | zset | score = when it began to wait, ms |
//! | `P:events` | stream | what happened, trimmed to about 10,000 entries |
//! | `J` | hash | the job |
//! | `J:lock` | string | its worker's lock, 30 s, renewed |
//! | `J:logs` | list | log lines, oldest first |
//! | `J:dependencies`, `J:processed`, `J:failed`, `J:unsuccessful` | set, hash, hash, zset | its children |
//!
//! Verified against the npm packages `bullmq` 5.81.5 and 6.7.0 in `src/tests`. Versions 3 and 4 use
//! most of the same layout; their differences are not handled here.
//!
//! - [`discover`]: which queues there are, and which workers are connected
//! - [`counts`]: how many jobs, in one pipeline for any number of queues
//! - [`list`]: a page of jobs; [`job`]: one job in full
//! - [`events`]: following all queues over two blocking connections

pub mod counts;
pub mod discover;
pub mod events;
pub mod job;
pub mod list;

use super::redis::link::Link;
use super::{Adapter, Capabilities, Change, FoundQueue, JobQuery, Kept, QueueId, ReadError, Reading, Trouble};
use crate::model::Millis;
use crate::model::job::JobDetail;
use crate::model::page::JobPageRows;
use crate::model::queue::System;
use crate::model::state::JobState;
use async_trait::async_trait;
use std::collections::{HashMap, HashSet};
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
    watch: Arc<events::Watch>,
}

impl BullMq {
    /// An adapter over a link that somebody else supervises.
    #[must_use]
    pub fn new(link: Arc<Link>, scope: Scope) -> Self {
        let watch = Arc::new(events::Watch::default());
        Self { link, scope, watch }
    }
}

/// The key of a queue's own data: `P:suffix`.
fn key(queue: &str, suffix: &str) -> String {
    format!("{queue}:{suffix}")
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
    fn system(&self) -> System {
        System::BullMq
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            states: &JobState::ALL,
            pushes_changes: true,
            counts_workers: true,
        }
    }

    async fn discover(&self, known: &HashSet<QueueId>) -> Result<Vec<FoundQueue>, Trouble> {
        discover::queues(&self.link, &self.scope, known).await
    }

    async fn recognise(&self, queues: &[QueueId]) -> Result<Vec<FoundQueue>, Trouble> {
        discover::recognise(&self.link, &self.scope, queues).await
    }

    async fn counts(&self, queues: &[QueueId]) -> Result<Vec<Reading>, Trouble> {
        counts::read(&self.link, queues).await
    }

    async fn oldest_waiting(&self, queues: &[QueueId]) -> Result<Vec<Option<Millis>>, Trouble> {
        counts::oldest_waiting(&self.link, queues).await
    }

    async fn jobs(&self, query: &JobQuery) -> Result<JobPageRows, ReadError> {
        list::page(&self.link, query).await
    }

    async fn job(&self, queue: &QueueId, id: &str) -> Result<Option<JobDetail>, ReadError> {
        job::read(&self.link, queue, id).await
    }

    async fn finished(&self, queue: &QueueId, until: Millis, minutes: usize) -> Result<Vec<Kept>, Trouble> {
        counts::finished(&self.link, queue, until, minutes).await
    }

    async fn workers(&self) -> Result<Option<HashMap<QueueId, u32>>, Trouble> {
        discover::workers(&self.link).await
    }

    fn follow(&self, queues: &[QueueId]) {
        self.watch.follow(queues);
    }

    fn changes(&self) -> mpsc::Receiver<Vec<Change>> {
        events::start(&self.link, &self.watch)
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
