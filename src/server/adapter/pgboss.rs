//! pg-boss 9 to 12 on Postgres, read with plain queries and changed by statements of our own.
//!
//! The library's own statements are not used for changes: its retry can lose a job and one conflict undoes a whole batch
//! (see [`act`]). What is read, with `S` = the schema, of which a database may have several:
//!
//! | table | in | read as |
//! |---|---|---|
//! | `S.version` | all | the number of the schema |
//! | `S.job` | all | the jobs; from 10 on partitioned by queue, in 9 with folded names of columns |
//! | `S.archive` | 9, 10 | jobs that the library has put away |
//! | `S.queue` | 10–12 | the queues with their settings; from 11 on with the library's own counters |
//! | `S.schedule` | all | timetables: cron, from 12.31 on also recurrence rules |
//! | `S.job_dependency` | 12.19– | which job waits for which |
//! | `S.instance` | 12.36– | the processes and their workers |
//!
//! Verified against the npm packages `pg-boss` 9.0.3, 10.4.2, 11.1.2 and 12.38.0 in `src/tests/pgboss`.
//!
//! - [`names`]: identifiers, and the ids of queues
//! - [`shape`]: what an installation has: columns and valid indexes; [`rights`]: what our role may do with it
//! - [`discover`]: which queues there are
//! - [`counts`]: how many jobs, exact where that is cheap; [`expiry`]: which of them are removed unrun
//! - [`list`]: pages of jobs; [`row`]: a job in brief; [`job`]: one in full; [`values`]: what is shown of large ones;
//!   [`flow`]: its relatives
//! - [`insight`]: retention, and how long jobs wait and run
//! - [`act`]: changing any of it; [`whole`]: finished jobs for the archive; [`kept`]: those that come out of it
//! - [`pause`]: pausing a queue, which pg-boss itself cannot
//! - [`changes`]: what happens, found by polling
//! - [`workers`]: who takes jobs; [`schedules`]: what creates them on a timetable

mod act;
mod capabilities;
mod changes;
mod counts;
mod discover;
mod expiry;
mod family;
mod flow;
mod insight;
mod job;
mod kept;
mod list;
mod names;
mod pause;
mod rights;
mod row;
mod schedules;
mod shape;
mod values;
mod whole;
mod workers;

use super::postgres::code;
use super::postgres::database::{Database, Statement};
use super::raw::{RawJob, Whole};
use super::{
    Act, Adapter, AnyAction, Archiving, Bounds, Changes, Connections, FieldBytes, FieldError, FlowQuery, Flows,
    FoundQueue, Head, Heard, JobQuery, Kept, QueueId, ReadError, Reading, Search, Trouble,
};
use crate::model::Millis;
use crate::model::action::{Effect, JobAction, NewJob, QueueAction, ScheduleAction, Seen};
use crate::model::capability::Capabilities;
use crate::model::flow::Flow;
use crate::model::insight::Insight;
use crate::model::job::{JobDetail, JobRow};
use crate::model::page::JobPageRows;
use crate::model::queue::{Expiry, Stuck};
use crate::model::schedule::Schedule;
use crate::server::redact::{Mask, Masks};
use async_trait::async_trait;
use shape::Shape;
use sqlx::postgres::PgRow;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::task::JoinSet;

/// The codes of a column and of a table that is no more.
const SHAPE_CHANGED: [&str; 3] = ["42703", "42P01", "42704"];

/// Which installations to look at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Only these schemas, as the catalogue has them; empty for any.
    pub schemas: Vec<String>,
}

/// pg-boss in one Postgres. A clone is the same one.
#[derive(Clone, Debug)]
pub struct PgBoss {
    db: Arc<Database>,
    scope: Scope,
    masks: Masks,
    shapes: Arc<shape::Shapes>,
    paces: Arc<Mutex<HashMap<String, counts::Pace>>>,
    /// The last counts, for the headings of lists, and whether the queue was paused then.
    known: Arc<Mutex<HashMap<QueueId, counts::Known>>>,
    /// The queues whose changes are wanted.
    followed: Arc<Mutex<Vec<QueueId>>>,
    /// Wakes the task that looks for changes.
    knock: Arc<Notify>,
    /// One large value is handed over at a time.
    downloads: Arc<Semaphore>,
    waiting: Arc<expiry::Waiting>,
    /// Which queues of 9 have jobs in the library's archive alone.
    put_away: Arc<discover::PutAway>,
}

impl PgBoss {
    /// An adapter over a database that the caller supervises, with these masks for its queues.
    #[must_use]
    pub fn new(db: Arc<Database>, scope: Scope, masks: Masks) -> Self {
        Self {
            db,
            scope,
            masks,
            shapes: Arc::default(),
            paces: Arc::default(),
            known: Arc::default(),
            followed: Arc::default(),
            knock: Arc::default(),
            downloads: Arc::new(Semaphore::new(1)),
            waiting: Arc::default(),
            put_away: Arc::default(),
        }
    }

