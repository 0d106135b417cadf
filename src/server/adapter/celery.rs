//! Celery 5 on Redis (kombu's transport), read with plain commands and changed by scripts that check first. Nothing that a task
//! carries is run: a pickle is read without that.
//!
//! What is read, with `P` for what the application sets as `global_keyprefix`, `Q` for a queue's name and `S` for the separator
//! that it sets (by default the bytes 6 and 22). `PQ` is also the queue's id on the board:
//!
//! | key | type | read as |
//! |---|---|---|
//! | `P_kombu.binding.<exchange>` | set | the queues of an exchange, each with its routing key: `key S pattern S queue` |
//! | `P_kombu.binding.celery.pidbox` and others for control | set | that workers of Celery were here; what they hold is not read |
//! | `PQ` | list | the messages of priority step 0, which runs first; the tail runs next |
//! | `PQ S 1` to `PQ S 9` | list | those of the other steps (by default 3, 6 and 9) |
//! | `Punacked` | hash | delivery tag → `[message, exchange, routing key]`: what workers hold, of all queues |
//! | `Punacked_index` | zset | delivery tag → when a worker took it, in seconds |
//! | `celery-task-meta-<id>`, `P…`, `P_…` | string | the result of a task, until it expires; there is no index of them |
//! | `P/<database>.celery.pidbox` | channel | whether workers listen for remote control, by publishing what is for none |
//! | `P/<database>.celeryev/*` | channel | heartbeats of workers; with `-E` also what happens to tasks |
//!
//! - [`book`]: where each queue is; [`discover`]: finding them
//! - [`message`]: one message; [`body`]: what it carries, decoded as far as that is safe
//! - [`counts`]: how many; [`held`]: what workers hold; [`list`]: a page of either
//! - [`job`]: one task; [`result`]: what it left
//! - [`nodes`]: which workers there are, as far as they say
//! - [`act`]: taking waiting tasks out, and putting back what lost workers held

mod act;
mod body;
mod book;
mod capabilities;
mod counts;
mod discover;
mod held;
mod job;
mod list;
mod message;
mod nodes;
mod result;

use super::redis::link::Link;
use super::redis::listen::keep_listening;
use super::{
    Act, Adapter, Bounds, Changes, Connections, FieldBytes, FieldError, FoundQueue, Head, Heard, JobQuery, Kept,
    QueueId, ReadError, Reading, Search, Trouble,
};
use crate::model::capability::Capabilities;
use crate::model::insight::Insight;
use crate::model::job::{JobDetail, JobRow};
use crate::model::page::JobPageRows;
use crate::model::schedule::Schedule;
use crate::model::{Millis, now};
use async_trait::async_trait;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Celery in one Redis. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Celery {
    link: Arc<Link>,
    book: Arc<book::Book>,
    hands: Arc<held::Hands>,
    nodes: Arc<nodes::Nodes>,
    seen: Arc<list::Seen>,
    last_found: Arc<act::LastFound>,
    scripts: Arc<act::Scripts>,
    refused: Arc<discover::Refused>,
    followed: Arc<Mutex<Vec<QueueId>>>,
}

impl Celery {
    /// An adapter over a link that another part supervises.
    #[must_use]
    pub fn new(link: Arc<Link>) -> Self {
        Self {
            link,
            book: Arc::default(),
            hands: Arc::default(),
            nodes: Arc::default(),
            seen: Arc::default(),
            last_found: Arc::default(),
            scripts: Arc::default(),
            refused: Arc::default(),
            followed: Arc::default(),
        }
    }

    fn followed(&self) -> Vec<QueueId> {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl Adapter for Celery {
    fn generations(&self) -> &'static [Capabilities] {
        &capabilities::ALL
    }

    async fn discover(&self, known: &HashSet<QueueId>) -> Result<Search, Trouble> {
        discover::queues(self, known).await
    }

    async fn recognise(&self, queues: &[QueueId]) -> Result<Vec<FoundQueue>, Trouble> {
        discover::recognise(self, queues).await
    }

    async fn counts(&self, queues: &[QueueId]) -> Result<Vec<Reading>, Trouble> {
        counts::read(self, queues).await
    }

    /// A message does not say when it was sent, nor since when it has been ready.
    async fn heads(&self, queues: &[QueueId], _: Heard<'_>) -> Result<Vec<Vec<Head>>, Trouble> {
        Ok(vec![vec![]; queues.len()])
    }

    async fn jobs(&self, query: &JobQuery) -> Result<JobPageRows, ReadError> {
        list::page(self, query).await
    }

    async fn scan(&self, query: &JobQuery, _errors: bool) -> Result<(Vec<JobRow>, Option<String>), ReadError> {
        let all = JobQuery {
            filter: None,
            ..query.clone()
        };
        let page = list::page(self, &all).await?;
        Ok((page.rows, page.next))
    }

    async fn job(&self, queue: &QueueId, id: &str) -> Result<Option<JobDetail>, ReadError> {
        job::read(self, queue, id).await
    }

    fn fate(&self, _: &QueueId, _job: &str) -> String {
        "a worker acknowledged its message and it left no result or that has expired, or its message is too far behind in \
         the list to be found."
            .into()
    }

    async fn field(&self, queue: &QueueId, id: &str, field: &str) -> Result<Option<FieldBytes>, FieldError> {
        job::field(self, queue, id, field).await
    }

    async fn insight(&self, _: &QueueId) -> Result<Insight, Trouble> {
        Ok(Insight {
            as_of: now(),
            ..Insight::default()
        })
    }

    async fn finished(&self, _: &QueueId, _: Millis, _: usize) -> Result<Vec<Kept>, Trouble> {
        Ok(vec![])
    }

    async fn workers(&self, known: &HashSet<QueueId>) -> Result<Connections, Trouble> {
        nodes::workers(self, known).await
    }

    async fn count_schedules(&self, queues: &[QueueId]) -> Result<Vec<Option<u64>>, Trouble> {
        Ok(vec![None; queues.len()])
    }

    async fn schedules(&self, _: &[QueueId], _: Bounds) -> Result<Vec<Schedule>, Trouble> {
        Ok(vec![])
    }

    fn act(&self) -> Option<&dyn Act> {
        Some(self)
    }

    fn follow(&self, queues: &[QueueId]) {
        *self.followed.lock().unwrap_or_else(PoisonError::into_inner) = queues.to_vec();
        self.book.keep_only(queues);
        self.link.rights().about(act::LIBRARY, act::needs(&self.book, queues));
        self.nodes.changed.notify_one();
    }

    fn changes(&self) -> Changes {
        let (sender, receiver) = mpsc::channel(nodes::BACKLOG);
        let mut readers = JoinSet::new();
        readers.spawn(keep_listening(self.link.clone(), self.clone(), sender));
        Changes::new(receiver, readers)
    }
}
