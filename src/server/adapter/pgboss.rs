//! pg-boss 9 to 12 on Postgres, read with plain queries and changed by statements of our own.
//!
//! The library's own statements are not used for changes: its retry can lose a job and one conflict undoes a whole batch
//! (see [`act`]). What is read, with `S` = the schema, of which a database may have several:
//!
//! | table | in | read as |
//! |---|---|---|
//! | `S.version` | all | the number of the schema |
//! | `S.job` | all | the jobs; from 10 on partitioned by queue, in 9 with folded names of columns |
//! | `S.queue` | 10–12 | the queues with their settings; from 11 on with the library's own counters |
//! | `S.schedule` | all | timetables: cron, from 12.31 on also recurrence rules |
//! | `S.job_dependency` | 12.19– | which job waits for which |
//! | `S.instance` | 12.36– | the processes and their workers |
//!
//! Verified against the npm packages `pg-boss` 9.0.3, 10.4.2, 11.1.2 and 12.38.0 in `src/tests/pgboss`.
//!
//! - [`names`]: identifiers, and the ids of queues
//! - [`shape`]: what an installation has: columns, valid indexes, rights
//! - [`discover`]: which queues there are
//! - [`counts`]: how many jobs, exact where that is cheap
//! - [`list`]: pages of jobs

mod counts;
mod discover;
mod list;
mod names;
mod shape;

use super::postgres::database::Database;
use super::{
    Adapter, Bounds, Change, Connections, FoundQueue, JobQuery, Kept, QueueId, ReadError, Reading, Search, Trouble,
};
use crate::model::Millis;
use crate::model::counts::Counts;
use crate::model::insight::Insight;
use crate::model::job::{JobDetail, JobRow};
use crate::model::page::JobPageRows;
use crate::model::schedule::Schedule;
use async_trait::async_trait;
use shape::Shape;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::{Executor as _, Postgres};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// A statement with its parameters.
type Statement<'q> = sqlx::query::Query<'q, Postgres, PgArguments>;

/// The codes of a column and of a table that is no more.
const SHAPE_CHANGED: [&str; 3] = ["42703", "42P01", "42704"];

/// The code of a statement that took too long.
const TOO_LONG: &str = "57014";

/// Which installations to look at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Only these schemas, as the catalogue has them; empty for any.
    pub schemas: Vec<String>,
}

/// pg-boss in one Postgres.
#[derive(Debug)]
pub struct PgBoss {
    db: Arc<Database>,
    scope: Scope,
    shapes: shape::Shapes,
    paces: Mutex<HashMap<String, counts::Pace>>,
    /// The last counts, for the headings of lists.
    known: Mutex<HashMap<QueueId, (Instant, Counts)>>,
}

impl PgBoss {
    /// An adapter over a database that somebody else supervises.
    #[must_use]
    pub fn new(db: Arc<Database>, scope: Scope) -> Self {
        Self {
            db,
            scope,
            shapes: shape::Shapes::default(),
            paces: Mutex::default(),
            known: Mutex::default(),
        }
    }

    /// Reads rows. Where a column or table is missing, `schema` is looked at again next time.
    async fn read(&self, schema: Option<&str>, query: Statement<'_>) -> Result<Vec<PgRow>, Trouble> {
        let pool = self.db.reads();
        let read = async {
            query
                .fetch_all(&pool)
                .await
                .inspect_err(|error| self.note(schema, error))
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
        let pool = self.db.reads();
        let read = async {
            let mut transaction = pool.begin().await?;
            let limit = format!("set local statement_timeout = {}", limit.as_millis());
            transaction.execute(sqlx::raw_sql(&limit)).await?;
            match query.fetch_all(&mut *transaction).await {
                Ok(rows) => {
                    transaction.commit().await?;
                    Ok(Some(rows))
                }
                Err(error) if code(&error).as_deref() == Some(TOO_LONG) => {
                    transaction.rollback().await?;
                    Ok(None)
                }
                Err(error) => {
                    self.note(Some(&shape.schema), &error);
                    Err(error)
                }
            }
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

/// The code of an error that the server sent.
fn code(error: &sqlx::Error) -> Option<String> {
    Some(error.as_database_error()?.code()?.into_owned())
}

#[async_trait]
impl Adapter for PgBoss {
    async fn discover(&self, known: &HashSet<QueueId>) -> Result<Search, Trouble> {
        discover::queues(self, known).await
    }

    async fn recognise(&self, queues: &[QueueId]) -> Result<Vec<FoundQueue>, Trouble> {
        discover::recognise(self, queues).await
    }

    async fn counts(&self, queues: &[QueueId]) -> Result<Vec<Reading>, Trouble> {
        counts::read(self, queues).await
    }

    async fn oldest_waiting(&self, queues: &[QueueId]) -> Result<Vec<Option<Millis>>, Trouble> {
        counts::oldest_waiting(self, queues).await
    }

    async fn jobs(&self, query: &JobQuery) -> Result<JobPageRows, ReadError> {
        list::page(self, query).await
    }

    async fn scan(&self, query: &JobQuery, _errors: bool) -> Result<(Vec<JobRow>, Option<String>), ReadError> {
        list::scan(self, query).await
    }

    async fn job(&self, _queue: &QueueId, _id: &str) -> Result<Option<JobDetail>, ReadError> {
        Ok(None)
    }

    async fn insight(&self, _queue: &QueueId) -> Result<Insight, Trouble> {
        Ok(Insight::default())
    }

    async fn finished(&self, _queue: &QueueId, _until: Millis, _minutes: usize) -> Result<Vec<Kept>, Trouble> {
        Ok(Vec::new())
    }

    async fn workers(&self) -> Result<Connections, Trouble> {
        Ok(Connections::Known(Vec::new()))
    }

    async fn count_schedules(&self, queues: &[QueueId]) -> Result<Vec<Option<u64>>, Trouble> {
        Ok(vec![None; queues.len()])
    }

    async fn schedules(&self, _queues: &[QueueId], _bounds: Bounds) -> Result<Vec<Schedule>, Trouble> {
        Ok(Vec::new())
    }

    fn follow(&self, _queues: &[QueueId]) {}

    fn changes(&self) -> mpsc::Receiver<Vec<Change>> {
        mpsc::channel(1).1
    }
}