    /// What is hidden in a queue.
    fn mask(&self, shape: &Shape, name: &str) -> Mask {
        self.masks.of(&names::id_of(&shape.schema, name), name)
    }

    /// Reads rows. Where a column or table is missing, `schema` is looked at again next time.
    async fn read(&self, schema: Option<&str>, query: Statement<'_>) -> Result<Vec<PgRow>, Trouble> {
        let read = async {
            let rows = self.db.rows(query).await;
            rows.inspect_err(|error| self.note(schema, error))
        };
        self.db.run(read).await
    }

    /// Reads rows that may take so long; `None` if they take longer.
    async fn within(
        &self,
        shape: &Shape,
        limit: Duration,
        query: Statement<'_>,
    ) -> Result<Option<Vec<PgRow>>, Trouble> {
        let read = async {
            let rows = self.db.rows_within(query, limit).await;
            rows.inspect_err(|error| self.note(Some(&shape.schema), error))
        };
        self.db.run(read).await
    }

    fn note(&self, schema: Option<&str>, error: &sqlx::Error) {
        let changed = code(error).is_some_and(|code| SHAPE_CHANGED.contains(&code.as_str()));
        if let Some(schema) = schema.filter(|_| changed) {
            self.shapes.forget(schema);
        }
    }
}

#[async_trait]
impl Adapter for PgBoss {
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
        counts::heads(self, queues).await
    }

    async fn expiries(&self, queues: &[QueueId]) -> Result<Vec<Option<Expiry>>, Trouble> {
        expiry::read(self, queues).await
    }

    async fn jobs(&self, query: &JobQuery) -> Result<JobPageRows, ReadError> {
        list::page(self, query).await
    }

    async fn scan(&self, query: &JobQuery, _errors: bool) -> Result<(Vec<JobRow>, Option<String>), ReadError> {
        list::scan(self, query).await
    }

    async fn job(&self, queue: &QueueId, id: &str) -> Result<Option<JobDetail>, ReadError> {
        job::read(self, queue, id).await
    }

    fn fate(&self, queue: &QueueId, job: &str) -> String {
        self.waiting.fate(queue, job)
    }

    async fn field(&self, queue: &QueueId, id: &str, field: &str) -> Result<Option<FieldBytes>, FieldError> {
        self.value(queue, id, field).await
    }

    async fn insight(&self, queue: &QueueId) -> Result<Insight, Trouble> {
        insight::read(self, queue).await
    }

    async fn finished(&self, queue: &QueueId, until: Millis, minutes: usize) -> Result<Vec<Kept>, Trouble> {
        insight::finished(self, queue, until, minutes).await
    }

    async fn workers(&self, _: &HashSet<QueueId>) -> Result<Connections, Trouble> {
        workers::read(self).await
    }

    async fn count_schedules(&self, queues: &[QueueId]) -> Result<Vec<Option<u64>>, Trouble> {
        schedules::count(self, queues).await
    }

    async fn schedules(&self, queues: &[QueueId], bounds: Bounds) -> Result<Vec<Schedule>, Trouble> {
        schedules::read(self, queues, bounds).await
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

    fn follow(&self, queues: &[QueueId]) {
        *self.followed.lock().unwrap_or_else(PoisonError::into_inner) = queues.to_vec();
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|id, _| queues.contains(id));
    }

    fn changes(&self) -> Changes {
        let (sender, receiver) = mpsc::channel(changes::BACKLOG);
        let mut readers = JoinSet::new();
        readers.spawn(changes::follow(self.clone(), sender));
        Changes::new(receiver, readers)
    }
}

#[async_trait]
impl Act for PgBoss {
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

    fn lacks(&self, queue: &QueueId, actions: &[AnyAction<'_>]) -> Option<String> {
        let (schema, _) = names::parts_of(queue)?;
        self.lacking(&schema, actions)
    }
}

#[async_trait]
impl Archiving for PgBoss {
    async fn whole(&self, queue: &QueueId, jobs: &[(String, Seen)]) -> Result<Vec<Whole>, Trouble> {
        self.read_whole(queue, jobs).await
    }

    async fn remove_exactly(&self, queue: &QueueId, jobs: &[RawJob]) -> Result<Vec<Effect>, Trouble> {
        self.remove_as_read(queue, jobs).await
    }

    fn detail_of(&self, system: &str, raw: &RawJob) -> Option<JobDetail> {
        (system == "pgboss").then(|| kept::detail(raw))
    }

    fn renewed(&self, raw: &RawJob) -> Result<NewJob, String> {
        kept::renewed(raw)
    }

    fn restored_id(&self, run: &[u8; 16], n: i32) -> String {
        kept::restored_id(run, n)
    }
}

#[async_trait]
impl Flows for PgBoss {
    async fn flow(&self, query: &FlowQuery, known: &[QueueId]) -> Result<Option<Flow>, ReadError> {
        flow::read(self, query, known).await
    }

    async fn stuck(&self, queue: &QueueId, _known: &[QueueId]) -> Result<Option<Stuck>, Trouble> {
        flow::stuck(self, queue).await
    }
}
