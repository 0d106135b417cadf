//! arq 0.26 to 0.28, read with plain commands and changed by scripts that check first. Nothing that a job carries is run: a pickle
//! is read without that.
//!
//! What is read, with `Q` for the name of a queue, by default `arq:queue`, which is also its id on the board. Only that name is a
//! setting: all other keys are shared by all queues of a database.
//!
//! | key | type | read as |
//! |---|---|---|
//! | `Q` | zset | job id → when it is due, in ms. An id stays there while its job runs, and leaves when that ends |
//! | `arq:job:<id>` | string | function, arguments and the time at which it was added; it expires a day after the job is due |
//! | `arq:in-progress:<id>` | string | a worker's claim, which ends by itself. That of a cron job stays for a minute after it has run |
//! | `arq:retry:<id>` | string | how many tries have begun |
//! | `arq:result:<id>` | string | what `arq:job:<id>` was, with result and times, until it expires; there is no index of them |
//! | `arq:abort` | zset | job id → when an abort was asked for |
//! | `Q:health-check` | string | what a worker last wrote of itself: one line for all workers of a queue |
//!
//! - [`discover`]: finding queues
//! - [`front`]: what of a queue is due, and what of that is claimed; [`counts`]: how many; [`list`]: a page of either
//! - [`record`]: a job or a result, decoded; [`job`]: everything about one job
//! - [`workers`]: whether there are any, as far as that is known
//! - [`act`]: removing and promoting what waits, and running failed jobs again

mod act;
mod capabilities;
mod counts;
mod discover;
mod front;
mod job;
mod list;
mod record;
mod workers;

use super::redis::link::Link;
use super::{
    Act, Adapter, Bounds, Changes, Connections, FieldBytes, FieldError, FoundQueue, Head, Heard, JobQuery, Kept,
    QueueId, ReadError, Reading, Search, Trouble,
};
use crate::model::capability::Capabilities;
use crate::model::exact::bytes_of;
use crate::model::insight::Insight;
use crate::model::job::{JobDetail, JobRow};
use crate::model::page::JobPageRows;
use crate::model::schedule::Schedule;
use crate::model::{Millis, now};
use async_trait::async_trait;
use std::collections::HashSet;
use std::sync::Arc;

/// What is before the id of a job.
const JOB: &str = "arq:job:";
const IN_PROGRESS: &str = "arq:in-progress:";
const RETRY: &str = "arq:retry:";
const RESULT: &str = "arq:result:";

/// Jobs that are to be aborted.
const ABORT: &str = "arq:abort";

/// What is behind the name of a queue.
const HEALTH: &str = ":health-check";

/// The key of a job, or one beside a queue.
fn key(first: &str, second: &str) -> Vec<u8> {
    [&*bytes_of(first), &*bytes_of(second)].concat()
}

/// arq in one Redis. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Arq {
    link: Arc<Link>,
    known: Arc<discover::Known>,
    scripts: Arc<act::Scripts>,
}

impl Arq {
    /// An adapter over a link that another part supervises.
    #[must_use]
    pub fn new(link: Arc<Link>) -> Self {
        Self {
            link,
            known: Arc::default(),
            scripts: Arc::default(),
        }
    }
}

#[async_trait]
impl Adapter for Arq {
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

    async fn heads(&self, queues: &[QueueId], _: Heard<'_>) -> Result<Vec<Vec<Head>>, Trouble> {
        counts::heads(&self.link, queues).await
    }

    async fn held(&self, queues: &[QueueId]) -> Result<Vec<bool>, Trouble> {
        let fronts = front::look(&self.link, queues).await?;
        Ok(fronts.iter().map(front::is_claimed).collect())
    }

    async fn jobs(&self, query: &JobQuery) -> Result<JobPageRows, ReadError> {
        list::page(&self.link, query).await
    }

    async fn scan(&self, query: &JobQuery, _errors: bool) -> Result<(Vec<JobRow>, Option<String>), ReadError> {
        let all = JobQuery {
            filter: None,
            ..query.clone()
        };
        let page = list::page(&self.link, &all).await?;
        Ok((page.rows, page.next))
    }

    async fn job(&self, queue: &QueueId, id: &str) -> Result<Option<JobDetail>, ReadError> {
        job::read(&self.link, queue, id).await
    }

    fn fate(&self, _: &QueueId, _job: &str) -> String {
        "it ended and left no result or that has expired, or it is in another queue.".into()
    }

    async fn field(&self, queue: &QueueId, id: &str, field: &str) -> Result<Option<FieldBytes>, FieldError> {
        job::field(&self.link, queue, id, field).await
    }

    async fn insight(&self, _: &QueueId) -> Result<Insight, Trouble> {
        Ok(Insight {
            as_of: now(),
            ..Insight::default()
        })
    }

    /// Results have no index by queue.
    async fn finished(&self, _: &QueueId, _: Millis, _: usize) -> Result<Vec<Kept>, Trouble> {
        Ok(vec![])
    }

    async fn workers(&self, known: &HashSet<QueueId>) -> Result<Connections, Trouble> {
        workers::read(&self.link, known).await
    }

    /// Cron jobs are in the code of the workers.
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
        self.link.rights().about(act::LIBRARY, act::needs(queues));
    }

    /// arq tells of nothing: its queues are counted.
    fn changes(&self) -> Changes {
        Changes::none()
    }
}
